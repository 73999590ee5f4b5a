"""The `openai` package. It is not installed where this file is type checked, so all of it is Any."""

from functools import cached_property
from importlib import import_module
from typing import Any

_MESSAGES = [{"role": "user", "content": "hi"}]


class OpenAI:
    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._client: Any = import_module("openai").AsyncOpenAI(api_key="k", base_url=base_url)

    async def create(self, model: str) -> int:
        reply = await self._client.chat.completions.create(model=model, messages=_MESSAGES)
        return len(reply.choices[0].message.content or "")

    async def stream(self, model: str) -> int:
        text_length = 0
        chunks = await self._client.chat.completions.create(model=model, messages=_MESSAGES, stream=True)
        async for chunk in chunks:
            for choice in chunk.choices:
                text_length += len(choice.delta.content or "")
        return text_length

    async def hold(self, model: str) -> object:
        stream = await self._client.chat.completions.create(model=model, messages=_MESSAGES, stream=True)
        chunks = aiter(stream)
        await anext(chunks)
        return stream, chunks

    @cached_property
    def _sync(self) -> Any:
        return import_module("openai").OpenAI(api_key="k", base_url=self._base_url)

    async def create_sync(self, model: str) -> int:
        reply = self._sync.chat.completions.create(model=model, messages=_MESSAGES)
        return len(reply.choices[0].message.content or "")

    async def stream_sync(self, model: str) -> int:
        text_length = 0
        for chunk in self._sync.chat.completions.create(model=model, messages=_MESSAGES, stream=True):
            for choice in chunk.choices:
                text_length += len(choice.delta.content or "")
        return text_length

    async def aclose(self) -> None:
        if "_sync" in vars(self):
            self._sync.close()
        await self._client.close()


async def connect(base_url: str) -> OpenAI:
    return OpenAI(base_url)
