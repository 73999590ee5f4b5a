"""The choices of an answer, made of what a stream has brought of them."""

from __future__ import annotations

from itertools import groupby
from typing import Any, cast

from ..types._base import is_object
from ..types._surrogates import joined
from .choice import Choice
from .growing import plain_copy


def choice_json(choice: Choice, index: int) -> dict[str, Any]:
    """A choice as it stands in a response."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    # Iteration gives what deltas bring, so that is the answer; a whole message beside them adds what none brought.
    rest = cast("dict[str, Any]", plain_copy(choice.rest))
    whole = rest.pop("message", None)
    message.update(whole if is_object(whole) else {})
    message.update(plain_copy(choice.message))
    if choice.content is not None:
        message["content"] = content_of(choice.content, bare=choice.bare)
    if choice.details is not None and choice.details.entries:
        message["reasoning_details"] = plain_copy(choice.details.entries)
    if choice.calls is not None and choice.calls.calls:
        message["tool_calls"] = [call.json() for call in choice.calls.in_order()]
    if choice.function is not None:
        message["function_call"] = choice.function.json()["function"]
    return {
        "index": index,
        "message": message,
        "finish_reason": choice.finish_reason,
        "logprobs": plain_copy(choice.logprobs),
        **rest,
    }


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
