"""`RateShare(path)`: several processes with one API key share its rate limiters and its failure budget, through a file.

A row of the file (`shared_file.py`) holds what one rule knows. Whatever asks a rule does so in a transaction, in which the rule
is as the last process left it, and what it is afterwards is written. While all limits are far that happens once for a block of
requests (`account.py`). Each row also says what each process has under way; what a process that has ended had under way is
given back as soon as another one has to wait. Times are of the monotonic clock, which all processes of a machine share; after
the machine was restarted the state is forgotten.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from msgspec import msgpack

from .failure_budget import FailureBudget
from .rate_limiter import Quota, RateLimiter
from .shared_file import SharedFile
from .window import Window

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
    def _current(self, rules: Sequence[tuple[str, Rule]], written: dict[str, bytes]) -> Generator[None]:
        """A transaction, in which rules are as the last process left them; `written` is what this one has left, by name."""
        with self._file.transaction() as database:
            try:
                self._rows = [_Row(database, self._file.owner, *each, written) for each in rules]
                yield
                for row in self._rows:
                    row.write()
            except BaseException:
                written.clear()
                raise

    def _bury(self) -> bool:
        """In a transaction: gives back what processes had under way that have ended; whether there were any."""
        ended = self._file.ended({owner for row in self._rows for owner in row.under_way})
        for row in self._rows:
            for owner in ended:
                row.give_back(row.under_way.pop(owner, []))
        return bool(ended)

    def close(self) -> None:
        """Give back what this process has reserved, and close the file."""
        self._file.close()


class _Row:
    """A row of the file, and the rule whose state it is."""

    def __init__(self, database: Connection, owner: str, name: str, rule: Rule, written: dict[str, bytes]) -> None:
        self.database, self.owner, self.name, self.rule, self.written = database, owner, name, rule, written
        self.under_way: dict[str, list[float]] = {}
        """What each process has under way."""
        row = database.execute("SELECT state, at FROM rules WHERE name = ?", (name,)).fetchone()
        if row and row[1] <= time.monotonic():
            state, self.under_way = msgpack.decode(row[0])
            if row[0] != written.get(name):  # another process has changed it
                _restore(rule, state)
        else:
            rule.__init__()  # type: ignore[misc]  # as new
        self.before = _under_way(rule)

    def write(self) -> None:
        mine, now = self.under_way.pop(self.owner, [0.0] * len(self.before)), _under_way(self.rule)
        mine = [most + after - before for most, after, before in zip(mine, now, self.before, strict=True)]
        # Below 0: what another process has given back, because this one had closed the file.
        self.give_back([min(each, 0.0) for each in mine])
        if any(each > 0 for each in mine):
            self.under_way[self.owner] = [max(each, 0.0) for each in mine]
        self.written[self.name] = state = msgpack.encode((_plain(self.rule), self.under_way))
        self.database.execute("REPLACE INTO rules VALUES (?, ?, ?)", (self.name, state, time.monotonic()))

    def give_back(self, under_way: list[float]) -> None:
        if under_way:
            now = _under_way(self.rule)
            _set_under_way(self.rule, [each - gone for each, gone in zip(now, under_way, strict=True)])
            self.before = [each - gone for each, gone in zip(self.before, under_way, strict=True)]


def _under_way(rule: Rule) -> list[float]:
    if isinstance(rule, FailureBudget):
        return [rule.flying]
    return [rule.open, rule.requests.flying, rule.tokens.held]


def _set_under_way(rule: Rule, numbers: list[float]) -> None:
    if isinstance(rule, FailureBudget):
        rule.flying = int(numbers[0])
    else:
        rule.open, rule.requests.flying, rule.tokens.held = int(numbers[0]), int(numbers[1]), numbers[2]


_INNER: Final[dict[type, tuple[str, ...]]] = {
    RateLimiter: ("requests", "tokens"),
    FailureBudget: ("failures", "successes"),
    Quota: ("used",),
    Window: (),
}
"""What objects a rule is made of."""
_NAMES: Final = {
    kind: [name for name in vars(kind)["__slots__"] if name not in {*inner, "entries"}] for kind, inner in _INNER.items()
}
_VALUES: Final = {kind: attrgetter(*names) for kind, names in _NAMES.items()}


def _plain(value: Any) -> list[Any]:
    """The state of a rule as plain values."""
    kind = cast("Any", type(value))
    inner = [list(value.entries)] if kind is Window else [_plain(getattr(value, name)) for name in _INNER[kind]]
    return [_VALUES[kind](value), *inner]


def _restore(value: Any, state: list[Any]) -> None:
    """Gives a rule the state that `_plain` made plain."""
    kind = cast("Any", type(value))
    values, *inner = state
    for name, item in zip(_NAMES[kind], values, strict=True):
        setattr(value, name, item)
    if kind is Window:
        value.entries = deque(inner[0])
    for name, item in zip(_INNER[kind], inner, strict=False):
        _restore(getattr(value, name), item)
