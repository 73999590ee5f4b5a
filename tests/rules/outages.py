"""Calls on a virtual clock, through the rules of the limiter, to a server whose statuses a test decides."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count

from venice_ai._limits.failure_budget import FailureBudget
from venice_ai._limits.rate_limiter import RateLimiter
from venice_ai.types.rate_limits import RateLimits


@dataclass
class Traffic:
    """Either `rate` calls a second, or so many `callers`, each of which calls again as soon as it has an answer."""

    status: Callable[[float], int]
    """What the server answers to a request that it gets at this time."""
    latency: float = 0.2
    rate: float = 0.0
    callers: int = 0
    failure_latency: float | None = None
    """How soon a failure is answered; None: as late as all else."""
    limiter: RateLimiter = field(default_factory=RateLimiter)
    budget: FailureBudget | None = field(default_factory=FailureBudget)
    """None: only the circuit breaker looks at failures."""
    failures: list[float] = field(default_factory=list[float])
    answers: list[float] = field(default_factory=list[float])
    sent: list[float] = field(default_factory=list[float])
    opened: float | None = None
    """When the circuit opened first."""

    def run(self, seconds: float) -> Traffic:
        now, order, waiting = 0.0, count(), deque[None]()
        events: list[tuple[float, int, Callable[[], None]]] = []

        def at(time: float, act: Callable[[], None]) -> None:
            heappush(events, (time, next(order), act))

        def arrive() -> None:
            waiting.append(None)
            if self.rate:
                at(now + 1 / self.rate, arrive)

        def send() -> None:
            waiting.popleft()
            flight, sent_at = self.limiter.reserve(now, 0), now
            self.sent.append(now)
            if self.budget:
                self.budget.unanswered += 1

            sooner = self.failure_latency is not None and self.status(sent_at) >= 400
            latency = self.failure_latency or 0.0 if sooner else self.latency

            def reply() -> None:
                status = self.status(sent_at if self.failure_latency is not None else sent_at + latency / 2)
                self.limiter.requests.unanswered -= 1
                (self.answers if status < 400 else self.failures).append(now)
                if self.budget:
                    self.budget.unanswered -= 1
                    self.budget.add(now, failed=status >= 400)
                self.limiter.replied(flight, now, status, RateLimits(), None, overload=True)
                self.limiter.settled(now, 0, 0)
                if self.opened is None and self.limiter.is_circuit_open:
                    self.opened = now
                if self.callers:
                    arrive()

            at(now + latency, reply)

        for number in range(self.callers or 1):
            at(number * self.latency / (self.callers or 1), arrive)
        while events and events[0][0] < seconds:
            now, _, act = heappop(events)
            act()
            while waiting:
                wait = self.limiter.wait(now, 0) or (self.budget.wait(now) if self.budget else None)
                if wait is None:
                    send()
                    continue
                if wait.until is not None:
                    at(max(wait.until, now + 0.001), lambda: None)
                break
        return self

    @property
    def failures_in_30_s(self) -> int:
        """The most failures in any 30 s."""
        times = self.failures
        return max((bisect_left(times, time + 30) - i for i, time in enumerate(times)), default=0)
