"""The events of a tool loop, as `stream_with_tools` yields them, and the decision about a call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..types.api.chat import ChatCompletionResponse, ToolCall, ToolLoopResult


@dataclass(frozen=True, slots=True)
class Approval:
    """A decision about a tool call: `allow`, `deny`, `edit`, or `wait` for a person."""

    verdict: Literal["allow", "deny", "wait"]
    """The decision. `edit` is "allow" with other `arguments`."""
    reason: str | None = None
    """Why the call is denied. The model gets this text."""
    arguments: Mapping[str, Any] | None = None
    """The arguments to use instead of the model's."""

    @property
    def message(self) -> str:
        """The text that the model gets in place of a result when the call is denied."""
        return f"The call was denied: {self.reason}" if self.reason else "The call was denied."

    @classmethod
    def allow(cls) -> Approval:
        """The call runs as it is."""
        return cls("allow")

    @classmethod
    def deny(cls, reason: str | None = None) -> Approval:
        """The call does not run, and the model gets the reason."""
        return cls("deny", reason=reason)

    @classmethod
    def edit(cls, arguments: Mapping[str, Any]) -> Approval:
        """The call runs with these arguments instead of the model's. They are validated like the model's."""
        return cls("allow", arguments=dict(arguments))

    @classmethod
    def wait(cls) -> Approval:
        """A person has to decide: the other calls run, then the loop pauses with `ToolLoopPausedError`."""
        return cls("wait")

    @classmethod
    def of(cls, answer: object) -> Approval:
        """The decision in what an `approve` function returns: an `Approval`, True or False; a TypeError for anything else."""
        if isinstance(answer, Approval):
            return answer
        if isinstance(answer, bool):
            return cls.allow() if answer else cls.deny()
        raise TypeError(f"an approval is True, False or an Approval, not {answer!r}")


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the model's text."""

    text: str
    """The piece; never empty."""
    iteration: int
    """The round trip it belongs to, from 1."""


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """A tool begins to run."""

    call: ToolCall
    """The call as the model made it."""
    arguments: Mapping[str, Any]
    """The arguments, before they are converted to the annotated types."""
    iteration: int
    """The round trip it belongs to, from 1."""


@dataclass(frozen=True, slots=True)
class ToolCallFinished:
    """A call has its result. A call that was denied, or whose arguments do not fit, had no `ToolCallStarted`."""

    call: ToolCall
    """The call as the model made it."""
    content: str
    """The result as the model gets it."""
    iteration: int
    """The round trip it belongs to, from 1."""
    error: Exception | None = None
    """Why the tool failed; None if it did not."""
    denied: bool = False
    """Whether the call was denied by `approve` or a decision."""


@dataclass(frozen=True, slots=True)
class RoundFinished:
    """The model's turn is complete, and all of its calls have results."""

    response: ChatCompletionResponse
    """The model's turn, with its calls and its usage."""
    iteration: int
    """Which round trip it was, from 1."""


ToolEvent: TypeAlias = TextDelta | ToolCallStarted | ToolCallFinished | RoundFinished | ToolLoopResult
