"""`client.chat.completions`: plain answers, streams, structured output, batches and tool loops."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from ..._core.concurrency import bounded_map, without_locals
from ..._core.ports import Request
from ..._core.privacy import Privacy
from ..._core.settings import Timeout
from ..._http.caller import Call
from ..._resource import APIResource
from ..._wire.reply_body import completion, is_framed, says_stream
from ..._wire.request_body import chat_body, checked_messages, encode
from ...exceptions import (
    APIError,
    APIResponseProcessingError,
    InvalidArgumentError,
    InvalidRequestError,
    StreamInterruptedError,
)
from ...tee.guard import encryption_requested_in
from ...types.api.chat import ChatCompletionResponse, Messages, ParsedChatCompletion, ToolLoopResult, ToolLoopState
from ...types.api.params import CHAT_PATH, ChatParams
from .encrypted import SealedChat, attested, sealed

if TYPE_CHECKING:
    from ..._http.connection import Connection as VeniceClient  # what of the client is needed here
    from ...costs import ChatCostEstimate
    from ...streaming import ChatStream, ChunkSource
    from ...tee.types import TeeOptions
    from ...tools import Approval, OnLimit, OnUnknownTool
    from ...types.api.params import UntypedMapping
    from ...types.response_meta import ResponseMeta
    from .arguments import (
        Approve,
        CallParams,
        ChatRequest,
        OnToolCall,
        OnToolError,
        ParseParams,
        ToolLoopOptions,
        ToolLoopParams,
        Tools,
    )
    from .parsed import ParsedChatStream
    from .tool_runner import ToolStream
else:

    def __getattr__(name: str) -> object:
        # It is promised to be found here, and needs pydantic, which a chat does not.
        if name != "_default_on_tool_error":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import tool_runner as tool_runs

        return getattr(tool_runs, name)


T = TypeVar("T")


class ChatCompletions(APIResource["VeniceClient"]):
    """Completions and streams of chats. Wraps `POST /chat/completions`."""

    @overload
    async def create(
        self, *, model: str, messages: Messages, stream: Literal[False] = False, **params: Unpack[CallParams]
    ) -> ChatCompletionResponse: ...
    @overload
    async def create(
        self, *, model: str, messages: Messages, stream: Literal[True], stream_cls: None = None, **params: Unpack[CallParams]
    ) -> ChatStream: ...
    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Messages,
        stream: Literal[True],
        stream_cls: Callable[..., Any],
        **params: Unpack[CallParams],
    ) -> Any: ...
    @overload
    async def create(
        self, *, model: str, messages: Messages, stream: bool, **params: Unpack[CallParams]
    ) -> ChatCompletionResponse | ChatStream: ...
    async def create(
        self,
        *,
        model: str,
        messages: Messages,
        stream: bool = False,
        stream_cls: Callable[..., Any] | None = None,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Any,
    ) -> Any:
        """Asks a model for an answer to a conversation.

        Every parameter that is given is checked before anything is sent; what is None or not given is not sent. Keywords
        that are not known here go into the body as they are; type checkers flag them, but not the fields of `extra_body`.

        Args:
            model: id of a model, a trait such as `default`, or an alias; `client.models.resolve_chat()` finds one.
                Feature suffixes (`model:enable_web_search=on`) pass through.
            messages: the conversation, at least one message: objects such as `UserMessage`, mappings of the same shape,
                or a message of an earlier response. They are never changed.
            stream: get the answer piece by piece.
            stream_cls: with `stream`, a class called as `stream_cls(iterator, client=client)`, or one that takes a
                chunk's fields as keywords and is used for each chunk.
            e2ee: end-to-end encryption, with an `e2ee-*` model and the extra `e2ee`; also on if
                `venice_parameters.enable_e2ee` is True. A `TeeOptions` says what to demand of the enclave; True demands what
                the client does. The enclave proves what it is before anything is sent, messages are sealed to its key, and the
                answer is opened here. What cannot be sealed is refused. It does not protect from a relay that tampers.
            timeout: seconds, or a `Timeout`. A number is the deadline of a plain call; for a stream it limits the
                wait for the first chunk, between bytes, and between pieces of content.
            extra_headers: HTTP headers for this call.
            extra_body: fields for the body that this package does not know, or that replace what it would send. Type checkers
                accept any, and nothing in it is checked; only `model`, `messages` and `stream` stay arguments of their own.
            **params: see `ChatParams`: temperature (0 to 2), max_completion_tokens, tools, response_format, ...

        Returns:
            The answer; with `stream`, a `ChatStream` (or what `stream_cls` makes) whose request has been accepted.

        Raises:
            InvalidRequestError: a parameter is not allowed, before the network; or Venice refused the request (400).
            TeeAttestationError: with e2ee, the enclave did not prove what it must; nothing was sent.
            TeeEncryptionError: with e2ee, something in the answer is in clear or cannot be opened.
            ImportError: with e2ee, the extra is not installed.
            AuthenticationError: no key, before the network; or Venice does not accept it (401).
            PaymentRequiredError: the balance does not cover the call (402).
            PermissionDeniedError: the key may not do this (403).
            NotFoundError: there is no such model (404).
            RateLimitError: too fast, or overloaded, also after retries (429).
            StreamInterruptedError: a plain answer came as a stream that broke off.
            APIConnectionError: no answer; `APITimeoutError` if not in time.
            APIError: anything else that went wrong with the call.
            InvalidArgumentError: `stream_cls` was given without `stream=True` (a ValueError).
            TypeError: `max_tokens` was given, or `stream_cls` cannot be called.

        Source: https://docs.venice.ai/api-reference/endpoint/chat/completions
        """
        stream = False if stream is None else stream
        if not isinstance(stream, bool):
            raise InvalidRequestError(f"stream={stream!r} is not allowed: expected True or False")
        if stream_cls is not None and not stream:
            raise InvalidArgumentError("stream_cls makes a stream of the caller's own; it needs stream=True")
        wrap = None if stream_cls is None else _stream_factory(stream_cls)
        body: dict[str, Any] = {}
        given = {**params, "e2ee": e2ee, "extra_body": extra_body} if params or e2ee or extra_body else params
        try:
            body = chat_body(
                model=model, messages=messages, stream=stream, params=params, extra=extra_body, echo=self._echoes(given)
            )
            params = _for_reader({**params, **(extra_body or {})})
            chat = sealed(self._client, body, e2ee=e2ee, stream=stream, timeout=timeout, extra_headers=extra_headers)
            privacy = None
            if chat is None and self._client.min_privacy == "tee":
                privacy = await attested(self._client, body, timeout, stream=stream)
            request = None if chat is not None else self._request(body, stream, timeout, extra_headers, privacy)
        except Exception as refusal:
            del messages, params, body, given, extra_body  # what shows the variables of a traceback must not show the prompt
            without_locals(refusal)
            raise
        if chat is not None:
            del messages, body, given, extra_body  # nor later
            source = await self._open_sealed(chat, model, params)
            if not stream:
                return await source.stream(self._client).collect()
        else:
            assert request is not None
            if not stream:
                response = await self._client.caller.read(request, partial(_read, params["n"]))
                self._client.notices.answer(model, response, self._client.caller.clock.now)
                return response
            source = await self._open(request, model, params)
        if wrap is None:
            return source.stream(self._client)
        try:
            return wrap(source, self._client)
        except BaseException:
            await source.aclose()
            raise

    async def stream(
        self,
        *,
        model: str,
        messages: Messages,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatStream:
        """The same as `create(stream=True)`: a stream whose request has been accepted.

        ::

            async with await completions.stream(model=model, messages=messages) as stream:
                async for text in stream.text_deltas():
                    print(text, end="")

        The arguments are those of `create`. With `e2ee`, what the stream gives is in clear.

        Raises:
            InvalidArgumentError: `stream` is anything but True, or `stream_cls` was given, which `create` takes (a ValueError).
            APIError: as in `create`. What goes wrong later is raised where the stream is read.
        """
        keywords = cast("dict[str, Any]", params)
        _refuse_another_stream(keywords)
        opening = self.create(
            model=model,
            messages=messages,
            stream=True,
            e2ee=e2ee,
            timeout=timeout,
            extra_headers=extra_headers,
            extra_body=extra_body,
            **keywords,
        )
        del messages, params, keywords, extra_body  # as in `create`
        return cast("ChatStream", await opening)

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

        With `e2ee` the schema is told in a message, sealed like the others, for `response_format` travels in clear; so the
        server does not enforce it, and `max_reasks` is worth more.

        Args:
            model: id of a model; `resolve_chat(require_response_schema=True)` finds one that heeds a schema.
            messages: the conversation.
            response_format: a pydantic model, a dataclass, a TypedDict, or any type that pydantic knows. One that is no JSON
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
            TypeError: `response_format` is no class; or `create`, which may be overridden, gave no response.
            APIError: as in `create`; if the model was asked again, `attempts` has the answers that did not fit.
        """
        # They need pydantic, which a chat does not.
        from ..._structured.strict_schema import requested_format
        from .parsed import Parameters, ask_until_valid, request_for_schema

        params = Parameters(kwargs)
        if params.pop("stream", False):
            raise InvalidArgumentError("parse gives one whole object and cannot stream; use stream_parse(...), or stream(...)")
        schema, wrapped = requested_format(response_format, name=schema_name, strict=strict)
        try:
            conversation, shape = request_for_schema(messages, schema, params, echo=self._echoes(params))
        except Exception as refusal:
            del messages, kwargs  # as in `create`
            without_locals(refusal)
            raise
        del messages, kwargs

        async def ask(asked: Messages) -> object:
            return cast("object", await self.create(model=model, messages=asked, response_format=shape, **params))

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

        The arguments are those of `parse`, but for `max_reasks`.

        Raises:
            SchemaNotStrictError: strict mode cannot express the class; it names the path. Nothing was sent.
            InvalidArgumentError: `max_reasks` was given. A ValueError.
            InvalidRequestError: a parameter is not allowed. A ValueError.
            TypeError: `response_format` is no class.
            APIError: as in `create`. What goes wrong later is raised where the stream is read.
        """
        from ..._structured.strict_schema import requested_format
        from .parsed import Parameters, ParsedChatStream, request_for_schema

        if "max_reasks" in kwargs:
            raise InvalidArgumentError(
                "stream_parse shows the answer as it comes and cannot ask again; parse(max_reasks=...) can"
            )
        schema, wrapped = requested_format(response_format, name=schema_name, strict=strict)
        params = Parameters(kwargs)
        try:
            conversation, shape = request_for_schema(messages, schema, params, echo=self._echoes(params))
        except Exception as refusal:
            del messages, kwargs  # as in `create`
            without_locals(refusal)
            raise
        del messages, kwargs
        stream = await self.stream(model=model, messages=conversation, response_format=shape, **params)
        return ParsedChatStream(stream, response_format, wrapped=wrapped)

    async def estimate_cost(
        self, *, model: str, messages: Messages, expected_completion_tokens: int = 500, tokens_per_word: float = 1.3
    ) -> ChatCostEstimate:
        """What a completion is likely to cost, before it is sent. Sends no prompt; looks up prices in the catalogue.

        Args:
            model: id of a model that `client.models.list()` shows, with or without a feature suffix. A trait or an alias is not
                looked up: `(await client.models.find(name)).id` resolves one.
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
        from ..model_choice import entry_by_id, without_suffix
        from ..models import Models

        checked = checked_messages(messages)
        check_numbers("expected_completion_tokens", expected_completion_tokens, tokens_per_word)
        name = without_suffix(model)
        entry = entry_by_id((await self._client.resource(Models).list()).data, name)
        return estimate_chat_cost(
            entry, checked, expected_completion_tokens=expected_completion_tokens, tokens_per_word=tokens_per_word
        )

    async def batch(
        self, requests: Sequence[ChatRequest | UntypedMapping], *, max_concurrency: int = 10, return_exceptions: bool = True
    ) -> list[ChatCompletionResponse | BaseException]:
        """Runs many `create` calls, some at a time. The results stand in the order of the requests.

        Args:
            requests: the keywords of `create`, a mapping for each call. Streams are not for batches.
            max_concurrency: how many calls may be under way at once, from 1.
            return_exceptions: put a failed call's exception in its place; what the functions in its traceback held is let go,
                so that many failures cost little. Without it the first one is raised, what is under
                way is cancelled, and nothing more is sent.

        Raises:
            InvalidArgumentError: `requests` is no list, or `max_concurrency` is below 1 (a ValueError).
            TypeError: with `return_exceptions=False`, `create`, which may be overridden, gave something else than a response.
            VeniceError: with `return_exceptions=False`, the first call that failed; an `InvalidArgumentError` if it wanted a
                stream.
        """
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise InvalidArgumentError(f"max_concurrency={max_concurrency!r} must be a whole number from 1")
        if isinstance(requests, (str, bytes)) or not isinstance(requests, Sequence):
            raise InvalidArgumentError(f"requests must be a list of mappings, one for each call, not {type(requests).__name__}")
        call = self._tried if return_exceptions else self._one
        answers = bounded_map(call, requests, limit=max_concurrency)
        del requests  # as in `create`
        return await answers

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
        deps: Any = None,
        resume: ToolLoopState | Mapping[str, Any] | None = None,
        decisions: Mapping[str, Approval | bool] | None = None,
        **create_kwargs: Unpack[ToolLoopParams],
    ) -> ToolLoopResult:
        """Asks a model that may call tools, runs the tools it calls, and asks again, until it gives its final answer.

        A model's arguments are checked and made what the annotations ask for; null for a parameter that has a default and takes
        no null is the default. A result is told to the model as it is if it is a text, else as JSON; what JSON does not know,
        as `str` has it. What a tool raises, or is wrong with its arguments, is told to the model too, so that it can recover.

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
                returns is told to the model, and what it raises ends the loop. By default (`_default_on_tool_error`) the error
                is logged to `venice_ai.tools` and told. These two hooks are called one at a time, on the caller's event loop
                with its context variables, so a plain one must not block; the synchronous client calls plain ones in threads.
            parallel: run the calls of a turn at the same time instead of one after the other.
            max_iterations: how often the model may be asked, from 1.
            on_limit: when that is used up and the model still calls tools, `"raise"`, leaving those calls pending; or
                `"answer"`: run them and ask once more, without tools.
            on_unknown_tool: `"raise"` when the model calls a tool that is not there, or `"report"` it to the model.
            approve: called as `(call, arguments)` for each call of a turn, in their order, before any of them runs; answers
                with an `Approval`, True or False. A plain function is called in a thread.
            tool_timeout: seconds that each call may take; then the model is told. A thread that runs on is left alone.
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
        from .tool_runner import PlainAsking, begun  # they need pydantic, which a chat does not

        run, _, _ = begun(self, PlainAsking, given)
        return await run.result()

    async def stream_with_tools(
        self, *, model: str, messages: Messages | None = None, tools: Tools, **options: Unpack[ToolLoopOptions]
    ) -> ToolStream:
        """The same loop as `run_with_tools`, told as it happens: an iterator of events, whose first request has been accepted.

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
        from .tool_runner import StreamedAsking, ToolStream, begun

        run, loop, asking = begun(self, StreamedAsking, given)
        if not loop.open_calls:
            await asking.open(loop)
        return ToolStream(run, asking)

    def _echoes(self, params: Mapping[str, Any]) -> bool:
        """Whether an error may repeat what stands in a message: not where that must not be seen."""
        return self._client.min_privacy != "e2ee" and not (params and encryption_requested_in(params))

    async def _one(self, request: object) -> ChatCompletionResponse | BaseException:
        if not isinstance(request, Mapping):
            raise InvalidArgumentError(f"a request of a batch is a mapping of keywords, not {type(request).__name__}")
        keywords = cast("Mapping[str, Any]", request)
        if keywords.get("stream"):
            raise InvalidArgumentError("a batch cannot stream; call stream(...) for this request")
        call = cast("Any", self.create)(**keywords)
        del request, keywords  # as in `create`
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

    def _request(
        self,
        body: dict[str, Any],
        stream: bool,
        timeout: float | Timeout | None,
        extra_headers: Mapping[str, str] | None,
        privacy: Privacy | None,
    ) -> Request:
        """The request that sends a body in clear."""
        return self._client.build_request(
            "POST",
            CHAT_PATH,
            body=encode(body),
            stream=stream,
            timeout=timeout,
            extra_headers=extra_headers,
            needs_key=True,
            privacy=privacy,
        )

    async def _open_sealed(self, chat: SealedChat, model: str, params: Mapping[str, Any]) -> ChunkSource:
        try:
            return await self._open(await chat.request(), model, params, chat)
        except InvalidRequestError as failure:
            request = await chat.renewed(failure)
        return await self._open(request, model, params, chat)

    async def _open(
        self, request: Request, model: str, params: Mapping[str, Any], chat: SealedChat | None = None
    ) -> ChunkSource:
        caller = self._client.caller
        sent = caller.clock.now()
        call = Call(caller, request)
        answer = await call.answer()
        from ...streaming import ChunkReader, ChunkSource  # a plain call starts without it

        reader = ChunkReader(
            answer.reply,
            answer.meta,
            choices=params["n"],
            every_chunk=params["stream_options"] is not None,
            watch_progress=request.timeout.progress is not None,
            now=caller.clock.now,
            sent=sent,
            session=None if chat is None else chat.session,
            settle=None if chat is None or chat.options.verify_signature == "off" else chat.settle,
            call=call,
            secret=request.secret,
            notices=self._client.notices,
            model=model,
        )
        if not says_stream(answer.meta):
            await reader.look()
        return ChunkSource(reader)


