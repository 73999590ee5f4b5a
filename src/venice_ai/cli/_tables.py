"""Tables that fit the terminal: columns are left out by rank where it is narrow."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Container, Iterable, Sequence
from unicodedata import east_asian_width


def table(
    rows: Sequence[Sequence[str]], *, numbers: Container[str] = (), leave_out: Iterable[str] = (), width: int | None = None
) -> str:
    """Rows as aligned lines, the first row being headings; those of `numbers` are aligned to the right.

    Where a line is wider than `width` cells, the columns of `leave_out` go, in this order; then lines are cut.
    """
    columns = list(zip(*rows, strict=True))
    for heading in leave_out:
        if width is not None and sum(max(map(_cells, column)) + 2 for column in columns) - 2 > width:
            columns = [column for column in columns if column[0] != heading]
    for index, column in enumerate(columns):
        blanks = [" " * (max(map(_cells, column)) - _cells(cell)) for cell in column]
        pairs = zip(blanks, column, strict=True) if column[0] in numbers else zip(column, blanks, strict=True)
        columns[index] = tuple(map("".join, pairs))
    lines = ("  ".join(line).rstrip() for line in zip(*columns, strict=True))
    return "\n".join(line if width is None else _cut(line, width) for line in lines)


def screen_width() -> int | None:
    """How many cells a line of stdout has; None if that is no terminal, and so has no width."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _cells(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def _cut(line: str, width: int) -> str:
    while _cells(line) > width:
        line = f"{line.removesuffix('...')[:-1]}..."
    return line
