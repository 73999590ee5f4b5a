"""Streams for code that does not await: read ahead on the loop thread, taken from with `for`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Coroutine, Generator, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from ..exceptions import StreamConsumedError, StreamInterruptedError, VeniceError
from ..streaming import ChatStream, OfReply, chunk_texts
from ..types.api.chat import ChatCompletionResponse, ChatUsage
from ..types.api.streaming import ChatCompletionChunk
from .loop_thread import LoopThread
from .read_ahead import ReadAhead

if TYPE_CHECKING:
    from ..tools import ToolEvent
    from ..types.api.chat import ToolLoopResult
    from .connection import SyncConnection

T = TypeVar("T")


class SyncSource(Iterator[T]):
    """The items of an asynchronous stream, taken on other threads; it holds its `owner`, whose connections it is read on."""

    made_of: Callable[[T], Any] | None = None  # what makes the objects that come in place of items

    def __init__(self, thread: LoopThread, opening: Coroutine[Any, Any, Any], *, owner: object, ahead: int = 256) -> None:
        self._owner = owner
        self.ended: bool = True  # until it is open, there is nothing to drop
        self.read_ahead: ReadAhead[T] = ReadAhead(thread, ahead=ahead)
        self.stream: Any = self.read_ahead.open(opening)
        self.ended = False

    def __iter__(self) -> Iterator[T]:  # noqa: PYI034  # one layer less for each item
        return self._items() if self.made_of is None else map(self.made_of, self._items())

    def _items(self) -> Generator[T, None, None]:
        take = self.read_ahead.items.popleft
        while True:
            try:
                yield take()  # by no name, which a traceback would show
            except IndexError:
                if not self._more():
                    return

    def __next__(self) -> T:
        return next(iter(self))

    def _more(self) -> bool:
        """Waits for items; False at the end of a stream that is whole, and of one that was left."""
        if self.ended:
            return False
        self.read_ahead.thread.check()
        try:
            if self.read_ahead.wait():
                return True
        except BaseException:
            self.ended = True
            raise
        self.ended = True
        if self.read_ahead.cut:
            raise self.broken("it was closed while it was read")
        return False

    def broken(self, why: str) -> VeniceError:
        """The error for a stream that was left before its end."""
        return VeniceError(f"the stream broke off: {why}")

    def collect(self) -> Any:
        """The whole that the stream collects; items that were not taken yet are read and dropped."""
        self.read_ahead.thread.check()
        if not self.ended:
            self.ended = True
            self.read_ahead.finish()
        return self.read_ahead.thread.run(self.stream.collect())

    def close(self) -> None:
        """Drops the connection, if the stream has not ended."""
        if not self.ended:
            self.ended = True
            self.read_ahead.close()

    def __del__(self) -> None:
        if not self.ended and not self.read_ahead.thread.ended:
            self.read_ahead.abandon()
            warnings.warn("a stream was dropped before its end; use `with`, or close() it", ResourceWarning, stacklevel=2)


class SyncChunkSource(SyncSource[ChatCompletionChunk]):
    """The chunks of one reply: what a stream, or a `stream_cls` of the caller's, iterates over."""

    stream: ChatStream

    def broken(self, why: str) -> StreamInterruptedError:
        """The error for a stream that was left before its end, with what had come."""
        return self.stream._reader.errors.interrupted(why)  # noqa: SLF001  # the same stream, seen from another thread

    def collect(self) -> ChatCompletionResponse:
        """The whole answer; what was not taken yet is read and dropped."""
        if self.read_ahead.cut:
            raise self.broken("it was closed before its end")
        return cast("ChatCompletionResponse", super().collect())

    def partial(self) -> ChatCompletionResponse:
        """The answer as far as it has come."""

        async def look() -> ChatCompletionResponse:
            return self.stream.partial

        return self.stream.partial if self.read_ahead.ended else self.read_ahead.thread.run(look())


class SyncStream(OfReply, Generic[T]):
    """Chunks as they arrive: an iterator, and a context manager that closes the connection on leaving; see `Stream`."""

    def __init__(self, iterator: Iterator[T], *, client: SyncConnection | None = None) -> None:
        self._iterator = iterator
        self._read_by = iterator.stream._reader if isinstance(iterator, SyncChunkSource) else None  # noqa: SLF001
        self._client = client
        self._closed = False

    def __iter__(self) -> Iterator[T]:
        """Iterates, or goes on from where an earlier loop was left; a StreamConsumedError after the end."""
        if self._has_ended():
            raise StreamConsumedError("this stream has ended; a stream is read once (collect() gives the whole answer)")
        return iter(self._iterator)

    def __next__(self) -> T:
        if self._has_ended():
            raise StopIteration
        return next(self._iterator)

    def _has_ended(self) -> bool:
        return self._closed or (isinstance(self._iterator, SyncSource) and self._iterator.ended)

    def close(self) -> None:
        """Drops the connection. May be called often."""
        self._closed = True
        if (close := getattr(self._iterator, "close", None)) is not None:
            close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class SyncChatStream(SyncStream[ChatCompletionChunk]):
    """The stream of a chat: chunks, their text alone, or the whole answer; see `ChatStream`, also for every method."""

    def __init__(self, iterator: Iterator[ChatCompletionChunk], *, client: SyncConnection | None = None) -> None:
        if not isinstance(iterator, SyncChunkSource):
            raise TypeError("a SyncChatStream reads the chunks of a reply; client.chat.completions.stream() makes one")
        super().__init__(iterator, client=client)
        self._source = iterator

    def text_deltas(self) -> Iterator[str]:
        """The texts that the chunks add, of all choices in the order of arrival, without empty ones."""
        return chain.from_iterable(map(chunk_texts, self))

    def collect(self) -> ChatCompletionResponse:
        """The whole answer, also after part of it, or all, was read."""
        return self._source.collect()

    @property
    def usage(self) -> ChatUsage | None:
        """The usage, once it came: at the end of the stream."""
        return self._source.stream.usage

    @property
    def partial(self) -> ChatCompletionResponse:
        """The answer as far as it has come, also what was not taken yet."""
        return self._source.partial()


class SyncToolStream(SyncStream["ToolEvent"]):
    """The events of a tool loop: an iterator, and a context manager that stops the loop on leaving."""

    def __iter__(self) -> SyncToolStream:
        return self

    def __next__(self) -> ToolEvent:
        return super().__next__()

    def collect(self) -> ToolLoopResult:
        """The result, also after some of the events, or all, were read; a VeniceError if the loop was stopped before."""
        return cast("ToolLoopResult", cast("SyncSource[ToolEvent]", self._iterator).collect())
