"""What is sent to Venice and what comes back: messages, parameters, responses. The same names live in `venice_ai.types.api`."""

from .api import *  # noqa: F403
