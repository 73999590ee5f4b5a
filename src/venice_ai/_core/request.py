"""The values that go through the ports (`ports.py`): a request, a whole reply; and the clock of this machine."""

from __future__ import annotations

from time import monotonic
from time import time as unix_time

from .settings import Timeout

TYPE_CHECKING = False  # start-up: what a client is made of does without `typing`
if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import AsyncIterator
    from typing import NoReturn

    from ..types.response_meta import Headers
    from .chat_size import ChatSize

KEY_HEADERS = frozenset({"authorization", "sign-in-with-x", "x-sign-in-with-x"})
"""Names of headers that tell Venice whose request it is, in lower case."""
SECRET_HEADERS = KEY_HEADERS | {"proxy-authorization", "cookie"}
"""Names of headers that stand for an account, in lower case."""


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
        if not (value := self.headers.get("Authorization")):  # as the client writes it; each reply is asked for it
            keys = sorted((name.lower(), value) for name, value in self.headers.items() if name.lower() in KEY_HEADERS)
            value = keys[0][1] if keys else ""
        return (value.partition(" ")[2].strip() or value).encode()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a request holds a key and cannot be pickled")

    def __repr__(self) -> str:
        # The body holds the prompt and some headers hold keys: neither belongs in a log.
        headers = {name: "***" if name.lower() in SECRET_HEADERS else value for name, value in self.headers.items()}
        return f"Request({self.method} {self.url} {headers} {len(self.body or b'')} bytes)"


class WholeReply:
    """A `Reply` (`ports.py`) whose whole body is here."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status: int = status
        self.headers: Headers = headers
        self.body: bytes = body

    async def read(self) -> bytes:
        return self.body

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.body

    async def drain(self) -> None: ...

    def progressed(self) -> None: ...

    def close(self) -> None: ...


class SystemClock:
    """The machine's clock and the event loop's sleep."""

    def __init__(self) -> None:
        self._sleepers: set[tuple[AbstractEventLoop, Future[None]]] = set()

    if TYPE_CHECKING:

        def now(self) -> float:
            """Seconds on a clock that only goes forward."""
            ...

        def time(self) -> float:
            """Unix time in seconds."""
            ...

    else:
        now, time = staticmethod(monotonic), staticmethod(unix_time)

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
        from contextlib import suppress

        for loop, future in self._sleepers.copy():
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(future.cancel)
