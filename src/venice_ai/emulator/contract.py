"""Validates the body of a chat request as Venice does, before a model sees it, and makes Venice's error responses.

The wire refuses more than `types/api/params.py` says: unknown keys at the top, null where a value belongs, wrong URLs. Sources:
Venice's OpenAPI document, schema `ChatCompletionRequest`; https://docs.venice.ai/api-reference/error-codes.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from math import inf
from typing import Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET, Meta, UnsetType, defstruct
from typing_extensions import TypedDict

from venice_ai._core.json_values import items, members
from venice_ai._wire.invalid_values import learn, objection
from venice_ai.types._base import is_object
from venice_ai.types.api.params import ChatParams, Conversation, lacks_function, needed_capabilities

from .answer import IncomingChat
from .sending import HTTPReply, encode_json, json_reply

MAX_BODY_BYTES = 35 * 1024 * 1024
MAX_FILE_BYTES = 25 * 1024 * 1024
MAX_CHOICES = 128
MESSAGES = {
    400: "Invalid request parameters",
    401: "Authentication failed",
    402: "Insufficient USD or Diem balance to complete request. Visit https://venice.ai/settings/api to add credits.",
    403: "Unauthorized access",
    404: "Specified resource not found",
    405: "Method not allowed",
    409: "Conflict",
    410: "This model has been retired",
    413: "The request body exceeds the maximum allowed size of 35 MB.",
    415: "Invalid request content-type",
    422: "Your prompt violates the content policy of Venice.ai or the model provider",
    429: "The model is currently overloaded. Please try again later.",
    500: "Inference processing failed",
    502: "Bad gateway",
    503: "The model is at capacity. Please try again later.",
    504: "The request took too long to complete and was timed-out.",
}


class WireParams(TypedDict, total=False):
    """The fields of a request's body that `ChatParams` does not have, or has with another type."""

    model: str
    stream: bool
    max_tokens: int
    stop_token_ids: list[float]
    metadata: dict[str, str]
    anon_user_id: Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^((?!\|\|)[\x20-\x7e])+$")]


_details: dict[str, Any] = {**dict.fromkeys(("data", "format", "id", "text"), str), "index": float}
_Detail: Any = defstruct("_Detail", [("type", str), *((name, kind | UnsetType, UNSET) for name, kind in _details.items())])
_Reasoned: Any = defstruct("_Reasoned", [("reasoning_details", list[_Detail])])
_KINDS: dict[str, Any] = {
    **dict.fromkeys(ChatParams.__annotations__, ChatParams),
    **dict.fromkeys(WireParams.__annotations__, WireParams),
    "messages": Conversation,
}
# By what msgspec says: the first that is in it counts.
_CODES = {"contains unknown field": "unrecognized_keys", " >": "too_small", " <": "too_big", "Invalid": "invalid_enum_value"}
_KIND_NAMES = {"bool": "boolean", "str": "string", "list": "array", "NoneType": "null"}

learn(*_KINDS.values(), _Reasoned)


def issues(body: Any) -> Iterator[Issue]:
    """Everything that the contract finds wrong with a request's body; nothing if it is right."""
    if not is_object(body):
        yield Issue((), f"Expected object, received {_KIND_NAMES.get(body.__class__.__name__, 'number')}", "invalid_type")
        return
    if unknown := tuple(name for name in body if name not in _KINDS):
        named = ", ".join(f"'{name}'" for name in unknown)
        yield Issue((), f"Unrecognized key(s) in object: {named}", "unrecognized_keys", unknown)
    yield from (Issue((name,), "Required", "invalid_type") for name in ("model", "messages") if name not in body)
    for name, value in body.items():
        yield from _parameter_issues(name, value)


def _parameter_issues(name: str, value: Any) -> Iterator[Issue]:
    if name not in _KINDS or (value is None and name in {"stop", "tools"}):
        return
    if value is None:
        yield Issue((name,), "Expected a value, received null", "invalid_type")
    elif misfit := [*_misfit({name: value}, _KINDS[name])]:
        yield from misfit
    elif name == "tools":
        lacking = [index for index, tool in enumerate(value) if lacks_function(tool)]
        yield from (Issue(("tools", index, "function"), "Required", "invalid_type") for index in lacking)
    elif name == "messages":
        yield from _message_issues(value)


def _misfit(value: dict[str, Any], kind: Any, *path: str | int) -> Iterator[Issue]:
    """The issues that msgspec finds with the one parameter of `value`, which stands at a path."""
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        reason, place = objection(error)
        code = next((each for sign, each in _CODES.items() if sign in reason), "invalid_type")
        yield Issue((*path, *(place or value)), reason, code)


