"""`RateShare(path)`: several processes with one API key share its rate limiters and its failure budget, through a file.

A row of the file holds what one rule knows, and what each process has under way; that of a process that has ended is given back
when another one has to wait. Times are of the monotonic clock, which all processes of a machine share until it is restarted.
"""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from sqlite3 import Connection
from typing import Any, Final, TypeAlias, cast

from msgspec import DecodeError, msgpack

from .._core.busy_retry import PATIENCE_SECONDS
from .._core.shared_file import SharedFile
from .failure_budget import FailureBudget
from .rate_limiter import RateLimiter

_APPLICATION: Final = 0x56525348  # marks a file as a share's
_SCHEMA = "CREATE TABLE IF NOT EXISTS rules (name TEXT PRIMARY KEY, state BLOB NOT NULL, at REAL NOT NULL)"
Rule: TypeAlias = RateLimiter | FailureBudget
UnderWay: TypeAlias = dict[str, list[float]]


class RateShare:
    """One rate limiter and one failure budget for all processes that name the same file.

    Raises:
        VeniceError: the file cannot be used: it is something else, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = SharedFile(path, "RateShare", _APPLICATION, _SCHEMA)
        self._rows: list[tuple[Rule, UnderWay]] = []

    @contextmanager
    def _current(self, rules: Mapping[str, Rule]) -> Generator[None]:
        """A transaction, in which rules are as the last process left them; it fails soon if another process has the file."""
        with self._file.transaction(PATIENCE_SECONDS) as database:
            self._rows = [(rule, _read(database, name, rule)) for name, rule in rules.items()]
            yield
            for name, row in zip(rules, self._rows, strict=True):
                state = msgpack.encode((row[0], _signed(*row, self._file.owner)))
                database.execute("REPLACE INTO rules VALUES (?, ?, ?)", (name, state, time.monotonic()))

    def _bury(self) -> bool:
        """In a transaction: gives back what processes had under way that have ended; whether there were any."""
        ended = self._file.ended({owner for _, under_way in self._rows for owner in under_way})
        for rule, under_way in self._rows:
            for owner in ended:
                rule.under_way(under_way.pop(owner, ()))
        return bool(ended)

    def close(self) -> None:
        """Give back what this process has reserved, and close the file."""
        self._file.close()


def _read(database: Connection, name: str, rule: Rule) -> UnderWay:
    """Brings a rule up to date, and tells what each process has under way."""
    row = database.execute("SELECT state FROM rules WHERE name = ? AND at <= ?", (name, time.monotonic())).fetchone()
    state, under_way = type(rule)(), UnderWay()
    with suppress(DecodeError):  # of an earlier release
        if row:
            kind: Any = tuple[type(rule), UnderWay]  # type: ignore[misc]  # of a class that is known when it runs
            state, under_way = cast("tuple[Rule, UnderWay]", msgpack.decode(row[0], type=kind))
            under_way = {owner: each for owner, each in under_way.items() if len(each) == len(state.under_way())}
    for field in rule.__struct_fields__:
        setattr(rule, field, getattr(state, field))
    return under_way


def _signed(rule: Rule, under_way: UnderWay, owner: str) -> UnderWay:
    """What each process has under way now: this one, what the others do not have."""
    under_way.pop(owner, None)
    mine = [total - sum(others) for total, *others in zip(rule.under_way(), *under_way.values(), strict=True)]
    # Below 0: what another process has given back, because this one had closed the file.
    rule.under_way([min(each, 0.0) for each in mine])
    return under_way | ({owner: [max(each, 0.0) for each in mine]} if max(mine) > 0 else {})
