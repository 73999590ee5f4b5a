"""`scripts.forked_tests`: the tests of a mutant run anew each time, and nothing that they started stays."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from scripts.forked_tests import judged

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
HANGS = """
import subprocess, sys
from pathlib import Path

def test_waits_for_a_program():
    program = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(__file__).with_name("pid").write_text(str(program.pid))
    program.wait()
"""


def written(folder: Path, module: str) -> Path:
    path = folder / "test_it.py"
    path.write_text(module, "utf-8")
    return path


def test_a_verdict_is_on_the_tests_as_they_are_now(tmp_path: Path) -> None:
    output = tmp_path / "output.txt"
    for value, passed in ((1, True), (2, False), (1, True)):
        (tmp_path / "judged_module.py").write_text(f"VALUE = {value}\n", "utf-8")
        tests = written(tmp_path, "from judged_module import VALUE\n\ndef test_it():\n    assert VALUE == 1\n")
        verdict = judged([str(tests), "-p", "no:cacheprovider", "-o", f"pythonpath={tmp_path}"], str(output), 60)

        assert (verdict["passed"], verdict["hung"]) == (passed, False), output.read_text("utf-8")
        for compiled in (tmp_path / "__pycache__").glob("judged_module.*"):
            compiled.unlink()  # a source of the same length and second would be taken for the same


def test_a_file_whose_tests_are_all_skipped_is_no_failure(tmp_path: Path) -> None:
    skips = "import pytest\n\npytest.skip('the data is not here', allow_module_level=True)\n"
    verdict = judged([str(written(tmp_path, skips))], str(tmp_path / "output.txt"), 60)

    assert verdict["passed"]
    assert not judged([str(tmp_path / "absent.py")], str(tmp_path / "output.txt"), 60)["passed"]


def test_what_takes_too_long_is_ended_with_the_programs_that_it_started(tmp_path: Path) -> None:
    verdict = judged([str(written(tmp_path, HANGS))], str(tmp_path / "output.txt"), 3)

    assert verdict["hung"]
    assert not verdict["passed"]
    program = int((tmp_path / "pid").read_text("utf-8"))
    ends = time.monotonic() + 60
    with suppress(ProcessLookupError):
        while time.monotonic() < ends and state(program) != "Z":
            os.kill(program, 0)
            time.sleep(0.01)
    assert time.monotonic() < ends


def state(process: int) -> str:
    """The letter that Linux has for it; Z for one that ended and that nobody waited for."""
    with suppress(FileNotFoundError):
        return Path(f"/proc/{process}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    return ""
