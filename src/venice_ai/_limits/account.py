"""An account: what all clients of a process share that use one API key at one base URL, with a bucket for each model.

Everything is decided under the account's lock, for microseconds, and nobody waits for it: what ends an attempt may run in a
finalizer or a signal handler of the thread that holds it. So what happens is written down, and whoever has the lock does it
(`Account.act`). While every limit is far and nothing has failed, calls take requests of a block that was reserved in one step.
Good replies are only tallied, and counted before anything is decided; of those that came together, only the last one is read.
"""

from __future__ import annotations

import logging
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from math import inf
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from .._core.ports import Pass
from .._core.request import Request
from .._core.shared_file import is_busy
from ..exceptions import APIConnectionError, APIError, VeniceError
from ..types.limits import LimitsSnapshot, ModelLimits
from ..types.rate_limits import RateLimits, rate_limits
from .failure_budget import FailureBudget, Refusals, RetryBudget, Wait
from .rate_limiter import Flight, RateLimiter
from .waiter import QueuedCall

if TYPE_CHECKING:
    from ..types.api.chat import ChatUsage
    from ..types.response_meta import ResponseMeta
    from .rate_share import RateShare

T = TypeVar("T")
BLOCK_SECONDS = 0.25  # how long a block may be used: as exactly as the rules know when a request was sent
MIN_BLOCK, MAX_BLOCK = 4, 256
POLL_SECONDS = 0.05  # how often to ask again for what another process has in flight
LOOK_AGAIN_SECONDS = 0.01  # how long to leave the file of a share to the process that has it,
MOST_LOOKS = 3_000  # and how often: for half a minute
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
        self.unchecked: list[QueuedCall] = []  # calls that may not want to wait that long
        self.told = False  # whether the log has a line about this queue, since it was empty last
        self.block = _NO_BLOCK
        self.unheard = False  # whether no reply was read since the block was reserved
        self.open = 0  # requests of this process that have not ended, also those of the block that nobody has taken
        # The tally. It keeps no reply but the last: with hundreds of them no call finds its memory in the processor's cache.
        self.good: list[int] = []  # of good replies, the tokens reserved; of what has ended, these and those used
        self.ended: list[tuple[int, int]] = []
        self.newest: tuple[float, Flight, ResponseMeta]  # of the good replies, and when it came
        self.used: tuple[float, int] | None = None  # what the last one used, beside what its body's bytes stand for
        self._learnt = 0
        self._more_tokens, self._deviation = 256.0, 0.0  # beside those of a body's bytes: the average, and that of what differs

    def tokens(self, request: Request) -> int:
        """How many tokens a request is likely to use, by what earlier ones have used; 1 while nobody is known to count them."""
        if request.chat is None or self.rate.tokens.limit is None:
            return 1
        return max(int(_tokens_of_bytes(request) + self._more_tokens + DEVIATIONS * self._deviation), 0) + 1

    def _learn(self, of_bytes: float, total: int) -> None:
        self._learnt += 1
        weight = max(1 / self._learnt, LEARNING)
        self._more_tokens += weight * (total - of_bytes - self._more_tokens)
        self._deviation += weight * (abs(total - of_bytes - self._more_tokens) - self._deviation)

    def arrive(self, call: QueuedCall, now: float) -> None:
        """A call wants to be sent."""
        account, request = self.account, call.attempt.request
        account.end_blocks()  # of other models, too: what nobody took would count as in flight
        if refusal := account.refusals.last(hash(request.body), now):
            self.end(call, refusal)
            return
        call.tokens = self.tokens(request)
        insort(self.queue, call, key=lambda each: each.attempt.began)
        self.unchecked.append(call)
        account.waiting += 1

    def pump(self, now: float) -> None:
        """Lets those pass who may, in the order in which their calls began; sends away who does not want to wait that long."""
        while self.queue:
            first = self.queue[0]
            if wait := self._wait(first.tokens, now):
                break
            self.end(first, self._reserve(first, now))
        else:
            self.unchecked.clear()
            return
        if wait != self.wait:
            self.wait, self.unchecked = wait, [*self.queue]
        for call in self.unchecked:
            if call.result is None and (error := call.refusal(wait, now)):
                self.end(call, error)
        self.unchecked.clear()
        if self.queue and self.queue[0].watched != wait:
            self.queue[0].watched = wait
            self.queue[0].wake()

    def _wait(self, tokens: int, now: float) -> Wait | None:
        """How long the first of the queue waits; None: it may be sent."""
        share = self.account.share
        while (wait := self.rate.wait(now, tokens) or self.account.failures.wait(now)) and share is not None:
            if not share._bury():  # noqa: SLF001  # of the same room
                return Wait(now + POLL_SECONDS, wait.why) if wait.until is None else wait
        return wait

    def _reserve(self, call: QueuedCall, now: float) -> Ticket:
        """Reserves a request that may be sent now, and a block of others if all limits are far."""
        account, request, tokens = self.account, call.attempt.request, call.tokens
        count, largest = 1, inf
        if account.waiting == 1 and not account.refusals.bodies:
            count = int(min(self.rate.spare(now, 2 * tokens), account.failures.spare(now) / 4, MAX_BLOCK))
        if count < MIN_BLOCK:
            count = 1
        elif self.rate.tokens.limit is not None:
            largest, tokens = 2 * len(request.body or b""), 2 * tokens
        flight = self.rate.reserve(now, tokens, count)
        account.failures.flying += count
        self.open += count
        self.block = Block(flight, iter(range(1, count)), now + BLOCK_SECONDS, largest) if count > 1 else _NO_BLOCK
        self.unheard = True
        return Ticket(self, request, flight, first=call.attempt.failure is None)

    def answered(self, count: int = 1) -> None:
        """So many requests have a reply, or will have none. Each has one such moment."""
        self.account.failures.flying -= count
        self.rate.requests.flying -= count

    def settle(self, now: float) -> None:
        """Counts what was tallied. What was not read of these replies may have said that less remains."""
        account, rate = self.account, self.rate
        if count := len(self.good):
            unread = self.good[: count - 1]
            del self.good[:count]  # others may add to it meanwhile
            at, flight, meta = self.newest
            self.answered(count)
            account.failures.successes.add(at, count)
            account.retries.called(count)
            rate.successes.add(at, count - 1)
            rate.requests.lowest -= count - 1
            rate.tokens.lowest -= sum(unread)
            limits = rate_limits(meta.headers, meta.received_at)
            account.failures.hear(at, limits)
            rate.replied(flight, at, meta.status_code, limits, None)
            self.unheard = False
            if rate.spare(at, flight.tokens) < 1:
                self.end_block()
        if count := len(self.ended):
            held, used = zip(*self.ended[:count], strict=True)
            del self.ended[:count]
            self.open -= count
            rate.settled(now, sum(held), sum(used), count)
            if self.used is not None:
                self._learn(*self.used)
                self.used = None

    def stir(self) -> None:
        """Has what was tallied counted at once if that may change what others do."""
        account = self.account
        if account.waiting or self.unheard or self.block is _NO_BLOCK or (account.share is not None and self._is_idle):
            account.act(self, self.rest)

    @property
    def _is_idle(self) -> bool:
        """Whether all requests of this process have ended."""
        return self.open - length_hint(self.block.seats) == len(self.ended)

    def rest(self, _: float) -> None:
        """Gives back what other processes may need, if this one has nothing under way."""
        if self.account.share is not None and self._is_idle:
            self.end_block()

    def end_block(self) -> None:
        """Gives back what nobody took of the block."""
        block, self.block = self.block, _NO_BLOCK
        if left := len(list(block.seats)):
            self.answered(left)
            self.rate.cancelled(block.flight, left)
            self.open -= left

    def end(self, call: QueuedCall, result: Ticket | VeniceError) -> None:
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
        self.waiting = 0  # calls in queues
        self._acts: deque[tuple[Bucket | None, Callable[[float], object], float]] = deque()
        self._looks = 0  # how often in a row another process had the file of the share
        self._looks_again = False

    def bucket(self, model: str) -> Bucket:
        """The bucket of a model, whatever its feature suffixes."""
        name = model.partition(":")[0]
        return self.buckets.get(name) or self.buckets.setdefault(name, Bucket(name, self))

    def act(self, bucket: Bucket | None, act: Callable[[float], object]) -> None:
        """Has something done about a bucket, or all: now, or by whoever has the lock next. It neither waits nor raises."""
        self._acts.append((bucket, act, self.now()))
        self._catch_up()

    def _catch_up(self, *, again: bool = False) -> None:
        """Does what was written down, unless somebody else has the lock, and will see to it."""
        if again:
            self._looks_again = False
        while self._acts and not self._looks_again and self.lock.acquire(blocking=False):
            try:
                self._step([*self._acts])
            finally:
                self.lock.release()

    def _step(self, acts: list[tuple[Bucket | None, Callable[[float], object], float]]) -> None:
        """Does what was written down, and lets pass who may, with rules that are up to date."""
        about = {bucket for bucket, _, _ in acts}
        buckets = [each for each in [*self.buckets.values()] if each.queue or each.open or not about.isdisjoint((each, None))]
        rules: dict[str, FailureBudget | RateLimiter] = {f"rate {self.name} {each.model}": each.rate for each in buckets}
        rules[f"failures {self.name}"] = self.failures
        try:
            with nullcontext() if self.share is None else self.share._current(rules):  # noqa: SLF001  # of the same room
                self._work(buckets, len(acts))
            self._looks = 0
        except VeniceError as error:
            self._looks += 1
            self._looks_again = is_busy(error) and self._looks < MOST_LOOKS
            if self._looks_again:  # by a timer, for it may be that nobody else comes
                timer = threading.Timer(LOOK_AGAIN_SECONDS, self._catch_up, kwargs={"again": True})
                timer.daemon = True
                timer.start()
            else:
                logger.error("%s. Until it can, this process keeps to the limits alone.", error)  # noqa: TRY400  # told, not traced
                self._work(buckets, min(len(acts), len(self._acts)))

    def _work(self, buckets: list[Bucket], acts: int) -> None:
        now = self.now()
        for each in buckets:
            each.settle(now)
        for _ in range(acts):
            _, act, at = self._acts.popleft()
            act(at)
        for each in sorted((each for each in buckets if each.queue), key=lambda each: each.queue[0].attempt.began):
            each.pump(now)

    def look(self, look: Callable[[], T]) -> T:
        """What something gives under the lock."""
        try:
            with self.lock:
                return look()
        finally:
            self._catch_up()  # what others have written down meanwhile

    def snapshot(self) -> LimitsSnapshot:
        """What is known of all buckets; only by this process, while another one has the file of the share."""
        self.act(None, lambda _: self.end_blocks())
        now, buckets = self.now(), [*self.buckets.values()]
        return self.look(lambda: LimitsSnapshot(self.failures.failed(now), tuple(each.snapshot(now) for each in buckets)))

    def end_blocks(self) -> None:
        for each in [*self.buckets.values()]:
            each.end_block()


