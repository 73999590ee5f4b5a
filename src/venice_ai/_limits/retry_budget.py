"""The retry budget: retries are at most a tenth of the calls, or 3 a second, whichever is more.

Without it, an overloaded server is asked several times for each call, just when it can answer least. Both parts are token
buckets, which hold what 10 seconds without retries have put into them.
"""

from __future__ import annotations

RETRIES_PER_CALL = 0.1
RETRIES_PER_SECOND = 3.0
SECONDS_KEPT = 10.0
_MAX_EARNED = 100.0


class RetryBudget:
    """The retries that all calls of one API key at one base URL may still make."""

    __slots__ = ("at", "earned", "free")

    def __init__(self) -> None:
        self.at: float | None = None
        """When `free` was last counted."""
        self.free = RETRIES_PER_SECOND * SECONDS_KEPT
        """Retries that time has given."""
        self.earned = 0.0
        """Retries that calls have given."""

    def called(self, calls: int = 1) -> None:
        """So many calls begin; retries are no calls."""
        self.earned = min(self.earned + RETRIES_PER_CALL * calls, _MAX_EARNED)

    def spend(self, now: float) -> bool:
        """Whether one more retry may be made; if so, it is paid for."""
        since = 0.0 if self.at is None else max(now - self.at, 0.0)
        self.free = min(self.free + since * RETRIES_PER_SECOND, RETRIES_PER_SECOND * SECONDS_KEPT)
        self.at = now
        if self.free >= 1.0:
            self.free -= 1.0
        elif self.earned >= 1.0:
            self.earned -= 1.0
        else:
            return False
        return True
