"""The pytest fixture for users."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import venice_ai
from venice_ai.emulator import Emulator
from venice_ai.emulator.enclave import Enclave

from .asking import in_process

_ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(venice_ai.__file__).parents[1]),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those of others, which take longer than the tests
}
TEST = """
def test_it(emulator):
    from venice_ai.emulator import Emulator
    assert isinstance(emulator, Emulator)
    assert emulator.requests == []
"""


GUIDE = (Path(__file__).parents[2] / "docs" / "guide" / "testing.md").read_text("utf-8")


def pytest_in(folder: Path, *options: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=folder, env=_ENVIRONMENT, check=False)
    return done.stdout + done.stderr


def test_the_fixture_is_there_for_users(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(TEST, encoding="utf-8")
    output = pytest_in(tmp_path, "-p", "venice_ai.emulator.pytest_plugin")
    assert "1 passed" in output, output


def test_the_guides_test_passes(tmp_path: Path) -> None:
    files = re.findall(r'```python title="(\w+\.py)"\n(.*?)```', GUIDE, re.DOTALL)
    assert [name for name, _ in files] == ["conftest.py", "test_greeting.py"]
    for name, content in files:
        (tmp_path / name).write_text(content, encoding="utf-8")
    output = pytest_in(tmp_path)
    assert "1 passed" in output, output


async def test_the_admin_requests_of_the_guide_are_accepted() -> None:
    orders = re.findall(r"^curl \S+(/_emulator/\w+) -d '(.*?)'$", GUIDE, re.MULTILINE | re.DOTALL)
    assert orders
    async with in_process(Emulator(admin=True, tee=Enclave())) as ask:
        for path, order in orders:
            assert (await ask(order.encode(), path=path)).status == 200
        rows = re.findall(r"^\| `(/_emulator/\w+)` \| ([A-Z, ]+) \| (.*) \|$", GUIDE, re.MULTILINE)
        assert len(rows) == 6
        for path, methods, what in rows:
            for method in methods.split(", "):
                bodies = re.findall(r"`(\{.*?\})`", what) or ['{"steps": []}' if method == "POST" else ""]
                for body in bodies:
                    assert (await ask(body.encode(), method=method, path=path)).status == 200


def test_importing_the_emulator_imports_neither_pytest_nor_the_client() -> None:
    code = (
        "import sys, venice_ai.emulator as e; "
        "unwanted = {'pytest', 'aiohttp', 'pydantic', 'venice_ai._client', 'venice_ai._http.caller', "
        "'venice_ai._http.aiohttp_transport', 'venice_ai.streaming', 'venice_ai.resources'}; "
        "print(sorted(unwanted & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, env=_ENVIRONMENT, check=True
    )
    assert done.stdout == "[]\n"
