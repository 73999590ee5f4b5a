"""JSON text that grows, seen as an object of a class that is not finished.

The text is read again as it grows, by pydantic's own parser (jiter) in its partial mode. Each reading costs as much as the
text is long, so a reading waits until the text has grown by 1/256 of what was read last: all readings together cost at most
257 times the final length, however small the deltas are. Up to 256 characters every delta is read; at 20 kB, every 80
characters.

Only the values on the way to the end of the text can still change. What lies before is whole: it is validated once, and kept.
On that way, objects are made without validation: what has not come is None (in a TypedDict, absent), a text shows as far as
it goes, and any other value appears once the next one begins.
"""

from __future__ import annotations

import collections.abc
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import cached_property, lru_cache
from types import UnionType
from typing import Annotated, Any, ClassVar, Final, Generic, Literal, TypeVar, Union, cast, get_args, get_origin

from pydantic import AliasChoices, BaseModel, PydanticUserError, RootModel, TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined, from_json, to_json
from typing_extensions import get_type_hints, is_typeddict

from ..types._surrogates import before_half
from .read_output import WRAPPED, json_start, new_adapter, with_escapes
from .typed_dicts import QUALIFIERS, arguments_of, filled, unqualified

T = TypeVar("T")

_FRACTION = 256
_ABSENT: Final[Any] = object()
_LISTS: dict[Any, Callable[[Iterable[Any]], Any]] = {
    list: list,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    deque: deque,
    collections.abc.Sequence: list,
    collections.abc.MutableSequence: list,
    collections.abc.Collection: list,
    collections.abc.Iterable: list,
    collections.abc.Set: set,
    collections.abc.MutableSet: set,
}
_DICTS = {dict, collections.abc.Mapping, collections.abc.MutableMapping}


class Growing(Generic[T]):
    """An answer's text on its way to an object of a class. Texts go in, unfinished objects come out.

    Args:
        kind: the class.
        wrapped: whether it was asked for within `{"value": ...}`.
    """

    def __init__(self, kind: type[T], *, wrapped: bool) -> None:
        self._shape = _shape(kind)
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
        text = "".join(self._pieces)
        self._pieces = [text]
        self._read_length = self._length
        data = self._read(text)
        before = self._frame.value
        grown = before if data is _ABSENT else self._frame.grown(self._shape, data)
        if grown is before or grown is _ABSENT:
            return None
        self.current = grown
        return self.current

    def _read(self, text: str) -> Any:
        start = json_start(text)
        if start is None:
            return _ABSENT
        try:
            data: Any = from_json(with_escapes(before_half(text[start:])), allow_partial="trailing-strings")
        except ValueError:
            return _ABSENT  # not JSON: the end of the answer tells
        return _unwrapped(data) if self._wrapped else data


def _unwrapped(data: Any) -> Any:
    """What stands, or will stand, within `{"value": ...}`; other JSON as it is."""
    if not isinstance(data, dict):
        return data
    whole = cast("dict[str, Any]", data)
    return whole.get(WRAPPED, _ABSENT) if list(whole) in ([], [WRAPPED]) else whole


class _Frame:
    """What is known of a value that still grows: what of it is whole, and the frame of its last part."""

    __slots__ = ("_inner", "_last", "_parts", "_seen", "_shape", "_whole", "value")

    def __init__(self) -> None:
        self.value: Any = _ABSENT
        """The unfinished value; the same object as long as nothing of it changes."""
        self._begin(None)

    def _begin(self, shape: _Shape | None) -> None:
        self._shape = shape
        self._whole: dict[Any, Any] = {}
        self._seen = 0  # how many parts were whole, also those that do not fit and are absent
        self._parts: dict[Any, Any] | None = None
        self._last: Any = _ABSENT
        self._inner: _Frame | None = None

    def grown(self, shape: _Shape, data: Any) -> Any:
        """The value, now that its JSON goes as far as this."""
        chosen = shape.chosen(data)
        if chosen is not self._shape:
            self._begin(chosen)
        if isinstance(chosen, _Parts) and chosen.takes(data):
            parts = self._parts_of(chosen, data)
            if self._parts is None or not _same(parts, self._parts):
                self.value, self._parts = chosen.made(parts), parts
        else:
            value = chosen.unfinished(data)
            if not _equal(value, self.value):
                self.value = value
        return self.value

    def _parts_of(self, shape: _Parts, data: dict[str, Any] | list[Any]) -> dict[Any, Any]:
        keys: list[Any] = list(data) if isinstance(data, dict) else list(range(len(data)))
        if not keys:
            return {}
        *before, last = keys
        for key in before[self._seen :]:
            value = shape.part(key).whole(cast("Any", data)[key])
            if value is not _ABSENT:
                self._whole[key] = value
        self._seen = len(before)
        if last != self._last or self._inner is None:
            self._last, self._inner = last, _Frame()
        value = self._inner.grown(shape.part(last), cast("Any", data)[last])
        return dict(self._whole) if value is _ABSENT else {**self._whole, last: value}


