"""Sends a request until there is a reply with a status 2xx: retries with their waits, and the deadline over all attempts."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast
from urllib.parse import urlsplit

from .._core.json_values import without
from .._core.ports import Attempt, CallGate, Clock, Pass, Reply, Transport
from .._core.request import Request, SystemClock, WholeReply
from .._wire.notices import Notices
from .._wire.reply_body import refusal
from ..exceptions import APIConnectionError, APIError
from ..types.response_meta import DEPRECATION_HEADERS, ResponseMeta
from .lifetime import Lifetime
from .retry import RetryPolicy

if TYPE_CHECKING:
    from .._core.token_counts import TokenCounts
    from ..telemetry import OpenSpan

T = TypeVar("T")
logger = logging.getLogger("venice_ai")
attempts_logger = logging.getLogger("venice_ai.http")


class AcceptedReply(NamedTuple):
    """A good reply (status 2xx), what is known of it, and its body unless it is a stream."""

    reply: Reply
    meta: ResponseMeta
    body: bytes


@dataclass(eq=False, repr=False)
class Caller:
    """Sends requests through a transport once its gates let them pass, again where the policy allows it."""

    transport: Transport
    clock: Clock
    policy: RetryPolicy
    gates: tuple[CallGate, ...] = ()
    counts: TokenCounts | None = None  # learns how models count tokens from the usage of each response
    notices: Notices = field(default_factory=Notices)
    lifetime: Lifetime = field(default_factory=Lifetime)  # that of its client: once that is closed, nothing more is sent

    async def close(self) -> None:
        """Ends the calls that are under way, also those that wait to be tried again."""
        self.lifetime.closed = True
        if isinstance(self.clock, SystemClock):
            self.clock.wake()
        for gate in self.gates:
            gate.close()
        await self.transport.aclose()

    async def read(self, request: Request, read: Callable[[bytes, ResponseMeta, bytes], T | APIError]) -> T:
        """Sends it, and gives what `read` makes of the first good reply; an error that it gives counts as its status does."""
        call = Call(self, request)
        call.read = lambda body, meta, request: read(body, meta, request.secret)
        found: T = await call.result()
        return found


class Call:
    """One request with all its attempts, which share a deadline and a number of retries."""

    span: OpenSpan | None = None  # gets the attributes of each attempt
    read: Callable[[bytes, ResponseMeta, Request], object] | None = None  # makes a response, or an error, of a whole reply
    fail_fast: bool | None = None  # whether it fails rather than waits while a circuit is open; None: as its client
    abandoned: bool = False  # whether nobody waits for it any more: then nothing more is sent
    _attempts = 0
    _logs = False
    _learnt = False
    _sent: float | None = None  # when the attempt that is under way was sent
    _meta: ResponseMeta | None = None

    def __init__(self, caller: Caller, request: Request) -> None:
        self.caller = caller
        self._request = request
        self._began = caller.clock.now()
        self._passes: list[Pass] = []
        self._since = self._began  # when the attempt before was over

    def elapsed(self) -> float:
        """Seconds since it began."""
        return self.caller.clock.now() - self._began

    def falls_back(self, failure: APIError) -> bool:
        """Whether another model may be asked after this failure of a reply that has not begun."""
        return False

    async def result(self, failure: APIError | None = None) -> Any:
        """Sends it until a reply is good: what `read` makes of that, or else the reply, after which `done` is to be called."""
        caller, request = self.caller, self._request
        while True:
            self._attempts += 1
            gates = caller.gates
            while gates and (granted := gates[0].at_once(request, failure)) is not None:
                self._passes.append(granted)
                gates = gates[1:]
            if gates:
                await self._enter(failure, gates)
            if request.timeout.deadline is not None:
                request.deadline_seconds = request.timeout.left(self.elapsed())
            reply, body, sent = None, b"", caller.clock.now()
            self._sent, self._meta = sent, None
            self._logs = attempts_logger.isEnabledFor(logging.INFO)
            if self._logs:
                attempts_logger.debug("attempt %d: sending %d bytes", self._attempts, len(request.body or b""))
            try:
                reply = await caller.transport.send(request)
                if not request.stream or not 200 <= reply.status < 300:
                    body = reply.body if isinstance(reply, WholeReply) else await reply.read()
                return self._judged(reply, body, sent)
            except BaseException as error:
                body = b""  # a traceback may show it, and the server may repeat the key in it
                if reply is not None:
                    reply.close()
                if not await self._goes_on(error):
                    raise
                failure = cast("APIError", error)

    async def again(self, failure: APIError) -> Any:
        """The next good reply, after one that turned out to be a failure, which is raised if it may not be tried again."""
        try:
            if not await self._goes_on(failure):
                raise failure
            return await self.result(failure)
        finally:
            del failure  # its traceback refers to this frame

    def done(self, response: object, failure: str | None = None) -> None:
        """The attempt is over, with this response or this kind of failure; its passes learn the cost. May be called often."""
        usage, cost = getattr(response, "usage", None), getattr(response, "cost", None)
        request, counts = self._request, self.caller.counts
        if usage is not None and request.chat is not None and request.body and counts is not None and not self._learnt:
            self._learnt = True
            counts.learn(request.chat.model, request.body, getattr(usage, "prompt_tokens", None))
        while self._passes:
            self._passes.pop().done(usage, getattr(cost, "usd", None))
        if self._sent is not None and (self.span is not None or self._logs):
            self._report(self._sent, usage, failure)

    def _report(self, sent: float, usage: object, failure: str | None) -> None:
        """Tells the span of an attempt, and writes its line, which shows neither the key nor any prompt or answer."""
        request, meta, now, self._sent = self._request, self._meta, self.caller.clock.now(), None
        waited, self._since = sent - self._since, now
        values: dict[str, Any] = {"venice.attempt.number": self._attempts, "venice.attempt.wait": waited}
        values["venice.attempt.duration"] = now - sent
        if meta is not None:
            values["http.response.status_code"] = meta.status_code
            if (identity := meta.request_id) is not None:
                values["venice.attempt.request_id"] = ascii(without(identity, request.secret))[1:-1][:100]
        if failure is not None:
            values["error.type"] = failure
        if self.span is not None:
            self.span.attempted(values)
        if not self._logs:
            return
        what = f"{request.method} {urlsplit(request.url).path}{f' {request.chat.model}' if request.chat else ''}"
        how = " ".join(str(values[key]) for key in ("http.response.status_code", "error.type") if key in values) or "left"
        counts = (getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens"))
        tokens = "+".join(str(count) for count in counts if isinstance(count, int)) or "-"
        numbers = self._attempts, values.get("venice.attempt.request_id", "-"), 1000 * (now - sent), tokens, 1000 * waited
        attempts_logger.info("%s: %s, attempt %d, id %s, %.0f ms, tokens %s, waited %.0f ms", what, how, *numbers)

    async def _enter(self, failure: APIError | None, gates: tuple[CallGate, ...]) -> None:
        """Waits until these gates let the next attempt pass."""
        deadline = self._request.timeout.deadline
        due = None if deadline is None else self._began + deadline
        attempt = Attempt(self._request, self._attempts, self._began, due, failure, self.fail_fast)
        try:
            for gate in gates:
                self._passes.append(await gate.enter(attempt))
            self._check_open(failure)
        except BaseException:
            self.done(None)
            raise
        finally:
            del failure, attempt  # its traceback refers to this frame

    async def _goes_on(self, failure: BaseException) -> bool:
        """Whether the request is to be sent again after a failure, once the time for that has come."""
        for granted in self._passes:
            granted.replied(failure)
        held, free = (any(getattr(granted, name) for granted in self._passes) for name in ("held", "free"))
        self.done(None, type(failure).__name__)
        if not isinstance(failure, APIError):
            return False
        failure.body = without(failure.body, self._request.secret)  # of a reply that is too large it is as it came
        policy = self.caller.policy
        if free and policy.retries and policy.waits(failure) and not (self.caller.lifetime.closed or self.abandoned):
            self._attempts -= 1
            return True
        if (delay := self._delay(failure)) is not None and not held:
            logger.info("%s; trying again in %.1f s", type(failure).__name__, delay)
            await self.caller.clock.sleep(delay)
            self._check_open(failure)
        return delay is not None

    def _check_open(self, failure: APIError | None) -> None:
        if self.caller.lifetime.closed or self.abandoned:
            what = "client" if self.caller.lifetime.closed else "stream"
            raise APIConnectionError(f"the {what} was closed before it tried again") from failure

    def _judged(self, reply: Reply, body: bytes, sent: float) -> object:
        """Turns a good reply into what `read` makes of it; raises the APIError for a refusal, or for an error in it."""
        caller, clock = self.caller, self.caller.clock
        meta = ResponseMeta(
            status_code=reply.status,
            headers=reply.headers.without(self._request.secret),
            received_at=clock.time(),
            latency=clock.now() - sent,
            attempts=self._attempts,
        )
        self._meta = meta
        if good := 200 <= meta.status_code < 300:
            for granted in self._passes:
                granted.replied(meta)
            if meta.headers.has_any(DEPRECATION_HEADERS):
                model = None if self._request.chat is None else self._request.chat.model
                caller.notices.deprecation(model, meta, self._request.secret)
            if self.read is None:
                return AcceptedReply(reply, meta, body)
        request, read = self._request, self.read if good else None
        found = refusal(body, meta, secret=request.secret) if read is None else read(body, meta, request)
        body = b""  # a traceback may show it, and the server may have repeated the key
        if isinstance(found, APIError):
            try:
                raise found
            finally:
                del found  # its traceback refers to this frame
        self.done(found)
        return found

    def _delay(self, failure: APIError) -> float | None:
        if self.caller.lifetime.closed:
            return None
        spread = random.random()  # noqa: S311  # spreads retries, keeps no secret
        delay = self.caller.policy.delay(self._attempts, failure, idempotent=self._request.method == "GET", random=spread)
        left = self._request.timeout.left(self.elapsed())
        # Waiting past the deadline would only turn a clear error into a late one.
        if delay is None or (left is not None and delay >= left):
            return None
        attempt = Attempt(self._request, self._attempts, self._began, None, failure)
        return delay if all(gate.may_retry(attempt) for gate in self.caller.gates) else None
