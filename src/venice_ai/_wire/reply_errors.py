"""The error that a reply stands for: a refusal, an error within a reply of status 200, or a body that is no answer.

They are returned, not raised, and hold no key: a traceback's frames would show the body, in which a server may repeat it.
"""

from __future__ import annotations

import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from .._core.secrets import without
from ..exceptions import APIError, APIResponseProcessingError, RateLimitError, error_for, reported
from ..types.rate_limits import FAILURE_BLOCK_SECONDS, wait_seconds
from .json_text import NOT_JSON, json_in

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse
    from ..types.response_meta import ResponseMeta


def refusal(body: bytes, meta: ResponseMeta, *, secret: bytes = b"") -> APIError:
    """The error that an unsuccessful reply stands for. A server may repeat the key that it refuses; it is taken out."""
    status, headers = meta.status_code, meta.headers
    content = json_in(body)
    content = without(body.decode("utf-8", "replace") if content is NOT_JSON else content, secret)
    wait = wait_seconds(status, headers, meta.received_at)
    error = error_for(status, headers, content, meta=meta, retry_after_seconds=wait)
    if isinstance(error, RateLimitError) and error.kind == "failures":
        error.retry_after_seconds = max(wait or 0.0, FAILURE_BLOCK_SECONDS)
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
    """How many seconds the server asks to wait in an error inside a reply."""
    part: Any = reported(content) or content
    for holder in (part.get("error"), part):
        given = cast("dict[str, Any]", holder).get("retry_after") if isinstance(holder, dict) else None
        with suppress(TypeError, ValueError):
            seconds = math.nan if given is None or isinstance(given, bool) else float(given)
            if 0 < seconds < math.inf:
                return seconds
    return None


def stream_error(content: Any, meta: ResponseMeta, partial: ChatCompletionResponse, secret: bytes = b"") -> APIError:
    """The error that an event of a stream stands for: JSON, or the text of one that the server called an error."""
    body = cast("dict[str, Any]", content) if isinstance(content, dict) else {"error": content}
    return reported_error(body, meta, secret, partial)


def unusable(body: bytes, meta: ResponseMeta, what: str, secret: bytes = b"") -> APIResponseProcessingError:
    """The error for a successful status without an answer."""
    text: str = without(body.decode("utf-8", "replace"), secret)
    start = text.lstrip()[:1]
    shown = "an empty body" if not start else "an HTML page" if start == "<" else what
    error = APIResponseProcessingError(
        f"Venice answered {meta.status_code} with {shown} instead of an answer. {APIResponseProcessingError.remedy}",
        status_code=meta.status_code,
        request_id=meta.request_id,
        body=text,
        meta=meta,
    )
    error.request_id = without(error.request_id, secret)
    return error


def no_object(found: Any, body: bytes, meta: ResponseMeta, secret: bytes) -> APIError:
    return unusable(body, meta, "a body that is not JSON" if found is NOT_JSON else "JSON that is no object", secret)
