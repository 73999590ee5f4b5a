"""`langchain-openai` and `litellm` ask a server, and `pydantic-ai` and `openai` leave one. Runs where those are installed."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both are for the same reason: the packages it imports are not installed where the types are checked.

from __future__ import annotations

import os
from typing import Any

import openai
from ask_pydantic_ai import agent
from asked import answer
from langchain_openai import ChatOpenAI

# Both keep connections for the next call, and each scenario here has an event loop of its own.
EACH_ITS_OWN = {"Connection": "close"}
MESSAGES = [{"role": "user", "content": "hi"}]


def langchain(base_url: str, model: str, key: str) -> ChatOpenAI:
    return ChatOpenAI(
        base_url=base_url, api_key=key, model=model, max_retries=0, stream_usage=True, default_headers=EACH_ITS_OWN
    )


async def langchain_create(base_url: str, model: str, key: str) -> Any:
    """A whole answer."""
    reply = await langchain(base_url, model, key).ainvoke("hi")
    return {"text": reply.content, "tokens": reply.usage_metadata["total_tokens"]}


async def langchain_stream(base_url: str, model: str, key: str) -> Any:
    """The texts of a stream."""
    return [chunk.content async for chunk in langchain(base_url, model, key).astream("hi")]


async def langchain_error(base_url: str, model: str, key: str, stream: bool = False) -> Any:
    """What is raised."""
    asked = langchain(base_url, model, key)
    try:
        if stream:
            return [chunk.content async for chunk in asked.astream("hi")]
        return (await asked.ainvoke("hi")).content
    except Exception as raised:  # noqa: BLE001  # which kinds it raises is what is asked
        return {"status": getattr(raised, "status_code", None), "message": str(raised)}


async def langchain_leave(base_url: str, model: str, key: str) -> Any:
    """Leaves a stream after its first chunk."""
    chunks = langchain(base_url, model, key).astream("hi")
    first = await anext(chunks)
    await chunks.aclose()
    return type(first).__name__


async def lite(base_url: str, model: str, key: str, **more: Any) -> Any:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the network for prices when it is imported
    import litellm  # takes many seconds

    litellm.suppress_debug_info = True  # which it prints where the answers of this script go
    server = {"model": f"openai/{model}", "api_base": base_url, "api_key": key, "extra_headers": EACH_ITS_OWN}
    return await litellm.acompletion(messages=MESSAGES, num_retries=0, max_retries=0, **server, **more)


async def litellm_create(base_url: str, model: str, key: str) -> Any:
    """A whole answer."""
    reply = await lite(base_url, model, key)
    return {"text": reply.choices[0].message.content, "tokens": reply.usage.total_tokens}


async def litellm_stream(base_url: str, model: str, key: str) -> Any:
    """The texts of a stream."""
    return [chunk.choices[0].delta.content or "" async for chunk in await lite(base_url, model, key, stream=True)]


async def litellm_error(base_url: str, model: str, key: str, stream: bool = False) -> Any:
    """What is raised."""
    try:
        reply = await lite(base_url, model, key, stream=stream)
        return [chunk.object async for chunk in reply] if stream else reply.object
    except Exception as raised:  # noqa: BLE001  # which kinds it raises is what is asked
        return {"status": getattr(raised, "status_code", None), "message": str(raised)}


async def litellm_leave(base_url: str, model: str, key: str) -> Any:
    """Leaves a stream after its first chunk."""
    chunks = await lite(base_url, model, key, stream=True)
    first = await anext(aiter(chunks))
    await chunks.completion_stream.close()
    return type(first).__name__


async def pydantic_ai_leave(base_url: str, model: str, key: str) -> Any:
    """Leaves a stream after its first text."""
    async with agent(base_url, model, key=key).run_stream("hi") as result:
        return await anext(aiter(result.stream_text(delta=True, debounce_by=None)))


async def openai_leave(base_url: str, model: str, key: str) -> Any:
    """Leaves a stream after its first chunk."""
    async with openai.AsyncOpenAI(base_url=base_url, api_key=key, max_retries=0) as client:
        chunks = await client.chat.completions.create(model=model, messages=MESSAGES, stream=True)
        first = await anext(aiter(chunks))
        await chunks.close()
        return first.object


if __name__ == "__main__":
    answer(
        *(langchain_create, langchain_stream, langchain_error, langchain_leave),
        *(litellm_create, litellm_stream, litellm_error, litellm_leave),
        *(pydantic_ai_leave, openai_leave),
    )
