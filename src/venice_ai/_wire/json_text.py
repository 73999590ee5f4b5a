"""The JSON in the bytes of a reply, read strictly where it can be, and leniently where a server does not; and written again."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import msgspec

strict_decode = msgspec.json.Decoder().decode
NOT_STRICT = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # of `strict_decode`; `decode` may still read it
NOT_JSON = object()
_encode = msgspec.json.Encoder(enc_hook=vars).encode


def json_in(body: bytes) -> Any:
    """The JSON in a body, after which some servers say that a stream is done; `NOT_JSON` if it is not JSON."""
    try:
        return strict_decode(body)  # nearly always
    except NOT_STRICT:
        for text in (body, body.rstrip().removesuffix(b"[DONE]").rstrip().removesuffix(b"data:")):
            with suppress(ValueError):
                return decode(text)
    return NOT_JSON


def decode(data: bytes) -> Any:
    """The JSON in some bytes, or a ValueError. Lone surrogates, NaN and stray bytes, which strict readers refuse, are read."""
    try:
        return strict_decode(data)
    except NOT_STRICT:
        try:
            return json.loads(data.decode("utf-8-sig", "replace"), strict=False)
        except RecursionError as error:
            raise ValueError("nested too deeply") from error


def encode(content: Any) -> bytes:
    """JSON, in which objects of our types are those of their fields; lone surrogates, which UTF-8 cannot hold, are escapes."""
    try:
        return _encode(content)
    except UnicodeEncodeError:
        return json.dumps(content, separators=(",", ":"), default=vars).encode()
