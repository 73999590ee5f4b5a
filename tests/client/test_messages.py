"""Messages are objects, mappings, or what a response held; they are checked, sent as they are, and never changed."""

from __future__ import annotations

import copy
import inspect
import types
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from pydantic import TypeAdapter

from venice_ai import (
    AssistantMessage,
    ChatCompletionResponse,
    DeveloperMessage,
    FileContent,
    ImageContent,
    ImageUrl,
    Message,
    ReasoningConfig,
    StreamOptions,
    SystemMessage,
    TextContent,
    Tool,
    ToolCall,
    ToolCallFunction,
    ToolFunction,
    ToolMessage,
    UserMessage,
    VeniceParameters,
)
from venice_ai.types._base import Model
from venice_ai.types.api import AudioContent, CacheControl, File, InputAudio, VideoContent, VideoUrl, params

from ..fakes import HI, JSON, answer, client_of, completion, hello, refused, sent, stream
from ..shared import shared

TOOL: dict[str, Any] = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}


def part(value: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": [value]}


def text(**more: Any) -> dict[str, Any]:
    return {"type": "text", "text": "x", **more}


IMAGE: dict[str, Any] = {"type": "image_url", "image_url": {"url": "https://example.invalid/i.png"}}
CALL: dict[str, Any] = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
MESSAGES = [
    pytest.param({"role": "system", "content": "s"}, id="system"),
    pytest.param({"role": "developer", "content": [{"type": "text", "text": "d"}]}, id="developer, in parts"),
    pytest.param({"role": "user", "content": ""}, id="an empty text"),
    pytest.param({"role": "user", "content": []}, id="no parts"),
    pytest.param({"role": "user", "content": "x", "name": "ada"}, id="a name"),
    pytest.param({"role": "user", "content": "x", "name": None}, id="a null name"),
    pytest.param({"role": "user", "content": '世 🔐 \n\t"\\ \u2028'}, id="any characters"),
    pytest.param(part(text(cache_control={"type": "ephemeral"})), id="cached"),
    pytest.param(
        part(text(cache_control={"type": "ephemeral", "ttl": "1h"})),
        id="cached for an hour",
    ),
    pytest.param({"role": "user", "content": [IMAGE, {**IMAGE, "image_url": {"url": "data:,", "detail": "low"}}]}, id="images"),
    pytest.param(
        part({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}), id="audio"
    ),
    pytest.param(part({"type": "input_audio", "input_audio": {"data": "AA=="}}), id="audio of wav"),
    pytest.param(part({"type": "video_url", "video_url": {"url": "https://youtu.be/x"}}), id="video"),
    pytest.param(part({"type": "file", "file": {"file_data": "data:,x", "filename": "f.txt"}}), id="file"),
    pytest.param(part({"type": "file", "file": {"file_data": "data:,x"}}), id="file without a name"),
    pytest.param({"role": "assistant", "content": "x"}, id="assistant"),
    pytest.param({"role": "assistant", "content": None, "tool_calls": [CALL]}, id="assistant, only calls"),
    pytest.param({"role": "assistant", "tool_calls": [CALL]}, id="assistant without content"),
    pytest.param({"role": "assistant", "content": [text()], "tool_calls": None}, id="assistant, in parts"),
    pytest.param(
        {
            "role": "assistant",
            "content": "x",
            "reasoning_content": "r",
            "reasoning_details": [{"type": "reasoning.text", "text": "r", "data": "?"}],
            "thought_signature": "sig",
        },
        id="assistant with its reasoning",
    ),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": "4"}, id="tool"),
    pytest.param({"role": "tool", "tool_call_id": "c1", "content": ""}, id="tool without words"),
    pytest.param({"role": "user", "content": "x", "a_key_of_tomorrow": {"x": [None]}, "cache_control": 7}, id="unknown keys"),
    pytest.param(
        part(text(a_key_of_tomorrow=None)), id="unknown keys in a part"
    ),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_message_is_sent_as_it_was_given(message: dict[str, Any]) -> None:
    before = copy.deepcopy(message)

    assert (await sent([message]))["messages"] == [before]
    assert message == before


@pytest.mark.parametrize("message", MESSAGES)
async def test_a_message_of_a_response_s_kind_is_sent_in_the_same_way(message: dict[str, Any]) -> None:
    kinds: dict[str, type[Model]] = {
        "system": SystemMessage,
        "developer": DeveloperMessage,
        "user": UserMessage,
        "assistant": AssistantMessage,
        "tool": ToolMessage,
    }
    typed = kinds[message["role"]].model_validate(message)

    assert (await sent([typed]))["messages"] == [message]
    assert typed == message


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (UserMessage(content="hi"), {"role": "user", "content": "hi"}),
        (UserMessage(content="hi", name="ada"), {"role": "user", "content": "hi", "name": "ada"}),
        (SystemMessage(content="s"), {"role": "system", "content": "s"}),
        (DeveloperMessage(content="d"), {"role": "developer", "content": "d"}),
        (ToolMessage(content="4", tool_call_id="c1"), {"role": "tool", "content": "4", "tool_call_id": "c1"}),
        (AssistantMessage(content="a"), {"role": "assistant", "content": "a"}),
        (
            AssistantMessage(tool_calls=[ToolCall(id="c1", function=ToolCallFunction(name="f", arguments="{}"))]),
            {"role": "assistant", "tool_calls": [CALL]},
        ),
        (AssistantMessage(content=None, tool_calls=[CALL]), {"role": "assistant", "tool_calls": [CALL]}),
        (
            UserMessage(
                content=[
                    TextContent(text="t", cache_control=CacheControl(ttl="1h")),
                    ImageContent(image_url=ImageUrl(url="https://example.invalid/i.png")),
                    AudioContent(input_audio=InputAudio(data="AA==", format="mp3")),
                    VideoContent(video_url=VideoUrl(url="https://example.invalid/v.mp4")),
                    FileContent(file=File(file_data="data:,x", filename="f")),
                    {"type": "text", "text": "plain"},
                ]
            ),
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "t", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
                    {"type": "image_url", "image_url": {"url": "https://example.invalid/i.png"}},
                    {"type": "input_audio", "input_audio": {"data": "AA==", "format": "mp3"}},
                    {"type": "video_url", "video_url": {"url": "https://example.invalid/v.mp4"}},
                    {"type": "file", "file": {"file_data": "data:,x", "filename": "f"}},
                    {"type": "text", "text": "plain"},
                ],
            },
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else repr(value)[:50],
)
async def test_a_typed_message_is_sent_as_its_json(message: Any, expected: dict[str, Any]) -> None:
    before = copy.deepcopy(message)

    (sent_message,) = (await sent([message]))["messages"]

    assert sent_message == expected
    assert message == before


