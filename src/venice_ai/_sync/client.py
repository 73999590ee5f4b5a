"""`SyncVeniceClient`: the same client for code that does not await.

Every method runs the method of the same name of the asynchronous client: one request after the other in the thread that calls
(`_http/blocking_transport.py`), everything else on one event loop thread, on which it waits. What the arguments mean, and which
errors there are, stands with the asynchronous methods. A test compares the signatures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, NoReturn, Self, TypeVar, Unpack, cast, overload

from .._client import VeniceClient
from .._core.first_use import load, made_once
from .._core.run_now import drive
from ..exceptions import VeniceError
from .facade import Facade

if TYPE_CHECKING:
    import ssl

    from .._core.privacy import Privacy
    from .._core.settings import Timeout
    from ..costs import ChatCostEstimate
    from ..resources.chat import ChatCompletions
    from ..resources.chat.parsed import ParsedChatStream
    from ..resources.chat.tool_runner import Approve, OnToolCall, OnToolError, ToolStream
    from ..streaming import ChatStream
    from ..tee.types import TeeOptions
    from ..tools import Approval, FunctionTool, OnLimit, OnUnknownTool
    from ..tools.toolbox import PlainFunction
    from ..transport import Clock, Transport
    from ..types.api.chat import ChatCompletionResponse, Message, ParsedChatCompletion, Tool, ToolLoopResult, ToolLoopState
    from ..types.api.params import ChatParams, OnlyForMypy
    from .loop_thread import LoopThread
    from .parsed_stream import SyncParsedChatStream
    from .resources import SyncModels, SyncTee
    from .streams import SyncChatStream, SyncChunkSource, SyncToolStream

T = TypeVar("T")


class SyncVeniceClient:
    """`VeniceClient` for code that does not await: scripts, notebooks, threads.

    ::

        with SyncVeniceClient() as client:
            model = client.models.resolve_chat()
            for text in client.chat.completions.stream(model=model, messages=messages).text_deltas():
                print(text, end="")

    `create` and `parse` send their requests from the thread that calls. Streams, batches, tools, the catalogue, end-to-end
    encryption, whatever goes through a proxy, everything of a client with a `transport`, `clock` or `min_privacy`, and on
    Windows every call run on one event loop, on a daemon thread that all synchronous clients of the process share. Calls may be
    made from any thread, also while an event loop runs there, and go on after a fork. An exception that ends the waiting, such
    as Ctrl-C, cancels the request.

    The arguments are those of `VeniceClient`, but for `session`; a `transport` and a `clock` are called on the loop's thread.

    Raises:
        InvalidRequestError: an argument is not allowed.
        AuthenticationError: the key holds characters that a header cannot carry.
    """

    def __init__(
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float | Timeout | None = None,
        max_retries: int = 2,
        retry_timeouts: bool = False,
        headers: Mapping[str, str] | None = None,
        proxy: str | None = None,
        trust_env: bool = True,
        ssl_context: ssl.SSLContext | None = None,
        ca_bundle: str | None = None,
        transport: Transport | None = None,
        clock: Clock | None = None,
        tee: TeeOptions | None = None,
        min_privacy: Privacy | None = None,
    ) -> None:
        settings = _given(locals())
        del api_key, proxy, headers  # a traceback may show them
        try:
            self._bridge = Bridge(settings)
        except BaseException:
            settings.clear()
            raise
        self.base_url: str = self._bridge.settings["base_url"]
        """Root of the API, without a trailing slash."""
        self.tee_options: TeeOptions | None = tee
        """What every call demands of enclaves."""
        self.min_privacy: Privacy | None = min_privacy
        """The least privacy a request must have to leave."""

    @made_once
    def chat(self) -> SyncChat:
        """Chats: `client.chat.completions`."""
        return SyncChat(self, self._bridge)

    @made_once
    def models(self) -> SyncModels:
        """The catalogue of models."""
        from .resources import SyncModels

        return SyncModels(self, self._bridge)

    @made_once
    def tee(self) -> SyncTee:
        """Attestations and signatures of enclaves.

        Raises:
            ImportError: the extra `e2ee` is not installed.
        """
        from ..tee.extra import require_extra

        require_extra()
        from .resources import SyncTee

        return SyncTee(self, self._bridge)

    @property
    def closed(self) -> bool:
        """Whether it was closed, and not entered again."""
        return self._bridge.closed

    def close(self) -> None:
        """Closes every connection. May be called often."""
        self._bridge.close()

    def __enter__(self) -> Self:
        self._bridge.reopen()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a client holds a key and connections, and cannot be pickled; make one where it is needed")

    def __repr__(self) -> str:
        bridge = vars(self).get("_bridge", "<VeniceClient that was not made>")
        return f"<Sync{repr(bridge)[1:] if isinstance(bridge, Bridge) else bridge[1:]}"


class Bridge:
    """Leads to the asynchronous client that lives on this process's event loop thread.

    There is one for each thread there ever was: another one only after a fork, where the parent's keeps its connections.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        # It checks the settings, and says whether the others are closed; it sends nothing.
        self._template = VeniceClient(**settings)
        # What came from the environment stays as it was, whatever happens to the environment until a fork.
        self.settings: dict[str, Any] = {
            **settings,
            "api_key": self._template._api_key,  # noqa: SLF001  # the same client, here and on the loop's thread
            "base_url": self._template.base_url,
        }
        self._clients: dict[LoopThread, VeniceClient] = {}
        self._blocking: VeniceClient | None = None
        # The caller's own ports may suspend, and so may an attestation; and on Windows Ctrl-C interrupts no read of a socket.
        self._needs_loop = sys.platform == "win32" or any(
            settings[name] is not None for name in ("transport", "clock", "min_privacy")
        )

    def here(self, params: Mapping[str, Any]) -> VeniceClient | None:
        """The client that makes a call with these parameters in the calling thread; None if the call takes the event loop."""
        if self._needs_loop or params.get("e2ee") or (params.get("venice_parameters") and _is_sealed(params)):
            return None
        if self._blocking is None:
            self._make_blocking()
        _refuse_own_thread()
        return self._blocking

    def _make_blocking(self) -> None:
        try:
            load("._http.blocking_transport", "._http.caller", ".resources.chat", "encodings.idna")
            from .._http.blocking_transport import BlockingClock, BlockingTransport
            from .._http.routes import Routes
        except ImportError as error:
            raise _ended(error) from error
        names = ("proxy", "trust_env", "ssl_context", "ca_bundle")
        transport = BlockingTransport(Routes(**{name: self.settings[name] for name in names}))
        if transport.reaches(self._template.base_url):
            ports: dict[str, Any] = {"transport": transport, "clock": BlockingClock(transport)}
            self._blocking = self._like_the_template(VeniceClient(**{**self.settings, **ports}))
        else:
            self._needs_loop = True

    @property
    def client(self) -> VeniceClient:
        """The asynchronous client. Its methods are called here and run there."""
        thread = self._thread()
        found = self._clients.get(thread)
        # Two threads may get here at the same time: the client of one is taken, the other's was never used.
        return found or self._clients.setdefault(thread, self._made(thread))

    def _like_the_template(self, client: VeniceClient) -> VeniceClient:
        """A new client, closed if the others are. What one is told, and knows of the catalogue, all are."""
        client.notices = self._template.notices
        if self._template.closed:
            drive(client.close())
        return client

    def _made(self, thread: LoopThread) -> VeniceClient:
        client = self._like_the_template(VeniceClient(**self.settings))
        client.hooks_in_threads = True
        # Imports what calls need, while nobody else has to wait for it.
        _ = client.caller, client.chat, client.models
        thread.hold(client, owner=self)
        return client

    @staticmethod
    def _thread() -> LoopThread:
        try:
            load(
                "._sync.loop_thread",
                "._sync.streams",
                ".streaming",
                "._http.aiohttp_transport",
                ".resources.chat",
                ".resources.models",
            )
            from .loop_thread import LoopThread
        except ImportError as error:
            raise _ended(error) from error
        thread = LoopThread.shared()
        thread.check()
        return thread

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine returns or raises."""
        return self._thread().run(work)

    def open(self, opening: Coroutine[Any, Any, Any]) -> SyncChunkSource:
        """The chunks of the stream that a coroutine opens."""
        from .streams import SyncChunkSource

        return SyncChunkSource(self._thread(), opening, owner=self)

    def open_tools(self, opening: Coroutine[Any, Any, ToolStream], client: SyncVeniceClient) -> SyncToolStream:
        """The events of the tool loop that a coroutine opens."""
        from .streams import SyncToolStream

        return SyncToolStream.open(self._thread(), opening, client)

    @property
    def closed(self) -> bool:
        """Whether the clients are closed."""
        return self._template.closed

    def close(self) -> None:
        """Closes the client of every loop that still runs."""
        drive(self._template.close())
        if self._blocking is not None:
            drive(self._blocking.close())
        for thread, client in list(self._clients.items()):
            if not thread.ended:
                thread.run(client.close())

    def reopen(self) -> None:
        """Makes a closed client usable again."""
        drive(self._template.__aenter__())
        if self._blocking is not None:
            drive(self._blocking.__aenter__())
        for thread, client in list(self._clients.items()):
            if not thread.ended:
                thread.run(client.__aenter__())

    def __repr__(self) -> str:
        return repr(vars(self).get("_template", "<VeniceClient that was not made>"))


def _given(variables: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of the method that passes its `locals()`, with those that `create_kwargs` holds."""
    named = {name: value for name, value in variables.items() if name not in {"self", "create_kwargs"}}
    return {**named, **variables.get("create_kwargs", {})}


