"""Draws the rooms of the package and their imports as a layered graph, in SVG, for light and dark pages.

Each room is a box, and each arrow leads down from a room to one that it imports. The four steps are those of K. Sugiyama and
others, "Methods for visual understanding of hierarchical system structures" (1981):

1. `layers` puts each room above everything that it imports.
2. `with_waypoints` gives an arrow that passes other layers a waypoint in each of them.
3. `arranged` orders each layer so that few arrows cross.
4. `columns` chooses places from left to right, so that arrows run as straight as the order allows.

The same rooms always give the same picture.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from itertools import combinations, pairwise
from xml.sax.saxutils import escape

from scripts.import_graph import circles

Graph = dict[str, set[str]]
Waypoint = tuple[str, str, int]
"""A place of an arrow in a layer that it passes: where it begins, where it ends, which layer."""
Item = str | Waypoint
Layers = list[list[Item]]
Links = dict[Item, set[Item]]
"""What each item leads to in the next layer down."""

_BOX_WIDTH, _BOX_HEIGHT, _LAYER_HEIGHT, _GAP, _MARGIN = 178, 54, 90, 18, 12
_LETTERS = 27
"""How many characters of a room's purpose fit on a line of its box."""
_STYLE = """
  text { font: 600 14px ui-monospace, Menlo, Consolas, monospace; fill: #134e4a; text-anchor: middle }
  .about { font: 11px system-ui, sans-serif; font-weight: 400; fill: #44615e }
  rect { fill: #e6f2f1; stroke: #00897b }
  path { fill: none; stroke: #26a69a; stroke-width: 1.5 }
  .circle { stroke: #c62828; stroke-dasharray: 5 4 }
  marker path { fill: #26a69a; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e0f2f1 }
    .about { fill: #b2dfdb }
    rect { fill: #17403c; stroke: #4db6ac }
    path { stroke: #4db6ac }
    .circle { stroke: #ef9a9a }
    marker path { fill: #4db6ac }
  }
"""


def needed(graph: Graph) -> Graph:
    """The imports without those that follow from others: if a imports b, and b imports c, the arrow from a to c is left out."""
    below: dict[str, set[str]] = {}

    def reached(name: str) -> set[str]:
        if name not in below:
            below[name] = graph[name].union(*map(reached, graph[name]))
        return below[name]

    return {
        name: {other for other in others if not any(other in reached(third) for third in others - {other})}
        for name, others in graph.items()
    }


def split(graph: Graph) -> tuple[Graph, Graph]:
    """The imports that lead down, and those within a circle of imports, which have no direction."""
    group = {name: number for number, names in enumerate(circles(graph)) for name in names}
    within = {
        name: {other for other in others if name in group and group.get(other) == group[name]} for name, others in graph.items()
    }
    return {name: others - within[name] for name, others in graph.items()}, within


def layers(graph: Graph) -> Layers:
    """The rooms in layers, the highest first: each room is above all rooms that it imports."""
    heights: dict[str, int] = {}

    def height(name: str) -> int:
        if name not in heights:
            heights[name] = 1 + max(map(height, graph[name]), default=-1)
        return heights[name]

    found: Layers = [[] for _ in range(1 + max(map(height, graph), default=0))]
    for name in sorted(graph):
        found[len(found) - 1 - heights[name]].append(name)
    return found


def with_waypoints(graph: Graph, rows: Layers) -> tuple[Layers, Links]:
    """The layers with a waypoint wherever an arrow passes one, and what leads from each layer to the next."""
    level = {name: number for number, row in enumerate(rows) for name in row}
    filled: Layers = [list(row) for row in rows]
    links: Links = {name: set() for name in graph}
    for name, other in sorted((name, other) for name, others in graph.items() for other in others):
        way: list[Item] = [name, *((name, other, passed) for passed in range(level[name] + 1, level[other])), other]
        for waypoint in way[1:-1]:
            filled[level[name] + way.index(waypoint)].append(waypoint)
        for one, next_one in pairwise(way):
            links.setdefault(one, set()).add(next_one)
    return filled, links


def arranged(rows: Layers, links: Links) -> Layers:
    """The layers, each in the order that makes few arrows cross, found by moving items to the middle of their neighbours."""
    up: Links = {}
    for item, others in links.items():
        for other in others:
            up.setdefault(other, set()).add(item)
    best, fewest = rows, crossings(rows, links)
    for sweep in range(40):
        rows = [list(row) for row in rows]
        neighbours, order = (up, range(1, len(rows))) if sweep % 2 == 0 else (links, range(len(rows) - 2, -1, -1))
        for number in order:
            beside = rows[number - 1] if neighbours is up else rows[number + 1]
            places: dict[Item, float] = {item: place for place, item in enumerate(beside)}
            now: dict[Item, float] = {item: place for place, item in enumerate(rows[number])}
            middle = {item: _middle([places[each] for each in neighbours.get(item, ())], now[item]) for item in rows[number]}
            rows[number].sort(key=lambda item, middle=middle: middle[item])  # type: ignore[misc]
        if (count := crossings(rows, links)) < fewest:
            best, fewest = rows, count
    return best


def crossings(rows: Layers, links: Links) -> int:
    """How many pairs of arrows cross."""
    count = 0
    for upper, lower in pairwise(rows):
        place = {item: number for number, item in enumerate(lower)}
        ways = [(number, place[other]) for number, item in enumerate(upper) for other in links.get(item, ())]
        count += sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(ways, 2))
    return count


