"""What stands between the package and its libraries holds with the oldest releases that it says it works with."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import venice_ai

from .environments import environment, python_env

pytestmark = [pytest.mark.interop, pytest.mark.more]

ROOT = Path(__file__).parents[2]
TRANSPORT = ["sockets", "client/test_streams.py", "client/test_retries.py"]
OBJECTS = ["rules", "client/test_parse.py", "client/test_stream_parse.py", "client/test_requests.py"]
# What an enclave proves needs the extra `e2ee`, whose packages have floors of their own.
EMULATOR = ["emulator", "--ignore=tests/emulator/test_enclave.py"]
FOR_TESTS = ["pytest", "pytest-asyncio", "hypothesis", "jsonschema", "trustme", "fastapi", "bpe-openai"]


def oldest() -> list[str]:
    """The lowest release of each dependency that its range allows, exactly."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [re.sub(r">=([\d.]+).*", r"==\1", dependency) for dependency in project["dependencies"]]


def test_the_package_works_with_the_oldest_of_its_dependencies(tmp_path: Path) -> None:
    requirements = oldest()
    assert all("==" in requirement for requirement in requirements)
    python = python_env("oldest", [*requirements, *FOR_TESTS]).command("python")
    (tmp_path / "venice_ai").symlink_to(
        Path(venice_ai.__file__).parent
    )  # the package alone, without what is installed beside it
    tests = [name if name.startswith("-") else f"tests/{name}" for name in (*TRANSPORT, *OBJECTS, *EMULATOR)]

    done = subprocess.run(
        [
            python,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:anyio",
            *tests,
        ],  # FastAPI brings anyio and its plugin
        env=environment({"PYTHONPATH": str(tmp_path)}),
        cwd=ROOT,
        capture_output=True,
        encoding="utf-8",
        timeout=900,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    assert re.search(r"\d{4} passed", done.stdout)
