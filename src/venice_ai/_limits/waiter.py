"""Calls that wait for their turn: tasks of whatever event loop, or threads that block; any thread may wake them."""

from __future__ import annotations

from math import inf
from typing import Literal

from .._core.ports import Attempt, Clock, Pass
from .._core.wakeup import Wakeup
from ..exceptions import APIConnectionError, APIError, APITimeoutError, CircuitOpenError, RateLimitError
from .failure_budget import Wait

LONGEST_WAIT_SECONDS = 90.0
"""A single wait that is known to be longer, as until tomorrow, is not waited unless `Timeout(queue=...)` allows it."""


class Waiter(Wakeup):
    """A call that waits, until the deadline of the call, or for as long as its `queue` clock allows."""

    def __init__(self, clock: Clock, due: float | None = None, queue: float | None = None) -> None:
        self.blocks: bool = getattr(clock, "blocks", False)
        super().__init__(blocks=self.blocks)
        self.clock = clock
        self.since: float = clock.now()
        self.due: float = inf if due is None else due
        self.due_clock: Literal["deadline", "queue"] = "deadline"
        if queue is not None and self.since + queue < self.due:
            self.due, self.due_clock = self.since + queue, "queue"
        self.closed: bool = False  # whether its client was closed, so that it waits in vain

    def close(self) -> None:
        self.closed = True
        self.wake()

    async def wait(self, what: str, seconds: float, limit: float) -> None:
        """Waits to be woken since `renew`: so many seconds on the clock at most, or the limit on the loop's own."""
        if self.closed:
            raise APIConnectionError(f"not sent: the client was closed while the call waited for {what}")
        limit = min(limit, self.due - self.clock.now())
        if limit <= 0:
            name = self.due_clock
            raise APITimeoutError(
                f"not sent: the call waited {self.due - self.since:g} s for {what} until the {name!r} clock ran out. "
                f"Allow more with timeout=Timeout({name}=...), here or on the client.",
                clock=name,
            )
        sleeps = [] if self.blocks or seconds == inf else [self.clock.sleep(seconds)]
        await self.woken(min(seconds, limit) if self.blocks else limit, *sleeps)


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
        self.result: Pass | None = None
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
