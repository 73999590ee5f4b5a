"""Work that a process does once and must not leave half done: the imports of a first call, the start of the loop's thread.

Ctrl-C amid an import leaves extension modules that cannot be imported again; a fork copies import locks that other threads
hold. So this runs on a thread of its own, which no signal interrupts, and a fork waits for it.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import cached_property
from importlib import import_module

TYPE_CHECKING = False  # start-up: what a client is made of does without `typing`
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    T = TypeVar("T")

_PACKAGE = __name__.partition(".")[0]
_loaded: set[str] = set()
# What a thread may import in the middle of a call.
_AWAITED = {_PACKAGE, "yarl", "truststore", "pydantic", "cryptography", *sys.stdlib_module_names}
# The locks of the modules that are being imported just now. (A module is found, and locked, before `sys.modules` knows it.)
_IMPORTS: dict[str, Callable[[], Any]] = getattr(sys.modules.get("importlib._bootstrap"), "_module_locks", {})
_MOST_SECONDS = 10.0
LOCK = threading.RLock()  # held while something is done that a fork must not cut in two, and while the process forks
# Modules that take a lock before a fork and give it back after it.
_LOCKS = {"logging": "_lock", "concurrent.futures.thread": "_global_shutdown_lock"}


def load(*names: str) -> None:
    """Imports modules: `.name` is one of this package. The ImportError of one is raised here."""
    if not _loaded.issuperset(names):
        whole(lambda: [import_module(name, _PACKAGE) for name in names])
        _loaded.update(names)


def whole(work: Callable[[], T]) -> T:
    """The result of some work that is done to its end, whatever interrupts the thread that waits for it."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            with LOCK:
                results.append(work())
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=run, name="venice-ai first use")
    try:
        if sys.is_finalizing():  # there are no more threads
            run()
        else:
            thread.start()
            thread.join()
    except RuntimeError:  # as the newer releases of Python say it
        run()
    if errors:
        raise errors.pop()  # the list is in the traceback's frame: it holds the error no longer
    return results[0]


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


def _before_fork() -> None:
    specs = {name: getattr(sys.modules.get(name), "__spec__", None) for name in _LOCKS}
    absent = [name for name, spec in specs.items() if spec is None or getattr(spec, "_initializing", False)]
    # Hooks run from the last registered to the first. If logging came after us, its lock is taken already, and an import that
    # we are about to wait for may need it.
    logging_lock: Any = getattr(sys.modules.get("logging"), "_lock", None)
    taken = "logging" not in absent and getattr(logging_lock, "_is_owned", bool)()
    if taken:
        logging_lock.release()
    LOCK.acquire()
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


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=LOCK.release, after_in_child=LOCK.release)
