"""The arguments of a chat become the JSON body of a request, checked before the network; always the same bytes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from inspect import isroutine
from typing import Any, cast

import msgspec

from .._core.caller_warnings import warn
from .._core.chat_size import ChatSize
from ..exceptions import InvalidRequestError
from ..types._base import Model, plain, without_none
from ..types.api.chat import ChatMessage, Messages
from ..types.api.params import OBJECTS, ChatParams, Conversation, lacks_function
from ..types.api.returned import turn_to_send
from .invalid_values import NOT_JSON, as_json, explained, learn, place, refuse_endless

learn(Conversation, ChatParams)

_KNOWN = frozenset(ChatParams.__annotations__)
_KEYWORDS = (
    *ChatParams.__annotations__,
    *("model", "messages", "stream", "stream_cls", "e2ee", "timeout", "extra_headers", "extra_body", "fallback_models"),
    *("fail_fast", "schema_name", "max_reasks", "max_iterations", "on_limit", "on_tool_call", "on_tool_error"),
    *("on_unknown_tool", "tool_timeout", "decisions"),
)
"""Names that a misspelt keyword is compared with: parameters of the body, and arguments of `create` and of other methods."""
_SWITCHES = ("venice_parameters", "reasoning", "stream_options")
_HALF = "a name in it holds half of a surrogate pair, which is not a character"
_LIKENESS = 0.84  # of a slip to what was meant; `top_a`, which other servers know, is 0.8 like `top_p`
_TEXTS = frozenset({str})


def chat_body(
    *,
    model: str,
    messages: Messages,
    stream: bool,
    params: Mapping[str, Any],
    extra: Mapping[str, Any] | None = None,
    echo: bool = True,
) -> dict[str, Any]:
    """The body of a chat: what was given, checked, and a stream's usage. Without `echo` an error repeats no message."""
    if "max_tokens" in params:
        raise TypeError("max_tokens is not a parameter; use max_completion_tokens, which also counts reasoning tokens")
    try:
        body: dict[str, Any] = {"model": _model(model), "messages": checked_messages(messages, echo=echo)}
        given = {name: parameter(name, value) for name, value in params.items() if value is not None} if params else {}
        added = {} if extra is None else extra_fields(extra)
    except RecursionError:
        raise InvalidRequestError("the request is not JSON: something in it holds itself, or is nested too deeply") from None
    if given:
        check_parameters(given)
    if stream:
        body["stream"] = True
        given.setdefault("stream_options", {"include_usage": True})
    return {**body, **given, **added} if given or added else body


def encode(body: Mapping[str, Any]) -> bytes:
    """The body as JSON, or an InvalidRequestError; the same body is always the same bytes."""
    try:
        return as_json(body)
    except NOT_JSON as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {place(body)}{error}") from error


def chat_size(body: Mapping[str, Any]) -> ChatSize:
    most, choices = body.get("max_completion_tokens") or body.get("max_tokens"), body.get("n")
    return ChatSize(
        body["model"],
        len(body["messages"]),
        most if isinstance(most, int) else None,
        choices if isinstance(choices, int) and choices > 0 else 1,
    )


def _model(model: object) -> str:
    name = model.strip() if isinstance(model, str) else ""
    if not name or not name.isprintable():
        raise InvalidRequestError(
            f"model={model!r} is not a model id; client.models.resolve_chat() finds one, client.models.list() shows all"
        )
    return name


def checked_messages(messages: object, *, echo: bool = True) -> list[Any]:
    """The messages of a request, as plain JSON; a text is one of the user's. Without `echo` no error repeats what they say."""
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}] if messages else []
    elif not isinstance(messages, (list, tuple)) and (
        isinstance(messages, (bytes, Mapping, Model)) or not isinstance(messages, Iterable)
    ):
        raise InvalidRequestError(f"messages must be a text or a list, not {type(cast('object', messages)).__name__}")
    given = [_message(message, index, echo=echo) for index, message in enumerate(cast("Iterable[Any]", messages))]
    if not given:
        raise InvalidRequestError('messages is empty; give a text, or at least one as {"role": "user", "content": "..."}')
    try:
        msgspec.convert({"messages": given}, Conversation)
    except (UnicodeEncodeError, msgspec.ValidationError) as error:
        refusal = refused_messages(error, given, echo=echo)
    else:
        return given
    raise refusal