def _for_reader(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What of a request the reader of its answer needs. In `extra_body`, which nothing checks, `n` may be anything."""
    n = asked.get("n")
    return {"n": n if isinstance(n, int) and n else 1, "stream_options": asked.get("stream_options")}


def _read(choices: int, body: bytes, meta: ResponseMeta, secret: bytes) -> ChatCompletionResponse | APIError:
    """The completion in the body of a plain call, also where it is a stream of events; or the error that it is or holds."""
    found = completion(body, meta, secret)
    if isinstance(found, APIResponseProcessingError) and is_framed(body):
        from ...streaming import whole_answer  # a plain call starts without it

        answer = whole_answer(body, meta, secret, choices=choices)
        nothing = isinstance(answer, StreamInterruptedError) and not (answer.partial and answer.partial.choices)
        return found if nothing else answer
    return found


def _refuse_another_stream(params: dict[str, Any]) -> None:
    """`stream(stream=True)` says nothing new; all else would be something else than the `ChatStream` that is promised."""
    streams = params.pop("stream", None)
    if not (streams is None or streams is True):
        raise InvalidArgumentError(f"stream={streams!r} is not allowed: stream(...) streams; create(...) gives a whole answer")
    if params.pop("stream_cls", None) is not None:
        raise InvalidArgumentError("stream(...) gives a ChatStream; use create(stream=True, stream_cls=...) for another one")


def _stream_factory(stream_cls: Callable[..., Any]) -> Callable[[Any, VeniceClient], Any]:
    """How to make the caller's stream from the chunks; see `takes_fields`."""
    if takes_fields(stream_cls):
        from ...streaming import ModelStream

        return lambda source, client: ModelStream(source, stream_cls, client=client)
    return lambda source, client: stream_cls(source, client=client)


def takes_fields(stream_cls: Callable[..., Any]) -> bool:
    """Whether a `stream_cls` is called with each chunk's fields; otherwise with the chunks' iterator and the client.

    Raises:
        TypeError: it can be called neither way.
    """
    try:
        parameters = inspect.signature(stream_cls)
    except (TypeError, ValueError):
        raise TypeError(f"stream_cls={stream_cls!r} is not a class that can be called") from None
    try:
        parameters.bind(None, client=None)
    except TypeError:
        pass
    else:
        return False
    keywords_only = all(p.kind in {p.KEYWORD_ONLY, p.VAR_KEYWORD} for p in parameters.parameters.values())
    if not parameters.parameters or not keywords_only:
        raise TypeError(
            f"stream_cls={stream_cls!r} is called as stream_cls(iterator, client=client), or with a chunk's fields as keywords"
        )
    return True
