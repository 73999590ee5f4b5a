"""How a class becomes a strict JSON schema: a table of constructs, and the path in the error of one that cannot."""

from __future__ import annotations

import json
import sys
import typing
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum, StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, NotRequired, Optional, Required, TypeVar
from uuid import UUID

import jsonschema  # type: ignore[import-untyped]  # it has no types
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    AnyUrl,
    Base64Str,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Json,
    RootModel,
    SecretStr,
    TypeAdapter,
    ValidationError,
    WithJsonSchema,
    computed_field,
    create_model,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import core_schema
from typing_extensions import TypeAliasType, TypedDict

from venice_ai import SchemaNotStrictError, VeniceError
from venice_ai._structured.read_output import validate
from venice_ai._structured.strict_schema import is_wrapped, requested_format, response_format, strict_schema
from venice_ai.emulator.schemas import instance

T = TypeVar("T")
DECIMAL = r"^[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?$"


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Mixed(Enum):
    ONE = 1
    TEXT = "text"


class Only(StrEnum):
    IT = "it"


class Inner(BaseModel):
    x: int


class Node(BaseModel):
    value: int
    next: Node | None = None


class Tree(BaseModel):
    children: list[Tree]


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]


class Box(BaseModel, Generic[T]):
    content: T


class Names(RootModel[list[str]]):
    pass


class Pair(NamedTuple):
    left: int
    right: str = "r"


class Movie(TypedDict):
    title: str
    year: NotRequired[int]


@dataclass
class Point:
    x: float
    y: float = 0
    tags: list[str] = field(default_factory=list[str])


@pydantic_dataclass
class Checked:
    n: Annotated[int, Field(gt=0, description="how many")]


class Computed(BaseModel):
    width: int

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents it
    @property
    def double(self) -> int:
        return self.width * 2


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    x: int


class Guessed(Enum):
    FIRST = date(2020, 1, 1)

    @classmethod
    def _missing_(cls, value: object) -> Guessed | None:
        return cls.FIRST if value else None


class Weights(float, Enum):
    HALF = 0.5


class Unrequired(TypedDict, total=False):
    plain: int
    maybe: int | None
    must: Required[int]


@dataclass
class Counted:
    a: int
    total: int = field(init=False, default=9)


class OldMovie(typing.TypedDict):
    title: str
    notes: NotRequired[list[str]]


class OldBox(typing.TypedDict, Generic[T]):
    content: T
    more: NotRequired[list[T]]


class Named(BaseModel):
    model_config = ConfigDict(title="A thing", json_schema_extra={"examples": [{"x": 1}]})
    x: int


Strings = TypeAliasType("Strings", list[str])


def closed(title: str | None = None, /, **properties: Any) -> dict[str, Any]:
    """A strict object."""
    node: dict[str, Any] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return node if title is None else {**node, "title": title}


NULL = {"type": "null"}
INT = {"type": "integer"}
STR = {"type": "string"}
NUMBER = {"type": "number"}
MAYBE_INT = {"anyOf": [INT, NULL]}
INNER = {"Inner": closed("Inner", x=INT)}
PETS = {
    "Cat": closed("Cat", kind={"const": "cat", "type": "string"}, lives=INT),
    "Dog": closed("Dog", kind={"const": "dog", "type": "string"}),
}
PET = [{"$ref": "#/$defs/Cat"}, {"$ref": "#/$defs/Dog"}]
NODE = closed("Node", value=INT, next={"anyOf": [{"$ref": "#/$defs/Node"}, NULL]})


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


