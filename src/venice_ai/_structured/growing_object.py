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
_TEXTS = frozenset({"str", "any"})
_OBJECTS = frozenset({"typed-dict", "dataclass", "model"})
_CONTAINERS: dict[str, Any] = {"generator": list, **{each.__name__: each for each in (list, tuple, set, frozenset, deque)}}
_HOLDERS = {**dict.fromkeys(_CONTAINERS, list), **dict.fromkeys(("dict", *_OBJECTS), dict)}
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
        self.current: T | None = None  # the object as of the last reading; None if there was none to see

    def feed(self, text: str) -> T | None:
        """Takes more text in. Returns the object if it was looked at and has changed, else None."""
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
    """The state of a value that still grows: the parts of it that are whole, and the frame of its last part."""

    def __init__(self) -> None:
        self.value: Any = _ABSENT  # the unfinished value; the same object as long as nothing of it changes
        self._begin(None)

    def _begin(self, node: dict[str, Any] | None) -> None:
        self._node = node
        self._ended: list[tuple[Any, Any]] = []  # the parts of the JSON that have ended, and below their values
        self._whole: dict[Any, Any] = {}
        self._last: dict[Any, _Frame] = {}
        self._parts: dict[Any, Any] | None = None

    def grown(self, shape: _Shape, data: Any) -> Any:
        """The value, now that its JSON goes as far as this."""
        chosen = shape.chosen(data)
        if chosen.node is not self._node:
            self._begin(chosen.node)
        if isinstance(data, chosen.holder):
            parts = self._parts_of(chosen, data)
            if self._parts is None or not _same(parts, self._parts):
                self.value, self._parts = chosen.made(parts), parts
        elif not _equal(value := chosen.unfinished(data), self.value):
            self.value = value
        return self.value

    def _parts_of(self, shape: _Shape, data: Any) -> dict[Any, Any]:
        pairs: list[tuple[Any, Any]] = [*(cast("dict[Any, Any]", data).items() if isinstance(data, dict) else enumerate(data))]
        if pairs[: len(self._ended)] != self._ended:  # what came before was a draft of the answer, in the reasoning
            self._begin(shape.node)
        for key, ended in pairs[len(self._ended) : -1]:
            self._whole[key] = shape.part(key).whole(ended)
        self._ended, parts = pairs[:-1], dict(self._whole)
        if pairs:
            key, last = pairs[-1]
            self._last = {key: self._last.get(key) or _Frame()}
            parts[key] = self._last[key].grown(shape.part(key), last)
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
            elif node.get("root_model"):
                roots.append(node["cls"])
                node = node["schema"]
            elif kind in _AROUND:
                node = node[_AROUND[kind]]
            else:
                break
        return self._shapes.setdefault(id(schema), _Shape(self, schema, node, roots, functions))


