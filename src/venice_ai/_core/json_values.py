"""Reads JSON of unknown shape: as an object, as an array, or without a secret."""

from __future__ import annotations

from typing import Any, Final, cast

_LEAST_SECRET: Final = 8  # characters; a shorter key is a word such as "any", and stands in many messages


def members(value: object) -> dict[str, Any]:
    """The members of an object; an empty mapping for anything else."""
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def items(value: object) -> list[Any]:
    """The items of an array; an empty list for anything else."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def without(value: Any, secret: bytes) -> Any:
    """The same bytes, text or JSON value, in which `***` stands for a secret of eight characters or more.

    A server may repeat the key in any part of a reply. Take it out before a text is shortened: half a key would not be found.
    """
    return _without(value, secret, secret.decode("utf-8", "replace")) if len(secret) >= _LEAST_SECRET else value


def _without(value: Any, secret: bytes, text: str) -> Any:
    if isinstance(value, str):
        return value.replace(text, "***")
    if isinstance(value, bytes):
        return value.replace(secret, b"***")
    if isinstance(value, dict):
        members = cast("dict[Any, Any]", value).items()
        return {_without(name, secret, text): _without(inner, secret, text) for name, inner in members}
    return [_without(inner, secret, text) for inner in cast("list[Any]", value)] if isinstance(value, list) else value
