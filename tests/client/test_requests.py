"""What is sent: exactly what the caller gave, checked before the network."""

from __future__ import annotations

import asyncio
import cProfile
import math
import pstats
import re
import subprocess
import sys
import types
import warnings
from collections.abc import Callable
from contextlib import aclosing, suppress
from decimal import Decimal
from enum import Enum, IntEnum
from typing import Any, cast

import pytest
from hypothesis import given
from pydantic import BaseModel, Field, HttpUrl
from typing_extensions import TypedDict

import venice_ai
from venice_ai import (
    APIError,
    InvalidArgumentError,
    InvalidRequestError,
    JSONSchemaFormat,
    ReasoningConfig,
    StreamInterruptedError,
    StreamOptions,
    SyncVeniceClient,
    Tool,
    ToolChoice,
    ToolFunction,
    VeniceClient,
    VeniceParameters,
)
from venice_ai._wire.request_body import chat_body, chat_size
from venice_ai.emulator import Emulator
from venice_ai.types.api import JSONObjectFormat, SpecificToolChoice, TextResponseFormat

from ..fakes import HI, JSON, KEY, answer, chunk, client_of, completion, event, hello, refused, sent, stream

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "n", "strict": True, "schema": {"type": "object", "properties": {}, "additionalProperties": False}},
}


async def test_a_request_holds_what_was_given_and_nothing_else() -> None:
    assert await sent() == {"model": "m", "messages": HI}


async def test_a_stream_also_asks_for_the_stream_and_its_usage() -> None:
    client, transport = client_of(stream(*hello()))

    async with await client.chat.completions.stream(model="m", messages=HI):
        pass

    assert transport.bodies == [{"model": "m", "messages": HI, "stream": True, "stream_options": {"include_usage": True}}]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"include_usage": False}, {"include_usage": False}, id="no usage"),
        pytest.param({}, {}, id="nothing"),
        pytest.param(StreamOptions(include_usage=True), {"include_usage": True}, id="an object"),
        pytest.param({"include_usage": True, "later": 1}, {"include_usage": True, "later": 1}, id="more"),
        pytest.param(None, {"include_usage": True}, id="None is not given"),
    ],
)
async def test_stream_options_of_the_caller_s_are_left_alone(given: Any, expected: dict[str, Any]) -> None:
    client, transport = client_of(stream(*hello()))

    async with await client.chat.completions.stream(model="m", messages=HI, stream_options=given):
        pass

    assert transport.bodies[0]["stream_options"] == expected


async def test_a_request_is_a_post_of_json_to_the_documented_address() -> None:
    client, transport = client_of(answer(completion()))

    await client.chat.completions.create(model="m", messages=HI)

    (request,) = transport.requests
    assert (request.method, request.url) == ("POST", "https://api.venice.ai/api/v1/chat/completions")
    assert request.headers["Content-Type"] == "application/json"
    assert request.headers["Authorization"] == f"Bearer {KEY}"
    assert request.headers["User-Agent"] == f"venice-chat/{venice_ai.__version__}"


