"""Validates a value against a JSON schema. What `schema_instance` makes is validated here before it is sent.

These are the keywords of JSON Schema 2020-12 that say what a value may be, with draft 7's `dependencies` and `additionalItems`
and OpenAPI 3.0's true and false for open bounds. `format` is left to whoever makes the text, as the specification has it.
What is known but not judged is refused by name: an answer that may be wrong is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import combinations
from typing import Any, TypeAlias, cast

from venice_ai._core.json_values import items, members

Schema: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[["SchemaValidator", Any, Schema], bool]

_BEYOND = ("$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties")


class Unsatisfiable(ValueError):
    """Nothing fits the schema, or nothing that is found in reasonable time."""


_TYPE_OF = {
    **dict.fromkeys(("properties", "additionalProperties", "patternProperties", "required"), "object"),
    **dict.fromkeys(("items", "prefixItems", "maxItems", "minItems", "uniqueItems"), "array"),
    **dict.fromkeys(("pattern", "format", "maxLength", "minLength"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}


def implied_type(schema: Schema) -> str | None:
    """The type of which the keywords of a schema speak that names none."""
    return next((kind for key, kind in _TYPE_OF.items() if key in schema), None)


def resolved(root: Any, reference: Any) -> Any:
    """What a reference within the schema `root` leads to.

    Raises:
        Unsatisfiable: it leads out of the schema.
    """
    if reference != "#" and not str(reference).startswith("#/"):
        raise Unsatisfiable(f"{reference!r} is not a path within the schema")
    node: Any = root
    for step in str(reference)[1:].split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        node = items(cast("object", node))[int(key)] if isinstance(node, list) else members(node)[key]
    return node


class SchemaValidator:
    """Judges values by the schemas of one document, `root`."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def fits(self, value: Any, schema: Any) -> bool:
        """Whether the value fits.

        Raises:
            Unsatisfiable: a keyword of the schema is beyond this.
        """
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            raise Unsatisfiable("this is not a schema")
        known = cast("dict[str, Any]", schema)
        if beyond := [keyword for keyword in _BEYOND if known.get(keyword, True) is not True]:
            raise Unsatisfiable(f"{beyond[0]!r} is beyond this emulator; leave it out, and check it in the answer")
        return all(rule(self, value, known) for rule in _RULES)

    def refers(self, value: Any, schema: Schema) -> bool:
        """`$ref`."""
        return "$ref" not in schema or self.fits(value, resolved(self._root, schema["$ref"]))


# -- any value -----------------------------------------------------------------------------------------------------------


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are not numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: is_number(value) and value == value // 1,
    "number": is_number,
}


def same(one: Any, other: Any) -> bool:
    """Whether JSON has them for equal: 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, dict) and isinstance(other, dict):
        first, second = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(one, list) and isinstance(other, list):
        left, right = cast("list[Any]", one), cast("list[Any]", other)
        return len(left) == len(right) and all(map(same, left, right))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def _type(_validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    kinds = schema.get("type")
    names: list[str] = cast("list[str]", kinds) if isinstance(kinds, list) else [] if kinds is None else [str(kinds)]
    return kinds is None or any(name in _TYPES and _TYPES[name](value) for name in names)


def _listed(_validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    return ("const" not in schema or same(value, schema["const"])) and (
        "enum" not in schema or any(same(value, one) for one in schema["enum"])
    )


def _composed(validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    return (
        all(validator.fits(value, part) for part in schema.get("allOf", ()))
        and ("anyOf" not in schema or any(validator.fits(value, part) for part in schema["anyOf"]))
        and ("oneOf" not in schema or sum(validator.fits(value, part) for part in schema["oneOf"]) == 1)
        and ("not" not in schema or not validator.fits(value, schema["not"]))
    )


def _conditional(validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    if "if" not in schema:
        return True
    return validator.fits(value, schema.get("then" if validator.fits(value, schema["if"]) else "else", True))


# -- numbers and texts ---------------------------------------------------------------------------------------------------


def limits(schema: Schema) -> tuple[Any, Any, Any, Any]:
    """The bounds of a number: from, above, to, below. OpenAPI 3.0 has true and false for the open ones."""
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    return (
        None if above is True else low,
        low if above is True else None if above is False else above,
        None if below is True else high,
        high if below is True else None if below is False else below,
    )


def fraction(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))


def _number(_validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    if not is_number(value):
        return True
    low, above, high, below = limits(schema)
    return (
        (low is None or value >= low)
        and (above is None or value > above)
        and (high is None or value <= high)
        and (below is None or value < below)
        and ("multipleOf" not in schema or _multiple(value, schema["multipleOf"]))
    )


def _multiple(value: float, step: float) -> bool:
    # Some validators divide in floating point, where 0.3 is not a multiple of 0.1: so it has to be one for both.
    return fraction(value) % fraction(step) == 0 and float(value / step).is_integer()


def _text(_validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    if not isinstance(value, str):
        return True
    within = _within(len(value), schema, "minLength", "maxLength")
    return within and ("pattern" not in schema or found(schema["pattern"], value))


def found(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text.

    Raises:
        Unsatisfiable: Python cannot read the pattern.
    """
    try:
        return re.search(pattern, text) is not None
    except re.error:
        raise Unsatisfiable(f"the pattern {pattern!r} is beyond this emulator") from None


