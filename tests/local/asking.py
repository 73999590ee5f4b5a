"""Asks a model for a whole answer, as the emulator does for a caller who does not want a stream."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

from venice_ai._wire.assembly import Assembly
from venice_ai.emulator.local import LocalModel
from venice_ai.types.api.streaming import ChatCompletionChunk


async def complete(model: LocalModel, body: dict[str, Any]) -> dict[str, Any]:
    """The answer: `choices` and `usage`."""
    assembly = Assembly(1)
    async with aclosing(model.stream(body)) as chunks:
        async for chunk in chunks:
            assembly.add(ChatCompletionChunk.model_validate(chunk))
    answer = assembly.response().model_dump()
    return {name: answer[name] for name in ("choices", "usage") if name in answer}
