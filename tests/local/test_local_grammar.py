"""Schemas are narrowed until a small model comes to an end, and never widened."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.emulator.local.translation import ANY_OBJECT, OBJECT_SIZE, bounded, call_schema, json_grammar

NUMBERS = {"minimum": -1_000_000, "maximum": 1_000_000}


@pytest.mark.parametrize(
    ("schema", "narrow"),
    [
        pytest.param({"type": "string"}, {"type": "string", "maxLength": 120}, id="string"),
        pytest.param({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 9}, id="own-bound"),
        pytest.param(
            {"type": "string", "minLength": 500}, {"type": "string", "minLength": 500, "maxLength": 500}, id="long-string"
        ),
        pytest.param(
            {"type": "string", "format": "date-time"}, {"type": "string", "format": "date-time", "maxLength": 20}, id="format"
        ),
        pytest.param({"type": "string", "format": "uri"}, {"type": "string", "maxLength": 120}, id="unknown-format"),
        pytest.param({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}, id="enum"),
        pytest.param({"pattern": "a+"}, {"type": "string", "pattern": "a+", "maxLength": 120}, id="implied-type"),
        pytest.param({"type": "integer"}, {"type": "integer", "minimum": -10_000, "maximum": 10_000}, id="integer"),
        pytest.param({"type": "integer", "minimum": 5}, {"type": "integer", "minimum": 5, "maximum": 1_000_005}, id="least"),
        pytest.param({"type": "number"}, {"type": "number", "multipleOf": 0.01, **NUMBERS}, id="number"),
        pytest.param(
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
            {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1, **NUMBERS},
            id="fraction",
        ),
        pytest.param({"type": ["string", "null"]}, {"type": ["string", "null"], "maxLength": 120}, id="string-or-null"),
        pytest.param(
            {"type": "array", "items": {"type": "boolean"}},
            {"type": "array", "items": {"type": "boolean"}, "maxItems": 8},
            id="array",
        ),
        pytest.param(
            {"type": "array", "items": {"const": 1}, "minItems": 12},
            {"type": "array", "items": {"const": 1}, "minItems": 12, "maxItems": 12},
            id="long-array",
        ),
        pytest.param(
            {"properties": {"a": {"const": 1}}},
            {"type": "object", "properties": {"a": {"const": 1}}, "additionalProperties": False},
            id="open-object",
        ),
        pytest.param(
            {"type": "object", "properties": {}},
            {"type": "object", "properties": {}, "additionalProperties": False},
            id="no-parameters",
        ),
        pytest.param(
            {"type": "object", "additionalProperties": {"const": 1}},
            {"type": "object", "additionalProperties": {"const": 1}, "maxProperties": 8},
            id="map",
        ),
        pytest.param({"$ref": "#/$defs/A"}, {"$ref": "#/$defs/A"}, id="reference"),
        pytest.param(
            {"type": "array", "uniqueItems": False, "items": {"const": 1}},
            {"type": "array", "uniqueItems": False, "items": {"const": 1}, "maxItems": 8},
            id="keyword-that-is-left",
        ),
        pytest.param(
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            {"anyOf": [{"type": "string", "maxLength": 120}, {"type": "null"}]},
            id="any-of",
        ),
        pytest.param(
            {"allOf": [{"pattern": "^a"}, {"pattern": "b$"}]}, {"allOf": [{"pattern": "^a"}, {"pattern": "b$"}]}, id="texts"
        ),
    ],
)
def test_a_schema_is_narrowed_to_bounded_lengths_and_not_changed(schema: dict[str, Any], narrow: dict[str, Any]) -> None:
    before = json.dumps(schema)

    assert bounded(schema) == narrow
    assert json.dumps(schema) == before


def test_definitions_are_bounded_and_references_kept() -> None:
    schema = {"$ref": "#/$defs/Node", "$defs": {"Node": {"properties": {"next": {"$ref": "#/$defs/Node"}}}}}

    narrow = bounded(schema)

    assert narrow["$ref"] == "#/$defs/Node"
    assert narrow["$defs"]["Node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    assert narrow["$defs"]["Node"]["additionalProperties"] is False


@pytest.mark.parametrize("schema", [{}, {"title": "Anything"}, {"description": "x"}], ids=json.dumps)
def test_a_schema_that_allows_anything_becomes_one_that_ends(schema: dict[str, Any]) -> None:
    assert all("type" in choice for choice in bounded(schema)["anyOf"])


def test_the_grammar_allows_no_white_space_between_tokens() -> None:
    grammar = json_grammar(ANY_OBJECT)

    head, schema = grammar.split("%json ")
    assert head == "%llguidance {}\nstart: "
    assert json.loads(schema)["x-guidance"]["whitespace_flexible"] is False


def test_references_of_parameters_lead_where_they_led() -> None:
    parameters: dict[str, Any] = {
        "type": "object",
        "properties": {"city": {"$ref": "#/$defs/City"}, "again": {"$ref": "#"}},
        "$defs": {"City": {"type": "string"}},
    }

    schema = call_schema([{"name": "now"}, {"name": "weather", "parameters": parameters}])

    assert [call["properties"]["name"] for call in schema["anyOf"]] == [{"const": "now"}, {"const": "weather"}]
    moved = schema["$defs"]["arguments1"]
    assert moved["properties"]["city"] == {"$ref": "#/$defs/arguments1/$defs/City"}
    assert moved["properties"]["again"] == {"$ref": "#/$defs/arguments1"}
    assert parameters["properties"]["city"] == {"$ref": "#/$defs/City"}


def test_keys_by_pattern_have_an_end() -> None:
    schema = {"type": "object", "properties": {"a": {"const": 1}}, "patternProperties": {"^n": {"type": "integer"}}}

    assert bounded(schema)["maxProperties"] == OBJECT_SIZE
