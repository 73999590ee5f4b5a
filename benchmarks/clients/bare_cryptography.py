"""Envelopes by nothing but the package `cryptography`: the steps that the protocol asks for, and no check."""

import os
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.envelopes import CLIENT_SECRET, ENCLAVE_SECRET, TEXT

_CURVE = ec.SECP256K1()
_POINT_BYTES, _HEAD_BYTES = 65, 77


def seal(count: int) -> int:
    """Each text under a key of its own, as a client seals messages."""
    to = private(ENCLAVE_SECRET).public_key()
    return sum((len(_sealed(to, ec.generate_private_key(_CURVE))) - 186) // 2 for _ in range(count))


def open_reused(count: int) -> int:
    """All under one key, as a server seals the chunks of an answer."""
    return _opened(envelopes(count, reused=True))


def open_fresh(count: int) -> int:
    """Each under a key of its own."""
    return _opened(envelopes(count, reused=False))


def _opened(envelopes: list[str]) -> int:
    own, length = private(CLIENT_SECRET), 0
    ciphers: dict[bytes, AESGCM] = {}
    for envelope in envelopes:
        raw = bytes.fromhex(envelope)
        sender = raw[:_POINT_BYTES]
        if sender not in ciphers:
            ciphers[sender] = _cipher(own, ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, sender))
        length += len(ciphers[sender].decrypt(raw[_POINT_BYTES:_HEAD_BYTES], raw[_HEAD_BYTES:], None).decode())
    return length


@cache
def envelopes(count: int, *, reused: bool) -> list[str]:
    """What a server sent."""
    to, one = private(CLIENT_SECRET).public_key(), ec.generate_private_key(_CURVE)
    return [_sealed(to, one if reused else ec.generate_private_key(_CURVE)) for _ in range(count)]


def _sealed(to: ec.EllipticCurvePublicKey, ephemeral: ec.EllipticCurvePrivateKey) -> str:
    nonce = os.urandom(12)
    head = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint) + nonce
    return (head + _cipher(ephemeral, to).encrypt(nonce, TEXT, None)).hex()


def _cipher(own: ec.EllipticCurvePrivateKey, other: ec.EllipticCurvePublicKey) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, b"ecdsa_encryption").derive(own.exchange(ec.ECDH(), other)))


@cache
def private(secret: bytes) -> ec.EllipticCurvePrivateKey:
    """A key."""
    return ec.derive_private_key(int.from_bytes(secret, "big"), _CURVE)
