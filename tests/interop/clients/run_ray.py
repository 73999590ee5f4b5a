"""The driver of a Ray dataset whose rows `ChatMapper` answers.

`run_ray.py BASE_URL FOLDER ACTORS`. Runs where Ray is installed.
"""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both are for the same reason: the packages it imports are not installed where the types are checked.

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import ray
from ray.data.checkpoint import CheckpointConfig

from venice_ai.ray import ChatMapper

ROWS_IN_A_BLOCK = 32
IN_FLIGHT = 16


def request(row: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": row["text"]}]
    return {"model": "venice-1", "messages": messages, "max_completion_tokens": 50}


def main(base_url: str, folder: Path, actors: int) -> None:
    ray.init(num_cpus=4, include_dashboard=False, logging_level="WARNING")
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    done = str(folder / "done")
    context.checkpoint_config = CheckpointConfig(id_column="id", checkpoint_path=done, delete_checkpoint_on_success=False)
    options = {"folder": folder / "shared", "base_url": base_url, "api_key": "any", "max_concurrency": IN_FLIGHT}
    rows = ray.data.read_parquet(str(folder / "rows.parquet")).repartition(target_num_rows_per_block=ROWS_IN_A_BLOCK)
    answers = rows.map_batches(
        ChatMapper,
        fn_constructor_args=[request],
        fn_constructor_kwargs=options,
        batch_size=ROWS_IN_A_BLOCK,
        concurrency=actors,
        num_cpus=0.5,
    )
    answers.write_parquet(str(folder / "answers"))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
