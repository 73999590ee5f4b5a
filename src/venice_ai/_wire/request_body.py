"""The arguments of a chat become the JSON body of a request, checked before the network; always the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

import msgspec

from .._core.request import ChatSize
from ..exceptions import InvalidRequestError
from ..types._base import Model, plain
from ..types.api.chat import ChatMessage, Messages
from ..types.api.params import Conversation
from ..types.api.returned import turn_to_send
from .invalid_values import NOT_JSON, as_json, place, refuse_endless
from .parameters import check_parameters, extra_fields, parameter, refused_messages

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
        raise InvalidRequestError("the request is no JSON: something in it holds itself, or is nested too deeply") from None
    if given:
        check_parameters(given)
    if stream:
        body["stream"] = True
        given.setdefault("stream_options", {"include_usage": True})
    return {**body, **given, **added}


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
    """The messages of a request, as plain JSON; an error repeats nothing that stands in them without `echo`."""
    if not isinstance(messages, (list, tuple)) and (
        isinstance(messages, (str, bytes, Mapping, Model)) or not isinstance(messages, Iterable)
    ):
        raise InvalidRequestError(
            f"messages must be a list of messages, not {type(cast('object', messages)).__name__}; "
            'for one question: messages=[{"role": "user", "content": "..."}]'
        )
    given = [_message(message, index, echo=echo) for index, message in enumerate(cast("Iterable[Any]", messages))]
    if not given:
        raise InvalidRequestError('messages is empty; give at least one, as {"role": "user", "content": "..."}')
    try:
        msgspec.convert({"messages": given}, Conversation)
    except (UnicodeEncodeError, msgspec.ValidationError) as error:
        refusal = refused_messages(error, given, echo=echo)
    else:
        return given
    raise refusal


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
        refuse_endless(f"messages.{index}", copy)
    except InvalidRequestError:
        if echo:
            raise
        raise InvalidRequestError(f"messages.{index} is not allowed: it holds a number that JSON does not have") from None
    return cast("Any", copy)
