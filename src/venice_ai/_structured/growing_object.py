"""JSON text that grows, seen as an object of a class that is not finished.

The text is read again whenever it has grown by 1/256: all readings together cost at most 257 times the final length. A value
that has ended is validated once, and kept. Objects that still grow are made without validation: what has not come is None (in
a TypedDict, absent), a text shows as far as it goes, and any other value appears once the next one begins.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from copy import copy
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Final, Generic, TypeVar, cast

from pydantic import BaseModel
from pydantic_core import PydanticUndefined, SchemaValidator, to_json

from .read_output import WRAPPED, adapter, fields_of, remembered, top_level_keys, unfinished_json

T = TypeVar("T")

_FRACTION = 256
_ABSENT: Final[Any] = object()
_ANYTHING: Final[dict[str, Any]] = {"type": "any"}
_CONTAINERS: dict[str, Any] = {"generator": list, **{each.__name__: each for each in (list, tuple, set, frozenset, deque)}}
_FUNCTIONS = frozenset({"function-before", "function-after", "function-wrap"})
_AROUND = {**dict.fromkeys(("default", "nullable", *_FUNCTIONS), "schema"), "json-or-python": "json_schema"}
"""The kinds of schemas that stand around one of a value, and the key under which it stands."""


class Growing(Generic[T]):
    """An answer's text on its way to an object of a class. Texts go in, unfinished objects come out."""

    def __init__(self, kind: type[T], *, wrapped: bool) -> None:
        self._shape: _Shape = _root_shape(kind)
        self._wrapped = wrapped
        self._frame = _Frame()
        self._pieces: list[str] = []
        self._length = 0
        self._read_length = 0
        self.current: T | None = None
        """The object as of the last reading; None if there was none to see."""

    def feed(self, text: str) -> T | None:
        """Takes more text in. The object, if it is time to look and it has changed; else None."""
        self._pieces.append(text)
        self._length += len(text)
        return self.look() if self._length - self._read_length > self._read_length // _FRACTION else None

    def look(self) -> T | None:
        """The object as of now, if it has changed; else None."""
        if self._length == self._read_length:
            return None
        self._pieces = ["".join(self._pieces)]
        self._read_length = self._length
        data = unfinished_json(self._pieces[0], _ABSENT)
        if self._wrapped and data.__class__ is dict and list(data) in ([], [WRAPPED]):
            data = data.get(WRAPPED, _ABSENT)  # what stands, or will stand, within `{"value": ...}`
        before = self._frame.value
        grown = before if data is _ABSENT else self._frame.grown(self._shape, data)
        if grown is before or grown is _ABSENT:
            return None
        self.current = grown
        return self.current


class _Frame:
    """What is known of a value that still grows: what of it is whole, and the frame of its last part."""

    def __init__(self) -> None:
        self.value: Any = _ABSENT
        """The unfinished value; the same object as long as nothing of it changes."""
        self._begin(None)

    def _begin(self, node: dict[str, Any] | None) -> None:
        self._node = node
        self._whole: dict[Any, Any] = {}
        self._last: dict[Any, _Frame] = {}
        self._parts: dict[Any, Any] | None = None

    def grown(self, shape: _Shape, data: Any) -> Any:
        """The value, now that its JSON goes as far as this."""
        chosen = shape.chosen(data)
        if chosen.node is not self._node:
            self._begin(chosen.node)
        if isinstance(chosen, _Parts) and isinstance(data, chosen.holder):
            parts = self._parts_of(chosen, data)
            if self._parts is None or not _same(parts, self._parts):
                self.value, self._parts = chosen.made(parts), parts
        elif not _equal(value := chosen.rooted(chosen.unfinished(data)), self.value):
            self.value = value
        return self.value

    def _parts_of(self, shape: _Parts, data: Any) -> dict[Any, Any]:
        keys: list[Any] = list(data) if isinstance(data, dict) else list(range(len(data)))
        for key in keys[len(self._whole) : -1]:
            self._whole[key] = shape.part(key).whole(data[key])
        parts = dict(self._whole)
        if keys:
            self._last = {(key := keys[-1]): self._last.get(key) or _Frame()}
            parts[key] = self._last[key].grown(shape.part(key), data[key])
        return _present(parts)


def _present(parts: dict[Any, Any]) -> dict[Any, Any]:
    return {key: value for key, value in parts.items() if value is not _ABSENT}


