"""An account: what all clients of a process share that use one API key at one base URL, with a bucket for each model.

Everything here happens under the account's lock, which is held for microseconds, and nothing waits. What ends an attempt never
waits for the lock either, because it may run in a finalizer or a signal handler of a thread that holds it: it is written down,
and done by whoever has the lock (`Account.act`).

While every limit is far and nothing has failed, a bucket reserves a **block**: the requests of the next moment, in one step.
Calls take them without the lock and without asking the rules, and their good replies are only tallied. Whatever else happens
first counts what was tallied (`Bucket.settle`) and gives back what nobody took (`Bucket.end_block`), so that the rules, which
decide near a limit, see exact numbers. A `RateShare` keeps them in a file, which is then read and written once a block.
"""

from __future__ import annotations

import copy
import logging
import threading
from bisect import insort
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from .._core.ports import Attempt, Clock, Pass
from .._core.request import Request
from ..exceptions import APIConnectionError, APIError, VeniceError
from ..types.rate_limits import RateLimits, rate_limits
from .circuit_breaker import CircuitBreaker
from .failure_budget import NEVER_VALID, FailureBudget, Refusals, Wait
from .rate_limiter import Flight, RateLimiter
from .retry_budget import RetryBudget
from .snapshot import LimitsSnapshot, ModelLimits
from .waiter import Waiter

if TYPE_CHECKING:
    from ..types.api.chat import ChatUsage
    from ..types.response_meta import ResponseMeta
    from .rate_share import RateShare

T = TypeVar("T")
LONGEST_WAIT_SECONDS = 90.0
"""A single wait that is known to be longer, as until tomorrow, is not waited unless `Timeout(queue=...)` allows it."""
BLOCK_SECONDS = 0.25
"""How long a block may be used: as exactly as the rules know when a request was sent."""
MIN_BLOCK, MAX_BLOCK = 4, 256
POLL_SECONDS = 0.05
"""How often to ask again for what another process has in flight."""
TOKENS_PER_BYTE = 0.25
LEARNING = 0.1
_UNSAID = RateLimits()
logger = logging.getLogger("venice_ai")


class Block(NamedTuple):
    """Requests that were reserved for calls to come."""

    flight: Flight
    seats: list[None]
    """One item for each that nobody has taken; to take one is atomic."""
    until: float
    largest: float
    """The size of the largest body, of a request for one answer, that the reserved tokens are enough for."""

    def take(self) -> bool:
        """Takes one of them; False if all were taken."""
        try:
            self.seats.pop()
        except IndexError:
            return False
        return True


_NO_BLOCK = Block(Flight(0.0, 0, (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)), [], -inf, 0)


