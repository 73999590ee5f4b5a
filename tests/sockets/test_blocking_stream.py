"""Streams read in the calling thread, over blocking sockets: they give the same as awaited streams."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from collections.abc import Mapping
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
import trustme

from venice_ai import APIConnectionError, StreamInterruptedError, Timeout, VeniceClient, VeniceError
from venice_ai._core.ports import drive
from venice_ai._http.blocking_transport import BlockingClock, BlockingTransport
from venice_ai._http.routes import Routes

from ..fakes import HI, KEY, chunk, completion, event, hello
from ..scripted_server import ABORT, CLOSE, SILENCE, Server, Step, head, reply, serving, streamed
from .test_http import context_of

DONE = b"data: [DONE]\n\n"
HEL = event(chunk("hel"))
SSE = {"Content-Type": "text/event-stream"}
RAW = b"".join(hello())
PINGS: list[Step] = [step for _ in range(12) for step in (b": ping\n\n", 0.05)]


def packed(coding: str, raw: bytes, *, cut: int | None = None, end: bool = True) -> list[Step]:
    opening = head("200 OK", {**SSE, "Transfer-Encoding": "chunked", "Content-Encoding": coding})
    return [opening, *streamed(raw[:cut], end=end)[1:], *([] if end else [CLOSE])]


STREAMS: dict[str, list[Step]] = {
    "a stream": streamed(*hello()),
    "with pauses": streamed(*[step for piece in hello() for step in (piece, 0.02)]),
    "byte by byte": [bytes([each]) for each in b"".join(step for step in streamed(RAW) if isinstance(step, bytes))],
    "in one packet": [b"".join(step for step in streamed(*hello()) if isinstance(step, bytes))],
    "with a length": [head("200 OK", {**SSE, "Content-Length": str(len(RAW))}) + RAW],
    "until the connection ends": [head("200 OK", SSE) + RAW, CLOSE],
    "open after its end": [*streamed(*hello(), end=False), SILENCE],
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", *streamed(*hello())],
    "gzip": packed("gzip", gzip.compress(RAW)),
    "deflate": packed("deflate", zlib.compress(RAW)),
    "gzip, twice": packed("gzip, gzip", gzip.compress(gzip.compress(RAW))),
    "gzip that is cut": packed("gzip", gzip.compress(RAW + b": padding\n\n" * 99), cut=-20),
    "gzip that is broken": packed("gzip", gzip.compress(b"")[:-8] + b"\x07" * 200),
    "a coding that was not asked for": packed("br", RAW),
    "cut after its head": [*streamed(end=False), CLOSE],
    "cut in an event": [*streamed(HEL, b'data: {"id', end=False), CLOSE],
    "cut between events": [*streamed(HEL, end=False), CLOSE],
    "cut until the connection ends": [head("200 OK", SSE) + HEL, CLOSE],
    "reset": [*streamed(HEL, end=False), 0.05, ABORT],
    "without its last event": streamed(HEL),
    "a chunk that is too long": [*streamed(HEL, end=False), b"3\r\nabcd", SILENCE],
    "a fault in the packet of its head": [b"".join(map(bytes, streamed(HEL, end=False))) + b"zz\r\n", SILENCE],  # type: ignore[arg-type]
    "an event that is not JSON": streamed(HEL, b"data: {nonsense\n\n", DONE),
    "an error at once": streamed(event({"error": {"message": "boo"}})),
    "an error after content": streamed(HEL, event({"error": {"message": "boo", "code": "x"}})),
    "an error event": streamed(HEL, b'event: error\ndata: {"message": "boo"}\n\n'),
    "JSON instead": reply(completion()),
    "nothing": reply(b""),
    "HTML": reply(b"<html>", headers={"Content-Type": "text/html"}),
    "a refusal": reply({"error": "no such model"}, status="404 Not Found"),
    "half a refusal": [head("403 No", {"Content-Length": "100"}) + b'{"error": "no"}', CLOSE],
    "a refusal in gzip": reply(gzip.compress(b'{"error": "no"}'), status="400 Bad", headers={"Content-Encoding": "gzip"}),
    "another protocol": [b"SSH-2.0-OpenSSH", SILENCE],
    "silence": [SILENCE],
    "silence after its head": streamed(SILENCE),
    "silence after content": streamed(HEL, SILENCE),
    "comments alone": streamed(HEL, *PINGS, SILENCE),
}


async def came(client: VeniceClient, **params: Any) -> Any:
    """What comes of a stream: its text, or the error with what had come."""
    texts = list[str]()
    try:
        async with client:
            stream = await client.chat.completions.stream(model="m", messages=HI, **params)
            async with stream:
                async for text in stream.text_deltas():
                    texts.append(text)
    except VeniceError as error:
        kind = type(error), getattr(error, "status_code", None), getattr(error, "clock", None), getattr(error, "body", None)
        partial = getattr(error, "partial", None)
        return kind, texts, partial and partial.text
    return texts


def driven(server: Server, **given: Any) -> Any:
    """The same in this thread, where no event loop runs."""
    routes: Mapping[str, Any] = {name: given.pop(name) for name in ("ca_bundle",) if name in given}
    transport = BlockingTransport(Routes(trust_env=False, **routes))
    return drive(came(server.client(transport=transport, clock=BlockingClock(transport)), **given))


@pytest.mark.parametrize("name", STREAMS)
async def test_a_blocking_stream_gives_what_an_awaited_one_gives(name: str) -> None:
    limits = Timeout(first_chunk=0.5, idle=0.4, progress=0.3)
    async with serving(STREAMS[name]) as server:
        awaited = await came(server.client(), timeout=limits)
        blocked = await asyncio.to_thread(driven, server, timeout=limits)
    assert blocked == awaited


@pytest.mark.parametrize("steps", [[SILENCE], streamed(HEL, *PINGS * 9)], ids=["nothing", "comments"])
async def test_a_deadline_ends_a_blocking_stream(steps: list[Step]) -> None:
    async with serving(steps) as server:
        (_, _, clock, _), *_ = await asyncio.to_thread(driven, server, timeout=Timeout(deadline=0.3))
    assert clock == "deadline"


async def test_pieces_are_given_as_they_come() -> None:
    def read(server: Server) -> list[float]:
        transport, began = BlockingTransport(Routes(trust_env=False)), monotonic()

        async def times() -> list[float]:
            client = server.client(transport=transport, clock=BlockingClock(transport))
            async with client, await client.chat.completions.stream(model="m", messages=HI) as stream:
                return [monotonic() - began async for _ in stream.text_deltas()]

        return drive(times())

    async with serving(streamed(HEL, 0.4, event(chunk("lo", finish="stop")), DONE)) as server:
        first, last = await asyncio.to_thread(read, server)
    assert last - first > 0.3


async def test_a_reader_who_is_slow_does_not_lose_what_arrived_in_time() -> None:
    async def read(client: VeniceClient) -> str:
        texts = ""
        async with client, await client.chat.completions.stream(model="m", messages=HI, timeout=0.2) as stream:
            async for text in stream.text_deltas():
                texts += text
                sleep(0.25)
        return texts

    transport = BlockingTransport(Routes(trust_env=False))
    pieces: list[Step] = [step for piece in hello() for step in (piece, 0.01)]
    async with serving(streamed(*pieces)) as server:
        client = server.client(transport=transport, clock=BlockingClock(transport))
        assert await asyncio.to_thread(drive, read(client)) == "hello"


async def test_a_blocking_stream_trusts_the_given_authority(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    async with serving(streamed(*hello()), context=context_of(authority)) as server:
        assert "".join(await asyncio.to_thread(driven, server, ca_bundle=str(file))) == "hello"
        (kind, *_), *_ = await asyncio.to_thread(driven, server)
    assert issubclass(kind, APIConnectionError)


async def test_a_cut_tls_connection_is_an_interrupted_stream(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    async with serving([*streamed(HEL, end=False), 0.05, ABORT], context=context_of(authority)) as server:
        (kind, *_), texts, partial = await asyncio.to_thread(driven, server, ca_bundle=str(file))
    assert issubclass(kind, StreamInterruptedError)
    assert ("".join(texts), partial) == ("hel", "hel")


async def test_a_key_is_sent_and_its_answer_closes_the_connection() -> None:
    async with serving(streamed(*hello())) as server:
        assert "".join(await asyncio.to_thread(driven, server)) == "hello"
        await asyncio.wait_for(server.left.wait(), 10)
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
