"""How a stream goes wrong: what an event means that is not a usual chunk, and the stream's errors, with what had come."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

from .. import exceptions as errors
from .._core.json_values import without
from ..exceptions._reported import reported, without_errors
from ..types._base import is_object
from ..types.api.streaming import ChatCompletionChunk
from . import json_text, reply_body
from .sse import NamedEvent

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse
    from ..types.response_meta import ResponseMeta
    from .assembly import Assembly, Sealed

_NOTHING = frozenset({b"", b"null"})
_OF_CHUNKS = frozenset({b"", b"message"})  # types of events; events of all others say nothing of the answer
_MEMBERS = ("choices", "usage", "cost", "venice_parameters")  # an object with none of these is not a chunk
_CLOSED = "the connection was closed before the answer was complete"


@dataclass(repr=False)  # a traceback may show it
class StreamErrors:
    """The errors of one streamed reply; where there is a session, none shows the text of an event."""

    assembly: Assembly
    meta: ResponseMeta
    head: bytearray
    secret: bytes
    session: Sealed | None
    ended: bool  # whether the body is at its end

    def partial(self, *, failed: bool = True) -> ChatCompletionResponse:
        """The answer as far as it came; where the stream `failed`, it is part of an error, and its id shows no key."""
        response = self.assembly.response()
        reply_body.attach(response, self.meta, self.secret)
        if failed and self.meta.body_id is not None:
            response.__dict__["id"] = self.meta.body_id
        return response

    def meaning(self, event: bytes, found: Any) -> ChatCompletionChunk | errors.APIError | None:
        """The chunk in an event; or the error that it reports or is; None if it changes nothing of the answer."""
        named = event.type if isinstance(event, NamedEvent) else b""
        if named != b"error" and event.strip() in _NOTHING:  # keeps the connection alive
            return None
        if found is None and self.session is None:  # what a session did not open is never read past it
            with contextlib.suppress(ValueError):
                found = json_text.decode(event)
        if not isinstance(found, dict):
            return self._no_object(event, named, found)
        content = cast("dict[str, Any]", found)
        suspect = reply_body.may_report(event, content)
        if suspect and reported(content) is not None:
            return self._reported(content)
        if named == b"error":
            return self._reported({"error": content})
        if named not in _OF_CHUNKS or (suspect and all(content.get(name) is None for name in _MEMBERS)):
            return None
        return ChatCompletionChunk._adopt(content)  # noqa: SLF001  # the JSON is ours to give away

    def _no_object(self, event: bytes, named: bytes, found: Any) -> errors.APIError | None:
        """The error for an event whose data is not a JSON object; None once the answer is complete, or if it is of no chunk."""
        if named == b"error" and event.strip() and self.session is None:
            return self._reported({"error": event.decode("utf-8", "replace") if found is None else found})
        if self.assembly.finished or named not in {*_OF_CHUNKS, b"error"}:
            return None
        why, shown = "it ended within an event" if self.ended else "an event is not JSON", without(bytes(event), self.secret)
        if self.session is not None:
            return self.interrupted(why)
        detail = "" if self.ended else f": {shown!r:.100}"
        return self.interrupted(why + detail, body=shown.decode("utf-8", "replace"))

    def _reported(self, content: dict[str, Any]) -> errors.APIError:
        """The error that an event reports. What stands beside it is part of the answer, unless it is to be encrypted."""
        assembly = self.assembly
        if content.get("choices"):
            if self.session is not None:
                assembly.begun = True
            else:
                assembly.add(ChatCompletionChunk.model_validate(without(without_errors(content), self.secret)))
        error = reply_body.reported_error(content, self.meta, self.secret, self.partial())
        if assembly.begun:
            error.counts_as = self.meta.status_code  # it is not asked for again
        return error

    def instead_of_stream(self, *, labelled: bool) -> errors.APIError:
        """The error for a whole body, `labelled` a stream or not: the one it reports; else `partial` holds its answer."""
        body = bytes(self.head)
        found = reply_body.completion(body, self.meta, self.secret)
        if isinstance(found, errors.APIError):
            error, unusable = found, isinstance(found, errors.APIResponseProcessingError)
        else:
            error, unusable = reply_body.unusable(body, self.meta, self.secret, "JSON"), True
            error.partial = found
        del body, found  # a traceback may show them
        if self.session is not None:
            if unusable and error.partial is not None:
                self.session.refuse_reply()
            error.partial = None
        return self.interrupted(_CLOSED) if labelled and unusable and error.partial is None else error

    def not_whole(self, missing: list[int], *, done: bool) -> errors.StreamInterruptedError:
        if not done and (not self.assembly.chunks or len(missing) == 1):
            return self.interrupted(_CLOSED)
        how = "[DONE] came" if done else "the connection was closed"
        return self.interrupted(f"{how} before the choices {missing} were there with a finish reason")

    def interrupted(
        self, why: str, cause: errors.APIConnectionError | None = None, *, body: str | None = None
    ) -> errors.StreamInterruptedError:
        """The error for a stream that broke off, with what had come; `body` has what could not be read of it."""
        kind = errors.StreamTimeoutError if isinstance(cause, errors.APITimeoutError) else errors.StreamInterruptedError
        if body is None and self.head and self.session is None:
            body = without(self.head.decode("utf-8", "replace"), self.secret)
        count = self.assembly.chunks
        late: dict[str, str] = {"clock": cause.clock} if isinstance(cause, errors.APITimeoutError) else {}
        return kind(
            f"the stream broke off after {count} chunk{'s' * (count != 1)}: {why.rstrip('.')}. What had come is in `partial`.",
            status_code=self.meta.status_code,
            request_id=without(self.meta.request_id, self.secret),
            body=body,
            meta=self.meta,
            partial=self.partial(),
            **late,
        )


def opened(session: Sealed, event: bytes) -> Any:
    """The JSON of an encrypted event, opened; None for what is not JSON. An error, which comes in clear, stays as it is."""
    found: Any = None
    try:
        found = json_text.decode(event)
        reports = is_object(found) and reply_body.may_report(event, found) and reported(found) is not None
        return found if reports else session.open(found)
    except errors.TeeEncryptionError as error:
        del event, found  # part of it may be in clear, here and in the frames of what raised
        raise error.with_traceback(None) from None
    except ValueError:
        return None


class KeptError:
    """An error that can be raised again. It is not kept alive, for its traceback leads to whoever keeps it."""

    def __init__(self, error: errors.VeniceError) -> None:
        self._first = ref(error)
        self._kind, self._args, self._state = type(error), error.args, dict(vars(error))

    @property
    def error(self) -> errors.VeniceError:
        """The same error; another like it where nobody has it any more."""
        if (error := self._first()) is None:
            error = self._kind.__new__(self._kind, *self._args)
            vars(error).update(self._state)
        return error
