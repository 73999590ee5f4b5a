"""`RateShare(path)`: several processes with one API key share its rate limiters and its failure budget, through a file.

A row of the file holds what one rule knows, and what each process has under way; that of a process that has ended is given back
when another one has to wait. Times are of the monotonic clock, which all processes of a machine share until it is restarted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeAlias

from msgspec import DecodeError, msgpack

from .failure_budget import FailureBudget
from .rate_limiter import RateLimiter
from .shared_file import SharedFile

if TYPE_CHECKING:
    from sqlite3 import Connection

_APPLICATION: Final = 0x56525348  # marks a file as a share's
_SCHEMA = "CREATE TABLE IF NOT EXISTS rules (name TEXT PRIMARY KEY, state BLOB NOT NULL, at REAL NOT NULL)"
Rule: TypeAlias = RateLimiter | FailureBudget


class RateShare:
    """One rate limiter and one failure budget for all processes that name the same file.

    Raises:
        VeniceError: the file cannot be used: it is something else, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = SharedFile(path, "RateShare", _APPLICATION, _SCHEMA)
        self._rows: list[_Row] = []

    @contextmanager
    def _current(self, rules: Mapping[str, Rule]) -> Generator[None]:
        """A transaction, in which rules are as the last process left them; it fails at once if another process has the file."""
        with self._file.transaction(patience=0.0) as database:
            self._rows = [_Row(database, *each) for each in rules.items()]
            yield
            for row in self._rows:
                row.write(self._file.owner)

    def _bury(self) -> bool:
        """In a transaction: gives back what processes had under way that have ended; whether there were any."""
        ended = self._file.ended({owner for row in self._rows for owner in row.under_way})
        for row in self._rows:
            for owner in ended:
                row.rule.under_way(row.under_way.pop(owner, ()))
        return bool(ended)

    def close(self) -> None:
        """Give back what this process has reserved, and close the file."""
        self._file.close()


class _Row:
    """A row of the file, and the rule whose state it is."""

    def __init__(self, database: Connection, name: str, rule: Rule) -> None:
        self.database, self.name, self.rule = database, name, rule
        self.under_way: dict[str, list[float]] = {}  # what each process has under way
        row = database.execute("SELECT state FROM rules WHERE name = ? AND at <= ?", (name, time.monotonic())).fetchone()
        state = type(rule)()
        with suppress(DecodeError):  # of an earlier release
            if row:
                state, self.under_way = msgpack.decode(row[0], type=tuple[type(rule), dict[str, list[float]]])  # type: ignore[misc]
        for field in rule.__struct_fields__:
            setattr(rule, field, getattr(state, field))

    def write(self, owner: str) -> None:
        self.under_way.pop(owner, None)
        mine = [total - sum(others) for total, *others in zip(self.rule.under_way(), *self.under_way.values(), strict=True)]
        # Below 0: what another process has given back, because this one had closed the file.
        self.rule.under_way([min(each, 0.0) for each in mine])
        if any(each > 0 for each in mine):
            self.under_way[owner] = [max(each, 0.0) for each in mine]
        state = msgpack.encode((self.rule, self.under_way))
        self.database.execute("REPLACE INTO rules VALUES (?, ?, ?)", (self.name, state, time.monotonic()))
