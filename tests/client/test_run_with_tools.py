"""`run_with_tools`: asks the model, runs the tools that it calls, and asks again with their results."""

from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import subprocess
import sys
import threading
import time
import traceback
import types
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any, assert_type, cast

import pytest
from pydantic import BaseModel

from venice_ai import (
    AuthenticationError,
    ChatUsage,
    FunctionTool,
    InvalidArgumentError,
    InvalidRequestError,
    MaxIterationsExceededError,
    NoChoicesError,
    NotFoundError,
    ServiceUnavailableError,
    SyncVeniceClient,
    ToolArgumentsError,
    ToolCall,
    ToolCallFunction,
    ToolContext,
    ToolLoopResult,
    ToolSignatureError,
    ToolTimeoutError,
    UnknownToolError,
    UserMessage,
    VeniceClient,
    tool_from_function,
)
from venice_ai._core.concurrency import as_completed, in_thread
from venice_ai.emulator import Emulator, completion, error, text, tool_call, tool_calls
from venice_ai.resources.chat import ChatCompletions, completions
from venice_ai.resources.chat import tool_runner as tool_runs
from venice_ai.tools import prepared

from .wires import OPEN_ALONE, SEALED_MORE, client_of_wire, either_wire, emulator_of_wire  # noqa: F401  # pyright: ignore[reportUnusedImport]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

HI = [{"role": "user", "content": "hi"}]
WHO: contextvars.ContextVar[str] = contextvars.ContextVar("WHO", default="nobody")


async def run(client: VeniceClient, *tools: Any, **more: Any) -> ToolLoopResult:
    return await client.chat.completions.run_with_tools(model="default", messages=HI, tools=tools, **more)


def bodies(emulator: Emulator) -> list[dict[str, Any]]:
    return [request.body for request in emulator.requests]


def tool_results(result: ToolLoopResult) -> list[str]:
    """What the model was told by tools."""
    return [message["content"] for message in result.messages if message["role"] == "tool"]


def add(a: int, b: int = 1) -> int:
    """Adds."""
    return a + b


async def greet(name: str) -> str:
    return f"hello {name}"


# -- as documented -------------------------------------------------------------------------------------------------------


@OPEN_ALONE
async def test_a_model_calls_a_tool_and_answers(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 2, "b": 3}, id="call_a"), text("it is 5"))
    messages: list[Any] = [UserMessage(content="2 + 3?")]
    result = await client.chat.completions.run_with_tools(model="default", messages=messages, tools=[add], temperature=0.5)

    first, second = bodies(emulator)
    assert result.text == "it is 5"
    assert result.iterations == 2
    assert result.finish_reason == "stop"
    assert result.response.text == "it is 5"
    assert messages == [UserMessage(content="2 + 3?")]
    assert first["tools"] == second["tools"] == [tool_from_function(add)]
    assert first["temperature"] == second["temperature"] == 0.5
    assert first["messages"] == [{"role": "user", "content": "2 + 3?"}]
    assert second["messages"][1]["tool_calls"][0]["id"] == "call_a"
    assert second["messages"][2] == {"role": "tool", "content": "5", "tool_call_id": "call_a"}
    assert result.messages[:3] == second["messages"]
    assert result.messages[3]["content"] == "it is 5"


async def test_run_with_tools_has_its_documented_types(client: VeniceClient) -> None:
    result = await client.chat.completions.run_with_tools(model="default", messages=HI, tools=[add, tool_from_function(hello)])

    assert_type(result, ToolLoopResult)
    assert_type(result.text, str | None)
    assert_type(result.total_usage, ChatUsage | None)


async def test_usage_of_all_round_trips(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 2}), text("3"))
    result = await run(client, add)

    assert result.usage is not None
    assert result.total_usage is not None
    assert result.usage == result.response.usage
    assert result.total_usage.total_tokens > result.usage.total_tokens


async def test_a_model_that_calls_nothing(client: VeniceClient) -> None:
    result = await run(client, add)

    assert result.iterations == 1
    assert len(result.messages) == 2


@OPEN_ALONE
async def test_without_tools_nothing_that_goes_with_them_is_sent(emulator: Emulator, client: VeniceClient) -> None:
    await run(client, tool_choice="auto", parallel_tool_calls=True)

    assert bodies(emulator)[0].keys() == {"model", "messages"}


@OPEN_ALONE
async def test_the_assistants_turn_goes_back_as_it_came(emulator: Emulator, client: VeniceClient) -> None:
    message = {
        "role": "assistant",
        "content": "",
        "reasoning_content": "hm",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}],
        "thought_signature": "sig",
        "tool_calls": [
            {
                "id": "a",
                "type": "function",
                "index": 0,
                "function": {"name": "add", "arguments": '{"a":1}', "odd": 1},
                "new": [1],
            }
        ],
        "of_tomorrow": {"a": None},
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    emulator.script(completion({"id": "1", "created": 1, "model": "m", "choices": [choice]}), text("2"))
    await run(client, add)

    assert bodies(emulator)[1]["messages"][1] == message


@OPEN_ALONE
async def test_a_null_that_a_request_may_not_hold_does_not_go_back(emulator: Emulator, client: VeniceClient) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "add", "arguments": '{"a":1}'}}
    message = {"role": "assistant", "content": None, "reasoning_details": None, "tool_calls": [call]}
    body = {"id": "1", "created": 1, "model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": message}]}
    emulator.script(completion(body), text("2"))
    await run(client, add)

    assert bodies(emulator)[1]["messages"][1] == {"role": "assistant", "content": None, "tool_calls": [call]}


