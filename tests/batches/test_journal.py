"""The journal as a machine: any interleaving of claims, answers, crashes and resumes, by several owners; and its file."""

from __future__ import annotations

import json
import os
import pydoc
import re
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pydantic import create_model

from venice_ai import InvalidArgumentError, InvalidRequestError, Journal, VeniceError
from venice_ai.batches.identity import Identity, as_it_is, canonical, differences, identity, split
from venice_ai.batches.journal import Entry, State, record
from venice_ai.types.api.chat import ChatCompletionResponse

from ..examples import USUAL

OWNERS = st.integers(0, 2)
IDS = st.integers(0, 4)


def asked(number: int) -> Identity:
    return identity(f"id-{number}", {"model": "m", "messages": [{"role": "user", "content": f"question {number}"}]})


def answer(words: str) -> ChatCompletionResponse:
    message = {"role": "assistant", "content": words}
    return ChatCompletionResponse.model_validate({"id": "x", "choices": [{"index": 0, "message": message}]})


def keep(found: Entry, state: State = "answered", words: str = "yes", *, billed: bool = False) -> Entry:
    return Entry(state, found.row, billed, 1, 0.5, record(answer(words), None) if state == "answered" else None)


def claim(journal: Journal, number: int) -> Entry:
    (found,) = journal._apply([asked(number)])
    assert isinstance(found, Entry)
    return found


@pytest.mark.parametrize("state", ["in_flight", "open", "answered", "failed"])
def test_a_request_with_another_body_differs_in_every_state(tmp_path: Path, state: State) -> None:
    with Journal(tmp_path / "j") as journal:
        found = claim(journal, 1)
        if state != "in_flight":
            journal._apply([keep(found, state)])
        (again,) = journal._apply([asked(2)._replace(key=asked(1).key)])
        assert again.what == "differs"


def test_requests_in_flight_of_a_dead_owner_are_sent_again_and_marked_maybe_billed(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as dead:
        claim(dead, 1)
    with Journal(tmp_path / "j") as journal:
        found = claim(journal, 1)
        assert (found.what, found.maybe_billed) == ("open", True)


class Owners(RuleBasedStateMachine):
    """Three processes with one journal, each of which may die at any time, and what the journal must say of every request."""

    def __init__(self) -> None:
        super().__init__()
        self.journals: dict[int, Journal] = {}
        self.in_flight: dict[int, tuple[int, Entry]] = {}
        """By id: whose it is."""
        self.answers: dict[int, str] = {}
        self.failed: set[int] = set()
        self.doubtful: set[int] = set()
        """Those that may have been billed without an answer."""

    @initialize()
    def start(self) -> None:
        number = len(list(_FOLDERS[-1].iterdir()))
        self.path = _FOLDERS[-1] / f"{number}.journal"

    def teardown(self) -> None:
        for journal in self.journals.values():
            journal.close()

    def journal(self, owner: int) -> Journal:
        return self.journals.setdefault(owner, Journal(self.path)) if owner not in self.journals else self.journals[owner]

    @rule(owner=OWNERS, number=IDS)
    def claims(self, owner: int, number: int) -> None:
        found = claim(self.journal(owner), number)
        if number in self.answers:
            assert found.what == "answered"
            assert self.answers[number].encode() in (found.content or b"")
        elif number in self.failed:
            assert found.what == "failed"
        elif number in self.in_flight:
            assert found.what == "in_flight"
        else:
            assert found.what == "open"
            assert found.maybe_billed == (number in self.doubtful)
            self.in_flight[number] = owner, found

    @rule(number=IDS, words=st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=5))
    def is_answered(self, number: int, words: str) -> None:
        if number in self.in_flight:
            owner, found = self.in_flight.pop(number)
            assert self.journals[owner]._apply([keep(found, words=words)]) == [True]
            self.answers[number] = words

    @rule(number=IDS, billed=st.booleans())
    def fails_for_good(self, number: int, billed: bool) -> None:
        if number in self.in_flight:
            owner, found = self.in_flight.pop(number)
            outcome = record(None, VeniceError("no"))
            assert self.journals[owner]._apply([Entry("failed", found.row, billed, 1, None, outcome)]) == [True]
            self.failed.add(number)
            self.doubtful |= {number} if billed else set()

    @rule(number=IDS, billed=st.booleans())
    def is_given_back(self, number: int, billed: bool) -> None:
        if number in self.in_flight:
            owner, found = self.in_flight.pop(number)
            assert self.journals[owner]._apply([keep(found, "open", billed=billed)]) == [True]
            self.doubtful |= {number} if billed else set()

    @rule(owner=OWNERS, number=IDS)
    def keeps_what_is_not_its_own(self, owner: int, number: int) -> None:
        if number in self.in_flight and self.in_flight[number][0] != owner:
            assert self.journal(owner)._apply([keep(self.in_flight[number][1])]) == [False]

    @rule(owner=OWNERS)
    def dies(self, owner: int) -> None:
        if journal := self.journals.pop(owner, None):
            journal.close()  # which drops its lock, and writes nothing
            mine = {number for number, (whose, _) in self.in_flight.items() if whose == owner}
            self.doubtful |= mine
            for number in mine:
                del self.in_flight[number]

    @rule(owner=OWNERS)
    def tries_again_what_failed(self, owner: int) -> None:
        self.journal(owner)
        with Journal(self.path, retry_failed=True) as journal:
            journal._begin({"base_url": "here"}, private=False)
        self.failed.clear()

    @invariant()
    def every_answer_is_there(self) -> None:
        if not self.journals:
            return
        journal = next(iter(self.journals.values()))
        rows = {row.custom_id: row for row in journal.rows()}
        for number, words in self.answers.items():
            row = rows[f"id-{number}"]
            assert (row.state, row.response and row.response.text) == ("answered", words)
        counts = journal.counts()
        assert (counts.answered, counts.failed, counts.in_flight) == (len(self.answers), len(self.failed), len(self.in_flight))
        assert sum(counts[:4]) == len(rows)


