"""Arguments become a request body; bytes become an answer, a chunk, or an error.

What we send is checked here, once, against `types/api/params.py`. What we receive is believed as far as it goes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from decimal import Decimal
from inspect import isroutine
from math import isfinite
from typing import Any, NoReturn, cast

import msgspec

from .._core.caller_warnings import warn
from .._core.secrets import without
from ..exceptions import (
    APIError,
    APIResponseProcessingError,
    InvalidRequestError,
    RateLimitError,
    error_for,
    may_report,
    reported,
    without_errors,
)
from ..types._base import Model, plain
from ..types.api.chat import ChatCompletionResponse, ChatMessage, Messages
from ..types.api.params import ChatParams, Conversation, Reasoning, StreamSwitches, VeniceSwitches, given_fields, lacks_function
from ..types.api.returned import turn_to_send
from ..types.api.streaming import ChatCompletionChunk
from ..types.rate_limits import FAILURE_BLOCK_SECONDS, wait_seconds
from ..types.response_meta import ResponseMeta
from .invalid_values import explained, learn

strict_decode = msgspec.json.Decoder().decode
NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `strict_decode` raises; `decode` may still read it."""
_KNOWN = frozenset(ChatParams.__annotations__)
_KEYWORDS = (
    *ChatParams.__annotations__,
    *("model", "messages", "stream", "stream_cls", "e2ee", "timeout", "extra_headers", "extra_body"),
    *("schema_name", "max_reasks", "max_iterations", "on_limit", "on_tool_call", "on_tool_error", "on_unknown_tool"),
    *("tool_timeout", "decisions"),
)
"""What a keyword may have meant: a parameter of the body, or an argument of `create` and of the methods that pass theirs on."""
_OBJECTS = {
    name: kind.__annotations__.keys()
    for name, kind in (("venice_parameters", VeniceSwitches), ("reasoning", Reasoning), ("stream_options", StreamSwitches))
}
_HALF = "a name in it holds half of a surrogate pair, which is no character"
_LIKENESS = 0.84  # of a slip to what was meant; `top_a`, which other servers know, is 0.8 like `top_p`
_TEXTS = frozenset({str})


def _unknown(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__!r} is no type that JSON knows")


learn(Conversation, ChatParams)

_encode = msgspec.json.Encoder(enc_hook=_unknown, decimal_format="number").encode

# -- out -----------------------------------------------------------------------------------------------------------------


def chat_body(
    *,
    model: str,
    messages: Messages,
    stream: bool,
    params: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    echo: bool = True,
) -> dict[str, Any]:
    """The body of a chat request, checked. Nothing the caller did not give is in it, except the usage of a stream.

    The fields of `extra` are put into it as they are. Without `echo` an error repeats nothing that stands in a message.

    Raises:
        InvalidRequestError: a parameter has no such value; it names the parameter, the value and what is allowed.
        TypeError: `max_tokens` was given.
    """
    if "max_tokens" in params:
        raise TypeError("max_tokens is not a parameter; use max_completion_tokens, which also counts reasoning tokens")
    try:
        body: dict[str, Any] = {"model": _model(model), "messages": checked_messages(messages, echo=echo)}
        given = {name: _parameter(name, value) for name, value in params.items() if value is not None} if params else {}
    except RecursionError:
        raise InvalidRequestError("the request is no JSON: something in it holds itself, or is nested too deeply") from None
    if given:
        if slips := given.keys() - _KNOWN:
            _warn_of_slips(slips, _KEYWORDS, "a chat request has no parameter", _LIKENESS)
        if known := {name: value for name, value in given.items() if name in _KNOWN}:
            _check_params(known)
    if stream:
        body["stream"] = True
        given.setdefault("stream_options", {"include_usage": True})
    body.update(given)
    if extra is not None:
        body.update(_extra_fields(extra))
    return body


