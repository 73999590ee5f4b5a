"""A real language model behind the emulator's front (extra `local`).

`request.py` makes the engine's request of what is asked for, with the grammar of `grammar.py`; `model.py` opens the engine and
runs it on a thread; `reply.py` makes Venice's chunks of what comes; `weights.py` finds and checks the file.
"""

from __future__ import annotations

from venice_ai.emulator.backend import LocalModelError, UnsupportedInput

from .model import LocalModel, open_local_model

__all__ = ["LocalModel", "LocalModelError", "UnsupportedInput", "open_local_model"]
