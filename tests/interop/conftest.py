"""The emulator on a socket, and no settings from outside."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from venice_ai.emulator import Emulator, run_in_thread


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    for name in os.environ:
        if name.upper().startswith("VENICE_") or name.upper().endswith("_PROXY"):
            monkeypatch.delenv(name)


@pytest.fixture
def emulator() -> Emulator:
    """A fresh Venice."""
    return Emulator()


@pytest.fixture
def base_url(emulator: Emulator) -> Generator[str]:
    """Where the emulator of this test answers."""
    with run_in_thread(emulator) as server:
        yield server.url
