"""The screenshots on the pages show what the command shows now."""

from __future__ import annotations

import re
import sys

import pytest

from scripts.screenshots import COLUMNS, SCREENSHOTS, Cell, Screenshot, drawn, seen

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
TEXT = re.compile(r'<text[^>]* x="([\d.]+)" y="(\d+)"[^>]*>([^<]+)<')


def shown(picture: str) -> dict[int, str]:
    """The words of a picture in their rows. Their colours are those of the packages that are installed."""
    rows: dict[int, str] = {}
    for _, y, words in TEXT.findall(picture):
        rows[int(y)] = f"{rows.get(int(y), '')} {' '.join(words.split())}".strip()
    return rows


@pytest.mark.parametrize("shot", SCREENSHOTS, ids=lambda shot: shot.name)
def test_a_screenshot_shows_what_the_command_shows(shot: Screenshot) -> None:
    now = drawn(shot.title, seen(shot))

    assert shown(shot.page.read_text("utf-8")) == shown(now), "run: make pictures"


def test_characters_of_one_style_are_one_text_as_wide_as_its_cells() -> None:
    row = [Cell(" ", ""), Cell("a", ""), Cell("<", ""), Cell(" ", ""), Cell("b", "bold"), Cell(" ", "bold")]

    picture = drawn("title", [row])

    assert '<text x="22.4" y="45" textLength="16.8">a&lt;</text>' in picture
    assert '<text class="bold" x="47.6" y="45" textLength="16.8">b </text>' in picture


def test_a_window_is_as_high_as_its_rows_and_as_wide_as_a_terminal() -> None:
    sizes = [re.findall(r'viewBox="0 0 (\d+) (\d+)"', drawn("title", [list[Cell]()] * rows)) for rows in (1, 11)]

    assert sizes == [[("700", "63")], [("700", "253")]]
    assert COLUMNS == 80
