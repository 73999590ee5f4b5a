"""May this failure be tried again, and after how long.

What may have been answered may have been billed. So a POST is sent again only when the server refused it before any content, or
could not be reached; never after a time limit ran out, unless the caller asks for it.
"""

from __future__ import annotations

from typing import NamedTuple

from ..exceptions import APIConnectionError, APIError, ConnectError

_REFUSED = frozenset({429, 502, 503, 529})  # 529: overloaded, as some model providers say


class RetryPolicy(NamedTuple):
    retries: int = 2  # further attempts after the first
    first_delay: float = 0.5
    max_delay: float = 8.0  # backoff in seconds: the first delay doubles with each attempt up to this
    max_wait: float = 60.0  # a longer wait, in seconds, that the server asks for is not waited: the error is raised at once
    retry_timeouts: bool = False
    """Also try POSTs again that may have been billed: out of time, here or at a gateway (504), or the connection was lost."""

    def delay(self, attempt: int, failure: APIError, *, idempotent: bool, random: float) -> float | None:
        """Seconds until the next attempt after so many, or None to give up; `random`, in [0, 1), spreads the waits."""
        if attempt > self._retries(failure, idempotent=idempotent):
            return None
        backoff = min(self.first_delay * 2.0 ** (attempt - 1), self.max_delay) * (1 - 0.25 * random)
        if (wait := failure.retry_after_seconds or 0.0) <= 0:  # no pause was given, or "at once", a loop without pauses
            return backoff
        return wait if self.waits(failure) else None

    def waits(self, failure: APIError) -> bool:
        return (failure.retry_after_seconds or 0.0) <= self.max_wait

    def _retries(self, failure: APIError, *, idempotent: bool) -> int:
        if isinstance(failure, ConnectError):
            return 0 if failure.permanent else self.retries
        if isinstance(failure, APIConnectionError) or failure.counts_as == 504:
            return self.retries if idempotent or self.retry_timeouts else 0
        if failure.counts_as in _REFUSED:
            return self.retries
        if failure.counts_as == 500:
            return self.retries if idempotent else min(self.retries, 1)
        return 0
