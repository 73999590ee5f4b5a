"""Requests and replies inside the emulator: a reply's body is a list of acts for the transport.

The reply says what happens; the two transports (`transport.py` in process, `server.py` on a socket) only do it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import isfinite
from typing import Any, Literal, NamedTuple, Self, TypeAlias

from venice_ai._core.request import SECRET_HEADERS
from venice_ai._core.settings import merged
from venice_ai._wire import json_text
from venice_ai.types.response_meta import Headers

PREFIX = "/api/v1"
JSON_TYPE = "application/json; charset=utf-8"
encode_json: Callable[[Any], bytes] = json_text.encode

Act: TypeAlias = bytes | float | Literal["reset"]
"""Bytes are sent, in a packet of their own where the network allows it. A number: for so many seconds nothing is sent; if they
are infinite, until the caller leaves. `"reset"` resets the connection."""
Body: TypeAlias = Iterable[Act] | AsyncIterator[Act]


class Incoming(NamedTuple):
    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes


def _number(digits: str) -> int | float:
    value = float(digits)
    if not isfinite(value):
        raise ValueError(f"{digits} is not a number of JSON")
    return int(value) if value.is_integer() else value


_decode = json.JSONDecoder(parse_float=_number, parse_constant=_number).decode


def decode(body: bytes) -> Any:
    """The JSON of a request, ValueError if it is not JSON. As in JavaScript, 1.0 is 1, and half of a surrogate pair is text."""
    try:
        return _decode(body.decode())
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


@dataclass(frozen=True)
class Recorded:
    """A request as it arrived; keys are left out."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]  # by their names in lower case
    content: bytes  # the body's bytes

    @cached_property
    def body(self) -> Any:
        """The body's JSON; the bytes if it is not JSON, and `None` without a body."""
        try:
            return decode(self.content) if self.content else None
        except ValueError:
            return self.content

    @classmethod
    def of(cls, incoming: Incoming) -> Self:
        """The record of a request."""
        headers = {name: "***" if name in SECRET_HEADERS else value for name, value in incoming.headers.items()}
        return cls(incoming.method, incoming.path, dict(incoming.query), headers, incoming.body)

    def json(self) -> dict[str, Any]:
        """The request in JSON, for the admin endpoint."""
        body = self.body.decode("utf-8", "replace") if isinstance(self.body, bytes) else self.body
        return {"method": self.method, "path": self.path, "query": self.query, "headers": self.headers, "body": body}


@dataclass(frozen=True, slots=True)
class HTTPReply:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Body = ()
    delay: float = 0.0  # seconds until the status and the headers are sent
    refused: bool = False
    """The connection is not accepted at all: in process it cannot be made, on a socket it is dropped unanswered."""
    verbatim: bool = False  # no headers are to be added
    failure: Exception | None = None  # raised in process; on a socket it is answered as it is

    def with_defaults(self, headers: Mapping[str, str]) -> Self:
        """The reply with these headers where it has none of its own."""
        return self if self.verbatim else replace(self, headers=merged(headers, self.headers))


async def acts_of(body: Body) -> AsyncIterator[Act]:
    """The acts of a body, however it is made; others run between two of them."""
    if isinstance(body, AsyncIterator):
        async for act in body:
            yield act
        return
    for act in body:
        yield act
        await asyncio.sleep(0)


async def closed(body: object) -> None:
    """Closes a generator. If it is being read at this moment, the reader's error ends it."""
    if (close := getattr(body, "aclose", None)) is not None:
        with suppress(RuntimeError):
            await close()


def json_reply(status: int, content: Any, headers: Mapping[str, str] | None = None) -> HTTPReply:
    return HTTPReply(status, merged({"content-type": JSON_TYPE}, headers or {}), (encode_json(content),))
