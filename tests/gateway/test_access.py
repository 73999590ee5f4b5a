"""Who may ask a gateway, and how long, and how much: attacks by pages, by strangers, and by programs that never finish."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from venice_ai import InvalidRequestError, SyncVeniceClient, VeniceClient, VeniceError, gateway
from venice_ai.emulator import Emulator
from venice_ai.exceptions import InvalidArgumentError

from .asking import HI, MODEL, TOKEN, Program, asking, client_of

BODY = b'{"model":"venice-1","messages":[{"role":"user","content":"hi"}]}'


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


# -- tokens --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "authorization",
    [None, "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", "Bearer \xff"],
)
async def test_a_wrong_token_is_refused(emulator: Emulator, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    async with asking(client_of(emulator)) as program:
        program.session.headers.clear()
        for method, path in (("POST", "/v1/chat/completions"), ("GET", "/v1/models"), ("GET", "/attestation/x"), ("GET", "/")):
            got = await program.send(method, path, headers=headers)
            assert (got.status, got.error["code"]) == (401, "invalid_api_key")
            assert TOKEN.encode() not in got.body
    assert emulator.requests == []


async def test_the_health_check_needs_no_token(program: Program) -> None:
    program.session.headers.clear()

    assert (await program.send("GET", "/healthz")).json == {"status": "ok"}


async def test_without_a_token_any_key_will_do(emulator: Emulator) -> None:
    async with asking(client_of(emulator), token=None) as program:
        assert (await program.ask()).status == 200
        assert (await program.send("GET", "/v1/models", headers={"Authorization": "Bearer any"})).status == 200


async def test_with_token_true_a_token_is_generated_and_not_in_the_repr() -> None:
    async with VeniceClient(api_key="k") as client, gateway.serve(client, token=True) as running:
        assert running.token
        assert len(running.token) > 40
        assert running.token not in repr(running)
        assert running.url == f"http://127.0.0.1:{running.port}/v1"


# -- pages in a browser --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("token", [TOKEN, None], ids=["with a token", "without"])
@pytest.mark.parametrize(
    "host",
    [
        *(
            "evil.example",
            "evil.example:80",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "0.0.0.0",
            "192.168.0.9",
            "[::]",
        ),
        *("", " ", "localhost@evil.example", "localhost:80:80", "localhost/evil", "evil.example\tlocalhost", "2130706433"),
    ],
)
async def test_a_name_that_was_rebound_is_refused(emulator: Emulator, host: str, token: str | None) -> None:
    async with asking(client_of(emulator), token=token) as program:
        answer = await program.talk(program.request(BODY, host=host))

    assert status(answer) in {400, 403}
    assert emulator.requests == []


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:1", "127.0.0.1", "127.8.8.8:9", "[::1]", "[::1]:80", "gate.localhost"]
)
async def test_names_of_this_machine_are_its_own(program: Program, host: str) -> None:
    assert status(await program.talk(program.request(BODY, host=host))) == 200


async def test_no_host_and_two_hosts_are_refused(program: Program, emulator: Emulator) -> None:
    whole = program.request(BODY)

    assert status(await program.talk(whole.replace(b"Host: localhost\r\n", b""))) in {400, 403}
    assert status(await program.talk(whole.replace(b"Host: localhost\r\n", b"Host: localhost\r\nHost: evil\r\n"))) in {400, 403}
    assert emulator.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_requests_of_web_pages_are_refused(program: Program, emulator: Emulator, headers: dict[str, str]) -> None:
    for method in ("POST", "GET", "OPTIONS"):
        got = await program.send(method, "/v1/chat/completions", headers=headers)
        assert (got.status, got.error["code"]) == (403, "origin_not_allowed")
        assert "pages in a browser" in got.error["message"]
        assert not [name for name in got.headers if name.lower().startswith("access-control")]
    assert emulator.requests == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
    ids=str,
)
async def test_only_json_is_read(program: Program, headers: dict[str, str]) -> None:
    got = await program.send("POST", "/v1/chat/completions", data=BODY, headers=headers)

    assert got.status == 415


async def test_another_name_can_be_allowed(emulator: Emulator) -> None:
    async with asking(client_of(emulator), allow_hosts=["Gate.example"]) as program:
        assert status(await program.talk(program.request(BODY, host="gate.example:8080"))) == 200
        refused = await program.talk(program.request(BODY, host="evil.example"))
        assert status(refused) == 403
        assert b"unknown name in the Host header; add it to allow_hosts" in refused


@pytest.mark.parametrize(
    ("options", "says"),
    [
        pytest.param({"host": "0.0.0.0"}, "allow_hosts", id="other machines"),
        pytest.param({"allow_hosts": ["gate.example"]}, "token", id="other machines without a token"),
        pytest.param({"port": 70_000}, "port", id="no port"),
        pytest.param({"token": "short"}, "token", id="a token that can be guessed"),
        pytest.param({"token": "two words of it"}, "token", id="a token that no header carries"),
        pytest.param({"rpm": 0}, "rpm", id="no rate"),
        pytest.param({"patience_seconds": 0}, "patience_seconds", id="no time"),
    ],
)
async def test_wrong_options_are_refused_before_serving(options: dict[str, Any], says: str) -> None:
    async with VeniceClient(api_key="k") as client:
        with pytest.raises((InvalidRequestError, InvalidArgumentError), match=says):
            async with gateway.serve(client, **options):
                pytest.fail("it was served")


def test_a_synchronous_client_is_refused() -> None:
    with SyncVeniceClient(api_key="k") as client, pytest.raises(InvalidArgumentError, match="VeniceClient"):
        gateway.app(client)  # type: ignore[arg-type]  # the mistake that is told


async def test_a_port_that_is_taken(program: Program) -> None:
    async with VeniceClient(api_key="k") as client:
        with pytest.raises(VeniceError, match="in use"):
            async with gateway.serve(client, port=program.running.port):
                pytest.fail("it was served")


# -- sizes and times -----------------------------------------------------------------------------------------------------


async def test_a_body_that_is_too_long_is_refused_unread(program: Program, emulator: Emulator) -> None:
    answer = await program.talk(program.request(b"{", lines=f"Content-Length: {36 * 2**20}\r\n"))
    chunks = b"".join(b"100000\r\n" + b" " * 2**20 + b"\r\n" for _ in range(36))
    untold = await program.talk(program.request(chunks, lines="Transfer-Encoding: chunked\r\n"))

    assert (status(answer), status(untold)) == (413, 413)
    assert b"the body is larger than 36700160 bytes" in answer
    assert emulator.requests == []


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nX-", id="half a head"),
    ],
)
async def test_a_head_must_come_in_time(emulator: Emulator, sent: bytes) -> None:
    async with asking(client_of(emulator), patience_seconds=0.2) as program:
        assert await program.talk(sent) == b""


async def test_a_body_must_come_in_time(emulator: Emulator) -> None:
    async with asking(client_of(emulator), patience_seconds=0.2) as program:
        reader, writer = await program.connect()
        writer.write(program.request(BODY[:20], lines="Content-Length: 64\r\n"))
        assert status(await reader.readline()) == 408
        writer.close()


async def test_idle_connections_do_not_block_others(emulator: Emulator) -> None:
    async with asking(client_of(emulator)) as program:
        idle = [await program.connect() for _ in range(100)]
        assert (await program.ask()).status == 200
        for _, writer in idle:
            writer.close()


SMUGGLED = b"GET /v1/models HTTP/1.1\r\nHost: evil.example\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(("Content-Length: 64\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n" + SMUGGLED), id="length and chunks"),
        pytest.param(("Content-Length: 64\r\nContent-Length: 5\r\n", BODY + SMUGGLED), id="two lengths"),
        pytest.param(("Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n" + SMUGGLED), id="an unknown coding"),
        pytest.param(("Transfer-Encoding : chunked\r\n", b"0\r\n\r\n" + SMUGGLED), id="a blank before the colon"),
        pytest.param(("Transfer-Encoding: chunked\r\n", b"zz\r\n" + BODY), id="a size that is not a number"),
        pytest.param(("Transfer-Encoding: chunked\r\n", b"-1\r\n" + BODY), id="a negative size"),
        pytest.param(("Content-Length: +64\r\n", BODY), id="a length with a sign"),
        pytest.param(("X: a\r\n b\r\n\x00: c\r\n", BODY), id="not a header"),
        pytest.param((f"X: {'a' * 10_000}\r\n", BODY), id="a header that is too long"),
    ],
)
async def test_ambiguously_framed_requests_are_refused(
    program: Program, emulator: Emulator, sent: tuple[str, bytes], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    lines, body = sent

    answer = await program.talk(program.request(body, lines=lines))

    assert answer.count(b"HTTP/1.") == 1
    assert status(answer) == 400
    error = json.loads(answer.partition(b"\r\n\r\n")[2])["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert emulator.requests == []
    assert TOKEN not in caplog.text


async def test_a_long_ordinary_body_is_accepted(program: Program) -> None:
    assert (await program.ask(model=MODEL, messages=HI * 2000)).status == 200
