"""`--schema`: a class, or a JSON schema in a file, whose fields become columns."""

from __future__ import annotations

import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_jsonable_python

from .._structured.strict_schema import requested_format, strict_schema
from ..emulator.schema_validation import fits
from ._table_files import Row


class AnswerSchema:
    """What the answers are, and the columns that they give."""

    def __init__(self, given: str) -> None:
        self.kind: Any = _from_file(Path(given)) if given.endswith(".json") else _from_module(given)
        self._read_here = isinstance(self.kind, dict)
        asked, self._wrapped = (self.kind, False) if self._read_here else requested_format(self.kind)
        self._schema = asked["json_schema"]["schema"]
        self.columns: list[str] = list(self._schema["properties"])

    def cells(self, parsed: Any) -> Row:
        if self._read_here and not fits(parsed, self._schema, self._schema):
            return {"error": f"the answer does not fit the schema: {json.dumps(parsed, ensure_ascii=False)}"}
        written = to_jsonable_python(parsed)
        return {self.columns[0]: written} if self._wrapped else written


def _from_module(given: str) -> Any:
    module, _, name = given.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise click.UsageError(f"--schema {given!r} is neither MODULE:CLASS nor a file that ends in .json: {error}") from None


def _from_file(path: Path) -> dict[str, Any]:
    try:
        schema = strict_schema(json.loads(path.read_bytes()))
    except (OSError, ValueError, AttributeError) as error:
        raise click.UsageError(f"--schema {path}: {error}") from None
    return {"type": "json_schema", "json_schema": {"name": path.stem, "strict": True, "schema": schema}}
