"""One request of a batch on its way: how often it was sent, what that cost, and whether something of it is under way now.

A batch hangs a gate of its own behind those of the client. All attempts pass it: retries, re-asks, round trips of a tool loop.
So it counts what no single response knows, and once the batch stops, nothing more is sent, wherever a call stands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any

from .._core.ports import Attempt, CallGate, Pass
from ..exceptions import VeniceError


class BatchStoppedError(VeniceError):
    """The batch stops, so this attempt was not sent. It never reaches a caller."""


class Flight:
    """One request on its way."""

    __slots__ = ("attempts", "cost_usd", "custom_id", "index", "request", "sending", "task", "under_way")

    def __init__(self, index: int, request: Any) -> None:
        self.index = index
        self.request: Mapping[str, Any] = request
        self.custom_id: str | None = None
        self.attempts = 0
        self.cost_usd: float | None = None
        self.sending = False
        self.under_way = 0
        """Attempts that were sent and are not over."""
        self.task: FlightTask


FLIGHT: ContextVar[Flight] = ContextVar("venice_ai batch flight")


class FlightTask(asyncio.Task[None]):
    """The task of a flight. When a program ends (`asyncio.run` cancels all tasks, outside of the loop), it is given time."""

    def __init__(self, work: Coroutine[Any, Any, None], spare: Callable[[FlightTask], bool]) -> None:
        super().__init__(work, loop=asyncio.get_running_loop())
        self._spare = spare
        self.spared: bool = False
        """Whether it was given time already."""

    def cancel(self, msg: Any = None) -> bool:
        """Cancels it; but at the end of a program only if its batch does not spare it."""
        return (not self.get_loop().is_running() and self._spare(self)) or super().cancel(msg)

    def drop(self) -> None:
        """Cancels it in any case."""
        super().cancel()


class Meter(CallGate):
    """The last gate of a batch's calls."""

    def __init__(self) -> None:
        self.stopped: bool = False
        """Whether nothing more may be sent."""

    async def enter(self, attempt: Attempt) -> Pass:
        """Counts the attempt."""
        flight = FLIGHT.get(None)
        if flight is None or attempt.request.chat is None:
            return _Unmetered()
        if self.stopped:
            raise BatchStoppedError("not sent: the batch stops")
        flight.attempts += 1
        flight.under_way += 1
        return _Metered(flight)

    def close(self) -> None:
        """There is nobody who waits here."""


class _Unmetered(Pass):
    """The pass of what no flight sends."""

    held = free = False

    def replied(self, found: object) -> None: ...
    def done(self, usage: object, cost: float | None) -> None: ...


class _Metered(_Unmetered):
    def __init__(self, flight: Flight) -> None:
        self._flight = flight

    def done(self, usage: object, cost: float | None) -> None:
        self._flight.under_way -= 1
        if isinstance(cost, (int, float)):
            self._flight.cost_usd = (self._flight.cost_usd or 0.0) + cost
