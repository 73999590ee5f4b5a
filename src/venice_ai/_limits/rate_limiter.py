"""The rate limiter of one bucket: an API key, a base URL and a model.

It knows two limits, of requests and of tokens, and what it knows of each comes from three sources:

* **Headers.** A reply says how much remains. Of that, whatever was sent after the request of that reply is taken away. A
  reply replaces what an earlier one said if its request was sent after that one had come; else the lower of both holds.
  Whatever the form of the server's window (fixed, sliding, token bucket), at the reset that a reply names at least one
  request has come back: one is let through, and its reply says what else has.
* **The own sends of the last minute.** A server that allows `limit` a minute allows `limit` in any 60 s, whatever the form of
  its window. So as much may be sent as the last 60 s leave of the limit, also where no reply has said so yet.
* **Refusals (429).** Everything pauses until the time that they name, or for a back-off; then one request goes alone, and the
  rest once it was not refused. A refusal that the headers did not foretell shows that they are missing or wrong: from then on
  the limit is what had been accepted in a minute. It decreases by a tenth with each further refusal, and grows while there
  is none. It is forgotten when a header names another limit.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from math import inf

from ..types.rate_limits import RateLimits
from .failure_budget import Wait

WINDOW_SECONDS = 60.0
GUARD_SECONDS = 0.5
"""A request is counted by the server when it arrives, which is later than it was sent."""
SLOT_SECONDS = 0.25
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 8.0
ALONE_SECONDS = 2.0
"""A refusal comes at once: a request that went alone and has no reply after this long was most likely accepted."""
REFUSED = frozenset({429, 503, 529})


class Quota:
    """What is known of one limit. Its unit is a request, or a token."""

    __slots__ = (
        *(
            "grown_at",
            "held",
            "learned",
            "limit",
            "log",
            "logged",
            "mark",
            "others",
            "known_at",
            "remaining",
            "reset_at",
            "total",
        ),
        "trusted",
    )

    def __init__(self) -> None:
        self.limit: int | None = None
        """What a header named."""
        self.remaining: float | None = None
        """What a reply said, when `total` was `mark`; the reply came at `known_at`, and names the reset."""
        self.mark = 0.0
        self.known_at = -inf
        self.reset_at = -inf
        self.total = 0.0
        """All units that were ever used."""
        self.held = 0.0
        """Units that are reserved, and may become used."""
        self.others = 0.0
        """Units that somebody else has used until the reset."""
        self.log: deque[list[float]] = deque()
        """When units were used, in slots: the slot's start, the units."""
        self.logged = 0.0
        self.learned: float | None = None
        """The limit as refusals have shown it."""
        self.grown_at = 0.0
        self.trusted = True

    def use(self, now: float, units: float) -> None:
        self.total += units
        self.logged += units
        log = self.log
        if log and now < log[-1][0] + SLOT_SECONDS:
            log[-1][1] += units
        else:
            log.append([now, units])

    def unuse(self, sent: float, units: float) -> None:
        """The server refused what was sent at this time, so it did not count it."""
        self.total -= units
        for slot in reversed(self.log):
            if slot[0] <= sent:
                taken = min(units, slot[1])
                slot[1] -= taken
                self.logged -= taken
                return

    def room(self, now: float) -> float:
        """How many units may be used now."""
        if self.limit is None and self.learned is None:
            return inf
        log, oldest = self.log, now - WINDOW_SECONDS - GUARD_SECONDS
        while log and log[0][0] + SLOT_SECONDS <= oldest:
            self.logged -= log.popleft()[1]
        used = self.logged + self.held
        if self.learned is not None:
            self._grow(now)
            return self.learned - used
        if now >= self.reset_at:
            self.others = 0.0
        most = -inf
        if self.limit is not None and self.reset_at - self.known_at <= WINDOW_SECONDS + 1:
            most = self.limit - used - self.others
        if self.remaining is not None:
            if now >= self.reset_at and self.reset_at > -inf:
                self.remaining, self.mark, self.known_at = 1.0, self.total + self.held, now
                self.reset_at = now + max(5.0, 2 * WINDOW_SECONDS / (self.limit or 1))
            most = max(most, self.remaining - (self.total + self.held - self.mark))
        return most

    def _grow(self, now: float) -> None:
        if self.learned is not None and now >= self.grown_at + WINDOW_SECONDS:
            self.learned += max(1.0, self.learned * 0.1)
            self.grown_at = now

    def until(self, now: float, units: float) -> float | None:
        """When there may be room for so many units, if time alone brings it."""
        until = self.reset_at if self.remaining is not None and self.learned is None and self.reset_at > now else inf
        limit = self.learned if self.learned is not None else (self.limit or inf) - self.others
        missing = units - (limit - self.logged - self.held)
        for start, used in self.log:
            missing -= used
            if missing <= 0:
                until = min(until, start + SLOT_SECONDS + WINDOW_SECONDS + GUARD_SECONDS)
                break
        return max(until, now + 0.01) if until < inf else None

    def hear(self, now: float, sent: float, mark: float, limit: int | None, remaining: int | None, reset: float | None) -> None:
        """A reply names this limit; its request was sent at `sent`, when `total` was `mark`."""
        if limit is not None and limit != self.limit:
            if self.limit is not None:
                self.learned, self.trusted, self.known_at, self.remaining = None, True, -inf, None
            self.limit = limit
        if remaining is None or not self.trusted:
            return
        allowed = remaining - (self.total + self.held - mark)
        if self.remaining is None or sent >= self.known_at or allowed < self.remaining - (self.total + self.held - self.mark):
            self.remaining, self.mark, self.known_at = float(remaining), mark, now
            self.reset_at = now + reset + 0.1 if reset is not None else (now + WINDOW_SECONDS)
            if self.limit is not None:
                self.others = max(0.0, self.limit - remaining - self.logged - self.held)

    def learn(self, now: float, *, again: bool) -> None:
        """A refusal that was not foretold."""
        accepted = max(1.0, self.logged)
        self.learned = min(accepted, (self.learned or inf) * 0.9) if again else min(accepted, self.learned or inf)
        self.learned = max(self.learned, 1.0)
        self.trusted = False
        self.grown_at = now


