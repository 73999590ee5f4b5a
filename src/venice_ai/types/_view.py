"""How decoded JSON becomes an object: it is the object's `__dict__`. Nothing is checked, and nothing is copied."""

from __future__ import annotations

from typing import Any, ClassVar, Self, TypeGuard

_new = object.__new__


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value of decoded JSON is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a value of decoded JSON is an array."""
    return isinstance(value, list)


class View:
    """An object over a JSON object, and over those in it."""

    __slots__ = ("__dict__",)
    _nested: ClassVar[dict[str, type[Any]]] = {}
    """Fields whose JSON objects (alone, or in a list) are objects of another class."""

    @classmethod
    def _adopt(cls, data: dict[str, Any]) -> Self:
        """The view over this very dict, which from now on belongs to the object."""
        made: Any = adopted(cls, data)  # a cast would be a call
        return made  # type: ignore[no-any-return]


def certainly(name: str, kind: type[View], *, of_many: bool) -> property:
    """A field that reads as objects of a kind, also where the JSON has something else. What the JSON has stays as it is."""

    def one(self: View) -> Any:
        """Always an object: an empty one where the JSON has none."""
        found = self.__dict__.get(name)
        return found if isinstance(found, kind) else kind._adopt({})  # noqa: SLF001  # the same class hierarchy

    def many(self: View) -> Any:
        """Always a list of objects: an empty one where the JSON has none."""
        items: Any = self.__dict__.get(name)
        if items.__class__ is not list:
            return []
        for item in items:
            if not isinstance(item, kind):
                return [item if isinstance(item, kind) else kind._adopt({}) for item in items]  # noqa: SLF001
        return items

    def write(self: View, value: Any) -> None:
        self.__dict__[name] = value

    return property(many if of_many else one, write)


def adopted(kind: type[View], data: dict[str, Any]) -> View:
    """A view over this very dict. It runs for every object of every reply, so it calls as little as it can."""
    for name, inner in kind._nested.items():  # noqa: SLF001  # the same class hierarchy
        if name in data:
            value: Any = data[name]
            if value.__class__ is dict:
                if inner._nested.keys().isdisjoint(value):  # noqa: SLF001  # it holds no others: a call would cost as much again
                    data[name] = leaf = _new(inner)
                    leaf.__dict__ = value
                else:
                    data[name] = adopted(inner, value)
            elif value and value.__class__ is list:
                data[name] = [adopted(inner, item) if item.__class__ is dict else item for item in value]
    self = _new(kind)
    self.__dict__ = data
    return self
