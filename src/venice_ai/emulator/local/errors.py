"""The error of the local model."""

from __future__ import annotations

from venice_ai.exceptions import VeniceError


class LocalModelError(VeniceError):
    """The local model cannot be opened, or stopped working. The message says what to do."""
