"""The file of conversations: what was said in `chat`, who answered, and what it cost.

Each message is a row with its whole JSON, which in an encrypted session is encrypted; names, times, models and costs are not.
The index for full-text search is in memory, so that no text outlives its message. Of a deleted message, what it cost stays.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any, Final

import click
from platformdirs import user_data_path

from .._core.shared_file import SharedFile
from ..exceptions import VeniceError
from ..tee.sealing import Sealing
from ..types.api.chat import ChatCompletionResponse, content_text
from . import _output
from ._errors import in_our_words

_APPLICATION: Final = 0x56534553
_SCHEMA: Final = """
CREATE TABLE messages (id INTEGER PRIMARY KEY, session TEXT, encrypted INTEGER NOT NULL, at REAL NOT NULL, asked TEXT,
  model TEXT, tokens INTEGER, cost_usd REAL, text TEXT NOT NULL, record BLOB);
CREATE INDEX by_session ON messages (session, id)"""
_LISTED: Final = """SELECT session AS name, max(encrypted) AS encrypted, min(at) AS began, max(at) AS used,
    count(record) AS messages, round(total(cost_usd), 9) AS cost_usd,
    sum(asked IS NOT NULL AND cost_usd IS NULL) AS without_cost,
    (SELECT asked FROM messages WHERE session = m.session AND asked IS NOT NULL ORDER BY id DESC LIMIT 1) AS model,
    iif(max(encrypted), '(encrypted)', (SELECT substr(text, 1, 200) FROM messages
      WHERE session = m.session AND asked IS NULL ORDER BY text = '', id LIMIT 1)) AS first
  FROM messages m WHERE session IS NOT NULL GROUP BY session HAVING messages ORDER BY max(at) DESC, max(id) DESC"""
_EMPTY: Final = """UPDATE messages SET session = iif(:last < 0, NULL, session), text = '', record = NULL WHERE id IN (SELECT id
  FROM messages WHERE session = :name AND (record IS NOT NULL OR :last < 0) ORDER BY id DESC LIMIT :last)"""
_FOUND: Final = """SELECT session, at, json_extract(CAST(record AS TEXT), '$.message.role') AS role,
    snippet(words, 0, '', '', '...', 20) AS excerpt
  FROM words w JOIN messages m ON m.id = w.rowid WHERE words MATCH ? ORDER BY rank LIMIT 100"""
_SPENT: Final = """SELECT date(at, 'unixepoch', 'localtime') AS day, coalesce(model, asked) AS model, count(*) AS answers,
    sum(coalesce(tokens, 0)) AS tokens, round(total(cost_usd), 9) AS cost_usd, sum(cost_usd IS NULL) AS without_cost
  FROM messages m WHERE asked IS NOT NULL AND day >= ? GROUP BY 1, 2 ORDER BY 1, 2"""


class SessionStore:
    """The sessions of this user; rows are dictionaries with the names of the queries."""

    def __init__(self) -> None:
        folder = user_data_path("venice-chat")
        folder.mkdir(0o700, parents=True, exist_ok=True)
        path = folder / "sessions.sqlite"
        path.touch(0o600)
        path.chmod(0o600)
        self._key = Path(os.environ.get("VENICE_SESSIONS_KEY_FILE") or folder / "sessions.key")
        self._file = SharedFile(path, "session file", _APPLICATION, _SCHEMA)
        self.close = self._file.close

    def sessions(self) -> list[dict[str, Any]]:
        return [{**each, "encrypted": bool(each["encrypted"])} for each in self._rows(_LISTED)]

    def find(self, name: str | None) -> dict[str, Any]:
        """The session of a name; without a name the last one that was used."""
        if found := next((each for each in self.sessions() if name in {None, each["name"]}), None):
            return found
        which = "" if name is None else f" {name!r}"
        raise click.UsageError(f"there is no session{which}; 'venice-chat sessions list' shows what is kept")

    def records(self, name: str) -> list[dict[str, Any]]:
        rows = self._rows("SELECT * FROM messages WHERE session = ? AND record IS NOT NULL ORDER BY id", name)
        sealing = Sealing(None, self._key if rows and rows[0]["encrypted"] else None)
        return [sealing.open(row["record"], row["id"], "record") for row in rows]

    def append(self, name: str, records: Sequence[dict[str, Any]], *, encrypted: bool) -> None:
        sealing = Sealing(None, self._key if encrypted else None)
        with self._file.transaction() as database:
            last = database.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()[0]
            for row, each in enumerate(records, last + 1):
                text = "" if encrypted else content_text(each["message"].get("content")) or ""
                columns = (each.get(column) for column in ("at", "asked", "model", "tokens", "cost_usd"))
                record = sealing.seal(json.dumps(each).encode(), row, "record")
                values = row, name, encrypted, *columns, text.encode("utf-8", "replace").decode(), record
                database.execute("INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def delete(self, name: str, last: int = -1) -> None:
        """Deletes a session, or its last messages, whose cost it still has; what is deleted is overwritten in the file."""
        with self._file.transaction() as database:
            database.execute("PRAGMA secure_delete = ON")
            database.execute(_EMPTY, {"name": name, "last": last})
            database.execute("COMMIT")  # the log of changes still has the old pages; no transaction may be open for this
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            database.execute("BEGIN")

    def search(self, words: Sequence[str]) -> list[dict[str, Any]]:
        """The messages in which words stand that begin so, the best first. Encrypted sessions are not searched."""
        self._rows("PRAGMA temp_store = MEMORY")
        self._rows("CREATE VIRTUAL TABLE temp.words USING fts5(text)")
        self._rows("INSERT INTO words (rowid, text) SELECT id, text FROM messages WHERE text <> ''")
        return self._rows(_FOUND, " ".join('"{}"*'.format(word.replace('"', '""')) for word in words))

    def taken_back(self, name: str) -> list[dict[str, Any]]:
        return self._rows("SELECT tokens, cost_usd FROM messages WHERE session = ? AND record IS NULL AND asked <> ''", name)

    def spent(self, since: str) -> list[dict[str, Any]]:
        return self._rows(_SPENT, since)

    def _rows(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self._file.transaction() as database:
            found = database.execute(query, values)
            return [dict(zip((column[0] for column in found.description or ()), row, strict=True)) for row in found]


class Conversation:
    """The messages of a conversation. Each is a record: `message`, `at` (Unix time), and of an answer what is known of it."""

    def __init__(self, store: SessionStore | None, name: str | None, records: list[dict[str, Any]], *, private: bool) -> None:
        self.store, self.records, self.private, self._stored = store, records, private, len(records)
        self.taken_back = store.taken_back(name) if store and name else []  # answers that were paid, too
        self.name = name or f"{time.strftime('%Y%m%d-%H%M%S')}-{os.urandom(2).hex()}"

    @property
    def answers(self) -> list[dict[str, Any]]:
        """The records of answers: with `asked`, `model`, `level`, `tokens`, `cost_usd`, `finish_reason`, `others`."""
        return [each for each in self.records if "asked" in each]

    @property
    def messages(self) -> list[dict[str, Any]]:
        """The messages to send: the last instructions; no tool calls, as no tool runs; no questions without a text answer."""
        sent: list[dict[str, Any]] = []
        for message in (each["message"] for each in self.records):
            if message["role"] != "assistant":
                sent.append(message)
            elif not content_text(message.get("content")):
                sent.pop()
            else:  # of a private message only what can be encrypted is sent back
                names = {"role", "content"} if self.private else message.keys() - {"tool_calls"}
                sent.append({name: value for name, value in message.items() if name in names})
        last = [each for each in sent if each["role"] == "system"][-1:]
        return [each for each in sent if each["role"] != "system" or (each is last[0] and each["content"])]

    def add(self, role: str, content: str | list[dict[str, Any]], attached: Sequence[str] = ()) -> None:
        self.records.append({"message": {"role": role, "content": content}, "at": time.time(), "attached": attached})

    def settle(self, response: ChatCompletionResponse | None, asked: str, *, stopped: bool = False) -> bool:
        """Adds the answer of a model, also a part of one, and keeps both; without any, takes the question back and is false."""
        message = response.choices[0].message.model_dump() if response is not None and response.choices else {}
        if response is None or not any(message.get(part) for part in ("content", "tool_calls", "reasoning_content")):
            self.records.pop()
            return False
        facts = {"level": response.attestation and response.attestation.level, "cost_usd": getattr(response.cost, "usd", None)}
        facts["tokens"] = response.usage and response.usage.total_tokens
        facts["finish_reason"] = response.finish_reason or ("stopped" if stopped else None)
        facts["others"] = [choice.message.model_dump() for choice in response.choices[1:]]  # the first is sent again
        record = {"message": message | {"role": "assistant"}, "at": time.time(), "asked": asked, "model": response.model}
        self.records.append(record | facts)
        self.keep()
        return True

    def keep(self) -> None:
        """Writes what is not in the file yet; a file that cannot be written costs no answer."""
        if self.store is not None and len(self.records) > self._stored:
            try:
                self.store.append(self.name, self.records[self._stored :], encrypted=self.private)
                self._stored = len(self.records)
            except VeniceError as error:
                _output.note(f"this is not kept: {in_our_words(error)}")

    def undo(self) -> Any:
        """Takes the last question and its answer back, also from the file; gives what was asked, None if nothing was."""
        answer = max((place for place, each in enumerate(self.records) if "asked" in each), default=0)
        if not answer:
            return None
        if self.store is not None and self._stored > answer:  # instructions after it are kept again, with the next answer
            self.store.delete(self.name, self._stored - answer + 1)
            self._stored = answer - 1
        self.taken_back.append(self.records.pop(answer))
        return self.records.pop(answer - 1)["message"]["content"]


def session_names(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    with suppress(VeniceError, OSError), closing(SessionStore()) as store:
        return [each["name"] for each in store.sessions() if each["name"].startswith(begun)]
    return []


def opened(given: Mapping[str, Any], *, sealed: bool) -> Conversation:
    name, save, store, before, private = given["session"], given["save"], None, None, sealed or given["min_privacy"] is not None
    bad_name = f"a session's name has a letter, at most 80 characters, and no control characters: {name!r}"
    for wrong, why in (
        (name is not None and not (name.strip() and name.isprintable() and len(name) <= 80), bad_name),
        (save and given["no_log"], "--save and --no-log exclude each other"),
        (save and not private, "--save is for private conversations (--e2ee, --min-privacy); others are kept without it"),
        (sealed and given["web_search"] in {"auto", "on"}, "--web-search leads out of the enclave; leave out it or --e2ee"),
        (sealed and given["schema"] is not None, "--schema is not encrypted end to end; describe the JSON in the prompt"),
        (given["go_on"] and name is not None, "-c and --session exclude each other"),
    ):
        if wrong:
            raise click.UsageError(why)
    name, goes_on, keeps = name and name.strip(), given["go_on"] or name is not None, save or not (given["no_log"] or private)
    if goes_on or keeps:
        try:
            store = SessionStore()
            if goes_on and (name is None or name in {each["name"] for each in store.sessions()}):
                before = store.find(name)
        except (VeniceError, OSError) as error:
            if goes_on or save:
                raise
            _output.note(f"this is not kept: {in_our_words(error)}")
    system, destination = given["system"], store if keeps else None
    if store is None or before is None:
        conversation = Conversation(destination, name, [], private=private)
        if system is not None:
            conversation.add("system", system)
        return conversation
    known, is_encrypted = before["name"], before["encrypted"]
    if is_encrypted != private or system is not None:
        why = "is encrypted; add --e2ee or --min-privacy" if is_encrypted else "is not encrypted; begin another one"
        why = why if is_encrypted != private else "has begun; --system is for the beginning of a session"
        raise click.UsageError(f"the session {known!r} {why}")
    return Conversation(destination, known, store.records(known), private=private)
