"""`collect()` gives the message that `create` would have given, however a server cut it into deltas."""

from __future__ import annotations

import json
from itertools import pairwise
from random import Random
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import ChatCompletionChunk, ChatCompletionResponse, ChatStream
from venice_ai._wire.assembly import Assembly
from venice_ai._wire.json_text import decode
from venice_ai.types._base import is_object

from ..fakes import DONE, FINISH, HI, answer, chunk, client_of, completion, envelope, event, stream


async def collected(*chunks: dict[str, Any]) -> ChatCompletionResponse:
    return await (await opened(*(event(json.dumps(each)) for each in chunks), FINISH, DONE)).collect()


async def opened(*pieces: bytes) -> ChatStream:
    """A stream that gives these pieces."""
    client, _ = client_of(stream(*pieces), max_retries=0)
    return await client.chat.completions.stream(model="m", messages=HI)


# -- what the loops of the documents meet ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "choice",
    [
        {"index": 0},
        {"index": 0, "delta": None},
        {"index": 0, "delta": "x"},
        {},
        {"message": "x"},
        {"message": {}},
        {"delta": {}, "message": 7},
    ],
    ids=repr,
)
async def test_a_choice_without_delta_reads_as_an_empty_delta(choice: dict[str, Any]) -> None:
    read = await opened(event(chunk("hel")), event(envelope(choices=[choice])), event(chunk("lo")), FINISH, DONE)

    chunks = [piece async for piece in read]

    assert "".join(piece.choices[0].delta.content or "" for piece in chunks) == "hello"
    assert [piece["choices"][0]["delta"].get("role") for piece in chunks] == [None] * 4
    assert chunks[1].model_dump()["choices"] == [choice]  # what came stays what it is


@pytest.mark.parametrize("choices", [None, 7, "text", {"index": 0}, [None], [7, "x"]], ids=repr)
async def test_the_documented_loop_skips_chunks_whose_choices_are_null_or_empty(choices: Any) -> None:
    read = await opened(event(chunk("hel")), event(envelope(choices=choices)), event(chunk("lo")), FINISH, DONE)

    assert "".join([piece.choices[0].delta.content or "" async for piece in read]) == "hello"


async def test_a_chunk_that_only_ends_its_choice_stays_as_it_came() -> None:
    end = envelope(choices=[{"index": 0, "finish_reason": "stop"}])
    read = await opened(event(chunk("hello")), event(end))

    assert [piece.model_dump() async for piece in read][1] == end


@pytest.mark.parametrize(
    ("delta", "begins"),
    [
        ({"odd": "x"}, True),
        ({"odd": [1]}, True),
        ({"odd": {"a": 1}}, True),
        ({"content": [{"type": "text", "text": "x"}]}, True),
        ({"odd": ""}, False),
        ({"odd": []}, False),
        ({"odd": {}}, False),
        ({"odd": 7}, False),
        ({"odd": True}, False),
        ({"role": "assistant", "name": "n"}, False),
        ({"name": ["n"]}, False),
    ],
    ids=repr,
)
def test_texts_lists_and_objects_that_are_not_empty_are_content(delta: dict[str, Any], begins: bool) -> None:
    assembly = Assembly(1)

    assert assembly.add(read(chunk(**delta))) is begins
    assert assembly.begun is begins


async def test_half_of_a_surrogate_pair_before_parts_that_end_the_answer_is_kept() -> None:
    end = chunk(finish="stop")
    end["choices"][0]["delta"] = {"content": [{"type": "text", "text": "b"}]}
    whole = await collected(chunk("a\ud83d"), end)

    assert whole.text == "ab\ud83d"


@pytest.mark.parametrize("choice", [{"index": 0}, {"message": None}, {"message": "x"}, None, 7], ids=repr)
async def test_a_choice_without_message_reads_as_an_empty_message(choice: Any) -> None:
    client, _ = client_of(answer({**completion(), "choices": [choice]}))

    reply = await client.chat.completions.create(model="m", messages=HI)

    assert reply.choices[0].message.content is None
    assert reply.choices[0].message.tool_calls is None
    assert reply["choices"][0]["message"].get("content") is None
    assert reply.model_dump()["choices"] == [choice]


