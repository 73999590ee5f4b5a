"""Fixtures for pytest; `pytest_plugins = ["venice_ai.testing.pytest_plugin"]` in `conftest.py` registers them."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest

from . import _network
from ._replay import Replay, ScriptedEmulator

pytest_plugins: list[str] = ["venice_ai.emulator.pytest_plugin"]  # the fixture `emulator`


@pytest.fixture
def scripted_emulator() -> Generator[ScriptedEmulator]:
    """An emulator that answers its script alone, which must be used up."""
    with ScriptedEmulator() as found:
        yield found


@pytest.fixture
def replay(request: pytest.FixtureRequest) -> Generator[Callable[[str], Replay]]:
    """Opens a cassette by its path from the folder of the test. It must be used up."""
    with ExitStack() as stack:
        yield lambda name: stack.enter_context(Replay(request.path.parent / name))


@pytest.fixture
def no_network() -> Generator[None]:
    """Fails what would leave this machine."""
    with _network.no_network():
        yield