PARAMETERS: dict[str, list[Any]] = {
    "frequency_penalty": [-2, -2.0, 0, 2, 2.0, 1.5],
    "presence_penalty": [-2, 0.0, 2],
    "repetition_penalty": [0, 0.0, 1, 1.05, 10.0],
    "max_completion_tokens": [1, 1_000_000],
    "n": [1, 2, 10],
    "seed": [1, 2**31, 2**53],
    "stop": ["", "x", ["a"], ["a", "b", "c", "d"]],
    "stop_token_ids": [[], [0], [1, 2, 3, 4, 5]],
    "temperature": [0, 0.0, 0.7, 2, 2.0],
    "max_temp": [0, 2.0],
    "min_temp": [0.0, 2],
    "top_p": [0, 0.5, 1, 1.0],
    "min_p": [0.0, 1],
    "top_k": [0, 1, 1000],
    "logprobs": [True, False],
    "top_logprobs": [0, 20],
    "response_format": [{"type": "text"}, {"type": "json_object"}, SCHEMA],
    "tools": [[], [TOOL], [TOOL, {"type": "web_search"}, {"type": "x_search"}]],
    "tool_choice": ["none", "auto", "required", {"type": "function", "function": {"name": "add"}}],
    "parallel_tool_calls": [True, False],
    "user": ["", "u-1"],
    "venice_parameters": [
        {},
        *({"enable_web_search": value} for value in ("auto", "on", "off")),
        {"character_slug": "s", "strip_thinking_response": True, "disable_thinking": False, "enable_e2ee": False},
        {"include_venice_system_prompt": False, "enable_web_scraping": True, "enable_web_citations": True},
        {"include_search_results_in_stream": True, "return_search_results_as_documents": True, "enable_x_search": False},
        {"a_switch_of_tomorrow": {"any": ["thing"]}},
    ],
    "reasoning_effort": ["none", "minimal", "low", "medium", "high", "xhigh", "max"],
    "reasoning": [
        {},
        *({"effort": effort} for effort in ("none", "minimal", "low", "medium", "high", "xhigh", "max")),
        *({"summary": summary} for summary in ("auto", "concise", "detailed")),
        {"enabled": False},
        {"effort": "low", "later": 1},
    ],
    "prompt_cache_key": ["", "k"],
    "prompt_cache_retention": ["default", "extended", "24h"],
    "store": [True, False],
    "text": [{}, {"verbosity": "low"}, {"verbosity": "high", "format": {"type": "text"}}],
    "include": [[], ["reasoning.encrypted_content"]],
    "metadata": [{}, {"job": "7"}],
    "stream_options": [{"include_usage": True}, {"include_usage": False}],
    "verbosity": ["low", "medium", "high", "auto"],
    "fallbacks": [[], [{"model": "a"}], [{"model": "a"}] * 10],
}


@pytest.mark.parametrize("name", PARAMETERS)
async def test_a_documented_parameter_is_sent_as_it_was_given(name: str) -> None:
    for value in PARAMETERS[name]:
        assert await sent(**{name: value}) == {"model": "m", "messages": HI, name: value}


@pytest.mark.parametrize("name", [*PARAMETERS, "a_parameter_of_tomorrow"])
async def test_none_is_the_same_as_not_given(name: str) -> None:
    assert await sent(**{name: None}) == {"model": "m", "messages": HI}


REFUSED: dict[str, list[Any]] = {
    "frequency_penalty": [-2.001, 2.001, "1", True, [1], float("nan"), float("inf")],
    "presence_penalty": [-3, 3, "", {}, float("-inf")],
    "repetition_penalty": [-0.001, "1", True, float("nan"), float("inf")],
    "max_completion_tokens": [1.5, "100", True, [100]],
    "n": [0, -1, 1.5, "2", True],
    "seed": [0, -1, 1.5, "7", True],
    "stop": [[], ["a", "b", "c", "d", "e"], 5, [1], {"a": 1}, [None]],
    "stop_token_ids": ["1", [1.5], ["x"], 7, {"a": 1}, [None]],
    "temperature": [-0.001, 2.001, "0.7", True, [], float("nan"), float("inf")],
    "max_temp": [-1, 2.1, "1", float("nan")],
    "min_temp": [-1, 2.1, "1", float("nan")],
    "top_p": [-0.1, 1.1, "1", True],
    "min_p": [-0.1, 1.1, "1"],
    "top_k": [-1, 1.5, "1", True],
    "logprobs": ["true", 1, []],
    "top_logprobs": [-1, 1.5, "5", True],
    "response_format": [
        *("json", 7, ["text"], {}, {"type": "xml"}, {"type": None}, {"type": "json_schema"}),
        *({"type": "text", "extra": 1}, {"type": "json_object", "json_schema": {}}, {**SCHEMA, "strict": True}),
        *({"type": "json_schema", "json_schema": "x"}, {"type": "json_schema", "json_schema": None}),
    ],
    "tools": [
        *(7, "add", True, {"type": "function"}, [7], ["add"], [None]),
        *([{}], [{"type": "function"}], [{"type": "function", "name": "add"}], [{"type": "function", "function": {}}]),
        *([{"function": {"name": 7}}], [{"function": {"name": "f", "parameters": []}}], [{"function": "add"}]),
        [{"function": {"name": "f", "strict": "yes"}}],
    ],
    "tool_choice": [
        *(7, True, ["auto"], {}, {"type": "function", "name": "add"}, {"type": "function", "function": "add"}),
        "sometimes",
    ],
    "parallel_tool_calls": ["yes", 1],
    "user": [7, True, ["u"]],
    "venice_parameters": [
        *("x", 7, ["x"], {"enable_web_search": True}, {"enable_web_search": "maybe"}, {"character_slug": 7}),
        *({"disable_thinking": "yes"}, {"include_venice_system_prompt": 1}, {"enable_e2ee": "no"}),
    ],
    "reasoning_effort": ["", "maximum", "HIGH", 3, ["low"]],
    "reasoning": ["low", 7, {"effort": "extreme"}, {"summary": "long"}, {"enabled": "yes"}],
    "prompt_cache_key": [7, True, ["k"]],
    "prompt_cache_retention": ["", "1h", 24, True],
    "store": ["yes", 1],
    "text": ["low", 7, ["low"]],
    "include": ["x", 7, [7], {"a": 1}],
    "metadata": ["x", 7, ["x"]],
    "stream_options": [True, "usage", {"include_usage": "yes"}],
    "stream": ["false", "yes", 7],
}


