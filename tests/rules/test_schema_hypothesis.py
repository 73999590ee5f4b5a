"""Any model: what it dumps fits the schema that asks for it, and comes back equal; and what fits the schema is the model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import make_dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Annotated, Any, Generic, Literal, NamedTuple, Required, TypeVar, cast
from uuid import UUID

import jsonschema  # type: ignore[import-untyped]  # it has no types
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel, TypeAdapter, create_model
from typing_extensions import TypedDict

from venice_ai._structured.growing_object import Growing
from venice_ai._structured.read_output import validate
from venice_ai._structured.strict_schema import is_wrapped, response_format
from venice_ai.emulator.schemas import instance

from ..examples import USUAL, times

T = TypeVar("T")


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Box(BaseModel, Generic[T]):
    content: T
    spare: T | None = None


class Node(BaseModel):
    name: str
    next: Node | None = None
    children: list[Node] = []


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    barks: bool


class Pair(NamedTuple):
    left: int
    right: str


class Movie(TypedDict):
    title: str
    year: int | None


class Issue(TypedDict, total=False):
    number: Required[int]
    title: str
    pages: list[int]


class Kind(NamedTuple):
    """A type, and values of it."""

    annotation: Any
    values: st.SearchStrategy[Any]


NODES: st.SearchStrategy[Node] = st.recursive(
    st.builds(Node, name=st.text(), next=st.none(), children=st.just([])),
    lambda inner: st.builds(Node, name=st.text(), next=st.none() | inner, children=st.lists(inner, max_size=2)),
    max_leaves=4,
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
CATS, DOGS = st.builds(Cat, lives=st.integers()), st.builds(Dog, barks=st.booleans())
SCALARS = [
    Kind(str, st.text()),
    Kind(int, st.integers(-(2**62), 2**62)),
    Kind(float, FLOATS),
    Kind(bool, st.booleans()),
    Kind(None, st.none()),
    Kind(date, st.dates()),
    Kind(datetime, st.datetimes(timezones=st.just(UTC))),
    Kind(time, st.times()),
    Kind(timedelta, st.timedeltas(timedelta(-999), timedelta(999))),
    Kind(UUID, st.uuids()),
    Kind(Decimal, st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9)),
    Kind(bytes, st.text(alphabet=st.characters(codec="ascii")).map(str.encode)),
    Kind(Colour, st.sampled_from(Colour)),
    Kind(Level, st.sampled_from(Level)),
    Kind(Literal["a", 1, None], st.sampled_from(["a", 1, None])),  # noqa: PYI061  # the very construct
    Kind(Annotated[int, Field(ge=-3, lt=9)], st.integers(-3, 8)),
    Kind(Annotated[float, Field(gt=0, le=1)], st.floats(0, 1, exclude_min=True)),
    Kind(Annotated[str, Field(min_length=2, max_length=4)], st.text(min_size=2, max_size=4)),
    Kind(Annotated[str, Field(pattern="^[a-c]+[0-9]?$")], st.from_regex("[a-c]+[0-9]?", fullmatch=True)),
    Kind(Annotated[int, Field(multiple_of=7)], st.integers(-99, 99).map(lambda number: number * 7)),
    Kind(int | str, st.integers() | st.text()),
]
OBJECTS = [
    Kind(Node, NODES),
    Kind(Annotated[Node, Field(description="one of them")], NODES),
    Kind(Cat | Dog, CATS | DOGS),
    Kind(Annotated[Cat | Dog, Field(discriminator="kind")], CATS | DOGS),
    Kind(Pair, st.builds(Pair, st.integers(), st.text())),
    Kind(Movie, st.fixed_dictionaries({"title": st.text(), "year": st.none() | st.integers()})),
    Kind(
        Issue,
        st.fixed_dictionaries(
            {"number": st.integers(-(2**62), 2**62)},
            optional={"title": st.text(), "pages": st.lists(st.integers(0, 99), max_size=2)},
        ),
    ),
    Kind(RootModel[list[int]], st.lists(st.integers(), max_size=3).map(RootModel[list[int]])),
]
LIST: Any = list  # that a type checker does not take what is in brackets for a type
TUPLE: Any = tuple
SET: Any = set
BOX: Any = Box
HASHABLE = [Kind(str, st.text()), Kind(int, st.integers()), Kind(UUID, st.uuids()), Kind(Colour, st.sampled_from(Colour))]


def around(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    """Kinds made of other kinds."""
    return st.one_of(
        inner.map(lambda kind: Kind(kind.annotation | None if kind.annotation else None, st.none() | kind.values)),
        inner.map(lambda kind: Kind(LIST[kind.annotation], st.lists(kind.values, max_size=3))),
        inner.map(lambda kind: Kind(TUPLE[kind.annotation, ...], st.lists(kind.values, max_size=2).map(tuple))),
        st.tuples(inner, inner).map(
            lambda two: Kind(TUPLE[two[0].annotation, two[1].annotation], st.tuples(two[0].values, two[1].values))
        ),
        st.sampled_from(HASHABLE).map(lambda kind: Kind(SET[kind.annotation], st.sets(kind.values, max_size=3))),
        inner.map(boxed),
        st.lists(inner, min_size=1, max_size=3).flatmap(models),
    )


def boxed(kind: Kind) -> Kind:
    box = BOX[kind.annotation]
    return Kind(box, st.builds(box, content=kind.values, spare=st.none() | kind.values))


@st.composite
def models(draw: st.DrawFn, kinds: list[Kind]) -> Kind:
    """A model, or a dataclass, with a field of each kind: with an alias, a description, a default, or plain."""
    if draw(st.booleans()) and draw(st.booleans()):
        made: Any = make_dataclass("Made", [(f"f{index}", kind.annotation) for index, kind in enumerate(kinds)])
    else:
        fields: dict[str, Any] = {}
        for index, kind in enumerate(kinds):
            said: dict[str, Any] = draw(
                st.sampled_from([{}, {"alias": f"The {index}"}, {"description": "words"}, {"title": "A title"}])
            )
            default = draw(kind.values) if draw(st.booleans()) else ...
            fields[f"f{index}"] = (kind.annotation, Field(default, **said))
        extra: Any = draw(st.sampled_from(["ignore", "forbid"]))
        made = create_model("Made", __config__=ConfigDict(extra=extra, populate_by_name=True), **fields)
    return Kind(made, st.builds(made, **{f"f{index}": kind.values for index, kind in enumerate(kinds)}))


KINDS: st.SearchStrategy[Kind] = st.recursive(st.sampled_from([*SCALARS, *OBJECTS]), around, max_leaves=5)
ANY_MODEL = st.lists(KINDS, min_size=1, max_size=4).flatmap(models)
MANY = settings(times(1.25), suppress_health_check=[HealthCheck.too_slow])


@given(kind=ANY_MODEL | KINDS.filter(lambda kind: kind.annotation is not None), data=st.data())
@MANY
def test_a_dumped_model_fits_its_schema_and_is_parsed_back_equal(kind: Kind, data: st.DataObject) -> None:
    schema = schema_of(kind.annotation)
    value = data.draw(kind.values)

    dumped = TypeAdapter(kind.annotation).dump_json(value, by_alias=True, round_trip=True).decode()
    asked_in = schema["properties"].keys() == {"value"} and not fits(with_nulls(dumped), schema)
    text = with_nulls(f'{{"value": {dumped}}}' if asked_in else dumped)

    jsonschema.validate(json.loads(text), schema)
    assert validate(kind.annotation, text, wrapped=is_wrapped(kind.annotation)) == value


def with_nulls(text: str) -> str:
    """JSON in which every `Issue` has all of its keys: strict mode wants them, and null stands for those that are absent."""

    def whole(given: dict[str, Any]) -> dict[str, Any]:
        return {**dict.fromkeys(("title", "pages")), **given} if "number" in given else given

    return json.dumps(json.loads(text, object_hook=whole))


def schema_of(annotation: Any) -> dict[str, Any]:
    return dict(response_format(annotation)["json_schema"]["schema"])


def fits(text: str, schema: dict[str, Any]) -> bool:
    validator: Any = jsonschema.Draft202012Validator(schema)
    return bool(validator.is_valid(json.loads(text)))


@given(kind=ANY_MODEL, salt=st.integers(0, 99))
@MANY
def test_a_value_that_fits_the_schema_is_an_object_of_the_model(kind: Kind, salt: int) -> None:
    schema = schema_of(kind.annotation)
    made = instance(schema, salt=salt)

    jsonschema.validate(made, schema)
    validate(kind.annotation, json.dumps(made), wrapped=is_wrapped(kind.annotation))


@given(kind=ANY_MODEL)
@MANY
def test_every_object_is_closed_and_every_property_required(kind: Kind) -> None:
    schema = schema_of(kind.annotation)

    jsonschema.Draft202012Validator.check_schema(schema)
    for node in nodes_in(schema):
        if node.get("type") == "object":
            assert node["additionalProperties"] is False
            assert node["required"] == list(node["properties"])
        assert not node.keys() & {"default", "oneOf", "allOf", "discriminator"}
        assert "$ref" not in node or len(node) == 1


def nodes_in(value: Any, *, names: bool = False) -> Iterator[dict[str, Any]]:
    """Every node of a schema. What `properties` and `$defs` hold are names, not keywords."""
    if isinstance(value, dict):
        node = cast("dict[str, Any]", value)
        if not names:
            yield node
        for key, inner in node.items():
            yield from nodes_in(inner, names=not names and key in {"properties", "$defs"})
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            yield from nodes_in(item)


@given(kind=ANY_MODEL, data=st.data())
@settings(MANY, max_examples=USUAL)
def test_an_object_grows_from_nothing_to_what_was_dumped(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(kind.values)
    text = TypeAdapter(kind.annotation).dump_json(value, by_alias=True, round_trip=True).decode()
    size = data.draw(st.integers(1, 9))
    growing = Growing(kind.annotation, wrapped=is_wrapped(kind.annotation))

    for start in range(0, len(text), size):
        grown = growing.feed(text[start : start + size])
        assert grown is None or isinstance(grown, kind.annotation)

    growing.look()
    assert isinstance(growing.current, kind.annotation)
