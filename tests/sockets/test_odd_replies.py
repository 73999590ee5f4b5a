"""Odd replies of servers, and of what stands before them: both transports read the same, or raise the same class of error."""

from __future__ import annotations

import asyncio
import gzip
import json
import sys
import zlib
from collections.abc import Mapping
from typing import Any

import pytest

from venice_ai import SyncVeniceClient, VeniceError

from ..fakes import HI, KEY, completion
from ..scripted_server import ABORT, CLOSE, FAREWELL, SILENCE, Server, Step, bomb, head, reply, serving

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there every call takes the event loop")

RAW = json.dumps(completion()).encode()
SIZE = len(RAW)
ZIPPED = gzip.compress(RAW)
JSON = "Content-Type: application/json"


def raw(status: str, *lines: str, body: bytes = RAW, end: bytes = b"\r\n") -> bytes:
    """A reply whose lines are sent as they are."""
    return end.join(line.encode("latin-1") for line in [status, *lines]) + end * 2 + body


def framed(*lines: str, body: bytes = RAW) -> list[Step]:
    return [raw("HTTP/1.1 200 OK", JSON, *lines, body=body), CLOSE]


def chunked(body: bytes, *lines: str) -> list[Step]:
    return framed("Transfer-Encoding: chunked", *lines, body=body)


def status_line(line: str) -> list[Step]:
    return [raw(line, JSON, f"Content-Length: {SIZE}"), CLOSE]


def coded(coding: str, body: bytes) -> list[Step]:
    return reply(body, headers={"Content-Encoding": coding})


