"""`batch`: many calls, a bound, the order kept, nothing sent after a failure that stops it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from venice_ai import ChatCompletionResponse, InvalidRequestError, NotFoundError, VeniceClient
from venice_ai._concurrency import bounded_map
from venice_ai.emulator import Emulator, echo, text, usual


def ask(words: str, **more: Any) -> dict[str, Any]:
    return {"model": "default", "messages": [{"role": "user", "content": words}], **more}


def client_of(emulator: Emulator) -> VeniceClient:
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)


async def test_results_stand_in_the_order_of_the_requests() -> None:
    emulator = Emulator()
    emulator.always(echo())
    results = await client_of(emulator).chat.completions.batch([ask(f"question {n}") for n in range(25)], max_concurrency=4)
    assert [r.text for r in results if isinstance(r, ChatCompletionResponse)] == [f"question {n}" for n in range(25)]


async def test_a_failure_stands_in_its_place() -> None:
    emulator = Emulator()
    requests = [ask("a"), {**ask("b"), "model": "no-such-model"}, ask("c", stream=True), ask("d", temperature=9), ask("e")]
    results = await client_of(emulator).chat.completions.batch(requests)
    assert [type(result) for result in results] == [
        ChatCompletionResponse,
        NotFoundError,
        InvalidRequestError,
        InvalidRequestError,
        ChatCompletionResponse,
    ]


@pytest.mark.parametrize("request_of_another_kind", [7, "words", None])
async def test_what_is_no_request_is_told_in_its_place(request_of_another_kind: Any) -> None:
    (result,) = await client_of(Emulator()).chat.completions.batch([request_of_another_kind])
    assert isinstance(result, InvalidRequestError)


async def test_a_missing_keyword_and_max_tokens_are_type_errors_in_their_place() -> None:
    results = await client_of(Emulator()).chat.completions.batch([{"model": "default"}, ask("a", max_tokens=5)])
    assert [type(result) for result in results] == [TypeError, TypeError]


@pytest.mark.parametrize("bound", [0, -1, True, 1.5])
async def test_a_bound_below_one_is_refused(bound: Any) -> None:
    with pytest.raises(ValueError, match="max_concurrency"):
        await client_of(Emulator()).chat.completions.batch([], max_concurrency=bound)


async def test_nothing_to_do_is_done() -> None:
    assert await client_of(Emulator()).chat.completions.batch([]) == []


async def test_without_collecting_the_first_failure_is_raised_and_nothing_more_is_sent() -> None:
    emulator = Emulator()
    emulator.script(usual(), text("ok"))
    requests = [{**ask("a"), "model": "no-such-model"}, *[ask(f"question {n}") for n in range(50)]]
    with pytest.raises(NotFoundError):
        await client_of(emulator).chat.completions.batch(requests, max_concurrency=2, return_exceptions=False)
    sent = len(emulator.requests)
    await asyncio.sleep(0)
    assert len(emulator.requests) == sent <= 4


async def test_the_bound_holds_and_the_requests_are_not_changed() -> None:
    running, most = 0, 0

    async def call(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return item * 2

    assert await bounded_map(call, range(100), limit=7) == [item * 2 for item in range(100)]
    assert most == 7


async def test_cancelling_the_caller_cancels_all() -> None:
    cancelled = 0

    async def call(_: int) -> None:
        nonlocal cancelled
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled += 1
            raise

    task = asyncio.ensure_future(bounded_map(call, range(10), limit=3))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cancelled == 3
