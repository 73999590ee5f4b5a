"""Proxies and clients of HTTP/1.0 that others wrote: nginx as it is installed, tinyproxy, and curl before the emulator."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from venice_ai import APIConnectionError, APIError, SyncVeniceClient, VeniceClient
from venice_ai.emulator import Emulator, echo

from .environments import environment
from .servers import ForeignServer, serving

pytestmark = pytest.mark.interop

MODEL = "venice-1"
HI = [{"role": "user", "content": "hi there"}]
CALLS = 100

# nginx's defaults for a proxy: HTTP/1.0 to the server behind, buffered, closed after each reply.
NGINX = """
daemon off; master_process off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass {origin}; }} }}
}}
"""
TINYPROXY = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 100
Allow 127.0.0.1
LogFile "{folder}/tinyproxy.log"
PidFile "{folder}/tinyproxy.pid"
"""


def program(name: str) -> str:
    """Where a server of Debian's is; where it cannot be had, the test is skipped and says so."""
    found = shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.skip(f"{name} is not installed; Debian has it as a package of that name")
    return found


@pytest.fixture
def nginx(base_url: str, tmp_path: Path) -> Generator[ForeignServer]:
    origin = base_url.partition("/api")[0]
    command = program("nginx")

    def configured(port: int) -> list[str]:
        file = tmp_path / "nginx.conf"
        file.write_text(NGINX.format(folder=tmp_path, port=port, origin=origin))
        return [command, "-c", str(file), "-p", str(tmp_path), "-e", str(tmp_path / "error.log")]

    with serving(configured, ready="/api/v1/models", folder=tmp_path) as server:
        yield server


@contextmanager
def proxying(folder: Path, *directives: str) -> Generator[ForeignServer]:
    """A tinyproxy, with some directives more."""
    command = program("tinyproxy")

    def configured(port: int) -> list[str]:
        file = folder / "tinyproxy.conf"
        file.write_text("\n".join([TINYPROXY.format(folder=folder, port=port), *directives, ""]))
        return [command, "-d", "-c", str(file)]

    with serving(configured, ready="/", folder=folder) as server:
        yield server


@pytest.fixture
def tinyproxy(tmp_path: Path) -> Generator[ForeignServer]:
    with proxying(tmp_path) as server:
        yield server


@pytest.fixture
def guarded(tmp_path: Path) -> Generator[ForeignServer]:
    """A tinyproxy that wants a user and a password."""
    with proxying(tmp_path, "BasicAuth bob pass-word") as server:
        yield server


@pytest_asyncio.fixture
async def behind_nginx(nginx: ForeignServer) -> AsyncGenerator[VeniceClient]:
    async with VeniceClient(api_key="k", base_url=f"{nginx.origin}/api/v1", max_retries=0) as client:
        yield client


async def test_a_plain_answer_comes_through_nginx(behind_nginx: VeniceClient, emulator: Emulator) -> None:
    emulator.script(echo())

    reply = await behind_nginx.chat.completions.create(model=MODEL, messages=HI)

    assert reply.text == "hi there"


async def test_a_stream_comes_through_nginx_whole(behind_nginx: VeniceClient, emulator: Emulator) -> None:
    emulator.script(echo())

    async with await behind_nginx.chat.completions.stream(model=MODEL, messages=HI) as stream:
        reply = await stream.collect()

    assert (reply.text, reply.choices[0].finish_reason) == ("hi there", "stop")


async def test_a_hundred_calls_in_a_row_come_through_nginx(behind_nginx: VeniceClient) -> None:
    replies = [await behind_nginx.chat.completions.create(model=MODEL, messages=HI) for _ in range(CALLS)]

    assert all(reply.meta is not None and reply.meta.attempts == 1 for reply in replies)


async def test_a_hundred_calls_in_a_row_go_through_a_proxy_that_closes_each_connection(
    tinyproxy: ForeignServer, base_url: str
) -> None:
    async with VeniceClient(api_key="k", base_url=base_url, proxy=tinyproxy.origin, max_retries=0) as client:
        replies = [await client.chat.completions.create(model=MODEL, messages=HI) for _ in range(CALLS)]

    assert all(reply.meta is not None and reply.meta.attempts == 1 for reply in replies)


def test_the_synchronous_client_goes_through_it_too(tinyproxy: ForeignServer, base_url: str) -> None:
    with SyncVeniceClient(api_key="k", base_url=base_url, proxy=tinyproxy.origin, max_retries=0) as client:
        replies = [client.chat.completions.create(model=MODEL, messages=HI) for _ in range(CALLS)]
        text = "".join(client.chat.completions.stream(model=MODEL, messages=HI).text_deltas())

    assert len(replies) == CALLS
    assert text


@pytest.mark.parametrize(("user", "status"), [("", 407), ("bob:wrong-word@", 401)], ids=["nobody", "a wrong password"])
async def test_a_proxy_that_wants_a_password_is_asked_once_and_its_refusal_says_what_it_wants(
    user: str, status: int, guarded: ForeignServer, tmp_path: Path
) -> None:
    address = guarded.origin.replace("//", f"//{user}")
    before = (tmp_path / "tinyproxy.log").read_text().count("CONNECT venice.invalid")

    async with VeniceClient(api_key="k", base_url="https://venice.invalid/api/v1", proxy=address) as client:
        with pytest.raises(APIConnectionError, match=f"answered {status}.*user:password@host") as caught:
            await client.chat.completions.create(model=MODEL, messages=HI)
    with (
        SyncVeniceClient(api_key="k", base_url="https://venice.invalid/api/v1", proxy=address) as client,
        pytest.raises(APIConnectionError, match=f"answered {status}.*user:password@host"),
    ):
        client.chat.completions.create(model=MODEL, messages=HI)

    assert "wrong-word" not in str(caught.value)
    assert (tmp_path / "tinyproxy.log").read_text().count("CONNECT venice.invalid") == before + 2


async def test_a_proxy_that_wants_a_password_is_gone_through_with_it(guarded: ForeignServer, base_url: str) -> None:
    address = guarded.origin.replace("//", "//bob:pass-word@")
    async with VeniceClient(api_key="k", base_url=base_url, proxy=address, max_retries=0) as client:
        assert (await client.chat.completions.create(model=MODEL, messages=HI)).text
    async with VeniceClient(api_key="k", base_url=base_url, proxy=guarded.origin, max_retries=0) as client:
        with pytest.raises(APIError, match=r"proxy answered 407.*user:password@host"):
            await client.chat.completions.create(model=MODEL, messages=HI)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_curl_gets_its_answer_in_http_1_0(stream: bool, emulator: Emulator, base_url: str) -> None:
    emulator.script(echo())
    body = json.dumps({"model": MODEL, "messages": HI, "stream": stream})
    headers = ["--header", "Authorization: Bearer k", "--header", "Content-Type: application/json"]

    done = subprocess.run(
        [program("curl"), "-sSi", "--http1.0", "--max-time", "20", *headers, "--data", body, f"{base_url}/chat/completions"],
        capture_output=True,
        encoding="utf-8",
        env=environment(),
        check=True,
    )

    head, _, content = done.stdout.replace("\r\n", "\n").partition("\n\n")
    assert head.startswith("HTTP/1.0 200")
    assert "transfer-encoding" not in head.lower()
    if stream:
        assert content.endswith("data: [DONE]\n\n")
    else:
        assert json.loads(content)["choices"][0]["message"]["content"] == "hi there"
