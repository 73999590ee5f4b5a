"""A paid answer is never lost: completions as Venice sends them, and with any field malformed, are read and kept whole."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from venice_ai import AssistantMessage, ChatCompletionChunk, ChatCompletionResponse, ToolCall
from venice_ai.types._base import mark_private
from venice_ai.types.api import ChatChoice, ChatMessage
from venice_ai.types.attestation import AttestationReport

from ..fakes import DONE, HI, JSON, TEXT, ScriptedReply, answer, chunk, client_of, completion, envelope, event, stream
from ..shared import named, shared

FIXTURES: list[dict[str, Any]] = shared("completion-fixtures.json")
BY_NAME: dict[str, dict[str, Any]] = {case["name"].split(",")[0].split(" (")[0]: case["body"] for case in FIXTURES}
every_completion = pytest.mark.parametrize("case", named(FIXTURES))


async def received(body: Any) -> ChatCompletionResponse:
    client, _ = client_of(answer(body))
    return await client.chat.completions.create(model="m", messages=HI)


def nodes(view: Any, data: Any, path: str = "$") -> Iterator[tuple[str, Any, Any]]:
    """Every object and list of a response, beside the JSON it stands for."""
    yield path, view, data
    if isinstance(data, dict):
        for key, value in cast("dict[str, Any]", data).items():
            yield from nodes(view[key], value, f"{path}.{key}")
    elif isinstance(data, list):
        for index, value in enumerate(cast("list[Any]", data)):
            yield from nodes(view[index], value, f"{path}[{index}]")


def test_the_fixtures_are_those_that_are_known() -> None:
    assert len(FIXTURES) == 9


# -- reading -------------------------------------------------------------------------------------------------------------


@every_completion
async def test_attributes_and_items_are_the_same_values(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    for path, view, data in nodes(response, case["body"]):
        for key in cast("dict[str, Any]", data) if isinstance(data, dict) else ():
            if not isinstance(view, dict):
                assert getattr(view, key) is view[key], f"{path}.{key}"


@every_completion
async def test_a_dumped_response_equals_the_received_json(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    assert response.model_dump() == case["body"]
    assert json.loads(response.model_dump_json()) == case["body"]
    assert list(response.model_dump()) == list(case["body"])


@every_completion
async def test_a_response_is_a_mapping_of_its_json_members(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    for key, value in case["body"].items():
        assert key in response
        assert response.get(key) == value
        assert dict(response.items())[key] is response[key]
    assert set(response) == set(response.keys()) == case["body"].keys()
    assert "nothing" not in response
    assert response.get("nothing") is None
    assert response.get("nothing", 7) == 7
    with pytest.raises(KeyError):
        response["nothing"]
    with pytest.raises(AttributeError, match="nothing"):
        getattr(response, "nothing")  # noqa: B009  # no checker lets it be written otherwise


def test_a_missing_declared_field_reads_as_none() -> None:
    response = ChatCompletionResponse.model_validate({})

    assert response.choices == []
    assert (response.usage, response.cost, response.venice_parameters, response.text) == (None, None, None, None)
    assert response.id is None
    assert response.model is None
    assert response["usage"] is None
    assert response["choices"] == []
    assert "usage" not in response
    assert response.model_dump() == {}


def test_the_error_of_a_field_that_is_not_there_names_those_that_are() -> None:
    for data, names in (({}, "none"), ({"id": "x", "later": 1}, "id, later")):
        response: Any = ChatCompletionResponse.model_validate(data)
        with pytest.raises(AttributeError, match=f"^ChatCompletionResponse has no field 'nothing'; its fields are {names}$"):
            _ = response.nothing


def test_objects_are_equal_that_are_of_one_class_and_hold_the_same() -> None:
    data = {"role": "assistant", "content": "x"}
    message = ChatMessage.model_validate(data)

    assert message == ChatMessage.model_validate(data) == data
    assert message != AssistantMessage.model_validate(data)
    assert message != ChatMessage.model_validate({**data, "content": "y"})
    assert message != {**data, "content": "y"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("plain", "Hello."),
        ("reasoning+details+cache+extras", "42"),
        ("parallel tool calls", ""),
        ("truncated: length with empty content", ""),
        ("content_filter on HTTP 200", None),
        ("web citations with html and empty date", "Fact.^1,2^"),
        ("choices absent", None),
        ("no cost", "array content"),
    ],
)
async def test_the_text_of_an_answer(name: str, text: str | None) -> None:
    response = await received(BY_NAME[name])

    assert response.text == text


async def test_the_document_s_first_example_reads_the_content() -> None:
    response = await received(BY_NAME["plain"])

    assert response["choices"][0]["message"]["content"] == "Hello."
    assert response.choices[0].message.content == "Hello."


async def test_usage_is_counted_in_detail() -> None:
    usage = (await received(BY_NAME["reasoning+details+cache+extras"])).usage

    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (5500, 501, 6001)
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (5000, 100, 169)


async def test_usage_without_details_counts_zero_cached_and_reasoning_tokens() -> None:
    usage = (await received(BY_NAME["plain"])).usage

    assert usage is not None
    assert (usage.cached_tokens, usage.cache_write_tokens, usage.reasoning_tokens) == (0, 0, 0)


async def test_tool_calls_stay_apart_though_they_share_an_index() -> None:
    message = (await received(BY_NAME["parallel tool calls"])).choices[0].message

    calls = message.tool_calls
    assert calls is not None
    assert [type(call) for call in calls] == [ToolCall, ToolCall]
    assert [(call.id, call.function.name, call.function.arguments_dict) for call in calls] == [
        ("call_1", "add", {"x": 3, "y": 4}),
        ("call_2", "sub", {"x": 10, "y": 2}),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param('{"x": 1}', {"x": 1}, id="an object"),
        pytest.param("", {}, id="nothing means none"),
        pytest.param("{broken", ValueError, id="broken"),
        pytest.param("[1]", TypeError, id="a list"),
        pytest.param("null", TypeError, id="null"),
    ],
)
def test_the_arguments_of_a_call(text: str, expected: Any) -> None:
    call = ToolCall.model_validate({"id": "c", "type": "function", "function": {"name": "f", "arguments": text}})

    if isinstance(expected, type):
        with pytest.raises(expected):
            _ = call.function.arguments_dict
    else:
        assert call.function.arguments_dict == expected


async def test_citations_are_objects_with_what_they_have() -> None:
    parameters = (await received(BY_NAME["web citations with html and empty date"])).venice_parameters

    assert parameters is not None
    assert parameters.character_slug == "example"
    citations = parameters.web_search_citations
    assert citations is not None
    assert [(page.title, page.url, page.content, page.date) for page in citations] == [
        ("T1", "https://example.invalid/1", "a <strong>b</strong>", ""),
        ("T2", "https://example.invalid/2", None, None),
    ]


async def test_a_finish_reason_of_tomorrow_passes() -> None:
    body = completion()
    body["choices"][0]["finish_reason"] = "out_of_ideas"

    assert (await received(body)).choices[0].finish_reason == "out_of_ideas"


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        pytest.param(json.dumps(completion("\ud83d")).encode(), "\ud83d", id="half of a surrogate pair"),
        pytest.param(b'{"choices": [{"message": {"content": "x"}}], "cost": {"usd": NaN}}', "x", id="NaN"),
        pytest.param(b'{"choices": [{"message": {"content": "x"}}], "created": 1e400}', "x", id="a number too large"),
        pytest.param(b'{"choices": [{"message": {"content": "x\xff"}}]}', "x\ufffd", id="a byte that is not UTF-8"),
        pytest.param(b'\xef\xbb\xbf{"choices": [{"message": {"content": "x"}}]}', "x", id="a byte order mark"),
        pytest.param(b'\n\t {"choices": [{"message": {"content": "x"}}]} \r\n', "x", id="blanks around it"),
        pytest.param(b'{"choices": [{"message": {"content": "x\ty"}}]}', "x\ty", id="a raw tab in a text"),
    ],
)
async def test_json_that_only_a_lenient_reader_can_read_is_an_answer(raw: bytes, text: str) -> None:
    client, _ = client_of(ScriptedReply(raw, headers={"content-type": "application/json"}))

    response = await client.chat.completions.create(model="m", messages=HI)

    assert response.text == text


# -- keeping -------------------------------------------------------------------------------------------------------------


@every_completion
async def test_an_answer_equals_its_copies(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    for other in (
        copy.copy(response),
        copy.deepcopy(response),
        pickle.loads(pickle.dumps(response)),
        ChatCompletionResponse.model_validate(response.model_dump()),
        ChatCompletionResponse.model_validate(case["body"]),
        ChatCompletionResponse.model_validate_json(response.model_dump_json()),
    ):
        assert type(other) is ChatCompletionResponse
        assert other == response
        assert other.model_dump() == case["body"]
        assert repr(other) == repr(response)


@every_completion
async def test_an_answer_differs_from_another(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    assert response != await received({**case["body"], "id": "another"})
    assert response != "an answer"
    assert response is not None


async def test_a_copy_keeps_the_meta() -> None:
    response = await received(BY_NAME["plain"])

    for other in (copy.copy(response), copy.deepcopy(response), pickle.loads(pickle.dumps(response))):
        assert other.meta.status_code == 200
        assert other.meta.headers["Content-Type"] == "application/json"


async def test_an_answer_has_the_attestation_that_it_was_given_and_so_have_its_copies() -> None:
    report = AttestationReport(model="e2ee-m", nonce="00", fetched_at=1.0, expires_at=2.0)
    plain = await received(BY_NAME["plain"])
    assert (plain.with_attestation(None).attestation, plain.signature) == (None, None)

    attested = plain.with_attestation(report)

    assert attested is plain
    assert attested.attestation is report
    for other in (copy.copy(attested), copy.deepcopy(attested), pickle.loads(pickle.dumps(attested))):
        assert (other.attestation, other.signature) == (report, None)


@pytest.mark.parametrize("private", [False, True])
def test_an_object_of_another_class_stays_as_private_as_it_was(private: bool) -> None:
    message = ChatMessage.model_validate({"role": "assistant", "content": "words"})
    if private:
        mark_private(message)

    for other in (AssistantMessage.model_validate(message), copy.copy(message), pickle.loads(pickle.dumps(message))):
        assert ("words" in repr(other)) is not private
        assert (repr(other) == f"{type(other).__name__}(<end-to-end encrypted, not shown>)") is private
    assert "words" in repr(AssistantMessage.model_validate({"role": "assistant", "content": "words"}))


def test_no_part_of_a_private_answer_is_shown() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "secret", "arguments": "secret"}}
    message = {"role": "assistant", "content": "secret", "tool_calls": [call]}
    answer = ChatCompletionResponse.model_validate({"choices": [{"message": message}, {"message": message}]})
    chunk = ChatCompletionChunk.model_validate({"choices": [{"delta": message}]})
    for whole in (answer, chunk):
        assert repr(whole).count("secret") >= 3
        mark_private(whole)
        parts = [part for _, part, data in nodes(whole, whole.model_dump()) if isinstance(data, dict)]
        assert len(parts) == 1 + 4 * len(whole.choices)
        assert "secret" not in repr(parts)


def test_model_dump_json_keeps_characters_beyond_ascii_and_takes_an_indent() -> None:
    message = ChatMessage.model_validate({"content": "Grüße", "name": None})

    assert message.model_dump_json() == '{"content": "Grüße", "name": null}'
    assert message.model_dump_json(exclude_none=True) == '{"content": "Grüße"}'
    assert message.model_dump_json(indent=2) == '{\n  "content": "Grüße",\n  "name": null\n}'


@every_completion
async def test_a_dump_is_independent_of_the_answer(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    scramble(response.model_dump())
    scramble(copy.deepcopy(response).model_dump())

    assert response.model_dump() == case["body"]


async def test_a_deep_copy_is_independent_of_the_answer() -> None:
    response = await received(BY_NAME["plain"])
    other = copy.deepcopy(response)

    other.choices[0].message.content = "changed"

    assert response.text == "Hello."
    assert other.text == "changed"
    assert other["choices"][0]["message"]["content"] == "changed"


def test_a_view_does_not_change_the_mapping_it_was_made_from() -> None:
    body = completion()
    before = copy.deepcopy(body)

    ChatCompletionResponse.model_validate(body).choices[0].message.content = "changed"

    assert body == before


def scramble(value: Any) -> None:
    if isinstance(value, dict):
        for key in list(cast("dict[str, Any]", value)):
            scramble(value[key])
            value[key] = "scrambled"
    elif isinstance(value, list):
        for item in cast("list[Any]", value):
            scramble(item)
        cast("list[Any]", value).clear()


@every_completion
async def test_an_answer_without_its_nulls(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in cast("dict[str, Any]", value).items() if item is not None}
        return [without(item) for item in cast("list[Any]", value)] if isinstance(value, list) else value

    assert response.model_dump(exclude_none=True) == without(case["body"])


@every_completion
async def test_the_parts_of_an_answer_can_be_kept_alone(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    for choice, data in zip(response.choices, case["body"].get("choices", []), strict=True):
        assert pickle.loads(pickle.dumps(choice)) == choice == ChatChoice.model_validate(data)
        assert copy.deepcopy(choice.message) == choice.message == ChatMessage.model_validate(data["message"])
        assert AssistantMessage.from_response(response).model_dump() == data["message"]


def test_an_assistant_turn_of_a_choice_that_is_not_there() -> None:
    with pytest.raises(ValueError, match="choice 1"):
        AssistantMessage.from_response(ChatCompletionResponse.model_validate(completion()), 1)


# -- in other people's models --------------------------------------------------------------------------------------------


class Holder(BaseModel):
    answer: ChatCompletionResponse
    others: list[ChatCompletionResponse] = []
    note: str = ""


@every_completion
async def test_an_answer_is_a_field_of_a_pydantic_model(case: dict[str, Any]) -> None:
    response = await received(case["body"])

    holder = Holder(answer=response, others=[response])

    assert holder.answer == response
    assert holder.model_dump()["answer"] == case["body"]
    assert json.loads(holder.model_dump_json())["others"] == [case["body"]]
    assert Holder.model_validate_json(holder.model_dump_json()) == holder
    assert Holder.model_validate({"answer": case["body"]}).answer == response
    assert pickle.loads(pickle.dumps(holder)) == holder


@pytest.mark.parametrize("odd", ["text", 7, None, ["list"]], ids=repr)
def test_a_value_that_is_not_a_json_object_is_not_a_response(odd: Any) -> None:
    with pytest.raises(TypeError):
        ChatCompletionResponse.model_validate(odd)
    with pytest.raises(ValidationError):
        Holder(answer=odd)


def test_a_schema_can_be_made_of_a_model_with_an_answer() -> None:
    for mode in ("validation", "serialization"):
        schema = TypeAdapter(Holder).json_schema(mode=mode)

        assert schema["properties"].keys() == {"answer", "others", "note"}
        assert schema["properties"]["answer"] == {
            "type": "object",
            "title": "ChatCompletionResponse",
            "additionalProperties": True,  # what the server adds is kept
        }


@every_completion
async def test_an_answer_is_what_a_fastapi_route_returns(case: dict[str, Any]) -> None:
    from fastapi import FastAPI

    response = await received(case["body"])
    app = FastAPI()

    async def ask() -> ChatCompletionResponse:
        return response

    app.get("/ask", response_model=ChatCompletionResponse)(ask)
    app.get("/annotated")(ask)

    assert json.loads(await fetched(app, "/ask")) == case["body"]
    assert json.loads(await fetched(app, "/annotated")) == case["body"]
    assert b"/ask" in await fetched(app, "/openapi.json")


async def fetched(app: Any, path: str) -> bytes:
    """The body that an ASGI application answers a GET with."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
    }
    await app(scope, receive, send)
    assert sent[0]["status"] == 200
    return b"".join(message.get("body", b"") for message in sent[1:])


