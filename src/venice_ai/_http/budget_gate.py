"""A client's way into a budget: which models may answer a chat, what that can cost, and the wait until it fits."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from .._core.json_values import items, members
from .._core.ports import Attempt, CallGate, Clock, Pass
from .._core.request import Request
from .._core.waiter import Waiter
from .._limits.budget import Budget
from .._wire.json_text import decode
from ..costs import Chat
from ..types.api.models import ModelResponse


class _Free(Pass):
    """The pass of what costs nothing."""

    def replied(self, found: object) -> None: ...

    def done(self, usage: object, cost: float | None) -> None: ...


@dataclass(eq=False)
class BudgetGate(CallGate):
    """One client's way into a budget; `find` finds the catalogue's entry of a model, a trait or an alias."""

    budget: Budget
    find: Callable[[str], Awaitable[ModelResponse]]
    clock: Clock
    waiting: set[Waiter] = field(default_factory=set[Waiter])

    async def enter(self, attempt: Attempt) -> Pass:
        """Reserves the most that a chat can cost; what is not a chat is free."""
        request = attempt.request
        if request.chat is None:
            return _Free()
        chat = await self._chat(request)
        waiter = Waiter(self.clock, attempt.due, request.timeout.queue)
        self.waiting.add(waiter)
        try:
            return await self.budget.reserve(chat, self.clock.time(), waiter)
        finally:
            self.waiting.discard(waiter)

    def close(self) -> None:
        for waiter in list(self.waiting):
            waiter.close()

    async def _chat(self, request: Request) -> Chat:
        body = members(decode(request.body or b""))
        others = [members(each).get("model") for each in items(body.get("fallbacks"))]
        names = [body["model"], *(name for name in others if isinstance(name, str))]
        return Chat([await self.find(name) for name in names], body, len(request.body or b""))
