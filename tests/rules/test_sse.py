"""The framing of server-sent events, as the WHATWG defines it, with bytes that come cut anywhere.

The cases are the standard's own examples and one for each of its rules. Each is fed whole, byte by byte, and cut at every
place; whatever the cut, the events are the same.

https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

from __future__ import annotations

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai._wire.sse import EventParser, EventTooLongError, encode

from ..examples import times
from ..fakes import JSON, cut, single

SPECIFICATION = [
    pytest.param(b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"], id="three data lines are one event"),
    pytest.param(
        b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n",
        [b"first event", b"second event", b" third event"],
        id="a comment, ids, and only the first space is taken off",
    ),
    pytest.param(b"data\n\ndata\ndata\n\n", [b"", b"\n"], id="a field without a colon has an empty value"),
    pytest.param(b"data:test\n\ndata: test\n\n", [b"test", b"test"], id="the space after the colon is optional"),
]
RULES = [
    pytest.param(b"", [], id="nothing"),
    pytest.param(b"\n\n\n", [], id="blank lines alone"),
    pytest.param(b": ping\n\n: ping\n\n", [], id="comments alone"),
    pytest.param(b":\n\ndata: x\n\n", [b"x"], id="an empty comment"),
    pytest.param(b"data: a\n\ndata: b\n\tc: d\n\n", [b"a", b"b"], id="a line that begins with a tab"),
    pytest.param(b"data: x\n: ping\ndata: y\n\n", [b"x\ny"], id="a comment inside an event"),
    pytest.param(b"data: a\r\rdata: b\r\r", [b"a", b"b"], id="CR"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="CRLF"),
    pytest.param(b"data: a\r\n\ndata: b\n\rdata: c\r\r\ndata: d\n\n", [b"a", b"b", b"c", b"d"], id="mixed line endings"),
    pytest.param(b"data: a\n\ndata: b\r\n\r\ndata: c\n\n", [b"a", b"b", b"c"], id="LF, then CRLF, then LF"),
    pytest.param(b"data: a\r\ndata: b\r\n\r\n", [b"a\nb"], id="one CRLF ends one line only"),
    pytest.param(b"\xef\xbb\xbfdata: x\n\n", [b"x"], id="a byte order mark at the start is skipped"),
    pytest.param(b"\xef\xbb\xbf\xef\xbb\xbfdata: x\n\n", [], id="a second one belongs to the field's name"),
    pytest.param(b"data: a\n\n\xef\xbb\xbfdata: b\n\ndata: c\n\n", [b"a", b"c"], id="so does one further on"),
    pytest.param(b"\xef\xbb\xbf\r\ndata: x\r\n\r\n", [b"x"], id="a byte order mark before CRLF"),
    pytest.param(b"\xef\xbbdata: x\n\ndata: y\n\n", [b"y"], id="half a byte order mark"),
    pytest.param(b"foo: bar\ndata: x\nretry: 10\nid: 7\n\n", [b"x"], id="other fields are passed over"),
    pytest.param(b"DATA: x\ndata : x\n data: x\ndatax: x\n\n", [], id="a field's name is exact"),
    pytest.param(b"data:  x\n\n", [b" x"], id="only one space is taken off"),
    pytest.param(b"data:\tx\n\n", [b"\tx"], id="a tab is not"),
    pytest.param(b"data: x \n\n", [b"x "], id="a space at the end stays"),
    pytest.param(b'data: {"a": ": b"}\n\n', [b'{"a": ": b"}'], id="colons in the value stay"),
    pytest.param(b"data:\ndata:\n\n", [b"\n"], id="empty lines of data"),
    pytest.param(b"data: a\n\n\n\ndata: b\n\n", [b"a", b"b"], id="more blank lines than needed"),
    pytest.param("data: 世🔐é\n\n".encode(), ["世🔐é".encode()], id="characters of several bytes"),
    pytest.param(b"data: \x00\x85\x0b\x0c\xe2\x80\xa8\n\n", [b"\x00\x85\x0b\x0c\xe2\x80\xa8"], id="only CR and LF end lines"),
    pytest.param(b"data: \xff\xfe\n\n", [b"\xff\xfe"], id="bytes that are not UTF-8 are for the reader to judge"),
    pytest.param(b"data: x", [b"x"], id="the last event lacks both line breaks"),
    pytest.param(b"data: x\n", [b"x"], id="the last event lacks its blank line"),
    pytest.param(b"data: x\r", [b"x"], id="the last event lacks its blank line, CR"),
    pytest.param(b"data: x\r\n", [b"x"], id="the last event lacks its blank line, CRLF"),
    pytest.param(b"data: x\ndata: y", [b"x\ny"], id="the last event of two lines lacks its end"),
    pytest.param(b"data: x\n\n: ping", [b"x"], id="a comment at the end is not an event"),
    pytest.param(b"data: x\n\nevent: done", [b"x"], id="a type without data is not an event"),
    pytest.param(b'xata: {"a": 1}\n\n', [b'xata: {"a": 1}'], id="a damaged field that may have held a chunk is an event"),
    pytest.param(b'dat\xff: {"a": 1}\n\ndata: y\n\n', [b'dat\xff: {"a": 1}', b"y"], id="likewise before others"),
    pytest.param(b' data: {"a": 1}\n\n', [b' data: {"a": 1}'], id="likewise with a blank before its name"),
    pytest.param(b'foo: {"a": 1}\ndata: x\n\n', [b"x"], id="a field beside data is passed over whatever it holds"),
    pytest.param(b': {"a": 1}\n\nid: {\n\nretry: {\n\n', [], id="comments and other fields may hold anything"),
]


def data_of(pieces: list[bytes]) -> list[bytes]:
    return [data for data, _ in events_of(pieces)]


def events_of(pieces: list[bytes]) -> list[tuple[bytes, bytes]]:
    """The data of each event, and its type."""
    parser = EventParser()
    events = [event for piece in pieces for event in parser.feed(piece)]
    return [(bytes(event), getattr(event, "type", b"")) for event in [*events, *parser.finish()]]


@pytest.mark.parametrize(("raw", "expected"), SPECIFICATION + RULES)
def test_a_stream_in_one_piece(raw: bytes, expected: list[bytes]) -> None:
    assert data_of([raw]) == expected


@pytest.mark.parametrize(("raw", "expected"), SPECIFICATION + RULES)
def test_the_same_stream_byte_by_byte(raw: bytes, expected: list[bytes]) -> None:
    assert data_of(single(raw)) == expected


@pytest.mark.parametrize(("raw", "expected"), SPECIFICATION + RULES)
def test_the_same_stream_cut_in_two_and_in_three(raw: bytes, expected: list[bytes]) -> None:
    for first in range(len(raw) + 1):
        assert data_of(cut(raw, first)) == expected, f"cut at {first}"
        for second in range(first, len(raw) + 1):
            assert data_of(cut(raw, first, second)) == expected, f"cut at {first} and {second}"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        pytest.param(b"event: error\ndata: x\n\ndata: y\n\n", [(b"x", b"error"), (b"y", b"")], id="for one event only"),
        pytest.param(b"event: error\n\ndata: x\n\n", [(b"x", b"")], id="forgotten if the event had no data"),
        pytest.param(b"data: x\nevent: a\nevent: b\n\n", [(b"x", b"b")], id="the last one counts"),
        pytest.param(b"event:a\r\ndata: x\r\n\r\n", [(b"x", b"a")], id="with CRLF"),
        pytest.param(b"event\ndata: x\n\n", [(b"x", b"")], id="an empty type"),
        pytest.param(b"event: error\ndata: x", [(b"x", b"error")], id="in an event that was not ended"),
    ],
)
def test_an_event_has_a_type(raw: bytes, expected: list[tuple[bytes, bytes]]) -> None:
    assert events_of([raw]) == expected
    assert events_of(single(raw)) == expected


def test_an_event_is_given_as_soon_as_its_blank_line_is_here() -> None:
    parser = EventParser()

    given = [parser.feed(piece) for piece in (b"data: a", b"\n", b"\n", b"data: b\n\nda", b"ta: c\n", b"\n")]

    assert given == [[], [], [b"a"], [b"b"], [], [b"c"]]


def test_a_blank_line_of_cr_need_not_wait_for_an_lf() -> None:
    # The byte after a CR says whether it was half of a CRLF; the next event's first byte is early enough.
    parser = EventParser()

    events = [event for piece in (b"data: a\r\r", b"d") for event in parser.feed(piece)]

    assert events == [b"a"]


LINES = st.lists(
    st.one_of(
        st.just(b""),
        st.sampled_from([b"data", b"data:", b"data: ", b"data: x", b"data:x", b"data:  x", b": c", b"event: e", b"id: 1"]),
        # A brace in a field that does not exist may be a damaged chunk, which is not passed over as the standard has it.
        st.binary(max_size=6).map(lambda line: line.translate(None, b"\n\r{")),
    ),
    max_size=12,
)
ENDINGS = st.lists(st.sampled_from([b"\n", b"\r", b"\r\n"]), min_size=12, max_size=12)


@times(2)
@given(lines=LINES, endings=ENDINGS, mark=st.booleans(), positions=st.lists(st.integers(0, 120), max_size=6))
def test_a_stream_cut_anywhere_gives_the_events_that_the_standard_defines(
    lines: list[bytes], endings: list[bytes], mark: bool, positions: list[int]
) -> None:
    raw = b"\xef\xbb\xbf" * mark + b"".join(line + end for line, end in zip(lines, endings, strict=False))

    events = events_of(cut(raw, *(min(position, len(raw)) for position in positions)))

    assert events == by_the_book(raw)


def by_the_book(raw: bytes) -> list[tuple[bytes, bytes]]:
    """The standard's rules in the order in which it tells them, on the whole stream at once."""
    lines = re.split(rb"\r\n|\n|\r", raw.removeprefix(b"\xef\xbb\xbf"))
    events: list[tuple[bytes, bytes]] = []
    data: list[bytes] = []
    kind = b""
    for line in [*lines, b""]:  # a last event without its blank line counts, too
        if not line:
            events += [(b"\n".join(data), kind)] if data else []
            data, kind = [], b""
            continue
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            data.append(value)
        elif name == b"event":
            kind = value
    return events


