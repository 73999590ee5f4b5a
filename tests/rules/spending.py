"""What a chat may cost, and money that is reserved for it; without what tests alone need, which takes long to import."""

from __future__ import annotations

from typing import Any

from venice_ai import Budget
from venice_ai._core.request import SystemClock
from venice_ai._core.waiter import Waiter
from venice_ai._limits.budget import Reservation
from venice_ai._wire.request_body import encode
from venice_ai.costs import Chat
from venice_ai.emulator.catalogue import text_model
from venice_ai.types.api.chat import ChatUsage
from venice_ai.types.api.models import ModelResponse
from venice_ai.types.response_meta import Headers, ResponseMeta

NOON = 1_800_000_000.0
ONE: dict[str, Any] = {"input": 1.0, "output": 1.0, "context": 1_000_000, "longest": 100_000}


def model(id: str = "m", **more: Any) -> ModelResponse:  # noqa: A002  # the wire's own word
    return ModelResponse.model_validate(text_model(id, **{**ONE, **more}))


def chat(*entries: ModelResponse, size: int | None = None, content: Any = "hi", **more: Any) -> Chat:
    """A chat without Venice's own prompt, unless the switches say otherwise."""
    switches = {"venice_parameters": {"include_venice_system_prompt": False}}
    body = {"model": "m", "messages": [{"role": "user", "content": content}], **switches, **more}
    return Chat(entries or (model(),), body, len(encode(body)) if size is None else size)


def costing(tokens: int, **more: Any) -> Chat:
    """A chat whose bound is this many tokens, at a millionth of a dollar each."""
    return chat(size=tokens - 164, max_completion_tokens=100, **more)


def used(prompt: int, answer: int, **more: Any) -> ChatUsage:
    counted = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return ChatUsage.model_validate(counted | more)


async def reserved(budget: Budget, tokens: int, **more: Any) -> Reservation:
    return await budget.reserve(costing(tokens, **more), NOON, Waiter(SystemClock()))


def answered(reservation: Reservation, usage: ChatUsage | None, cost: float | None) -> None:
    """Its attempt has a good reply, which has been read."""
    reservation.replied(ResponseMeta(200, Headers(), NOON, 0.1))
    reservation.done(usage, cost)
