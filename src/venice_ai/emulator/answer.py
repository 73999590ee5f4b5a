"""The emulated model: the text, reasoning and tool calls of an answer that was not scripted.

The same request gets the same answer: what varies depends on the messages, the `seed`, the `temperature` and the choice's
index, by hashing. Which tools are called follows a rule that can be predicted (`called_tools`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from typing import Any, TypeAlias

from venice_ai._core.json_values import items, members

from . import repeatable
from .request import ChatRequest, text_of, token_count, token_pieces
from .schema_instance import Hints, instance

Call: TypeAlias = dict[str, Any]


def tool_call(id_: str, name: str, arguments: str) -> Call:
    return {"id": id_, "type": "function", "function": {"name": name, "arguments": arguments}}


@dataclass(frozen=True, slots=True)
class Turn:
    text: str = ""
    reasoning: str | None = None
    calls: tuple[Call, ...] = ()
    finish_reason: str = "stop"
    pieces: tuple[str, ...] | None = None  # how the text comes in a stream, if not token by token

    @property
    def deltas(self) -> Sequence[str]:
        """The text in the pieces that a stream brings."""
        return token_pieces(self.text) if self.pieces is None else self.pieces

    @property
    def visible_tokens(self) -> int:
        functions = [call["function"] for call in self.calls]
        return token_count(self.text) + sum(token_count(each["name"] + each["arguments"]) for each in functions)

    @property
    def reasoning_tokens(self) -> int:
        return token_count(self.reasoning or "")


def answer(request: ChatRequest, index: int = 0) -> Turn:
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


def _unlimited(request: ChatRequest, index: int) -> Turn:
    said = [(message["role"], text_of(message)) for message in request.messages]
    salt = (request.model.id, said, request.body.get("seed"), request.body.get("temperature"), index)
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


def _prose(request: ChatRequest, salt: tuple[object, ...]) -> str:
    greeting = repeatable.pick(_GREETINGS, "greeting", salt).format(model=request.model.model_spec.name or request.model.id)
    closing = repeatable.pick(_CLOSINGS, "closing", salt)
    if results := _results(request):
        return f"{greeting} {results}"
    question = " ".join(request.question.split())
    question = question if len(question) <= 200 else f"{question[:199]}\u2026"
    echo = f"{repeatable.pick(_ECHOES, 'echo', salt)}: \u201c{question}\u201d." if question else "You said nothing."
    cited = "^1^" if request.searches and request.switches["enable_web_citations"] else ""
    return f"{greeting} {echo}{cited} {closing}"


def _results(request: ChatRequest) -> str:
    """The results of the tools that were called last, quoted."""
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


def _documents(request: ChatRequest) -> tuple[Call, ...]:
    """What a search found, as a call that nobody is to execute; Venice adds it to the answer on request."""
    if not (request.searches and request.switches["return_search_results_as_documents"]):
        return ()
    pages = enumerate(CITATIONS, start=1)
    found = [{"id": str(number), **{name: page[said] for name, said in _MEMBERS.items()}} for number, page in pages]
    return (tool_call("web_search_call", "web_search", json.dumps({"documents": found})),)


_COMMON_VERBS = {
    *("get", "set", "fetch", "find", "look", "up", "search", "list", "create", "make", "do", "run"),
    *("the", "a", "tool", "current"),
}


def called_tools(request: ChatRequest) -> list[dict[str, Any]]:
    """The functions that the model calls.

    - `tool_choice` names one: that one. `"none"`: none.
    - The last message is a tool's result: none, unless `tool_choice` is `"required"`.
    - Otherwise those that the user's last message mentions (`mentioned`); only the first of them if
      `parallel_tool_calls` is false.
    - `"required"`, and none is mentioned that was not called yet: the first that was not called yet, else the last.
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
    said = set(_words(text))
    name = _words(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", function["name"]))
    telling = [word for word in name if word not in _COMMON_VERBS] or name
    if telling and said.issuperset(telling):
        return True
    described = {word for word in _words(function.get("description", "")) if len(word) >= 5}
    return text.rstrip().endswith("?") and len(said & described) >= 2


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9]+", text.lower())


def _calls(functions: list[dict[str, Any]], request: ChatRequest, salt: tuple[object, ...]) -> tuple[Call, ...]:
    hints, turn = Hints(request.question), len(request.messages)
    schemas = [function.get("parameters") or {"type": "object"} for function in functions]
    arguments = [json.dumps(instance(schema, salt=(salt, index), hints=hints)) for index, schema in enumerate(schemas)]
    made = enumerate(zip(functions, arguments, strict=True))
    return tuple(tool_call(call_id(salt, index, turn), function["name"], text) for index, (function, text) in made)


def _earlier_calls(request: ChatRequest) -> list[dict[str, Any]]:
    """The tool calls in the conversation that have an id and a name; what a request holds there may be anything."""
    calls = [members(call) for message in request.messages for call in items(message.get("tool_calls"))]
    names = [members(call.get("function")).get("name") for call in calls]
    return [call for call, name in zip(calls, names, strict=True) if isinstance(name, str) and isinstance(call.get("id"), str)]
