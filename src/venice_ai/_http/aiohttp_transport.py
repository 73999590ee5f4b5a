"""aiohttp behind the transport port: sessions, the connections that are kept, and replies as they arrive.

A session belongs to the event loop it was made on, so there is one for each running loop. It is owned by an async generator
that is left open: event loops close those when they shut down (`loop.shutdown_asyncgens`, which `asyncio.run` calls), and so a
client that outlives its loop leaves nothing unclosed behind. Or it is the caller's, who closes it.

Requests go through `ClientSession.request`, where tracers, recorders and mocks of aiohttp look for them. Our own session keeps
no cookies and knows neither the key nor the environment.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from contextvars import ContextVar
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, Any, Self, cast
from weakref import WeakSet

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from yarl import URL

from .._core.ports import Reply, Request, WholeReply
from .._wire.content_coding import ACCEPTED, Body, BodyTooLargeError, Decoder
from .._wire.http_framing import HEADER_BYTES
from ..exceptions import APIConnectionError, APIError, InvalidRequestError, VeniceError
from ..types.response_meta import Headers
from .aiohttp_errors import TornError, connection_broke, connection_error
from .connection_errors import too_large
from .retry import ConnectTimeout
from .routes import CLOSED, KEPT_SECONDS, LONGEST_KEPT_SECONDS, Habits, Routes, kept_seconds, reader_of
from .timeout_errors import late
from .timers import Deadlines, Watch, shortest

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

# After `[DONE]` the body's end usually is in the same packet; waiting a moment for it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
_LARGE_BYTES = 2**20
_REST_SECONDS = 0.05
_TURNS = 3  # of the loop, in which it reads what has come; as many with TLS
_FAULTS = (aiohttp.ClientError, OSError, ValueError)
_ACCEPT_ENCODING = {"Accept-Encoding": ACCEPTED}


class AiohttpTransport:
    """Sends requests with aiohttp, through one session for each event loop.

    Args:
        routes: the proxies and the TLS contexts of addresses.
        session: the caller's session, which has its own; it is used on its loop alone, and not closed.
    """

    def __init__(self, routes: Routes, session: aiohttp.ClientSession | None = None) -> None:
        self._known = routes
        self._session = session
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._routes: dict[str, _Route] = {}
        self._limits: dict[float | None, aiohttp.ClientTimeout] = {}

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here; for plain calls, once its body is."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.states.closed or (self._session is not None and self._session.closed):
            pool = await self._new_pool(loop)
        route = self._routes.get(request.url) or self._route(request.url)
        clock, seconds = shortest(request)
        started = loop.time()
        call = _Call()
        before = _CALL.set(call)
        connect = request.timeout.connect
        response: aiohttp.ClientResponse | None = None
        # An error of aiohttp's holds the request's headers, and so the key. So ours is raised where that one is forgotten.
        try:
            with pool.deadlines.limit(seconds, started):
                while response is None:  # over as many kept connections as are dead, and at last over a new one
                    try:
                        response = await pool.session.request(
                            request.method,
                            route.url,
                            data=_payload(request.body),
                            headers=request.headers if self._session is None else _with_codings(request.headers),
                            allow_redirects=False,
                            raise_for_status=False,
                            auto_decompress=False,
                            timeout=self._limits.get(connect) or self._limit(connect),
                            max_line_size=HEADER_BYTES,
                            max_field_size=HEADER_BYTES,
                            proxy=route.proxy,
                            ssl=route.tls,
                        )
                    except aiohttp.ClientError:
                        if not (call.unsent and call.kept):
                            raise
                return _at_once(response, request, pool, started, call) or await _whole_reply(response, pool)
        except VeniceError:
            raise
        except TimeoutError as error:
            late_to_connect = isinstance(error, aiohttp.ConnectionTimeoutError)
            failure: APIError = late(request, "connect", ConnectTimeout) if late_to_connect else late(request, clock)
            if pool.closed:
                failure = APIConnectionError(CLOSED)
        except _FAULTS as error:
            failure = connection_error(
                error, request, unsent=call.unsent, connected=call.connected, proxied=route.proxy is not None
            )
        finally:
            _CALL.reset(before)
            if response is None:
                call.abort()
        raise failure

    def _limit(self, connect: float | None) -> aiohttp.ClientTimeout:
        if len(self._limits) > 100:
            self._limits.clear()
        # All of it: the name's address, the socket, a proxy's CONNECT, TLS. A connection of the pool has no timer.
        made = self._limits[connect] = aiohttp.ClientTimeout(total=None, connect=connect)
        return made

    async def aclose(self) -> None:
        """Closes the pools of every loop that runs. Those of closed loops went with them; a loop that rests closes its own."""
        pools = list(self._pools.items())  # other threads may be adding theirs
        for loop, pool in pools:
            if loop.is_running() or loop.is_closed():
                self._pools.pop(loop, None)
            if loop is asyncio.get_running_loop():
                await pool.aclose()
            elif loop.is_running():
                await _close_elsewhere(loop, pool)

    async def _new_pool(self, loop: asyncio.AbstractEventLoop) -> _Pool:
        for other in list(self._pools):
            if other.is_closed():
                self._pools.pop(other, None)
        if self._session is not None:
            _check_session(self._session, loop)
        pool = self._pools[loop] = await _Pool.open() if self._session is None else _Pool(self._session)
        return pool

    def _route(self, url: str) -> _Route:
        if len(self._routes) > 100:
            self._routes.clear()
        made = self._routes[url] = _Route(url, self._known if self._session is None else None)
        return made


class _Route:
    """An address, its proxy and its TLS. No tuple: its repr stands in tracebacks, and the proxy may have a password."""

    __slots__ = ("proxy", "tls", "url")

    def __init__(self, url: str, routes: Routes | None) -> None:
        self.url = URL(url)
        self.proxy: URL | None = None
        self.tls: ssl.SSLContext | bool = True  # what the session's connector says
        if routes is not None:
            found = routes.find(url)
            self.tls = found.tls or True
            self.proxy = URL(found.proxy) if found.proxy else None


def _check_session(session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop) -> None:
    if session.closed:
        raise InvalidRequestError("session=... was closed; make the client with one that is open")
    if getattr(session, "_loop", loop) is not loop:  # the public name for it is deprecated
        raise InvalidRequestError("session=... belongs to another event loop: use the client on the loop of its session")


# -- connections ---------------------------------------------------------------------------------------------------------


class _Call:
    """What our own session's parts tell of one request: how far it got, and on what."""

    __slots__ = ("connected", "kept", "state", "transport", "unsent")

    def __init__(self) -> None:
        self.connected = False
        self.kept = False
        """Whether the connection has served before."""
        self.unsent = False
        """Whether not a byte of it was written."""
        self.state: _ConnectionState | None = None
        self.transport: asyncio.Transport | None = None

    def on(self, state: _ConnectionState, protocol: ResponseHandler, *, kept: bool) -> None:
        """A connection was found."""
        self.connected, self.kept, self.unsent = True, kept, False
        self.state, self.transport = state, protocol.transport

    def abort(self) -> None:
        """Drops the connection at once: closing it waits for what is to be sent, and for TLS's goodbye."""
        if self.transport is not None:
            self.transport.abort()


