"""The file of conversations: what was said in `chat`, who answered, and what it cost.

It is one SQLite file (`SharedFile`) which only its owner may read. Each message is a row with its whole JSON, which in an
encrypted session is encrypted; names, times, models and costs are not. The index for full-text search is made by a search and
dropped by a deletion, so that no text outlives its message there. What an answer cost is kept beside, and outlives it.
"""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
from platformdirs import user_data_path

from .._limits.shared_file import SharedFile
from ..batches.sealing import Sealing
from ..types.api.chat import content_text

if TYPE_CHECKING:
    from sqlite3 import Connection

_APPLICATION: Final = 0x56534553
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS sessions (
  id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, sealed INTEGER NOT NULL, began REAL NOT NULL);
CREATE TABLE IF NOT EXISTS messages (
  id INTEGER PRIMARY KEY AUTOINCREMENT, session INTEGER NOT NULL, at REAL NOT NULL, asked TEXT, cost_usd REAL,
  text TEXT NOT NULL, record BLOB);
CREATE INDEX IF NOT EXISTS by_session ON messages (session, id);
CREATE TABLE IF NOT EXISTS spending (at REAL NOT NULL, model TEXT NOT NULL, tokens INTEGER NOT NULL, cost_usd REAL);
"""
_LISTED: Final = """SELECT s.id, name, sealed, began, max(at), count(m.id), total(cost_usd),
    (SELECT asked FROM messages WHERE session = s.id AND asked IS NOT NULL ORDER BY id DESC LIMIT 1),
    (SELECT substr(text, 1, 200) FROM messages WHERE session = s.id AND asked IS NULL ORDER BY text = '', id LIMIT 1)
  FROM sessions s JOIN messages m ON m.session = s.id GROUP BY s.id ORDER BY max(at) DESC, s.id DESC"""
_INDEX: Final = """CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5(text);
INSERT INTO words (rowid, text) SELECT id, text FROM messages WHERE id > (SELECT coalesce(max(rowid), 0) FROM words)"""
_FOUND: Final = (
    "SELECT name, at, asked IS NULL, {0} FROM {1} JOIN sessions s ON s.id = session WHERE {2} ORDER BY {3} LIMIT 100"
)
_SPENT: Final = """SELECT date(at, 'unixepoch', 'localtime') AS day, model, count(*), sum(tokens), total(cost_usd),
  sum(cost_usd IS NULL) FROM spending WHERE day >= ? GROUP BY day, model ORDER BY day, model"""


class Session(NamedTuple):
    """A session as lists show it."""

    id: int
    name: str
    encrypted: int
    began: float
    used: float
    messages: int
    cost_usd: float
    model: str | None
    """The model that was asked last."""
    first: str | None
    """How the first question begins; empty in an encrypted session."""


class SessionStore:
    """The sessions of this user."""

    def __init__(self) -> None:
        folder = user_data_path("venice-chat")
        folder.mkdir(0o700, parents=True, exist_ok=True)
        path = folder / "sessions.sqlite"
        path.touch(0o600)
        path.chmod(0o600)
        self._key = Path(os.environ.get("VENICE_SESSIONS_KEY_FILE") or folder / "sessions.key")
        self._file = SharedFile(path, "session file", _APPLICATION, _SCHEMA)
        self.close = self._file.close

    def sessions(self) -> list[Session]:
        """All sessions, the last one that was used first."""
        with self._file.transaction() as database:
            return [Session(*row) for row in database.execute(_LISTED)]

    def find(self, name: str | None) -> Session:
        """The session of a name; without a name the last one that was used."""
        found = next((each for each in self.sessions() if name in {None, each.name}), None)
        if found is None:
            what = "no session" if name is None else f"no session {name!r}"
            raise click.UsageError(f"there is {what}; 'venice-chat sessions list' shows what is kept")
        return found

    def records(self, session: Session) -> list[dict[str, Any]]:
        """The messages of a session, with what is known of each."""
        sealing = self._sealing(session.encrypted)
        query = "SELECT id, record FROM messages WHERE session = ? ORDER BY id"
        with self._file.transaction() as database:
            rows = database.execute(query, (session.id,)).fetchall()
        return [json.loads(sealing.open(record, row, "record")) for row, record in rows]

    def append(self, name: str, records: Sequence[dict[str, Any]], *, encrypted: bool) -> None:
        """Adds messages to a session, which is made if it is not there."""
        sealing = self._sealing(encrypted)
        with self._file.transaction() as database:
            made = "INSERT OR IGNORE INTO sessions (name, sealed, began) VALUES (?, ?, ?)"
            database.execute(made, (name, encrypted, records[0]["at"]))
            session = database.execute("SELECT id FROM sessions WHERE name = ?", (name,)).fetchone()[0]
            for each in records:
                text = "" if encrypted else content_text(each["message"].get("content")) or ""
                values = session, each["at"], each.get("asked"), each.get("cost_usd"), text.encode("utf-8", "replace").decode()
                added = database.execute(
                    "INSERT INTO messages (session, at, asked, cost_usd, text) VALUES (?, ?, ?, ?, ?)", values
                )
                row = added.lastrowid or 0
                content = sealing.seal(json.dumps(each).encode(), row, "record")
                database.execute("UPDATE messages SET record = ? WHERE id = ?", (content, row))
                if "asked" in each:
                    spent = each["at"], each["model"] or each["asked"], each["tokens"] or 0, each["cost_usd"]
                    database.execute("INSERT INTO spending VALUES (?, ?, ?, ?)", spent)

    def delete(self, session: Session, last: int = -1) -> None:
        """Deletes a session, or its last messages; what is deleted is overwritten in the file."""
        with self._file.transaction() as database:
            database.execute("PRAGMA secure_delete = ON")
            database.execute("DROP TABLE IF EXISTS words")
            chosen = "SELECT id FROM messages WHERE session = ? ORDER BY id DESC LIMIT ?"
            database.execute(f"DELETE FROM messages WHERE id IN ({chosen})", (session.id, last))  # noqa: S608
            database.execute("DELETE FROM sessions WHERE id NOT IN (SELECT session FROM messages)")
        with self._file.transaction() as database:
            database.execute("COMMIT")  # the log of changes still has the old pages; no transaction may be open for this
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("BEGIN")

    def search(self, words: Sequence[str]) -> Iterator[tuple[str, float, str, str]]:
        """Where all these words stand: session, time, role and excerpt. Encrypted sessions are not searched."""
        with self._file.transaction() as database:
            rows = _by_index(database, words) if _has_fts5(database) else _by_pattern(database, words)
        for name, at, is_question, excerpt in rows:
            yield name, at, "user" if is_question else "assistant", textwrap.shorten(excerpt, 160)

    def spent(self, since: str) -> list[tuple[str, str, int, int, float, int]]:
        """Day, model, answers, tokens, US dollars, and how many answers did not tell their cost, from a day on."""
        with self._file.transaction() as database:
            return database.execute(_SPENT, (since,)).fetchall()

    def _sealing(self, encrypted: object) -> Sealing:
        return Sealing(None, self._key if encrypted else None)


def _has_fts5(database: Connection) -> bool:
    return bool(database.execute("SELECT count(*) FROM pragma_module_list WHERE name = 'fts5'").fetchone()[0])


def _by_index(database: Connection, words: Sequence[str]) -> list[Any]:
    for statement in _INDEX.split(";"):
        database.execute(statement)
    asked = " ".join('"{}"*'.format(word.replace('"', '""')) for word in words)
    query = _FOUND.format(
        "snippet(words, 0, '', '', '...', 20)", "words w JOIN messages m ON m.id = w.rowid", "words MATCH ?", "rank"
    )
    return database.execute(query, (asked,)).fetchall()


def _by_pattern(database: Connection, words: Sequence[str]) -> list[Any]:
    """Without the extension for full-text search: the messages in which each word stands somewhere."""
    each = " AND ".join(["instr(lower(m.text), ?)"] * len(words))
    query = _FOUND.format("m.text", "messages m", each, "at DESC")
    return database.execute(query, [word.lower() for word in words]).fetchall()
