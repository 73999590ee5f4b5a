"""A backend, a real model on this machine, in place of the emulated one: its protocol, and Venice's answers made of its own."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol

from venice_ai._core.json_values import members
from venice_ai._wire.assembly import Assembly
from venice_ai._wire.sse import encode
from venice_ai.exceptions import VeniceError
from venice_ai.types.api.streaming import ChatCompletionChunk

from . import refusals
from .completion import Completion, bill
from .delivery import DONE, EVENTS_TYPE, error_event
from .request import ChatRequest, Leaving
from .sending import Answer, Send, closed, encode_json, json_answer

_logger = logging.getLogger(__name__)


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


async def relayed(backend: Backend, request: ChatRequest, identity: str, created: int) -> Answer:
    """The backend's answer to a request; one call of the backend for each choice."""
    relay = _Relay(backend, request, identity, created)
    try:
        if not request.streams:
            return json_answer(200, await relay.whole())
        chunks = relay.said()
        # What the backend cannot take shows with the first chunk, while there still is a status to say so.
        first = await anext(chunks, None)
    except UnsupportedInput as reason:
        return refusals.rejected(str(reason), identity)
    except Exception:  # the backend is the caller's own code
        _logger.exception("the backend failed")
        return refusals.refused(500)
    return Answer(200, {"content-type": EVENTS_TYPE}, _events(first, chunks, request.leaving))


async def _events(first: dict[str, Any] | None, chunks: AsyncIterator[dict[str, Any]], leaving: Leaving) -> AsyncIterator[Send]:
    try:
        while first is not None:
            for each in leaving(first):
                yield Send(encode(encode_json(each)))
            first = await anext(chunks, None)
    except Exception:  # the backend is the caller's own code
        _logger.exception("the backend failed")
        error = {"message": refusals.MESSAGES[500], "type": "api_error", "code": "upstream_error"}
        yield Send(error_event(error))
    finally:
        await closed(chunks)
    yield Send(DONE)


class _Relay:
    def __init__(self, backend: Backend, request: ChatRequest, identity: str, created: int) -> None:
        self._backend = backend
        self._request = request
        self._shell = Completion(request, (), identity, created)  # in which the backend's choices stand
        self._prompt = self._completion = self._reasoning = 0

    async def whole(self) -> dict[str, Any]:
        assembly = Assembly(self._request.choices)
        async with aclosing(self.said()) as chunks:
            async for chunk in chunks:
                assembly.add(ChatCompletionChunk.model_validate(chunk))
        choices = [{"logprobs": None, **choice} for choice in assembly.response().model_dump()["choices"]]
        return {**self._shell.body(), "choices": choices, **self._bill()}

    async def said(self) -> AsyncGenerator[dict[str, Any]]:
        for index in range(self._request.choices):
            source = self._backend.stream(self._body(index))
            try:
                async for chunk in source:
                    self._count(chunk)
                    if choices := chunk.get("choices"):
                        yield self._shell.tail(choices=[{**choice, "index": index} for choice in choices[:1]])
            finally:
                await closed(source)
        if self._request.wants_usage:
            yield self._shell.tail(**self._bill())

    def _body(self, index: int) -> dict[str, Any]:
        """The request for one choice, with its usage. Where there is a seed, each choice gets its own, so that they differ."""
        body = {name: value for name, value in self._request.body.items() if name != "n"}
        seed = {"seed": body["seed"] + index} if "seed" in body else {}
        return {**body, **seed, "stream_options": {"include_usage": True}, "model": self._request.model.id}

    def _count(self, reply: dict[str, Any]) -> None:
        counted = members(reply.get("usage"))
        self._prompt = counted.get("prompt_tokens", self._prompt)
        self._completion += counted.get("completion_tokens", 0)
        self._reasoning += members(counted.get("completion_tokens_details")).get("reasoning_tokens", 0)

    def _bill(self) -> dict[str, Any]:
        return bill(self._request, self._completion, self._reasoning, self._prompt)
