"""The limiter of a client: the gate that every request passes, and the queue in front of it.

The rules (how fast, how many failures, which server is left alone) are pure and stand in the modules beside this one. Here
they are asked, and callers wait. All clients of a process that use the same API key and base URL share one `Account`, on
whatever event loops and threads they run. An account has a bucket for each model, and a bucket has a queue: first come, first
served. Only the first of a queue waits for a time; whoever changes what is known (a reply came, an answer was read, a caller
left) lets the next ones pass.

An account's lock is held for microseconds. What ends an attempt never waits for it, because it may run in a finalizer or a
signal handler of a thread that holds it: it is written down, and done by whoever has the lock (`Account.act`).
"""

from __future__ import annotations

import copy
import logging
import os
import threading
import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from weakref import WeakValueDictionary

from .._core.ports import Attempt, CallGate, Clock, Pass
from .._core.request import Request, SystemClock
from ..exceptions import APIConnectionError, APIError, APITimeoutError, CircuitOpenError, RateLimitError
from ..types.rate_limits import RateLimits, rate_limits
from .circuit_breaker import CircuitBreaker
from .failure_budget import NEVER_VALID, FailureBudget, Wait
from .rate_limiter import BucketSnapshot, Quota, RateLimiter
from .retry_budget import RetryBudget

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    from ..types.api.chat import ChatUsage
    from ..types.response_meta import ResponseMeta
    from .shared import RateShare

LONGEST_WAIT_SECONDS = 90.0
"""A single wait that is known to be longer, as until tomorrow, is not waited unless `Timeout(queue=...)` allows it."""
TOLD_AFTER_SECONDS = 1.0
LONG_SECONDS = 10.0
"""A wait that is known to be longer is a warning in the log."""
_FAR_SECONDS = 0.05
"""How long headers that name at least half of the limits as left are believed without reading those of other replies."""
_UNSAID = RateLimits()
_LIMIT_HEADERS = frozenset(
    f"x-ratelimit-{name}" for name in ("limit-requests", "remaining-requests", "limit-tokens", "remaining-tokens", "remaining")
)
_LEAST_SECONDS = 0.001  # a wait that rounding makes shorter would not end
_LEARNING = 0.1
T = TypeVar("T")
logger = logging.getLogger("venice_ai")


class WaitNotice(NamedTuple):
    """What `on_wait` is told of a call that waits in the queue."""

    model: str
    """The model that is asked for; empty for what is no chat."""
    why: str
    """What is waited for, such as `requests a minute`, `paused by a 429`, `failures` or `circuit open`."""
    seconds: float | None
    """How long it will be, at least; None if that is up to requests in flight."""


@dataclass(frozen=True)
class ModelLimits:
    """What is known of the limits of one model, and what waits for them."""

    model: str
    """The model; empty for what is no chat."""
    limits: BucketSnapshot
    """Its limits of requests and tokens."""
    circuit: str
    """The circuit breaker: `closed`, or `open` while the server is left alone because most requests failed."""
    waiting: int
    """How many calls wait."""
    why: str
    """What the first of them waits for; empty if nobody waits."""
    waiting_since_seconds: float | None
    """How long the first of them has waited."""
    until_seconds: float | None
    """When the first of them is let through, in seconds from now; None if nobody waits, or it is up to requests in flight."""


@dataclass(frozen=True)
class LimitsSnapshot:
    """What is known of the limits of an API key at a base URL."""

    failures: int
    """Requests that failed in the last 30 s, with whatever status; the limiter lets it come to 20 at most."""
    models: tuple[ModelLimits, ...]
    """Every model that was asked."""


