"""The journal of a batch: a request is written down before it is sent, its outcome before it is handed over.

It is one SQLite file (`SharedFile`), in which a request has a row in one of four states: in flight while the process that has
written down its intent to send it lives, and open after it; answered; failed for good; or open, not sent or at a bad moment.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection, DatabaseError
from typing import Any, Final, Literal, NamedTuple, NotRequired, Self, TypeAlias, TypedDict, cast

from .. import exceptions
from .._core.privacy import encryption_requested_in
from .._core.shared_file import SharedFile
from .._wire.json_text import encode
from ..exceptions import APIError, InvalidArgumentError, OutputError, VeniceError
from ..tee.sealing import Sealing
from ..types._base import mark_private
from ..types.api.chat import ChatCompletionResponse
from .identity import Identity, differences, identity, split

_APPLICATION: Final = 0x564A4E4C  # marks a file as a journal
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rows (
  id INTEGER PRIMARY KEY, key BLOB NOT NULL UNIQUE, digest BLOB NOT NULL, state TEXT NOT NULL, owner TEXT,
  maybe_billed INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, cost_usd REAL);
CREATE TABLE IF NOT EXISTS contents (id INTEGER PRIMARY KEY, request BLOB NOT NULL, outcome BLOB);
"""
_INTEND: Final = "INSERT OR IGNORE INTO rows (key, digest, state, owner) VALUES (?, ?, 'in_flight', ?)"
_INTEND_AGAIN: Final = "UPDATE rows SET state = 'in_flight', owner = ?, maybe_billed = ? WHERE id = ?"
_KEEP: Final = """UPDATE rows SET state = ?1, owner = NULL, attempts = attempts + ?2, maybe_billed = max(maybe_billed, ?4),
  cost_usd = coalesce(cost_usd + ?3, ?3, cost_usd) WHERE id = ?5 AND owner = ?6 AND state = 'in_flight'"""
_ROWS: Final = """SELECT id, CASE WHEN state IN ('open', 'in_flight', 'answered') THEN state ELSE 'failed' END, owner,
  maybe_billed, CAST(attempts AS INTEGER), CAST(cost_usd AS REAL), request, outcome, digest  -- of their types, though damaged
  FROM rows LEFT JOIN contents USING (id) WHERE """
_COUNT: Final = "SELECT state, owner, count(*), total(cost_usd) FROM rows GROUP BY state, owner"
_ROOM_BYTES: Final = 1 << 22  # kept free for what is in flight when the disk is full: 256 answers that take four pages each
_ERROR_FIELDS: Final = "status_code", "code", "request_id"
_Request = TypedDict("_Request", {"custom_id": str | None, "body": dict[str, Any]})  # noqa: UP013  # the shapes of contents
_Error = TypedDict("_Error", {"type": str, "message": str, "status_code": Any, "code": Any, "request_id": Any})  # noqa: UP013
_Outcome = TypedDict("_Outcome", {"response": dict[str, Any] | None, "error": NotRequired[_Error]})  # noqa: UP013

State: TypeAlias = Literal["open", "in_flight", "answered", "failed"]


