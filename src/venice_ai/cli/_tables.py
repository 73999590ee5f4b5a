"""Tables that fit the terminal: columns are left out by rank where it is narrow."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

from . import _output

_NUMBER = re.compile(r"-|\$?[\d,]+(\.\d+)?")


def show(
    rows: Sequence[Any], columns: Mapping[str, str], leave_out: Iterable[str] = (), *, as_json: bool, empty: str = ""
) -> None:
    """Prints rows as JSON, or as a table: headings, and below each what its format makes of a row.

    Where the terminal is narrow, the columns of `leave_out` go, in this order; `empty` is told where there are no rows.
    """
    if as_json:
        _output.as_json(rows)
    elif rows:
        cells = [[" ".join(form.format_map(row).split()) for form in columns.values()] for row in rows]
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        _output.line(table([list(columns), *cells], leave_out, width))
    else:
        _output.note(empty)


def table(rows: Sequence[Sequence[str]], leave_out: Iterable[str] = (), width: int | None = None) -> str:
    """Rows as aligned lines, the first row being headings; numbers are aligned to the right."""
    columns = list(zip(*rows, strict=True))
    for heading in leave_out:
        if width is not None and sum(max(map(_cells, column)) + 2 for column in columns) - 2 > width:
            columns = [column for column in columns if column[0] != heading]
    for index, column in enumerate(columns):
        blanks = [" " * (max(map(_cells, column)) - _cells(cell)) for cell in column]
        numbers = all(map(_NUMBER.fullmatch, column[1:]))
        columns[index] = tuple(blank + cell if numbers else cell + blank for blank, cell in zip(blanks, column, strict=True))
    return "\n".join(_cut("  ".join(line).rstrip(), width) for line in zip(*columns, strict=True))


def _cells(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def _cut(line: str, width: int | None) -> str:
    while width is not None and _cells(line) > width:
        line = f"{line.removesuffix('...')[:-1]}..."
    return line
