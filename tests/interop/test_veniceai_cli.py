"""The official command line client completes an encrypted chat with the emulator's enclave.

It checks the nonce, the model, the parsed quote and that the quote binds the key; it does not check who signed the quote.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from venice_ai.emulator import Emulator, run_in_thread, text
from venice_ai.tee.crypto import is_envelope

from .environments import NodeEnvironment, environment, node_env

pytestmark = pytest.mark.interop

MODEL = "e2ee-ponte-chiuso-p"
QUESTION = "What is the secret of the bridge?"
ANSWER = "Behind the third arch there is a door."
_SECONDS = 60.0
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def cli() -> NodeEnvironment:
    return node_env("veniceai-cli", ["veniceai-cli@2.1.0"])


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(tee=True)
    emulator.script(text(ANSWER))
    return emulator


@pytest.fixture
def base_url(emulator: Emulator) -> Generator[str]:
    with run_in_thread(emulator) as server:
        yield server.url


def chats(emulator: Emulator) -> list[Any]:
    return [request for request in emulator.requests if request.path.endswith("/chat/completions")]


def on_a_terminal(command: list[str], settings: dict[str, str]) -> tuple[int, str]:
    """Runs a command on a terminal, for without one it does not stream; its exit code and what it wrote."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 200, 0, 0))
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(settings)) as process:
        os.close(theirs)
        written = bytearray()
        try:
            while piece := os.read(ours, 65_536):
                written += piece
        except OSError:  # how a terminal says that nobody writes to it any more
            pass
        finally:
            os.close(ours)
        code = process.wait(_SECONDS)
    return code, _CONTROL.sub("", written.decode())


def ask(cli: NodeEnvironment, base_url: str, home: Path) -> tuple[int, str]:
    # A command that hangs is ended by `timeout`, and the test fails.
    command = [
        "timeout",
        str(_SECONDS),
        *cli.command("veniceai-cli/dist/index.js"),
        "chat",
        "-m",
        MODEL,
        "--tee-verify",
        QUESTION,
    ]
    settings = {"VENICE_API_BASE_URL": base_url, "VENICE_API_KEY": "any", "HOME": str(home), "TERM": "xterm"}
    return on_a_terminal(command, settings)


def test_it_completes_an_encrypted_chat(cli: NodeEnvironment, emulator: Emulator, base_url: str, tmp_path: Path) -> None:
    code, written = ask(cli, base_url, tmp_path)

    assert code == 0, written
    assert ANSWER in written
    assert "TEE attestation verified" in written
    (chat,) = chats(emulator)
    (message,) = chat.body["messages"]
    assert is_envelope(message["content"])
    assert QUESTION.encode() not in chat.content


@pytest.mark.parametrize("fault", ["stale_nonce", "swapped_key", "other_domain", "other_model", "debug"])
def test_it_refuses_what_it_checks(cli: NodeEnvironment, emulator: Emulator, base_url: str, tmp_path: Path, fault: str) -> None:
    assert emulator.enclave is not None
    emulator.enclave.fault = fault

    code, written = ask(cli, base_url, tmp_path)

    assert code == 1, written
    assert chats(emulator) == []
