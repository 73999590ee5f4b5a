"""A reply that is cut at any byte, by the connection's end or a reset, is a typed error, or it is the whole answer."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from venice_ai import APIError, StreamInterruptedError, SyncVeniceClient, VeniceClient

pytestmark = pytest.mark.interop

MODEL = "m"
HI = [{"role": "user", "content": "hi"}]
TEXT = "Seven words, and an é at last"
ANSWER = json.dumps(
    {"id": "c", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": TEXT}}]},
    ensure_ascii=False,
).encode()  # fmt: skip
EVENTS = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
    for delta, reason in [
        ({"role": "assistant"}, None),
        ({"content": TEXT[:9]}, None),
        ({"content": TEXT[9:]}, None),
        ({}, "stop"),
    ]
]
BODY = b"".join(b"data: " + json.dumps(event, ensure_ascii=False).encode() + b"\n\n" for event in EVENTS) + b"data: [DONE]\n\n"
PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(ANSWER), ANSWER)
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
    b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (BODY[at : at + 90] for at in range(0, len(BODY), 90))
) + b"0\r\n\r\n"  # fmt: skip
WHOLE = {"plain": PLAIN, "stream": STREAM}


@contextmanager
def cutting(reply: bytes, *, reset: bool) -> Generator[tuple[str, list[int]]]:
    """A server that sends as much of a reply as the list beside its address says, then ends or resets the connection."""
    listening = socket.create_server(("127.0.0.1", 0))
    sent = [len(reply)]

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                request = b""
                while b"\r\n\r\n" not in request:
                    request += connection.recv(65536)
                head, _, body = request.partition(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
                while len(body) < length:
                    body += connection.recv(65536)
                connection.sendall(reply[: sent[0]])
                if reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", sent
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


def judged(kind: str, at: int, found: str | APIError) -> None:
    if isinstance(found, str):
        assert found == TEXT, f"{kind} cut at byte {at} gave another answer"
    elif isinstance(found, StreamInterruptedError):
        partial = "" if found.partial is None else found.partial.text or ""
        assert TEXT.startswith(partial), f"{kind} cut at byte {at} has an invented partial"


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("kind", WHOLE)
async def test_an_answer_cut_at_any_byte_is_an_error_or_whole(kind: str, *, reset: bool) -> None:
    whole = 0
    with cutting(WHOLE[kind], reset=reset) as (url, sent):
        for at in range(len(WHOLE[kind]) + 1):
            sent[0] = at
            async with VeniceClient(api_key="k", base_url=url, max_retries=0, timeout=10, limits=False) as client:
                found = await asked(client, kind)
            judged(kind, at, found)
            whole += isinstance(found, str)

    assert whole >= (0 if reset else 1), "what was sent whole is read whole"


async def asked(client: VeniceClient, kind: str) -> str | APIError:
    try:
        if kind == "plain":
            return (await client.chat.completions.create(model=MODEL, messages=HI)).text or ""
        async with await client.chat.completions.stream(model=MODEL, messages=HI) as stream:
            return "".join([text async for text in stream.text_deltas()])
    except APIError as error:
        return error


@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("kind", WHOLE)
async def test_the_synchronous_client_says_the_same(kind: str, *, reset: bool) -> None:
    await asyncio.to_thread(synchronously, kind, reset=reset)


def synchronously(kind: str, *, reset: bool) -> None:
    with cutting(WHOLE[kind], reset=reset) as (url, sent):
        for at in range(len(WHOLE[kind]) + 1):
            sent[0] = at
            with SyncVeniceClient(api_key="k", base_url=url, max_retries=0, timeout=10, limits=False) as client:
                try:
                    found: str | APIError = (
                        client.chat.completions.create(model=MODEL, messages=HI).text or ""
                        if kind == "plain"
                        else "".join(client.chat.completions.stream(model=MODEL, messages=HI).text_deltas())
                    )
                except APIError as error:
                    found = error
            judged(kind, at, found)
