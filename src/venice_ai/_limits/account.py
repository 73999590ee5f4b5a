"""An account: what all clients of a process share that use one API key at one base URL, with a bucket for each model.

Everything is decided under the account's lock, for microseconds, and nobody waits for it: what ends an attempt may run in a
finalizer or a signal handler of the thread that holds it. So what happens is written down, and whoever has the lock does it
(`Account.act`). While every limit is far and nothing has failed, calls take requests of a block that was reserved in one step.
Good replies are only tallied, and counted before anything is decided; of those that came together, only the last one is read.
"""

from __future__ import annotations

import threading
from bisect import insort
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from math import inf
from operator import length_hint
from typing import TYPE_CHECKING, NamedTuple

from .._core.busy_retry import BUSY_SECONDS, BusyRetry, is_busy
from .._core.ports import Attempt, Clock, Pass
from .._core.request import Request
from .._core.waiter import Waiter, later
from ..exceptions import APIConnectionError, APIError, CircuitOpenError, RateLimitError, VeniceError
from ..types.limits import LimitsSnapshot, ModelLimits
from ..types.rate_limits import RateLimits, rate_limits
from .failure_budget import FailureBudget, Refusals, RetryBudget, Wait
from .rate_limiter import Flight, RateLimiter

if TYPE_CHECKING:
    from ..types.api.chat import ChatUsage
    from ..types.response_meta import ResponseMeta
    from .rate_share import RateShare

MAX_BLOCK, BLOCK_SECONDS = 256, 0.25  # how long a block may be used: as exactly as the rules know when a request was sent
LONGEST_WAIT_SECONDS = 90.0  # one that is known to be longer, as until tomorrow, needs `Timeout(queue=...)`
TOKENS_PER_BYTE, FADING = 0.25, 0.05  # what a smaller call takes away of what is reserved above its own tokens


class Block(NamedTuple):
    """Requests that were reserved for calls to come."""

    flight: Flight
    seats: Iterator[int]  # one for each that nobody has taken; `next` is atomic, and so is `list`, which takes all
    until: float
    largest: float  # the size of the largest body, of a request for one answer, that the reserved tokens are enough for


_NO_WAIT = Wait(None, "")
_NO_BLOCK = Block(Flight(0, 0, 0, 0), iter(range(0)), -inf, 0)


class QueuedCall(Waiter):
    """A call in the queue of a bucket."""

    def __init__(self, clock: Clock, model: str, attempt: Attempt, *, fail_fast: bool) -> None:
        queue = attempt.request.timeout.queue
        super().__init__(clock, attempt.due, queue)
        self._model, self._fail_fast = model or "the API", fail_fast
        self.attempt = attempt
        self._patience = LONGEST_WAIT_SECONDS if queue is None else inf
        self.result: Pass | APIError | None = None
        self.watched: Wait | None = None  # what it was last told to wait for, as the first of the queue
        self.announced = False

    def refusal(self, wait: Wait, now: float) -> APIError | None:
        """The error for a call of which it is known that it will not be let through in time; None if it may be."""
        seconds, circuit = (wait.until or now) - now, wait.why.startswith("circuit")
        too_long = wait.until is not None and (wait.until > self.due or seconds > self._patience)
        if not too_long and not (circuit and self._fail_fast):
            return None
        if self.attempt.failure is not None:
            return self.attempt.failure  # waiting past the deadline would only turn a clear error into a late one
        if circuit:
            said = f"most of the last requests to {self._model} failed, and it is left alone for {seconds:.1f} s"
            return CircuitOpenError(f"not sent: {said}", retry_after_seconds=seconds)
        said = f"requests to {self._model} are held for {seconds:.1f} s ({wait.why}), longer than this call waits"
        more = f"allow more with timeout=Timeout({self.due_clock}=...), here or on the client"
        kind = wait.why.partition(" ")[0] if wait.why.startswith(("requests", "tokens", "failures")) else "unknown"
        return RateLimitError(f"not sent: {said}; {more}", retry_after_seconds=seconds, kind=kind)


