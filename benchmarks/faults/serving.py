"""What stands where the client calls: the server of a fault, or nothing at all."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import trustme

from benchmarks.faults.fault import Fault
from tests.scripted_server import Server, Step, head, serving

REDIRECT = b"a redirect to this server under another name"
"""Stands in the catalogue for bytes that need the server's port."""


@asynccontextmanager
async def place_of(fault: Fault) -> AsyncGenerator[Server]:
    """The server, whose `url` is what the client is given."""
    if fault.place == "no such name":
        yield Server(url="http://venice.invalid/api/v1")
        return
    if fault.place == "refused":
        with socket.socket() as taken:  # nobody listens, and nobody else gets the port meanwhile
            taken.bind(("127.0.0.1", 0))
            yield Server(url=f"http://127.0.0.1:{taken.getsockname()[1]}/api/v1")
        return
    if fault.place == "no TLS":
        listening = await asyncio.start_server(_without_tls, "127.0.0.1", 0)
        async with listening:
            yield Server(url=f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/api/v1")
        return
    if fault.place == "backlog":
        with socket.socket() as full, socket.socket() as first, socket.socket() as second:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            for taken in (first, second):  # these fill it
                taken.settimeout(0)
                taken.connect_ex(full.getsockname())
            yield Server(url=f"http://127.0.0.1:{full.getsockname()[1]}/api/v1")
        return
    tls = fault.place in {"untrusted", "expired"}
    context = _context(expired=fault.place == "expired") if tls else None
    replies: list[list[Step]] = [list(steps) for steps in fault.replies]
    async with serving(*replies, context=context) as server:
        if replies == [[REDIRECT]]:
            other = server.url.replace("127.0.0.1", "localhost") + "/chat/completions"
            replies[0][:] = [head("307 Temporary Redirect", {"Location": other, "Content-Length": "0"})]
        if tls:
            server.url = server.url.replace("127.0.0.1", "localhost")
        yield server


async def _without_tls(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes the beginning of a TLS handshake for a request, as web servers do."""
    await reader.read(100)
    writer.write(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    writer.close()


def _context(*, expired: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    until = datetime.now(UTC) - timedelta(days=1) if expired else None
    trustme.CA().issue_cert("localhost", not_after=until).configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context
