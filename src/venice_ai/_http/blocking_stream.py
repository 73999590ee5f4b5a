"""Streams over blocking sockets, for a program that asks once: read in its own thread, and without aiohttp.

Each has a connection of its own, and the clocks that `timers.Watch` keeps for the streams of an event loop.
"""

from __future__ import annotations

import socket
import time
from collections import deque
from collections.abc import AsyncIterator
from math import inf

from .._core.ports import Reply
from .._core.request import Request
from .._wire.content_coding import REFUSAL_BYTES, Decoder
from .._wire.http_framing import ReplyReader
from ..exceptions import APIConnectionError, APITimeoutError
from ..types.response_meta import Headers
from .blocking_transport import BlockingTransport, _connected, _failure, _message
from .timers import shortest

_READ_BYTES = 65_536


class BlockingStreams(BlockingTransport):
    """A `BlockingTransport` whose streams come bit by bit."""

    async def send(self, request: Request) -> Reply:
        if not request.stream:
            return await super().send(request)
        route, (clock, seconds) = self._route(request.url), shortest(request)
        deadline = None if seconds is None else time.monotonic() + seconds
        reply = _StreamReply(_connected(route, request, clock, deadline, self.stop), request)
        try:
            reply.open(*_message(route, request))
        except BaseException:
            reply.close()
            raise
        return reply


class _StreamReply:
    def __init__(self, sock: socket.socket, request: Request) -> None:
        self.status: int = 0
        self.headers: Headers = Headers()
        self._sock, self._request, self._reader = sock, request, ReplyReader()
        self._sent, self._byte, self._content = time.monotonic(), -inf, -inf
        self._decoder: Decoder | None = None
        self._ready = deque[bytes]()

    def open(self, *message: bytes) -> None:
        """Sends the request, and waits for the head of the reply."""
        for part in message:
            self._exchange(part)
        while not self.status:
            self._exchange()

    async def pieces(self) -> AsyncIterator[bytes]:
        while self._ready or not self._reader.done:
            if self._ready:
                yield self._ready.popleft()
            else:
                self._exchange()
        self.close()

    async def read(self) -> bytes:
        body, refuses = bytearray(), not 200 <= self.status < 300
        try:
            async for piece in self.pieces():
                body += piece
                if refuses and len(body) >= REFUSAL_BYTES:
                    break
        except APIConnectionError:  # a refusal is what its status says, whatever becomes of its body
            if not refuses:
                raise
        return bytes(body)

    async def drain(self) -> None:
        """The connection does not serve again."""

    def progressed(self) -> None:
        self._content = self._byte

    def close(self) -> None:
        self._sock.close()

    def _exchange(self, message: bytes = b"") -> None:
        """Sends a part of the request, or reads what comes next."""
        due, clock = self._due()
        try:
            # What is here already is in time, however long its reader took for what came before.
            self._sock.settimeout(None if due == inf else max(due - time.monotonic(), 0.001))
            if message:
                self._sock.sendall(message)
            else:
                self._take(self._sock.recv(_READ_BYTES))
        except (OSError, ValueError) as error:
            failure = _failure(error, self._request, clock)
            raise failure from (None if isinstance(failure, APITimeoutError) else error)

    def _take(self, data: bytes) -> None:
        reader = self._reader
        if not data:
            reader.end()
        for piece in reader.feed(data) if data else ():
            self._decoder = self._decoder or Decoder(Headers(reader.fields).get("content-encoding"))
            self._ready.extend(self._decoder.feed(piece))
            self._byte = time.monotonic()
            self._content = max(self._content, self._sent)
        if reader.status and not self.status:
            self.status, self.headers = reader.status, Headers(reader.fields)
        if reader.done and self._decoder is not None:
            self._decoder.finish()

    def _due(self) -> tuple[float, str]:
        """When the clock runs out that is the first to, if nothing more is heard."""
        limits, begun = self._request.timeout, self._byte > 0
        clocks = (
            (self._sent, "first_chunk", None if begun else limits.first_chunk),
            (self._byte, "idle", limits.idle if begun else None),
            (self._content, "progress", limits.progress if begun else None),
            (self._sent, "deadline", self._request.deadline_seconds),
        )
        return min(((at + seconds, clock) for at, clock, seconds in clocks if seconds is not None), default=(inf, ""))
