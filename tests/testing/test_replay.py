"""Recordings as answers: in virtual time and on a socket, each once, and a readable difference for what is not recorded."""

from __future__ import annotations

import asyncio
import json
import math
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from venice_ai import APITimeoutError, StreamInterruptedError, UserMessage
from venice_ai.testing import Cassette, Emulator, Piece, Replay, ScriptMismatchError, serve, text
from venice_ai.transport import Request

from ..fakes import KEY
from .recording import client_of, exchange_of, recorded, recorder_of, replayed, request_to, streamed

URL = "https://api.venice.ai/api/v1/chat/completions"


async def long_recording(chunks: int, path: Path) -> Cassette:
    """A streamed answer of ten minutes."""
    emulator = Emulator()
    emulator.script(text("word " * chunks, deltas=["word "] * chunks, chunk_delay=600 / chunks))
    return await recorded(emulator, path)


async def test_ten_minutes_are_replayed_in_less_than_50_ms(tmp_path: Path) -> None:
    cassette = await long_recording(600, tmp_path / "c.json")
    took = 1.0
    for _ in range(20):  # the one that other programs disturb least
        began = time.process_time()
        with Replay(cassette) as replay:
            assert await streamed(replayed(replay)) == "word " * 600
            assert replay.clock.now() >= 600
        took = min(took, time.process_time() - began)
        if took < 0.05:
            break

    assert took < 0.05


