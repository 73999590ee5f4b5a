"""This package, as its README shows it."""

from functools import cached_property

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

    async def aclose(self) -> None:
        if "_sync" in vars(self):
            self._sync.close()
        await self._client.close()


async def connect(base_url: str) -> Ours:
    return Ours(base_url)