def _extra_fields(extra: object) -> dict[str, Any]:
    """The fields of `extra_body` as plain JSON."""
    if not isinstance(extra, Mapping):
        raise InvalidRequestError(f"extra_body is {_kind(extra)}, not a mapping of fields for the body")
    fields = cast("dict[str, Any]", plain(extra))
    if own := sorted({"model", "messages", "stream"} & fields.keys()):
        raise InvalidRequestError(f"extra_body must not hold {own[0]!r}: it is an argument of its own")
    _refuse_endless("extra_body", fields)
    return fields


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON: the same body is always the same bytes.

    Raises:
        InvalidRequestError: something in it cannot be JSON.
    """
    try:
        return _encode(body)
    except _UNWRITABLE as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {_place(body)}{error}") from error


_UNWRITABLE = (TypeError, ValueError, RecursionError, OverflowError)


def _place(body: Any) -> str:
    """Where in a body the first value is that cannot be JSON."""
    steps: list[str] = []
    found: Any = body
    while len(steps) < 20:
        step, found = next(((str(key), inner) for key, inner in _items(found) if not _writable(inner)), (None, None))
        if step is None:
            break
        steps.append(step)
    return f"{'.'.join(steps)}: " if steps else ""


def _items(value: Any) -> Iterable[tuple[Any, Any]]:
    """What a JSON object or list holds, by name or by place."""
    if isinstance(value, dict):
        return cast("dict[Any, Any]", value).items()
    return enumerate(cast("list[Any]", value)) if isinstance(value, list) else ()


def _writable(value: object) -> bool:
    try:
        _encode(value)
    except _UNWRITABLE:
        return False
    return True


def _model(model: object) -> str:
    name = model.strip() if isinstance(model, str) else ""
    if not name or not name.isprintable():
        raise InvalidRequestError(
            f"model={model!r} is not a model id; client.models.resolve_chat() finds one, client.models.list() shows all"
        )
    return name


def checked_messages(messages: object, *, echo: bool = True) -> list[Any]:
    """The messages of a request, as plain JSON. Without `echo` an error repeats nothing that stands in them.

    Raises:
        InvalidRequestError: they are not a list of messages, or one of them is not allowed.
    """
    if not isinstance(messages, (list, tuple)) and (
        isinstance(messages, (str, bytes, Mapping, Model)) or not isinstance(messages, Iterable)
    ):
        raise InvalidRequestError(
            f"messages must be a list of messages, not {_kind(cast('object', messages))}; "
            'for one question: messages=[{"role": "user", "content": "..."}]'
        )
    given = [_message(message, index, echo=echo) for index, message in enumerate(cast("Iterable[Any]", messages))]
    if not given:
        raise InvalidRequestError('messages is empty; give at least one, as {"role": "user", "content": "..."}')
    try:
        msgspec.convert({"messages": given}, Conversation)
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{_place({'messages': given})}{_HALF}") from None
    except msgspec.ValidationError as error:
        # The value itself may be the prompt, which belongs in no error.
        where, _, why = explained(error, Conversation, {"messages": given})
        if not echo:
            why = f"{why.partition(chr(39))[0].strip()}{''.join(why.partition('; one of ')[1:])}"
        hint = "; a reply's message is reply.choices[0].message" if any(map(_holds_a_message, given)) else ""
        raise InvalidRequestError(f"{where or 'messages'} is not allowed: {why}{hint}") from None
    return given


def _holds_a_message(given: Any) -> bool:
    return isinstance(given, dict) and "role" not in given and ("choices" in given or "message" in given)


def _message(message: Any, index: int, *, echo: bool) -> Any:
    if message.__class__ is dict and _TEXTS.issuperset(map(type, message)) and _TEXTS.issuperset(map(type, message.values())):
        return dict(cast("dict[str, str]", message))  # most messages by far: there is nothing else to look at
    if isinstance(message, ChatMessage):  # a model's, and not the caller's to put right
        return turn_to_send(message)
    copy: Any = plain(message)
    if isinstance(copy, dict) and "reasoning_details" in copy and copy["reasoning_details"] is None:
        # A reply may hold null where a request must not.
        del copy["reasoning_details"]
    try:
        _refuse_endless(f"messages.{index}", copy)
    except InvalidRequestError:
        if echo:
            raise
        raise InvalidRequestError(f"messages.{index} is not allowed: it holds a number that JSON does not have") from None
    return cast("Any", copy)


def _kind(value: Any) -> str:
    return type(value).__name__


def _parameter(name: str, value: Any) -> Any:
    if name == "response_format" and not isinstance(value, (Mapping, Model)):
        from .._structured.strict_schema import is_class, response_format

        if is_class(value):
            return response_format(value)
    if name == "tools" and isinstance(value, (list, tuple)) and any(map(isroutine, cast("list[Any]", value))):
        raise InvalidRequestError("tools holds a function; make it a Tool with tool_from_function(...)")
    copy = given_fields(name, plain(value))
    _refuse_endless(name, copy)
    return copy


def _refuse_endless(name: str, value: Any) -> None:
    """JSON has no infinity and no not-a-number, and null would mean something else."""
    if isinstance(value, (dict, list)):
        for key, inner in _items(value):
            if inner.__class__ is not str:
                _refuse_endless(f"{name}.{key}", inner)
    elif isinstance(value, (float, Decimal)) and not isfinite(value):
        raise InvalidRequestError(f"{name}={value!r} is not allowed: JSON has no such number")


def _check_params(params: dict[str, Any]) -> None:
    try:
        msgspec.convert(params, ChatParams)
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{_place(params)}{_HALF}") from None
    except msgspec.ValidationError as error:
        where, value, why = explained(error, ChatParams, params)
        raise InvalidRequestError(f"{where}={value!r:.100} is not allowed: {why}") from None
    for index, tool in enumerate(params.get("tools") or ()):
        if lacks_function(tool):
            raise InvalidRequestError(
                f'tools.{index}={tool!r:.100} is not allowed: expected {{"type": "function", "function": {{"name": ...}}}}'
            )
    # Venice drops unknown switches without a word, so a slip of the pen would never be noticed.
    for name, known in _OBJECTS.items():
        if slips := params.get(name, {}).keys() - known:
            _warn_of_slips(slips, known, f"{name} has no", 0.8)


def _warn_of_slips(names: Iterable[Any], known: Collection[str], lack: str, likeness: float) -> None:
    """Warns of names that look like a known one."""
    from difflib import get_close_matches

    for name in sorted(map(str, names)):
        close = [] if name in known else get_close_matches(name, list(known), n=1, cutoff=likeness)
        if close:
            warn(f"{lack} {name!r}; did you mean {close[0]!r}?")


# -- in ------------------------------------------------------------------------------------------------------------------
#
# What is wrong with a reply is returned, not raised: the frames of a traceback would show the body, and a server may repeat the
# key in it. For the same reason nothing is raised within an `except`, whose error holds what it could not read.


def completion(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> ChatCompletionResponse | APIError:
    """The completion in a successful reply; or the error that the body is or holds, with what came beside it as `partial`."""
    data = _json(body)
    if data.__class__ is not dict:
        return _no_object(data, body, meta, secret)
    suspect = may_report(body, data)  # nearly none is
    error = _reported(data, meta, secret) if suspect and reported(data) is not None else None
    if suspect and error is None and not ("choices" in data or "usage" in data or "id" in data):
        return unusable(body, meta, "JSON that is no completion", secret)
    if error is not None and not data.get("choices"):
        return error
    response = ChatCompletionResponse._adopt(data if error is None else without_errors(data))  # noqa: SLF001  # the JSON is ours
    attach(response, meta)
    if error is None:
        return response
    error.partial = response
    if any(map(_brings_content, response.get("choices") or ())):
        error.counts_as = meta.status_code  # it was paid for, and is not asked for again
    return error


def _brings_content(choice: Any) -> bool:
    """Whether a choice holds more than a role."""
    message = choice.get("message") if isinstance(choice, Model) else None
    return isinstance(message, Model) and any(value for name, value in vars(message).items() if name != "role")


def attach(response: ChatCompletionResponse, meta: ResponseMeta) -> None:
    """Gives a response the meta of the reply it came with."""
    identity = response.__dict__.get("id")
    meta.body_id = identity if isinstance(identity, str) else None
    response._meta = meta  # noqa: SLF001  # set where a response is made, read-only for users


def json_object(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> dict[str, Any] | APIError:
    """The JSON object in a successful reply that is no chat's; or the error that it holds instead, or for what is no object."""
    data = _json(body)
    if data.__class__ is not dict:
        return _no_object(data, body, meta, secret)
    return _reported(data, meta, secret) if data.get("error") and not data.get("choices") else data