@pytest.mark.parametrize("name", REFUSED)
async def test_a_value_that_is_not_allowed_is_refused_before_the_network(name: str) -> None:
    client, transport = client_of()
    create: Any = client.chat.completions.create

    for value in REFUSED[name]:
        with pytest.raises(InvalidRequestError) as caught:
            await create(**{"model": "m", "messages": HI, name: value})

        assert transport.requests == [], value
        assert isinstance(caught.value, ValueError)
        assert name in str(caught.value)
        assert innermost(value) in str(caught.value)


def innermost(value: Any) -> str:
    """The part of a value that a message shows at least: what is left where there is only one thing to be wrong."""
    while isinstance(value, (dict, list)) and len(cast("Any", value)) == 1:
        (value,) = cast("dict[str, Any]", value).values() if isinstance(value, dict) else cast("list[Any]", value)
    return "" if isinstance(value, (dict, list)) else repr(value)


@pytest.mark.parametrize(
    ("name", "values", "allowed"),
    [
        ("frequency_penalty", [-3, 3], r"-2.*\b2"),
        ("presence_penalty", [-3, 3], r"-2.*\b2"),
        ("repetition_penalty", [-1], r"\b0"),
        ("n", [0], r"\b1"),
        ("seed", [-1], r"\b[01]"),
        ("stop", [[], ["a"] * 5], r"\b1.*\b4"),
        ("temperature", [-1, 3], r"\b0.*\b2"),
        ("max_temp", [-1, 3], r"\b0.*\b2"),
        ("min_temp", [-1, 3], r"\b0.*\b2"),
        ("top_p", [-1, 3], r"\b0.*\b1"),
        ("min_p", [-1, 3], r"\b0.*\b1"),
        ("top_k", [-1], r"\b0"),
        ("top_logprobs", [-1], r"\b0"),
        ("reasoning_effort", ["huge"], r"one of 'none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max'$"),
        ("reasoning", [{"summary": "long"}], r"(?=.*auto)(?=.*concise).*detailed"),
        ("prompt_cache_retention", ["1h"], r"(?=.*default)(?=.*extended).*24h"),
        ("venice_parameters", [{"enable_web_search": "yes"}, {"enable_web_search": True}], r"(?=.*auto)(?=.*off).*on"),
        ("response_format", [{"type": "xml"}], r"(?=.*text)(?=.*json_object).*json_schema"),
        ("fallbacks", [[{"model": "m"}] * 11], r"\b10"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isidentifier() else "",
)
async def test_the_error_says_the_whole_allowed_range(name: str, values: list[Any], allowed: str) -> None:
    for value in values:
        error = str(await refused(**{name: value})).replace(repr(value), "")

        assert re.search(allowed, error), error


async def test_a_stream_is_checked_in_the_same_way() -> None:
    error = await refused(temperature=3, top_p=0.5)

    assert "temperature=3" in str(error)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a_parameter_of_tomorrow", {"nested": [1, None, {"x": None}]}),
        ("anon_user_id", "anon"),
        ("logit_bias", {"50256": -100}),
        ("service_tier", "flex"),
        ("timeout_seconds", 0),
    ],
)
async def test_an_unknown_keyword_travels_untouched(name: str, value: Any) -> None:
    assert await sent(**{name: value}) == {"model": "m", "messages": HI, name: value}


async def test_metadata_is_free_form_and_forwarded_verbatim() -> None:
    metadata = {"job": "7", "run": 7, "nested": {"a": [True, None]}}

    assert (await sent(metadata=metadata))["metadata"] == metadata


