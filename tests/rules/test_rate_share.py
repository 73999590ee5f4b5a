"""Several processes share one limiter and one failure budget, and a dead process's reservations come back at once."""

from __future__ import annotations

import gc
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from functools import partial
from operator import length_hint
from pathlib import Path

import pytest
from msgspec import msgpack

from venice_ai import RateShare, Timeout
from venice_ai._limits.account import Account, Bucket, QueuedCall, Ticket
from venice_ai.exceptions import APIError, CircuitOpenError, RateLimitError, VeniceError
from venice_ai.transport import Attempt, ChatSize, Pass, Request, SystemClock
from venice_ai.types.limits import LimitsSnapshot
from venice_ai.types.response_meta import Headers, ResponseMeta

TAKE = """
import sys, time
from tests.rules.test_rate_share import account_of, taken
from venice_ai import RateShare
share = RateShare(sys.argv[1])
account = account_of(share)
print(len(taken(account, int(sys.argv[2]))), flush=True)
sys.stdin.read()
"""


class Blocking(SystemClock):
    """The machine's clock, for what runs on no event loop."""

    blocks = True


def account_of(share: RateShare, name: str = "account") -> Account:
    return Account(time.monotonic, share, name)


def asked(account: Account, model: str = "model") -> Pass | APIError | None:
    """A pass for an attempt that does not wait, or the error that tells for how long it would have to, if that is known."""
    request = Request("POST", "http://x", headers={}, body=b"{}", timeout=Timeout())
    request.chat = ChatSize(model, 1, None, 1)
    bucket, now = account.bucket(model), time.monotonic()
    call = QueuedCall(Blocking(), model, Attempt(request, 1, now, now, None), fail_fast=False)
    account.act(bucket, partial(bucket.enqueue, call))
    if call.result is not None:
        return call.result
    refusal = call.refusal(bucket.wait, now)
    account.act(bucket, partial(bucket.leave, call))
    return refusal


def taken(account: Account, count: int) -> list[Ticket]:
    """The passes of as many of some attempts as may be sent now."""
    return [each for each in (asked(account) for _ in range(count)) if isinstance(each, Ticket)]


def answered(ticket: Ticket, remaining: int | None = None) -> None:
    """Its attempt has a good reply, which has been read."""
    headers = {"x-ratelimit-limit-requests": "1000", "x-ratelimit-reset-requests": "40"}
    headers["x-ratelimit-remaining-requests"] = str(remaining)
    ticket.replied(ResponseMeta(200, Headers([] if remaining is None else headers.items()), time.time(), 0.1))
    ticket.done(None, None)


def known_to(account: Account) -> LimitsSnapshot:
    """What the account knows once it is up to date."""
    return account.snapshot()


def bucket_of(account: Account) -> Bucket:
    return account.bucket("model")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "limits.db"


@pytest.fixture
def share(path: Path) -> Iterator[RateShare]:
    share = RateShare(path)
    yield share
    share.close()


