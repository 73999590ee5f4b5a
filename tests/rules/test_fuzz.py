"""Bytes that no server should send end in an answer or in a documented error, and take a time that grows with their number."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from math import isfinite
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from venice_ai import APIError, VeniceClient, VeniceError
from venice_ai._wire.content_coding import Body, Decoder, DecodingError
from venice_ai._wire.http_framing import FramingError, ReplyReader
from venice_ai._wire.sse import EventParser, EventTooLongError
from venice_ai.types.rate_limits import rate_limits, wait_seconds
from venice_ai.types.response_meta import Headers

from ..examples import times
from ..fakes import DONE, FINISH, HI, ScriptedReply, chunk, client_of, completion, event, hello

TOOL = {"index": 0, "id": "c", "type": "function", "function": {"name": "tide", "arguments": '{"at": "Rialto"}'}}
ANSWER = json.dumps(completion('{"city": "Venézia", "boats": 12}')).encode()
EVENTS = event(chunk("hel")) + event(chunk(tool_calls=[TOOL])) + event(chunk("lo", role="assistant")) + FINISH + DONE
REFUSAL = (
    b'{"error": {"message": "no", "code": "X", "retry_after": 3}, "details": {"a": {"_errors": ["b"]}}, "detail": [{"loc": 1}]}'
)
HTTP = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n"
LENGTH = b"HTTP/1.1 103 Hints\r\nA: b\r\n\r\nHTTP/1.0 404 No\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello"
# What is worth putting into the middle of something that was right.
ODD = [
    b"null",
    b"[]",
    b"{}",
    b'"',
    b"\\",
    b"\\ud83d",
    b"1e999",
    b"NaN",
    b"-",
    b"\xff",
    b"\0",
    b"\r",
    b"\n\n",
    b":",
    b"data:",
    b"[" * 2000,
    b'{"error": 1}',
    b'"error"',
    b"9" * 400,
    b"true",
    b",",
    b"event: error\n",
    b"[DONE]",
    b"\xef\xbb\xbf",
    b"\r\n\r\n",
    b"-1",
    b"0x",
]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes) -> bytes:
    """Something right, in which up to four places are cut out, written over or doubled."""
    found = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(found)))
        end = min(len(found), start + draw(st.integers(0, 12)))
        found[start:end] = draw(st.sampled_from([b"", *ODD]) | st.binary(max_size=8) | st.just(bytes(found[start:]) * 2))
    return bytes(found)


def cut(raw: bytes, size: int) -> list[bytes]:
    return [raw[at : at + size] for at in range(0, len(raw), size)]


Asked = Callable[[VeniceClient], Awaitable[Any]]


class Trip(BaseModel):
    city: str
    boats: int


async def create(client: VeniceClient) -> Any:
    return await client.chat.completions.create(model="m", messages=HI)


async def parse(client: VeniceClient) -> Any:
    return await client.chat.completions.parse(model="m", messages=HI, response_format=Trip)


async def collect(client: VeniceClient) -> Any:
    async with await client.chat.completions.stream(model="m", messages=HI) as stream:
        async for part in stream:
            repr(part)
        return await stream.collect()


async def stream_parse(client: VeniceClient) -> Any:
    async with await client.chat.completions.stream_parse(model="m", messages=HI, response_format=Trip) as stream:
        async for _ in stream:
            pass
        return await stream.collect()


def outcome(asked: Asked, *pieces: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> VeniceError | None:
    """The error that a reply becomes; what it is beside that can be written down."""
    client, _ = client_of(ScriptedReply(*pieces, status=status, headers=headers), max_retries=0)
    try:
        repr(asyncio.run(asked(client)))  # type: ignore[arg-type]
    except VeniceError as error:
        json.dumps(str(error))
        repr(error)
        return error
    return None


@pytest.mark.parametrize("asked", [collect, stream_parse])
@times(2)
@given(raw=damaged(EVENTS) | st.binary(max_size=200), size=st.integers(1, 300))
def test_a_damaged_stream_is_an_answer_or_a_documented_error(asked: Asked, raw: bytes, size: int) -> None:
    outcome(asked, *cut(raw, size), headers={"content-type": "text/event-stream"})


@pytest.mark.parametrize("asked", [create, parse])
@times(2)
@given(raw=damaged(ANSWER) | damaged(EVENTS) | st.binary(max_size=200))
def test_a_damaged_answer_is_an_answer_or_a_documented_error(asked: Asked, raw: bytes) -> None:
    outcome(asked, raw, headers={"content-type": "application/json"})


RATES = [f"x-ratelimit-{what}-{of}" for what in ("limit", "remaining", "reset") for of in ("requests", "tokens")]
NAMES = [*RATES, "retry-after", "retry-after-ms", "cf-ray", "content-type", "x-venice-model-deprecation-date"]
VALUES = st.text(st.characters(max_codepoint=255), max_size=30) | st.sampled_from(
    [
        "0",
        "-1",
        "1e400",
        "nan",
        "inf",
        "9" * 5000,
        "1_0",
        "1.5s",
        "6m0s",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Fri, 31 Dec 0000",
        "\u00b2",
    ]
)
HEADERS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=6)


@times(2)
@given(status=st.integers(300, 999), raw=damaged(REFUSAL) | st.binary(max_size=200), headers=HEADERS)
def test_any_refusal_is_an_error_that_knows_its_status(status: int, raw: bytes, headers: dict[str, str]) -> None:
    error = outcome(create, raw, status=status, headers=headers)

    assert isinstance(error, APIError)
    assert error.status_code == status


@times(2)
@given(status=st.integers(200, 599), headers=HEADERS, now=st.floats(0, 4e9))
def test_any_headers_give_waits_that_are_numbers(status: int, headers: dict[str, str], now: float) -> None:
    wait = wait_seconds(status, Headers(list(headers.items())), now)
    repr(rate_limits(Headers(list(headers.items())), now))

    assert wait is None or (isfinite(wait) and wait >= 0)


@times(2)
@given(raw=damaged(HTTP) | damaged(LENGTH) | st.binary(max_size=200), size=st.integers(1, 200))
def test_damaged_framing_is_a_reply_or_a_framing_error(raw: bytes, size: int) -> None:
    reader = ReplyReader()
    with suppress(FramingError):
        for piece in cut(raw, size):
            for _ in reader.feed(piece):
                ...
            if reader.done:
                return
        reader.end()


@times(2)
@given(
    data=st.data(),
    coding=st.sampled_from(["gzip", "deflate", "gzip, deflate", "x-gzip", "GZIP", ", ,", "br"]),
    size=st.integers(1, 99),
)
def test_a_damaged_coding_is_a_body_or_a_decoding_error(data: st.DataObject, coding: str, size: int) -> None:
    import gzip
    import zlib

    packed = data.draw(damaged(gzip.compress(ANSWER)) | damaged(zlib.compress(ANSWER)) | st.binary(max_size=50))
    with suppress(DecodingError):
        decoder = Decoder(coding)
        for piece in cut(packed, size):
            for _ in decoder.feed(piece):
                ...
        decoder.finish()
    with suppress(DecodingError):
        body = Body(coding, refusal=True)
        for piece in cut(packed, size):
            for _ in body.steps(piece):
                ...
        body.finish()


LIMIT_SECONDS = 2.0
MANY = 200_000
"""Bytes that are read in some hundredths of a second, and in minutes if each is looked at again for each that comes."""


@contextmanager
def a_clock_that_fires(seconds: float = LIMIT_SECONDS) -> Generator[None]:
    """Interrupts what uses the processor for longer."""

    def fire(*_: object) -> None:
        raise AssertionError(f"{seconds} s of CPU were not enough")

    before = signal.signal(signal.SIGVTALRM, fire)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


UNITS = st.sampled_from([unit for unit in ODD if len(unit) < 50]) | st.binary(min_size=1, max_size=6)
needs_timer = pytest.mark.skipif(sys.platform == "win32", reason="there is no timer of a process's time there")


@needs_timer
@settings(max_examples=12, deadline=None)
@given(start=st.binary(max_size=20) | st.just(b'data: {"a": "'), unit=UNITS, size=st.sampled_from([20, 1000]))
def test_events_are_read_in_linear_time(start: bytes, unit: bytes, size: int) -> None:
    raw = start + unit * (MANY // len(unit))
    with a_clock_that_fires(), suppress(EventTooLongError):
        parser = EventParser()
        for piece in cut(raw, size):
            parser.feed(piece)
        parser.finish()


@needs_timer
@settings(max_examples=12, deadline=None)
@given(
    start=st.sampled_from([b"", HTTP[:20], HTTP[:60], HTTP[:-12], LENGTH[:20]]), unit=UNITS, size=st.sampled_from([20, 1000])
)
def test_framing_is_read_in_linear_time(start: bytes, unit: bytes, size: int) -> None:
    raw = start + unit * (MANY // len(unit))
    with a_clock_that_fires(), suppress(FramingError):
        reader = ReplyReader()
        for piece in cut(raw, size):
            for _ in reader.feed(piece):
                ...
            if reader.done:
                return


@needs_timer
@settings(max_examples=8, deadline=None)
@given(
    start=st.sampled_from([b"", ANSWER[:80], b'{"choices": [', b'{"error": ', b'{"choices": [{"message": {"content": "']),
    unit=UNITS,
)
def test_answers_are_read_in_linear_time(start: bytes, unit: bytes) -> None:
    raw = start + unit * (MANY // len(unit))
    with a_clock_that_fires():
        outcome(create, raw, headers={"content-type": "application/json"})
        outcome(create, raw, status=400)


@needs_timer
@settings(max_examples=8, deadline=None)
@given(
    text=st.text(min_size=1, max_size=4) | st.sampled_from(['{"city": "', "```json\n", '{"a": [', "\\", '\\"', "}", "<think>"])
)
def test_texts_are_parsed_in_linear_time(text: str) -> None:
    many = text * (MANY // 10 // len(text))
    events = b"".join(event(chunk(each)) for each in ["{", *(many[at : at + 500] for at in range(0, len(many), 500))])
    with a_clock_that_fires():
        outcome(parse, json.dumps(completion(many)).encode())
        outcome(stream_parse, events + FINISH + DONE)


def test_an_undamaged_body_is_an_answer() -> None:
    assert outcome(collect, *hello()) is None
    assert outcome(parse, ANSWER) is None
