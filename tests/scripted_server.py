"""A server on 127.0.0.1 that sends exactly the given bytes at the given moments. For the few tests that need a socket."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import ssl
import zlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from venice_ai import VeniceClient

from .fakes import KEY

PATIENCE_SECONDS: Final = 100.0
"""For what comes at once: a machine with too much to do gets the time for it."""


class Act:
    """Something a server does other than sending bytes."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


SILENCE: Final = Act("says nothing more, and listens until the client has gone")
FAREWELL: Final = Act("says that nothing more comes, and listens until the client has gone")
CLOSE: Final = Act("closes the connection")
ABORT: Final = Act("resets the connection")
Step: TypeAlias = bytes | float | asyncio.Event | asyncio.Barrier | Act
"""Bytes are sent; a number of seconds, an event, or as many others as a barrier takes are waited for."""


@dataclass
class Received:
    """A request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Server:
    """What a server saw."""

    url: str = ""
    received: list[Received] = field(default_factory=list[Received])
    connections: int = 0
    open: int = 0
    """How many of them are not closed yet."""
    left: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once a client has closed its connection."""
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    """Set once it came to a SILENCE."""

    def client(self, **settings: Any) -> VeniceClient:
        """A client of this server; it tries nothing again unless it is told to."""
        chosen: dict[str, Any] = {"api_key": KEY, "base_url": self.url, "max_retries": 0, **settings}
        return VeniceClient(**chosen)

    def ends(self) -> list[socket.socket]:
        """The clients' ends of the connections that are open: the plain sockets of this process that lead here."""
        return [found for found in gc.get_objects() if type(found) is socket.socket and self._is_led_to_by(found)]

    def _is_led_to_by(self, other: socket.socket) -> bool:
        with suppress(OSError):  # it is closed, or listens
            return bool(other.getpeername()[1:2] == (urlsplit(self.url).port,))
        return False


@asynccontextmanager
async def serving(*replies: Sequence[Step], context: ssl.SSLContext | None = None) -> AsyncGenerator[Server, None]:
    """A server that answers with these replies in turn, and with the last one from then on."""
    server = Server()
    tasks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server.connections += 1
        server.open += 1
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            while (request := await _request(reader)) is not None:
                server.received.append(request)
                await _say(replies[min(len(server.received), len(replies)) - 1], server, reader, writer)
        server.open -= 1
        server.left.set()
        writer.close()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    port = listening.sockets[0].getsockname()[1]
    server.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/api/v1"
    try:
        yield server
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _request(reader: asyncio.StreamReader) -> Received | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _ = first.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, target, headers, body)


async def _say(steps: Sequence[Step], server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    for step in steps:
        if isinstance(step, bytes):
            writer.write(step)
            await writer.drain()
        elif isinstance(step, float):
            await asyncio.sleep(step)
        elif isinstance(step, (asyncio.Event, asyncio.Barrier)):
            await step.wait()
        elif step in {SILENCE, FAREWELL}:
            if step is FAREWELL:
                writer.write_eof()
            server.silent.set()
            while await reader.read(1024):
                pass
            raise ConnectionError
        elif step is ABORT:
            writer.transport.abort()
        else:
            writer.close()


def bomb(mebibytes: int) -> bytes:
    """One member of gzip that holds a thousand times its size. It has another one's check sum, at which nobody arrives."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    first, other = (packer.compress(b"x" * 2**20) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2))
    return first + other * (mebibytes - 1) + packer.flush()


def reply(body: Any, *, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> list[Step]:
    """A whole JSON reply; bytes are sent as they are."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    given = {"Content-Type": "application/json", "Content-Length": str(len(raw)), **(headers or {})}
    return [head(status, given) + raw]


def head(status: str, headers: Mapping[str, str]) -> bytes:
    """The first lines of a reply."""
    return b"".join(
        line.encode() + b"\r\n" for line in [f"HTTP/1.1 {status}", *(": ".join(pair) for pair in headers.items()), ""]
    )


def streamed(*steps: Step, end: bool = True) -> list[Step]:
    """A reply that streams in HTTP's chunks; `end` says whether the body's end is told."""
    opening = head("200 OK", {"Content-Type": "text/event-stream", "Transfer-Encoding": "chunked"})
    framed = [b"%x\r\n%b\r\n" % (len(step), step) if isinstance(step, bytes) else step for step in steps]
    return [opening, *framed, *([b"0\r\n\r\n"] if end else [])]
