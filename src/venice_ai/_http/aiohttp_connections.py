"""The connections of the asynchronous client: a pool for each event loop, and a check of each idle one before its next use."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from http.cookies import BaseCookie
from inspect import CORO_CREATED, getcoroutinestate
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.client_proto import ResponseHandler
from aiohttp.hdrs import HOST
from multidict import CIMultiDict
from yarl import URL

from .._core.ports import Reply
from .._wire.content_coding import ACCEPTED
from ..exceptions import InvalidRequestError
from .routes import KEEP_ALIVE_SECONDS, LONGEST_KEEP_ALIVE_SECONDS, Habits, reader_of
from .timers import Deadlines, Limit

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

ACCEPT_ENCODING = {"Accept-Encoding": ACCEPTED}
_REST_SECONDS = 0.05
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: ?(\d{1,9})\r\n", re.IGNORECASE)
_TURNS = 3  # of the loop, in which it reads what has come; as many with TLS


class RequestState(Limit):
    """How far one request of our own session got, on which connection, and its time limit; the session's parts fill it in."""

    connected: bool = False
    reused: bool = False  # whether the connection has served before
    unsent: bool = False  # whether not a byte of it was written
    state: ConnectionState | None = None
    transport: asyncio.Transport | None = None

    def abort(self) -> None:
        """Drops the connection at once: closing it waits for what is to be sent, and for TLS's goodbye."""
        if self.transport is not None:
            self.transport.abort()


CURRENT_REQUEST: ContextVar[RequestState | None] = ContextVar("venice_ai_request", default=None)


@dataclass(slots=True, repr=False)  # a traceback may show it, and the place may hold a proxy's password
class ConnectionState:
    place: object
    look: Callable[[], object] | None = None  # tells whether anything can be read from its socket
    served: int = 0  # how many replies came on it
    rested: float = inf  # since when it serves nobody
    seconds: float = KEEP_ALIVE_SECONDS  # how long it may rest before it is too likely that the server closes it
    on_end: Callable[[], None] | None = None  # tells who reads from it that it has ended


