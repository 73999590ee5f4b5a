"""`stream_cls`: the caller's own class for a stream or for its chunks; with either, a cut stream is an error."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from venice_ai import (
    APIConnectionError,
    APIError,
    ChatCompletionChunk,
    ChatStream,
    Stream,
    StreamConsumedError,
    StreamInterruptedError,
    VeniceClient,
)

from ..fakes import HANG, HI, USAGE, Piece, chunk, client_of, event, hello, joined, stream

RESET = APIConnectionError("the connection was reset")


async def texts_and_error(texts: AsyncIterable[Any]) -> tuple[list[Any], Exception | None]:
    """What an iterator gives until it ends or raises."""
    given: list[Any] = []
    try:
        async for text in texts:
            given.append(text)  # noqa: PERF401  # what came before an error counts
    except APIError as error:
        return given, error
    return given, None


class Counting(Stream[ChatCompletionChunk]):
    """A stream of the caller's own."""

    count = 0

    def __aiter__(self) -> AsyncIterator[ChatCompletionChunk]:
        return self._counted(super().__aiter__())

    async def _counted(self, chunks: AsyncIterator[ChatCompletionChunk]) -> AsyncIterator[ChatCompletionChunk]:
        async for piece in chunks:
            self.count += 1
            yield piece


class Shouting(ChatStream):
    """A chat stream of the caller's own."""

    async def shout(self) -> str:
        return joined([text.upper() async for text in self.text_deltas()])


class Unrelated:
    """No relative of ours, but it can be called as we call."""

    def __init__(self, iterator: AsyncIterator[ChatCompletionChunk], *, client: VeniceClient) -> None:
        self.iterator = iterator
        self.client = client


class Keywords:
    """The documented factory: a class that takes a chunk's fields as keywords."""

    def __init__(self, **data: Any) -> None:
        self.data = data


class Validated(BaseModel):
    model_config = ConfigDict(extra="ignore")
    id: str
    choices: list[dict[str, Any]]
    usage: dict[str, Any] | None = None


async def streamed_as(stream_cls: Any, *pieces: Piece, **params: Any) -> tuple[Any, VeniceClient]:
    client, _ = client_of(stream(*pieces), max_retries=0)
    read = await client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=stream_cls, **params)
    return read, client


async def test_a_stream_class_is_called_with_the_chunks_and_the_client() -> None:
    read, _ = await streamed_as(Counting, *hello())

    texts = [piece.text async for piece in read]

    assert type(read) is Counting
    assert joined(texts) == "hello"
    assert read.count == 3


async def test_a_chat_stream_class_keeps_its_powers() -> None:
    read, _ = await streamed_as(Shouting, *hello())

    async with read:
        assert await read.shout() == "HELLO"
    assert (await read.collect()).text == "hello"


@pytest.mark.parametrize("stream_cls", [Stream, ChatStream])
async def test_stream_cls_may_be_one_of_our_own_classes(stream_cls: Any) -> None:
    read, _ = await streamed_as(stream_cls, *hello())

    assert type(read) is stream_cls
    assert joined([piece.text async for piece in read]) == "hello"


async def test_any_class_that_takes_chunks_and_client_is_a_stream_cls() -> None:
    read, client = await streamed_as(Unrelated, *hello())

    assert type(read) is Unrelated
    assert read.client is client
    assert joined([piece.text async for piece in read.iterator]) == "hello"


async def test_a_function_that_takes_chunks_and_client_is_a_stream_cls() -> None:
    def pair(iterator: Any, client: Any) -> tuple[Any, Any]:
        return iterator, client

    read, client = await streamed_as(pair, *hello())

    assert read[1] is client
    assert joined([piece.text async for piece in read[0]]) == "hello"


async def test_a_chunk_class_is_made_of_each_chunk_s_fields() -> None:
    read, _ = await streamed_as(Keywords, *hello())

    chunks = [piece async for piece in read]

    assert {type(piece) for piece in chunks} == {Keywords}
    assert chunks[0].data == chunk("hel", role="assistant")
    assert joined(piece.data["choices"][0]["delta"].get("content") for piece in chunks) == "hello"


async def test_a_pydantic_class_is_a_chunk_class() -> None:
    read, _ = await streamed_as(Validated, *hello(usage=True), stream_options={"include_usage": True})

    async with read:
        chunks = [piece async for piece in read]

    assert {type(piece) for piece in chunks} == {Validated}
    assert chunks[-1].usage == USAGE