# -- odd fields ----------------------------------------------------------------------------------------------------------

CLASHING = [
    *("get", "keys", "items", "values", "copy", "pop", "update", "text", "meta", "finish_reason", "tool_calls"),
    *("model_dump", "model_dump_json", "model_validate", "model_validate_json", "model_fields", "model_config"),
    *("_adopt", "_nested", "_fields", "_required", "_lists", "_constants", "_meta"),
    *("__class__", "__dict__", "__init__", "__getattr__", "__eq__", "__reduce_ex__", "__deepcopy__", "self", "data", ""),
]


ODD: list[Any] = [None, 7, "odd", ["odd"], {"odd": 1}]


@pytest.mark.parametrize("key", CLASHING)
async def test_a_key_that_is_named_like_a_method_is_only_data(key: str) -> None:
    for value in ODD:
        body = completion("hello")
        for place in (body, body["choices"][0], body["choices"][0]["message"], body["usage"]):
            place[key] = value

        response = await received(body)

        assert type(response) is ChatCompletionResponse
        for view in (response, response.choices[0], response.choices[0].message, response.usage):
            assert view is not None
            assert_only_data(view, key, value)
        assert response.model_dump() == body
        assert response.text == "hello"
        assert response.choices[0].message.content == "hello"
        assert response.meta.status_code == 200
        assert response.cost is None
        assert response.choices[0].stop_reason is None
        assert Holder(answer=response).model_dump()["answer"] == body


