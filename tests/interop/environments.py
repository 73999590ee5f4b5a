"""Environments for programs that others wrote: each program has its own, apart from this project's.

They stand under `.interop/` in the checkout. Making one takes some seconds and the package registries, once; it is made
anew when its list of requirements changes.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

_ROOT = Path(__file__).parents[2] / ".interop"
CLIENTS = Path(__file__).parent / "clients"
_INSTALL_SECONDS = 600.0
_ANSWER_SECONDS = 150.0  # some packages take a busy machine a minute to import
_NOWHERE = "http://127.0.0.1:9"
_FOREIGN = ("PYTHON", "VENICE_", "OPENAI_", "LLM_", "LLMOCK_", "AIMOCK_", "NODE_", "SCHEMATHESIS_", "HYPOTHESIS_")


@dataclass(frozen=True, slots=True)
class PythonEnvironment:
    """A virtual environment."""

    folder: Path

    def command(self, name: str) -> str:
        """The path of a command that was installed; `python` is one of them."""
        return str(_programs(self.folder) / name)

    @contextmanager
    def running(self, script: str, settings: Mapping[str, str] | None = None) -> Generator[Script]:
        """A script of `clients/` that waits for questions, with some variables more in its environment."""
        with _asked([self.command("python"), str(CLIENTS / script)], self.folder, settings) as found:
            yield found


@contextmanager
def _asked(command: list[str], folder: Path, settings: Mapping[str, str] | None = None) -> Generator[Script]:
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            encoding="utf-8",
            env=environment(settings),
            cwd=folder,
        ) as process,
    ):
        try:
            yield Script(process, complaints)
        finally:
            process.kill()


class Script:
    """A script that was started, in a process of its own."""

    def __init__(self, process: subprocess.Popen[str], complaints: IO[bytes]) -> None:
        self._process = process
        self._complaints = complaints

    def ask(self, do: str, **arguments: Any) -> Any:
        """What a scenario of the script returns."""
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        watchdog = threading.Timer(_ANSWER_SECONDS, process.kill)
        watchdog.start()
        try:
            process.stdin.write(json.dumps({"do": do, **arguments}) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        finally:
            watchdog.cancel()
        if not line:
            self._complaints.seek(0)
            pytest.fail(f"{do}: the script ended or took too long\n{self._complaints.read().decode()[-4000:]}", pytrace=False)
        reply = json.loads(line)
        assert "failed" not in reply, f"{do}: {reply['failed']}"
        return reply["answer"]


@dataclass(frozen=True, slots=True)
class NodeEnvironment:
    """A folder with `node_modules`."""

    folder: Path

    def command(self, script: str) -> list[str]:
        """How to run a file of an installed package."""
        return [_node_program("node"), str(self.folder / "node_modules" / script)]

    @contextmanager
    def running(self, script: str) -> Generator[Script]:
        """A script of `clients/` that waits for questions."""
        # Node looks for packages from where the script lies.
        own = shutil.copy(CLIENTS / script, self.folder)
        with _asked([_node_program("node"), str(own)], self.folder) as found:
            yield found


def python_env(name: str, requirements: Sequence[str]) -> PythonEnvironment:
    """A virtual environment with these requirements, with the Python that runs this."""
    folder = _ROOT / name
    python = _programs(folder) / "python"
    requirement_lines = [sys.version, str(folder), *requirements]  # its commands know where they stand

    def make() -> None:
        # Without a pip of its own, and without compiling what may never be imported, it takes half the time.
        _run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        _run(sys.executable, "-m", "pip", f"--python={python}", "install", "--quiet", "--no-compile", *requirements)

    _once(folder, requirement_lines, make)
    return PythonEnvironment(folder)


def node_env(name: str, packages: Sequence[str]) -> NodeEnvironment:
    """A folder with these npm packages. Without Node the test is skipped, but not in CI."""
    folder = _ROOT / name
    npm = _node_program("npm")

    def make() -> None:
        folder.mkdir(parents=True)
        _run(npm, "install", f"--prefix={folder}", "--ignore-scripts", "--no-audit", "--no-fund", *packages)

    _once(folder, [*packages], make)
    return NodeEnvironment(folder)


def environment(settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment for a foreign program, with some variables more.

    It is without settings that are ours or theirs, and what it would send beyond this machine goes nowhere.
    """
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.upper().startswith(_FOREIGN) and not name.upper().endswith("_PROXY")
    }
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), _NOWHERE)
    excepted = dict.fromkeys(("NO_PROXY", "no_proxy"), "127.0.0.1,localhost")
    return {**variables, **proxies, **excepted, "PYTHONUTF8": "1", **(settings or {})}


def missing(what: str) -> None:
    """Skips the test because something is not on this machine; where everything must run, it fails."""
    if os.environ.get("CI") or os.environ.get("REQUIRE_INTEROP"):
        pytest.fail(what, pytrace=False)
    pytest.skip(what)


def _once(folder: Path, expected: list[str], make: Callable[[], None]) -> None:
    stamp = folder / ".ready"
    if stamp.is_file() and json.loads(stamp.read_text(encoding="utf-8")) == expected:
        return
    shutil.rmtree(folder, ignore_errors=True)
    make()
    stamp.write_text(json.dumps(expected), encoding="utf-8")


def _run(*command: str) -> None:
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=_INSTALL_SECONDS, env=_installing(), check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stderr[-4000:]}"


def _installing() -> dict[str, str]:
    # A PYTHONPATH would let pip take what is there for installed.
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def _programs(folder: Path) -> Path:
    return folder / ("Scripts" if os.name == "nt" else "bin")


def _node_program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(f"{name} is not installed, and this test needs it")
    return str(found)