_CALL: ContextVar[_Call | None] = ContextVar("venice_ai_call", default=None)


class _ConnectionState:
    """What is known of one connection."""

    __slots__ = ("look", "place", "reader", "rested", "seconds", "served")

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
        self.reader: _ArrivingBody | None = None
        """Who reads from it."""


class _ConnectionStates(dict["ResponseHandler", _ConnectionState]):
    """What is known of the connections of one loop, as long as they are open."""

    def __init__(self) -> None:
        super().__init__()
        self.habits: Habits = Habits()
        self.closed = False
        """Whether their session was closed."""

    def of(self, protocol: ResponseHandler, place: object = None) -> _ConnectionState:
        """What is known of a connection, from now on."""
        state = self.get(protocol)
        if state is None:
            state = _ConnectionState(place)
            if (closed := protocol.closed) is not None:
                self[protocol] = state
                closed.add_done_callback(partial(self._lost, protocol))
        return state

    def _lost(self, protocol: ResponseHandler, closed: asyncio.Future[None]) -> None:
        """A connection has ended. aiohttp does not tell a reader if what came last was no HTTP."""
        if not closed.cancelled():
            closed.exception()  # asyncio complains of those that nobody looked at
        if (reader := self.pop(protocol).reader) is not None:
            reader.tear()


