"""Writes an answer in Venice's format, and sends it with delays, in pieces, and with every fault that can happen on the way.

Shapes: Venice's API reference, chat completions (https://docs.venice.ai/api-reference/endpoint/chat/completions).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import chain
from math import inf
from sys import maxsize
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from typing_extensions import TypedDict

from venice_ai._core.settings import merged
from venice_ai._wire.sse import encode
from venice_ai.costs import rate

from . import repeatable
from .answer import CITATIONS, Call, IncomingChat, Turn, token_pieces
from .sending import JSON_TYPE, Act, HTTPReply, encode_json

DONE = encode(b"[DONE]")
EVENTS_TYPE = "text/event-stream; charset=utf-8"
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=31_536_000)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Delivery(TypedDict, total=False):
    """How an answer is sent, and its faults. Nothing given: as Venice sends it."""

    headers: dict[str, str]
    """Further headers, or others in place of the usual ones."""
    delay: Seconds
    """Seconds until the status and headers are sent."""
    first_token_delay: Seconds
    """Seconds between the headers and the first byte of the body."""
    chunk_delay: Seconds
    """Seconds between two events (or pieces) of the body."""
    stall_after: Count
    """After so many events nothing more comes, and the connection stays open."""
    comments_only: Count
    """Instead of events, so many SSE comments, `chunk_delay` (or 15 s) apart; then the stream ends."""
    cut_at: Count
    """The body ends after so many bytes as if it were complete."""
    reset_at: Count
    """The connection breaks off after so many bytes of the body."""
    piece_bytes: Annotated[int, msgspec.Meta(ge=1)]
    """Every packet holds at most so many bytes; 1 sends byte by byte."""
    no_done: bool
    """The stream ends without `[DONE]`."""
    open_after_done: bool
    """The connection stays open after `[DONE]`."""
    malformed_after: Count
    """After so many events comes one whose JSON is broken."""
    in_band_error: dict[str, Any] | str
    """An event with this as `error` ends the stream."""
    error_after: Count
    """After how many events the `in_band_error` comes; 2 unless given."""
    json_instead: bool
    """A stream that was asked for comes as one JSON body."""
    html_instead: bool
    """The body is an HTML page."""
    call_index: Literal["normal", "equal", "none"]
    """The `index` of streamed tool calls: `normal`, `equal` (always 0), or `none` (left out)."""
    bare_fragments: bool
    """Fragments of streamed tool calls leave out id and name where they say none; else both are null there."""
    fenced: bool
    """The text stands in a Markdown fence, as models wrap JSON."""
    roles: Count
    """How many chunks of a choice say the role; 1 unless given."""
    huge_event: Count
    """The text begins with so many characters in one event."""
    usage: Literal["own", "finish", "never"]
    """Where a stream has its usage, if it was asked for: in a chunk of its own, with the finish reason, or nowhere."""
    citations: Literal["first", "last", "never"]
    """Where a stream with a web search has what was found: in its first chunk, in a chunk of its own at the end, or nowhere."""


@dataclass(frozen=True, slots=True)
class Completion:
    """The turns that answer a request, with the id and the time of the answer."""

    request: IncomingChat
    turns: Sequence[Turn]
    id: str
    created: int

    def body(self) -> dict[str, Any]:
        choices = [self._choice(index, turn) for index, turn in enumerate(self.turns)]
        parameters = effective_parameters(self.request)
        return self.tail(object="chat.completion", choices=choices, **self.bill(), venice_parameters=parameters)

    def chunks(self, how: Delivery) -> Iterator[dict[str, Any]]:
        call_index, bare = how.get("call_index", "normal"), how.get("bare_fragments", False)
        for place, turn in enumerate(self.turns):
            for _ in range(how.get("roles", 1)):
                yield self._chunk(place, {"role": "assistant", "content": "", "reasoning_content": None, "tool_calls": None})
            for piece in token_pieces(self._reasoning(turn) or ""):
                yield self._chunk(place, {"content": "", "reasoning_content": piece})
            for piece in turn.deltas:
                yield self._chunk(place, {"content": piece}, logprobs=self._logprobs([piece]))
            for number, call in enumerate(turn.calls):
                index = {"normal": number, "equal": 0, "none": None}[call_index]
                for fragment in _fragments(call, index, bare=bare):
                    yield self._chunk(place, {"content": "", "tool_calls": [fragment]})
            yield self._chunk(place, {"content": ""}, finish=turn.finish_reason)

    def tail(self, **members: Any) -> dict[str, Any]:
        head = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": self.request.model.id}
        return {**head, "choices": [], **members}

    def bill(self, prompt: int = 0, completion: int = 0, reasoning: int = 0) -> dict[str, Any]:
        """The usage of the turns, and of tokens that a backend counted, with its cost; `prompt` is estimated if it is 0."""
        prompt = prompt or self.request.prompt_tokens
        completion += sum(turn.visible_tokens + turn.reasoning_tokens for turn in self.turns)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": reasoning + sum(turn.reasoning_tokens for turn in self.turns)},
        }
        pricing = self.request.model.model_spec.pricing
        into, out = (rate(pricing, prompt, side) or Decimal(0) for side in ("input", "output"))
        return {"usage": usage, "cost": {"usd": float((prompt * into + completion * out) / 1_000_000), "diem": 0.0}}

    def _choice(self, index: int, turn: Turn) -> dict[str, Any]:
        parts = {"content": turn.text, "reasoning_content": self._reasoning(turn), "tool_calls": [*turn.calls] or None}
        message = {"role": "assistant", **parts}
        logprobs = self._logprobs(turn.deltas)
        if logprobs and logprobs["content"]:
            # The published schema has the members of one token here, the wire a list of all: this is both.
            logprobs = {**logprobs["content"][0], **logprobs}
        return {"index": index, "message": message, "finish_reason": turn.finish_reason, "logprobs": logprobs or None}

    def _chunk(self, place: int, delta: dict[str, Any], *, finish: str | None = None, logprobs: Any = None) -> dict[str, Any]:
        return self.tail(choices=[{"index": place, "delta": delta, "finish_reason": finish, "logprobs": logprobs}])

    def _reasoning(self, turn: Turn) -> str | None:
        return None if self.request.switches["strip_thinking_response"] else turn.reasoning

    def _logprobs(self, pieces: Sequence[str]) -> dict[str, Any] | None:
        if not self.request.body.get("logprobs"):
            return None
        top = min(self.request.body.get("top_logprobs", 0), 20)
        return {"content": [_logprob(piece, top) for piece in pieces]}


def _fragments(call: Call, index: int | None, *, bare: bool) -> Iterator[dict[str, Any]]:
    """A call in pieces: its id and name, then its arguments. Without an index it comes whole: nothing else could join it."""
    if index is None:
        yield call
        return
    arguments: str = call["function"]["arguments"]
    yield {"index": index, **call, "function": {**call["function"], "arguments": ""}}
    middle = len(arguments) // 2
    for part in filter(None, (arguments[:middle], arguments[middle:])):
        function = {"arguments": part} if bare else {"name": None, "arguments": part}
        yield {"index": index, **({} if bare else {"id": None}), "type": "function", "function": function}


def _logprob(piece: str, top: int) -> dict[str, Any]:
    likely = -(repeatable.number(piece) % 100) / 100
    texts = [piece, *(f"{piece}{letter}" for letter in "abcdefghijklmnopqrst")]
    tokens = [
        {"token": text, "logprob": round(likely - rank, 2), "bytes": list(text.encode("utf-8", "replace"))}
        for rank, text in enumerate(texts)
    ]
    return {**tokens[0], "top_logprobs": tokens[:top]}


def effective_parameters(request: IncomingChat) -> dict[str, Any]:
    """Venice's switches in force, and the pages that a web search found."""
    return {**request.switches, "web_search_citations": CITATIONS if request.searches else []}


