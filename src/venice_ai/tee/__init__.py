"""Confidential compute: messages sealed to a model's enclave, after the enclave has proved what it is.

The names here need no extra; verifying and sealing need `pip install 'venice-chat[e2ee]'`. They are loaded when they are first
used: every chat looks whether it is to be encrypted, and most are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

_NAMES = {
    ".types": (
        "INTEL_AND_NVIDIA CollateralProvider Evidence FullQuoteVerifier Level MeasurementPins OsImage QuoteVerifier "
        "TeeOptions TrustRoots"
    ),
    ".report": "AttestationReport Check Gpu SignatureReport Tcb Td Workload",
    "..exceptions": "TeeAttestationError TeeDowngradeWarning TeeEncryptionError TeeError",
    ".session": "TeeSession",
}
_HOMES = {name: home for home, names in _NAMES.items() for name in names.split()}

if TYPE_CHECKING:
    from ..exceptions import TeeAttestationError as TeeAttestationError
    from ..exceptions import TeeDowngradeWarning as TeeDowngradeWarning
    from ..exceptions import TeeEncryptionError as TeeEncryptionError
    from ..exceptions import TeeError as TeeError
    from .report import AttestationReport as AttestationReport
    from .report import Check as Check
    from .report import Gpu as Gpu
    from .report import SignatureReport as SignatureReport
    from .report import Tcb as Tcb
    from .report import Td as Td
    from .report import Workload as Workload
    from .session import TeeSession as TeeSession
    from .types import INTEL_AND_NVIDIA as INTEL_AND_NVIDIA
    from .types import CollateralProvider as CollateralProvider
    from .types import Evidence as Evidence
    from .types import FullQuoteVerifier as FullQuoteVerifier
    from .types import Level as Level
    from .types import MeasurementPins as MeasurementPins
    from .types import OsImage as OsImage
    from .types import QuoteVerifier as QuoteVerifier
    from .types import TeeOptions as TeeOptions
    from .types import TrustRoots as TrustRoots
else:
    globals()["__all__"] = sorted(_HOMES)  # a list that tools need not read: they see the imports above


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module as import_module

    value = globals()[name] = getattr(import_module(home, __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted(globals().keys() | _HOMES.keys())
