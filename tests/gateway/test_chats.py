"""Chats through a gateway: what a program asks reaches Venice, and what Venice says reaches the program."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from venice_ai import Budget
from venice_ai.emulator import Emulator, busy, completion, error, events, pieces, text, usual

from ..fakes import KEY
from .asking import HI, MODEL, Program, asking, client_of

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def chunk(**fields: Any) -> dict[str, Any]:
    delta = {"index": 0, "delta": {"content": "x"}, "finish_reason": None}
    return {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": MODEL, "choices": [delta], **fields}


def end(**fields: Any) -> dict[str, Any]:
    return chunk(choices=[{"index": 0, "delta": {}, "finish_reason": "stop"}], **fields)


# -- what is asked -------------------------------------------------------------------------------------------------------


async def test_a_chat_is_answered_with_the_json_of_venice(program: Program, emulator: Emulator) -> None:
    reply = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "\U0001f980 é", "odd": [1.5e-7, None]}}],
        "usage": USAGE,
        "something_new": {"at": 12345678901234567890},
    }
    emulator.script(completion(reply))

    got = await program.ask()

    assert (got.status, got.json) == (200, reply)
    assert list(got.json) == list(reply)
    assert got.headers["x-request-id"]
    assert got.headers["x-ratelimit-limit-requests"] == "500"
    assert "x-venice-attestation-level" not in got.headers


async def test_unknown_fields_go_through_and_the_programs_headers_do_not(program: Program, emulator: Emulator) -> None:
    asked = {"model": MODEL, "messages": HI, "temperature": 1, "min_p": 0.1, "brand_new": {"a": [None]}, "timeout": 3}

    await program.send("POST", "/v1/chat/completions", json=asked, headers={"x-mine": "1", "cookie": "a=b"})

    (request,) = emulator.requests
    assert request.body == asked
    assert "x-mine" not in request.headers
    assert "cookie" not in request.headers
    assert str(program.running.token) not in str(dict(request.headers))


@pytest.mark.parametrize(
    ("given", "sent"),
    [
        pytest.param({"max_tokens": 5}, 5, id="the old name"),
        pytest.param({"max_tokens": 5, "max_completion_tokens": 6}, 6, id="both"),
        pytest.param({"max_tokens": 5, "max_completion_tokens": None}, 5, id="the new one as null"),
        pytest.param({"max_tokens": None}, None, id="null"),
    ],
)
async def test_max_tokens_becomes_max_completion_tokens(
    program: Program, emulator: Emulator, given: dict[str, Any], sent: int | None
) -> None:
    assert (await program.ask(**given)).status == 200

    assert emulator.requests[0].body.get("max_completion_tokens") == sent
    assert "max_tokens" not in emulator.requests[0].body


# -- streams -------------------------------------------------------------------------------------------------------------


async def test_chunks_in_clear_are_the_bytes_that_came(program: Program, emulator: Emulator) -> None:
    odd = (
        b'data: {"choices": [{"index":0,"delta":{"content":"\\u00e9"}}],  "n": 1.0e-7, "n": 2}\n\n',
        b'data: {"choices": [{"index":0,"delta":{"content":"a"}}],  "n": 1.0e-7, "n": 2}\n\n',
        b'data: {"choices": [{"index":0,"delta":{"content":"b"}}],  "n": 1.0e-7, "n": 2}\n\n',
        b'data: {"choices": [{"index":0,"delta":{"content":"c"}}],  "n": 1.0e-7, "n": 2}\n\n',
        b'data: {"choices": [{"index":0,"delta":{"content":"\\ud83e"}}]}\n\n',
        b'data: {"choices": [{"index":0,\ndata: "delta":{"content":"\\udd80"},"finish_reason":"stop"}]}\n\n',
    )
    emulator.script(pieces(*odd, b"data: [DONE]\n\n"))

    got = await program.ask(stream=True)

    assert got.body == b"".join(odd) + b"data: [DONE]\n\n"
    assert got.headers["content-type"].startswith("text/event-stream")


async def test_a_stream_without_done_is_passed_on_without_done(program: Program, emulator: Emulator) -> None:
    sent = b'data: {"choices": [{"index":0,"delta":{"content":"a"},"finish_reason":"stop"}]}\n\n'
    emulator.script(pieces(sent))

    got = await program.ask(stream=True)

    assert (got.body, got.broken) == (sent, False)


@pytest.mark.parametrize("name", [b"xata", b"Data", b"\xffdata", b" data"])
async def test_a_chunk_whose_fields_name_is_damaged_breaks_the_stream_off(
    program: Program, emulator: Emulator, name: bytes
) -> None:
    first, lost = (b': {"choices": [{"index":0,"delta":{"content":"%b"}}]}\n\n' % said for said in (b"please ", b"do not "))
    last = b': {"choices": [{"index":0,"delta":{"content":"pay"},"finish_reason":"stop"}]}\n\n'
    emulator.script(pieces(b"data" + first, name + lost, b"data" + last, b"data: [DONE]\n\n"))

    got = await program.ask(stream=True)

    assert got.broken
    assert "is not JSON" in got.chunks[-1]["error"]["message"]
    assert b"pay" not in got.body


@pytest.mark.parametrize(
    ("options", "passed_on"),
    [
        pytest.param(None, False, id="not asked for"),
        pytest.param({"include_usage": False}, False, id="asked not to"),
        pytest.param({"include_usage": True}, True, id="asked for"),
    ],
)
@pytest.mark.parametrize("apart", [True, False], ids=["in a chunk of its own", "in the last chunk"])
async def test_usage_is_passed_on_only_with_include_usage(
    program: Program, emulator: Emulator, options: Any, passed_on: bool, apart: bool
) -> None:
    last = [end(), chunk(choices=[], usage=USAGE)] if apart else [end(usage=USAGE)]
    emulator.script(events(chunk(usage=None), *last))

    got = await program.ask(stream=True, stream_options=options)

    assert [each["usage"] for each in got.chunks if each.get("usage")] == ([USAGE] if passed_on else [])
    assert len(got.chunks) == (3 if passed_on and apart else 2)
    assert got.chunks[0] == chunk(usage=None)
    assert got.chunks[1]["choices"][0]["finish_reason"] == "stop"
    assert emulator.requests[0].body["stream_options"] == {"include_usage": True}
    assert got.events[-1] == b"[DONE]"


async def test_an_error_before_the_first_chunk_has_its_status(program: Program, emulator: Emulator) -> None:
    emulator.script(events({"error": {"message": "no room", "code": "model_overloaded"}}))

    got = await program.ask(stream=True)

    assert got.status == 503
    assert (got.error["message"], got.error["code"]) == ("no room", "model_overloaded")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        pytest.param({"in_band_error": {"message": "it went away", "code": "upstream_error"}}, "it went away", id="error"),
        pytest.param({"cut_at": 1_500}, "broke off", id="cut"),
    ],
)
async def test_a_stream_that_breaks_ends_as_a_broken_one(
    program: Program, emulator: Emulator, how: dict[str, Any], said: str
) -> None:
    emulator.script(usual(**how))

    got = await program.ask(stream=True)

    assert (got.status, got.broken) == (200, True)
    *before, last = got.chunks
    assert said in last["error"]["message"]
    assert before
    assert not any(each["choices"][0]["finish_reason"] for each in before if each["choices"])
    assert b"[DONE]" not in got.body


# -- refusals ------------------------------------------------------------------------------------------------------------


async def test_a_refusal_has_the_shapes_of_openai_and_of_venice(program: Program, emulator: Emulator) -> None:
    body: dict[str, Any] = {
        "error": "Invalid request",
        "issues": [{"path": ["seed"], "message": "odd"}],
        "details": {"_errors": []},
    }
    emulator.script(error(400, body))

    got = await program.ask()

    assert got.status == 400
    assert got.json == {
        "error": {"message": "Invalid request", "type": "invalid_request_error", "param": None, "code": None},
        "issues": body["issues"],
        "details": body["details"],
    }


async def test_openais_own_shape_stays_as_it_is(program: Program, emulator: Emulator) -> None:
    openai_error = {
        "message": "too long",
        "type": "odd_type",
        "param": "messages",
        "code": "context_length_exceeded",
        "more": 1,
    }
    emulator.script(error(400, {"error": openai_error}))

    assert (await program.ask()).json == {"error": openai_error}


async def test_a_429_is_passed_on_with_retry_after(program: Program, emulator: Emulator) -> None:
    emulator.script(busy(retry_after=6.2))

    got = await program.ask()

    assert (got.status, got.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(
    ("body", "says"),
    [
        pytest.param(b"{", "not JSON", id="no JSON"),
        pytest.param(b"[]", "not a JSON object", id="no object"),
        pytest.param(b"{}", "not a model id", id="nothing"),
        pytest.param(b'{"model":"m","messages":[],"stream":"yes"}', "stream='yes'", id="no boolean"),
        pytest.param(b'{"model":"m","messages":"hi"}', "messages must be a list", id="no list"),
        pytest.param(b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":3}', "temperature", id="range"),
        pytest.param(b'{"a":' * 5000 + b"1" + b"}" * 5000, "not JSON", id="nested deeply"),
        pytest.param(b'{"model":"m\\r\\nX: y","messages":[{"role":"user","content":"x"}]}', "not a model id", id="line breaks"),
    ],
)
async def test_a_wrong_request_is_refused_before_the_network(
    program: Program, emulator: Emulator, body: bytes, says: str
) -> None:
    got = await program.send("POST", "/v1/chat/completions", data=body, headers={"Content-Type": "application/json"})

    assert got.status == 400
    assert says in got.error["message"]
    assert got.error["type"] == "invalid_request_error"
    assert emulator.requests == []


async def test_the_venice_key_is_in_no_answer(program: Program, emulator: Emulator) -> None:
    emulator.script(error(401, {"error": f"no such key: {KEY}", "details": {"key": KEY}}))

    got = await program.ask()

    assert got.status == 401
    assert KEY.encode() not in got.body


async def test_a_budget_that_is_used_up_is_payment_required(emulator: Emulator) -> None:
    async with asking(client_of(emulator, budget=Budget(usd=0.0000001))) as program:
        got = await program.ask(max_tokens=5)

    assert (got.status, got.error["type"]) == (402, "insufficient_quota")
    assert [request for request in emulator.requests if request.body] == []


async def test_a_fallback_model_answers_in_place_of_a_missing_one(emulator: Emulator) -> None:
    emulator.script(error(410), text("from another"))
    async with asking(client_of(emulator, fallback_models=["llama-3.3-70b"], max_retries=0)) as program:
        got = await program.ask()

    assert got.json["choices"][0]["message"]["content"] == "from another"


async def test_chats_begin_at_the_rate_that_is_allowed(emulator: Emulator) -> None:
    async with asking(client_of(emulator), rpm=2) as program:
        for _ in range(5):
            assert (await program.ask()).status == 200

    assert [seconds for seconds in emulator.slept if seconds > 1] == pytest.approx([60.0, 60.0], abs=1.0)


# -- all else ------------------------------------------------------------------------------------------------------------


async def test_models_are_listed_and_found(program: Program) -> None:
    listed = await program.send("GET", "/v1/models")
    found = await program.send("GET", f"/v1/models/{MODEL}")
    missing = await program.send("GET", "/v1/models/no/such")

    assert listed.json["object"] == "list"
    assert found.json in listed.json["data"]
    assert (missing.status, missing.error["type"]) == (404, "not_found_error")


async def test_unknown_addresses_and_methods_are_refused_with_the_right_one(program: Program) -> None:
    responses = await program.send("POST", "/v1/responses", json={"input": "hi"})
    elsewhere = await program.send("POST", "/chat/completions", json={})
    wrong = await program.send("GET", "/v1/chat/completions")

    assert (responses.status, responses.error["code"]) == (501, "not_supported")
    assert (elsewhere.status, wrong.status, wrong.headers["Allow"]) == (404, 405, "POST")
    assert "/v1/chat/completions" in elsewhere.error["message"]


async def test_each_request_is_one_line_without_content(
    program: Program, emulator: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    secret = "canary-5be1"
    emulator.script(text(secret), text(secret), error(400, {"error": secret}))

    await program.ask(messages=[{"role": "user", "content": secret}])
    await program.ask(messages=[{"role": "user", "content": secret}], stream=True)
    await program.ask(messages=[{"role": "user", "content": secret}], unknown=secret)
    await program.send("GET", f"/v1/models/{secret}")
    await program.send("GET", f"/{secret}?q={secret}")
    await program.ask(model="evil\r\nPOST /v1/chat/completions 200", messages=HI)
    await program.ask(model={"prompt": secret}, messages=HI)

    lines = [record.getMessage() for record in caplog.records if record.name == "venice_ai.gateway"]
    assert len(lines) == 7
    assert lines[0].startswith(f"POST /v1/chat/completions 200 {MODEL}, ")
    assert lines[1].startswith(f"POST /v1/chat/completions 200 {MODEL} stream, ")
    assert all(line.startswith("POST /v1/chat/completions 400 (no name), InvalidRequestError in ") for line in lines[5:])
    assert not any("\n" in line for line in lines)
    assert secret not in caplog.text
    assert str(program.running.token) not in caplog.text
