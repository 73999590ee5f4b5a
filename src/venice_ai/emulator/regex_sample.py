r"""Makes a text that matches a simple regular expression (the `pattern` of a JSON schema).

The parser of Python's `re` reads the pattern. Understood are literals, `.`, classes, groups, alternation (the first branch is
taken), repetition and anchors; the shortest match is written first, then longer ones. What comes out is checked with `re`.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

# It has no public name, and no types. It reads what `re` reads: a reader of our own would be a second opinion.
_parser: Any = import_module("re._parser")

_SAMPLES = "aA1 0bBzZ9_-.,:/@#+*!?\n" + "".join(map(chr, range(33, 127))) + "\u00e9\u4e00"
_CATEGORIES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "WORD": r"\w", "NOT_WORD": r"\W", "SPACE": r"\s", "NOT_SPACE": r"\S"}
_UNBOUNDED = 64


def match(pattern: str, *, shortest: int = 0, longest: int | None = None) -> str | None:
    """A text of a length in the range in which the pattern is found; None if none is found quickly."""
    try:
        compiled = re.compile(pattern)
        candidates = [_written(_parser.parse(pattern), extra) for extra in (0, 1, 2, 3, shortest)]
    except (re.error, ValueError, LookupError, RecursionError, OverflowError):
        return None
    padded = [text + text[-1:] * (shortest - len(text)) for text in candidates]
    for text in [*candidates, *padded]:
        if shortest <= len(text) <= (len(text) if longest is None else longest) and compiled.search(text):
            return text
    return None


def _written(tree: Any, extra: int) -> str:
    """A match, with `extra` more repetitions where they are allowed."""
    return "".join(_item(str(kind), value, extra) for kind, value in tree)


def _item(kind: str, value: Any, extra: int) -> str:
    match kind:
        case "LITERAL" | "NOT_LITERAL" | "IN":
            text = _member(value if kind == "IN" else [(kind, value)])
        case "ANY":
            text = "a"
        case "AT" | "ASSERT" | "ASSERT_NOT":
            text = ""
        case "BRANCH" | "SUBPATTERN":
            text = _written(value[1][0] if kind == "BRANCH" else value[-1], extra)
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high, inner = value
            text = _written(inner, extra) * int(min(low + min(extra, _UNBOUNDED), high))
        case _:
            raise ValueError(kind)
    return text


def _member(parts: Any) -> str:
    """A character of a class: one that it names, if it can be."""
    kinds = [(str(kind), value) for kind, value in parts]
    negated = any(kind in {"NEGATE", "NOT_LITERAL"} for kind, _ in kinds)
    named = "".join(chr(value if kind == "LITERAL" else value[0]) for kind, value in kinds if kind in {"LITERAL", "RANGE"})
    return next(sign for sign in named + _SAMPLES if any(_is_part(sign, *part) for part in kinds) is not negated)


def _is_part(sign: str, kind: str, value: Any) -> bool:
    if kind == "CATEGORY":
        return re.match(_CATEGORIES[str(value).removeprefix("CATEGORY_")], sign) is not None
    low, high = value if kind == "RANGE" else (value, value)
    return kind != "NEGATE" and low <= ord(sign) <= high