def takes_no_client(iterator: Any) -> Any:
    return iterator


def wants_more(iterator: Any, extra: Any, *, client: Any) -> Any:
    return iterator, extra, client


def takes_nothing() -> None:
    return None


@pytest.mark.parametrize(
    "stream_cls",
    [
        pytest.param("Stream", id="a text"),
        pytest.param(7, id="a number"),
        pytest.param(object, id="a class that takes nothing"),
        pytest.param(takes_no_client, id="no client"),
        pytest.param(wants_more, id="more than we give"),
        pytest.param(takes_nothing, id="nothing"),
    ],
)
async def test_an_uncallable_stream_cls_is_a_type_error_before_the_network(stream_cls: Any) -> None:
    client, transport = client_of()

    with pytest.raises(TypeError, match="stream_cls"):
        await client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=stream_cls)

    assert transport.requests == []


@pytest.mark.parametrize("stream_cls", [Counting, Shouting, Keywords, Stream])
@pytest.mark.parametrize("pieces", [[event(chunk("hel")), RESET], [event(chunk("hel"))]], ids=["reset", "the end"])
async def test_a_stream_of_the_caller_s_class_cannot_lie_either(stream_cls: Any, pieces: list[Piece]) -> None:
    read, _ = await streamed_as(stream_cls, *pieces)

    given, error = await texts_and_error(read)

    assert len(given) == 1
    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == "hel"


@pytest.mark.parametrize("stream_cls", [Counting, Shouting, Keywords, Stream])
@pytest.mark.parametrize("read_before", [0, 1])
async def test_leaving_a_stream_of_the_caller_s_class_closes_the_connection(stream_cls: Any, read_before: int) -> None:
    reply = stream(event(chunk("hel")), HANG)
    client, _ = client_of(reply)
    create: Any = client.chat.completions.create

    async with await create(model="m", messages=HI, stream=True, stream_cls=stream_cls) as read:
        chunks = aiter(read)
        for _ in range(read_before):
            await anext(chunks)

    assert reply.closed


async def test_a_stream_class_that_fails_leaves_no_connection_open() -> None:
    def broken(iterator: Any, *, client: Any) -> Any:
        raise ZeroDivisionError(iterator, client)

    reply = stream(*hello())
    client, _ = client_of(reply)

    with pytest.raises(ZeroDivisionError):
        await client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=broken)

    assert reply.closed


async def test_a_stream_of_the_caller_s_chunks_is_read_once() -> None:
    read, _ = await streamed_as(Keywords, *hello())
    async for _ in read:
        pass

    with pytest.raises(StreamConsumedError):
        aiter(read)


async def test_the_loop_of_the_document_reads_a_stream_of_the_caller_s_chunks() -> None:
    client, _ = client_of(stream(*hello()))
    count = 0

    async for _ in await client.chat.completions.create(model="m", messages=HI, stream=True, stream_cls=Keywords):
        gc.collect()
        count += 1

    assert count == 3


@pytest.mark.parametrize("stream_cls", [Counting, Shouting, Keywords, Stream, ChatStream])
async def test_every_stream_of_ours_has_the_meta_of_its_reply(stream_cls: Any) -> None:
    read, _ = await streamed_as(stream_cls, *hello())

    async with read:
        assert read.meta.status_code == 200
        assert read.meta.headers["content-type"].startswith("text/event-stream")


class Numbers:
    """An iterator that cannot be closed."""

    number = 0

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        self.number += 1
        return self.number


async def test_a_closed_stream_gives_nothing_more_though_its_iterator_would() -> None:
    numbers = Stream(Numbers())
    assert await anext(numbers) == 1

    await numbers.close()

    assert await anext(numbers, "nothing") == "nothing"
    with pytest.raises(StreamConsumedError):
        aiter(numbers)


async def test_a_stream_whose_chunks_come_from_no_reply_says_nothing_of_one() -> None:
    numbers = Stream(Numbers())

    assert (numbers.attestation, numbers.signature) == (None, None)
    with pytest.raises(LookupError, match="do not come from a reply"):
        _ = numbers.meta
    async with numbers:
        assert [await anext(numbers) for _ in range(3)] == [1, 2, 3]


async def test_a_stream_that_is_not_encrypted_has_neither_attestation_nor_signature() -> None:
    read, _ = await streamed_as(Stream, *hello())

    assert (read.attestation, read.signature) == (None, None)
    await read.close()
