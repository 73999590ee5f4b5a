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
from pathlib import Path

import pytest

from venice_ai._limits.failure_budget import Wait
from venice_ai._limits.shared import RateShare
from venice_ai.exceptions import VeniceError
from venice_ai.types.rate_limits import RateLimits

TAKE = """
import sys, time
from venice_ai._limits.shared import RateShare
share = RateShare(sys.argv[1])
budget = share._failure_budget("account")
print(sum(isinstance(budget.reserve(time.monotonic()), int) for _ in range(int(sys.argv[2]))), flush=True)
sys.stdin.read()
"""


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
    process, taken = other_process(path, 15)
    budget = share._failure_budget("account")
    mine = [budget.reserve(time.monotonic()) for _ in range(10)]
    process.communicate()

    assert taken == 15
    assert sum(isinstance(ticket, int) for ticket in mine) == 5
    last = mine[-1]
    assert isinstance(last, Wait)
    assert last.until is not None, "another process has them in flight: it is asked again soon"


def test_what_a_killed_process_had_reserved_comes_back_at_once(path: Path, share: RateShare) -> None:
    process, _ = other_process(path, 20)
    budget = share._failure_budget("account")
    assert isinstance(budget.reserve(time.monotonic()), Wait)
    process.kill()
    process.communicate()

    assert isinstance(budget.reserve(time.monotonic()), int)
    assert [file.name for file in path.parent.glob("*.alive")] == [f"limits.db.{share._file.owner}.alive"]


def test_what_one_learns_from_a_reply_all_know(path: Path, share: RateShare) -> None:
    other = RateShare(path)
    first, second = share._rate_limiter("model"), other._rate_limiter("model")
    ticket = first.reserve(1.0, 10)
    assert isinstance(ticket, int)
    first.replied(ticket, 2.0, 429, RateLimits(limit_requests=10, remaining_requests=0, reset_requests_seconds=20.0), 20.0)
    first.settled(ticket, 2.0, None)

    assert second.reserve(3.0, 10) == Wait(22.0, "paused by a 429")
    assert other._rate_limiter("another model").reserve(3.0, 10) == 1
    assert second.snapshot(3.0) == first.snapshot(3.0)
    other.close()


def test_state_survives_what_is_in_flight(path: Path, share: RateShare) -> None:
    limiter = share._rate_limiter("model")
    tickets = [ticket for _ in range(3) if isinstance(ticket := limiter.reserve(1.0, 10), int)]
    assert len(tickets) == 3
    again = RateShare(path)._rate_limiter("model")
    for ticket in tickets:
        again.replied(ticket, 2.0, 200, RateLimits(limit_requests=10, remaining_requests=7, reset_requests_seconds=9.0), None)
        again.settled(ticket, 3.0, 5)

    assert limiter.snapshot(3.0).in_flight == 0
    assert limiter.snapshot(3.0).remaining_requests == 7


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_child_is_a_process_of_its_own(share: RateShare) -> None:
    budget = share._failure_budget("account")
    pid = os.fork()
    if pid == 0:
        got = [budget.reserve(time.monotonic()) for _ in range(20)]
        os._exit(0 if all(isinstance(ticket, int) for ticket in got) else 1)

    assert os.waitpid(pid, 0)[1] == 0
    assert isinstance(budget.reserve(time.monotonic()), int), "the child has ended"


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


def test_a_refused_file_is_closed_again(path: Path) -> None:
    path.write_bytes(b"not a database" * 100)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        with pytest.raises(VeniceError):
            RateShare(path)
        gc.collect()

    assert [each for each in warned if each.category is ResourceWarning] == []


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


def test_a_full_disk_is_reported_and_harms_nothing(share: RateShare) -> None:
    budget = share._failure_budget("account")
    budget.reserve(1.0)
    share._file._database.execute("PRAGMA max_page_count = 1")
    huge = share._rate_limiter("x" * 1_000_000)
    with pytest.raises(VeniceError, match="full"):
        huge.reserve(1.0, 1)

    assert budget.reserve(1.0) == 2
