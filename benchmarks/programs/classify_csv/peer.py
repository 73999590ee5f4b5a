"""Classifies the rows of a CSV file; answers outlive a kill -9, a run has a budget."""

import asyncio
import csv
import os
import sys
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

from async_batch_llm import (
    ArtifactIdentity,
    BatchResult,
    GuardrailConfig,
    ProcessorConfig,
    ResumePolicy,
    SqliteArtifactStore,
    llm,
    process_prompts,
    pydantic_json_parser,
)
from pydantic import BaseModel

INPUT, OUTPUT = 0.15e-6, 0.6e-6  # prices of venice-1


class Mood(StrEnum):
    GOOD = "good"
    BAD = "bad"
    MIXED = "mixed"


class Label(BaseModel, extra="forbid"):
    mood: Mood


SCHEMA = {"name": "Label", "strict": True, "schema": Label.model_json_schema()}


def usd(usage: Mapping[str, int]) -> float:
    return usage.get("input_tokens", 0) * INPUT + usage.get("output_tokens", 0) * OUTPUT


async def classify(texts: list[str], journal: Path) -> BatchResult[Label, None]:
    return await process_prompts(
        llm(
            "openai-compatible:venice-1",
            base_url=os.environ["OPENAI_BASE_URL"],
            response_parser=pydantic_json_parser(Label),
            generation_config={
                "max_completion_tokens": 100,
                "response_format": {"type": "json_schema", "json_schema": SCHEMA},
            },
        ),
        [f"Which mood? {text}" for text in texts],
        config=ProcessorConfig(
            concurrency=8,
            guardrails=GuardrailConfig(
                max_total_cost=1, cost_function=lambda attempt: usd(attempt.usage)
            ),
        ),
        preserve_order=True,
        artifact_store=SqliteArtifactStore(
            journal,
            identity=ArtifactIdentity(model="venice-1"),
            output_decoder=Label.model_validate,
        ),
        resume=ResumePolicy.REUSE_SUCCESSES,
    )


source, target = map(Path, sys.argv[1:])
with source.open(newline="", encoding="utf-8") as file:
    rows = list(csv.DictReader(file))
texts = list(dict.fromkeys(row["text"] for row in rows))
batch = asyncio.run(classify(texts, target.with_suffix(".journal")))
labels = dict(zip(texts, batch.results, strict=True))
new = [item for item in batch.results if not item.replayed_from_artifact]
print(f"spent {sum(usd(item.token_usage) for item in new):.6f} USD")
for row in rows:
    item = labels[row["text"]]
    row |= {"mood": item.output.mood if item.output else "", "error": item.error or ""}
with target.open("w", newline="", encoding="utf-8") as file:
    writer = csv.DictWriter(file, rows[0].keys())
    writer.writeheader()
    writer.writerows(rows)
