"""`openai` asks a server. Runs where that package is installed."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both are for the same reason: the packages it imports are not installed where the types are checked.

from __future__ import annotations

from typing import Any

import openai
from asked import answer
from pydantic import BaseModel


def client(base_url: str, key: str = "any", retries: int = 0, **settings: Any) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=retries, **settings)


async def create(base_url: str, retries: int = 0, **request: Any) -> Any:
    """A whole answer."""
    async with client(base_url, retries=retries) as venice:
        return (await venice.chat.completions.create(**request)).model_dump(mode="json")


async def stream(base_url: str, **request: Any) -> Any:
    """Every chunk of a streamed answer."""
    async with client(base_url) as venice:
        chunks = await venice.chat.completions.create(stream=True, **request)
        return [chunk.model_dump(mode="json", exclude_unset=True) async for chunk in chunks]


async def assembled(base_url: str, **request: Any) -> Any:
    """A streamed answer, as the package's own helper puts it together."""
    async with client(base_url) as venice, venice.chat.completions.stream(**request) as events:
        kinds = [event.type async for event in events]
        whole = await events.get_final_completion()
        return {"kinds": sorted(set(kinds)), "whole": whole.model_dump(mode="json")}


async def tool_round(base_url: str, result: str, **request: Any) -> Any:
    """Two turns: the model calls a tool, and is told the result."""
    async with client(base_url) as venice:
        first = (await venice.chat.completions.create(**request)).choices[0]
        call = first.message.tool_calls[0]
        tool_message = {"role": "tool", "tool_call_id": call.id, "content": result}
        request["messages"] = [*request["messages"], first.message, tool_message]
        second = (await venice.chat.completions.create(**request)).choices[0]
        return {"first": first.model_dump(mode="json"), "second": second.model_dump(mode="json")}


class Stop(BaseModel):
    """One stop of a boat."""

    name: str
    minutes: int


class Route(BaseModel):
    """A way through the lagoon."""

    line: str
    stops: list[Stop]
    express: bool | None


async def parse(base_url: str, **request: Any) -> Any:
    """An answer read into a pydantic model."""
    async with client(base_url) as venice:
        message = (await venice.chat.completions.parse(response_format=Route, **request)).choices[0].message
        return {"kind": type(message.parsed).__name__, "parsed": message.parsed.model_dump(), "text": message.content}


async def models(base_url: str) -> Any:
    """The catalogue."""
    async with client(base_url) as venice:
        return [model.model_dump(mode="json") async for model in venice.models.list()]


async def error(base_url: str, key: str = "any", **request: Any) -> Any:
    """What is raised."""
    # An empty header stands for no credentials: the package itself refuses to be made without a key.
    headers = None if key else {"Authorization": ""}
    async with client(base_url, key or "none", default_headers=headers) as venice:
        try:
            chunks = await venice.chat.completions.create(**request)
            if request.get("stream"):
                async for _ in chunks:
                    pass
        except openai.APIError as raised:
            return {
                "kind": type(raised).__name__,
                "status": getattr(raised, "status_code", None),
                "body": raised.body,
                "message": raised.message,
            }
        return None


if __name__ == "__main__":
    answer(create, stream, assembled, tool_round, parse, models, error)
