"""The framing of an HTTP/1.1 reply (RFC 9112): bytes in, the head and the body out. It is as strict as aiohttp's llhttp."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from typing import Final

HEADER_BYTES: Final = 65_536  # the longest line that is taken of a reply's head
_MOST_HEADERS = 128  # as aiohttp
_MOST_BYTES = 2**63  # as a machine counts
_STATUS = re.compile(rb"(?:HTTP/(0\.9|1\.[01]|2\.0) (\d{3})(?: [^\r]*)?)?\r?")
_HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\0\r\n]*?)[ \t]*")
_SIZE = re.compile(rb"0*([0-9A-Fa-f]{1,16})[ \t]*(?:;[^\r]*)?\r")
# What a line may be whose end has not come: anything else is an error at once, and not when a clock runs out.
_START_BYTES = 64
_STATUS_START = re.compile(rb"\r?|H|HT|HTT|HTTP|HTTP/.*", re.DOTALL)
_HEADER_START = re.compile(rb"\r?|[ \t].*|[!#$%&'*+\-.^_`|~0-9A-Za-z]+(?::.*)?", re.DOTALL)
_SIZE_START = re.compile(rb"[0-9A-Fa-f]*[ \t]*(?:;.*|\r)?", re.DOTALL)
_CHUNK_END_START = re.compile(rb"\r?")
_CHUNK_END = re.compile(rb"\r")
_ANY = re.compile(rb".*", re.DOTALL)
_BODILESS = frozenset({101, 204, 304})


class FramingError(ValueError):
    """The bytes are not a reply of HTTP/1.1, or do not say where its body ends. The message does not repeat them."""


class ReplyReader:
    """Feed it what a connection says after a request, get the bytes of the body; what the head says is in attributes."""

    def __init__(self) -> None:
        self.status: int = 0  # the status of the final answer; 0 until its head is whole
        self.fields: list[tuple[bytes, bytes]] = []
        self.done: bool = False
        self.reusable: bool = False  # whether its connection serves further requests, once it is done
        self.started: bool = False
        self.until_end: bool = False  # whether the end of the connection is the end of its body
        self._buffer = bytearray()
        self._body: Iterator[bytes] = self._read()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The pieces of the body that this completes, or a FramingError. Take all of them before the next is fed."""
        self.started = self.started or bool(data)
        self._buffer += data
        for piece in self._body:
            if not piece:
                return
            yield piece
        self.done = True
        if self._buffer.strip(b"\r\n"):  # between two replies some servers send an empty line
            self.reusable = False

    def end(self) -> None:
        """The connection has ended: a FramingError if the reply has not."""
        if not self.until_end:
            message = "it was closed without an answer" if not self.started else "the answer broke off"
            raise FramingError(message if self.status or not self.started else "the head of the answer broke off")
        self.done = True

    # -- the reply, read by generators that give b"" where they need more ------------------------------------------------

    def _read(self) -> Generator[bytes, None, None]:
        version = b""
        while not self.status:
            line = yield from self._line(_STATUS_START, "it is not a reply of HTTP/1.1", _STATUS)
            version, status = line[1], line[2]
            if status is None:  # an empty line before it does no harm
                continue
            fields = yield from self._fields()
            if not status.startswith(b"1") or status == b"101":  # else it is interim, and another one follows
                self.fields, self.status = fields, int(status)
        length, chunked, keeps = _framing(self.fields, version)
        self.reusable = keeps
        if self.status in _BODILESS:
            self.reusable = keeps and self.status != 101
        elif chunked:
            yield from self._chunks()
        elif length is not None:
            yield from self._bytes(length)
        else:
            self.until_end, self.reusable = True, False
            while True:
                piece = bytes(self._buffer)
                self._buffer.clear()
                yield piece

    def _fields(self) -> Generator[bytes, None, list[tuple[bytes, bytes]]]:
        fields: list[tuple[bytes, bytes]] = []
        end = self._buffer.find(b"\r\n\r\n")
        if 0 < end < HEADER_BYTES:  # nearly always all are here, and are as they should be
            matches = [_HEADER.fullmatch(line) for line in self._buffer[:end].split(b"\r\n")]
            if all(matches) and len(matches) <= _MOST_HEADERS:
                del self._buffer[: end + 4]
                return [(bytes(match[1]), bytes(match[2])) for match in matches if match]
        while line := (yield from self._line(_HEADER_START, "a line of its head is not a header"))[0].removesuffix(b"\r"):
            if line[0] in b" \t":  # it goes on with the line before; before the first there is nothing to go on with
                if fields and b"\0" not in line and b"\r" not in line:
                    fields[-1] = fields[-1][0], b"%b %b" % (fields[-1][1], line.strip(b" \t"))
                    continue
                line = line.lstrip(b" \t")
            if (match := _HEADER.fullmatch(line)) is None:
                raise FramingError("a line of its head is not a header")
            fields.append((match[1], match[2]))
            if len(fields) > _MOST_HEADERS:
                raise FramingError(f"it has more than {_MOST_HEADERS} headers")
        return fields

    def _line(
        self, start: re.Pattern[bytes], otherwise: str, whole: re.Pattern[bytes] = _ANY
    ) -> Generator[bytes, None, re.Match[bytes]]:
        """The next line without its LF; an error with these words if it is not as a `whole`, or as soon as it cannot be."""
        buffer, searched = self._buffer, 0
        while (end := buffer.find(b"\n", searched)) < 0 and len(buffer) <= HEADER_BYTES:
            if not start.fullmatch(buffer[:_START_BYTES]):
                raise FramingError(otherwise)
            searched = len(buffer)
            yield b""
        if not 0 <= end <= HEADER_BYTES:
            raise FramingError(f"a line of its head is longer than {HEADER_BYTES} bytes")
        line = whole.fullmatch(bytes(buffer[:end]))
        del buffer[: end + 1]
        if line is None:
            raise FramingError(otherwise)
        return line

    def _bytes(self, size: int) -> Generator[bytes, None, None]:
        buffer = self._buffer
        while size:
            piece = bytes(buffer[:size])
            del buffer[:size]
            size -= len(piece)
            yield piece

    def _chunks(self) -> Generator[bytes, None, None]:
        """A body in chunks (RFC 9112, section 7.1), with the trailers after it."""
        while True:
            line = yield from self._line(_SIZE_START, "the size of a chunk is not a hexadecimal number", _SIZE)
            if not (size := int(line[1], 16)):
                break
            if size >= _MOST_BYTES:
                raise FramingError("the size of a chunk is too large")
            yield from self._bytes(size)
            yield from self._line(_CHUNK_END_START, "a chunk is longer than its size", _CHUNK_END)
        yield from self._fields()


def _framing(fields: list[tuple[bytes, bytes]], version: bytes) -> tuple[int | None, bool, bool]:
    """The body's length, whether it comes in chunks, and whether the connection serves on (RFC 9112, sections 6.3 and 9.3)."""
    named = [(name.lower(), value) for name, value in fields]
    lengths = [value for name, value in named if name == b"content-length"]
    codings = [value for name, value in named if name == b"transfer-encoding"]
    options = {each.strip().lower() for name, value in named if name == b"connection" for each in value.split(b",")}
    if len(lengths) > 1 or (lengths and codings):
        raise FramingError("it has two lengths")
    if lengths and not (lengths[0].isdigit() and len(lengths[0]) < 30 and int(lengths[0]) < _MOST_BYTES):
        raise FramingError("its length is not a number")
    keeps = b"close" not in options and (version == b"1.1" or b"keep-alive" in options)
    chunked = bool(codings) and codings[-1].lower().rpartition(b",")[2].strip() == b"chunked"
    return int(lengths[0]) if lengths else None, chunked, keeps
