"""The chunks of a stream become one response: every choice, and every field of it.

Venice's chunks are irregular: roles come twice, fields are absent, null or empty alike, usage stands on the last chunk or
on one of its own, and tool calls that belong together share an index, an id, or neither. Chunks are fed in; what has come
so far can be asked for at any time.
"""

from __future__ import annotations

import json
from typing import Any, cast

from ._letters import joined, without_half
from ._repeats import Repeats
from .types._base import Model, plain
from .types.api.chat import ChatCompletionResponse, content_text
from .types.api.streaming import CHUNK_KEYS, ChatChunkChoice, ChatCompletionChunk, ChatDelta

_OWN = frozenset({"function", "index"})
_JOINED = ("reasoning_content", "reasoning", "refusal")
_new = object.__new__
_UNSEEN = _new(ChatCompletionChunk)


class Assembly:
    """What has come of an answer so far.

    Args:
        expected: how many choices were asked for.
    """

    __slots__ = ("_choices", "_expected", "_fields", "_repeats", "_texts", "chunks", "halved", "unseen")

    def __init__(self, expected: int = 1) -> None:
        self._expected = expected
        self._choices: dict[int, _Choice] = {}
        self._texts: dict[Any, list[str]] = {}  # of the choices whose text has begun
        self._fields: dict[str, Any] = {}
        self._repeats = Repeats()
        self.chunks: int = 0
        """How many chunks came."""
        self.halved: bool = False
        """Whether the first half of a letter came, and is kept for the chunk that brings the other: give that one to `add`."""
        self.unseen: bool = False
        """Whether nobody looks at the chunks, but at the answer that they make: then `common` makes no objects of them."""

    @property
    def finished(self) -> bool:
        """Whether every choice has a finish reason."""
        return not self.missing

    @property
    def missing(self) -> list[int]:
        """The indices of choices that were asked for and did not come, or have no finish reason."""
        choices = self._choices
        absent = [index for index in range(self._expected) if index not in choices][: max(self._expected - len(choices), 0)]
        return sorted([*absent, *(index for index, choice in choices.items() if choice.finish_reason is None)])

    @property
    def without_reasons(self) -> bool:
        """Whether choices came, and none of them with a finish reason: a server that gives none."""
        return bool(self._choices) and all(choice.finish_reason is None for choice in self._choices.values())

    @property
    def model(self) -> Any:
        """The model that answers, as far as it is known."""
        return self._fields.get("model")

    @property
    def usage(self) -> Any:
        """The usage, once it came."""
        return self._fields.get("usage")

    def repeated(self, event: bytes) -> ChatCompletionChunk | None:
        """Takes in an event that says what the last common one said with another text, and gives its chunk; else None."""
        repeats = self._repeats
        text = repeats.text(event)
        if not text:
            return None
        self.chunks += 1
        repeats.texts.append(text)
        if self.unseen:
            return _UNSEEN
        # `_typed`, spelled out: it runs for nearly every chunk of every stream.
        delta: Any = _new(ChatDelta)
        delta.__dict__ = fields = repeats.delta.copy()
        fields["content"] = text
        choice: Any = _new(ChatChunkChoice)
        choice.__dict__ = fields = repeats.choice.copy()
        fields["delta"] = delta
        chunk = _new(ChatCompletionChunk)
        chunk.__dict__ = fields = repeats.data.copy()
        fields["choices"] = [choice]
        return chunk

    def common(self, data: dict[str, Any], event: bytes) -> ChatCompletionChunk | None:
        """Takes in the JSON of the common chunk, and gives it typed; None for every other one, which is left as it is.

        It brings one text for a choice that has begun, and nothing else that is new or not null. This runs for every chunk of
        every stream, so it is spelled out; `ChatCompletionChunk` and `add` would come to the same.
        """
        choices: Any = data.get("choices")
        if not (
            choices.__class__ is list
            and len(choices) == 1
            and len(data) == 5
            and "id" in data
            and "object" in data
            and "created" in data
            and "model" in data
        ):
            return None
        choice: Any = choices[0]
        delta: Any = choice.get("delta") if choice.__class__ is dict else None
        if not (
            delta.__class__ is dict
            and (
                (len(choice) == 4 and choice.get("finish_reason", 0) is None and choice.get("logprobs", 0) is None)
                or len(choice) == 2
            )
        ):
            return None
        index: Any = choice.get("index")
        text: Any = delta.get("content")
        if not (
            text.__class__ is str
            and text
            and index.__class__ is int
            and index in self._texts
            and (len(delta) == 1 or list(delta.values()).count(None) == len(delta) - 1)
        ):
            return None
        self._repeats.learn(event, data, self._texts[index])
        self.chunks += 1
        self._texts[index].append(text)
        return _UNSEEN if self.unseen else _typed(data, choice, delta)

    def add(self, chunk: ChatCompletionChunk) -> bool:
        """Takes a chunk in. True if it brought content: text, reasoning, a refusal or a tool call.

        Whoever reads the chunks one by one is to read what their assembly says. So letters that came in halves stand in the
        chunk that completed them, and a whole message in place of a delta is the delta.
        """
        self.chunks += 1
        fields = chunk.__dict__
        choices: Any = fields.get("choices")
        if self.chunks == 1 or fields.keys() != CHUNK_KEYS:
            self._fields.update({key: value for key, value in fields.items() if key != "choices" and value is not None})
        content = False
        for position, choice in enumerate(cast("list[Any]", choices) if isinstance(choices, list) else ()):
            if isinstance(choice, Model):
                given = choice.__dict__
                index = given.get("index")
                key = index if type(index) is int else position
                found = self._choices.get(key) or self._opened(key)
                if found.add(given):
                    content = True
                if found.text is not None:
                    self._texts[key] = found.text
        self.halved = any(choice.halves for choice in self._choices.values())
        return content

    def _opened(self, key: int) -> _Choice:
        opened = self._choices[key] = _Choice()
        return opened

    def response(self) -> ChatCompletionResponse:
        """The answer as far as it came. A choice whose end did not come has no finish reason."""
        fields = cast("dict[str, Any]", plain(self._fields))
        choices = [choice.json(index) for index, choice in sorted(self._choices.items())]
        return ChatCompletionResponse._adopt({**fields, "object": "chat.completion", "choices": choices})  # noqa: SLF001