# -- any message, cut as servers cut it ------------------------------------------------------------------------------------

TEXTS = st.text('ab é😀"\\{', min_size=1, max_size=6)
NAMES = st.sampled_from(["alpha", "beta", "gamma"])
OBJECTS: st.SearchStrategy[Any] = st.dictionaries(NAMES, TEXTS | st.integers(), min_size=1, max_size=3)
IMAGES: st.SearchStrategy[Any] = TEXTS.map(lambda url: {"type": "image_url", "image_url": {"url": url}})
PARTS: st.SearchStrategy[Any] = TEXTS.map(lambda text: {"type": "text", "text": text})
CALLS: st.SearchStrategy[Any] = st.tuples(NAMES, OBJECTS).map(
    lambda call: {"type": "function", "function": {"name": call[0], "arguments": json.dumps(call[1])}}
)
DETAILS: st.SearchStrategy[Any] = st.sampled_from(["reasoning.text", "reasoning.summary", "reasoning.encrypted"]).flatmap(
    lambda kind: st.fixed_dictionaries(
        {"type": st.just(kind), {"reasoning.text": "text", "reasoning.summary": "summary"}.get(kind, "data"): TEXTS},
        optional={"signature": TEXTS, "format": NAMES},
    )
)
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    "content": TEXTS | st.lists(PARTS | IMAGES, min_size=1, max_size=3),
    **dict.fromkeys(["reasoning_content", "reasoning", "refusal", "thought_signature", "a_text_of_tomorrow"], TEXTS),
    **dict.fromkeys(["annotations", "images", "citations", "a_list_of_tomorrow"], st.lists(OBJECTS, min_size=1, max_size=3)),
    "audio": st.fixed_dictionaries({"id": NAMES, "data": TEXTS}, optional={"transcript": TEXTS, "expires_at": st.integers(1)}),
    "function_call": st.fixed_dictionaries({"name": NAMES, "arguments": TEXTS}),
    "tool_calls": st.lists(CALLS, min_size=1, max_size=3),
    "reasoning_details": st.lists(DETAILS, min_size=1, max_size=4),
    "an_object_of_tomorrow": st.dictionaries(NAMES, TEXTS | st.lists(st.integers(), min_size=1), min_size=1),
}
MESSAGES: st.SearchStrategy[Any] = st.sets(st.sampled_from(sorted(MEMBERS)), max_size=4).flatmap(
    lambda names: st.fixed_dictionaries({name: MEMBERS[name] for name in sorted(names)})
)
WHOLE = frozenset({"id", "type", "name", "format", "role", "signature", "thought_signature"})


def pieces_of(random: Random, value: Any, name: str = "") -> list[Any]:
    """A member in the pieces in which servers send it; what is missing from a piece of an object is null, empty or absent."""
    if is_object(value):
        return [{key: piece} for key, inner in value.items() for piece in pieces_of(random, inner, key)]
    if not isinstance(value, (str, list)) or name in WHOLE:
        return [value]
    whole = cast("list[Any]", value)  # or a text, which is cut alike
    edges = sorted({0, len(whole), *(random.randint(0, len(whole)) for _ in range(random.randint(0, 3)))})
    return [whole[start:end] for start, end in pairwise(edges)]


def deltas_of(random: Random, message: dict[str, Any]) -> list[dict[str, Any]]:
    """The message as deltas: each member's pieces in their order, the members mixed."""
    queues: list[list[dict[str, Any]]] = []
    for name, value in message.items():
        if name == "tool_calls":
            calls = [{"id": f"c{index}", **call} for index, call in enumerate(value)]
            fragments = [_fragments(random, call, index) for index, call in enumerate(calls)]
            queues += [[{name: [fragment]} for fragment in of_one] for of_one in fragments]
            message[name] = calls
        elif name == "reasoning_details":
            # Of one index as long as the type is another than that of the entry before, as servers number them.
            entries: list[dict[str, Any]] = []
            for entry in value:
                last = entries[-1] if entries else {"index": -1}
                entries.append({**entry, "index": last["index"] + (last.get("type") in (None, entry["type"]))})
            queues.append([{name: [piece]} for entry in entries for piece in _with_type(pieces_of(random, entry), entry)])
            message[name] = entries
        else:
            queues.append([{name: piece} for piece in pieces_of(random, value, name)])
    deltas: list[dict[str, Any]] = []
    while queues := [queue for queue in queues if queue]:
        deltas.append(random.choice(queues).pop(0))
    return deltas


