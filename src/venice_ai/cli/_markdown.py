"""Answers on a terminal, their Markdown drawn while they come: of a block that is not whole yet, what the window has room for.

What is whole, or taller than the window, is printed for good. How far that went in a block is a number of letters and digits,
for these keep their order when what follows them, or another width, moves them to another line.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable
from html import unescape
from typing import Any, ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich import markdown
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.segment import Segment, SegmentLines
from rich.text import Text

from . import _output
from ._output import AnswerPrinter

_ALNUM = re.compile(r"[^\W_]")
_FENCED = r"^(?:[ >]|[-*+] |\d+[.)] )*(```+(?![^\n]*`)|~~~+).*?(?:^[ >]*\1[`~]*[ \t]*$|\Z)"
_PARTS = re.compile(rf"{_FENCED}|\n\s*\n(?=\S)", re.MULTILINE | re.DOTALL)
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["strikethrough", "table"]).disable(["reference", "autolink"])


def whole_blocks(text: str) -> int:
    """How many characters are whole blocks: up to the last blank line that is in no fence, and before no indented line."""
    return max((found.end() for found in _PARTS.finditer(text) if not found[1]), default=0)


class _Cell(markdown.TableDataElement):
    def __init__(self, justify: Any) -> None:
        super().__init__(justify)
        self.content.overflow = "fold"  # a long word is not cut


class _Code(markdown.CodeBlock):
    @classmethod
    def create(cls, markdown: markdown.Markdown, token: Token) -> markdown.CodeBlock:
        return cls(token.info.strip(), markdown.code_theme)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from [Text(self.lexer_name, "dim")] if self.lexer_name else ()
        yield from super().__rich_console__(console, options)


class _Markdown(markdown.Markdown):
    elements: ClassVar[Any] = {**markdown.Markdown.elements, "fence": _Code, "td_open": _Cell, "th_open": _Cell}

    def __init__(self, text: str) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = _PARSER.parse(text)


class MarkdownPrinter(AnswerPrinter, Live):
    """Prints an answer as rendered Markdown, and draws what is not final while it grows."""

    _text, _printed = "", 0  # what is not printed for good, but for so many letters and digits

    def __init__(self, *, reasoning: bool) -> None:
        AnswerPrinter.__init__(self, reasoning=reasoning)
        Live.__init__(self, console=Console(), transient=True, refresh_per_second=8)
        self._pending = deque[str]()  # what is to be drawn, by another thread

    def write(self, text: str) -> None:
        self._pending.append(text.translate(_output.CONTROLS))
        self.start()

    def end(self) -> None:
        if self.is_started:
            self.stop()
            self.console.print(SegmentLines(self._rest(self._text), new_lines=True), end="")
            self._text, self._printed, self._in_line = "", 0, False
            Live.__init__(self, console=self.console, transient=True, refresh_per_second=8)  # nothing to draw over
        super().end()

    def refresh(self) -> None:
        """Prints for good what is whole or finds no room, and draws the rest."""
        while self._pending:
            self._text += self._pending.popleft()
        done = list[list[Segment]]()
        if end := whole_blocks(self._text):
            done = [*self._rest(self._text[:end]), []]
            self._text, self._printed = self._text[end:], 0
        rest, room = self._rest(self._text), max(self.console.height - 1, 1)
        final = max(self._final(rest[:-room], text) for text in (self._text, unescape(self._text)))
        self._printed += len(_alnum(rest[:final]))
        if final and (opening := re.match(r"(?:```|~~~).*\n", self._text)):
            # Of long code only the lines that are left are drawn again.
            left = max(self._text.rfind("\n", 0, [*_ALNUM.finditer(self._text)][self._printed - 1].start()) + 1, opening.end())
            self._printed -= len(_ALNUM.findall(self._text, opening.end(), left))
            self._text = opening[0] + self._text[left:]
        with self.console:  # in one write
            for drawn, over in ([], [*done, *rest[:final]]), (rest[final:][-room:], []):
                self.update(SegmentLines(drawn, new_lines=True))
                super().refresh()
                if over:
                    self.console.print(SegmentLines(over, new_lines=True), end="")

    def _rest(self, text: str) -> list[list[Segment]]:
        lines = self.console.render_lines(_Markdown(text), pad=False)
        if Counter(_ALNUM.findall(unescape(text))) - Counter(_alnum(lines)):  # Markdown would hide some of it
            lines = self.console.render_lines(Text(text), pad=False)
        left = self._printed
        for index, line in enumerate(lines if left else ()):
            here = len(_alnum([line]))
            if here >= left:  # the end is within the line when the width is another one than before
                text = re.sub(rf"(?:[\W_]*[^\W_]){{{left}}}", "", "".join(each.text for each in line), count=1)
                return [*([[Segment(text)]] if here > left else ()), *lines[index + 1 :]]
            left -= here
        return [] if left else lines

    def _final(self, lines: list[list[Segment]], text: str) -> int:
        """How many lines can be printed for good: they end a row, and hold just the next letters and digits of the text."""
        final, place, expected, more = 0, self._printed, _ALNUM.findall(text), Counter[str]()
        for number, here in enumerate((_alnum([line]) for line in lines), 1):
            more.update(here)
            more.subtract(expected[place : place + len(here)])
            place += len(here)
            final = number if here and not any(more.values()) else final
        return final


def _alnum(lines: Iterable[Iterable[Segment]]) -> list[str]:
    return _ALNUM.findall("".join(segment.text for line in lines for segment in line))
