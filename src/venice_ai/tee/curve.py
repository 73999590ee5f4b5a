"""secp256k1: key pairs, and the secret that two of them share.

By libsecp256k1 (the package `coincurve`) where it is installed, else by OpenSSL (`cryptography`), which has no fast path for
this curve and takes about eight times as long. Both give the same bytes; both refuse points that are not on the curve.
"""

from __future__ import annotations

import secrets
from importlib import import_module
from typing import Any, NoReturn, TypeAlias

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
"""The order of the curve's group; private keys are below it."""
POINT_BYTES = 65


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


try:
    _coincurve: Any = import_module("coincurve")
except ImportError:
    _coincurve = None
KINDS: tuple[type[PrivateKey], ...] = (OpenSslKey,) if _coincurve is None else (CoincurveKey, OpenSslKey)
"""The kinds of keys that can be made here, the fastest first."""
Key = KINDS[0]
"""The kind that is made."""
