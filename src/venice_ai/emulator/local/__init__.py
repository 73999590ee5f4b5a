"""A real language model behind the emulator's front (extra `local`).

`translation.py` makes the engine's request of what is asked for, with its grammar, and Venice's chunks of what comes;
`model.py` finds the weights, opens the engine and runs it on a thread.
"""

from __future__ import annotations

from venice_ai.emulator.backend import LocalModelError, UnsupportedInput

from .model import LocalModel, open_local_model

__all__ = ["LocalModel", "LocalModelError", "UnsupportedInput", "open_local_model"]
