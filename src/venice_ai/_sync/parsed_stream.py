"""A stream that shows an object while it is written, for code that does not await.

The asynchronous one decides what is shown. It is given chunks that are never waited for, so its methods run to their end in
one go, without an event loop.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Generic, Self, TypeVar, cast

from .._core.run_now import drive
from ..resources.chat.parsed import ParsedChatStream
from ..streaming import ChatStream
from ..types.api.chat import ChatCompletionResponse, ParsedChatCompletion, Partial
from ..types.api.streaming import ChatCompletionChunk
from .streams import SyncChatStream

T = TypeVar("T")


class SyncParsedChatStream(Generic[T]):
    """An object while a model writes it: an iterator of unfinished objects, and at last the validated one.

    See `ParsedChatStream`, also for what an unfinished object is.
    """

    def __init__(self, stream: SyncChatStream, kind: type[T], *, wrapped: bool) -> None:
        self._stream = stream
        self._parsed: ParsedChatStream[T] = ParsedChatStream(cast("ChatStream", _NeverWaiting(stream)), kind, wrapped=wrapped)

    def __iter__(self) -> Self:
        """Iterates, or goes on from where an earlier loop was left.

        Raises:
            StreamConsumedError: the stream was read to its end, or closed.
        """
        aiter(self._parsed)
        return self

    def __next__(self) -> Partial[T]:
        try:
            return drive(self._parsed.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def collect(self) -> ParsedChatCompletion[T]:
        """The validated object, with the whole answer, also after part of the stream, or all, was read.

        Raises:
            OutputError: the answer does not fit the class, was cut off or refused, or is a tool call; as in `parse`.
            StreamInterruptedError: the stream broke off, or was closed, before its end.
            APIError: the server reported an error in the stream.
        """
        return drive(self._parsed.collect())

    @property
    def partial(self) -> Partial[T] | None:
        """The object as far as it was read; None before it begins. After the end, the validated one."""
        return self._parsed.partial

    @property
    def stream(self) -> SyncChatStream:
        """The stream below: `usage`, `meta`, and the raw answer so far as `stream.partial`."""
        return self._stream

    def close(self) -> None:
        """Drops the connection. May be called often."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _NeverWaiting:
    """A synchronous stream, as asynchronous code reads one."""

    def __init__(self, stream: SyncChatStream) -> None:
        self._stream = stream

    def __aiter__(self) -> _Chunks:
        return _Chunks(iter(self._stream))

    async def collect(self) -> ChatCompletionResponse:
        return self._stream.collect()


class _Chunks(AsyncIterator[ChatCompletionChunk]):
    def __init__(self, chunks: Iterator[ChatCompletionChunk]) -> None:
        self._chunks = chunks

    async def __anext__(self) -> ChatCompletionChunk:
        for chunk in self._chunks:
            return chunk
        raise StopAsyncIteration
