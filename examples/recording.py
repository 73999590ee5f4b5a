"""A conversation is recorded once, and replayed in tests: without a key or a network.

The cassette is a file that you can read, edit and commit. Keys, cookies and ids are not
in it. Here one chunk of it is cut, to see what the program does then.
"""

import asyncio
import tempfile
from pathlib import Path

from venice_ai import StreamInterruptedError, UserMessage, VeniceClient
from venice_ai.testing import Cassette, Recorder, Replay, no_network


async def shout(client: VeniceClient, words: str) -> str:
    """The program that is tested: it returns the answer in capitals."""
    stream = await client.chat.completions.stream(
        model="venice-1", messages=[UserMessage(content=words)]
    )
    async with stream:
        pieces = [piece async for piece in stream.text_deltas()]
    return "".join(pieces).upper()


async def record(path: Path) -> None:
    """Asks the real server; run this once, with a key."""
    with Recorder(path) as recorder:
        async with VeniceClient(transport=recorder.transport()) as client:
            print("recorded:", await shout(client, "hello"))


def client_of(replay: Replay) -> VeniceClient:
    return VeniceClient(api_key="any", transport=replay.transport(), clock=replay.clock)


async def test_the_recorded_answer_is_in_capitals(path: Path) -> None:
    with no_network(), Replay(path) as replay:
        answer = await shout(client_of(replay), "hello")
    assert answer.isupper()
    print("replayed:", answer)


async def test_a_stream_that_breaks_off_is_an_error(path: Path) -> None:
    cassette = Cassette.read(path)
    cassette.exchanges[0].cut(0, at=600)
    partial = None
    with Replay(cassette) as replay:
        try:
            await shout(client_of(replay), "hello")
        except StreamInterruptedError as error:
            partial = error.partial
    assert partial is not None
    print("broken off after:", repr(partial.text))


async def test_another_question_is_not_recorded(path: Path) -> None:
    mismatch = None
    try:
        with Replay(path) as replay:
            await shout(client_of(replay), "goodbye")
    except AssertionError as error:
        mismatch = str(error)
    assert mismatch is not None
    print(mismatch)


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "greeting.json"
        await record(path)
        await test_the_recorded_answer_is_in_capitals(path)
        await test_a_stream_that_breaks_off_is_an_error(path)
        await test_another_question_is_not_recorded(path)


if __name__ == "__main__":
    asyncio.run(main())
