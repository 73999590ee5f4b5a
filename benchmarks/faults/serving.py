"""What stands where the client calls: the server of a fault, or nothing at all."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

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
    context = _context() if fault.place == "untrusted" else None
    replies: list[list[Step]] = [list(steps) for steps in fault.replies]
    async with serving(*replies, context=context) as server:
        if replies == [[REDIRECT]]:
            other = server.url.replace("127.0.0.1", "localhost") + "/chat/completions"
            replies[0][:] = [head("307 Temporary Redirect", {"Location": other, "Content-Length": "0"})]
        if fault.place == "no TLS":
            server.url = server.url.replace("http:", "https:")
        if fault.place == "untrusted":
            server.url = server.url.replace("127.0.0.1", "localhost")
        if fault.place != "refused":
            yield server
    if fault.place == "refused":  # the port is free again
        yield server


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    return context