async def test_a_thousand_replays_are_the_same_bytes(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json")
    request = request_to(URL, body=cassette.exchanges[0].body.data)
    whole = [chunk.data for chunk in cassette.exchanges[0].chunks]

    for _ in range(1_000):
        with Replay(cassette) as replay:
            assert [piece async for piece in (await replay.transport().send(request)).pieces()] == whole


async def test_time_limits_are_met_in_virtual_time(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json")
    cassette.exchanges[0].slow(3, seconds=61)

    with Replay(cassette) as replay, pytest.raises(APITimeoutError) as caught:
        await streamed(replayed(replay))

    assert caught.value.clock == "idle"
    assert replay.clock.now() == 60


async def test_a_cut_chunk_interrupts_the_stream(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json")
    cassette.exchanges[0].cut(4, at=10)

    with Replay(cassette) as replay, pytest.raises(StreamInterruptedError):
        await streamed(replayed(replay))


def test_the_clock_begins_when_the_recording_did() -> None:
    with Replay(Cassette(1_800_000_000.0)) as replay:
        assert replay.clock.time() == 1_800_000_000


async def test_each_exchange_answers_once_whatever_the_order(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json", "one", "two", "one")

    with Replay(cassette) as replay:
        answers = [await streamed(replayed(replay), words) for words in ("two", "one", "one")]

    assert [words in each for words, each in zip(("two", "one", "one"), answers, strict=True)] == [True] * 3


async def test_calls_at_the_same_time_are_answered_each(tmp_path: Path) -> None:
    emulator = Emulator()
    names = [str(number) for number in range(20)]
    with recorder_of(emulator, tmp_path / "c.json") as recorder:
        before = await asyncio.gather(*(streamed(client_of(recorder.transport(), emulator), name) for name in names))

    with Replay(tmp_path / "c.json") as replay:
        assert await asyncio.gather(*(streamed(replayed(replay), name) for name in names)) == before


@pytest.mark.parametrize(
    ("recorded_body", "asked", "is_same"),
    [
        pytest.param(b'{"a":1,"b":[2]}', b'{ "b": [2], "a": 1 }', True, id="JSON in another order"),
        pytest.param(b'{"a":1}', b'{"a":2}', False, id="another value"),
        pytest.param(b"\xff", b"\xff", True, id="no JSON"),
        pytest.param(b"\xff", b"\xfe", False, id="other bytes"),
        pytest.param(b"", b"", True, id="nothing"),
    ],
)
async def test_a_request_is_found_by_its_body(recorded_body: bytes, asked: bytes, is_same: bool) -> None:
    exchange = exchange_of(b"yes")
    exchange.body = Piece.of(recorded_body)
    replay = Replay(Cassette(0, [exchange]))

    if is_same:
        assert await (await replay.transport().send(request_to(URL, body=asked))).read() == b"yes"
    else:
        with pytest.raises(ScriptMismatchError):
            await replay.transport().send(request_to(URL, body=asked))


async def test_a_query_is_part_of_the_address() -> None:
    cassette = Cassette(0, [exchange_of(b"yes", request="GET /models?type=text")])
    at = "https://api.venice.ai/api/v1/models?type="

    with pytest.raises(ScriptMismatchError, match="type=image is not recorded"):
        await (
            Replay(cassette)
            .transport()
            .send(Request("GET", f"{at}image", headers={}, body=None, timeout=request_to(at).timeout))
        )
    with Replay(cassette) as replay:
        assert await (await replay.transport().send(request_to(f"{at}text", method="GET"))).read() == b"yes"


# -- what is not as recorded ---------------------------------------------------------------------------------------------


async def test_an_unrecorded_request_is_shown_beside_the_nearest_recording(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json", "hello", "a long way to go")
    replay = Replay(cassette)

    with pytest.raises(ScriptMismatchError) as caught:
        await streamed(replayed(replay), "hallo")

    lines = str(caught.value).splitlines()
    assert lines[0] == "POST /chat/completions is not recorded like this:"
    assert [line.split() for line in lines if line[0] in "+-" and "content" in line] == [
        ["-", '"content":', '"hello",'],
        ["+", '"content":', '"hallo",'],
    ]


async def test_a_mismatch_that_the_program_swallows_fails_the_end(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json")

    with pytest.raises(ScriptMismatchError) as caught, Replay(cassette) as replay:
        await streamed(replayed(replay))
        with suppress(AssertionError):
            await streamed(replayed(replay), "and more")

    message = str(caught.value)
    assert "\n  POST /api/v1/chat/completions" in message
    assert "\n+ POST /api/v1/chat/completions" in message
    assert '"and more"' in message


async def test_a_request_sent_more_often_than_recorded_is_an_error(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json")
    replay = Replay(cassette)
    await streamed(replayed(replay))

    with pytest.raises(ScriptMismatchError, match="asked more often than it is recorded"):
        await streamed(replayed(replay))


async def test_an_exchange_that_was_not_replayed_fails_the_end(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json", "one", "two")

    with pytest.raises(ScriptMismatchError) as caught, Replay(cassette) as replay:
        await streamed(replayed(replay), "one")

    lines = str(caught.value).splitlines()
    assert [line[0] for line in lines[1:]] == [" ", "-"]
    assert '"content": "two"' in lines[2]


def test_an_error_of_the_test_is_not_hidden_by_what_was_not_used() -> None:
    with pytest.raises(KeyError), Replay(Cassette(0, [exchange_of(b"")])):
        raise KeyError


async def test_an_empty_recording_names_what_was_asked() -> None:
    with pytest.raises(ScriptMismatchError, match="POST /chat/completions is not recorded"):
        await Replay(Cassette()).transport().send(request_to(URL, body=b"{}"))


# -- on a socket ---------------------------------------------------------------------------------------------------------


async def test_on_a_socket_a_mismatch_is_a_refusal_that_is_not_tried_again(tmp_path: Path) -> None:
    cassette = await recorded(Emulator(), tmp_path / "c.json")
    replay = Replay(cassette)

    async with (
        serve(replay) as server,
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/chat/completions", json={"messages": []}) as reply,
    ):
        assert (reply.status, reply.headers["x-should-retry"]) == (501, "false")
        message = json.loads(await reply.read())["error"]["message"]

    assert "is not recorded like this" in message
    with pytest.raises(ScriptMismatchError), replay:
        pass


@pytest.mark.parametrize(("speed", "least", "most"), [(1.0, 0.3, 30.0), (100.0, 0.0, 0.29), (math.inf, 0.0, 0.29)])
async def test_on_a_socket_gaps_take_their_time_by_the_speed(speed: float, least: float, most: float) -> None:
    cassette = Cassette(0, [exchange_of(b"one", b"two", b"three", gap_ms=100)])

    async with aiohttp.ClientSession() as session:
        with Replay(cassette, speed=speed) as replay:
            async with serve(replay) as server:
                began = time.monotonic()
                async with session.post(f"{server.url}/chat/completions") as reply:
                    assert await reply.read() == b"onetwothree"
                took = time.monotonic() - began

    assert least <= took <= most


async def test_a_conversation_with_a_model_is_replayed_on_a_socket(tmp_path: Path) -> None:
    emulator = Emulator()
    with recorder_of(emulator, tmp_path / "c.json") as recorder:
        answer = await streamed(client_of(recorder.transport(), emulator))

    with Replay(tmp_path / "c.json") as replay:
        async with serve(replay) as server, aiohttp.ClientSession() as session:
            body: dict[str, Any] = {"model": "venice-1", "messages": [dict(UserMessage(content="hi"))], "stream": True}
            body["stream_options"] = {"include_usage": True}
            async with session.post(f"{server.url}/chat/completions", json=body, headers={"Authorization": KEY}) as reply:
                chunks = [json.loads(line[6:]) for line in (await reply.text()).splitlines() if line.startswith("data: {")]

    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]) == answer
