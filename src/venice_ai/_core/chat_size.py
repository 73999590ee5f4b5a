"""How much a chat request asks for, as limits and budgets count it."""

from __future__ import annotations

from typing import NamedTuple


class ChatSize(NamedTuple):
    """The size of a chat request, for limits and budgets: its model, messages, output tokens and answers."""

    model: str
    """The model that is asked for, as the caller named it."""
    messages: int
    """How many messages are sent."""
    max_output_tokens: int | None
    """The most tokens that one answer may have, if the caller said so."""
    choices: int
    """How many answers are asked for."""
