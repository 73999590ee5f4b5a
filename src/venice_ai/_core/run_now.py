"""A coroutine that never suspends, run to its end without an event loop."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, TypeVar, cast

T = TypeVar("T")


def drive(work: Coroutine[Any, Any, T]) -> T:
    """What a coroutine returns or raises that never suspends; a RuntimeError if it does."""
    try:
        work.send(None)
    except StopIteration as done:
        return cast("T", done.value)
    work.close()
    raise RuntimeError("this awaits something that only an event loop can give")