class Bucket:
    """The limits of one model, and the queue in front of them."""

    def __init__(self, model: str, account: Account) -> None:
        self.model = model
        self.account = account
        self.rate = RateLimiter()
        self.breaker = CircuitBreaker()
        self.queue: list[QueuedCall] = []
        self.wait = Wait(None, "")
        self.told = False
        """Whether the log has a line about this queue, since it was empty last."""
        self.counts_tokens = False
        """Whether a limit of tokens is known."""
        self.hears = True
        """Whether the next good reply is to be read, because something is not known or near; else it is only tallied."""
        self.block = _NO_BLOCK
        self.reserved = 0
        """The size of the block."""
        self.open = 0
        """Requests of this process that have not ended, without those of the block and the tally."""
        self.good = self.ended = 0
        """The tally: good replies, which came at `good_at` or later; and requests that have ended, with what they had reserved
        and used."""
        self.good_at = self.held = self.used = 0.0
        self.learns = True
        """Whether the next answer is to tell how many tokens requests use."""
        self._learnt = 0
        self._more_tokens, self._output_tokens = 0.0, 256.0
        """Tokens of a prompt beside those of its bytes, such as of the server's own prompt; and of an answer."""

    @property
    def is_idle(self) -> bool:
        """Whether all requests of this process have ended."""
        return self.open + self.reserved - len(self.block.seats) == self.ended

    def tokens(self, request: Request) -> int:
        """How many tokens a request is likely to use, by what earlier ones have used; 1 while nobody is known to count them."""
        chat = request.chat
        if chat is None or not self.counts_tokens:
            return 1
        output, most = self._output_tokens, chat.max_output_tokens
        output = output if most is None or output < most else most
        return max(int(len(request.body or b"") * TOKENS_PER_BYTE + self._more_tokens + output * chat.choices), 0) + 1

    def learn(self, request: Request, usage: ChatUsage | None) -> None:
        """Learns from an answer how many tokens requests use."""
        self.learns = False
        prompt: object = getattr(usage, "prompt_tokens", None)
        output: object = getattr(usage, "completion_tokens", None)
        if request.chat is not None and isinstance(prompt, int) and isinstance(output, int):
            self._learnt += 1
            weight = max(1 / self._learnt, LEARNING)
            self._more_tokens += weight * (prompt - len(request.body or b"") * TOKENS_PER_BYTE - self._more_tokens)
            self._output_tokens += weight * (output / request.chat.choices - self._output_tokens)

    def reserve(self, request: Request, tokens: int, now: float) -> Flight:
        """Reserves a request that may be sent now, and a block of others if all limits are far."""
        failures, count, largest = self.account.failures, 1, inf
        self.counts_tokens = self.rate.tokens.known is not None
        if not self.queue and self.breaker.open_until is None and not self.account.refusals.bodies:
            count = int(min(self.rate.spare(now, 2 * tokens), failures.spare(now) / 4, MAX_BLOCK))
        if count >= MIN_BLOCK and self.counts_tokens:
            largest, tokens = (2 * tokens - self._more_tokens - self._output_tokens) / TOKENS_PER_BYTE, 2 * tokens
        count = count if count >= MIN_BLOCK and largest >= len(request.body or b"") else 1
        self.breaker.sent(now)
        flight = self.rate.reserve(now, tokens, count)
        failures.flying += count
        self.hears = self.learns = True
        self.open += 1
        self.reserved = count - 1
        self.block = Block(flight, [None] * self.reserved, now + BLOCK_SECONDS, largest) if count > 1 else _NO_BLOCK
        return flight

    def settle(self, now: float) -> None:
        """Counts what was tallied."""
        rate, account = self.rate, self.account
        if self.good:
            account.failures.flying -= self.good
            account.failures.successes.add(self.good_at, self.good)
            self.breaker.ended(self.good_at, failed=False, count=self.good)
            rate.answered(self.good)
            self.good = 0
        if self.ended:
            rate.open -= self.ended
            self.open -= self.ended
            rate.tokens.held -= self.held
            if self.used:
                rate.tokens.use(now, self.used)
            self.ended, self.held, self.used = 0, 0.0, 0.0

    def end_block(self, *_: object) -> None:
        """Gives back what nobody took of the block."""
        account = self.account
        if self.reserved:
            left = 0
            while self.block.take():
                left += 1
            account.failures.flying -= left
            self.rate.answered(left)
            self.rate.cancelled(self.block.flight, left)
            account.retries.called(self.reserved - left)
            self.open += self.reserved - left
            self.block, self.reserved = _NO_BLOCK, 0

    def snapshot(self, now: float) -> ModelLimits:
        first = self.queue[0] if self.queue else None
        return ModelLimits(
            model=self.model,
            limits=self.rate.snapshot(now),
            circuit="closed" if self.breaker.open_until is None else "open",
            waiting=len(self.queue),
            why=self.wait.why if first else "",
            waiting_since_seconds=now - first.since if first else None,
            until_seconds=max(self.wait.until - now, 0.0) if first and self.wait.until is not None else None,
        )


