"""Arguments become a request body; bytes become an answer, a chunk, or an error.

What we send is checked here, once, against `types/api/params.py`. What we receive is believed as far as it goes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from inspect import isroutine
from math import isfinite
from typing import Any, NoReturn, cast

import msgspec

from ._meta import ResponseMeta
from ._rate import FAILURE_BLOCK_SECONDS, wait_seconds
from ._validation import explained, learn
from ._warnings import warn
from .exceptions import APIError, APIResponseProcessingError, InvalidRequestError, RateLimitError, error_for
from .types._base import Model, plain
from .types.api.chat import ChatCompletionResponse, Message
from .types.api.params import ChatParams, Conversation, VeniceSwitches, given_fields, lacks_function
from .types.api.streaming import ChatCompletionChunk

strict_decode = msgspec.json.Decoder().decode
NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `strict_decode` raises; `decode` may still read it."""
_KNOWN = frozenset(ChatParams.__annotations__)
_KEYWORDS = (*ChatParams.__annotations__, "model", "messages", "stream", "stream_cls", "e2ee", "timeout", "extra_headers")
_HALF = "a name in it holds half of a surrogate pair, which is no character"
_LIKENESS = 0.84  # of a slip to what was meant; `top_a`, which other servers know, is 0.8 like `top_p`
_TEXTS = frozenset({str})
_LEAST_SECRET = 8  # characters; a shorter key is a word such as "any", and stands in many messages


def _unknown(value: object) -> NoReturn:
    raise TypeError(f"{type(value).__name__!r} is no type that JSON knows")


learn(Conversation, ChatParams)

_encode = msgspec.json.Encoder(enc_hook=_unknown, decimal_format="number").encode

# -- out -----------------------------------------------------------------------------------------------------------------


