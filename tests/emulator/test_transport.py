"""The emulator as a client's transport: time limits, virtual time, and calls that are left."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from venice_ai import ConnectError
from venice_ai._core.settings import Timeout
from venice_ai.emulator import Emulator, EmulatorTransport, VirtualClock, refused, text
from venice_ai.exceptions import APIConnectionError, APITimeoutError
from venice_ai.transport import SystemClock

from .asking import HELLO, hello, request_for

STREAM = hello(stream=True)


@pytest.fixture
def transport(emulator: Emulator) -> EmulatorTransport:
    return emulator.transport()


@pytest.mark.parametrize(
    ("fault", "limits", "clock", "seconds"),
    [
        pytest.param({"delay": 400}, {}, "first_chunk", 300, id="headers too late"),
        pytest.param({"first_token_delay": 400}, {}, "first_chunk", 300, id="the first byte too late"),
        pytest.param({"delay": 200, "first_token_delay": 200}, {}, "first_chunk", 300, id="both together too late"),
        pytest.param({"stall_after": 0}, {"first_chunk": 7}, "first_chunk", 7, id="no byte"),
        pytest.param({"stall_after": 2}, {}, "idle", 60, id="a stall"),
        pytest.param({"chunk_delay": 61}, {}, "idle", 60, id="too slow"),
        pytest.param({"open_after_done": True}, {}, "idle", 60, id="open after the end"),
        pytest.param({"comments_only": 50}, {"progress": 100}, "progress", 100, id="comments only"),
        pytest.param({"chunk_delay": 10}, {"progress": 25}, "progress", 25, id="no content that anyone told of"),
    ],
)
async def test_each_clock_of_a_stream_raises_its_error(
    emulator: Emulator, transport: EmulatorTransport, fault: Any, limits: dict[str, float], clock: str, seconds: float
) -> None:
    emulator.script(text("one two three", **fault))
    async with asyncio.timeout(20):  # the shortest of these limits, if it took real time, would take longer
        with pytest.raises(APITimeoutError) as caught:
            await (await transport.send(request_for(STREAM, timeout=Timeout(**limits)))).read()
    assert caught.value.clock == clock
    assert emulator.clock.now() == seconds
    assert emulator.slept == []


async def test_the_deadline_ends_a_stream_that_makes_progress(emulator: Emulator, transport: EmulatorTransport) -> None:
    emulator.script(text("one two three", chunk_delay=10))
    request = request_for(STREAM)
    request.deadline_seconds = 25
    with pytest.raises(APITimeoutError) as caught:
        await (await transport.send(request)).read()
    assert caught.value.clock == "deadline"
    assert emulator.clock.now() == 25


@pytest.mark.parametrize(
    ("fault", "limits", "deadline", "clock", "seconds"),
    [
        pytest.param({"delay": 301}, {}, None, "idle", 300, id="the usual limit"),
        pytest.param({"first_token_delay": 6}, {"idle": 5}, None, "idle", 5, id="a limit of one's own"),
        pytest.param({"stall_after": 0}, {}, 9, "deadline", 9, id="the deadline"),
    ],
)
async def test_each_clock_of_a_plain_call_raises_its_error(
    emulator: Emulator,
    transport: EmulatorTransport,
    fault: Any,
    limits: dict[str, float],
    deadline: float | None,
    clock: str,
    seconds: float,
) -> None:
    emulator.script(text("abc", **fault))
    request = request_for(HELLO, timeout=Timeout(**limits))
    request.deadline_seconds = deadline
    with pytest.raises(APITimeoutError) as caught:
        await (await transport.send(request)).read()
    assert caught.value.clock == clock
    assert emulator.clock.now() == seconds


async def test_a_stream_that_progresses_is_not_killed(emulator: Emulator, transport: EmulatorTransport) -> None:
    emulator.script(text("one two three four", chunk_delay=50))
    reply = await transport.send(request_for(STREAM, timeout=Timeout(progress=60)))
    async for _ in reply.pieces():
        reply.progressed()
    assert emulator.clock.now() > 200


async def test_slow_answers_pass_in_virtual_time_and_are_not_in_slept(emulator: Emulator, transport: EmulatorTransport) -> None:
    emulator.script(text("abc", delay=100, first_token_delay=100))
    await (await transport.send(request_for(HELLO))).read()
    assert emulator.clock.now() == 200
    assert emulator.slept == []


async def test_waits_of_the_client_are_recorded_in_slept(emulator: Emulator) -> None:
    began = emulator.clock.time()
    await emulator.clock.sleep(2)
    await emulator.clock.sleep(0.5)
    assert emulator.slept == [2, 0.5]
    assert emulator.clock.time() - began == 2.5


async def test_waits_that_begin_together_end_together() -> None:
    clock = VirtualClock()
    await asyncio.gather(*(clock.sleep(3) for _ in range(10)))
    assert clock.now() == 3


async def test_on_a_real_clock_waits_are_real() -> None:
    emulator = Emulator(clock=SystemClock())
    emulator.script(text("abc", first_token_delay=0.05), text("abc", stall_after=1))
    began = time.monotonic()
    await (await emulator.transport().send(request_for(STREAM))).read()
    assert time.monotonic() - began >= 0.05
    with pytest.raises(APITimeoutError) as caught:
        await (await emulator.transport().send(request_for(STREAM, timeout=Timeout(idle=0.05)))).read()
    assert caught.value.clock == "idle"


async def test_a_refused_connection_was_never_made(emulator: Emulator, transport: EmulatorTransport) -> None:
    emulator.script(refused())
    with pytest.raises(ConnectError):
        await transport.send(request_for(HELLO))


async def test_closing_ends_a_read_that_waits(emulator: Emulator, transport: EmulatorTransport) -> None:
    emulator.script(text("abc", stall_after=1))
    reply = await transport.send(request_for(STREAM, timeout=Timeout(first_chunk=None, idle=None, progress=None)))
    reading = asyncio.create_task(reply.read())
    await asyncio.sleep(0.01)
    assert not reading.done()
    reply.close()
    reply.close()
    with pytest.raises(APIConnectionError, match="closed"):
        await reading


async def test_cancelling_a_read_that_waits(emulator: Emulator, transport: EmulatorTransport) -> None:
    emulator.script(text("abc", stall_after=1))
    reply = await transport.send(request_for(STREAM, timeout=Timeout(first_chunk=None, idle=None, progress=None)))
    reading = asyncio.create_task(reply.read())
    await asyncio.sleep(0.01)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def test_what_was_sent_before_a_close_is_not_delivered_after_it(transport: EmulatorTransport) -> None:
    reply = await transport.send(request_for(STREAM))
    pieces = reply.pieces()
    await anext(pieces)
    reply.close()
    with pytest.raises(APIConnectionError):
        await anext(pieces)


async def test_the_address_is_parsed_like_one_on_the_network(emulator: Emulator, transport: EmulatorTransport) -> None:
    reply = await transport.send(request_for(method="GET", path="/api/v1/models?type=image&x=%20"))
    assert b"murano-image" in await reply.read()
    assert emulator.requests[0].query == {"type": "image", "x": " "}


class Counting:
    """A backend that counts for ever, and knows whether somebody still listens."""

    model_id = "counting"
    context_tokens = 100

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        try:
            yield {"choices": [{"index": 0, "delta": {"content": "1"}, "finish_reason": None}]}
            await asyncio.Event().wait()
        finally:
            self.left.set()

    async def aclose(self) -> None:
        pass


async def test_leaving_stops_the_backend() -> None:
    backend = Counting()
    transport = Emulator(backend=backend).transport()
    reply = await transport.send(request_for(STREAM | {"model": "counting"}))
    async for _ in reply.pieces():
        break
    reply.close()
    await transport.aclose()
    assert backend.left.is_set()


async def test_a_time_limit_stops_the_backend() -> None:
    backend = Counting()
    transport = Emulator(backend=backend).transport()
    with pytest.raises(APITimeoutError) as caught:
        await transport.send(request_for({**HELLO, "model": "counting"}, timeout=Timeout(idle=0.05)))
    assert caught.value.clock == "idle"
    assert backend.left.is_set()


async def test_an_idle_backend_is_left_when_the_limit_is_met() -> None:
    backend = Counting()
    transport = Emulator(backend=backend).transport()
    reply = await transport.send(request_for({**STREAM, "model": "counting"}, timeout=Timeout(idle=0.05)))
    with pytest.raises(APITimeoutError) as caught:
        await reply.read()
    assert caught.value.clock == "idle"
    assert backend.left.is_set()
