"""Batches whose process is interrupted: Ctrl-C, once and twice, and SIGKILL again and again."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.plug import plug
from venice_ai import Journal, VeniceClient, VeniceError
from venice_ai.emulator import Emulator, echo, serve

from ..disks import fill, small_disk

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
PATIENCE_SECONDS = 120.0
PLACES = 6
ASYNCHRONOUS = """
import asyncio, sys
from venice_ai import Journal, VeniceClient

async def main():
    async with VeniceClient(api_key="k", base_url=sys.argv[1], limits=False) as client:
        requests = ({"model": "default", "messages": [{"role": "user", "content": f"question {n}"}]} for n in range(1000))
        with Journal(sys.argv[2]) as journal:
            async for item in client.chat.completions.batch_iter(requests, journal=journal, max_concurrency=6):
                print(item.index, flush=True)
                BODY

asyncio.run(main())
"""
SYNCHRONOUS = """
import sys
from venice_ai import Journal, SyncVeniceClient

with SyncVeniceClient(api_key="k", base_url=sys.argv[1], limits=False) as client:
    requests = ({"model": "default", "messages": [{"role": "user", "content": f"question {n}"}]} for n in range(1000))
    with Journal(sys.argv[2]) as journal:
        for item in client.chat.completions.batch_iter(requests, journal=journal, max_concurrency=6):
            print(item.index, flush=True)
"""
BLOCKING = "await asyncio.sleep(0.3); import time; time.sleep(60)"
PROGRAMS = [
    pytest.param(ASYNCHRONOUS.replace("BODY", "pass"), id="while it waits for an item"),
    pytest.param(ASYNCHRONOUS.replace("BODY", "await asyncio.sleep(60)"), id="while the caller does something else"),
    pytest.param(SYNCHRONOUS, id="synchronous"),
]


class Held(Emulator):
    """Answers some requests, and from then on holds every answer back until it is let go."""

    def __init__(self, free: int) -> None:
        super().__init__()
        self.always(echo())
        self.free = free
        self.let_go = asyncio.Event()
        self.prompts: Counter[str] = Counter()

    async def respond(self, incoming: Any, *, now: float) -> Any:
        if incoming.method == "POST":
            self.prompts[json.loads(incoming.body)["messages"][-1]["content"]] += 1
            if sum(self.prompts.values()) > self.free:
                await self.let_go.wait()
        return await super().respond(incoming, now=now)


@asynccontextmanager
async def interrupted(program: str, emulator: Held, path: Path) -> AsyncGenerator[asyncio.subprocess.Process]:
    """A program that was interrupted by Ctrl-C when all its places waited for an answer."""
    pipe = asyncio.subprocess.PIPE
    async with asyncio.timeout(PATIENCE_SECONDS), serve(emulator) as server:
        arguments = sys.executable, "-c", program, server.url, str(path)
        process = await asyncio.create_subprocess_exec(*arguments, stdout=pipe, stderr=pipe)
        try:
            while sum(emulator.prompts.values()) < emulator.free + PLACES:
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0.3)
            assert process.returncode is None, "it waits for what is in flight"
            yield process
        finally:
            emulator.let_go.set()
            if process.returncode is None:
                process.kill()
            await process.communicate()


@pytest.mark.parametrize("program", PROGRAMS)
async def test_ctrl_c_keeps_answers_in_flight_and_sends_nothing_more(program: str, tmp_path: Path) -> None:
    emulator = Held(free=1 if "sleep" in program else 20)
    async with interrupted(program, emulator, tmp_path / "j") as process:
        sent = sum(emulator.prompts.values())
        emulator.let_go.set()
        _, errors = await process.communicate()
    assert b"KeyboardInterrupt" in errors
    assert sum(emulator.prompts.values()) == sent
    with Journal(tmp_path / "j") as journal:
        counts = journal.counts()
    assert (counts.answered, counts.in_flight, counts.open) == (sent, 0, 0)


@pytest.mark.parametrize(
    "program", [*PROGRAMS, pytest.param(ASYNCHRONOUS.replace("BODY", BLOCKING), id="while the caller blocks the event loop")]
)
async def test_a_second_ctrl_c_drops_the_requests_in_flight(program: str, tmp_path: Path) -> None:
    emulator = Held(free=1 if "sleep" in program else 20)
    program = program.replace("max_concurrency=6", "max_concurrency=6, drain_seconds=600")
    async with interrupted(program, emulator, tmp_path / "j") as process:
        process.send_signal(signal.SIGINT)
        await process.communicate()
    with Journal(tmp_path / "j") as journal:
        counts = journal.counts()
        assert counts.answered >= emulator.free - PLACES
        assert counts.in_flight == 0
        assert counts.open == PLACES


async def test_a_full_disk_under_the_journal_loses_no_answer_of_a_request_in_flight(tmp_path: Path) -> None:
    emulator, places = Held(free=20), 64
    requests: list[dict[str, Any]]
    requests = [{"model": "default", "messages": f"question {n} {'long ' * 300}", "custom_id": f"{n}"} for n in range(200)]
    with small_disk(tmp_path / "disk", "16m") as disk, Journal(disk / "j") as journal:
        async with VeniceClient(api_key="k", transport=emulator.transport(), limits=False) as client:
            items = client.chat.completions.batch_iter(requests, journal=journal, max_concurrency=places)
            seen = [await anext(items) for _ in range(20)]
            while sum(emulator.prompts.values()) < emulator.free + places:
                await asyncio.sleep(0.01)
            fill(disk / "other")
            emulator.let_go.set()
            with pytest.raises(VeniceError, match=r"full.* Make room on it, and go on"):
                async for item in items:
                    seen += [item]
        assert {item.kept for item in seen} == {True}
        assert len(seen) == sum(emulator.prompts.values()) == emulator.free + places, "nothing was sent after that"
        assert journal.counts().answered == len(seen)
        with pytest.raises(VeniceError, match=r"disk is full\. Make room on it"):
            journal._begin(journal.settings, private=False)
        (disk / "other").unlink()
        async with VeniceClient(api_key="k", transport=emulator.transport(), limits=False) as client:
            found = [item async for item in client.chat.completions.batch_iter(requests, journal=journal)]
        assert len(found) == 200
    assert set(emulator.prompts.values()) == {1}


@pytest.mark.parametrize(("kills", "amount"), [(10, 400), pytest.param(50, 2_000, marks=pytest.mark.more)])
async def test_sigkill_loses_no_answer_and_only_requests_in_flight_are_sent_twice(kills: int, amount: int) -> None:
    outcome = await plug(kills=kills, amount=amount, processes=1, faults=0.0)
    assert outcome.lost == 0
    assert outcome.corrupt == []
    assert outcome.untold == 0
    assert outcome.answered_twice <= outcome.in_flight_at_kills
    assert outcome.good, outcome.table()