@OPEN_ALONE
async def test_a_search_that_delivers_documents_is_not_executed(emulator: Emulator, client: VeniceClient) -> None:
    called: list[str] = []

    def web_search(documents: list[Any]) -> None:
        called.append(f"web_search {documents}")

    switches = {"enable_web_search": "on", "return_search_results_as_documents": True}
    result = await run(client, web_search, venice_parameters=switches)

    assert bodies(emulator)[0]["venice_parameters"] == switches
    assert [call.id for call in result.response.tool_calls] == ["web_search_call"]
    assert (called, result.iterations) == ([], 1)


# -- arguments and results -----------------------------------------------------------------------------------------------


@dataclass
class Booking:
    day: date
    guests: int = 1


class Receipt(BaseModel):
    day: date
    total: float


async def test_arguments_are_coerced_and_results_are_json(emulator: Emulator, client: VeniceClient) -> None:
    got: list[Booking] = []

    def book(booking: Booking) -> Receipt:
        got.append(booking)
        return Receipt(day=booking.day, total=9.5)

    emulator.script(tool_call("book", {"booking": {"day": "2026-01-02", "guests": "2"}}), text("booked"))
    result = await run(client, book)

    assert got == [Booking(date(2026, 1, 2), 2)]
    assert tool_results(result) == ['{"day":"2026-01-02","total":9.5}']


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        pytest.param("{", "not JSON", id="not JSON"),
        pytest.param("[1]", "not a JSON object", id="no object"),
        pytest.param({"b": 1}, "a: Field required", id="missing"),
        pytest.param({"a": "many"}, "a: Input should be a valid integer", id="another type"),
        pytest.param({"a": 1, "c": 1}, "c: Extra inputs are not permitted", id="unknown"),
    ],
)
async def test_the_model_is_given_the_error_of_arguments_that_do_not_fit(
    emulator: Emulator, client: VeniceClient, caplog: pytest.LogCaptureFixture, arguments: Any, words: str
) -> None:
    emulator.script(tool_call("add", arguments), text("sorry"))
    result = await run(client, add)

    (content,) = tool_results(result)
    assert content.startswith("Error calling add: ToolArgumentsError: ")
    assert words in content
    assert result.text == "sorry"
    assert [record.name for record in caplog.records] == ["venice_ai.tools"]
    assert words not in caplog.text  # they repeat what the model wrote


class Odd:
    def __str__(self) -> str:
        return "an odd thing"


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


def endless() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(
    ("value", "content"),
    [
        pytest.param(Odd(), "an odd thing", id="object"),
        pytest.param([Odd(), 1], '["an odd thing",1]', id="object within"),
        pytest.param(ValueError("not raised"), "not raised", id="exception"),
        pytest.param({"a"}, '["a"]', id="set"),
        pytest.param(b"\xff", '"_w=="', id="bytes"),
        pytest.param(Unshowable(), f"<{__name__}.Unshowable object at ", id="object that has no text"),
        pytest.param(endless(), "[[...]]", id="list within itself"),
    ],
)
async def test_a_tool_that_ran_has_not_failed_whatever_it_returned(
    emulator: Emulator, client: VeniceClient, caplog: pytest.LogCaptureFixture, value: Any, content: str, parallel: bool
) -> None:
    observed: list[Any] = []

    async def odd() -> Any:
        return value

    def observe(_: ToolCall, value: Any) -> None:
        observed.append(value)

    emulator.script(tool_call("odd"), text("well"))
    result = await run(client, odd, on_tool_call=observe, parallel=parallel)

    assert tool_results(result)[0].startswith(content)
    assert len(observed) == 1
    assert observed[0] is value
    assert caplog.records == []


async def generated() -> AsyncIterator[int]:
    yield 1
    yield 2


def counted() -> Iterator[int]:
    yield from (1, 2)


def rows() -> Iterator[int]:
    return map(int, ["1", "2"])


def nested() -> dict[str, Iterator[int]]:
    return {"rows": rows()}


async def nested_later() -> dict[str, Iterator[int]]:
    return nested()


@types.coroutine
def of_old() -> Generator[Any, None, int]:
    yield from asyncio.sleep(0).__await__()
    return 1


class Greeter:
    async def __call__(self, name: str = "you") -> str:
        return f"hello {name}"


async def hello(name: str = "you") -> str:
    return f"hello {name}"


@SEALED_MORE
@pytest.mark.parametrize(
    ("tool", "content"),
    [
        pytest.param(hello, "hello you", id="function"),
        pytest.param(partial(hello, "Ada"), "hello Ada", id="partial"),
        pytest.param(Greeter(), "hello you", id="object"),
        pytest.param(Greeter().__call__, "hello you", id="method"),
        pytest.param(FunctionTool(lambda: hello("Ada"), name="hello"), "hello Ada", id="returns an awaitable"),
        pytest.param(generated, "[1,2]", id="asynchronous generator"),
        pytest.param(counted, "[1,2]", id="generator"),
        pytest.param(of_old, "1", id="types.coroutine"),
        pytest.param(rows, "[1,2]", id="iterator"),
        pytest.param(nested, '{"rows":[1,2]}', id="iterator inside"),
        pytest.param(nested_later, '{"rows":[1,2]}', id="asynchronous, iterator inside"),
    ],
)
async def test_every_kind_of_tool_runs(emulator: Emulator, client: VeniceClient, tool: Any, content: str) -> None:
    (definition,) = [FunctionTool(tool) if not isinstance(tool, FunctionTool) else tool]
    emulator.script(tool_call(definition.definition["function"]["name"]), text("done"))

    assert tool_results(await run(client, tool)) == [content]


def cursed() -> str:
    return "named \udcff"


def cursed_error() -> None:
    raise FileNotFoundError("named \udcff")


