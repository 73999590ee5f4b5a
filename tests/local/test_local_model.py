"""A real model answers, in words, in JSON and with calls. What it says is its own; how it says it is checked."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, asynccontextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from time import sleep
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from venice_ai.emulator.local import LocalModel, LocalModelError, UnsupportedInput, open_local_model
from venice_ai.emulator.local.model import Engine

from ..cli.shell import ended, running
from .asking import complete

pytestmark = pytest.mark.local

PARIS = "What is the capital of France?"
STORY = "Tell a long story about a fox."
PATIENCE_SECONDS = 60


class Person(BaseModel):
    name: str
    age: int


class Trip(BaseModel):
    city: Literal["Rome", "Oslo"]
    price: float
    nights: int | None
    first_day: date
    traveller: Person


WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"$ref": "#/$defs/City"}},
            "required": ["city"],
            "additionalProperties": False,
            "$defs": {"City": {"type": "string"}},
        },
    },
}
CLOCK: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}},
}


def ask(question: str, **parameters: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": question}], "temperature": 0, **parameters}


async def stream(model: LocalModel, body: dict[str, Any]) -> list[dict[str, Any]]:
    return [chunk async for chunk in model.stream(body)]


def text(answer: dict[str, Any]) -> str:
    content = answer["choices"][0]["message"]["content"]
    assert isinstance(content, str)
    return content


def finish(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["finish_reason"])


def deltas(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]


async def test_a_question_is_answered(model: LocalModel) -> None:
    answer = await complete(model, ask(PARIS))

    assert text(answer) == "Paris"
    assert finish(answer) == "stop"
    assert model.model_id == "gemma-3-270m-local"


async def test_an_answer_says_what_it_used_and_nothing_of_the_engine(model: LocalModel) -> None:
    answer = await complete(model, ask(PARIS))

    usage = answer["usage"]
    assert usage["prompt_tokens"] > 0
    assert usage["completion_tokens"] > 0
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer.keys() == {"choices", "usage"}


async def test_a_stream_gives_the_same_text_in_pieces(model: LocalModel) -> None:
    body = ask("Count from 1 to 10.", max_completion_tokens=6)

    whole = await complete(model, body)
    chunks = await stream(model, body)

    pieces = [delta["content"] for delta in deltas(chunks) if delta.get("content")]
    assert len(pieces) > 3
    assert "".join(pieces) == text(whole)
    assert not pieces[0].startswith(" ")
    assert deltas(chunks)[0] == {"role": "assistant", "content": ""}
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == whole["usage"]["completion_tokens"]


async def test_a_system_message_and_earlier_turns_are_read(model: LocalModel) -> None:
    answer = await complete(
        model,
        {
            "messages": [
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": [{"type": "text", "text": "My name is "}, {"type": "text", "text": "Bob."}]},
                {"role": "assistant", "content": "Hello Bob."},
                {"role": "user", "content": "What is my name?"},
            ],
            "temperature": 0,
            "max_completion_tokens": 16,
        },
    )

    assert "Bob" in text(answer)


async def test_the_result_of_a_tool_is_used(model: LocalModel) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "multiply", "arguments": '{"a":12,"b":7}'}}
    answer = await complete(
        model,
        {
            "messages": [
                {"role": "user", "content": "How much is 12 times 7?"},
                {"role": "assistant", "content": None, "tool_calls": [call]},
                {"role": "tool", "tool_call_id": "c1", "content": "84"},
            ],
            "temperature": 0,
            "max_completion_tokens": 24,
        },
    )

    assert "84" in text(answer)


async def test_a_limit_ends_an_answer_as_length(model: LocalModel) -> None:
    answer = await complete(model, ask(STORY, max_completion_tokens=5))

    assert finish(answer) == "length"
    assert answer["usage"]["completion_tokens"] == 5


@pytest.mark.parametrize("stop", ["5", ["5", "zebra"]], ids=["text", "list"])
async def test_the_callers_stop_ends_an_answer(model: LocalModel, stop: str | list[str]) -> None:
    answer = await complete(model, ask("Count from 1 to 10.", max_completion_tokens=30, stop=stop))

    assert finish(answer) == "stop"
    assert "4" in text(answer)
    assert "5" not in text(answer)


async def test_the_templates_stop_holds_beside_the_callers(model: LocalModel) -> None:
    answer = await complete(model, ask(PARIS, stop="zebra"))

    assert finish(answer) == "stop"
    assert "Question" not in text(answer)


async def test_the_same_seed_gives_the_same_answer(model: LocalModel) -> None:
    body = ask("Why is the sky blue?", temperature=1, seed=7, max_completion_tokens=6)

    first = await complete(model, body)
    second = await complete(model, body)

    assert text(first) == text(second)


async def test_logprobs_are_given_with_top_logprobs(model: LocalModel) -> None:
    answer = await complete(model, ask(PARIS, logprobs=True, top_logprobs=2, max_completion_tokens=1))

    token = answer["choices"][0]["logprobs"]["content"][0]
    assert token.keys() == {"token", "bytes", "logprob", "top_logprobs"}
    assert len(token["top_logprobs"]) == 2


async def test_logprobs_are_given_without_top_logprobs(model: LocalModel) -> None:
    answer = await complete(model, ask(PARIS, logprobs=True, max_completion_tokens=1))

    token = answer["choices"][0]["logprobs"]["content"][0]
    assert token["logprob"] <= 0
    assert token["top_logprobs"] == []


async def test_an_answer_fits_the_schema(model: LocalModel) -> None:
    schema = {
        "type": "object",
        "properties": {"capital": {"type": "string"}, "inhabitants": {"type": "integer", "exclusiveMinimum": 0}},
        "required": ["capital", "inhabitants"],
        "additionalProperties": False,
    }
    response_format = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}

    answer = await complete(model, ask(PARIS, response_format=response_format))

    assert finish(answer) == "stop"
    import_module("jsonschema").validate(json.loads(text(answer)), schema)


async def test_an_answer_fits_a_pydantic_class(model: LocalModel) -> None:
    schema = Trip.model_json_schema()
    response_format = {"type": "json_schema", "json_schema": {"name": "trip", "strict": True, "schema": schema}}

    answer = await complete(model, ask("Book a trip to Rome for Bob, 42.", response_format=response_format))

    assert finish(answer) == "stop"
    Trip.model_validate_json(text(answer))


async def test_json_object_gives_an_object(model: LocalModel) -> None:
    answer = await complete(model, ask("Describe Paris.", response_format={"type": "json_object"}))

    assert finish(answer) == "stop"
    assert json.loads(text(answer)).keys()


async def test_truncated_json_has_the_finish_reason_length(model: LocalModel) -> None:
    answer = await complete(model, ask("Describe Paris.", response_format={"type": "json_object"}, max_completion_tokens=3))

    assert finish(answer) == "length"


@pytest.mark.parametrize(
    "choice",
    [
        pytest.param("required", id="required"),
        pytest.param({"type": "function", "function": {"name": "get_weather"}}, id="named"),
    ],
)
async def test_a_forced_call_has_valid_arguments(model: LocalModel, choice: Any) -> None:
    tools = [WEATHER, CLOCK]

    answer = await complete(model, ask("What is the weather in Paris?", tools=tools, tool_choice=choice))

    assert finish(answer) == "tool_calls"
    assert text(answer) == ""
    (call,) = answer["choices"][0]["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


async def test_a_streamed_call_names_the_function_first(model: LocalModel) -> None:
    body = ask("What time is it?", tools=[CLOCK], tool_choice="required")

    chunks = await stream(model, body)

    calls = [delta["tool_calls"][0] for delta in deltas(chunks) if "tool_calls" in delta]
    assert calls[0]["function"]["name"] == "get_time"
    assert "".join(call["function"]["arguments"] for call in calls) == "{}"


async def test_tools_that_need_not_be_called_leave_an_answer_in_words(model: LocalModel) -> None:
    answer = await complete(model, ask(PARIS, tools=[WEATHER], tool_choice="auto"))

    assert text(answer) == "Paris"


class Watched:
    """The engine, and what it does for one request."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.at_work = threading.Event()
        self.done = threading.Event()
        self.texts = 0
        """How many pieces of an answer it gave."""
        self.stopped = False
        """Whether it was told to stop by the answer to its last call."""

    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[dict[str, Any]], bool], /) -> None:
        def watched(chunk: dict[str, Any]) -> bool:
            self.at_work.set()
            self.texts += any(choice["delta"].get("content") for choice in chunk["choices"])
            self.stopped = callback(chunk)
            return self.stopped

        self._engine.handle_chat_completions(prompt, watched)
        self.done.set()


