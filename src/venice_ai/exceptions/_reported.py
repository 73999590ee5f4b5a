"""Which error a reply stands for: by its status, or by what a 200 reply or an event of a stream reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ..types.limits import RateLimitKind
from . import _tree as errors

_BY_STATUS: dict[int, type[errors.APIError]] = {
    400: errors.InvalidRequestError,
    401: errors.AuthenticationError,
    402: errors.PaymentRequiredError,
    403: errors.PermissionDeniedError,
    404: errors.NotFoundError,
    409: errors.ConflictError,
    410: errors.ModelGoneError,
    413: errors.PayloadTooLargeError,
    415: errors.UnsupportedMediaTypeError,
    422: errors.UnprocessableEntityError,
    429: errors.RateLimitError,
    503: errors.ServiceUnavailableError,
    504: errors.GatewayTimeoutError,
}

PROXY_ASKS_WHO = "The proxy wants to know who asks: proxy='http://user:password@host:port', here or in the *_PROXY variables."
_LONGEST_DETAIL = 1000  # characters of what a server says
# An error inside a 200 reply has no status of its own; its code, or its type where it has no code, tells which it counts as.
_CODES_BY_STATUS = {
    400: "bad_request invalid_request invalid_request_error invalid_model context_length_exceeded too_many_tokens",
    401: "authentication_failed authentication_failed_inactive_key authentication_error invalid_api_key pro_only_model",
    402: "insufficient_balance insufficient_quota payment_required billing_error",
    403: "unauthorized permission_denied permission_error api_access_disabled",
    404: "model_not_found character_not_found not_found not_found_error",
    413: "payload_too_large request_too_large",
    422: "content_policy_violation content_blocked_by_provider content_filter content_filter_error provider_content_policy",
    429: "rate_limit rate_limited rate_limit_exceeded rate_limit_error too_many_requests x402_concurrency_limit",
    500: "server_error internal_error internal_server_error api_error inference_failed unknown_error",
    502: "upstream_error bad_gateway provider_error",
    503: "model_overloaded overloaded overloaded_error engine_overloaded model_offline model_at_capacity service_unavailable",
    504: "request_timeout gateway_timeout timeout timeout_error",
}
_STATUS_BY_CODE = {code: status for status, codes in _CODES_BY_STATUS.items() for code in codes.split()}


def reported(reply: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The part of a 200 reply, or of an event of a stream, that reports an error: the whole, a choice or a delta; else None."""
    if reply.get("type") == "error" or reply.get("object") == "error" or _error_members(reply):
        return reply
    choices: Any = reply.get("choices")
    if "choices" not in reply:
        return reply if reply.get("message") or reply.get("detail") else None
    for choice in cast("list[Any]", choices) if isinstance(choices, list) else ():
        for part in (choice, _member(choice, "delta"), _member(choice, "message")):
            if _error_members(part):
                return cast("Mapping[str, Any]", part)
    return None


def without_errors(reply: Any) -> Any:
    """A reply or event without the members that report an error: what came beside it."""
    if not isinstance(reply, Mapping):
        return [without_errors(each) for each in cast("list[Any]", reply)] if isinstance(reply, list) else reply
    members = cast("Mapping[str, Any]", reply).items()
    others = ((name, value) for name, value in members if not name.startswith("error"))
    return {name: without_errors(value) if name in {"choices", "delta", "message"} else value for name, value in others}


def _error_members(part: Any) -> list[Any]:
    """The values of those members of a part that report an error."""
    members = cast("Mapping[str, Any]", part).items() if isinstance(part, Mapping) else ()
    return [value for name, value in members if name.startswith("error") and value]


