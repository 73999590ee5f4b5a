"""Errors inside a reply with status 200: which objects are errors, which status they count as, and that none shows a key."""

from __future__ import annotations

import asyncio
import gc
import json
import traceback
import weakref
from collections.abc import Iterator
from typing import Any

import pytest

from venice_ai import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    ChatStream,
    InternalServerError,
    InvalidRequestError,
    ModelOverloadedError,
    RateLimitError,
    ServiceUnavailableError,
    StreamInterruptedError,
    SyncVeniceClient,
    Timeout,
    VeniceClient,
)

from ..fakes import (
    DONE,
    FINISH,
    HI,
    KEY,
    Piece,
    RecordingClock,
    ScriptedReply,
    ScriptedTransport,
    answer,
    chunk,
    client_of,
    completion,
    envelope,
    event,
    hello,
    stream,
)

ROLE = event(chunk(role="assistant", content=""))
BUSY = {"error": {"message": "busy", "code": "model_overloaded", "retry_after": 1}}

# Whatever says "boo" and is an error.
ERRORS: list[Any] = [
    {"error": {"message": "boo"}},
    {"error": {"detail": "boo"}},
    {"error": "boo"},
    {"error": [{"message": "boo"}]},
    {"error": True, "message": "boo"},
    {"errors": [{"message": "boo"}]},
    {"error_message": "boo", "error_code": "x"},
    {"error_code": 7, "message": "boo"},
    {"object": "error", "message": "boo", "type": "BadThing", "code": 40303},
    {"type": "error", "message": "boo"},
    {"type": "error", "error": {"type": "x", "message": "boo"}},
    {"message": "boo"},
    {"detail": "boo"},
    {"message": "boo", "code": "x", "id": "chatcmpl-1"},
    envelope(object="error", message="boo", choices=[]),
    envelope(choices=[{"index": 0, "delta": {}, "finish_reason": "error", "error": {"message": "boo"}}]),
    envelope(choices=[{"index": 0, "delta": {"error": "boo"}, "finish_reason": None}]),
    envelope(choices=[{"index": 0, "delta": {"content": "", "error_message": "boo"}}]),
    envelope(choices=None, error={"message": "boo"}),
]


async def opened(*pieces: Piece) -> ChatStream:
    client, _ = client_of(stream(*pieces), max_retries=0)
    return await client.chat.completions.stream(model="m", messages=HI)


@pytest.mark.parametrize("error", ERRORS, ids=json.dumps)
@pytest.mark.parametrize("after", [[], [DONE], [FINISH, DONE]], ids=["the end", "DONE", "more"])
@pytest.mark.parametrize("before", [[], hello()[:2]], ids=["at once", "after text"])
async def test_an_error_in_any_shape_is_an_error(before: list[bytes], error: Any, after: list[bytes]) -> None:
    read = await opened(*before, event(error), *after)

    with pytest.raises(APIError, match="boo") as caught:
        await read.collect()

    assert not isinstance(caught.value, StreamInterruptedError)
    assert caught.value.partial is not None
    assert (caught.value.partial.text or "") == ("hello" if before else "")
    assert caught.value.body == error


@pytest.mark.parametrize("error", ERRORS, ids=json.dumps)
async def test_an_error_in_any_shape_is_one_in_place_of_a_plain_answer(error: Any) -> None:
    client, _ = client_of(answer(error), max_retries=0)

    with pytest.raises(APIError, match="boo"):
        await client.chat.completions.create(model="m", messages=HI)


@pytest.mark.parametrize("data", ["boo", '{"message": "boo"}', '["boo"]', '"boo"'])
async def test_an_event_called_error_is_one_whatever_its_data_is(data: str) -> None:
    read = await opened(*hello()[:2], b"event: error\n" + event(data), DONE)

    with pytest.raises(APIError, match="boo") as caught:
        await read.collect()

    assert not isinstance(caught.value, StreamInterruptedError)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hello"