@pytest.mark.parametrize("tool", [cursed, cursed_error])
async def test_half_a_surrogate_pair_does_not_end_the_loop(
    emulator: Emulator, client: VeniceClient, tool: Callable[[], Any]
) -> None:
    emulator.script(tool_call(tool.__name__), text("done"))
    assert tool_results(await run(client, tool))[0].endswith("named \ufffd")


async def test_an_error_of_a_returned_iterator_is_the_tools_error(emulator: Emulator, client: VeniceClient) -> None:
    def broken() -> Iterator[int]:
        return map(int, ["1", "x", "3"])

    emulator.script(tool_call("broken"), text("sorry"))
    assert "ValueError: invalid literal" in tool_results(await run(client, broken))[0]


# -- hooks ---------------------------------------------------------------------------------------------------------------


async def test_on_tool_call_observes(emulator: Emulator, client: VeniceClient) -> None:
    seen: list[Any] = []

    def observe(call: ToolCall, value: Any) -> str:
        seen.append((call.function.name, value))
        return "ignored"

    emulator.script(tool_calls(("add", {"a": 1}), ("greet", {"name": "Ada"})), text("done"))
    result = await run(client, add, greet, on_tool_call=observe)

    assert seen == [("add", 2), ("greet", "hello Ada")]
    assert tool_results(result) == ["2", "hello Ada"]


async def test_an_asynchronous_hook_is_awaited(emulator: Emulator, client: VeniceClient) -> None:
    seen: list[Any] = []

    async def observe(_: ToolCall, value: Any) -> None:
        seen.append(value)

    emulator.script(tool_call("add", {"a": 1}), text("done"))
    await run(client, add, on_tool_call=observe)

    assert seen == [2]


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("failing", [False, True])
async def test_plain_hooks_run_on_the_callers_loop_with_its_context_variables(
    emulator: Emulator, client: VeniceClient, failing: bool, parallel: bool
) -> None:
    queue: asyncio.Queue[Any] = asyncio.Queue()
    reader = asyncio.create_task(queue.get())
    seen: list[Any] = []

    def feed(call: ToolCall, _: Any) -> str:
        queue.put_nowait(call.function.name)
        seen.append((asyncio.get_running_loop(), threading.get_ident(), WHO.get()))
        WHO.set("seen by the hook")
        return "as you like"

    WHO.set("ada")
    name = "fail" if failing else "add"
    emulator.script(tool_calls((name, {} if failing else {"a": 1}), (name, {} if failing else {"a": 2})), text("done"))
    result = await run(client, fail, add, on_tool_call=feed, on_tool_error=feed, parallel=parallel)

    here = (asyncio.get_running_loop(), threading.get_ident())
    assert seen == [(*here, "ada"), (*here, "seen by the hook")]
    assert WHO.get() == "seen by the hook"
    assert await reader == name
    assert tool_results(result) == (["as you like"] * 2 if failing else ["2", "3"])


async def test_a_plain_dispatcher_runs_on_the_callers_loop(emulator: Emulator, client: VeniceClient) -> None:
    loops: list[Any] = []

    def dispatch(*_: Any) -> Iterator[int]:
        loops.append(asyncio.get_running_loop())
        return iter([1, 2])

    emulator.script(tool_call("add", {"a": 1}), text("done"))
    result = await run(client, tool_from_function(add), on_tool_call=dispatch)

    assert loops == [asyncio.get_running_loop()]
    assert tool_results(result) == ["[1,2]"]


async def test_a_blocking_approval_function_does_not_block_the_event_loop(emulator: Emulator, client: VeniceClient) -> None:
    release, in_time = threading.Event(), list[bool]()

    def ask(*_: Any) -> bool:
        in_time.append(release.wait(60))  # as input() would
        return True

    emulator.script(tool_call("add", {"a": 1}), text("done"))
    running = asyncio.create_task(run(client, add, approve=ask))
    asyncio.get_running_loop().call_later(0.05, release.set)

    assert tool_results(await running) == ["2"]
    assert in_time == [True]


async def test_plain_hooks_of_calls_at_the_same_time_follow_each_other(emulator: Emulator, client: VeniceClient) -> None:
    within: list[int] = []
    together: list[int] = []

    def observe(*_: Any) -> None:
        within.append(1)
        time.sleep(0.01)
        together.append(len(within))
        within.pop()

    emulator.script(tool_calls(*[("add", {"a": number}) for number in range(5)]), text("done"))
    await run(client, add, on_tool_call=observe, parallel=True)

    assert together == [1] * 5


async def test_an_error_of_on_tool_call_ends_the_loop(emulator: Emulator, client: VeniceClient) -> None:
    def observe(*_: Any) -> None:
        raise RuntimeError("stop")

    emulator.script(tool_call("add", {"a": 1}), text("done"))
    with pytest.raises(RuntimeError, match="stop"):
        await run(client, add, on_tool_call=observe)


def answered(call: ToolCall, arguments: Any) -> Any:
    return {"called": call.function.name, "with": arguments}


async def answered_later(call: ToolCall, arguments: Any) -> Any:
    return answered(call, arguments)


def unanswered(*_: Any) -> None: ...


@pytest.mark.parametrize("dispatch", [answered, answered_later])
async def test_on_tool_call_runs_a_tool_without_a_function(
    emulator: Emulator, client: VeniceClient, dispatch: Callable[..., Any]
) -> None:
    seen: list[Any] = []

    def hook(call: ToolCall, value: Any) -> Any:
        seen.append((call.function.name, value))
        return dispatch(call, value)

    emulator.script(tool_calls(("other", {"x": 1}), ("add", {"a": 1})), text("done"))
    result = await run(client, {"type": "function", "function": {"name": "other"}}, add, on_tool_call=hook)

    assert seen == [("other", {"x": 1}), ("add", 2)], "asked once for the first, told of the second"
    assert tool_results(result) == ['{"called":"other","with":{"x":1}}', "2"]


