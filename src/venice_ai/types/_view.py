"""JSON as it came, seen as a typed object: how its fields are read.

The decoded JSON object becomes the `__dict__` of a typed object: `r["x"]` and `r.x` are the same value, unknown fields stay,
and a paid answer is never lost to an odd field. A declared field that the JSON lacks reads as its default.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeGuard


class View:
    """What reading takes of a `Model`, which is what all of these objects are."""

    __slots__ = ("__dict__", "__weakref__", "_private")
    _private: bool
    """Whether it came end-to-end encrypted: then its `repr`, which ends up in logs and traces, does not show what it holds."""

    _nested: ClassVar[dict[str, type[View]]] = {}
    """Fields whose JSON objects (alone, or in a list) are objects of another class."""
    _lists: ClassVar[frozenset[str]] = frozenset()
    """Fields that read as an empty list where the JSON has none."""
    _certain: ClassVar[frozenset[str]] = frozenset()
    """Nested fields that read as an (empty) object, or list of objects, whatever the JSON has in their place."""
    _fields: ClassVar[frozenset[str]] = frozenset()
    _required: ClassVar[frozenset[str]] = frozenset()
    _constants: ClassVar[dict[str, Any]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = [name for name in cls.__annotations__ if not name.startswith("_")]
        declared = {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        cls._fields = cls._fields.union(own)
        cls._required = cls._required | {name for name in own if name not in declared} - cls._lists
        cls._constants = cls._constants | {name: value for name, value in declared.items() if value is not None}
        for name in cls._certain:
            setattr(cls, name, _certainly(name, cls._nested[name], of_many=name in cls._lists))

    @classmethod
    def _adopt(cls, data: dict[str, Any]) -> Self:
        """The view over this very dict, which from now on belongs to the object."""
        view: Any = adopted(cls, data)  # a cast would be a call
        return view  # type: ignore[no-any-return]

    if not TYPE_CHECKING:  # to type checkers there are the declared fields alone; `reply["x"]` reads any other

        def __getattr__(self, name: str) -> Any:
            # Only reached when neither the JSON nor a default of the class has it.
            cls = type(self)
            if name in cls._lists:
                return []
            if name in cls._required:
                return None
            known = ", ".join(vars(self)) or "none"
            raise AttributeError(f"{type(self).__name__} has no field {name!r}; its fields are {known}")

    def __getitem__(self, key: str) -> Any:
        cls = type(self)
        try:
            return vars(self)[key] if key not in cls._certain else getattr(self, key)
        except KeyError:
            if key in cls._fields:
                return getattr(self, key)
            raise

    def __contains__(self, key: object) -> bool:
        return key in vars(self)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))


def _certainly(name: str, kind: type[View], *, of_many: bool) -> property:
    """A field that reads as objects of a kind, also where the JSON has something else. What the JSON has stays as it is."""

    def one(self: View) -> Any:
        """Always an object: an empty one where the JSON has none."""
        found = self.__dict__.get(name)
        return found if found.__class__ is kind or isinstance(found, kind) else kind._adopt({})  # noqa: SLF001  # the same class hierarchy

    def many(self: View) -> Any:
        """Always a list of objects: an empty one where the JSON has none."""
        held: dict[str, Any] = self.__dict__
        if not isinstance(held.get(name), list):
            return []
        items: Any = held[name]
        for item in items:
            if item.__class__ is not kind and not isinstance(item, kind):
                return [item if isinstance(item, kind) else kind._adopt({}) for item in items]  # noqa: SLF001
        return items

    def write(self: View, value: Any) -> None:
        self.__dict__[name] = value

    return property(many if of_many else one, write)


def is_object(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value of decoded JSON is an object."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[Any]]:
    """Whether a value of decoded JSON is an array."""
    return isinstance(value, list)


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


_new = object.__new__


def viewed(kind: type[View], value: Any) -> Any:
    """A JSON value in which an object, or each object of a list, is seen as a `kind`."""
    if value.__class__ is dict:
        return adopted(kind, value)
    if value.__class__ is list:
        return [adopted(kind, item) if item.__class__ is dict else item for item in value]
    return value
