"""Keccak-256 as Ethereum uses it: the sponge with the original padding (0x01), which is not SHA3-256 (0x06).

Addresses and signed messages of the enclaves are made with it, and the standard library does not have it. The permutation
works on 25 lanes of 64 bits, `lanes[x + 5 * y]`; its rotations and its round constants are worked out once, from their rules.
https://keccak.team/keccak_specs_summary.html
"""

from __future__ import annotations

from itertools import pairwise

_RATE = 136  # bytes absorbed at a time: 1600 bits less twice the 256 of the digest
_MASK = 2**64 - 1


def keccak256(data: bytes | bytearray | memoryview) -> bytes:
    """The 32 bytes of Keccak-256 of some bytes."""
    padded = bytearray(data) + bytes(_RATE - len(data) % _RATE)
    padded[len(data)] ^= 0x01
    padded[-1] ^= 0x80
    lanes = [0] * 25
    for start, end in pairwise(range(0, len(padded) + 1, _RATE)):
        block = padded[start:end]
        for lane in range(_RATE // 8):
            lanes[lane] ^= int.from_bytes(block[lane * 8 : lane * 8 + 8], "little")
        lanes = _permuted(lanes)
    return b"".join(lane.to_bytes(8, "little") for lane in lanes[:4])


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


def _moves() -> list[tuple[int, int, int, int]]:
    """For each lane after the steps rho and pi: where it comes from, its column there, and how far it turns left and right."""
    turns = {(0, 0): 0}
    x, y = 1, 0
    for step in range(24):
        turns[x, y] = (step + 1) * (step + 2) // 2 % 64
        x, y = y, (2 * x + 3 * y) % 5
    moves = [(0, 0, 0, 0)] * 25
    for (x, y), turn in turns.items():
        moves[y + 5 * ((2 * x + 3 * y) % 5)] = (x + 5 * y, x, turn, 64 - turn)
    return moves


def _constants() -> list[int]:
    """The constants of the 24 rounds, from a shift register of eight bits."""
    constants: list[int] = []
    register = 1
    for _ in range(24):
        constant = 0
        for power in range(7):
            if register & 1:
                constant ^= 1 << (2**power - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return constants


_MOVES = _moves()
_NEIGHBOURS = [(x + 5 * y, (x + 1) % 5 + 5 * y, (x + 2) % 5 + 5 * y) for y in range(5) for x in range(5)]
_CONSTANTS = _constants()
