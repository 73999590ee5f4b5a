"""A SQLite file that the processes of one machine share, and whether a process that wrote something into it still runs.

Everything is read and written in transactions that begin with the lock of the file, so that a process which dies in between
leaves the state before. Each process also locks a small file of its own, beside the shared one. The system drops that lock
however the process ends. The number of a process would not do, for it is given again.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final
from weakref import finalize

from ..exceptions import InvalidArgumentError, VeniceError
from .busy_retry import BUSY_SECONDS

_VERSION: Final = 1
_LOOK_AGAIN_SECONDS: Final = 0.0005
_OPEN_LOCKS: Final[set[IO[bytes]]] = set()


class SharedFile:
    """A database for `user`, such as `Budget`, with the tables of `schema`; in memory if there is no path.

    With `sync`, each commit waits for the disk. A VeniceError if the file cannot be opened, is something else, or newer.
    """

    def __init__(self, path: str | os.PathLike[str] | None, user: str, app_id: int, schema: str, *, sync: bool = False) -> None:
        self.path: Path | None = None if path is None else Path(path).absolute()
        self.owner: str = ""  # what this process signs with
        self._user, self._application, self._schema = user, app_id, schema
        self._synchronous = "FULL" if sync else "NORMAL"
        self._lock = threading.RLock()
        self._process = 0  # the one that has it open; -1: none may any more
        with self._explained():
            self._open()

    @contextmanager
    def transaction(self, patience: float = BUSY_SECONDS) -> Generator[sqlite3.Connection]:
        """The database, locked for all others. If they have it for longer than this many seconds, the error `is_busy`."""
        with self._lock, self._explained():
            if self._process < 0:
                raise VeniceError(f"this {self._user} was closed: {str(self.path)!r}; open it again with a new one")
            if self._process != os.getpid() and (self.path is not None or not self._process):
                self._open()
            _tried(lambda: self._database.execute("BEGIN IMMEDIATE"), patience)
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    self._database.execute("ROLLBACK")
                raise

    def keep_room(self, size: int) -> None:
        """Makes this process's own file so large, of random bytes, for others may be compressed; 0 gives the room back."""
        with self._lock, self._explained():
            self._own.truncate(0)
            if os.write(self._own.fileno(), os.urandom(size)) < size:
                raise sqlite3.OperationalError("disk is full")

    def ended(self, owners: set[str]) -> list[str]:
        """The owners among these whose processes have ended. The files that they had locked are removed."""
        return [owner for owner in owners if owner != self.owner and self._has_ended(owner)]

    def _has_ended(self, owner: str) -> bool:
        try:
            with self._lock_file(owner).open("r+b") as file:
                _lock(file)
        except (OSError, ValueError) as error:  # of a damaged row, what is not a name of a file
            return isinstance(error, (FileNotFoundError, ValueError))
        self._lock_file(owner).unlink(missing_ok=True)
        return True

    def close(self, *, for_good: bool = False) -> None:
        """Closes the file; what this process signed belongs to nobody any more. Unless `for_good`, the next use opens it."""
        with self._lock:
            if self._process == os.getpid():
                self._database.close()
                if self.path is not None:
                    self._end()
            self._process = -1 if for_good else 0

    def _open(self) -> None:
        """Opens the database and locks this process's own file; a forked child has neither."""
        place = ":memory:" if self.path is None else self.path
        database = sqlite3.connect(place, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            _tried(lambda: self._prepare(database), BUSY_SECONDS)  # it may be that others make the same file
        except BaseException:
            database.close()
            raise
        if self.path is not None:
            left = re.compile(rf"{re.escape(self.path.name)}\.(\d+-\w+)\.alive")
            with database:  # in a transaction, so that no process has a file that it has not locked yet
                _tried(lambda: database.execute("BEGIN IMMEDIATE"), BUSY_SECONDS)
                self.ended({found[1] for each in self.path.parent.iterdir() if (found := left.fullmatch(each.name))})
                self.owner = f"{os.getpid()}-{os.urandom(4).hex()}"
                path = self._lock_file(self.owner)
                path.touch(0o600, exist_ok=False)
                file = path.open("ab")
                _lock(file)
            _OPEN_LOCKS.add(file)
            self._own, self._end = file, finalize(self, _end, file, path, os.getpid())
        self._database, self._process = database, os.getpid()

    def _prepare(self, database: sqlite3.Connection) -> None:
        queries = "PRAGMA application_id", "SELECT count(*) FROM sqlite_master", "PRAGMA user_version"
        with database:
            database.execute("BEGIN")  # what one moment shows, for another process may be making the tables
            application, tables, version = (database.execute(query).fetchone()[0] for query in queries)
        if tables and application != self._application:
            raise self._not_ours()
        if version > _VERSION:
            raise InvalidArgumentError(f"path={str(self.path)!r} was written by a newer release of venice-chat")
        made = "" if tables else f"{self._schema}; PRAGMA application_id = {self._application};"
        # The version is written each time: a file that may only be read is found out now.
        made = f"BEGIN IMMEDIATE; {made} PRAGMA user_version = {_VERSION}; COMMIT;"
        database.execute(f"PRAGMA synchronous = {self._synchronous}")
        database.executescript(f"PRAGMA journal_mode = WAL; {made} PRAGMA busy_timeout = 0;")

    def _lock_file(self, owner: str) -> Path:
        assert self.path is not None, "what is in memory has no other owners"
        return self.path.with_name(f"{self.path.name}.{owner}.alive")

    def _not_ours(self) -> InvalidArgumentError:
        what = f"path={str(self.path)!r} is something else than the file of a {self._user}"
        return InvalidArgumentError(f"{what}; give the {self._user} a file of its own")

    @contextmanager
    def _explained(self) -> Generator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            if "not a database" in str(error):
                raise self._not_ours() from None
            is_full = "disk is full" in str(error)
            advice = "Make room on it, and go on" if is_full else "It needs a file of its own in a writable folder"
            if "malformed" in str(error):
                advice = f"It is damaged: move it away, and give the {self._user} a new one, which knows nothing of the past"
            raise VeniceError(f"{self._user} cannot use {str(self.path)!r}: {error}. {advice}") from error


def _tried(step: Callable[[], object], seconds: float) -> None:
    """Does a step as soon as no other process has the file. SQLite's own waiting is for up to 0.1 s, which is long here."""
    until = time.monotonic() + seconds
    while True:
        try:
            step()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            time.sleep(_LOOK_AGAIN_SECONDS)
        else:
            return


def _lock(file: IO[bytes]) -> None:
    """Takes the lock of a process's file; OSError if it is taken."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        # Not `lockf`: its locks belong to the process, which would then find its own to be free.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _end(file: IO[bytes], path: Path, process: int) -> None:
    file.close()
    _OPEN_LOCKS.discard(file)
    if os.getpid() == process:
        with suppress(OSError):
            path.unlink()


def _drop_locks() -> None:
    for file in _OPEN_LOCKS:  # a forked child would keep its parent's lock alive
        file.close()
    _OPEN_LOCKS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_locks)
