"""`stream_with_tools`: the loop of `run_with_tools` as a stream of events."""

from __future__ import annotations

import asyncio
import gc
import json
import threading
from typing import Any, assert_type

import pytest

from venice_ai import (
    FunctionTool,
    InvalidArgumentError,
    InvalidRequestError,
    MaxIterationsExceededError,
    NotFoundError,
    RoundFinished,
    ServiceUnavailableError,
    StreamInterruptedError,
    TextDelta,
    ToolCallFinished,
    ToolCallStarted,
    ToolEvent,
    ToolLoopResult,
    ToolStream,
    UnknownToolError,
    VeniceClient,
    VeniceError,
    tool_from_function,
)
from venice_ai.emulator import Emulator, error, text, tool_call, tool_calls

from .wires import OPEN_ALONE, client_of_wire, either_wire, emulator_of_wire  # noqa: F401  # pyright: ignore[reportUnusedImport]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

HI = [{"role": "user", "content": "hi"}]


async def stream(client: VeniceClient, *tools: Any, **more: Any) -> ToolStream:
    return await client.chat.completions.stream_with_tools(model="default", messages=HI, tools=tools, **more)


def shown(event: ToolEvent) -> str:
    """An event in a line."""
    match event:
        case TextDelta(text=words, iteration=n):
            return f"{n} text {words}"
        case ToolCallStarted(call=call, arguments=arguments, iteration=n):
            return f"{n} start {call.function.name} {json.dumps(arguments)}"
        case ToolCallFinished(call=call, content=content, error=failure, denied=denied, iteration=n):
            how = "denied" if denied else type(failure).__name__ if failure else "ok"
            return f"{n} finish {call.function.name} {how} {content}"
        case RoundFinished(response=response, iteration=n):
            return f"{n} round {response.finish_reason}"
        case ToolLoopResult(iterations=n):
            return f"result after {n}"


def add(a: int, b: int = 1) -> int:
    return a + b


def fail() -> None:
    raise LookupError("nothing here")


async def test_the_events_of_a_tool_loop_come_in_order(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), text("it is 2", deltas=["it ", "is ", "2"]))
    async with await stream(client, add) as events:
        lines = [shown(event) async for event in events]

    assert lines == [
        '1 start add {"a": 1}',
        "1 finish add ok 2",
        "1 round tool_calls",
        "2 text it ",
        "2 text is ",
        "2 text 2",
        "2 round stop",
        "result after 2",
    ]
    assert [request.body["stream"] for request in emulator.requests] == [True, True]


async def test_stream_with_tools_has_its_documented_types(client: VeniceClient) -> None:
    async with await client.chat.completions.stream_with_tools(model="default", messages=HI, tools=[add]) as events:
        assert_type(events, ToolStream)
        async for event in events:
            assert_type(event, ToolEvent)
        assert_type(await events.collect(), ToolLoopResult)


@OPEN_ALONE
async def test_it_ends_as_run_with_tools_does(client: VeniceClient) -> None:
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"clear in {city}"

    messages = [{"role": "user", "content": "How is the weather in Rome?"}]
    expected = await client.chat.completions.run_with_tools(model="default", messages=messages, tools=[get_weather])
    async with await client.chat.completions.stream_with_tools(
        model="default", messages=messages, tools=[get_weather]
    ) as events:
        streamed = await events.collect()

    assert streamed.text == expected.text
    assert [(m["role"], m["content"] or "") for m in streamed.messages] == [
        (m["role"], m["content"] or "") for m in expected.messages
    ]
    assert streamed.iterations == expected.iterations
    assert streamed.total_usage == expected.total_usage


async def test_text_beside_tool_calls_is_streamed(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_calls(("add", {"a": 1}), content="Let me add."), text("2"))
    async with await stream(client, add) as events:
        seen = [event async for event in events]
    streamed_text = "".join(event.text for event in seen if isinstance(event, TextDelta) and event.iteration == 1)

    assert streamed_text == "Let me add."


async def test_calls_that_run_together_start_together_and_finish_as_they_are_done(
    emulator: Emulator, client: VeniceClient
) -> None:
    second_done = threading.Event()

    def first() -> str:
        second_done.wait(60)
        return "1"

    async def second() -> str:
        return "2"

    emulator.script(tool_calls(("first", {}), ("second", {})), text("done"))
    async with await stream(client, first, second, parallel=True) as events:
        lines: list[str] = []
        async for event in events:
            if isinstance(event, ToolCallFinished):
                second_done.set()
            lines.append(type(event).__name__ if not isinstance(event, ToolCallFinished) else f"finished {event.content}")
        messages = (await events.collect()).messages

    assert lines[:5] == ["ToolCallStarted", "ToolCallStarted", "finished 2", "finished 1", "RoundFinished"]
    assert [each["content"] for each in messages if each["role"] == "tool"] == ["1", "2"], "in the order of the calls"


