"""HTML of objects for notebooks: tables, and texts as they are.

Everything is escaped: what a model wrote could otherwise load an image from somewhere, and so tell what was said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any, cast


def table(rows: Sequence[Mapping[str, Any]], caption: str = "") -> str:
    """Rows with the same columns as a table; lists are joined by commas, and None is an empty cell."""
    head = _row("th", rows[0] if rows else ())
    body = "".join(_row("td", map(_shown, row.values())) for row in rows)
    return f"<table><caption>{escape(caption)}</caption><thead>{head}</thead><tbody>{body}</tbody></table>"


def text(content: str, summary: str = "") -> str:
    """A text with its line breaks; behind its summary, if it has one."""
    shown = f'<pre style="white-space: pre-wrap">{escape(content)}</pre>'
    return f"<details><summary>{escape(summary)}</summary>{shown}</details>" if summary else shown


def _row(kind: str, cells: Iterable[str]) -> str:
    return f"<tr>{''.join(f'<{kind}>{escape(cell)}</{kind}>' for cell in cells)}</tr>"


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, cast("list[Any]", value)))
    return "" if value is None else str(value)
