"""The `venice-py` package, whose import package is called `venice_ai` too: it has an environment of its own."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from benchmarks.faults.heard import MESSAGES, MODEL, Call, Heard

PACKAGES = ("venice_ai",)
_ASKED: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}


def _client(call: Call, *, blocking: bool = False) -> Any:
    package = import_module("venice_ai")
    return (package.SyncVeniceClient if blocking else package.VeniceClient)(**call.options())


async def iterate(call: Call, heard: Heard) -> None:
    async with _client(call) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            async for chunk in await client.chat.completions.create(**_ASKED, stream=True):
                heard.chunk(chunk)


async def collect(call: Call, heard: Heard) -> None:
    async with _client(call) as client:
        heard.whole(await (await client.chat.completions.stream(**_ASKED)).collect())


async def create(call: Call, heard: Heard) -> None:
    async with _client(call) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            heard.whole(await client.chat.completions.create(**_ASKED))


def iterate_sync(call: Call, heard: Heard) -> None:
    with _client(call, blocking=True) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            for chunk in client.chat.completions.create(**_ASKED, stream=True):
                heard.chunk(chunk)


def create_sync(call: Call, heard: Heard) -> None:
    with _client(call, blocking=True) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            heard.whole(client.chat.completions.create(**_ASKED))


WAYS = {
    "stream": {"iteration": iterate, "iteration, sync": iterate_sync},
    "plain": {"create": create, "create, sync": create_sync},
    "tools": {"collect": collect},
}
