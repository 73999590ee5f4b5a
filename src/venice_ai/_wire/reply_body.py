"""The bytes of a reply become a completion or a JSON object; or the error that the reply stands for.

Errors are returned, not raised, and hold no key: a traceback's frames would show the body, in which a server may repeat it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from .._core.json_values import without
from ..exceptions import APIError, APIResponseProcessingError, RateLimitError
from ..exceptions._reported import error_for, reported, without_errors
from ..types._base import Model
from ..types._view import adopted
from ..types.api.chat import ChatCompletionResponse
from ..types.rate_limits import FAILURE_BLOCK_SECONDS, MAX_RESET_SECONDS, wait_seconds
from ..types.response_meta import ResponseMeta
from .json_text import NOT_JSON, json_in


def completion(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> ChatCompletionResponse | APIError:
    """The completion in a successful reply; or the error that the body is or holds, with what came beside it as `partial`."""
    if (data := json_in(body)).__class__ is not dict:
        return unusable(body, meta, secret)
    suspect = may_report(body, data)  # nearly none is
    error = reported_error(data, meta, secret) if suspect and reported(data) is not None else None
    if suspect and error is None and not ("choices" in data or "usage" in data or "id" in data):
        return unusable(body, meta, secret, "JSON that is not a completion")
    if error is not None and not data.get("choices"):
        return error
    content = data if error is None else without(without_errors(data), secret)
    response: ChatCompletionResponse | Any = adopted(ChatCompletionResponse, content)
    attach(response, meta, secret)
    if error is None:
        return response
    error.partial = response
    if any(map(_brings_content, response.get("choices") or ())):
        error.counts_as = meta.status_code  # it was paid for, and is not asked for again
    return error


def may_report(text: bytes, reply: Mapping[str, Any]) -> bool:
    """Whether it is worth looking for an error in a reply or event, whose JSON text this is. Nearly none is."""
    return text.find(b'"error') >= 0 or "choices" not in reply


def _brings_content(choice: Any) -> bool:
    """Whether a choice holds more than a role."""
    message = choice.get("message") if isinstance(choice, Model) else None
    return isinstance(message, Model) and any(value for name, value in vars(message).items() if name != "role")


def attach(response: ChatCompletionResponse, meta: ResponseMeta, secret: bytes) -> None:
    identity = response.__dict__.get("id")
    meta.body_id = without(identity, secret) if isinstance(identity, str) else None  # errors show it
    response._meta = meta  # noqa: SLF001  # set where a response is made, read-only for users


def json_object(body: bytes, meta: ResponseMeta, secret: bytes = b"") -> dict[str, Any] | APIError:
    """The JSON object in a successful reply that is not a chat's; or the error that it holds, or for what else it is."""
    if (data := json_in(body)).__class__ is not dict:
        return unusable(body, meta, secret)
    return reported_error(data, meta, secret) if data.get("error") and not data.get("choices") else data


# -- the error that a reply stands for ---------------------------------------------------------------------------------------


def refusal(body: bytes, meta: ResponseMeta, *, secret: bytes = b"") -> APIError:
    """The error that an unsuccessful reply stands for. A server may repeat the key that it refuses; it is taken out."""
    status, headers = meta.status_code, meta.headers
    content = json_in(body)
    content = without(body.decode("utf-8", "replace") if content is NOT_JSON else content, secret)
    wait = wait_seconds(status, headers, meta.received_at)
    error = error_for(status, headers, content, meta=meta, retry_after_seconds=wait)
    if isinstance(error, RateLimitError) and error.kind == "failures":
        error.retry_after_seconds = max(wait or FAILURE_BLOCK_SECONDS, FAILURE_BLOCK_SECONDS)
    if 300 <= status < 400:
        location = headers.get("location", "nowhere")
        error.args = (f"Venice answered {status}, a redirect to {location!r}; redirects are not followed. Set base_url.",)
    return _shown(error, secret)


def _shown(error: APIError, secret: bytes) -> APIError:
    """An error whose words hold no secret: a header may repeat it, too."""
    error.args = tuple(without(list(error.args), secret))
    error.request_id = without(error.request_id, secret)
    return error


def reported_error(
    content: dict[str, Any], meta: ResponseMeta, secret: bytes, partial: ChatCompletionResponse | None = None
) -> APIError:
    """The error that a 200 reply, or an event of a stream, reports."""
    found = without(content, secret)
    wait = _wait(found)
    error = error_for(meta.status_code, meta.headers, found, meta=meta, retry_after_seconds=wait, partial=partial)
    if wait is None and error.counts_as is not None and error.counts_as >= 400:
        error.retry_after_seconds = wait_seconds(error.counts_as, meta.headers, meta.received_at)
    return _shown(error, secret)


def _wait(content: dict[str, Any]) -> float | None:
    part: Any = reported(content) or content
    for holder in (part.get("error"), part):
        given = cast("dict[str, Any]", holder).get("retry_after") if isinstance(holder, dict) else None
        with suppress(TypeError, ValueError):
            seconds = math.nan if given is None or isinstance(given, bool) else float(given)
            if 0 < seconds < math.inf:
                return min(seconds, MAX_RESET_SECONDS)
    return None


def unusable(body: bytes, meta: ResponseMeta, secret: bytes = b"", what: str = "") -> APIResponseProcessingError:
    """The error for a successful status without an answer; `what` came instead, if it is a JSON object."""
    text: str = without(body.decode("utf-8", "replace"), secret)
    start = text.lstrip()[:1]
    what = what or ("a body that is not JSON" if json_in(body) is NOT_JSON else "JSON that is not an object")
    shown = "an empty body" if not start else "an HTML page" if start == "<" else what
    return APIResponseProcessingError(
        f"Venice answered {meta.status_code} with {shown} instead of an answer. {APIResponseProcessingError.remedy}",
        status_code=meta.status_code,
        request_id=without(meta.request_id, secret),
        body=text,
        meta=meta,
    )
