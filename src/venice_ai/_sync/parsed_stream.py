"""A stream that shows an object while it is written, for code that does not await. `GrowingAnswer` decides what is shown."""

from __future__ import annotations

from typing import Self, TypeVar, cast

from ..resources.chat.parsed import GrowingAnswer
from ..types.api.chat import ParsedChatCompletion, Partial
from .streams import SyncChatStream

T = TypeVar("T")


class SyncParsedChatStream(GrowingAnswer[T, SyncChatStream]):
    """An object while a model writes it: unfinished ones, and at last the validated one; see `ParsedChatStream`."""

    def __iter__(self) -> Self:
        """Iterates, or goes on from where an earlier loop was left; a StreamConsumedError after the end."""
        self._begin()
        self._chunks = iter(self._stream)
        return self

    def __next__(self) -> Partial[T]:
        if self._done:
            raise StopIteration
        self._chunks = self._chunks or iter(self._stream)
        for chunk in self._chunks:
            if (grown := self._grown(chunk)) is not None:
                return grown
        self._done = True
        return cast("Partial[T]", self.collect().parsed)

    def collect(self) -> ParsedChatCompletion[T]:
        """The validated object, with the whole answer; see `ParsedChatStream.collect`, also for what it raises."""
        return self._finished(self._stream.collect()) if self._result is None else self._result

    def close(self) -> None:
        """Drops the connection. May be called often."""
        self._stream.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
