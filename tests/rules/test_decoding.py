"""Content codings are read as servers send them, in steps that are bounded whatever they hold."""

from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Iterable
from itertools import islice

import pytest

from venice_ai._wire.content_coding import (
    ACCEPTED,
    REFUSAL_BYTES,
    REPLY_BYTES,
    STEP_BYTES,
    Body,
    BodyTooLargeError,
    Decoder,
    DecodingError,
)

from ..fakes import single

TEXT = b'{"id": "chatcmpl-1", "text": "hello"}' * 5
ZIPPED = gzip.compress(TEXT)


def bare(data: bytes) -> bytes:
    """Deflated without a header."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def flushed(data: bytes) -> bytes:
    """Compressed in two parts, the first of which is flushed."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return packer.compress(data[:9]) + packer.flush(zlib.Z_SYNC_FLUSH) + packer.compress(data[9:]) + packer.flush()


def decoded(coding: str | None, pieces: Iterable[bytes]) -> bytes:
    decoder = Decoder(coding)
    found = b"".join(step for piece in pieces for step in decoder.feed(piece))
    decoder.finish()
    return found


READABLE = {
    "no header": (None, TEXT),
    "an empty header": ("", TEXT),
    "identity": ("Identity", TEXT),
    "gzip": ("gzip", ZIPPED),
    "gzip in capitals": ("GZIP", ZIPPED),
    "x-gzip": ("X-gzip", ZIPPED),
    "gzip that was flushed": ("gzip", flushed(TEXT)),
    "two members": ("gzip", gzip.compress(TEXT[:20]) + gzip.compress(TEXT[20:])),
    "an empty first member": ("gzip", gzip.compress(b"") + ZIPPED),
    "an empty last member": ("gzip", ZIPPED + gzip.compress(b"")),
    "padding of zeros": ("gzip", ZIPPED + bytes(9)),
    "zeros between members": ("gzip", gzip.compress(TEXT[:20]) + bytes(3) + gzip.compress(TEXT[20:])),
    "something after gzip": ("gzip", ZIPPED + b"\x1f" + b"etc"),
    "one byte after gzip": ("gzip", ZIPPED + b"\x1f"),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "deflate without a header": ("Deflate", bare(TEXT)),
    "deflate of the least compression": ("deflate", zlib.compress(TEXT, 0)),
    "something after deflate": ("deflate", zlib.compress(TEXT) + b"etc"),
    "a member after what is none": ("gzip", ZIPPED + b"etc" + ZIPPED),
    "gzip after deflate": ("deflate", zlib.compress(TEXT) + ZIPPED),
    "deflate after deflate": ("deflate", zlib.compress(TEXT) + zlib.compress(TEXT)),
    "gzip twice": ("gzip, gzip", gzip.compress(ZIPPED)),
    "gzip four times": ("gzip, gzip, gzip, gzip", gzip.compress(gzip.compress(gzip.compress(ZIPPED)))),
    "deflate, then gzip": ("deflate,gzip", gzip.compress(zlib.compress(TEXT))),
    "gzip, then deflate, and identity": ("gzip, identity, deflate", zlib.compress(ZIPPED)),
}


@pytest.mark.parametrize("name", READABLE)
def test_every_coding_is_read_whole_and_byte_by_byte(name: str) -> None:
    coding, body = READABLE[name]
    assert decoded(coding, [body]) == TEXT
    assert decoded(coding, single(body)) == TEXT