def _same(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    return one.keys() == other.keys() and all(value is other[key] or _equal(value, other[key]) for key, value in one.items())


def _equal(one: object, other: object) -> bool:
    try:
        return one.__class__ is other.__class__ and bool(one == other)
    except Exception:  # noqa: BLE001  # a class's own == may not be made for fields that are None
        return False


class _Schemas:
    """The shapes of one class, by the nodes of the core schema that pydantic makes of it."""

    def __init__(self) -> None:
        self.definitions: dict[str, dict[str, Any]] = {}
        self._shapes: dict[int, _Shape] = {}

    def shape(self, schema: dict[str, Any]) -> _Shape:
        """The shape of a node; the same one each time, which ends the recursion of classes that hold themselves."""
        if id(schema) in self._shapes:
            return self._shapes[id(schema)]
        node, functions, roots = schema, False, list[type[BaseModel]]()
        while True:
            kind = node["type"]
            functions |= kind in _FUNCTIONS
            if kind == "definitions":
                self.definitions |= {each["ref"]: each for each in node["definitions"]}
                node = node["schema"]
            elif kind == "definition-ref":
                node = self.definitions[node["schema_ref"]]
            elif kind == "model" and node.get("root_model"):
                roots.append(node["cls"])
                node = node["schema"]
            elif kind in _AROUND:
                node = node[_AROUND[kind]]
            else:
                break
        return self._shapes.setdefault(id(schema), _SHAPES.get(kind, _Shape)(self, schema, node, roots, functions))


@dataclass(eq=False)
class _Shape:
    """A value of some type, which shows once it is whole."""

    schemas: _Schemas
    schema: dict[str, Any]
    node: dict[str, Any]
    """What the value is, without defaults and functions around it."""
    roots: list[type[BaseModel]]
    validated: bool = False
    """Whether functions of the caller's validate it."""

    @cached_property
    def _validator(self) -> SchemaValidator:
        definitions = list(self.schemas.definitions.values())
        schema = self.schema
        if definitions and schema["type"] != "definitions":
            schema = {"type": "definitions", "schema": schema, "definitions": definitions}
        return SchemaValidator(cast("Any", schema))

    def chosen(self, data: Any) -> _Shape:
        """The member of a union that the data are; for others, itself."""
        return self

    def rooted(self, value: Any) -> Any:
        """The value within the RootModels that stand around it."""
        for kind in reversed(self.roots if value is not _ABSENT else ()):
            value = _constructed(kind, {"root": value}, {"root"})
        return value

    def whole(self, data: Any) -> Any:
        try:
            return self._validator.validate_json(to_json(data))
        except Exception:  # noqa: BLE001  # a validator of the class may raise anything; the end of the answer tells
            return _ABSENT

    def unfinished(self, data: Any) -> Any:
        """What can be shown of a value that may still grow."""
        return _ABSENT


class _Text(_Shape):
    """A text, or anything: it shows as far as it goes, also if it is too short yet; whole if the caller's functions take it."""

    def unfinished(self, data: Any) -> Any:
        return data if isinstance(data, str) or self.node["type"] == "any" else _ABSENT

    def whole(self, data: Any) -> Any:
        return self.rooted(data) if isinstance(data, str) and not self.validated else super().whole(data)


class _Union(_Shape):
    """One of several."""

    @cached_property
    def _members(self) -> list[_Shape]:
        choices: Any = self.node["choices"]
        given: Iterable[Any] = cast("dict[Any, Any]", choices).values() if isinstance(choices, dict) else choices
        return [self.schemas.shape(cast("Any", each[0] if isinstance(each, tuple) else each)) for each in given]

    def chosen(self, data: Any) -> _Shape:
        fitting = [member.chosen(data) for member in self._members]
        fitting = [member for member in fitting if isinstance(member, _Parts) and member.fits(data)]
        if len(fitting) != 1:
            return self
        if not self.roots:
            return fitting[0]
        chosen = copy(fitting[0])
        chosen.roots = [*self.roots, *chosen.roots]
        return chosen

    def whole(self, data: Any) -> Any:
        value = super().whole(data)
        chosen = self.chosen(data) if value is _ABSENT else self
        return value if chosen is self else chosen.whole(data)

    def unfinished(self, data: Any) -> Any:
        has_texts = any(isinstance(member, _Text) for member in self._members)
        return data if has_texts and isinstance(data, str) else _ABSENT


class _Parts(_Shape):
    """What is made of parts: an object of its fields, a list of its items, and here a mapping of its values."""

    holder: type[Any] = dict
    """What holds the parts in JSON."""

    def fits(self, data: Any) -> bool:
        """Whether the data may become such a value, and not another member of a union."""
        return isinstance(data, self.holder)

    def part(self, key: Any) -> _Shape:
        """The shape of a part."""
        return self.schemas.shape(self.node.get("values_schema", _ANYTHING))

    def made(self, parts: dict[Any, Any]) -> Any:
        """The value of the parts that have come, not validated, within the RootModels that stand around it."""
        return self.rooted(self.value_of(parts))

    def value_of(self, parts: dict[Any, Any]) -> Any:
        return parts

    def whole(self, data: Any) -> Any:
        value = super().whole(data)
        if value is not _ABSENT or not isinstance(data, self.holder):
            return value
        pairs = cast("dict[Any, Any]", data).items() if isinstance(data, dict) else enumerate(cast("list[Any]", data))
        return self.made(_present({key: self.part(key).whole(inner) for key, inner in pairs}))


class _Items(_Parts):
    holder = list

    @cached_property
    def _inner(self) -> list[_Shape]:
        items: Any = self.node.get("items_schema", _ANYTHING)
        return [self.schemas.shape(each) for each in (cast("list[Any]", items) if isinstance(items, list) else [items])]

    def part(self, key: Any) -> _Shape:
        return self._inner[min(int(key), len(self._inner) - 1)]

    def value_of(self, parts: dict[Any, Any]) -> Any:
        try:
            return _CONTAINERS[self.node["type"]](parts.values())
        except TypeError:  # unfinished objects have no hash
            return _ABSENT


class _Object(_Parts):
    """An object of a class with fields, known by the keys that they have in JSON."""

    @cached_property
    def _fields(self) -> dict[str, tuple[str, _Shape]]:
        node, fields = self.node, list[tuple[str, dict[str, Any]]]()
        while not (fields := fields_of(node)) and "schema" in node:
            node = node["schema"]
        decorators: Any = getattr(self.node["cls"], "__pydantic_decorators__", None)
        own = [each.func for each in decorators.field_validators.values()] if decorators else []
        return {
            key: (name, self.schemas.shape(_without(own, field["schema"])))
            for name, field in fields
            for key in (*top_level_keys(field.get("validation_alias")), name)
        }

    def fits(self, data: Any) -> bool:
        """Whether every key is known, and every tag is right; the last one may be unfinished."""
        if not isinstance(data, dict) or not cast("dict[str, Any]", data).keys() <= self._fields.keys():
            return False
        finished = list(cast("dict[str, Any]", data).items())[:-1]
        nodes = [(self._fields[key][1].node, value) for key, value in finished]
        return all(value in node["expected"] for node, value in nodes if node["type"] == "literal")

    def part(self, key: Any) -> _Shape:
        return self._fields[key][1] if key in self._fields else _NOTHING

    def value_of(self, parts: dict[Any, Any]) -> Any:
        known = {self._fields[key][0]: value for key, value in parts.items() if key in self._fields}
        kind = self.node["cls"]
        if self.node["type"] == "typed-dict":
            return known
        if self.node["type"] == "model":
            return _constructed(kind, {name: known.get(name) for name, _ in self._fields.values()}, set(known))
        value = object.__new__(kind)
        for field in fields(kind):
            object.__setattr__(value, field.name, known.get(field.name))
        return value


_NOTHING = _Shape(_Schemas(), _ANYTHING, {"type": "never"}, [])
_SHAPES: dict[str, type[_Shape]] = {
    **dict.fromkeys(_CONTAINERS, _Items),
    **dict.fromkeys(("typed-dict", "dataclass", "model"), _Object),
    **dict.fromkeys(("union", "tagged-union"), _Union),
    **dict.fromkeys(("str", "any"), _Text),
    "dict": _Parts,
}


def _without(functions: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field without these functions around it: validators of the class, which may look at other fields."""
    if schema["type"] == "default":
        return {**schema, "schema": _without(functions, schema["schema"])}
    if schema["type"] in _FUNCTIONS and schema["function"]["function"] in functions:
        return _without(functions, schema["schema"])
    return schema


def _constructed(kind: type[BaseModel], values: dict[str, Any], given: set[str]) -> BaseModel:
    """As `model_construct`, but without defaults, which would look as if they had come, and without `model_post_init`."""
    value = kind.__new__(kind)
    object.__setattr__(value, "__dict__", values)
    object.__setattr__(value, "__pydantic_fields_set__", given)
    object.__setattr__(value, "__pydantic_extra__", None)
    defaults = {name: each.get_default(call_default_factory=True) for name, each in kind.__private_attributes__.items()}
    private = {name: default for name, default in defaults.items() if default is not PydanticUndefined}
    object.__setattr__(value, "__pydantic_private__", private if defaults else None)
    return value


_root_shape = remembered(lambda kind: _Schemas().shape(cast("dict[str, Any]", adapter(kind).core_schema)))