class _Connector(aiohttp.TCPConnector):
    """The connections of our own session. A kept one is looked at before it is used again."""

    def __init__(self, states: _ConnectionStates) -> None:
        super().__init__(limit=0, keepalive_timeout=LONGEST_KEPT_SECONDS)  # pyright: ignore[reportUnknownMemberType]
        self._states = states
        self._running = asyncio.get_running_loop()
        self._now = self._running.time
        self._timer: asyncio.TimerHandle | None = None

    async def connect(self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        """A connection: a new one, or one that is as its last reply left it."""
        call = _CALL.get() or _Call()
        call.connected = False
        while True:
            connection = await super().connect(req, traces, timeout)
            protocol = cast("ResponseHandler", connection.protocol)
            state = self._states.get(protocol)
            kept = state is not None
            if state is None:
                state = self._states.of(protocol, (req.url.origin(), req.proxy))
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
        call.on(state, protocol, kept=kept)
        return connection

    async def _serves_again(self, state: _ConnectionState, protocol: ResponseHandler) -> bool:
        """Whether the server has kept a connection, too."""
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

    def _rests(self, state: _ConnectionState) -> None:
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


class _Request(aiohttp.ClientRequest):
    """A request of our own session, which knows whether the first byte of it was refused."""

    async def write_bytes(self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None) -> None:
        """Writes the body, and the head with it."""
        call = _CALL.get()
        if call is not None and conn.closed:
            call.unsent = True
        await super().write_bytes(writer, conn, content_length)


def _is_spoilt(state: _ConnectionState, protocol: ResponseHandler) -> bool:
    """Whether a connection has ended, or something came on it that nobody asked for: the answer to another call."""
    return protocol.should_close or not protocol.is_connected() or not _is_quiet(state, protocol)


def _is_quiet(state: _ConnectionState, protocol: ResponseHandler) -> bool:
    """Whether nothing can be read from a connection that is connected."""
    if state.look is None:
        assert protocol.transport is not None
        state.look = reader_of(protocol.transport.get_extra_info("socket"))
    return not state.look()


class _Pool:
    """What one event loop has: a session, its connections, and who uses them.

    Our own session is owned by an async generator that the loop closes with itself.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        states: _ConnectionStates | None = None,
        owner: AsyncGenerator[aiohttp.ClientSession, None] | None = None,
    ) -> None:
        self.session = session
        self.states = _ConnectionStates() if states is None else states
        self.closed = False
        self.deadlines: Deadlines = Deadlines()
        self.streams: WeakSet[_StreamedReply] = WeakSet()
        """What is still read from."""
        self._owner = owner

    @classmethod
    async def open(cls) -> _Pool:
        states = _ConnectionStates()
        owner = cls._own(states)
        return cls(await anext(owner), states, owner)

    @staticmethod
    async def _own(states: _ConnectionStates) -> AsyncGenerator[aiohttp.ClientSession, None]:
        async with aiohttp.ClientSession(
            connector=_Connector(states), request_class=_Request, cookie_jar=aiohttp.DummyCookieJar(), headers=_ACCEPT_ENCODING
        ) as session:
            try:
                yield session
            finally:
                states.closed = True

    async def aclose(self) -> None:
        self.closed = True
        # aiohttp tells nobody who waits that the session was closed.
        for limit in list(self.deadlines.limits):
            limit.expire()
        for stream in list(self.streams):
            stream.abandon(APIConnectionError(CLOSED))
        if self._owner is not None:
            await self._owner.aclose()


async def _close_elsewhere(loop: asyncio.AbstractEventLoop, pool: _Pool) -> None:
    """Closes a pool on its own loop, in another thread, unless that loop comes to rest: then it closes its own."""
    closing = pool.aclose()
    try:
        told = asyncio.wrap_future(asyncio.run_coroutine_threadsafe(closing, loop))
    except RuntimeError:  # it was closed just now
        told = None
    while told is not None and not told.done() and loop.is_running():
        await asyncio.wait([told], timeout=_REST_SECONDS)
    if getcoroutinestate(closing) == CORO_CREATED:
        closing.close()
    if told is not None and told.done() and not told.cancelled():
        told.result()


# -- replies -------------------------------------------------------------------------------------------------------------


def _at_once(
    response: aiohttp.ClientResponse, request: Request, pool: _Pool, started: float, call: _Call
) -> WholeReply | _StreamedReply | None:
    """The reply that a response is the beginning of, or the whole; None where its body is still to be waited for."""
    state, status = call.state, response.status
    headers = _ResponseHeaders(response)
    if state is not None:
        state.served += 1
        state.seconds = kept_seconds(headers) if "Keep-Alive" in response.headers else KEPT_SECONDS
        if state.served == 2:
            pool.states.habits.learn(state.place, keeps=True)
    if not 200 <= status < 300:
        return None
    try:
        if request.stream:
            return _StreamedReply(response, headers, request, pool, started)
        # A small answer comes with its headers; then there is nothing to wait for.
        content = response.content
        body = content.read_nowait() if content.is_eof() and _coding(response) is None else b""
        return WholeReply(status, headers, body) if body else None
    except BaseException:
        _close_and_abort(response)
        raise


async def _whole_reply(response: aiohttp.ClientResponse, pool: _Pool) -> WholeReply:
    """The reply with its body, which is waited for."""
    good, coding = 200 <= response.status < 300, _coding(response)
    try:
        if good and coding is None and response.content.is_eof():
            body = await response.read()  # a recorder of requests has read it before us: it stands in the response
        else:
            body = await _whole(response, coding, pool, refusal=not good)
        return WholeReply(response.status, _ResponseHeaders(response), body)
    except BaseException:
        _close_and_abort(response)
        raise


class _ResponseHeaders(Headers):
    """The headers of a response, in which aiohttp finds names sooner than Python code does."""

    __slots__ = ("_found",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._pairs = response.raw_headers
        self._found = response.headers

    def _values(self, name: str) -> list[str]:
        return self._found.getall(name, [])

    def has_any(self, names: frozenset[str]) -> bool:
        return any(map(self._found.__contains__, names))


def _coding(response: aiohttp.ClientResponse) -> str | None:
    """What its body is compressed by."""
    found = response.headers.getall("Content-Encoding", None)
    return None if found is None else ", ".join(found)


async def _whole(response: aiohttp.ClientResponse, coding: str | None, pool: _Pool, *, refusal: bool) -> bytes:
    """A body to its end. Of a refusal, what is there of its first bytes; the connection is dropped if there is more.

    Raises:
        APIResponseProcessingError: there is more of an answer than is read.
    """
    body = Body(coding, refusal=refusal)
    arriving = _ArrivingBody(response, pool)
    failure: VeniceError | None = None
    try:
        while body.wants and (piece := await arriving.piece()):
            for _ in body.steps(piece):
                if coding is not None:
                    await asyncio.sleep(0)  # a bomb does not hold up the loop
        return body.finish()
    except BodyTooLargeError as error:
        failure = too_large(response.status, error)
    except _FAULTS:
        if not refusal:
            raise
        return body.finish()
    finally:
        arriving.stop()
        if not response.content.at_eof():
            _close_and_abort(response)
    raise failure


def _close_and_abort(response: aiohttp.ClientResponse) -> None:
    """Drops a connection without waiting for anything, unless the reply was read to its end."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    response.close()
    if transport is not None:
        transport.abort()


def _release_or_abort(response: aiohttp.ClientResponse) -> None:
    """Gives the connection back if the reply was read to its end, and else drops it without waiting for the server."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    response.release()
    if transport is not None:
        transport.abort()


class _ArrivingBody:
    """A body as it arrives. What came before a fault is given first, and then the fault is raised."""

    __slots__ = ("_content", "_state", "fault")

    def __init__(self, response: aiohttp.ClientResponse, pool: _Pool) -> None:
        self._content = response.content
        self._state: _ConnectionState | None = None
        self.fault: Exception | None = None
        """What ended it before its end."""
        protocol = None if response.connection is None else response.connection.protocol
        if protocol is not None and not self._content.is_eof():
            self._state = pool.states.of(protocol)
            self._state.reader = self
            if protocol.closed is None or not protocol.connected:
                self.tear()

    def tear(self) -> None:
        """The connection has ended, and so has what was to come."""
        if not self._content.is_eof() and self._content.exception() is None:
            self.fault = TornError()
            self._content.feed_eof()

    async def piece(self) -> bytes:
        """The next bytes; none at the end.

        Raises:
            Exception: the fault.
        """
        if self.fault is None:
            try:
                return await self._content.readany() or self.ended()
            except (*_FAULTS, RuntimeError) as error:  # RuntimeError: it was closed before
                self.blame(error)
        return self.rest()

    def ended(self) -> bytes:
        """No more bytes: that is the end, unless it was torn off.

        Raises:
            Exception: the fault.
        """
        if self.fault is not None:
            raise self.fault
        return b""

    def blame(self, fault: Exception) -> None:
        """A fault has ended it. aiohttp would show that first, and what came before it never."""
        self.fault = self.fault or (aiohttp.ClientPayloadError() if isinstance(fault, RuntimeError) else fault)
        self._content.set_exception(cast("Any", None))

    def rest(self) -> bytes:
        """What came before the fault and was not read.

        Raises:
            Exception: nothing; the fault.
        """
        return self._content.read_nowait() or self.ended()

    def stop(self) -> None:
        """Nobody reads any more."""
        if self._state is not None:
            self._state.reader = None
            self._state = None


class _StreamedReply:
    """A reply whose body is read as it arrives, under the clocks of its request."""

    __slots__ = (
        *("__weakref__", "_abandoned", "_arriving", "_content", "_decoder", "_method", "_pool", "_response", "_steps", "_url"),
        *("_watch", "headers", "status"),
    )

    def __init__(
        self, response: aiohttp.ClientResponse, headers: Headers, request: Request, pool: _Pool, started: float
    ) -> None:
        self.status = response.status
        self.headers = headers
        self._response, self._content = response, response.content
        self._method, self._url = request.method, request.url
        coding = _coding(response)
        self._decoder = None if coding is None else Decoder(coding)
        self._steps: Iterator[bytes] = iter(())
        self._pool = pool  # a client that nobody holds any more stays open for the streams that are read
        self._arriving = _ArrivingBody(response, pool)
        self._watch = Watch(request, started, partial(_release_or_abort, response))
        self._abandoned: APIConnectionError | None = None
        pool.streams.add(self)

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self])

    # An iterator of its own: async generators that are left before their end cost a wake-up of the loop each.

    def pieces(self) -> AsyncIterator[bytes]:
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        self._watch.resume()
        failure: APIConnectionError | None = None
        piece = b""
        try:
            if self._decoder is None and self._arriving.fault is None:  # nearly always
                piece = await self._content.readany() or self._arriving.ended()
            else:
                piece = await (self._arriving.piece() if self._decoder is None else self._decoded(self._decoder))
        except (*_FAULTS, RuntimeError) as error:  # RuntimeError: it was closed before
            failure = self._abandoned or self._watch.expired or connection_broke(error, self._url, self._method)
            if self._decoder is None and self._arriving.fault is None:
                self._arriving.blame(error)
                piece = self._content.read_nowait()
            error.__traceback__ = None  # aiohttp keeps the error, and this refers to the frame
        if piece:
            self._watch.received()
            return piece
        try:
            if failure is not None:
                raise failure
        finally:
            del failure  # its traceback refers to this frame
        self._watch.close()
        self._arriving.stop()
        raise StopAsyncIteration

    async def _decoded(self, decoder: Decoder) -> bytes:
        """The next step of a body that is compressed."""
        while (step := next(self._steps, None)) is None:
            piece = await self._arriving.piece()
            if not piece:
                decoder.finish()
                return b""
            self._steps = decoder.feed(piece)
        await asyncio.sleep(0)  # a bomb does not hold up the loop
        if why := self._abandoned or self._watch.expired:
            raise why
        return step

    async def drain(self) -> None:
        if self._content.at_eof():
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._content.readany()
        except (TimeoutError, RuntimeError, *_FAULTS):
            return  # the answer is complete; only the connection is not kept

    def progressed(self) -> None:
        self._watch.progressed()

    def abandon(self, why: APIConnectionError) -> None:
        """Drops the connection; whoever reads is told why."""
        self._abandoned = why
        self.close()

    def close(self) -> None:
        self._watch.close()
        self._arriving.stop()
        _release_or_abort(self._response)


# -- what is sent --------------------------------------------------------------------------------------------------------


def _with_codings(headers: dict[str, str]) -> dict[str, str]:
    """The headers to send through a caller's session: only codings are asked for that can be decoded in bounded steps."""
    return headers if any(name.lower() == "accept-encoding" for name in headers) else headers | _ACCEPT_ENCODING


def _payload(body: bytes | None) -> bytes | BytesIO | None:
    """The body as aiohttp wants it, and what records requests; large bytes as a file, from which it sends piece by piece."""
    return body if body is None or len(body) < _LARGE_BYTES else BytesIO(body)
