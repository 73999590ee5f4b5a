"""Classifies the rows of a CSV file; the journal and the budget are written by hand."""

import asyncio
import csv
import json
import sys
from enum import StrEnum
from pathlib import Path

from openai import AsyncOpenAI, OpenAIError
from pydantic import BaseModel, ValidationError

CAP, INPUT, OUTPUT, MOST_TOKENS = 1.0, 0.15e-6, 0.6e-6, 100  # prices of venice-1
OVERHEAD = 20_000  # tokens of the system prompt and of the schema, at most


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"
    MIXED = "mixed"


class Label(BaseModel):
    mood: Mood


class Journal:
    """What is reserved before a request and settled after it, a line each."""

    def __init__(self, path: Path) -> None:
        self.spent = 0.0
        self.moods: dict[str, str] = {}
        self.file = path.open("a+", encoding="utf-8")
        self.file.seek(0)
        for line in self.file:
            self.take(json.loads(line))

    def take(self, entry: dict) -> None:
        self.spent += entry["usd"]
        if entry["mood"]:
            self.moods[entry["text"]] = entry["mood"]

    def write(self, text: str, usd: float, mood: str = "") -> None:
        entry = {"text": text, "usd": usd, "mood": mood}
        self.take(entry)
        self.file.write(json.dumps(entry) + "\n")
        self.file.flush()


async def classify(texts: set[str], journal: Journal) -> dict[str, str]:
    client, eight = AsyncOpenAI(max_retries=0), asyncio.Semaphore(8)
    errors: dict[str, str] = {}

    async def ask(text: str) -> None:
        async with eight:
            reserved = (len(text.encode()) + OVERHEAD) * INPUT + MOST_TOKENS * OUTPUT
            if journal.spent + reserved > CAP:
                errors[text] = "not sent: the budget is used up"
                return
            journal.write(text, reserved)
            try:
                answer = await client.chat.completions.parse(
                    model="venice-1",
                    messages=[{"role": "user", "content": f"Which mood? {text}"}],
                    max_completion_tokens=MOST_TOKENS,
                    response_format=Label,
                )
            except (OpenAIError, ValidationError) as error:
                errors[text] = str(error)  # and counts as what was reserved
                return
            used, label = answer.usage, answer.choices[0].message.parsed
            usd = used.prompt_tokens * INPUT + used.completion_tokens * OUTPUT
            journal.write(text, usd - reserved, label.mood if label else "")

    await asyncio.gather(*map(ask, texts - journal.moods.keys()))
    return errors


source, target = map(Path, sys.argv[1:])
with source.open(newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
journal = Journal(target.with_suffix(".journal"))
errors = asyncio.run(classify({row["text"] for row in rows}, journal))
print(f"spent {journal.spent:.6f} USD")
for row in rows:
    text = row["text"]
    row |= {"mood": journal.moods.get(text, ""), "error": errors.get(text, "")}
with target.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