@pytest.fixture
def engine(model: LocalModel) -> Engine:
    """The one of the model that all tests share, for to load it takes longer than to answer."""
    return model._engine


@asynccontextmanager
async def watching(engine: Engine) -> AsyncGenerator[tuple[Watched, LocalModel]]:
    watched = Watched(engine)
    model = LocalModel(watched, model_id="watched", context_tokens=4096, plain=False)
    yield watched, model
    await model.aclose()


async def test_leaving_a_stream_stops_the_model(engine: Engine) -> None:
    async with watching(engine) as (watched, model):
        async with aclosing(model.stream(ask(STORY, max_completion_tokens=3900))) as chunks:
            await anext(chunks)

        assert await asyncio.to_thread(watched.done.wait, PATIENCE_SECONDS)

    assert watched.stopped
    assert watched.texts < 1000


async def test_leaving_during_a_long_prompt_stops_the_model(engine: Engine) -> None:
    async with watching(engine) as (watched, model):
        waiting = asyncio.create_task(complete(model, ask("fox dog cat " * 1000)))
        assert await asyncio.to_thread(watched.at_work.wait, PATIENCE_SECONDS)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

        assert await asyncio.to_thread(watched.done.wait, PATIENCE_SECONDS)

    assert watched.stopped
    assert watched.texts == 0