class Bucket:
    """The limits of one model, and the queue in front of them."""

    def __init__(self, model: str, account: Account) -> None:
        self.model = model
        self.account = account
        share = account.share
        self.rate = share._rate_limiter(f"{account.name} {model}") if share else RateLimiter()  # noqa: SLF001  # of the same room
        self.breaker = CircuitBreaker()
        self.queue: list[Waiter] = []
        self.wait = Wait(None, "")
        self.told = False
        """Whether the log has a line about this queue, since it was empty last."""
        self.far_until = -inf
        """Until then, headers need not be read, because others said that all limits are far."""
        self._tokens_per_byte = 0.25
        self._output_tokens = 256.0

    def tokens(self, request: Request) -> int:
        """How many tokens a request is likely to use, by what earlier ones have used; 1 while nobody is known to count them."""
        chat, rate = request.chat, self.rate.tokens
        if chat is None or (rate.limit is None and rate.learned is None):
            return 1
        output, most = self._output_tokens, chat.max_output_tokens
        output = output if most is None or output < most else most
        return int(len(request.body or b"") * self._tokens_per_byte + output * chat.choices) + 1

    def used(self, request: Request, usage: ChatUsage | None) -> int | None:
        """How many tokens an answer used, which is learnt; None if it is not known."""
        prompt: object = getattr(usage, "prompt_tokens", None)
        output: object = getattr(usage, "completion_tokens", None)
        if request.chat is None or not isinstance(prompt, int) or not isinstance(output, int):
            return None
        self._tokens_per_byte += _LEARNING * (prompt / max(len(request.body or b""), 1) - self._tokens_per_byte)
        self._output_tokens += _LEARNING * (output / request.chat.choices - self._output_tokens)
        return prompt + output

    def heard(self, meta: ResponseMeta, now: float) -> RateLimits:
        """The limits in the headers of a good reply."""
        headers = meta.headers
        found = rate_limits(headers, meta.received_at) if headers.has_any(_LIMIT_HEADERS) else _UNSAID
        requests, tokens = found.remaining_requests, found.remaining_tokens
        far = (requests is None or 2 * requests > (found.limit_requests or inf)) and (
            tokens is None or 2 * tokens > (found.limit_tokens or inf)
        )
        self.far_until = now + _FAR_SECONDS if far else -inf
        return found

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


class Account:
    """What all clients of this process share that use one API key at one base URL."""

    def __init__(self, now: Callable[[], float], server: object, share: RateShare | None, name: str) -> None:
        self.now = now
        self.share = share
        self.name = name
        self._server = server  # kept alive, for its id stands for it
        self.lock = threading.Lock()
        self.failures = share._failure_budget(name) if share else FailureBudget()  # noqa: SLF001  # of the same room
        self.retries = RetryBudget()
        self.buckets: dict[str, Bucket] = {}
        self.named: dict[str, Bucket] = {}
        """The same, also by names with suffixes."""
        self.waiting = 0
        self.acts: deque[tuple[Callable[..., object], tuple[object, ...]]] = deque()

    def act(self, act: Callable[[T, float], object], about: T) -> None:
        """Has something done under the lock: now, or by whoever has the lock now."""
        now = self.now()
        if not self.acts and self.lock.acquire(False):  # noqa: FBT003  # a name would cost every call
            try:
                act(about, now)
            finally:
                self.lock.release()
        else:
            self.acts.append((act, (about, now)))
        if self.acts:
            self.catch_up()

    def catch_up(self) -> None:
        """Does what was written down while the lock was held."""
        while self.acts and self.lock.acquire(blocking=False):
            try:
                while self.acts:
                    act, about = self.acts.popleft()
                    act(*about)
            finally:
                self.lock.release()

    def locked(self, ask: Callable[..., T], *about: object) -> T:
        """What something gives under the lock."""
        try:
            with self.lock:
                return ask(*about)
        finally:
            self.catch_up()

    def bucket(self, model: str) -> Bucket:
        """The bucket of a model, whatever its feature suffixes."""
        name = model.partition(":")[0]
        found = self.named[model] = self.buckets.get(name) or self.buckets.setdefault(name, Bucket(name, self))
        return found

    def admit(self, bucket: Bucket, tokens: int, now: float) -> tuple[int, int] | Wait:
        """The tickets for one request; or how long the first of the queue waits."""
        breaker = bucket.breaker
        if breaker.open_until is not None and (wait := breaker.allow(now)):
            return wait
        ticket = bucket.rate.reserve(now, tokens)
        failure = ticket if isinstance(ticket, Wait) else self.failures.reserve(now)
        if isinstance(failure, Wait):
            if not isinstance(ticket, Wait):
                bucket.rate.cancelled(ticket)
            breaker.ended(now, failed=None)
            return failure
        return cast("int", ticket), failure

    def pump(self, now: float) -> None:
        """Lets those pass who may, in the order in which their calls began."""
        for bucket in sorted((each for each in self.buckets.values() if each.queue), key=lambda each: each.queue[0].began):
            while bucket.queue:
                first = bucket.queue[0]
                found = self.admit(bucket, first.tokens, now)
                if isinstance(found, Wait):
                    self._hold(bucket, found, now)
                    break
                self.leave(first)
                first.granted = _Granted(bucket, first.request, found)
                if not first.signal.wake():  # its event loop was closed
                    first.granted.cancel()

    def _hold(self, bucket: Bucket, wait: Wait, now: float) -> None:
        """Notes what a queue waits for, and sends away those who do not want to wait that long."""
        changed, bucket.wait = wait != bucket.wait, wait
        for waiter in [each for each in bucket.queue if each.too_long(wait, now)]:
            waiter.refusal = wait
            self.leave(waiter)
            waiter.signal.wake()
        if bucket.queue and (changed or bucket.queue[0].watched != wait):
            bucket.queue[0].signal.wake()

    def leave(self, waiter: Waiter) -> None:
        """Takes somebody out of the queue."""
        queue = waiter.bucket.queue
        if waiter in queue:
            queue.remove(waiter)
            self.waiting -= 1
            waiter.bucket.told = waiter.bucket.told and bool(queue)


