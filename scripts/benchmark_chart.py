"""Draws some rows of the benchmark's table as bars, in SVG, for light and dark pages.

`python -m scripts.benchmark_chart` writes `docs/performance.svg` anew from `docs/performance.md`; `make bench` does so, too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from scripts.svg import document, words

DOCS = Path(__file__).parents[1] / "docs"
TABLE, PAGE = DOCS / "performance.md", DOCS / "performance.svg"
CONTENDERS = {"venice-chat": "venice-chat", "aiohttp, lines": "aiohttp by hand", "venice-py": "venice-py", "openai": "openai"}
"""The columns that are drawn, and what they are called."""
ROWS = {
    "new process to the first `create`, ms": "from a new process to its first answer, ms",
    "`create`, 10 in flight, us a call": "a plain call, 10 in flight, \N{MICRO SIGN}s",
    "100 streams, one event a packet, us a chunk": "a chunk, 100 streams at once, \N{MICRO SIGN}s",
    "`create` of the synchronous client, us a call": "a plain call of the synchronous client, \N{MICRO SIGN}s",
}
"""The rows that are drawn, and what they are called."""
_WIDTH, _LEFT, _BAR, _GAP, _HEADING, _LONGEST = 760, 130, 16, 6, 34, 540
_STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #37474f }
  .name { text-anchor: end; font-size: 12px }
  .heading { font-weight: 600; fill: #134e4a }
  .bar { fill: #b0bec5 }
  .ours { fill: #00897b }
  @media (prefers-color-scheme: dark) {
    text { fill: #cfd8dc }
    .heading { fill: #80cbc4 }
    .bar { fill: #607d8b }
    .ours { fill: #4db6ac }
  }
"""


class Row(NamedTuple):
    """A row of the table: what was measured, and the figures by contender."""

    title: str
    figures: dict[str, float]


def figures(page: str) -> list[Row]:
    """All rows of the benchmark's table."""
    lines = [line.strip().strip("|").split("|") for line in page.splitlines() if line.startswith("|")]
    if not lines:
        return []
    contenders = [cell.strip() for cell in lines[0]]
    rows: list[Row] = []
    for title, *cells in lines[2:]:
        found = {name: re.match(r"[\d.,]+", cell.strip()) for name, cell in zip(contenders[1:], cells, strict=True)}
        rows.append(Row(title.strip(), {name: float(each[0].replace(",", "")) for name, each in found.items() if each}))
    return rows


def drawn(page: str | None = None) -> str:
    """The picture of a page's table; in each row the longest bar is the contender that took most."""
    parts: list[str] = []
    y = 0
    for title, found in figures(TABLE.read_text("utf-8") if page is None else page):
        shown = {name: found[name] for name in CONTENDERS if name in found}
        if title not in ROWS or not shown:
            continue
        parts.append(words(8, y + 20, ROWS[title], "heading"))
        y += _HEADING
        for name, figure in shown.items():
            kind = "bar ours" if name == "venice-chat" else "bar"
            length = max(1.0, _LONGEST * figure / max(shown.values()))
            parts.append(words(_LEFT - 8, y + 12, CONTENDERS[name], "name"))
            parts.append(f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{length:.1f}" height="{_BAR}" rx="2"/>')
            parts.append(words(round(_LEFT + length + 8, 1), y + 13, f"{figure:,.3g}" if figure < 100 else f"{figure:,.0f}"))
            y += _BAR + _GAP
    return document("CPU time of the client's process: shorter is better", _WIDTH, y + 8, _STYLE, parts)


if __name__ == "__main__":
    PAGE.write_text(drawn(), "utf-8")
