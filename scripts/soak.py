"""`make soak`: the client at full load for a long time, with faults, over real sockets; what is lost, and what grows.

A process of its own serves the emulator, and spoils one chat in twenty. Several clients, each with a key of its own (the
limiter allows a key 20 failures in 30 s), ask it side by side, on one event loop and in two threads: plain calls, streams,
streams that are left early, calls that are cancelled. Each question is another one, and its answer must repeat it.

The run is cut into phases. After each, all calls have ended, and memory, files, threads and tasks are counted. The first
phase is the warm-up: what is counted after it is what later phases are compared with.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import platform
import random
import resource
import subprocess
import sys
import threading
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from venice_ai import SyncVeniceClient, Timeout, UserMessage, VeniceClient
from venice_ai.emulator import Account, Emulator, Step, echo, error, overloaded, refused, serve
from venice_ai.emulator.sending import HTTPReply, Incoming
from venice_ai.exceptions import StreamTimeoutError, VeniceError

MODEL = "llama-3.3-70b"
PHASES = 10
LEAST_WARM_UP_SECONDS = 15.0
CLIENTS, WORKERS, THREADS = 16, 48, 2
FAULTS_PERCENT = 5
MOST_TRACED_BYTES, MOST_RSS_BYTES = 2**20, 16 * 2**20
PATIENCE_SECONDS = 120.0
FAULTS: list[Step] = [
    overloaded(),
    error(500),
    error(504),
    refused(),
    echo(reset_at=90),
    echo(no_done=True),
    echo(malformed_after=1),
    echo(html_instead=True),
    echo(stall_after=1),
]


class FaultyEmulator(Emulator):
    """An emulator that spoils some of its answers."""

    def __init__(self, seed: int) -> None:
        super().__init__(account=Account(max_failures=None))  # no limits: the load is what this machine can do
        self._chance = random.Random(seed)  # noqa: S311
        self.always(echo())

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        """The answer, or a fault in its place."""
        if self._chance.uniform(0, 100) < FAULTS_PERCENT:
            self.script(self._chance.choice(FAULTS))
        return await super().respond(incoming, now=now)


async def serve_faults(seed: int) -> None:
    """Serves until the other process closes our standard input."""
    async with serve(FaultyEmulator(seed)) as server:
        print(server.url, flush=True)
        await asyncio.to_thread(sys.stdin.read)


class Counted(NamedTuple):
    """What a process holds at a moment when no call is under way."""

    traced: int
    rss: int
    files: int
    threads: int
    tasks: int


def counted() -> Counted:
    """What this process holds now."""
    for _ in range(3):
        gc.collect()
    return Counted(tracemalloc.get_traced_memory()[0], _rss(), _files(), threading.active_count(), len(asyncio.all_tasks()))


def _rss() -> int:
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text("ascii").split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _files() -> int:
    folder = Path("/proc/self/fd")
    return len(list(folder.iterdir())) if folder.exists() else 0


class Load:
    """The callers, and what came of their calls."""

    def __init__(self, url: str, seed: int) -> None:
        settings: dict[str, Any] = {"base_url": url, "timeout": Timeout(idle=5, first_chunk=5, progress=5)}
        self.clients = [VeniceClient(api_key=f"key-{number}", **settings) for number in range(CLIENTS)]
        self.blocking = [SyncVeniceClient(api_key=f"key-sync-{number}", **settings) for number in range(THREADS)]
        self.count: Counter[str] = Counter()
        """By kind of call, and by what came of them."""
        self.unexpected: list[str] = []
        """What must not happen, in words."""
        self._chance = random.Random(seed)  # noqa: S311

    async def phase(self, seconds: float) -> None:
        """Calls for so long, then waits until every call has ended."""
        end = time.monotonic() + seconds
        workers = [self._work(self.clients[number % CLIENTS], end) for number in range(WORKERS)]
        threads = [asyncio.to_thread(self._work_blocking, client, end) for client in self.blocking]
        async with asyncio.timeout(seconds + PATIENCE_SECONDS):
            await asyncio.gather(*workers, *threads)
        await asyncio.sleep(0.5)  # until connections that were dropped are gone

    async def close(self) -> None:
        """Closes all clients."""
        for client in self.clients:
            await client.close()
        for blocking in self.blocking:
            await asyncio.to_thread(blocking.close)

    async def _work(self, client: VeniceClient, end: float) -> None:
        kinds: list[tuple[str, Callable[..., Any]]] = [("calls", _create)] * 92
        kinds += [("streams", _stream)] * 6 + [("streams left", _leave)] + [("calls cancelled", _cancel)]
        while time.monotonic() < end:
            kind, ask = self._chance.choice(kinds)
            question = self._question()
            try:
                self._answered(kind, question, await ask(client, question))
            except VeniceError as failure:
                self._failed(kind, question, failure)
            except Exception as failure:  # noqa: BLE001  # whatever it is, the run says so
                self.unexpected.append(f"{kind}: {failure!r}")

    def _work_blocking(self, client: SyncVeniceClient, end: float) -> None:
        while time.monotonic() < end:
            question = self._question()
            is_stream = self._chance.random() < 0.06
            kind = "streams" if is_stream else "calls"
            try:
                if is_stream:
                    with client.chat.completions.stream(model=MODEL, messages=_asking(question)) as stream:
                        self._answered(kind, question, stream.collect().text)
                else:
                    self._answered(kind, question, client.chat.completions.create(model=MODEL, messages=_asking(question)).text)
            except VeniceError as failure:
                self._failed(kind, question, failure)
            except Exception as failure:  # noqa: BLE001
                self.unexpected.append(f"{kind} of a thread: {failure!r}")

    def _question(self) -> str:
        return f"question {self._chance.getrandbits(64):x}: " + "word " * self._chance.randrange(40)

    def _answered(self, kind: str, question: str, answer: str | None) -> None:
        self.count[kind] += 1
        self.count["answered"] += 1
        if answer is not None and answer != question:
            self.unexpected.append(f"{kind}: another answer than its own: {answer!r}")

    def _failed(self, kind: str, question: str, failure: VeniceError) -> None:
        self.count[kind] += 1
        self.count["ended in a typed error"] += 1
        self.count[f"error {type(failure).__name__}"] += 1
        partial = getattr(failure, "partial", None)
        if isinstance(failure, StreamTimeoutError) and partial is not None and not question.startswith(partial.text or ""):
            self.unexpected.append(f"{kind}: part of another answer than its own: {partial.text!r}")


def _asking(question: str) -> list[UserMessage]:
    return [UserMessage(content=question)]


async def _create(client: VeniceClient, question: str) -> str | None:
    return (await client.chat.completions.create(model=MODEL, messages=_asking(question))).text


async def _stream(client: VeniceClient, question: str) -> str | None:
    async with await client.chat.completions.stream(model=MODEL, messages=_asking(question)) as stream:
        return (await stream.collect()).text


async def _leave(client: VeniceClient, question: str) -> None:
    async with await client.chat.completions.stream(model=MODEL, messages=_asking(question)) as stream:
        async for _ in stream:
            break


async def _cancel(client: VeniceClient, question: str) -> None:
    call = asyncio.ensure_future(_create(client, question))
    await asyncio.wait([call], timeout=random.uniform(0, 0.01))  # noqa: S311
    call.cancel()
    await asyncio.wait([call])
    if not call.cancelled():
        call.result()


async def soak(url: str, seconds: float, seed: int) -> tuple[Load, list[tuple[float, Counter[str], Counted]]]:
    """The load after all phases, and what was counted after each of them."""
    load = Load(url, seed)
    rows: list[tuple[float, Counter[str], Counted]] = []
    began = time.monotonic()
    warm_up = max(0.2 * seconds, LEAST_WARM_UP_SECONDS)
    for number in range(PHASES):
        await load.phase(seconds / PHASES if number else warm_up)
        rows.append((time.monotonic() - began, load.count.copy(), counted()))
        print(_row(number, *rows[-1]), flush=True)
    await load.close()
    return load, rows


HEAD = (
    "| phase | seconds | calls | streams | typed errors | traced KiB | RSS MiB | files | threads | tasks |\n"
    + "|--:" * 10
    + "|"
)


def _row(number: int, elapsed: float, count: Counter[str], now: Counted) -> str:
    calls = count["calls"] + count["calls cancelled"]
    cells = [number or "warm-up", f"{elapsed:.0f}", calls, count["streams"] + count["streams left"]]
    cells += [count["ended in a typed error"], now.traced // 1024, f"{now.rss / 2**20:.1f}", *now[2:]]
    return f"| {' | '.join(map(str, cells))} |"


def verdict(load: Load, rows: list[tuple[float, Counter[str], Counted]]) -> tuple[list[str], str]:
    """What is wrong, and a sentence about what grew since the warm-up."""
    first, last = rows[0][2], rows[-1][2]
    wrong = [f"must not happen: {each}" for each in load.unexpected[:10]]
    traced, rss = last.traced - first.traced, last.rss - first.rss
    if traced > MOST_TRACED_BYTES:
        wrong.append(f"{traced / 1024:.0f} KiB more are traced than after the warm-up")
    if rss > MOST_RSS_BYTES:
        wrong.append(f"RSS grew by {rss / 2**20:.1f} MiB")
    grown = [name for name in ("threads", "tasks") if getattr(last, name) > getattr(first, name)]
    wrong += [f"{name}: {getattr(first, name)} after the warm-up, {getattr(last, name)} at the end" for name in grown]
    if last.files > max(counts.files for _, _, counts in rows[: PHASES // 2]) + WORKERS:
        wrong.append(f"files: {first.files} after the warm-up, {last.files} at the end")
    return wrong, f"Since the warm-up: {traced / 1024:+.0f} KiB traced, {rss / 2**20:+.1f} MiB of RSS."


def page(load: Load, rows: list[tuple[float, Counter[str], Counted]], verdict_line: str, wrong: list[str]) -> str:
    """The page of the documentation."""
    count = load.count
    errors = ", ".join(f"{name.removeprefix('error ')} {n}" for name, n in sorted(count.items()) if name.startswith("error "))
    table = "\n".join(_row(number, *row) for number, row in enumerate(rows))
    return f"""# A long run

