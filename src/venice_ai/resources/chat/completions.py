"""`client.chat.completions`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Unpack, cast, overload

from ..._concurrency import bounded_map
from ..._config import Timeout
from ..._resource import APIResource
from ..._transport import Request
from ..._wire import chat_body, checked_messages, completion, encode, unusable
from ...costs import ChatCostEstimate, estimate_chat_cost
from ...exceptions import InvalidRequestError
from ...streaming import ChatStream, ChunkSource, ModelStream, Reading
from ...types.api.chat import ChatCompletionResponse, Message
from ...types.api.params import ChatParams

if TYPE_CHECKING:
    from ..._client import VeniceClient
    from ...types.api.params import OnlyForMypy

_PATH = "/chat/completions"


class ChatCompletions(APIResource["VeniceClient"]):
    """Completions and streams of chats. Wraps `POST /chat/completions`."""

    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[False] = False,
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatCompletionResponse: ...
    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[True],
        stream_cls: None = None,
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatStream: ...
    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: Literal[True],
        stream_cls: Callable[..., Any],
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> Any: ...
    @overload
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: bool,
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatCompletionResponse | ChatStream: ...
    @overload
    async def create(
        self: OnlyForMypy, *, model: str, messages: Iterable[Message], stream: bool = ..., **params: Any
    ) -> Any: ...
    async def create(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        stream: bool = False,
        stream_cls: Callable[..., Any] | None = None,
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> Any:
        """Asks a model for an answer to a conversation.

        Every parameter that is given is checked before anything is sent; what is None or not given is not sent. Keywords
        that are not known here go into the body as they are.

        Args:
            model: id of a model, a trait such as `default`, or an alias; `client.models.resolve_chat()` finds one.
                Feature suffixes (`model:enable_web_search=on`) pass through.
            messages: the conversation, at least one message: objects such as `UserMessage`, mappings of the same shape,
                or a message of an earlier response. They are never changed.
            stream: get the answer piece by piece.
            stream_cls: with `stream`, a class called as `stream_cls(iterator, client=client)`, or one that takes a
                chunk's fields as keywords and is used for each chunk.
            e2ee: end-to-end encryption; see the changelog for when it comes. It is never silently left out.
            timeout: seconds, or the five clocks. A number is the deadline of a plain call; for a stream it limits the
                wait for the first chunk, and between bytes.
            extra_headers: HTTP headers for this call.
            **params: see `ChatParams`: temperature (0 to 2), max_completion_tokens, tools, response_format, ...

        Returns:
            The answer; with `stream`, a `ChatStream` (or what `stream_cls` makes) whose request has been accepted.

        Raises:
            InvalidRequestError: a parameter is not allowed, before the network; or Venice refused the request (400).
            AuthenticationError: no key, before the network; or Venice does not accept it (401).
            PaymentRequiredError: the balance does not cover the call (402).
            PermissionDeniedError: the key may not do this (403).
            NotFoundError: there is no such model (404).
            RateLimitError: too fast, or overloaded, also after retries (429).
            APIConnectionError: no answer; `APITimeoutError` if not in time.
            APIError: anything else that went wrong with the call.
            TypeError: `max_tokens` was given, or `stream_cls` cannot be called.

        Source: https://docs.venice.ai/api-reference/endpoint/chat/completions
        """
        if not isinstance(stream, bool):
            raise InvalidRequestError(f"stream={stream!r} is not allowed: expected True or False")
        wrap = None if stream_cls is None else _stream_factory(stream_cls)
        request = self._request(model, messages, stream, e2ee, timeout, extra_headers, params)
        if not stream:
            answer = await self._client.caller.call(request)
            return completion(answer.body, answer.meta)
        source = await self._open(request, choices=params.get("n") or 1, every_chunk=params.get("stream_options") is not None)
        if wrap is not None:
            return wrap(source, self._client)
        return ChatStream(source, client=self._client)

    @overload
    async def stream(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Unpack[ChatParams],
    ) -> ChatStream: ...
    @overload
    async def stream(self: OnlyForMypy, *, model: str, messages: Iterable[Message], **params: Any) -> ChatStream: ...
    async def stream(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        e2ee: bool = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        **params: Any,
    ) -> ChatStream:
        """The same as `create(stream=True)`: a stream whose request has been accepted.

        ::

            async with await client.chat.completions.stream(model=model, messages=messages) as stream:
                async for text in stream.text_deltas():
                    print(text, end="")

        Args:
            model: as in `create`, like everything else.
            messages: the conversation.
            e2ee: end-to-end encryption.
            timeout: seconds, or the five clocks.
            extra_headers: HTTP headers for this call.
            **params: see `ChatParams`.

        Raises:
            APIError: as in `create`. What goes wrong later is raised where the stream is read.
        """
        params.pop("stream", None)
        return cast(
            "ChatStream",
            await self.create(
                model=model,
                messages=messages,
                stream=True,
                e2ee=e2ee,
                timeout=timeout,
                extra_headers=extra_headers,
                **params,
            ),
        )

    async def estimate_cost(
        self,
        *,
        model: str,
        messages: Iterable[Message],
        expected_completion_tokens: int = 500,
        tokens_per_word: float = 1.3,
    ) -> ChatCostEstimate:
        """What a completion is likely to cost, before it is sent. Sends no prompt; looks up prices in the catalogue.

        Args:
            model: id of a model of the catalogue, with or without a feature suffix; also a trait or an alias.
            messages: what would be sent.
            expected_completion_tokens: how long the answer may be, from 0.
            tokens_per_word: tokens for a word; 1.3 suits English, code and Chinese want more.

        Raises:
            ValueError: the model is not in the catalogue, has no token prices, or a number is out of range.
            APIError: the catalogue could not be had.
        """
        checked = checked_messages(messages)
        entry = await self._client.models.find(model)
        return estimate_chat_cost(
            entry, checked, expected_completion_tokens=expected_completion_tokens, tokens_per_word=tokens_per_word
        )

    async def batch(
        self, requests: Sequence[Mapping[str, Any]], *, max_concurrency: int = 10, return_exceptions: bool = True
    ) -> list[ChatCompletionResponse | BaseException]:
        """Runs many `create` calls, some at a time. The results stand in the order of the requests.

        Args:
            requests: the keywords of `create`, a mapping for each call. Streams are not for batches.
            max_concurrency: how many calls may be under way at once, from 1.
            return_exceptions: put a failed call's exception in its place. Without it the first one is raised, what is under
                way is cancelled, and nothing more is sent.

        Raises:
            ValueError: `max_concurrency` is below 1.
            APIError: with `return_exceptions=False`, the first call that failed; a ValueError if it wanted a stream.
        """
        if isinstance(max_concurrency, bool) or not isinstance(max_concurrency, int) or max_concurrency < 1:
            raise InvalidRequestError(f"max_concurrency={max_concurrency!r} must be a whole number from 1")
        call = self._tried if return_exceptions else self._one
        return await bounded_map(call, requests, limit=max_concurrency)

    async def _one(self, request: Mapping[str, Any]) -> ChatCompletionResponse | BaseException:
        if not isinstance(request, Mapping):
            raise InvalidRequestError(f"a request of a batch is a mapping of keywords, not {type(request).__name__}")
        if request.get("stream"):
            raise InvalidRequestError("a batch cannot stream; call stream(...) for this request")
        return cast("ChatCompletionResponse", await self.create(**request))

    async def _tried(self, request: Mapping[str, Any]) -> ChatCompletionResponse | BaseException:
        try:
            return await self._one(request)
        except Exception as error:  # noqa: BLE001  # whatever it is, it is handed to the caller in its place
            return error

    def _request(
        self,
        model: str,
        messages: Iterable[Message],
        stream: bool,
        e2ee: bool,
        timeout: float | Timeout | None,
        extra_headers: Mapping[str, str] | None,
        params: dict[str, Any],
    ) -> Request:
        body = chat_body(model=model, messages=messages, stream=stream, params=params)
        _refuse_e2ee(e2ee, body)
        return self._client.request(
            "POST",
            _PATH,
            body=encode(body),
            stream=stream,
            timeout=timeout,
            extra_headers=extra_headers,
            needs_key=True,
        )

    async def _open(self, request: Request, *, choices: int, every_chunk: bool) -> ChunkSource:
        caller = self._client.caller
        sent = caller.clock.now()
        answer = await caller.call(request)
        content_type = answer.meta.headers.get("content-type", "text/event-stream").lower()
        if "json" in content_type or "html" in content_type:
            # An error, a page, or a whole completion in place of a stream: none of them is one.
            body = await answer.reply.read()
            error = unusable(body, answer.meta, "JSON")
            error.partial = completion(body, answer.meta)
            raise error
        reading = Reading(
            answer.reply,
            answer.meta,
            choices=choices,
            every_chunk=every_chunk,
            watch_progress=request.timeout.progress is not None,
            now=caller.clock.now,
            sent=sent,
        )
        return ChunkSource(reading)


def _refuse_e2ee(e2ee: bool, body: dict[str, Any]) -> None:
    """Encryption that is asked for and cannot be had is an error, never a plain request."""
    switches: Any = body.get("venice_parameters") or {}
    if e2ee or switches.get("enable_e2ee") is True:
        raise InvalidRequestError(
            "end-to-end encryption is not part of this version; the request was not sent. Leave out e2ee and enable_e2ee "
            "to send it in clear (over TLS)"
        )


def _stream_factory(stream_cls: Callable[..., Any]) -> Callable[[Any, VeniceClient], Any]:
    """How to make the caller's stream from the chunks.

    Raises:
        TypeError: it is neither a stream class nor a chunk class.
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
        return lambda source, client: stream_cls(source, client=client)
    keywords_only = all(p.kind in {p.KEYWORD_ONLY, p.VAR_KEYWORD} for p in parameters.parameters.values())
    if not parameters.parameters or not keywords_only:
        raise TypeError(
            f"stream_cls={stream_cls!r} is called as stream_cls(iterator, client=client), or with a chunk's fields as keywords"
        )

    return lambda source, client: ModelStream(source, stream_cls, client=client)
