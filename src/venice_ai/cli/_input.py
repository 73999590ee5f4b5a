"""Reads the prompt from the arguments and from stdin."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click


def prompt_from(words: Sequence[str]) -> str | None:
    """The prompt: the words, and what is piped, after them or in place of a `-`; `None` if a terminal gives no words."""
    typed = sys.stdin is not None and sys.stdin.isatty()
    if not words and typed:
        return None
    piped = "" if typed and "-" not in words else _read_stdin()
    prompt = join(words if "-" in words else [*words, "-"], piped)
    if not prompt:
        raise click.UsageError("the prompt is empty; give it as arguments or on stdin")
    require_text("the prompt", prompt)
    return prompt


def require_text(what: str, given: str) -> None:
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