@dataclass(frozen=True)
class BucketSnapshot:
    """What is known of one bucket: an API key, a base URL and a model. Times are seconds from now; None: not known."""

    in_flight: int
    """Requests that were sent and have not ended."""
    limit_requests: float | None
    """Requests that are allowed a minute: as a header said, or as refusals have shown."""
    remaining_requests: float | None
    """Requests that may be sent now."""
    reset_requests_seconds: float | None
    """When the server counts requests anew."""
    limit_tokens: float | None
    """Tokens that are allowed a minute."""
    remaining_tokens: float | None
    """Tokens that may be used now."""
    reset_tokens_seconds: float | None
    """When the server counts tokens anew."""
    learned: bool
    """Whether the limit was learnt from refusals, because headers are missing or wrong."""
    paused_seconds: float
    """For how long all requests are held, because the server refused one; 0 if they are not."""
    why: str
    """What holds them, such as `paused by a 429`; empty if nothing does."""


class RateLimiter:
    """The limits of one bucket."""

    __slots__ = ("alone", "last_ticket", "pause", "paused_at", "paused_until", "requests", "tickets", "tokens", "why")

    def __init__(self) -> None:
        self.requests = Quota()
        self.tokens = Quota()
        self.tickets: dict[int, list[float]] = {}
        """Requests that have not ended: when sent, tokens, `total` of requests and of tokens then, whether replied."""
        self.last_ticket = 0
        self.paused_at = -inf
        self.paused_until = -inf
        self.pause = 0.0
        """The last pause that the server did not name."""
        self.alone: list[float] | None = None
        """After a pause: the ticket that went alone, and when; empty before it."""
        self.why = ""

    def reserve(self, now: float, tokens: int) -> int | Wait:
        """A ticket for a request that is sent now and may use so many tokens; or how long the first in the queue waits."""
        if self.paused_until > now:
            return Wait(self.paused_until, self.why)
        if self.alone and now < self.alone[1] + ALONE_SECONDS:
            return Wait(self.alone[1] + ALONE_SECONDS, self.why)
        room = self.requests.room(now)
        if room < 1 and self._busy(self.requests):
            return Wait(self.requests.until(now, 1), "requests a minute")
        room = self.tokens.room(now)
        if room < tokens:
            units = float(tokens if self.may_ever(tokens) else self._limit(self.tokens) or 1)
            if room < units and self._busy(self.tokens):
                return Wait(self.tokens.until(now, units), "tokens a minute")
        return self._send(now, tokens)

    def _busy(self, quota: Quota) -> bool:
        """Whether waiting brings anything: a request in flight, a reset, or units that leave the last minute."""
        return bool(self.tickets or quota.log or quota.reset_at > -inf)

    def _send(self, now: float, tokens: int) -> int:
        self.last_ticket = ticket = self.last_ticket + 1
        self.requests.use(now, 1)
        self.tickets[ticket] = [now, tokens, self.requests.total, self.tokens.total, 0]
        self.tokens.held += tokens
        if self.alone is not None:
            self.alone = [ticket, now]
        return ticket

    def replied(self, ticket: int, now: float, status: int, limits: RateLimits, retry_after: float | None) -> None:
        """The head of the reply came.

        Args:
            ticket: what `reserve` gave.
            now: the time.
            status: of HTTP, or what an error before any content counts as.
            limits: what its headers said.
            retry_after: the seconds that a refusal asks to wait (`wait_seconds`); None if it does not say.
        """
        flight = self.tickets.get(ticket)
        if flight is None:
            return
        sent, _, requests, tokens, _ = flight
        flight[4] = status
        if limits.limit_requests is not None or limits.remaining_requests is not None:
            self.requests.hear(
                now, sent, requests, limits.limit_requests, limits.remaining_requests, limits.reset_requests_seconds
            )
        if limits.limit_tokens is not None or limits.remaining_tokens is not None:
            self.tokens.hear(now, sent, tokens, limits.limit_tokens, limits.remaining_tokens, limits.reset_tokens_seconds)
        if status in REFUSED:
            self._refused(ticket, now, sent, status, limits, retry_after)
        elif self.alone is not None and sent >= self.paused_at:
            self.alone, self.pause, self.why = None, 0.0, ""

    def _refused(
        self, ticket: int, now: float, sent: float, status: int, limits: RateLimits, retry_after: float | None
    ) -> None:
        """A refusal pauses the bucket; requests that were sent before the pause say nothing new but a longer time."""
        if status == 429:
            self.requests.unuse(sent, 1)
        elif retry_after is None:
            return  # the circuit breaker's
        foretold = limits.remaining_requests == 0 or limits.remaining_tokens == 0 or limits.remaining_failures == 0
        first = sent >= self.paused_at
        if status == 429 and not foretold:
            if first:
                self.requests.learn(now, again=self.requests.learned is not None)
            elif self.requests.learned is not None:
                self.requests.learned = max(1.0, min(self.requests.learned, self.requests.logged))
        if first:
            self.pause = min(max(self.pause * 2, FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
            self.paused_at = now
        self.paused_until = max(self.paused_until, now + (retry_after or self.pause))
        self.alone, self.why = [], f"paused by a {status}"

    def settled(self, ticket: int, now: float, tokens: int | None) -> None:
        """The call has ended, and has used so many tokens; None: unknown, because it failed or was cancelled."""
        flight = self.tickets.pop(ticket, None)
        if flight is None:
            return
        self.tokens.held -= flight[1]
        if flight[4] < 400:
            self.tokens.use(now, flight[1] if tokens is None else tokens)
        if self.alone and self.alone[0] == ticket:
            self.alone = []

    def cancelled(self, ticket: int) -> None:
        """The request was not sent after all."""
        if flight := self.tickets.pop(ticket, None):
            self.requests.unuse(flight[0], 1)
            self.tokens.held -= flight[1]
            if self.alone and self.alone[0] == ticket:
                self.alone = []

    def may_ever(self, tokens: int) -> bool:
        """Whether so many tokens fit into the limit at all; a larger request goes when nothing else is in flight."""
        return tokens <= (self._limit(self.tokens) or inf)

    def _limit(self, quota: Quota) -> float | None:
        return quota.learned if quota.learned is not None else quota.limit

    def snapshot(self, now: float) -> BucketSnapshot:
        """What is known now."""
        requests, tokens = self.requests.room(now), self.tokens.room(now)
        return BucketSnapshot(
            in_flight=len(self.tickets),
            limit_requests=self._limit(self.requests),
            remaining_requests=max(requests, 0.0) if requests < inf else None,
            reset_requests_seconds=self.requests.reset_at - now if self.requests.reset_at > now else None,
            limit_tokens=self._limit(self.tokens),
            remaining_tokens=max(tokens, 0.0) if tokens < inf else None,
            reset_tokens_seconds=self.tokens.reset_at - now if self.tokens.reset_at > now else None,
            learned=self.requests.learned is not None,
            paused_seconds=max(self.paused_until - now, 0.0),
            why=self.why if self.paused_until > now else "",
        )
