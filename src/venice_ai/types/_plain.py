"""JSON values, also those that a caller gives, as plain dicts, lists, texts and numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, cast

from ._view import View

_SCALARS = frozenset({str, int, float, bool, type(None)})


def plain(value: Any) -> Any:
    """A copy of a JSON value as plain dicts, lists, texts and numbers, also of an `Enum` or of numpy's `float64`."""
    if type(value) in _SCALARS:  # most values by far
        return value
    if isinstance(value, (dict, View)):
        items = cast("dict[Any, Any]", value if isinstance(value, dict) else value.__dict__).items()
        return {
            key if key.__class__ is str else _name(key): item if type(item) in _SCALARS else plain(item) for key, item in items
        }
    if isinstance(value, Mapping):
        return {_name(key): plain(item) for key, item in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, cast("set[Any]", value)), key=repr)  # the same input is always the same bytes
    itself: Any = next((itself(value) for kind, itself in _ITSELF if isinstance(value, kind)), value)
    return plain(_dumped(value)) if is_foreign_model(value) else itself


def is_foreign_model(value: object) -> bool:
    """Whether it is an object of a pydantic class of the caller's, or can be written as one can."""
    return hasattr(type(value), "model_dump") and not isinstance(value, View)


def _dumped(value: Any) -> Any:
    """A pydantic object as JSON, under the names that travel. As in ours, a field that is None was not given."""
    from pydantic_core import to_jsonable_python  # whoever has such an object has loaded it

    # Not pydantic's own mode for JSON, in which infinity becomes null.
    return to_jsonable_python(value.model_dump(by_alias=True, exclude=_unset(value) or None), inf_nan_mode="constants")


def _unset(value: Any) -> dict[Any, Any]:
    """The fields that are None, as pydantic's `exclude` wants them told."""
    fields: Mapping[str, Any] | None = getattr(cast("Any", type(value)), "model_fields", None)
    if fields is not None and "root" not in fields:
        held = {name: getattr(value, name, None) for name in fields}
        return {name: inner for name, each in held.items() if (inner := True if each is None else _unset(each))}
    if isinstance(value, (dict, list, tuple)):
        items = cast("Any", value).items() if isinstance(value, dict) else enumerate(cast("list[Any]", value))
        return {key: inner for key, each in items if (inner := _unset(each))}
    return {}


# By these methods, because what a class has in their place may say something else.
_ITSELF: tuple[tuple[type, Callable[[Any], Any]], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (Enum, lambda each: plain(each.value)),
)


def _name(key: Any) -> Any:
    return str.__str__(key) if isinstance(key, str) else _name(key.value) if isinstance(key, Enum) else key
