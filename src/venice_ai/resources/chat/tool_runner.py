"""Driving a tool loop: asks the model, runs the tools it calls, and tells what happens as events.

`ToolLoop` decides; this acts. `run_with_tools` reads the events to the result, `stream_with_tools` hands them on.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ..._core.concurrency import as_completed, in_thread, without_locals
from ..._core.privacy import encryption_requested_in, refuse_below
from ...exceptions import (
    APIError,
    InvalidArgumentError,
    InvalidRequestError,
    ToolLoopPausedError,
    ToolTimeoutError,
    UnknownToolError,
    VeniceError,
)
from ...streaming import ChatStream, Stream
from ...tools import Approval, RoundFinished, TextDelta, ToolCallFinished, ToolCallStarted, ToolEvent, ToolLoop
from ...tools.parameters import is_async
from ...tools.toolbox import FunctionTool, ToolContext, as_text, call_arguments, call_name, checked_timeout, result_text, whole
from ...types.api.chat import ChatCompletionResponse, ToolCall, ToolLoopResult
from .arguments import Approve, OnToolCall, OnToolError

if TYPE_CHECKING:
    from .calls import ChatCalls

AskingT = TypeVar("AskingT", bound="PlainAsking")
_NOT_HANDLED = object()

_log = logging.getLogger("venice_ai.tools")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolRules:
    """How the calls of a loop are run."""

    on_tool_call: OnToolCall | None = None
    on_tool_error: OnToolError | None = None
    approve: Approve | None = None
    decisions: Mapping[str, Approval | bool] = field(default_factory=dict[str, "Approval | bool"])
    deps: Any = None
    parallel: bool = False
    tool_timeout: float | None = None
    hooks_in_threads: bool = False
    """Whether plain hooks run in threads, because the loop is not the caller's."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A call that may be made."""

    call: ToolCall
    arguments: dict[str, Any]
    make: Callable[[], Any] | None
    """Makes it; None if there is no function, and `on_tool_call` stands in."""
    function: FunctionTool | None


@dataclass(frozen=True, slots=True)
class _Done:
    """A call whose tool ran, or that failed: its arguments do not fit, or the tool raised an error."""

    call: ToolCall
    value: Any = None
    observed: bool = False
    """Whether `on_tool_call` is told of the value; it is not if it stood in for the tool."""
    error: Exception | None = None


