"""A plain call of the synchronous client is made in the thread that calls, by the standard library's HTTP.

Its user sees no difference: every reply gives the same answer, or the same error, as with the asynchronous client.
"""

from __future__ import annotations

import asyncio
import gc
import gzip
import json
import select
import ssl
import sys
import threading
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
import trustme

from venice_ai import (
    APIConnectionError,
    APIError,
    ChatCompletionResponse,
    ConnectError,
    ConnectTimeoutError,
    InvalidRequestError,
    PayloadTooLargeError,
    SyncVeniceClient,
    Timeout,
    VeniceClient,
    VeniceError,
)
from venice_ai._core.ports import drive
from venice_ai._http.blocking_transport import BlockingTransport
from venice_ai._http.routes import KEEP_ALIVE_SECONDS, Routes

from ..fakes import HI, KEY, RecordingClock, completion
from ..scripted_server import ABORT, CLOSE, PATIENCE_SECONDS, SILENCE, Server, Step, head, reply, serving
from ..sync.test_sync_processes import said
from .test_http import ANSWER, FAR, MODELS, context_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there every call takes the event loop")

RAW = json.dumps(completion()).encode()
LENGTH = {"Content-Type": "application/json", "Content-Length": str(len(RAW))}


def sync_client(server: Server, **settings: Any) -> SyncVeniceClient:
    chosen: dict[str, Any] = {"api_key": KEY, "base_url": server.url, "max_retries": 0, **settings}
    return SyncVeniceClient(**chosen)


def ask(client: SyncVeniceClient, **params: Any) -> ChatCompletionResponse:
    asked: dict[str, Any] = {"model": "m", "messages": HI, **params}
    return cast("ChatCompletionResponse", client.chat.completions.create(**asked))


async def in_thread(server: Server, **settings: Any) -> ChatCompletionResponse:
    """The answer to one call, in a thread that has no event loop."""

    def call() -> ChatCompletionResponse:
        with sync_client(server, **settings) as client:
            return ask(client)

    return await asyncio.to_thread(call)


def outcome(error: BaseException | None, answer: ChatCompletionResponse | None) -> Any:
    if answer is not None:
        # aiohttp 3.13 keeps the blanks after a header's value.
        return answer, answer.meta.status_code, {name: value.strip() for name, value in answer.meta.headers.items()}
    assert isinstance(error, VeniceError)
    return type(error), error.message, getattr(error, "status_code", None), getattr(error, "body", None)


# -- the same as the other client ----------------------------------------------------------------------------------------

