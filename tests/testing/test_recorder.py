"""Recording what clients are answered: exact in bytes, chunks and gaps, from a transport and from a proxy."""

from __future__ import annotations

import asyncio
import json
import math
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import APIConnectionError, StreamInterruptedError, SyncVeniceClient, Timeout, VeniceClient
from venice_ai.exceptions import APITimeoutError
from venice_ai.testing import Cassette, Emulator, Recorder, Replay, busy, refused, run_in_thread, serve, text, usual

from ..fakes import KEY, ScriptedReply, ScriptedTransport
from ..scripted_server import ABORT, serving
from .recording import HI, client_of, created, recorded, recorder_of, replayed, request_to, streamed

URL = "https://api.venice.ai/api/v1/chat/completions"


@given(pieces=st.lists(st.binary(min_size=1)))
async def test_any_bytes_are_replayed_as_they_were_chunked(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("any") / "c.json"
    with Recorder(path, inner=ScriptedTransport(ScriptedReply(*pieces))) as recorder:
        async for _ in (await recorder.transport().send(request_to(URL, body=b"{}"))).pieces():
            pass

    with Replay(path) as replay:
        reply = await replay.transport().send(request_to(URL, body=b"{}"))
        assert [piece async for piece in reply.pieces()] == pieces


async def test_delays_and_gaps_are_those_of_the_clock(tmp_path: Path) -> None:
    emulator = Emulator()
    emulator.script(text("one two", deltas=["one ", "two"], delay=2, first_token_delay=0.5, chunk_delay=0.25))

    (exchange,) = (await recorded(emulator, tmp_path / "c.json")).exchanges

    assert (exchange.request, exchange.status, exchange.delay_ms) == ("POST /chat/completions", 200, 2000)
    assert [chunk.gap_ms for chunk in exchange.chunks] == [500, *[250] * (len(exchange.chunks) - 1)]
    assert json.loads(exchange.body.data)["messages"] == [{"role": "user", "content": "hi"}]
    assert exchange.content.endswith(b"data: [DONE]\n\n")
    assert not exchange.broken


async def test_an_answer_without_a_stream_is_recorded(tmp_path: Path) -> None:
    emulator = Emulator()
    with recorder_of(emulator, tmp_path / "c.json") as recorder:
        answer = await created(client_of(recorder.transport(), emulator))

    with Replay(tmp_path / "c.json") as replay:
        assert await created(replayed(replay)) == answer


def test_a_synchronous_client_is_recorded_and_replayed(tmp_path: Path) -> None:
    emulator = Emulator()
    with (
        recorder_of(emulator, tmp_path / "c.json") as recorder,
        SyncVeniceClient(api_key=KEY, transport=recorder.transport(), clock=emulator.clock) as client,
    ):
        texts = [*client.chat.completions.stream(model="venice-1", messages=HI).text_deltas()]

    with (
        Replay(tmp_path / "c.json") as replay,
        SyncVeniceClient(api_key="any", transport=replay.transport(), clock=replay.clock) as client,
    ):
        assert [*client.chat.completions.stream(model="venice-1", messages=HI).text_deltas()] == texts


async def test_a_refusal_and_its_retry_are_two_exchanges(tmp_path: Path) -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=7), text("now"))

    cassette = await recorded(emulator, tmp_path / "c.json")

    assert [exchange.status for exchange in cassette.exchanges] == [429, 200]
    with Replay(cassette) as replay:
        assert await streamed(replayed(replay)) == "now"
        assert replay.clock.now() == 7


async def test_a_connection_that_cannot_be_made_is_replayed_as_one(tmp_path: Path) -> None:
    emulator = Emulator()
    emulator.script(refused(), text("now"))

    cassette = await recorded(emulator, tmp_path / "c.json")

    assert [(exchange.status, exchange.broken) for exchange in cassette.exchanges] == [(0, False), (200, False)]
    with Replay(cassette) as replay:
        assert await streamed(replayed(replay)) == "now"


