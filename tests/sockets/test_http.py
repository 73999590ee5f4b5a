"""The default transport on real sockets: event loops, connections, TLS, proxies, and what servers do."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import gc
import gzip
import importlib.util
import json
import os
import pickle
import queue
import socket
import ssl
import sys
import threading
import time
import warnings
import weakref
import zlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from enum import Enum
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import aiohttp
import pytest
import trustme

from venice_ai import (
    APIConnectionError,
    APIError,
    APIResponseProcessingError,
    ChatStream,
    InvalidRequestError,
    NotFoundError,
    ServiceUnavailableError,
    StreamInterruptedError,
    Timeout,
    VeniceClient,
    VeniceError,
)
from venice_ai._wire.content_coding import STEP_BYTES
from venice_ai.emulator import Emulator, text
from venice_ai.emulator.server import run_in_thread
from venice_ai.transport import Request, http_transport

from ..fakes import DONE, HI, KEY, RecordingClock, chunk, completion, event, hello
from ..scripted_server import ABORT, CLOSE, FAREWELL, PATIENCE_SECONDS, SILENCE, Step, bomb, head, reply, serving, streamed

ANSWER = reply(completion())
MODELS = reply({"object": "list", "data": []})
_YEARS = 30 * 365.25 * 86_400
FAR = Timeout(connect=_YEARS, first_chunk=_YEARS, idle=_YEARS, progress=_YEARS, deadline=_YEARS)


async def asked(client: VeniceClient) -> str | None:
    return (await client.chat.completions.create(model="m", messages=HI)).text


class NamedHeader(str, Enum):  # noqa: UP042  # its `str()` is not its value, as that of a `StrEnum` is
    KEY = "Authorization"
    SOURCE = "X-Source"


async def test_headers_named_by_an_enumeration_go_by_their_values() -> None:
    headers: dict[str, str] = {NamedHeader.KEY: "Bearer other", NamedHeader.SOURCE: "shop"}
    async with serving(MODELS) as server, server.client(headers=headers) as client:
        await client.models.list()

    sent = {name.lower(): value for name, value in server.received[0].headers.items()}
    assert (sent["authorization"], sent["x-source"]) == ("Bearer other", "shop")
    assert not any(name.startswith("namedheader") for name in sent)


async def test_a_connection_keeps_neither_the_task_that_made_it_nor_what_the_task_gave() -> None:
    async with serving(ANSWER) as server, server.client() as client:
        task = asyncio.create_task(asked(client))
        await task
        gone = weakref.ref(task)
        del task
        await asyncio.sleep(0)  # the step of the loop that woke this one refers to it
        gc.collect()

        assert gone() is None
        assert server.open == 1


async def streamed_text(client: VeniceClient) -> str | None:
    async with await client.chat.completions.stream(model="m", messages=HI) as stream:
        return (await stream.collect()).text


# -- what is on the wire -------------------------------------------------------------------------------------------------


async def test_a_chat_arrives_as_it_was_sent() -> None:
    async with serving(ANSWER) as server, server.client() as client:
        assert await asked(client) == "hello"

    (request,) = server.received
    assert (request.method, request.target) == ("POST", "/api/v1/chat/completions")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("venice-chat/")
    assert request.headers["accept"] == "application/json"
    assert request.body == b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'


async def test_a_stream_asks_for_events() -> None:
    async with serving(streamed(*hello())) as server, server.client() as client:
        assert await streamed_text(client) == "hello"

    assert "text/event-stream" in server.received[0].headers["accept"]


async def test_a_query_is_part_of_the_address() -> None:
    async with serving(MODELS) as server, server.client() as client:
        await client.models.list(type="image")

    assert server.received[0].target == "/api/v1/models?type=image"


async def test_headers_of_a_reply_are_found_in_any_case() -> None:
    headers = {"CF-RAY": "ray-1", "X-Two": "a", "x-two": "b", "X-Umlaut": "caf\u00e9"}
    async with serving(reply(completion(), headers=headers)) as server, server.client() as client:
        response = await client.chat.completions.create(model="m", messages=HI)

    meta = response.meta
    assert (meta.headers["cf-ray"], meta.headers["X-TWO"], meta.request_id) == ("ray-1", "a, b", "ray-1")
    assert "content-length" in meta.headers
    assert meta.status_code == 200
    assert 0 < meta.latency < 5


async def test_a_header_of_20_kilobytes_is_taken() -> None:
    async with serving(reply(completion(), headers={"x-long": "x" * 20_000})) as server, server.client() as client:
        assert await asked(client) == "hello"


@pytest.mark.parametrize(("encoding", "encode"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
async def test_a_compressed_answer_is_read(encoding: str, encode: Any) -> None:
    body = reply(encode(json.dumps(completion()).encode()), headers={"Content-Encoding": encoding})
    async with serving(body) as server, server.client() as client:
        assert await asked(client) == "hello"


async def test_accept_encoding_names_only_codings_that_can_be_read() -> None:
    async with serving(ANSWER) as server, server.client() as client:
        await asked(client)

    accepted = {name.strip().partition(";")[0] for name in server.received[0].headers.get("accept-encoding", "").split(",")}
    assert "gzip" in accepted
    if "br" in accepted:
        assert importlib.util.find_spec("brotli") or importlib.util.find_spec("brotlicffi")
    if "zstd" in accepted:
        assert any(map(importlib.util.find_spec, ("zstandard", "backports"))) or sys.version_info >= (3, 14)


# -- connections ---------------------------------------------------------------------------------------------------------


async def test_one_connection_serves_calls_that_follow_each_other() -> None:
    async with serving(ANSWER, streamed(*hello()), streamed(*hello()), ANSWER) as server, server.client() as client:
        for ask in (asked, streamed_text, streamed_text, asked):
            assert await ask(client) == "hello"

    assert server.connections == 1


async def test_one_connection_serves_on_though_the_body_ends_a_moment_after_done() -> None:
    async with serving(streamed(*hello(), 0.02)) as server, server.client() as client:
        for _ in range(3):
            assert await streamed_text(client) == "hello"

    assert server.connections == 1


async def test_one_connection_serves_on_after_a_refusal() -> None:
    refusal = reply({"error": "no"}, status="404 Not Found")
    async with serving(refusal, refusal, ANSWER) as server, server.client() as client:
        for stream in (True, False):
            with pytest.raises(APIError):
                await client.chat.completions.create(model="m", messages=HI, stream=stream)
        assert await asked(client) == "hello"

    assert server.connections == 1


async def listed(client: VeniceClient) -> object:
    return await client.models.list(refresh=True)


@pytest.mark.parametrize("ask", [asked, streamed_text, listed])
async def test_no_more_is_read_of_a_refusal_than_an_honest_one_has(ask: Callable[[VeniceClient], Awaitable[object]]) -> None:
    endless = [head("404 Not Found", {"Transfer-Encoding": "chunked"}), *[b"%x\r\n%b\r\n" % (2**20, b"x" * 2**20)] * 300]
    async with serving([*endless, SILENCE]) as server, server.client() as client:
        with pytest.raises(NotFoundError) as caught:
            await ask(client)
        await server.left.wait()

    assert len(caught.value.body) == 4 * 2**20


async def test_a_stream_ends_with_done_though_the_connection_stays_open() -> None:
    async with serving(streamed(*hello(), SILENCE, end=False)) as server, server.client() as client:
        assert await asyncio.wait_for(streamed_text(client), PATIENCE_SECONDS) == "hello"
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


@pytest.mark.parametrize("how", ["break", "exception", "cancellation"])
async def test_leaving_a_stream_early_closes_its_connection_at_once(how: str) -> None:
    async with serving(streamed(event(chunk("hel")), SILENCE)) as server, server.client() as client:

        async def read() -> None:
            async with await client.chat.completions.stream(model="m", messages=HI) as stream:
                async for _ in stream:
                    reading.set()
                    if how == "break":
                        break
                    if how == "exception":
                        raise ZeroDivisionError

        reading = asyncio.Event()
        task = asyncio.ensure_future(read())
        await asyncio.wait_for(reading.wait(), PATIENCE_SECONDS)
        if how == "cancellation":
            task.cancel()
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)
        (left,) = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(left, {"exception": ZeroDivisionError, "cancellation": asyncio.CancelledError}.get(how, type(None)))


async def waiting_reader(stream: ChatStream) -> asyncio.Task[None]:
    """A task that has read what came of a stream, and waits for more."""
    reading = asyncio.Event()

    async def read() -> None:
        async for _ in stream:
            reading.set()

    reader = asyncio.ensure_future(read())
    await asyncio.wait_for(reading.wait(), PATIENCE_SECONDS)
    return reader


async def test_closing_a_stream_wakes_who_reads_it_in_another_task() -> None:
    async with serving(streamed(event(chunk("hel")), SILENCE)) as server, server.client() as client:
        stream = await client.chat.completions.stream(model="m", messages=HI)
        reader = await waiting_reader(stream)

        await stream.close()

        with pytest.raises(StreamInterruptedError):
            await asyncio.wait_for(reader, PATIENCE_SECONDS)
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


async def test_closing_the_client_wakes_who_reads_a_stream_and_says_why() -> None:
    async with serving(streamed(event(chunk("hel")), SILENCE)) as server, server.client() as client:
        stream = await client.chat.completions.stream(model="m", messages=HI)
        reader = await waiting_reader(stream)

        await client.close()

        with pytest.raises(StreamInterruptedError, match="the client was closed") as caught:
            await asyncio.wait_for(reader, PATIENCE_SECONDS)
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


async def test_a_stream_that_is_read_after_its_client_was_closed_says_why() -> None:
    async with serving(streamed(event(chunk("hel")), SILENCE)) as server, server.client() as client:
        stream = await client.chat.completions.stream(model="m", messages=HI)
        await anext(stream)

        await client.close()

        with pytest.raises(StreamInterruptedError, match="the client was closed"):
            await asyncio.wait_for(stream.collect(), PATIENCE_SECONDS)


async def test_a_stream_continues_after_its_client_is_garbage_collected() -> None:
    collected = asyncio.Event()
    async with serving(streamed(event(chunk("hel")), collected, *hello()[1:])) as server:
        texts = (await server.client().chat.completions.stream(model="m", messages=HI)).text_deltas()
        received = await anext(texts)
        gc.collect()
        collected.set()

        async for text in texts:
            received += text

    assert received == "hello"


HALF_A_REFUSAL = head("503 Service Unavailable", {"Content-Length": "100"}) + b"half"


@pytest.mark.parametrize("steps", [[SILENCE], [HALF_A_REFUSAL, SILENCE]], ids=["nothing yet", "half a refusal"])
async def test_a_cancelled_call_closes_its_connection_at_once(steps: list[Step]) -> None:
    async with serving(steps) as server, server.client() as client:
        call = asyncio.ensure_future(asked(client))
        await asyncio.wait_for(server.silent.wait(), PATIENCE_SECONDS)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


@pytest.mark.parametrize("entered", [True, False])
async def test_closing_the_client_closes_its_connections(entered: bool) -> None:
    async with serving(ANSWER) as server:
        client = server.client()
        if entered:
            async with client:
                await asked(client)
        else:
            await asked(client)
        for _ in range(2):
            await client.close()
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)

        with pytest.raises(VeniceError, match="closed"):
            await asked(client)


HALF_AN_ANSWER = head("200 OK", {"Content-Type": "application/json", "Content-Length": "500"}) + b"{"


@pytest.mark.parametrize("patient", [False, True])
@pytest.mark.parametrize(
    "steps",
    [[SILENCE], [HALF_A_REFUSAL, SILENCE], [HALF_AN_ANSWER, SILENCE]],
    ids=["nothing yet", "half a refusal", "half an answer"],
)
async def test_closing_the_client_ends_its_calls_and_says_why(steps: list[Step], patient: bool) -> None:
    async with serving(steps) as server, server.client(max_retries=2) as client:
        limits = Timeout(idle=None, first_chunk=None) if patient else None
        call = asyncio.ensure_future(client.chat.completions.create(model="m", messages=HI, timeout=limits))
        await asyncio.wait_for(server.silent.wait(), PATIENCE_SECONDS)

        await asyncio.wait_for(client.close(), PATIENCE_SECONDS)

        with pytest.raises(APIConnectionError, match="the client was closed"):
            await asyncio.wait_for(call, PATIENCE_SECONDS)
        assert len(server.received) == 1
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


@pytest.mark.parametrize("leave", ["close", "cancel"])
async def test_leaving_a_call_does_not_wait_for_a_server_that_reads_nothing(leave: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        client = VeniceClient(api_key=KEY, base_url=f"http://127.0.0.1:{port}/api/v1", max_retries=0)
        much = [{"role": "user", "content": "x" * 2**25}]
        call = asyncio.ensure_future(client.chat.completions.create(model="m", messages=much))
        accepted, _ = await asyncio.get_running_loop().run_in_executor(None, listening.accept)
        with accepted:
            if leave == "cancel":
                call.cancel()
            await asyncio.wait_for(client.close(), PATIENCE_SECONDS)

            with pytest.raises(asyncio.CancelledError if leave == "cancel" else APIConnectionError):
                await asyncio.wait_for(call, PATIENCE_SECONDS)


async def test_a_closed_client_tries_nothing_again() -> None:
    class Closing(RecordingClock):
        async def sleep(self, seconds: float) -> None:
            await client.close()
            await super().sleep(seconds)

    async with serving(reply({"error": "busy"}, status="503 Busy"), ANSWER) as server:
        client = server.client(max_retries=2, clock=Closing())
        with pytest.raises(APIConnectionError, match="the client was closed") as caught:
            await asked(client)

    assert isinstance(caught.value.__cause__, ServiceUnavailableError)
    assert len(server.received) == 1


@pytest.mark.parametrize("ended", [True, False], ids=["a loop that ends", "a loop that comes to rest"])
def test_a_client_is_closed_while_another_loop_of_its_ends(ended: bool) -> None:
    client = VeniceClient(api_key=KEY, transport=None, base_url=f"http://127.0.0.1:{closed_port()}/api/v1", max_retries=0)
    blocked, closing = threading.Event(), threading.Event()

    async def busy() -> None:
        with contextlib.suppress(APIConnectionError):
            await asked(client)
        blocked.set()
        closing.wait(PATIENCE_SECONDS)  # the loop is not free to close anything
        time.sleep(0.2)

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        loop.run_until_complete(busy())
        if ended:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
        loops.append(loop)

    async def close() -> None:
        closing.set()
        await asyncio.wait_for(client.close(), PATIENCE_SECONDS)

    loops: list[asyncio.AbstractEventLoop] = []
    thread = threading.Thread(target=elsewhere)
    thread.start()
    assert blocked.wait(PATIENCE_SECONDS)
    asyncio.run(close())
    thread.join(PATIENCE_SECONDS)
    for loop in loops:
        if not loop.is_closed():
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()


async def test_bytes_that_arrive_unasked_close_the_connection() -> None:
    more = asyncio.Event()
    async with serving([*ANSWER, more, *reply(completion("evil")), SILENCE], ANSWER) as server, server.client() as client:
        assert await asked(client) == "hello"
        more.set()
        await server.silent.wait()
        for _ in range(10):
            await asyncio.sleep(0)  # the client's end reads it

        assert await asked(client) == "hello"

    assert server.connections == 2


@pytest.mark.parametrize("secure", [False, True])
def test_a_connection_that_was_closed_while_the_loop_rested_is_made_anew(
    secure: bool, authority: trustme.CA, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    whole = b"".join(step for step in ANSWER if isinstance(step, bytes))
    rested, closed = threading.Event(), queue.SimpleQueue[None]()

    def serve() -> None:
        for _ in range(2):
            connection, _ = listening.accept()
            speaking = context_of(authority).wrap_socket(connection, server_side=True) if secure else connection
            with speaking:
                read = b""
                while b"\r\n\r\n" not in read or not read.endswith(b"}"):
                    read += speaking.recv(65536)
                speaking.sendall(whole)
                rested.wait(PATIENCE_SECONDS)
                if secure:
                    with contextlib.suppress(OSError):
                        speaking.settimeout(0.1)
                        cast("ssl.SSLSocket", speaking).unwrap()
            closed.put(None)

    async def once() -> str | None:
        return await asked(client)

    loop = asyncio.new_event_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        thread = threading.Thread(target=serve)
        thread.start()
        scheme = "https" if secure else "http"
        settings: dict[str, Any] = {"ca_bundle": str(bundle)} if secure else {}
        client = VeniceClient(api_key=KEY, base_url=f"{scheme}://127.0.0.1:{port}/api/v1", max_retries=0, **settings)
        try:
            for _ in range(2):
                assert loop.run_until_complete(once()) == "hello"
                rested.set()
                closed.get(timeout=PATIENCE_SECONDS)
                time.sleep(0.1)  # the loop rests, as in a script that does other things between its calls
            loop.run_until_complete(client.close())
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
            thread.join(PATIENCE_SECONDS)


async def test_a_client_can_be_entered_again_after_it_was_closed() -> None:
    async with serving(ANSWER) as server:
        client = server.client()
        for _ in range(2):
            async with client:
                assert await asked(client) == "hello"

    assert server.connections == 2


async def test_a_connection_that_the_server_dropped_between_calls_is_made_anew() -> None:
    async with serving([*ANSWER, FAREWELL], ANSWER) as server, server.client() as client:
        assert await asked(client) == "hello"
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)  # the client has heard it, and gone
        assert await asked(client) == "hello"

    assert server.connections == 2


@pytest.mark.parametrize("retries", [0, 1])
async def test_a_chat_is_not_sent_again_when_the_server_drops_a_kept_connection_after_it_took_it(retries: int) -> None:
    async with serving(ANSWER, [CLOSE], ANSWER) as server, server.client(max_retries=retries) as client:
        await asked(client)
        with pytest.raises(APIConnectionError, match=r"billed"):
            await asked(client)

    assert len(server.received) == 2


async def test_a_get_on_a_dropped_connection_is_sent_again_over_a_new_one() -> None:
    async with serving(MODELS, [CLOSE], MODELS) as server, server.client(max_retries=0) as client:
        await listed(client)
        await listed(client)

    assert len(server.received) == 3


@pytest.mark.parametrize("pause", [0.0, 0.06], ids=["at once", "after a moment"])
async def test_a_server_that_closes_after_each_answer_without_saying_so_loses_no_call(pause: float) -> None:
    async with serving([*ANSWER, CLOSE]) as server, server.client() as client:
        for _ in range(20):
            assert await asked(client) == "hello"
            await asyncio.sleep(pause)

    assert len(server.received) == server.connections == 20


@pytest.mark.parametrize("secure", [False, True])
async def test_however_many_kept_connections_are_dead_a_call_finds_a_new_one(
    secure: bool, authority: trustme.CA, tmp_path: Path
) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    together, over = asyncio.Barrier(12), asyncio.Event()
    settings: dict[str, Any] = {"ca_bundle": str(bundle)} if secure else {}
    first: list[Sequence[Step]] = [[together, *ANSWER, over, CLOSE]] * 12
    async with (
        serving(*first, ANSWER, context=context_of(authority) if secure else None) as server,
        server.client(**settings) as client,
    ):
        assert await asyncio.gather(*[asked(client) for _ in range(12)]) == ["hello"] * 12
        over.set()
        while server.open:  # the server's ends are closed; ours are looked at when the next call needs one
            await asyncio.sleep(0)

        assert await asked(client) == "hello"

    assert server.connections == len(server.received) == 13


@pytest.mark.parametrize(("keep_alive", "connections"), [("timeout=1", 2), ("timeout=5, max=100", 1), (None, 1)])
async def test_a_connection_is_kept_as_long_as_its_server_says_less_a_margin(keep_alive: str | None, connections: int) -> None:
    headers = {} if keep_alive is None else {"Keep-Alive": keep_alive}
    async with serving(reply(completion(), headers=headers)) as server, server.client() as client:
        await asked(client)
        await asked(client)

    assert server.connections == connections


async def test_a_limit_of_thirty_years_is_a_limit_like_others() -> None:
    async with serving(ANSWER, streamed(*hello())) as server, server.client(timeout=FAR) as client:
        assert await asked(client) == "hello"
        assert await streamed_text(client) == "hello"


# -- broken servers ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([CLOSE], id="closes"),
        pytest.param([ABORT], id="resets"),
        pytest.param([b"SSH-2.0-OpenSSH_9.6\r\n", CLOSE], id="speaks another language"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", CLOSE], id="half a body"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf", ABORT], id="half a body, resets"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Le", CLOSE], id="half a head"),
        pytest.param([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", CLOSE], id="a chunk of no size"),
        pytest.param([b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nhalf"], id="no gzip"),
    ],
)
async def test_a_server_that_breaks_off_is_a_connection_error_that_names_it(steps: list[Step]) -> None:
    async with serving(steps) as server, server.client(max_retries=2) as client:
        with pytest.raises(APIConnectionError, match=r"127\.0\.0\.1") as caught:
            await asked(client)

    assert isinstance(caught.value, ConnectionError)
    assert KEY not in str(caught.value)
    assert len(server.received) == 1, "it may have been billed"


@pytest.mark.parametrize("end", [CLOSE, ABORT], ids=str)
@pytest.mark.parametrize("tail", [b"", event(chunk("lo"))[:30]], ids=["between events", "inside an event"])
async def test_a_stream_that_breaks_off_keeps_what_came(end: Step, tail: bytes) -> None:
    steps = streamed(event(chunk("hel")), *([tail] if tail else []), end=False)
    async with serving([*steps, 0.02, end]) as server, server.client(max_retries=2) as client:
        with pytest.raises(StreamInterruptedError) as caught:
            await streamed_text(client)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"
    assert len(server.received) == 1


async def test_a_stream_that_finished_is_whole_though_the_connection_breaks() -> None:
    steps = streamed(*hello()[:3], end=False)
    async with serving([*steps, 0.02, ABORT]) as server, server.client() as client:
        assert await streamed_text(client) == "hello"


async def test_a_stream_without_http_s_chunks_ends_with_its_connection() -> None:
    steps: list[Step] = [head("200 OK", {"Content-Type": "text/event-stream", "Connection": "close"}), *hello()[:-1], CLOSE]
    async with serving(steps) as server, server.client() as client:
        assert await streamed_text(client) == "hello"


async def test_a_stream_is_read_in_steps_however_much_has_come() -> None:
    whole = b"".join(event(chunk("x" * 100)) for _ in range(5_000))
    async with serving(streamed(whole, event(chunk("", finish="stop")), DONE)) as server:
        transport = http_transport()
        request = Request("POST", f"{server.url}/chat/completions", headers={}, body=b"{}", timeout=Timeout(), stream=True)
        reply = await transport.send(request)
        try:
            pieces = [piece async for piece in reply.pieces()]
        finally:
            reply.close()
            await transport.aclose()

    assert b"".join(pieces).startswith(whole)
    assert max(map(len, pieces)) <= STEP_BYTES


async def test_a_body_in_chunks_of_one_byte_comes_whole() -> None:
    body = b"".join(event(chunk(f"{number} ")) for number in range(30)) + event(chunk("", finish="stop")) + DONE
    async with serving(streamed(*(body[place : place + 1] for place in range(len(body))))) as server, server.client() as client:
        assert await streamed_text(client) == "".join(f"{number} " for number in range(30))
        assert await streamed_text(client) is not None  # over the same connection
        assert server.connections == 1


def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    assert isinstance(port, int)
    return port


async def test_a_refused_connection_is_a_connection_error_with_a_remedy() -> None:
    port = closed_port()
    async with VeniceClient(api_key=KEY, base_url=f"http://127.0.0.1:{port}/api/v1", max_retries=0) as client:
        with pytest.raises(APIConnectionError, match=rf"127\.0\.0\.1:{port}.*base_url"):
            await asked(client)
        with pytest.raises(APIConnectionError):
            await client.chat.completions.stream(model="m", messages=HI)


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"])
async def test_no_redirect_is_followed(status: str) -> None:
    async with serving(ANSWER) as elsewhere:
        redirect = reply(b"", status=status, headers={"Location": f"{elsewhere.url}/chat/completions"})
        async with serving(redirect) as server, server.client() as client:
            with pytest.raises(APIError, match="redirect"):
                await asked(client)
            with pytest.raises(APIError, match="redirect"):
                await client.chat.completions.stream(model="m", messages=HI)
            with pytest.raises(APIError, match="redirect"):
                await client.models.list()

    assert elsewhere.received == []


@pytest.mark.parametrize("slashes", ["", "/", "//"])
async def test_slashes_at_the_end_of_the_address_do_not_matter(slashes: str) -> None:
    async with serving(MODELS) as server, server.client(base_url=server.url + slashes) as client:
        await client.models.list()

    assert server.received[0].target == "/api/v1/models"


async def test_the_address_comes_from_the_environment_if_not_from_the_argument(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(MODELS) as server:
        monkeypatch.setenv("VENICE_BASE_URL", f"{server.url}/from-environment/")
        async with server.client(base_url=None) as client:
            await client.models.list()
        async with server.client(base_url=f"{server.url}/from-argument") as client:
            await client.models.list()

    targets = [request.target for request in server.received]
    assert targets == ["/api/v1/from-environment/models", "/api/v1/from-argument/models"]


# -- event loops ---------------------------------------------------------------------------------------------------------

THREE_RUNS = """
import asyncio, logging, sys
from venice_ai import VeniceClient

