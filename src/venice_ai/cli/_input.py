"""Reads a question: the words, what is piped, attachments, and the schema of the answer."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection, Iterable, Sequence
from importlib import import_module
from itertools import groupby
from pathlib import Path
from typing import Any, Final, get_origin

import click

from .._structured.typed_dicts import new_typed_dict
from ..types._base import is_object

STDIN: Final = frozenset({"-", "/dev/stdin", "/dev/fd/0"})
_NEEDS: Final = {"image_url": "require_vision", "input_audio": "require_audio_input", "video_url": "require_video_input"}
_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_TYPES |= {f"list[{name}]": list[kind] for name, kind in _TYPES.items()}  # type: ignore[valid-type]
_FIELD = re.compile(rf"\s*([A-Za-z]\w*)\s*:\s*({'|'.join(map(re.escape, _TYPES))})\s*")


def prompt_from(words: Sequence[str], attached: Sequence[str] = ()) -> str | None:
    """The prompt: the words, and what is piped and not attached, after them or for a `-`; None if a terminal gives no words."""
    typed = sys.stdin is not None and sys.stdin.isatty()
    if not words and typed:
        return None
    if (taken := bool(STDIN & {*attached})) and "-" in words:
        raise click.UsageError("what is piped is attached; it cannot be a part of the prompt as well")
    reads = not taken and ("-" in words or not typed)
    try:  # stdin is None if whoever started the command closed it
        piped = sys.stdin.buffer.read().decode("utf-8-sig") if reads and sys.stdin is not None else ""
    except UnicodeDecodeError as error:
        raise click.UsageError(f"stdin is not UTF-8 text: {error.reason} at byte {error.start}") from None
    grouped = groupby(words if "-" in words else [*words, "-"], "-".__eq__)
    paragraphs = (piped.strip() if stands_for_it else " ".join(group).strip() for stands_for_it, group in grouped)
    if not (prompt := "\n\n".join(filter(None, paragraphs))):
        raise click.UsageError("the prompt is empty; give it as arguments or on stdin")
    require_text("the prompt", prompt)
    return prompt


def require_text(what: str, given: str) -> None:
    if re.search("[\ud800-\udfff]", given):
        raise click.UsageError(f"{what} is not UTF-8 text")


def part_of(given: str, *, sealed: bool = False) -> dict[str, Any]:
    """The part of a message for a file, an address, or what is piped; an error for what cannot be one, or is not encrypted."""
    from .. import helpers  # a question alone does without it

    if (path := Path(given)).parent.name == "fd" and given not in STDIN and path.is_fifo():  # of a shell's <(command)
        with path.open("rb") as pipe:
            part = helpers.attachment(pipe.read(helpers.MOST_BYTES + 1), name="pipe")
    elif given not in STDIN:
        part = helpers.attachment(given)
    elif sys.stdin is None or sys.stdin.isatty():
        raise click.UsageError(f"nothing is piped that {given} could attach")
    else:
        part = helpers.attachment(sys.stdin.buffer.read(helpers.MOST_BYTES + 1), name="stdin")
    if sealed and part.type != "text":
        raise click.UsageError(f"{given} cannot be attached: with end-to-end encryption only text is sent")
    return dict(part.model_dump())


def with_parts(text: str | list[dict[str, Any]], parts: Collection[dict[str, Any]]) -> str | list[dict[str, Any]]:
    return [*([{"type": "text", "text": text}] * bool(text) if isinstance(text, str) else text), *parts] if parts else text


def needs_of(parts: Iterable[dict[str, Any]]) -> dict[str, bool]:
    kinds = [part["type"] for part in parts]
    needs = {_NEEDS[kind]: True for kind in kinds if kind in _NEEDS}
    return needs | ({"require_multiple_images": True} if kinds.count("image_url") > 1 else {})


def response_format(given: str) -> Any:
    """A class, or the format of a JSON schema; a UsageError if it is neither."""
    fields = {field.strip(): _FIELD.fullmatch(field) for field in given.split(",")}
    named = {found[1]: _TYPES[found[2]] for found in fields.values() if found}
    try:
        if len(named) == given.count(",") + 1:
            kind = new_typed_dict("answer", named)
            kind.__pydantic_config__ = {"strict": True, "extra": "forbid"}  # as the schema says that is made of it
            return kind
        if (path := Path(given)).suffix == ".json" or (path.exists() and not path.is_dir()):
            return _schema_in(path)
        if of_module := re.fullmatch(r"([\w.]+):(\w+)", given):
            return _class_in(*of_module.groups())
        if ":" not in given:
            raise ValueError("it is neither MODULE:CLASS, a .json file with a schema, nor fields such as 'name: str'")
        unknown = (f"{field!r} is not NAME: TYPE of {', '.join(_TYPES)}" for field, found in fields.items() if not found)
        raise ValueError(next(unknown, "it names a field twice"))
    except (OSError, ValueError) as error:
        raise click.UsageError(f"--schema {given!r}: {error}") from None


def _schema_in(path: Path) -> dict[str, Any]:
    if path.is_fifo() and path.parent.name != "fd":
        raise ValueError("it is a pipe, into which nobody may write")
    from .._structured.strict_schema import strict_schema  # it needs pydantic

    if not is_object(schema := json.loads(path.read_bytes())):
        raise ValueError("it holds no JSON object")
    name = path.stem if path.suffix else "schema"  # that of a pipe is another one each time
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": strict_schema(schema)}}


def _class_in(module: str, name: str) -> Any:
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(import_module(module), name, None)
    except (Exception, SystemExit) as error:  # of the user's code
        raise ValueError(f"{module} cannot be imported: {type(error).__name__}: {error}") from error
    if not (isinstance(found, type) or get_origin(found) or is_object(found)):
        raise ValueError(f"{module} has no class {name}")
    return found
