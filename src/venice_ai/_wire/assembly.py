"""The chunks of a stream become one response. Roles come twice, fields are absent, null or empty; usage stands anywhere."""

from __future__ import annotations

from itertools import groupby
from typing import Any, NoReturn, Protocol, cast

from ..exceptions import TeeEncryptionError
from ..types._base import Model, is_array, is_object, mark_private
from ..types._surrogates import paired, without_half
from ..types.api.chat import ChatCompletionResponse, ChatUsage, Cost
from ..types.api.streaming import CHUNK_KEYS, ChatCompletionChunk, ChatDelta
from .growing import NEVER_SPLIT, Texts, extended, fields_of, grown, is_empty, keep, plain_copy
from .json_text import NOT_STRICT
from .repeated_events import Pattern, Repeats, decode_text
from .tool_call_fragments import Arguments, Calls, Details, PartialCall


class Sealed(Protocol):
    """Decrypts the events of an answer that is end-to-end encrypted: `tee.session.TeeSession` describes each method."""

    texts: frozenset[str]

    def open(self, event: Any) -> Any: ...
    def open_text(self, name: str, value: Any) -> str: ...
    def refuse_reply(self) -> NoReturn: ...
    def answered(self, response: ChatCompletionResponse) -> ChatCompletionResponse: ...


_new = object.__new__
_UNSEEN = _new(ChatCompletionChunk)
_CHOICES = frozenset({"choices"})
_NAMES = CHUNK_KEYS - _CHOICES


class Assembly:
    """Puts chunks of `expected` choices together; where `sealed` opens them, no chunk's `repr` shows what it holds."""

    __slots__ = (
        *("_choices", "_expected", "_fields", "_known", "_sealed", "_unfinished", "begun", "chunks", "patterns", "repeats"),
        "unseen",
    )

    def __init__(self, expected: int, sealed: Sealed | None = None) -> None:
        self._expected = expected
        self._sealed = sealed
        self._choices: dict[int, Choice] = {}
        self._unfinished = 0  # how many of them have no finish reason
        self._fields: dict[str, Any] = {}
        self._known = _CHOICES  # the members of a chunk that say nothing new
        self.repeats: Repeats = Repeats(None if sealed is None else sealed.open)  # learns from events
        self.patterns: list[Pattern] = self.repeats.patterns  # what it has learnt; without any, `repeated` need not be called
        self.chunks: int = 0
        self.begun: bool = False
        self.unseen: bool = False  # whether nobody looks at the chunks: then `repeated` makes no objects of them

    @property
    def finished(self) -> bool:
        return len(self._choices) >= self._expected and not self._unfinished

    def missing(self, *, done: bool) -> list[int]:
        """The indices of choices that did not come, or have no finish reason; none after `[DONE]` if no choice has one."""
        choices = self._choices
        if done and len(choices) >= self._expected and all(each.finish_reason is None for each in choices.values()):
            return []
        absent = [index for index in range(self._expected) if index not in choices][: max(self._expected - len(choices), 0)]
        return sorted([*absent, *(index for index, choice in choices.items() if choice.finish_reason is None)])

    @property
    def choices(self) -> list[Choice]:
        return [self._choices[index] for index in sorted(self._choices)]

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
        """Takes in an event that differs from an earlier one in one text only, and gives its chunk; else None."""
        for pattern in self.patterns:
            token = event.removeprefix(pattern.before).removesuffix(pattern.after)
            if len(event) - len(token) != pattern.around:
                continue
            try:
                text = decode_text(token)
            except NOT_STRICT:
                continue
            if not text:
                return None
            if self._sealed is not None:
                try:
                    text = self._sealed.open_text(pattern.name, text)
                except TeeEncryptionError as error:
                    del event, text, token  # it may be in clear, here and in the frames of what raised
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
        # Halves of surrogate pairs move to the chunk that completes them, a whole message becomes the delta, odd choices go.
        self.chunks += 1
        fields = chunk.__dict__
        if fields.keys() != self._known:
            keep(self._fields, fields, self._known)
            if self._known is _CHOICES and all(map(self._fields.get, _NAMES)):  # some servers begin with empty ones
                self._known = CHUNK_KEYS
        choices: Any = fields.get("choices")
        content, odd, position = False, type(choices) is not list, -1
        for choice in () if odd else choices:
            position += 1  # sooner than `enumerate`, for one choice
            if not isinstance(choice, Model):
                odd = True
                continue
            given = choice.__dict__
            key: Any = index if (index := given.get("index")).__class__ is int else position
            if (found := self._choices.get(key)) is None:
                found = self._choices[key] = Choice()
                self._unfinished += 1
            goes_on = found.finish_reason is None
            if found.add(given):
                content = self.begun = True
            self._unfinished -= goes_on and found.finish_reason is not None
            if found.halves:
                self.patterns.clear()  # the next text is not the whole of what its chunk will say
        if odd and choices is not None:
            fields["choices"] = [choice for choice in choices if isinstance(choice, Model)] if is_array(choices) else []
        if self._sealed is not None:
            mark_private(chunk)
        return content

    def response(self) -> ChatCompletionResponse:
        """The answer as far as it came. A choice whose end did not come has no finish reason."""
        choices = [choice_json(choice, index) for index, choice in sorted(self._choices.items())]
        fields = {**plain_copy(self._fields), "object": "chat.completion", "choices": choices}
        response = ChatCompletionResponse._adopt(fields)  # noqa: SLF001  # a copy, ours to give away
        return response if self._sealed is None else self._sealed.answered(response)


