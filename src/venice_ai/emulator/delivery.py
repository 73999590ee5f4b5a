"""How an answer is sent: delays, pieces, and every fault that can happen on the way.

`Delivery` lists every fault by name. The functions here turn what was said into things to do (`Send`, `Pause`, `Reset`), in
this order: events, what is wrong with them, when they are sent, where the bytes break off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from math import inf
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from typing_extensions import TypedDict

from venice_ai._wire.sse import encode

from .answer import Turn
from .completion import CallIndex, Completion, effective_parameters
from .sending import JSON_TYPE, Act, Answer, Pause, Reset, Send, encode_json, merged

DONE = encode(b"[DONE]")
EVENTS_TYPE = "text/event-stream; charset=utf-8"
_PAGE = b"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Checking your browser</body></html>"
_COMMENT_SECONDS = 15.0

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
    call_index: CallIndex
    """The `index` of streamed tool calls: `normal`, `equal` (always 0), or `none` (left out)."""
    bare_fragments: bool
    """Fragments of streamed tool calls leave out id and name where they say none; else both are null there."""
    fenced: bool
    """The text stands in a Markdown fence, as models wrap JSON."""
    roles: Count
    """How many chunks of a choice say the role; 1 unless given."""
    huge_event: Count
    """The text begins with so many letters in one event."""
    usage: Literal["own", "finish", "never"]
    """Where a stream has its usage, if it was asked for: in a chunk of its own, with the finish reason, or nowhere."""
    citations: Literal["first", "last", "never"]
    """Where a stream with a web search has what was found: in its first chunk, in a chunk of its own at the end, or nowhere."""


def body(content: Any, how: Delivery) -> Answer:
    return sent(200, {"content-type": JSON_TYPE}, [encode_json(content)], how)


def stream(completion: Completion, how: Delivery) -> Answer:
    chunks = completion.chunks(how.get("call_index", "normal"), how.get("roles", 1), how.get("bare_fragments", False))
    return events(chain.from_iterable(map(completion.request.leaving, _with_tail(completion, chunks, how))), how)


def events(chunks: Iterable[Any], how: Delivery) -> Answer:
    return sent(200, {"content-type": EVENTS_TYPE}, _event_frames(chunks, how), how, events=True)


def sent(status: int, headers: Mapping[str, str], frames: Iterable[bytes], how: Delivery, *, events: bool = False) -> Answer:
    if how.get("html_instead"):
        headers, frames, events = {"content-type": "text/html; charset=utf-8"}, [_PAGE], False
    size = how.get("piece_bytes")
    if size is not None and not events:
        frames = [part for frame in frames for part in _parts(frame, size)]
    acts: Iterable[Act] = _timed(frames, how, events=events)
    if size is not None and events:
        cut = ([Send(part) for part in _parts(act.data, size)] if isinstance(act, Send) else [act] for act in acts)
        acts = chain.from_iterable(cut)
    if "cut_at" in how:
        acts = _until(acts, how["cut_at"], ())
    if "reset_at" in how:
        acts = _until(acts, how["reset_at"], (Reset(),))
    # What is ready is given as a whole, so that its length can be told beforehand.
    body = acts if events else tuple(acts)
    return Answer(status, merged(headers, how.get("headers", {})), body, how.get("delay", 0.0))


def dressed(turn: Turn, how: Delivery) -> Turn:
    if how.get("fenced"):
        turn = replace(turn, text=f"```json\n{turn.text}\n```", pieces=None)
    if size := how.get("huge_event"):
        turn = replace(turn, text="x" * size + turn.text, pieces=("x" * size, *turn.deltas))
    return turn


def error_event(error: Mapping[str, Any] | str) -> bytes:
    return encode(encode_json({"error": error}))


def _with_tail(completion: Completion, chunks: Iterator[dict[str, Any]], how: Delivery) -> Iterator[dict[str, Any]]:
    """The chunks with usage and citations where they belong."""
    usage = how.get("usage", "own") if completion.request.wants_usage else "never"
    citations = how.get("citations", "first") if completion.request.searches else "never"
    unfinished = len(completion.turns)
    for number, chunk in enumerate(chunks):
        unfinished -= chunk["choices"][0]["finish_reason"] is not None
        with_usage = completion.bill() if usage == "finish" and unfinished == 0 else {}
        found = {"venice_parameters": effective_parameters(completion.request)} if citations == "first" and number == 0 else {}
        yield {**chunk, **with_usage, **found}
    if usage == "own":
        yield completion.tail(**completion.bill())
    if citations == "last":
        yield completion.tail(venice_parameters=effective_parameters(completion.request))


def _event_frames(chunks: Iterable[Any], how: Delivery) -> Iterator[bytes]:
    """Events on the wire, with what is wrong with them."""
    if "comments_only" in how:
        yield from [b": keep-alive\n\n"] * how["comments_only"]
        return
    wrong_at = how.get("malformed_after")
    error = how.get("in_band_error")
    error_at = how.get("error_after", 2) if error is not None else None
    for number, chunk in enumerate(chunks):
        if number == wrong_at:
            yield b'data: {"id": "chatcmpl-broken", "choices": [{"delta"\n\n'
        if number == error_at:
            break
        yield encode(encode_json(chunk))
    if error is not None:
        yield error_event(error)
    if not how.get("no_done"):
        yield DONE


def _timed(frames: Iterable[bytes], how: Delivery, *, events: bool) -> Iterator[Act]:
    between = how.get("chunk_delay", _COMMENT_SECONDS if "comments_only" in how else 0.0)
    stall = how.get("stall_after")
    if first := how.get("first_token_delay"):
        yield Pause(first)
    for number, frame in enumerate(frames):
        if number == stall:
            yield Pause(inf)
            return
        if between and number:
            yield Pause(between)
        yield Send(frame)
    if how.get("open_after_done") and events:
        yield Pause(inf)


def _until(acts: Iterable[Act], left: int, then: Iterable[Act]) -> Iterator[Act]:
    """The acts until so many bytes were sent, then others."""
    for act in acts if left > 0 else ():
        if not isinstance(act, Send):
            yield act
            continue
        yield Send(act.data[:left])
        left -= len(act.data)
        if left <= 0:
            break
    yield from then


def _parts(data: bytes, size: int) -> Iterator[bytes]:
    return (data[start : start + size] for start in range(0, len(data), max(size, 1)))
