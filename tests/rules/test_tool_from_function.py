"""Functions as tools: the schema that a model gets, and the arguments that the functions are called with."""

from __future__ import annotations

import asyncio
import functools
import json
import sys
import typing
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, MutableMapping, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NotRequired,
    Optional,
    Self,
    TypedDict,
    TypeVar,
    Union,
)
from uuid import UUID

import pytest
import typing_extensions
from jsonschema import Draft202012Validator
from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import core_schema
from typing_extensions import Unpack

import venice_ai.helpers
from venice_ai import (
    FunctionTool,
    InvalidArgumentError,
    InvalidRequestError,
    SchemaNotStrictError,
    Tool,
    ToolArgumentsError,
    ToolCall,
    ToolCallFunction,
    ToolContext,
    ToolSignatureError,
    UserMessage,
    tool_from_function,
    tool_from_model,
)

if TYPE_CHECKING:
    from tests.fakes import OnlyForCheckers  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType]


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Size(IntEnum):
    SMALL = 1
    LARGE = 2


@dataclass
class Point:
    x: int
    y: int = 0


class Address(BaseModel):
    """Where somebody lives."""

    street: str
    number: int = Field(ge=1)


class Person(BaseModel):
    name: str
    born: date
    home: Address | None = None


class Options(TypedDict):
    depth: int
    fast: NotRequired[bool]


class Pair(NamedTuple):
    left: int
    right: str


class Node(BaseModel):
    value: int
    children: list[Node] = []


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    when: datetime


CALL = ToolCall(id="call_1", function=ToolCallFunction(name="f", arguments="{}"))
CONTEXT: ToolContext[Any] = ToolContext("the deps", CALL, 1, (), None)


def parameters(tool: Tool) -> dict[str, Any]:
    """The schema of a tool's arguments, which is one and has no loose ends."""
    schema: dict[str, Any] = tool["function"]["parameters"]
    Draft202012Validator.check_schema(schema)
    json.dumps(schema)
    return schema


def call(function: Callable[..., Any], arguments: Mapping[str, Any]) -> Any:
    """What a function gives for a model's arguments, which must be what its schema asks for."""
    tool = FunctionTool(function, name="tool")
    Draft202012Validator(parameters(tool.definition)).validate(dict(arguments))  # pyright: ignore[reportUnknownMemberType]
    return tool.call(arguments, CONTEXT)()


def taking(annotation: Any) -> Callable[..., Any]:
    """A function whose one parameter has this annotation; it gives back what it was called with."""

    def given(value: Any) -> Any:
        return value

    given.__annotations__ = {"value": annotation}
    return given


# -- every annotation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "sent", "received"),
    [
        pytest.param(str, "a", "a", id="str"),
        pytest.param(int, 3, 3, id="int"),
        pytest.param(float, 3, 3.0, id="float"),
        pytest.param(bool, True, True, id="bool"),
        pytest.param(None, None, None, id="None"),
        pytest.param(Any, {"a": [1]}, {"a": [1]}, id="Any"),
        pytest.param(object, [1], [1], id="object"),
        pytest.param(int | None, None, None, id="optional"),
        pytest.param(Optional[int], 4, 4, id="Optional"),  # noqa: UP045
        pytest.param(Union[int, str], "four", "four", id="Union"),  # noqa: UP007
        pytest.param(int | list[int], [1, 2], [1, 2], id="union with a list"),
        pytest.param(Address | Point, {"x": 1}, Point(1), id="union of classes"),
        pytest.param(Literal["a", 1], 1, 1, id="Literal"),
        pytest.param(Colour, "red", Colour.RED, id="Enum"),
        pytest.param(Size, 2, Size.LARGE, id="IntEnum"),
        pytest.param(datetime, "2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), id="datetime"),
        pytest.param(date, "2026-01-02", date(2026, 1, 2), id="date"),
        pytest.param(time, "03:04:05", time(3, 4, 5), id="time"),
        pytest.param(timedelta, "PT1H", timedelta(hours=1), id="timedelta"),
        pytest.param(Decimal, "1.10", Decimal("1.10"), id="Decimal"),
        pytest.param(UUID, "12345678-1234-5678-1234-567812345678", UUID(int=0x12345678123456781234567812345678), id="UUID"),
        pytest.param(Path, "/tmp", Path("/tmp"), id="Path"),
        pytest.param(bytes, "abc", b"abc", id="bytes"),
        pytest.param(list, [1, "a"], [1, "a"], id="bare list"),
        pytest.param(dict, {"a": 1}, {"a": 1}, id="bare dict"),
        pytest.param(list[date], ["2026-01-02"], [date(2026, 1, 2)], id="list"),
        pytest.param(set[int], [1, 2], {1, 2}, id="set"),
        pytest.param(frozenset[str], ["a"], frozenset({"a"}), id="frozenset"),
        pytest.param(tuple[int, str], [1, "a"], (1, "a"), id="tuple"),
        pytest.param(tuple[int, ...], [1, 2, 3], (1, 2, 3), id="tuple of any length"),
        pytest.param(Sequence[int], [1, 2], [1, 2], id="Sequence"),
        pytest.param(Sequence[Iterable[int]], [[1], [2]], [[1], [2]], id="Sequence of iterables"),
        pytest.param(dict[str, Point], {"a": {"x": 1}}, {"a": Point(1)}, id="dict of dataclasses"),
        pytest.param(Mapping[str, int], {"a": 1}, {"a": 1}, id="Mapping"),
        pytest.param(Point, {"x": 1, "y": 2}, Point(1, 2), id="dataclass"),
        pytest.param(
            Person, {"name": "Ada", "born": "1815-12-10"}, Person(name="Ada", born=date(1815, 12, 10)), id="BaseModel"
        ),
        pytest.param(list[Address], [{"street": "a", "number": 1}], [Address(street="a", number=1)], id="list of models"),
        pytest.param(Options, {"depth": 2}, {"depth": 2}, id="TypedDict"),
        pytest.param(Pair, [1, "a"], Pair(1, "a"), id="NamedTuple"),
        pytest.param(
            Node, {"value": 1, "children": [{"value": 2}]}, Node(value=1, children=[Node(value=2)]), id="recursive class"
        ),
        pytest.param(Box[int], {"content": 1}, Box[int](content=1), id="generic class"),
        pytest.param(
            Strict, {"when": "2026-01-02T00:00:00Z"}, Strict(when=datetime(2026, 1, 2, tzinfo=UTC)), id="strict class"
        ),
        pytest.param(Annotated[int, Field(ge=1, le=5)], 5, 5, id="Annotated"),
        pytest.param(UserMessage, {"role": "user", "content": "a"}, UserMessage(content="a"), id="view of this package"),
    ],
)
def test_arguments_have_the_annotated_types(annotation: Any, sent: Any, received: Any) -> None:
    got = call(taking(annotation), {"value": sent})

    assert got == received
    assert type(got) is type(received)


