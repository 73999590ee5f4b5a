"""The time limits of streams over minutes of virtual time: which streams go on, which limit ends which; and cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from benchmarks.limits.virtual_time import LoopClock, run
from venice_ai import APITimeoutError, StreamTimeoutError, Timeout, VeniceClient
from venice_ai.emulator import Emulator, Step, busy, text

from ..fakes import HI, KEY

WORDS = [f"word{number} " for number in range(300)]
FIVE_MINUTES = "".join(WORDS)


def emulator_of(*steps: Step) -> Emulator:
    emulator = Emulator(clock=LoopClock())
    emulator.script(*steps)
    return emulator


def client_of(emulator: Emulator, *, max_retries: int = 2) -> VeniceClient:
    return VeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock, max_retries=max_retries)


def answer(step: Step, timeout: Any) -> tuple[Any, float]:
    """What a stream gave, or its error, and the seconds it took."""

    async def scenario() -> tuple[Any, float]:
        emulator = emulator_of(step)
        client = client_of(emulator, max_retries=0)
        try:
            async with await client.chat.completions.stream(model="m", messages=HI, timeout=timeout) as stream:
                return await stream.collect(), emulator.clock.now()
        except APITimeoutError as error:
            return error, emulator.clock.now()

    return run(scenario())


@pytest.mark.parametrize("timeout", [3, Timeout(first_chunk=3, idle=3, progress=3, connect=3)], ids=["a number", "all clocks"])
def test_a_token_every_second_for_five_minutes_lives_with_limits_of_three_seconds(timeout: Any) -> None:
    whole, seconds = answer(text(FIVE_MINUTES, deltas=WORDS, chunk_delay=1), timeout)

    assert whole.text == FIVE_MINUTES
    assert 300 <= seconds < 310


def test_comments_every_second_do_not_keep_a_stream_alive() -> None:
    error, seconds = answer(text("hello", comments_only=600, chunk_delay=1), 30)

    assert isinstance(error, StreamTimeoutError)
    assert error.clock == "progress"
    assert 30 <= seconds < 32
    assert error.partial is None or not error.partial.text


@pytest.mark.parametrize(
    ("how", "timeout", "clock", "seconds", "came"),
    [
        pytest.param({"delay": 100}, 3, "first_chunk", 3, None, id="no headers"),
        pytest.param({"first_token_delay": 100}, 3, "first_chunk", 3, None, id="no first byte"),
        pytest.param({"stall_after": 5, "chunk_delay": 1}, 3, "idle", 7, "word0 word1 word2 word3 ", id="a stall"),
        pytest.param({"chunk_delay": 1}, Timeout(deadline=60.5), "deadline", 60.5, "".join(WORDS[:60]), id="too long in all"),
    ],
)
def test_each_error_names_its_clock_and_holds_what_came(
    how: Any, timeout: Any, clock: str, seconds: float, came: str | None
) -> None:
    error, took = answer(text(FIVE_MINUTES, deltas=WORDS, **how), timeout)

    assert isinstance(error, APITimeoutError)
    assert error.clock == clock
    assert seconds <= took <= seconds + 1
    partial: Any = getattr(error, "partial", None)
    if came is None:
        assert partial is None or not partial.text
    else:
        assert partial.text.startswith(came.rstrip())
        assert FIVE_MINUTES.startswith(partial.text)


@pytest.mark.parametrize("queued", [False, True], ids=["the wait before another attempt", "the wait for the limits"])
@pytest.mark.parametrize("method", ["create", "stream"])
def test_cancelling_ends_a_wait_at_once(queued: bool, method: str) -> None:
    async def scenario() -> None:
        emulator = emulator_of(busy(retry_after=60))
        client = client_of(emulator)
        ask: Callable[..., Any] = getattr(client.chat.completions, method)
        calls: list[asyncio.Future[Any]] = []
        for _ in range(1 + queued):  # the second one waits because the first was told to
            calls.append(asyncio.ensure_future(ask(model="m", messages=HI)))
            await asyncio.sleep(2.5)
        assert not any(call.done() for call in calls)
        before = emulator.clock.now()
        calls[-1].cancel()
        await asyncio.wait(calls[-1:])
        assert calls[-1].cancelled()
        assert emulator.clock.now() == before
        for call in calls[:-1]:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left

    run(scenario())


# -- a number for a plain call -------------------------------------------------------------------------------------------


async def test_a_plain_call_may_take_as_long_as_its_number_says() -> None:
    emulator = Emulator()
    emulator.script(text("a long answer", delay=400), text("too long an answer", delay=700))
    async with VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock, timeout=600) as client:
        response = await client.chat.completions.create(model="venice-1", messages="Hi")
        with pytest.raises(APITimeoutError) as caught:
            await client.chat.completions.create(model="venice-1", messages="Hi")

    assert response.text == "a long answer"
    assert caught.value.clock == "deadline"


async def test_an_idle_limit_of_ones_own_ends_a_plain_call_before_its_deadline() -> None:
    emulator = Emulator()
    emulator.script(text("a long answer", delay=400))
    timeout = Timeout(idle=300, deadline=600)
    async with VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock, timeout=timeout) as client:
        with pytest.raises(APITimeoutError) as caught:
            await client.chat.completions.create(model="venice-1", messages="Hi")
    assert caught.value.clock == "idle"