@given(JSON)
async def test_any_json_travels_under_an_unknown_keyword(value: Any) -> None:
    assert (await sent(later={"value": value}))["later"] == {"value": value}


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize(
    "value",
    [pytest.param(object(), id="an object"), float("nan"), float("inf"), {"x": float("nan")}, CIRCULAR, "\ud800"],
    ids=ascii,
)
async def test_a_value_that_json_cannot_hold_is_refused(value: Any) -> None:
    await refused(later=value)


class Word(str):
    """A text of another class, as templates and number libraries make them."""

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class Fraction(float):
    """A number of another class, as numpy's are."""

    def __repr__(self) -> str:
        return "Fraction()"


class Whole(int):
    """A whole number of another class."""


class Level(str, Enum):  # noqa: UP042  # as it was written before StrEnum
    LOW = "low"


class Three(IntEnum):
    THREE = 3


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        pytest.param({"temperature": Fraction(0.5)}, {"temperature": 0.5}, id="a fraction"),
        pytest.param({"seed": Whole(4)}, {"seed": 4}, id="a whole number"),
        pytest.param({"seed": Three.THREE}, {"seed": 3}, id="an IntEnum"),
        pytest.param(
            {"user": Word("u"), "reasoning_effort": Word("low")}, {"user": "u", "reasoning_effort": "low"}, id="texts"
        ),
        pytest.param({"reasoning_effort": Level.LOW}, {"reasoning_effort": "low"}, id="an Enum of texts"),
        pytest.param({"metadata": {Word("a"): [Fraction(1)]}}, {"metadata": {"a": [1.0]}}, id="keys, and inside"),
        pytest.param(
            {"temperature": Decimal("0.5"), "later": Decimal("1e-7")}, {"temperature": 0.5, "later": 1e-7}, id="decimals"
        ),
    ],
)
async def test_a_value_of_a_subclass_is_sent_as_what_it_is(params: dict[str, Any], expected: dict[str, Any]) -> None:
    assert await sent(**params) == {"model": "m", "messages": HI, **expected}


@pytest.mark.parametrize(
    ("value", "named"),
    [
        pytest.param(object(), r"later: 'object'", id="alone"),
        pytest.param({"a": [1, {"b": object()}]}, r"later\.a\.1\.b: 'object'", id="inside"),
        pytest.param({"a": {(1, 2): 3}}, r"later\.a: ", id="as a key"),
        pytest.param([Decimal("NaN")], r"later\.0=Decimal\('NaN'\)", id="a decimal that is not a number"),
    ],
)
async def test_the_error_of_a_value_that_json_cannot_hold_names_its_place(value: Any, named: str) -> None:
    assert re.search(named, str(await refused(later=value)))


async def test_a_key_that_is_no_text_is_named_with_its_place() -> None:
    assert "metadata={1: 'a'} is not allowed: expected str, got int as a key" in str(await refused(metadata={1: "a"}))


async def test_stream_none_is_the_same_as_not_given() -> None:
    assert await sent(stream=None) == {"model": "m", "messages": HI}


@pytest.mark.parametrize("value", [1024, None], ids=repr)
@pytest.mark.parametrize("streamed", [False, True])
async def test_max_tokens_is_a_type_error_that_names_its_successor(value: int | None, streamed: bool) -> None:
    client, transport = client_of()

    create: Any = client.chat.completions.create
    with pytest.raises(TypeError, match="max_completion_tokens"):
        await create(model="m", messages=HI, stream=streamed, max_tokens=value)

    assert transport.requests == []


async def test_arguments_are_keywords_only() -> None:
    client, _ = client_of()
    create: Any = client.chat.completions.create

    with pytest.raises(TypeError):
        await create("m", HI)
    with pytest.raises(TypeError):
        await create(model="m")
    with pytest.raises(TypeError):
        await create(messages=HI)


@pytest.mark.parametrize("model", ["", " ", "\n", None, 7, ["m"], "a\nb", "a\0b"], ids=repr)
async def test_a_model_that_cannot_be_one_is_refused(model: Any) -> None:
    error = await refused(model=model)

    assert "model" in str(error)
    assert repr(model) in str(error)


@pytest.mark.parametrize("model", ["default", "zai-org-glm-4.7", "m:enable_web_search=on&character_slug=x", "gpt-4o"])
async def test_a_model_is_an_id_a_trait_an_alias_or_has_a_suffix(model: str) -> None:
    assert (await sent(model=model))["model"] == model


