"""Driving a tool loop: asks the model, runs the tools it calls, and tells what happens as events.

`ToolLoop` decides; this acts. `run_with_tools` reads the events to the result, `stream_with_tools` hands them on.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from ... import exceptions
from ..._core.concurrency import as_completed, in_thread, without_locals
from ..._core.privacy import encryption_requested_in, refuse_below
from ...exceptions import APIError, InvalidArgumentError, InvalidRequestError, ToolArgumentsError, VeniceError
from ...streaming import ChatStream, Stream
from ...tee.types import TeeOptions
from ...tools import Approval, RoundFinished, TextDelta, ToolCallFinished, ToolCallStarted, ToolEvent, ToolLoop
from ...tools.parameters import is_async
from ...tools.sealed_form import PROBLEM, UNREADABLE, Prose, sealed_messages, with_calls
from ...tools.toolbox import ToolContext, as_text, call_arguments, call_name, checked_timeout, result_text, whole
from ...types._base import mark_private
from ...types.api.chat import ChatCompletionResponse, ToolCall, ToolLoopResult
from .arguments import Approve, OnToolCall, OnToolError

if TYPE_CHECKING:
    from ...telemetry import OpenSpan, Telemetry
    from .calls import ChatCalls

_log = logging.getLogger("venice_ai.tools")
_RULES = ("on_tool_call", "on_tool_error", "approve", "decisions", "deps", "parallel", "tool_timeout")
_LIMITS = ("max_iterations", "on_limit", "on_unknown_tool", "resume")


@dataclass(slots=True)
class _PendingCall:
    """A tool call of the model's that has no result yet: its arguments, and the function to run."""

    call: ToolCall
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    make: Callable[[], Any] | None = None  # makes it; None if there is no function, and `on_tool_call` stands in
    value: Any = None
    error: Exception | None = None  # why there is no value: the arguments do not fit, or the tool raised it


