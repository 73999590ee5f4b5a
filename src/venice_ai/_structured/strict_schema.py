"""A class becomes a JSON schema that Venice's strict mode takes, or the path that cannot be.

Strict mode wants every object closed (`additionalProperties: false`) and every property required
(https://docs.venice.ai/guides/structured-responses). pydantic writes the schema of what it would accept, and this makes it so:
what may be absent may be null, and a root that is not an object (`list[Person]`, a union, an enum) stands in `{"value": ...}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import is_dataclass
from enum import Enum
from functools import partial
from hashlib import sha256
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin

from pydantic import PydanticUndefinedAnnotation, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import get_type_hints, is_typeddict

from ..exceptions import InvalidRequestError, ResponseFormatNotStrictError, SchemaNotStrictError, ToolSignatureError
from .read_output import WRAPPED, adapter, new_adapter, remembered
from .typed_dicts import unqualified

_IMPOSSIBLE = "\0impossible"  # what pydantic cannot write, left in its place until the path is known
_DROPPED = frozenset({"default", "discriminator", "readOnly", "writeOnly", "deprecated", "contentSchema", "$defs"})
_REFUSED = {
    **dict.fromkeys(("patternProperties", "propertyNames", "unevaluatedProperties"), "takes keys that are not named"),
    **dict.fromkeys(("dependentSchemas", "dependentRequired"), "has rules between its keys"),
    "if": "has rules between its values",
    "not": "excludes values",
    "contains": "has a rule for some of its items",
}
_SAYING = frozenset({"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"})
_NO_JSON_VALUES = "has values that JSON does not have, so that no answer would fit"
_DEFINITIONS = "#/$defs/"
_NULL = {"type": "null"}
_ALLOWED_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ENDS_NOT_ALLOWED = re.compile(r"\A[^A-Za-z0-9_-]+|[^A-Za-z0-9_-]+\Z")
_AS_IT_IS = "send it as it is with strict=False"
_IN_CREATE = "give the format as a mapping, {'type': 'json_schema', ...}; parse(strict=False) sends the class as it is"
_UNREADABLE = (PydanticUserError, PydanticUndefinedAnnotation, ToolSignatureError)
_DECIMAL = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"


def is_class(value: object) -> bool:
    """Whether a `response_format` is a class, or a type such as `list[Person]`, and not the JSON of a format."""
    named = hasattr(value, "__value__") or hasattr(value, "__supertype__")  # `type Names = ...`, and NewType
    return isinstance(value, type) or get_origin(value) is not None or named


def response_format(kind: Any, *, name: str | None = None, strict: bool = True) -> dict[str, Any]:
    """The `response_format` that asks for JSON of a class in `create`, whose caller cannot turn strict mode off."""
    try:
        return requested_format(kind, name=name, strict=strict)[0]
    except SchemaNotStrictError as error:
        raise ResponseFormatNotStrictError(str(error).replace(_AS_IT_IS, _IN_CREATE), path=error.path) from error.__cause__


def requested_format(kind: Any, *, name: str | None = None, strict: bool = True) -> tuple[dict[str, Any], bool]:
    """The `response_format` that asks for JSON of a class, and whether for `{"value": ...}` around it."""
    if name is not None and not (isinstance(name, str) and _ALLOWED_NAME.fullmatch(name)):
        raise InvalidRequestError(f"schema_name={name!r:.100} is not allowed: expected 1 to 64 letters, digits, '_' or '-'")
    if not isinstance(strict, bool):
        raise InvalidRequestError(f"strict={strict!r:.100} is not allowed: expected True or False")
    schema, wrapped = _SCHEMAS[strict](kind)
    return {"type": "json_schema", "json_schema": {"name": name or _name(kind), "strict": strict, "schema": schema}}, wrapped


@remembered
def is_wrapped(kind: Any) -> bool:
    """Whether a class, given to `create`, is asked for within `{"value": ...}`."""
    try:
        return _SCHEMAS[True](kind)[1]
    except SchemaNotStrictError as error:
        if error.__cause__ is not None:
            raise
        return False  # `create` refuses it, so its JSON was asked for in another way


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A copy for strict mode of a JSON schema with its definitions in `$defs`, whose root is an object."""
    strict, wrapped = _made_strict(schema)
    if wrapped:
        raise _cannot("$", "is no object")
    return strict


