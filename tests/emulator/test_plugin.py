"""The pytest fixture for users."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import venice_ai

_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(venice_ai.__file__).parents[1])}
TEST = """
def test_it(emulator):
    from venice_ai.emulator import Emulator
    assert isinstance(emulator, Emulator)
    assert emulator.requests == []
"""


def test_the_fixture_is_there_for_users(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(TEST, encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "venice_ai.emulator.pytest_plugin",
        "-p",
        "no:cacheprovider",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=tmp_path, env=_ENVIRONMENT, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_importing_the_emulator_imports_neither_pytest_nor_the_client() -> None:
    code = (
        "import sys, venice_ai.emulator as e; "
        "unwanted = {'pytest', 'aiohttp', 'pydantic', 'venice_ai._client', 'venice_ai._call', 'venice_ai._http', "
        "'venice_ai.streaming', 'venice_ai.resources'}; "
        "print(sorted(unwanted & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, env=_ENVIRONMENT, check=True
    )
    assert done.stdout == "[]\n"
