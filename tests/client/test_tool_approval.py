"""Approval: calls are allowed, denied, edited, or wait for a person, in another process if need be."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from venice_ai import (
    Approval,
    InvalidArgumentError,
    ServiceUnavailableError,
    ToolCall,
    ToolCallFinished,
    ToolLoopPausedError,
    ToolLoopResult,
    ToolLoopState,
    UnknownToolError,
    VeniceClient,
    tool_from_function,
)
from venice_ai.emulator import Emulator, error, text, tool_call, tool_calls

from .wires import OPEN_ALONE, client_of_wire, either_wire, emulator_of_wire  # noqa: F401  # pyright: ignore[reportUnusedImport]  # fixtures

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

HI = [{"role": "user", "content": "hi"}]


class Bank:
    """Tools with effects that can be counted."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def balance(self) -> int:
        self.done.append("balance")
        return 100

    def transfer(self, amount: int, to: str = "ada") -> str:
        self.done.append(f"transfer {amount} to {to}")
        return f"sent {amount}"

    @property
    def tools(self) -> list[Any]:
        return [self.balance, self.transfer]


@pytest.fixture
def bank() -> Bank:
    return Bank()


async def run(client: VeniceClient, bank: Bank, **more: Any) -> ToolLoopResult:
    messages = None if "resume" in more else HI
    return await client.chat.completions.run_with_tools(model="default", messages=messages, tools=bank.tools, **more)


async def paused(client: VeniceClient, bank: Bank, **more: Any) -> ToolLoopState:
    """The state of a loop that pauses, through JSON."""
    with pytest.raises(ToolLoopPausedError) as caught:
        await run(client, bank, **more)
    return ToolLoopState.model_validate_json(caught.value.state.model_dump_json())


def tool_results(result: ToolLoopResult) -> list[str]:
    return [message["content"] for message in result.messages if message["role"] == "tool"]


def transfers_wait(call: ToolCall, _: dict[str, Any]) -> Approval:
    return Approval.wait() if call.function.name == "transfer" else Approval.allow()


def always(answer: Any) -> Any:
    """An approver that has one answer."""

    def approve(*_: Any) -> Any:
        return answer

    return approve


BOTH = tool_calls(("balance", {}), ("transfer", {"amount": 5}))

# -- at once -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "content", "done"),
    [
        pytest.param(True, "sent 5", ["transfer 5 to ada"], id="True"),
        pytest.param(Approval.allow(), "sent 5", ["transfer 5 to ada"], id="allow"),
        pytest.param(False, "The call was denied.", [], id="False"),
        pytest.param(Approval.deny(), "The call was denied.", [], id="deny"),
        pytest.param(Approval.deny("too much"), "The call was denied: too much", [], id="deny with a reason"),
        pytest.param(Approval.edit({"amount": 3, "to": "bob"}), "sent 3", ["transfer 3 to bob"], id="edit"),
    ],
)
@pytest.mark.parametrize("asynchronous", [False, True], ids=["synchronous", "asynchronous"])
async def test_the_result_of_approve_decides_whether_a_tool_runs(
    emulator: Emulator, client: VeniceClient, bank: Bank, answer: Any, content: str, done: list[str], asynchronous: bool
) -> None:
    asked: list[Any] = []

    def approve(call: ToolCall, arguments: dict[str, Any]) -> Any:
        asked.append((call.function.name, arguments))
        return answer

    async def approve_later(call: ToolCall, arguments: dict[str, Any]) -> Any:
        return approve(call, arguments)

    emulator.script(tool_call("transfer", {"amount": 5}), text("well"))
    result = await run(client, bank, approve=approve_later if asynchronous else approve)

    assert asked == [("transfer", {"amount": 5})]
    assert tool_results(result) == [content]
    assert bank.done == done
    assert result.text == "well"


async def test_the_history_keeps_the_arguments_of_the_model_after_an_edit(
    emulator: Emulator, client: VeniceClient, bank: Bank
) -> None:
    emulator.script(tool_call("transfer", {"amount": 5}), text("well"))
    result = await run(client, bank, approve=always(Approval.edit({"amount": 3})))

    assert json.loads(result.messages[1]["tool_calls"][0]["function"]["arguments"]) == {"amount": 5}


