"""Streams that cannot lie.

Every stream ends in exactly one way: a finish reason or `[DONE]` was seen; or `StreamInterruptedError` with what had come;
or the error that the server reported inside the stream, with what had come; or the caller left. The rule lives in
`Reading`, which is below every stream, so that iteration, `text_deltas()`, `collect()` and a `stream_cls` of the
caller's all obey it. What was read is assembled on the way and nothing is asked for twice.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from . import _wire
from ._assemble import Assembly
from ._meta import ResponseMeta
from ._sse import EventParser, EventTooLongError, NamedEvent
from ._transport import Reply
from .exceptions import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    StreamConsumedError,
    StreamInterruptedError,
    StreamTimeoutError,
    TeeEncryptionError,
    VeniceError,
)
from .types.api.chat import ChatCompletionResponse, ChatUsage, content_text
from .types.api.streaming import ChatChunkChoice, ChatCompletionChunk, ChatDelta

if TYPE_CHECKING:
    from ._client import VeniceClient
    from .tee.report import AttestationReport, SignatureReport
    from .tee.session import TeeSession

T = TypeVar("T")

_HEAD_BYTES = 2**20


class Reading:
    """The state of one reply that is being read: what came, and whether and how it ended.

    Args:
        reply: the open reply.
        meta: what is known of it; the time to the first chunk is added.
        choices: how many answers were asked for.
        every_chunk: also yield chunks without choices, which carry usage.
        watch_progress: tell the reply's `progress` clock of content.
        now: the clock.
        sent: when the request was sent, by that clock.
        session: opens what is end-to-end encrypted, and says whether the answer is whole.
        settle: called with all bytes that came, when a whole answer of a session is over.
    """

    def __init__(
        self,
        reply: Reply,
        meta: ResponseMeta,
        *,
        choices: int,
        every_chunk: bool,
        watch_progress: bool,
        now: Callable[[], float],
        sent: float,
        session: TeeSession | None = None,
        settle: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self.reply = reply
        self.meta = meta
        self.session = session
        self.assembly: Assembly = Assembly(choices) if session is None else session.assembly(choices)
        self.ended: bool = False
        self.complete: bool = False
        self.left = False
        self.handed_out = False
        self._at_end = False
        self.error: VeniceError | None = None
        self._every_chunk = every_chunk
        self._watch_progress = watch_progress
        self._now = now
        self._sent = sent
        self._settle = settle
        self._head = b""  # what came before the first event
        self._received = bytearray()

    def partial(self) -> ChatCompletionResponse:
        """What has come so far."""
        response = self.assembly.response()
        _wire.attach(response, self.meta)
        return response

    async def chunks(self) -> AsyncGenerator[ChatCompletionChunk, None]:  # noqa: C901, PLR0912  # the hot path, spelled out
        """The chunks, until the one end that the stream has."""
        every_chunk, watch_progress = self._every_chunk, self._watch_progress
        decode = _wire.strict_decode if self.session is None else partial(self._opened, self.session)
        assembly = self.assembly
        repeated, common, progressed = assembly.repeated, assembly.common, self.reply.progressed
        parser = EventParser() if self._settle is None else _KeepingParser(self._received)
        pieces = aiter(self.reply.pieces())
        try:
            while not self._at_end:
                for event in await self._next_events(pieces, parser):
                    found: Any = None
                    usual = event.__class__ is bytes and not assembly.halved  # it has no type
                    chunk = repeated(event) if usual else None
                    if chunk is None:
                        try:
                            found = decode(event)
                        except _wire.NOT_STRICT:
                            found = None
                        chunk = common(found, event) if usual and found.__class__ is dict else None
                    if chunk is not None:
                        if watch_progress:
                            progressed()
                        if not assembly.unseen:
                            yield chunk
                        continue
                    if event.strip() == b"[DONE]":
                        await self.reply.drain()
                        await self._close(done=True)
                        return
                    chunk = self._any(event, found)
                    if chunk is None:
                        continue
                    if assembly.add(chunk) and watch_progress:
                        progressed()
                    if every_chunk or chunk.choices:
                        yield chunk
            await self._close(done=False)
        except VeniceError as error:
            self.error = error
            raise
        except GeneratorExit:
            if not self.left:  # nobody closed it: it is being collected as garbage
                self.drop()
            raise
        finally:
            event, found = b"", None  # a traceback may show what they hold
            self.ended = True
            self.reply.close()
            if self.session is not None:
                self.session.close()

    def _opened(self, session: TeeSession, event: bytes) -> Any:
        """The JSON of an event, opened; None for `[DONE]`, and for what is not JSON."""
        found: Any = None
        try:
            found = _wire.decode(event)
            return session.open(found)
        except TeeEncryptionError as error:
            del event, found  # part of it may be in clear, here and in the frames of what raised
            raise error.with_traceback(None) from None
        except ValueError:
            return None

    def _any(self, event: bytes, found: Any) -> ChatCompletionChunk | None:
        """The chunk in an event of any kind; None for an empty one, and for what is no chunk once the answer is complete.

        Raises:
            APIError: the event reports one, or is not JSON.
        """
        reports = isinstance(event, NamedEvent) and event.type == b"error"
        if not reports and not event.strip():  # keeps the connection alive
            return None
        try:
            # What a session did not open is never read past it.
            chunk = _wire.chunk(_wire.decode(event) if found is None and self.session is None else found)
        except ValueError as error:
            if self.assembly.finished:
                return None
            if self.session is not None:
                del event  # a traceback may show what it holds
                raise self.interrupted("an event is not JSON") from None
            raise self.interrupted(f"an event is not JSON: {event!r:.100}") from error
        if isinstance(chunk, dict):
            if "choices" in chunk and self.session is None:  # what stands beside an error is not opened in a session
                self.assembly.add(ChatCompletionChunk.model_validate({**chunk, "error": None}))
            raise self._reported(chunk)
        if reports:
            raise self._reported({"error": vars(chunk)})
        return chunk

    def drop(self) -> None:
        """Closes a stream that nobody can read any more, and says so."""
        self.ended = True
        self.reply.close()
        warnings.warn("a stream was dropped before its end; use `async with`, or close() it", ResourceWarning, stacklevel=3)

    async def _next_events(self, pieces: AsyncIterator[bytes], parser: EventParser) -> list[bytes]:
        """The events of the next piece; at the end of the body, what its end completes."""
        try:
            piece = await anext(pieces)
            events = parser.feed(piece)
        except StopAsyncIteration:
            self._at_end = True
            return parser.finish()
        except EventTooLongError as error:
            raise self.interrupted(str(error)) from None
        except APIConnectionError as error:
            # The answer itself is complete once every choice has its finish reason.
            if not self.assembly.finished:
                raise self.interrupted(error.message, error) from error
            self._at_end = True
            return parser.finish()
        if self.meta.time_to_first_chunk is None:
            if events:
                self.meta.time_to_first_chunk = self._now() - self._sent
                self._head = b""
            elif len(self._head) < _HEAD_BYTES:
                self._head += piece
        return events

    async def _close(self, *, done: bool) -> None:
        if not (done or self.assembly.finished):
            self._refuse_whole()
            raise self.interrupted("the connection was closed before the answer was complete")
        if self.session is not None:
            lacking = self.session.end(done=done)
            if lacking is not None:
                raise self.interrupted(lacking)
        if self._settle is not None:
            try:
                await self._settle(bytes(self._received))
            except TeeEncryptionError as error:
                error.partial = self.partial()  # it was paid for
                raise
        self.complete = True

    def _refuse_whole(self) -> None:
        """Raises what a reply says that calls itself a stream and is JSON."""
        if self.assembly.chunks or self.session is not None or self._head[:64].lstrip()[:1] != b"{":
            return
        try:
            found = _wire.decode(self._head)
        except ValueError:
            return
        if isinstance(found, dict):
            raise _wire.instead_of_stream(self._head, self.meta)

    def _reported(self, content: dict[str, Any]) -> APIError:
        return _wire.stream_error(content, self.meta, self.partial())

    def interrupted(self, why: str, cause: APIConnectionError | None = None) -> StreamInterruptedError:
        """The error for a stream that broke off, with what had come."""
        kind = StreamTimeoutError if isinstance(cause, APITimeoutError) else StreamInterruptedError
        partial = self.partial()
        error = kind(
            f"the stream broke off after {self.assembly.chunks} chunks: {why.rstrip('.')}. What had come is in `partial`.",
            status_code=self.meta.status_code,
            request_id=self.meta.request_id,
            meta=self.meta,
            partial=partial,
        )
        if isinstance(error, StreamTimeoutError) and isinstance(cause, APITimeoutError):
            error.clock = cause.clock
        return error


class _KeepingParser(EventParser):
    """Keeps what it is fed, for a signature may be about it."""

    __slots__ = ("_kept",)

    def __init__(self, kept: bytearray) -> None:
        super().__init__()
        self._kept = kept

    def feed(self, piece: bytes) -> list[bytes]:
        self._kept += piece
        return super().feed(piece)


class ChunkSource(AsyncIterator[ChatCompletionChunk]):
    """The chunks of one reply: what a stream, or a `stream_cls` of the caller's, iterates over."""

    def __init__(self, reading: Reading) -> None:
        # The generator refers to the reading, and neither refers back: no cycle keeps a dropped stream alive.
        self.reading = reading
        self._chunks = self.reading.chunks()

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:  # noqa: PYI034  # one layer less for each chunk
        self.reading.handed_out = True
        return self._chunks

    async def __anext__(self) -> ChatCompletionChunk:
        self.reading.handed_out = True
        return await anext(self._chunks)

    def stream(self, client: VeniceClient | None) -> ChatStream:
        """The stream that reads these chunks."""
        return ChatStream(self, client=client)

    async def aclose(self) -> None:
        """Drops the connection, if the stream has not ended."""
        self.reading.left = self.reading.ended = True
        self.reading.reply.close()
        with contextlib.suppress(RuntimeError):  # another task is reading; it sees the connection go
            await self._chunks.aclose()

    def __del__(self) -> None:
        # Once it is handed out, the generator looks after itself: a loop may hold it alone.
        if not self.reading.handed_out and not self.reading.ended:
            self.reading.drop()


