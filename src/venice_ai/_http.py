"""aiohttp behind the transport port: pools, TLS, proxies, the clocks.

A pool of connections belongs to the event loop it was made on, so there is one for each running loop. It is owned by an async
generator that is left open: event loops close those when they shut down (`loop.shutdown_asyncgens`, which `asyncio.run`
calls), and so a client that outlives its loop leaves nothing unclosed behind.

A request goes over aiohttp's connector by aiohttp's own request and response. The session above them is left out:
cookies, redirects, credentials from files, middleware and total limits are all things that this client must not have or has
itself, and asking for none of them is a sixth of a call.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator
from functools import partial
from inspect import CORO_CREATED, getcoroutinestate
from io import BytesIO
from math import inf
from typing import TYPE_CHECKING, NamedTuple, Self, cast
from weakref import WeakSet

import aiohttp
from yarl import URL

from ._clocks import Deadlines, Watch, late, shortest
from ._connections import (
    HEADER_BYTES,
    KEPT_SECONDS,
    REFUSAL_BYTES,
    ReplyHeaders,
    Routes,
    WholeReply,
    broken,
    host_of,
    unreachable,
    untrusted,
    without_proxy,
)
from ._meta import Headers
from ._retry import ConnectFailure, ConnectTimeout
from ._transport import Reply, Request
from .exceptions import APIConnectionError

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.connector import Connection

# After `[DONE]` the body's end usually is in the same packet; waiting a moment for it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
_LARGE_BYTES = 2**20
# A loop that did not run for so long looks at its connections first, which takes as many turns with TLS.
_REST_SECONDS = 0.05
_TURNS = 3
_MOST_SPOILT = 10
_CLOSED = "the client was closed"


class AiohttpTransport:
    """Sends requests with aiohttp, on one connection pool for each event loop."""

    def __init__(self, routes: Routes) -> None:
        self._known = routes
        self._pools: dict[asyncio.AbstractEventLoop, _Pool] = {}
        self._routes: dict[str, _Route] = {}
        self._limits: dict[float | None, aiohttp.ClientTimeout] = {}

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here; for plain calls, once its body is."""
        loop = asyncio.get_running_loop()
        pool, route = self._pools.get(loop), self._route(request.url)
        if pool is None or pool.connector.closed:
            pool = await self._new_pool(loop)
        clock, seconds = shortest(request)
        started = loop.time()
        try:
            with pool.deadlines.limit(seconds):
                await pool.rouse(started)
                sent, connection = await self._connect(pool.connector, request, route)
                return await _answered(sent, connection, request, pool, started)
        except APIConnectionError:
            raise
        except TimeoutError:
            if pool.connector.closed:
                raise APIConnectionError(_CLOSED) from None
            raise late(request, clock) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            host = host_of(request.url)
            raise broken(host, request.method, _telling(error), proxied=route.proxy is not None) from error

    async def _connect(
        self, connector: aiohttp.BaseConnector, request: Request, route: _Route
    ) -> tuple[aiohttp.ClientRequest, Connection]:
        """The request as aiohttp sends it, and a connection for it: a new one, or one that is as its last reply left it."""
        limit = self._limit(request.timeout.connect)
        try:
            sent = aiohttp.ClientRequest(
                request.method,
                route.url,
                data=_payload(request.body),
                headers=request.headers,
                proxy=route.proxy,
                ssl=route.tls,
            )
            connection = await connector.connect(sent, traces=[], timeout=limit)
            for _ in range(_MOST_SPOILT):
                # Something came that nobody asked for; or a new server talks before it is asked, which its reply will show.
                if not cast("ResponseHandler", connection.protocol).should_close:
                    break
                connection.close()
                connection = await connector.connect(sent, traces=[], timeout=limit)
        except TimeoutError:
            raise late(request, "connect", ConnectTimeout) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _unconnected(error, host_of(request.url), proxied=route.proxy is not None) from error
        else:
            return sent, connection

    def _limit(self, connect: float | None) -> aiohttp.ClientTimeout:
        found = self._limits.get(connect)
        if found is None:
            if len(self._limits) > 100:
                self._limits.clear()
            # All of it: the name's address, the socket, a proxy's CONNECT, TLS. A connection of the pool has no timer.
            found = self._limits[connect] = aiohttp.ClientTimeout(total=None, connect=connect)
        return found

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
        pool = self._pools[loop] = await _Pool.open()
        return pool

    def _route(self, url: str) -> _Route:
        # As aiohttp wants it.
        found = self._routes.get(url)
        if found is None:
            known = self._known.find(url)
            if len(self._routes) > 100:
                self._routes.clear()
            found = self._routes[url] = _Route(URL(url), URL(known.proxy) if known.proxy else None, known.tls or True)
        return found


class _Route(NamedTuple):
    url: URL
    proxy: URL | None
    tls: ssl.SSLContext | bool