async def test_several_requests_are_answered_at_once(model: LocalModel) -> None:
    answers = await asyncio.gather(*(complete(model, ask(PARIS)) for _ in range(3)))

    assert {text(answer) for answer in answers} == {"Paris"}


async def test_a_prompt_that_is_too_long_is_refused(model: LocalModel) -> None:
    with pytest.raises(UnsupportedInput, match="tokens, and the local model reads 4096"):
        await complete(model, ask("fox " * 5000))


async def test_a_schema_that_the_engine_drops_is_refused_before_the_first_chunk(model: LocalModel) -> None:
    schema = {"type": "object", "properties": {"code": {"type": "string", "pattern": "(?=a)b"}}, "required": ["code"]}
    response_format = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": schema}}

    with pytest.raises(UnsupportedInput, match="cannot enforce this JSON schema"):
        await anext(model.stream(ask(PARIS, response_format=response_format, max_completion_tokens=8)))


@pytest.mark.usefixtures("local_extra")
def test_a_damaged_file_is_an_error_that_helps(gguf: Path) -> None:
    with pytest.raises(LocalModelError, match=r"cannot load .*broken\.gguf.*get it again"):
        open_local_model(gguf)


@pytest.mark.usefixtures("local_extra")
def test_the_engine_prints_nothing(gguf: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LocalModelError):
        open_local_model(gguf)

    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("local_extra")
@pytest.mark.parametrize("seconds", [0.5, 0.7, 0.9])
def test_ctrl_c_while_the_model_loads_ends_the_command(seconds: float) -> None:
    with running("serve", "--local", "--port", "0") as process:
        sleep(seconds)
        outcome = ended(process, signal.SIGINT)

    # A fast machine serves by then. If the engine was just being imported, Python ends itself by the signal: to a shell, 130.
    assert outcome.code in ({0} if outcome.out else {130, -signal.SIGINT})
    assert "Traceback" not in outcome.err
