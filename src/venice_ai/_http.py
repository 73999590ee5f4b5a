"""aiohttp behind the transport port: pools, TLS, proxies, the clocks.

A session belongs to the event loop it was made on, so there is one for each running loop. It is owned by an async
generator that is left open: event loops close those when they shut down (`loop.shutdown_asyncgens`, which `asyncio.run`
calls), and so a client that outlives its loop leaves nothing unclosed behind.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable
from io import BytesIO
from typing import NamedTuple, Self
from weakref import WeakSet

import aiohttp
from yarl import URL

from ._clocks import Deadlines, Watch, late, shortest
from ._connections import (
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
from ._retry import ConnectTimeout
from ._transport import Reply, Request
from .exceptions import APIConnectionError

# After `[DONE]` the body's end usually is in the same packet; waiting a moment for it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
_HEADER_BYTES = 65_536
_LARGE_BYTES = 2**20
_USUAL_HEADERS = 4
_FEW_HEADERS = 5


class AiohttpTransport:
    """Sends requests with aiohttp, on one connection pool for each event loop."""

    def __init__(self, routes: Routes) -> None:
        self._known = routes
        self._sessions: dict[asyncio.AbstractEventLoop, _Session] = {}
        self._routes: dict[str, _Route] = {}
        self._limits: dict[float | None, aiohttp.ClientTimeout] = {}

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here; for plain calls, once its body is."""
        loop = asyncio.get_running_loop()
        session, route = self._sessions.get(loop), self._route(request.url)
        if session is None or session.closed:
            session = await self._new_session(loop)
        clock, seconds = shortest(request)
        started = loop.time()
        try:
            with session.deadlines.limit(seconds):
                response = await self._open(session, request, route)
                if response.status >= 300:
                    return WholeReply(response.status, _headers(response), await _beginning(response))
                if request.stream:
                    return _StreamedReply(response, request, session, started)
                # A small answer comes with its headers; then there is nothing to wait for.
                content = response.content
                body = content.read_nowait() if content.is_eof() else await response.read()
                return WholeReply(response.status, _headers(response), body)
        except aiohttp.ConnectionTimeoutError:
            raise late(request, "connect", ConnectTimeout) from None
        except TimeoutError:
            raise late(request, clock) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _connection_error(error, request.method, request.url, proxied=route.proxy is not None) from error

    def _open(self, session: _Session, request: Request, route: _Route) -> Awaitable[aiohttp.ClientResponse]:
        client, headers = session.sender(request.headers)
        return client.request(
            request.method,
            route.url,
            data=_payload(request.body),
            headers=headers,
            proxy=route.proxy,
            ssl=route.tls,
            allow_redirects=False,
            timeout=self._limit(request.timeout.connect),
        )

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
        sessions = self._sessions
        self._sessions = {loop: each for loop, each in sessions.items() if not (loop.is_running() or loop.is_closed())}
        for loop, session in sessions.items():
            if loop is asyncio.get_running_loop():
                await session.aclose()
            elif loop.is_running():
                await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(session.aclose(), loop))

    async def _new_session(self, loop: asyncio.AbstractEventLoop) -> _Session:
        for closed in [other for other in self._sessions if other.is_closed()]:
            del self._sessions[closed]
        session = self._sessions[loop] = await _Session.open()
        return session

    def _route(self, url: str) -> _Route:
        # As aiohttp wants it, whose own `trust_env` would read the environment on every call, and send passwords from ~/.netrc.
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


class _Pool(NamedTuple):
    connector: aiohttp.TCPConnector
    any: aiohttp.ClientSession
    usual: list[tuple[dict[str, str], aiohttp.ClientSession]]


class _Session:
    """aiohttp's sessions on one pool, which is owned by an async generator that the event loop closes with itself."""

    def __init__(self, pool: _Pool, owner: AsyncGenerator[_Pool, None]) -> None:
        self._pool = pool
        self.deadlines: Deadlines = Deadlines()
        self.streams: WeakSet[_StreamedReply] = WeakSet()
        """What is still read from."""
        self._owner = owner

    @property
    def closed(self) -> bool:
        return self._pool.connector.closed

    def sender(self, headers: dict[str, str]) -> tuple[aiohttp.ClientSession, dict[str, str] | None]:
        """What sends a request with these headers, and those of them that it must be given.

        The calls of a client nearly all have the same headers: those for a plain call, a stream, the catalogue. aiohttp merges
        what it is given name by name, and copies a session's own at once, so each of these has a session, on the same pool.
        """
        for usual, client in self._pool.usual:
            if usual == headers:
                return client, None
        if len(self._pool.usual) >= _USUAL_HEADERS or len(headers) > _FEW_HEADERS:
            return self._pool.any, headers
        client = _client(self._pool.connector, headers)
        self._pool.usual.append((headers.copy(), client))
        return client, None

    @classmethod
    async def open(cls) -> _Session:
        owner = cls._own()
        return cls(await anext(owner), owner)

    @staticmethod
    async def _own() -> AsyncGenerator[_Pool, None]:
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEPT_SECONDS)
        async with connector:
            # Held here until the connector is closed: a session that is collected before that says that it is unclosed.
            pool = _Pool(connector, _client(connector), [])
            yield pool

    async def aclose(self) -> None:
        # aiohttp tells nobody who waits for bytes that the session was closed.
        for stream in list(self.streams):
            stream.abandon(APIConnectionError("the client was closed"))
        await self._owner.aclose()


def _client(connector: aiohttp.BaseConnector, headers: dict[str, str] | None = None) -> aiohttp.ClientSession:
    """A session on the connections of a connector; it has nothing else that would have to be closed."""
    return aiohttp.ClientSession(
        connector=connector,
        connector_owner=False,
        headers=headers,
        cookie_jar=aiohttp.DummyCookieJar(),
        max_line_size=_HEADER_BYTES,
        max_field_size=_HEADER_BYTES,
    )


def _headers(response: aiohttp.ClientResponse) -> Headers:
    return ReplyHeaders(response.headers.getall, response.headers.items)


class _StreamedReply:
    """A reply whose body is read as it arrives, under the clocks of its request."""

    __slots__ = ("__weakref__", "_abandoned", "_method", "_response", "_session", "_url", "_watch", "headers", "status")

    def __init__(self, response: aiohttp.ClientResponse, request: Request, session: _Session, started: float) -> None:
        self.status = response.status
        self.headers: Headers = _headers(response)
        self._response = response
        self._method, self._url = request.method, request.url
        self._session = session  # a client that nobody holds any more stays open for the streams that are read
        self._watch = Watch(request, started, response.close)
        self._abandoned: APIConnectionError | None = None
        session.streams.add(self)

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
            raise _connection_error(error, self._method, self._url, proxied=False) from error
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
        self._watch.close()
        self._response.close()

    def close(self) -> None:
        self._watch.close()
        self._response.release()


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


def _connection_error(error: Exception, method: str, url: str, *, proxied: bool) -> APIConnectionError:
    """What an error of aiohttp or of the operating system means to a caller."""
    host = host_of(url)
    if isinstance(
        error,
        aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError | aiohttp.ServerFingerprintMismatch,
    ):
        return untrusted(host, error, "base_url or proxy" if proxied else "base_url")
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return without_proxy(host, error, error.status)
    if isinstance(error, aiohttp.ClientConnectorError):
        return without_proxy(host, error) if proxied else unreachable(host, error)  # through a proxy, we connect to that
    return broken(host, method, error, proxied=proxied)