_NOT_JSON = object()


def _json(body: bytes) -> Any:
    """The JSON in a body, after which some servers say that a stream is done; `_NOT_JSON` if it is none."""
    try:
        return strict_decode(body)  # nearly always
    except NOT_STRICT:
        pass
    with suppress(ValueError):
        return decode(body)
    with suppress(ValueError):
        return decode(body.rstrip().removesuffix(b"[DONE]").rstrip().removesuffix(b"data:"))
    return _NOT_JSON


def _no_object(found: Any, body: bytes, meta: ResponseMeta, secret: bytes) -> APIError:
    return unusable(body, meta, "a body that is not JSON" if found is _NOT_JSON else "JSON that is no object", secret)


def decode(data: bytes) -> Any:
    """The JSON in some bytes. What only a lenient reader can read (lone surrogates, NaN, stray bytes) is read, too.

    Raises:
        ValueError: it is not JSON.
    """
    try:
        return strict_decode(data)
    except NOT_STRICT:
        try:
            return json.loads(data.decode("utf-8-sig", "replace"), strict=False)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def chunk(found: Any, event: bytes | None = None) -> ChatCompletionChunk | dict[str, Any] | None:
    """The chunk in an event's JSON; the object itself if it reports an error; None if it is no part of an answer.

    `event` is the text of the JSON; where it is given, an error is found sooner.

    Raises:
        ValueError: it is not a JSON object.
    """
    if not isinstance(found, dict):
        raise ValueError("an event is not a JSON object")  # noqa: TRY004  # what the server sent, not what a caller passed
    data = cast("dict[str, Any]", found)
    if event is None or may_report(event, data):
        if reported(data) is not None:
            return data
        if data.get("choices") is None and not any(data.get(name) is not None for name in _WITHOUT_CHOICES):
            return None
    return ChatCompletionChunk._adopt(data)  # noqa: SLF001  # the JSON is ours to give away


