"""How many requests of a batch are under way at once, where no limiter of the client decides."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from venice_ai import APIConnectionError, BatchProgress, InvalidArgumentError, Journal
from venice_ai._core.request import SystemClock
from venice_ai._limits.failure_budget import FLIGHTS_PER_SUCCESS, MAX_FAILURES
from venice_ai._limits.limiter import Limiter
from venice_ai.batches.pace import MOST, Pace
from venice_ai.emulator import error, refused

from .test_batch_iter import BUSY_SECONDS, client_of, items, numbered, watched


def ended(pace: Pace, rounds: int, *, status: int | None = None, latency: float = 1.0, now: float = 0.0) -> None:
    for _ in range(rounds):
        for _ in range(pace.most):
            pace.ended(status, latency, now)


@pytest.mark.parametrize("number", [0, -1, True, 1.0, 2.5, "8", "Auto", None])
def test_a_max_concurrency_that_is_not_a_whole_number_or_auto_is_refused(number: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^max_concurrency=.* must be a whole number from 1, or 'auto'"):
        Pace(number, None)


@pytest.mark.parametrize("limiter", [None, Limiter("https://here", SystemClock())], ids=["without limits", "with limits"])
@pytest.mark.parametrize("number", [1, 5])
def test_a_fixed_max_concurrency_never_changes(limiter: Limiter | None, number: int) -> None:
    pace = Pace(number, limiter)
    ended(pace, 10)
    ended(pace, 10, status=429)
    assert pace.most == number
    pace.under_way = number - 1
    assert pace.has_room()
    pace.under_way = number
    assert not pace.has_room()


def test_each_round_of_answers_adds_one_up_to_the_maximum() -> None:
    pace = Pace("auto", None)
    assert pace.most == 8
    ended(pace, 1)
    assert pace.most in {8, 9}
    ended(pace, 300)
    assert pace.most == MOST == 256


@pytest.mark.parametrize("status", [429, 503])
def test_a_refusal_takes_a_quarter_away_once_for_all_requests_in_flight(status: int) -> None:
    pace = Pace("auto", None)
    ended(pace, 100, now=1.0)
    before = pace.most
    ended(pace, 1, status=status, now=2.0)
    assert pace.most == pytest.approx(before * 0.75, abs=1)
    for now in range(3, 200, 2):
        pace.ended(status, 1.0, float(now))
    assert pace.most == 1


@pytest.mark.parametrize(("later", "most"), [(0.0, 6), (0.5, 6), (2.0, 6), (2.1, 4)])
def test_a_refusal_of_what_was_under_way_at_the_last_one_takes_nothing_away(later: float, most: int) -> None:
    pace = Pace("auto", None)
    for now in (100.0, 100.0 + later):
        pace.ended(429, 2.0, now)
    assert pace.most == most


def test_each_answer_adds_its_part_of_a_round() -> None:
    pace = Pace("auto", None)
    for _ in range(8):
        pace.ended(None, 1.0, 0.0)
    assert pace.most == 8, "eighths, ninths and so on of one more"
    pace.ended(None, 1.0, 0.0)
    assert pace.most == 9


def test_how_late_answers_are_is_learnt_by_a_tenth_of_each() -> None:
    pace, now = Pace("auto", None), 0.0
    pace.ended(None, 1.0, now)
    for _ in range(2):  # 1 + 0.1 * 10, and 2 + 0.1 * 9: no more than three times the least
        pace.ended(None, 11.0, now)
    assert pace.most == 8
    pace.ended(None, 11.0, now)
    assert pace.most == 6


def test_a_refusal_counts_from_the_first_moment_of_a_clock_on() -> None:
    pace = Pace("auto", None)
    pace.ended(429, 1.0, 0.0)
    assert pace.most == 6


def steady(first: float, then: float) -> Pace:
    """One whose first answers took so many seconds, and those of later so many."""
    pace = Pace("auto", None)
    ended(pace, 30, latency=first, now=1.0)
    ended(pace, 30, latency=then, now=10.0)
    return pace


@pytest.mark.parametrize(("times", "falls"), [(2.9, False), (3.1, True)])
def test_three_times_as_late_as_at_first_is_much_later(times: float, falls: bool) -> None:
    before = steady(0.1, 0.1).most
    assert (steady(0.1, 0.1 * times).most < before) is falls


def test_a_server_that_stays_slower_is_the_normal_one_after_a_while() -> None:
    pace, most = steady(0.1, 0.85), list[int]()
    for now in (20.0, 30.0):
        ended(pace, 3, latency=0.85, now=now)
        most.append(pace.most)
    assert most[0] < steady(0.1, 0.85).most, "0.85 is more than three times 0.2"
    assert most[1] > most[0], "and less than three times 0.4"


def test_answers_that_come_much_later_take_a_quarter_away() -> None:
    pace = Pace("auto", None)
    ended(pace, 100, latency=0.1, now=1.0)
    before = pace.most
    ended(pace, 1, latency=2.0, now=10.0)
    assert pace.most < before


def test_other_failures_change_nothing_for_the_worse() -> None:
    pace = Pace("auto", None)
    ended(pace, 5, status=404)
    assert pace.most >= 8


def test_with_a_limiter_no_request_begins_while_a_call_waits_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pace = Pace("auto", Limiter("https://here", SystemClock()))
    pace.under_way = 100
    ended(pace, 300)
    assert (pace.most, pace.has_room()) == (MOST, True)
    monkeypatch.setattr(Limiter, "held", 1)
    assert not pace.has_room()
    pace.under_way = 0
    assert pace.has_room()


async def test_an_unknown_account_begins_with_20_requests_and_each_answer_allows_more(tmp_path: Path) -> None:
    transport = watched()
    transport.held = asyncio.Event()
    progresses = list[BatchProgress]()
    with Journal(tmp_path / "j") as journal:
        batch = client_of(transport, limits=True).chat.completions.batch_iter(
            numbered(300), journal=journal, on_progress=progresses.append
        )
        first = asyncio.ensure_future(anext(batch))
        while transport.now < MAX_FAILURES:
            await asyncio.sleep(0)
        await asyncio.sleep(BUSY_SECONDS)
        assert journal.counts().in_flight == transport.most == MAX_FAILURES  # a kill now sends no more than these again
        transport.held.set()
        assert (await first).response
        assert [item.error async for item in batch] == [None] * 299
    assert progresses[0].max_concurrency <= MAX_FAILURES + MAX_FAILURES * FLIGHTS_PER_SUCCESS
    assert progresses[-1].max_concurrency == MOST


async def test_failures_allow_no_more_than_at_first() -> None:
    transport, progresses = watched(always=refused()), list[BatchProgress]()
    client = client_of(transport, limits=True)
    found = await items(client, numbered(MAX_FAILURES - 1), on_progress=progresses.append)
    assert all(isinstance(item.error, APIConnectionError) for item in found)
    assert {progress.max_concurrency for progress in progresses} == {MAX_FAILURES}


def test_requests_that_run_out_of_time_take_a_quarter_away() -> None:
    pace = Pace("auto", None)
    ended(pace, 100, latency=0.1, now=1.0)
    before = pace.most
    ended(pace, 1, status=0, latency=2.0, now=10.0)
    assert pace.most < before


async def test_without_limits_a_batch_begins_with_eight_and_adds_more() -> None:
    transport, progresses = watched(seconds=BUSY_SECONDS), list[BatchProgress]()
    await items(client_of(transport), numbered(120), on_progress=progresses.append)
    assert progresses[0].max_concurrency == 8
    assert 8 < transport.most <= max(each.max_concurrency for each in progresses) < 20


async def test_without_limits_a_refusal_slows_the_batch_down() -> None:
    transport, progresses = watched(*[error(503)] * 8, seconds=BUSY_SECONDS / 4), list[BatchProgress]()
    found = await items(client_of(transport), numbered(30), on_progress=progresses.append)
    assert sum(item.error is not None for item in found) == 8
    assert min(progress.max_concurrency for progress in progresses) < 8