# A type, the node that stands for a field of it, and the definitions that the node needs.
CONSTRUCTS = [
    pytest.param(str, STR, {}, id="str"),
    pytest.param(int, INT, {}, id="int"),
    pytest.param(float, NUMBER, {}, id="float"),
    pytest.param(bool, {"type": "boolean"}, {}, id="bool"),
    pytest.param(None, NULL, {}, id="None"),
    pytest.param(int | None, {"anyOf": [INT, NULL]}, {}, id="optional"),
    pytest.param(int | str, {"anyOf": [INT, STR]}, {}, id="union of scalars"),
    pytest.param(int | str | None, {"anyOf": [INT, STR, NULL]}, {}, id="optional union"),
    pytest.param(Literal["a"], {"const": "a", "type": "string"}, {}, id="one literal"),
    pytest.param(Literal["a", "b"], {"enum": ["a", "b"], "type": "string"}, {}, id="literals"),
    pytest.param(Literal["a", 1, None], {"enum": ["a", 1, None]}, {}, id="mixed literals"),  # noqa: PYI061  # the very construct
    pytest.param(Colour, ref("Colour"), {"Colour": {"enum": ["red", "blue"], "title": "Colour", **STR}}, id="enum"),
    pytest.param(Level, ref("Level"), {"Level": {"enum": [1, 2], "title": "Level", **INT}}, id="int enum"),
    pytest.param(Mixed, ref("Mixed"), {"Mixed": {"enum": [1, "text"], "title": "Mixed"}}, id="mixed enum"),
    pytest.param(Only, ref("Only"), {"Only": {"enum": ["it"], "title": "Only", **STR}}, id="enum of one"),
    pytest.param(date, {"format": "date", **STR}, {}, id="date"),
    pytest.param(datetime, {"format": "date-time", **STR}, {}, id="datetime"),
    pytest.param(time, {"format": "time", **STR}, {}, id="time"),
    pytest.param(timedelta, {"format": "duration", **STR}, {}, id="timedelta"),
    pytest.param(UUID, {"format": "uuid", **STR}, {}, id="UUID"),
    pytest.param(Decimal, {"anyOf": [NUMBER, {"pattern": DECIMAL, **STR}]}, {}, id="Decimal"),
    pytest.param(
        Annotated[Decimal, Field(ge=0, max_digits=5, decimal_places=2)],
        {"anyOf": [{"minimum": 0.0, **NUMBER}, {"pattern": DECIMAL, **STR}]},
        {},
        id="constrained Decimal",
    ),
    pytest.param(bytes, {"format": "binary", **STR}, {}, id="bytes"),
    pytest.param(Base64Str, {"format": "base64", **STR}, {}, id="base64"),
    pytest.param(SecretStr, {"format": "password", **STR}, {}, id="secret"),
    pytest.param(Path, {"format": "path", **STR}, {}, id="path"),
    pytest.param(IPv4Address, {"format": "ipv4", **STR}, {}, id="IPv4"),
    pytest.param(AnyUrl, {"format": "uri", "minLength": 1, **STR}, {}, id="URL"),
    pytest.param(Annotated[int, Field(ge=1, le=5)], {"minimum": 1, "maximum": 5, **INT}, {}, id="bounded int"),
    pytest.param(Annotated[int, Field(multiple_of=3)], {"multipleOf": 3, **INT}, {}, id="multiple"),
    pytest.param(
        Annotated[float, Field(gt=0, lt=1)], {"exclusiveMinimum": 0, "exclusiveMaximum": 1, **NUMBER}, {}, id="open bounds"
    ),
    pytest.param(
        Annotated[str, Field(min_length=1, max_length=9)], {"minLength": 1, "maxLength": 9, **STR}, {}, id="sized text"
    ),
    pytest.param(Annotated[str, Field(pattern="^a+$")], {"pattern": "^a+$", **STR}, {}, id="pattern"),
    pytest.param(Annotated[int, Field(description="years")], {"description": "years", **INT}, {}, id="description"),
    pytest.param(Annotated[int, Field(title="Age")], {"title": "Age", **INT}, {}, id="a title of one's own"),
    pytest.param(Annotated[int, Field(examples=[1])], {"examples": [1], **INT}, {}, id="examples"),
    pytest.param(Annotated[int, AfterValidator(abs)], INT, {}, id="validator after"),
    pytest.param(Annotated[int, BeforeValidator(int)], INT, {}, id="validator before"),
    pytest.param(Annotated[Any, WithJsonSchema({"type": "string"})], STR, {}, id="schema of one's own"),
    pytest.param(Json[list[int]], {"contentMediaType": "application/json", **STR}, {}, id="JSON in a text"),
    pytest.param(list[int], {"type": "array", "items": INT}, {}, id="list"),
    pytest.param(
        Annotated[list[int], Field(min_length=1, max_length=3)],
        {"type": "array", "items": INT, "minItems": 1, "maxItems": 3},
        {},
        id="sized list",
    ),
    pytest.param(list[list[str]], {"type": "array", "items": {"type": "array", "items": STR}}, {}, id="list of lists"),
    pytest.param(Sequence[int], {"type": "array", "items": INT}, {}, id="sequence"),
    pytest.param(Iterable[int], {"type": "array", "items": INT}, {}, id="iterable"),
    pytest.param(deque[int], {"type": "array", "items": INT}, {}, id="deque"),
    pytest.param(set[int], {"type": "array", "items": INT, "uniqueItems": True}, {}, id="set"),
    pytest.param(frozenset[str], {"type": "array", "items": STR, "uniqueItems": True}, {}, id="frozenset"),
    pytest.param(AbstractSet[str], {"type": "array", "items": STR, "uniqueItems": True}, {}, id="abstract set"),
    pytest.param(tuple[int, ...], {"type": "array", "items": INT}, {}, id="tuple of any length"),
    pytest.param(tuple[int, int], {"type": "array", "items": INT, "minItems": 2, "maxItems": 2}, {}, id="tuple of one type"),
    pytest.param(
        tuple[int, str],
        {"type": "array", "prefixItems": [INT, STR], "items": {"anyOf": [INT, STR]}, "minItems": 2, "maxItems": 2},
        {},
        id="tuple of types",
    ),
    pytest.param(tuple[()], {"type": "array", "items": NULL, "minItems": 0, "maxItems": 0}, {}, id="empty tuple"),
    pytest.param(
        Pair,
        ref("Pair"),
        {"Pair": {"type": "array", "prefixItems": [INT, STR], "items": {"anyOf": [INT, STR]}, "minItems": 1, "maxItems": 2}},
        id="NamedTuple",
    ),
    pytest.param(Inner, ref("Inner"), INNER, id="model"),
    pytest.param(Inner | None, {"anyOf": [ref("Inner"), NULL]}, INNER, id="optional model"),
    pytest.param(list[Inner], {"type": "array", "items": ref("Inner")}, INNER, id="list of models"),
    pytest.param(
        Annotated[Inner, Field(description="see")],
        {"anyOf": [ref("Inner")], "description": "see"},
        INNER,
        id="reference with words",
    ),
    pytest.param(Cat | Dog, {"anyOf": PET}, PETS, id="union of models"),
    pytest.param(Annotated[Cat | Dog, Field(discriminator="kind")], {"anyOf": PET}, PETS, id="discriminated union"),
    pytest.param(
        Optional[Annotated[Cat | Dog, Field(discriminator="kind")]],  # noqa: UP045  # a checker sees no type in `... | None`
        {"anyOf": [{"anyOf": PET}, NULL]},
        PETS,
        id="optional discriminated union",
    ),
    pytest.param(Node, ref("Node"), {"Node": NODE}, id="recursion"),
    pytest.param(
        Tree, ref("Tree"), {"Tree": closed("Tree", children={"type": "array", "items": ref("Tree")})}, id="list recursion"
    ),
    pytest.param(Box[int], ref("Box_int_"), {"Box_int_": closed("Box[int]", content=INT)}, id="generic"),
    pytest.param(
        Box[Inner],
        ref("Box_Inner_"),
        {"Box_Inner_": closed("Box[Inner]", content=ref("Inner")), **INNER},
        id="generic of a model",
    ),
    pytest.param(Names, ref("Names"), {"Names": {"title": "Names", "type": "array", "items": STR}}, id="RootModel"),
    pytest.param(Movie, ref("Movie"), {"Movie": closed("Movie", title=STR, year=MAYBE_INT)}, id="TypedDict"),
    pytest.param(
        Point,
        ref("Point"),
        {"Point": closed("Point", x=NUMBER, y=NUMBER, tags={"type": "array", "items": STR})},
        id="dataclass",
    ),
    pytest.param(
        Checked,
        ref("Checked"),
        {"Checked": closed("Checked", n={"description": "how many", "exclusiveMinimum": 0, **INT})},
        id="pydantic dataclass",
    ),
    pytest.param(Computed, ref("Computed"), {"Computed": closed("Computed", width=INT)}, id="computed field"),
    pytest.param(Forbidding, ref("Forbidding"), {"Forbidding": closed("Forbidding", x=INT)}, id="extra forbidden"),
    pytest.param(
        Named, ref("Named"), {"Named": {**closed("A thing", x=INT), "examples": [{"x": 1}]}}, id="title and examples of a model"
    ),
    pytest.param(Strings, ref("Strings"), {"Strings": {"type": "array", "items": STR}}, id="named alias"),
]


