"""The failure budget of an API key: at most 20 failed requests in any 30 seconds, over all models.

Venice blocks an account that exceeds its own budget, which its documentation gives as 20 or as 50 failures in 30 s. So every
request reserves the failure that it may become: failures seen and requests without a reply are together at most 20. Each
success (a reply of 2xx) allows four more requests in flight, so that a healthy server is soon met by any number. Once something
has failed, requests in flight are also bounded by what the rate of failures lets one expect. `x-ratelimit-remaining` and
`x-ratelimit-resets` tighten the budget, never widen it.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

from ..types.rate_limits import FAILURE_BLOCK_SECONDS, RateLimits
from .window import Window

MAX_FAILURES = 20
WINDOW_SECONDS = FAILURE_BLOCK_SECONDS + 1.0
"""A second longer than the server's window, because the server dates a failure by when it refused, and we by when we heard."""
FLIGHTS_PER_SUCCESS = 4
MAX_REFUSALS = 3
NEVER_VALID = frozenset({400, 413, 415, 422})
"""Refusals of the body itself. 401 to 404 are not: keys, credit and catalogues change."""


class Wait(NamedTuple):
    """A request may not be sent now."""

    until: float | None
    """The monotonic time at which asking again makes sense; None: when a request in flight has ended."""
    why: str
    """What is waited for, in words for a log: `requests a minute`, `failures`, `circuit open`."""


class FailureBudget:
    """The failures of one API key at one base URL."""

    __slots__ = ("failures", "flying", "successes", "told", "told_until")

    def __init__(self) -> None:
        self.flying = 0
        """Requests without a reply."""
        self.failures = Window(WINDOW_SECONDS)
        self.successes = Window(WINDOW_SECONDS - 1.0, 1.0)
        self.told = MAX_FAILURES
        """Failures that are left, as the server said, until `told_until`."""
        self.told_until = 0.0

    def wait(self, now: float) -> Wait | None:
        """How long a request has to wait; None: it may be sent, which `flying` is to count."""
        failed = self.failed(now)
        if not failed and self.flying < MAX_FAILURES:
            return None
        if failed >= MAX_FAILURES:
            more = self.failures.total - MAX_FAILURES
            leaves = self.failures.when(more + 1) if more >= 0 else None
            return Wait(max(leaves or 0.0, self.told_until if self.told <= 0 else 0.0) or self.told_until, "failures")
        return None if self.flying < self._most_flying(now, failed) else Wait(None, "failures")

    def failed(self, now: float) -> int:
        """Failures in the window, or those that the server has counted, if more."""
        failed = int(self.failures.count(now))
        return max(failed, MAX_FAILURES - self.told) if now < self.told_until else failed

    def spare(self, now: float) -> int:
        """How many more requests may be sent now; 0 if something has failed, so that each is to be looked at."""
        return 0 if self.failed(now) else self._most_flying(now, 0) - self.flying

    def _most_flying(self, now: float, failed: int) -> int:
        succeeded = int(self.successes.count(now))
        allowed = MAX_FAILURES - failed + FLIGHTS_PER_SUCCESS * succeeded
        return min(allowed, (MAX_FAILURES - failed) * (failed + succeeded) // failed) if failed else allowed

    def hear(self, now: float, limits: RateLimits) -> None:
        """What the headers of a reply say of failures."""
        left, seconds = limits.remaining_failures, limits.reset_failures_seconds
        if left is not None and seconds and (now >= self.told_until or left < self.told):
            self.told, self.told_until = left, now + seconds


class Refusals:
    """Bodies that the server refused as invalid: the fourth identical one in 30 s is not sent."""

    def __init__(self) -> None:
        self.bodies: dict[Hashable, tuple[list[float], Exception]] = {}

    def add(self, body: Hashable, now: float, error: Exception) -> None:
        """The server refused this body with a status of `NEVER_VALID`; `body` is a digest of it."""
        times = self.bodies.pop(body, ([], error))[0]
        self.bodies[body] = ([*times[1 - MAX_REFUSALS :], now], error)
        for old in [key for key, (times, _) in self.bodies.items() if times[-1] <= now - FAILURE_BLOCK_SECONDS]:
            del self.bodies[old]

    def last(self, body: Hashable, now: float) -> Exception | None:
        """The last refusal of this body, if it was refused three times in the last 30 s."""
        if (refused := self.bodies.get(body)) is None:
            return None
        times, error = refused
        return error if len(times) == MAX_REFUSALS and times[0] > now - FAILURE_BLOCK_SECONDS else None