CHUNKED = head("200 OK", {"Content-Type": "application/json", "Transfer-Encoding": "chunked"})
SITUATIONS: dict[str, list[Step]] = {
    "an answer": ANSWER,
    "byte by byte": [bytes([each]) for each in head("200 OK", LENGTH) + RAW],
    "in chunks": [CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (len(RAW), RAW)],
    "until the connection ends": [head("200 OK", {"Content-Type": "application/json"}) + RAW, CLOSE],
    "gzip": reply(gzip.compress(RAW), headers={"Content-Encoding": "gzip"}),
    "deflate": reply(zlib.compress(RAW), headers={"Content-Encoding": "deflate"}),
    "a header twice": reply(completion(), headers={"X-One": "1", "x-one": "2"}),
    "a header of 20 kB": reply(completion(), headers={"X-Long": "a" * 20_000}),
    "early hints": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", *ANSWER],
    "go on": [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n", *ANSWER],
    "a header with characters beyond ASCII": [head("200 OK", {"X-Name": "Città d'acqua", **LENGTH}) + RAW],
    "a header with colons and blanks": reply(completion(), headers={"X-One": " a: b,\tc ", "X-Two": ""}),
    "120 headers": reply(completion(), headers={f"X-{number}": "a" for number in range(120)}),
    "a warning": reply(completion(), headers={"x-venice-model-deprecation-warning": "soon"}),
    "a refusal": reply({"error": "no such model"}, status="404 Not Found"),
    "a refusal with a wait": reply({"error": "slow"}, status="429 Too Many", headers={"Retry-After": "7"}),
    "a refusal in HTML": reply(b"<html>", status="502 Bad Gateway", headers={"Content-Type": "text/html"}),
    "a redirect": reply(b"", status="307 Temporary Redirect", headers={"Location": "http://elsewhere.example/"}),
    "HTML": reply(b"<html>", headers={"Content-Type": "text/html"}),
    "nothing": reply(b""),
    "an error with 200": reply({"error": "boo"}),
    "another status": reply(completion(), status="201 Created"),
}


@pytest.mark.parametrize("name", SITUATIONS)
async def test_both_clients_give_the_same_answer_or_error_for_a_reply(name: str) -> None:
    found: list[Any] = []
    async with serving(SITUATIONS[name]) as server:
        for call in (in_thread, awaited):
            try:
                found.append(outcome(None, await call(server)))
            except VeniceError as error:
                found.append(outcome(error, None))

    blocking, asynchronous = found
    assert blocking == asynchronous
    assert [each.body for each in server.received] == [server.received[0].body] * 2
    names = [{*each.headers} for each in server.received]
    assert names[0] == names[1]


async def awaited(server: Server, **settings: Any) -> ChatCompletionResponse:
    async with server.client(**settings) as client:
        return await client.chat.completions.create(model="m", messages=HI)


BREAKS: dict[str, list[Step]] = {
    "before a word": [CLOSE],
    "a reset": [ABORT],
    "half a head": [b"HTTP/1.1 200 OK\r\nContent-", CLOSE],
    "half a body": [head("200 OK", LENGTH) + RAW[:20], CLOSE],
    "half a chunk": [CHUNKED + b"50\r\n{", CLOSE],
    "no HTTP": [b"hello\r\n\r\n", CLOSE],
    "no HTTP, and silence": [b"hello\r\n", SILENCE],
    "a header without a colon": [b"HTTP/1.1 200 OK\r\nnonsense\r\nContent-Length: 2\r\n\r\n{}"],
    "a header of 70 kB": reply(completion(), headers={"X-Long": "a" * 70_000}),
    "300 headers": reply(completion(), headers={f"X-{number}": "a" for number in range(300)}),
    "no gzip": reply(b"no gzip", headers={"Content-Encoding": "gzip"}),
}


@pytest.mark.parametrize("name", BREAKS)
async def test_both_clients_raise_the_same_error_for_a_broken_reply(name: str) -> None:
    async with serving(BREAKS[name]) as server:
        with pytest.raises(APIError) as blocking:
            await in_thread(server)
        with pytest.raises(APIError) as asynchronous:
            await awaited(server)

    assert type(blocking.value) is type(asynchronous.value)
    for caught in (blocking, asynchronous):
        assert "broke" in caught.value.message
        assert caught.value.message.endswith("The call may have been billed.")


@pytest.mark.parametrize(
    ("lines", "header"), [(b"X-One: a\r\n b\r\n\tc\r\n", "a b c"), (b"X-One:a\n", "a"), (b"X-One:\xff\r\n", "\udcff")]
)
async def test_a_header_that_is_written_oddly_is_read_all_the_same(lines: bytes, header: str) -> None:
    async with serving([head("200 OK", LENGTH).removesuffix(b"\r\n") + lines + b"\r\n" + RAW]) as server:
        answer = await in_thread(server)

    assert answer.text == "hello"
    assert answer.meta.headers["x-one"] == header


async def test_an_unrequested_content_encoding_is_an_error() -> None:
    async with serving(reply(RAW, headers={"Content-Encoding": "br"})) as server:
        with pytest.raises(APIError, match="'br', which was not asked for"):
            await in_thread(server)


async def test_deflate_without_its_head_is_read() -> None:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    bare = packer.compress(RAW) + packer.flush()
    async with serving(reply(bare, headers={"Content-Encoding": "deflate"})) as server:
        assert (await in_thread(server)).text == "hello"


async def test_both_clients_raise_the_same_error_for_a_refused_connection() -> None:
    async with serving(ANSWER) as server:
        pass
    with pytest.raises(APIError) as blocking:
        await in_thread(server)
    with pytest.raises(APIError) as asynchronous:
        await awaited(server)
    assert outcome(blocking.value, None) == outcome(asynchronous.value, None)


# -- time ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param([SILENCE], id="nothing"),
        pytest.param([head("200 OK", LENGTH), SILENCE], id="no body"),
        pytest.param([step for each in head("200 OK", LENGTH) + RAW for step in (bytes([each]), 0.02)], id="a trickle of 6 s"),
    ],
)
async def test_both_clients_time_out_by_the_same_clock_with_the_same_error(steps: list[Step]) -> None:
    async with serving(steps) as server:
        with pytest.raises(APIError) as blocking:
            await in_thread(server, timeout=0.3)
        with pytest.raises(APIError) as asynchronous:
            await awaited(server, timeout=0.3)

    assert outcome(blocking.value, None) == outcome(asynchronous.value, None)
    assert blocking.value.message.startswith("the call did not finish within 0.3 s (the 'deadline' clock)")


