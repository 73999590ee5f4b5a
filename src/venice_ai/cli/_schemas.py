"""What `--schema` names: a class, a JSON schema in a file, or fields such as `name: str, age: int`."""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..exceptions import VeniceError
from ..types._base import is_object

if TYPE_CHECKING:
    from ..types.api.chat import ChatCompletionResponse

_TYPES = {"str": str, "int": int, "float": float, "bool": bool}
_TYPES |= {f"list[{name}]": list[kind] for name, kind in _TYPES.items()}  # type: ignore[valid-type]
_FIELD = re.compile(rf"\s*([A-Za-z]\w*)\s*:\s*({'|'.join(map(re.escape, _TYPES))})\s*")


def response_format(given: str) -> Any:
    """A class, or the format of a JSON schema; a UsageError if it is neither."""
    fields = [_FIELD.fullmatch(each) for each in given.split(",")]
    if all(fields):
        from pydantic import create_model

        return create_model("Answer", **{field[1]: (_TYPES[field[2]], ...) for field in fields if field})
    try:
        if not given.endswith(".json"):
            module, _, name = given.partition(":")
            sys.path.insert(0, str(Path.cwd()))
            return getattr(import_module(module), name)
        from .._structured.strict_schema import strict_schema  # it needs pydantic

        schema = strict_schema(json.loads(Path(given).read_bytes()))
    except (ImportError, AttributeError, ValueError, OSError) as error:
        what = f"MODULE:CLASS, a .json file with a schema, nor fields such as 'name: str' ({', '.join(_TYPES)})"
        raise click.UsageError(f"--schema {given!r} is neither {what}: {error}") from None
    return {"type": "json_schema", "json_schema": {"name": Path(given).stem, "strict": True, "schema": schema}}


def validated(response: ChatCompletionResponse, asked: Any) -> Any:
    """The JSON of an answer, which fits what was asked for; a VeniceError if it does not."""
    from pydantic_core import to_jsonable_python

    if not is_object(asked):
        return to_jsonable_python(response.parse_as(asked))
    from ..emulator.schema_validation import fits

    value: Any = response.parse_as(dict[str, Any])
    schema = asked["json_schema"]["schema"]
    if not fits(value, schema, schema):
        raise VeniceError(f"the answer does not fit the schema {asked['json_schema']['name']!r}; --json shows it")
    return value
