"""Merges two JSON schemas into one that fits what both fit (`allOf`), for the keywords where that is simple."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from venice_ai._core.json_values import members

from .schema_validation import Schema, Unsatisfiable, fraction, resolved, same

_DEEPEST = 40


def flat(schema: Schema, root: Any, path: str) -> dict[str, Any]:
    """The schema with its reference and its `allOf` folded in.

    Raises:
        Unsatisfiable: the reference leads nowhere, or in a circle.
    """
    found = dict(schema)
    for _ in range(_DEEPEST):
        if "$ref" in found:
            found = merged(members(resolved(root, found.pop("$ref"))), found)
        elif "allOf" in found:
            for part in found.pop("allOf"):
                found = merged(found, flat(members(part), root, path))
        else:
            return found
    raise Unsatisfiable(f"{path}: the reference leads in a circle")


def merged(first: Schema, second: Schema) -> dict[str, Any]:
    """A schema that is both: what fits it fits each of them (for the keywords where that is simple)."""
    merged = dict(first)
    for key, value in second.items():
        merged[key] = _MERGES.get(key, _latter)(merged[key], value) if key in merged else value
    return merged


def _latter(_first: Any, second: Any) -> Any:
    """The second value of a keyword that cannot be merged; validation then finds a value that fits only this one."""
    return second


def _merged_properties(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    return {**first, **second, **{name: all_of([first[name], second[name]]) for name in first.keys() & second.keys()}}


def all_of(schemas: list[Any]) -> Any:
    return schemas[0] if len(schemas) == 1 else {"allOf": schemas}


def _common(first: Any, second: Any) -> list[str]:
    """The types that both allow; whole numbers are numbers."""
    one, other = ([kinds] if isinstance(kinds, str) else kinds for kinds in (first, second))
    whole = {"integer"} if {"integer", "number"} & set(one) and {"integer", "number"} & set(other) else set[str]()
    both = set(one) & set(other)
    return [kind for kind in dict.fromkeys([*one, *other]) if kind in both or (kind in whole and "number" not in both)]


def _common_multiple(first: float, second: float) -> int | float:
    one, other = fraction(first), fraction(second)
    denominator = one.denominator * other.denominator
    common = Fraction(math.lcm(one.numerator * other.denominator, other.numerator * one.denominator), denominator)
    return int(common) if common.denominator == 1 else float(common)


_MERGES: dict[str, Callable[[Any, Any], Any]] = {
    **dict.fromkeys(("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"), max),
    **dict.fromkeys(("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"), min),
    "properties": _merged_properties,
    "required": lambda first, second: list(dict.fromkeys([*first, *second])),
    "enum": lambda first, second: [value for value in first if any(same(value, other) for other in second)],
    "additionalProperties": lambda first, second: False if False in (first, second) else all_of([first, second]),
    "type": _common,
    "multipleOf": _common_multiple,
}
