"""Accounts with limits that the client is not told, as a server or a gateway may count them. Both the simulation and the
tests of the whole client send to these.

An account is asked `arrive(now, tokens)` for each request and gives a status and headers; `done(now, ...)` tells it what a
request has used. `now` is Unix time of the server. `best(now, tokens)` is for the ideal client alone, which knows everything.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from random import Random
from typing import Protocol

Headers = dict[str, str]


class Window(Protocol):
    limit: int

    def free(self, now: float) -> float: ...
    def take(self, now: float, units: float) -> None: ...
    def reset(self, now: float) -> float: ...
    def when(self, now: float, units: float) -> float: ...


class FixedWindow:
    """Everything comes back at once, every `seconds`."""

    def __init__(self, limit: int, seconds: float = 60.0, offset: float = 0.0) -> None:
        self.limit, self.seconds, self.offset = limit, seconds, offset
        self.start, self.used = -inf, 0.0

    def _turn(self, now: float) -> None:
        start = (now - self.offset) // self.seconds * self.seconds + self.offset
        if start != self.start:
            self.start, self.used = start, 0.0

    def free(self, now: float) -> float:
        self._turn(now)
        return self.limit - self.used

    def take(self, now: float, units: float) -> None:
        self._turn(now)
        self.used += units

    def reset(self, now: float) -> float:
        self._turn(now)
        return self.start + self.seconds - now

    def when(self, now: float, units: float) -> float:
        return now if self.free(now) >= units else self.start + self.seconds


class SlidingWindow:
    """What was used comes back `seconds` later."""

    def __init__(self, limit: int, seconds: float = 60.0, offset: float = 0.0) -> None:
        self.limit, self.seconds = limit, seconds
        self.log: deque[tuple[float, float]] = deque()
        self.used = 0.0

    def free(self, now: float) -> float:
        while self.log and self.log[0][0] <= now - self.seconds:
            self.used -= self.log.popleft()[1]
        return self.limit - self.used

    def take(self, now: float, units: float) -> None:
        self.log.append((now, units))
        self.used += units

    def reset(self, now: float) -> float:
        self.free(now)
        return self.log[0][0] + self.seconds - now if self.log else 0.0

    def when(self, now: float, units: float) -> float:
        missing = units - self.free(now)
        if missing <= 0:
            return now
        for time, used in self.log:
            missing -= used
            if missing <= 0:
                return time + self.seconds
        return inf


class TokenBucket:
    """What was used comes back steadily. The reset is when the bucket is full, as OpenAI says it, or has the next unit."""

    def __init__(self, limit: int, seconds: float = 60.0, offset: float = 0.0, *, full: bool = True, capacity: int = 0) -> None:
        self.limit, self.capacity, self.rate, self.full = limit, capacity or limit, limit / seconds, full
        self.level, self.at = float(self.capacity), -inf

    def free(self, now: float) -> float:
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate) if self.at > -inf else self.level
        self.at = now
        return self.level

    def take(self, now: float, units: float) -> None:
        self.free(now)
        self.level -= units

    def reset(self, now: float) -> float:
        missing = (self.capacity if self.full else 1) - self.free(now)
        return max(missing, 0.0) / self.rate

    def when(self, now: float, units: float) -> float:
        missing = min(units, self.capacity) - self.free(now)
        return now + missing / self.rate + 1e-6 if missing > 0 else now


Lie = Callable[[Headers, Random], None]


def silent(headers: Headers, _: Random) -> None:
    """A gateway that drops the headers, also of refusals."""
    headers.clear()


def boastful(headers: Headers, _: Random) -> None:
    """There is always plenty, also in refusals, which may be tried again at once."""
    for name in headers:
        if name.startswith("x-ratelimit-remaining-"):
            headers[name] = headers[name.replace("remaining", "limit")]
    headers.pop("retry-after", None)


def gloomy(headers: Headers, _: Random) -> None:
    """There is never anything left."""
    for name in headers:
        if name.startswith("x-ratelimit-remaining-"):
            headers[name] = "0"


def random_lies(headers: Headers, random: Random) -> None:
    """Remaining and resets mean nothing."""
    for name in headers:
        if "remaining" in name:
            headers[name] = str(random.randrange(1000))
        elif "reset" in name:
            headers[name] = str(random.randrange(120))
    headers.pop("retry-after", None)


def partial(headers: Headers, _: Random) -> None:
    """One of three gateways, each of which counts only what it saw itself."""
    for name in headers:
        if name.startswith("x-ratelimit-remaining-"):
            limit = int(headers[name.replace("remaining", "limit")])
            headers[name] = str(limit - (limit - int(headers[name])) // 3)
    headers.pop("retry-after", None)


@dataclass
class Account:
    """An account: windows of requests and of tokens, how it tells of them, and what it changes to at some time."""

    requests: list[Window]
    tokens: list[Window] = field(default_factory=list["Window"])
    lie: Lie | None = None
    unit: str = "seconds"
    """How resets are written: `seconds`, `unix`, `milliseconds`, all three of which Venice has used."""
    skew: float = 0.0
    """How far the server's clock is before the client's."""
    changes_after: float = 0.0
    """So many seconds after the first request the policy becomes the next."""
    then: Callable[[], Account] | None = None
    random: Random = field(default_factory=lambda: Random(0))
    began: float = inf
    policies: int = 1

    def _free(self, now: float, tokens: float) -> bool:
        return all(each.free(now) >= 1 for each in self.requests) and all(each.free(now) >= tokens for each in self.tokens)

    def arrive(self, now: float, tokens: float) -> tuple[int, Headers]:
        """A request arrives: the status of its reply, and the headers."""
        self._turn(now)
        if self._free(now, tokens):
            for each in self.requests:
                each.take(now, 1)
            for each in self.tokens:
                each.take(now, tokens)
            return 200, self._headers(now, None)
        return 429, self._headers(now, tokens)

    def _turn(self, now: float) -> None:
        if self.began == inf:
            self.began = now
            first = self.requests[0]
            if isinstance(first, FixedWindow):  # a new limit holds from a new window on
                self.changes_after += first.reset(now + self.changes_after)
        if self.then and now >= self.began + self.changes_after:
            new = self.then()
            for before, after in zip(self.requests, new.requests, strict=True):
                after.take(now, before.limit - before.free(now))  # what was used stays used
            self.requests, self.tokens, self.lie, self.then = new.requests, new.tokens, new.lie, None
            self.policies += 1

    def best(self, now: float, tokens: float) -> float:
        """When a request would be accepted."""
        self._turn(now)
        if self.then:
            return min(self._when(now, tokens), max(self.began + self.changes_after, now + 1e-3))
        return self._when(now, tokens)

    def _when(self, now: float, tokens: float) -> float:
        times = [each.when(now, 1) for each in self.requests] + [each.when(now, tokens) for each in self.tokens]
        return max([now, *times])

    def _headers(self, now: float, refused: float | None) -> Headers:
        headers: Headers = {}
        for kind, windows in (("requests", self.requests), ("tokens", self.tokens)):
            if windows:
                least = min(windows, key=lambda each: each.free(now) / each.limit)
                headers[f"x-ratelimit-limit-{kind}"] = str(least.limit)
                headers[f"x-ratelimit-remaining-{kind}"] = str(max(int(least.free(now)), 0))
                headers[f"x-ratelimit-reset-{kind}"] = self._reset(now, least.reset(now))
        if refused is not None:
            headers["retry-after"] = f"{self._when(now, refused) - now + 0.5:.0f}"
        if self.lie:
            self.lie(headers, self.random)
        return headers

    def _reset(self, now: float, seconds: float) -> str:
        if self.unit == "seconds":
            return f"{seconds:.3f}"
        return f"{now + self.skew + seconds:.0f}" if self.unit == "unix" else f"{(now + self.skew + seconds) * 1000:.0f}"


Make = Callable[[Random], Account]


@dataclass(frozen=True)
class Case:
    """A row of the table."""

    name: str
    make: Make
    honest: bool = True
    callers: int = 50
    calls: int = 2000
    median_seconds: float = 2.0


def fixed(limit: int = 500, seconds: float = 60.0, **rest: object) -> Make:
    return lambda random: Account([FixedWindow(limit, seconds, random.random() * seconds)], random=random, **rest)  # type: ignore[arg-type]


def sliding(limit: int = 500, seconds: float = 60.0, **rest: object) -> Make:
    return lambda random: Account([SlidingWindow(limit, seconds)], random=random, **rest)  # type: ignore[arg-type]


def bucket(limit: int = 500, seconds: float = 60.0, *, full: bool = True, capacity: int = 0, **rest: object) -> Make:
    return lambda random: Account([TokenBucket(limit, seconds, full=full, capacity=capacity)], random=random, **rest)  # type: ignore[arg-type]


def both(**rest: object) -> Make:
    """Requests and tokens together; which of them binds, changes with the sizes."""
    return lambda random: Account(
        [FixedWindow(500, 60.0, random.random() * 60)],
        [FixedWindow(600_000, 60.0, random.random() * 60)],
        random=random,
        **rest,  # type: ignore[arg-type]
    )


def change(first: Make, second: Make) -> Make:
    """In the middle, after 75 to 105 s or with the next window, the policy changes."""

    def make(random: Random) -> Account:
        state = random.getstate()
        account = first(random)
        again = Random()
        again.setstate(state)  # windows of both begin at the same times
        account.changes_after, account.then = 75 + 30 * random.random(), lambda: second(again)
        return account

    return make


HIDDEN = [
    Case("fixed window", fixed()),
    Case("sliding window", sliding()),
    Case("token bucket", bucket()),
    Case("requests and tokens", both()),
    Case("another limit in the middle", change(fixed(500), fixed(300))),
    Case("another form in the middle", change(fixed(400), sliding(600))),
    Case("no headers: fixed window", fixed(lie=silent), honest=False),
    Case("no headers: sliding window", sliding(lie=silent), honest=False),
    Case("no headers: token bucket", bucket(lie=silent), honest=False),
    Case("no headers: requests and tokens", both(lie=silent), honest=False),
    Case("headers that promise too much", fixed(lie=boastful), honest=False),
    Case("headers that always say 0", fixed(lie=gloomy), honest=False),
    Case("headers at random", fixed(lie=random_lies), honest=False),
    Case("headers of one of three gateways", sliding(lie=partial), honest=False),
    Case("no headers, less in the middle", change(fixed(500, lie=silent), fixed(300, lie=silent)), honest=False),
    Case("no headers, more in the middle", change(sliding(300, lie=silent), sliding(600, lie=silent)), honest=False),
]
"""What the figures of the documentation are about."""

OTHERS = [
    Case("window of 10 s", fixed(80, 10.0)),
    Case("sliding window of 10 s", sliding(80, 10.0)),
    Case("bucket, reset is the next", bucket(full=False)),
    Case("bucket of 50", bucket(capacity=50)),
    Case("3 a minute", sliding(3), calls=60),
    Case("3 a minute, fixed", fixed(3), calls=60),
    Case("10,000 a minute", fixed(10_000), calls=10_000),
    Case("milliseconds", fixed(unit="milliseconds")),
    Case("unix seconds", fixed(unit="unix")),
    Case("clock 3 s ahead", fixed(unit="milliseconds", skew=3.0)),
    Case("clock 3 s behind", fixed(unit="milliseconds", skew=-3.0)),
    Case("slow answers", fixed(100), median_seconds=60.0, calls=500),
    Case("slow answers, sliding", sliding(100), median_seconds=60.0, calls=500),
    Case("no headers: 3 a minute", fixed(3, lie=silent), calls=40, honest=False),
    Case("no headers: window of 10 s", fixed(80, 10.0, lie=silent), honest=False),
    Case("no headers: 10,000 a minute", fixed(10_000, lie=silent), calls=10_000, honest=False),
    Case("no headers: bucket of 50", bucket(capacity=50, lie=silent), honest=False),
    Case("no headers: slow answers", fixed(100, lie=silent), median_seconds=60.0, calls=500, honest=False),
    Case("no headers: fast answers", fixed(lie=silent), median_seconds=0.5, honest=False),
]
"""Accounts for which the limiter was not made."""
