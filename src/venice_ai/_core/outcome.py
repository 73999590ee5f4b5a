"""What work in one thread came to, for another thread: its result, or its exception."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Outcome(Generic[T]):
    """The result or the exception of work in one thread, for another thread."""

    result: T | None = None
    error: BaseException | None = None

    def outcome(self) -> T:
        """Returns the result, or raises the exception; the exception once."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback refers to this frame
        return cast("T", self.result)


class Task(Outcome[T]):
    """Work that a thread of ours does for another one, which waits until it is `done`."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.done: threading.Event = threading.Event()

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
            self.error = error
        self.done.set()
