"""The rate limiter of one bucket: an API key, a base URL and a model.

It knows a limit of requests and one of tokens. What a reply's headers leave may be sent, less what was sent after its request;
at their reset one request goes, for at least one has come back whatever the form of the server's window. So may what the last
60 s leave of the limit, for a server allows its limit in any 60 s. After a 429 everything pauses, then one request goes alone.
If the headers had left room, they are missing or wrong, and the limit is learnt: what was accepted in a minute, a tenth less
after each further refusal, more while nothing is refused, until a header names another limit.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple, TypeAlias

from msgspec import Struct, field

from ..types.rate_limits import RateLimits
from .failure_budget import Wait
from .snapshot import BucketSnapshot
from .window import Window

WINDOW_SECONDS = 60.0
GUARD_SECONDS = 0.5  # a request is counted by the server when it arrives, which is later than it was sent
SLOT_SECONDS = 0.25
LEARNS_FROM = 10  # fewer accepted requests may be what others left of a limit; then only a second refusal in a row tells it
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 8.0
ALONE_SECONDS = 2.0  # a refusal comes at once: a request without a reply after this long was most likely accepted
CHALLENGE_SECONDS = 2.0
MAX_STRIKES = 3
DECREASE = 0.9
GROWTH = 1.15
PACE = 1.5  # a learnt limit is not used up faster than this times its rate
FAR = 0.5  # requests are reserved in blocks while more than this part of each limit is left
BLOCK_PART = 0.125  # the part of what is left that a block takes
REFUSED = frozenset({429, 503, 529})


Counts: TypeAlias = tuple[float, float]
"""All units that the server has counted for certain when it answers a request, though others overtake it, and the own units of
the last minute when it is sent. The request itself is one of them; tokens are counted when they were used."""


class Flight(NamedTuple):
    """Requests that were reserved together: one, or a block of them while every limit is far."""

    sent: float  # when they were reserved
    tokens: int  # what each of them may use
    of_requests: Counts
    of_tokens: Counts


class Quota(Struct, array_like=True):
    """What is known of one limit. Its unit is a request, or a token."""

    limit: int | None = None  # what a header named
    used: Window = field(default_factory=lambda: Window(WINDOW_SECONDS + GUARD_SECONDS, SLOT_SECONDS))
    total: float = 0.0  # all units that were ever used
    lagged: float = 0.0  # what `total` was a slot or two ago: later requests may overtake each other on their way
    held: float = 0.0  # units that are reserved, and may become used
    flying: float = 0  # requests without a reply, of whose units no reply tells; infinite where units are tokens

    remaining: float | None = None
    """What the reply said that is believed now; its request was sent when `total` was `mark`, and it came at `known_at`."""
    mark: float = 0.0
    known_at: float = -inf
    lowest: float = 0.0  # the least that a reply said since the last reset
    heard: float = 0.0  # what was used and held when the last reply came
    others: float = 0.0  # units that somebody else has used
    reset_at: float = -inf  # the earliest reset that a reply named and that has not passed
    turned_at: float = -inf  # when the last reset passed
    turned: bool = False  # whether a reset has passed, and no reply has said yet what it brought
    strikes: int = 0  # contradictions in what the headers said; after some, only the limit is still believed
    doubted: bool = True  # whether headers that leave less than the own requests explain may be tested, by sending anyway
    challenged_at: float = -inf

    learned: float | None = None  # the limit as refusals have shown it
    grown_at: float = -inf
    paced_at: float = -inf

    def forget(self, limit: int) -> None:
        """The policy has changed, or is heard of first: nothing is known but the own requests and the limit."""
        fresh = Quota(limit, self.used, self.total, self.lagged, self.held, self.flying)
        for name in self.__struct_fields__:
            setattr(self, name, getattr(fresh, name))

    @property
    def known(self) -> float | None:
        """The limit, as refusals have shown it, or else as a header named it."""
        return self.limit if self.learned is None else self.learned

    @property
    def _believed(self) -> bool:
        """Whether a reply has said what remains, and can be believed."""
        return self.remaining is not None and self.learned is None and self.strikes < MAX_STRIKES

    def _own(self) -> float:
        """What the last minute leaves of the limit."""
        return (self.known or 0) - self.used.total - self.held

    def _told(self) -> float:
        """What is left of what the last reply said."""
        return (self.remaining or 0.0) - max(self.total + self.held - self.mark, 0.0)

    def use(self, now: float, units: float) -> None:
        """So many units are used now."""
        last, counted = self.used.entries[-1] if self.used.entries else (-inf, 0.0)
        if now >= last + SLOT_SECONDS:
            self.lagged = self.total - (counted if now < last + 2 * SLOT_SECONDS else 0.0)
        self.used.add(now, units)
        self.total += units
        if self.learned is not None:
            self.paced_at = max(self.paced_at, now - 1.0) + units * WINDOW_SECONDS / (self.learned * PACE)

    def unuse(self, sent: float, units: float) -> None:
        """Units that were counted at this time were not used after all: nothing was sent."""
        self.used.remove(sent, units)
        self.total -= units
        self.lagged, self.mark = min(self.lagged, self.total), min(self.mark, self.total)

    def left(self, now: float) -> float:
        """How many units may be used now, by what is known."""
        if self.known is None:
            return inf
        self.used.count(now)
        if self.learned is not None:
            if now >= self.grown_at + WINDOW_SECONDS:
                self.learned, self.grown_at = self.learned * GROWTH + 1.0, now
            return self._own() if now >= self.paced_at else 0.0
        if not self._believed:
            return self._own()
        if now >= self.reset_at:
            self._turn(now)
        told = self._told()
        return max(told, self._own() - self.others) if self.reset_at - now <= WINDOW_SECONDS + 1 else told

    def room(self, now: float) -> float:
        """How many units may be used now by whoever asks. Now and then, what the headers say is put to the test."""
        left = self.left(now)
        if left < 1 <= self._own() and self._believed and self.doubted and now >= self._challenge():
            self.challenged_at = now
            return 1.0
        return left

    def _challenge(self) -> float:
        return max(self.challenged_at, self.known_at) + CHALLENGE_SECONDS

    def far(self, now: float) -> float:
        """How many units may be used now, if that is far from the limit; else 0."""
        left = 0.0 if self.learned is not None else self.left(now)
        return left if left > FAR * (self.limit or 0) else 0.0

    def snapshot(self, now: float) -> tuple[float | None, float | None, float | None]:
        """The limit, what remains of it, and the seconds until it is counted anew."""
        left, reset = self.left(now), self.reset_at - now
        return self.known, max(left, 0.0) if left < inf else None, reset if reset > 0 else None

    def _turn(self, now: float) -> None:
        """A reset has passed. At least one unit has come back, but what is in flight since the last reply may have taken it."""
        came_back = not self.flying or self.total + self.held <= self.heard
        self.remaining, self.mark = float(came_back), self.total + self.held
        self.reset_at = now + max(5.0, 2 * WINDOW_SECONDS / (self.limit or 1))
        self.turned_at = self.known_at = now
        self.turned = True

    def until(self, now: float, units: float) -> float | None:
        """When there may be room for so many units, if time alone brings it."""
        missing = units - self._own()
        until = (self.used.when(missing) or inf) if missing > 0 else now
        if self.learned is not None:
            until = max(until, self.paced_at)
        elif self._believed:
            tested = max(until, self._challenge()) if self.doubted and self._challenge() > now else inf
            until = min(self.used.when(max(missing + self.others, 0.0)) or inf, max(self.reset_at, now), tested)
        return max(until, now + 0.01) if until < inf else None

    def hear(
        self, now: float, sent: float, counts: Counts, limit: int | None, remaining: int | None, reset: float | None
    ) -> None:
        """A reply names this limit."""
        if limit is not None and limit != self.limit:
            self.forget(limit)
        expired = sent < self.turned_at or (reset is not None and sent + reset < now - GUARD_SECONDS)
        if remaining is None or self.learned is not None or expired:
            return
        first = self.remaining is None or self.turned
        if remaining > (self.limit or inf) or (not first and self.challenged_at == sent and remaining <= 0):
            self.strikes += 1
        remaining = min(remaining, self.limit or remaining)
        certain, recent = counts
        self.heard = self.total + self.held
        if first or sent >= self.known_at or remaining - (self.heard - certain) > self._told():
            self.remaining, self.mark, self.known_at = float(remaining), certain, now
            self.others = max(0.0, (self.limit or 0) - remaining - recent)
        # Whatever overtook what, after the lowest count only requests without a reply can have been counted.
        self.lowest = remaining if first else min(self.lowest, remaining)
        if self.lowest - self.flying > self._told():
            self.remaining, self.mark = self.lowest - self.flying, self.total
        until = now + GUARD_SECONDS / 2 + (WINDOW_SECONDS if reset is None else reset)
        self.reset_at = min(self.reset_at, until) if self.reset_at > now and not first else until
        self.turned = False

    def refused(self, now: float, *, first: bool) -> None:
        """A request was refused though headers left room: the limit is learnt. It falls once for requests sent together."""
        accepted = max(1.0, self.used.total)
        if self.learned is None:
            self.learned = accepted
        elif first:
            self.learned = max(1.0, min(accepted, self.learned * DECREASE))
        self.grown_at = now


class RateLimiter(Struct, array_like=True):
    """The limits of one bucket."""

    requests: Quota = field(default_factory=Quota)
    tokens: Quota = field(default_factory=lambda: Quota(flying=inf))
    open: int = 0  # requests that were sent and have not ended
    paused_at: float = -inf
    paused_until: float = -inf
    pause: float = 0.0  # the last pause that the server did not name; it doubles with each refusal in a row
    alone_at: float | None = None  # after a pause: when a request went alone, at first -inf; None: nobody has to
    why: str = ""

    def wait(self, now: float, tokens: int) -> Wait | None:
        """How long the first in the queue has to wait; None: it may be sent now, if it is reserved."""
        if self.paused_until > now:
            return Wait(self.paused_until, self.why)
        if self.alone_at is not None and now < self.alone_at + ALONE_SECONDS:
            return Wait(self.alone_at + ALONE_SECONDS, self.why)
        requests, used = self.requests, self.tokens
        if requests.room(now) < 1:
            return self._wait(requests.until(now, 1), "requests a minute")
        room = used.room(now)
        if room < tokens and not (used.turned and room >= 1):
            # A request that is larger than the limit goes when nothing else is in flight.
            units = float(min(tokens, used.known or inf))
            return self._wait(used.until(now, units), "tokens a minute") if room < units else None
        return None

    def _wait(self, until: float | None, why: str) -> Wait | None:
        """A wait, unless neither time nor an answer would end it."""
        return Wait(until, why) if until is not None or self.open else None

    def spare(self, now: float, tokens: int) -> float:
        """How many requests with so many tokens may be reserved in one block; 0 where a limit is not far."""
        if self.paused_until > now or self.alone_at is not None:
            return 0
        return BLOCK_PART * min(self.requests.far(now), self.tokens.far(now) / max(tokens, 1))

    def reserve(self, now: float, tokens: int, count: int = 1) -> Flight:
        """Counts so many requests as sent now, each of which may use so many tokens."""
        requests, total = self.requests, self.tokens
        requests.use(now, count)
        requests.flying += count
        self.open += count
        total.held += tokens * count
        if self.alone_at is not None:
            self.alone_at = now
        before = count - 1  # the counts are those of the first of them
        of_requests = requests.lagged + 1, requests.used.total - before
        return Flight(now, tokens, of_requests, (total.total, total.used.total + total.held - before * tokens))

    def answered(self, count: int = 1) -> None:
        """So many requests have a reply, or will have none. Each has one such moment."""
        self.requests.flying -= count

    def replied(
        self, flight: Flight, now: float, status: int, limits: RateLimits, retry_after: float | None, *, overload: bool = False
    ) -> None:
        """What the head of a reply says, or an error in its body before any content. An overload says nothing of limits."""
        requests = limits.limit_requests, limits.remaining_requests, limits.reset_requests_seconds
        self.requests.hear(now, flight.sent, flight.of_requests, *requests)
        tokens = limits.limit_tokens, limits.remaining_tokens, limits.reset_tokens_seconds
        self.tokens.hear(now, flight.sent, flight.of_tokens, *tokens)
        if status in REFUSED:
            if status == 429 and not overload:
                self._exceeded(flight, now, limits)
            if status == 429 or retry_after is not None:  # else the circuit breaker's
                self._pause(flight, now, status, retry_after)
        elif self.alone_at is not None and flight.sent >= self.paused_at:
            self.alone_at, self.pause, self.why = None, 0.0, ""

    def _exceeded(self, flight: Flight, now: float, limits: RateLimits) -> None:
        """A limit was exceeded; the server did not count the request."""
        requests = self.requests
        requests.used.remove(flight.sent, 1)
        few_tokens = limits.remaining_tokens is not None and limits.remaining_tokens < flight.tokens
        if limits.remaining_requests == 0 or few_tokens or limits.remaining_failures == 0:
            requests.doubted = False  # the headers say why
        elif requests.learned is not None or requests.used.total >= LEARNS_FROM or self.pause > FIRST_PAUSE_SECONDS:
            requests.refused(now, first=flight.sent >= self.paused_at)

    def _pause(self, flight: Flight, now: float, status: int, retry_after: float | None) -> None:
        """Pauses the bucket. Refusals of what was sent before the pause say nothing new but a longer time."""
        if flight.sent >= self.paused_at:
            self.pause = min(max(self.pause * 2, FIRST_PAUSE_SECONDS), MAX_PAUSE_SECONDS)
            self.paused_at = now
        self.paused_until = max(self.paused_until, now + (retry_after or self.pause))
        self.alone_at, self.why = -inf, f"paused by a {status}"

    def settled(self, flight: Flight, now: float, tokens: float, count: int = 1) -> None:
        """So many requests have ended, and have used so many tokens together."""
        self.open -= count
        self.tokens.held -= flight.tokens * count
        if tokens:
            self.tokens.use(now, tokens)
        if self.alone_at == flight.sent:
            self.alone_at = -inf

    def cancelled(self, flight: Flight, count: int = 1) -> None:
        """So many requests were not sent after all."""
        self.requests.unuse(flight.sent, count)
        self.settled(flight, flight.sent, 0, count)

    def under_way(self) -> list[float]:
        """What is to be given back if its process ends."""
        return [self.open, self.requests.flying, self.tokens.held]

    def give_back(self, open_: float, flying: float, held: float) -> None:
        self.open -= int(open_)
        self.requests.flying -= flying
        self.tokens.held -= held

    def learn(self, requests: int | None, tokens: int | None) -> None:
        """Takes in the limits a minute, as the API tells them to whoever asks."""
        for quota, limit in ((self.requests, requests), (self.tokens, tokens)):
            if limit is not None and limit != quota.limit:
                quota.forget(limit)

    def snapshot(self, now: float) -> BucketSnapshot:
        """What is known now."""
        paused = max(self.paused_until - now, 0.0)
        quotas = *self.requests.snapshot(now), *self.tokens.snapshot(now)
        return BucketSnapshot(self.open, *quotas, self.requests.learned is not None, paused, self.why if paused else "")
