"""A real language model behind the emulator's front (extra `local`).

How a request is answered: `request.py` decides what is asked for and makes the engine's request of it, with the prompt of
`prompt.py` and the grammar of `grammar.py`; `engine.py` runs it on a thread; `reply.py` makes Venice's chunks of what comes;
`model.py` joins them. `weights.py` finds and checks the file. Only `engine.py` and `weights.py` know the extra's packages.
"""

from __future__ import annotations

from venice_ai.emulator.backend import LocalModelError, UnsupportedInput

from .model import LocalModel, open_local_model

__all__ = ["LocalModel", "LocalModelError", "UnsupportedInput", "open_local_model"]
