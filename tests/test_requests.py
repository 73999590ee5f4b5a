"""What is sent: exactly what the caller gave, checked before the network, and never a secret where it does not belong."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import re
import types
import warnings
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from pydantic import BaseModel, ConfigDict

import venice_ai
from venice_ai import (
    AssistantMessage,
    AuthenticationError,
    ChatCompletionResponse,
    DeveloperMessage,
    FileContent,
    ImageContent,
    ImageUrl,
    InvalidRequestError,
    JSONSchemaFormat,
    ReasoningConfig,
    SchemaNotStrictError,
    StreamOptions,
    SystemMessage,
    TextContent,
    Timeout,
    Tool,
    ToolCall,
    ToolCallFunction,
    ToolChoice,
    ToolFunction,
    ToolMessage,
    UserMessage,
    VeniceClient,
    VeniceError,
    VeniceParameters,
)
from venice_ai.types.api import (
    AudioContent,
    CacheControl,
    File,
    InputAudio,
    JSONObjectFormat,
    SpecificToolChoice,
    TextResponseFormat,
    VideoContent,
    VideoUrl,
)

from .fakes import HI, JSON, KEY, ScriptedTransport, answer, client_of, completion, hello, stream
from .shared import shared

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {"name": "n", "strict": True, "schema": {"type": "object", "properties": {}, "additionalProperties": False}},
}


async def sent(messages: Any = HI, *, model: Any = "m", **params: Any) -> dict[str, Any]:
    """The body of the request that these arguments make."""
    client, transport = client_of(answer(completion()))
    await client.chat.completions.create(model=model, messages=messages, **params)
    return dict(transport.bodies[0])


async def refused(messages: Any = HI, *, model: Any = "m", **params: Any) -> InvalidRequestError:
    """The error that these arguments make, plain and streamed, before anything is sent."""
    client, transport = client_of()
    with pytest.raises(InvalidRequestError) as caught:
        await client.chat.completions.create(model=model, messages=messages, **copy_of(params))
    with pytest.raises(InvalidRequestError):
        await client.chat.completions.stream(model=model, messages=messages, **copy_of(params))
    assert transport.requests == []
    assert isinstance(caught.value, ValueError)
    assert caught.value.status_code is None
    return caught.value


def copy_of(params: dict[str, Any]) -> dict[str, Any]:
    return dict(params)


# -- nothing is invented -------------------------------------------------------------------------------------------------


async def test_a_request_holds_what_was_given_and_nothing_else() -> None:
    assert await sent() == {"model": "m", "messages": HI}


async def test_a_stream_also_asks_for_the_stream_and_its_usage() -> None:
    client, transport = client_of(stream(*hello()))

    async with await client.chat.completions.stream(model="m", messages=HI):
        pass

    assert transport.bodies == [
        {"model": "m", "messages": HI, "stream": True, "stream_options": {"include_usage": True}},
    ]


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
ALLOWED = [pytest.param(name, value, id=f"{name}={value!r:.60}") for name, values in PARAMETERS.items() for value in values]


@pytest.mark.parametrize(("name", "value"), ALLOWED)
async def test_a_documented_parameter_is_sent_as_it_was_given(name: str, value: Any) -> None:
    assert await sent(**{name: value}) == {"model": "m", "messages": HI, name: value}


@pytest.mark.parametrize("name", [*PARAMETERS, "a_parameter_of_tomorrow"])
async def test_none_is_the_same_as_not_given(name: str) -> None:
    assert await sent(**{name: None}) == {"model": "m", "messages": HI}


REFUSED: dict[str, tuple[str, list[Any]]] = {
    "frequency_penalty": (r"-2.*2", [-2.001, 2.001, "1", True, [1], float("nan"), float("inf")]),
    "presence_penalty": (r"-2.*2", [-3, 3, "", {}, float("-inf")]),
    "repetition_penalty": (r"\b0", [-0.001, "1", True, float("nan"), float("inf")]),
    "max_completion_tokens": (r"int|whole", [1.5, "100", True, [100]]),
    "n": (r"\b1", [0, -1, 1.5, "2", True]),
    "seed": (r"\b[01]", [0, -1, 1.5, "7", True]),
    "stop": (r"\b4", [[], ["a", "b", "c", "d", "e"], 5, [1], {"a": 1}, [None]]),
    "stop_token_ids": (r"int|number", ["1", [1.5], ["x"], 7, {"a": 1}, [None]]),
    "temperature": (r"0.*2", [-0.001, 2.001, "0.7", True, [], float("nan"), float("inf")]),
    "max_temp": (r"0.*2", [-1, 2.1, "1", float("nan")]),
    "min_temp": (r"0.*2", [-1, 2.1, "1", float("nan")]),
    "top_p": (r"0.*1", [-0.1, 1.1, "1", True]),
    "min_p": (r"0.*1", [-0.1, 1.1, "1"]),
    "top_k": (r"\b0", [-1, 1.5, "1", True]),
    "logprobs": (r"bool|true", ["true", 1, []]),
    "top_logprobs": (r"\b0", [-1, 1.5, "5", True]),
    "response_format": (
        r"text.*json_object.*json_schema|json_schema.*text|unknown field|required field|object",
        [
            *("json", 7, ["text"], {}, {"type": "xml"}, {"type": None}, {"type": "json_schema"}),
            *({"type": "text", "extra": 1}, {"type": "json_object", "json_schema": {}}, {**SCHEMA, "strict": True}),
            *({"type": "json_schema", "json_schema": "x"}, {"type": "json_schema", "json_schema": None}),
        ],
    ),
    "tools": (
        r"function|array|list|object",
        [
            *(7, "add", True, {"type": "function"}, [7], ["add"], [None]),
            *([{}], [{"type": "function"}], [{"type": "function", "name": "add"}], [{"type": "function", "function": {}}]),
            *([{"function": {"name": 7}}], [{"function": {"name": "f", "parameters": []}}], [{"function": "add"}]),
            [{"function": {"name": "f", "strict": "yes"}}],
        ],
    ),
    "tool_choice": (
        r"none.*auto|auto.*none|function|object",
        [7, True, ["auto"], {}, {"type": "function", "name": "add"}, {"type": "function", "function": "add"}, "sometimes"],
    ),
    "parallel_tool_calls": (r"bool|true", ["yes", 1]),
    "user": (r"str", [7, True, ["u"]]),
    "venice_parameters": (
        r"object|str|bool|auto.*off.*on|on.*off.*auto",
        [
            *("x", 7, ["x"], {"enable_web_search": True}, {"enable_web_search": "maybe"}, {"character_slug": 7}),
            *({"disable_thinking": "yes"}, {"include_venice_system_prompt": 1}, {"enable_e2ee": "no"}),
        ],
    ),
    "reasoning_effort": (r"none.*minimal.*low.*medium.*high.*xhigh.*max|high.*low", ["", "maximum", "HIGH", 3, ["low"]]),
    "reasoning": (r"object|low|auto|bool", ["low", 7, {"effort": "extreme"}, {"summary": "long"}, {"enabled": "yes"}]),
    "prompt_cache_key": (r"str", [7, True, ["k"]]),
    "prompt_cache_retention": (r"24h.*default.*extended|default.*extended.*24h", ["", "1h", 24, True]),
    "store": (r"bool|true", ["yes", 1]),
    "text": (r"object|low", ["low", 7, ["low"]]),
    "include": (r"array|list|str", ["x", 7, [7], {"a": 1}]),
    "metadata": (r"object", ["x", 7, ["x"]]),
    "stream_options": (r"object|bool", [True, "usage", {"include_usage": "yes"}]),
    "stream": (r"bool|True", ["false", "yes", 7]),
}
NOT_ALLOWED = [
    pytest.param(name, value, allowed, id=f"{name}={value!r:.60}")
    for name, (allowed, values) in REFUSED.items()
    for value in values
]


@pytest.mark.parametrize(("name", "value", "allowed"), NOT_ALLOWED)
async def test_a_value_that_is_not_allowed_is_refused_before_the_network(name: str, value: Any, allowed: str) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidRequestError) as caught:
        await client.chat.completions.create(**{"model": "m", "messages": HI, name: value})

    assert transport.requests == []
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert name in message, "the parameter is named"
    assert re.search(allowed, message, re.IGNORECASE | re.DOTALL), f"what is allowed is told: {message}"
    assert leaf(value) in message, f"the value is shown: {message}"


def leaf(value: Any) -> str:
    """The part of a value that a message must show at least: the value itself, or the innermost thing in it."""
    while isinstance(value, (dict, list)) and len(list(value)) == 1:
        value = list(value.values())[0] if isinstance(value, dict) else value[0]  # noqa: RUF015
    return repr(value)[:20] if not isinstance(value, (dict, list)) else ""


async def test_a_stream_is_checked_in_the_same_way() -> None:
    error = await refused(temperature=3, top_p=0.5)

    assert re.search(r"temperature=3\b.*0.*2", str(error))


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
    try:
        body = await sent(later={"value": value})
    except InvalidRequestError:
        assert max(integers(value), default=0) >= 2**63  # no JSON number of a size that others can read
    else:
        assert body["later"] == {"value": value}


def integers(value: Any) -> list[int]:
    if isinstance(value, dict):
        return [number for item in value.values() for number in integers(item)]
    if isinstance(value, list):
        return [number for item in value for number in integers(item)]
    return [abs(value)] if isinstance(value, int) else []


CIRCULAR: list[Any] = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize("value", [object(), float("nan"), float("inf"), {"x": float("nan")}, CIRCULAR, "\ud800"], ids=ascii)
async def test_what_cannot_be_json_is_refused(value: Any) -> None:
    await refused(later=value)


@pytest.mark.parametrize("value", [1024, None], ids=repr)
@pytest.mark.parametrize("streamed", [False, True])
async def test_max_tokens_is_a_type_error_that_names_its_successor(value: int | None, streamed: bool) -> None:
    client, transport = client_of()

    with pytest.raises(TypeError, match="max_completion_tokens"):
        await client.chat.completions.create(model="m", messages=HI, stream=streamed, max_tokens=value)

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


async def test_a_switch_that_venice_would_drop_in_silence_is_told() -> None:
    with pytest.warns(UserWarning, match=r"enable_web_serch.*enable_web_search"):
        body = await sent(venice_parameters={"enable_web_serch": "on"})

    assert body["venice_parameters"] == {"enable_web_serch": "on"}


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


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("venice_parameters", VeniceParameters(character_slug=None, enable_web_search="on"), {"enable_web_search": "on"}),
        ("reasoning", ReasoningConfig(effort="low", summary=None), {"effort": "low"}),
        ("tools", [Tool(function=ToolFunction(name="f", description=None, strict=None), id=None)], [{"type": "function", "function": {"name": "f"}}]),
    ],
    ids=["venice_parameters", "reasoning", "tools"],
)  # fmt: skip
async def test_none_in_an_object_is_the_same_as_not_given(name: str, value: Any, expected: Any) -> None:
    assert (await sent(**{name: value}))[name] == expected


async def test_a_function_in_place_of_a_tool_is_refused_with_the_remedy() -> None:
    def add(x: int, y: int) -> int:
        return x + y

    assert "tool_from_function" in str(await refused(tools=[add]))


# -- a class as response_format ------------------------------------------------------------------------------------------


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
    assert len(objects) == 2
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


def objects_in(node: Any, *, names: bool = False) -> Any:
    """Every schema of an object in a schema. What `properties` and `$defs` hold are names, not keywords."""
    if isinstance(node, Mapping):
        if not names and node.get("type") == "object":
            yield node
        for key, value in node.items():
            yield from objects_in(value, names=not names and key in {"properties", "$defs"})
    elif isinstance(node, list):
        for item in node:
            yield from objects_in(item)


@pytest.mark.parametrize(
    ("cls", "path"), [(Keyed, "prices"), (Loose, "anything"), (Nested, "prices"), (Open, r"\$|Open")], ids=lambda value: str(value)[-12:]
)  # fmt: skip
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


# -- messages ------------------------------------------------------------------------------------------------------------

IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://example.invalid/i.png"}}
CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = [
    pytest.param({"role": "system", "content": "s"}, id="system"),
    pytest.param({"role": "developer", "content": [{"type": "text", "text": "d"}]}, id="developer, in parts"),
    pytest.param({"role": "user", "content": ""}, id="an empty text"),
    pytest.param({"role": "user", "content": []}, id="no parts"),
    pytest.param({"role": "user", "content": "x", "name": "ada"}, id="a name"),
    pytest.param({"role": "user", "content": "x", "name": None}, id="a null name"),
    pytest.param({"role": "user", "content": "世 🔐 \n\t\"\\ \u2028"}, id="any characters"),
    pytest.param({"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]}, id="cached"),
    pytest.param(
        {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
        id="cached for an hour",
    ),
    pytest.param({"role": "user", "content": [IMAGE, {**IMAGE, "image_url": {"url": "data:,", "detail": "low"}}]}, id="images"),
    pytest.param(
        {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]}, id="audio"
    ),
    pytest.param({"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "AA=="}}]}, id="audio of wav"),
    pytest.param({"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://youtu.be/x"}}]}, id="video"),
    pytest.param({"role": "user", "content": [{"type": "file", "file": {"file_data": "data:,x", "filename": "f.txt"}}]}, id="file"),
    pytest.param({"role": "user", "content": [{"type": "file", "file": {"file_data": "data:,x"}}]}, id="file without a name"),
    pytest.param({"role": "assistant", "content": "x"}, id="assistant"),
    pytest.param({"role": "assistant", "content": None, "tool_calls": [CALL]}, id="assistant, only calls"),
    pytest.param({"role": "assistant", "tool_calls": [CALL]}, id="assistant without content"),
    pytest.param({"role": "assistant", "content": [{"type": "text", "text": "x"}], "tool_calls": None}, id="assistant, in parts"),
    pytest.param(
        {
            "role": "assistant",
            "content": "x",
            "reasoning_content": "r",
            "reasoning_details": [{"type": "reasoning.text", "text": "r", "data": "?"}],
            "thought_signature": "sig",
        },
        id="assistant with its reasoning",
    ),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": "4"}, id="tool"),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": ""}, id="tool without words"),
    pytest.param({"role": "user", "content": "x", "a_key_of_tomorrow": {"x": [None]}, "cache_control": 7}, id="unknown keys"),
    pytest.param(
        {"role": "user", "content": [{"type": "text", "text": "x", "a_key_of_tomorrow": None}]}, id="unknown keys in a part"
    ),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_message_is_sent_as_it_was_given(message: dict[str, Any]) -> None:
    before = copy.deepcopy(message)

    assert (await sent([message]))["messages"] == [before]
    assert message == before


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_message_of_a_response_s_kind_is_sent_in_the_same_way(message: dict[str, Any]) -> None:
    kinds = {
        "system": SystemMessage,
        "developer": DeveloperMessage,
        "user": UserMessage,
        "assistant": AssistantMessage,
        "tool": ToolMessage,
    }
    typed = kinds[message["role"]].model_validate(message)

    assert (await sent([typed]))["messages"] == [message]
    assert typed == message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (UserMessage(content="hi"), {"role": "user", "content": "hi"}),
        (UserMessage(content="hi", name="ada"), {"role": "user", "content": "hi", "name": "ada"}),
        (SystemMessage(content="s"), {"role": "system", "content": "s"}),
        (DeveloperMessage(content="d"), {"role": "developer", "content": "d"}),
        (ToolMessage(content="4", tool_call_id="c1"), {"role": "tool", "content": "4", "tool_call_id": "c1"}),
        (AssistantMessage(content="a"), {"role": "assistant", "content": "a"}),
        (
            AssistantMessage(tool_calls=[ToolCall(id="c1", function=ToolCallFunction(name="f", arguments="{}"))]),
            {"role": "assistant", "tool_calls": [CALL]},
        ),
        (AssistantMessage(content=None, tool_calls=[CALL]), {"role": "assistant", "content": None, "tool_calls": [CALL]}),
        (
            UserMessage(
                content=[
                    TextContent(text="t", cache_control=CacheControl(ttl="1h")),
                    ImageContent(image_url=ImageUrl(url="https://example.invalid/i.png")),
                    AudioContent(input_audio=InputAudio(data="AA==", format="mp3")),
                    VideoContent(video_url=VideoUrl(url="https://example.invalid/v.mp4")),
                    FileContent(file=File(file_data="data:,x", filename="f")),
                    {"type": "text", "text": "plain"},
                ]
            ),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                    {"type": "image_url", "image_url": {"url": "https://example.invalid/i.png"}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
                    {"type": "video_url", "video_url": {"url": "https://example.invalid/v.mp4"}},
                    {"type": "file", "file": {"file_data": "data:,x", "filename": "f"}},
                    {"type": "text", "text": "plain"},
                ],
            },
        ),
    ],
    ids=lambda value: repr(value)[:50] if not isinstance(value, dict) else "",
)
async def test_a_typed_message_is_sent_as_its_json(message: Any, expected: dict[str, Any]) -> None:
    before = copy.deepcopy(message)

    (sent_message,) = (await sent([message]))["messages"]

    assert sent_message == expected
    assert message == before


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (UserMessage(content="x", name=None), {"role": "user", "content": "x"}),
        (UserMessage(content=[TextContent(text="x", cache_control=None)]), {"role": "user", "content": [{"type": "text", "text": "x"}]}),
        (UserMessage(content=[ImageContent(image_url=ImageUrl(url="u", detail=None))]), {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}),
        (UserMessage(content=[FileContent(file=File(file_data="d", filename=None))]), {"role": "user", "content": [{"type": "file", "file": {"file_data": "d"}}]}),
        (AssistantMessage(content="x", reasoning_details=None), {"role": "assistant", "content": "x"}),
    ],
    ids=["name", "cache_control", "detail", "filename", "reasoning_details"],
)  # fmt: skip
async def test_none_in_a_typed_message_is_never_a_null_that_the_server_refuses(message: Any, expected: Any) -> None:
    (sent_message,) = (await sent([message]))["messages"]

    nullable = {"name", "content", "reasoning_content", "thought_signature", "tool_calls"}
    assert {key: value for key, value in sent_message.items() if value is not None or key not in nullable} == expected


@pytest.mark.parametrize(
    ("message", "named"),
    [
        pytest.param({"content": "x"}, "role", id="no role"),
        pytest.param({"role": "function", "content": "x"}, "role", id="an unknown role"),
        pytest.param({"role": None, "content": "x"}, "role", id="a null role"),
        pytest.param({"role": "user"}, "content", id="user without content"),
        pytest.param({"role": "user", "content": None}, "content", id="user, null"),
        pytest.param({"role": "user", "content": 7}, "content", id="user, a number"),
        pytest.param({"role": "user", "content": b"x"}, "content", id="user, bytes"),
        pytest.param({"role": "user", "content": ["x"]}, "content", id="parts that are texts"),
        pytest.param({"role": "user", "content": [{"text": "x"}]}, "type", id="a part without a type"),
        pytest.param({"role": "user", "content": [{"type": "text"}]}, "text", id="a text part without text"),
        pytest.param({"role": "user", "content": [{"type": "text", "text": ""}]}, "text", id="an empty text part"),
        pytest.param({"role": "user", "content": [{"type": "picture", "text": "x"}]}, "type", id="an unknown part"),
        pytest.param({"role": "user", "content": [{"type": "image_url", "image_url": "u"}]}, "image_url", id="a flat image"),
        pytest.param({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "url", id="an image without url"),
        pytest.param(
            {"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A", "format": "midi"}}]},
            "format",
            id="audio nobody knows",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "text", "text": "x", "cache_control": {"type": "forever"}}]},
            "cache_control",
            id="an unknown cache",
        ),
        pytest.param({"role": "system", "content": [IMAGE]}, "content", id="an image for the system"),
        pytest.param({"role": "assistant", "content": [IMAGE]}, "content", id="an image of the assistant's"),
        pytest.param({"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x"}]}, "content", id="tool, parts"),
        pytest.param({"role": "tool", "tool_call_id": "c", "content": None}, "content", id="tool, null"),
        pytest.param({"role": "tool", "content": "x"}, "tool_call_id", id="tool without the call"),
        pytest.param({"role": "assistant", "tool_calls": "c"}, "tool_calls", id="calls that are a text"),
        pytest.param("hi", "messages", id="a text"),
        pytest.param(7, "messages", id="a number"),
        pytest.param(None, "messages", id="null"),
        pytest.param([{"role": "user", "content": "x"}], "messages", id="a list in the list"),
    ],
)  # fmt: skip
async def test_a_message_that_cannot_be_one_is_refused_with_its_place(message: Any, named: str) -> None:
    error = await refused([{"role": "user", "content": "first"}, message])

    assert "messages.1" in str(error)
    assert named in str(error)


async def test_a_prompt_stands_in_no_error() -> None:
    error = await refused([{"role": "user", "content": "my secret prompt"}, {"role": "oracle", "content": "my secret prompt"}])

    assert "my secret prompt" not in str(error)
    assert "my secret prompt" not in repr(vars(error))


@pytest.mark.parametrize(
    "messages", ["hi", b"hi", {"role": "user", "content": "hi"}, UserMessage(content="hi"), None, 7, [], ()]
)
async def test_messages_that_are_no_list_of_messages_are_refused(messages: Any) -> None:
    assert "messages" in str(await refused(messages))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda: tuple(HI), id="a tuple"),
        pytest.param(lambda: (message for message in HI), id="a generator"),
        pytest.param(lambda: [types.MappingProxyType(HI[0])], id="other mappings"),
        pytest.param(lambda: [UserMessage(content="hi")], id="objects"),
    ],
)
async def test_messages_are_any_series_of_messages(given: Any) -> None:
    assert (await sent(given()))["messages"] == HI


async def test_a_message_that_holds_itself_is_refused() -> None:
    message: dict[str, Any] = {"role": "user", "content": "x"}
    message["self"] = message

    await refused([message])


def assistant_turns() -> list[Any]:
    turns = [choice["message"] for case in shared("completion-fixtures.json") for choice in case["body"].get("choices", [])]
    return [*turns, {**turns[0], "reasoning_details": None}]


@pytest.mark.parametrize("turn", assistant_turns(), ids=lambda turn: repr(turn["content"]))
async def test_a_message_of_a_response_goes_back_as_it_came(turn: dict[str, Any]) -> None:
    body = completion()
    body["choices"][0]["message"] = turn
    client, transport = client_of(answer(body), *[answer(completion()) for _ in range(4)])
    reply = await client.chat.completions.create(model="m", messages=HI)
    before = copy.deepcopy(reply)

    for again in (
        reply.choices[0].message,
        reply["choices"][0]["message"],
        AssistantMessage.from_response(reply),
        reply.choices[0].message.model_dump(),
    ):
        await client.chat.completions.create(model="m", messages=[*HI, again, *HI])

    expected = {key: value for key, value in turn.items() if key != "reasoning_details" or value is not None}
    assert [body["messages"] for body in transport.bodies[1:]] == [[*HI, expected, *HI]] * 4
    assert reply == before
    assert isinstance(reply, ChatCompletionResponse)


async def test_the_caller_s_objects_are_never_changed() -> None:
    messages = [UserMessage(content=[TextContent(text="x")]), {"role": "assistant", "reasoning_details": None, "content": "y"}]
    params: dict[str, Any] = {
        "tools": [TOOL, Tool(function=ToolFunction(name="f"))],
        "stop": ["a"],
        "venice_parameters": {"enable_web_search": "on"},
        "metadata": {"a": "b"},
        "response_format": copy.deepcopy(SCHEMA),
        "later": {"x": [None]},
    }
    headers = {"X-A": "b"}
    before = copy.deepcopy((messages, params, headers))
    client, _ = client_of(answer(completion()), stream(*hello()))

    await client.chat.completions.create(model="m", messages=messages, extra_headers=headers, **params)
    async with await client.chat.completions.stream(model="m", messages=messages, extra_headers=headers, **params):
        pass

    assert (messages, params, headers) == before


@given(JSON)
async def test_the_same_input_is_always_the_same_bytes(value: Any) -> None:
    if max(integers(value), default=0) >= 2**63:
        return
    client, transport = client_of(answer(completion()), answer(completion()))

    for _ in range(2):
        messages = [UserMessage(content="x"), {"role": "user", "content": "y", "later": copy.deepcopy(value)}]
        await client.chat.completions.create(model="m", messages=messages, tools=[TOOL], later=copy.deepcopy(value), seed=1)

    first, second = (request.body for request in transport.requests)
    assert first == second


async def test_earlier_turns_are_the_same_bytes_in_a_longer_conversation() -> None:
    # Venice's prompt cache works on prefixes, byte for byte.
    client, transport = client_of(answer(completion()), answer(completion()))
    turns = [{"role": "system", "content": "s", "name": "n"}, {"name": "n", "content": "q", "role": "user"}]

    await client.chat.completions.create(model="m", messages=turns)
    await client.chat.completions.create(model="m", messages=[*turns, {"role": "assistant", "content": "a"}])

    first, second = (request.body or b"" for request in transport.requests)
    assert second.startswith(first.removesuffix(b"]}"))


# -- keys, headers, time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "", "  ", "\n"], ids=repr)
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_missing_key_is_an_authentication_error_at_the_first_chat(key: str | None, streamed: bool) -> None:
    transport = ScriptedTransport()
    client = VeniceClient(api_key=key, transport=transport)

    with pytest.raises(AuthenticationError, match="VENICE_API_KEY") as caught:
        await client.chat.completions.create(model="m", messages=HI, stream=streamed)

    assert isinstance(caught.value, ValueError)
    assert transport.requests == []


async def test_a_key_comes_from_the_argument_or_else_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "  from-environment\n")
    for argument, expected in ((None, "from-environment"), (" from-argument ", "from-argument")):
        transport = ScriptedTransport(answer(completion()))
        client = VeniceClient(api_key=argument, transport=transport)

        await client.chat.completions.create(model="m", messages=HI)

        assert transport.requests[0].headers["Authorization"] == f"Bearer {expected}"


async def test_an_empty_key_does_not_fall_back_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "from-environment")
    client = VeniceClient(api_key="", transport=ScriptedTransport())

    with pytest.raises(AuthenticationError):
        await client.chat.completions.create(model="m", messages=HI)


@pytest.mark.parametrize("key", ["a\nb", "a b", "käse", "a\x00b"], ids=ascii)
def test_a_key_that_no_header_can_carry_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(AuthenticationError) as caught:
        VeniceClient(api_key=key)

    assert key not in str(caught.value)


async def test_a_wallet_s_signature_does_in_place_of_a_key() -> None:
    for name in ("SIGN-IN-WITH-X", "X-Sign-In-With-X"):
        transport = ScriptedTransport(answer(completion()))
        client = VeniceClient(transport=transport)

        await client.chat.completions.create(model="m", messages=HI, extra_headers={name: "signed"})

        assert transport.requests[0].headers[name] == "signed"
        assert "Authorization" not in transport.requests[0].headers


async def test_headers_of_the_call_win_over_those_of_the_client_and_over_ours() -> None:
    client, transport = client_of(answer(completion()), headers={"x-one": "client", "X-Two": "client", "user-agent": "mine/1"})

    await client.chat.completions.create(model="m", messages=HI, extra_headers={"X-ONE": "call"})

    headers = {name.lower(): value for name, value in transport.requests[0].headers.items()}
    assert len(headers) == len(transport.requests[0].headers)
    assert (headers["x-one"], headers["x-two"], headers["user-agent"]) == ("call", "client", "mine/1")
    assert headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "headers",
    [{"X": "a\nb"}, {"X": "a\rb"}, {"X": "a\0b"}, {"X\n": "a"}, {"": "a"}, {"X Y": "a"}, {"X:": "a"}, {"X": 7}, {7: "x"}, {"Ü": "x"}],
    ids=repr,
)  # fmt: skip
async def test_a_header_that_cannot_be_one_is_refused(headers: Any) -> None:
    with pytest.raises(InvalidRequestError):
        VeniceClient(headers=headers)
    await refused(extra_headers=headers)


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), True, "5", [5]], ids=repr)
async def test_a_timeout_that_cannot_be_one_is_refused(timeout: Any) -> None:
    with pytest.raises(InvalidRequestError, match="timeout"):
        VeniceClient(timeout=timeout)
    assert "timeout" in str(await refused(timeout=timeout))


@pytest.mark.parametrize("clock", ["connect", "first_chunk", "idle", "progress", "deadline"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan"), True, "5"], ids=repr)
def test_a_clock_that_cannot_be_one_is_refused(clock: str, seconds: Any) -> None:
    with pytest.raises(InvalidRequestError, match=clock):
        Timeout(**{clock: seconds})


def test_the_clocks_have_the_documented_defaults() -> None:
    timeout = Timeout()

    assert (timeout.connect, timeout.first_chunk, timeout.idle, timeout.progress, timeout.deadline) == (10, 300, 60, None, None)


@pytest.mark.parametrize("timeout", [5, 0.5, Timeout(deadline=5), None], ids=repr)
async def test_a_timeout_is_the_client_s_business_and_never_in_the_body(timeout: Any) -> None:
    assert await sent(timeout=timeout) == {"model": "m", "messages": HI}


@pytest.mark.parametrize("retries", [-1, 1.5, "2", True, None], ids=repr)
def test_a_number_of_retries_that_cannot_be_one_is_refused(retries: Any) -> None:
    with pytest.raises(InvalidRequestError, match="max_retries"):
        VeniceClient(max_retries=retries)


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
    body = await sent(model="e2ee-m", **params)

    assert body["messages"] == HI
    assert "e2ee" not in body


# -- secrets -------------------------------------------------------------------------------------------------------------


def test_a_client_shows_no_key() -> None:
    client = VeniceClient(api_key=KEY, headers={"SIGN-IN-WITH-X": "signed"}, proxy="http://user:pass-word@proxy.invalid:1")

    for shown in (repr(client), str(client), repr(client.chat), repr(client.chat.completions), repr(client.models)):
        assert KEY not in shown
        assert "signed" not in shown
        assert "pass-word" not in shown


@pytest.mark.parametrize("made_with", ["argument", "environment"])
async def test_a_pickled_client_holds_no_key(made_with: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", KEY)
    client = VeniceClient(api_key=KEY if made_with == "argument" else None)
    client.request("GET", "/models")

    try:
        pickled = pickle.dumps(client)
    except (TypeError, pickle.PicklingError):
        return  # that is one way to keep it

    assert KEY.encode() not in pickled


@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "SIGN-IN-WITH-X", "X-Sign-In-With-X", "Cookie", "Proxy-Authorization"]
)
async def test_a_request_shows_neither_key_nor_prompt(name: str) -> None:
    client, transport = client_of(answer(completion()))

    messages = [UserMessage(content="my secret prompt")]
    await client.chat.completions.create(model="m", messages=messages, extra_headers={name: "my secret header"})

    for shown in (repr(transport.requests[0]), str(transport.requests[0])):
        assert KEY not in shown
        assert "secret" not in shown


async def test_a_pickled_request_holds_no_key() -> None:
    client, transport = client_of(answer(completion()))
    await client.chat.completions.create(model="m", messages=HI)

    try:
        pickled = pickle.dumps(transport.requests[0])
    except (TypeError, pickle.PicklingError):
        return

    assert KEY.encode() not in pickled


async def test_a_log_holds_neither_key_nor_prompt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, _ = client_of(answer({"error": "busy"}, status=503), answer(completion("my secret answer")))

    await client.chat.completions.create(model="m", messages=[UserMessage(content="my secret prompt")])

    assert KEY not in caplog.text
    assert "secret" not in caplog.text


# -- lifetime ------------------------------------------------------------------------------------------------------------


async def test_a_client_is_closed_with_its_block_and_says_so() -> None:
    client, transport = client_of()

    async with client as entered:
        assert entered is client

    assert transport.closed <= 1
    with pytest.raises(VeniceError, match="closed"):
        await client.chat.completions.create(model="m", messages=HI)
    assert transport.requests == []


async def test_a_client_may_be_closed_often_and_before_its_first_call() -> None:
    client, transport = client_of(answer(completion()))

    await client.chat.completions.create(model="m", messages=HI)
    for _ in range(3):
        await client.close()

    assert transport.closed >= 1


def test_making_a_client_costs_no_warning_and_no_connection() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            VeniceClient(api_key=KEY)