NAMELESS = FileContent(file=File(file_data="d", filename=None))
NO_DETAIL = ImageContent(image_url=ImageUrl(url="u", detail=None))


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (UserMessage(content="x", name=None), {"role": "user", "content": "x"}),
        (UserMessage(content=[TextContent(text="x", cache_control=None)]), part(text())),
        (UserMessage(content=[NO_DETAIL]), part({"type": "image_url", "image_url": {"url": "u"}})),
        (UserMessage(content=[NAMELESS]), part({"type": "file", "file": {"file_data": "d"}})),
        (AssistantMessage(content="x", reasoning_details=None), {"role": "assistant", "content": "x"}),
    ],
    ids=["name", "cache_control", "detail", "filename", "reasoning_details"],
)
async def test_none_in_a_typed_message_is_never_a_null_that_the_server_refuses(message: Any, expected: Any) -> None:
    (sent_message,) = (await sent([message]))["messages"]

    nullable = {"name", "content", "reasoning_content", "thought_signature", "tool_calls"}
    assert {key: value for key, value in sent_message.items() if value is not None or key not in nullable} == expected


@pytest.mark.parametrize(
    ("message", "named"),
    [
        pytest.param({"content": "x"}, "role", id="no role"),
        pytest.param({"role": "function", "content": "x"}, "role", id="an unknown role"),
        pytest.param({"role": None, "content": "x"}, "role", id="a null role"),
        pytest.param({"role": "user"}, "content", id="user without content"),
        pytest.param({"role": "user", "content": None}, "content", id="user, null"),
        pytest.param({"role": "user", "content": 7}, "content", id="user, a number"),
        pytest.param({"role": "user", "content": b"x"}, "content", id="user, bytes"),
        pytest.param({"role": "user", "content": ["x"]}, "content", id="parts that are texts"),
        pytest.param({"role": "user", "content": [{"text": "x"}]}, "type", id="a part without a type"),
        pytest.param(part({"type": "text"}), "text", id="a text part without text"),
        pytest.param(part({"type": "text", "text": ""}), "text", id="an empty text part"),
        pytest.param(part({"type": "picture", "text": "x"}), "type", id="an unknown part"),
        pytest.param(part({"type": "image_url", "image_url": "u"}), "image_url", id="a flat image"),
        pytest.param(part({"type": "image_url", "image_url": {}}), "url", id="an image without url"),
        pytest.param(
            part({"type": "input_audio", "input_audio": {"data": "A", "format": "midi"}}),
            "format",
            id="audio nobody knows",
        ),
        pytest.param(
            part(text(cache_control={"type": "forever"})),
            "cache_control",
            id="an unknown cache",
        ),
        pytest.param({"role": "system", "content": [IMAGE]}, "content", id="an image for the system"),
        pytest.param({"role": "assistant", "content": [IMAGE]}, "content", id="an image of the assistant's"),
        pytest.param({"role": "tool", "tool_call_id": "c", "content": [text()]}, "content", id="tool, parts"),
        pytest.param({"role": "tool", "tool_call_id": "c", "content": None}, "content", id="tool, null"),
        pytest.param({"role": "tool", "content": "x"}, "tool_call_id", id="tool without the call"),
        pytest.param({"role": "assistant", "tool_calls": "c"}, "tool_calls", id="calls that are a text"),
        pytest.param("hi", "messages", id="a text"),
        pytest.param(7, "messages", id="a number"),
        pytest.param(None, "messages", id="null"),
        pytest.param([{"role": "user", "content": "x"}], "messages", id="a list in the list"),
    ],
)  # fmt: skip
async def test_a_message_that_cannot_be_one_is_refused_with_its_place(message: Any, named: str) -> None:
    error = await refused([{"role": "user", "content": "first"}, message])

    assert "messages.1" in str(error)
    assert named in str(error)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "x", "\ud800": 1},
        {"role": "user", "content": [{"type": "text", "text": "x", "\ud800": 1}]},
        {"\ud800": "user"},
        "hello",
    ],
    ids=["a key", "a key of a part", "the only key", "a bare string"],
)
async def test_a_message_that_no_json_object_can_be_is_refused_with_its_place(message: Any) -> None:
    assert "messages.1" in str(await refused(messages=[*HI, message]))


