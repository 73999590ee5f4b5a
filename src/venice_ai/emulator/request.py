"""A valid chat request: its parameters with their defaults, as the modules that answer it need them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias, cast

from venice_ai._core.json_values import items, members
from venice_ai.types.api.chat import content_text
from venice_ai.types.api.models import ModelCapabilities, ModelResponse
from venice_ai.types.api.params import VeniceSwitches

from . import tokens

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


Leaving: TypeAlias = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]
"""What is sent for a chunk."""


@dataclass(frozen=True)
class ChatBody:
    """What the body of a request asks for, whatever the model."""

    body: dict[str, Any]

    @property
    def messages(self) -> list[dict[str, Any]]:
        return cast("list[dict[str, Any]]", self.body["messages"])

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def wants_usage(self) -> bool:
        return bool(self.body.get("stream_options", {}).get("include_usage"))

    @property
    def choices(self) -> int:
        return int(self.body.get("n", 1))

    @property
    def stops(self) -> list[str]:
        stop: Any = self.body.get("stop")
        return [text for text in ([stop] if isinstance(stop, str) else items(stop)) if text]

    @property
    def schema(self) -> Any:
        """The JSON schema that the answer is to fit; None if none was given."""
        wrapper = self.body.get("response_format", {}).get("json_schema")
        return members(wrapper).get("schema", wrapper)

    @property
    def functions(self) -> list[dict[str, Any]]:
        return [tool["function"] for tool in items(self.body.get("tools")) if "function" in tool]

    @property
    def effort(self) -> str | None:
        return self.body.get("reasoning_effort") or members(self.body.get("reasoning")).get("effort")

    @property
    def question(self) -> str:
        return next((text_of(message) for message in reversed(self.messages) if message["role"] == "user"), "")


@dataclass(frozen=True)
class ChatRequest(ChatBody):
    """The body of a request, the model it is for, and the switches in force."""

    model: ModelResponse
    leaving: Leaving  # of a streamed answer: an enclave seals its chunks

    @cached_property
    def switches(self) -> dict[str, Any]:
        """Venice's switches: what the request says, and defaults. Unknown ones are dropped."""
        given = self.body.get("venice_parameters", {})
        return {**_SWITCHES, **{name: given[name] for name in (*_SWITCHES, "character_slug") if name in given}}

    @property
    def capabilities(self) -> ModelCapabilities:
        return self.model.model_spec.capabilities or ModelCapabilities()

    @property
    def cap(self) -> int:
        """The most completion tokens of one answer."""
        own = self.model.model_spec.maxCompletionTokens or 1_000_000_000
        asked = self.body.get("max_completion_tokens") or max(self.body.get("max_tokens", 0), 0)
        return min(asked or own, own)

    @property
    def searches(self) -> bool:
        """Whether the web is searched. `auto` searches too: nothing here could judge whether it is worth it."""
        return self.switches["enable_web_search"] in {"on", "auto"} and self.capabilities.supportsWebSearch is not False

    @property
    def thinks(self) -> bool:
        """Whether the model reasons before it answers."""
        switched_off = self.effort is None and members(self.body.get("reasoning")).get("enabled") is False
        off = self.effort == "none" or switched_off or self.switches["disable_thinking"]
        return self.capabilities.supportsReasoning is True and not off

    @cached_property
    def prompt_tokens(self) -> int:
        """Tokens of all that the model is given, Venice's own system prompt included."""
        said = sum(_message_tokens(message) for message in self.messages)
        tools = tokens.count(json.dumps(self.body["tools"])) if self.body.get("tools") else 0
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
    calls = tokens.count(json.dumps(message["tool_calls"])) if message.get("tool_calls") else 0
    return _MESSAGE_TOKENS + tokens.count(text_of(message)) + media * _MEDIUM_TOKENS + calls
