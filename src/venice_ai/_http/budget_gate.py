"""Lets chats pass as far as a budget goes, and settles them when their attempt is over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from .._core.json_values import items, members
from .._core.ports import Attempt, CallGate, Clock, Pass
from .._core.request import Request
from .._limits.budget import Budget, Reservation
from .._limits.upper_bound import Chat
from .._limits.waiter import Waiter
from .._wire.json_text import decode
from ..exceptions import APIError, APITimeoutError
from ..types.api.chat import ChatUsage
from ..types.api.models import ModelResponse
from .retry import ConnectFailure


class BudgetGate(CallGate):
    """One client's way into a budget; `find` finds the catalogue's entry of a model, a trait or an alias."""

    def __init__(self, budget: Budget, find: Callable[[str], Awaitable[ModelResponse]], clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._find = find
        self._waiting: set[Waiter] = set()

    async def enter(self, attempt: Attempt) -> Pass:
        """Reserves the most that a chat can cost; what is no chat is free."""
        request = attempt.request
        if request.chat is None:
            return _Reserved(None)
        chat = await self._chat(request)
        waiter = Waiter(self._clock, attempt.due, request.timeout.queue)
        self._waiting.add(waiter)
        try:
            return _Reserved(await self._budget.reserve(chat, self._clock.time(), waiter))
        finally:
            self._waiting.discard(waiter)

    def close(self) -> None:
        for waiter in list(self._waiting):
            waiter.close()

    async def _chat(self, request: Request) -> Chat:
        body = members(decode(request.body or b""))
        others = [members(each).get("model") for each in items(body.get("fallbacks"))]
        names = [body["model"], *(name for name in others if isinstance(name, str))]
        return Chat([await self._find(name) for name in names], body, len(request.body or b""))


class _Reserved(Pass):
    """The pass of what is reserved; without a reservation, of what is free."""

    held = free = False

    def __init__(self, reservation: Reservation | None) -> None:
        self._reservation = reservation
        self._billed = False  # as long as nothing is known of a reply, it was not sent

    def replied(self, found: object) -> None:
        self._billed = not isinstance(found, BaseException) or may_be_billed(found)

    def done(self, usage: Any, cost: float | None) -> None:
        usage = usage if isinstance(usage, ChatUsage) else None
        if self._reservation is not None and (self._billed or usage is not None or cost is not None):
            self._reservation.answered(usage, cost)
        elif self._reservation is not None:
            self._reservation.released()


def may_be_billed(failure: BaseException) -> bool:
    """Whether an attempt that failed may have been billed: not if it never left, or the server refused it."""
    if isinstance(failure, ConnectFailure) or (isinstance(failure, APITimeoutError) and failure.clock == "connect"):
        return False
    return not isinstance(failure, APIError) or failure.counts_as in {None, 200, 504}
