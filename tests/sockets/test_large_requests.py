"""A request with an image in it is megabytes of JSON: it is sent whole, and nothing warns."""

from __future__ import annotations

from typing import Any

from venice_ai import UserMessage, VeniceClient
from venice_ai.emulator import Emulator, echo, run_in_thread


async def test_a_request_of_some_megabytes_arrives_whole() -> None:
    emulator = Emulator()
    emulator.always(echo())
    picture = "data:image/png;base64," + "A" * 3_000_000
    content: list[dict[str, Any]] = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="any", base_url=server.url) as client:
            model = await client.models.resolve_chat(require_vision=True)
            await client.chat.completions.create(model=model, messages=[UserMessage(content=content)])

    body = emulator.requests[-1].body
    assert body["messages"][0]["content"][1]["image_url"]["url"] == picture
