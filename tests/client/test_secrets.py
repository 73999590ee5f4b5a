"""Keys and prompts stand in no repr, no log, no pickle."""

from __future__ import annotations

import asyncio
import gzip
import inspect
import logging
import pickle
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from venice_ai import (
    APIError,
    APIResponseProcessingError,
    AuthenticationError,
    InvalidRequestError,
    SyncVeniceClient,
    UserMessage,
    VeniceClient,
    VeniceError,
)
from venice_ai._core.ports import drive
from venice_ai._http.blocking_transport import BlockingClock, BlockingTransport
from venice_ai._http.routes import Routes

from ..disclosure import shown_of
from ..fakes import HI, KEY, answer, chunk, client_of, completion, event
from ..scripted_server import ABORT, CLOSE, Server, Step, bomb, head, reply, serving
from ..scripted_server import streamed as streams


def test_a_client_shows_no_key() -> None:
    client = VeniceClient(api_key=KEY, headers={"SIGN-IN-WITH-X": "signed"}, proxy="http://user:pass-word@proxy.invalid:1")

    for shown in (repr(client), str(client), repr(client.chat), repr(client.chat.completions), repr(client.models)):
        assert KEY not in shown
        assert "signed" not in shown
        assert "pass-word" not in shown


@pytest.mark.parametrize("made_with", ["argument", "environment"])
async def test_a_pickled_client_holds_no_key(made_with: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", KEY)
    client = VeniceClient(api_key=KEY if made_with == "argument" else None)
    client.build_request("GET", "/models")

    try:
        pickled = pickle.dumps(client)
    except (TypeError, pickle.PicklingError):
        return  # that is one way to keep it

    assert KEY.encode() not in pickled


@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "SIGN-IN-WITH-X", "X-Sign-In-With-X", "Cookie", "Proxy-Authorization"]
)
async def test_a_request_shows_neither_key_nor_prompt(name: str) -> None:
    client, transport = client_of(answer(completion()))

    messages = [UserMessage(content="my secret prompt")]
    await client.chat.completions.create(model="m", messages=messages, extra_headers={name: "my secret header"})

    for shown in (repr(transport.requests[0]), str(transport.requests[0])):
        assert KEY not in shown
        assert "secret" not in shown


async def test_a_pickled_request_holds_no_key() -> None:
    client, transport = client_of(answer(completion()))
    await client.chat.completions.create(model="m", messages=HI)

    try:
        pickled = pickle.dumps(transport.requests[0])
    except (TypeError, pickle.PicklingError):
        return

    assert KEY.encode() not in pickled


async def test_a_log_holds_neither_key_nor_prompt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, _ = client_of(answer({"error": "busy"}, status=503), answer(completion("my secret answer")))

    await client.chat.completions.create(model="m", messages=[UserMessage(content="my secret prompt")])

    assert KEY not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION", "Sign-In-With-X", "x-sign-in-with-x"])
@pytest.mark.parametrize("value", ["another-key-0123456789", "Bearer another-key-0123456789", "bearer another-key-0123456789"])
async def test_a_key_is_taken_out_of_a_refusal_under_any_case_of_its_header_s_name(name: str, value: str) -> None:
    refusal = answer(
        {"error": "another-key-0123456789 is wrong", "key": "another-key-0123456789"},
        status=401,
        headers={"CF-RAY": "another-key-0123456789"},
    )
    client, _ = client_of(refusal, api_key="" if name.lower() != "authorization" else KEY)

    with pytest.raises(AuthenticationError) as caught:
        await client.chat.completions.create(model="m", messages=HI, extra_headers={name: value})

    assert "another" not in f"{caught.value!r} {caught.value.body} {caught.value.request_id}"


PASSWORD = "pass-word"
ECHO = KEY.encode()
ODD_REPLIES: dict[str, Sequence[Step]] = {
    "nothing": [CLOSE],
    "a reset": [ABORT],
    "no status line": [b"HTTP/1.1 " + ECHO + b" OK\r\n\r\n", CLOSE],
    "another language": [b"SSH-2.0 " + ECHO + b"\r\n\r\n", CLOSE],
    "a header without a colon": [b"HTTP/1.1 200 OK\r\n" + ECHO + b"\r\n\r\n", CLOSE],
    "a header with a blank": [b"HTTP/1.1 200 OK\r\n" + ECHO + b" x: 1\r\n\r\n", CLOSE],
    "a chunk of no size": [head("200 OK", {"Transfer-Encoding": "chunked"}), 0.02, ECHO + b"\r\n", CLOSE],
    "half a body": [head("200 OK", {"Content-Length": "500"}) + ECHO, CLOSE],
    "half a body, reset": [head("200 OK", {"Content-Length": "500"}) + ECHO, 0.02, ABORT],
    "no gzip": reply(ECHO, headers={"Content-Encoding": "gzip"}),
    "a coding": reply(ECHO, headers={"Content-Encoding": "br"}),
    "a refusal": reply({"error": KEY}, status="401 Unauthorized"),
}


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


