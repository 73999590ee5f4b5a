"""Turns a chat request of Venice's API into a request for the engine, with a prompt for any chat template.

What is asked for has one of three forms: words, JSON of a schema, or the call of a function. The form decides the prompt,
the grammar and how the answer is read (`reply.py`). A prompt is one system text, then user and assistant by turns. Small base
models know neither roles nor tools: what tools returned is stated as facts in the system text,
`get_weather({"city": "Paris"}) = 18 degrees`, and the turns that asked for it are left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

from venice_ai._core.json_values import items, members
from venice_ai.emulator.backend import UnsupportedInput
from venice_ai.emulator.request import ChatBody
from venice_ai.types._base import is_object

from .grammar import ANY_OBJECT, Schema, call_schema, json_grammar

Form: TypeAlias = Literal["words", "json", "call"]

# Without a limit a base model rambles until its context is full. JSON ends by its grammar, so it may have more.
WORDS_TOKENS = 256
JSON_TOKENS = 1024

_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty")
# What keeps 270M base weights to the point: at 0.7 they lose the thread, and at 0 they repeat one sentence for ever. Of the
# penalties for that, this one alone (DRY, on sequences) leaves them able to say a name or a number from the question.
# JSON repeats its quotes and braces for good reason, and wants no chance at all.
_BASE_WORDS = {"temperature": 0.2, "dry_multiplier": 0.8, "dry_allowed_length": 3}
_BASE_JSON = {"temperature": 0}

Turn: TypeAlias = dict[str, str]
Message: TypeAlias = Mapping[str, Any]

PLAIN_TEMPLATE = (
    "{% for turn in messages %}"
    "{% if turn.role == 'user' %}Question: {{ turn.content }}\n"
    "{% elif turn.role == 'assistant' %}Answer: {{ turn.content }}\n"
    "{% else %}{{ turn.content }}\n"
    "{% endif %}{% endfor %}Answer:"
)
"""For weights that have no template: text that goes on as text does."""

PLAIN_STOPS = ("\nQuestion:", "\nAnswer:")
"""Stop sequences for the plain template: where the model begins the next question itself."""

_CALL_RULE = "Each question is answered with a call of one of these functions, as JSON."
_EXAMPLE_TOOL: Message = {"name": "add", "description": "Add two numbers", "parameters": {"properties": {"a": {}, "b": {}}}}
# With one example a 270M model made 5 of 7 calls right, without it 3; a second example added nothing.
_CALL_EXAMPLE: tuple[Turn, ...] = (
    {"role": "user", "content": "Add 2 and 3."},
    {"role": "assistant", "content": '{"name":"add","arguments":{"a":2,"b":3}}'},
)
_JSON_EXAMPLE: tuple[Turn, ...] = (
    {"role": "user", "content": "Anna is a 31 years old painter from Rome. Give name, age, city."},
    {"role": "assistant", "content": '{"name":"Anna","age":31,"city":"Rome"}'},
)


class Job(NamedTuple):
    form: Form
    body: dict[str, Any]


def job(body: dict[str, Any], *, plain: bool) -> Job:
    """The job that a checked chat request stands for. `plain` is for base weights, which have no chat template."""
    chat = ChatBody(body)
    if tools := _forced_tools(chat):
        turns = _call_conversation(chat.messages, tools, plain=plain)
        asked = _engine_body(chat, turns, plain=plain, schema=call_schema(tools))
        # A stop inside a call would cut its arguments, and nobody could tell.
        return Job("call", {**asked, "stop": []})
    kind = body.get("response_format", {}).get("type", "text")
    if kind == "text":
        return Job("words", _engine_body(chat, _conversation(chat.messages), plain=plain, schema=None))
    schema: Schema = ANY_OBJECT if kind == "json_object" else chat.schema
    turns = _json_conversation(chat.messages, schema, plain=plain)
    return Job("json", _engine_body(chat, turns, plain=plain, schema=schema))


def _engine_body(chat: ChatBody, turns: list[Turn], *, plain: bool, schema: Schema | None) -> dict[str, Any]:
    base = _BASE_WORDS if schema is None else _BASE_JSON
    return {
        "messages": turns,
        "stream": True,
        "stream_options": {"include_usage": True},
        # Progress on a long prompt gives the caller's leaving a moment at which to be noticed.
        "return_progress": True,
        "max_tokens": _limit(chat.body) or (WORDS_TOKENS if schema is None else JSON_TOKENS),
        "stop": [*chat.stops, *(PLAIN_STOPS if plain else ())],
        **(base if plain else {}),
        **_sampling(chat.body),
        **({} if schema is None else {"grammar": json_grammar(schema)}),
    }


def _sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters the engine knows, as the caller gave them; others are left out."""
    given = {name: body[name] for name in _SAMPLING if name in body}
    if "repetition_penalty" in body:
        given["repeat_penalty"] = body["repetition_penalty"]
    if "seed" in body:
        # The engine's largest seed stands for "any".
        given["seed"] = body["seed"] % (2**32 - 1)
    if body.get("logprobs"):
        # Of none the engine gives no probability of the token itself, either.
        given |= {"logprobs": True, "top_logprobs": max(body.get("top_logprobs", 0), 1)}
    return given


