"""What others wrote for aiohttp sees our requests: OpenTelemetry traces them, vcrpy records them, aioresponses answers them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

import venice_ai
from venice_ai.emulator import Emulator

from .environments import Script, python_env

pytestmark = pytest.mark.interop

ROOT = Path(__file__).parents[2]


@contextmanager
def with_package(name: str, folder: Path, *requirements: str) -> Generator[Script]:
    """Our client beside a package: its dependencies are installed there, and it is found without what is beside it here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (folder / "venice_ai").symlink_to(Path(venice_ai.__file__).parent)
    environment = python_env(name, [*project["dependencies"], *requirements])
    with environment.running("ask_through_aiohttp.py", {"PYTHONPATH": str(folder)}) as script:
        yield script


@pytest.mark.parametrize("own", [True, False], ids=["our session", "the caller's session"])
def test_opentelemetry_sees_a_span_and_the_server_its_parent(own: bool, tmp_path: Path, emulator: Emulator, base_url: str) -> None:
    packages = ["opentelemetry-instrumentation-aiohttp-client==0.66b1", "opentelemetry-sdk==1.45.1", "aiohttp==3.14.*"]
    with with_package("opentelemetry", tmp_path, *packages) as script:
        seen = script.ask("traced", base_url=base_url, own=own)

    assert seen["names"] == ["POST", "POST"]
    parents = [request.headers["traceparent"].removeprefix("00-").rpartition("-")[0] for request in emulator.requests]
    assert parents == seen["traces"]
    assert all(request.headers["authorization"] == "Bearer secret-key" for request in emulator.requests)
    assert "secret-key" not in str(seen)
    assert None not in seen["texts"]


def test_vcrpy_records_a_cassette_without_the_key_and_plays_it(tmp_path: Path, emulator: Emulator, base_url: str) -> None:
    cassette = tmp_path / "cassette.yaml"
    with with_package("vcrpy", tmp_path, "vcrpy==9.4.2", "aiohttp==3.14.*") as script:
        while_recording = script.ask("recorded", base_url=base_url, cassette=str(cassette))
        number = len(emulator.requests)
        played = script.ask("recorded", base_url=base_url, cassette=str(cassette))

    assert None not in while_recording
    assert played == while_recording
    assert len(emulator.requests) == number == 2
    written = cassette.read_text(encoding="utf-8")
    assert "secret-key" not in written
    assert len(re.findall(r"uri: .*/chat/completions", written)) == 2


def test_aioresponses_answers_in_a_server_s_place(tmp_path: Path) -> None:
    with with_package("aioresponses", tmp_path, "aioresponses==0.7.9", "aiohttp==3.13.*") as script:
        seen = script.ask("mocked", base_url="http://venice.invalid/api/v1")

    assert seen["texts"] == ["mocked", "mocked"]
    assert seen["refused"] == "AuthenticationError"
    assert '"content":"hi"' in seen["first"]
