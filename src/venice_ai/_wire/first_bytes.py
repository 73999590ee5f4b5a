"""What a reply is, by its label and its first bytes: JSON, a page, or a stream of events.

The `Content-Type` alone does not tell: servers and proxies label streams as JSON.
"""

from __future__ import annotations

from ..types.response_meta import ResponseMeta

_BOM = b"\xef\xbb\xbf"
_FIELDS = (b"data:", b"event:", b"id:", b"retry:", b":")


def start_of(head: bytes | bytearray) -> bytes:
    """What a body begins with, without blanks; empty while what came does not tell what it is."""
    if head.startswith(_FIELDS):
        return bytes(head[:8])
    start = bytes(head).removeprefix(_BOM).lstrip()[:8]
    undecided = _BOM.startswith(head) or any(len(start) < len(field) and field.startswith(start) for field in _FIELDS)
    return b"" if undecided and not start.startswith(_FIELDS) else start


def is_whole(start: bytes, *, labelled: bool) -> bool:
    """Whether a body that begins so is one value, or a page, and no stream of events; `labelled`: it calls itself a stream."""
    return start[:1] == b"{" if labelled else not start.startswith(_FIELDS)


def is_framed(body: bytes) -> bool:
    return start_of(body).startswith(_FIELDS)


def says_stream(meta: ResponseMeta) -> bool:
    """Whether the label of a reply lets it be a stream of events."""
    label = meta.headers.get("content-type", "").lower()
    return not ("json" in label or "html" in label)
