"""The documented examples, from the first line to the last, on a Venice in this process and once on a socket."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from venice_ai import AuthenticationError, RateLimitError, StreamInterruptedError, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, busy, echo, serve, text, tool_call

QUESTION = [UserMessage(content="Tell me a story.")]


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


def client_of(emulator: Emulator, **settings: Any) -> VeniceClient:
    chosen: dict[str, Any] = {"api_key": "your-api-key", **settings}
    return VeniceClient(transport=emulator.transport(), clock=emulator.clock, **chosen)


async def test_a_model_is_resolved_and_asked(emulator: Emulator) -> None:
    async with client_of(emulator) as client:
        model = await client.models.resolve_chat()
        response = await client.chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "You are a helpful assistant."},
                {"role": "user", "content": "Explain async programming in Python."},
            ],
            temperature=0.3,
            max_completion_tokens=500,
        )

    assert response.choices[0].message.content
    assert response["choices"][0]["message"]["content"] == response.text
    assert response.choices[0].finish_reason == "stop"
    assert response.usage is not None
    assert response.usage.total_tokens == response.usage.prompt_tokens + response.usage.completion_tokens


async def test_a_story_is_streamed(emulator: Emulator) -> None:
    pieces: list[str] = []
    async with client_of(emulator) as client:
        model = await client.models.resolve_chat()
        async for chunk in await client.chat.completions.create(
            model=model, messages=[{"role": "user", "content": "Tell me a story."}], stream=True, max_completion_tokens=200
        ):
            content = chunk.choices[0].delta.content or ""
            if content:
                pieces.append(content)
        async with await client.chat.completions.stream(model=model, messages=QUESTION, max_completion_tokens=200) as s:
            again = [text async for text in s.text_deltas()]
        whole = await s.collect()

    assert "".join(pieces) == "".join(again) == whole.text
    assert len(pieces) > 1
    assert whole.usage is not None


async def test_an_estimate_is_had_before_anything_is_sent(emulator: Emulator) -> None:
    async with client_of(emulator) as client:
        estimate = await client.chat.completions.estimate_cost(
            model=await client.models.resolve_chat(), messages=QUESTION, expected_completion_tokens=1500
        )

    assert Decimal(0) < estimate.total_cost_usd < Decimal("0.10")


async def test_a_busy_server_is_tried_again(emulator: Emulator) -> None:
    emulator.script(busy(retry_after=2), echo())

    async with client_of(emulator) as client:
        reply = await client.chat.completions.create(model="default", messages=[UserMessage(content="hi")])

    assert reply.text == "hi"
    assert reply.meta.attempts == 2


async def test_a_server_that_stays_busy_is_an_error(emulator: Emulator) -> None:
    emulator.always(busy(retry_after=30))

    async with client_of(emulator, max_retries=0) as client:
        with pytest.raises(RateLimitError) as caught:
            await client.chat.completions.create(model="default", messages=QUESTION)

    assert caught.value.kind == "overloaded"
    assert caught.value.retry_after_seconds


async def test_a_call_of_a_tool_is_answered_with_the_turn_as_it_came(emulator: Emulator) -> None:
    emulator.script(tool_call("add", {"x": 2, "y": 3}), text("5"))
    tool: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
    messages: list[Any] = [UserMessage(content="What is 2 + 3?")]

    async with client_of(emulator) as client:
        async with await client.chat.completions.stream(model="default", messages=messages, tools=[tool]) as s:
            turn = await s.collect()
        (call,) = turn.tool_calls
        messages += [turn.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "5"}]
        answer = await client.chat.completions.create(model="default", messages=messages, tools=[tool])

    assert (call.function.name, call.function.arguments_dict) == ("add", {"x": 2, "y": 3})
    assert turn.finish_reason == "tool_calls"
    assert answer.text == "5"


BOUNDS: list[dict[str, Any]] = [
    {"temperature": 0, "top_p": 1, "min_p": 0, "frequency_penalty": -2, "presence_penalty": 2},
    {"temperature": 2.0, "top_p": 0.0, "min_temp": 0, "max_temp": 2, "repetition_penalty": 0, "top_k": 0},
    {"seed": 1, "n": 2, "stop": ["a", "b", "c", "d"], "stop_token_ids": [], "logprobs": True, "top_logprobs": 0},
    {"reasoning_effort": "max", "reasoning": {"effort": "none", "summary": "auto"}, "store": False, "user": ""},
    {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "metadata": {"a": "b"}, "include": [], "text": {}},
    {"venice_parameters": {"enable_web_search": "off"}, "stream_options": {"include_usage": True}},
]


@pytest.mark.parametrize("params", BOUNDS, ids=" ".join)
async def test_the_emulator_accepts_every_value_that_the_client_allows(params: dict[str, Any], emulator: Emulator) -> None:
    # The emulator refuses what Venice's contract refuses; every bound that the client lets through must pass.
    async with client_of(emulator) as client:
        create: Any = client.chat.completions.create
        reply = await create(model="default", messages=QUESTION, **params)

    assert reply.choices


async def test_a_chat_a_stream_and_the_catalogue_work_over_a_socket(emulator: Emulator) -> None:
    emulator.always(echo())
    async with serve(emulator) as server, VeniceClient(api_key="any", base_url=server.url, max_retries=0) as client:
        reply = await client.chat.completions.create(model="default", messages=QUESTION)
        async with await client.chat.completions.stream(model="default", messages=QUESTION) as s:
            streamed = await s.collect()
        models = await client.models.list()

    assert reply.text == streamed.text == "Tell me a story."
    assert models.data


async def test_a_stream_that_is_cut_is_never_taken_for_a_whole_one(emulator: Emulator) -> None:
    emulator.always(text("one two three four five", cut_at=900))

    async with client_of(emulator) as client:
        with pytest.raises(StreamInterruptedError) as caught:
            await (await client.chat.completions.stream(model="default", messages=QUESTION)).collect()

    assert caught.value.partial is not None
    assert "one two three four five".startswith(caught.value.partial.text or "")


async def test_a_missing_key_is_an_error_before_anything_is_sent(emulator: Emulator) -> None:
    async with client_of(emulator, api_key=None) as client:
        with pytest.raises(AuthenticationError):
            await client.chat.completions.create(model="default", messages=QUESTION)
        assert (await client.models.list()).data
