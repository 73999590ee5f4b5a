"""Learns from the usage of answers how many tokens the requests of each model have (`_core/token_counts.py`)."""

from __future__ import annotations

from .._core.ports import Attempt, CallGate, Pass
from .._core.request import Request
from .._core.token_counts import TokenCounts
from ..tee.guard import CLIENT_KEY


class UsageGate(CallGate):
    """Lets everything pass, and looks at how it is counted."""

    def __init__(self, counts: TokenCounts) -> None:
        self._counts = counts

    async def enter(self, attempt: Attempt) -> Pass:
        """Never waits."""
        return _Counted(self._counts, attempt.request)

    def close(self) -> None: ...


class _Counted(Pass):
    __slots__ = ("_counts", "_request")
    held = free = False

    def __init__(self, counts: TokenCounts, request: Request) -> None:
        self._counts = counts
        self._request = request

    def replied(self, found: object) -> None: ...

    def done(self, usage: object, cost: object) -> None:
        request = self._request
        sealed = CLIENT_KEY in request.headers  # what is counted there is not what is sent
        if usage is not None and request.chat is not None and request.body and not sealed:
            self._counts.learn(request.chat.model, request.body, getattr(usage, "prompt_tokens", None))