TestOwners = Owners.TestCase
TestOwners.settings = settings(max_examples=USUAL, stateful_step_count=30, deadline=None)
_FOLDERS: list[Path] = []


@pytest.fixture(autouse=True, scope="module")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> None:  # pyright: ignore[reportUnusedFunction]
    _FOLDERS.append(tmp_path_factory.mktemp("journals"))  # a state machine takes no fixtures


# -- identity ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["a", "\ud83d"], ids=ascii)
def test_a_body_is_the_same_however_it_is_written_down(text: str) -> None:
    one = canonical({"model": "m", "temperature": 0.5, "top_p": None, "messages": [{"role": "user", "content": text}]})
    other = canonical({"messages": ({"content": text, "role": "user"},), "model": "m", "extra_body": {"temperature": 0.5}})
    assert one == other


def test_a_text_is_the_message_that_it_stands_for() -> None:
    text, message = (
        split({"model": "m", "messages": "a"}),
        split({"model": "m", "messages": [{"role": "user", "content": "a"}]}),
    )
    assert text == message
    assert split({"model": "m", "messages": ""}) == (None, {"model": "m", "messages": ""}), "refused later, as it was given"


@pytest.mark.parametrize("custom_id", ["", 0, 7, True, b"a", ["a"]])
def test_an_id_is_a_text_that_is_not_empty(custom_id: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^custom_id=.* must be a text that is not empty"):
        split({"model": "m", "messages": "a", "custom_id": custom_id})


@pytest.mark.parametrize(
    ("request_of_batch", "why"),
    [
        pytest.param(7, "a request of a batch is a mapping of keywords, not int", id="no mapping"),
        pytest.param([("model", "m"), ("messages", "a")], "is a mapping of keywords, not list", id="pairs"),
        pytest.param({}, "a request of a batch has no 'model'", id="nothing"),
        pytest.param({"messages": "a"}, "has no 'model'", id="no model"),
        pytest.param({"model": "m"}, "has no 'messages'", id="no messages"),
        pytest.param({"model": "m", "messages": "a", "stream": True}, "a batch cannot stream", id="a stream"),
    ],
)
def test_what_is_no_request_of_a_batch_is_refused_with_the_reason(request_of_batch: Any, why: str) -> None:
    with pytest.raises(InvalidArgumentError, match=why):
        split(request_of_batch)


def test_a_request_is_found_by_its_id_and_without_one_by_its_body() -> None:
    given: dict[str, Any] = {"model": "m", "messages": [], "custom_id": "a", "stream": False}
    before = dict(given)
    custom_id, keywords = split(given)
    named, unnamed = identity(custom_id, keywords), identity(None, keywords)

    assert (custom_id, keywords, given) == ("a", {"model": "m", "messages": [], "stream": False}, before)
    assert (named.custom_id, named.body, named.digest) == ("a", unnamed.body, unnamed.digest)
    assert unnamed.key == unnamed.digest != named.key
    assert named.key != identity("b", keywords).key
    assert named.key != identity("a", keywords, b"secret").key


@pytest.mark.parametrize("odd", [7, "text", [1]], ids=repr)
def test_an_extra_body_that_is_no_mapping_stays_part_of_the_request(odd: Any) -> None:
    assert json.loads(canonical({"model": "m", "extra_body": odd})) == {"model": "m", "extra_body": odd}
    assert json.loads(canonical({"model": "m", "extra_body": None})) == {"model": "m"}
    assert json.loads(canonical({"model": "m", "extra_body": {"model": "n"}})) == {"model": "n"}


def test_how_a_request_is_sent_is_no_part_of_its_identity() -> None:
    assert canonical({"model": "m", "timeout": 3, "extra_headers": {"a": "b"}}) == canonical({"model": "m"})


@pytest.mark.parametrize("more", [{"model": "n"}, {"temperature": 1}, {"messages": []}])
def test_another_body_is_another_request(more: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
    assert identity(None, body).key != identity(None, {**body, **more}).key


def test_an_id_is_not_taken_for_a_body_with_the_same_text() -> None:
    body = {"model": "m"}
    assert identity(canonical(body).decode(), body).key != identity(None, body).key


def test_a_request_is_kept_as_it_was_whatever_becomes_of_its_dicts_and_lists() -> None:
    message: dict[str, Any] = {"role": "user", "content": "one"}
    given: dict[str, Any] = {"model": "m", "messages": [message], "stop": ("a", "b")}
    kept = as_it_is(given)
    message["content"] = "two"
    given["messages"].append({"role": "user", "content": "three"})
    given["model"] = "n"

    assert kept == {"model": "m", "messages": [{"role": "user", "content": "one"}], "stop": ("a", "b")}


def test_half_a_surrogate_pair_has_an_identity() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "\ud83d"}]}
    assert identity("\ud83d", body).key


