"""Completion in the shells themselves, where they are installed: what a person types, presses Tab after, and runs."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from .shell import Here

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
PATIENCE_SECONDS = 30.0
# In place of `venice-chat`: completes as it does, and keeps what it is run with.
PROGRAM = """#!/bin/sh
if [ -n "$_VENICE_CHAT_COMPLETE" ]; then {python} -m venice_ai; : > {folder}/completed; exit; fi
printf '%s\\n' "$@" > {folder}/new
mv {folder}/new {folder}/run
"""
BARE = {"bash": ["--norc", "--noprofile"], "zsh": ["-f"], "fish": ["--no-config"]}
LINES = {
    "ses": ["sessions"],
    "models --cap": ["models", "--capability"],
    "chat -m kimi": ["chat", "-m", "kimi-k2-5"],
    "chat --session=tri": ["chat", "--session=trip"],
    "chat --session=trip -m kimi": ["chat", "--session=trip", "-m", "kimi-k2-5"],
    "chat --session my": ["chat", "--session", "my days"],
    "chat --session=my": ["chat", "--session=my days"],
    'sessions show "my': ["sessions", "show", "my days"],
    "sessions show it": ["sessions", "show", "it's"],
    "chat -a pho": ["chat", "-a", "photo.jpg"],
    "batch --journal=pho": ["batch", "--journal=photo.jpg"],
}


def appears(path: Path) -> bool:
    end = monotonic() + PATIENCE_SECONDS
    while not path.exists() and monotonic() < end:
        sleep(0.02)
    return path.exists()


@pytest.mark.parametrize(
    ("shell", "lines"),
    [
        pytest.param("bash", ["chat --session=tri", "chat --session my"], id="bash"),
        *(pytest.param(shell, [*LINES], marks=pytest.mark.more, id=f"all in {shell}") for shell in BARE),
    ],
)
def test_the_completed_command_is_what_the_shell_runs(shell: str, lines: list[str], here: Here, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    for name in ("trip", "my days", "it's"):
        here("chat", "--session", name, "hi")
    work = tmp_path / "work"
    work.mkdir()
    (work / "photo.jpg").touch()
    program = tmp_path / "venice-chat"
    program.write_text(PROGRAM.format(python=shlex.quote(sys.executable), folder=shlex.quote(str(tmp_path))), "utf-8")
    program.chmod(0o700)
    (tmp_path / "script").write_text(here("completion", shell).out, "utf-8")
    # A home of its own, so that what zsh looks for at its start finds nothing of this user's.
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "HOME": str(work), "TERM": "xterm", "LC_ALL": "C.UTF-8"}
    child: Any = import_module("pexpect").spawn(shell, BARE[shell], cwd=str(work), env=environment, dimensions=(50, 200))
    try:
        child.send(f". {shlex.quote(str(tmp_path / 'script'))}; : > {shlex.quote(str(tmp_path / 'ready'))}\r")
        assert appears(tmp_path / "ready")
        for typed in lines:
            for name in ("completed", "run"):
                (tmp_path / name).unlink(missing_ok=True)
            child.send(f"venice-chat {typed}\t")
            assert appears(tmp_path / "completed"), typed
            sleep(0.3)  # zsh takes a key that is there already for a part of the word
            child.send("\r")
            assert appears(tmp_path / "run"), typed
            assert (tmp_path / "run").read_text("utf-8").splitlines() == LINES[typed], typed
            while not child.buffer and child.isalive() and _reads(child):
                pass
    finally:
        child.close(force=True)


def _reads(child: Any) -> bool:
    """Takes what the shell wrote, so that it never waits for a reader."""
    try:
        return bool(child.read_nonblocking(65536, timeout=0.05))
    except import_module("pexpect").TIMEOUT:
        return False


def test_a_description_with_a_comma_is_whole_in_fish(here: Here, tmp_path: Path) -> None:
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed")
    program = tmp_path / "venice-chat"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m venice_ai "$@"\n', "utf-8")
    program.chmod(0o700)
    (tmp_path / "script").write_text(here("completion", "fish").out, "utf-8")
    environment = {**os.environ, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOME": str(tmp_path)}
    command = f". {shlex.quote(str(tmp_path / 'script'))}; complete -C 'venice-chat serve --tpm'; complete -C 'venice-chat co'"
    run = import_module("pexpect").run
    output = run(f"fish --no-config -c {shlex.quote(command)}", env=environment, encoding="utf-8", timeout=PATIENCE_SECONDS)
    assert "cost\tEstimate the cost of an answer, without" in output
