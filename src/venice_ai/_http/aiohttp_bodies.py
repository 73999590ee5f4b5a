"""Bodies of replies as aiohttp delivers them: whole ones that are waited for, and those of streams, read under their clocks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Any, Self, cast

import aiohttp

from .._core.request import Request
from .._core.whole_reply import WholeReply
from .._wire.content_coding import Body, BodyTooLargeError, Decoder
from ..exceptions import APIConnectionError, VeniceError
from ..types.response_meta import Headers
from .aiohttp_connections import ConnectionState
from .aiohttp_errors import TornError, connection_broke
from .aiohttp_pools import Pool
from .timers import Watch
from .transport_errors import too_large

# After `[DONE]` the body's end usually is in the same packet; waiting a moment for it keeps the connection for the next call.
_DRAIN_SECONDS = 0.1
FAULTS = (aiohttp.ClientError, OSError, ValueError)
"""What aiohttp raises where a reply cannot be read."""


def release_or_abort(response: aiohttp.ClientResponse) -> None:
    """Gives the connection back if the reply was read to its end, and else drops it without waiting for the server."""
    connection = response.connection
    transport = None if connection is None else connection.transport
    response.release()
    if transport is not None:
        transport.abort()


class ArrivingBody:
    """A body as it arrives. What came before a fault is given first, and then the fault is raised."""

    __slots__ = ("_content", "_state", "fault")

    def __init__(self, response: aiohttp.ClientResponse, pool: Pool) -> None:
        self._content = response.content
        self._state: ConnectionState | None = None
        self.fault: Exception | None = None
        """What ended it before its end."""
        protocol = None if response.connection is None else response.connection.protocol
        if protocol is not None and not self._content.is_eof():
            self._state = pool.states.of(protocol)
            self._state.on_end = self.tear
            if protocol.closed is None or not protocol.connected:
                self.tear()

    def tear(self) -> None:
        if not self._content.is_eof() and self._content.exception() is None:
            self.fault = TornError()
            self._content.feed_eof()

    async def piece(self) -> bytes:
        """The next bytes, none at the end; raises the fault that ended it before."""
        if self.fault is None:
            try:
                return await self._content.readany() or self.ended()
            except (*FAULTS, RuntimeError) as error:  # RuntimeError: it was closed before
                self.blame(error)
        # What came before the fault and was not read; after that, the fault is raised.
        return self._content.read_nowait() or self.ended()

    def ended(self) -> bytes:
        """No more bytes: that is the end, unless it was torn off, which is raised."""
        if self.fault is not None:
            raise self.fault
        return b""

    def blame(self, fault: Exception) -> None:
        """A fault has ended it. aiohttp would show that first, and what came before it never."""
        self.fault = self.fault or (aiohttp.ClientPayloadError() if isinstance(fault, RuntimeError) else fault)
        self._content.set_exception(cast("Any", None))

    def stop(self) -> None:
        if self._state is not None:
            self._state.on_end = None
            self._state = None


async def whole_reply(response: aiohttp.ClientResponse, headers: Headers, pool: Pool) -> WholeReply:
    """A reply whose whole body is waited for: a large answer, one that is compressed, or a refusal."""
    good, coding = 200 <= response.status < 300, headers.get("content-encoding")
    try:
        if good and coding is None and response.content.is_eof():
            body = await response.read()  # a recorder of requests has read it before us: it stands in the response
        else:
            body = await _body(response, coding, pool, refusal=not good)
        return WholeReply(response.status, headers, body)
    except BaseException:
        release_or_abort(response)
        raise


async def _body(response: aiohttp.ClientResponse, coding: str | None, pool: Pool, *, refusal: bool) -> bytes:
    """A body to its end. Of a refusal, what is there of its first bytes; the connection is dropped if there is more."""
    body = Body(coding, refusal=refusal)
    arriving = ArrivingBody(response, pool)
    failure: VeniceError | None = None
    try:
        while body.wants and (piece := await arriving.piece()):
            for _ in body.steps(piece):
                if coding is not None:
                    await asyncio.sleep(0)  # a bomb does not hold up the loop
        return body.finish()
    except BodyTooLargeError as error:
        failure = too_large(response.status, error)
    except FAULTS:
        if not refusal:
            raise
        return body.finish()
    finally:
        arriving.stop()
        if not response.content.at_eof():
            release_or_abort(response)
    raise failure


class StreamedReply:
    """A reply whose body is read as it arrives, under the clocks of its request."""

    __slots__ = (
        *("__weakref__", "_abandoned", "_arriving", "_content", "_decoder", "_method", "_pool", "_response", "_steps", "_url"),
        *("_watch", "headers", "status"),
    )

    def __init__(
        self, response: aiohttp.ClientResponse, headers: Headers, request: Request, pool: Pool, started: float
    ) -> None:
        self.status = response.status
        self.headers = headers
        self._response, self._content = response, response.content
        self._method, self._url = request.method, request.url
        coding = headers.get("content-encoding")
        self._decoder = None if coding is None else Decoder(coding)
        self._steps: Iterator[bytes] = iter(())
        self._pool = pool  # a client that nobody holds any more stays open for the streams that are read
        self._arriving = ArrivingBody(response, pool)
        self._watch = Watch(request, started, partial(release_or_abort, response))
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
        except (*FAULTS, RuntimeError) as error:  # RuntimeError: it was closed before
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
        while (step := next(self._steps, None)) is None:
            if not (piece := await self._arriving.piece()):
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
        except (TimeoutError, RuntimeError, *FAULTS):
            return  # the answer is complete; only the connection is not kept

    def progressed(self) -> None:
        self._watch.progressed()

    def abandon(self, why: APIConnectionError) -> None:
        self._abandoned = why
        self.close()

    def close(self) -> None:
        self._watch.close()
        self._arriving.stop()
        release_or_abort(self._response)
