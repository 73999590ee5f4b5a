"""Every program on the pages that brings its own emulator runs, and prints what the page says that it prints.

A block of text right below a program is its output. A line `...` in it stands for any lines.
"""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
PROGRAM = re.compile(
    r"(?P<hidden>^-->\n)?^```python[^\n]*\n(?P<code>.*?)^```$(?:\n\n^```text\n(?P<output>.*?)^```$)?", re.MULTILINE | re.DOTALL
)
PROGRAMS = [
    pytest.param(found["code"], found["output"], id=f"{page.relative_to(ROOT / 'docs').as_posix()}:{number}")
    for page in PAGES
    for number, found in enumerate(PROGRAM.finditer(page.read_text("utf-8")), 1)
    if not found["hidden"] and "venice_ai.emulator" in found["code"]
]


def fits(said: str, shown: str) -> bool:
    """Whether a program's output is the one that a page shows."""
    lines = (r"(?:.*\n)*" if line == "...\n" else re.escape(line) for line in shown.splitlines(keepends=True))
    return re.fullmatch("".join(lines), said) is not None


@pytest.mark.parametrize(("code", "output"), PROGRAMS)
def test_the_program_runs_and_prints_what_the_page_says(
    code: str, output: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "enclave" in code:
        pytest.importorskip("cryptography")
    program = tmp_path / "program.py"
    program.write_text(code, "utf-8")
    monkeypatch.chdir(tmp_path)

    runpy.run_path(str(program), run_name="__main__")

    said, complaints = capsys.readouterr()
    assert complaints == ""
    if output is not None:
        assert fits(said, output), said


def test_the_tutorial_shows_what_each_step_prints() -> None:
    steps = [each for each in PROGRAMS if str(each.id).startswith("tutorial.md")]

    assert len(steps) == 6
    assert all(output for step in steps for output in step.values[1:])


@pytest.mark.parametrize(
    ("said", "shown", "does_fit"),
    [
        pytest.param("a\nb\n", "a\nb\n", True, id="the same"),
        pytest.param("a\nb\n", "a\n", False, id="more than shown"),
        pytest.param("a\nx\ny\nb\n", "a\n...\nb\n", True, id="lines left out"),
        pytest.param("a\nb\n", "a\nc\n", False, id="other words"),
    ],
)
def test_an_output_fits_what_is_shown(said: str, shown: str, does_fit: bool) -> None:
    assert fits(said, shown) is does_fit
