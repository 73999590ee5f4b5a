"""aiohttp behind the transport port, through `ClientSession.request`, where tracers, recorders and mocks look for requests."""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import AsyncIterator, Iterator
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, Self, cast

import aiohttp
from multidict import istr
from yarl import URL

from .._core.ports import Reply
from .._core.request import Request, WholeReply
from .._wire.content_coding import STEP_BYTES, Body, BodyTooLargeError, Decoder
from .._wire.http_framing import HEADER_BYTES
from ..exceptions import APIConnectionError, APIError, APITimeoutError, ConnectTimeoutError, VeniceError
from ..types.response_meta import Headers
from .aiohttp_connections import ACCEPT_ENCODING, CURRENT_REQUEST, ConnectionState, Pool, Pools, RequestState
from .routes import CLOSED, KEEP_ALIVE_SECONDS, MOST_ROUTES, Routes, keep_alive_seconds
from .timers import Watch, shortest
from .transport_errors import begins_tls, broken, host_of, late, speaks_tls, too_large, unreachable, untrusted, without_proxy

_LARGE_BYTES = 2**20
# After `[DONE]` the body's end usually is in the same packet; waiting a moment for it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
_FAULTS = (aiohttp.ClientError, OSError, ValueError)  # what aiohttp raises where a reply cannot be read


class AiohttpTransport:
    """Sends requests with aiohttp, through one session for each event loop; or through the caller's, on its loop alone."""

    def __init__(self, routes: Routes, session: aiohttp.ClientSession | None = None) -> None:
        self._session = session
        self._pools = Pools(session)
        self._route = lru_cache(maxsize=MOST_ROUTES)(partial(_Route, routes if session is None else None))

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here; for plain calls, once its body is."""
        loop = asyncio.get_running_loop()
        pool = self._pools.get(loop)
        if pool is None or pool.states.closed or (self._session is not None and self._session.closed):
            pool = await self._pools.opened(loop)
        route = self._route(request.url)
        seconds, started = shortest(request)[1], loop.time()
        current = RequestState(pool.deadlines, None if seconds is None else started + seconds)
        before = CURRENT_REQUEST.set(current)
        response: aiohttp.ClientResponse | None = None
        # An error of aiohttp's holds the request's headers, and so the key. So ours is raised where that one is forgotten.
        try:
            while response is None:  # over as many idle connections as are dead, and at last over a new one
                try:
                    response = await pool.session.request(
                        request.method,
                        route.url,
                        # Large bytes as a file, from which aiohttp sends piece by piece.
                        data=BytesIO(request.body) if request.body and len(request.body) > _LARGE_BYTES else request.body,
                        headers=_sent_headers(request.headers, own_session=self._session is None),
                        allow_redirects=False,
                        raise_for_status=False,
                        auto_decompress=False,
                        timeout=_limit(request.timeout.connect),
                        max_line_size=HEADER_BYTES,
                        max_field_size=HEADER_BYTES,
                        proxy=route.proxy,
                        ssl=route.tls,
                    )
                except aiohttp.ClientError:
                    if not (current.unsent and current.reused):
                        raise
            received = _ResponseHeaders(response)
            if current.state is not None:
                _note_reply(current.state, received, pool)
            plain = not request.stream and 200 <= response.status < 300 and "Content-Encoding" not in received.found
            if plain and response.content.is_eof():  # A small reply comes with its headers. If a recorder read it, it has it.
                return WholeReply(response.status, received, response.content.read_nowait() or await response.read())
            return await _reply(response, received, request, pool, started)
        except BaseException as error:
            current.abort() if response is None else _release_or_abort(response)
            failure = _failure_of(error, request, current, pool, proxied=route.proxy is not None)
            if failure is None:
                raise
        finally:
            CURRENT_REQUEST.reset(before)
            current.end()
        raise failure

    async def aclose(self) -> None:
        await self._pools.aclose()


class _Route:
    """An address, its proxy and its TLS. No tuple: its repr stands in tracebacks, and the proxy may have a password."""

    __slots__ = ("proxy", "tls", "url")

    def __init__(self, routes: Routes | None, url: str) -> None:
        found = None if routes is None else routes.find(url)
        self.url = URL(url)
        self.proxy = URL(found.proxy) if found is not None and found.proxy else None
        self.tls: ssl.SSLContext | bool = (found is not None and found.tls) or True  # True: what the session's connector says


def _failure_of(error: BaseException, request: Request, current: RequestState, pool: Pool, *, proxied: bool) -> APIError | None:
    """The error for a request that failed, perhaps because its time was over; None if what was raised says it itself."""
    if isinstance(error, TimeoutError) or (isinstance(error, asyncio.CancelledError) and current.is_late()):
        if pool.states.closed:
            return APIConnectionError(CLOSED)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            return late(request, "connect", ConnectTimeoutError)
        connects = pool.owner is not None and not current.connected  # another's session does not tell
        return late(request, shortest(request)[0], ConnectTimeoutError if connects else APITimeoutError)
    if isinstance(error, VeniceError) or not isinstance(error, _FAULTS):
        return None
    # A proxy may break off while it is asked to connect; then nothing of ours was sent.
    connected = not current.unsent and (current.connected or not proxied)
    return _failure(error, request.url, request.method, connected=connected, proxied=proxied)


@lru_cache(maxsize=100)
def _limit(connect: float | None) -> aiohttp.ClientTimeout:
    # All of it: the name's address, the socket, a proxy's CONNECT, TLS. A connection of the pool has no timer.
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _note_reply(state: ConnectionState, headers: _ResponseHeaders, pool: Pool) -> None:
    """Counts a reply on a connection of our own, and notes how long the connection may be idle."""
    state.served += 1
    state.seconds = keep_alive_seconds(headers) if "Keep-Alive" in headers.found else KEEP_ALIVE_SECONDS
    if state.served == 2:
        pool.states.habits.learn(state.place, keeps=True)


class _ResponseHeaders(Headers):
    """The headers of a response, in which aiohttp finds names sooner than Python code does."""

    __slots__ = ("found",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._pairs = response.raw_headers
        self.found = response.headers

    def _values(self, name: str) -> list[str]:
        return self.found.getall(name, [])

    def has_any(self, names: frozenset[str]) -> bool:
        return any(map(self.found.__contains__, names))

    def __reduce__(self) -> tuple[type[Headers], tuple[object]]:
        return Headers, (self._pairs,)  # aiohttp's own cannot be pickled, and errors hold this


@lru_cache(maxsize=200)
def _name(name: str) -> istr:
    """The one name of all headers that are called so: aiohttp would make one for each request, which its open stream holds."""
    return istr(str.__str__(name))  # what it is, not what a subclass such as an enumeration says that it is


def _sent_headers(headers: dict[str, str], *, own_session: bool) -> dict[str, str]:
    """The headers to send. Through a caller's session only codings are asked for that can be decoded in bounded steps."""
    complete = own_session or any(name.lower() == "accept-encoding" for name in headers)
    return {_name(name): value for name, value in (headers if complete else headers | ACCEPT_ENCODING).items()}