@pytest.mark.parametrize(
    ("annotation", "sent"),
    [
        pytest.param(int, "many", id="int"),
        pytest.param(Colour, "green", id="Enum"),
        pytest.param(Literal["a"], "b", id="Literal"),
        pytest.param(date, "tomorrow", id="date"),
        pytest.param(Annotated[int, Field(ge=1)], 0, id="range"),
        pytest.param(Person, {"name": "Ada"}, id="missing field"),
        pytest.param(list[int], {"a": 1}, id="another container"),
        pytest.param(str, None, id="null"),
        pytest.param(dict[str, int], "", id="an empty text for an object"),
        pytest.param(dict[str, int], " \n", id="blanks for an object"),
        pytest.param(list[int], "null", id="null in a text for a list"),
        pytest.param(list[int], "7", id="a number in a text for a list"),
    ],
)
def test_a_value_that_does_not_fit_is_an_error_that_names_the_argument(annotation: Any, sent: Any) -> None:
    tool = FunctionTool(taking(annotation))

    with pytest.raises(ToolArgumentsError, match=r"^value") as caught:
        tool.call({"value": sent}, CONTEXT)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("annotation", "received"),
    [
        pytest.param(Iterable[int], [1, 2], id="Iterable"),
        pytest.param(typing.Iterable[int], [1, 2], id="typing.Iterable"),
        pytest.param(Iterable[int] | None, [1, 2], id="optional"),
        pytest.param(Annotated[Iterable[int], Field(min_length=1)], [1, 2], id="annotated"),
        pytest.param(Iterable, ["1", 2], id="bare"),
    ],
)
def test_an_iterable_is_a_list_that_was_checked(annotation: Any, received: Any) -> None:
    tool = FunctionTool(taking(dict[str, annotation]), name="taking")

    assert call(taking(annotation), {"value": [1, 2]}) == [1, 2]
    assert tool.call({"value": {"a": ["1", 2]}}, CONTEXT)() == {"a": received}


def test_a_generator_is_an_iterator_of_what_was_checked() -> None:
    tool = FunctionTool(taking(Generator[int, None, None]), name="taking")

    assert list(tool.call({"value": ["1", 2]}, CONTEXT)()) == [1, 2]
    with pytest.raises(ToolArgumentsError, match=r"value\.1"):
        tool.call({"value": [1, "x"]}, CONTEXT)


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: int = 1


class Polygon(BaseModel):
    kind: Literal["polygon"]
    corners: list[Point] = []


@pytest.mark.parametrize(
    ("annotation", "sent", "received"),
    [
        pytest.param(list[int], "[1, 2]", [1, 2], id="list"),
        pytest.param(list[int], '"[1, 2]"', [1, 2], id="list, encoded twice"),
        pytest.param(list[str], '["two\nlines"]', ["two\nlines"], id="list with a line break"),
        pytest.param(dict[str, list[int]], {"a": "[1]"}, {"a": [1]}, id="list within"),
        pytest.param(Optional[set[int]], "[1]", {1}, id="optional set"),  # noqa: UP045
        pytest.param(tuple[int, str], '[1, "a"]', (1, "a"), id="tuple"),
        pytest.param(Iterable[int], "[1]", [1], id="Iterable"),
        pytest.param(Mapping[str, int], '{"a": 1}', {"a": 1}, id="mapping"),
        pytest.param(Point, '{"x": 1}', Point(1), id="dataclass"),
        pytest.param(list[Point], ['{"x": 1, "y": null}'], [Point(1)], id="dataclasses"),
        pytest.param(Address, '{"street": "A", "number": 1}', Address(street="A", number=1), id="BaseModel"),
        pytest.param(int | list[int], "[1]", [1], id="union"),
        pytest.param(
            Annotated[Circle | Polygon, Field(discriminator="kind")],
            {"kind": "polygon", "corners": '[{"x": 1}]'},
            Polygon(kind="polygon", corners=[Point(1)]),
            id="within a union",
        ),
        pytest.param(str, "[1]", "[1]", id="a text stays one"),
        pytest.param(str | list[int], "[1]", "[1]", id="where a text is wanted too"),
        pytest.param(Any, "[1]", "[1]", id="where anything is"),
    ],
)
def test_lists_and_objects_may_come_as_json_text(annotation: Any, sent: Any, received: Any) -> None:
    assert FunctionTool(taking(annotation)).call({"value": sent}, CONTEXT)() == received


def test_the_error_of_json_text_that_does_not_fit_is_about_its_value() -> None:
    with pytest.raises(ToolArgumentsError, match=r"^value\.1: Input should be a valid integer"):
        FunctionTool(taking(list[int])).call({"value": '[1, "x"]'}, CONTEXT)
    with pytest.raises(ToolArgumentsError, match=r"^value: Input should be a valid array"):
        FunctionTool(taking(list[int])).call({"value": "one, two"}, CONTEXT)


def test_null_for_what_has_a_default_and_takes_no_null_is_the_default() -> None:
    def find(
        shape: Circle | Polygon,
        limit: int = 10,
        tags: tuple[str, ...] = ("a",),
        near: str | None = "b",
        *more: int,
        **rest: int,
    ) -> Any:
        return shape, limit, tags, near, more, rest

    tool = FunctionTool(find)
    shape = {"kind": "circle", "radius": None}
    given = {"shape": shape, "limit": None, "tags": None, "near": None, "more": None, "other": 1}

    assert tool.call(given, CONTEXT)() == (Circle(kind="circle"), 10, ("a",), None, (), {"other": 1})
    for wrong in ({"shape": None}, {"shape": shape, "other": None}):
        with pytest.raises(ToolArgumentsError):
            tool.call(wrong, CONTEXT)


@pytest.mark.parametrize(
    ("annotation", "why"),
    [(bool, "a valid boolean"), (int, "a valid integer"), (str, "a valid string"), (date, "a valid date")],
    ids=str,
)
def test_null_for_what_has_no_default_is_an_error_of_the_value_and_not_of_an_absent_one(annotation: Any, why: str) -> None:
    with pytest.raises(ToolArgumentsError, match=f"^value: Input should be {why}"):
        FunctionTool(taking(annotation), name="tool").call({"value": None}, CONTEXT)


def test_null_for_a_union_with_a_default_is_the_default_and_for_one_without_an_error() -> None:
    def walk(pace: int | str = 3, *, way: list[int] | Point) -> Any:
        return pace, way

    assert FunctionTool(walk).call({"pace": None, "way": {"x": 1, "y": None}}, CONTEXT)() == (3, Point(1))
    with pytest.raises(ToolArgumentsError, match="way"):
        FunctionTool(walk).call({"way": None}, CONTEXT)


def test_numbers_in_texts_are_numbers() -> None:
    assert FunctionTool(taking(int)).call({"value": "5"}, CONTEXT)() == 5


