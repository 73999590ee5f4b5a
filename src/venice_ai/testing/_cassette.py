"""A cassette: recorded exchanges in a JSON file that a person can read and edit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import msgspec

from .._wire.json_text import NOT_STRICT, encode, strict_decode
from ..emulator.transport import EPOCH
from ..exceptions import InvalidArgumentError


class Content(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Some bytes: as `json` where that gives the same bytes again, else as `text`, else as `base64`."""

    json: dict[str, Any] | None = None
    text: str = ""
    base64: bytes = b""

    @classmethod
    def of(cls, data: bytes, **others: Any) -> Self:
        """These bytes."""
        found = cls(**others)
        found.data = data
        return found

    @property
    def data(self) -> bytes:
        """The bytes, which can be replaced."""
        return self.base64 or self.text.encode() if self.json is None else encode(self.json)

    @data.setter
    def data(self, data: bytes) -> None:
        self.json, self.text, self.base64 = None, "", b""
        try:
            self.text = data.decode()
            value = strict_decode(data)
            if isinstance(value, dict) and encode(value) == data:
                self.json, self.text = value, ""
        except UnicodeDecodeError:
            self.base64 = data
        except NOT_STRICT:
            pass


class Chunk(Content):
    """Bytes of a reply that arrived together."""

    gap_ms: float = 0.0
    """Milliseconds since the chunk before, or since the headers."""


class Exchange(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One request, and the reply to it."""

    request: str
    """The method, and the address without the base URL: `GET /models?type=text`."""
    sent_headers: dict[str, str] = {}
    body: Content = msgspec.field(default_factory=Content)
    status: int = 200
    """The status of the reply; 0 if there was no connection or, with `broken`, if it was lost before a reply."""
    headers: dict[str, str] = {}
    """The headers of the reply, without those that frame its body."""
    delay_ms: float = 0.0
    """Milliseconds from the request to the headers of the reply."""
    chunks: list[Chunk] = []
    broken: bool = False
    """Whether the connection breaks off after the last chunk; also true if the reader left before the end."""

    @property
    def content(self) -> bytes:
        """The whole body of the reply."""
        return b"".join(chunk.data for chunk in self.chunks)

    def cut(self, chunk: int, *, at: int = 0) -> None:
        """Breaks the connection off in a chunk, after so many of its bytes."""
        del self.chunks[chunk + 1 :]
        self.chunks[chunk].data = self.chunks[chunk].data[:at]
        self.broken = True

    def slow(self, chunk: int, *, seconds: float) -> None:
        """Lets a chunk come so many seconds later."""
        self.chunks[chunk].gap_ms += seconds * 1_000

    def corrupt(self, chunk: int, *, at: int = 0, data: bytes = b"\xff") -> None:
        """Writes other bytes over those of a chunk, from a position on."""
        old = self.chunks[chunk].data
        self.chunks[chunk].data = old[:at] + data + old[at + len(data) :]


class Cassette(msgspec.Struct, forbid_unknown_fields=True):
    """Recorded exchanges, in the order of their requests."""

    recorded_at: float = EPOCH
    """Unix time at which the recording began."""
    exchanges: list[Exchange] = []

    @staticmethod
    def read(path: str | Path) -> Cassette:
        """The cassette in a file.

        Raises:
            InvalidArgumentError: the file is not one.
            OSError: the file cannot be read.
        """
        try:
            return msgspec.json.decode(Path(path).read_bytes(), type=Cassette)
        except NOT_STRICT as error:
            raise InvalidArgumentError(f"{path} is not a cassette: {error}") from None

    def write(self, path: str | Path) -> None:
        """Writes the cassette into a file as it is; a `Recorder` takes secrets out before."""
        Path(path).write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1) + b"\n")


# -- redaction -----------------------------------------------------------------------------------------------------------

_SECRET_NAME = re.compile(
    r"auth|cookie|secret|token(?!s)|(?<![a-z])key(?![a-z])|apikey|sign-in|signature|session|balance|organization|project|\bray\b|trac"
    r"|forwarded|\bip$|(?<!model-)id$",
    re.IGNORECASE,
)
"""Names of headers, and of parts of a query, that stand for an account, a person or a request."""
_ID = re.compile(rb'"(?:id|\w+_id|\w+Id)"\s*:\s*"(?=[^"]*\d)([A-Za-z]+[-_])?([\w.:-]{6,})"')
"""An id in a JSON body: its kind, if it tells that, and the rest."""


def path_of(url: str) -> str:
    """The address below the version of the API, with its query in order and without secrets: the same wherever it is served."""
    parts = urlsplit(url)
    pairs = sorted(pair.partition("=") for pair in parts.query.split("&") if pair)
    query = "&".join(f"{name}={'***' if _SECRET_NAME.search(name) else value}" for name, _, value in pairs)
    return re.sub(r"^.*?/v\d+\w*(?=/)", "", parts.path) + "?" * bool(query) + query


def redact(cassette: Cassette) -> None:
    """Takes secrets out; what stands for them in bodies is as long as they are, so that chunks keep their length."""
    hidden = _stand_ins(cassette)
    pattern = re.compile(b"|".join(map(re.escape, sorted(hidden, key=len, reverse=True))) or rb"(?!)")

    def clean(data: bytes) -> bytes:
        return pattern.sub(lambda found: hidden[found[0]], data)

    for each in cassette.exchanges:
        for headers in (each.sent_headers, each.headers):
            for name, value in headers.items():
                headers[name] = "***" if _SECRET_NAME.search(name) else clean(value.encode("utf-8", "replace")).decode()
        each.request, each.body.data = clean(each.request.encode()).decode(), clean(each.body.data)
        whole = clean(each.content)
        for chunk in each.chunks:
            chunk.data, whole = whole[: len(chunk.data)], whole[len(chunk.data) :]


def _stand_ins(cassette: Cassette) -> dict[bytes, bytes]:
    """What is to be replaced, and by what. Ids are numbered, so that a conversation that repeats them holds together."""
    hidden: dict[bytes, bytes] = {}
    for each in cassette.exchanges:
        for name, value in [*each.sent_headers.items(), *each.headers.items()]:
            words = re.split(r"[\s;,=]+", value) if _SECRET_NAME.search(name) else []
            # Shorter words, and plain numbers, are other things elsewhere.
            hidden |= {
                word.encode(): b"*" * len(word.encode()) for word in words if re.search(r"[^\d.*]", word) and len(word) >= 8
            }
        for kind, rest in _ID.findall(each.content) if "/models" not in each.request else ():
            hidden.setdefault(kind + rest, kind + (b"%0*d" % (len(rest), len(hidden)))[-len(rest) :])
    return hidden