class QueuedCall(Waiter):
    """A call in the queue of a bucket."""

    def __init__(self, clock: Clock, bucket: Bucket, attempt: Attempt, tokens: int, *, fail_fast: bool) -> None:
        queue = attempt.request.timeout.queue
        super().__init__(clock, attempt.due, queue)
        self.bucket = bucket
        self.request = attempt.request
        self.tokens = tokens
        self.began, self.failure = attempt.began, attempt.failure
        self._fail_fast = fail_fast
        self._patience = LONGEST_WAIT_SECONDS if queue is None else inf
        self.granted: Ticket | None = None
        self.refusal: Wait | None = None
        """What it would have to wait for, and does not."""
        self.told = False
        self.watched: Wait | None = None
        """What it waits for now, as the first of the queue."""

    def refuses(self, wait: Wait, now: float) -> bool:
        """Whether it is known that it will not be let through in time; `fail_fast` allows no wait for an open circuit."""
        if self._fail_fast and wait.why.startswith("circuit"):
            return True
        return wait.until is not None and (wait.until > self.due or wait.until - now > self._patience)


class Account:
    """What all clients of this process share that use one API key at one base URL."""

    def __init__(self, now: Callable[[], float], server: object, share: RateShare | None, name: str) -> None:
        self.now = now
        self.share = share
        self.name = name
        self._server = server  # kept alive, for its id stands for it
        self.lock = threading.Lock()
        self.failures = FailureBudget()
        self.refusals = Refusals()
        self.retries = RetryBudget()
        self.buckets: dict[str, Bucket] = {}
        self.waiting = 0
        self.written: dict[str, bytes] = {}
        """What this process has last written into the file of its share, by the name of the row."""
        self._acts: deque[tuple[Bucket, Callable[..., object], object, float]] = deque()

    def act(self, bucket: Bucket, act: Callable[[Any, float], object], about: object) -> None:
        """Has something done under the lock: now, or by whoever has the lock now. It neither waits nor raises."""
        self._acts.append((bucket, act, about, self.now()))
        self._catch_up()

    def _catch_up(self) -> None:
        """Does what was written down while the lock was held."""
        while self._acts and self.lock.acquire(blocking=False):
            try:
                while self._acts:
                    self._do(*self._acts.popleft(), ends_blocks=False)
            except VeniceError as error:
                logger.error("%s. What a reply said of limits is lost.", error)  # noqa: TRY400  # it is told, not traced
            finally:
                self.lock.release()

    def ask(self, bucket: Bucket | None, ask: Callable[[Any, float], T], about: Any = None) -> T:
        """What something gives under the lock. An error is to be given, not raised: what has changed counts nevertheless."""
        try:
            with self.lock:
                return self._do(bucket, ask, about, self.now(), ends_blocks=True)
        finally:
            self._catch_up()

    def _do(self, bucket: Bucket | None, work: Callable[[Any, float], T], about: object, now: float, *, ends_blocks: bool) -> T:
        """Does something while the rules are up to date, then lets those pass who may."""
        buckets = self.buckets.values()
        concerned = [each for each in buckets if bucket in (each, None) or each.queue or each.open or each.reserved]
        with nullcontext() if self.share is None else self._current(self.share, concerned):
            for each in concerned:
                each.settle(now)
                if ends_blocks:
                    each.end_block()
            found = work(about, now)
            if self.waiting:
                self.pump(now)
        return found

    def _current(self, share: RateShare, buckets: list[Bucket]) -> AbstractContextManager[None]:
        """In a transaction, these rules as the last process left them."""
        rules: list[tuple[str, RateLimiter | FailureBudget]] = [(f"failures {self.name}", self.failures)]
        rules += [(f"rate {self.name} {each.model}", each.rate) for each in buckets]
        return share._current(rules, self.written)  # noqa: SLF001  # of the same room

    def bucket(self, model: str) -> Bucket:
        """The bucket of a model, whatever its feature suffixes."""
        name = model.partition(":")[0]
        return self.buckets.get(name) or self.buckets.setdefault(name, Bucket(name, self))

    def enter(self, who: tuple[Bucket, Attempt, Clock, bool], now: float) -> Ticket | QueuedCall | APIError:
        """A pass; or a place in the queue, or what it would have to wait for if that is too long; or an old refusal."""
        bucket, attempt, clock, fail_fast = who
        request, queue = attempt.request, bucket.queue
        if self.refusals.bodies and (refusal := self.refusals.last(hash(request.body), now)):
            again = cast("APIError", copy.copy(refusal))
            again.replayed = True
            return again
        if attempt.failure is None:
            self.retries.called()
        tokens = bucket.tokens(request)
        wait = bucket.wait if queue and queue[0].began <= attempt.began else self._wait(bucket, tokens, now)
        if wait is None:
            return Ticket(bucket, request, bucket.reserve(request, tokens, now))
        call = QueuedCall(clock, bucket, attempt, tokens, fail_fast=fail_fast)
        if call.refuses(wait, now):
            call.refusal = wait
            return call
        insort(queue, call, key=lambda each: each.began)
        self.waiting += 1
        bucket.wait = wait
        return call

    def _wait(self, bucket: Bucket, tokens: int, now: float) -> Wait | None:
        """How long the first of the queue waits; None: it may be sent."""
        if wait := bucket.breaker.wait(now):
            return wait
        wait = bucket.rate.wait(now, tokens) or self.failures.wait(now)
        if wait is None or self.share is None:
            return wait
        if self.share._bury():  # noqa: SLF001  # of the same room
            wait = bucket.rate.wait(now, tokens) or self.failures.wait(now)
        return Wait(now + POLL_SECONDS, wait.why) if wait and wait.until is None else wait

    def pump(self, now: float, looking: QueuedCall | None = None) -> None:
        """Lets those pass who may, in the order in which their calls began. Who is `looking` need not be woken."""
        for bucket in sorted((each for each in self.buckets.values() if each.queue), key=lambda each: each.queue[0].began):
            while bucket.queue:
                first = bucket.queue[0]
                if wait := self._wait(bucket, first.tokens, now):
                    self._hold(bucket, wait, now, looking)
                    break
                first.granted = Ticket(bucket, first.request, bucket.reserve(first.request, first.tokens, now))
                self.leave(first)
                if not first.wake():  # its event loop was closed
                    first.granted.cancel(now)

    def _hold(self, bucket: Bucket, wait: Wait, now: float, looking: QueuedCall | None) -> None:
        """Notes what a queue waits for, and sends away those who do not want to wait that long."""
        changed, bucket.wait = wait != bucket.wait, wait
        for call in [each for each in bucket.queue if each.refuses(wait, now)]:
            call.refusal = wait
            self.leave(call)
            call.wake()
        if bucket.queue and bucket.queue[0] is not looking and (changed or bucket.queue[0].watched != wait):
            bucket.queue[0].wake()

    def leave(self, call: QueuedCall) -> None:
        """Takes somebody out of the queue."""
        queue = call.bucket.queue
        if call in queue:
            queue.remove(call)
            self.waiting -= 1
            call.bucket.told = call.bucket.told and bool(queue)

    def give_up(self, call: QueuedCall, now: float) -> None:
        """A caller left, or was refused: its place is the next one's."""
        self.leave(call)
        if call.granted is not None:
            call.granted.cancel(now)

    def snapshot(self, _: object, now: float) -> LimitsSnapshot:
        return LimitsSnapshot(self.failures.failed(now), tuple(each.snapshot(now) for each in self.buckets.values()))


