"""A valid chat request: its parameters with their defaults, as the modules that answer it need them, and a count of tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from typing import Any, TypeAlias

from venice_ai._core.json_values import items, members
from venice_ai.types.api.chat import content_text
from venice_ai.types.api.models import ModelCapabilities, ModelResponse
from venice_ai.types.api.params import VeniceSwitches

_SYSTEM_PROMPT_TOKENS = 1_000
"""What Venice's own system prompt adds to a request; it is on unless the request switches it off.

Venice's documents show 1,000 to 1,700 tokens. Here it is one of these; `costs.py` has to know the most.
"""
_MESSAGE_TOKENS = 4
_MEDIUM_TOKENS = 256

_DEFAULTS = {"enable_e2ee": True, "enable_web_search": "off", "include_venice_system_prompt": True}
_SWITCHES: dict[str, Any] = {
    name: _DEFAULTS.get(name, False) for name in VeniceSwitches.__annotations__ if name != "character_slug"
}
"""Venice's switches with their defaults."""


Leaving: TypeAlias = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]  # what is sent for a chunk


class ChatBody:
    """What the body of a request asks for, whatever the model."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body = body
        self.messages: list[dict[str, Any]] = body["messages"]
        self.streams: bool = bool(body.get("stream"))
        self.wants_usage: bool = bool(body.get("stream_options", {}).get("include_usage"))
        self.choices: int = int(body.get("n", 1))
        stop: Any = body.get("stop")
        self.stops: list[str] = [text for text in ([stop] if isinstance(stop, str) else items(stop)) if text]
        wrapper = body.get("response_format", {}).get("json_schema")
        self.schema: Any = members(wrapper).get("schema", wrapper)  # that the answer is to fit; None if none was given
        self.functions: list[dict[str, Any]] = [tool["function"] for tool in items(body.get("tools")) if "function" in tool]
        self.effort: str | None = body.get("reasoning_effort") or members(body.get("reasoning")).get("effort")
        said = (text_of(message) for message in reversed(self.messages) if message["role"] == "user")
        self.question: str = next(said, "")


class ChatRequest(ChatBody):
    """The body of a request, the model it is for, and Venice's switches in force."""

    def __init__(self, body: dict[str, Any], model: ModelResponse, leaving: Leaving) -> None:
        super().__init__(body)
        self.model = model
        self.leaving = leaving  # of a streamed answer: an enclave seals its chunks
        given = body.get("venice_parameters", {})
        known = {name: given[name] for name in (*_SWITCHES, "character_slug") if name in given}
        self.switches: dict[str, Any] = {**_SWITCHES, **known}
        self.capabilities: ModelCapabilities = model.model_spec.capabilities or ModelCapabilities()
        own = model.model_spec.maxCompletionTokens or 1_000_000_000
        asked = body.get("max_completion_tokens") or max(body.get("max_tokens", 0), 0)
        self.cap: int = min(asked or own, own)  # the most completion tokens of one answer
        # `auto` searches too: nothing here could judge whether it is worth it.
        is_wanted = self.switches["enable_web_search"] in {"on", "auto"}
        self.searches: bool = is_wanted and self.capabilities.supportsWebSearch is not False
        switched_off = self.effort is None and members(body.get("reasoning")).get("enabled") is False
        off = self.effort == "none" or switched_off or self.switches["disable_thinking"]
        self.thinks: bool = self.capabilities.supportsReasoning is True and not off

    @cached_property
    def prompt_tokens(self) -> int:
        """Tokens of all that the model is given, Venice's own system prompt included."""
        said = sum(_message_tokens(message) for message in self.messages)
        tools = token_count(json.dumps(self.body["tools"])) if self.body.get("tools") else 0
        return said + tools + (_SYSTEM_PROMPT_TOKENS if self.switches["include_venice_system_prompt"] else 0)


def text_of(message: dict[str, Any]) -> str:
    return content_text(message.get("content")) or ""


def parts_of(messages: list[dict[str, Any]], kind: str) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """The content parts of one type, with the positions of their message and in it."""
    for index, message in enumerate(messages):
        for place, part in enumerate(items(message.get("content"))):
            if part.get("type") == kind:
                yield index, place, part


def _message_tokens(message: dict[str, Any]) -> int:
    media = len([part for part in items(message.get("content")) if part.get("type") != "text"])
    calls = token_count(json.dumps(message["tool_calls"])) if message.get("tool_calls") else 0
    return _MESSAGE_TOKENS + token_count(text_of(message)) + media * _MEDIUM_TOKENS + calls


_TOKEN = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s+")


def token_pieces(text: str) -> list[str]:
    """A text in tokens by a simple rule, which is near enough: up to six letters with the blank before them, or one sign."""
    return _TOKEN.findall(text)


def token_count(text: str) -> int:
    """How many tokens a text has; a very long text is estimated at four characters a token."""
    return len(text) // 4 if len(text) > 50_000 else len(token_pieces(text))