def test_deflate_without_a_header_is_read_though_it_begins_like_one() -> None:
    data = [bytes([number % 256, number // 256, *b"data"]) for number in range(400)]
    starts = [bare(each)[:2] for each in data]
    assert any(int.from_bytes(start) % 31 == 0 for start in starts)

    assert [decoded("deflate", [bare(each)]) for each in data] == data
    # The bits that fill up the first byte of what is only stored are not zero.
    for stored, text in ((b"\x08\x06\x00\xf9\xffstored\x03\x00", b"stored"), (b"\x09\x15\x00\xea\xff" + b"s" * 21, b"s" * 21)):
        assert decoded("deflate", [stored]) == decoded("deflate", single(stored)) == text


def test_the_shortest_body_of_deflate_has_two_bytes() -> None:
    assert decoded("deflate", [b"\x03\x00"]) == decoded("deflate", single(b"\x03\x00")) == b""


@pytest.mark.parametrize("coding", [None, "gzip", "deflate", "gzip, deflate"])
def test_an_empty_body_is_empty(coding: str | None) -> None:
    assert decoded(coding, []) == b""
    assert decoded(coding, [b""]) == b""


@pytest.mark.parametrize(("coding", "body"), [("gzip", ZIPPED), ("deflate", zlib.compress(TEXT)), ("deflate", bare(TEXT))])
def test_a_compressed_body_that_ends_too_early_is_an_error(coding: str, body: bytes) -> None:
    for size in range(1, len(body)):
        with pytest.raises(DecodingError, match="ended before its compression did"):
            decoded(coding, [body[:size]])


def test_a_second_gzip_member_that_ends_too_early_is_an_error() -> None:
    with pytest.raises(DecodingError, match="ended before its compression did"):
        decoded("gzip", [ZIPPED + ZIPPED[:12]])


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        pytest.param("gzip", b"no gzip", id="no gzip"),
        pytest.param("gzip", TEXT, id="JSON that is said to be gzip"),
        pytest.param("gzip", zlib.compress(TEXT), id="deflate that is said to be gzip"),
        pytest.param("gzip", bytes([*ZIPPED[:-8], *(byte ^ 255 for byte in ZIPPED[-8:])]), id="a wrong check sum"),
        pytest.param("deflate", TEXT, id="JSON that is said to be deflate"),
        pytest.param("gzip, gzip", ZIPPED, id="gzip once that is said to be twice"),
    ],
)
def test_broken_compressed_data_is_an_error(coding: str, body: bytes) -> None:
    for pieces in ([body], single(body)):
        with pytest.raises(DecodingError, match="its compression is broken"):
            decoded(coding, pieces)


@pytest.mark.parametrize("coding", ["br", "zstd", "compress", "gzip, br", "gzip, gzip, gzip, gzip, gzip"])
def test_a_coding_outside_accept_encoding_is_an_error(coding: str) -> None:
    with pytest.raises(DecodingError, match="it is compressed"):
        Decoder(coding)


def test_every_coding_of_accept_encoding_can_be_read() -> None:
    assert decoded(ACCEPTED, [zlib.compress(ZIPPED)]) == TEXT


def bomb(size: int, times: int = 1) -> bytes:
    """So many zero bytes, compressed so many times."""
    packed = gzip.compress(bytes(2**24), 1) * (size // 2**24)
    return packed if times == 1 else gzip.compress(packed)


@pytest.mark.parametrize("times", [1, 2])
def test_each_step_is_bounded_and_nothing_is_decompressed_ahead(times: int) -> None:
    packed = bomb(2**27, times)
    decoder = Decoder(", ".join(["gzip"] * times))
    tracemalloc.start()
    steps = list(islice(map(len, decoder.feed(packed)), 1000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(steps) <= STEP_BYTES
    assert sum(steps) > 900 * STEP_BYTES
    assert peak < 2**20


@pytest.mark.parametrize("coding", [None, "gzip"])
def test_a_step_gives_as_much_as_a_read_of_a_socket(coding: str | None) -> None:
    body = bytes(2**16 + 1)
    assert [len(step) for step in Decoder(coding).feed(gzip.compress(body) if coding else body)] == [2**16, 1]


def test_steps_that_end_at_their_limit_lose_nothing() -> None:
    noise = random.Random(1).randbytes(3 * STEP_BYTES)
    for size in (STEP_BYTES - 1, STEP_BYTES, STEP_BYTES + 1, 2 * STEP_BYTES, 3 * STEP_BYTES):
        for data in (noise[:size], bytes(size)):
            assert decoded("gzip", [gzip.compress(data)]) == data
            assert decoded("deflate", [bare(data)]) == data


# -- whole bodies --------------------------------------------------------------------------------------------------------


def collected(coding: str | None, *pieces: bytes, refusal: bool = False) -> bytes:
    body = Body(coding, refusal=refusal)
    for piece in pieces:
        feed(body, piece)
    return body.finish()


def feed(body: Body, piece: bytes) -> None:
    for _ in body.steps(piece):
        pass


@pytest.mark.parametrize("refusal", [False, True])
def test_the_steps_of_a_body_are_collected(refusal: bool) -> None:
    assert collected(None, refusal=refusal) == b""
    assert collected(None, TEXT[:9], TEXT[9:], refusal=refusal) == TEXT
    assert collected("gzip", *single(ZIPPED), refusal=refusal) == TEXT


def test_an_answer_may_be_as_large_as_the_limit_however_small_it_was_packed_and_no_larger() -> None:
    body = Body("gzip", refusal=False)
    feed(body, bomb(REPLY_BYTES))
    assert body.wants

    with pytest.raises(BodyTooLargeError, match="larger than 256 MiB") as caught:
        feed(body, gzip.compress(b"{"))
    assert caught.value.beginning == bytes(REFUSAL_BYTES)
    assert not body.wants


@pytest.mark.parametrize(
    ("coding", "body", "read"),
    [
        pytest.param(None, bytes(REFUSAL_BYTES + 1), bytes(REFUSAL_BYTES), id="endless"),
        pytest.param("gzip", bomb(64 * 2**20), bytes(REFUSAL_BYTES), id="a bomb"),
        pytest.param("gzip", ZIPPED[:-4], TEXT, id="ended too early"),
        pytest.param("gzip", b"no gzip", b"", id="broken"),
        pytest.param("gzip", ZIPPED[:-8] + bytes(8), TEXT, id="broken at its end"),
        pytest.param("br", b"...", b"", id="not asked for"),
    ],
)
def test_a_refusal_is_cut_where_it_cannot_be_read_any_further(coding: str | None, body: bytes, read: bytes) -> None:
    assert collected(coding, body, refusal=True) == read


@pytest.mark.parametrize("more", [-1, 0, 1])
def test_four_mebibytes_are_read_of_a_refusal(more: int) -> None:
    body = Body(None, refusal=True)
    feed(body, bytes(4 * 2**20 + more))

    assert len(body.finish()) == 4 * 2**20 + min(more, 0)
    assert body.wants is (more < 0)


def test_a_body_that_is_taken_as_it_comes_is_not_kept_and_may_be_of_any_length() -> None:
    body = Body("gzip", refusal=False)
    taken = b""
    for piece in single(ZIPPED):
        feed(body, piece)
        taken += body.take()

    assert taken == TEXT
    assert body.take() == b""
    plain, piece = Body(None, refusal=False), bytes(2**24)
    for _ in range(REPLY_BYTES // 2**24 + 1):
        feed(plain, piece)
        assert plain.take() == piece


def test_a_refusal_that_reached_its_limit_reads_no_more() -> None:
    body = Body("gzip", refusal=True)
    assert len(list(body.steps(bomb(64 * 2**20)))) < REFUSAL_BYTES / STEP_BYTES
    assert not body.wants


def test_a_broken_answer_is_an_error() -> None:
    with pytest.raises(DecodingError, match="its compression is broken"):
        collected("gzip", b"no gzip")
    with pytest.raises(DecodingError, match="ended before its compression did"):
        collected("gzip", gzip.compress(TEXT + b"...")[:-4])


def test_an_answer_that_lacks_its_check_sum_alone_is_not_lost() -> None:
    assert collected("gzip", ZIPPED[:-4]) == TEXT
