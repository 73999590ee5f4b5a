"""The command `llm`, with the plugin that others wrote for Venice, works with the emulator in Venice's place."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from venice_ai.emulator import Emulator, error, run_in_thread

from .environments import CLIENTS, PythonEnvironment, environment, python_env

pytestmark = pytest.mark.interop

Llm = Callable[..., str]

MULTIPLY = '''
def multiply(x: int, y: int) -> int:
    """Multiply two numbers."""
    return x * y
'''
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==")


@pytest.fixture(scope="module")
def program() -> PythonEnvironment:
    return python_env("llm", ["llm==0.36", "llm-venice==0.9.1"])


def run(program: PythonEnvironment, folder: Path, base_url: str, *arguments: str, fails: bool = False) -> str:
    """What the command prints."""
    done = subprocess.run(
        [program.command("python"), str(CLIENTS / "run_llm.py"), base_url, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        env=environment({"LLM_USER_PATH": str(folder), "LLM_VENICE_KEY": "any"}),
        check=False,
    )
    assert (done.returncode != 0) == fails, done.stderr[-4_000:]
    return done.stderr if fails else done.stdout


@pytest.fixture(scope="module")
def catalogue(program: PythonEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command's folder, with the catalogue in it."""
    folder = tmp_path_factory.mktemp("llm")
    with run_in_thread(Emulator()) as server:
        run(program, folder, server.url, "venice", "refresh")
    assert json.loads((folder / "venice_models.json").read_bytes())
    return folder


@pytest.fixture
def llm(program: PythonEnvironment, catalogue: Path, base_url: str) -> Llm:
    """Runs the command."""

    def llm(*arguments: str, fails: bool = False) -> str:
        return run(program, catalogue, base_url, *arguments, fails=fails)

    return llm


def body(emulator: Emulator, number: int = 0) -> Any:
    return emulator.requests[number].body


def test_the_catalogue_is_understood(llm: Llm) -> None:
    every = llm("models", "list", "--query", "venice/")
    with_tools = llm("models", "list", "--query", "venice/", "--tools")

    assert "venice/venice-1" in every
    assert "venice/squero-plain" in every
    assert "Image: venice/murano-image" in every
    assert "venice/venice-1" in with_tools
    assert "venice/squero-plain" not in with_tools


def test_a_prompt_is_answered(llm: Llm, emulator: Emulator) -> None:
    output = llm("-m", "venice/venice-1", "--no-stream", "How are you", "-o", "temperature", "0.5", "-o", "min_p", "0.1")

    assert "How are you" in output
    assert not body(emulator).get("stream")
    assert (body(emulator)["temperature"], body(emulator)["min_p"]) == (0.5, 0.1)


def test_a_stream_prints_the_same_and_counts_tokens(llm: Llm, emulator: Emulator) -> None:
    whole = llm("-m", "venice/venice-1", "--no-stream", "How are you")

    streamed = llm("-m", "venice/venice-1", "How are you")

    assert streamed == whole
    assert body(emulator, 1)["stream_options"] == {"include_usage": True}
    logged = json.loads(llm("logs", "-n", "1", "--json"))[0]
    assert logged["input_tokens"] > 0
    assert logged["output_tokens"] > 0


def test_a_schema_is_kept(llm: Llm) -> None:
    found = json.loads(llm("-m", "venice/venice-1", "Invent a gondolier", "--schema", "name, age int"))

    assert found.keys() == {"name", "age"}
    assert isinstance(found["age"], int)


@pytest.mark.parametrize("how", [pytest.param(["--no-stream"], id="whole"), pytest.param([], id="streamed")])
def test_a_function_is_called_and_its_result_used(llm: Llm, emulator: Emulator, how: list[str]) -> None:
    output = llm("-m", "venice/venice-1", "--functions", MULTIPLY, "multiply 6 and 7", *how)

    assert "answered: 42" in output
    assert [message["role"] for message in body(emulator, 1)["messages"]] == ["user", "assistant", "tool"]


def test_venices_own_options_arrive(llm: Llm, emulator: Emulator) -> None:
    llm("-m", "venice/venice-1", "--web-search", "on", "--no-venice-system-prompt", "--no-stream", "News")

    switches = body(emulator)["venice_parameters"]
    assert switches["enable_web_search"] == "on"
    assert switches["include_venice_system_prompt"] is False
    logged = json.loads(llm("logs", "-n", "1", "--json"))[0]
    assert logged["response_json"]["venice_parameters"]["web_search_citations"]


def test_a_picture_is_seen(llm: Llm, emulator: Emulator, tmp_path: Path) -> None:
    picture = tmp_path / "pixel.png"
    picture.write_bytes(PIXEL)

    assert llm("-m", "venice/rialto-vision", "--no-stream", "What is this", "-a", str(picture))

    kinds = [part["type"] for part in body(emulator)["messages"][0]["content"]]
    assert sorted(kinds) == ["image_url", "text"]


def test_a_refusal_is_reported(llm: Llm, emulator: Emulator) -> None:
    emulator.always(error(402))

    assert "402" in llm("-m", "venice/venice-1", "hi", fails=True)