class ConnectionStates(dict[ResponseHandler, ConnectionState]):
    """The state of each open connection of one event loop: how often it served, and since when it is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.habits: Habits = Habits()
        self.closed = False

    def of(self, protocol: ResponseHandler, place: object = None) -> ConnectionState:
        if (state := self.get(protocol)) is None:
            state = ConnectionState(place)
            if (closed := protocol.closed) is not None:
                self[protocol] = state
                closed.add_done_callback(partial(ConnectionStates._lost, self, protocol))
        return state

    def _lost(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        """A connection has ended. aiohttp does not tell a reader if what came last was not HTTP."""
        if not closed.cancelled():
            closed.exception()  # asyncio complains of those that nobody looked at
        if (on_end := self.pop(protocol).on_end) is not None:
            on_end()


class _HeadFirst(ResponseHandler):
    """Reads the head of a reply by itself, for aiohttp gives out nothing of a packet that has a head and then a fault."""

    def data_received(self, data: bytes) -> None:
        while data[:5] == b"HTTP/" and 4 <= (end := data.find(b"\r\n\r\n") + 4) < len(data):
            length = _CONTENT_LENGTH.search(data, 0, end) if data[9:12] == b"200" else None
            if length is not None and int(length[1]) == len(data) - end:
                break  # a whole reply, as most are: no fault can come after its head
            super().data_received(data[:end])
            data = data[end:]
        if data and not data.startswith(b"HTTP/"):
            self.__class__ = ResponseHandler  # type: ignore[assignment]  # until the next reply: each packet would cost a call more
        ResponseHandler.data_received(self, data)


class Connector(aiohttp.TCPConnector):
    """The connections of our own session. One that was idle is checked before it is used again."""

    def __init__(self, states: ConnectionStates) -> None:
        super().__init__(limit=0, keepalive_timeout=LONGEST_KEEP_ALIVE_SECONDS)  # pyright: ignore[reportUnknownMemberType]
        self._states = states
        self._running = asyncio.get_running_loop()
        self._now = self._running.time
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """A new connection, or an idle one on which nothing has arrived since its last reply."""
        current = CURRENT_REQUEST.get() or RequestState(Deadlines(), None)
        current.connected = False
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol: Any = connection.protocol
            state = self._states.get(protocol)
            reused = state is not None
            if state is None:
                state = self._states.of(protocol, (req.url.origin(), req.proxy))
                break
            try:
                # That aiohttp gave it says that it is connected.
                ready = state.served > 1 and self._now() - state.rested < state.seconds and not protocol.should_close
                if (ready and state.look is not None and not state.look()) or await self._serves_again(state, protocol):
                    break
            except BaseException:
                connection.close()
                raise
            connection.close()
        protocol.__class__ = _HeadFirst
        state.rested = inf
        connection.add_callback(partial(Connector._rests, self, state))
        current.connected, current.reused, current.unsent = True, reused, False
        current.state, current.transport = state, protocol.transport
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
        for _ in range(_TURNS + 1):
            if not _is_spoilt(state, protocol):
                return True
            await asyncio.sleep(0)
        return False

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


class _NoCookies(aiohttp.DummyCookieJar):
    """Keeps none, and makes no new empty collection for each request."""

    _none: ClassVar[BaseCookie[str]] = BaseCookie()

    def filter_cookies(self, request_url: URL) -> BaseCookie[str]:
        return self._none


class SentRequest(aiohttp.ClientRequest):
    """A request of our own session, which knows whether the first byte of it was refused."""

    def update_headers(self, headers: Any) -> None:
        if HOST in headers:
            super().update_headers(headers)
        else:  # as aiohttp does it, without a loop
            self.headers = CIMultiDict([(HOST, self.url.host_port_subcomponent or "")])
            self.headers.extend(headers)

    async def write_bytes(self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None) -> None:
        if (current := CURRENT_REQUEST.get()) is not None and conn.closed:
            current.unsent = True
        await super().write_bytes(writer, conn, content_length)


def _is_spoilt(state: ConnectionState, protocol: ResponseHandler) -> bool:
    """Whether a connection has ended, or bytes arrived on it unasked, such as the reply to an earlier request."""
    return protocol.should_close or not protocol.is_connected() or not _is_quiet(state, protocol)


def _is_quiet(state: ConnectionState, protocol: ResponseHandler) -> bool:
    """Whether nothing can be read from a connection that is connected."""
    if state.look is None:
        assert protocol.transport is not None
        state.look = reader_of(protocol.transport.get_extra_info("socket"))
    return not state.look()


# -- pools ---------------------------------------------------------------------------------------------------------------
#
# A session belongs to the event loop it was made on, so each running loop has one, owned by an async generator that is left
# open: loops close those when they shut down, and a client that outlives its loop leaves nothing unclosed.


@dataclass(eq=False, repr=False)
class Pool:
    """The session of one event loop, and what it has open. `owner` is the generator that a session of our own belongs to."""

    session: aiohttp.ClientSession
    states: ConnectionStates
    owner: AsyncGenerator[aiohttp.ClientSession, None] | None = None
    deadlines: Deadlines = field(default_factory=Deadlines)
    streams: WeakSet[Reply] = field(default_factory=WeakSet["Reply"])  # those that are read

    async def aclose(self) -> None:
        self.states.closed = True
        # aiohttp does not tell those who wait that the session was closed.
        for limit in list(self.deadlines.limits):
            limit.expire()
        for stream in list(self.streams):
            stream.close()  # whoever reads sees that `states` are closed
        if self.owner is not None:
            await self.owner.aclose()


class Pools(dict[asyncio.AbstractEventLoop, Pool]):
    """The pools of a transport, with sessions of our own or on that of the caller."""

    def __init__(self, session: aiohttp.ClientSession | None) -> None:
        super().__init__()
        self._session = session

    async def opened(self, loop: asyncio.AbstractEventLoop) -> Pool:
        """A new pool for the running loop; an InvalidRequestError if the caller's session cannot be used on it."""
        for other in list(self):
            if other.is_closed():
                self.pop(other, None)
        states = ConnectionStates()
        if self._session is None:
            owner = _session_until_loop_ends(states)
            pool = Pool(await anext(owner), states, owner)
        elif self._session.closed:
            raise InvalidRequestError("session=... was closed; make the client with one that is open")
        elif getattr(self._session, "_loop", loop) is not loop:  # the public name for it is deprecated
            raise InvalidRequestError("session=... belongs to another event loop: use the client on the loop of its session")
        else:
            pool = Pool(self._session, states)
        self[loop] = pool
        return pool

    async def aclose(self) -> None:
        """Closes the pools of every loop that runs. Those of closed loops went with them; a loop that rests closes its own."""
        for loop, pool in list(self.items()):  # other threads may be adding theirs
            if loop.is_running() or loop.is_closed():
                self.pop(loop, None)
            if loop is asyncio.get_running_loop():
                await pool.aclose()
            elif loop.is_running():
                await _close_elsewhere(loop, pool)


async def _session_until_loop_ends(states: ConnectionStates) -> AsyncGenerator[aiohttp.ClientSession, None]:
    async with aiohttp.ClientSession(
        connector=Connector(states), request_class=SentRequest, cookie_jar=_NoCookies(), headers=ACCEPT_ENCODING
    ) as session:
        try:
            yield session
        finally:
            states.closed = True


async def _close_elsewhere(loop: asyncio.AbstractEventLoop, pool: Pool) -> None:
    """Closes a pool on its own loop, in another thread, unless that loop comes to rest: then it closes its own."""
    closing = pool.aclose()
    try:
        future = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closing, loop))
    except RuntimeError:  # it was closed just now
        future = None
    while future is not None and not future.done() and loop.is_running():
        await asyncio.wait([future], timeout=_REST_SECONDS)
    if getcoroutinestate(closing) == CORO_CREATED:
        closing.close()
    if future is not None and future.done() and not future.cancelled():
        future.result()
