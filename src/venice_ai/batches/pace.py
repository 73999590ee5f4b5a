"""How many requests of a batch may be under way at once: a fixed number, or `"auto"`, which adapts it, up to 256.

With the client's limiter, `"auto"` begins at 20, as many as may fail in 30 s; each answer allows four more, and none begins
while the limiter holds one back. Without it, it begins at 8, adds one for each round of answers, and falls to three quarters
where the server refuses (429, 503) or takes over three times its shortest time: additive increase, multiplicative decrease.
"""

from __future__ import annotations

from math import inf
from typing import Final, Literal

from .._limits.failure_budget import FLIGHTS_PER_SUCCESS, MAX_FAILURES
from .._limits.limiter import Limiter
from ..exceptions import InvalidArgumentError

MOST: Final = 256
_MUCH_LATER: Final = 3.0


class Pace:
    """The number of requests that may be under way; the limiter is the client's, if that is on."""

    def __init__(self, asked: int | Literal["auto"], limiter: Limiter | None) -> None:
        if asked != "auto" and (isinstance(asked, bool) or not isinstance(asked, int) or asked < 1):
            raise InvalidArgumentError(f"max_concurrency={asked!r} must be a whole number from 1, or 'auto'")
        self._limiter = limiter if asked == "auto" else None
        self._learns = asked == "auto" and limiter is None
        self._places = 8.0 if self._learns else float(MAX_FAILURES if asked == "auto" else asked)
        self.under_way = 0
        self._latency, self._least_latency, self._fell_at = 0.0, inf, -inf

    @property
    def most(self) -> int:
        """How many may be under way now."""
        return int(self._places)

    def has_room(self) -> bool:
        """Whether one more may begin."""
        return self.under_way < self.most and not (self._limiter is not None and self.under_way and self._limiter.held)

    def ended(self, status: int | None, latency: float, now: float) -> None:
        """Counts a request that ended: refused with a status (None: answered, 0: nothing came), after so many seconds."""
        if self._limiter is not None and status is None:
            self._places = min(self._places + FLIGHTS_PER_SUCCESS, MOST)
        if not self._learns:
            return
        self._latency += (0.1 if self._latency else 1.0) * (latency - self._latency)
        self._least_latency = min(self._least_latency, self._latency)
        late = not status and self._latency > _MUCH_LATER * self._least_latency
        if status not in {429, 503} and not late:
            self._places = min(self._places + 1 / self._places, MOST)
        elif now - self._fell_at > self._latency:  # what was under way at the last fall knows nothing of it
            self._places, self._fell_at = max(self._places * 0.75, 1.0), now
            if late:  # what is normal may change, so that the least is not remembered for ever
                self._least_latency = min(self._least_latency * 2, self._latency)
