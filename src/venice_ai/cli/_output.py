"""Prints text: answers to stdout, all else to stderr; on a terminal without control characters, which it would obey."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Generator, Mapping, Sequence
from shutil import get_terminal_size
from textwrap import fill
from typing import TYPE_CHECKING, Any, TextIO
from unicodedata import east_asian_width

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse

_last = {"stdout": "\n"}  # the last character that was written
_NUMBER = re.compile(r"-|\$?[\d,]+(\.\d+)?")
_TAKEN = str.maketrans({"\n": "\n", "\t": "\t", "\r": ""})
CONTROLS = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}") | _TAKEN  # a terminal would obey


def prepare() -> None:
    """Makes stdout and stderr take any text, in UTF-8 where no terminal says otherwise, also where one is closed (`>&-`)."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is None:
            # Its number is most often that of the closed one, so that no socket gets it, and with it what others write there.
            number = os.open(os.devnull, os.O_WRONLY)
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", errors="replace", closefd=False))
        elif isinstance(stream, io.TextIOWrapper):
            fixed = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if fixed else "utf-8", errors="replace")


def line(text: str = "", end: str = "\n") -> None:
    _write(sys.stdout, text + end)


def write_json(value: Any) -> None:
    line(json.dumps(value, indent=2, ensure_ascii=False, default=float))


def note(text: str) -> None:
    """Tells something that is not the result; on a terminal never within a line of it, and with lines that break at blanks."""
    text = f"venice-chat: {text}"
    if sys.stderr.isatty():
        text = fill(text, get_terminal_size().columns, replace_whitespace=False, break_long_words=False, break_on_hyphens=False)
        text = "\n" * (_last["stdout"] != "\n" and sys.stdout.isatty()) + text
    _write(sys.stderr, f"{text}\n")


def tell(error: BaseException, message: str, code: int, *, as_json: bool) -> int:
    """Tells of an error, as a line of JSON if that is wanted, with the text that came; gives its exit code."""
    fields = {name: getattr(error, name, None) for name in ("status_code", "code", "request_id", "partial")}
    fields["partial"] = getattr(fields["partial"], "text", fields["partial"])
    record = {"error": {"type": type(error).__name__, "message": message, **fields}, "exit_code": code}
    print(json.dumps(record), file=sys.stderr) if as_json else note(message)
    return code


def aside(text: str) -> None:
    dim = sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    _write(sys.stderr, text, *(("\x1b[2m", "\x1b[0m") if dim else ()))


@contextlib.contextmanager
def quiet(terminal: TextIO) -> Generator[None]:
    """While answers come, a terminal keeps what is typed without showing it within them, and Ctrl-C loses none of it."""
    if sys.platform == "win32" or not terminal.isatty():
        yield
        return
    import termios

    def change(mode: list[Any]) -> None:
        with contextlib.suppress(OSError, termios.error):  # the window was closed
            if os.tcgetpgrp(terminal.fileno()) == os.getpgrp():  # the system stops what does this in the background
                termios.tcsetattr(terminal, termios.TCSANOW, mode)

    before = termios.tcgetattr(terminal)
    change([*before[:3], before[3] & ~(termios.ECHO | termios.ICANON) | termios.NOFLSH, *before[4:]])
    try:
        yield
    finally:
        change(before)