async def test_a_tool_from_a_function_is_a_definition_that_on_tool_call_runs(emulator: Emulator, client: VeniceClient) -> None:
    def dispatch(_: ToolCall, arguments: Any) -> int:
        return add(**arguments) * 100

    emulator.script(tool_call("add", {"a": 1}), text("done"))
    result = await run(client, tool_from_function(add), on_tool_call=dispatch)

    assert tool_results(result) == ["200"]


async def test_a_dispatcher_that_fails_is_a_tool_error(emulator: Emulator, client: VeniceClient) -> None:
    def hook(*_: Any) -> Any:
        raise KeyError("x")

    emulator.script(tool_call("add", {"a": 1}), text("done"))

    assert tool_results(await run(client, tool_from_function(add), on_tool_call=hook)) == ["Error calling add: KeyError: 'x'"]


@pytest.mark.parametrize("hook", [None, unanswered], ids=["no hook", "a hook that returns None"])
async def test_a_tool_that_nothing_runs_is_an_error(emulator: Emulator, client: VeniceClient, hook: Any) -> None:
    emulator.script(tool_call("add", {"a": 1}), text("done"))
    with pytest.raises(UnknownToolError, match="nothing runs the tool 'add'") as caught:
        await run(client, tool_from_function(add), on_tool_call=hook)
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("hook", [None, unanswered], ids=["no hook", "a hook that returns None"])
async def test_a_tool_that_nothing_runs_may_be_reported(emulator: Emulator, client: VeniceClient, hook: Any) -> None:
    emulator.script(tool_call("add", {"a": 1}), text("done"))
    result = await run(client, tool_from_function(add), on_tool_call=hook, on_unknown_tool="report")

    assert tool_results(result)[0].startswith("nothing runs the tool 'add'")


async def test_an_unknown_tool_is_an_error_before_its_siblings_run(emulator: Emulator, client: VeniceClient) -> None:
    ran: list[int] = []
    emulator.script(tool_calls(("note", {"n": 1}), ("other", {})), text("done"))

    def note(n: int) -> None:
        ran.append(n)

    with pytest.raises(UnknownToolError, match=r"'other'.*'note'"):
        await run(client, note)
    assert ran == []


async def test_an_unknown_tool_may_be_reported_to_the_model(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_calls(("add", {"a": 1}), ("other", {})), text("done"))
    result = await run(client, add, on_unknown_tool="report")

    assert tool_results(result) == ["2", "the model called 'other', which is not a tool here; the tools are 'add'"]


# -- errors --------------------------------------------------------------------------------------------------------------


class Broken(Exception):
    pass


def fail() -> None:
    raise Broken("it is broken")


async def fail_later() -> None:
    raise Broken("it is broken")


@pytest.mark.parametrize("tool", [fail, fail_later])
async def test_an_error_of_a_tool_is_logged_and_given_to_the_model(
    emulator: Emulator, client: VeniceClient, caplog: pytest.LogCaptureFixture, tool: Any
) -> None:
    emulator.script(tool_call(tool.__name__), text("sorry"))
    result = await run(client, tool)

    assert tool_results(result) == [f"Error calling {tool.__name__}: Broken: it is broken"]
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("venice_ai.tools", logging.ERROR)
    assert record.exc_info is not None
    assert record.exc_info[0] is Broken
    assert [frame.name for frame in traceback.extract_tb(record.exc_info[2])] == [tool.__name__]
    assert "in fail" in caplog.text


def test_the_default_on_tool_error_can_be_imported_where_documented() -> None:
    module: Any = completions  # whose lazy names a checker does not know
    call = ToolCall(id="1", function=ToolCallFunction(name="add", arguments="{}"))

    assert module._default_on_tool_error is tool_runs._default_on_tool_error
    assert module._default_on_tool_error(call, Broken("in add")) == "Error calling add: Broken: in add"
    with pytest.raises(AttributeError, match="no_such_name"):
        module.no_such_name  # noqa: B018  # it is the look-up that fails


@pytest.mark.parametrize("later", [False, True], ids=["synchronous", "asynchronous"])
async def test_on_tool_error_returns_the_text_for_the_model(emulator: Emulator, client: VeniceClient, later: bool) -> None:
    errors: list[Exception] = []

    def handle(call: ToolCall, error: Exception) -> str:
        errors.append(error)
        return f"{call.function.name} failed"

    async def handle_later(call: ToolCall, error: Exception) -> str:
        return handle(call, error)

    emulator.script(tool_calls(("fail", {}), ("add", {})), text("sorry"))
    result = await run(client, fail, add, on_tool_error=handle_later if later else handle)

    assert tool_results(result) == ["fail failed", "add failed"]
    assert [type(error) for error in errors] == [Broken, ToolArgumentsError]


@pytest.mark.parametrize("parallel", [False, True])
async def test_an_error_of_on_tool_error_ends_the_loop(emulator: Emulator, client: VeniceClient, parallel: bool) -> None:
    def strict(_: ToolCall, error: Exception) -> str:
        raise error

    emulator.script(tool_calls(("fail", {}), ("add", {"a": 1})), text("sorry"))
    with pytest.raises(Broken):
        await run(client, fail, add, on_tool_error=strict, parallel=parallel)
    assert len(emulator.requests) == 1


async def test_on_tool_error_must_give_a_text(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("fail"), text("sorry"))
    with pytest.raises(TypeError, match="on_tool_error must return"):
        await run(client, fail, on_tool_error=unanswered)


