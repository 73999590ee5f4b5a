"""Single flight: callers who ask for the same thing at the same time share one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """The requests that are under way, by key and event loop."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[Hashable, asyncio.AbstractEventLoop], asyncio.Task[T]] = {}

    async def share(self, key: Hashable, start: Callable[[], Awaitable[T]]) -> T:
        """What `start` gives, or what it gives to those who asked before and still wait."""
        flight = (key, asyncio.get_running_loop())
        if (task := self._tasks.get(flight)) is None:
            task = self._tasks[flight] = asyncio.ensure_future(start())
            task.add_done_callback(lambda done: self._landed(flight, done))
        # Whoever stops waiting must not take it away from the others.
        return await asyncio.shield(task)

    def _landed(self, flight: tuple[Hashable, asyncio.AbstractEventLoop], task: asyncio.Task[T]) -> None:
        self._tasks.pop(flight, None)
        if not task.cancelled():
            task.exception()  # marks it as seen, should everyone have stopped waiting
