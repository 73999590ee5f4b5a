"""Any order of calls, faults, cancellations, closes and limits, in virtual time: every call ends, and nothing is left over.

Hypothesis chooses what is done next. A call ends in a result, in an error of this package, or cancelled if it was cancelled.
When all have ended, no connection, task, thread or file is left, and the limiter holds no place for anybody.
"""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from pydantic import BaseModel

from benchmarks.limits.virtual_time import LoopClock, VirtualLoop
from venice_ai import ModelLimits, Timeout, VeniceClient
from venice_ai.emulator import (
    Account,
    Emulator,
    EmulatorTransport,
    Step,
    busy,
    echo,
    error,
    overloaded,
    raw,
    refused,
    text,
    tool_call,
    usual,
)
from venice_ai.exceptions import VeniceError

from ..fakes import KEY

HOURS: Final = 4 * 3600.0
FILES = Path("/proc/self/fd")


class Pet(BaseModel):
    name: str


def double(number: int) -> int:
    """Doubles a number.

    Args:
        number: any one.
    """
    return 2 * number


class WatchedTransport(EmulatorTransport):
    """The emulator's transport, which remembers the connections of its replies."""

    def __init__(self, emulator: Emulator) -> None:
        super().__init__(emulator)
        self.lines: list[Any] = []

    async def send(self, request: Any) -> Any:
        self.lines.append(reply := await super().send(request))
        return reply

    @property
    def open(self) -> int:
        return sum(not line._broken.done() for line in self.lines)


Ask = Callable[[VeniceClient, dict[str, Any]], Any]


async def created(client: VeniceClient, params: dict[str, Any]) -> Any:
    await client.chat.completions.create(**params)


async def collected(client: VeniceClient, params: dict[str, Any]) -> Any:
    async with await client.chat.completions.stream(**params) as stream:
        return await stream.collect()


async def left(client: VeniceClient, params: dict[str, Any]) -> Any:
    async with await client.chat.completions.stream(**params) as stream:
        async for _ in stream:
            break


async def unread(client: VeniceClient, params: dict[str, Any]) -> Any:
    async with await client.chat.completions.stream(**params):
        await asyncio.sleep(2)


async def parsed_stream(client: VeniceClient, params: dict[str, Any]) -> Any:
    async with await client.chat.completions.stream_parse(**params, response_format=Pet) as stream:
        async for _ in stream:
            pass


async def tool_events(client: VeniceClient, params: dict[str, Any]) -> Any:
    async with await client.chat.completions.stream_with_tools(**params, tools=[double]) as events:
        async for _ in events:
            pass


async def batch(client: VeniceClient, params: dict[str, Any]) -> Any:
    timeout = params.pop("timeout")
    return await client.chat.completions.batch([{**params, "timeout": timeout}] * 3, max_concurrency=2)


ASKS: Final[list[Ask]] = [
    created,
    collected,
    left,
    unread,
    parsed_stream,
    tool_events,
    batch,
    lambda client, params: client.chat.completions.parse(**params, response_format=Pet),
    lambda client, params: client.chat.completions.run_with_tools(**params, tools=[double]),
    lambda client, _: client.models.list(),
    lambda client, _: client.limits.refresh(),
]
STEPS: Final[list[Step]] = [
    usual(),
    echo(chunk_delay=1),
    text("one two three", delay=20),
    text('{"name": "Rex"}', piece_bytes=3),
    text("half an answer", reset_at=200),
    text("cut", cut_at=150),
    text("silent", stall_after=2),
    text("silent from the start", stall_after=0),
    text("slow", comments_only=50, chunk_delay=10),
    text("no end", no_done=True),
    text("open", open_after_done=True),
    text("wrong", malformed_after=1),
    text("told", in_band_error={"message": "out of memory"}),
    text("page", html_instead=True),
    text("whole", json_instead=True),
    tool_call("double", {"number": 4}),
    tool_call("double", "{not json"),
    tool_call("nobody", {}),
    busy(),
    busy(retry_after=7),
    busy(retry_after=4000),
    overloaded(),
    error(400, "wrong"),
    error(401),
    error(402),
    error(500),
    error(504),
    raw(200, b""),
    raw(200, b"\xff\xfe"),
    raw(301, headers={"location": "https://elsewhere.invalid"}),
    refused(),
]
TIMEOUTS: Final[list[Any]] = [None, 3, Timeout(queue=2), Timeout(deadline=15, idle=5), Timeout(first_chunk=1, progress=4)]


