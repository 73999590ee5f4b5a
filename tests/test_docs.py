"""The pages: what they show is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
INCLUDE = re.compile(r'--8<-- "(examples/\w+\.py)"')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_example_is_included_as_the_site_understands_it(page: Path) -> None:
    includes = [line for line in page.read_text("utf-8").splitlines() if line.startswith("--8")]

    for line in includes:
        found = INCLUDE.fullmatch(line)
        assert found, line
        assert (ROOT / found[1]).is_file()


def test_each_attacker_is_stopped_by_a_test_that_is_there() -> None:
    table = (ROOT / "docs" / "confidential.md").read_text("utf-8").partition("| attacker |")[2].partition("\n\n")[0]
    rows = [re.findall(r"`(tests/\w+/\w+\.py)`", row) for row in table.splitlines()[2:]]

    assert len(rows) == 9
    assert all(rows)
    assert all((ROOT / name).is_file() for row in rows for name in row)


def test_the_guide_shows_examples() -> None:
    shown = {name for page in PAGES for name in INCLUDE.findall(page.read_text("utf-8"))}

    assert len(shown) > 10