`make soak` calls for 20 minutes at full load over real sockets, {WORKERS} calls at a time and {THREADS} threads that block,
with {CLIENTS + THREADS} keys. {FAULTS_PERCENT} % of the chats meet a fault: refusals, connections that break, streams that
stop, are cut or are not streams; not 429, which would rightly slow the load down. `make soak SOAK="--seconds 30"` is a short
one.

This run took **{rows[-1][0]:.0f} seconds** (Python {platform.python_version()}, {os.cpu_count()} processors, which others
used at the same time). {count["answered"]} calls and streams were answered, each with its own answer, and
{count["ended in a typed error"]} ended in a typed error: {errors}. {verdict_line}
Found wrong: {"; ".join(wrong) or "nothing"}.

{HEAD}
{table}

Counted after each phase, when every call has ended. Numbers of calls add up over the phases; files are mostly connections that
are kept.
"""


def main() -> int:
    """Runs it. The exit code is 1 if something was lost, or grew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1200.0, help="for how long; 20 minutes by default")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="the page to write, such as docs/soak.md")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        asyncio.run(serve_faults(chosen.seed))
        return 0
    command = [sys.executable, "-m", "scripts.soak", "--serve", "--seed", str(chosen.seed)]
    tracemalloc.start()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603
        assert server.stdin is not None
        assert server.stdout is not None
        print(HEAD)
        load, rows = asyncio.run(soak(server.stdout.readline().strip(), chosen.seconds, chosen.seed))
        server.stdin.close()
    wrong, said = verdict(load, rows)
    if chosen.write is not None:
        chosen.write.write_text(page(load, rows, said, wrong), "utf-8")
    print(said, *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
