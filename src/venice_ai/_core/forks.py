"""Delays a fork until imports in other threads have ended; the child would inherit their locks, held for ever."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

# What a thread may import in the middle of a call.
_AWAITED = {__name__.partition(".")[0], "yarl", "truststore", "pydantic", "cryptography", *sys.stdlib_module_names}
# The locks of the modules that are being imported just now. (A module is found, and locked, before `sys.modules` knows it.)
_IMPORTS: dict[str, Callable[[], Any]] = getattr(sys.modules.get("importlib._bootstrap"), "_module_locks", {})
_MOST_SECONDS = 10.0
LOCK = threading.RLock()
"""Held while something is done that a fork must not cut in two, and while the process forks."""
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


def _is_initializing(name: str) -> bool:
    return bool(getattr(getattr(sys.modules.get(name), "__spec__", None), "_initializing", False))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=LOCK.release, after_in_child=LOCK.release)
