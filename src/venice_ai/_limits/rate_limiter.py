"""The rate limiter of one bucket: an API key, a base URL and a model.

It counts the requests and tokens of the last minute, for a server allows its limit in any 60 s, and of the day; and by how much
the server's count is apart from that: more if others use the limit, too, less if a window has begun anew or a bucket fills. At
a reset one request finds out, for at least one unit has come back, whatever the form of the window. After a 429 everything
pauses, then one request goes alone. If the headers had left room, the limit is learnt: what was accepted in a minute, a tenth
less after each further refusal, more while nothing is refused, until a header names another. A refusal that names a time is
obeyed instead: one request goes then, and each that is accepted lets two more go, unless that one is refused, too.

The circuit breaker pauses in the same way, after 5 server errors (5xx), connection failures and time-outs that are half of the
replies of the last 10 s; also after 8, and as many as are open, without a good reply to what was sent since the first of them,
for an outage after much success. It pauses for 1 s, and then twice as long, up to 3.5 s from one request to the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import inf
from typing import NamedTuple

from msgspec import Struct, field

from .._core.window import Window
from ..types.limits import BucketSnapshot
from ..types.rate_limits import RateLimits
from .failure_budget import Wait

WINDOW_SECONDS, SLOT_SECONDS = 60.0, 0.25
DAY_SECONDS, DAY_SLOT_SECONDS = 86_400.0, 900.0
GUARD_SECONDS = 0.5  # a request is counted by the server when it arrives, which is later than it was sent
LEARNS_FROM = 10  # fewer accepted requests may be what others left of a limit; then only a second refusal in a row tells it
FIRST_PAUSE_SECONDS, MAX_PAUSE_SECONDS, CHALLENGE_SECONDS = 1.0, 8.0, 2.0
MAX_OPEN_SECONDS = 3.5  # from one request to the next, so that a server that is back is noticed within 5 s
ALONE_SECONDS = 2.0  # a refusal comes at once: a request without a reply after this long was most likely accepted
DECREASE, GROWTH = 0.9, 1.15
PACE = 1.5  # a learnt limit is not used up faster than this times its rate
FAR, BLOCK_PART = 0.5, 0.125  # while more than this part of each limit is left, requests are reserved in blocks of a part of it
CIRCUIT_SECONDS, MIN_FAILURES, MAX_RUN, CIRCUIT_OPEN = 10.0, 5, 8, "circuit open"
_circuit_window = partial(Window, CIRCUIT_SECONDS, 1.0)


class Flight(NamedTuple):
    """Requests that were reserved together: one, or a block of them while every limit is far."""

    sent: float  # when they were reserved
    tokens: int  # what each of them may use
    own_requests: float  # what the limiter counted of each limit when they were sent, with the first of them
    own_tokens: float


class Quota(Struct, array_like=True):
    """What is known of one limit. Its unit is a request, or a token."""

    limit: float | None = None  # as refusals have shown it, or else as a header named it
    named: int | None = None  # what a header named
    used: Window = field(default_factory=lambda: Window(WINDOW_SECONDS + GUARD_SECONDS, SLOT_SECONDS))
    unanswered: float = 0.0  # units that are used, though no reply has come that counts them
    held: float = 0.0  # units that are reserved, and may become used
    ends_at: float = inf  # of a limit of a day: its midnight, when all that was used comes back
    apart: float = 0.0  # by how much the server counts more (somebody else uses it) or less (it has forgotten the oldest)
    lowest: float = 0.0  # the least that a reply said since the last reset
    heard_at: float = -inf  # when the newest request was sent whose reply said what remains
    reset_at: float = -inf  # the earliest reset that a reply named and that has not passed
    turned_at: float = -inf  # when the last reset passed
    challenged_at: float = -inf  # when the headers were last put to the test; never again if that is infinite
    learned: bool = False  # whether what remains is not what headers say, but what own requests leave of the limit
    timed: bool = False  # whether the refusal that showed it named a time, which is obeyed rather than a whole minute
    grown_at: float = -inf
    paced_at: float = -inf

    def with_limit(self, limit: int | None, ends_at: float = inf) -> Quota:
        """The server names the limit. If that is another one, the policy has changed, and only own requests are still known."""
        new = limit not in {None, self.named} or ends_at < inf
        return Quota(limit, limit, self.used, self.unanswered, self.held, ends_at) if new else self

    def learn(self, now: float, limit: float, *, timed: bool = False) -> None:
        """The headers are missing or wrong; this is the limit as far as own requests show it."""
        self.limit, self.learned, self.timed, self.grown_at, self.apart = max(limit, 1.0), True, timed, now, 0.0

    @property
    def own(self) -> float:
        """Units of the last minute that are used or reserved."""
        return self.used.total + self.held

    def use(self, now: float, units: float) -> None:
        self._age(now)
        self.used.add(now, units)
        if self.learned and not self.timed:
            self.paced_at = max(self.paced_at, now - 1.0) + units * WINDOW_SECONDS / ((self.limit or 1) * PACE)

    def _age(self, now: float) -> None:
        """Forgets what is older than a minute, or of another day."""
        while now >= self.ends_at:  # then nothing of the day before stays, also not of its last slot
            self.ends_at += DAY_SECONDS
        old = self.used.total - self.used.count(now if self.ends_at == inf else self.ends_at + self.used.slot - 0.001)
        if self.apart < 0:
            self.apart = min(self.apart + old, 0.0)
        elif self.reset_at > now + WINDOW_SECONDS + 1:  # the server does not
            self.apart += old

    def left(self, now: float) -> float:
        """How many units may be used now, by what is known."""
        if self.limit is None:
            return inf
        self._age(now)
        if self.learned and now >= self.grown_at + WINDOW_SECONDS:  # never above what a header names
            self.limit, self.grown_at = min(self.limit * GROWTH + 1.0, self.named or inf), now
        left = self.limit - self.own
        if not self.learned and self.heard_at > -inf and now >= self.reset_at:
            # At least one unit has come back, if nothing in flight has taken it.
            self.apart = min(self.apart, left - (0 if self.unanswered or self.held else 1))
            self.turned_at, self.reset_at = now, now + max(5.0, 2 * WINDOW_SECONDS / self.limit)
        return left - self.apart if now >= self.paced_at else 0.0

    def room_at(self, now: float, units: float) -> float:
        """When there may be room for so many units: now, or when time alone brings it, or never."""
        left = self.left(now)
        units = min(units, self.limit or inf)  # what is larger than the limit goes when nothing else is in flight
        if left >= units:
            return now
        missing = units - (self.limit or 0) + self.own
        at = min(max(self.used.when(missing), self.paced_at), self.ends_at)
        if not self.learned and self.heard_at > -inf:
            # If the headers leave less than the own requests explain, one is sent anyway: a test of what they say.
            tested = max(self.challenged_at, self.heard_at) + CHALLENGE_SECONDS
            if left < 1 <= left + self.apart and now >= tested:
                self.challenged_at = now
                return now
            at = min(self.used.when(missing + self.apart), max(self.reset_at, now), max(at, tested) if tested > now else inf)
        return max(at, now + 0.01)

    def snapshot(self, now: float) -> tuple[float | None, float | None, float | None]:
        """The limit, what remains of it, and the seconds until it is counted anew."""
        left, reset = self.left(now), self.reset_at - now
        return self.limit, max(left, 0.0) if left < inf else None, reset if reset > 0 else None

    def observe(self, now: float, sent: float, own: float, remaining: int | None, reset: float | None) -> None:
        """A reply says what remains of this limit; `own` were the own units when its request was sent."""
        seconds = WINDOW_SECONDS if reset is None else reset
        expired = sent < self.turned_at or sent + seconds < now - GUARD_SECONDS
        if remaining is None or self.limit is None or self.learned or expired:
            return
        if remaining > self.limit or (self.challenged_at == sent and remaining <= 0):
            self.learn(now, self.limit)
            return
        first = self.heard_at <= self.turned_at
        if sent >= self.heard_at:
            self.apart = max(self.limit - remaining - own, min(self.apart, 0.0))
            self.heard_at = sent
        # Whatever overtook what, after the lowest count only what is in flight can have been counted.
        self.lowest = remaining if first else min(self.lowest, remaining)
        self.apart = min(self.apart, self.limit - self.own - self.lowest + self.unanswered + self.held)
        until = now + GUARD_SECONDS + seconds
        self.reset_at = min(self.reset_at, until) if self.reset_at > now and not first else until


class RateLimiter(Struct, array_like=True):
    """The limits of one bucket."""

    requests: Quota = field(default_factory=Quota)
    tokens: Quota = field(default_factory=Quota)
    open: int = 0  # requests that were sent and have not ended
    failures: Window = field(default_factory=_circuit_window)  # of the server, since the circuit was closed
    run: Window = field(default_factory=_circuit_window)  # those since the last good reply
    successes: Window = field(default_factory=_circuit_window)
    pause: float = 0.0  # seconds of the last pause, unless the server named them; 0: none, or a request after it was answered
    paused_at: float = -inf
    paused_until: float = -inf
    alone_at: float = -inf  # when a request went alone after it
    why: str = ""
    days: list[Quota] = field(default_factory=lambda: [Quota(used=Window(DAY_SECONDS, DAY_SLOT_SECONDS)) for _ in "rt"])

    def _quotas(self, tokens: int) -> tuple[tuple[Quota, int, str], ...]:
        """Every limit, what a request uses of it, and its name."""
        minute = (self.requests, 1, "requests a minute"), (self.tokens, tokens, "tokens a minute")
        return *minute, (self.days[0], 1, "requests a day"), (self.days[1], tokens, "tokens a day")

    def wait(self, now: float, tokens: int) -> Wait | None:
        """How long the first in the queue has to wait; None: it may be sent now, if it is reserved."""
        free_at = max(self.paused_until, self.alone_at + ALONE_SECONDS)
        if self.pause and now < free_at:
            return Wait(free_at, self.why if now < self.paused_until else self.why.replace("open", "half-open"))
        if self.pause and self.requests.timed:
            return None  # the server has named this time, whatever was learnt from its refusal
        for quota, units, why in self._quotas(tokens):
            at = quota.room_at(now, units)
            if at > now and (at < inf or self.open):  # if neither time nor an answer would end the wait, it is sent
                return Wait(at if at < inf else None, why)
        return None

    def spare(self, now: float, tokens: int) -> float:
        """How many requests with so many tokens may be reserved in one block; 0 where a limit is not far."""
        spare = inf
        for quota, units, _ in self._quotas(max(tokens, 1)):
            left = 0.0 if self.pause or quota.learned else quota.left(now)
            spare = min(spare, left / units if left > FAR * (quota.limit or 0) else 0.0)
        return spare * BLOCK_PART

    def reserve(self, now: float, tokens: int, count: int = 1) -> Flight:
        """Counts so many requests as sent now, each of which may use so many tokens."""
        self.open += count
        self.requests.unanswered += count
        for each in (self.requests, self.days[0]):
            each.use(now, count)
        for each in (self.tokens, self.days[1]):
            each.held += tokens * count
        self.alone_at = now if self.pause else self.alone_at
        others = count - 1  # the counts with the first
        return Flight(now, tokens, self.requests.own - others, self.tokens.own - others * tokens)

    def update_limits(self, limits: Mapping[str, int | None], midnight: float = inf) -> None:
        """Takes in limits that headers or the API name: requests and tokens a minute, and a day, which ends at midnight."""
        self.requests = self.requests.with_limit(limits.get("RPM"))
        self.tokens = self.tokens.with_limit(limits.get("TPM"))
        self.days = [each.with_limit(limits.get(kind), midnight) for each, kind in zip(self.days, ("RPD", "TPD"), strict=True)]

    def replied(
        self, flight: Flight, now: float, status: int, limits: RateLimits, retry_after: float | None, *, overload: bool = False
    ) -> None:
        """What the head of a reply says, or an error in its body before any content; the status is 0 if the connection failed.

        An overload says nothing of limits.
        """
        self.update_limits({"RPM": limits.limit_requests, "TPM": limits.limit_tokens})
        exceeded = status == 429 and not overload
        few_tokens = limits.remaining_tokens is not None and limits.remaining_tokens < flight.tokens
        explained = exceeded and (limits.remaining_requests == 0 or few_tokens or limits.remaining_failures == 0)
        if explained:  # by the headers
            self.requests.challenged_at = self.tokens.challenged_at = inf
        self.requests.observe(now, flight.sent, flight.own_requests, limits.remaining_requests, limits.reset_requests_seconds)
        self.tokens.observe(now, flight.sent, flight.own_tokens, limits.remaining_tokens, limits.reset_tokens_seconds)
        new = flight.sent >= self.paused_at or not self.pause  # what was sent before a pause says nothing new but a longer time
        why = f"paused by a {status}" if status == 429 or (status in {503, 529} and retry_after is not None) else ""
        retry_after = retry_after if why else None  # another one's is for its own call
        if exceeded:
            self.requests.used.remove(flight.sent, 1)  # the server did not count it
            if not explained:
                self._learn(now, new=new, timed=retry_after is not None)
        if not status or status >= 500:
            why = CIRCUIT_OPEN if self._fails_often(now, flight.sent) else why
        elif not why:
            self.successes.add(now)
            self.run = _circuit_window() if self.run.total and flight.sent >= self.run.entries[0][0] else self.run
            if new:
                self.failures = _circuit_window() if self.is_circuit_open else self.failures
                self.pause = 0.0
                self.requests.apart -= 2.0 if self.requests.timed else 0.0  # it was accepted, so that two more may be sent
        if why and new:
            most, spent = (MAX_OPEN_SECONDS, now - flight.sent) if why == CIRCUIT_OPEN else (MAX_PAUSE_SECONDS, 0.0)
            self.pause = min(max(self.pause * 2, FIRST_PAUSE_SECONDS), most)
            self.paused_at, self.alone_at, self.why = now, -inf, why
            retry_after = retry_after or max(self.pause - spent, FIRST_PAUSE_SECONDS)
        if why:
            self.paused_until = max(self.paused_until, now + (retry_after or 0.0))

    @property
    def is_circuit_open(self) -> bool:
        """Whether the server is left alone because most of its last replies were failures."""
        return self.pause > 0 and self.why == CIRCUIT_OPEN

    def _fails_often(self, now: float, sent: float) -> bool:
        """Whether the server, or the way to it, is to be left alone after one more failure."""
        if self.is_circuit_open:
            return True
        self.failures.add(now)
        self.run.add(now)
        many = self.failures.count(now) >= max(MIN_FAILURES, self.successes.count(now))
        return many or (self.run.count(now) >= max(MAX_RUN, self.open) and sent >= self.run.entries[0][0])

    def _learn(self, now: float, *, new: bool, timed: bool) -> None:
        """The headers left room, so the limit is what was accepted, or less than it was if that was refused, too."""
        requests = self.requests
        in_a_row = self.pause > FIRST_PAUSE_SECONDS and not self.is_circuit_open
        if requests.learned or requests.used.total >= LEARNS_FROM or in_a_row:
            most = (requests.limit or 0) * (DECREASE if new else 1.0) if requests.learned and not requests.timed else inf
            timed = timed and not self.pause if new else requests.timed  # a time at which it refused again was a wrong one
            requests.learn(now, min(requests.used.total, most), timed=timed)

    def settled(self, now: float, held: float, used: float, count: int = 1) -> None:
        """So many requests have ended; together they had reserved and have used so many tokens."""
        self.open -= count
        self.alone_at = self.alone_at if self.open else -inf  # whatever became of the one that went alone
        for each in (self.tokens, self.days[1]):
            each.held -= held
            if used and each.limit is not None:
                each.use(now, used)

    def cancelled(self, flight: Flight, count: int = 1) -> None:
        """So many requests were not sent after all."""
        self.requests.used.remove(flight.sent, count)
        self.days[0].used.remove(flight.sent, count)
        self.settled(flight.sent, flight.tokens * count, 0, count)

    def under_way(self, gone: Sequence[float] = ()) -> list[float]:
        """What is to be given back if its process ends, once so much has been given back."""
        count, unanswered, held = gone or (0, 0.0, 0.0)
        self.requests.unanswered -= unanswered
        self.settled(-inf, held, 0, int(count))
        return [self.open, self.requests.unanswered, self.tokens.held]

    def snapshot(self, now: float) -> BucketSnapshot:
        paused = max(self.paused_until - now, 0.0)
        minute = *self.requests.snapshot(now), *self.tokens.snapshot(now)
        day = *self.days[0].snapshot(now)[:2], *self.days[1].snapshot(now)[:2]
        return BucketSnapshot(self.open, *minute, self.requests.learned, paused, self.why if paused else "", *day)
