"""`typing.TypedDict` for pydantic, which before Python 3.12 takes only that of `typing_extensions`.

An annotation goes in and the same comes out, with every such class in it replaced by its equal, also inside containers, unions,
dataclasses and other such classes. What it takes to look into such a class, and into generic ones, is here, too.
"""

from __future__ import annotations

import sys
import typing
from collections.abc import Callable, Mapping
from dataclasses import Field, InitVar, field, is_dataclass, make_dataclass
from dataclasses import fields as dataclass_fields
from typing import Annotated, Any, Literal, cast

import typing_extensions
from pydantic import AfterValidator

from ..exceptions import ToolSignatureError

# Called with values it is a class that type checkers cannot know.
_new_class: Any = typing_extensions.TypedDict
QUALIFIERS = {
    *(typing.Required, typing.NotRequired),
    *(typing_extensions.Required, typing_extensions.NotRequired, typing_extensions.ReadOnly),
}


def for_pydantic(annotation: Any, names: dict[str, Any]) -> Any:
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


def unqualified(annotation: Any) -> Any:
    """The type of a key, without whether the key must be there."""
    while typing_extensions.get_origin(annotation) in QUALIFIERS:
        (annotation,) = typing_extensions.get_args(annotation)
    return annotation


def filled(annotation: Any, arguments: Mapping[Any, Any]) -> Any:
    """An annotation with types in place of type variables."""
    if isinstance(annotation, typing.TypeVar):
        return arguments.get(annotation, annotation)
    free = getattr(annotation, "__parameters__", ())
    if isinstance(annotation, type) or not free:  # a class has its variables to itself
        return annotation
    return annotation[tuple(arguments.get(variable, variable) for variable in free)]


def arguments_of(annotation: Any) -> dict[Any, Any]:
    """What stands for the type variables of a class in `Class[str, int]`."""
    origin = typing_extensions.get_origin(annotation)
    return dict(zip(getattr(origin, "__parameters__", ()), typing_extensions.get_args(annotation), strict=False))


class _Remaking:
    """One annotation's classes, each remade once."""

    def __init__(self, names: dict[str, Any]) -> None:
        self._names = names
        self._made: dict[Any, Any] = {}

    def of(self, annotation: Any) -> Any:
        if _is_old(annotation) or _is_old(typing_extensions.get_origin(annotation)):
            return self._remade(annotation)
        if _is_plain_dataclass(typing_extensions.get_origin(annotation) or annotation):
            return self._dataclass(annotation)
        return changed_inside(annotation, self.of)

    def _remade(self, annotation: Any) -> Any:
        old = typing_extensions.get_origin(annotation) or annotation
        if annotation not in self._made:
            self._made[annotation] = None
            hints = typing_extensions.get_type_hints(old, None, self._names, include_extras=True)
            given = arguments_of(annotation)
            fields = {key: self._field(old, key, filled(hint, given)) for key, hint in hints.items()}
            made = _new_class(old.__name__, fields)
            made.__doc__, made.__module__ = old.__doc__, old.__module__
            if hasattr(old, "__pydantic_config__"):
                made.__pydantic_config__ = old.__pydantic_config__
            self._made[annotation] = made
        if self._made[annotation] is None:
            raise ToolSignatureError(
                f"{old.__name__} refers to itself: before Python 3.12 take TypedDict from typing_extensions for that"
            )
        return self._made[annotation]

    def _dataclass(self, annotation: Any) -> Any:
        """The class itself, or, if a field is of such a class, its equal, whose objects become objects of the class."""
        if annotation in self._made:
            return annotation  # it holds itself
        self._made[annotation] = annotation
        old = typing_extensions.get_origin(annotation) or annotation
        try:
            hints = typing_extensions.get_type_hints(old, None, self._names, include_extras=True)
        except NameError:
            return annotation  # pydantic says what is missing
        given = arguments_of(annotation)
        hints = {name: filled(hint, given) for name, hint in hints.items()}
        new = {name: self.of(hint) for name, hint in hints.items()}
        if all(new[name] is hint for name, hint in hints.items()) or any(isinstance(hint, InitVar) for hint in hints.values()):
            return annotation
        given_fields = [each for each in dataclass_fields(old) if each.init]
        made: Any = make_dataclass(old.__name__, [(each.name, new[each.name], _copied(each)) for each in given_fields])
        made.__doc__, made.__module__ = old.__doc__, old.__module__
        return Annotated[
            made, AfterValidator(lambda value: old(**{each.name: getattr(value, each.name) for each in given_fields}))
        ]

    def _field(self, old: Any, key: str, hint: Any) -> Any:
        hint = self.of(hint)
        if typing_extensions.get_origin(hint) in QUALIFIERS or key in old.__required_keys__:
            return hint
        return cast("Any", typing_extensions.NotRequired)[hint]


def _is_old(annotation: Any) -> bool:
    return typing.is_typeddict(annotation) and type(annotation).__module__ == "typing"


def _is_plain_dataclass(kind: Any) -> bool:
    return isinstance(kind, type) and is_dataclass(kind) and not hasattr(kind, "__pydantic_fields__")


def _copied(given: Field[Any]) -> Any:
    """A field of a dataclass for another one."""
    defaults: dict[str, Any] = {"default": given.default, "default_factory": given.default_factory}
    return field(kw_only=bool(given.kw_only), metadata=given.metadata, **defaults)


def _rebuilt(origin: Any, args: Any) -> Any:
    if origin is typing.Union or getattr(origin, "__name__", "") == "UnionType":
        return typing.Union[args]  # noqa: UP007  # of values
    return origin[args if len(args) > 1 else args[0]]
