"""The conversation with a model that calls tools, as a state machine: answers and results go in, calls and history come out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, cast, get_args

from .._wire.request_body import checked_messages
from ..exceptions import InvalidArgumentError, MaxIterationsExceededError, NoChoicesError, NoToolCallsError
from ..types._base import Model, is_private, mark_private, plain
from ..types.api import chat
from ..types.api.chat import ChatCompletionResponse, ChatUsage, Message, Messages, Tool, ToolCall, ToolLoopResult, ToolLoopState
from ..types.api.params import MESSAGES
from .toolbox import FunctionTool, PlainFunction, Toolbox, call_name, result_text

OnLimit: TypeAlias = Literal["raise", "answer"]
OnUnknownTool: TypeAlias = Literal["raise", "report"]

_ROLES: dict[str, type[Model]] = {vars(kind)["role"]: kind for kind in MESSAGES}
_CALLING = frozenset({"tool_calls", "function_call"})
_SEARCHED = "These documents were found by the web search; no tool was called."


class ToolLoop:
    """A conversation with a model that calls tools. It sends nothing and runs nothing.

    Args:
        messages: the conversation so far; never changed.
        tools: functions, `FunctionTool`s, and definitions as `Tool`s or mappings.
        max_iterations: how many answers of the model may be received, from 1.
        on_limit: as in `run_with_tools`; with `"answer"`, one answer more may be received.
        on_unknown_tool: `"raise"` an `UnknownToolError`, or leave it to the driver to `"report"` that to the model.
        resume: the state of an earlier loop, in place of messages.

    Raises:
        InvalidArgumentError: an argument is not allowed.
    """

    def __init__(
        self,
        messages: Messages | None,
        tools: Iterable[Callable[..., Any] | PlainFunction | FunctionTool | Tool | Mapping[str, Any]],
        *,
        max_iterations: int = 10,
        on_limit: OnLimit = "raise",
        on_unknown_tool: OnUnknownTool = "raise",
        resume: ToolLoopState | Mapping[str, Any] | None = None,
    ) -> None:
        for name, value, kind in (("on_limit", on_limit, OnLimit), ("on_unknown_tool", on_unknown_tool, OnUnknownTool)):
            if value not in (allowed := get_args(kind)):
                raise InvalidArgumentError(f"{name}={value!r} is not allowed: expected {' or '.join(map(repr, allowed))}")
        if isinstance(max_iterations, bool) or not isinstance(max_iterations, int) or max_iterations < 1:
            raise InvalidArgumentError(f"max_iterations={max_iterations!r} must be a whole number from 1")
        if (messages is None) == (resume is None):
            raise InvalidArgumentError("give either messages, or resume with the state of an earlier loop")
        self.tools: Toolbox = Toolbox(tools)
        """The tools."""
        self.max_iterations = max_iterations
        self.on_limit: OnLimit = on_limit
        self.on_unknown_tool: OnUnknownTool = on_unknown_tool
        self.iterations: int = 0
        """How many responses were received."""
        self.usage: ChatUsage | None = None
        """Tokens of all responses; None if no response had a usage."""
        self.sealed: bool = False
        """Whether it is end-to-end encrypted."""
        self.waiting: list[str] = []
        """Ids of the calls that wait for a person's decision."""
        self._response: ChatCompletionResponse | None = None
        self._calls: list[ToolCall] = []
        self._results: dict[str, str] = {}
        given = messages if resume is None else self._resumed(resume)
        typed = [_ROLES[message["role"]].model_validate(message) for message in checked_messages(given)]
        self.history: list[Message] = cast("list[Message]", typed)
        """The conversation: what to send next."""
        if resume is not None and isinstance(last := self.history[-1], chat.AssistantMessage):
            self._calls = _calls_of(last)

    @property
    def offered(self) -> list[Tool | Mapping[str, Any]]:
        """The tools to offer with the next request: all, until the limit is reached."""
        return self.tools.definitions if self.iterations < self.max_iterations else []

    @property
    def open_calls(self) -> list[ToolCall]:
        """The calls that need a result before the conversation can go on."""
        return [call for call in self._calls if call.id not in self._results]

    @property
    def result(self) -> ToolLoopResult:
        """The result, once `receive` returned no calls; an InvalidArgumentError before."""
        if self._response is None or self._calls:
            raise InvalidArgumentError("the loop has not ended: the model has called tools, or was not asked yet")
        return ToolLoopResult(self._response, list(self.history), self.iterations, self.usage)

    @property
    def state(self) -> ToolLoopState:
        """The loop as plain JSON, from which it can be continued later."""
        state = ToolLoopState(
            messages=plain(self.history),
            iterations=self.iterations,
            results=self._results or None,
            waiting=self.waiting or None,
            usage=self.usage,
            sealed=self.sealed or None,
        )
        if is_private(cast("Model", self.history[0])):
            mark_private(state)
        return state

    def receive(self, response: ChatCompletionResponse) -> list[ToolCall]:
        """Takes the model's response and returns the calls in it; an empty list if it is the final answer.

        The turn goes into the history as it came. Calls are there to be answered whatever the finish reason says; Venice's
        way to deliver search documents is not among them.

        Raises:
            NoChoicesError: there is no answer in it.
            NoToolCallsError: it says that it calls tools, and holds neither a call nor a text.
            MaxIterationsExceededError: it asks for calls, and no further answer is allowed.
            UnknownToolError: it calls a tool that is not there.
            InvalidArgumentError: calls of the turn before are still open.
        """
        if self.open_calls:
            raise InvalidArgumentError("answer the calls of the last turn first")
        offered = bool(self.offered)
        turn = _turn(response)
        calls = _calls_of(turn)
        self.iterations += 1
        self.usage = chat.added_usage(self.usage, response.usage)
        if not calls and (found := _instead_of_calls(response, turn)):
            why = f"the model's turn ends with a tool call, but holds no call: it holds {found}"
            raise NoToolCallsError(why, state=self.state, last_response=response)
        self.history.append(turn)
        self._response = response
        if all(map(self.tools.is_search, calls)):
            return []
        self._calls = calls
        self._results = {call.id: _SEARCHED for call in calls if self.tools.is_search(call)}
        if not offered or (self.on_limit == "raise" and not self.offered):
            names = ", ".join(map(call_name, self.open_calls))
            raise MaxIterationsExceededError(
                f"the model still called tools ({names}) after {self.iterations} round trips; allow more with max_iterations, "
                'or take what it can say by then with on_limit="answer"',
                iterations=self.iterations,
                messages=self.history,
                last_response=response,
                usage=self.usage,
                pending_calls=self.open_calls,
                state=self.state,
            )
        if self.on_unknown_tool == "raise":
            for error in filter(None, map(self.tools.unknown, self.open_calls)):
                raise error
        return self.open_calls

    def answer(self, calls: Sequence[ToolCall], results: Sequence[Any]) -> None:
        """Takes the results of calls, in the order of the calls: a text as it is, anything else as JSON; see `run_with_tools`.

        Some of a turn's calls may be answered before others. When all are, the results follow the turn in the history, in the
        order in which the model made the calls.

        Raises:
            InvalidArgumentError: a call is not open, or there are not as many results as calls.
        """
        if len(calls) != len(results):
            raise InvalidArgumentError(f"there are {len(results)} results for {len(calls)} calls")
        open_ids = {call.id for call in self.open_calls}
        for call, result in zip(calls, results, strict=True):
            if call.id not in open_ids:
                raise InvalidArgumentError(f"the call {call.id!r} of {call_name(call)!r} is not open")
            self._results[call.id] = result_text(result)
        self.waiting = [identity for identity in self.waiting if identity not in self._results]
        if not self.open_calls:
            self.history += [chat.ToolMessage(content=self._results[call.id], tool_call_id=call.id) for call in self._calls]
            self._calls, self._results = [], {}

    def hold(self, call: ToolCall) -> None:
        """Records that a call waits for a person's decision."""
        if call.id not in self.waiting:
            self.waiting.append(call.id)

    def _resumed(self, resume: ToolLoopState | Mapping[str, Any]) -> list[dict[str, Any]]:
        """Takes over an earlier loop's state; gives its messages."""
        try:
            state = ToolLoopState.model_validate(resume)
            iterations, results, waiting = state.iterations, dict(state.results or {}), list(state.waiting or [])
        except (TypeError, ValueError) as error:
            raise InvalidArgumentError(f"resume is not the state of a tool loop: {error}") from None
        if state.version != 1 or not isinstance(iterations, int) or iterations < 0:
            found = f"version={state.version!r}, iterations={iterations!r}"
            raise InvalidArgumentError(f"resume is not a state that this version knows: {found}")
        if iterations >= self.max_iterations and self.on_limit == "raise":
            limit = f"max_iterations={self.max_iterations}"
            raise InvalidArgumentError(f"{limit}, and the loop has made {iterations} round trips; allow more to go on")
        self.iterations, self._results, self.waiting, self.usage = iterations, results, waiting, state.usage
        self.sealed = bool(state.sealed)
        return state.messages