async def test_edited_arguments_are_checked_as_the_models_are(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(tool_call("transfer", {"amount": 5}), text("well"))
    result = await run(client, bank, approve=always(Approval.edit({"amount": "three"})))

    assert "ToolArgumentsError: amount: Input should be a valid integer" in tool_results(result)[0]
    assert bank.done == []


async def test_edited_arguments_may_be_objects(emulator: Emulator, client: VeniceClient) -> None:
    days: list[date] = []

    def book(day: date) -> None:
        days.append(day)

    emulator.script(tool_call("book", {"day": "2026-01-01"}), text("done"))
    edited = Approval.edit({"day": date(2026, 1, 2)})
    await client.chat.completions.run_with_tools(model="default", messages=HI, tools=[book], approve=always(edited))

    assert days == [date(2026, 1, 2)]


async def test_approve_is_not_called_for_calls_that_cannot_run(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    asked: list[str] = []

    def approve(call: ToolCall, _: dict[str, Any]) -> bool:
        asked.append(call.function.name)
        return True

    emulator.script(tool_calls(("transfer", {"amount": "much"}), ("other", {})), text("well"))
    await run(client, bank, on_unknown_tool="report", approve=approve)

    assert asked == []


@pytest.mark.parametrize("answer", [None, "yes", 1, {}], ids=repr)
async def test_any_other_answer_is_an_error_and_nothing_runs(
    emulator: Emulator, client: VeniceClient, bank: Bank, answer: Any
) -> None:
    def approve(call: ToolCall, _: dict[str, Any]) -> Any:
        return True if call.function.name == "balance" else answer

    emulator.script(BOTH, text("well"))
    with pytest.raises(TypeError, match="an approval is"):
        await run(client, bank, approve=approve)
    assert bank.done == []


async def test_an_error_of_approve_ends_the_loop_and_nothing_runs(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    def approve(*_: Any) -> bool:
        raise PermissionError("no")

    emulator.script(BOTH, text("well"))
    with pytest.raises(PermissionError):
        await run(client, bank, approve=approve)
    assert bank.done == []


async def test_all_are_asked_about_before_any_runs(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    def approve(call: ToolCall, _: dict[str, Any]) -> bool:
        bank.done.append(f"asked about {call.function.name}")
        return True

    emulator.script(BOTH, text("well"))
    await run(client, bank, approve=approve, parallel=True)

    assert bank.done[:2] == ["asked about balance", "asked about transfer"]
    assert sorted(bank.done[2:]) == ["balance", "transfer 5 to ada"]


async def test_a_tool_without_a_function_is_approved_too(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    def given(_: ToolCall, arguments: Any) -> Any:
        return arguments

    emulator.script(tool_call("transfer", {"amount": 5}), text("well"))
    result = await client.chat.completions.run_with_tools(
        model="default",
        messages=HI,
        tools=[tool_from_function(bank.transfer)],
        on_tool_call=given,
        approve=always(Approval.edit({"amount": 1})),
    )
    assert tool_results(result) == ['{"amount":1}']


async def test_a_denied_call_has_a_finished_event_with_the_reason(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(tool_call("transfer", {"amount": 5}), text("well"))
    events = await client.chat.completions.stream_with_tools(
        model="default", messages=HI, tools=bank.tools, approve=always(Approval.deny("no"))
    )
    (finished,) = [event async for event in events if isinstance(event, ToolCallFinished)]

    assert finished.denied
    assert finished.content == "The call was denied: no"
    assert finished.error is None


# -- waiting for a person ------------------------------------------------------------------------------------------------


async def test_a_call_that_waits_pauses_the_loop_after_the_others_ran(
    emulator: Emulator, client: VeniceClient, bank: Bank
) -> None:
    emulator.script(BOTH)
    with pytest.raises(ToolLoopPausedError, match="transfer") as caught:
        await run(client, bank, approve=transfers_wait)

    assert bank.done == ["balance"]
    assert [call.function.arguments_dict for call in caught.value.waiting_calls] == [{"amount": 5}]
    assert caught.value.state.waiting_calls == caught.value.waiting_calls
    assert len(emulator.requests) == 1


@pytest.mark.parametrize(
    ("decision", "content", "done"),
    [
        pytest.param(Approval.allow(), "sent 5", ["transfer 5 to ada"], id="allow"),
        pytest.param(True, "sent 5", ["transfer 5 to ada"], id="True"),
        pytest.param(Approval.deny("too much"), "The call was denied: too much", [], id="deny"),
        pytest.param(Approval.edit({"amount": 1}), "sent 1", ["transfer 1 to ada"], id="edit"),
    ],
)
async def test_a_paused_loop_is_resumed_with_the_decision_and_runs_nothing_twice(
    emulator: Emulator, client: VeniceClient, bank: Bank, decision: Any, content: str, done: list[str]
) -> None:
    emulator.script(BOTH, text("well"))
    state = await paused(client, bank, approve=transfers_wait)
    (call,) = state.waiting_calls
    result = await run(client, bank, resume=state, decisions={call.id: decision}, approve=transfers_wait)

    assert bank.done == ["balance", *done]
    assert tool_results(result) == ["100", content]
    assert result.iterations == 2
    assert result.text == "well"
    assert len(emulator.requests) == 2
    assert result.total_usage is not None
    assert result.usage is not None
    assert result.total_usage.total_tokens > result.usage.total_tokens


async def test_the_state_is_plain_json(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(BOTH, text("well"))
    state = json.loads((await paused(client, bank, approve=transfers_wait)).model_dump_json())
    (waiting,) = state["waiting"]

    assert state["version"] == 1
    assert list(state["results"].values()) == ["100"]
    assert state["messages"][-1]["role"] == "assistant"
    assert tool_results(await run(client, bank, resume=state, decisions={waiting: True})) == ["100", "sent 5"]


async def test_without_a_decision_it_goes_on_waiting(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(tool_calls(("transfer", {"amount": 1}), ("transfer", {"amount": 2})), text("well"))
    first = await paused(client, bank, approve=transfers_wait)
    one, two = first.waiting_calls
    second = await paused(client, bank, resume=first, decisions={two.id: True})
    third = await paused(client, bank, resume=second)
    result = await run(client, bank, resume=third, decisions={one.id: False})

    assert bank.done == ["transfer 2 to ada"]
    assert tool_results(result) == ["The call was denied.", "sent 2"]
    assert len(emulator.requests) == 2


async def test_on_resuming_an_approver_may_decide(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(BOTH, text("well"))
    state = await paused(client, bank, approve=transfers_wait)

    assert tool_results(await run(client, bank, resume=state, approve=always(True))) == ["100", "sent 5"]


@OPEN_ALONE
async def test_a_decision_is_for_its_turn_alone(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    again = tool_call("transfer", {"amount": 9}, id="call_0")
    emulator.script(tool_call("transfer", {"amount": 5}, id="call_0"), again, text("well"))
    state = await paused(client, bank, approve=transfers_wait)
    later = await paused(client, bank, resume=state, decisions={"call_0": True}, approve=transfers_wait)

    assert bank.done == ["transfer 5 to ada"]
    assert [call.function.arguments_dict for call in later.waiting_calls] == [{"amount": 9}]


async def test_decisions_about_calls_that_do_not_wait_are_refused(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(BOTH, text("well"))
    state = await paused(client, bank, approve=transfers_wait)
    for decisions in ({"call_x": True}, dict.fromkeys(state.results or {}, True)):
        with pytest.raises(InvalidArgumentError, match="decisions has"):
            await run(client, bank, resume=state, decisions=decisions)
    with pytest.raises(TypeError):
        await run(client, bank, resume=state, decisions={state.waiting_calls[0].id: "yes"})
    assert bank.done == ["balance"]


async def test_a_resumed_loop_needs_its_tools(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(BOTH, text("well"))
    state = await paused(client, bank, approve=transfers_wait)
    with pytest.raises(UnknownToolError):
        await client.chat.completions.run_with_tools(model="default", tools=[bank.balance], resume=state)


async def test_a_request_that_fails_after_resuming_runs_nothing_twice(
    emulator: Emulator, client: VeniceClient, bank: Bank
) -> None:
    emulator.script(BOTH, error(503), text("well"))
    state = await paused(client, bank, approve=transfers_wait)
    with pytest.raises(ServiceUnavailableError) as caught:
        await run(client, bank, resume=state, decisions={state.waiting_calls[0].id: True})
    result = await run(client, bank, resume=caught.value.tool_loop)

    assert bank.done == ["balance", "transfer 5 to ada"]
    assert tool_results(result) == ["100", "sent 5"]


async def test_a_stream_pauses_and_is_resumed_too(emulator: Emulator, client: VeniceClient, bank: Bank) -> None:
    emulator.script(BOTH, text("well"))
    events = await client.chat.completions.stream_with_tools(
        model="default", messages=HI, tools=bank.tools, approve=transfers_wait
    )
    with pytest.raises(ToolLoopPausedError) as caught:
        await events.collect()
    state = caught.value.state
    more = await client.chat.completions.stream_with_tools(
        model="default", tools=bank.tools, resume=state, decisions={state.waiting_calls[0].id: True}
    )
    assert len(emulator.requests) == 1, "the call comes first"
    result = await more.collect()

    assert bank.done == ["balance", "transfer 5 to ada"]
    assert tool_results(result) == ["100", "sent 5"]


ANOTHER_PROCESS = """
import asyncio, json, pathlib, sys
from venice_ai import Approval, VeniceClient
from venice_ai.emulator import Emulator, text

done = []

def balance() -> int:
    done.append("balance")
    return 100

def transfer(amount: int, to: str = "ada") -> str:
    done.append(f"transfer {amount} to {to}")
    return f"sent {amount}"

async def main() -> None:
    emulator = Emulator()
    emulator.script(text("well"))
    state = json.loads(pathlib.Path(sys.argv[1]).read_text("utf-8"))
    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        result = await client.chat.completions.run_with_tools(
            model="default",
            tools=[balance, transfer],
            resume=state,
            decisions={state["waiting"][0]: Approval.edit({"amount": 2})},
        )
    told = [message.content for message in result.messages if message.role == "tool"]
    print(json.dumps({"done": done, "told": told, "iterations": result.iterations}))

asyncio.run(main())
"""


@OPEN_ALONE
async def test_a_paused_loop_continues_in_another_process(
    emulator: Emulator, client: VeniceClient, bank: Bank, tmp_path: Path
) -> None:
    emulator.script(BOTH)
    stored = tmp_path / "state.json"
    stored.write_text((await paused(client, bank, approve=transfers_wait)).model_dump_json(), "utf-8")
    command = [sys.executable, "-W", "error", "-c", ANOTHER_PROCESS, str(stored)]
    ended = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)

    assert ended.stderr == ""
    assert json.loads(ended.stdout) == {"done": ["transfer 2 to ada"], "told": ["100", "sent 2"], "iterations": 2}
    assert bank.done == ["balance"]
