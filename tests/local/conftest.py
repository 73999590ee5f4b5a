"""A real model for the tests that want one; where the extra is missing, see `local_extra`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from venice_ai.emulator.local import LocalModel, open_local_model


@pytest.fixture(scope="session")
def model(local_extra: None) -> Iterator[LocalModel]:  # noqa: ARG001  it decides whether there is one
    """The model that comes with the extra."""
    model = open_local_model(threads=1, show=_silent)
    yield model
    asyncio.run(model.aclose())


@pytest.fixture
def gguf(tmp_path: Path) -> Path:
    """A file that begins as a model does, and ends there."""
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF\x03\x00\x00\x00" + b"\xff" * 4096)
    return path


def _silent(_: str) -> None:
    return None
