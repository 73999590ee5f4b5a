"""The rooms of the package, circles of imports, and lines; and the picture of them in the documentation.

    python -m scripts.layout            prints the table
    python -m scripts.layout --draw     writes docs/architecture.svg anew

A room is a folder or a file at the top of `src/venice_ai`. The picture has one row a room, from the highest to the lowest, and
an arc from each room to those that it imports. Arcs that follow from others are left out. All arcs lead down.
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from xml.sax.saxutils import escape

from scripts.import_graph import ImportGraph, circles

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "venice_ai"
PICTURE = REPOSITORY / "docs" / "architecture.svg"

_ROW, _LEFT, _ARCS, _WIDTH = 30, 12, 620, 820
_STYLE = """
  text { font: 13px ui-monospace, monospace; fill: #222 }
  .about { font: 12px system-ui, sans-serif; fill: #555 }
  rect { fill: #e6f2f1; stroke: #00897b }
  path { fill: none; stroke: #00897b; stroke-opacity: .55; stroke-width: 1.3 }
  marker path { fill: #00897b; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #eee } .about { fill: #aaa } rect { fill: #17312f; stroke: #4db6ac } path { stroke: #4db6ac }
    marker path { fill: #4db6ac }
  }
"""


def ordered(rooms: dict[str, set[str]]) -> list[str]:
    """The rooms from the highest to the lowest: each above all that it imports. With circles there is no such order."""
    if circles(rooms):
        return sorted(rooms)
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = 1 + max((height(other) for other in rooms[name]), default=0)
        return heights[name]

    return sorted(rooms, key=lambda name: (-height(name), name))


def needed(rooms: dict[str, set[str]]) -> dict[str, set[str]]:
    """The imports of rooms without those that follow from others."""
    reached: dict[str, set[str]] = {}

    def below(name: str) -> set[str]:
        if name not in reached:
            reached[name] = rooms[name].union(*(below(other) for other in rooms[name]))
        return reached[name]

    return {
        name: {other for other in others if not any(other in below(third) for third in others - {other})}
        for name, others in rooms.items()
    }


def purpose(graph: ImportGraph, room_name: str) -> str:
    """The first sentence of a room's docstring, without its end."""
    path = graph.modules.get(room_name)
    text = ast.get_docstring(ast.parse(path.read_text("utf-8"))) if path else None
    return (text or "").split("\n\n", maxsplit=1)[0].replace("\n", " ").partition(". ")[0].rstrip(".").replace("`", "")


def picture(graph: ImportGraph) -> str:
    """The rooms and their imports as SVG, for light and dark pages."""
    rooms = graph.rooms()
    names = ordered(rooms)
    middles = {name: _ROW * index + _ROW for index, name in enumerate(names)}
    parts: list[str] = []
    for name in names:
        y, label = middles[name], f"{name}/" if (SOURCE / name).is_dir() else f"{name}.py"
        parts.append(f'<rect x="{_LEFT}" y="{y - 12}" width="{_ARCS - _LEFT}" height="24" rx="4"/>')
        parts.append(f'<text x="{_LEFT + 8}" y="{y + 4}">{escape(label)}</text>')
        parts.append(f'<text class="about" x="{_LEFT + 130}" y="{y + 4}">{escape(purpose(graph, name)[:78])}</text>')
    for name, others in sorted(needed(rooms).items()):
        for other in sorted(others, key=lambda each: middles[each]):
            start, end = middles[name] + 4, middles[other] - 4
            reach = _ARCS + 14 + (end - start) * 0.28
            parts.append(
                f'<path d="M{_ARCS} {start} C{reach:.0f} {start} {reach:.0f} {end} {_ARCS + 2} {end}" marker-end="url(#head)">'
                f"<title>{escape(name)} imports {escape(other)}</title></path>"
            )
    height = _ROW * len(names) + _ROW
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="The rooms of venice_ai; arcs lead from a room down to those it imports">\n'
        f"<style>{_STYLE}</style>\n"
        '<defs><marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 6 3 0 6z"/></marker></defs>\n'
        f"{body}\n</svg>\n"
    )


def report(graph: ImportGraph) -> str:
    """The table: a row a room, then circles and sums."""
    rooms = graph.rooms()
    files = {name: others for name, others in graph.at_top.items() if name}
    rows = [f"{name:14}{graph.lines(name):7,}  {', '.join(sorted(rooms[name]))}" for name in ordered(rooms)]
    total = sum(graph.lines(name) for name in rooms) + len(graph.modules[""].read_text("utf-8").splitlines())
    found = circles(files) + circles(rooms)
    rows += [f"circle: {', '.join(group)}" for group in found]
    return "\n".join([*rows, f"{len(rooms)} rooms, {len(found)} circles, {total:,} lines"])


def main(arguments: list[str]) -> int:
    graph = ImportGraph(SOURCE)
    if "--draw" in arguments and not circles(graph.rooms()):
        PICTURE.write_text(picture(graph), "utf-8")
    print(report(graph))
    return 1 if circles({name: others for name, others in graph.at_top.items() if name}) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
