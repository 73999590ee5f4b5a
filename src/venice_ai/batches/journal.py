"""The journal of a batch: what is sent is written down before, and what comes before it is handed over.

It is one SQLite file (`SharedFile`), in write-ahead mode. What was committed survives the end of a process, however it ends;
with `sync=True` each commit waits for the disk, and survives a loss of power. A request has a row, in one of four states:

- in flight: an owner has written down its intent to send it. It lives as long as the lock that its process holds on a file of
  its own, which the system drops when the process ends. Then the row is free again; whether the request was billed only the
  account knows, and whoever sends it again is told.
- answered, with the answer; failed for good, with the error; or open: it was not sent, or it was and the moment was wrong.

`verdict` is the rule; every transition of a row is one function below it, within a transaction that holds the lock of the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, Self, TypeAlias, cast

from .._limits.shared_file import SharedFile
from ..exceptions import InvalidArgumentError
from ..types._base import mark_private
from ..types.api.chat import ChatCompletionResponse
from .identity import Identity
from .sealing import Sealing

if TYPE_CHECKING:
    from sqlite3 import Connection

_APPLICATION: Final = 0x564A4E4C  # marks a file as a journal
_PAGE: Final = 200
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, digest BLOB NOT NULL, state INTEGER NOT NULL, owner TEXT,
  maybe_billed INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, cost_usd REAL);
CREATE TABLE IF NOT EXISTS requests (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outcomes (id INTEGER PRIMARY KEY, content BLOB NOT NULL);
"""
_RETRY: Final = "UPDATE rows SET state = 0 WHERE state = 3"
_INTEND: Final = "INSERT OR IGNORE INTO rows (key, digest, state, owner) VALUES (?, ?, 1, ?)"
_INTEND_AGAIN: Final = "UPDATE rows SET state = 1, owner = ?, maybe_billed = ? WHERE id = ?"
_CONTENT: Final = {name: f"SELECT content FROM {name} WHERE id = ?" for name in ("requests", "outcomes")}  # noqa: S608
_KEEP: Final = """UPDATE rows SET state = ?, owner = NULL, attempts = ?, cost_usd = ?, maybe_billed = max(maybe_billed, ?)
  WHERE id = ? AND owner = ? AND state = 1"""
_ROW: Final = "SELECT id, digest, state, owner, maybe_billed, attempts, cost_usd FROM rows WHERE key = ?"
_PAGE_OF_ROWS: Final = """SELECT rows.id, state, owner, maybe_billed, attempts, cost_usd, requests.content, outcomes.content
  FROM rows JOIN requests USING (id) LEFT JOIN outcomes USING (id) WHERE rows.id > ? ORDER BY rows.id LIMIT ?"""

OPEN, IN_FLIGHT, ANSWERED, FAILED = range(4)
State: TypeAlias = Literal["open", "in_flight", "answered", "failed"]
Verdict: TypeAlias = Literal["send", "wait", "answered", "failed", "differs"]
_STATES: Final[tuple[State, ...]] = ("open", "in_flight", "answered", "failed")


class Row(NamedTuple):
    """A row, without what was sent and what came."""

    id: int
    digest: bytes
    state: int
    owner: str | None
    maybe_billed: bool
    attempts: int
    cost_usd: float | None


class Keep(NamedTuple):
    """What came of a row that its owner had claimed: the state that it has now, and a record of what came."""

    row: int
    state: int
    outcome: bytes | None
    attempts: int
    cost_usd: float | None
    maybe_billed: bool


class Found(NamedTuple):
    """What a claim comes to: send it; wait for whoever sends it; what came of it before; or another body has the same id."""

    what: Verdict
    row: int
    maybe_billed: bool = False
    content: bytes = b""
    """What came before; of one that differs, the body that was sent under this id."""
    attempts: int = 0
    cost_usd: float | None = None


def verdict(row: Row, digest: bytes, *, owner_ended: bool) -> Verdict:
    """What may be done with a request that has a row already."""
    if row.digest != digest:
        return "differs"
    if row.state == IN_FLIGHT:
        return "send" if owner_ended else "wait"
    return "send" if row.state == OPEN else "answered" if row.state == ANSWERED else "failed"


@dataclass(frozen=True, slots=True)
class JournalRow:
    """What a journal knows of one request."""

    custom_id: str | None
    """The id that it was given."""
    state: State
    """`answered`; `failed`: set aside with its error; `in_flight`: some process is sending it; `open`: to be sent again."""
    request: dict[str, Any]
    """The body that was asked for."""
    response: ChatCompletionResponse | None
    """The answer; also of one that failed because the answer is not the object that was asked for."""
    error: str | None
    """What went wrong at last, such as `NotFoundError: ...`."""
    attempts: int
    """How often it was sent by the run that sent it last."""
    cost_usd: float | None
    """What that cost in US dollars, as far as the server said so."""
    maybe_billed_before: bool
    """Whether it may have been billed without an answer that was kept."""


