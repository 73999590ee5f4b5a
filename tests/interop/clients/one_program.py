"""A program for `venice_ai` that runs with this package and with `venice-py`, whose module has the same name."""

# mypy: ignore-errors
# pyright: basic, reportOptionalSubscript=false, reportOptionalMemberAccess=false, reportArgumentType=false, reportGeneralTypeIssues=false
# Both packages are meant, and their types differ.

from __future__ import annotations

import warnings
from typing import Any

from asked import answer

from venice_ai import APIError, SyncVeniceClient, SystemMessage, ToolMessage, UserMessage, VeniceClient, tool_from_function

warnings.simplefilter("ignore")  # the other package has some to give


def get_weather(town: str) -> str:
    """The weather in a town."""
    return f"Fog in {town} until noon."


async def created(base_url: str, model: str) -> Any:
    """A whole answer to a conversation, why it ended, and what it cost."""
    messages = [SystemMessage(content="Be brief."), UserMessage(content="hi there")]
    async with VeniceClient(api_key="any", base_url=base_url) as client:
        reply = await client.chat.completions.create(model=model, messages=messages, temperature=0.3, max_completion_tokens=50)
    choice = reply.choices[0]
    return [choice.message.content, choice.finish_reason, reply.usage.prompt_tokens, reply.usage.total_tokens]


async def streamed(base_url: str, model: str) -> Any:
    """The same text as a stream, asked for in both ways."""
    question: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    async with VeniceClient(api_key="any", base_url=base_url) as client:
        by_flag = await client.chat.completions.create(**question, stream=True)
        first = [choice.delta.content or "" async for chunk in by_flag for choice in chunk.choices]
        async with await client.chat.completions.stream(**question) as stream:
            second = [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]
    return ["".join(first), "".join(second)]


async def with_a_tool(base_url: str, model: str) -> Any:
    """A function is called, and its result is sent back."""
    messages: list[Any] = [UserMessage(content="How is the weather in Chioggia?")]
    tools = [tool_from_function(get_weather)]
    async with VeniceClient(api_key="any", base_url=base_url) as client:
        asked = (await client.chat.completions.create(model=model, messages=messages, tools=tools)).choices[0].message
        call = asked.tool_calls[0]
        repeated = {"role": "assistant", "tool_calls": [call.model_dump(exclude_none=True)]}
        messages += [repeated, ToolMessage(content=get_weather("Chioggia"), tool_call_id=call.id)]
        second = await client.chat.completions.create(model=model, messages=messages, tools=tools)
    return [call.function.name, call.function.arguments, second.choices[0].message.content]


async def refused(base_url: str) -> Any:
    """The error of a model that is not there."""
    try:
        async with VeniceClient(api_key="any", base_url=base_url) as client:
            await client.chat.completions.create(model="none-such", messages=[UserMessage(content="hi")])
    except APIError as error:
        return [type(error).__name__, error.status_code]
    return None


async def listed(base_url: str) -> Any:
    """The ids of the text models; without a type the other package lists those of every type."""
    async with VeniceClient(api_key="any", base_url=base_url) as client:
        return [model.id for model in (await client.models.list(type="text")).data]


async def synchronous(base_url: str, model: str) -> Any:
    """An answer of the synchronous client."""
    with SyncVeniceClient(api_key="any", base_url=base_url) as client:
        reply = client.chat.completions.create(model=model, messages=[UserMessage(content="hi")])
    return reply.choices[0].message.content


answer(created, streamed, with_a_tool, refused, listed, synchronous)
