"""Fragments of tool calls become the calls they are of, in every shape in which servers send them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import ChatStream

from ..fakes import DONE, HI, chunk, client_of, cut, event, stream


async def opened(*pieces: bytes) -> ChatStream:
    """A stream that gives these pieces."""
    client, _ = client_of(stream(*pieces), max_retries=0)
    return await client.chat.completions.stream(model="m", messages=HI)


def fragment(
    index: Any = ..., identity: Any = ..., name: Any = ..., arguments: Any = ..., *, kind: Any = "function"
) -> dict[str, Any]:
    """A fragment of a tool call; what is not given is absent."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not ...}
    given = {"index": index, "id": identity, "type": kind, "function": function}
    return {key: value for key, value in given.items() if value is not ...}


FRAGMENTS = [
    pytest.param(
        [[fragment(0, "c1", "add", "")], [fragment(0, None, None, '{"x"')], [fragment(0, None, None, ":1}", kind=None)]],
        [("c1", "add", '{"x":1}')],
        id="null on those that follow",
    ),
    pytest.param(
        [[fragment(0, "c1", "add", "")], [fragment(0, arguments='{"x"')], [fragment(0, arguments=":1}", kind=...)]],
        [("c1", "add", '{"x":1}')],
        id="absent on those that follow",
    ),
    pytest.param(
        [[fragment(0, "c1", "add", '{"x"')], [fragment(0, "c1", "add", ":1}")]],
        [("c1", "add", '{"x":1}')],
        id="id and name repeated",
    ),
    pytest.param(
        [[fragment(0, "c1", "add", '{"x"')], [fragment(0, "", "", ":1}")]],
        [("c1", "add", '{"x":1}')],
        id="empty on those that follow",
    ),
    pytest.param(
        [[fragment(0, "c1", "ad", "")], [fragment(0, None, "d", "{}")]], [("c1", "add", "{}")], id="a name in two pieces"
    ),
    pytest.param(
        [
            [fragment(0, "c1", "add", '{"a"'), fragment(1, "c2", "sub", '{"b"')],
            [fragment(1, arguments=":2}"), fragment(0, arguments=":1}")],
        ],
        [("c1", "add", '{"a":1}'), ("c2", "sub", '{"b":2}')],
        id="two calls, interleaved",
    ),
    pytest.param(
        [[fragment(0, "c1", "f", "{}")], [fragment(0, "c2", "f", "{}")]],
        [("c1", "f", "{}"), ("c2", "f", "{}")],
        id="one index, two ids",
    ),
    pytest.param(
        [
            [fragment(0, "c1", "f", '{"a"')],
            [fragment(0, arguments=":1}")],
            [fragment(0, "c2", "g", '{"b"')],
            [fragment(0, arguments=":2}")],
        ],
        [("c1", "f", '{"a":1}'), ("c2", "g", '{"b":2}')],
        id="one index, two ids, in fragments",
    ),
    pytest.param(
        [
            [fragment(0, "c1", "f", '{"a"')],
            [fragment(0, "c2", "g", '{"b"')],
            [fragment(0, "c1", None, ":1}")],
            [fragment(0, "c2", None, ":2}")],
        ],
        [("c1", "f", '{"a":1}'), ("c2", "g", '{"b":2}')],
        id="one index, two ids that return",
    ),
    pytest.param(
        [[fragment(identity="c1", name="f", arguments="{}")], [fragment(identity="c2", name="g", arguments="{}")]],
        [("c1", "f", "{}"), ("c2", "g", "{}")],
        id="no index, two ids",
    ),
    pytest.param(
        [[fragment(identity="c1", name="f", arguments='{"a"')], [fragment(identity="c1", arguments=":1}")]],
        [("c1", "f", '{"a":1}')],
        id="no index, one id in fragments",
    ),
    pytest.param(
        [[fragment(identity="c1", name="f", arguments='{"a"')], [fragment(arguments=":1}")]],
        [("c1", "f", '{"a":1}')],
        id="no index, a continuation without an id",
    ),
    pytest.param(
        [[fragment(name="f", arguments='{"a":1}'), fragment(name="g", arguments='{"b":2}')]],
        [(None, "f", '{"a":1}'), (None, "g", '{"b":2}')],
        id="whole calls with neither index nor id",
    ),
    pytest.param(
        [[fragment(name="f", arguments="{}")], [fragment(name="f", arguments="{}")]],
        [(None, "f", "{}"), (None, "f", "{}")],
        id="the same whole call twice, with neither",
    ),
    pytest.param(
        [[fragment(name="f", arguments=""), fragment(name="g", arguments="")]],
        [(None, "f", ""), (None, "g", "")],
        id="whole calls without arguments, with neither",
    ),
    pytest.param(
        [[fragment(name="f"), fragment(name="g")], [fragment(name="h")]],
        [(None, "f", ""), (None, "g", ""), (None, "h", "")],
        id="names alone, with neither",
    ),
    pytest.param(
        [[fragment(name="f")], [fragment(name="f", arguments='{"a"')], [fragment(name="f", arguments=":1}")]],
        [(None, "f", '{"a":1}')],
        id="a name repeated, with neither",
    ),
    pytest.param(
        [[fragment(None, "c1", "f", "{}"), fragment(None, "c2", "g", "{}")]],
        [("c1", "f", "{}"), ("c2", "g", "{}")],
        id="a null index",
    ),
    pytest.param(
        [[fragment("0", "c1", "f", "{}"), fragment("zero", "c2", "g", "{}")]],
        [("c1", "f", "{}"), ("c2", "g", "{}")],
        id="an index that is a text",
    ),
    pytest.param(
        [[fragment(-1, "c1", "f", "{}"), fragment(-1, "c2", "g", "{}")]],
        [("c1", "f", "{}"), ("c2", "g", "{}")],
        id="a negative index",
    ),
    pytest.param(
        [[fragment(0, "c1", "f", "{}")], [fragment(0, None, 7, "{}")]],
        [("c1", "f", "{}"), (None, "", "{}")],
        id="a name that is a number",
    ),
    pytest.param(
        [[fragment(-1, name="f"), fragment(-1, name="g")]],
        [(None, "f", ""), (None, "g", "")],
        id="names alone, with a negative index",
    ),
    pytest.param(
        [[fragment(1, "c1", "f", "{}"), fragment(None, "c2", "g", "{}"), fragment(0, "c3", "h", "{}")]],
        [("c1", "f", "{}"), ("c2", "g", "{}"), ("c3", "h", "{}")],
        id="indices out of order, and a call without one",
    ),
    pytest.param(
        [[fragment(7, "c1", "f", '{"a"')], [fragment(7, arguments=":1}")]],
        [("c1", "f", '{"a":1}')],
        id="an index that does not begin with 0",
    ),
    pytest.param([[fragment(0, "c1", "f", {"a": 1})]], [("c1", "f", '{"a": 1}')], id="arguments that are an object"),
    pytest.param([[fragment(0, "c1", "f")]], [("c1", "f", "")], id="no arguments at all"),
    pytest.param([[fragment(0, "c1", "f", None)]], [("c1", "f", "")], id="arguments null"),
    pytest.param(
        [[{"index": 0, "id": "c1"}], [fragment(0, None, "f", "{}")]], [("c1", "f", "{}")], id="the id first, the function later"
    ),
    pytest.param(
        [[fragment(0, None, "f", '{"a"')], [fragment(0, "c1", None, ":1}")]], [("c1", "f", '{"a":1}')], id="the id late"
    ),
    pytest.param([None, [], [None], [fragment(0, "c1", "f", "{}")], [7, "x"]], [("c1", "f", "{}")], id="odd things between"),
]


