"""Answers on a terminal, their Markdown drawn while they come: a block (such as a list) again and again until it is whole."""

from __future__ import annotations

import os
import re
import sys
from functools import partial

from rich.live import Live
from rich.markdown import Markdown

from . import _output
from ._ask import AnswerPrinter

_rendered = partial(Markdown, hyperlinks=False)
_FENCE = re.compile(r"^ {0,3}(```+|~~~+)", re.MULTILINE)


def printer(*, reasoning: bool) -> AnswerPrinter:
    """What shows an answer as well as stdout can."""
    plain = not sys.stdout.isatty() or os.environ.get("TERM") in {"dumb", "unknown"}
    return AnswerPrinter(reasoning=reasoning) if plain else MarkdownPrinter(reasoning=reasoning)


def whole_blocks(text: str) -> int:
    """How many characters of an unfinished text are whole blocks: up to the last blank line that is in no fence."""
    end = text.rfind("\n\n") + 2
    while end > 1 and len(_FENCE.findall(text, 0, end)) % 2:
        end = text.rfind("\n\n", 0, end - 2) + 2
    return end if end > 1 else 0


class MarkdownPrinter(AnswerPrinter):
    """Prints an answer as rendered Markdown."""

    def __init__(self, *, reasoning: bool) -> None:
        super().__init__(reasoning=reasoning)
        self._block = ""
        self._live = Live(get_renderable=lambda: _rendered(self._block), transient=True, refresh_per_second=8)

    def write(self, text: str) -> None:
        self._live.start()
        self._block += _output.printable(text)
        if end := whole_blocks(self._block):
            whole, self._block = self._block[:end], self._block[end:]
            self._live.console.print(_rendered(whole), "")

    def end(self) -> None:
        if self._live.is_started:
            self._live.stop()
            self._live.console.print(_rendered(self._block))
            self._block, self._in_line = "", False
        super().end()
