"""`messages="..."`: a text is one message of the user, in every call that takes messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from venice_ai import BatchRequest, InvalidRequestError, Journal, SyncVeniceClient, UserMessage, VeniceClient
from venice_ai.costs import estimate_chat_cost
from venice_ai.emulator import Emulator, echo, text_model
from venice_ai.types.api.chat import Messages
from venice_ai.types.api.models import ModelResponse

from ..disclosure import shown_of
from ..fakes import HI


class Answer(BaseModel):
    said: str


MODEL = "default"
WORDS = "hi"


def add(first: int, second: int) -> int:
    """Adds two numbers."""
    return first + second


async def create(client: VeniceClient, messages: Messages) -> object:
    return await client.chat.completions.create(model=MODEL, messages=messages)


async def stream(client: VeniceClient, messages: Messages) -> object:
    async with await client.chat.completions.stream(model=MODEL, messages=messages) as opened:
        return await opened.collect()


async def parse(client: VeniceClient, messages: Messages) -> object:
    return await client.chat.completions.parse(model=MODEL, messages=messages, response_format=Answer)


async def stream_parse(client: VeniceClient, messages: Messages) -> object:
    async with await client.chat.completions.stream_parse(model=MODEL, messages=messages, response_format=Answer) as opened:
        return await opened.collect()


async def run_with_tools(client: VeniceClient, messages: Messages) -> object:
    return await client.chat.completions.run_with_tools(model=MODEL, messages=messages, tools=[add])


async def stream_with_tools(client: VeniceClient, messages: Messages) -> object:
    async with await client.chat.completions.stream_with_tools(model=MODEL, messages=messages, tools=[add]) as opened:
        return [event async for event in opened]


async def batch(client: VeniceClient, messages: Messages) -> object:
    return await client.chat.completions.batch([{"model": MODEL, "messages": messages}])


async def batch_iter(client: VeniceClient, messages: Messages) -> object:
    return [item async for item in client.chat.completions.batch_iter([{"model": MODEL, "messages": messages}])]


CALLS = [create, stream, parse, stream_parse, run_with_tools, stream_with_tools, batch, batch_iter]


def client_of(emulator: Emulator) -> VeniceClient:
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)


async def bodies_of(call: Callable[[VeniceClient, Messages], Awaitable[object]], messages: Messages) -> list[dict[str, Any]]:
    """The chats that a call sends."""
    emulator = Emulator()
    async with client_of(emulator) as client:
        await call(client, messages)
    return [request.body for request in emulator.requests if request.body]


@pytest.mark.parametrize("call", CALLS)
async def test_a_text_is_sent_as_one_message_of_the_user(call: Callable[[VeniceClient, Messages], Awaitable[object]]) -> None:
    sent = await bodies_of(call, WORDS)

    assert sent[0]["messages"] == HI
    assert sent == await bodies_of(call, [UserMessage(content=WORDS)])


@pytest.mark.parametrize("method", ["create", "stream"])
def test_a_text_is_sent_by_the_synchronous_client_too(method: str) -> None:
    emulator = Emulator()

    with SyncVeniceClient(api_key="any", transport=emulator.transport()) as client:
        if method == "stream":
            with client.chat.completions.stream(model=MODEL, messages=WORDS) as opened:
                opened.collect()
        else:
            client.chat.completions.create(model=MODEL, messages=WORDS)

    (request,) = emulator.requests
    assert request.body["messages"] == HI


async def test_a_text_is_estimated_and_checked_as_the_message_that_it_is() -> None:
    async with client_of(Emulator()) as client:
        completions, model = client.chat.completions, await client.models.resolve_chat()
        estimates = [await completions.estimate_cost(model=model, messages=messages) for messages in (WORDS, HI)]
        long = "many words " * 2_000_000
        refusals = [await client.models.check({"model": model, "messages": text}) for text in (WORDS, long)]

    assert estimates[0] == estimates[1]
    assert [[refusal.parameter for refusal in each] for each in refusals] == [[], ["messages"]]


def test_the_estimate_of_an_entry_takes_a_text() -> None:
    entry = ModelResponse.model_validate(text_model("m"))

    assert estimate_chat_cost(entry, WORDS) == estimate_chat_cost(entry, HI)


async def test_a_journal_knows_a_text_and_its_message_as_one_request(tmp_path: Any) -> None:
    emulator = Emulator()
    emulator.always(echo())

    async with client_of(emulator) as client:
        with Journal(tmp_path / "answers.journal") as journal:
            for messages in (WORDS, HI):
                asked: list[BatchRequest] = [{"model": MODEL, "messages": messages}]
                items = [item async for item in client.chat.completions.batch_iter(asked, journal=journal)]

    assert [(item.replayed, item.response.text if item.response else None) for item in items] == [(True, WORDS)]
    assert len(emulator.requests) == 1


@pytest.mark.parametrize("call", [create, stream, parse, run_with_tools])
async def test_an_empty_text_is_refused_like_an_empty_list(call: Callable[[VeniceClient, Messages], Awaitable[object]]) -> None:
    emulator = Emulator()

    with pytest.raises(InvalidRequestError, match="messages is empty"):
        await call(client_of(emulator), "")

    assert emulator.requests == []


@pytest.mark.parametrize("method", ["create", "stream", "parse", "stream_parse", "run_with_tools", "stream_with_tools"])
async def test_no_traceback_shows_a_text(method: str) -> None:
    needed = {"response_format": Answer} if "parse" in method else {"tools": [add]} if "tools" in method else {}
    completions = client_of(Emulator()).chat.completions

    with pytest.raises(InvalidRequestError) as caught:
        await getattr(completions, method)(model=MODEL, messages="my secret prompt", temperature=9, **needed)

    # The error of a tool loop holds its state, with which the loop can go on; the names of functions hold nothing.
    assert [where for where, shown in shown_of(caught.value) if ": " in where and "secret" in shown] == []