def _same(one: dict[Any, Any], other: dict[Any, Any]) -> bool:
    """Whether nothing of the parts has changed."""
    return one.keys() == other.keys() and all(value is other[key] or _equal(value, other[key]) for key, value in one.items())


def _equal(one: object, other: object) -> bool:
    try:
        return one.__class__ is other.__class__ and bool(one == other)
    except Exception:  # noqa: BLE001  # a class's own == may not be made for fields that are None
        return False


class _Shape:
    """A value of some type."""

    def __init__(self, annotation: Any) -> None:
        self.annotation = annotation

    @cached_property
    def _adapter(self) -> TypeAdapter[Any] | None:
        try:
            return new_adapter(self.annotation)
        except PydanticUserError:  # it makes sense within its class only
            return None

    def chosen(self, data: Any) -> _Shape:
        """The member of a union that the data are; for others, itself."""
        return self

    def whole(self, data: Any) -> Any:
        """The validated value; absent if it does not fit."""
        if self._adapter is None:
            return _ABSENT
        try:
            return self._adapter.validate_json(to_json(data))
        except Exception:  # noqa: BLE001  # a validator of the class may raise anything; the end of the answer tells
            return _ABSENT

    def unfinished(self, data: Any) -> Any:
        """What can be shown of a value that may still grow."""
        return _ABSENT


class _Text(_Shape):
    """A text: it shows as far as it goes."""

    def whole(self, data: Any) -> Any:
        return data if isinstance(data, str) else super().whole(data)

    def unfinished(self, data: Any) -> Any:
        return data if isinstance(data, str) else _ABSENT


class _Anything(_Shape):
    """JSON as it is."""

    def whole(self, data: Any) -> Any:
        return data

    def unfinished(self, data: Any) -> Any:
        return data


class _Union(_Shape):
    """One of several."""

    @cached_property
    def _members(self) -> list[_Shape]:
        return [_shape(member) for member in get_args(_bare(self.annotation)) if member is not type(None)]

    def chosen(self, data: Any) -> _Shape:
        fitting = [member.chosen(data) for member in self._members]
        fitting = [member for member in fitting if isinstance(member, _Parts) and member.fits(data)]
        return fitting[0] if len(fitting) == 1 else self

    def whole(self, data: Any) -> Any:
        value = super().whole(data)
        chosen = self.chosen(data) if value is _ABSENT else self
        return value if chosen is self else chosen.whole(data)

    def unfinished(self, data: Any) -> Any:
        has_texts = any(isinstance(member, (_Text, _Anything)) for member in self._members)
        return data if has_texts and isinstance(data, str) else _ABSENT


class _Parts(_Shape, ABC):
    """What is made of parts: an object of its fields, a list of its items."""

    @abstractmethod
    def takes(self, data: Any) -> bool:
        """Whether the data have such parts."""

    def fits(self, data: Any) -> bool:
        """Whether the data may become such a value, and not another member of a union."""
        return self.takes(data)

    @abstractmethod
    def part(self, key: Any) -> _Shape:
        """The shape of a part."""

    @abstractmethod
    def made(self, parts: dict[Any, Any]) -> Any:
        """The value of its parts, not validated; those that are absent are None, or left out."""

    def whole(self, data: Any) -> Any:
        value = super().whole(data)
        if value is not _ABSENT or not self.takes(data):
            return value
        pairs = cast("dict[Any, Any]", data).items() if isinstance(data, dict) else enumerate(cast("list[Any]", data))
        return self.made({key: self.part(key).whole(inner) for key, inner in pairs})