@pytest.mark.parametrize("kind", [UserMessage, SystemMessage, DeveloperMessage, ToolMessage, TextContent])
def test_a_message_is_made_with_keywords_and_misses_what_it_needs(kind: Any) -> None:
    with pytest.raises(TypeError, match=rf"takes keywords alone: write {kind.__name__}\((content|text)=\.\.\.\)"):
        kind("hi")
    with pytest.raises(TypeError, match=r"content|text"):
        kind()


@pytest.mark.parametrize("kind", [list, tuple])
def test_a_message_keeps_the_calls_it_is_made_of_and_copies_what_stands_for_one(kind: Any) -> None:
    call, raw = ToolCall(id="a", function=ToolCallFunction(name="f", arguments="{}")), {"id": "b", "function": {"name": "g"}}
    given = [call, raw]
    message = AssistantMessage(tool_calls=kind(given))
    given.clear()
    raw["id"] = "changed"

    made: Any = message.tool_calls
    assert made[0] is call
    assert [(each.id, each.function.name) for each in made] == [("a", "f"), ("b", "g")]


def test_a_message_whose_content_may_be_left_out_says_what_to_write_too() -> None:
    kind: Any = AssistantMessage
    with pytest.raises(TypeError, match=r"write AssistantMessage\(content=\.\.\.\)"):
        kind("hi")


def test_messages_are_fields_of_other_people_s_models() -> None:
    adapter = TypeAdapter(list[UserMessage])

    messages = adapter.validate_python(HI)

    assert messages == [UserMessage(content="hi")]
    assert adapter.dump_python(messages) == HI
    assert adapter.validate_json(adapter.dump_json(messages)) == messages


def test_a_union_of_messages_finds_the_kind_that_is_meant() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(list[UserMessage | AssistantMessage | SystemMessage])
    given = [{"role": "system", "content": "s"}, {"role": "assistant", "content": "a"}, {"role": "user", "content": "u"}]

    messages = adapter.validate_python(given)

    assert [type(message) for message in messages] == [SystemMessage, AssistantMessage, UserMessage]
    assert adapter.validate_python(messages) == messages
    with pytest.raises(ValueError, match="role must be 'user'"):
        adapter.validate_python([{"role": "oracle", "content": "x"}])


