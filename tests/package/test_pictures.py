"""The pictures on the pages are those that the scripts draw, and show what there is."""

from __future__ import annotations

import inspect
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

from scripts import chain_of_trust, time_limits
from venice_ai import Timeout

SVG = "{http://www.w3.org/2000/svg}"


@pytest.mark.parametrize("script", [time_limits, chain_of_trust], ids=["time limits", "chain of trust"])
def test_the_picture_on_the_page_is_the_one_that_is_drawn(script: ModuleType) -> None:
    assert script.PAGE.read_text("utf-8") == script.drawn(), f"run: python -m {script.__name__}"


def test_every_time_limit_is_in_the_picture() -> None:
    assert set(time_limits.limits()) == set(inspect.signature(Timeout).parameters)


def test_the_limits_of_a_stream_end_where_the_next_begins() -> None:
    limits = time_limits.limits()

    for name in ("idle", "progress"):
        ends = [span.end for span in limits[name]]
        assert [span.start for span in limits[name][1:]] == ends[:-1]
    assert limits["first_chunk"][0].end == limits["idle"][0].start


def test_the_boxes_of_the_chain_of_trust_do_not_overlap() -> None:
    # Text is about 6.5 points a letter.
    picture = ET.fromstring(chain_of_trust.drawn())
    boxes = [{name: int(value) for name, value in each.items() if name != "class"} for each in picture.iter(f"{SVG}rect")]

    for box in chain_of_trust.BOXES.values():
        assert 7 * len(box.title) < box.width
        assert 6 * len(box.about) < box.width
    for number, one in enumerate(boxes):
        for other in boxes[number + 1 :]:
            beside = one["x"] + one["width"] <= other["x"] or other["x"] + other["width"] <= one["x"]
            above = one["y"] + one["height"] <= other["y"] or other["y"] + other["height"] <= one["y"]
            assert beside or above, (one, other)
