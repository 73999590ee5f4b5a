"""What a program sees of a gateway, byte by byte where that matters; and a proxy that keeps what passes behind it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from venice_ai import VeniceClient, gateway
from venice_ai.emulator import Emulator
from venice_ai.gateway import Running

from ..fakes import KEY

MODEL = "venice-1"
SEALED = "e2ee-ponte-chiuso-p"
HI = [{"role": "user", "content": "hi"}]
TOKEN = "a-token-of-tests"
PATIENCE_SECONDS = 30.0


@dataclass
class Got:
    """An answer; `broken` if its body ended before its end."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> Any:
        return self.json["error"]

    @property
    def events(self) -> list[bytes]:
        """The data of its events."""
        return [event.removeprefix(b"data: ") for event in self.body.split(b"\n\n") if event]

    @property
    def chunks(self) -> list[Any]:
        return [json.loads(event) for event in self.events if event != b"[DONE]"]

    @property
    def text(self) -> str:
        return "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in self.chunks if chunk.get("choices"))


class Program:
    """A program that asks a gateway."""

    def __init__(self, running: Running, session: aiohttp.ClientSession) -> None:
        self.running = running
        self.session = session

    async def ask(self, **body: Any) -> Got:
        """A chat."""
        return await self.send("POST", "/v1/chat/completions", json={"model": MODEL, "messages": HI, **body})

    async def send(self, method: str, path: str, **more: Any) -> Got:
        origin = self.running.url.removesuffix("/v1")
        async with self.session.request(method, origin + path, **more) as answer:
            pieces, broken = bytearray(), False
            try:
                async for piece in answer.content.iter_any():
                    pieces += piece
            except aiohttp.ClientPayloadError:
                broken = True
            return Got(answer.status, answer.headers, bytes(pieces), broken)

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self.running.host, self.running.port)

    async def talk(self, sent: bytes) -> bytes:
        """Whatever comes back for some bytes, until the gateway closes the connection."""
        reader, writer = await self.connect()
        writer.write(sent)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await reader.read()
        finally:
            writer.close()

    def request(self, body: bytes, *, lines: str = "", host: str = "localhost", token: str = TOKEN) -> bytes:
        """The bytes of a chat; `lines` are further headers, each with its line break."""
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nConnection: close\r\n{lines}"
        )
        length = "" if "Content-Length" in lines or "Transfer-Encoding" in lines else f"Content-Length: {len(body)}\r\n"
        return f"{head}{length}\r\n".encode() + body


@asynccontextmanager
async def asking(client: VeniceClient, **options: Any) -> AsyncGenerator[Program]:
    """A program that asks a gateway before this client."""
    chosen: dict[str, Any] = {"token": TOKEN, "drain_seconds": 1.0, **options}
    headers = {} if chosen["token"] is None else {"Authorization": f"Bearer {chosen['token']}"}
    async with aiohttp.ClientSession(headers=headers) as session, client, gateway.serve(client, **chosen) as running:
        yield Program(running, session)


def client_of(emulator: Emulator, **settings: Any) -> VeniceClient:
    """A client of an emulator in this process, which trusts its enclave."""
    chosen: dict[str, Any] = {"api_key": KEY, "transport": emulator.transport(), "clock": emulator.clock, **settings}
    if emulator.enclave is not None:
        chosen.setdefault("tee", emulator.enclave.options(verification="hardware"))
    return VeniceClient(**chosen)


@dataclass
class Recording:
    """The bytes that passed a proxy, in both directions."""

    url: str = ""
    passed: bytearray = field(default_factory=bytearray)


@asynccontextmanager
async def recording(url: str) -> AsyncGenerator[Recording]:
    """A proxy before a server: the address that stands for it, and what passes."""
    target, kept = urlsplit(url), Recording()
    tasks: set[asyncio.Task[Any]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # the one side left, and so does the other
            while piece := await reader.read(65536):
                kept.passed += piece
                writer.write(piece)
        writer.close()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        there, back = await asyncio.open_connection(target.hostname, target.port)
        try:
            with suppress(asyncio.CancelledError):
                await asyncio.gather(pump(reader, back), pump(there, writer))
        finally:
            back.close()
            writer.close()

    listening = await asyncio.start_server(accept, "127.0.0.1", 0)
    kept.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}{target.path}"
    try:
        yield kept
    finally:
        listening.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.sleep(0.05)  # transports that were closed let go of their sockets in the loop's next turns
