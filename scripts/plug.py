"""Pulls the plug: workers on one journal and one budget are killed with SIGKILL again and again, and nothing may be lost.

The emulator runs here, on a real socket, refuses some of the requests, and counts what it answered. Workers are forked from a
process that has imported everything, so that one starts in milliseconds; each goes through all requests, and writes down what
it was given before it asks for more. At the end all of that must be in the journal, no request may have been answered twice but
those that were in flight at a kill, and what was spent must be within the cap.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any, Final

from venice_ai import Budget, ChatCompletionResponse, Journal, VeniceClient
from venice_ai.emulator import Emulator, busy, echo, error, serve, text_model

_PLACES: Final = 16
_MODEL: Final = "m"
_MOST_USD: Final = 0.002
"""More than the bound of one request."""
_PATIENCE_SECONDS: Final = 3_600.0


class Counting(Emulator):
    """An emulator that counts its answers by the prompt, and refuses a share of the requests."""

    def __init__(self, faults: float, seed: int) -> None:
        super().__init__(models=[text_model(_MODEL, input=1.0, output=1.0, longest=1_000)])
        self.always(echo())
        self.answered: Counter[str] = Counter()
        self._faults = faults
        self._random = random.Random(seed)  # noqa: S311  # it chooses faults

    async def respond(self, incoming: Any, *, now: float) -> Any:
        """The answer, or a fault."""
        if incoming.method == "POST" and self._random.random() < self._faults:
            self.script(self._random.choice([busy(), error(503), error(500)]))
        answer = await super().respond(incoming, now=now)
        if incoming.method == "POST" and answer.status == 200:
            self.answered[json.loads(incoming.body)["messages"][-1]["content"]] += 1
        return answer


@dataclass
class Outcome:
    """What a run came to."""

    kills: int
    requests: int
    processes: int
    faults: float
    yielded: int = 0
    lost: int = 0
    answered_twice: int = 0
    untold: int = 0
    """Answered twice, and the journal does not say that it may have been."""
    in_flight_at_kills: int = 0
    retried: int = 0
    """What failed for good, because of the faults, and was sent again by a last run."""
    spent_usd: float = 0.0
    billed_usd: float = 0.0
    cap_usd: float = 0.0
    corrupt: list[str] = field(default_factory=list[str])
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        kept = not (self.lost or self.untold or self.corrupt) and self.answered_twice <= self.in_flight_at_kills
        return kept and self.billed_usd <= self.spent_usd <= self.cap_usd

    def table(self) -> str:
        """The table of the page."""
        rows = {
            "requests": f"{self.requests:,}",
            "processes": f"{self.processes}",
            "faults of the server": f"{self.faults:.0%}",
            "`SIGKILL`s": f"{self.kills}",
            "answers that were yielded, and lost": f"{self.lost} of {self.yielded:,}",
            "in flight at the kills": f"{self.in_flight_at_kills:,}",
            "answered twice": f"{self.answered_twice:,}",
            "of those not told by `maybe_billed_before`": f"{self.untold}",
            "failed by the faults, sent again by `retry_failed=True`": f"{self.retried:,}",
            "billed by the server, USD": f"{self.billed_usd:.4f}",
            "counted by the budget, USD": f"{self.spent_usd:.4f}",
            "cap, USD": f"{self.cap_usd:.4f}",
            "journal": "; ".join(self.corrupt) or "whole (`PRAGMA integrity_check`)",
            "seconds": f"{self.seconds:.0f}",
        }
        return "\n".join(["| what | measured |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())])


def requests(amount: int, first: int = 0) -> Iterator[dict[str, Any]]:
    """The requests, from a place on, and then those before it."""
    for number in (*range(first, amount), *range(first)):
        yield {
            "custom_id": f"id-{number}",
            "model": _MODEL,
            "messages": [{"role": "user", "content": f"question {number}"}],
            "max_completion_tokens": 100,
            "venice_parameters": {"include_venice_system_prompt": False},
        }


async def work(folder: Path, url: str, amount: int, cap: float, first: int, *, retry_failed: bool = False) -> None:
    """One worker: goes through all requests, and writes down each answer that it is given."""
    log = os.open(folder / f"{os.getpid()}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    budget = Budget(cap, folder / "budget")
    async with VeniceClient(api_key="k", base_url=url, limits=False, budget=budget) as client:
        with Journal(folder / "journal", retry_failed=retry_failed) as journal:
            batch = client.chat.completions.batch_iter(requests(amount, first), journal=journal, max_concurrency=_PLACES)
            async for item in batch:
                if item.response is not None and not item.replayed:
                    os.write(log, f"{item.custom_id}\t{item.response.text}\n".encode())
    os.close(log)
    (folder / f"{os.getpid()}.done").touch()


def zygote(folder: Path, url: str, amount: int, cap: float) -> None:
    """Forks a worker for each line of its input, which says where that begins, and tells its number."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if (child := os.fork()) == 0:
            asyncio.run(work(folder, url, amount, cap, int(line)))
            os._exit(0)
        print(child, flush=True)


