"""Turns a chat request of Venice's API into one for the engine, and the engine's chunks into those of a backend.

The form of the answer (words, JSON of a schema, or a call) decides prompt, grammar and reading. Small base models know neither
roles nor tools: what tools returned is a fact in the system text, `get_weather({"city": "Paris"}) = 18 degrees`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from venice_ai._core.json_values import items, members
from venice_ai.emulator.answer import ChatBody
from venice_ai.emulator.backend import LocalModelError, UnsupportedInput
from venice_ai.emulator.schemas import BOUNDS, implied_type, names_of
from venice_ai.types._base import is_object

Schema: TypeAlias = dict[str, Any]
Form: TypeAlias = Literal["words", "json", "call"]
# Without a limit a base model rambles until its context is full. JSON ends by its grammar, so it may have more.
WORDS_TOKENS = 256
JSON_TOKENS = 1024

_ALIKE = ("temperature", "top_p", "top_k", "min_p", "frequency_penalty", "presence_penalty")
_SAMPLING = {"repetition_penalty": "repeat_penalty", **{name: name for name in _ALIKE}}  # and what the engine calls them
# What keeps 270M base weights to the point: at 0.7 they lose the thread, and at 0 they repeat one sentence for ever. Of the
# penalties for that, this one alone (DRY, on sequences) leaves them able to say a name or a number from the question.
# JSON repeats its quotes and braces for good reason, and wants no chance at all.
_BASE_WORDS = {"temperature": 0.2, "dry_multiplier": 0.8, "dry_allowed_length": 3}
_BASE_JSON = {"temperature": 0}

_JSON_STARTS = '{["-0123456789tfn'
_ARGUMENTS = '"arguments":'

Delta: TypeAlias = dict[str, Any]
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


def job(body: dict[str, Any], *, plain: bool) -> tuple[Form, dict[str, Any]]:
    """The form that a checked chat request wants, and the engine's request for it; `plain` weights have no chat template."""
    chat = ChatBody(body)
    tools, kind = _forced_tools(chat), body.get("response_format", {}).get("type", "text")
    form: Form = "call" if tools else "words" if kind == "text" else "json"
    schema: Schema = call_schema(tools) if tools else ANY_OBJECT if kind == "json_object" else chat.schema
    limits = (body.get("max_completion_tokens"), body.get("max_tokens"))
    most = next((min(limit, 2**31 - 1) for limit in limits if limit is not None and limit > 0), None)
    asked = {
        "messages": _prompt(chat.messages, form, tools, schema, plain=plain),
        "stream": True,
        "stream_options": {"include_usage": True},
        # Progress on a long prompt gives the caller's leaving a moment at which to be noticed.
        "return_progress": True,
        "max_tokens": most or (WORDS_TOKENS if form == "words" else JSON_TOKENS),
        # A stop inside a call would cut its arguments, and nobody could tell.
        "stop": [] if tools else [*chat.stops, *(PLAIN_STOPS if plain else ())],
        **((_BASE_WORDS if form == "words" else _BASE_JSON) if plain else {}),
        **_sampling(body),
        **({} if form == "words" else {"grammar": json_grammar(schema)}),
    }
    return form, asked


def _sampling(body: Mapping[str, Any]) -> dict[str, Any]:
    """The sampling parameters the engine knows, as the caller gave them; others are left out."""
    given = {known: body[name] for name, known in _SAMPLING.items() if name in body}
    if "seed" in body:
        given["seed"] = body["seed"] % (2**32 - 1)  # the engine's largest seed stands for "any"
    if body.get("logprobs"):
        # Of none the engine gives no probability of the token itself, either.
        given |= {"logprobs": True, "top_logprobs": max(body.get("top_logprobs", 0), 1)}
    return given


def _forced_tools(chat: ChatBody) -> list[dict[str, Any]]:
    """The functions of which one must be called; none if the model may answer in words."""
    choice = chat.body.get("tool_choice")
    name = choice["function"]["name"] if is_object(choice) else None
    if name is None and choice != "required":
        return []
    if not (functions := [function for function in chat.functions if name in {None, function["name"]}]):
        raise UnsupportedInput("tool_choice asks for a call, but tools has no such function.")
    return functions


