"""What type checkers make of a call: `make check` judges these lines, and here they run."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import assert_type

from venice_ai import ChatCompletionChunk, ChatCompletionResponse, ChatCostEstimate, ChatStream, UserMessage
from venice_ai.types.api import ChatMessage, ModelsListResponse

from .fakes import HI, answer, client_of, completion, hello, stream


async def test_a_plain_call_is_a_response() -> None:
    client, _ = client_of(*[answer(completion()) for _ in range(2)])

    assert_type(await client.chat.completions.create(model="m", messages=HI), ChatCompletionResponse)
    reply = await client.chat.completions.create(model="m", messages=[UserMessage(content="hi")], stream=False, temperature=1)

    assert_type(reply, ChatCompletionResponse)
    assert_type(reply.choices[0].message, ChatMessage)
    assert_type(reply.text, str | None)


async def test_a_streamed_call_is_a_stream_of_chunks() -> None:
    client, _ = client_of(*[stream(*hello()) for _ in range(2)])

    read = await client.chat.completions.create(model="m", messages=HI, stream=True)
    async with read:
        async for piece in read:
            assert_type(piece, ChatCompletionChunk)
            assert_type(piece.text, str)
    async with await client.chat.completions.stream(model="m", messages=HI) as other:
        assert_type(other, ChatStream)
        async for text in other.text_deltas():
            assert_type(text, str)
        assert_type(await other.collect(), ChatCompletionResponse)

    assert_type(read, ChatStream)


async def test_which_it_is_may_be_known_late() -> None:
    client, _ = client_of(answer(completion()), stream(*hello()))

    for late in (False, True):
        reply = await client.chat.completions.create(model="m", messages=HI, stream=late)
        assert_type(reply, ChatCompletionResponse | ChatStream)
        if isinstance(reply, ChatStream):
            await reply.close()


async def test_keywords_of_tomorrow_are_allowed() -> None:
    client, transport = client_of(answer(completion()), stream(*hello()))

    await client.chat.completions.create(model="m", messages=HI, a_keyword_of_tomorrow=1)
    async with await client.chat.completions.stream(model="m", messages=HI, a_keyword_of_tomorrow=1):
        pass

    assert [body["a_keyword_of_tomorrow"] for body in transport.bodies] == [1, 1]


async def test_a_stream_is_an_iterator() -> None:
    client, _ = client_of(stream(*hello()))

    read: AsyncIterator[ChatCompletionChunk] = await client.chat.completions.create(model="m", messages=HI, stream=True)
    first = await anext(read)
    rest = [piece.text async for piece in read]

    assert isinstance(read, AsyncIterator)
    assert first.text == "hel"
    assert "".join(rest) == "lo"


async def test_models_and_costs_have_their_types() -> None:
    prices = {"input": {"usd": 1}, "output": {"usd": 1}}
    client, _ = client_of(answer({"data": [{"id": "m", "type": "text", "model_spec": {"pricing": prices}}]}))

    assert_type(await client.models.list(), ModelsListResponse)
    assert_type(await client.models.resolve_chat(), str)
    assert_type(await client.chat.completions.estimate_cost(model="m", messages=HI), ChatCostEstimate)
