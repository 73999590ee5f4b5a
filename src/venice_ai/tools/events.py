"""What happens in a tool loop, as objects: the events that `stream_with_tools` yields, and the decision about a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..types.api.chat import ChatCompletionResponse, ToolCall, ToolLoopResult


@dataclass(frozen=True, slots=True)
class Approval:
    """What becomes of a call: `allow`, `deny`, `edit`, or `wait` for a person."""

    verdict: Literal["allow", "deny", "wait"]
    """Whether the call is made; one that is edited is allowed, with other `arguments`."""
    reason: str | None = None
    """Why not; the model is told."""
    arguments: Mapping[str, Any] | None = None
    """What to call with instead of the model's arguments."""

    @property
    def message(self) -> str:
        """What the model is told of a call that was denied."""
        return f"The call was denied: {self.reason}" if self.reason else "The call was denied."

    @classmethod
    def allow(cls) -> Approval:
        """The call may be made as it is."""
        return cls("allow")

    @classmethod
    def deny(cls, reason: str | None = None) -> Approval:
        """The call is not made; the model is told why."""
        return cls("deny", reason=reason)

    @classmethod
    def edit(cls, arguments: Mapping[str, Any]) -> Approval:
        """The call is made with these arguments instead of the model's. They are checked as the model's would be."""
        return cls("allow", arguments=dict(arguments))

    @classmethod
    def wait(cls) -> Approval:
        """Somebody has to decide: the other calls are made, then the loop pauses with `ToolLoopPausedError`."""
        return cls("wait")

    @classmethod
    def of(cls, answer: object) -> Approval:
        """What an approver answered, where True and False will do as well.

        Raises:
            TypeError: it is neither.
        """
        if isinstance(answer, Approval):
            return answer
        if isinstance(answer, bool):
            return cls.allow() if answer else cls.deny()
        raise TypeError(f"an approval is True, False or an Approval, not {answer!r}")


@dataclass(frozen=True, slots=True)
class TextDelta:
    """The model said a little more."""

    text: str
    """What it added; never empty."""
    iteration: int
    """The round trip it belongs to, from 1."""


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool begins to run."""

    call: ToolCall
    """The call as the model made it."""
    arguments: Mapping[str, Any]
    """What it is called with, before it is made what the annotations ask."""
    iteration: int
    """The round trip it belongs to, from 1."""


@dataclass(frozen=True, slots=True)
class ToolCallFinished:
    """A call is answered. One that was denied, or whose arguments do not fit, never started."""

    call: ToolCall
    """The call as the model made it."""
    content: str
    """What the model is told."""
    iteration: int
    """The round trip it belongs to, from 1."""
    error: Exception | None = None
    """Why the tool failed; None if it did not."""
    denied: bool = False
    """Whether somebody decided that the call is not made."""


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """The model's turn came, and all of its calls are answered."""

    response: ChatCompletionResponse
    """The model's turn: the whole answer, with its calls and its usage."""
    iteration: int
    """Which round trip it was, from 1."""


ToolEvent: TypeAlias = TextDelta | ToolCallStarted | ToolCallFinished | RoundFinished | ToolLoopResult