@pytest.mark.parametrize(("annotation", "node", "definitions"), CONSTRUCTS)
def test_each_construct_becomes_its_strict_schema(annotation: Any, node: dict[str, Any], definitions: dict[str, Any]) -> None:
    schema = schema_of(create_model("Holder", held=(annotation, ...)))

    expected = closed("Holder", held=node)
    assert schema == ({**expected, "$defs": definitions} if definitions else expected)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(instance(schema), schema)


def schema_of(kind: Any) -> dict[str, Any]:
    format_of_kind = response_format(kind)
    assert format_of_kind["type"] == "json_schema"
    assert format_of_kind["json_schema"]["strict"] is True
    return dict(format_of_kind["json_schema"]["schema"])


# -- fields --------------------------------------------------------------------------------------------------------------


class Late(BaseModel):
    """Has defaults of every kind."""

    n: int = 5
    colour: Colour = Colour.RED
    maker: list[int] = Field(default_factory=list[int])
    unwritable: Any = Field(default=object(), json_schema_extra={"type": "string"})
    node: Inner = Field(default=Inner(x=1), description="inside")
    maybe: int | None = 7


def test_a_default_is_no_part_of_the_schema_and_the_property_is_required() -> None:
    schema = schema_of(Late)

    assert "default" not in json.dumps(schema).replace('"Has defaults of every kind."', "")
    assert schema["required"] == ["n", "colour", "maker", "unwritable", "node", "maybe"]
    assert schema["properties"]["n"] == INT
    assert schema["properties"]["maybe"] == {"anyOf": [INT, NULL]}
    assert schema["description"] == "Has defaults of every kind."


class Aliased(BaseModel):
    plain: int = Field(alias="Plain")
    chosen: int = Field(validation_alias=AliasChoices("first", AliasPath("deep", 0)))
    saved: int = Field(serialization_alias="written")


