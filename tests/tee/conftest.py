"""A nonce works once in a process; every test here is a process of its own in that."""

from __future__ import annotations

import pytest

from venice_ai.resources.tee import USED_NONCES


@pytest.fixture(autouse=True)
def _new_nonces() -> None:
    USED_NONCES.clear()
