"""An emulator on a socket, and an environment that points at it."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from venice_ai.emulator import Emulator, run_in_thread

from .shell import Here

KEY = "VENICE_INFERENCE_KEY_0123456789abcdef"


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Generator[Emulator]:
    """Serves; VENICE_BASE_URL and VENICE_API_KEY are set, no proxy is, and sessions are kept in a folder of the test's own."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    emulator = Emulator()
    with run_in_thread(emulator) as server:
        monkeypatch.setenv("VENICE_BASE_URL", server.url)
        monkeypatch.setenv("VENICE_API_KEY", KEY)
        yield emulator


@pytest.fixture
def here(
    emulator: Emulator,  # noqa: ARG001  # it is to be there
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Here:
    """Runs the command in this process."""
    return Here(monkeypatch, capsys)
