"""Markdown on a terminal while an answer streams: every word is drawn once, on the screen and in the scrollback."""

from __future__ import annotations

import io
import re
import sys
from importlib import import_module
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from venice_ai.cli._markdown import MarkdownPrinter
from venice_ai.emulator import Emulator, text

from .test_terminal import NARROW, at_terminal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")

WORDS = ["lagoon", "tide7", "Città", "42", "mosè"]
LINES = [
    *(
        "# {}",
        "- {} {}",
        "  - {}",
        "1. {}",
        "1. {} {}",
        "10) {}",
        "{} {} {} {} {} {} {} {} {} {} {}",
        "```{}",
        "```",
        "~~~",
        "    {}",
        "> {}",
    ),
    *(
        "| {} | {} |",
        "|---|---|",
        "| {} | {} | {} |",
        "<div>{}</div>",
        "<!-- {}",
        "-->{}",
        "List<{}> <{}>",
        "<{}",
        "[{}]: http://{}.example/{}",
    ),
    *(
        '[{}](http://{}.example "{}")',
        "![{}]({}.png)",
        "[{}][{}]",
        "[^{}]: {}",
        "{}[^{}]",
        "",
        "",
        "***",
        "{}  ",
        "{}\\",
        "~~{}~~ **{}",
        "*{}* `{}",
    ),
    *(
        "\\*{} \\<{}",
        "===",
        "---",
        "<http://{}.example>",
        "- [ ] {}",
        "   ```{}",
        "\t{}",
        "{}\x00{}",
        "__{}_",
        "{}: {{ {} }}",
        "}}",
    ),
]
DOCUMENTS = st.lists(
    st.sampled_from(LINES).flatmap(lambda line: st.builds(line.format, *[st.sampled_from(WORDS)] * 11)), max_size=30
)


class Window:
    """What a person sees who scrolls back, too, in a terminal of which the size may change."""

    def __init__(self, rows: int, columns: int) -> None:
        self._screen: Any = import_module("pyte").HistoryScreen(columns, rows, history=10_000, ratio=0.5)
        self._screen.set_mode(import_module("pyte").modes.LNM)  # a terminal's driver adds the carriage return
        self._stream = import_module("pyte").Stream(self._screen)

    def shows(self, written: str) -> None:
        self._stream.feed(written)

    def widens(self, columns: int) -> None:
        self._screen.resize(columns=columns)

    def text(self) -> str:
        rows = [*self._screen.history.top, *(self._screen.buffer[row] for row in range(self._screen.lines))]
        return "\n".join("".join(row[column].data for column in range(self._screen.columns)).rstrip() for row in rows)


def without_blanks(text: str) -> str:
    return "".join(re.findall(r"[^\W_]", text))


def seen(pieces: list[str], *, rows: int = 24, columns: int = 80, wider: int = 0) -> str:
    """What a window shows, with what scrolled out of it, when each piece of an answer is drawn; half-way it may widen."""
    console = Console(
        file=io.StringIO(), force_terminal=True, width=columns, height=rows, color_system="truecolor", legacy_windows=False
    )
    window, screen = Window(rows, columns), MarkdownPrinter(reasoning=False)
    screen.console, screen.auto_refresh = console, False
    for index, piece in enumerate(pieces):
        if wider and index == len(pieces) // 2:
            window.shows(_written(console))
            window.widens(wider)
            console.width = wider
        screen.write(piece)
        screen.refresh()
    screen.end()
    window.shows(_written(console))
    return window.text()


def _written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    written = console.file.getvalue()
    console.file.seek(0)
    console.file.truncate()
    return written