async def test_a_misspelt_venice_switch_is_warned_of() -> None:
    with pytest.warns(UserWarning, match=r"enable_web_serch.*enable_web_search"):
        body = await sent(venice_parameters={"enable_web_serch": "on"})

    assert body["venice_parameters"] == {"enable_web_serch": "on"}


@pytest.mark.parametrize(("slip", "meant"), [("temperatur", "temperature"), ("max_completion_token", "max_completion_tokens")])
async def test_a_keyword_that_looks_misspelt_is_warned_of_and_sent(slip: str, meant: str) -> None:
    with pytest.warns(UserWarning, match=f"no parameter '{slip}'; did you mean '{meant}'"):
        body = await sent(**{slip: 1})

    assert body[slip] == 1


@pytest.mark.parametrize("name", ["top_a", "logit_bias", "best_of", "function_call", "service_tier", "min_tokens", "typical_p"])
async def test_an_unknown_keyword_unlike_any_other_causes_no_warning(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (await sent(**{name: 1}))[name] == 1


def _unheard(*_: object, **__: object) -> None: ...


def test_warnings_that_are_remembered_have_an_end() -> None:
    seen: dict[str, Any] = {"__name__": "a_program"}
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = _unheard
        program = "from venice_ai._core.caller_warnings import warn\nfor number in range(3_000): warn(f'slip {number}')"
        exec(compile(program, "a_program", "exec"), seen)  # a module of its own

    assert 0 < len(seen["__warningregistry__"]) <= 1_001


# -- objects in place of mappings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("venice_parameters", VeniceParameters(enable_web_search="on"), {"enable_web_search": "on"}),
        ("venice_parameters", VeniceParameters(), {}),
        ("reasoning", ReasoningConfig(effort="low", summary="auto"), {"effort": "low", "summary": "auto"}),
        ("response_format", TextResponseFormat(), {"type": "text"}),
        ("response_format", JSONObjectFormat(), {"type": "json_object"}),
        ("response_format", JSONSchemaFormat(json_schema=SCHEMA["json_schema"]), SCHEMA),
        ("tools", [Tool(function=ToolFunction(name="add", parameters=TOOL["function"]["parameters"]))], [TOOL]),
        ("tools", (Tool(function={"name": "f"}), TOOL), [{"type": "function", "function": {"name": "f"}}, TOOL]),
        ("tool_choice", ToolChoice.function("f"), {"type": "function", "function": {"name": "f"}}),
        ("tool_choice", SpecificToolChoice(function={"name": "f"}), {"type": "function", "function": {"name": "f"}}),
        ("tool_choice", ToolChoice.auto(), "auto"),
        ("tool_choice", ToolChoice.none(), "none"),
        ("stop", ("a", "b"), ["a", "b"]),
        ("metadata", types.MappingProxyType({"a": "b"}), {"a": "b"}),
        ("reasoning", types.MappingProxyType({"effort": "low"}), {"effort": "low"}),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_an_object_is_sent_as_the_json_it_stands_for(name: str, value: Any, expected: Any) -> None:
    assert (await sent(**{name: value}))[name] == expected


NAMED: dict[str, Any] = {"type": "function", "function": {"name": "f"}}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("venice_parameters", VeniceParameters(character_slug=None, enable_web_search="on"), {"enable_web_search": "on"}),
        ("reasoning", ReasoningConfig(effort="low", summary=None), {"effort": "low"}),
        ("tools", [Tool(function=ToolFunction(name="f", description=None, strict=None), id=None)], [NAMED]),
        ("tools", [{**NAMED, "id": None, "function": {"name": "f", "description": None, "parameters": None}}], [NAMED]),
        ("venice_parameters", {"character_slug": None, "enable_web_search": "on"}, {"enable_web_search": "on"}),
        ("reasoning", {"effort": None}, {}),
        ("text", {"verbosity": None}, {}),
        ("stream_options", {"include_usage": None}, {}),
        ("response_format", {"type": "json_schema", "json_schema": {**SCHEMA["json_schema"], "description": None}}, SCHEMA),
    ],
    ids=lambda value: repr(value)[:60],
)  # fmt: skip
async def test_none_in_an_object_is_the_same_as_not_given(name: str, value: Any, expected: Any) -> None:
    assert (await sent(**{name: value}))[name] == expected


