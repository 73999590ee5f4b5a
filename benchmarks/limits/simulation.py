"""A discrete-event simulation: callers, the limiter, the network and an account, on a virtual clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count
from random import Random

from venice_ai._limits.failure_budget import FailureBudget
from venice_ai._limits.rate_limiter import Flight, RateLimiter
from venice_ai.types.rate_limits import rate_limits, wait_seconds

from .policies import Account, Case
from .virtual_time import UNIX


@dataclass
class Result:
    seconds: float = 0.0
    refused: list[float] = field(default_factory=list[float])
    policies: int = 1

    @property
    def failures_in_30_s(self) -> int:
        times = self.refused
        return max((sum(1 for other in times[i:] if other < time + 30) for i, time in enumerate(times)), default=0)


@dataclass(frozen=True)
class Call:
    """One call, the same for every client: how long it takes, and what it uses."""

    head_seconds: float
    body_seconds: float
    tokens: int
    estimate: int


def calls(case: Case, random: Random) -> list[Call]:
    made = list[Call]()
    for _ in range(case.calls):
        seconds = min(random.lognormvariate(0.0, 0.6), 6.0) * case.median_seconds
        tokens = int(random.lognormvariate(6.8, 0.5))
        made.append(Call(seconds * 0.4, seconds * 0.6, tokens, int(tokens * random.uniform(1.0, 2.0)) + 50))
    return made


class Simulation:
    """50 callers with 2,000 calls. `now` is what the client's monotonic clock says."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case = case
        self.random = Random(seed)
        self.calls = calls(case, self.random)
        self.account: Account = case.make(Random(seed + 1_000_000))
        self.now = 1000.0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.order = count()
        self.waiting: deque[Call] = deque()
        self.left = deque(self.calls)
        self.done = 0
        self.result = Result()
        self.wake = float("inf")

    def at(self, time: float, action: Callable[[], None]) -> None:
        heappush(self.events, (time, next(self.order), action))

    def run(self) -> Result:
        for _ in range(min(self.case.callers, len(self.left))):
            self.waiting.append(self.left.popleft())
        self.pump()
        while self.done < len(self.calls):
            self.now, _, action = heappop(self.events)
            action()
            self.pump()
            if self.now > 1e5:
                raise RuntimeError("stuck")
        self.result.seconds = self.now - 1000.0
        self.result.policies = self.account.policies
        return self.result

    def finished(self) -> None:
        self.done += 1
        if self.left:
            self.waiting.append(self.left.popleft())

    def wake_at(self, time: float) -> None:
        if not self.now < self.wake <= time:
            self.wake = time
            self.at(time, lambda: None)

    def pump(self) -> None:
        raise NotImplementedError


class Ideal(Simulation):
    """A client that knows everything, and sends so early that each request arrives just when it is accepted. Its callers wait
    for the same network as everybody's: without that, they would make more calls than anybody can."""

    def pump(self) -> None:
        while self.waiting:
            call = self.waiting[0]
            server = self.now - 1000.0 + UNIX
            best = self.account.best(server, call.tokens)
            if best > server:
                self.wake_at(best - UNIX + 1000.0)
                return
            self.waiting.popleft()
            status, _ = self.account.arrive(server, call.tokens)
            if status != 200:  # the policy has just changed
                self.waiting.appendleft(call)
                continue
            network = self.random.uniform(0.01, 0.1) + self.random.uniform(0.01, 0.1)
            self.at(self.now + network + call.head_seconds + call.body_seconds, self.finished)


class Ours(Simulation):
    """The pure rules, driven as the client drives them."""

    def __init__(self, case: Case, seed: int) -> None:
        super().__init__(case, seed)
        self.limiter, self.budget = RateLimiter(), FailureBudget()

    def pump(self) -> None:
        while self.waiting:
            call = self.waiting[0]
            wait = self.budget.wait(self.now) or self.limiter.wait(self.now, call.estimate)
            if wait is not None:
                if wait.until:
                    self.wake_at(wait.until)
                return
            self.waiting.popleft()
            self.budget.unanswered += 1
            self.send(call, self.limiter.reserve(self.now, call.estimate))

    def send(self, call: Call, flight: Flight) -> None:
        def arrive() -> None:
            status, headers = self.account.arrive(self.now - 1000.0 + UNIX, call.tokens)
            if status == 429:
                self.result.refused.append(self.now)
            back = self.random.uniform(0.01, 0.1)
            self.at(self.now + back + (call.head_seconds if status == 200 else 0.0), lambda: reply(status, headers))

        def reply(status: int, headers: dict[str, str]) -> None:
            unix = self.now - 1000.0 + UNIX
            limits = rate_limits(headers, unix)
            wait = None if status == 200 else wait_seconds(status, headers, unix)
            self.limiter.requests.unanswered -= 1
            self.limiter.replied(flight, self.now, status, limits, wait)
            self.budget.unanswered -= 1
            self.budget.add(self.now, failed=status != 200)
            self.budget.observe(self.now, limits)
            if status == 200:
                self.at(self.now + call.body_seconds, end)
            else:
                self.limiter.settled(self.now, flight.tokens, 0)
                self.waiting.appendleft(call)

        def end() -> None:
            self.limiter.settled(self.now, flight.tokens, call.tokens)
            self.finished()

        self.at(self.now + self.random.uniform(0.01, 0.1), arrive)
