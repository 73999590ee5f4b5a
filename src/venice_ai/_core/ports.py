"""The ports to the outside, public as `venice_ai.transport`: what sends requests, the clock, the gates they pass."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar, cast

from .request import Request

if TYPE_CHECKING:
    from ..exceptions import APIError
    from ..types.api.chat import ChatUsage
    from ..types.response_meta import Headers, ResponseMeta

T = TypeVar("T")


class Attempt(NamedTuple):
    """One attempt to send a request, as a gate sees it before it is sent."""

    request: Request
    """What is to be sent; `request.chat` is what a chat asks for, `len(request.body)` its size in bytes."""
    number: int
    """Which attempt of its call this is, from 1. One that was told to wait its turn again keeps its number."""
    began: float
    """When its call began, by the client's clock."""
    due: float | None
    """When the deadline of the call runs out, by the client's clock; None if it has none."""
    failure: APIError | None
    """What the attempt before failed with; None for the first."""
    fail_fast: bool | None = None
    """Whether the call is to fail rather than wait while a circuit is open; None: as its client does."""


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

    def progressed(self) -> None:
        """Tells the `progress` clock that content came."""

    def close(self) -> None:
        """Drops the connection unless the body was read to its end. May be called often, and while reading."""


class Transport(Protocol):
    """Sends requests."""

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here.

        Raises:
            APIConnectionError: no reply came (`ConnectError` where nothing was sent).
            APITimeoutError: not in time.
        """
        ...

    async def aclose(self) -> None:
        """Closes every connection."""


class Pass(Protocol):
    """The permission to send one attempt. Its methods may be called on any thread, and neither wait nor raise."""

    held: bool = False
    """After a refusal: whether the gate holds the next attempt as long as the server wants, so that its call need not wait."""
    free: bool = False
    """After a refusal: whether the call goes back to its place in the queue, and pays none of its retries for it."""

    def replied(self, found: ResponseMeta | BaseException) -> None:
        """The reply's head came (of a plain call, its end), or the attempt failed.

        It is called a second time if a reply with the status 200 turns out to be an error.
        """

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        """The attempt is over: its answer was read, failed, was left or cancelled. Called once, on every path.

        Both are None where they are not known; `cost` is in US dollars.
        """


class CallGate(Protocol):
    """Decides when a request may be sent: a rate limiter, or a budget. A client asks its gates in order."""

    async def enter(self, attempt: Attempt) -> Pass:
        """Waits until the attempt may be sent.

        Raises:
            VeniceError: it may not, or not in time.
        """
        ...

    def at_once(self, request: Request, failure: APIError | None) -> Pass | None:
        """A pass for an attempt that need not wait, after what the one before failed with; None: `enter` is to be asked."""
        return None

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


def drive(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine whose ports never suspend, run without an event loop; a RuntimeError if it suspends."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    work.close()
    raise RuntimeError("this awaits something that only an event loop can give")
