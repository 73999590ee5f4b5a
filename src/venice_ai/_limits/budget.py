"""A cap on what chats may cost, kept before they are sent.

Before a request is sent, the most that it can cost (`upper_bound.py`) is reserved; when its answer is over, the reservation is
replaced by what it did cost. Spent and reserved money together never pass the cap, so neither does what is spent, however many
requests are under way. A request that does not fit waits for those in flight, which most often cost less than was reserved;
it is refused only when nothing is in flight any more. Amounts are whole billionths of a dollar: sums of fractions drift.

What happens to a reservation whose answer is not known:

- the server refused the request, or it never left: nothing is billed, the reservation is released;
- the connection broke, or time ran out, or a gateway's did (504), and no usage came: it may have been billed, and is spent;
- the process was killed: what it had reserved had been sent, or was about to be, and is spent too. Whether it was billed only
  the account knows, and a cap that is passed after a crash is no cap.

A reply above its bound shows that the bounds do not hold. Then nothing more is sent under this cap; a higher one goes on.

The rule is `Account.verdict`; the rest keeps it in SQLite: in memory, or in a file that several processes share.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from ..costs import VENICE_PROMPT_TOKENS_MOST
from ..exceptions import APIConnectionError, APITimeoutError, BudgetExceededError, InvalidArgumentError, VeniceError
from .owners import Owner, has_ended
from .upper_bound import NANO, Chat, nano_usd

if TYPE_CHECKING:
    from ..types.api.chat import ChatUsage

logger = logging.getLogger("venice_ai")

_APPLICATION: Final = 0x56424447  # marks a file as a budget's
_VERSION: Final = 1
_LOOK_AGAIN_SECONDS: Final = 0.05  # other processes cannot wake this one
_LOCK_SECONDS: Final = 30.0
_MOST_USD: Final = 1_000_000_000

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS spending (
  day TEXT, model TEXT, nano_usd INTEGER NOT NULL, calls INTEGER NOT NULL, PRIMARY KEY (day, model)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reserved (
  id INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, day TEXT NOT NULL, model TEXT NOT NULL, nano_usd INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS venice_prompt (model TEXT PRIMARY KEY, tokens INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS overshoot (nano_usd INTEGER NOT NULL, cap INTEGER NOT NULL);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
COMMIT;
"""


class Account(NamedTuple):
    """What was spent and is reserved, in nano-USD, and the highest cap under which a reply passed its bound (-1: none did)."""

    spent: int
    reserved: int
    stopped_cap: int = -1

    def verdict(self, cap: int, most: int, least: int | None = None) -> Literal["go", "wait", "refuse"]:
        """Whether a request may be sent that costs `most` at most.

        `least` is what its bound may become while it waits, as more is learnt. Nothing is worth a wait for a request that
        would not fit even if all that is in flight turned out to be free.
        """
        if self.stopped_cap >= cap:
            return "refuse"
        if self.spent + self.reserved + most <= cap:
            return "go"
        return "wait" if self.reserved and self.spent + (most if least is None else least) <= cap else "refuse"