def ends(finish_reason: object) -> bool:
    """Whether a choice ends with this finish reason: some servers send an empty one, or false, while it goes on."""
    return isinstance(finish_reason, str) and finish_reason != ""


def _typed(data: dict[str, Any], choice: dict[str, Any], delta: dict[str, Any]) -> ChatCompletionChunk:
    """The chunk with one choice, whose objects are these very dicts."""
    typed: Any = _new(ChatDelta)
    typed.__dict__ = delta
    choice["delta"] = typed
    typed = _new(ChatChunkChoice)
    typed.__dict__ = choice
    data["choices"][0] = typed
    chunk = _new(ChatCompletionChunk)
    chunk.__dict__ = data
    return chunk


class _Choice:
    """What has come of one choice."""

    __slots__ = ("calls", "details", "finish_reason", "halves", "joined", "logprobs", "message", "rest", "text")

    def __init__(self) -> None:
        self.text: list[str] | None = None
        self.joined: dict[str, list[str]] = {}
        self.calls = _Calls()
        self.logprobs: dict[str, list[Any]] | None = None
        self.details: list[Any] = []
        self.message: dict[str, Any] = {}
        self.rest: dict[str, Any] = {}
        self.finish_reason: Any = None
        self.halves: dict[str, str] = {}  # of letters whose other half has not come, by the field of the delta

    def add(self, choice: dict[str, Any]) -> bool:
        content = False
        if choice.get("delta") is None and isinstance(choice.get("message"), dict) and not self.begun:
            choice["delta"] = ChatDelta.model_validate(choice["message"])
        for key, value in choice.items():
            if value is None or key == "index":
                continue
            if key == "delta":
                content = isinstance(value, Model) and self._delta(value.__dict__)
            elif key == "finish_reason":
                if ends(value):
                    self.finish_reason = value
            elif key == "logprobs":
                self._logprobs(value)
            else:
                self.rest[key] = value
        if self.halves and self.finish_reason is not None:
            self._give_up(choice)
        return content

    @property
    def begun(self) -> bool:
        """Whether any delta brought something to read."""
        return any(self.text or ()) or any(map(any, self.joined.values())) or bool(self.calls.calls)

    def _give_up(self, choice: dict[str, Any]) -> None:
        """Lets the last chunk bring the halves that nothing completed."""
        if choice.get("delta") is None:
            choice["delta"] = ChatDelta()
        fields: dict[str, Any] = vars(choice["delta"]) if isinstance(choice["delta"], Model) else {}
        for key, half in self.halves.items():
            given = fields.get(key)
            if given is None or isinstance(given, str):
                fields[key] = (given or "") + half
            self.joined.get(key, self.text or []).append(half)
        self.halves = {}

    def _letters(self, delta: dict[str, Any], key: str) -> str:
        """A text of a delta, made to hold whole letters."""
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
            if key == "content":
                content |= self._content(self._letters(delta, key) if isinstance(value, str) else value)
            elif key in _JOINED and isinstance(value, str):
                text = self._letters(delta, key)
                self.joined.setdefault(key, []).append(text)
                content |= bool(text)
            elif key == "tool_calls" and isinstance(value, list):
                self.calls.add(cast("list[Any]", value))
                content |= len(cast("list[Any]", value)) > 0
            elif key == "reasoning_details":
                self.details.extend(cast("list[Any]", value) if isinstance(value, list) else [value])
            else:
                self.message[key] = value
        return content

    def _content(self, value: Any) -> bool:
        text = value if isinstance(value, str) else content_text(value)
        if text is None:
            return False
        if self.text is None:
            self.text = []
        self.text.append(text)
        return bool(text)

    def _logprobs(self, value: Any) -> None:
        """Log probabilities come in OpenAI's shape, lists of tokens by field, or as one token alone."""
        lists: dict[str, Any] = cast("dict[str, Any]", value) if isinstance(value, dict) else {"content": [value]}
        if "token" in lists:
            lists = {"content": [lists]}
        collected = self.logprobs = self.logprobs or {}
        for name, tokens in lists.items():
            if isinstance(tokens, list):
                collected.setdefault(name, []).extend(cast("list[Any]", tokens))

    def json(self, index: int) -> dict[str, Any]:
        message: dict[str, Any] = {"role": "assistant", "content": None}
        # Iteration gives what deltas bring, so that is the answer; a whole message beside them adds what none brought.
        rest = cast("dict[str, Any]", plain(self.rest))
        whole = rest.pop("message", None)
        message.update(cast("dict[str, Any]", whole) if isinstance(whole, dict) else {})
        message.update(plain(self.message))
        if self.text is not None:
            message["content"] = joined(self.text)
        message.update({name: joined(texts) for name, texts in self.joined.items()})
        if self.details:
            message["reasoning_details"] = plain(self.details)
        if self.calls.calls:
            message["tool_calls"] = [call.json() for call in self.calls.calls]
        return {
            "index": index,
            "message": message,
            "finish_reason": self.finish_reason,
            "logprobs": plain(self.logprobs),
            **rest,
        }