async def test_a_base_exception_of_a_tool_is_not_caught(emulator: Emulator, client: VeniceClient) -> None:
    class Away(BaseException):
        pass

    def leave() -> None:
        raise Away

    async def leave_later() -> None:
        raise Away

    for tool in (leave, leave_later):
        emulator.script(tool_call(tool.__name__))
        with pytest.raises(Away):
            await run(client, tool)


async def test_a_tool_that_waits_for_what_is_cancelled_is_an_error_like_others(
    emulator: Emulator, client: VeniceClient
) -> None:
    async def await_cancelled() -> None:
        task = asyncio.ensure_future(asyncio.sleep(9))
        task.cancel()
        await task

    emulator.script(tool_call("await_cancelled"), text("sorry"))

    assert tool_results(await run(client, await_cancelled)) == [
        "Error calling await_cancelled: VeniceError: what the tool waited for was cancelled"
    ]


def first() -> Any:
    return next(iter([]))


async def first_later() -> Any:
    return first()


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("tool", [first, first_later])
async def test_a_stop_iteration_of_a_tool_stays_one(
    emulator: Emulator, client: VeniceClient, tool: Any, parallel: bool
) -> None:
    errors: list[Exception] = []

    def handle(_: ToolCall, error: Exception) -> str:
        errors.append(error)
        return tool_runs._default_on_tool_error(_, error)

    emulator.script(tool_call(tool.__name__), text("sorry"))
    result = await run(client, tool, on_tool_error=handle, parallel=parallel)

    assert tool_results(result) == [f"Error calling {tool.__name__}: StopIteration: StopIteration()"]
    assert [type(error) for error in errors] == [StopIteration]
    assert "in first" in "".join(traceback.format_exception(errors[0]))


def reraise(*_: Any) -> str:
    raise  # noqa: PLE0704  # the tool's error is being handled


async def reraise_later(*_: Any) -> str:
    await asyncio.sleep(0)
    raise  # noqa: PLE0704


@SEALED_MORE
@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize("hook", [reraise, reraise_later])
@pytest.mark.parametrize(
    ("name", "arguments", "kind"),
    [
        pytest.param("fail", "{}", Broken, id="synchronous tool"),
        pytest.param("fail_later", "{}", Broken, id="asynchronous tool"),
        pytest.param("add", "{", ToolArgumentsError, id="arguments that are not JSON"),
        pytest.param("add", '{"a": "x"}', ToolArgumentsError, id="arguments that do not fit"),
        pytest.param("other", "{}", KeyError, id="dispatcher"),
    ],
)
async def test_a_hook_that_only_raises_raises_the_tools_own_error(
    emulator: Emulator,
    client: VeniceClient,
    name: str,
    arguments: str,
    kind: type[Exception],
    hook: Any,
    parallel: bool,
    streamed: bool,
) -> None:
    def dispatch(*_: Any) -> Any:
        raise KeyError("other")

    tools: list[Any] = [fail, fail_later, add, {"type": "function", "function": {"name": "other"}}]
    more: dict[str, Any] = {"on_tool_call": dispatch, "on_tool_error": hook, "parallel": parallel}
    emulator.script(tool_call(name, arguments), text("sorry"))
    with pytest.raises(kind) as caught:
        if streamed:
            completions = client.chat.completions
            await (await completions.stream_with_tools(model="default", messages=HI, tools=tools, **more)).collect()
        else:
            await run(client, *tools, **more)
    assert type(caught.value) is kind


@OPEN_ALONE
def test_a_hook_of_the_synchronous_client_that_only_raises_raises_the_tools_own_error(emulator: Emulator) -> None:
    threads: list[str] = []

    def strict(*_: Any) -> str:
        threads.append(threading.current_thread().name)
        raise  # noqa: PLE0704

    emulator.script(tool_call("fail"), text("sorry"))
    with SyncVeniceClient(api_key="any", transport=emulator.transport()) as client, pytest.raises(Broken):
        client.chat.completions.run_with_tools(model="default", messages=HI, tools=[fail], on_tool_error=strict)
    assert threads == ["venice_ai tool"]


@OPEN_ALONE
@pytest.mark.parametrize("synchronous", [False, True])
def test_a_hook_sees_the_tools_traceback(
    emulator: Emulator, client: VeniceClient, caplog: pytest.LogCaptureFixture, synchronous: bool
) -> None:
    def handle(*_: Any) -> str:
        logging.getLogger("mine").exception("a tool failed")  # noqa: LOG004  # the tool's error is being handled
        return traceback.format_exc()

    emulator.script(tool_call("fail"), text("sorry"))
    settings: dict[str, Any] = {"model": "default", "messages": HI, "tools": [fail], "on_tool_error": handle}
    if synchronous:
        with SyncVeniceClient(api_key="any", transport=emulator.transport()) as other:
            result = other.chat.completions.run_with_tools(**settings)
    else:
        result = asyncio.run(client.chat.completions.run_with_tools(**settings))

    assert "in fail\n" in tool_results(result)[0]
    assert "Broken: it is broken" in tool_results(result)[0]
    assert "in fail\n" in caplog.text


async def test_a_loop_within_a_tool_that_fails_is_a_tool_error(emulator: Emulator, client: VeniceClient) -> None:
    async def delegate() -> str:
        return (await run(client, add)).text or ""

    emulator.script(tool_call("delegate"), tool_call("nothing"), text("sorry"))

    assert tool_results(await run(client, delegate))[0].startswith("Error calling delegate: UnknownToolError")


# -- threads, parallelism, time ------------------------------------------------------------------------------------------