async def test_a_call_that_cannot_run_is_finished_without_being_started(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_calls(("add", {"a": "?"}), ("other", {}), ("fail", {}), ("add", {"a": 1})), text("done"))
    async with await stream(client, add, fail, on_unknown_tool="report") as events:
        seen = [event async for event in events if isinstance(event, (ToolCallStarted, ToolCallFinished))]

    assert [type(event).__name__.removeprefix("ToolCall") for event in seen] == [
        *("Finished", "Finished"),
        *("Started", "Finished", "Started", "Finished"),
    ]
    assert [type(event.error).__name__ for event in seen if isinstance(event, ToolCallFinished)] == [
        *("ToolArgumentsError", "UnknownToolError", "LookupError", "NoneType")
    ]


@OPEN_ALONE
async def test_the_request_is_accepted_before_the_first_event(emulator: Emulator, client: VeniceClient) -> None:
    with pytest.raises(NotFoundError):
        await client.chat.completions.stream_with_tools(model="no-such-model", messages=HI, tools=[add])
    with pytest.raises(InvalidRequestError):
        await stream(client, add, add)
    with pytest.raises(InvalidArgumentError, match="stream"):
        await stream(client, add, stream=True)
    assert len(emulator.requests) == 1


async def test_errors_are_raised_where_events_are_read(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), error(503))
    events = await stream(client, add)
    with pytest.raises(ServiceUnavailableError) as caught:
        await events.collect()
    state = caught.value.tool_loop
    assert state is not None
    again = await client.chat.completions.stream_with_tools(model="default", tools=[add], resume=state)
    result = await again.collect()

    assert [message["content"] for message in result.messages if message["role"] == "tool"] == ["2"]
    with pytest.raises(ServiceUnavailableError):
        await events.collect()


async def test_a_stream_that_breaks_off_keeps_the_loop(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), text("a long answer that is cut", cut_at=900))
    events = await stream(client, add)
    with pytest.raises(StreamInterruptedError) as caught:
        async for _ in events:
            pass

    assert caught.value.tool_loop is not None
    assert caught.value.tool_loop.iterations == 1
    assert caught.value.partial is not None


@pytest.mark.parametrize(
    ("steps", "settings", "kind"),
    [
        pytest.param([tool_call("other")], {}, UnknownToolError, id="unknown"),
        pytest.param([tool_call("add", {"a": 1})], {"max_iterations": 1}, MaxIterationsExceededError, id="limit"),
    ],
)
async def test_stream_with_tools_raises_the_errors_of_run_with_tools(
    emulator: Emulator, client: VeniceClient, steps: list[Any], settings: dict[str, Any], kind: type[Exception]
) -> None:
    emulator.script(*steps)
    events = await stream(client, add, **settings)
    with pytest.raises(kind):
        await events.collect()


@OPEN_ALONE
async def test_at_the_limit_it_streams_an_answer_without_tools(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), text("enough"))
    result = await (await stream(client, add, max_iterations=1, on_limit="answer")).collect()

    assert result.text == "enough"
    assert "tools" not in emulator.requests[1].body


async def test_collect_reads_what_is_left(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), text("done"))
    events = await stream(client, add)
    first = await anext(events)
    result = await events.collect()

    assert isinstance(first, ToolCallStarted)
    assert result.text == "done"
    assert await events.collect() is result


async def test_leaving_early_drops_the_connection(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(text("a very long story", deltas=["a ", "very ", "long ", "story"]))
    async with await stream(client, add) as events:
        async for event in events:
            assert isinstance(event, TextDelta)
            break
    with pytest.raises(VeniceError, match="stopped before its end"):
        await events.collect()
    await events.close()


async def test_leaving_early_cancels_tools_that_run(emulator: Emulator, client: VeniceClient) -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    async def quick() -> str:
        return "quick"

    emulator.script(tool_calls(("wait", {}), ("quick", {})), text("done"))
    async with await stream(client, wait, quick, parallel=True) as events:
        async for event in events:
            if isinstance(event, ToolCallFinished):
                break
    assert ended == ["wait"]
    assert len(emulator.requests) == 1


async def test_a_stream_that_is_not_read_is_closed_without_a_warning(client: VeniceClient) -> None:
    async with await stream(client, add):
        pass
    gc.collect()


async def test_cancelling_the_reader_stops_the_loop(emulator: Emulator, client: VeniceClient) -> None:
    started, ended = asyncio.Event(), list[str]()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    async def read() -> None:
        async with await stream(client, wait) as events:
            async for _ in events:
                pass

    emulator.script(tool_call("wait"), text("done"))
    task = asyncio.ensure_future(read())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["wait"]


async def test_on_tool_call_and_tool_timeout_work_in_a_stream(emulator: Emulator, client: VeniceClient) -> None:
    async def forever() -> None:
        await asyncio.Event().wait()

    async def dispatch(call: Any, _: Any) -> Any:
        return {"sum": 7} if call.function.name == "add" else None

    emulator.script(tool_calls(("add", {"a": 1}), ("forever", {})), text("done"))
    tools = [tool_from_function(add), FunctionTool(forever, timeout=0.01)]
    result = await (await stream(client, *tools, on_tool_call=dispatch)).collect()

    assert [message["content"] for message in result.messages if message["role"] == "tool"] == [
        '{"sum":7}',
        "Error calling forever: ToolTimeoutError: no result within 0.01 s",
    ]