def _ended(error: ImportError) -> VeniceError:
    """The error for a call in a `__del__` after the end."""
    return VeniceError(f"the interpreter has ended ({error}); call before the program ends")


def _is_sealed(params: Mapping[str, Any]) -> bool:
    from ..tee.guard import engaged_by

    return engaged_by(params)


def _refuse_own_thread() -> None:
    """Raises on the thread of the event loop, where waiting would stop everybody."""
    loop_thread = sys.modules.get(f"{__package__}.loop_thread")
    kind = getattr(loop_thread, "LoopThread", None)  # another thread may be importing it just now: then no loop runs there
    shared = kind and kind.running()
    if shared:
        shared.check()


class SyncChat(Facade):
    """Chats."""

    def __init__(self, client: SyncVeniceClient, bridge: Bridge) -> None:
        super().__init__(client, bridge)
        self.completions: SyncChatCompletions = SyncChatCompletions(client, bridge)


class SyncChatCompletions(Facade):
    """Completions and streams of chats; see `ChatCompletions`, also for every method."""

    @property
    def _async(self) -> ChatCompletions:
        return self._bridge.client.chat.completions

    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[False] = False,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatCompletionResponse: ...
    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[True],
        stream_cls: None = None,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> SyncChatStream: ...
    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[True],
        stream_cls: Callable[..., Any],
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> Any: ...
    @overload
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: bool,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatCompletionResponse | SyncChatStream: ...
    @overload
    def create(
        self: OnlyForMypy,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[True],
        stream_cls: Callable[..., Any],
        **params: Any,
    ) -> Any: ...
    @overload
    def create(
        self: OnlyForMypy, *, model: str, messages: Iterable[Message], stream: Literal[False] = False, **params: Any
    ) -> ChatCompletionResponse: ...
    @overload
    def create(
        self: OnlyForMypy, *, model: str, messages: Iterable[Message], stream: Literal[True], **params: Any
    ) -> SyncChatStream: ...
    @overload
    def create(
        self: OnlyForMypy, *, model: str, messages: Iterable[Message], stream: bool, **params: Any
    ) -> ChatCompletionResponse | SyncChatStream: ...
    def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: bool = False,
        stream_cls: Callable[..., Any] | None = None,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Any:
        """Asks a model for an answer to a conversation; see `ChatCompletions.create`.

        With `stream`, the answer is a `SyncChatStream`, or what `stream_cls` makes: it is called with an iterator, or with each
        chunk's fields.

        Raises:
            APIError: as there, and everything else.
        """
        wrap = _wrapper(stream_cls, self._client) if stream_cls is not None and stream is True else None
        asked: dict[str, Any] = {
            **params,
            "model": model,
            "messages": messages,
            "stream": stream,
            "e2ee": e2ee,
            "timeout": timeout,
            "extra_headers": extra_headers,
        }
        if stream is not True:
            asked["stream_cls"] = stream_cls
            return self._answered(lambda chats: chats.create(**asked), asked)
        opening: Any = cast("Any", self._async.create)(**asked)
        return (wrap or self._stream)(self._bridge.open(opening))

    def _answered(self, call: Callable[[Any], Coroutine[Any, Any, T]], params: Mapping[str, Any]) -> T:
        """What a call gives that is one request after the other: here if that can be, else on the event loop."""
        here = self._bridge.here(params)
        return self._run(call(self._async)) if here is None else drive(call(here.chat.completions))

    def _stream(self, source: SyncChunkSource) -> SyncChatStream:
        from .streams import SyncChatStream

        return SyncChatStream(source, client=self._client)

    @overload
    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> SyncChatStream: ...
    @overload
    def stream(self: OnlyForMypy, *, model: str, messages: Iterable[Message], **params: Any) -> SyncChatStream: ...
    def stream(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> SyncChatStream:
        """A stream whose request has been accepted; see `ChatCompletions.stream`.

        ::

            with client.chat.completions.stream(model=model, messages=messages) as stream:
                for text in stream.text_deltas():
                    print(text, end="")

        Raises:
            APIError: as there. What goes wrong later is raised where the stream is read.
        """
        opening = self._async.stream(
            model=model, messages=messages, e2ee=e2ee, timeout=timeout, extra_headers=extra_headers, **params
        )
        return self._stream(self._bridge.open(opening))

    def parse(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        response_format: type[T],
        schema_name: str | None = None,
        strict: bool = True,
        max_reasks: int = 0,
        **kwargs: Any,
    ) -> ParsedChatCompletion[T]:
        """Asks a model for an object of a class, and validates what it answers; see `ChatCompletions.parse`.

        ::

            result = client.chat.completions.parse(model=model, messages=messages, response_format=Person)
            print(result.parsed.name, result.usage)

        Raises:
            OutputError: no answer fits the class.
            APIError: as there, and everything else.
        """
        asked: dict[str, Any] = {
            **kwargs,
            "model": model,
            "messages": messages,
            "response_format": response_format,
            "schema_name": schema_name,
            "strict": strict,
            "max_reasks": max_reasks,
        }
        return self._answered(lambda chats: chats.parse(**asked), asked)

    def stream_parse(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        response_format: type[T],
        schema_name: str | None = None,
        strict: bool = True,
        **kwargs: Any,
    ) -> SyncParsedChatStream[T]:
        """Asks for an object of a class, and shows it while it is written; see `ChatCompletions.stream_parse`.

        ::

            with client.chat.completions.stream_parse(model=model, messages=messages, response_format=Recipe) as stream:
                for recipe in stream:
                    show(recipe.title, recipe.steps)  # what has not come yet is None
                result = stream.collect()  # validated

        Raises:
            APIError: as there, and everything else. What goes wrong later is raised where the stream is read.
        """
        opening = self._async.stream_parse(
            model=model, messages=messages, response_format=response_format, schema_name=schema_name, strict=strict, **kwargs
        )
        stream = self._stream(self._bridge.open(_raw(opening)))
        # They need pydantic, which the request has loaded.
        from .._structured.strict_schema import asking
        from .parsed_stream import SyncParsedChatStream

        return SyncParsedChatStream(stream, response_format, wrapped=asking(response_format, strict=strict).wrapped)

    def estimate_cost(
        self, *, model: str, messages: Iterable[Message], expected_completion_tokens: int = 500, tokens_per_word: float = 1.3
    ) -> ChatCostEstimate:
        """What a completion is likely to cost, before it is sent; see `ChatCompletions.estimate_cost`.

        Raises:
            ValueError: as there.
        """
        return self._run(self._async.estimate_cost(**_given(locals())))

    def batch(
        self, requests: Sequence[Mapping[str, Any]], *, max_concurrency: int = 10, return_exceptions: bool = True
    ) -> list[ChatCompletionResponse | BaseException]:
        """Runs many `create` calls, some at a time; see `ChatCompletions.batch`.

        Raises:
            ValueError: as there.
        """
        return self._run(self._async.batch(requests, max_concurrency=max_concurrency, return_exceptions=return_exceptions))

    def run_with_tools(
        self,
        *,
        model: str,
        messages: Iterable[Message] | None = None,
        tools: Iterable[Callable[..., Any] | PlainFunction | FunctionTool | Tool | Mapping[str, Any]],
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
        **create_kwargs: Any,
    ) -> ToolLoopResult:
        """Asks a model that may call tools, until it gives its final answer; see `ChatCompletions.run_with_tools`.

        Asynchronous tools run on the loop's thread, synchronous ones each on a thread of its own. Only the latter may call a
        synchronous client.

        Raises:
            MaxIterationsExceededError: the limit is reached, and the model still calls tools.
            VeniceError: as there.
        """
        given = _given(locals())
        from ..tools.toolbox import prepared  # needs pydantic, which a chat does not

        given["tools"] = prepared(tools)
        return self._run(self._async.run_with_tools(**given))

    def stream_with_tools(
        self,
        *,
        model: str,
        messages: Iterable[Message] | None = None,
        tools: Iterable[Callable[..., Any] | PlainFunction | FunctionTool | Tool | Mapping[str, Any]],
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
        **create_kwargs: Any,
    ) -> SyncToolStream:
        """The same loop, told as it happens; see `ChatCompletions.stream_with_tools`.

        The loop goes on as its events are read: the next tool runs once the event before it was taken.

        Raises:
            VeniceError: as in `run_with_tools`; what goes wrong after the first request is raised where the events are read.
        """
        given = _given(locals())
        from ..tools.toolbox import prepared  # needs pydantic, which a chat does not

        given["tools"] = prepared(tools)
        return self._bridge.open_tools(self._async.stream_with_tools(**given), self._client)


async def _raw(opening: Coroutine[Any, Any, ParsedChatStream[Any]]) -> ChatStream:
    return (await opening).stream


def _wrapper(stream_cls: Callable[..., Any], client: SyncVeniceClient) -> Callable[[SyncChunkSource], Any]:
    """How to make the caller's stream from the chunks.

    Raises:
        TypeError: it is neither a stream class nor a chunk class.
    """
    from ..resources.chat.completions import takes_fields
    from .streams import SyncModelStream

    by_fields = takes_fields(stream_cls)

    def wrap(source: SyncChunkSource) -> Any:
        try:
            return SyncModelStream(source, stream_cls, client=client) if by_fields else stream_cls(source, client=client)
        except BaseException:
            source.close()
            raise

    return wrap
