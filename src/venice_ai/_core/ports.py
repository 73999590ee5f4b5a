"""The ports to the outside: a transport sends requests, a clock is what waits are slept on, a gate lets requests pass.

They are all that the package asks of the world. `_http/aiohttp_transport.py` is the transport of a program, the emulator has
one that answers in process, and a caller may bring another. They are public as `venice_ai.transport`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, NoReturn, Protocol

from .settings import Timeout

if TYPE_CHECKING:  # start-up: the client imports this module, and headers come with the first reply
    from asyncio import AbstractEventLoop, Future

    from ..exceptions import APIError
    from ..types.api.chat import ChatUsage
    from ..types.response_meta import Headers, ResponseMeta

KEY_HEADERS = frozenset({"authorization", "sign-in-with-x", "x-sign-in-with-x"})
"""Names of headers that tell Venice whose request it is, in lower case."""
SECRET_HEADERS = KEY_HEADERS | {"proxy-authorization", "cookie"}
"""Names of headers that stand for an account, in lower case."""


class ChatSize(NamedTuple):
    """What a chat request asks for, as far as limits and budgets need to know it."""

    model: str
    """The model that is asked for, as the caller named it."""
    messages: int
    """How many messages are sent."""
    max_output_tokens: int | None
    """The most tokens that one answer may have, if the caller said so."""
    choices: int
    """How many answers are asked for."""


class Request:
    """One HTTP request, ready to be sent."""

    __slots__ = ("body", "chat", "deadline_seconds", "headers", "method", "stream", "timeout", "url")

    def __init__(
        self, method: str, url: str, *, headers: dict[str, str], body: bytes | None, timeout: Timeout, stream: bool = False
    ) -> None:
        self.method: str = method
        """`GET` or `POST`."""
        self.url: str = url
        """The whole address."""
        self.headers: dict[str, str] = headers
        """Headers, the key among them."""
        self.body: bytes | None = body
        """The body, which holds the prompt."""
        self.timeout: Timeout = timeout
        """Limits of time; the transport keeps to them."""
        self.stream: bool = stream
        """Whether the body of the reply is read piece by piece."""
        self.deadline_seconds: float | None = None
        """What is left of the whole call's deadline when the request is sent."""
        self.chat: ChatSize | None = None
        """What is asked for, if this is a chat."""

    @property
    def secret(self) -> bytes:
        """The key that it carries, whatever the case of its header's name and of the word before it; empty if none."""
        value = self.headers.get("Authorization")  # as the client writes it; each reply is asked for it
        if not value:
            keys = sorted((name.lower(), value) for name, value in self.headers.items() if name.lower() in KEY_HEADERS)
            value = keys[0][1] if keys else ""
        return (value.partition(" ")[2].strip() or value).encode()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a request holds a key and cannot be pickled")

    def __repr__(self) -> str:
        # The body holds the prompt and some headers hold keys: neither belongs in a log.
        headers = {name: "***" if name.lower() in SECRET_HEADERS else value for name, value in self.headers.items()}
        return f"Request({self.method} {self.url} {headers} {len(self.body or b'')} bytes)"


class Reply(Protocol):
    """The answer to a request: its status and headers, and a body that is still to be read.

    Reading raises `APITimeoutError` when a clock of the request ran out, `APIConnectionError` when the connection broke.
    """

    status: int
    """The status of HTTP, such as 200."""
    headers: Headers
    """The headers, found by their names in any case."""

    async def read(self) -> bytes:
        """The whole body."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives; ends where the body ends, and raises where it broke off."""
        ...

    async def drain(self) -> None:
        """After the last event, waits a moment for the body's end, so that the connection can serve again."""
        ...

    def progressed(self) -> None:
        """Tells the `progress` clock that content came."""
        ...

    def close(self) -> None:
        """Drops the connection unless the body was read to its end. May be called often, and while reading."""
        ...


class WholeReply:
    """A reply whose body is here."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status: int = status
        self.headers: Headers = headers
        self._body = body

    async def read(self) -> bytes:
        """The body."""
        return self._body

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, in one piece."""
        yield self._body

    async def drain(self) -> None:
        """Nothing more comes."""

    def progressed(self) -> None:
        """No clock runs any more."""

    def close(self) -> None:
        """There is nothing to close."""


class Transport(Protocol):
    """Sends requests."""

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here.

        Raises:
            APIConnectionError: no reply came (`ConnectFailure` where nothing was sent).
            APITimeoutError: not in time.
        """
        ...

    async def aclose(self) -> None:
        """Closes every connection."""
        ...


class Attempt:
    """One attempt to send a request, as a gate sees it before it is sent."""

    __slots__ = ("began", "due", "failure", "number", "request")

    def __init__(self, request: Request, number: int, began: float, due: float | None, failure: APIError | None) -> None:
        self.request: Request = request
        """What is to be sent; `request.chat` is what a chat asks for, `len(request.body)` its size in bytes."""
        self.number: int = number
        """Which attempt of its call this is, from 1. One that was told to wait its turn again keeps its number."""
        self.began: float = began
        """When its call began, by the client's clock."""
        self.due: float | None = due
        """When the deadline of the call runs out, by the client's clock; None if it has none."""
        self.failure: APIError | None = failure
        """What the attempt before failed with; None for the first."""


class Pass(Protocol):
    """The permission to send one attempt. Its methods may be called on any thread, and neither wait nor raise."""

    held: bool
    """After a refusal: whether the gate holds the next attempt as long as the server wants, so that its call need not wait."""
    free: bool
    """After a refusal: whether the call goes back to its place in the queue, and pays none of its retries for it."""

    def replied(self, found: ResponseMeta | BaseException) -> None:
        """The reply's head came (of a plain call, its end), or the attempt failed.

        It is called a second time if a reply with the status 200 turns out to be an error.
        """
        ...

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        """The attempt is over: its answer was read, failed, was left or cancelled. Called once, on every path.

        Both are None where they are not known; `cost` is in US dollars.
        """
        ...


class CallGate(Protocol):
    """What decides when a request may be sent: a rate limiter, or a budget. A client asks its gates in order."""

    async def enter(self, attempt: Attempt) -> Pass:
        """Waits until the attempt may be sent.

        Raises:
            VeniceError: it may not, or not in time.
        """
        ...

    def may_retry(self, attempt: Attempt) -> bool:
        """Whether a call may try again after an attempt that failed, as far as this gate is concerned."""
        return True

    def close(self) -> None:
        """The client was closed: ends the waits in `enter`."""


class Clock(Protocol):
    """Time. Tests stand behind it and record."""

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""
        ...

    def time(self) -> float:
        """Unix time in seconds."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Waits."""
        ...


class SystemClock:
    """The machine's clock and the event loop's sleep."""

    def __init__(self) -> None:
        self._sleepers: set[tuple[AbstractEventLoop, Future[None]]] = set()

    def now(self) -> float:
        """Seconds on a clock that only goes forward."""
        return time.monotonic()

    def time(self) -> float:
        """Unix time in seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Waits, at most until `wake`."""
        import asyncio

        loop = asyncio.get_running_loop()
        sleeper = loop, loop.create_future()
        self._sleepers.add(sleeper)
        try:
            await asyncio.wait(sleeper[1:], timeout=seconds)
        finally:
            self._sleepers.discard(sleeper)

    def wake(self) -> None:
        """Ends every sleep, on whatever loop: what was waited for will not come, because the client was closed."""
        for loop, future in self._sleepers.copy():
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(_settle, future)


def _settle(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)
