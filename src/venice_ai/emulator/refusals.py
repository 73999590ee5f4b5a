"""Venice's error responses: the body for each status, and the format of each kind of error.

Shapes and texts: Venice's error reference (https://docs.venice.ai/api-reference/error-codes).
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any, NamedTuple

from .sending import Answer, encode_json, json_answer

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


class Issue(NamedTuple):
    path: tuple[str | int, ...]
    message: str
    code: str = "custom"
    keys: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        keys = {"keys": list(self.keys)} if self.keys else {}
        return {"code": self.code, **keys, "path": list(self.path), "message": self.message}


def body_for(status: int) -> dict[str, Any]:
    code = {"code": "PAYLOAD_TOO_LARGE"} if status == 413 else {}
    return {"error": MESSAGES.get(status, "Unknown error"), **code}


def refused(status: int, error: str | None = None, *, headers: Mapping[str, str] | None = None, **members: Any) -> Answer:
    """A refusal in the common shape, `{"error": text}`."""
    return json_answer(status, {**body_for(status), **({"error": error} if error else {}), **members}, headers)


def invalid(issues: Iterable[Issue]) -> Answer:
    """400 with every reason, as a tree by field and as a list."""
    found = list(issues)
    details: dict[str, Any] = {"_errors": []}
    for issue in found:
        node = details
        for step in issue.path:
            node = node.setdefault(str(step), {"_errors": []})
        node["_errors"].append(issue.message)
    return json_answer(400, {"error": MESSAGES[400], "details": details, "issues": [issue.json() for issue in found]})


def rejected(reason: str, request_id: str) -> Answer:
    return json_answer(400, {"error": reason, "request_id": request_id})


def too_long(prompt_tokens: int, context_tokens: int) -> Answer:
    message = f"This model's maximum context length is {context_tokens} tokens, but your messages have {prompt_tokens} tokens."
    error = {"message": message, "type": "invalid_request_error", "param": "messages", "code": "context_length_exceeded"}
    return json_answer(400, {"error": error})


def no_key(url: str) -> Answer:
    """402: without credentials Venice says how to pay, or where to get a key (https://www.x402.org)."""
    content = json.loads(files("venice_ai.emulator").joinpath("payment_required.json").read_bytes())
    content["resource"] = {"url": url, **content["resource"]}
    return json_answer(402, content, {"payment-required": base64.b64encode(encode_json(content)).decode()})