@pytest.mark.parametrize(
    ("clocks", "clock"),
    [
        pytest.param(Timeout(connect=0.3), "connect", id="connect"),
        pytest.param(Timeout(deadline=0.3), "deadline", id="deadline"),
    ],
)
@pytest.mark.parametrize("call", [in_thread, awaited])
async def test_a_connection_that_does_not_come_about_is_given_up_in_time_by_both_clients(
    call: Any, clocks: Timeout, clock: str
) -> None:
    # Nobody answers the greeting of TLS.
    async with serving([SILENCE]) as server:
        server.url = server.url.replace("http:", "https:")
        with pytest.raises(ConnectTimeoutError) as caught:
            await call(server, timeout=clocks)
    assert caught.value.clock == clock


async def test_a_limit_of_thirty_years_is_a_limit_like_others() -> None:
    async with serving(ANSWER) as server:
        assert (await in_thread(server, timeout=FAR)).text == "hello"


async def test_a_blocking_call_is_retried_after_a_wait() -> None:
    busy = reply({"error": "busy"}, status="503 Busy", headers={"Retry-After": "0.05"})
    async with serving(busy, ANSWER) as server:
        found = await in_thread(server, max_retries=1)
    assert (found.text, found.meta.attempts) == ("hello", 2)


# -- connections ---------------------------------------------------------------------------------------------------------


async def calls(server: Server, work: Callable[[SyncVeniceClient], Any]) -> Any:
    def call() -> Any:
        with sync_client(server) as client:
            return work(client)

    return await asyncio.to_thread(call)


async def test_one_connection_serves_calls_that_follow_each_other() -> None:
    async with serving(ANSWER) as server:
        await calls(server, lambda client: [ask(client) for _ in range(3)])
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)
    assert (server.connections, len(server.received)) == (1, 3)


async def test_a_connection_that_the_server_dropped_between_calls_is_made_anew() -> None:
    async with serving([*ANSWER, CLOSE]) as server:

        def twice(client: SyncVeniceClient) -> list[Any]:
            first = ask(client).text
            (end,) = server.ends()
            assert select.select([end], [], [], 10)[0], "the server's farewell came"
            return [first, ask(client).text]

        assert await calls(server, twice) == ["hello", "hello"]
    assert server.connections == 2


async def test_a_longer_refusal_is_not_read_and_its_connection_is_dropped() -> None:
    endless: list[Step] = [head("404 Not Found", {"Content-Length": str(2**30)}), *[b" " * 65_536] * 80, SILENCE]
    async with serving(endless) as server:
        with pytest.raises(APIError):
            await calls(server, ask)
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


