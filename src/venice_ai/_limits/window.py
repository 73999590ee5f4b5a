"""How much of something there was in the last seconds: the one place where the rules count events by time."""

from __future__ import annotations

from math import inf

from msgspec import Struct, field


class Window(Struct, array_like=True):
    """Units in the last `seconds`. Those that come within `slot` seconds are one entry, which leaves as its last one does."""

    seconds: float
    slot: float = 0.0
    total: float = 0.0
    entries: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    """The start of each entry, and its units."""

    def add(self, now: float, units: float = 1) -> None:
        self.total += units
        entries = self.entries
        if entries and (now < entries[-1][0] + self.slot or now == entries[-1][0]):
            entries[-1] = entries[-1][0], entries[-1][1] + units
        else:
            self.count(now)
            entries.append((now, units))

    def count(self, now: float) -> float:
        """How many units are in the window now."""
        entries = self.entries
        while entries and entries[0][0] + self.slot + self.seconds <= now:  # the very sum of `when`, which rounds
            self.total -= entries.pop(0)[1]
        return self.total

    def remove(self, at: float, units: float) -> None:
        """Takes away units that were added at this time."""
        for index in range(len(self.entries) - 1, -1, -1):
            start, counted = self.entries[index]
            if start <= at:
                self.entries[index] = start, counted - min(units, counted)
                self.total -= min(units, counted)
                return

    def when(self, units: float) -> float:
        """When so many units will have left; infinite if there are not so many."""
        if units <= 0:
            return -inf
        for start, counted in self.entries:
            units -= counted
            if units <= 0:
                return start + self.slot + self.seconds
        return inf