def _prompt(messages: Sequence[Message], form: Form, tools: Sequence[Message], schema: Message, *, plain: bool) -> list[Turn]:
    """The turns that ask for a form; UnsupportedInput if a message holds more than text."""
    rules = [_text(message) for message in messages if message["role"] in {"system", "developer"}]
    chat = (each for each in messages if each["role"] == "user" or (each["role"] == "assistant" and not each.get("tool_calls")))
    turns: list[Turn] = [{"role": message["role"], "content": _text(message)} for message in chat]
    examples: tuple[Turn, ...] = ()
    system = [*rules, *_facts(messages)]
    named = ", ".join(members(schema.get("properties"))) if form == "json" else ""
    if form == "call":
        system += [_CALL_RULE, *map(_signature, [_EXAMPLE_TOOL, *tools] if plain else tools)]
        examples = _CALL_EXAMPLE if plain else ()
    elif plain and named and turns and turns[-1]["role"] == "user":
        turns[-1] = {"role": "user", "content": f"{turns[-1]['content']} Give {named}."}
        examples = _JSON_EXAMPLE
    text = "\n".join(filter(None, system))
    return [*([{"role": "system", "content": text}] if text else []), *examples, *turns]


def _facts(messages: Iterable[Message]) -> Iterator[str]:
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
    parts = [{"type": "text", "text": content}] if isinstance(content, str) else items(content)
    if other := [part.get("type") for part in parts if part.get("type") != "text"]:
        problem = f"The local model reads text only, and a message has a part of type {json.dumps(other[0])}"
        raise UnsupportedInput(f"{problem}; send it to a model that can take it.")
    return "".join(str(part["text"]) for part in parts)


class EngineAnswer:
    """One answer: engine chunks are fed in, the backend's chunks come out."""

    def __init__(self, form: Form, call_id: str, *, top_logprobs: int = 0) -> None:
        self._form = form
        self._call_id = call_id
        self._top = top_logprobs
        self._text = ""  # all that the engine said
        self._shown: int | None = None  # how much of that went on
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
        delta = {**thought, **self._delta(given.get("content") or "")}
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
            rest = {} if is_whole or self._form != "call" else _fragment(self._text.partition(_ARGUMENTS)[2][-1:])
            yield _chunk(rest, finish_reason="tool_calls" if is_whole else reason)

    def _delta(self, text: str) -> Delta:
        """The `delta` for more of the engine's text, of a call its name and arguments; empty if it is nothing yet."""
        self._text += text
        visible = self._text.strip() if self._form == "words" else self._text
        # The engine drops a grammar it cannot use and lets the model talk; words begin with a blank, JSON never does.
        if self._form != "words" and visible and visible[0] not in _JSON_STARTS:
            raise UnsupportedInput("The local model's engine cannot enforce this JSON schema; simplify it.")
        head, found, arguments = visible.partition(_ARGUMENTS)
        if self._form == "call":
            if not found:
                return {}
            visible = arguments[:-1]  # the very last one is the brace around the call
        is_first, new = self._shown is None, visible[self._shown or 0 :]
        self._shown = len(visible)
        if self._form != "call":
            return {"content": new} if new else {}
        if not is_first:
            return _fragment(new)
        function = {"name": json.loads(head.rstrip(",") + "}")["name"], "arguments": new}
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
    kind, message = error.get("type"), str(error.get("message"))
    if kind == "exceed_context_size_error":
        message = f"This prompt has {error['n_prompt_tokens']} tokens, and the local model reads {error['n_ctx']}."
    elif kind != "invalid_request_error":
        return LocalModelError(f"The local model's engine failed: {message}")
    return UnsupportedInput(message)


# A small model wanders wherever the grammar lets it: strings, numbers, arrays and free objects get bounds where the schema has
# none, and blanks between tokens are forbidden.

STRING_LENGTH = 120
ARRAY_LENGTH = 8
OBJECT_SIZE = 8
LARGEST_NUMBER = 1_000_000
LARGEST_INTEGER = 10_000  # of one without any bound: it may say how often something is done, or which year it is

# Formats the engine enforces, and the length that holds one. To the others JSON Schema gives no force of its own.
_DATE_LENGTHS = {"date-time": 20, "time": 9, "date": 10, "duration": 16}
_FORMAT_LENGTHS = _DATE_LENGTHS | {"email": 40, "hostname": 40, "ipv4": 15, "ipv6": 39, "uuid": 36}

_INTEGER: Schema = {"type": "integer", "minimum": -LARGEST_INTEGER, "maximum": LARGEST_INTEGER}
_SCALAR: Schema = {"anyOf": [{"type": "string", "maxLength": STRING_LENGTH}, _INTEGER, {"type": "boolean"}, {"type": "null"}]}
ANY_OBJECT: Schema = {"type": "object", "additionalProperties": _SCALAR, "minProperties": 1, "maxProperties": OBJECT_SIZE}
"""What `response_format: {"type": "json_object"}` asks for, within reach of a small model."""