async def test_threads_wait_side_by_side() -> None:
    async with serving([asyncio.Barrier(8), *ANSWER]) as server:  # nobody is answered before all have asked

        def many(client: SyncVeniceClient) -> list[str | None]:
            texts: list[str | None] = []
            threads = [threading.Thread(target=lambda: texts.append(ask(client, timeout=30).text)) for _ in range(8)]
            for each in threads:
                each.start()
            for each in threads:
                each.join()
            return texts

        assert await calls(server, many) == ["hello"] * 8
    assert server.connections == 8


async def test_idle_connections_are_closed() -> None:
    together, clock = asyncio.Barrier(4), RecordingClock()
    async with serving(*[[together, *ANSWER]] * 4, ANSWER) as server:
        transport = BlockingTransport(Routes(), clock)
        request = VeniceClient(api_key=KEY, base_url=server.url).build_request("POST", "/chat/completions", body=b"{}")
        await asyncio.gather(*(asyncio.to_thread(drive, transport.send(request)) for _ in range(4)))
        clock.passed += KEEP_ALIVE_SECONDS * 0.9
        await asyncio.to_thread(drive, transport.send(request))  # on one of the four
        assert (server.connections, server.open) == (4, 4)

        clock.passed += KEEP_ALIVE_SECONDS * 0.9
        await asyncio.to_thread(drive, transport.send(request))  # on the same one

        async with asyncio.timeout(PATIENCE_SECONDS):
            while server.open > 1:
                await asyncio.sleep(0.01)
        assert (server.connections, server.open) == (4, 1)
        drive(transport.aclose())


async def test_a_client_that_is_collected_closes_its_connections() -> None:
    async with serving(ANSWER) as server:

        def forget() -> None:
            ask(sync_client(server))
            gc.collect()

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await asyncio.to_thread(forget)
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


async def test_a_closed_client_refuses_and_an_entered_one_goes_on() -> None:
    async with serving(ANSWER) as server:

        def work(client: SyncVeniceClient) -> str | None:
            ask(client)
            client.close()
            with pytest.raises(VeniceError, match="was closed"):
                ask(client)
            with client:
                return ask(client).text

        assert await calls(server, work) == "hello"


# -- TLS -----------------------------------------------------------------------------------------------------------------


async def test_both_clients_verify_tls_alike(tmp_path: Path) -> None:
    authority, file = trustme.CA(), tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(str(file))
    async with serving(ANSWER, context=context_of(authority)) as server:
        assert (await in_thread(server, ca_bundle=str(file))).text == "hello"

        found = [await refused(call, server) for call in (in_thread, awaited)]
        assert found[0] is found[1]

        trusting = ssl.create_default_context()
        cast("Any", authority).configure_trust(trusting)
        assert (await in_thread(server, ssl_context=trusting)).text == "hello"


async def refused(call: Any, server: Server) -> type[BaseException]:
    with pytest.raises(APIError, match=r"no trusted TLS connection .* or pass ca_bundle") as caught:
        await call(server)
    return type(caught.value)