@dataclass
class _Shape:
    """A value of some type, which shows once it is whole; what has parts, or is a text, shows as far as it has come."""

    schemas: _Schemas
    schema: dict[str, Any]
    node: dict[str, Any]  # what the value is, without defaults and functions around it
    roots: list[type[BaseModel]]
    validated: bool  # whether functions of the caller's validate it

    def __post_init__(self) -> None:
        self.kind: str = self.node["type"]
        self.holder: Any = _HOLDERS.get(self.kind, ())
        """What holds the parts in JSON: a dict, or a list; of a value without parts, no type."""

    @cached_property
    def _validator(self) -> SchemaValidator:
        definitions = list(self.schemas.definitions.values())
        schema = self.schema
        if schema["type"] != "definitions":
            schema = {"type": "definitions", "schema": schema, "definitions": definitions}
        return SchemaValidator(cast("Any", schema))

    @cached_property
    def _members(self) -> list[_Shape]:
        choices: Any = self.node.get("choices", ())
        given: Iterable[Any] = cast("dict[Any, Any]", choices).values() if isinstance(choices, dict) else choices
        return [self.schemas.shape(cast("Any", each[0] if isinstance(each, tuple) else each)) for each in given]

    @cached_property
    def _fields(self) -> dict[str, tuple[str, _Shape]]:
        """The shapes of an object's fields, by the keys that they have in JSON, with their names."""
        node, fields = self.node, list[tuple[str, dict[str, Any]]]()
        while not (fields := fields_of(node)) and "schema" in node:
            node = node["schema"]
        decorators: Any = getattr(self.node.get("cls"), "__pydantic_decorators__", None)
        own = [each.func for each in decorators.field_validators.values()] if decorators else []
        return {
            key: (name, self.schemas.shape(_without(own, field["schema"])))
            for name, field in fields
            for key in (*top_level_keys(field.get("validation_alias")), name)
        }

    def part(self, key: Any) -> _Shape:
        if self.kind in _OBJECTS:
            return self._fields[key][1] if key in self._fields else _NOTHING
        inner: Any = self.node.get("values_schema" if self.holder is dict else "items_schema") or _ANYTHING
        if inner.__class__ is list:  # those of a tuple, the last one also for what follows
            inner = inner[min(key, len(inner) - 1)]
        return self.schemas.shape(inner)

    def chosen(self, data: Any) -> _Shape:
        """The member of a union that the data are, if one alone fits; for others, itself."""
        fitting = [each for each in (member.chosen(data) for member in self._members) if each.fits(data)]
        if len(fitting) != 1:
            return self
        chosen = copy(fitting[0]) if self.roots else fitting[0]
        chosen.roots = [*self.roots, *chosen.roots]
        return chosen

    def fits(self, data: Any) -> bool:
        """Whether the data may become it: whether every key is known, and every tag is right; the last may be unfinished."""
        if self.kind not in _OBJECTS or not isinstance(data, dict):
            return isinstance(data, self.holder)
        finished = list(cast("dict[str, Any]", data).items())[:-1]
        if not cast("dict[str, Any]", data).keys() <= self._fields.keys():
            return False
        nodes = [(self._fields[key][1].node, value) for key, value in finished]
        return all(value in node["expected"] for node, value in nodes if node["type"] == "literal")

    def whole(self, data: Any) -> Any:
        """The value of data to which nothing is added, validated; where that fails, of those of its parts that are valid."""
        if isinstance(data, str) and self.kind in _TEXTS and not self.validated:
            return self.rooted(data)  # also if it is too short
        try:
            return self._validator.validate_json(to_json(data))
        except Exception:  # noqa: BLE001  # a validator of the class may raise anything; the end of the answer tells
            chosen = self.chosen(data)
        if chosen is not self:
            return chosen.whole(data)
        if not isinstance(data, self.holder):
            return _ABSENT
        pairs = cast("dict[Any, Any]", data).items() if isinstance(data, dict) else enumerate(cast("list[Any]", data))
        return self.made(_present({key: self.part(key).whole(inner) for key, inner in pairs}))

    def unfinished(self, data: Any) -> Any:
        """The value to show of an unfinished one that has no parts: a text, also where it may be something else."""
        text = isinstance(data, str) and any(each.kind in _TEXTS for each in (self, *self._members))
        return self.rooted(data) if text or self.kind == "any" else _ABSENT

    def made(self, parts: dict[Any, Any]) -> Any:
        """The value of the parts that have come, not validated."""
        if self.holder is list:
            try:
                return self.rooted(_CONTAINERS[self.kind](parts.values()))
            except TypeError:  # unfinished objects have no hash
                return _ABSENT
        if self.kind == "dict":
            return self.rooted(parts)
        value: Any = {self._fields[key][0]: part for key, part in parts.items() if key in self._fields}
        if self.kind != "typed-dict":
            value = _constructed(self.node["cls"], [name for name, _ in self._fields.values()], value)
        return self.rooted(value)

    def rooted(self, value: Any) -> Any:
        """The value within the RootModels that stand around it."""
        for kind in reversed(self.roots):
            value = _constructed(kind, ["root"], {"root": value})
        return value


_NOTHING = _Shape(_Schemas(), _ANYTHING, {"type": "never"}, [], validated=False)


def _without(functions: list[Any], schema: dict[str, Any]) -> dict[str, Any]:
    """The schema of a field without these functions around it: validators of the class, which may look at other fields."""
    if schema["type"] == "default":
        return {**schema, "schema": _without(functions, schema["schema"])}
    if schema["type"] in _FUNCTIONS and schema["function"]["function"] in functions:
        return _without(functions, schema["schema"])
    return schema


def _constructed(kind: Any, names: Iterable[str], known: dict[str, Any]) -> Any:
    """An object whose other fields are None: without defaults, which would look as if they had come, and `model_post_init`."""
    value = kind.__new__(kind)
    if not issubclass(kind, BaseModel):
        for field in fields(kind):
            object.__setattr__(value, field.name, known.get(field.name))
        return value
    object.__setattr__(value, "__dict__", {name: known.get(name) for name in names})
    object.__setattr__(value, "__pydantic_fields_set__", set(known))
    object.__setattr__(value, "__pydantic_extra__", None)
    defaults = {name: each.get_default(call_default_factory=True) for name, each in kind.__private_attributes__.items()}
    private = {name: default for name, default in defaults.items() if default is not PydanticUndefined}
    object.__setattr__(value, "__pydantic_private__", private if defaults else None)
    return value


_root_shape = remembered(lambda kind: _Schemas().shape(cast("dict[str, Any]", adapter(kind).core_schema)))
