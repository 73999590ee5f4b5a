"""One choice of a stream, put together of its deltas, and made a choice of a response."""

from __future__ import annotations

from itertools import groupby
from typing import Any, cast

from ..types._base import Model, is_array, is_object
from ..types._surrogates import joined, without_half
from ..types.api.streaming import ChatDelta
from .growing import SAID_ONCE, Texts, extended, fields_of, grown, is_empty, plain_copy
from .tool_call_fragments import Arguments, Call, Calls, Details


class Choice:
    __slots__ = (
        *("bare", "begun", "calls", "content", "details", "finish_reason"),
        *("function", "halves", "logprobs", "message", "rest"),
    )

    def __init__(self) -> None:
        self.content: list[Any] | None = None  # texts, and parts that are not texts
        self.bare = False  # whether a value stood in place of texts or lists
        self.message: dict[str, Any] = {}  # what else the deltas brought
        self.calls = Calls()
        self.function: Call | None = None  # what servers called before there were tool calls
        self.details = Details()
        self.logprobs: dict[str, list[Any]] | None = None
        self.rest: dict[str, Any] = {}
        self.finish_reason: Any = None
        self.halves: dict[str, str] = {}  # of letters whose other half has not come, by the field of the delta
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

    def _letters(self, delta: dict[str, Any], key: str) -> str:
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
            if key in SAID_ONCE:
                self._hold(key, value)
            elif value.__class__ is str:
                text = value if value.isascii() and not self.halves else self._letters(delta, key)
                if key == "content" and self.content is not None:
                    self.content.append(text)
                else:
                    self._hold(key, text)
                content = content or text != ""
            else:
                self._hold(key, value)
                content = content or _says_something(value)
        return content

    def _hold(self, key: str, value: Any) -> None:
        if key == "content":
            self._content(value)
        elif key == "tool_calls" and is_array(value):
            self.calls.add(value)
        elif key == "function_call" and isinstance(value, (dict, Model)):
            self.function = self.function or Call()
            self.function.add({"function": value})
        elif key == "reasoning_details":
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
        collected = self.logprobs = self.logprobs or {}
        for name, tokens in lists.items():
            if isinstance(tokens, list):
                collected.setdefault(name, []).extend(cast("list[Any]", tokens))

    def pieces_at(self, delta: dict[str, Any], name: Any, *inner: Any) -> list[Any] | None:
        """Where a text of a delta went that this choice has taken in."""
        held: Any = self.message.get(name)
        if name == "content":
            return None if inner else self.content
        if name in {"tool_calls", "reasoning_details"}:
            if not is_array(delta[name]) or not is_object(fragment := fields_of(delta[name][0])):
                return None
            held = (self.calls if name == "tool_calls" else self.details).held(fragment)
            inner = inner[1:]
        for step in inner:
            held = held.get(step) if is_object(held) else None
        return cast("list[Any]", held) if isinstance(held, (Texts, Arguments)) else None


def _says_something(value: Any) -> bool:
    return isinstance(value, (str, list, dict, Model)) and bool(fields_of(value))


def ends(finish_reason: object) -> bool:
    """Whether a choice ends with this finish reason: some servers send an empty one, or false, while it goes on."""
    return isinstance(finish_reason, str) and finish_reason != ""


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
    if choice.details.entries:
        message["reasoning_details"] = plain_copy(choice.details.entries)
    if choice.calls.calls:
        message["tool_calls"] = [call.json() for call in choice.calls.in_order()]
    if choice.function is not None:
        message["function_call"] = choice.function.json()["function"]
    return {
        "index": index,
        "message": message,
        "finish_reason": choice.finish_reason,
        "logprobs": plain_copy(choice.logprobs),
        **rest,
    }


def content_of(pieces: list[Any], *, bare: bool) -> Any:
    """The content that came in pieces: text; or its parts, if they came as parts and any is no text."""
    if not (parts := [piece for piece in pieces if not isinstance(piece, str)]):
        return joined(pieces) if pieces else []
    if len(parts) == len([*filter(None, pieces)]):
        return plain_copy(parts[0] if bare and len(parts) == 1 else parts)
    told = [piece for piece in pieces if isinstance(piece, str) or is_object(piece)]
    if None not in (texts := [*map(_text_of, told)]):
        return joined(text or "" for text in texts)
    found: list[Any] = []
    for is_text, run in groupby(told, key=lambda piece: isinstance(piece, str)):
        items: list[Any] = [*run]
        found += [{"type": "text", "text": joined(items)}] if is_text else plain_copy(items)
    return [part for part in found if part != {"type": "text", "text": ""}]


def _text_of(piece: Any) -> str | None:
    """The text in a piece of content; None for a part that has none."""
    found = piece.get("text") if is_object(piece) else piece
    return found if isinstance(found, str) else None
