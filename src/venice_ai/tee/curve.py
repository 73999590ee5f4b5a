"""secp256k1: key pairs, the secret that two of them share, and signatures.

By libsecp256k1 (`coincurve`) where it is installed, else by OpenSSL, which takes about eight times as long; both refuse points
that are not on the curve. The key of a signer is recovered here: https://www.secg.org/sec1-v2.pdf, 4.1.6
"""

from __future__ import annotations

import secrets
from functools import lru_cache
from importlib import import_module
from typing import Any, NoReturn, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .certificates import is_signed

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""The order of the curve's group; private keys are below it."""
POINT_BYTES = 65
_P = 2**256 - 2**32 - 977
_Point: TypeAlias = tuple[int, int, int]  # Jacobian coordinates: X / Z^2 and Y / Z^3; with a Z of 0 the point at infinity
_BASE: _Point = (
    0x79BE667E_F9DCBBAC_55A06295_CE870B07_029BFCDB_2DCE28D9_59F2815B_16F81798,
    0x483ADA77_26A3C465_5DA4FBFC_0E1108A8_FD17B448_A6855419_9C47D08F_FB10D4B8,
    1,
)


class InMemory:
    """A private key, or what holds one, in memory only: neither `repr` nor pickle gives it away."""

    __slots__ = ()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a private key cannot be pickled or copied")


class OpenSslKey(InMemory):
    """A private key of the package `cryptography`. Its public key has 65 bytes: 04, X, Y."""

    __slots__ = ("_key", "public_key")

    def __init__(self, secret: bytes | None = None) -> None:
        curve, number = ec.SECP256K1(), None if secret is None else int.from_bytes(secret, "big")
        self._key = ec.generate_private_key(curve) if number is None else ec.derive_private_key(number, curve)
        self.public_key: bytes = self._key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    def shared_x(self, point: bytes, *, single_use: bool) -> bytes:  # it is safe in any case
        """The X coordinate of the point that this key and the owner of `point` share. A `single_use` key does nothing else."""
        other = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), _checked(point))
        return self._key.exchange(ec.ECDH(), other)


class CoincurveKey(InMemory):
    """A private key of the package `coincurve`; see `OpenSslKey`."""

    __slots__ = ("_secret", "public_key")

    def __init__(self, secret: bytes | None = None) -> None:
        # Not its PrivateKey, which computes two more forms of the public key. An invalid key is as likely as a right guess.
        self._secret: bytes = secrets.token_bytes(32) if secret is None else secret
        self.public_key: bytes = _coincurve.PublicKey.from_secret(self._secret).format(compressed=False)

    def shared_x(self, point: bytes, *, single_use: bool) -> bytes:
        """See `OpenSslKey`."""
        # The library multiplies a given point in a time that depends on the factor. A factor that is used again is split at
        # random, so that no measurement, however often it is repeated, is of the key itself: k P = r P + (k - r) P.
        other = _coincurve.PublicKey(_checked(point))
        if single_use:
            return bytes(other.multiply(self._secret).format()[1:])
        part = secrets.token_bytes(32)
        rest = (int.from_bytes(self._secret, "big") - int.from_bytes(part, "big")) % ORDER  # 0, which raises, is as unlikely
        shared = other.multiply(part).combine([other.multiply(rest.to_bytes(32, "big"))])
        return bytes(shared.format()[1:])


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


@lru_cache  # a gateway shows the same signatures each time
def signed_by(public_key: bytes, digest: bytes, signature: bytes) -> bool:
    """Whether the owner of a public key signed a digest: r, s and, not looked at, v. Both possible values of s are accepted."""
    key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    # The digest is Keccak's; Prehashed wants to know no more than its length, and no digest of another is signed.
    hashed = Prehashed(SHA256())
    return len(signature) == 65 and is_signed(digest, signature[:64], key, ec.SECP256K1, hashed)


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The public key whose owner signed a digest; `None` if no key can have made this signature (r, s and v: 65 bytes)."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    if (len(signature), len(digest)) != (65, 32) or not (r and s and max(r, s) < ORDER) or signature[64] not in {0, 1, 27, 28}:
        return None
    # The point of the curve whose X coordinate is r, and whose Y is even or odd as v says.
    y = pow(r**3 + 7, (_P + 1) // 4, _P)
    if (y * y - r**3 - 7) % _P:
        return None
    point = r, (y if y & 1 == (signature[64] in {1, 28}) else _P - y), 1
    # The key is the point times s, less the base point times the digest, divided by r.
    inverse = pow(r, -1, ORDER)
    x, y, z = _combined((s * inverse % ORDER, point), (-int.from_bytes(digest, "big") * inverse % ORDER, _BASE))
    if not z:
        return None
    return b"\x04" + (x * pow(z, -2, _P) % _P).to_bytes(32, "big") + (y * pow(z, -3, _P) % _P).to_bytes(32, "big")


def compressed(public_key: bytes) -> bytes:
    """A public key of 65 bytes in 33."""
    return bytes([2 + (public_key[-1] & 1)]) + public_key[1:33]


def _combined(*terms: tuple[int, _Point]) -> _Point:
    """The sum of points times factors, in a time that depends on these: for what is public."""
    total = (0, 1, 0)
    for bit in reversed(range(ORDER.bit_length())):
        total = _sum(total, total)
        for factor, point in terms:
            if factor >> bit & 1:
                total = _sum(total, point)
    return total


def _sum(one: _Point, other: _Point) -> _Point:
    """The sum of a point and itself, or one whose Z is 1, by https://hyperelliptic.org/EFD/g1p/auto-shortw-jacobian-0.html."""
    (x1, y1, z1), (x2, y2, _) = one, other
    if not z1:
        return other
    if one is not other:
        h, r = x2 * z1 * z1 % _P - x1, y2 * z1**3 % _P - y1
        if h or r:
            x = (r * r - h**3 - 2 * x1 * h * h) % _P
            return x, (r * (x1 * h * h - x) - y1 * h**3) % _P, h * z1 % _P
    square = y1 * y1 % _P
    m, s = 3 * x1 * x1 % _P, 4 * x1 * square % _P
    x = (m * m - 2 * s) % _P
    return x, (m * (s - x) - 8 * square * square) % _P, 2 * y1 * z1 % _P


try:
    _coincurve: Any = import_module("coincurve")
except ImportError:
    _coincurve = None
KINDS: tuple[type[PrivateKey], ...] = (OpenSslKey,) if _coincurve is None else (CoincurveKey, OpenSslKey)
"""The kinds of keys that can be made here, the fastest first."""
Key = KINDS[0]  # the kind that is made
