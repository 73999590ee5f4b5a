"""Strict and canonical JSON: read without duplicate keys and lone surrogates, written as RFC 8785 (JCS) for hashing.

Only what occurs in signed documents is written: objects, lists, strings, whole numbers that every reader keeps exact, booleans
and null. A fraction is refused, so that the rules of JavaScript for printing floats need not be repeated here.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any, NoReturn, cast

import msgspec

from .checks import fail_if

_LARGEST = 2**53 - 1
_MOST_VALUES = 50_000
"""The longest attestation that was seen has a thousand; a parser in C lets no other thread run until it is done."""
_ESCAPES_A_VALUE = 10  # so many escaped characters cost the parser as much time as one value
_MAY_BE_HALF = ("\\ud", "\\uD")  # a pair of them is a character


def parse(text: str | bytes) -> Any:
    """The value of a JSON text; a ValueError if it holds too much, NaN, Infinity, half of a surrogate pair, or a key twice."""
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        if sum(map(text.count, ",[{")) + text.count("\\") // _ESCAPES_A_VALUE > _MOST_VALUES:
            raise ValueError(f"the JSON holds more than {_MOST_VALUES} values, or very many escapes")
        found = json.loads(text, object_pairs_hook=each_key_once, parse_constant=_constant)
        if any(half in text for half in _MAY_BE_HALF):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return found


def shaped(value: Any, kind: Any, what: str) -> Any:
    """The value as a type that msgspec knows; a ValueError, in which `what` it is stands, if it has another shape."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ValueError(f"{what} does not have the shape that it must have: {error}") from None


def as_object(value: Any, what: str) -> dict[str, Any]:
    """The value as an object, where it must be one; `what` it is stands in the error."""
    fail_if(not isinstance(value, dict), f"{what} is not a JSON object")
    return cast("dict[str, Any]", value)


def from_hex(text: str, what: str) -> bytes:
    """The bytes of hex digits; `what` they are stands in the error."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"{what} is not hex") from None


def members_of(text: str) -> dict[str, str]:
    """The members of the object in a JSON text, each exactly as it is written there: what was signed must not be rewritten."""
    parse(text)  # refuses what has two readings
    return {name: bytes(member).decode() for name, member in msgspec.json.decode(text, type=dict[str, msgspec.Raw]).items()}


def canonical(value: Any) -> bytes:
    """A value as RFC 8785 writes it."""
    try:
        return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":")).encode()
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None


def each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """For `object_pairs_hook`: a ValueError for an object with two readings."""
    found = dict(pairs)
    if len(found) != len(pairs):
        doubled = next(iter(Counter(name for name, _ in pairs) - Counter(found.keys())))
        raise ValueError(f"an object has the key {doubled!r:.100} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _ordered(value: Any) -> Any:
    """The same value with the members of its objects in the order of RFC 8785: by the UTF-16 code units of their names."""
    if isinstance(value, dict):
        found = cast("dict[Any, Any]", value)
        fail_if(not all(isinstance(name, str) for name in found), "the key of an object is not a string")
        return {name: _ordered(found[name]) for name in sorted(found, key=lambda name: name.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_ordered(each) for each in cast("list[Any]", value)]
    if value is None or isinstance(value, (str, bool)) or (isinstance(value, int) and abs(value) <= _LARGEST):
        return value
    raise ValueError(f"a {type(value).__name__} has no canonical form here")
