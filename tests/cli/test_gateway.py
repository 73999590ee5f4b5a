"""`venice-chat gateway`."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest

from venice_ai.emulator import Emulator, serve, text

from .forks import forked
from .shell import Here, ended, running

ADDRESS = re.compile(r"Venice gateway on (http://127\.0\.0\.1:\d+/v1)\n")
TOKEN = re.compile(r"token: (\S{43})\n")
HI = [{"role": "user", "content": "canary-hi"}]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_it_serves_with_a_token_that_it_prints_once_and_completes_what_is_under_way(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator = Emulator()
    emulator.script(text("slowly but surely", chunk_delay=0.2))
    monkeypatch.setenv("VENICE_API_KEY", "canary-key-1234")
    async with serve(emulator) as server:
        with forked("gateway", "--port", "0", "--base-url", server.url) as process:
            address = ADDRESS.fullmatch(await asyncio.to_thread(process.stdout.readline))
            token = TOKEN.fullmatch(await asyncio.to_thread(process.stdout.readline))
            assert address
            assert token
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {token[1]}"}) as session:
                asked = {"model": "venice-1", "messages": HI, "stream": True}
                async with session.post(f"{address[1]}/chat/completions", json=asked) as answer:
                    await answer.content.readuntil(b"\n\n")
                    ending = asyncio.create_task(asyncio.to_thread(ended, process, number))
                    rest = await answer.read()
            outcome = await ending

    assert rest.endswith(b"data: [DONE]\n\n")
    assert (outcome.code, outcome.out) == (0, f"export OPENAI_BASE_URL={address[1]} OPENAI_API_KEY={token[1]}\n")
    assert "POST /v1/chat/completions 200 venice-1 stream, " in outcome.err
    assert token[1] not in outcome.err
    assert "canary" not in outcome.err


@pytest.mark.skipif(sys.platform == "win32", reason="needs a shell")
@pytest.mark.parametrize(
    ("options", "variables", "key"),
    [
        pytest.param(["--no-token"], {}, "any", id="no token"),
        pytest.param([], {"VENICE_GATEWAY_TOKEN": "my-token-for-tests"}, "my-token-for-tests", id="a token in the environment"),
    ],
)
def test_a_shell_takes_the_line_that_points_programs_at_it(options: list[str], variables: dict[str, str], key: str) -> None:
    with forked("gateway", "--port", "0", *options, environment={"VENICE_API_KEY": "any", **variables}) as process:
        address, line = ADDRESS.fullmatch(process.stdout.readline()), process.stdout.readline()
        assert address
        shown = subprocess.run(
            ["sh", "-c", f'{line.strip()}; printf "%s|%s" "$OPENAI_BASE_URL" "$OPENAI_API_KEY"'],
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        )
        assert ended(process, signal.SIGINT).code == 0
    assert (shown.stdout, shown.stderr) == (f"{address[1]}|{key}", "")


@pytest.mark.parametrize(
    ("options", "status", "words"),
    [
        pytest.param([], 400, "tools is not allowed with e2ee", id="without"),
        pytest.param(["--sealed-tools"], 502, "hardware", id="with"),  # nobody trusts the emulator's enclave
    ],
)
async def test_sealed_tools_are_an_option(options: list[str], status: int, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "canary-key-1234")
    tool = {"type": "function", "function": {"name": "add"}}
    async with serve(Emulator(tee=True)) as server:
        with forked("gateway", "--port", "0", "--no-token", *options, "--base-url", server.url) as process:
            address = ADDRESS.fullmatch(await asyncio.to_thread(process.stdout.readline))
            assert address
            asked = {"model": "e2ee-ponte-chiuso-p", "messages": HI, "tools": [tool]}
            async with aiohttp.ClientSession() as session, session.post(f"{address[1]}/chat/completions", json=asked) as answer:
                assert answer.status == status
                assert words in await answer.text()
            await asyncio.to_thread(ended, process, signal.SIGINT)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        pytest.param(["--host", "0.0.0.0"], "--allow-host", id="an address others can reach"),
        pytest.param(["--allow-host", "gate.example", "--no-token"], "needs a token", id="others without a token"),
        pytest.param(["--token", "t" * 9, "--no-token"], "exclude", id="a token and none"),
        pytest.param(["--level", "pinned"], "--pin", id="pinned without pins"),
        pytest.param(["--port", "70000"], "0<=x<=65535", id="no port"),
        pytest.param(["--budget", "0"], "x>0", id="no budget"),
        pytest.param(["--rpm", "0"], "x>=1", id="no rate"),
        pytest.param(["--token", "short"], "8 or more", id="a token that can be guessed"),
    ],
)
def test_wrong_arguments_of_gateway_exit_with_2(
    here: Here, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "any")

    outcome = here("gateway", *arguments)

    assert (outcome.code, outcome.out) == (2, "")
    assert says in outcome.err


def test_a_fallback_that_is_not_there_does_not_start(emulator: Emulator, here: Here) -> None:
    assert emulator is not None
    outcome = here("gateway", "--port", "0", "--fallback", "llama-3.3")

    assert (outcome.code, outcome.out) == (4, "")
    assert "did you mean 'llama-3.3-70b'?" in outcome.err


def test_without_a_key_it_does_not_start(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY")
    outcome = here("gateway", "--port", "0")

    assert outcome.code != 0
    assert "VENICE_API_KEY" in outcome.err


def test_a_malformed_pin_file_exits_with_an_error(here: Here, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "any")
    pin = tmp_path / "pin.json"
    pin.write_text(json.dumps({"mrtd": ["00"]}), encoding="utf-8")

    outcome = here("gateway", "--level", "pinned", "--pin", str(pin))

    assert outcome.code == 2
    assert "mrtd" in outcome.err


def test_with_json_its_address_and_token_are_a_line_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", "canary-key-1234")
    with running("gateway", "--port", "0", "--json") as process:
        assert process.stdout is not None
        address_line = json.loads(process.stdout.readline())
        outcome = ended(process, signal.SIGINT)
    assert outcome.code == 0
    assert TOKEN.fullmatch(f"token: {address_line['token']}\n")
    assert address_line["url"].startswith("http://127.0.0.1:")