def _fragments(random: Random, call: dict[str, Any], index: int) -> list[dict[str, Any]]:
    function = call["function"]
    first = {**call, "index": index, "function": {"name": function["name"], "arguments": ""}}
    return [first, *({"index": index, "function": {"arguments": piece}} for piece in pieces_of(random, function["arguments"]))]


def _with_type(pieces: list[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"type": entry["type"], "index": entry["index"], **piece} for piece in pieces]


EMPTY: list[dict[str, Any]] = [
    {},
    {"content": None},
    {"role": None, "tool_calls": None, "images": []},
    {"refusal": "", "audio": None},
]
ROLES: list[list[dict[str, Any]]] = [[{"role": "assistant", "content": ""}], [{"role": "assistant"}] * 2, []]


def cut(message: dict[str, Any], seed: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A message, with the ids and indices that its deltas give it, and the deltas."""
    random = Random(seed)
    message = {**message}
    deltas = [{**random.choice(EMPTY), **delta} for delta in deltas_of(random, message)]
    return message, [*random.choice(ROLES), *deltas, random.choice(EMPTY)]


@given(MESSAGES, st.integers(0, 2**32))
def test_the_collected_message_equals_the_one_that_was_cut_into_deltas(given_message: dict[str, Any], seed: int) -> None:
    message, deltas = cut(given_message, seed)
    assembly = Assembly(1)
    for delta in deltas:
        says = {key: value for key, value in delta.items() if value and key != "role"}
        assert assembly.add(read(chunk(**delta))) == bool(says)  # all that a message is made of counts as progress

    found = assembly.response().choices[0].message.model_dump()

    assert {key: found.get(key) for key in message} == message
    assert not any(value for key, value in found.items() if key not in message and key != "role")


def read(data: dict[str, Any]) -> Any:
    return ChatCompletionChunk._adopt(decode(json.dumps(data).encode()))


NOTHING: list[Any] = []


# -- every shape by itself ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("deltas", "expected"),
    [
        pytest.param([{"images": [1]}, {"images": [2]}, {"refusal": ""}], {"images": [1, 2]}, id="lists add up"),
        pytest.param([{"think": "a"}, {"think": ""}, {"think": "b"}], {"think": "ab"}, id="unknown texts join"),
        pytest.param([{"name": "n"}, {"name": "n"}, {"name": ""}], {"name": "n"}, id="a name is said once"),
        pytest.param([{"name": "n"}, {"name": "m"}], {"name": "m"}, id="the last of two names"),
        pytest.param([{"name": ""}], {"name": ""}, id="an empty name where no other came"),
        pytest.param([{"thought_signature": "s"}] * 2, {"thought_signature": "s"}, id="a signature that is repeated"),
        pytest.param([{"think": "\ud83d"}, {"think": "\ude00"}], {"think": "😀"}, id="halves of a pair in an unknown text"),
        pytest.param(
            [{"audio": {"id": "a", "data": "AA"}}, {"audio": {"id": "a", "data": "BB", "transcript": "x"}}],
            {"audio": {"id": "a", "data": "AABB", "transcript": "x"}},
            id="audio",
        ),
        pytest.param(
            [{"audio": {"id": "a", "data": "AA"}}, {"audio": {"id": None, "data": None, "transcript": "", "parts": NOTHING}}],
            {"audio": {"id": "a", "data": "AA", "transcript": "", "parts": NOTHING}},
            id="null and empty members of an object",
        ),
        pytest.param([{"odd": ""}, {"list": NOTHING}], {"odd": "", "list": NOTHING}, id="empty members that no other replaced"),
        pytest.param(
            [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"name": "f", "arguments": "{}"}}],
            {"function_call": {"name": "f", "arguments": "{}"}},
            id="a function call of old",
        ),
        pytest.param(
            [{"content": ""}, {"content": [{"type": "text", "text": "a"}]}, {"content": [{"type": "image_url"}]}],
            {"content": [{"type": "text", "text": "a"}, {"type": "image_url"}]},
            id="content in parts",
        ),
        pytest.param(
            [{"content": "a"}, {"content": "b"}, {"content": [{"type": "image_url"}]}, {"content": "c"}],
            {"content": [{"type": "text", "text": "ab"}, {"type": "image_url"}, {"type": "text", "text": "c"}]},
            id="text around a part",
        ),
        pytest.param([{"content": [{"type": "image_url"}]}], {"content": [{"type": "image_url"}]}, id="content in one part"),
        pytest.param([{"content": {"a": 1}}], {"content": {"a": 1}}, id="content that is an object"),
        pytest.param([{"content": {"a": 1}}, {"content": {"b": 2}}], {"content": [{"a": 1}, {"b": 2}]}, id="two objects"),
        pytest.param([{"content": 7}, {"content": "a"}], {"content": "a"}, id="a number beside text"),
        pytest.param([{"content": 7}], {"content": 7}, id="a number"),
        pytest.param([{"content": 7}, {"content": 8}], {"content": [7, 8]}, id="two numbers"),
        pytest.param([{"content": ""}, {"content": {"a": 1}}], {"content": {"a": 1}}, id="an object after an empty text"),
        pytest.param([{"content": {"text": "a"}}, {"content": "b"}], {"content": "ab"}, id="an object with a text"),
        pytest.param([{"content": NOTHING}], {"content": NOTHING}, id="no parts"),
        pytest.param(
            [{"content": [{"type": "image_url"}, {"type": "text", "text": ""}]}, {"content": "x"}, {"content": [7]}],
            {"content": [{"type": "image_url"}, {"type": "text", "text": "x"}]},
            id="an empty text and a number between parts",
        ),
        pytest.param(
            [{"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}", "parsed": {"a": 1}}}]}],
            {"tool_calls": [{"type": "function", "id": "c", "function": {"name": "f", "parsed": {"a": 1}, "arguments": "{}"}}]},
            id="more of a called function",
        ),
    ],
)
async def test_each_member_of_a_choice_is_collected_by_its_rule(deltas: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    message = (await collected(*(chunk(**delta) for delta in deltas))).choices[0].message.model_dump()

    assert {key: message.get(key) for key in expected} == expected


DETAIL_SHAPES = [
    pytest.param(
        [
            {"index": 0, "type": "t", "text": "a"},
            {"index": 0, "type": "t", "text": "b"},
            {"index": 0, "type": "t", "signature": "s"},
        ],
        [{"index": 0, "type": "t", "text": "ab", "signature": "s"}],
        id="one index, one type",
    ),
    pytest.param(
        [
            {"index": 0, "type": "t", "text": "a"},
            {"index": 0, "type": "e", "data": "d"},
            {"index": 0, "type": "t", "text": "b"},
        ],
        [
            {"index": 0, "type": "t", "text": "a"},
            {"index": 0, "type": "e", "data": "d"},
            {"index": 0, "type": "t", "text": "b"},
        ],
        id="a change of type at one index",
    ),
    pytest.param(
        [
            {"index": 0, "type": "t", "text": "a"},
            {"index": 1, "type": "t", "text": "x"},
            {"index": 0, "type": "t", "text": "b"},
        ],
        [{"index": 0, "type": "t", "text": "ab"}, {"index": 1, "type": "t", "text": "x"}],
        id="two indices, interleaved",
    ),
    pytest.param(
        [{"index": 0, "type": "t", "text": "a"}, {"index": 0, "text": "b"}],
        [{"index": 0, "type": "t", "text": "ab"}],
        id="the type said once",
    ),
    pytest.param(
        [{"index": 0, "type": "e", "id": "x", "data": "a"}, {"index": 0, "type": "e", "id": "y", "data": "b"}],
        [{"index": 0, "type": "e", "id": "x", "data": "a"}, {"index": 0, "type": "e", "id": "y", "data": "b"}],
        id="another id",
    ),
    pytest.param(
        [{"type": "e", "data": "a"}, {"type": "e", "data": "b"}],
        [{"type": "e", "data": "a"}, {"type": "e", "data": "b"}],
        id="no index",
    ),
    pytest.param(
        [{"type": "e", "data": "a"}, {"index": 0, "type": "t", "text": "b"}],
        [{"type": "e", "data": "a"}, {"index": 0, "type": "t", "text": "b"}],
        id="one without an index, then one with an index",
    ),
    pytest.param(
        [{"index": 0, "type": "t", "text": "\ud83d"}, {"index": 0, "type": "t", "text": "\ude00"}],
        [{"index": 0, "type": "t", "text": "😀"}],
        id="halves of a pair",
    ),
]


@pytest.mark.parametrize(("fragments", "entries"), DETAIL_SHAPES)
async def test_details_of_reasoning_are_joined_by_index_and_type(
    fragments: list[dict[str, Any]], entries: list[dict[str, Any]]
) -> None:
    for deltas in ([[fragment] for fragment in fragments], [fragments]):
        whole = await collected(*(chunk(reasoning_details=delta) for delta in deltas))

        assert whole.choices[0].message.reasoning_details == entries


async def test_calls_that_come_in_another_order_are_collected_by_their_index() -> None:
    calls = [{"index": index, "id": f"call_{index}", "function": {"name": "f", "arguments": "{}"}} for index in (1, 0)]
    whole = await collected(*(chunk(tool_calls=[call]) for call in calls))

    assert [call.id for call in whole.choices[0].message.tool_calls or []] == ["call_0", "call_1"]


async def test_what_every_chunk_says_of_its_answer_is_collected_once() -> None:
    whole = await collected({**chunk("a"), "system_fingerprint": None}, chunk("b"))

    assert (whole.id, whole.created, whole.model) == ("chatcmpl-1", 1_780_000_000, "example-private-small")
    assert whole.keys() == {*chunk(), "object", "choices"}  # a member that is always null is none


async def test_chunk_members_beside_the_choices_are_kept_from_any_chunk() -> None:
    citations = [{"title": "T", "url": "u"}]
    whole = await collected(
        {**chunk("a"), "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 4}}, "citations": ["u"]},
        {**chunk("b"), "venice_parameters": {"web_search_citations": citations, "enable_web_search": "on"}},
        {**chunk("c"), "venice_parameters": {"web_search_citations": []}, "usage": {"completion_tokens": 1}, "citations": []},
        {
            **chunk("d"),
            "later": {"choices": [1]},
            "venice_parameters": None,
            "usage": {"completion_tokens": 2, "prompt_tokens_details": {}},
        },
    )

    assert whole.usage == {"prompt_tokens": 9, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 4}}
    assert whole.usage is not None
    assert whole.usage.cached_tokens == 4
    assert whole.venice_parameters == {"web_search_citations": citations, "enable_web_search": "on"}
    assert whole.web_search_citations[0].title == "T"
    assert whole["citations"] == ["u"]
    assert whole["later"] == {"choices": [1]}


async def test_lists_of_a_choice_add_up() -> None:
    events = [chunk("a"), chunk("b")]
    events[0]["choices"][0] |= {"token_ids": [1], "matched": "x"}
    events[1]["choices"][0] |= {"token_ids": [2, 3], "matched": ""}

    choice = (await collected(*events)).choices[0]

    assert (choice["token_ids"], choice["matched"]) == ([1, 2, 3], "x")


async def test_the_last_value_of_a_choice_counts_and_an_empty_one_only_where_no_other_came() -> None:
    events = [chunk(text) for text in "abc"]
    for each, value in zip(events, ("x", "y", ""), strict=True):
        each["choices"][0] |= {"matched": value, "empty": [] if value else "", "flag": value == "x"}

    choice = (await collected(*events)).choices[0]

    assert (choice["matched"], choice["empty"], choice["flag"]) == ("y", [], False)


@pytest.mark.parametrize("name", ["a", "delta_", "m", "zz"])
@pytest.mark.parametrize("value", ["x", [1], {"b": 1}, 7], ids=repr)
async def test_an_unknown_member_is_kept_wherever_it_stands_and_whatever_its_name_is(name: str, value: Any) -> None:
    events = [chunk("hel"), {**chunk("lo", **{name: value}), name: value}]
    events[1]["choices"][0][name] = value

    whole = await collected(*events)

    assert whole.text == "hello"
    assert (whole[name], whole.choices[0][name], whole.choices[0].message[name]) == (value, value, value)


@pytest.mark.parametrize("kinds", [("object", "list"), ("object", "object"), ("list", "list")], ids="-".join)
async def test_deeply_nested_values_are_collected(kinds: tuple[str, str]) -> None:
    deep: Any = 1
    for kind in kinds * 300:
        deep = {"a": deep} if kind == "object" else [deep]

    whole = await collected({**chunk("a", odd=deep), "odd": deep}, chunk("b", odd=deep))

    assert whole.text == "ab"
    assert whole["odd"] == deep


def within(value: Any, levels: int) -> Any:
    """A value in so many objects."""
    for _ in range(levels):
        value = {"a": value}
    return value


@pytest.mark.parametrize(("levels", "joined"), [(1, True), (15, True), (16, True), (17, False)])
async def test_objects_are_joined_sixteen_levels_deep_and_below_that_the_last_one_counts(levels: int, joined: bool) -> None:
    first, second = ({**chunk(odd=within(text, levels)), "odd": within({text: 1}, levels)} for text in "xy")

    whole = await collected(first, second)

    assert whole.choices[0].message["odd"] == within("xy" if joined else "y", levels)
    # Beside the choices the object that holds the texts is one more.
    beside = {"x": 1, "y": 1} if levels < 16 else {"y": 1}
    assert whole["odd"] == within(beside, levels)


@pytest.mark.parametrize(
    ("value", "later", "collected_value"), [("x", "", "x"), (0, False, False), ([1], [], [1]), ({"a": 1}, {}, {"a": 1})]
)
async def test_an_empty_value_replaces_nothing_and_zero_and_false_are_not_empty(
    value: Any, later: Any, collected_value: Any
) -> None:
    whole = await collected({**chunk(odd=value), "odd": value}, {**chunk(odd=later), "odd": later})

    assert (whole.choices[0].message["odd"], whole["odd"]) == (collected_value, collected_value)


def test_the_collected_response_shares_no_object_with_the_chunks() -> None:
    assembly = Assembly(1)
    given_chunk = read({**chunk("a", images=[{"a": [1]}], audio={"data": "x"}), "odd": {"a": [1]}})
    assembly.add(given_chunk)
    first = assembly.response()
    first.choices[0].message["images"][0]["a"].append(2)
    first["odd"]["a"].append(2)
    given_chunk["choices"][0]["delta"]["images"].append("mine")

    again = assembly.response()

    assert again["odd"] == {"a": [1]}
    assert again.choices[0].message["images"] == [{"a": [1]}]


# -- what stands beside the choices ----------------------------------------------------------------------------------------


def delta(text: str) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": {"content": text}}]


async def test_a_server_that_begins_with_empty_names_is_known_by_those_that_follow() -> None:
    opening = {"id": "", "object": "", "created": 0, "model": "", "choices": [], "prompt_filter_results": [{"index": 0}]}
    named = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m1", "choices": delta("hello")}

    reply = await collected(opening, named)

    assert (reply.id, reply.created, reply.model, reply.text) == ("c1", 7, "m1", "hello")
    assert reply["prompt_filter_results"] == [{"index": 0}]


async def test_what_later_chunks_add_beside_their_choices_is_kept_in_the_order_in_which_it_came() -> None:
    named = {"id": "c1", "object": "chat.completion.chunk", "created": 7, "model": "m1"}
    more = {f"field_{number}": number for number in range(20)}
    usage = {"prompt_tokens": 10, "completion_tokens": 1, "total_tokens": 11}

    reply = await collected(
        {**named, "choices": delta("hel"), "usage": {**usage, "prompt_tokens_details": {"cached_tokens": 4}}},
        {**named, "choices": delta("lo"), **more, "usage": {**usage, "completion_tokens": 2, "total_tokens": 12}},
    )

    assert [name for name in reply.model_dump() if name.startswith("field_")] == list(more)
    assert reply.usage is not None
    assert reply.usage.total_tokens == 12
    assert reply.usage["prompt_tokens_details"] == {"cached_tokens": 4}
