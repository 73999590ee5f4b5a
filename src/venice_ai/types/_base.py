"""The base of every object that stands for JSON: how one is made, read, written, copied and compared.

The decoded JSON object becomes the `__dict__` of a typed object: `r["x"]` and `r.x` are the same value, unknown fields stay,
and a paid answer is never lost to an odd field. A key named like a method would hide that method; `fixed` prevents it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from enum import Enum
from inspect import Parameter, Signature
from types import MethodType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Never, Self, TypeVar, cast, dataclass_transform, overload

from ._view import View, adopted, certainly
from ._view import is_array as is_array  # noqa: PLC0414  # for all who read JSON
from ._view import is_object as is_object  # noqa: PLC0414

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

    from .attestation import AttestationReport, SignatureReport
    from .response_meta import ResponseMeta

F = TypeVar("F", bound=Callable[..., Any])
D = TypeVar("D")
_SCALARS = frozenset({str, int, float, bool, type(None)})
_OBJECTS = re.compile(r"(?P<list>list\[)?(?P<name>\w+)\]?(?P<none> \| None)?")
"""The annotation of a field whose JSON is an object of another class, or a list of such."""


class _Fixed(property):
    """A method that a key of the same name in the JSON cannot hide (a data descriptor wins over `__dict__`)."""

    def __get__(self, instance: object | None, owner: type | None = None) -> Any:
        return self.fget if instance is None else MethodType(cast("Any", self.fget), instance)


class _FieldsAsSignature:
    """Has `inspect.signature` show the fields of a class as keywords, those without a default first."""

    def __get__(self, instance: object | None, owner: type[Model]) -> Signature:
        if instance is not None:
            raise AttributeError("__signature__")
        fields, empty = owner._fields, Parameter.empty  # the tables of the class
        defaults = {name: empty if name in owner._certain else getattr(owner, name, empty) for name in fields}  # noqa: SLF001
        shown = [Parameter(name, Parameter.KEYWORD_ONLY, default=defaults[name], annotation=fields[name]) for name in fields]
        return Signature(sorted(shown, key=lambda field: field.default is not empty))


def fixed(function: F) -> F:
    """Keep a method reachable whatever keys the JSON has."""
    return cast("F", _Fixed(function))


@dataclass_transform(kw_only_default=True)
class Model(View):  # noqa: PLW1641  # mutable, so not hashable, like dict
    """A typed view over one JSON object: attributes and items are the same values, and unknown ones are kept.

    Construct it with keywords (None is the same as not given), or from JSON with `model_validate`. A declared field that is
    absent reads as `None` (or the default it declares). Instances compare, copy, deep-copy and pickle by their content, and can
    be fields of pydantic models.
    """

    __slots__ = ("__weakref__", "_private")
    _private: bool
    """Whether it came end-to-end encrypted: then its `repr`, which ends up in logs and traces, does not show what it holds."""

    _lists: ClassVar[frozenset[str]] = frozenset()
    """Fields that read as an empty list where the JSON has none: the lists of objects that every reply has."""
    _certain: ClassVar[frozenset[str]] = frozenset()
    """Nested fields that read as an (empty) object, or list of objects, whatever the JSON has in their place."""
    _fields: ClassVar[dict[str, Any]] = {}
    """The names of the fields, those of base classes first, with their annotations."""
    _required: ClassVar[frozenset[str]] = frozenset()
    _constants: ClassVar[dict[str, Any]] = {}
    __signature__: ClassVar[Any] = _FieldsAsSignature()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        own = {name: kind for name, kind in cls.__annotations__.items() if not name.startswith("_")}
        declared = {name: cls.__dict__[name] for name in own if name in cls.__dict__}
        cls._fields = cls._fields | own
        found = {name: shape for name, kind in own.items() if (shape := _OBJECTS.fullmatch(str(kind)))}
        known = getattr(sys.modules.get(cls.__module__), "__dict__", {})
        kinds = {name: known.get(each["name"]) for name, each in found.items()}
        views = {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, View)}
        cls._nested = cls._nested | views
        cls._lists = cls._lists | {name for name in views if found[name]["list"] and not found[name]["none"]}
        cls._required = cls._required | {name for name in own if name not in declared} - cls._lists
        cls._constants = cls._constants | {name: value for name, value in declared.items() if value is not None}
        for name in cls._certain:
            setattr(cls, name, certainly(name, cls._nested[name], of_many=name in cls._lists))

    def __init__(self, /, *unnamed: Never, **data: Any) -> None:
        cls = type(self)  # the tables of the class, which keys of the same names cannot hide
        if unnamed:
            names = [name for name in cls.__annotations__ if name not in cls._constants]
            example = next((name for name in names if name in cls._required), next(iter(names), "..."))
            raise TypeError(f"{cls.__name__}() takes keywords alone: write {cls.__name__}({example}=...)")
        missing = sorted(cls._required - data.keys())
        if missing:
            raise TypeError(f"{type(self).__name__}() is missing {', '.join(map(repr, missing))}")
        given = {name: value for name, value in data.items() if value is not None}
        copies = {name: _copied(value) for name, value in given.items() if name in cls._nested}
        self.__dict__ = vars(adopted(cls, {**cls._constants, **given, **copies}))

    @classmethod
    def model_validate(cls, data: Any) -> Self:
        """The view over a copy of a JSON object (a mapping, or another such view). Odd and unknown fields are kept.

        Raises:
            TypeError: `data` is not an object at all.
        """
        if isinstance(data, cls):
            return data
        if not (isinstance(data, (Mapping, Model)) or is_foreign_model(data)):
            raise TypeError(f"{cls.__name__} is made from a mapping, not from {type(data).__name__}")
        made = cls._adopt(cast("dict[str, Any]", plain(data)))
        if isinstance(data, Model) and is_private(data):
            mark_private(made)
        return made

    @classmethod
    def model_validate_json(cls, text: str | bytes) -> Self:
        """The same, from JSON text.

        Raises:
            ValueError: `text` is not JSON.
        """
        return cls.model_validate(json.loads(text))

    if not TYPE_CHECKING:  # to type checkers there are the declared fields alone; `reply["x"]` reads any other

        def __getattr__(self, name: str) -> Any:
            cls = type(self)  # only reached when neither the JSON nor a default of the class has it
            if name in cls._lists:
                return []
            if name in cls._required:
                return None
            known = ", ".join(vars(self)) or "none"
            raise AttributeError(f"{type(self).__name__} has no field {name!r}; its fields are {known}")

    def __getitem__(self, key: str) -> Any:
        cls, held = type(self), vars(self)
        if key in held and key not in cls._certain:
            return held[key]
        if key in cls._fields:
            return getattr(self, key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return key in vars(self)

    def __iter__(self) -> Iterator[str]:
        return iter(vars(self))

    @overload
    def get(self, key: str) -> Any | None: ...
    @overload
    def get(self, key: str, default: D) -> Any | D: ...
    @fixed
    def get(self, key: str, default: object = None) -> Any:
        """The field as the JSON had it, or `default` where it had none."""
        return vars(self).get(key, default)

    @fixed
    def keys(self) -> Any:
        """The names of the fields that the JSON had."""
        return vars(self).keys()

    @fixed
    def items(self) -> Any:
        """Names and values of the fields that the JSON had."""
        return vars(self).items()

    @fixed
    def model_dump(self, *, mode: Literal["python", "json"] = "python", exclude_none: bool = False) -> dict[str, Any]:
        """A plain, independent copy as dicts and lists; `exclude_none` leaves out fields that are null.

        `mode` is accepted because pydantic has it; what came from JSON is the same in both.
        """
        dumped = plain(self)
        return cast("dict[str, Any]", without_none(dumped) if exclude_none else dumped)

    @fixed
    def model_dump_json(self, *, indent: int | None = None, exclude_none: bool = False) -> str:
        """The object as JSON text; see `model_dump`."""
        return json.dumps(self.model_dump(exclude_none=exclude_none), indent=indent, ensure_ascii=False)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Model):
            return type(self) is type(other) and vars(self) == vars(other)
        return vars(self) == other if isinstance(other, dict) else NotImplemented

    # Copying and pickling look these up on the object, where a key of the JSON could hide them.

    @fixed
    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        return _restored, (type(self), dict(vars(self)), _slot_values(self))

    @fixed
    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        fields = {key: deepcopy(value, memo) for key, value in vars(self).items()}
        return cast("Self", _restored(type(self), fields, _slot_values(self)))

    def __repr__(self) -> str:
        if is_private(self):
            return f"{type(self).__name__}(<end-to-end encrypted, not shown>)"
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        from pydantic_core import core_schema

        def validate(value: Any) -> Model:
            try:
                found = cls.model_validate(value)
            except TypeError as error:
                raise ValueError(str(error)) from None  # what pydantic turns into a ValidationError
            for name in ("role", "type"):  # by which a union of messages, or of their parts, finds the kind that is meant
                constant = cls._constants.get(name)
                if constant is not None and found.get(name, constant) != constant:
                    raise ValueError(f"{name} must be {constant!r}")
            return found

        written = core_schema.plain_serializer_function_ser_schema(plain)
        return core_schema.no_info_plain_validator_function(validate, serialization=written)

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "object", "title": cls.__name__, "additionalProperties": True}


class Response(Model):
    """A whole reply of the server: its JSON, and in `meta` what the HTTP exchange said."""

    __slots__ = ("_attestation", "_meta", "_signature")
    _meta: ResponseMeta
    _attestation: AttestationReport
    _signature: SignatureReport

    @property
    def meta(self) -> ResponseMeta:
        """Status, headers, rate limits, balance and timing of the exchange.

        Raises:
            LookupError: this object was made by hand or from stored JSON.
        """
        if (meta := _slot(self, "_meta")) is None:
            raise LookupError(f"this {type(self).__name__} did not come with an HTTP reply")
        return cast("ResponseMeta", meta)

    @property
    def attestation(self) -> AttestationReport | None:
        """The report on the enclave that the request was sealed to; None if the call was not end-to-end encrypted."""
        return cast("AttestationReport | None", _slot(self, "_attestation"))

    def with_attestation(self, report: AttestationReport | None) -> Self:
        """The same object, said to have come from the enclave of an attestation."""
        if report is not None:
            self._attestation = report
        return self

    @property
    def signature(self) -> SignatureReport | None:
        """The report on the enclave's signature of the answer; None unless `TeeOptions(verify_signature=...)` asked for it."""
        return cast("SignatureReport | None", _slot(self, "_signature"))


