"""What one writes without an SDK: aiohttp, the reply line by line, `json.loads`."""

import json
from typing import Any

import aiohttp

_MEGABYTE = 1024 * 1024


class AiohttpLines:
    def __init__(self, base_url: str) -> None:
        self._url = f"{base_url}/chat/completions"
        self._session = aiohttp.ClientSession(headers={"Authorization": "Bearer k"}, connector=aiohttp.TCPConnector(limit=0))

    async def create(self, model: str) -> int:
        async with self._post(model) as response:
            reply = json.loads(await response.read())
        return len(reply["choices"][0]["message"]["content"])

    async def stream(self, model: str) -> int:
        text_length = 0
        async with self._post(model, stream=True) as response:
            async for line in response.content:
                if line.startswith(b"data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        text_length += len(choice["delta"].get("content") or "")
        return text_length

    async def hold(self, model: str) -> object:
        response = await self._post(model, stream=True)
        await anext(aiter(response.content))
        return response

    async def aclose(self) -> None:
        await self._session.close()

    def _post(self, model: str, *, stream: bool = False) -> Any:
        messages = [{"role": "user", "content": "hi"}]
        return self._session.post(self._url, json={"model": model, "messages": messages, "stream": stream})


async def connect(base_url: str) -> AiohttpLines:
    return AiohttpLines(base_url)
