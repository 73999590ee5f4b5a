"""`client.chat.completions`: plain answers, streams, structured output, batches and tool loops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast

from ..._core.concurrency import bounded_map, without_locals
from ..._core.privacy import PREFIX
from ..._wire.request_body import checked_messages, encode
from ...exceptions import InvalidArgumentError, NoMatchingModelError
from ...types.api.chat import ChatCompletionResponse, Messages, ParsedChatCompletion, ToolLoopResult, ToolLoopState
from .calls import ChatCalls

if TYPE_CHECKING:
    from ..._http.connection import Connection as VeniceClient  # noqa: F401  # what of the client is needed here
    from ..._limits.budget import Budget
    from ...batches.items import BatchItem, BatchProgress, ParsedT
    from ...batches.journal import Journal
    from ...costs import ChatCostEstimate
    from ...streaming import ChatStream
    from ...tools import Approval, OnLimit, OnUnknownTool
    from ...types.api.params import UntypedMapping
    from .arguments import (
        Approve,
        BatchRequest,
        ChatRequest,
        OnToolCall,
        OnToolError,
        ParseParams,
        ToolLoopOptions,
        ToolLoopParams,
        Tools,
    )
    from .parsed import Parameters, ParsedChatStream
    from .tool_runner import ToolStream
else:

    def __getattr__(name: str) -> object:
        # It is promised to be found here, and needs pydantic, which a chat does not.
        if name != "_default_on_tool_error":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import tool_runner as tool_runs

        return getattr(tool_runs, name)


T = TypeVar("T")


class ChatCompletions(ChatCalls["VeniceClient"]):
    """Completions and streams of chats. Wraps `POST /chat/completions`."""

    async def parse(
        self,
        *,
        model: str,
        messages: Messages,
        response_format: type[T],
        schema_name: str | None = None,
        strict: bool = True,
        max_reasks: int = 0,
        **kwargs: Unpack[ParseParams],
    ) -> ParsedChatCompletion[T]:
        """Asks a model for an object of a class, and validates what it answers.

        ::

            result = await completions.parse(model=model, messages=messages, response_format=Person)
            print(result.parsed.name, result.usage)

        JSON in one markdown fence, or after a `<think>` block, is taken out of it, and `result.unwrapped` says so.

        With `e2ee` the schema is put in a message, sealed like the others, for `response_format` travels in clear; so the
        server does not enforce it, and `max_reasks` is worth more.

        Args:
            model: id of a model; `resolve_chat(require_response_schema=True)` finds one that heeds a schema.
            messages: the conversation.
            response_format: a pydantic model, a dataclass, a TypedDict, or any type that pydantic knows. One that is not JSON
                object, such as `list[Person]`, is asked for within an object and taken out of it.
            schema_name: the schema's name, 1 to 64 letters, digits, `_` or `-`. If not given, that of the class; in it, what is
                not allowed becomes `_`, and what is too long is cut, with a hash at its end.
            strict: ask for strict mode. With False the schema is sent as pydantic writes it.
            max_reasks: how often to ask again, from 0, when an answer does not fit the class. Only the last answer and what
                is wrong with it are sent along. Each attempt is billed: see `attempts` and `total_usage` of the result.
            **kwargs: everything else that `create` takes; `timeout` is for each attempt.

        Raises:
            SchemaNotStrictError: strict mode cannot express the class; it names the path. Nothing was sent. A ValueError.
            OutputInvalidError: the answer does not fit the class. A `pydantic.ValidationError`, and so a ValueError.
            OutputMissingError: the answer has no text at all. A ValueError.
            OutputTruncatedError: the answer was cut off. A `pydantic.ValidationError`.
            OutputRefusedError: the model, or a filter, refused. A ValueError.
            ToolCallInsteadError: the model wants a tool called. A ValueError.
            InvalidArgumentError: `stream=True`, or `max_reasks` is below 0. A ValueError.
            InvalidRequestError: a parameter is not allowed. A ValueError.
            TypeError: `response_format` is not a class; or `create`, which may be overridden, gave no response.
            APIError: as in `create`; if the model was asked again, `attempts` has the answers that did not fit.
        """
        from .parsed import Parameters, ask_until_valid, request_for  # they need pydantic, which a chat does not

        params = Parameters(kwargs)
        if params.pop("stream", False):
            raise InvalidArgumentError("parse gives one whole object and cannot stream; use stream_parse(...), or stream(...)")
        request = request_for(response_format, messages, params, name=schema_name, strict=strict, echoes=self._echoes)
        del messages, kwargs  # as in `create`
        conversation, shape, wrapped = await request

        async def ask(conversation: Messages) -> object:
            return cast("object", await self.create(model=model, messages=conversation, response_format=shape, **params))

        return await ask_until_valid(response_format, conversation, ask, wrapped=wrapped, max_reasks=max_reasks)

    async def stream_parse(
        self,
        *,
        model: str,
        messages: Messages,
        response_format: type[T],
        schema_name: str | None = None,
        strict: bool = True,
        **kwargs: Unpack[ParseParams],
    ) -> ParsedChatStream[T]:
        """Asks a model for an object of a class, and shows it while it is written: see `ParsedChatStream`.

        ::

            stream = await completions.stream_parse(..., response_format=Recipe)
            async with stream:
                async for recipe in stream:
                    show(recipe.title, recipe.steps)  # what has not come yet is None
                result = await stream.collect()  # validated

        The arguments are those of `parse`, but for `max_reasks`, and so are the errors; what goes wrong after the request was
        accepted is raised where the stream is read.
        """
        from ..._structured.strict_schema import requested_format
        from .parsed import Parameters, ParsedChatStream

        opening = self._stream_of(model, messages, response_format, schema_name, strict, Parameters(kwargs))
        del messages, kwargs  # as in `create`
        stream = await opening
        return ParsedChatStream(stream, response_format, wrapped=requested_format(response_format, strict=strict)[1])

    async def _stream_of(
        self, model: str, messages: Messages, kind: Any, name: str | None, strict: bool, params: Parameters
    ) -> ChatStream:
        """The stream of `stream_parse`, as chunks: each client makes objects of them in a class of its own."""
        from .parsed import request_for

        if "max_reasks" in params:
            raise InvalidArgumentError("stream_parse shows what comes and cannot ask again; parse(max_reasks=...) can")
        request = request_for(kind, messages, params, name=name, strict=strict, echoes=self._echoes)
        del messages
        conversation, shape, _ = await request
        return await self.stream(model=model, messages=conversation, response_format=shape, **params)

    async def estimate_cost(
        self, *, model: str, messages: Messages, expected_completion_tokens: int = 500, tokens_per_word: float = 1.3
    ) -> ChatCostEstimate:
        """Estimates the cost of a completion before it is sent. Sends no prompt; looks up prices in the catalogue.

        Args:
            model: id of a model that `client.models.list()` shows, with or without a feature suffix, of which
                `:include_venice_system_prompt=false` counts. A trait or an alias is not looked up:
                `(await client.models.find(name)).id` resolves one.
            messages: what would be sent.
            expected_completion_tokens: how long the answer may be, from 0.
            tokens_per_word: tokens for a word; 1.3 suits English, code and Chinese want more.

        Raises:
            NoMatchingModelError: the model is not in the catalogue (a ValueError).
            InvalidArgumentError: it has no token prices, is no model id, or a number is out of range (a ValueError).
            InvalidRequestError: the messages are not allowed (a ValueError).
            APIError: the catalogue could not be had.
        """
        from ...costs import check_numbers, estimate_chat_cost
        from ..model_choice import find_entry, without_suffix
        from ..models import Models

        checked = checked_messages(messages)
        check_numbers("expected_completion_tokens", expected_completion_tokens, tokens_per_word)
        name, bare = without_suffix(model), "include_venice_system_prompt=false" in model
        if (entry := find_entry((await self._client.resource(Models).list()).data, name)) is None:
            raise NoMatchingModelError(
                f"model {name!r} was not found in the catalogue; client.models.list() shows all. If it is a trait or an alias, "
                "resolve it first: (await client.models.find(...)).id"
            )
        return estimate_chat_cost(
            entry,
            checked,
            expected_completion_tokens=expected_completion_tokens,
            tokens_per_word=tokens_per_word,
            learnt=self._client.token_counts.tokens(name + "\n" * bare, encode({"model": name, "messages": checked})),
            venice_prompt=not bare and not name.startswith(PREFIX),  # which is not there in a sealed chat
        )

    async def batch(
        self,
        requests: Sequence[ChatRequest | UntypedMapping],
        *,
        max_concurrency: int = 10,
        return_exceptions: bool = True,
        on_result: Callable[[int, ChatCompletionResponse | BaseException], object] | None = None,
    ) -> list[ChatCompletionResponse | BaseException]:
        """Runs many `create` calls, some at a time. The results stand in the order of the requests.

        For what must not be lost, or is large, there is `batch_iter`.

        Args:
            requests: the keywords of `create`, a mapping for each call. Streams are not for batches.
            max_concurrency: how many calls may be under way at once, from 1.
            return_exceptions: put a failed call's exception in its place; what the functions in its traceback held is let go,
                so that many failures cost little. Without it the first one is raised, what is under
                way is cancelled, and nothing more is sent; `error.results` holds what was answered, by index.
            on_result: called at once with the index and the response, or the error, of each call that is over; so also of those
                before a failure or a cancellation. It should not block. If it raises, it is not called again, and no other call
                begins; what is under way is waited for, and its exception is raised, with `results` as above.

        Raises:
            InvalidArgumentError: `requests` is not a list, or `max_concurrency` is below 1 (a ValueError).
            TypeError: with `return_exceptions=False`, `create`, which may be overridden, gave something else than a response.
            VeniceError: with `return_exceptions=False`, the first call that failed; an `InvalidArgumentError` if it wanted a
                stream.
            TypeError: `on_result` cannot be called.
        """
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise InvalidArgumentError(f"max_concurrency={max_concurrency!r} must be a whole number from 1")
        if isinstance(requests, (str, bytes)) or not isinstance(requests, Sequence):
            raise InvalidArgumentError(f"requests must be a list of mappings, one for each call, not {type(requests).__name__}")
        from ...batches.identity import as_it_is  # a chat starts without it

        call = self._tried if return_exceptions else self._one
        answered: dict[int, Any] = {}
        given = [*map(as_it_is, requests)]  # what the caller changes later, as in `on_result`, is not sent
        answers = bounded_map(call, given, limit=max_concurrency, results=answered, on_result=on_result)
        del requests, given  # as in `create`
        try:
            return await answers
        except Exception as error:  # also what `on_result` raised
            cast("Any", error).results = answered
            raise

    def batch_iter(
        self,
        requests: Iterable[BatchRequest | UntypedMapping] | AsyncIterable[BatchRequest | UntypedMapping],
        *,
        journal: Journal | None = None,
        budget: Budget | None = None,
        max_concurrency: int | Literal["auto"] = "auto",
        ordered: bool = False,
        on_progress: Callable[[BatchProgress], object] | None = None,
        response_format: type[ParsedT] | Mapping[str, Any] | None = None,
        tools: Tools | None = None,
        drain_seconds: float = 10.0,
    ) -> AsyncGenerator[BatchItem[ParsedT], None]:
        """Sends any number of requests, and gives what comes of each as soon as it is there; with a journal, nothing twice.

        ::

            with Journal("answers.journal") as journal:
                async for item in completions.batch_iter(requests, journal=journal):
                    print(item.index, item.error or item.response.text)

        Requests are pulled only as there is room, so there may be a million of them, or no end. A failed one is an item with
        an `error`, and the others go on, also after a 401, which all will meet: `raise item.error` in the loop ends the batch.
        Whoever leaves the loop, is cancelled or presses Ctrl-C sends nothing more; what is in flight is waited for, up to
        `drain_seconds`, and kept in the journal. A second Ctrl-C drops it.

        Args:
            requests: the keywords of `create` (of `parse`, `run_with_tools`), a mapping for each call, with a `custom_id` if it
                is to be known by one. A plain iterable is pulled on the event loop, so it should not block.
            journal: where intents and answers are kept; see `Journal`. What it has the answer to is not sent again.
            budget: a cap on what the batch may cost, beside that of the client.
            max_concurrency: how many requests may be under way at once, from 1; `"auto"` follows the client's limiter.
            ordered: give the items in the order of the requests.
            on_progress: called with a `BatchProgress` whenever an item is done.
            response_format: a class that answers are parsed as, as `parse` does (`max_reasks` of a request included); or a
                JSON schema as `create` takes it, whose JSON is `item.parsed`.
            tools: what the model may call; then each request is a loop as in `run_with_tools`.
            drain_seconds: how long to wait for what is in flight when the iterator is left, from 0.

        Raises:
            InvalidArgumentError: an argument is wrong, or the journal was made with other settings (a ValueError).
            BudgetExceededError: while it is read: the budget is used up. Every item that was done is given before.
            VeniceError: while it is read: the journal cannot be written. Every item that was done is given before.
            TypeError: `on_progress` cannot be called.
        """
        given = dict(locals())
        from .batch_run import Batch  # a chat starts without it

        return Batch(given.pop("self"), **given).run()

    async def run_with_tools(
        self,
        *,
        model: str,
        messages: Messages | None = None,
        tools: Tools,
        on_tool_call: OnToolCall | None = None,
        on_tool_error: OnToolError | None = None,
        parallel: bool = False,
        max_iterations: int = 10,
        on_limit: OnLimit = "raise",
        on_unknown_tool: OnUnknownTool = "raise",
        approve: Approve | None = None,
        tool_timeout: float | None = None,
        sealed_tools: bool = False,
        deps: Any = None,
        resume: ToolLoopState | Mapping[str, Any] | None = None,
        decisions: Mapping[str, Approval | bool] | None = None,
        **create_kwargs: Unpack[ToolLoopParams],
    ) -> ToolLoopResult:
        """Asks a model that may call tools, runs the tools it calls, and asks again, until it gives its final answer.

        A model's arguments are checked and made what the annotations ask for; null for a parameter that has a default and takes
        no null is the default. A result is sent to the model as it is if it is a text, else as JSON; what JSON does not know,
        as `str` has it. What a tool raises, or is wrong with its arguments, is sent to the model too, so that it can recover.

        Args:
            model: id of a model that can call functions.
            messages: the conversation so far; never changed.
            tools: functions (methods, partials, callable objects; synchronous or not), `FunctionTool`s, and definitions as
                `Tool`s, which `on_tool_call` runs. Each call of a synchronous function runs in a thread of its own. It sees a
                copy of the caller's context variables, so that what it sets is not seen outside, and it cannot use what belongs
                to the thread that made it, such as a connection of `sqlite3`: open that in the tool, or with
                `check_same_thread=False` and a lock, or write the tool as `async def`, which runs on the caller's event loop.
            on_tool_call: called as `(call, result)` after each tool; what it returns then is ignored. For a `Tool` without a
                function it is called as `(call, arguments)` instead, and what it returns, if not None, is the result.
            on_tool_error: called as `(call, error)` while the error is being handled, so that a bare `raise` raises it; what it
                returns is sent to the model, and what it raises ends the loop. By default (`_default_on_tool_error`) the error
                is logged to `venice_ai.tools` and sent. These two hooks are called one at a time, on the caller's event loop
                with its context variables, so a plain one must not block; the synchronous client calls plain ones in threads.
            parallel: run the calls of a turn at the same time instead of one after the other.
            max_iterations: how often the model may be asked, from 1.
            on_limit: when that is used up and the model still calls tools, `"raise"`, leaving those calls pending; or
                `"answer"`: run them and ask once more, without tools.
            on_unknown_tool: `"raise"` when the model calls a tool that is not there, or `"report"` it to the model.
            approve: called as `(call, arguments)` for each call of a turn, in their order, before any of them runs; answers
                with an `Approval`, True or False. A plain function is called in a thread.
            tool_timeout: seconds that each call may take; then the model gets that error. A thread that runs on is left alone.
            sealed_tools: with `e2ee`, which allows no tools otherwise: describe them in a sealed message, read the calls from
                the model's text, send results as sealed messages. `tool_choice` is then put in words, and not enforced.
            deps: what tools find as `deps` in their `ToolContext`.
            resume: the state of a loop that paused or failed (`error.state`, `error.tool_loop`), in place of messages. Tools,
                model and parameters are given again.
            decisions: with resume, an `Approval`, True or False for the ids of calls that wait for one. Others go on waiting.
            **create_kwargs: for `create` on every round trip. So `tool_choice="required"` makes the model call tools until
                the limit is reached; `timeout` is for each round trip.

        Raises:
            MaxIterationsExceededError: the limit is reached, and the model still calls tools.
            ToolLoopPausedError: a call waits for a person.
            UnknownToolError: the model called a tool that is not there, or that nothing runs. A ValueError.
            NoChoicesError: the model's answer has no choices. A ValueError.
            NoToolCallsError: the model's answer says that it calls tools, and holds neither a call nor a text. A ValueError.
            InvalidRequestError: an argument or a function cannot be right; nothing was sent. A ValueError.
            APIError: as in `create`, on any round trip; `error.tool_loop` has the loop as it was before.
        """
        given = dict(locals())
        given |= given.pop("create_kwargs")
        del messages, create_kwargs  # as in `create`
        from .tool_runner import ToolStream, begun  # they need pydantic, which a chat does not

        return await ToolStream(begun(self, given, streams=False)).collect()

    async def stream_with_tools(
        self, *, model: str, messages: Messages | None = None, tools: Tools, **options: Unpack[ToolLoopOptions]
    ) -> ToolStream:
        """The loop of `run_with_tools` as an iterator of its events while they happen; its first request has been accepted.

        ::

            async with await completions.stream_with_tools(..., tools=[add]) as events:
                async for event in events:
                    match event:
                        case TextDelta(text=text):
                            print(text, end="")
                        case ToolCallStarted(call=call):
                            print(f"[{call.function.name}]")

        The events are `TextDelta`, `ToolCallStarted`, `ToolCallFinished`, `RoundFinished`, and last the `ToolLoopResult`. The
        loop goes on as its events are read.

        The arguments are those of `run_with_tools`; what is for `create` there is for `stream` here, on every round trip.

        Raises:
            VeniceError: as in `run_with_tools`; what goes wrong after the first request is raised where the events are read.
        """
        given: dict[str, Any] = {"model": model, "messages": messages, "tools": tools, **options}
        del messages, options
        from .tool_runner import ToolStream, begun

        run = begun(self, given, streams=True)
        events = ToolStream(run)
        if not run.loop.open_calls:
            span, opening = run.turns.span, run.turns.open(run.loop)
            await (opening if span is None else span.follow(opening, opens=True))
        return events

    async def _one(self, request: object) -> ChatCompletionResponse | BaseException:
        from ...batches.identity import split  # a chat starts without it

        split(request)  # what is not a request of a batch is refused
        call = cast("Any", self.create)(**cast("Mapping[str, Any]", request))
        del request  # as in `create`
        response: object = await call
        if not isinstance(response, ChatCompletionResponse):
            raise TypeError(f"create gave {type(response).__name__}, not a ChatCompletionResponse")
        return response

    async def _tried(self, request: object) -> ChatCompletionResponse | BaseException:
        call = self._one(request)
        del request  # as in `create`
        try:
            return await call
        except Exception as error:  # noqa: BLE001  # whatever it is, it is handed to the caller in its place
            return without_locals(error)
        except asyncio.CancelledError as error:
            if cast("asyncio.Task[Any]", asyncio.current_task()).cancelling():
                raise
            return without_locals(error)  # not the batch was cancelled, but something within this call