def test_each_error_of_the_arguments_has_its_path() -> None:
    def visit(person: Person, nights: int) -> None: ...

    with pytest.raises(ToolArgumentsError) as caught:
        FunctionTool(visit).call({"person": {"name": 1, "born": "1815-12-10"}, "night": 2}, CONTEXT)
    # Which comes first depends on pydantic's release.
    assert sorted(str(caught.value).split("; ")) == [
        "night: Extra inputs are not permitted",
        "nights: Field required",
        "person.name: Input should be a valid string",
    ]


def test_definitions_of_nested_classes_can_be_found() -> None:
    schema = parameters(tool_from_function(taking(Person)))

    assert schema["properties"]["value"] == {"$ref": "#/$defs/Person"}
    assert schema["$defs"]["Address"]["description"] == "Where somebody lives."
    Draft202012Validator(schema).validate(  # pyright: ignore[reportUnknownMemberType]
        {"value": {"name": "Ada", "born": "1815-12-10", "home": {"street": "a", "number": 1}}}
    )


# -- names, defaults, documentation --------------------------------------------------------------------------------------


def test_a_plain_function_becomes_a_tool_definition() -> None:
    def get_weather(city: str, days: int = 3) -> str:
        """The weather in a city."""
        return f"{city} {days}"

    tool = tool_from_function(get_weather)

    assert tool == {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather in a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
                "required": ["city"],
                "additionalProperties": False,
            },
        },
    }
    assert tool.type == "function"
    assert call(get_weather, {"city": "Rome"}) == "Rome 3"


def test_a_function_without_anything() -> None:
    def now() -> None: ...

    tool = tool_from_function(now)

    assert tool["function"].get("description") is None
    assert parameters(tool) == {"type": "object", "properties": {}, "additionalProperties": False}


def google(city: str, days: int = 1, *more: str, **rest: int) -> None:
    """The weather.

    In any city
    of the world.

    Args:
        city: Name of the city,
            in English.
        days (int): How many.
        *more: Other cities.
        **rest: Whatever.

    Returns:
        Nothing.

    Raises:
        ValueError: never.
    """


def numpy(city: str, days: int = 1, *more: str, **rest: int) -> None:
    """The weather.

    In any city
    of the world.

    Parameters
    ----------
    city : str
        Name of the city,
        in English.
    days : int, optional
        How many.
    *more : str
        Other cities.

    Returns
    -------
    None
    """


def rest(city: str, days: int = 1, *more: str, **rest: int) -> None:
    """The weather.

    In any city
    of the world.

    :param city: Name of the city,
        in English.
    :param int days: How many.
    :param more: Other cities.
    :returns: Nothing.
    """


@pytest.mark.parametrize("function", [google, numpy, rest], ids=lambda function: function.__name__)
def test_docstrings_of_every_style(function: Callable[..., Any]) -> None:
    tool = tool_from_function(function)
    properties = parameters(tool)["properties"]

    assert tool["function"]["description"] == "The weather.\n\nIn any city\nof the world."
    assert {name: value["description"] for name, value in properties.items()} == {
        "city": "Name of the city,\nin English.",
        "days": "How many.",
        "more": "Other cities.",
    }


def test_a_description_in_an_annotation_wins_over_the_docstring() -> None:
    def find(
        words: Annotated[str, "What to look for"],
        limit: Annotated[int, Field(description="At most so many", ge=1)] = 10,
        place: Annotated[str | None, "Where"] = None,
    ) -> None:
        """Finds.

        Args:
            words: not this
            limit: nor this
            place: nor this
        """

    assert parameters(tool_from_function(find))["properties"] == {
        "words": {"type": "string", "description": "What to look for"},
        "limit": {"type": "integer", "description": "At most so many", "minimum": 1, "default": 10},
        "place": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Where", "default": None},
    }


def test_names_and_descriptions_can_be_given() -> None:
    for name in ("look-up_2", "x", "_" * 64):
        tool = tool_from_function(taking(int), name=name, description="Looks up.")

        assert (tool["function"]["name"], tool["function"]["description"]) == (name, "Looks up.")


@pytest.mark.parametrize("name", ["", "two words", "x" * 65, "naïve", "a.b", 7, "a\n", True])
def test_a_name_that_the_api_does_not_allow_is_refused(name: Any) -> None:
    with pytest.raises(InvalidRequestError, match="is not the name of a tool"):
        tool_from_function(taking(int), name=name)


def test_a_lambda_needs_a_name() -> None:
    with pytest.raises(InvalidRequestError, match="name="):
        tool_from_function(lambda: 1)
    assert tool_from_function(lambda: 1, name="one")["function"]["name"] == "one"


def test_a_parameter_without_an_annotation_is_what_its_default_is_or_a_string() -> None:
    def find(words, limit=10, exact=False, near=None):  # type: ignore[no-untyped-def]
        """Finds.

        Args:
            words: What.
        """
        return words, limit, exact, near  # pyright: ignore[reportUnknownVariableType]

    schema = parameters(tool_from_function(find))  # pyright: ignore[reportUnknownArgumentType]

    assert {name: value.get("type") for name, value in schema["properties"].items()} == {
        "words": "string",
        "limit": "integer",
        "exact": "boolean",
        "near": ["string", "null"],
    }
    assert schema["required"] == ["words"]
    assert call(find, {"words": "a", "near": "b"}) == ("a", 10, False, "b")  # pyright: ignore[reportUnknownArgumentType]


def test_a_parameter_of_which_nothing_is_known_but_its_name_is_warned_about() -> None:
    def find(words, near, at, limit=10):  # type: ignore[no-untyped-def]
        return words, near, at, limit  # pyright: ignore[reportUnknownVariableType]

    with pytest.warns(UserWarning, match="find's parameter 'words'") as caught:
        tool_from_function(find)  # pyright: ignore[reportUnknownArgumentType]
    assert [warning.filename for warning in caught] == [__file__]


def test_a_documented_argument_that_is_not_a_parameter_is_warned_about() -> None:
    def find(words: str, ctx: ToolContext[Deps]) -> Any:
        """Finds.

        Args:
            word: What.
            ctx: Not shown.
        """

    with pytest.warns(UserWarning, match=r"the docstring of find describes 'word', .* \(ctx, words\)"):
        tool_from_function(find)
    with pytest.warns(UserWarning, match="describes 'word'"):
        FunctionTool(functools.partial(find, words="a"))


def test_a_description_of_a_further_keyword_is_not_warned_about() -> None:
    def find(words: str, **options: int) -> Any:
        """Finds.

        Args:
            words: What.

        Keyword Args:
            limit: How many.
        """

    assert parameters(tool_from_function(find))["properties"]["words"]["description"] == "What."


def test_a_default_of_none_takes_a_null() -> None:
    def find(words: str = None, limit: Annotated[int, Field(ge=1)] = None) -> Any:  # type: ignore[assignment]  # noqa: RUF013  # pyright: ignore[reportArgumentType]
        return words, limit

    assert call(find, {"words": None, "limit": None}) == (None, None)
    assert call(find, {}) == (None, None)


