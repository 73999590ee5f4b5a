"""An account: what all clients of a process share that use one API key at one base URL, with a bucket for each model.

Everything here happens under the account's lock, for microseconds. What ends an attempt never waits for the lock, because it
may run in a finalizer or a signal handler of the thread that holds it: whoever has the lock next does it (`Account.act`). While
every limit is far and nothing has failed, calls take requests of a block that was reserved in one step, without lock and rules,
and their good replies are only tallied. The rules count the tally before they decide anything, so they see exact numbers.
"""

from __future__ import annotations

import copy
import logging
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from math import inf
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from .._core.ports import Attempt, Clock, Pass
from .._core.request import Request
from .._core.shared_file import is_busy
from ..exceptions import APIConnectionError, APIError, VeniceError
from ..types.rate_limits import RateLimits, rate_limits
from .failure_budget import NEVER_VALID, FailureBudget, Refusals, RetryBudget, Wait
from .rate_limiter import Flight, RateLimiter
from .snapshot import LimitsSnapshot, ModelLimits
from .waiter import QueuedCall

if TYPE_CHECKING:
    from ..types.api.chat import ChatUsage
    from ..types.response_meta import ResponseMeta
    from .rate_share import RateShare

T = TypeVar("T")
BLOCK_SECONDS = 0.25  # how long a block may be used: as exactly as the rules know when a request was sent
MIN_BLOCK, MAX_BLOCK = 4, 256
POLL_SECONDS = 0.05  # how often to ask again for what another process has in flight
BUSY_SECONDS = 30.0  # for how long a call asks again while other processes have the file of a share
LOOK_AGAIN_SECONDS = 0.002
TOKENS_PER_BYTE = 0.25
LEARNING = 0.1
DEVIATIONS = 3  # so much above the average is reserved for an answer, or the last ones before a limit pass it together
logger = logging.getLogger("venice_ai")


class Block(NamedTuple):
    """Requests that were reserved for calls to come."""

    flight: Flight
    seats: Iterator[int]  # one for each that nobody has taken; `next` is atomic, and so is `list`, which takes all
    until: float
    largest: float  # the size of the largest body, of a request for one answer, that the reserved tokens are enough for


_NO_WAIT = Wait(None, "")
_NO_BLOCK = Block(Flight(0, 0, 0, 0), iter(range(0)), -inf, 0)


