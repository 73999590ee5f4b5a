"""JSON that fits a schema."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from venice_ai.emulator.schemas import Hints, Unsatisfiable, instance, match
from venice_ai.emulator.schemas import fits as fits_as_judged

from ..examples import times

Schemas = st.SearchStrategy[dict[str, Any]]


def fits(schema: Any, value: Any, *, formats: bool = True) -> bool:
    checker = Draft202012Validator.FORMAT_CHECKER if formats else None
    validator: Any = Draft202012Validator(schema, format_checker=checker)
    return validator.is_valid(value)  # type: ignore[no-any-return]  # jsonschema says bool, but not to type checkers


def bounds(low: str, high: str, least: int, most: int) -> st.SearchStrategy[dict[str, int]]:
    """Two keywords, in order, each of which may be missing."""
    pairs = st.tuples(st.integers(least, most), st.integers(least, most)).map(sorted)
    both = pairs.map(lambda pair: {low: pair[0], high: pair[1]})
    neither = st.just(dict[str, int]())
    return st.one_of(neither, both, both.map(lambda two: {low: two[low]}), both.map(lambda two: {high: two[high]}))


STRINGS = bounds("minLength", "maxLength", 0, 40).map(lambda limits: {"type": "string", **limits})
FORMATS = st.sampled_from(["date", "time", "date-time", "uuid", "base64", "email", "uri", "ipv4", "ipv6"]).map(
    lambda form: {"type": "string", "format": form}
)
PATTERNS = st.sampled_from(
    [r"^\d{3}-\d{4}$", r"^[A-Z]{2,5}$", "^(red|green)$", r"^#[0-9a-f]{6}$", r"\w+@\w+\.com", "^a*b+c?$"]
).map(lambda pattern: {"type": "string", "pattern": pattern})
INTEGERS = bounds("minimum", "maximum", -1_000, 1_000).map(lambda limits: {"type": "integer", **limits})
MULTIPLES = st.integers(1, 50).map(lambda step: {"type": "integer", "multipleOf": step, "minimum": -7, "maximum": 2_000})
NUMBERS = bounds("minimum", "maximum", -50, 50).map(lambda limits: {"type": "number", **limits})
OPEN_NUMBERS = st.integers(-50, 50).map(lambda low: {"type": "number", "exclusiveMinimum": low, "exclusiveMaximum": low + 1})
CONSTANTS = st.one_of(
    st.lists(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), min_size=1).map(lambda values: {"enum": values}),
    st.one_of(st.none(), st.text(), st.integers()).map(lambda value: {"const": value}),
    st.sampled_from([{"type": "boolean"}, {"type": "null"}, {}, {"type": ["string", "null"]}]),
)
LEAVES: Schemas = st.one_of(STRINGS, FORMATS, PATTERNS, INTEGERS, MULTIPLES, NUMBERS, OPEN_NUMBERS, CONSTANTS)
NAMES = st.sampled_from(["name", "city", "a", "b", "c/d", "e~f"])


JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-60, 60), st.sampled_from([0.5, 1.0, -1.5, 0.3]), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=6,
)


def objects(inner: Schemas) -> Schemas:
    def build(properties: dict[str, Any], required: set[str], closed: bool) -> dict[str, Any]:
        needed = sorted(required & properties.keys() if closed else required)
        return {
            "type": "object",
            "properties": properties,
            "required": needed,
            **({"additionalProperties": False} if closed else {}),
        }

    return st.builds(build, st.dictionaries(NAMES, inner, max_size=4), st.sets(NAMES, max_size=3), st.booleans())


def array(items: dict[str, Any], limits: dict[str, int]) -> dict[str, Any]:
    return {"type": "array", "items": items, **limits}


def arrays(inner: Schemas) -> Schemas:
    plain = st.builds(array, inner, bounds("minItems", "maxItems", 0, 5))
    tuples = st.lists(inner, max_size=3).map(lambda heads: {"type": "array", "prefixItems": heads, "items": False})
    return st.one_of(plain, tuples)


def unions(inner: Schemas) -> Schemas:
    options = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(options.map(lambda given: {"anyOf": given}), inner.map(lambda given: {"anyOf": [given, {"type": "null"}]}))


ANY: Schemas = st.recursive(LEAVES, lambda inner: st.one_of(objects(inner), arrays(inner), unions(inner)), max_leaves=12)


@given(schema=ANY, salt=st.integers(0, 5))
def test_an_instance_of_a_schema_fits_it(schema: dict[str, Any], salt: int) -> None:
    value = instance(schema, salt=salt)
    assert fits(schema, json.loads(json.dumps(value))), value


@given(schema=ANY, text=st.text())
def test_hints_do_not_make_an_instance_invalid(schema: dict[str, Any], text: str) -> None:
    assert fits(schema, instance(schema, hints=Hints(text + ' Marco Polo said "x" 3 times, and 2.5 times more')))


@given(schema=ANY)
def test_the_same_schema_has_the_same_instance(schema: dict[str, Any]) -> None:
    assert instance(schema, salt="a") == instance(schema, salt="a")


TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
                "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            },
            "required": ["value", "children", "next"],
            "additionalProperties": False,
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(TREE, id="a tree"),
        pytest.param(
            {"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "null"}]}, id="a list of itself or nothing"
        ),
        pytest.param({"type": "object", "properties": {"self": {"$ref": "#"}}}, id="an optional self"),
        pytest.param(
            {"$defs": {"a/b": {"const": 1}}, "properties": {"x": {"$ref": "#/$defs/a~1b"}}, "required": ["x"]},
            id="an escaped name",
        ),
        pytest.param({"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a", "maxLength": 3}, id="a reference with more"),
        pytest.param({"allOf": [{"type": "string", "minLength": 3}, {"maxLength": 4}]}, id="allOf"),
        pytest.param(
            {
                "allOf": [
                    {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "string"}}, "required": ["b"]},
                ]
            },
            id="allOf objects",
        ),
        pytest.param(
            {
                "oneOf": [
                    {
                        "type": "object",
                        "properties": {"kind": {"const": kind}},
                        "required": ["kind"],
                        "additionalProperties": False,
                    }
                    for kind in ("cat", "dog")
                ]
            },
            id="a tagged union",
        ),
        pytest.param({"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 5}, id="unique items"),
        pytest.param({"type": "array", "items": {"enum": [1, 2, 3]}, "uniqueItems": True, "minItems": 3}, id="all of an enum"),
        pytest.param({"type": "object", "minProperties": 3}, id="at least three properties"),
        pytest.param(
            {"type": "object", "properties": {"a": {}, "b": {}}, "maxProperties": 1, "required": ["b"]}, id="at most one"
        ),
        pytest.param({"type": "object", "additionalProperties": {"type": "integer"}, "minProperties": 1}, id="a mapping"),
        pytest.param({"type": "integer", "exclusiveMinimum": 5, "maximum": 6}, id="one integer"),
        pytest.param({"type": "number", "multipleOf": 0.01, "minimum": 1, "maximum": 2}, id="cents"),
        pytest.param({"type": "string", "pattern": "^[a-z]+$", "minLength": 12}, id="a long match"),
        pytest.param({"type": ["integer", "string"], "enum": ["a", None, 3.5]}, id="an enum of several types"),
        pytest.param(
            {
                "allOf": [{"additionalProperties": {"maximum": 9}}, {"additionalProperties": {"minimum": 9}}],
                "type": "object",
                "minProperties": 1,
            },
            id="two mappings",
        ),
        pytest.param({"minimum": 3}, id="no type"),
        pytest.param({"enum": [1, 5, 9], "minimum": 4, "maximum": 6}, id="an enum with bounds"),
        pytest.param({"enum": ["a", "abc"], "minLength": 2}, id="an enum with a length"),
        pytest.param({"type": "integer", "multipleOf": 1.5, "minimum": 1}, id="whole multiples of a fraction"),
        pytest.param({"type": "number", "multipleOf": 0.1, "minimum": 0.25, "maximum": 1}, id="tenths"),
        pytest.param(
            {"oneOf": [{"type": "integer", "multipleOf": 3}, {"type": "integer", "multipleOf": 5}], "minimum": 1},
            id="one of two, not both",
        ),
        pytest.param({"type": "string", "format": "date", "pattern": "-0[1-6]-"}, id="a format and a pattern"),
        pytest.param({"type": "string", "format": "hostname", "minLength": 18}, id="a format and a length"),
        pytest.param(
            {"type": "object", "propertyNames": {"enum": ["a"]}, "additionalProperties": {"type": "integer"}},
            id="propertyNames",
        ),
        pytest.param(True, id="anything"),
    ],
)
@pytest.mark.parametrize("salt", range(5))
def test_an_instance_of_a_named_schema_fits_it(schema: Any, salt: int) -> None:
    assert fits(schema, instance(schema, salt=salt))


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param(False, id="nothing"),
        pytest.param({"type": "integer", "minimum": 5, "maximum": 4}, id="no such number"),
        pytest.param({"type": "string", "minLength": 5, "maxLength": 4}, id="no such text"),
        pytest.param({"type": "array", "items": False, "minItems": 1}, id="no such array"),
        pytest.param({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}, id="no end"),
        pytest.param({"$ref": "#"}, id="a circle"),
        pytest.param({"$ref": "#/$defs/missing"}, id="a reference to nothing"),
        pytest.param({"$ref": "https://example.org/schema"}, id="a reference to elsewhere"),
        pytest.param({"type": "string", "pattern": r"(\w)\1"}, id="a pattern that is too hard"),
        pytest.param({"type": "cat"}, id="an unknown type"),
        pytest.param({"type": 5}, id="not a type"),
        pytest.param({"properties": 5, "type": "object"}, id="malformed properties"),
        pytest.param({"enum": []}, id="an empty enum"),
        pytest.param({"anyOf": []}, id="an empty union"),
        pytest.param(
            {"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 2}, id="not enough different items"
        ),
        pytest.param({"type": "array", "minItems": 10**9}, id="too many items"),
        pytest.param({"type": "string", "minLength": 10**9}, id="too long"),
        pytest.param({"enum": [1, 2], "minimum": 3}, id="an enum that its bounds empty"),
        pytest.param({"const": 1, "maximum": 0}, id="a constant out of bounds"),
        pytest.param({"type": "string", "allOf": [{"pattern": "^a+$"}, {"pattern": "^b+$"}]}, id="two patterns"),
        pytest.param({"oneOf": [{"type": "string"}, {"minLength": 1}]}, id="always both of two"),
        pytest.param({"type": "string", "format": "date", "minLength": 11}, id="a format that is never so long"),
        pytest.param({"type": "string", "format": "date", "pattern": "^x"}, id="a format that never matches"),
        pytest.param({"type": "object", "required": ["longer"], "propertyNames": {"maxLength": 2}}, id="names too long"),
        pytest.param({"$ref": "#node", "$defs": {"n": {"$anchor": "node"}}}, id="an anchor"),
        pytest.param({"type": "string", "format": "date", "pattern": "("}, id="not a pattern"),
        pytest.param(None, id="null"),
        pytest.param([1], id="a list"),
    ],
)
def test_a_schema_without_an_instance_is_an_error(schema: Any) -> None:
    with pytest.raises(Unsatisfiable):
        instance(schema)


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("$dynamicRef", "#node"),
        ("not", {"const": 1}),
        ("if", {"required": ["a"]}),
        ("contains", {"type": "integer"}),
        ("patternProperties", {"^n": {"type": "integer"}}),
        ("dependentRequired", {"a": ["b"]}),
        ("dependentSchemas", {"a": {"required": ["b"]}}),
        ("unevaluatedProperties", False),
        ("unevaluatedItems", {"type": "string"}),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True], ids=["at the root", "inside"])
def test_a_keyword_that_is_not_judged_is_refused_by_name(keyword: str, value: Any, wrapped: bool) -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"a": {}}, keyword: value}
    with pytest.raises(Unsatisfiable, match=rf"{re.escape(repr(keyword))} is beyond this emulator; leave it out"):
        instance({"type": "object", "properties": {"inner": schema}} if wrapped else schema)


# Everything that the schemas above say of themselves is met; of these it is enough that a value fits or there is none.
HARD: Schemas = st.fixed_dictionaries(
    {"allOf": st.lists(ANY, min_size=1, max_size=2)},
    optional={
        "oneOf": st.lists(ANY, min_size=1, max_size=3),
        "enum": st.lists(st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.text(max_size=3)), min_size=1),
        "multipleOf": st.sampled_from([0.01, 0.1, 0.5, 1.5, 2, 7]),
        "minLength": st.integers(0, 20),
        "pattern": st.sampled_from(["^a+$", "[0-9]", "^$"]),
        "uniqueItems": st.booleans(),
        "propertyNames": st.sampled_from([{"maxLength": 4}, {"pattern": "a"}]),
    },
)


@given(schema=HARD)
@times(1.5)
def test_an_instance_of_any_schema_fits_or_the_schema_is_refused(schema: dict[str, Any]) -> None:
    with suppress(Unsatisfiable):
        value = instance(schema)
        assert fits(schema, value, formats=False), value  # a listed text need not be of the format that is beside it


@given(schema=HARD, value=JSON)
@times(1.5)
def test_our_validator_agrees_with_jsonschema(schema: dict[str, Any], value: Any) -> None:
    assert fits_as_judged(value, schema, schema) == fits(schema, value, formats=False)


KEYWORDS = st.sampled_from(
    ["type", "properties", "items", "enum", "anyOf", "allOf", "required", "minimum", "minLength", "pattern", "$ref"]
)
JUNK: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(), st.sampled_from(["object", "array", "string", "number"])),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(KEYWORDS, inner)),
    max_leaves=12,
)


@given(junk=st.dictionaries(KEYWORDS, JUNK))
def test_junk_has_an_instance_or_a_clear_error(junk: Any) -> None:
    with suppress(Unsatisfiable):
        json.dumps(instance(junk))


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^abc$", "abc"),
        (r"\d+", "1"),
        ("a{3}b{2,4}", "aaabb"),
        ("(?:x|y)z", "xz"),
        ("(?P<n>q)", "q"),
        ("[^a-z]", "A"),
        ("[]x]", "]"),
        (r"\.\/", "./"),
        ("", ""),
        ("(?=a)a", "a"),
    ],
)
def test_a_text_matches_its_pattern(pattern: str, text: str) -> None:
    assert match(pattern) == text


@pytest.mark.parametrize("pattern", ["(", "[", "*", "a{", r"(a)\1", "\\"])
def test_a_pattern_that_is_not_supported_has_no_text(pattern: str) -> None:
    assert match(pattern) in {None, "a{"}


def test_an_integer_without_bounds_is_small() -> None:
    hints = "Order 123456789 of 1787099983, 7 pieces"
    assert instance({"type": "integer"}, hints=Hints(hints)) == 7
    assert instance({"type": "integer", "minimum": 100}, hints=Hints(hints)) == 123456789
    assert all(abs(instance({"type": "integer"}, salt=salt)) <= 1_000 for salt in range(200))
