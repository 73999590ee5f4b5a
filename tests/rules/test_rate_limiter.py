"""Which requests a rate limiter lets through, by headers, refusals and its own requests."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.limits.policies import HIDDEN, Case, fixed
from benchmarks.limits.simulation import Ideal, Ours
from venice_ai._limits.failure_budget import Wait
from venice_ai._limits.rate_limiter import Flight, RateLimiter
from venice_ai.types.rate_limits import RateLimits

NOTHING = RateLimits()


def sent(limiter: RateLimiter, now: float, at_most: int = 1000, tokens: int = 0) -> list[Flight]:
    """As many requests as may be sent now."""
    flights: list[Flight] = []
    while len(flights) < at_most and limiter.wait(now, tokens) is None:
        flights.append(limiter.reserve(now, tokens))
    return flights


def replied(
    limiter: RateLimiter, flight: Flight, now: float, status: int, limits: RateLimits, retry_after: float | None = None
) -> None:
    """The head of the only reply to a request."""
    limiter.requests.unanswered -= 1
    limiter.replied(flight, now, status, limits, retry_after)


def said(remaining: int, limit: int = 10, reset: float = 60.0) -> RateLimits:
    return RateLimits(limit_requests=limit, remaining_requests=remaining, reset_requests_seconds=reset)


def wait(limiter: RateLimiter, now: float, tokens: int = 0) -> Wait:
    waits = limiter.wait(now, tokens)
    assert waits is not None
    return waits


def test_without_headers_and_refusals_no_request_waits() -> None:
    assert len(sent(RateLimiter(), 0.0)) == 1000


def test_as_many_requests_are_sent_as_the_headers_leave() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1)
    replied(limiter, ticket, 1.0, 200, said(4), None)

    assert len(sent(limiter, 1.0)) == 4
    assert wait(limiter, 1.0).why == "requests a minute"


def test_headers_that_leave_more_than_the_limit_are_not_believed_and_the_own_requests_are_counted() -> None:
    limiter = RateLimiter()
    for flight in sent(limiter, 0.0, 4):
        replied(limiter, flight, 1.0, 200, said(999, limit=10))

    assert sum(len(sent(limiter, 1.0 + second)) for second in range(59)) == 6
    assert wait(limiter, 59.9).why == "requests a minute"
    assert sent(limiter, 60.8), "the first ones are past"


def test_requests_in_flight_when_a_reply_comes_are_taken_from_what_it_leaves() -> None:
    limiter = RateLimiter()
    tickets = sent(limiter, 0.0, 3)
    replied(limiter, tickets[0], 1.0, 200, said(9), None)

    assert len(sent(limiter, 1.0)) == 7


def test_a_late_reply_from_before_does_not_bring_anything_back() -> None:
    limiter = RateLimiter()
    first, second = sent(limiter, 0.0, 2)
    replied(limiter, second, 1.0, 200, said(8), None)
    last = sent(limiter, 1.0)[-1]
    replied(limiter, last, 2.0, 200, said(0), None)
    replied(limiter, first, 3.0, 200, said(9), None)

    assert sent(limiter, 3.0) == []


def test_after_a_reset_one_request_is_sent_and_its_reply_frees_the_rest() -> None:
    limiter = RateLimiter()
    for ticket in sent(limiter, 0.0, 10):
        replied(limiter, ticket, 1.0, 200, said(0, reset=20.0), None)
    assert wait(limiter, 20.0).until == pytest.approx(21.0, abs=0.5)

    (probe,) = sent(limiter, 22.0)
    replied(limiter, probe, 23.0, 200, said(9), None)

    assert len(sent(limiter, 23.0)) == 9


def test_a_reset_in_whole_seconds_may_be_half_a_second_later() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1)
    replied(limiter, ticket, 0.0, 200, said(0, limit=1, reset=10.0), None)
    limiter.settled(0.0, ticket.tokens, 0)

    assert sent(limiter, 10.4) == []
    assert len(sent(limiter, 10.6)) == 1


@pytest.mark.parametrize("status", [429, 503, 529])
def test_a_429_pauses_all_requests_then_a_single_one_is_sent(status: int) -> None:
    limiter = RateLimiter()
    (first,) = sent(limiter, 0.0, 1)
    replied(limiter, first, 1.0, status, said(0, reset=20.0), 20.0)
    limiter.settled(1.0, first.tokens, 0)

    assert wait(limiter, 2.0) == Wait(21.0, f"paused by a {status}")
    (alone,) = sent(limiter, 21.0)
    replied(limiter, alone, 22.0, 200, said(5), None)
    assert len(sent(limiter, 22.0)) == 5


def test_the_single_request_after_a_pause_holds_the_others_for_two_seconds_at_most() -> None:
    limiter = RateLimiter()
    (first,) = sent(limiter, 0.0, 1)
    limiter.replied(first, 1.0, 429, said(0, reset=20.0), 20.0)
    limiter.settled(1.0, first.tokens, 0)
    assert len(sent(limiter, 21.0)) == 1

    assert wait(limiter, 22.5) == Wait(23.0, "paused by a 429")
    assert wait(limiter, 23.0).why == "requests a minute"


def test_the_rest_of_an_hourly_limit_does_not_come_back_each_minute() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1)
    limiter.replied(ticket, 1.0, 200, said(9, reset=3_600.0), None)
    assert len(sent(limiter, 1.0)) == 9

    assert len(sent(limiter, 120.0)) == 1, "it asks whether that is still so"


def test_a_pause_without_a_named_end_doubles_with_each_refusal_of_the_one_that_goes_alone() -> None:
    limiter, now, pauses = RateLimiter(), 0.0, list[float]()
    for _ in range(5):
        (ticket,) = sent(limiter, now, 1)
        replied(limiter, ticket, now, 429, RateLimits(remaining_failures=0), None)
        limiter.settled(now, ticket.tokens, 0)
        pauses.append((wait(limiter, now).until or 0) - now)
        now += pauses[-1] + 0.1

    assert pauses == pytest.approx([1, 2, 4, 8, 8])


def test_requests_that_were_sent_together_and_refused_together_are_one_refusal() -> None:
    limiter = RateLimiter()
    for ticket in sent(limiter, 0.0, 10):
        replied(limiter, ticket, 1.0, 429, NOTHING, None)

    assert wait(limiter, 1.0).until == 2.0


def test_an_overload_that_names_no_time_is_left_to_the_circuit_breaker() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1)
    replied(limiter, ticket, 1.0, 503, NOTHING, None)

    assert sent(limiter, 1.0, 1)


def test_a_429_that_means_overload_pauses_and_teaches_no_limit() -> None:
    limiter = RateLimiter()
    for number, flight in enumerate(sent(limiter, 0.0, 6)):
        limiter.requests.unanswered -= 1
        limiter.replied(flight, 1.0, 200 if number < 5 else 429, NOTHING, None, overload=True)

    assert wait(limiter, 1.0).why == "paused by a 429"
    assert limiter.snapshot(1.0).limit_requests is None


def test_without_headers_the_limit_is_learnt_from_what_was_accepted() -> None:
    limiter = RateLimiter()
    for number, ticket in enumerate(sent(limiter, 0.0, 101)):
        replied(limiter, ticket, 1.0, 200 if number < 100 else 429, NOTHING, None)
        limiter.settled(1.0, ticket.tokens, 0)

    assert limiter.snapshot(1.0).limit_requests == 100
    assert limiter.snapshot(1.0).learned


def test_refusals_of_requests_that_were_sent_together_tell_how_many_of_them_were_accepted() -> None:
    limiter = RateLimiter()
    for number, ticket in enumerate(sent(limiter, 0.0, 30)):
        replied(limiter, ticket, 1.0 + number / 100, 200 if number < 20 else 429, NOTHING, None)

    assert limiter.snapshot(2.0).limit_requests == 20


def test_requests_of_other_programs_do_not_come_back_with_the_own_ones() -> None:
    limiter = RateLimiter()
    for number, ticket in enumerate(sent(limiter, 0.0, 3)):
        replied(limiter, ticket, 1.0, 200, said(4 - number, reset=61.5))
    assert len(sent(limiter, 1.0)) == 2

    assert len(sent(limiter, 61.0)) == 3 + 1, "those of the first second, and one that finds out whether that is still so"


def test_the_wait_ends_when_the_first_unit_leaves_the_last_minute() -> None:
    limiter = RateLimiter()
    for ticket in (*sent(limiter, 0.0, 1), *sent(limiter, 5.0, 20)):
        replied(limiter, ticket, 6.0, 200 if limiter.requests.unanswered > 1 else 429, NOTHING)
        limiter.settled(6.0, ticket.tokens, 0)

    assert wait(limiter, 7.5) == Wait(60.75, "requests a minute")


def test_retry_after_is_obeyed_and_few_requests_teach_no_limit() -> None:
    limiter = RateLimiter()
    for ticket, status in zip(sent(limiter, 0.0, 3), (200, 200, 429), strict=True):
        replied(limiter, ticket, 1.0, status, NOTHING, 3.0 if status == 429 else None)
        limiter.settled(1.0, ticket.tokens, 0)
    assert wait(limiter, 1.0).until == 4.0
    (alone,) = sent(limiter, 4.0, 5)
    replied(limiter, alone, 4.2, 200, NOTHING)

    assert len(sent(limiter, 4.2, 50)) == 50
    assert not limiter.snapshot(4.2).learned


def refused_after_30(limiter: RateLimiter, retry_after: float | None) -> None:
    """30 requests are accepted and one is refused, by headers that say nothing of limits."""
    for number, flight in enumerate(sent(limiter, 0.0, 31)):
        replied(limiter, flight, 0.5, 200 if number < 30 else 429, NOTHING, None if number < 30 else retry_after)
        limiter.settled(0.5, flight.tokens, 0)


def test_a_429_with_retry_after_pauses_no_longer_than_it_says() -> None:
    limiter = RateLimiter()
    refused_after_30(limiter, 1.0)
    assert wait(limiter, 0.5).until == 1.5

    now, waited, gone = 1.5, 0.0, 0
    while gone < 100:
        if limiter.wait(now, 0) is None:
            flight = limiter.reserve(now, 0)
            now, waited, gone = now + 0.01, 0.0, gone + 1
            replied(limiter, flight, now, 200, NOTHING)
            limiter.settled(now, 0, 0)
        else:
            now, waited = now + 0.01, waited + 0.01
        assert waited <= 1.0


def test_a_second_429_right_after_retry_after_does_not_lower_the_learnt_limit() -> None:
    limiter = RateLimiter()
    refused_after_30(limiter, 1.0)
    (alone,) = sent(limiter, 1.5, 5)
    replied(limiter, alone, 1.6, 429, NOTHING, 1.0)
    limiter.settled(1.6, 0, 0)

    assert limiter.snapshot(1.6).limit_requests == 30
    assert wait(limiter, 2.6) == Wait(60.75, "requests a minute")


def test_a_refusal_that_names_no_time_teaches_a_limit_that_is_kept_to_for_a_minute() -> None:
    limiter = RateLimiter()
    refused_after_30(limiter, None)

    assert wait(limiter, 1.5) == Wait(60.75, "requests a minute")


def test_a_small_limit_is_learnt_from_a_second_refusal_in_a_row() -> None:
    limiter, now = RateLimiter(), 0.0
    for accepted in (True, True, False, False, False):
        (ticket,) = sent(limiter, now, 1)
        replied(limiter, ticket, now, 200 if accepted else 429, NOTHING)
        limiter.settled(now, ticket.tokens, 0)
        now = limiter.paused_until if not accepted else now

    assert limiter.snapshot(now).limit_requests == 2


@pytest.mark.parametrize(("accepted", "learned"), [(9, False), (10, True)])
def test_a_refusal_teaches_a_limit_from_ten_accepted_requests_on(accepted: int, learned: bool) -> None:
    limiter = RateLimiter()
    for number, flight in enumerate(sent(limiter, 0.0, accepted + 1)):
        replied(limiter, flight, 1.0, 200 if number < accepted else 429, NOTHING)

    assert limiter.snapshot(1.0).learned is learned


def learnt(limit: int, named: int | None = None) -> RateLimiter:
    """A limiter that has learnt a limit a second after so many requests were sent, all of which have ended."""
    limiter = RateLimiter()
    says = RateLimits(limit_requests=named, remaining_requests=named)
    for number, flight in enumerate(sent(limiter, 0.0, limit + 1)):
        replied(limiter, flight, 1.0, 200 if number < limit else 429, says)
        limiter.settled(1.0, 0, 0)
    return limiter


def test_a_learnt_limit_is_a_tenth_less_after_a_further_refusal_of_what_was_sent_since() -> None:
    limiter = learnt(100)
    for expected in (90.0, 81.0):
        now = limiter.paused_until + 61.0
        limiter.requests.grown_at = now  # it has not grown meanwhile
        flights = [limiter.reserve(now, 0) for _ in range(101)]
        for flight in flights[:100]:
            replied(limiter, flight, now + 0.1, 200, NOTHING)
        replied(limiter, flights[100], now + 0.2, 429, NOTHING)
        for _ in flights:
            limiter.settled(now + 0.2, 0, 0)
        assert limiter.snapshot(now + 0.2).limit_requests == pytest.approx(expected)


def test_a_learnt_limit_grows_each_minute_without_a_refusal_and_never_above_the_one_that_is_named() -> None:
    limiter, named = learnt(100), learnt(100, named=105)
    assert limiter.snapshot(60.9).limit_requests == 100
    assert limiter.snapshot(61.0).limit_requests == pytest.approx(116.0)
    assert limiter.snapshot(120.9).limit_requests == pytest.approx(116.0)
    assert limiter.snapshot(121.0).limit_requests == pytest.approx(134.4)
    assert named.snapshot(61.0).limit_requests == 105


def test_a_learnt_limit_is_used_up_no_faster_than_one_and_a_half_times_its_rate() -> None:
    limiter = learnt(60)
    (alone,) = sent(limiter, 70.0, 5)
    replied(limiter, alone, 70.1, 200, NOTHING)

    times = [70.1 + step / 100 for step in range(1500) if sent(limiter, 70.1 + step / 100, 1)]
    rate = sum(1 for time in times if time >= 75.1) / 10
    assert rate == pytest.approx(1.5 * 70 / 60, abs=0.11), "the limit of 60 has grown to 70"
    assert sum(1 for time in times if time < 70.3) == 2, "after a pause those of a second go at once"


def test_a_wait_for_the_pace_ends_exactly_at_the_announced_time() -> None:
    limiter = learnt(60)
    (alone,) = sent(limiter, 70.0, 1)
    replied(limiter, alone, 70.1, 200, NOTHING)
    sent(limiter, 70.1)

    until = wait(limiter, 70.11).until
    assert until is not None
    assert until < 71.0
    assert sent(limiter, until - 0.001) == []
    assert len(sent(limiter, until)) == 1


MIDNIGHT = 10_000.0


def of_a_day(**amounts: int) -> RateLimiter:
    limiter = RateLimiter()
    limiter.update_limits(amounts, MIDNIGHT)
    return limiter


@pytest.mark.parametrize("at", [0.0, 9_000.0, 9_200.0, 9_999.9])
def test_requests_of_a_day_come_back_at_midnight_all_at_once_however_late_they_were_sent(at: float) -> None:
    limiter = of_a_day(RPD=5)
    assert len(sent(limiter, at)) == 5

    assert wait(limiter, 9_999.95) == Wait(MIDNIGHT, "requests a day")
    assert len(sent(limiter, MIDNIGHT)) == 5
    assert wait(limiter, MIDNIGHT).until == MIDNIGHT + 86_400
    assert len(sent(limiter, MIDNIGHT + 3.5 * 86_400)) == 5, "also after days without a request"


def test_tokens_of_a_day_are_reserved_and_settled_by_usage() -> None:
    limiter = of_a_day(TPD=1000)
    first, _ = sent(limiter, 0.0, tokens=400)
    assert wait(limiter, 1.0, 400) == Wait(MIDNIGHT, "tokens a day")

    limiter.settled(2.0, first.tokens, 100)
    assert len(sent(limiter, 2.0, tokens=400)) == 1


def test_requests_of_this_day_count_though_its_limit_is_asked_for_later_and_twice_and_those_of_yesterday_do_not() -> None:
    limiter = RateLimiter()
    for now, count in ((MIDNIGHT - 90_000, 50), (MIDNIGHT - 80_000, 2)):
        limiter.cancelled(limiter.reserve(now, 0))
        assert len(sent(limiter, now, count)) == count
    for _ in range(2):
        limiter.update_limits({"RPD": 5}, MIDNIGHT)

    assert limiter.snapshot(9_000.0).remaining_requests_day == 3
    assert limiter.snapshot(MIDNIGHT).remaining_requests_day == 5
    limiter.update_limits({}, MIDNIGHT)
    assert limiter.snapshot(9_000.0).remaining_requests_day is None


def test_blocks_are_an_eighth_of_what_remains_of_a_day() -> None:
    assert of_a_day(RPD=80).spare(0.0, 1) == 10
    assert of_a_day(TPD=80_000).spare(0.0, 100) == 100


def test_headers_lower_than_the_own_requests_explain_are_tested_after_two_seconds() -> None:
    limiter = RateLimiter()
    (flight,) = sent(limiter, 0.0, 1)
    replied(limiter, flight, 0.1, 200, said(0, limit=100))
    limiter.settled(0.1, 0, 0)
    assert sent(limiter, 1.9) == []

    (test,) = sent(limiter, 2.0)
    replied(limiter, test, 2.1, 200, said(0, limit=100))
    limiter.settled(2.1, 0, 0)
    assert limiter.snapshot(2.1).learned, "it was accepted, though nothing was left"
    assert sent(limiter, 4.0)


def test_the_wait_for_a_test_of_the_headers_has_an_end_and_a_reason() -> None:
    limiter = RateLimiter()
    (flight,) = sent(limiter, 0.0, 1)
    replied(limiter, flight, 0.1, 200, said(0, limit=100))
    limiter.settled(0.1, 0, 0)

    assert wait(limiter, 0.5) == Wait(2.0, "requests a minute")


def test_headers_that_leave_the_whole_limit_are_believed() -> None:
    limiter = RateLimiter()
    (flight,) = sent(limiter, 0.0, 1)
    replied(limiter, flight, 0.1, 200, said(10, limit=10))

    assert not limiter.snapshot(0.1).learned


def test_a_limit_of_which_nothing_but_its_size_is_known_is_counted_by_own_requests() -> None:
    limiter = RateLimiter()
    limiter.update_limits({"RPM": 3})
    assert len(sent(limiter, 0.0)) == 3

    assert wait(limiter, 0.5) == Wait(60.75, "requests a minute")


def test_a_reply_from_before_a_reset_says_nothing_of_what_remains_after_it() -> None:
    limiter = RateLimiter()
    late, *flights = sent(limiter, 0.0, 10)
    for flight in flights:
        replied(limiter, flight, 1.0, 200, said(0, reset=20.0))
        limiter.settled(1.0, 0, 0)
    limiter.requests.unanswered -= 1  # so that nothing is thought to have taken what came back
    (first,) = sent(limiter, 21.6, 1)
    replied(limiter, first, 21.7, 200, said(9))
    before = limiter.snapshot(21.8)
    limiter.replied(late, 21.8, 200, said(0, reset=30.0), None)

    assert limiter.snapshot(21.8) == before
    assert len(sent(limiter, 21.8)) == 9


@pytest.mark.parametrize("resets", [(20.0, 40.0), (40.0, 20.0)])
def test_of_the_resets_that_replies_name_the_earliest_is_waited_for(resets: tuple[float, float]) -> None:
    limiter = RateLimiter()
    for flight, reset in zip(sent(limiter, 0.0, 2), resets, strict=True):
        replied(limiter, flight, 0.1, 200, said(0, limit=2, reset=reset))
        limiter.settled(0.1, 0, 0)

    assert wait(limiter, 0.5).until == pytest.approx(20.6)


def test_a_block_of_requests_is_as_small_as_the_tokens_that_remain_for_them_want() -> None:
    limiter = RateLimiter()
    limiter.update_limits({"TPM": 10_000})

    assert limiter.spare(0.0, 100) == 10_000 / 100 / 8
    flight = limiter.reserve(0.0, 100, 4)
    assert flight == Flight(0.0, 100, 1.0, 100.0), "the counts with the first of them"


def test_headers_whose_test_is_refused_are_right_and_not_put_to_the_test_again() -> None:
    limiter = RateLimiter()
    (flight,) = sent(limiter, 0.0, 1)
    replied(limiter, flight, 0.1, 200, said(0, limit=100))
    limiter.settled(0.1, 0, 0)
    (test,) = sent(limiter, 2.0)
    replied(limiter, test, 2.1, 429, said(0, limit=100), 1.0)
    limiter.settled(2.1, 0, 0)

    assert not limiter.snapshot(2.1).learned
    assert sum(len(sent(limiter, 3.2 + second)) for second in range(50)) == 1, "the one that goes alone after the refusal"


@pytest.mark.parametrize(("limit", "seconds"), [(10, 12.0), (100, 5.0)])
def test_a_lost_first_request_after_a_reset_is_followed_by_another(limit: int, seconds: float) -> None:
    limiter = RateLimiter()
    for number, flight in enumerate(sent(limiter, 0.0, limit)):
        replied(limiter, flight, 0.1, 200, said(limit - number - 1, limit=limit, reset=20.0))
        limiter.settled(0.1, 0, 0)
    (lost,) = sent(limiter, 20.6)
    limiter.requests.unanswered -= 1  # it has a reply that says nothing
    limiter.settled(20.7, lost.tokens, 0)

    assert sent(limiter, 20.6 + seconds - 0.1) == []
    assert len(sent(limiter, 20.6 + seconds)) == 1


@pytest.mark.parametrize(("remaining", "block"), [(50, 0.0), (51, 51 / 8), (100, 12.5)])
def test_blocks_are_an_eighth_of_what_remains_while_that_is_more_than_half_of_the_limit(remaining: int, block: float) -> None:
    limiter = RateLimiter()
    (first,) = sent(limiter, 0.0, 1)
    replied(limiter, first, 0.5, 200, said(remaining, limit=101))

    assert limiter.spare(1.0, 1) == block


def test_a_learnt_limit_is_forgotten_when_the_headers_name_another() -> None:
    limiter = RateLimiter()
    *first, second, third = sent(limiter, 0.0, 12)
    for each in first:
        replied(limiter, each, 1.0, 200, said(50, limit=100), None)
    replied(limiter, second, 1.0, 429, said(50, limit=100), None)
    assert limiter.snapshot(1.0).learned
    replied(limiter, third, 2.0, 200, said(150, limit=200), None)

    assert not limiter.snapshot(2.0).learned
    assert limiter.snapshot(2.0).limit_requests == 200


def test_tokens_are_reserved_by_estimate_and_settled_by_usage() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1, tokens=100)
    limits = RateLimits(limit_tokens=1000, remaining_tokens=900, reset_tokens_seconds=60.0)
    replied(limiter, ticket, 1.0, 200, limits, None)
    others = sent(limiter, 1.0, tokens=400)
    assert len(others) == 2
    assert wait(limiter, 1.0, 400).why == "tokens a minute"

    limiter.settled(2.0, others[0].tokens, 50)
    assert len(sent(limiter, 2.0, tokens=400)) == 1


def test_a_request_larger_than_the_limit_goes_when_the_window_is_empty() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1, tokens=10)
    limits = RateLimits(limit_tokens=1000, remaining_tokens=990, reset_tokens_seconds=60.0)
    replied(limiter, ticket, 1.0, 200, limits, None)
    limiter.settled(2.0, ticket.tokens, 10)

    assert sent(limiter, 3.0, tokens=5000) == []
    assert sent(limiter, 130.0, 1, tokens=5000)


def test_a_request_that_was_not_sent_gives_everything_back() -> None:
    limiter = RateLimiter()
    (ticket,) = sent(limiter, 0.0, 1)
    replied(limiter, ticket, 0.0, 200, replace(said(4), limit_tokens=1000), None)
    limiter.settled(1.0, ticket.tokens, 0)
    before = limiter.snapshot(1.0)
    (lost,) = sent(limiter, 1.0, 1, tokens=7)
    limiter.requests.unanswered -= 1
    limiter.cancelled(lost)

    assert limiter.snapshot(1.0) == before
    assert before.in_flight == limiter.tokens.held == 0
    assert len(sent(limiter, 1.0)) == 4


def test_a_limiter_remembers_its_requests_for_a_minute() -> None:
    limiter = RateLimiter()

    for second in range(2_000):
        (ticket,) = sent(limiter, float(second), 1)
        limiter.settled(second + 0.5, ticket.tokens, 10)

    assert len(limiter.requests.used.entries) < 70
    assert len(limiter.tokens.used.entries) < 70


actions = st.lists(
    st.tuples(st.sampled_from(["send", "ok", "429", "503", "settle", "cancel", "wait"]), st.integers(0, 50)), max_size=200
)


@given(actions)
def test_no_reservation_leaks_and_no_wait_is_for_nothing(steps: list[tuple[str, int]]) -> None:
    limiter, now = RateLimiter(), 0.0
    unanswered: list[Flight] = []
    answered: list[Flight] = []
    for action, number in steps:
        now += number / 10
        if action == "send":
            waits = limiter.wait(now, number)
            if waits is None:
                unanswered.append(limiter.reserve(now, number))
            else:
                assert (waits.until is not None and waits.until > now) or unanswered or answered, "somebody will wake it"
        elif action == "settle" and answered:
            limiter.settled(now, answered.pop(number % len(answered)).tokens, number)
        elif action == "cancel" and unanswered:
            limiter.requests.unanswered -= 1
            limiter.cancelled(unanswered.pop(number % len(unanswered)))
        elif action in {"ok", "429", "503"} and unanswered:
            flight = unanswered.pop(number % len(unanswered))
            answered.append(flight)
            limits = said(number, limit=60) if number % 3 else NOTHING
            replied(limiter, flight, now, 200 if action == "ok" else int(action), limits, float(number) or None)
    for flight in [*unanswered, *answered]:
        limiter.settled(now, flight.tokens, 0)
    limiter.requests.unanswered -= len(unanswered)

    assert limiter.open == 0
    assert limiter.tokens.held == 0
    assert limiter.requests.unanswered == 0
    assert limiter.wait(now + 200_000, 1) is None, "it never waits for ever"


def test_a_block_is_reserved_far_from_limits_and_its_unused_part_returned() -> None:
    limiter = RateLimiter()
    (first,) = sent(limiter, 0.0, 1)
    replied(limiter, first, 0.5, 200, said(99, limit=100))
    limiter.settled(0.5, first.tokens, 0)
    count = int(limiter.spare(1.0, 1))
    assert 4 <= count < 50
    block = limiter.reserve(1.0, 1, count)
    assert limiter.snapshot(1.0).remaining_requests == 99 - count

    limiter.requests.unanswered -= count - 3
    limiter.cancelled(block, count - 3)

    assert limiter.snapshot(1.0).remaining_requests == 99 - 3
    assert limiter.snapshot(1.0).in_flight == 3


@pytest.mark.parametrize("remaining", [0, 10, 50])
def test_near_a_limit_nothing_is_reserved_in_blocks(remaining: int) -> None:
    limiter = RateLimiter()
    (first,) = sent(limiter, 0.0, 1)
    replied(limiter, first, 0.5, 200, said(remaining, limit=100))

    assert limiter.spare(1.0, 1) == 0


@pytest.mark.parametrize("case", [*HIDDEN[:5], HIDDEN[6], HIDDEN[11]], ids=lambda case: case.name)
def test_accounts_with_undisclosed_limits_are_used_well_and_seldom_refuse(case: Case) -> None:
    ours, ideal = Ours(case, 1).run(), Ideal(case, 1).run()

    if case.honest:
        assert len(ours.refused) <= ours.policies
    assert ours.seconds <= ideal.seconds * (1.1 if case.honest else 1.5)
    assert ours.failures_in_30_s <= 20


@settings(max_examples=5, deadline=None)
@given(st.integers(60, 800), st.sampled_from(["seconds", "unix", "milliseconds"]))
def test_any_honest_limit_in_any_unit_is_kept(limit: int, unit: str) -> None:
    result = Ours(Case("any", fixed(limit, unit=unit), calls=300), 3).run()

    assert len(result.refused) <= 1


def test_a_token_bucket_that_is_full_again_is_not_taken_for_a_fixed_window() -> None:
    bucket = next(case for case in HIDDEN if case.name == "token bucket")

    assert len(Ours(bucket, 69).run().refused) <= 1


def test_a_late_reply_before_a_reset_does_not_delay_the_next_request() -> None:
    bucket = next(case for case in HIDDEN if case.name == "token bucket")

    assert Ours(bucket, 39).run().seconds <= 1.05 * Ideal(bucket, 39).run().seconds


def test_a_snapshot_tells_what_remains_and_when_it_is_counted_anew() -> None:
    limiter = RateLimiter()
    flights = sent(limiter, 0.0, 2)
    replied(limiter, flights[0], 1.0, 200, said(4, limit=10, reset=20.0))
    known = limiter.snapshot(2.0)
    assert (known.limit_requests, known.remaining_requests, known.reset_requests_seconds) == (10, 3, 19.5)
    assert (known.limit_tokens, known.remaining_tokens, known.reset_tokens_seconds) == (None, None, None)

    replied(limiter, flights[1], 3.0, 200, said(999, limit=10, reset=20.0))
    assert limiter.snapshot(22.0).learned
    assert limiter.snapshot(22.0).reset_requests_seconds is None, "it has passed"


def test_what_the_server_has_forgotten_is_made_good_when_the_own_requests_of_then_are_past() -> None:
    limiter = RateLimiter()
    *others, last = [*sent(limiter, 0.0, 5), *sent(limiter, 10.0, 3)]
    for flight in others:
        replied(limiter, flight, 10.1, 200, NOTHING)
    replied(limiter, last, 10.1, 200, said(5, limit=10, reset=100.0))

    assert limiter.snapshot(60.8).remaining_requests == 10 - 3


@pytest.mark.parametrize(("remaining", "tests"), [(0, 1), (1, 0)])
def test_headers_are_put_to_the_test_only_where_they_leave_nothing(remaining: int, tests: int) -> None:
    limiter = RateLimiter()
    (flight,) = sent(limiter, 0.0, 1, tokens=10)
    limits = RateLimits(limit_tokens=1000, remaining_tokens=remaining, reset_tokens_seconds=60.0)
    replied(limiter, flight, 0.1, 200, limits)
    limiter.settled(0.1, flight.tokens, 10)

    assert len(sent(limiter, 3.0, tokens=100)) == tests


@pytest.mark.parametrize(("remaining", "learned"), [(99, False), (100, True), (101, True)])
def test_a_refusal_that_too_few_tokens_explain_teaches_no_limit_of_requests(remaining: int, learned: bool) -> None:
    limiter = RateLimiter()
    limits = RateLimits(limit_tokens=10_000, remaining_tokens=remaining, reset_tokens_seconds=60.0)
    for number, flight in enumerate(sent(limiter, 0.0, 21, tokens=100)):
        replied(limiter, flight, 1.0, 200 if number < 20 else 429, NOTHING if number < 20 else limits)

    assert limiter.snapshot(1.0).learned is learned


def test_looking_at_what_is_under_way_changes_nothing_of_it() -> None:
    limiter = RateLimiter()
    limiter.reserve(0.0, 100)

    assert [limiter.under_way() for _ in range(3)] == [[1, 1.0, 100.0]] * 3
