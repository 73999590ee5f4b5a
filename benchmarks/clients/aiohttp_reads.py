"""aiohttp again, taking what has arrived instead of one line at a time."""

import json

from benchmarks.clients.aiohttp_lines import AiohttpLines


class AiohttpReads(AiohttpLines):
    async def stream(self, model: str) -> int:
        text_length = 0
        rest = b""
        async with self._post(model, stream=True) as response:
            async for arrived in response.content.iter_any():
                *events, rest = (rest + arrived).split(b"\n\n")
                for event in events:
                    if event.startswith(b"data: {"):
                        for choice in json.loads(event[6:])["choices"]:
                            text_length += len(choice["delta"].get("content") or "")
        return text_length


async def connect(base_url: str) -> AiohttpReads:
    return AiohttpReads(base_url)
