"""What came of a request, as the record that a journal keeps, and back; and which failures are for good."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from .. import exceptions
from ..exceptions import APIError, OutputError, VeniceError
from ..types._base import plain
from ..types.api.chat import ChatCompletionResponse

_OF_THE_ACCOUNT = exceptions.AuthenticationError, exceptions.PaymentRequiredError, exceptions.PermissionDeniedError
_FIELDS = "status_code", "code", "request_id"
_as_json = msgspec.json.Encoder(enc_hook=vars).encode  # what is in a response are JSON and objects of ours


def is_for_good(error: BaseException, attempts: int) -> bool:
    """Whether a request is set aside after this failure.

    It is not where the request was not to blame: it was never sent, or the account may not send it.
    """
    if isinstance(error, _OF_THE_ACCOUNT) or not isinstance(error, Exception) or getattr(error, "unsent", False):
        return False
    return attempts > 0 or isinstance(error, (ValueError, TypeError))


def record(response: ChatCompletionResponse | None, error: BaseException | None) -> bytes:
    """What came, as JSON."""
    kept: dict[str, Any] = {}
    if isinstance(error, OutputError):
        response = error.response
    if response is not None:
        kept["response"] = response
    if error is not None:
        fields = {name: getattr(error, name, None) for name in _FIELDS}
        kept["error"] = {"type": type(error).__name__, "message": str(error), **fields}
    try:
        return _as_json(kept)
    except (TypeError, ValueError):  # half of a surrogate pair
        return json.dumps(plain(kept), default=str).encode()


def error_in(kept: dict[str, Any]) -> VeniceError:
    """The error in a record: of its own class where that is one that a message and a status make."""
    told: dict[str, Any] = kept["error"]
    kind = getattr(exceptions, told["type"], None)
    if isinstance(kind, type) and issubclass(kind, APIError):
        return kind(told["message"], **{name: told[name] for name in _FIELDS})
    if isinstance(kind, type) and issubclass(kind, VeniceError) and not issubclass(kind, OutputError):
        return kind(told["message"])
    return VeniceError(f"{told['type']}: {told['message']}")
