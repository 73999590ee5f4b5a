"""Many calls at once, with a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def bounded_map(call: Callable[[T], Awaitable[R]], items: Sequence[T], *, limit: int) -> list[R]:
    """What `call` gives for each item, in their order, with at most `limit` calls at a time.

    The first exception is raised as it is; then, and when the caller is cancelled, what runs is cancelled and nothing more is
    started. There is a task for each place, not for each item, so that many items cost no more than their results.
    """
    results: dict[int, R] = {}
    waiting = iter(enumerate(items))

    async def work() -> None:
        for index, item in waiting:
            results[index] = await call(item)

    workers = [asyncio.ensure_future(work()) for _ in range(min(limit, len(items)))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return [results[index] for index in range(len(items))]