@pytest.mark.parametrize(
    ("default", "in_schema"),
    [
        pytest.param(Colour.RED, "red", id="Enum"),
        pytest.param(date(2026, 1, 2), "2026-01-02", id="date"),
        pytest.param(Point(1, 2), {"x": 1, "y": 2}, id="dataclass"),
        pytest.param((1, 2), [1, 2], id="tuple"),
    ],
)
def test_defaults_are_in_the_schema_as_json_and_passed_to_the_function_unchanged(default: Any, in_schema: Any) -> None:
    def given(value: Any = default) -> Any:
        return value

    given.__annotations__ = {"value": type(default)}

    assert parameters(tool_from_function(given))["properties"]["value"]["default"] == in_schema
    assert call(given, {}) is default


def test_a_default_that_json_cannot_hold_is_not_in_the_schema() -> None:
    nothing = object()

    def given(value: Any = nothing) -> Any:
        return value

    assert "default" not in parameters(tool_from_function(given))["properties"]["value"]
    assert call(given, {}) is nothing


@pytest.mark.parametrize("default", [float("inf"), float("nan"), [float("-inf")]], ids=repr)
def test_an_infinite_or_nan_default_is_not_in_the_schema(default: Any) -> None:
    def given(value: Any = default) -> Any:
        return value

    assert "default" not in parameters(tool_from_function(given))["properties"]["value"]
    assert call(given, {}) is default


def test_a_default_in_an_annotation_is_passed_on() -> None:
    def find(
        limit: Annotated[int, Field(default=3)], *, words: Annotated[list[str], Field(default_factory=list)], near: str
    ) -> Any:
        return limit, words, near

    assert parameters(tool_from_function(find))["required"] == ["near"]
    assert call(find, {"near": "a"}) == (3, [], "a")
    assert call(find, {"near": "a", "limit": 4, "words": ["b"]}) == (4, ["b"], "a")


def test_a_default_of_the_function_s_own_wins_over_that_in_an_annotation() -> None:
    def find(limit: Annotated[int, Field(default=3)] = 7) -> Any:
        return limit

    assert parameters(tool_from_function(find))["properties"]["limit"]["default"] == 7
    assert call(find, {}) == 7


def test_a_field_as_default_gives_its_default_and_alias() -> None:
    def find(
        words: str = Field("all", description="What", min_length=2),
        cities: list[str] = Field(default_factory=list, alias="cityNames"),  # noqa: B008
    ) -> Any:
        return words, cities

    properties = parameters(tool_from_function(find))["properties"]

    assert properties["words"] == {"type": "string", "description": "What", "minLength": 2, "default": "all"}
    assert call(find, {}) == ("all", [])
    assert call(find, {"cityNames": ["Rome"]}) == ("all", ["Rome"])
    assert "cities" not in properties


@pytest.mark.parametrize("name", ["self", "schema", "model_config", "json", "_hidden", "class_", "copy", "p0", "validate"])
def test_a_parameter_may_have_any_name(name: str) -> None:
    names: dict[str, Any] = {}
    exec(f"def f({name}: int, p1: int = 1): return {name}, p1", names)

    assert call(names["f"], {name: 3}) == (3, 1)


# -- every kind of parameter ---------------------------------------------------------------------------------------------


def test_positional_only_and_keyword_only_parameters_are_filled() -> None:
    def f(a: int, b: int = 2, /, c: int = 3, *, d: int, e: int = 5) -> Any:
        return a, b, c, d, e

    assert parameters(tool_from_function(f))["required"] == ["a", "d"]
    assert call(f, {"a": 1, "d": 4}) == (1, 2, 3, 4, 5)
    assert call(f, {"a": 1, "c": 30, "d": 4}) == (1, 2, 30, 4, 5)
    assert call(f, {"a": 1, "b": 20, "c": 30, "d": 40, "e": 50}) == (1, 20, 30, 40, 50)


def test_more_positional_arguments_are_a_list() -> None:
    def f(a: int, b: int = 2, *more: date) -> Any:
        return a, b, more

    schema = parameters(tool_from_function(f))

    assert schema["properties"]["more"] == {"type": "array", "items": {"type": "string", "format": "date"}}
    assert schema["required"] == ["a"]
    assert call(f, {"a": 1, "more": ["2026-01-02"]}) == (1, 2, (date(2026, 1, 2),))
    assert call(f, {"a": 1}) == (1, 2, ())


def test_more_keywords_are_further_properties() -> None:
    def f(a: int, **more: Point) -> Any:
        return a, more

    schema = parameters(tool_from_function(f))

    assert schema["additionalProperties"] == {"$ref": "#/$defs/Point"}
    assert list(schema["properties"]) == ["a"]
    assert call(f, {"a": 1, "b": {"x": 2}, "more": {"x": 3}}) == (1, {"b": Point(2), "more": Point(3)})
    with pytest.raises(ToolArgumentsError, match=r"^b.x: "):
        FunctionTool(f).call({"a": 1, "b": {"x": "?"}}, CONTEXT)


def test_unannotated_further_arguments_take_anything() -> None:
    def f(*args, **kwargs):  # type: ignore[no-untyped-def]
        return args, kwargs  # pyright: ignore[reportUnknownVariableType]

    assert call(f, {"args": [1, "a"], "b": None}) == ((1, "a"), {"b": None})  # pyright: ignore[reportUnknownArgumentType]
    assert parameters(tool_from_function(f))["additionalProperties"] is True  # pyright: ignore[reportUnknownArgumentType]


def unpacked(a: int, **options: typing.Unpack[Options]) -> Any:
    return a, options


def unpacked_by_extension(a: int, **options: typing_extensions.Unpack[Options]) -> Any:
    return a, options


class Qualified(typing_extensions.TypedDict):
    """Keys that say more than whether they must be there; as texts, for this module postpones annotations."""

    city: typing_extensions.ReadOnly[str]
    days: typing_extensions.NotRequired[typing_extensions.ReadOnly[int]]
    name: typing_extensions.ReadOnly[typing_extensions.Required[str]]


def qualified(**place: typing_extensions.Unpack[Qualified]) -> Any:
    return place


def test_a_key_that_is_only_read_must_be_there_all_the_same() -> None:
    assert parameters(tool_from_function(qualified))["required"] == ["city", "name"]


@pytest.mark.parametrize("f", [unpacked, unpacked_by_extension])
def test_keywords_unpacked_from_a_typed_dict_are_properties(f: Callable[..., Any]) -> None:
    schema = parameters(tool_from_function(f))

    assert schema["required"] == ["a", "depth"]
    assert schema["properties"]["fast"] == {"type": "boolean"}
    assert schema["additionalProperties"] is False
    assert call(f, {"a": 1, "depth": 2}) == (1, {"depth": 2})
    assert call(f, {"a": 1, "depth": 2, "fast": True}) == (1, {"depth": 2, "fast": True})


