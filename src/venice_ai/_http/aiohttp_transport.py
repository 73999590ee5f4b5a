"""aiohttp behind the transport port.

Requests go through `ClientSession.request`, where tracers, recorders and mocks look for them. Our own keeps no cookies or key.
"""

from __future__ import annotations

import asyncio
import ssl
from functools import lru_cache, partial
from io import BytesIO
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from .._core.ports import Reply
from .._core.request import Request
from .._core.whole_reply import WholeReply
from .._wire.http_framing import HEADER_BYTES
from ..exceptions import APIConnectionError, APIError, VeniceError
from ..types.response_meta import Headers
from .aiohttp_bodies import FAULTS, StreamedReply, release_or_abort, whole_reply
from .aiohttp_connections import CURRENT_CALL, Call, ConnectionState
from .aiohttp_errors import connection_error
from .aiohttp_pools import ACCEPT_ENCODING, Pool, Pools
from .retry import ConnectTimeout
from .routes import CLOSED, KEPT_SECONDS, Routes, kept_seconds
from .timers import Limit, shortest
from .transport_errors import late

_LARGE_BYTES = 2**20


class AiohttpTransport:
    """Sends requests with aiohttp, through one session for each event loop; or through the caller's, on its loop alone."""

    def __init__(self, routes: Routes, session: aiohttp.ClientSession | None = None) -> None:
        self._session = session
        self._pools = Pools(session)
        self._route = lru_cache(maxsize=100)(partial(_Route, routes if session is None else None))

    async def send(self, request: Request) -> Reply:
        """The reply, once its headers are here; for plain calls, once its body is."""
        loop = asyncio.get_running_loop()
        if (
            (pool := self._pools.get(loop)) is None
            or pool.states.closed
            or (self._session is not None and self._session.closed)
        ):
            pool = await self._pools.opened(loop)
        route = self._route(request.url)
        clock, seconds = shortest(request)
        started = loop.time()
        call = Call()
        before = CURRENT_CALL.set(call)
        response: aiohttp.ClientResponse | None = None
        # An error of aiohttp's holds the request's headers, and so the key. So ours is raised where that one is forgotten.
        try:
            with Limit(pool.deadlines, None if seconds is None else started + seconds):
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
                            timeout=_limit(request.timeout.connect),
                            max_line_size=HEADER_BYTES,
                            max_field_size=HEADER_BYTES,
                            proxy=route.proxy,
                            ssl=route.tls,
                        )
                    except aiohttp.ClientError:
                        if not (call.unsent and call.kept):
                            raise
                headers = _ResponseHeaders(response)
                _note_answer(call.state, response, headers, pool)
                return _at_once(response, headers, request, pool, started) or await whole_reply(response, headers, pool)
        except VeniceError:
            raise
        except TimeoutError as error:
            late_to_connect = isinstance(error, aiohttp.ConnectionTimeoutError)
            failure: APIError = late(request, "connect", ConnectTimeout) if late_to_connect else late(request, clock)
            if pool.closed:
                failure = APIConnectionError(CLOSED)
        except FAULTS as error:
            failure = connection_error(
                error, request, unsent=call.unsent, connected=call.connected, proxied=route.proxy is not None
            )
        finally:
            CURRENT_CALL.reset(before)
            if response is None:
                call.abort()
        raise failure

    async def aclose(self) -> None:
        await self._pools.aclose()


class _Route:
    """An address, its proxy and its TLS. No tuple: its repr stands in tracebacks, and the proxy may have a password."""

    __slots__ = ("proxy", "tls", "url")

    def __init__(self, routes: Routes | None, url: str) -> None:
        self.url = URL(url)
        self.proxy: URL | None = None
        self.tls: ssl.SSLContext | bool = True  # what the session's connector says
        if routes is not None:
            found = routes.find(url)
            self.tls = found.tls or True
            self.proxy = URL(found.proxy) if found.proxy else None


@lru_cache(maxsize=100)
def _limit(connect: float | None) -> aiohttp.ClientTimeout:
    # All of it: the name's address, the socket, a proxy's CONNECT, TLS. A connection of the pool has no timer.
    return aiohttp.ClientTimeout(total=None, connect=connect)


def _note_answer(state: ConnectionState | None, response: aiohttp.ClientResponse, headers: Headers, pool: Pool) -> None:
    """Takes note of an answer on a connection of our own, and of how long that may be kept."""
    if state is not None:
        state.served += 1
        state.seconds = kept_seconds(headers) if "Keep-Alive" in response.headers else KEPT_SECONDS
        if state.served == 2:
            pool.states.habits.learn(state.place, keeps=True)


def _at_once(
    response: aiohttp.ClientResponse, headers: Headers, request: Request, pool: Pool, started: float
) -> WholeReply | StreamedReply | None:
    """The reply that a response is the beginning of, or the whole; None where its body is still to be waited for."""
    if not 200 <= response.status < 300:
        return None
    try:
        if request.stream:
            return StreamedReply(response, headers, request, pool, started)
        # A small answer comes with its headers; then there is nothing to wait for.
        content = response.content
        body = content.read_nowait() if content.is_eof() and "Content-Encoding" not in response.headers else b""
        return WholeReply(response.status, headers, body) if body else None
    except BaseException:
        release_or_abort(response)
        raise


class _ResponseHeaders(Headers):
    """The headers of a response, in which aiohttp finds names sooner than Python code does."""

    __slots__ = ("_found",)

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._pairs = response.raw_headers
        self._found = response.headers

    if not TYPE_CHECKING:  # as in the base

        def get(self, key: str, default: Any = None) -> Any:
            values = self._found.getall(key, ())
            return ", ".join(values) if values else default

    def _values(self, name: str) -> list[str]:
        return self._found.getall(name, [])

    def has_any(self, names: frozenset[str]) -> bool:
        return any(map(self._found.__contains__, names))

    def __reduce__(self) -> tuple[type[Headers], tuple[object]]:
        return Headers, (self._pairs,)  # aiohttp's own cannot be pickled, and errors hold this


def _with_codings(headers: dict[str, str]) -> dict[str, str]:
    """The headers to send through a caller's session: only codings are asked for that can be decoded in bounded steps."""
    return headers if any(name.lower() == "accept-encoding" for name in headers) else headers | ACCEPT_ENCODING


def _payload(body: bytes | None) -> bytes | BytesIO | None:
    """The body as aiohttp wants it, and what records requests; large bytes as a file, from which it sends piece by piece."""
    return body if body is None or len(body) < _LARGE_BYTES else BytesIO(body)
