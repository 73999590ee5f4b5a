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
from venice_ai._http.timers import Watch
from venice_ai.exceptions import APIConnectionError, ConnectError
from venice_ai.types.response_meta import Headers

from .sending import Act, Body, HTTPReply, Incoming, closed

T = TypeVar("T")
EPOCH = 1_780_000_000.0  # Unix time at which an emulator's clock starts: fixed, so that runs are alike


class VirtualClock:
    """A clock to give the client too: a sleep takes no time, moves the clock on, and is written down in `slept`."""

    def __init__(self, epoch: float = EPOCH) -> None:
        self.slept: list[float] = []  # the waits that were asked for, in seconds
        self._epoch = epoch
        self._elapsed = 0.0

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def time(self) -> float:
        """Unix time in seconds."""
        return self._epoch + self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Notes the wait; others run meanwhile."""
        self.slept.append(seconds)
        await self.skip(seconds)

    async def skip(self, seconds: float) -> None:
        """Lets time pass without a note. Waits that begin together end together."""
        wake = self._elapsed + seconds
        await asyncio.sleep(0)
        self._elapsed = max(self._elapsed, wake)


class Responder(Protocol):
    """Answers requests, on its own clock: an `Emulator`, or something else that `serve` is to put on a socket."""

    clock: Clock

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        """The reply to a request; `now` is Unix time."""
        ...


class EmulatorTransport:
    """Sends requests to an emulator in this process."""

    def __init__(self, responder: Responder, *then: Callable[[], Awaitable[None]]) -> None:
        self.server: Responder = responder  # the limits that a client learns are those of this server
        self._closing: set[asyncio.Task[None]] = set()
        self._then = then

    async def send(self, request: Request) -> EmulatorReply:
        """The reply, once its headers are here; ConnectError if the script refuses the connection."""
        parts, headers = urlsplit(request.url), Headers(request.headers.items())
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        incoming = Incoming(request.method, parts.path, query, headers, request.body or b"")
        clock = self.server.clock
        reply = EmulatorReply(request, clock, self._closing)
        try:
            await reply.begin(self.server.respond(incoming, now=clock.time()))
        except BaseException:
            reply.close()
            raise
        return reply

    async def aclose(self) -> None:
        """Waits until every backend has noticed that its caller left; then closes what else is to be closed."""
        await asyncio.gather(*self._closing)
        await asyncio.gather(*(close() for close in self._then))


class EmulatorReply:
    """The connection between a client and the emulator, for one exchange: it waits, and breaks when a time limit is met."""

    status: int
    headers: Headers

    def __init__(self, request: Request, clock: Clock, closing: set[asyncio.Task[None]]) -> None:
        loop = asyncio.get_running_loop()
        self._clock = clock
        self._closing = closing
        self._body: Body = ()
        self._broken: asyncio.Future[None] = loop.create_future()
        self._time = _LineTime(clock) if isinstance(clock, VirtualClock) else None
        watched = cast("asyncio.AbstractEventLoop", self._time or loop)  # a watch uses nothing else of it
        self._watch: Watch = Watch(request, watched.time(), self._break, watched)

    async def begin(self, answering: Awaitable[HTTPReply]) -> None:
        reply = await self._until(answering)
        self.status, self.headers, self._body = reply.status, Headers(reply.headers.items()), reply.body
        await self._wait(reply.delay)
        if reply.failure is not None:
            raise reply.failure
        if reply.refused:
            raise ConnectError("the emulator refused the connection, as its script says")

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it is sent; ends where it ends, and raises where it breaks off."""
        try:
            if isinstance(self._body, AsyncIterator):
                while (act := await self._until(anext(self._body, None))) is not None:
                    if piece := await self._carry(act):
                        yield piece
                return
            for number, act in enumerate(self._body):
                if number % 32 == 0:
                    await asyncio.sleep(0)  # as reading from a socket would, let others run now and then
                if piece := await self._carry(act):
                    yield piece
        finally:
            self._hang_up()

    async def drain(self) -> None:
        """Does nothing: there is no connection here that could be used again."""

    def progressed(self) -> None:
        self._watch.progressed()

    def close(self) -> None:
        """Closes the connection: the generator of the body is closed, and a pending read raises."""
        self._hang_up()
        if isinstance(self._body, AsyncIterator):
            task = asyncio.get_running_loop().create_task(closed(self._body))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _carry(self, act: Act) -> bytes:
        self._watch.resume()
        if isinstance(act, bytes):
            self._check()
            self._watch.received()
            return act
        if act == "reset":
            raise APIConnectionError("the connection was reset before the answer was complete")
        await self._wait(act)
        return b""

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await (self._time.skip(seconds, self._broken) if self._time else self._until(self._clock.sleep(seconds)))
        self._check()

    async def _until(self, work: Awaitable[T]) -> T:
        """The result of some work, unless the line breaks before it is there."""
        self._watch.resume()
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

    def _hang_up(self) -> None:
        self._watch.close()
        self._break()

    def _break(self) -> None:
        if not self._broken.done():
            self._broken.set_result(None)

    def _check(self) -> None:
        if self._broken.done():
            raise self._watch.expired or APIConnectionError("the connection was closed while the answer was read")


class _LineTime:
    """The time of one exchange on a virtual clock, for a `Watch` in place of the event loop's: waits are skipped in it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock, self._loop = clock, asyncio.get_running_loop()
        self._now = 0.0
        self._timer: tuple[float, Callable[[], object], asyncio.TimerHandle] | None = None

    def time(self) -> float:
        return self._now

    def call_at(self, when: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Calls back when a wait has reached the time, or when it has really passed."""
        handle = self._loop.call_later(when - self._now, self._reach, when, callback)
        self._timer = when, callback, handle
        return handle

    async def skip(self, seconds: float, broken: asyncio.Future[None]) -> None:
        """Lets so much time pass, also on the clock, or as much as there is until a limit is met."""
        begun, end = self._now, self._now + seconds
        while self._timer is not None and self._timer[0] <= end and not self._timer[2].cancelled():
            when, callback, handle = self._timer
            handle.cancel()
            self._reach(when, callback)
        if not broken.done():
            self._now = end
        passed = self._now - begun
        await (self._clock.skip(passed) if passed < math.inf else asyncio.shield(broken))

    def _reach(self, when: float, callback: Callable[[], object]) -> None:
        self._timer, self._now = None, max(self._now, when)
        callback()
