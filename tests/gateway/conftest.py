"""An emulator with an enclave, and a program that asks a gateway before it."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from venice_ai.emulator import Emulator

from ..enclaves import enclave_with_shared_certificates
from .asking import Program, asking, client_of


@pytest.fixture
def emulator() -> Emulator:
    return Emulator(tee=enclave_with_shared_certificates())


@pytest_asyncio.fixture
async def program(emulator: Emulator) -> AsyncGenerator[Program]:
    async with asking(client_of(emulator, max_retries=0)) as program:
        yield program
