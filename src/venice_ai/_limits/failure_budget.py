"""The failure budget of an API key: at most 20 failed requests in any 30 seconds, over all models.

Venice blocks an account that exceeds its own budget, which its documentation gives as 20 or as 50 failures in 30 s. So every
request reserves the failure that it may become: failures seen and requests without a reply are together at most 20. Each
success (a reply of 2xx) allows four more requests in flight, so that a healthy server is soon met by any number. Once something
has failed, requests in flight are also bounded by what the rate of failures lets one expect. `x-ratelimit-remaining` and
`x-ratelimit-resets` tighten the budget, never widen it.

The budget also remembers bodies that the server refuses as invalid: the fourth identical one in 30 s is not sent.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from typing import NamedTuple

from ..types.rate_limits import FAILURE_BLOCK_SECONDS, RateLimits

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

    __slots__ = ("failures", "last_ticket", "refusals", "successes", "tickets", "told", "told_until")

    def __init__(self) -> None:
        self.tickets: dict[int, float] = {}
        """Requests without a reply, by ticket: when they were sent."""
        self.failures: deque[float] = deque()
        self.successes: deque[list[float]] = deque()
        """When requests succeeded, in slots: the start of a second, and how many."""
        self.last_ticket = 0
        self.told = MAX_FAILURES
        """Failures that are left, as the server said, until `told_until`."""
        self.told_until = 0.0
        self.refusals: dict[Hashable, tuple[list[float], Exception]] = {}

    def reserve(self, now: float) -> int | Wait:
        """A ticket for a request that is sent now, or how long to wait."""
        failed = self._failed(now) if self.failures or now < self.told_until else 0
        if (failed or len(self.tickets) >= MAX_FAILURES) and (wait := self._wait(now, failed)):
            return wait
        self.last_ticket += 1
        self.tickets[self.last_ticket] = now
        return self.last_ticket

    def _failed(self, now: float) -> int:
        """Failures in the window, or those that the server has counted, if more."""
        failures = self.failures
        while failures and failures[0] <= now - WINDOW_SECONDS:
            failures.popleft()
        return max(len(failures), MAX_FAILURES - self.told) if now < self.told_until else len(failures)

    def _wait(self, now: float, failed: int) -> Wait | None:
        if failed >= MAX_FAILURES:
            leaves = self.failures[0] + WINDOW_SECONDS if len(self.failures) >= MAX_FAILURES else 0.0
            return Wait(max(leaves, self.told_until if self.told <= 0 else 0.0) or self.told_until, "failures")
        succeeded = int(sum(count for time, count in self.successes if time > now - WINDOW_SECONDS))
        allowed = MAX_FAILURES - failed + FLIGHTS_PER_SUCCESS * succeeded
        if failed:
            allowed = min(allowed, (MAX_FAILURES - failed) * (failed + succeeded) // failed)
        return None if len(self.tickets) < allowed else Wait(None, "failures")

    def ended(self, ticket: int, now: float, *, failed: bool | None, limits: RateLimits | None = None) -> None:
        """The head of the reply came, or will not come.

        Args:
            ticket: what `reserve` gave. Ending it twice does nothing.
            now: the time.
            failed: whether the request failed with any status, or after it was sent; None: it was not sent.
            limits: what the headers of the reply said.
        """
        if self.tickets.pop(ticket, None) is None:
            return
        if failed:
            self.failures.append(now)
        elif failed is False:
            self._succeeded(now)
        if limits is not None and limits.remaining_failures is not None and limits.reset_failures_seconds:
            self._hear(now, limits.remaining_failures, now + limits.reset_failures_seconds)

    def _succeeded(self, now: float) -> None:
        successes = self.successes
        if successes and now < successes[-1][0] + 1.0:
            successes[-1][1] += 1
            return
        while successes and successes[0][0] <= now - WINDOW_SECONDS:
            successes.popleft()
        successes.append([now, 1])

    def _hear(self, now: float, remaining: int, until: float) -> None:
        if now >= self.told_until or remaining < self.told:
            self.told, self.told_until = remaining, until

    def refused(self, body: Hashable, now: float, error: Exception) -> None:
        """The server refused this body with a status of `NEVER_VALID`; `body` is a digest of it."""
        times = self.refusals.pop(body, ([], error))[0]
        self.refusals[body] = ([*times[1 - MAX_REFUSALS :], now], error)
        for old in [key for key, (times, _) in self.refusals.items() if times[-1] <= now - FAILURE_BLOCK_SECONDS]:
            del self.refusals[old]

    def refusal(self, body: Hashable, now: float) -> Exception | None:
        """The last refusal of this body, if it was refused three times in the last 30 s."""
        if (refused := self.refusals.get(body)) is None:
            return None
        times, error = refused
        return error if len(times) == MAX_REFUSALS and times[0] > now - FAILURE_BLOCK_SECONDS else None