class _Items(_Parts):
    def takes(self, data: Any) -> bool:
        return isinstance(data, list)

    @cached_property
    def _inner(self) -> list[_Shape]:
        return [_shape(inner) for inner in get_args(_bare(self.annotation)) or (Any,) if inner is not ...]

    def part(self, key: Any) -> _Shape:
        return self._inner[min(int(key), len(self._inner) - 1)]

    def made(self, parts: dict[Any, Any]) -> Any:
        make = _LISTS[get_origin(_bare(self.annotation)) or _bare(self.annotation)]
        try:
            return make(value for value in parts.values() if value is not _ABSENT)
        except TypeError:  # unfinished objects have no hash
            return _ABSENT


class _Mapping(_Parts):
    def takes(self, data: Any) -> bool:
        return isinstance(data, dict)

    @cached_property
    def _inner(self) -> _Shape:
        arguments = get_args(_bare(self.annotation))
        return _shape(arguments[1]) if len(arguments) == 2 else _Anything(Any)

    def part(self, key: Any) -> _Shape:
        return self._inner

    def made(self, parts: dict[Any, Any]) -> Any:
        return {key: value for key, value in parts.items() if value is not _ABSENT}


class _Object(_Parts):
    """An object of a class with fields, known by the keys that they have in JSON."""

    _nothing: ClassVar[_Shape] = _Shape(None)

    @cached_property
    def _kind(self) -> Any:
        bare = _bare(self.annotation)
        return get_origin(bare) or bare

    @cached_property
    def _fields(self) -> dict[str, tuple[str, _Shape]]:
        given = arguments_of(_bare(self.annotation))
        found = [(name, filled(annotation, given), keys) for name, annotation, keys in _fields(self._kind)]
        return {key: (name, _shape(annotation)) for name, annotation, keys in found for key in keys}

    @cached_property
    def _names(self) -> list[str]:
        return list(dict.fromkeys(name for name, _ in self._fields.values()))

    def takes(self, data: Any) -> bool:
        return isinstance(data, dict)

    def fits(self, data: Any) -> bool:
        """Whether every key is known, and every tag is right; the last one may be unfinished."""
        if not isinstance(data, dict) or not cast("dict[str, Any]", data).keys() <= self._fields.keys():
            return False
        finished = list(cast("dict[str, Any]", data).items())[:-1]
        return all(value in get_args(tag) for key, value in finished if (tag := self._tag(key)) is not None)

    def _tag(self, key: str) -> Any:
        annotation = _bare(self._fields[key][1].annotation)
        return annotation if get_origin(annotation) is Literal else None

    def part(self, key: Any) -> _Shape:
        return self._fields[key][1] if key in self._fields else self._nothing

    def made(self, parts: dict[Any, Any]) -> Any:
        known = {self._fields[key][0]: value for key, value in parts.items() if key in self._fields and value is not _ABSENT}
        return self._built(known)

    def _built(self, values: dict[str, Any]) -> Any:
        """A dataclass."""
        value = object.__new__(self._kind)
        for field in dataclass_fields(self._kind):
            object.__setattr__(value, field.name, values.get(field.name))
        return value


class _TypedDict(_Object):
    def _built(self, values: dict[str, Any]) -> Any:
        return values


class _Model(_Object):
    def _built(self, values: dict[str, Any]) -> Any:
        return _constructed(self._kind, {name: values.get(name) for name in self._names}, set(values))


class _Root(_Shape):
    """A RootModel: itself around what is within."""

    def __init__(self, annotation: Any) -> None:
        super().__init__(annotation)
        self._around: dict[_Shape, _Around] = {}

    @cached_property
    def _inner(self) -> _Shape:
        return _shape(_bare(self.annotation).model_fields["root"].rebuild_annotation())

    def chosen(self, data: Any) -> _Shape:
        inner = self._inner.chosen(data)
        return self._around.setdefault(inner, _Around(self.annotation, inner)) if isinstance(inner, _Parts) else self

    def unfinished(self, data: Any) -> Any:
        return _rooted(self.annotation, self._inner.unfinished(data))


