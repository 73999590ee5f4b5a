"""The faults of the scoreboard, with our own clients: each has the right outcome, and no failure shows key or prompt."""

from __future__ import annotations

import asyncio
import inspect
import logging
import pickle
import sys
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.faults import report
from benchmarks.faults.catalogue import FAULTS, TIME
from benchmarks.faults.clients import ours
from benchmarks.faults.fault import Fault, Right
from benchmarks.faults.heard import KEY, PROMPT, Call, Heard
from benchmarks.faults.run import OURS, Cell
from benchmarks.faults.serving import place_of
from benchmarks.faults.verdict import RIGHT, WORDS, verdict, worst

from ..disclosure import shown_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there every call takes the event loop")

SHORT_SECONDS = 0.2
TAKES_LONG = {"8 MB in one event", "kept connection closed while idle", "no such name", "503 once"}
LARGE = {"a body of 300 MB", "a gzip bomb"}
JUDGED = [fault for fault in FAULTS if fault.group != TIME and fault.name not in TAKES_LONG and "429" not in fault.name]
FAILING = [fault for fault in FAULTS if fault.place != "no such name" and (fault.right.ends != "answer" or fault.group == TIME)]
WAYS = {
    "asynchronous": {"stream": "collect", "plain": "create", "tools": "collect"},
    "synchronous": {"stream": "iteration, sync", "plain": "create, sync", "tools": "collect, sync"},
}


async def call_of(fault: Fault, kind: str, way: str, *, timeout: float, retries: int | None) -> tuple[Heard, Exception | None]:
    """What the caller heard, and the error."""
    heard, asked = Heard(), ours.WAYS[kind][way]
    loop = asyncio.get_running_loop()
    async with place_of(fault) as server:
        call = Call(url=server.url, retries=retries, calls=fault.calls, pause=fault.pause, timeout=timeout)
        began, failure = loop.time(), None
        try:
            if inspect.iscoroutinefunction(asked):
                await asked(call, heard)
            else:
                await asyncio.to_thread(asked, call, heard)
        except Exception as error:  # noqa: BLE001
            failure = error
            heard.failed(error)
        heard.over, heard.seconds, heard.requests = True, loop.time() - began, len(server.received)
    return heard, failure


async def calls_of(
    faults: Sequence[Fault], mode: str, *, timeout: float, retries: int | None
) -> list[tuple[Fault, Heard, Exception | None]]:
    """The same for many faults at once, by every kind of call that they are for."""
    turns = asyncio.Semaphore(8)

    async def one(fault: Fault, kind: str) -> tuple[Fault, Heard, Exception | None]:
        async with turns:
            given = retries if fault.right.ends != "answer" else fault.retries
            return (fault, *await call_of(fault, kind, WAYS[mode][kind], timeout=timeout, retries=given))

    return await asyncio.gather(*(one(fault, kind) for fault in faults for kind in fault.kinds))


@pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.more)], ids=["small", "large"])
@pytest.mark.parametrize("mode", WAYS)
async def test_every_fault_has_the_right_outcome_for_our_callers(mode: str, large: bool) -> None:
    faults = [fault for fault in JUDGED if (fault.name in LARGE) is large]

    found = await calls_of(faults, mode, timeout=60 if large else 20, retries=0)

    assert len(found) >= (len(LARGE) if large else 90)
    assert [(fault.name, heard) for fault, heard, _ in found if verdict(fault, heard, ours.PACKAGES) != RIGHT] == []


@pytest.mark.parametrize("mode", WAYS)
async def test_no_failing_path_shows_the_key_or_the_prompt(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = await calls_of(FAILING, mode, timeout=SHORT_SECONDS, retries=0)

    failed = {fault.name: error for fault, _, error in found if error is not None}
    assert len(failed) > 60
    assert [(name, where) for name, error in failed.items() for where, text in shown_anywhere(error) if KEY in text] == []
    # A method's own frame has its arguments, as the caller's has; what is written down by default has not.
    assert [(name, where) for name, error in failed.items() for where, text in written(error) if PROMPT in text] == []
    for text in (caplog.text, *(str(each.message) for each in warned)):
        assert KEY not in text
        assert PROMPT not in text


def shown_anywhere(error: Exception) -> list[tuple[str, str]]:
    """All that a program could write down of an error, with the names in our frames."""
    return [*shown_of(error), *written(error)]


def written(error: Exception) -> list[tuple[str, str]]:
    """What programs write down of an error: its text, its traceback, a pickle."""
    found = [("text", f"{error!r} {error} {vars(error)}"), ("traceback", "".join(traceback.format_exception(error)))]
    return [*found, ("pickle", pickle.dumps(error).decode("latin-1"))]


STREAM = Fault(name="a fault", group="a group", does="Nothing.", kinds=("stream",), right=Right(text="whole", requests=1))


def heard(text: str = "whole", finish: str | None = "stop", **more: Any) -> Heard:
    given: dict[str, Any] = {"over": True, "requests": 1, **more}
    return Heard(text=text, finish=finish, **given)


@pytest.mark.parametrize(
    ("word", "right", "got"),
    [
        ("right", {}, heard()),
        ("hung", {}, heard(over=False)),
        ("hung", {}, heard(seconds=100.0)),
        ("sent too often", {}, heard(requests=2)),
        ("invented", {}, heard("another")),
        ("invented", {"finish": None}, heard()),
        ("invented", {}, heard(calls=["tide({})"])),
        ("lost", {}, heard("who")),
        ("lost", {}, heard(finish=None)),
        ("lost", {"calls": ("a({})", "b({})")}, heard(calls=["a({})"])),
        ("lost", {"ends": "error"}, heard("who", error="venice_ai.X")),
        ("refused", {}, heard(error="venice_ai.X")),
        ("cut taken for whole", {"ends": "error"}, heard()),
        ("cut taken for whole", {"ends": "either"}, heard("who")),
        ("right", {"ends": "either"}, heard("who", error="venice_ai.X")),
        ("wrong error", {"ends": "error"}, heard(error="builtins.KeyError")),
        ("wrong error", {"ends": "error", "status": 404}, heard(error="venice_ai.X", status=500)),
        ("right", {"ends": "error", "status": 404}, heard(error="venice_ai.X", status=404)),
    ],
)
def test_the_verdict_follows_from_the_outcome(word: str, right: dict[str, Any], got: Heard) -> None:
    fault = replace(STREAM, right=replace(STREAM.right, **right))

    assert verdict(fault, got, ["venice_ai"]) == word


def test_the_worst_verdict_of_several_methods_counts() -> None:
    assert worst(["right", "lost", "refused"]) == "lost"
    assert worst(list(WORDS)) == "hung"


def test_each_fault_has_a_name_and_an_anchor_of_its_own() -> None:
    assert len({fault.anchor for fault in FAULTS}) == len(FAULTS) >= 60


def test_each_cell_of_the_table_leads_to_its_evidence(tmp_path: Any) -> None:
    cells = [
        Cell(STREAM, OURS, "stream", "collect", heard("a | b")),
        Cell(STREAM, OURS, "stream", "collect, sync", heard(over=False)),
    ]

    report.write(tmp_path / "board.md", cells, "2026-01-01", ["venice-chat 1"])

    assert "| a fault | [hung (1 of 2)](board/a-group.md#a-fault-venice-chat) |" in (tmp_path / "board.md").read_text()
    evidence = (tmp_path / "board" / "a-group.md").read_text()
    assert '<a id="a-fault-venice-chat"></a>' in evidence
    assert r"text `a \| b`; finish reason `stop`" in evidence
