"""Server-sent events, line by line, by the rules of the WHATWG.

https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

from collections.abc import Iterable


class NamedEvent(bytes):
    """The data of an event whose type the server named."""

    type: bytes = b""


class EventLines:
    """Feed it whole lines, without their ends, and get the events that they complete."""

    __slots__ = ("_type", "data")

    def __init__(self) -> None:
        self.data = bytearray()
        """The data lines of the event that has begun, each with a line feed."""
        self._type = b""

    def feed(self, lines: Iterable[bytes]) -> list[bytes]:
        events: list[bytes] = []
        for line in lines:
            name, _, value = line.partition(b":")
            if name == b"data":
                self.data += value.removeprefix(b" ") + b"\n"
            elif name == b"event":
                self._type = value.removeprefix(b" ")
            elif not line:
                events += self.finish()
                self._type = b""
        return events

    def finish(self) -> list[bytes]:
        """The event that has begun, if it has data."""
        if not self.data:
            return []
        event = bytes(memoryview(self.data)[:-1])
        if self._type:
            event = NamedEvent(event)
            event.type = self._type
        self.data = bytearray()
        self._type = b""
        return [event]
