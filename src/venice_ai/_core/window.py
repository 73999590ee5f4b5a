"""How much of something there was in the last seconds: the one place where limits, real and simulated, count by time."""

from __future__ import annotations

from math import inf

from msgspec import Struct, field


class Window(Struct, array_like=True):
    """Units in the last `seconds`. Those that come within `slot` seconds are one entry, which leaves as its last one does."""

    seconds: float
    slot: float = 0.0
    total: float = 0.0
    entries: list[list[float]] = field(default_factory=list[list[float]])  # the start of each, and its units

    def add(self, now: float, units: float = 1) -> None:
        self.total += units
        if self.entries and now <= self.entries[-1][0] + self.slot:
            self.entries[-1][1] += units
        else:
            self.count(now)
            self.entries.append([now, units])

    def count(self, now: float) -> float:
        """How many units are in the window now."""
        while self.entries and self.entries[0][0] + self.slot + self.seconds <= now:  # the very sum of `when`, which rounds
            self.total -= self.entries.pop(0)[1]
        return self.total

    def remove(self, at: float, units: float) -> None:
        """Takes away units that were added at this time."""
        if entry := next((each for each in reversed(self.entries) if each[0] <= at), None):
            gone = min(units, entry[1])
            entry[1] -= gone
            self.total -= gone

    def when(self, units: float) -> float:
        """When so many units will have left; infinite if there are not so many."""
        if units <= 0:
            return -inf
        for start, counted in self.entries:
            units -= counted
            if units <= 0:
                return start + self.slot + self.seconds
        return inf
