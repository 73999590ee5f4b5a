"""A file as a part of a message; and `tool_from_function` and `tool_from_model`, whose home is `tools`."""

from __future__ import annotations

import base64
import io
import mimetypes
import os
import re
from os import PathLike
from pathlib import Path
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from .exceptions import InvalidArgumentError
from .tools import tool_from_function, tool_from_model
from .types.api.chat import AudioContent, FileContent, ImageContent, TextContent, VideoContent

__all__ = ["attachment", "tool_from_function", "tool_from_model"]

Attachment: TypeAlias = TextContent | ImageContent | AudioContent | VideoContent | FileContent
MOST_BYTES: Final = 25 * 2**20
_HEAD_BYTES: Final = 4096
_IMAGES: Final = {"png": rb"\x89PNG\r\n\x1a\n", "jpeg": rb"\xff\xd8\xff", "gif": rb"GIF8[79]a", "webp": rb"RIFF....WEBP"}
_AUDIO: Final = {"wav": b"RIFF....WAVE", "mp3": rb"ID3|\xff[\xf2\xf3\xfa\xfb]", "flac": b"fLaC", "ogg": b"OggS"}
_FORMATS: Final = {"image": _IMAGES, "audio": _AUDIO | {"m4a": b"....ftypM4A", "aiff": b"FORM....AIF[FC]"}}
_BEGINNINGS = {f"{kind}/{name}": begins for kind, formats in _FORMATS.items() for name, begins in formats.items()}
_BEGINNINGS["application/pdf"] = b"%PDF-"
_ENDS: Final = {"image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9"}


def attachment(source: str | PathLike[str] | bytes, *, name: str | None = None) -> Attachment:
    """Makes a part of a user's message of a file, of bytes or of an address.

    `UserMessage(content=[TextContent(text="Where is this?"), attachment("photo.jpg")])`. What a file is, its first bytes say:
    an image (PNG, JPEG, GIF, WebP), audio (WAV, MP3, FLAC, Ogg, M4A, AIFF), a PDF, or UTF-8 text. A file is read in this
    thread; `await asyncio.to_thread(attachment, path)` lets other tasks go on.

    Args:
        source: the path of a file, or its bytes, of 1 byte to 25 MiB. A text with `http://` or `https://` in front is a public
            address, which Venice loads: of an image, unless it ends as those of videos and documents do.
        name: the name of a text or a document for the model; by default the last part of the path or address.

    Raises:
        InvalidArgumentError: the file is not there, empty, too large, cut off or of another kind; or the address is of audio or
            has another scheme (a ValueError).
    """
    if isinstance(source, str) and "://" in source:
        kind = mimetypes.guess_type(urlsplit(source).path)[0] or "image/?"  # most addresses without an ending are of images
        if kind.startswith("audio/") or urlsplit(source).scheme not in {"https", "http"}:
            raise InvalidArgumentError(f"{source} cannot be passed on: only http and https can, and no audio; download it")
        url, called = source, name or source.rpartition("/")[2] or source
    else:
        given = (name or "attachment") if isinstance(source, bytes) else os.fspath(source)
        try:
            kind, content = _read(source, given)
            if kind.startswith("text/"):
                return TextContent(text=f"\n\n{name or Path(given).name}:\n\n{content.decode('utf-8-sig')}")
        except InvalidArgumentError:
            raise
        except (OSError, ValueError) as error:
            raise InvalidArgumentError(f"{given} cannot be attached: {error}") from None
        encoded = base64.b64encode(content).decode()
        if kind.startswith("audio/"):
            return AudioContent(input_audio={"data": encoded, "format": kind.removeprefix("audio/")})
        url, called = f"data:{kind};base64,{encoded}", name or Path(given).name
    if kind.startswith("image/"):
        return ImageContent(image_url={"url": url})
    if kind.startswith("video/"):
        return VideoContent(video_url={"url": url})
    return FileContent(file={"file_data": url, "filename": called})


def _read(source: str | PathLike[str] | bytes, given: str) -> tuple[str, bytes]:
    """The kind and the bytes of a file, as far as it may be one."""
    path = Path(os.path.expanduser(given))  # noqa: PTH111  # that of a path raises where there is no such user
    if not isinstance(source, bytes) and path.exists() and not path.is_file():  # a pipe would be waited for
        raise InvalidArgumentError(f"{given} is not a file")
    with io.BytesIO(source) if isinstance(source, bytes) else path.open("rb") as file:
        size, _ = file.seek(0, os.SEEK_END), file.seek(0)
        if not 0 < size <= MOST_BYTES:
            raise InvalidArgumentError(f"{given} has {size:,} bytes; an attachment has between 1 and {MOST_BYTES:,}")
        head = file.read(_HEAD_BYTES)
        # A character may be cut at the end of the head.
        is_text = b"\0" not in head and "\ufffd" not in head[:-3].decode("utf-8", "replace").rstrip("\ufffd")
        found = (kind for kind, beginning in _BEGINNINGS.items() if re.match(beginning, head, re.DOTALL))
        if not (kind := next(found, "text/plain" if is_text else "")):
            raise InvalidArgumentError(f"{given} is neither an image, a PDF, audio nor UTF-8 text")
        content = head + file.read(MOST_BYTES)
    if _ENDS.get(kind, b"") not in content:
        raise InvalidArgumentError(f"{given} is cut off: the end of an {kind} is missing")
    return kind, content
