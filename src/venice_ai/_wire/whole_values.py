"""What came in pieces, made whole: each text joined, each object and list copied."""

from __future__ import annotations

from itertools import groupby
from typing import Any

from ..types._base import Model, is_array, is_object
from ..types._surrogates import joined
from .growing import DEEPEST, Texts, fields_of


def plain_copy(value: Any, depth: int = 0) -> Any:
    """A plain copy of what was held, each text in one piece."""
    if value.__class__ is Texts:
        return joined(value)
    if depth > DEEPEST:
        return value
    if isinstance(value, (dict, Model)):
        return {name: plain_copy(item, depth + 1) for name, item in fields_of(value).items()}
    return [plain_copy(item, depth + 1) for item in value] if is_array(value) else value


def content_of(pieces: list[Any], *, bare: bool) -> Any:
    """The content that came in pieces: text; or its parts, if they came as parts and any is no text."""
    parts = [piece for piece in pieces if not isinstance(piece, str)]
    if not parts:
        return joined(pieces) if pieces else []
    if len(parts) == len([*filter(None, pieces)]):
        return plain_copy(parts[0] if bare and len(parts) == 1 else parts)
    told = [piece for piece in pieces if isinstance(piece, str) or is_object(piece)]
    texts = [*map(_text_of, told)]
    if None not in texts:
        return joined(text or "" for text in texts)
    found: list[Any] = []
    for is_text, run in groupby(told, key=lambda piece: isinstance(piece, str)):
        items: list[Any] = [*run]
        found += [{"type": "text", "text": joined(items)}] if is_text else plain_copy(items)
    return [part for part in found if part != {"type": "text", "text": ""}]


def _text_of(piece: Any) -> str | None:
    """The text in a piece of content; None for a part that has none."""
    found = piece.get("text") if is_object(piece) else piece
    return found if isinstance(found, str) else None
