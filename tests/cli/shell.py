"""Ways to run the command: in this process, which is fast, and in one of its own, which is the real thing."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from venice_ai.cli.app import run

COMMAND = (sys.executable, "-W", "error", "-m", "venice_ai")
PATIENCE_SECONDS = 60.0
CTRL_C = 130 if sys.platform == "win32" else -signal.SIGINT  # in a shell it is 130 everywhere


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run of the command ended."""

    code: int
    out: str
    err: str


class Here:
    """Runs the command in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *arguments: str, stdin: bytes = b"") -> Outcome:
        self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = run(list(arguments))
        out, err = self._capsys.readouterr()
        return Outcome(code, out, err)


def spawn(
    *arguments: str,
    stdin: bytes = b"",
    command: Sequence[str] = COMMAND,
    packages: Path | None = None,
    environment: dict[str, str] | None = None,
) -> Outcome:
    """Runs the command in a process of its own, with this process's environment and some more.

    `packages` is a folder in which Python looks for packages first.
    """
    paths = [str(packages)] if packages else []
    paths += filter(None, [os.environ.get("PYTHONPATH")])
    done = subprocess.run(
        [*command, *arguments],
        input=stdin,
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **(environment or {})},
        check=False,
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def running(*arguments: str) -> Generator[subprocess.Popen[str]]:
    """The command in a process of its own, while it runs; without input."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    ) as process:
        try:
            yield process
        finally:
            process.kill()


class Running(Protocol):
    """A process that runs the command: a `subprocess.Popen`, or a fork."""

    def send_signal(self, sig: int, /) -> None: ...
    def communicate(self, *, timeout: float) -> tuple[str, str]: ...
    def wait(self, timeout: float) -> int: ...


def ended(process: Running, number: signal.Signals) -> Outcome:
    """Sends a signal, and waits for the end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    return Outcome(process.wait(PATIENCE_SECONDS), out, err)
