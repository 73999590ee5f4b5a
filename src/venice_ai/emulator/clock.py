"""A virtual clock: sleeping takes no time, moves the clock on, and is recorded."""

from __future__ import annotations

import asyncio

EPOCH = 1_780_000_000.0
"""Unix time at which an emulator's clock starts: fixed, so that runs are alike."""


class VirtualClock:
    """A clock to give the client too: a sleep takes no time, moves the clock on, and is written down in `slept`."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        """The waits that were asked for, in seconds."""
        self._elapsed = 0.0

    def now(self) -> float:
        """Seconds since the clock was made."""
        return self._elapsed

    def time(self) -> float:
        """Unix time in seconds."""
        return EPOCH + self._elapsed

    async def sleep(self, seconds: float) -> None:
        """Notes the wait; others run meanwhile."""
        self.slept.append(seconds)
        await self.skip(seconds)

    async def skip(self, seconds: float) -> None:
        """Lets time pass without a note. Waits that begin together end together."""
        wake = self._elapsed + seconds
        await asyncio.sleep(0)
        self._elapsed = max(self._elapsed, wake)
