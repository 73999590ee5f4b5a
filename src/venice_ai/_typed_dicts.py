"""`typing.TypedDict` for pydantic, which before Python 3.12 takes only that of `typing_extensions`.

An annotation goes in and the same comes out, with every such class in it replaced by its equal, also inside containers, unions
and other such classes.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

import typing_extensions

from .exceptions import ToolSignatureError

# Called with values it is a class that type checkers cannot know.
_new_class: Any = typing_extensions.TypedDict
_QUALIFIERS = (typing.Required, typing.NotRequired, typing_extensions.Required, typing_extensions.NotRequired)


def modern(annotation: Any, names: dict[str, Any]) -> Any:
    """The annotation as pydantic takes it. `names` are those that texts in it may use beside their module's.

    Raises:
        ToolSignatureError: a class refers to itself.
    """
    return annotation if sys.version_info >= (3, 12) else _Remaking(names).of(annotation)


def changed_inside(annotation: Any, change: Callable[[Any], Any]) -> Any:
    """The annotation with each of its arguments changed; itself if none was."""
    origin, args = typing_extensions.get_origin(annotation), typing_extensions.get_args(annotation)
    if not args or origin is Literal:
        return annotation
    if origin is Annotated:
        return Annotated[(change(args[0]), *args[1:])]
    new = tuple(change(argument) for argument in args)
    if all(one is other for one, other in zip(new, args, strict=True)):
        return annotation
    return _rebuilt(origin, new)


class _Remaking:
    """One annotation's classes, each remade once."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._made: dict[Any, Any] = {}

    def of(self, annotation: Any) -> Any:
        return self._remade(annotation) if _is_old(annotation) else changed_inside(annotation, self.of)

    def _remade(self, old: Any) -> Any:
        if old not in self._made:
            self._made[old] = None
            hints = typing_extensions.get_type_hints(old, None, self._names, include_extras=True)
            fields = {key: self._field(old, key, hint) for key, hint in hints.items()}
            made = _new_class(old.__name__, fields)
            made.__doc__, made.__module__ = old.__doc__, old.__module__
            if hasattr(old, "__pydantic_config__"):
                made.__pydantic_config__ = old.__pydantic_config__
            self._made[old] = made
        if self._made[old] is None:
            raise ToolSignatureError(
                f"{old.__name__} refers to itself: before Python 3.12 take TypedDict from typing_extensions for that"
            )
        return self._made[old]

    def _field(self, old: Any, key: str, hint: Any) -> Any:
        hint = self.of(hint)
        if typing_extensions.get_origin(hint) in _QUALIFIERS or key in old.__required_keys__:
            return hint
        return cast("Any", typing_extensions.NotRequired)[hint]


def _is_old(annotation: Any) -> bool:
    return typing.is_typeddict(annotation) and type(annotation).__module__ == "typing"


def _rebuilt(origin: Any, args: Any) -> Any:
    if origin is typing.Union or getattr(origin, "__name__", "") == "UnionType":
        return typing.Union[args]  # noqa: UP007  # of values
    return origin[args if len(args) > 1 else args[0]]
