"""Clients that others wrote ask a gateway, unchanged: in clear, and end-to-end encrypted to the emulator's enclave."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from venice_ai import VeniceClient, gateway
from venice_ai.emulator import Emulator, busy, error, run_in_thread, text, usual
from venice_ai.emulator.enclave import Enclave

from ..gateway.asking import HI, MODEL, SEALED, recording
from .environments import PythonEnvironment, Script, environment, missing, node_env, python_env

pytestmark = [
    pytest.mark.interop,
    pytest.mark.filterwarnings("ignore:end-to-end encryption"),
    pytest.mark.parametrize("model", [MODEL, SEALED], ids=["clear", "sealed"]),
]

PYTHON_CLIENTS = [
    *("openai==3.57.*", "pydantic-ai-slim[openai]==2.68.*", "langchain-openai==1.7.*"),
    *("litellm==1.110.*", "llm==0.36"),
]
KEY = "a-token-of-tests"
SAID = "canary-answer with some words"
BROKEN: Any = {"in_band_error": {"message": "the provider went away", "code": "upstream_error"}}
PATIENCE_SECONDS = 30.0


class Served:
    """A gateway before an emulator, and what passed between the two."""

    def __init__(self, emulator: Emulator) -> None:
        self.emulator = emulator
        self.url = ""
        self.passed: bytes | bytearray = b""


@contextmanager
def served(token: str | None) -> Generator[Served]:
    emulator = Emulator(tee=Enclave())
    found, up, loop = Served(emulator), threading.Event(), asyncio.new_event_loop()
    down = asyncio.Event()

    async def run(base_url: str) -> None:
        assert emulator.enclave is not None
        tee = emulator.enclave.options(verification="hardware")
        async with (
            recording(base_url) as recorded,
            VeniceClient(api_key="venice-key-1", base_url=recorded.url, tee=tee, limits=False, max_retries=0) as client,
            gateway.serve(client, token=token, drain_seconds=1.0) as running,
        ):
            found.url, found.passed = running.url, recorded.passed
            up.set()
            await down.wait()

    with run_in_thread(emulator) as server:
        thread = threading.Thread(target=loop.run_until_complete, args=(run(server.url),))
        thread.start()
        try:
            assert up.wait(PATIENCE_SECONDS)
            yield found
        finally:
            loop.call_soon_threadsafe(down.set)
            thread.join()
            loop.close()
            time.sleep(1.0)  # the emulator notices that its connections were closed, before its loop ends


@pytest.fixture
def open_gateway() -> Generator[Served]:
    """A gateway that asks for no token."""
    with served(None) as found:
        yield found


@pytest.fixture
def closed_gateway() -> Generator[Served]:
    """A gateway that asks for one."""
    with served(KEY) as found:
        yield found


@pytest.fixture(scope="module")
def python() -> PythonEnvironment:
    return python_env("gateway-clients", PYTHON_CLIENTS)


@pytest.fixture(scope="module")
def openai(python: PythonEnvironment) -> Generator[Script]:
    with python.running("ask_openai.py") as script:
        yield script


@pytest.fixture(scope="module")
def pydantic_ai(python: PythonEnvironment) -> Generator[Script]:
    with python.running("ask_pydantic_ai.py") as script:
        yield script


@pytest.fixture(scope="module")
def frameworks(python: PythonEnvironment) -> Generator[Script]:
    with python.running("ask_frameworks.py") as script:
        yield script


@pytest.fixture(scope="module")
def node() -> Generator[Script]:
    packages = ["openai@7", "ai@7", "@ai-sdk/openai-compatible@3", "zod@4"]
    with node_env("node-clients", packages).running("ask_node.mjs") as script:
        yield script


def check_left(caplog: pytest.LogCaptureFixture) -> None:
    """Waits until the gateway has noticed that a program left."""
    give_up = time.monotonic() + PATIENCE_SECONDS
    while not any(" left " in record.getMessage() for record in caplog.records if record.name == "venice_ai.gateway"):
        assert time.monotonic() < give_up
        time.sleep(0.01)


def check_sealed(server: Served, model: str) -> None:
    """What passed behind the gateway shows neither prompt nor answer if the model is sealed to."""
    assert b"/chat/completions" in server.passed
    assert KEY.encode() not in server.passed
    assert (b"canary" in server.passed) == (model == MODEL)


# -- openai --------------------------------------------------------------------------------------------------------------


def test_openai_for_python_chats_streams_and_gets_typed_errors(openai: Script, closed_gateway: Served, model: str) -> None:
    emulator, asked = closed_gateway.emulator, {"base_url": closed_gateway.url, "model": model, "messages": HI}
    emulator.script(text(SAID), text(SAID), text(SAID), *[busy(retry_after=3)], usual(**BROKEN))
    whole = openai.ask("error", key=KEY, **asked)
    assert whole is None
    assert openai.ask("error", key="wrong-token", **asked)["kind"] == "AuthenticationError"
    assert openai.ask("error", key=KEY, stream=True, **asked) is None
    assert openai.ask("error", key=KEY, **asked) is None
    assert openai.ask("error", key=KEY, **asked)["kind"] == "RateLimitError"
    broken = openai.ask("error", key=KEY, stream=True, **asked)
    assert broken["message"] == "the provider went away"
    check_sealed(closed_gateway, model)


def test_openai_create_and_stream(openai: Script, open_gateway: Served, model: str) -> None:
    open_gateway.emulator.always(text(SAID))
    asked = {"base_url": open_gateway.url, "model": model, "messages": HI}

    whole = openai.ask("create", max_tokens=50, user="canary-user" if model == SEALED else "me", **asked)
    bare = openai.ask("stream", **asked)
    *chunks, last = openai.ask("stream", stream_options={"include_usage": True}, **asked)
    assembled = openai.ask("assembled", **asked)
    listed = openai.ask("models", base_url=open_gateway.url)

    assert whole["choices"][0]["message"]["content"] == SAID
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == SAID
    assert last["usage"]["total_tokens"] > 0
    assert all(chunk["choices"] and not chunk.get("usage") for chunk in bare)
    assert assembled["whole"]["choices"][0]["message"]["content"] == SAID
    assert model in [each["id"] for each in listed]
    check_sealed(open_gateway, model)


@pytest.mark.parametrize("who", ["openai", "langchain", "litellm", "pydantic_ai"])
def test_a_python_program_that_leaves_is_noticed(
    frameworks: Script, closed_gateway: Served, model: str, who: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "venice_ai.gateway")
    closed_gateway.emulator.script(usual(stall_after=3))

    assert frameworks.ask(f"{who}_leave", base_url=closed_gateway.url, model=model, key=KEY)

    check_left(caplog)


# -- frameworks ----------------------------------------------------------------------------------------------------------


def test_tools_are_passed_on_in_clear_and_refused_sealed(pydantic_ai: Script, open_gateway: Served, model: str) -> None:
    asked = {"base_url": open_gateway.url, "model": model, "prompt": "What is the tide at Rialto?"}
    if model == MODEL:
        assert "110 cm" in pydantic_ai.ask("tools", **asked)["output"]
        return
    assert pydantic_ai.ask("tools_refused", **asked)["status"] == 400


def test_pydantic_ai_chats_streams_and_gets_typed_errors(pydantic_ai: Script, open_gateway: Served, model: str) -> None:
    open_gateway.emulator.script(text(SAID), text(SAID), text(SAID), error(402, {"error": "no money"}))
    asked = {"base_url": open_gateway.url, "model": model, "prompt": "canary-hi"}

    assert pydantic_ai.ask("text", **asked)["output"] == SAID
    assert "".join(pydantic_ai.ask("stream_text", **asked)["deltas"]) == SAID
    assert pydantic_ai.ask("error", **asked)["status"] == 402
    check_sealed(open_gateway, model)


@pytest.mark.parametrize("who", ["langchain", "litellm"])
def test_langchain_and_litellm_chat_stream_and_get_typed_errors(
    frameworks: Script, closed_gateway: Served, model: str, who: str
) -> None:
    closed_gateway.emulator.script(text(SAID), text(SAID), error(402, {"error": "no money"}), usual(**BROKEN))
    asked = {"base_url": closed_gateway.url, "model": model, "key": KEY}

    whole = frameworks.ask(f"{who}_create", **asked)
    pieces = frameworks.ask(f"{who}_stream", **asked)
    refused = frameworks.ask(f"{who}_error", **asked)
    broken = frameworks.ask(f"{who}_error", stream=True, **asked)
    stranger = frameworks.ask(f"{who}_error", **{**asked, "key": "wrong-token"})

    assert (whole["text"], whole["tokens"] > 0) == (SAID, True)
    assert "".join(pieces) == SAID
    assert "no money" in refused["message"]
    assert broken is not None
    assert "the provider went away" in broken["message"]
    assert stranger["status"] == 401
    check_sealed(closed_gateway, model)


# -- Node ----------------------------------------------------------------------------------------------------------------


def test_openai_for_node_chats_streams_and_gets_typed_errors(
    node: Script, open_gateway: Served, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "venice_ai.gateway")
    emulator, asked = open_gateway.emulator, {"base_url": open_gateway.url, "model": model, "messages": HI}
    emulator.script(text(SAID), text(SAID), error(402, {"error": "no money"}), usual(**BROKEN), usual(stall_after=3))

    assert node.ask("create", **asked)["choices"][0]["message"]["content"] == SAID
    pieces = [chunk["choices"][0]["delta"].get("content") or "" for chunk in node.ask("stream", **asked)]
    assert "".join(pieces) == SAID
    assert node.ask("refused", **asked)["status"] == 402
    broken = node.ask("broken", **asked)
    assert broken["count"] > 0
    assert broken["message"]
    assert node.ask("leave", **asked) == "chat.completion.chunk"
    check_left(caplog)
    check_sealed(open_gateway, model)


def test_the_ai_package_for_node_chats_streams_and_gets_typed_errors(
    node: Script, open_gateway: Served, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "venice_ai.gateway")
    emulator, asked = open_gateway.emulator, {"base_url": open_gateway.url, "model": model, "prompt": "canary-hi"}
    emulator.script(text(SAID), text(SAID), error(402, {"error": "no money"}), usual(**BROKEN), usual(stall_after=3))

    assert node.ask("ai_text", **asked)["text"] == SAID
    assert "".join(node.ask("ai_stream", **asked)["pieces"]) == SAID
    assert node.ask("ai_refused", **asked)["status"] == 402
    assert node.ask("ai_broken", **asked)["errors"]
    assert node.ask("ai_leave", **asked)
    check_left(caplog)
    check_sealed(open_gateway, model)


# -- commands ------------------------------------------------------------------------------------------------------------


def test_the_command_llm_chats_streams_and_prints_errors(
    python: PythonEnvironment, open_gateway: Served, model: str, tmp_path: Path
) -> None:
    open_gateway.emulator.script(text(SAID), text(SAID), error(402, {"error": "no money"}))
    entry = f"- model_id: behind\n  model_name: {model}\n  api_base: {open_gateway.url}\n"
    (tmp_path / "extra-openai-models.yaml").write_text(entry, encoding="utf-8")

    def llm(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python.command("llm"), "-m", "behind", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            timeout=150,
            env=environment({"LLM_USER_PATH": str(tmp_path), "OPENAI_API_KEY": KEY}),
            check=False,
        )

    assert llm("canary-hi").stdout.strip() == SAID
    assert llm("--no-stream", "canary-hi").stdout.strip() == SAID
    refused = llm("--no-stream", "canary-hi")
    assert refused.returncode != 0
    assert "no money" in refused.stderr
    check_sealed(open_gateway, model)


@pytest.fixture
def curl() -> Callable[..., list[str]]:
    found = shutil.which("curl")
    if found is None:
        missing("curl is not installed, and this test needs it")

    def command(url: str, *arguments: str, **body: Any) -> list[str]:
        headers = ["-H", f"Authorization: Bearer {KEY}", "-H", "Content-Type: application/json"]
        return [str(found), "-sSN", *headers, *arguments, "-d", json.dumps({"messages": HI, **body}), f"{url}/chat/completions"]

    return command


def test_curl_chats_streams_and_sees_errors(
    curl: Callable[..., list[str]], closed_gateway: Served, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "venice_ai.gateway")
    emulator = closed_gateway.emulator
    emulator.script(text(SAID), text(SAID), error(402, {"error": "no money"}), usual(**BROKEN), usual(stall_after=3))

    def run(*arguments: str, **body: Any) -> subprocess.CompletedProcess[str]:
        command = curl(closed_gateway.url, *arguments, model=model, **body)
        return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=60, env=environment(), check=False)

    assert json.loads(run().stdout)["choices"][0]["message"]["content"] == SAID
    assert run(stream=True).stdout.endswith("data: [DONE]\n\n")
    refused = run("--fail-with-body")
    assert (refused.returncode, json.loads(refused.stdout)["error"]["message"]) == (22, "no money")
    broken = run(stream=True)
    assert broken.returncode == 18, "a body that ends too early"
    assert "[DONE]" not in broken.stdout
    assert "the provider went away" in broken.stdout.rstrip().rpartition("\n")[2]
    with subprocess.Popen(
        curl(closed_gateway.url, model=model, stream=True), stdout=subprocess.PIPE, env=environment()
    ) as leaving:
        assert leaving.stdout is not None
        assert leaving.stdout.readline().startswith(b"data: ")
        leaving.kill()
    check_left(caplog)
    check_sealed(closed_gateway, model)
