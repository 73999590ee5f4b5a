"""`Recorder`: what goes over the wire as a cassette, from a transport of ours or from a proxy in front of a server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, cast
from urllib.parse import urlencode

from .._core.ports import Clock, Reply, Transport
from .._core.request import Request, SystemClock
from .._core.settings import Timeout
from .._http.retry import ConnectFailure
from ..emulator.sending import PREFIX, Act, Answer, Incoming, Reset, Send
from ..exceptions import APIConnectionError
from ..transport import http_transport
from ..types.response_meta import Headers
from ._cassette import Cassette, Chunk, Content, Exchange, path_of, redact

_LINK: Final = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"}
_FRAME: Final = {"content-length", "content-encoding", "accept-encoding"}  # what is recorded is whole and not compressed
_PATIENT: Final = Timeout(first_chunk=3_600, idle=3_600, progress=None)


class Recorder(AbstractContextManager["Recorder"]):
    """Records exchanges, and writes a cassette without keys, cookies and ids if its context ends without an error.

    It is a transport for our clients, `VeniceClient(transport=recorder)`, and with `run_in_thread(recorder)` or
    `serve(recorder)` a proxy that any other client can be given as its base URL.

    Args:
        path: the file.
        upstream: the base URL that the proxy passes requests on to, with their keys.
        inner: what sends the requests; by default, `http_transport()`.
        clock: what delays and gaps are measured on.
    """

    def __init__(
        self, path: str | Path, *, upstream: str = "", inner: Transport | None = None, clock: Clock | None = None
    ) -> None:
        self.clock: Clock = SystemClock() if clock is None else clock
        """What delays and gaps are measured on."""
        self.cassette: Cassette = Cassette(recorded_at=self.clock.time())
        """What was recorded; with all secrets in it until the context ends."""
        self._path, self._upstream, self._inner = path, upstream.rstrip("/"), inner or http_transport()

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            redact(self.cassette)
            self.cassette.write(self._path)

    async def send(self, request: Request) -> Reply:
        """The reply to a request of a client, which is recorded as it is read."""
        began, body = self.clock.now(), Content.of(request.body or b"")
        asked = f"{request.method} {path_of(request.url)}"
        exchange = Exchange(asked, dict(request.headers), body, status=0, broken=True)
        self.cassette.exchanges.append(exchange)
        try:
            reply = await self._inner.send(request)
        except ConnectFailure:
            exchange.broken = False
            raise
        finally:
            exchange.delay_ms = round((self.clock.now() - began) * 1_000, 3)
        exchange.status, exchange.headers = reply.status, _end_to_end(reply.headers)
        return cast("Reply", _RecordedReply(reply, exchange, self.clock))

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._inner.aclose()

    async def respond(self, incoming: Incoming, *, now: float) -> Answer:
        """The answer of the upstream server to a request that came over a socket."""
        url = f"{self._upstream}{incoming.path.removeprefix(PREFIX)}?{urlencode(incoming.query)}".rstrip("?")
        headers, body = {**_end_to_end(incoming.headers), "accept-encoding": "identity"}, incoming.body or None
        try:
            request = Request(incoming.method, url, headers=headers, body=body, timeout=_PATIENT, stream=True)
            reply = await self.send(request)
        except APIConnectionError:
            return Answer(0, refused=True)
        return Answer(reply.status, _end_to_end(reply.headers), _acts(reply))


class _RecordedReply:
    def __init__(self, reply: Reply, exchange: Exchange, clock: Clock) -> None:
        self._reply, self._exchange, self._clock, self._last = reply, exchange, clock, clock.now()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reply, name)

    async def read(self) -> bytes:
        return b"".join([piece async for piece in self.pieces()])

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._reply.pieces():
            before, self._last = self._last, self._clock.now()
            self._exchange.chunks.append(Chunk.of(piece, gap_ms=round((self._last - before) * 1_000, 3)))
            yield piece
        self._exchange.broken = False

    async def drain(self) -> None:
        self._exchange.broken = False  # the last event was there
        await self._reply.drain()


async def _acts(reply: Reply) -> AsyncIterator[Act]:
    try:
        async for piece in reply.pieces():
            yield Send(piece)
    except APIConnectionError:
        yield Reset()
    finally:
        reply.close()


def _end_to_end(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _LINK | _FRAME}
