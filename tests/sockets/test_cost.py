"""What one call costs, counted in functions of the package that run: a figure without the noise of processor time, which
follows it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import FrameType

import venice_ai
from benchmarks import path
from benchmarks.processes import start_server
from venice_ai import VeniceClient

PACKAGE = str(Path(venice_ai.__file__).parent)
CALLS = 100
MOST_FUNCTIONS = 68  # it was 87 while each call asked for its turn, and each part of a call that is off was asked for, too


async def test_a_call_far_from_every_limit_runs_few_functions_of_the_package() -> None:
    ran = 0

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal ran
        ran += event == "call" and frame.f_code.co_filename.startswith(PACKAGE)

    with start_server(sys.executable) as server:
        async with VeniceClient(api_key="k", base_url=f"http://127.0.0.1:{int(server.hear())}/api/v1") as client:

            async def some(count: int) -> None:
                for _ in range(count):
                    await client.chat.completions.create(model="plain", messages=[{"role": "user", "content": "hi"}])

            await asyncio.gather(*(some(5) for _ in range(10)))  # after which the server's limits are known, and far
            sys.setprofile(note)
            try:
                await asyncio.gather(*(some(CALLS // 10) for _ in range(10)))
            finally:
                sys.setprofile(None)

    assert ran / CALLS <= MOST_FUNCTIONS


async def test_a_newcomer_who_follows_one_more_streamed_chat_meets_few_lines() -> None:
    with start_server(sys.executable) as server:
        found = await path.executed(path.streamed, f"http://127.0.0.1:{int(server.hear())}")

    files = {Path(code.co_filename) for code in found["one more of the same"]}
    assert PACKAGE in map(str, {parent for file in files for parent in file.parents})
    assert sum(len(file.read_text("utf-8").splitlines()) for file in files) <= 4500
