"""Replies that are not what their label, or the request, says: their first bytes decide, and nothing paid for is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai import APIError, APIResponseProcessingError, ModelOverloadedError, StreamInterruptedError
from venice_ai._wire.content_coding import EVENT_BYTES

from ..fakes import (
    DONE,
    FINISH,
    HANG,
    HI,
    USAGE,
    Piece,
    ScriptedReply,
    answer,
    chunk,
    client_of,
    completion,
    envelope,
    event,
    hello,
    single,
    stream,
)

BUSY = {"error": {"message": "busy", "code": "model_overloaded", "retry_after": 1}}
OTHER_LABELS = [
    "application/json",
    "Application/JSON; charset=utf-8",
    "application/x-ndjson",
    "application/jsonl",
    "text/html",
    "text/plain",
    "application/octet-stream",
]
WHOLE = json.dumps(completion("hello")).encode()


def labelled(label: str, *pieces: Piece) -> ScriptedReply:
    return ScriptedReply(*pieces, headers={"content-type": label})


@pytest.mark.parametrize("label", OTHER_LABELS)
@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(hello(), id="events"),
        pytest.param([b": ping\n\n", *hello()], id="a comment first"),
        pytest.param([b"\r\n\n  \n", *hello()], id="blanks first"),
        pytest.param([b"\xef\xbb\xbf" + hello()[0], *hello()[1:]], id="a byte order mark first"),
        pytest.param([b"event: message\n" + hello()[0], *hello()[1:]], id="a type first"),
        pytest.param([b"id: 7\n" + hello()[0], *hello()[1:]], id="an id first"),
        pytest.param(single(b"\xef\xbb\xbf\n" + b"".join(hello())), id="byte by byte"),
    ],
)
async def test_a_stream_is_read_by_its_first_bytes(label: str, pieces: list[Piece]) -> None:
    client, _ = client_of(labelled(label, *pieces))

    read = await client.chat.completions.stream(model="m", messages=HI)
    assert "".join([text async for text in read.text_deltas()]) == "hello"


async def test_a_stream_with_another_label_is_opened_by_its_first_bytes_alone() -> None:
    client, _ = client_of(labelled("application/json", event(chunk(role="assistant")), HANG))

    async with await client.chat.completions.stream(model="m", messages=HI) as read:
        assert (await anext(read)).choices[0].delta.role == "assistant"


@pytest.mark.parametrize("label", ["application/json", "text/event-stream"])
async def test_json_in_place_of_a_stream_is_tried_again_where_it_is_a_passing_error(label: str) -> None:
    client, transport = client_of(labelled(label, json.dumps(BUSY).encode()), stream(*hello()))

    read = await client.chat.completions.stream(model="m", messages=HI)
    assert (await read.collect()).text == "hello"
    assert len(transport.requests) == 2


@pytest.mark.parametrize("label", ["application/json", "text/event-stream", "text/plain"])
@pytest.mark.parametrize("end", [b"", b"\n\n" + DONE], ids=["alone", "then DONE"])
@pytest.mark.parametrize("text", ["hello", "hello" * 400_000], ids=["short", "of 2 MB"])
async def test_a_whole_answer_in_place_of_a_stream_is_in_the_error(label: str, end: bytes, text: str) -> None:
    body = json.dumps(completion(text)).encode() + end
    client, _ = client_of(labelled(label, body[:30], body[30:]))

    with pytest.raises(APIResponseProcessingError) as caught:
        await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert caught.value.partial is not None
    assert caught.value.partial.text == text


@pytest.mark.parametrize("label", ["application/json", "text/event-stream", "text/html"])
@pytest.mark.parametrize("body", ["<html>an answer?</html>", '{"id": "chatcmpl-1", "choi', "an answer?"])
async def test_a_body_that_cannot_be_read_is_in_the_error(label: str, body: str) -> None:
    client, _ = client_of(labelled(label, body.encode()), labelled(label, body.encode()))

    for how in ("stream", "create"):
        with pytest.raises(APIError) as caught:
            answer_: Any = await getattr(client.chat.completions, how)(model="m", messages=HI)
            await answer_.collect()
        assert caught.value.body == body


async def test_an_event_that_cannot_be_read_is_in_the_error() -> None:
    client, _ = client_of(stream(event(chunk("hel")), event('{"choices": [{"delta": {"content": "lo'), DONE))

    with pytest.raises(StreamInterruptedError) as caught:
        await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert caught.value.body == '{"choices": [{"delta": {"content": "lo'


# -- plain calls ---------------------------------------------------------------------------------------------------------

FRAMED = [
    pytest.param(b"".join(hello(usage=True)), id="chunks"),
    pytest.param(b"".join(hello(usage=True)[:-1]), id="chunks without DONE"),
    pytest.param(b": ping\r\n\r\n" + b"".join(hello(usage=True)).replace(b"\n", b"\r\n"), id="a comment, and CRLF"),
    pytest.param(b"\xef\xbb\xbf\n" + b"".join(hello(usage=True)), id="a byte order mark"),
    pytest.param(event(completion("hello")) + DONE, id="the whole in one event"),
    pytest.param(event(completion("hello")), id="the whole in one event without DONE"),
    pytest.param(WHOLE + b"\n\n" + DONE, id="JSON, then DONE"),
    pytest.param(WHOLE + b"data:[DONE]", id="JSON, then DONE at once"),
]


@pytest.mark.parametrize("body", FRAMED)
@pytest.mark.parametrize("label", ["application/json", "text/event-stream"])
async def test_a_plain_answer_is_read_in_the_framing_of_a_stream(label: str, body: bytes) -> None:
    client, _ = client_of(labelled(label, body))

    response = await client.chat.completions.create(model="m", messages=HI)

    assert response.text == "hello"
    assert response.finish_reason == "stop"
    assert response.usage == USAGE
    assert response.meta.status_code == 200


async def test_an_error_in_a_plain_answer_of_events_is_tried_again() -> None:
    client, transport = client_of(ScriptedReply(event(BUSY), DONE), answer(completion("hello")))

    assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"
    assert len(transport.requests) == 2


async def test_an_error_after_content_in_a_plain_answer_of_events_keeps_it() -> None:
    client, transport = client_of(ScriptedReply(event(chunk("hel")), event(BUSY), DONE))

    with pytest.raises(ModelOverloadedError) as caught:
        await client.chat.completions.create(model="m", messages=HI)

    assert len(transport.requests) == 1
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


async def test_a_plain_answer_of_events_that_breaks_off_keeps_what_came() -> None:
    body = b"".join([event(chunk("hel")), event(chunk("lo"))])
    client, _ = client_of(ScriptedReply(body))

    with pytest.raises(StreamInterruptedError) as caught:
        await client.chat.completions.create(model="m", messages=HI)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hello"
    assert caught.value.body == body.decode()


async def test_several_choices_in_the_framing_of_a_stream_are_all_there() -> None:
    both = [event(chunk(text, index=index, finish="stop")) for index, text in enumerate("ab")]
    client, _ = client_of(ScriptedReply(*both, DONE))

    response = await client.chat.completions.create(model="m", messages=HI, n=2)

    assert [choice.message.content for choice in response.choices] == ["a", "b"]


async def test_a_usage_chunk_at_the_end_of_such_an_answer_counts() -> None:
    client, _ = client_of(ScriptedReply(event(chunk("a")), FINISH, event(envelope(choices=[], usage=USAGE)), DONE))

    assert (await client.chat.completions.create(model="m", messages=HI)).usage == USAGE


@pytest.mark.parametrize("label", ["application/json", "text/event-stream"])
@pytest.mark.parametrize("first", [b"{", b" "], ids=["JSON", "blanks"])
async def test_a_body_that_is_not_a_stream_is_given_up_after_64_mebibytes(label: str, first: bytes) -> None:
    client, _ = client_of(labelled(label, first, *[b" " * 2**20] * 66, HANG))

    with pytest.raises(StreamInterruptedError, match="no end within 64 MiB") as caught:
        await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert len(caught.value.body or "") == 2**20


async def test_an_error_keeps_at_most_a_mebibyte_of_the_body_before_the_first_event() -> None:
    quarter = b": ping ".ljust(2**18 - 1, b".") + b"\n"
    client, _ = client_of(labelled("text/event-stream", *[quarter] * 6))

    with pytest.raises(StreamInterruptedError) as caught:
        await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert caught.value.body == (quarter * 4).decode()


async def test_a_body_that_is_not_a_stream_may_be_as_long_as_an_event() -> None:
    client, _ = client_of(labelled("application/json", b'{"error": {"message": "no such model"}}'.ljust(EVENT_BYTES)))

    with pytest.raises(APIError, match="no such model"):
        await (await client.chat.completions.stream(model="m", messages=HI)).collect()
