"""Server-sent events: bytes to events for the client, an event to bytes for the emulator.

Bytes are fed as they arrive, cut anywhere. Nearly every event is `data: ...` and a blank line with LF endings: a run of such
events is split in one step, and counting its line feeds proves that it is one. Everything else goes line by line through the
rules: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from collections.abc import Iterable

from ..types.response_meta import ResponseMeta
from .content_coding import EVENT_BYTES

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


class EventTooLongError(ValueError):
    """An event, a line or a comment has no end within what is read of one."""

    def __init__(self) -> None:
        super().__init__(f"an event has no end within {EVENT_BYTES // 2**20} MiB, which is more than is read of one")


class NamedEvent(bytes):
    """The data of an event whose type the server named."""

    type: bytes = b""


class EventParser:
    """Feed it bytes, get events. `finish` gives the last one, if the server left out its blank line."""

    __slots__ = ("_buffer", "_data", "_line_mode", "_searched", "_started", "_type")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0  # what was searched of the buffer is not searched again
        self._started = self._line_mode = False
        self._data = bytearray()  # of an event that has begun and is read by the rules: its data lines, each with a line feed
        self._type = b""  # of that event

    def feed(self, piece: bytes) -> list[bytes]:
        """The events that this piece completes; an EventTooLongError if the one that it goes on with is too long."""
        buffer = self._buffer
        if len(buffer) + len(self._data) > EVENT_BYTES:
            self._buffer, self._data = bytearray(), bytearray()
            raise EventTooLongError
        if not self._started:
            buffer += piece
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                return []
            self._started = True
            if buffer.startswith(_BOM):
                del buffer[: len(_BOM)]
        elif not buffer and not self._line_mode and piece.endswith(b"\n\n") and b"\r" not in piece:
            return self._blocks(piece)
        else:
            buffer += piece
        return self._whole_blocks() if not self._line_mode else self._lines()

    def finish(self) -> list[bytes]:
        """What the end completes: also an event without its blank line, which servers forget after the last one."""
        self._searched = 0
        return self._lines(at_end=True) + self._by_the_rules([b""])

    def _whole_blocks(self) -> list[bytes]:
        """Events up to the last blank line, leaving the rest for the next piece."""
        buffer = self._buffer
        # A CR may be the first half of a CRLF, or an ending of its own: those go by the full rules from here on.
        if buffer.find(b"\r", max(self._searched - 1, 0)) >= 0:
            self._line_mode = True
            self._searched = 0
            return self._lines()
        if (end := buffer.rfind(b"\n\n", max(self._searched - 1, 0))) < 0:
            self._searched = len(buffer)
            return []
        whole = bytes(buffer[: end + 2])
        del buffer[: end + 2]
        self._searched = len(buffer)
        return self._blocks(whole)

    def _blocks(self, whole: bytes) -> list[bytes]:
        """The events in text that ends with a blank line and has no CRs."""
        if whole.startswith(b"data: "):
            run = whole[6:-2].split(b"\n\ndata: ")
            # Two line feeds for each event, and no other: none has a second line.
            if whole.count(b"\n") == 2 * len(run):
                return run
        return self._by_the_rules(whole.split(b"\n"))

    def _lines(self, *, at_end: bool = False) -> list[bytes]:
        """Line by line, for streams with CRs in them and for what is left at the end."""
        buffer = self._buffer
        # What was searched holds no line's end; a CR at the very end is looked at again once it is known whether an LF follows.
        end = max(buffer.rfind(b"\n", self._searched), buffer.rfind(b"\r", self._searched, None if at_end else -1)) + 1
        lines = bytes(buffer[:end]).splitlines()
        del buffer[:end]
        self._searched = max(len(buffer) - 1, 0)
        if at_end and buffer:
            lines.append(bytes(buffer))
            buffer.clear()
        return self._by_the_rules(lines)

    def _by_the_rules(self, lines: Iterable[bytes]) -> list[bytes]:
        """The events that whole lines, without their ends, complete."""
        events: list[bytes] = []
        for line in lines:
            name, _, value = line.partition(b":")
            if name == b"data":
                self._data += value.removeprefix(b" ") + b"\n"
            elif name == b"event":
                self._type = value.removeprefix(b" ")
            elif not line:
                if self._data:
                    events.append(_event(bytes(memoryview(self._data)[:-1]), self._type))
                self._data, self._type = bytearray(), b""
        return events


def _event(data: bytes, type: bytes) -> bytes:  # noqa: A002  # the standard's own word
    if type:
        data = NamedEvent(data)
        data.type = type
    return data


def encode(data: bytes, type: str | None = None) -> bytes:  # noqa: A002  # likewise
    """One event on the wire. Data with line breaks becomes several `data` lines."""
    head = b"" if type is None else b"event: " + type.encode() + b"\n"
    return head + b"".join(b"data: " + line + b"\n" for line in data.split(b"\n")) + b"\n"


# -- what a reply is, by its label and its first bytes: servers and proxies label streams as JSON ------------------------


def start_of(head: bytes | bytearray) -> bytes:
    """What a body begins with, without blanks; empty while what came does not tell what it is."""
    if head.startswith(_FIELDS):
        return bytes(head[:8])
    start = bytes(head).removeprefix(_BOM).lstrip()[:8]
    undecided = _BOM.startswith(head) or any(len(start) < len(field) and field.startswith(start) for field in _FIELDS)
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
