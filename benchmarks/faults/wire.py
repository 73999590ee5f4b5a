"""The bytes that the faults are made of: an answer as events, as JSON, and in HTTP's frames."""

from __future__ import annotations

import gzip
import json
from typing import Any

from tests.scripted_server import Step, head, reply, streamed

PIECES = ('{"city": "Ven', 'ézia 🚤", ', '"boats": 12}')
FIRST = PIECES[0]
TEXT = "".join(PIECES)
"""JSON, so that a class can be asked for, too; with characters of two and of four bytes."""
SSE = {"Content-Type": "text/event-stream"}
JSON = {"Content-Type": "application/json"}


def event(data: Any) -> bytes:
    """A value as JSON in an event; text as it is."""
    text = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    return f"data: {text}\n\n".encode()


def chunk(delta: Any = None, finish: str | None = None, **members: Any) -> dict[str, Any]:
    """A chunk with one choice."""
    choice: dict[str, Any] = {"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}
    return {**_common("chat.completion.chunk"), "choices": [choice], **members}


def _common(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": kind, "created": 1_780_000_000, "model": "venice-1"}


def says(text: Any) -> bytes:
    return event(chunk({"content": text}))


USAGE = {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21}
ROLE = event(chunk({"role": "assistant", "content": ""}))
ONE, TWO, THREE = (says(piece) for piece in PIECES)
STOP = event(chunk(finish="stop"))
USED = event({**_common("chat.completion.chunk"), "choices": [], "usage": USAGE})
DONE = event("[DONE]")
CONTENT = ROLE + ONE + TWO + THREE
WHOLE = CONTENT + STOP + USED + DONE


def completion(text: Any = TEXT, finish: str = "stop", **message: Any) -> dict[str, Any]:
    """A whole answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text, **message}, "finish_reason": finish}
    return {**_common("chat.completion"), "choices": [choice], "usage": USAGE}


ANSWER = json.dumps(completion(), ensure_ascii=False).encode()
STREAM = streamed(WHOLE)
PLAIN = reply(ANSWER)


def sized(
    length: object, body: bytes = ANSWER, *lines: str, status: str = "HTTP/1.1 200 OK", kind: str = "application/json"
) -> bytes:
    """A reply whose length may be a lie; with more lines in its head."""
    head = [status, f"Content-Type: {kind}", *([] if length is None else [f"Content-Length: {length}"]), *lines, "", ""]
    return "\r\n".join(head).encode() + body


def until_closed(body: bytes) -> bytes:
    """A stream whose end is that of the connection."""
    return head("200 OK", {**SSE, "Connection": "close"}) + body


def zipped(body: bytes, coding: str = "gzip") -> list[Step]:
    """A stream, zipped already, whose length is told."""
    return reply(body, headers={**SSE, "Content-Encoding": coding})


HALF_ZIPPED = gzip.compress(ROLE + ONE)
"""A whole gzip member with half a stream in it."""


def called(*fragments: Any, finish: str | None = "tool_calls") -> list[Step]:
    """A stream with fragments of tool calls, one a chunk; the finish reason comes alone."""
    chunks = b"".join(event(chunk({"tool_calls": each if isinstance(each, list) else [each]})) for each in fragments)
    return streamed(ROLE + chunks + (event(chunk(finish=finish)) + DONE if finish else b""))


def tool(index: int | None = 0, id: str | None = "call_1", name: str | None = "tide", arguments: Any = "") -> dict[str, Any]:  # noqa: A002
    """A fragment of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    members = {"index": index, "id": id, "type": "function" if id else None, "function": function}
    return {key: value for key, value in members.items() if value is not None}


def refused(status: str, message: str = "no", **headers: str) -> list[Step]:
    """A refusal in JSON."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reply({"error": {"message": message, "code": "CODE"}}, status=status, headers=named)
