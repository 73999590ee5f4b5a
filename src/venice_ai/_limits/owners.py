"""Whether a process that wrote something into a shared file still lives.

Each owner holds a lock on a small file beside the shared one. The system drops the lock when the process ends, however it ends;
so a lock that can be had belongs to nobody any more. An identity of the process, such as its number, would be given again.
"""

from __future__ import annotations

import os
import secrets
import sys
from contextlib import suppress
from weakref import finalize


class Owner:
    """This process, as the owner of what it writes into the file `beside`."""

    def __init__(self, beside: str) -> None:
        self.name: str = secrets.token_hex(8)
        """What it signs with."""
        path = _lock_path(beside, self.name)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        _lock(descriptor)
        self._end = finalize(self, _end, descriptor, path, os.getpid())

    def forget(self) -> None:
        """In a child process: drops what it inherited, so that the lock is its parent's alone."""
        self._end()


def has_ended(beside: str, name: str) -> bool:
    """Whether the process that signed with this name is gone. Then what it left is removed."""
    path = _lock_path(beside, name)
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    try:
        _lock(descriptor)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    with suppress(OSError):  # another process was faster
        os.unlink(path)  # noqa: PTH108  # a path is a text here
    return True


def _lock_path(beside: str, name: str) -> str:
    return f"{beside}.{name}.owner"


def _end(descriptor: int, path: str, process: int) -> None:
    if os.getpid() == process:
        with suppress(OSError):
            os.unlink(path)  # noqa: PTH108
    os.close(descriptor)


if sys.platform == "win32":
    import msvcrt

    def _lock(descriptor: int) -> None:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(descriptor: int) -> None:
        # Not `lockf`: its locks belong to the process, which would then find its own to be free.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
