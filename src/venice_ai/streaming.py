"""Streams of a chat, and the one place that decides how a stream ends.

Every stream ends in exactly one way. It is complete: every choice has its finish reason, or `[DONE]` came from a server that
gives none. Or `StreamInterruptedError` is raised, or the error that the server reported, with what was received. Or the caller
left. The rule lives in `ChunkReader`, which every way to read a stream goes through.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from . import exceptions
from ._core.ports import Reply
from ._core.request import Request
from ._wire import json_text, sse
from ._wire.assembly import Assembly
from ._wire.content_coding import EVENT_BYTES
from ._wire.sse import EventParser, EventTooLongError
from ._wire.stream_errors import KeptError, StreamErrors, opened
from .types.api.chat import ChatCompletionResponse, ChatUsage, content_text
from .types.api.streaming import ChatChunkChoice, ChatCompletionChunk, ChatDelta
from .types.response_meta import ResponseMeta

if TYPE_CHECKING:
    from ._http.caller import Call
    from ._http.connection import Connection
    from .tee.session import TeeSession
    from .telemetry import OpenSpan
    from .types.attestation import AttestationReport, SignatureReport

T = TypeVar("T")

_HEAD_BYTES, _START_BYTES = 2**20, 64
_adopt = ChatCompletionChunk._adopt  # noqa: SLF001  # the JSON is ours to give away


class ChunkReader:
    """The state of one reply that is being read: its chunks so far, and whether and how it ended.

    After an error before any content `call` may send its request again, and the next reply is read in place of this one. A
    `session` opens what is end-to-end encrypted; `settle` is called with all bytes of its whole answer. With `every_chunk`
    there are chunks without choices, which carry usage.
    """

    # A process may hold a thousand open streams: each object of theirs has slots.
    __slots__ = (
        *("__weakref__", "_at_end", "_begun", "_call", "_every_chunk", "_failed_with", "_failure", "_first", "_head"),
        *("_parser", "_pieces", "_received", "_request", "_settle", "assembly", "complete", "done", "ended", "event"),
        *("handed_out", "left", "meta", "reply", "session", "span"),
    )

    def __init__(
        self,
        reply: Reply,
        meta: ResponseMeta,
        request: Request,
        *,
        call: Call | None = None,
        every_chunk: bool = False,
        session: TeeSession | None = None,
        settle: Callable[[bytes], Awaitable[None]] | None = None,
    ) -> None:
        self.session = session
        self.span: OpenSpan | None = None  # ends with the stream, once that is the caller's
        self.event: bytes = b""  # the event of the chunk that was handed out last, as received; empty after the end
        self.ended: bool = False
        self.complete: bool = False
        self.done: bool = False
        self.left: bool = False
        self.handed_out: bool = False
        self._failure: KeptError | None = None
        self._failed_with: str | None = None  # the class of what ended it, also of a cancellation
        self._request, self._call = request, call
        self._every_chunk, self._settle, self._received = every_chunk, settle, bytearray()
        self._begin(reply, meta)

    def _begin(self, reply: Reply, meta: ResponseMeta) -> None:
        self.reply = reply
        self.meta = meta
        choices = self._request.chat.choices if self._request.chat else 1
        self.assembly: Assembly = Assembly(choices, self.session)
        self._received.clear()
        self._parser, self._pieces = EventParser(), aiter(reply.pieces())
        self._at_end = self._begun = False  # whether the body has ended, and whether content came
        self._head, self._first = bytearray(), b""  # the bytes before the first event, and those that the parser has not seen

    @property
    def error(self) -> exceptions.VeniceError | None:
        """The error that the stream failed with."""
        return None if self._failure is None else self._failure.error

    @property
    def errors(self) -> StreamErrors:
        """The errors that it may end with, as of now."""
        return StreamErrors(self.assembly, self.meta, self._head, self._request.secret, self.session, self._at_end)

    def whole(self) -> ChatCompletionResponse:
        """The whole answer, at the end."""
        response = self.errors.partial(failed=False)
        if self._call is not None:
            self._call.caller.notices.spent(response)
        return response

    async def chunks(self) -> AsyncGenerator[ChatCompletionChunk, None]:  # noqa: C901, PLR0912, PLR0915  # the hot path, spelled out
        """The chunks, until the one end that the stream has."""
        every_chunk, watch_progress = self._every_chunk, self._request.timeout.progress is not None
        decode = json_text.strict_decode if self.session is None else partial(opened, self.session)
        found: Any = None
        taken: ChatCompletionChunk | exceptions.APIError | None
        event, events, taken = b"", list[bytes](), None
        try:
            while True:  # once for each reply
                failure = await self._start()
                assembly = self.assembly
                repeated, patterns, repeats = assembly.repeated, assembly.patterns, assembly.repeats
                progressed = self.reply.progressed
                while failure is None and not self._at_end:
                    events = await self._next_events()
                    unreported = watch_progress  # the content of all events arrived at once: one report
                    for event in events:
                        if patterns and event.__class__ is bytes and (chunk := repeated(event)) is not None:
                            if unreported:
                                unreported = False
                                progressed()
                            if not assembly.unseen:
                                self.event = event
                                yield chunk
                            continue
                        untyped = event.__class__ is bytes
                        try:
                            found = decode(event)
                        except json_text.NOT_STRICT:
                            found = None
                        if (
                            untyped
                            and found.__class__ is dict
                            and found.get("choices") is not None
                            and event.rfind(b'"error') < 0  # sooner than `find`, and several times sooner than `in`
                        ):
                            taken = _adopt(found)  # what `meaning` comes to for nearly every event that is left
                        else:
                            if event.strip() == b"[DONE]":
                                await self.reply.drain()
                                await self._close(done=True)
                                return
                            taken = self.errors.meaning(event, found)
                            if taken is None:
                                continue
                            if isinstance(taken, exceptions.APIError):
                                if assembly.begun:
                                    self._began()
                                failure = taken
                                break
                        if assembly.add(taken):
                            if not self._begun:
                                self._began()
                            if unreported:
                                unreported = False
                                progressed()
                        if repeats.worthwhile and self._begun:
                            assembly.learn(event)
                        if every_chunk or taken.choices:
                            self.event = event
                            yield taken
                if failure is None:
                    await self._close(done=False)
                    return
                event, found, events, taken = b"", None, [], None
                await self._go_on(failure)
        except exceptions.VeniceError as error:
            self._failure, self._failed_with = KeptError(error), type(error).__name__
            raise
        except GeneratorExit:
            if not self.left:  # nobody closed it: it is being collected as garbage
                self.drop()
            raise
        except BaseException as error:
            self._failed_with = type(error).__name__
            raise
        finally:
            event, found, events, taken, failure = b"", None, [], None, None  # a traceback may show what they hold
            self.event = b""
            self.close()

    def _began(self) -> None:
        """Content came: from now on the request is not sent again."""
        self._begun = True
        if self._call is not None and self._request.chat is not None:
            caller = self._call.caller
            caller.notices.substitution(self._request.chat.model, self.assembly.model, self.meta, caller.clock)

    async def look(self) -> None:
        """Reads the first bytes of a reply whose label says that it is not a stream; raises the error that they are."""
        failure: exceptions.APIError | None = None
        try:
            while (failure := await self._start()) is not None:
                await self._go_on(failure)
        except BaseException:  # nobody gets the stream
            self.close()
            raise
        finally:
            del failure  # its traceback refers to this frame

    def close(self) -> None:
        """Reads no more."""
        self._let_go()
        if self.session is not None:
            self.session.close()

    def _let_go(self) -> None:
        self.ended = True
        self.reply.close()
        if self._call is not None:
            self._call.done(self.assembly, self._failed_with)
        if self.span is not None:
            self.span.end(self.assembly, self._failed_with, self.meta.time_to_first_chunk)

    def leave(self) -> None:
        """Reads no more, for nobody wants to."""
        self.left = True
        self._let_go()
        if self._call is not None:
            self._call.abandoned = True

    async def _go_on(self, failure: exceptions.APIError) -> None:
        """Goes on with the reply to the next attempt; raises the failure if the request is not sent again."""
        try:
            call = None if self._begun else self._call
            if call is None or (isinstance(failure, exceptions.StreamInterruptedError) and not call.falls_back(failure)):
                raise failure
            unseen = self.assembly.unseen
            self.reply.close()
            again = call.again(failure)
            accepted = await (again if self.span is None else self.span.follow(again, opens=True))
        finally:
            del failure  # its traceback refers to this frame
        self._begin(accepted.reply, accepted.meta)
        self.assembly.unseen = unseen
        if self.session is not None:
            self.session.begin_again()
        if self.left:
            raise self.errors.interrupted("it was closed before its end")

    def drop(self) -> None:
        """Closes a stream that nobody can read any more, and says so."""
        self._let_go()
        warnings.warn("a stream was dropped before its end; use `async with`, or close() it", ResourceWarning, stacklevel=3)

    async def _start(self) -> exceptions.APIError | None:
        """The error for a reply that is one JSON value, or a page, by its first bytes, or does not begin; None for a stream."""
        start, labelled = sse.start_of(self._head), sse.says_stream(self.meta)
        try:
            while not start and not self._at_end:
                piece = await self._head_piece()
                start = sse.start_of(self._head if len(self._head) < _START_BYTES else piece)
            if not sse.is_whole(start, labelled=labelled):
                self._first = bytes(self._head)
                return None
            while not self._at_end:
                await self._head_piece()
        except exceptions.StreamTimeoutError as error:
            return error  # another model may be asked
        return self.errors.instead_of_stream(labelled=labelled)

    async def _head_piece(self) -> bytes:
        """The next piece of what may be no stream; empty at the end of the body. What is too long for an event is an error."""
        try:
            piece = await anext(self._pieces)
        except (StopAsyncIteration, exceptions.APIConnectionError) as error:
            self._ended_with(error)
            return b""
        self._head += piece
        if len(self._head) > EVENT_BYTES:
            del self._head[_HEAD_BYTES:]
            raise self.errors.interrupted(f"what came is not a stream, and has no end within {EVENT_BYTES // 2**20} MiB")
        return piece

    def _ended_with(self, error: StopAsyncIteration | exceptions.APIConnectionError) -> None:
        """Notes the end of the body. A connection that broke is an error unless every choice has its finish reason."""
        try:
            if isinstance(error, exceptions.APIConnectionError) and not self.assembly.finished:
                raise self.errors.interrupted(error.message, error) from error
        finally:
            del error  # its traceback may refer to this frame
        self._at_end = True

    async def _next_events(self) -> list[bytes]:
        """The events of the next piece; at the end of the body, what its end completes."""
        try:
            piece = self._first or await anext(self._pieces)
            if self._settle is not None:  # a signature may be about every byte
                self._received += piece
            events = self._parser.feed(piece)
        except EventTooLongError as error:
            raise self.errors.interrupted(str(error)) from None
        except (StopAsyncIteration, exceptions.APIConnectionError) as error:
            self._ended_with(error)
            return self._parser.finish()
        if self.meta.time_to_first_chunk is None:
            if events:
                self.meta.time_to_first_chunk = self._call.elapsed() if self._call else 0.0
                self._head.clear()
            elif not self._first and len(self._head) < _HEAD_BYTES:
                self._head += piece
        self._first = b""
        return events

    async def _close(self, *, done: bool) -> None:
        if missing := self.assembly.missing(done=done):
            raise self.errors.not_whole(missing, done=done)
        self.done = done
        if self.session is not None:
            lacking = self.session.end(done=done)
            if lacking is not None:
                raise self.errors.interrupted(lacking)
        self._began()
        if self._settle is not None:
            try:
                await self._settle(bytes(self._received))
            except exceptions.TeeEncryptionError as error:
                error.partial = self.errors.partial()  # it was paid for
                raise
        self.complete = True


class ChunkSource(AsyncIterator[ChatCompletionChunk]):
    """The chunks of one reply: what a stream, or a `stream_cls` of the caller's, iterates over."""

    made_of: Callable[[ChatCompletionChunk], Any] | None = None  # what makes the objects that come in place of chunks

    def __init__(self, reader: ChunkReader) -> None:
        # The generator refers to the reader, and neither refers back: no cycle keeps a dropped stream alive.
        self.reader = reader
        self._chunks = self.reader.chunks()

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:  # noqa: PYI034  # one layer less for each chunk
        self.reader.handed_out = True
        return self._chunks if self.made_of is None else self._made(self.made_of)

    async def __anext__(self) -> ChatCompletionChunk:
        self.reader.handed_out = True
        chunk = await anext(self._chunks)
        return chunk if self.made_of is None else self.made_of(chunk)

    async def _made(self, made_of: Callable[[ChatCompletionChunk], Any]) -> AsyncGenerator[Any, None]:
        async for chunk in self._chunks:
            yield made_of(chunk)

    def stream(self, client: Connection | None) -> ChatStream:
        """The stream that reads these chunks."""
        return ChatStream(self, client=client)

    async def aclose(self) -> None:
        """Drops the connection, if the stream has not ended."""
        self.reader.leave()
        with contextlib.suppress(RuntimeError):  # another task is reading; it sees the connection go
            await self._chunks.aclose()

    def __del__(self) -> None:
        # Once it is handed out, the generator looks after itself: a loop may hold it alone.
        if not self.reader.handed_out and not self.reader.ended:
            self.reader.drop()


