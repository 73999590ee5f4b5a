"""Retries are at most a tenth of the calls, or three a second."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from venice_ai._limits.failure_budget import RetryBudget


def test_three_retries_a_second_are_always_free() -> None:
    budget = RetryBudget()

    assert all(budget.spend(number / 3) for number in range(300))


def test_a_server_that_fails_is_not_asked_twice_for_each_call() -> None:
    budget, retries = RetryBudget(), 0
    for number in range(10_000):
        budget.called()
        retries += budget.spend(number / 1000)

    assert retries <= 30 + 10 * 3 + 10_000 * 0.1


def test_a_tenth_of_the_calls_may_be_retried() -> None:
    budget = RetryBudget()
    for number in range(10_000):
        budget.called()
        assert number % 10 or budget.spend(number / 1000)


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=300))
def test_retries_never_exceed_what_time_and_calls_have_given(steps: list[tuple[float, bool]]) -> None:
    budget, now, retries, calls = RetryBudget(), 0.0, 0, 0
    for seconds, is_call in steps:
        now += seconds
        if is_call:
            budget.called()
            calls += 1
        else:
            retries += budget.spend(now)

        assert retries <= 30 + 3 * now + 0.1 * calls + 1e-6