NULL = {"default": None, "enum": [None]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("metadata", {"a": None}),
        ("venice_parameters", {"a_new_switch": None, "another": {"a": None}}),
        ("tools", [{"type": "function", "function": {"name": "f", "parameters": {"properties": {"x": NULL}}, "new": None}}]),
        ("response_format", {"type": "json_schema", "json_schema": {"name": "n", "schema": {"properties": {"x": NULL}}}}),
        ("a_new_parameter", {"a": None}),
    ],
    ids=lambda value: repr(value)[:60],
)
async def test_null_stays_where_it_is_a_value(name: str, value: Any) -> None:
    assert (await sent(**{name: value}))[name] == value


class Inner(BaseModel):
    url: HttpUrl


class Thing(BaseModel):
    """An object of the caller's, with a field that travels under another name."""

    type: str | None = None
    text: str | None = None
    image_url: Inner | None = None
    enable_web_search: str | None = None
    schema_: Any = Field(default=None, serialization_alias="schema")
    name: str | None = None
    function: Any = None
    json_schema: Any = None


class Keys(TypedDict):
    of: str | None


class Typed(BaseModel):
    keys: Keys


PICTURE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("venice_parameters", Thing(enable_web_search="on"), {"enable_web_search": "on"}),
        ("metadata", {"a": Thing(name="n")}, {"a": {"name": "n"}}),
        ("metadata", {"a": Typed(keys={"of": None})}, {"a": {"keys": {"of": None}}}),
        ("tools", [Thing(type="function", function=Thing(name="f"))], [NAMED]),
        (
            "response_format",
            Thing(type="json_schema", json_schema=Thing(name="n", schema_={"properties": {"x": NULL}})),
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"properties": {"x": NULL}}}},
        ),
        (
            "messages",
            [{"role": "user", "content": [Thing(type="image_url", image_url=Inner(url=HttpUrl(PICTURE["image_url"]["url"])))]}],
            [{"role": "user", "content": [PICTURE]}],
        ),
        ("tool_choice", SpecificToolChoice(function=cast("Any", Thing(name="f"))), NAMED),
    ],
    ids=["venice_parameters", "metadata", "null in a TypedDict", "tools", "response_format", "messages", "inside ours"],
)
async def test_a_pydantic_object_is_taken_wherever_a_mapping_is(name: str, value: Any, expected: Any) -> None:
    assert (await sent(**{"messages": HI, name: value}))[name] == expected


async def test_infinity_in_a_pydantic_object_is_no_null() -> None:
    assert "metadata" in str(await refused(metadata=Thing(name="n", function=float("inf"))))


# -- mistakes that no server made ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        pytest.param("create", {"stream_cls": list}, id="a stream class without a stream"),
        pytest.param("stream", {"stream": False}, id="stream=False"),
        pytest.param("stream", {"stream": "yes"}, id="a word"),
        pytest.param("stream", {"stream_cls": list}, id="a stream of another class"),
        pytest.param("parse", {"stream": True, "response_format": dict}, id="a parsed stream"),
        pytest.param("parse", {"max_reasks": -1, "response_format": Inner}, id="fewer than no attempts"),
        pytest.param("stream_parse", {"max_reasks": 1, "response_format": Inner}, id="a stream that asks again"),
        pytest.param("run_with_tools", {"tools": [], "max_iterations": 0}, id="no round trips"),
    ],
)
async def test_a_mistake_in_a_call_is_no_answer_of_the_server(method: str, wrong: dict[str, Any]) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidArgumentError) as caught:
        await getattr(client.chat.completions, method)(model="m", messages=HI, **wrong)

    assert isinstance(caught.value, ValueError)
    assert not isinstance(caught.value, APIError)
    assert transport.requests == []
    with (
        SyncVeniceClient(api_key=KEY, transport=transport) as at_once,
        pytest.raises(InvalidArgumentError, match=re.escape(str(caught.value))),
    ):
        getattr(at_once.chat.completions, method)(model="m", messages=HI, **wrong)


async def test_stream_true_is_accepted_by_the_method_stream() -> None:
    client, _ = client_of(stream(*hello()))

    async with aclosing(await cast("Any", client.chat.completions).stream(model="m", messages=HI, stream=True)) as opened:
        assert (await opened.collect()).text == "hello"


