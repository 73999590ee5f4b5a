"""`parse` and `parse_as`: an object of a class, or an error that keeps what was paid for."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, NotRequired, TypeAlias, assert_type, cast

import pydantic
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypeAliasType, TypedDict

import venice_ai
from venice_ai import (
    APIError,
    ChatCompletionResponse,
    InvalidRequestError,
    OutputError,
    OutputInvalidError,
    OutputMissingError,
    OutputRefusedError,
    OutputTruncatedError,
    ParsedChatCompletion,
    SchemaNotStrictError,
    ToolCallFunction,
    ToolCallInsteadError,
    VeniceClient,
    VeniceError,
    exceptions,
)
from venice_ai.emulator import Emulator, Step, completion, error, text, tool_call, tool_calls
from venice_ai.resources.chat import ChatCompletions

HI = [{"role": "user", "content": "Tell me about Marie Curie."}]


class Person(BaseModel):
    name: str
    age: Annotated[int, Field(ge=0)]


@dataclass
class Point:
    x: int
    y: int = 0


class Movie(TypedDict):
    title: str
    year: int


class Names(RootModel[list[str]]):
    pass


class Open(RootModel[dict[str, Any]]):
    pass


class Inner(BaseModel):
    value: int


class Outer(BaseModel):
    """Looks like what stands for a class that is not an object."""

    value: Inner


class Numbered(TypedDict):
    title: str
    number: NotRequired[int]


class Shelf(BaseModel):
    films: list[Numbered]


Answer = TypeAliasType("Answer", Outer)
OUTER = '{"value": {"value": 1}}'
MARIE = '{"name": "Marie", "age": 66}'


def client_of(emulator: Emulator) -> VeniceClient:
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)


def scripted(*steps: Step) -> tuple[VeniceClient, Emulator]:
    emulator = Emulator()
    emulator.script(*steps)
    return client_of(emulator), emulator


async def parsed(step: Step, kind: Any = Person, **kwargs: Any) -> Any:
    client, _ = scripted(step)
    return await client.chat.completions.parse(model="default", messages=HI, response_format=kind, **kwargs)


async def failed(step: Step, kind: Any = Person, **kwargs: Any) -> OutputError:
    with pytest.raises(OutputError) as caught:
        await parsed(step, kind, **kwargs)
    return caught.value


def said(content: Any, finish_reason: str = "stop", **message: Any) -> Step:
    """A completion whose message is as given."""
    return completion(
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content, **message}}
            ],
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        }
    )


# -- an answer that fits -------------------------------------------------------------------------------------------------


async def test_the_answer_is_an_object_of_the_class() -> None:
    client, emulator = scripted(text(MARIE))

    result = await client.chat.completions.parse(model="default", messages=HI, response_format=Person)

    assert_type(result, ParsedChatCompletion[Person])
    assert_type(result.parsed, Person)
    assert result.parsed == Person(name="Marie", age=66)
    assert result.response.text == MARIE
    assert result.usage is result.response.usage
    assert result.usage is not None
    assert result.usage.total_tokens > 0
    assert (result.finish_reason, result.unwrapped, result.attempts) == ("stop", (), (result.response,))
    requested = emulator.requests[0].body["response_format"]
    assert (requested["type"], requested["json_schema"]["name"], requested["json_schema"]["strict"]) == (
        "json_schema",
        "Person",
        True,
    )
    assert requested["json_schema"]["schema"]["required"] == ["name", "age"]


async def test_the_name_and_the_strictness_may_be_chosen_and_everything_else_is_forwarded() -> None:
    client, emulator = scripted(text(MARIE))

    await client.chat.completions.parse(
        model="default",
        messages=HI,
        response_format=Person,
        schema_name="human",
        strict=False,
        temperature=0,
        seed=None,
        venice_parameters={"include_venice_system_prompt": False},
        timeout=5,
    )

    body = emulator.requests[0].body
    assert body["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "human", "strict": False, "schema": Person.model_json_schema()},
    }
    assert body.keys() == {"model", "messages", "response_format", "temperature", "venice_parameters"}


@pytest.mark.parametrize(
    ("kind", "answer", "value"),
    [
        pytest.param(Point, '{"x": 1, "y": 2}', Point(1, 2), id="dataclass"),
        pytest.param(Movie, '{"title": "Nosferatu", "year": 1922}', {"title": "Nosferatu", "year": 1922}, id="TypedDict"),
        pytest.param(list[Person], f'{{"value": [{MARIE}]}}', [Person(name="Marie", age=66)], id="list, wrapped"),
        pytest.param(list[Person], f"[{MARIE}]", [Person(name="Marie", age=66)], id="list, as a careless model gives it"),
        pytest.param(Names, '{"value": ["a", "b"]}', Names(["a", "b"]), id="RootModel"),
        pytest.param(Literal["yes", "no"], '{"value": "no"}', "no", id="literal"),
        pytest.param(Decimal, '{"value": "0.10"}', Decimal("0.10"), id="decimal"),
        pytest.param(Person | Point, f'{{"value": {MARIE}}}', Person(name="Marie", age=66), id="union"),
        pytest.param(Answer, OUTER, Outer(value=Inner(value=1)), id="alias of a class with that key"),
        pytest.param(Annotated[Outer, "doc"], OUTER, Outer(value=Inner(value=1)), id="annotated class with that key"),
        pytest.param(
            RootModel[Outer], OUTER, RootModel[Outer](Outer(value=Inner(value=1))), id="RootModel of a class with that key"
        ),
        pytest.param(dict[str, int], '{"a": 1}', {"a": 1}, id="dict"),
        pytest.param(dict[str, int], '{"value": 1}', {"value": 1}, id="dict with the key of a wrapped one"),
        pytest.param(dict[str, Any], '{"value": {"value": 1}}', {"value": {"value": 1}}, id="dict of anything with that key"),
        pytest.param(Open, '{"value": {"a": 1}}', Open({"value": {"a": 1}}), id="RootModel of a dict with that key"),
    ],
)
async def test_other_classes_than_models(kind: Any, answer: str, value: Any) -> None:
    result = await parsed(text(answer), kind, strict=kind not in (dict[str, int], dict[str, Any], Open))

    assert result.parsed == value
    assert isinstance(result.parsed, type(value))
    assert result.response.parse_as(kind) == value


@pytest.mark.parametrize(
    ("answer", "unwrapped"),
    [
        pytest.param(f"```json\n{MARIE}\n```", ("fence",), id="fence"),
        pytest.param(f"```\n{MARIE}\n```\n", ("fence",), id="fence without a language"),
        pytest.param(f"  ```JSON\r\n{MARIE}```", ("fence",), id="fence that ends on the line"),
        pytest.param(f"```{MARIE}```", ("fence",), id="fence on one line"),
        pytest.param(f"Here she is:\n\n```json\n{MARIE}\n```\nAnything else?", ("fence",), id="fence with words around"),
        pytest.param(f"<think>\nA {{scientist}}.\n</think>\n{MARIE}", ("think",), id="thoughts"),
        pytest.param(f"<think>Hm ```</think>```json\n{MARIE}\n```", ("think", "fence"), id="thoughts and a fence"),
        pytest.param(f"````json\n{MARIE}\n````", ("fence",), id="fence of four"),
        pytest.param(f"```json\n{MARIE}\n`````", ("fence",), id="fence with a longer end"),
        pytest.param(f"~~~ json\n{MARIE}\n~~~", ("fence",), id="fence of tildes"),
        pytest.param(f"Here:\n~~~~\n{MARIE}\n~~~~\nYes.", ("fence",), id="fence of tildes with words around"),
        pytest.param(f"\n {MARIE} \n", (), id="space"),
        pytest.param(f"\ufeff{MARIE}", (), id="byte order mark"),
        pytest.param('{"name": "```json\\n{}\\n```", "age": 1}', (), id="a fence within a text of it"),
    ],
)
async def test_json_in_one_code_fence_is_unwrapped_and_logged(
    answer: str, unwrapped: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "venice_ai.output")

    result = await parsed(text(answer))

    assert result.parsed.age in {66, 1}
    assert result.unwrapped == unwrapped
    assert [record.name for record in caplog.records] == ["venice_ai.output"] * len(unwrapped)
    assert result.response.text == answer


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(f"```json\n{MARIE}\n```\nor\n```json\n{MARIE}\n```", id="two fences"),
        pytest.param(f"She is {MARIE}.", id="JSON among words"),
        pytest.param(f"Here:\n~~~\n{MARIE}\n```", id="a fence that another one ends"),
        pytest.param(f"Here:\n````\n{MARIE}\n```", id="a fence with a shorter end"),
        pytest.param("```json\nnothing\n```", id="a fence without JSON"),
    ],
)
async def test_text_that_is_not_clearly_one_json_value_is_invalid(answer: str) -> None:
    error = await failed(text(answer))

    assert isinstance(error, OutputInvalidError)
    assert error.errors()[0]["type"] == "json_invalid"


@pytest.mark.parametrize(("kind", "inside", "problem"), [(Person, MARIE, "model_type"), (int, "7", "int_parsing")])
async def test_a_fence_within_a_string_of_json_is_not_the_answer(kind: Any, inside: str, problem: str) -> None:
    error = await failed(text(json.dumps(f"Here:\n```json\n{inside}\n```\n").replace("\\n", "\n")), kind)

    assert isinstance(error, OutputInvalidError)
    assert [line["type"] for line in error.errors()] == [problem]


async def test_an_answer_that_fits_is_accepted_with_any_finish_reason() -> None:
    assert (await parsed(text(MARIE, finish_reason="length"))).finish_reason == "length"
    assert (await parsed(tool_calls(("look", {}), content=MARIE))).parsed.age == 66
    assert (await parsed(said([{"type": "text", "text": MARIE[:9]}, {"type": "text", "text": MARIE[9:]}]))).parsed.age == 66


@pytest.mark.parametrize("step", [said(MARIE, "content_filter"), said(MARIE, refusal="no")], ids=["filtered", "refused"])
async def test_a_refused_answer_is_an_error_though_its_text_would_fit(step: Step) -> None:
    error = await failed(step)

    assert isinstance(error, OutputRefusedError)
    assert error.raw_text == MARIE


async def test_a_number_that_may_be_truncated_is_a_truncation_error() -> None:
    assert (await parsed(text("12"), int)).parsed == 12
    assert (await parsed(text('{"value": 12}', finish_reason="length"), int)).parsed == 12

    for answer in ("12", "3", "-1.5", "2e3", "<think>two</think> 12"):
        error = await failed(text(answer, finish_reason="length"), float)

        assert isinstance(error, OutputTruncatedError)
        assert error.raw_text == answer


async def test_unions_that_differ_in_the_order_of_their_members_alone_are_asked_for_as_they_are_written() -> None:
    client, emulator = scripted(text('{"value": 1}'), text('{"value": 1}'))
    for kind in (int | str, str | int):
        await client.chat.completions.parse(model="default", messages=HI, response_format=cast("Any", kind))

    asked = [request.body["response_format"]["json_schema"] for request in emulator.requests]
    assert [[each["type"] for each in schema["schema"]["properties"]["value"]["anyOf"]] for schema in asked] == [
        ["integer", "string"],
        ["string", "integer"],
    ]


async def test_null_for_an_optional_key_is_read_as_absent() -> None:
    films = '[{"title": "M", "number": null}, {"number": 3, "title": "N"}]'

    assert (await parsed(text(f'{{"films": {films}}}'), Shelf)).parsed.films == [{"title": "M"}, {"title": "N", "number": 3}]
    assert (await parsed(text(f'{{"value": {films}}}'), list[Numbered])).parsed == [{"title": "M"}, {"title": "N", "number": 3}]
    error = await failed(text('{"title": null, "number": null}'), Numbered)
    assert isinstance(error, OutputInvalidError)
    assert [line["loc"] for line in error.errors()] == [("title",)]


@pytest.mark.parametrize(
    ("kind", "answer", "problem"),
    [
        pytest.param(Point, '{"x": 1, "y": null}', ("int_type", ("y",)), id="a default"),
        pytest.param(Person, '{"name": null, "age": 1}', ("string_type", ("name",)), id="a field that is required"),
        pytest.param(Movie, '{"title": null, "year": 1}', ("string_type", ("title",)), id="a key that is required"),
    ],
)
async def test_null_for_what_must_have_a_value_is_an_error_of_that_value(kind: Any, answer: str, problem: Any) -> None:
    error = await failed(text(answer), kind)

    assert isinstance(error, OutputInvalidError)
    assert [(line["type"], line["loc"]) for line in error.errors()] == [problem]


async def test_an_unscripted_answer_of_the_emulator_fits_the_class() -> None:
    result = await client_of(Emulator()).chat.completions.parse(model="default", messages=HI, response_format=list[Person])

    assert_type(result.parsed, list[Person])
    assert all(isinstance(person, Person) for person in result.parsed)


# -- an answer that does not ---------------------------------------------------------------------------------------------

Promise: TypeAlias = type[Exception]


@pytest.mark.parametrize(
    ("step", "kind", "promises", "raw_text", "partial"),
    [
        pytest.param(
            text('{"name": "Marie", "age": -1}'),
            OutputInvalidError,
            (pydantic.ValidationError, ValueError),
            '{"name": "Marie", "age": -1}',
            {"name": "Marie", "age": -1},
            id="mismatch",
        ),
        pytest.param(text("Sorry?"), OutputInvalidError, (pydantic.ValidationError, ValueError), "Sorry?", None, id="no JSON"),
        pytest.param(said(None), OutputMissingError, (ValueError,), None, None, id="no content"),
        pytest.param(said(""), OutputInvalidError, (pydantic.ValidationError, ValueError), "", None, id="empty"),
        pytest.param(
            said([{"type": "image_url", "image_url": {"url": "x"}}]),
            OutputMissingError,
            (ValueError,),
            None,
            None,
            id="no text",
        ),
        pytest.param(completion({"id": "x", "usage": None}), OutputMissingError, (ValueError,), None, None, id="no choice"),
        pytest.param(
            text('{"name": "Marie Sk', finish_reason="length"),
            OutputTruncatedError,
            (pydantic.ValidationError, ValueError),
            '{"name": "Marie Sk',
            {"name": "Marie Sk"},
            id="cut off",
        ),
        pytest.param(
            text('```json\n{"name": "Marie", "age', finish_reason="length"),
            OutputTruncatedError,
            (pydantic.ValidationError,),
            '```json\n{"name": "Marie", "age',
            {"name": "Marie"},
            id="cut off in a fence",
        ),
        pytest.param(said("", "length"), OutputTruncatedError, (ValueError,), "", None, id="cut off while thinking"),
        pytest.param(said(None, refusal="I cannot."), OutputRefusedError, (ValueError,), None, None, id="refused"),
        pytest.param(
            said("I cannot.", "content_filter"),
            OutputRefusedError,
            (pydantic.ValidationError, ValueError),
            "I cannot.",
            None,
            id="filtered, with words",
        ),
        pytest.param(
            said('{"name": "Mar', "content_filter"),
            OutputRefusedError,
            (pydantic.ValidationError,),
            '{"name": "Mar',
            {"name": "Mar"},
            id="filtered midway",
        ),
        pytest.param(said("", "content_filter"), OutputRefusedError, (ValueError,), "", None, id="filtered"),
        pytest.param(tool_call("look"), ToolCallInsteadError, (ValueError,), "", None, id="tool call"),
        pytest.param(
            tool_calls(("look", {}), content="One moment."),
            ToolCallInsteadError,
            (pydantic.ValidationError, ValueError),
            "One moment.",
            None,
            id="tool call with words",
        ),
    ],
)
async def test_each_output_error_has_its_documented_class_and_the_answer(
    step: Step, kind: type[OutputError], promises: tuple[Promise, ...], raw_text: str | None, partial: Any
) -> None:
    error = await failed(step)

    assert isinstance(error, kind)
    kept: tuple[Promise, ...] = (VeniceError, *promises)
    for promise in kept:
        with pytest.raises(promise):
            raise error
    assert not isinstance(error, APIError)
    assert isinstance(error.response, ChatCompletionResponse)
    assert error.response.meta.status_code == 200
    assert error.usage is error.response.usage
    assert (error.raw_text, error.partial) == (raw_text, partial)
    assert error.attempts == (error.response,)
    assert error.total_usage == error.usage
    assert error.message
    assert str(error).startswith(error.message)


@pytest.mark.parametrize(
    ("step", "words"),
    [
        pytest.param(
            text('{"name": "Marie', finish_reason="length"),
            "the answer was cut off after 15 characters (finish_reason 'length'), so there is no whole Person. "
            "Raise max_completion_tokens, which also counts reasoning; what had come is in `partial` and `raw_text`.",
            id="cut off",
        ),
        pytest.param(
            said(None, "max_tokens"), "the answer was cut off after 0 characters (finish_reason 'max_tokens'), so", id="at once"
        ),
        pytest.param(
            said(None, refusal="no" * 200),
            f"the model refused: {'no' * 200!r:.200}, so there is no Person. Change the prompt, or choose another model.",
            id="refused",
        ),
        pytest.param(
            said("I", "content_filter"),
            "a content filter stopped the answer, so there is no Person. Change the prompt, or choose another model; "
            "what had come is in `raw_text`.",
            id="filtered",
        ),
        pytest.param(
            tool_call("look"),
            "the model wants a tool called, so there is no Person yet. See `tool_calls`; run_with_tools(...) runs them.",
            id="tool call",
        ),
        pytest.param(said(None), "the answer has no text to fit Person; it is in `response`.", id="nothing"),
        pytest.param(said("  "), "the answer has no text to fit Person; it is in `response`.", id="blanks"),
        pytest.param(text("{}"), "the answer does not fit Person; it is in `response`.", id="mismatch"),
    ],
)
async def test_an_error_says_what_happened_and_what_to_do(step: Step, words: str) -> None:
    assert (await failed(step)).message.startswith(words)


async def test_a_tool_call_or_a_refusal_without_words_is_no_validation_error() -> None:
    media = said([{"type": "image_url", "image_url": {"url": "x"}}])
    nothing = completion({"id": "x", "usage": None})
    for step in (tool_call("look"), said(None, refusal="no"), said("", "content_filter"), said(None), media, nothing):
        assert not isinstance(await failed(step), pydantic.ValidationError)


async def test_a_tool_call_and_a_refusal_can_be_read_from_the_error() -> None:
    called = await failed(tool_call("look", {"at": "her"}))
    refused = await failed(said(None, refusal="I cannot."))

    assert isinstance(called, ToolCallInsteadError)
    assert called.tool_calls[0].function.arguments_dict == {"at": "her"}
    assert isinstance(refused, OutputRefusedError)
    assert refused.refusal == "I cannot."
    assert "I cannot." in refused.message


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [(["no"], OutputRefusedError), (7, OutputRefusedError), ("", OutputMissingError), (None, OutputMissingError)],
)
async def test_a_refusal_that_is_no_text_is_not_in_the_error_and_an_empty_one_is_none(
    refusal: Any, kind: type[OutputError]
) -> None:
    error = await failed(said(None, refusal=refusal))

    assert type(error) is kind
    assert getattr(error, "refusal", None) is None


class Strange(BaseModel):
    """Fails in every way that pydantic knows."""

    model_config = ConfigDict(title="Somebody")
    age: int
    value: int
    asserted: int
    custom: int
    pinned: Literal["a"]
    many: Annotated[list[int], Field(max_length=1)]

    @field_validator("value")
    @classmethod
    def _value(cls, _: int) -> int:
        raise ValueError("not {value}")

    @field_validator("asserted")
    @classmethod
    def _asserted(cls, _: int) -> int:
        raise AssertionError("never")

    @field_validator("custom")
    @classmethod
    def _custom(cls, _: int) -> int:
        raise PydanticCustomError("my_own", "{what} {} odd", {"what": "too"})


HALVES = ['{"name": "M \ud83d', '\ude00", "age": 1}']


@pytest.mark.parametrize("content", ["".join(HALVES), [{"type": "text", "text": half} for half in HALVES]])
def test_a_split_surrogate_pair_is_read_as_one_character(content: Any) -> None:
    assert response(content).parse_as(Person) == Person(name="M 😀", age=1)


@pytest.mark.parametrize(
    ("content", "partial"),
    [('{"name": "M \ud83d", "age": 1}', {"name": "M "}), ("\ude00", None), ('{"name": "M", "age": 1} \ud83d', None)],
    ids=["in the middle", "alone", "after"],
)
def test_half_of_a_surrogate_pair_is_an_output_error_with_the_answer(content: str, partial: Any) -> None:
    errors: list[Any] = []
    for kind, finish_reason in ((Person, "stop"), (Person, "length"), (list[Person], "stop")):
        with pytest.raises((OutputInvalidError, OutputTruncatedError)) as caught:
            response(content, finish_reason=finish_reason).parse_as(kind)
        errors.append(caught.value)

    assert [type(error) for error in errors] == [OutputInvalidError, OutputTruncatedError, OutputInvalidError]
    for each in errors:
        assert each.response.text == each.raw_text == content
        assert str(each).encode()
        assert pickle.loads(pickle.dumps(each)).raw_text == content  # our own
    assert partial is None or errors[0].partial == partial


class Lookup(BaseModel):
    """Its validator raises what pydantic does not catch."""

    name: str

    @field_validator("name")
    @classmethod
    def known(cls, name: str) -> str:
        return {"Marie": "M"}[name]


async def test_whatever_a_validator_raises_is_an_error_with_the_answer() -> None:
    assert (await parsed(text('{"name": "Marie"}'), Lookup)).parsed.name == "M"

    for kind, answer in ((Lookup, '{"name": "Pierre"}'), (list[Lookup], '{"value": [{"name": "Pierre"}]}')):
        error = await failed(text(answer), kind)

        assert isinstance(error, OutputInvalidError)
        assert isinstance(error.__cause__, KeyError)
        assert error.raw_text == answer
        (line,) = error.errors(include_url=False)
        assert (line["type"], line["msg"], line["loc"]) == ("validator_failed", "KeyError: 'Pierre'", ())


@pytest.mark.parametrize(
    ("kind", "answer", "place"),
    [
        pytest.param(list[Person], f'{{"value": [{MARIE}, {{"name": "P", "age": "old"}}]}}', ("value", 1, "age"), id="list"),
        pytest.param(Person | None, '{"value": {"name": "a"}}', ("value", "age"), id="optional"),
        pytest.param(Literal["x", "y"], '{"value": "z"}', ("value",), id="literal"),
        pytest.param(Names, '{"value": ["a", 1]}', ("value", 1), id="RootModel"),
        pytest.param(Person | Point, '{"value": {"name": 3}}', ("value", "Person", "name"), id="union"),
    ],
)
async def test_the_errors_of_a_wrapped_answer_are_within_it(kind: Any, answer: str, place: tuple[Any, ...]) -> None:
    error = await failed(text(answer), kind)

    assert isinstance(error, OutputInvalidError)
    assert place in [line["loc"] for line in error.errors()]
    assert all(line["loc"][0] == "value" for line in error.errors())


@pytest.mark.parametrize(
    ("came", "partial"),
    [
        pytest.param('{"name": "M", "age": 1', {"name": "M"}, id="number"),
        pytest.param('{"name": "M", "age": -1.5e3', {"name": "M"}, id="number with an exponent"),
        pytest.param('{"rows": [1, 2', {"rows": [1]}, id="number in a list"),
        pytest.param('{"rows": [1, 2, 3', {"rows": [1, 2]}, id="third number in a list"),
        pytest.param(
            '{"a": 1, "b": [2], "rows": [{"c": 3}, {"d": 4, "e": 5, "f": 6',
            {"a": 1, "b": [2], "rows": [{"c": 3}, {"d": 4, "e": 5}]},
            id="number in an object in a list",
        ),
        pytest.param('{"a": true, "b: 1', {"a": True}, id="key that looks like a number's"),
        pytest.param('{"rows": [1, 2]', {"rows": [1, 2]}, id="list that is whole"),
        pytest.param('{"name": "M", "age": 1,', {"name": "M", "age": 1}, id="number that is whole"),
        pytest.param('{"age": 1, "name": "M12', {"age": 1, "name": "M12"}, id="text"),
        pytest.param('{"age": 1, "b2', {"age": 1}, id="key"),
        pytest.param('{"age": 1, "b": -', {"age": 1}, id="sign"),
    ],
)
async def test_a_number_that_was_cut_is_not_shown_as_whole(came: str, partial: Any) -> None:
    assert (await failed(text(came, finish_reason="length"))).partial == partial


async def test_an_invalid_answer_has_the_very_errors_of_pydantic() -> None:
    answer = {"age": "x", "value": 1, "asserted": 1, "custom": 1, "pinned": "b", "many": [1, 2]}
    with pytest.raises(pydantic.ValidationError) as plain:
        Strange.model_validate_json(json.dumps(answer))

    error = await failed(text(json.dumps(answer)), Strange)

    assert isinstance(error, pydantic.ValidationError)
    assert errors_of(error) == errors_of(plain.value)
    assert error.error_count() == plain.value.error_count() == 6
    assert json.loads(error.json(include_context=False)) == json.loads(plain.value.json(include_context=False))
    assert "Input should be 'a'" in str(error)


def errors_of(error: pydantic.ValidationError) -> list[Any]:
    """Its errors; exceptions in them are equal by their texts."""
    return [{**line, "ctx": str(line.get("ctx"))} for line in error.errors()]


@pytest.mark.parametrize(
    "step",
    [
        text('{"name": 1}'),
        text("{", finish_reason="length"),
        tool_call("look"),
        tool_calls(("look", {}), content="x"),
        said(None, refusal="no"),
        said("no", refusal="no"),
    ],
)
async def test_an_error_survives_copying_and_pickling(step: Step) -> None:
    error = await failed(step)

    for twin in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert type(twin) is type(error)
        assert str(twin) == str(error)
        assert twin.response == error.response
        assert (twin.raw_text, twin.partial, twin.message) == (error.raw_text, error.partial, error.message)
        if isinstance(error, pydantic.ValidationError):
            assert errors_of(cast("pydantic.ValidationError", twin)) == errors_of(error)


class Discreet(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)
    secret: int


async def test_a_class_that_hides_its_input_hides_it_in_our_errors_too() -> None:
    error = await failed(text('{"secret": "xyzzy"}'), Discreet)

    assert "xyzzy" not in str(error)


async def test_no_error_shows_the_prompt() -> None:
    error = await failed(text("nothing"))

    assert "Marie Curie" not in str(error) + repr(error)


# -- requests that are not made ------------------------------------------------------------------------------------------


async def test_a_stream_is_refused() -> None:
    client, emulator = scripted()

    with pytest.raises(ValueError, match="stream_parse"):
        await cast("Any", client.chat.completions).parse(model="default", messages=HI, response_format=Person, stream=True)

    assert emulator.requests == []


@pytest.mark.parametrize("kind", [{"type": "json_object"}, "Person", None, Person(name="x", age=1)])
async def test_a_response_format_that_is_not_a_class_is_a_type_error(kind: Any) -> None:
    client, emulator = scripted()

    with pytest.raises(TypeError, match="response_format="):
        await client.chat.completions.parse(model="default", messages=HI, response_format=kind)

    assert emulator.requests == []


class Priced(BaseModel):
    prices: dict[str, float]


@pytest.mark.parametrize("method", ["create", "stream"])
async def test_create_refuses_a_class_that_strict_mode_cannot_express_as_any_request_that_cannot_be_right(method: str) -> None:
    client, emulator = scripted(text("{}"))

    with pytest.raises(InvalidRequestError, match=r"\$\.prices .* give the format as a mapping") as caught:
        await getattr(client.chat.completions, method)(model="default", messages=HI, response_format=Priced)
    assert isinstance(caught.value, SchemaNotStrictError)
    assert caught.value.path == "$.prices"
    assert "as it is with strict=False" not in str(caught.value)
    assert pickle.loads(pickle.dumps(caught.value)).path == "$.prices"
    assert emulator.requests == []


@pytest.mark.parametrize("name", ["", "a b", "é", "x" * 65, 7])
async def test_a_schema_name_that_cannot_be_one_is_refused(name: Any) -> None:
    client, emulator = scripted(text("{}"))

    with pytest.raises(InvalidRequestError, match="schema_name="):
        await client.chat.completions.parse(model="default", messages=HI, response_format=Person, schema_name=name)
    with pytest.raises(InvalidRequestError, match="schema_name="):
        await client.chat.completions.stream_parse(model="default", messages=HI, response_format=Person, schema_name=name)
    assert emulator.requests == []


@pytest.mark.parametrize("strict", [None, "no", 1])
@pytest.mark.parametrize("method", ["parse", "stream_parse"])
async def test_strict_that_is_neither_true_nor_false_is_refused(method: str, strict: Any) -> None:
    client, emulator = scripted(text("{}"))

    with pytest.raises(InvalidRequestError, match=f"^strict={strict!r} is not allowed"):
        await getattr(client.chat.completions, method)(model="default", messages=HI, response_format=Person, strict=strict)
    assert emulator.requests == []


async def test_create_that_is_overridden_may_change_the_list_it_is_given() -> None:
    class Clearing(ChatCompletions):
        async def create(self, **more: Any) -> Any:
            answer = cast("Any", await super().create(**more))
            more["messages"].clear()
            return answer

    client, emulator = scripted(text("nothing"), text('{"name": "Marie", "age": 66}'))
    await Clearing(client).parse(model="default", messages=HI, response_format=Person, max_reasks=1)

    assert [request.body["messages"][0] for request in emulator.requests] == HI * 2


THOUGHTS = [
    pytest.param("<think>a</think>", id="think"),
    pytest.param("<THINK>a</THINK>\n", id="upper case"),
    pytest.param('<thinking mode="deep">a</thinking>', id="attributes"),
    pytest.param("<reasoning>a</reasoning>", id="reasoning"),
    pytest.param("<thought>a</thought>", id="thought"),
    pytest.param("I think {a} and [b].\n</think>\n", id="a closing tag without an opening one"),
    pytest.param("<think>a</think>\n\n<think>b</think>", id="several blocks"),
    pytest.param("<think>a</think> So: <thought>b</thought>", id="several blocks with words between"),
    pytest.param("<think>\na\n</think>\nSo:\n<Thought>\nb\n</THOUGHT>\n", id="the same on several lines"),
]


@pytest.mark.parametrize("thought", THOUGHTS)
@pytest.mark.parametrize(
    "answer", ['{"name": "M\nC", "age": 1}', '```json\n{"name": "M\nC", "age": 1}\n```'], ids=["plain", "fence"]
)
async def test_reasoning_before_json_and_line_breaks_in_it_are_read_as_models_write_them(thought: str, answer: str) -> None:
    client, _ = scripted(text(thought + answer))
    result = await client.chat.completions.parse(model="default", messages=HI, response_format=Person)

    assert (result.parsed.name, result.parsed.age) == ("M\nC", 1)
    assert result.unwrapped[0] == "think"


async def test_a_closing_tag_within_json_ends_nothing() -> None:
    client, _ = scripted(text('{"name": "</think>{", "age": -1}'), text('{"name": "</think>{", "ag'))
    for _ in range(2):
        with pytest.raises(ValueError) as caught:  # either kind
            await client.chat.completions.parse(model="default", messages=HI, response_format=Person)
        assert isinstance(caught.value, OutputError)
        assert caught.value.partial["name"] == "</think>{"


async def test_a_class_that_strict_mode_cannot_express_is_refused_unless_strict_is_off() -> None:
    client, emulator = scripted(text('{"prices": {"a": 1}}'))

    with pytest.raises(SchemaNotStrictError, match=r"\$\.prices"):
        await client.chat.completions.parse(model="default", messages=HI, response_format=Priced)
    assert emulator.requests == []
    result = await client.chat.completions.parse(model="default", messages=HI, response_format=Priced, strict=False)

    assert result.parsed.prices == {"a": 1}


async def test_parse_raises_the_same_errors_as_create() -> None:
    client, _ = scripted(error(402))

    with pytest.raises(InvalidRequestError, match="temperature"):
        await client.chat.completions.parse(model="default", messages=HI, response_format=Person, temperature=9)
    with pytest.raises(TypeError, match="max_completion_tokens"):
        await cast("Any", client.chat.completions).parse(model="default", messages=HI, response_format=Person, max_tokens=9)
    with pytest.raises(APIError) as caught:
        await client.chat.completions.parse(model="default", messages=HI, response_format=Person)
    assert caught.value.status_code == 402


async def test_create_that_gives_no_response_is_a_type_error() -> None:
    client, _ = scripted()

    class Overridden(ChatCompletions):
        async def create(self, **_: Any) -> Any:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
            return {"choices": []}

    with pytest.raises(TypeError, match="not a ChatCompletionResponse"):
        await Overridden(client).parse(model="default", messages=HI, response_format=Person)


# -- a class in `create`, and `parse_as` ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Person, Point, Movie, list[Person], Names, Person | None])
async def test_create_takes_any_class_and_parse_as_reads_it(kind: Any) -> None:
    emulator = Emulator()

    reply = await client_of(emulator).chat.completions.create(model="default", messages=HI, response_format=kind)

    schema = emulator.requests[0].body["response_format"]["json_schema"]
    assert schema["strict"] is True
    assert schema["schema"]["additionalProperties"] is False
    reply.parse_as(kind)


def response(*contents: Any, finish_reason: str = "stop") -> ChatCompletionResponse:
    return ChatCompletionResponse.model_validate(
        {
            "id": "x",
            "created": 1,
            "model": "m",
            "choices": [
                {"index": i, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}
                for i, content in enumerate(contents)
            ],
        }
    )


def test_parse_as_reads_any_choice() -> None:
    reply = response(MARIE, '{"name": "Pierre", "age": 46}')

    assert_type(reply.parse_as(Person), Person)
    assert [reply.parse_as(Person).name, reply.parse_as(Person, 1).name, reply.parse_as(Person, choice_index=-1).name] == [
        "Marie",
        "Pierre",
        "Pierre",
    ]
    assert reply.parse_as(Person, choice_index=-2).name == "Marie"
    for index in (2, -3):
        with pytest.raises(ValueError, match=f"no choice {index}"):
            reply.parse_as(Person, choice_index=index)


@pytest.mark.parametrize(("kind", "name"), [(Person, "Person"), (list[int], "list[int]"), (Person | None, repr(Person | None))])
async def test_an_error_names_the_class_as_it_is_written(kind: Any, name: str) -> None:
    error = await failed(completion({"id": "x", "usage": None}), kind)

    assert f"there is no {name}" in str(error)


def test_parse_as_of_a_response_made_by_hand_is_an_error_with_it() -> None:
    with pytest.raises(OutputInvalidError) as caught:
        response("{}").parse_as(Person)

    assert caught.value.response == response("{}")
    assert [line["loc"] for line in caught.value.errors()] == [("name",), ("age",)]


class Plain:
    pass


def test_parse_as_refuses_what_parse_refuses() -> None:
    reply = response(MARIE)

    for no_class in ({"type": "object"}, "x", None):
        with pytest.raises(TypeError, match="is not a class"):
            reply.parse_as(cast("Any", no_class))
    with pytest.raises(SchemaNotStrictError, match="Plain cannot become a JSON schema"):
        reply.parse_as(Plain)
    assert reply.parse_as(dict[str, Any]) == json.loads(MARIE)


def test_a_field_of_that_name_does_not_hide_the_method() -> None:
    reply = ChatCompletionResponse.model_validate({**response(MARIE).model_dump(), "parse_as": 1})

    assert reply.parse_as(Person).age == 66
    assert reply["parse_as"] == 1


def test_the_arguments_of_a_tool_call_are_an_object_too() -> None:
    function = ToolCallFunction(name="meet", arguments=MARIE)

    assert function.parse_as(Person) == Person(name="Marie", age=66)
    assert function.arguments_dict == {"name": "Marie", "age": 66}
    with pytest.raises(pydantic.ValidationError):
        ToolCallFunction(name="meet", arguments="{").parse_as(Person)


# -- names ---------------------------------------------------------------------------------------------------------------


def test_the_errors_are_found_where_errors_are() -> None:
    for name in ("OutputError", "OutputInvalidError", "OutputTruncatedError", "OutputRefusedError", "ToolCallInsteadError"):
        assert getattr(venice_ai, name) is getattr(exceptions, name)
        assert getattr(exceptions, name).__module__ == "venice_ai.exceptions"
    with pytest.raises(AttributeError, match="NoSuchError"):
        getattr(exceptions, "NoSuchError")  # noqa: B009  # a checker would see through the attribute


def test_the_result_is_a_value() -> None:
    result = ParsedChatCompletion(response(MARIE), Person(name="Marie", age=66))

    assert (result.attempts, result.usage, result.total_usage, result.finish_reason) == ((), None, None, "stop")
    with pytest.raises(AttributeError):
        result.parsed = Person(name="x", age=1)  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