@pytest.mark.parametrize(("fragments", "calls"), FRAGMENTS)
async def test_fragments_become_the_calls_they_are_of(fragments: list[Any], calls: list[tuple[str | None, str, str]]) -> None:
    pieces = [event(chunk(tool_calls=tool_calls)) for tool_calls in fragments]
    read = await opened(*pieces, event(chunk(finish="tool_calls")), DONE)

    found = (await read.collect()).choices[0].message.tool_calls or []

    assert [(call.get("id"), call.function.name, unspaced(call.function.arguments)) for call in found] == [
        (identity, name, unspaced(arguments)) for identity, name, arguments in calls
    ]
    assert [call.type for call in found] == ["function"] * len(calls)


def unspaced(arguments: str) -> str:
    return arguments.replace(" ", "")


async def test_the_calls_of_two_choices_are_kept_apart() -> None:
    read = await opened(
        event(chunk(tool_calls=[fragment(0, "c1", "f", '{"a"')])),
        event(chunk(tool_calls=[fragment(0, "c2", "g", '{"b"')], index=1)),
        event(chunk(tool_calls=[fragment(0, arguments=":1}")])),
        event(chunk(tool_calls=[fragment(0, arguments=":2}")], index=1)),
        DONE,
    )

    whole = await read.collect()

    found = [[(call.id, call.function.arguments) for call in choice.message.tool_calls or []] for choice in whole.choices]
    assert found == [[("c1", '{"a":1}')], [("c2", '{"b":2}')]]


@given(
    calls=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 99), max_size=3), min_size=1, max_size=3),
    positions=st.lists(st.integers(0, 30), max_size=4),
    order=st.randoms(use_true_random=False),
)
async def test_calls_cut_anywhere_and_mixed_by_index_are_whole(
    calls: list[dict[str, int]], positions: list[int], order: Any
) -> None:
    queues: list[list[dict[str, Any]]] = []
    for index, arguments in enumerate(calls):
        pieces = [piece.decode() for piece in cut(json.dumps(arguments).encode(), *positions)]
        queues.append([fragment(index, f"c{index}", "f", ""), *(fragment(index, None, None, piece) for piece in pieces)])
    mixed: list[dict[str, Any]] = [queue.pop(0) for queue in queues]
    while any(queues):
        mixed.append(order.choice([queue for queue in queues if queue]).pop(0))

    read = await opened(*(event(chunk(tool_calls=[piece])) for piece in mixed), event(chunk(finish="tool_calls")), DONE)

    found = (await read.collect()).choices[0].message.tool_calls or []
    assert [call.function.arguments_dict for call in found] == calls
