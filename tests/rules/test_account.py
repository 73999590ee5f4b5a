"""What an account reserves for attempts and settles: in blocks while limits are far, exactly near them, always back to zero."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from operator import length_hint
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai._core.ports import drive
from venice_ai._core.settings import Timeout
from venice_ai._limits.account import Account, Bucket, QueuedCall
from venice_ai._limits.failure_budget import Wait
from venice_ai._limits.limiter import Limiter
from venice_ai.exceptions import APIConnectionError, APIError, RateLimitError
from venice_ai.transport import Attempt, ChatSize, Request, SystemClock
from venice_ai.types.api.chat import ChatUsage
from venice_ai.types.response_meta import Headers, ResponseMeta


class Clock(SystemClock):
    """A clock that hardly moves by itself; what waits on it blocks."""

    blocks = True

    def __init__(self) -> None:
        super().__init__()
        self.at = 1000.0

    def now(self) -> float:
        self.at += 1e-9
        return self.at


def limiter_of(clock: SystemClock | None = None) -> Limiter:
    return Limiter("http://x", clock or Clock(), server=object())


def attempt(body: bytes = b"{}", queue: float = 1e-9) -> Attempt:
    """An attempt that by default waits for nothing."""
    request = Request("POST", "http://x", headers={"Authorization": "Bearer k"}, body=body, timeout=Timeout(queue=queue))
    request.chat = ChatSize("m", 1, None, 1)
    return Attempt(request, 1, 0.0, None, None)


def entered(limiter: Limiter, body: bytes = b"{}") -> Any:
    return drive(limiter.enter(attempt(body)))


def bucket_of(limiter: Limiter) -> Bucket:
    return limiter._bucket(attempt().request, "m")


def seats(limiter: Limiter) -> int:
    """Requests that are reserved for calls to come."""
    return length_hint(bucket_of(limiter).block.seats)


def meta(status: int = 200, **remaining: int) -> ResponseMeta:
    headers = {f"x-ratelimit-remaining-{name}": str(left) for name, left in remaining.items()}
    headers |= {f"x-ratelimit-limit-{name}": "1000" for name in remaining}
    return ResponseMeta(status, Headers(headers.items()), time.time(), 0.1)


def good(granted: Any, usage: ChatUsage | None = None, **remaining: int) -> None:
    granted.replied(meta(**remaining))
    granted.done(usage, None)


def warm(limiter: Limiter, **remaining: int) -> None:
    """Some calls, after which a block is there."""
    for _ in range(10):
        good(entered(limiter), None, **remaining)
    assert seats(limiter)


def all_over(account: Account) -> bool:
    """Whether nothing is counted as under way, once blocks have ended."""
    account.snapshot()
    rates = [bucket.rate for bucket in account.buckets.values()]
    left = [(rate.open, rate.requests.unanswered, rate.tokens.held) for rate in rates]
    return account.failures.unanswered == 0 and all(each == (0, 0, 0) for each in left)


def test_far_from_limits_a_call_needs_no_lock_and_its_end_waits_for_no_lock() -> None:
    limiter = limiter_of()
    warm(limiter)
    account = bucket_of(limiter).account
    with account.lock:
        granted = entered(limiter)
        good(granted)

    assert all_over(account)
    assert account.failures.successes.total == 11
    assert bucket_of(limiter).rate.successes.total == 11


def test_far_from_limits_a_pass_is_there_at_once_but_not_after_a_failure() -> None:
    limiter, request = limiter_of(), attempt().request
    assert limiter.at_once(request, None) is None, "nothing is reserved yet"
    warm(limiter)
    left = seats(limiter)

    assert limiter.at_once(request, APIError("no")) is None
    assert seats(limiter) == left
    good(limiter.at_once(request, None))
    assert seats(limiter) == left - 1
    assert all_over(bucket_of(limiter).account)


def test_a_good_reply_that_leaves_no_failure_ends_the_block() -> None:
    limiter = limiter_of()
    while seats(limiter) < 5:
        good(entered(limiter))
    first, second = entered(limiter), entered(limiter)
    good(first)
    assert seats(limiter), "the first reply of a block is read anyway"
    second.replied(
        ResponseMeta(200, Headers([("x-ratelimit-remaining", "0"), ("x-ratelimit-resets", "86400")]), time.time(), 0.1)
    )

    assert not seats(limiter)
    with pytest.raises(RateLimitError, match=r"held for 30\.0 s \(failures\)"):
        entered(limiter)
    second.done(None, None)
    assert all_over(bucket_of(limiter).account)


def test_near_a_limit_each_request_is_decided_alone() -> None:
    limiter = limiter_of()
    for left in range(504, 494, -1):
        good(entered(limiter), requests=left)

    assert not seats(limiter)


def test_near_a_limit_a_request_reserves_the_tokens_that_it_is_likely_to_use_and_no_more() -> None:
    limiter = limiter_of()
    good(entered(limiter), None, tokens=450)
    entered(limiter)

    bucket = bucket_of(limiter)
    assert bucket.rate.tokens.held == bucket.tokens(attempt().request) == 257


@pytest.mark.parametrize("what", ["requests", "tokens"])
@pytest.mark.parametrize(("left", "idle"), [(0, False), (1, True)])
def test_an_account_with_nothing_left_is_kept(what: str, left: int, idle: bool) -> None:
    limiter = limiter_of()
    good(entered(limiter), None, **{what: left})

    assert bucket_of(limiter).account.is_idle() is idle


def test_a_failure_ends_blocks_and_returns_their_unused_requests() -> None:
    limiter = limiter_of()
    warm(limiter)
    granted = [entered(limiter) for _ in range(3)]
    granted[0].replied(APIError("no", status_code=500, meta=meta(500)))
    granted[0].done(None, None)

    assert not seats(limiter)
    assert bucket_of(limiter).account.failures.unanswered == 2
    assert limiter.account(attempt().request).snapshot().models[0].limits.in_flight == 2


def test_requests_of_a_block_whose_replies_were_not_read_are_not_taken_to_remain() -> None:
    limiter = limiter_of()
    for _ in range(5):
        good(entered(limiter), None, requests=900)
        bucket_of(limiter).end_block()
    late = entered(limiter)  # the server counts it before those of its block, and 899 remain
    assert seats(limiter) >= 4
    for left in (898, 897, 896, 895):
        good(entered(limiter), None, requests=left)
    good(late, None, requests=899)

    remaining = limiter.account(attempt().request).snapshot().models[0].limits.remaining_requests
    assert remaining is not None
    assert remaining <= 895


def test_of_the_replies_of_a_block_only_those_that_were_not_read_reduce_the_remaining_tokens() -> None:
    limiter, usage = limiter_of(), ChatUsage(prompt_tokens=0, completion_tokens=5, total_tokens=5)
    for _ in range(30):
        good(entered(limiter), usage, requests=900, tokens=900)
        bucket_of(limiter).end_block()
    granted = [entered(limiter) for _ in range(4)]
    assert seats(limiter)
    for left, each in zip((895, 890, 885, 880), granted, strict=True):
        good(each, usage, requests=left, tokens=left)

    remaining = limiter.account(attempt().request).snapshot().models[0].limits.remaining_tokens
    assert remaining is not None
    assert 865 <= remaining <= 880, "a request of a block reserves 12 tokens, twice what it is likely to use"


def test_a_block_is_over_after_a_moment() -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    warm(limiter)
    block = bucket_of(limiter).block
    clock.at += 0.3
    good(entered(limiter))

    assert bucket_of(limiter).block is not block


def test_a_large_request_takes_no_place_that_was_reserved_for_small_ones() -> None:
    limiter = limiter_of()
    usage = ChatUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2)
    for _ in range(10):
        good(entered(limiter), usage, tokens=900)
    block = bucket_of(limiter).block
    assert seats(limiter)
    held = entered(limiter, b"x" * 1000)

    assert bucket_of(limiter).block is not block
    assert bucket_of(limiter).rate.tokens.held >= 250
    good(held)
    assert all_over(bucket_of(limiter).account)


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize("total", [321, None])
def test_an_answer_counts_with_the_tokens_that_it_used_and_without_usage_with_those_reserved(
    total: int | None, block: bool
) -> None:
    limiter = limiter_of()
    for _ in range(10 if block else 1):
        good(entered(limiter), ChatUsage(prompt_tokens=1, completion_tokens=1, total_tokens=2), tokens=900)
    bucket = bucket_of(limiter)
    if not block:
        bucket.end_block()
    assert bool(seats(limiter)) is block
    bucket.account.snapshot()
    before = bucket.rate.tokens.used.total

    granted = entered(limiter)
    reserved = granted._flight.tokens
    good(granted, None if total is None else ChatUsage(prompt_tokens=total - 1, completion_tokens=1, total_tokens=total))

    bucket.account.snapshot()
    assert bucket.rate.tokens.used.total - before == (total or reserved) > 1


@pytest.mark.parametrize(
    ("answers", "reserved"),
    [
        pytest.param([50] * 8, 51, id="all alike"),
        pytest.param([10, 90] * 4, 91, id="the largest of the last ones"),
        pytest.param([200, *[10] * 20], 79, id="and less of it after each smaller one"),
    ],
)
def test_so_many_tokens_are_reserved_for_a_request_as_answers_have_used_lately(answers: list[int], reserved: int) -> None:
    limiter = limiter_of()
    for output in answers:
        held = entered(limiter)
        good(held, ChatUsage(prompt_tokens=0, completion_tokens=output, total_tokens=output), tokens=500)

    assert bucket_of(limiter).tokens(attempt().request) == reserved


def test_a_body_with_far_more_bytes_than_tokens_reserves_what_such_bodies_have_used() -> None:
    limiter = limiter_of()
    for _ in range(20):
        good(entered(limiter, b"x" * 1600), ChatUsage(prompt_tokens=40, completion_tokens=10, total_tokens=50), tokens=900)

    assert bucket_of(limiter).tokens(attempt(b"x" * 1600).request) == 51


def test_the_bytes_of_a_body_count_a_quarter_of_a_token_each() -> None:
    limiter = limiter_of()
    good(entered(limiter), ChatUsage(prompt_tokens=0, completion_tokens=50, total_tokens=50), tokens=500)

    assert bucket_of(limiter).tokens(attempt(b"x" * 402).request) == 151


def test_an_error_in_a_good_reply_that_stands_for_a_429_pauses_its_model() -> None:
    limiter = limiter_of()
    granted = entered(limiter)
    granted.replied(meta())
    error = RateLimitError("no", status_code=200, meta=meta(), retry_after_seconds=20.0)
    error.counts_as = 429
    granted.replied(error)
    granted.done(None, None)

    snapshot = limiter.account(attempt().request).snapshot()
    assert snapshot.models[0].limits.why == "paused by a 429"
    assert snapshot.failures == 1
    assert all_over(bucket_of(limiter).account)


ends = st.sampled_from(["good", "near", "fail", "refuse", "lost", "left", "none"])


@given(st.lists(st.tuples(ends, st.integers(0, 30), st.floats(0, 2)), max_size=120))
def test_however_attempts_end_nothing_stays_reserved(steps: list[tuple[str, int, float]]) -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    account = bucket_of(limiter).account
    unanswered: list[Any] = []
    for end, number, seconds in steps:
        clock.at += seconds
        for _ in range(number % 7):
            try:
                unanswered.append(entered(limiter, b"x" * number))
            except APIError:
                break
        granted = unanswered.pop(number % len(unanswered)) if unanswered else None
        if granted is None:
            continue
        if end in {"good", "near"}:
            granted.replied(meta(tokens=number, requests=number) if end == "near" else meta())
        elif end == "fail":
            granted.replied(APIError("no", status_code=500, meta=meta(500)))
        elif end == "refuse":
            granted.replied(RateLimitError("no", status_code=429, meta=meta(429), retry_after_seconds=seconds or None))
        elif end in {"lost", "left"}:
            granted.replied(APIConnectionError("lost") if end == "lost" else KeyboardInterrupt())
        granted.done(None, None)
    assert account.failures.unanswered >= len(unanswered)
    for granted in unanswered:
        granted.done(None, None)

    assert all_over(account)


def test_threads_that_call_at_once_leave_nothing_reserved() -> None:
    limiter = limiter_of(type("Blocking", (SystemClock,), {"blocks": True})())
    account = bucket_of(limiter).account
    warm(limiter)

    def calls() -> None:
        for _ in range(1000):
            good(drive(limiter.enter(attempt(queue=60.0))))

    threads = [threading.Thread(target=calls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all_over(account)
    assert account.failures.successes.total == 4010


def alive(kind: type) -> int:
    gc.collect()
    return sum(isinstance(each, kind) for each in gc.get_objects())


def test_nothing_of_a_call_is_kept_once_it_is_over() -> None:
    limiter, before = limiter_of(), alive(QueuedCall)
    for number in range(20):
        good(entered(limiter, b"x" * number), requests=100 - number)
    assert not seats(limiter), "each of them was decided alone"

    assert alive(QueuedCall) == before
    assert not bucket_of(limiter).good
    assert not bucket_of(limiter).ended


class SlowClock(SystemClock):
    """A clock that one thread looks at for long, once."""

    blocks = True
    looks: Callable[[], None] | None = None

    def now(self) -> float:
        if self.looks is not None and threading.current_thread() is threading.main_thread():
            looks, self.looks = self.looks, None
            looks()
        return super().now()


def test_of_replies_that_are_not_counted_yet_only_the_last_is_kept() -> None:
    limiter = limiter_of()
    warm(limiter)
    warm(limiter)
    tallied, before = len(bucket_of(limiter).good), (alive(ResponseMeta), alive(Request))
    for number in range(5):
        good(entered(limiter), ChatUsage(prompt_tokens=1, completion_tokens=number, total_tokens=number + 1))

    assert len(bucket_of(limiter).good) == tallied + 5
    assert (alive(ResponseMeta), alive(Request)) == before


def test_a_call_during_the_check_of_another_thread_is_let_through_after_it() -> None:
    clock = SlowClock()
    limiter = limiter_of(clock)
    account = bucket_of(limiter).account
    passes = list[Any]()
    caller = threading.Thread(target=lambda: passes.append(drive(limiter.enter(attempt(queue=10.0)))))

    def look() -> None:
        if not account.lock.locked():  # it is not yet the moment in which it takes the snapshot
            clock.looks = look
            return
        caller.start()
        time.sleep(0.1)
        assert not passes

    clock.looks = look
    account.snapshot()
    caller.join(timeout=5.0)

    assert len(passes) == 1


def test_unused_requests_of_a_block_do_not_make_another_model_wait() -> None:
    clock = Clock()
    limiter = limiter_of(clock)
    warm(limiter)
    while seats(limiter) <= 20:
        good(entered(limiter))
    clock.at += 60.0  # so long ago that no success allows more than 20 requests in flight
    other = attempt()
    other.request.chat = ChatSize("other", 1, None, 1)

    good(drive(limiter.enter(other)))

    assert not seats(limiter)


def test_a_closed_client_gives_back_what_was_reserved_for_its_next_calls() -> None:
    limiter = limiter_of()
    warm(limiter)

    limiter.close()

    assert not seats(limiter)
    assert bucket_of(limiter).account.failures.unanswered == 0


def test_the_turn_of_a_call_whose_event_loop_was_closed_is_the_next_ones() -> None:
    clock, server = type("Blocking", (SystemClock,), {"blocks": True})(), object()
    limiter, other = Limiter("http://x", clock, server=server), Limiter("http://x", SystemClock(), server=server)
    account = bucket_of(limiter).account
    unanswered = [entered(limiter) for _ in range(20)]
    loop = asyncio.new_event_loop()

    async def begun() -> asyncio.Task[Any]:
        call = asyncio.create_task(other.enter(attempt(queue=60.0)))
        for _ in range(20):  # until what it waits with has begun, too
            await asyncio.sleep(0)
        return call

    lost = loop.run_until_complete(begun())
    loop.close()
    assert account.waiting == 1
    good(unanswered.pop())

    assert account.waiting == 0
    assert not lost.done()
    with suppress(RuntimeError):  # nothing can be cancelled on a loop that is closed
        cast("Coroutine[Any, Any, Any]", lost.get_coro()).close()
    cast("Any", lost)._log_destroy_pending = False
    for granted in [*unanswered, entered(limiter)]:
        good(granted)
    assert all_over(account)


@pytest.mark.parametrize(
    ("model", "queue", "seconds", "told"),
    [
        pytest.param("m", None, 90.0, None, id="as long as a call waits"),
        pytest.param("m", None, 90.1, "requests to m are held for 90.1 s", id="longer"),
        pytest.param("", None, 90.1, "requests to the API are held", id="for no model"),
        pytest.param("m", 200.0, 199.0, None, id="as its queue clock allows"),
        pytest.param("m", 200.0, 201.0, r"Timeout\(queue=", id="longer than that"),
    ],
)
def test_a_call_waits_for_90_seconds_that_are_known_or_as_its_queue_clock_allows(
    model: str, queue: float | None, seconds: float, told: str | None
) -> None:
    one = attempt()
    one.request.timeout = Timeout(queue=queue)
    clock = Clock()
    call = QueuedCall(clock, model, one, fail_fast=False)
    refusal = call.refusal(Wait(clock.at + seconds, "requests a minute"), clock.at)

    assert (refusal is None) is (told is None)
    if told is not None:
        with pytest.raises(RateLimitError, match=told):
            raise refusal or AssertionError


@pytest.mark.parametrize(
    ("why", "kind"),
    [
        ("requests a minute", "requests"),
        ("tokens a minute", "tokens"),
        ("failures in 30 s", "failures"),
        ("paused by a 429", "unknown"),
    ],
)
def test_the_error_of_a_call_that_is_not_sent_has_the_limit_that_holds_it_as_its_kind(why: str, kind: str) -> None:
    clock = Clock()
    refusal = QueuedCall(clock, "m", attempt(), fail_fast=False).refusal(Wait(clock.at + 100, why), clock.at)

    assert isinstance(refusal, RateLimitError)
    assert refusal.kind == kind


@pytest.mark.parametrize(("failure", "retries"), [(None, 0.1), (APIError("no"), 0.0)], ids=["first attempt", "retry"])
def test_of_the_attempts_that_fail_only_the_first_of_a_call_earns_a_tenth_of_a_retry(
    failure: APIError | None, retries: float
) -> None:
    limiter = limiter_of()
    granted: Any = drive(limiter.enter(attempt()._replace(failure=failure)))
    granted.replied(APIError("no"))
    granted.done(None, None)

    assert bucket_of(limiter).account.retries.left == pytest.approx(retries)


def test_a_call_of_a_block_that_fails_earns_a_tenth_of_a_retry_like_the_others() -> None:
    limiter = limiter_of()
    warm(limiter)
    granted = limiter.at_once(attempt().request, None)
    assert granted is not None
    granted.replied(APIError("no"))
    granted.done(None, None)

    assert bucket_of(limiter).account.retries.left == pytest.approx(1.1)


def test_while_no_limit_of_tokens_is_known_a_request_counts_as_one() -> None:
    assert bucket_of(limiter_of()).tokens(attempt(b"x" * 4000).request) == 1


async def test_a_call_that_came_before_a_limit_of_tokens_was_known_reserves_by_it_when_its_turn_comes() -> None:
    limiter = limiter_of(SystemClock())
    unanswered = [await limiter.enter(attempt(queue=5.0)) for _ in range(20)]
    waiting = asyncio.create_task(limiter.enter(attempt(b"x" * 400, queue=5.0)))
    await asyncio.sleep(0.01)
    unanswered[0].replied(meta(tokens=900))
    granted: Any = await waiting

    assert granted._flight.tokens == 357
    for each in [*unanswered, granted]:
        each.done(None, None)
    assert all_over(bucket_of(limiter).account)


async def test_a_longer_wait_ends_only_the_waiting_calls_that_cannot_wait_that_long() -> None:
    limiter = limiter_of(SystemClock())
    unanswered = [await limiter.enter(attempt(queue=5.0)) for _ in range(20)]
    calls = [asyncio.create_task(limiter.enter(attempt(queue=queue))) for queue in (60.0, 5.0, 60.0)]
    await asyncio.sleep(0.01)
    assert bucket_of(limiter).account.waiting == 3
    unanswered[0].replied(RateLimitError("no", status_code=429, meta=meta(429), retry_after_seconds=30.0))
    done, _ = await asyncio.wait(calls, timeout=0.5)

    assert done == {calls[1]}
    with pytest.raises(RateLimitError, match="paused by a 429"):
        await calls[1]
    limiter.close()
    await asyncio.gather(*calls, return_exceptions=True)
    for granted in unanswered:
        granted.done(None, None)
    assert all_over(bucket_of(limiter).account)