@pytest.mark.parametrize(
    "empty", [{"error": None}, {"error": ""}, {"error": {}}, {"errors": []}, {"error_code": 0}], ids=json.dumps
)
async def test_an_empty_member_is_no_error(empty: dict[str, Any]) -> None:
    read = await opened(event({**chunk("hel"), **empty}), event(chunk("lo", **empty)), FINISH, DONE)

    assert (await read.collect()).text == "hello"


async def test_a_plain_answer_beside_an_error_is_kept() -> None:
    client, _ = client_of(answer({**completion("hello"), "error": {"message": "boo", "code": "model_overloaded"}}))

    with pytest.raises(APIError, match="boo") as caught:
        await client.chat.completions.create(model="m", messages=HI)

    assert caught.value.partial is not None
    assert caught.value.partial.text == "hello"
    assert caught.value.partial.usage is not None


# -- what it counts as ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "counts_as", "kind"),
    [
        ("model_overloaded", 503, ModelOverloadedError),
        ("MODEL_OVERLOADED", 503, RateLimitError),
        ("model_offline", 503, ServiceUnavailableError),
        ("rate_limit_exceeded", 429, RateLimitError),
        ("upstream_error", 502, InternalServerError),
        ("inference_failed", 500, InternalServerError),
        ("context_length_exceeded", 400, InvalidRequestError),
        ("authentication_failed", 401, AuthenticationError),
        ("an unknown one", 200, APIError),
        (503, 503, ServiceUnavailableError),
        ("429", 429, RateLimitError),
        (200, 200, APIError),
    ],
)
async def test_a_code_stands_for_a_status(code: Any, counts_as: int, kind: type[APIError]) -> None:
    read = await opened(event({"error": {"message": "boo", "code": code}}))

    with pytest.raises(kind) as caught:
        await read.collect()

    assert (caught.value.status_code, caught.value.counts_as) == (200, counts_as)


async def test_an_overloaded_model_is_caught_by_either_name() -> None:
    with pytest.raises(RateLimitError) as caught:
        await (await opened(event(BUSY))).collect()

    assert isinstance(caught.value, ServiceUnavailableError)
    assert caught.value.kind == "overloaded"


def own(chunks: Any, *, client: VeniceClient) -> Any:
    """A `stream_cls` that is the chunks themselves."""
    assert isinstance(client, VeniceClient)
    return chunks


async def read_in(how: str, client: VeniceClient) -> str:
    """The text of a stream, read in one of the ways there are."""
    completions = client.chat.completions
    if how == "collect":
        return (await (await completions.stream(model="m", messages=HI)).collect()).text or ""
    if how == "iteration":
        return "".join([piece.text async for piece in await completions.create(model="m", messages=HI, stream=True)])
    if how == "stream_cls":
        pieces: Any = await completions.create(model="m", messages=HI, stream=True, stream_cls=own)
        return "".join([piece.text async for piece in pieces])
    if how == "stream_with_tools":
        result = await (await completions.stream_with_tools(model="m", messages=HI, tools=[])).collect()
        return result.text or ""
    parsed = await (await completions.stream_parse(model="m", messages=HI, response_format=list[str])).collect()
    return parsed.parsed[0]


@pytest.mark.parametrize("before", [[], [ROLE], [b": ping\n\n", ROLE]], ids=["at once", "after a role", "after a comment"])
@pytest.mark.parametrize("how", ["collect", "iteration", "stream_cls", "stream_with_tools"])
async def test_an_error_before_any_content_is_tried_again_inside_the_first_read(how: str, before: list[bytes]) -> None:
    clock = RecordingClock()
    client, transport = client_of(stream(*before, event(BUSY), DONE), stream(*hello()), clock=clock)

    assert await read_in(how, client) == "hello"
    assert len(transport.requests) == 2
    assert transport.requests[0].body == transport.requests[1].body
    assert clock.slept == [1.0]


async def test_stream_parse_retries_after_an_error_before_any_content() -> None:
    events = [event(chunk('{"value": ["hello"]}')), FINISH, DONE]
    client, transport = client_of(stream(event(BUSY)), stream(*events))

    assert await read_in("stream_parse", client) == "hello"
    assert len(transport.requests) == 2