class Bucket:
    """The limits of one model, and the queue in front of them."""

    def __init__(self, model: str, account: Account) -> None:
        self.model: str = model
        self.account: Account = account
        self.rate: RateLimiter = RateLimiter()
        self.queue: list[QueuedCall] = []
        self.wait: Wait = _NO_WAIT  # of the first of the queue
        self.announced: bool = False  # whether the log has a line about this queue, since it was empty last
        self.block: Block = _NO_BLOCK
        self.unread: bool = False  # whether no reply was read since the block was reserved
        # The tally. It keeps no reply but the last: with hundreds of them no call finds its memory in the processor's cache.
        self.good: list[int] = []  # of good replies, the tokens reserved; of what has ended, these and those used
        self.ended: list[tuple[int, int]] = []
        self.newest: tuple[float, Flight, ResponseMeta]  # of the good replies, and when it came
        self.more: float | None = None  # what the last one used beside the tokens of its body's bytes
        self._most_more: float | None = None  # the most of these lately

    def tokens(self, request: Request) -> int:
        """How many tokens a request is likely to use, by what earlier ones have used; 1 while nobody is known to count them."""
        if request.chat is None or self.rate.tokens.limit is None:
            return 1
        more = 256.0 if self._most_more is None else self._most_more
        return max(int(len(request.body or b"") * TOKENS_PER_BYTE + more), 0) + 1

    def enqueue(self, call: QueuedCall, _: float) -> None:
        self.account.end_blocks()  # of other models, too: what nobody took would count as in flight
        insort(self.queue, call, key=lambda each: each.attempt.began)
        self.account.waiting += 1

    def pump(self, now: float) -> None:
        """Lets those pass who may, in the order in which their calls began; wakes who does not want to wait that long."""
        while self.queue:
            first = self.queue[0]
            wait = self.rate.wait(now, self.tokens(first.attempt.request)) or self.account.failures.wait(now)
            if wait is not None and self.account.share is not None and self.account.share._bury():  # noqa: SLF001  # of the same room
                continue  # what processes that have ended had reserved is free now
            if wait is None:
                self.leave(first)
                first.result = self._reserve(first, now)
            elif wait != self.wait:
                self.wait = wait
                for call in self.queue:
                    if call.refusal(wait, now):
                        call.wake()
            elif first.watched == wait:
                return
            first.watched = wait
            if not first.wake():  # its event loop was closed
                self.leave(first)

    def _reserve(self, call: QueuedCall, now: float) -> Ticket:
        """Reserves a request that may be sent now, and a block of others if all limits are far."""
        account, request, tokens = self.account, call.attempt.request, self.tokens(call.attempt.request)
        count, largest = 1, inf
        unknown = account.share is not None and self.rate.requests.limit is None  # another process may be refused at any time
        if not (account.waiting or unknown or account.failures.failed(now)):  # else each is looked at
            count = max(int(min(self.rate.spare(now, 2 * tokens), account.failures.spare(now) / 4, MAX_BLOCK)), 1)
        if count > 1 and self.rate.tokens.limit is not None:
            largest, tokens = 2 * len(request.body or b""), 2 * tokens
        flight = self.rate.reserve(now, tokens, count)
        account.failures.unanswered += count
        if count > 1:
            self.block = Block(flight, iter(range(1, count)), now + BLOCK_SECONDS, largest)
            self.unread = True
            if account.share is not None:  # other processes may need what nobody takes
                later(BLOCK_SECONDS, partial(account.act, self, self.settle))
        return Ticket(self, request, flight, first=call.attempt.failure is None)

    def answered(self, count: int = 1) -> None:
        """So many requests have a reply, or will have none. Each has one such moment."""
        self.account.failures.unanswered -= count
        self.rate.requests.unanswered -= count

    def settle(self, now: float) -> None:
        """Counts what was tallied. What was not read of these replies may have said that less remains."""
        account, rate = self.account, self.rate
        if count := len(self.good):
            unread = self.good[: count - 1]
            del self.good[:count]  # others may add to it meanwhile
            at, flight, meta = self.newest
            self.answered(count)
            account.failures.add(at, count, failed=False)
            account.retries.called(count)
            rate.successes.add(at, count - 1)
            rate.requests.lowest -= count - 1
            rate.tokens.lowest -= sum(unread)
            limits = rate_limits(meta.headers, meta.received_at)
            account.failures.observe(at, limits)
            rate.replied(flight, at, meta.status_code, limits, None)
            self.unread = False
        if count := len(self.ended):
            held, used = zip(*self.ended[:count], strict=True)
            del self.ended[:count]
            rate.settled(now, sum(held), sum(used), count)
            if (more := self.more) is not None:
                most = more if self._most_more is None else self._most_more
                self._most_more, self.more = max(more, most + FADING * (more - most)), None
        if now >= self.block.until or account.failures.failed(now) or rate.spare(now, self.block.flight.tokens) < 1:
            self.end_block()

    def stir(self, now: float) -> None:
        """Has what was tallied counted at once if that may change what others do."""
        if self.unread or now >= self.block.until or self.account.waiting:
            self.account.act(self, self.settle)

    def end_block(self, _: float = 0.0) -> None:
        """Gives back what nobody took of the block."""
        block, self.block = self.block, _NO_BLOCK
        if left := len(list(block.seats)):
            self.answered(left)
            self.rate.cancelled(block.flight, left)

    def leave(self, call: QueuedCall, _: float = 0.0) -> None:
        """Takes a call out of the queue; if it had its turn, and its caller left, that is the next one's."""
        if call in self.queue:
            self.queue.remove(call)
            self.account.waiting -= 1
            if not self.queue:
                self.wait, self.announced = _NO_WAIT, False
        if isinstance(call.result, Ticket):
            call.result.cancel()

    def snapshot(self, now: float) -> ModelLimits:
        circuit = "open" if self.rate.is_circuit_open else "closed"
        wait, since = self.wait, now - self.queue[0].since if self.queue else None
        until = None if wait.until is None else max(wait.until - now, 0.0)
        return ModelLimits(self.model, self.rate.snapshot(now), circuit, len(self.queue), wait.why, since, until)