class _Pool:
    """The connections of one event loop, owned by an async generator that the loop closes with itself."""

    def __init__(self, connector: aiohttp.BaseConnector, owner: AsyncGenerator[aiohttp.BaseConnector, None]) -> None:
        self.connector = connector
        self.deadlines: Deadlines = Deadlines()
        self.streams: WeakSet[_StreamedReply] = WeakSet()
        """What is still read from."""
        self._owner = owner
        self._roused = inf

    async def rouse(self, now: float) -> None:
        """Lets the loop see what came on kept connections while it did not run: mostly, that a server closed one."""
        if now - self._roused > _REST_SECONDS:
            for _ in range(_TURNS):
                await asyncio.sleep(0)
        self._roused = now

    @classmethod
    async def open(cls) -> _Pool:
        owner = cls._own()
        return cls(await anext(owner), owner)

    @staticmethod
    async def _own() -> AsyncGenerator[aiohttp.BaseConnector, None]:
        async with aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS) as connector:
            yield connector

    async def aclose(self) -> None:
        # aiohttp tells nobody who waits that the connector was closed.
        for limit in list(self.deadlines.limits):
            limit.expire()
        for stream in list(self.streams):
            stream.abandon(APIConnectionError(_CLOSED))
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


async def _answered(
    sent: aiohttp.ClientRequest, connection: Connection, request: Request, pool: _Pool, started: float
) -> WholeReply | _StreamedReply:
    """The reply to a request that is sent over a connection."""
    transport = connection.transport
    try:
        response = await _exchange(sent, connection)
        if not 200 <= response.status < 300:
            return WholeReply(response.status, _headers(response), await _beginning(response))
        if request.stream:
            return _StreamedReply(response, request, pool, started)
        # A small answer comes with its headers; then there is nothing to wait for.
        content = response.content
        body = content.read_nowait() if content.is_eof() else await response.read()
        return WholeReply(response.status, _headers(response), body)
    except BaseException:
        connection.close()
        if transport is not None:
            transport.abort()  # closing waits for what is to be sent, and for TLS's goodbye
        raise


async def _exchange(request: aiohttp.ClientRequest, connection: Connection) -> aiohttp.ClientResponse:
    """Sends a request over a connection, and reads the beginning of its reply."""
    protocol = cast("ResponseHandler", connection.protocol)
    protocol.set_response_params(read_until_eof=True, max_line_size=HEADER_BYTES, max_field_size=HEADER_BYTES)
    response = await request.send(connection)
    try:
        return await response.start(connection)
    except BaseException:
        response.close()
        raise


def _leave(response: aiohttp.ClientResponse) -> None:
    """Gives the connection back if the reply was read to its end, and else drops it without waiting for the server."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    response.release()
    if transport is not None:
        transport.abort()


def _headers(response: aiohttp.ClientResponse) -> Headers:
    return ReplyHeaders(response.headers.getall, response.headers.items)


class _StreamedReply:
    """A reply whose body is read as it arrives, under the clocks of its request."""

    __slots__ = ("__weakref__", "_abandoned", "_method", "_pool", "_response", "_url", "_watch", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, request: Request, pool: _Pool, started: float) -> None:
        self.status = response.status
        self.headers: Headers = _headers(response)
        self._response = response
        self._method, self._url = request.method, request.url
        self._pool = pool  # a client that nobody holds any more stays open for the streams that are read
        self._watch = Watch(request, started, partial(_leave, response))
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
        try:
            piece = await self._response.content.readany()
        except (aiohttp.ClientError, OSError, ValueError, RuntimeError) as error:  # RuntimeError: it was closed before
            if why := self._abandoned or self._watch.expired:
                raise why from None
            raise broken(host_of(self._url), self._method, _telling(error)) from error
        if not piece:
            self._watch.close()
            raise StopAsyncIteration
        self._watch.received()
        return piece

    async def drain(self) -> None:
        if self._response.content.at_eof():
            return
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                await self._response.content.readany()
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
            return  # the answer is complete; only the connection is not kept

    def progressed(self) -> None:
        self._watch.progressed()

    def abandon(self, why: APIConnectionError) -> None:
        """Drops the connection; whoever reads is told why."""
        self._abandoned = why
        self.close()

    def close(self) -> None:
        self._watch.close()
        _leave(self._response)


async def _beginning(response: aiohttp.ClientResponse) -> bytes:
    """What is read of a refusal: no honest one is longer. The connection is dropped if there is more, or nobody waits."""
    body, whole = bytearray(), False
    try:
        while len(body) < REFUSAL_BYTES and (piece := await response.content.readany()):
            body += piece
        whole = len(body) < REFUSAL_BYTES
    finally:
        if not whole:
            response.close()
    return bytes(body[:REFUSAL_BYTES])


def _payload(body: bytes | None) -> aiohttp.BytesPayload | BytesIO | None:
    """The body as aiohttp wants it; large bytes as a file, from which it sends piece by piece."""
    if body is None:
        return None
    return aiohttp.BytesPayload(body) if len(body) < _LARGE_BYTES else BytesIO(body)


def _unconnected(error: Exception, host: str, *, proxied: bool) -> ConnectFailure:
    """What an error of aiohttp or of the operating system means to a caller, before anything was sent."""
    if isinstance(
        error,
        aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | aiohttp.ServerFingerprintMismatch,
    ):
        return untrusted(host, error, "base_url or proxy" if proxied else "base_url")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return without_proxy(host, error, error.status)
    return without_proxy(host, _telling(error)) if proxied else unreachable(host, error)


def _telling(error: Exception) -> Exception:
    """The error whose words are told: one of them may hold the head of a reply."""
    return aiohttp.ServerDisconnectedError() if isinstance(error, aiohttp.ServerDisconnectedError) else error