class ToolRun:
    """One run of a loop, by arguments of `run_with_tools`; an InvalidArgumentError if one is not allowed."""

    def __init__(
        self,
        loop: ToolLoop,
        turns: ModelTurns,
        *,
        on_tool_call: OnToolCall | None = None,
        on_tool_error: OnToolError | None = None,
        approve: Approve | None = None,
        decisions: Mapping[str, Approval | bool] | None = None,
        deps: Any = None,
        parallel: bool = False,
        tool_timeout: float | None = None,
    ) -> None:
        self._timeout = checked_timeout(tool_timeout, "tool_timeout")
        # A hook that cannot be called would fail only after an answer was paid for and a tool had run.
        hooks: dict[str, object] = {"on_tool_call": on_tool_call, "on_tool_error": on_tool_error, "approve": approve}
        for name, hook in hooks.items():
            if hook is not None and not callable(hook):
                raise InvalidArgumentError(f"{name}={hook!r:.100} is not allowed: expected a function, or None")
        self._decisions = {identity: Approval.of(decision) for identity, decision in (decisions or {}).items()}
        if not_waiting := [identity for identity in self._decisions if identity not in loop.waiting]:
            raise InvalidArgumentError(f"decisions has {not_waiting[0]!r}, which does not wait; waiting are {loop.waiting!r}")
        if turns.sealed:
            loop.sealed = True
            mark_private(loop.history)
        elif loop.sealed:
            raise InvalidRequestError("the loop to resume was end-to-end encrypted: give e2ee=True and sealed_tools=True again")
        self.loop = loop
        self.turns = turns
        self._on_tool_call = on_tool_call
        self._on_tool_error = on_tool_error or _default_on_tool_error
        self._approve = approve
        self._deps = deps
        self._parallel = parallel

    async def events(self) -> AsyncGenerator[ToolEvent, None]:
        """The events of the loop: texts, calls, results of tools, ends of rounds; the loop's result is the last."""
        loop = self.loop
        response: ChatCompletionResponse | None = None
        calls = loop.open_calls  # of a loop that is resumed
        while True:
            async with aclosing(self._settle()) as settling:
                async for event in settling:
                    yield event
            if response is not None:
                yield RoundFinished(response, loop.iterations)
                if not calls:
                    yield loop.result
                    return
            try:
                async with aclosing(self.turns.answer(loop)) as answer:
                    async for part in answer:
                        if isinstance(part, TextDelta):
                            yield part
                        else:
                            response = part
            except APIError as error:
                error.tool_loop = loop.state
                raise
            assert response is not None  # an answer ends in it, or in an error
            calls = loop.receive(response)

    async def _settle(self) -> AsyncGenerator[ToolEvent, None]:
        """Answers a turn's open calls: asks for approval in order, runs what may run, and raises if some wait for a person."""
        loop = self.loop
        judged = [item for call in loop.open_calls if (item := await self._judged(call)) is not None]
        for group in [judged] if self._parallel else [[item] for item in judged]:
            for item in group:
                if isinstance(item, _PendingCall) and item.error is None:
                    yield ToolCallStarted(item.call, item.arguments, loop.iterations)
            async with aclosing(as_completed(self._run, group)) as finished:
                async for item in finished:
                    # Hooks run here and not in the tools' tasks: one at a time, and with the caller's context variables.
                    event = await self._finished(item)
                    loop.answer([event.call], [event.content])
                    yield event
        if loop.open_calls:
            why = f"calls wait for a person ({', '.join(map(call_name, loop.open_calls))}); "
            raise exceptions.ToolLoopPausedError(f"{why}store error.state, and resume with decisions", state=loop.state)

    async def _judged(self, call: ToolCall) -> _PendingCall | ToolCallFinished | None:
        """Whether a call is made, fails before that, is answered without being made, or (None) waits for a person."""
        tools = self.loop.tools
        if (name := call_name(call)) == UNREADABLE and name not in tools.names:
            return _PendingCall(call, error=ToolArgumentsError(PROBLEM))
        unknown = tools.unknown(call)
        if unknown is None and self._on_tool_call is None and name not in tools.functions:
            unknown = tools.unhandled(call)
        if unknown is not None:
            return self._reported(call, unknown)
        item = self._prepared(call)
        if item.error is not None:
            return item
        approval = await self._approval(call, item.arguments)
        if approval.verdict == "wait":
            self.loop.hold(call)
            return None
        if approval.verdict == "deny":
            return ToolCallFinished(call, result_text(approval.message), self.loop.iterations, denied=True)
        return item if approval.arguments is None else self._prepared(call, dict(approval.arguments))

    def _prepared(self, call: ToolCall, edited: dict[str, Any] | None = None) -> _PendingCall:
        """A call with its arguments made what the function takes."""
        loop, item = self.loop, _PendingCall(call)
        context = ToolContext(self._deps, call, loop.iterations, tuple(loop.history[:-1]), loop.usage)
        try:
            item.arguments = call_arguments(call) if edited is None else edited
            if (function := loop.tools.functions.get(call_name(call))) is not None:
                item.make = function.call(item.arguments, context)
        except Exception as error:  # noqa: BLE001  # a validator of the caller's may raise anything; on_tool_error is told
            item.error = error
        return item

    async def _approval(self, call: ToolCall, arguments: dict[str, Any]) -> Approval:
        if (decision := self._decisions.pop(call.id, None)) is not None:
            return decision
        if self._approve is not None:
            return Approval.of(await _called(self._approve, call, arguments))
        return Approval.wait() if call.id in self.loop.waiting else Approval.allow()

    async def _run(self, item: _PendingCall | ToolCallFinished) -> _PendingCall | ToolCallFinished:
        if isinstance(item, _PendingCall) and item.error is None:
            try:
                work = self._value(item)
                if (telemetry := self.turns.telemetry) is not None:
                    names = () if self.turns.sealed else (call_name(item.call), item.call.id)
                    work = telemetry.step("execute_tool", *names).follow(work)
                item.value = await work
            except Exception as error:  # noqa: BLE001  # a tool may raise anything; on_tool_error is told
                # Of a StopIteration, which no coroutine can raise, Python makes a RuntimeError; it is told as it was raised.
                converted = type(error) is RuntimeError and str(error) == "coroutine raised StopIteration"
                cause = error.__cause__
                item.error = cause if converted and isinstance(cause, StopIteration) else error
        return item

    async def _finished(self, item: _PendingCall | ToolCallFinished) -> ToolCallFinished:
        """The result of a call for the model, or the text about its failure, after the hooks."""
        if isinstance(item, ToolCallFinished):
            return item
        if item.error is not None:
            return await self._failed(item.call, item.error)
        if item.make is None and item.value is None:
            return self._reported(item.call, self.loop.tools.unhandled(item.call))
        content = result_text(item.value)  # a hook may change the value
        if item.make is not None and self._on_tool_call is not None:
            await self._hooked(self._on_tool_call, item.call, item.value)
        return ToolCallFinished(item.call, content, self.loop.iterations)

    def _reported(self, call: ToolCall, error: exceptions.UnknownToolError) -> ToolCallFinished:
        if self.loop.on_unknown_tool == "raise":
            raise error
        return ToolCallFinished(call, str(error), self.loop.iterations, error)

    async def _value(self, item: _PendingCall) -> Any:
        if item.make is None:  # `on_tool_call` is there, and stands in
            work = self._hooked(_reading(cast("OnToolCall", self._on_tool_call)), item.call, item.arguments)
        else:
            work = _called(_reading(item.make))
        function = self.loop.tools.functions.get(call_name(item.call))
        seconds = self._timeout if function is None or function.timeout is None else function.timeout
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                return whole(await work)  # it is written, and a hook may look at it
        except TimeoutError as error:
            if not limit.expired():
                raise  # the tool's own
            raise exceptions.ToolTimeoutError(f"no result within {seconds:g} s") from error
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise VeniceError("what the tool waited for was cancelled") from error

    async def _failed(self, call: ToolCall, error: Exception) -> ToolCallFinished:
        hook, trace = self._on_tool_error, error.__traceback__
        if self.turns.hooks_in_threads and not is_async(hook):
            hook = partial(_while_handling, error, hook)
        try:
            raise error
        except Exception:  # noqa: BLE001  # the hook runs while the error is being handled, and decides
            answer = await self._hooked(hook, call, error)
        error.__traceback__ = trace
        if not isinstance(answer, str):
            raise TypeError(f"on_tool_error must return what the model is told, a text, not {answer!r:.100}")
        return ToolCallFinished(call, result_text(answer), self.loop.iterations, error)

    async def _hooked(self, hook: Callable[..., Any], call: ToolCall, seen: Any) -> Any:
        """Calls a hook on the caller's own event loop, or in a thread for a caller without one, and gives its value."""
        return await (_called(hook, call, seen) if self.turns.hooks_in_threads else _awaited(hook(call, seen)))


