"""What a process does once and must not leave half done: the imports of a first call, and the start of the loop's thread.

Ctrl-C amid an import leaves extension modules that cannot be imported again (pydantic's core); a fork copies the import locks
that other threads hold. So this runs on a thread of its own, which no signal interrupts; a fork waits (`forks.py`).
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from .forks import LOCK

T = TypeVar("T")

_PACKAGE = __name__.partition(".")[0]
_loaded: set[str] = set()


def load(*names: str) -> None:
    """Imports modules: `.name` is one of this package. The ImportError of one is raised here."""
    if not _loaded.issuperset(names):
        whole(lambda: [import_module(name, _PACKAGE) for name in names])
        _loaded.update(names)


def whole(work: Callable[[], T]) -> T:
    """What some work gives that is done to its end, whatever interrupts the thread that waits for it."""
    task = Task(work)

    def run() -> None:
        with LOCK:
            task.run()

    thread = threading.Thread(target=run, name="venice-ai first use")
    try:
        if sys.is_finalizing():  # there are no more threads
            run()
        else:
            thread.start()
            thread.join()
    except RuntimeError:  # as the newer releases of Python say it
        run()
    return task.outcome()


class Outcome(Generic[T]):
    """What was returned or raised in one thread, for another one."""

    result: T | None = None
    error: BaseException | None = None

    def outcome(self) -> T:
        """What came of it, once."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback refers to this frame
        return cast("T", self.result)


class Task(Outcome[T]):
    """What a thread of ours does for another one, which waits until it is `done`."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self.done: threading.Event = threading.Event()

    def run(self) -> None:
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
            self.error = error
        self.done.set()


if TYPE_CHECKING:
    made_once = cached_property
else:

    class made_once(cached_property):  # noqa: N801  # it is used as the other is
        """`cached_property` without the lock that Python 3.11 gives it, which a fork would leave locked for ever."""

        def __get__(self, instance: Any, owner: type | None = None) -> Any:
            if instance is None:
                return self
            found = vars(instance)
            return found[self.attrname] if self.attrname in found else found.setdefault(self.attrname, self.func(instance))
