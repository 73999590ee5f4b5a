"""The picture of the rooms in the documentation is what the source says, and is drawn well."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from scripts import layout
from scripts.import_graph import ImportGraph
from scripts.picture import arranged, columns, crossings, layers, needed, split, svg, with_waypoints

DIAMOND = {"top": {"left", "right", "bottom"}, "left": {"bottom"}, "right": {"bottom"}, "bottom": set[str]()}


def shown(picture: str) -> list[str]:
    """What a picture shows: its boxes' texts and its arrows, without their places."""
    return sorted(re.findall(r"<(?:text|title)[^>]*>([^<]+)<", picture))


@pytest.fixture(scope="module")
def package() -> ImportGraph:
    return ImportGraph(layout.SOURCE)


def test_the_picture_of_the_rooms_is_up_to_date(package: ImportGraph) -> None:
    committed = layout.PICTURE.read_text("utf-8")

    assert shown(committed) == shown(layout.picture(package)), "run: python -m scripts.layout --draw"


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    assert needed(DIAMOND) == DIAMOND | {"top": {"left", "right"}}


def test_each_room_is_above_those_that_it_imports() -> None:
    rows = layers(DIAMOND)
    level = {name: number for number, row in enumerate(rows) for name in row}

    assert all(level[name] < level[other] for name, others in DIAMOND.items() for other in others)


def test_imports_in_a_circle_are_separated_from_the_others() -> None:
    down, within = split({"a": {"b", "c"}, "b": {"a"}, "c": set()})

    assert down == {"a": {"c"}, "b": set(), "c": set()}
    assert within == {"a": {"b"}, "b": {"a"}, "c": set()}


def test_an_arrow_over_several_layers_has_a_place_in_each() -> None:
    graph = {"a": {"b", "d"}, "b": {"c"}, "c": {"d"}, "d": set[str]()}

    rows, links = with_waypoints(graph, layers(graph))

    assert [item for row in rows for item in row if not isinstance(item, str)] == [("a", "d", 1), ("a", "d", 2)]
    assert links["a", "d", 2] == {"d"}


def test_items_are_ordered_so_that_no_arrows_cross_where_that_is_possible() -> None:
    graph = {"a": {"z"}, "b": {"y"}, "c": {"x"}, "x": set[str](), "y": set[str](), "z": set[str]()}
    rows, links = with_waypoints(graph, layers(graph))

    assert crossings(rows, links) == 3
    assert crossings(arranged(rows, links), links) == 0


def test_boxes_do_not_overlap(package: ImportGraph) -> None:
    for graph in (DIAMOND, package.rooms()):
        down, _ = split(graph)
        rows, links = with_waypoints(needed(down), layers(needed(down)))
        rows = arranged(rows, links)
        middles = columns(rows, links)

        for row in rows:
            places = [middles[item] for item in row if isinstance(item, str)]
            assert all(second - first > 178 for first, second in pairwise(places))


def test_the_same_rooms_give_the_same_picture() -> None:
    labels = {name: name for name in DIAMOND}

    assert svg(DIAMOND, labels, labels) == svg(dict(reversed(DIAMOND.items())), labels, labels)
