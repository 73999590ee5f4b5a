"""`tool_from_function` and `tool_from_model`, under the name where some look for them; their home is `tools`."""

from .tools import tool_from_function, tool_from_model

__all__ = ["tool_from_function", "tool_from_model"]
