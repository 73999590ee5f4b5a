"""A circuit breaker leaves a failing server alone, and a retry budget bounds how often it is asked again.

The breaker counts server errors (5xx), connection failures and time-outs. It opens if at least half of the replies of the last
10 s failed, and at least 5; for 1 s, and twice as long after each failed probe, up to 4 s. Then one probe goes at a time.
"""

from __future__ import annotations

from math import inf

from msgspec import Struct, field

from .failure_budget import Wait
from .window import Window

MIN_FAILURES = 5
MAX_FAILURE_RATE = 0.5
FIRST_OPEN_SECONDS = 1.0
MAX_OPEN_SECONDS = 4.0
RETRIES_PER_CALL = 0.1
RETRIES_PER_SECOND = 3.0
SECONDS_KEPT = 10.0
_MOST_RETRIES = 100.0


def _last_10_s() -> Window:
    return Window(10.0, 1.0)


class CircuitBreaker(Struct):
    """The circuit breaker of one bucket."""

    failures: Window = field(default_factory=_last_10_s)
    successes: Window = field(default_factory=_last_10_s)
    open_until: float | None = None  # while open or half-open: when a probe may be sent; None: closed
    open_seconds: float = FIRST_OPEN_SECONDS
    probe_sent: float = -inf

    def wait(self, now: float) -> Wait | None:
        """How long a request has to wait; None: it may be sent, and is the probe while half-open (see `sent`)."""
        if self.open_until is None:
            return None
        if now < self.open_until:
            return Wait(self.open_until, "circuit open")
        late = self.probe_sent + MAX_OPEN_SECONDS
        return Wait(late, "circuit half-open") if now < late else None

    def sent(self, now: float) -> None:
        """A request is sent; while half-open, it is the probe."""
        if self.open_until is not None:
            self.probe_sent = now

    def ended(self, now: float, *, failed: bool | None, count: int = 1) -> None:
        """Requests had a reply or none; `failed=None`: it was cancelled, and says nothing."""
        if self.open_until is None:
            if failed is not None:
                (self.failures if failed else self.successes).add(now, count)
            failures = self.failures.count(now)
            if failed and failures >= max(MIN_FAILURES, MAX_FAILURE_RATE * (failures + self.successes.count(now))):
                self.open_until = now + self.open_seconds
        elif failed is False:
            self.open_until, self.open_seconds, self.probe_sent = None, FIRST_OPEN_SECONDS, -inf
            self.failures, self.successes = _last_10_s(), _last_10_s()
        elif now >= self.open_until:
            self.probe_sent = -inf
            if failed:
                self.open_seconds = min(self.open_seconds * 2, MAX_OPEN_SECONDS)
                self.open_until = now + self.open_seconds


class RetryBudget(Struct):
    """The retries that an account may make, so that an overloaded server is spared: one for ten calls, and three a second."""

    left: float = 0.0
    at: float = -inf  # when time has last given some, which is while there are fewer than it gives in 10 s

    def called(self, calls: int = 1) -> None:
        """So many calls begin; retries are no calls."""
        self.left = min(self.left + RETRIES_PER_CALL * calls, _MOST_RETRIES)

    def spend(self, now: float) -> bool:
        """Whether one more retry may be made; if so, it is paid for."""
        given = (now - self.at) * RETRIES_PER_SECOND
        self.left, self.at = max(self.left, min(self.left + given, RETRIES_PER_SECOND * SECONDS_KEPT)), now
        if self.left < 1.0:
            return False
        self.left -= 1.0
        return True