def _message(message: Any, index: int, *, echo: bool) -> Any:
    if message.__class__ is dict and _TEXTS.issuperset(map(type, message)) and _TEXTS.issuperset(map(type, message.values())):
        return message.copy()  # most messages by far: there is nothing else to look at
    if isinstance(message, ChatMessage):  # a model's, and not the caller's to put right
        return turn_to_send(message)
    copy: Any = plain(message)
    if isinstance(copy, dict) and "reasoning_details" in copy and copy["reasoning_details"] is None:
        del copy["reasoning_details"]  # a reply may hold null where a request must not
    refuse_endless(f"messages.{index}", copy, echo=echo)
    return cast("Any", copy)


def extra_fields(extra: object) -> dict[str, Any]:
    if not isinstance(extra, Mapping):
        raise InvalidRequestError(f"extra_body is {type(extra).__name__}, not a mapping of fields for the body")
    fields = cast("dict[str, Any]", plain(extra))
    if own := sorted({"model", "messages", "stream"} & fields.keys()):
        raise InvalidRequestError(f"extra_body must not hold {own[0]!r}: it is an argument of its own")
    refuse_endless("extra_body", fields)
    return fields


def parameter(name: str, value: Any) -> Any:
    if name == "response_format" and not isinstance(value, (Mapping, Model)):
        from .._structured.strict_schema import is_class, response_format

        if is_class(value):
            return response_format(value)
    if name == "tools" and isinstance(value, (list, tuple)) and any(map(isroutine, cast("list[Any]", value))):
        raise InvalidRequestError("tools holds a function; make it a Tool with tool_from_function(...)")
    copy = without_none(plain(value), OBJECTS[name]) if name in OBJECTS else plain(value)
    refuse_endless(name, copy)
    return copy


def check_parameters(given: dict[str, Any]) -> None:
    """Refuses parameters with other values than theirs; unknown ones are only looked at for slips of the pen."""
    if slips := set(given).difference(_KNOWN):
        _warn_of_slips(slips, _KEYWORDS, "a chat request has no parameter", _LIKENESS)
    params = {name: value for name, value in given.items() if name in _KNOWN}
    try:
        msgspec.convert(params, ChatParams)
    except UnicodeEncodeError:
        raise InvalidRequestError(f"{place(params)}{_HALF}") from None
    except msgspec.ValidationError as error:
        where, value, why = explained(error, ChatParams, params)
        raise InvalidRequestError(f"{where}={value!r:.100} is not allowed: {why}") from None
    for index, tool in enumerate(params.get("tools") or ()):
        if lacks_function(tool):
            raise InvalidRequestError(
                f'tools.{index}={tool!r:.100} is not allowed: expected {{"type": "function", "function": {{"name": ...}}}}'
            )
    # Venice drops unknown switches without a word, so a slip of the pen would never be noticed.
    for name in _SWITCHES:
        if slips := set(params.get(name, {})).difference(OBJECTS[name]):
            _warn_of_slips(slips, OBJECTS[name], f"{name} has no", 0.8)


def _warn_of_slips(names: Iterable[Any], known: Collection[str], lack: str, likeness: float) -> None:
    from difflib import get_close_matches

    for name in sorted(map(str, names)):
        close = [] if name in known else get_close_matches(name, list(known), cutoff=likeness)
        if close:
            warn(f"{lack} {name!r}; did you mean {close[0]!r}?")


def refused_messages(error: Exception, given: list[Any], *, echo: bool) -> InvalidRequestError:
    """The error for messages that msgspec refused. Without `echo` it repeats nothing that stands in them."""
    if not isinstance(error, msgspec.ValidationError):
        return InvalidRequestError(f"{place({'messages': given})}{_HALF}")
    # The value itself may be the prompt, which belongs in no error.
    where, _, why = explained(error, Conversation, {"messages": given})
    if not echo:
        why = f"{why.partition(chr(39))[0].strip()}{''.join(why.partition('; one of ')[1:])}"
    whole = any(isinstance(each, dict) and "role" not in each and ("choices" in each or "message" in each) for each in given)
    hint = "; a reply's message is reply.choices[0].message" if whole else ""
    return InvalidRequestError(f"{where or 'messages'} is not allowed: {why}{hint}")
