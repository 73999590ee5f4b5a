"""The rooms of the package, circles of imports, and lines; and the picture of them in the documentation.

    python -m scripts.layout            prints the table
    python -m scripts.layout --draw     also writes docs/architecture.svg anew

A room is a folder or a file at the top of `src/venice_ai`. Imports that only type checkers see count as well, and so do
imports inside functions, but for the two methods that reach up (`UPWARD` in `scripts/import_graph.py`).
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from scripts.import_graph import ImportGraph, circles
from scripts.picture import layers, split, svg

REPOSITORY = Path(__file__).parents[1]
SOURCE = REPOSITORY / "src" / "venice_ai"
PICTURE = REPOSITORY / "docs" / "architecture.svg"
FEW_LINES = 25
"""A room with fewer lines is not drawn: the version, another name for functions, a base class."""


def ordered(rooms: dict[str, set[str]]) -> list[str]:
    """The rooms from the highest to the lowest: each above all that it imports."""
    down, _ = split(rooms)
    return [str(room) for layer in layers(down) for room in layer]


def purpose(graph: ImportGraph, room: str) -> str:
    """What a room is for: the first sentence of its docstring, up to a colon or semicolon."""
    text = ast.get_docstring(ast.parse(graph.modules[room].read_text("utf-8"))) or ""
    sentence = text.split("\n\n", maxsplit=1)[0].replace("\n", " ").replace("`", "")
    return re.split(r"[:;]|\.(?:\s|$)", sentence, maxsplit=1)[0].strip()


def picture(graph: ImportGraph) -> str:
    """The rooms and their imports as SVG."""
    drawn = {room for room in graph.rooms() if graph.lines(room) >= FEW_LINES}
    rooms = {room: others & drawn for room, others in graph.rooms().items() if room in drawn}
    labels = {room: f"{room}/" if (graph.root / room).is_dir() else f"{room}.py" for room in rooms}
    return svg(rooms, labels, {room: purpose(graph, room) for room in rooms})


def report(graph: ImportGraph) -> str:
    """The table: a row for each room, then circles and sums."""
    rooms = graph.rooms()
    rows = [f"{name:14}{graph.lines(name):7,}  {', '.join(sorted(rooms[name]))}" for name in ordered(rooms)]
    total = sum(graph.lines(name) for name in rooms) + len(graph.modules[""].read_text("utf-8").splitlines())
    found = circles(graph.files()) + circles(rooms)
    rows += [f"circle: {', '.join(group)}" for group in found]
    return "\n".join([*rows, f"{len(rooms)} rooms, {len(found)} circles, {total:,} lines"])


def main(arguments: list[str]) -> int:
    graph = ImportGraph(SOURCE)
    if "--draw" in arguments:
        PICTURE.write_text(picture(graph), "utf-8")
    print(report(graph))
    return 1 if circles(graph.files()) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
