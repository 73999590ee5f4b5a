"""A reply whose body is here."""

from __future__ import annotations

from collections.abc import AsyncIterator

from ..types.response_meta import Headers


class WholeReply:
    """A `Reply` (`ports.py`) of which nothing more comes."""

    __slots__ = ("_body", "headers", "status")

    def __init__(self, status: int, headers: Headers, body: bytes) -> None:
        self.status: int = status
        self.headers: Headers = headers
        self._body = body

    async def read(self) -> bytes:
        return self._body

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self._body

    async def drain(self) -> None:
        """Nothing more comes."""

    def progressed(self) -> None:
        """No clock runs any more."""

    def close(self) -> None:
        """There is nothing to close."""
