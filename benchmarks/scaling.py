"""How many rows a second 1, 2 and 4 processes answer that share one folder, as the actors of `ChatMapper` on one machine do.

`python -m benchmarks.scaling`. The server is the emulator, on the same machine, and answers after a second; each process has
at most 32 requests under way, so that a process alone answers at most 32 a second. Ray itself is left out: it spreads rows
and writes files, and is not between a request and its answer.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from venice_ai.emulator import Emulator, run_in_thread, usual
from venice_ai.ray import ChatMapper

IN_FLIGHT = 32
ROWS = 640
BLOCK = 32


class Column(list[Any]):
    """Values as an array of NumPy gives them."""

    def tolist(self) -> list[Any]:
        return list(self)


def request(row: dict[str, Any]) -> dict[str, Any]:
    messages = [{"role": "user", "content": row["text"]}]
    return {"model": "venice-1", "messages": messages, "max_completion_tokens": 50}


async def answer(base_url: str, folder: str, name: str, options: dict[str, Any]) -> None:
    mapper = ChatMapper(request, folder=folder, base_url=base_url, api_key="any", max_concurrency=IN_FLIGHT, **options)
    blocks = [Column(f"{name} {each} {row}" for row in range(BLOCK)) for each in range(ROWS // BLOCK)]
    waiting = iter(blocks)

    async def work() -> None:
        for block in waiting:
            answers = await mapper({"text": block})
            assert not any(answers["error"]), answers["error"]

    began, cpu = perf_counter(), process_time()
    await asyncio.gather(work(), work(), work(), work())  # as Ray does: some blocks at a time
    figures = {"rows_a_second": ROWS / (perf_counter() - began), "cpu_ms_a_row": (process_time() - cpu) * 1_000 / ROWS}
    print(json.dumps(figures))


def measure(processes: int, options: dict[str, Any]) -> None:
    emulator = Emulator()
    emulator.always(usual(delay=1))
    with run_in_thread(emulator) as server, tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.scaling", server.url, folder]
        started = [
            subprocess.Popen([*command, str(each), json.dumps(options)], stdout=subprocess.PIPE, cwd=Path(__file__).parents[1])
            for each in range(processes)
        ]
        figures = [json.loads(each.communicate()[0]) for each in started]
    rate, cpu = (sum(each[name] for each in figures) for name in ("rows_a_second", "cpu_ms_a_row"))
    shared = "own limits" if "rate_share" in options else "shared limits"
    print(
        f"| {processes} | {shared} | {rate:.0f} | {IN_FLIGHT * processes} | {cpu / processes:.1f} | {os.getloadavg()[0]:.1f} |"
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(answer(sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.argv[4])))
    else:
        every: list[dict[str, Any]] = [{}, {"rate_share": None}]
        print("| processes | limits | rows/s | at most | CPU ms a row | load |\n|---|---|---|---|---|---|")
        for number in (1, 2, 4):
            for settings in every:
                measure(number, settings)
