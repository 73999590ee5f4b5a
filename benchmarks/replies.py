"""Every answer the loopback server gives, as bytes made beforehand, chosen by the name of the model.

    plain          a small completion
    packets-500    a stream of 500 chunks, one event a write
    blocks-500     the same stream in writes of 16 KB, cut where they fall
    live-500       the same stream, one event a write and a millisecond between them
    event-8        a stream of one event whose text is 8 MB
    hold           a stream that sends one chunk and then stays open
    nulls.blocks-5000, nulls.packets-5000
                   the same streams in another shape of `shapes`
    tiny-400000    a stream whose first event comes in so many pieces
    returns-5000   a stream whose lines end with CR alone
    object-5000    a stream of 5,000 chunks whose text is JSON of 20 kB, in writes of 16 KB

The shapes are those of the service: a role first, then text, a finish reason, usage in a chunk without choices, `[DONE]`.
Clients import nothing of this; the driver uses `text_length` to check what they read.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from benchmarks import shapes
from benchmarks.envelopes import TEXT

BLOCK = 16 * 1024
MEGABYTE = 1024 * 1024

_WORDS = (" the", " quick", " brown", " fox", ' "jumps"', " over", " a", " lazy", " dog", ",", "\n", " naïve", " well", ".")
_ANSWER = "The capital of France is Paris. " * 4
_ID = "chatcmpl-6f1d0c9a8b7e4f32a1c5d9e8b7f60a12"
_MODEL = "example-private-small"

_HEADERS = (
    b"HTTP/1.1 200 OK\r\n"
    b"Date: Mon, 01 Jun 2026 12:00:00 GMT\r\n"
    b"Content-Type: %b\r\n"
    b"Connection: keep-alive\r\n"
    b"CF-RAY: 9489a1b2c3d4e5f6-AMS\r\n"
    b"x-venice-version: 20260530.120000\r\n"
    b"x-venice-model-id: example-private-small\r\n"
    b"x-venice-model-name: Example Private Small\r\n"
    b"x-ratelimit-limit-requests: 1000000\r\n"
    b"x-ratelimit-remaining-requests: 999999\r\n"
    b"x-ratelimit-reset-requests: 4102444800\r\n"
    b"x-ratelimit-limit-tokens: 1000000000\r\n"
    b"x-ratelimit-remaining-tokens: 999999999\r\n"
    b"x-ratelimit-reset-tokens: 60\r\n"
    b"x-ratelimit-type: user\r\n"
)
_STREAM_HEAD = _HEADERS % b"text/event-stream; charset=utf-8" + b"Transfer-Encoding: chunked\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    writes: tuple[bytes, ...]
    seconds_between: float = 0.0


@cache
def reply(model: str) -> Reply | None:
    """What the server sends for this model; None when it has no such model."""
    kind, _, size = model.partition("-")
    shape, dot, manner = kind.partition(".")
    if dot and shape in shapes.TITLES:
        return _shaped(shape, manner, int(size))
    make = _KINDS.get(kind)
    return make(int(size or 0)) if make else None


@cache
def text_length(model: str) -> int:  # noqa: PLR0911  # a line each
    """How many characters of text a client must have read in this model's whole reply."""
    kind, _, size = model.partition("-")
    match kind:
        case "plain":
            return len(_ANSWER)
        case "event":
            return len(_long_text(int(size)))
        case "object":
            return len(_object_text(int(size)))
        case "fastest" | "openssl":
            return len(TEXT) * int(size)
        case "e2ee":
            return len("".join(short_pieces()))
        case "verify" | "hold":
            return 1 if kind == "verify" else len(_word(0))
        case "tiny":
            return int(size)
        case _ if "." in kind:
            return len(shapes.text_of(kind.partition(".")[0], int(size), _word))
        case _:
            return sum(len(_word(number)) for number in range(int(size)))


def _plain(_: int) -> Reply:
    return Reply((json_reply(_completion(_ANSWER)),))


def _packets(chunks: int) -> Reply:
    events = [_http_chunk(event) for event in _events(chunks)]
    return Reply((_STREAM_HEAD, *events, _http_chunk(b"")))


def _blocks(chunks: int) -> Reply:
    return Reply((_STREAM_HEAD, *_cut(b"".join(_events(chunks)), BLOCK), _http_chunk(b"")))


def _shaped(shape: str, manner: str, chunks: int) -> Reply:
    made = {**shapes.USUAL, **shapes.OTHERS, **shapes.LONG}[shape](chunks, _chunk, _word)
    events = [*map(_sse, made), _sse(_finish()), _sse(_usage_chunk(chunks)), _DONE]
    if manner == "packets":
        return Reply((_STREAM_HEAD, *map(_http_chunk, events), _http_chunk(b"")))
    return Reply((_STREAM_HEAD, *_cut(b"".join(events), BLOCK), _http_chunk(b"")))


def _tiny(pieces: int) -> Reply:
    """A first event of so many bytes and those around them, each byte a chunk of the body."""
    long = _sse(_chunk({"content": "x" * pieces}))
    whole = b"".join(_http_chunk(long[start : start + 1]) for start in range(len(long)))
    return Reply((_STREAM_HEAD, whole, _http_chunk(_sse(_finish()) + _DONE), _http_chunk(b"")))


