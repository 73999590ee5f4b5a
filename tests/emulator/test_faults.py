"""Every fault that an answer can have on its way, in process and on a socket."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai.emulator import (
    Emulator,
    Step,
    busy,
    completion,
    echo,
    error,
    events,
    overloaded,
    pieces,
    rate_limited,
    raw,
    refused,
    text,
    tool_call,
    tool_calls,
    usual,
)
from venice_ai.exceptions import APIConnectionError

from .asking import HELLO, Asker, Got, hello

STREAM = hello(stream=True, stream_options={"include_usage": True})
DONE = b"data: [DONE]\n\n"


async def clean(ask: Asker, emulator: Emulator, step: Step) -> Got:
    """The stream of a step that has no fault."""
    emulator.script(step)
    return await ask(STREAM)


def call_fragments(got: Got) -> list[dict[str, Any]]:
    """The pieces of tool calls in a stream."""
    found: list[dict[str, Any]] = []
    for chunk in got.chunks:
        for choice in chunk["choices"]:
            calls: list[dict[str, Any]] | None = choice["delta"].get("tool_calls")
            found += calls or []
    return found


async def test_a_scripted_text_is_streamed_in_the_given_deltas(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(text("naïve 🙂", deltas=["na", "ïve", " 🙂"]))
    got = await ask_both(STREAM)
    deltas = [chunk["choices"][0]["delta"] for chunk in got.chunks if chunk["choices"]]
    assert [delta["content"] for delta in deltas] == ["", "na", "ïve", " 🙂", ""]
    assert got.chunks[-1]["usage"]
    assert got.content.endswith(DONE)


async def test_echo_answers_with_the_prompt(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(echo(), echo())
    assert (await ask_both(HELLO)).text == "Good morning, Venice"
    assert (await ask_both(STREAM)).text == "Good morning, Venice"


async def test_the_script_is_followed_in_order_and_then_the_model_speaks(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("one"), text("two"))
    assert [(await ask(HELLO)).text for _ in range(2)] == ["one", "two"]
    assert "Llama" in (await ask(HELLO)).text


async def test_always_answers_after_the_script_until_it_is_unset(emulator: Emulator, ask: Asker) -> None:
    emulator.always(text("always"))
    emulator.script(text("once"))
    assert [(await ask(HELLO)).text for _ in range(3)] == ["once", "always", "always"]
    emulator.always(None)
    assert "Llama" in (await ask(HELLO)).text


async def test_a_scripted_answer_has_its_reasoning_and_finish_reason(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("", reasoning="hm", finish_reason="content_filter"))
    choice = (await ask(HELLO)).json["choices"][0]
    assert choice["message"]["reasoning_content"] == "hm"
    assert choice["finish_reason"] == "content_filter"


@pytest.mark.parametrize(
    ("step", "status", "body", "headers"),
    [
        pytest.param(error(401), 401, {"error": "Authentication failed"}, {}, id="Venice's own words"),
        pytest.param(error(400, "no"), 400, {"error": "no"}, {}, id="a text"),
        pytest.param(error(500, {"oops": 1}, headers={"x-a": "b"}), 500, {"oops": 1}, {"x-a": "b"}, id="a body and a header"),
        pytest.param(error(415), 415, {"error": "Invalid request content-type"}, {}, id="words for another status"),
        pytest.param(busy(retry_after=2), 429, None, {"retry-after": "2"}, id="busy"),
        pytest.param(busy(retry_after="soon"), 429, None, {"retry-after": "soon"}, id="busy until a text"),
        pytest.param(overloaded(), 503, None, {}, id="overloaded"),
        pytest.param(
            rate_limited(1780000060000),
            429,
            {"error": "Rate limit exceeded"},
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1780000060000"},
            id="requests used up",
        ),
        pytest.param(
            rate_limited(1.5, of="tokens"),
            429,
            {"error": "Rate limit exceeded"},
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "1.5"},
            id="tokens used up",
        ),
        pytest.param(completion({"id": "x"}), 200, {"id": "x"}, {}, id="a body of one's own"),
    ],
)
@pytest.mark.parametrize("request_body", [pytest.param(HELLO, id="plain"), pytest.param(STREAM, id="stream")])
async def test_each_scripted_status_and_body_is_sent(
    emulator: Emulator,
    ask_both: Asker,
    step: Step,
    status: int,
    body: Any,
    headers: dict[str, str],
    request_body: dict[str, Any],
) -> None:
    emulator.script(step)
    got = await ask_both(request_body)
    assert got.status == status
    assert got.json == body or (body is None and got.json["error"])
    assert headers.items() <= dict(got.headers).items()
    assert got.headers["cf-ray"]


async def test_a_busy_answer_may_omit_retry_after(emulator: Emulator, ask: Asker) -> None:
    emulator.script(busy())
    assert "retry-after" not in (await ask(HELLO)).headers


async def test_raw_bytes_and_headers_are_sent_unchanged(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(raw(418, b"\xff\x00", headers={"content-type": "image/x", "x-a": "b"}))
    got = await ask_both(HELLO)
    assert (got.status, got.content, got.headers["content-type"], got.headers["x-a"]) == (418, b"\xff\x00", "image/x", "b")
    assert "cf-ray" not in got.headers


async def test_scripted_events_are_sent_as_a_stream(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(events({"a": 1}, [2], "three"))
    assert (await ask_both(STREAM)).events == [b'{"a":1}', b"[2]", b'"three"', b"[DONE]"]


async def test_scripted_pieces_are_sent_as_they_are(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(pieces(b"data: {", b"}\r\n\r\n", b": end"))
    got = await ask_both(STREAM)
    assert got.content == b"data: {}\r\n\r\n: end"
    assert got.headers["content-type"].startswith("text/event-stream")


async def test_huge_event_sends_an_event_of_that_size(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(text("end", huge_event=3_000_000))
    got = await ask_both(STREAM)
    assert max(map(len, got.events)) > 3_000_000
    assert got.text == "x" * 3_000_000 + "end"


async def test_piece_bytes_cuts_the_stream_into_pieces_of_that_size(emulator: Emulator, ask_both: Asker) -> None:
    whole = (await clean(ask_both, emulator, text("🙂"))).events
    emulator.script(text("🙂", piece_bytes=1))
    got = await ask_both(STREAM)
    assert [len(event) for event in got.events] == [len(event) for event in whole]
    assert got.text == "🙂"


async def test_every_byte_is_a_packet(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("abc", piece_bytes=1))
    assert {len(packet) for packet in (await ask(STREAM)).packets} == {1}


@pytest.mark.parametrize("body", [pytest.param(HELLO, id="plain"), pytest.param(STREAM, id="stream")])
@pytest.mark.parametrize("at", [0, 1, 100])
async def test_cut_at_ends_the_body_at_that_byte(emulator: Emulator, ask_both: Asker, body: dict[str, Any], at: int) -> None:
    emulator.script(text("abc", cut_at=at))
    got = await ask_both(body)
    assert len(got.content) == at
    assert not got.broken


@pytest.mark.parametrize("body", [pytest.param(HELLO, id="plain"), pytest.param(STREAM, id="stream")])
@pytest.mark.parametrize("at", [0, 1, 100])
async def test_reset_at_resets_the_connection_at_that_byte(
    emulator: Emulator, ask_both: Asker, body: dict[str, Any], at: int
) -> None:
    emulator.script(text("abc", reset_at=at))
    got = await ask_both(body)
    assert len(got.content) == at
    assert got.broken


async def test_a_scripted_refusal_refuses_one_connection(emulator: Emulator, ask: Asker) -> None:
    emulator.script(refused())
    with pytest.raises(APIConnectionError, match="refused"):
        await ask(HELLO)
    assert (await ask(HELLO)).status == 200


async def test_no_done_leaves_out_the_done_event(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(text("abc", no_done=True))
    got = await ask_both(STREAM)
    assert got.text == "abc"
    assert b"[DONE]" not in got.content


async def test_comments_only_sends_nothing_but_comments(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(text("abc", comments_only=3, chunk_delay=0.01))
    got = await ask_both(STREAM)
    assert got.content == b": keep-alive\n\n" * 3


async def test_malformed_after_sends_an_event_that_is_not_json(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(text("abc", malformed_after=1))
    got = await ask_both(STREAM)
    json.loads(got.events[0])
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(got.events[1])
    assert got.events[-1] == b"[DONE]"


@pytest.mark.parametrize(
    "reason", [pytest.param("broken", id="a text"), pytest.param({"message": "m", "code": "model_overloaded"}, id="an object")]
)
@pytest.mark.parametrize("after", [0, 2, 99])
async def test_in_band_error_sends_an_error_event_after_so_many_chunks(
    emulator: Emulator, ask_both: Asker, reason: Any, after: int
) -> None:
    whole = await clean(ask_both, emulator, text("abc"))
    emulator.script(text("abc", in_band_error=reason, error_after=after))
    got = await ask_both(STREAM)
    assert len(got.chunks) == min(after, len(whole.chunks)) + 1
    assert got.chunks[-1] == {"error": reason}
    assert got.events[-1] == b"[DONE]"


async def test_json_instead_sends_the_whole_answer_as_json(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(text("abc", json_instead=True))
    got = await ask_both(STREAM)
    assert got.json["object"] == "chat.completion"


@pytest.mark.parametrize("body", [pytest.param(HELLO, id="plain"), pytest.param(STREAM, id="stream")])
async def test_html_instead_sends_a_page_with_status_200(emulator: Emulator, ask_both: Asker, body: dict[str, Any]) -> None:
    emulator.script(text("abc", html_instead=True))
    got = await ask_both(body)
    assert got.status == 200
    assert got.headers["content-type"].startswith("text/html")
    assert got.content.startswith(b"<!DOCTYPE html>")


async def test_a_scripted_tool_call_is_sent_with_its_id(emulator: Emulator, ask_both: Asker) -> None:
    emulator.script(tool_call("add", {"a": 1}, id="call_7"))
    choice = (await ask_both(HELLO)).json["choices"][0]
    assert choice["message"]["tool_calls"] == [
        {"id": "call_7", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    ]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize(
    ("index", "indexes"),
    [
        pytest.param("normal", {0, 1}, id="normal"),
        pytest.param("equal", {0}, id="equal"),
        pytest.param("none", {None}, id="none"),
    ],
)
async def test_call_index_sets_the_index_of_tool_calls(
    emulator: Emulator, ask_both: Asker, index: Any, indexes: set[Any]
) -> None:
    emulator.script(tool_calls(("add", {"a": 1}), ("sub", "not JSON"), call_index=index))
    got = await ask_both(STREAM)
    fragments = call_fragments(got)
    assert {fragment.get("index") for fragment in fragments} == indexes
    assert [fragment["id"] is not None for fragment in fragments].count(True) == 2
    assert "".join(fragment["function"]["arguments"] for fragment in fragments) == '{"a": 1}not JSON'


@pytest.mark.parametrize(("how", "nulls"), [({}, 4), ({"bare_fragments": True}, 0)], ids=["usual", "bare"])
async def test_fragments_of_calls_may_leave_out_what_they_do_not_say(
    emulator: Emulator, ask_both: Asker, how: dict[str, Any], nulls: int
) -> None:
    emulator.script(tool_calls(("add", {"a": 1}), **how))
    fragments = call_fragments(await ask_both(STREAM))
    assert [fragment["index"] for fragment in fragments] == [0, 0, 0]
    assert sum(json.dumps(fragment).count("null") for fragment in fragments) == nulls
    assert "".join(fragment["function"]["arguments"] for fragment in fragments) == '{"a": 1}'


async def test_fenced_wraps_the_json_in_a_code_fence(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text('{"a": 1}', fenced=True))
    assert (await ask(HELLO)).text == '```json\n{"a": 1}\n```'


async def test_roles_sends_the_role_in_that_many_deltas(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("abc", roles=2))
    got = await ask(STREAM)
    assert [chunk["choices"][0]["delta"].get("role") for chunk in got.chunks[:3]] == ["assistant", "assistant", None]


@pytest.mark.parametrize("choices", [1, 2])
async def test_usage_may_come_with_the_finish_reason(emulator: Emulator, ask: Asker, choices: int) -> None:
    emulator.script(text("abc", usage="finish"))
    got = await ask({**STREAM, "n": choices})
    assert [bool(chunk.get("usage")) for chunk in got.chunks].count(True) == 1
    assert got.chunks[-1]["usage"]
    assert got.chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_usage_never_leaves_out_the_usage(emulator: Emulator, ask: Asker) -> None:
    emulator.script(text("abc", usage="never"))
    assert not any("usage" in chunk for chunk in (await ask(STREAM)).chunks)


@pytest.mark.parametrize(("where", "place"), [("first", 0), ("last", -1), ("never", None)])
async def test_citations_are_sent_in_the_chosen_chunk(emulator: Emulator, ask: Asker, where: Any, place: int | None) -> None:
    emulator.script(usual(citations=where))
    got = await ask({**STREAM, "venice_parameters": {"enable_web_search": "on"}})
    found = [number for number, chunk in enumerate(got.chunks) if "venice_parameters" in chunk]
    assert found == ([] if place is None else [range(len(got.chunks))[place]])


async def test_a_cut_and_headers_apply_to_the_models_own_answer(emulator: Emulator, ask_both: Asker) -> None:
    whole = await ask_both(HELLO)
    emulator.script(usual(cut_at=50, headers={"x-venice-version": "another"}))
    got = await ask_both(HELLO)
    assert len(got.content) == 50 < len(whole.content)
    assert got.headers["x-venice-version"] == "another"


async def test_faults_of_the_text_apply_to_the_models_own_answer(emulator: Emulator, ask: Asker) -> None:
    emulator.script(usual(fenced=True, huge_event=10))
    answer = (await ask(HELLO)).text
    assert answer.startswith("x" * 10 + "```json\n")


async def test_an_error_may_be_an_html_page(emulator: Emulator, ask: Asker) -> None:
    emulator.script(error(502, html_instead=True))
    got = await ask(HELLO)
    assert (got.status, got.content[:15]) == (502, b"<!DOCTYPE html>")


async def test_header_names_of_a_step_are_case_insensitive(emulator: Emulator, ask: Asker) -> None:
    emulator.script(echo(headers={"cf-Ray": "own", "Content-Type": "x/y"}))
    headers = (await ask(HELLO)).headers
    assert (headers["cf-ray"], headers["content-type"]) == ("own", "x/y")


async def test_other_addresses_are_scripted_too(emulator: Emulator, ask: Asker) -> None:
    emulator.script(busy(retry_after=1), text("ignored"), usual(cut_at=5), path="/models")
    got = [await ask(method="GET", path="/api/v1/models") for _ in range(3)]
    assert [reply.status for reply in got] == [429, 200, 200]
    assert len(got[2].content) == 5
    assert (await ask(HELLO)).status == 200


async def test_an_unknown_fault_is_refused_with_the_nearest() -> None:
    with pytest.raises(TypeError, match="cut_off is not part of a delivery; known are headers, delay"):
        text("abc", cut_off=5)  # type: ignore[call-arg]  # that is the mistake  # pyright: ignore[reportCallIssue]