def columns(rows: Layers, links: Links) -> dict[Item, float]:
    """The middle of each item from left to right: as near to its neighbours as the order and the widths allow."""
    places: dict[Item, float] = {}
    for row in rows:
        _spread(row, dict.fromkeys(row, 0.0), places)
    both: dict[Item, list[Item]] = {}
    for item, others in links.items():
        for other in sorted(others, key=str):
            both.setdefault(item, []).append(other)
            both.setdefault(other, []).append(item)
    for _ in range(60):
        for row in rows:
            _spread(row, {item: _middle([places[each] for each in both.get(item, ())], places[item]) for item in row}, places)
    left = min(places[item] - _width(item) / 2 for row in rows for item in row)
    return {item: place - left + _MARGIN for item, place in places.items()}


def _spread(row: list[Item], preferred: Mapping[Item, float], places: dict[Item, float]) -> None:
    """Puts the items of a layer near their wanted places, in their order and without overlaps.

    Items that are too close form a block, which stands where its members want it on average (pool adjacent violators).
    """
    blocks: list[tuple[list[Item], float]] = []
    offsets: dict[Item, float] = {}
    at = 0.0
    for before, item in zip([None, *row], row, strict=False):
        at += 0.0 if before is None else (_width(before) + _width(item)) / 2 + _GAP
        offsets[item] = at
        blocks.append(([item], preferred[item] - at))
        while len(blocks) > 1 and blocks[-2][1] > blocks[-1][1]:
            (first, one), (second, other) = blocks[-2], blocks[-1]
            blocks[-2:] = [(first + second, (one * len(first) + other * len(second)) / (len(first) + len(second)))]
    for items, shift in blocks:
        places |= {item: offsets[item] + shift for item in items}


def _middle(places: Iterable[float], otherwise: float) -> float:
    values = list(places)
    return sum(values) / len(values) if values else otherwise


def _width(item: Item) -> int:
    return _BOX_WIDTH if isinstance(item, str) else 0


def svg(graph: Graph, labels: Mapping[str, str], purposes: Mapping[str, str]) -> str:
    """The picture.

    Args:
        graph: each room, and the rooms that it imports.
        labels: what stands in a room's box.
        purposes: what a room is for, in a few words.
    """
    down, within = split(graph)
    down = needed(down)
    rows, links = with_waypoints(down, layers(down))
    rows = arranged(rows, links)
    middles = columns(rows, links)
    tops = {item: _MARGIN + number * _LAYER_HEIGHT for number, row in enumerate(rows) for item in row}
    parts = [_arrow(name, other, tops, middles) for name in sorted(down) for other in sorted(down[name])]
    parts += [_circle(name, other, tops, middles) for name in sorted(within) for other in sorted(within[name])]
    parts += [_box(labels[name], purposes[name], middles[name], tops[name]) for name in sorted(graph)]
    width = max(middles[item] + _width(item) / 2 for item in middles) + _MARGIN
    height = len(rows) * _LAYER_HEIGHT - (_LAYER_HEIGHT - _BOX_HEIGHT) + 2 * _MARGIN
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height}" role="img" '
        f'aria-label="The rooms of venice_ai; arrows lead from a room down to those it imports">\n'
        f"<style>{_STYLE}</style>\n"
        '<defs><marker id="head" viewBox="0 0 6 6" refX="5" refY="3" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0 6 3 0 6z"/></marker></defs>\n'
        f"{body}\n</svg>\n"
    )


def _box(label: str, purpose: str, middle: float, top: int) -> str:
    lines = textwrap.wrap(purpose, _LETTERS, max_lines=2, placeholder=" ...")
    first = top + (20 if len(lines) > 1 else 22)
    about = "".join(
        f'<text class="about" x="{middle:.0f}" y="{first + 14 + 12 * number}">{escape(line)}</text>'
        for number, line in enumerate(lines)
    )
    return (
        f'<g><rect x="{middle - _BOX_WIDTH / 2:.0f}" y="{top}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="5"/>'
        f'<text x="{middle:.0f}" y="{first}">{escape(label)}</text>{about}</g>'
    )


def _arrow(name: str, other: str, tops: Mapping[Item, int], middles: Mapping[Item, float]) -> str:
    """An arrow from the lower side of one box to the upper side of another, straight through the layers between."""
    x, y = middles[name], tops[name] + _BOX_HEIGHT
    way = f"M{x:.0f} {y}"
    waypoints = [item for item in tops if not isinstance(item, str) and item[:2] == (name, other)]
    items: list[Item] = [*sorted(waypoints, key=lambda item: tops[item]), other]
    for item in items:
        down, to = tops[item], middles[item]
        bend = (down - y) * 0.6
        way += f" C{x:.0f} {y + bend:.0f} {to:.0f} {down - bend:.0f} {to:.0f} {down}"
        x, y = to, down
        if item != other:
            y += _BOX_HEIGHT
            way += f" V{y}"
    return f'<path d="{way}" marker-end="url(#head)"><title>{escape(name)} imports {escape(other)}</title></path>'


def _circle(name: str, other: str, tops: Mapping[Item, int], middles: Mapping[Item, float]) -> str:
    """An import within a circle, which there should not be: a dashed line."""
    start, end = middles[name], middles[other]
    way = f"M{start:.0f} {tops[name] + 12} L{end:.0f} {tops[other] + 12}"
    return f'<path class="circle" d="{way}"><title>{escape(name)} imports {escape(other)}</title></path>'
