"""One program that imports `venice_ai` says the same with this package and with `venice-py`, and asks for the same."""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import pytest

from venice_ai.emulator import Emulator, run_in_thread

from .environments import PythonEnvironment, Script, python_env

pytestmark = pytest.mark.interop

PROGRAM = "one_program.py"
MODEL = {"model": "venice-1"}


@pytest.fixture(scope="module")
def ours() -> Generator[Script]:
    with PythonEnvironment(Path(sys.prefix)).running(PROGRAM) as script:
        yield script


@pytest.fixture(scope="module")
def theirs() -> Generator[Script]:
    with python_env("venice-py", ["venice-py[e2ee]==2.9.0"]).running(PROGRAM) as script:
        yield script


def run(script: Script, do: str, arguments: dict[str, str]) -> tuple[Any, list[Any]]:
    """What a scenario returns with an emulator of its own, and what it asked for."""
    emulator = Emulator()
    with run_in_thread(emulator) as server:
        found = script.ask(do, base_url=server.url, **arguments)
    return found, [(request.path, meaning_of(request.body or {})) for request in emulator.requests]


def meaning_of(body: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a body says without members that are absent, null or false, which mean the same."""
    messages = [{name: value for name, value in message.items() if value} for message in body.get("messages", [])]
    chosen: list[Any] = body.get("tools") or []
    tools = [(tool["function"]["name"], tool["function"]["parameters"]["required"]) for tool in chosen]
    return (
        body.get("model"),
        messages,
        tools,
        bool(body.get("stream")),
        body.get("temperature"),
        body.get("max_completion_tokens"),
    )


@pytest.mark.parametrize(
    ("do", "arguments"),
    [("created", MODEL), ("streamed", MODEL), ("with_a_tool", MODEL), ("refused", {}), ("listed", {}), ("synchronous", MODEL)],
)
def test_one_program_does_the_same_with_both_packages(ours: Script, theirs: Script, do: str, arguments: dict[str, str]) -> None:
    found, requests = run(ours, do, arguments)

    assert found
    assert (found, requests) == run(theirs, do, arguments)
