"""Turns a chat request of Venice's API into a request for the engine.

What is asked for has one of three forms: words, JSON of a schema, or the call of a function. The form decides the prompt,
the grammar and how the answer is read (`reply.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias

from venice_ai.emulator.backend import UnsupportedInput
from venice_ai.emulator.request import ChatBody
from venice_ai.types._base import is_object

from .grammar import ANY_OBJECT, Schema, call_schema, json_grammar
from .prompt import PLAIN_STOPS, call_conversation, conversation, json_conversation

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


class Job(NamedTuple):
    form: Form
    body: dict[str, Any]


def job(body: dict[str, Any], *, plain: bool) -> Job:
    """The job that a checked chat request stands for. `plain` is for base weights, which have no chat template."""
    chat = ChatBody(body)
    if tools := _forced_tools(chat):
        turns = call_conversation(chat.messages, tools, plain=plain)
        asked = _engine_body(chat, turns, plain=plain, schema=call_schema(tools))
        # A stop inside a call would cut its arguments, and nobody could tell.
        return Job("call", {**asked, "stop": []})
    kind = body.get("response_format", {}).get("type", "text")
    if kind == "text":
        return Job("words", _engine_body(chat, conversation(chat.messages), plain=plain, schema=None))
    schema: Schema = ANY_OBJECT if kind == "json_object" else chat.schema
    turns = json_conversation(chat.messages, schema, plain=plain)
    return Job("json", _engine_body(chat, turns, plain=plain, schema=schema))


def _engine_body(chat: ChatBody, turns: list[dict[str, str]], *, plain: bool, schema: Schema | None) -> dict[str, Any]:
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
