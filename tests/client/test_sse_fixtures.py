"""Streams as Venice sends them, through a real client: what is expected of each is written beside it in the shared data.

Those of an encrypted chat are read here as what they are on the wire; nothing here decrypts.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai import APIError, ChatCompletionChunk, ChatCompletionResponse, ChatStream, RateLimitError, StreamInterruptedError
from venice_ai import UnprocessableEntityError as ContentPolicyError

from ..fakes import HI, ScriptedReply, client_of, cut, joined, stream
from ..shared import named, shared

FIXTURES: list[dict[str, Any]] = shared("sse-fixtures.json")
ENCRYPTED = [case for case in FIXTURES if case["name"].startswith("e2ee")]
FAILING = [case for case in FIXTURES if "error" in case["expect"] and case not in ENCRYPTED]
TRUNCATED = [case for case in FIXTURES if case["expect"].get("truncated")]
WHOLE = [case for case in FIXTURES if case not in [*ENCRYPTED, *FAILING, *TRUNCATED]]

every_whole_stream = pytest.mark.parametrize("case", named(WHOLE))
fed = pytest.mark.parametrize(
    "size", [pytest.param(0, id="in one piece"), pytest.param(1, id="byte by byte"), pytest.param(7, id="in pieces of 7 bytes")]
)


def reply_of(case: dict[str, Any], size: int = 0) -> ScriptedReply:
    raw = case["raw"].encode()
    return stream(*cut(raw, *(range(size, len(raw), size) if size else ())), headers=case.get("headers"))


async def opened(reply: ScriptedReply) -> ChatStream:
    client, _ = client_of(reply, max_retries=0)
    return await client.chat.completions.stream(model="example-private-small", messages=HI)


def test_the_fixtures_are_those_that_are_known() -> None:
    assert (len(WHOLE), len(FAILING), len(TRUNCATED), len(ENCRYPTED)) == (13, 3, 1, 3)


@fed
@every_whole_stream
async def test_a_whole_stream_is_collected_as_expected(case: dict[str, Any], size: int) -> None:
    answer = await (await opened(reply_of(case, size))).collect()

    assert_expected(answer, case["expect"])


def assert_expected(answer: ChatCompletionResponse, expected: dict[str, Any]) -> None:
    choice = answer.choices[0]
    checks: dict[str, Any] = {
        "content": choice.message.text or "",
        "finish_reason": choice.finish_reason,
        "reasoning_content": choice.message.reasoning_content,
        "usage": answer.usage,
        "tool_calls": [
            {"id": call.id, "name": call.function.name, "arguments": call.function.arguments}
            for call in choice.message.tool_calls or []
        ],
        "citations": answer.venice_parameters and answer.venice_parameters.get("web_search_citations"),
        "choices": [{"content": choice.message.text, "finish_reason": choice.finish_reason} for choice in answer.choices],
    }
    for name, value in expected.items():
        assert checks[name] == value, name


@every_whole_stream
async def test_iteration_gives_the_same_text_as_collect(case: dict[str, Any]) -> None:
    iterated, read, collected = [await opened(reply_of(case)) for _ in range(3)]

    chunks = [chunk async for chunk in iterated]
    deltas = [text async for text in read.text_deltas()]
    answer = await collected.collect()

    texts = [joined(delta_texts(chunks, choice.index)) for choice in answer.choices]
    assert texts == [choice.message.text or "" for choice in answer.choices]
    assert sorted(joined(deltas)) == sorted(joined(texts))
    assert "" not in deltas
    assert all(chunk.choices for chunk in chunks)


def delta_texts(chunks: list[ChatCompletionChunk], index: int) -> list[str | None]:
    return [choice.delta.content for chunk in chunks for choice in chunk.choices if choice.index == index]


@every_whole_stream
async def test_the_connection_is_given_back_after_the_end(case: dict[str, Any]) -> None:
    reply = reply_of(case)
    read = await opened(reply)

    async for _ in read:
        pass

    assert reply.closed


@every_whole_stream
async def test_what_came_late_is_in_the_whole_answer(case: dict[str, Any]) -> None:
    # Fields that stand on only one chunk: the last that is not null counts, wherever it came.
    answer = await (await opened(reply_of(case))).collect()

    for name in ("usage", "cost", "venice_parameters"):
        sent = [line[name] for line in chunks_in(case) if line.get(name)]
        assert answer.get(name) == (sent[-1] if sent else None)


def chunks_in(case: dict[str, Any]) -> list[dict[str, Any]]:
    lines = case["raw"].replace("\r", "").split("\n")
    return [json.loads(line.removeprefix("data:")) for line in lines if line.startswith("data:") and "[DONE]" not in line]


@pytest.mark.parametrize("cuts", [50, pytest.param(500, marks=pytest.mark.more)])
@every_whole_stream
async def test_a_stream_cut_anywhere_never_lies(case: dict[str, Any], cuts: int) -> None:
    raw = case["raw"].encode()
    whole = (await (await opened(reply_of(case))).collect()).choices
    for end in range(0, len(raw), max(1, len(raw) // cuts)):
        outcome = await collected(stream(raw[:end]))

        if isinstance(outcome, StreamInterruptedError):
            assert outcome.partial is not None
            for choice, complete in zip(outcome.partial.choices, whole, strict=False):
                assert (complete.message.text or "").startswith(choice.message.text or "")
        else:
            assert outcome.choices == whole


async def collected(reply: ScriptedReply) -> ChatCompletionResponse | StreamInterruptedError:
    try:
        return await (await opened(reply)).collect()
    except StreamInterruptedError as error:
        return error


@pytest.mark.parametrize("case", named(TRUNCATED))
async def test_a_truncated_stream_is_interrupted_and_keeps_what_came(case: dict[str, Any]) -> None:
    stream_ = await opened(reply_of(case))

    with pytest.raises(StreamInterruptedError) as caught:
        await stream_.collect()

    assert caught.value.partial is not None
    assert_expected(caught.value.partial, {"content": "x", "finish_reason": None})


@fed
@pytest.mark.parametrize("case", named(FAILING))
async def test_an_error_in_a_stream_is_raised_with_what_came_before(case: dict[str, Any], size: int) -> None:
    expected = case["expect"]["error"]
    stream_ = await opened(reply_of(case, size))
    texts: list[str] = []

    with pytest.raises(APIError) as caught:
        async for text in stream_.text_deltas():
            texts.append(text)  # noqa: PERF401  # what came before the error is wanted, too

    error = caught.value
    assert not isinstance(error, StreamInterruptedError)
    assert error.code == expected.get("code")
    assert error.retry_after_seconds == expected.get("retry_after")
    assert expected.get("message", "") in str(error)
    assert error.meta is not None
    assert error.partial is not None
    assert joined(texts) == case["expect"].get("content_before_error", "")
    assert (error.partial.text or "") == joined(texts)
    assert [choice.finish_reason for choice in error.partial.choices] == [None] * len(error.partial.choices)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("in-band error: overloaded", RateLimitError), ("in-band error: provider content block", ContentPolicyError)],
)
async def test_an_error_in_a_stream_is_of_the_class_that_its_code_has_elsewhere(name: str, kind: type[APIError]) -> None:
    (case,) = (case for case in FAILING if case["name"] == name)

    with pytest.raises(kind):
        await (await opened(reply_of(case))).collect()


@pytest.mark.parametrize("case", named(FAILING))
async def test_an_error_in_a_stream_is_raised_again_by_collect(case: dict[str, Any]) -> None:
    stream_ = await opened(reply_of(case))
    with pytest.raises(APIError) as first:
        async for _ in stream_:
            pass

    with pytest.raises(APIError) as second:
        await stream_.collect()

    assert second.value is first.value


@fed
@pytest.mark.parametrize("case", named(ENCRYPTED))
async def test_an_encrypted_stream_is_read_as_it_stands_on_the_wire(case: dict[str, Any], size: int) -> None:
    deltas = [choice["delta"] for line in chunks_in(case) for choice in line["choices"]]

    answer = await (await opened(reply_of(case, size))).collect()

    message = answer.choices[0].message
    assert (message.content or "") == joined(delta.get("content") for delta in deltas)
    assert (message.reasoning_content or "") == joined(delta.get("reasoning_content") for delta in deltas)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.meta.headers.get("x-venice-tee") == case["headers"].get("X-Venice-TEE")
