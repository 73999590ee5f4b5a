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
        if width is not None and sum(map(_widest, columns)) + 2 * len(columns) - 2 > width:
            columns = [column for column in columns if column[0] != heading]
    padded = [[_padded(cell, _widest(column), right=column[0] in numbers) for cell in column] for column in columns]
    lines = ("  ".join(line).rstrip() for line in zip(*padded, strict=True))
    return "\n".join(line if width is None else _cut(line, width) for line in lines)


def screen_width() -> int | None:
    """How many cells a line of stdout has; None if that is no terminal, and so has no width."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    return len(text) + sum(east_asian_width(letter) in "WF" for letter in text) if not text.isascii() else len(text)


def _widest(column: Iterable[str]) -> int:
    return max(map(cells, column))


def _padded(cell: str, width: int, *, right: bool) -> str:
    blanks = " " * (width - cells(cell))
    return blanks + cell if right else cell + blanks


def _cut(line: str, width: int) -> str:
    if cells(line) <= width:
        return line
    while cells(line) > width - 3:
        line = line[:-1]
    return f"{line}..."
