"""Keccak-256 as Ethereum uses it: the sponge with the original padding (0x01), which is not SHA3-256 (0x06).

The permutation works on 25 lanes of 64 bits, `lanes[x + 5 * y]`. https://keccak.team/keccak_specs_summary.html
"""

from __future__ import annotations

from struct import iter_unpack, pack

_RATE = 136  # bytes absorbed at a time: 1600 bits less twice the 256 of the digest
_MASK = 2**64 - 1


def keccak256(data: bytes | bytearray | memoryview) -> bytes:
    """The 32 bytes of Keccak-256 of some bytes."""
    padded = bytearray(data) + bytes(_RATE - len(data) % _RATE)
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for block in iter_unpack("<17Q", padded):
        lanes = _permuted([*map(int.__xor__, lanes, block), *lanes[17:]])
    return pack("<4Q", *lanes[:4])


def _permuted(lanes: list[int]) -> list[int]:
    for constant in _CONSTANTS:
        columns = [lanes[x] ^ lanes[x + 5] ^ lanes[x + 10] ^ lanes[x + 15] ^ lanes[x + 20] for x in range(5)]
        mixed = [columns[x - 1] ^ (columns[x - 4] << 1 & _MASK) ^ (columns[x - 4] >> 63) for x in range(5)]
        turned = [
            ((lane := lanes[origin] ^ mixed[column]) << left & _MASK) | lane >> right for origin, column, left, right in _MOVES
        ]
        lanes = [turned[here] ^ (~turned[after] & turned[second]) for here, after, second in _NEIGHBOURS]
        lanes[0] ^= constant
    return lanes


_TURNS = (0, 1, 62, 28, 27, 36, 44, 6, 55, 20, 3, 10, 43, 25, 39, 41, 45, 15, 21, 8, 18, 2, 61, 56, 14)
"""How far the step rho turns each lane to the left."""
# For each lane after the steps rho and pi: where it comes from, its column there, and how far it turns left and right.
_MOVES = [
    (lane, lane % 5, _TURNS[lane], 64 - _TURNS[lane])
    for lane in sorted(range(25), key=lambda lane: ((2 * (lane % 5) + 3 * (lane // 5)) % 5, lane // 5))
]
_NEIGHBOURS = [(x + 5 * y, (x + 1) % 5 + 5 * y, (x + 2) % 5 + 5 * y) for y in range(5) for x in range(5)]
_ROUNDS = """
1 8082 800000000000808A 8000000080008000 808B 80000001 8000000080008081 8000000000008009 8A 88 80008009 8000000A 8000808B
800000000000008B 8000000000008089 8000000000008003 8000000000008002 8000000000000080 800A 800000008000000A 8000000080008081
8000000000008080 80000001 8000000080008008
"""
_CONSTANTS = [int(constant, 16) for constant in _ROUNDS.split()]