def test_a_union_of_parts_finds_the_kind_that_is_meant_and_a_type_that_a_class_does_not_declare_is_kept() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(list[TextContent | UserMessage])
    given = [{"type": "text", "text": "x"}, {"role": "user", "content": "x", "type": "message"}, {"text": "x"}]

    parts = adapter.validate_python(given)

    assert [(type(part), part.get("type")) for part in parts] == [
        (TextContent, "text"),
        (UserMessage, "message"),
        (TextContent, None),
    ]
    with pytest.raises(ValueError, match="type must be 'text'"):
        TypeAdapter(TextContent).validate_python({"type": "image_url", "text": "x"})


async def test_the_error_of_a_wrong_value_repeats_the_value() -> None:
    assert "invalid value 'User'; one of 'system'" in str(await refused([{"role": "User", "content": "hi"}]))


@pytest.mark.parametrize("part", ["reply", "choice"])
async def test_the_error_of_a_response_among_messages_says_where_its_message_is(part: str) -> None:
    reply = ChatCompletionResponse.model_validate(completion())
    error = await refused([*HI, reply if part == "reply" else reply.choices[0]])

    assert "reply.choices[0].message" in str(error)


async def test_a_message_without_a_role_is_taken_for_no_reply() -> None:
    error = await refused([*HI, {"content": "hi"}])

    assert "messages.1 is not allowed" in str(error)
    assert "reply.choices" not in str(error)


async def test_a_prompt_stands_in_no_error() -> None:
    error = await refused([{"role": "user", "content": "my secret prompt"}, {"role": "oracle", "content": "my secret prompt"}])

    assert "my secret prompt" not in str(error)
    assert "my secret prompt" not in repr(vars(error))


@pytest.mark.parametrize(
    "messages", ["", b"hi", ["hi"], {"role": "user", "content": "hi"}, UserMessage(content="hi"), None, 7, [], ()]
)
async def test_messages_that_are_no_list_of_messages_are_refused(messages: Any) -> None:
    assert "messages" in str(await refused(messages))


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(lambda: "hi", id="a text"),
        pytest.param(lambda: tuple(HI), id="a tuple"),
        pytest.param(lambda: (message for message in HI), id="a generator"),
        pytest.param(lambda: [types.MappingProxyType(HI[0])], id="other mappings"),
        pytest.param(lambda: [UserMessage(content="hi")], id="objects"),
    ],
)
async def test_messages_are_a_text_or_any_series_of_messages(given: Any) -> None:
    assert (await sent(given()))["messages"] == HI


@pytest.mark.parametrize(
    ("message", "message_of_error"),
    [
        pytest.param(
            {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "u"}}]},
            "messages.0.content.0.type is not allowed: invalid value 'image_url'; one of 'text'",
            id="a part that this role does not take",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "imag"}]},
            "messages.0.content.0.type is not allowed: invalid value 'imag'; "
            "one of 'text', 'image_url', 'input_audio', 'video_url', 'file'",
            id="a part that no role takes",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "text", "text": ""}]},
            "messages.0.content.0.text is not allowed: expected str of length >= 1; allowed is 1 character or more",
            id="an empty text",
        ),
        pytest.param(
            {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "long"}}]},
            "messages.0.content.0.cache_control.type is not allowed: invalid value 'long'; one of 'ephemeral'",
            id="inside a part",
        ),
        pytest.param(
            {"role": "user", "content": "a", "odd": [float("nan")]},
            "messages.0.odd.0=nan is not allowed: JSON has no such number",
            id="not a number",
        ),
        pytest.param(
            {"role": "user", "content": "a", "odd": object()},
            "the request cannot be written as JSON: messages.0.odd: 'object' is not a type that JSON knows",
            id="no JSON",
        ),
    ],
)
async def test_the_error_of_a_message_says_what_its_role_allows(message: dict[str, Any], message_of_error: str) -> None:
    assert str(await refused([message])) == message_of_error


async def test_a_message_that_holds_itself_is_refused() -> None:
    message: dict[str, Any] = {"role": "user", "content": "x"}
    message["self"] = message

    await refused([message])


