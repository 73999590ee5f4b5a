"""The answer of a plain call whose body is a stream of events, as some servers and proxies send it unasked."""

from __future__ import annotations

from ..._core.request import Request
from ..._core.run_now import drive
from ..._core.secrets import without
from ..._core.whole_reply import WholeReply
from ...exceptions import APIError, StreamInterruptedError
from ...streaming import ChatStream, ChunkReader, ChunkSource
from ...types.api.chat import ChatCompletionResponse
from ...types.response_meta import ResponseMeta


def answer_in_stream(body: bytes, meta: ResponseMeta, request: Request) -> ChatCompletionResponse | APIError | None:
    """The answer in a body; or the error that it is or holds; None if nothing of an answer is in it."""
    reader = ChunkReader(WholeReply(meta.status_code, meta.headers, body), meta, request)
    try:
        answer = drive(ChatStream(ChunkSource(reader)).collect())
    except APIError as failure:
        error = failure
    else:
        meta.time_to_first_chunk = None
        return answer
    if isinstance(error, StreamInterruptedError) and not (error.partial and error.partial.choices):
        return None
    if error.body is None:
        error.body = without(body.decode("utf-8", "replace"), request.secret)
    return error.with_traceback(None)
