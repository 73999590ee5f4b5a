"""The time limits of calls and of streams: `Deadlines` has one timer for all calls of a loop, a `Watch` one for a stream."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf

from .._core.request import Request
from ..exceptions import APITimeoutError
from .transport_errors import late


class Deadlines:
    """Time limits for many calls of one event loop; a `Limit` is that of one."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self.limits: set[Limit] = set()  # of the calls under way, which put themselves in and take themselves out
        self.due: float = inf  # when the timer looks at them. It is not set back when a call ends: it will see what is left.

    def look_at(self, due: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.due = due
        self._timer = self._loop.call_at(due, self._look)

    def _look(self) -> None:
        self._timer, self.due = None, inf
        now = self._loop.time()
        waiting = {limit: limit.due for limit in self.limits if limit.due is not None}
        for limit, due in waiting.items():
            if due <= now:
                limit.expire()
        if left := [due for due in waiting.values() if due > now]:
            self.look_at(min(left))


class Limit:
    """One call's limit, from now on until `end`."""

    __slots__ = ("_cancels", "_deadlines", "_expired", "_task", "due")

    def __init__(self, deadlines: Deadlines, due: float | None) -> None:
        self._deadlines, self.due = deadlines, due
        self._task = asyncio.current_task()
        self._cancels = 0 if self._task is None else self._task.cancelling()
        self._expired = False
        deadlines.limits.add(self)
        if due is not None and due < deadlines.due:
            deadlines.look_at(due)

    def expire(self) -> None:
        """Time is over, or the client was closed: cancels what the call waits for."""
        if not self._expired and self._task is not None:
            self._expired = True
            self._task.cancel()

    def is_late(self) -> bool:
        """Whether it has expired. Not if somebody else has cancelled the task as well: then it is cancelled, not late."""
        return self._expired and self._task is not None and self._task.cancelling() - 1 <= self._cancels

    def end(self) -> None:
        self._deadlines.limits.discard(self)
        if self._expired and self._task is not None:
            self._task.uncancel()
        self._task = None  # the context of a connection's callbacks holds this; a task would live as long, and its result


class Watch:
    """Watches the clocks of one reply, such as `first_chunk`, `idle` and `deadline`; the first to run out calls `stop`."""

    __slots__ = "_byte", "_content", "_handle", "_loop", "_ran_out", "_reading", "_request", "_sent", "_stop"

    def __init__(
        self, request: Request, started: float, stop: Callable[[], None], loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        self._loop = loop or asyncio.get_running_loop()
        self._request, self._stop = request, stop
        self._sent = started
        self._byte: float | None = None
        self._content: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._reading = False
        self._ran_out: str | None = None
        self._check()

    @property
    def expired(self) -> APITimeoutError | None:
        """A new error for the clock that ran out; None if none did. A kept one would refer to who has this, and so on."""
        return None if self._ran_out is None else late(self._request, self._ran_out)

    def resume(self) -> None:
        """Somebody waits for bytes again. What they did meanwhile is not the server's time: only the deadline counts it."""
        if not self._reading and self._byte is not None and self._content is not None:
            now = self._loop.time()
            self._content += now - self._byte
            self._byte = now
        self._reading = True

    def received(self) -> None:
        """Bytes arrived; until `resume`, nobody waits for more."""
        self._reading = False
        first = self._byte is None
        self._byte = self._loop.time()
        if first:
            self._content = self._byte  # only now do the limits between bytes and between contents hold
            self._check()

    def progressed(self) -> None:
        self._content = self._byte

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _check(self) -> None:
        self.close()
        if (due := self._due()) is None:
            return
        at, clock, seconds = due
        now = self._loop.time()
        if at <= now and not self._reading and clock != "deadline":
            at = now + seconds  # what has arrived is still to be read, so this is not silence; look again later
        if at > now:
            self._handle = self._loop.call_at(at, self._check)
        else:
            self._ran_out = clock
            self._stop()

    def _due(self) -> tuple[float, str, float] | None:
        return first_due(self._request, self._sent, self._byte, self._content)


def first_due(request: Request, sent: float, byte: float | None, content: float | None) -> tuple[float, str, float] | None:
    """The clock of a reply that runs out first, if no more bytes arrive: when, its name, its seconds."""
    limits = request.timeout
    clocks = [
        (sent, "first_chunk", limits.first_chunk if byte is None else None),
        (byte, "idle", limits.idle),
        (content, "progress", limits.progress),
        (sent, "deadline", request.deadline_seconds),
    ]
    if not request.stream:
        clocks = [(sent, "plain", limits.plain), clocks[-1]]
    dues = ((at + seconds, clock, seconds) for at, clock, seconds in clocks if at is not None and seconds is not None)
    return min(dues, default=None)


def shortest(request: Request) -> tuple[str, float | None]:
    """The clock that limits the wait for a plain answer, or for a stream's headers, and its seconds."""
    name = "first_chunk" if request.stream else "plain"
    limit: float | None = getattr(request.timeout, name)
    left = request.deadline_seconds
    return ("deadline", left) if left is not None and (limit is None or left <= limit) else (name, limit)
