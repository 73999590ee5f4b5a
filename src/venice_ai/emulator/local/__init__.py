"""A real language model behind the emulator's front (extra `local`)."""

from venice_ai.emulator.backend import LocalModelError, UnsupportedInput

from .model import LocalModel, open_local_model

__all__ = ["LocalModel", "LocalModelError", "UnsupportedInput", "open_local_model"]