async def test_a_request_without_a_reply_is_replayed_as_a_lost_connection(tmp_path: Path) -> None:
    transport = ScriptedTransport(APITimeoutError("late"))
    with Recorder(tmp_path / "c.json", inner=transport) as recorder, pytest.raises(APITimeoutError):
        await recorder.transport().send(request_to(URL))

    with Replay(tmp_path / "c.json") as replay, pytest.raises(APIConnectionError):
        await (await replay.transport().send(request_to(URL))).read()


@pytest.mark.parametrize("fault", [{"reset_at": 900}, {"cut_at": 900}])
async def test_a_broken_stream_is_replayed_as_broken(tmp_path: Path, fault: Any) -> None:
    emulator = Emulator()
    emulator.script(usual(**fault))
    with recorder_of(emulator, tmp_path / "c.json") as recorder, pytest.raises(StreamInterruptedError) as first:
        await streamed(client_of(recorder.transport(), emulator))

    with Replay(tmp_path / "c.json") as replay, pytest.raises(StreamInterruptedError) as second:
        await streamed(replayed(replay))

    assert first.value.partial is not None
    assert second.value.partial is not None
    assert second.value.partial.text == first.value.partial.text
    assert Cassette.read(tmp_path / "c.json").exchanges[0].broken is ("reset_at" in fault)


async def test_time_limits_hold_while_it_is_recorded(tmp_path: Path) -> None:
    emulator = Emulator()
    emulator.script(usual(stall_after=2))
    async with serve(emulator) as server:
        with Recorder(tmp_path / "c.json", server.url) as recorder:
            limits = Timeout(idle=0.2)
            async with VeniceClient(api_key=KEY, base_url=server.url, transport=recorder.transport(), timeout=limits) as client:
                with pytest.raises(APITimeoutError):
                    await streamed(client)

    assert Cassette.read(tmp_path / "c.json").exchanges[0].broken


async def test_a_stream_that_was_left_is_recorded_as_far_as_it_was_read(tmp_path: Path) -> None:
    emulator = Emulator()
    with recorder_of(emulator, tmp_path / "c.json") as recorder:
        async with (
            client_of(recorder.transport(), emulator) as client,
            await client.chat.completions.stream(model="venice-1", messages=HI) as stream,
        ):
            await anext(stream.text_deltas())

    exchange = Cassette.read(tmp_path / "c.json").exchanges[0]
    assert exchange.broken
    assert b"[DONE]" not in exchange.content


async def test_an_error_leaves_an_earlier_recording_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    before = await recorded(Emulator(), path)

    with pytest.raises(RuntimeError), recorder_of(Emulator(), path):
        raise RuntimeError

    assert Cassette.read(path) == before


async def test_closing_the_client_closes_the_connections_to_the_server(tmp_path: Path) -> None:
    inner = ScriptedTransport(ScriptedReply(b'{"data":[]}'))
    recorder = Recorder(tmp_path / "c.json", inner=inner)

    async with VeniceClient(api_key=KEY, transport=recorder.transport()) as client:
        await client.models.list()

    assert inner.closed == 1


async def test_one_recorder_serves_a_client_after_another(tmp_path: Path) -> None:
    with run_in_thread(Emulator()) as server, Recorder(tmp_path / "c.json", server.url) as recorder:
        for _ in range(2):
            async with VeniceClient(api_key=KEY, base_url=server.url, transport=recorder.transport()) as client:
                await client.models.list()

    exchanges = Cassette.read(tmp_path / "c.json").exchanges
    assert [exchange.request for exchange in exchanges] == ["GET /models"] * 2
    assert all("content-encoding" not in exchange.headers for exchange in exchanges), "bodies are not compressed here"


# -- the proxy -----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def proxied(upstream: str, path: Path) -> AsyncGenerator[tuple[aiohttp.ClientSession, str]]:
    """A client that nobody here wrote, and the address of a recording proxy for it."""
    with Recorder(path, upstream=upstream) as recorder:
        async with serve(recorder) as server, aiohttp.ClientSession() as session:
            yield session, server.url


