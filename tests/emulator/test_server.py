"""The emulator on a socket."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest

from venice_ai.emulator import Emulator, Step, refused, run_in_thread, serve, text
from venice_ai.exceptions import InvalidRequestError, VeniceError

from .asking import HELLO, KEY, hello


async def test_a_server_has_the_url_of_its_socket() -> None:
    async with serve(Emulator()) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/api/v1"
        assert server.port > 0


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
async def test_a_public_address_is_refused_without_allow_remote(host: str) -> None:
    with pytest.raises(InvalidRequestError, match="allow_remote=True"):
        async with serve(Emulator(), host=host):
            pass


async def test_a_public_address_is_served_with_allow_remote() -> None:
    async with serve(Emulator(), host="0.0.0.0", allow_remote=True) as server:
        assert await _models(server.url) == 200


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "::1"])
async def test_a_server_listens_at_any_name_of_this_machine(host: str) -> None:
    if host == "::1" and not _has_ipv6():
        pytest.skip("this machine has no IPv6")
    async with serve(Emulator(), host=host) as server:
        assert await _models(server.url) == 200


async def test_a_port_in_use_is_an_error_with_a_remedy() -> None:
    async with serve(Emulator()) as server:
        with pytest.raises(VeniceError, match=f"port {server.port} on 127.0.0.1 is in use; choose another, or port=0"):
            async with serve(Emulator(), port=server.port):
                pass


def test_a_thread_serves_synchronous_code() -> None:
    emulator = Emulator()
    with run_in_thread(emulator) as server, urllib.request.urlopen(f"{server.url}/models") as reply:
        assert reply.status == 200
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{server.url}/models")
    assert len(emulator.requests) == 1


def test_a_thread_that_cannot_start_raises_in_its_caller() -> None:
    with pytest.raises(InvalidRequestError), run_in_thread(Emulator(), host="0.0.0.0"):
        pass


async def test_waits_take_real_time_on_a_socket() -> None:
    emulator = Emulator()
    emulator.script(text("abc", first_token_delay=0.1))
    async with serve(emulator) as server, aiohttp.ClientSession() as session:
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with session.post(f"{server.url}/chat/completions", json=HELLO, headers=KEY) as reply:
            headers_at = loop.time()
            await reply.read()
        assert loop.time() - began >= 0.1 > headers_at - began
    assert emulator.clock.now() == 0


async def test_a_refused_connection_is_dropped() -> None:
    emulator = Emulator()
    emulator.script(refused())
    async with serve(emulator) as server, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientOSError):
            await session.post(f"{server.url}/chat/completions", json=HELLO, headers=KEY)


@pytest.mark.parametrize("body", [pytest.param(HELLO, id="plain"), pytest.param(hello(stream=True), id="stream")])
async def test_only_plain_answers_are_compressed(body: dict[str, Any]) -> None:
    emulator = Emulator()
    emulator.script(text("abc " * 1_000))
    accepting = {**KEY, "Accept-Encoding": "gzip, br"}
    async with _posted(emulator, body, accepting) as reply:
        await reply.read()
        assert reply.headers.get("Content-Encoding") == (None if body.get("stream") else "gzip")


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        pytest.param("gzip;q=0", None, id="refused"),
        pytest.param("br, GZIP ; Q=0.000", None, id="refused in capitals"),
        pytest.param("*;q=0.5, gzip;q=0", None, id="all but this"),
        pytest.param("br, gzip;q=0.001", "gzip", id="hardly wanted"),
        pytest.param("*", "gzip", id="anything"),
        pytest.param("identity", None, id="nothing"),
        pytest.param("x-not-gzip", None, id="another name"),
    ],
)
async def test_a_coding_that_the_client_does_not_accept_is_not_used(accepted: str, coding: str | None) -> None:
    emulator = Emulator()
    emulator.script(text("abc " * 1_000))
    async with _posted(emulator, HELLO, {**KEY, "Accept-Encoding": accepted}) as reply:
        assert reply.headers.get("Content-Encoding") == coding
        assert b"abc abc" in await reply.read()


@pytest.mark.parametrize("body", [HELLO, hello(stream=True)], ids=["plain", "stream"])
@pytest.mark.parametrize("kept", ["", "Connection: keep-alive\r\n"], ids=["", "kept alive"])
async def test_a_client_of_http_1_0_gets_its_answer(body: dict[str, Any], kept: str) -> None:
    emulator = Emulator()
    emulator.script(text("abc def"))
    content = json.dumps(body)
    async with serve(emulator) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        head = f"POST /api/v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer k\r\nContent-Type: application/json\r\n{kept}"
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n{content}".encode())
        top = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = next((line.partition(":")[2] for line in top.splitlines() if line.startswith("content-length:")), None)
        answer = await (reader.read() if length is None else reader.readexactly(int(length)))
        writer.close()
    assert top.startswith("http/1.0 200 ")
    assert "transfer-encoding" not in top
    assert (length is None) is ("stream" in body)
    if "stream" in body:
        assert answer.endswith(b"data: [DONE]\n\n")
    else:
        assert json.loads(answer)["choices"][0]["message"]["content"] == "abc def"


async def test_with_cors_pages_of_any_origin_may_send_requests() -> None:
    preflight = {"Origin": "https://a.example", "Access-Control-Request-Headers": "authorization,content-type"}
    async with serve(Emulator(cors=True)) as server, aiohttp.ClientSession() as session:
        url = f"{server.url}/chat/completions"
        async with session.options(url, headers=preflight) as reply:
            assert reply.status == 204
            assert reply.headers["Access-Control-Allow-Origin"] == "*"
            assert reply.headers["Access-Control-Allow-Headers"] == "authorization,content-type"
            assert "POST" in reply.headers["Access-Control-Allow-Methods"]
        for given in (KEY, {}):
            async with session.post(url, json=hello(stream=True), headers=given) as reply:
                assert reply.status == (200 if given else 402)
                assert reply.headers["Access-Control-Allow-Origin"] == "*"
    async with (
        serve(Emulator()) as server,
        aiohttp.ClientSession() as session,
        session.options(f"{server.url}/models", headers=preflight) as reply,
    ):
        assert reply.status == 405
        assert "Access-Control-Allow-Origin" not in reply.headers


async def test_every_packet_is_sent_by_itself() -> None:
    emulator = Emulator()
    emulator.script(text("abc", piece_bytes=1, chunk_delay=0.001))
    async with serve(emulator) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        body = b'{"model":"venice-1","stream":true,"messages":[{"role":"user","content":"x"}]}'
        head = [
            "POST /api/v1/chat/completions HTTP/1.1",
            "Host: a",
            "Authorization: Bearer k",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)
        raw = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert raw.count(b"\r\n1\r\n") > 100  # chunks of one byte
    assert raw.endswith(b"\r\n0\r\n\r\n")


async def test_a_stream_stays_open_until_the_caller_leaves() -> None:
    emulator = Emulator()
    emulator.script(text("abc", open_after_done=True))
    async with _posted(emulator, hello(stream=True)) as reply:
        seen = b""
        while b"[DONE]" not in seen:
            seen += await reply.content.readany()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await reply.content.readany()


class Endless:
    """A backend that never ends."""

    model_id = "endless"
    context_tokens = 100

    def __init__(self) -> None:
        self.left = asyncio.Event()

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        try:
            while True:
                yield {"choices": [{"index": 0, "delta": {"content": "1"}, "finish_reason": None}]}
                await asyncio.sleep(0.001)
        finally:
            self.left.set()

    async def aclose(self) -> None:
        pass


@pytest.mark.parametrize("stream", [True, False])
async def test_a_caller_who_leaves_stops_the_backend(stream: bool) -> None:
    backend = Endless()
    async with serve(Emulator(backend=backend)) as server, aiohttp.ClientSession() as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                body = hello(model="endless", stream=stream)
                async with session.post(f"{server.url}/chat/completions", json=body, headers=KEY) as reply:
                    await reply.read()
        async with asyncio.timeout(30):
            await backend.left.wait()


async def test_many_concurrent_requests_get_their_own_answers() -> None:
    async with serve(Emulator()) as server, aiohttp.ClientSession() as session:

        async def once(number: int) -> str:
            body = hello(messages=[{"role": "user", "content": f"number {number}"}])
            async with session.post(f"{server.url}/chat/completions", json=body, headers=KEY) as reply:
                content: str = (await reply.json())["choices"][0]["message"]["content"]
                return content

        answers = await asyncio.gather(*map(once, range(50)))
    assert all(f"number {number}" in answer for number, answer in enumerate(answers))


async def _models(url: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(f"{url}/models") as reply:
        return reply.status


@asynccontextmanager
async def _posted(
    emulator: Emulator, body: dict[str, Any], headers: dict[str, str] = KEY
) -> AsyncGenerator[aiohttp.ClientResponse]:
    async with (
        serve(emulator) as server,
        aiohttp.ClientSession() as session,
        session.post(f"{server.url}/chat/completions", json=body, headers=headers) as reply,
    ):
        yield reply


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.parametrize(
    "step", [text("hi", reset_at=0), text("hi", reset_at=40), refused()], ids=["at once", "within", "refused"]
)
async def test_a_connection_that_breaks_off_does_not_look_like_an_orderly_end(step: Step) -> None:
    emulator = Emulator()
    emulator.script(step)
    content = json.dumps(hello(stream=True)).encode()
    head = (
        "POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer any\r\nContent-Type: application/json\r\n"
    )
    async with serve(emulator) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        with pytest.raises(ConnectionResetError):
            await reader.read()
        writer.close()


@pytest.mark.parametrize("port", [-1, 65_536, 99_999])
async def test_a_number_that_is_not_a_port_is_refused(port: int) -> None:
    with pytest.raises(InvalidRequestError, match="is not a port"):
        async with serve(Emulator(), port=port):
            pass


async def test_a_body_that_calls_itself_compressed_and_is_not_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    async with (
        serve(Emulator()) as server,
        aiohttp.ClientSession() as session,
        session.post(
            f"{server.url}/chat/completions",
            data=b'{"model": "default"}',
            headers={"Content-Encoding": "gzip", "Authorization": "Bearer k", "Content-Type": "application/json"},
        ) as reply,
    ):
        assert reply.status == 400

    assert caplog.records == []


@pytest.mark.parametrize("turns", range(5))
async def test_a_connection_that_is_accepted_last_is_closed(turns: int) -> None:
    async with serve(Emulator()) as server:
        caller = socket.create_connection((server.host, server.port))
        for _ in range(turns):  # the loop accepts it in these, or not
            await asyncio.sleep(0)
    caller.setblocking(False)
    with caller, suppress(ConnectionResetError):  # never accepted
        async with asyncio.timeout(10):
            assert await asyncio.get_running_loop().sock_recv(caller, 1) == b""
