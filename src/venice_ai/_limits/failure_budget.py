"""The failure budget of an API key: at most 20 failed requests in any 30 seconds, over all models.

Venice blocks an account after more, 20 or 50 as its pages differ. A request without a reply may still fail, so it counts too;
each success of the last 30 s allows four more. Once something has failed, only so many requests are in flight that the
budget holds, with a margin for chance, if they fail as often as those since the first failure in the window: when an outage
begins, all do. The last failures are left to requests that go one at a time, as those that find out whether a server is back.
`x-ratelimit-remaining` and `-resets` can make it smaller. A retry budget bounds how often a server that fails is asked again.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from math import inf, sqrt
from operator import attrgetter
from typing import NamedTuple

from msgspec import Struct, field

from .._core.request import Request
from .._core.window import Window
from ..exceptions import APIError
from ..types.rate_limits import FAILURE_BLOCK_SECONDS, RateLimits

RETRIES_PER_CALL, RETRIES_PER_SECOND, MOST_RETRIES = 0.1, 3.0, 30.0  # the most at once
MAX_FAILURES = 20
WINDOW_SECONDS = FAILURE_BLOCK_SECONDS + 1.0  # because the server dates a failure by when it refused, and we by when we heard
FLIGHTS_PER_SUCCESS = 4
KEPT = 5  # failures that are left to requests that go one at a time
DOUBT = 3  # failures that are added to those that were seen, for few replies say little
DEVIATIONS = 3.0  # standard deviations of the number of failures in flight, which may be more than is likely
MAX_REFUSALS = 3
NEVER_VALID = frozenset({400, 413, 415, 422})  # refusals of the body; keys, credit and catalogues (401 to 404) change
_identity = attrgetter("method", "url", "body")


class Wait(NamedTuple):
    """A request may not be sent now."""

    until: float | None  # when asking again makes sense; None: when a request in flight has ended
    why: str  # what is waited for, in words for a log: `requests a minute`, `failures`, `circuit open`


class FailureBudget(Struct, array_like=True):
    """The failures of one API key at one base URL."""

    unanswered: int = 0  # requests without a reply
    failures: Window = field(default_factory=lambda: Window(WINDOW_SECONDS))
    successes: Window = field(default_factory=lambda: Window(WINDOW_SECONDS - 1.0, 1.0))
    reported: int = MAX_FAILURES  # failures that are left, as the server said, until `reported_until`
    reported_until: float = 0.0

    def add(self, now: float, count: int = 1, *, failed: bool) -> None:
        """So many requests were answered."""
        (self.failures if failed else self.successes).add(now, count)
        if failed:
            self.successes.entries.append([now, 0.0])  # so that what succeeds after it can be told apart

    def wait(self, now: float) -> Wait | None:
        """How long a request has to wait; None: it may be sent, which `unanswered` is to count."""
        if self.spare(now) > 0:
            return None
        if self.failed(now) < MAX_FAILURES:
            return Wait(None, "failures")
        leaves = self.failures.when(self.failures.total - MAX_FAILURES + 1)
        return Wait(max(leaves, self.reported_until if self.reported <= 0 else 0.0), "failures")

    def failed(self, now: float) -> int:
        """Failures in the window, or those that the server has counted, if more."""
        failed = int(self.failures.count(now))
        return max(failed, MAX_FAILURES - self.reported) if now < self.reported_until else failed

    def spare(self, now: float) -> int:
        """How many more requests may be sent now, if they fail as often as those before."""
        failed, left = self.failed(now), MAX_FAILURES - self.failed(now)
        first = self.failures.entries[0][0] if self.failures.entries else now - WINDOW_SECONDS
        succeeded = sum(count for at, count in self.successes.entries if at >= first)
        if left <= 1:
            return left - self.unanswered
        if not failed:
            return left + FLIGHTS_PER_SUCCESS * int(succeeded) - self.unanswered
        left = max(left - KEPT, 1)
        part = (failed + DOUBT) / (failed + DOUBT + succeeded)
        deviation = DEVIATIONS * sqrt(part * (1 - part))
        likely = ((sqrt(deviation**2 + 4 * part * left) - deviation) / (2 * part)) ** 2
        return max(left, int(likely)) - self.unanswered

    def observe(self, now: float, limits: RateLimits) -> None:
        """What the headers of a reply say of failures."""
        left, seconds = limits.remaining_failures, limits.reset_failures_seconds
        if left is not None and seconds and (now >= self.reported_until or left < self.reported):
            self.reported, self.reported_until = left, now + min(seconds, FAILURE_BLOCK_SECONDS)

    def under_way(self, gone: Sequence[float] = ()) -> list[float]:
        """What is to be given back if its process ends, once so much has been given back."""
        self.unanswered -= int(sum(gone))
        return [self.unanswered]


class Refusals(Struct):
    """Requests that the server refused as invalid: the fourth identical one in 30 s is not sent."""

    recent: list[tuple[float, int, APIError]] = []  # when it was refused, its digest, and the refusal

    def add(self, request: Request, now: float, error: APIError) -> None:
        """The server refused this request; only statuses of `NEVER_VALID` count, and only if it has a body."""
        if request.body and error.counts_as in NEVER_VALID:
            self.recent = [each for each in self.recent if each[0] > now - FAILURE_BLOCK_SECONDS]
            replayed = copy.copy(error)  # without the traceback
            replayed.replayed = True
            self.recent.append((now, hash(_identity(request)), replayed))

    def last(self, request: Request, now: float) -> APIError | None:
        """The last refusal of this body at this address, as `replayed`, if it was refused three times in the last 30 s."""
        key, since = hash(_identity(request)), now - FAILURE_BLOCK_SECONDS
        found = [error for at, digest, error in self.recent if at > since and digest == key]
        return copy.copy(found[-1]) if len(found) >= MAX_REFUSALS else None


class RetryBudget(Struct):
    """The retries that an account may make, so that an overloaded server is spared: one for ten calls, and three a second."""

    left: float = 0.0
    at: float = -inf  # when time has last given some

    def called(self, calls: int = 1) -> None:
        """So many calls begin; retries are not calls."""
        self.left = min(self.left + RETRIES_PER_CALL * calls, MOST_RETRIES)

    def spend(self, now: float) -> bool:
        """Whether one more retry may be made; if so, it is paid for."""
        self.left, self.at = min(self.left + (now - self.at) * RETRIES_PER_SECOND, MOST_RETRIES), now
        self.left -= (allowed := self.left >= 1.0)
        return allowed
