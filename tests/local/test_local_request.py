"""How a request to Venice becomes a request to the engine."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai.emulator.local import UnsupportedInput
from venice_ai.emulator.local.translation import job

HELLO = [{"role": "user", "content": "Hello."}]
TOOLS: list[dict[str, Any]] = [
    {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {}, "b": {}}}}},
    {"type": "function", "function": {"name": "now", "description": "Tells the time"}},
    {"type": "web_search"},
]


def engine_body(plain: bool = True, /, **body: Any) -> dict[str, Any]:
    return job({"messages": HELLO, **body}, plain=plain)[1]


def turns(*messages: dict[str, Any]) -> list[dict[str, str]]:
    asked: list[dict[str, str]] = job({"messages": messages}, plain=True)[1]["messages"]
    return asked


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        pytest.param({"temperature": 0}, {"temperature": 0}, id="temperature"),
        pytest.param({}, {"temperature": 0.2}, id="default-temperature"),
        pytest.param({"repetition_penalty": 1.2}, {"repeat_penalty": 1.2}, id="renamed"),
        pytest.param({}, {"max_tokens": 256}, id="default-limit"),
        pytest.param({"max_completion_tokens": 7, "max_tokens": 9}, {"max_tokens": 7}, id="limit"),
        pytest.param({"max_tokens": 9}, {"max_tokens": 9}, id="old-limit"),
        pytest.param({"max_tokens": 10**12}, {"max_tokens": 2**31 - 1}, id="large-limit"),
        pytest.param({"max_tokens": 0}, {"max_tokens": 256}, id="no-limit"),
        pytest.param({"stop": "x"}, {"stop": ["x", "\nQuestion:", "\nAnswer:"]}, id="stop"),
        pytest.param({"stop": ["x", "", "y"]}, {"stop": ["x", "y", "\nQuestion:", "\nAnswer:"]}, id="stops"),
        pytest.param({"stop": None}, {"stop": ["\nQuestion:", "\nAnswer:"]}, id="no-stop"),
        pytest.param({"seed": 2**40}, {"seed": 2**40 % (2**32 - 1)}, id="large-seed"),
        pytest.param({"logprobs": True, "top_logprobs": 3}, {"logprobs": True, "top_logprobs": 3}, id="logprobs"),
        pytest.param({"logprobs": True}, {"logprobs": True, "top_logprobs": 1}, id="logprobs-alone"),
    ],
)
def test_a_parameter_becomes_the_engines(given: dict[str, Any], asked: dict[str, Any]) -> None:
    assert asked.items() <= engine_body(**given).items()


def test_parameters_that_the_engine_does_not_know_are_left_out() -> None:
    extra: dict[str, Any] = {
        "venice_parameters": {},
        "reasoning": {},
        "metadata": {},
        "user": "u",
        "top_logprobs": 2,
        "n": 3,
        "model": "m",
    }

    assert engine_body(**extra) == engine_body()


def test_a_model_with_a_template_keeps_its_own_stops_and_sampling() -> None:
    body = engine_body(False, stop="x")

    assert body["stop"] == ["x"]
    assert "temperature" not in body


def test_parts_of_text_are_joined() -> None:
    parts = [{"type": "text", "text": "Hello "}, {"type": "text", "text": "you"}]

    assert turns({"role": "user", "content": parts}) == [{"role": "user", "content": "Hello you"}]


def test_a_part_that_is_not_text_is_refused() -> None:
    with pytest.raises(UnsupportedInput, match='type "image_url"'):
        turns({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.y/z.png"}}]})


def test_system_messages_and_tool_results_stand_first() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Rome"}'}}

    asked = turns(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Rain in Rome?"},
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
        {"role": "assistant", "content": "No."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Sure?"},
    )

    assert asked == [
        {"role": "system", "content": 'Be kind.\nBe brief.\nweather({"city":"Rome"}) = sunny'},
        {"role": "user", "content": "Rain in Rome?"},
        {"role": "assistant", "content": "No."},
        {"role": "user", "content": "Sure?"},
    ]


def test_a_tool_result_without_its_call_is_given_to_the_model() -> None:
    asked = turns({"role": "user", "content": "?"}, {"role": "tool", "tool_call_id": "lost", "content": "42"})

    assert asked[0] == {"role": "system", "content": "tool = 42"}


@pytest.mark.parametrize(
    ("choice", "form"),
    [
        pytest.param("required", "call", id="required"),
        pytest.param({"type": "function", "function": {"name": "add"}}, "call", id="named"),
        pytest.param("auto", "words", id="auto"),
        pytest.param("none", "words", id="none"),
        pytest.param(None, "words", id="absent"),
    ],
)
def test_only_a_forced_call_is_a_call(choice: Any, form: str) -> None:
    assert job({"messages": HELLO, "tools": TOOLS, "tool_choice": choice}, plain=True)[0] == form


def test_a_stop_does_not_cut_a_call() -> None:
    assert engine_body(tools=TOOLS, tool_choice="required", stop="}")["stop"] == []


def test_the_prompt_lists_the_tools_of_a_forced_call() -> None:
    system = engine_body(tools=TOOLS, tool_choice="required")["messages"][0]["content"]

    assert "add(a, b)\nnow(): Tells the time" in system


def test_a_named_tool_is_the_only_one() -> None:
    named = {"type": "function", "function": {"name": "now"}}

    body = engine_body(False, tools=TOOLS, tool_choice=named)

    assert '"const": "now"' in body["grammar"]
    assert '"const": "add"' not in body["grammar"]


@pytest.mark.parametrize(
    ("tools", "choice"),
    [
        pytest.param(TOOLS, {"type": "function", "function": {"name": "lost"}}, id="unknown"),
        pytest.param([{"type": "web_search"}], "required", id="no-function"),
    ],
)
def test_an_impossible_tool_choice_is_refused(tools: Any, choice: Any) -> None:
    with pytest.raises(UnsupportedInput, match="tool_choice"):
        engine_body(tools=tools, tool_choice=choice)


@pytest.mark.parametrize("wrapped", [True, False])
def test_a_schema_becomes_a_grammar(wrapped: bool) -> None:
    schema = {"type": "object", "properties": {"city": {"const": "Rome"}}}
    response_format = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema} if wrapped else schema}

    body = engine_body(response_format=response_format)

    assert '"city": {"const": "Rome"}' in body["grammar"]
    assert body["max_tokens"] == 1024
    assert body["messages"][-1]["content"] == "Hello. Give city."
    assert body["temperature"] == 0
    assert "dry_multiplier" not in body


def test_a_model_with_a_template_gets_the_question_as_it_is() -> None:
    response_format: dict[str, Any] = {"type": "json_schema", "json_schema": {"schema": {"properties": {"city": {}}}}}

    assert engine_body(False, response_format=response_format)["messages"] == HELLO


def test_a_text_response_format_has_no_grammar() -> None:
    assert "grammar" not in engine_body(response_format={"type": "text"})
