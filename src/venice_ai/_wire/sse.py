"""Server-sent events: bytes to events for the client, an event to bytes for the emulator.

Bytes are fed as they arrive, cut anywhere. Nearly every event is `data: ...` and a blank line: a run of such events is split in
one step, and counting its line feeds proves that it is one. Everything else goes line by line through the rules:
https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from ..types.response_meta import ResponseMeta
from .content_coding import EVENT_BYTES

_BOM = b"\xef\xbb\xbf"
_LF, _CR = b"\n\r"  # numbers are looked for several times sooner than bytes
_FIELDS, _OTHERS = (b"data:", b"event:", b"id:", b"retry:", b":"), (b"id", b"retry", b"")


class EventTooLongError(ValueError):
    """An event, a line or a comment has no end within what is read of one."""


class NamedEvent(bytes):
    """The data of an event whose type the server named."""

    type: bytes = b""


class EventParser:
    """Feed it bytes, get events. `finish` gives the last one, if the server left out its blank line."""

    __slots__ = "_buffer", "_clear", "_half_ending", "_searched", "_started"

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # what was searched of the buffer is not searched again
        self._started = False
        self._half_ending = False  # whether the last byte was a CR, which may be the first half of a CRLF
        self._clear = False  # whether no bytes wait for more: the next piece then begins with an event

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that this piece completes; an EventTooLongError if the one that it goes on with is too long."""
        if self._clear and piece[-2:] == b"\n\n" and _CR not in piece:  # nearly always
            return _events(piece)
        buffer, self._clear = self._buffer, False
        if len(buffer) > EVENT_BYTES:
            self._buffer = bytearray()
            raise EventTooLongError(f"an event has no end within {EVENT_BYTES // 2**20} MiB, which is more than is read of one")
        if self._half_ending or _CR in piece:
            piece = self._with_line_feeds(piece)
        buffer += piece
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                return []
            self._started = True
            if buffer.startswith(_BOM):
                del buffer[: len(_BOM)]
        if (end := buffer.rfind(b"\n\n", max(self._searched - 1, 0)) + 2) < 2:
            self._searched = len(buffer)
            return []
        whole = bytes(buffer[:end])
        del buffer[:end]
        self._searched = len(buffer)
        self._clear = not buffer and not self._half_ending
        return _events(whole)

    def finish(self) -> list[bytes]:
        """The events that the end of the body completes: the last may lack its blank line, which some servers forget."""
        rest, self._buffer = bytes(self._buffer), bytearray()
        return _events(rest + b"\n\n")

    def _with_line_feeds(self, piece: bytes) -> bytes:
        """The piece with LF for each CRLF and each CR; one at its very end waits for what follows."""
        piece = b"\r" * self._half_ending + piece
        self._half_ending = piece.endswith(b"\r")
        return piece[: len(piece) - self._half_ending].replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _events(whole: bytes) -> list[bytes]:  # noqa: C901  # a line for each rule
    """The events in lines that end with LF, the last of them blank."""
    if whole[:6] == b"data: ":
        text = whole[6:-2]
        if _LF not in text:
            return [text]
        run = text.split(b"\n\ndata: ")
        # Two line feeds between two events, and no other: none has a second line.
        if text.count(b"\n") == 2 * len(run) - 2:
            return run
    events: list[bytes] = []
    data, damaged, kind = list[bytes](), list[bytes](), b""
    for line in whole.split(b"\n"):
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
        elif name == b"event":
            kind = value.removeprefix(b" ")
        elif not line:
            if data and kind:
                events.append(named := NamedEvent(b"\n".join(data)))
                named.type = kind
            elif data or damaged:
                events.append(b"\n".join(data or damaged))
            data, damaged, kind = [], [], b""
        elif name not in _OTHERS and b"{" in line:  # no field has this name: a damaged one may have held a chunk
            damaged.append(line)
    return events


def encode(data: bytes, type: str | None = None) -> bytes:  # noqa: A002  # likewise
    """One event on the wire. Data with line breaks becomes several `data` lines."""
    head = b"" if type is None else b"event: " + type.encode() + b"\n"
    return head + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"


# -- what a reply is, by its label and its first bytes: servers and proxies label streams as JSON ------------------------


def start_of(head: bytes | bytearray) -> bytes:
    """The first bytes of a body, without blanks; empty while there are too few to tell a stream from something else."""
    if head.startswith(_FIELDS):
        return bytes(head[:8])
    start = bytes(head).removeprefix(_BOM).lstrip()[:8]
    undecided = _BOM.startswith(head) or any(field.startswith(start) for field in _FIELDS)
    return b"" if undecided and not start.startswith(_FIELDS) else start


def is_whole(start: bytes, *, labelled: bool) -> bool:
    """Whether a body that begins so is one value, or a page, and no stream of events; `labelled`: it calls itself a stream."""
    return start[:1] == b"{" if labelled else not start.startswith(_FIELDS)


def is_framed(body: bytes) -> bool:
    return start_of(body).startswith(_FIELDS)


def says_stream(meta: ResponseMeta) -> bool:
    """Whether the label of a reply lets it be a stream of events."""
    label = meta.headers.get("content-type", "").lower()
    return not ("json" in label or "html" in label)