# -- every kind of callable ----------------------------------------------------------------------------------------------


class Shop:
    """A shop."""

    def __init__(self, city: str) -> None:
        self.city = city

    def price(self, item: str) -> str:
        """The price.

        Args:
            item: What.
        """
        return f"{item} in {self.city}"

    @classmethod
    def of(cls, item: str) -> str:
        return f"{cls.__name__} {item}"

    @staticmethod
    def tax(rate: Decimal) -> Decimal:
        return rate

    def __call__(self, item: str, count: int = 1) -> str:
        return f"{count} {item} in {self.city}"

    async def order(self, item: str) -> str:
        return f"ordered {item} in {self.city}"


class AsyncShop:
    async def __call__(self, item: str) -> str:
        """Sells."""
        return f"sold {item}"


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def outer(*args: Any, **kwargs: Any) -> Any:
        return "outer", function(*args, **kwargs)

    return outer


@decorated
def measured(item: Colour) -> Colour:
    """Measures.

    Args:
        item: What.
    """
    return item


def bought(item: str, count: int, price: Decimal = Decimal(1)) -> Any:
    """Buys.

    Args:
        item: What.
        count: How many.
    """
    return item, count, price


@pytest.mark.parametrize(
    ("function", "name", "required", "arguments", "result"),
    [
        pytest.param(Shop("Rome").price, "price", ["item"], {"item": "a"}, "a in Rome", id="bound method"),
        pytest.param(Shop.of, "of", ["item"], {"item": "a"}, "Shop a", id="classmethod"),
        pytest.param(Shop.tax, "tax", ["rate"], {"rate": "1.5"}, Decimal("1.5"), id="staticmethod"),
        pytest.param(vars(Shop)["tax"], "tax", ["rate"], {"rate": "1.5"}, Decimal("1.5"), id="raw staticmethod"),
        pytest.param(Shop("Rome"), "Shop", ["item"], {"item": "a"}, "1 a in Rome", id="callable object"),
        pytest.param(measured, "measured", ["item"], {"item": "red"}, ("outer", Colour.RED), id="decorated"),
        pytest.param(functools.partial(bought, "a"), "bought", ["count"], {"count": 2}, ("a", 2, 1), id="partial"),
        pytest.param(
            functools.partial(bought, count=2), "bought", ["item"], {"item": "a"}, ("a", 2, 1), id="partial with a keyword"
        ),
        pytest.param(
            functools.partial(functools.partial(bought, "a"), price=Decimal(3)),
            *("bought", ["count"], {"count": 2}, ("a", 2, 3)),
            id="partial of a partial",
        ),
        pytest.param(
            functools.partial(Shop("Rome").price), "price", ["item"], {"item": "a"}, "a in Rome", id="partial of a method"
        ),
        pytest.param(
            functools.partial(Shop("Rome"), count=2), "Shop", ["item"], {"item": "a"}, "2 a in Rome", id="of an object"
        ),
        pytest.param(functools.lru_cache(Shop.tax), "tax", ["rate"], {"rate": "1"}, Decimal(1), id="cached"),
    ],
)
def test_every_synchronous_callable_becomes_a_tool(
    function: Any, name: str, required: list[str], arguments: dict[str, Any], result: Any
) -> None:
    tool = tool_from_function(function)

    assert tool["function"]["name"] == name
    assert parameters(tool)["required"] == required
    assert call(function, arguments) == result
    assert not FunctionTool(function).is_async


def test_arguments_bound_by_a_partial_are_neither_shown_nor_changed() -> None:
    def fetch(url: str, *, key: str, retries: int = 2) -> Any:
        return url, key, retries

    bound = functools.partial(fetch, key="secret")
    tool = FunctionTool(bound)

    assert "secret" not in json.dumps(tool.definition.model_dump())
    assert list(parameters(tool.definition)["properties"]) == ["url", "retries"]
    assert tool.call({"url": "a"}, CONTEXT)() == ("a", "secret", 2)
    with pytest.raises(ToolArgumentsError, match=r"^key: "):
        tool.call({"url": "a", "key": "mine"}, CONTEXT)


async def later(item: str) -> str:
    return f"later {item}"


async def several(item: str) -> AsyncIterator[str]:
    yield item


@pytest.mark.parametrize(
    ("function", "result"),
    [
        pytest.param(later, "later a", id="function"),
        pytest.param(Shop("Rome").order, "ordered a in Rome", id="method"),
        pytest.param(AsyncShop(), "sold a", id="object"),
        pytest.param(functools.partial(later), "later a", id="partial"),
        pytest.param(functools.partial(AsyncShop()), "sold a", id="partial of an object"),
    ],
)
def test_every_asynchronous_callable_is_awaited(function: Any, result: Any) -> None:
    assert FunctionTool(function).is_async
    assert asyncio.run(call(function, {"item": "a"})) == result


def test_an_asynchronous_generator_is_asynchronous() -> None:
    assert FunctionTool(several).is_async


def test_methods_partials_and_callable_objects_have_their_documentation() -> None:
    described = {
        "price": tool_from_function(Shop("Rome").price),
        "bought": tool_from_function(functools.partial(bought, "a")),
        "measured": tool_from_function(measured),
        "Shop": tool_from_function(Shop("Rome")),
        "AsyncShop": tool_from_function(AsyncShop()),
    }

    assert {name: tool["function"].get("description") for name, tool in described.items()} == {
        "price": "The price.",
        "bought": "Buys.",
        "measured": "Measures.",
        "Shop": "A shop.",
        "AsyncShop": "Sells.",
    }
    assert parameters(described["price"])["properties"]["item"]["description"] == "What."
    assert parameters(described["bought"])["properties"]["count"]["description"] == "How many."


class Cashier:
    """Sells.

    Args:
        city: Of the constructor, and not of a call.
    """

    def __init__(self, city: str) -> None:
        self.city = city

    def __call__(self, item: str) -> str:
        return f"{item} in {self.city}"


def test_the_documentation_of_a_constructor_is_not_taken_for_that_of_a_call() -> None:
    tool = tool_from_function(Cashier("Rome"))

    assert tool["function"]["description"] == "Sells."
    assert parameters(tool)["properties"] == {"item": {"type": "string"}}


def test_an_argument_with_an_alias_may_be_documented_by_either_name() -> None:
    def find(one: Annotated[int, Field(alias="first")], two: Annotated[int, Field(alias="second")]) -> None:
        """Finds.

        Args:
            one: By its parameter's.
            first: By its key.
            two: By its parameter's.
        """

    properties = parameters(tool_from_function(find))["properties"]

    assert {key: each["description"] for key, each in properties.items()} == {
        "first": "By its key.",
        "second": "By its parameter's.",
    }


