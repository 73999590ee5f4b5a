"""Surrogate pairs that a server split between two deltas.

JSON may write a character beyond U+FFFF as two escapes, and a server may cut between them. Half of such a pair is no character:
a text that holds one cannot be printed, sent, or read as JSON.
"""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Whether the text has no half of a pair, so that it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def paired(text: str) -> str:
    """The text with its pairs as letters. A half that has no other stays as it is."""
    return text if is_whole(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def without_half(text: str) -> tuple[str, str]:
    """The text with its pairs as letters, and apart from it the first half of one at its end, whose other may still come."""
    text = paired(text)
    return (text[:-1], text[-1]) if "\ud800" <= text[-1:] <= "\udbff" else (text, "")


def before_half(text: str) -> str:
    """The text as far as it goes without a half."""
    text = paired(text)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[: error.start]
    return text


def sendable(text: str) -> str:
    """The text with a mark in place of every half."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
