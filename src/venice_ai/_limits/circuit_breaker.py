"""A circuit breaker: a server that fails most requests is left alone for seconds, then tried with one request at a time.

It counts server errors (5xx), connection failures and time-outs; refusals of the request itself are successes of the server.
It opens on a rate: at least half of the replies of the last 10 s failed, and at least 5. It stays open for 1 s, and twice as
long after each failed probe, up to 4 s, so that a server that has recovered is noticed within 5 s. Then it is half-open: one
probe at a time. A success closes it.
"""

from __future__ import annotations

from .failure_budget import Wait
from .window import Window

WINDOW_SECONDS = 10.0
MIN_FAILURES = 5
MAX_FAILURE_RATE = 0.5
FIRST_OPEN_SECONDS = 1.0
MAX_OPEN_SECONDS = 4.0


class CircuitBreaker:
    """The circuit breaker of one bucket."""

    __slots__ = ("failures", "open_seconds", "open_until", "probe_sent", "successes")

    def __init__(self) -> None:
        self.failures, self.successes = Window(WINDOW_SECONDS, 1.0), Window(WINDOW_SECONDS, 1.0)
        self.open_until: float | None = None
        """While open or half-open: when a probe may be sent; None: closed."""
        self.open_seconds = FIRST_OPEN_SECONDS
        self.probe_sent: float | None = None

    def wait(self, now: float) -> Wait | None:
        """How long a request has to wait; None: it may be sent, and is the probe while half-open (see `sent`)."""
        if self.open_until is None:
            return None
        if now < self.open_until:
            return Wait(self.open_until, "circuit open")
        if self.probe_sent is not None and now < self.probe_sent + MAX_OPEN_SECONDS:
            return Wait(self.probe_sent + MAX_OPEN_SECONDS, "circuit half-open")
        return None

    def sent(self, now: float) -> None:
        """A request is sent; while half-open, it is the probe."""
        if self.open_until is not None:
            self.probe_sent = now

    def ended(self, now: float, *, failed: bool | None, count: int = 1) -> None:
        """Requests had a reply or none; `failed=None`: it was cancelled, and says nothing."""
        if self.open_until is not None:
            self._probed(now, failed=failed)
        elif failed is False:
            self.successes.add(now, count)
        elif failed:
            self.failures.add(now)
            failures = self.failures.count(now)
            if failures >= max(MIN_FAILURES, MAX_FAILURE_RATE * (failures + self.successes.count(now))):
                self.open_until = now + self.open_seconds

    def _probed(self, now: float, *, failed: bool | None) -> None:
        if failed is False:
            self.__init__()  # type: ignore[misc]  # as new: closed, with nothing remembered
        elif now >= (self.open_until or 0.0):
            self.probe_sent = None
            if failed:
                self.open_seconds = min(self.open_seconds * 2, MAX_OPEN_SECONDS)
                self.open_until = now + self.open_seconds
