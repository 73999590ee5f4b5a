"""What the rate-limit headers say: units, bounds, and which of several limits counts."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from email.utils import formatdate
from typing import Any

import pytest

from venice_ai.types.rate_limits import FAILURE_BLOCK_SECONDS, RateLimits, rate_limits, reset_seconds, retry_after, wait_seconds

NOW = 1_787_099_983.0
HEADERS = {
    "x-ratelimit-limit-requests": "500",
    "x-ratelimit-remaining-requests": "499",
    "x-ratelimit-reset-requests": str(int(NOW) + 60),
    "x-ratelimit-limit-tokens": "1000000",
    "x-ratelimit-remaining-tokens": "998000",
    "x-ratelimit-reset-tokens": "7.5",
    "x-ratelimit-remaining": "19",
    "x-ratelimit-resets": str(int(NOW * 1000) + 30_000),
    "x-ratelimit-type": "api_key",
}


def test_each_header_has_its_field() -> None:
    assert rate_limits(HEADERS, NOW) == RateLimits(
        limit_requests=500,
        remaining_requests=499,
        reset_requests_seconds=60.0,
        limit_tokens=1_000_000,
        remaining_tokens=998_000,
        reset_tokens_seconds=7.5,
        remaining_failures=19,
        reset_failures_seconds=30.0,
        type="api_key",
    )


def test_limits_cannot_be_changed() -> None:
    limits: Any = RateLimits(remaining_requests=1)
    with pytest.raises(FrozenInstanceError):
        limits.remaining_requests = 2


def test_headers_that_are_not_there_leave_every_field_empty() -> None:
    assert rate_limits({}, NOW) == RateLimits()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("0.5", 0.5),
        ("86400", 86_400.0),
        ("86401", 86_400.0),
        ("999999999", 86_400.0),  # the largest number of seconds from now: Unix time begins above it
        ("1000000000", 0.0),
        (str(int(NOW) - 1), 0.0),
        (str(int(NOW) + 1), 1.0),
        (str(int(NOW) + 86_401), 86_400.0),
        ("99999999999", 86_400.0),  # the largest Unix time in seconds: milliseconds begin above it
        ("100000000000", 0.0),
        (str(int(NOW * 1000) + 500), 0.5),
        ("-3", 0.0),
        ("nan", None),
        ("inf", None),
        ("-inf", None),
        ("soon", None),
        (None, None),
    ],
)
def test_the_size_of_a_reset_tells_its_unit(value: str | None, seconds: float | None) -> None:
    assert reset_seconds(value, NOW) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("-1", None),
        ("0.25", 0.25),
        ("nan", None),
        ("soon", None),
        (None, None),
        ("86400", 86_400.0),
        ("86401", 86_400.0),
        ("1e300", 86_400.0),
        pytest.param(str(int(NOW) + 30), 30.0, id="Unix time"),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("Sun, 06 Nov 10000000000 08:49:37 GMT", None),
    ],
)
def test_retry_after_is_seconds_and_at_most_a_day(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


def test_no_header_asks_for_more_than_a_day_or_names_a_limit_beyond_all_numbers() -> None:
    assert wait_seconds(429, {"retry-after-ms": "1e15"}, NOW) == 86_400.0
    found = rate_limits({"x-ratelimit-limit-tokens": "1e20", "x-ratelimit-remaining": "9" * 30}, NOW)
    assert (found.limit_tokens, found.remaining_failures) == (2**53, 2**53)


def test_a_date_in_retry_after_is_as_far_off_as_it_is_and_never_in_the_past() -> None:
    assert retry_after(formatdate(NOW + 9, usegmt=True), NOW) == 9.0
    assert retry_after(formatdate(NOW - 9, usegmt=True), NOW) == 0.0


@pytest.mark.parametrize(
    "value",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 09:49:37 +0100",
        "Sun, 06 Nov 1994 08:49:37 -0000",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
    ],
)
def test_a_date_in_retry_after_may_have_any_of_the_forms_of_http_and_is_universal_time_without_a_zone(value: str) -> None:
    assert retry_after(value, 784_111_770.0) == 7.0


def met(what: str, reset: str) -> dict[str, str]:
    """The headers of a limit that is used up."""
    if what == "failures":
        return {"x-ratelimit-remaining": "0", "x-ratelimit-resets": reset}
    return {f"x-ratelimit-remaining-{what}": "0", f"x-ratelimit-reset-{what}": reset}


@pytest.mark.parametrize("what", ["requests", "tokens", "failures"])
def test_the_reset_of_each_limit_that_is_used_up_is_waited_for(what: str) -> None:
    assert wait_seconds(429, met(what, "17"), NOW) == 17.0
    assert wait_seconds(429, met(what, "17") | {"x-ratelimit-remaining-requests": "1"}, NOW) == (
        None if what == "requests" else 17.0
    )


def test_the_longest_of_several_resets_is_waited_for() -> None:
    assert wait_seconds(429, met("requests", "5") | met("tokens", "9") | met("failures", "7"), NOW) == 9.0


@pytest.mark.parametrize(("status", "seconds"), [(429, 5.0), (503, 5.0), (529, 5.0), (428, None), (500, None), (502, None)])
def test_a_reset_says_how_long_to_wait_only_where_the_server_has_too_much_to_do(status: int, seconds: float | None) -> None:
    assert wait_seconds(status, met("requests", "5"), NOW) == seconds


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_retry_after_holds_for_every_status(status: int) -> None:
    assert wait_seconds(status, {"retry-after": "3"} | met("requests", "5"), NOW) == 3.0
    assert wait_seconds(status, {"retry-after-ms": "1", "retry-after": "3"}, NOW) == 0.001
    assert wait_seconds(status, {"retry-after-ms": "1500", "retry-after": "3"}, NOW) == 1.5


@pytest.mark.parametrize("at_once", [{"retry-after": "0"}, {"retry-after-ms": "0"}, {"retry-after-ms": "-5"}])
def test_a_retry_after_of_zero_or_less_is_no_wait(at_once: dict[str, str]) -> None:
    assert wait_seconds(400, at_once, NOW) is None
    assert wait_seconds(429, at_once | met("tokens", "0"), NOW) is None


def test_an_account_is_blocked_for_half_a_minute_at_least() -> None:
    assert FAILURE_BLOCK_SECONDS == 30.0


@pytest.mark.parametrize("name", ["requests", "tokens"])
@pytest.mark.parametrize("limit", ["0", "-5"])
def test_a_limit_that_allows_nothing_is_not_believed(name: str, limit: str) -> None:
    limits = rate_limits({f"x-ratelimit-limit-{name}": limit, f"x-ratelimit-remaining-{name}": "-1"}, NOW)

    assert getattr(limits, f"limit_{name}") is None
    assert getattr(limits, f"remaining_{name}") == 0