class _Calls:
    """The tool calls of a choice. An index that is sane joins fragments; a new id opens a new call."""

    __slots__ = ("by_index", "calls")

    def __init__(self) -> None:
        self.calls: list[_Call] = []
        self.by_index: dict[int, _Call] = {}

    def add(self, fragments: list[Any]) -> None:
        for fragment in fragments:
            if isinstance(fragment, Model):
                given = vars(fragment)
                index = given.get("index")
                index = index if type(index) is int and index >= 0 else None
                call = self._continued(given, index) or self._opened(index)
                call.add(given)

    def _opened(self, index: int | None) -> _Call:
        call = _Call()
        self.calls.append(call)
        if index is not None:
            self.by_index[index] = call
        return call

    def _continued(self, given: dict[str, Any], index: int | None) -> _Call | None:
        """The call that this fragment goes on with, or None if it opens one."""
        identity = given.get("id")
        if identity:
            known = next((call for call in self.calls if call.fields.get("id") == identity), None)
            if known is not None or index is None:
                return known
        last = self.calls[-1] if self.calls else None
        call = last if index is None else self.by_index.get(index)
        return None if call is None or call.ended_by(given, whole=index is None) else call


class _Call:
    """One tool call."""

    __slots__ = ("arguments", "fields", "name")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.name = ""
        self.arguments: list[str] = []

    def add(self, fragment: dict[str, Any]) -> None:
        function = fragment.get("function")
        self.fields.update(
            {key: value for key, value in fragment.items() if value is not None and value != "" and key not in _OWN}
        )
        if isinstance(function, Model):
            name = function.get("name")
            if isinstance(name, str) and name != self.name:
                self.name += name
            arguments = function.get("arguments")
            if arguments is not None:
                self.arguments.append(arguments if isinstance(arguments, str) else json.dumps(plain(arguments)))

    def ended_by(self, fragment: dict[str, Any], *, whole: bool) -> bool:
        """Whether a fragment that could go on with this call belongs to another.

        Fragments without an index are `whole` calls: their name came in one piece, so another name is another call's. With an
        index, a name may come in pieces until arguments follow it.
        """
        identity = fragment.get("id")
        if identity:
            return bool(self.fields.get("id", identity) != identity)
        function = fragment.get("function")
        name = function.get("name") if isinstance(function, Model) else None
        # A name never follows arguments, unless a server repeats it on every fragment.
        begun = bool(self.name or self.arguments) if whole else any(self.arguments)
        return bool(name and begun) and (name != self.name or self._complete())

    def _complete(self) -> bool:
        try:
            json.loads("".join(self.arguments))
        except ValueError:
            return False
        return True

    def json(self) -> dict[str, Any]:
        call = {"type": "function", **cast("dict[str, Any]", plain(self.fields))}
        return {**call, "function": {"name": self.name, "arguments": joined(self.arguments)}}