def abandon_stdout() -> None:
    """After the reader has gone: what is still to be written, also when Python ends, goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(stream: TextIO, text: str, before: str = "", after: str = "") -> None:
    stream.write(before + (text.translate(CONTROLS) if stream.isatty() else text) + after)
    stream.flush()
    if stream is sys.stdout:
        _last["stdout"] = text[-1:] or _last["stdout"]


def table(rows: Any, columns: Mapping[str, str], leave_out: Sequence[str] = (), *, as_json: bool, empty: str = "") -> None:
    """Prints rows as JSON, or as a table: headings, and what their formats make of a row. `leave_out` go where it is narrow."""
    if as_json:
        write_json(rows)
    elif rows:
        cells = [[" ".join(form.format_map(row).split()).translate(CONTROLS) for form in columns.values()] for row in rows]
        width = get_terminal_size().columns if sys.stdout.isatty() and len(columns) > 2 else None  # names and values: whole
        line(text := aligned([list(columns), *cells], leave_out, width))
        if hidden := [name for name in leave_out if name not in text.partition("\n")[0]]:
            aside(f"not shown, for want of room: {', '.join(hidden)}\n")
    else:
        note(empty)


def aligned(rows: Sequence[Sequence[str]], leave_out: Sequence[str] = (), width: int | None = None) -> str:
    """Rows as aligned lines, the first row being headings; numbers are aligned to the right."""
    columns = list(zip(*rows, strict=True))
    if width is not None:  # a cell that is long would leave the others no room
        columns[:-1] = [tuple(_cut(cell, width // 2) for cell in column) for column in columns[:-1]]
        needed = {column[0]: max(map(_cells, column)) + 2 for column in columns}
        last = columns[-1][0]  # what is longer is cut; one that is always shown leaves the others their room first
        needed[last] = min(needed[last], 42 if last in leave_out else 14)
        shown = needed.keys() - {*leave_out}
        for heading in reversed(leave_out):
            if sum(needed[each] for each in (*shown, heading)) - 2 <= width:
                shown.add(heading)
        columns = [column for column in columns if column[0] in shown]
    for index, column in enumerate(columns):
        blanks = [" " * (max(map(_cells, column)) - _cells(cell)) for cell in column]
        numbers = all(map(_NUMBER.fullmatch, column[1:]))
        columns[index] = tuple(blank + cell if numbers else cell + blank for blank, cell in zip(blanks, column, strict=True))
    return "\n".join(_cut("  ".join(line).rstrip(), width) for line in zip(*columns, strict=True))


def _cells(text: str) -> int:
    return len(text) if text.isascii() else sum(1 + (east_asian_width(letter) in "WF") for letter in text)


def _cut(line: str, width: int | None) -> str:
    while width is not None and _cells(line) > width:
        line = f"{line.removesuffix('...')[:-1]}..."
    return line


class AnswerPrinter:
    """Prints an answer: text on stdout, reasoning dim on stderr."""

    def __init__(self, *, reasoning: bool) -> None:
        self.response: ChatCompletionResponse | None = None  # what came, also of an answer that broke off
        self.asked, self.shows, self.shown = "", True, False  # the model; whether to print; whether a text was printed
        self._reasoning, self._thinking, self._in_line = reasoning, False, False

    def show(self, piece: Any) -> None:
        """Shows the first choice of a chunk, or all choices of an answer that came whole, apart from each other."""
        for number, choice in enumerate(piece.choices if self.shows else (), 1):
            delta = getattr(choice, "delta", None)
            part = getattr(choice, "message", None) if delta is None else delta
            if part is delta and (index := getattr(choice, "index", 0)) != vars(self).setdefault("_first", index):
                continue  # nobody asked for it
            if part is not delta and len(piece.choices) > 1:
                line(end="\n" * (number > 1))
                aside(f"answer {number} of {len(piece.choices)}:\n")
            thought = getattr(part, "reasoning_content", None)
            if isinstance(thought, str) and thought and self._reasoning:
                if getattr(self, "is_started", False):  # what is drawn would take it for a part of itself
                    self.end()
                self._thinking = True
                aside(thought)
            text = getattr(part, "content" if part is delta else "text", None)
            if isinstance(text, str) and text:
                if self._thinking:
                    aside("\n")
                # Before it is written: Ctrl-C may come at any time, and `end` is to know.
                self._thinking, self.shown, self._in_line = False, True, not text.endswith("\n")
                self.write(text)
            if part is not delta:
                self.end()

    def write(self, text: str) -> None:
        line(text, end="")

    def end(self) -> None:
        if self._thinking:
            aside("\n")
        if self._in_line:
            line()
        self._thinking = self._in_line = False