async def test_messages_of_responses_go_back_as_they_came() -> None:
    turns = [choice["message"] for case in shared("completion-fixtures.json") for choice in case["body"].get("choices", [])]
    for turn in [*turns, {**turns[0], "reasoning_details": None}]:
        await assert_goes_back(turn)


async def assert_goes_back(turn: dict[str, Any]) -> None:
    body = completion()
    body["choices"][0]["message"] = turn
    client, transport = client_of(answer(body), *[answer(completion()) for _ in range(4)])
    reply = await client.chat.completions.create(model="m", messages=HI)
    before = copy.deepcopy(reply)

    for again in (
        reply.choices[0].message,
        reply["choices"][0]["message"],
        AssistantMessage.from_response(reply),
        reply.choices[0].message.model_dump(),
    ):
        await client.chat.completions.create(model="m", messages=[*HI, again, *HI])

    expected = {key: value for key, value in turn.items() if key != "reasoning_details" or value is not None}
    assert [body["messages"] for body in transport.bodies[1:]] == [[*HI, expected, *HI]] * 4
    assert reply == before
    assert isinstance(reply, ChatCompletionResponse)


async def test_the_caller_s_objects_are_never_changed() -> None:
    messages: list[Message] = [
        UserMessage(content=[TextContent(text="x")]),
        {"role": "assistant", "reasoning_details": None, "content": "y"},
    ]
    params: dict[str, Any] = {
        "tools": [TOOL, Tool(function=ToolFunction(name="f"))],
        "stop": ["a"],
        "venice_parameters": {"enable_web_search": "on"},
        "metadata": {"a": "b"},
        "response_format": {"type": "json_object"},
        "later": {"x": [None]},
    }
    headers = {"X-A": "b"}
    before = copy.deepcopy((messages, params, headers))
    client, _ = client_of(answer(completion()), stream(*hello()))

    await client.chat.completions.create(model="m", messages=messages, extra_headers=headers, **params)
    async with await client.chat.completions.stream(model="m", messages=messages, extra_headers=headers, **params):
        pass

    assert (messages, params, headers) == before


@given(JSON)
async def test_the_same_input_is_always_the_same_bytes(value: Any) -> None:
    client, transport = client_of(answer(completion()), answer(completion()))

    for _ in range(2):
        messages: list[Message] = [UserMessage(content="x"), {"role": "user", "content": "y", "later": copy.deepcopy(value)}]
        await client.chat.completions.create(model="m", messages=messages, tools=[TOOL], seed=1)

    first, second = (request.body for request in transport.requests)
    assert first == second


async def test_earlier_turns_are_the_same_bytes_in_a_longer_conversation() -> None:
    # Venice's prompt cache works on prefixes, byte for byte.
    client, transport = client_of(answer(completion()), answer(completion()))
    turns = [{"role": "system", "content": "s", "name": "n"}, {"name": "n", "content": "q", "role": "user"}]

    await client.chat.completions.create(model="m", messages=turns)
    await client.chat.completions.create(model="m", messages=[*turns, {"role": "assistant", "content": "a"}])

    first, second = (request.body or b"" for request in transport.requests)
    assert second.startswith(first.removesuffix(b"]}"))


def test_the_signature_of_a_class_shows_its_fields() -> None:
    shown = inspect.signature(UserMessage)

    assert [(each.name, each.kind, each.default) for each in shown.parameters.values()] == [
        ("content", inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty),
        ("name", inspect.Parameter.KEYWORD_ONLY, None),
        ("role", inspect.Parameter.KEYWORD_ONLY, "user"),
    ]
    assert str(inspect.signature(ChatCompletionResponse)).startswith("(*, id: 'str', created: 'int', model: 'str', choices: ")
    assert not hasattr(UserMessage(content="hi"), "__signature__")


@pytest.mark.parametrize(
    ("shown", "checked"),
    [
        pytest.param(VeniceParameters, params.VeniceSwitches, id="venice_parameters"),
        pytest.param(ReasoningConfig, params.Reasoning, id="reasoning"),
        pytest.param(StreamOptions, params.StreamSwitches, id="stream_options"),
    ],
)
def test_a_class_and_the_mapping_in_its_place_have_the_same_fields(shown: type[Model], checked: Any) -> None:
    values = get_type_hints(checked)

    assert get_type_hints(shown) == get_type_hints(Model) | {name: value | None for name, value in values.items()}