class ToolRun:
    """One run of a loop; an InvalidArgumentError if a rule or a decision is not allowed."""

    def __init__(self, loop: ToolLoop, ask: PlainAsking, rules: ToolRules) -> None:
        checked_timeout(rules.tool_timeout, "tool_timeout")
        # A hook that cannot be called would fail only after an answer was paid for and a tool had run.
        for name in ("on_tool_call", "on_tool_error", "approve"):
            hook = getattr(rules, name)
            if hook is not None and not callable(hook):
                raise InvalidArgumentError(f"{name}={hook!r:.100} is not allowed: expected a function, or None")
        if not_waiting := [identity for identity in rules.decisions if identity not in loop.waiting]:
            raise InvalidArgumentError(
                f"decisions has {not_waiting[0]!r}, which is not a call that waits for one; waiting are {loop.waiting!r}"
            )
        for decision in rules.decisions.values():
            Approval.of(decision)
        self._loop = loop
        self._ask = ask
        self._rules = rules
        self._decisions = dict(rules.decisions)

    async def events(self) -> AsyncGenerator[ToolEvent, None]:
        """What happens, until the result."""
        loop = self._loop
        if loop.open_calls:  # a loop that is resumed
            async with aclosing(self._settle()) as settling:
                async for event in settling:
                    yield event
        while True:
            response: ChatCompletionResponse | None = None
            try:
                async with aclosing(self._ask(loop)) as asking:
                    async for said in asking:
                        if isinstance(said, TextDelta):
                            yield said
                        else:
                            response = said
            except APIError as error:
                error.tool_loop = loop.state
                raise
            if response is None:
                raise VeniceError("the model was asked, and gave neither an answer nor an error")
            calls = loop.receive(response)
            async with aclosing(self._settle()) as settling:
                async for event in settling:
                    yield event
            yield RoundFinished(response, loop.iterations)
            if not calls:
                yield loop.result
                return

    async def result(self) -> ToolLoopResult:
        """Runs to the end."""
        async with aclosing(self.events()) as events:
            async for event in events:
                if isinstance(event, ToolLoopResult):
                    return event
        raise VeniceError("the loop ended without a result")

    async def _settle(self) -> AsyncGenerator[ToolEvent, None]:
        """Answers a turn's open calls: asks for approval in order, runs what may run, and raises if some wait for a person."""
        loop = self._loop
        judged = [item for call in loop.open_calls if (item := await self._judged(call)) is not None]
        for group in [judged] if self._rules.parallel else [[item] for item in judged]:
            for item in group:
                if isinstance(item, _Ready):
                    yield ToolCallStarted(item.call, item.arguments, loop.iterations)
            async with aclosing(as_completed(self._run, group)) as finished:
                async for outcome in finished:
                    # Hooks run here and not in the tools' tasks: one at a time, and with the caller's context variables.
                    event = await self._finished(outcome)
                    loop.answer([event.call], [event.content])
                    yield event
        if loop.open_calls:
            names = ", ".join(map(call_name, loop.open_calls))
            raise ToolLoopPausedError(
                f"calls wait for a person ({names}); store error.state, and resume with decisions", state=loop.state
            )

    async def _judged(self, call: ToolCall) -> _Ready | _Done | ToolCallFinished | None:
        """What becomes of a call: it is made; or fails before that; or is answered without; or, None, it waits."""
        tools = self._loop.tools
        unknown = tools.unknown(call)
        if unknown is None and self._rules.on_tool_call is None and call_name(call) not in tools.functions:
            unknown = tools.unhandled(call)
        if unknown is not None:
            return self._reported(call, unknown)
        ready = self._prepared(call)
        if isinstance(ready, _Done):
            return ready
        approval = await self._approval(call, ready.arguments)
        if approval.verdict == "wait":
            self._loop.hold(call)
            return None
        if approval.verdict == "deny":
            return ToolCallFinished(call, result_text(approval.message), self._loop.iterations, denied=True)
        return ready if approval.arguments is None else self._prepared(call, dict(approval.arguments))

    def _prepared(self, call: ToolCall, edited: dict[str, Any] | None = None) -> _Ready | _Done:
        """A call with its arguments made what the function takes."""
        loop = self._loop
        function = loop.tools.functions.get(call_name(call))
        context = ToolContext(self._rules.deps, call, loop.iterations, tuple(loop.history[:-1]), loop.usage)
        try:
            arguments = call_arguments(call) if edited is None else edited
            return _Ready(call, arguments, None if function is None else function.call(arguments, context), function)
        except Exception as error:  # noqa: BLE001  # a validator of the caller's may raise anything; on_tool_error is told
            return _Done(call, error=error)

    async def _approval(self, call: ToolCall, arguments: dict[str, Any]) -> Approval:
        decision = self._decisions.pop(call.id, None)
        if decision is not None:
            return Approval.of(decision)
        if self._rules.approve is not None:
            return Approval.of(await _called(self._rules.approve, call, arguments))
        return Approval.wait() if call.id in self._loop.waiting else Approval.allow()

    async def _run(self, item: _Ready | _Done | ToolCallFinished) -> _Done | ToolCallFinished:
        if not isinstance(item, _Ready):
            return item
        try:
            value = await self._value(item)
        except Exception as error:  # noqa: BLE001  # a tool may raise anything; on_tool_error is told
            # Of a StopIteration, which no coroutine can raise, Python makes a RuntimeError; it is told as the tool raised it.
            converted = type(error) is RuntimeError and str(error) == "coroutine raised StopIteration"
            cause = error.__cause__
            return _Done(item.call, error=cause if converted and isinstance(cause, StopIteration) else error)
        if value is _NOT_HANDLED:
            return self._reported(item.call, self._loop.tools.unhandled(item.call))
        return _Done(item.call, value, observed=item.make is not None)

    async def _finished(self, outcome: _Done | ToolCallFinished) -> ToolCallFinished:
        """What the model is told of a call, after the hooks."""
        if isinstance(outcome, ToolCallFinished):
            return outcome
        if outcome.error is not None:
            return await self._failed(outcome.call, outcome.error)
        content = result_text(outcome.value)  # a hook may change the value
        if outcome.observed and self._rules.on_tool_call is not None:
            await self._hooked(self._rules.on_tool_call, outcome.call, outcome.value)
        return ToolCallFinished(outcome.call, content, self._loop.iterations)

    def _reported(self, call: ToolCall, error: UnknownToolError) -> ToolCallFinished:
        if self._loop.on_unknown_tool == "raise":
            raise error
        return ToolCallFinished(call, str(error), self._loop.iterations, error)

    async def _value(self, ready: _Ready) -> Any:
        work = self._dispatched(ready) if ready.make is None else _called(_reading(ready.make))
        own = None if ready.function is None else ready.function.timeout
        seconds = self._rules.tool_timeout if own is None else own
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return whole(await work)  # it is written, and a hook may look at it
        except TimeoutError as error:
            if not limit.expired():
                raise  # the tool's own
            raise ToolTimeoutError(f"no result within {seconds:g} s") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise VeniceError("what the tool waited for was cancelled") from error

    async def _dispatched(self, ready: _Ready) -> Any:
        """What `on_tool_call` gives for a tool that has no function."""
        if self._rules.on_tool_call is None:
            return _NOT_HANDLED
        value = await self._hooked(_reading(self._rules.on_tool_call), ready.call, ready.arguments)
        return _NOT_HANDLED if value is None else value

    async def _failed(self, call: ToolCall, error: Exception) -> ToolCallFinished:
        hook, trace = self._rules.on_tool_error or _default_on_tool_error, error.__traceback__
        if self._rules.hooks_in_threads and not is_async(hook):
            hook = partial(_while_handling, error, hook)
        try:
            raise error
        except Exception:  # noqa: BLE001  # the hook runs while the error is being handled, and decides
            answer = await self._hooked(hook, call, error)
        error.__traceback__ = trace
        if not isinstance(answer, str):
            raise TypeError(f"on_tool_error must return what the model is told, a text, not {answer!r:.100}")
        return ToolCallFinished(call, result_text(answer), self._loop.iterations, error)

    async def _hooked(self, hook: Callable[..., Any], call: ToolCall, seen: Any) -> Any:
        """What a hook gives, called on the caller's own event loop, or in a thread for a caller without one."""
        return await (_called(hook, call, seen) if self._rules.hooks_in_threads else _awaited(hook(call, seen)))


