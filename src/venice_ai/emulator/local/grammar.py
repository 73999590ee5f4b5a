"""Turns a JSON schema into a grammar, with which the engine keeps a small model's answer in the schema's shape.

A small model wanders wherever the grammar lets it: endless digits, endless blanks, one more key. So every string, number, array
and free object gets a bound where the schema has none, and blanks between tokens are forbidden. A schema that the engine cannot
enforce makes it drop the whole grammar without a word, which `translation.py` notices.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from venice_ai.emulator.backend import UnsupportedInput
from venice_ai.emulator.schema_validation import BOUNDS, implied_type, names_of
from venice_ai.types._base import is_array, is_object

Schema: TypeAlias = dict[str, Any]

STRING_LENGTH = 120
ARRAY_LENGTH = 8
OBJECT_SIZE = 8
LARGEST_NUMBER = 1_000_000
LARGEST_INTEGER = 10_000  # of one without any bound: it may say how often something is done, or which year it is

# Formats the engine enforces, and the length that holds one. To the others JSON Schema gives no force of its own.
_DATE_LENGTHS = {"date-time": 20, "time": 9, "date": 10, "duration": 16}
_FORMAT_LENGTHS = _DATE_LENGTHS | {"email": 40, "hostname": 40, "ipv4": 15, "ipv6": 39, "uuid": 36}

_SCALAR: Schema = {
    "anyOf": [
        {"type": "string", "maxLength": STRING_LENGTH},
        {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER},
        {"type": "boolean"},
        {"type": "null"},
    ]
}
ANY_OBJECT: Schema = {"type": "object", "additionalProperties": _SCALAR, "minProperties": 1, "maxProperties": OBJECT_SIZE}
"""What `response_format: {"type": "json_object"}` asks for, within reach of a small model."""


def json_grammar(schema: Schema) -> str:
    """The engine's grammar for compact JSON that fits `schema`; UnsupportedInput if that cannot be read."""
    options = {"whitespace_flexible": False, "coerce_one_of": True}
    try:
        narrow = bounded(schema)
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise UnsupportedInput(f"The JSON schema cannot be read: {error}") from None
    return "%llguidance {}\nstart: %json " + json.dumps({**narrow, "x-guidance": options})


def call_schema(tools: Sequence[Mapping[str, Any]]) -> Schema:
    """The schema of one call, `{"name": ..., "arguments": {...}}`, of any of these functions."""
    calls: list[Schema] = []
    definitions: Schema = {}
    for index, tool in enumerate(tools):
        place = f"#/$defs/arguments{index}"
        definitions[f"arguments{index}"] = _moved(tool.get("parameters") or {"type": "object", "properties": {}}, place)
        properties = {"name": {"const": tool["name"]}, "arguments": {"$ref": place}}
        calls.append({"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False})
    return {"anyOf": calls, "$defs": definitions}


def _moved(node: Any, root: str) -> Any:
    """A part of a schema that now stands at `root`: its references still lead where they led when it stood alone."""
    if is_array(node):
        return [_moved(item, root) for item in node]
    if not is_object(node):
        return node
    moved = {key: _moved(value, root) for key, value in node.items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = root + reference[1:]
    return moved


def bounded(schema: Any) -> Any:
    """A copy of a schema, narrowed where a small model would never come to an end; what allows anything becomes a scalar."""
    if not is_object(schema):
        return _SCALAR if schema is True else schema
    copy = _copied(schema)
    if schema.keys() & {"$ref", "enum", "const", "anyOf", "oneOf", "allOf"}:
        return copy
    kinds = schema.get("type", implied_type(schema))
    for kind in names_of(kinds):
        if kind in _LIMITS:
            copy = _LIMITS[kind]({"type": kinds, **copy})
    return _SCALAR if kinds is None else copy


def _copied(schema: Schema) -> Schema:
    """A copy whose inner schemas have bounds."""
    copy = dict(schema)
    for key in copy.keys() & {"properties", "patternProperties", "$defs", "definitions"}:
        copy[key] = {name: bounded(part) for name, part in copy[key].items()}
    for key in copy.keys() & {"anyOf", "oneOf", "prefixItems"}:
        copy[key] = [*map(bounded, copy[key])]
    if "allOf" in copy:
        # They hold together: closing one would shut out the others' keys.
        copy["allOf"] = [*map(_copied, copy["allOf"])]
    for key in copy.keys() & {"items", "additionalItems", "additionalProperties"}:
        copy[key] = bounded(copy[key]) if is_object(copy[key]) else copy[key]
    return copy


def _string(schema: Schema) -> Schema:
    known = _FORMAT_LENGTHS.get(str(schema.get("format")))
    if known is None:
        schema = {key: value for key, value in schema.items() if key != "format"}
    return {"maxLength": max(known or STRING_LENGTH, schema.get("minLength", 0)), **schema}


def _array(schema: Schema) -> Schema:
    if not schema.keys() & {"items", "prefixItems"}:
        schema = {**schema, "items": _SCALAR}
    return {"maxItems": max(ARRAY_LENGTH, schema.get("minItems", 0), len(schema.get("prefixItems", ()))), **schema}


def _object(schema: Schema) -> Schema:
    named: Schema | None = schema.get("properties")
    rest = schema.get("additionalProperties", named is None)
    if named and named.keys() >= set(schema.get("required", ())):
        rest = False
    if rest is False and "patternProperties" not in schema:
        return {**schema, "additionalProperties": False}
    size = max(OBJECT_SIZE, schema.get("minProperties", 0), len(named or ()))
    return {"maxProperties": size, **schema, "additionalProperties": _SCALAR if rest is True else rest}


def _integer(schema: Schema) -> Schema:
    return _between(schema, LARGEST_NUMBER if schema.keys() & BOUNDS else LARGEST_INTEGER)


def _number(schema: Schema) -> Schema:
    narrow = _between(schema, LARGEST_NUMBER)
    if schema.keys() & {"exclusiveMinimum", "exclusiveMaximum"}:  # the engine forgets them beside `multipleOf`
        return narrow
    return {"multipleOf": 0.01 if narrow["maximum"] - narrow["minimum"] > 1 else 0.0001, **narrow}


def _between(schema: Schema, largest: int) -> Schema:
    """With two ends, as far apart as `largest` where one is missing."""
    high = schema.get("maximum")
    low = schema.get("minimum", min(-largest, (high or 0) - largest))
    return {**schema, "minimum": low, "maximum": max(largest, low + largest) if high is None else high}


_LIMITS = {"string": _string, "array": _array, "object": _object, "integer": _integer, "number": _number}
