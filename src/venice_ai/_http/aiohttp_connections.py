"""The connections of the asynchronous client, and what is known of each.

A kept connection is looked at before it is used: aiohttp may give out one that is closed, or on which stray bytes came.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import ContextVar
from functools import partial
from math import inf
from typing import TYPE_CHECKING, cast

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler

from .routes import KEPT_SECONDS, LONGEST_KEPT_SECONDS, Habits, reader_of

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

_TURNS = 3  # of the loop, in which it reads what has come; as many with TLS


class Call:
    """What our own session's parts tell of one request: how far it got, and on what."""

    __slots__ = ("connected", "kept", "state", "transport", "unsent")

    def __init__(self) -> None:
        self.connected = False
        self.kept = False
        """Whether the connection has served before."""
        self.unsent = False
        """Whether not a byte of it was written."""
        self.state: ConnectionState | None = None
        self.transport: asyncio.Transport | None = None

    def abort(self) -> None:
        """Drops the connection at once: closing it waits for what is to be sent, and for TLS's goodbye."""
        if self.transport is not None:
            self.transport.abort()


CURRENT_CALL: ContextVar[Call | None] = ContextVar("venice_ai_call", default=None)


class ConnectionState:
    __slots__ = ("look", "on_end", "place", "rested", "seconds", "served")

    def __init__(self, place: object) -> None:
        self.place = place
        self.look: Callable[[], object] | None = None
        """Tells whether anything can be read from its socket."""
        self.served = 0
        """How many answers came on it."""
        self.rested = inf
        """Since when it serves nobody."""
        self.seconds = KEPT_SECONDS
        """How long it may rest before it is too likely that the server closes it."""
        self.on_end: Callable[[], None] | None = None
        """Tells who reads from it that it has ended."""


class ConnectionStates(dict[ResponseHandler, ConnectionState]):
    """What is known of the connections of one loop, as long as they are open."""

    def __init__(self) -> None:
        super().__init__()
        self.habits: Habits = Habits()
        self.closed = False

    def of(self, protocol: ResponseHandler, place: object = None) -> ConnectionState:
        if (state := self.get(protocol)) is None:
            state = ConnectionState(place)
            if (closed := protocol.closed) is not None:
                self[protocol] = state
                closed.add_done_callback(partial(self._lost, protocol))
        return state

    def _lost(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        """A connection has ended. aiohttp does not tell a reader if what came last was no HTTP."""
        if not closed.cancelled():
            closed.exception()  # asyncio complains of those that nobody looked at
        if (on_end := self.pop(protocol).on_end) is not None:
            on_end()


class _HeadFirst(ResponseHandler):
    """Reads the head of a reply by itself, for aiohttp gives out nothing of a packet that has a head and then a fault."""

    def data_received(self, data: bytes) -> None:
        while data.startswith(b"HTTP/") and 4 <= (end := data.find(b"\r\n\r\n") + 4) < len(data):
            super().data_received(data[:end])
            data = data[end:]
        super().data_received(data)


class Connector(aiohttp.TCPConnector):
    """The connections of our own session. A kept one is looked at before it is used again."""

    def __init__(self, states: ConnectionStates) -> None:
        super().__init__(limit=0, keepalive_timeout=LONGEST_KEPT_SECONDS)  # pyright: ignore[reportUnknownMemberType]
        self._states = states
        self._running = asyncio.get_running_loop()
        self._now = self._running.time
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """A new connection, or a kept one on which nothing has arrived since."""
        call = CURRENT_CALL.get() or Call()
        call.connected = False
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast(ResponseHandler, connection.protocol)
            state = self._states.get(protocol)
            kept = state is not None
            if state is None:
                state = self._states.of(protocol, (req.url.origin(), req.proxy))
                protocol.__class__ = _HeadFirst
                break
            try:
                # That aiohttp gave it says that it is connected.
                ready = state.served > 1 and self._now() - state.rested < state.seconds and not protocol.should_close
                if (ready and _is_quiet(state, protocol)) or await self._serves_again(state, protocol):
                    break
            except BaseException:
                connection.close()
                raise
            connection.close()
        state.rested = inf
        connection.add_callback(partial(self._rests, state))
        call.connected, call.kept, call.unsent = True, kept, False
        call.state, call.transport = state, protocol.transport
        return connection

    async def _serves_again(self, state: ConnectionState, protocol: ResponseHandler) -> bool:
        rested = self._now() - state.rested
        wait = None if rested >= state.seconds else self._states.habits.wait(state.place, state.served, rested)
        if wait is None:
            return False
        if wait:
            await asyncio.sleep(wait)
            if _is_spoilt(state, protocol):
                self._states.habits.learn(state.place, keeps=False)
                return False
        for _ in range(_TURNS):
            if not _is_spoilt(state, protocol):
                return True
            await asyncio.sleep(0)
        return not _is_spoilt(state, protocol)

    def _rests(self, state: ConnectionState) -> None:
        state.rested = self._now()
        if self._timer is None:
            self._timer = self._running.call_later(state.seconds, self._sweep)

    def _sweep(self) -> None:
        """Closes what has rested too long."""
        now, due = self._now(), inf
        for protocol, state in list(self._states.items()):
            if state.rested + state.seconds <= now:
                protocol.close()
            elif protocol.is_connected():
                due = min(due, state.rested + state.seconds)
        self._timer = None if due == inf else self._running.call_at(due, self._sweep)


class SentRequest(aiohttp.ClientRequest):
    """A request of our own session, which knows whether the first byte of it was refused."""

    async def write_bytes(self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None) -> None:
        if (call := CURRENT_CALL.get()) is not None and conn.closed:
            call.unsent = True
        await super().write_bytes(writer, conn, content_length)


def _is_spoilt(state: ConnectionState, protocol: ResponseHandler) -> bool:
    """Whether a connection has ended, or something came on it that nobody asked for: the answer to another call."""
    return protocol.should_close or not protocol.is_connected() or not _is_quiet(state, protocol)


def _is_quiet(state: ConnectionState, protocol: ResponseHandler) -> bool:
    """Whether nothing can be read from a connection that is connected."""
    if state.look is None:
        assert protocol.transport is not None
        state.look = reader_of(protocol.transport.get_extra_info("socket"))
    return not state.look()
