"""The retry policy: which failures, and after which wait; each bound, default and unit as a number."""

from __future__ import annotations

import pytest

from venice_ai import ConnectError
from venice_ai._http.retry import RetryPolicy
from venice_ai.exceptions import APIConnectionError, APIError, RateLimitError

BUSY = RateLimitError("busy", status_code=429)


def waits(policy: RetryPolicy, failure: APIError = BUSY, *, idempotent: bool = False, random: float = 0.0) -> list[float]:
    """How long each further attempt waits, until the policy gives up."""
    found: list[float] = []
    while (wait := policy.delay(len(found) + 1, failure, idempotent=idempotent, random=random)) is not None:
        found.append(wait)
    return found


def status(code: int) -> APIError:
    return APIError("no", status_code=code)


def test_two_retries_are_the_default() -> None:
    assert waits(RetryPolicy()) == [0.5, 1.0]


def test_the_backoff_doubles_up_to_eight_seconds() -> None:
    assert waits(RetryPolicy(retries=7)) == [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_the_first_delay_and_the_longest_are_the_caller_s() -> None:
    assert waits(RetryPolicy(retries=4, first_delay=3.0, max_delay=10.0)) == [3.0, 6.0, 10.0, 10.0]


def test_chance_takes_up_to_a_quarter_off_a_backoff() -> None:
    assert waits(RetryPolicy(), random=0.5) == [0.4375, 0.875]
    assert waits(RetryPolicy(), random=1.0) == [0.375, 0.75]


def test_a_wait_that_the_server_asks_for_is_not_shortened_by_chance() -> None:
    failure = RateLimitError("busy", status_code=429, retry_after_seconds=7.0)
    assert waits(RetryPolicy(), failure, random=1.0) == [7.0, 7.0]


def test_a_minute_is_waited_and_no_longer() -> None:
    for seconds, expected in ((60.0, [60.0, 60.0]), (60.1, [])):
        assert waits(RetryPolicy(), RateLimitError("busy", status_code=429, retry_after_seconds=seconds)) == expected


def test_a_wait_may_be_shorter_than_a_second() -> None:
    assert waits(RetryPolicy(), RateLimitError("busy", status_code=429, retry_after_seconds=0.25)) == [0.25, 0.25]


def test_at_once_is_no_wait_and_the_backoff_holds() -> None:
    assert waits(RetryPolicy(), RateLimitError("busy", status_code=429, retry_after_seconds=0.0)) == [0.5, 1.0]


def test_a_failure_without_a_wait_is_never_too_long_to_wait_for() -> None:
    assert RetryPolicy(max_wait=0.5).waits(BUSY)


@pytest.mark.parametrize("code", [429, 502, 503, 529])
def test_a_status_that_refuses_before_working_is_retried(code: int) -> None:
    assert len(waits(RetryPolicy(retries=3), status(code))) == 3


@pytest.mark.parametrize("code", [400, 428, 430, 499, 501, 505, 528, 530])
def test_a_status_that_a_retry_would_not_change_is_not_retried(code: int) -> None:
    assert waits(RetryPolicy(retries=3, retry_timeouts=True), status(code), idempotent=True) == []


def test_an_internal_error_is_tried_once_more_or_as_often_as_allowed_where_that_does_no_harm() -> None:
    assert len(waits(RetryPolicy(retries=3), status(500))) == 1
    assert len(waits(RetryPolicy(retries=3), status(500), idempotent=True)) == 3
    assert waits(RetryPolicy(retries=0), status(500)) == []


@pytest.mark.parametrize("failure", [status(504), APIConnectionError("it broke")], ids=["a gateway's time limit", "broken"])
def test_a_failure_that_may_have_been_billed_is_retried_only_if_idempotent_or_allowed(failure: APIError) -> None:
    assert waits(RetryPolicy(), failure) == []
    assert len(waits(RetryPolicy(), failure, idempotent=True)) == 2
    assert len(waits(RetryPolicy(retry_timeouts=True), failure)) == 2


def test_a_connection_that_was_not_made_is_tried_again_and_one_that_never_will_be_is_not() -> None:
    assert len(waits(RetryPolicy(), ConnectError("refused"))) == 2
    never = ConnectError("untrusted")
    never.permanent = True
    assert waits(RetryPolicy(retry_timeouts=True), never, idempotent=True) == []
