"""The emulated model: what it reads of a valid request, and the text, reasoning and tool calls of an answer without a script.

The same request gets the same answer: what varies depends on the messages, the `seed`, the `temperature` and the choice's
index, by hashing. Which tools are called follows a rule that can be predicted (`called_tools`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any, TypeAlias

from venice_ai._core.json_values import items, members
from venice_ai.types.api.chat import content_text
from venice_ai.types.api.models import ModelCapabilities, ModelResponse
from venice_ai.types.api.params import VeniceSwitches

from . import repeatable
from .schemas import Hints, instance

_SYSTEM_PROMPT_TOKENS = 1_000
"""What Venice's own system prompt adds. Its documents show 1,000 to 1,700 tokens; `costs.py` has to know the most."""
_MESSAGE_TOKENS = 4
_MEDIUM_TOKENS = 256

_DEFAULTS = {"enable_e2ee": True, "enable_web_search": "off", "include_venice_system_prompt": True}
_SWITCHES: Any = {name: _DEFAULTS.get(name, False) for name in VeniceSwitches.__annotations__ if name != "character_slug"}
"""Venice's switches with their defaults."""

Leaving: TypeAlias = Callable[[dict[str, Any]], Iterable[dict[str, Any]]]  # what is sent for a chunk


class ChatBody:
    """The body of a chat request, with its fields as attributes, whatever the model."""

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
        questions = (text_of(message) for message in reversed(self.messages) if message["role"] == "user")
        self.question: str = next(questions, "")


class IncomingChat(ChatBody):
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
        is_requested = self.switches["enable_web_search"] in {"on", "auto"}
        self.searches: bool = is_requested and self.capabilities.supportsWebSearch is not False
        switched_off = self.effort is None and members(body.get("reasoning")).get("enabled") is False
        off = self.effort == "none" or switched_off or self.switches["disable_thinking"]
        self.thinks: bool = self.capabilities.supportsReasoning is True and not off

    @cached_property
    def prompt_tokens(self) -> int:
        """Tokens of all that the model is given, Venice's own system prompt included."""
        of_messages = sum(_message_tokens(message) for message in self.messages)
        tools = token_count(json.dumps(self.body["tools"])) if self.body.get("tools") else 0
        return of_messages + tools + (_SYSTEM_PROMPT_TOKENS if self.switches["include_venice_system_prompt"] else 0)


def text_of(message: dict[str, Any]) -> str:
    return content_text(message.get("content")) or ""


def _message_tokens(message: dict[str, Any]) -> int:
    media = len([part for part in items(message.get("content")) if part.get("type") != "text"])
    calls = token_count(json.dumps(message["tool_calls"])) if message.get("tool_calls") else 0
    return _MESSAGE_TOKENS + token_count(text_of(message)) + media * _MEDIUM_TOKENS + calls


_TOKEN = re.compile(r"\s?\w{1,6}|\s?[^\w\s]|\s+")


def token_pieces(text: str) -> list[str]:
    """A text in tokens by a simple rule, which is near enough: a blank and up to six word characters, or one sign."""
    return _TOKEN.findall(text)


def token_count(text: str) -> int:
    """How many tokens a text has; a very long text is estimated at four characters a token."""
    return len(text) // 4 if len(text) > 50_000 else len(token_pieces(text))


Call: TypeAlias = dict[str, Any]


def tool_call(id_: str, name: str, arguments: str) -> Call:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


@dataclass(frozen=True, slots=True)
class Turn:
    text: str = ""
    reasoning: str | None = None
    calls: tuple[Call, ...] = ()
    finish_reason: str = "stop"
    pieces: Sequence[str] | None = None  # how the text comes in a stream, if not token by token

    @property
    def deltas(self) -> Sequence[str]:
        return token_pieces(self.text) if self.pieces is None else self.pieces

    @property
    def visible_tokens(self) -> int:
        functions = [call["function"] for call in self.calls]
        return token_count(self.text) + sum(token_count(each["name"] + each["arguments"]) for each in functions)

    @property
    def reasoning_tokens(self) -> int:
        return token_count(self.reasoning or "")


def answer(request: IncomingChat, index: int = 0) -> Turn:
    """The turn for one choice of a request; Unsatisfiable if nothing fits its schema, or that of a tool's arguments."""
    turn = _unlimited(request, index)
    stops = [place for place in map(turn.text.find, request.stops) if place >= 0]
    text = turn.text[: min(stops)] if stops else turn.text
    turn = turn if text == turn.text else replace(turn, text=text, pieces=None, finish_reason="stop")
    if turn.reasoning_tokens + turn.visible_tokens <= request.cap:
        return turn
    reasoning = token_pieces(turn.reasoning or "")[: request.cap]
    visible = token_pieces(turn.text)[: request.cap - len(reasoning)]
    # A call that does not fit is not made: half of its arguments would be of no use.
    return Turn("".join(visible), "".join(reasoning) if turn.reasoning is not None else None, finish_reason="length")


def call_id(*salt: object) -> str:
    return f"call_{repeatable.hexes(24, *salt)}"


def _unlimited(request: IncomingChat, index: int) -> Turn:
    transcript = [(message["role"], text_of(message)) for message in request.messages]
    salt = (request.model.id, transcript, request.body.get("seed"), request.body.get("temperature"), index)
    subject = repeatable.pick(("the question", "what was said", "the last message"), "reasoning", salt)
    thought = f"Let me look at {subject}. It has {len(request.question.split())} words. I will answer it in a few sentences."
    reasoning = thought if request.thinks else None
    if called := called_tools(request):
        return Turn(reasoning=reasoning, calls=_calls(called, request, salt), finish_reason="tool_calls")
    kind = request.body.get("response_format", {}).get("type", "text")
    if kind == "json_schema":
        return Turn(json.dumps(instance(request.schema, salt=salt, hints=Hints(request.question))), reasoning)
    if kind == "json_object":
        return Turn(json.dumps({"model": request.model.id, "question": request.question}), reasoning)
    found = _documents(request)
    return Turn(_prose(request, salt), reasoning, found, "tool_calls" if found else "stop")