# -- one choice, put together of its deltas, and made a choice of a response ----------------------------------------------


class Choice:
    def __init__(self) -> None:
        self.content: list[Any] | None = None  # texts, and parts that are not texts
        self.bare = False  # whether a value stood in place of texts or lists
        self.message: dict[str, Any] = {}  # what else the deltas brought
        self.calls: Calls | None = None
        self.function: PartialCall | None = None  # what servers called before there were tool calls
        self.details: Details | None = None
        self.logprobs: dict[str, list[Any]] | None = None
        self.rest: dict[str, Any] = {}
        self.finish_reason: Any = None
        self.halves: dict[str, str] = {}  # first halves of surrogate pairs, by the field of the delta
        self.begun = False  # whether any delta brought content

    def add(self, choice: dict[str, Any]) -> bool:
        content = False
        if not self.begun and choice.get("message"):
            self._take_for_delta(choice)
        for key, value in choice.items():
            if value is None or key == "index":
                continue
            if key == "delta":
                if isinstance(value, Model) and self._delta(value.__dict__):
                    content = self.begun = True
            elif key == "finish_reason":
                if ends(value):
                    self.finish_reason = value
            elif key == "logprobs":
                self._logprobs(value)
            else:
                self._rest(key, value)
        if self.halves and self.finish_reason is not None:
            self._give_up(choice)
        return content

    def _rest(self, key: str, value: Any) -> None:
        if is_array(value):
            self.rest[key] = extended(self.rest.get(key), value)
        elif not (key in self.rest and is_empty(value)):
            self.rest[key] = value

    def _take_for_delta(self, choice: dict[str, Any]) -> None:
        """Makes a whole message the delta, where nothing has come yet and there is no other."""
        delta, message = choice.get("delta"), choice.get("message")
        if not (isinstance(delta, Model) and delta.__dict__) and is_object(message):
            choice["delta"] = ChatDelta._adopt({**message})  # noqa: SLF001  # a copy of its own

    def _give_up(self, choice: dict[str, Any]) -> None:
        """Lets the last chunk bring the halves that nothing completed."""
        if choice.get("delta") is None:
            choice["delta"] = ChatDelta()
        fields: dict[str, Any] = vars(choice["delta"]) if isinstance(choice["delta"], Model) else {}
        for key, half in self.halves.items():
            given = fields.get(key)
            if given is None or isinstance(given, str):
                fields[key] = (given or "") + half
            self._hold(key, half)
        self.halves = {}

    def _whole_characters(self, delta: dict[str, Any], key: str) -> str:
        text, half = without_half(self.halves.pop(key, "") + delta[key])
        if half:
            self.halves[key] = half
        delta[key] = text
        return text

    def _delta(self, delta: dict[str, Any]) -> bool:
        content = False
        for key, value in delta.items():
            if value is None:
                continue
            if type(value) is str and key not in NEVER_SPLIT:
                text = value if value.isascii() and not self.halves else self._whole_characters(delta, key)
                if key == "content" and self.content is not None:
                    self.content.append(text)
                else:
                    self._hold(key, text)
                content = content or bool(text)
            elif type(value) is str:
                if value or self.message.get(key) is None:
                    self.message[key] = value  # who says it, mostly: some servers repeat it in every chunk
            else:
                self._hold(key, value)
                content = content or (key not in NEVER_SPLIT and _says_something(value))
        return content

    def _hold(self, key: str, value: Any) -> None:
        if key == "content":
            self._content(value)
        elif key == "tool_calls" and is_array(value):
            self.calls = self.calls or Calls()
            self.calls.add(value)
        elif key == "function_call" and isinstance(value, (dict, Model)):
            self.function = self.function or PartialCall()
            self.function.add({"function": value})
        elif key == "reasoning_details":
            self.details = self.details or Details()
            self.details.add(value)
        else:
            self.message[key] = grown(self.message.get(key), value, key)

    def _content(self, value: Any) -> None:
        if self.content is None:
            self.content = []
        if is_array(value):
            self.content += value
        else:
            self.content.append(value)
            self.bare = self.bare or value.__class__ is not str

    def _logprobs(self, value: Any) -> None:
        """Log probabilities come in OpenAI's shape, lists of tokens by field, or as one token alone."""
        lists: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {"content": [value]}
        if "token" in lists:
            lists = {"content": [lists]}
        if self.logprobs is None:
            self.logprobs = {}
        for name, tokens in lists.items():
            if is_array(tokens):
                self.logprobs[name] = extended(self.logprobs.get(name), tokens)

    def pieces_at(self, delta: dict[str, Any], name: Any, *inner: Any) -> list[Any] | None:
        """Where a text of a delta went that this choice has taken in."""
        held: Any = self.message.get(name)
        if name == "content":
            return None if inner else self.content
        holders = {"tool_calls": self.calls, "reasoning_details": self.details}
        if name in holders:
            if not is_array(delta[name]) or not is_object(fragment := fields_of(delta[name][0])):
                return None
            held = (holder := holders[name]) and holder.held(fragment)
            inner = inner[1:]
        for step in inner:
            held = held.get(step) if is_object(held) else None
        return cast("list[Any]", held) if isinstance(held, (Texts, Arguments)) else None