_SLOTS = ("_private", "_meta", "_attestation", "_signature")


def _slot(value: Model, name: str) -> Any:
    try:
        return object.__getattribute__(value, name)
    except AttributeError:
        return None


def _slot_values(value: Model) -> dict[str, Any]:
    return {name: held for name in _SLOTS if (held := _slot(value, name)) is not None}


def is_private(value: Model) -> bool:
    """Whether an object came end-to-end encrypted."""
    return bool(_slot(value, "_private"))


def _restored(cls: type[Model], fields: dict[str, Any], slots: dict[str, Any]) -> Model:
    self = object.__new__(cls)
    self.__dict__ = fields
    for name, held in slots.items():
        setattr(self, name, held)
    return self


def mark_private(value: Any) -> None:
    """Keeps an answer, and all of its choices, out of every `repr`."""
    if isinstance(value, list):
        for each in cast("list[Any]", value):
            mark_private(each)
    elif isinstance(value, Model):
        value._private = True  # noqa: SLF001  # the same module
        held = value.__dict__
        for name in ("choices", "delta", "message", "messages", "tool_calls", "function"):
            if name in held:
                mark_private(held[name])


def _copied(value: Any) -> Any:
    """Values given to a constructor: lists and dicts are copied, views are kept as the objects they are."""
    if isinstance(value, Model):
        return value
    return [_copied(item) for item in cast("list[Any]", value)] if isinstance(value, (list, tuple)) else plain(value)