def test_the_synchronous_client_tries_an_error_before_any_content_again() -> None:
    transport = ScriptedTransport(stream(ROLE, event(BUSY), DONE), stream(*hello()))
    with SyncVeniceClient(api_key=KEY, transport=transport, clock=RecordingClock()) as client:
        read = client.chat.completions.stream(model="m", messages=HI)

        assert "".join(read.text_deltas()) == "hello"
        assert read.meta.attempts == 2


async def test_a_plain_call_is_tried_again_after_an_error_with_status_200() -> None:
    clock = RecordingClock()
    client, transport = client_of(answer(BUSY), answer(completion()), clock=clock)

    assert (await client.chat.completions.create(model="m", messages=HI)).meta.attempts == 2
    assert len(transport.requests) == 2
    assert clock.slept == [1.0]


async def test_the_stream_is_there_at_the_head_and_its_meta_is_the_last_attempt_s() -> None:
    client, transport = client_of(stream(event(BUSY), headers={"cf-ray": "one"}), stream(*hello(), headers={"cf-ray": "two"}))

    read = await client.chat.completions.stream(model="m", messages=HI)
    before = (len(transport.requests), read.meta.attempts, read.meta.request_id)
    whole = await read.collect()

    assert before == (1, 1, "one")
    assert (read.meta.attempts, read.meta.request_id) == (2, "two")
    assert whole.meta is read.meta


async def test_an_error_that_lasts_is_raised_with_its_own_class_after_as_many_tries_as_allowed() -> None:
    client, transport = client_of(*[stream(ROLE, event(BUSY)) for _ in range(3)])
    read = await client.chat.completions.stream(model="m", messages=HI)

    with pytest.raises(ModelOverloadedError, match="busy"):
        await read.collect()

    assert len(transport.requests) == 3


async def test_the_refusal_of_the_second_attempt_is_raised() -> None:
    client, _ = client_of(stream(event(BUSY)), answer({"error": "no"}, status=401))
    read = await client.chat.completions.stream(model="m", messages=HI)

    with pytest.raises(AuthenticationError):
        await read.collect()


async def test_a_wait_beyond_the_deadline_is_not_waited_in_a_stream_either() -> None:
    client, transport = client_of(stream(event(BUSY)))

    read = await client.chat.completions.stream(model="m", messages=HI, timeout=Timeout(deadline=0.9))

    with pytest.raises(ModelOverloadedError):
        await read.collect()
    assert len(transport.requests) == 1


class _Closing(RecordingClock):
    """Closes something while somebody sleeps."""

    closing: Any = None

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        await self.closing()


@pytest.mark.parametrize("what", ["client", "stream"])
async def test_nothing_is_sent_again_after_the_client_or_the_stream_was_closed(what: str) -> None:
    clock = _Closing()
    client, transport = client_of(stream(event(BUSY)), clock=clock)
    read = await client.chat.completions.stream(model="m", messages=HI)
    clock.closing = client.close if what == "client" else read.close

    with pytest.raises(APIConnectionError, match="closed"):
        await anext(aiter(read))

    assert len(transport.requests) == 1


# -- what is not part of an answer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [
        b"event: ping\ndata: {}\n\n",
        b"event: ping\ndata: no JSON\n\n",
        b"event: status\n" + event(chunk("more")),
        b"event: done\ndata: 1\n\n",
        b"event: message\ndata: null\n\n",
        event({"type": "ping"}),
        event({"id": "another", "model": "another", "status": "queued"}),
        event({"usage": None, "id": "another"}),
    ],
    ids=repr,
)
async def test_an_event_that_is_no_chunk_changes_nothing(other: bytes) -> None:
    events = [other, *hello()[:2], other, FINISH, other, DONE]
    plain = await (await opened(*hello())).collect()

    for mixed in (events, [b"".join(events)]):
        assert await (await opened(*mixed)).collect() == plain