class Swapped(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    path: int = Field(validation_alias=AliasPath("deep", "er"))
    both: int = Field(alias="Both")


def test_a_field_is_in_the_schema_by_the_name_that_pydantic_reads() -> None:
    assert schema_of(Aliased)["required"] == ["Plain", "first", "saved"]
    assert schema_of(Swapped)["required"] == ["path", "Both"]

    for kind in (Aliased, Swapped):
        kind.model_validate(dict.fromkeys(schema_of(kind)["required"], 1))


class Every(BaseModel):
    required: str
    properties: str
    items: int
    default: str
    anyOf: str  # noqa: N815  # that is the keyword
    const: str
    type: Literal["t"]


def test_fields_may_be_called_like_keywords() -> None:
    schema = schema_of(Every)

    assert list(schema["properties"]) == ["required", "properties", "items", "default", "anyOf", "const", "type"]
    jsonschema.validate(instance(schema), schema)


def test_a_key_that_need_not_be_there_is_a_union_with_null() -> None:
    assert schema_of(Unrequired) == closed("Unrequired", plain=MAYBE_INT, maybe=MAYBE_INT, must=INT)


def test_a_field_that_the_constructor_does_not_take_is_not_in_the_schema() -> None:
    assert schema_of(Counted) == closed("Counted", a=INT)


@pytest.mark.parametrize("kind", [Guessed, Weights, Level, Only, Literal[Only.IT, Level.LOW]])
def test_types_that_json_or_a_validator_can_express_have_a_schema(kind: Any) -> None:
    answer = json.dumps(instance(schema_of(kind)))

    validate(kind, answer, wrapped=is_wrapped(kind))


def test_an_object_that_may_be_null_stays_so() -> None:
    own = {"type": ["object", "null"], "properties": {"x": INT}}

    held = schema_of(holder(Annotated[Any, WithJsonSchema(own)]))["properties"]["held"]

    assert held == {**closed(x=INT), "type": ["object", "null"]}


@dataclass
class Filed(Generic[T]):
    movie: OldMovie
    content: T
    others: list[OldMovie] = field(default_factory=list[OldMovie])
    number: int = field(init=False, default=9)


class Choosing(TypedDict):
    either: NotRequired[int | str]
    path: NotRequired[Annotated[int, Field(validation_alias=AliasPath("deep", "er"))]]


def test_null_for_an_optional_union_is_read_as_absent() -> None:
    assert validate(Choosing, '{"either": null}', wrapped=False) == {}
    with pytest.raises(ValidationError):
        validate(Choosing, '{"either": []}', wrapped=False)


class Either(TypedDict):
    either: NotRequired[int | str]


def test_null_joins_the_members_of_a_union_that_need_not_be_there() -> None:
    assert schema_of(Either)["properties"]["either"] == {"anyOf": [INT, STR, NULL]}


class Shelf(typing.TypedDict):
    movies: list[OldMovie]
    best: NotRequired[OldMovie]


def test_a_typed_dict_of_the_standard_library_is_taken_in_containers_and_in_others_of_its_kind() -> None:
    answer = '{"movies": [{"title": "M", "notes": null}], "best": null}'

    assert validate(Shelf, answer, wrapped=False) == {"movies": [{"title": "M"}]}
    assert schema_of(Shelf)["required"] == ["movies", "best"]
    assert validate(list[Shelf], f"[{answer}]", wrapped=False) == [{"movies": [{"title": "M"}]}]


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there pydantic takes it")
@pytest.mark.parametrize("kind", [Filed[str], OldBox[int]])
def test_before_python_3_12_one_in_a_dataclass_or_with_parameters_is_refused_with_what_to_take(kind: Any) -> None:
    with pytest.raises(SchemaNotStrictError, match=r"typing_extensions\.TypedDict"):
        requested_format(kind)


class Chain(typing.TypedDict):
    next: NotRequired[Chain]


class Link(TypedDict):
    next: NotRequired[Link]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Sequence[OldMovie], [{"title": "M"}]),
        (typing.Mapping[str, OldMovie], {"a": {"title": "M"}}),
        (dict[str, OldMovie], {"a": {"title": "M"}}),
        (OldMovie | int, {"title": "M"}),
        (Optional[OldMovie], {"title": "M"}),  # noqa: UP045
        (Annotated[OldMovie, Field(description="d")], {"title": "M"}),
        (Link, {"next": {"next": {}}}),
    ],
    ids=repr,
)
def test_a_typed_dict_of_either_kind_is_taken_wherever_it_stands(kind: Any, value: Any) -> None:
    assert validate(kind, json.dumps(value), wrapped=False) == value
    with pytest.raises(ValidationError):
        validate(kind, json.dumps({"next": 7}), wrapped=False)