class Bucket:
    """The limits of one model, and the queue in front of them."""

    def __init__(self, model: str, account: Account) -> None:
        self.model = model
        self.account = account
        self.rate = RateLimiter()
        self.queue: list[QueuedCall] = []
        self.wait = _NO_WAIT  # of the first of the queue
        self.told = False  # whether the log has a line about this queue, since it was empty last
        self.block = _NO_BLOCK
        self.open = 0  # requests of this process that have not ended, also those of the block that nobody has taken
        self.good: list[float] = []  # the tally: when good replies came,
        self.ended: list[tuple[int, int]] = []  # and for each request that has ended, the tokens that it had reserved and used
        self._learnt = 0
        self._more_tokens, self._output_tokens = 0.0, 256.0  # of a prompt beside those of its bytes; and of an answer
        self._deviation = 0.0  # of answers, from their average

    @property
    def is_idle(self) -> bool:
        """Whether all requests of this process have ended."""
        return self.open - length_hint(self.block.seats) == len(self.ended)

    def tokens(self, request: Request) -> int:
        """How many tokens a request is likely to use, by what earlier ones have used; 1 while nobody is known to count them."""
        chat = request.chat
        if chat is None or self.rate.tokens.limit is None:
            return 1
        output = min(self._output_tokens + DEVIATIONS * self._deviation, chat.max_output_tokens or inf)
        return max(int(len(request.body or b"") * TOKENS_PER_BYTE + self._more_tokens + output * chat.choices), 0) + 1

    def learn(self, request: Request, usage: ChatUsage | None) -> None:
        """Learns from an answer how many tokens requests use."""
        prompt: object = getattr(usage, "prompt_tokens", None)
        output: object = getattr(usage, "completion_tokens", None)
        if request.chat is not None and isinstance(prompt, int) and isinstance(output, int):
            self._learnt += 1
            weight = max(1 / self._learnt, LEARNING)
            self._more_tokens += weight * (prompt - len(request.body or b"") * TOKENS_PER_BYTE - self._more_tokens)
            answer = output / request.chat.choices
            self._output_tokens += weight * (answer - self._output_tokens)
            self._deviation += weight * (abs(answer - self._output_tokens) - self._deviation)

    def reserve(self, request: Request, tokens: int, now: float) -> Ticket:
        """Reserves a request that may be sent now, and a block of others if all limits are far."""
        count, largest = 1, inf
        if not (self.queue or self.account.refusals.bodies):
            count = int(min(self.rate.spare(now, 2 * tokens), self.account.failures.spare(now) / 4, MAX_BLOCK))
        if count < MIN_BLOCK:
            count = 1
        elif self.rate.tokens.limit is not None:
            largest, tokens = 2 * len(request.body or b""), 2 * tokens
        flight = self.rate.reserve(now, tokens, count)
        self.account.failures.flying += count
        self.open += count
        self.block = Block(flight, iter(range(1, count)), now + BLOCK_SECONDS, largest)
        return Ticket(self, request, flight)

    def answered(self, count: int = 1) -> None:
        """So many requests have a reply, or will have none. Each has one such moment."""
        self.account.failures.flying -= count
        self.rate.requests.flying -= count

    def settle(self, now: float) -> None:
        """Counts what was tallied. What these replies said of remaining units was not read, so less may remain."""
        if count := len(self.good):
            at = self.good[0]
            del self.good[:count]  # others may add to it meanwhile
            self.answered(count)
            self.rate.requests.lowest -= count
            self.account.failures.successes.add(at, count)
            self.account.retries.called(count)
            self.rate.successes.add(at, count)
        if count := len(self.ended):
            held, used = map(sum, zip(*self.ended[:count], strict=True))
            del self.ended[:count]
            self.open -= count
            self.rate.tokens.lowest -= held
            self.rate.settled(now, held, used, count)

    def end_block(self, _: float = 0.0) -> None:
        """Gives back what nobody took of the block."""
        block, self.block = self.block, _NO_BLOCK
        if left := len(list(block.seats)):
            self.answered(left)
            self.rate.cancelled(block.flight, left)
            self.open -= left

    def rest(self, _: float) -> None:
        """Gives back what other processes may need, if this one has nothing under way."""
        if self.account.share is not None and self.is_idle:
            self.end_block()

    def end(self, call: QueuedCall, result: Ticket | APIError) -> None:
        """A call waits no more."""
        self.leave(call)
        call.result = result
        if not call.wake():  # its event loop was closed
            self.leave(call)

    def leave(self, call: QueuedCall, _: float = 0.0) -> None:
        """Takes a call out of the queue; if it had its turn, and its caller left, that is the next one's."""
        if call in self.queue:
            self.queue.remove(call)
            self.account.waiting -= 1
            self.told = self.told and bool(self.queue)
        if isinstance(call.result, Ticket):
            call.result.cancel()

    def snapshot(self, now: float) -> ModelLimits:
        circuit = "open" if self.rate.is_circuit_open else "closed"
        wait, since = (self.wait, now - self.queue[0].since) if self.queue else (_NO_WAIT, None)
        until = None if wait.until is None else max(wait.until - now, 0.0)
        return ModelLimits(self.model, self.rate.snapshot(now), circuit, len(self.queue), wait.why, since, until)