def _while_handling(error: Exception, hook: Callable[..., Any], call: ToolCall, seen: Any) -> Any:
    """Calls a hook in a thread of its own while its error is handled there, so that a bare `raise` raises it again."""
    try:
        raise error
    except Exception:  # noqa: BLE001  # the hook decides
        return hook(call, seen)


def _default_on_tool_error(call: ToolCall, error: Exception) -> str:
    """The text for the model about a tool that failed, without `on_tool_error`; the log has the tool's traceback."""
    trace = error.__traceback__
    while trace and str(trace.tb_frame.f_globals.get("__name__")).startswith(("venice_ai.", "asyncio.", "concurrent.")):
        trace = trace.tb_next
    own = None if isinstance(error, ToolArgumentsError) else (type(error), error, trace)  # it repeats what the model wrote
    _log.error("the tool %s failed (%s)", call_name(call), type(error).__name__, exc_info=own)
    return f"Error calling {call_name(call)}: {type(error).__name__}: {as_text(error)}"


async def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Calls a function of the caller's: in a thread if it may block; what it returns is awaited if it can be."""
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


class ModelTurns:
    """Asks the model for each next turn of a tool loop: as a whole answer, or as a stream whose texts become events."""

    def __init__(self, completions: ChatCalls[Any], params: Mapping[str, Any], *, streams: bool, sealed_tools: bool) -> None:
        client = completions._client  # noqa: SLF001  # the same package
        for name in params.keys() & {"stream", "stream_cls"}:
            why = "stream_with_tools, which always streams; leave it out"
            raise InvalidArgumentError(f"{name} is not for {why if streams else 'run_with_tools; stream_with_tools streams'}")
        self.sealed: bool = encryption_requested_in(params)
        """Whether tools, calls and results are texts, which are encrypted."""
        if client.min_privacy == "e2ee" and not self.sealed:
            refuse_below("e2ee", None)  # before there is a loop, whose state would hold the prompt
        if self.sealed != sealed_tools:
            why = "tools, and what they are called with, are not encrypted, so e2ee allows them only with sealed_tools=True"
            raise InvalidRequestError(why if self.sealed else "sealed_tools=True needs an encrypted call: e2ee=True")
        options = params.get("e2ee") if isinstance(params.get("e2ee"), TeeOptions) else client.tee_options
        if self.sealed and options and options.encrypt_roles != "all":  # then tools, or calls, would leave in clear
            params = {**params, "e2ee": options.replace(encrypt_roles="all")}
        if params.get("n") not in {None, 1}:
            raise InvalidRequestError(f"n={params['n']!r} is not allowed: a tool loop goes on from one answer")
        self.telemetry: Telemetry | None = client.telemetry
        self.span: OpenSpan | None = None  # the loop's, once there is a stream of its events
        self.hooks_in_threads: bool = client.hooks_in_threads
        """Whether plain hooks run in threads, because the loop is not the caller's."""
        self._completions = completions
        self._params = dict(params)
        self._streams = streams
        self._opened: ChatStream | None = None

    async def open(self, loop: ToolLoop) -> None:
        """Sends the request of a stream for the next turn, so that what is wrong with it is known at once."""
        try:
            self._opened = await self._completions.stream(**self._request(loop))
        except APIError as error:
            error.tool_loop = loop.state
            raise

    async def close(self) -> None:
        """Drops what was opened and not read."""
        if self._opened is not None:
            await self._opened.close()

    async def answer(self, loop: ToolLoop) -> AsyncGenerator[TextDelta | ChatCompletionResponse, None]:
        """The texts of a stream as they come, then the answer."""
        if not self._streams:
            create: Any = self._completions.create  # a subclass may override it
            response: object = await create(**self._request(loop))
            if not isinstance(response, ChatCompletionResponse):
                raise TypeError(f"create() gave {response!r:.100} instead of a response")
            yield with_calls(response, self._sealed_messages) if self.sealed else response
            return
        if self._opened is None:
            await self.open(loop)
        async with cast("ChatStream", self._opened) as stream:
            self._opened = None
            prose = Prose()
            async for text in stream.text_deltas():
                if shown := prose.feed(text) if self.sealed else text:
                    yield TextDelta(shown, loop.iterations + 1)
            response = await stream.collect()
            if self.sealed:
                response = with_calls(response, self._sealed_messages)
                if rest := (response.text or "")[prose.shown :]:
                    yield TextDelta(rest, loop.iterations + 1)
        yield response

    def _request(self, loop: ToolLoop) -> dict[str, Any]:
        """The keywords of the next call. Without tools, none of the parameters that go with them may be sent."""
        request = {**self._params, "messages": list(loop.history)}
        if self.sealed:
            mark_private(loop.history)
            rules: dict[str, Any] = {name: request.pop(name, None) for name in ("tool_choice", "parallel_tool_calls")}
            self._sealed_messages = sealed_messages(loop.history, loop.offered, **rules)
            return {**request, "messages": list(self._sealed_messages)}
        if loop.offered:
            return {**request, "tools": list(loop.offered)}
        return {name: value for name, value in request.items() if name not in {"tool_choice", "parallel_tool_calls"}}


