"""Turns the engine's chunks into those of a backend: choices with text or a tool call, and the usage.

The engine's chunks carry timings, log-like fields, an odd role chunk and the blank that the template leaves before an answer.
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


class Reply:
    """One answer: engine chunks are fed in, the backend's chunks come out."""

    def __init__(self, form: Form, call_id: str, *, top_logprobs: int = 0) -> None:
        self._form = form
        self._call_id = call_id
        self._top = top_logprobs
        self._held: str = ""  # what came last, and may not belong to the answer: blanks, or the brace around a call
        self._spoken = False
        self._called = False  # whether the name of the function went on
        self._begun = False

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
        thought = {"reasoning_content": given["reasoning_content"]} if given.get("reasoning_content") else {}
        delta = {**thought, **self._said(given.get("content") or "")}
        logprobs = _logprobs(choice.get("logprobs"), self._top)
        if not (delta or reason or logprobs):
            return
        if not self._begun:
            self._begun = True
            yield _chunk({"role": "assistant", "content": ""})
        if delta or logprobs:
            yield _chunk(delta, logprobs=logprobs)
        if reason:
            is_whole = self._form == "call" and reason == "stop"
            rest = _fragment(self._held) if self._called and not is_whole else {}
            yield _chunk(rest, finish_reason="tool_calls" if is_whole else reason)

    def _said(self, text: str) -> Delta:
        """What a chunk's `delta` says of the engine's text; empty if nothing can be said yet."""
        if self._form == "words":  # without the blanks around them
            text = self._held + text if self._spoken else text.lstrip()
            self._spoken = self._spoken or bool(text)
            self._held = text[len(text.rstrip()) :]
            text = text.rstrip()
        elif text and not self._spoken:
            # The engine drops a grammar it cannot use and lets the model talk; words begin with a blank, JSON never does.
            if text[0] not in _JSON_STARTS:
                raise UnsupportedInput("The local model's engine cannot enforce this JSON schema; simplify it.")
            self._spoken = True
        if self._form == "call":
            return self._call(self._held + text)
        return {"content": text} if text else {}

    def _call(self, text: str) -> Delta:
        """What is said of a call: `{"name":"f","arguments":{...}}` comes, its name and arguments go on as they come."""
        self._held = text
        head, found, arguments = ("", "", text) if self._called else text.partition(_ARGUMENTS)
        if not (self._called or found):
            return {}
        self._held = arguments[-1:]  # the very last one is the brace around the call
        if self._called:
            return _fragment(arguments[:-1])
        self._called = True
        function = {"name": json.loads(head.rstrip(",") + "}")["name"], "arguments": arguments[:-1]}
        return {"tool_calls": [{"index": 0, "id": self._call_id, "type": "function", "function": function}]}


def _fragment(arguments: str) -> Delta:
    return {"tool_calls": [{"index": 0, "function": {"arguments": arguments}}]} if arguments else {}


def _chunk(delta: Delta, *, finish_reason: str | None = None, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": logprobs}]}


def _logprobs(given: Delta | None, top: int) -> Delta | None:
    """Log probabilities with as many of the likeliest tokens as were asked for, without the engine's numbers for tokens."""
    for token in given["content"] if given else ():
        token["top_logprobs"] = token["top_logprobs"][:top]
        for each in (token, *token["top_logprobs"]):
            each.pop("id", None)
    return given or None


def _error(error: dict[str, Any]) -> Exception:
    message = str(error.get("message"))
    if error.get("type") == "exceed_context_size_error":
        return UnsupportedInput(
            f"This prompt has {error['n_prompt_tokens']} tokens, and the local model reads {error['n_ctx']}."
        )
    if error.get("type") == "invalid_request_error":
        return UnsupportedInput(message)
    return LocalModelError(f"The local model's engine failed: {message}")