class Account:
    """What all clients of this process share that use one API key at one base URL."""

    def __init__(self, now: Callable[[], float], share: RateShare | None, name: str, server: object = None) -> None:
        self.now = now
        self.share = share
        self.name = name  # in the file of a share
        self.server = server  # kept alive, for its id stands for it
        self.lock = threading.Lock()
        self.failures = FailureBudget()
        self.refusals = Refusals()
        self.retries = RetryBudget()
        self.buckets: dict[str, Bucket] = {}
        self.waiting = 0
        self._acts: deque[tuple[Callable[[float], object], float]] = deque()
        self._looks_again = False

    def bucket(self, model: str) -> Bucket:
        """The bucket of a model, whatever its feature suffixes."""
        name = model.partition(":")[0]
        return self.buckets.get(name) or self.buckets.setdefault(name, Bucket(name, self))

    def act(self, act: Callable[[float], object]) -> None:
        """Has something done under the lock: now, or by whoever has the lock next. It neither waits nor raises."""
        self._acts.append((act, self.now()))
        self._catch_up()

    def _catch_up(self, *, again: bool = False) -> None:
        """Does what was written down, unless somebody else has the lock, and will see to it."""
        if again:
            self._looks_again = False
        while self._acts and not self._looks_again and self.lock.acquire(blocking=False):
            try:
                self._do(None, None)
            except VeniceError as error:
                if is_busy(error):  # it may be that nobody else comes
                    self._looks_again = True
                    timer = threading.Timer(POLL_SECONDS, self._catch_up, kwargs={"again": True})
                    timer.daemon = True
                    timer.start()
                else:
                    self._acts.clear()
                    logger.error("%s. What a reply said of limits is lost.", error)  # noqa: TRY400  # it is told, not traced
            finally:
                self.lock.release()

    def ask(self, bucket: Bucket | None, ask: Callable[[float], T]) -> T:
        """What something gives under the lock, also an error; a VeniceError if the file of the share cannot be used."""
        try:
            with self.lock:
                return cast("T", self._do(bucket, ask))
        finally:
            self._catch_up()

    async def asked(self, bucket: Bucket, ask: Callable[[float], T], clock: Clock) -> T:
        """What `ask` gives, once no other process has the file of the share."""
        until = self.now() + BUSY_SECONDS
        while True:
            try:
                return self.ask(bucket, ask)
            except VeniceError as error:
                if not is_busy(error) or self.now() > until:
                    raise
            await clock.sleep(LOOK_AGAIN_SECONDS)

    def _do(self, bucket: Bucket | None, work: Callable[[float], T] | None) -> T | None:
        """Does what was written down, lets pass who may, and does some work about a bucket or all, with rules up to date."""
        everything = work is not None and bucket is None
        buckets = self.buckets.values()  # what is written down is about attempts under way
        concerned = [each for each in buckets if everything or each is bucket or each.queue or each.open]
        with nullcontext() if self.share is None else self.share._current(self._rules(concerned)):  # noqa: SLF001  # of the same room
            now = self.now()
            for each in concerned:
                each.settle(now)
            while self._acts:
                act, at = self._acts.popleft()
                act(at)
            for each in concerned if work is not None else ():
                each.end_block()
            if self.waiting:
                self.pump(now)
            return None if work is None else work(now)

    def _rules(self, buckets: list[Bucket]) -> dict[str, FailureBudget | RateLimiter]:
        return {f"failures {self.name}": self.failures, **{f"rate {self.name} {each.model}": each.rate for each in buckets}}

    def enter(
        self, bucket: Bucket, attempt: Attempt, clock: Clock, fail_fast: bool, now: float
    ) -> Ticket | QueuedCall | APIError:
        """A pass, or a place in the queue; or an error if what it would have to wait for takes too long, or an old refusal."""
        request, queue = attempt.request, bucket.queue
        if self.refusals.bodies and (refusal := self.refusals.last(hash(request.body), now)):
            again = cast("APIError", copy.copy(refusal))
            again.replayed = True
            return again
        if attempt.failure is None:
            self.retries.called()
        tokens = bucket.tokens(request)
        wait = bucket.wait if queue and queue[0].attempt.began <= attempt.began else self._wait(bucket, tokens, now)
        if wait is None:
            return bucket.reserve(request, tokens, now)
        call = QueuedCall(clock, bucket.model, attempt, tokens, fail_fast=fail_fast)
        if error := call.refusal(wait, now):
            return error
        insort(queue, call, key=lambda each: each.attempt.began)
        self.waiting += 1
        return call

    def _wait(self, bucket: Bucket, tokens: int, now: float) -> Wait | None:
        """How long the first of the queue waits; None: it may be sent."""
        while (wait := bucket.rate.wait(now, tokens) or self.failures.wait(now)) and self.share is not None:
            if not self.share._bury():  # noqa: SLF001  # of the same room
                return Wait(now + POLL_SECONDS, wait.why) if wait.until is None else wait
        return wait

    def pump(self, now: float) -> None:
        """Lets those pass who may, in the order in which their calls began."""
        queued = [each for each in self.buckets.values() if each.queue]
        for bucket in sorted(queued, key=lambda each: each.queue[0].attempt.began):
            while bucket.queue:
                first = bucket.queue[0]
                if wait := self._wait(bucket, first.tokens, now):
                    self._hold(bucket, wait, now)
                    break
                bucket.end(first, bucket.reserve(first.attempt.request, first.tokens, now))

    def _hold(self, bucket: Bucket, wait: Wait, now: float) -> None:
        """Notes what a queue waits for, and sends away those who do not want to wait that long."""
        if wait != bucket.wait:
            bucket.wait = wait
            for call, error in [(each, each.refusal(wait, now)) for each in bucket.queue]:
                if error is not None:
                    bucket.end(call, error)
        if bucket.queue and bucket.queue[0].watched != wait:
            bucket.queue[0].watched = wait
            bucket.queue[0].wake()

    def snapshot(self, now: float) -> LimitsSnapshot:
        return LimitsSnapshot(self.failures.failed(now), tuple(each.snapshot(now) for each in self.buckets.values()))


