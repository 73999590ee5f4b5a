"""Makes a message that a model sent fit to be sent back: the one place that mends an answer for the next request.

Venice refuses some of what a reply may hold: content parts that are not text, fields of another type, what JSON cannot write.
Such a value is mended where that keeps its meaning, else left out. What Venice takes goes back byte for byte as it came.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from typing import Any, Final, cast

from .._base import Model, is_array, is_object, plain
from .._surrogates import is_whole, sendable

_log = logging.getLogger("venice_ai")

_DEEPEST: Final = 64
"""Levels of nesting that are sent back. Half of Python's usual stack holds some 500; no answer that means something has 20."""
_DETAIL_TEXTS: Final = ("data", "format", "id", "text")
_LEFT_OUT: Final = object()


def turn_to_send(message: Mapping[str, Any] | Model) -> dict[str, Any]:
    """A message of a reply as plain JSON that can be sent. What was changed for that is logged; the message stays as it is."""
    changes: dict[str, None] = {}  # in their order, each once
    turn: dict[str, Any] = {}
    for key, value in message.items():
        name = _writable(key, "a member's name", changes)
        turn[name] = _writable(value, name, changes)
    role, has_text = turn.get("role"), isinstance(turn.get("content"), str)
    # What somebody else said stays as it is where it can be sent.
    of_another = role in ("user", "system", "developer") or (role == "tool" and isinstance(turn.get("tool_call_id"), str))
    if role != "assistant" and not (of_another and has_text):
        turn["role"] = "assistant"
        changes["the role is the assistant's"] = None
    for name, rule in _RULES.items():
        if name in turn:
            mended = rule(turn[name])
            if mended is _LEFT_OUT:
                if turn.pop(name) is not None:
                    changes[f"{name} left out, which is of a type that no request takes"] = None
            elif mended != turn[name]:
                turn[name] = mended
                changes[f"{name} brought into the form that a request takes"] = None
    if changes:
        _log.warning("an answer was changed to be sent back: %s", "; ".join(changes))
    return turn


def _writable(value: Any, name: str, changes: dict[str, None], depth: int = 1) -> Any:
    """A plain copy of a value in which everything can be written as JSON."""
    if isinstance(value, str):
        if not is_whole(value):
            changes[f"half of a surrogate pair in {name} replaced by a mark"] = None
        return str.__str__(value) if is_whole(value) else sendable(value)
    if isinstance(value, (dict, list, tuple, Model)) and depth > _DEEPEST:
        changes[f"what is nested more than {_DEEPEST} levels deep in {name} replaced by null"] = None
        return None
    if isinstance(value, (list, tuple)):
        return [_writable(item, name, changes, depth + 1) for item in cast("Sequence[Any]", value)]
    if isinstance(value, (dict, Model)):
        fields = cast("dict[Any, Any]", vars(value) if isinstance(value, Model) else value)
        return {_writable(key, name, changes): _writable(item, name, changes, depth + 1) for key, item in fields.items()}
    if isinstance(value, float) and not isfinite(value):
        changes[f"a number in {name} that JSON does not have replaced by null"] = None
        return None
    return plain(value)


def _text(value: Any) -> Any:
    return value if value is None or isinstance(value, str) else _LEFT_OUT


def _content(value: Any) -> Any:
    """Text, or parts of text: all that an assistant's turn may hold. Null if nothing of it is text."""
    if value is None or isinstance(value, str):
        return value
    if is_object(value) and not ("type" in value or "text" in value):  # an object in place of its JSON text
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, (dict, list)):
        return [found for part in _listed(value) if (found := _part(part)) is not None] or None
    return json.dumps(value)


def _listed(value: Any) -> list[Any]:
    return value if is_array(value) else [value]


def _part(part: Any) -> dict[str, Any] | None:
    """A part as one of text; None if it has none."""
    fields = part if is_object(part) else {"text": part}
    if not fields.get("text") or not isinstance(fields["text"], str):
        return None
    found, mark = {**fields, "type": "text"}, fields.get("cache_control")
    if not (is_object(mark) and mark.get("type") == "ephemeral" and isinstance(mark.get("ttl", ""), str)):
        found.pop("cache_control", None)
    return found


def _reasoning(value: Any) -> Any:
    """The text of reasoning; of parts, theirs."""
    if value is None or isinstance(value, str):
        return value
    texts = [part.get("text") if is_object(part) else part for part in _listed(value)]
    return "".join(text for text in texts if isinstance(text, str)) or _LEFT_OUT


def _details(value: Any) -> Any:
    """The objects that say of what type they are; each without members of another type than the API's."""
    entries = _listed(value)
    found = [_detail(entry) for entry in entries if is_object(entry) and isinstance(entry.get("type"), str)]
    return found if found or not entries else _LEFT_OUT


def _detail(entry: dict[str, Any]) -> dict[str, Any]:
    odd = {name for name in _DETAIL_TEXTS if not isinstance(entry.get(name, ""), str)}
    if isinstance(index := entry.get("index", 0), bool) or not isinstance(index, (int, float)):
        odd.add("index")
    return {name: value for name, value in entry.items() if name not in odd} if odd else entry


_RULES: Final[dict[str, Callable[[Any], Any]]] = {
    "content": _content,
    "name": _text,
    "reasoning_content": _reasoning,
    "reasoning_details": _details,
    "thought_signature": _text,
    "tool_calls": lambda calls: [calls] if is_object(calls) else calls if calls is None or is_array(calls) else _LEFT_OUT,
}
