"""A backend, such as a real model, that answers for the emulator."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

import pytest
import pytest_asyncio

from venice_ai.emulator import Backend, Emulator, UnsupportedInput, text

from .asking import Asker, Got, hello, in_process, on_a_socket

USAGE = {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14}


class Parrot:
    """A backend that says what it was told, and keeps what it was asked."""

    model_id = "parrot"
    context_tokens = 4_096

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.closed = False

    async def stream(self, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
        for character in self._said(body):
            yield {"id": "own", "choices": [{"index": 0, "delta": {"content": character}, "finish_reason": None}]}
            if character == "!":
                raise RuntimeError("the parrot fell")
        yield {"id": "own", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        yield {"id": "own", "choices": [], "usage": USAGE}

    async def aclose(self) -> None:
        self.closed = True

    def _said(self, body: dict[str, Any]) -> str:
        self.asked.append(body)
        prompt: str = body["messages"][-1]["content"]
        if prompt == "a picture":
            raise UnsupportedInput("the parrot has no eyes")
        if prompt == "a crash":
            raise RuntimeError("the parrot fell")
        return prompt


@pytest.fixture
def parrot() -> Parrot:
    return Parrot()


@pytest.fixture
def emulator(parrot: Parrot) -> Emulator:
    return Emulator(backend=parrot)


@pytest_asyncio.fixture(params=[pytest.param(in_process, id="in process"), pytest.param(on_a_socket, id="on a socket")])
async def tell(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncGenerator[Any]:
    """Tells the parrot something."""
    async with request.param(emulator) as ask:

        async def telling(prompt: str, **members: Any) -> Got:
            body = hello(**{"model": "parrot", **members, "messages": [{"role": "user", "content": prompt}]})
            got: Got = await ask(body)
            return got

        yield telling


def test_an_engine_satisfies_the_protocol_of_a_backend(parrot: Parrot) -> None:
    backend: Backend = parrot
    assert backend.model_id == "parrot"


async def test_the_model_of_a_backend_is_the_default_of_the_catalogue(ask: Asker) -> None:
    listed = (await ask(method="GET", path="/api/v1/models")).json["data"]
    traits = (await ask(method="GET", path="/api/v1/models/traits")).json["data"]
    assert listed[0]["id"] == traits["default"] == "parrot"
    assert listed[0]["model_spec"]["availableContextTokens"] == 4_096
    assert [model["id"] for model in listed if "default" in model["model_spec"]["traits"]] == ["parrot"]


@pytest.mark.parametrize("model", ["parrot", "default"])
async def test_a_plain_answer_of_a_backend_has_venices_ids_usage_and_cost(tell: Any, parrot: Parrot, model: str) -> None:
    got = await tell("hello", model=model, temperature=0.5)
    assert got.text == "hello"
    assert got.json["id"].startswith("chatcmpl-")
    assert got.json["model"] == got.headers["x-venice-model-id"] == "parrot"
    assert {name: got.json["usage"][name] for name in USAGE} == USAGE
    assert got.json["cost"] == {"usd": 0, "diem": 0}
    assert got.json["venice_parameters"]["enable_web_search"] == "off"
    assert parrot.asked[0]["temperature"] == 0.5


@pytest.mark.parametrize("usage", [True, False])
async def test_a_stream_of_a_backend_has_one_id_and_usage_on_request(tell: Any, usage: bool) -> None:
    got = await tell("hello", stream=True, stream_options={"include_usage": usage})
    assert got.text == "hello"
    assert got.events[-1] == b"[DONE]"
    assert {chunk["id"] for chunk in got.chunks} == {got.chunks[0]["id"]}
    assert not any(chunk["id"] == "own" for chunk in got.chunks)
    assert [chunk["usage"]["total_tokens"] for chunk in got.chunks if "usage" in chunk] == ([14] if usage else [])


@pytest.mark.parametrize("stream", [True, False])
async def test_each_of_n_choices_is_a_call_of_the_backend_with_its_own_seed(tell: Any, parrot: Parrot, stream: bool) -> None:
    got = await tell("hi", n=3, seed=5, stream=stream, stream_options={"include_usage": True})
    assert [body["seed"] for body in parrot.asked] == [5, 6, 7]
    assert not any("n" in body for body in parrot.asked)
    replies = list(got.chunks) if stream else [got.json]
    assert {choice["index"] for reply in replies for choice in reply["choices"]} == {0, 1, 2}
    assert replies[-1]["usage"]["completion_tokens"] == 9
    assert replies[-1]["usage"]["prompt_tokens"] == 11


@pytest.mark.parametrize("stream", [True, False])
async def test_a_request_that_the_backend_refuses_is_a_400(tell: Any, stream: bool) -> None:
    got = await tell("a picture", stream=stream)
    assert got.status == 400
    assert got.json["error"] == "the parrot has no eyes"
    assert got.json["request_id"].startswith("chatcmpl-")


@pytest.mark.parametrize("stream", [True, False])
async def test_a_backend_that_fails(tell: Any, stream: bool, caplog: pytest.LogCaptureFixture) -> None:
    got = await tell("a crash", stream=stream)
    assert (got.status, got.json) == (500, {"error": "Inference processing failed"})
    assert "the parrot fell" in caplog.text


async def test_a_backend_that_fails_in_the_middle(tell: Any) -> None:
    got = await tell("oh!", stream=True)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in got.chunks[:-1]] == ["o", "h", "!"]
    assert got.chunks[-1]["error"]["code"] == "upstream_error"
    assert got.events[-1] == b"[DONE]"


async def test_the_contract_still_holds_in_front_of_a_backend(tell: Any, parrot: Parrot) -> None:
    assert (await tell("hello", seed=0)).status == 400
    assert (await tell("hello", model="nope")).status == 404
    assert parrot.asked == []


async def test_scripts_and_emulated_models_still_answer(tell: Any, emulator: Emulator, parrot: Parrot) -> None:
    emulator.script(text("scripted"))
    assert (await tell("hello")).text == "scripted"
    assert "Venice 1" in (await tell("hello", model="venice-1")).text
    assert parrot.asked == []


async def test_closing_the_emulator_closes_the_backend(emulator: Emulator, parrot: Parrot) -> None:
    await emulator.aclose()
    assert parrot.closed
    await Emulator().aclose()
