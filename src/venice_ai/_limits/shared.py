"""`RateShare(path)`: several processes with one API key share its rate limiter and its failure budget, through a file.

A row of the file (`shared_file.py`) holds the state of one limiter as JSON; each method reads it, applies the rule and writes
it, in one transaction. What a process has reserved when it dies is given back as soon as another one has to wait. Times are of
the monotonic clock, which all processes of a machine share; after the machine was restarted the state is forgotten.
"""

from __future__ import annotations

import json
import os
import time
from collections import deque
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, Final, cast

from .failure_budget import FailureBudget, Wait
from .rate_limiter import Flight, Quota, RateLimiter
from .shared_file import SharedFile

_APPLICATION: Final = 0x56525348  # marks a file as a share's
POLL_SECONDS = 0.05
"""How often to ask again for what another process has in flight."""
_NOTHING = (0.0, 0.0, 0.0)
_SCHEMA = "CREATE TABLE IF NOT EXISTS rules (name TEXT PRIMARY KEY, state TEXT NOT NULL, at REAL NOT NULL)"


def plain(value: Any) -> Any:
    """State as JSON: an object is the list of its slots, a dictionary the list of its items."""
    if isinstance(value, (Quota, Flight)):
        return [plain(getattr(value, name)) for name in type(value).__slots__]
    if isinstance(value, dict):
        return [[key, plain(item)] for key, item in cast("dict[int, Any]", value).items()]
    return list(cast("deque[Any]", value)) if isinstance(value, deque) else value


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

    def __init__(self, file: SharedFile, name: str) -> None:
        super().__init__()
        self.file = file
        self.name = name
        self.owners: dict[int, str] = {}
        """Which process holds a ticket."""

    def kept(self) -> list[str]:
        """The names of what is in the file. Refusals are not: errors cannot be written down."""
        return [*(name for name in type(self).__mro__[2].__slots__ if name != "refusals"), "owners"]  # type: ignore[attr-defined]

    def bury(self, now: float) -> bool:
        """Give back the tickets of processes that have ended; whether there were any."""
        dead = {owner for owner in set(self.owners.values()) - {self.file.owner} if self.file.ended(owner)}
        tickets = [ticket for ticket, owner in self.owners.items() if owner in dead]
        for ticket in tickets:
            self.give_back(ticket, now)
        return bool(tickets)

    def give_back(self, ticket: int, now: float) -> None:
        raise NotImplementedError


def _shared(method: Callable[..., Any]) -> Any:
    def shared(self: _SharedRule, *args: Any, **named: Any) -> Any:
        with _state(self):
            result = method(self, *args, **named)
            if isinstance(result, Wait):
                if self.bury(args[0]):
                    result = method(self, *args, **named)
                elif result.until is None:
                    return Wait(args[0] + POLL_SECONDS, result.why)
            if isinstance(result, int):
                self.owners[result] = self.file.owner
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
        self._file = SharedFile(path, "RateShare", _APPLICATION, _SCHEMA)

    def _rate_limiter(self, bucket: str) -> SharedRateLimiter:
        """The rate limiter of a bucket; the name is the same in all processes, and holds no key."""
        return SharedRateLimiter(self._file, f"rate {bucket}")

    def _failure_budget(self, account: str) -> SharedFailureBudget:
        """The failure budget of an account; the name is the same in all processes, and holds no key."""
        return SharedFailureBudget(self._file, f"failures {account}")

    def close(self) -> None:
        """Give back what this process has reserved, and close the file."""
        self._file.close()


@contextmanager
def _state(rule: _SharedRule) -> Generator[None]:
    """In a transaction: `rule` is as the last process left it, and what it is afterwards is written."""
    with rule.file.transaction() as database:
        row = database.execute("SELECT state, at FROM rules WHERE name = ?", (rule.name,)).fetchone()
        fresh = type(rule)(rule.file, rule.name)
        state = json.loads(row[0]) if row and row[1] <= time.monotonic() else [plain(getattr(fresh, n)) for n in rule.kept()]
        for name, item in zip(rule.kept(), state, strict=True):
            setattr(rule, name, restored(getattr(fresh, name), item))
        yield
        rule.owners = {ticket: owner for ticket, owner in rule.owners.items() if ticket in rule.tickets}
        state = json.dumps([plain(getattr(rule, name)) for name in rule.kept()])
        database.execute("REPLACE INTO rules VALUES (?, ?, ?)", (rule.name, state, time.monotonic()))
