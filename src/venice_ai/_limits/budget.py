"""A cap on what chats may cost, kept before they are sent.

Before a request is sent, the most that it can cost (`costs.py`) is reserved; afterwards what it did cost takes the place
of that, or all of it if that is not known, as after a crash. A reply above its bound shows that the bounds do not hold; then
nothing more is sent under this cap. Amounts are whole billionths of a dollar, because sums of fractions drift.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf
from sqlite3 import Connection
from typing import Any, Final

from .._core.busy_retry import BUSY_SECONDS, PATIENCE_SECONDS, POLL_SECONDS, BusyRetry, is_busy
from .._core.ports import Pass
from .._core.shared_file import SharedFile
from .._core.waiter import Waiter
from ..costs import NANO, Chat, Spending, may_be_billed, nano_usd
from ..exceptions import BudgetExceededError, InvalidArgumentError, VeniceError
from ..types.api.chat import ChatUsage

_APPLICATION: Final = 0x56424447  # marks a file as a budget's
_MOST_USD: Final = 9_000_000

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS spending (
  day TEXT, model TEXT, nano_usd INTEGER NOT NULL, calls INTEGER NOT NULL, PRIMARY KEY (day, model)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reserved (
  id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, day TEXT NOT NULL, model TEXT NOT NULL, nano_usd INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS overshoot (nano_usd INTEGER NOT NULL, cap INTEGER NOT NULL);
"""
_ACCOUNT: Final = """SELECT  -- spent, reserved, the highest cap under which a reply passed its bound, and by how much all did
  (SELECT coalesce(sum(nano_usd), 0) FROM spending), (SELECT coalesce(sum(nano_usd), 0) FROM reserved),
  (SELECT coalesce(max(cap), -1) FROM overshoot), (SELECT coalesce(sum(nano_usd), 0) FROM overshoot)"""
_RESERVE: Final = "INSERT INTO reserved (owner, day, model, nano_usd) VALUES (?, ?, ?, ?)"
_SPEND: Final = """INSERT INTO spending SELECT day, model, ?, 1 FROM reserved WHERE id = ?
  ON CONFLICT DO UPDATE SET nano_usd = nano_usd + excluded.nano_usd, calls = calls + 1"""


