"""What goes into a question: the words, what is piped, attachments, and the schema of the answer."""

from __future__ import annotations

import base64
import json
import mimetypes
import re
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from ..types._base import is_object

MOST_BYTES: Final = 25 * 2**20
_HEAD_BYTES: Final = 4096
_IMAGES: Final = {"png": rb"\x89PNG\r\n\x1a\n", "jpeg": rb"\xff\xd8\xff", "gif": rb"GIF8[79]a", "webp": rb"RIFF....WEBP"}
_AUDIO: Final = {"wav": b"RIFF....WAVE", "mp3": rb"ID3|\xff[\xf2\xf3\xfa\xfb]", "flac": b"fLaC", "ogg": b"OggS"}
_FORMATS: Final = {"image": _IMAGES, "audio": _AUDIO | {"m4a": b"....ftypM4A", "aiff": b"FORM....AIF[FC]"}}
_BEGINNINGS = {f"{kind}/{name}": begins for kind, formats in _FORMATS.items() for name, begins in formats.items()}
_BEGINNINGS["application/pdf"] = b"%PDF-"
_ENDS: Final = {"image/png": b"IEND\xaeB`\x82", "image/jpeg": b"\xff\xd9"}
_NEEDS: Final = {"image_url": "require_vision", "input_audio": "require_audio_input", "video_url": "require_video_input"}
_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_TYPES |= {f"list[{name}]": list[kind] for name, kind in _TYPES.items()}  # type: ignore[valid-type]
_FIELD = re.compile(rf"\s*([A-Za-z]\w*)\s*:\s*({'|'.join(map(re.escape, _TYPES))})\s*")


def prompt_from(words: Sequence[str]) -> str | None:
    """The prompt: the words, and what is piped, after them or in place of a `-`; `None` if a terminal gives no words."""
    typed = sys.stdin is not None and sys.stdin.isatty()
    if not words and typed:
        return None
    piped = "" if typed and "-" not in words else _read_stdin()
    prompt = join(words if "-" in words else [*words, "-"], piped)
    if not prompt:
        raise click.UsageError("the prompt is empty; give it as arguments or on stdin")
    require_text("the prompt", prompt)
    return prompt


def require_text(what: str, given: str) -> None:
    if re.search("[\ud800-\udfff]", given):
        raise click.UsageError(f"{what} is not UTF-8 text")


def join(words: Sequence[str], stdin: str) -> str:
    """Words as one text, in which each `-` is the text of stdin."""
    grouped = groupby(words, "-".__eq__)
    paragraphs = (stdin.strip() if is_stdin else " ".join(group).strip() for is_stdin, group in grouped)
    return "\n\n".join(filter(None, paragraphs))


def _read_stdin() -> str:
    if sys.stdin is None:  # closed by whoever started the command
        return ""
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"stdin is not UTF-8 text: {error.reason} at byte {error.start}") from None


def part_of(given: str) -> dict[str, Any]:
    """The part of a message for a file or a public address; a UsageError if it cannot be one."""
    if "://" in given:
        kind = mimetypes.guess_type(urlsplit(given).path)[0] or "image/?"  # most addresses without an ending are of images
        if kind.startswith("audio/") or not given.startswith(("https://", "http://")):
            raise click.UsageError(f"{given}: download it; addresses of http and https are passed on, but none of audio")
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
        if _ENDS.get(kind, b"") not in content:
            raise click.UsageError(f"{given} is cut off: the end of an {kind} is missing")
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
    file = {"type": "file", "file": {"file_data": url, "filename": name}}
    return {"type": form, form: {"url": url}} if form in _NEEDS else file


def _kind(head: bytes) -> str:
    """The type of a file that begins so; empty if it cannot be attached."""
    found = (kind for kind, beginning in _BEGINNINGS.items() if re.match(beginning, head, re.DOTALL))
    # A character may be cut at the end of the head.
    is_text = b"\0" not in head and "\ufffd" not in head[:-3].decode("utf-8", "replace").rstrip("\ufffd")
    return next(found, "text/plain" if is_text else "")


def response_format(given: str) -> Any:
    """A class, or the format of a JSON schema; a UsageError if it is neither."""
    fields = {field.strip(): _FIELD.fullmatch(field) for field in given.split(",")}
    named: dict[str, Any] = {found[1]: (_TYPES[found[2]], ...) for found in fields.values() if found}
    path = Path(given)
    try:
        if len(named) == given.count(",") + 1:
            from pydantic import create_model

            return create_model("Answer", **named)
        if not (given.endswith(".json") or (path.exists() and not path.is_dir())):
            module, _, name = given.partition(":")
            if not name.isidentifier():
                unknown = (f"{field!r} is not a field of these types" for field, found in fields.items() if not found)
                raise ValueError(next(unknown, "it names a field twice"))
            sys.path.insert(0, str(Path.cwd()))
            return getattr(import_module(module), name)
        if path.is_fifo() and path.parent.name != "fd":
            raise ValueError("it is a pipe, into which nobody may write")
        from .._structured.strict_schema import strict_schema  # it needs pydantic

        if not is_object(schema := json.loads(path.read_bytes())):
            raise ValueError("it holds no JSON object")
        schema = strict_schema(schema)
    except (ImportError, AttributeError, ValueError, OSError) as error:
        what = f"MODULE:CLASS, a .json file with a schema, nor fields such as 'name: str' ({', '.join(_TYPES)})"
        raise click.UsageError(f"--schema {given!r} is neither {what}: {error}") from None
    name = path.stem if path.suffix else "schema"  # that of a pipe is another one each time
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
