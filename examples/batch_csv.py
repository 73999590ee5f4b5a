"""Classify the rows of a CSV file; after an interruption, nothing is paid for twice.

`venice-chat batch` does the same from the command line.
"""

import asyncio
import csv
import tempfile
from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from venice_ai import (
    BatchRequest,
    Budget,
    BudgetExceededError,
    Journal,
    UserMessage,
    VeniceClient,
)

REVIEWS = """id,text
1,"The boat came late, and nobody told us why."
2,The best {squid} of my life!
3,"Good rooms, loud street."
"""


class Label(BaseModel):
    sentiment: Literal["good", "bad", "mixed"]
    topic: str


async def classify(
    rows: list[dict[str, str]], journal: Journal, budget: Budget
) -> None:
    """Adds the fields of a label to each row, or an error."""
    async with VeniceClient() as client:
        model = await client.models.resolve_chat(require_response_schema=True)
        requests: list[BatchRequest] = [
            {
                "model": model,
                "messages": [UserMessage(content=f"Classify: {row['text']}")],
                "max_completion_tokens": 300,
            }
            for row in rows
        ]
        items = client.chat.completions.batch_iter(
            requests, journal=journal, budget=budget, response_format=Label
        )
        async for item in items:
            row = rows[item.index]
            if item.parsed is None:
                row["error"] = str(item.error)
            else:
                row.update(item.parsed.model_dump())
            print(f"row {item.index + 1}{' from the journal' if item.replayed else ''}")


def label(source: Path, target: Path) -> None:
    with source.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        rows = list(reader)
    if any(None in row for row in rows):
        raise SystemExit(f"a row of {source} has more cells than there are columns")
    # Both are files: the next run knows what was answered, and what it cost.
    budget = Budget(usd=1, path=target.with_suffix(".budget"))
    with Journal(target.with_suffix(".journal")) as journal:
        try:
            asyncio.run(classify(rows, journal, budget))
        except BudgetExceededError as error:
            print(error)  # the rows that were answered are written all the same
    columns = [*(reader.fieldnames or ()), *Label.model_fields, "error"]
    part = target.with_suffix(".part")
    with part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(columns))
        writer.writeheader()
        writer.writerows(rows)
    part.replace(target)  # only a whole file takes the place of an earlier one


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "reviews.csv"), Path(folder, "labels.csv")
        source.write_text(REVIEWS, encoding="utf-8")
        label(source, target)
        label(source, target)  # all of it comes from the journal
        print(target.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