class Ticket(Pass):
    """The pass of one attempt."""

    held = free = False

    def __init__(self, bucket: Bucket, request: Request, flight: Flight) -> None:
        self._bucket = bucket
        self._request = request
        self._flight = flight
        self._status = 0
        """Of the reply; 0 before it came, 1 if it will not come, -1 if nothing was sent."""

    def replied(self, found: ResponseMeta | BaseException) -> None:
        bucket = self._bucket
        account = bucket.account
        if isinstance(found, BaseException):
            account.ask(bucket, self._failed, found)  # what it means is asked for next
        elif bucket.hears or account.waiting or not account.lock.acquire(False):  # noqa: FBT003  # a name costs every call
            account.act(bucket, self._accepted, found)
        else:
            try:
                self._status = 200
                if not bucket.good:
                    bucket.good_at = account.now()
                bucket.good += 1
            finally:
                account.lock.release()

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        bucket = self._bucket
        account = bucket.account
        exact = bucket.learns or self._status <= 0 or account.waiting
        if exact or not account.lock.acquire(False):  # noqa: FBT003  # a name costs every call
            account.act(bucket, self._done, usage)
            return
        try:
            bucket.ended += 1
            tokens = self._flight.tokens
            bucket.held += tokens
            if bucket.counts_tokens and self._status < 400:
                bucket.used += _tokens_in(usage) or tokens
        finally:
            account.lock.release()
        if account.share is not None and bucket.is_idle:
            account.act(bucket, bucket.end_block, None)

    def cancel(self, now: float) -> None:
        """Gives it back unused."""
        self._answered(now, failed=None)
        self._unsent()

    def _unsent(self) -> None:
        bucket = self._bucket
        bucket.rate.cancelled(self._flight)
        bucket.open -= 1
        self._status = -1

    def _answered(self, now: float, *, failed: bool | None) -> None:
        """The request has a reply, or will have none (`failed=None`)."""
        bucket, failures = self._bucket, self._bucket.account.failures
        if not self._status:
            failures.flying -= 1
            bucket.rate.answered()
            self._status = 1
        if failed is not None:
            (failures.failures if failed else failures.successes).add(now)

    def _accepted(self, meta: ResponseMeta, now: float) -> None:
        bucket, failures = self._bucket, self._bucket.account.failures
        limits = rate_limits(meta.headers, meta.received_at)
        self._answered(now, failed=False)
        self._status = meta.status_code
        bucket.breaker.ended(now, failed=False)
        failures.hear(now, limits)
        bucket.rate.replied(self._flight, now, meta.status_code, limits, None)
        bucket.hears = bucket.breaker.open_until is not None or bucket.rate.spare(now, self._flight.tokens) < 1
        if bucket.hears:
            bucket.end_block()

    def _failed(self, error: BaseException, now: float) -> None:
        bucket, account = self._bucket, self._bucket.account
        breaker, rate = bucket.breaker, bucket.rate
        bucket.hears = True
        if not isinstance(error, APIError):  # the caller left
            self._answered(now, failed=None)
            breaker.ended(now, failed=None)
        elif getattr(error, "unsent", False):
            self._answered(now, failed=None)
            breaker.ended(now, failed=True)
            self._unsent()
        else:
            meta, status = error.meta, error.counts_as
            limits = _UNSAID if meta is None else rate_limits(meta.headers, meta.received_at)
            self._answered(now, failed=True)
            self._status = status or 1
            account.failures.hear(now, limits)
            breaker.ended(now, failed=status >= 500 if status else isinstance(error, APIConnectionError))
            if status:
                alone = rate.open == 1 or rate.alone_at == self._flight.sent
                overload = getattr(error, "kind", None) in {"overloaded", "concurrency"}
                rate.replied(self._flight, now, status, limits, error.retry_after_seconds, overload=overload)
                self.held, self.free = status == 429 and rate.paused_until > now, status == 429 and not alone
            if error.status_code in NEVER_VALID:
                account.refusals.add(hash(self._request.body), now, copy.copy(error))  # which has no traceback

    def _done(self, usage: ChatUsage | None, now: float) -> None:
        bucket, flight = self._bucket, self._flight
        if not self._status:
            self._answered(now, failed=None)
            bucket.breaker.ended(now, failed=None)
        if self._status > 0:
            counted = self._status < 400 and bucket.rate.tokens.known is not None
            bucket.rate.settled(flight, now, (_tokens_in(usage) or flight.tokens) if counted else 0)
            bucket.learn(self._request, usage)
            bucket.open -= 1
        if bucket.account.share is not None and bucket.is_idle:
            bucket.end_block()  # other processes may need it


def _tokens_in(usage: ChatUsage | None) -> int | None:
    """How many tokens an answer used, if it says so in a whole number."""
    total = getattr(usage, "total_tokens", None)
    return total if isinstance(total, int) else None