class _Around(_Parts):
    """A RootModel around something with parts."""

    def __init__(self, annotation: Any, inner: _Parts) -> None:
        super().__init__(annotation)
        self._inner = inner

    def takes(self, data: Any) -> bool:
        return self._inner.takes(data)

    def fits(self, data: Any) -> bool:
        return self._inner.fits(data)

    def part(self, key: Any) -> _Shape:
        return self._inner.part(key)

    def made(self, parts: dict[Any, Any]) -> Any:
        return _rooted(self.annotation, self._inner.made(parts))


def _rooted(annotation: Any, value: Any) -> Any:
    return value if value is _ABSENT else _constructed(_bare(annotation), {"root": value}, {"root"})


def _constructed(kind: type[BaseModel], values: dict[str, Any], given: set[str]) -> BaseModel:
    """As `model_construct`, but without defaults, which would look as if they had come, and without `model_post_init`."""
    value = kind.__new__(kind)
    for name, slot in (
        ("__dict__", values),
        ("__pydantic_fields_set__", given),
        ("__pydantic_extra__", None),
        ("__pydantic_private__", _private(kind)),
    ):
        object.__setattr__(value, name, slot)
    return value


def _private(kind: type[BaseModel]) -> dict[str, Any] | None:
    """The private attributes of a new object, which do not come with an answer."""
    defaults = {
        name: attribute.get_default(call_default_factory=True) for name, attribute in kind.__private_attributes__.items()
    }
    return {name: value for name, value in defaults.items() if value is not PydanticUndefined} if defaults else None


def _shape(annotation: Any) -> _Shape:
    bare = _bare(annotation)
    return _class_shape(bare) if isinstance(bare, type) and bare is annotation else _new_shape(annotation)


def _new_shape(annotation: Any) -> _Shape:
    bare = _bare(annotation)
    origin = get_origin(bare) or bare
    kind: type[Any] = origin if isinstance(origin, type) else type(None)
    kinds: list[tuple[type[_Shape], bool]] = [
        (_Text, bare is str),
        (_Anything, bare is Any or bare is object),
        (_Union, origin is Union or origin is UnionType),
        (_Items, origin in _LISTS),
        (_Mapping, origin in _DICTS),
        (_TypedDict, is_typeddict(origin)),
        (_Root, issubclass(kind, RootModel)),
        (_Model, issubclass(kind, BaseModel)),
        (_Object, is_dataclass(kind)),
    ]
    return next((shape for shape, fits in kinds if fits), _Shape)(annotation)


# Bounded, so that classes made on the fly do not stay for ever. It also ends the recursion of classes that hold themselves.
_class_shape = lru_cache(maxsize=256)(_new_shape)


def _bare(annotation: Any) -> Any:
    """A type without what is said about it."""
    while True:
        if get_origin(annotation) is Annotated:
            annotation = annotation.__origin__
        elif get_origin(annotation) in QUALIFIERS:
            (annotation,) = get_args(annotation)
        elif hasattr(annotation, "__value__"):
            annotation = annotation.__value__  # `type Names = list[str]`
        elif hasattr(annotation, "__supertype__"):
            annotation = annotation.__supertype__  # NewType
        else:
            return annotation


def _fields(kind: Any) -> Iterable[tuple[str, Any, list[str]]]:
    """Name, type and JSON keys of the fields of a class."""
    if issubclass(kind, BaseModel):
        kind.model_rebuild(raise_errors=False)  # it may refer to what was not there when it was made
    infos: Mapping[str, FieldInfo] | None = getattr(kind, "__pydantic_fields__", None)
    if infos is not None:
        return [(name, info.rebuild_annotation(), _keys(name, info)) for name, info in infos.items()]
    hints = get_type_hints(kind, include_extras=True)
    names = hints if is_typeddict(kind) else [field.name for field in dataclass_fields(kind)]
    said = {name: FieldInfo.from_annotation(unqualified(hints[name])) for name in names}
    return [(name, info.rebuild_annotation(), _keys(name, info)) for name, info in said.items()]


def _keys(name: str, info: FieldInfo) -> list[str]:
    alias = info.validation_alias or info.alias
    if isinstance(alias, AliasChoices):
        return [*[choice for choice in alias.choices if isinstance(choice, str)], name]
    return [alias, name] if isinstance(alias, str) else [name]
