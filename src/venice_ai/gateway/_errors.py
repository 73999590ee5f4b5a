"""The reply that an error becomes: a status, and a body in OpenAI's shape, `{"error": {"message", "type", "param", "code"}}`.

What Venice says beside its `error`, such as `issues` and `details`, stays beside it.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

from .. import exceptions
from .._core.json_values import members

if TYPE_CHECKING:
    from ..types.attestation import AttestationReport
    from ..types.response_meta import ResponseMeta

_STATUSES: Final[tuple[tuple[tuple[type[Exception], ...], int], ...]] = (
    ((exceptions.BudgetExceededError,), 402),
    ((exceptions.NotFoundError, exceptions.NoMatchingModelError), 404),
    ((exceptions.AuthenticationError,), 401),
    ((exceptions.InvalidRequestError,), 400),
    ((exceptions.RateLimitError,), 429),
    ((exceptions.ServiceUnavailableError,), 503),
    ((exceptions.APITimeoutError,), 504),
    ((exceptions.APIError, exceptions.TeeError), 502),
    ((ImportError,), 501),
)
"""For errors without a status of their own; the first that fits."""
_TYPES: Final = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_PASSED_ON: Final = ("x-ratelimit-", "x-venice-model-")


def status_of(error: Exception) -> int:
    own = getattr(error, "counts_as", None) or getattr(error, "status_code", None) or 0
    if 400 <= own <= 599 and own != 407:  # 407 is for whoever set the proxy, not for a program
        return int(own)
    return next((status for kinds, status in _STATUSES if isinstance(error, kinds)), 500)


def body_of(error: Exception) -> dict[str, Any]:
    status, body = status_of(error), getattr(error, "body", None)
    beside = dict(members(body))
    own = beside.pop("error", None)
    own = {"message": own} if isinstance(own, str) and own else members(own)
    found: dict[str, Any] = {
        "message": str(error),
        "type": _TYPES.get(status, "invalid_request_error" if status < 500 else "api_error"),
        "param": None,
        "code": getattr(error, "code", None),
    }
    found |= {name: each for name, each in own.items() if each is not None}
    if (report := getattr(error, "report", None)) is not None:
        beside["report"] = report.to_dict()
    return {"error": found, **beside}


def headers_of(error: Exception) -> dict[str, str]:
    headers = reply_headers(getattr(error, "meta", None))
    if seconds := getattr(error, "retry_after_seconds", None):
        headers["Retry-After"] = str(ceil(seconds))
    if isinstance(error, exceptions.TeeError):
        headers["x-should-retry"] = "false"  # OpenAI's clients heed it; few attestations may be asked for
    return headers


def reply_headers(meta: ResponseMeta | None, attestation: AttestationReport | None = None) -> dict[str, str]:
    """The headers of Venice's reply that are passed on, and those that name the enclave's attestation."""
    headers: dict[str, str] = {}
    if meta is not None:
        headers = {name: value for name, value in meta.headers.items() if name.startswith(_PASSED_ON) and value.isprintable()}
        if meta.request_id and meta.request_id.isprintable():
            headers["x-request-id"] = meta.request_id
    if attestation is not None:
        headers["x-venice-attestation-level"] = str(attestation.level)
        headers["x-venice-attestation-id"] = attestation.nonce
    return headers
