"""Streams: a cut one is never taken for a whole one, and every way of reading gives the same text."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import pickle
import warnings
from collections.abc import AsyncIterable
from typing import Any

import pytest

from venice_ai import (
    APIConnectionError,
    APIError,
    APIResponseProcessingError,
    APITimeoutError,
    AuthenticationError,
    ChatCompletionChunk,
    ChatCompletionResponse,
    ChatStream,
    RateLimitError,
    StreamConsumedError,
    StreamInterruptedError,
    StreamTimeoutError,
    Timeout,
)

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
    joined,
    stream,
)

USAGE_EVENT = event(envelope(choices=[], usage=USAGE))
OVERLOADED = event({"error": {"message": "overloaded", "type": "server_error", "code": "model_overloaded", "retry_after": 30}})
UPSTREAM = {"message": "up", "type": "api_error", "code": "upstream_error"}
NAMED = b"event: error\n"
RESET = APIConnectionError("the connection was reset")


async def opened(*pieces: Piece, **params: Any) -> ChatStream:
    """A stream that gives these pieces."""
    return await opened_on(stream(*pieces), **params)


async def opened_on(reply: ScriptedReply, **params: Any) -> ChatStream:
    client, _ = client_of(reply, max_retries=0)
    return await client.chat.completions.stream(model="m", messages=HI, **params)


async def texts_and_error(texts: AsyncIterable[Any]) -> tuple[list[Any], Exception | None]:
    """What an iterator gives until it ends or raises."""
    given: list[Any] = []
    try:
        async for text in texts:
            given.append(text)  # noqa: PERF401  # what came before an error counts
    except APIError as error:
        return given, error
    return given, None


# -- every end of a stream -----------------------------------------------------------------------------------------------

WHOLE = [
    pytest.param([*hello()], "stop", id="a finish reason, then DONE"),
    pytest.param([*hello(usage=True)], "stop", id="a finish reason, usage, then DONE"),
    pytest.param([*hello()[:-1]], "stop", id="a finish reason, then the end"),
    pytest.param([*hello(usage=True)[:-1]], "stop", id="a finish reason, usage, then the end"),
    pytest.param([*hello()[:2], DONE], None, id="DONE alone"),
    pytest.param([*hello()[:3], RESET], "stop", id="a finish reason, then a reset"),
    pytest.param([*hello(usage=True)[:4], RESET], "stop", id="a finish reason, usage, then a reset"),
    pytest.param([*hello()[:3], USAGE_EVENT[:40]], "stop", id="a finish reason, then half of the usage"),
    pytest.param([*hello()[:3], USAGE_EVENT[:40], RESET], "stop", id="a finish reason, then half of the usage and a reset"),
    pytest.param([*hello()[:3], b"data: [DO"], "stop", id="a finish reason, then half of DONE"),
    pytest.param([*hello()[:3], b": ping\n\n"], "stop", id="a finish reason, then a comment"),
    pytest.param([*hello(), HANG], "stop", id="DONE on a connection that stays open"),
    pytest.param([*hello(), event(chunk(" more")), DONE], "stop", id="more after DONE"),
    pytest.param([*hello(), b"\x00 rubbish \n\n"], "stop", id="rubbish after DONE"),
    pytest.param([*hello(), OVERLOADED], "stop", id="an error after DONE"),
    pytest.param([b"".join([*hello(), event(chunk(" more"))])], "stop", id="more after DONE, in one piece"),
    pytest.param([*hello(), RESET], "stop", id="a reset after DONE"),
    pytest.param([*hello()[:-1], b"data: [DONE]"], "stop", id="DONE without its line breaks"),
    pytest.param([*hello()[:-1], b"data:[DONE]\r\n\r\n"], "stop", id="DONE with CRLF"),
    pytest.param([event(chunk("hello", finish="length"))], "length", id="text and finish reason in one chunk"),
    pytest.param([*hello()[:2], b"data: [DONE] \n\n"], None, id="DONE with a blank after it"),
    pytest.param([*hello()[:3], b"data: {broken\n\n", USAGE_EVENT, DONE], "stop", id="a finish reason, then a broken event"),
    pytest.param([*hello()[:1], b"data:\n\n", b"data: \n\n", *hello()[1:]], "stop", id="events without content between"),
    pytest.param([b"data: null\n\n", *hello()[:2], b"data: null\n\n", *hello()[2:]], "stop", id="events that are null between"),
    pytest.param([event(chunk("hel", finish="")), event(chunk("lo", finish="stop")), DONE], "stop", id="empty finish reasons"),
    pytest.param([event(chunk("hello", finish="a reason of tomorrow")), DONE], "a reason of tomorrow", id="an unknown reason"),
    pytest.param([event(chunk("hello", index=7, finish="stop"))], "stop", id="one choice that has another index"),
    pytest.param(
        [event(chunk("hello", finish="stop")), event(chunk("", index=1, finish="stop")), b"data: {broken\n\n", RESET],
        "stop",
        id="one choice more than asked for, then a broken event and a reset",
    ),
]


@pytest.mark.parametrize(("pieces", "finish"), WHOLE)
async def test_a_stream_that_ended_is_whole(pieces: list[Piece], finish: str | None) -> None:
    reply = stream(*pieces)
    read = await opened_on(reply)

    texts, error = await texts_and_error(read.text_deltas())
    answer_ = await read.collect()

    assert error is None
    assert joined(texts) == answer_.text == "hello"
    assert answer_.choices[0].finish_reason == finish
    assert reply.closed


ONE, TWO = event(chunk("a")), event(chunk("b", index=1))
CLOSED = "the connection was closed before the answer was complete"


@pytest.mark.parametrize(
    ("choices", "pieces", "why"),
    [
        pytest.param(1, [], CLOSED, id="nothing came"),
        pytest.param(2, [], CLOSED, id="nothing came of two"),
        pytest.param(1, [ONE], CLOSED, id="the only choice is not finished"),
        pytest.param(
            2,
            [ONE, TWO],
            r"the connection was closed before the choices \[0, 1\] were there with a finish reason",
            id="neither",
        ),
        pytest.param(2, [ONE, TWO, FINISH], CLOSED, id="one of two is not finished"),
        pytest.param(
            2,
            [ONE, FINISH, DONE],
            r"\[DONE\] came before the choices \[1\] were there with a finish reason",
            id="after as done",
        ),
    ],
)
async def test_an_interruption_says_what_is_missing(choices: int, pieces: list[bytes], why: str) -> None:
    after = {0: "after 0 chunks", 1: "after 1 chunk", 2: "after 2 chunks", 3: "after 3 chunks"}[
        len(pieces) - pieces.count(DONE)
    ]
    with pytest.raises(
        StreamInterruptedError, match=rf"^the stream broke off {after}: {why}\. What had come is in `partial`\."
    ):
        await (await opened_on(stream(*pieces), n=choices)).collect()


INTERRUPTED = [
    pytest.param([event(chunk("hel"))], "hel", id="the end after some text"),
    pytest.param([event(chunk("hel")), event(chunk("lo"))[:-20]], "hel", id="the end inside an event"),
    pytest.param([event(chunk("hel")), RESET], "hel", id="a reset"),
    pytest.param([RESET], None, id="a reset before the first event"),
    pytest.param([], None, id="nothing at all"),
    pytest.param([b": ping\n\n"], None, id="only a comment"),
    pytest.param([event(chunk(role="assistant"))], None, id="only a role"),
    pytest.param([b"<html>not a stream</html>"], None, id="a page that calls itself a stream"),
    pytest.param([b"hello?"], None, id="words that call themselves a stream"),
    pytest.param([event(chunk("hel")), b"data: {broken\n\n", *hello()], "hel", id="an event that is not JSON"),
    pytest.param([event(chunk("hel")), b"event: message\ndata: {broken\n\n", *hello()], "hel", id="a message that is not JSON"),
    pytest.param([event(chunk("hel")), b"data: [1]\n\n", *hello()], "hel", id="an event that is a list"),
    pytest.param([event(chunk("hel")), b"data: DONE\n\n"], "hel", id="another word for DONE"),
    pytest.param([event(chunk("hel")), b'data: "text"\n\n', DONE], "hel", id="an event that is a text"),
    pytest.param([event(chunk("hel")), event(chunk("x", index=1, finish="stop"))], "hel", id="the end of one choice of two"),
    pytest.param([event(chunk("hel", finish=""))], "hel", id="the end after an empty finish reason"),
    pytest.param([event({"choices": [{"delta": {"content": "hel"}, "finish_reason": False}]})], "hel", id="and after false"),
    pytest.param([event(chunk("hel")), NAMED + b"data:\n\n", *hello()], "hel", id="an event called error without content"),
]


@pytest.mark.parametrize(("pieces", "text"), INTERRUPTED)
async def test_a_broken_stream_raises_an_interruption_with_the_text_so_far(pieces: list[Piece], text: str | None) -> None:
    reply = stream(*pieces, headers={"cf-ray": "ray-1"})
    read = await opened_on(reply)

    texts, error = await texts_and_error(read.text_deltas())

    assert type(error) is StreamInterruptedError
    assert joined(texts).startswith(text or "")
    assert error.partial is not None
    assert (error.partial.text or None) == text
    assert [choice.finish_reason for choice in error.partial.choices][:1] in ([], [None])
    assert error.request_id == "ray-1"
    assert error.meta is not None
    assert reply.closed


async def test_the_error_of_an_interruption_counts_every_chunk() -> None:
    read = await opened(*map(event, map(chunk, "abcdefgh")), RESET)

    with pytest.raises(StreamInterruptedError, match=r"^the stream broke off after 8 chunks: "):
        await read.collect()


async def test_the_error_of_an_interruption_names_its_cause() -> None:
    read = await opened(event(chunk("hel")), RESET)

    _, error = await texts_and_error(read)

    assert isinstance(error, StreamInterruptedError)
    assert "the connection was reset" in str(error)
    assert error.__cause__ is RESET


async def test_a_clock_that_ran_out_in_a_stream_is_named() -> None:
    expired = APITimeoutError("nothing arrived within 60 s")
    expired.clock = "idle"
    read = await opened(event(chunk("hel")), expired)

    _, error = await texts_and_error(read)

    assert isinstance(error, StreamTimeoutError)
    assert isinstance(error, StreamInterruptedError)
    assert isinstance(error, APITimeoutError)
    assert isinstance(error, TimeoutError)
    assert error.clock == "idle"
    assert error.partial is not None
    assert error.partial.text == "hel"


async def test_a_choice_that_never_began_is_missed_at_the_end() -> None:
    # Two were asked for; the connection ended when only one had come.
    read = await opened(event(chunk("hello", finish="stop")), n=2)

    _, error = await texts_and_error(read)

    assert isinstance(error, StreamInterruptedError)


@pytest.mark.parametrize(
    ("frame", "kind", "code", "words"),
    [
        pytest.param(OVERLOADED, RateLimitError, "model_overloaded", "overloaded", id="overloaded"),
        pytest.param(event({"error": "Inference failed"}), APIError, None, "Inference failed", id="a text"),
        pytest.param(event({"error": UPSTREAM}), APIError, "upstream_error", "up", id="upstream"),
        pytest.param(NAMED + event({"message": "named", "code": "x"}), APIError, "x", "named", id="an event called error"),
        pytest.param(NAMED + event({"error": {"message": "both"}}), APIError, None, "both", id="both"),
        pytest.param(event({"error": ["odd"]}), APIError, None, "", id="a list"),
        pytest.param(event(envelope(error={"message": "x"}, choices=[])), APIError, None, "x", id="beside empty choices"),
    ],
)
@pytest.mark.parametrize("before", [[], hello()[:2]], ids=["at once", "after some text"])
async def test_an_error_in_the_stream_is_raised_with_what_came(
    before: list[bytes], frame: bytes, kind: type[APIError], code: str | None, words: str
) -> None:
    reply = stream(*before, frame, DONE)
    read = await opened_on(reply)

    texts, error = await texts_and_error(read.text_deltas())

    assert isinstance(error, kind)
    assert not isinstance(error, StreamInterruptedError)
    assert error.code == code
    assert words in str(error)
    assert error.status_code == 200
    assert error.partial is not None
    assert (error.partial.text or "") == joined(texts) == ("hello" if before else "")
    assert error.meta is not None
    assert reply.closed


async def test_a_text_beside_an_error_is_in_what_had_come() -> None:
    read = await opened(event(chunk("hel")), event({**chunk("lo"), "error": {"message": "boo"}}), DONE)

    _, error = await texts_and_error(read.text_deltas())

    assert isinstance(error, APIError)
    assert "boo" in str(error)
    assert error.body == {**chunk("lo"), "error": {"message": "boo"}}
    assert error.partial is not None
    assert error.partial.text == "hello"
    assert "error" not in error.partial


@pytest.mark.parametrize("stray", [b"\xff", b"\xe2\x82", b"\xed\xa0\x80"], ids=repr)
async def test_a_byte_that_is_not_utf_8_loses_no_answer(stray: bytes) -> None:
    pieces = [event(chunk("hel")), event(chunk("?")).replace(b"?", stray), event(chunk("lo")), FINISH, DONE]

    texts, error = await texts_and_error((await opened(*pieces)).text_deltas())

    assert error is None
    assert joined(texts).replace("\ufffd", "") == "hello"
    assert "\ufffd" in joined(texts)


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        pytest.param(answer({"error": {"message": "x", "code": "model_overloaded"}}), RateLimitError, id="a JSON error"),
        pytest.param(answer({"error": "x"}), APIError, id="a JSON error that is a text"),
        pytest.param(answer({}), APIResponseProcessingError, id="JSON"),
        pytest.param(ScriptedReply(b"<html>", headers={"content-type": "text/html"}), APIResponseProcessingError, id="a page"),
        pytest.param(
            ScriptedReply(b"", headers={"content-type": "application/json"}), APIResponseProcessingError, id="nothing"
        ),
        pytest.param(
            ScriptedReply(b"{broken", headers={"content-type": "application/json; charset=utf-8"}),
            APIResponseProcessingError,
            id="broken JSON",
        ),
        pytest.param(
            ScriptedReply(b"<HTML>", headers={"content-type": "TEXT/HTML"}), APIResponseProcessingError, id="a page, loud"
        ),
        pytest.param(
            ScriptedReply(b'{"error": {"code": "model_overloaded"}}', headers={"content-type": "Application/JSON"}),
            RateLimitError,
            id="a JSON error, loud",
        ),
        pytest.param(answer({"error": "x"}, status=401), AuthenticationError, id="a bad key"),
    ],
)
async def test_a_reply_that_is_not_a_stream_is_raised_by_the_call(reply: ScriptedReply, kind: type[APIError]) -> None:
    client, _ = client_of(reply, max_retries=0)

    with pytest.raises(kind):
        await client.chat.completions.create(model="m", messages=HI, stream=True)

    assert reply.ended or reply.closed


async def test_a_whole_answer_in_place_of_a_stream_is_not_lost() -> None:
    client, _ = client_of(answer(completion("hello")), max_retries=0)

    with pytest.raises(APIError) as caught:
        await client.chat.completions.stream(model="m", messages=HI)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hello"


@pytest.mark.parametrize(
    "content_type", [None, "text/event-stream", "TEXT/EVENT-STREAM", "text/plain", "application/octet-stream"]
)
async def test_a_stream_is_read_whatever_it_calls_itself(content_type: str | None) -> None:
    reply = ScriptedReply(*hello(), headers={"content-type": content_type} if content_type else {})

    assert (await (await opened_on(reply)).collect()).text == "hello"


@pytest.mark.parametrize("body", [b'{"error": "x"}', b'{"error": {"message": "x", "code": "model_overloaded"}}'])
async def test_a_json_error_that_calls_itself_a_stream_is_an_error(body: bytes) -> None:
    with pytest.raises(APIError):
        await (await opened(body)).collect()


@pytest.mark.parametrize("content_type", ["text/plain", "application/octet-stream", "text/event-stream"])
async def test_the_error_has_the_servers_message_whatever_the_content_type(content_type: str) -> None:
    body = b'{"error": {"message": "boo", "code": "model_overloaded"}}'
    reply = ScriptedReply(body[:20], body[20:], headers={"content-type": content_type})

    with pytest.raises(RateLimitError, match="boo"):
        await (await opened_on(reply)).collect()


async def test_a_whole_answer_that_calls_itself_text_is_not_lost_in_a_stream() -> None:
    reply = ScriptedReply(json.dumps(completion("hello")).encode(), headers={"content-type": "text/plain"})

    with pytest.raises(APIResponseProcessingError) as caught:
        await (await opened_on(reply)).collect()

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hello"


async def test_cancelling_while_json_in_place_of_a_stream_is_read_closes_the_connection() -> None:
    reply = ScriptedReply(b"{", HANG, headers={"content-type": "application/json"})

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(opened_on(reply), 0.05)

    assert reply.closed


async def test_the_call_sends_the_request_before_the_stream_is_read() -> None:
    client, transport = client_of(stream(*hello()))

    read = await client.chat.completions.stream(model="m", messages=HI)
    sent_before_reading = len(transport.requests)
    await read.collect()

    assert (sent_before_reading, len(transport.requests)) == (1, 1)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 422, 429, 500, 503])
async def test_a_refusal_is_raised_by_the_call(status: int) -> None:
    client, _ = client_of(answer({"error": "no"}, status=status), max_retries=0)

    with pytest.raises(APIError) as caught:
        await client.chat.completions.create(model="m", messages=HI, stream=True)

    assert caught.value.status_code == status


# -- ways of reading -----------------------------------------------------------------------------------------------------


async def test_the_loop_of_the_document_reads_the_whole_stream() -> None:
    # Nobody holds the stream here but the loop itself.
    client, _ = client_of(stream(*hello(usage=True)))
    texts: list[str] = []

    async for piece in await client.chat.completions.create(model="m", messages=HI, stream=True):
        gc.collect()
        texts.append(piece.choices[0].delta.content or "")

    assert joined(texts) == "hello"


async def test_a_stream_without_another_reference_is_read_to_its_end() -> None:
    client, _ = client_of(stream(*hello()))
    texts: list[str] = []

    async for text in (await client.chat.completions.stream(model="m", messages=HI)).text_deltas():
        gc.collect()
        texts.append(text)

    assert texts == ["hel", "lo"]


async def test_the_block_of_the_document_reads_the_whole_stream() -> None:
    client, _ = client_of(stream(*hello()))

    async with await client.chat.completions.stream(model="m", messages=HI) as read:
        texts = [text async for text in read.text_deltas()]

    assert texts == ["hel", "lo"]


async def test_all_ways_of_reading_agree() -> None:
    iterated, read, whole = [await opened(*hello(usage=True)) for _ in range(3)]

    chunks = [piece async for piece in iterated]
    deltas = [text async for text in read.text_deltas()]
    collected = await whole.collect()

    assert joined(piece.choices[0].delta.content for piece in chunks) == joined(deltas) == collected.text == "hello"
    assert joined(piece.text for piece in chunks) == "hello"
    assert chunks[-1].choices[0].finish_reason == collected.choices[0].finish_reason == "stop"
    assert collected.usage == USAGE
    assert type(collected) is ChatCompletionResponse
    assert {type(piece) for piece in chunks} == {ChatCompletionChunk}
    assert collected.object == "chat.completion"
    assert (collected.id, collected.model, collected.created) == ("chatcmpl-1", "example-private-small", 1_780_000_000)


@pytest.mark.parametrize("read_before", [0, 1, 2, 3])
async def test_collect_after_partial_reading_gives_the_whole(read_before: int) -> None:
    read = await opened(*hello(usage=True))
    chunks = aiter(read)
    for _ in range(read_before):
        await anext(chunks)

    assert (await read.collect()).text == "hello"


@pytest.mark.parametrize("read_before", [1, 2])
async def test_collect_after_some_texts_gives_the_whole(read_before: int) -> None:
    read = await opened(*hello())
    texts = read.text_deltas()
    for _ in range(read_before):
        await anext(texts)

    whole = await read.collect()

    assert whole.text == "hello"
    assert whole.choices[0].finish_reason == "stop"


async def test_collect_gives_the_whole_after_everything_was_read_and_again() -> None:
    read = await opened(*hello(usage=True))
    async for _ in read:
        pass

    first, second = await read.collect(), await read.collect()

    assert first == second
    assert first.text == "hello"


async def test_a_collected_response_may_be_changed_by_the_caller() -> None:
    read = await opened(*hello())
    first = await read.collect()

    first.choices[0].message.content = "changed"

    assert (await read.collect()).text == "hello"


async def test_reading_goes_on_where_an_earlier_loop_was_left() -> None:
    async with await opened(*hello()) as read:
        async for piece in read:
            assert piece.text == "hel"
            break
        rest = [piece.text async for piece in read]

    assert joined(rest) == "lo"


async def test_a_stream_is_read_once() -> None:
    read = await opened(*hello())
    async for _ in read:
        pass

    with pytest.raises(StreamConsumedError):
        aiter(read)
    with pytest.raises(StreamConsumedError):
        read.text_deltas()


async def test_a_closed_stream_cannot_be_read_nor_collected() -> None:
    read = await opened(*hello())
    await anext(aiter(read))

    await read.close()
    await read.close()

    with pytest.raises(StreamConsumedError):
        aiter(read)
    with pytest.raises(StreamInterruptedError) as caught:
        await read.collect()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


async def test_a_stream_that_was_read_to_its_end_can_be_collected_after_its_block() -> None:
    async with await opened(*hello()) as read:
        async for _ in read:
            pass

    assert (await read.collect()).text == "hello"


@pytest.mark.parametrize("pieces", [[event(chunk("hel")), RESET], [event(chunk("hel")), OVERLOADED]], ids=["reset", "error"])
async def test_collect_raises_the_error_of_the_stream_again(pieces: list[Piece]) -> None:
    read = await opened(*pieces)
    _, first = await texts_and_error(read)

    with pytest.raises(APIError) as second:
        await read.collect()

    assert second.value is first
    with pytest.raises(StreamConsumedError):
        aiter(read)


async def test_an_interruption_can_be_pickled_with_what_had_come() -> None:
    _, error = await texts_and_error(await opened(event(chunk("hel")), RESET))

    again = pickle.loads(pickle.dumps(error))

    assert isinstance(error, StreamInterruptedError)
    assert str(again) == str(error)
    assert again.partial == error.partial
    assert type(again) is StreamInterruptedError


async def test_a_stream_has_meta_from_the_start_and_usage_at_its_end() -> None:
    headers = {"cf-ray": "ray-1", "x-ratelimit-remaining-requests": "7", "x-venice-balance-usd": "4.2"}
    read = await opened_on(stream(*hello(usage=True), headers=headers))

    before = (read.meta.status_code, read.meta.request_id, read.meta.time_to_first_chunk, read.usage)
    whole = await read.collect()

    assert before == (200, "ray-1", None, None)
    assert read.meta.time_to_first_chunk is not None
    assert read.meta.rate_limits.remaining_requests == 7
    assert read.usage == whole.usage == USAGE
    assert whole.meta.headers["CF-RAY"] == "ray-1"


# -- chunks without choices ----------------------------------------------------------------------------------------------

BARE = [
    pytest.param(envelope(choices=[], usage=USAGE, cost={"usd": 0.1, "diem": 0}), id="usage and cost"),
    pytest.param(envelope(usage=USAGE, cost={"usd": 0.1, "diem": 0}), id="no choices at all"),
    pytest.param(envelope(choices=None, usage=USAGE, cost={"usd": 0.1, "diem": 0}), id="null"),
]


@pytest.mark.parametrize("bare", BARE)
async def test_a_chunk_without_choices_is_not_yielded_but_counts(bare: dict[str, Any]) -> None:
    read = await opened(*hello()[:3], event(bare), DONE)

    chunks = [piece async for piece in read]
    whole = await read.collect()

    assert len(chunks) == 3
    assert whole.usage == USAGE == read.usage
    assert whole.cost == {"usd": 0.1, "diem": 0}


@pytest.mark.parametrize("bare", BARE)
@pytest.mark.parametrize("options", [{"include_usage": True}, {"include_usage": False}, {}], ids=repr)
async def test_who_sets_stream_options_sees_every_chunk(bare: dict[str, Any], options: dict[str, Any]) -> None:
    read = await opened(event(bare), *hello()[:3], DONE, stream_options=options)

    chunks = [piece async for piece in read]

    assert chunks[0].model_dump() == bare
    assert len(chunks) == 4
    assert chunks[0].text == ""


async def test_texts_pass_over_a_chunk_without_choices() -> None:
    read = await opened(event(envelope(usage=USAGE)), *hello(), stream_options={"include_usage": True})

    assert [text async for text in read.text_deltas()] == ["hel", "lo"]


async def test_an_event_of_another_type_is_no_chunk_though_its_data_are_like_those_of_the_chunks_before_it() -> None:
    read = await opened(
        *map(event, map(chunk, "hell")), b"event: status\n" + event(chunk("x")), event(chunk("o")), FINISH, DONE
    )

    assert joined([piece.text async for piece in read]) == "hello"


async def test_a_null_usage_is_read_as_no_usage() -> None:
    read = await opened(event({**chunk("hello"), "usage": None}), event({**chunk(finish="stop"), "usage": USAGE}), DONE)
    chunks = aiter(read)

    await anext(chunks)
    before = read.usage
    whole = await read.collect()

    assert before is None
    assert whole.usage == USAGE


ODD_CHOICES: list[Any] = [7, "text", {"index": 0}, [None], [7], ["text"], [[]], [{}], True]
ODD_DELTAS: list[Any] = [None, 7, "text", [], {"content": 7}, {"content": [7]}]


ODD_CHUNKS: list[Any] = [
    *(envelope(choices=odd) for odd in ODD_CHOICES),
    *(envelope(choices=[{"index": 0, "delta": odd}]) for odd in ODD_DELTAS),
    envelope(choices=[{"index": 0}]),
    envelope(choices=[{"index": None, "delta": {}, "finish_reason": None}]),
    {},
    {"type": "ping"},
]


@pytest.mark.parametrize("odd", ODD_CHUNKS, ids=lambda odd: repr(odd.get("choices", odd)))
async def test_an_odd_chunk_takes_nothing_away(odd: Any) -> None:
    pieces = [event(chunk("hel")), event(odd), event(chunk("lo", finish="stop")), DONE]
    collected, read, iterated = [await opened(*pieces) for _ in range(3)]

    whole = await collected.collect()
    deltas = [text async for text in read.text_deltas()]
    texts = [piece.text async for piece in iterated]

    assert whole.text == joined(deltas) == joined(texts) == "hello"
    assert whole.finish_reason == "stop"
    assert whole.tool_calls == []


# -- what is assembled ---------------------------------------------------------------------------------------------------


async def test_several_choices_are_kept_apart_in_their_order() -> None:
    read = await opened(
        event(chunk("b", index=1)),
        event(chunk("a", index=0)),
        event(envelope(choices=[chunk("1", index=0)["choices"][0], chunk("2", index=1)["choices"][0]])),
        event(chunk(finish="stop", index=1)),
        event(chunk(finish="length", index=0)),
        DONE,
    )

    whole = await read.collect()

    found = [(choice.index, choice.message.content, choice.finish_reason) for choice in whole.choices]
    assert found == [(0, "a1", "length"), (1, "b2", "stop")]
    assert whole.text == "a1"


async def test_everything_that_came_is_in_the_whole() -> None:
    one, two = ({"token": token, "logprob": -0.1} for token in "ab")
    citations = [{"title": "T", "url": "u"}]
    events: list[dict[str, Any]] = [
        {**chunk(role="assistant", content="", reasoning_content=None), "service_tier": "default", "system_fingerprint": None},
        chunk("", reasoning_content="think"),
        chunk(None, reasoning_content="ing", reasoning_details=[{"type": "reasoning.text", "text": "t"}]),
        chunk("a"),
        chunk("b", refusal="I "),
        chunk(None, refusal="won't", thought_signature="sig", annotations=[{"a": 1}]),
        {**chunk(finish="stop"), "usage": None, "a_field_of_tomorrow": {"x": 1}},
        envelope(choices=[], usage=USAGE, cost={"usd": 0.5, "diem": 0.5}),
        envelope(choices=[], venice_parameters={"web_search_citations": citations}),
    ]
    events[3]["choices"][0]["logprobs"] = {"content": [one]}
    events[4]["choices"][0]["logprobs"] = {"content": [two], "refusal": None}
    events[6]["choices"][0]["stop_reason"] = "stop"

    whole = await (await opened(*map(event, events), DONE)).collect()

    choice = whole.choices[0]
    assert choice.message.role == "assistant"
    assert choice.message.content == "ab"
    assert choice.message.reasoning_content == "thinking"
    assert choice.message.reasoning_details == [{"type": "reasoning.text", "text": "t"}]
    assert choice.message.refusal == "I won't"
    assert choice.message.thought_signature == "sig"
    assert choice.message["annotations"] == [{"a": 1}]
    assert choice.logprobs == {"content": [one, two]}
    assert (choice.finish_reason, choice.stop_reason) == ("stop", "stop")
    assert whole.usage == USAGE
    assert whole.cost == {"usd": 0.5, "diem": 0.5}
    assert whole.venice_parameters is not None
    assert whole.venice_parameters["web_search_citations"] == citations
    assert whole.service_tier == "default"
    assert whole["a_field_of_tomorrow"] == {"x": 1}


@pytest.mark.parametrize("indices", [[0, 1], [5, 6], [5, 6, 7]])
async def test_as_many_choices_as_asked_for_are_all_whatever_their_indices(indices: list[int]) -> None:
    read = await opened(*(event(chunk(f"{index}", index=index, finish="stop")) for index in indices), n=2)

    assert [choice.index for choice in (await read.collect()).choices] == indices


@pytest.mark.parametrize("odd", [[], [7]], ids=["alone", "beside what is not a choice"])
async def test_choices_without_an_index_have_that_of_their_place(odd: list[Any]) -> None:
    places = [{"delta": {"content": text}} for text in "ab"]
    both = [event(envelope(choices=[*places, *odd, {"index": 2, "delta": {"content": "c"}}])) for _ in range(2)]

    whole = await (await opened(*both, DONE, n=3)).collect()

    assert [(choice.index, choice.message.content) for choice in whole.choices] == [(0, "aa"), (1, "bb"), (2, "cc")]


@pytest.mark.parametrize(
    ("values", "collected"),
    [
        (
            [{"content": [{"token": "a"}], "refusal": None}, {"content": [{"token": "b"}]}],
            {"content": [{"token": "a"}, {"token": "b"}]},
        ),
        ([{"token": "a"}, {"token": "b", "logprob": -1}], {"content": [{"token": "a"}, {"token": "b", "logprob": -1}]}),
        ([-1.5, -2], {"content": [-1.5, -2]}),
        ([{"content": 7}], {}),
        ([None], None),
    ],
    ids=repr,
)
async def test_log_probabilities_of_any_shape_are_lists_of_tokens(values: list[Any], collected: Any) -> None:
    events = [chunk("a") for _ in values]
    for each, value in zip(events, values, strict=True):
        each["choices"][0]["logprobs"] = value

    assert (await (await opened(*map(event, events), FINISH, DONE)).collect()).choices[0].get("logprobs") == collected


@pytest.mark.parametrize(
    ("deltas", "content"),
    [
        pytest.param([{"content": None}, {}], None, id="no content"),
        pytest.param([{"content": ""}], "", id="an empty content"),
        pytest.param([{"content": ""}, {"content": None}, {"content": "x"}], "x", id="empty, null, text"),
        pytest.param([{"content": [{"type": "text", "text": "x"}]}, {"content": "y"}], "xy", id="in parts"),
    ],
)
async def test_deltas_of_any_shape_are_assembled_to_the_content(deltas: list[dict[str, Any]], content: str | None) -> None:
    read = await opened(*(event(chunk(**delta)) for delta in deltas), FINISH, DONE)

    assert (await read.collect()).choices[0].message.content == content


async def test_content_in_parts_gives_the_same_text_by_iteration_and_collect() -> None:
    pieces = [event(chunk(content=[{"type": "text", "text": "hel"}])), event(chunk("lo", finish="stop")), DONE]

    read = await opened(*pieces)
    deltas = [text async for text in read.text_deltas()]

    assert joined(deltas) == (await read.collect()).text == "hello"


async def test_the_texts_of_all_choices_come_in_the_order_of_arrival() -> None:
    read = await opened(event(chunk("a")), event(chunk("b", index=1)), event(chunk("c")), DONE)

    assert [text async for text in read.text_deltas()] == ["a", "b", "c"]


async def test_a_whole_message_beside_the_deltas_adds_only_what_none_brought() -> None:
    beside = {"role": "assistant", "content": "", "reasoning_content": "because"}
    read = await opened(event(envelope(choices=[{"delta": {"content": "real"}, "finish_reason": "stop", "message": beside}])))

    texts, _ = await texts_and_error(read.text_deltas())
    message = (await read.collect()).choices[0].message

    assert joined(texts) == message.content == "real"
    assert message.reasoning_content == "because"


async def test_odd_details_of_the_reasoning_take_nothing_away() -> None:
    read = await opened(
        event(chunk("hel", reasoning_details={"a": 1})), event(chunk("lo", reasoning_details=[{"b": 2}])), FINISH, DONE
    )

    message = (await read.collect()).choices[0].message

    assert message.content == "hello"
    assert message.reasoning_details == [{"a": 1}, {"b": 2}]


async def test_a_collected_message_can_be_sent_back() -> None:
    call = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    client, transport = client_of(stream(event(chunk(tool_calls=[call], finish="tool_calls")), DONE), answer(completion()))

    whole = await (await client.chat.completions.stream(model="m", messages=HI)).collect()
    result = {"role": "tool", "tool_call_id": "c1", "content": "4"}
    await client.chat.completions.create(model="m", messages=[*HI, whole.choices[0].message, result])

    (_, turn, _) = transport.bodies[1]["messages"]
    assert turn["role"] == "assistant"
    assert turn["tool_calls"][0]["function"] == {"name": "f", "arguments": "{}"}


# -- leaving -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("read_before", [0, 1])
async def test_leaving_the_block_early_closes_the_connection_at_once(read_before: int) -> None:
    reply = stream(event(chunk("hel")), HANG)

    async with await opened_on(reply) as read:
        for _ in range(read_before):
            await anext(aiter(read))

    assert reply.closed


async def test_an_exception_in_the_block_closes_the_connection_at_once() -> None:
    reply = stream(*hello())

    with pytest.raises(ZeroDivisionError):
        async with await opened_on(reply) as read:
            async for _ in read:
                raise ZeroDivisionError

    assert reply.closed
    assert not reply.ended


async def read_on(read: ChatStream, how: str) -> None:
    if how == "iteration":
        async for _ in read:
            pass
    elif how == "text_deltas":
        async for _ in read.text_deltas():
            pass
    else:
        await read.collect()


@pytest.mark.parametrize("how", ["iteration", "text_deltas", "collect"])
async def test_cancellation_closes_the_connection_at_once(how: str) -> None:
    reply = stream(event(chunk("hel")), HANG)
    read = await opened_on(reply)
    task = asyncio.ensure_future(read_on(read, how))
    await asyncio.sleep(0.01)

    task.cancel()

    with pytest.raises(asyncio.CancelledError):
        await task
    assert reply.closed


@pytest.mark.parametrize("how", ["iteration", "text_deltas", "collect"])
async def test_a_cancelled_stream_is_not_taken_for_a_whole_one(how: str) -> None:
    read = await opened(event(chunk("hel")), FINISH, HANG)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(read_on(read, how), 0.01)

    with pytest.raises(StreamInterruptedError):
        await read.collect()


async def test_close_stops_a_reader_in_another_task() -> None:
    reply = stream(event(chunk("hel")), HANG)
    read = await opened_on(reply)
    task = asyncio.ensure_future(texts_and_error(read))
    await asyncio.sleep(0.01)

    await read.close()
    task.cancel()

    assert reply.closed
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stream_that_is_dropped_unread_closes_its_connection_and_warns() -> None:
    reply = stream(*hello())
    read = await opened_on(reply)

    with pytest.warns(ResourceWarning, match=r"async with|close\(\)") as warned:
        del read

    assert reply.closed
    assert [warning.filename for warning in warned] == [__file__]


async def drop(held: list[Any]) -> None:
    """Lets go of what is held, and gives the loop the moment it may need to clean up."""
    held.clear()
    gc.collect()
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_loop_that_is_left_closes_its_connection_and_warns() -> None:
    reply = stream(event(chunk("hel")), HANG)
    held = [await opened_on(reply)]
    async for _ in held[0]:
        break

    with pytest.warns(ResourceWarning, match=r"async with|close\(\)"):
        await drop(held)

    assert reply.closed


async def test_a_stream_that_was_read_or_closed_is_dropped_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for end in ("read", "closed", "left", "failed"):
            read = await opened(event(chunk("hel")), RESET) if end == "failed" else await opened(*hello())
            if end == "read":
                await read.collect()
            elif end == "closed":
                await read.close()
            elif end == "failed":
                await texts_and_error(read)
            else:
                async with read:
                    pass
            del read
            gc.collect()


# -- progress ------------------------------------------------------------------------------------------------------------


async def test_content_is_progress_and_keeping_alive_is_not() -> None:
    reply = stream(
        b": ping\n\n",
        event(chunk(role="assistant", content="")),
        event(chunk("text")),
        event(chunk(reasoning_content="thought")),
        event(chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}])),
        event(chunk(refusal="no")),
        event(envelope(choices=[], usage=USAGE)),
        FINISH,
        DONE,
    )

    await (await opened_on(reply, timeout=Timeout(progress=5))).collect()

    assert reply.progress == 4


@pytest.mark.parametrize("texts", ["ab", "abcdef"], ids=["read in full", "also by the text alone"])
async def test_the_content_of_a_packet_is_progress_once(texts: str) -> None:
    reply = stream(*[b"".join(map(event, map(chunk, texts)))] * 2, FINISH, DONE)

    await (await opened_on(reply, timeout=Timeout(progress=5))).collect()

    assert reply.progress == 2


def test_a_chunk_can_be_kept() -> None:
    piece = ChatCompletionChunk.model_validate(chunk("x"))

    assert copy.deepcopy(piece) == piece
    assert piece.model_dump() == chunk("x")
    assert piece["choices"][0]["delta"]["content"] == piece.choices[0].delta.content == piece.text == "x"


# -- iteration, text_deltas() and collect() agree --------------------------------------------------------------------------

HIGH, LOW = "\ud83d", "\ude00"


def escaped(data: Any) -> bytes:
    """An event in which characters beyond ASCII are escapes, as servers write halves of them."""
    return b"data: " + json.dumps(data).encode() + b"\n\n"


async def read_in_three_ways(*pieces: Piece) -> tuple[str, str, str]:
    """The text that the chunks bring, that `text_deltas()` gives, and that `collect()` makes."""
    chunks = [each async for each in await opened(*pieces)]
    deltas = [text async for text in (await opened(*pieces)).text_deltas()]
    whole = await (await opened(*pieces)).collect()
    return "".join(each.text for each in chunks), "".join(deltas), whole.text or ""


@pytest.mark.parametrize(
    ("events", "text"),
    [
        pytest.param([chunk("ok " + HIGH), chunk(LOW + "!"), chunk("b", finish="stop")], "ok 😀!b", id="in two deltas"),
        pytest.param([chunk(HIGH), chunk(None), chunk(""), chunk(LOW), chunk(finish="stop")], "😀", id="far apart"),
        pytest.param([chunk("a" + HIGH), chunk("b"), chunk(finish="stop")], "a" + HIGH + "b", id="never completed"),
        pytest.param([chunk("a" + HIGH), chunk(finish="stop")], "a" + HIGH, id="at the end"),
        pytest.param([chunk("a" + HIGH), chunk(LOW + HIGH, finish="stop")], "a😀" + HIGH, id="in the last delta"),
        pytest.param([chunk(LOW + "a"), chunk(LOW, finish="stop")], LOW + "a" + LOW, id="second halves alone"),
        pytest.param(
            [chunk("a"), chunk("b"), chunk("c"), chunk(HIGH), chunk(LOW), chunk("d", finish="stop")], "abc😀d", id="late"
        ),
        pytest.param(
            [*map(chunk, "abc"), chunk(HIGH), chunk("d"), chunk(finish="stop")], f"abc{HIGH}d", id="late, and never completed"
        ),
        pytest.param(
            [envelope(choices=[{"index": 0, "message": {"role": "assistant", "content": "full"}, "finish_reason": "stop"}])],
            "full",
            id="a message in place of a delta",
        ),
        pytest.param(
            [
                chunk("", role="assistant"),
                envelope(choices=[{"index": 0, "message": {"content": "full"}, "finish_reason": "stop"}]),
            ],
            "full",
            id="a message after an empty delta",
        ),
        pytest.param(
            [chunk("fu"), envelope(choices=[{"index": 0, "message": {"content": "full"}, "finish_reason": "stop"}])],
            "fu",
            id="a message that repeats what deltas brought",
        ),
    ],
)
async def test_every_way_to_read_a_stream_gives_the_same_text(events: list[dict[str, Any]], text: str) -> None:
    assert await read_in_three_ways(*map(escaped, events), DONE) == (text, text, text)


@pytest.mark.parametrize(
    "delta", [None, 5, "x", [HIGH], {"content": 5}, {"content": [{"type": "text", "text": "!"}]}], ids=repr
)
async def test_half_of_a_surrogate_pair_survives_any_last_delta(delta: Any) -> None:
    last = envelope(choices=[{"index": 0, "delta": delta, "finish_reason": "stop"}])
    answer = await (await opened(*map(escaped, [chunk("a" + HIGH), last]), DONE)).collect()

    assert str(answer.choices[0].message.content).startswith("a")
    assert HIGH in str(answer.choices[0].message.content)


async def test_surrogate_pairs_of_two_choices_are_not_mixed() -> None:
    texts = [chunk("a" + HIGH), chunk("b" + HIGH, index=1), chunk(LOW, index=1), chunk(LOW)]
    ends = [chunk(finish="stop"), chunk(finish="stop", index=1)]
    reply = await (await opened(*map(escaped, [*texts, *ends]), DONE, n=2)).collect()

    assert [choice.message.content for choice in reply.choices] == ["a😀", "b😀"]


async def test_a_split_surrogate_pair_of_reasoning_is_given_by_the_chunk_that_completes_it() -> None:
    events = [chunk(reasoning_content="a" + HIGH), chunk("x", reasoning_content=LOW), chunk(finish="stop")]
    chunks = [each async for each in await opened(*map(escaped, events), DONE)]

    assert [each.choices[0].delta.reasoning_content for each in chunks[:2]] == ["a", "😀"]
    assert chunks[1].text == "x"


async def test_a_stream_broken_within_a_surrogate_pair_keeps_the_text_before_it() -> None:
    texts, error = await texts_and_error((await opened(escaped(chunk("ok " + HIGH)), RESET)).text_deltas())

    assert texts == ["ok "]
    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == "ok "