async def plain(client: VeniceClient) -> Any:
    return await client.chat.completions.create(model="m", messages=HI)


async def streamed(client: VeniceClient) -> Any:
    async with await client.chat.completions.stream(model="m", messages=HI) as stream:
        return await stream.collect()


def plain_sync(client: SyncVeniceClient) -> Any:
    return client.chat.completions.create(model="m", messages=HI)


def streamed_sync(client: SyncVeniceClient) -> Any:
    with client.chat.completions.stream(model="m", messages=HI) as stream:
        return list(stream)


async def ask(call: Callable[[Any], Any], server: Server) -> Any:
    """What a call of either client returns, with a new client."""
    if inspect.iscoroutinefunction(call):
        async with server.client() as client:
            return await call(client)

    def blocking() -> Any:
        with SyncVeniceClient(api_key=KEY, base_url=server.url, max_retries=0) as client:
            return call(client)

    return await asyncio.to_thread(blocking)


async def texts(client: VeniceClient) -> Any:
    async with await client.chat.completions.stream(model="m", messages=HI) as stream:
        return [text async for text in stream.text_deltas()]


def texts_sync(client: SyncVeniceClient) -> Any:
    with client.chat.completions.stream(model="m", messages=HI) as stream:
        return list(stream.text_deltas())


PLAIN_AND_STREAMED = [plain, streamed, texts, plain_sync, streamed_sync, texts_sync]


@pytest.mark.parametrize("call", PLAIN_AND_STREAMED)
@pytest.mark.parametrize("steps", ODD_REPLIES.values(), ids=ODD_REPLIES.keys())
async def test_no_error_of_a_connection_shows_the_key(steps: Sequence[Step], call: Callable[[Any], Any]) -> None:
    async with serving(steps) as server:
        with pytest.raises(VeniceError) as caught:
            await ask(call, server)

    # What a plain answer's own body says is the caller's; nothing else of the error shows the key.
    assert not [where for where, text in shown_of(caught.value) if KEY in text]
    assert {type(each).__module__.partition(".")[0] for each in chain(caught.value)} <= {
        "venice_ai",
        "builtins",
        "ssl",
        "socket",
        "zlib",
    }


@pytest.mark.skipif(sys.platform == "win32", reason="there every call takes the event loop")
@pytest.mark.parametrize("steps", ODD_REPLIES.values(), ids=ODD_REPLIES.keys())
async def test_no_error_of_a_stream_that_is_read_over_blocking_sockets_shows_the_key(steps: Sequence[Step]) -> None:
    def read() -> Any:
        transport = BlockingTransport(Routes(trust_env=False))
        return drive(streamed(server.client(transport=transport, clock=BlockingClock(transport))))

    async with serving(steps) as server:
        with pytest.raises(VeniceError) as caught:
            await asyncio.to_thread(read)

    assert not [where for where, text in shown_of(caught.value) if KEY in text]


@pytest.mark.parametrize("call", [plain, plain_sync])
async def test_an_answer_that_is_too_large_shows_no_key(call: Callable[[Any], Any]) -> None:
    body = gzip.compress(ECHO * 2000) + bomb(300)
    async with serving(reply(body, headers={"Content-Encoding": "gzip"})) as server:
        with pytest.raises(APIResponseProcessingError, match="larger than 256 MiB") as caught:
            await ask(call, server)

    assert str(caught.value.body).startswith("***")
    assert not [where for where, text in shown_of(caught.value) if KEY in text]
    assert ECHO not in pickle.dumps(caught.value)


BESIDE_ERROR = {"id": KEY, "choices": [{"index": 0, "message": {"content": f"a {KEY}"}, "error": {"message": "no"}}]}
DELTA_AND_ERROR = {"id": KEY, "choices": [{"index": 0, "delta": {"content": f"a {KEY}"}, "error": {"message": "no"}}]}
REPEATING: dict[str, Sequence[Step]] = {
    "a header's name": reply({"error": "no"}, status="401 Unauthorized", headers={f"X-{KEY}": "v"}),
    "a header's name in small letters": reply({"error": "no"}, status="503 No", headers={f"x-{KEY.lower()}-y": "v"}),
    "a header's value in capitals": reply({"error": "no"}, status="503 No", headers={"CF-RAY": f"x {KEY.upper()} y"}),
    "a header's name beside an error with status 200": reply({"error": "no"}, headers={f"X-{KEY}": "v"}),
    "a header's name before an answer that breaks off": [
        head("200 OK", {"Content-Type": "text/event-stream", f"X-{KEY}": "v"}) + event(chunk("hel")),
        CLOSE,
    ],
    "the id of an answer with an error": reply(BESIDE_ERROR),
    "the id in an event with an error": streams(event(DELTA_AND_ERROR)),
    "the id of an answer that ends in an error": streams(event({**chunk("hel"), "id": KEY}), event({"error": "no"})),
    "the id of an answer that breaks off": streams(event({**chunk("hel"), "id": KEY})),
}