def _turn(response: ChatCompletionResponse) -> chat.AssistantMessage:
    """The assistant's turn as it came, with ids of calls that pair them with results: one each, and no two alike."""
    try:
        found = chat.choice_at(response, 0).get("message")
    except ValueError as error:
        raise NoChoicesError(str(error)) from None
    if not isinstance(found, chat.ChatMessage):
        raise NoChoicesError("the response's first choice holds no message")
    turn = chat.AssistantMessage.from_response(response)
    vars(turn)["role"] = "assistant"
    seen: set[str] = set()
    for position, call in enumerate(_calls_of(turn)):
        identity: Any = call.id
        if not isinstance(identity, str) or not identity or identity in seen:
            vars(call)["id"] = identity = f"call_{len(seen)}_{position}_{identity or ''}"
        seen.add(identity)
    return turn


def _instead_of_calls(response: ChatCompletionResponse, turn: chat.AssistantMessage) -> str | None:
    """Names what came in place of the calls that a turn without calls says it makes; None if it is an answer."""
    if legacy := turn.get("function_call"):
        return f"function_call={plain(legacy)!r:.200}, which no longer is how tools are called"
    if chat.content_text(turn.content):
        return None
    reason: Any = chat.choice_at(response, 0).finish_reason
    if reason in _CALLING or turn.tool_calls:
        return f"finish_reason={reason!r}, tool_calls={plain(turn.tool_calls)!r:.200} and no text"
    return None


def _calls_of(turn: chat.AssistantMessage) -> list[ToolCall]:
    calls = turn.tool_calls
    return [call for call in calls if isinstance(call, ToolCall)] if isinstance(calls, list) else []