class Spending(NamedTuple):
    """What the answers of one model cost on one day."""

    day: date
    """The day, in UTC, as Venice counts."""
    model: str
    """The id of the model."""
    usd: Decimal
    """US dollars."""
    calls: int
    """Requests that were, or may have been, billed."""


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
        InvalidArgumentError: `usd` is no amount, or the file is not a budget's (a ValueError).
        VeniceError: the file cannot be opened.
    """

    def __init__(self, usd: float | Decimal, path: str | os.PathLike[str] | None = None) -> None:
        cap = nano_usd(usd)
        if cap is None or cap > _MOST_USD * NANO:
            raise InvalidArgumentError(f"usd={usd!r} must be an amount in US dollars from 0 to {_MOST_USD:,}")
        self._cap = cap
        self._path = None if path is None else os.path.abspath(path)  # noqa: PTH100  # a path is a text here
        self._lock = threading.RLock()
        self._waiting: list[Place] = []
        self._owner: Owner | None = None
        self._open()

    @property
    def cap(self) -> Decimal:
        """The cap, in US dollars."""
        return Decimal(self._cap) / NANO

    @property
    def remaining(self) -> Decimal:
        """What of the cap is neither spent nor reserved, in US dollars."""
        with self._transaction() as run:
            self._count_ended(run)
            account = _account(run)
        return Decimal(max(self._cap - account.spent - account.reserved, 0)) / NANO

    @property
    def overshoot(self) -> Decimal:
        """By how much replies passed their bounds, in US dollars; above 0, nothing more is sent under this cap."""
        with self._transaction() as run:
            return Decimal(run("SELECT coalesce(sum(nano_usd), 0) FROM overshoot").fetchone()[0]) / NANO

    def spent(self) -> list[Spending]:
        """What was spent, by day and model; `sum(each.usd for each in budget.spent())` is the total."""
        with self._transaction() as run:
            self._count_ended(run)
            rows = run("SELECT day, model, nano_usd, calls FROM spending ORDER BY day, model").fetchall()
        return [Spending(date.fromisoformat(day), model, Decimal(nano) / NANO, calls) for day, model, nano, calls in rows]

    async def reserve(self, chat: Chat, now: float, place: Place) -> Reservation:
        """Reserves the most that a chat can cost, when there is room for it. First come, first served, within a process.

        Raises:
            BudgetExceededError: there is no room, and nothing in flight could make it.
            VeniceError: its model has no prices, it waited in vain (see `Place.wait`), or the file cannot be written.
        """
        if not self._waiting and (reservation := self._reserved(chat, now)):
            return reservation
        with self._lock:
            self._waiting.append(place)
        try:
            while True:
                if self._waiting[0] is place and (reservation := self._reserved(chat, now)):
                    return reservation
                await place.wait(None if self._path is None else _LOOK_AGAIN_SECONDS)
        finally:
            with self._lock:
                self._waiting.remove(place)
            self._wake()

    def _reserved(self, chat: Chat, now: float) -> Reservation | None:
        model, day = chat.entries[0].id, datetime.fromtimestamp(now, UTC).date().isoformat()
        with self._transaction() as run:
            seen = run("SELECT tokens FROM venice_prompt WHERE model = ?", model).fetchone()
            most, least = chat.most(VENICE_PROMPT_TOKENS_MOST if seen is None else seen[0]), chat.most(0)
            verdict = (account := _account(run)).verdict(self._cap, most, least)
            if verdict != "go" and self._count_ended(run):
                verdict = (account := _account(run)).verdict(self._cap, most, least)
            if verdict == "go":
                values = self._owner_name, day, model, most
                row = run("INSERT INTO reserved (owner, day, model, nano_usd) VALUES (?, ?, ?, ?)", *values).lastrowid
                return Reservation(self, chat, most, int(row or 0))
        if verdict == "wait":
            return None
        raise self._refusal(account, most)

    def _refusal(self, account: Account, needed: int) -> BudgetExceededError:
        spent = Decimal(account.spent) / NANO
        if account.stopped_cap >= self._cap:
            why = (
                f"replies cost {self.overshoot:f} USD more than the bounds that were reserved for them (Venice's own system "
                "prompt, or a search), so that the cap cannot be kept; a Budget with a higher cap goes on"
            )
        else:
            why = (
                f"this request may cost {Decimal(needed) / NANO:f} USD; a lower max_completion_tokens lowers that, a higher "
                "cap goes on"
            )
        return BudgetExceededError(f"not sent: {spent:f} of {self.cap:f} USD are spent, and {why}")

    def settle(self, reservation: Reservation, cost: int, prompt_tokens: int | None = None) -> None:
        """Replaces a reservation by what was spent, in nano-USD; 0 releases it. Never raises: the answer is here and counts."""
        try:
            with self._transaction() as run:
                self._settle(run, reservation, cost, prompt_tokens)
        except VeniceError as error:
            logger.error("%s. What was reserved for an answer stays reserved.", error)  # noqa: TRY400  # it is told, not traced
        self._wake()

    def _settle(self, run: _Run, reservation: Reservation, cost: int, prompt_tokens: int | None) -> None:
        row = run("SELECT day, model FROM reserved WHERE id = ?", reservation.row).fetchone()
        if row is None:
            return
        day, model = row
        _spend(run, day, model, cost)
        run("DELETE FROM reserved WHERE id = ?", reservation.row)
        if prompt_tokens is not None:  # Venice's own prompt is part of them
            known = model, min(prompt_tokens, VENICE_PROMPT_TOKENS_MOST)
            run(
                "INSERT INTO venice_prompt VALUES (?, ?) ON CONFLICT DO UPDATE SET tokens = min(tokens, excluded.tokens)",
                *known,
            )
        if cost > reservation.most:
            run("INSERT INTO overshoot VALUES (?, ?)", cost - reservation.most, self._cap)

    def _count_ended(self, run: _Run) -> bool:
        """Counts as spent what processes had reserved that are gone; whether there was any."""
        if self._path is None:
            return False
        owners = {name for (name,) in run("SELECT DISTINCT owner FROM reserved")} - {self._owner_name}
        ended = [name for name in owners if has_ended(self._path, name)]
        for name in ended:
            for day, model, nano in run("SELECT day, model, nano_usd FROM reserved WHERE owner = ?", name).fetchall():
                _spend(run, day, model, nano)
            run("DELETE FROM reserved WHERE owner = ?", name)
        return bool(ended)

    def _wake(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting[0].wake()

    # -- the file --------------------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        if self._owner is not None:
            self._owner.forget()  # the parent's, before a fork; so is the connection, which is left alone
        try:
            connection = sqlite3.connect(
                self._path or ":memory:", timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
            )
            queries = "PRAGMA application_id", "SELECT count(*) FROM sqlite_master", "PRAGMA user_version"
            application, tables, version = (connection.execute(query).fetchone()[0] for query in queries)
            if tables and application != _APPLICATION:
                raise InvalidArgumentError(f"path={self._path!r} is a database of something else, not a budget")
            if version > _VERSION:
                raise InvalidArgumentError(f"path={self._path!r} was written by a newer release of venice-chat")
            connection.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + ("" if tables else _SCHEMA))
            if self._path is not None:
                self._owner = Owner(self._path)
        except (sqlite3.DatabaseError, OSError) as error:
            if "not a database" in str(error):
                raise InvalidArgumentError(f"path={self._path!r} is no budget: {error}") from None
            raise VeniceError(f"the budget in {self._path!r} cannot be opened: {error}") from error
        self._owner_name = "" if self._owner is None else self._owner.name
        self._connection = connection
        self._process = os.getpid()

    @contextmanager
    def _transaction(self) -> Generator[_Run]:
        with self._lock:
            if self._path is not None and self._process != os.getpid():
                self._open()
            connection = self._connection
            try:
                connection.execute("BEGIN IMMEDIATE")
                try:
                    yield partial(_run, connection)
                except BaseException:
                    connection.execute("ROLLBACK")
                    raise
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                with suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise VeniceError(f"the budget in {self._path!r} cannot be kept: {error}") from error

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is None:
            raise TypeError("a budget without a file lives in one process; give it a path to share it")
        return type(self), (self.cap, self._path)

    def __repr__(self) -> str:
        return f"Budget(usd={self.cap:f}, path={self._path!r})"


_Run = Callable[..., sqlite3.Cursor]


_ACCOUNT: Final = """SELECT
  (SELECT coalesce(sum(nano_usd), 0) FROM spending), (SELECT coalesce(sum(nano_usd), 0) FROM reserved),
  (SELECT coalesce(max(cap), -1) FROM overshoot)"""
_SPEND: Final = """INSERT INTO spending VALUES (?, ?, ?, 1)
  ON CONFLICT DO UPDATE SET nano_usd = nano_usd + excluded.nano_usd, calls = calls + 1"""


def _run(connection: sqlite3.Connection, query: str, *values: Any) -> sqlite3.Cursor:
    return connection.execute(query, values)


def _account(run: _Run) -> Account:
    return Account(*run(_ACCOUNT).fetchone())


def _spend(run: _Run, day: str, model: str, nano: int) -> None:
    if nano:
        run(_SPEND, day, model, nano)


class Reservation:
    """What is reserved for one attempt to send a chat, until it is over."""

    __slots__ = ("budget", "chat", "most", "row")

    def __init__(self, budget: Budget, chat: Chat, most: int, row: int) -> None:
        self.budget = budget
        self.chat = chat
        self.most = most
        self.row = row

    def answered(self, usage: ChatUsage | None, cost_usd: float | None) -> None:
        """The answer is over: it cost so much, or by its usage; if neither is known, all that was reserved."""
        charged = nano_usd(cost_usd)
        if charged is None:
            charged = self.most if usage is None else self.chat.cost(usage)
        known = usage is not None and self.chat.has_venice_prompt and isinstance(usage.prompt_tokens, int)
        self.budget.settle(self, charged, usage.prompt_tokens if usage is not None and known else None)

    def released(self) -> None:
        """It was not sent, or was refused: nothing is billed."""
        self.budget.settle(self, 0)


class Place:
    """A place in the line of those that wait for room, on whatever event loop, until their call has to end."""

    def __init__(self, now: Callable[[], float] = float, due: float | None = None, queue_due: float | None = None) -> None:
        self._now = now
        self._due = min(
            ((at, clock) for at, clock in ((due, "deadline"), (queue_due, "queue")) if at is not None), default=(inf, "")
        )
        self._loop = asyncio.get_running_loop()
        self._woken = asyncio.Event()
        self._closed = False

    def wake(self) -> None:
        with suppress(RuntimeError):  # its loop was closed
            self._loop.call_soon_threadsafe(self._woken.set)

    def close(self) -> None:
        self._closed = True
        self.wake()

    async def wait(self, seconds: float | None) -> None:
        """Waits to be woken, at most so long; raises an APITimeoutError if the deadline or the time in queues ran out."""
        at, clock = self._due
        left = at - self._now()
        if left <= 0:
            error = APITimeoutError(
                f"the {clock!r} clock ran out while the call waited for room in its budget; it was not sent"
            )
            error.clock = clock
            raise error
        wait = min(left, inf if seconds is None else seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(None if wait == inf else wait):
                await self._woken.wait()
        self._woken.clear()
        if self._closed:
            raise APIConnectionError("the client was closed while a call waited for room in its budget; it was not sent")
