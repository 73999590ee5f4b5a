"""`batch`: many calls with a bound on how many run at once, results in order, nothing sent after a failure that ends it."""

from __future__ import annotations

import asyncio
import json
import random
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, cast

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from venice_ai import ChatCompletionResponse, InvalidArgumentError, InvalidRequestError, NotFoundError, VeniceClient
from venice_ai._core.concurrency import as_completed, bounded_map
from venice_ai.emulator import Emulator, echo, text, usual
from venice_ai.resources.chat import ChatCompletions
from venice_ai.transport import Request

from ..fakes import KEY, ScriptedReply


def ask(words: str, **more: Any) -> dict[str, Any]:
    return {"model": "default", "messages": [{"role": "user", "content": words}], **more}


def completion_of(words: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": words}
    return {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": message}]}


def client_of(emulator: Emulator) -> VeniceClient:
    return VeniceClient(api_key="any", transport=emulator.transport(), clock=emulator.clock)


async def test_results_stand_in_the_order_of_the_requests() -> None:
    emulator = Emulator()
    emulator.always(echo())
    results = await client_of(emulator).chat.completions.batch([ask(f"question {n}") for n in range(25)], max_concurrency=4)
    assert [r.text for r in results if isinstance(r, ChatCompletionResponse)] == [f"question {n}" for n in range(25)]


async def test_a_failure_stands_in_its_place() -> None:
    emulator = Emulator()
    requests: list[dict[str, Any]] = [
        ask("a"),
        {**ask("b"), "model": "no-such-model"},
        ask("c", stream=True),
        ask("d", temperature=9),
        ask("e"),
    ]
    results = await client_of(emulator).chat.completions.batch(requests)
    assert [type(result) for result in results] == [
        ChatCompletionResponse,
        NotFoundError,
        InvalidArgumentError,
        InvalidRequestError,
        ChatCompletionResponse,
    ]


@pytest.mark.parametrize("request_of_another_kind", [7, "words", None])
async def test_a_request_that_is_not_a_mapping_is_an_error_in_its_place(request_of_another_kind: Any) -> None:
    (result,) = await client_of(Emulator()).chat.completions.batch([request_of_another_kind])
    assert isinstance(result, InvalidArgumentError)


async def test_a_missing_keyword_is_named_and_max_tokens_is_a_type_error_in_their_place() -> None:
    incomplete: dict[str, Any] = {"model": "default"}
    results = await client_of(Emulator()).chat.completions.batch([incomplete, ask("a", max_tokens=5)])
    assert [type(result) for result in results] == [InvalidArgumentError, TypeError]
    assert str(results[0]) == "a request of a batch has no 'messages'"


@pytest.mark.parametrize("bound", [0, -1, True, 1.5])
async def test_a_bound_below_one_is_refused(bound: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="max_concurrency"):
        await client_of(Emulator()).chat.completions.batch([], max_concurrency=bound)


@pytest.mark.parametrize("requests", [ask("hi"), "hi", None, iter([ask("hi")])], ids=["one", "text", "none", "generator"])
async def test_requests_that_are_not_a_list_are_refused(requests: Any) -> None:
    emulator = Emulator()
    with pytest.raises(InvalidArgumentError, match="requests must be a list"):
        await client_of(emulator).chat.completions.batch(requests)
    assert emulator.requests == []


async def test_a_batch_without_requests_has_no_results() -> None:
    assert await client_of(Emulator()).chat.completions.batch([]) == []


async def test_without_collecting_the_first_failure_is_raised_and_nothing_more_is_sent() -> None:
    emulator = Emulator()
    emulator.script(usual(), text("ok"))
    requests: list[dict[str, Any]] = [{**ask("a"), "model": "no-such-model"}, *[ask(f"question {n}") for n in range(50)]]
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


@pytest.mark.parametrize("bound", [1, 3, 10])
async def test_a_server_never_sees_more_calls_at_once_than_the_bound(bound: int) -> None:
    now, most = 0, 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        (message,) = (await request.json())["messages"]
        await asyncio.sleep(random.uniform(0, 0.01))  # so that answers come out of order
        now -= 1
        return web.json_response(completion_of(message["content"]))

    app = web.Application()
    app.router.add_post("/chat/completions", answer)
    async with TestServer(app) as server, VeniceClient(api_key=KEY, base_url=str(server.make_url("/"))) as client:
        results = await client.chat.completions.batch([ask(f"question {n}") for n in range(40)], max_concurrency=bound)

    assert [r.text for r in results if isinstance(r, ChatCompletionResponse)] == [f"question {n}" for n in range(40)]
    assert min(bound, 2) <= most <= bound


class Fast:
    """A transport that answers at once, and counts how many tasks there are meanwhile."""

    def __init__(self, reply: Callable[[], ScriptedReply]) -> None:
        self.reply = reply
        self.sent = 0
        self.tasks = 0

    async def send(self, request: Request) -> ScriptedReply:
        self.sent += bool(request.body)
        self.tasks = max(self.tasks, len(asyncio.all_tasks()))
        await asyncio.sleep(0)
        return self.reply()

    async def aclose(self) -> None:
        pass


ANSWERED = json.dumps({"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": []}).encode()
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("items", [2_000, pytest.param(20_000, marks=pytest.mark.more)])
async def test_thousands_of_items_cost_a_task_for_each_place_and_their_results(items: int) -> None:
    transport = Fast(lambda: ScriptedReply(ANSWERED, headers=JSON))
    client = VeniceClient(api_key=KEY, transport=transport)

    results = await client.chat.completions.batch([ask("a")] * items, max_concurrency=10)

    assert (len(results), transport.sent) == (items, items)
    assert transport.tasks <= 12
    assert all(isinstance(result, ChatCompletionResponse) for result in results)


async def test_a_failure_in_its_place_does_not_hold_on_to_what_was_sent() -> None:
    transport = Fast(lambda: ScriptedReply(b'{"error": "no such model"}', status=404, headers=JSON))
    client = VeniceClient(api_key=KEY, transport=transport, max_retries=0)

    (error,) = await client.chat.completions.batch([ask("canary" * 9)])

    assert isinstance(error, NotFoundError)
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    assert len(frames) > 2
    assert not any("canary" in repr(value) for frame in frames for value in frame.f_locals.values())


async def test_a_call_that_is_cancelled_from_within_stands_in_its_place() -> None:
    class Cancelling(ChatCompletions):
        async def create(self, **kwargs: Any) -> Any:
            if kwargs["messages"][0]["content"] == "b":
                raise asyncio.CancelledError("within")
            return cast("Any", await super().create(**kwargs))

    completions = Cancelling(client_of(Emulator()))
    results = await completions.batch([ask("a"), ask("b"), ask("c")], max_concurrency=2)
    assert [type(result) for result in results] == [ChatCompletionResponse, asyncio.CancelledError, ChatCompletionResponse]
    with pytest.raises(asyncio.CancelledError):
        await completions.batch([ask("a"), ask("b"), ask("c")], return_exceptions=False)


async def test_cancelling_a_batch_cancels_it_although_it_collects_failures() -> None:
    class Waiting(ChatCompletions):
        async def create(self, **_: Any) -> Any:
            await asyncio.Event().wait()

    task = asyncio.ensure_future(Waiting(client_of(Emulator())).batch([ask("a")] * 5))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_create_that_gives_no_response_is_a_type_error() -> None:
    class Odd(ChatCompletions):
        async def create(self, **_: Any) -> Any:
            return {"not": "a response"}

    completions = Odd(client_of(Emulator()))
    (result,) = await completions.batch([ask("a")])
    assert isinstance(result, TypeError)
    with pytest.raises(TypeError, match="create gave dict"):
        await completions.batch([ask("a")], return_exceptions=False)


async def all_of(call: Callable[[int], Awaitable[None]]) -> list[None]:
    return [each async for each in as_completed(call, range(3))]


@pytest.mark.parametrize("run", [partial(bounded_map, items=range(3), limit=3), all_of], ids=["in order", "as they come"])
async def test_a_failure_is_raised_once_the_others_have_ended_whatever_becomes_of_them(run: Any) -> None:
    ended: list[int] = []

    async def call(item: int) -> None:
        try:
            await asyncio.sleep(0 if item == 1 else 10)
            raise LookupError("the first")
        except asyncio.CancelledError:
            await asyncio.sleep(0.01)
            ended.append(item)
            if item == 0:
                raise OSError("while it ended") from None
            raise

    with pytest.raises(LookupError, match="the first"):
        await run(call)
    assert sorted(ended) == [0, 2]


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
