"""`batch(on_result=...)`: each result is given at once, and no failure, cancellation or hook loses an answer."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from venice_ai import ChatCompletionResponse, NotFoundError, VeniceError
from venice_ai.emulator import echo, error, text

from ..batches.test_batch_iter import BUSY_SECONDS, ask, client_of, watched


async def test_batch_calls_on_result_as_soon_as_each_result_is_there() -> None:
    seen: dict[int, Any] = {}
    requests = [ask("a"), ask("b"), ask("c")]
    results = await client_of(watched(echo(), error(404))).chat.completions.batch(requests, on_result=seen.__setitem__)
    assert [seen[index] for index in range(3)] == results


async def test_the_error_of_a_batch_carries_the_answers_before_it() -> None:
    results: dict[int, Any] = {}
    requests = [ask("a"), ask("b"), ask("c"), ask("d")]
    with pytest.raises(NotFoundError) as caught:
        await client_of(watched(echo(), echo(), error(404))).chat.completions.batch(
            requests, max_concurrency=1, return_exceptions=False, on_result=results.__setitem__
        )
    assert {index: response.text for index, response in caught.value.results.items()} == {0: "a", 1: "b"}
    assert results == {0: caught.value.results[0], 1: caught.value.results[1], 2: caught.value}


@pytest.mark.parametrize("wrong", [LookupError("mine"), VeniceError("mine, too")], ids=["any", "ours"])
async def test_the_error_of_a_hook_carries_the_answers_until_then(wrong: Exception) -> None:
    transport, indexes = watched(seconds=BUSY_SECONDS), list[int]()

    def broken(index: int, _: object) -> None:
        indexes.append(index)
        if index == 1:
            raise wrong

    with pytest.raises(type(wrong), match="mine") as caught:
        await client_of(transport).chat.completions.batch([ask(n) for n in range(20)], max_concurrency=3, on_result=broken)
    sent = sum(transport.prompts.values())
    results: dict[int, ChatCompletionResponse] = cast("Any", caught.value).results
    assert {index: response.text for index, response in results.items()} == {index: f"{index}" for index in range(sent)}
    assert indexes == [0, 1], "it is not called again"
    assert sent <= 4, "nothing begins after it has raised"


async def test_a_hook_that_raises_lets_requests_in_flight_finish() -> None:
    transport = watched(text("first"), always=text("slow", delay=BUSY_SECONDS))

    def broken(*_: object) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError) as caught:
        await client_of(transport).chat.completions.batch([ask(n) for n in range(9)], max_concurrency=3, on_result=broken)
    assert sorted(cast("Any", caught.value).results) == [0, 1, 2]
    assert sum(transport.prompts.values()) == 3


async def test_a_cancelled_batch_has_called_on_result_for_every_answer() -> None:
    transport, results = watched(), dict[int, Any]()
    transport.held = asyncio.Event()
    transport.held.set()

    def note(index: int, result: ChatCompletionResponse | BaseException) -> None:
        results[index] = result
        if len(results) == 5:
            assert transport.held is not None
            transport.held.clear()

    running = client_of(transport).chat.completions.batch([ask(n) for n in range(20)], max_concurrency=2, on_result=note)
    task = asyncio.ensure_future(running)
    while len(results) < 5 or transport.now < 2:
        await asyncio.sleep(0.001)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert all(isinstance(results[index], ChatCompletionResponse) for index in range(5))


async def test_batch_sends_the_requests_as_they_were_given() -> None:
    transport, requests = watched(), [ask("a"), ask("b")]

    def change(*_: object) -> None:
        for request in requests:
            request["messages"][0]["content"] = "changed"

    await client_of(transport).chat.completions.batch(requests, max_concurrency=1, on_result=change)
    assert transport.prompts == {"a": 1, "b": 1}