class JournalCounts(NamedTuple):
    """How many requests of a journal are in which state; see `JournalRow.state`."""

    answered: int
    failed: int
    in_flight: int
    open: int
    cost_usd: float
    """What the answers cost in US dollars, as far as the server said so."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.answered + self.failed + self.in_flight + self.open


class Journal:
    """A file in which a batch keeps what it sends and what it is answered, so that it can be interrupted at any time.

    ::

        with Journal("answers.journal") as journal:
            async for item in client.chat.completions.batch_iter(requests, journal=journal):
                ...

    Run it again, with the same requests: what was answered comes from the journal, the rest is sent. A request is known by its
    `custom_id`, else by its body, with the model's name as it was asked for; identical ones are sent once and answered to all
    who asked. After a `kill -9` every answer that was yielded is there, and at most what was in flight is sent again. Several
    processes of one machine may use a journal at the same time. What failed for good after its retries is set aside.

    Args:
        path: the file; it is made if it is not there.
        sync: wait for the disk at each commit, so that also a loss of power loses nothing. Slower.
        key: 32 bytes with which requests, answers and ids are encrypted in the file (AES-256-GCM). A client with
            `min_privacy="e2ee"` takes no other journal. Needs the extra `e2ee`.
        key_file: a file that holds the key; made, with a new key, if it is not there. Only its owner may read it.
        retry_failed: send what failed for good once more.

    Raises:
        InvalidArgumentError: the file is no journal, of a newer release, or encrypted with another key; or the key file can be
            read by others (a ValueError).
        VeniceError: the file cannot be opened or written.
        ImportError: a key was given, and the extra is not installed.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sync: bool = False,
        key: bytes | None = None,
        key_file: str | os.PathLike[str] | None = None,
        retry_failed: bool = False,
    ) -> None:
        self.sync: bool = sync
        """Whether each commit waits for the disk."""
        self.retry_failed: bool = retry_failed
        """Whether what failed for good is sent once more."""
        self.batches: int = 0
        """How many batches use it now."""
        self._closing = False
        self._sealing = Sealing.of(key, key_file)
        self._file = SharedFile(path, "Journal", _APPLICATION, _SCHEMA, sync=sync)
        self.path: Path = Path(path).absolute()
        """The file."""
        try:
            self._check("key", self._sealing.check)
        except BaseException:
            self.close()
            raise

    # -- for reading -------------------------------------------------------------------------------------------------------

    @property
    def settings(self) -> dict[str, str]:
        """What it was made with: `base_url`, `response_format`, `tools`. Empty before the first batch."""
        query = "SELECT name, value FROM settings WHERE name != 'key'"
        with self._file.transaction() as database:
            return dict(database.execute(query).fetchall())

    def counts(self) -> JournalCounts:
        """How many requests are in which state."""
        counts, cost = dict.fromkeys(range(4), 0), 0.0
        query = "SELECT state, owner, count(*), total(cost_usd) FROM rows GROUP BY state, owner"
        with self._file.transaction() as database:
            for state, owner, number, usd in database.execute(query):
                counts[self._state(state, owner)] += number
                cost += usd
        return JournalCounts(counts[ANSWERED], counts[FAILED], counts[IN_FLIGHT], counts[OPEN], cost)

    def rows(self) -> Iterator[JournalRow]:
        """Every request, in the order in which they were sent first. It may be read while batches run."""
        last = 0

        def following() -> list[Any]:
            with self._file.transaction() as database:
                return database.execute(_PAGE_OF_ROWS, (last, _PAGE)).fetchall()

        while page := following():
            for row, state, owner, billed, attempts, cost, request, outcome in page:
                asked = json.loads(self._sealing.open(request, row, "request"))
                came = {} if outcome is None else json.loads(self._sealing.open(outcome, row, "outcome"))
                response = came.get("response")
                yield JournalRow(
                    asked["custom_id"],
                    _STATES[self._state(state, owner)],
                    asked["body"],
                    None if response is None else self.response(response),
                    f"{came['error']['type']}: {came['error']['message']}" if came.get("error") else None,
                    attempts,
                    cost,
                    bool(billed),
                )
            last = page[-1][0]

    def close(self) -> None:
        """Closes the file, at the end of the batches that use it. May be called often."""
        self._closing = True
        if not self.batches:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    # -- for batches -------------------------------------------------------------------------------------------------------

    def ended(self) -> None:
        """One of the batches that use it is over."""
        self.batches -= 1
        if self._closing:
            self.close()

    @property
    def secret(self) -> bytes:
        """What the hashes of requests are keyed with; empty in a journal that is not encrypted."""
        return self._sealing.secret

    def begin(self, settings: Mapping[str, str], *, private: bool) -> None:
        """A batch with these settings begins; private ones take an encrypted journal alone.

        Raises:
            InvalidArgumentError: the journal was made with other settings.
        """
        if private and not self._sealing.secret:
            raise InvalidArgumentError(
                'a client with min_privacy="e2ee" takes an encrypted journal: Journal(..., key_file=...)'
            )
        for name, value in settings.items():
            self._check(name, value)
        if self.retry_failed:
            with self._file.transaction() as database:
                database.execute(_RETRY)

    def apply(self, changes: Sequence[Identity | Keep]) -> list[Any]:
        """What claims of requests come to (`Found`), and whether what came was kept, all in one transaction.

        Raises:
            VeniceError: it cannot be written; `is_busy` tells whether that is because another process is writing now.
        """
        with self._file.transaction(wait=False) as database:
            return [
                self._keep(database, change) if isinstance(change, Keep) else self._claim(database, change)
                for change in changes
            ]

    def outcome(self, found: Found) -> dict[str, Any]:
        """The record of what came, as it was given to `Keep`."""
        return cast("dict[str, Any]", json.loads(self._sealing.open(found.content, found.row, "outcome")))

    def response(self, fields: dict[str, Any]) -> ChatCompletionResponse:
        """The response in such a record. That of an encrypted journal is not shown in logs."""
        response = ChatCompletionResponse.model_validate(fields)
        if self._sealing.secret:
            mark_private(response)
        return response

    def _claim(self, database: Connection, asked: Identity) -> Found:
        done = database.execute(_INTEND, (asked.key, asked.digest, self._file.owner))
        if done.rowcount:
            made = cast("int", done.lastrowid)
            content = b'{"custom_id":%b,"body":%b}' % (json.dumps(asked.custom_id).encode(), asked.body)
            database.execute("INSERT INTO requests VALUES (?, ?)", (made, self._sealing.seal(content, made, "request")))
            return Found("send", made)
        row = Row(*database.execute(_ROW, (asked.key,)).fetchone())
        what = verdict(row, asked.digest, owner_ended=row.state == IN_FLIGHT and self._ended(row.owner))
        billed = bool(row.maybe_billed or row.state == IN_FLIGHT)
        if what == "send":
            database.execute(_INTEND_AGAIN, (self._file.owner, billed, row.id))
        content = b""
        if what not in {"send", "wait"}:
            content = database.execute(_CONTENT["requests" if what == "differs" else "outcomes"], (row.id,)).fetchone()[0]
        return Found(what, row.id, billed, content, row.attempts, row.cost_usd)

    def _keep(self, database: Connection, came: Keep) -> bool:
        """Whether it was kept: only what this process has in flight can be."""
        values = came.state, came.attempts, came.cost_usd, came.maybe_billed, came.row, self._file.owner
        if not database.execute(_KEEP, values).rowcount:
            return False
        if came.outcome is not None:
            content = self._sealing.seal(came.outcome, came.row, "outcome")
            database.execute("INSERT OR REPLACE INTO outcomes VALUES (?, ?)", (came.row, content))
        return True

    def body_of(self, found: Found) -> bytes:
        """The canonical body that was sent under an id."""
        request = json.loads(self._sealing.open(found.content, found.row, "request"))
        return json.dumps(request["body"]).encode()

    def _ended(self, owner: str | None) -> bool:
        return owner != self._file.owner and (owner is None or bool(self._file.ended({owner})))

    def _state(self, state: int, owner: str | None) -> int:
        return OPEN if state == IN_FLIGHT and self._ended(owner) else state

    def _check(self, name: str, value: str) -> None:
        """Compares a setting with what the journal was made with, or makes it with this one."""
        with self._file.transaction() as database:
            database.execute("INSERT OR IGNORE INTO settings VALUES (?, ?)", (name, value))
            before = database.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()[0]
        if before == value:
            return
        if name != "key":
            was = f"was made with {name}={before!r}, not with {value!r}"
        elif before and value:
            was = "is encrypted with another key"
        else:
            was = "is encrypted; give key=... or key_file=..." if before else "is not encrypted, but a key was given"
        raise InvalidArgumentError(f"the journal {str(self.path)!r} {was}. Each needs a file of its own")
