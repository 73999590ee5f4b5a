"""Tools: functions a model may call, and the conversation in which it calls them.

`ToolLoop` is that conversation without the network. It receives the model's responses, returns the calls in them, takes the
results of the calls, and knows what to send next and when to stop. Its user sends the requests and runs the calls:

    loop = ToolLoop(messages, tools, max_iterations=5)
    while calls := loop.receive(await model(loop.history, tools=loop.offered)):
        loop.answer(calls, await run_all(calls))

`client.chat.completions.run_with_tools` and `stream_with_tools` use it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..types.api.chat import ChatCompletionResponse, Tool, ToolCall, ToolLoopResult, ToolLoopState
from .function_schema import class_schema
from .loop import OnLimit, OnUnknownTool, ToolLoop
from .parameters import named
from .toolbox import FunctionTool, ToolContext, definition, prepared

__all__ = [
    "Approval",
    "FunctionTool",
    "OnLimit",
    "OnUnknownTool",
    "RoundFinished",
    "TextDelta",
    "ToolCallFinished",
    "ToolCallStarted",
    "ToolContext",
    "ToolEvent",
    "ToolLoop",
    "ToolLoopResult",
    "ToolLoopState",
    "prepared",
    "tool_from_function",
    "tool_from_model",
]

# -- definitions --------------------------------------------------------------------------------------------------------


def tool_from_function(
    function: Callable[..., Any], *, name: str | None = None, description: str | None = None, strict: bool = False
) -> Tool:
    """The definition of a function as a tool: names, types and defaults from its signature, texts from its docstring.

    The docstring may be in Google's, NumPy's or Sphinx' style. `Annotated[..., "text"]` and `Annotated[..., Field(...)]`
    describe an argument, too, and win. Parameters annotated `ToolContext` are left out.

    This is the definition alone: give `run_with_tools` the function itself, or a `FunctionTool`.

    Args:
        function: any function, method, partial or callable object.
        name: 1 to 64 letters, digits, `_` or `-`; else the function's.
        description: for the model; else what the docstring says.
        strict: make the model keep exactly to the schema. Every argument is then required, and null means an optional
            one that is left out.

    Raises:
        ToolSignatureError: JSON cannot express the signature.
        InvalidRequestError: the name is not allowed for a tool.
    """
    return FunctionTool(function, name=name, description=description, strict=strict).definition


def tool_from_model(model: type, *, name: str | None = None, description: str | None = None, strict: bool = False) -> Tool:
    """The definition of a tool whose arguments are the fields of a class: a pydantic model, a dataclass or a TypedDict.

    `call.function.parse_as(model)` turns a call's arguments into an object of a pydantic class.

    Args:
        model: the class.
        name: 1 to 64 letters, digits, `_` or `-`; else the class's.
        description: for the model; else what the docstring says.
        strict: make the model keep exactly to the schema.

    Raises:
        ToolSignatureError: JSON cannot express the class.
        InvalidRequestError: the name is not allowed for a tool.
    """
    text, schema = class_schema(model)
    return definition(named(name, model), description or text, schema, strict=strict)


# -- approval ------------------------------------------------------------------------------------------------------------


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
    def told(self) -> str:
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
        """The decision in the return value of an `approve` function: an `Approval`, True or False.

        Raises:
            TypeError: the value is something else.
        """
        if isinstance(answer, Approval):
            return answer
        if isinstance(answer, bool):
            return cls.allow() if answer else cls.deny()
        raise TypeError(f"an approval is True, False or an Approval, not {answer!r}")


# -- events --------------------------------------------------------------------------------------------------------------


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
