"""Events that say what the one before them said with another text: nearly every event of a stream is such a one.

The bytes before and after the text are compared, and the text alone is decoded. What stands between the same bytes and is one
JSON text makes, by JSON's grammar, the same object with another text; so nothing is assumed of what an event says.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

_decode: Final = msgspec.json.Decoder().decode
_decode_text: Final = msgspec.json.Decoder(str).decode
_NAME: Final = b'"content":'
_SCALARS: Final = frozenset({str, int, float, bool, type(None)})
_FRUITLESS_LESSONS: Final = 3  # a server whose every event differs in more than its text is not worth comparing


class Repeats:
    """What the last event was like, and the texts of those that are like it."""

    __slots__ = ("_after", "_before", "_fruitless", "_text", "choice", "data", "delta", "texts")

    def __init__(self) -> None:
        self._before: bytes | None = None
        self._after = b""
        self._text = slice(0)  # where the text stands, in its quotation marks
        self._fruitless = 0
        self.texts: list[str] = []
        """What the choice that the texts belong to has said so far."""
        self.data: dict[str, Any] = {}
        self.choice: dict[str, Any] = {}
        self.delta: dict[str, Any] = {}

    def text(self, event: bytes) -> str | None:
        """The text of an event that is like the last one; None for every other event."""
        before, after = self._before, self._after
        if before is None or not event.startswith(before) or not event.endswith(after):
            return None
        try:
            text = _decode_text(event[self._text])  # where the two overlap, nothing is left that could be a text
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        self._fruitless = 0
        return text

    def learn(self, event: bytes, data: dict[str, Any], texts: list[str]) -> None:
        """Takes an event for what others may be like; `data` is its JSON, with one choice whose delta has a text."""
        if self._fruitless >= _FRUITLESS_LESSONS:
            return
        self._fruitless += 1
        self._before = None
        (choice,) = data["choices"]
        delta = choice["delta"]
        if event.count(_NAME) != 1 or not (_is_plain(data, "choices") and _is_plain(choice, "delta") and _is_plain(delta)):
            return
        start = event.index(b'"', event.index(_NAME) + len(_NAME)) + 1
        before, after = event[:start], event[_end_of_text(event, start) :]
        if _decode(before + after) == {**data, "choices": [{**choice, "delta": {**delta, "content": ""}}]}:
            self._before, self._after, self._text = before, after, slice(start - 1, 1 - len(after))
            self.texts, self.data, self.choice, self.delta = texts, data.copy(), choice.copy(), delta.copy()


def _is_plain(holder: dict[str, Any], but: str | None = None) -> bool:
    """Whether copies of an object share nothing that can be changed."""
    return all(value.__class__ in _SCALARS for name, value in holder.items() if name != but)


def _end_of_text(event: bytes, start: int) -> int:
    """Where the quotation mark is that ends a JSON text."""
    end = event.index(b'"', start)
    while (end - len(event[start:end].rstrip(b"\\")) - start) % 2:  # after an odd number of backslashes it is part of the text
        end = event.index(b'"', end + 1)
    return end
