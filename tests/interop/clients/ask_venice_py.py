"""The SDK `venice-py` asks a model in an enclave, end-to-end encrypted. Runs where that package is installed."""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false, reportCallIssue=false
# All for the same reason: its module has the same name as ours, which is what is installed where the types are checked.

from __future__ import annotations

import warnings

from asked import answer

from venice_ai import UserMessage, VeniceClient

warnings.simplefilter("ignore")  # it says what its verification does not cover


async def created(base_url: str, model: str, question: str) -> str | None:
    """A whole answer."""
    async with VeniceClient(api_key="any", base_url=base_url) as client:
        reply = await client.chat.completions.create(model=model, messages=[UserMessage(content=question)], e2ee=True)
        return reply.choices[0].message.content


async def streamed(base_url: str, model: str, question: str) -> list[str]:
    """The pieces of an answer."""
    messages = [UserMessage(content=question)]
    async with VeniceClient(api_key="any", base_url=base_url) as client:
        stream = await client.chat.completions.create(model=model, messages=messages, e2ee=True, stream=True)
        deltas = [choice.delta async for chunk in stream for choice in chunk.choices]
        return [delta.content for delta in deltas if delta.content]


async def refused(base_url: str, model: str, question: str) -> str | None:
    """The name of the error that a question comes to; None if it is answered."""
    try:
        await created(base_url, model, question)
    except Exception as error:  # noqa: BLE001  # which one it is is what is asked
        return type(error).__name__
    return None


answer(created, streamed, refused)
