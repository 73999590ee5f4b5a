"""A backend, a real model on this machine, in place of the emulated one: its protocol, and Venice's answers made of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol, TypeAlias

from venice_ai._core.json_values import members
from venice_ai._wire.assembly import Assembly
from venice_ai.exceptions import VeniceError
from venice_ai.types.api.streaming import ChatCompletionChunk

from . import contract
from .answer import IncomingChat
from .delivery import DONE, EVENTS_TYPE, Completion, event
from .sending import HTTPReply, closed, json_reply

_logger = logging.getLogger(__name__)
Chunk: TypeAlias = dict[str, Any]


class UnsupportedInput(ValueError):
    """The request holds something that the model cannot take; Venice's answer to it is 400."""


class LocalModelError(VeniceError):
    """The local model cannot be opened, or stopped working. The message says what to do."""


class Backend(Protocol):
    """A model that answers chat requests. The emulator has checked the request; it makes ids, headers, cost and errors.

    A body is that of a chat request, as the wire has it, with `n` left out. Raise `UnsupportedInput` for what the model
    cannot take, before the first chunk.
    """

    @property
    def model_id(self) -> str:
        """The model's name in the catalogue, where it becomes the default."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    def stream(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The answer in chunks of one choice each, whether a stream is wanted or not. `usage` may come with any of them.

        Closed early if the caller leaves.
        """
        ...

    async def aclose(self) -> None:
        """Frees the model."""
        ...


async def relayed(backend: Backend, shell: Completion) -> HTTPReply:
    chunks = _chunks(backend, shell)
    try:
        if not shell.request.streams:
            return json_reply(200, await _whole(chunks, shell))
        # What the backend cannot take shows with the first chunk, while there still is a status to say so.
        first = await anext(chunks, None)
    except UnsupportedInput as reason:
        return contract.refused(400, str(reason), request_id=shell.id)
    except Exception:  # the backend is the caller's own code
        _logger.exception("the backend failed")
        return contract.refused(500)
    return HTTPReply(200, {"content-type": EVENTS_TYPE}, _events(first, chunks, shell.request))


async def _whole(chunks: AsyncGenerator[Chunk], shell: Completion) -> dict[str, Any]:
    assembly, completion = Assembly(shell.request.choices), shell.body()
    async with aclosing(chunks):
        async for chunk in chunks:
            completion |= {name: chunk[name] for name in ("usage", "cost") if name in chunk}
            assembly.add(ChatCompletionChunk.model_validate(chunk))
    return {**completion, "choices": [{"logprobs": None, **choice} for choice in assembly.response().model_dump()["choices"]]}


async def _events(chunk: Chunk | None, chunks: AsyncGenerator[Chunk], request: IncomingChat) -> AsyncIterator[bytes]:
    try:
        while chunk is not None:
            for each in request.leaving(chunk) if chunk["choices"] or request.wants_usage else ():
                yield event(each)
            chunk = await anext(chunks, None)
    except Exception:  # the backend is the caller's own code
        _logger.exception("the backend failed")
        yield event({"error": {"message": contract.MESSAGES[500], "type": "api_error", "code": "upstream_error"}})
    finally:
        await closed(chunks)
    yield DONE


async def _chunks(backend: Backend, shell: Completion) -> AsyncGenerator[Chunk]:
    """The chunks of each choice, for which the backend is called once; the last has the usage of all, and no choice."""
    request = shell.request
    body = {name: value for name, value in request.body.items() if name != "n"}
    body |= {"stream_options": {"include_usage": True}, "model": request.model.id}
    prompt = completion = reasoning = 0
    for index in range(request.choices):
        # Where there is a seed, each choice gets its own, so that they differ.
        source = backend.stream({**body, **({"seed": body["seed"] + index} if "seed" in body else {})})
        try:
            async for chunk in source:
                counted = members(chunk.get("usage"))
                prompt = counted.get("prompt_tokens", prompt)
                completion += counted.get("completion_tokens", 0)
                reasoning += members(counted.get("completion_tokens_details")).get("reasoning_tokens", 0)
                if choices := chunk.get("choices"):
                    yield shell.tail(choices=[{**choice, "index": index} for choice in choices[:1]])
        finally:
            await closed(source)
    yield shell.tail(**shell.bill(prompt, completion, reasoning))
