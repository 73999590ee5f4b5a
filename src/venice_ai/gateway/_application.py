"""The aiohttp application: each request of a program becomes a call of one client, and its outcome the reply.

A stream is answered when its first chunk is here, so that what fails before has a status. What fails later is an `error` event,
after which the body breaks off without its end and without `[DONE]`. Chunks in clear are passed on as the bytes that came.
"""

from __future__ import annotations

import asyncio
import logging
import re
import traceback
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from copy import deepcopy
from hmac import compare_digest
from typing import Any, Final, NamedTuple, Unpack, cast

from aiohttp import web
from typing_extensions import TypedDict

from .._client import VeniceClient
from .._core.machine import is_loopback
from .._core.privacy import PREFIX, encryption_requested, switches_in
from .._wire import sse
from .._wire.json_text import NOT_STRICT, encode, strict_decode
from ..exceptions import APIError, InvalidArgumentError, InvalidRequestError, NotFoundError, VeniceError
from ..streaming import ChatStream
from ..tee.guard import guard
from ..tee.types import TeeOptions
from ..tools.sealed_form import Prose, read_turn, sealed_messages, with_calls
from ..types._base import is_array, is_object, plain
from ..types.api.chat import ChatCompletionResponse, ChatUsage, content_text
from ..types.api.params import ChatParams
from ..types.api.streaming import ChatCompletionChunk
from ._errors import body_of, headers_of, reply_headers, status_of

_MAX_BODY_BYTES: Final = 35 * 2**20  # as much as Venice takes
_NAME: Final = re.compile(r"[\w.:/@+-]{1,100}")
_PATHS: Final = "programs ask below /v1: POST /v1/chat/completions, GET /v1/models"
_PARAMETERS: Final = frozenset(ChatParams.__annotations__)
_DROPPED: Final = ("user", "metadata", "store", "prompt_cache_key", "prompt_cache_retention")
"""What programs send beside the conversation, without need, and would leave in clear."""
_HOST: Final = re.compile(r"(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?")
_TOKEN: Final = re.compile(r"[!-~]{8,}")
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

logger = logging.getLogger("venice_ai.gateway")