def body(content: Any, how: Delivery) -> HTTPReply:
    return sent(200, {"content-type": JSON_TYPE}, [encode_json(content)], how)


def chat(completion: Completion, turns: Iterable[Turn], how: Delivery) -> HTTPReply:
    completion = replace(completion, turns=[_dressed(turn, how) for turn in turns])
    if not completion.request.streams or how.get("json_instead"):
        return body(completion.body(), how)
    return events(chain.from_iterable(map(completion.request.leaving, _with_tail(completion, how))), how)


def events(chunks: Iterable[Any], how: Delivery) -> HTTPReply:
    return sent(200, {"content-type": EVENTS_TYPE}, _event_frames(chunks, how), how, events=True)


def sent(status: int, headers: Mapping[str, str], frames: Iterable[bytes], how: Delivery, *, events: bool = False) -> HTTPReply:
    if how.get("html_instead"):
        headers, frames, events = {"content-type": "text/html; charset=utf-8"}, [_PAGE], False
    size = how.get("piece_bytes", maxsize)
    packets = ([frame[start : start + size] for start in range(0, len(frame), size)] for frame in frames)
    if not events:  # a pause lies between two packets, and in a stream between two events
        packets = ([packet] for frame in packets for packet in frame)
    acts: Iterable[Act] = _timed(packets, how, events=events)
    if "cut_at" in how:
        acts = _until(acts, how["cut_at"], ())
    if "reset_at" in how:
        acts = _until(acts, how["reset_at"], ("reset",))
    # What is ready is given as a whole, so that its length can be told beforehand.
    return HTTPReply(status, merged(headers, how.get("headers", {})), acts if events else tuple(acts), how.get("delay", 0.0))


