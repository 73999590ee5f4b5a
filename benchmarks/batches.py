"""Batches with and without a journal, and beside the runner of others: items a second, and CPU for each item.

`python -m benchmarks.batches`: one server, pinned to the last core; one process after the other, pinned to the first, does the
same requests. Rounds alternate, and the median counts. `--write PAGE` puts the table into a page.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import environments
from benchmarks.pinning import allow_many_sockets, pin_to_first_core
from benchmarks.processes import Conversation, start_server

_OTHERS = "async-batch-llm"
_PLACES = 50
_KINDS = {
    "batch": "`batch`",
    "iter": "`batch_iter`, without a journal",
    "journal": "`batch_iter` with a journal",
    "sync": "`batch_iter` with `Journal(sync=True)`",
    "replay": "`batch_iter`, all of it from the journal",
    "others": "async-batch-llm with its SQLite store",
}


def _requests(amount: int) -> list[dict[str, Any]]:
    return [{"model": "plain", "messages": [{"role": "user", "content": f"question {n}"}]} for n in range(amount)]


async def _ours(kind: str, url: str, amount: int, folder: Path) -> Callable[[], Awaitable[int]]:
    from venice_ai import Journal, VeniceClient

    client = VeniceClient(api_key="k", base_url=url, limits=False)
    completions = client.chat.completions
    requests = _requests(amount)

    async def iterate(journal: Journal | None) -> int:
        return len(
            [item async for item in completions.batch_iter(requests, journal=journal, max_concurrency=_PLACES) if item.response]
        )

    await completions.batch(requests[:100])  # what is loaded at the first call
    async for _ in completions.batch_iter(requests[:100]):  # of either
        pass
    if kind == "batch":

        async def whole() -> int:
            return len(await completions.batch(requests, max_concurrency=_PLACES))

        return whole
    if kind == "iter":
        return lambda: iterate(None)
    journal = Journal(folder / "journal", sync=kind == "sync")
    if kind == "replay":
        await iterate(journal)
    return lambda: iterate(journal)


async def _others(url: str, amount: int, folder: Path) -> Callable[[], Awaitable[int]]:
    others: Any = import_module("async_batch_llm")  # in an environment of its own
    model = others.llm("openai-compatible:plain", base_url=url, api_key="k")
    prompts = [request["messages"][0]["content"] for request in _requests(amount)]
    identity = others.ArtifactIdentity(provider="openai-compatible", model="plain")

    async def whole() -> int:
        store = others.SqliteArtifactStore(str(folder / "artifacts.sqlite"), identity=identity)
        done = await others.process_prompts(model, prompts, concurrency=_PLACES, artifact_store=store)
        return int(done.succeeded)

    await others.process_prompts(model, prompts[:100], concurrency=_PLACES)
    return whole


async def _work(kind: str, url: str, amount: int) -> None:
    pin_to_first_core()
    allow_many_sockets()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        call = await (_others(url, amount, folder) if kind == "others" else _ours(kind, url, amount, folder))
        began, cpu = time.perf_counter(), time.process_time()
        done = await call()
        print(done, time.perf_counter() - began, time.process_time() - cpu, flush=True)


def _measured(kind: str, url: str, amount: int) -> tuple[float, float]:
    """Items a second, and CPU microseconds for an item."""
    python = environments.python(_OTHERS) if kind == "others" else sys.executable
    with Conversation(python, "-m", "benchmarks.batches", "--work", kind, url, str(amount)) as process:
        done, seconds, cpu = map(float, process.hear().split())
    if done != amount:
        raise SystemExit(f"{kind}: {done:.0f} of {amount} items succeeded")
    return amount / seconds, cpu / amount * 1e6


def main() -> int:
    """Measures, and prints the table."""
    if sys.argv[1:2] == ["--work"]:
        asyncio.run(_work(sys.argv[2], sys.argv[3], int(sys.argv[4])))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(_KINDS), help="which, separated by commas")
    parser.add_argument("--write", type=Path, help="a page whose table is written anew")
    given = parser.parse_args()
    kinds = given.only.split(",")
    if "others" in kinds:
        environments.prepare(_OTHERS)
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    loads = [os.getloadavg()[0]]
    with start_server(sys.executable) as server:
        url = f"http://127.0.0.1:{int(server.hear())}/api/v1"
        for _ in range(given.rounds):
            for kind in kinds:
                found[kind].append(_measured(kind, url, given.items))
                loads.append(os.getloadavg()[0])
    medians = {kind: [statistics.median(column) for column in zip(*rows, strict=True)] for kind, rows in found.items()}
    base = medians.get("batch", [1.0, 1.0])[1]
    lines = ["| what | items a second | CPU for an item | against `batch` |", "|---|---|---|---|"]
    lines += [f"| {_KINDS[kind]} | {rate:,.0f} | {cpu:.0f} µs | {cpu / base:.2f} |" for kind, (rate, cpu) in medians.items()]
    load = " to ".join(f"{each:.0f}" for each in sorted({min(loads), max(loads)}))
    heading = f"{datetime.now(UTC):%Y-%m-%d}, medians of {given.rounds} rounds of {given.items:,} items, at a load of {load}"
    lines += ["", f"Measured on {heading}."]
    print("\n".join(lines))
    if given.write:
        before, begin, rest = given.write.read_text().partition("<!-- batches -->\n")
        _, end, after = rest.partition("<!-- /batches -->")
        given.write.write_text(f"{before}{begin}" + "\n".join(lines) + f"\n{end}{after}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
