"""Agents of `pydantic-ai` ask a server. Runs where that package is installed."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both are for the same reason: the packages it imports are not installed where the types are checked.

from __future__ import annotations

from typing import Any

from asked import answer
from openai import AsyncOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, ModelHTTPError, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider


class Stop(BaseModel):
    """One stop of a boat."""

    name: str
    minutes: int


class Route(BaseModel):
    """A way through the lagoon."""

    line: str
    stops: list[Stop]


def agent(base_url: str, model: str, key: str = "any", **settings: Any) -> Agent:
    server = OpenAIProvider(openai_client=AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0))
    return Agent(OpenAIChatModel(model, provider=server), **settings)


def seen(result: Any) -> Any:
    """What a run came to."""
    output = result.output
    return {
        "kind": type(output).__name__,
        "output": output.model_dump() if isinstance(output, BaseModel) else output,
        "parts": [part.part_kind for message in result.all_messages() for part in message.parts],
        "input_tokens": result.usage.input_tokens,
        "output_tokens": result.usage.output_tokens,
    }


async def text(base_url: str, model: str, prompt: str) -> Any:
    """Plain text, after two turns."""
    venetian = agent(base_url, model, instructions="You know every boat.")
    first = await venetian.run(prompt)
    return seen(await venetian.run(prompt, message_history=first.all_messages()))


async def tools(base_url: str, model: str, prompt: str) -> Any:
    """Text, for which a tool is called."""
    venetian = agent(base_url, model)

    @venetian.tool_plain
    def get_tide(place: str) -> str:
        """The tide at a place."""
        return f"110 cm at {place}"

    return seen(await venetian.run(prompt))


async def tools_refused(base_url: str, model: str, prompt: str) -> Any:
    """What is raised where tools are refused."""
    try:
        return await tools(base_url, model, prompt)
    except ModelHTTPError as raised:
        return {"status": raised.status_code, "body": raised.body}


async def by_tool(base_url: str, model: str, prompt: str) -> Any:
    """A structured output that the model gives by calling a tool."""
    return seen(await agent(base_url, model, output_type=Route).run(prompt))


async def by_schema(base_url: str, model: str, prompt: str) -> Any:
    """A structured output that the model gives as its answer, by a schema."""
    return seen(await agent(base_url, model, output_type=NativeOutput(Route)).run(prompt))


async def stream_text(base_url: str, model: str, prompt: str) -> Any:
    """Text as it arrives."""
    async with agent(base_url, model).run_stream(prompt) as result:
        deltas = [delta async for delta in result.stream_text(delta=True, debounce_by=None)]
        return {"deltas": deltas, "output": await result.get_output()}


async def stream_output(base_url: str, model: str, prompt: str) -> Any:
    """A structured output as it arrives."""
    async with agent(base_url, model, output_type=Route).run_stream(prompt) as result:
        async for _ in result.stream_output(debounce_by=None):
            pass
        output = await result.get_output()
        return {"kind": type(output).__name__, "output": output.model_dump()}


async def stream_tools(base_url: str, model: str, prompt: str) -> Any:
    """The kinds of events of a run that streams and calls a tool."""
    venetian = agent(base_url, model)

    @venetian.tool_plain
    def get_tide(place: str) -> str:
        """The tide at a place."""
        return f"110 cm at {place}"

    kinds = []
    async with venetian.iter(prompt) as run:
        async for node in run:
            if Agent.is_model_request_node(node) or Agent.is_call_tools_node(node):
                async with node.stream(run.ctx) as events:
                    kinds += [event.event_kind async for event in events]
    return {"kinds": sorted(set(kinds)), "output": run.result.output}


async def error(base_url: str, model: str, prompt: str) -> Any:
    """What is raised."""
    try:
        await agent(base_url, model).run(prompt)
    except ModelHTTPError as raised:
        return {"status": raised.status_code, "model": raised.model_name, "body": raised.body}
    return None


if __name__ == "__main__":
    answer(text, tools, tools_refused, by_tool, by_schema, stream_text, stream_output, stream_tools, error)