def written_out(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with its definitions in `$defs`; what a reference at its root stands for is in its place."""
    written = dict(schema)
    while (name := written.get("$ref", "").removeprefix(_DEFINITIONS)) in written.get("$defs", {}):
        written = {**deepcopy(written["$defs"][name]), **{key: value for key, value in written.items() if key != "$ref"}}
    return written


def _made_strict(schema: Mapping[str, Any]) -> tuple[dict[str, Any], bool]:
    """The schema for strict mode, and whether its root had to be put into an object."""
    definitions = schema.get("$defs", {})
    strict = _Strict(definitions)
    root = strict.node(written_out(schema), "$")
    wrapped = root.get("type") != "object"
    root = _closed({WRAPPED: root}) if wrapped else root
    used = {name: strict.made[name] for name in definitions if name in strict.made}  # in this order, wherever they were met
    return {**root, "$defs": used} if used else root, wrapped


def _schema(kind: Any, strict: bool) -> tuple[dict[str, Any], bool]:
    """The schema of a class, and whether it is that of `{"value": ...}`."""
    if not is_class(kind):
        remedy = "give a pydantic model, a dataclass or a TypedDict, or call create"
        raise TypeError(f"response_format={kind!r:.100} is not a class; {remedy}")
    try:
        written = adapter(kind)
        return _made_strict(written.json_schema(schema_generator=_Generator)) if strict else (written.json_schema(), False)
    except _UNREADABLE as error:
        path = _unreadable(kind, "$")
        which = _name(kind) if path is None else f"{path} of {_name(kind)}"
        reason = str(error).partition("\n\n")[0]
        raise SchemaNotStrictError(f"{which} cannot become a JSON schema: {reason}", path=path) from error
    except KeyError as error:  # pydantic looks a reference up that only a schema of the class's own defines
        raise SchemaNotStrictError(f"{_name(kind)} cannot become a JSON schema: it has no definition of {error}") from error


_SCHEMAS = {strict: remembered(partial(_schema, strict=strict)) for strict in (True, False)}


def _unreadable(kind: Any, path: str) -> str | None:
    """Where the field of a dataclass or a TypedDict is that pydantic cannot read; None if it is not known."""
    try:
        hints = get_type_hints(kind, include_extras=True) if is_dataclass(kind) or is_typeddict(kind) else {}
    except NameError:
        return None
    for name, annotation in hints.items():
        try:
            if kind not in _with_arguments(annotation):
                new_adapter(unqualified(annotation)[0])
        except _UNREADABLE:
            return _unreadable(annotation, f"{path}.{name}") or f"{path}.{name}"
    return None


def _with_arguments(annotation: Any) -> list[Any]:
    return [annotation, *(inner for argument in get_args(annotation) for inner in _with_arguments(argument))]


class _Generator(GenerateJsonSchema):
    """Leaves out what strict mode does not want, and marks what cannot be, where pydantic would raise without a path."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> dict[str, Any]:
        return {_IMPOSSIBLE: f"is nothing that JSON has ({error_info})"}

    def default_schema(self, schema: Any) -> dict[str, Any]:
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def decimal_schema(self, schema: Any) -> dict[str, Any]:
        number, _ = super().decimal_schema(schema)["anyOf"]
        return {"anyOf": [number, {"type": "string", "pattern": _DECIMAL}]}

    def _field_schema(self, schema: Any) -> dict[str, Any]:
        config, alias = self._config.config_dict, schema.get("validation_alias")
        by_name = config.get("validate_by_name") or config.get("populate_by_name")
        paths = cast("list[Any]", alias if isinstance(alias, list) else [[alias]])
        # Without a key at the top of the object, pydantic's schema names one that it would not read.
        if not by_name and not any(isinstance(path, list) and len(cast("list[Any]", path)) == 1 for path in paths):
            return {_IMPOSSIBLE: "is taken from an AliasPath only"}
        return self.generate_inner(schema["schema"])

    model_field_schema = dataclass_field_schema = _field_schema

    def typed_dict_field_schema(self, schema: Any) -> dict[str, Any]:
        node = self._field_schema(schema)
        return node if schema.get("required", True) else or_null(node)

    def field_is_present(self, field: Any) -> bool:
        return field.get("init", True) and super().field_is_present(field)

    def enum_schema(self, schema: Any) -> dict[str, Any]:
        # An Enum with a `_missing_` of its own makes sense of values that are not its own.
        guesses = getattr(schema["cls"]._missing_, "__func__", None) is not Enum.__dict__["_missing_"].__func__
        fits = guesses or _are_json(member.value for member in schema["members"])
        return super().enum_schema(schema) if fits else {_IMPOSSIBLE: _NO_JSON_VALUES}

    def literal_schema(self, schema: Any) -> dict[str, Any]:
        return super().literal_schema(schema) if _are_json(schema["expected"]) else {_IMPOSSIBLE: _NO_JSON_VALUES}


def or_null(node: dict[str, Any]) -> dict[str, Any]:
    """The schema of a node that may also be null."""
    members: Any = node.get("anyOf", [node])
    if None in node.get("enum", ()) or _NULL in members:
        return node
    return {"anyOf": [*(members if node.keys() == {"anyOf"} else [node]), _NULL]}


def _are_json(values: Iterable[object]) -> bool:
    """Whether pydantic finds the values of an Enum or a Literal in JSON. Lists are told apart later."""
    return all(value is None or isinstance(value, (str, int, float, list, tuple, dict)) for value in values)


def _name(kind: Any) -> str:
    """A name that servers take: letters, digits, `_` and `-`, at most 64. `list[Person]` is `list_Person`."""
    type_name = _type_name(kind)
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", _ENDS_NOT_ALLOWED.sub("", type_name)) or "answer"
    # Two long names that begin alike stay two.
    return name if len(name) <= 64 else f"{name[:55]}_{sha256(type_name.encode('utf-8', 'replace')).hexdigest()[:8]}"


def _type_name(kind: Any) -> str:
    origin = get_origin(kind)
    if origin is None:
        return str(getattr(kind, "__name__", kind))
    if origin is Annotated:
        return _type_name(kind.__origin__)
    if origin in {Union, UnionType}:
        return "_or_".join(map(_type_name, get_args(kind)))
    return "_".join([str(getattr(origin, "__name__", "")), *map(_type_name, get_args(kind))])


class _Strict:
    """Makes nodes strict, from the root down, so that each is known by its path."""

    def __init__(self, definitions: Mapping[str, Any]) -> None:
        self._definitions = definitions
        self.made: dict[str, dict[str, Any]] = {}  # the definitions that were met, strict

    def node(self, given: Any, path: str) -> dict[str, Any]:
        """A node, and all below it; a SchemaNotStrictError if it cannot be."""
        _refuse(given, path)
        strict = {key: value for key, value in given.items() if key not in _DROPPED}
        if "$ref" in strict:
            return self._reference(strict, path)
        if union := [key for key in ("anyOf", "oneOf", "allOf") if key in strict]:
            return self._union(strict, union, path)
        kinds: Any = strict.get("type")
        kinds = cast("list[Any]", kinds) if isinstance(kinds, list) else [kinds]
        if "object" in kinds:
            strict |= self._object(strict, path)
        if "array" in kinds:
            items = self._array(strict, path)
            strict = {key: value for key, value in strict.items() if key != "prefixItems"} | items
        return strict

    def _reference(self, strict: dict[str, Any], path: str) -> dict[str, Any]:
        name = (reference := strict.pop("$ref")).removeprefix(_DEFINITIONS)
        if name not in self._definitions:
            raise _cannot(path, f"refers to {reference!r}, which is not in its $defs")
        if name not in self.made:
            self.made[name] = {}  # a reference that leads back here has been seen to
            self.made[name] = self.node(self._definitions[name], path)
        made = {"$ref": f"{_DEFINITIONS}{name}"}
        return {"anyOf": [made], **strict} if strict else made

    def _union(self, strict: dict[str, Any], keys: list[str], path: str) -> dict[str, Any]:
        if len(keys) > 1 or (keys == ["allOf"] and len(strict["allOf"]) != 1) or strict.keys() & {"properties", "items"}:
            raise _cannot(path, "must be several things at once")
        members = strict.pop(keys[0])
        if not members:
            raise _cannot(path, "can have no value")
        return {"anyOf": [self.node(member, path) for member in members], **strict}

    def _object(self, strict: dict[str, Any], path: str) -> dict[str, Any]:
        if strict.get("additionalProperties", False) is not False or "properties" not in strict:
            raise _cannot(path, "takes keys that are not named")
        closed = _closed({name: self.node(inner, f"{path}.{name}") for name, inner in strict["properties"].items()})
        return {**closed, "type": strict["type"]}  # which may be null, too

    def _array(self, strict: dict[str, Any], path: str) -> dict[str, Any]:
        """The items of an array, and of a tuple: each in its place, and what all of them fit."""
        heads = [self.node(inner, f"{path}[{index}]") for index, inner in enumerate(strict.get("prefixItems", []))]
        kinds = [head for index, head in enumerate(heads) if head not in heads[:index]]
        if len(heads) < strict.get("maxItems", len(heads) + 1) or (heads and strict.get("items")):
            rest = self.node(strict.get("items", True), f"{path}[]")
            return {"prefixItems": heads, "items": rest} if heads else {"items": rest}
        if len(kinds) > 1:
            return {"prefixItems": heads, "items": {"anyOf": kinds}}
        return {"items": kinds[0] if kinds else _NULL}  # null for the empty tuple


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _refuse(given: Any, path: str) -> None:
    """Refuses nodes that take anything, or have rules that strict mode does not know."""
    if given is False:
        raise _cannot(path, "can have no value")
    node = cast("Mapping[str, Any]", given if isinstance(given, Mapping) else {})
    for key in (_IMPOSSIBLE, *_REFUSED):
        if key in node:
            raise _cannot(path, _REFUSED[key] if key in _REFUSED else node[key])
    if not node.keys() & _SAYING:
        raise _cannot(path, "takes values of any kind")
    if any(isinstance(value, (dict, list)) for value in (*node.get("enum", []), node.get("const"))):
        raise _cannot(path, "has values that are lists or objects")


def _cannot(path: str, reason: str) -> SchemaNotStrictError:
    remedy = {
        "takes keys that are not named": "name its fields, or use a list of objects with a key and a value",
        "takes values of any kind": "give it a type",
    }.get(reason, "give it another type")
    return SchemaNotStrictError(f"{path} {reason}, which strict mode cannot express; {remedy}, or {_AS_IT_IS}", path=path)