@pytest.mark.parametrize(("length", "is_told"), [(119, True), (120, False)])
def test_the_error_of_a_difference_has_its_values_where_they_are_short(length: int, is_told: bool) -> None:
    value = "x" * (length - len("user was 'a', is ''"))
    now = canonical({"model": "m", "messages": [{"role": "user", "content": "b"}], "user": value, "seed": 7})
    before = {"model": "m", "messages": [{"role": "user", "content": "a"}], "max_tokens": 9, "user": "a", "top_p": 1}
    told = differences(before, now)
    user = f"user was 'a', is {value!r}" if is_told else "user"
    assert told == f"max_tokens was 9, is None, messages, seed was None, is 7, top_p was 1, is None, {user}"


def test_a_class_is_part_of_a_request_as_the_schema_that_it_asks_for() -> None:
    fields: list[dict[str, Any]] = [{"a": int}, {"a": int}, {"b": int}]
    made = [canonical({"model": "m", "response_format": create_model("Answer", **each)}) for each in fields]
    assert made[0] == made[1] != made[2]
    assert b'"type":"json_schema"' in made[0]


def endless() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


@pytest.mark.parametrize(
    "value", [endless(), {1: "a", "b": 2}, object()], ids=["holds itself", "keys of two kinds", "an object"]
)
@pytest.mark.parametrize("before", ["a", "\ud83d"], ids=ascii)
def test_a_request_that_json_cannot_hold_has_no_identity(value: Any, before: str) -> None:
    with pytest.raises(InvalidRequestError, match=r"^the request cannot be written as JSON: "):
        canonical({"model": "m", "messages": [before, value]})


# -- the file ------------------------------------------------------------------------------------------------------------


def test_two_journals_on_one_path_in_one_process_share_it(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as one, Journal(tmp_path / "j") as other:
        found = claim(one, 1)
        assert claim(other, 1).what == "in_flight"
        one._apply([keep(found)])
        assert claim(other, 1).what == "answered"


def test_a_closed_journal_refuses_to_be_used(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        claim(journal, 1)
    for use in (journal.counts, lambda: list(journal.rows()), lambda: journal.settings, lambda: claim(journal, 2)):
        with pytest.raises(VeniceError, match="was closed"):
            use()
    journal.close()
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_files_of_a_killed_process_beside_the_journal_are_removed_by_the_next(tmp_path: Path) -> None:
    program = "import os, sys; from venice_ai import Journal; journal = Journal(sys.argv[1]); os.kill(os.getpid(), 9)"
    for _ in range(2):
        subprocess.run([sys.executable, "-c", program, str(tmp_path / "j")], check=False)
        assert len(list(tmp_path.glob("j.*.alive"))) == 1
    Journal(tmp_path / "j").close()
    assert [path.name for path in tmp_path.iterdir()] == ["j"]


def test_the_error_of_a_damaged_file_says_what_to_do(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        for number in range(50):
            claim(journal, number)
    with (tmp_path / "j").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 16_384)
    with pytest.raises(VeniceError, match="It is damaged: move it away, and give the Journal a new one"):
        Journal(tmp_path / "j").counts()


def test_a_file_that_is_not_a_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    path.write_text("this is a text and no database at all, but long enough to look at")
    with pytest.raises(InvalidArgumentError, match="something else than the file of a Journal"):
        Journal(path)
    assert path.read_text().startswith("this is a text")


def test_another_database_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "j") as database:
        database.execute("CREATE TABLE mine (x)")
    with pytest.raises(InvalidArgumentError, match="something else than the file of a Journal"):
        Journal(tmp_path / "j")


def test_a_journal_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    with sqlite3.connect(tmp_path / "j") as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(InvalidArgumentError, match="newer release"):
        Journal(tmp_path / "j")


def test_a_file_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with Journal(path) as journal:
        claim(journal, 1)
    # Root may write everywhere but to what cannot be written at all, such as files of the kernel.
    path = Path("/proc/j") if os.geteuid() == 0 else path
    tmp_path.chmod(0o500)
    with pytest.raises(VeniceError, match="writable folder"):
        Journal(path)
    tmp_path.chmod(0o700)


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VeniceError, match="writable folder"):
        Journal(tmp_path / "missing" / "j")


