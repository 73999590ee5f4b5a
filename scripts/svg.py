"""What the pictures on the pages have in common: an SVG document for light and dark pages, boxes, arrows and words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from xml.sax.saxutils import escape

BOX_HEIGHT = 50
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #134e4a; text-anchor: middle }
  .about { font-size: 11px; fill: #44615e }
  .verb { font-size: 12px; fill: #546e7a; text-anchor: start }
  rect { fill: #e6f2f1; stroke: #00897b }
  .strong { stroke-width: 3 }
  .arrow { fill: none; stroke: #26a69a; stroke-width: 1.5 }
  .weak { stroke-dasharray: 4 4 }
  marker path { fill: #26a69a }
  @media (prefers-color-scheme: dark) {
    text { fill: #e0f2f1 }
    .about { fill: #b2dfdb }
    .verb { fill: #b0bec5 }
    rect { fill: #17403c; stroke: #4db6ac }
    .arrow { stroke: #4db6ac }
    marker path { fill: #4db6ac }
  }
"""
"""How boxes, arrows and their words look."""
HEAD = (
    '<defs><marker id="head" markerWidth="9" markerHeight="8" refX="8" refY="4" orient="auto">'
    '<path d="M0 0L9 4L0 8z"/></marker></defs>'
)
"""The head of an arrow; stands in a picture that has arrows."""


class Box(NamedTuple):
    """A thing: where its middle is, how wide it is, what it is called, and what else there is to say of it."""

    x: int
    y: int
    width: int
    title: str
    about: str
    is_strong: bool = False


def document(title: str, width: int, height: int, style: str, parts: Iterable[str]) -> str:
    """A picture of these parts; the title is read to those who do not see it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{escape(title)}</title>",
            f"<style>{style}</style>",
            *parts,
            "</svg>",
            "",
        ]
    )


def words(x: float, y: float, text: str, kind: str = "") -> str:
    """A line of text."""
    css = f'class="{kind}" ' if kind else ""
    return f'<text {css}x="{x:g}" y="{y:g}">{escape(text)}</text>'


def box(each: Box) -> list[str]:
    """A box with its two lines of text."""
    left, top = each.x - each.width // 2, each.y - BOX_HEIGHT // 2
    kind = ' class="strong"' if each.is_strong else ""
    return [
        f'<rect{kind} x="{left}" y="{top}" width="{each.width}" height="{BOX_HEIGHT}" rx="6"/>',
        words(each.x, each.y - 3, each.title),
        words(each.x, each.y + 14, each.about, "about"),
    ]


def arrow(way: str, *, is_weak: bool = False) -> str:
    """An arrow along a path."""
    return f'<path class="arrow{" weak" if is_weak else ""}" d="{way}" marker-end="url(#head)"/>'
