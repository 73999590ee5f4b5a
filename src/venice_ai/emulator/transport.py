"""`EmulatorTransport`: a client's transport that asks the emulator in this process, with the errors of a real network.

The waits of an answer pass on the emulator's clock. If that clock is virtual they take no time, and the client's time limits
are met all the same: each exchange has a time of its own, `_LineTime`, in which waits are skipped.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import parse_qsl, urlsplit

from venice_ai._core.ports import Clock
from venice_ai._core.request import Request
from venice_ai._http.retry import ConnectFailure
from venice_ai._http.timers import Watch
from venice_ai.exceptions import APIConnectionError
from venice_ai.types.response_meta import Headers

from .clock import VirtualClock
from .sending import Act, Answer, Incoming, Pause, Reset, Send, closed

T = TypeVar("T")


class Responder(Protocol):
    """What answers requests, on its own clock: an `Emulator`."""

    clock: Clock

    async def respond(self, incoming: Incoming, *, now: float) -> Answer: ...


class EmulatorTransport:
    """Sends requests to an emulator in this process."""

    def __init__(self, responder: Responder) -> None:
        self.server: Responder = responder
        """The limits that a client learns are those of this server."""
        self._closing: set[asyncio.Task[None]] = set()

    async def send(self, request: Request) -> EmulatorReply:
        """The reply, once its headers are here; ConnectFailure if the script refuses the connection."""
        clock = self.server.clock
        line = _Line(request, clock)
        try:
            answer = await line.until(self.server.respond(_incoming(request), now=clock.time()))
            await line.wait(answer.delay)
            if answer.refused:
                raise ConnectFailure("the emulator refused the connection, as its script says")
        except BaseException:
            line.close()
            raise
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
        if isinstance(self._body, AsyncIterator):
            task = asyncio.get_running_loop().create_task(closed(self._body))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)


def _incoming(request: Request) -> Incoming:
    parts = urlsplit(request.url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Incoming(request.method, parts.path, query, Headers(request.headers.items()), request.body or b"")


class _Line:
    """The connection between a client and the emulator, for one exchange: it waits, and breaks when a time limit is met."""

    def __init__(self, request: Request, clock: Clock) -> None:
        loop = asyncio.get_running_loop()
        self._clock = clock
        self._broken: asyncio.Future[None] = loop.create_future()
        self._time = _LineTime() if isinstance(clock, VirtualClock) else None
        watched = cast("asyncio.AbstractEventLoop", self._time or loop)  # a watch uses nothing else of it
        kind = Watch if request.stream else _PlainWatch
        self.watch: Watch = kind(request, watched.time(), self._break, watched)

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
        if seconds > 0 and self._time is not None and isinstance(self._clock, VirtualClock):
            passed = self._time.skip(seconds, self._broken)
            await (self._clock.skip(passed) if passed < math.inf else self._forever())
        elif seconds > 0:
            await self.until(self._clock.sleep(seconds) if seconds < math.inf else self._forever())
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


class _LineTime:
    """The time of one exchange on a virtual clock, for a `Watch` in place of the event loop's: waits are skipped in it."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._now = 0.0
        self._timer: tuple[float, Callable[[], object], asyncio.TimerHandle] | None = None

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Calls back when a wait has reached the time, or when it has really passed."""
        handle = self._loop.call_later(when - self._now, self._reach, when, callback)
        self._timer = when, callback, handle
        return handle

    def skip(self, seconds: float, broken: asyncio.Future[None]) -> float:
        """Lets so much time pass, or as much as there is until a limit is met; returns how much it was."""
        begun, end = self._now, self._now + seconds
        while self._timer is not None and self._timer[0] <= end and not self._timer[2].cancelled():
            when, callback, handle = self._timer
            handle.cancel()
            self._reach(when, callback)
        if not broken.done():
            self._now = end
        return self._now - begun

    def _reach(self, when: float, callback: Callable[[], object]) -> None:
        self._timer, self._now = None, max(self._now, when)
        callback()


class _PlainWatch(Watch):
    """The limits of a call whose answer is read in one piece."""

    def __init__(self, request: Request, started: float, stop: Callable[[], None], loop: asyncio.AbstractEventLoop) -> None:
        self._plain = request.timeout.plain
        super().__init__(request, started, stop, loop)

    def _due(self) -> tuple[float, str, float] | None:
        limits = [("plain", self._plain), ("deadline", self._deadline)]
        return min(((self._sent + seconds, clock, seconds) for clock, seconds in limits if seconds is not None), default=None)