def _says_something(value: Any) -> bool:
    return isinstance(value, (str, list, dict, Model)) and bool(fields_of(value))


def ends(finish_reason: object) -> bool:
    """Whether a choice ends with this finish reason: some servers send an empty one, or false, while it goes on."""
    return isinstance(finish_reason, str) and bool(finish_reason)


def choice_json(choice: Choice, index: int) -> dict[str, Any]:
    """A choice as it stands in a response."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    # Iteration gives what deltas bring, so that is the answer; a whole message beside them adds what none brought.
    rest = cast("dict[str, Any]", plain_copy(choice.rest))
    whole = rest.pop("message", None)
    message.update(whole if is_object(whole) else {})
    message.update(plain_copy(choice.message))
    if choice.content is not None:
        message["content"] = content_of(choice.content, bare=choice.bare)
    if choice.details and choice.details.entries:
        message["reasoning_details"] = plain_copy(choice.details.entries)
    if choice.calls and choice.calls.calls:
        message["tool_calls"] = [call.json() for call in choice.calls.in_order()]
    if choice.function is not None:
        message["function_call"] = choice.function.json()["function"]
    known = {"index": index, "message": message, "finish_reason": choice.finish_reason}
    return {**known, "logprobs": plain_copy(choice.logprobs), **rest}


def content_of(pieces: list[Any], *, bare: bool) -> Any:
    """The content that came in pieces: text; or its parts, if they came as parts and any is not text."""
    if not (parts := [piece for piece in pieces if not isinstance(piece, str)]):
        return paired("".join(pieces)) if pieces else []
    if len(parts) == len([*filter(None, pieces)]):
        return plain_copy(parts[0] if bare and len(parts) == 1 else parts)
    readable = [piece for piece in pieces if isinstance(piece, str) or is_object(piece)]
    texts: list[Any] = [piece.get("text") if is_object(piece) else piece for piece in readable]
    if all(isinstance(text, str) for text in texts):
        return paired("".join(texts))
    found: list[Any] = []
    for is_text, run in groupby(readable, key=lambda piece: isinstance(piece, str)):
        items: list[Any] = [*run]
        found += [{"type": "text", "text": paired("".join(items))}] if is_text else plain_copy(items)
    return [part for part in found if part != {"type": "text", "text": ""}]
