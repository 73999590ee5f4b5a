"""How much of something there was in the last seconds: the one place where the rules count events by time."""

from __future__ import annotations

from collections import deque


class Window:
    """Units in the last `seconds`. Those that come within `slot` seconds are one entry, which leaves as its last one does."""

    __slots__ = ("entries", "seconds", "slot", "total")

    def __init__(self, seconds: float, slot: float = 0.0) -> None:
        self.seconds = seconds
        self.slot = slot
        self.entries: deque[list[float]] = deque()
        """The start of each entry, and its units."""
        self.total = 0.0

    def add(self, now: float, units: float = 1) -> None:
        self.total += units
        entries = self.entries
        if entries and (now < entries[-1][0] + self.slot or now == entries[-1][0]):
            entries[-1][1] += units
        else:
            self.count(now)
            entries.append([now, units])

    def count(self, now: float) -> float:
        """How many units are in the window now."""
        entries, oldest = self.entries, now - self.seconds - self.slot
        while entries and entries[0][0] <= oldest:
            self.total -= entries.popleft()[1]
        return self.total

    def remove(self, at: float, units: float) -> None:
        """Takes away units that were added at this time."""
        for entry in reversed(self.entries):
            if entry[0] <= at:
                units = min(units, entry[1])
                entry[1] -= units
                self.total -= units
                return

    def when(self, units: float) -> float | None:
        """When so many units will have left; None if there are not so many."""
        for start, counted in self.entries:
            units -= counted
            if units <= 0:
                return start + self.slot + self.seconds
        return None
