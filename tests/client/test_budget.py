"""A client with a budget: what is reserved before each request, and what is settled however its answer ends."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Generator
from contextlib import closing, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pydantic
import pytest

from venice_ai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    Budget,
    BudgetExceededError,
    ChatCompletionResponse,
    ChatRequest,
    InvalidRequestError,
    SyncVeniceClient,
    Timeout,
    VeniceClient,
)
from venice_ai.emulator import (
    Emulator,
    EmulatorTransport,
    busy,
    completion,
    echo,
    error,
    run_in_thread,
    text,
    text_model,
    tool_call,
    usual,
)
from venice_ai.transport import Request

HI: list[dict[str, Any]] = [{"role": "user", "content": "hi"}]
OWN: dict[str, Any] = {"venice_parameters": {"include_venice_system_prompt": False}}


def emulator_of(*steps: Any) -> Emulator:
    """One model at a millionth of a dollar for each token, whose answers say their usage and no cost."""
    emulator = Emulator(
        models=[text_model("m", input=1.0, output=1.0, longest=1_000), text_model("free", prices={"input": None})]
    )
    emulator.script(*steps)
    return emulator


def client_of(emulator: Emulator, budget: Budget | None, **more: Any) -> VeniceClient:
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock, budget=budget, **more)


def answered(prompt: int, answer: int, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
    usage = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage, **more}


def spent(budget: Budget) -> Decimal:
    return sum((row.usd for row in budget.spent()), Decimal(0))


def chats(emulator: Emulator) -> int:
    return sum(each.method == "POST" for each in emulator.requests)


async def ask(client: VeniceClient, tokens: int = 100, **more: Any) -> ChatCompletionResponse:
    keywords: dict[str, Any] = {"model": "m", "messages": HI, "max_completion_tokens": tokens, **OWN, **more}
    create: Any = client.chat.completions.create
    return cast("ChatCompletionResponse", await create(**keywords))


async def test_an_answer_is_settled_by_its_cost_else_by_its_usage() -> None:
    budget = Budget(1)
    client = client_of(emulator_of(completion(answered(10, 5, cost={"usd": 0.0001})), completion(answered(10, 5))), budget)
    await ask(client)
    assert spent(budget) == Decimal("0.0001")
    await ask(client)
    assert spent(budget) == Decimal("0.000115")
    assert [(row.model, row.calls) for row in budget.spent()] == [("m", 2)]


async def test_a_request_that_may_exceed_the_budget_is_not_sent() -> None:
    emulator, budget = emulator_of(), Budget(Decimal("0.0005"))
    client = client_of(emulator, budget)
    with pytest.raises(BudgetExceededError, match="not sent"):
        await client.chat.completions.create(model="m", messages=HI, **OWN)  # up to 1,000 tokens
    assert chats(emulator) == 0
    assert (await ask(client)).text


async def test_many_callers_at_once_never_pass_the_cap_and_use_nearly_all_of_it() -> None:
    emulator, budget = emulator_of(), Budget(Decimal("0.05"))
    emulator.always(echo())
    client = client_of(emulator, budget)
    results = await asyncio.gather(*(ask(client, venice_parameters=None) for _ in range(100)), return_exceptions=True)
    assert {type(result) for result in results} == {ChatCompletionResponse, BudgetExceededError}
    assert Decimal("0.045") <= spent(budget) <= Decimal("0.05")
    assert sum(row.calls for row in budget.spent()) == chats(emulator)
    assert budget.overshoot == 0


async def test_a_model_without_prices_is_a_value_error() -> None:
    emulator = emulator_of()
    with pytest.raises(ValueError, match="'free' has no prices"):
        await client_of(emulator, Budget(1)).chat.completions.create(model="free", messages=HI, max_completion_tokens=1)
    with pytest.raises(ValueError, match="was not found in the catalogue"):
        await client_of(emulator, Budget(1)).chat.completions.create(model="nope", messages=HI, max_completion_tokens=1)
    assert chats(emulator) == 0


async def test_a_reply_over_its_bound_stops_further_sending() -> None:
    emulator, budget = emulator_of(completion(answered(10, 5, cost={"usd": 0.01}))), Budget(1)
    client = client_of(emulator, budget)
    await ask(client)
    assert budget.overshoot > 0
    with pytest.raises(BudgetExceededError, match="more than the bounds") as caught:
        await ask(client)
    assert caught.value.enough_usd is None
    assert chats(emulator) == 1


@pytest.mark.parametrize("usd", [2**53 / 1e9, 1e10, 1e308])
async def test_a_cost_without_sense_loses_no_answer_and_stops_further_sending(usd: float) -> None:
    emulator, budget = emulator_of(completion(answered(10, 5, cost={"usd": usd}))), Budget(1)
    client = client_of(emulator, budget)
    assert (await ask(client)).text == "hi"
    assert budget.overshoot > 9_000_000
    assert spent(budget) == Decimal(2**53) / 10**9
    with pytest.raises(BudgetExceededError, match="more than the bounds"):
        await ask(client)


async def test_a_usage_without_sense_loses_no_answer_and_stops_further_sending() -> None:
    emulator, budget = emulator_of(completion(answered(10**19, 5))), Budget(1)
    assert (await ask(client_of(emulator, budget))).text == "hi"
    assert budget.overshoot > 9_000_000


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        {"total_tokens": 5000},
        {"prompt_tokens": 50},
        {"completion_tokens": 50},
        {"prompt_tokens": -50, "completion_tokens": 50},
        {"prompt_tokens": 50, "completion_tokens": -50},
        {"prompt_tokens": 50, "completion_tokens": 0.5},
        {"prompt_tokens": "50", "completion_tokens": 50},
        {"prompt_tokens": True, "completion_tokens": 50},
    ],
    ids=str,
)
async def test_a_usage_that_does_not_count_both_sides_is_spent_at_its_bound(usage: Any) -> None:
    emulator, budget = emulator_of(), Budget(Decimal("0.01"))
    emulator.always(completion({**answered(1, 1), "usage": usage}))
    results = await asyncio.gather(*(ask(client_of(emulator, budget)) for _ in range(100)), return_exceptions=True)
    assert {type(result) for result in results} == {ChatCompletionResponse, BudgetExceededError}
    assert spent(budget) > Decimal("0.009")
    assert budget.overshoot == 0


async def test_a_usage_of_no_tokens_is_free() -> None:
    budget = Budget(1)
    await ask(client_of(emulator_of(completion(answered(0, 0))), budget))
    assert spent(budget) == 0


async def test_a_refused_attempt_is_free_and_each_attempt_reserves() -> None:
    emulator, budget = emulator_of(error(400, "no"), busy(), completion(answered(10, 5))), Budget(1)
    client = client_of(emulator, budget)
    with pytest.raises(InvalidRequestError):
        await ask(client)
    assert spent(budget) == 0
    await ask(client)
    assert spent(budget) == Decimal("0.000015")
    assert budget.remaining == 1 - spent(budget)


@pytest.mark.parametrize("step", [error(504, "late"), text("hi", cut_at=10)], ids=["a gateway's time ran out", "cut off"])
async def test_an_attempt_that_may_have_been_billed_is_spent_at_its_bound(step: Any) -> None:
    budget = Budget(1)
    with pytest.raises(APIError):
        await ask(client_of(emulator_of(step), budget))
    assert Decimal("0.0001") < spent(budget) < Decimal("0.001")
    assert budget.remaining == 1 - spent(budget)


async def test_a_stream_is_settled_at_its_end() -> None:
    budget = Budget(1)
    client = client_of(emulator_of(), budget)
    async with await client.chat.completions.stream(model="m", messages=HI, max_completion_tokens=100, **OWN) as stream:
        assert spent(budget) == 0
        assert budget.remaining < 1
        response = await stream.collect()
    assert response.usage is not None
    assert response.cost is not None
    assert spent(budget) == Decimal(str(response.cost.usd))
    assert budget.remaining == 1 - spent(budget)


async def test_a_stream_that_is_left_or_breaks_off_is_spent_at_its_bound() -> None:
    budget = Budget(1)
    client = client_of(emulator_of(usual(), text("one two three", cut_at=300)), budget)
    async with await client.chat.completions.stream(model="m", messages=HI, max_completion_tokens=100, **OWN) as stream:
        async for _ in stream:
            break
    left = spent(budget)
    assert Decimal("0.0001") < left < Decimal("0.001")
    stream = await client.chat.completions.stream(model="m", messages=HI, max_completion_tokens=100, **OWN)
    with pytest.raises(APIError):
        await stream.collect()
    assert spent(budget) == 2 * left
    assert budget.remaining == 1 - spent(budget)


class NeverAnswers(EmulatorTransport):
    """Answers nothing but what the catalogue has."""

    async def send(self, request: Request) -> Any:
        if request.method == "POST":
            self.sent.set()
            await asyncio.Event().wait()
        return await super().send(request)

    sent = asyncio.Event()


async def test_a_cancelled_call_is_spent_at_its_bound() -> None:
    budget = Budget(1)
    transport = NeverAnswers(emulator_of())
    call = asyncio.create_task(ask(VeniceClient(api_key="any", transport=transport, budget=budget)))
    await transport.sent.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert Decimal("0.0001") < spent(budget) < Decimal("0.001")
    assert budget.remaining == 1 - spent(budget)


async def test_parse_that_asks_again_and_tool_loops_and_batches_pay_for_every_request() -> None:
    class Answer(pydantic.BaseModel):
        number: int

    def double(number: int) -> int:
        """Doubles."""
        return 2 * number

    budget = Budget(1)
    emulator = emulator_of(text("not JSON"), text('{"number": 4}'), tool_call("double", {"number": 2}), text("4"))
    completions = client_of(emulator, budget).chat.completions
    await completions.parse(model="m", messages=HI, response_format=Answer, max_reasks=1, max_completion_tokens=50)
    await completions.run_with_tools(model="m", messages=HI, tools=[double], max_completion_tokens=50)
    request: ChatRequest = {"model": "m", "messages": HI, "max_completion_tokens": 50}
    await completions.batch([request] * 3)
    assert [row.calls for row in budget.spent()] == [7] == [chats(emulator)]


async def test_a_wait_for_room_ends_with_the_deadline_and_with_the_client() -> None:
    budget = Budget(Decimal("0.0005"))
    emulator = emulator_of()
    client = VeniceClient(api_key="any", transport=emulator.transport(), budget=budget)
    async with await client.chat.completions.stream(model="m", messages=HI, max_completion_tokens=100, **OWN):
        with pytest.raises(APITimeoutError, match="room in its budget") as caught:
            await ask(client, timeout=Timeout(deadline=0.05))
        assert caught.value.clock == "deadline"
        with pytest.raises(APITimeoutError, match="room in its budget") as caught:
            await ask(client, timeout=Timeout(queue=0.05))
        assert caught.value.clock == "queue"
        waiting = asyncio.create_task(ask(client))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await client.close()
        with pytest.raises(APIConnectionError, match="client was closed"):
            await waiting
    assert chats(emulator) == 1


async def test_two_clients_share_a_budget() -> None:
    budget = Budget(Decimal("0.0005"))
    one, other = client_of(emulator_of(completion(answered(200, 80))), budget), client_of(emulator_of(), budget)
    await ask(one)
    with pytest.raises(BudgetExceededError):
        await ask(other)


def test_the_synchronous_client_keeps_a_budget(tmp_path: Path) -> None:
    emulator, budget = emulator_of(), Budget(Decimal("0.0005"), tmp_path / "budget")
    with SyncVeniceClient(api_key="any", transport=emulator.transport(), budget=budget) as client:
        client.chat.completions.create(model="m", messages=HI, max_completion_tokens=100, **OWN)
        first = spent(budget)
        assert first > 0
        with client.chat.completions.stream(model="m", messages=HI, max_completion_tokens=100, **OWN) as stream:
            stream.collect()
        assert spent(budget) > first
        with pytest.raises(BudgetExceededError):
            client.chat.completions.create(model="m", messages=HI, **OWN)


def test_a_budget_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="must be a Budget"):
        VeniceClient(budget=5)  # type: ignore[arg-type]  # what the test is about


@contextmanager
def held(path: Path) -> Generator[sqlite3.Connection]:
    """Another connection has the file of a budget, as another process would."""
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other
    finally:
        if other.in_transaction:
            other.execute("COMMIT")
        other.close()


async def longest_pause(work: Awaitable[object]) -> tuple[object, float]:
    """What comes of something, and for how long it made the event loop stand still, in seconds."""
    task, longest, at = asyncio.ensure_future(work), 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(0.001)
        longest, at = max(longest, time.monotonic() - at), time.monotonic()
    return (await asyncio.gather(task, return_exceptions=True))[0], longest


@pytest.mark.parametrize(("timeout", "clock"), [(Timeout(queue=0.2), "queue"), (Timeout(deadline=0.2), "deadline")])
async def test_a_call_waits_for_the_file_of_its_budget_no_longer_than_its_clocks_allow(
    tmp_path: Path, timeout: Timeout, clock: str
) -> None:
    emulator, budget = emulator_of(), Budget(1, tmp_path / "budget")
    client = VeniceClient(api_key="k", transport=emulator.transport(), budget=budget)
    await ask(client)
    with held(tmp_path / "budget"):
        began = time.monotonic()
        failure, longest = await longest_pause(ask(client, timeout=timeout))
        assert 0.2 <= time.monotonic() - began < 5
    assert isinstance(failure, APITimeoutError)
    assert "or for its file" in str(failure)
    assert failure.clock == clock
    assert longest < 1.0
    assert chats(emulator) == 1
    assert (await ask(client)).text


async def test_an_answer_does_not_wait_for_the_file_of_its_budget_and_is_settled_later(tmp_path: Path) -> None:
    budget = Budget(1, tmp_path / "budget")
    emulator = emulator_of(*[completion(answered(10, 5), delay=0.4) for _ in range(3)])
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="k", base_url=server.url, budget=budget) as client:
            calls = [asyncio.ensure_future(ask(client)) for _ in range(3)]
            while chats(emulator) < 3:
                await asyncio.sleep(0.01)
            with held(tmp_path / "budget") as other:
                answers, longest = await longest_pause(asyncio.gather(*calls))
                assert isinstance(answers, list)
                assert longest < 1.0
                assert not other.execute("SELECT * FROM spending").fetchall()

    while not spent_in(tmp_path / "budget"):  # the file is written without another call
        await asyncio.sleep(0.01)
    assert spent_in(tmp_path / "budget") == [(45_000, 3)]
    assert budget.remaining == 1 - spent(budget)


async def test_what_was_not_settled_yet_is_counted_by_whoever_looks_next(tmp_path: Path) -> None:
    budget = Budget(1, tmp_path / "budget")
    emulator = emulator_of(completion(answered(10, 5), delay=0.4))
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="k", base_url=server.url, budget=budget) as client:
            call = asyncio.ensure_future(ask(client))
            while chats(emulator) < 1:
                await asyncio.sleep(0.01)
            with held(tmp_path / "budget"):
                assert (await call).text == "hi"
            assert spent(budget) == Decimal("0.000015")


def spent_in(path: Path) -> list[Any]:
    """What a file says was spent, and in how many calls."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT nano_usd, calls FROM spending").fetchall()
