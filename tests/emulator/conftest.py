"""An emulator, and two ways to ask it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from venice_ai.emulator import Emulator

from .asking import Asker, in_process, on_a_socket


@pytest.fixture
def emulator() -> Emulator:
    return Emulator()


@pytest_asyncio.fixture
async def ask(emulator: Emulator) -> AsyncGenerator[Asker]:
    """Asks in process."""
    async with in_process(emulator) as asker:
        yield asker


@pytest_asyncio.fixture(params=[pytest.param(in_process, id="in process"), pytest.param(on_a_socket, id="on a socket")])
async def ask_both(emulator: Emulator, request: pytest.FixtureRequest) -> AsyncGenerator[Asker]:
    """Asks in process, and in another run of the test over a socket."""
    async with request.param(emulator) as asker:
        yield asker
