"""Classifies the rows of a CSV file; the journal and the budget outlive a kill -9."""

import csv
import sys
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel
from venice_ai import (
    BatchRequest,
    Budget,
    BudgetExceededError,
    Journal,
    SyncVeniceClient,
    UserMessage,
)


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"
    MIXED = "mixed"


class Label(BaseModel):
    mood: Mood


source, target = map(Path, sys.argv[1:])
with source.open(newline="", encoding="utf-8") as file:
    rows = [{**row, "mood": "", "error": "not sent"} for row in csv.DictReader(file)]
requests: list[BatchRequest] = [
    {
        "model": "venice-1",
        "messages": [UserMessage(content=f"Which mood? {row['text']}")],
        "max_completion_tokens": 100,
    }
    for row in rows
]
budget = Budget(usd=1, path=target.with_suffix(".budget"))
with SyncVeniceClient() as client, Journal(target.with_suffix(".journal")) as journal:
    items = client.chat.completions.batch_iter(
        requests,
        journal=journal,
        budget=budget,
        max_concurrency=8,
        response_format=Label,
    )
    try:
        for item in items:
            rows[item.index]["mood"] = item.parsed.mood if item.parsed else ""
            rows[item.index]["error"] = str(item.error or "")
    except BudgetExceededError as error:
        print(error)
print(f"spent {budget.cap - budget.remaining:.6f} USD")
part = target.with_suffix(".part")
with part.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
part.replace(target)
