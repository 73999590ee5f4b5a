"""What can go wrong with a model on this machine."""

from __future__ import annotations

from venice_ai.exceptions import VeniceError


class LocalModelError(VeniceError):
    """The local model cannot be opened, or stopped working. The message says what to do."""
