"""Surrogate pairs that a server split between two deltas.

JSON may write a character beyond U+FFFF as two escapes, and a server may cut between them. Half of a pair is not a character:
a text that holds one cannot be printed, sent, or read as JSON.
"""

from __future__ import annotations


def is_whole(text: str) -> bool:
    """Whether the text has no half of a surrogate pair, so that it can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def paired(text: str) -> str:
    """The text with each surrogate pair as the character it stands for. Half of a pair stays as it is."""
    return text if is_whole(text) else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def without_half(text: str) -> tuple[str, str]:
    """The text with its pairs as characters; and the first half of a pair at its end, whose second half may still come."""
    text = paired(text)
    return (text[:-1], text[-1]) if "\ud800" <= text[-1:] <= "\udbff" else (text, "")


def before_half(text: str) -> str:
    """The text before the first half of a pair whose other half is missing."""
    text = paired(text)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return text[: error.start]
    return text


def sendable(text: str) -> str:
    """The text with U+FFFD, the replacement character, for each half of a pair whose other half is missing."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
