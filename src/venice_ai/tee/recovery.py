"""Recovers the public key of the signer from a recoverable signature over secp256k1.

Points are multiplied by OpenSSL's key exchange, for in Python each takes 20 ms. It gives the X coordinate alone; which of the
two points with it is meant is found by adding the other factor once more. https://www.secg.org/sec1-v2.pdf, 4.1.6
"""

from __future__ import annotations

from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from .curve import ORDER

_P: Final = 2**256 - 2**32 - 977
_Point = tuple[int, int]


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
