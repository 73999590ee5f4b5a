"""Calls that wait for their turn: tasks of whatever event loop, or threads that block; any thread may wake them."""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from .._core.ports import Attempt, Clock, Pass
from ..exceptions import APIConnectionError, APIError, APITimeoutError, CircuitOpenError, RateLimitError, VeniceError
from .failure_budget import Wait

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Event

LONGEST_WAIT_SECONDS = 90.0
"""A single wait that is known to be longer, as until tomorrow, is not waited unless `Timeout(queue=...)` allows it."""


class Waiter:
    """A call that waits, until the deadline of the call, or for as long as its `queue` clock allows."""

    def __init__(self, clock: Clock, due: float | None = None, queue: float | None = None) -> None:
        self.clock = clock
        self.since: float = clock.now()
        self.due: float = inf if due is None else due
        self.due_clock: Literal["deadline", "queue"] = "deadline"
        if queue is not None and self.since + queue < self.due:
            self.due, self.due_clock = self.since + queue, "queue"
        self.closed: bool = False  # whether its client was closed, so that it waits in vain
        self._loop: AbstractEventLoop | None = None
        self._event: Event | threading.Event | None = None

    def close(self) -> None:
        self.closed = True
        self.wake()

    def renew(self) -> None:
        """Forgets that it was woken; to be called before one looks whether to wait."""
        if self._event is None and getattr(self.clock, "blocks", False):
            self._event = threading.Event()
        elif self._event is None:
            import asyncio  # a synchronous call may be all that a script makes

            self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()
        self._event.clear()

    def wake(self) -> bool:
        """False if nobody will ever hear it."""
        if self._event is not None:
            try:
                self._event.set() if self._loop is None else self._loop.call_soon_threadsafe(self._event.set)
            except RuntimeError:  # the loop was closed
                return False
        return True

    async def wait(self, what: str, seconds: float, limit: float) -> None:
        """Waits to be woken since `renew`: so many seconds on the clock at most, or the limit on the loop's own."""
        if self.closed:
            raise APIConnectionError(f"not sent: the client was closed while the call waited for {what}")
        limit = min(limit, self.due - self.clock.now())
        if limit <= 0:
            raise self._late(what)
        if isinstance(self._event, threading.Event):
            self._event.wait(None if seconds == limit == inf else min(seconds, limit))
            return
        import asyncio

        assert self._event is not None, "`renew` was called before"
        waits: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._event.wait())]
        if seconds < inf:
            waits.append(asyncio.ensure_future(self.clock.sleep(seconds)))
        try:
            await asyncio.wait(waits, timeout=None if limit == inf else limit, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()

    def _late(self, what: str) -> APITimeoutError:
        name, seconds = self.due_clock, self.due - self.since
        return APITimeoutError(
            f"not sent: the call waited {seconds:g} s for {what} until the {name!r} clock ran out. "
            f"Allow more with timeout=Timeout({name}=...), here or on the client.",
            clock=name,
        )


class QueuedCall(Waiter):
    """A call in the queue of a bucket."""

    def __init__(self, clock: Clock, model: str, attempt: Attempt, *, fail_fast: bool) -> None:
        queue = attempt.request.timeout.queue
        super().__init__(clock, attempt.due, queue)
        self._model = model or "the API"
        self.attempt = attempt
        self.tokens = 0  # what it is likely to use
        self._fail_fast = fail_fast
        self._patience = LONGEST_WAIT_SECONDS if queue is None else inf
        self.result: Pass | VeniceError | None = None
        self.watched: Wait | None = None  # what it was last told to wait for, as the first of the queue
        self.told = False

    def refusal(self, wait: Wait, now: float) -> APIError | None:
        """The error for a call of which it is known that it will not be let through in time; None if it may be."""
        seconds, circuit = (wait.until or now) - now, wait.why.startswith("circuit")
        too_long = wait.until is not None and (wait.until > self.due or seconds > self._patience)
        if not too_long and not (circuit and self._fail_fast):
            return None
        if self.attempt.failure is not None:
            return self.attempt.failure  # waiting past the deadline would only turn a clear error into a late one
        if circuit:
            return CircuitOpenError(
                f"not sent: most of the last requests to {self._model} failed, and it is left alone for {seconds:.1f} s",
                retry_after_seconds=seconds,
            )
        clock = self.due_clock if self.due < inf else "queue"
        word = wait.why.partition(" ")[0]
        return RateLimitError(
            f"not sent: requests to {self._model} are held for {seconds:.1f} s ({wait.why}), longer than this call "
            f"waits; allow more with timeout=Timeout({clock}=...), here or on the client",
            retry_after_seconds=seconds,
            kind=word if word in {"requests", "tokens", "failures"} else "unknown",
        )
