r"""Makes a text that matches a simple regular expression (the `pattern` of a JSON schema).

Understood are literals, `.`, classes, `\d \w \s` and their opposites, groups, alternation (the first branch is taken),
`? * + {m,n}` and anchors; the shortest match is written first, then longer ones. What comes out is checked with `re`.
"""

from __future__ import annotations

import re

_CLASSES = {"d": "7", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a", "n": "\n", "t": "\t", "r": "\r"}
_SAMPLES = "aA1 0bBzZ9_-.,:/@#+*!?\n" + "".join(map(chr, range(33, 127))) + "\u00e9\u4e00"
_UNBOUNDED = 64


def match(pattern: str, *, shortest: int = 0, longest: int | None = None) -> str | None:
    """A text of a length in the range in which the pattern is found; None if none is found quickly."""
    try:
        compiled = re.compile(pattern)
        candidates = [_Writer(pattern, extra).write() for extra in (0, 1, 2, 3, shortest)]
    except (re.error, ValueError, IndexError, RecursionError, OverflowError):
        return None
    padded = [text + text[-1:] * (shortest - len(text)) for text in candidates]
    for text in [*candidates, *padded]:
        if shortest <= len(text) <= (len(text) if longest is None else longest) and compiled.search(text):
            return text
    return None


class _Writer:
    """Reads the pattern from left to right and writes a match; `extra` more repetitions where they are allowed."""

    def __init__(self, pattern: str, extra: int) -> None:
        self._pattern = pattern
        self._extra = extra
        self._at = 0

    def write(self) -> str:
        text = self._branch()
        while self._take("|"):
            self._branch()
        return text

    def _branch(self) -> str:
        text = ""
        while self._at < len(self._pattern) and self._peek() not in "|)":
            item = self._item()
            text += item * self._times()
        return text

    def _item(self) -> str:
        sign = self._next()
        if sign in "^$":
            return ""
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._class()
        if sign == "\\":
            return self._escape()
        return "a" if sign == "." else sign

    def _group(self) -> str:
        looks_around = False
        if self._take("?"):
            kind = self._next()
            looks_around = kind in "=!<" and not (kind == "<" and self._peek() not in "=!")
            while kind not in ":=!>":
                kind = self._next()
        text = self.write()
        if not self._take(")"):
            raise ValueError("a group is not closed")
        return "" if looks_around else text

    def _class(self) -> str:
        start = self._at
        self._take("^")
        self._take("]")
        while self._next() != "]":
            if self._pattern[self._at - 1] == "\\":
                self._next()
        members = re.compile(f"[{self._pattern[start : self._at]}")
        samples = _SAMPLES + self._pattern[start : self._at]
        return next(sign for sign in samples if members.match(sign))

    def _escape(self) -> str:
        sign = self._next()
        if sign in "bBAZz":
            return ""
        if sign.isdigit():
            raise ValueError("a back reference")
        return _CLASSES.get(sign, sign)

    def _times(self) -> int:
        low, high = 1, 1
        if self._take("?"):
            low, high = 0, 1
        elif self._take("*"):
            low, high = 0, _UNBOUNDED
        elif self._take("+"):
            low, high = 1, _UNBOUNDED
        elif bounds := re.compile(r"\{(\d+)(,(\d*))?\}").match(self._pattern, self._at):
            self._at = bounds.end()
            low = int(bounds[1])
            high = low if bounds[2] is None else int(bounds[3] or low + _UNBOUNDED)
        else:
            return 1
        self._take("?")
        return min(low + self._extra, high)

    def _peek(self) -> str:
        return self._pattern[self._at]

    def _next(self) -> str:
        self._at += 1
        return self._pattern[self._at - 1]

    def _take(self, sign: str) -> bool:
        taken = self._pattern.startswith(sign, self._at)
        self._at += taken
        return taken
