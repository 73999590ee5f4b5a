"""The limiter of a client: the gate that every request passes, where its callers wait.

All clients of a process that use the same API key and base URL share one account (`account.py`), with a queue for each model:
first come, first served. Only the first waits for a time; whoever changes what is known lets the next ones pass.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from itertools import islice
from math import inf
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from .._core.busy_retry import POLL_SECONDS
from .._core.ports import Attempt, CallGate, Clock, Pass
from .._core.request import Request
from ..exceptions import APIError
from ..types.limits import WaitNotice
from .account import Account, Bucket, QueuedCall, Ticket
from .rate_limiter import DAY_SECONDS

if TYPE_CHECKING:
    from .rate_share import RateShare

ANNOUNCED_AFTER_SECONDS, LONG_SECONDS = 1.0, 10.0  # a wait that is known to be longer than the second is a warning in the log
IDLE_SECONDS = 300.0  # an account that nobody used for so long is forgotten, unless it knows of something that holds requests
OTHERS_SECONDS = 1.0
MOST_BUCKETS, MOST_FORGOTTEN = 1_000, 50  # buckets that a client keeps at hand; accounts that are forgotten in one step
_LEAST_SECONDS = 0.001  # a wait that rounding makes shorter would not end
logger = logging.getLogger("venice_ai")
_accounts: WeakValueDictionary[tuple[object, ...], Account] = WeakValueDictionary()
_outlasting: OrderedDict[Account, float] = OrderedDict()  # those that outlast their clients, and when each was used last
_lock = threading.Lock()
_limiters: WeakSet[Limiter] = WeakSet()


def _begin_anew() -> None:
    """The child of a fork knows nothing: another thread of its parent may hold any of the locks."""
    global _accounts, _lock  # a fork takes the whole process along
    _accounts, _lock = WeakValueDictionary[tuple[object, ...], Account](), threading.Lock()
    _outlasting.clear()
    for limiter in _limiters:
        limiter.begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


@dataclass(eq=False, repr=False)
class Limiter(CallGate):
    """The gate of one client. `server` is what answers, if that is something in this process."""

    base_url: str
    clock: Clock
    server: object = field(default=None, kw_only=True)
    on_wait: Callable[[WaitNotice], object] | None = field(default=None, kw_only=True)
    fail_fast: bool = field(default=False, kw_only=True)
    share: RateShare | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        self._now = self.clock.now  # a clock of its own counts another time: what is shared has the same
        _limiters.add(self)
        self.begin()

    def begin(self) -> None:
        self._buckets: dict[tuple[object, str], Bucket] = {}
        self._waiting: set[QueuedCall] = set()

    def at_once(self, request: Request, failure: APIError | None) -> Pass | None:
        """A pass of the block that is reserved, while every limit is far."""
        model = "" if (chat := request.chat) is None else chat.model
        bucket = self._buckets.get((request.headers.get("Authorization"), model)) or self._bucket(request, model)
        block = bucket.block
        far = failure is None and self._now() < block.until
        small = far and (block.largest == inf or (chat and chat.choices == 1 and len(request.body or b"") <= block.largest))
        return Ticket(bucket, request, block.flight) if small and next(block.seats, 0) else None

    async def enter(self, attempt: Attempt) -> Pass:
        """A pass, once there is room; an APIError if that takes too long, or the body was refused three times."""
        request, chat = attempt.request, attempt.request.chat
        if (granted := self.at_once(request, attempt.failure)) is not None:
            return granted
        bucket = self._bucket(request, "" if chat is None else chat.model)
        if refusal := bucket.account.refusals.last(request, self._now()):
            raise refusal
        fail_fast = self.fail_fast if attempt.fail_fast is None else attempt.fail_fast
        call = QueuedCall(self.clock, bucket.model, attempt, fail_fast=fail_fast)
        self._waiting.add(call)
        try:
            bucket.account.act(bucket, partial(bucket.enqueue, call))
            return await self._turn(bucket, call)
        except BaseException:
            bucket.account.act(bucket, partial(bucket.leave, call))
            raise
        finally:
            self._waiting.discard(call)

    async def _turn(self, bucket: Bucket, call: QueuedCall) -> Pass:
        """Waits until a call may be sent; an APIError if it is known that this takes too long."""
        while True:
            call.renew()
            wait, now = bucket.wait, self._now()
            found = call.result or call.refusal(wait, now)
            if isinstance(found, APIError):
                raise found
            if found is not None:
                return found
            first = bucket.queue[:1] == [call]
            due = inf if wait.until is None else max(wait.until - now, _LEAST_SECONDS)
            known = due if first else inf
            why = wait.why or "another process has the file of the RateShare"
            if not call.announced and now - call.since + (known if known < inf else 0.0) >= ANNOUNCED_AFTER_SECONDS:
                self._tell(bucket, call, why, known)
            announced_in = inf if call.announced else ANNOUNCED_AFTER_SECONDS - (now - call.since)
            # A reply that another process waits for may end the wait at any time, and does not wake this one.
            polls = self.share and first and (known == inf or bucket.rate.requests.unanswered > 0)
            # The others look later, in case the first one's event loop is closed or blocked.
            again = min(known, POLL_SECONDS) if polls else due + (0.0 if first else OTHERS_SECONDS)
            await call.wait(f"its turn ({why})", again, max(announced_in, _LEAST_SECONDS))
            if again < inf and call.result is None:
                bucket.account.act(bucket, bucket.settle)

    def _tell(self, bucket: Bucket, call: QueuedCall, why: str, known: float) -> None:
        """Tells that a call waits for more than a second."""
        call.announced = True
        if not bucket.announced:
            bucket.announced = True
            seconds = "until requests in flight have ended" if known == inf else f"for {known:.1f} s"
            level = logging.WARNING if LONG_SECONDS <= known < inf else logging.INFO
            logger.log(level, "calls of %s wait %s: %s", bucket.model or "the API", seconds, why)
        if self.on_wait is not None:
            try:
                self.on_wait(WaitNotice(bucket.model, why, None if known == inf else known))
            except Exception:
                logger.exception("on_wait failed; the call goes on")

    @property
    def held(self) -> int:
        """How many calls of this client wait."""
        return len(self._waiting)

    def may_retry(self, attempt: Attempt) -> bool:
        """Whether the retry budget has one more retry, which is then spent; two threads at once may have the same."""
        return self.account(attempt.request).retries.spend(self._now())

    def close(self) -> None:
        """Ends the waits of this client's calls, and gives back what was reserved for others to come."""
        for call in self._waiting.copy():
            call.close()
        for bucket in self._buckets.values():
            bucket.account.act(bucket, bucket.end_block)

    def learn(self, request: Request, model: str, amounts: Mapping[str, int]) -> None:
        """Takes in the limits of a model, as the API tells them to whoever asks; days end at midnight, UTC."""
        bucket, left = self._bucket(request, model), DAY_SECONDS - self.clock.time() % DAY_SECONDS
        bucket.account.act(bucket, lambda now: bucket.rate.update_limits(amounts, now + left))

    def _bucket(self, request: Request, model: str) -> Bucket:
        """The bucket of a request, found at once the next time."""
        bucket = self.account(request).bucket(model)
        self._buckets = self._buckets if len(self._buckets) < MOST_BUCKETS else {}
        self._buckets[request.headers.get("Authorization") or request.secret, model] = bucket
        return bucket

    def account(self, request: Request) -> Account:
        """The account of a request's key, which others may use, too."""
        place = (self.base_url, id(self.server), self._now, self.share, hash(request.secret))
        with _lock:
            if (account := _accounts.get(place)) is None:
                # In the file of a share, a name that is the same in all processes, and does not tell the key.
                name = sha256(self.base_url.encode() + b" " + request.secret).hexdigest()[:32] if self.share else ""
                account = _accounts[place] = Account(self._now, self.share, name, self.server)
                idle = [
                    each for each, at in islice(_outlasting.items(), MOST_FORGOTTEN) if at < time.monotonic() - IDLE_SECONDS
                ]
                for each in idle:
                    del _outlasting[each]
                    if not each.is_idle():
                        _outlasting[each] = time.monotonic()
            if self.server is None and self._now is time.monotonic:  # the limits of a server in this process go with it
                _outlasting[account] = self._now()
                _outlasting.move_to_end(account)
        return account
