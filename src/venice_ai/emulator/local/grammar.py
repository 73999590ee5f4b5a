"""Turns a JSON schema into a grammar, with which the engine keeps a small model's answer in the schema's shape.

The engine samples only tokens that keep the answer inside the grammar, so the shape is certain. Three things need care:

- A small model wanders wherever the grammar lets it: endless digits, endless blanks, one more key. So every string,
  number, array and free object gets a bound where the schema has none. What fits the narrower schema fits the original.
- Blanks between tokens are forbidden: compact JSON takes a third of the tokens.
- The engine does not refuse a schema it cannot enforce, it drops the whole grammar without a word. So keywords known to
  be beyond it are refused here, by name and path.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from venice_ai.emulator.backend import UnsupportedInput
from venice_ai.emulator.schema_validation import implied_type, names_of
from venice_ai.types._base import is_array, is_object

Schema: TypeAlias = dict[str, Any]

STRING_LENGTH = 120
ARRAY_LENGTH = 8
OBJECT_SIZE = 8
LARGEST_NUMBER = 1_000_000
LARGEST_INTEGER = 10_000  # of one without any bound: it may say how often something is done, or which year it is
SHORTEST_STEP = 0.0001

# Formats the engine enforces, and the length that holds one. To the others JSON Schema gives no force of its own.
_DATE_LENGTHS = {"date-time": 20, "time": 9, "date": 10, "duration": 16}
_FORMAT_LENGTHS = _DATE_LENGTHS | {"email": 40, "hostname": 40, "ipv4": 15, "ipv6": 39, "uuid": 36}

_BEYOND = {
    *("$dynamicRef", "$recursiveRef", "contains", "dependencies", "dependentRequired", "dependentSchemas", "propertyNames"),
    *("allOf", "if", "then", "else", "not", "unevaluatedItems", "unevaluatedProperties", "uniqueItems"),
}
_CHOICES = {"$ref", "enum", "const", "anyOf", "oneOf"}

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
    """The engine's grammar for compact JSON that fits `schema`; UnsupportedInput names a keyword that it cannot enforce."""
    options = {"whitespace_flexible": False, "coerce_one_of": True}
    return "%llguidance {}\nstart: %json " + json.dumps({**bounded(schema), "x-guidance": options})


def has_free_keys(grammar: str) -> bool:
    """Whether an answer may have keys that the schema does not name, so that the model may repeat one."""
    return '"additionalProperties": {' in grammar or '"patternProperties"' in grammar


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


def bounded(schema: Schema) -> Schema:
    """A copy of a whole schema, narrowed where a small model would never come to an end."""
    try:
        narrow: Schema = _narrowed(schema, "$")
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise UnsupportedInput(f"The JSON schema cannot be read: {error}") from None
    return narrow


def _narrowed(schema: Any, path: str) -> Any:
    """A schema with bounds; one that allows anything becomes something that ends."""
    if not is_object(schema):
        return _SCALAR if schema is True else schema
    copy = _copied(schema, path)
    if schema.keys() & _CHOICES:
        return copy
    kinds = schema.get("type", implied_type(schema))
    for kind in names_of(kinds):
        if kind in _LIMITS:
            copy = _LIMITS[kind]({"type": kinds, **copy})
    return _SCALAR if kinds is None else copy


def _copied(schema: Schema, path: str) -> Schema:
    """A copy whose inner schemas have bounds."""
    _refuse(schema, path)
    copy = {key: value for key, value in schema.items() if key not in _BEYOND}
    for key in copy.keys() & {"properties", "patternProperties", "$defs", "definitions"}:
        copy[key] = {name: _narrowed(part, f"{path}.{name}") for name, part in copy[key].items()}
    for key in copy.keys() & {"anyOf", "oneOf", "prefixItems"}:
        copy[key] = [_narrowed(part, f"{path}.{key}[{index}]") for index, part in enumerate(copy[key])]
    for key in copy.keys() & {"items", "additionalItems", "additionalProperties"}:
        copy[key] = _narrowed(copy[key], f"{path}.{key}") if is_object(copy[key]) else copy[key]
    return copy


def _refuse(schema: Schema, path: str) -> None:
    for keyword in sorted(schema.keys() & _BEYOND):
        if schema[keyword] is not False:
            raise _unenforceable(keyword, path)
    free = schema.get("additionalProperties", True) is not False or "patternProperties" in schema
    if free and schema.get("minProperties", 0) > max(1, len(schema.get("required", ()))) and "properties" not in schema:
        # It counts a key that is there twice for two.
        raise _unenforceable("minProperties", path)


def _unenforceable(keyword: str, path: str) -> UnsupportedInput:
    return UnsupportedInput(
        f"The local model's engine cannot enforce {keyword!r} at {path} of the JSON schema; leave it out, "
        "and check it in the answer."
    )


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
    has_bound = schema.keys() & {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    return _between(schema, 1, LARGEST_NUMBER if has_bound else LARGEST_INTEGER)


def _number(schema: Schema) -> Schema:
    narrow = _between(schema, SHORTEST_STEP, LARGEST_NUMBER)
    return {"multipleOf": 0.01 if narrow["maximum"] - narrow["minimum"] > 1 else SHORTEST_STEP, **narrow}


def _between(schema: Schema, step: float, largest: int) -> Schema:
    """With two inclusive ends. The engine forgets exclusive ones beside `multipleOf`."""
    rest = dict(schema)
    above, below = rest.pop("exclusiveMinimum", None), rest.pop("exclusiveMaximum", None)
    lows = [rest.get("minimum"), None if above is None else round(above + step, 4)]
    highs = [rest.get("maximum"), None if below is None else round(below - step, 4)]
    high = min((end for end in highs if end is not None), default=None)
    low = max((end for end in lows if end is not None), default=min(-largest, (high or 0) - largest))
    return {**rest, "minimum": low, "maximum": max(largest, low + largest) if high is None else high}


_LIMITS = {"string": _string, "array": _array, "object": _object, "integer": _integer, "number": _number}
