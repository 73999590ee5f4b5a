"""Refuses requests that cannot be end-to-end encrypted as a whole: only the content of messages is encrypted.

The rest travels in clear. So a request is refused, before anything is sent, if the rest has tools, a schema, a text that is
more than a word, a field that is not known, or something that leads out of the enclave. The texts of `stop`, `metadata` and
`user` pass, unless `min_privacy` is `e2ee`. An error names the place of what is refused, never its value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from operator import not_
from typing import Any, Final, Literal, TypeAlias, cast

from .._core.json_values import items, members
from .._core.privacy import PREFIX
from ..exceptions import InvalidRequestError
from ..types._base import is_array
from ..types.api.chat import content_text
from ..types.api.params import ChatParams, Reasoning, StreamSwitches, VeniceSwitches

CLIENT_KEY: Final = "X-Venice-TEE-Client-Pub-Key"
MODEL_KEY: Final = "X-Venice-TEE-Model-Pub-Key"
ALGORITHM: Final = "X-Venice-TEE-Signing-Algo"

_OWN_HEADERS = frozenset(name.lower() for name in (CLIENT_KEY, MODEL_KEY, ALGORITHM))
_IN_CLEAR = ("stop", "metadata", "user")
_ROLES = ("system", "developer", "user", "assistant", "tool")
_OF_CALLS = ("name", "tool_calls", "tool_call_id", "function_call")
_OF_MESSAGES = (*_OF_CALLS, "refusal", "reasoning_content", "reasoning_details", "audio")
NAME = re.compile(r"[A-Za-z0-9_.:/+-]{0,64}")
_WORD = re.compile(r"[A-Za-z0-9_.:-]{0,64}")  # what settings are made of; nobody writes sentences in it by mistake


def guard(
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
    *,
    floor: Literal["tee", "e2ee"] | None = None,
    roles: Literal["all"] | tuple[str, ...] = "all",
) -> None:
    """Refuses a request that cannot be encrypted as a whole; under the floor `e2ee` also whatever else would leave in clear."""
    model, messages = body.get("model"), body.get("messages")
    if not isinstance(model, str) or not isinstance(messages, list) or not messages:  # of a session that is used directly
        raise InvalidRequestError("a request to seal needs a model and a list of messages. Nothing was sent.")
    _check_model(model)
    if own := [name for name in headers or () if name.lower() in _OWN_HEADERS]:
        raise InvalidRequestError(f"extra_headers must not set {own[0]!r} with e2ee: the keys are made for each request")
    for name, value in body.items():
        if name not in {"model", "messages", "stream"} and value is not None:
            _check_field(name, value)
    for index, message in enumerate(cast("list[Any]", messages)):
        _check_message(f"messages.{index}", message)
    if floor != "e2ee":
        return
    if names := [*in_clear(body), *(["stop_token_ids"] if body.get("stop_token_ids") else [])]:  # the numbers are a text, too
        raise _refusal(names[0], "this client has min_privacy='e2ee', and it would leave in clear")
    if left := unsealed_roles(body, roles):
        why = f"this client has min_privacy='e2ee', and encrypt_roles={roles!r} does not seal them"
        raise InvalidRequestError(f"the messages of {', '.join(left)} would leave in clear: {why}. Nothing was sent.")


def in_clear(body: Mapping[str, Any]) -> list[str]:
    """The parameters of an allowed request that may say something of the conversation, and are not encrypted."""
    return [name for name in _IN_CLEAR if body.get(name)]


def unsealed_roles(body: Mapping[str, Any], sealed: Literal["all"] | tuple[str, ...]) -> list[str]:
    """The roles whose messages would leave in clear, if only those of the roles `sealed` are encrypted."""
    if sealed == "all":
        return []
    speaking = {message["role"] for message in body["messages"] if message.get("content") is not None}
    return sorted(speaking.difference(sealed))


def _check_model(model: str) -> None:
    if not model.startswith(PREFIX):
        remedy = "choose an 'e2ee-*' model: client.models.resolve_chat(require_e2ee=True) finds one"
        raise InvalidRequestError(f"model={model!r} has no end-to-end encryption; {remedy}")
    if ":" in model:
        remedy = f"with e2ee leave it out: {model.partition(':')[0]!r}"
        raise InvalidRequestError(f"model={model!r} has a feature suffix, which overrides the request; {remedy}")


def _knows(value: Mapping[str, Any], known: type) -> bool:
    """Whether an object says nothing outside of the fields of a known type, whose values are few."""
    return not any(_says_something(each) for name, each in value.items() if name not in known.__annotations__)


_OBJECTS = ("venice_parameters", "reasoning", "stream_options", "text")
_TOOLS = "tools, and what they are called with, are not encrypted"
_UNKNOWN = "part of it is not known here, and would travel in clear"
_Rule: TypeAlias = tuple[Callable[[Any], bool], str]
_Rules: TypeAlias = dict[str, _Rule]
_HARMLESS: Final[_Rules] = {
    **dict.fromkeys(("tools", "parallel_tool_calls"), (not_, _TOOLS)),
    **dict.fromkeys(("functions", "function_call"), (not_, "functions, and what they are called with, are not encrypted")),
    **dict.fromkeys(("logprobs", "top_logprobs"), (not_, "the tokens of log probabilities come back in clear")),
    "fallbacks": (not_, "another model would read the conversation without having proved anything"),
    "tool_choice": (lambda value: value == "none", _TOOLS),
    "response_format": (
        lambda value: value == {"type": "text"},
        "a schema and its descriptions are not encrypted; describe the format in the prompt, as parse(...) does",
    ),
    "include": (not_, "what it names is not known here, and would travel, or come back, in clear"),
    "reasoning": (lambda value: _knows(value, Reasoning), _UNKNOWN),
    "stream_options": (lambda value: _knows(value, StreamSwitches), _UNKNOWN),
    "text": (
        lambda value: not value.keys() - {"verbosity"},
        "all but its verbosity says something of the conversation, and is not encrypted",
    ),
}
"""Fields of which at most some values say nothing of the conversation: which, and why the others are refused."""

_LOOKED_UP = "what is looked up leaves the enclave"
_SWITCHES: Final[_Rules] = {
    "enable_e2ee": (lambda value: value is True, "it would have the answer in clear; leave one of them out"),
    "enable_web_search": (lambda value: value == "off", _LOOKED_UP),
    **dict.fromkeys(("enable_web_scraping", "enable_x_search"), (not_, _LOOKED_UP)),
    "include_search_results_in_stream": (not_, "search results are not encrypted"),
    "return_search_results_as_documents": (not_, "search results are not encrypted"),
    "character_slug": (not_, "a character's own prompt is put in outside of the enclave"),
}
"""The same for the members of `venice_parameters`."""


def _check_field(name: Any, value: Any) -> None:
    if not isinstance(name, str) or _WORD.fullmatch(name) is None:
        raise _refusal("a field", "its name is not a plain word, and would travel in clear")
    if name in _OBJECTS and not isinstance(value, Mapping):
        raise _refusal(name, "it is not an object, and would travel in clear")
    _check_known(name, value, _HARMLESS.get(name), name in ChatParams.__annotations__)
    if name not in _IN_CLEAR and name != "prompt_cache_key" and has_text(value, _WORD, _WORD):  # that key is not sent
        raise _refusal(name, "a text in it is not a plain word, and would travel in clear")
    if name == "venice_parameters":
        for switch, each in cast("Mapping[Any, Any]", value).items():
            _check_known(f"{name}.{switch}", each, _SWITCHES.get(switch), switch in VeniceSwitches.__annotations__)


def _check_known(path: str, value: Any, rule: _Rule | None, is_known: bool) -> None:
    if rule is not None and value is not None and not rule[0](value):
        raise _refusal(path, rule[1])
    if rule is None and not is_known and _says_something(value):
        raise _refusal(path, "it is not known here, and would travel in clear")


def has_text(value: Any, names: re.Pattern[str] | None = None, keys: re.Pattern[str] = NAME) -> bool:
    """Whether a value, or anything in it, is a text that does not match `names`, or has a key that does not match `keys`."""
    left: list[Any] = [value]
    while left:
        each = left.pop()
        if isinstance(each, str):
            if each and not (names and names.fullmatch(each)):
                return True
        elif isinstance(each, Mapping):
            found = cast("Mapping[Any, Any]", each)
            left += found.values()
            if not all(keys.fullmatch(key) for key in found if isinstance(key, str)):
                return True
        elif isinstance(each, (list, tuple)):
            left += cast("list[Any]", each)
    return False


def _check_message(path: str, message: Any) -> None:
    if not isinstance(message, Mapping) or cast("Mapping[str, Any]", message).get("role") not in _ROLES:
        raise _refusal(path, f"it is not a message with one of the roles {', '.join(_ROLES)}")
    fields = cast("Mapping[str, Any]", message)
    for name, value in fields.items():
        if name not in {"role", "content"} and value not in (None, "", [], {}):
            place = f"{path}.{name}" if name in _OF_MESSAGES else path
            raise _refusal(place, "of a message only the content is encrypted; leave the rest out")
    content: Any = fields.get("content")
    parts = [members(part) for part in items(content)]
    in_parts = is_array(content) and all(part.get("type") == "text" and isinstance(part.get("text"), str) for part in parts)
    if not (content is None or isinstance(content, str) or in_parts):
        raise _refusal(f"{path}.content", "a part of it is not text, and only text is encrypted")
    try:
        (content_text(cast("object", content)) or "").encode()
    except UnicodeEncodeError:
        raise _refusal(f"{path}.content", "it holds half of a surrogate pair, which is not a character") from None


def _says_something(value: Any) -> bool:
    return not (value is None or isinstance(value, (bool, int, float)))


def _refusal(path: str, why: str) -> InvalidRequestError:
    return InvalidRequestError(f"{path} is not allowed with e2ee: {why}. Nothing was sent.")