async def test_the_error_of_https_to_a_plain_server_is_the_same_for_both_clients() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0)
    server = Server(f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    with pytest.raises(APIError) as blocking:
        await in_thread(server)
    with pytest.raises(APIError) as asynchronous:
        await awaited(server)
    listening.close()

    assert outcome(blocking.value, None) == outcome(asynchronous.value, None)
    assert "it speaks plain http" in blocking.value.message


# -- which calls ---------------------------------------------------------------------------------------------------------


PROXIED = """
venice, proxy = "http://venice.example/api/v1", sys.argv[1].removesuffix("/api/v1")
ask(SyncVeniceClient(api_key="k", base_url=venice, proxy=proxy))
"""
PARSED = """
from pydantic import BaseModel
class Said(BaseModel):
    choices: list[object]
try:
    client.chat.completions.parse(model="m", messages=messages, response_format=Said, strict=False)
except ValueError:
    pass
"""


@pytest.mark.parametrize(
    ("program", "replied", "threads"),
    [
        pytest.param("ask()", ANSWER, ["MainThread"], id="a plain call"),
        pytest.param(PARSED, ANSWER, ["MainThread"], id="parse"),
        pytest.param("client.models.list()", MODELS, ["MainThread", "venice-ai"], id="what is shared"),
        pytest.param(PROXIED, ANSWER, ["MainThread", "venice-ai"], id="through a proxy"),
    ],
)
async def test_the_thread_that_calls_is_enough_for_one_request_after_the_other(
    program: str, replied: list[Step], threads: list[str]
) -> None:
    async with serving(replied) as server:
        lines = await said(f"{program}\nprint(*(thread.name for thread in threading.enumerate()))", server)
    assert lines == [" ".join(threads)]
    assert len(server.received) == 1


@pytest.mark.parametrize(
    "params", [{"e2ee": True}, {"venice_parameters": {"enable_e2ee": True}}], ids=["e2ee", "venice_parameters"]
)
async def test_an_encrypted_call_is_refused_before_the_blocking_transport_sends_it(params: dict[str, Any]) -> None:
    async with serving(ANSWER) as server:
        with pytest.raises(InvalidRequestError, match="has no end-to-end encryption"):
            await calls(server, lambda client: ask(client, **params))
    assert server.received == []


async def test_bad_input_is_refused_before_the_network() -> None:
    async with serving(ANSWER) as server:
        with pytest.raises(InvalidRequestError, match="temperature"):
            await calls(server, lambda client: ask(client, temperature=3))
    assert server.connections == 0


def test_a_coroutine_that_suspends_is_an_error_without_an_event_loop() -> None:
    async def suspends() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RuntimeError, match="only an event loop can give"):
        drive(suspends())


# -- closing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "steps",
    [[SILENCE], [head("503 Busy", {"Content-Length": "100"}) + b"half", SILENCE], [head("200 OK", LENGTH) + b"{", SILENCE]],
    ids=["nothing yet", "half a refusal", "half an answer"],
)
async def test_closing_the_client_ends_its_calls_and_says_why(steps: list[Step]) -> None:
    async with serving(steps) as server:
        client = sync_client(server, max_retries=2)
        call = asyncio.ensure_future(asyncio.to_thread(ask, client))
        await asyncio.wait_for(server.silent.wait(), PATIENCE_SECONDS)
        await asyncio.to_thread(client.close)
        with pytest.raises(APIConnectionError, match="the client was closed"):
            await asyncio.wait_for(call, PATIENCE_SECONDS)
        assert len(server.received) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_closing_the_client_ends_the_wait_for_another_attempt(stream: bool) -> None:
    busy = reply({"error": "busy"}, status="503 Busy", headers={"Retry-After": "50"})
    async with serving(busy) as server:
        client = sync_client(server, max_retries=2)
        call = asyncio.ensure_future(asyncio.to_thread(ask, client, stream=stream))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not server.received:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)  # the wait has begun, or else the call under way is ended
        await asyncio.to_thread(client.close)
        with pytest.raises(APIConnectionError, match="the client was closed"):
            await asyncio.wait_for(call, PATIENCE_SECONDS)
        assert len(server.received) == 1


