"""The pictures on the pages are those that the scripts draw, and show what there is."""

from __future__ import annotations

import inspect
from itertools import combinations
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

import venice_ai
from scripts import benchmark_chart, chain_of_trust, comparison, streamed_request, time_limits, tool_loop
from scripts.svg import BOX_HEIGHT, Box
from venice_ai import Timeout, UserMessage, VeniceClient
from venice_ai.emulator import Emulator, text

DOCS = Path(__file__).parents[2] / "docs"
SVG = "{http://www.w3.org/2000/svg}"
SCRIPTS = [time_limits, chain_of_trust, tool_loop, streamed_request, benchmark_chart, comparison]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__.removeprefix("scripts."))
def test_the_picture_on_the_page_is_the_one_that_is_drawn(script: ModuleType) -> None:
    assert script.PAGE.read_text("utf-8") == script.drawn(), f"run: python -m {script.__name__}"


def test_the_home_page_compares_as_the_readme_does() -> None:
    home = comparison.HOME.read_text("utf-8")

    assert home == comparison.drawn(comparison.HOME), "run: python -m scripts.comparison"
    assert comparison.table() in home


def test_the_home_page_gives_the_reasons_of_the_readme() -> None:
    reasons = [
        page.read_text("utf-8").partition("## What you can rely on\n")[2].partition("- **Other programs")[0]
        for page in (comparison.PAGE, comparison.HOME)
    ]

    assert reasons[0].replace("](docs/", "](") == reasons[1] != ""


@pytest.mark.parametrize("picture", sorted(DOCS.glob("**/*.svg")), ids=lambda path: path.stem)
def test_a_picture_has_colours_for_dark_pages(picture: Path) -> None:
    if picture.parent.name != "assets":  # the logo stands on the teal of the header, whatever the theme
        assert "@media (prefers-color-scheme: dark)" in picture.read_text("utf-8")


def test_every_time_limit_is_in_the_picture() -> None:
    assert set(time_limits.limits()) == set(inspect.signature(Timeout).parameters)


def test_the_limits_of_a_stream_end_where_the_next_begins() -> None:
    limits = time_limits.limits()

    for name in ("idle", "progress"):
        ends = [span.end for span in limits[name]]
        assert [span.start for span in limits[name][1:]] == ends[:-1]
    assert limits["first_chunk"][0].end == limits["idle"][0].start


@pytest.mark.parametrize("boxes", [chain_of_trust.BOXES, tool_loop.BOXES], ids=["chain of trust", "tool loop"])
def test_boxes_do_not_overlap_and_hold_their_text(boxes: dict[str, Box]) -> None:
    for box in boxes.values():  # text is about 6.5 points a character
        assert 7 * len(box.title) < box.width
        assert 6 * len(box.about) < box.width
    for one, other in combinations(boxes.values(), 2):
        beside = abs(one.x - other.x) >= (one.width + other.width) / 2
        assert beside or abs(one.y - other.y) >= BOX_HEIGHT, (one, other)


def test_the_ends_of_a_tool_loop_are_classes_of_the_package() -> None:
    ends = {box.title for box in tool_loop.BOXES.values() if box.is_strong}

    assert ends == {"ToolLoopResult", "ToolLoopPausedError", "MaxIterationsExceededError"}
    assert all(hasattr(venice_ai, name) for name in ends)


async def test_a_streamed_request_goes_as_in_the_picture() -> None:
    shown = [step.text.strip('"') for step in streamed_request.STEPS if step.text.startswith('"')]
    emulator = Emulator()
    emulator.script(text("".join(shown), deltas=shown))

    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        stream = await client.chat.completions.stream(model="venice-1", messages=[UserMessage(content="Hi")])
        requests = [request.path for request in emulator.requests]
        deltas = [delta async for delta in stream.text_deltas()]

    assert deltas == shown
    assert [path.partition("/v1")[2] or path for path in requests] == ["/chat/completions"]
    assert [step.text for step in streamed_request.STEPS].count("POST /chat/completions") == len(requests)


def test_the_texts_of_a_streamed_request_fit_between_the_lines() -> None:
    left, middle, _ = streamed_request.LANES.values()

    for step in streamed_request.STEPS:
        assert 6.5 * len(step.text) < (middle - left if step.start != step.end else 2 * (middle - left))


PAGE = """
| | venice-chat | openai |
| --- | --: | --: |
| `create`, 10 in flight, us a call | 100 | 1,600 (0.06 <= 0.1 ok) |
| something that is not drawn, ms | 1 (<= 2 ok) | |
"""


def test_the_chart_shows_the_figures_of_the_table() -> None:
    chart = ET.fromstring(benchmark_chart.drawn(PAGE))

    assert [float(bar.attrib["width"]) for bar in chart.iter(f"{SVG}rect")] == [33.8, 540.0]
    assert [each.text for each in chart.iter(f"{SVG}text")][1:] == ["venice-chat", "100", "openai", "1,600"]


def test_every_row_of_the_chart_is_measured() -> None:
    titles = {row.title for row in benchmark_chart.figures(benchmark_chart.TABLE.read_text("utf-8"))}

    assert benchmark_chart.ROWS.keys() <= titles


def test_the_comparison_counts_the_worst_verdict_of_each_fault() -> None:
    board = """
| fault | us | them |
| --- | --- | --- |
| **Streams** |  |  |
| cut | [right](a.md#b) | [cut taken for whole (1 of 2)](a.md#c) |
| late | [right](a.md#d) | [hung](a.md#e) |
"""

    assert comparison.verdicts(board) == {"us": {"right": 2}, "them": {"cut taken for whole": 1, "hung": 1}}