_GREETINGS = (
    "{model} here, emulated on your own machine.",
    "This is {model}, as an emulator plays it.",
    "{model} speaking, offline.",
)
_ECHOES = ("You asked", "Your words were", "I read")
_CLOSINGS = (
    "A real model would think about it; I only prove that the wire between us works.",
    "No network was used, no key was checked, and nothing was spent.",
    "The same messages and the same seed will always bring you this same sentence.",
    "Change the seed and I will choose other words.",
)


def _prose(request: IncomingChat, salt: tuple[object, ...]) -> str:
    greeting = repeatable.pick(_GREETINGS, "greeting", salt).format(model=request.model.model_spec.name or request.model.id)
    closing = repeatable.pick(_CLOSINGS, "closing", salt)
    if results := _results(request):
        return f"{greeting} {results}"
    question = " ".join(request.question.split())
    question = question if len(question) <= 200 else f"{question[:199]}\u2026"
    echo = f"{repeatable.pick(_ECHOES, 'echo', salt)}: \u201c{question}\u201d." if question else "You said nothing."
    cited = "^1^" if request.searches and request.switches["enable_web_citations"] else ""
    return f"{greeting} {echo}{cited} {closing}"


def _results(request: IncomingChat) -> str:
    names = {call["id"]: call["function"]["name"] for call in _earlier_calls(request)}
    last = [*takewhile(lambda message: message["role"] == "tool", reversed(request.messages))]
    answers = ((names.get(message["tool_call_id"], "The tool"), text_of(message)) for message in reversed(last))
    return "\n".join(f"{name} answered: {text}" for name, text in answers)


CITATIONS = [
    {
        "title": "Venice, the emulated city",
        "url": "https://example.org/venice",
        "content": "A city of <strong>118 islands</strong> &amp; many bridges.",
        "date": "2026-05-28",
    },
    {"title": "Lagoons, explained", "url": "https://example.org/lagoon", "content": "Shallow water.", "date": ""},
]
"""What every web search finds."""
_MEMBERS = {"title": "title", "url": "url", "snippet": "content", "published_at": "date"}


def _documents(request: IncomingChat) -> tuple[Call, ...]:
    """The results of a search, as a call that nobody is to execute; Venice adds it to the answer on request."""
    if not (request.searches and request.switches["return_search_results_as_documents"]):
        return ()
    pages = enumerate(CITATIONS, start=1)
    found = [{"id": str(number), **{name: page[member] for name, member in _MEMBERS.items()}} for number, page in pages]
    return (tool_call("web_search_call", "web_search", json.dumps({"documents": found})),)


_COMMON_VERBS = {
    *("get", "set", "fetch", "find", "look", "up", "search", "list", "create", "make", "do", "run"),
    *("the", "a", "tool", "current"),
}


def called_tools(request: IncomingChat) -> list[dict[str, Any]]:
    """The functions that the model calls: those that the user's last message mentions, and none after a tool's result.

    With `tool_choice="required"` that is at least one: the first that was not called yet, else the last.
    """
    functions = request.functions
    choice: Any = request.body.get("tool_choice", "auto")
    if not functions or choice == "none":
        return []
    if isinstance(choice, dict):
        return [function for function in functions if function["name"] == choice["function"]["name"]][:1]
    answered = request.messages[-1]["role"] == "tool"
    if answered and choice != "required":
        return []
    earlier = {call["function"]["name"] for call in _earlier_calls(request)}
    fresh = [function for function in functions if function["name"] not in earlier]
    named = [function for function in (fresh if answered else functions) if mentioned(function, request.question)]
    if choice == "required":
        named = named or [*fresh, functions[-1]][:1]
    return named[:1] if request.body.get("parallel_tool_calls") is False else named


def mentioned(function: dict[str, Any], text: str) -> bool:
    """Whether a text has the words of a function's name, common verbs aside, or is a question with two of its description."""
    words = set(_words(text))
    name = _words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", function["name"]))
    telling = [word for word in name if word not in _COMMON_VERBS] or name
    if telling and words.issuperset(telling):
        return True
    described = {word for word in _words(function.get("description", "")) if len(word) >= 5}
    return text.rstrip().endswith("?") and len(words & described) >= 2


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _calls(functions: list[dict[str, Any]], request: IncomingChat, salt: tuple[object, ...]) -> tuple[Call, ...]:
    hints, turn = Hints(request.question), len(request.messages)
    schemas = [function.get("parameters") or {"type": "object"} for function in functions]
    arguments = [json.dumps(instance(schema, salt=(salt, index), hints=hints)) for index, schema in enumerate(schemas)]
    made = enumerate(zip(functions, arguments, strict=True))
    return tuple(tool_call(call_id(salt, index, turn), function["name"], text) for index, (function, text) in made)


def _earlier_calls(request: IncomingChat) -> list[dict[str, Any]]:
    """The tool calls in the conversation that have an id and a name; what a request holds there may be anything."""
    calls = [members(call) for message in request.messages for call in items(message.get("tool_calls"))]
    names = [members(call.get("function")).get("name") for call in calls]
    return [call for call, name in zip(calls, names, strict=True) if isinstance(name, str) and isinstance(call.get("id"), str)]
