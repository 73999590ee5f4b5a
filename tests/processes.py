"""Runs the tests in several forks of the process that collected them: `pytest --processes auto --capture sys`.

Each process of pytest-xdist imports all test modules and rewrites their asserts. Here this is done once, and the forks share
the memory. The first process hands out shares of the tests, each smaller than the one before, so that all processes end at
about the same time; it counts and shows what the others report. A process that dies fails the test that it ran, and another
takes its place.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import warnings
from collections import deque
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import chain, pairwise
from multiprocessing.connection import Connection, wait
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from . import rewritten

_MORE_THAN_CORES: Final = 3
"""So many tests wait for a server, a process or a clock that one process more leaves a third of the processor unused."""
_SHARES: Final = 4
"""A process is given this part of its part of the tests that are left."""
_MORE: Final = 40
_PATIENCE_SECONDS: Final = 20.0
_MANY_TESTS: Final = 1_000
_IMPORTED_LATER: Final = ("fastapi", "pandas", "prompt_toolkit")


def add_option(parser: pytest.Parser) -> None:
    parser.addoption("--processes", default="0", metavar="N", help="run the tests in N forks; auto: three more than cores")


def register(config: pytest.Config) -> None:
    """Tests run in several processes if `--processes` says so."""
    number = str(config.getoption("processes"))
    if number == "0":
        return
    if not hasattr(os, "fork"):
        raise pytest.UsageError("--processes needs a system with fork")
    if config.getoption("capture") == "fd":
        raise pytest.UsageError("--processes needs --capture sys: what several processes print cannot be kept in one file")
    if not config.getoption("collectonly"):
        rewritten.register(config)
    config.pluginmanager.register(Processes((os.cpu_count() or 1) + _MORE_THAN_CORES if number == "auto" else int(number)))


@given(st.text())
@settings(max_examples=1)
def _an_example(_: str) -> None:
    pass


class Processes:
    """The loop over all tests, in several processes."""

    def __init__(self, number: int) -> None:
        self._number = number

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Does once what each fork would do: imports what tests import when they run, and lets Hypothesis read our modules."""
        if session.config.getoption("collectonly") or len(session.items) < _MANY_TESTS:
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name in filter(find_spec, _IMPORTED_LATER):
                import_module(name)
        _an_example()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Takes the place of pytest's loop, except where that runs no test."""
        if session.testsfailed or session.config.getoption("collectonly"):
            return None
        left = deque(range(len(session.items)))
        workers = [_Worker(session) for _ in range(self._number)]
        try:
            while workers:
                ready = wait([worker.connection for worker in workers])
                for worker in [worker for worker in workers if worker.connection in ready]:
                    if worker.served(left, self._number):
                        continue
                    workers.remove(worker)
                    if worker.given:
                        worker.report_death()
                        left.extendleft(reversed(worker.given))
                        workers.append(_Worker(session))
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
        finally:
            for worker in workers:
                worker.process.terminate()
        return True


class _Worker:
    """A process that runs tests, as the first process sees it."""

    def __init__(self, session: pytest.Session) -> None:
        self._session = session
        self.given: deque[int] = deque()
        """The tests that it was given and has not reported, by their positions; the first may be under way."""
        fork = multiprocessing.get_context("fork")
        self.connection, theirs = fork.Pipe()
        self.process = fork.Process(target=_run_tests, args=(session, self.connection, theirs))
        with warnings.catch_warnings():  # Python warns of the threads of imported libraries, which none of the forks needs
            warnings.simplefilter("ignore", DeprecationWarning)
            self.process.start()
        theirs.close()

    def served(self, left: deque[int], workers: int) -> bool:
        """Takes the reports of a test, or gives the process some of the tests that are left. False if it has ended."""
        try:
            reports = self.connection.recv()
            if reports is None:
                share = self._share(left, 1 + len(left) // (_SHARES * workers))
                self.given.extend(share)
                self.connection.send(share)
                return True
        except (EOFError, ConnectionError):
            self.process.join(_PATIENCE_SECONDS)
            self.process.terminate()
            return False
        self.given.popleft()
        hook = self._session.config.hook
        for data in reports:
            hook.pytest_runtest_logreport(report=hook.pytest_report_from_serializable(config=self._session.config, data=data))
        return True

    def _share(self, left: deque[int], size: int) -> list[int]:
        """The next tests; some more than `size` if that completes a module: another process would make its fixtures again."""
        items = self._session.items
        share: list[int] = []
        while left and len(share) < size + _MORE:
            if len(share) >= size and items[left[0]].path != items[share[-1]].path:
                break
            share.append(left.popleft())
        return share

    def report_death(self) -> None:
        """The test that was under way failed."""
        item = self._session.items[self.given.popleft()]
        words = f"the process ended with {self.process.exitcode} while it ran this test"
        report = pytest.TestReport(item.nodeid, item.location, dict.fromkeys(item.keywords, 1), "failed", words, "call")
        item.ihook.pytest_runtest_logreport(report=report)


def _run_tests(session: pytest.Session, theirs: Connection, parent: Connection) -> None:
    """What a worker does: runs the tests that the first process gives it, until there are no more."""
    theirs.close()
    with TemporaryFile("a+b") as output, Path(os.devnull).open("rb") as nothing:
        for file, standard in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(file.fileno(), standard)
        plugins = session.config.pluginmanager
        plugins.unregister(name="terminalreporter")
        plugins.register(_Reporter(session.config, parent))
        for item, following in pairwise(chain(_given(session, parent), [None])):
            assert item is not None
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if following is None or following.path != item.path:
                gc.collect()
                gc.freeze()  # pytest keeps something of every test, and the collections of later tests would look at all of it
        parent.close()


def _given(session: pytest.Session, parent: Connection) -> Iterator[pytest.Item]:
    while True:
        parent.send(None)
        if not (share := parent.recv()):
            return
        for position in share:
            yield session.items[position]


class _Reporter:
    """Sends the reports of each test to the first process: one of a test that passes, for a message costs as much as a test."""

    def __init__(self, config: pytest.Config, parent: Connection) -> None:
        self._config = config
        self._parent = parent
        self._reports: list[dict[str, Any]] = []
        self._printed = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        if report.failed:
            size = os.fstat(1).st_size
            text = os.pread(1, size - self._printed, self._printed).decode(errors="replace")
            report.sections += [("Output of programs that the test started", text)] if text else []
        self._reports.append(self._config.hook.pytest_report_to_serializable(config=self._config, report=report))

    def pytest_runtest_logfinish(self) -> None:
        self._parent.send(self._reports)
        self._reports = []
        self._printed = os.fstat(1).st_size
