"""When the emulated model calls tools, and with what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from venice_ai.emulator.answer import mentioned

from .asking import Asker, hello, saying


def tool(name: str, description: str = "", **properties: Any) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


NUMBER = {"type": "number"}
ADD = tool("add", a=NUMBER, b=NUMBER)
WEATHER = tool("get_weather", city={"type": "string"})
STOCKS = tool("lookup", "Finds the current price of a company's shares", ticker={"type": "string", "pattern": "^[A-Z]{4}$"})
FINAL = tool("final_result", answer={"type": "string"})
TOOLS = [ADD, WEATHER, STOCKS]


async def called(ask: Asker, body: dict[str, Any]) -> list[tuple[str, Any]]:
    """The tools that are called and their arguments."""
    got = await ask(body)
    assert got.status == 200
    choice = got.json["choices"][0]
    calls: list[Any] = choice["message"]["tool_calls"] or []
    assert choice["finish_reason"] == ("tool_calls" if calls else "stop")
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        pytest.param("How is the weather in Rome?", ["get_weather"], id="a word of the name"),
        pytest.param("call get_weather", ["get_weather"], id="the name"),
        pytest.param("Add 2 and 3, and tell the weather.", ["add", "get_weather"], id="two"),
        pytest.param("What is the price of those shares?", ["lookup"], id="a question like the description"),
        pytest.param("The price of those shares is low.", [], id="no question"),
        pytest.param("Good morning", [], id="none"),
        pytest.param("whether to go", [], id="a word that only sounds like it"),
    ],
)
async def test_a_tool_mentioned_in_the_prompt_is_called(ask: Asker, prompt: str, names: list[str]) -> None:
    assert [name for name, _ in await called(ask, saying(prompt, tools=TOOLS))] == names


async def test_arguments_are_taken_from_the_prompt(ask: Asker) -> None:
    assert await called(ask, saying("Please add 2 and 3.5", tools=TOOLS)) == [("add", {"a": 2, "b": 3.5})]
    assert await called(ask, saying("How is the weather in Rome?", tools=TOOLS)) == [("get_weather", {"city": "Rome"})]


async def test_arguments_fit_their_schema(ask: Asker) -> None:
    ((_, arguments),) = await called(ask, saying("look it up: lookup", tools=TOOLS))
    Draft202012Validator(STOCKS["function"]["parameters"]).validate(arguments)  # pyright: ignore[reportUnknownMemberType]


@pytest.mark.parametrize(
    ("choice", "names"),
    [
        pytest.param("none", [], id="none"),
        pytest.param("required", ["add"], id="required"),
        pytest.param({"type": "function", "function": {"name": "lookup"}}, ["lookup"], id="one"),
    ],
)
async def test_tool_choice_decides_which_tools_are_called(ask: Asker, choice: Any, names: list[str]) -> None:
    assert [name for name, _ in await called(ask, saying("Good morning", tools=TOOLS, tool_choice=choice))] == names


async def test_without_parallel_tool_calls_one_tool_is_called(ask: Asker) -> None:
    body = saying("Add 2 and 3, and tell the weather.", tools=TOOLS, parallel_tool_calls=False)
    assert [name for name, _ in await called(ask, body)] == ["add"]


async def test_a_tool_without_parameters_is_called_with_an_empty_object(ask: Asker) -> None:
    bare = {"type": "function", "function": {"name": "now"}}
    assert await called(ask, saying("now", tools=[bare])) == [("now", {})]


async def test_results_are_quoted_and_nothing_is_called_again(ask: Asker) -> None:
    body = saying("How is the weather in Rome?", tools=TOOLS)
    message = (await ask(body)).json["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "21 degrees"}
    body["messages"] += [message, result]
    got = await ask(body)
    assert "get_weather answered: 21 degrees" in got.text
    assert await called(ask, body) == []


async def test_required_after_a_result_calls_what_was_not_called_yet(ask: Asker) -> None:
    body = saying("How is the weather in Rome?", tools=[WEATHER, FINAL], tool_choice="required")
    for name in ("get_weather", "final_result", "final_result"):
        assert [called_name for called_name, _ in await called(ask, body)] == [name]
        message = (await ask(body)).json["choices"][0]["message"]
        body["messages"] += [message, {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "ok"}]


async def test_a_tool_result_without_its_call_is_quoted(ask: Asker) -> None:
    got = await ask(hello(messages=[{"role": "tool", "tool_call_id": "x", "content": "21"}]))
    assert "The tool answered: 21" in got.text


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        pytest.param("getWeather", "the weather", True, id="camel case"),
        pytest.param("search", "please search", True, id="only a verb"),
        pytest.param("search", "please look", False, id="another verb"),
        pytest.param("get_stock_price", "the stock price", True, id="all words"),
        pytest.param("get_stock_price", "the price", False, id="some words"),
    ],
)
def test_a_tool_is_mentioned_by_its_name_or_its_words(name: str, text: str, expected: bool) -> None:
    assert mentioned({"name": name}, text) is expected