def test_a_text_in_a_class_wins_over_its_docstring_and_an_empty_one_says_nothing() -> None:
    @dataclass
    class Order:
        """Orders.

        Attributes:
            item: In the docstring.
            count: In the docstring.
            note:
            other: No field.
        """

        item: Annotated[str, Field(description="In the class.")]
        count: int
        note: str

    properties = parameters(tool_from_model(Order))["properties"]

    assert {key: each.get("description") for key, each in properties.items()} == {
        "item": "In the class.",
        "count": "In the docstring.",
        "note": None,
    }


# -- the context ---------------------------------------------------------------------------------------------------------


class Deps:
    pass


def plain_context(ctx: ToolContext, a: int) -> Any:  # type: ignore[type-arg]  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    return ctx, a  # pyright: ignore[reportUnknownVariableType]


def typed_context(a: int, ctx: ToolContext[Deps]) -> Any:
    return ctx, a


def optional_context(a: int, *, ctx: ToolContext[Deps] | None = None) -> Any:
    return ctx, a


def annotated_context(a: int, /, ctx: Annotated[ToolContext[Deps], "the context"]) -> Any:
    return ctx, a


def checkers_context(ctx: ToolContext[OnlyForCheckers], a: int) -> Any:  # pyright: ignore[reportUnknownParameterType]
    return ctx, a  # pyright: ignore[reportUnknownVariableType]


IN_EVERY_WAY: list[Any] = [plain_context, typed_context, optional_context, annotated_context, checkers_context]


@pytest.mark.parametrize("function", IN_EVERY_WAY, ids=lambda function: function.__name__)
def test_the_context_is_given_and_hidden(function: Any) -> None:
    assert list(parameters(tool_from_function(function))["properties"]) == ["a"]
    assert call(function, {"a": 1}) == (CONTEXT, 1)
    with pytest.raises(ToolArgumentsError, match=r"^ctx: "):
        FunctionTool(function).call({"a": 1, "ctx": {"deps": 1}}, CONTEXT)


# -- annotations that are texts ------------------------------------------------------------------------------------------


def test_annotations_as_text_find_local_classes() -> None:
    class Local(BaseModel):
        colour: Colour

    @dataclass
    class Other:
        local: Local

    class Third(TypedDict):
        other: Other

    def f(local: Local, other: Other, third: Third) -> Any:
        return local.colour, other.local.colour, third["other"].local.colour

    red = {"colour": "red"}
    assert call(f, {"local": red, "other": {"local": red}, "third": {"other": {"local": red}}}) == (Colour.RED,) * 3


class Kiosk:
    class Item(BaseModel):
        count: int

    @dataclass
    class Order:
        item: Kiosk.Item

    def str(self) -> None:
        """A method that is called like a type."""

    def sell(self, item: Item, order: Order, note: str = "") -> Any:  # type: ignore[valid-type]  # pyright: ignore[reportGeneralTypeIssues]
        return item, order, note

    @staticmethod
    def count(item: Item) -> int:
        return item.count

    Numbers = list[int]

    def total(self, numbers: Numbers) -> int:
        return sum(numbers)

    __call__ = sell


@pytest.mark.parametrize("function", [Kiosk().sell, Kiosk()], ids=["method", "object"])
def test_annotations_as_text_find_classes_within_the_class_of_a_method(function: Any) -> None:
    item = Kiosk.Item(count=1)

    assert call(function, {"item": {"count": 1}, "order": {"item": {"count": 1}}}) == (item, Kiosk.Order(item), "")
    assert parameters(FunctionTool(function, name="sell").definition)["properties"]["note"]["type"] == "string"
    assert call(Kiosk.count, {"item": {"count": 1}}) == 1
    assert call(Kiosk().total, {"numbers": [1, 2]}) == 3


def test_a_class_that_only_shares_its_name_with_that_of_a_method_lends_it_no_names() -> None:
    function = taking("Item")
    function.__qualname__ = "Gone.Kiosk.sell"  # of a class that its module no longer has

    with pytest.raises(ToolSignatureError, match="'Item' is not defined"):
        FunctionTool(function)


class Mall:
    class Floor:
        class Shelf(BaseModel):
            width: int

        def put(self, shelf: Shelf) -> int:
            return shelf.width


def test_classes_within_a_class_that_is_within_another_in_texts() -> None:
    assert call(Mall.Floor().put, {"shelf": {"width": 3}}) == 3


def test_annotations_as_text_find_the_innermost_of_local_classes_of_one_name() -> None:
    class Item(BaseModel):
        outer: int

    def inner() -> Any:
        class Item(BaseModel):
            inner: int

        def f(item: Item) -> Any:
            return item

        return call(f, {"item": {"inner": 1}})

    assert inner().model_dump() == {"inner": 1}
    assert Item(outer=1).outer == 1


def test_annotations_as_text_find_what_a_function_uses_of_another_that_has_returned() -> None:
    def made() -> Callable[..., str]:
        class Spot(BaseModel):
            name: str

        def weather(spot: Spot) -> str:
            return f"{spot.name}: {isinstance(spot, Spot)}"

        return weather

    assert call(made(), {"spot": {"name": "Rome"}}) == "Rome: True"


def test_annotations_as_text_find_classes_within_a_local_class() -> None:
    class Local(BaseModel):
        a: int

    class Outer:
        class Inner(BaseModel):
            b: int

        def f(self, inner: Inner, local: Local) -> Any:
            return inner.b, local.a

    assert call(Outer().f, {"inner": {"b": 1}, "local": {"a": 2}}) == (1, 2)


def test_a_local_class_that_names_another_in_texts_as_a_tool() -> None:
    class Local(BaseModel):
        a: int

    @dataclass
    class Order:
        local: Local

    assert parameters(tool_from_model(Order))["properties"] == {"local": {"$ref": "#/$defs/Local"}}


@pytest.mark.skipif(sys.version_info < (3, 12), reason="its syntax is that of Python 3.12")
def test_annotations_as_text_find_type_parameters() -> None:
    source = """from __future__ import annotations
def first[T: int](items: list[T], one: T) -> T:
    return items[0] + one
class Box[T: int]:
    def put[U](self, one: T, other: U) -> None:
        return one, other
"""
    names: dict[str, Any] = {"__name__": __name__}
    exec(source, names)  # older versions cannot read it

    assert call(names["first"], {"items": [1], "one": 2}) == 3
    assert FunctionTool(names["Box"]().put).call({"one": "1", "other": "a"}, CONTEXT)() == (1, "a")


def test_annotations_as_text_find_type_parameters_that_the_function_alone_knows() -> None:
    function: Any = taking("list[Known]")
    function.__type_params__ = (TypeVar("Known", bound=int),)  # as `def f[Known: int](value: list[Known])` has it

    assert call(function, {"value": [1]}) == [1]
    assert parameters(FunctionTool(function).definition)["properties"]["value"]["items"] == {"type": "integer"}