class _Registry:
    """The accounts of this process. The child of a fork begins with a new one."""

    def __init__(self) -> None:
        self.accounts: WeakValueDictionary[tuple[object, ...], Account] = WeakValueDictionary()
        self.lock = threading.Lock()


_registry = _Registry()


def _begin_anew() -> None:
    global _registry  # noqa: PLW0603  # a fork takes the whole process along
    _registry = _Registry()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


class _Signal:
    """What wakes a waiter, from any thread: a task of an event loop, or a thread that blocks."""

    def __init__(self, *, blocks: bool) -> None:
        self._event = threading.Event() if blocks else None
        if not blocks:
            import asyncio  # a synchronous call may be all that a script makes

            self._loop: AbstractEventLoop = asyncio.get_running_loop()
            self._future: Future[None] = self._loop.create_future()

    def renew(self) -> None:
        if self._event is not None:
            self._event.clear()
        elif self._future.done():
            self._future = self._loop.create_future()

    def wake(self) -> bool:
        """False if nobody will ever hear it."""
        if self._event is not None:
            self._event.set()
            return True
        with suppress(RuntimeError):  # the loop was closed
            self._loop.call_soon_threadsafe(_settle, self._future)
            return True
        return False

    async def wait(self, clock: Clock, seconds: float, limit: float) -> None:
        """Waits for a wake, at most so many seconds on a clock, or the limit on the loop's own."""
        if self._event is not None:
            least = min(seconds, limit)
            self._event.wait(None if least == inf else least)
            return
        import asyncio

        if isinstance(clock, SystemClock) or seconds == inf:
            least = min(seconds, limit)
            await asyncio.wait((self._future,), timeout=None if least == inf else least)
            return
        sleep = asyncio.ensure_future(clock.sleep(seconds))
        try:
            await asyncio.wait((self._future, sleep), return_when=asyncio.FIRST_COMPLETED)
        finally:
            sleep.cancel()


def _settle(future: Future[None]) -> None:
    if not future.done():
        future.set_result(None)


class Waiter:
    """One call that waits in a queue."""

    def __init__(self, gate: Limiter, bucket: Bucket, attempt: Attempt, tokens: int, now: float) -> None:
        self.gate = gate
        self.bucket = bucket
        self.request = attempt.request
        self.tokens = tokens
        self.began, self.failure = attempt.began, attempt.failure
        self.since = now
        queue = attempt.request.timeout.queue
        self.patience = LONGEST_WAIT_SECONDS if queue is None else inf
        self.due, self.clock = inf if attempt.due is None else attempt.due, "deadline"
        if queue is not None and now + queue < self.due:
            self.due, self.clock = now + queue, "queue"
        self.signal = _Signal(blocks=gate.blocks)
        self.granted: _Granted | None = None
        self.refusal: Wait | None = None
        self.closed = False
        self.told = False
        self.watched: Wait | None = None
        """What it waits for now, as the first of the queue."""

    def too_long(self, wait: Wait, now: float) -> bool:
        """Whether it is known that it will not be let through in time; `fail_fast` allows no wait for an open circuit."""
        if self.gate.fail_fast and wait.why.startswith("circuit"):
            return True
        return wait.until is not None and (wait.until > self.due or wait.until - now > self.patience)