class Stream(Generic[T]):
    """Chunks as they arrive: an async iterator, and an async context manager that closes the connection on leaving.

    Args:
        iterator: where the chunks come from.
        client: the client that sent the request.
    """

    def __init__(self, iterator: AsyncIterator[T], *, client: VeniceClient | None = None) -> None:
        self._iterator = iterator
        self._client = client
        self._closed = False

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterates, or goes on from where an earlier loop was left.

        Raises:
            StreamConsumedError: the stream was read to its end, or closed.
        """
        if self._has_ended():
            raise StreamConsumedError("this stream has ended; a stream is read once (collect() gives the whole answer)")
        return aiter(self._iterator)

    async def __anext__(self) -> T:
        if self._has_ended():
            raise StopAsyncIteration
        return await anext(self._iterator)

    @property
    def meta(self) -> ResponseMeta:
        """Status, headers, rate limits, timing of the reply.

        Raises:
            LookupError: the chunks do not come from a reply.
        """
        if not isinstance(self._iterator, ChunkSource):
            raise LookupError("the chunks of this stream do not come from a reply")  # noqa: TRY004  # a look-up that finds nothing
        return self._iterator.reading.meta

    @property
    def attestation(self) -> AttestationReport | None:
        """What the enclave proved before the request was sealed to it; None if the stream is not end-to-end encrypted."""
        session = self._iterator.reading.session if isinstance(self._iterator, ChunkSource) else None
        return None if session is None else session.attestation

    @property
    def signature(self) -> SignatureReport | None:
        """What the enclave's signature came to, at the end of the stream; None unless `verify_signature` asked for it."""
        session = self._iterator.reading.session if isinstance(self._iterator, ChunkSource) else None
        return None if session is None else session.signature

    def _has_ended(self) -> bool:
        return self._closed or (isinstance(self._iterator, ChunkSource) and self._iterator.reading.ended)

    async def close(self) -> None:
        """Drops the connection. May be called often."""
        self._closed = True
        aclose = getattr(self._iterator, "aclose", None)
        if aclose is not None:
            await aclose()

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class ModelStream(Stream[T]):
    """The stream of a `stream_cls` that takes a chunk's fields as keywords: each chunk as such an object."""

    def __init__(self, source: ChunkSource, factory: Callable[..., T], *, client: VeniceClient | None = None) -> None:
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