@pytest.mark.parametrize("call", PLAIN_AND_STREAMED)
@pytest.mark.parametrize("steps", REPEATING.values(), ids=REPEATING.keys())
async def test_a_key_that_a_server_repeats_in_a_name_or_an_id_is_in_no_error(
    steps: Sequence[Step], call: Callable[[Any], Any]
) -> None:
    async with serving(steps) as server:
        with pytest.raises(APIError) as caught:
            await ask(call, server)

    error = caught.value
    shown = [*shown_of(error), ("headers", repr(list(error.meta.headers.items())) if error.meta else "")]
    shown += [
        ("partial", repr(error.partial and error.partial.model_dump())),
        ("pickle", pickle.dumps(error).decode("latin-1")),
    ]
    assert not [where for where, text in shown if KEY.lower() in text.lower()]


@pytest.mark.parametrize("call", [plain, streamed, plain_sync])
async def test_a_good_answer_keeps_an_id_that_holds_the_key(call: Callable[[Any], Any]) -> None:
    whole = {**completion(), "id": f"chat-{KEY}"}
    events = event({**chunk("hel", finish="stop"), "id": f"chat-{KEY}"}), event("[DONE]")
    async with serving(reply(whole) if call is not streamed else streams(*events)) as server:
        response = await ask(call, server)

    assert response.id == f"chat-{KEY}"


@pytest.mark.parametrize("secure", [True, False])
@pytest.mark.parametrize(
    "steps", [[CLOSE], reply(b"", status="407 No"), [b"SSH-2.0\r\n\r\n", CLOSE]], ids=["nothing", "407", "SSH"]
)
async def test_no_error_of_a_proxy_shows_its_password_or_the_key(steps: Sequence[Step], secure: bool) -> None:
    async with serving(steps) as proxy:
        address = proxy.url.removesuffix("/api/v1").replace("http://", f"http://user:{PASSWORD}@")
        target = f"http{'s' if secure else ''}://venice.invalid/api/v1"
        async with proxy.client(base_url=target, proxy=address) as client:
            with pytest.raises(VeniceError, match="proxy") as caught:
                await plain(client)

    assert not [where for where, text in shown_of(caught.value) if KEY in text or PASSWORD in text]


@pytest.mark.parametrize("by", ["argument", "environment"])
async def test_a_proxy_that_cannot_be_one_shows_neither_its_password_nor_the_key(
    by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy = f"socks5://bob:{PASSWORD}@proxy.invalid"
    if by == "environment":
        monkeypatch.setenv("HTTPS_PROXY", proxy)
    with pytest.raises(InvalidRequestError, match="must be") as caught:
        await plain(VeniceClient(api_key=KEY, proxy=proxy if by == "argument" else None))

    assert not [where for where, text in shown_of(caught.value) if KEY in text or PASSWORD in text]


@pytest.mark.parametrize("wrong", [{"timeout": -1}, {"extra_headers": {"a b": "c"}}])
async def test_a_mistake_in_a_call_does_not_show_the_key(wrong: dict[str, Any]) -> None:
    client = VeniceClient(api_key=KEY)
    with pytest.raises(InvalidRequestError) as caught:
        await client.chat.completions.create(model="m", messages=HI, **wrong)

    assert not [where for where, text in shown_of(caught.value) if KEY in text]


@pytest.mark.parametrize("kind", [VeniceClient, SyncVeniceClient])
@pytest.mark.parametrize("wrong", [{"max_retries": -1}, {"timeout": -1}, {"base_url": "nonsense"}, {"trust_env": 7}])
def test_a_mistake_in_a_setting_does_not_show_the_key(kind: type, wrong: dict[str, Any]) -> None:
    signed = {"Sign-In-With-X": KEY}
    with pytest.raises(InvalidRequestError) as caught:
        kind(api_key=KEY, headers=signed, proxy=f"http://bob:{PASSWORD}@proxy.invalid", **wrong)

    assert not [where for where, text in shown_of(caught.value) if KEY in text or PASSWORD in text]
