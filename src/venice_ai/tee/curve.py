"""secp256k1: key pairs, the secret that two of them share, and signatures.

By libsecp256k1 (the package `coincurve`) where it is installed, else by OpenSSL (`cryptography`), which has no fast path for
this curve and takes about eight times as long. Both give the same bytes; both refuse points that are not on the curve.
Signers' keys are recovered by OpenSSL's key exchange, for in Python a multiplication takes 20 ms. It gives the X coordinate
alone; which of the two points is meant is found by adding the other factor once more. https://www.secg.org/sec1-v2.pdf, 4.1.6
"""

from __future__ import annotations

import secrets
from importlib import import_module
from typing import Any, NoReturn, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""The order of the curve's group; private keys are below it."""
POINT_BYTES = 65
_P = 2**256 - 2**32 - 977
_Point: TypeAlias = tuple[int, int]


class InMemory:
    """A private key, or what holds one, in memory only: neither `repr` nor pickle gives it away."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key cannot be pickled or copied")


class OpenSslKey(InMemory):
    """A private key of the package `cryptography`. Its public key has 65 bytes: 04, X, Y."""

    __slots__ = ("_key", "public_key")

    def __init__(self, secret: bytes | None = None) -> None:
        curve = ec.SECP256K1()
        self._key = (
            ec.generate_private_key(curve) if secret is None else ec.derive_private_key(int.from_bytes(secret, "big"), curve)
        )
        self.public_key: bytes = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def shared_x(self, point: bytes, *, single_use: bool = False) -> bytes:  # it is safe in any case
        """The X coordinate of the point that this key and the owner of `point` share. A `single_use` key does nothing else."""
        other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), _checked(point))
        return self._key.exchange(ec.ECDH(), other)


class CoincurveKey(InMemory):
    """The same by the package `coincurve`."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, secret: bytes | None = None) -> None:
        # Not its PrivateKey, which computes two more forms of the public key.
        self._secret: bytes = (secrets.randbelow(ORDER - 1) + 1).to_bytes(32, "big") if secret is None else secret
        self.public_key: bytes = _coincurve.PublicKey.from_secret(self._secret).format(compressed=False)

    def shared_x(self, point: bytes, *, single_use: bool = False) -> bytes:
        """See `OpenSslKey`."""
        # The library multiplies a given point in a time that depends on the factor. A factor that is used again is split at
        # random, so that no measurement, however often it is repeated, is of the key itself: k P = r P + (k - r) P.
        other = _coincurve.PublicKey(_checked(point))
        if single_use:
            return bytes(other.multiply(self._secret).format()[1:])
        part = secrets.randbelow(ORDER - 1) + 1
        rest = (int.from_bytes(self._secret, "big") - part) % ORDER
        if rest == 0:  # as likely as guessing the key
            return self.shared_x(point)
        shared = other.multiply(part.to_bytes(32, "big")).combine([other.multiply(rest.to_bytes(32, "big"))])
        return bytes(shared.format(compressed=False)[1:33])


PrivateKey: TypeAlias = OpenSslKey | CoincurveKey


def check_point(point: bytes) -> bytes:
    """Checks that 65 bytes are a point of the curve, and returns them."""
    if _coincurve is None:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), _checked(point))
    else:
        _coincurve.PublicKey(_checked(point))
    return point


def _checked(point: bytes) -> bytes:
    """Only the uncompressed form: the libraries take others, too."""
    if len(point) != POINT_BYTES or point[0] != 4:
        raise ValueError("not an uncompressed point")
    return point


def signed_by(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key signed a digest: r, s and, not looked at, v. Both possible values of s are accepted."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if len(signature) != 65 or len(digest) != 32 or not (r and s and max(r, s) < ORDER):
        return False
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    try:
        # The digest is Keccak's; Prehashed wants to know no more than its length.
        key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(SHA256())))
    except InvalidSignature:
        return False
    return True


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The public key whose owner signed a digest; `None` if no key can have made this signature (r, s and v: 65 bytes)."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if (
        (len(signature), len(digest)) != (65, 32)
        or not (0 < r < ORDER and 0 < s < ORDER)
        or signature[64] not in {0, 1, 27, 28}
    ):
        return None
    if (point := _lifted(r, odd=signature[64] in {1, 28})) is None:
        return None
    inverse = pow(r, -1, ORDER)
    # The key is the point times s, less the base point times the digest, divided by r.
    ours = _times(s * inverse % ORDER, point)
    base = -int.from_bytes(digest, "big") * inverse % ORDER
    key = _sum(ours, _base(base)) if base else ours
    return None if key is None else b"\x04" + key[0].to_bytes(32, "big") + key[1].to_bytes(32, "big")


def compressed(public_key: bytes) -> bytes:
    """A public key of 65 bytes in 33."""
    return bytes([2 + (public_key[-1] & 1)]) + public_key[1:33]


def _lifted(x: int, *, odd: bool) -> _Point | None:
    """The point of the curve with this X coordinate and an odd, or even, Y."""
    try:
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), bytes([2 + odd]) + x.to_bytes(32, "big"))
    except ValueError:
        return None
    return x, point.public_numbers().y


def _sum(one: _Point, other: _Point) -> _Point | None:
    """The sum of two points; None if it is the point at infinity."""
    if one[0] == other[0]:
        if (one[1] + other[1]) % _P == 0:
            return None
        slope = 3 * one[0] * one[0] * pow(2 * one[1], -1, _P)
    else:
        slope = (other[1] - one[1]) * pow(other[0] - one[0], -1, _P)
    x = (slope * slope - one[0] - other[0]) % _P
    return x, (slope * (one[0] - x) - one[1]) % _P


def _base(factor: int) -> _Point:
    numbers = ec.derive_private_key(factor, ec.SECP256K1()).public_key().public_numbers()
    return numbers.x, numbers.y


def _times(factor: int, point: _Point) -> _Point:
    """A point times a factor from 1 below the curve's order."""
    if factor in {1, ORDER - 1}:
        return point if factor == 1 else (point[0], _P - point[1])
    candidate = _lifted(_shared_x(factor, point), odd=False)
    assert candidate is not None, "a multiple of a point of the curve is one"
    following = _sum(candidate, point)
    right = following is not None and following[0] == _shared_x(factor + 1, point)
    return candidate if right else (candidate[0], _P - candidate[1])


def _shared_x(factor: int, point: _Point) -> int:
    theirs = ec.EllipticCurvePublicNumbers(*point, ec.SECP256K1()).public_key()
    return int.from_bytes(ec.derive_private_key(factor, ec.SECP256K1()).exchange(ec.ECDH(), theirs), "big")


try:
    _coincurve: Any = import_module("coincurve")
except ImportError:
    _coincurve = None
KINDS: tuple[type[PrivateKey], ...] = (OpenSslKey,) if _coincurve is None else (CoincurveKey, OpenSslKey)
"""The kinds of keys that can be made here, the fastest first."""
Key = KINDS[0]
"""The kind that is made."""
