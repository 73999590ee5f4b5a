"""`RateShare(path)`: several processes with one API key share its rate limiter and its failure budget, through a file.

The file is a database of SQLite. A row holds the state of one limiter as JSON; each method reads it, applies the rule and
writes it, in one transaction (`BEGIN IMMEDIATE`), so that a process that dies in between leaves the state before. What a
process has reserved when it dies is given back as soon as another one has to wait: each process holds a lock on a file of its
own, which the system drops with the process. Times are of the monotonic clock, which all processes of a machine share; after
the machine was restarted the state is forgotten.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from ..exceptions import VeniceError
from .failure_budget import FailureBudget, Wait
from .rate_limiter import Flight, Quota, RateLimiter

APPLICATION = 0x56525348
"""Marks the database as ours, in its header."""
POLL_SECONDS = 0.05
"""How often to ask again for what another process has in flight."""
_NOTHING = (0.0, 0.0, 0.0)
_OPEN_LOCKS: list[IO[bytes]] = []
_SCHEMA = "CREATE TABLE IF NOT EXISTS rules (name TEXT PRIMARY KEY, state TEXT NOT NULL, at REAL NOT NULL)"


def plain(value: Any) -> Any:
    """State as JSON: an object is the list of its slots, a dictionary the list of its items."""
    if isinstance(value, (Quota, Flight)):
        return [plain(getattr(value, name)) for name in type(value).__slots__]
    if isinstance(value, dict):
        return [[key, plain(item)] for key, item in value.items()]
    return list(value) if isinstance(value, deque) else value


def restored(before: Any, state: Any) -> Any:
    """What `plain` made plain; `before` is a value of the same type."""
    if isinstance(before, (Quota, Flight)):
        for name, item in zip(type(before).__slots__, state, strict=True):
            setattr(before, name, restored(getattr(before, name), item))
        return before
    if isinstance(before, dict):
        return {
            key: restored(Flight(0.0, 0, _NOTHING, _NOTHING), item) if isinstance(item, list) else item for key, item in state
        }
    return deque(state, maxlen=before.maxlen) if isinstance(before, deque) else state


class _SharedRule:
    """A rule whose state is in the file. Its methods are those of the rule, each in a transaction of its own."""

    tickets: dict[int, Any]

    def __init__(self, share: RateShare, name: str) -> None:
        super().__init__()
        self.share = share
        self.name = name
        self.owners: dict[int, str] = {}
        """Which process holds a ticket."""

    def kept(self) -> list[str]:
        """The names of what is in the file. Refusals are not: errors cannot be written down."""
        return [*(name for name in type(self).__mro__[2].__slots__ if name != "refusals"), "owners"]  # type: ignore[attr-defined]

    def bury(self, now: float) -> bool:
        """Give back the tickets of processes that have ended; whether there were any."""
        dead = {owner for owner in set(self.owners.values()) - {self.share.owner} if self.share.dead(owner)}
        tickets = [ticket for ticket, owner in self.owners.items() if owner in dead]
        for ticket in tickets:
            self.give_back(ticket, now)
        return bool(tickets)

    def give_back(self, ticket: int, now: float) -> None:
        raise NotImplementedError


def _shared(method: Callable[..., Any]) -> Any:
    def shared(self: _SharedRule, *args: Any, **named: Any) -> Any:
        with self.share.state(self):
            result = method(self, *args, **named)
            if isinstance(result, Wait):
                if self.bury(args[0]):
                    result = method(self, *args, **named)
                elif result.until is None:
                    return Wait(args[0] + POLL_SECONDS, result.why)
            if isinstance(result, int):
                self.owners[result] = self.share.owner
            return result

    return shared


class SharedRateLimiter(_SharedRule, RateLimiter):
    """A rate limiter that several processes share."""

    reserve = _shared(RateLimiter.reserve)
    replied = _shared(RateLimiter.replied)
    settled = _shared(RateLimiter.settled)
    cancelled = _shared(RateLimiter.cancelled)
    snapshot = _shared(RateLimiter.snapshot)

    def give_back(self, ticket: int, now: float) -> None:
        RateLimiter.settled(self, ticket, now, None)


class SharedFailureBudget(_SharedRule, FailureBudget):
    """A failure budget that several processes share; which bodies were refused, each process knows for itself."""

    reserve = _shared(FailureBudget.reserve)
    ended = _shared(FailureBudget.ended)

    def give_back(self, ticket: int, now: float) -> None:
        FailureBudget.ended(self, ticket, now, failed=None)


class RateShare:
    """One rate limiter and one failure budget for all processes that name the same file.

    Raises:
        VeniceError: the file cannot be used: it is something else, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).absolute()
        self._lock = threading.RLock()
        self._process = 0
        with self._lock, self._explained():
            self._connect()

    def rate_limiter(self, bucket: str) -> SharedRateLimiter:
        """The rate limiter of a bucket; the name is the same in all processes, and holds no key."""
        return SharedRateLimiter(self, f"rate {bucket}")

    def failure_budget(self, account: str) -> SharedFailureBudget:
        """The failure budget of an account; the name is the same in all processes, and holds no key."""
        return SharedFailureBudget(self, f"failures {account}")

    def close(self) -> None:
        """Give back what this process has reserved, and close the file."""
        with self._lock:
            if self._process == os.getpid():
                self._database.close()
                self._alive.close()
                _OPEN_LOCKS.remove(self._alive)
                Path(self._alive.name).unlink(missing_ok=True)
            self._process = 0

    def _connect(self) -> None:
        """Open the database and lock this process's own file; a forked child has neither."""
        database = sqlite3.connect(self.path, timeout=10.0, isolation_level=None, check_same_thread=False)
        mark = database.execute("PRAGMA application_id").fetchone()[0]
        if mark != APPLICATION and database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            raise VeniceError(f"{str(self.path)!r} is a database of something else; give RateShare a file of its own")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute(f"PRAGMA application_id = {APPLICATION}")
        database.execute(_SCHEMA)
        self.owner = f"{os.getpid()}-{os.urandom(4).hex()}"
        self._alive = self._file(self.owner).open("xb")
        _lock(self._alive)
        _OPEN_LOCKS.append(self._alive)
        self._database, self._process = database, os.getpid()

    def _file(self, owner: str) -> Path:
        return self.path.with_name(f"{self.path.name}.{owner}.alive")

    def dead(self, owner: str) -> bool:
        """Whether the process that reserved as `owner` has ended."""
        try:
            with self._file(owner).open("r+b") as file:
                _lock(file)
        except FileNotFoundError:
            return True
        except OSError:
            return False
        self._file(owner).unlink(missing_ok=True)
        return True

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise VeniceError(
                f"RateShare cannot use {str(self.path)!r}: {error}. It needs a file of its own in a writable folder"
            ) from error

    @contextmanager
    def state(self, rule: _SharedRule) -> Iterator[None]:
        """In a transaction: `rule` is as the last process left it, and what it is afterwards is written."""
        with self._lock, self._explained():
            if self._process != os.getpid():
                self._connect()
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._load(rule)
                yield
                rule.owners = {ticket: owner for ticket, owner in rule.owners.items() if ticket in rule.tickets}
                state = json.dumps([plain(getattr(rule, name)) for name in rule.kept()])
                self._database.execute("REPLACE INTO rules VALUES (?, ?, ?)", (rule.name, state, time.monotonic()))
                self._database.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # a full disk has rolled back by itself
                    self._database.execute("ROLLBACK")
                raise

    def _load(self, rule: _SharedRule) -> None:
        row = self._database.execute("SELECT state, at FROM rules WHERE name = ?", (rule.name,)).fetchone()
        fresh = type(rule)(self, rule.name)
        state = json.loads(row[0]) if row and row[1] <= time.monotonic() else [plain(getattr(fresh, n)) for n in rule.kept()]
        for name, item in zip(rule.kept(), state, strict=True):
            setattr(rule, name, restored(getattr(fresh, name), item))


def _lock(file: IO[bytes]) -> None:
    """Take the lock of a process's file, which the system drops when the process ends; OSError if it is taken."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _drop_locks() -> None:
    for file in _OPEN_LOCKS:  # a forked child would keep its parent's lock alive
        file.close()
    _OPEN_LOCKS.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_locks)