@given(DOCUMENTS, st.integers(1, 50), st.integers(3, 40), st.sampled_from([0, 80, 95, 200]))
def test_every_word_is_on_the_screen_once_and_in_its_place(lines: list[str], size: int, rows: int, wider: int) -> None:
    source = "\n".join(lines)
    pieces = [source[place : place + size] for place in range(0, len(source), size)] or [""]
    assert without_blanks(seen(pieces, rows=rows, columns=78, wider=wider)) == without_blanks(source)


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        pytest.param("Use List<String>, git clone <url>.", "Use List<String>, git clone <url>.", id="what looks like HTML"),
        pytest.param("<div>only</div>", "<div>only</div>", id="a block of HTML"),
        pytest.param("[ref]: http://example.com/x", "[ref]: http://example.com/x", id="a definition"),
        pytest.param("See[^1].\n\n[^1]: there", "See[^1].\n\n[^1]: there", id="a footnote"),
        pytest.param("[the page](http://a.example/x)", "the page (http://a.example/x)", id="a link"),
        pytest.param('[it](http://a.example "why")', '[it](http://a.example "why")', id="a link with a title"),
        pytest.param("![a boat](boat.png)", "![a boat](boat.png)", id="an image"),
        pytest.param("- a\n  - [ ] b\n    - [x] c", "\n • a\n    • [ ] b\n       • [x] c", id="lists in lists"),
        pytest.param("7) a\n8) b", "\n 7 a\n 8 b", id="numbers that follow each other"),
        pytest.param("1. a\n1. b", "1. a\n1. b", id="numbers that do not"),
        pytest.param("1. a\n\n   ```sh\n   ls\n\n   cd\n   ```\n", "\n 1 a\n   sh\n\n    ls\n\n    cd\n", id="code in an item"),
        pytest.param("a  \nb\\\nc", "a\nb\nc", id="hard breaks"),
        pytest.param(r"\*a\* &amp; &lt;b&gt; `&amp;`", "*a* & <b> &amp;", id="escapes and entities"),
        pytest.param("|a|\n|-|\n|b|c|", "|a|\n|-|\n|b|c|", id="more cells than columns"),
        pytest.param("> " * 30 + "deep", "> " * 30 + "deep", id="deeper than a parser goes"),
        pytest.param("````md\n```py\na\n\nb\n```\n````\n\nc", "md\n\n ```py\n a\n\n b\n ```\n\n\nc", id="a fence in a fence"),
    ],
)
def test_no_text_of_the_answer_is_hidden(source: str, shown: str) -> None:
    assert seen([source]).rstrip() == shown.rstrip()
    assert seen(list(source)).rstrip() == shown.rstrip()


LONG = {
    "a list": "\n".join(f"- item{number}" for number in range(45)),
    "code": "Here:\n\n```py\n" + "\n".join(f"item{number} = '&nbsp;'" for number in range(45)) + "\n```\n\nDone.",
    "a table": "| a | b |\n|---|---|\n" + "\n".join(f"| item{number} | {'word ' * 20} |" for number in range(45)),
    "a paragraph": " ".join(f"item{number} {'word ' * 10}" for number in range(45)),
}


@pytest.mark.parametrize("what", LONG)
@pytest.mark.parametrize("delay", [0, 0.03], ids=["at once", "slowly"])
def test_a_block_taller_than_the_window_is_printed_once(emulator: Emulator, what: str, delay: float) -> None:
    emulator.always(text(LONG[what], deltas=re.findall(r".+?(?:item|\Z)", LONG[what], re.DOTALL), chunk_delay=delay))
    window = Window(*NARROW)
    with at_terminal("chat", "hi") as terminal:
        terminal.child.expect(import_module("pexpect").EOF)
        window.shows(terminal.child.before)
    assert re.findall(r"item(\d+)", window.text()) == [str(number) for number in range(45)]


@pytest.mark.parametrize("cell", ["word " * 20, "a word " * 30], ids=["one cell", "both cells"])
def test_rows_of_a_table_that_are_wrapped_scroll_out_of_the_window_whole(cell: str) -> None:
    console, screen = Console(file=io.StringIO(), force_terminal=True, width=80, height=24), MarkdownPrinter(reasoning=False)
    screen.console, screen.auto_refresh = console, False
    rows = [f"| item{number} {cell} | and {cell} |\n" for number in range(20)]
    for row in ["| a | b |\n|---|---|\n", *rows]:
        screen.write(row)
        screen.refresh()
    window = Window(24, 80)
    window.shows(_written(console))
    assert re.findall(r"item(\d+)", window.text()) == [str(number) for number in range(20)]
    screen.end()
    window.shows(_written(console))
    assert without_blanks(window.text()).count("word") == 40 * cell.count("word")


@pytest.mark.parametrize("what", LONG)
def test_a_block_taller_than_the_window_is_seen_while_it_streams(emulator: Emulator, what: str) -> None:
    shown, mark, rest = LONG[what].partition("item40")
    emulator.always(text(shown + mark + rest, deltas=[shown, mark + rest], stall_after=2))
    with at_terminal("chat", "hi") as terminal:
        terminal.child.expect_exact("item39")
