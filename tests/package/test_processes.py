"""`pytest --processes`: every test runs once, whatever another does to its process; modules are rewritten ahead."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from .. import rewritten

ROOT = Path(__file__).parents[2]
CONFTEST = """
from tests import processes

pytest_addoption = processes.add_option

def pytest_configure(config):
    processes.register(config)
"""
MODULE = """
import os, subprocess, pytest

@pytest.mark.parametrize("number", range(60))
def test_passes(number):
    pass

def test_dies():
    os._exit(3)

def test_fails():
    print("by Python")
    subprocess.run(["echo", "by a program"])
    assert 1 == 2

def test_is_skipped():
    pytest.skip("for a reason")

@pytest.fixture
def broken():
    yield
    raise ValueError("at the end")

def test_whose_fixture_fails(broken):
    pass
"""


def run(folder: Path, *arguments: str) -> str:
    (folder / "conftest.py").write_text(CONFTEST, "utf-8")
    (folder / "test_it.py").write_text(MODULE, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", ".", "-p", "no:cacheprovider", "-rA", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_every_test_is_reported_once_also_those_after_one_that_ends_its_process(tmp_path: Path) -> None:
    output = run(tmp_path, "--processes", "3", "--capture", "sys")

    assert "2 failed, 61 passed, 1 skipped, 1 error in " in output
    assert "the process ended with 3 while it ran this test" in output
    assert "SKIPPED [1] test_it.py" in output
    assert output.count("by Python") == 1 + 1  # in the source that is shown, too
    assert "\nby a program\n" in output
    assert all(output.count(f"PASSED test_it.py::test_passes[{number}]") == 1 for number in range(60))


def modules(folder: Path, names: str) -> list[Path]:
    """A module for each letter, all of one size."""
    made = [folder / f"test_{name}.py" for name in names]
    for path in made:
        path.write_text("def test_it():\n    assert True\n", "utf-8")
    return made


def rewritten_forms(folder: Path) -> set[str]:
    return {path.name.partition(".")[0] for path in (folder / "__pycache__").glob("*-pytest-*.pyc")}


def test_another_process_rewrites_the_last_modules_and_none_that_is_rewritten(tmp_path: Path) -> None:
    made = modules(tmp_path, "abcdefgh")
    last = rewritten.last_not_rewritten(made)
    assert [path.stem for path in last] == ["test_h", "test_g", "test_f"]

    (tmp_path / "pytest.ini").write_text("[pytest]\n", "utf-8")
    assert rewritten.rewriting(last, tmp_path).wait(60) == 0

    assert rewritten_forms(tmp_path) == {"test_h", "test_g", "test_f"}
    assert [path.stem for path in rewritten.last_not_rewritten(made)] == ["test_e", "test_d"]
    os.utime(made[-1], (2**31, 2**31))
    assert rewritten.last_not_rewritten(made)[0] == made[-1], "it was changed since"
