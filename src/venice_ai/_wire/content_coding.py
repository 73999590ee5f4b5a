"""Content codings (RFC 9110, section 8.4): the bytes of a body, decoded in bounded steps as they arrive, and collected.

A kilobyte of gzip can hold a megabyte, and codings can be nested. So no step gives more than `STEP_BYTES`, whatever it was fed:
whoever takes the steps can stop, wait, or look at a clock between two of them. Only codings that can be decoded so are asked
for (`ACCEPTED`).

Read is what servers send: names in any case, `x-gzip`, several codings one after the other, gzip in several members (also an
empty one, as at the first flush), `deflate` with and without the header of RFC 1950, padding after the end.

Both transports follow the same rules:

- A body that is no successful answer's whole (broken coding, ended too early, larger than `REPLY_BYTES`) is an error.
- A refusal (any status but 2xx) is what its status says, whatever becomes of its body: that is cut at `REFUSAL_BYTES`, or where
  it could not be read any further. Only a clock of the call that runs out is told instead.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Final, NoReturn

EVENT_BYTES: Final = 64 * 2**20
"""The longest event of a stream, and the longest line or comment. An answer with several images in base64 has some 20 MB."""
REPLY_BYTES: Final = 256 * 2**20
"""The longest body of a plain answer: four times the largest event, and what a machine with 1 GB of memory can still hold."""
REFUSAL_BYTES: Final = 4 * 2**20
"""What is read of a refusal, after decoding: no honest one is longer."""
STEP_BYTES: Final = 65_536
"""The most that one step of a decoder gives: what a read of a socket gives, too."""
ACCEPTED: Final = "gzip, deflate"
"""What `Accept-Encoding` says. The standard library has no decoder of `br`, and one of `zstd` only since Python 3.14."""

_MOST_CODINGS = 4  # one is usual; a proxy may add its own
_GZIP, _ZLIB, _BARE = zlib.MAX_WBITS | 16, zlib.MAX_WBITS, -zlib.MAX_WBITS
_GZIP_MAGIC = b"\x1f\x8b"


class DecodingError(ValueError):
    """The body of a reply cannot be read."""


class UnsupportedCodingError(DecodingError):
    """The body has a coding that was not asked for, or too many."""


class BrokenCodingError(DecodingError):
    """The body is not what its `Content-Encoding` says."""


class TruncatedBodyError(DecodingError):
    """The body ended within its coding."""


class BodyTooLargeError(DecodingError):
    """The body has more than a limit allows."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} is larger than {limit // 2**20} MiB, which is more than is read")
        self.beginning: bytes = b""
        """Its first `REFUSAL_BYTES` where a whole body was collected; else nothing."""


class Decoder:
    """Feed it the bytes of a body, get them decoded; `finish` says whether it was whole.

    Args:
        coding: the value of the header `Content-Encoding`.

    Raises:
        UnsupportedCodingError: a coding of it is not one that is asked for.
    """

    def __init__(self, coding: str | None) -> None:
        self._stages = [_STAGES[name]() for name in reversed(_codings(coding))]  # the last one that was applied comes off first
        self.decodes: bool = bool(self._stages)
        """Whether there is anything to decode; else the bytes are given as they came."""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """What can be decoded now, in steps of at most `STEP_BYTES`; nothing is done before a step is asked for.

        Take all steps before the next piece is fed.

        Raises:
            BrokenCodingError: it is not what its header says.
        """
        for start in range(0, len(piece), STEP_BYTES):
            yield from self._decoded(piece[start : start + STEP_BYTES], 0)

    def _decoded(self, piece: bytes, stage: int) -> Iterator[bytes]:
        if stage == len(self._stages):
            yield piece
            return
        try:
            for step in self._stages[stage].feed(piece):
                yield from self._decoded(step, stage + 1)
        except zlib.error as error:
            raise BrokenCodingError(f"its compression is broken ({error})") from None

    def finish(self) -> None:
        """The body has ended.

        Raises:
            TruncatedBodyError: something is missing.
        """
        if not all(stage.whole for stage in self._stages):
            raise TruncatedBodyError("it ended before its compression did")


class _Inflation:
    """One coding. An empty body is whole, as is one whose last member has ended; what pads it after that is left out."""

    def __init__(self) -> None:
        self._inflater: zlib._Decompress | None = None
        self._held = b""  # of a member's beginning, too short to tell what it is

    @property
    def whole(self) -> bool:
        return self._inflater is None and not self._held

    def feed(self, data: bytes) -> Iterator[bytes]:
        while data or self._inflater is not None:
            if self._inflater is None:
                self._inflater, data = self._begun(data)
                if self._inflater is None:
                    return
            inflater = self._inflater
            step = inflater.decompress(data, STEP_BYTES)
            if step:
                yield step
            if inflater.eof:
                self._inflater, data = None, inflater.unused_data
                self._ended()
                continue
            data = inflater.unconsumed_tail
            if not data and len(step) < STEP_BYTES:  # a full step may have left something within, although all was taken in
                return

    def _begun(self, data: bytes) -> tuple[zlib._Decompress | None, bytes]:
        """What decodes the member that begins here, and what to feed it; None: that cannot be told yet, or none begins."""
        raise NotImplementedError

    def _ended(self) -> None:
        """A member has ended."""


