"""When two requests of a batch are the same: by the id that the caller gave, else by the body that would be sent.

The body is the JSON of what was asked for, with sorted keys and without what is None; how it is sent (time limits, headers,
hooks) is not part of it. In an encrypted journal its hash takes a key, because whoever can guess a short prompt knows its hash.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

import msgspec

from ..exceptions import InvalidArgumentError, InvalidRequestError
from ..tee.sealing import hashed
from ..types._base import plain

_HOW: Final = frozenset(
    {"timeout", "extra_headers", "fallback_models", "e2ee", "max_reasks", "deps", "parallel", "tool_timeout", "sealed_tools"}
    | {"on_tool_call", "on_tool_error", "approve"}
)


class Identity(NamedTuple):
    """The hashes by which a journal finds a request again, with its id and its body."""

    key: bytes  # the hash of its id, or of its body if it has none
    digest: bytes  # the hash of its body
    custom_id: str | None
    body: bytes  # as canonical JSON


def split(request: object) -> tuple[str | None, dict[str, Any]]:
    """The id and the keywords of a request; an InvalidArgumentError if it is not a request of a batch."""
    if not isinstance(request, Mapping):
        raise InvalidArgumentError(f"a request of a batch is a mapping of keywords, not {type(request).__name__}")
    keywords = dict(cast("Mapping[str, Any]", request))
    if missing := [name for name in ("model", "messages") if name not in keywords]:
        raise InvalidArgumentError(f"a request of a batch has no {missing[0]!r}")
    if (text := keywords.get("messages")) and isinstance(text, str):  # the same as the message that it is
        keywords["messages"] = [{"role": "user", "content": text}]
    custom_id: object = keywords.pop("custom_id", None)
    if custom_id is not None and not (isinstance(custom_id, str) and custom_id):
        raise InvalidArgumentError(f"custom_id={custom_id!r:.100} must be a text that is not empty")
    if keywords.get("stream"):
        raise InvalidArgumentError("a batch cannot stream; call stream(...) for this request")
    return custom_id, keywords


def as_it_is(request: Any) -> Any:
    """A request as it is now, whatever the caller does with its dicts and lists later."""
    if type(request) is dict:
        return {name: as_it_is(value) for name, value in cast("dict[str, Any]", request).items()}
    return [*map(as_it_is, cast("list[Any]", request))] if type(request) is list else request


def identity(custom_id: str | None, keywords: Mapping[str, Any], secret: bytes = b"") -> Identity:
    """The identity of a request; with a secret, its hashes tell nothing to whoever does not have it."""
    body = canonical(keywords)
    digest = hashed(b"body", body, secret)
    key = digest if custom_id is None else hashed(b"id", custom_id.encode("utf-8", "surrogatepass"), secret)
    return Identity(key, digest, custom_id, body)


def canonical(keywords: Mapping[str, Any]) -> bytes:
    """The body of a request as JSON that is the same however it was written down; an InvalidRequestError if it is not JSON."""
    asked = {name: value for name, value in keywords.items() if value is not None and name not in _HOW}
    asked |= asked.pop("extra_body") if isinstance(asked.get("extra_body"), Mapping) else {}  # else it will be refused
    try:
        with suppress(UnicodeEncodeError):  # half of a surrogate pair
            return _sorted_json(asked)
        return json.dumps(plain(asked), sort_keys=True, separators=(",", ":"), default=_plain).encode()
    except (TypeError, ValueError, RecursionError, OverflowError) as error:
        raise InvalidRequestError(f"the request cannot be written as JSON: {error}") from None


def differences(before: Mapping[str, Any], now: bytes) -> str:
    """Which fields of two bodies differ, with the values of those that are short and no conversation."""
    new: dict[str, Any] = json.loads(now)
    names = sorted(name for name in before.keys() | new.keys() if before.get(name) != new.get(name))
    changes = {name: f"{name} was {before.get(name)!r}, is {new.get(name)!r}" for name in names if name != "messages"}
    return ", ".join(changes[name] if len(changes.get(name, "")) in range(1, 120) else name for name in names)


def _plain(value: Any) -> Any:
    """A value that is not JSON as one that is: of objects of ours and of pydantic their fields, of a class its schema."""
    if (found := plain(value)) is not value:
        return found
    from .._structured.strict_schema import requested_format  # needs pydantic, which a chat does not

    return requested_format(value)[0]


_sorted_json: Final = msgspec.json.Encoder(enc_hook=_plain, order="sorted", decimal_format="number").encode
