"""Turns a conversation into a prompt for any chat template: one system text, then user and assistant by turns.

Small base models know neither roles nor tools. What tools returned is therefore stated as facts in the system text,
`get_weather({"city": "Paris"}) = 18 degrees`, and the turns that asked for it are left out: a model that never saw a tool
can still answer from a fact. Models with a chat template of their own get the same turns through their template.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from venice_ai._core.json_values import items, members
from venice_ai.emulator.backend import UnsupportedInput

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


def conversation(messages: Sequence[Message]) -> list[Turn]:
    """The turns of a conversation that wants an answer in words; UnsupportedInput if a message holds more than text."""
    return _with_system([*_rules(messages), *_facts(messages)], _turns(messages))


def call_conversation(messages: Sequence[Message], tools: Sequence[Message], *, plain: bool) -> list[Turn]:
    """The turns of a conversation that wants a call of one of these functions."""
    listed: Sequence[Message] = [_EXAMPLE_TOOL, *tools] if plain else tools
    system = [*_rules(messages), *_facts(messages), _CALL_RULE, *map(_signature, listed)]
    return _with_system(system, [*(_CALL_EXAMPLE if plain else ()), *_turns(messages)])


def json_conversation(messages: Sequence[Message], schema: Message, *, plain: bool) -> list[Turn]:
    """The turns of a conversation that wants JSON of this schema."""
    turns = conversation(messages)
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