def without_none(value: Any, fields: Mapping[str, Any] | None = None) -> Any:
    """JSON without its members that are null; given `fields`, without such fields alone, and those inside them."""
    if isinstance(value, list):
        return [without_none(item, fields) for item in cast("list[Any]", value)]
    if not isinstance(value, dict):
        return value
    members = cast("dict[Any, Any]", value).items()
    if fields is None:
        return {name: without_none(inner) for name, inner in members if inner is not None}
    kept = ((name, inner) for name, inner in members if inner is not None or name not in fields)
    return {name: without_none(inner, inside) if (inside := fields.get(name)) else inner for name, inner in kept}


def plain(value: Any) -> Any:
    """A copy of a JSON value as plain dicts, lists, texts and numbers, also of an `Enum` or of numpy's `float64`."""
    if type(value) in _SCALARS:  # most values by far
        return value
    if isinstance(value, (dict, Model, Mapping)):
        items = cast("Mapping[Any, Any]", value.__dict__ if isinstance(value, Model) else value).items()
        return {key if key.__class__ is str else _name(key): one if type(one) in _SCALARS else plain(one) for key, one in items}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in cast("list[Any]", value)]
    if isinstance(value, (set, frozenset)):
        return sorted(map(plain, cast("set[Any]", value)), key=repr)  # the same input is always the same bytes
    if is_foreign_model(value):
        from pydantic_core import to_jsonable_python  # whoever has such an object has loaded it

        # Under the names that travel; as in ours, a field that is None was not given. In pydantic's own JSON infinity is null.
        fields = value.model_dump(by_alias=True, exclude=_unset(value) or None)
        return plain(to_jsonable_python(fields, inf_nan_mode="constants"))
    return next((itself(value) for kind, itself in _ITSELF.items() if isinstance(value, kind)), value)


def is_foreign_model(value: object) -> bool:
    """Whether it is an object of a pydantic class of the caller's, or can be written as one can."""
    return hasattr(type(value), "model_dump") and not isinstance(value, Model)


def _unset(value: Any) -> dict[Any, Any]:
    """The fields that are None, in the form of pydantic's `exclude`: `exclude_none` would leave out a TypedDict's, too."""
    fields: Any = getattr(cast("Any", type(value)), "model_fields", ("root",))
    if is_model := "root" not in fields:
        value = {name: getattr(value, name, None) for name in fields}
    is_list = isinstance(value, (list, tuple))
    items: Any = cast("Any", value).items() if isinstance(value, dict) else enumerate(cast("Any", value)) if is_list else ()
    return {key: inner for key, each in items if (inner := True if is_model and each is None else _unset(each))}


# By these methods, because what a class has in their place may say something else.
_ITSELF: dict[type, Callable[[Any], Any]] = {str: str.__str__, int: int.__int__, float: float.__float__}
_ITSELF[Enum] = lambda each: plain(each.value)


def _name(key: Any) -> Any:
    return str.__str__(key) if isinstance(key, str) else _name(key.value) if isinstance(key, Enum) else key
