"""The `openai` package; its stream helper puts tool calls together."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.faults.heard import MESSAGES, MODEL, Call, Heard

PACKAGES = ("openai",)
_ASKED: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}


async def iterate(call: Call, heard: Heard) -> None:
    async with import_module("openai").AsyncOpenAI(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            async for chunk in await client.chat.completions.create(**_ASKED, stream=True):
                heard.chunk(chunk)


async def collect(call: Call, heard: Heard) -> None:
    async with (
        import_module("openai").AsyncOpenAI(**call.options()) as client,
        client.chat.completions.stream(**_ASKED) as stream,
    ):
        heard.whole(await stream.get_final_completion())


async def create(call: Call, heard: Heard) -> None:
    async with import_module("openai").AsyncOpenAI(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            heard.whole(await client.chat.completions.create(**_ASKED))


def iterate_sync(call: Call, heard: Heard) -> None:
    with import_module("openai").OpenAI(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            for chunk in client.chat.completions.create(**_ASKED, stream=True):
                heard.chunk(chunk)


def collect_sync(call: Call, heard: Heard) -> None:
    with import_module("openai").OpenAI(**call.options()) as client, client.chat.completions.stream(**_ASKED) as stream:
        heard.whole(stream.get_final_completion())


def create_sync(call: Call, heard: Heard) -> None:
    with import_module("openai").OpenAI(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            heard.whole(client.chat.completions.create(**_ASKED))


WAYS = {
    "stream": {"iteration": iterate, "iteration, sync": iterate_sync},
    "plain": {"create": create, "create, sync": create_sync},
    "tools": {"final completion": collect, "final completion, sync": collect_sync},
}
