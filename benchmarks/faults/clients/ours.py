"""This package: both clients, and every way to read an answer."""

from __future__ import annotations

from typing import Any

from benchmarks.faults.heard import MESSAGES, MODEL, Call, Heard
from venice_ai import SyncVeniceClient, VeniceClient

PACKAGES = ("venice_ai",)
_ASKED: dict[str, Any] = {"model": MODEL, "messages": MESSAGES}


def _trip() -> Any:
    from pydantic import BaseModel

    class Trip(BaseModel):
        city: str
        boats: int

    return Trip


async def iterate(call: Call, heard: Heard) -> None:
    async with VeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            async with await client.chat.completions.stream(**_ASKED) as stream:
                async for chunk in stream:
                    heard.chunk(chunk)


async def text_deltas(call: Call, heard: Heard) -> None:
    async with VeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            async with await client.chat.completions.stream(**_ASKED) as stream:
                async for text in stream.text_deltas():
                    heard.text += text
                heard.whole(await stream.collect())


async def collect(call: Call, heard: Heard) -> None:
    async with VeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            async with await client.chat.completions.stream(**_ASKED) as stream:
                heard.whole(await stream.collect())


async def stream_parse(call: Call, heard: Heard) -> None:
    async with VeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            async with await client.chat.completions.stream_parse(**_ASKED, response_format=_trip()) as stream:
                heard.whole((await stream.collect()).response)


async def create(call: Call, heard: Heard) -> None:
    async with VeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            heard.whole(await client.chat.completions.create(**_ASKED))


async def parse(call: Call, heard: Heard) -> None:
    async with VeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            await heard.again(call.pause)
            heard.whole((await client.chat.completions.parse(**_ASKED, response_format=_trip())).response)


def iterate_sync(call: Call, heard: Heard) -> None:
    with SyncVeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            with client.chat.completions.stream(**_ASKED) as stream:
                for chunk in stream:
                    heard.chunk(chunk)


def text_deltas_sync(call: Call, heard: Heard) -> None:
    with SyncVeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            with client.chat.completions.stream(**_ASKED) as stream:
                for text in stream.text_deltas():
                    heard.text += text
                heard.whole(stream.collect())


def collect_sync(call: Call, heard: Heard) -> None:
    with SyncVeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            with client.chat.completions.stream(**_ASKED) as stream:
                heard.whole(stream.collect())


def stream_parse_sync(call: Call, heard: Heard) -> None:
    with SyncVeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            with client.chat.completions.stream_parse(**_ASKED, response_format=_trip()) as stream:
                heard.whole(stream.collect().response)


def create_sync(call: Call, heard: Heard) -> None:
    with SyncVeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            heard.whole(client.chat.completions.create(**_ASKED))


def parse_sync(call: Call, heard: Heard) -> None:
    with SyncVeniceClient(**call.options()) as client:
        for _ in range(call.calls):
            heard.begin(call.pause)
            heard.whole(client.chat.completions.parse(**_ASKED, response_format=_trip()).response)


WAYS = {
    "stream": {
        "iteration": iterate,
        "text_deltas": text_deltas,
        "collect": collect,
        "stream_parse": stream_parse,
        "iteration, sync": iterate_sync,
        "text_deltas, sync": text_deltas_sync,
        "collect, sync": collect_sync,
        "stream_parse, sync": stream_parse_sync,
    },
    "plain": {"create": create, "parse": parse, "create, sync": create_sync, "parse, sync": parse_sync},
    "tools": {"collect": collect, "collect, sync": collect_sync},
}
