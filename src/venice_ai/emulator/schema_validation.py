"""Validates values by JSON schemas, and merges schemas. What `schema_instance` makes is validated here before it is sent.

`_RULES` is the table of keywords: those that strict mode allows, and those that pydantic and tools write beside them. `format`
is left to whoever makes the text, as the specification has it. The keywords in `_BEYOND` are refused by name: an answer that
may be wrong is worse than an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import combinations
from typing import Any, Final, TypeAlias

from venice_ai._core.json_values import members
from venice_ai.types._base import is_array, is_object

Schema: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Any, Any, Schema, Any], bool]
"""Judges a value by what a keyword says. Then come its schema, and the document that references lead into."""

_BEYOND: Final = (
    *("$dynamicRef", "$recursiveRef", "contains", "dependencies", "dependentRequired", "dependentSchemas"),
    *("if", "then", "else", "not", "patternProperties", "unevaluatedItems", "unevaluatedProperties"),
)
BOUNDS: Final = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_TYPES: Final[dict[str, Callable[[Any], bool]]] = {
    "object": is_object,
    "array": is_array,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: _TYPES["number"](value) and value == value // 1,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


class Unsatisfiable(ValueError):
    """Nothing fits the schema, or nothing that is found in reasonable time."""


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether a value fits a schema that stands in the document `root`; Unsatisfiable if a keyword of it is beyond this."""
    if isinstance(schema, bool):
        return schema
    if not is_object(schema):
        raise Unsatisfiable("this is not a schema")
    if beyond := [keyword for keyword in _BEYOND if schema.get(keyword, True) is not True]:
        raise Unsatisfiable(f"{beyond[0]!r} is beyond this emulator; leave it out, and check it in the answer")
    found = [rules for kind, rules in _RULES.items() if kind == "any" or _TYPES[kind](value)]
    return all(rules[name](value, schema[name], schema, root) for rules in found for name in rules if name in schema)


_RULES: Final[dict[str, dict[str, Rule]]] = {
    "any": {
        "$ref": lambda value, reference, _, root: fits(value, resolved(root, reference), root),
        "type": lambda value, kinds, _, __: any(name in _TYPES and _TYPES[name](value) for name in names_of(kinds)),
        "const": lambda value, one, _, __: same(value, one),
        "enum": lambda value, listed, _, __: any(same(value, one) for one in listed),
        "allOf": lambda value, parts, _, root: all(fits(value, part, root) for part in parts),
        "anyOf": lambda value, parts, _, root: any(fits(value, part, root) for part in parts),
        "oneOf": lambda value, parts, _, root: sum(fits(value, part, root) for part in parts) == 1,
    },
    "object": {
        "required": lambda value, names, _, __: value.keys() >= set(names),
        "minProperties": lambda value, least, _, __: len(value) >= least,
        "maxProperties": lambda value, most, _, __: len(value) <= most,
        "properties": lambda value, parts, _, root: all(
            fits(value[name], part, root) for name, part in parts.items() if name in value
        ),
        "additionalProperties": lambda value, rest, schema, root: all(
            fits(value[name], rest, root) for name in value.keys() - schema.get("properties", {}).keys()
        ),
        "propertyNames": lambda value, part, _, root: all(fits(name, part, root) for name in value),
    },
    "array": {
        "minItems": lambda value, least, _, __: len(value) >= least,
        "maxItems": lambda value, most, _, __: len(value) <= most,
        "prefixItems": lambda value, parts, _, root: all(fits(*pair, root) for pair in zip(value, parts, strict=False)),
        "items": lambda value, rest, schema, root: all(
            fits(item, rest, root) for item in value[len(schema.get("prefixItems", ())) :]
        ),
        "uniqueItems": lambda value, unique, _, __: not (unique and any(same(*pair) for pair in combinations(value, 2))),
    },
    "string": {
        "minLength": lambda value, least, _, __: len(value) >= least,
        "maxLength": lambda value, most, _, __: len(value) <= most,
        "pattern": lambda value, pattern, _, __: _is_found(pattern, value),
        "format": lambda _, __, ___, ____: True,
    },
    "number": {
        "minimum": lambda value, least, _, __: fraction(value) >= fraction(least),
        "exclusiveMinimum": lambda value, bound, _, __: fraction(value) > fraction(bound),
        "maximum": lambda value, most, _, __: fraction(value) <= fraction(most),
        "exclusiveMaximum": lambda value, bound, _, __: fraction(value) < fraction(bound),
        # Some validators divide in floating point, where 0.3 is not a multiple of 0.1: so it has to be one for both.
        "multipleOf": lambda value, step, _, __: fraction(value) % fraction(step) == 0 and float(value / step).is_integer(),
    },
}
"""The keywords by the type of the values that they judge."""


def resolved(root: Any, reference: Any) -> Any:
    """What a reference within the schema `root` leads to; Unsatisfiable if it leads out of it."""
    if reference != "#" and not str(reference).startswith("#/"):
        raise Unsatisfiable(f"{reference!r} is not a path within the schema")
    node: Any = root
    for step in str(reference)[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        node = node[int(key)] if is_array(node) else node[key]
    return node


def names_of(kinds: Any) -> list[Any]:
    """The types that the keyword `type` names: one, or a list of some."""
    return kinds if is_array(kinds) else [str(kinds)]


def implied_type(schema: Schema) -> str | None:
    """The type of which the keywords of a schema speak that names none."""
    return next((kind for kind, rules in _RULES.items() if kind != "any" and rules.keys() & schema.keys()), None)


def same(one: Any, other: Any) -> bool:
    """Whether JSON has them for equal: 1 and 1.0 are, 1 and true are not."""
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def fraction(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))


def _is_found(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:
        raise Unsatisfiable(f"the pattern {pattern!r} is beyond this emulator") from None


def flat(schema: Schema, root: Any, path: str) -> dict[str, Any]:
    """The schema with its reference and its `allOf` folded in; Unsatisfiable if the reference leads nowhere, or in a circle."""
    found = dict(schema)
    for _ in range(40):
        if "$ref" in found:
            found = merged(members(resolved(root, found.pop("$ref"))), found)
        elif "allOf" in found:
            for part in found.pop("allOf"):
                found = merged(found, flat(members(part), root, path))
        else:
            return found
    raise Unsatisfiable(f"{path}: the reference leads in a circle")


def merged(first: Schema, second: Schema) -> dict[str, Any]:
    """A schema that is both. Of a keyword not in `_MERGES` the second is taken: what is made of it is validated by both."""
    both = {key: _MERGES[key](first[key], second[key]) for key in first.keys() & second.keys() & _MERGES.keys()}
    return {**first, **second, **both}


def _all_of(first: Any, second: Any) -> Any:
    return False if False in (first, second) else {"allOf": [first, second]}


_MERGES: Final[dict[str, Callable[[Any, Any], Any]]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "properties": lambda first, second: {
        **first,
        **second,
        **{name: _all_of(first[name], second[name]) for name in first.keys() & second.keys()},
    },
    "required": lambda first, second: list(dict.fromkeys([*first, *second])),
    "additionalProperties": _all_of,
    "type": lambda first, second: [kind for kind in names_of(first) if kind in names_of(second)],
}