# -- replies -------------------------------------------------------------------------------------------------------------


def _release_or_abort(response: aiohttp.ClientResponse) -> None:
    """Gives the connection back if the reply was read to its end, and else drops it without waiting for the server."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    response.release()
    if transport is not None:
        transport.abort()


class _ArrivingBody:
    """A body as it arrives. The bytes before a fault are given first, and then the fault is raised."""

    __slots__ = "_content", "_state", "fault"

    def __init__(self, response: aiohttp.ClientResponse, pool: Pool) -> None:
        self._content = response.content
        self._state: ConnectionState | None = None
        self.fault: Exception | None = None  # what ended it before its end
        protocol = None if response.connection is None else response.connection.protocol
        if protocol is not None and not self._content.is_eof():
            self._state = pool.states.of(protocol)
            self._state.on_end = self.tear
            if protocol.closed is None or not protocol.connected:
                self.tear()

    def tear(self) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            self.fault = _TornError()
            self._content.feed_eof()

    async def piece(self) -> bytes:
        """The next bytes, none at the end; raises the fault that ended it before."""
        if self.fault is None:
            try:
                return await self._content.readany() or self.ended()
            except (*_FAULTS, RuntimeError) as error:  # RuntimeError: it was closed before
                self.blame(error)
        # The bytes before the fault that were not read; after that, the fault is raised.
        return self._content.read_nowait() or self.ended()

    def ended(self) -> bytes:
        """No more bytes: that is the end, unless it was torn off, which is raised."""
        if self.fault is not None:
            raise self.fault
        return b""

    def blame(self, fault: Exception) -> None:
        """A fault has ended it. aiohttp would show that first, and the bytes before it never."""
        self.fault = self.fault or (aiohttp.ClientPayloadError() if isinstance(fault, RuntimeError) else fault)
        self._content.set_exception(cast("Any", None))

    def stop(self) -> None:
        if self._state is not None:
            self._state.on_end = None
            self._state = None


async def _reply(
    response: aiohttp.ClientResponse, headers: Headers, request: Request, pool: Pool, started: float
) -> WholeReply | _StreamedReply:
    """The reply that a response is the beginning of: a stream, or the whole of anything else."""
    if (good := 200 <= response.status < 300) and request.stream:
        return _StreamedReply(response, headers, request, pool, started)
    body = await _body(response, headers.get("content-encoding"), pool, refusal=not good)
    return WholeReply(response.status, headers, body)


async def _body(response: aiohttp.ClientResponse, coding: str | None, pool: Pool, *, refusal: bool) -> bytes:
    """A body to its end. Of a refusal, what is there of its first bytes; the connection is dropped if there is more."""
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
            _release_or_abort(response)
    raise failure


class _StreamedReply:
    """A reply whose body is read as it arrives, under the clocks of its request."""

    __slots__ = (
        *("__weakref__", "_arriving", "_content", "_decoder", "_pool", "_request", "_response", "_steps", "_watch", "headers"),
        "status",
    )

    def __init__(self, response: aiohttp.ClientResponse, headers: Headers, request: Request, pool: Pool, start: float) -> None:
        self.status = response.status
        self.headers = headers
        self._response, self._content = response, response.content
        self._request = request
        coding = headers.get("content-encoding")
        self._decoder = None if coding is None else Decoder(coding)
        self._steps: Iterator[bytes] | None = None
        self._pool = pool  # a client that nobody holds any more stays open for the streams that are read
        self._arriving = _ArrivingBody(response, pool)
        self._watch = Watch(request, start, partial(_release_or_abort, response))
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
                # Not all that has come: the events of a longer piece leave the processor's cache before they are read.
                piece = await self._content.read(STEP_BYTES) or self._arriving.ended()
            else:
                piece = await (self._arriving.piece() if self._decoder is None else self._decoded(self._decoder))
        except (*_FAULTS, RuntimeError) as error:  # RuntimeError: it was closed before
            failure = self._ended() or _failure(error, self._request.url, self._request.method)
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
        while (step := next(self._steps or iter(()), None)) is None:
            if not (piece := await self._arriving.piece()):
                decoder.finish()
                return b""
            self._steps = decoder.feed(piece)
        await asyncio.sleep(0)  # a bomb does not hold up the loop
        if why := self._ended():
            raise why
        return step

    def _ended(self) -> APIConnectionError | None:
        """The error for a stream that ended with its client, or by a clock."""
        return APIConnectionError(CLOSED) if self._pool.states.closed else self._watch.expired

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

    def close(self) -> None:
        self._watch.close()
        self._arriving.stop()
        _release_or_abort(self._response)


# -- errors --------------------------------------------------------------------------------------------------------------
#
# An error of aiohttp's holds the key, and perhaps a proxy's password: only what the operating system said stays as the cause.


class _TornError(aiohttp.ClientPayloadError):
    """The connection ended although the answer had not, and aiohttp did not say why: what came was not HTTP any more."""


_SHOWN = re.compile(r"""b['"]\\x([0-9a-f]{2})\\x([0-9a-f]{2})""")  # the bytes in the message of an error of parsing
_WORDS: dict[type[Exception], str] = {
    _TornError: "what came is not HTTP any more",
    aiohttp.ServerDisconnectedError: "it was closed without an answer",
    aiohttp.ClientPayloadError: "it ended before the answer did",
    aiohttp.ClientResponseError: "what came is not HTTP",
}


def _failure(error: Exception, url: str, method: str, *, connected: bool = True, proxied: bool = False) -> APIConnectionError:
    """The error for a connection that broke; or, of the kinds that say so and where it was not `connected`, for none."""
    failure: APIConnectionError
    host = host_of(url)
    shown = _SHOWN.search(error.message) if isinstance(error, aiohttp.ClientResponseError) else None
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        failure = untrusted(host, error, "base_url or proxy" if proxied else "base_url")
    elif isinstance(error, aiohttp.ClientHttpProxyError):
        failure = without_proxy(host, error, error.status)
    elif isinstance(error, aiohttp.ClientProxyConnectionError) or (proxied and not connected):
        failure = without_proxy(host, _words(error))
    elif isinstance(error, aiohttp.ClientConnectorError) or not connected:
        failure = unreachable(host, _words(error))
    elif shown and begins_tls(bytes.fromhex(shown[1] + shown[2])):
        return speaks_tls(host)
    else:
        failure = broken(host, method, _words(error), proxied=proxied)
    failure.__cause__ = _system_error(error)
    return failure


def _words(error: Exception) -> object:
    """The words for an error of aiohttp's: not its own, which may show a proxy's password or the bytes that arrived."""
    for kind, words in _WORDS.items():
        if isinstance(error, kind):
            return words
    if isinstance(error, aiohttp.ClientOSError) and not hasattr(error, "os_error"):
        return os.strerror(error.errno) if error.errno else "it was closed while the request was sent"
    return "it was lost" if isinstance(error, aiohttp.ClientError) and not isinstance(error, OSError) else error


def _system_error(error: Exception) -> OSError | None:
    """The error of the operating system, or of OpenSSL. aiohttp's own errors hold what was sent."""
    for found in (error, getattr(error, "os_error", None), getattr(error, "certificate_error", None), error.__cause__):
        if isinstance(found, OSError) and not isinstance(found, aiohttp.ClientError):
            found.__cause__ = found.__context__ = None
            return found.with_traceback(None)
    return None
