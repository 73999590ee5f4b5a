"""Repeatable choices in place of random ones: the same salt always gives the same number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def number(*salt: object) -> int:
    return int.from_bytes(hashlib.blake2b(repr(salt).encode("utf-8", "replace"), digest_size=8).digest(), "big")


def pick(options: Sequence[T], *salt: object) -> T:
    return options[number(*salt) % len(options)]


def hexes(length: int, *salt: object) -> str:
    """So many hexadecimal digits, at most 32."""
    return hashlib.blake2b(repr(salt).encode("utf-8", "replace"), digest_size=16).hexdigest()[:length]