async def test_synchronous_tools_run_in_threads_with_context_variables(emulator: Emulator, client: VeniceClient) -> None:
    threads: list[int] = []

    def who() -> str:
        threads.append(threading.get_ident())
        seen = WHO.get()
        WHO.set("changed in the tool")
        return seen

    WHO.set("ada")
    emulator.script(tool_call("who"), text("done"))
    result = await run(client, who)

    assert tool_results(result) == ["ada"]
    assert threads != [threading.get_ident()]
    assert WHO.get() == "ada"


@pytest.mark.parametrize("calls", [2, 40])
async def test_synchronous_tools_really_overlap(emulator: Emulator, client: VeniceClient, calls: int) -> None:
    meeting = threading.Barrier(calls, timeout=60)

    def meet(n: int) -> int:
        meeting.wait()  # breaks unless all are here at the same time
        return n

    emulator.script(tool_calls(*(("meet", {"n": n}) for n in range(calls))), text("done"))
    result = await run(client, meet, parallel=True)

    assert tool_results(result) == [str(n) for n in range(calls)]


async def test_asynchronous_tools_overlap_and_results_keep_their_order(emulator: Emulator, client: VeniceClient) -> None:
    done: list[int] = []
    later = asyncio.Event()

    async def step(n: int) -> int:
        if n == 0:
            await later.wait()
        later.set()
        done.append(n)
        return n

    emulator.script(tool_calls(("step", {"n": 0}), ("step", {"n": 1})), text("done"))
    result = await run(client, step, parallel=True)

    assert done == [1, 0]
    assert tool_results(result) == ["0", "1"]


async def test_without_parallel_one_runs_after_the_other(emulator: Emulator, client: VeniceClient) -> None:
    running: list[int] = []

    async def step(n: int) -> list[int]:
        running.append(n)
        await asyncio.sleep(0)
        seen = list(running)
        running.remove(n)
        return seen

    emulator.script(tool_calls(("step", {"n": 0}), ("step", {"n": 1})), text("done"))

    assert tool_results(await run(client, step)) == ["[0]", "[1]"]


async def test_an_end_cancels_what_runs_beside_it_and_waits_for_it(emulator: Emulator, client: VeniceClient) -> None:
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("wait")

    def strict(_: ToolCall, error: Exception) -> str:
        raise error

    emulator.script(tool_calls(("wait", {}), ("fail_later", {})), text("sorry"))
    with pytest.raises(Broken):
        await run(client, wait, fail_later, parallel=True, on_tool_error=strict)
    assert ended == ["wait"]


async def test_cancelling_the_loop_cancels_its_tools(emulator: Emulator, client: VeniceClient) -> None:
    started, ended = asyncio.Event(), list[str]()

    async def wait() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("wait")

    emulator.script(tool_call("wait"), text("done"))
    task = asyncio.ensure_future(run(client, wait))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended == ["wait"]


async def forever() -> None:
    await asyncio.Event().wait()


async def test_the_model_is_given_the_timeout_of_a_tool(emulator: Emulator, client: VeniceClient) -> None:
    release = threading.Event()

    def stuck() -> None:
        release.wait(60)

    emulator.script(tool_calls(("forever", {}), ("stuck", {}), ("add", {"a": 1})), text("sorry"))
    result = await run(client, forever, stuck, add, tool_timeout=0.05, parallel=True)
    release.set()

    assert tool_results(result) == [
        "Error calling forever: ToolTimeoutError: no result within 0.05 s",
        "Error calling stuck: ToolTimeoutError: no result within 0.05 s",
        "2",
    ]


STUCK = """
import asyncio, time
from venice_ai import VeniceClient
from venice_ai.emulator import Emulator, text, tool_call

def stuck() -> None:
    time.sleep(60)

async def ask():
    emulator = Emulator()
    emulator.script(tool_call("stuck", {}), text("sorry"))
    chats = VeniceClient(api_key="any", transport=emulator.transport()).chat.completions
    print((await chats.run_with_tools(model="default", messages="hi", tools=[stuck], tool_timeout=0.05)).text)

asyncio.run(ask())
"""


def test_a_tool_that_never_ends_does_not_keep_the_program_from_ending() -> None:
    done = subprocess.run([sys.executable, "-c", STUCK], capture_output=True, encoding="utf-8", timeout=30, check=False)

    assert (done.returncode, done.stdout) == (0, "sorry\n"), done.stderr[-2000:]


async def test_a_tool_may_have_a_time_limit_of_its_own(emulator: Emulator, client: VeniceClient) -> None:
    errors: list[Exception] = []

    def handle(_: ToolCall, error: Exception) -> str:
        errors.append(error)
        return "late"

    emulator.script(tool_call("forever"), text("sorry"))
    result = await run(client, FunctionTool(forever, timeout=0.01), tool_timeout=1000, on_tool_error=handle)

    assert tool_results(result) == ["late"]
    assert isinstance(errors[0], ToolTimeoutError)
    assert isinstance(errors[0], TimeoutError)


async def test_a_timeout_of_the_tools_own_is_its_own(emulator: Emulator, client: VeniceClient) -> None:
    def slow() -> None:
        raise TimeoutError("the database did not answer")

    emulator.script(tool_call("slow"), text("sorry"))

    assert tool_results(await run(client, slow, tool_timeout=10)) == [
        "Error calling slow: TimeoutError: the database did not answer"
    ]


async def test_a_dispatcher_has_the_time_limit_too(emulator: Emulator, client: VeniceClient) -> None:
    async def dispatch(*_: Any) -> None:
        await forever()

    emulator.script(tool_call("add", {"a": 1}), text("sorry"))
    result = await run(client, tool_from_function(add), on_tool_call=dispatch, tool_timeout=0.01)

    assert "no result within 0.01 s" in tool_results(result)[0]


