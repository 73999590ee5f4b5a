"""Every fault with every way of every client: what each caller got."""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from itertools import count
from typing import Any

from benchmarks.environments import REPOSITORY, python
from benchmarks.faults.fault import Fault
from benchmarks.faults.heard import KEY, Call, Heard
from benchmarks.faults.serving import place_of
from benchmarks.faults.verdict import verdict

# Waiting dominates; but a machine that does too much at once is late for everything.
_AT_ONCE = 6
_START_SECONDS = 300.0
_GRACE_SECONDS = 1.5
_ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VENICE", "OPENAI", "LITELLM"))
}


@dataclass(frozen=True, slots=True)
class Client:
    title: str
    module: str
    environment: str

    @property
    def packages(self) -> Sequence[str]:
        return tuple(import_module(f"benchmarks.faults.clients.{self.module}").PACKAGES)

    @property
    def ways(self) -> Mapping[str, Mapping[str, Any]]:
        ways: dict[str, dict[str, Any]] = import_module(f"benchmarks.faults.clients.{self.module}").WAYS
        return ways


OURS = Client("venice-chat", "ours", "venice-chat")
CLIENTS = (
    OURS,
    Client("openai", "openai_sdk", "openai"),
    Client("litellm", "litellm_sdk", "litellm"),
    Client("pydantic-ai", "pydantic_ai_sdk", "pydantic-ai"),
    Client("venice-py", "venice_py", "venice-py"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """One way of one client with one fault."""

    fault: Fault
    client: Client
    kind: str
    way: str
    heard: Heard

    @property
    def verdict(self) -> str:
        return verdict(self.fault, self.heard, self.client.packages)


def ways_of(client: Client, fault: Fault) -> list[tuple[str, str]]:
    """The kinds and ways to call that this fault is for."""
    return [(kind, way) for kind in fault.kinds for way in client.ways[kind] if fault.parse or "parse" not in way]


class Worker:
    """The process of a client."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Heard]] = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, client: Client) -> Worker:
        command = [python(client.environment), "-m", "benchmarks.faults.worker", client.module]
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, cwd=REPOSITORY, env=_ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.DEVNULL, limit=2**26
        )
        return cls(process)

    async def make(self, kind: str, way: str, call: Call, seconds: float) -> Heard:
        """What the caller heard; what is not over in time is not over."""
        number = len(self._waiting)
        future = self._waiting[number] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(
            json.dumps({"number": number, "kind": kind, "way": way, "call": asdict(call)}).encode() + b"\n"
        )
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return Heard(seconds=seconds)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            future = self._waiting[answer["number"]]
            if not future.done():
                future.set_result(Heard(**answer["heard"]))

    async def end(self) -> None:
        self._reading.cancel()
        self._process.kill()
        await self._process.wait()


async def run(faults: Sequence[Fault], clients: Sequence[Client]) -> list[Cell]:
    """All cells: two clients at a time; then what must be alone, each client in a new process."""
    turns = asyncio.Semaphore(2)
    together = [fault for fault in faults if not fault.alone]

    async def one(client: Client) -> list[Cell]:
        async with turns:
            cells = await _cells(together, client, _AT_ONCE) if together else []
            print(f"{client.title}: {len(cells)} calls", file=sys.stderr, flush=True)
            return cells

    found = await asyncio.gather(*(one(client) for client in clients))
    found += [await _cells([fault], client, 1) for fault in faults if fault.alone for client in clients]
    return sorted((cell for cells in found for cell in cells), key=lambda cell: faults.index(cell.fault))


async def _cells(faults: Sequence[Fault], client: Client, at_once: int) -> list[Cell]:
    worker = await Worker.start(client)
    turns = asyncio.Semaphore(at_once)
    numbers = count()

    async def one(fault: Fault, kind: str, way: str) -> Cell:
        async with turns, place_of(fault) as server:
            call = Call(
                url=server.url, retries=fault.retries, calls=fault.calls, pause=fault.pause, key=f"{KEY}-{next(numbers)}"
            )
            heard = await worker.make(kind, way, call, fault.right.seconds + _GRACE_SECONDS)
            return Cell(fault, client, kind, way, with_requests(heard, len(server.received)))

    try:
        # Its modules are loaded by a call that does not count.
        warm = next(fault for fault in faults if fault.place != "no such name")
        async with place_of(warm) as server:
            kind, way = ways_of(client, warm)[0]
            if not (await worker.make(kind, way, Call(url=server.url, retries=0), _START_SECONDS)).over:
                raise TimeoutError(f"{client.title} did not make its first call in {_START_SECONDS:.0f} s")
        jobs = [(fault, kind, way) for fault in faults for kind, way in ways_of(client, fault)]
        return await asyncio.gather(*(one(*job) for job in jobs))
    finally:
        await worker.end()


def with_requests(heard: Heard, requests: int) -> Heard:
    """With what the server saw; addresses that differ from run to run are taken out."""
    heard.requests = requests
    heard.message = re.sub(r"(127\.0\.0\.1|localhost)(['\", )]+)?:? ?\d{4,5}", r"\1:PORT", heard.message)
    return heard
