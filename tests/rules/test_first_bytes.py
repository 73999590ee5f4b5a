"""The first bytes of a body tell whether it is a stream of events, a JSON value or a page, as soon as they can."""

from __future__ import annotations

import pytest

from venice_ai._wire.sse import is_framed, is_whole, start_of

BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize("lead", [b"", BOM, b"\r\n \t", BOM + b"\n"], ids=["nothing", "a mark", "blanks", "a mark and blanks"])
@pytest.mark.parametrize("field", [b"data:", b"event:", b"id:", b"retry:", b":"])
def test_a_field_s_name_is_known_once_its_colon_came_and_not_before(lead: bytes, field: bytes) -> None:
    whole = lead + field

    assert {start_of(whole[:length]) for length in range(len(whole))} == {b""}
    assert start_of(whole) == field


@pytest.mark.parametrize("lead", [b"", BOM, b" \n", BOM + b" "], ids=["nothing", "a mark", "blanks", "a mark and a blank"])
@pytest.mark.parametrize("body", [b'{"a": 1}', b"[1]", b"<html>", b"x", b"date", b"data;", b"\xef\xbb\xbe"])
def test_a_body_that_is_not_a_stream_is_known_at_the_first_byte_that_no_field_has(lead: bytes, body: bytes) -> None:
    assert start_of(lead + body) == body[:8]


def test_eight_bytes_are_enough_to_tell_a_stream_from_json() -> None:
    assert start_of(b'{"choices": []}') == b'{"choice'
    assert start_of(b" " * 99 + b'{"choices": []}') == b'{"choice'
    assert start_of(b"data: {}\n\n") == b"data: {}"


@pytest.mark.parametrize(
    ("start", "as_stream", "as_value"),
    [
        (b"{", True, True),
        (b"<", False, True),
        (b"}", False, True),
        (b"[", False, True),
        (b"data:", False, False),
        (b": ping", False, False),
    ],
)
def test_the_label_decides_only_where_the_bytes_leave_it_open(start: bytes, as_stream: bool, as_value: bool) -> None:
    assert is_whole(start, labelled=True) is as_stream
    assert is_whole(start, labelled=False) is as_value


def test_a_body_is_framed_that_begins_with_a_field() -> None:
    assert is_framed(b"\ndata: x\n\n")
    assert not is_framed(b'{"data": 1}')
