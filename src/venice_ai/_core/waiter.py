"""What waits for a signal: tasks of whatever event loop, or threads that block; any thread may give it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine
from math import inf
from typing import TYPE_CHECKING, Any, Literal

from ..exceptions import APIConnectionError, APITimeoutError
from .ports import Clock

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


def later(seconds: float, do: Callable[[], object]) -> None:
    """Has something done by a timer's thread, for it may be that nobody else comes."""
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()


class Wakeup:
    """What one task waits for, or with `blocks` one thread. Make it where it is waited for."""

    def __init__(self, *, blocks: bool = False) -> None:
        self._loop: AbstractEventLoop | None = None
        if blocks:
            self._event: Any = threading.Event()
        else:
            import asyncio  # a synchronous call may be all that a script makes

            self._loop, self._event = asyncio.get_running_loop(), asyncio.Event()

    def wake(self) -> bool:
        """Ends the wait, or the next one; False if nobody will ever hear it, for the event loop was closed."""
        try:
            self._event.set() if self._loop is None else self._loop.call_soon_threadsafe(self._event.set)
        except RuntimeError:
            return False
        return True

    def renew(self) -> None:
        """Forgets that it was woken; to be called before one looks whether to wait."""
        self._event.clear()

    async def woken(self, seconds: float = inf, *sleeps: Coroutine[Any, Any, None]) -> None:
        """Waits for `wake`, or for one of the sleeps, which only a task may have; so many seconds at most."""
        timeout = None if seconds == inf else seconds
        if self._loop is None:
            self._event.wait(timeout)
            return
        import asyncio

        waits = [asyncio.ensure_future(each) for each in (self._event.wait(), *sleeps)]
        try:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in waits:
                each.cancel()


class Waiter(Wakeup):
    """A call that waits, until the deadline of the call, or for as long as its `queue` clock allows."""

    def __init__(self, clock: Clock, due: float | None = None, queue: float | None = None) -> None:
        self.blocks: bool = getattr(clock, "blocks", False)
        super().__init__(blocks=self.blocks)
        self.clock = clock
        self.since: float = clock.now()
        self.due: float = inf if due is None else due
        self.due_clock: Literal["deadline", "queue"] = "queue" if due is None else "deadline"
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
