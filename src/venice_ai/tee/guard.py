"""What may be asked for end to end encrypted: the content of messages is sealed, and nothing else is.

Whatever a request holds besides that travels in clear, so a request is refused, before anything is sent, if it holds what
says something of the conversation, or what would have the conversation leave the enclave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, cast

from ..exceptions import InvalidRequestError
from ..types._base import plain
from ..types.api.chat import content_text
from ..types.api.params import ChatParams, Reasoning, StreamSwitches, VeniceSwitches

PREFIX: Final = "e2ee-"
"""What the ids of models with end-to-end encryption begin with."""
CLIENT_KEY: Final = "X-Venice-TEE-Client-Pub-Key"
MODEL_KEY: Final = "X-Venice-TEE-Model-Pub-Key"
ALGORITHM: Final = "X-Venice-TEE-Signing-Algo"

_OWN_HEADERS = frozenset(name.lower() for name in (CLIENT_KEY, MODEL_KEY, ALGORITHM))
_OWN_FIELDS = frozenset({"model", "messages", "stream"})
_IN_CLEAR = ("stop", "metadata", "user")
_REFUSED = {
    "tools": "tools, and what they are called with, are not encrypted",
    "functions": "functions, and what they are called with, are not encrypted",
    "function_call": "functions, and what they are called with, are not encrypted",
    "parallel_tool_calls": "tools, and what they are called with, are not encrypted",
    "logprobs": "the tokens of log probabilities come back in clear",
    "top_logprobs": "the tokens of log probabilities come back in clear",
    "fallbacks": "another model would read the conversation without having proved anything",
}
_REFUSED_SWITCHES = {
    "enable_web_scraping": "what is looked up leaves the enclave",
    "enable_x_search": "what is looked up leaves the enclave",
    "include_search_results_in_stream": "search results are not encrypted",
    "return_search_results_as_documents": "search results are not encrypted",
    "character_slug": "a character's own prompt is put in outside of the enclave",
}


def engaged(e2ee: object, body: Mapping[str, Any]) -> bool:
    """Whether a call is to be end-to-end encrypted: by its argument, or by `venice_parameters.enable_e2ee`."""
    return bool(e2ee) or _switches(body).get("enable_e2ee") is True


def engaged_by(params: Mapping[str, Any]) -> bool:
    """The same by the keywords of a call, of which no body was made yet."""
    return engaged(params.get("e2ee"), {"venice_parameters": plain(params.get("venice_parameters"))})


def guard(body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
    """Refuses a request that cannot be end-to-end encrypted as a whole. `body` is what would be sent.

    Raises:
        InvalidRequestError: it holds something that would travel in clear, or is not for an `e2ee-*` model.
    """
    _check_model(body["model"])
    for name in headers or ():
        if name.lower() in _OWN_HEADERS:
            raise InvalidRequestError(f"extra_headers must not set {name!r} with e2ee: the keys are made for each request")
    for name, value in body.items():
        if name not in _OWN_FIELDS and value is not None:
            _check_field(name, value)
    _check_switches(_switches(body))
    for index, message in enumerate(body["messages"]):
        _check_message(f"messages.{index}", message)


def in_clear(body: Mapping[str, Any]) -> list[str]:
    """The parameters of an allowed request that may say something of the conversation, and are not encrypted."""
    return [name for name in _IN_CLEAR if body.get(name)]


def unsealed_roles(body: Mapping[str, Any], sealed: Literal["all"] | tuple[str, ...]) -> list[str]:
    """The roles whose messages would leave in clear, if only those of the roles `sealed` are encrypted."""
    if sealed == "all":
        return []
    speaking = {message["role"] for message in body["messages"] if message.get("content") is not None}
    return sorted(speaking.difference(sealed))


def _switches(body: Mapping[str, Any]) -> Mapping[str, Any]:
    switches = body.get("venice_parameters")
    return cast("Mapping[str, Any]", switches) if switches and isinstance(switches, Mapping) else {}


def _check_model(model: str) -> None:
    if not model.startswith(PREFIX):
        raise InvalidRequestError(
            f"model={model!r} has no end-to-end encryption; choose an 'e2ee-*' model: "
            "client.models.resolve_chat(require_e2ee=True) finds one"
        )
    if ":" in model:
        raise InvalidRequestError(
            f"model={model!r} has a feature suffix, which overrides the request; with e2ee leave it out: "
            f"{model.partition(':')[0]!r}"
        )


def _knows(value: Mapping[str, Any], known: type) -> bool:
    """Whether what an object says is said in fields that are known, whose values are few."""
    return not any(_says_something(each) for name, each in value.items() if name not in known.__annotations__)


_UNKNOWN = "part of it is not known here, and would travel in clear"
_ALLOWED: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "tool_choice": (lambda value: value == "none", _REFUSED["tools"]),
    "response_format": (
        lambda value: value == {"type": "text"},
        "a schema and its descriptions are not encrypted; describe the format in the prompt, as parse(...) does",
    ),
    "include": (lambda value: not value, "what it names is not known here, and would travel, or come back, in clear"),
    "reasoning": (lambda value: _knows(value, Reasoning), _UNKNOWN),
    "stream_options": (lambda value: _knows(value, StreamSwitches), _UNKNOWN),
    "text": (
        lambda value: not value.keys() - {"verbosity"},
        "all but its verbosity says something of the conversation, and is not encrypted",
    ),
}
"""Fields of which some values say nothing of the conversation: which, and why the others are refused."""


def _check_field(name: str, value: Any) -> None:
    if name in _REFUSED:
        if value:
            raise _refusal(name, _REFUSED[name])
    elif name in _ALLOWED:
        harmless, reason = _ALLOWED[name]
        if not harmless(value):
            raise _refusal(name, reason)
    elif name not in ChatParams.__annotations__ and _says_something(value):
        raise _refusal(name, "it is not known here, and would travel in clear")


def _check_switches(switches: Mapping[str, Any]) -> None:
    if not (switches.get("enable_e2ee") is None or switches["enable_e2ee"] is True):
        raise InvalidRequestError(
            "venice_parameters.enable_e2ee=False contradicts e2ee: it would have the answer in clear; leave one of them out"
        )
    if not (switches.get("enable_web_search") is None or switches["enable_web_search"] == "off"):
        raise _refusal("venice_parameters.enable_web_search", "what is looked up leaves the enclave")
    for name, value in switches.items():
        if name in _REFUSED_SWITCHES and value:
            raise _refusal(f"venice_parameters.{name}", _REFUSED_SWITCHES[name])
        if name not in VeniceSwitches.__annotations__ and _says_something(value):
            raise _refusal(f"venice_parameters.{name}", "it is not known here, and would travel in clear")


def _check_message(path: str, message: Mapping[str, Any]) -> None:
    for name, value in message.items():
        if name not in {"role", "content"} and value not in (None, "", [], {}):
            raise _refusal(f"{path}.{name}", "of a message only the content is encrypted; leave the rest out")
    content = message.get("content")
    if isinstance(content, list):
        kinds: list[Any] = [part["type"] for part in cast("list[dict[str, Any]]", content)]
        if other := [kind for kind in kinds if kind != "text"]:
            raise _refusal(f"{path}.content", f"a part of it is {other[0]!r}, and only text is encrypted")
    try:
        (content_text(cast("object", content)) or "").encode()
    except UnicodeEncodeError:
        raise _refusal(f"{path}.content", "it holds half of a surrogate pair, which is no character") from None


def _says_something(value: Any) -> bool:
    return not (value is None or isinstance(value, (bool, int, float)))


def _refusal(path: str, why: str) -> InvalidRequestError:
    """The error names the place alone: what stands there may be part of the conversation."""
    return InvalidRequestError(f"{path} is not allowed with e2ee: {why}. Nothing was sent.")
