"""What type checkers make of tools."""

from __future__ import annotations

from typing import reveal_type

from venice_ai import SyncVeniceClient, Tool, ToolFunction, UserMessage, VeniceClient, tool_from_function

client = VeniceClient()
sync = SyncVeniceClient()


def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


async def fetch(url: str) -> dict[str, str]:
    """Fetches."""
    return {"url": url}


def double(text: str) -> str:
    """Says it twice."""
    return text * 2


async def wait(seconds: float) -> None:
    """Waits."""


by_hand = Tool(function=ToolFunction(name="look_up"))


async def a_loop() -> None:
    reveal_type(tool_from_function(add))  # Tool
    result = await client.chat.completions.run_with_tools(
        model="m",
        messages=[{"role": "user", "content": "hi"}],
        tools=[add, fetch, by_hand],
        on_tool_call=lambda call, value: print(call.function.name, value),
        on_tool_error=lambda call, error: f"{call.id}: {error}",
        parallel=True,
        max_iterations=3,
        temperature=0,
    )
    reveal_type(result)  # ToolLoopResult
    reveal_type(result.response)  # ChatCompletionResponse
    reveal_type(result.iterations)  # int

    of_one_kind, mixed, asynchronous = [add, double], [add, fetch], [fetch, wait]
    await client.chat.completions.run_with_tools(model="m", messages=[UserMessage(content="hi")], tools=of_one_kind)
    await client.chat.completions.run_with_tools(model="m", messages=[UserMessage(content="hi")], tools=mixed)
    await client.chat.completions.stream_with_tools(model="m", messages=[UserMessage(content="hi")], tools=asynchronous)
    sync.chat.completions.run_with_tools(model="m", messages=[UserMessage(content="hi")], tools=of_one_kind)

    events = await client.chat.completions.stream_with_tools(model="m", messages=[UserMessage(content="hi")], tools=[add])
    async with events:
        async for event in events:
            reveal_type(event)  # TextDelta | ToolCallStarted | ToolCallFinished | RoundFinished | ToolLoopResult
        reveal_type(await events.collect())  # ToolLoopResult


def a_loop_without_async() -> None:
    result = sync.chat.completions.run_with_tools(model="m", messages=[{"role": "user", "content": "hi"}], tools=[add, by_hand])
    reveal_type(result)  # ToolLoopResult
    with sync.chat.completions.stream_with_tools(model="m", messages=[UserMessage(content="hi")], tools=[add]) as events:
        reveal_type(events)  # SyncToolStream
        for event in events:
            reveal_type(event)  # TextDelta | ToolCallStarted | ToolCallFinished | RoundFinished | ToolLoopResult