class _Gzip(_Inflation):
    """RFC 1952: members one after the other. What follows the first and is no member is padding, zeros or not."""

    def __init__(self) -> None:
        super().__init__()
        self._members = 0
        self._padding = False

    @property
    def whole(self) -> bool:
        return self._inflater is None and not (self._held and not self._members)

    def _begun(self, data: bytes) -> tuple[zlib._Decompress | None, bytes]:
        if self._padding:
            return None, b""
        data, self._held = self._held + data, b""
        if self._members:
            data = data.lstrip(b"\0")
            if len(data) < len(_GZIP_MAGIC):
                self._held = data
                return None, b""
            if not data.startswith(_GZIP_MAGIC):
                self._padding = True
                return None, b""
        return zlib.decompressobj(_GZIP), data

    def _ended(self) -> None:
        self._members += 1


class _Deflate(_Inflation):
    """RFC 1950, or, as some servers send it, RFC 1951 without the header of two bytes. What follows the end is left out."""

    def __init__(self) -> None:
        super().__init__()
        self._over = False

    def _begun(self, data: bytes) -> tuple[zlib._Decompress | None, bytes]:
        if self._over:
            return None, b""
        data, self._held = self._held + data, b""
        if len(data) < 2:
            self._held = data
            return None, b""
        has_header = data[0] & 0x0F == zlib.DEFLATED and int.from_bytes(data[:2]) % 31 == 0
        return zlib.decompressobj(_ZLIB if has_header else _BARE), data

    def _ended(self) -> None:
        self._over = True


_STAGES: Final = {"gzip": _Gzip, "x-gzip": _Gzip, "deflate": _Deflate}


def _codings(value: str | None) -> list[str]:
    """The codings in a header's value, in the order in which they were applied."""
    names = [name for each in (value or "").lower().split(",") if (name := each.strip()) not in {"", "identity"}]
    if unknown := next((name for name in names if name not in _STAGES), None):
        raise UnsupportedCodingError(f"it is compressed by {unknown!r}, which was not asked for")
    if len(names) > _MOST_CODINGS:
        raise UnsupportedCodingError(f"it is compressed {len(names)} times")
    return names


class Body:
    """Collects the body of a plain reply: `feed` it what arrives while it `wants` more, then `finish`.

    Args:
        coding: the value of the header `Content-Encoding`.
        refusal: whether the reply is one (any status but 2xx): then nothing is raised, and what could be read is the body.

    Raises:
        UnsupportedCodingError: a coding of it is not one that is asked for.
    """

    def __init__(self, coding: str | None, *, refusal: bool) -> None:
        self._refusal = refusal
        self._pieces: list[bytes] = []  # not one growing buffer, which would be copied at the end
        self._size = 0
        self.wants: bool = True
        """Whether more is to be read; else the rest of the body is not needed."""
        try:
            self._decoder = Decoder(coding)
        except UnsupportedCodingError:
            if not refusal:
                raise
            self._decoder, self.wants = Decoder(None), False

    def feed(self, piece: bytes) -> None:
        """Takes what arrived.

        Raises:
            DecodingError: the body of an answer is broken or too large.
        """
        for _ in self.steps(piece):
            pass

    def steps(self, piece: bytes) -> Iterator[None]:
        """The same in bounded steps: between two of them an event loop can do something else, and a clock be looked at.

        Raises:
            DecodingError: as `feed` does.
        """
        try:
            for step in self._decoder.feed(piece) if self.wants else ():
                self._keep(step)
                if not self.wants:
                    return
                yield
        except BrokenCodingError:
            self.wants = False
            if not self._refusal:
                raise

    def _keep(self, step: bytes) -> None:
        self._pieces.append(step)
        self._size += len(step)
        if self._refusal and self._size >= REFUSAL_BYTES:
            self.wants = False
        elif self._size > REPLY_BYTES:
            self._refuse()

    def _refuse(self) -> NoReturn:
        error = BodyTooLargeError("the answer", REPLY_BYTES)
        self.wants, error.beginning = False, self._joined(REFUSAL_BYTES)
        raise error

    def _joined(self, size: int) -> bytes:
        beginning: list[bytes] = []
        for piece in self._pieces:
            beginning.append(piece[:size])
            size -= len(piece)
            if size <= 0:
                break
        self._pieces = []
        return beginning[0] if len(beginning) == 1 else b"".join(beginning)

    def finish(self) -> bytes:
        """The body, once it has ended or no more is wanted.

        Raises:
            TruncatedBodyError: the body of an answer ended too early.
        """
        body = self._joined(REFUSAL_BYTES if self._refusal else REPLY_BYTES)
        # JSON that is whole ends with a brace: that its check sum is missing costs nobody an answer that was paid for.
        if not self._refusal and not body.rstrip().endswith(b"}"):
            self._decoder.finish()
        return body
