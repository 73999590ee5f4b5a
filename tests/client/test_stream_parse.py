"""`stream_parse`: an unfinished object while the answer streams, the validated one at its end."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any, Generic, Literal, NotRequired, TypeVar, assert_type, cast

import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    RootModel,
    Tag,
    field_validator,
    model_validator,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass
from typing_extensions import TypeAliasType, TypedDict

from venice_ai import (
    AuthenticationError,
    InvalidArgumentError,
    OutputInvalidError,
    OutputTruncatedError,
    ParsedChatCompletion,
    ParsedChatStream,
    Partial,
    SchemaNotStrictError,
    StreamConsumedError,
    StreamInterruptedError,
    ToolCallInsteadError,
    VeniceClient,
)
from venice_ai._structured.growing_object import Growing
from venice_ai._structured.strict_schema import is_wrapped
from venice_ai.emulator import Emulator, Step, error, text, tool_call

from ..fakes import DONE, FINISH, HI, chunk, client_of, event, stream

T = TypeVar("T")


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Wheel(BaseModel):
    size: int
    maker: str


class Car(BaseModel):
    name: str
    colour: Colour
    built: date | None
    wheels: list[Wheel]
    price: float = 9.5


CAR = {
    "name": "Duck",
    "colour": "red",
    "built": "1950-01-02",
    "wheels": [{"size": 15, "maker": "A"}, {"size": 16, "maker": "B"}],
    "price": 1.5,
}
WHOLE = Car.model_validate(CAR)


def scripted(*steps: Step) -> tuple[VeniceClient, Emulator]:
    emulator = Emulator()
    emulator.script(*steps)
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock), emulator


async def opened(answer: Step, kind: Any = Car, **kwargs: Any) -> ParsedChatStream[Any]:
    client, _ = scripted(answer)
    return await client.chat.completions.stream_parse(model="default", messages=HI, response_format=kind, **kwargs)


def one_character_a_delta(answer: str, **how: Any) -> Step:
    """The answer, one delta for each character."""
    return text(answer, deltas=list(answer), **how)


# -- the stream ----------------------------------------------------------------------------------------------------------


async def test_objects_come_while_the_answer_streams_and_the_last_is_validated() -> None:
    client, emulator = scripted(one_character_a_delta(json.dumps(CAR)))
    seen: list[Any] = []

    async with await client.chat.completions.stream_parse(model="default", messages=HI, response_format=Car) as cars:
        assert_type(cars, ParsedChatStream[Car])
        async for car in cars:
            assert_type(car, Partial[Car])
            seen.append(car)
        result = await cars.collect()

    assert_type(result, ParsedChatCompletion[Car])
    assert all(type(car) is Car for car in seen)
    assert [car.name for car in seen[:6]] == [None, "", "D", "Du", "Duc", "Duck"]
    assert (seen[-1], result.parsed) == (WHOLE, WHOLE)
    assert seen[-1] is result.parsed
    assert result.usage is not None
    assert result.response.text == json.dumps(CAR)
    body = emulator.requests[0].body
    assert (body["stream"], body["response_format"]["json_schema"]["name"]) == (True, "Car")


async def test_no_two_objects_in_a_row_are_the_same_until_the_validated_one() -> None:
    async with await opened(one_character_a_delta(json.dumps(CAR))) as cars:
        seen = [car async for car in cars]

    states = [(car.model_fields_set, car) for car in seen[:-1]]
    assert all(one != other for one, other in pairwise(states))


class Measured(BaseModel):
    size: int
    unit: str

    @model_validator(mode="after")
    def _in_millimetres(self) -> Measured:
        if self.unit == "cm":
            self.size, self.unit = self.size * 10, "mm"
        return self


class Pair(BaseModel):
    first: Measured
    second: Measured


async def test_an_inner_object_that_is_finished_is_the_validated_one() -> None:
    pair = {"first": {"size": 2, "unit": "cm"}, "second": {"size": 3, "unit": "cm"}}
    async with await opened(one_character_a_delta(json.dumps(pair)), Pair) as pairs:
        seen = [pair async for pair in pairs]

    begun = [pair.first for pair in seen[:-1] if pair.second is not None]
    assert begun
    assert all(first == Measured(size=20, unit="mm") for first in begun)


async def test_collect_alone_gives_the_object() -> None:
    async with await opened(one_character_a_delta(json.dumps(CAR))) as cars:
        assert cars.partial is None
        assert (await cars.collect()).parsed == WHOLE
        assert (await cars.collect()).parsed is cars.partial


async def test_collect_reads_what_is_left() -> None:
    async with await opened(one_character_a_delta(json.dumps(CAR))) as cars:
        async for car in cars:
            if car.name == "Duck":
                assert cars.partial == car
                break
        assert (await cars.collect()).parsed == WHOLE


async def test_a_loop_may_be_left_and_gone_on_with() -> None:
    async with await opened(one_character_a_delta(json.dumps(CAR))) as cars:
        first = await anext(cars)
        async for _ in cars:
            break
        rest = [car async for car in cars]

    assert [first.name, rest[0].name, rest[-1]] == [None, "D", WHOLE]


async def test_a_stream_is_read_once() -> None:
    cars = await opened(one_character_a_delta(json.dumps(CAR)))
    assert [car async for car in cars][-1] == WHOLE

    with pytest.raises(StreamConsumedError):
        aiter(cars)
    with pytest.raises(StopAsyncIteration):
        await anext(cars)


async def test_leaving_closes_the_connection_and_collecting_then_is_an_error() -> None:
    async with await opened(one_character_a_delta(json.dumps(CAR))) as cars:
        await anext(cars)

    with pytest.raises(StreamInterruptedError):
        await cars.collect()
    with pytest.raises(StreamConsumedError):
        aiter(cars)


async def test_json_in_a_fence_and_after_thoughts_grows_too() -> None:
    answer = f"<think>{{a car}}</think>\n```json\n{json.dumps(CAR)}\n```"
    async with await opened(one_character_a_delta(answer)) as cars:
        seen = [car async for car in cars]
        result = await cars.collect()

    assert [car.name for car in seen[:4]] == [None, "", "D", "Du"]
    assert result.unwrapped == ("think", "fence")
    assert result.parsed == WHOLE


async def test_an_invalid_answer_is_an_error_where_the_validated_object_would_be() -> None:
    async with await opened(one_character_a_delta('{"name": "x"}')) as cars:
        seen: list[Any] = []
        with pytest.raises(OutputInvalidError) as caught:
            async for car in cars:
                seen.append(car)  # noqa: PERF401  # what came before the error matters
        with pytest.raises(pydantic.ValidationError):
            await cars.collect()

    assert [car.name for car in seen] == [None, "", "x"]
    assert caught.value.partial == {"name": "x"}
    assert caught.value.response.text == '{"name": "x"}'
    assert cars.partial is not None
    assert cars.partial.name == "x"


async def test_an_answer_that_is_cut_off_is_an_error_with_what_came() -> None:
    async with await opened(one_character_a_delta('{"name": "Du', finish_reason="length")) as cars:
        with pytest.raises(OutputTruncatedError) as caught:
            await cars.collect()

    assert caught.value.partial == {"name": "Du"}
    assert caught.value.usage is not None


async def test_a_tool_call_is_an_error() -> None:
    async with await opened(tool_call("look")) as cars:
        with pytest.raises(ToolCallInsteadError):
            await cars.collect()


async def test_a_broken_stream_is_an_error_and_the_object_so_far_can_be_read() -> None:
    client, _ = client_of(stream(event(chunk('{"name": "Du')), event(chunk('ck", "co'))))

    async with await client.chat.completions.stream_parse(model="m", messages=HI, response_format=Car) as cars:
        with pytest.raises(StreamInterruptedError):
            async for _ in cars:
                pass
        assert cars.partial is not None
        assert cars.partial.name == "Duck"
        assert cars.stream.partial.text == '{"name": "Duck", "co'


async def test_only_the_first_choice_is_read() -> None:
    other = [event(chunk("noise", index=1)), event(chunk("noise", index=1, finish="stop"))]
    client, _ = client_of(stream(*other[:1], event(chunk(json.dumps(CAR))), *other[1:], FINISH, DONE))

    cars = await client.chat.completions.stream_parse(model="m", messages=HI, response_format=Car, n=2)

    assert [car async for car in cars][-1] == WHOLE


async def test_an_unusable_response_format_is_refused_before_anything_is_sent() -> None:
    client, emulator = scripted()
    completions = client.chat.completions

    with pytest.raises(SchemaNotStrictError):
        await completions.stream_parse(model="default", messages=HI, response_format=dict[str, int])
    with pytest.raises(TypeError):
        await completions.stream_parse(model="default", messages=HI, response_format=cast("Any", 7))
    with pytest.raises(InvalidArgumentError, match="parse"):
        await cast("Any", completions).stream_parse(model="default", messages=HI, response_format=Car, max_reasks=1)
    assert emulator.requests == []


async def test_an_error_of_the_server_is_raised_at_once() -> None:
    with pytest.raises(AuthenticationError):
        await opened(error(401))


# -- unfinished objects --------------------------------------------------------------------------------------------------


def grown(kind: Any, answer: str | dict[str, Any], *, pieces: Iterable[str] | None = None) -> list[Any]:
    """What is seen of an answer that comes character by character."""
    whole = answer if isinstance(answer, str) else json.dumps(answer)
    growing: Growing[Any] = Growing(kind, wrapped=is_wrapped(kind))
    return [seen for piece in pieces or whole if (seen := growing.feed(piece)) is not None]


def test_missing_fields_are_none_and_values_show_once_the_next_begins() -> None:
    seen = grown(Car, CAR)

    assert seen[0] == constructed()
    assert [car.name for car in seen if car.colour is None][-1] == "Duck"
    assert seen[6].colour is Colour.RED
    first_wheels = [car.wheels for car in seen if car.wheels]
    assert [vars(wheel) for wheel in first_wheels[0]] == [{"size": None, "maker": None}]
    assert first_wheels[1][0].size == 15
    assert {car.built for car in seen} == {None, date(1950, 1, 2)}
    assert {car.price for car in seen} == {None}, "a default has not come, and a number shows when the next value begins"


def constructed(**values: Any) -> Car:
    return Car.model_construct(**{**dict.fromkeys(Car.model_fields), **values})


def test_which_fields_have_come_is_known() -> None:
    seen = grown(Car, CAR)

    assert seen[0].model_fields_set == set()
    assert seen[-1].model_fields_set == {"name", "colour", "built", "wheels"}


class Guarded(BaseModel):
    model_config = ConfigDict(frozen=True)
    text: Annotated[str, Field(min_length=3)]
    number: Annotated[int, Field(gt=0)]
    last: str = "default"

    @model_validator(mode="after")
    def _never(self) -> Guarded:
        raise ValueError("validators play no part")

    def model_post_init(self, context: Any, /) -> None:
        raise RuntimeError("it is not called")


def test_partial_objects_skip_validation_and_hide_values_that_do_not_fit() -> None:
    seen = grown(Guarded, {"text": "ab", "number": -1, "last": "x"})

    assert [(guarded.text, guarded.number, guarded.last) for guarded in seen][-1] == ("ab", None, "x")


class Guards(BaseModel):
    all_of_them: list[Guarded]
    one: Guarded | Wheel
    wheels: set[Wheel]
    note: str


def test_an_object_that_ended_and_does_not_fit_shows_what_of_it_fits() -> None:
    guarded = {"text": "abc", "number": -1, "last": "x"}
    shown = grown(Guards, {"all_of_them": [guarded], "one": guarded, "wheels": [{"size": 1, "maker": "A"}], "note": "z"})[-1]

    assert [vars(each) for each in (*shown.all_of_them, shown.one)] == [{"text": "abc", "number": None, "last": "x"}] * 2
    assert (shown.wheels, shown.note) == (None, "z"), "what has no hash cannot be in a set"


@dataclass(frozen=True, slots=True)
class Point:
    x: int
    label: str = "none"
    tags: list[str] = field(default_factory=list[str])


@pydantic_dataclass
class Aliased:
    first: str = Field(alias="First")
    second: str = Field(validation_alias=AliasChoices("Second", "2nd"))


class Renamed(BaseModel):
    path: str = Field(validation_alias=AliasPath("one step"))
    choice: str = Field(validation_alias=AliasChoices("one choice"))
    choices: str = Field(validation_alias=AliasChoices(AliasPath("two", "steps"), "another"))


class Movie(TypedDict, total=False):
    title: str
    year: Annotated[int, Field(alias="Year")]
    points: list[Point]


class Cat(BaseModel):
    kind: Literal["cat"]
    name: str


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Owner(BaseModel):
    pet: Cat | Dog | None
    tagged: Annotated[Cat | Dog, Field(discriminator="kind")]


class Names(RootModel[list[str]]):
    pass


class Nothing(BaseModel):
    pass


class NoKeys(TypedDict):
    pass


class Holder(BaseModel):
    names: Names
    pair: tuple[int, str]
    kinds: set[str]
    last: deque[str]
    any_: Any
    prices: dict[str, float]
    text_or_number: str | int
    alias: Texts


@dataclass
class Shown(Generic[T]):
    content: T
    more: list[T]
    boxed: Shown[int] | None = None


class ShownDict(TypedDict, Generic[T]):
    content: T
    more: NotRequired[list[T]]
    boxed: ShownDict[int] | None


class Hidden(BaseModel):
    name: str
    _later: int
    _count: int = 3
    _names: list[str] = PrivateAttr(default_factory=list[str])


class Odd(BaseModel):
    name: str
    colour: Annotated[str, AfterValidator(lambda name: {"red": 1}[name])] | None
    size: int


LIST: Any = list  # that a type checker does not take what is in brackets for a type
HALVES = [
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"m",'
    b'"choices":[{"index":0,"delta":{"content":"' + delta + b'"},"finish_reason":null}]}\n\n'
    for delta in (rb"{\"size\": 1, \"maker\": \"M ", rb"\ud83d", rb"\ude00", rb"\"}")
]
Texts = TypeAliasType("Texts", list[str])


def test_a_dataclass_is_filled_field_by_field() -> None:
    seen = grown(Point, {"x": 1, "label": "a", "tags": ["b", "c"]})

    assert [type(point) for point in seen] == [Point] * len(seen)
    assert (seen[0].x, seen[0].label, seen[0].tags) == (None, None, None)
    assert seen[-1] == Point(1, "a", ["b", "c"])


def test_keys_are_those_of_the_json() -> None:
    assert [vars(seen) for seen in grown(Aliased, {"First": "a", "2nd": "b"})][-1] == {"first": "a", "second": "b"}
    seen = grown(Renamed, {"one step": "a", "one choice": "b", "another": "c"})[-1]
    assert vars(seen) == {"path": "a", "choice": "b", "choices": "c"}
    assert grown(Movie, {"title": "N", "Year": 1922, "points": []})[-1] == {"title": "N", "year": 1922, "points": []}


def test_parametrised_generic_classes_grow_too() -> None:
    for kind, made in ((Shown[str], Shown), (ShownDict[str], dict)):
        answer = {"content": "ab", "more": ["c"], "boxed": {"content": 1}}
        seen = grown(kind, answer)
        listed = grown(LIST[kind], {"value": [answer]})

        assert all(type(each) is made for each in seen)
        assert [field_of(each, "content") for each in seen[:4]] == [None, "", "a", "ab"]
        assert [field_of(each, "more") for each in seen][-4:] == [[], [""], ["c"], ["c"]]
        assert field_of(field_of(seen[-1], "boxed"), "content") in (None, 1)
        assert listed[-1] == [seen[-1]]


def field_of(value: Any, name: str) -> Any:
    return cast("dict[str, Any]", value).get(name) if isinstance(value, dict) else getattr(value, name)


def test_private_attributes_of_an_unfinished_object_have_their_defaults() -> None:
    seen = grown(Hidden, '{"name": "ab"}')

    assert [(each.name, each._count, each._names) for each in seen][-1] == ("ab", 3, [])  # the very thing
    assert not hasattr(seen[-1], "_later"), "what has no default is not there, as in any object of the class"
    assert seen[0]._names is not seen[1]._names


class Touchy(BaseModel):
    name: str
    size: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Touchy) and self.size + 1 == other.size + 1

    __hash__ = BaseModel.__hash__


class Holding(BaseModel):
    held: Touchy
    last: str


def test_an_eq_of_the_class_that_fails_on_missing_fields_does_no_harm() -> None:
    seen = grown(Holding, {"held": {"name": "ab", "size": 1}, "last": "x"})

    assert [each.held.name for each in seen if each.held][:4] == [None, "", "a", "ab"]
    assert (seen[-1].held.size, seen[-1].last) == (1, "x")


def test_a_validator_that_fails_oddly_hides_its_part_alone() -> None:
    seen = grown(Odd, '{"name": "a", "colour": "blue", "size": 1}')

    assert (seen[-1].name, seen[-1].colour) == ("a", None)


class Own(BaseModel):
    name: str
    size: int = 1
    shout: Annotated[str, AfterValidator(str.upper)]
    last: str

    @field_validator("name", "size")
    @classmethod
    def _never(cls, value: Any) -> Any:
        raise ValueError(f"validators of the class play no part, also not for {value}")


def test_validators_of_fields_play_no_part_and_functions_of_annotations_make_what_is_whole() -> None:
    seen = grown(Own, {"name": "ab", "size": 2, "shout": "ab", "last": "x"})

    assert [(own.name, own.size, own.shout) for own in seen][-3:] == [("ab", 2, "ab"), ("ab", 2, "AB"), ("ab", 2, "AB")]


class Pet(RootModel[Cat | Dog]):
    pass


class Branch(BaseModel):
    name: str
    left: Branch | None = None
    pet: Pet | None = None


def test_a_class_that_holds_itself_and_a_root_that_is_a_union_grow_too() -> None:
    answer = {"name": "a", "left": {"name": "b", "pet": {"kind": "dog", "name": "Rex"}, "left": {"name": "c"}}}
    seen = grown(Branch, answer)

    pets = [each.left.pet for each in seen if each.left and each.left.pet]
    assert {type(pet) for pet in pets} == {Pet}
    assert [pet.root.name for pet in pets][:2] == ["", "R"]
    assert seen[-1].left.left.name == "c"


@pytest.mark.parametrize("answer", ['{"name": "a\ud83d', '{"name": "a\ud83d", "colour": "red"'])
def test_half_of_a_surrogate_pair_is_not_shown(answer: str) -> None:
    assert grown(Car, answer)[-1].name == "a"


async def test_a_surrogate_pair_split_between_two_deltas_is_one_character() -> None:
    client, _ = client_of(stream(*HALVES, FINISH, DONE))
    async with await client.chat.completions.stream_parse(model="m", messages=HI, response_format=Wheel) as wheels:
        seen = [wheel async for wheel in wheels]
        result = await wheels.collect()

    assert [wheel.maker for wheel in seen if wheel.maker][-3:] == ["M", "M 😀", "M 😀"] or seen[-1].maker == "M 😀"
    assert result.response.text == '{"size": 1, "maker": "M 😀"}'


def test_missing_keys_of_a_typed_dict_are_absent() -> None:
    seen = grown(Movie, {"title": "N", "points": [{"x": 1, "label": "p", "tags": []}]})

    assert seen[:3] == [{}, {"title": ""}, {"title": "N"}]
    assert seen[-1]["points"] == [Point(1, "p", [])]


def test_a_member_of_a_union_shows_once_it_is_clear_which_it_is() -> None:
    seen = grown(Owner, {"pet": {"kind": "dog", "name": "Rex"}, "tagged": {"kind": "cat", "name": "Tom"}})

    pets = [owner.pet for owner in seen]
    assert [type(pet) for pet in (pets[0], pets[1], pets[-1])] == [type(None), Dog, Dog]
    assert [pet.name for pet in pets[1:5]] == ["", "R", "Re", "Rex"]
    assert seen[-1].tagged == Cat(kind="cat", name="Tom")


class Square(BaseModel):
    side: int
    colour: Literal["red", "blue"]
    shape: Literal["square"]
    note: str


class Circle(BaseModel):
    side: int
    colour: Literal["red", "blue"]
    shape: Literal["circle"]
    note: str


def test_a_tag_tells_the_members_of_a_union_apart_wherever_it_stands() -> None:
    seen = grown(Square | Circle, '{"value": {"side": 1, "colour": "blue", "shape": "circle", "note": "ab"')

    assert [vars(each) for each in seen[:1]] == [{"side": 1, "colour": "blue", "shape": "circle", "note": ""}]
    assert {type(each) for each in seen} == {Circle}


def test_every_other_container_is_filled_item_by_item() -> None:
    answer = {
        "names": ["a", "b"],
        "pair": [1, "two"],
        "kinds": ["k"],
        "last": ["l"],
        "any_": {"deep": [1, {"er": "x"}]},
        "prices": {"a": 1, "b": 2},
        "text_or_number": "words",
        "alias": ["x", "y"],
    }

    seen = grown(Holder, answer)

    assert [holder.names for holder in seen[1:6]] == [Names([]), Names([""]), Names(["a"]), Names(["a", ""]), Names(["a", "b"])]
    assert [holder.pair for holder in seen if holder.pair and holder.kinds is None][-1] == (1, "two")
    last = seen[-1]
    assert last == Holder.model_validate(answer)
    assert (type(last.names), type(last.pair), type(last.kinds), type(last.last)) == (Names, tuple, set, deque)


@pytest.mark.parametrize(
    ("kind", "answer", "values"),
    [
        pytest.param(list[str], '{"value": ["a", "b"]}', [[], [""], ["a"], ["a", ""], ["a", "b"]], id="wrapped list"),
        pytest.param(list[str], '["a"]', [[], [""], ["a"]], id="bare list"),
        pytest.param(list[str], '["a", 1, "b"]', [[], [""], ["a"], ["a", ""], ["a", "b"]], id="a number among texts"),
        pytest.param(list[int], '[1, "a", 2, 3]', [[], [1], [1, 2]], id="a text among numbers"),
        pytest.param(list[int], "[1, 2, 3]", [[], [1], [1, 2]], id="numbers"),
        pytest.param(Names, '{"value": ["a"]}', [Names([]), Names([""]), Names(["a"])], id="RootModel"),
        pytest.param(Literal["a"], '{"value": "a"}', [], id="literal"),
        pytest.param(Cat | Dog, '{"value": {"kind": "cat", "name": "T"}}', None, id="union"),
        pytest.param(str, '{"value": "ab"}', ["", "a", "ab"], id="text"),
        pytest.param(Point, "no JSON at all", [], id="no JSON"),
        pytest.param(Point, '{"x": 1} and more {', None, id="words after"),
        pytest.param(
            tuple[int, str],
            '{"value": [1, "a", "b"]}',
            [(), (1, ""), (1, "a"), (1, "a", ""), (1, "a", "b")],
            id="a tuple that goes on too long",
        ),
        pytest.param(tuple[()], '{"value": ["a"]}', [(), ("",), ("a",)], id="an item of the empty tuple"),
        pytest.param(
            tuple[int, int, str], '{"value": [1, 2, "a"]}', [(), (1,), (1, 2, ""), (1, 2, "a")], id="a tuple of three"
        ),
        pytest.param(Nothing, '{"odd": "a"}', [Nothing()], id="no fields"),
        pytest.param(NoKeys, '{"odd": "a"}', [NoKeys()], id="no keys"),
        pytest.param(tuple[str, ...], '{"value": ["a", "b"]}', [(), ("",), ("a",), ("a", ""), ("a", "b")], id="tuple"),
        pytest.param(
            dict[str, str],
            '{"a": "b", "c": "d"}',
            [{}, {"a": ""}, {"a": "b"}, {"a": "b", "c": ""}, {"a": "b", "c": "d"}],
            id="dict",
        ),
        pytest.param(str | None, '{"value": "ab"}', ["", "a", "ab"], id="optional text"),
        pytest.param(int | None, '{"value": 12}', [], id="optional number"),
        pytest.param(list[str], '{"other": ["a"]}', [], id="another key than the one that was asked for"),
        pytest.param(Cat | Dog, '{"value": {"odd": 1, "kind": "dog", "name": "x"}}', [], id="no member of the union"),
        pytest.param(
            Cat | list[str], '{"value": ["a", "b"]}', [[], [""], ["a"], ["a", ""], ["a", "b"]], id="a list or an object"
        ),
        pytest.param(Cat | dict[str, str], '{"kind": "cat", "name": "T"}', [], id="what two members of the union may be"),
        pytest.param(
            Annotated[Cat, Tag("c")] | Annotated[Dog, Tag("d")], '{"value": {"kind": "cat", "name": "T"}}', None, id="tagged"
        ),
        pytest.param(Movie, '{"title": "N", "odd": {"a": [1]}}', [{}, {"title": ""}, {"title": "N"}], id="a key too many"),
    ],
)
def test_a_root_that_is_not_an_object_is_filled_piece_by_piece(kind: Any, answer: str, values: list[Any] | None) -> None:
    seen = grown(kind, answer)

    if values is not None:
        assert seen == values
    elif kind is not Point:
        assert seen[-1] == Cat(kind="cat", name="T")


@pytest.mark.parametrize("thoughts", ["", "long " * 2_000], ids=["short", "long"])
@pytest.mark.parametrize(
    "draft", ['{"size": 1, "maker": "A"}', '{"size": 1, "maker": "A", "odd": 1}', '{"maker": "B", "size": 1}']
)
@pytest.mark.parametrize("size", ['"size": 2, ', ""], ids=["whole", "without a key of the draft"])
def test_nothing_of_a_draft_in_the_reasoning_is_left_in_the_answer(draft: str, thoughts: str, size: str) -> None:
    growing: Growing[Wheel] = Growing(Wheel, wrapped=False)
    for character in f'{thoughts}\n```json\n{draft}\n```\n</think>{{{size}"maker": "B", "more": {{':
        growing.feed(character)
    growing.look()

    assert vars(growing.current) == {"size": 2 if size else None, "maker": "B"}


class Loud(BaseModel):
    said: Annotated[str, AfterValidator(str.upper)]
    loud: str


class Quiet(BaseModel):
    said: str
    quiet: str


def test_after_a_draft_of_another_member_of_a_union_every_part_is_read_as_that_of_its_own() -> None:
    draft, answer = '{"said": "a", "loud": "x"}', '{"value": {"said": "a", "quiet": "y"'
    seen = grown(Loud | Quiet, f'{{"value": {draft}}}'), grown(Loud | Quiet, f"```json\n{draft}\n```</think>{answer}")

    assert [each[-1] for each in seen] == [Loud(said="a", loud="x"), Quiet(said="a", quiet="y")]


def test_however_the_text_is_cut_the_last_object_is_the_same() -> None:
    whole = json.dumps(CAR, ensure_ascii=True)
    (once,) = grown(Car, whole, pieces=[whole])

    for at in range(1, len(whole)):
        growing = Growing(Car, wrapped=False)
        growing.feed(whole[:at])
        growing.feed(whole[at:])
        growing.look()
        assert growing.current == once


def test_the_work_grows_with_the_length_of_the_answer_alone() -> None:
    answer = json.dumps({**CAR, "wheels": [{"size": 15, "maker": "words and words"}] * 500})
    lengths: list[int] = []

    class Counted(Growing[Car]):
        fed = 0

        def feed(self, text: str) -> Car | None:
            self.fed += len(text)
            return super().feed(text)

        def look(self) -> Car | None:
            lengths.append(self.fed)
            return super().look()

    growing = Counted(Car, wrapped=False)
    for character in answer:
        growing.feed(character)

    assert lengths[:259] == [*range(1, 257), 258, 260, 262], "at first with every character, and with every 256th of the text"
    assert len(answer) > 20_000
    assert 256 < len(lengths) < 256 + 256 * 6
    assert sum(lengths) <= 257 * len(answer)
    assert growing.current is not None
    assert len(growing.current.wheels) > 490


def test_a_finished_inner_object_is_made_once() -> None:
    growing: Growing[Any] = Growing(Car, wrapped=False)
    growing.feed('{"name": "x", "wheels": [{"size": 1, "maker": "a"}, {')
    first = cast("Any", growing.current).wheels[0]
    growing.feed('"size": 2, "maker": "b')

    assert cast("Any", growing.current).wheels[0] is first
    assert cast("Any", growing.current).wheels[1].maker == "b"


async def test_the_stream_is_an_async_iterator() -> None:
    cars = await opened(one_character_a_delta(json.dumps(CAR)))

    assert isinstance(cars, AsyncIterator)
    await cars.close()
