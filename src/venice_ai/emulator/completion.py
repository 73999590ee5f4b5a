"""Writes an answer in Venice's format: one JSON body or the chunks of a stream, with usage and cost.

Shapes: Venice's API reference, chat completions (https://docs.venice.ai/api-reference/endpoint/chat/completions).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal, TypeAlias

from venice_ai.costs import rate

from . import repeatable
from .answer import CITATIONS, Call, Turn
from .request import ChatRequest, token_pieces

CallIndex: TypeAlias = Literal["normal", "equal", "none"]


@dataclass(frozen=True, slots=True)
class Completion:
    """The turns that answer a request, with the id and the time of the answer."""

    request: ChatRequest
    turns: Sequence[Turn]
    id: str
    created: int

    def body(self) -> dict[str, Any]:
        choices = [self._choice(index, turn) for index, turn in enumerate(self.turns)]
        parameters = effective_parameters(self.request)
        return {**self._head("chat.completion"), "choices": choices, **self.bill(), "venice_parameters": parameters}

    def chunks(self, call_index: CallIndex, roles: int, bare: bool) -> Iterator[dict[str, Any]]:
        """The answer in chunks, one choice after the other, without usage; the parameters are those of `Delivery`."""
        for place, turn in enumerate(self.turns):
            for _ in range(roles):
                yield self._chunk(place, {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None})
            for piece in token_pieces(self._reasoning(turn) or ""):
                yield self._chunk(place, {"content": "", "reasoning_content": piece})
            for piece in turn.deltas:
                yield self._chunk(place, {"content": piece}, logprobs=self._logprobs([piece]))
            for number, call in enumerate(turn.calls):
                index = {"normal": number, "equal": 0, "none": None}[call_index]
                for fragment in _fragments(call, index, bare=bare):
                    yield self._chunk(place, {"content": "", "tool_calls": [fragment]})
            yield self._chunk(place, {"content": ""}, finish=turn.finish_reason)

    def tail(self, **members: Any) -> dict[str, Any]:
        return {**self._head("chat.completion.chunk"), "choices": [], **members}

    def bill(self) -> dict[str, Any]:
        reasoning = sum(turn.reasoning_tokens for turn in self.turns)
        return bill(self.request, sum(turn.visible_tokens for turn in self.turns) + reasoning, reasoning)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.request.model.id}

    def _choice(self, index: int, turn: Turn) -> dict[str, Any]:
        message = {
            "role": "assistant",
            "content": turn.text,
            "reasoning_content": self._reasoning(turn),
            "tool_calls": [*turn.calls] or None,
        }
        logprobs = self._logprobs(turn.deltas)
        if logprobs and logprobs["content"]:
            # The published schema has the members of one token here, the wire a list of all: this is both.
            logprobs = {**logprobs["content"][0], **logprobs}
        return {"index": index, "message": message, "finish_reason": turn.finish_reason, "logprobs": logprobs or None}

    def _chunk(self, place: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None) -> dict[str, Any]:
        choice = {"index": place, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return {**self._head("chat.completion.chunk"), "choices": [choice]}

    def _reasoning(self, turn: Turn) -> str | None:
        return None if self.request.switches["strip_thinking_response"] else turn.reasoning

    def _logprobs(self, pieces: Sequence[str]) -> dict[str, Any] | None:
        if not self.request.body.get("logprobs"):
            return None
        top = min(self.request.body.get("top_logprobs", 0), 20)
        return {"content": [_logprob(piece, top) for piece in pieces]}


def _fragments(call: Call, index: int | None, *, bare: bool) -> Iterator[dict[str, Any]]:
    """A call in pieces: its id and name, then its arguments. Without an index it comes whole: nothing else could join it."""
    if index is None:
        yield call
        return
    arguments: str = call["function"]["arguments"]
    yield {"index": index, **call, "function": {**call["function"], "arguments": ""}}
    middle = len(arguments) // 2
    for part in filter(None, (arguments[:middle], arguments[middle:])):
        unsaid = {} if bare else {"id": None}
        unnamed = {} if bare else {"name": None}
        yield {"index": index, **unsaid, "type": "function", "function": {**unnamed, "arguments": part}}


def _logprob(piece: str, top: int) -> dict[str, Any]:
    likely = -(repeatable.number(piece) % 100) / 100
    others = [piece, *(f"{piece}{letter}" for letter in "abcdefghijklmnopqrst")][:top]
    tops = [_token(other, round(likely - rank, 2)) for rank, other in enumerate(others)]
    return {**_token(piece, likely), "top_logprobs": tops}


def _token(text: str, logprob: float) -> dict[str, Any]:
    return {"token": text, "logprob": logprob, "bytes": list(text.encode("utf-8", "replace"))}


def effective_parameters(request: ChatRequest) -> dict[str, Any]:
    """Venice's switches in force, and the pages that a web search found."""
    return {**request.switches, "web_search_citations": CITATIONS if request.searches else []}


def bill(request: ChatRequest, completion_tokens: int, reasoning_tokens: int, prompt_tokens: int = 0) -> dict[str, Any]:
    """The usage, and what it costs by the catalogue's prices. Without a count of the prompt's tokens they are estimated."""
    prompt = prompt_tokens or request.prompt_tokens
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning_tokens},
    }
    into, out = (rate(request.model.model_spec.pricing, prompt, side) or Decimal(0) for side in ("input", "output"))
    return {"usage": usage, "cost": {"usd": float((prompt * into + completion_tokens * out) / 1_000_000), "diem": 0.0}}