class _Granted(Pass):
    """The pass of one attempt."""

    held = free = False

    def __init__(self, bucket: Bucket, request: Request, tickets: tuple[int, int]) -> None:
        self._bucket = bucket
        self._account = bucket.account
        self._request = request
        self._ticket, self._failure = tickets
        self._replied_to = False

    def replied(self, found: ResponseMeta | BaseException) -> None:
        account = self._account
        if isinstance(found, BaseException):
            account.locked(self._failed, found, account.now())  # what it means is asked for next
        else:
            account.act(self._accepted, found)

    def done(self, usage: ChatUsage | None, cost: float | None) -> None:
        self._account.act(self._done, usage)

    def cancel(self) -> None:
        """Gives it back unused."""
        self._end(self._account.now(), failed=None)
        self._bucket.rate.cancelled(self._ticket)

    def _end(self, now: float, *, failed: bool | None, limits: RateLimits | None = None) -> None:
        self._replied_to = True
        self._account.failures.ended(self._failure, now, failed=failed, limits=limits)

    def _accepted(self, meta: ResponseMeta, now: float) -> None:
        bucket, account = self._bucket, self._account
        limits = bucket.heard(meta, now) if now >= bucket.far_until else _UNSAID
        self._end(now, failed=False, limits=limits)
        bucket.breaker.ended(now, failed=False)
        bucket.rate.replied(self._ticket, now, meta.status_code, limits, None)
        if account.waiting:
            account.pump(now)

    def _failed(self, error: BaseException, now: float) -> None:
        account, breaker, rate = self._account, self._bucket.breaker, self._bucket.rate
        if not isinstance(error, APIError):  # the caller left
            self._end(now, failed=None)
            breaker.ended(now, failed=None)
        elif getattr(error, "unsent", False):
            self._end(now, failed=None)
            breaker.ended(now, failed=True)
            rate.cancelled(self._ticket)
        else:
            meta, status = error.meta, error.counts_as
            limits = _UNSAID if meta is None else rate_limits(meta.headers, meta.received_at)
            self._end(now, failed=True, limits=limits)
            breaker.ended(now, failed=status >= 500 if status else isinstance(error, APIConnectionError))
            if status:
                alone = len(rate.tickets) == 1 or bool(rate.alone and rate.alone[0] == self._ticket)
                rate.replied(self._ticket, now, status, limits, error.retry_after_seconds)
                self.held, self.free = status == 429 and rate.paused_until > now, status == 429 and not alone
            if error.status_code in NEVER_VALID:
                account.failures.refused(hash(self._request.body), now, copy.copy(error))  # which has no traceback
        if account.waiting:
            account.pump(now)

    def _done(self, usage: ChatUsage | None, now: float) -> None:
        bucket, account = self._bucket, self._account
        rate = bucket.rate
        if not self._replied_to:
            self._end(now, failed=None)
            bucket.breaker.ended(now, failed=None)
        counted = rate.tokens.limit is not None or rate.tokens.learned is not None
        rate.settled(self._ticket, now, bucket.used(self._request, usage) if counted else None)
        if account.waiting:
            account.pump(now)


