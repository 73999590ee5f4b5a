"""Files and addresses as parts of a message. Size and kind of a file are checked before it is read as a whole."""

from __future__ import annotations

import base64
import mimetypes
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

MOST_BYTES: Final = 25 * 2**20
_HEAD_BYTES: Final = 4096
_IMAGES: Final = {"png": rb"\x89PNG\r\n\x1a\n", "jpeg": rb"\xff\xd8\xff", "gif": rb"GIF8[79]a", "webp": rb"RIFF....WEBP"}
_AUDIO: Final = {"wav": rb"RIFF....WAVE", "mp3": rb"ID3|\xff[\xf2\xf3\xfa\xfb]", "flac": b"fLaC", "ogg": b"OggS"}
_MORE_AUDIO: Final = {"m4a": rb"....ftypM4A", "aiff": rb"FORM....AIF[FC]"}
_BEGINNINGS: Final = {
    "application/pdf": b"%PDF-",
    **{f"image/{name}": beginning for name, beginning in _IMAGES.items()},
    **{f"audio/{name}": beginning for name, beginning in (_AUDIO | _MORE_AUDIO).items()},
}
"""How files of a type begin."""
_NEEDS: Final = {"image_url": "require_vision", "input_audio": "require_audio_input", "video_url": "require_video_input"}


def part_of(given: str) -> dict[str, Any]:
    """The part of a message for a file or a public address; a UsageError if it cannot be one."""
    if re.match("https?://", given):
        kind = mimetypes.guess_type(urlsplit(given).path)[0] or "image/?"  # most addresses without an ending are of images
        if kind.startswith("audio/"):
            raise click.UsageError(f"{given}: audio is sent as a file, not as an address; download it first")
        return _part(kind, given, given.rpartition("/")[2] or given)
    path = Path(given).expanduser()
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for
            raise click.UsageError(f"{given} is not a file")
        with path.open("rb") as file:
            if (size := path.stat().st_size) > MOST_BYTES or not size:
                raise click.UsageError(f"{given} has {size:,} bytes; an attachment has between 1 and {MOST_BYTES:,}")
            if not (kind := _kind(head := file.read(_HEAD_BYTES))):
                raise click.UsageError(f"{given} is neither an image, a PDF, audio nor UTF-8 text")
            content = head + file.read(MOST_BYTES)
        if kind.startswith("text/"):
            return {"type": "text", "text": f"\n\n{path.name}:\n\n{content.decode('utf-8-sig')}"}
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{given} cannot be attached: {error}") from None
    encoded = base64.b64encode(content).decode()
    if kind.startswith("audio/"):
        return {"type": "input_audio", "input_audio": {"data": encoded, "format": kind.removeprefix("audio/")}}
    return _part(kind, f"data:{kind};base64,{encoded}", path.name)


def with_parts(text: str, parts: Sequence[dict[str, Any]]) -> str | list[dict[str, Any]]:
    """The content of a message with attachments; the text alone without any."""
    return [*([{"type": "text", "text": text}] if text else []), *parts] if parts else text


def needs_of(parts: Iterable[dict[str, Any]]) -> dict[str, bool]:
    """What a model must be able to do, in the arguments of `resolve_chat`."""
    kinds = [part["type"] for part in parts]
    needs = {_NEEDS[kind]: True for kind in kinds if kind in _NEEDS}
    return needs | ({"require_multiple_images": True} if kinds.count("image_url") > 1 else {})


def _part(kind: str, url: str, name: str) -> dict[str, Any]:
    form = f"{kind.partition('/')[0]}_url"
    return (
        {"type": form, form: {"url": url}} if form in _NEEDS else {"type": "file", "file": {"file_data": url, "filename": name}}
    )


def _kind(head: bytes) -> str:
    """The type of a file that begins so; empty if it cannot be attached."""
    found = (kind for kind, beginning in _BEGINNINGS.items() if re.match(beginning, head, re.DOTALL))
    # A character may be cut at the end of the head.
    is_text = b"\0" not in head and "\ufffd" not in head[:-3].decode("utf-8", "replace").rstrip("\ufffd")
    return next(found, "text/plain" if is_text else "")
