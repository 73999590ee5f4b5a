"""The prompt: from the arguments, or from stdin."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click


def prompt_from(words: Sequence[str]) -> str | None:
    """The prompt that was given; None if there is none and a person sits at the terminal.

    Words are joined by blanks. A word `-` stands for what stdin holds, in a paragraph of its own; so does giving no words
    when stdin is not a terminal.

    Raises:
        click.UsageError: the prompt is empty, or not UTF-8.
    """
    if not words and sys.stdin is not None and sys.stdin.isatty():
        return None
    stdin = _read_stdin() if not words or "-" in words else ""
    prompt = join(words or ["-"], stdin)
    if not prompt:
        raise click.UsageError("the prompt is empty; give it as arguments or on stdin")
    require_text("the prompt", prompt)
    return prompt


def require_text(what: str, given: str) -> None:
    """Makes sure that an argument is text.

    Raises:
        click.UsageError: its bytes were not UTF-8.
    """
    try:
        given.encode()
    except UnicodeEncodeError:
        raise click.UsageError(f"{what} is not UTF-8 text") from None


def join(words: Sequence[str], stdin: str) -> str:
    """Words as one text, in which each `-` is the text of stdin."""
    paragraphs = [""]
    for word in words:
        if word == "-":
            paragraphs += [stdin.strip(), ""]
        else:
            paragraphs[-1] = f"{paragraphs[-1]} {word}".strip()
    return "\n\n".join(filter(None, paragraphs))


def _read_stdin() -> str:
    if sys.stdin is None:  # closed by whoever started the command
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"stdin is not UTF-8 text: {error.reason} at byte {error.start}") from None