def chat_body(
    *, model: str, messages: Iterable[Message], stream: bool, params: Mapping[str, Any], echo: bool = True
) -> dict[str, Any]:
    """The body of a chat request, checked. Nothing the caller did not give is in it, except the usage of a stream.

    Without `echo` an error repeats nothing that stands in a message.

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
    if slips := given.keys() - _KNOWN:
        _warn_of_slips(slips, _KEYWORDS, "a chat request has no parameter", _LIKENESS)
    if known := {name: value for name, value in given.items() if name in _KNOWN}:
        _check_params(known)
    if stream:
        body["stream"] = True
        given.setdefault("stream_options", {"include_usage": True})
    body.update(given)
    return body


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
        from ._schema import is_class, response_format

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
    if slips := params.get("venice_parameters", {}).keys() - VeniceSwitches.__annotations__.keys():
        _warn_of_slips(slips, VeniceSwitches.__annotations__, "venice_parameters has no", 0.8)


def _warn_of_slips(names: Iterable[Any], known: Iterable[str], lack: str, likeness: float) -> None:
    """Warns of names that look like a known one."""
    from difflib import get_close_matches

    for name in sorted(map(str, names)):
        if close := get_close_matches(name, list(known), n=1, cutoff=likeness):
            warn(f"{lack} {name!r}; did you mean {close[0]!r}?")


# -- in ------------------------------------------------------------------------------------------------------------------


def completion(body: bytes, meta: ResponseMeta) -> ChatCompletionResponse:
    """The completion in a successful reply.

    Raises:
        APIError: the body is an error, or not a completion.
    """
    data = json_object(body, meta)
    if not ("choices" in data or "usage" in data or "id" in data):
        raise unusable(body, meta, "JSON that is no completion")
    response = ChatCompletionResponse._adopt(data)  # noqa: SLF001  # the JSON is ours to give away
    attach(response, meta)
    return response


def attach(response: ChatCompletionResponse, meta: ResponseMeta) -> None:
    """Gives a response the meta of the reply it came with."""
    identity = vars(response).get("id")
    meta.body_id = identity if isinstance(identity, str) else None
    response._meta = meta  # noqa: SLF001  # set where a response is made, read-only for users


def json_object(body: bytes, meta: ResponseMeta) -> dict[str, Any]:
    """The JSON object in a successful reply.

    Raises:
        APIError: it holds an error instead, or no JSON object.
    """
    try:
        found: Any = decode(body)
    except ValueError:
        raise unusable(body, meta, "a body that is not JSON") from None
    if found.__class__ is not dict:
        raise unusable(body, meta, "JSON that is no object")
    if found.get("error") and not found.get("choices"):
        raise error_for(meta.status_code, meta.headers, found, meta=meta)
    return found  # type: ignore[no-any-return]  # a cast would be a call


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


def chunk(found: Any) -> ChatCompletionChunk | dict[str, Any]:
    """The chunk in an event's JSON; the object itself if it holds an error.

    Raises:
        ValueError: it is not a JSON object.
    """
    if not isinstance(found, dict):
        raise ValueError("an event is not a JSON object")  # noqa: TRY004  # what the server sent, not what a caller passed
    event = cast("dict[str, Any]", found)
    return event if event.get("error") else ChatCompletionChunk._adopt(event)  # noqa: SLF001  # the JSON is ours to give away


def refusal(body: bytes, meta: ResponseMeta, *, secret: bytes = b"") -> APIError:
    """The error that an unsuccessful reply stands for. A server may repeat the key that it refuses; it is taken out."""
    status, headers = meta.status_code, meta.headers
    try:
        content = decode(body)
    except ValueError:
        content = body.decode("utf-8", "replace")
    wait = wait_seconds(status, headers, meta.received_at)
    error = error_for(status, headers, content, meta=meta, retry_after_seconds=wait)
    if isinstance(error, RateLimitError) and error.kind == "failures":
        error.retry_after_seconds = max(wait or 0.0, FAILURE_BLOCK_SECONDS)
    if 300 <= status < 400:
        location = headers.get("location", "nowhere")
        error.args = (f"Venice answered {status}, a redirect to {location!r}; redirects are not followed. Set base_url.",)
    if len(secret) >= _LEAST_SECRET:
        key = secret.decode()
        error.args = _without(list(error.args), key)
        error.body, error.code, error.request_id = _without([error.body, error.code, error.request_id], key)
    return error


def _without(value: Any, secret: str) -> Any:
    """A JSON value in whose texts a secret is not shown."""
    if isinstance(value, str):
        return value.replace(secret, "***")
    if isinstance(value, dict):
        return {_without(key, secret): _without(inner, secret) for key, inner in _items(value)}
    return [_without(inner, secret) for inner in cast("list[Any]", value)] if isinstance(value, list) else value


def stream_error(content: dict[str, Any], meta: ResponseMeta, partial: ChatCompletionResponse) -> APIError:
    """The error that an event of a stream stands for."""
    details = content.get("error")
    wait = cast("dict[str, Any]", details).get("retry_after") if isinstance(details, dict) else None
    seconds = float(wait) if isinstance(wait, (int, float)) and not isinstance(wait, bool) else None
    return error_for(meta.status_code, meta.headers, content, meta=meta, retry_after_seconds=seconds, partial=partial)


def instead_of_stream(body: bytes, meta: ResponseMeta) -> APIError:
    """The error for a whole completion where a stream was asked for; `partial` holds it.

    Raises:
        APIError: it is not even that, but an error, or no answer at all.
    """
    error = unusable(body, meta, "JSON")
    error.partial = completion(body, meta)
    return error


def unusable(body: bytes, meta: ResponseMeta, what: str) -> APIResponseProcessingError:
    """The error for a successful status without an answer."""
    text = body.decode("utf-8", "replace")
    start = text.lstrip()[:1]
    shown = "an empty body" if not start else "an HTML page" if start == "<" else what
    return APIResponseProcessingError(
        f"Venice answered {meta.status_code} with {shown} instead of an answer. {APIResponseProcessingError.remedy}",
        status_code=meta.status_code,
        request_id=meta.request_id,
        body=text,
        meta=meta,
    )