async def test_an_event_called_message_is_a_chunk() -> None:
    read = await opened(*[b"event: message\n" + each for each in hello()])

    assert (await read.collect()).text == "hello"


async def test_venice_s_own_fields_count_without_choices() -> None:
    read = await opened(*hello()[:3], event({"venice_parameters": {"enable_e2ee": False}}), event({"cost": {"usd": 1}}), DONE)
    whole = await read.collect()

    assert whole["venice_parameters"] == {"enable_e2ee": False}
    assert whole["cost"] == {"usd": 1}


# -- [DONE] --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "choices", "missing", "texts"),
    [
        pytest.param([], 1, "[0]", "", id="no choice"),
        pytest.param([event(envelope(choices=[], usage={"total_tokens": 1}))], 1, "[0]", "", id="usage alone"),
        pytest.param([event(chunk("a", finish="stop")), event(chunk("b", index=1))], 2, "[1]", "ab", id="one without a reason"),
        pytest.param([event(chunk("a", finish="stop"))], 2, "[1]", "a", id="one that never came"),
        pytest.param([event(chunk("a"))], 2, "[0, 1]", "a", id="one that never came, the other without a reason"),
        pytest.param([event(chunk("a", index=5, finish="stop"))], 3, "[0, 1]", "a", id="all but one, which has another index"),
        pytest.param(
            [event(chunk("a")), event(chunk("b", index=1, finish="stop"))], 1, "[0]", "ab", id="one more than asked for"
        ),
    ],
)
async def test_done_makes_no_answer_whole_of_which_a_choice_is_missing(
    pieces: list[bytes], choices: int, missing: str, texts: str
) -> None:
    client, _ = client_of(stream(*pieces, DONE))
    read = await client.chat.completions.stream(model="m", messages=HI, n=choices)

    with pytest.raises(StreamInterruptedError) as caught:
        await read.collect()

    assert missing in str(caught.value)
    assert caught.value.partial is not None
    assert "".join(choice.message.text or "" for choice in caught.value.partial.choices) == texts


@pytest.mark.parametrize("choices", [1, 2])
async def test_done_is_an_end_where_no_choice_has_a_finish_reason(choices: int) -> None:
    client, _ = client_of(stream(event(chunk("a")), event(chunk("b", index=1)), DONE))
    read = await client.chat.completions.stream(model="m", messages=HI, n=choices)

    assert [choice.message.content for choice in (await read.collect()).choices] == ["a", "b"]


# -- what an error takes along -------------------------------------------------------------------------------------------

ECHO = f"boo {KEY} boo"
REPEATED = [
    pytest.param(stream(event({"error": {"message": ECHO, "code": KEY}})), id="an error in a stream"),
    pytest.param(stream(event(chunk("hel")), event({"detail": ECHO})), id="a detail in a stream"),
    pytest.param(stream(b"event: error\n" + event(ECHO)), id="an event called error"),
    pytest.param(stream(event("x" * 70 + KEY)), id="an event that is not JSON"),
    pytest.param(stream(event(["x" * 70 + KEY])), id="an event that is a list"),
    pytest.param(stream(ECHO.encode()), id="words in place of a stream"),
    pytest.param(stream(f"<html>{ECHO}".encode()), id="a page that calls itself a stream"),
    pytest.param(ScriptedReply(f"<html>{ECHO}".encode(), headers={"content-type": "text/html"}), id="a page"),
    pytest.param(answer({"error": ECHO}), id="an error"),
    pytest.param(answer({"error": "x" * 990 + KEY}), id="a key that is cut"),
    pytest.param(answer({"object": "error", KEY: ECHO, "error": "no"}), id="a member's name"),
    pytest.param(answer([ECHO]), id="JSON that is not an object"),
    pytest.param(answer({"error": ECHO}, status=503), id="a refusal"),
    pytest.param(ScriptedReply(f'{{"id": "{KEY}'.encode(), headers={"content-type": "application/json"}), id="broken JSON"),
]


