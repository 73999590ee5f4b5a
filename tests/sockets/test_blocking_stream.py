"""Streams that are read in the thread that asks, over blocking sockets."""

from __future__ import annotations

from collections.abc import Generator
from time import monotonic
from typing import Any

import pytest

from venice_ai import APIError, StreamInterruptedError, Timeout, VeniceClient
from venice_ai._core.ports import drive
from venice_ai._http.blocking_stream import BlockingStreams
from venice_ai._http.blocking_transport import BlockingClock
from venice_ai._http.routes import Routes
from venice_ai.emulator import Emulator, error, run_in_thread, text, usual


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


@pytest.fixture
def url(emulator: Emulator) -> Generator[str]:
    with run_in_thread(emulator) as server:
        yield server.url


def pieces(url: str, **given: Any) -> list[tuple[str, float]]:
    """The texts of a stream, each with the seconds until it was there. No event loop runs."""

    async def read() -> list[tuple[str, float]]:
        transport = BlockingStreams(Routes(trust_env=False))
        began = monotonic()
        client = VeniceClient(api_key="k", base_url=url, transport=transport, clock=BlockingClock(transport), **given)
        async with client:
            opening = client.chat.completions.stream(model="venice-1", messages=[{"role": "user", "content": "hi"}])
            async with await opening as stream:
                return [(piece, monotonic() - began) async for piece in stream.text_deltas()]

    return drive(read())


def test_a_stream_comes_bit_by_bit(emulator: Emulator, url: str) -> None:
    emulator.script(text("one two", deltas=["one ", "two"], chunk_delay=0.3))
    (first, at), (second, later) = pieces(url)
    assert (first, second) == ("one ", "two")
    assert later - at > 0.2


@pytest.mark.parametrize("how", [{"piece_bytes": 1}, {"open_after_done": True}, {}], ids=str)
def test_however_it_is_cut(emulator: Emulator, url: str, how: dict[str, Any]) -> None:
    emulator.script(text("Città d'acqua", **how))
    assert "".join(piece for piece, _ in pieces(url)) == "Città d'acqua"


@pytest.mark.parametrize("how", [{"cut_at": 900}, {"reset_at": 900}, {"stall_after": 4}], ids=str)
def test_a_stream_that_breaks_off_says_so(emulator: Emulator, url: str, how: dict[str, Any]) -> None:
    emulator.script(text("drip " * 50, **how))
    with pytest.raises(StreamInterruptedError) as caught:
        pieces(url, timeout=Timeout(idle=0.3))
    assert caught.value.partial is not None
    assert str(caught.value.partial.text).startswith("drip")


def test_content_that_does_not_come_is_noticed(emulator: Emulator, url: str) -> None:
    emulator.script(usual(comments_only=50, chunk_delay=0.1))
    with pytest.raises(StreamInterruptedError, match="progress"):
        pieces(url, timeout=Timeout(progress=0.5))


def test_a_refusal_is_what_its_status_says(emulator: Emulator, url: str) -> None:
    emulator.script(error(403))
    with pytest.raises(APIError) as caught:
        pieces(url)
    assert caught.value.status_code == 403