def _while_handling(error: Exception, hook: Callable[..., Any], call: ToolCall, seen: Any) -> Any:
    """What a hook gives in a thread of its own, which does not know of the errors that other threads are handling."""
    try:
        raise error
    except Exception:  # noqa: BLE001  # the hook decides
        return hook(call, seen)


def _default_on_tool_error(call: ToolCall, error: Exception) -> str:
    """What the model is told of a tool that failed where `on_tool_error` is not given; the log has the traceback."""
    _log.error("the tool %s failed", call_name(call), exc_info=error)
    return f"Error calling {call_name(call)}: {type(error).__name__}: {as_text(error)}"


async def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a caller's function gives: one that may block runs in a thread, and what it returns is awaited if it can be."""
    return await _awaited(function(*arguments) if is_async(function) else await in_thread(partial(function, *arguments)))


def _reading(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that reads the iterators in what it gives to their ends, in its own thread, for that may block as well."""
    if is_async(function):
        return function

    def read(*arguments: Any) -> Any:
        value = function(*arguments)
        return value if inspect.isawaitable(value) else whole(value)

    return read


async def _awaited(value: Any) -> Any:
    """The value itself; of an awaitable what it gives, of an asynchronous generator all of its items."""
    if inspect.isawaitable(value):
        value = await value
    if inspect.isasyncgen(value):
        async with aclosing(value) as items:
            return [item async for item in items]
    return value


class PlainAsking:
    """Asks for whole answers."""

    no_streaming = "is not for run_with_tools; stream_with_tools streams"

    def __init__(self, completions: ChatCalls[Any], params: Mapping[str, Any]) -> None:
        self._completions = completions
        for name in ("stream", "stream_cls"):
            if name in params:
                raise InvalidArgumentError(f"{name} {self.no_streaming}")
        if completions._client.min_privacy == "e2ee":  # noqa: SLF001  # the same package
            refuse_below("e2ee", None)  # before there is a loop, whose state would hold the prompt
        if encryption_requested_in(params):
            raise InvalidRequestError("tools, and what they are called with, are not encrypted, so e2ee does not allow them")
        if params.get("n") not in {None, 1}:
            raise InvalidRequestError(f"n={params['n']!r} is not allowed: a tool loop goes on from one answer")
        self._params = dict(params)

    async def __call__(self, loop: ToolLoop, /) -> AsyncGenerator[TextDelta | ChatCompletionResponse, None]:
        """The answer."""
        create: Any = self._completions.create  # a subclass may override it
        response: object = await create(messages=list(loop.history), **_offered(loop, self._params))
        if not isinstance(response, ChatCompletionResponse):
            raise TypeError(f"create() gave {response!r:.100} instead of a response")
        yield response


class StreamedAsking(PlainAsking):
    """Asks for streams, and tells their texts."""

    no_streaming = "is not for stream_with_tools, which always streams; leave it out"
    _opened: ChatStream | None = None

    async def open(self, loop: ToolLoop) -> None:
        """Sends the request for the next turn, so that what is wrong with it is known at once."""
        try:
            self._opened = await self._completions.stream(messages=list(loop.history), **_offered(loop, self._params))
        except APIError as error:
            error.tool_loop = loop.state
            raise

    async def close(self) -> None:
        """Drops what was opened and not read."""
        if self._opened is not None:
            await self._opened.close()

    async def __call__(self, loop: ToolLoop, /) -> AsyncGenerator[TextDelta | ChatCompletionResponse, None]:
        """The texts as they come, then the answer."""
        if self._opened is None:
            await self.open(loop)
        async with cast("ChatStream", self._opened) as stream:
            self._opened = None
            async for text in stream.text_deltas():
                yield TextDelta(text, loop.iterations + 1)
            response = await stream.collect()
        yield response


class ToolStream(Stream[ToolEvent]):
    """The events of a tool loop: an async iterator, and an async context manager that stops the loop on leaving.

    One task reads it and closes it; to stop it from another, cancel that task.
    """

    def __init__(self, run: ToolRun, asking: StreamedAsking) -> None:
        super().__init__(run.events())
        self._asking = asking
        self._result: ToolLoopResult | None = None
        self._error: Exception | None = None

    async def __anext__(self) -> ToolEvent:
        try:
            event = await super().__anext__()
        except Exception as error:
            self._error = None if isinstance(error, StopAsyncIteration) else error
            raise
        if isinstance(event, ToolLoopResult):
            self._result = event
        return event

    def __aiter__(self) -> ToolStream:
        return self

    async def collect(self) -> ToolLoopResult:
        """The result, also after some of the events, or all, were read.

        Raises:
            VeniceError: the loop was stopped before its end.
        """
        if self._error is not None:
            raise self._error
        async for _ in self:
            pass
        if self._result is None:
            raise VeniceError("the tool loop was stopped before its end")
        return self._result

    async def close(self) -> None:
        """Stops the loop: the connection is dropped, and asynchronous tools that run are cancelled. May be called often."""
        await super().close()
        await self._asking.close()


def begun(completions: ChatCalls[Any], asking: type[AskingT], given: dict[str, Any]) -> tuple[ToolRun, ToolLoop, AskingT]:
    """The run of a loop, by the arguments of `run_with_tools`, with what asks the model. `given` is emptied."""
    given.pop("self", None)
    messages, tools, decisions = given.pop("messages"), given.pop("tools"), given.pop("decisions", None)
    try:
        hooks_in_threads = completions._client.hooks_in_threads  # noqa: SLF001  # a property of the client alone
        hooks = _taken(("on_tool_call", "on_tool_error", "approve", "deps", "parallel", "tool_timeout"), given)
        limits = _taken(("max_iterations", "on_limit", "on_unknown_tool", "resume"), given)
        rules = ToolRules(**hooks, decisions=decisions or {}, hooks_in_threads=hooks_in_threads)
        ask = asking(completions, given)
        loop = ToolLoop(messages, tools, **limits)
    except Exception as refusal:
        del messages  # as in `create`
        without_locals(refusal)
        raise
    finally:
        given.clear()
    return ToolRun(loop, ask, rules), loop, ask


def _taken(names: Iterable[str], given: dict[str, Any]) -> dict[str, Any]:
    return {name: given.pop(name) for name in names if name in given}


def _offered(loop: ToolLoop, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters with the tools to offer. Without tools, none of the parameters that go with them may be sent."""
    if loop.offered:
        return {**params, "tools": list(loop.offered)}
    return {name: value for name, value in params.items() if name not in {"tool_choice", "parallel_tool_calls"}}