class Limiter(CallGate):
    """The gate of one client: it knows whose limits count, and what its callers wait for.

    Args:
        base_url: the root of the API.
        clock: what waits are slept on.
        server: what answers, if it is not the server of the base URL but something in this process.
        on_wait: called for each call that waits for more than a second.
        fail_fast: raise at once while a circuit is open.
        share: what several processes share.
    """

    def __init__(
        self,
        base_url: str,
        clock: Clock,
        *,
        server: object = None,
        on_wait: Callable[[WaitNotice], object] | None = None,
        fail_fast: bool = False,
        share: RateShare | None = None,
    ) -> None:
        self.fail_fast = fail_fast
        self.blocks: bool = getattr(clock, "blocks", False)
        self.clock = clock
        self._on_wait = on_wait
        # A clock of its own counts another time: what is shared has the same.
        self._now = time.monotonic if type(clock).now is SystemClock.now else clock.now
        self._server = server
        self._share = share
        self._base_url = base_url
        self._place = (base_url, id(server), self._now, share)
        self._accounts: dict[object, Account] = {}
        self._registry = _registry
        self._waiters: set[Waiter] = set()

    async def enter(self, attempt: Attempt) -> Pass:
        """A pass, once there is room for the attempt.

        Raises:
            RateLimitError: it would have to wait for too long.
            CircuitOpenError: the server fails, and will not be asked in time.
            APITimeoutError: it was not let through in time.
            APIError: this body was refused three times; it is the last refusal.
        """
        request = attempt.request
        account = self._account(request)
        model = "" if request.chat is None else request.chat.model
        bucket = account.named.get(model) or account.bucket(model)
        try:
            with account.lock:
                found = self._asked(account, bucket, attempt)
        finally:
            if account.acts:
                account.catch_up()
        return found if isinstance(found, _Granted) else await self._waited(account, found)

    def _asked(self, account: Account, bucket: Bucket, attempt: Attempt) -> _Granted | Waiter:
        """A pass, or a place in the queue."""
        request, now = attempt.request, account.now()
        if account.failures.refusals and (refusal := account.failures.refusal(hash(request.body), now)):
            again = cast("APIError", copy.copy(refusal))
            again.replayed = True
            raise again
        if attempt.failure is None:
            account.retries.called(now)
        tokens = bucket.tokens(request)
        queue = bucket.queue
        found = bucket.wait if queue and queue[0].began <= attempt.began else account.admit(bucket, tokens, now)
        if not isinstance(found, Wait):
            return _Granted(bucket, request, found)
        waiter = Waiter(self, bucket, attempt, tokens, now)
        if waiter.too_long(found, now):
            raise self._refused(waiter, found, now)
        insort(queue, waiter, key=lambda each: each.began)
        account.waiting += 1
        bucket.wait = found
        return waiter

    async def _waited(self, account: Account, waiter: Waiter) -> Pass:
        self._waiters.add(waiter)
        try:
            while waiter.granted is None:
                now = self._now()
                wait = account.locked(self._look, account, waiter, now)
                if waiter.granted is not None:
                    break
                known = inf if wait is None or wait.until is None else max(wait.until - now, _LEAST_SECONDS)
                self._tell(waiter, known, now)
                told_in = inf if waiter.told else TOLD_AFTER_SECONDS - (now - waiter.since)
                await waiter.signal.wait(self.clock, known, min(waiter.due - now, max(told_in, _LEAST_SECONDS)))
            self._tell(waiter, 0.0, self._now())
        except BaseException:
            account.locked(self._give_up, account, waiter)
            raise
        finally:
            self._waiters.discard(waiter)
        return waiter.granted

    def _look(self, account: Account, waiter: Waiter, now: float) -> Wait | None:
        """What the first of a queue waits for; None for the others.

        Raises:
            VeniceError: it waits no more.
        """
        waiter.signal.renew()
        bucket = waiter.bucket
        if waiter.granted is None and not (waiter.refusal or waiter.closed) and bucket.queue[0] is waiter:
            account.pump(now)
        if waiter.granted is not None:
            return None
        if waiter.closed:
            raise APIConnectionError("the client was closed while this call waited for its turn")
        if waiter.refusal is not None:
            raise self._refused(waiter, waiter.refusal, now)
        if now >= waiter.due:
            raise self._late(waiter)
        first = bucket.queue[0] is waiter
        waiter.watched = bucket.wait if first else None
        return waiter.watched

    def _give_up(self, account: Account, waiter: Waiter) -> None:
        """A caller left, or was refused: its place is the next one's."""
        account.leave(waiter)
        if waiter.granted is not None:
            waiter.granted.cancel()
        if account.waiting:
            account.pump(self._now())

    def _tell(self, waiter: Waiter, known: float, now: float) -> None:
        """Tells once that a call waits for more than a second."""
        if waiter.told or max(now - waiter.since, 0.0 if known == inf else known) < TOLD_AFTER_SECONDS:
            return
        waiter.told = True
        bucket, wait = waiter.bucket, waiter.bucket.wait
        if not bucket.told:
            bucket.told = True
            seconds = "until requests in flight have ended" if known == inf else f"for {known:.1f} s"
            level = logging.WARNING if LONG_SECONDS <= known < inf else logging.INFO
            logger.log(level, "calls of %s wait %s: %s", bucket.model or "the API", seconds, wait.why)
        if self._on_wait is not None:
            self._on_wait(WaitNotice(bucket.model, wait.why, None if known == inf else known))

    def _refused(self, waiter: Waiter, wait: Wait, now: float) -> APIError:
        """The error for a call that would have to wait for too long."""
        if waiter.failure is not None:
            return waiter.failure  # waiting past the deadline would only turn a clear error into a late one
        model, seconds = waiter.bucket.model, max((wait.until or now) - now, 0.0)
        if wait.why.startswith("circuit"):
            return CircuitOpenError(
                f"not sent: most of the last requests to {model or 'the API'} failed, and it is left alone for {seconds:.1f} s",
                retry_after_seconds=seconds,
            )
        clock = waiter.clock if waiter.due < inf else "queue"
        error = RateLimitError(
            f"not sent: requests to {model or 'the API'} are held for {seconds:.1f} s ({wait.why}), longer than this call "
            f"waits; allow more with timeout=Timeout({clock}=...), here or on the client",
            retry_after_seconds=seconds,
        )
        word = wait.why.partition(" ")[0]
        error.kind = cast("Any", word) if word in {"requests", "tokens", "failures"} else "unknown"
        return error

    def _late(self, waiter: Waiter) -> APITimeoutError:
        error = APITimeoutError(
            f"not sent: the call waited {waiter.due - waiter.since:g} s for its turn ({waiter.bucket.wait.why}) until the "
            f"{waiter.clock!r} clock ran out. Allow more with timeout=Timeout({waiter.clock}=...), here or on the client."
        )
        error.clock = waiter.clock
        return error

    @property
    def held(self) -> int:
        """How many calls of this client wait."""
        return len(self._waiters)

    def may_retry(self, attempt: Attempt) -> bool:
        """Whether the retry budget has one more retry, which is then spent."""
        account = self._account(attempt.request)
        return bool(account.locked(account.retries.spend, account.now()))

    def close(self) -> None:
        """Ends the waits of this client's calls."""
        for waiter in self._waiters.copy():
            waiter.closed = True
            waiter.signal.wake()

    def snapshot(self, request: Request) -> LimitsSnapshot:
        """What is known of the account that a request would use."""
        account, now = self._account(request), self._now()

        def taken() -> LimitsSnapshot:
            failures = account.failures._failed(now)  # noqa: SLF001  # of the same package
            return LimitsSnapshot(failures, tuple(each.snapshot(now) for each in account.buckets.values()))

        return account.locked(taken)

    def learn(self, request: Request, model: str, *, requests: int | None, tokens: int | None) -> None:
        """Takes in the limits a minute of a model, as the API tells them to whoever asks."""
        account = self._account(request)
        rate = account.bucket(model).rate
        for quota, limit in ((rate.requests, requests), (rate.tokens, tokens)):
            account.locked(_tell, quota, limit)

    def _account(self, request: Request) -> Account:
        if self._registry is not _registry:  # this process was forked
            self._registry, self._accounts, self._waiters = _registry, {}, set()
        return self._accounts.get(request.headers.get("Authorization")) or self._joined(request)

    def _name(self, request: Request) -> str:
        """A name of the account that is the same in all processes, and does not tell the key."""
        if self._share is None:
            return ""
        from hashlib import sha256  # as rarely needed

        return sha256(self._base_url.encode() + b" " + request.secret).hexdigest()[:32]

    def _joined(self, request: Request) -> Account:
        """The account of a request's key, which others may use, too."""
        place = (*self._place, hash(request.secret))
        with _registry.lock:
            account = _registry.accounts.get(place)
            if account is None:
                account = _registry.accounts[place] = Account(self._now, self._server, self._share, self._name(request))
        self._accounts[request.headers.get("Authorization") or place] = account
        return account


def _tell(quota: Quota, limit: int | None) -> None:
    if limit is not None and limit != quota.limit:
        quota.forget()
        quota.limit = limit