def test_a_return_annotation_need_not_be_readable() -> None:
    def f(a: int) -> OnlyForCheckers:  # pyright: ignore[reportUnknownParameterType]
        return a

    assert call(f, {"a": 1}) == 1  # pyright: ignore[reportUnknownArgumentType]


# -- what cannot be expressed --------------------------------------------------------------------------------------------


class Connection:
    def of_itself(self, connection: Self) -> None: ...
    def of_several_of_itself(self, connection: list[Self] | None = None) -> None: ...


def of_a_class(a: int, connection: Connection) -> None: ...
def of_a_class_with_default(connection: Connection = Connection()) -> None: ...  # noqa: B008
def of_a_callable(connection: Callable[[], None]) -> None: ...
def in_a_list(connection: list[Connection]) -> None: ...
def in_a_union(connection: int | Connection) -> None: ...
def in_a_union_with_a_callable(connection: int | Callable[[], None]) -> None: ...
def of_an_unknown_name(connection: OnlyForCheckers) -> None: ...  # pyright: ignore[reportUnknownParameterType]
def of_a_wrong_text(connection: "not an annotation") -> None: ...  # type: ignore[valid-type] # noqa: F722  # pyright: ignore[reportInvalidTypeForm, reportUndefinedVariable, reportUnknownParameterType]
def of_many_contexts(*connection: ToolContext[None]) -> None: ...
def of_contexts_by_name(**connection: ToolContext[None]) -> None: ...
def of_what_cannot_be_in_a_set(connection: set[Person]) -> None: ...
def of_lists_in_a_set(connection: list[frozenset[list[int]]]) -> None: ...
def of_what_cannot_be_a_key(connection: Mapping[Point, int] | None = None) -> None: ...
def of_unpacked_positions(*connection: Unpack[tuple[int, str]]) -> None: ...  # noqa: UP044
def twice(connection: Annotated[int, Field(alias="a")], a: int) -> None: ...


NO_SCHEMA = "'s parameter 'connection' has no JSON schema: "
NEVER = "'s parameter 'connection' can never be given: "
UNREADABLE = "'s parameter 'connection' cannot be read: "

INEXPRESSIBLE: list[Any] = [
    *((each, NO_SCHEMA) for each in (of_a_class, of_a_class_with_default, in_a_list, in_a_union)),
    *((each, NO_SCHEMA) for each in (of_a_callable, in_a_union_with_a_callable)),
    (of_an_unknown_name, f"{UNREADABLE}name 'OnlyForCheckers' is not defined. Define"),
    (of_a_wrong_text, UNREADABLE),
    (of_unpacked_positions, "cannot be a tool's: name each of its values"),
    (twice, "two arguments of twice are called 'a' in JSON"),
    *((each, f"{NEVER}there is one context; take it without stars") for each in (of_many_contexts, of_contexts_by_name)),
    (of_what_cannot_be_in_a_set, f"{NEVER}{Person!r} cannot be in a set, nor a key; take a list"),
    (of_lists_in_a_set, f"{NEVER}list[int] cannot be in a set, nor a key; take a list"),
    (of_what_cannot_be_a_key, f"{NEVER}{Point!r} cannot be in a set, nor a key; take a list"),
    (Connection().of_itself, f"{NEVER}a function has no Self; name the class"),
    (Connection().of_several_of_itself, f"{NEVER}a function has no Self; name the class"),
]


