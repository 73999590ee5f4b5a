"""The keywords of chat calls as type checkers see them, so that a misspelt one is an error before the program runs.

Each TypedDict is made `closed` where it is unpacked: otherwise the type checker ty accepts unknown keywords, and a closed one
cannot be the base of one with more fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Required, TypeAlias

from typing_extensions import TypedDict

from ..._core.settings import Timeout
from ...tee.types import TeeOptions
from ...types.api.chat import Messages, Tool, ToolCall, ToolLoopState
from ...types.api.params import AllParams, CommonParams, FormatLike, ToolsLike

StreamCls: TypeAlias = Callable[..., Any]
"""Called as `stream_cls(iterator, client=client)`, or with the fields of each chunk as keywords."""
OnToolCall: TypeAlias = Callable[[ToolCall, Any], Any]
"""Sees each call and its result; for a `Tool` without a function it is given the arguments, and may return the result."""
OnToolError: TypeAlias = Callable[[ToolCall, Exception], Any]
"""Makes the text for the model about a tool that failed, or an awaitable one; or raises. The error is being handled: a bare
`raise` raises it, and `logger.exception` shows its traceback."""
Approve: TypeAlias = Callable[[ToolCall, dict[str, Any]], Any]
"""Whether a call may be made: an `Approval`, True or False, or an awaitable one."""

if TYPE_CHECKING:  # they need pydantic, which a chat does not
    from ...tools import Approval, FunctionTool, OnLimit, OnUnknownTool
    from ...tools.toolbox import PlainFunction

    Tools: TypeAlias = Iterable[Callable[..., Any] | PlainFunction | FunctionTool | Tool | Mapping[str, Any]]


class CallOptions(TypedDict, total=False):
    """How a call is made. None of it is in the body, but for what `extra_body` holds."""

    e2ee: bool | TeeOptions
    """End-to-end encryption; a `TeeOptions` says what to demand of the enclave."""
    timeout: float | Timeout | None
    """Seconds, or a `Timeout` for each of the time limits."""
    extra_headers: Mapping[str, str] | None
    """HTTP headers for this call."""
    fail_fast: bool | None
    """Whether to raise at once while a circuit is open; if not given, as the client does."""
    fallback_models: Sequence[str] | None
    """Models to ask where this one cannot answer; see `ChatCompletions.create`."""
    extra_body: Mapping[str, Any] | None
    """Fields that go into the body as they are: unknown to this package, or in place of what it would send."""


class CallParams(AllParams, CallOptions, total=False, closed=True):
    """The keywords of `create` and `stream` beside the model and the messages."""


class ParseParams(CommonParams, CallOptions, total=False, closed=True):
    """The keywords of `parse` and `stream_parse` beside the class."""

    tools: ToolsLike | None
    """Tools the model may call."""


class RoundTripParams(CommonParams, CallOptions, total=False):
    """The keywords that a tool loop gives to `create` or `stream` on every round trip."""

    response_format: FormatLike | None
    """The format of the answers."""


class ToolLoopParams(RoundTripParams, total=False, closed=True):
    """The keywords that `run_with_tools` gives to `create` on every round trip."""


class ToolLoopOptions(RoundTripParams, total=False, closed=True):
    """The arguments of a tool loop beside the model, the messages and the tools; see `ChatCompletions.run_with_tools`."""

    on_tool_call: OnToolCall | None
    on_tool_error: OnToolError | None
    parallel: bool
    max_iterations: int
    on_limit: OnLimit
    on_unknown_tool: OnUnknownTool
    approve: Approve | None
    tool_timeout: float | None
    sealed_tools: bool
    deps: Any
    resume: ToolLoopState | Mapping[str, Any] | None
    decisions: Mapping[str, Approval | bool] | None


class _Chat(AllParams, CallOptions, total=False):
    model: Required[str]
    """Id of a model, a trait, or an alias."""
    messages: Required[Messages]
    """The conversation."""


class ChatRequest(_Chat, total=False, closed=True):
    """One request of `batch`: the keywords of `create`."""


class BatchRequest(_Chat, total=False, closed=True):
    """One request of `batch_iter`: the keywords of `create`, and what a journal knows it by."""

    sealed_tools: bool
    """With `tools`: see `ChatCompletions.run_with_tools`."""
    custom_id: str | None
    """An id of the caller's; a journal takes the same id with another body for a mistake."""
    max_reasks: int
    """With `response_format`: how often the model is asked again after an answer that does not fit."""