class Budget:
    """A cap in US dollars on what the chats of one or more clients cost.

    ::

        budget = Budget(usd=5)
        async with VeniceClient(budget=budget) as client:
            ...
        print(budget.remaining, budget.spent())

    Before each request, also of retries, tool loops, batches and encrypted chats, the most that it can cost is reserved: as
    input the bytes of its body and 64 tokens for each message, as output `max_completion_tokens`, else all that the model can
    answer, so it pays to give that. Afterwards what the answer cost is taken in its place. A request that does not fit waits
    for those in flight; when nothing in flight could make room any more, it raises `BudgetExceededError` and is not sent.

    Args:
        usd: the cap.
        path: a file (SQLite) in which the budget is kept, also between programs. Processes that give the same path share what
            was spent; each keeps to the cap that it gives. Without one, the budget lives as long as this object.

    Raises:
        InvalidArgumentError: `usd` is not an amount, or the file is not a budget's (a ValueError).
        VeniceError: the file cannot be opened.
    """

    def __init__(self, usd: float | Decimal, path: str | os.PathLike[str] | None = None) -> None:
        cap = nano_usd(usd)
        if cap is None or usd > _MOST_USD:
            raise InvalidArgumentError(f"usd={usd!r} must be an amount in US dollars from 0 to {_MOST_USD:,}")
        self._cap = cap
        self._file = SharedFile(path, "Budget", _APPLICATION, _SCHEMA)
        self._waiting: list[Waiter] = []
        self._ended: dict[Reservation, int] = {}  # what is still to be written into the file, and what each has cost
        self._busy_retry = BusyRetry("What was reserved for an answer stays reserved until it can.")

    @property
    def cap(self) -> Decimal:
        """The cap, in US dollars."""
        return Decimal(self._cap) / NANO

    @property
    def remaining(self) -> Decimal:
        """What of the cap is neither spent nor reserved, in US dollars."""
        with self._current() as database:
            spent, reserved, *_ = database.execute(_ACCOUNT).fetchone()
        return Decimal(max(self._cap - spent - reserved, 0)) / NANO

    @property
    def overshoot(self) -> Decimal:
        """By how much replies passed their bounds, in US dollars; above 0, nothing more is sent under this cap."""
        with self._current() as database:
            return Decimal(database.execute(_ACCOUNT).fetchone()[3]) / NANO

    def spent(self) -> list[Spending]:
        """What was spent, by day and model; `sum(each.usd for each in budget.spent())` is the total."""
        with self._current() as database:
            self._count_ended(database)
            rows = database.execute("SELECT day, model, nano_usd, calls FROM spending ORDER BY day, model").fetchall()
        return [Spending(date.fromisoformat(day), model, Decimal(nano) / NANO, calls) for day, model, nano, calls in rows]

    async def reserve(self, chat: Chat, now: float, waiter: Waiter) -> Reservation:
        """Reserves the most that a chat can cost, when there is room for it. First come, first served, within a process."""
        self._waiting.append(waiter)
        try:
            while True:
                waiter.renew()
                try:
                    if self._waiting[0] is waiter and (reservation := self._reserved(chat, now)):
                        return reservation
                except VeniceError as error:
                    if not is_busy(error) or waiter.clock.now() > waiter.since + BUSY_SECONDS:
                        raise
                await waiter.wait("room in its budget or for its file", inf, inf if self._file.path is None else POLL_SECONDS)
        finally:
            self._waiting.remove(waiter)
            self._wake()

    def _reserved(self, chat: Chat, now: float) -> Reservation | None:
        """What is reserved now; None if a wait may make room, as all that is in flight may turn out to be free."""
        most, day = chat.most(), datetime.fromtimestamp(now, UTC).date().isoformat()
        with self._current(PATIENCE_SECONDS) as database:
            spent, reserved, stopped_cap, over = database.execute(_ACCOUNT).fetchone()
            stopped = stopped_cap >= self._cap
            if not stopped and spent + reserved + most <= self._cap:
                row = database.execute(_RESERVE, (self._file.owner, day, chat.entries[0].id, most)).lastrowid
                return Reservation(self, chat, most, int(row or 0))
            ended = self._count_ended(database)
        spent, reserved = spent + ended, reserved - ended
        if not stopped and reserved and spent + most <= self._cap:
            return None
        why = f"this request may cost {Decimal(most) / NANO:f} USD; a lower max_completion_tokens lowers that"
        if stopped:
            why = f"replies cost {Decimal(over) / NANO:f} USD more than the bounds reserved for them; the cap cannot be kept"
        said = f"{Decimal(spent) / NANO:f} of {self.cap:f} USD are spent, and {why}"
        enough = None if stopped else Decimal(spent + most) / NANO
        raise BudgetExceededError(f"not sent: {said}; a higher cap goes on", enough_usd=enough)

    def settle(self, reservation: Reservation, cost: int) -> None:
        """Replaces a reservation by what was spent, in nano-USD. It neither raises nor waits, for the answer is here."""
        self._ended[reservation] = cost
        self._busy_retry.run(self._settle_ended)

    def _settle_ended(self) -> None:
        with self._current(PATIENCE_SECONDS):
            pass
        self._wake()

    @contextmanager
    def _current(self, patience: float = BUSY_SECONDS) -> Generator[Connection]:
        """A transaction, in which all answers that have ended are settled."""
        with self._file.transaction(patience) as database:
            ended = self._ended.copy()
            for each, cost in ended.items():
                if _spend(database, each.row, cost) and cost > each.most:
                    database.execute("INSERT INTO overshoot VALUES (?, ?)", (cost - each.most, self._cap))
            yield database
        for each in ended:
            self._ended.pop(each, None)

    def _count_ended(self, database: Connection) -> int:
        """Counts as spent what processes had reserved that have ended, and gives how much that was."""
        rows = database.execute("SELECT id, nano_usd, owner FROM reserved").fetchall()
        ended = self._file.ended({owner for _, _, owner in rows})
        counted = [(row, nano) for row, nano, owner in rows if owner in ended]
        for row, nano in counted:
            _spend(database, row, nano)
        return sum(nano for _, nano in counted)

    def _wake(self) -> None:
        for first in self._waiting[:1]:  # which may be gone at any moment: threads share this list
            first.wake()

    def __reduce__(self) -> tuple[Any, ...]:
        if self._file.path is None:
            raise TypeError("a budget without a file lives in one process; give it a path to share it")
        return type(self), (self.cap, self._file.path)

    def __repr__(self) -> str:
        return f"Budget(usd={self.cap:f}, path={self._file.path and str(self._file.path)!r})"


def _spend(database: Connection, row: int, nano: int) -> bool:
    """Counts so much as spent in the place of a reservation; False if it was settled before."""
    if nano:
        database.execute(_SPEND, (nano, row))
    return bool(database.execute("DELETE FROM reserved WHERE id = ?", (row,)).rowcount)


@dataclass(eq=False)
class Reservation(Pass):
    """What is reserved for one attempt to send a chat, until it is over."""

    budget: Budget
    chat: Chat
    most: int
    row: int
    billed: bool = False  # as long as nothing is known of a reply, it was not sent

    def replied(self, found: object) -> None:
        self.billed = not isinstance(found, BaseException) or may_be_billed(found)

    def done(self, usage: object, cost: float | None) -> None:
        """The answer cost so much, or by its usage; if neither is known, all that was reserved, unless nothing was billed."""
        if (charged := nano_usd(cost)) is None:
            charged = self.most * self.billed
            if isinstance(usage, ChatUsage):
                counts = usage.prompt_tokens, usage.completion_tokens
                charged = self.chat.cost(usage) if all(type(n) is int and n >= 0 for n in counts) else charged
        self.budget.settle(self, charged)
