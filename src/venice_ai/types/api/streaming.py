"""The pieces of a streamed answer."""

from __future__ import annotations

from typing import Any, Protocol, Self

from .._base import Model
from .._view import adopted
from .chat import BaseCompletion, ChunkToolCall, LogProbs, T_co

CHUNK_KEYS = frozenset({"id", "object", "created", "model", "choices"})
"""What every chunk has. All but `choices` say nothing of the conversation: in an encrypted answer they are not looked at."""


class ChunkModelFactory(Protocol[T_co]):
    """A class that makes the caller's own chunk object from a chunk's JSON fields, given as keywords."""

    def __call__(self, **data: Any) -> T_co: ...


class ChatDelta(Model):
    """The part of a message that one chunk adds. Absent and null both mean: nothing."""

    role: str | None = None
    """Who speaks; in the first chunk."""
    content: str | None = None
    """The next piece of text."""
    reasoning_content: str | None = None
    """The next piece of reasoning."""
    refusal: str | None = None
    """The next piece of a refusal."""
    tool_calls: list[ChunkToolCall] | None = None
    """The next fragments of tool calls."""


class ChatChunkChoice(Model):
    """One choice's part of a chunk."""

    index: int
    """Which of the `n` answers goes on, from 0."""
    delta: ChatDelta
    """What is added."""
    finish_reason: str | None = None
    """Why the answer ended; in its last chunk."""
    logprobs: LogProbs | None = None
    """Log probabilities of the tokens added, if asked for."""

    _certain = frozenset({"delta"})


class ChatCompletionChunk(BaseCompletion):
    """One event of a stream."""

    choices: list[ChatChunkChoice]
    """What is added to each answer; empty in a chunk of usage."""
    object: str = "chat.completion.chunk"
    """What kind of object this is."""

    @property
    def text(self) -> str:
        """The text that the first choice of this chunk adds; empty if none."""
        choices = self.choices
        delta = getattr(choices[0], "delta", None) if isinstance(choices, list) and choices else None
        text = getattr(delta, "content", None)
        return text if isinstance(text, str) else ""

    @classmethod
    def _adopt(cls, data: dict[str, Any]) -> Self:
        # Spelled out for streams whose every chunk differs. It gives what the general way would.
        choices: Any = data.get("choices")
        if choices.__class__ is not list:
            return super()._adopt(data)
        place = -1
        for choice in choices:
            place += 1  # sooner than `enumerate`, for one choice
            if choice.__class__ is dict:
                delta: Any = choice.get("delta")
                if delta.__class__ is dict:
                    typed: Any = _new(ChatDelta)
                    typed.__dict__ = delta
                    choice["delta"] = typed if delta.get("tool_calls") is None else adopted(ChatDelta, delta)
                choices[place] = typed = _new(ChatChunkChoice)
                typed.__dict__ = choice
        if data.keys() != CHUNK_KEYS:
            for name, kind in _BESIDE:
                if name in data and (beside := data[name]).__class__ is dict:
                    data[name] = adopted(kind, beside)
        self = _new(cls)
        self.__dict__ = data
        return self


_new = object.__new__
_BESIDE = [(name, kind) for name, kind in ChatCompletionChunk._nested.items() if name != "choices"]  # noqa: SLF001