class ChatStream(Stream[ChatCompletionChunk]):
    """The stream of a chat: chunks, their text alone, or the whole answer.

    It is read once, in any mixture: `collect()` reads what is left and gives the whole.
    """

    def __init__(self, iterator: AsyncIterator[ChatCompletionChunk], *, client: VeniceClient | None = None) -> None:
        if not isinstance(iterator, ChunkSource):
            raise TypeError("a ChatStream reads the chunks of a reply; client.chat.completions.stream() makes one")
        super().__init__(iterator, client=client)
        self._reading = iterator.reading

    def text_deltas(self) -> AsyncIterator[str]:
        """The texts that the chunks add, of all choices in the order of arrival, without empty ones.

        Raises:
            StreamConsumedError: the stream was read to its end, or closed.
        """
        return _texts(aiter(self))

    async def collect(self) -> ChatCompletionResponse:
        """The whole answer, also after part of it, or all, was read.

        Raises:
            StreamInterruptedError: the stream broke off, or was closed, before its end.
            APIError: the server reported an error in the stream.
        """
        if not self._reading.ended:
            self._reading.assembly.unseen = True
            async for _ in self._iterator:
                pass
        if self._reading.error is not None:
            raise self._reading.error
        if not self._reading.complete:
            raise self._reading.interrupted("it was closed before its end")
        return self._reading.partial()

    @property
    def usage(self) -> ChatUsage | None:
        """The usage, once it came: at the end of the stream."""
        return cast("ChatUsage | None", self._reading.assembly.usage)

    @property
    def partial(self) -> ChatCompletionResponse:
        """What has come so far."""
        return self._reading.partial()


async def _texts(chunks: AsyncIterator[ChatCompletionChunk]) -> AsyncGenerator[str, None]:
    async for chunk in chunks:
        for text in chunk_texts(chunk):
            yield text
        text = ""  # a traceback may show what it holds


def chunk_texts(chunk: ChatCompletionChunk) -> list[str]:
    """The texts that a chunk adds, of all its choices, without empty ones."""
    choices: Any = chunk.choices
    texts: list[str] = []
    for choice in choices if isinstance(choices, list) else ():  # pyright: ignore[reportUnknownVariableType]  # odd ones, too
        delta: Any = choice.delta if isinstance(choice, ChatChunkChoice) else None
        content = delta.content if isinstance(delta, ChatDelta) else None
        text = content if isinstance(content, str) else content_text(content)
        if text:
            texts.append(text)
    return texts