def test_one_that_refers_to_itself_is_taken_or_before_python_3_12_refused_with_what_to_take() -> None:
    if sys.version_info >= (3, 12):
        assert validate(Chain, '{"next": {}}', wrapped=False) == {"next": {}}
        return
    with pytest.raises(SchemaNotStrictError, match=r"Chain refers to itself: before Python 3\.12 take typing_extensions"):
        requested_format(Chain)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="there pydantic refuses it")
def test_from_python_3_12_one_is_taken_wherever_it_stands() -> None:
    filed = validate(Filed[str], '{"movie": {"title": "M", "notes": null}, "content": "c", "others": []}', wrapped=False)

    assert (filed, type(filed), filed.number) == (Filed({"title": "M"}, "c"), Filed, 9)
    assert validate(OldBox[int], '{"content": "1", "more": null}', wrapped=False) == {"content": 1}


# -- roots ---------------------------------------------------------------------------------------------------------------


def wrapped(node: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**closed(value=node), **more}


@pytest.mark.parametrize(
    ("kind", "schema", "name"),
    [
        pytest.param(Inner, INNER["Inner"], "Inner", id="model"),
        pytest.param(Node, {**NODE, "$defs": {"Node": NODE}}, "Node", id="a recursive model is written out"),
        pytest.param(RootModel[Inner], {**INNER["Inner"], "title": "RootModel[Inner]"}, "RootModel_Inner", id="model as root"),
        pytest.param(Point, closed("Point", x=NUMBER, y=NUMBER, tags={"type": "array", "items": STR}), "Point", id="dataclass"),
        pytest.param(Movie, closed("Movie", title=STR, year=MAYBE_INT), "Movie", id="TypedDict"),
        pytest.param(Box[int], closed("Box[int]", content=INT), "Box_int", id="generic model"),
        pytest.param(
            list[Inner], wrapped({"type": "array", "items": ref("Inner")}, **{"$defs": INNER}), "list_Inner", id="list"
        ),
        pytest.param(Names, wrapped({"title": "Names", "type": "array", "items": STR}), "Names", id="RootModel of a list"),
        pytest.param(Cat | Dog, wrapped({"anyOf": PET}, **{"$defs": PETS}), "Cat_or_Dog", id="union"),
        pytest.param(Colour, wrapped({"enum": ["red", "blue"], "title": "Colour", **STR}), "Colour", id="enum"),
        pytest.param(Literal["a", "b"], wrapped({"enum": ["a", "b"], **STR}), "Literal_a_b", id="literal"),
        pytest.param(Annotated[int, Field(ge=0)], wrapped({"minimum": 0, **INT}), "int", id="constrained number"),
        pytest.param(Strings, wrapped({"type": "array", "items": STR}), "Strings", id="named alias"),
        pytest.param(create_model("Ünïcode ☃"), closed("Ünïcode ☃"), "n_code", id="name with characters beyond ASCII"),
        pytest.param(create_model("☃"), closed("☃"), "answer", id="name without ASCII characters"),
        pytest.param(create_model("_Hidden__"), closed("_Hidden__"), "_Hidden__", id="name with lines at its ends"),
        pytest.param(create_model("x" * 64), closed("x" * 64), "x" * 64, id="a name that is just short enough"),
    ],
)
def test_the_root_is_an_object(kind: Any, schema: dict[str, Any], name: str) -> None:
    json_schema = response_format(kind)["json_schema"]

    assert json_schema["schema"] == schema
    assert json_schema["name"] == name
    jsonschema.validate(instance(schema), schema)


def test_long_names_that_begin_alike_stay_two() -> None:
    names = [response_format(create_model("x" * 70 + end))["json_schema"]["name"] for end in ("a", "b")]

    assert [len(name) for name in names] == [64, 64]
    assert names[0][:55] == names[1][:55] == "x" * 55
    assert names[0] != names[1]


def test_a_name_may_be_given() -> None:
    assert response_format(Inner, name="person")["json_schema"]["name"] == "person"


def test_the_same_class_is_always_the_same_bytes() -> None:
    first = json.dumps(response_format(Late))
    again = json.dumps(response_format(create_model("Late", __base__=Late, __doc__=Late.__doc__)))

    assert json.dumps(response_format(Late)) == first
    assert again == first


# -- what cannot be ------------------------------------------------------------------------------------------------------


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    x: int


class Deep(BaseModel):
    rows: list[Box[dict[str, int]]]


class Bound(BaseModel):
    maybe: Deep | None


class Pathed(BaseModel):
    x: int = Field(validation_alias=AliasPath("a", "b"))


class Shapes(Enum):
    SQUARE = (1, 1)


class Days(Enum):
    FIRST = date(2020, 1, 1)


class Amounts(Enum):
    HALF = Decimal("0.5")


class Ids(Enum):
    NONE = UUID(int=0)


class Codes(Enum):
    X = b"x"


@pydantic_dataclass
class PathedPoint:
    a: int = Field(validation_alias=AliasPath("a", "b"))


class PathedDict(TypedDict):
    a: Annotated[int, Field(validation_alias=AliasPath("q", "b"))]


