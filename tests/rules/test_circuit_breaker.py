"""A server that fails most requests is left alone, and noticed when it is back."""

from __future__ import annotations

import pytest

from venice_ai._limits.failure_budget import FailureBudget, Wait
from venice_ai._limits.rate_limiter import Flight, RateLimiter
from venice_ai.types.rate_limits import RateLimits


def allow(limiter: RateLimiter, now: float) -> Wait | None:
    """Sends a request if that is allowed, else tells how long it waits."""
    if (wait := limiter.wait(now, 0)) is None:
        limiter.reserve(now, 0)
    return wait


def ended(limiter: RateLimiter, now: float, *, failed: bool, sent: float | None = None) -> None:
    """A request has a reply, by default one that came at once."""
    flight = Flight(now if sent is None else sent, 0, 0.0, 0.0)
    limiter.replied(flight, now, 500 if failed else 200, RateLimits(), None)


def opened(now: float = 0.0) -> RateLimiter:
    limiter = RateLimiter()
    for _ in range(5):
        ended(limiter, now, failed=True)
    return limiter


@pytest.mark.parametrize(
    ("outcomes", "is_open"),
    [
        pytest.param("FFFF", False, id="too few to judge"),
        pytest.param("FFFFF", True, id="all failed"),
        pytest.param("SSSSSFFFFF", True, id="half failed"),
        pytest.param("SSSSSSSSSSFFFFF", False, id="a run of failures after many successes"),
        pytest.param("FSSFSSFSSFSSFSSFSSFSS", False, id="a third failed"),
    ],
)
def test_the_circuit_opens_on_a_rate_of_failures(outcomes: str, *, is_open: bool) -> None:
    limiter = RateLimiter()
    for outcome in outcomes:
        ended(limiter, 1.0, failed=outcome == "F")

    assert (allow(limiter, 1.0) is not None) == is_open


def test_outcomes_older_than_the_window_do_not_count() -> None:
    limiter = RateLimiter()
    for second in range(0, 60, 3):
        ended(limiter, second, failed=True)

    assert allow(limiter, 60.0) is None


@pytest.mark.parametrize(("last", "is_open"), [(10.9, True), (11.0, False)])
def test_outcomes_of_one_second_are_counted_for_ten_more(last: float, *, is_open: bool) -> None:
    limiter = RateLimiter()
    for now in (0.0, 0.0, 0.0, 1.0, last):
        ended(limiter, now, failed=True)

    assert limiter.is_circuit_open is is_open


def test_a_failure_that_names_a_time_opens_the_circuit_for_a_second_as_others_do() -> None:
    limiter = RateLimiter()
    for _ in range(5):
        limiter.replied(Flight(0.0, 0, 0.0, 0.0), 0.0, 500, RateLimits(), 3600.0)

    assert allow(limiter, 0.5) == Wait(1.0, "circuit open")


def test_an_open_circuit_sends_nothing_and_knows_its_wait() -> None:
    assert allow(opened(), 0.5) == Wait(1.0, "circuit open")


def test_a_half_open_circuit_lets_one_probe_through() -> None:
    limiter = opened()

    assert allow(limiter, 1.0) is None
    assert allow(limiter, 1.1) == Wait(3.0, "circuit half-open")


def test_a_successful_probe_closes_the_circuit() -> None:
    limiter = opened()
    allow(limiter, 1.0)
    ended(limiter, 1.5, failed=False, sent=1.0)

    assert [allow(limiter, 1.5) for _ in range(100)] == [None] * 100


def test_each_failed_probe_doubles_the_pause_up_to_three_and_a_half_seconds() -> None:
    limiter, now, pauses = opened(), 0.0, list[float]()
    for _ in range(5):
        wait = allow(limiter, now)
        assert wait is not None
        assert wait.until is not None
        pauses.append(wait.until - now)
        now = wait.until
        assert allow(limiter, now) is None
        ended(limiter, now, failed=True)

    assert pauses == [1.0, 2.0, 3.5, 3.5, 3.5]


def test_a_cancelled_probe_makes_way_for_the_next() -> None:
    limiter = opened()
    allow(limiter, 1.0)
    limiter.settled(1.2, Flight(1.0, 0, 0.0, 0.0).tokens, 0)

    assert allow(limiter, 1.2) is None


def test_a_probe_without_an_outcome_does_not_hold_the_others_for_ever() -> None:
    limiter = opened()
    allow(limiter, 1.0)

    assert allow(limiter, 3.0) is None


@pytest.mark.parametrize("callers", [4, 30])
@pytest.mark.parametrize("timeout", [3.0, 6.0, 10.0])
@pytest.mark.parametrize("recovers_at", [9.0, 20.5, 47.0, 81.3])
def test_a_server_that_hung_is_noticed_within_five_seconds_and_met_by_few_requests(
    recovers_at: float, timeout: float, callers: int
) -> None:
    limiter, budget, now = RateLimiter(), FailureBudget(), 0.0
    hanging, sent, free = list[Flight](), list[float](), callers
    while now < recovers_at or budget.wait(now) or limiter.wait(now, 0):
        now += 0.1
        for flight in [each for each in hanging if each.sent + timeout <= now]:
            hanging.remove(flight)
            budget.unanswered -= 1
            limiter.replied(flight, now, 0, RateLimits(), None)
            limiter.settled(now, 0, 0)
            free += 1
        while now < recovers_at and free and not budget.wait(now) and not limiter.wait(now, 0):
            hanging.append(limiter.reserve(now, 0))
            sent.append(now)
            budget.unanswered += 1
            free -= 1

    assert now - recovers_at < 5.0
    assert max(sum(1 for other in sent if at <= other < at + 30) for at in sent) <= 20 + 15


def test_late_failures_of_requests_sent_before_do_not_prolong_the_pause() -> None:
    limiter = opened()
    ended(limiter, 0.9, failed=True, sent=-1.0)

    assert allow(limiter, 1.0) is None


@pytest.mark.parametrize("recovers_at", [0.3, 3.0, 7.9, 30.0, 61.7])
def test_a_recovered_server_is_noticed_within_five_seconds(recovers_at: float) -> None:
    limiter, now = opened(), 0.0
    while limiter.is_circuit_open:
        now += 0.1
        if allow(limiter, now) is None:
            ended(limiter, now + 0.05, failed=now < recovers_at, sent=now)

    assert now - recovers_at < 5.0