def other_process(path: Path, requests: int) -> tuple[subprocess.Popen[str], int]:
    """Another process that holds as many reservations as it gets; it lives until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", TAKE, str(path), str(requests)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


def test_two_processes_share_one_failure_budget(path: Path, share: RateShare) -> None:
    process, theirs = other_process(path, 15)
    account = account_of(share)
    mine = taken(account, 10)
    last = asked(account)
    process.communicate()

    assert theirs == 15
    assert len(mine) == 5
    assert last is None, "nobody knows how long what is in flight takes"


def test_reservations_of_a_killed_process_come_back_at_once(path: Path, share: RateShare) -> None:
    process, _ = other_process(path, 20)
    account = account_of(share)
    assert taken(account, 1) == []
    process.kill()
    process.communicate()

    assert len(taken(account, 20)) == 20
    assert [file.name for file in path.parent.glob("*.alive")] == [f"limits.db.{share._file.owner}.alive"]


def test_files_that_killed_processes_left_are_removed_at_the_next_start(path: Path) -> None:
    process, _ = other_process(path, 0)
    others = [path.with_name(name) for name in (f"{path.name}.2.77-0123abcd.alive", "limits.dbx.77-0123abcd.alive")]
    for each in others:
        each.touch()
    process.kill()
    process.communicate()
    assert len(list(path.parent.glob("*.alive"))) == 3

    first = RateShare(path)
    second = RateShare(path)
    assert set(path.parent.glob("*.alive")) == {
        *others,  # they are another share's
        *(path.with_name(f"limits.db.{share._file.owner}.alive") for share in (first, second)),
    }
    first.close()
    second.close()


def test_limits_learnt_by_one_process_hold_for_all(path: Path, share: RateShare) -> None:
    other = RateShare(path)
    first, second = account_of(share), account_of(other)
    (ticket,) = taken(first, 1)
    headers = Headers({"retry-after": "20", "x-ratelimit-limit-requests": "10"}.items())
    meta = ResponseMeta(429, headers, time.time(), 0.1)
    ticket.replied(RateLimitError("no", status_code=429, meta=meta, retry_after_seconds=20.0))
    ticket.done(None, None)

    waits = asked(second)
    assert isinstance(waits, RateLimitError)
    assert "paused by a 429" in str(waits)
    assert isinstance(asked(second, "another model"), Ticket)
    (known,) = [each for each in known_to(second).models if each.model == "model"]
    assert known.limits.limit_requests == 10
    assert known.limits.paused_seconds == pytest.approx(20, abs=1)
    other.close()


def test_what_another_release_wrote_of_requests_under_way_counts_for_nothing(path: Path, share: RateShare) -> None:
    account = account_of(share)
    answered(taken(account, 1)[0], 900)
    with sqlite3.connect(path) as database:
        for name, state in database.execute("SELECT name, state FROM rules").fetchall():
            odd = msgpack.encode((msgpack.decode(state)[0], {"another": [1.0, 1.0, 1.0, 1.0]}))
            database.execute("UPDATE rules SET state = ? WHERE name = ?", (odd, name))

    answered(taken(account, 1)[0], 900)


def test_where_no_limit_is_known_processes_reserve_no_requests_for_later(path: Path, share: RateShare) -> None:
    other = RateShare(path)
    first, second = account_of(share), account_of(other)
    for account in (first, second):
        for ticket in taken(account, 40):
            answered(ticket)

    assert not length_hint(bucket_of(first).block.seats) + length_hint(bucket_of(second).block.seats)
    other.close()


def test_a_server_that_fails_is_left_alone_by_all_processes(path: Path, share: RateShare) -> None:
    other = RateShare(path)
    first, second = account_of(share), account_of(other)
    for ticket in taken(first, 5):
        ticket.replied(APIError("no", status_code=500, meta=ResponseMeta(500, Headers([]), time.time(), 0.1)))
        ticket.done(None, None)

    assert isinstance(asked(second), CircuitOpenError)
    other.close()


def test_while_limits_are_far_many_requests_take_few_transactions(path: Path, share: RateShare) -> None:
    other = RateShare(path)
    mine, theirs = account_of(share), account_of(other)
    for _ in range(3):
        for ticket in taken(mine, 20):
            answered(ticket, 900)

    (ticket,) = taken(mine, 1)
    block = bucket_of(mine).block

    assert length_hint(block.seats) >= 10
    reserved = 1 + length_hint(block.seats)
    assert known_to(theirs).models == ()
    bucket_of(theirs)
    assert known_to(theirs).models[0].limits.in_flight == reserved, "the others know of all of it"
    until = time.monotonic() + 5.0
    while known_to(theirs).models[0].limits.in_flight > 1 and time.monotonic() < until:
        time.sleep(0.01)
    assert known_to(theirs).models[0].limits.in_flight == 1, "what nobody takes is given back, though an answer is still read"
    answered(ticket, 900)
    assert known_to(theirs).models[0].limits.in_flight == 0
    other.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_is_a_process_of_its_own(share: RateShare) -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if len(taken(account_of(share), 20)) == 20 else 1)

    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert taken(account_of(share), 1), "the child has ended"


@pytest.mark.parametrize("content", [b"not a database" * 100, None], ids=["text", "another database"])
def test_a_file_that_is_no_share_is_refused_and_left_as_it_is(path: Path, content: bytes | None) -> None:
    if content is None:
        with sqlite3.connect(path) as database:
            database.execute("CREATE TABLE mine (x)")
        content = path.read_bytes()
    path.write_bytes(content)

    with pytest.raises(VeniceError, match="file of its own"):
        RateShare(path)
    assert path.read_bytes() == content


def test_counts_written_by_an_earlier_release_are_forgotten(share: RateShare) -> None:
    state = msgpack.encode(([["x", 1], [[0.5, 2]]], {"1-ab": [1]}))
    with share._file.transaction() as database:
        database.execute("INSERT INTO rules VALUES ('failures account', ?, 0)", (state,))

    assert len(taken(account_of(share), 30)) == 20


def test_a_refused_file_is_closed_again(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(VeniceError):
            RateShare(path)
        gc.collect()

    assert [each for each in warned if each.category is ResourceWarning] == []


def test_processes_may_make_the_file_at_the_same_time(path: Path) -> None:
    code = "import sys\nfrom venice_ai import RateShare\nfor n in range(30): RateShare(f'{sys.argv[1]}{n}').close()"
    processes = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(4)]

    assert [process.wait() for process in processes] == [0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_file_that_may_only_be_read_is_refused_at_once() -> None:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)  # pytest's own folders are closed to the user below
        path = Path(folder, "limits.db")
        RateShare(path).close()
        path.chmod(0o444)
        pid = os.fork()
        if pid == 0:
            if os.geteuid() == 0:  # root may write everything
                os.seteuid(65534)
            try:
                RateShare(path)
            except VeniceError as error:
                os._exit(0 if "readonly" in str(error) else 2)
            os._exit(1)

        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(VeniceError, match="nowhere"):
        RateShare(tmp_path / "nowhere" / "limits.db")


def test_while_the_disk_is_full_a_process_keeps_to_the_limits_alone_and_says_so(
    share: RateShare, caplog: pytest.LogCaptureFixture
) -> None:
    account = account_of(share)
    assert len(taken(account, 3)) == 3
    share._file._database.execute("PRAGMA max_page_count = 1")
    assert isinstance(asked(account, "x" * 1_000_000), Ticket)
    assert "full" in caplog.text

    share._file._database.execute("PRAGMA max_page_count = 1000000")
    assert len(taken(account, 30)) in {16, 17}, (
        "at most 20 of the key are in flight, and one may be known to this process alone"
    )
    share._file._database.execute("ALTER TABLE rules RENAME TO others")
    taken(account, 1)
    assert "no such table" in caplog.text
    assert taken(account, 30) == []
