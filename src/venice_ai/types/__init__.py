"""The vocabulary: what is said to Venice and what comes back. The same names live in `venice_ai.types.api`."""

from .api import *  # noqa: F403
