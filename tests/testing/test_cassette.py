"""The file of a recording: readable, editable, exact, and without secrets."""

from __future__ import annotations

import json
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import InvalidArgumentError
from venice_ai.testing import Cassette, Exchange, Piece, Recorder
from venice_ai.testing._cassette import path_of, redact

from ..fakes import KEY, ScriptedReply, ScriptedTransport
from .recording import exchange_of, request_to

JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
)
BODIES = st.binary() | st.text().map(str.encode) | JSON_LIKE.map(lambda value: json.dumps(value).encode("utf-8", "replace"))


@given(
    body=BODIES,
    chunks=st.lists(st.tuples(BODIES, st.floats(0, 1e6))),
    headers=st.dictionaries(st.text("abc-"), st.text()),
    broken=st.booleans(),
)
def test_any_recording_is_read_back_as_it_was_written(
    body: bytes, chunks: list[tuple[bytes, float]], headers: dict[str, str], broken: bool
) -> None:
    made = [Piece.of(data, gap_ms=gap) for data, gap in chunks]
    exchange = Exchange("POST /x", headers, Piece.of(body), 418, headers, 1.5, made, broken)
    with tempfile.TemporaryDirectory() as folder:
        Cassette(12.0, [exchange]).write(path := Path(folder) / "c.json")
        found = Cassette.read(path)

    assert found == Cassette(12.0, [exchange])
    assert found.exchanges[0].body.data == body
    assert [(chunk.data, chunk.gap_ms) for chunk in found.exchanges[0].chunks] == chunks


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        pytest.param("data: è\n\n".encode(), {"text": "data: è\n\n"}, id="text"),
        pytest.param(b"\xff", {"base64": "/w=="}, id="no UTF-8"),
        pytest.param(b'{"a":[1,"b"]}', {"json": {"a": [1, "b"]}}, id="JSON"),
        pytest.param(b'{"a": 1}', {"text": '{"a": 1}'}, id="JSON in another spelling"),
        pytest.param(b'{"a":1,"a":2}', {"text": '{"a":1,"a":2}'}, id="a member twice"),
        pytest.param(b"", {}, id="nothing"),
        pytest.param(b"null", {"text": "null"}, id="null"),
    ],
)
def test_bytes_are_shown_as_readable_as_they_are(data: bytes, shown: Any, tmp_path: Path) -> None:
    Cassette(0, [exchange_of(data, gap_ms=2.5)]).write(tmp_path / "c.json")

    (chunk,) = json.loads((tmp_path / "c.json").read_text("utf-8"))["exchanges"][0]["chunks"]
    assert chunk == {**shown, "gap_ms": 2.5}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("{", "truncated", id="no JSON"),
        pytest.param("[]", "Expected `object`", id="no cassette"),
        pytest.param('{"exchanges": [{"request": "GET /x", "gap": 1}]}', "gap", id="an unknown member"),
        pytest.param('{"exchanges": [{"request": "GET /x", "chunks": [{"gap_ms": "1"}]}]}', "chunks", id="a wrong type"),
        pytest.param('{"exchanges": [{"request": "GET /x", "body": {"base64": "!"}}]}', "base64", id="no base64"),
    ],
)
def test_a_file_that_was_edited_wrongly_says_where(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text(text, "utf-8")

    with pytest.raises(InvalidArgumentError, match="is not a cassette") as caught:
        Cassette.read(tmp_path / "c.json")

    assert words in str(caught.value)
    assert "c.json" in str(caught.value)


def test_a_chunk_is_cut_slowed_and_corrupted() -> None:
    exchange = exchange_of(b"one", b"two", b"three", gap_ms=1)

    exchange.slow(0, seconds=2)
    exchange.corrupt(0, at=1)
    exchange.corrupt(1, at=2, data=b"xyz")
    exchange.cut(1, at=4)

    assert [(chunk.data, chunk.gap_ms) for chunk in exchange.chunks] == [(b"o\xffe", 2001), (b"twxy", 1)]
    assert exchange.broken
    with pytest.raises(InvalidArgumentError, match="at=3 is not within a chunk of 3 bytes"):
        exchange.corrupt(0, at=3)


# -- redaction -----------------------------------------------------------------------------------------------------------

SECRETS = {
    "Authorization": f"Bearer {KEY}",
    "X-API-Key": "another-key-9876543210",
    "Cookie": "session=cookie-of-the-client; theme=darkest-mode",
    "X-Request-ID": "request-1f2e3d4c5b6a",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "OpenAI-Organization": "org-of-the-owner",
}
GIVEN = {
    "Set-Cookie": "__cf_bm=cookie-of-the-server; path=/; HttpOnly; SameSite=None",
    "CF-RAY": "8c1f2e3d4c5b6a7f-VCE",
    "x-venice-balance-usd": "12.3456789",
    "openai-project": "proj_of_the_owner",
    "x-forwarded-for": "203.0.113.195",
}
PLAIN = {
    "x-venice-model-id": "llama-3.3-70b",
    "x-ratelimit-remaining-tokens": "4711",
    "x-ratelimit-limit-project-tokens": "150000",
    "retry-after": "3",
    "content-type": "application/json",
}
WORDS = [
    *(KEY, "another-key-9876543210", "cookie-of-the-client", "request-1f2e3d4c5b6a", "0af7651916cd43dd8448eb211c80319c"),
    *("org-of-the-owner", "cookie-of-the-server", "8c1f2e3d4c5b6a7f-VCE", "proj_of_the_owner", "203.0.113.195", "12.3456789"),
    *("chatcmpl-5f4e3d2c1b", "call_a1b2c3d4e5", "req_9z8y7x6w5v", "query-key-123456"),
]


@pytest.mark.parametrize("size", [1, 7, 10_000])
async def test_no_secret_reaches_the_file(tmp_path: Path, size: int) -> None:
    said = (
        f'{{"id":"chatcmpl-5f4e3d2c1b","request_id": "req_9z8y7x6w5v","error":"{KEY} is wrong: request-1f2e3d4c5b6a",'
        '"message":{"content":"room 12345678 HttpOnly","tool_calls":[{"id":"call_a1b2c3d4e5","function":'
        '{"name":"call_99_people"}}]}}'
    ).encode()
    pieces = [said[start : start + size] for start in range(0, len(said), size)]
    transport = ScriptedTransport(ScriptedReply(*pieces, headers={**GIVEN, **PLAIN}))
    url = "https://api.venice.ai/api/v1/chat/completions?api-version=2&api_key=query-key-123456&key=query-key-123456"

    with Recorder(tmp_path / "c.json", inner=transport) as recorder:
        await (await recorder.transport().send(request_to(url, headers=SECRETS, body=f"I am {KEY}".encode()))).read()

    written = (tmp_path / "c.json").read_text("utf-8")
    exchange = Cassette.read(tmp_path / "c.json").exchanges[0]
    assert [word for word in WORDS if word in written or word.encode() in exchange.content] == []
    assert exchange.request == "POST /chat/completions?api-version=2&api_key=***&key=***"
    assert [len(chunk.data) for chunk in exchange.chunks] == [len(piece) for piece in pieces]
    assert b"room 12345678 HttpOnly" in exchange.content
    assert b"call_99_people" in exchange.content
    assert {name: exchange.headers[name] for name in PLAIN} == PLAIN


@given(words=st.lists(st.binary() | st.just(KEY.encode())), cuts=st.lists(st.integers(0, 200)))
def test_a_key_is_taken_out_however_it_is_cut(words: list[bytes], cuts: list[int]) -> None:
    whole = b"".join(words)
    ends = sorted({*(min(cut, len(whole)) for cut in cuts), len(whole)})
    pieces = [whole[begin:end] for begin, end in pairwise([0, *ends])]
    exchange = exchange_of(*pieces)
    exchange.sent_headers["authorization"] = f"Bearer {KEY}"
    cassette = Cassette(0, [exchange])

    redact(cassette)

    assert [len(chunk.data) for chunk in exchange.chunks] == [len(piece) for piece in pieces]
    assert exchange.content == whole.replace(KEY.encode(), b"*" * len(KEY))


async def test_ids_are_numbered_so_that_a_conversation_holds_together(tmp_path: Path) -> None:
    first = b'{"tool_calls":[{"id":"call_a1b2c3d4e5"},{"id":"call_f6g7h8i9j0"}]}'
    transport = ScriptedTransport(ScriptedReply(first), ScriptedReply(b"done"))
    url, answer = "https://api.venice.ai/api/v1/chat/completions", b'{"tool_call_id": "call_f6g7h8i9j0"}'

    with Recorder(tmp_path / "c.json", inner=transport) as recorder:
        for body in (b"{}", answer):
            await (await recorder.transport().send(request_to(url, body=body))).read()

    found = Cassette.read(tmp_path / "c.json").exchanges
    calls = [call["id"] for call in json.loads(found[0].content)["tool_calls"]]
    assert len({*calls}) == 2
    assert all(call.startswith("call_") and len(call) == len("call_a1b2c3d4e5") for call in calls)
    assert json.loads(found[1].body.data) == {"tool_call_id": calls[1]}


async def test_a_name_that_the_program_sent_first_is_not_replaced_as_an_id(tmp_path: Path) -> None:
    transport = ScriptedTransport(ScriptedReply(b'{"id":"venice-1","model_id":"llama-3.3-70b"}'))
    url, asked = "https://api.venice.ai/api/v1/chat/completions", b'{"model":"venice-1"}'

    with Recorder(tmp_path / "c.json", inner=transport) as recorder:
        await (await recorder.transport().send(request_to(url, body=asked))).read()

    (exchange,) = Cassette.read(tmp_path / "c.json").exchanges
    assert exchange.body.data == asked
    assert exchange.content == b'{"id":"venice-1","model_id":"llama-3.3-70b"}'


async def test_the_ids_of_models_stay(tmp_path: Path) -> None:
    transport = ScriptedTransport(ScriptedReply(b'{"data":[{"id":"llama-3.3-70b"}]}'))

    with Recorder(tmp_path / "c.json", inner=transport) as recorder:
        await (await recorder.transport().send(request_to("https://api.venice.ai/api/v1/models", method="GET"))).read()

    assert Cassette.read(tmp_path / "c.json").exchanges[0].content == b'{"data":[{"id":"llama-3.3-70b"}]}'


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("/api/v1/models", "/models", id="Venice"),
        pytest.param("/v1/chat/completions", "/chat/completions", id="OpenAI"),
        pytest.param("/api/v1/models?type=text&b=1", "/models?type=text&b=1", id="a query"),
        pytest.param("/v1beta/openai/models?key=abc&a=b=c", "/openai/models?key=***&a=b=c", id="another version"),
        pytest.param("/models?", "/models", id="no version"),
    ],
)
def test_an_address_is_the_same_below_every_base_url(url: str, path: str) -> None:
    assert path_of(url) == path
