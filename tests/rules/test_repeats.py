"""The shortcut for events that differ from an earlier one in one text gives the same chunks as parsing in full."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import ChatCompletionChunk
from venice_ai._wire.assembly import Assembly
from venice_ai._wire.json_text import NOT_STRICT, decode, strict_decode
from venice_ai.types._base import Model, is_array, is_object
from venice_ai.types._surrogates import without_half
from venice_ai.types._view import adopted

from ..fakes import chunk as fake
from ..fakes import envelope


def made(text: str, *, index: int = 0) -> dict[str, Any]:
    """A chunk as Venice writes it."""
    found = fake(text, index=index)
    found["choices"][0]["logprobs"] = None
    return found


def read(assembly: Assembly, event: bytes) -> tuple[ChatCompletionChunk, str]:
    """The chunk in an event, and the way on which it was read; the ways of `streaming.ChunkReader.chunks`."""
    if (found := assembly.repeated(event)) is not None:
        return found, "repeated"
    try:
        data = strict_decode(event)
    except NOT_STRICT:
        data = decode(event)
    typed = ChatCompletionChunk._adopt(data)
    assembly.add(typed)
    assembly.learn(event)
    return typed, "any"


def is_halved(assembly: Assembly) -> bool:
    """Whether half of a surrogate pair waits for the other."""
    return any(choice.halves for choice in assembly.choices)


def events_of(texts: list[str]) -> list[bytes]:
    """A stream of these texts."""
    return [json.dumps(made(text), separators=(",", ":")).encode() for text in texts]


def ways(events: list[bytes]) -> list[str]:
    assembly = Assembly(1)
    return [read(assembly, event)[1] for event in events]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(
    ['"', "\\", '\\"', '","', '"content":"', "\ud83d", "\ude00"]
)
VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=2)


@given(
    texts=st.lists(TEXTS, min_size=1, max_size=12),
    deltas=st.dictionaries(st.sampled_from(["reasoning_content", "tool_calls", "role"]), VALUES, max_size=2),
    extra=st.dictionaries(st.sampled_from(["system_fingerprint", "usage", "x"]), VALUES, max_size=2),
    ascii_only=st.booleans(),
    spaces=st.booleans(),
    indices=st.lists(st.sampled_from([0, 0, 0, 1]), min_size=12, max_size=12),
)
def test_every_chunk_is_what_its_event_says(
    texts: list[str], deltas: dict[str, Any], extra: dict[str, Any], ascii_only: bool, spaces: bool, indices: list[int]
) -> None:
    assembly = Assembly(1)
    said: dict[int, list[str]] = {}
    for text, index in zip(texts, indices, strict=False):
        event = made(text, index=index) | extra
        event["choices"][0]["delta"] |= deltas
        written = json.dumps(event, ensure_ascii=ascii_only, separators=None if spaces else (",", ":"))
        halved = is_halved(assembly)
        found, _ = read(assembly, written.encode("utf-8", "surrogatepass"))
        expected = decode(written.encode("utf-8", "surrogatepass"))

        if not (halved or is_halved(assembly)):
            assert found == ChatCompletionChunk.model_validate(expected)
            assert json.dumps(found.model_dump()) == json.dumps(expected)  # in the same order
        said.setdefault(index, []).append(expected["choices"][0]["delta"]["content"])
    contents = {choice.index: choice.message.content for choice in assembly.response().choices}
    for index, parts in said.items():
        assert str(contents[index] or "") == without_half("".join(parts))[0]


def kinds(value: Any) -> Any:
    """Of which classes a value and all in it are."""
    if is_array(value):
        return [kinds(each) for each in value]
    fields: Any = vars(value) if isinstance(value, Model) else value
    return (type(value), {key: kinds(inner) for key, inner in fields.items()} if is_object(fields) else None)


CALL = {"index": 0, "function": {"arguments": "{"}}
DELTAS = st.none() | st.just("odd") | st.fixed_dictionaries({}, optional={"content": TEXTS, "tool_calls": st.just([CALL])})
CHOICES = st.lists(st.fixed_dictionaries({"index": st.integers(0, 3)}, optional={"delta": DELTAS}) | st.just("odd"), max_size=3)
NO_CHOICES: list[Any] = [None, {}, "odd"]
DETAILS = {"total_tokens": 3, "prompt_tokens_details": {"cached_tokens": 0}}
BESIDE = {"usage": st.sampled_from([None, {"total_tokens": 3}, DETAILS, 5]), "cost": st.just({"usd": 1}), "x": VALUES}


@given(choices=CHOICES | st.sampled_from(NO_CHOICES), beside=st.fixed_dictionaries({}, optional=BESIDE))
def test_a_chunk_is_made_of_the_objects_that_the_general_way_makes(choices: Any, beside: dict[str, Any]) -> None:
    data = {**made(""), "choices": choices, **beside}
    general = adopted(ChatCompletionChunk, deepcopy(data))

    found = ChatCompletionChunk._adopt(deepcopy(data))

    assert found == general
    assert kinds(found) == kinds(general)


def test_events_that_differ_in_one_text_take_the_shortcut() -> None:
    assert ways(events_of(["a", "b", "c", "d"])) == ["any", "any", "repeated", "repeated"]


USUAL = events_of(["a", "b"])
BEFORE, AFTER = (part for part in USUAL[1].split(b'"b"'))


@pytest.mark.parametrize(
    "middle",
    [
        b'"c","role":"user"',
        b'"c"},"delta":{"content":"d"',
        b'"c" ',
        b"null",
        b'""',
        b'"c","content":"d"',
        b'["c"]',
        b'"\\ud83d"',
        b'"\xff"',
        b'"a\nb"',
    ],
)
def test_bytes_in_place_of_the_text_that_are_no_json_string_are_parsed_in_full(middle: bytes) -> None:
    assembly = Assembly(1)
    for event in USUAL:
        read(assembly, event)
    event = BEFORE + middle + AFTER

    found, way = read(assembly, event)

    assert way != "repeated" or middle == b'"c" '  # blanks around a text are JSON's
    assert is_halved(assembly) or found == ChatCompletionChunk.model_validate(decode(event))


def test_events_too_short_to_hold_a_text_are_parsed_in_full() -> None:
    assembly = Assembly(1)
    for event in USUAL:
        read(assembly, event)
    before = BEFORE + b'"'

    assert assembly.repeated(before + b'"' + AFTER) is None  # an empty text brings no content
    assert assembly.repeated(before + AFTER) is None
    assert assembly.repeated(before + AFTER[1:]) is None
    assert assembly.repeated(before + b'c"' + AFTER) is not None


def thought(reasoning: str | None, content: str) -> bytes:
    """An event with one text, or with both, the reasoning last."""
    delta = {"content": content} | ({} if reasoning is None else {"reasoning_content": reasoning})
    return json.dumps(fake() | {"choices": [{"index": 0, "delta": delta}]}, separators=(",", ":")).encode()


def test_an_event_in_which_one_pattern_finds_more_than_a_text_may_repeat_an_older_one() -> None:
    two_patterns = [thought("x", ""), thought(None, "c"), thought("y", ""), thought(None, "d")]

    assert ways([*two_patterns, thought("b", "")]) == ["any"] * 4 + ["repeated"]


def test_a_choice_without_an_index_is_the_first() -> None:
    events = [json.dumps(envelope(choices=[{"delta": {"content": text}}])).encode() for text in "abcd"]
    assert ways(events) == ["any", "any", "repeated", "repeated"]


def test_a_chunk_that_is_changed_changes_no_other() -> None:
    assembly = Assembly(1)
    first, second, third = (read(assembly, event)[0] for event in events_of(["a", "b", "c"]))
    for each in (first, second, third):
        vars(each)["id"] = vars(each.choices[0])["index"] = vars(each.choices[0].delta)["content"] = "mine"
        each.choices.append("mine")  # type: ignore[arg-type]

    assert read(assembly, events_of(["d"])[0])[0] == ChatCompletionChunk.model_validate(made("d"))


@pytest.mark.parametrize("name", ["a", "x"])
@pytest.mark.parametrize("holder", ["chunk", "choice", "delta"])
def test_values_that_can_be_changed_are_not_shared(holder: str, name: str) -> None:
    value: Any = [] if holder == "delta" else [{"a": []}]  # a list in a delta that is not empty is added up
    assembly = Assembly(1)
    for text in "abcd":
        data = made(text)
        {"chunk": data, "choice": data["choices"][0], "delta": data["choices"][0]["delta"]}[holder][name] = value
        found: Any = read(assembly, json.dumps(data).encode())[0]
        assert found.model_dump() == data
        held = {"chunk": found, "choice": found.choices[0], "delta": found.choices[0].delta}[holder][name]
        (held if holder == "delta" else held[0]["a"]).append("mine")


@pytest.mark.parametrize("name", ["a", "id", "x"])
@pytest.mark.parametrize("of_choice", [False, True], ids=["of the chunk", "of its choice"])
def test_events_that_differ_in_a_text_outside_of_the_delta_are_parsed_in_full(name: str, of_choice: bool) -> None:
    events: list[bytes] = []
    for text in "pqrst":
        data = made("a")
        (data["choices"][0] if of_choice else data)[name] = text
        events.append(json.dumps(data).encode())

    assert set(ways(events)) == {"any"}


def test_events_of_two_choices_are_parsed_in_full() -> None:
    events = [
        json.dumps(envelope(choices=[*made(text)["choices"], *made("x", index=1)["choices"]])).encode() for text in "abcd"
    ]
    assembly = Assembly(2)

    assert {read(assembly, event)[1] for event in events} == {"any"}
    assert [choice.message.content for choice in assembly.response().choices] == ["abcd", "xxxx"]


def test_a_pattern_is_learnt_again_when_other_members_change() -> None:
    events = [json.dumps(made(text) | {"created": second}).encode() for second in range(6) for text in "abc"]
    assert ways(events) == ["any", "any", "repeated"] * 6


def shaped(texts: str, delta: dict[str, Any], **beside: Any) -> list[bytes]:
    """Chunks with this delta, in which each of these texts stands in place of TEXT."""
    written = json.dumps(fake(**delta) | beside)
    return [written.replace("TEXT", text).encode() for text in texts]


ARGUMENT: dict[str, Any] = {
    "tool_calls": [{"index": 0, "id": None, "type": "function", "function": {"name": None, "arguments": "TEXT"}}]
}
SHAPES = [
    pytest.param({"content": "TEXT", "role": "assistant"}, {"usage": None, "service_tier": "default"}, id="nulls"),
    pytest.param({"content": "", "reasoning_content": "TEXT", "tool_calls": []}, {}, id="reasoning"),
    pytest.param({"reasoning_details": [{"type": "t", "index": 0, "text": "TEXT"}]}, {}, id="details of reasoning"),
    pytest.param({"a_text_of_tomorrow": "TEXT", "level": 3}, {"odd": {"a": [1]}}, id="a text of tomorrow"),
    pytest.param({"audio": {"data": "TEXT"}}, {}, id="audio"),
    pytest.param(ARGUMENT, {}, id="arguments of a call"),
]


@pytest.mark.parametrize(("delta", "beside"), SHAPES)
def test_the_shortcut_applies_to_whichever_text_changes(delta: dict[str, Any], beside: dict[str, Any]) -> None:
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    events = [json.dumps(fake(tool_calls=[call])).encode(), *shaped("abcdefgh", delta, **beside)]
    assembly, general = Assembly(1), Assembly(1)
    found = [read(assembly, event) for event in events]
    for event in events:
        general.add(ChatCompletionChunk._adopt(decode(event)))

    assert [way for _, way in found] == ["any"] * 3 + ["repeated"] * 6
    assert assembly.response() == general.response()
    assert [each.model_dump() for each, _ in found] == [decode(event) for event in events]
    assert [type(each.choices[0].delta) for each, _ in found] == [type(found[0][0].choices[0].delta)] * 9


UNFIT = [
    pytest.param({"content": "TEXT", "reasoning": "again"}, id="a second text that joins"),
    pytest.param({"content": "TEXT", "images": [1]}, id="a list that adds up"),
    pytest.param({"content": [{"type": "text", "text": "TEXT"}]}, id="parts"),
    pytest.param({"tool_calls": [{"function": {"name": "f", "arguments": "TEXT"}}]}, id="a call's name"),
    pytest.param({"tool_calls": [{"index": 0, "id": "TEXT", "function": {"arguments": "{}"}}]}, id="ids"),
    pytest.param({"name": "TEXT"}, id="a text that is said once"),
    pytest.param({"TEXT": "a"}, id="keys"),
    pytest.param({"content": "TEXT", "audio": {"data": "again"}}, id="an object with a text"),
    *(pytest.param({name: ["TEXT"]}, id=f"a text in {name}") for name in ("tool_calls", "reasoning_details")),
    pytest.param({"tool_calls": [["TEXT"]]}, id="a list in tool_calls"),
    pytest.param({"reasoning_details": {"type": "reasoning.text", "text": "TEXT"}}, id="details that are not a list"),
]


@pytest.mark.parametrize("delta", UNFIT)
def test_deltas_that_change_more_than_a_text_are_parsed_in_full(delta: dict[str, Any]) -> None:
    events = shaped("abcdef", delta)
    assembly, general = Assembly(1), Assembly(1)
    for event in events:
        general.add(ChatCompletionChunk._adopt(decode(event)))

    assert {read(assembly, event)[1] for event in events} == {"any"}
    assert assembly.response() == general.response()


@pytest.mark.parametrize("index", [[], {}, None, True, 1.0, "1"], ids=repr)
def test_a_detail_whose_index_is_no_whole_number_joins_no_other(index: Any) -> None:
    opening = json.dumps(fake(reasoning_details=[{"type": "t", "index": 1, "text": "x"}])).encode()
    assembly = Assembly(1)
    for event in [opening, *shaped("abcd", {"reasoning_details": [{"type": "t", "index": index, "text": "TEXT"}]})]:
        read(assembly, event)

    details = assembly.response().choices[0].message.reasoning_details or []
    assert [each["text"] for each in details] == [*"xabcd"]


@pytest.mark.parametrize("index", [0, 1])
def test_a_detail_without_index_never_joins_one_that_has_an_index(index: int) -> None:
    opening = json.dumps(fake(reasoning_details=[{"type": "t", "index": index, "text": "x"}])).encode()
    assembly = Assembly(1)
    for event in [opening, *shaped("abcd", {"reasoning_details": [{"type": "t", "text": "TEXT"}]})]:
        read(assembly, event)

    details = assembly.response().choices[0].message.reasoning_details or []
    assert [each["text"] for each in details] == [*"xabcd"]


def test_half_of_a_surrogate_pair_ends_the_shortcut_also_in_an_event_that_is_not_compared() -> None:
    assembly = Assembly(1)
    for event in events_of(["a", "b"]):
        read(assembly, event)

    assembly.add(ChatCompletionChunk._adopt(made("\ud83d")))  # of an event whose type the server named

    found = [read(assembly, event) for event in events_of(["c", "d", "e"])]
    assert [(chunk.text, way) for chunk, way in found] == [("\ud83dc", "any"), ("d", "repeated"), ("e", "repeated")]
    assert assembly.response().text == "ab\ud83dcde"


def test_half_of_a_surrogate_pair_in_one_choice_does_not_delay_another() -> None:
    assembly = Assembly(2)
    texts = [(0, "\ud83d"), (1, "a"), (1, "b"), (1, "c"), (0, "\ude00")]
    events = [json.dumps(fake(text, index=index), separators=(",", ":")).encode() for index, text in texts]

    assert [read(assembly, event)[1] for event in events] == ["any", "any", "any", "repeated", "any"]
    assert [choice.message.content for choice in assembly.response().choices] == ["\U0001f600", "abc"]


def test_choices_that_come_in_turn_have_a_pattern_each() -> None:
    events = [json.dumps(fake(f"{text}{index}", index=index)).encode() for text in "abcd" for index in range(3)]
    assembly = Assembly(3)

    assert [read(assembly, event)[1] for event in events] == ["any"] * 6 + ["repeated"] * 6
    assert [choice.message.content for choice in assembly.response().choices] == [
        "".join(f"{text}{index}" for text in "abcd") for index in range(3)
    ]


def test_arguments_never_go_to_a_call_that_is_over() -> None:
    def opening(identity: str) -> bytes:
        call = {"index": 0, "id": identity, "function": {"name": "f", "arguments": ""}}
        return json.dumps(fake(tool_calls=[call])).encode()

    events = [opening("one"), *shaped("abc", ARGUMENT), opening("two"), *shaped("def", ARGUMENT)]
    assembly = Assembly(1)
    for event in events:
        read(assembly, event)

    calls = assembly.response().choices[0].message.tool_calls or []
    assert [(call.id, call.function.arguments) for call in calls] == [("one", "abc"), ("two", "def")]


@pytest.mark.parametrize(("choices", "learnt"), [(4, True), (5, False)])
def test_four_choices_may_come_in_turn_before_they_are_read_whole_each_time(choices: int, learnt: bool) -> None:
    events = [json.dumps(fake(f"{text}{index}", index=index)).encode() for text in "abcd" for index in range(choices)]
    assembly = Assembly(choices)

    assert ("repeated" in [read(assembly, event)[1] for event in events]) is learnt


@pytest.mark.parametrize(("between", "learnt"), [(3, True), (4, False)])
def test_an_event_is_compared_with_the_four_before_it(between: int, learnt: bool) -> None:
    others = [json.dumps(made("a") | {"created": number}).encode() for number in range(between)]
    first, second, third = (json.dumps(made(text) | {"created": 20}).encode() for text in "abc")

    assert ("repeated" in ways([first, *others, second, third])) is learnt


@pytest.mark.parametrize("before", [[], events_of(["x", "y"])], ids=["from the beginning", "after some that were"])
@pytest.mark.parametrize(("different", "learnt"), [(6, True), (7, False)])
def test_a_stream_is_given_up_after_eight_events_in_a_row_that_were_like_none_before(
    different: int, learnt: bool, before: list[bytes]
) -> None:
    events = [json.dumps(made("a") | {"created": number}).encode() for number in range(different)]
    like = [json.dumps(made(text) | {"created": 20}).encode() for text in "abcd"]

    assert ("repeated" in ways([*before, *events, *like])) is learnt


@pytest.mark.parametrize("more", [0, 1])
def test_events_of_up_to_64_kibibytes_are_compared(more: int) -> None:
    events = events_of(["a", "b", "c"])
    longest = [
        event.replace(b'"object"', b'"x":"' + b"-" * (2**16 + more - len(event) - 7) + b'","object"') for event in events
    ]
    assert {len(event) for event in longest} == {2**16 + more}

    assert ways(longest) == ["any", "any", "any" if more else "repeated"]


def test_a_stream_whose_every_event_differs_is_not_compared_for_long() -> None:
    events = [json.dumps(made("a") | {"created": number}).encode() for number in range(20)]
    like = [json.dumps(made(text) | {"created": 20}).encode() for text in "abcd"]

    assert set(ways([*events, *like])) == {"any"}
