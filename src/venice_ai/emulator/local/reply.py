"""Turns the engine's chunks into Venice's chunks.

The engine's chunks carry timings, log-like fields, an odd role chunk and the blank that the template leaves before an
answer. Three readers take its text, one for each form of answer; `Reply` puts what they read into Venice's envelope.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Protocol, cast

from venice_ai.emulator.backend import UnsupportedInput

from .distinct_keys import DistinctKeys
from .errors import LocalModelError
from .request import Form

_REFUSALS = frozenset({"invalid_request_error", "exceed_context_size_error"})
_JSON_STARTS = '{["-0123456789tfn'
_ARGUMENTS = '"arguments":'


class Reader(Protocol):
    """Takes the engine's text and gives what a chunk's `delta` says of it."""

    def feed(self, text: str) -> dict[str, Any]:
        """The delta that this text brings; empty if nothing can be said yet."""
        ...

    def end(self, finish_reason: str) -> tuple[dict[str, Any], str]:
        """What was held back, and the finish reason as Venice names it."""
        ...


class _Words:
    """An answer in words, without the blanks around it."""

    def __init__(self) -> None:
        self._begun = False
        self._held: str = ""

    def feed(self, text: str) -> dict[str, Any]:
        text = self._held + text if self._begun else text.lstrip()
        self._begun = self._begun or bool(text)
        spoken = text.rstrip()
        self._held = text[len(spoken) :]
        return {"content": spoken} if spoken else {}

    def end(self, finish_reason: str) -> tuple[dict[str, Any], str]:
        return {}, finish_reason


class _Json:
    """An answer in JSON."""

    def __init__(self) -> None:
        self._checked = False
        self._distinct = DistinctKeys()

    def feed(self, text: str) -> dict[str, Any]:
        if text and not self._checked:
            _require_json(text)
            self._checked = True
        text = self._distinct.feed(text)
        return {"content": text} if text else {}

    def end(self, finish_reason: str) -> tuple[dict[str, Any], str]:
        held = self._distinct.held
        return ({"content": held} if held else {}), finish_reason


class _Call:
    """A function call: `{"name":"f","arguments":{...}}` comes, its name and arguments go on as they come.

    The last character so far is held back, because the very last one, a brace, belongs to the envelope.
    """

    def __init__(self, call_id: str) -> None:
        self._id = call_id
        self._envelope = ""
        self._named = False
        self._held = ""
        self._distinct = DistinctKeys()

    def feed(self, text: str) -> dict[str, Any]:
        if self._named:
            return self._arguments(text)
        self._envelope += text
        if self._envelope:
            _require_json(self._envelope)
        start, found, rest = self._envelope.partition(_ARGUMENTS)
        if not found:
            return {}
        self._named = True
        name = json.loads(start.rstrip(",") + "}")["name"]
        ready, self._held = rest[:-1], rest[-1:]
        function = {"name": name, "arguments": self._distinct.feed(ready)}
        return {"tool_calls": [{"index": 0, "id": self._id, "type": "function", "function": function}]}

    def end(self, finish_reason: str) -> tuple[dict[str, Any], str]:
        if finish_reason == "stop":
            return {}, "tool_calls"
        held = self._distinct.feed(self._held) + self._distinct.held
        return (_fragment(held) if held else {}), finish_reason

    def _arguments(self, text: str) -> dict[str, Any]:
        text = self._held + text
        ready, self._held = self._distinct.feed(text[:-1]), text[-1:]
        return _fragment(ready) if ready else {}


def _fragment(arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]}


def _require_json(text: str) -> None:
    # The engine drops a grammar it cannot use and lets the model talk; words begin with a blank, JSON never does.
    if text[0] not in _JSON_STARTS:
        raise UnsupportedInput("The local model's engine cannot enforce this JSON schema; simplify it.")


def reader(form: Form, call_id: str) -> Reader:
    """The reader for answers of this form."""
    if form == "call":
        return _Call(call_id)
    return _Json() if form == "json" else _Words()


class Reply:
    """One answer: engine chunks are fed in, Venice chunks come out."""

    def __init__(self, reader: Reader, *, reply_id: str, created: int, model: str, top_logprobs: int = 0) -> None:
        self._reader = reader
        self._top = top_logprobs
        self._envelope = {"id": reply_id, "object": "chat.completion.chunk", "created": created, "model": model}
        self._begun = False

    def feed(self, chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks that this one gives.

        Raises:
            UnsupportedInput: the engine refuses the request.
            LocalModelError: the engine failed.
        """
        if error := chunk.get("error"):
            raise _error(error)
        if chunk["choices"]:
            yield from self._choice(chunk["choices"][0])
        elif usage := chunk.get("usage"):
            yield {**self._envelope, "choices": [], "usage": usage}

    def _choice(self, choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
        delta = self._delta(choice["delta"])
        reason = choice["finish_reason"]
        logprobs = _cut(_without_ids(choice.get("logprobs")), self._top)
        if not (delta or reason or logprobs):
            return
        if not self._begun:
            self._begun = True
            yield self._chunk({"role": "assistant", "content": ""})
        if delta or logprobs:
            yield self._chunk(delta, logprobs=logprobs)
        if reason:
            held, reason = self._reader.end(reason)
            yield self._chunk(held, finish_reason=reason)

    def _delta(self, given: dict[str, Any]) -> dict[str, Any]:
        thought = given.get("reasoning_content")
        delta = self._reader.feed(given.get("content") or "")
        return {"reasoning_content": thought, **delta} if thought else delta

    def _chunk(self, delta: dict[str, Any], *, finish_reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}
        return {**self._envelope, "choices": [choice]}


def _cut(logprobs: Any, top: int) -> Any:
    """Log probabilities with as many of the likeliest tokens as were asked for."""
    for token in logprobs["content"] if logprobs else ():
        token["top_logprobs"] = token["top_logprobs"][:top]
    return logprobs


def _without_ids(logprobs: Any) -> Any:
    """Log probabilities without the engine's numbers for tokens, which mean nothing outside it."""
    if isinstance(logprobs, dict):
        return {key: _without_ids(value) for key, value in cast("dict[str, Any]", logprobs).items() if key != "id"}
    return [_without_ids(item) for item in cast("list[Any]", logprobs)] if isinstance(logprobs, list) else logprobs


def _error(error: dict[str, Any]) -> Exception:
    message = str(error.get("message"))
    if error.get("type") == "exceed_context_size_error":
        message = f"This prompt has {error['n_prompt_tokens']} tokens, and the local model reads {error['n_ctx']}."
    if error.get("type") in _REFUSALS:
        return UnsupportedInput(message)
    return LocalModelError(f"The local model's engine failed: {message}")