class Gateway:
    """Handles the requests of programs. `under_way` has the tasks of those that are being answered, and what to log of each."""

    def __init__(self, client: VeniceClient, token: str | None, options: Options) -> None:
        if unknown := [*options.keys() - Options.__annotations__.keys()]:
            raise TypeError(f"a gateway has no option {unknown[0]!r}")
        if not isinstance(client, VeniceClient):
            raise InvalidArgumentError(f"client must be a VeniceClient, not {type(client).__name__}")
        rpm, self.patience = options.get("rpm"), options.get("patience_seconds", 60.0)
        if (rpm is not None and rpm < 1) or not self.patience > 0:
            wrong = f"rpm={rpm!r} must be a whole number from 1, and patience_seconds={self.patience!r} above 0"
            raise InvalidArgumentError(wrong)
        if token is not None and not _TOKEN.fullmatch(token):
            raise InvalidArgumentError("token must be 8 or more characters of ASCII without blanks; token=True makes one")
        self._names = frozenset(name.lower() for name in options.get("allow_hosts", ()))
        if self._names and token is None:
            raise InvalidArgumentError("a server that other machines can reach needs a token; token=True makes one")
        self._client = client
        self._token = None if token is None else token.encode()
        self._clear_on_request: bool = options.get("clear_on_request", False)
        self._sealed_tools: bool = options.get("sealed_tools", False)
        self._begun = deque[float](maxlen=rpm)  # when the last chats began, as many as a minute may have
        self._turn = asyncio.Lock()
        self.under_way: dict[Any, str] = {}

    @web.middleware
    async def answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Checks and answers a request; makes a reply of whatever is raised; and logs one line, without content."""
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        began, outcome = loop.time(), "left"
        self.under_way[task] = ""
        try:
            try:
                self._let_in(request)
                response = await handler(request)
            except web.HTTPException as error:
                response = refusal(APIError(f"{error.reason}; {_PATHS}", status_code=error.status), error.headers.get("Allow"))
            except (Exception, asyncio.CancelledError) as error:  # whatever it is, the program is told, if it is there
                if request.transport is None or request.transport.is_closing():
                    raise
                response = refusal(_known(error))
                self._note(f", {type(error).__name__}")
            outcome = str(response.status)
            if not response.prepared:
                await response.prepare(request)
                await self._in_time(response.write_eof(), request)
            return response
        finally:
            resource, note = request.match_info.route.resource, self.under_way.pop(task)
            route = "(no such path)" if resource is None else resource.canonical
            logger.info("%s %s %s%s in %.0f ms", request.method, route, outcome, note, 1000 * (loop.time() - began))

    def _note(self, words: str) -> None:
        self.under_way[asyncio.current_task()] += words

    def _let_in(self, request: web.Request) -> None:
        """Raises the APIError for a request that is not allowed in, by its headers.

        Any page can have its browser send requests to this machine, and read the answers if its own name leads here (DNS
        rebinding). Such requests name the page's site in `Host` or `Origin`, or carry `Sec-Fetch-Site`; programs' do not.
        """
        headers, hosts = request.headers, request.headers.getall("Host", [])
        host = _HOST.fullmatch(hosts[0].lower()) if len(hosts) == 1 else None
        name = "" if host is None else host[1] or host[2]
        if not (is_loopback(name) or name in self._names):
            raise APIError("unknown name in the Host header; add it to allow_hosts", status_code=403, code="host_not_allowed")
        if "Origin" in headers or headers.get("Sec-Fetch-Site", "none") != "none":
            raise APIError("requests from pages in a browser are refused", status_code=403, code="origin_not_allowed")
        if self._token is not None and request.path != "/healthz":
            scheme, _, given = headers.get("Authorization", "").partition(" ")
            same = compare_digest(given.strip().encode("utf-8", "surrogateescape"), self._token)
            if not (same and scheme.lower() == "bearer"):
                raise APIError("the API key must be the token of this gateway", status_code=401, code="invalid_api_key")

    async def _in_time(self, writing: Awaitable[None], request: web.Request) -> None:
        """Drops the connection of a program that does not read what it is sent."""
        try:
            async with asyncio.timeout(self.patience):
                await writing
        except TimeoutError:
            if request.transport is not None:
                request.transport.abort()
            raise ConnectionResetError("the program reads too slowly") from None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        if self._client.telemetry is not None:
            self._client.telemetry.join(request.headers)
        body, tee = await self._body(request), self._client.tee_options
        asked = _asked_by(body, tee, clear_on_request=self._clear_on_request, sealed_tools=self._sealed_tools)
        model, streams = str(asked.keywords["model"]), asked.keywords["stream"] is True
        words = (" sealed" * asked.keywords["e2ee"], " stream" * streams, *(f", without {name}" for name in asked.dropped))
        self._note(f" {model if _NAME.fullmatch(model) else '(no name)'}{''.join(words)}")
        await self._wait_for_turn()
        if streams:
            return await self._stream(request, asked)
        create: Any = self._client.chat.completions.create
        response: ChatCompletionResponse = await create(**asked.keywords)
        self._note(_tokens(response.usage))
        if asked.calling is not None:
            response = with_calls(response, asked.calling, broken=False)
        return _json(response, 200, reply_headers(response.meta, response.attestation))

    async def _wait_for_turn(self) -> None:
        """Lets at most `rpm` chats begin in any minute. The others wait, in order."""
        clock, most = self._client.caller.clock, self._begun.maxlen
        if most is not None:
            async with self._turn:
                if len(self._begun) == most:
                    await clock.sleep(max(self._begun[0] + 60.0 - clock.now(), 0.0))
                self._begun.append(clock.now())

    async def _body(self, request: web.Request) -> dict[str, Any]:
        if request.content_type != "application/json" or request.headers.get("Content-Encoding", "identity") != "identity":
            raise APIError("the body must be application/json, and not compressed", status_code=415)
        if (request.content_length or 0) > _MAX_BODY_BYTES:
            raise APIError(f"the body is larger than {_MAX_BODY_BYTES} bytes", status_code=413)
        try:
            async with asyncio.timeout(self.patience):
                found = strict_decode(await request.read())
        except TimeoutError:
            raise APIError(f"the body did not come within {self.patience:g} s", status_code=408) from None
        except (*NOT_STRICT, web.RequestPayloadError) as error:
            raise APIError(f"the body is not JSON: {error}", status_code=400) from None
        if is_object(found):
            return found
        raise APIError("the body is not a JSON object", status_code=400)

    async def _stream(self, request: web.Request, asked: _Asked) -> web.StreamResponse:
        transport, create = request.transport, cast("Any", self._client.chat.completions.create)
        assert transport is not None  # the body has just come
        stream: ChatStream = await create(**asked.keywords)
        async with stream:
            reader, buffered = stream._reader, transport.get_write_buffer_size  # noqa: SLF001  # of this package
            chunks = aiter(stream) if asked.calling is None else _with_calls(stream, asked.calling)
            chunk, clear, usage = await anext(chunks, None), stream.attestation is None, asked.usage
            headers = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache"}
            response = web.StreamResponse(headers={**headers, **reply_headers(stream.meta, stream.attestation)})
            await response.prepare(request)
            try:
                while chunk is not None:
                    writing = response.write(event_of(chunk, reader.event if clear else None, usage=usage))
                    # Where something is buffered, the program is slower than the model: it may be that it does not read at all.
                    await (self._in_time(writing, request) if buffered() else writing)
                    chunk = await anext(chunks, None)
                await self._in_time(response.write_eof(b"data: [DONE]\n\n" if reader.done else b""), request)
            except (Exception, asyncio.CancelledError) as error:
                if not transport.is_closing():
                    frame = sse.encode(encode({"error": body_of(_known(error))["error"]}))
                    await self._in_time(response.write(frame), request)
                    transport.close()  # before the end of the body
                self._note(f", broken off: {type(error).__name__}")
                if not isinstance(error, VeniceError):
                    raise
            self._note(_tokens(stream.usage))
            return response

    def _is_listed(self, model: object) -> bool:
        return self._client.min_privacy != "e2ee" or str(model).startswith(PREFIX)

    async def models(self, _request: web.Request) -> web.Response:
        reply = await self._client.models.list()
        return _json({**vars(reply), "data": [entry for entry in reply.data if self._is_listed(entry.id)]})

    async def model(self, request: web.Request) -> web.Response:
        if self._is_listed(name := request.match_info["model"]):
            return _json(await self._client.models.retrieve(name))
        raise NotFoundError(f"this gateway has no model {name!r:.100}: it has min_privacy='e2ee'")

    async def attestation(self, request: web.Request) -> web.Response:
        tee = self._client.tee
        return _json((await tee.verified(request.match_info["model"], tee.options(None))).to_dict())

    async def responses(self, _request: web.Request) -> web.Response:
        raise APIError("this gateway has no Responses API; use /v1/chat/completions", status_code=501, code="not_supported")

    async def health(self, _request: web.Request) -> web.Response:
        return _json({"status": "ok"})


GATEWAY: Final = web.AppKey("GATEWAY", Gateway)


class Options(TypedDict, total=False):
    """The options of a gateway."""

    allow_hosts: Collection[str]
    """Names, besides those of loopback, by which programs may call it. They need a token."""
    clear_on_request: bool
    """Let a request for an `e2ee-*` model leave in clear if it says `enable_e2ee: false`, and what cannot be encrypted beside
    messages (`stop`) leave in clear with those that are. False by default."""
    sealed_tools: bool
    """Let an encrypted chat have tools, in sealed messages, as `run_with_tools(sealed_tools=True)` does. False by default."""
    rpm: int | None
    """How many chats may begin in a minute; the others wait."""
    patience_seconds: float
    """How long a program may take to send a body, or to read what it is sent; 60 by default."""


def app(client: VeniceClient, *, token: str | None = None, **options: Unpack[Options]) -> web.Application:
    """The gateway as an aiohttp application, for a server of your own; `serve` runs it with bounded waits.

    Args:
        client: what sends everything. Its limits, budget, fallbacks, `min_privacy` and `tee` hold for all who ask.
        token: what programs must give as their API key; None asks for none.
        **options: see `Options`.

    Raises:
        InvalidArgumentError: an argument is not allowed.
    """
    gateway = Gateway(client, token, options)
    application = web.Application(middlewares=[gateway.answered], client_max_size=_MAX_BODY_BYTES)
    application[GATEWAY] = gateway
    application.router.add_post("/v1/chat/completions", gateway.chat)
    application.router.add_post("/v1/responses", gateway.responses)
    application.router.add_get("/v1/models", gateway.models)
    application.router.add_get("/v1/models/{model:.+}", gateway.model)
    application.router.add_get("/attestation/{model:.+}", gateway.attestation)
    application.router.add_get("/healthz", gateway.health)
    return application


class _Asked(NamedTuple):
    keywords: dict[str, Any]  # of `create`; fields that are not known here are in its `extra_body`, and go through as they are
    usage: bool  # whether the program wants to be told the usage of a stream
    dropped: tuple[str, ...]  # the fields that are left out because they would not be encrypted
    calling: list[Any] | None  # the messages, if the calls of the answer stand in its text


def _asked_by(body: Mapping[str, Any], tee: TeeOptions | None, *, clear_on_request: bool, sealed_tools: bool) -> _Asked:
    """The arguments of `create` for the body of a request. What is wrong with them, `create` says.

    Models with end-to-end encryption are asked with it, and an InvalidRequestError is raised for what would leave in clear,
    also if the client seals the messages of some roles alone; unless `clear_on_request` lets `enable_e2ee: false` decide.
    """
    fields = dict(body)
    model, messages, stream = (fields.pop(name, None) for name in ("model", "messages", "stream"))
    if isinstance(messages, str):  # which `create` takes, and the API does not
        raise InvalidRequestError("messages must be a list of messages, not a text")
    model = model.strip() if isinstance(model, str) else model  # as the client does: a blank must not hide the prefix
    if (most := fields.pop("max_tokens", None)) is not None and fields.get("max_completion_tokens") is None:
        fields["max_completion_tokens"] = most
    in_clear = clear_on_request and switches_in(fields).get("enable_e2ee") is False
    sealed = (isinstance(model, str) and model.startswith(PREFIX) and not in_clear) or encryption_requested(None, fields)
    dropped = tuple(name for name in _DROPPED if sealed and fields.pop(name, None) is not None)
    options = fields.get("stream_options")
    usage = isinstance(options, Mapping) and cast("Mapping[str, Any]", options).get("include_usage") is True
    if stream is True and (options is None or isinstance(options, Mapping)):
        fields["stream_options"] = {**cast("Mapping[str, Any]", options or {}), "include_usage": True}
    calling = None
    if sealed and sealed_tools and is_array(messages) and is_array(tools := fields.get("tools") or []):
        rules: dict[str, Any] = {name: fields.pop(name, None) for name in ("tools", "tool_choice", "parallel_tool_calls")}
        messages = sealed_messages(messages, **{**rules, "tools": cast("Any", tools)})
        calling = messages if tools and rules["tool_choice"] != "none" else None
        if calling and fields.get("n") not in {None, 1}:
            raise InvalidRequestError("n is not allowed with tools that are sealed: their calls are read from one answer")
    conversation = {"model": model, "messages": messages}
    if sealed and (sealed_tools or not clear_on_request):
        roles = "all" if tee is None else tee.encrypt_roles
        guard({**({} if clear_on_request else fields), **conversation}, floor="e2ee", roles=roles)
    known = {name: fields.pop(name) for name in _PARAMETERS.intersection(fields)}
    return _Asked({**conversation, **known, "stream": stream, "e2ee": sealed, "extra_body": fields}, usage, dropped, calling)


async def _with_calls(stream: ChatStream, conversation: list[Any]) -> AsyncIterator[ChatCompletionChunk]:
    """The chunks of a stream with the calls in its text as calls: they come with the finish reason."""
    prose, texts = Prose(), list[str]()
    async for given in stream:
        chunk = deepcopy(given)
        for choice in chunk.choices:
            texts.append(content_text(choice.delta.content) or "")
            vars(choice.delta)["content"] = prose.feed(texts[-1])
            if choice.finish_reason:
                text, calls = read_turn("".join(texts), conversation, chunk.id, broken=False)
                vars(choice.delta)["content"] += text[prose.shown :]
                if calls:
                    vars(choice.delta)["tool_calls"] = [{"index": index, **plain(call)} for index, call in enumerate(calls)]
                    vars(choice)["finish_reason"] = "tool_calls"
        yield chunk


def event_of(chunk: ChatCompletionChunk, event: bytes | None, *, usage: bool) -> bytes:
    """The event to pass a chunk on with: as it came, if that is given. Empty for usage that was not requested."""
    fields = vars(chunk)
    if not usage and fields.get("usage") is not None:
        if not fields.get("choices"):
            return b""
        fields, event = {name: value for name, value in fields.items() if name != "usage"}, None
    data = encode(fields) if event is None else event
    return b"data: %b\n\n" % data if b"\n" not in data else sse.encode(data)


def _tokens(usage: ChatUsage | None) -> str:
    return "" if usage is None else f", {usage.get('prompt_tokens')}+{usage.get('completion_tokens')} tokens"


def _known(error: BaseException) -> Exception:
    if isinstance(error, (VeniceError, ImportError)):
        return error
    if isinstance(error, asyncio.CancelledError):  # by `serve`, for whoever left is not told
        return APIError("the gateway was stopped before the answer was complete", status_code=503)
    # A fault of ours. Its own words may be a prompt's; where it arose never is.
    logger.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return VeniceError(f"the gateway failed: {type(error).__name__}")


def _json(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=encode(content), status=status, headers=headers, content_type="application/json")


def refusal(error: Exception, allow: str | None = None) -> web.Response:
    return _json(body_of(error), status_of(error), headers_of(error) | ({} if allow is None else {"Allow": allow}))
