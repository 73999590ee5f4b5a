"""Reading and writing tables as files: rows survive unchanged, and errors name the line."""

from __future__ import annotations

import csv
import os
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from venice_ai.cli import _table_files
from venice_ai.cli._table_files import Row, check_kind, read

pa: Any = import_module("pyarrow")  # it has no types
pq: Any = import_module("pyarrow.parquet")
ROWS: list[Row] = [
    {"id": "1", "text": 'Città, "quoted"\nand a second line\r\n'},
    {"id": "2", "text": "{braces} \u2028 \U0001f6a3"},
    {"id": "3", "text": ""},
]


def write(path: Path, rows: list[Row], columns: list[str] | None = None, like: Path = Path(os.devnull)) -> None:
    _table_files.write(path, columns or list(rows[0]), lambda: rows, like, lambda _: None)


@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "csv", "tsv", "parquet"])
def test_rows_come_back_as_they_were_written(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"table.{kind}"
    write(path, ROWS)
    assert list(read(path)) == ROWS
    assert list(tmp_path.iterdir()) == [path]


CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"))


@given(rows=st.lists(st.fixed_dictionaries({"a": CELLS, "b c": CELLS})))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_text_survives_a_csv_file(tmp_path: Path, rows: list[Row]) -> None:
    path = tmp_path / "table.csv"
    write(path, rows, ["a", "b c"])
    assert list(read(path)) == rows


def test_a_csv_file_of_a_spreadsheet_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes("\ufeffid,text\r\n1,Città\r\n\r\n".encode())
    assert list(read(path)) == [{"id": "1", "text": "Città"}]


def test_a_cell_may_be_longer_than_the_csv_module_allows(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write(path, [{"text": "x" * 200_000}])
    assert len(next(iter(read(path)))["text"]) == 200_000


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        pytest.param("t.jsonl", b'{"a": 1}\n{"a": \n', "line 2: it is not JSON", id="half a line of JSON"),
        pytest.param("t.jsonl", b"[1]\n", "line 1: it is not a JSON object", id="a list"),
        pytest.param("t.jsonl", b'{"a": "\xff"}\n', "is not UTF-8 text", id="JSON in another encoding"),
        pytest.param("t.csv", "a\nCittà\n".encode("latin-1"), "is not UTF-8 text", id="CSV in another encoding"),
        pytest.param("t.csv", b"a,b\n1,2\n3\n", "line 3: it has 1 cells, and the table has 2 columns", id="a short row"),
        pytest.param("t.csv", b"a,b\n1,2,3\n", "line 2: it has 3 cells", id="a long row"),
        pytest.param("t.csv", b"a,a\n1,2\n", "line 1: each column needs a name of its own", id="a name twice"),
        pytest.param("t.csv", b"a,\n1,2\n", "line 1: each column needs a name of its own", id="no name"),
        pytest.param("t.csv", b'a\n"1\n', "unexpected end of data", id="an open quote"),
        pytest.param("t.parquet", b"PAR1", "t.parquet: ", id="half a Parquet file"),
    ],
)
def test_the_error_of_a_malformed_table_names_the_line(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(click.UsageError) as caught:
        list(read(path))
    assert message in str(caught.value)


@pytest.mark.parametrize("name", ["table.xlsx", "table", "table.CSV.gz"])
def test_files_of_other_kinds_are_refused(name: str) -> None:
    with pytest.raises(click.UsageError, match="not a table that can be read or written"):
        check_kind(Path(name))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param("a {b}", "a {b}", id="text"),
        pytest.param(None, "", id="null"),
        pytest.param(1.5, "1.5", id="a number"),
        pytest.param(True, "true", id="a truth value"),
        pytest.param(["Città", 1], '["Città", 1]', id="a list"),
        pytest.param({"at": datetime(2026, 1, 2, tzinfo=UTC)}, '{"at": "2026-01-02 00:00:00+00:00"}', id="an object"),
        pytest.param(datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02 00:00:00+00:00", id="a time"),
    ],
)
def test_a_value_of_a_cell_is_written_as_text(value: Any, text: str) -> None:
    assert _table_files.as_text(value) == text