def json_grammar(schema: Schema) -> str:
    """The engine's grammar for compact JSON that fits `schema`; UnsupportedInput if that cannot be read."""
    options = {"whitespace_flexible": False, "coerce_one_of": True}
    try:
        narrow = bounded(schema)
    except (AttributeError, LookupError, RecursionError, TypeError) as error:
        raise UnsupportedInput(f"The JSON schema cannot be read: {error}") from None
    return "%llguidance {}\nstart: %json " + json.dumps({**narrow, "x-guidance": options})


def call_schema(tools: Sequence[Mapping[str, Any]]) -> Schema:
    """The schema of one call, `{"name": ..., "arguments": {...}}`, of any of these functions."""
    calls: list[Schema] = []
    definitions: Schema = {}
    for index, tool in enumerate(tools):
        place = f"#/$defs/arguments{index}"
        definitions[f"arguments{index}"] = _moved(tool.get("parameters") or {"type": "object", "properties": {}}, place)
        properties = {"name": {"const": tool["name"]}, "arguments": {"$ref": place}}
        calls.append({"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False})
    return {"anyOf": calls, "$defs": definitions}


def _moved(schema: Any, root: str) -> Any:
    """A schema that now stands at `root`: its references still lead where they led when it stood alone."""

    def moved(node: dict[str, Any]) -> dict[str, Any]:
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#"):
            node["$ref"] = root + reference[1:]
        return node

    return json.loads(json.dumps(schema), object_hook=moved)


def bounded(schema: Any) -> Any:
    """A copy of a schema, narrowed where a small model would never come to an end; what allows anything becomes a scalar."""
    if not is_object(schema):
        return _SCALAR if schema is True else schema
    copy = _copied(schema)
    if schema.keys() & {"$ref", "enum", "const", "anyOf", "oneOf", "allOf"}:
        return copy
    kinds = schema.get("type", implied_type(schema))
    for kind in names_of(kinds):
        if kind in _LIMITS:
            copy = _LIMITS[kind]({"type": kinds, **copy})
    return _SCALAR if kinds is None else copy


def _copied(schema: Schema) -> Schema:
    copy = dict(schema)
    for key in copy.keys() & {"properties", "patternProperties", "$defs", "definitions"}:
        copy[key] = {name: bounded(part) for name, part in copy[key].items()}
    for key in copy.keys() & {"anyOf", "oneOf", "prefixItems"}:
        copy[key] = [*map(bounded, copy[key])]
    if "allOf" in copy:
        copy["allOf"] = [*map(_copied, copy["allOf"])]  # they hold together: closing one would shut out the others' keys
    for key in copy.keys() & {"items", "additionalItems", "additionalProperties"}:
        copy[key] = bounded(copy[key]) if is_object(copy[key]) else copy[key]
    return copy


def _string(schema: Schema) -> Schema:
    known = _FORMAT_LENGTHS.get(str(schema.get("format")))
    if known is None:
        schema = {key: value for key, value in schema.items() if key != "format"}
    return {"maxLength": max(known or STRING_LENGTH, schema.get("minLength", 0)), **schema}


def _array(schema: Schema) -> Schema:
    if not schema.keys() & {"items", "prefixItems"}:
        schema = {**schema, "items": _SCALAR}
    return {"maxItems": max(ARRAY_LENGTH, schema.get("minItems", 0), len(schema.get("prefixItems", ()))), **schema}


def _object(schema: Schema) -> Schema:
    named: Schema | None = schema.get("properties")
    rest = schema.get("additionalProperties", named is None)
    if named and named.keys() >= set(schema.get("required", ())):
        rest = False
    if rest is False and "patternProperties" not in schema:
        return {**schema, "additionalProperties": False}
    size = max(OBJECT_SIZE, schema.get("minProperties", 0), len(named or ()))
    return {"maxProperties": size, **schema, "additionalProperties": _SCALAR if rest is True else rest}


def _number(schema: Schema) -> Schema:
    narrow = _between(schema, LARGEST_NUMBER)
    if schema.keys() & {"exclusiveMinimum", "exclusiveMaximum"}:  # the engine forgets them beside `multipleOf`
        return narrow
    return {"multipleOf": 0.01 if narrow["maximum"] - narrow["minimum"] > 1 else 0.0001, **narrow}


def _between(schema: Schema, largest: int | None = None) -> Schema:
    """A schema of numbers with both bounds, as far apart as `largest`, or as an integer's, where one is missing."""
    largest = largest or (LARGEST_NUMBER if schema.keys() & BOUNDS else LARGEST_INTEGER)
    high = schema.get("maximum")
    low = schema.get("minimum", min(-largest, (high or 0) - largest))
    return {**schema, "minimum": low, "maximum": max(largest, low + largest) if high is None else high}


_LIMITS = {"string": _string, "array": _array, "object": _object, "integer": _between, "number": _number}