_WITHOUT_CHOICES = ("usage", "cost", "venice_parameters")
"""What a chunk may bring that has no choices: usage, and Venice's own fields."""


def refusal(body: bytes, meta: ResponseMeta, *, secret: bytes = b"") -> APIError:
    """The error that an unsuccessful reply stands for. A server may repeat the key that it refuses; it is taken out."""
    status, headers = meta.status_code, meta.headers
    content = _json(body)
    content = without(body.decode("utf-8", "replace") if content is _NOT_JSON else content, secret)
    wait = wait_seconds(status, headers, meta.received_at)
    error = error_for(status, headers, content, meta=meta, retry_after_seconds=wait)
    if isinstance(error, RateLimitError) and error.kind == "failures":
        error.retry_after_seconds = max(wait or 0.0, FAILURE_BLOCK_SECONDS)
    if 300 <= status < 400:
        location = headers.get("location", "nowhere")
        error.args = (f"Venice answered {status}, a redirect to {location!r}; redirects are not followed. Set base_url.",)
    return _shown(error, secret)


def _shown(error: APIError, secret: bytes) -> APIError:
    """An error whose words hold no secret: a header may repeat it, too."""
    error.args = tuple(without(list(error.args), secret))
    error.request_id = without(error.request_id, secret)
    return error


