"""Content codings (RFC 9110, section 8.4): the bytes of a body, decoded in bounded steps as they arrive, and collected.

A kilobyte of gzip can hold a megabyte, and codings can be nested. So no step gives more than `STEP_BYTES`: whoever takes the
steps can stop, wait, or look at a clock between two. A body that is not whole is an error. A refusal (any status but 2xx) is
what its status says: its body is cut at `REFUSAL_BYTES`, or where it could not be read any further.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain
from typing import Final

EVENT_BYTES: Final = 64 * 2**20
"""The longest event of a stream, and the longest line or comment. An answer with several images in base64 has some 20 MB."""
REPLY_BYTES: Final = 256 * 2**20
"""The longest body of a plain answer: four times the largest event, and what a machine with 1 GB of memory can still hold."""
REFUSAL_BYTES: Final = 4 * 2**20  # what is read of a refusal, after decoding: no honest one is longer
STEP_BYTES: Final = 65_536  # the most that one step of a decoder gives: what a read of a socket gives, too
ACCEPTED: Final = "gzip, deflate"
"""The value of `Accept-Encoding`. The standard library has no decoder of `br`, and one of `zstd` only since Python 3.14."""

_MOST_CODINGS = 4  # one is usual; a proxy may add its own
_GZIP_MAGIC = b"\x1f\x8b"


class DecodingError(ValueError):
    """The body of a reply cannot be read: its coding is broken, was not asked for, or has no end."""


class BodyTooLargeError(DecodingError):
    """The body has more than a limit allows. `beginning` is its first `REFUSAL_BYTES`."""

    def __init__(self, beginning: bytes) -> None:
        super().__init__(f"the answer is larger than {REPLY_BYTES // 2**20} MiB, which is more than is read")
        self.beginning: bytes = beginning


class Decoder:
    """Decodes the bytes of a body; raises a DecodingError where they, or at the end the whole, are not what the header says."""

    def __init__(self, coding: str | None) -> None:
        names = [name for each in (coding or "").lower().split(",") if (name := each.strip()) not in {"", "identity"}]
        if unknown := next((name for name in names if name not in {"gzip", "x-gzip", "deflate"}), None):
            raise DecodingError(f"it is compressed by {unknown!r}, which was not asked for")
        if len(names) > _MOST_CODINGS:
            raise DecodingError(f"it is compressed {len(names)} times")
        # The last one that was applied comes off first.
        self._stages = [_Inflation(gzip=name.endswith("gzip")) for name in reversed(names)]

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Decodes what it can of a piece, in steps of at most `STEP_BYTES`. Take all of them before the next piece is fed."""
        steps: Iterator[bytes] = (piece[start : start + STEP_BYTES] for start in range(0, len(piece), STEP_BYTES))
        for stage in self._stages:
            steps = chain.from_iterable(map(stage.feed, steps))
        try:
            yield from steps
        except zlib.error as error:  # its frames hold what arrived
            raise DecodingError(f"its compression is broken ({error.with_traceback(None)})") from None

    def finish(self) -> None:
        """The body has ended: a DecodingError if something is missing."""
        if not all(stage.whole for stage in self._stages):
            raise DecodingError("it ended before its compression did")


class _Inflation:
    """One coding: gzip (RFC 1952), in members, or deflate, with or without the header of RFC 1950; what follows is padding."""

    def __init__(self, *, gzip: bool) -> None:
        self._gzip = gzip
        self._inflater: zlib._Decompress | None = None
        self._held = b""  # of a member's beginning, too short to tell what it is
        self._any_member = False
        self._over = False  # only padding follows

    @property
    def whole(self) -> bool:
        return self._inflater is None and (self._any_member or not self._held)

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or self._inflater is not None:
            if self._inflater is None and not (data := self._begin(data)):
                return
            inflater = self._inflater
            assert inflater is not None
            before = inflater.copy()
            try:
                step = inflater.decompress(data, STEP_BYTES)
            except zlib.error:
                yield from _decoded_before_fault(before, data)
                raise
            if step:
                yield step
            if inflater.eof:
                self._inflater, data = None, inflater.unused_data
                self._any_member = True
                continue
            data = inflater.unconsumed_tail
            if not data and len(step) < STEP_BYTES:  # a full step may have left something within, although all was taken in
                return

    def _begin(self, data: bytes) -> bytes:
        """Begins a member, and gives its bytes; none if they are too few to tell what it is, or only padding."""
        data, self._held = self._held + data, b""
        if self._any_member:
            data = data.lstrip(b"\0")
            self._over = self._over or not self._gzip or data[:2] not in {b"", _GZIP_MAGIC[:1], _GZIP_MAGIC}
        if self._over:
            return b""
        if len(data) < 2:
            self._held = data
            return b""
        has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
        bits = zlib.MAX_WBITS
        self._inflater = zlib.decompressobj(bits | 16 if self._gzip else bits if has_header else -bits)
        return data


def _decoded_before_fault(inflater: zlib._Decompress, data: bytes) -> Iterator[bytes]:
    """The decoded bytes before the first fault: of a piece that holds one, zlib gives nothing."""
    with suppress(zlib.error):
        for byte in data:
            if piece := inflater.decompress(bytes((byte,))):
                yield piece


class Body:
    """Collects a plain reply's body: take `steps` while it `wants` more, then `finish`. Of a `refusal` nothing is raised."""

    def __init__(self, coding: str | None, *, refusal: bool) -> None:
        self._refusal = refusal
        self._pieces: list[bytes] = []  # not one growing buffer, which would be copied at the end
        self._size = 0
        self.wants: bool = True
        try:
            self._decoder = Decoder(coding)
        except DecodingError:
            if not refusal:
                raise
            self._decoder, self.wants = Decoder(None), False

    def steps(self, piece: bytes) -> Iterator[None]:
        """Takes what arrived, in bounded steps: between two of them others can run, and a clock can be looked at."""
        try:
            for step in self._decoder.feed(piece) if self.wants else ():
                self._pieces.append(step)
                self._size += len(step)
                if self._size > REPLY_BYTES:
                    raise BodyTooLargeError(b"".join(self._pieces)[:REFUSAL_BYTES])
                if self._refusal and self._size >= REFUSAL_BYTES:
                    self.wants = False
                    return
                yield
        except DecodingError:
            self.wants = False
            if not self._refusal:
                raise

    def take(self) -> bytes:
        """The bytes since the last call, for those who read a body as it arrives; they are not kept here."""
        piece, self._pieces, self._size = b"".join(self._pieces), [], 0
        return piece

    def finish(self) -> bytes:
        """The body, once it has ended or no more is needed; a DecodingError if one that is not a refusal ended too early."""
        body = b"".join(self._pieces)[: REFUSAL_BYTES if self._refusal else None]
        # JSON that is whole ends with a brace: that its check sum is missing costs nobody an answer that was paid for.
        if not self._refusal and not body.rstrip().endswith(b"}"):
            self._decoder.finish()
        return body