def test_parquet_keeps_the_types_of_its_columns_and_finds_those_of_new_ones(tmp_path: Path) -> None:
    before, after = tmp_path / "before.parquet", tmp_path / "after.parquet"
    at = pa.timestamp("ms", "UTC")
    table = pa.table({"id": pa.array([1, 2], pa.int16()), "at": pa.array([0, 1], at)})
    pq.write_table(table, before)
    added: list[Row] = [{"tags": ["a"], "n": None, "error": None}, {"tags": [], "n": 1.5, "error": None}]
    rows = [row | more for row, more in zip(read(before), added, strict=True)]
    write(after, rows, like=before)
    schema = pq.read_schema(after)
    assert [schema.field("id").type, schema.field("at").type] == [pa.int16(), at]
    assert [schema.field("tags").type, schema.field("n").type] == [pa.list_(pa.string()), pa.float64()]
    assert schema.field("error").type == pa.string()
    assert list(read(after)) == rows


def test_columns_whose_type_differs_between_chunks_get_one_type(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    rows: list[Row] = [{"n": None}] * 6_000 + [{"n": 1}] * 6_000 + [{"n": 0.5}]
    write(path, rows)
    assert pq.read_schema(path).field("n").type == pa.float64()
    assert pq.read_metadata(path).num_rows == 12_001


def test_rows_that_parquet_cannot_hold_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write(path, ROWS)
    with pytest.raises(click.UsageError, match="Parquet cannot hold"):
        write(path, [{"a": 1}, {"a": "x"}])
    assert list(read(path)) == ROWS
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("kind", ["csv", "tsv"])
def test_line_endings_are_those_of_the_input(tmp_path: Path, kind: str, end: bytes) -> None:
    given, path = tmp_path / "in.csv", tmp_path / f"out.{kind}"
    given.write_bytes(end.join([b"id,text", b'1,"two', b'lines"', b""]))
    write(path, [{"id": "1", "text": "two\r\nlines"}], like=given)
    assert path.read_bytes().count(b"\r\n") == 1 + 2 * (end == b"\r\n")
    assert path.read_bytes().endswith(end)
    assert list(read(path)) == [{"id": "1", "text": "two\r\nlines"}]


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63, 10**30, 123456789.123456789])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_number_of_a_row_stays_as_it_was_written(tmp_path: Path, kind: str, number: float) -> None:
    given, path = tmp_path / "in.jsonl", tmp_path / f"out.{kind}"
    given.write_text(f'{{"id": {number}}}\n', encoding="utf-8")
    write(path, [*read(given)], like=given)
    assert str(number) in path.read_text("utf-8")


def test_a_whole_number_that_parquet_would_round_is_refused(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="Parquet cannot hold"):
        write(tmp_path / "table.parquet", [{"id": 2**53 + 1}, {"id": 0.5}])


@pytest.mark.parametrize("line", ['{"text": "a", "id": 1, "text": "b"}', '{"id": {"x": 1, "y": 2, "x": 1}}'])
def test_a_row_with_a_name_twice_is_refused_with_its_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text(f'{{"text": "first"}}\n{line}\n', encoding="utf-8")
    with pytest.raises(click.UsageError, match=r"line 2: it is not JSON: an object has the key '(text|x)' twice"):
        list(read(path))


def test_a_failure_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write(path, ROWS)

    def broken() -> Any:
        yield ROWS[0]
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        _table_files.write(path, ["id", "text"], broken, path, lambda _: None)
    with path.open(encoding="utf-8", newline="") as file:
        assert len(list(csv.reader(file))) == 4
    assert list(tmp_path.iterdir()) == [path]
