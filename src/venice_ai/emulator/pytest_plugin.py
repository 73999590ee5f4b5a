"""The pytest fixture `emulator`: a fresh Venice for every test."""

from __future__ import annotations

import pytest

from .app import Emulator


@pytest.fixture
def emulator() -> Emulator:
    """A Venice in this process, with nothing scripted and a clock that does not wait.

    `VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)` talks to it.
    """
    return Emulator()
