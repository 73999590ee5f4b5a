"""Warnings that name the line of the caller's code, however deep they arise, which no fixed `stacklevel` does."""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from typing import Final

WAITING_THREAD: Final[ContextVar[int | None]] = ContextVar("WAITING_THREAD", default=None)
"""The thread that waits for what the current task does, by its identity."""
_MOST_REMEMBERED: Final = 1_000  # texts that Python may remember as shown; those that name what it was given have no end
# Between a task of ours, such as those of a batch, and the caller there is the event loop.
_BETWEEN: Final = ("venice_ai", "asyncio", "threading")


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warns at the line of the caller's code that led here."""
    thread = WAITING_THREAD.get()
    frame = sys._getframe() if thread is None else sys._current_frames().get(thread)  # noqa: SLF001  # documented
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _BETWEEN:
        frame = frame.f_back
    frame = frame or sys._getframe(1)  # noqa: SLF001  # likewise
    registry = frame.f_globals.setdefault("__warningregistry__", {})
    if len(registry) > _MOST_REMEMBERED:
        registry.clear()
    module = frame.f_globals.get("__name__")
    warnings.warn_explicit(message, category, frame.f_code.co_filename, frame.f_lineno, module=module, registry=registry)
