"""`stream_cls`: a stream of the caller's own, or objects of the caller's own class in place of chunks."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from ...streaming import ChunkSource, Stream

if TYPE_CHECKING:
    from ..._http.connection import Connection
    from ...types.api.streaming import ChatCompletionChunk

T = TypeVar("T")


def stream_factory(stream_cls: Callable[..., Any], model_stream: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """How to make the caller's stream of chunks and client (`model_stream`: of fields); a TypeError if it takes neither."""
    try:
        parameters = inspect.signature(stream_cls)
    except (TypeError, ValueError):
        raise TypeError(f"stream_cls={stream_cls!r} is not a class that can be called") from None
    with suppress(TypeError):
        parameters.bind(None, client=None)
        return lambda source, client: stream_cls(source, client=client)
    keywords_only = all(p.kind in {p.KEYWORD_ONLY, p.VAR_KEYWORD} for p in parameters.parameters.values())
    if not parameters.parameters or not keywords_only:
        raise TypeError(
            f"stream_cls={stream_cls!r} is called as stream_cls(iterator, client=client), or with a chunk's fields as keywords"
        )
    return lambda source, client: model_stream(stream_cls, source, client=client)


class ModelStream(Stream[T]):
    """The stream of a `stream_cls` that takes a chunk's fields as keywords: each chunk as such an object."""

    def __init__(self, factory: Callable[..., T], source: ChunkSource, *, client: Connection | None = None) -> None:
        super().__init__(cast("AsyncIterator[T]", source), client=client)
        self._source = source
        self._factory = factory

    def __aiter__(self) -> AsyncIterator[T]:
        super().__aiter__()
        return self._made(aiter(self._source))

    async def __anext__(self) -> T:
        return self._factory(**cast("ChatCompletionChunk", await super().__anext__()).model_dump())

    async def _made(self, chunks: AsyncIterator[ChatCompletionChunk]) -> AsyncGenerator[T, None]:
        async for chunk in chunks:
            yield self._factory(**chunk.model_dump())