class Ticket(Pass):
    """The pass of one attempt."""

    _answered = False  # whether it has a reply, or will have none
    _refused = False  # whether it used no tokens
    _over = False  # whether it was given back

    def __init__(self, bucket: Bucket, request: Request, flight: Flight, *, first: bool = True) -> None:
        self._bucket = bucket
        self._request = request
        self._flight = flight
        self._first = first  # whether its call begins with it

    def replied(self, found: ResponseMeta | BaseException) -> None:
        bucket, answered = self._bucket, self._answered
        self._answered = True
        if not isinstance(found, BaseException):
            bucket.newest = bucket.account.now(), self._flight, found
            bucket.good.append(self._flight.tokens)
            bucket.stir()
            return
        if isinstance(found, APIError):
            self._over = getattr(found, "unsent", False)
            self._refused = (found.counts_as or 0) >= 400
            if found.counts_as == 429:
                under_way = bucket.rate.open - length_hint(bucket.block.seats) - len(bucket.ended)
                self.held, self.free = True, under_way > 1 and bucket.rate.alone_at != self._flight.sent
        bucket.account.act(bucket, partial(self._failed, found, answered))

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        if self._over:
            return
        if not self._answered:
            self.replied(GeneratorExit())  # the caller left before
        held, used, request = self._flight.tokens, _tokens_of(usage), self._request
        if used and request.chat is not None:
            self._bucket.used = _tokens_of_bytes(request), used
        self._bucket.ended.append((held, 0 if self._refused else used or held))
        self._bucket.stir()

    def cancel(self) -> None:
        """Gives it back unused, under the lock."""
        if not self._over:
            self._over = True
            self._bucket.answered()
            self._give_back()

    def _give_back(self) -> None:
        self._bucket.rate.cancelled(self._flight)
        self._bucket.open -= 1

    def _failed(self, error: BaseException, answered: bool, now: float) -> None:
        bucket, account = self._bucket, self._bucket.account
        account.end_blocks()
        if not answered:
            bucket.answered()
        if not isinstance(error, APIError):  # the caller left
            return
        if self._first:
            account.retries.called()
        limits = RateLimits() if error.meta is None else rate_limits(error.meta.headers, error.meta.received_at)
        status = error.counts_as or (0 if isinstance(error, APIConnectionError) else 200)
        if self._over:
            status = 0
            self._give_back()
        account.failures.hear(now, limits)
        if status:  # else the server knows of no failure
            account.failures.failures.add(now)
        overload = getattr(error, "kind", None) in {"overloaded", "concurrency"}
        bucket.rate.replied(self._flight, now, status, limits, error.retry_after_seconds, overload=overload)
        account.refusals.add(hash(self._request.body), now, error)


def _tokens_of(usage: ChatUsage | None) -> int:
    """How many tokens an answer used; 0 if it does not say so in a whole number."""
    total = getattr(usage, "total_tokens", None)
    return total if isinstance(total, int) else 0


def _tokens_of_bytes(request: Request) -> float:
    return len(request.body or b"") * TOKENS_PER_BYTE
