"""Confidential compute: messages sealed to a model's enclave, after the enclave has proved what it is.

The names here need no extra; verifying and sealing need `pip install 'venice-chat[e2ee]'`. They are loaded when they are first
used: every chat looks whether it is to be encrypted, and most are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..exceptions import TeeAttestationError, TeeDowngradeWarning, TeeEncryptionError, TeeError
    from .report import AttestationReport, Check, Gpu, SignatureReport, Tcb, Td, Workload
    from .session import TeeSession
    from .types import (
        INTEL_AND_NVIDIA,
        CollateralProvider,
        Evidence,
        FullQuoteVerifier,
        Level,
        MeasurementPins,
        OsImage,
        QuoteVerifier,
        TeeOptions,
        TrustRoots,
    )

_HOMES = {
    "INTEL_AND_NVIDIA": ".types",
    "AttestationReport": ".report",
    "Check": ".report",
    "CollateralProvider": ".types",
    "Evidence": ".types",
    "FullQuoteVerifier": ".types",
    "Gpu": ".report",
    "Level": ".types",
    "MeasurementPins": ".types",
    "OsImage": ".types",
    "QuoteVerifier": ".types",
    "SignatureReport": ".report",
    "Tcb": ".report",
    "Td": ".report",
    "TeeAttestationError": "..exceptions",
    "TeeDowngradeWarning": "..exceptions",
    "TeeEncryptionError": "..exceptions",
    "TeeError": "..exceptions",
    "TeeOptions": ".types",
    "TeeSession": ".session",
    "TrustRoots": ".types",
    "Workload": ".report",
}

__all__ = [
    "INTEL_AND_NVIDIA",
    "AttestationReport",
    "Check",
    "CollateralProvider",
    "Evidence",
    "FullQuoteVerifier",
    "Gpu",
    "Level",
    "MeasurementPins",
    "OsImage",
    "QuoteVerifier",
    "SignatureReport",
    "Tcb",
    "Td",
    "TeeAttestationError",
    "TeeDowngradeWarning",
    "TeeEncryptionError",
    "TeeError",
    "TeeOptions",
    "TeeSession",
    "TrustRoots",
    "Workload",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(home, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOMES.keys())
