"""JSON that means one thing: read without duplicate keys and half characters, written as RFC 8785 (JCS) has it for hashing.

Only what occurs in signed documents is written: objects, lists, strings, whole numbers that every reader keeps exact, booleans
and null. A fraction is refused, so that the rules of JavaScript for printing floats need not be repeated here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn, cast

_LARGEST = 2**53 - 1
_MAY_BE_HALF = re.compile(r"\\u[dD][89a-fA-F]")  # a pair of them is a character


class Malformed(ValueError):
    """JSON that does not have the shape it must have."""


def parse(text: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, it is nested too deeply, it holds NaN or Infinity, half of a surrogate pair (which no text
            can be written with), or an object has a key twice.
    """
    try:
        text = text if isinstance(text, str) else text.decode("utf-8-sig")
        found = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
        if _MAY_BE_HALF.search(text) is not None:
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None
    return found


def members_of(text: str) -> dict[str, str]:
    """The members of the object in a JSON text, each exactly as it is written there: what was signed must not be rewritten.

    Raises:
        ValueError: it is not JSON, not an object, nested too deeply, or it has a key twice.
    """
    try:
        return _members(text)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def canonical(value: Any) -> bytes:
    """A value as RFC 8785 writes it.

    Raises:
        ValueError: it holds what has no canonical form here: a fraction, a number beyond 2**53, half a character.
    """
    try:
        return _write(value).encode()
    except RecursionError:
        raise ValueError("the value is nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"an object has the key {next(name for name in names if names.count(name) > 1)!r} twice")
    return found


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_text = json.JSONEncoder(ensure_ascii=False).encode  # made once: `dumps` makes an encoder for each call


def _write(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return "null" if value is None else "true" if value else "false"
    if isinstance(value, int) and -_LARGEST <= value <= _LARGEST:
        return str(value)
    if isinstance(value, Mapping):
        members = cast("Mapping[Any, Any]", value).items()
        return "{" + ",".join(f"{_write(name)}:{_write(each)}" for name, each in sorted(members, key=_units)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_write, cast("list[Any]", value))) + "]"
    raise ValueError(f"a {type(value).__name__} has no canonical form here")


def _units(member: tuple[Any, Any]) -> bytes:
    """RFC 8785 sorts keys by their UTF-16 code units."""
    if not isinstance(member[0], str):
        raise Malformed(f"{member[0]!r} is not the key of a JSON object")
    return member[0].encode("utf-16-be")


_BLANKS = re.compile(r"[ \t\r\n]*")


def _members(text: str) -> dict[str, str]:
    decoder = json.JSONDecoder()
    found: dict[str, str] = {}
    at = _after(text, "{", 0)
    while text[at : at + 1] != "}" or found:
        name, at = decoder.raw_decode(text, at)
        start = _after(text, ":", at)
        _, at = decoder.raw_decode(text, start)
        if not isinstance(name, str) or name in found:
            raise ValueError(f"{name!r} is not a key, or one that is there twice")
        found[name] = text[start:at]
        at = _skip(text, at)
        if text[at : at + 1] != ",":
            break
        at = _after(text, ",", at)
    if _after(text, "}", at) != len(text):
        raise ValueError("something follows the object")
    return found


def _skip(text: str, at: int) -> int:
    return cast("re.Match[str]", _BLANKS.match(text, at)).end()


def _after(text: str, mark: str, at: int) -> int:
    """Where the next value begins, after a mark with blanks around it."""
    at = _skip(text, at)
    if text[at : at + 1] != mark:
        raise ValueError(f"it is not an object: no {mark!r} at {at}")
    return _skip(text, at + 1)
