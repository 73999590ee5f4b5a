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


class Flight(Pass):
    """One request on its way; also the pass of each of its attempts."""

    held = free = False

    def __init__(self, index: int, request: Mapping[str, Any]) -> None:
        self.index = index
        self.request = request
        self.custom_id: str | None = None
        self.attempts = 0
        self.cost_usd: float | None = None
        self.has_place = False
        self.sending = False
        self.on_the_wire = 0
        """Attempts that were sent and are not over."""
        self.task: FlightTask

    def replied(self, found: object) -> None: ...

    def done(self, usage: object, cost: float | None) -> None:
        self.on_the_wire -= 1
        if isinstance(cost, (int, float)):
            self.cost_usd = (self.cost_usd or 0.0) + cost


class FlightTask(asyncio.Task[None]):
    """The task of a flight. When a program ends (`asyncio.run` cancels all tasks, outside of the loop), it is given time."""

    def __init__(self, work: Coroutine[Any, Any, None], spare: Callable[[FlightTask], bool]) -> None:
        super().__init__(work, loop=asyncio.get_running_loop())
        self._spare = spare
        self.spared = False

    def cancel(self, msg: Any = None) -> bool:
        return (not self.get_loop().is_running() and self._spare(self)) or super().cancel(msg)

    def drop(self) -> None:
        """Cancels it in any case."""
        super().cancel()


FLIGHT: ContextVar[Flight] = ContextVar("venice_ai batch flight")


class Meter(CallGate):
    """The last gate of a batch's calls."""

    stopped: bool = False
    """Whether nothing more may be sent."""

    async def enter(self, attempt: Attempt) -> Pass:
        """Counts an attempt; what is no chat is counted nowhere."""
        if self.stopped:
            raise BatchStoppedError("not sent: the batch stops")
        flight = FLIGHT.get() if attempt.request.chat is not None else Flight(-1, {})
        flight.attempts += 1
        flight.on_the_wire += 1
        return flight

    def close(self) -> None:
        """Nobody waits here."""
