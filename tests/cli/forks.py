"""The command in a fork of this process: its signals, pipes and terminals are real, and nothing is imported again.

To start Python and to import takes several times as long as most commands do. Where the start or the end of the process is the
subject of a test, `spawn` and `running` in `shell.py` start a new Python.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile
from threading import Timer
from typing import IO, Final, Literal, TextIO

import pytest

from venice_ai.cli import main

from .shell import PATIENCE_SECONDS, Outcome

_NO_VARIABLES: Final[Mapping[str, str]] = {}
_MOST_DESCRIPTORS: Final = 4096


class Fork:
    """The command while it runs. Its methods are those of `subprocess.Popen`."""

    def __init__(
        self, arguments: tuple[str, ...], descriptors: tuple[int, int, int], environment: Mapping[str, str] = _NO_VARIABLES
    ) -> None:
        """Starts it with these descriptors as stdin, stdout and stderr, and with some more variables of the environment."""
        if sys.platform == "win32":
            pytest.skip("this system has no fork")
        given = (arguments, descriptors, {**os.environ, **environment})
        self._process = multiprocessing.get_context("fork").Process(target=_become_the_command, args=given)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of the emulator's thread, which the child does without
            self._process.start()

    def send_signal(self, number: int) -> None:
        assert self._process.pid is not None
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        self._process.join(timeout)
        assert self._process.exitcode is not None, f"it still ran after {timeout} s"
        return self._process.exitcode

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode


class PipedFork(Fork):
    """The command without input, while it runs."""

    def __init__(self, arguments: tuple[str, ...], errors: IO[bytes], environment: Mapping[str, str]) -> None:
        self._errors = errors
        reading, writing = os.pipe()
        self.stdout: TextIO = os.fdopen(reading, encoding="utf-8")
        nothing = os.open(os.devnull, os.O_RDONLY)
        try:
            super().__init__(arguments, (nothing, writing, errors.fileno()), environment)
        finally:
            os.close(nothing)
            os.close(writing)

    def communicate(self, timeout: float = PATIENCE_SECONDS) -> tuple[str, str]:
        late = Timer(timeout, self.kill)
        late.start()
        out = self.stdout.read()
        self.wait()
        late.cancel()
        self._errors.seek(0)
        return out, self._errors.read().decode()


@contextmanager
def forked(*arguments: str, environment: Mapping[str, str] = _NO_VARIABLES) -> Generator[PipedFork]:
    """The command while it runs, without input."""
    with TemporaryFile() as errors:
        process = PipedFork(arguments, errors, environment)
        with process.stdout:
            try:
                yield process
            finally:
                process.kill()
                process.wait()


def run_forked(*arguments: str, environment: Mapping[str, str] = _NO_VARIABLES) -> Outcome:
    """Runs the command without input."""
    with forked(*arguments, environment=environment) as process:
        out, err = process.communicate()
        return Outcome(process.wait(), out, err)


def _become_the_command(arguments: tuple[str, ...], descriptors: tuple[int, int, int], environment: dict[str, str]) -> None:
    """What `python -W error -m venice_ai` begins with: nothing of the tests, and nothing open but three descriptors."""
    import fcntl
    import termios

    for number, descriptor in enumerate(descriptors):
        os.dup2(descriptor, number)
    os.closerange(3, _MOST_DESCRIPTORS)
    if os.isatty(0):
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    signal.set_wakeup_fd(-1)
    for name, handler in (("SIGINT", signal.default_int_handler), ("SIGTERM", signal.SIG_DFL), ("SIGALRM", signal.SIG_DFL)):
        signal.signal(signal.Signals[name], handler)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["venice-chat", *arguments]
    sys.stdin = _stream(0, "r", errors="strict")
    sys.stdout = _stream(1, "w", errors="strict")
    sys.stderr = _stream(2, "w", errors="backslashreplace")
    logging.getLogger().handlers.clear()
    warnings.resetwarnings()
    warnings.simplefilter("error")
    sys.warnoptions[:] = ["error"]
    main()


def _stream(descriptor: int, mode: Literal["r", "w"], *, errors: str) -> TextIO:
    return open(descriptor, mode, 1 if descriptor == 2 else -1, encoding="utf-8", errors=errors, closefd=False)