class Entry(NamedTuple):
    """The result of a claim: the state that a request was in (an open one is in flight now), or another body has its id.

    With what came in it, and the state that it has then, it is what is kept.
    """

    what: State | Literal["differs"]
    row: int
    maybe_billed: bool = False
    attempts: int = 0
    cost_usd: float | None = None
    content: bytes | None = None  # a record of what came; of one that differs, the request that was sent under this id


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One request of a journal, with its state and its outcome."""

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
    """How often it was sent, in all runs."""
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
    """What all runs cost in US dollars, as far as the server said so."""


class Journal:
    """A file in which a batch keeps what it sends and what it is answered, so that it can be interrupted at any time.

    Run a batch again, with the same requests: what was answered comes from the journal, the rest is sent. A request is known by
    its `custom_id`, else by its body; identical ones are sent once, and answered to all who asked. After a `kill -9` every
    answer that was yielded is there, and at most what was in flight is sent again. Several processes of one machine may use a
    journal at the same time. What failed for good after its retries is set aside. A journal that holds no answer yet may be
    used with another base URL, class or tools. A damaged entry fails alone, until it is sent again with `retry_failed`.

    Args:
        path: the file; it is made, for its owner alone, if it is not there. Without a key it holds all texts in clear.
        sync: wait for the disk at each commit, so that also a loss of power loses nothing. Slower, for the event loop waits.
        key: 32 bytes with which requests, answers and ids are encrypted in the file (AES-256-GCM). A client with
            `min_privacy="e2ee"` takes no other journal. Needs the extra `e2ee`.
        key_file: a file that holds the key; made, with a new key, if it is not there. Only its owner may read it.
        retry_failed: send once more what failed for good, also where an answer was paid for that does not fit, or is damaged.

    Raises:
        InvalidArgumentError: the file is not a journal, is of a newer release, or is encrypted with another key; or the key
            file does not hold a key, or can be read by others (a ValueError).
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
        self._retry_failed = retry_failed
        self.path: Path = Path(path).absolute()
        """The file."""
        self._sealing = Sealing(key, key_file)
        self._users: set[object] = {None}  # the batches that use it now, and None as long as it was not closed
        with suppress(OSError):  # it is there; or it cannot be made, which is told below
            os.close(os.open(path, os.O_CREAT | os.O_EXCL, 0o600))
        self._file = SharedFile(path, "Journal", _APPLICATION, _SCHEMA, sync=sync)
        try:
            self._made_with({"key": self._sealing.check})
        except VeniceError:
            self.close()
            raise
        self._inode = self.path.stat().st_ino

    @property
    def settings(self) -> dict[str, str]:
        """The settings it was made with: `base_url`, `response_format`, `tools`. Empty before the first batch."""
        with self._file.transaction() as database:
            return dict(database.execute("SELECT name, value FROM settings WHERE name != 'key'").fetchall())

    def counts(self) -> JournalCounts:
        """How many requests are in which state."""
        counts, cost = Counter[State](), 0.0
        with self._file.transaction() as database:
            for state, owner, number, usd in database.execute(_COUNT):
                counts[self._state(state, owner)] += number
                cost += usd
        return JournalCounts(counts["answered"], counts["failed"], counts["in_flight"], counts["open"], cost)

    def rows(self) -> Iterator[JournalRow]:
        """Every request, in the order in which they were sent first; it may be read while batches run.

        An entry that is damaged has `failed`, with that as its error; what of it cannot be read is None, or an empty `request`.
        """
        last, page = 0, list[Any](" ")
        while page:
            with self._file.transaction() as database:
                page = database.execute(f"{_ROWS} id > ? ORDER BY id LIMIT 200", (last,)).fetchall()
            for last, stored, owner, billed, attempts, cost, request, outcome, _ in page:
                asked, response, state = _Request(custom_id=None, body={}), None, self._state(stored, owner)
                try:
                    asked = self._sealing.open(request, last, "request", _Request)
                    response, error = (None, None) if outcome is None else self._read_outcome(outcome, last)
                    message = error and f"{error['type']}: {error['message']}"
                except VeniceError as damage:
                    state, message = "failed", f"VeniceError: {damage}"
                yield JournalRow(asked["custom_id"], state, asked["body"], response, message, attempts, cost, bool(billed))

    def close(self) -> None:
        """Closes the file, at the end of the batches that use it; then every use is a VeniceError. May be called often."""
        self._users.discard(None)
        if not self._users:
            self._file.close(for_good=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Journal({str(self.path)!r})"

    def _begin(self, settings: Mapping[str, str], *, private: bool) -> None:
        """A batch with these settings begins; an InvalidArgumentError if the journal has others, or is not for private ones."""
        if private and not self._sealing.secret:
            raise InvalidArgumentError('min_privacy="e2ee" needs an encrypted journal: Journal(..., key_file=...)')
        self._made_with(settings)
        self._file.keep_room(_ROOM_BYTES)
        if self._retry_failed:
            with self._file.transaction() as database:
                database.execute("UPDATE rows SET state = 'open' WHERE state = 'failed'")

    def _identity(self, custom_id: str | None, keywords: Mapping[str, Any]) -> Identity:
        """The identity of a request; an InvalidArgumentError if it must not be kept in clear."""
        if not self._sealing.secret and encryption_requested_in(keywords):
            raise InvalidArgumentError("an end-to-end encrypted request needs an encrypted journal: Journal(..., key_file=...)")
        return identity(custom_id, keywords, self._sealing.secret)

    def _check(self, request: Mapping[str, Any]) -> None:
        """Raises an InvalidArgumentError if the id of a request is that of another one here."""
        asked = self._identity(*split(request))
        with self._file.transaction() as database:
            found = self._found(database, asked)
        if found is not None and found.what == "differs":
            raise self._conflict(found, asked)

    def _apply(self, changes: Sequence[Identity | Entry]) -> list[Any]:
        """Applies changes in one transaction: a claim of a request gives its `Entry`, an outcome whether it was kept."""
        if not self.path.exists() or self.path.stat().st_ino != self._inode:
            raise VeniceError(f"the journal {str(self.path)!r} was removed, moved or replaced while a batch ran")
        with self._file.transaction() as database:
            return [self._keep(database, each) if isinstance(each, Entry) else self._claim(database, each) for each in changes]

    def _rescue(self, changes: Sequence[Identity | Entry]) -> list[bool | None]:
        """After a failure of these changes, keeps outcomes in the room reserved for that; whether each was. Claims nothing."""
        kept = [False if isinstance(each, Entry) else None for each in changes]
        with suppress(VeniceError):
            self._file.keep_room(0)
            for place, each in enumerate(changes):
                if isinstance(each, Entry):
                    (kept[place],) = self._apply([each])
        return kept

    def _before(self, found: Entry) -> ChatCompletionResponse:
        """The earlier response of a request; an earlier error is raised, in its class where a message and a status make one."""
        response, error = self._read_outcome(found.content, found.row)
        if response is not None:
            return response
        if error is None:
            raise VeniceError(f"entry {found.row} of the journal has neither an answer nor an error")
        kind = getattr(exceptions, error["type"], OutputError)
        if not issubclass(kind, VeniceError) or issubclass(kind, OutputError):
            raise VeniceError(f"{error['type']}: {error['message']}")
        raise kind(error["message"], **{name: error[name] for name in _ERROR_FIELDS if issubclass(kind, APIError)})

    def _conflict(self, found: Entry, now: Identity) -> InvalidArgumentError:
        """The error that says how a request differs from the one that was sent under its id."""
        how = differences(self._sealing.open(found.content, found.row, "request", _Request)["body"], now.body)
        problem = f"custom_id={now.custom_id!r} was used for another request before: {how}"
        return InvalidArgumentError(f"{problem}. Give it another id, or the batch another journal")

    def _claim(self, database: Connection, asked: Identity) -> Entry:
        made = database.execute(_INTEND, (asked.key, asked.digest, self._file.owner))
        found = Entry("open", cast("int", made.lastrowid)) if made.rowcount else self._found(database, asked)
        if found is None:
            raise DatabaseError("malformed: a request is in the index alone")
        before, again = None, found.what == "open" or (self._retry_failed and found.what in {"answered", "failed"})
        with suppress(VeniceError):  # what is damaged is sent again
            if again and found.content:
                before = encode(self._sealing.open(found.content, found.row, "outcome", _Outcome))
        if not again or (before and found.what != "open"):
            return found
        billed = found.maybe_billed or found.what != "open"  # what cannot be read was an answer, perhaps
        content = b'{"custom_id":%b,"body":%b}' % (encode(asked.custom_id), asked.body)
        request = self._sealing.seal(content, found.row, "request")
        if not made.rowcount:
            database.execute(_INTEND_AGAIN, (self._file.owner, billed, found.row))
        database.execute("REPLACE INTO contents VALUES (?, ?, ?)", (found.row, request, before and found.content))
        return found._replace(what="open", maybe_billed=billed, content=before)

    def _found(self, database: Connection, asked: Identity) -> Entry | None:
        found = database.execute(f"{_ROWS} key = ?", (asked.key,))
        for row, state, owner, billed, attempts, cost, request, outcome, digest in found:
            what = self._state(state, owner) if digest == asked.digest else "differs"
            content = request if what == "differs" else outcome
            return Entry(what, row, bool(billed or state == "in_flight"), attempts, cost, content)
        return None

    def _keep(self, database: Connection, entry: Entry) -> bool:
        """Whether it was kept: only what this process has in flight can be."""
        values = entry.what, entry.attempts, entry.cost_usd, entry.maybe_billed, entry.row, self._file.owner
        kept = database.execute(_KEEP, values).rowcount == 1
        if kept and entry.content is not None:
            content = self._sealing.seal(entry.content, entry.row, "outcome")
            database.execute("UPDATE contents SET outcome = ? WHERE id = ?", (content, entry.row))
        return kept

    def _read_outcome(self, outcome: bytes | None, row: int) -> tuple[ChatCompletionResponse | None, _Error | None]:
        """The response and the error in a `record`. A response of an encrypted journal is not shown in logs."""
        fields: _Outcome = self._sealing.open(outcome, row, "outcome", _Outcome)
        response = ChatCompletionResponse.model_validate(fields["response"]) if fields["response"] else None
        if response is not None and self._sealing.secret:
            mark_private(response)
        return response, fields.get("error")

    def _state(self, state: State, owner: str) -> State:
        """The state that a row is in now: what an owner had in flight that has ended is open."""
        return "open" if state == "in_flight" and self._file.ended({owner}) else state

    def _made_with(self, settings: Mapping[str, str]) -> None:
        """Compares settings with those that the journal was made with. One without an answer takes others, but no other key."""
        with self._file.transaction() as database:
            database.executemany("INSERT OR IGNORE INTO settings VALUES (?, ?)", settings.items())
            before = dict(database.execute("SELECT name, value FROM settings"))
        new = {name: (before.get(name), value) for name, value in settings.items() if before.get(name) != value}
        if new and "key" not in new and not any(row.response or row.state in {"answered", "in_flight"} for row in self.rows()):
            with self._file.transaction() as database:
                database.executemany("REPLACE INTO settings VALUES (?, ?)", settings.items())
                database.execute("UPDATE rows SET state = 'open' WHERE state = 'failed'")
            return
        for name, (was, value) in new.items():
            key = f"is encrypted{' with another key' if value else ''}: give its own key or key_file"
            key = key if was else "is not encrypted: open it without a key, or give another file to what is to be"
            problem = key if name == "key" else f"was made with {name}={was!r}, not with {value!r}. Each needs its own file"
            raise InvalidArgumentError(f"the journal {str(self.path)!r} {problem}")


def record(response: ChatCompletionResponse | None, error: BaseException | None, before: bytes | None = None) -> bytes:
    """An outcome as the JSON to keep: with an error also the answer that was paid for, now or in the record `before`."""
    outcome: dict[str, Any] = {"response": error.response if isinstance(error, OutputError) else response}
    if error is not None:
        outcome["response"] = outcome["response"] or (json.loads(before)["response"] if before else None)
        fields = {name: getattr(error, name, None) for name in _ERROR_FIELDS}
        outcome["error"] = {"type": type(error).__name__, "message": str(error), **fields}
    return encode(outcome)
