"""This package, as its README shows it."""

from functools import cached_property
from importlib import import_module
from typing import Any

from benchmarks.envelopes import count
from venice_ai import SyncVeniceClient, VeniceClient

_MESSAGES = [{"role": "user", "content": "hi"}]


class Ours:
    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._client = VeniceClient(api_key="k", base_url=base_url)

    async def create(self, model: str) -> int:
        reply = await self._client.chat.completions.create(model=model, messages=_MESSAGES)
        return len(reply.choices[0].message.content or "")

    async def stream(self, model: str) -> int:
        text_length = 0
        async with await self._client.chat.completions.stream(model=model, messages=_MESSAGES) as chunks:
            async for chunk in chunks:
                for choice in chunk.choices:
                    text_length += len(choice.delta.content or "")
        return text_length

    async def collect(self, model: str) -> int:
        async with await self._client.chat.completions.stream(model=model, messages=_MESSAGES) as chunks:
            reply = await chunks.collect()
        return len(reply.choices[0].message.content or "")

    async def hold(self, model: str) -> object:
        stream = await self._client.chat.completions.stream(model=model, messages=_MESSAGES)
        chunks = aiter(stream)
        await anext(chunks)
        return stream, chunks

    @cached_property
    def _sync(self) -> SyncVeniceClient:
        return SyncVeniceClient(api_key="k", base_url=self._base_url)

    async def create_sync(self, model: str) -> int:
        reply = self._sync.chat.completions.create(model=model, messages=_MESSAGES)
        return len(reply.choices[0].message.content or "")

    async def stream_sync(self, model: str) -> int:
        text_length = 0
        with self._sync.chat.completions.stream(model=model, messages=_MESSAGES) as chunks:
            for chunk in chunks:
                for choice in chunk.choices:
                    text_length += len(choice.delta.content or "")
        return text_length

    async def stream_parse(self, model: str) -> int:
        from benchmarks.clients.our_objects import Voyage

        stream = await self._client.chat.completions.stream_parse(model=model, messages=_MESSAGES, response_format=Voyage)
        async with stream:
            async for _ in stream:
                pass
            return len((await stream.collect()).response.text or "")

    async def seal(self, model: str) -> int:
        return int(self._envelopes.seal(model.partition("-")[0], count(model)))

    async def open_reused(self, model: str) -> int:
        return int(self._envelopes.open_reused(model.partition("-")[0], count(model)))

    async def open_fresh(self, model: str) -> int:
        return int(self._envelopes.open_fresh(model.partition("-")[0], count(model)))

    async def verify(self, model: str) -> int:
        return int(self._envelopes.verify(model.partition("-")[2]))

    @cached_property
    def _envelopes(self) -> Any:
        # Whoever seals nothing does not load it; the same below.
        return import_module("benchmarks.clients.our_envelopes")

    async def create_plain(self, model: str) -> int:
        return int(await self._sealing.create(model, sealed=False))

    async def create_sealed(self, model: str) -> int:
        return int(await self._sealing.create(model, sealed=True))

    @cached_property
    def _sealing(self) -> Any:
        return import_module("benchmarks.clients.our_enclave").connect()

    async def aclose(self) -> None:
        if "_sealing" in vars(self):
            await self._sealing.aclose()
        if "_sync" in vars(self):
            self._sync.close()
        await self._client.close()


async def connect(base_url: str) -> Ours:
    return Ours(base_url)
