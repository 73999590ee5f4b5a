"""Replies of HTTP/1.1 are read the same however their bytes are cut."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from venice_ai._wire.http_framing import HEADER_BYTES, FramingError, ReplyReader

from ..fakes import single

HEAD = b"HTTP/1.1 200 OK\r\n"
WHOLE = {
    "a length": (HEAD + b"Content-Length: 5\r\n\r\nhello", True),
    "a length of nothing": (HEAD + b"Content-Length: 0\r\n\r\n", True),
    "chunks": (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n", True),
    "close": (HEAD + b"Connection: x, Close\r\nContent-Length: 5\r\n\r\nhello", False),
    "close in other headers": (HEAD + b"Accept: close\r\nContent-Length: 5\r\nX: close\r\n\r\nhello", True),
    "HTTP/2.0": (b"HTTP/2.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nX: 1\r\n\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello", True),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    "HTTP/1.0 that keeps": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", True),
    "line feeds alone": (b"\nHTTP/1.1 200 OK\nContent-Length: 5\n\nhello", True),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello", True),
    "no content": (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", True),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", True),
    "an empty line before it": (b"\r\n" + HEAD + b"Content-Length: 5\r\n\r\nhello", True),
    "an empty line after it": (HEAD + b"Content-Length: 5\r\n\r\nhello\r\n", True),
}


def read(pieces: Iterable[bytes]) -> tuple[ReplyReader, bytes]:
    reader = ReplyReader()
    return reader, b"".join(part for piece in pieces for part in reader.feed(piece))


@pytest.mark.parametrize("name", WHOLE)
def test_a_reply_ends_where_its_framing_says_so(name: str) -> None:
    data, keeps = WHOLE[name]
    for pieces in ([data], single(data)):
        reader, body = read(pieces)
        assert reader.done
        assert reader.reusable is keeps
        assert body == (b"hello" if b"hello" in data else b"hello" if name == "chunks" else b"")


def test_a_reader_to_which_nothing_came_knows_nothing_of_a_reply() -> None:
    reader, _ = read([])

    assert (reader.status, reader.fields, reader.started) == (0, [], False)
    assert (reader.done, reader.reusable, reader.until_end) == (False, False, False)


def test_a_line_that_goes_on_belongs_to_the_header_before_it() -> None:
    lines = b"X: a\r\nY: b\r\n c\r\n\td\r\nZ: e\r\n\r\n"
    for pieces in ([HEAD + lines], single(HEAD + lines)):
        assert read(pieces)[0].fields == [(b"X", b"a"), (b"Y", b"b c d"), (b"Z", b"e")]


def test_a_reply_that_changes_the_protocol_has_no_body_and_its_connection_serves_no_other() -> None:
    reader, body = read([b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"])

    assert (reader.done, reader.reusable, body) == (True, False, b"")


def test_a_reply_without_a_length_ends_with_its_connection() -> None:
    for pieces in ([HEAD + b"\r\nhello"], single(HEAD + b"\r\nhello")):
        reader, body = read(pieces)
        assert not reader.done
        reader.end()
        assert (reader.done, reader.reusable, body) == (True, False, b"hello")


@pytest.mark.parametrize("name", WHOLE)
def test_a_reply_that_is_cut_is_not_whole(name: str) -> None:
    data = WHOLE[name][0].removesuffix(b"\r\n" if name == "an empty line after it" else b"")
    for size in range(len(data)):
        reader, _ = read([data[:size]])
        with pytest.raises(FramingError, match=r"broke off|closed without an answer"):
            reader.end()


@pytest.mark.parametrize("more", [0, 1])
def test_a_header_may_be_as_long_as_the_limit_and_no_longer(more: int) -> None:
    longest = b"X: ".ljust(HEADER_BYTES - 1 + more, b"a") + b"\r"
    end = b"\n\r\n"
    for pieces in ([HEAD + longest + end], [HEAD + longest, end], [HEAD, longest, end], [HEAD, longest[:-1], b"\r" + end]):
        if more:
            with pytest.raises(FramingError, match=f"longer than {HEADER_BYTES} bytes"):
                read(pieces)
        else:
            assert (b"X", b"a" * (HEADER_BYTES - 4)) in read(pieces)[0].fields


def test_an_error_repeats_nothing_of_the_received_bytes() -> None:
    for data in (b"secret\r\n", HEAD + b"secret\r\n\r\n", HEAD + b"Transfer-Encoding: chunked\r\n\r\nsecret\r\n"):
        with pytest.raises(FramingError) as caught:
            read([data])
        assert "secret" not in str(caught.value)


def test_a_line_without_an_end_is_refused_while_it_arrives() -> None:
    reader, _ = read([HEAD])
    with pytest.raises(FramingError, match="longer than 65536 bytes"):
        for _ in range(100):
            list(reader.feed(b"a" * 1000))


CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("before", "wrong"),
    [
        pytest.param(b"", b"SSH-2.0", id="another protocol"),
        pytest.param(HEAD, b"\0", id="no header"),
        pytest.param(CHUNKED, b"zz", id="no size of a chunk"),
        pytest.param(CHUNKED + b"2\r\nhi", b"X", id="a chunk that is longer than its size"),
    ],
)
def test_a_line_that_begins_wrongly_is_an_error_before_its_end_has_come(before: bytes, wrong: bytes) -> None:
    reader, _ = read([before])
    with pytest.raises(FramingError):
        list(reader.feed(wrong))


@pytest.mark.parametrize("surplus", [b"garbage", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_bytes_after_a_whole_reply_in_a_later_packet_do_no_harm(surplus: bytes) -> None:
    reader, body = read([HEAD + b"Content-Length: 5\r\n\r\n", b"hello" + surplus])
    assert (reader.done, reader.reusable, body) == (True, False, b"hello")


@pytest.mark.parametrize("surplus", [b"garbage", HEAD + b"Content-Length: 5\r\n\r\nhello"])
def test_bytes_after_a_whole_reply_in_the_packet_of_its_head_do_no_harm(surplus: bytes) -> None:
    reader, body = read([HEAD + b"Content-Length: 5\r\n\r\nhello" + surplus])
    assert (reader.done, reader.reusable, body) == (True, False, b"hello")


@pytest.mark.parametrize("more", [0, 1])
def test_a_head_has_at_most_128_headers(more: int) -> None:
    headers = b"".join(b"X-%d: 1\r\n" % number for number in range(127 + more)) + b"Content-Length: 0\r\n\r\n"
    for pieces in ([HEAD + headers], single(HEAD + headers)):
        if more:
            with pytest.raises(FramingError, match="more than 128 headers"):
                read(pieces)
        else:
            reader, _ = read(pieces)
            assert (reader.done, len(reader.fields)) == (True, 128)


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        pytest.param(b"X:  a\t\r\n", b"a", id="blanks around it"),
        pytest.param(b"X: a\r\n  b \r\n\tc\r\n", b"a b c", id="on three lines"),
        pytest.param(b" X: a\r\n", b"a", id="a blank before the first"),
        pytest.param(b"X:\r\n", b"", id="nothing"),
    ],
)
def test_the_value_of_a_header_has_no_blanks_at_its_ends_and_may_go_on_in_further_lines(lines: bytes, value: bytes) -> None:
    for pieces in ([HEAD + lines + b"\r\n"], single(HEAD + lines + b"\r\n")):
        assert read(pieces)[0].fields == [(b"X", value)]


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"X: a\r\n b\0\r\n", id="NUL in a further line"),
        pytest.param(b"X: a\r\n b\rc\r\n", id="CR in a further line"),
        pytest.param(b"X: a\0\r\n", id="NUL"),
        pytest.param(b"X : a\r\n", id="a blank before the colon"),
    ],
)
def test_a_line_that_is_no_header_is_an_error(lines: bytes) -> None:
    for pieces in ([HEAD + lines + b"\r\n"], single(HEAD + lines + b"\r\n")):
        with pytest.raises(FramingError, match="not a header"):
            read(pieces)


@pytest.mark.parametrize(
    ("head", "wrong"),
    [
        pytest.param(b"Content-Length: %d\r\n\r\n" % (2**63 - 1), None, id="the longest length"),
        pytest.param(b"Content-Length: %d\r\n\r\n" % 2**63, "its length is not a number", id="a length beyond it"),
        pytest.param(b"Content-Length: %029d\r\n\r\n" % 5, None, id="a length of 29 digits"),
        pytest.param(b"Content-Length: %030d\r\n\r\n" % 5, "its length is not a number", id="a length of 30 digits"),
        pytest.param(b"Content-Length: +5\r\n\r\n", "its length is not a number", id="a length with a sign"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "two lengths", id="two lengths"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: x\r\n\r\n", "two lengths", id="a length and a coding"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % (2**63 - 1), None, id="the largest chunk"),
        pytest.param(b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % 2**63, "too large", id="a chunk beyond it"),
    ],
)
def test_a_body_or_a_chunk_may_be_as_large_as_a_machine_counts(head: bytes, wrong: str | None) -> None:
    if wrong is None:
        reader, body = read([HEAD + head + b"he", b"y"])
        assert (reader.done, body) == (False, b"hey")
    else:
        with pytest.raises(FramingError, match=wrong):
            read([HEAD + head])


@pytest.mark.parametrize(
    ("codings", "chunked"),
    [
        (b"chunked", True),
        (b"gzip,  Chunked ", True),
        (b"chunked, gzip", False),
        (b"chunked, br", False),
        (b"gzip\r\nTransfer-Encoding: chunked", True),
    ],
)
def test_a_body_is_in_chunks_whose_last_transfer_coding_says_so(codings: bytes, chunked: bool) -> None:
    reader, body = read([HEAD + b"Transfer-Encoding: " + codings + b"\r\n\r\n2\r\nhi\r\n0\r\n\r\n"])

    assert (reader.done, reader.until_end) == (chunked, not chunked)
    assert body == (b"hi" if chunked else b"2\r\nhi\r\n0\r\n\r\n")


@pytest.mark.parametrize(
    ("came", "words"),
    [
        pytest.param(b"", "it was closed without an answer", id="nothing"),
        pytest.param(b"HTTP/1.1 200", "the head of the answer broke off", id="half a head"),
        pytest.param(HEAD + b"Content-Length: 5\r\n\r\nhe", "the answer broke off", id="half a body"),
    ],
)
def test_a_connection_that_ends_too_early_says_how_far_the_reply_came(came: bytes, words: str) -> None:
    reader, _ = read([came])
    with pytest.raises(FramingError, match=f"^{words}$"):
        reader.end()
