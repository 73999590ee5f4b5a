"""`typing.TypedDict` for pydantic, which before Python 3.12 takes only that of `typing_extensions`.

In dataclasses, and if it is generic, such a class stays: pydantic refuses it and says what to take.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping
from typing import Annotated, Any, cast

import typing_extensions

from ..exceptions import ToolSignatureError

new_typed_dict: Any = typing_extensions.TypedDict  # called with values it is a class that type checkers cannot know
# What may stand around the type of a key, and whether the key must be there then.
_QUALIFIERS: dict[Any, bool | None] = {typing.Required: True, typing.NotRequired: False, typing_extensions.ReadOnly: None}


def object_of_schema(response_format: Mapping[str, Any]) -> Any:
    """The type that an answer to a JSON schema is read as: an object with the keys that it requires, and maybe others."""
    schema = response_format.get("json_schema", {}).get("schema", {})
    kind = new_typed_dict("Answer", dict.fromkeys(schema.get("required", ()), Any))
    kind.__pydantic_config__ = {"extra": "allow"}
    return kind


def for_pydantic(annotation: Any, names: dict[str, Any]) -> Any:
    """The annotation as pydantic takes it. `names` are those that texts in it may use beside their module's."""
    return annotation if sys.version_info >= (3, 12) else _remade(annotation, names, {})


def changed_inside(annotation: Any, change: Callable[[Any], Any]) -> Any:
    """The annotation with each of its arguments changed; itself if none was."""
    origin, args = typing_extensions.get_origin(annotation), typing_extensions.get_args(annotation)
    if origin is Annotated:
        return Annotated[(change(args[0]), *args[1:])]
    new: Any = tuple(change(argument) for argument in args)
    if all(one is other for one, other in zip(new, args, strict=True)):
        return annotation
    if origin is typing.Union or getattr(origin, "__name__", "") == "UnionType":
        return typing.Union[new]  # noqa: UP007  # of values
    return origin[new if len(new) > 1 else new[0]]


def unqualified(annotation: Any, *, required: bool = True) -> tuple[Any, bool]:
    """The type of a key, and whether the key must be there; `required` if the annotation does not say."""
    while (qualifier := typing_extensions.get_origin(annotation)) in _QUALIFIERS:
        required = required if (by_qualifier := _QUALIFIERS[qualifier]) is None else by_qualifier
        (annotation,) = typing_extensions.get_args(annotation)
    return annotation, required


def of_key(annotation: Any, *, required: bool) -> Any:
    """The annotation of a key, marked `NotRequired` unless it is required."""
    return annotation if required else cast("Any", typing_extensions.NotRequired)[annotation]


def _remade(annotation: Any, names: dict[str, Any], made: dict[Any, Any]) -> Any:
    """The annotation with every `typing.TypedDict` in it made anew, once for each."""
    if not (typing.is_typeddict(annotation) and type(annotation).__module__ == "typing"):
        return changed_inside(annotation, lambda inner: _remade(inner, names, made))
    if annotation not in made:
        made[annotation] = None
        hints = typing_extensions.get_type_hints(annotation, None, names, include_extras=True)
        fields = dict[str, Any]()
        for key, hint in hints.items():
            inner, required = unqualified(_remade(hint, names, made), required=key in annotation.__required_keys__)
            fields[key] = of_key(inner, required=required)
        new = made[annotation] = new_typed_dict(annotation.__name__, fields)
        for name in ("__doc__", "__module__", "__pydantic_config__"):
            setattr(new, name, getattr(annotation, name, {}))
    if made[annotation] is None:
        raise ToolSignatureError(f"{annotation.__name__} refers to itself: before Python 3.12 take typing_extensions.TypedDict")
    return made[annotation]
