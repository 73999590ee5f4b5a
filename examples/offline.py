"""A program and its tests without a network: the emulator in this process, told what to answer and what to break.

The clock is the emulator's, so that waits take no time. In a test suite, `client()` would be a fixture.
"""

import asyncio

from venice_ai import RateLimitError, StreamInterruptedError, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, busy, echo, text, usual


async def shout(client: VeniceClient, words: str) -> str:
    """The program under test."""
    async with await client.chat.completions.stream(model="default", messages=[UserMessage(content=words)]) as stream:
        return "".join([piece async for piece in stream.text_deltas()]).upper()


def client(emulator: Emulator) -> VeniceClient:
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)


async def test_it_shouts() -> None:
    emulator = Emulator()
    emulator.script(text("ciao"))
    assert await shout(client(emulator), "hello") == "CIAO"
    # Every request is kept, as it arrived.
    assert emulator.requests[-1].body["messages"][0]["content"] == "hello"


async def test_a_busy_model_is_tried_again() -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=2), echo())
    assert await shout(client(emulator), "hello") == "HELLO"
    assert emulator.slept == [2.0]  # as long as the server asked


async def test_a_model_that_stays_busy_is_an_error() -> None:
    emulator = Emulator()
    emulator.always(busy(retry_after=2))
    wait = None
    try:
        await shout(client(emulator), "hello")
    except RateLimitError as error:
        wait = error.retry_after_seconds
    assert wait == 2


async def test_a_broken_stream_is_an_error_that_keeps_what_came() -> None:
    emulator = Emulator()
    emulator.script(usual(cut_at=2000))
    partial = None
    try:
        await shout(client(emulator), "hello")
    except StreamInterruptedError as error:
        partial = error.partial
    assert partial is not None
    assert partial.text
    assert partial.finish_reason is None


async def main() -> None:
    for test in (
        test_it_shouts,
        test_a_busy_model_is_tried_again,
        test_a_model_that_stays_busy_is_an_error,
        test_a_broken_stream_is_an_error_that_keeps_what_came,
    ):
        await test()
        print("passed:", test.__name__.removeprefix("test_").replace("_", " "))


if __name__ == "__main__":
    asyncio.run(main())