class Ticket(Pass):
    """The pass of one attempt. Without `exact`, it is of a block, and a good reply is only tallied."""

    def __init__(self, bucket: Bucket, request: Request, flight: Flight, *, exact: bool = True) -> None:
        self._bucket = bucket
        self._request = request
        self._flight = flight
        self._exact = exact
        self._status = 0  # of the reply; 0 before it came, 1 if it will not come, -1 if nothing was sent

    def replied(self, found: ResponseMeta | BaseException) -> None:
        bucket = self._bucket
        account = bucket.account
        if isinstance(found, BaseException):
            if isinstance(found, APIError) and found.counts_as == 429:
                under_way = bucket.rate.open - length_hint(bucket.block.seats) - len(bucket.ended)
                self.held, self.free = True, under_way > 1 and bucket.rate.alone_at != self._flight.sent
            self._exact = True
            account.act(partial(self._failed, found))
        elif self._exact:
            account.act(partial(self._heard, found, found.status_code))
        else:
            self._status = 200
            bucket.good.append(account.now())
            if account.waiting:
                account.act(bucket.rest)

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        bucket, tokens = self._bucket, self._flight.tokens
        account = bucket.account
        if self._exact or not self._status:
            account.act(partial(self._done, usage))
            return
        bucket.ended.append((tokens, (_tokens_in(usage) or tokens) if tokens > 1 else 0))  # 1: nobody counts them
        if account.waiting or (account.share is not None and bucket.is_idle):
            account.act(bucket.rest)

    def cancel(self) -> None:
        """Gives it back unused."""
        self._answered(-1)
        self._bucket.rate.cancelled(self._flight)
        self._bucket.open -= 1

    def _answered(self, status: int) -> None:
        """The request has a reply, or will have none."""
        if not self._status:
            self._bucket.answered()
        self._status = status

    def _heard(self, meta: ResponseMeta | None, status: int, now: float, error: APIError | None = None) -> None:
        """Takes in a reply with its headers: a good one, or an error that stands for this status."""
        bucket, failures = self._bucket, self._bucket.account.failures
        limits = RateLimits() if meta is None else rate_limits(meta.headers, meta.received_at)
        failures.hear(now, limits)
        (failures.successes if error is None else failures.failures).add(now)
        self._answered(status or 1)
        overload = getattr(error, "kind", None) in {"overloaded", "concurrency"}
        wait = None if error is None else error.retry_after_seconds
        bucket.rate.replied(self._flight, now, status, limits, wait, overload=overload)
        if bucket.rate.spare(now, self._flight.tokens) < 1:
            bucket.end_block()

    def _failed(self, error: BaseException, now: float) -> None:
        account = self._bucket.account
        for each in account.buckets.values():
            each.end_block()
        if not isinstance(error, APIError):  # the caller left
            self._answered(self._status or 1)
        elif getattr(error, "unsent", False):
            self._bucket.rate.replied(self._flight, now, 0, RateLimits(), None)
            self.cancel()
        else:
            status = error.counts_as or (0 if isinstance(error, APIConnectionError) else 200)
            self._heard(error.meta, status, now, error)
            if error.status_code in NEVER_VALID:
                account.refusals.add(hash(self._request.body), now, copy.copy(error))  # which has no traceback

    def _done(self, usage: ChatUsage | None, now: float) -> None:
        bucket, flight = self._bucket, self._flight
        self._answered(self._status or 1)
        if self._status > 0:
            bucket.rate.settled(now, flight.tokens, (_tokens_in(usage) or flight.tokens) if self._status < 400 else 0)
            bucket.learn(self._request, usage)
            bucket.open -= 1
        bucket.rest(now)


def _tokens_in(usage: ChatUsage | None) -> int | None:
    """How many tokens an answer used, if it says so in a whole number."""
    total = getattr(usage, "total_tokens", None)
    return total if isinstance(total, int) else None