async def test_a_thread_outlives_the_loop_that_left_it() -> None:
    release, ended = threading.Event(), threading.Event()

    def work() -> None:
        release.wait(60)
        ended.set()

    task = asyncio.ensure_future(in_thread(work))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert await in_thread(lambda: ended.wait(60))


async def test_leaving_what_completes_one_by_one_cancels_the_rest() -> None:
    cancelled: list[int] = []

    async def work(n: int) -> int:
        try:
            if n:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(n)
            raise
        return n

    results = as_completed(work, range(3))
    assert await anext(results) == 0
    await results.aclose()
    assert sorted(cancelled) == [1, 2]


# -- the context ---------------------------------------------------------------------------------------------------------


@dataclass
class Deps:
    user: str


async def test_a_tool_is_given_its_context(emulator: Emulator, client: VeniceClient) -> None:
    seen: list[ToolContext[Deps]] = []

    def whoami(ctx: ToolContext[Deps], greeting: str = "hello") -> str:
        seen.append(ctx)
        return f"{greeting} {ctx.deps.user}"

    emulator.script(tool_call("whoami", id="a"), tool_call("whoami", {"greeting": "hi"}, id="b"), text("done"))
    result = await run(client, whoami, deps=Deps("ada"))

    assert tool_results(result) == ["hello ada", "hi ada"]
    assert list(tool_from_function(whoami)["function"]["parameters"]["properties"]) == ["greeting"]
    first, second = (message["tool_calls"][0]["id"] for message in result.messages if message.get("tool_calls"))
    assert [(ctx.iteration, ctx.call.id, len(ctx.messages)) for ctx in seen] == [(1, first, 1), (2, second, 3)]
    assert seen[0].messages[0] == HI[0]
    assert seen[1].usage is not None
    assert result.total_usage is not None
    assert seen[1].usage.total_tokens < result.total_usage.total_tokens


# -- the limit -----------------------------------------------------------------------------------------------------------


async def test_the_limit_raises_and_the_last_calls_do_not_run(emulator: Emulator, client: VeniceClient) -> None:
    ran: list[int] = []

    def note(n: int) -> str:
        ran.append(n)
        return "noted"

    emulator.script(*(tool_call("note", {"n": n}, id=f"call_{n}") for n in range(5)))
    with pytest.raises(MaxIterationsExceededError) as caught:
        await run(client, note, max_iterations=3)
    stopped = caught.value

    assert ran == [0, 1]
    assert (stopped.iterations, len(emulator.requests)) == (3, 3)
    (pending,) = stopped.pending_calls
    assert pending.function.arguments_dict == {"n": 2}
    assert stopped.messages[-1]["tool_calls"][0]["id"] == pending.id
    assert stopped.last_response is not None
    assert stopped.usage is not None
    assert stopped.last_response.usage is not None
    assert stopped.usage.total_tokens > stopped.last_response.usage.total_tokens


async def test_a_loop_that_met_its_limit_goes_on_with_the_pending_calls(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}, id="a"), tool_call("add", {"a": 2}, id="b"), text("done"))
    with pytest.raises(MaxIterationsExceededError) as caught:
        await run(client, add, max_iterations=1)
    result = await client.chat.completions.run_with_tools(model="default", tools=[add], resume=caught.value.state)

    assert tool_results(result) == ["2", "3"]
    assert result.iterations == 3


@OPEN_ALONE
async def test_at_the_limit_it_asks_once_more_without_tools(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), tool_call("add", {"a": 2}), text("that is all I know"))
    result = await run(
        client, add, max_iterations=2, on_limit="answer", tool_choice="required", parallel_tool_calls=False, seed=7
    )

    assert result.text == "that is all I know"
    assert tool_results(result) == ["2", "3"]
    assert result.iterations == 3
    first, second, third = bodies(emulator)
    assert second.keys() - third.keys() == {"tools", "tool_choice", "parallel_tool_calls"}
    assert first["tool_choice"] == "required"
    assert third["seed"] == 7


async def test_a_model_that_still_calls_meets_the_limit(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), tool_call("add", {"a": 2}))
    with pytest.raises(MaxIterationsExceededError) as caught:
        await run(client, add, max_iterations=1, on_limit="answer")
    assert caught.value.iterations == 2


# -- what is refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        *({"stream": True}, {"stream": False}, {"stream_cls": dict}, {"max_iterations": 0}, {"max_iterations": -1}, {"n": 2}),
        *({"tool_timeout": 0}, {"on_limit": "x"}, {"on_unknown_tool": "x"}, {"decisions": {"a": True}}, {"temperature": 9}),
    ],
    ids=str,
)
async def test_arguments_that_cannot_be_right_are_refused_before_a_request(
    emulator: Emulator, client: VeniceClient, wrong: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))) as caught:
        await run(client, add, **wrong)
    assert isinstance(caught.value, InvalidRequestError if wrong.keys() & {"n", "temperature"} else InvalidArgumentError)
    assert emulator.requests == []


@pytest.mark.parametrize(
    ("method", "remedy"),
    [
        pytest.param("run_with_tools", "; stream_with_tools streams", id="run"),
        pytest.param("stream_with_tools", ", which always streams; leave it out", id="stream"),
    ],
)
@pytest.mark.parametrize("name", ["stream", "stream_cls"])
async def test_stream_arguments_are_refused_in_the_name_of_the_called_method(
    emulator: Emulator, client: VeniceClient, method: str, remedy: str, name: str
) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        await getattr(client.chat.completions, method)(model="default", messages=HI, tools=[add], **{name: True})
    assert str(caught.value) == f"{name} is not for {method}{remedy}"
    assert emulator.requests == []


async def test_max_tokens_is_a_type_error(client: VeniceClient) -> None:
    with pytest.raises(TypeError, match="max_completion_tokens"):
        await run(client, add, max_tokens=5)


