"""Drops members with duplicate keys from JSON that comes in pieces: a small model repeats keys where they are free.

A key is held back until its colon; the member of a known one is dropped up to the comma or brace that ends it.
"""

from __future__ import annotations

import json


class DistinctKeys:
    """Text of valid, compact JSON is fed in; what of it remains comes out."""

    def __init__(self) -> None:
        self._keys: list[set[str] | None] = []
        """The keys so far of each open object; None for an open array."""
        self._held: str | None = None
        self._dropped_at: int | None = None
        self._quoted = False
        self._escaped = False

    @property
    def held(self) -> str:
        """A key that is not complete."""
        return self._held or ""

    def feed(self, text: str) -> str:
        """What remains of the next piece, and of what was held back before it."""
        return "".join(map(self._take, text))

    def _take(self, sign: str) -> str:
        if self._quoted:
            self._quoted = self._escaped or sign != '"'
            self._escaped = sign == "\\" and not self._escaped
            return self._kept(sign)
        if self._dropped_at == len(self._keys) and sign in ",}":
            self._dropped_at = None
        match sign:
            case "{":
                return self._opened(sign, set())
            case "[":
                return self._opened(sign, None)
            case "}" | "]":
                self._keys.pop()
                self._held = None
            case "," if self._keys[-1] is not None:
                self._held = ""
            case ":":
                return self._named()
            case '"':
                self._quoted = True
            case _:
                pass
        return self._kept(sign)

    def _opened(self, sign: str, keys: set[str] | None) -> str:
        kept = self._kept(sign)
        self._keys.append(keys)
        self._held = None if keys is None else ""
        return kept

    def _named(self) -> str:
        text, self._held = self.held, None
        name, known = json.loads(text.removeprefix(",")), self._keys[-1]
        if known is not None and name not in known:
            known.add(name)
        elif self._dropped_at is None:
            self._dropped_at = len(self._keys)
        return self._kept(f"{text}:")

    def _kept(self, text: str) -> str:
        if self._held is not None:
            self._held += text
            return ""
        return "" if self._dropped_at is not None else text
