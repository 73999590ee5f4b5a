"""Validates a value against a JSON schema. What `schema_instance` makes is validated here before it is sent.

These are the keywords of JSON Schema 2020-12 that say what a value may be, with draft 7's `dependencies` and OpenAPI 3.0's true
and false for open bounds. `format` is left to whoever makes the text, as the specification has it. What is known but not
judged is refused by name: an answer that may be wrong is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from typing import Any, TypeAlias

from venice_ai.types._base import is_array, is_object

Schema: TypeAlias = Mapping[str, Any]

_BEYOND = ("$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties")
_TYPE_OF = {
    **dict.fromkeys(("properties", "additionalProperties", "patternProperties", "required"), "object"),
    **dict.fromkeys(("items", "prefixItems", "maxItems", "minItems", "uniqueItems"), "array"),
    **dict.fromkeys(("pattern", "format", "maxLength", "minLength"), "string"),
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), "number"),
}
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": is_object,
    "array": is_array,
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "integer": lambda value: is_number(value) and value == value // 1,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
}


class Unsatisfiable(ValueError):
    """Nothing fits the schema, or nothing that is found in reasonable time."""


class SchemaValidator:
    """Judges values by the schemas of one document, `root`."""

    def __init__(self, root: Any) -> None:
        self._root = root

    def fits(self, value: Any, schema: Any) -> bool:
        """Whether the value fits.

        Raises:
            Unsatisfiable: the schema is not one, or a keyword of it is beyond this.
        """
        if isinstance(schema, bool):
            return schema
        if not is_object(schema):
            raise Unsatisfiable("this is not a schema")
        if beyond := [keyword for keyword in _BEYOND if schema.get(keyword, True) is not True]:
            raise Unsatisfiable(f"{beyond[0]!r} is beyond this emulator; leave it out, and check it in the answer")
        return all(self._judgements(value, schema))

    def _judgements(self, value: Any, schema: Schema) -> Iterator[bool]:
        """What each keyword says of the value."""
        if "$ref" in schema:
            yield self.fits(value, resolved(self._root, schema["$ref"]))
        if "type" in schema:
            yield any(name in _TYPES and _TYPES[name](value) for name in names_of(schema["type"]))
        if "const" in schema:
            yield same(value, schema["const"])
        if "enum" in schema:
            yield any(same(value, one) for one in schema["enum"])
        yield from self._composed(value, schema)
        yield from self._judgements_of_type(value, schema)

    def _composed(self, value: Any, schema: Schema) -> Iterator[bool]:
        yield all(self.fits(value, part) for part in schema.get("allOf", ()))
        if "anyOf" in schema:
            yield any(self.fits(value, part) for part in schema["anyOf"])
        if "oneOf" in schema:
            yield sum(self.fits(value, part) for part in schema["oneOf"]) == 1
        if "not" in schema:
            yield not self.fits(value, schema["not"])
        if "if" in schema:
            yield self.fits(value, schema.get("then" if self.fits(value, schema["if"]) else "else", True))

    def _judgements_of_type(self, value: Any, schema: Schema) -> Iterator[bool]:
        if is_number(value):
            yield from _number_judgements(value, schema)
        elif isinstance(value, str):
            yield _within(len(value), schema, "minLength", "maxLength")
            yield "pattern" not in schema or is_found(schema["pattern"], value)
        elif is_array(value):
            yield from self._array_judgements(value, schema)
        elif is_object(value):
            yield from self._object_judgements(value, schema)

    def _array_judgements(self, array: list[Any], schema: Schema) -> Iterator[bool]:
        heads, rest = schema.get("prefixItems", []), schema.get("items", True)
        yield _within(len(array), schema, "minItems", "maxItems")
        yield all(self.fits(item, heads[index] if index < len(heads) else rest) for index, item in enumerate(array))
        if "contains" in schema:
            count = sum(self.fits(item, schema["contains"]) for item in array)
            yield _within(count, {"minContains": 1, **schema}, "minContains", "maxContains")
        if schema.get("uniqueItems"):
            yield not any(same(one, other) for one, other in combinations(array, 2))

    def _object_judgements(self, given: dict[str, Any], schema: Schema) -> Iterator[bool]:
        yield given.keys() >= set(schema.get("required", ()))
        yield _within(len(given), schema, "minProperties", "maxProperties")
        yield all(self.fits(inner, part) for name, inner in given.items() for part in property_schemas(schema, name))
        if "propertyNames" in schema:
            yield all(self.fits(name, schema["propertyNames"]) for name in given)
        for keyword in ("dependentRequired", "dependentSchemas", "dependencies"):
            for name, needed in schema.get(keyword, {}).items():
                if name in given:
                    yield given.keys() >= set(needed) if is_array(needed) else self.fits(given, needed)


def _number_judgements(value: float, schema: Schema) -> Iterator[bool]:
    low, above, high, below = limits(schema)
    yield (low is None or value >= low) and (above is None or value > above)
    yield (high is None or value <= high) and (below is None or value < below)
    if "multipleOf" in schema:
        # Some validators divide in floating point, where 0.3 is not a multiple of 0.1: so it has to be one for both.
        step = schema["multipleOf"]
        yield fraction(value) % fraction(step) == 0 and float(value / step).is_integer()


def _within(size: int, schema: Schema, least: str, most: str) -> bool:
    return bool(schema.get(least, 0) <= size <= schema.get(most, size))


# -- what the maker of answers asks, too ---------------------------------------------------------------------------------


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
        node = node[int(key)] if is_array(node) else node[key]
    return node


def names_of(kinds: Any) -> list[Any]:
    """The types that the keyword `type` names: one, or a list of some."""
    return kinds if is_array(kinds) else [str(kinds)]


def implied_type(schema: Schema) -> str | None:
    """The type of which the keywords of a schema speak that names none."""
    return next((kind for key, kind in _TYPE_OF.items() if key in schema), None)


def is_number(value: Any) -> bool:
    """Whether it is a number; true and false are not numbers."""
    return _TYPES["number"](value)


def same(one: Any, other: Any) -> bool:
    """Whether JSON has them for equal: 1 and 1.0 are, 1 and true are not."""
    if is_object(one) and is_object(other):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if is_array(one) and is_array(other):
        return len(one) == len(other) and all(map(same, one, other))
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def limits(schema: Schema) -> tuple[Any, Any, Any, Any]:
    """The bounds of a number: from, above, to, below. OpenAPI 3.0 has true and false for the open ones."""
    low, above = _ends(schema.get("minimum"), schema.get("exclusiveMinimum"))
    high, below = _ends(schema.get("maximum"), schema.get("exclusiveMaximum"))
    return low, above, high, below


def _ends(closed: Any, opened: Any) -> tuple[Any, Any]:
    return (None, closed) if opened is True else (closed, None if opened is False else opened)


def fraction(number: float) -> Fraction:
    """The number as it is written: 0.1 is a tenth."""
    return Fraction(str(number))


def is_found(pattern: str, text: str) -> bool:
    """Whether the pattern is found in the text.

    Raises:
        Unsatisfiable: Python cannot read the pattern.
    """
    try:
        return re.search(pattern, text) is not None
    except re.error:
        raise Unsatisfiable(f"the pattern {pattern!r} is beyond this emulator") from None


def property_schemas(schema: Schema, name: str) -> list[Any]:
    """Every schema that a property of this name has to fit."""
    properties: dict[str, Any] = schema.get("properties", {})
    own = [properties[name]] if name in properties else []
    own += [part for pattern, part in schema.get("patternProperties", {}).items() if is_found(pattern, name)]
    return own or [schema.get("additionalProperties", True)]
