"""`batch_iter` for code that does not await: items from the event loop's thread, requests pulled in threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from .._core.concurrency import in_thread
from .connection import loop_thread

if TYPE_CHECKING:
    from ..batches.items import BatchItem
    from ..resources.chat import ChatCompletions


def items_of(completions: ChatCompletions, given: dict[str, Any]) -> Generator[BatchItem[Any], None, None]:
    """The items of a batch with these arguments of `batch_iter`; wrong ones are refused now."""
    requests: Any = given["requests"]
    if isinstance(requests, Iterable) and not isinstance(requests, (Sequence, AsyncIterable)):
        given["requests"] = _pulled(cast("Iterable[Any]", requests))

    async def begun() -> AsyncGenerator[BatchItem[Any], None]:
        return completions.batch_iter(**given)

    return _taken(loop_thread().run(begun()))


def _taken(items: AsyncGenerator[BatchItem[Any], None]) -> Generator[BatchItem[Any], None, None]:
    running: asyncio.Task[Any] | None = None

    async def following() -> BatchItem[Any] | None:
        nonlocal running
        running = asyncio.current_task()
        return await anext(items, None)

    async def left() -> None:
        if running is not None and not running.done():  # a second Ctrl-C, while what is in flight was waited for
            running.cancel()
            await asyncio.wait((running,))
        await items.aclose()

    try:
        while (item := loop_thread().run(following())) is not None:
            yield item
    finally:
        loop_thread().run(left())


async def _pulled(requests: Iterable[Any]) -> AsyncIterator[Any]:
    mine, nothing = iter(requests), object()
    while (request := await in_thread(lambda: next(mine, nothing))) is not nothing:
        yield request