class Account:
    """What all clients of this process share that use one API key at one base URL."""

    def __init__(self, now: Callable[[], float], share: RateShare | None, name: str, server: object = None) -> None:
        self.now: Callable[[], float] = now
        self.share: RateShare | None = share
        self.name: str = name  # in the file of a share
        self.server: object = server  # kept alive, for its id stands for it
        self.lock: threading.Lock = threading.Lock()
        self.failures: FailureBudget = FailureBudget()
        self.refusals: Refusals = Refusals()
        self.retries: RetryBudget = RetryBudget()
        self.buckets: dict[str, Bucket] = {}
        self.waiting: int = 0  # calls in queues
        self._acts: deque[tuple[Bucket | None, Callable[[float], object], float]] = deque()
        self._busy_retry = BusyRetry("Until it can, this process keeps to the limits alone.")

    def bucket(self, model: str) -> Bucket:
        """The bucket of a model, whatever its feature suffixes."""
        name = model.partition(":")[0]
        return self.buckets.get(name) or self.buckets.setdefault(name, Bucket(name, self))

    def act(self, bucket: Bucket | None, act: Callable[[float], object]) -> None:
        """Has something done about a bucket, or all: now, or by whoever has the lock next. It neither waits nor raises."""
        self._acts.append((bucket, act, self.now()))
        self._busy_retry.run(self._catch_up)

    def _catch_up(self) -> None:
        """Does what was written down, unless somebody else has the lock, and will see to it."""
        while self._acts and self.lock.acquire(blocking=False):
            try:
                self._step([*self._acts])
            finally:
                self.lock.release()

    def _step(self, acts: list[tuple[Bucket | None, Callable[[float], object], float]]) -> None:
        """Does what was written down, and lets pass who may, with rules that are up to date."""
        about = {bucket for bucket, _, _ in acts}
        known = [*self.buckets.values()]
        buckets = [each for each in known if each.queue or each.block is not _NO_BLOCK or about & {each, None}]
        rules = {f"rate {self.name} {each.model}": each.rate for each in buckets} | {f"failures {self.name}": self.failures}
        try:
            with nullcontext() if self.share is None else self.share._current(rules):  # noqa: SLF001  # of the same room
                self._work(buckets, len(acts))
        except VeniceError as error:
            if is_busy(error) and self.now() < acts[0][2] + BUSY_SECONDS:
                raise
            self._busy_retry.failed(error)
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

    def snapshot(self) -> LimitsSnapshot:
        """What is known of all buckets; only by this process, while another one has the file of the share."""
        self.act(None, lambda _: self.end_blocks())
        try:
            with self.lock:
                now, buckets = self.now(), [*self.buckets.values()]
                return LimitsSnapshot(self.failures.failed(now), tuple(each.snapshot(now) for each in buckets))
        finally:
            self._busy_retry.run(self._catch_up)  # what others have written down meanwhile

    def is_idle(self) -> bool:
        """Whether nothing is under way, and nothing is known that holds requests back or was learnt from refusals."""
        found = self.snapshot()
        rates = [each.limits for each in found.models]
        names = [f"remaining_{kind}{of_day}" for kind in ("requests", "tokens") for of_day in ("", "_day")]
        held = any(each.paused_seconds or 0 in [getattr(each, name) for name in names] for each in rates)
        return not (held or found.failures or any(each.in_flight or each.learned for each in rates))

    def end_blocks(self) -> None:
        for each in [*self.buckets.values()]:
            each.end_block()