def _message_issues(messages: list[dict[str, Any]]) -> Iterator[Issue]:
    for index, message in enumerate(messages):
        for place, part in enumerate(items(message.get("content"))):
            kind = part.get("type", "")
            if not kind:
                yield Issue(("messages", index, "content", place, "type"), "Required", "invalid_type")
            if kind in {"image_url", "video_url"} and not _is_address(part[kind]["url"]):
                yield Issue(("messages", index, "content", place, kind, "url"), "Invalid url", "invalid_string")
        if message["role"] == "assistant" and "reasoning_details" in message:
            yield from _misfit({"reasoning_details": message["reasoning_details"]}, _Reasoned, "messages", index)


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.scheme and (parts.netloc or parts.path)) and not re.search(r"\s", url)


def refusal(request: IncomingChat, identity: str) -> HTTPReply | None:
    """Why a request that the contract allows is refused, by Venice or by its model's provider; None if it is not."""
    model = request.model
    if model.model_spec.offline:
        return refused(503, "The model is currently offline. Please try another model.")
    lacking = [(name, path) for name, path in needed_capabilities(request.body) if getattr(request.capabilities, name) is False]
    if lacking:
        problem = f"is not supported by model {model.id}"
        return invalid(Issue(path, f"{'.'.join(map(str, path))} {problem} ({name})") for name, path in lacking)
    parts = [part for message in request.messages for part in items(message.get("content")) if part.get("type") == "file"]
    if any(len(part["file"]["file_data"]) * 3 // 4 > MAX_FILE_BYTES for part in parts):
        return refused(413, "File exceeds the maximum allowed size of 25 MB.")
    # Which characters there are cannot be known here: every name that could be one is.
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", request.switches.get("character_slug", "venice")):
        return refused(404, "No character could be found from the provided character_slug")
    reason = _of_the_provider(request)
    return refused(400, reason, request_id=identity) if reason else None


def _of_the_provider(request: IncomingChat) -> str | None:
    body, effort, names = request.body, request.effort, [function["name"] for function in request.functions]
    longest, most = request.model.model_spec.maxCompletionTokens or inf, body.get("max_completion_tokens", 0)
    efforts = request.capabilities.reasoningEffortOptions or []
    choice: Any = body.get("tool_choice")
    named = members(members(choice).get("function")).get("name")
    reasons = {
        f"n is {request.choices}; at most {MAX_CHOICES} choices can be made": request.choices > MAX_CHOICES,
        f"max_completion_tokens is {most}, above this model's {longest}": most > longest,
        f"reasoning effort {effort!r} is not one of {', '.join(efforts)}": efforts and effort not in {None, *efforts, "none"},
        f"tool_choice names {named!r}, which is not among the tools": isinstance(choice, dict) and named not in names,
        "tool_choice is required, but there are no tools": choice == "required" and not names,
    }
    return next((reason for reason, wrong in reasons.items() if wrong), None)


class Issue(NamedTuple):
    path: tuple[str | int, ...]
    message: str
    code: str = "custom"
    keys: tuple[str, ...] = ()


def body_for(status: int) -> dict[str, Any]:
    return {"error": MESSAGES.get(status, "Unknown error"), **({"code": "PAYLOAD_TOO_LARGE"} if status == 413 else {})}


def refused(status: int, error: str | None = None, *, headers: Mapping[str, str] | None = None, **members: Any) -> HTTPReply:
    """A refusal in the common shape, `{"error": text}`."""
    return json_reply(status, {**body_for(status), **({"error": error} if error else {}), **members}, headers)


def invalid(issues: Iterable[Issue]) -> HTTPReply:
    """400 with every reason, as a tree by field and as a list."""
    listed: list[dict[str, Any]] = []
    details: dict[str, Any] = {"_errors": []}
    for issue in issues:
        keys = {"keys": list(issue.keys)} if issue.keys else {}
        listed.append({"code": issue.code, **keys, "path": list(issue.path), "message": issue.message})
        node = details
        for step in issue.path:
            node = node.setdefault(str(step), {"_errors": []})
        node["_errors"].append(issue.message)
    return json_reply(400, {"error": MESSAGES[400], "details": details, "issues": listed})


def too_long(prompt_tokens: int, context_tokens: int) -> HTTPReply:
    message = f"This model's maximum context length is {context_tokens} tokens, but your messages have {prompt_tokens} tokens."
    error = {"message": message, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
    return json_reply(400, {"error": error})


def no_key(url: str) -> HTTPReply:
    """402: without credentials Venice says how to pay, or where to get a key (https://www.x402.org)."""
    content = json.loads(files("venice_ai.emulator").joinpath("payment_required.json").read_bytes())
    content["resource"] = {"url": url, **content["resource"]}
    return json_reply(402, content, {"payment-required": base64.b64encode(encode_json(content)).decode()})
