"""Encryption of what a file such as a journal holds: AES-256-GCM, a new nonce for each text, bound to its row and its kind.

A text that was put into another row or column does not open. The hashes by which requests are found take a second key, made of
the first. Without a key the JSON stands as it is; in a journal after it a byte 0, which no JSON has, and a checksum (CRC-32).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import zlib
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from ..exceptions import InvalidArgumentError, VeniceError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

T = TypeVar("T")
_KEY_SIZE: Final = 32


class Sealing:
    """The encryption with a key, or with that of a file."""

    def __init__(self, key: bytes | None, key_file: str | os.PathLike[str] | None) -> None:
        self._cipher: AESGCM | None = None
        self.secret: bytes = b""  # the key of hashes; empty without encryption
        self.check: str = ""  # tells whether another key is the same, and nothing else about it
        if key is not None and key_file is not None:
            raise InvalidArgumentError("give key or key_file, not both")
        if (key := key if key_file is None else _key_in(Path(key_file))) is None:
            return
        if not isinstance(key, bytes) or len(key) != _KEY_SIZE:
            raise InvalidArgumentError(f"key, or what key_file holds, must be {_KEY_SIZE} bytes, as of os.urandom({_KEY_SIZE})")
        from .extra import require_extra

        require_extra()
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # of an extra

        self._cipher = AESGCM(key)
        self.secret, self.check = hashed(b"hashes", b"", key), hashed(b"check", b"", key).hex()

    def seal(self, content: bytes, row: int, kind: str) -> bytes:
        """The content as it stands in the file."""
        place = f"{row} {kind}".encode()
        if self._cipher is None:
            return content if kind == "record" else b"%b\0%b" % (content, zlib.crc32(place + content).to_bytes(4))
        nonce = os.urandom(12)
        return nonce + self._cipher.encrypt(nonce, content, place)

    def open(self, stored: bytes | None, row: int, kind: str, shape: type[T] | Any = Any) -> T:
        """The JSON of the content, in its shape; a VeniceError if the file was changed."""
        try:
            stored, place = stored or b"", f"{row} {kind}".encode()
            if self._cipher is not None:
                stored = self._cipher.decrypt(stored[:12], stored[12:], place)
            elif stored[-5:-4] == b"\0":  # else an earlier release wrote it
                stored, checksum = stored[:-5], int.from_bytes(stored[-4:])
                if zlib.crc32(place + stored) != checksum:
                    raise ValueError("it was changed")
            return msgspec.convert(json.loads(stored), shape)
        except Exception:  # noqa: BLE001  # it is not JSON, or the extra's InvalidTag; both are told as one
            where = "file" if kind == "record" else "journal"
            raise VeniceError(f"entry {row} of the {where} cannot be read: the file is damaged, or was changed") from None


def hashed(purpose: bytes, data: bytes, secret: bytes = b"") -> bytes:
    """128 bits of SHA-256, or of its HMAC if there is a secret."""
    data = purpose + b"\0" + data
    return (hmac.digest(secret, data, "sha256") if secret else hashlib.sha256(data).digest())[:16]


def _key_in(path: Path) -> bytes:
    """The key in a file that only its owner may read; a new one if there is no such file."""
    try:
        if not path.exists():
            with NamedTemporaryFile("w", dir=path.parent) as new:  # whose mode is 600
                new.write(f"{os.urandom(_KEY_SIZE).hex()}\n")
                new.flush()
                os.fsync(new.fileno())
                with suppress(FileExistsError):  # another process was faster
                    os.link(new.name, path)
        key, mode = bytes.fromhex(path.read_text("ascii")), path.stat().st_mode
    except (OSError, ValueError) as error:
        why = "it must hold 64 hexadecimal digits" if isinstance(error, ValueError) else type(error).__name__
        raise InvalidArgumentError(f"key_file={str(path)!r} cannot be made or read: {why}") from None
    if os.name == "posix" and mode & 0o077:
        raise InvalidArgumentError(f"key_file={str(path)!r} can be read or written by others; chmod 600 it")
    return key