class AnyOrder(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.threads = set(threading.enumerate())
        self.files = open_files()
        self.runner = asyncio.Runner(loop_factory=VirtualLoop)
        self.run = self.runner.run
        self.complaints: list[dict[str, Any]] = []
        self.runner.get_loop().set_exception_handler(lambda _, what: self.complaints.append(what))
        self.emulator = Emulator(clock=LoopClock(), account=Account())
        self.transport = WatchedTransport(self.emulator)
        self.client = VeniceClient(api_key=KEY, transport=self.transport, clock=self.emulator.clock)
        self.calls: list[asyncio.Task[Any]] = []
        self.cancelled: set[asyncio.Task[Any]] = set()
        self.is_closed = False

    @rule(steps=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4))
    def script(self, steps: list[Step]) -> None:
        self.emulator.script(*steps)

    @rule(
        ask=st.sampled_from(ASKS),
        timeout=st.sampled_from(TIMEOUTS),
        model=st.sampled_from(["m", "default"]),
        count=st.sampled_from([1, 1, 1, 2, 8]),
    )
    def call(self, ask: Ask, timeout: Any, model: str, count: int) -> None:
        async def begin() -> None:
            for _ in range(count):
                params = {"model": model, "messages": [{"role": "user", "content": "hi"}], "timeout": timeout}
                self.calls.append(asyncio.ensure_future(self.asked(ask, params)))
            await asyncio.sleep(0)

        self.run(begin())

    async def asked(self, ask: Ask, params: dict[str, Any]) -> None:
        with suppress(VeniceError):
            await ask(self.client, params)

    @rule(seconds=st.sampled_from([0.0, 0.01, 0.5, 4.0, 61.0]))
    def time_passes(self, seconds: float) -> None:
        self.run(asyncio.sleep(seconds))

    @precondition(lambda self: any(not call.done() for call in self.calls))
    @rule(place=st.integers(0, 99))
    def cancel(self, place: int) -> None:
        pending = [call for call in self.calls if not call.done()]
        call = pending[place % len(pending)]
        self.cancelled.add(call)
        call.cancel()
        began = self.runner.get_loop().time()
        self.run(asyncio.wait([call]))
        assert self.runner.get_loop().time() == began, "a cancelled call waited"

    @rule()
    def close(self) -> None:
        self.run(self.client.close())
        self.is_closed = True

    @precondition(lambda self: self.is_closed)
    @rule()
    def open_again(self) -> None:
        self.run(self.client.__aenter__())
        self.is_closed = False

    @rule(rpm=st.sampled_from([None, 3, 60]), headers=st.sampled_from(["honest", "lying", "missing"]))
    def limit(self, rpm: int | None, headers: Any) -> None:
        assert self.emulator.account is not None
        self.emulator.account.rpm = rpm
        self.emulator.account.headers = headers

    @invariant()
    def every_call_that_ended_gave_a_result_or_a_typed_error(self) -> None:
        for call in self.calls:
            if call.done() and call.cancelled():
                assert call in self.cancelled
            elif call.done():
                call.result()
        self.calls = [call for call in self.calls if not call.done()]

    def teardown(self) -> None:
        try:
            if self.calls:
                self.run(asyncio.wait(self.calls, timeout=HOURS))
            assert not [call for call in self.calls if not call.done()], "a call never ended"
            self.every_call_that_ended_gave_a_result_or_a_typed_error()
            models = self.run(self.limits())
            assert not [each for each in models if each.limits.in_flight or each.waiting], (
                "the limiter holds a place for nobody"
            )
            self.run(self.client.close())
            assert self.transport.open == 0, "a connection is left open"
            assert not asyncio.all_tasks(self.runner.get_loop()), "a task is left"
            gc.collect()
            assert not self.complaints
        finally:
            self.runner.close()
        assert set(threading.enumerate()) <= self.threads
        assert open_files() <= self.files

    async def limits(self) -> tuple[ModelLimits, ...]:
        async with self.client:
            return self.client.limits.snapshot().models


def open_files() -> set[str]:
    """The files and sockets that this process has open, by number and target."""
    found: set[str] = set()
    for each in FILES.iterdir() if FILES.exists() else ():
        with suppress(OSError):  # that of the listing itself
            found.add(f"{each.name} {each.readlink()}")
    return found


AnyOrder.TestCase.settings = settings(max_examples=10, stateful_step_count=20, deadline=None, derandomize=True, database=None)
TestAnyOrder = AnyOrder.TestCase