def _within(size: int, schema: Schema, least: str, most: str) -> bool:
    return bool(schema.get(least, 0) <= size <= schema.get(most, size))


# -- arrays and objects --------------------------------------------------------------------------------------------------


def _array(validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    if not isinstance(value, list):
        return True
    array = cast("list[Any]", value)
    return (
        _within(len(array), schema, "minItems", "maxItems")
        and all(map(validator.fits, array, _item_schemas(schema, len(array))))
        and ("contains" not in schema or _contains(validator, array, schema))
        and not (schema.get("uniqueItems") and any(same(one, other) for one, other in combinations(array, 2)))
    )


def _item_schemas(schema: Schema, size: int) -> list[Any]:
    given = schema.get("items", True)
    if isinstance(given, list):
        heads, rest = cast("list[Any]", given), schema.get("additionalItems", True)
    else:
        heads, rest = schema.get("prefixItems", []), given
    return [*heads, *[rest] * (size - len(heads))][:size]


def _contains(validator: SchemaValidator, array: list[Any], schema: Schema) -> bool:
    count = sum(validator.fits(item, schema["contains"]) for item in array)
    return _within(count, {"minContains": 1, **schema}, "minContains", "maxContains")


def _object(validator: SchemaValidator, value: Any, schema: Schema) -> bool:
    if not isinstance(value, dict):
        return True
    made = cast("dict[str, Any]", value)
    return (
        made.keys() >= set(schema.get("required", ()))
        and _within(len(made), schema, "minProperties", "maxProperties")
        and all(validator.fits(inner, part) for name, inner in made.items() for part in property_schemas(schema, name))
        and ("propertyNames" not in schema or all(validator.fits(name, schema["propertyNames"]) for name in made))
        and all(_depends(validator, made, needed) for name, needed in _dependencies(schema) if name in made)
    )


def property_schemas(schema: Schema, name: str) -> list[Any]:
    """Every schema that a property of this name has to fit."""
    properties: dict[str, Any] = schema.get("properties", {})
    patterns: dict[str, Any] = schema.get("patternProperties", {})
    own = [properties[name]] if name in properties else []
    own += [part for pattern, part in patterns.items() if found(pattern, name)]
    return own or [schema.get("additionalProperties", True)]


def _dependencies(schema: Schema) -> list[tuple[str, Any]]:
    kinds = ("dependentRequired", "dependentSchemas", "dependencies")
    return [pair for kind in kinds for pair in cast("dict[str, Any]", schema.get(kind, {})).items()]


def _depends(validator: SchemaValidator, made: dict[str, Any], needed: Any) -> bool:
    return made.keys() >= set(cast("list[str]", needed)) if isinstance(needed, list) else validator.fits(made, needed)


_RULES: tuple[Rule, ...] = (_type, _listed, _number, _text, _array, _object, SchemaValidator.refers, _composed, _conditional)