@pytest.mark.parametrize(("function", "why"), INEXPRESSIBLE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_signature_that_cannot_be_expressed_is_an_error_that_says_why(function: Any, why: str) -> None:
    with pytest.raises(ToolSignatureError) as caught:
        tool_from_function(function)

    assert isinstance(caught.value, InvalidRequestError)
    assert isinstance(caught.value, TypeError)
    assert why in str(caught.value)
    assert why[:1] != "'" or function.__name__ + why in str(caught.value)


def test_the_first_parameter_that_cannot_be_expressed_is_named() -> None:
    def f(a: int, one: Connection, b: str, other: Connection) -> None: ...

    with pytest.raises(ToolSignatureError, match=r"^f's parameter 'one' has no JSON schema"):
        tool_from_function(f)


def test_the_first_of_the_keys_that_two_arguments_share_is_named() -> None:
    def f(p: Annotated[int, Field(alias="b")], q: Annotated[int, Field(alias="a")], a: int, b: int, c: int) -> None: ...

    with pytest.raises(ToolSignatureError, match="two arguments of f are called 'a'"):
        tool_from_function(f)


def test_the_error_repeats_the_first_line_of_what_pydantic_says() -> None:
    with pytest.raises(ToolSignatureError, match=r"has no JSON schema: \S.*[^.]\. Give it an annotation") as caught:
        tool_from_function(of_a_class)

    assert str(caught.value.__cause__).partition("\n")[0].rstrip(".") in str(caught.value)


@pytest.mark.parametrize(
    ("thing", "why"),
    [
        *((thing, f"{thing!r} is not a tool: give a function, or a Tool") for thing in (7, "text", None, vars(Shop)["of"])),
        *((kind, f"{kind.__name__} is a class: ") for kind in (Shop, Person, Colour, dict)),
        (max, "max has no signature to read: "),
    ],
    ids=lambda value: str(value)[:20],
)
def test_a_tool_that_is_not_a_function_is_refused(thing: Any, why: str) -> None:
    with pytest.raises(ToolSignatureError) as caught:
        tool_from_function(thing)

    assert str(caught.value).startswith(why)


@pytest.mark.parametrize("kind", [set, frozenset, AbstractSet, MutableSet], ids=str)
@pytest.mark.parametrize("item", [int, str, tuple[int, ...], frozenset[int], Literal["a"]], ids=str)
def test_what_can_be_in_a_set_may_be_in_every_kind_of_set(kind: Any, item: Any) -> None:
    assert parameters(FunctionTool(taking(kind[item])).definition)["required"] == ["value"]
    with pytest.raises(ToolSignatureError, match="cannot be in a set"):
        FunctionTool(taking(dict[str, kind[list[item]]]))


@pytest.mark.parametrize("kind", [dict, Mapping, MutableMapping], ids=str)
def test_what_can_be_in_a_set_may_be_the_key_of_every_kind_of_mapping(kind: Any) -> None:
    assert call(taking(kind[str, list[int]]), {"value": {"a": [1]}}) == {"a": [1]}
    with pytest.raises(ToolSignatureError, match="nor a key"):
        FunctionTool(taking(kind[list[str], int]))


@pytest.mark.parametrize("timeout", [None, 0.001, 1, 5.0])
def test_a_time_limit_is_a_number_of_seconds_or_none(timeout: float | None) -> None:
    assert FunctionTool(later, timeout=timeout).timeout == timeout


@pytest.mark.parametrize("timeout", [0, -1, "5", True, float("nan")])
def test_a_time_limit_is_above_zero(timeout: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="timeout"):
        FunctionTool(later, timeout=timeout)


def test_a_tool_whose_making_failed_can_be_shown() -> None:
    made = FunctionTool.__new__(FunctionTool)
    assert repr(made) == "FunctionTool(None)"
    assert repr(FunctionTool(lambda: 1, name="one")) == "FunctionTool('one')"


# -- strict --------------------------------------------------------------------------------------------------------------


def test_a_strict_tool_asks_for_every_argument_and_takes_null_for_what_has_a_default() -> None:
    def find(words: str, limit: int = 10, near: str | None = None) -> Any:
        return words, limit, near

    tool = FunctionTool(find, strict=True)
    schema = parameters(tool.definition)

    assert tool.definition["function"]["strict"] is True
    assert schema["required"] == ["words", "limit", "near"]
    assert tool.call({"words": "a", "limit": None, "near": None}, CONTEXT)() == ("a", 10, None)
    assert tool.call({"words": "a", "limit": 3, "near": "b"}, CONTEXT)() == ("a", 3, "b")


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    name: str | None = "Rex"
    friends: list[Dog] = []


def test_in_a_strict_tool_what_has_a_default_and_takes_no_null_may_be_null() -> None:
    def keep(dog: Dog, count: int = 3, word: str | None = "d") -> None: ...

    schema = parameters(tool_from_function(keep, strict=True))

    assert schema["properties"] == {
        "dog": {"$ref": "#/$defs/Dog"},
        "count": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "word": {"anyOf": [{"type": "string"}, {"type": "null"}]},
    }
    assert schema["required"] == ["dog", "count", "word"]
    assert schema["$defs"]["Dog"]["properties"] == {
        "kind": {"type": "string", "const": "dog"},
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "friends": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/Dog"}}, {"type": "null"}]},
    }


def test_a_strict_tool_takes_null_for_a_default_unless_null_is_a_value() -> None:
    class Nest(BaseModel):
        pets: list[Annotated[Cat | Dog, Field(discriminator="kind")]]
        home: tuple[Cat, int] = (Cat(), 1)

    def keep(nest: Nest, word: str | None = "d", *more: int, **options: typing.Unpack[Options]) -> Any:
        return nest, word, more, options

    tool = FunctionTool(keep, strict=True)
    friend = {"kind": "dog", "name": "Bo", "friends": None}
    arguments: dict[str, Any] = {
        "nest": {
            "pets": [{"kind": "cat", "lives": None}, {"kind": "dog", "name": None, "friends": [friend]}],
            "home": [{"kind": "cat", "lives": None}, 2],
        },
        "word": None,
        "more": None,
        "depth": 2,
        "fast": None,
    }
    Draft202012Validator(parameters(tool.definition)).validate(arguments)  # pyright: ignore[reportUnknownMemberType]

    assert tool.call(arguments, CONTEXT)() == (
        Nest(pets=[Cat(), Dog(name=None, friends=[Dog(name="Bo")])], home=(Cat(), 2)),
        None,
        (),
        {"depth": 2},
    )
    with pytest.raises(ToolArgumentsError, match="depth"):
        tool.call({**arguments, "depth": None}, CONTEXT)


class Foreign:
    """Its schema says nothing of whether its key is required."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return core_schema.typed_dict_schema({"key": core_schema.typed_dict_field(core_schema.int_schema())})


def test_in_a_strict_tool_a_key_is_required_unless_its_class_says_otherwise() -> None:
    tool = FunctionTool(taking(Foreign), name="tool", strict=True)

    assert parameters(tool.definition)["properties"]["value"]["properties"] == {"key": {"type": "integer"}}


def test_strict_cannot_express_further_keywords() -> None:
    def find(**rest: int) -> None: ...

    with pytest.raises(SchemaNotStrictError):
        tool_from_function(find, strict=True)


# -- classes as arguments ------------------------------------------------------------------------------------------------


class Booking(BaseModel):
    """Books a room.

    Attributes:
        guests: How many people.
    """

    guests: int
    nights: int = Field(1, description="How long")
    contact: Address | None = None


@dataclass
class Place:
    """A place."""

    city: str


class Bare(BaseModel):
    a: int


@dataclass
class BareData:
    a: int


def test_a_class_becomes_a_tool_with_its_fields() -> None:
    tool = tool_from_model(Booking)
    schema = parameters(tool)

    assert (tool["function"]["name"], tool["function"]["description"]) == ("Booking", "Books a room.")
    assert schema["properties"]["guests"] == {"type": "integer", "description": "How many people."}
    assert schema["properties"]["nights"] == {"type": "integer", "description": "How long", "default": 1}
    assert schema["required"] == ["guests"]
    assert "Address" in schema["$defs"]


@pytest.mark.parametrize("cls", [Booking, Place, Options, Node, Bare, BareData, Box[int]], ids=lambda cls: cls.__name__)
def test_every_class_with_fields_can_be_a_tool(cls: Any) -> None:
    tool = tool_from_model(cls, name="make")

    assert parameters(tool)["type"] == "object"
    assert "title" not in parameters(tool)


def test_only_a_class_that_says_what_it_is_has_a_description() -> None:
    assert tool_from_model(Place)["function"]["description"] == "A place."
    assert tool_from_model(Bare)["function"].get("description") is None
    assert tool_from_model(BareData)["function"].get("description") is None


@pytest.mark.parametrize("cls", [int, list[int], Connection, Colour, Pair, None], ids=str)
def test_a_class_without_fields_cannot_be_a_tool(cls: Any) -> None:
    with pytest.raises(ToolSignatureError, match="cannot be the arguments of a tool: "):
        tool_from_model(cls, name="make")


def test_a_class_becomes_a_strict_tool() -> None:
    tool = tool_from_model(Booking, strict=True)

    assert parameters(tool)["required"] == ["guests", "nights", "contact"]
    assert tool["function"]["strict"] is True


def test_a_call_becomes_an_object_of_the_class() -> None:
    made = ToolCallFunction(name="Booking", arguments='{"guests": 2}')

    assert made.parse_as(Booking) == Booking.model_validate({"guests": 2})
    with pytest.raises(ValueError, match="guests"):
        ToolCallFunction(name="Booking", arguments="").parse_as(Booking)


def test_the_error_of_a_callers_own_validator_is_reported() -> None:
    class Even(BaseModel):
        n: int

        @field_validator("n")
        @classmethod
        def _even(cls, n: int) -> int:
            if n % 2:
                raise ValueError("must be even")
            return n

    def f(even: Even) -> int:
        return even.n

    with pytest.raises(ToolArgumentsError, match=r"^even\.n: Value error, must be even"):
        FunctionTool(f).call({"even": {"n": 1}}, CONTEXT)


def test_the_helpers_module_offers_the_same_functions() -> None:
    assert venice_ai.helpers.tool_from_function is tool_from_function
    assert venice_ai.helpers.tool_from_model is tool_from_model
