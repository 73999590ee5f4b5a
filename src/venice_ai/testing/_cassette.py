"""A cassette: recorded exchanges in a JSON file that a person can read and edit, without secrets."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from .._wire.json_text import NOT_STRICT, encode, strict_decode
from ..emulator.transport import EPOCH
from ..exceptions import InvalidArgumentError


class Piece(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Bytes that came together: `json` where that gives the same bytes again, else `text`, else `base64`."""

    gap_ms: float = 0.0
    """Milliseconds since the bytes before, or since the headers."""
    json: dict[str, Any] | None = None
    text: str = ""
    base64: bytes = b""

    @staticmethod
    def of(data: bytes, *, gap_ms: float = 0.0) -> Piece:
        """A piece with these bytes."""
        shown: dict[str, Any] = {"base64": data}
        with suppress(*NOT_STRICT):
            shown = {"text": data.decode()}
            if isinstance(value := strict_decode(data), dict) and encode(value) == data:
                shown = {"json": value}
        return Piece(gap_ms, **shown)

    @property
    def data(self) -> bytes:
        """The bytes."""
        return self.base64 or self.text.encode() if self.json is None else encode(self.json)


class Exchange(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A request, named like `GET /models?type=text`, and the reply to it; `delay_ms` passed until the headers came.

    The `status` is 0 if no connection could be made or, with `broken`, if it was lost before a reply. Else `broken` says that
    it breaks off after the last chunk, also because the reader left.
    """

    request: str
    sent_headers: dict[str, str] = {}
    body: Piece = msgspec.field(default_factory=Piece)
    status: int = 200
    headers: dict[str, str] = {}
    delay_ms: float = 0.0
    chunks: list[Piece] = []
    broken: bool = False

    @property
    def content(self) -> bytes:
        """The whole body of the reply."""
        return b"".join(chunk.data for chunk in self.chunks)

    def cut(self, chunk: int, *, at: int = 0) -> None:
        """Breaks the connection off in a chunk, after so many of its bytes."""
        last = self.chunks[chunk]
        self.chunks[chunk:] = [Piece.of(last.data[:at], gap_ms=last.gap_ms)]
        self.broken = True

    def slow(self, chunk: int, *, seconds: float) -> None:
        """Lets a chunk come so many seconds later."""
        self.chunks[chunk].gap_ms += seconds * 1_000

    def corrupt(self, chunk: int, *, at: int = 0, data: bytes = b"\xff") -> None:
        """Writes other bytes over those of a chunk, from a position on."""
        old, gap_ms = self.chunks[chunk].data, self.chunks[chunk].gap_ms
        if not 0 <= at < len(old):
            raise InvalidArgumentError(f"at={at} is not within a chunk of {len(old)} bytes")
        self.chunks[chunk] = Piece.of(old[:at] + data + old[at + len(data) :], gap_ms=gap_ms)


class Cassette(msgspec.Struct, forbid_unknown_fields=True):
    """Exchanges in the order of their requests, and the Unix time at which their recording began."""

    recorded_at: float = EPOCH
    exchanges: list[Exchange] = []

    @staticmethod
    def read(path: str | Path) -> Cassette:
        """The cassette in a file; an InvalidArgumentError if the file holds something else."""
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=Cassette)
        except NOT_STRICT as error:
            raise InvalidArgumentError(f"{path} is not a cassette: {error}") from None

    def write(self, path: str | Path) -> None:
        """Writes the cassette into a file as it is; a `Recorder` takes secrets out before."""
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


# Headers, and parts of a query, that stand for an account, a person or a request.
_SECRET = re.compile(
    r"^(?!x-ratelimit).*(?:auth|cookie|secret|token(?!s)|(?<![a-z])key(?![a-z])|apikey|sign-in|signature|session|balance"
    r"|organization|project|\bray\b|trac|forwarded|report|\bip$|(?<!model-)id$)",
    re.IGNORECASE,
)
# An id in a JSON body: its kind, if it tells that, and the rest.
_ID = re.compile(rb'"(?:id|(?!model)\w+(?:_id|Id))"\s*:\s*"(?=[^"]*\d|[^"]{16})([A-Za-z]+[-_])?([\w.:-]{6,})"')


def path_of(target: str) -> str:
    """A path without what stands before it in base URLs, and its query without secrets: the same wherever it is served."""
    path, *query = re.split("[?&]", re.sub(r"^.*?/v\d+\w*(?=/)", "", target))
    shown = "&".join(re.sub("=.*", "=***", each) if _SECRET.search(each.partition("=")[0]) else each for each in query if each)
    return f"{path}?{shown}".rstrip("?")


def redact(cassette: Cassette) -> None:
    """Takes secrets out; what stands for them in bodies is as long as they are, so that chunks keep their length."""
    hidden = _stand_ins(cassette)
    pattern = re.compile(b"|".join(map(re.escape, sorted(hidden, key=len, reverse=True))) or rb"(?!)")

    def clean(data: bytes) -> bytes:
        return pattern.sub(lambda found: hidden[found[0]], data)

    for each in cassette.exchanges:
        for headers in (each.sent_headers, each.headers):
            for name, value in headers.items():
                headers[name] = "***" if _SECRET.search(name) else clean(value.encode("utf-8", "replace")).decode()
        each.request, each.body = clean(each.request.encode()).decode(), Piece.of(clean(each.body.data))
        whole = clean(each.content)
        for number, chunk in enumerate(each.chunks):
            each.chunks[number], whole = Piece.of(whole[: len(chunk.data)], gap_ms=chunk.gap_ms), whole[len(chunk.data) :]


def _stand_ins(cassette: Cassette) -> dict[bytes, bytes]:
    """The texts to replace, and by what. Ids are numbered, so that a conversation that repeats them holds together."""
    hidden: dict[bytes, bytes] = {}
    for each in cassette.exchanges:
        for name, value in [*each.sent_headers.items(), *each.headers.items()]:
            text = value.partition(";")[0] if name.lower() == "set-cookie" else value if _SECRET.search(name) else ""
            for word in re.findall(r"[^\s;,=]{8,}", text):
                if re.search(r"[^\d.*]", word):  # shorter words, and plain numbers, are other things elsewhere
                    hidden[word.encode()] = b"*" * len(word.encode())
        for kind, rest in _ID.findall(each.content) if "/models" not in each.request else ():
            if kind + rest not in each.body.data:  # else the program knew it before
                hidden.setdefault(kind + rest, kind + (b"%0*d" % (len(rest), len(hidden)))[-len(rest) :])
    return hidden