async def test_tools_without_a_schema_or_with_one_name_are_refused_before_a_request(
    emulator: Emulator, client: VeniceClient
) -> None:
    def connect(to: Emulator) -> None: ...

    with pytest.raises(ToolSignatureError, match="connect's parameter 'to'"):
        await run(client, connect)
    with pytest.raises(InvalidRequestError, match="two tools are called 'add'"):
        await run(client, add, add)
    assert emulator.requests == []


@OPEN_ALONE
async def test_no_key_is_an_error_before_a_request(emulator: Emulator) -> None:
    with pytest.raises(AuthenticationError):
        await run(VeniceClient(transport=emulator.transport()), add)
    assert emulator.requests == []


@OPEN_ALONE
async def test_an_answer_without_choices_is_a_value_error(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(completion({"id": "1", "created": 1, "model": "m", "choices": []}))
    with pytest.raises(NoChoicesError) as caught:
        await run(client, add)
    assert isinstance(caught.value, ValueError)


@OPEN_ALONE
async def test_errors_of_the_api_are_raised_unchanged(client: VeniceClient) -> None:
    with pytest.raises(NotFoundError):
        await client.chat.completions.run_with_tools(model="no-such-model", messages=HI, tools=[add])


async def test_after_a_failed_request_the_loop_goes_on_and_runs_nothing_twice(emulator: Emulator, client: VeniceClient) -> None:
    ran: list[int] = []

    def note(n: int) -> str:
        ran.append(n)
        return "noted"

    emulator.script(tool_call("note", {"n": 1}), error(503), text("done"))
    with pytest.raises(ServiceUnavailableError) as caught:
        await run(client, note)
    state = caught.value.tool_loop
    assert state is not None
    result = await client.chat.completions.run_with_tools(
        model="default", tools=[note], resume=json.loads(state.model_dump_json())
    )

    assert (ran, tool_results(result), result.text, result.iterations) == ([1], ["noted"], "done", 2)


@pytest.mark.parametrize("hook", ["on_tool_call", "on_tool_error", "approve"])
@pytest.mark.parametrize("method", ["run_with_tools", "stream_with_tools"])
async def test_a_hook_that_cannot_be_called_is_refused_before_the_model_is_asked(
    emulator: Emulator, client: VeniceClient, method: str, hook: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{hook}='log' is not allowed: expected a function"):
        await getattr(client.chat.completions, method)(model="default", messages=HI, tools=[add], **{hook: "log"})
    assert emulator.requests == []


# -- beside other parameters ---------------------------------------------------------------------------------------------


class Sum(BaseModel):
    total: int


@OPEN_ALONE
@pytest.mark.parametrize("streamed", [False, True])
async def test_a_method_that_is_overridden_may_change_the_lists_it_is_given(
    emulator: Emulator, client: VeniceClient, streamed: bool
) -> None:
    class Clearing(ChatCompletions):
        async def create(self, **more: Any) -> Any:
            answer = cast("Any", await super().create(**more))
            more["messages"].clear()
            more["tools"].clear()
            return answer

        async def stream(self, **more: Any) -> Any:
            answer = await super().stream(**more)
            more["messages"].clear()
            more["tools"].clear()
            return answer

    emulator.script(tool_call("add", {"a": 1}), text("done"))
    settings: dict[str, Any] = {"model": "default", "messages": HI, "tools": [add]}
    if streamed:
        result = await (await Clearing(client).stream_with_tools(**settings)).collect()
    else:
        result = await Clearing(client).run_with_tools(**settings)

    assert len(result.messages) == 4
    assert [len(body["messages"]) for body in bodies(emulator)] == [1, 3]
    assert [len(body["tools"]) for body in bodies(emulator)] == [1, 1]


@OPEN_ALONE
async def test_a_response_format_works_together_with_tools(emulator: Emulator, client: VeniceClient) -> None:
    emulator.script(tool_call("add", {"a": 1}), text('{"total": 2}'))
    result = await run(client, add, response_format=Sum)

    assert result.response.parse_as(Sum) == Sum(total=2)
    assert [body["response_format"]["type"] for body in bodies(emulator)] == ["json_schema"] * 2


async def test_local_classes_are_found_where_the_tools_are_given(emulator: Emulator, client: VeniceClient) -> None:
    class Local(BaseModel):
        n: int

    def take(local: Local) -> int:
        return local.n

    emulator.script(tool_call("take", {"local": {"n": 3}}), text("done"))
    assert tool_results(await run(client, take)) == ["3"]


async def test_tools_can_be_prepared_where_their_classes_are(emulator: Emulator, client: VeniceClient) -> None:
    class Local(BaseModel):
        n: int

    def take(local: Local) -> int:
        return local.n

    tools = prepared([take, tool_from_function(add)])
    emulator.script(tool_call("take", {"local": {"n": 3}}), text("done"))
    task = asyncio.ensure_future(client.chat.completions.run_with_tools(model="default", messages=HI, tools=tools))

    assert tool_results(await task) == ["3"]
    assert [type(tool).__name__ for tool in tools] == ["FunctionTool", "Tool"]


@OPEN_ALONE
async def test_the_emulated_model_calls_tools_of_its_own_accord(client: VeniceClient) -> None:
    def get_weather(city: str) -> dict[str, Any]:
        """The weather in a city."""
        return {"city": city, "sky": "clear"}

    messages = [UserMessage(content="How is the weather in Rome?")]
    result = await client.chat.completions.run_with_tools(model="default", messages=messages, tools=[get_weather])

    assert tool_results(result) == ['{"city":"Rome","sky":"clear"}']
    assert '{"city":"Rome","sky":"clear"}' in (result.text or "")
