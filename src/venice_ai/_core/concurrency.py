"""Many calls at once, with a bound; callers who share one call; and calls that block, in threads."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Hashable, Sequence
from contextvars import copy_context
from functools import partial
from inspect import iscoroutinefunction
from itertools import takewhile
from traceback import clear_frames
from typing import Generic, TypeVar

from ..exceptions import InvalidArgumentError
from .outcome import Task
from .waiter import Wakeup

T = TypeVar("T")
R = TypeVar("R")
E = TypeVar("E", bound=BaseException)


def check_plain(name: str, hook: object) -> None:
    """Raises a TypeError for what cannot be called, and an InvalidArgumentError for an async hook, which nobody awaits."""
    if hook is not None and not callable(hook):
        raise TypeError(f"{name}={hook!r:.100} cannot be called: give a function, or None")
    if iscoroutinefunction(hook) or iscoroutinefunction(getattr(type(hook), "__call__", None)):  # noqa: B004  # not: is it callable
        raise InvalidArgumentError(f"{name}={hook!r:.100} must not be an async function: nobody awaits it")


async def bounded_map(
    call: Callable[[T], Awaitable[R]],
    items: Sequence[T],
    *,
    limit: int,
    results: dict[int, R] | None = None,
    on_result: Callable[[int, R | Exception], object] | None = None,
) -> list[R]:
    """Calls `call` for each item, at most `limit` at a time; the results in order. An exception or a cancellation ends it.

    What came stands in `results` at once, by the index of its item. `on_result` sees that, and a failure. What it raises is
    raised once what is under way has come: nothing else begins, and it is not called again.
    """
    check_plain("on_result", on_result)
    results = {} if results is None else results
    count, broken = len(items), list[Exception]()
    waiting = takewhile(lambda _: not broken, enumerate(items))
    del items  # what shows the local variables of a traceback must not show what is in them

    def tell(index: int, found: R | Exception) -> None:
        try:
            if on_result is not None and not broken:
                on_result(index, found)
        except Exception as error:  # noqa: BLE001  # the caller's, who gets it once nothing is under way any more
            broken.append(error)

    async def work() -> None:
        for index, item in waiting:
            running = call(item)
            del item
            try:
                results[index] = await running
            except Exception as error:
                tell(index, error)
                raise
            tell(index, results[index])

    # One for each place, not for each item, so that many items cost no more than their results.
    workers = [asyncio.ensure_future(work()) for _ in range(min(limit, count))]
    try:
        await asyncio.gather(*workers)
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    if broken:
        raise broken[0]
    return [results[index] for index in range(count)]


def without_locals(error: E) -> E:
    """The same error, and those that led to it. The frames of their tracebacks, where nothing runs any more, hold no values."""
    chain: list[BaseException | None] = [error]
    seen: set[int] = set()
    while chain:
        each = chain.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            clear_frames(each.__traceback__)
            chain += [each.__cause__, each.__context__]
    return error


async def as_completed(call: Callable[[T], Awaitable[R]], items: Sequence[T]) -> AsyncGenerator[R, None]:
    """Calls `call` for all items at once, and yields results as they come; an exception, or leaving early, cancels the rest."""
    tasks = [asyncio.ensure_future(call(item)) for item in items]
    try:
        for done in asyncio.as_completed(tasks):
            yield await done
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def in_thread(call: Callable[[], R]) -> R:
    """The result of a call that blocks, made in a thread of its own that sees the caller's context variables."""
    done = Wakeup()
    task = Task(partial(copy_context().run, call))

    def work() -> None:
        task.run()
        done.wake()

    # Threads cannot be stopped: when the caller is cancelled it is left alone, and does not keep the program from ending.
    threading.Thread(target=work, name="venice_ai tool", daemon=True).start()
    await done.woken()
    return task.outcome()


class SingleFlight(Generic[T]):
    """Requests that are shared by those who ask for the same at the same time; by key and event loop."""

    def __init__(self) -> None:
        self._tasks: dict[tuple[Hashable, asyncio.AbstractEventLoop], asyncio.Task[T]] = {}

    async def share(self, key: Hashable, start: Callable[[], Awaitable[T]]) -> T:
        """The result of `start`; of one that runs already, if others asked for the same key and still wait."""
        flight = (key, asyncio.get_running_loop())
        if (task := self._tasks.get(flight)) is None:
            task = self._tasks[flight] = asyncio.ensure_future(start())
            task.add_done_callback(lambda done: self._landed(flight, done))
        return await asyncio.shield(task)  # whoever stops waiting must not take it away from the others

    def _landed(self, flight: tuple[Hashable, asyncio.AbstractEventLoop], task: asyncio.Task[T]) -> None:
        self._tasks.pop(flight, None)
        if not task.cancelled():
            task.exception()  # marks it as seen, should everyone have stopped waiting
