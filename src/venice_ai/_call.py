"""One request to its first good reply: send, judge, wait, or raise."""

from __future__ import annotations

import logging
import random
from typing import NamedTuple

from ._meta import ResponseMeta
from ._retry import RetryPolicy
from ._transport import Clock, Reply, Request, SystemClock, Transport
from ._warnings import Remembered
from ._wire import refusal
from .exceptions import APIConnectionError, APIError

logger = logging.getLogger("venice_ai")


class Answer(NamedTuple):
    """A good reply (status 2xx), what is known of it, and its body unless it is a stream."""

    reply: Reply
    meta: ResponseMeta
    body: bytes


class Caller:
    """Sends requests through a transport, again where the policy allows it."""

    def __init__(self, transport: Transport, clock: Clock, policy: RetryPolicy) -> None:
        self.transport = transport
        self.clock = clock
        self.policy = policy
        self.closed: bool = False
        """Whether the client was closed: then nothing more is sent."""
        self._warned: Remembered[str] = Remembered()

    async def close(self) -> None:
        """Ends the calls that are under way, also those that wait to be tried again."""
        self.closed = True
        if isinstance(self.clock, SystemClock):
            self.clock.wake()
        await self.transport.aclose()

    async def call(self, request: Request) -> Answer:
        """The first good reply.

        Raises:
            APIError: the last failure, when it may not be tried again.
        """
        began = self.clock.now()
        attempt = 0
        while True:
            attempt += 1
            if request.timeout.deadline is not None:
                request.deadline_seconds = request.timeout.left(self.clock.now() - began)
            try:
                answer = await self._attempt(request, attempt)
            except APIError as failure:
                delay = self._delay(request, failure, attempt, self.clock.now() - began)
                if delay is None or self.closed:
                    raise
                logger.info("%s; trying again in %.1f s", type(failure).__name__, delay)
                await self.clock.sleep(delay)
                if self.closed:
                    raise APIConnectionError("the client was closed before it tried again") from failure
            else:
                self._warn_of_deprecation(answer.meta)
                return answer

    async def _attempt(self, request: Request, attempt: int) -> Answer:
        sent = self.clock.now()
        reply = await self.transport.send(request)
        good = 200 <= reply.status < 300
        try:
            body = b"" if good and request.stream else await reply.read()
            meta = ResponseMeta(
                status_code=reply.status,
                headers=reply.headers,
                received_at=self.clock.time(),
                latency=self.clock.now() - sent,
                attempts=attempt,
            )
            if not good:
                failure = refusal(body, meta, secret=request.secret)
                body = b""  # a traceback may show it, and the server may have repeated the key
                raise failure
        except BaseException:
            reply.close()
            raise
        return Answer(reply, meta, body)

    def _delay(self, request: Request, failure: APIError, attempt: int, elapsed: float) -> float | None:
        delay = self.policy.delay(
            attempt,
            failure,
            idempotent=request.method == "GET",
            random=random.random(),  # noqa: S311  # spreads retries, keeps no secret
        )
        left = request.timeout.left(elapsed)
        # Waiting past the deadline would only turn a clear error into a late one.
        return None if delay is None or (left is not None and delay >= left) else delay

    def _warn_of_deprecation(self, meta: ResponseMeta) -> None:
        warning = meta.deprecation_warning
        if warning and warning not in self._warned:
            self._warned.add(warning)
            logger.warning("Venice: %s", warning)