def test_a_refusal_builds_no_schema() -> None:
    def refuse() -> None:
        with pytest.raises(InvalidRequestError, match="allowed is 0 to 2"):
            chat_body(model="m", messages=HI, stream=False, params={"temperature": 5})

    refuse()
    profile = cProfile.Profile()
    profile.runcall(refuse)
    names = {entry[2] for entry in cast("Any", pstats.Stats(profile)).stats}

    assert "explained" in names
    assert "schema_components" not in names


async def test_a_function_in_place_of_a_tool_is_refused_with_the_remedy() -> None:
    def add(x: int, y: int) -> int:
        return x + y

    assert "tool_from_function" in str(await refused(tools=[add]))


# -- encryption is never left out in silence -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "params"),
    [
        pytest.param("m", {"e2ee": True}, id="asked for, no such model"),
        pytest.param("e2ee-m", {"e2ee": True, "tools": [TOOL]}, id="with tools"),
        pytest.param("e2ee-m", {"e2ee": True, "venice_parameters": {"enable_web_search": "on"}}, id="with a search"),
        pytest.param("e2ee-m", {"e2ee": True, "venice_parameters": {"enable_web_scraping": True}}, id="with scraping"),
        pytest.param("m", {"venice_parameters": {"enable_e2ee": True}}, id="asked for in venice_parameters"),
        pytest.param("m", {"venice_parameters": VeniceParameters(enable_e2ee=True)}, id="asked for in an object"),
        pytest.param("e2ee-m:enable_web_search=on", {"e2ee": True}, id="with a search in the suffix"),
    ],
)
async def test_encryption_that_cannot_be_had_is_an_error_and_nothing_is_sent(model: str, params: dict[str, Any]) -> None:
    error = await refused(model=model, **params)

    assert "e2ee" in str(error) or "encryption" in str(error)


@pytest.mark.parametrize("params", [{}, {"e2ee": False}, {"venice_parameters": {"enable_e2ee": False}}], ids=repr)
async def test_a_model_for_encryption_can_be_asked_in_clear(params: dict[str, Any]) -> None:
    with pytest.warns(UserWarning, match="not end-to-end encrypted"):
        body = await sent(model="e2ee-m", **params)

    assert body["messages"] == HI
    assert "e2ee" not in body


@pytest.mark.parametrize("kind", ["create", "batch", "create of a synchronous client", "batch of a synchronous client"])
def test_the_warning_of_a_misspelt_switch_names_the_callers_line(kind: str) -> None:
    asked: dict[str, Any] = {"model": "default", "messages": HI, "venice_parameters": {"enable_websearch": "on"}}
    settings: dict[str, Any] = {"api_key": KEY, "transport": Emulator().transport()}
    chats: Any = VeniceClient(**settings).chat.completions
    at_once: Any = SyncVeniceClient(**settings).chat.completions
    ways: dict[str, Callable[[], Any]] = {
        "create": lambda: asyncio.run(chats.create(**asked)),
        "batch": lambda: asyncio.run(chats.batch([asked])),
        "create of a synchronous client": lambda: at_once.create(**asked),
        "batch of a synchronous client": lambda: at_once.batch([asked]),
    }

    with pytest.warns(UserWarning, match="did you mean 'enable_web_search'") as warned:
        ways[kind]()

    assert [warning.filename for warning in warned] == [__file__]


AT_ONCE = """
import sys, threading
from venice_ai import APIConnectionError, VeniceClient

class Nowhere:
    async def send(self, request):
        raise APIConnectionError("nobody is there")

    async def aclose(self):
        pass

sys.setswitchinterval(1e-6)
chats = VeniceClient(api_key="any", transport=Nowhere(), max_retries=0).chat.completions
start = threading.Barrier(12)

def ask():
    start.wait()
    for _ in range(50):
        try:
            chats.create(model="m", messages=[{"role": "user", "content": "hi"}], temperature=0.5).send(None)
        except APIConnectionError:
            pass

asking = [threading.Thread(target=ask) for _ in range(12)]
for each in asking:
    each.start()
for each in asking:
    each.join()
print("done")
"""


def test_threads_may_all_make_the_first_request_at_the_same_time() -> None:
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, encoding="utf-8", timeout=120, check=False)

    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr[-2000:]


# -- fields that this package does not know --------------------------------------------------------------------------------


class FieldName(Enum):
    MESSAGES = "messages"


