"""`SyncVeniceClient`, the client for code that does not await: each method runs the asynchronous one of the same name."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterable, Callable, Coroutine, Generator, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from .._core.first_use import made_once
from .._core.ports import drive
from .connection import SyncConnection, SyncResource, given_arguments, loop_thread

if TYPE_CHECKING:
    from .._core.settings import Timeout
    from .._limits.budget import Budget
    from ..batches.items import BatchItem, BatchProgress, ParsedT
    from ..batches.journal import Journal
    from ..costs import ChatCostEstimate
    from ..resources.chat import ChatCompletions
    from ..resources.chat.arguments import BatchRequest, CallParams, ChatRequest, ParseParams, StreamCls, ToolLoopOptions, Tools
    from ..streaming import ChatStream
    from ..tee.types import TeeOptions
    from ..types.api.chat import ChatCompletionResponse, Messages, ParsedChatCompletion, ToolLoopResult
    from ..types.api.params import UntypedMapping
    from .parsed_stream import SyncParsedChatStream
    from .resources import SyncLimits, SyncModels
    from .streams import SyncChatStream, SyncToolStream
    from .tee import SyncTee

T = TypeVar("T")


class SyncVeniceClient(SyncConnection):
    """`VeniceClient` for code that does not await: scripts, notebooks, threads.

    ::

        with SyncVeniceClient() as client:
            model = client.models.resolve_chat()
            stream = client.chat.completions.stream(model=model, messages=messages)
            for text in stream.text_deltas():
                print(text, end="")

    `create` and `parse` send their requests from the thread that calls. Streams, batches, tools, the catalogue, end-to-end
    encryption, whatever goes through a proxy, everything of a client with a `transport`, `clock`, `min_privacy` or `budget`,
    and on Windows every call run on one event loop, on a daemon thread that all synchronous clients of the process share. Calls
    may be made from any thread, also while an event loop runs there, and go on after a fork. An exception that ends the
    waiting, such as Ctrl-C, cancels the request.

    The arguments, attributes and errors are those of `VeniceClient`, but for `session`; a `transport` and a `clock` are called
    on the loop's thread.
    """

    @made_once
    def chat(self) -> SyncChat:
        """Chats: `client.chat.completions`."""
        return SyncChat(self)

    @made_once
    def models(self) -> SyncModels:
        """The catalogue of models."""
        from .resources import SyncModels

        return SyncModels(self)

    @made_once
    def limits(self) -> SyncLimits:
        """The limits of the account: `client.limits.snapshot()`."""
        from .resources import SyncLimits

        return SyncLimits(self)

    @made_once
    def tee(self) -> SyncTee:
        """Attestations and signatures of enclaves; an ImportError if the extra `e2ee` is not installed."""
        from .tee import SyncTee

        return SyncTee(self)


class SyncChat(SyncResource):
    """Chats."""

    def __init__(self, client: SyncConnection) -> None:
        super().__init__(client)
        self.completions: SyncChatCompletions = SyncChatCompletions(client)
        if getattr(sys, "ps1", "") or {"IPython", "pydoc"}.intersection(sys.modules):  # it would double a script's start
            _document()


class SyncChatCompletions(SyncResource):
    """Completions and streams of chats; see `ChatCompletions`, also for every method."""

    @property
    def _async(self) -> ChatCompletions:
        return self._connected.chat.completions

    @overload
    def create(
        self, *, model: str, messages: Messages, stream: Literal[False] = False, **params: Unpack[CallParams]
    ) -> ChatCompletionResponse: ...
    @overload
    def create(
        self, *, model: str, messages: Messages, stream: Literal[True], stream_cls: None = None, **params: Unpack[CallParams]
    ) -> SyncChatStream: ...
    @overload
    def create(
        self, *, model: str, messages: Messages, stream: Literal[True], stream_cls: StreamCls, **params: Unpack[CallParams]
    ) -> Any: ...
    @overload
    def create(
        self, *, model: str, messages: Messages, stream: bool, **params: Unpack[CallParams]
    ) -> ChatCompletionResponse | SyncChatStream: ...
    def create(
        self,
        *,
        model: str,
        messages: Messages,
        stream: bool = False,
        stream_cls: StreamCls | None = None,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        fallback_models: Sequence[str] | None = None,
        fail_fast: bool | None = None,
        **params: Any,
    ) -> Any:
        """Asks a model for an answer to a conversation; see `ChatCompletions.create`, also for what it raises.

        With `stream`, the answer is a `SyncChatStream`, or what `stream_cls` makes: it is called with an iterator, or with each
        chunk's fields.
        """
        given = given_arguments(locals())
        del messages, params, extra_body  # what shows the local variables of a traceback must not show the prompt
        if stream is not True:
            return self._answered("create", given)
        wrap: Any = None
        if stream_cls is not None:
            from ..resources.chat.calls import stream_factory
            from .streams import SyncStream

            wrap = stream_factory(given.pop("stream_cls"), SyncStream)
        opening: Any = cast("Any", self._async.create)(**given)
        given.clear()
        return self._stream(opening, wrap)

    def _answered(self, method: Literal["create", "parse"], given: dict[str, Any]) -> Any:
        """The result of a call that sends one request after another: in this thread if that can be, else on the event loop."""
        here = self._client._for_this_thread(given)  # noqa: SLF001  # of the same package
        call = getattr(self._async if here is None else here.chat.completions, method)(**given)
        given.clear()  # the caller's, too
        return self._run(call) if here is None else drive(call)

    def _stream(self, opening: Coroutine[Any, Any, ChatStream], wrap: Callable[[Any, Any], Any] | None = None) -> Any:
        """The stream that a coroutine opens, or what a `stream_cls` makes of its chunks."""
        from .streams import SyncChatStream, SyncChunkSource

        source = SyncChunkSource(loop_thread(), opening, owner=self._client)
        try:
            return SyncChatStream(source, client=self._client) if wrap is None else wrap(source, self._client)
        except BaseException:
            source.close()
            raise

    def stream(self, *, model: str, messages: Messages, **params: Unpack[CallParams]) -> SyncChatStream:
        """A stream whose request has been accepted; see `ChatCompletions.stream`, also for what it raises."""
        opening: Any = self._async.stream(**given_arguments(locals()))
        del messages, params  # as in `create`
        return cast("SyncChatStream", self._stream(opening))

    def parse(
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
        """Asks a model for an object of a class, and validates it; see `ChatCompletions.parse`, also for what it raises."""
        given = given_arguments(locals())
        del messages, kwargs  # as in `create`
        return cast("ParsedChatCompletion[T]", self._answered("parse", given))

    def stream_parse(
        self,
        *,
        model: str,
        messages: Messages,
        response_format: type[T],
        schema_name: str | None = None,
        strict: bool = True,
        **kwargs: Unpack[ParseParams],
    ) -> SyncParsedChatStream[T]:
        """Asks for an object, and shows it while it is written; see `ChatCompletions.stream_parse`, also for what it raises."""
        from .._structured.strict_schema import requested_format  # it needs pydantic, which a chat does not
        from ..resources.chat.parsed import Parameters
        from .parsed_stream import SyncParsedChatStream

        start = self._async._stream_of  # noqa: SLF001  # of the same package
        opening = start(model, messages, response_format, schema_name, strict, Parameters(kwargs))
        del messages, kwargs  # as in `create`
        stream = self._stream(opening)
        return SyncParsedChatStream(stream, response_format, wrapped=requested_format(response_format, strict=strict)[1])

    def estimate_cost(
        self, *, model: str, messages: Messages, expected_completion_tokens: int = 500, tokens_per_word: float = 1.3
    ) -> ChatCostEstimate:
        """The likely cost of a completion, before it is sent; see `ChatCompletions.estimate_cost`."""
        return self._run(self._async.estimate_cost(**given_arguments(locals())))

    def batch(
        self,
        requests: Sequence[ChatRequest | UntypedMapping],
        *,
        max_concurrency: int = 10,
        return_exceptions: bool = True,
        on_result: Callable[[int, ChatCompletionResponse | BaseException], object] | None = None,
    ) -> list[ChatCompletionResponse | BaseException]:
        """Runs many `create` calls, some at a time; see `ChatCompletions.batch`. `on_result` is called on the loop's thread."""
        running = self._async.batch(**given_arguments(locals()))
        del requests  # as in `create`
        return self._run(running)

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
    ) -> Generator[BatchItem[ParsedT], None, None]:
        """Sends any number of requests, and gives what comes of each as it is there; see `ChatCompletions.batch_iter`.

        The requests are pulled in a thread, and may block. `close()` of the generator is what leaving the loop does.
        """
        given = given_arguments(locals())
        from .batches import items_of  # a chat starts without it

        return items_of(self._async, given)

    def run_with_tools(
        self, *, model: str, messages: Messages | None = None, tools: Tools, **options: Unpack[ToolLoopOptions]
    ) -> ToolLoopResult:
        """Asks a model that may call tools, until it gives its final answer; see `ChatCompletions.run_with_tools`.

        Asynchronous tools run on the loop's thread, synchronous ones each on a thread of its own. Only the latter may call a
        synchronous client.
        """
        from ..tools.toolbox import prepared  # needs pydantic, which a chat does not

        running = self._async.run_with_tools(model=model, messages=messages, tools=prepared(tools), **options)
        del messages, options  # as in `create`
        return self._run(running)

    def stream_with_tools(
        self, *, model: str, messages: Messages | None = None, tools: Tools, **options: Unpack[ToolLoopOptions]
    ) -> SyncToolStream:
        """Runs the loop of `run_with_tools`, and yields its events; see `ChatCompletions.stream_with_tools`.

        The loop goes on as its events are read: the next tool runs once the event before it was taken.
        """
        from ..tools.toolbox import prepared  # needs pydantic, which a chat does not
        from .streams import SyncSource, SyncToolStream

        opening = self._async.stream_with_tools(model=model, messages=messages, tools=prepared(tools), **options)
        del messages, options  # as in `create`
        return SyncToolStream(SyncSource(loop_thread(), opening, ahead=1, owner=self._client), client=self._client)


@cache
def _document() -> None:
    """Has `help` and notebooks show the methods with the documentation and the parameters of the asynchronous ones."""
    from inspect import Parameter, Signature, signature

    from ..resources.chat import ChatCompletions
    from ..types.api.params import ChatParams

    fields = [Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in ChatParams.__annotations__]
    for name in [name for name in vars(SyncChatCompletions) if not name.startswith("_")]:
        method, original = vars(SyncChatCompletions)[name], getattr(ChatCompletions, name)
        shown = {**signature(original).parameters}
        rest = [shown.pop(last) for last in [*shown] if shown[last].kind is Parameter.VAR_KEYWORD]
        named = [*shown.values(), *(each for each in fields if rest and each.name not in shown), *rest]
        method.__signature__ = Signature(named, return_annotation=method.__annotations__["return"])
        method.__doc__ = f"{original.__doc__}\n\n        In the synchronous client: {method.__doc__}"
