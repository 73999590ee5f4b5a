"""How exchanges with a gateway end: programs that leave or do not read, and a gateway that is stopped."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import pytest

from venice_ai import gateway
from venice_ai.emulator import Emulator, text
from venice_ai.gateway._application import GATEWAY

from ..scripted_server import SILENCE, Server, Step, reply, serving, streamed
from .asking import HI, MODEL, PATIENCE_SECONDS, Program, asking, client_of

FIRST: dict[str, Any] = {"id": "c", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": "a"}}]}
LAST: dict[str, Any] = {**FIRST, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
DONE = b"data: [DONE]\n\n"


def event(content: Any) -> bytes:
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def body(**more: Any) -> bytes:
    return json.dumps({"model": MODEL, "messages": HI, **more}).encode()


async def within_patience(happened: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await happened.wait()


# -- programs that leave -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "stream"),
    [
        pytest.param([SILENCE], False, id="before an answer"),
        pytest.param([SILENCE], True, id="before a stream"),
        pytest.param(streamed(SILENCE), True, id="before the first chunk"),
        pytest.param(streamed(event(FIRST), SILENCE), True, id="in a stream"),
    ],
)
async def test_a_program_that_leaves_is_no_longer_answered(steps: list[Step], stream: bool) -> None:
    async with serving(steps) as venice, asking(venice.client(limits=False)) as program:
        _, writer = await program.connect()
        writer.write(program.request(body(stream=stream)))
        await within_patience(venice.silent)
        assert not venice.left.is_set()

        writer.close()

        await within_patience(venice.left)


async def test_a_program_that_leaves_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "venice_ai.gateway")
    async with serving(streamed(event(FIRST), SILENCE)) as venice, asking(venice.client(limits=False)) as program:
        _, writer = await program.connect()
        writer.write(program.request(body(stream=True)))
        await within_patience(venice.silent)
        writer.close()
        await within_patience(venice.left)

    (line,) = [record.getMessage() for record in caplog.records if record.name == "venice_ai.gateway"]
    assert line.startswith(f"POST /v1/chat/completions left {MODEL} stream")


# -- programs that do not read -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "answer"])
async def test_a_program_that_reads_nothing_is_dropped(emulator: Emulator, stream: bool) -> None:
    emulator.script(text("many words " * 2_000_000 if not stream else "many words " * 60_000))
    client = client_of(emulator)
    async with asking(client, patience_seconds=0.3) as program:
        reader, writer = await program.connect()
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # there is one
        writer.write(program.request(body(stream=stream)))
        async with asyncio.timeout(120):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                while not writer.transport.is_closing():
                    writer.write(b" ")  # what comes back for it is a reset, once the gateway has dropped the connection
                    await writer.drain()
                    await asyncio.sleep(0.05)
                raise ConnectionResetError
        del reader


# -- a gateway that is stopped -------------------------------------------------------------------------------------------


async def test_requests_in_flight_are_completed_before_the_gateway_stops() -> None:
    go = asyncio.Event()
    answer = streamed(event(FIRST), go, event(LAST), DONE)
    async with serving(answer) as venice, venice.client(limits=False) as client:
        serving_ = gateway.serve(client, drain_seconds=PATIENCE_SECONDS)
        running = await serving_.__aenter__()
        reader, writer = await asyncio.open_connection(running.host, running.port)
        writer.write(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body(stream=True)), body(stream=True))
        )
        await reader.readuntil(event(FIRST))
        ending = asyncio.create_task(serving_.__aexit__(None, None, None))
        await asyncio.sleep(0.05)
        with pytest.raises(ConnectionError):
            await asyncio.open_connection(running.host, running.port)

        go.set()

        assert (await reader.read()).endswith(b"\r\n" + DONE + b"\r\n0\r\n\r\n")
        await ending
        writer.close()


async def test_a_stream_longer_than_drain_seconds_ends_with_an_error_event() -> None:
    async with serving(streamed(event(FIRST), SILENCE)) as venice:
        async with asking(venice.client(limits=False), drain_seconds=0.1) as program:
            reader, writer = await program.connect()
            writer.write(program.request(body(stream=True)))
            await reader.readuntil(event(FIRST))
        rest = await reader.read()
        writer.close()
        await within_patience(venice.left)

    assert b"was stopped" in rest
    assert b"[DONE]" not in rest
    assert not rest.endswith(b"0\r\n\r\n")


async def test_a_call_longer_than_drain_seconds_is_a_503() -> None:
    async with serving([SILENCE]) as venice:
        async with asking(venice.client(limits=False), drain_seconds=0.1) as program:
            asked = asyncio.create_task(program.ask())
            await within_patience(venice.silent)
        got = await asked
        await within_patience(venice.left)

    assert got.status == 503
    assert "was stopped" in got.error["message"]


async def test_no_task_is_left_after_a_request(program: Program) -> None:
    for stream in (True, False):
        await program.ask(stream=stream)
        await program.ask(stream=stream, temperature=9)

    names = [repr(task.get_coro()) for task in asyncio.all_tasks()]
    assert not [name for name in names if "answered" in name or "_handle_request" in name]


async def test_the_application_runs_in_a_server_of_the_callers_own(emulator: Emulator) -> None:
    from aiohttp.test_utils import TestClient, TestServer

    async with client_of(emulator) as client, TestClient(TestServer(gateway.app(client))) as program:
        async with program.post("/v1/chat/completions", json={"model": MODEL, "messages": HI}) as answer:
            assert answer.status == 200
        assert not program.app[GATEWAY].under_way


# -- faults of ours ------------------------------------------------------------------------------------------------------


async def test_an_internal_error_is_a_500_without_content(emulator: Emulator, caplog: pytest.LogCaptureFixture) -> None:
    class Faulty:
        async def send(self, request: Any) -> Any:
            raise KeyError(request.body)

        async def aclose(self) -> None:
            """Nothing is open."""

    async with asking(client_of(emulator, transport=Faulty())) as program:
        got = await program.ask(messages=[{"role": "user", "content": "canary-31"}])

    assert (got.status, got.error["message"]) == (500, "the gateway failed: KeyError")
    assert "in send" in caplog.text
    assert "canary-31" not in caplog.text


async def test_an_answer_that_is_no_completion_is_a_bad_gateway() -> None:
    async with serving(reply(b"<html>")) as venice, asking(venice.client(limits=False)) as program:
        got = await program.ask()

    assert got.status == 502


async def test_no_connection_is_a_bad_gateway() -> None:
    async with asking(Server(url="http://127.0.0.1:9/api/v1").client(limits=False)) as program:
        got = await program.ask()

    assert (got.status, got.error["type"]) == (502, "api_error")
