"""The pytest fixture `emulator`: a fresh Venice for every test."""

from __future__ import annotations

import pytest

from .app import Emulator


@pytest.fixture
def emulator() -> Emulator:
    """A Venice in this process; `VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)` asks it."""
    return Emulator()
