"""`batch_iter` for code that does not await: items from the event loop's thread, requests pulled in threads of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from .._core.concurrency import in_thread

if TYPE_CHECKING:
    from ..batches.items import BatchItem
    from ..resources.chat import ChatCompletions
    from .connection import Bridge


def items_of(bridge: Bridge, completions: ChatCompletions, given: dict[str, Any]) -> Generator[BatchItem[Any], None, None]:
    """The items of a batch with these arguments of `batch_iter`; wrong ones are refused now."""
    requests = given["requests"]
    if not isinstance(requests, (Sequence, AsyncIterable)) and isinstance(requests, Iterable):
        given["requests"] = _pulled(cast("Iterable[Any]", requests))
    return _taken(bridge, bridge.run(_begun(completions, given)))


async def _begun(completions: ChatCompletions, given: dict[str, Any]) -> AsyncGenerator[BatchItem[Any], None]:
    return completions.batch_iter(**given)


def _taken(bridge: Bridge, items: AsyncGenerator[BatchItem[Any], None]) -> Generator[BatchItem[Any], None, None]:
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
        while (item := bridge.run(following())) is not None:
            yield item
    finally:
        bridge.run(left())


async def _pulled(requests: Iterable[Any]) -> AsyncIterator[Any]:
    """Requests of an iterable that may block."""
    mine, nothing = iter(requests), object()
    while (request := await in_thread(lambda: next(mine, nothing))) is not nothing:
        yield request
