"""Tools of programs that ask an encrypted model: sealed on the way there, and ordinary tool calls on the way back."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from venice_ai import ChatCompletionChunk, TeeOptions
from venice_ai._wire.assembly import Assembly
from venice_ai.emulator import Emulator, serve, text

from ..client.wires import form
from ..enclaves import enclave_with_shared_certificates
from .asking import HI, MODEL, SEALED, Got, asking, client_of, recording

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

CANARY = "canary_40be"
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": CANARY, "description": CANARY, "parameters": {"type": "object", "properties": {CANARY: {}}}},
}
CALL = form((CANARY, {CANARY: CANARY}))
FORMS = pytest.mark.parametrize("stream", [False, True], ids=["answer", "stream"])


def sent(emulator: Emulator) -> list[Any]:
    return [request.body for request in emulator.requests if request.path.endswith("/chat/completions")]


def message_of(got: Got, *, stream: bool) -> tuple[Any, str]:
    """The message that a program has in the end, and the finish reason."""
    if stream:
        assert got.events[-1] == b"[DONE]"
        assembly = Assembly(1)
        for chunk in got.chunks:
            assembly.add(ChatCompletionChunk.model_validate(chunk))
        choice = assembly.response().model_dump()["choices"][0]
    else:
        choice = got.json["choices"][0]
    return choice["message"], choice["finish_reason"]


async def chat(emulator: Emulator, **body: Any) -> Got:
    async with asking(client_of(emulator), sealed_tools=True) as program:
        return await program.ask(**{"model": SEALED, "tools": [TOOL], **body})


@FORMS
async def test_a_whole_loop_of_a_program_leaves_no_byte_in_clear(emulator: Emulator, stream: bool) -> None:
    emulator.script(text(f"Let me.\n```json\n{CALL}\n```"), text(f"{CANARY} is all."))
    body: dict[str, Any] = {"model": SEALED, "tools": [TOOL], "stream": stream, "parallel_tool_calls": False}
    body["tool_choice"] = {"type": "function", "function": {"name": CANARY}}
    async with serve(emulator) as server, recording(server.url) as recorded:
        client = client_of(emulator, transport=None, clock=None, base_url=recorded.url, min_privacy="e2ee")
        async with asking(client, sealed_tools=True) as program:
            first = await program.ask(**body)
            message, reason = message_of(first, stream=stream)
            (call,) = message["tool_calls"]
            result = {"role": "tool", "tool_call_id": call["id"], "content": f"{CANARY} of a result"}
            second = await program.ask(**{**body, "messages": [*HI, message, result], "tool_choice": "auto"})

    assert (first.status, second.status) == (200, 200)
    assert (message["content"].strip(), reason) == ("Let me.", "tool_calls")
    assert (call["type"], call["function"]["name"]) == ("function", CANARY)
    assert json.loads(call["function"]["arguments"]) == {CANARY: CANARY}
    answer, reason = message_of(second, stream=stream)
    assert (answer["content"], answer.get("tool_calls"), reason) == (f"{CANARY} is all.", None, "stop")
    assert b"/chat/completions" in recorded.passed
    assert b"canary" not in recorded.passed
    assert [[message["role"] for message in body["messages"]] for body in sent(emulator)] == [
        ["system", "user"],
        ["system", "user", "assistant", "user"],
    ]
    for each in sent(emulator):
        assert each.keys().isdisjoint({"tools", "tool_choice", "parallel_tool_calls"})


@FORMS
async def test_several_calls_have_ids_of_their_own(emulator: Emulator, stream: bool) -> None:
    emulator.script(text(form((CANARY, {"a": 1}), (CANARY, {"a": 2}))))
    message, _ = message_of(await chat(emulator, stream=stream), stream=stream)
    first, second = message["tool_calls"]

    assert first["id"] != second["id"]
    assert [json.loads(call["function"]["arguments"]) for call in (first, second)] == [{"a": 1}, {"a": 2}]


async def test_text_is_streamed_as_it_arrives_and_usage_only_with_include_usage(emulator: Emulator) -> None:
    emulator.script(text(f"Let me look. {CALL}", deltas=["Let ", "me ", "look. ", CALL[:9], CALL[9:30], CALL[30:]]))
    got = await chat(emulator, stream=True, stream_options={"include_usage": True})
    contents: list[Any] = [chunk["choices"][0]["delta"].get("content") for chunk in got.chunks if chunk["choices"]]

    assert [each for each in contents if each] == ["Let ", "me ", "look. "]
    assert got.chunks[-1]["usage"]["total_tokens"] > 0
    (calling,) = [chunk for chunk in got.chunks if chunk["choices"] and chunk["choices"][0]["delta"].get("tool_calls")]
    assert calling["choices"][0]["finish_reason"] == "tool_calls"
    assert calling["choices"][0]["delta"]["tool_calls"][0]["index"] == 0
    assert [chunk for chunk in (await chat(emulator, stream=True)).chunks if chunk.get("usage")] == []


@FORMS
@pytest.mark.parametrize(
    ("answer", "body"),
    [
        pytest.param("It is 2.", {}, id="prose"),
        pytest.param('Like {"a": 1}, or ```py\nx = {}\n```.', {}, id="other JSON"),
        pytest.param('{"tool_calls": [oh', {}, id="what cannot be read"),
        pytest.param(CALL, {"messages": [{"role": "user", "content": f"Say {CALL}"}]}, id="a quotation"),
        pytest.param(CALL, {"tool_choice": "none"}, id="no tool is to be called"),
        pytest.param(CALL, {"tools": []}, id="no tools"),
        pytest.param(CALL, {"tools": None}, id="null"),
    ],
)
async def test_any_other_text_is_an_answer(emulator: Emulator, answer: str, body: dict[str, Any], stream: bool) -> None:
    emulator.script(text(answer))
    message, reason = message_of(await chat(emulator, stream=stream, **body), stream=stream)

    assert (message["content"], message.get("tool_calls"), reason) == (answer, None, "stop")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param({"n": 2}, "n is not allowed", id="several answers"),
        pytest.param({"tools": [{"type": "web_search"}]}, "cannot be sealed", id="a tool of Venice's"),
        pytest.param({"tools": "canary"}, "tools", id="no list"),
        pytest.param({"tools": ["canary"]}, "cannot be sealed", id="no tool"),
        pytest.param({"functions": [{"name": "canary"}]}, "functions", id="functions of old"),
        pytest.param({"stop": ["canary"]}, "stop", id="stop"),
        pytest.param({"messages": ["canary"]}, "messages", id="no message"),
        pytest.param({"messages": "canary"}, "messages", id="no messages"),
        pytest.param({"messages": [{"role": "assistant", "content": "x", "name": "canary"}]}, "messages.1.name", id="a name"),
    ],
)
async def test_a_request_that_cannot_be_sealed_is_refused_with_tools(
    emulator: Emulator, body: dict[str, Any], place: str
) -> None:
    got = await chat(emulator, **body)

    assert (got.status, got.error["type"]) == (400, "invalid_request_error")
    assert place in got.error["message"]
    assert b"canary" not in got.body.replace(CANARY.encode(), b"")
    assert sent(emulator) == []


@FORMS
async def test_without_the_option_tools_are_refused(emulator: Emulator, stream: bool) -> None:
    async with asking(client_of(emulator)) as program:
        got = await program.ask(model=SEALED, tools=[TOOL], stream=stream)

    assert got.status == 400
    assert "tools is not allowed with e2ee" in got.error["message"]
    assert sent(emulator) == []


async def test_where_not_every_role_is_sealed_nothing_is(emulator: Emulator) -> None:
    assert emulator.enclave is not None
    tee: TeeOptions = emulator.enclave.options(encrypt_roles=("user",))
    async with asking(client_of(emulator, tee=tee), sealed_tools=True, clear_on_request=True) as program:
        got = await program.ask(model=SEALED, tools=[TOOL])

    assert got.status == 400
    assert "system would leave in clear" in got.error["message"]
    assert sent(emulator) == []


async def test_tools_of_other_models_go_as_they_are(emulator: Emulator) -> None:
    got = await chat(emulator, model=MODEL, tools=[{"type": "function", "function": {"name": "add"}}])

    assert got.status == 200
    assert sent(emulator)[0]["tools"] == [{"type": "function", "function": {"name": "add"}}]


class Talker:
    """A model that says one thing and keeps what it was told."""

    model_id = "e2ee-talker"
    context_tokens = 100_000
    messages: list[dict[str, Any]] = []

    async def stream(self, body: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        self.messages = body["messages"]
        yield {"choices": [{"index": 0, "delta": {"content": "well"}, "finish_reason": "stop"}]}

    async def aclose(self) -> None: ...


async def test_earlier_calls_and_results_are_sent_as_texts_even_without_tools() -> None:
    talker = Talker()
    call = {"id": "1", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    messages = [
        *HI,
        {"role": "assistant", "content": None, "tool_calls": [call], "reasoning_content": "hm"},
        {"role": "tool", "tool_call_id": "1", "content": [{"type": "text", "text": "2"}]},
    ]
    emulator = Emulator(tee=enclave_with_shared_certificates(), backend=talker)
    got = await chat(emulator, model=talker.model_id, messages=messages, tools=None)

    assert got.status == 200
    assert [(message["role"], message["content"]) for message in talker.messages] == [
        ("system", "No tool can be called now. Answer in plain words."),
        ("user", "hi"),
        ("assistant", '{"tool_calls": [{"name": "add", "arguments": {"a":1}}]}'),
        ("user", '{"tool_results": [{"name": "add", "result": [{"type": "text", "text": "2"}]}]}'),
    ]
