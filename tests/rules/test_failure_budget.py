"""At most 20 failed requests in any 30 seconds, and no body a fourth time that was refused three times."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai._core.request import Request
from venice_ai._core.settings import Timeout
from venice_ai._core.window import Window
from venice_ai._limits.failure_budget import FailureBudget, Refusals, Wait
from venice_ai.exceptions import APIError
from venice_ai.types.rate_limits import RateLimits


def sent(budget: FailureBudget, now: float, at_most: int = 1000) -> int:
    """How many requests may be sent at once, which are sent."""
    count = 0
    while count < at_most and budget.wait(now) is None:
        budget.unanswered += 1
        count += 1
    return count


def end(budget: FailureBudget, count: int, now: float, *, failed: bool | None) -> None:
    """So many requests have a reply, or were not sent (`failed=None`)."""
    budget.unanswered -= count
    if failed is not None and count:
        budget.add(now, count, failed=failed)


def test_a_server_that_has_not_answered_is_met_by_20_requests() -> None:
    assert sent(FailureBudget(), 0.0) == 20


@pytest.mark.parametrize(("successes", "in_flight"), [(1, 24), (3, 32), (10, 60), (1_000, 4_020)])
def test_each_success_allows_four_more_requests_in_flight(successes: int, in_flight: int) -> None:
    budget = FailureBudget()
    budget.add(1.0, successes, failed=False)

    assert sent(budget, 1.0, 9999) == in_flight


def test_after_20_failures_nothing_is_sent_until_the_oldest_is_past() -> None:
    budget = FailureBudget()
    end(budget, sent(budget, 0.0, 1), 1.0, failed=True)
    while budget.wait(3.0) is None:
        end(budget, sent(budget, 3.0), 3.0, failed=True)

    assert budget.wait(4.0) == Wait(32.0, "failures")
    assert sent(budget, 32.0) == 1


def test_after_a_failure_all_that_is_in_flight_may_fail_until_something_succeeds() -> None:
    budget = FailureBudget()
    end(budget, sent(budget, 0.0, 20), 1.0, failed=False)
    end(budget, sent(budget, 1.0, 1), 2.0, failed=True)
    assert sent(budget, 2.0) == 14, "20 less the one that failed, and five for requests that go alone"
    end(budget, 14, 3.0, failed=False)

    assert sent(budget, 3.0) == 31, "of 18, one has failed and three more are assumed: of 31, that may be 14 by chance"


def test_the_last_five_failures_are_left_to_requests_that_go_one_at_a_time() -> None:
    budget = FailureBudget()
    end(budget, sent(budget, 0.0, 15), 1.0, failed=True)
    for now in range(2, 7):
        assert sent(budget, now) == 1
        end(budget, 1, now, failed=True)

    assert sent(budget, 7.0) == 0


def test_failures_that_are_past_take_the_successes_between_them_along() -> None:
    budget = FailureBudget()
    budget.add(0.0, failed=True)
    budget.add(1.0, 1000, failed=False)
    budget.add(20.0, failed=True)
    assert sent(budget, 30.0, 9999) > 100
    budget.unanswered = 0

    assert sent(budget, 31.0, 9999) == 14, "nothing has succeeded since the second failure"


def test_a_request_that_was_not_sent_leaves_no_trace() -> None:
    budget = FailureBudget()
    end(budget, sent(budget, 0.0), 1.0, failed=None)

    assert sent(budget, 1.0) == 20


def test_the_header_tightens_the_budget_until_its_reset() -> None:
    budget = FailureBudget()
    limits = RateLimits(remaining_failures=3, reset_failures_seconds=10.0)
    end(budget, sent(budget, 0.0, 1), 1.0, failed=True)
    budget.observe(1.0, limits)

    assert sent(budget, 2.0) == 1
    assert sent(budget, 12.0) == 13, "one has failed, one is in flight, and five are kept"


def test_until_its_reset_a_header_may_say_less_and_not_more_and_afterwards_either() -> None:
    budget = FailureBudget()
    for now, left, available in ((0.0, 5, 5), (1.0, 9, 5), (2.0, 3, 3), (31.9, 7, 3), (32.0, 7, 7)):
        budget.observe(now, RateLimits(remaining_failures=left, reset_failures_seconds=30.0))
        assert budget.reported == available


def test_a_header_that_says_nothing_is_left_stops_everything_until_its_reset() -> None:
    budget = FailureBudget()
    limits = RateLimits(remaining_failures=0, reset_failures_seconds=30.0)
    end(budget, sent(budget, 0.0, 1), 1.0, failed=True)
    budget.observe(1.0, limits)

    assert budget.wait(2.0) == Wait(31.0, "failures")


@pytest.mark.parametrize("resets", [31.0, 86_400.0])
def test_a_header_stops_everything_for_no_longer_than_a_block_lasts(resets: float) -> None:
    budget = FailureBudget()
    budget.observe(1.0, RateLimits(remaining_failures=0, reset_failures_seconds=resets))

    assert budget.wait(30.9) == Wait(31.0, "failures")
    assert sent(budget, 31.0) == 20


def test_a_generous_header_does_not_widen_the_budget() -> None:
    budget = FailureBudget()
    limits = RateLimits(remaining_failures=500, reset_failures_seconds=30.0)
    end(budget, sent(budget, 0.0, 1), 1.0, failed=True)
    budget.observe(1.0, limits)

    assert sent(budget, 2.0) == 14


steps = st.lists(st.tuples(st.sampled_from(["send", "fail", "drop", "wait"]), st.floats(0, 12)), max_size=300)


@given(steps)
def test_a_server_that_never_succeeds_sees_at_most_20_failures_in_any_30_seconds(steps: list[tuple[str, float]]) -> None:
    budget, now = FailureBudget(), 0.0
    failures: list[float] = []
    for action, number in steps:
        if action == "send":
            sent(budget, now, int(number) + 1)
        elif action == "wait":
            now += number
        elif budget.unanswered:
            end(budget, 1, now, failed=True if action == "fail" else None)
            failures += [now] if action == "fail" else []

    assert all(sum(1 for other in failures if time <= other <= time + 30) <= 20 for time in failures)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 400)), max_size=400))
def test_failures_one_after_another_never_exceed_the_budget_whatever_succeeds_between(steps: list[tuple[int, int]]) -> None:
    budget, now = FailureBudget(), 0.0
    failures: list[float] = []
    for outcome, tenths in steps:
        now += tenths / 100
        if sent(budget, now, 1):
            end(budget, 1, now, failed=outcome > 0)
            failures += [now] if outcome else []

    assert all(sum(1 for other in failures if time <= other <= time + 30) <= 20 for time in failures)


def refused(status: int = 400, text: str = "no") -> APIError:
    return APIError(text, status_code=status)


def request(body: bytes | None = b"body", method: str = "POST", url: str = "http://x") -> Request:
    return Request(method, url, headers={}, body=body, timeout=Timeout())


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_a_body_that_was_refused_three_times_is_not_sent_again_for_30_seconds(status: int) -> None:
    refusals = Refusals()
    for number in range(3):
        assert refusals.last(request(), number) is None
        refusals.add(request(), number, refused(status, str(number)))

    found = refusals.last(request(), 5.0)
    assert found is not None
    assert (str(found), found.replayed) == (str(refused(status, "2")), True)
    assert refusals.last(request(), 29.9)
    assert refusals.last(request(), 30.0) is None


@pytest.mark.parametrize("other", [request(b"another"), request(method="PUT"), request(url="http://y")], ids=str)
def test_a_refused_body_says_nothing_of_another_body_method_or_address(other: Request) -> None:
    refusals = Refusals()
    for number in range(3):
        refusals.add(request(), number, refused())

    assert refusals.last(other, 3.0) is None


@pytest.mark.parametrize("body", [None, b""])
def test_requests_without_a_body_are_sent_however_often_they_were_refused(body: bytes | None) -> None:
    refusals = Refusals()
    for number in range(3):
        refusals.add(request(body, "GET"), number, refused())

    assert refusals.last(request(body, "GET"), 3.0) is None


@pytest.mark.parametrize("status", [401, 402, 403, 404, 409, 429, 500])
def test_refusals_that_are_not_of_the_body_do_not_count(status: int) -> None:
    refusals = Refusals()
    for number in range(3):
        refusals.add(request(), number, refused(status))

    assert refusals.last(request(), 3.0) is None


def test_the_latest_three_refusals_count_though_earlier_ones_are_long_ago() -> None:
    refusals = Refusals()
    for now in (0.0, 20.0, 31.0, 40.0):
        refusals.add(request(), now, refused())

    assert refusals.last(request(), 41.0)


def test_no_more_refusals_are_remembered_than_30_seconds_hold() -> None:
    refusals, error = Refusals(), refused()
    for number in range(10_000):
        refusals.add(request(str(number).encode()), number * 1.0, error)

    assert len(refusals.recent) <= 31


def test_a_wait_ends_exactly_at_the_announced_time() -> None:
    for step in range(2000):
        window, sent = Window(30.0, 1.0), 1000.0 + step * 0.017_931
        window.add(sent)
        end = window.when(1)
        assert end is not None
        assert window.count(end) == 0, sent
