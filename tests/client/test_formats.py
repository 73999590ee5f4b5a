"""A class as `response_format` becomes a schema that strict mode takes, or an error that names the path."""

from __future__ import annotations

import json
from collections.abc import Iterator
from enum import StrEnum
from typing import Any, cast

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
from pydantic import BaseModel, ConfigDict

from venice_ai import ChatCompletionResponse, SchemaNotStrictError, VeniceError

from ..fakes import HI, client_of, completion, sent


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Wheel(BaseModel):
    size: float
    spare: bool = False


class Car(BaseModel):
    """A car."""

    name: str
    colour: Colour | None = None
    wheels: list[Wheel]
    by_side: tuple[Wheel, Wheel] | None
    trailer: Car | None = None
    properties: str
    items: int
    default: str
    required: list[str]


class Closed(BaseModel):
    x: int


class Keyed(BaseModel):
    prices: dict[str, float]


class Loose(BaseModel):
    anything: dict[str, Any] | None = None


class Nested(BaseModel):
    inner: list[Keyed]


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


async def test_a_class_becomes_a_strict_schema_of_its_name() -> None:
    format_ = (await sent(response_format=Closed))["response_format"]

    assert format_["type"] == "json_schema"
    assert (format_["json_schema"]["name"], format_["json_schema"]["strict"]) == ("Closed", True)
    schema = format_["json_schema"]["schema"]
    assert (schema["type"], schema["required"], schema["additionalProperties"]) == ("object", ["x"], False)
    assert schema["properties"]["x"]["type"] == "integer"


async def test_every_object_of_a_class_is_closed_and_every_property_required() -> None:
    schema = (await sent(response_format=Car))["response_format"]["json_schema"]["schema"]

    objects = list(objects_in(schema))
    assert len(objects) == 3  # the root is written out, for a reference is not an object
    for node in objects:
        assert node["additionalProperties"] is False
        assert sorted(node["required"]) == sorted(node["properties"])
    jsonschema.Draft202012Validator.check_schema(schema)
    for text in (whole_car(None), whole_car(json.loads(whole_car(None)))):
        jsonschema.validate(json.loads(text), schema)
        Car.model_validate_json(text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(whole_car(None)), "more": 1}, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"name": "n"}, schema)


def whole_car(trailer: Any) -> str:
    return json.dumps(
        {
            "name": "n",
            "colour": None,
            "wheels": [{"size": 1.5, "spare": True}],
            "by_side": None,
            "trailer": trailer,
            "properties": "p",
            "items": 1,
            "default": "d",
            "required": ["r"],
        }
    )


def objects_in(node: Any, *, names: bool = False) -> Iterator[dict[str, Any]]:
    """Every schema of an object in a schema. What `properties` and `$defs` hold are names, not keywords."""
    if isinstance(node, dict):
        keywords = cast("dict[str, Any]", node)
        if not names and keywords.get("type") == "object":
            yield keywords
        for key, value in keywords.items():
            yield from objects_in(value, names=not names and key in {"properties", "$defs"})
    elif isinstance(node, list):
        for item in cast("list[Any]", node):
            yield from objects_in(item)


@pytest.mark.parametrize(
    ("cls", "path"),
    [
        pytest.param(Keyed, "prices", id="any keys"),
        pytest.param(Loose, "anything", id="any keys, or nothing"),
        pytest.param(Nested, "prices", id="any keys, further in"),
        pytest.param(Open, r"\$|Open", id="further fields"),
    ],
)
async def test_a_class_that_strict_mode_cannot_express_is_refused_with_the_path(cls: type[BaseModel], path: str) -> None:
    client, transport = client_of()

    with pytest.raises(SchemaNotStrictError, match=path) as caught:
        await client.chat.completions.create(model="m", messages=HI, response_format=cls)

    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, VeniceError)
    assert transport.requests == []


async def test_a_class_is_not_changed_by_becoming_a_schema() -> None:
    before = Car.model_json_schema()

    await sent(response_format=Car)

    assert Car.model_json_schema() == before


class Free(BaseModel):
    """What strict mode has no schema for: its keys are free."""

    ages: dict[str, int]


def test_values_that_strict_mode_cannot_describe_are_read_unchanged() -> None:
    reply = ChatCompletionResponse.model_validate(completion('{"ages": {"Ada": 36}}'))

    assert reply.parse_as(Free) == Free(ages={"Ada": 36})
    assert reply.parse_as(dict[str, Any]) == {"ages": {"Ada": 36}}
