"""The `venice-py` package, whose import package is called `venice_ai` too: it has an environment of its own.

All of it is Any, because where this file is type checked that name means this project's package.
"""

from functools import cached_property
from importlib import import_module
from typing import Any

from benchmarks.envelopes import CLIENT_SECRET, ENCLAVE_SECRET, TEXT, count

_MESSAGES = [{"role": "user", "content": "hi"}]


class VenicePy:
    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._client: Any = import_module("venice_ai").VeniceClient(api_key="k", base_url=base_url)

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
        return import_module("venice_ai").SyncVeniceClient(api_key="k", base_url=self._base_url)

    async def create_sync(self, model: str) -> int:
        reply = self._sync.chat.completions.create(model=model, messages=_MESSAGES)
        return len(reply.choices[0].message.content or "")

    async def stream_sync(self, model: str) -> int:
        text_length = 0
        for chunk in self._sync.chat.completions.create(model=model, messages=_MESSAGES, stream=True):
            for choice in chunk.choices:
                text_length += len(choice.delta.content or "")
        return text_length

    async def seal(self, model: str) -> int:
        text = TEXT.decode()
        return sum((len(self._crypto.encrypt_message(self._enclave, text)) - 186) // 2 for _ in range(count(model)))

    async def open_reused(self, model: str) -> int:
        return self._opened(self._bare.envelopes(count(model), reused=True))

    async def open_fresh(self, model: str) -> int:
        return self._opened(self._bare.envelopes(count(model), reused=False))

    def _opened(self, envelopes: list[str]) -> int:
        own = self._bare.private(CLIENT_SECRET)
        return sum(len(self._crypto.decrypt_chunk(own, envelope)) for envelope in envelopes)

    @cached_property
    def _enclave(self) -> str:
        return str(self._crypto.uncompressed_hex(self._bare.private(ENCLAVE_SECRET).public_key()))

    @cached_property
    def _crypto(self) -> Any:
        return import_module("venice_ai.tee._crypto")

    @cached_property
    def _bare(self) -> Any:
        return import_module("benchmarks.clients.bare_cryptography")

    async def aclose(self) -> None:
        if "_sync" in vars(self):
            self._sync.close()
        await self._client.close()


async def connect(base_url: str) -> VenicePy:
    return VenicePy(base_url)
