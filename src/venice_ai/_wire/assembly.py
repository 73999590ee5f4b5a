"""The chunks of a stream become one response: every choice, and every field of it, as far as it has come.

Venice's chunks are irregular: roles come twice, fields are absent, null or empty alike, and usage stands anywhere.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from ..exceptions import TeeEncryptionError
from ..types._base import Model, is_array, mark_private
from ..types.api.chat import ChatCompletionResponse, ChatUsage, Cost
from ..types.api.streaming import CHUNK_KEYS, ChatCompletionChunk
from .choice import Choice, choice_json
from .growing import keep, plain_copy
from .json_text import NOT_STRICT
from .repeated_events import Pattern, Repeats, decode_text


class Sealed(Protocol):
    """What opens an answer that is end-to-end encrypted: `tee.session.TeeSession`."""

    texts: frozenset[str]
    """Which members of a delta are encrypted."""

    def open(self, event: Any) -> Any:
        """The JSON of an event with every encrypted member in clear."""

    def open_text(self, name: str, value: Any) -> str:
        """The text of an encrypted member of a delta."""
        ...

    def refuse_reply(self) -> NoReturn:
        """Raises the error for a reply that is no stream, and so not encrypted."""
        ...


_new = object.__new__
_UNSEEN = _new(ChatCompletionChunk)


class Assembly:
    """What has come of an answer of `expected` choices; where `sealed` opens it, no chunk's `repr` shows what it holds."""

    __slots__ = (
        *("_choices", "_expected", "_fields", "_halved", "_sealed", "_unfinished"),
        *("begun", "chunks", "halved", "patterns", "repeats", "unseen"),
    )

    def __init__(self, expected: int = 1, sealed: Sealed | None = None) -> None:
        self._expected = expected
        self._sealed = sealed
        self._choices: dict[int, Choice] = {}
        self._unfinished = 0  # how many of them have no finish reason
        self._halved: set[int] = set()  # which of them have half a letter
        self._fields: dict[str, Any] = {}
        self.repeats: Repeats = Repeats(None if sealed is None else sealed.open)
        """Learns from events."""
        self.patterns: list[Pattern] = self.repeats.patterns
        """What it has learnt; where that is nothing, `repeated` need not be asked."""
        self.chunks: int = 0
        self.begun: bool = False
        self.halved: bool = False
        """Whether the first half of a letter came, and is kept for the chunk that brings the other: give that one to `add`."""
        self.unseen: bool = False
        """Whether nobody looks at the chunks, but at the answer that they make: then `repeated` makes no objects of them."""

    @property
    def finished(self) -> bool:
        return len(self._choices) >= self._expected and not self._unfinished

    @property
    def missing(self) -> list[int]:
        """The indices of choices that were asked for and did not come, or have no finish reason."""
        choices = self._choices
        absent = [index for index in range(self._expected) if index not in choices][: max(self._expected - len(choices), 0)]
        return sorted([*absent, *(index for index, choice in choices.items() if choice.finish_reason is None)])

    @property
    def without_reasons(self) -> bool:
        """Whether all choices came, and none of them with a finish reason: a server that gives none."""
        choices = self._choices
        return len(choices) >= max(self._expected, 1) and all(choice.finish_reason is None for choice in choices.values())

    @property
    def choices(self) -> list[Choice]:
        return [choice for _, choice in sorted(self._choices.items())]

    @property
    def id(self) -> Any:
        return self._fields.get("id")

    @property
    def model(self) -> Any:
        return self._fields.get("model")

    @property
    def usage(self) -> Any:
        found = self._fields.get("usage")
        return ChatUsage._adopt(plain_copy(found)) if isinstance(found, dict) else found  # noqa: SLF001  # a copy, ours to give away

    @property
    def cost(self) -> Any:
        found = self._fields.get("cost")
        return Cost._adopt(plain_copy(found)) if isinstance(found, dict) else None  # noqa: SLF001  # likewise

    def repeated(self, event: bytes) -> ChatCompletionChunk | None:
        """Takes in an event that says what an earlier one said with another text, and gives its chunk; else None."""
        for pattern in self.patterns:
            if event.startswith(pattern.before) and event.endswith(pattern.after):
                try:
                    text = decode_text(event[pattern.text])  # where the two overlap, nothing is left that could be a text
                except NOT_STRICT:
                    continue
                if not text:
                    continue
                if self._sealed is not None:
                    try:
                        text = self._sealed.open_text(pattern.name, text)
                    except TeeEncryptionError as error:
                        del event, text  # it may be in clear, here and in the frames of what raised
                        raise error.with_traceback(None) from None
                self.chunks += 1
                pattern.pieces.append(text)
                if self.unseen:
                    return _UNSEEN
                chunk = pattern.chunk(text)
                if self._sealed is not None:
                    mark_private(chunk)
                return chunk
        return None

    def learn(self, event: bytes) -> None:
        """Looks at an event that `add` took in, so that those that follow may be taken in by their text alone."""
        self.repeats.learn(event, self._pieces)

    def _pieces(self, pattern: Pattern) -> list[Any] | None:
        """Where the texts of a pattern go; None if that is not known."""
        if self._sealed is not None and (pattern.path[1:] or pattern.path[0] not in self._sealed.texts):
            return None
        found = self._choices.get(pattern.index if type(pattern.index) is int else 0)
        return None if found is None or found.halves else found.pieces_at(pattern.delta, *pattern.path)

    def add(self, chunk: ChatCompletionChunk) -> bool:
        """Takes a chunk in, and makes it say what is assembled; True if it brought content: anything but who says it."""
        # Halves of letters move to the chunk that completes them, a whole message becomes the delta, and odd choices go.
        self.chunks += 1
        fields = chunk.__dict__
        if self.chunks == 1 or fields.keys() != CHUNK_KEYS:
            keep(self._fields, fields)
        choices: Any = fields.get("choices")
        content = False
        odd = choices.__class__ is not list
        for position, choice in enumerate(() if odd else choices):
            if isinstance(choice, Model):
                content |= self._add(position, choice.__dict__)
            else:
                odd = True
        if odd and choices is not None:
            fields["choices"] = [choice for choice in choices if isinstance(choice, Model)] if is_array(choices) else []
        if self._sealed is not None:
            mark_private(chunk)
        self.begun = self.begun or content
        return content

    def _add(self, position: int, given: dict[str, Any]) -> bool:
        index = given.get("index")
        key = index if type(index) is int else position
        if (found := self._choices.get(key)) is None:
            found = self._choices[key] = Choice()
            self._unfinished += 1
        was_finished = found.finish_reason is not None
        content = found.add(given)
        if not was_finished and found.finish_reason is not None:
            self._unfinished -= 1
        if found.halves or self._halved:
            (self._halved.add if found.halves else self._halved.discard)(key)
            self.halved = bool(self._halved)
        return content

    def response(self) -> ChatCompletionResponse:
        """The answer as far as it came. A choice whose end did not come has no finish reason."""
        choices = [choice_json(choice, index) for index, choice in sorted(self._choices.items())]
        fields = {**plain_copy(self._fields), "object": "chat.completion", "choices": choices}
        return ChatCompletionResponse._adopt(fields)  # noqa: SLF001  # a copy, ours to give away
