"""Asking an emulator, in process and over a socket, and getting the same kind of reply."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

import aiohttp

from venice_ai._core.settings import Timeout
from venice_ai._wire.sse import EventParser
from venice_ai.emulator import Emulator, serve
from venice_ai.exceptions import APIConnectionError
from venice_ai.transport import Request
from venice_ai.types.response_meta import Headers

BASE = "https://api.venice.ai"
CHAT = "/api/v1/chat/completions"
KEY = {"Authorization": "Bearer any"}
JSON = {"Content-Type": "application/json"}
HELLO: dict[str, Any] = {"model": "llama-3.3-70b", "messages": [{"role": "user", "content": "Good morning, Venice"}]}


@dataclass
class Got:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    broken: bool = False
    """The body broke off."""
    packets: list[bytes] = field(default_factory=list[bytes])

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def events(self) -> list[bytes]:
        parser = EventParser()
        return [*parser.feed(self.content), *parser.finish()]

    @property
    def chunks(self) -> list[Any]:
        return [json.loads(event) for event in self.events if event != b"[DONE]"]

    @property
    def text(self) -> str:
        """The text of the first choice."""
        if self.headers["content-type"].startswith("application/json"):
            content: str = self.json["choices"][0]["message"]["content"]
            return content
        choices = [chunk["choices"][0] for chunk in self.chunks if chunk.get("choices")]
        return "".join(choice["delta"].get("content") or "" for choice in choices if choice["index"] == 0)


class Asker(Protocol):
    """Sends one request and reads its answer to the end."""

    async def __call__(
        self, body: Any = None, *, method: str = "POST", path: str = CHAT, headers: Mapping[str, str] | None = None
    ) -> Got: ...


def hello(**members: Any) -> dict[str, Any]:
    """A chat request."""
    return {**HELLO, **members}


def saying(content: Any, **members: Any) -> dict[str, Any]:
    """A chat request with one message."""
    return hello(messages=[{"role": "user", "content": content}], **members)


def request_for(
    body: Any = None,
    *,
    method: str = "POST",
    path: str = CHAT,
    headers: Mapping[str, str] | None = None,
    timeout: Timeout | None = None,
) -> Request:
    """A request as a client would send it."""
    content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    given = {**KEY, **JSON} if headers is None else dict(headers)
    stream = isinstance(body, dict) and bool(cast("dict[str, Any]", body).get("stream"))
    return Request(method, BASE + path, headers=given, body=content, timeout=timeout or Timeout(), stream=stream)


@asynccontextmanager
async def in_process(emulator: Emulator) -> AsyncGenerator[Asker]:
    """Asks through the transport."""
    transport = emulator.transport()

    async def ask(body: Any = None, **how: Any) -> Got:
        reply = await transport.send(request_for(body, **how))
        got = Got(reply.status, reply.headers, b"")
        try:
            async for piece in reply.pieces():
                got.packets.append(piece)
        except APIConnectionError:
            got.broken = True
        got.content = b"".join(got.packets)
        return got

    yield ask
    await transport.aclose()


@asynccontextmanager
async def on_a_socket(emulator: Emulator) -> AsyncGenerator[Asker]:
    """Asks over HTTP, with nothing of ours on the asking side."""
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(serve(emulator))
        session = await stack.enter_async_context(aiohttp.ClientSession(auto_decompress=True))
        root = server.url.removesuffix("/api/v1")

        async def ask(
            body: Any = None, *, method: str = "POST", path: str = CHAT, headers: Mapping[str, str] | None = None
        ) -> Got:
            content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
            given = {**KEY, **JSON} if headers is None else dict(headers)
            data = None if content is None else io.BytesIO(content)
            sent = session.request(method, root + path, data=data, headers=given, skip_auto_headers=["Content-Type"])
            async with sent as reply:
                got = Got(reply.status, Headers(reply.raw_headers), b"")
                try:
                    async for piece in reply.content.iter_any():
                        got.packets.append(piece)
                except aiohttp.ClientPayloadError:
                    got.broken = True
                got.content = b"".join(got.packets)
                return got

        yield ask
