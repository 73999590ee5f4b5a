"""Envelopes and attestations by this package."""

import time
from functools import cache

from benchmarks.envelopes import CLIENT_SECRET, ENCLAVE_SECRET, TEXT
from venice_ai.emulator.enclave import Enclave
from venice_ai.emulator.enclave.hardware import Nvidia
from venice_ai.tee.attestation import verify as judge
from venice_ai.tee.crypto import Opener, Sealer
from venice_ai.tee.curve import KINDS, PrivateKey
from venice_ai.tee.types import CollectedEvidence

_MODEL = "e2ee-model"
_NONCE = bytes(range(32))
_FIRST_SIGHTS = 40


def seal(kind: str, count: int) -> int:
    make, to = KINDS[0 if kind == "fastest" else -1], _public(ENCLAVE_SECRET)
    return sum((len(Sealer(to, ephemeral=make()).seal(TEXT)) - 186) // 2 for _ in range(count))


def open_reused(kind: str, count: int) -> int:
    return _opened(kind, _envelopes(count, reused=True))


def open_fresh(kind: str, count: int) -> int:
    return _opened(kind, _envelopes(count, reused=False))


def _opened(kind: str, envelopes: list[str]) -> int:
    opener = Opener(_private(kind))
    return sum(len(opener.open(envelope).decode()) for envelope in envelopes)


@cache
def _envelopes(count: int, *, reused: bool) -> list[str]:
    one = Sealer(_public(CLIENT_SECRET))
    return [(one if reused else Sealer(_public(CLIENT_SECRET))).seal(TEXT) for _ in range(count)]


@cache
def _private(kind: str) -> PrivateKey:
    return KINDS[0 if kind == "fastest" else -1](CLIENT_SECRET)


@cache
def _public(secret: bytes) -> bytes:
    return KINDS[0](secret).public_key


def verify(model: str) -> int:
    """Verifies an attestation at the level `quote`, and answers 1 if it is good.

    `again` is one whose machine was seen before, `first` one of a machine that was not, `gpus` one with eight GPUs.
    """
    if model == "ready":
        return len(_firsts()) // _FIRST_SIGHTS
    enclave, reply = _firsts().pop() if model == "first" else _attested(8 if model == "gpus" else 0)
    options = enclave.options(verification="quote", gpu="verify-if-present" if model == "gpus" else "off")
    report = judge(CollectedEvidence(model=_MODEL, nonce=_NONCE, reply=reply, now=time.time()), options)
    return int(report.level == "quote" and len(report.gpus) == (8 if model == "gpus" else 0))


@cache
def _firsts() -> list[tuple[Enclave, bytes]]:
    return [_made(0) for _ in range(_FIRST_SIGHTS)]


@cache
def _attested(gpus: int) -> tuple[Enclave, bytes]:
    return _made(gpus)


def _made(gpus: int) -> tuple[Enclave, bytes]:
    enclave = Enclave()
    enclave.nvidia = Nvidia(enclave.nvidia.label, gpus=gpus or 1)
    return enclave, enclave.attestation(_MODEL, _NONCE)