class Odd:
    pass


@dataclass
class OddPoint:
    x: int
    next: OddPoint | None
    rows: list[Odd]


@dataclass
class OddUnion:
    pet: Annotated[Cat | Deep, Field(discriminator="kind")]


class OddDict(TypedDict):
    fine: NotRequired[int]
    point: OddPoint


def holder(annotation: Any) -> Any:
    return create_model("Holder", held=(annotation, ...))


@pytest.mark.parametrize(
    ("kind", "path", "reason"),
    [
        pytest.param(holder(dict[str, int]), "$.held", "keys that are not named", id="dict"),
        pytest.param(holder(dict[Literal["a"], int]), "$.held", "keys that are not named", id="dict of literals"),
        pytest.param(holder(dict), "$.held", "keys that are not named", id="bare dict"),
        pytest.param(holder(list), "$.held[]", "values of any kind", id="bare list"),
        pytest.param(holder(Any), "$.held", "values of any kind", id="Any"),
        pytest.param(holder(object), "$.held", "values of any kind", id="object"),
        pytest.param(holder(T), "$.held", "values of any kind", id="free type variable"),
        pytest.param(holder(tuple[int, Any]), "$.held[1]", "values of any kind", id="tuple of anything"),
        pytest.param(holder(dict[str, int] | None), "$.held", "keys that are not named", id="optional dict"),
        pytest.param(Open, "$", "keys that are not named", id="extra allowed"),
        pytest.param(holder(list[Open]), "$.held[]", "keys that are not named", id="extra allowed, further in"),
        pytest.param(Deep, "$.rows[].content", "keys that are not named", id="generic in a list"),
        pytest.param(Bound, "$.maybe.rows[].content", "keys that are not named", id="behind references"),
        pytest.param(holder(Callable[[], int]), "$.held", "nothing that JSON has", id="callable"),
        pytest.param(holder(int | Callable[[], int]), "$.held", "nothing that JSON has", id="callable in a union"),
        pytest.param(holder(type[int]), "$.held", "values of any kind", id="class"),
        pytest.param(holder(Shapes), "$.held", "lists or objects", id="enum of tuples"),
        pytest.param(holder(Days), "$.held", "JSON does not have", id="enum of dates"),
        pytest.param(holder(Amounts), "$.held", "JSON does not have", id="enum of decimals"),
        pytest.param(holder(Ids), "$.held", "JSON does not have", id="enum of UUIDs"),
        pytest.param(holder(Codes), "$.held", "JSON does not have", id="enum of bytes"),
        pytest.param(holder(list[Literal[b"x", "y"]]), "$.held[]", "JSON does not have", id="literal bytes"),
        pytest.param(holder(Literal[Days.FIRST]), "$.held", "JSON does not have", id="literal member"),
        pytest.param(PathedPoint, "$.a", "AliasPath", id="alias path in a dataclass"),
        pytest.param(PathedDict, "$.a", "AliasPath", id="alias path in a TypedDict"),
        pytest.param(Pathed, "$.x", "AliasPath", id="alias path"),
        pytest.param(holder(list[Pathed]), "$.held[].x", "AliasPath", id="alias path, further in"),
        pytest.param(dict[str, int], "$", "keys that are not named", id="dict as root"),
        pytest.param(
            holder(Annotated[Any, WithJsonSchema({"type": "string", "not": {"const": "a"}})]), "$.held", "excludes", id="not"
        ),
        pytest.param(
            holder(Annotated[Any, WithJsonSchema({"allOf": [{"type": "string"}, {"minLength": 1}]})]),
            "$.held",
            "several things",
            id="all of",
        ),
        pytest.param(
            holder(Annotated[Any, WithJsonSchema({"type": "object", "patternProperties": {"a": {}}})]),
            "$.held",
            "keys that are not named",
            id="pattern properties",
        ),
    ],
)
def test_a_construct_that_strict_mode_cannot_express_is_refused_with_its_path(kind: Any, path: str, reason: str) -> None:
    with pytest.raises(SchemaNotStrictError, match=reason) as caught:
        response_format(kind)

    assert caught.value.path == path
    assert f"{path} " in caught.value.message
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, VeniceError)


@pytest.mark.parametrize(
    ("kind", "path"), [(OddPoint, "$.rows"), (OddDict, "$.point.rows"), (OddUnion, "$.pet"), (holder, None)]
)
def test_the_field_that_pydantic_cannot_read_is_named(kind: Any, path: str | None) -> None:
    with pytest.raises(SchemaNotStrictError, match="cannot become a JSON schema") as caught:
        response_format(type("Plain", (), {}) if path is None else kind)

    assert caught.value.path == path
    assert path is None or caught.value.message.startswith(f"{path} of ")


def test_a_reference_without_a_definition_is_refused() -> None:
    with pytest.raises(SchemaNotStrictError, match="no definition"):
        response_format(holder(Annotated[Any, WithJsonSchema({"$ref": "#/$defs/q", "$defs": {"q": {"type": "integer"}}})]))


