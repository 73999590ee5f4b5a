"""A transport that records an attestation: the replies of Venice and NVIDIA byte by byte, and Intel's collateral."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from ..tee.nras import ATTEST_URL, KEYS_URL
from ._evidence_files import NRAS_DOCUMENTS, SavedEvidence

if TYPE_CHECKING:
    from .._core.ports import Reply, Transport
    from .._core.request import Request
    from ..resources.tee_evidence import Fetcher
    from ..types.response_meta import Headers

_NRAS: Final[dict[str, str]] = dict(zip((ATTEST_URL, KEYS_URL), NRAS_DOCUMENTS, strict=True))


class RecordingTransport:
    """Sends requests, and keeps byte by byte what came of an attestation.

    That is the last reply of Venice, with the nonce that it was asked with, and NVIDIA's documents if they are wanted.
    """

    def __init__(self, inner: Transport, kept: SavedEvidence) -> None:
        self._inner = inner
        self._kept = kept

    async def send(self, request: Request) -> Reply:
        parts = urlsplit(request.url)
        reply = await self._inner.send(request)
        if parts.path.endswith("/tee/attestation"):
            self._kept.nonce = parse_qs(parts.query).get("nonce", [None])[0]
            return _RecordedReply(reply, self._attestation)
        name = _NRAS.get(request.url)
        # An error response is not NVIDIA's statement, whatever it says.
        if name is not None and reply.status == 200:
            return _RecordedReply(reply, partial(self._document, name))
        return reply

    async def aclose(self) -> None:
        await self._inner.aclose()

    def _attestation(self, body: bytes, *, ended: bool) -> None:  # a reply that is too long is judged by its beginning
        self._kept.reply = body

    def _document(self, name: str, body: bytes, *, ended: bool) -> None:
        if ended and self._kept.nras is not None:
            self._kept.nras[name] = body


class _Record(Protocol):
    def __call__(self, body: bytes, *, ended: bool) -> None: ...


class _RecordedReply:
    """A reply whose body is kept while it is read."""

    def __init__(self, inner: Reply, keep: _Record) -> None:
        self.status: int = inner.status
        self.headers: Headers = inner.headers
        self._inner = inner
        self._keep = keep
        keep(b"", ended=False)

    async def read(self) -> bytes:
        body = await self._inner.read()
        self._keep(body, ended=True)
        return body

    async def pieces(self) -> AsyncIterator[bytes]:
        body = b""
        async for piece in self._inner.pieces():
            body += piece
            self._keep(body, ended=False)
            yield piece
        self._keep(body, ended=True)

    async def drain(self) -> None:
        await self._inner.drain()

    def progressed(self) -> None:
        self._inner.progressed()

    def close(self) -> None:
        self._inner.close()


class RecordingCollateral:
    """Collateral from a file or from Intel; keeps what it gave."""

    def __init__(self, fetcher: Fetcher, kept: SavedEvidence, given: Mapping[str, Any] | None) -> None:
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