def _limit(body: Mapping[str, Any]) -> int | None:
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    return next((min(limit, 2**31 - 1) for limit in limits if limit is not None and limit > 0), None)


def _forced_tools(chat: ChatBody) -> list[dict[str, Any]]:
    """The functions of which one must be called; none if the model may answer in words."""
    choice = chat.body.get("tool_choice")
    if not is_object(choice) and choice != "required":
        return []
    functions = chat.functions
    if is_object(choice):
        functions = [function for function in functions if function["name"] == choice["function"]["name"]]
    if not functions:
        raise UnsupportedInput("tool_choice asks for a call, but tools has no such function.")
    return functions


# -- the prompt ----------------------------------------------------------------------------------------------------------


def _conversation(messages: Sequence[Message]) -> list[Turn]:
    """The turns of a conversation that wants an answer in words; UnsupportedInput if a message holds more than text."""
    return _with_system([*_rules(messages), *_facts(messages)], _turns(messages))


def _call_conversation(messages: Sequence[Message], tools: Sequence[Message], *, plain: bool) -> list[Turn]:
    """The turns of a conversation that wants a call of one of these functions."""
    listed: Sequence[Message] = [_EXAMPLE_TOOL, *tools] if plain else tools
    system = [*_rules(messages), *_facts(messages), _CALL_RULE, *map(_signature, listed)]
    return _with_system(system, [*(_CALL_EXAMPLE if plain else ()), *_turns(messages)])


def _json_conversation(messages: Sequence[Message], schema: Message, *, plain: bool) -> list[Turn]:
    """The turns of a conversation that wants JSON of this schema."""
    turns = _conversation(messages)
    names = ", ".join(members(schema.get("properties")))
    if not plain or not names or not turns or turns[-1]["role"] != "user":
        return turns
    asked = {"role": "user", "content": f"{turns[-1]['content']} Give {names}."}
    start = int(turns[0]["role"] == "system")
    return [*turns[:start], *_JSON_EXAMPLE, *turns[start:-1], asked]


def _with_system(texts: Iterable[str], turns: Iterable[Turn]) -> list[Turn]:
    text = "\n".join(filter(None, texts))
    return [{"role": "system", "content": text}, *turns] if text else [*turns]


def _rules(messages: Iterable[Message]) -> Iterator[str]:
    return (_text(message) for message in messages if message["role"] in {"system", "developer"})


def _turns(messages: Iterable[Message]) -> Iterator[Turn]:
    for message in messages:
        role = message["role"]
        if role == "user" or (role == "assistant" and not message.get("tool_calls")):
            yield {"role": role, "content": _text(message)}


def _facts(messages: Iterable[Message]) -> Iterator[str]:
    """What the tools returned, each with the call that asked for it."""
    calls: dict[str, str] = {}
    for message in messages:
        for call in message.get("tool_calls") or ():
            function = call["function"]
            calls[call.get("id", "")] = f"{function['name']}({function.get('arguments') or ''})"
        if message["role"] == "tool":
            yield f"{calls.get(message['tool_call_id'], message.get('name') or 'tool')} = {_text(message)}"


def _signature(tool: Message) -> str:
    names = ", ".join(members(members(tool.get("parameters")).get("properties")))
    described = f": {tool['description']}" if tool.get("description") else ""
    return f"{tool['name']}({names}){described}"


def _text(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else "".join(map(_part_text, items(content)))


def _part_text(part: Message) -> str:
    if part.get("type") != "text":
        raise UnsupportedInput(
            f"The local model reads text only, and a message has a part of type {json.dumps(part.get('type'))}; "
            "send it to a model that can take it."
        )
    return str(part["text"])
