"""Reads the rate-limit headers, as seconds from now.

Venice's sources give the reset headers in three units: seconds from now, Unix seconds, Unix milliseconds. The magnitude
tells them apart. `Retry-After` is RFC 9110, section 10.2.3 (seconds or a date); fractions of seconds are seen too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite

MAX_RESET_SECONDS = 86_400.0
MOST_UNITS = 2**53
"""More requests or tokens than that are as good as no limit."""
FAILURE_BLOCK_SECONDS = 30.0
"""How long Venice blocks an account after too many failed requests, at least."""


@dataclass(frozen=True)
class RateLimits:
    """The limits a reply named; None where it named none. Resets are seconds from the reply."""

    limit_requests: int | None = None
    """Requests that are allowed until the reset."""
    remaining_requests: int | None = None
    """Requests that are left of them."""
    reset_requests_seconds: float | None = None
    """When they are counted anew."""
    limit_tokens: int | None = None
    """Tokens that are allowed until the reset."""
    remaining_tokens: int | None = None
    """Tokens that are left of them."""
    reset_tokens_seconds: float | None = None
    """When they are counted anew."""
    remaining_failures: int | None = None
    """Failed requests that are left before Venice blocks everything for a while."""
    reset_failures_seconds: float | None = None
    """When they are counted anew."""
    type: str | None = None
    """Whose limit it is: `user`, `api_key` or `global`."""


def rate_limits(headers: Mapping[str, str], now: float) -> RateLimits:
    """The limits in a reply's headers (looked up in lower case); `now` is Unix time in seconds."""
    return RateLimits(
        limit_requests=_count(headers.get("x-ratelimit-limit-requests")) or None,
        remaining_requests=_count(headers.get("x-ratelimit-remaining-requests")),
        reset_requests_seconds=reset_seconds(headers.get("x-ratelimit-reset-requests"), now),
        limit_tokens=_count(headers.get("x-ratelimit-limit-tokens")) or None,
        remaining_tokens=_count(headers.get("x-ratelimit-remaining-tokens")),
        reset_tokens_seconds=reset_seconds(headers.get("x-ratelimit-reset-tokens"), now),
        remaining_failures=_count(headers.get("x-ratelimit-remaining")),
        reset_failures_seconds=reset_seconds(headers.get("x-ratelimit-resets"), now),
        type=headers.get("x-ratelimit-type"),
    )


def wait_seconds(status: int, headers: Mapping[str, str], now: float) -> float | None:
    """How long an unsuccessful reply asks to wait; None if it does not say, or says "at once", which would be a busy loop."""
    exact = number(headers.get("retry-after-ms"))  # what Azure and OpenAI send beside `Retry-After`
    asked = min(exact / 1000, MAX_RESET_SECONDS) if exact and exact > 0 else retry_after(headers.get("retry-after"), now)
    if asked or status not in {429, 503, 529}:
        return asked or None
    limits = rate_limits(headers, now)
    used_up = [what for what in ("requests", "tokens", "failures") if getattr(limits, f"remaining_{what}") == 0]
    waits: list[float | None] = [getattr(limits, f"reset_{what}_seconds") for what in used_up]
    return max(filter(None, waits), default=None)


def retry_after(value: str | None, now: float) -> float | None:
    """`Retry-After` as seconds from `now` (Unix time), at most a day, or None if it is absent or cannot be read."""
    if (found := number(value)) is not None:
        return None if found < 0 else reset_seconds(value, now)
    seconds = None if value is None else _date(value, now)
    return None if seconds is None else min(seconds, MAX_RESET_SECONDS)


def reset_seconds(value: str | None, now: float) -> float | None:
    """A reset header in any of its units as seconds from `now`, never negative, at most a day."""
    if (seconds := number(value)) is None:
        return None
    if seconds >= 1e9:
        seconds = (seconds / 1000 if seconds >= 1e11 else seconds) - now
    return min(max(seconds, 0.0), MAX_RESET_SECONDS)


def number(value: str | None) -> float | None:
    """The finite number in a header; None if it is absent, or says something else."""
    try:
        found = float(value or "")
    except ValueError:
        return None
    return found if isfinite(found) else None


def _count(value: str | None) -> int | None:
    return None if (found := number(value)) is None else min(max(int(found), 0), MOST_UNITS)


def _date(value: str, now: float) -> float | None:
    """A date in one of the three forms of RFC 9110, section 5.6.7; without a zone it is universal time, as all of them are."""
    from datetime import UTC
    from email.utils import parsedate_to_datetime

    try:
        date = parsedate_to_datetime(value)
        return max((date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now, 0.0)
    except (ValueError, OverflowError):
        return None
