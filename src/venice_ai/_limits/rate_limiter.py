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
  the limit is what had been accepted in a minute. It decreases by a tenth with each further refusal, and grows while nothing
  is refused. It is forgotten when a header names another limit.
"""

from __future__ import annotations

from math import inf
from typing import NamedTuple, TypeAlias

from ..types.rate_limits import RateLimits
from .failure_budget import Wait
from .snapshot import BucketSnapshot
from .window import Window

WINDOW_SECONDS = 60.0
GUARD_SECONDS = 0.5
"""A request is counted by the server when it arrives, which is later than it was sent."""
SLOT_SECONDS = 0.25
LEARNS_FROM = 2
"""Requests that must have been accepted in a minute for a refusal to tell a rate: an overloaded model says 429 as well."""
FIRST_PAUSE_SECONDS = 1.0
MAX_PAUSE_SECONDS = 8.0
ALONE_SECONDS = 2.0
"""A refusal comes at once: a request that went alone and has no reply after this long was most likely accepted."""
CHALLENGE_SECONDS = 2.0
MAX_STRIKES = 3
DECREASE = 0.9
GROWTH = 1.15
PACE = 1.5
"""A learnt limit is not used up faster than this times its rate."""
FAR = 0.5
"""Requests are reserved in blocks while more than this part of each limit is left."""
BLOCK_PART = 0.125
"""The part of what is left that a block takes."""
REFUSED = frozenset({429, 503, 529})


Counts: TypeAlias = tuple[float, float, float]
"""What a request knows of one limit when it is sent, itself included (tokens are counted when they were used): what the server
has counted for certain when it answers; what it has counted if no request overtook another; the own use of the last 60 s."""


class Flight(NamedTuple):
    """Requests that were reserved together: one, or a block of them while every limit is far."""

    sent: float
    """When they were reserved."""
    tokens: int
    """What each of them may use."""
    of_requests: Counts
    of_tokens: Counts


class Quota:
    """What is known of one limit. Its unit is a request, or a token."""

    __slots__ = (
        *("anchor", "challenged_at", "doubted", "flying", "full_returns", "grown_at", "guard", "heard", "held", "known_at"),
        *("lagged", "learned", "limit", "lowest", "mark", "of_requests", "others", "paced_at"),
        *("rate", "remaining", "reset_at", "sent_at", "strikes", "total", "turned", "turned_at", "used"),
    )

    def __init__(self, *, of_requests: bool) -> None:
        self.of_requests = of_requests
        self.total = 0.0
        """All units that were ever used."""
        self.lagged = 0.0
        """What `total` was a slot or two ago: later requests may overtake each other on their way."""
        self.held = 0.0
        """Units that are reserved, and may become used."""
        self.flying = 0
        """Requests without a reply."""
        self.used = Window(WINDOW_SECONDS + GUARD_SECONDS, SLOT_SECONDS)
        self.limit: int | None = None
        """What a header named."""
        self.forget()

    def forget(self) -> None:
        """Nothing is known but the own sends: at first, and when the policy has changed."""
        self.remaining: float | None = None
        """What a reply said that came at `known_at`, of a request that was sent at `sent_at`, when `total` was `mark`."""
        self.mark = self.lowest = self.heard = 0.0
        self.known_at = self.sent_at = self.reset_at = self.turned_at = self.paced_at = self.grown_at = -inf
        """`reset_at`: the earliest reset named by a reply and not passed; `turned_at`: when the last one passed."""
        self.others = 0.0
        """Units that somebody else has used."""
        self.turned = False
        """A reset has passed, and no reply has said yet what it brought."""
        self.guard = GUARD_SECONDS / 2
        """How long after a reset the next request is sent; grows if that turns out too early, as with skewed clocks."""
        self.full_returns = 0
        """Resets at which everything came back, in a row: the window is fixed."""
        self.anchor: tuple[float, float, int] | None = None
        """All units that were ever granted, when, and whether they grew: if they do between resets, it is a token bucket."""
        self.rate = 0.0
        self.strikes = 0
        """Contradictions in what the headers said; after some, remaining units and resets are no longer believed."""
        self.doubted = True
        """Whether headers that leave less than the own sends explain may be tested, by sending in spite of them."""
        self.challenged_at = -inf
        self.learned: float | None = None
        """The limit as refusals have shown it."""

    @property
    def known(self) -> float | None:
        """The limit, as refusals have shown it, or else as a header named it."""
        return self.limit if self.learned is None else self.learned

    def use(self, now: float, units: float) -> None:
        """So many units are used now."""
        entries = self.used.entries
        last = entries[-1] if entries else (-inf, 0.0)
        if now >= last[0] + SLOT_SECONDS:
            self.lagged = self.total - (last[1] if now < last[0] + 2 * SLOT_SECONDS else 0.0)
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
        if self.limit is None and self.learned is None:
            return inf
        self.used.count(now)
        if self.learned is not None:
            if now >= self.grown_at + WINDOW_SECONDS:
                self.learned, self.grown_at = self.learned * GROWTH + 1.0, now
            return self.learned - self.used.total - self.held if now >= self.paced_at else 0.0
        own = (self.limit or 0) - self.used.total - self.held
        if self.remaining is None or self.strikes >= MAX_STRIKES:
            return own
        if now >= self.reset_at:
            self._turn(now)
        told = self._told(now)
        if self.reset_at - now <= WINDOW_SECONDS + 1 and not self.rate:
            told = max(told, own - self.others)
        return told

    def room(self, now: float) -> float:
        """How many units may be used now by whoever asks. Now and then, what the headers say is put to the test."""
        left, own = self.left(now), (self.limit or 0) - self.used.total - self.held
        untested = self._known and self.doubted and now >= max(self.challenged_at, self.known_at) + CHALLENGE_SECONDS
        if left < 1 <= own and untested:
            self.challenged_at = now
            return 1.0
        return left

    @property
    def _known(self) -> bool:
        """Whether a reply has said what remains, and can be believed."""
        return self.remaining is not None and self.learned is None and self.strikes < MAX_STRIKES

    def far(self, now: float) -> float:
        """How many units may be used now, if that is far from the limit; else 0."""
        left = 0.0 if self.learned is not None else self.left(now)
        return left if left > FAR * (self.limit or 0) else 0.0

    def snapshot(self, now: float) -> tuple[float | None, float | None, float | None]:
        """The limit, what remains of it, and the seconds until it is counted anew."""
        left, reset = self.left(now), self.reset_at - now
        return self.known, max(left, 0.0) if left < inf else None, reset if reset > 0 else None

    def _told(self, now: float) -> float:
        """What is left of what the last reply said."""
        left = (self.remaining or 0.0) - max(self.total + self.held - self.mark, 0.0)
        return left + self.rate * max(now - self.sent_at - GUARD_SECONDS, 0.0)

    def _turn(self, now: float) -> None:
        """A reset has passed. At least one unit has come back; if the window is known to be fixed, all have."""
        if self.full_returns > 1:
            self.remaining, self.mark, self.reset_at = float(self.limit or 1), self.lagged, now + WINDOW_SECONDS
            self.others = 0.0
        else:
            # What was sent since that reply came may have taken it already.
            self.remaining, self.mark = float(self.total + self.held <= self.heard), self.total + self.held
            self.reset_at = now + max(5.0, 2 * WINDOW_SECONDS / (self.limit or 1))
        self.turned_at = self.known_at = self.sent_at = now
        self.turned = True
        if not self.rate:
            self.anchor = None

    def until(self, now: float, units: float) -> float | None:
        """When there may be room for so many units, if time alone brings it."""
        known = self._known
        until = max(self.reset_at, now) if known else inf
        if self.learned is not None and now < self.paced_at:
            return self.paced_at
        if known and self.rate:
            until = min(until, now + max(units - self._told(now), 0.0) / self.rate)
        challenge = max(self.challenged_at, self.known_at) + CHALLENGE_SECONDS
        if known and self.doubted and challenge > now:
            until = min(until, challenge)
        limit = self.learned if self.learned is not None else (self.limit or inf) - (self.others if known else 0.0)
        missing = units - (limit - self.used.total - self.held)
        until = min(until, self.used.when(max(missing, 0.0)) or inf)
        return max(until, now + 0.01) if until < inf else None

    def hear(
        self, now: float, sent: float, counts: Counts, limit: int | None, remaining: int | None, reset: float | None
    ) -> None:
        """A reply names this limit."""
        if limit is not None and limit != self.limit:
            if self.limit is not None:
                self.forget()
            self.limit = limit
        if self.limit is not None and remaining is not None and remaining > self.limit:
            self.strikes, remaining = self.strikes + 1, self.limit
        certain, likely, own = counts
        expired = sent < self.turned_at or (reset is not None and sent + reset < now - GUARD_SECONDS)
        if remaining is None or self.learned is not None or expired:
            return
        first = self.remaining is None or self.turned
        newer = first or sent >= self.known_at
        until = now + self.guard + (WINDOW_SECONDS if reset is None else reset)
        used = self.total + self.held
        if newer:
            self._compare(sent, likely, remaining, until)
        told = self._told(now)
        if first or remaining - (used - certain) > told or (newer and remaining - (used - likely) < told):
            self.remaining, self.mark, self.sent_at, self.known_at = float(remaining), certain, sent, now
            self.others = max(0.0, (self.limit or 0) - remaining - own)
        # Whatever overtook what, after the lowest count only requests without a reply can have been counted.
        self.lowest = remaining if first else min(self.lowest, remaining)
        if self.of_requests and self.lowest - self.flying > self._told(now):
            self.remaining, self.mark, self.sent_at = self.lowest - self.flying, self.total, now
        self.reset_at = min(self.reset_at, until) if self.reset_at > now and not first else until
        self.turned, self.heard = False, self.total + self.held

    def _compare(self, sent: float, requests: float, remaining: int, until: float) -> None:
        """Find out the form of the window, and contradictions, from a reply that is newer than all that is known."""
        limit = self.limit or 0
        if self.turned:
            # A bucket that was hardly used is soon full again, too.
            returned = remaining >= 0.8 * limit - (self.total - self.mark) and self.used.total > limit / 2 > 2
            self.full_returns = self.full_returns + 1 if returned else 0
        elif until < self.reset_at - 5.0 or (self.challenged_at == sent and remaining <= 0):
            self.strikes += 1
        if not self.of_requests:
            return  # some servers count tokens when they were used, so that what was granted is not known
        granted = remaining + requests
        if self.anchor is None or granted < self.anchor[0]:
            self.anchor = granted, sent, 0
            return
        rise, seconds = granted - self.anchor[0], sent - self.anchor[1]
        if rise > 3 + limit * 0.05 and seconds > 2 and self.used.entries[0][0] > sent - WINDOW_SECONDS:
            if self.anchor[2]:  # the second rise: a first one may be a reset that nobody has noticed yet
                self.rate = min(self.rate or inf, 0.9 * rise / seconds)
            self.anchor = granted, sent, 1

    def refused(self, now: float, sent: float, *, foretold: bool, first: bool) -> None:
        """A request was refused. If the headers did not foretell it, they are missing or wrong: the limit is learnt."""
        if foretold:
            self.doubted = False
            if first and sent >= self.turned_at > -inf:
                self.guard, self.full_returns, self.rate = min(self.guard * 4, 4.0), 0, self.rate * 0.9
            return
        if self.learned is None and self.used.total < LEARNS_FROM:
            return
        accepted = max(1.0, self.used.total)
        if self.learned is None:
            self.learned = accepted
        else:
            self.learned = max(1.0, min(accepted, self.learned * DECREASE if first else self.learned))
        self.grown_at = now


class RateLimiter:
    """The limits of one bucket."""

    __slots__ = ("alone_at", "open", "pause", "paused_at", "paused_until", "requests", "tokens", "why")

    def __init__(self) -> None:
        self.requests = Quota(of_requests=True)
        self.tokens = Quota(of_requests=False)
        self.open = 0
        """Requests that were sent and have not ended."""
        self.paused_at = -inf
        self.paused_until = -inf
        self.pause = 0.0
        """The last pause that the server did not name."""
        self.alone_at: float | None = None
        """After a pause: when a request went alone; infinitely early before one did. None: nobody has to."""
        self.why = ""

    def wait(self, now: float, tokens: int) -> Wait | None:
        """How long the first in the queue has to wait; None: it may be sent now, if it is reserved."""
        if self.paused_until > now:
            return Wait(self.paused_until, self.why)
        if self.alone_at is not None and now < self.alone_at + ALONE_SECONDS:
            return Wait(self.alone_at + ALONE_SECONDS, self.why)
        requests, used = self.requests, self.tokens
        if requests.room(now) < 1 and self._busy(requests):
            return Wait(requests.until(now, 1), "requests a minute")
        room = used.room(now)
        if room < tokens:
            # A request that is larger than the limit goes when nothing else is in flight.
            units = float(min(tokens, used.known or inf))
            probe = used.turned and room >= 1
            if room < units and not probe and self._busy(used):
                return Wait(used.until(now, units), "tokens a minute")
        return None

    def _busy(self, quota: Quota) -> bool:
        """Whether waiting brings anything: a request in flight, a reset, or units that leave the last minute."""
        return bool(self.open or quota.used.entries or quota.reset_at > -inf)

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
        first = 1 - count  # the counts are those of the first of them
        return Flight(
            now,
            tokens,
            (requests.lagged + 1, requests.total + first, requests.used.total + first),
            (total.total, total.total, total.used.total + total.held + first * tokens),
        )

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
        self.requests.used.remove(flight.sent, 1)
        tokens = limits.remaining_tokens is not None and limits.remaining_tokens < flight.tokens
        foretold = limits.remaining_requests == 0 or tokens or limits.remaining_failures == 0
        self.requests.refused(now, flight.sent, foretold=foretold, first=flight.sent >= self.paused_at)

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

    def learn(self, requests: int | None, tokens: int | None) -> None:
        """Takes in the limits a minute, as the API tells them to whoever asks."""
        for quota, limit in ((self.requests, requests), (self.tokens, tokens)):
            if limit is not None and limit != quota.limit:
                quota.forget()
                quota.limit = limit

    def snapshot(self, now: float) -> BucketSnapshot:
        """What is known now."""
        paused = max(self.paused_until - now, 0.0)
        quotas = *self.requests.snapshot(now), *self.tokens.snapshot(now)
        return BucketSnapshot(self.open, *quotas, self.requests.learned is not None, paused, self.why if paused else "")
