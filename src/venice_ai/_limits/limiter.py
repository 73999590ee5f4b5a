"""The limiter of a client: the gate that every request passes, where its callers wait.

The rules (how fast, how many failures, which server is left alone) are pure and stand in the modules beside this one;
`account.py` asks them. All clients of a process that use the same API key and base URL share one account, on whatever event
loops and threads they run. An account has a bucket for each model, and a bucket has a queue: first come, first served. Only the
first of a queue waits for a time; whoever changes what is known (a reply came, an answer was read, a caller left) lets the next
ones pass.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakValueDictionary

from .._core.ports import Attempt, CallGate, Clock, Pass
from .._core.request import Request, SystemClock
from ..exceptions import APIConnectionError, APIError, CircuitOpenError, RateLimitError
from .account import Account, Bucket, QueuedCall, Ticket
from .failure_budget import Wait
from .snapshot import LimitsSnapshot, WaitNotice

if TYPE_CHECKING:
    from .rate_share import RateShare

TOLD_AFTER_SECONDS = 1.0
LONG_SECONDS = 10.0
"""A wait that is known to be longer is a warning in the log."""
_LEAST_SECONDS = 0.001  # a wait that rounding makes shorter would not end
logger = logging.getLogger("venice_ai")


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


class Limiter(CallGate):
    """The gate of one client. `server` is what answers, if that is something in this process."""

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
        self.clock = clock
        self._fail_fast = fail_fast
        self._on_wait = on_wait
        # A clock of its own counts another time: what is shared has the same.
        self._now = time.monotonic if type(clock).now is SystemClock.now else clock.now
        self._server = server
        self._share = share
        self._base_url = base_url
        self._begin()

    def _begin(self) -> None:
        self._registry = _registry
        self._accounts: dict[object, Account] = {}
        self._buckets: dict[tuple[str | None, str], Bucket] = {}
        self._waiting: set[QueuedCall] = set()

    async def enter(self, attempt: Attempt) -> Pass:
        """A pass, once there is room; an APIError if that takes too long, or the body was refused three times."""
        request, chat = attempt.request, attempt.request.chat
        bucket = self._buckets.get((request.headers.get("Authorization"), "" if chat is None else chat.model))
        if bucket is None or self._registry is not _registry:
            bucket = self._bucket(request)
        block = bucket.block
        if block.seats and attempt.failure is None and self._now() < block.until:
            small = block.largest == inf or (chat and chat.choices == 1 and len(request.body or b"") <= block.largest)
            if small and block.take():
                return Ticket(bucket, request, block.flight)
        fail_fast = self._fail_fast if attempt.fail_fast is None else attempt.fail_fast
        account = bucket.account
        found = account.ask(bucket, account.enter, (bucket, attempt, self.clock, fail_fast))
        if isinstance(found, Ticket):
            return found
        if isinstance(found, APIError):
            raise found
        if found.refusal is not None:
            raise self._refused(found, found.refusal)
        return await self._waited(account, found)

    async def _waited(self, account: Account, call: QueuedCall) -> Pass:
        self._waiting.add(call)
        try:
            while call.granted is None:
                found = account.ask(call.bucket, self._look, call)
                if isinstance(found, APIError):
                    raise found
                now = self._now()
                known = inf if found is None or found.until is None else max(found.until - now, _LEAST_SECONDS)
                if call.granted is None:
                    self._tell(call, known, now)
                    told_in = inf if call.told else TOLD_AFTER_SECONDS - (now - call.since)
                    await call.wait(known, min(call.due - now, max(told_in, _LEAST_SECONDS)))
            self._tell(call, 0.0, self._now())
        except BaseException:
            account.ask(call.bucket, account.give_up, call)
            raise
        finally:
            self._waiting.discard(call)
        return call.granted

    def _look(self, call: QueuedCall, now: float) -> Wait | APIError | None:
        """What the first of a queue waits for; None for the others; or why it waits no more."""
        call.renew()
        bucket = call.bucket
        if call.granted is None and not (call.refusal or call.closed) and bucket.queue[0] is call:
            bucket.account.pump(now, call)
        if call.granted is not None:
            return None
        if call.closed:
            return APIConnectionError("the client was closed while this call waited for its turn")
        if call.refusal is not None:
            return self._refused(call, call.refusal)
        if now >= call.due:
            return call.late(f"its turn ({bucket.wait.why})")
        call.watched = bucket.wait if bucket.queue[0] is call else None
        return call.watched

    def _tell(self, call: QueuedCall, known: float, now: float) -> None:
        """Tells once that a call waits for more than a second."""
        if call.told or max(now - call.since, 0.0 if known == inf else known) < TOLD_AFTER_SECONDS:
            return
        call.told = True
        bucket, wait = call.bucket, call.bucket.wait
        if not bucket.told:
            bucket.told = True
            seconds = "until requests in flight have ended" if known == inf else f"for {known:.1f} s"
            level = logging.WARNING if LONG_SECONDS <= known < inf else logging.INFO
            logger.log(level, "calls of %s wait %s: %s", bucket.model or "the API", seconds, wait.why)
        if self._on_wait is not None:
            self._on_wait(WaitNotice(bucket.model, wait.why, None if known == inf else known))

    def _refused(self, call: QueuedCall, wait: Wait) -> APIError:
        """The error for a call that would have to wait for too long."""
        if call.failure is not None:
            return call.failure  # waiting past the deadline would only turn a clear error into a late one
        now = self._now()
        model, seconds = call.bucket.model, max((wait.until or now) - now, 0.0)
        if wait.why.startswith("circuit"):
            return CircuitOpenError(
                f"not sent: most of the last requests to {model or 'the API'} failed, and it is left alone for {seconds:.1f} s",
                retry_after_seconds=seconds,
            )
        clock = call.due_clock if call.due < inf else "queue"
        error = RateLimitError(
            f"not sent: requests to {model or 'the API'} are held for {seconds:.1f} s ({wait.why}), longer than this call "
            f"waits; allow more with timeout=Timeout({clock}=...), here or on the client",
            retry_after_seconds=seconds,
        )
        word = wait.why.partition(" ")[0]
        error.kind = cast("Any", word) if word in {"requests", "tokens", "failures"} else "unknown"
        return error

    @property
    def held(self) -> int:
        """How many calls of this client wait."""
        return len(self._waiting)

    def may_retry(self, attempt: Attempt) -> bool:
        """Whether the retry budget has one more retry, which is then spent."""
        bucket = self._bucket(attempt.request)
        return bucket.account.ask(bucket, lambda _, now: bucket.account.retries.spend(now))

    def close(self) -> None:
        """Ends the waits of this client's calls."""
        for call in self._waiting.copy():
            call.close()

    def snapshot(self, request: Request) -> LimitsSnapshot:
        """What is known of the account that a request would use."""
        account = self._account(request)
        return account.ask(None, account.snapshot)

    def learn(self, request: Request, model: str, *, requests: int | None, tokens: int | None) -> None:
        """Takes in the limits a minute of a model, as the API tells them to whoever asks."""
        bucket = self._account(request).bucket(model)
        bucket.account.ask(bucket, lambda limits, _: bucket.rate.learn(*limits), (requests, tokens))

    def _bucket(self, request: Request) -> Bucket:
        """The bucket of a request, found at once the next time."""
        account, model = self._account(request), "" if request.chat is None else request.chat.model
        bucket = account.bucket(model)
        if key := request.headers.get("Authorization"):
            self._buckets[key, model] = bucket
        return bucket

    def _account(self, request: Request) -> Account:
        """The account of a request's key, which others may use, too."""
        if self._registry is not _registry:  # this process was forked
            self._begin()
        place = (self._base_url, id(self._server), self._now, self._share, hash(request.secret))
        with _registry.lock:
            account = _registry.accounts.get(place)
            if account is None:
                account = _registry.accounts[place] = Account(self._now, self._server, self._share, self._name(request))
        self._accounts[place] = account
        return account

    def _name(self, request: Request) -> str:
        """A name of the account that is the same in all processes, and does not tell the key."""
        if self._share is None:
            return ""
        from hashlib import sha256  # as rarely needed

        return sha256(self._base_url.encode() + b" " + request.secret).hexdigest()[:32]
