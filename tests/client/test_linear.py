"""Twice as much of anything costs about twice as much: no server can make a client slow with an unusual stream."""

from __future__ import annotations

import json
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest

from venice_ai import ChatCompletionChunk
from venice_ai._wire.assembly import Assembly
from venice_ai._wire.sse import EventParser

from ..fakes import DONE, FINISH, HI, chunk, client_of, event, stream

MOST_SECONDS = 10  # of CPU: ten times what each needs; some took minutes when they were quadratic


def assembled(chunks: Iterator[dict[str, Any]]) -> Assembly:
    assembly = Assembly(1)
    for data in chunks:
        assembly.add(ChatCompletionChunk._adopt(data))
    return assembly


def calls_of(assembly: Assembly) -> list[Any]:
    return assembly.response().choices[0].message.tool_calls or []


def fragments(count: int, *, name: str, arguments: str) -> Iterator[dict[str, Any]]:
    yield chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": name, "arguments": '{"a":"'}}])
    for _ in range(count):
        yield chunk(tool_calls=[{"index": 0, "function": {"name": name, "arguments": arguments}}])
    yield chunk(tool_calls=[{"index": 0, "function": {"arguments": '"}'}}])


@pytest.mark.parametrize("arguments", ["abcdefgh", "}{}}", "\\\\\\\\"], ids=["text", "brackets in a text", "backslashes"])
def test_tool_call_fragments_that_repeat_their_name_take_linear_time(arguments: str) -> None:
    began = process_time()

    (call,) = calls_of(assembled(fragments(16_000, name="add", arguments=arguments)))

    assert json.loads(call.function.arguments) == {"a": json.loads(f'"{arguments}"') * 16_000}
    assert process_time() - began < MOST_SECONDS


def test_arguments_that_are_never_json_are_read_once() -> None:
    began = process_time()
    found = assembled(
        chunk(tool_calls=[{"index": 0, "function": {"name": "f", "arguments": "{}x" * 9}}]) for _ in range(16_000)
    )

    (call,) = calls_of(found)

    assert len(call.function.arguments) == 27 * 16_000
    assert process_time() - began < MOST_SECONDS


def test_a_tool_name_in_many_pieces_takes_linear_time() -> None:
    began = process_time()
    pieces = (chunk(tool_calls=[{"index": 0, "function": {"name": f"piece{number},"}}]) for number in range(16_000))

    (call,) = calls_of(assembled(pieces))

    assert call.function.name.count(",") == 16_000
    assert process_time() - began < MOST_SECONDS


def test_tool_calls_without_an_index_take_linear_time() -> None:
    began = process_time()
    calls = ({"id": f"c{number}", "function": {"name": "f", "arguments": "{}"}} for number in range(10_000))

    found = calls_of(assembled(chunk(tool_calls=[call]) for call in calls))

    assert [call.id for call in found] == [f"c{number}" for number in range(10_000)]
    assert process_time() - began < MOST_SECONDS


async def test_many_choices_take_linear_time() -> None:
    began = process_time()
    client, _ = client_of(stream(*(event(chunk("a", finish="stop", index=index)) for index in range(16_000)), DONE))

    whole = await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert [choice.message.content for choice in whole.choices] == ["a"] * 16_000
    assert process_time() - began < MOST_SECONDS


async def test_tiny_pieces_before_the_first_event_take_linear_time() -> None:
    began = process_time()
    long = event(chunk("x" * 800_000)) + FINISH + DONE
    client, _ = client_of(stream(*(long[start : start + 2] for start in range(0, len(long), 2))))

    whole = await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert len(whole.text or "") == 800_000
    assert process_time() - began < MOST_SECONDS


@pytest.mark.parametrize("size", [7, 2**30])
@pytest.mark.parametrize("line_end", [b"\r", b"\n", b"\r\n"], ids=repr)
def test_lines_of_every_ending_take_linear_time(line_end: bytes, size: int) -> None:
    began = process_time()
    data = (b": a comment" + line_end + b"data: text" + line_end + line_end) * 20_000
    parser = EventParser()

    events = [
        found for start in range(0, len(data), size) for found in parser.feed(data[start : start + size])
    ] + parser.finish()

    assert events == [b"text"] * 20_000
    assert process_time() - began < MOST_SECONDS


def test_an_event_of_many_lines_takes_linear_time() -> None:
    began = process_time()
    parser = EventParser()

    events = [*parser.feed(b"data: x\r" * 200_000), *parser.feed(b"\r"), *parser.finish()]

    assert len(events[0].split(b"\n")) == 200_000
    assert process_time() - began < MOST_SECONDS
