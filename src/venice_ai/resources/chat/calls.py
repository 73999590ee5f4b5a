"""`create` and `stream`, the two methods with which every chat is sent; all others of `client.chat.completions` call them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeVar, Unpack, cast, overload

from ... import exceptions
from ..._core.caller_warnings import warn
from ..._core.concurrency import without_locals
from ..._core.json_values import without
from ..._core.ports import drive
from ..._core.privacy import PREFIX, Privacy, encryption_requested, encryption_requested_in, refuse_below
from ..._core.request import Request, WholeReply
from ..._core.settings import Timeout
from ..._http.caller import Call
from ..._resource import APIResource
from ..._wire.reply_body import completion
from ..._wire.request_body import chat_body, chat_size, encode
from ..._wire.sse import is_framed, says_stream
from ...exceptions import APIError, APIResponseProcessingError, InvalidArgumentError, InvalidRequestError
from ...types.api.chat import ChatCompletionResponse, Messages
from ...types.api.params import CHAT_PATH

if TYPE_CHECKING:
    from ..._http.connection import Connection
    from ...streaming import ChatStream, ChunkSource
    from ...tee.types import TeeOptions
    from ...telemetry import OpenSpan
    from ...types.response_meta import ResponseMeta
    from .arguments import CallParams, StreamCls
    from .encrypted import SealedChat
    from .fallbacks import Fallbacks

ClientT = TypeVar("ClientT", bound="Connection")


class ChatCalls(APIResource[ClientT]):
    """Sends a conversation, and gives the answer or its stream."""

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
        self, *, model: str, messages: Messages, stream: Literal[True], stream_cls: StreamCls, **params: Unpack[CallParams]
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
        stream_cls: StreamCls | None = None,
        e2ee: bool | TeeOptions = False,
        timeout: float | Timeout | None = None,
        extra_headers: Mapping[str, str] | None = None,
        extra_body: Mapping[str, Any] | None = None,
        fallback_models: Sequence[str] | None = None,
        fail_fast: bool | None = None,
        **params: Any,
    ) -> Any:
        """Asks a model for an answer to a conversation.

        Every parameter that is given is checked before anything is sent; what is None or not given is not sent. Keywords
        that are not known here go into the body as they are; type checkers flag them, but not the fields of `extra_body`.

        Args:
            model: id of a model, a trait such as `default`, or an alias; `client.models.resolve_chat()` finds one.
                Feature suffixes (`model:enable_web_search=on`) pass through.
            messages: a text, which is one message of the user; or at least one message: objects such as `UserMessage`,
                mappings of the same shape, messages of earlier responses. They are never changed.
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
            fallback_models: models to ask, one after the other, where this one was retired, is overloaded, or does not begin to
                answer in time; an empty list for none. If not given, the client's. `meta.models_tried` tells.
            fail_fast: while the circuit breaker is open, raise `CircuitOpenError` at once rather than wait for its end; if not
                given, as the client does.
            **params: see `ChatParams` of `venice_ai`: temperature (0 to 2), max_completion_tokens, tools, ...

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
            CircuitOpenError: not sent: the server fails at present (a ServiceUnavailableError, and so an APIError).
            BudgetExceededError: not sent: it may cost more than the client's budget has left. No APIError.
            StreamInterruptedError: a plain answer came as a stream that broke off.
            APIConnectionError: no answer; `APITimeoutError` if not in time.
            APIError: anything else that went wrong with the call.
            InvalidArgumentError: `stream_cls` was given without `stream=True` (a ValueError).
            TypeError: `max_tokens` was given, or `stream_cls` cannot be called.

        Source: https://docs.venice.ai/api-reference/endpoint/chat/completions
        """
        client, usual = self._client, stream is False and stream_cls is None and fail_fast is None  # there is nothing to check
        wrap, stream = None if usual else _wrapper(stream, stream_cls, fail_fast), bool(stream)
        body: dict[str, Any] = {}
        span: OpenSpan | None = None
        given = {**params, "e2ee": e2ee, "extra_body": extra_body} if params or e2ee or extra_body else params
        try:
            echoes = self._echoes(given) if given or client.min_privacy else True
            body = chat_body(model=model, messages=messages, stream=stream, params=params, extra=extra_body, echo=echoes)
            every_chunk = bool(given) and {**params, **(extra_body or {})}.get("stream_options") is not None
            if client.preflight:
                await self._preflight(body)
            sealed = _is_sealed(client, body, e2ee)
            names = client.fallback_models if fallback_models is None else fallback_models
            fallbacks = None if names == () else self._fallbacks(body, names, streams=stream, sealed=sealed)
            telemetry, caller = client.telemetry, client.caller
            span = None if telemetry is None else telemetry.chat(body, client.base_url, stream=stream, private=sealed)
            if sealed:
                from .encrypted import SealedChat  # what a chat in clear does not need, it does not load

                chat = SealedChat(client, body, e2ee=e2ee, stream=stream, timeout=timeout, extra_headers=extra_headers)
                opens = partial(self._open, every_chunk=every_chunk, fail_fast=fail_fast, span=span)
                answering: Any = chat.answer(opens, fallbacks, collect=not stream)
            else:
                how: dict[str, Any] = {"stream": stream, "timeout": timeout, "extra_headers": extra_headers, "span": span}
                request = await self._attested(body, **how) if client.min_privacy == "tee" else self._request(body, **how)
                call = Call(caller, request) if fallbacks is None else fallbacks.call(request, partial(self._attested, **how))
                call.fail_fast, call.span = fail_fast, span
                if stream:
                    answering = self._open(request, every_chunk=every_chunk, call=call, fail_fast=fail_fast, span=span)
                else:
                    call.read = _read
                    answering = call.result()
        except BaseException as refusal:
            del messages, params, body, given, extra_body  # no traceback's local variables are to show the prompt
            if span is not None:
                span.end(failure=type(refusal).__name__)
            without_locals(refusal)
            raise
        del messages, params, body, given, extra_body  # nor later
        source: Any = await (answering if span is None else span.follow(answering, opens=stream))
        if not stream:
            if caller.notices.names:
                caller.notices.substitution(model, source.get("model"), source.meta, caller.clock)
            caller.notices.spent(source)
            return source
        source.reader.span = span
        if wrap is None:
            return source.stream(client)
        try:
            return wrap(source, client)
        except BaseException:
            await source.aclose()
            raise

    async def stream(self, *, model: str, messages: Messages, **params: Unpack[CallParams]) -> ChatStream:
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
        # `stream=True` says nothing new; all else would be something else than the `ChatStream` that is promised.
        streams = keywords.pop("stream", None)
        if not (streams is None or streams is True):
            raise InvalidArgumentError(f"stream={streams!r} is not allowed in stream(...); create(...) gives a whole answer")
        if keywords.pop("stream_cls", None) is not None:
            raise InvalidArgumentError("stream(...) gives a ChatStream; create(stream=True, stream_cls=...) gives another one")
        opening = self.create(model=model, messages=messages, stream=True, **keywords)
        del messages, params, keywords  # as in `create`
        return cast("ChatStream", await opening)

    def _echoes(self, params: Mapping[str, Any]) -> bool:
        """Whether an error may repeat what stands in a message: not where that must not be seen."""
        return self._client.min_privacy != "e2ee" and not (params and encryption_requested_in(params))

    async def _attested(self, body: dict[str, Any], **how: Any) -> Request:
        """The request that sends a body in clear, once the model's enclave was attested if the client demands it."""
        if self._client.min_privacy == "tee":
            from .encrypted import attested

            how["privacy"] = await attested(self._client, body, how["timeout"], stream=how["stream"])
        return self._request(body, **how)

    def _request(self, body: dict[str, Any], **how: Any) -> Request:
        request = self._client.build_request("POST", CHAT_PATH, body=encode(body), needs_key=True, **how)
        request.chat = chat_size(body)
        return request

    async def _preflight(self, body: Mapping[str, Any]) -> None:
        """Refuses what the model would refuse, by the catalogue."""
        from ..models import Models, refusals_of  # what most chats do not need, they do not load

        if found := await refusals_of(self._client.resource(Models), body):
            raise InvalidRequestError(f"not sent, because the model would refuse it: {'; '.join(map(str, found))}")

    def _fallbacks(self, body: dict[str, Any], names: Sequence[str], *, streams: bool, sealed: bool) -> Fallbacks | None:
        if not names and isinstance(names, (tuple, list)):
            return None
        from ..._http.client_parts import checked_names  # rarely given
        from .fallbacks import Fallbacks

        privacy: Privacy | None = "e2ee" if sealed else self._client.min_privacy
        return Fallbacks(self._client, body, checked_names(names), streams=streams, privacy=privacy)

    async def _open(
        self,
        request: Request,
        *,
        every_chunk: bool,
        call: Call | None = None,
        chat: SealedChat | None = None,
        fail_fast: bool | None = None,
        span: OpenSpan | None = None,
    ) -> ChunkSource:
        """The chunks of the answer to a request, once it was accepted; with `every_chunk` also those without choices."""
        call = call or Call(self._client.caller, request)
        call.fail_fast, call.span = fail_fast, span
        accepted = await call.result()
        from ...streaming import ChunkReader, ChunkSource  # a plain call starts without it

        reader = ChunkReader(
            accepted.reply,
            accepted.meta,
            request,
            call=call,
            every_chunk=every_chunk,
            session=None if chat is None else chat.session,
            settle=None if chat is None or chat.options.verify_signature == "off" else chat.settle,
        )
        if not says_stream(accepted.meta):
            await reader.look()
        return ChunkSource(reader)


