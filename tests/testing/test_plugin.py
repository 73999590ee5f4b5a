"""The fixtures for pytest, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import venice_ai
from venice_ai.testing import Cassette

from .recording import exchange_of

_ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": str(Path(venice_ai.__file__).parents[1]),
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # those of others, which take longer than the tests
}
CONFTEST = 'pytest_plugins = ["venice_ai.testing.pytest_plugin"]\n'
TESTS = """
import asyncio, socket
from venice_ai import UserMessage, VeniceClient
from venice_ai.testing import echo, text

def ask(server, what):
    async def asked():
        async with VeniceClient(api_key="any", transport=server.transport(), clock=server.clock) as client:
            await what(client)
    asyncio.run(asked())

def chat(client):
    return client.chat.completions.create(model="venice-1", messages=[UserMessage(content="hi")])

def models(client):
    return client.models.list()

def test_used_script(scripted_emulator):
    scripted_emulator.script(echo())
    ask(scripted_emulator, chat)

def test_unused_script(scripted_emulator):
    scripted_emulator.script(text('ciao'))

def test_unscripted_chat(scripted_emulator):
    ask(scripted_emulator, chat)

def test_used_recording(replay):
    ask(replay("models.json"), models)

def test_unused_recording(replay):
    replay("models.json")

def test_network(no_network):
    socket.create_connection(("192.0.2.1", 80))

def test_plain_emulator(emulator):
    ask(emulator, chat)
"""


def test_the_fixtures_fail_tests_that_break_their_rules(tmp_path: Path) -> None:
    models = exchange_of(b'{"object":"list","data":[],"type":"text"}', request="GET /models")
    models.headers["content-type"] = "application/json"
    Cassette(0, [models]).write(tmp_path / "models.json")
    (tmp_path / "conftest.py").write_text(CONFTEST, "utf-8")
    (tmp_path / "test_user.py").write_text(TESTS, "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=tmp_path, env=_ENVIRONMENT, check=False)

    output = done.stdout + done.stderr
    assert "2 failed, 5 passed, 4 errors" in output, output
    outcomes = {line.split(" - ")[0] for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))}
    assert outcomes == {
        "ERROR test_user.py::test_network",
        "FAILED test_user.py::test_unscripted_chat",
        "FAILED test_user.py::test_network",
        "ERROR test_user.py::test_unused_script",
        "ERROR test_user.py::test_unscripted_chat",
        "ERROR test_user.py::test_unused_recording",
    }
    words = ['- {"answer": "text", "text": "ciao"', "nobody scripted this chat", "- GET /models", "192.0.2.1 is not on this"]
    assert [each for each in words if each not in output] == []