# -- what is sent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"host": "elsewhere.example"},
        {"HOST": "elsewhere.example", "accept-encoding": "identity"},
        {"ACCEPT-ENCODING": "gzip"},
    ],
)
async def test_both_transports_send_host_and_accept_encoding_once(headers: dict[str, str]) -> None:
    heads: list[list[str]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        heads.append(sorted(line.lower() for line in lines if line.lower().startswith(("host:", "accept-encoding:"))))
        writer.write(head("200 OK", {**LENGTH, "Connection": "close"}) + RAW)
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    server = Server(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    for call in (in_thread, awaited):
        assert (await call(server, headers=headers)).text == "hello"
    listening.close()
    assert heads[0] == heads[1]
    assert len(heads[0]) == 2


@pytest.mark.parametrize(
    "path", ["/api/v1", "/ä/v1", "/a%7eb/%c3%a4", "/a/../b/./v1", "/a[1]|{2}", "/a;b=c,d+e%2Bf", "//v1", ""]
)
async def test_both_transports_send_an_address_alike(path: str) -> None:
    async with serving(ANSWER) as server:
        server.url = server.url.removesuffix("/api/v1") + path
        for call in (in_thread, awaited):
            assert (await call(server)).text == "hello"
    assert server.received[0].target == server.received[1].target
    assert server.received[0].headers["host"] == server.received[1].headers["host"]


# -- kept connections ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keep_alive", "connections"), [(None, 2), ("timeout=5", 2), ("timeout=30, max=100", 1), ("timeout=1", 2), ("max=9", 2)]
)
async def test_a_connection_is_kept_for_as_long_as_the_server_says_and_not_quite(
    keep_alive: str | None, connections: int
) -> None:
    answered = reply(completion(), headers={} if keep_alive is None else {"Keep-Alive": keep_alive})
    clock = RecordingClock()
    async with serving(answered) as server:
        transport = BlockingTransport(Routes(), clock)
        request = VeniceClient(api_key=KEY, base_url=server.url).build_request("POST", "/chat/completions", body=b"{}")
        await asyncio.to_thread(drive, transport.send(request))
        clock.passed += 4.5
        await asyncio.to_thread(drive, transport.send(request))
        assert server.connections == connections
        drive(transport.aclose())


@pytest.mark.parametrize("retries", [0, 2])
async def test_an_untrusted_server_is_asked_once(retries: int) -> None:
    context = context_of(trustme.CA())
    handshakes: list[Any] = []

    def began(*_: Any) -> None:
        handshakes.append(1)

    context.sni_callback = began
    async with serving(ANSWER, context=context) as server:
        server.url = server.url.replace("127.0.0.1", "localhost")
        for call in (in_thread, awaited):
            with pytest.raises(APIError, match="no trusted TLS connection"):
                await call(server, max_retries=retries)
    assert len(handshakes) == 2


async def test_plain_http_to_a_tls_port_is_an_error_with_a_remedy_and_not_retried() -> None:
    alert = b"\x15\x03\x01\x00\x02\x02\x46"
    async with serving([alert, CLOSE]) as server:
        with pytest.raises(APIError, match=r"speaks TLS.*https://") as caught:
            await in_thread(server, max_retries=2)
    assert isinstance(caught.value, ConnectError)
    assert caught.value.permanent
    assert len(server.received) == 1


def test_a_client_whose_settings_were_refused_can_be_shown() -> None:
    for kind in (VeniceClient, SyncVeniceClient):
        assert "not made" in repr(kind.__new__(kind))


async def test_a_refusal_that_does_not_want_the_body_is_read() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply({"error": "too large"}, status="413 Too Large", headers={"Connection": "close"})[0])  # type: ignore[arg-type]
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(refuse, "127.0.0.1", 0, limit=1024)
    server = Server(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}")
    long = [{"role": "user", "content": "a" * 20_000_000}]

    def call() -> None:
        with sync_client(server, timeout=PATIENCE_SECONDS) as client:
            ask(client, messages=long)

    with pytest.raises(PayloadTooLargeError):
        await asyncio.to_thread(call)
    listening.close()


async def test_closing_the_asynchronous_client_ends_the_wait_for_another_attempt_too() -> None:
    busy = reply({"error": "busy"}, status="503 Busy", headers={"Retry-After": "50"})
    async with serving(busy) as server:
        client = server.client(max_retries=2)
        call = asyncio.ensure_future(client.chat.completions.create(model="m", messages=HI))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not server.received:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        await client.close()
        with pytest.raises(APIConnectionError, match="the client was closed"):
            await asyncio.wait_for(call, PATIENCE_SECONDS)
