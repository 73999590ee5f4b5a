"""A signal from any thread to what waits for it: a task on its event loop, or a thread that blocks."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop


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
