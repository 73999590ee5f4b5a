"""Prints text: answers to stdout, everything else to stderr.

Control characters in it, which a terminal would obey, are replaced there; files and pipes get the text as it is.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from typing import Any, TextIO

_CONTROLS = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0)), "\N{REPLACEMENT CHARACTER}"),
    ord("\n"): "\n",
    ord("\t"): "\t",
    ord("\r"): "",
}


def prepare() -> None:
    """Makes stdout and stderr take any text, in UTF-8 where no terminal says otherwise, also where one is closed (`>&-`)."""
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            fixed = stream.isatty() or "PYTHONIOENCODING" in os.environ
            stream.reconfigure(encoding=None if fixed else "utf-8", errors="replace")


def _nowhere() -> TextIO:
    # Its number is most often that of the closed one, so that no socket gets it, and with it what others write there.
    return open(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8", closefd=False)


def answer(text: str) -> None:
    """Writes a part of the answer at once."""
    _write(sys.stdout, text)


def line(text: str = "") -> None:
    _write(sys.stdout, f"{text}\n")


def as_json(value: Any) -> None:
    """Writes the result as JSON."""
    line(json.dumps(value, indent=2, ensure_ascii=False, default=float))


def note(text: str) -> None:
    """Tells something that is not the result."""
    _write(sys.stderr, f"venice-chat: {text}\n")


def aside(text: str) -> None:
    """Writes to stderr, dim where the terminal can."""
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
        _write(sys.stderr, text, "\x1b[2m", "\x1b[0m")
    else:
        _write(sys.stderr, text)


def printable(text: str) -> str:
    """A text without what a terminal would obey."""
    return text.translate(_CONTROLS)


def abandon_stdout() -> None:
    """After the reader has gone: what is still to be written, also when Python ends, goes nowhere."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(stream: TextIO, text: str, before: str = "", after: str = "") -> None:
    stream.write(before + (printable(text) if stream.isatty() else text) + after)
    stream.flush()
