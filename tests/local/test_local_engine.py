"""The way from the engine's threads to the event loop, with an engine that a test conducts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from venice_ai.emulator.local import LocalModel, LocalModelError
from venice_ai.emulator.local.model import spare_cores

from .asking import complete

PATIENCE_SECONDS = 60


def said(text: str | None, finish_reason: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "finish_reason": finish_reason, "delta": {"content": text}}]}


class Conducted:
    """An engine that says "a" and then, once it may go on, "b" until it is stopped or has said enough."""

    def __init__(self, *, enough: int = 3) -> None:
        self.enough = enough
        self.go_on = threading.Event()
        self.under_way = 0
        self.most_under_way = 0
        self.stopped = threading.Event()
        self._lock = threading.Lock()

    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[dict[str, Any]], bool], /) -> None:
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            self._answer(callback)
        finally:
            with self._lock:
                self.under_way -= 1

    def _answer(self, callback: Callable[[dict[str, Any]], bool]) -> None:
        callback(said("a"))
        assert self.go_on.wait(PATIENCE_SECONDS)
        for _ in range(self.enough):
            if callback(said("b")):
                self.stopped.set()
                return
        callback(said(None, "stop"))


class Broken:
    """An engine that fails."""

    def handle_chat_completions(self, prompt: dict[str, Any], callback: Callable[[dict[str, Any]], bool], /) -> None:
        raise RuntimeError("out of memory")


@pytest.fixture
def engine() -> Conducted:
    return Conducted()


@pytest.fixture
async def model(engine: Conducted) -> AsyncIterator[LocalModel]:
    model = LocalModel(engine, model_id="test", context_tokens=64, plain=True)
    yield model
    engine.go_on.set()
    await model.aclose()


def hello() -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hello."}]}


def text(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0]["message"]["content"])


async def test_chunks_arrive_while_the_engine_works(engine: Conducted, model: LocalModel) -> None:
    async with aclosing(model.stream(hello())) as chunks:
        assert (await anext(chunks))["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert (await anext(chunks))["choices"][0]["delta"] == {"content": "a"}
        assert engine.under_way == 1


async def test_leaving_a_stream_stops_the_engine(engine: Conducted, model: LocalModel) -> None:
    engine.enough = 1_000_000
    async with aclosing(model.stream(hello())) as chunks:
        await anext(chunks)

    engine.go_on.set()

    assert await asyncio.to_thread(engine.stopped.wait, PATIENCE_SECONDS)


async def test_cancelling_a_plain_answer_stops_the_engine(engine: Conducted, model: LocalModel) -> None:
    engine.enough = 1_000_000
    answer = asyncio.create_task(complete(model, hello()))
    while not engine.under_way:
        await asyncio.sleep(0)
    answer.cancel()
    with pytest.raises(asyncio.CancelledError):
        await answer

    engine.go_on.set()

    assert await asyncio.to_thread(engine.stopped.wait, PATIENCE_SECONDS)


async def test_two_requests_are_answered_at_once_and_the_rest_in_turn(engine: Conducted, model: LocalModel) -> None:
    answers = [asyncio.create_task(complete(model, hello())) for _ in range(5)]
    while engine.under_way < 2:
        await asyncio.sleep(0)
    engine.go_on.set()

    assert [text(answer) for answer in await asyncio.gather(*answers)] == ["abbb"] * 5
    assert engine.most_under_way == 2


async def test_a_request_cancelled_in_the_queue_never_reaches_the_engine(engine: Conducted, model: LocalModel) -> None:
    answers = [asyncio.create_task(complete(model, hello())) for _ in range(3)]
    while engine.under_way < 2:
        await asyncio.sleep(0)
    answers[2].cancel()
    with pytest.raises(asyncio.CancelledError):  # awaited: `cancel` alone only asks, and a free engine would take it
        await answers[2]
    engine.go_on.set()

    first, second = await asyncio.gather(*answers[:2])

    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert not engine.stopped.is_set()


async def test_closing_ends_what_runs_and_what_waits_with_an_error(engine: Conducted, model: LocalModel) -> None:
    engine.enough = 1_000_000
    answers = [asyncio.create_task(complete(model, hello())) for _ in range(3)]
    while engine.under_way < 2:
        await asyncio.sleep(0)
    closing = asyncio.create_task(model.aclose())
    await asyncio.sleep(0)
    engine.go_on.set()

    ended = await asyncio.gather(*answers, return_exceptions=True)
    await closing

    assert all(isinstance(error, LocalModelError) for error in ended)


async def test_a_closed_model_says_so(model: LocalModel) -> None:
    await model.aclose()
    await model.aclose()

    with pytest.raises(LocalModelError, match="was closed"):
        await complete(model, hello())


async def test_an_error_of_the_engine_reaches_the_caller() -> None:
    model = LocalModel(Broken(), model_id="test", context_tokens=64, plain=True)

    with pytest.raises(RuntimeError, match="out of memory"):
        await complete(model, hello())

    await model.aclose()


def test_a_model_shows_its_name_and_size(engine: Conducted) -> None:
    assert repr(LocalModel(engine, model_id="m", context_tokens=64, plain=True)) == "<LocalModel 'm', 64 tokens>"


def test_at_least_one_thread_computes() -> None:
    assert spare_cores() >= 1
