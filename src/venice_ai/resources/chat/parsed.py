"""Answers as objects: asking again until one fits, and a stream that shows an object while it is written."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Generic, Self, TypeVar, cast

from ... import exceptions
from ..._core.concurrency import without_locals
from ..._core.privacy import encryption_requested_in
from ..._structured.growing_object import Growing
from ..._structured.read_output import read
from ..._structured.strict_schema import requested_format
from ..._wire.request_body import checked_messages
from ...exceptions import APIError, OutputError, OutputInvalidError, OutputMissingError, StreamConsumedError, TeeError
from ...streaming import ChatStream, Closing
from ...types._surrogates import sendable
from ...types.api.chat import ChatCompletionResponse, Messages, ParsedChatCompletion, Partial, content_text, summed_usage
from ...types.api.streaming import ChatChunkChoice, ChatCompletionChunk, ChatDelta

T = TypeVar("T")
StreamT = TypeVar("StreamT")

_MOST_ERRORS = 10
_LONGEST_ERROR = 200


class Conversation(list[Any]):
    """The messages of a call. What shows the local variables of a traceback does not show them."""

    def __repr__(self) -> str:
        return f"<{len(self)} messages>"


class Parameters(dict[str, Any]):
    """The keywords of a call, of which the same is true."""

    def __repr__(self) -> str:
        return f"<{len(self)} parameters>"


async def request_for(
    kind: Any, messages: Messages, params: Parameters, *, name: str | None, strict: bool, echoes: Callable[[Parameters], bool]
) -> tuple[Conversation, dict[str, Any] | None, bool]:
    """How an object is asked for, and whether within `{"value": ...}`; encrypted, by a message: a schema travels in clear."""
    # It is awaited, so that the caller can let go of the messages before anything is refused.
    try:
        schema, wrapped = requested_format(kind, name=name, strict=strict)
        encrypted = encryption_requested_in(params)
        checked = checked_messages(messages, echo=echoes(params))
    except Exception as refusal:
        del messages, params  # as in `create`
        without_locals(refusal)
        raise
    if not encrypted:
        return Conversation(checked), schema, wrapped
    schema_text = json.dumps(schema["json_schema"]["schema"], ensure_ascii=False)
    words = f"Answer with JSON that fits this JSON schema, and with nothing else:\n{schema_text}"
    return Conversation([{"role": "system", "content": words}, *checked]), None, wrapped


async def ask_until_valid(
    kind: type[T], messages: Conversation, ask: Callable[[Conversation], Awaitable[object]], *, wrapped: bool, max_reasks: int
) -> ParsedChatCompletion[T]:
    """The object that a model answers with; asked for again, with what is wrong, up to `max_reasks` times if none fits."""
    if isinstance(max_reasks, bool) or not isinstance(max_reasks, int) or max_reasks < 0:
        raise exceptions.InvalidArgumentError(f"max_reasks={max_reasks!r} must be a whole number from 0")
    conversation, attempts = messages, list[ChatCompletionResponse]()
    while True:
        try:
            response = await ask(Conversation(conversation))  # an overridden `create` may change the list that it is given
        except (APIError, TeeError) as error:
            if attempts:
                error.attempts = tuple(attempts)  # they were paid for
                if isinstance(error, APIError) and error.partial is None:
                    error.partial = attempts[-1]
            raise
        if not isinstance(response, ChatCompletionResponse):
            raise TypeError(f"create gave {type(response).__name__}, not a ChatCompletionResponse; there is nothing to parse")
        attempts.append(response)
        try:
            return replace(read(kind, response, wrapped=wrapped), attempts=tuple(attempts))
        except OutputError as error:
            error.attempts, error.total_usage = tuple(attempts), summed_usage(attempts)
            if not isinstance(error, (OutputInvalidError, OutputMissingError)) or len(attempts) > max_reasks:
                raise
            conversation = Conversation([*messages, *correction(error)])


def correction(error: OutputInvalidError | OutputMissingError) -> list[dict[str, Any]]:
    """The messages that ask for a better answer: the last one, and what is wrong with it, in short."""
    if isinstance(error, OutputMissingError):
        text = "There was no answer: it has no text.\nAnswer again with the whole JSON, and nothing else."
        return [{"role": "user", "content": text}]
    lines = [
        f"- {'.'.join(map(str, line['loc'])) or 'the answer'}: {line['msg']}"[:_LONGEST_ERROR]
        for line in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    if len(lines) > _MOST_ERRORS:
        lines[_MOST_ERRORS:] = [f"- and {len(lines) - _MOST_ERRORS} more"]
    what = "That answer does not fit the schema" if error.raw_text else "There was no answer"
    request = "\n".join([f"{what}:", *lines, "Answer again with the whole JSON, corrected, and nothing else."])
    answer = [{"role": "assistant", "content": sendable(error.raw_text)}] if error.raw_text else []
    return [*answer, {"role": "user", "content": request}]


class GrowingAnswer(Generic[T, StreamT]):
    """How far the object of a stream has come, in both clients."""

    def __init__(self, stream: StreamT, kind: type[T], *, wrapped: bool) -> None:
        self._stream = stream
        self._chunks: Any = None
        self._kind = kind
        self._wrapped = wrapped
        self._growing = Growing(kind, wrapped=wrapped)
        self._done = False
        self._result: ParsedChatCompletion[T] | None = None

    def _begin(self) -> None:
        if self._done:
            raise StreamConsumedError("this stream has ended; a stream is read once (collect() gives the validated object)")

    def _grown(self, chunk: ChatCompletionChunk) -> Partial[T] | None:
        choices: Any = chunk.choices
        for choice in choices if isinstance(choices, list) else ():  # pyright: ignore[reportUnknownVariableType]  # odd ones, too
            if isinstance(choice, ChatChunkChoice) and not choice.index and isinstance(choice.delta, ChatDelta):
                text = content_text(choice.delta.content)
                return cast("Partial[T] | None", self._growing.feed(text)) if text else None
        return None

    def _finished(self, response: ChatCompletionResponse) -> ParsedChatCompletion[T]:
        self._done = True
        self._result = read(self._kind, response, wrapped=self._wrapped)
        return self._result

    @property
    def stream(self) -> StreamT:
        """The stream below: `usage`, `meta`, and the raw answer so far as `stream.partial`."""
        return self._stream

    @property
    def partial(self) -> Partial[T] | None:
        """The object as far as it was read; None before it begins. After the end, the validated one."""
        if self._result is not None:
            return cast("Partial[T]", self._result.parsed)
        self._growing.look()
        return cast("Partial[T] | None", self._growing.current)


class ParsedChatStream(GrowingAnswer[T, ChatStream], Closing):
    """An object while a model writes it: an async iterator of unfinished objects, and at last the validated one.

    An unfinished object is an instance of the class (so are the objects in it), **made without validation**: what has not
    come yet is None, also where the type says otherwise; in a TypedDict it is absent. So type checkers take it for a `Partial`.
    Texts show as far as they have come; any other value shows, validated, once the next one begins. Lists hold what has begun.
    Validators of the class, defaults and `model_post_init` play no part. An object comes only when something changed, and up to
    256 characters with every change; later on with every 1/256 that the text grows. Unfinished objects share the parts that are
    whole: do not change them.

    The last object of the iteration is the validated one; an answer that does not fit is an `OutputError` in its place. Only
    the first choice is read.
    """

    def __aiter__(self) -> Self:
        """Iterates, or goes on from where an earlier loop was left; a StreamConsumedError if it has ended, or was closed."""
        self._begin()
        self._chunks = aiter(self._stream)
        return self

    async def __anext__(self) -> Partial[T]:
        if self._done:
            raise StopAsyncIteration
        self._chunks = self._chunks or aiter(self._stream)
        async for chunk in self._chunks:
            if (grown := self._grown(chunk)) is not None:
                return grown
        self._done = True
        return cast("Partial[T]", (await self.collect()).parsed)

    async def collect(self) -> ParsedChatCompletion[T]:
        """The validated object, with the whole answer, also after part of the stream, or all, was read.

        Raises:
            OutputError: the answer does not fit the class, was cut off or refused, or is a tool call; as in `parse`.
            StreamInterruptedError: the stream broke off, or was closed, before its end.
            APIError: the server reported an error in the stream.
        """
        return self._finished(await self._stream.collect()) if self._result is None else self._result

    async def close(self) -> None:
        """Drops the connection. May be called often."""
        await self._stream.close()
