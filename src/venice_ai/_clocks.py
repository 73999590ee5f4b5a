"""The time limits of a stream: one timer that is moved on, instead of one for each read.

A limit on every read would start and cancel a timer for each chunk. Here a piece of the stream costs a look at the clock;
the timer, when it fires, sees how much was heard since and sets itself anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ._transport import Request
from .exceptions import APITimeoutError


class Watch:
    """Watches the `first_chunk`, `idle`, `progress` and `deadline` clocks of one stream; the first to run out calls `stop`."""

    __slots__ = (
        "_byte",
        "_content",
        "_deadline",
        "_first_chunk",
        "_handle",
        "_idle",
        "_loop",
        "_progress",
        "_reading",
        "_sent",
        "_stop",
        "expired",
    )

    def __init__(self, request: Request, started: float, stop: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        limits = request.timeout
        self._first_chunk = limits.first_chunk
        self._idle = limits.idle
        self._progress = limits.progress
        self._deadline = request.deadline_seconds
        self._stop = stop
        self._sent = started
        self._byte: float | None = None
        self._content: float | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._reading = False
        self.expired: APITimeoutError | None = None
        """The error that the clock stands for, once one ran out."""
        self._check()

    def resume(self) -> None:
        """Somebody waits for bytes again. What they did meanwhile is not the server's time: only the deadline counts it."""
        if self._reading:
            return
        self._reading = True
        if self._byte is None or self._content is None:
            return
        now = self._loop.time()
        self._content += now - self._byte
        self._byte = now

    def received(self) -> None:
        """Bytes came; until `resume`, nobody waits for more."""
        self._reading = False
        first = self._byte is None
        self._byte = self._loop.time()
        if first:
            # Only now do the limits between bytes and between contents hold.
            self._content = self._byte
            self._check()

    def progressed(self) -> None:
        """Content came."""
        self._content = self._loop.time()

    def close(self) -> None:
        """Stops watching."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _check(self) -> None:
        self.close()
        due = self._due()
        if due is None:
            return
        at, clock, seconds = due
        now = self._loop.time()
        if at <= now and not self._reading and clock != "deadline":
            at = now + seconds  # what has arrived is still to be read, so this is no silence; look again later
        if at > now:
            self._handle = self._loop.call_at(at, self._check)
            return
        self.expired = timed_out(clock, seconds)
        self._stop()

    def _due(self) -> tuple[float, str, float] | None:
        """The clock that runs out first, if nothing more is heard."""
        limits = [
            (self._sent, "first_chunk", self._first_chunk if self._byte is None else None),
            (self._byte, "idle", self._idle),
            (self._content, "progress", self._progress),
            (self._sent, "deadline", self._deadline),
        ]
        return min(
            (
                (since + seconds, clock, seconds)
                for since, clock, seconds in limits
                if since is not None and seconds is not None
            ),
            default=None,
        )


_WHAT = {
    "connect": "no connection was made",
    "first_chunk": "the stream did not begin",
    "idle": "nothing arrived",
    "plain": "the answer was not complete",
    "progress": "no content arrived",
    "deadline": "the call did not finish",
}


def timed_out(clock: str, seconds: float, kind: type[APITimeoutError] = APITimeoutError) -> APITimeoutError:
    """The error for a clock that ran out."""
    name = "idle" if clock == "plain" else clock
    error = kind(
        f"{_WHAT[clock]} within {seconds:g} s (the {name!r} clock). Allow more with timeout=Timeout({name}=...), here or on "
        "the client; long answers do better with client.chat.completions.stream(...)."
    )
    error.clock = name
    return error