class Closing:
    """Closes a stream where its `async with` block is left."""

    async def close(self) -> None:
        """Drops the connection. May be called often."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """The same, for `contextlib.aclosing`."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class OfReply:
    """The properties of a stream that describe the reply it reads, in both clients."""

    _read_by: ChunkReader | None = None  # what reads the reply; None if the chunks come from elsewhere

    @property
    def meta(self) -> ResponseMeta:
        """Status, headers, rate limits, timing of the reply; a LookupError if the chunks do not come from one."""
        if self._read_by is None:
            raise LookupError("the chunks of this stream do not come from a reply")
        return self._read_by.meta

    @property
    def attestation(self) -> AttestationReport | None:
        """The report on the enclave that the request was encrypted for; None if the stream is not end-to-end encrypted."""
        return self._read_by.session.attestation if self._read_by and self._read_by.session else None

    @property
    def signature(self) -> SignatureReport | None:
        """The check of the enclave's signature, once the stream has ended; None before, and with `verify_signature="off"`."""
        return self._read_by.session.signature if self._read_by and self._read_by.session else None


class Stream(OfReply, Closing, Generic[T]):
    """Chunks as they arrive: an async iterator, and an async context manager that closes the connection on leaving.

    Args:
        iterator: where the chunks come from.
        client: the client that sent the request.
    """

    def __init__(self, iterator: AsyncIterator[T], *, client: Connection | None = None) -> None:
        self._iterator = iterator
        self._read_by = iterator.reader if isinstance(iterator, ChunkSource) else None
        self._client = client
        self._closed = False

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterates, or goes on from where an earlier loop was left; a StreamConsumedError if it has ended, or was closed."""
        if self._has_ended():
            raise exceptions.StreamConsumedError("this stream ended; a stream is read once (collect() gives the whole answer)")
        return aiter(self._iterator)

    async def __anext__(self) -> T:
        if self._has_ended():
            raise StopAsyncIteration
        return await anext(self._iterator)

    def _has_ended(self) -> bool:
        return self._closed or (self._read_by is not None and self._read_by.ended)

    async def close(self) -> None:
        """Drops the connection. May be called often."""
        self._closed = True
        if (aclose := getattr(self._iterator, "aclose", None)) is not None:
            await aclose()


class ChatStream(Stream[ChatCompletionChunk]):
    """The stream of a chat: chunks, their text alone, or the whole answer.

    It is read once, in any mixture: `collect()` reads what is left and gives the whole.
    """

    def __init__(self, iterator: AsyncIterator[ChatCompletionChunk], *, client: Connection | None = None) -> None:
        if not isinstance(iterator, ChunkSource):
            raise TypeError("a ChatStream reads the chunks of a reply; client.chat.completions.stream() makes one")
        super().__init__(iterator, client=client)
        self._reader = iterator.reader

    def text_deltas(self) -> AsyncIterator[str]:
        """The texts that the chunks add, of all choices in order, without empty ones; it raises what iterating does."""
        return _texts(aiter(self))

    async def collect(self) -> ChatCompletionResponse:
        """The whole answer, also after part of it, or all, was read.

        Raises:
            StreamInterruptedError: the stream broke off, or was closed, before its end.
            APIError: the server reported an error in the stream.
        """
        if not self._reader.ended:
            self._reader.assembly.unseen = True
            async for _ in self._iterator:
                del _  # a traceback may show it
        if self._reader.error is not None:
            raise self._reader.error
        if not self._reader.complete:
            raise self._reader.errors.interrupted("it was closed before its end")
        return self._reader.whole()

    @property
    def usage(self) -> ChatUsage | None:
        """The usage, once it has arrived, which is at the end of the stream."""
        return cast("ChatUsage | None", self._reader.assembly.usage)

    @property
    def partial(self) -> ChatCompletionResponse:
        """The response as far as it has arrived."""
        return self._reader.errors.partial(failed=False)


async def _texts(chunks: AsyncIterator[ChatCompletionChunk]) -> AsyncGenerator[str, None]:
    async for chunk in chunks:
        for text in chunk_texts(chunk):
            yield text
        text = ""  # a traceback may show what it holds
        del chunk


def chunk_texts(chunk: ChatCompletionChunk) -> list[str]:
    """The texts that a chunk adds, of all its choices, without empty ones."""
    choices: Any = chunk.choices
    texts: list[str] = []
    for choice in choices if isinstance(choices, list) else ():  # pyright: ignore[reportUnknownVariableType]  # odd ones, too
        delta: Any = choice.__dict__.get("delta") if isinstance(choice, ChatChunkChoice) else None
        content: Any = delta.content if isinstance(delta, ChatDelta) else None
        if text := content if isinstance(content, str) else content and content_text(content):
            texts.append(text)
    return texts
