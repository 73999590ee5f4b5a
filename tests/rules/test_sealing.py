"""Encryption of stored values: where each opens and where not, and the key in a file of its owner."""

from __future__ import annotations

import hashlib
import hmac
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import msgspec
import pytest

from venice_ai import InvalidArgumentError, VeniceError
from venice_ai.tee.sealing import Sealing, hashed

KEY = bytes(range(32))
posix = pytest.mark.skipif(sys.platform == "win32", reason="modes are those of POSIX")


class Row(msgspec.Struct):
    a: int


def test_without_a_key_everything_stays_as_it_is() -> None:
    plain = Sealing(None, None)

    assert plain.seal(b'{"a": 1}', 1, "record") == b'{"a": 1}'
    assert plain.open(b'{"a": 1}', 7, "other", Row) == Row(1)
    assert plain.open(b"7", 7, "other") == 7
    assert (plain.secret, plain.check) == (b"", "")


def test_an_encrypted_value_opens_only_in_its_own_row_and_column() -> None:
    sealing = Sealing(KEY, None)
    one, other = sealing.seal(b'{"a": 1}', 1, "record"), sealing.seal(b'{"a": 1}', 1, "record")

    assert one != other
    assert b'{"a": 1}' not in one
    assert len(one) == 12 + 8 + 16
    assert sealing.open(one, 1, "record") == {"a": 1}
    assert Sealing(KEY, None).open(other, 1, "record", Row) == Row(1)
    for row, kind, stored in (
        (2, "record", one),
        (1, "answer", one),
        (1, "request", one),
        (1, "record", one[:-1]),
        (1, "record", one[1:]),
    ):
        with pytest.raises(VeniceError, match=f"entry {row} of the {'file' if kind == 'record' else 'journal'} cannot be read"):
            sealing.open(stored, row, kind)
    with pytest.raises(VeniceError, match="cannot be read"):
        Sealing(KEY[::-1], None).open(one, 1, "record")


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
@pytest.mark.parametrize("stored", [None, b"", b"{", b'{"a": "x"}'], ids=repr)
def test_stored_json_of_another_shape_is_reported_as_damage(key: bytes | None, stored: bytes | None) -> None:
    with pytest.raises(VeniceError, match="the file is damaged, or was changed"):
        Sealing(key, None).open(stored, 1, "answer", Row)


def test_the_check_tells_keys_apart_and_the_purpose_tells_hashes_apart() -> None:
    one, same, other = Sealing(KEY, None), Sealing(KEY, None), Sealing(KEY[::-1], None)

    assert (one.check, one.secret) == (same.check, same.secret)
    assert one.check != other.check
    assert one.secret != other.secret
    assert one.secret.hex() != one.check
    assert hashed(b"p", b"data") == hashlib.sha256(b"p\0data").digest()[:16]
    assert hashed(b"p", b"data", b"s") == hmac.digest(b"s", b"p\0data", "sha256")[:16]


@pytest.mark.parametrize("key", [b"", KEY[:31], KEY + b"0", "a" * 32, 7], ids="{!r:.10}".format)
def test_a_key_has_32_bytes(key: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="key, or what key_file holds, must be 32 bytes"):
        Sealing(key, None)


def test_a_key_and_a_file_are_not_both_given(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="not both"):
        Sealing(KEY, tmp_path / "key")
    assert not (tmp_path / "key").exists()


@posix
def test_a_file_is_made_for_its_owner_and_holds_the_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    made = Sealing(None, path)

    assert path.stat().st_mode & 0o777 == 0o600
    assert made.check == Sealing(bytes.fromhex(path.read_text()), None).check == Sealing(None, str(path)).check
    assert [each.name for each in tmp_path.iterdir()] == ["key"]


@posix
def test_those_who_make_one_key_file_at_once_share_its_key(tmp_path: Path) -> None:
    for number in range(5):
        path, ready = tmp_path / f"key-{number}", Barrier(8)

        def made(path: Path = path, ready: Barrier = ready) -> str:
            ready.wait(10)
            return Sealing(None, path).check

        with ThreadPoolExecutor(8) as pool:
            assert len({each.result() for each in [pool.submit(made) for _ in range(8)]}) == 1


@posix
@pytest.mark.parametrize("mode", [0o600, 0o400, 0o700, 0o610, 0o620, 0o640, 0o601, 0o602, 0o604])
def test_a_key_that_others_may_read_or_change_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    path.write_text(KEY.hex(), "ascii")
    path.chmod(mode)
    if mode & 0o077:
        with pytest.raises(InvalidArgumentError, match="can be read or written by others"):
            Sealing(None, path)
    else:
        assert Sealing(None, path).check == Sealing(KEY, None).check


@pytest.mark.parametrize("text", ["zz" * 32, "ü" * 64, "00" * 31, ""], ids="{!r:.8}".format)
def test_a_file_that_holds_no_key_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key"
    path.write_text(text, "utf-8")
    path.chmod(0o600)

    with pytest.raises(InvalidArgumentError, match=r"cannot be made or read|must be 32 bytes"):
        Sealing(None, path)


def test_a_file_that_cannot_be_made_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"key_file='.*key' cannot be made or read: FileNotFoundError"):
        Sealing(None, tmp_path / "absent" / "key")
