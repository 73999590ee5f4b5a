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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from venice_ai.emulator.backend import UnsupportedInput
from venice_ai.emulator.schema_merging import flat
from venice_ai.emulator.schema_validation import Unsatisfiable

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
    *("if", "then", "else", "not", "unevaluatedItems", "unevaluatedProperties", "uniqueItems"),
}

# A keyword that only means something for one type. Where no type is given, it names it.
_TYPE_OF = {
    **dict.fromkeys(("properties", "additionalProperties", "patternProperties", "required"), "object"),
    **dict.fromkeys(("items", "prefixItems", "maxItems", "minItems"), "array"),
    **dict.fromkeys(("pattern", "format", "maxLength", "minLength"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}
_REMARKS = frozenset({"$comment", "$defs", "$id", "$schema", "default", "definitions", "description", "examples", "title"})
_CHOICES = ("$ref", "enum", "const", "anyOf", "oneOf", "allOf")
_SCHEMA_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_SCHEMA_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")
_SCHEMAS = ("items", "additionalItems", "additionalProperties")

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
    """The engine's grammar for compact JSON that fits `schema`.

    Raises:
        UnsupportedInput: the engine cannot enforce a keyword of the schema; the message names it and its path.
    """
    options = {"whitespace_flexible": False, "coerce_one_of": True}
    return "%llguidance {}\nstart: %json " + json.dumps({**bounded(_joined(schema)), "x-guidance": options})


def _joined(schema: Schema) -> Schema:
    """With the objects that an `allOf` names as one: apart, none of them could be closed against endless keys."""
    try:
        return cast("Schema", _join(schema, schema, "$"))
    except (Unsatisfiable, RecursionError, TypeError, AttributeError, LookupError, ValueError):
        raise _unenforceable("allOf", "$") from None


def _join(node: Any, root: Schema, path: str) -> Any:
    if isinstance(node, list):
        return [_join(item, root, path) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    known = cast("Schema", node)
    if isinstance(parts := known.get("allOf"), list) and _says_more(known, cast("list[Any]", parts)):
        whole = flat(known, root, path)
        known = whole if "properties" in whole else known
    return {key: _join(value, root, f"{path}.{key}") for key, value in known.items()}


def _says_more(schema: Schema, parts: list[Any]) -> bool:
    """Whether an `allOf` holds more than one thing: a lone reference beside a description stays one."""
    telling = [part for part in [*parts, {**schema, "allOf": None}] if part.keys() - _REMARKS - {"allOf"}]
    return len(telling) > 1


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
    if isinstance(node, list):
        return [_moved(item, root) for item in cast("list[Any]", node)]
    if not isinstance(node, dict):
        return node
    moved = {key: _moved(value, root) for key, value in cast("Schema", node).items()}
    reference = moved.get("$ref")
    if isinstance(reference, str) and reference.startswith("#"):
        moved["$ref"] = root + reference[1:]
    return moved


def bounded(schema: Schema, path: str = "$") -> Schema:
    """A copy of `schema`, narrowed where a small model would never come to an end."""
    _refuse(schema, path)
    types = _types(schema)
    if types is None:
        return _inside(schema, path) if any(key in schema for key in _CHOICES) else _SCALAR
    narrow = _inside({**schema, "type": schema.get("type", types[0])}, path)
    for kind in types:
        limit = _LIMITS.get(kind)
        if limit is not None and not any(key in schema for key in _CHOICES):
            narrow = limit(narrow)
    return narrow


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


def _types(schema: Schema) -> list[str] | None:
    """The types a schema allows, or None if it does not say."""
    given = schema.get("type")
    if isinstance(given, list):
        return cast("list[str]", given)
    if isinstance(given, str):
        return [given]
    if any(key in schema for key in _CHOICES):
        return None
    return next(([kind] for key, kind in _TYPE_OF.items() if key in schema), None)


def _inside(schema: Schema, path: str) -> Schema:
    """The copy whose inner schemas are bounded."""
    copy = {key: value for key, value in schema.items() if value is not False or key not in _BEYOND}
    for key in _SCHEMA_MAPS:
        if isinstance(inner := copy.get(key), dict):
            copy[key] = {name: _inner(part, f"{path}.{name}") for name, part in cast("Schema", inner).items()}
    for key in _SCHEMA_LISTS:
        if isinstance(parts := copy.get(key), list):
            each = enumerate(cast("list[Any]", parts))
            copy[key] = [_part(part, f"{path}.{key}[{index}]", key) for index, part in each]
    for key in _SCHEMAS:
        if isinstance(copy.get(key), dict):
            copy[key] = _inner(copy[key], f"{path}.{key}")
    return copy


def _inner(schema: Any, path: str) -> Any:
    """A schema inside another; `true` allows anything, so it becomes something that ends."""
    if schema is True:
        return _SCALAR
    return bounded(cast("Schema", schema), path) if isinstance(schema, dict) else schema


def _part(schema: Any, path: str, key: str) -> Any:
    """A member of a list of schemas. Those of `allOf` hold together: closing one would shut out the others' keys."""
    if key == "allOf" and isinstance(schema, dict):
        _refuse(cast("Schema", schema), path)
        return _inside(cast("Schema", schema), path)
    return _inner(schema, path)


def _string(schema: Schema) -> Schema:
    known = _FORMAT_LENGTHS.get(str(schema.get("format")))
    if known is None:
        schema = {key: value for key, value in schema.items() if key != "format"}
    return {"maxLength": max(known or STRING_LENGTH, schema.get("minLength", 0)), **schema}


def _array(schema: Schema) -> Schema:
    if not schema.keys() & {"items", "prefixItems"}:
        schema = {**schema, "items": _SCALAR}
    listed = len(schema.get("prefixItems", ()))
    return {"maxItems": max(ARRAY_LENGTH, listed, schema.get("minItems", 0)), **schema}


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
    bounds = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
    return _between(schema, 1, LARGEST_NUMBER if schema.keys() & bounds else LARGEST_INTEGER)


def _number(schema: Schema) -> Schema:
    low, high = _ends(schema, SHORTEST_STEP, LARGEST_NUMBER)
    return _between({"multipleOf": 0.01 if high - low > 1 else SHORTEST_STEP, **schema}, SHORTEST_STEP, LARGEST_NUMBER)


def _between(schema: Schema, step: float, largest: int) -> Schema:
    """With two inclusive ends. The engine forgets exclusive ones beside `multipleOf`."""
    low, high = _ends(schema, step, largest)
    rest = {key: value for key, value in schema.items() if key not in {"exclusiveMinimum", "exclusiveMaximum"}}
    return {**rest, "minimum": low, "maximum": high}


def _ends(schema: Schema, step: float, largest: int) -> tuple[float, float]:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None:
        low = round(above + step, 4) if low is None else max(low, round(above + step, 4))
    if below is not None:
        high = round(below - step, 4) if high is None else min(high, round(below - step, 4))
    if low is None:
        low = min(-largest, (high or 0) - largest)
    if high is None:
        high = max(largest, low + largest)
    return low, high


_LIMITS: dict[str, Callable[[Schema], Schema]] = {
    "string": _string,
    "array": _array,
    "object": _object,
    "integer": _integer,
    "number": _number,
}