def _wrapper(stream: object, stream_cls: StreamCls | None, fail_fast: object) -> Callable[..., Any] | None:
    """A function that makes the caller's `stream_cls` of chunks and a client; None for a `ChatStream` or a plain call."""
    for name, switch in (("stream", stream), ("fail_fast", fail_fast)):
        if switch is not None and not isinstance(switch, bool):
            raise InvalidRequestError(f"{name}={switch!r} is not allowed: expected True or False")
    if stream_cls is None:
        return None
    if not stream:
        raise InvalidArgumentError("stream_cls makes a stream of the caller's own; it needs stream=True")
    from ...streaming import Stream  # a plain call starts without it

    return stream_factory(stream_cls, Stream)


def stream_factory(stream_cls: Callable[..., Any], stream: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """How to make the caller's stream of chunks and client, or a `stream` of objects; a TypeError if it takes neither."""
    try:
        parameters = inspect.signature(stream_cls)
    except (TypeError, ValueError):
        raise TypeError(f"stream_cls={stream_cls!r} is not a class that can be called") from None
    with suppress(TypeError):
        parameters.bind(None, client=None)
        return lambda source, client: stream_cls(source, client=client)
    keywords_only = all(p.kind in {p.KEYWORD_ONLY, p.VAR_KEYWORD} for p in parameters.parameters.values())
    if not parameters.parameters or not keywords_only:
        raise TypeError(
            f"stream_cls={stream_cls!r} is called as stream_cls(iterator, client=client), or with a chunk's fields as keywords"
        )

    def made_of(chunk: Any) -> Any:
        return stream_cls(**chunk.model_dump())

    def of_objects(source: Any, client: Any) -> Any:
        source.made_of = made_of
        return stream(source, client=client)

    return of_objects


def _is_sealed(client: Connection, body: dict[str, Any], e2ee: bool | TeeOptions) -> bool:
    """Whether a chat is end-to-end encrypted; an InvalidRequestError if it must be, and is not."""
    if e2ee is not None and not isinstance(e2ee, bool):
        from ...tee.types import TeeOptions  # what a chat in clear does not need, it does not load

        if not isinstance(e2ee, TeeOptions):
            raise InvalidRequestError(f"e2ee={e2ee!r} must be True, False or a TeeOptions")
    if (e2ee or "venice_parameters" in body) and encryption_requested(e2ee, body):
        return True
    if client.min_privacy == "e2ee":
        refuse_below(client.min_privacy, None)
    if body["model"].startswith(PREFIX) and client.min_privacy is None:  # else an enclave is what was asked for
        warn(
            f"the prompt leaves in clear: this request to {body['model']!r} is not end-to-end encrypted, Venice can read it; "
            "pass e2ee=True"
        )
    return False


def _read(body: bytes, meta: ResponseMeta, request: Request) -> ChatCompletionResponse | APIError:
    """The completion in the body of a plain call, also where it is a stream of events; or the error that it is or holds."""
    found = completion(body, meta)
    if isinstance(found, APIError):
        found = completion(body, meta, request.secret)  # made again without the key, which the server may repeat
    if isinstance(found, APIResponseProcessingError) and is_framed(body):
        return _answer_in_stream(body, meta, request) or found
    return found


def _answer_in_stream(body: bytes, meta: ResponseMeta, request: Request) -> ChatCompletionResponse | APIError | None:
    """The answer in a stream of events, as some servers and proxies send it unasked, or its error; None if there is neither."""
    from ...streaming import ChatStream, ChunkReader, ChunkSource

    reader = ChunkReader(WholeReply(meta.status_code, meta.headers, body), meta, request)
    try:
        answer = drive(ChatStream(ChunkSource(reader)).collect())
    except APIError as failure:
        error = failure
    else:
        meta.time_to_first_chunk = None
        return answer
    if isinstance(error, exceptions.StreamInterruptedError) and not (error.partial and error.partial.choices):
        return None
    if error.body is None:
        error.body = without(body.decode("utf-8", "replace"), request.secret)
    return error.with_traceback(None)