@pytest.mark.parametrize("kind", [Open, Deep, Node, Names, Movie, dict[str, int]])
def test_without_strict_the_schema_is_as_pydantic_writes_it(kind: Any) -> None:
    json_schema = response_format(kind, strict=False)["json_schema"]

    assert json_schema["strict"] is False
    assert json_schema["schema"] == TypeAdapter(kind).json_schema()


@pytest.mark.parametrize(
    "kind",
    [pytest.param(create_model("Odd", x=(Callable[[], int], ...)), id="callable"), pytest.param(Shapes.__class__, id="class")],
)
def test_a_class_without_a_json_schema_is_refused_without_strict_too(kind: Any) -> None:
    with pytest.raises(SchemaNotStrictError):
        response_format(kind, strict=False)


def test_a_class_that_is_not_complete_is_refused() -> None:
    class Dangling(BaseModel):
        x: NotThere  # type: ignore[name-defined]  # pyright: ignore[reportUndefinedVariable]  # noqa: F821

    with pytest.raises(SchemaNotStrictError, match="Dangling"):
        response_format(Dangling)


@pytest.mark.parametrize("kind", [{"type": "json_object"}, "Person", 7, None, Inner(x=1)])
def test_a_response_format_that_is_not_a_class_is_a_type_error(kind: Any) -> None:
    with pytest.raises(TypeError, match="is not a class"):
        response_format(kind)


# -- schemas from elsewhere ----------------------------------------------------------------------------------------------


def test_a_schema_is_made_strict_and_what_was_given_is_not_changed() -> None:
    given: dict[str, Any] = {"type": "object", "properties": {"x": {"type": "integer", "default": 1}}, "required": []}
    before = json.dumps(given)

    assert strict_schema(given) == closed(x=INT)
    assert json.dumps(given) == before


@pytest.mark.parametrize(
    "schema",
    [
        pytest.param({"type": "array", "items": INT}, id="a root that is not an object"),
        pytest.param({"type": "object", "properties": {"x": {"$ref": "https://example.org/x"}}}, id="a reference to elsewhere"),
        pytest.param({"$ref": "#/$defs/Missing"}, id="a root that refers to nothing"),
        pytest.param({"type": "object", "properties": {"x": True}}, id="true"),
        pytest.param({"type": "object", "properties": {"x": False}}, id="false"),
        pytest.param({"type": "object", "properties": {"x": {"anyOf": []}}}, id="a union of nothing"),
    ],
)
def test_a_schema_that_cannot_be_strict_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaNotStrictError):
        strict_schema(schema)


PAIR = [INT, STR]
EITHER = {"anyOf": [INT, STR]}


@pytest.mark.parametrize(
    ("given", "strict"),
    [
        pytest.param({"prefixItems": PAIR, "maxItems": 2}, {"prefixItems": PAIR, "items": EITHER, "maxItems": 2}, id="a pair"),
        pytest.param({"prefixItems": PAIR, "maxItems": 1}, {"prefixItems": PAIR, "items": EITHER, "maxItems": 1}, id="not all"),
        pytest.param({"prefixItems": [INT, INT], "maxItems": 2}, {"items": INT, "maxItems": 2}, id="a pair of one type"),
        pytest.param({"prefixItems": [INT], "items": STR}, {"prefixItems": [INT], "items": STR}, id="a head and a rest"),
        pytest.param(
            {"prefixItems": [INT], "items": STR, "maxItems": 1},
            {"prefixItems": [INT], "items": STR, "maxItems": 1},
            id="a head",
        ),
        pytest.param({"prefixItems": [INT], "items": False, "maxItems": 1}, {"items": INT, "maxItems": 1}, id="no rest"),
        pytest.param({"items": INT, "maxItems": 0}, {"items": NULL, "maxItems": 0}, id="no items"),
        pytest.param({"items": INT, "maxItems": 1}, {"items": INT, "maxItems": 1}, id="one item"),
        pytest.param({"type": ["array", "null"], "items": INT}, {"type": ["array", "null"], "items": INT}, id="or null"),
    ],
)
def test_the_items_of_an_array_are_its_heads_and_what_may_follow_them(given: dict[str, Any], strict: dict[str, Any]) -> None:
    made = strict_schema({"type": "object", "properties": {"x": {"type": "array", **given}}})

    assert made == closed(x={"type": "array", **strict})


@pytest.mark.parametrize(
    ("given", "strict"),
    [
        pytest.param({"allOf": [INT]}, {"anyOf": [INT]}, id="all of one"),
        pytest.param({"oneOf": PAIR, "description": "d"}, {**EITHER, "description": "d"}, id="one of, with words"),
        pytest.param({"const": None}, {"const": None}, id="null alone"),
        pytest.param({"enum": [None, 1, "a"]}, {"enum": [None, 1, "a"]}, id="values"),
        pytest.param({**INT, "default": 1, "readOnly": True, "deprecated": True}, INT, id="what no answer needs"),
        pytest.param(
            {"type": ["object", "null"], "properties": {"y": INT}}, {**closed(y=INT), "type": ["object", "null"]}, id="or null"
        ),
    ],
)
def test_a_schema_says_in_strict_mode_what_it_said(given: dict[str, Any], strict: dict[str, Any]) -> None:
    assert strict_schema({"type": "object", "properties": {"x": given}}) == closed(x=strict)


