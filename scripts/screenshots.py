"""Draws screenshots of the command, in SVG, for light and dark pages: it runs in a real terminal, against the emulator.

`python -m scripts.screenshots` writes `docs/guide/command-*.svg` anew. It needs pexpect, which runs the command in a
pseudo-terminal, and pyte, which makes of what the command writes the screen that a person sees.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from xml.sax.saxutils import escape

from scripts.svg import document
from venice_ai.emulator import Emulator, Step, run_in_thread, text

FOLDER = Path(__file__).parents[1] / "docs" / "guide"
COLUMNS, ROWS = 80, 40
_PATIENCE_SECONDS = 30
# Pastes are marked, at the prompt and while an answer comes; then the prompt is drawn, with a cursor that does not blink.
_ASKED, _SHOWN = "\x1b[?2004h", "\x1b[?12l\x1b[?25h"
_CELL, _LINE, _BAR, _MARGIN = 8.4, 19, 30, 14
_STYLE = """
  text { font: 14px ui-monospace, Menlo, Consolas, monospace; fill: #263238; white-space: pre }
  .window { fill: #fafafa; stroke: #b0bec5 }
  .button { fill: #b0bec5 }
  .typed { font-weight: 700 }
  .bold { font-weight: 700 }
  .italic { font-style: italic }
  .underline { text-decoration: underline }
  .red { fill: #b71c1c } .green { fill: #1b5e20 } .yellow { fill: #8d5a00 } .blue { fill: #0d47a1 }
  .magenta { fill: #6a1b9a } .cyan { fill: #00636e } .faint { fill: #546e7a }
  @media (prefers-color-scheme: dark) {
    text { fill: #eceff1 }
    .window { fill: #1b2327; stroke: #455a64 }
    .button { fill: #546e7a }
    .red { fill: #ef9a9a } .green { fill: #a5d6a7 } .yellow { fill: #ffe082 } .blue { fill: #90caf9 }
    .magenta { fill: #ce93d8 } .cyan { fill: #80deea } .faint { fill: #b0bec5 }
  }
"""
_COLOURS = {"brown": "yellow", "white": "faint", "black": "faint"}
"""The colours of a terminal that have another name here: pyte's brown is yellow, and grey is faint."""


class Screenshot(NamedTuple):
    """One picture: what is run, what is typed at its prompts, and what the emulator answers."""

    name: str
    title: str
    arguments: Sequence[str]
    lines: Sequence[str] = ()
    answers: Sequence[Step] = ()

    @property
    def page(self) -> Path:
        """Where the picture is kept."""
        return FOLDER / f"command-{self.name}.svg"


LAGOON = """A **lagoon** is shallow water that a strip of land keeps from the sea.

- The tide enters through *inlets*: Venice's lagoon has three.
- It is about `1 m` deep, so that boats follow marked channels.
"""
SCREENSHOTS = [
    Screenshot(
        "conversation",
        "A conversation in a terminal: a question, its answer with the Markdown rendered, and what it cost",
        ("chat", "--session", "trip"),
        ("What is a lagoon?", "/cost"),
        (text(LAGOON),),
    ),
    Screenshot("models", "The models with a context of their own, the cheapest first", ("models", "--sort", "price")),
]


class Cell(NamedTuple):
    """A character on the screen, and how it looks."""

    character: str
    css: str


def seen(shot: Screenshot) -> list[list[Cell]]:
    """The rows of the screen, as a person sees them: first the command as it was typed."""
    typed = [Cell(character, "typed") for character in f"$ {' '.join(('venice-chat', *shot.arguments))}"]
    screen: Any = import_module("pyte").Screen(COLUMNS, ROWS)
    import_module("pyte").Stream(screen).feed(written(shot))
    rows = [[cell_of(screen.buffer[row][column]) for column in range(COLUMNS)] for row in range(ROWS)]
    last = max(number for number, row in enumerate(rows) if any(cell.character.strip() for cell in row))
    return [typed, *rows[: last + 1]]


def written(shot: Screenshot) -> str:
    """What the command writes to its terminal: until it ends, or asks for one more line than are typed."""
    pexpect: Any = import_module("pexpect")
    emulator = Emulator()
    emulator.script(*shot.answers)
    with run_in_thread(emulator) as server, TemporaryDirectory() as home:
        child = pexpect.spawn(
            sys.executable,
            ["-m", "venice_ai", *shot.arguments],
            dimensions=(ROWS, COLUMNS),
            env=environment(server.url, home),
            encoding="utf-8",
            timeout=_PATIENCE_SECONDS,
        )
        try:
            return "".join(read(child, shot.lines, pexpect.EOF))
        finally:
            child.close(force=True)


def read(child: Any, lines: Sequence[str], end: Any) -> Iterator[str]:
    """What is read from a terminal at which these lines are typed, up to the next prompt; without any, up to the end."""
    if not lines:
        child.expect(end)
        yield child.before
        return
    for line in (*lines, ""):
        for sign in (_ASKED, _SHOWN):
            child.expect_exact(sign)
            yield child.before + child.after
        child.send(f"{line}\r" * bool(line))


def environment(url: str, home: str) -> dict[str, str]:
    """A terminal with colours, the emulator, and a home in which nothing is kept; nothing of this one's settings."""
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "PYTHONPATH", "SYSTEMROOT"}}
    there = {"HOME": home, "XDG_DATA_HOME": home, "XDG_CACHE_HOME": home, "XDG_CONFIG_HOME": home}
    terminal = {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8", "PROMPT_TOOLKIT_NO_CPR": "1"}
    return {**kept, **there, **terminal, "VENICE_BASE_URL": url, "VENICE_API_KEY": "any"}


def cell_of(char: Any) -> Cell:
    """A cell of pyte's screen with the names of its styles."""
    name: str = char.fg.removeprefix("bright")
    colour = _COLOURS.get(name, name)
    styles = {"bold": char.bold, "italic": char.italics, "underline": char.underscore, colour: colour != "default"}
    return Cell(char.data, " ".join(style for style, is_on in styles.items() if is_on))


def drawn(title: str, rows: Sequence[Sequence[Cell]]) -> str:
    """A window with these rows."""
    width, height = round(COLUMNS * _CELL) + 2 * _MARGIN, len(rows) * _LINE + _BAR + _MARGIN
    parts = [f'<rect class="window" x="0.5" y="0.5" width="{width - 1}" height="{height - 1}" rx="8"/>']
    parts += [f'<circle class="button" cx="{_MARGIN + 6 + 18 * number}" cy="16" r="5"/>' for number in range(3)]
    for number, row in enumerate(rows):
        parts += _runs(row, _BAR + 15 + number * _LINE)
    return document(title, width, height, _STYLE, parts)


def _runs(row: Sequence[Cell], y: int) -> Iterator[str]:
    """The texts of a row: each run of characters of one style, as wide as its cells whatever the font."""
    for css, run in groupby(enumerate(row), key=lambda each: each[1].css):
        cells = list(run)
        words = "".join(cell.character for _, cell in cells)
        shown = words if css else words.strip()
        if shown.strip():
            column = cells[0][0] + (0 if css else len(words) - len(words.lstrip()))
            kind = f' class="{css}"' if css else ""
            place = f'x="{_MARGIN + column * _CELL:g}" y="{y}" textLength="{len(shown) * _CELL:g}"'
            yield f"<text{kind} {place}>{escape(shown)}</text>"


def main() -> None:
    for shot in SCREENSHOTS:
        shot.page.write_text(drawn(shot.title, seen(shot)), "utf-8")


if __name__ == "__main__":
    main()
