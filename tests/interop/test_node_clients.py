"""The newest `openai` for Node, and `ai` with `@ai-sdk/openai-compatible`, take the emulator for a server they know."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

from venice_ai.emulator import Emulator, error

from .environments import Script, node_env

pytestmark = pytest.mark.interop

MODEL = "venice-1"
HI = [{"role": "user", "content": "hi"}]
WEATHER = "How is the weather in Chioggia?"


@pytest.fixture(scope="module")
def script() -> Generator[Script]:
    environment = node_env("node-clients", ["openai@7", "ai@7", "@ai-sdk/openai-compatible@3", "zod@4"])
    with environment.running("ask_node.mjs") as script:
        yield script


@pytest.fixture
def ask(script: Script, base_url: str) -> Callable[..., Any]:
    """Runs one scenario of `clients/ask_node.mjs` with the emulator."""
    return partial(script.ask, base_url=base_url)


def test_openai_gets_an_answer_with_usage(ask: Callable[..., Any]) -> None:
    reply = ask("create", model=MODEL, messages=HI)

    assert reply["choices"][0]["finish_reason"] == "stop"
    assert "hi" in reply["choices"][0]["message"]["content"]
    assert reply["usage"]["total_tokens"] > 0


def test_openai_reads_a_stream_that_says_the_same(ask: Callable[..., Any]) -> None:
    whole = ask("create", model=MODEL, messages=HI, seed=7)

    *chunks, last = ask("stream", model=MODEL, messages=HI, seed=7, stream_options={"include_usage": True})

    texts = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(texts) == whole["choices"][0]["message"]["content"]
    assert last["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


def test_openai_raises_a_refusal_with_its_status(ask: Callable[..., Any], emulator: Emulator) -> None:
    emulator.script(error(402, "INSUFFICIENT_BALANCE"))

    refused = ask("refused", model=MODEL, messages=HI)

    assert refused["status"] == 402


def test_openai_assembles_a_streamed_tool_call(ask: Callable[..., Any]) -> None:
    whole = ask("assembled", model=MODEL, messages=[{"role": "user", "content": WEATHER}])

    (call,) = whole["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("get_weather", {"town": "Chioggia"})


def test_the_ai_package_generates_text(ask: Callable[..., Any]) -> None:
    answer = ask("ai_text", model=MODEL, prompt="hi")

    assert "hi" in answer["text"]
    assert answer["finishReason"] == "stop"
    assert answer["usage"]["totalTokens"] > 0


def test_the_ai_package_streams_text(ask: Callable[..., Any]) -> None:
    answer = ask("ai_stream", model=MODEL, prompt="hi")

    assert len(answer["pieces"]) > 1
    assert "hi" in "".join(answer["pieces"])
    assert answer["finishReason"] == "stop"


def test_the_ai_package_runs_a_tool_and_uses_its_result(ask: Callable[..., Any]) -> None:
    answer = ask("ai_tools", model=MODEL, prompt=WEATHER, result="Fog until noon.")

    assert answer["given"] == [{"town": "Chioggia"}]
    assert "Fog until noon." in answer["text"]
