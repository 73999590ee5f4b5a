"""`EmulatorTransport`: a client's transport that asks the emulator in this process, with the errors of a real network.

The waits of an answer pass on the emulator's clock. If that clock is virtual they take no time, and the client's time limits
are met all the same: `_Watch.skip` moves them on by the time that passed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar
from urllib.parse import parse_qsl, urlsplit

from venice_ai._core.ports import Clock, Request
from venice_ai._http.retry import ConnectFailure
from venice_ai._http.timers import Watch
from venice_ai.exceptions import APIConnectionError
from venice_ai.types.response_meta import Headers

from .clock import VirtualClock
from .sending import Act, Answer, Incoming, Pause, Reset, Send

T = TypeVar("T")


class Responder(Protocol):
    """What answers requests, on its own clock: an `Emulator`."""

    clock: Clock

    async def respond(self, incoming: Incoming, *, now: float) -> Answer: ...


class EmulatorTransport:
    """Sends requests to an emulator in this process."""

    def __init__(self, responder: Responder) -> None:
        self._responder = self.server = responder  # the limits that a client learns are those of this server
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: Request) -> EmulatorReply:
        """The reply, once its headers are here.

        Raises:
            ConnectFailure: the script refuses the connection.
            APITimeoutError: a time limit was met first.
        """
        clock = self._responder.clock
        line = _Line(request, clock)
        try:
            answer = await line.until(self._responder.respond(_incoming(request), now=clock.time()))
            await line.wait(answer.delay)
        except BaseException:
            line.close()
            raise
        if answer.refused:
            line.close()
            raise ConnectFailure("the emulator refused the connection, as its script says")
        return EmulatorReply(answer, line, self._closing)

    async def aclose(self) -> None:
        """Waits until every backend has noticed that its caller left."""
        await asyncio.gather(*self._closing)


class EmulatorReply:
    def __init__(self, answer: Answer, line: _Line, closing: set[asyncio.Task[None]]) -> None:
        self.status: int = answer.status
        self.headers: Headers = Headers(answer.headers.items())
        self._body = answer.body
        self._line = line
        self._closing = closing

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it is sent; ends where it ends, and raises where it breaks off."""
        line = self._line
        try:
            if isinstance(self._body, AsyncIterator):
                while (act := await line.until(anext(self._body, None))) is not None:
                    if piece := await line.carry(act):
                        yield piece
                        line.watch.resume()
                return
            for number, act in enumerate(self._body):
                if number % 32 == 0:
                    await asyncio.sleep(0)  # as reading from a socket would, let others run now and then
                if piece := await line.carry(act):
                    yield piece
                    line.watch.resume()
        finally:
            line.close()

    async def drain(self) -> None:
        """Does nothing: there is no connection here that could be used again."""

    def progressed(self) -> None:
        self._line.watch.progressed()

    def close(self) -> None:
        """Closes the connection: the generator of the body is closed, and a pending read raises."""
        self._line.close()
        if (close := getattr(self._body, "aclose", None)) is not None:
            task = asyncio.get_running_loop().create_task(_closed(close))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


async def _closed(close: Any) -> None:
    # If it is being read at this moment, the reader's error ends it.
    with suppress(RuntimeError):
        await close()


def _incoming(request: Request) -> Incoming:
    parts = urlsplit(request.url)
    return Incoming(
        request.method,
        parts.path,
        dict(parse_qsl(parts.query, keep_blank_values=True)),
        Headers(request.headers.items()),
        request.body or b"",
    )


class _Line:
    """The connection between a client and the emulator, for one exchange: it waits, and breaks when a time limit is met."""

    def __init__(self, request: Request, clock: Clock) -> None:
        loop = asyncio.get_running_loop()
        self._clock = clock
        self._broken: asyncio.Future[None] = loop.create_future()
        kind = _Watch if request.stream else _PlainWatch
        self.watch: _PlainWatch | _Watch = kind(request, loop.time(), self._break)

    async def carry(self, act: Act) -> bytes:
        """What comes through of one act: its bytes, or none after a wait."""
        self.watch.resume()
        if isinstance(act, Send):
            self._check()
            self.watch.received()
            return act.data
        if isinstance(act, Reset):
            raise APIConnectionError("the connection was reset before the answer was complete")
        await self.wait(act.seconds if isinstance(act, Pause) else math.inf)
        return b""

    async def wait(self, seconds: float) -> None:
        if seconds <= 0:
            self._check()
        elif not isinstance(self._clock, VirtualClock):
            await self.until(self._clock.sleep(seconds) if seconds < math.inf else self._forever())
        else:
            passed = self.watch.skip(seconds)
            await (self._clock.skip(passed) if passed < math.inf else self._forever())
            self._check()

    async def until(self, work: Awaitable[T]) -> T:
        """The result of some work, unless the line breaks before it is there."""
        self.watch.resume()
        task = asyncio.ensure_future(work)
        either: set[asyncio.Future[Any]] = {task, self._broken}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait({task})
        self._check()
        return task.result()

    def close(self) -> None:
        self.watch.close()
        self._break()

    def _break(self) -> None:
        if not self._broken.done():
            self._broken.set_result(None)

    def _check(self) -> None:
        if self._broken.done():
            raise self.watch.expired or APIConnectionError("the connection was closed while the answer was read")

    async def _forever(self) -> None:
        await asyncio.shield(self._broken)


class _Watch(Watch):
    """A watch whose clocks can be moved on (`skip`)."""

    _sent: float

    def __init__(self, request: Request, started: float, stop: Callable[[], None]) -> None:
        self._skipped = 0.0
        # What was skipped when the clock's time began; the others' began with the request.
        self._skipped_before: dict[str, float] = {}
        super().__init__(request, started, stop)

    def received(self) -> None:
        if self._byte is None:
            self._skipped_before["progress"] = self._skipped
        self._skipped_before["idle"] = self._skipped
        super().received()

    def progressed(self) -> None:
        self._skipped_before["progress"] = self._skipped
        super().progressed()

    def skip(self, seconds: float) -> float:
        """Lets so much time pass, or as much as there is until a limit is met; returns how much it was."""
        due = self._due()
        if due is not None and seconds >= due[0] - self._loop.time():
            _, clock, limit = due
            self._expire(clock)
            # Told exactly: what really went by meanwhile is noise.
            return max(limit - (self._skipped - self._skipped_before.get(clock, 0.0)), 0.0)
        if seconds < math.inf:
            # Everything that was noted down happened that much longer ago.
            self._skipped += seconds
            self._sent -= seconds
            self._byte = None if self._byte is None else self._byte - seconds
            self._content = None if self._content is None else self._content - seconds
            self._check()
        return seconds


class _PlainWatch(_Watch):
    """The limits of a call whose answer is read in one piece."""

    def __init__(self, request: Request, started: float, stop: Callable[[], None]) -> None:
        self._plain = request.timeout.plain
        super().__init__(request, started, stop)

    def _due(self) -> tuple[float, str, float] | None:
        limits = [("plain", self._plain), ("deadline", self._deadline)]
        return min(((self._sent + seconds, clock, seconds) for clock, seconds in limits if seconds is not None), default=None)