@pytest.mark.parametrize("more", [0, 1])
def test_an_event_may_have_64_mebibytes_and_no_more(more: int) -> None:
    parser = EventParser()
    longest = b"data: ".ljust(64 * 2**20 + more, b"x")
    assert parser.feed(longest) == []

    if more:
        with pytest.raises(EventTooLongError, match="an event has no end within 64 MiB, which is more than is read of one"):
            parser.feed(b"\n\n")
    else:
        assert parser.feed(b"\n\n") == [longest.removeprefix(b"data: ")]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("piece_size", [64, 65_536])
def test_an_event_of_8_megabytes_is_searched_once(ending: bytes, piece_size: int) -> None:
    # Were the buffer searched anew for each piece, this would take minutes (and the suite's patience would end).
    data = b'{"content":"' + b"x" * 8_000_000 + b'"}'
    raw = b"data: " + data + ending * 2 + b"data: [DONE]" + ending * 2

    assert data_of(cut(raw, *range(piece_size, len(raw), piece_size))) == [data, b"[DONE]"]


def test_an_event_of_many_lines_is_searched_once() -> None:
    raw = b"data: x\n" * 200_000 + b"\n"

    assert data_of(cut(raw, *range(64, len(raw), 64))) == [b"\n".join([b"x"] * 200_000)]


@times(2)
@given(st.lists(st.tuples(JSON, st.none() | st.sampled_from(["error", "message"])), max_size=4))
def test_what_is_encoded_is_decoded(values: list[tuple[object, str | None]]) -> None:
    events = [(json.dumps(value, ensure_ascii=False).encode(), kind) for value, kind in values]

    decoded = events_of([encode(data, kind) for data, kind in events])

    assert decoded == [(data, (kind or "").encode()) for data, kind in events]


def test_data_of_several_lines_is_encoded_as_several_lines() -> None:
    assert encode(b"a\nb", "x") == b"event: x\ndata: a\ndata: b\n\n"


def test_the_cuts_of_these_tests_lose_nothing() -> None:
    assert b"".join(cut(b"abcdef", 2, 2, 5)) == b"abcdef"
    assert [len(a) + len(b) for a, b in pairwise(single(b"abc"))] == [2, 2]