def assert_only_data(view: Any, key: str, value: Any) -> None:
    assert view[key] == value
    assert key in view
    assert view.get(key) == value
    assert key in view.keys()  # noqa: SIM118  # keys() itself is under test
    assert dict(view.items())[key] == value
    assert json.loads(view.model_dump_json())[key] == value
    assert view == copy.copy(view) == copy.deepcopy(view) == pickle.loads(pickle.dumps(view))
    assert key in repr(view)


@pytest.mark.parametrize("key", CLASHING)
def test_a_missing_field_is_still_nothing_beside_a_key_that_clashes(key: str) -> None:
    response = ChatCompletionResponse.model_validate({key: 7})

    assert response.choices == []
    assert response.id is None


TEXT_PATH = ("choices", 0, "message", "content")


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a JSON value, but those that lead to the text."""
    if path != TEXT_PATH[: len(path)]:
        yield path
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield from paths(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(cast("list[Any]", value)):
            yield from paths(item, (*path, index))


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    changed = copy.deepcopy(value)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = odd
    return changed


FULL: dict[str, Any] = {
    **BY_NAME["web citations with html and empty date"],
    "choices": BY_NAME["reasoning+details+cache+extras"]["choices"],
    "usage": BY_NAME["reasoning+details+cache+extras"]["usage"],
    "cost": {"usd": 0.1, "diem": 0},
    "error": None,
}


# What stands in `error` is an error, whatever it is.
@given(path=st.sampled_from([path for path in paths(FULL) if path != ("error",)]), odd=JSON)
async def test_any_value_in_any_field_leaves_the_text_alone(path: tuple[Any, ...], odd: Any) -> None:
    body = replaced(FULL, path, odd)

    response = await received(body)

    assert_whole(response, body)


@pytest.mark.parametrize(
    "choices",
    [
        None,
        7,
        "text",
        {},
        [],
        [None],
        [7],
        ["text"],
        [{}],
        [{"message": None}],
        [{"message": 7}],
        [{"message": {"content": 7}}],
    ],
    ids=repr,
)
async def test_an_answer_with_odd_choices_has_no_text_but_is_one(choices: Any) -> None:
    body = {**completion(), "choices": choices}

    response = await received(body)

    assert (response.text, response.finish_reason, response.tool_calls) == (None, None, [])
    assert response.model_dump() == body
    assert response.usage is not None


@given(
    place=st.sampled_from([("{}",), ("choices", 0, "{}"), ("choices", 0, "message", "{}"), ("usage", "{}")]), key=TEXT, odd=JSON
)
async def test_any_further_field_anywhere_leaves_the_text_alone(place: tuple[Any, ...], key: str, odd: Any) -> None:
    path = tuple(key if step == "{}" else step for step in place)
    if path == TEXT_PATH[: len(path)]:
        return
    body = replaced(FULL, path, odd)

    response = await received(body)

    assert_whole(response, body)


def assert_whole(response: ChatCompletionResponse, body: dict[str, Any]) -> None:
    assert response.text == "42"
    assert response.choices[0].message.content == "42"
    assert response.model_dump() == body
    assert response == copy.deepcopy(response) == pickle.loads(pickle.dumps(response))
    assert repr(response)
    assert response.meta.status_code == 200
    assert response.meta.request_id in (body.get("id"), None)
    for name in ("finish_reason", "tool_calls", "web_search_citations"):
        getattr(response, name)
    for name in ("cached_tokens", "cache_write_tokens", "reasoning_tokens"):
        assert isinstance(getattr(response.usage, name, 0), int)


CHUNK: dict[str, Any] = {
    **envelope(),
    "usage": None,
    "cost": None,
    "venice_parameters": {"web_search_citations": []},
    "service_tier": None,
    "error": None,
    "choices": [
        {
            "index": 0,
            "finish_reason": None,
            "logprobs": None,
            "stop_reason": None,
            "delta": {
                "role": "assistant",
                "content": "42",
                "reasoning_content": None,
                "reasoning_details": None,
                "tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
                "refusal": None,
                "name": None,
            },
        }
    ],
}
CHUNK_TEXT_PATH = ("choices", 0, "delta", "content")
CHUNK_PATHS = [
    path for path in paths(CHUNK) if path != CHUNK_TEXT_PATH[: len(path)] and path not in {("error",), ("choices", 0, "index")}
]


@given(path=st.sampled_from(CHUNK_PATHS), odd=JSON, position=st.integers(0, 2))
async def test_any_value_in_any_field_of_a_chunk_leaves_the_text_alone(path: tuple[Any, ...], odd: Any, position: int) -> None:
    chunks = [chunk("4"), chunk("2"), chunk(finish="stop")]
    chunks.insert(position, replaced(CHUNK, path, odd))
    client, _ = client_of(stream(*map(event, chunks), DONE), stream(*map(event, chunks), DONE))

    whole = await (await client.chat.completions.stream(model="m", messages=HI)).collect()
    read = await client.chat.completions.stream(model="m", messages=HI)
    texts = [text async for text in read.text_deltas()]

    expected = ("4242", "4422", "4242")[position]
    assert whole.text == "".join(texts) == expected
    assert whole.choices[0].finish_reason is not None
    assert whole == copy.deepcopy(whole) == pickle.loads(pickle.dumps(whole))
    assert json.loads(whole.model_dump_json()) == whole.model_dump()


@pytest.mark.parametrize("key", CLASHING)
async def test_a_chunk_with_a_key_that_is_named_like_a_method(key: str) -> None:
    odd = chunk("hel")
    odd[key] = odd["choices"][0][key] = odd["choices"][0]["delta"][key] = "odd"
    client, _ = client_of(stream(event(odd), event(chunk("lo", finish="stop")), DONE))

    read = await client.chat.completions.stream(model="m", messages=HI)
    chunks = [piece async for piece in read]
    whole = await read.collect()

    assert [type(piece) for piece in chunks] == [ChatCompletionChunk] * 2
    assert chunks[0].model_dump() == odd
    assert whole.text == "hello"
    assert whole[key] == "odd" or key == "text"


@pytest.mark.parametrize("usage", [[1], "many", 3, True, {"prompt_tokens": "many"}, {"prompt_tokens": -1, "total_tokens": [2]}])
async def test_a_malformed_usage_does_not_lose_the_answer(usage: Any) -> None:
    client, _ = client_of(answer(completion(usage=usage)))
    whole: ChatCompletionResponse = await client.chat.completions.create(model="m", messages=HI)
    assert whole.text == completion()["choices"][0]["message"]["content"]
    assert whole.model_dump()["usage"] == usage

    client, _ = client_of(stream(event(chunk("Hello", finish="stop")), event(envelope(choices=[], usage=usage)), DONE))
    async with await client.chat.completions.stream(model="m", messages=HI) as chunks:
        assert (await chunks.collect()).text == "Hello"
