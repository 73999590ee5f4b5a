"""The floor. Of calls: blocking sockets, no HTTP library, nothing checked. No client can be this careless; none gets below it.

A call sends its request, lets the other calls in flight send theirs, and then reads its answer to the end.
"""

import asyncio
import io
import json
import socket
from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from importlib import import_module
from typing import Any

from benchmarks.envelopes import count

_LENGTH = b"Content-Length: "


class Bare:
    def __init__(self, base_url: str) -> None:
        self._host, _, port = base_url.removeprefix("http://").partition("/")[0].partition(":")
        self._port = int(port)
        self._idle: list[tuple[socket.socket, io.BufferedReader]] = []

    async def create(self, model: str) -> int:
        with self._connection() as (sock, replies):
            sock.sendall(_request(model))
            await asyncio.sleep(0)
            reply = json.loads(replies.read(_read_head(replies)))
        return len(reply["choices"][0]["message"]["content"])

    async def stream(self, model: str) -> int:
        text_length = 0
        rest = b""
        with self._connection() as (sock, replies):
            sock.sendall(_request(model))
            await asyncio.sleep(0)
            _read_head(replies)
            while arrived := _read_chunk(replies):
                *events, rest = (rest + arrived).split(b"\n\n")
                for event in events:
                    if event.startswith(b"data: {"):
                        for choice in json.loads(event[6:])["choices"]:
                            text_length += len(choice["delta"].get("content") or "")
        return text_length

    async def hold(self, model: str) -> object:
        sock, replies = self._connect()
        sock.sendall(_request(model))
        _read_head(replies)
        _read_chunk(replies)
        return sock, replies

    async def seal(self, model: str) -> int:
        return int(self._cryptography.seal(count(model)))

    async def open_reused(self, model: str) -> int:
        return int(self._cryptography.open_reused(count(model)))

    async def open_fresh(self, model: str) -> int:
        return int(self._cryptography.open_fresh(count(model)))

    @cached_property
    def _cryptography(self) -> Any:
        # Whoever seals nothing does not load it.
        return import_module("benchmarks.clients.bare_cryptography")

    async def aclose(self) -> None:
        for sock, replies in self._idle:
            replies.close()
            sock.close()

    @contextmanager
    def _connection(self) -> Generator[tuple[socket.socket, io.BufferedReader]]:
        connection = self._idle.pop() if self._idle else self._connect()
        yield connection
        self._idle.append(connection)

    def _connect(self) -> tuple[socket.socket, io.BufferedReader]:
        sock = socket.create_connection((self._host, self._port))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock, io.BufferedReader(socket.SocketIO(sock, "r"), buffer_size=65536)


def _request(model: str) -> bytes:
    body = json.dumps({"model": model, "messages": [{"role": "user", "content": "hi"}]}).encode()
    return b"POST /api/v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def _read_head(replies: io.BufferedReader) -> int:
    """Read past the headers; the length of the body, or 0 where they do not tell."""
    length = 0
    while (line := replies.readline()) != b"\r\n":
        if line.startswith(_LENGTH):
            length = int(line[len(_LENGTH) :])
    return length


def _read_chunk(replies: io.BufferedReader) -> bytes:
    chunk = replies.read(int(replies.readline(), 16))
    replies.readline()
    return chunk


async def connect(base_url: str) -> Bare:
    return Bare(base_url)