def test_other_settings_are_refused_with_the_difference_named(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal._begin({"base_url": "https://one", "response_format": ""}, private=False)
        journal._apply([keep(claim(journal, 1))])
        with pytest.raises(InvalidArgumentError, match="base_url='https://one', not with 'https://two'"):
            journal._begin({"base_url": "https://two", "response_format": ""}, private=False)
        with pytest.raises(InvalidArgumentError, match="response_format='', not with 'Person"):
            journal._begin({"base_url": "https://one", "response_format": "Person (1a)"}, private=False)
        assert journal.settings == {"base_url": "https://one", "response_format": ""}


def test_requests_in_flight_keep_the_settings_of_their_batch(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal._begin({"base_url": "https://one"}, private=False)
        found = claim(journal, 1)
        with pytest.raises(InvalidArgumentError, match="base_url='https://one', not with 'https://two'"):
            journal._begin({"base_url": "https://two"}, private=False)
        journal._apply([keep(found, "open")])
        journal._begin({"base_url": "https://two"}, private=False)
        assert journal.settings == {"base_url": "https://two"}


@pytest.mark.parametrize(
    "damage", ["DELETE FROM contents", "UPDATE contents SET request = '7'", "UPDATE contents SET outcome = '7'"]
)
def test_rows_give_an_entry_that_cannot_be_read_as_failed_among_the_others(tmp_path: Path, damage: str) -> None:
    with Journal(tmp_path / "j") as journal:
        journal._apply([keep(claim(journal, number)) for number in range(3)])
        with sqlite3.connect(tmp_path / "j") as database:
            database.execute(f"{damage} WHERE id = 2")
        rows = list(journal.rows())
    assert [row.state for row in rows] == ["answered", "failed", "answered"]
    assert rows[1].error is not None
    assert rows[1].error.startswith("VeniceError: entry 2 of the journal cannot be read")
    assert [row.custom_id for row in (rows[0], rows[2])] == ["id-0", "id-2"]


@pytest.mark.parametrize("column", ["request", "outcome"])
def test_a_flipped_bit_makes_an_entry_failed_and_is_never_taken_for_an_answer(tmp_path: Path, column: str) -> None:
    with Journal(tmp_path / "j") as journal:
        journal._apply([keep(claim(journal, 1), words="7 dollars")])
        with sqlite3.connect(tmp_path / "j") as database:
            (stored,) = database.execute(f"SELECT {column} FROM contents").fetchone()
        for place in range(len(stored)):
            damaged = bytearray(stored)
            damaged[place] ^= 1
            with sqlite3.connect(tmp_path / "j") as database:
                database.execute(f"UPDATE contents SET {column} = ?", (damaged,))
            (row,) = journal.rows()
            assert row.state == "failed", damaged
            assert row.error is not None
            assert "the file is damaged" in row.error
            if column == "outcome":
                with pytest.raises(VeniceError, match="the file is damaged"):
                    journal._before(claim(journal, 1))


def test_a_journal_of_a_release_without_checksums_gives_what_it_holds(tmp_path: Path) -> None:
    with Journal(tmp_path / "j") as journal:
        journal._apply([keep(claim(journal, number), words="of old") for number in range(3)])
        with sqlite3.connect(tmp_path / "j") as database:
            for column in ("request", "outcome"):
                database.execute(f"UPDATE contents SET {column} = substr({column}, 1, length({column}) - 5)")
            (plain,) = database.execute("SELECT outcome FROM contents").fetchone()
        assert plain.endswith(b"}")
        assert [row.response and row.response.text for row in journal.rows()] == ["of old"] * 3
        assert journal._before(claim(journal, 1)).text == "of old"


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_new_journal_can_be_read_by_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with Journal(tmp_path / "j") as journal:
            claim(journal, 1)
            modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {"j", "j-wal", "j-shm"} < modes.keys()
    assert set(modes.values()) == {0o600}


# -- encryption ----------------------------------------------------------------------------------------------------------


def test_an_encrypted_journal_holds_neither_prompt_nor_answer_nor_id(tmp_path: Path) -> None:
    key = os.urandom(32)
    with Journal(tmp_path / "j", key=key) as journal:
        named = journal._identity("id-1", {"model": "m", "messages": [{"role": "user", "content": "the secret prompt"}]})
        (found,) = journal._apply([named])
        journal._apply([keep(found, words="the secret answer")])
        (row,) = journal.rows()
    assert row.response is not None
    assert row.response.text == "the secret answer"
    assert "secret" not in repr(row.response)
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"secret" not in held
    assert b"id-1" not in held
    assert identity(None, {"model": "m"}).digest != journal._identity(None, {"model": "m"}).digest


@pytest.mark.parametrize(
    ("other", "message"),
    [
        pytest.param(os.urandom(32), "is encrypted with another key: give its own key or key_file", id="another key"),
        pytest.param(None, "is encrypted: give its own key or key_file", id="no key"),
    ],
)
def test_an_encrypted_journal_opens_with_its_key_alone(tmp_path: Path, other: bytes | None, message: str) -> None:
    Journal(tmp_path / "j", key=os.urandom(32)).close()
    with pytest.raises(InvalidArgumentError, match=message):
        Journal(tmp_path / "j", key=other)


def test_a_journal_in_clear_takes_no_key(tmp_path: Path) -> None:
    Journal(tmp_path / "j").close()
    with pytest.raises(InvalidArgumentError, match="is not encrypted: open it without a key, or give another file"):
        Journal(tmp_path / "j", key=os.urandom(32))


def test_an_answer_that_was_moved_to_another_row_does_not_open(tmp_path: Path) -> None:
    with Journal(tmp_path / "j", key=os.urandom(32)) as journal:
        found = journal._apply([asked(number) for number in (1, 2)])
        journal._apply([keep(each) for each in found])
        with sqlite3.connect(tmp_path / "j") as database:
            database.execute("UPDATE contents SET outcome = (SELECT outcome FROM contents WHERE id = 2) WHERE id = 1")
        with pytest.raises(VeniceError, match=r"entry 1 .* was changed"):
            journal._before(claim(journal, 1))


def test_a_key_file_is_made_for_its_owner_alone_and_used_again(tmp_path: Path) -> None:
    path = tmp_path / "key"
    Journal(tmp_path / "j", key_file=path).close()
    assert path.stat().st_mode & 0o777 == 0o600
    Journal(tmp_path / "j", key_file=path).close()


@pytest.mark.skipif(os.name != "posix", reason="modes are POSIX")
def test_a_key_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(os.urandom(32).hex())
    path.chmod(0o644)
    with pytest.raises(InvalidArgumentError, match="chmod 600"):
        Journal(tmp_path / "j", key_file=path)


@pytest.mark.parametrize("content", ["", "my secret key", "ab" * 31, "ab" * 33, "g" * 64, "\u20ac"])
def test_a_file_without_a_key_is_refused_as_key_file_and_stays_as_it_is(tmp_path: Path, content: str) -> None:
    path = tmp_path / "key"
    path.touch(0o600)
    path.write_text(content, encoding="utf-8")
    with pytest.raises(InvalidArgumentError, match=r"64 hexadecimal digits|must be 32 bytes"):
        Journal(tmp_path / "j", key_file=path)
    assert path.read_text("utf-8") == content


def test_help_shows_of_a_journal_what_its_user_needs() -> None:
    shown = pydoc.plain(pydoc.render_doc(Journal))
    methods = set(re.findall(r"^ \|  (\w+)\(", shown, re.MULTILINE))
    assert {name for name in methods if not name.startswith("__")} == {"Journal", "close", "counts", "rows"}


@pytest.mark.parametrize(("key", "key_file"), [(b"short", None), ("a" * 32, None), (os.urandom(32), "file")])
def test_a_key_of_another_kind_is_refused(tmp_path: Path, key: Any, key_file: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="key"):
        Journal(tmp_path / "j", key=key, key_file=key_file)
