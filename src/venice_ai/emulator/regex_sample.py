r"""Makes a text that matches a simple regular expression (the `pattern` of a JSON schema).

The parser of Python's `re` reads the pattern. Understood are literals, `.`, classes, groups, alternation (the first branch is
taken), repetition and anchors; the shortest match is written first, then longer ones. What comes out is checked with `re`.
"""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

# They have no public names, and no types. They read what `re` reads: a reader of our own would be a second opinion.
_parser: Any = import_module("re._parser")
_compiler: Any = import_module("re._compiler")

_SAMPLES = "aA1 0bBzZ9_-.,:/@#+*!?\n" + "".join(map(chr, range(33, 127))) + "\u00e9\u4e00"


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
    return "".join(_item(tree.state, item, extra) for item in tree)


def _item(state: Any, item: Any, extra: int) -> str:
    kind, value = str(item[0]), item[1]
    match kind:
        case "LITERAL":
            text = chr(value)
        case "NOT_LITERAL" | "IN":
            # A character that the class names, if it can be.
            parts = (each for _, each in (value if kind == "IN" else ()) if each is not None)
            named = [chr(each if isinstance(each, int) else each[0]) for each in parts]
            is_member = _compiler.compile(_parser.SubPattern(state, [item])).fullmatch
            text = next(filter(is_member, [*named, *_SAMPLES]), "")
        case "ANY":
            text = "a"
        case "AT" | "ASSERT" | "ASSERT_NOT":
            text = ""
        case "BRANCH" | "SUBPATTERN":
            text = _written(value[1][0] if kind == "BRANCH" else value[-1], extra)
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high, inner = value
            text = _written(inner, extra) * int(min(low + min(extra, 64), high))
        case _:
            raise ValueError(kind)
    return text