class ToolStream(Stream[ToolEvent]):
    """The events of a tool loop: an async iterator, and an async context manager that stops the loop on leaving.

    One task reads it and closes it; to stop it from another, cancel that task.
    """

    def __init__(self, run: ToolRun) -> None:
        super().__init__(run.events())
        self._turns = run.turns
        if run.turns.telemetry is not None:
            run.turns.span = run.turns.telemetry.step("invoke_agent")
        self._result: ToolLoopResult | None = None
        self._error: Exception | None = None

    async def __anext__(self) -> ToolEvent:
        try:
            span, going_on = self._turns.span, super().__anext__()
            event = await (going_on if span is None else span.follow(going_on, opens=True))
        except Exception as error:
            self._error = None if isinstance(error, StopAsyncIteration) else error
            if self._turns.sealed:
                without_locals(error)
            raise
        if isinstance(event, ToolLoopResult):
            self._result = event
        return event

    def __aiter__(self) -> ToolStream:
        return self

    async def collect(self) -> ToolLoopResult:
        """The result, also after some of the events, or all, were read; a VeniceError if the loop was stopped before."""
        if self._error is not None:
            raise self._error
        async for event in self:
            del event  # a traceback is not to show it
        if self._result is None:
            raise VeniceError("the tool loop was stopped before its end")
        return self._result

    async def close(self) -> None:
        """Stops the loop: the connection is dropped, and asynchronous tools that run are cancelled. May be called often."""
        await super().close()
        await self._turns.close()
        if self._turns.span is not None:
            self._turns.span.end()


def begun(completions: ChatCalls[Any], given: dict[str, Any], *, streams: bool) -> ToolRun:
    """The run of a loop, by the arguments of `run_with_tools`. `given` is emptied."""
    given.pop("self", None)
    messages, tools = given.pop("messages"), given.pop("tools")
    try:
        rules, limits = ({name: given.pop(name) for name in names if name in given} for names in (_RULES, _LIMITS))
        turns = ModelTurns(completions, given, streams=streams, sealed_tools=given.pop("sealed_tools", False))
        return ToolRun(ToolLoop(messages, tools, **limits), turns, **rules)
    except Exception as refusal:
        del messages  # as in `create`
        without_locals(refusal)
        raise
    finally:
        given.clear()