ENDLESS: dict[str, Any] = {}
ENDLESS["itself"] = ENDLESS


async def test_extra_body_is_merged_as_it_is_and_wins() -> None:
    client, transport = client_of(answer(completion()), stream(*hello()))
    extra = {"tomorrow": None, "temperature": 9, "venice_parameters": {"new": 1}}

    await client.chat.completions.create(model="m", messages=HI, temperature=1, extra_body=extra)
    async with await client.chat.completions.stream(model="m", messages=HI, extra_body={"stream_options": {"every": 1}}):
        pass

    assert {name: transport.bodies[0][name] for name in extra} == extra
    assert transport.bodies[1]["stream_options"] == {"every": 1}


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        pytest.param(7, "extra_body is int, not a mapping", id="no mapping"),
        pytest.param({"messages": []}, "'messages'", id="messages"),
        pytest.param({"stream": True}, "'stream'", id="stream"),
        pytest.param({"stream": True, "model": "m"}, "'model'", id="two of them, of which the first is named"),
        pytest.param({"a": [math.inf]}, r"extra_body\.a\.0=inf", id="infinity"),
        pytest.param({FieldName.MESSAGES: []}, "'messages'", id="messages, as a member of an Enum"),
        pytest.param(ENDLESS, "holds itself", id="a mapping that holds itself"),
    ],
)
async def test_extra_body_holds_other_fields_that_json_knows(extra: Any, words: str) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidRequestError, match=words):
        await client.chat.completions.create(model="m", messages=HI, extra_body=extra)

    assert transport.requests == []


async def test_choices_requested_by_extra_body_are_waited_for() -> None:
    one = [event(chunk("hi")), event(chunk(finish="stop"))]
    client, _ = client_of(stream(*one), stream(*one))

    first = await client.chat.completions.stream(model="m", messages=HI, extra_body={"n": 2})
    with pytest.raises(StreamInterruptedError):
        await first.collect()
    other = await client.chat.completions.stream(model="m", messages=HI, extra_body={"n": "2"})  # whatever a server makes of it
    assert (await other.collect()).text == "hi"


async def test_extra_body_reaches_every_request_of_parse_and_of_tool_loops() -> None:
    client, transport = client_of(answer(completion('{"name": "a"}')), answer(completion()))

    class Named(BaseModel):
        name: str

    chat = client.chat.completions
    await chat.parse(model="m", messages=HI, response_format=Named, extra_body={"tomorrow": 1})
    await chat.run_with_tools(model="m", messages=HI, tools=[], extra_body={"tomorrow": 2})

    assert [body["tomorrow"] for body in transport.bodies] == [1, 2]


@pytest.mark.parametrize(
    ("call", "slip", "meant"),
    [
        pytest.param("parse", {"shema_name": "x"}, "schema_name", id="parse"),
        pytest.param("run_with_tools", {"max_iteration": 2}, "max_iterations", id="run_with_tools"),
        pytest.param("create", {"reasoning": {"efort": "low"}}, "effort", id="reasoning"),
    ],
)
async def test_a_misspelt_keyword_of_any_call_is_warned_of(call: str, slip: dict[str, Any], meant: str) -> None:
    client, _ = client_of(answer(completion("1")))
    needed: dict[str, dict[str, Any]] = {"parse": {"response_format": int}, "run_with_tools": {"tools": []}, "create": {}}

    with pytest.warns(UserWarning, match=f"did you mean '{meant}'"), suppress(venice_ai.OutputError):
        await getattr(client.chat.completions, call)(model="m", messages=HI, **needed[call], **slip)


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        pytest.param({}, (None, 1), id="nothing"),
        pytest.param({"n": 3}, (None, 3), id="three answers"),
        pytest.param({"n": 0}, (None, 1), id="no answer"),
        pytest.param({"n": "2"}, (None, 1), id="no number"),
        pytest.param({"max_tokens": 9}, (9, 1), id="its old name"),
        pytest.param({"max_tokens": 9, "max_completion_tokens": 8}, (8, 1), id="both names"),
        pytest.param({"max_completion_tokens": "8"}, (None, 1), id="no number of tokens"),
    ],
)
def test_the_size_of_a_chat_counts_its_choices_and_its_longest_answer(
    asked: dict[str, Any], size: tuple[int | None, int]
) -> None:
    assert chat_size({"model": "m", "messages": HI, **asked}) == ("m", 1, *size)
