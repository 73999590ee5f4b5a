"""The `litellm` package, with a server that speaks OpenAI's protocol."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.faults.heard import MESSAGES, MODEL, Call, Heard

PACKAGES = ("litellm", "openai")


def _asked(call: Call) -> dict[str, Any]:
    options = call.options()
    options["api_base"] = options.pop("base_url")
    return {"model": f"openai/{MODEL}", "messages": MESSAGES, **options}


async def iterate(call: Call, heard: Heard) -> None:
    for _ in range(call.calls):
        await heard.again(call.pause)
        async for chunk in await import_module("litellm").acompletion(**_asked(call), stream=True):
            heard.chunk(chunk)


async def collect(call: Call, heard: Heard) -> None:
    litellm = import_module("litellm")
    chunks = [chunk async for chunk in await litellm.acompletion(**_asked(call), stream=True)]
    heard.whole(litellm.stream_chunk_builder(chunks))


async def create(call: Call, heard: Heard) -> None:
    for _ in range(call.calls):
        await heard.again(call.pause)
        heard.whole(await import_module("litellm").acompletion(**_asked(call)))


def iterate_sync(call: Call, heard: Heard) -> None:
    for _ in range(call.calls):
        heard.begin(call.pause)
        for chunk in import_module("litellm").completion(**_asked(call), stream=True):
            heard.chunk(chunk)


def collect_sync(call: Call, heard: Heard) -> None:
    litellm = import_module("litellm")
    heard.whole(litellm.stream_chunk_builder(list(litellm.completion(**_asked(call), stream=True))))


def create_sync(call: Call, heard: Heard) -> None:
    for _ in range(call.calls):
        heard.begin(call.pause)
        heard.whole(import_module("litellm").completion(**_asked(call)))


WAYS = {
    "stream": {"iteration": iterate, "iteration, sync": iterate_sync},
    "plain": {"create": create, "create, sync": create_sync},
    "tools": {"chunk builder": collect, "chunk builder, sync": collect_sync},
}