def error_for(status: int, headers: Mapping[str, str], body: Any, **fields: Any) -> errors.APIError:
    """The error for an HTTP answer, or for one inside a stream (status 200), whose `headers` are looked up in lower case.

    What else it carries are `fields`: `meta`, `retry_after_seconds`, `partial`.
    """
    found = reported(cast("Any", body)) if status < 300 and isinstance(body, Mapping) else None
    part: Any = found or cast("Any", body)
    places = (_member(part, "error"), *_error_members(part), part)
    code = next(filter(None, (_text(_member(each, name)) for name in ("code", "error_code") for each in places)), None)
    name = code or _type(part)
    counts_as = status if status >= 300 else _status_of(name, status)
    # An unknown code is not tried again; the type still tells what kind of error it is.
    means = _status_of(_type(part), status) if counts_as < 300 else counts_as
    kind = _BY_STATUS.get(means, errors.InternalServerError if means >= 500 else errors.APIError)
    if counts_as == 402 and _member(part, "x402Version") is not None:
        kind = errors.AuthenticationError  # Venice's way to say that no credentials were sent
    elif counts_as == 503 and status < 300 and "overloaded" in (name or "").lower():
        kind = errors.ModelOverloadedError
    detail = _detail(part, headers).strip()
    detail = detail if len(detail) <= _LONGEST_DETAIL else f"{detail[:_LONGEST_DETAIL]} ..."  # `body` has it all
    remedy = "" if "/settings/api" in detail and "/settings/api" in kind.remedy else kind.remedy  # the server has said it
    if issubclass(kind, errors.RateLimitError) and (wait := fields.get("retry_after_seconds")):
        remedy = remedy.replace("Wait", f"Wait {round(wait, 3):,.12g} s")
    if status == 407:
        remedy = PROXY_ASKS_WHO
    request_id = headers.get("cf-ray") or _text(_member(body, "request_id"))
    where = f"{'the proxy' if status == 407 else 'Venice'} answered {status}" if status >= 300 else "Venice reported an error"
    reference = f" [request {request_id}]" if request_id else ""
    message = f"{where}: {detail}{'' if detail[-1:] in '.!?' else '.'}{' ' + remedy if remedy else ''}{reference}"
    if issubclass(kind, errors.RateLimitError):
        fields["kind"] = _rate_limit_kind(headers, detail.lower(), (code or "").lower())
    return kind(message, status_code=status, counts_as=counts_as, code=code, request_id=request_id, body=body, **fields)


def _status_of(code: str | None, otherwise: int) -> int:
    """The status that an error inside a 200 reply counts as, by its code; `otherwise` if that is not known."""
    name = (code or "").lower()
    if name.isdecimal() and 400 <= int(name[:9]) <= 599:  # some relays give the status they were told as the code
        return int(name)
    return _STATUS_BY_CODE.get(name, otherwise)


def _type(body: Any) -> str | None:
    types = (_text(_member(each, "type")) for each in (*_error_members(body), body))
    return next((name for name in types if name not in {None, "error"}), _text(_member(body, "error_type")))


def _rate_limit_kind(headers: Mapping[str, str], detail: str, code: str) -> RateLimitKind:
    limits = ("remaining", "remaining-requests", "remaining-tokens")
    failures, requests, tokens = (headers.get(f"x-ratelimit-{name}") == "0" for name in limits)
    kinds: dict[RateLimitKind, bool] = {
        "failures": failures or "too many failed" in detail,
        "overloaded": "overloaded" in detail or "overloaded" in code,
        "concurrency": "concurrency" in code,
        "requests": requests,
        "tokens": tokens,
        "unknown": True,
    }
    return next(kind for kind, met in kinds.items() if met)


def _member(body: Any, name: str) -> Any:
    return cast("Mapping[str, Any]", body).get(name) if isinstance(body, Mapping) else None


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value or None
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _detail(body: Any, headers: Mapping[str, str]) -> str:
    if isinstance(body, str):
        text = body.strip()
        is_page = text and ("html" in headers.get("content-type", "") or text[0] == "<")
        return "an HTML page, not JSON" if is_page else text[:200] or "an empty body"
    places = (_member(body, "error"), _member(body, "error_message"), body, *_error_members(body))
    message = next(filter(None, map(_message, places)), "no reason was given")
    with_paths = [f"{path}: {text}" if path else text for path, text in _reasons(body) if text]
    reasons = list(dict.fromkeys(reason for reason in with_paths if reason not in message))[:10]
    return f"{message} ({'; '.join(reasons)})" if reasons else message


def _message(error: Any) -> str | None:
    if isinstance(error, list):
        return "; ".join(filter(None, map(_message, cast("list[Any]", error)))) or None
    return _text(error) or _text(_member(error, "message")) or _text(_member(error, "detail"))


def _reasons(body: Any) -> Iterator[tuple[str, str | None]]:
    issues, details = _member(body, "issues"), _member(body, "details")
    for issue in cast("list[Any]", issues) if isinstance(issues, list) else []:
        path = _member(issue, "path")
        yield ".".join(map(str, cast("list[Any]", path))) if isinstance(path, list) else "", _text(_member(issue, "message"))
    if isinstance(details, str):
        yield "", details
    elif not issues:
        yield from _tree(details, "")


def _tree(node: Any, path: str) -> Iterator[tuple[str, str | None]]:
    """Reasons in a nested `{"field": {"_errors": [...]}}`."""
    for name, value in cast("Mapping[str, Any]", node).items() if isinstance(node, Mapping) else ():
        if name == "_errors" and isinstance(value, list):
            yield from ((path, _text(text)) for text in cast("list[Any]", value))
        else:
            yield from _tree(value, f"{path}.{name}" if path else name)