def _dressed(turn: Turn, how: Delivery) -> Turn:
    if how.get("fenced"):
        turn = replace(turn, text=f"```json\n{turn.text}\n```", pieces=None)
    if size := how.get("huge_event"):
        turn = replace(turn, text="x" * size + turn.text, pieces=("x" * size, *turn.deltas))
    return turn


def event(content: Any) -> bytes:
    return encode(encode_json(content))


def _with_tail(completion: Completion, how: Delivery) -> Iterator[dict[str, Any]]:
    usage = how.get("usage", "own") if completion.request.wants_usage else "never"
    citations = how.get("citations", "first") if completion.request.searches else "never"
    unfinished = len(completion.turns)
    for number, chunk in enumerate(completion.chunks(how)):
        unfinished -= chunk["choices"][0]["finish_reason"] is not None
        with_usage = completion.bill() if usage == "finish" and unfinished == 0 else {}
        found = {"venice_parameters": effective_parameters(completion.request)} if citations == "first" and number == 0 else {}
        yield {**chunk, **with_usage, **found}
    if usage == "own":
        yield completion.tail(**completion.bill())
    if citations == "last":
        yield completion.tail(venice_parameters=effective_parameters(completion.request))


def _event_frames(chunks: Iterable[Any], how: Delivery) -> Iterator[bytes]:
    if "comments_only" in how:
        yield from [b": keep-alive\n\n"] * how["comments_only"]
        return
    error = how.get("in_band_error")
    for number, chunk in enumerate(chunks):
        if number == how.get("malformed_after"):
            yield b'data: {"id": "chatcmpl-broken", "choices": [{"delta"\n\n'
        if error is not None and number == how.get("error_after", 2):
            break
        yield event(chunk)
    if error is not None:
        yield event({"error": error})
    if not how.get("no_done"):
        yield DONE


def _timed(frames: Iterable[Iterable[bytes]], how: Delivery, *, events: bool) -> Iterator[Act]:
    between = how.get("chunk_delay", 15.0 if "comments_only" in how else 0.0)
    if first := how.get("first_token_delay"):
        yield first
    for number, packets in enumerate(frames):
        if number == how.get("stall_after"):
            yield inf
            return
        if between and number:
            yield between
        yield from packets
    if how.get("open_after_done") and events:
        yield inf


def _until(acts: Iterable[Act], left: int, then: Iterable[Act]) -> Iterator[Act]:
    """The acts until so many bytes were sent, then others."""
    for act in acts if left > 0 else ():
        yield act[:left] if isinstance(act, bytes) else act
        left -= len(act) if isinstance(act, bytes) else 0
        if left <= 0:
            break
    yield from then
