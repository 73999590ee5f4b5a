"""The protocol of a backend, a real model on this machine that answers in place of the emulated one, and its errors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from venice_ai.exceptions import VeniceError


class UnsupportedInput(ValueError):
    """The request holds something that the model cannot take; Venice's answer to it is 400."""


class LocalModelError(VeniceError):
    """The local model cannot be opened, or stopped working. The message says what to do."""


class Backend(Protocol):
    """A model that answers chat requests. The emulator has checked the request; it makes ids, headers, cost and errors.

    A body is that of a chat request, as the wire has it, with `n` left out. Raise `UnsupportedInput` for what the model
    cannot take, before the first chunk.
    """

    @property
    def model_id(self) -> str:
        """The model's name in the catalogue, where it becomes the default."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and answer may have together."""
        ...

    def stream(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        """The answer in chunks of one choice each, whether a stream is wanted or not. `usage` may come with any of them.

        Closed early if the caller leaves.
        """
        ...

    async def aclose(self) -> None:
        """Frees the model."""
        ...
