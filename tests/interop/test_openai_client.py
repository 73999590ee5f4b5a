"""OpenAI's own package takes the emulator for a server it knows."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from functools import partial
from typing import Any

import pytest

from venice_ai.emulator import Emulator, busy, error, text, usual

from .environments import Script, python_env

pytestmark = pytest.mark.interop

MODEL = "venice-1"
HI = [{"role": "user", "content": "hi"}]
WEATHER = [{"role": "user", "content": "How is the weather in Chioggia?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "The weather of a town.",
            "parameters": {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]},
        },
    }
]
VERDICT = {
    "type": "object",
    "properties": {"mood": {"enum": ["good", "bad"]}, "score": {"type": "integer", "minimum": 0, "maximum": 10}},
    "required": ["mood", "score"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def script() -> Generator[Script]:
    with python_env("openai", ["openai==3.54.*"]).running("ask_openai.py") as script:
        yield script


@pytest.fixture
def ask(script: Script, base_url: str) -> Callable[..., Any]:
    """Runs one scenario of `clients/ask_openai.py` with the emulator."""
    return partial(script.ask, base_url=base_url)


def test_create_gives_an_answer_with_usage(ask: Callable[..., Any]) -> None:
    reply = ask("create", model=MODEL, messages=HI, temperature=0.5, stop=["\n"], user="me")

    assert reply["object"] == "chat.completion"
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert "hi" in reply["choices"][0]["message"]["content"]
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 0


def test_two_choices_come_with_logprobs(ask: Callable[..., Any]) -> None:
    reply = ask("create", model=MODEL, messages=HI, n=2, logprobs=True, top_logprobs=2, max_completion_tokens=6)

    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    for choice in reply["choices"]:
        tokens = choice["logprobs"]["content"]
        assert "".join(token["token"] for token in tokens) == choice["message"]["content"]
        assert all(len(token["top_logprobs"]) == 2 for token in tokens)
        assert choice["finish_reason"] == "length"


def test_a_stream_is_the_same_answer_and_ends_with_usage(ask: Callable[..., Any]) -> None:
    whole = ask("create", model=MODEL, messages=HI, seed=7)

    *chunks, last = ask("stream", model=MODEL, messages=HI, seed=7, stream_options={"include_usage": True})

    deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
    assert "".join(deltas) == whole["choices"][0]["message"]["content"]
    assert len(chunks) > 2
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks if chunk["choices"][0]["finish_reason"]] == ["stop"]
    assert last["choices"] == []
    assert last["usage"] == {**last["usage"], **{key: whole["usage"][key] for key in ("prompt_tokens", "completion_tokens")}}


def test_the_chunks_of_two_choices_have_their_index(ask: Callable[..., Any]) -> None:
    chunks = ask("stream", model=MODEL, messages=HI, n=2)

    indexes = {choice["index"] for chunk in chunks for choice in chunk["choices"] if choice["delta"].get("content")}
    assert indexes == {0, 1}


def test_its_own_assembly_of_a_stream_finds_everything(ask: Callable[..., Any]) -> None:
    seen = ask("assembled", model=MODEL, messages=WEATHER, tools=TOOLS, stream_options={"include_usage": True})

    assert "tool_calls.function.arguments.done" in seen["kinds"]
    choice = seen["whole"]["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"town": "Chioggia"}
    assert seen["whole"]["usage"]["total_tokens"] > 0


def test_a_tool_is_called_and_its_result_used(ask: Callable[..., Any]) -> None:
    seen = ask("tool_round", model=MODEL, messages=WEATHER, tools=TOOLS, result="Fog until noon.")

    assert seen["first"]["finish_reason"] == "tool_calls"
    function = seen["first"]["message"]["tool_calls"][0]["function"]
    assert (function["name"], json.loads(function["arguments"])) == ("get_weather", {"town": "Chioggia"})
    assert seen["second"]["finish_reason"] == "stop"
    assert "Fog until noon." in seen["second"]["message"]["content"]


@pytest.mark.parametrize(
    "choice",
    [pytest.param("required", id="any"), pytest.param({"type": "function", "function": {"name": "get_weather"}}, id="by name")],
)
def test_a_tool_can_be_demanded(ask: Callable[..., Any], choice: Any) -> None:
    reply = ask("create", model=MODEL, messages=HI, tools=TOOLS, tool_choice=choice)

    assert [call["function"]["name"] for call in reply["choices"][0]["message"]["tool_calls"]] == ["get_weather"]


def test_a_schema_is_kept(ask: Callable[..., Any]) -> None:
    form = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": VERDICT, "strict": True}}

    reply = ask("create", model=MODEL, messages=HI, response_format=form)

    found = json.loads(reply["choices"][0]["message"]["content"])
    assert found.keys() == {"mood", "score"}
    assert found["mood"] in {"good", "bad"}
    assert 0 <= found["score"] <= 10


def test_an_answer_is_parsed_into_a_pydantic_model(ask: Callable[..., Any]) -> None:
    seen = ask("parse", model=MODEL, messages=HI)

    assert seen["kind"] == "Route"
    assert json.loads(seen["text"]) == seen["parsed"]
    assert seen["parsed"].keys() == {"line", "stops", "express"}


def test_the_catalogue_is_listed(ask: Callable[..., Any], emulator: Emulator) -> None:
    models = ask("models")

    assert MODEL in [model["id"] for model in models]
    assert all(model["object"] == "model" and model["owned_by"] and model["created"] > 0 for model in models)
    assert [request.path for request in emulator.requests] == ["/api/v1/models"]


def test_venices_own_switches_travel_in_the_extra_body(ask: Callable[..., Any], emulator: Emulator) -> None:
    switches = {"enable_web_search": "on", "include_venice_system_prompt": False}

    reply = ask("create", model=MODEL, messages=HI, extra_body={"venice_parameters": switches})

    assert emulator.requests[0].body["venice_parameters"] == switches
    assert reply["venice_parameters"] == {**reply["venice_parameters"], **switches}
    assert reply["venice_parameters"]["web_search_citations"]


@pytest.mark.parametrize(
    ("request_", "kind", "status"),
    [
        # Venice answers a request without credentials with 402, for which that package has no class of its own.
        pytest.param({"key": ""}, "APIStatusError", 402, id="no key"),
        pytest.param({"model": "no-such-model"}, "NotFoundError", 404, id="unknown model"),
        pytest.param({"temperature": 2.5}, "BadRequestError", 400, id="out of range"),
        pytest.param({"logit_bias": {"1": 1}}, "BadRequestError", 400, id="a parameter that Venice does not know"),
        pytest.param({"stream": True, "model": "no-such-model"}, "NotFoundError", 404, id="unknown model, streamed"),
    ],
)
def test_a_refusal_becomes_its_error(ask: Callable[..., Any], request_: dict[str, Any], kind: str, status: int) -> None:
    seen = ask("error", **{"model": MODEL, "messages": HI, **request_})

    assert (seen["kind"], seen["status"]) == (kind, status)
    assert seen["body"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        pytest.param(401, "AuthenticationError", id="401"),
        pytest.param(403, "PermissionDeniedError", id="403"),
        pytest.param(422, "UnprocessableEntityError", id="422"),
        pytest.param(429, "RateLimitError", id="429"),
        pytest.param(500, "InternalServerError", id="500"),
        pytest.param(503, "InternalServerError", id="503"),
    ],
)
def test_a_scripted_status_becomes_its_error(ask: Callable[..., Any], emulator: Emulator, status: int, kind: str) -> None:
    emulator.script(error(status))

    seen = ask("error", model=MODEL, messages=HI)

    assert (seen["kind"], seen["status"]) == (kind, status)


def test_an_error_in_a_stream_is_raised(ask: Callable[..., Any], emulator: Emulator) -> None:
    emulator.script(usual(in_band_error={"message": "the provider went away", "code": "upstream_error"}))

    seen = ask("error", model=MODEL, messages=HI, stream=True)

    assert seen["kind"] == "APIError"
    assert seen["message"] == "the provider went away"


def test_openai_waits_as_long_as_retry_after_says(ask: Callable[..., Any], emulator: Emulator) -> None:
    emulator.script(busy(retry_after=1), text("now"))

    reply = ask("create", model=MODEL, messages=HI, retries=1)

    assert reply["choices"][0]["message"]["content"] == "now"
    assert [request.headers["x-stainless-retry-count"] for request in emulator.requests] == ["0", "1"]