class Ticket(Pass):
    """The pass of one attempt."""

    _answered = False  # whether it has a reply, or will have none
    _refused = False  # whether it used no tokens
    _unsent = False  # whether it was given back

    def __init__(self, bucket: Bucket, request: Request, flight: Flight, *, first: bool = True) -> None:
        self._bucket, self._request, self._flight = bucket, request, flight
        self._first = first  # whether its call begins with it

    def replied(self, found: ResponseMeta | BaseException) -> None:
        bucket, answered = self._bucket, self._answered
        self._answered = True
        if not isinstance(found, BaseException):
            now = bucket.account.now()
            bucket.newest = now, self._flight, found
            bucket.good.append(self._flight.tokens)
            bucket.unread |= found.headers.get("x-ratelimit-remaining") == "0"  # no more failure may come: at once, too
            bucket.stir(now)
            return
        if isinstance(found, APIError):
            self._unsent = getattr(found, "unsent", False)
            self._refused = (found.counts_as or 0) >= 400
            if found.counts_as == 429:
                under_way = bucket.rate.open - length_hint(bucket.block.seats) - len(bucket.ended)
                self.held, self.free = True, under_way > 1 and bucket.rate.alone_at != self._flight.sent
        bucket.account.act(bucket, partial(self._failed, found, answered))

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        if self._unsent:
            return
        if not self._answered:
            self.replied(GeneratorExit())  # the caller left before
        bucket, held, total = self._bucket, self._flight.tokens, getattr(usage, "total_tokens", None)
        used = total if isinstance(total, int) else 0
        if used and self._request.chat is not None:
            bucket.more = used - len(self._request.body or b"") * TOKENS_PER_BYTE
        bucket.ended.append((held, 0 if self._refused else used or held))
        bucket.stir(bucket.account.now())

    def cancel(self) -> None:
        """Gives it back unused, under the lock."""
        if not self._unsent:
            self._unsent = True
            self._bucket.answered()
            self._bucket.rate.cancelled(self._flight)

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
        if self._unsent:
            bucket.rate.cancelled(self._flight)
        account.failures.observe(now, limits)
        if status:  # else the server knows of no failure
            account.failures.add(now, failed=True)
        overload = getattr(error, "kind", None) in {"overloaded", "concurrency"}
        bucket.rate.replied(self._flight, now, status, limits, error.retry_after_seconds, overload=overload)
        account.refusals.add(self._request, now, error)
        for call in [*bucket.queue]:
            if (refusal := account.refusals.last(call.attempt.request, now)) is not None:
                bucket.leave(call)
                call.result = refusal
                call.wake()
