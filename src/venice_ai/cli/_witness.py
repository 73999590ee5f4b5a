"""Watches an attestation being made: the reply of Venice byte by byte, and the collateral that it was judged with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from ._kept import Kept

if TYPE_CHECKING:
    from .._meta import Headers
    from .._transport import Reply, Request, Transport
    from ..resources._evidence import Fetcher


class Witness:
    """Sends requests, and keeps the last attestation that came, byte by byte, with the nonce that it was asked with."""

    def __init__(self, inner: Transport, kept: Kept) -> None:
        self._inner = inner
        self._kept = kept

    async def send(self, request: Request) -> Reply:
        parts = urlsplit(request.url)
        reply = await self._inner.send(request)
        if not parts.path.endswith("/tee/attestation"):
            return reply
        self._kept.nonce = parse_qs(parts.query).get("nonce", [None])[0]
        return _Witnessed(reply, self._kept)

    async def aclose(self) -> None:
        await self._inner.aclose()


class _Witnessed:
    """A reply whose body is kept while it is read."""

    def __init__(self, inner: Reply, kept: Kept) -> None:
        self.status: int = inner.status
        self.headers: Headers = inner.headers
        self._inner = inner
        self._kept = kept
        kept.reply = b""

    async def read(self) -> bytes:
        self._kept.reply = await self._inner.read()
        return self._kept.reply

    async def pieces(self) -> AsyncIterator[bytes]:
        async for piece in self._inner.pieces():
            self._kept.reply = (self._kept.reply or b"") + piece
            yield piece

    async def drain(self) -> None:
        await self._inner.drain()

    def progressed(self) -> None:
        self._inner.progressed()

    def close(self) -> None:
        self._inner.close()


class Source:
    """Collateral from a file or from Intel; keeps what it gave."""

    def __init__(self, fetcher: Fetcher, kept: Kept, given: Mapping[str, Any] | None) -> None:
        self._fetcher = fetcher
        self._kept = kept
        self._given = given
        self.platform: tuple[str, str] | None = None
        """The platform that Intel was asked about."""

    async def get(self, fmspc: str, ca: str, now: float, /) -> Mapping[str, Any] | None:
        if self._given is None:
            self.platform = fmspc, ca
            self._kept.collateral = await self._fetcher.get(fmspc, ca, now)
        else:
            self._kept.collateral = self._given
        return self._kept.collateral
