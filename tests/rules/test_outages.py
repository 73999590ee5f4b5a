"""Healthy traffic before, and failures after it: what an outage costs, and that failures stay within the budget."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from .outages import Traffic

BEGIN = 11.0
"""An outage begins when all windows are full of successes."""


def outage(seconds: float, latency: float, *, rate: float = 0.0, callers: int = 0) -> tuple[float, Traffic]:
    """How long after an outage's end the first good answer came."""
    end = BEGIN + seconds
    traffic = Traffic(lambda now: 503 if BEGIN <= now < end else 200, latency, rate, callers).run(end + 40)
    return next(each for each in traffic.answers if each - latency / 2 >= end) - end, traffic


def at_random(part: float, seed: int, status: int) -> Callable[[float], int]:
    """A server of which a part of the answers are failures."""
    random = Random(seed)
    return lambda _: status if random.random() < part else 200


@pytest.mark.parametrize("seconds", [0.5, 3.0, 4.0, 5.0, 10.0])
@pytest.mark.parametrize(
    ("latency", "rate", "callers"),
    [
        *[pytest.param(0.2, rate, 0, id=f"{rate} calls a second") for rate in (1, 2, 3, 5, 7, 10)],
        *[pytest.param(1.0, rate, 0, id=f"{rate} slow calls a second") for rate in (3, 10)],
        *[pytest.param(0.05, 0, callers, id=f"{callers} callers") for callers in (1, 3, 6, 10, 15)],
        pytest.param(1.0, 0, 15, id="15 slow callers"),
    ],
)
def test_after_an_outage_of_a_healthy_server_an_answer_comes_within_five_seconds(
    latency: float, rate: float, callers: int, seconds: float
) -> None:
    recovery, traffic = outage(seconds, latency, rate=rate, callers=callers)

    assert recovery < 5.0
    assert traffic.failures_in_30_s < 20, "one is left for the next request that goes alone"


@pytest.mark.parametrize("callers", [6, 10, 15])
@pytest.mark.parametrize("latency", [0.1, 0.2, 1.0])
@pytest.mark.parametrize("seconds", [1.0, 3.0, 5.0, 10.0])
def test_an_outage_is_noticed_as_soon_where_failures_overtake_the_answers_to_earlier_requests(
    seconds: float, latency: float, callers: int
) -> None:
    end = BEGIN + seconds
    traffic = Traffic(lambda now: 500 if BEGIN <= now < end else 200, latency, callers=callers, failure_latency=0.02).run(
        end + 40
    )

    assert next(each for each in traffic.sent if each >= end) - end < 5.0
    assert traffic.failures_in_30_s <= 20


@pytest.mark.parametrize("seconds", [17.3, 20.0, 24.9, 30.0, 33.1, 60.0, 115.0])
@pytest.mark.parametrize(("latency", "rate"), [(0.2, 1), (0.2, 3), (0.2, 10), (1.0, 3)])
def test_a_long_outage_is_noticed_as_soon_where_few_requests_were_in_flight(
    latency: float, rate: float, seconds: float
) -> None:
    recovery, traffic = outage(seconds, latency, rate=rate)

    assert recovery < 5.0
    assert traffic.failures_in_30_s <= 20


@pytest.mark.parametrize("seconds", [4.0, 40.0])
@pytest.mark.parametrize(("latency", "rate", "callers"), [(0.2, 100, 0), (0.05, 0, 20), (0.05, 0, 60), (1.0, 200, 0)])
def test_however_many_were_in_flight_an_outage_adds_no_failure_above_twenty(
    latency: float, rate: float, callers: int, seconds: float
) -> None:
    recovery, traffic = outage(seconds, latency, rate=rate, callers=callers)
    in_flight = sum(1 for sent in traffic.sent if sent < BEGIN + latency <= sent + latency * 2)

    assert traffic.failures_in_30_s <= max(20, in_flight)
    assert recovery < 31.0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("rate", "part", "opens"),
    [(1000, 0.01, False), (1000, 0.2, False), (1000, 0.4, False), (1000, 0.6, True), (10, 0.2, False), (10, 0.6, True)],
)
def test_the_circuit_opens_on_a_rate_and_not_on_a_run_of_a_busy_server(
    rate: float, part: float, seed: int, *, opens: bool
) -> None:
    healthy_until, faulty = 10.0, at_random(part, seed, 503)
    seconds = 22.0 if rate == 1000 else 60.0
    traffic = Traffic(lambda now: faulty(now) if now >= healthy_until else 200, 0.05, rate, budget=None).run(seconds)

    assert (traffic.opened is not None) == opens


def test_a_burst_of_failures_that_is_over_within_a_round_trip_does_not_open_the_circuit() -> None:
    burst = Traffic(lambda now: 503 if 5.0 <= now < 5.04 else 200, 0.05, rate=1000.0, budget=None).run(8.0)
    longer = Traffic(lambda now: 503 if 5.0 <= now < 5.08 else 200, 0.05, rate=1000.0, budget=None).run(8.0)

    assert len(burst.failures) > 30
    assert burst.opened is None
    assert longer.opened == pytest.approx(5.075, abs=0.003)


@pytest.mark.parametrize(
    ("callers", "part", "status"),
    [
        (50, 0.05, 400),
        (50, 0.3, 400),
        (50, 0.5, 400),
        (50, 0.1, 503),
        (20, 0.3, 500),
        (50, 0.5, 429),
        (100, 0.02, 400),
        (5, 0.5, 400),
    ],
)
def test_where_some_requests_fail_twenty_do_in_30_s_and_more_in_a_first_burst_alone(
    callers: int, part: float, status: int
) -> None:
    for seed in range(6):
        traffic = Traffic(at_random(part, seed, status), 0.2, callers=callers).run(100.0)

        # What succeeds before the first failure lets more begin, which may fail, too.
        assert traffic.failures_in_30_s <= (20 if part < 0.5 or callers < 50 else 23), seed
        assert len(traffic.answers) > 20 * (1 - part) / part, "of three windows, most is used"