logging.getLogger("asyncio").setLevel(logging.ERROR)  # that an import takes its time is not a fault
client = VeniceClient(api_key="k", base_url=sys.argv[1])
closing = sys.argv[2]

async def main(last):
    messages = [{"role": "user", "content": "hi"}]
    print((await client.chat.completions.create(model="m", messages=messages)).text)
    async with await client.chat.completions.stream(model="m", messages=messages) as stream:
        print((await stream.collect()).text)
    if closing == "every run" or (last and closing == "last run"):
        await client.close()

for run in range(3):
    if closing == "every run" and run:
        client = VeniceClient(api_key="k", base_url=sys.argv[1])
    asyncio.run(main(run == 2))
if closing == "own run":
    asyncio.run(client.close())
"""


async def test_one_client_serves_three_event_loops_in_a_row_without_a_warning() -> None:
    async def run(closing: str) -> tuple[str, str, str, int | None]:
        async with serving(*[ANSWER, streamed(*hello())] * 3) as server:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-X", "dev", "-W", "error", "-c", THREE_RUNS, server.url, closing),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            out, err = await process.communicate()
            return closing, err.decode(), out.decode(), process.returncode

    for ran in await asyncio.gather(*map(run, ("never", "last run", "own run", "every run"))):
        assert ran == (ran[0], "", "hello\n" * 6, 0)


async def test_one_client_serves_several_event_loops_at_once() -> None:
    async with serving(ANSWER) as server:
        client = server.client()
        texts: list[str | None] = []

        async def several() -> None:
            texts.extend(await asyncio.gather(*[asked(client) for _ in range(5)]))

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            threads = [threading.Thread(target=lambda: asyncio.run(several())) for _ in range(4)]
            for thread in threads:
                thread.start()
            texts.append(await asked(client))
            for thread in threads:
                await asyncio.to_thread(thread.join)
            await client.close()

    assert texts == ["hello"] * 21


def test_a_loop_that_rested_while_the_client_was_closed_can_close_its_connections_later() -> None:
    emulator = Emulator()
    emulator.script(text("hello", deltas=["hel", "lo"], stall_after=2))
    resting, other = asyncio.new_event_loop(), asyncio.new_event_loop()
    with run_in_thread(emulator) as server, closing(resting), closing(other):
        client = VeniceClient(api_key=KEY, base_url=server.url)
        stream = resting.run_until_complete(client.chat.completions.stream(model="m", messages=HI))

        for loop in (other, resting):
            loop.run_until_complete(client.close())

        with pytest.raises(StreamInterruptedError, match="the client was closed"):
            resting.run_until_complete(asyncio.wait_for(stream.collect(), PATIENCE_SECONDS))
        resting.run_until_complete(resting.shutdown_asyncgens())


async def test_many_concurrent_calls_are_not_limited_by_the_pool() -> None:
    async with serving([0.1, *ANSWER]) as server, server.client(limits=False) as client:
        texts = await asyncio.wait_for(asyncio.gather(*[asked(client) for _ in range(110)]), PATIENCE_SECONDS)

    assert texts == ["hello"] * 110
    assert server.connections == 110


# -- TLS -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """A certificate authority that nobody knows."""
    return trustme.CA()


def context_of(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate: Any = authority.issue_cert(name)
    certificate.configure_cert(context)
    return context


async def test_an_authority_of_one_s_own_is_trusted_by_its_file(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))

    async with serving(ANSWER, context=context_of(authority)) as server, server.client(ca_bundle=str(bundle)) as client:
        assert await asked(client) == "hello"


async def test_an_authority_of_one_s_own_is_trusted_by_a_context(authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    trusted: Any = authority
    trusted.configure_trust(context)

    async with serving(ANSWER, context=context_of(authority)) as server, server.client(ssl_context=context) as client:
        assert await asked(client) == "hello"


async def test_an_unknown_certificate_authority_is_not_trusted(authority: trustme.CA) -> None:
    async with serving(ANSWER, context=context_of(authority)) as server, server.client() as client:
        with pytest.raises(APIConnectionError, match=r"TLS.*ca_bundle"):
            await asked(client)

    assert server.received == []


async def test_a_certificate_for_another_host_is_not_trusted(authority: trustme.CA, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))

    context = context_of(authority, "another.invalid")
    async with serving(ANSWER, context=context) as server, server.client(ca_bundle=str(bundle)) as client:
        with pytest.raises(APIConnectionError, match="TLS"):
            await asked(client)

    assert server.received == []


async def test_the_error_of_https_to_a_plain_server_says_so() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with VeniceClient(api_key=KEY, base_url=f"https://127.0.0.1:{port}", max_retries=0) as client:
        with pytest.raises(APIConnectionError, match=rf"TLS.*127\.0\.0\.1:{port}.*http://") as caught:
            await asked(client)
    listening.close()

    assert "SSLContext" not in str(caught.value)
    assert "ca_bundle" not in str(caught.value)


async def test_a_file_that_holds_no_certificates_is_refused_by_name(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate")

    with pytest.raises(VeniceError, match=r"ca_bundle.*ca\.pem"):
        async with VeniceClient(api_key=KEY, base_url="https://127.0.0.1:9/", ca_bundle=str(bundle), max_retries=0) as client:
            await asked(client)


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequestError, match=r"ca_bundle.*nowhere\.pem"):
        VeniceClient(api_key=KEY, ca_bundle=str(tmp_path / "nowhere.pem"))


# -- proxies, and what else the environment says -------------------------------------------------------------------------

ELSEWHERE = "http://venice.invalid/api/v1"


@pytest.mark.parametrize(
    "variables",
    [
        pytest.param({"HTTP_PROXY": "{}"}, id="HTTP_PROXY"),
        pytest.param({"http_proxy": "{}"}, id="http_proxy"),
        pytest.param({"ALL_PROXY": "{}"}, id="ALL_PROXY"),
        pytest.param({"HTTP_PROXY": "{}", "NO_PROXY": "example.invalid,localhost"}, id="NO_PROXY of another host"),
        pytest.param({"HTTP_PROXY": "{}", "NO_PROXY": ""}, id="an empty NO_PROXY"),
        pytest.param({"HTTP_PROXY": "{}", "NO_PROXY": "venice.invalid:81"}, id="NO_PROXY of another port"),
        pytest.param({"HTTP_PROXY": "bob:pass-word@{address}"}, id="without a scheme"),
    ],
)
async def test_the_environment_s_proxy_is_used(variables: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(ANSWER) as proxy:
        url = proxy.url.removesuffix("/api/v1")
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(url, address=url.removeprefix("http://")))
        async with proxy.client(base_url=ELSEWHERE) as client:
            assert await asked(client) == "hello"

    assert proxy.received[0].target == f"{ELSEWHERE}/chat/completions"


@pytest.mark.parametrize(
    ("variables", "settings"),
    [
        pytest.param({"HTTP_PROXY": "http://127.0.0.1:9"}, {"trust_env": False}, id="the environment is not trusted"),
        pytest.param({"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}, {}, id="NO_PROXY"),
        pytest.param({"HTTP_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1:{}"}, {}, id="NO_PROXY with the port"),
        pytest.param({"HTTP_PROXY": "http://127.0.0.1:9", "no_proxy": "*"}, {}, id="NO_PROXY for all"),
        pytest.param({"HTTPS_PROXY": "http://127.0.0.1:9"}, {}, id="a proxy for https alone"),
        pytest.param({"HTTP_PROXY": "http://127.0.0.1:9"}, {}, id="a server on this machine"),
        pytest.param({"ALL_PROXY": "http://127.0.0.1:9", "NO_PROXY": ""}, {}, id="a server on this machine, and all proxies"),
    ],
)
async def test_a_proxy_that_does_not_apply_is_passed_by(
    variables: dict[str, str], settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(ANSWER) as server, server.client(**settings) as client:
        for name, value in variables.items():
            monkeypatch.setenv(name, value.format(urlsplit(server.url).port))
        assert await asked(client) == "hello"

    assert server.received[0].target == "/api/v1/chat/completions"


@pytest.mark.parametrize("trust_env", [True, False])
async def test_a_proxy_of_the_caller_s_is_used_whatever_the_environment_says(
    trust_env: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with serving(ANSWER) as proxy:
        address = proxy.url.removesuffix("/api/v1").replace("http://", "http://user:pass-word@")
        async with proxy.client(base_url=ELSEWHERE, proxy=address, trust_env=trust_env) as client:
            assert await asked(client) == "hello"

    (request,) = proxy.received
    assert request.target == f"{ELSEWHERE}/chat/completions"
    assert request.headers["proxy-authorization"] == f"Basic {base64.b64encode(b'user:pass-word').decode()}"
    assert request.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(b"", status="407 Proxy Authentication Required"), id="407"),
        pytest.param(reply(b"", status="502 Bad Gateway"), id="502"),
        pytest.param([CLOSE], id="closes"),
    ],
)
async def test_a_proxy_that_does_not_connect_is_named_without_its_password(answer: list[Step]) -> None:
    async with serving(answer) as proxy:
        address = proxy.url.removesuffix("/api/v1").replace("http://", "http://user:pass-word@")
        async with proxy.client(base_url="https://venice.invalid/api/v1", proxy=address) as client:
            with pytest.raises(APIConnectionError, match=r"proxy") as caught:
                await asked(client)

    assert proxy.received[0].method == "CONNECT"
    assert "authorization" not in proxy.received[0].headers, "the key is for the other side"
    assert "pass-word" not in str(caught.value)
    assert "pass-word" not in repr(caught.value)


@pytest.mark.parametrize(
    ("status", "remedy"),
    [("401 Unauthorized", "user:password@host"), ("403 Filtered", "Check proxy="), ("407 Who", "user:password@host")],
)
async def test_a_proxy_that_refuses_to_connect_is_asked_once(status: str, remedy: str) -> None:
    async with serving(*[reply(b"", status=status)] * 3) as proxy:
        address = proxy.url.removesuffix("/api/v1")
        async with proxy.client(base_url="https://venice.invalid/api/v1", proxy=address, max_retries=2) as client:
            with pytest.raises(APIConnectionError, match=remedy):
                await asked(client)

    assert len(proxy.received) == 1


async def test_the_error_of_a_refused_proxy_connection_names_the_proxy() -> None:
    async with VeniceClient(
        api_key=KEY, base_url=ELSEWHERE, proxy=f"http://user:pass-word@127.0.0.1:{closed_port()}", max_retries=0
    ) as client:
        with pytest.raises(APIConnectionError, match="proxy") as caught:
            await asked(client)

    assert "pass-word" not in str(caught.value)


NO_PROXIES = [
    *("socks5://bob:pass-word@proxy.invalid", "http://", "http://bob:pass-word@:99999", "http://bob:pass-word@", "::::"),
    *("bob:pass-word@proxy.invalid:port", "http://bob:pass word@proxy.invalid", "http://bob:pass-word@[::1"),
    *("http://bob:pass-word@bad..host", "http://bob:pass-word@proxy\u200b"),
]


@pytest.mark.parametrize("target", [ELSEWHERE, "https://venice.invalid/api/v1"])
async def test_a_proxy_without_a_password_is_not_given_the_key(target: str) -> None:
    async with serving(reply({}, status="502 Bad Gateway")) as proxy:
        client = proxy.client(base_url=target, proxy=proxy.url.removesuffix("/api/v1"))
        with pytest.raises(APIError):
            await asked(client)
        await client.close()

    (request,) = proxy.received
    assert "proxy-authorization" not in request.headers
    assert ("authorization" in request.headers) is (target == ELSEWHERE)  # there it is for whom the proxy asks


@pytest.mark.parametrize("steps", [[CLOSE], [b"SSH-2.0\r\n\r\n", CLOSE]], ids=["nothing", "no HTTP"])
async def test_a_proxy_that_breaks_off_before_it_connected_is_tried_again_for_nothing_was_sent(steps: list[Step]) -> None:
    async with serving(steps) as proxy:
        address = proxy.url.removesuffix("/api/v1")
        settings: dict[str, Any] = {"proxy": address, "max_retries": 2, "clock": RecordingClock()}
        async with proxy.client(base_url="https://venice.invalid/api/v1", **settings) as client:
            with pytest.raises(APIConnectionError, match="proxy") as caught:
                await asked(client)

    assert len(proxy.received) == 3
    assert "billed" not in str(caught.value)


@pytest.mark.parametrize("proxy", [*NO_PROXIES, "", 7], ids=repr)
def test_a_proxy_that_cannot_be_one_is_refused(proxy: Any) -> None:
    with pytest.raises(InvalidRequestError, match="proxy must be") as caught:
        VeniceClient(api_key=KEY, proxy=proxy)

    assert "pass" not in str(caught.value)


@pytest.mark.parametrize("proxy", NO_PROXIES, ids=repr)
@pytest.mark.parametrize("name", ["HTTP_PROXY", "ALL_PROXY"])
async def test_a_proxy_of_the_environment_s_that_cannot_be_one_is_refused_by_its_name(
    name: str, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, proxy)
    async with VeniceClient(api_key=KEY, base_url=ELSEWHERE) as client:
        with pytest.raises(InvalidRequestError, match=f"{name} must be") as caught:
            await asked(client)

    assert "pass" not in str(caught.value)


async def test_a_proxy_that_does_not_exist_is_named_and_nothing_was_billed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "nonsense.invalid")
    async with VeniceClient(api_key=KEY, base_url=ELSEWHERE, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="proxy") as caught:
            await asked(client)

    assert "billed" not in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_only_a_chat_that_breaks_off_may_have_been_billed(method: str) -> None:
    async with serving([CLOSE]) as server, server.client() as client:
        with pytest.raises(APIConnectionError) as caught:
            await (asked(client) if method == "POST" else client.models.list())

    assert ("billed" in str(caught.value)) == (method == "POST")


async def test_a_netrc_file_is_never_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login someone password secret\ndefault login someone password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("HOME", str(tmp_path))
    async with serving(MODELS) as server:
        for key in (None, KEY):
            async with server.client(api_key=key) as client:
                await client.models.list()

    assert [request.headers.get("authorization") for request in server.received] == [None, f"Bearer {KEY}"]


async def test_cookies_are_not_kept() -> None:
    cookie = reply(completion(), headers={"Set-Cookie": "session=1"})
    async with serving(cookie) as server, server.client() as client:
        await asked(client)
        await asked(client)

    assert "cookie" not in server.received[1].headers


async def test_done_is_the_end_of_a_compressed_stream_too() -> None:
    body = gzip.compress(b"".join(hello()))
    headers = {"Content-Type": "text/event-stream", "Content-Encoding": "gzip", "Content-Length": str(len(body))}
    async with serving([head("200 OK", headers) + body]) as server, server.client() as client:
        assert await streamed_text(client) == "hello"


async def test_a_large_event_comes_whole() -> None:
    text = "x" * 2_000_000
    async with serving(streamed(event(chunk(text, finish="stop")), DONE)) as server, server.client() as client:
        assert await streamed_text(client) == text


def test_no_proxy_is_set_in_the_environment_of_these_tests() -> None:
    assert not [name for name in os.environ if name.lower().endswith("_proxy")]


# -- the caller's session ------------------------------------------------------------------------------------------------


async def test_a_session_of_the_caller_s_is_sent_through_and_stays_open() -> None:
    async with (
        serving(ANSWER, streamed(*hello()), MODELS) as server,
        aiohttp.ClientSession(headers={"X-Team": "blue"}) as session,
    ):
        async with server.client(session=session) as client:
            assert await asked(client) == "hello"
            assert await streamed_text(client) == "hello"
        assert not session.closed
        async with server.client(session=session) as another:
            await another.models.list()

    assert [request.headers["x-team"] for request in server.received] == ["blue"] * 3
    assert [request.headers["authorization"] for request in server.received] == [f"Bearer {KEY}"] * 3
    assert "authorization" not in session.headers
    assert server.connections == 1


async def test_redirects_errors_time_limits_and_decompression_are_ours_whatever_the_session_says() -> None:
    limits = aiohttp.ClientTimeout(total=0.001)
    packed = reply(gzip.compress(json.dumps(completion()).encode()), headers={"Content-Encoding": "gzip"})
    redirect = reply(b"", status="307 Temporary Redirect", headers={"Location": "http://elsewhere.invalid/"})
    refusal = reply({"error": "no"}, status="404 Not Found")
    async with (
        serving([0.05, *packed], redirect, refusal) as server,
        aiohttp.ClientSession(timeout=limits, raise_for_status=True, auto_decompress=False) as session,
        server.client(session=session) as client,
    ):
        assert await asked(client) == "hello"
        with pytest.raises(APIError, match="redirect"):
            await asked(client)
        with pytest.raises(NotFoundError):
            await asked(client)


async def test_a_session_s_proxy_and_tls_are_its_own(authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    trusted: Any = authority
    trusted.configure_trust(context)
    async with (
        serving(ANSWER) as proxy,
        serving(ANSWER, context=context_of(authority)) as server,
        aiohttp.ClientSession(proxy=proxy.url.removesuffix("/api/v1")) as proxied,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as trusting,
    ):
        assert await asked(VeniceClient(api_key=KEY, base_url=ELSEWHERE, session=proxied)) == "hello"
        assert await asked(server.client(session=trusting)) == "hello"

    assert proxy.received[0].target == f"{ELSEWHERE}/chat/completions"


async def test_closing_the_client_ends_its_calls_over_a_session_of_the_caller_s() -> None:
    async with serving([SILENCE]) as server, aiohttp.ClientSession() as session:
        client = server.client(session=session)
        call = asyncio.ensure_future(asked(client))
        await asyncio.wait_for(server.silent.wait(), PATIENCE_SECONDS)

        await asyncio.wait_for(client.close(), PATIENCE_SECONDS)

        with pytest.raises(APIConnectionError, match="the client was closed"):
            await asyncio.wait_for(call, PATIENCE_SECONDS)


async def test_a_session_that_was_closed_or_belongs_to_another_loop_is_refused_before_anything_is_sent() -> None:
    async with serving(ANSWER) as server, aiohttp.ClientSession() as session:
        elsewhere = server.client(session=session)
        with pytest.raises(InvalidRequestError, match="another event loop"):
            await asyncio.to_thread(lambda: asyncio.run(asked(elsewhere)))
        await session.close()
        with pytest.raises(InvalidRequestError, match="closed"):
            await asked(server.client(session=session))

    assert server.received == []


@pytest.mark.parametrize("session", [7, "session", object()])
def test_a_session_of_another_type_is_refused(session: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"session=.*ClientSession"):
        VeniceClient(api_key=KEY, session=session)


@pytest.mark.parametrize(
    "other", [{"proxy": "http://127.0.0.1:9"}, {"ssl_context": ssl.create_default_context()}, {"ca_bundle": __file__}]
)
async def test_settings_that_a_session_has_itself_are_refused_beside_it(other: dict[str, Any]) -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(InvalidRequestError, match=f"session and {next(iter(other))} .* in the session itself"):
            VeniceClient(api_key=KEY, session=session, **other)


# -- framing, and what has no end ----------------------------------------------------------------------------------------

OPENING = head("200 OK", {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
PATIENCE = Timeout(first_chunk=60, idle=60)


@pytest.mark.parametrize("own", [True, False], ids=["our session", "the caller's session"])
@pytest.mark.parametrize("pause", [0.03, None], ids=["in a packet of its own", "with the last chunk"])
async def test_a_chunk_of_no_size_is_an_error_at_once_after_what_came_before_it(own: bool, pause: float | None) -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in [event(chunk("hel"))])
    steps: list[Step] = [OPENING, 0.03, framed + b"zz\r\n"] if pause is None else [OPENING, framed, pause, b"zz\r\n"]
    async with serving([*steps, SILENCE]) as server, aiohttp.ClientSession() as session:
        client = server.client(session=None if own else session, timeout=PATIENCE)
        with pytest.raises(StreamInterruptedError) as caught:
            await asyncio.wait_for(streamed_text(client), PATIENCE_SECONDS)
        await client.close()

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


async def test_a_chunk_of_no_size_within_a_plain_answer_is_an_error_at_once() -> None:
    async with serving([OPENING, b"1\r\n{\r\n", 0.03, b"zz\r\n", SILENCE]) as server, server.client() as client:
        with pytest.raises(APIConnectionError):
            await asyncio.wait_for(asked(client), PATIENCE_SECONDS)


async def test_a_stream_that_is_whole_is_whole_whatever_its_trailer_says() -> None:
    framed = b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in hello())
    end = b"0\r\nnonsense\r\n\r\n"
    ends: list[list[Step]] = [[OPENING, 0.03, framed + end], [OPENING, framed, 0.03, end]]
    for steps in ends:
        async with serving([*steps, SILENCE]) as server, server.client(timeout=PATIENCE) as client:
            assert await asyncio.wait_for(streamed_text(client), PATIENCE_SECONDS) == "hello"


@pytest.mark.parametrize("how", ["stream", "plain", "refusal"])
async def test_a_compression_bomb_is_a_typed_error_and_does_not_block_the_event_loop(how: str) -> None:
    status = "404 Not Found" if how == "refusal" else "200 OK"
    kind = "text/event-stream" if how == "stream" else "application/json"
    data = (b"data: " if how == "stream" else b"") + b"x"
    body = gzip.compress(data) + bomb(300)
    headers = {"Content-Type": kind, "Content-Encoding": "gzip", "Content-Length": str(len(body))}
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    errors: dict[str, type[APIError]] = {"stream": StreamInterruptedError, "plain": APIResponseProcessingError}
    async with serving([head(status, headers) + body]) as server, server.client(timeout=FAR) as client:
        counting = asyncio.ensure_future(count())
        with pytest.raises(errors.get(how, NotFoundError)) as caught:
            await (streamed_text(client) if how == "stream" else asked(client))
        counting.cancel()

    # No more than 64 KiB are inflated between two turns.
    assert turns > {"stream": 64 * 16, "plain": 256 * 16, "refusal": 4 * 16}[how] * 0.9
    if how == "refusal":
        assert len(caught.value.body) == 4 * 2**20


@pytest.mark.parametrize(
    "before", [b"", b": ", b"data: ", b"data: x\n", b"data: %b\r\n" % (b"x" * 1000)], ids=lambda each: each[:9]
)
async def test_an_event_a_line_and_a_comment_without_an_end_are_typed_errors(before: bytes) -> None:
    piece = b"x" * 2**20 if before[-1:] != b"\n" else before * (2**20 // len(before))
    endless = [b"%x\r\n%b\r\n" % (len(piece), piece)] * 80
    first = event(chunk("hel")) + before
    async with (
        serving([OPENING, b"%x\r\n%b\r\n" % (len(first), first), *endless, SILENCE]) as server,
        server.client() as client,
    ):
        with pytest.raises(StreamInterruptedError, match="64 MiB") as caught:
            await streamed_text(client)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


async def test_an_error_of_a_stream_survives_a_pickle_with_its_headers() -> None:
    async with serving([*streamed(b": \n\n", end=False), CLOSE]) as server, server.client() as client:
        with pytest.raises(APIError) as caught:
            await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    meta = pickle.loads(pickle.dumps(caught.value)).meta

    assert meta.headers["content-type"] == "text/event-stream"
