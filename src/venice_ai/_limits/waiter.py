"""A call that waits for its turn: a task of whatever event loop, or a thread that blocks; any thread may wake it."""

from __future__ import annotations

import threading
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

from .._core.ports import Clock
from .._core.request import SystemClock
from ..exceptions import APITimeoutError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future


class Waiter:
    """A call that waits, until the deadline of the call, or for as long as its `queue` clock allows."""

    def __init__(self, clock: Clock, due: float | None = None, queue: float | None = None) -> None:
        self.clock = clock
        self.since: float = clock.now()
        self.due: float = inf if due is None else due
        self.due_clock: str = "deadline"
        if queue is not None and self.since + queue < self.due:
            self.due, self.due_clock = self.since + queue, "queue"
        self.closed: bool = False
        """Whether its client was closed, so that it waits in vain."""
        self._event = threading.Event() if getattr(clock, "blocks", False) else None
        if self._event is None:
            import asyncio  # a synchronous call may be all that a script makes

            self._loop: AbstractEventLoop = asyncio.get_running_loop()
            self._future: Future[None] = self._loop.create_future()

    def close(self) -> None:
        self.closed = True
        self.wake()

    def renew(self) -> None:
        """Forgets that it was woken."""
        if self._event is not None:
            self._event.clear()
        elif self._future.done():
            self._future = self._loop.create_future()

    def wake(self) -> bool:
        """False if nobody will ever hear it."""
        if self._event is not None:
            self._event.set()
            return True
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(_settle, self._future)
            return True
        return False

    async def wait(self, seconds: float, limit: float) -> None:
        """Waits to be woken, at most so many seconds on the clock, or the limit on the loop's own."""
        least = None if seconds == limit == inf else min(seconds, limit)
        if self._event is not None:
            self._event.wait(least)
            return
        import asyncio

        if isinstance(self.clock, SystemClock) or seconds == inf:
            await asyncio.wait((self._future,), timeout=least)
            return
        sleep = asyncio.ensure_future(self.clock.sleep(seconds))
        try:
            await asyncio.wait((self._future, sleep), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()

    def late(self, what: str) -> APITimeoutError:
        """The error for a call whose time is up."""
        name, seconds = self.due_clock, self.due - self.since
        error = APITimeoutError(
            f"not sent: the call waited {seconds:g} s for {what} until the {name!r} clock ran out. "
            f"Allow more with timeout=Timeout({name}=...), here or on the client."
        )
        error.clock = name
        return error


def _settle(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)
