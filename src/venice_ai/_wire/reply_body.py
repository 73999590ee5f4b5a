"""The bytes of a reply become a completion, a JSON object or a chunk; or the error that the reply stands for.

Errors are returned (see `reply_errors`), and none is raised within an `except`: the decoder's error would carry the body.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..exceptions import APIError, reported, without_errors
from ..types._base import Model
from ..types.api.chat import ChatCompletionResponse
from ..types.api.streaming import ChatCompletionChunk
from ..types.response_meta import ResponseMeta
from .json_text import json_in
from .reply_errors import no_object, reported_error, unusable


def completion(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> ChatCompletionResponse | APIError:
    """The completion in a successful reply; or the error that the body is or holds, with what came beside it as `partial`."""
    if (data := json_in(body)).__class__ is not dict:
        return no_object(data, body, meta, secret)
    suspect = may_report(body, data)  # nearly none is
    error = reported_error(data, meta, secret) if suspect and reported(data) is not None else None
    if suspect and error is None and not ("choices" in data or "usage" in data or "id" in data):
        return unusable(body, meta, "JSON that is no completion", secret)
    if error is not None and not data.get("choices"):
        return error
    response = ChatCompletionResponse._adopt(data if error is None else without_errors(data))  # noqa: SLF001  # the JSON is ours
    attach(response, meta)
    if error is None:
        return response
    error.partial = response
    if any(map(_brings_content, response.get("choices") or ())):
        error.counts_as = meta.status_code  # it was paid for, and is not asked for again
    return error


def may_report(text: bytes, reply: Mapping[str, Any]) -> bool:
    """Whether it is worth looking for an error in a reply or event, whose JSON text this is. Nearly none is."""
    return b'"error' in text or "choices" not in reply


def _brings_content(choice: Any) -> bool:
    """Whether a choice holds more than a role."""
    message = choice.get("message") if isinstance(choice, Model) else None
    return isinstance(message, Model) and any(value for name, value in vars(message).items() if name != "role")


def attach(response: ChatCompletionResponse, meta: ResponseMeta) -> None:
    identity = response.__dict__.get("id")
    meta.body_id = identity if isinstance(identity, str) else None
    response._meta = meta  # noqa: SLF001  # set where a response is made, read-only for users


def json_object(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> dict[str, Any] | APIError:
    """The JSON object in a successful reply that is no chat's; or the error that it holds instead, or for what is no object."""
    if (data := json_in(body)).__class__ is not dict:
        return no_object(data, body, meta, secret)
    return reported_error(data, meta, secret) if data.get("error") and not data.get("choices") else data


def chunk(found: Any, event: bytes | None = None) -> ChatCompletionChunk | dict[str, Any] | None:
    """The chunk in an event's JSON; the object itself if it reports an error; None if neither; a ValueError for no object."""
    if not isinstance(found, dict):
        raise ValueError("an event is not a JSON object")  # noqa: TRY004  # what the server sent, not what a caller passed
    data = cast("dict[str, Any]", found)
    if event is None or may_report(event, data):
        if reported(data) is not None:
            return data
        if all(data.get(name) is None for name in ("choices", "usage", "cost", "venice_parameters")):
            return None
    return ChatCompletionChunk._adopt(data)  # noqa: SLF001  # the JSON is ours to give away
