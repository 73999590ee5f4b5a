"""Encrypts texts to a public key and decrypts them (ECIES over secp256k1); addresses of such keys.

An envelope is the hex of: the sender's ephemeral public key (65 bytes), a nonce (12), and AES-256-GCM of the text with its
tag (16), under HKDF-SHA256 of the shared X coordinate. It says nothing about who sent it, or that it was not sent before.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache, partial

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from .curve import POINT_BYTES, InMemory, Key, PrivateKey, check_point
from .keccak import keccak256

NONCE_BYTES = 12
TAG_BYTES = 16
HEAD_BYTES = POINT_BYTES + NONCE_BYTES
MIN_ENVELOPE_DIGITS = 2 * (HEAD_BYTES + TAG_BYTES)

_HEX = re.compile(r"[0-9a-fA-F]*")
_CACHED_KEYS = 8


class EnvelopeError(ValueError):
    """An envelope that cannot be opened. The message holds nothing of what is in it."""


def public_key_bytes(text: str) -> bytes:
    """The public key written in 130 hex digits that begin with 04, or in the 128 after it: 65 bytes, a point of the curve."""
    try:
        digits = "04" + text if len(text) == 128 else text
        return check_point(bytes.fromhex(digits) if len(digits) == 130 else b"")
    except (ValueError, TypeError):
        raise ValueError("a public key is a point of secp256k1 in 130 hex digits from 04 on, or the 128 after that") from None


@lru_cache  # Keccak in Python takes longer than a signature, and a model keeps its key
def address(public_key: bytes) -> str:
    """The address of a public key (65 bytes): 0x and 40 lower-case hex digits."""
    return "0x" + keccak256(public_key[1:])[12:].hex()


def is_envelope(text: str) -> bool:
    """Whether a text has the shape of an envelope; it may still be one that cannot be opened."""
    return len(text) >= MIN_ENVELOPE_DIGITS and len(text) % 2 == 0 and text[:2] == "04" and _HEX.fullmatch(text) is not None


class Sealer:
    """Seals texts to one public key (65 bytes) with one ephemeral key: a new one, unless it is given."""

    def __init__(self, public_key: bytes, *, ephemeral: PrivateKey | None = None) -> None:
        own = Key() if ephemeral is None else ephemeral
        self._head = own.public_key
        self._cipher = _cipher(own, public_key, single_use=ephemeral is None)

    def seal(self, text: bytes, *, nonce: bytes | None = None) -> str:
        """The envelope of a text. A nonce is only given where an answer is known; two texts must never share one."""
        nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
        return (self._head + nonce + self._cipher.encrypt(nonce, text, None)).hex()


def seal(public_key: bytes, text: bytes) -> str:
    """The envelope of a text for the owner of a public key (65 bytes), under an ephemeral key of its own."""
    return Sealer(public_key).seal(text)


class Opener(InMemory):
    """Opens envelopes with one private key, each once. The key is a new one, unless it is given."""

    def __init__(self, private: PrivateKey | None = None) -> None:
        own = Key() if private is None else private
        self.public_key: bytes = own.public_key  # the key to seal to, 65 bytes
        self._cipher_of = lru_cache(maxsize=_CACHED_KEYS)(partial(_cipher, own))  # many senders reuse their key
        self._opened: set[bytes] = set()

    def open(self, envelope: str) -> bytes:
        """The text in an envelope; an EnvelopeError if it was made for another key, changed, or opened before."""
        try:
            raw = bytes.fromhex(envelope)
        except ValueError:
            raise EnvelopeError("not hex") from None
        # fromhex() skips blanks, which an envelope does not have.
        if len(raw) * 2 != len(envelope) or len(raw) < HEAD_BYTES + TAG_BYTES:
            raise EnvelopeError("not an envelope")
        head = raw[:HEAD_BYTES]
        if head in self._opened:
            raise EnvelopeError("repeated")
        try:
            text = self._cipher_of(raw[:POINT_BYTES]).decrypt(raw[POINT_BYTES:HEAD_BYTES], raw[HEAD_BYTES:], None)
        except ValueError:
            raise EnvelopeError("its first 65 bytes are not a public key") from None
        except InvalidTag:
            raise EnvelopeError("it was changed, or made for another key") from None
        self._opened.add(head)
        return text


def _cipher(own: PrivateKey, other: bytes, *, single_use: bool = False) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, b"ecdsa_encryption").derive(own.shared_x(other, single_use=single_use)))