def bare(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


ONE = b"%x\r\n%b\r\n" % (SIZE, RAW)
HALF = b"%x\r\n%b\r\n" % (20, RAW[:20])
REST = b"%x\r\n%b\r\n" % (SIZE - 20, RAW[20:])

CODINGS: dict[str, list[Step]] = {
    "gzip": coded("gzip", ZIPPED),
    "gzip in capitals": coded("GZIP", ZIPPED),
    "x-gzip": coded("x-gzip", ZIPPED),
    "deflate in another case": coded("Deflate", zlib.compress(RAW)),
    "deflate without its header": coded("deflate", bare(RAW)),
    "identity": coded("identity", RAW),
    "Identity in another case": coded("Identity", RAW),
    "no name": coded("", RAW),
    "gzip in two members": coded("gzip", gzip.compress(RAW[:20]) + gzip.compress(RAW[20:])),
    "gzip with an empty first member": coded("gzip", gzip.compress(b"") + ZIPPED),
    "gzip with an empty last member": coded("gzip", ZIPPED + gzip.compress(b"")),
    "gzip with zeros after it": coded("gzip", ZIPPED + bytes(7)),
    "gzip with junk after it": coded("gzip", ZIPPED + b"junk"),
    "deflate with junk after it": coded("deflate", zlib.compress(RAW) + b"junk"),
    "gzip in chunks of a byte": chunked(
        b"".join(b"1\r\n%b\r\n" % bytes([each]) for each in ZIPPED) + b"0\r\n\r\n", "Content-Encoding: gzip"
    ),
    "gzip until the end": framed("Content-Encoding: gzip", body=ZIPPED),
    "gzip that ends too early": coded("gzip", ZIPPED[:-9]),
    "gzip without its check sum": coded("gzip", ZIPPED[:-8]),
    "gzip with another check sum": coded("gzip", ZIPPED[:-8] + bytes(8)),
    "gzip of nothing": coded("gzip", b""),
    "no gzip": coded("gzip", RAW),
    "no deflate": coded("deflate", RAW),
    "gzip, then deflate": coded("gzip, deflate", zlib.compress(ZIPPED)),
    "gzip in two headers": framed("Content-Encoding: gzip", "Content-Encoding: gzip", body=gzip.compress(ZIPPED)),
    "two codings of which one was applied": coded("gzip, deflate", ZIPPED),
    "br": coded("br", b"\x0b\x02\x80hello\x03"),
    "zstd": coded("zstd", b"(\xb5/\xfd"),
    "a coding without a meaning": coded("snappy", RAW),
    "a refusal in gzip": reply(gzip.compress(b'{"error": "no"}'), status="404 Not Found", headers={"Content-Encoding": "gzip"}),
    "a refusal that is not gzip": reply(b'{"error": "no"}', status="404 Not Found", headers={"Content-Encoding": "gzip"}),
    "a refusal in gzip that ends too early": reply(
        gzip.compress(b'{"error": "no"}')[:-3], status="429 Too Many", headers={"Content-Encoding": "gzip"}
    ),
    "a refusal in br": reply(b"...", status="503 Busy", headers={"Content-Encoding": "br"}),
    "a refusal that bursts": reply(bomb(64), status="403 Forbidden", headers={"Content-Encoding": "gzip"}),
    "an answer that bursts": coded("gzip", bomb(300)),
}
LENGTHS: dict[str, list[Step]] = {
    "twice in one header": framed(f"Content-Length: {SIZE}, {SIZE}"),
    "two headers": framed(f"Content-Length: {SIZE}", f"Content-Length: {SIZE}"),
    "two headers that differ": framed(f"Content-Length: {SIZE}", "Content-Length: 3"),
    "with a sign": framed(f"Content-Length: +{SIZE}"),
    "negative": framed("Content-Length: -1"),
    "with blanks": framed(f"Content-Length:   {SIZE}  "),
    "zeros before it": framed(f"Content-Length: 000{SIZE}"),
    "hexadecimal": framed(f"Content-Length: 0x{SIZE:x}"),
    "with an underscore": framed("Content-Length: 1_0"),
    "none": framed("Content-Length:"),
    "a word": framed("Content-Length: many"),
    "larger than a machine's numbers": framed(f"Content-Length: {10**30}"),
    "beside chunks": chunked(ONE + b"0\r\n\r\n", f"Content-Length: {SIZE}"),
    "beside another transfer coding": framed(f"Content-Length: {SIZE}", "Transfer-Encoding: gzip"),
    "too small": framed("Content-Length: 20"),
    "too large": framed(f"Content-Length: {SIZE + 1}"),
    "too large, reset": [raw("HTTP/1.1 200 OK", JSON, f"Content-Length: {SIZE + 1}"), ABORT],
    "too large, half closed": [raw("HTTP/1.1 200 OK", JSON, f"Content-Length: {SIZE + 1}"), FAREWELL],
    "a refusal that ends too early": [raw("HTTP/1.1 404 Not Found", JSON, "Content-Length: 1000"), CLOSE],
    "none, reset": [raw("HTTP/1.1 200 OK", JSON, body=RAW[:20]), ABORT],
}
CHUNKS: dict[str, list[Step]] = {
    "one": chunked(ONE + b"0\r\n\r\n"),
    "a coding in capitals": framed("Transfer-Encoding: CHUNKED", body=ONE + b"0\r\n\r\n"),
    "two headers": chunked(ONE + b"0\r\n\r\n", "Transfer-Encoding: chunked"),
    "chunked twice": framed("Transfer-Encoding: chunked, chunked", body=ONE + b"0\r\n\r\n"),
    "identity": framed("Transfer-Encoding: identity"),
    "identity, then chunked": framed("Transfer-Encoding: identity, chunked", body=ONE + b"0\r\n\r\n"),
    "gzip alone": framed("Transfer-Encoding: gzip", body=ZIPPED),
    "not last": framed("Transfer-Encoding: chunked, gzip", body=ONE + b"0\r\n\r\n"),
    "a coding without a name": framed("Transfer-Encoding:", body=RAW),
    "hexadecimal capitals": chunked(b"%X\r\n%b\r\n0\r\n\r\n" % (SIZE, RAW)),
    "zeros before a size": chunked(b"000%x\r\n%b\r\n0\r\n\r\n" % (SIZE, RAW)),
    "several zeros at the end": chunked(ONE + b"000\r\n\r\n"),
    "an extension": chunked(b"%x;name=value\r\n%b\r\n0;a\r\n\r\n" % (SIZE, RAW)),
    "an extension in quotes": chunked(b'%x;name="va;lue"\r\n%b\r\n0\r\n\r\n' % (SIZE, RAW)),
    "blanks after a size": chunked(b"%x  \r\n%b\r\n0\r\n\r\n" % (SIZE, RAW)),
    "blanks before a size": chunked(b" %x\r\n%b\r\n0\r\n\r\n" % (SIZE, RAW)),
    "a size with 0x": chunked(b"0x%x\r\n%b\r\n0\r\n\r\n" % (SIZE, RAW)),
    "a negative size": chunked(b"-1\r\n%b\r\n0\r\n\r\n" % RAW),
    "a size with a sign": chunked(b"+%x\r\n%b\r\n0\r\n\r\n" % (SIZE, RAW)),
    "no size": chunked(b"\r\n%b\r\n0\r\n\r\n" % RAW),
    "a size that is a word": chunked(b"many\r\n%b\r\n0\r\n\r\n" % RAW),
    "a size beyond a machine's numbers": chunked(b"f" * 17 + b"\r\n" + RAW),
    "a size that goes on for ever": chunked(b"0" * 70_000 + b"\r\n" + RAW),
    "an extension that goes on for ever": chunked(b"5;" + b"a" * 200_000),
    "lines that end with LF alone": chunked(b"%x\n%b\n0\n\n" % (SIZE, RAW)),
    "an invalid size after the first": chunked(HALF + b"zz\r\n" + RAW[20:]),
    "an invalid size after the first, later": [*chunked(HALF)[:1], 0.05, b"zz\r\n", CLOSE],
    "a chunk longer than its size": chunked(b"14\r\n%b\r\n0\r\n\r\n" % RAW),
    "no end of a chunk's line": chunked(b"%x\r\n%b0\r\n\r\n" % (SIZE, RAW)),
    "no last chunk": chunked(ONE),
    "no last chunk, reset": [*chunked(ONE)[:1], ABORT],
    "half a last chunk": chunked(ONE + b"0\r\n"),
    "two chunks and none": chunked(HALF + REST),
    "a trailer": chunked(ONE + b"0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n"),
    "half a trailer": chunked(ONE + b"0\r\nX-Sum: 1\r\n"),
    "a trailer without a colon": chunked(ONE + b"0\r\nnonsense\r\n\r\n"),
    "a trailer without a colon, later": [*chunked(ONE)[:1], 0.05, b"0\r\nnonsense\r\n\r\n", CLOSE],
    "something after the last chunk": chunked(ONE + b"0\r\n\r\njunk"),
}
STATUS_LINES: dict[str, list[Step]] = {
    "no reason": status_line("HTTP/1.1 200"),
    "an empty reason": status_line("HTTP/1.1 200 "),
    "a reason in Latin 1": status_line("HTTP/1.1 200 Tr\xe8s bien"),
    "HTTP/1.0": status_line("HTTP/1.0 200 OK"),
    "HTTP/1.0 until the end": [raw("HTTP/1.0 200 OK", JSON), CLOSE],
    "HTTP/1.0 in chunks": [raw("HTTP/1.0 200 OK", JSON, "Transfer-Encoding: chunked", body=ONE + b"0\r\n\r\n"), CLOSE],
    "HTTP/0.9": status_line("HTTP/0.9 200 OK"),
    "HTTP/1.2": status_line("HTTP/1.2 200 OK"),
    "HTTP/2": status_line("HTTP/2 200 OK"),
    "HTTP/2.0": status_line("HTTP/2.0 200 OK"),
    "HTTP/3.0": status_line("HTTP/3.0 200 OK"),
    "lower case": status_line("http/1.1 200 OK"),
    "another protocol": status_line("ICY 200 OK"),
    "two blanks": status_line("HTTP/1.1  200 OK"),
    "a tab": status_line("HTTP/1.1\t200 OK"),
    "two digits": status_line("HTTP/1.1 20 OK"),
    "four digits": status_line("HTTP/1.1 2000 OK"),
    "not a number": status_line("HTTP/1.1 abc OK"),
    "no blank before the reason": status_line("HTTP/1.1 200OK"),
    "a status of 600": status_line("HTTP/1.1 600 Odd"),
    "a status of 999": status_line("HTTP/1.1 999 Odd"),
    "a status of 099": status_line("HTTP/1.1 099 Odd"),
    "an empty line before it": [b"\r\n" + raw("HTTP/1.1 200 OK", JSON, f"Content-Length: {SIZE}"), CLOSE],
    "lines that end with LF alone": [raw("HTTP/1.1 200 OK", JSON, f"Content-Length: {SIZE}", end=b"\n"), CLOSE],
    "interim": [b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + raw("HTTP/1.1 200 OK", f"Content-Length: {SIZE}"), CLOSE],
    "ten interim ones": [b"HTTP/1.1 102 Processing\r\n\r\n" * 10 + raw("HTTP/1.1 200 OK", f"Content-Length: {SIZE}"), CLOSE],
    "switching": [raw("HTTP/1.1 101 Switching Protocols", "Upgrade: x", "Connection: upgrade", body=b""), CLOSE],
    "no content": [raw("HTTP/1.1 204 No Content", body=b""), CLOSE],
    "no content, with some": [raw("HTTP/1.1 204 No Content", f"Content-Length: {SIZE}"), CLOSE],
    "not modified": [raw("HTTP/1.1 304 Not Modified", f"Content-Length: {SIZE}", body=b""), CLOSE],
    "reset content": [raw("HTTP/1.1 205 Reset Content", "Content-Length: 0", body=b""), CLOSE],
    "nothing but an end": [CLOSE],
    "an alert of TLS": [b"\x15\x03\x01\x00\x02\x02\x46", CLOSE],
    "half a status line": [b"HTTP/1.1 200", CLOSE],
    "half a head": [raw("HTTP/1.1 200 OK", "Content-")[:-4], CLOSE],
    "a line of 70 kB": status_line("HTTP/1.1 200 " + "a" * 70_000),
}
HEADERS: dict[str, list[Step]] = {
    name: framed(f"Content-Length: {SIZE}", *lines)
    for name, lines in {
        "a blank before the colon": ["X-One : 1"],
        "folded": ["X-One: 1", " 2"],
        "folded with a tab": ["X-One: 1", "\t2"],
        "no colon": ["nonsense"],
        "no name": [": 1"],
        "no value": ["X-One:"],
        "a name with a blank": ["X One: 1"],
        "a name with a bracket": ["X[One]: 1"],
        "a name in Latin 1": ["X-\xe9: 1"],
        "a value in Latin 1": ["X-One: \xe9"],
        "a NUL": ["X-One: a\0b"],
        "a control character": ["X-One: a\x01b"],
        "a DEL": ["X-One: a\x7fb"],
        "a CR within": ["X-One: a\rb"],
        "200 of them": [f"X-{number}: 1" for number in range(200)],
        "one of 60 kB": ["X-One: " + "a" * 60_000],
        "one of 70 kB": ["X-One: " + "a" * 70_000],
        "one of 200 kB": ["X-One: " + "a" * 200_000],
        "twenty of 20 kB": [f"X-{number}: " + "a" * 20_000 for number in range(20)],
        "a value that ends with blanks": ["X-One: 1  \t"],
        "a name twice": ["X-One: 1", "x-one: 2"],
    }.items()
}
HEADERS["the first is folded"] = [raw("HTTP/1.1 200 OK", " X-One: 1", f"Content-Length: {SIZE}"), CLOSE]
HEADERS["none"] = [raw("HTTP/1.1 200 OK"), CLOSE]
BODIES: dict[str, list[Step]] = {
    "nothing": reply(b""),
    "blanks": reply(b" \r\n "),
    "a byte order mark": reply(b"\xef\xbb\xbf" + RAW),
    "JSON in a list": reply([completion()]),
    "half of JSON": reply(RAW[:-9]),
    "HTML": reply(b"<html>", headers={"Content-Type": "text/html"}),
    "an error with 200": reply({"error": "boo"}),
    "no content type": [head("200 OK", {"Content-Length": str(SIZE)}) + RAW],
    "another status": reply(completion(), status="201 Created"),
    "a redirect": reply(b"", status="307 Temporary Redirect", headers={"Location": "http://elsewhere.example/"}),
    "a refusal without a body": reply(b"", status="500 Oops"),
    "a refusal in bytes": reply(b"\xff\xfe", status="500 Oops"),
    "a refusal of 5 MB": reply(b"x" * 5_000_000, status="400 Bad"),
    "a refusal without an end": [head("404 Not Found", {}), *[b"x" * 2**20] * 300],
}
_HALF: list[Step] = [head("200 OK", {"Transfer-Encoding": "chunked"}), 0.05, b"%x\r\n%b" % (SIZE, RAW)]
_LENGTH: list[Step] = [head("200 OK", {"Content-Length": str(SIZE)}), 0.05]
_OTHER = head("200 OK", {"Content-Length": "0"})
LATE: dict[str, list[Step]] = {
    "a chunk that goes on": [*_HALF, 0.05, b"XX", SILENCE],
    "an invalid chunk size": [*_HALF, b"\r\n", 0.05, b"zz", SILENCE],
    "another protocol": [b"SSH-2.0-OpenSSH", SILENCE],
    "not a header": [b"HTTP/1.1 200 OK\r\n", 0.05, b"\0", SILENCE],
    "a second reply in the same packet": [head("200 OK", {"Content-Length": str(SIZE)}) + RAW + _OTHER, SILENCE],
    "a second reply in the packet of the end": [*_LENGTH, RAW + _OTHER, SILENCE],
    "no reply in the packet of the end": [*_LENGTH, RAW + b"garbage\r\n\r\n", SILENCE],
    "a byte after the last chunk": [*_HALF, b"\r\n0\r\n\r\nH", SILENCE],
}
TABLES: dict[str, Mapping[str, list[Step]]] = {
    "coding": CODINGS,
    "length": LENGTHS,
    "chunks": CHUNKS,
    "status line": STATUS_LINES,
    "headers": HEADERS,
    "body": BODIES,
    "late": LATE,
}
ROWS = [pytest.param(steps, id=f"{table}: {name}") for table, rows in TABLES.items() for name, steps in rows.items()]


async def by_awaiting(server: Server) -> Any:
    async with server.client(timeout=60) as client:
        return await client.chat.completions.create(model="m", messages=HI)


async def by_blocking(server: Server) -> Any:
    def call() -> Any:
        with SyncVeniceClient(api_key=KEY, base_url=server.url, max_retries=0, timeout=60) as client:
            return client.chat.completions.create(model="m", messages=HI)

    return await asyncio.to_thread(call)


async def outcome(call: Any, server: Server) -> Any:
    """What comes of a call: the answer with its status, or the class of the error with the status in it."""
    try:
        answer = await call(server)
    except VeniceError as error:
        return type(error), getattr(error, "status_code", None), getattr(error, "body", None)
    return answer, answer.meta.status_code


@pytest.mark.parametrize("steps", ROWS)
async def test_both_transports_give_the_same_response_or_class_of_error(steps: list[Step]) -> None:
    async with serving(steps) as server:
        assert await outcome(by_blocking, server) == await outcome(by_awaiting, server)
