"""An event loop whose time is virtual: where nothing runs, it jumps to the next timer, and nobody waits."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")
UNIX = 1_800_000_000.0
"""The server's clock when time begins, in the simulation as well: windows of both begin at the same times."""


class _Selector(selectors.DefaultSelector):
    def __init__(self) -> None:
        super().__init__()
        self.skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout:
            self.skipped += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop that never waits for time."""

    def __init__(self) -> None:
        self.selector = _Selector()
        super().__init__(self.selector)

    def time(self) -> float:
        return self.selector.skipped


class LoopClock:
    """The time of the loop that runs, or ran last, as a client's and an emulator's clock."""

    def now(self) -> float:
        with suppress(RuntimeError):  # another thread asks
            self._loop = asyncio.get_running_loop()
        return self._loop.time()

    def time(self) -> float:
        return UNIX + self.now()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def run(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine gives, run in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