NOT_STRICT: list[Any] = [
    *(({"type": "array", "prefixItems": PAIR, "maxItems": most}, "x[] takes values of any kind") for most in (3, 4)),
    *(({"type": "array", "prefixItems": [INT] * heads}, "x[] takes values of any kind") for heads in (1, 2, 3, 4)),
    ({"type": "array", "prefixItems": [INT, {}], "maxItems": 2}, "x[1] takes values of any kind"),
    ({"type": "array", "prefixItems": [INT], "items": False}, "x[] can have no value"),
    ({"type": "array"}, "x[] takes values of any kind"),
    ({"type": "array", "items": INT, "contains": INT}, "x has a rule for some of its items"),
    *(({"type": "object", **more}, "x takes keys that are not named") for more in ({}, {"additionalProperties": False})),
    *(
        ({"type": "object", "properties": {"y": INT}, "additionalProperties": more}, "x takes keys that are not named")
        for more in (True, INT, {})
    ),
    ({"type": "object", "properties": {"y": {"type": "array"}}}, "x.y[] takes values of any kind"),
    ({"type": "object", "properties": {}, "dependentRequired": {}}, "x has rules between its keys"),
    ({**STR, "if": {}}, "x has rules between its values"),
    *(({"anyOf": [INT], **more}, "x must be several things at once") for more in ({"oneOf": [INT]}, {"allOf": [INT]})),
    *(({"anyOf": [INT], name: {"y": INT}}, "x must be several things at once") for name in ("properties", "items")),
    *(({"allOf": several}, "x must be several things at once") for several in ([], [INT, STR])),
    ({"oneOf": []}, "x can have no value"),
    ({"enum": [1, [2]]}, "x has values that are lists or objects"),
    ({"enum": [{}, 1]}, "x has values that are lists or objects"),
    ({"const": [1]}, "x has values that are lists or objects"),
    ({"const": {}}, "x has values that are lists or objects"),
    ({"description": "words alone"}, "x takes values of any kind"),
]


@pytest.mark.parametrize(("given", "problem"), NOT_STRICT, ids=repr)
def test_what_strict_mode_does_not_know_is_refused_where_it_stands(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(SchemaNotStrictError) as caught:
        strict_schema({"type": "object", "properties": {"x": given}})

    assert caught.value.message.startswith(f"$.{problem}, which strict mode cannot express; ")
    assert caught.value.path == "$." + problem.partition(" ")[0]


def test_the_error_of_a_class_that_pydantic_cannot_read_says_why() -> None:
    with pytest.raises(
        SchemaNotStrictError, match=r"^\$\.rows of OddPoint cannot become a JSON schema: Unable to generate .*Odd"
    ):
        response_format(OddPoint)
    with pytest.raises(SchemaNotStrictError) as caught:
        response_format(OddPoint)
    assert "further information" not in caught.value.message.lower()


class Foreign:
    """Its schema says nothing of whether its key is required."""

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> Any:
        return core_schema.typed_dict_schema({"key": core_schema.typed_dict_field(core_schema.int_schema())})


def test_a_key_is_required_unless_its_schema_says_otherwise() -> None:
    assert schema_of(Foreign)["properties"] == {"key": INT}
    with pytest.raises(ValidationError) as caught:
        validate(Foreign, '{"key": null}', wrapped=False)
    assert caught.value.errors()[0]["type"] == "int_type", "the null is not taken for an absent key"


class Possible(TypedDict, total=False):
    level: Literal[1, None]  # noqa: PYI061  # the very construct
    either: Annotated[Any, WithJsonSchema({**EITHER, "description": "either"})]


def test_null_is_added_once_and_beside_what_has_words_of_its_own() -> None:
    assert schema_of(Possible)["properties"] == {
        "level": {"enum": [1, None]},
        "either": {"anyOf": [{**EITHER, "description": "either"}, NULL]},
    }


class ByName(BaseModel):
    model_config = ConfigDict(validate_by_name=True)
    path: int = Field(validation_alias=AliasPath("deep", "er"))


Age = NewType("Age", int)


@pytest.mark.parametrize(
    ("kind", "node"), [(Age, INT), (Strings, {"type": "array", "items": STR}), (int | str, EITHER)], ids=repr
)
def test_a_type_with_a_name_of_its_own_is_a_class_too(kind: Any, node: dict[str, Any]) -> None:
    assert schema_of(kind) == wrapped(node)
    assert schema_of(ByName)["required"] == ["path"]
