"""Docstrings of tools: a description for the model, and a text for each parameter.

The styles of Google, NumPy and Sphinx (also Epydoc's `@param`) are read, mixed or not. What speaks to programmers (returns,
raises, examples) is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from inspect import cleandoc

_PARAMETERS = r"(?:args|arguments|parameters|params|kwargs|(?:keyword|other) (?:args|arguments|parameters|params))"
_TO_PROGRAMMERS = r"returns?|yields?|receives|raises|exceptions?|except|warns|methods|examples?|see also|references"
_LEFT_OUT = rf"(?:(?P<attributes>attributes)|{_TO_PROGRAMMERS})"
_GOOGLE = re.compile(rf"(?:(?P<parameters>{_PARAMETERS})|{_LEFT_OUT})\s*:", re.IGNORECASE)
_NUMPY = re.compile(rf"(?:(?P<parameters>{_PARAMETERS})|{_LEFT_OUT})", re.IGNORECASE)
_UNDERLINE = re.compile(r"-{3,}")
_NAMES = r"(?P<names>[`*\\]*\w+[`\\]*(?:\s*,\s*[`*\\]*\w+[`\\]*)*)"
_GOOGLE_ENTRY = re.compile(rf"{_NAMES}\s*(?:\(.*?\))?\s*:(?:\s+(?P<text>.*))?")
_NUMPY_ENTRY = re.compile(rf"{_NAMES}\s*(?::.*)?")
_FIELD = re.compile(
    r"[:@](?:(?:param|parameter|arg|argument|key|keyword|kwarg)\b(?P<param>[^:]*)"
    r"|(?:type|returns?|rtype|yields?|raises?|except|exception|i?var|cvar|vartype|kwtype)\b[^:]*)"
    r":(?:\s+(?P<text>.*))?"
)
_NOTE = frozenset({"note", "notes", "warning", "warnings", "caution", "important", "tip", "todo"})


def _lines(doc: str) -> list[str]:
    lines = cleandoc(doc).split("\n")
    # Where a section's title is the first line, its body is what the indentation was measured by.
    if _GOOGLE.fullmatch(lines[0]) and len(lines) > 1 and not lines[1].startswith(" "):
        lines[1:] = [f"    {line}" if line else line for line in lines[1:]]
    return lines


class Documentation:
    """The texts of a function's docstring, for it and for these parameters; with `attributes`, those of a class."""

    def __init__(self, doc: str | None, names: Iterable[str], *, attributes: bool = False) -> None:
        self._names = frozenset(names)
        self._kinds = ("parameters", "attributes") if attributes else ("parameters",)
        self._described: list[str] = []
        self.parameters: dict[str, str] = {}  # the texts for parameters, by name
        self._read(_lines(doc or ""))
        self.description: str | None = re.sub(r"\n{3,}", "\n\n", "\n".join(self._described).strip()) or None

    def _read(self, lines: list[str]) -> None:
        while lines:
            line, rest = lines[0], lines[1:]
            if rest and _UNDERLINE.fullmatch(rest[0].strip()) and (title := _NUMPY.fullmatch(line)):
                body, lines = _numpy_body(rest[1:])
                if any(map(title.group, self._kinds)):
                    self._entries(body, _NUMPY_ENTRY)
            elif (title := _GOOGLE.fullmatch(line.rstrip())) and (split := _indented(rest))[0]:
                body, lines = split
                if any(map(title.group, self._kinds)):
                    self._entries(cleandoc("\n" + "\n".join(body)).split("\n"), _GOOGLE_ENTRY)
            elif found := _FIELD.fullmatch(line):
                body, lines = _indented(rest)
                if found["param"]:
                    text = cleandoc("\n".join([found["text"] or "", *body]))
                    self._add(found["param"].split()[-1] if found["param"].split() else "", text)
            else:
                self._described.append(line)
                lines = rest

    def _entries(self, lines: list[str], pattern: re.Pattern[str]) -> None:
        """The parameters of a section whose names are not indented, and whose texts are, or follow the name."""
        while lines:
            found = pattern.fullmatch(lines[0])
            body, rest = _entry_body(lines[1:], pattern)
            first = (found.groupdict().get("text") or "") if found else lines[0]
            text = cleandoc("\n".join([first, *body]))
            if found is None or (found["names"].lower() in _NOTE and found["names"] not in self._names):
                self._described += ["", *([lines[0], *body] if found else text.split("\n"))]
            else:
                for name in found["names"].split(","):
                    self._add(name, text)
            lines = rest

    def _add(self, name: str, text: str) -> None:
        self.parameters.setdefault(name.strip().strip("`*\\"), text)


def _indented(lines: list[str]) -> tuple[list[str], list[str]]:
    end = next((index for index, line in enumerate(lines) if line and not line.startswith((" ", "\t"))), len(lines))
    return (lines[:end], lines[end:]) if any(lines[:end]) else ([], lines)


def _numpy_body(lines: list[str]) -> tuple[list[str], list[str]]:
    """The lines of a NumPy section, which the next title ends, and the others."""
    titles = (index for index, below in enumerate(lines[1:]) if _UNDERLINE.fullmatch(below.strip()))
    end = next(titles, len(lines))
    return lines[:end], lines[end:]


def _entry_body(lines: list[str], pattern: re.Pattern[str]) -> tuple[list[str], list[str]]:
    """The lines that belong to an entry, and the others: what is indented, and at once below it what is not another entry."""
    for index, line in enumerate(lines):
        starts = line and not line.startswith((" ", "\t"))
        if starts and (pattern.fullmatch(line) or (index and not lines[index - 1])):
            return lines[:index], lines[index:]
    return lines, []
