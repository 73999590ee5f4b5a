"""Turns the engine's chunks into those of a backend: choices with text or a tool call, and the usage.

The engine's chunks carry timings, log-like fields, an odd role chunk and the blank that the template leaves before an
answer. A reader takes the text, one for each form of answer; `Reply` makes chunks of what it reads.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from venice_ai.emulator.backend import LocalModelError, UnsupportedInput

from .request import Form

Delta = dict[str, Any]

_JSON_STARTS = '{["-0123456789tfn'
_ARGUMENTS = '"arguments":'


class _Reader:
    """Takes the engine's text and gives what a chunk's `delta` says of it."""

    def __init__(self) -> None:
        self._held: str = ""
        self._begun = False

    def feed(self, text: str) -> Delta:
        """The delta that this text brings; empty if nothing can be said yet."""
        return {"content": text} if text else {}

    def end(self, finish_reason: str) -> tuple[Delta, str]:
        """What was held back, and the finish reason as Venice names it."""
        return {}, finish_reason


class _Words(_Reader):
    """An answer in words, without the blanks around it."""

    def feed(self, text: str) -> Delta:
        text = self._held + text if self._begun else text.lstrip()
        spoken = text.rstrip()
        self._begun, self._held = self._begun or bool(text), text[len(spoken) :]
        return super().feed(spoken)


class _Call(_Reader):
    """A function call: `{"name":"f","arguments":{...}}` comes, its name and arguments go on as they come.

    The last character so far is held back, because the very last one, a brace, belongs to the envelope.
    """

    def __init__(self, call_id: str) -> None:
        super().__init__()
        self._id = call_id

    def feed(self, text: str) -> Delta:
        text = self._held + text
        if self._begun:
            self._held = text[-1:]
            return _fragment(text[:-1])
        self._held = text
        start, found, rest = text.partition(_ARGUMENTS)
        if not found:
            return {}
        self._begun, self._held = True, rest[-1:]
        function = {"name": json.loads(start.rstrip(",") + "}")["name"], "arguments": rest[:-1]}
        return {"tool_calls": [{"index": 0, "id": self._id, "type": "function", "function": function}]}

    def end(self, finish_reason: str) -> tuple[Delta, str]:
        if finish_reason == "stop":
            return {}, "tool_calls"
        return _fragment(self._held if self._begun else ""), finish_reason


def _fragment(arguments: str) -> Delta:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]} if arguments else {}


class Reply:
    """One answer: engine chunks are fed in, the backend's chunks come out."""

    def __init__(self, form: Form, call_id: str, *, top_logprobs: int = 0) -> None:
        self._reader = {"words": _Words, "json": _Reader}.get(form, lambda: _Call(call_id))()
        self._top = top_logprobs
        self._is_json = form != "words"
        self._begun = False
        self._spoken = False

    def feed(self, chunk: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The chunks that this one gives; UnsupportedInput if the engine refuses the request, LocalModelError if it failed."""
        if error := chunk.get("error"):
            raise _error(error)
        if chunk["choices"]:
            yield from self._choice(chunk["choices"][0])
        elif usage := chunk.get("usage"):
            yield {"choices": [], "usage": usage}

    def _choice(self, choice: dict[str, Any]) -> Iterator[dict[str, Any]]:
        given, reason = choice["delta"], choice["finish_reason"]
        text = given.get("content") or ""
        # The engine drops a grammar it cannot use and lets the model talk; words begin with a blank, JSON never does.
        if text and self._is_json and not self._spoken and text[0] not in _JSON_STARTS:
            raise UnsupportedInput("The local model's engine cannot enforce this JSON schema; simplify it.")
        self._spoken = self._spoken or bool(text)
        thought = {"reasoning_content": given["reasoning_content"]} if given.get("reasoning_content") else {}
        delta = {**thought, **self._reader.feed(text)}
        logprobs = _logprobs(choice.get("logprobs"), self._top)
        if not (delta or reason or logprobs):
            return
        if not self._begun:
            self._begun = True
            yield _chunk({"role": "assistant", "content": ""})
        if delta or logprobs:
            yield _chunk(delta, logprobs=logprobs)
        if reason:
            held, reason = self._reader.end(reason)
            yield _chunk(held, finish_reason=reason)


def _chunk(delta: Delta, *, finish_reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}]}


def _logprobs(given: Delta | None, top: int) -> Delta | None:
    """Log probabilities with as many of the likeliest tokens as were asked for, without the engine's numbers for tokens."""
    told: list[Delta] = [_without_id(token) for token in given["content"]] if given else []
    for token in told:
        token["top_logprobs"] = [_without_id(likely) for likely in token["top_logprobs"][:top]]
    return {**given, "content": told} if given else None


def _without_id(token: Delta) -> Delta:
    return {key: value for key, value in token.items() if key != "id"}


def _error(error: dict[str, Any]) -> Exception:
    message = str(error.get("message"))
    if error.get("type") == "exceed_context_size_error":
        message = f"This prompt has {error['n_prompt_tokens']} tokens, and the local model reads {error['n_ctx']}."
    if error.get("type") in {"invalid_request_error", "exceed_context_size_error"}:
        return UnsupportedInput(message)
    return LocalModelError(f"The local model's engine failed: {message}")
