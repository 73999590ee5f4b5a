"""The parameters of a chat: made plain JSON, and checked against `types/api/params.py`; `extra_body` goes in as it is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from inspect import isroutine
from typing import Any, cast

import msgspec

from .._core.caller_warnings import warn
from ..exceptions import InvalidRequestError
from ..types._base import Model, plain
from ..types.api.params import ChatParams, Conversation, Reasoning, StreamSwitches, VeniceSwitches, given_fields, lacks_function
from .invalid_values import explained, learn, place, refuse_endless

learn(Conversation, ChatParams)

_KNOWN = frozenset(ChatParams.__annotations__)
_KEYWORDS = (
    *ChatParams.__annotations__,
    *("model", "messages", "stream", "stream_cls", "e2ee", "timeout", "extra_headers", "extra_body", "fallback_models"),
    *("fail_fast", "schema_name", "max_reasks", "max_iterations", "on_limit", "on_tool_call", "on_tool_error"),
    *("on_unknown_tool", "tool_timeout", "decisions"),
)
"""What a keyword may have meant: a parameter of the body, or an argument of `create` and of the methods that pass theirs on."""
_OBJECTS = {
    name: kind.__annotations__.keys()
    for name, kind in (("venice_parameters", VeniceSwitches), ("reasoning", Reasoning), ("stream_options", StreamSwitches))
}
_HALF = "a name in it holds half of a surrogate pair, which is no character"
_LIKENESS = 0.84  # of a slip to what was meant; `top_a`, which other servers know, is 0.8 like `top_p`


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
    copy = given_fields(name, plain(value))
    refuse_endless(name, copy)
    return copy


def check_parameters(given: dict[str, Any]) -> None:
    """Refuses parameters with other values than theirs; unknown ones are only looked at for slips of the pen."""
    if slips := given.keys() - _KNOWN:
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
    for name, known in _OBJECTS.items():
        if slips := params.get(name, {}).keys() - known:
            _warn_of_slips(slips, known, f"{name} has no", 0.8)


def _warn_of_slips(names: Iterable[Any], known: Collection[str], lack: str, likeness: float) -> None:
    from difflib import get_close_matches

    for name in sorted(map(str, names)):
        close = [] if name in known else get_close_matches(name, list(known), n=1, cutoff=likeness)
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
