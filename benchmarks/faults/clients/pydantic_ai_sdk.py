"""The `pydantic-ai` package: its direct requests to a model, which an agent's are made of."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.faults.heard import MODEL, PROMPT, Call, Heard, call_text

# Its model is built on the `openai` package, whose client it is given here.
PACKAGES = ("pydantic_ai", "openai")


def _asked(call: Call) -> dict[str, Any]:
    ai = import_module("pydantic_ai")
    client = import_module("openai").AsyncOpenAI(**call.options())
    provider = import_module("pydantic_ai.providers.openai").OpenAIProvider(openai_client=client)
    model = import_module("pydantic_ai.models.openai").OpenAIChatModel(MODEL, provider=provider)
    return {"model": model, "messages": [ai.ModelRequest.user_text_prompt(PROMPT)]}


def _whole(heard: Heard, response: Any) -> None:
    heard.text = "".join(part.content for part in response.parts if part.part_kind == "text")
    heard.calls = [call_text(part.tool_name, part.args) for part in response.parts if part.part_kind == "tool-call"]
    details: dict[str, Any] = response.provider_details or {}
    given = details.get("finish_reason", response.finish_reason)
    heard.finish = str(given) if given else None


async def iterate(call: Call, heard: Heard) -> None:
    direct, asked = import_module("pydantic_ai.direct"), _asked(call)
    for _ in range(call.calls):
        await heard.again(call.pause)
        async with direct.model_request_stream(**asked) as stream:
            async for _event in stream:
                _whole(heard, stream.get())
            _whole(heard, stream.get())


async def create(call: Call, heard: Heard) -> None:
    direct, asked = import_module("pydantic_ai.direct"), _asked(call)
    for _ in range(call.calls):
        await heard.again(call.pause)
        _whole(heard, await direct.model_request(**asked))


def iterate_sync(call: Call, heard: Heard) -> None:
    direct, asked = import_module("pydantic_ai.direct"), _asked(call)
    for _ in range(call.calls):
        heard.begin(call.pause)
        with direct.model_request_stream_sync(**asked) as stream:
            for _event in stream:
                _whole(heard, stream.response)
            _whole(heard, stream.response)


def create_sync(call: Call, heard: Heard) -> None:
    direct, asked = import_module("pydantic_ai.direct"), _asked(call)
    for _ in range(call.calls):
        heard.begin(call.pause)
        _whole(heard, direct.model_request_sync(**asked))


WAYS = {
    "stream": {"iteration": iterate, "iteration, sync": iterate_sync},
    "plain": {"request": create, "request, sync": create_sync},
    "tools": {"iteration": iterate, "iteration, sync": iterate_sync},
}
