"""Whatever a model answered can be sent back: members that no request may hold are repaired or left out, and logged."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from venice_ai import AssistantMessage, ChatCompletionResponse
from venice_ai._wire.request_body import checked_messages, encode
from venice_ai.tools import ToolLoop
from venice_ai.types.api.params import Conversation

from ..fakes import DONE, HI, answer, chunk, client_of, completion, event, stream

HALF = "\ud83d"
MARK = "\ufffd"
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a":1,"b":2}'}}
SEARCH = {"type": "text", "text": "found", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
DETAIL = {"type": "reasoning.text", "text": "hm", "signature": "s", "index": 0}


def adopted(message: Any) -> ChatCompletionResponse:
    """A reply with this message."""
    return ChatCompletionResponse.model_validate({**completion(), "choices": [{"index": 0, "message": message}]})


def sent(message: dict[str, Any]) -> Any:
    """A message of a reply as it goes back, from the bytes of a request."""
    checked = checked_messages([*HI, adopted(message).choices[0].message])
    return msgspec.json.decode(encode({"messages": checked}))["messages"][-1]


def nested(depth: int) -> Any:
    value: Any = "deep"
    for _ in range(depth):
        value = [value]
    return value


MENDED = [
    pytest.param({"role": None}, {}, id="no role"),
    pytest.param({"role": "model"}, {}, id="another role"),
    pytest.param({"role": "tool", "content": "x"}, {"content": "x"}, id="a tool's message without its call"),
    pytest.param(
        {"role": "tool", "content": "x", "tool_call_id": 7}, {"content": "x", "tool_call_id": 7}, id="a call without a name"
    ),
    pytest.param({"role": "user", "content": None}, {"content": None}, id="a user who says nothing"),
    pytest.param({"content": [{"type": "image_url", "image_url": {"url": "u"}}]}, {"content": None}, id="an image alone"),
    pytest.param(
        {"content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}]},
        {"content": [{"type": "text", "text": "a"}]},
        id="text and an image",
    ),
    pytest.param({"content": [{"type": "text", "text": ""}, SEARCH]}, {"content": [SEARCH]}, id="an empty text"),
    pytest.param(
        {"content": [{"type": "output_text", "text": "a"}, "b", 7, None, {"text": "c"}]},
        {"content": [{"type": "text", "text": text} for text in "abc"]},
        id="texts of other types",
    ),
    pytest.param(
        {"content": [{"type": "text", "text": "a", "cache_control": {"type": "long"}}]},
        {"content": [{"type": "text", "text": "a"}]},
        id="a cache that nobody knows",
    ),
    pytest.param({"content": {"city": "Città"}}, {"content": '{"city": "Città"}'}, id="content that is an object"),
    pytest.param(
        {"content": {"type": "text", "text": "a"}}, {"content": [{"type": "text", "text": "a"}]}, id="a part without its list"
    ),
    pytest.param(
        {"content": {"text": "a"}}, {"content": [{"type": "text", "text": "a"}]}, id="a text without a type or a list"
    ),
    pytest.param({"content": {"type": "image_url"}}, {"content": None}, id="an image without its list"),
    pytest.param(
        {"content": [SEARCH | {"cache_control": {"type": "ephemeral", "ttl": 7}}]},
        {"content": [{"type": "text", "text": "found"}]},
        id="a cache for a time that is not text",
    ),
    pytest.param({"content": 7}, {"content": "7"}, id="content that is a number"),
    pytest.param({"content": True}, {"content": "true"}, id="content that is a truth"),
    pytest.param({"content": []}, {"content": None}, id="no parts"),
    pytest.param({"reasoning_content": ["a", {"text": "b"}, 1]}, {"reasoning_content": "ab"}, id="reasoning in parts"),
    pytest.param({"reasoning_content": {"text": "a"}}, {"reasoning_content": "a"}, id="a part of reasoning without its list"),
    pytest.param({"reasoning_content": 7}, {}, id="reasoning that is a number"),
    pytest.param(
        {"reasoning_details": [DETAIL | {"index": True}, DETAIL]},
        {"reasoning_details": [{key: value for key, value in DETAIL.items() if key != "index"}, DETAIL]},
        id="an index that is a truth",
    ),
    pytest.param({"reasoning_details": "hm"}, {}, id="details that are a text"),
    pytest.param({"reasoning_details": DETAIL}, {"reasoning_details": [DETAIL]}, id="a detail without its list"),
    pytest.param(
        {"reasoning_details": [None, "x", {"text": "no type"}, {**DETAIL, "id": None, "index": "0", "data": 7}]},
        {"reasoning_details": [{key: value for key, value in DETAIL.items() if key != "index"}]},
        id="malformed details",
    ),
    pytest.param({"reasoning_details": [7]}, {}, id="no detail that is one"),
    pytest.param({"thought_signature": {"a": 1}}, {}, id="a signature that is not text"),
    pytest.param({"name": 7}, {}, id="a name that is not text"),
    pytest.param({"tool_calls": CALL}, {"tool_calls": [CALL]}, id="a call without its list"),
    pytest.param({"tool_calls": "add"}, {}, id="calls that are a text"),
    pytest.param({"odd": [float("nan"), float("-inf"), 1.5]}, {"odd": [None, None, 1.5]}, id="no numbers"),
    pytest.param({"content": f"a{HALF}"}, {"content": f"a{MARK}"}, id="half of a pair in the content"),
    pytest.param(
        {"tool_calls": [{**CALL, "function": {"name": "add", "arguments": f'{{"a":"{HALF}"}}'}}]},
        {"tool_calls": [{**CALL, "function": {"name": "add", "arguments": f'{{"a":"{MARK}"}}'}}]},
        id="half of a pair in arguments",
    ),
    pytest.param({HALF: {HALF: 1}}, {MARK: {MARK: 1}}, id="half of a pair in names"),
]


@pytest.mark.parametrize(("message", "expected"), MENDED)
def test_members_that_no_request_may_hold_are_repaired_or_left_out_and_logged(
    message: dict[str, Any], expected: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    found = sent({"role": "assistant", **message})

    assert found == {"role": "assistant", **expected}
    assert "an answer was changed to be sent back" in caplog.text
    assert HALF not in caplog.text


@pytest.mark.parametrize("depth", [63, 64, 65])
@pytest.mark.parametrize("of_objects", [False, True], ids=["lists", "objects"])
def test_sixty_four_levels_are_sent_back(depth: int, of_objects: bool, caplog: pytest.LogCaptureFixture) -> None:
    deep = json.loads(json.dumps(nested(depth)).replace("[", '{"a":').replace("]", "}")) if of_objects else nested(depth)
    turn = sent({"role": "assistant", "content": "4", "odd": deep})

    assert (turn["odd"] == deep) is (depth <= 64)
    assert ("more than 64 levels deep in odd" in caplog.text) is (depth > 64)


def test_values_nested_too_deeply_are_left_out(caplog: pytest.LogCaptureFixture) -> None:
    found = sent({"role": "assistant", "content": "a", "odd": nested(400), "shallow": nested(20)})

    assert found["content"] == "a"
    assert found["shallow"] == nested(20)
    assert 20 < json.dumps(found["odd"]).count("[") < 100
    assert "levels deep in odd" in caplog.text


WHOLE: list[dict[str, Any]] = [
    {"role": "assistant", "content": "", "tool_calls": []},
    {"role": "assistant", "content": None, "refusal": None, "annotations": [], "audio": {"id": "a"}, "odd": 10**30},
    {"content": [SEARCH], "role": "assistant", "name": "n", "reasoning_content": None, "reasoning_details": []},
    {"role": "assistant", "reasoning_details": [DETAIL], "thought_signature": "s", "tool_calls": [CALL, {"garbage": 1}, None]},
    {
        "role": "assistant",
        "content": "x",
        "tool_calls": None,
        "name": None,
        "reasoning_details": [DETAIL | {"index": 1.5}, {"type": "t"}],
    },
    {"role": "assistant", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}]},
    {"role": "user", "content": "said by another"},
    {"role": "system", "content": "said by another"},
    {"role": "tool", "content": "4", "tool_call_id": "c1"},
]


@pytest.mark.parametrize("message", WHOLE)
def test_members_that_a_request_may_hold_are_sent_back_byte_for_byte(
    message: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    checked = checked_messages([adopted(message).choices[0].message])

    assert encode({"messages": checked}) == encode({"messages": [message]})
    assert caplog.text == ""


SCALARS: st.SearchStrategy[Any] = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=4)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=3), inner, max_size=3),
)
PARTS: st.SearchStrategy[Any] = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["text", "image_url", "thinking"]) | VALUES, "text": VALUES, "cache_control": VALUES}
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "role": st.sampled_from(["assistant", "user", "tool", "system"]) | VALUES,
    "content": VALUES | PARTS | st.lists(PARTS, max_size=3),
    **dict.fromkeys(["name", "reasoning_content", "thought_signature", "tool_calls", "tool_call_id", "odd"], VALUES),
    "reasoning_details": VALUES | st.lists(st.dictionaries(st.sampled_from(["type", "id"]), VALUES), max_size=2),
}


@given(st.fixed_dictionaries({}, optional=FIELDS))
@example({"role": "assistant", "odd": nested(450)})
def test_no_answer_fails_the_check_of_what_is_sent(message: dict[str, Any]) -> None:
    reply = adopted(message)

    for turn in (reply.choices[0].message, reply["choices"][0]["message"], AssistantMessage.from_response(reply)):
        body = encode({"messages": checked_messages([turn])})
        msgspec.json.decode(body, type=Conversation)

    given_again = json.loads(body)["messages"]
    assert checked_messages(given_again) == given_again  # also as the plain JSON that a program stored


@given(st.fixed_dictionaries({}, optional=FIELDS))
def test_no_answer_is_lost_to_a_tool_loop(message: dict[str, Any]) -> None:
    loop = ToolLoop(HI, [add], max_iterations=9)

    calls = loop.receive(adopted({**message, "tool_calls": [CALL]}))
    loop.answer(calls, [3])

    checked = encode({"messages": checked_messages(loop.history)})
    assert json.loads(checked)["messages"][-1]["content"] == "3"
    resumed = ToolLoop(None, [add], resume=json.loads(loop.state.model_dump_json()), max_iterations=9)
    assert encode({"messages": checked_messages(resumed.history)}) == checked


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


ODD_TURN: dict[str, Any] = {
    "role": "model",
    "content": [{"type": "image_url", "image_url": {"url": "u"}}, {"type": "text", "text": ""}],
    "reasoning_content": {"a": 1},
    "reasoning_details": "hm",
    "thought_signature": 7,
    "name": ["n"],
    "odd": [nested(100), HALF],
    "tool_calls": [CALL],
}


async def test_a_turn_that_ran_its_tools_is_never_lost(caplog: pytest.LogCaptureFixture) -> None:
    asks = completion()
    asks["choices"][0] |= {"message": ODD_TURN, "finish_reason": "tool_calls"}
    client, transport = client_of(answer(asks), answer(completion("3")))

    result = await client.chat.completions.run_with_tools(model="m", messages=HI, tools=[add])

    assert result.text == "3"
    turn, tool_message = transport.bodies[1]["messages"][-2:]
    assert tool_message["content"] == "3"
    assert {key: value for key, value in turn.items() if key != "odd"} == {
        "role": "assistant",
        "content": None,
        "tool_calls": [CALL],
    }
    assert caplog.text.count("an answer was changed to be sent back") == 1


async def test_a_streamed_turn_keeps_its_signatures_on_the_way_back() -> None:
    details = [
        {"type": "reasoning.text", "text": "I ", "index": 0, "format": "f"},
        {"type": "reasoning.text", "text": "add", "index": 0},
        {"type": "reasoning.text", "signature": "sig", "index": 0},
        {"type": "reasoning.encrypted", "data": "xyz", "index": 0},
    ]
    first = [event(chunk(reasoning_details=[detail])) for detail in details]
    call = event(chunk(tool_calls=[{"index": 0, **CALL}], finish="tool_calls"))
    client, transport = client_of(stream(*first, call, DONE), stream(event(chunk("3", finish="stop")), DONE))

    async with await client.chat.completions.stream_with_tools(model="m", messages=HI, tools=[add]) as read:
        await read.collect()

    assert transport.bodies[1]["messages"][1]["reasoning_details"] == [
        {"type": "reasoning.text", "text": "I add", "index": 0, "format": "f", "signature": "sig"},
        {"type": "reasoning.encrypted", "data": "xyz", "index": 0},
    ]


def test_a_turn_that_came_encrypted_stays_out_of_every_repr() -> None:
    reply = adopted({"role": "assistant", "content": "secret"})
    reply.choices[0].message._private = True

    assert "secret" not in repr(AssistantMessage.from_response(reply))


async def test_a_callers_own_malformed_message_is_refused() -> None:
    client, _ = client_of()
    with pytest.raises(ValueError, match=r"messages\.0\.content\.0\.type is not allowed"):
        await client.chat.completions.create(
            model="m", messages=[{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]
        )
