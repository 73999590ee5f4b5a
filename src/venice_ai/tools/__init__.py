"""Functions that a model may call as tools; and the conversation in which it calls them.

`ToolLoop` is that conversation without the network. It receives the model's responses, returns the calls in them, takes the
results of the calls, and knows what to send next and when to stop. Its user sends the requests and runs the calls:

    loop = ToolLoop(messages, tools, max_iterations=5)
    while calls := loop.receive(await model(loop.history, tools=loop.offered)):
        loop.answer(calls, await run_all(calls))

`client.chat.completions.run_with_tools` and `stream_with_tools` use it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..types.api.chat import Tool, ToolLoopResult, ToolLoopState
from .events import Approval, RoundFinished, TextDelta, ToolCallFinished, ToolCallStarted, ToolEvent
from .function_schema import class_schema
from .loop import OnLimit, OnUnknownTool, ToolLoop
from .parameters import named
from .toolbox import FunctionTool, ToolContext, definition, prepared

__all__ = [
    "Approval", "FunctionTool", "OnLimit", "OnUnknownTool", "RoundFinished", "TextDelta", "ToolCallFinished",
    "ToolCallStarted", "ToolContext", "ToolEvent", "ToolLoop", "ToolLoopResult", "ToolLoopState", "prepared",
    "tool_from_function", "tool_from_model",
]  # fmt: skip


def tool_from_function(
    function: Callable[..., Any], *, name: str | None = None, description: str | None = None, strict: bool = False
) -> Tool:
    """The definition of a function as a tool: names, types and defaults from its signature, texts from its docstring.

    The docstring may be in Google's, NumPy's or Sphinx' style. `Annotated[..., "text"]` and `Annotated[..., Field(...)]`
    describe an argument, too, and win. Parameters annotated `ToolContext` are left out.

    This is the definition alone: give `run_with_tools` the function itself, or a `FunctionTool`, which explains the arguments
    and the errors.
    """
    return FunctionTool(function, name=name, description=description, strict=strict).definition


def tool_from_model(model: type, *, name: str | None = None, description: str | None = None, strict: bool = False) -> Tool:
    """The definition of a tool whose arguments are the fields of a class: a pydantic model, a dataclass or a TypedDict.

    `call.function.parse_as(model)` turns a call's arguments into an object of a pydantic class.

    `name`, `description` and `strict`, and the errors, are as in `FunctionTool`.
    """
    text, schema = class_schema(model)
    return definition(named(name, model), description or text, schema, strict=strict)
