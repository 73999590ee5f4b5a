"""Stand-ins for the package's two ports, transport and clock, and functions that many tests use.

`ScriptedTransport` answers from a list and keeps what it was sent; `RecordingClock` lets no time pass but its own. Neither
knows anything of the package but the ports.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable, Mapping
from itertools import pairwise
from typing import Any, Final, NamedTuple, TypeAlias

import pytest
from hypothesis import strategies as st

from venice_ai import VeniceClient
from venice_ai.exceptions import APIConnectionError, InvalidRequestError
from venice_ai.transport import Request
from venice_ai.types.response_meta import Headers

KEY: Final = "VENICE_INFERENCE_KEY_0123456789abcdef"
HI: Final[list[dict[str, Any]]] = [{"role": "user", "content": "hi"}]
UNIX: Final = 1_787_099_983.0
"""Unix time at which every test begins."""


class Hang:
    """In place of a piece: nothing comes any more, and the connection stays open."""


HANG: Final = Hang()
Piece: TypeAlias = bytes | BaseException | Hang


class ScriptedReply:
    """A reply: its status, its headers, and the pieces of its body; an exception in place of a piece is raised there."""

    def __init__(self, *pieces: Piece, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        self.status = status
        self.headers = Headers(list((headers or {}).items()))
        self.script = pieces
        self.given = 0
        self.ended = False
        self.closed = False
        self.progress = 0

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        while self.given < len(self.script):
            if self.closed:
                raise APIConnectionError("the reply was closed while it was read")
            piece = self.script[self.given]
            if isinstance(piece, Hang):
                await asyncio.Event().wait()
            elif isinstance(piece, BaseException):
                raise piece
            else:
                self.given += 1
                yield piece
        self.ended = True

    async def drain(self) -> None:
        pass

    def progressed(self) -> None:
        self.progress += 1

    def close(self) -> None:
        self.closed = True


class Attempt(NamedTuple):
    """A request as it was at the moment it was sent."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None
    deadline_seconds: float | None


class ScriptedTransport:
    """Answers each request with the next reply of its script, or raises it; keeps the requests."""

    def __init__(self, *replies: ScriptedReply | BaseException) -> None:
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.attempts: list[Attempt] = []
        self.closed = 0

    async def send(self, request: Request) -> ScriptedReply:
        self.requests.append(request)
        attempt = Attempt(request.method, request.url, dict(request.headers), request.body, request.deadline_seconds)
        self.attempts.append(attempt)
        await asyncio.sleep(0)
        assert self.replies, f"a request that nobody expects: {request!r}"
        reply = self.replies.pop(0)
        if isinstance(reply, BaseException):
            raise reply
        return reply

    async def aclose(self) -> None:
        self.closed += 1

    @property
    def bodies(self) -> list[Any]:
        """The decoded bodies of the requests, in order."""
        return [json.loads(request.body or b"null") for request in self.requests]


class RecordingClock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.passed = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return 1000.0 + self.passed

    def time(self) -> float:
        return UNIX + self.passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += seconds
        await asyncio.sleep(0)


def client_of(*replies: ScriptedReply | BaseException, **settings: Any) -> tuple[VeniceClient, ScriptedTransport]:
    """A client that gets these replies, and the transport behind it. It has a key, and never really waits."""
    transport = ScriptedTransport(*replies)
    chosen: dict[str, Any] = {"api_key": KEY, "clock": RecordingClock(), **settings}
    return VeniceClient(transport=transport, **chosen), transport


async def sent(messages: Any = HI, *, model: Any = "m", **params: Any) -> dict[str, Any]:
    """The body of the request that these arguments make."""
    client, transport = client_of(answer(completion()))
    await client.chat.completions.create(model=model, messages=messages, **params)
    return dict(transport.bodies[0])


async def refused(messages: Any = HI, *, model: Any = "m", **params: Any) -> InvalidRequestError:
    """The error that these arguments make, plain and streamed, before anything is sent."""
    client, transport = client_of()
    with pytest.raises(InvalidRequestError):
        await client.chat.completions.stream(model=model, messages=messages, **params)
    with pytest.raises(InvalidRequestError) as caught:
        await client.chat.completions.create(model=model, messages=messages, **params)
    assert transport.requests == []
    assert isinstance(caught.value, ValueError)
    assert caught.value.status_code is None
    return caught.value


# -- replies -------------------------------------------------------------------------------------------------------------


def answer(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> ScriptedReply:
    """A JSON reply."""
    return ScriptedReply(
        json.dumps(body).encode(), status=status, headers={"content-type": "application/json", **(headers or {})}
    )


def completion(text: str | None = "hello", **fields: Any) -> dict[str, Any]:
    """The JSON of an ordinary completion."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_780_000_000,
        "model": "example-private-small",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        **fields,
    }


def stream(*pieces: Piece, headers: Mapping[str, str] | None = None) -> ScriptedReply:
    """A reply that streams."""
    return ScriptedReply(*pieces, headers={"content-type": "text/event-stream; charset=utf-8", **(headers or {})})


def event(data: Any) -> bytes:
    """One event of a stream; what is not text is written as JSON."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def chunk(text: str | None = None, *, finish: str | None = None, index: int = 0, **delta: Any) -> dict[str, Any]:
    """A chunk with one choice: what its delta holds, and its finish reason."""
    given = delta if text is None else {"content": text, **delta}
    return envelope(choices=[{"index": index, "delta": given, "finish_reason": finish}])


def envelope(**fields: Any) -> dict[str, Any]:
    """A chunk with the fields that every chunk has, and these."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_780_000_000,
        "model": "example-private-small",
        **fields,
    }


USAGE: Final[dict[str, Any]] = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
DONE: Final = event("[DONE]")
FINISH: Final = event(chunk(finish="stop"))


def hello(*, usage: bool = False) -> list[bytes]:
    """The events of a stream that says "hello" and ends as it should."""
    last = [event(envelope(choices=[], usage=USAGE))] if usage else []
    return [event(chunk("hel", role="assistant")), event(chunk("lo")), FINISH, *last, DONE]


def cut(data: bytes, *positions: int) -> list[bytes]:
    """The same bytes in pieces, cut at these positions."""
    edges = [0, *sorted(positions), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def single(data: bytes) -> list[bytes]:
    """The same bytes one by one."""
    return [data[position : position + 1] for position in range(len(data))]


def joined(texts: Iterable[str | None]) -> str:
    """The texts as one."""
    return "".join(text or "" for text in texts)


# -- any JSON ------------------------------------------------------------------------------------------------------------

TEXT: Final = st.text(alphabet='ab ."{}[]:,\\/\n\r\t\0\u2028éß世🔐', max_size=8)
JSON: Final[st.SearchStrategy[Any]] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
