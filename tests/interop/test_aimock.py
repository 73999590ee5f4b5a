"""`aimock` speaks two dialects of the protocol, OpenAI's and OpenRouter's: our client understands both."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Generator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from venice_ai import (
    APIConnectionError,
    APIResponseProcessingError,
    ChatCompletionResponse,
    ChatStream,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
    Timeout,
    Tool,
    ToolFunction,
    ToolMessage,
    UserMessage,
    VeniceClient,
)

from .environments import node_env
from .servers import ForeignServer, serving

pytestmark = pytest.mark.interop

MODEL = "openai/gpt-4o"
ENDLESS = "This answer will not come to its end, however long you wait for it to do so, and that is all there is to it."
CALLS: list[dict[str, Any]] = [
    {"id": "call_weather", "name": "get_weather", "arguments": {"town": "Chioggia"}},
    {"id": "call_tide", "name": "get_tide", "arguments": {}},
]
FIXTURES: list[dict[str, Any]] = [
    {"match": {"userMessage": "weather", "hasToolResult": False}, "response": {"toolCalls": CALLS}},
    {"match": {"userMessage": "weather", "hasToolResult": True}, "response": {"content": "Fog, then sun."}},
    {
        "match": {"userMessage": "tool first"},
        "response": {"blocks": [{"type": "toolCall", **CALLS[0]}, {"type": "text", "text": "Looking."}]},
    },
    {"match": {"userMessage": "think"}, "response": {"content": "42", "reasoning": "Let me think."}},
    {"match": {"userMessage": "wait"}, "response": {"content": "Here it is."}, "openRouterProcessing": True},
    {"match": {"userMessage": "break"}, "response": {"content": ENDLESS}, "latency": 60, "truncateAfterChunks": 3},
    {"match": {"userMessage": "leave"}, "response": {"content": ENDLESS}, "latency": 60, "disconnectAfterMs": 150},
    {
        "match": {},
        "response": {
            "content": "Good morning from the other side of the lagoon.",
            "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        },
    },
]
TOOLS = [Tool(function=ToolFunction(name=name, parameters={"type": "object"})) for name in ("get_weather", "get_tide")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[ForeignServer]:
    environment = node_env("aimock", ["@copilotkit/aimock@1.43"])
    fixtures: Path = tmp_path_factory.mktemp("aimock") / "fixtures.json"
    fixtures.write_text(json.dumps({"fixtures": FIXTURES}), encoding="utf-8")

    def command(port: int) -> list[str]:
        node = environment.command("@copilotkit/aimock/dist/cli.js")
        return [*node, f"--port={port}", f"--fixtures={fixtures}", "--log-level=warn", "--validate-on-load"]

    with serving(command, ready="/health", folder=environment.folder) as server:
        yield server


@pytest.fixture
def aimock(server: ForeignServer) -> ForeignServer:
    """The server, without faults."""
    server.post("/__aimock/chaos", {})
    return server


@pytest_asyncio.fixture(params=[pytest.param("/v1", id="OpenAI"), pytest.param("/api/v1", id="OpenRouter")])
async def client(aimock: ForeignServer, request: pytest.FixtureRequest) -> AsyncGenerator[VeniceClient]:
    """A client of the server, in each dialect."""
    patience = Timeout(first_chunk=20, idle=20)
    async with VeniceClient(api_key="any", base_url=aimock.origin + request.param, timeout=patience, limits=False) as client:
        yield client


async def whole(client: VeniceClient, text: str) -> ChatCompletionResponse:
    return await client.chat.completions.create(model=MODEL, messages=[UserMessage(content=text)])


async def streamed(client: VeniceClient, text: str) -> ChatStream:
    return await client.chat.completions.stream(model=MODEL, messages=[UserMessage(content=text)])


async def test_a_plain_answer_is_read_with_its_usage(client: VeniceClient) -> None:
    reply = await whole(client, "hi")

    assert reply.text == "Good morning from the other side of the lagoon."
    assert reply.choices[0].finish_reason == "stop"
    assert reply.usage is not None
    assert reply.usage.total_tokens == 15


async def test_a_stream_is_the_same_answer(client: VeniceClient) -> None:
    reply = await whole(client, "hi")

    async with await streamed(client, "hi") as stream:
        texts = [text async for text in stream.text_deltas()]
        collected = await stream.collect()

    assert len(texts) > 2
    assert "".join(texts) == collected.text == reply.text
    assert stream.usage == reply.usage


async def test_comments_and_reasoning_are_understood(client: VeniceClient) -> None:
    async with await streamed(client, "wait") as waited:
        assert (await waited.collect()).text == "Here it is."
    async with await streamed(client, "think") as thought:
        message = (await thought.collect()).choices[0].message
    assert (message.content, message.reasoning_content) == ("42", "Let me think.")


@pytest.mark.parametrize("streams", [pytest.param(False, id="whole"), pytest.param(True, id="streamed")])
async def test_two_tools_are_called_and_their_results_used(client: VeniceClient, *, streams: bool) -> None:
    async def turn(messages: list[Any]) -> Any:
        if not streams:
            return await client.chat.completions.create(model=MODEL, messages=messages, tools=TOOLS)
        async with await client.chat.completions.stream(model=MODEL, messages=messages, tools=TOOLS) as stream:
            return await stream.collect()

    first = (await turn([UserMessage(content="weather")])).choices[0]
    results = [ToolMessage(tool_call_id=call.id, content="fog") for call in first.message.tool_calls]
    second = (await turn([UserMessage(content="weather"), first.message, *results])).choices[0]

    assert first.finish_reason == "tool_calls"
    assert [(call.id, call.function.name) for call in first.message.tool_calls] == [
        ("call_weather", "get_weather"),
        ("call_tide", "get_tide"),
    ]
    assert json.loads(first.message.tool_calls[0].function.arguments) == {"town": "Chioggia"}
    assert second.message.content == "Fog, then sun."


async def test_a_tool_call_may_come_before_the_text(client: VeniceClient) -> None:
    async with await streamed(client, "tool first") as stream:
        message = (await stream.collect()).choices[0].message

    assert message.content == "Looking."
    assert [call.function.name for call in message.tool_calls or []] == ["get_weather"]


@pytest.mark.parametrize("fault", [pytest.param("break", id="reset"), pytest.param("leave", id="closed")])
async def test_a_stream_that_breaks_off_says_so(client: VeniceClient, fault: str) -> None:
    async with await streamed(client, fault) as stream:
        with pytest.raises(StreamInterruptedError) as caught:
            await stream.collect()

    assert caught.value.partial is not None
    assert ENDLESS.startswith(caught.value.partial.text or "nothing came")


async def test_a_rate_limit_is_waited_for_as_long_as_it_says(aimock: ForeignServer, client: VeniceClient) -> None:
    aimock.post("/__aimock/chaos", {"rateLimitRate": 1})

    with pytest.raises(RateLimitError) as caught:
        await whole(client, "hi")

    assert caught.value.retry_after_seconds == 1.0
    assert caught.value.meta is not None
    assert caught.value.meta.attempts == 3
    # Milliseconds of a clock that the system may set meanwhile.
    times = [entry["timestamp"] for entry in aimock.get("/__aimock/journal?limit=1000")[-3:]]
    assert all(later - earlier >= 990 for earlier, later in pairwise(times))


@pytest.mark.parametrize(
    ("chaos", "error", "attempts"),
    [
        pytest.param("dropRate", InternalServerError, 2, id="500"),
        pytest.param("malformedRate", APIResponseProcessingError, 1, id="broken JSON"),
        pytest.param("disconnectRate", APIConnectionError, 1, id="no answer"),
    ],
)
async def test_chaos_becomes_a_typed_error(
    aimock: ForeignServer, client: VeniceClient, chaos: str, error: type[Exception], attempts: int
) -> None:
    aimock.post("/__aimock/chaos", {chaos: 1})
    before = len(aimock.get("/__aimock/journal?limit=1000"))

    with pytest.raises(error):
        await whole(client, "hi")

    assert len(aimock.get("/__aimock/journal?limit=1000")) - before == attempts


async def test_its_catalogue_is_listed(client: VeniceClient) -> None:
    assert [model.id for model in (await client.models.list()).data]