def _returns(chunks: int) -> Reply:
    return Reply((_STREAM_HEAD, *_cut(b"".join(_events(chunks)).replace(b"\n", b"\r"), MEGABYTE), _http_chunk(b"")))


def _live(chunks: int) -> Reply:
    return Reply(_packets(chunks).writes, seconds_between=0.001)


def _event(megabytes: int) -> Reply:
    long = _sse(_chunk({"content": _long_text(megabytes)}))
    return Reply((_STREAM_HEAD, *_cut(long + _sse(_finish()) + _DONE, BLOCK), _http_chunk(b"")))


def _hold(_: int) -> Reply:
    return Reply((_STREAM_HEAD + _http_chunk(next(_events(1))),))


def _object(chunks: int) -> Reply:
    text = _object_text(chunks)
    pieces = (text[start : start + _DELTA] for start in range(0, len(text), _DELTA))
    return Reply((_STREAM_HEAD, *_cut(_sse_stream(pieces), BLOCK), _http_chunk(b"")))


_KINDS: dict[str, Callable[[int], Reply]] = {
    "plain": _plain,
    "packets": _packets,
    "blocks": _blocks,
    "live": _live,
    "event": _event,
    "hold": _hold,
    "object": _object,
    "tiny": _tiny,
    "returns": _returns,
}
_DONE = b"data: [DONE]\n\n"
_DELTA = 4


def stream_of(pieces: Iterable[str]) -> bytes:
    """A whole streamed reply of these texts, as one write."""
    return _STREAM_HEAD + _http_chunk(_sse_stream(pieces)) + _http_chunk(b"")


def json_reply(content: dict[str, Any]) -> bytes:
    """A whole reply of JSON, as one write."""
    body = _json(content)
    return _HEADERS % b"application/json" + b"Content-Length: %d\r\n\r\n" % len(body) + body


def short_pieces() -> list[str]:
    """The chunks of a short answer."""
    return [_word(number) for number in range(50)]


def short_completion() -> dict[str, Any]:
    """The same answer in one piece."""
    return _completion("".join(short_pieces()))


def _sse_stream(pieces: Iterable[str]) -> bytes:
    texts = [_sse(_chunk({"content": piece})) for piece in pieces]
    return b"".join([*texts, _sse(_finish()), _sse(_usage_chunk(len(texts))), _DONE])


@cache
def _object_text(chunks: int) -> str:
    """JSON of a voyage, of so many pieces."""
    stops: list[dict[str, Any]] = []
    while len(text := json.dumps({"captain": "Marco", "stops": stops})) < chunks * _DELTA:
        remarks = "a harbour with good water, and better wine"
        stops.append({"place": f"port {len(stops)}", "days": len(stops), "ships": ["galley", "cog"], "remarks": remarks})
    return text


def _events(chunks: int) -> Iterator[bytes]:
    """`chunks` events with text, and the three that end a stream."""
    for number in range(chunks):
        role = {} if number else {"role": "assistant"}
        yield _sse(_chunk({**role, "content": _word(number), "reasoning_content": None, "tool_calls": None}))
    yield _sse(_finish())
    yield _sse(_usage_chunk(chunks))
    yield _DONE


def _word(number: int) -> str:
    return _WORDS[number % len(_WORDS)]


@cache
def _long_text(megabytes: int) -> str:
    line = "A line of plain words, as long as they come.\n"
    return (line * (megabytes * MEGABYTE // len(line) + 1))[: megabytes * MEGABYTE]


def _usage_chunk(chunks: int) -> dict[str, Any]:
    return {**_chunk({}), "choices": [], "usage": _usage(chunks), "cost": {"usd": 0.0001, "diem": 0}}


def _finish() -> dict[str, Any]:
    return _chunk({"content": ""}, "stop")


def _chunk(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "id": _ID,
        "object": "chat.completion.chunk",
        "created": 1780000000,
        "model": _MODEL,
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": None}],
    }


def _completion(text: str) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": text, "reasoning_content": None, "tool_calls": []}
    return {
        "id": _ID,
        "object": "chat.completion",
        "created": 1780000000,
        "model": _MODEL,
        "choices": [{"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}],
        "usage": _usage(30),
        "cost": {"usd": 0.0001, "diem": 0},
        "venice_parameters": {
            "disable_thinking": False,
            "enable_e2ee": True,
            "enable_web_citations": False,
            "enable_web_scraping": False,
            "enable_web_search": "off",
            "enable_x_search": False,
            "include_search_results_in_stream": False,
            "include_venice_system_prompt": True,
            "return_search_results_as_documents": False,
            "strip_thinking_response": False,
            "web_search_citations": [],
        },
    }


def _usage(tokens: int) -> dict[str, int]:
    return {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}


def _sse(chunk: dict[str, Any]) -> bytes:
    return b"data: " + _json(chunk) + b"\n\n"


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def _http_chunk(body: bytes) -> bytes:
    """`body` as one chunk of chunked transfer encoding; the empty one ends the reply."""
    return b"%x\r\n%b\r\n" % (len(body), body)


def _cut(body: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(body), size):
        yield _http_chunk(body[start : start + size])
