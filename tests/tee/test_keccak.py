"""Keccak-256: known answers of the original padding, at every edge of the sponge's block."""

from __future__ import annotations

import pytest

from venice_ai.tee.keccak import keccak256

# Of the Keccak team's own test vectors (ShortMsgKAT_256.txt), of Ethereum's documents, and of pycryptodome 3.23.
KNOWN = [
    pytest.param(b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470", id="nothing"),
    pytest.param(b"\xcc", "eead6dbfc7340a56caedc044696a168870549a6a7f6f56961e84a54bd9970b8a", id="a byte"),
    pytest.param(b"abc", "4e03657aea45a94fc7d47ba826c8d667c0d1e6e33a64a036ec44f58fa12d6c45", id="three bytes"),
    pytest.param(
        b"The quick brown fox jumps over the lazy dog",
        "4d741b6f1eb29cb2a9b9911c82f56fa8d73b04959d3d9d222895df6c0b28aa15",
        id="a sentence",
    ),
    pytest.param(b"a" * 135, "34367dc248bbd832f4e3e69dfaac2f92638bd0bbd18f2912ba4ef454919cf446", id="a byte below a block"),
    pytest.param(b"a" * 136, "a6c4d403279fe3e0af03729caada8374b5ca54d8065329a3ebcaeb4b60aa386e", id="a block"),
    pytest.param(b"a" * 137, "d869f639c7046b4929fc92a4d988a8b22c55fbadb802c0c66ebcd484f1915f39", id="a byte above a block"),
    pytest.param(b"a" * 272, "cf7fcd4f705ee749930d19ca84561a9bf62516bd90a471545fa2f49fdc7e63c8", id="two blocks"),
]


@pytest.mark.parametrize(("data", "digest"), KNOWN)
def test_keccak_256_gives_the_known_answers(data: bytes, digest: str) -> None:
    assert keccak256(data).hex() == digest


def test_keccak_256_is_not_sha3_256() -> None:
    assert keccak256(b"").hex() != "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"


def test_keccak_256_hashes_any_bytes() -> None:
    assert keccak256(bytearray(b"abc")) == keccak256(memoryview(b"abc")) == keccak256(b"abc")
