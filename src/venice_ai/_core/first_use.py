"""What a process does once and must not leave half done: the imports of a first call, and the start of the loop's thread.

Ctrl-C in the middle of an import leaves extension modules that cannot be imported again (pydantic's core says so). And a fork
takes along what other threads are importing just then: half done, and locked for ever. So this work is done on a thread of its
own, which no signal interrupts, while whoever wants it waits; and a fork waits for its end.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from importlib import import_module
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

T = TypeVar("T")

_PACKAGE = __name__.partition(".")[0]
# What a thread may import in the middle of a call.
_AWAITED = {_PACKAGE, "yarl", "truststore", "pydantic", "cryptography", *sys.stdlib_module_names}
# The locks of the modules that are being imported just now. (A module is found, and locked, before `sys.modules` knows it.)
_IMPORTS: dict[str, Callable[[], Any]] = getattr(sys.modules.get("importlib._bootstrap"), "_module_locks", {})
_MOST_SECONDS = 10.0
_lock = threading.RLock()  # held while work is done, and while the process forks
_loaded: set[str] = set()


def load(*names: str) -> None:
    """Imports modules: `.name` is one of this package.

    Raises:
        ImportError: one cannot be imported.
    """
    if not _loaded.issuperset(names):
        whole(lambda: [import_module(name, _PACKAGE) for name in names])
        _loaded.update(names)


def whole(work: Callable[[], T]) -> T:
    """What some work gives that is done to its end, whatever interrupts the thread that waits for it."""
    task = _Task(work)
    thread = threading.Thread(target=task.run, name="venice-ai first use")
    try:
        if sys.is_finalizing():  # there are no more threads
            task.run()
        else:
            thread.start()
            thread.join()
    except RuntimeError:  # as the newer releases of Python say it
        task.run()
    return task.outcome()


class _Task(Generic[T]):
    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._result: T | None = None
        self._error: BaseException | None = None

    def run(self) -> None:
        with _lock:
            try:
                self._result = self._work()
            except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
                self._error = error

    def outcome(self) -> T:
        error, self._error = self._error, None
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback refers to this frame
        return cast("T", self._result)


# Modules that take a lock before a fork and give it back after it.
_LOCKS = {"logging": "_lock", "concurrent.futures.thread": "_global_shutdown_lock"}


def _before_fork() -> None:
    absent = [name for name in _LOCKS if name not in sys.modules or _is_initializing(name)]
    # Hooks run from the last registered to the first. If logging came after us, its lock is taken already, and an import that
    # we are about to wait for may need it.
    logging_lock: Any = getattr(sys.modules.get("logging"), "_lock", None)
    taken = "logging" not in absent and getattr(logging_lock, "_is_owned", bool)()
    if taken:
        logging_lock.release()
    _lock.acquire()
    # Less common parts are imported by the threads that need them. Their end is waited for, too, but not for ever.
    until = time.monotonic() + _MOST_SECONDS
    time.sleep(0)  # other threads have their turn before the check, then none for the milliseconds that a fork needs
    while _others_import() and time.monotonic() < until:
        time.sleep(0.001)
    if taken:
        logging_lock.acquire()
    # What came meanwhile was not asked to take its lock, but will be told to give it back.
    for name in absent:
        lock: Any = getattr(sys.modules.get(name), _LOCKS[name], None)
        if lock is not None and not getattr(lock, "_is_owned", bool)():
            lock.acquire(blocking=False)


def _others_import() -> bool:
    """Whether another thread is in the middle of an import that the child may need."""
    locks = [lock() for name, lock in list(_IMPORTS.items()) if name.partition(".")[0] in _AWAITED]
    here = threading.get_ident()
    return any(lock is not None and getattr(lock, "owner", None) != here for lock in locks)


def _is_initializing(name: str) -> bool:
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_lock.release, after_in_child=_lock.release)

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