def frames(error: BaseException) -> Iterator[Any]:
    for part in (error, error.__cause__, error.__context__):
        for frame, _ in traceback.walk_tb(part.__traceback__ if part else None):
            if "/venice_ai/" in frame.f_code.co_filename:
                yield frame


@pytest.mark.parametrize("reply", REPEATED)
@pytest.mark.parametrize("how", ["plain", "stream", "catalogue"])
async def test_a_key_that_a_server_repeats_is_in_no_error(reply: ScriptedReply, how: str) -> None:
    client, _ = client_of(ScriptedReply(*reply.script, status=reply.status, headers=dict(reply.headers)), max_retries=0)

    with pytest.raises(APIError) as caught:
        if how == "plain":
            await client.chat.completions.create(model="m", messages=HI)
        elif how == "stream":
            await (await client.chat.completions.stream(model="m", messages=HI)).collect()
        else:
            await client.models.list()

    error = caught.value
    shown = [str(error), repr(error), repr(error.body), repr(error.code), repr(error.partial and error.partial.model_dump())]
    shown += [repr(part) + repr(vars(part)) for part in (error.__cause__, error.__context__) if part is not None]
    shown += [repr({name: value for name, value in frame.f_locals.items() if name != "self"}) for frame in frames(error)]
    assert not [text for text in shown if KEY[:24] in text]


@pytest.mark.parametrize(
    "pieces",
    [
        [event(chunk("hel")), APIConnectionError("the connection was reset")],
        [event(chunk("hel")), event({"error": "boo"})],
        [event({"error": "boo"})],
        [event(BUSY)],
        [event(chunk("hel")), b"data: {broken\n\n"],
        [b'{"error": "boo"}'],
        [event(chunk("hel"))],
    ],
)
async def test_a_failed_stream_leaves_no_cycle(pieces: list[Piece]) -> None:
    gc.collect()
    gc.disable()
    try:
        read = await opened(*pieces)
        gone = weakref.ref(read._reader)
        with pytest.raises(APIError):
            async for _ in read:
                pass
        for piece in pieces:
            if isinstance(piece, BaseException):
                piece.__traceback__ = None  # the test itself keeps it
        with pytest.raises(APIError):
            await read.collect()
        del read
        await asyncio.sleep(0)
        assert gone() is None
    finally:
        gc.enable()


async def test_a_stream_error_that_the_caller_dropped_is_raised_again() -> None:
    read = await opened(event(chunk("hel")), event({"error": {"message": "boo", "code": "x"}}))
    with pytest.raises(APIError):
        await read.collect()

    with pytest.raises(APIError, match="boo") as caught:
        await read.collect()

    assert caught.value.code == "x"
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


# -- a body that ends in the middle --------------------------------------------------------------------------------------


@pytest.mark.parametrize("left", range(3, 60, 7))
async def test_a_body_that_ends_within_an_event_is_not_called_malformed_json(left: int) -> None:
    *whole, last = hello()[:2]
    with pytest.raises(StreamInterruptedError, match="it ended within an event") as caught:
        await (await opened(*whole, last[:-left])).collect()

    assert "not JSON" not in str(caught.value)
    assert caught.value.body is not None


async def test_the_error_of_an_event_that_is_not_json_says_so() -> None:
    event = b"{nonsense" * 20
    with pytest.raises(StreamInterruptedError) as caught:
        await (await opened(*hello()[:2], b"data: " + event + b"\n\n", *hello()[2:])).collect()

    assert str(caught.value).startswith(f"the stream broke off after 2 chunks: an event is not JSON: {event!r:.100}. What")
    assert caught.value.body == event.decode()


@pytest.mark.parametrize("together", [False, True])
async def test_an_answer_that_began_is_not_retried_although_its_last_chunk_was_empty(together: bool) -> None:
    events = [ROLE, event(chunk("hel")), event(chunk("")), event(BUSY)]
    pieces = [b"".join(events)] if together else events
    client, transport = client_of(stream(*pieces), stream(*hello()), max_retries=2)

    with pytest.raises(APIError, match="busy") as caught:
        await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert len(transport.bodies) == 1
    assert caught.value.counts_as == 200
