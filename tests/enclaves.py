"""Emulated enclaves whose certificates all tests of a process share: to make them takes as long as several tests."""

from __future__ import annotations

from functools import cache

from venice_ai.emulator.enclave import Enclave


@cache
def _made() -> Enclave:
    return Enclave()


def enclave_with_shared_certificates(*, fault: str | None = None) -> Enclave:
    """An enclave with a key and answers of its own; `Enclave()` has certificates of its own, too."""
    enclave = Enclave(fault=fault)
    enclave.intel, enclave.nvidia = _made().intel, _made().nvidia
    return enclave
