"""`Recorder`: writes what a client and a server say to each other into a cassette."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from .._core.ports import Clock, Reply, Transport
from .._core.request import Request, SystemClock
from .._core.settings import Timeout, resolve_base_url
from ..emulator import EmulatorTransport
from ..emulator.sending import Act, HTTPReply, Incoming
from ..exceptions import APIConnectionError, ConnectError
from ..transport import http_transport
from ..types.response_meta import Headers
from ._cassette import Cassette, Exchange, Piece, path_of, redact

# Headers of one connection, and those that frame a body, which is recorded whole and not compressed.
_LINK: Final = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "host"}
_FRAME: Final = {"content-length", "content-encoding", "accept-encoding"}
_PATIENT: Final = Timeout(first_chunk=3_600, idle=3_600, progress=None)


class Recorder(AbstractContextManager["Recorder"]):
    """Records exchanges, and writes a cassette without keys, cookies and ids if its context ends without an error.

    Give its `transport()` to a client of ours, or the address of `serve(recorder)` or `run_in_thread(recorder)` to any other.

    Args:
        path: the file.
        upstream: the base URL of the server that answers; by default, that of a client.
        inner: what sends the requests; by default, `http_transport()`.
        clock: what delays and gaps are measured on.
    """

    def __init__(
        self, path: str | Path, upstream: str | None = None, *, inner: Transport | None = None, clock: Clock | None = None
    ) -> None:
        self.clock: Clock = clock or SystemClock()
        self.cassette: Cassette = Cassette(recorded_at=self.clock.time())
        """What was recorded; with all secrets in it until the context ends."""
        self._path, self._upstream, self._inner = path, resolve_base_url(upstream), inner or http_transport()

    def __exit__(self, *error: object) -> None:
        if error[0] is None:
            for each in self.cassette.exchanges:  # many readers leave after the last event, before the end
                each.broken = each.broken and not each.content.rstrip().endswith(b"[DONE]")
            redact(self.cassette)
            self.cassette.write(self._path)

    def transport(self) -> EmulatorTransport:
        """A transport for a client in this process."""
        return EmulatorTransport(self, self.aclose)

    async def aclose(self) -> None:
        """Closes the connections to the server, as closing a client does that has the `transport()`."""
        await self._inner.aclose()

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        """The reply of the upstream server, which is recorded as it is read."""
        query, began = f"?{urlencode(incoming.query)}" if incoming.query else "", self.clock.now()
        headers, url = _end_to_end(incoming.headers), f"{self._upstream}{path_of(incoming.path)}{query}"
        asked = f"{incoming.method} {path_of(incoming.path + query)}"
        exchange = Exchange(asked, dict(headers), Piece.of(incoming.body), status=0, broken=True)
        self.cassette.exchanges.append(exchange)
        headers["accept-encoding"], body = "identity", incoming.body or None
        try:
            request = Request(incoming.method, url, headers=headers, body=body, timeout=_PATIENT, stream=True)
            reply = await self._inner.send(request)
        except APIConnectionError as error:
            exchange.broken = not isinstance(error, ConnectError)
            return HTTPReply(0, refused=True, failure=error)
        finally:
            exchange.delay_ms = round((self.clock.now() - began) * 1_000, 3)
        exchange.status, exchange.headers = reply.status, _end_to_end(reply.headers)
        return HTTPReply(reply.status, dict(exchange.headers), self._acts(reply, exchange))

    async def _acts(self, reply: Reply, exchange: Exchange) -> AsyncIterator[Act]:
        before = self.clock.now()
        try:
            async for piece in reply.pieces():
                exchange.chunks.append(Piece.of(piece, gap_ms=round((self.clock.now() - before) * 1_000, 3)))
                before = self.clock.now()
                yield piece
            exchange.broken = False
        except APIConnectionError:
            yield "reset"
        finally:
            reply.close()


def _end_to_end(headers: Headers) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name not in _LINK | _FRAME}
