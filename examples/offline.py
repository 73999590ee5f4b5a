"""A small program, and tests of it that need no network.

The emulator runs in this process. Each test scripts what it answers and what it breaks.
The clock is the emulator's, so that the pauses between retries take no time. In a test
suite, `client_of` would be a fixture.
"""

import asyncio

from venice_ai import RateLimitError, StreamInterruptedError, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, busy, echo, text, usual


async def shout(client: VeniceClient, words: str) -> str:
    """The program that is tested: it returns the answer in capitals."""
    stream = await client.chat.completions.stream(
        model="default", messages=[UserMessage(content=words)]
    )
    async with stream:
        pieces = [piece async for piece in stream.text_deltas()]
    return "".join(pieces).upper()


def client_of(emulator: Emulator) -> VeniceClient:
    return VeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock
    )


async def test_the_answer_is_in_capitals() -> None:
    emulator = Emulator()
    emulator.script(text("ciao"))
    assert await shout(client_of(emulator), "hello") == "CIAO"
    # Every request that arrived is kept.
    assert emulator.requests[-1].body["messages"][0]["content"] == "hello"


async def test_a_busy_server_is_asked_again() -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=2), echo())
    assert await shout(client_of(emulator), "hello") == "HELLO"
    assert emulator.slept == [2.0]  # as long as the server asked for


async def test_a_server_that_stays_busy_is_an_error() -> None:
    emulator = Emulator()
    emulator.always(busy(retry_after=2))
    wait = None
    try:
        await shout(client_of(emulator), "hello")
    except RateLimitError as error:
        wait = error.retry_after_seconds
    assert wait == 2


async def test_a_stream_that_breaks_off_is_an_error_with_the_text_so_far() -> None:
    emulator = Emulator()
    emulator.script(usual(cut_at=2000))
    partial = None
    try:
        await shout(client_of(emulator), "hello")
    except StreamInterruptedError as error:
        partial = error.partial
    assert partial is not None
    assert partial.text
    assert partial.finish_reason is None


async def main() -> None:
    for test in (
        test_the_answer_is_in_capitals,
        test_a_busy_server_is_asked_again,
        test_a_server_that_stays_busy_is_an_error,
        test_a_stream_that_breaks_off_is_an_error_with_the_text_so_far,
    ):
        await test()
        print("passed:", test.__name__.removeprefix("test_").replace("_", " "))


if __name__ == "__main__":
    asyncio.run(main())
