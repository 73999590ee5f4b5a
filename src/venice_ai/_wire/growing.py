"""How a delta is merged: texts and lists are appended, objects are merged by key, everything else is replaced."""

from __future__ import annotations

from typing import Any, Final, cast

from ..types._base import Model, is_array, is_object
from ..types._surrogates import paired

NEVER_SPLIT: Final = frozenset({"role", "name", "id", "type", "format", "object"})
"""Members that say what something is: servers repeat them, and none comes in pieces."""
_SIGNATURES: Final = frozenset({"signature", "thought_signature"})  # may come in pieces, and may be repeated
DEEPEST: Final = 16  # levels of an object that are joined and copied. What is deeper is the server's JSON, taken over as it is.


class Texts(list[str]):
    """A text that grows, in its pieces."""

    __slots__ = ()


def grown(held: Any, value: Any, name: str, depth: int = 0) -> Any:
    """The value of a member after a delta: texts and lists are appended, objects merged by member, all else is replaced."""
    if held is not None and is_empty(value):
        return held  # what is empty takes nothing away
    if isinstance(value, str) and name not in NEVER_SPLIT:
        if name in _SIGNATURES and held == [value]:
            return held
        texts = held if isinstance(held, Texts) else Texts()
        texts.append(value)
        return texts
    if is_array(value):
        return extended(held, value)
    if isinstance(value, (dict, Model)) and depth < DEEPEST:
        fields = held if is_object(held) else {}
        for key, inner in fields_of(value).items():
            fields[key] = grown(fields.get(key), inner, key, depth + 1)
        return fields
    return cast("Any", value)


def extended(held: Any, items: list[Any]) -> list[Any]:
    """A list that goes on; what is held of another kind gives way to it."""
    if held.__class__ is not list:
        return [*items]
    held += items
    return cast("list[Any]", held)


def keep(fields: dict[str, Any], given: dict[str, Any], known: frozenset[str] = frozenset(), depth: int = 0) -> None:
    """Takes over what is not known of what a chunk says: the last word on each matter; what is empty does not count."""
    for name, value in given.items():
        if name in known:
            continue
        kind = value.__class__
        if kind is int or (kind is str and value):  # most by far
            fields[name] = value
        elif value is None:
            pass
        elif (kind is dict or isinstance(value, Model)) and depth < DEEPEST:
            held: Any = fields.get(name)
            if held.__class__ is not dict:
                fields[name] = held = {}
            keep(held, value.__dict__ if isinstance(value, Model) else value, depth=depth + 1)
        elif not (name in fields and is_empty(value)):
            fields[name] = value


def is_empty(value: Any) -> bool:
    """Whether a value says nothing: zero and false do."""
    return value is None or (isinstance(value, (str, list, dict)) and not value)


def fields_of(value: Any) -> dict[str, Any]:
    """The members of an object, of ours or of decoded JSON."""
    fields: Any = value.__dict__ if isinstance(value, Model) else value
    return fields  # type: ignore[no-any-return]  # a cast would be a call


def plain_copy(value: Any, depth: int = 0) -> Any:
    """A plain copy of what was held, each text in one piece."""
    if value.__class__ is Texts:
        return paired("".join(value))
    if depth > DEEPEST:
        return value
    if isinstance(value, (dict, Model)):
        return {name: plain_copy(item, depth + 1) for name, item in fields_of(value).items()}
    return [plain_copy(item, depth + 1) for item in value] if is_array(value) else value