CHAT: dict[str, Any] = {"model": "venice-1", "messages": [{"role": "user", "content": "hi"}]}
HEADERS = {"Authorization": f"Bearer {KEY}"}


@pytest.mark.parametrize("body", [{**CHAT, "stream": True}, {**CHAT, "n": 4}])
async def test_a_proxy_records_any_client(tmp_path: Path, body: Any) -> None:
    async with (
        serve(emulator := Emulator()) as upstream,
        proxied(upstream.url, tmp_path / "c.json") as (session, url),
        session.post(f"{url}/chat/completions", json=body, headers=HEADERS) as reply,
    ):
        answer = await reply.read()
        assert reply.headers["x-venice-model-id"] == "venice-1"

    (exchange,) = Cassette.read(tmp_path / "c.json").exchanges
    assert emulator.requests[0].body == json.loads(exchange.body.data) == body
    assert len(exchange.content) == len(answer)
    assert KEY not in (tmp_path / "c.json").read_text("utf-8")
    async with serve(replay := Replay(tmp_path / "c.json", speed=math.inf)) as server, aiohttp.ClientSession() as session:
        with replay:
            async with session.post(f"{server.url}/chat/completions", json=body, headers=HEADERS) as reply:
                assert await reply.read() == exchange.content
                assert reply.headers["x-venice-model-id"] == "venice-1"


async def test_a_proxy_passes_pieces_on_as_they_come(tmp_path: Path) -> None:
    gate = asyncio.Event()
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with (
        serving([head + b"3\r\none\r\n", gate, b"3\r\ntwo\r\n0\r\n\r\n"]) as upstream,
        proxied(upstream.url, tmp_path / "c.json") as (session, url),
        session.post(f"{url}/chat/completions?type=x", data=b"{}") as reply,
    ):
        assert await reply.content.readany() == b"one"
        gate.set()
        assert await reply.content.read() == b"two"

    (exchange,) = Cassette.read(tmp_path / "c.json").exchanges
    assert [chunk.data for chunk in exchange.chunks] == [b"one", b"two"]
    assert exchange.request == "POST /chat/completions?type=x"
    assert upstream.received[0].headers["accept-encoding"] == "identity"
    assert upstream.received[0].headers["host"] in upstream.url


async def test_a_proxy_breaks_off_where_the_server_does(tmp_path: Path) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"
    async with (
        serving([head, 0.1, ABORT]) as upstream,
        proxied(upstream.url, tmp_path / "c.json") as (session, url),
        session.post(f"{url}/chat/completions", data=b"{}") as reply,
    ):
        with pytest.raises(aiohttp.ClientError):
            await reply.read()

    (exchange,) = Cassette.read(tmp_path / "c.json").exchanges
    assert (exchange.content, exchange.broken) == (b"half", True)


async def test_a_proxy_without_a_server_drops_the_connection(tmp_path: Path) -> None:
    async with proxied("http://127.0.0.1:9/v1", tmp_path / "c.json") as (session, url):
        with pytest.raises(aiohttp.ClientError):
            await session.post(f"{url}/chat/completions", data=b"{}")

    assert [(each.status, each.broken) for each in Cassette.read(tmp_path / "c.json").exchanges] == [(0, False)]


def test_a_proxy_on_a_thread_leaves_nothing_behind(tmp_path: Path) -> None:
    before = threading.active_count()
    with (
        run_in_thread(Emulator()) as upstream,
        Recorder(tmp_path / "c.json", upstream=upstream.url) as recorder,
        run_in_thread(recorder) as server,
        SyncVeniceClient(api_key=KEY, base_url=server.url) as client,
    ):
        answer = client.chat.completions.create(model="venice-1", messages=HI).text

    assert threading.active_count() <= before + 1  # the loop of synchronous clients stays
    with (
        run_in_thread(replay := Replay(tmp_path / "c.json")) as server,
        replay,
        SyncVeniceClient(api_key=KEY, base_url=server.url) as client,
    ):
        assert client.chat.completions.create(model="venice-1", messages=HI).text == answer
