"""Confidential compute: messages sealed to a model's enclave, after the enclave has proved what it is.

The names here need no extra; verifying and sealing need `pip install 'venice-chat[e2ee]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import TeeAttestationError, TeeDowngradeWarning, TeeEncryptionError, TeeError
from ..types.attestation import AttestationReport, Check, Gpu, SignatureReport, Tcb, Td, Workload

# fmt: off
# isort: off
from .types import INTEL_AND_NVIDIA, CollateralProvider, Evidence, FullQuoteVerifier, Level, MeasurementPins, OsImage
from .types import QuoteVerifier, TeeOptions, TrustRoots

if TYPE_CHECKING:
    from .session import TeeSession as TeeSession
else:

    def __getattr__(name: str) -> object:
        if name != "TeeSession":  # it needs the extra
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import session

        return session.TeeSession

__all__ = [
    "INTEL_AND_NVIDIA", "AttestationReport", "Check", "CollateralProvider", "Evidence", "FullQuoteVerifier", "Gpu", "Level",
    "MeasurementPins", "OsImage", "QuoteVerifier", "SignatureReport", "Tcb", "Td", "TeeAttestationError",
    "TeeDowngradeWarning", "TeeEncryptionError", "TeeError", "TeeOptions", "TrustRoots", "Workload",
]