def _reported(
    content: dict[str, Any], meta: ResponseMeta, secret: bytes, partial: ChatCompletionResponse | None = None
) -> APIError:
    """The error that a 200 reply, or an event of a stream, reports."""
    found = without(content, secret)
    wait = _wait(found)
    error = error_for(meta.status_code, meta.headers, found, meta=meta, retry_after_seconds=wait, partial=partial)
    if wait is None and error.counts_as is not None and error.counts_as >= 400:
        error.retry_after_seconds = wait_seconds(error.counts_as, meta.headers, meta.received_at)
    return _shown(error, secret)


def _wait(content: dict[str, Any]) -> float | None:
    """How many seconds the server asks to wait in an error inside a reply."""
    part: Any = reported(content) or content
    for holder in (part.get("error"), part):
        given = cast("dict[str, Any]", holder).get("retry_after") if isinstance(holder, dict) else None
        with suppress(TypeError, ValueError):
            seconds = math.nan if given is None or isinstance(given, bool) else float(given)
            if 0 < seconds < math.inf:
                return seconds
    return None


def stream_error(content: Any, meta: ResponseMeta, partial: ChatCompletionResponse, secret: bytes = b"") -> APIError:
    """The error that an event of a stream stands for: JSON, or the text of one that the server called an error."""
    body = cast("dict[str, Any]", content) if isinstance(content, dict) else {"error": content}
    return _reported(body, meta, secret, partial)


def instead_of_stream(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> APIError:
    """The error for a whole body where a stream was asked for: the one it reports; else `partial` holds the answer it is."""
    found = completion(body, meta, secret)
    if isinstance(found, APIError):
        return found
    error = unusable(body, meta, "JSON", secret)
    error.partial = found
    return error


def unusable(body: bytes, meta: ResponseMeta, what: str, secret: bytes = b"") -> APIResponseProcessingError:
    """The error for a successful status without an answer."""
    text: str = without(body.decode("utf-8", "replace"), secret)
    start = text.lstrip()[:1]
    shown = "an empty body" if not start else "an HTML page" if start == "<" else what
    error = APIResponseProcessingError(
        f"Venice answered {meta.status_code} with {shown} instead of an answer. {APIResponseProcessingError.remedy}",
        status_code=meta.status_code,
        request_id=meta.request_id,
        body=text,
        meta=meta,
    )
    error.request_id = without(error.request_id, secret)
    return error


# -- the label of a reply, and its bytes ---------------------------------------------------------------------------------

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


def start_of(head: bytes | bytearray) -> bytes:
    """What a body begins with, without blanks; empty while what came does not tell what it is."""
    if head.startswith(_FIELDS):
        return bytes(head[:8])
    start = bytes(head).removeprefix(_BOM).lstrip()[:8]
    undecided = _BOM.startswith(head) or any(len(start) < len(field) and field.startswith(start) for field in _FIELDS)
    return b"" if undecided and not start.startswith(_FIELDS) else start


def is_whole(start: bytes, *, labelled: bool) -> bool:
    """Whether a body that begins so is one value, or a page, and no stream of events; `labelled`: it calls itself a stream."""
    return start[:1] == b"{" if labelled else not start.startswith(_FIELDS)


def is_framed(body: bytes) -> bool:
    """Whether a body is a stream of events."""
    return start_of(body).startswith(_FIELDS)


def says_stream(meta: ResponseMeta) -> bool:
    """Whether the label of a reply lets it be a stream of events."""
    label = meta.headers.get("content-type", "").lower()
    return not ("json" in label or "html" in label)
