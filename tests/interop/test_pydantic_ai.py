"""Agents of `pydantic-ai` work with the emulator as with any server that speaks OpenAI's protocol."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

from venice_ai.emulator import Emulator, error

from .environments import Script, python_env

pytestmark = pytest.mark.interop

MODEL = "venice-1"


@pytest.fixture(scope="module")
def script() -> Generator[Script]:
    environment = python_env("pydantic-ai", ["pydantic-ai-slim[openai]==2.68.*"])
    with environment.running("ask_pydantic_ai.py") as script:
        yield script


@pytest.fixture
def ask(script: Script, base_url: str) -> Callable[..., Any]:
    """Runs one scenario of `clients/ask_pydantic_ai.py` with the emulator."""
    return partial(script.ask, base_url=base_url, model=MODEL)


def test_a_conversation_goes_on(ask: Callable[..., Any], emulator: Emulator) -> None:
    seen = ask("text", prompt="Which boat goes to Burano?")

    assert "Which boat goes to Burano?" in seen["output"]
    assert seen["parts"] == ["user-prompt", "text"] * 2
    assert seen["input_tokens"] > 0 < seen["output_tokens"]
    roles = [message["role"] for message in emulator.requests[1].body["messages"]]
    assert roles == ["system", "user", "assistant", "user"]


def test_a_tool_is_called_and_its_result_used(ask: Callable[..., Any]) -> None:
    seen = ask("tools", prompt='What is the tide at "Rialto"?')

    assert "110 cm at Rialto" in seen["output"]
    assert seen["parts"] == ["user-prompt", "tool-call", "tool-return", "text"]


def test_a_structured_output_comes_by_a_tool(ask: Callable[..., Any], emulator: Emulator) -> None:
    seen = ask("by_tool", prompt="How do I get to Torcello?")

    assert seen["kind"] == "Route"
    assert seen["output"].keys() == {"line", "stops"}
    assert emulator.requests[0].body["tool_choice"] == "required"
    assert len(emulator.requests) == 1


def test_a_structured_output_comes_by_a_schema(ask: Callable[..., Any], emulator: Emulator) -> None:
    seen = ask("by_schema", prompt="How do I get to Torcello?")

    assert seen["kind"] == "Route"
    assert seen["output"].keys() == {"line", "stops"}
    assert emulator.requests[0].body["response_format"]["type"] == "json_schema"
    assert len(emulator.requests) == 1


def test_text_arrives_bit_by_bit(ask: Callable[..., Any]) -> None:
    seen = ask("stream_text", prompt="hi")

    assert len(seen["deltas"]) > 2
    assert "".join(seen["deltas"]) == seen["output"]


def test_a_structured_output_arrives_bit_by_bit(ask: Callable[..., Any]) -> None:
    seen = ask("stream_output", prompt="How do I get to Torcello?")

    assert seen["kind"] == "Route"
    assert seen["output"].keys() == {"line", "stops"}


def test_a_streamed_run_calls_a_tool(ask: Callable[..., Any]) -> None:
    seen = ask("stream_tools", prompt='What is the tide at "Rialto"?')

    assert "110 cm at Rialto" in seen["output"]
    assert {"function_tool_call", "function_tool_result", "part_start", "part_delta"} <= set(seen["kinds"])


@pytest.mark.parametrize("status", [pytest.param(429, id="429"), pytest.param(503, id="503"), pytest.param(402, id="402")])
def test_a_refusal_keeps_its_status(ask: Callable[..., Any], emulator: Emulator, status: int) -> None:
    emulator.script(error(status, "not now"))

    assert ask("error", prompt="hi") == {"status": status, "model": MODEL, "body": "not now"}
