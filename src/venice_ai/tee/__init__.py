"""Confidential compute: messages sealed to a model's enclave, after the enclave has proved what it is.

The names here need no extra; verifying and sealing need `pip install 'venice-chat[e2ee]'`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..exceptions import TeeAttestationError as TeeAttestationError
from ..exceptions import TeeDowngradeWarning as TeeDowngradeWarning
from ..exceptions import TeeEncryptionError as TeeEncryptionError
from ..exceptions import TeeError as TeeError
from ..types.attestation import AttestationReport as AttestationReport
from ..types.attestation import Check as Check
from ..types.attestation import Gpu as Gpu
from ..types.attestation import SignatureReport as SignatureReport
from ..types.attestation import Tcb as Tcb
from ..types.attestation import Td as Td
from ..types.attestation import Workload as Workload
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

if TYPE_CHECKING:
    from .session import TeeSession as TeeSession
else:

    def __getattr__(name: str) -> object:
        if name != "TeeSession":  # it needs the extra
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from . import session

        return session.TeeSession
