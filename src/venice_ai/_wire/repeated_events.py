"""Events that are the same as an earlier one but for one JSON text: nearly every event of a stream is such a one.

If two events have the same bytes around one JSON text, they decode to the same object but for that text. So those bytes are a
`Pattern`: of later events that fit it the text alone is decoded. What is repeated must change nothing else: events with lists
that are appended, or with names of calls, make no pattern. Patterns are learnt here; `Assembly.repeated` matches events.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

import msgspec

from ..types._base import Model, is_array, is_object
from ..types.api.streaming import ChatChunkChoice, ChatCompletionChunk, ChatDelta
from .growing import fields_of
from .json_text import NOT_STRICT, encode, strict_decode

Path: TypeAlias = "tuple[str | int, ...]"

decode_text: Final = msgspec.json.Decoder(str).decode
_TEXT: Final = re.compile(rb'("[^"\\]*(?:\\.[^"\\]*)*")', re.DOTALL)
_REPEATABLE: Final = frozenset({"role", "type", "format", "object"})  # texts that say the same when they come again
_DELTA: Final = ("choices", 0, "delta")
_RECENT: Final = 4  # events to compare with, and patterns to try: as many choices may come in turn
_FRUITLESS: Final = 8  # comparisons in a row that found nothing, after which a server's events are compared no more
_LONGEST: Final = 2**16  # bytes of an event that is compared; what a longer one costs is its text
_new: Final = object.__new__


class Pattern:
    """The bytes around the text that changes, what the event says, and the text's pieces so far."""

    def __init__(self, before: bytes, after: bytes, path: Path, found: Any) -> None:
        self.before = before
        self.after = after
        self.path = path  # where the text is in a delta
        self.around: int = len(before) + len(after)  # how many bytes of an event are not the text in its quotation marks
        self.pieces: list[Any] = []  # where the texts go
        chunk = ChatCompletionChunk._adopt(found)  # noqa: SLF001  # the JSON is ours to give away
        self._chunk: dict[str, Any] = fields_of(chunk)
        self._choice: dict[str, Any] = fields_of(chunk.choices[0])
        self.index: Any = self._choice.get("index")
        self.delta: dict[str, Any] = fields_of(chunk.choices[0].delta)  # what the delta says, without the text
        self.name: str = cast("str", path[0])  # the member of a delta that it is in
        # From the innermost: what stands around the text within the member of the delta.
        self._inner: list[tuple[type[Any], Any, Any]] = []
        holder: Any = self.delta[self.name]
        for name in path[1:]:
            self._inner.insert(0, (holder.__class__, fields_of(holder), name))
            holder = holder[name]
        beside: list[tuple[Any, Any]] = [(self._chunk, "choices"), (self._choice, "delta"), (self.delta, self.name)]
        beside += [each[1:] for each in self._inner]
        # Whether anything beside it must not be shared by chunks.
        self._others = any(
            isinstance(value, (dict, list, Model))
            for fields, name in beside
            if not is_array(fields)
            for key, value in fields.items()
            if key != name
        )

    def chunk(self, text: str) -> ChatCompletionChunk:
        """The chunk with this text. It shares nothing with another that can be changed."""
        held: Any = text
        for kind, given, name in self._inner:
            if kind is list:
                held = [held]
                continue
            fields = given.copy()
            fields[name] = held
            held = fields
            if kind is not dict:
                held = _new(kind)
                held.__dict__ = fields
        # `ChatCompletionChunk._adopt`, spelled out: it runs for nearly every chunk of every stream.
        delta: Any = _new(ChatDelta)
        delta.__dict__ = fields = self.delta.copy()
        fields[self.name] = held
        choice: Any = _new(ChatChunkChoice)
        choice.__dict__ = fields = self._choice.copy()
        fields["delta"] = delta
        chunk: Any = _new(ChatCompletionChunk)
        chunk.__dict__ = fields = self._chunk.copy()
        fields["choices"] = [choice]
        if self._others:
            chunk = ChatCompletionChunk._adopt(strict_decode(encode(chunk)))  # noqa: SLF001  # sooner than a deep copy
        return chunk  # type: ignore[no-any-return]  # a cast would be a call


class Repeats:
    """The patterns of a stream, learnt from its events. In an encrypted stream, `opened` opens the JSON of an event."""

    __slots__ = "_fruitless", "_opened", "_recent", "patterns", "worthwhile"

    def __init__(self, opened: Callable[[Any], Any] | None = None) -> None:
        self._opened = opened
        self.patterns: list[Pattern] = []  # what events may be like, the newest first
        self.worthwhile: bool = True  # whether to learn on: not where many events were not an earlier one's with another text
        self._recent: list[bytes] = []  # an open stream costs half a kilobyte more with a deque
        self._fruitless = 0

    def learn(self, event: bytes, pieces: Callable[[Pattern], list[Any] | None]) -> None:
        """Makes a pattern of an earlier event with another text, for `pieces`; any other event ends what was learnt."""
        if not self.worthwhile:
            return
        found = self._pattern(event) if len(event) <= _LONGEST else None
        places = None if found is None else pieces(found)
        if found is None or places is None:
            self.patterns.clear()
            self._fruitless += 1
            self.worthwhile = self._fruitless < _FRUITLESS
        else:
            found.pieces = places
            self.patterns.insert(0, found)
            del self.patterns[_RECENT:]
            self._fruitless = 0
        self._recent = [*self._recent[1 - _RECENT :], event]

    def _pattern(self, event: bytes) -> Pattern | None:
        parts = _TEXT.split(event)  # what stands between texts, and at odd places the texts
        for other in reversed(self._recent):
            if (token := _differing_text(parts, _TEXT.split(other))) is not None:
                before, after = event[: token.start], event[token.stop :]
                try:
                    found = strict_decode(before + b'""' + after)
                    path = _path_to_text(strict_decode(event), found)
                except NOT_STRICT:
                    return None
                if path is not None:
                    return Pattern(before, after, path[3:], found if self._opened is None else self._opened(found))
        return None


def _differing_text(one: list[bytes], two: list[bytes]) -> slice | None:
    """Where the one JSON text is in which an event differs from another, by their parts; None if anything else differs."""
    places = [place for place, (mine, its) in enumerate(zip(one, two, strict=False)) if mine != its]
    if len(one) != len(two) or len(places) != 1 or not places[0] % 2:
        return None
    start = sum(map(len, one[: places[0]]))
    return slice(start, start + len(one[places[0]]))


def _path_to_text(one: Any, other: Any) -> Path | None:
    """The path to the one text in which an event differs from the same with an empty one; None if that text is a name."""
    path: Path = ()
    while not isinstance(one, str):
        if is_object(one) and one.keys() != other.keys():
            return None
        steps: Any = one if is_object(one) else range(len(one))
        step = next((step for step in steps if one[step] != other[step]), None)
        # None: a member that comes twice. Beside the choices the last word holds: it is this one.
        if step is None or (path and not _is_idle(other, step)):
            return None
        path += (step,)
        one, other = one[step], other[step]
    return path if path[:3] == _DELTA else None


def _is_idle(holder: Any, but: Any) -> bool:
    """Whether a list has but one item, or an object says nothing new but for one member."""
    if is_array(holder):
        return len(holder) == 1
    return is_object(holder) and all(
        not value or isinstance(value, (int, float)) or (isinstance(value, str) and name in _REPEATABLE)
        for name, value in holder.items()
        if name != but
    )
