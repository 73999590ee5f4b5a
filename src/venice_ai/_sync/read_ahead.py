"""Reading ahead: an asynchronous stream is read on the event loop thread into a buffer that other threads take from.

A trip to the loop for each chunk would cost more than the chunk. So the loop reads until the buffer is full, and reads on once
it is empty and a thread waits. That thread takes what is there without a lock, and waits only when there is nothing.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

from .._core.outcome import Outcome
from ..streaming import Stream
from .loop_thread import WAIT_SECONDS, LoopThread

T = TypeVar("T")
StreamT = TypeVar("StreamT", bound=Stream[Any])


class ReadAhead(Outcome[None], Generic[T]):
    """A buffer that the loop fills, up to `ahead` items; take from `items` on any thread, and `wait` where it is empty."""

    def __init__(self, thread: LoopThread, *, ahead: int) -> None:
        self._ahead = ahead
        self.items: deque[T] = deque()  # what has come and was not taken
        self.ended: bool = False  # whether nothing more comes
        self.cut: bool = False  # whether it was closed before its end
        self.thread = thread
        self._source: Stream[T] | None = None
        self._pump: asyncio.Task[None] | None = None
        self._news = threading.Condition(threading.Lock())
        self._awaited = False
        self._discarding = False
        self._full = False
        self._room = asyncio.Event()

    def open(self, opening: Coroutine[Any, Any, StreamT]) -> StreamT:
        """Opens what is to be read, and begins to read it."""
        try:
            return self.thread.run(self._open(opening))
        except BaseException:
            self.abandon()  # it may have been opened at the moment of the interruption
            raise

    def wait(self) -> bool:
        """Waits for something to take, and says whether there was; if not, this is the end. What ended it is raised, once."""
        try:
            with self._news:
                self._awaited = True  # before the look, so that what comes after it is told
                while not self.items and not self.ended:
                    if self._full:
                        self.thread.soon(self._room.set)
                    self._news.wait(WAIT_SECONDS)
                    self._awaited = True
        except BaseException:
            self.close()
            raise
        # `items` may be empty although this is not the end: another thread was faster.
        return not self.ended or bool(self.items) or bool(self.outcome())

    def finish(self) -> None:
        """Reads to the end, and keeps nothing of it."""
        self.thread.run(self._finish())

    def close(self) -> None:
        """Closes the source at once, and drops what was not taken."""
        self.cut = True
        self.items.clear()
        if not self.ended and not self.thread.ended:
            self.thread.run(self._close())

    def abandon(self) -> None:
        """Has the loop close the source, without waiting for that."""
        if not self.ended:
            self.thread.soon(lambda: self.thread.begin(self._close()))

    async def _open(self, opening: Coroutine[Any, Any, StreamT]) -> StreamT:
        self._source = source = await opening
        self._pump = self.thread.begin(self._read(source))
        return source

    async def _read(self, source: Stream[T]) -> None:
        items, keep, ahead = self.items, self.items.append, self._ahead
        item: T | None = None
        try:
            async for item in source:
                if self._discarding:
                    continue
                keep(item)
                if self._awaited:
                    self._tell()
                if len(items) >= ahead:
                    await self._pause()
        except asyncio.CancelledError:
            self.cut = True
        except BaseException as error:  # noqa: BLE001  # it is raised in the thread that reads
            self.error: BaseException | None = error
        finally:
            item = None  # a traceback may show it
            self.ended = True
            if not self.thread.ended:  # else only daemon threads still wait, as in a call
                self._tell()

    async def _pause(self) -> None:
        self._room.clear()
        self._full = True
        if len(self.items) >= self._ahead:  # looked at again: who took the last a moment ago has not seen that it is full
            await self._room.wait()
        self._full = False

    def _tell(self) -> None:
        with self._news:
            self._awaited = False
            self._news.notify_all()

    async def _finish(self) -> None:
        self._discarding = True
        self.items.clear()
        self._room.set()
        try:
            if self._pump is not None:
                await asyncio.wait({self._pump})
        except asyncio.CancelledError:
            await self._close()
            raise

    async def _close(self) -> None:
        if self._source is not None and self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})
            await self._source.close()
