"""Tables in files: JSONL, CSV, TSV, and Parquet with the extra `batch`.

Rows are read one at a time and as often as needed, so that a table takes little memory. It is put in place when it is whole.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from importlib import import_module
from itertools import chain, count, islice
from pathlib import Path
from types import SimpleNamespace
from typing import IO, Any, Final, NoReturn, TypeAlias, cast

import click

from .._wire.json_text import NOT_STRICT, strict_decode
from ..tee.canonical import each_key_once

Row: TypeAlias = dict[str, Any]
Rows: TypeAlias = Callable[[], Iterable[Row]]  # gives the rows from the first one on, each time it is called
_DELIMITERS: Final = {".csv": ",", ".tsv": "\t"}
_CHUNK, _LONGEST_CELL = 5_000, 1 << 30


def check_kind(path: Path) -> None:
    if path.suffix == ".parquet":
        _arrow("parquet")
    elif path.suffix not in {".jsonl", ".ndjson", *_DELIMITERS}:
        raise click.UsageError(f"{str(path)!r} is not a table that can be read or written: .jsonl, .csv, .tsv or .parquet")


def as_text(value: Any) -> str:
    """A value as a cell, or as a part of a prompt: texts as they are, null as nothing, objects and lists as JSON."""
    if value is None or isinstance(value, str):
        return value or ""
    return as_json(value) if isinstance(value, (dict, list, bool)) else str(value)


def as_json(value: Any) -> str:
    """A value as JSON. NaN and infinities, which JSON does not have, are texts."""
    return json.dumps(json.loads(json.dumps(value, default=str), parse_constant=str), ensure_ascii=False)


def read(path: Path) -> Iterator[Row]:
    return (row for row, _ in numbered(path))


def numbered(path: Path) -> Iterator[tuple[Row, int]]:
    """The rows of a file, each with the number of the line in which it ends; in Parquet, with its own."""
    if path.suffix == ".parquet":
        try:
            batches = _arrow("parquet").ParquetFile(path).iter_batches(_CHUNK)
            yield from zip(chain.from_iterable(batch.to_pylist() for batch in batches), count(1), strict=False)
        except _arrow("lib").ArrowException as error:
            raise click.UsageError(f"{path}: {error}") from None
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from (_cells if path.suffix in _DELIMITERS else _objects)(path, file)
        except UnicodeDecodeError as error:
            raise click.UsageError(f"{path} is not UTF-8 text: {error.reason}") from None


def _objects(path: Path, file: IO[str]) -> Iterator[tuple[Row, int]]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=each_key_once, parse_float=strict_decode)
            except (ValueError, *NOT_STRICT) as error:
                wrong(path, number, f"it is not JSON: {error}")
            yield row if isinstance(row, dict) else wrong(path, number, "it is not a JSON object"), number


def _cells(path: Path, file: IO[str]) -> Iterator[tuple[Row, int]]:
    csv.field_size_limit(_LONGEST_CELL)  # the module's own limit is 128 KiB
    reader = csv.reader(file, strict=True, delimiter=_DELIMITERS[path.suffix])
    try:
        names = next(reader, list[str]())
        if not all(names) or len(set(names)) < len(names):
            wrong(path, 1, "each column needs a name of its own")
        if len(names) == 1 and ";" in names[0]:
            wrong(path, 1, f"cells are separated by {reader.dialect.delimiter!r}, and not by ';': write it so")
        for cells in filter(None, reader):
            if len(cells) != len(names):
                wrong(path, reader.line_num, f"it has {len(cells)} cells, and the table has {len(names)} columns")
            yield dict(zip(names, cells, strict=True)), reader.line_num
    except csv.Error as error:
        wrong(path, reader.line_num, error)


def wrong(path: Path, number: int, why: object) -> NoReturn:
    raise click.UsageError(f"{path}, {'row' if path.suffix == '.parquet' else 'line'} {number}: {why}")


def write(path: Path, columns: Sequence[str], rows: Rows, like: Path, seen: Callable[[Path], object]) -> None:
    """Writes a table, whole or not at all, which is `seen` before; in Parquet, columns of the table `like` keep their types."""
    path = path.resolve()  # a link stays one
    part = path.with_name(f".{path.name}.part")
    try:
        if path.suffix == ".parquet":
            write_parquet(part, columns, rows, like)
        else:
            with part.open("w", encoding="utf-8", errors="replace", newline="") as file, like.open("rb") as given:
                if delimiter := _DELIMITERS.get(path.suffix):
                    end = "\r\n" if given.readline().endswith(b"\r\n") else "\n"
                    own: dict[str, Callable[[str], int]] = {"write": lambda row: file.write(row[:-2] + end)}
                    writer = csv.writer(cast("Any", SimpleNamespace(**own)), delimiter=delimiter)  # else it quotes no "\r"
                    writer.writerow(columns)
                    writer.writerows([as_text(row.get(name)) for name in columns] for row in rows())
                else:
                    file.writelines(as_json(row) + "\n" for row in rows())
        if path.exists():
            shutil.copymode(path, part)
        seen(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_parquet(part: Path, columns: Sequence[str], rows: Rows, like: Path) -> None:
    arrow, parquet = _arrow("lib"), _arrow("parquet")
    known = {field.name: field for field in (parquet.read_schema(like) if like.suffix == ".parquet" else ())}
    try:
        parts = ([{name: row.get(name) for name in columns if name not in known} for row in chunk] for chunk in _chunks(rows))
        schemas = [arrow.schema([]), *(arrow.Table.from_pylist(each).schema for each in parts)]
        found = arrow.unify_schemas(schemas, promote_options="permissive")
        added = [field.with_type(arrow.string()) if field.type == arrow.null() else field for field in found]  # no value
        schema = arrow.schema([*known.values(), *added])
        with parquet.ParquetWriter(part, schema) as writer:
            for chunk in _chunks(rows):
                writer.write_table(arrow.Table.from_pylist(chunk, schema))
    except (arrow.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise click.UsageError(f"Parquet cannot hold these rows: {error}; write .jsonl") from None


def _chunks(rows: Rows) -> Iterator[list[Row]]:
    left = iter(rows())
    return iter(lambda: list(islice(left, _CHUNK)), list[Row]())


def _arrow(module: str) -> Any:
    try:
        return import_module(f"pyarrow.{module}")
    except ModuleNotFoundError:
        raise click.UsageError("Parquet needs the extra 'batch': pip install 'venice-chat[batch]'") from None