class Workers:
    """The workers that run, and those that were killed."""

    def __init__(self, folder: Path, amount: int, process: asyncio.subprocess.Process, chance: random.Random) -> None:
        self._folder = folder
        self._amount = amount
        self._process = process
        self._random = chance
        self.numbers: list[int] = []
        self.killed: list[int] = []

    async def start(self) -> None:
        """Starts one more."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{self._random.randrange(self._amount)}\n".encode())
        self.numbers.append(int(await stdout.readline()))

    async def kill(self) -> int:
        """Kills one and starts another in its place; how many requests it had in flight."""
        number = self.numbers.pop(self._random.randrange(len(self.numbers)))
        if _runs(number):
            os.kill(number, signal.SIGKILL)
        await _until(lambda: not _runs(number))
        self.killed.append(number)
        with sqlite3.connect(self._folder / "journal", timeout=30) as database:
            query = "SELECT count(*) FROM rows WHERE state = 'in_flight' AND owner LIKE ?"
            (in_flight,) = database.execute(query, (f"{number}-%",)).fetchone()
        database.close()
        await self.start()
        return int(in_flight)

    async def finish(self) -> list[str]:
        """Waits for all; those that ended without being done."""
        await _until(lambda: not any(map(_runs, self.numbers)))
        return [f"worker {each} failed" for each in self.numbers if not (self._folder / f"{each}.done").exists()]


async def plug(
    *, kills: int, amount: int, processes: int, faults: float, seed: int = 1, errors: IO[Any] | None = None
) -> Outcome:
    """One run."""
    began, chance = time.monotonic(), random.Random(seed)  # noqa: S311  # it chooses whom to kill, and when
    outcome = Outcome(kills, amount, processes, faults)
    outcome.cap_usd = (amount + kills * _PLACES) * _MOST_USD
    with tempfile.TemporaryDirectory() as name:
        folder, emulator = Path(name), Counting(faults, seed)
        async with asyncio.timeout(_PATIENCE_SECONDS), serve(emulator) as server:
            arguments = [name, server.url, str(amount), str(outcome.cap_usd)]
            pipe = asyncio.subprocess.PIPE
            command = [sys.executable, "-m", "scripts.plug", "--zygote", *arguments]
            process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=errors)
            try:
                workers = Workers(folder, amount, process, chance)
                for _ in range(processes):
                    await workers.start()
                for answers in sorted(chance.randrange(amount) for _ in range(kills)):
                    await _until(partial(_has_answered, emulator, answers))
                    await asyncio.sleep(chance.random() * 0.05)
                    outcome.in_flight_at_kills += await workers.kill()
                outcome.corrupt = await workers.finish()
            finally:
                process.kill()
                await process.wait()
            with Journal(folder / "journal") as journal:
                outcome.retried = journal.counts().failed
            await work(folder, server.url, amount, outcome.cap_usd, 0, retry_failed=True)
        _judge(outcome, folder, emulator)
    outcome.seconds = time.monotonic() - began
    return outcome


def _judge(outcome: Outcome, folder: Path, emulator: Counting) -> None:
    """Compares what workers were given with the journal, and with what the server answered."""
    with Journal(folder / "journal") as journal:
        rows = {row.custom_id: row for row in journal.rows()}
    for log in folder.glob("*.log"):
        for line in log.read_text().splitlines():
            custom_id, _, text = line.partition("\t")
            response = rows[custom_id].response if custom_id in rows else None
            outcome.yielded += 1
            outcome.lost += not isinstance(response, ChatCompletionResponse) or response.text != text
    twice = [prompt for prompt, times in emulator.answered.items() if times > 1]
    outcome.answered_twice = sum(emulator.answered[prompt] - 1 for prompt in twice)
    outcome.untold = sum(not rows[prompt.replace("question ", "id-")].maybe_billed_before for prompt in twice)
    unanswered = outcome.requests - sum(row.state == "answered" for row in rows.values())
    if unanswered or len(rows) != outcome.requests:
        outcome.corrupt.append(f"{unanswered} requests were not answered")
    with sqlite3.connect(folder / "journal") as database:
        (found,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    outcome.corrupt += [] if found == "ok" else [found]
    spent = Budget(outcome.cap_usd, folder / "budget").spent()
    outcome.spent_usd = float(sum(each.usd for each in spent))
    outcome.billed_usd = _billed(rows, emulator)


def _billed(rows: dict[Any, Any], emulator: Counting) -> float:
    """What the answers of the server cost, those that nobody got included."""
    usd = 0.0
    for prompt, times in emulator.answered.items():
        usage = rows[prompt.replace("question ", "id-")].response.usage
        usd += times * (usage.prompt_tokens + usage.completion_tokens) / 1e6
    return usd


def _has_answered(emulator: Counting, answers: int) -> bool:
    return len(emulator.answered) >= answers


async def _until(there: Callable[[], bool]) -> None:
    while not there():  # noqa: ASYNC110  # other processes set no event
        await asyncio.sleep(0.002)


def _runs(number: int) -> bool:
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> int:
    """Runs it, prints the table, and fails if a promise was broken."""
    if sys.argv[1:2] == ["--zygote"]:
        zygote(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), float(sys.argv[5]))
        return 0
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--faults", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", type=Path, help="a page whose table is written anew")
    given = parser.parse_args()
    outcome = asyncio.run(
        plug(kills=given.kills, amount=given.requests, processes=given.processes, faults=given.faults, seed=given.seed)
    )
    print(outcome.table())
    if given.write:
        page = given.write.read_text()
        before, begin, rest = page.partition("<!-- plug -->\n")
        _, end, after = rest.partition("<!-- /plug -->")
        given.write.write_text(f"{before}{begin}{outcome.table()}\n{end}{after}")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
