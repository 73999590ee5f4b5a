"""Serves the emulator over HTTP (aiohttp), on this machine only unless `allow_remote` is given."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
import struct
import threading
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import TYPE_CHECKING

from venice_ai._core.machine import is_loopback, listening, origin
from venice_ai._core.request import SystemClock
from venice_ai.exceptions import InvalidRequestError
from venice_ai.types.response_meta import Headers

from .contract import MAX_BODY_BYTES, refused
from .sending import PREFIX, Act, HTTPReply, Incoming, acts_of, closed

if TYPE_CHECKING:
    from aiohttp import web

    from .transport import Responder

_CLOCK = SystemClock()  # whatever the emulator's own clock is: here real callers wait
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Server:
    """The address of an emulator that is served."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """The `base_url` for a client."""
        return f"{origin(self.host, self.port)}{PREFIX}"


@asynccontextmanager
async def serve(
    emulator: Responder, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False
) -> AsyncGenerator[Server]:
    """Serves an emulator until the context ends; port 0 takes a free one.

    Args:
        emulator: what answers: an `Emulator`, or another responder.
        host: the address to listen on.
        port: the port to listen on.
        allow_remote: also listen on addresses that other machines can reach. There is no protection: whoever reaches it
            can use it.

    Raises:
        InvalidRequestError: other machines can reach the address, and `allow_remote` is not given; or there is no such port.
        VeniceError: the port cannot be had.
    """
    from aiohttp import web  # the server half of aiohttp is not needed by clients

    # Names below `.localhost` are good enough, too: only a resolver that breaks RFC 6761 leads them away from this machine.
    if not allow_remote and not is_loopback(host):
        remedy = "pass allow_remote=True if that is meant, or host='127.0.0.1'"
        raise InvalidRequestError(f"host={host!r} can be reached from other machines; {remedy}")
    # A body that calls itself compressed and is not is a wrong body to the contract, and a crash to aiohttp.
    server = web.Server(partial(_handled, emulator), handler_cancellation=True, access_log=None, auto_decompress=False)
    runner = web.ServerRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    try:
        async with listening(server, host, port) as taken:
            yield Server(host, taken)
    finally:
        await runner.cleanup()


@contextmanager
def run_in_thread(
    emulator: Responder, *, host: str = "127.0.0.1", port: int = 0, allow_remote: bool = False
) -> Generator[Server]:
    """Serves an emulator from synchronous code, on a thread of its own; the arguments are those of `serve`."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="venice-emulator", daemon=True)
    thread.start()
    stack, serving = AsyncExitStack(), serve(emulator, host=host, port=port, allow_remote=allow_remote)
    stack.push_async_callback(loop.shutdown_asyncgens)  # closes a recorder's connections
    try:
        yield asyncio.run_coroutine_threadsafe(stack.enter_async_context(serving), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def _handled(emulator: Responder, request: web.BaseRequest) -> web.StreamResponse:
    from aiohttp import web

    try:
        body = await request.content.readexactly(MAX_BODY_BYTES + 1)  # one more than is allowed, to be refused
    except asyncio.IncompleteReadError as whole:
        body = whole.partial
    incoming = Incoming(request.method, request.path, dict(request.query), Headers(request.headers.items()), body)
    try:
        reply = await emulator.respond(incoming, now=_CLOCK.time())
    except Exception:  # a fault of the emulator's must not look like one of HTTP
        _logger.exception("the emulator failed")
        reply = refused(500)
    await _CLOCK.sleep(reply.delay)
    response = web.StreamResponse(status=reply.status or 200, headers=reply.headers)
    if reply.refused:
        _abort(request)
        return response
    try:
        with suppress(ConnectionResetError):  # the caller left
            await _send(request, response, reply)
    finally:
        await closed(reply.body)
    return response


async def _send(request: web.BaseRequest, response: web.StreamResponse, reply: HTTPReply) -> None:
    from aiohttp import HttpVersion11

    known: Sequence[Act] = reply.body if isinstance(reply.body, tuple) else (inf,)  # else it comes bit by bit
    sizes = [len(act) for act in known if isinstance(act, bytes)]
    if len(sizes) == len(known) and "content-length" not in reply.headers:
        response.content_length = sum(sizes)
        _compress(request, response, sum(sizes))
    elif request.version < HttpVersion11:  # there the end of the connection is the end of the body
        response.force_close()
    elif "content-length" not in response.headers:
        response.enable_chunked_encoding()
    await response.prepare(request)
    async for act in acts_of(reply.body):
        if isinstance(act, bytes):
            await response.write(act)
        elif act == "reset":
            _abort(request)
            return
        else:
            await _CLOCK.sleep(act)  # the caller's leaving cancels it
    await response.write_eof()


def _compress(request: web.BaseRequest, response: web.StreamResponse, length: int) -> None:
    """Compresses a long answer as Venice does, if gzip is accepted; a weight of 0 says that it is not."""
    from aiohttp.web import ContentCoding

    accepted = ",".join(request.headers.getall("accept-encoding", [])).lower()
    weights = dict(re.findall(r"([\w*-]+)\s*(?:;\s*q\s*=\s*([\d.]+))?", accepted))
    takes_gzip = (weights.get("gzip", weights.get("*", "0")) or "1").strip("0.") != ""
    if length >= 1_024 and takes_gzip and "content-encoding" not in response.headers:
        response.enable_compression(ContentCoding.gzip)


def _abort(request: web.BaseRequest) -> None:
    """Breaks the connection off, so that the other side is told: without the option it looks like an orderly end."""
    if request.transport is None:
        return
    if (connection := request.transport.get_extra_info("socket")) is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    request.transport.abort()
