"""Verifies that Intel's hardware signed a quote: from Intel's root certificate to the trust domain's measurements.

    root -> platform CA -> the platform's certificate (PCK) -> the quoting enclave's report -> attestation key -> the quote

All of it is in the quote itself, and the root is pinned. Whether Intel has revoked the platform since takes collateral.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from .certificates import check_chain as check_links
from .certificates import is_signed, load
from .quote import Quote
from .types import INTEL_ROOT_SHA256

_QE_SIGNER: Final = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
_QE_PRODUCT: Final = 2


@lru_cache(maxsize=64)
def certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    """The certificates of a quote, the platform's first."""
    return load(pem, 3)


def check_chain(chain: Sequence[x509.Certificate], now: float, root_der: bytes | None) -> None:
    """Checks that a chain ends in the trusted root, and every certificate is valid now and issued by the next."""
    check_links(chain, INTEL_ROOT_SHA256 if root_der is None else hashlib.sha256(root_der).hexdigest())
    try:
        at = datetime.fromtimestamp(now, UTC)
    except (ValueError, OverflowError, OSError):
        raise ValueError(f"{now!r} is not a time at which a certificate could be valid") from None
    for depth, certificate in enumerate(chain):
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise ValueError(f"the certificate {certificate.subject.rfc4514_string()} is not valid at {at:%Y-%m-%d %H:%M} UTC")
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            raise ValueError("a certificate of the quote does not say whether it is a CA") from None
        if constraints.ca is not (depth > 0) or (constraints.path_length is not None and constraints.path_length < depth - 1):
            raise ValueError("a certificate of the quote is a CA and must not be, or must be one and is not")


def check_qe_report(quote: Quote, pck: x509.Certificate, *, intel: bool = True) -> None:
    """Checks that the platform signed the report of Intel's quoting enclave (under a test root: any), which owns the key."""
    report = quote.qe_report
    if not is_signed(report, quote.qe_signature, pck.public_key(), ec.SECP256R1, SHA256()):
        raise ValueError("the platform did not sign the quoting enclave's report")
    if report[320:352] != hashlib.sha256(quote.attestation_key + quote.qe_auth).digest() or any(report[352:384]):
        raise ValueError("the quoting enclave's report is about another attestation key")
    if (intel and report[128:160] != _QE_SIGNER) or int.from_bytes(report[256:258], "little") != _QE_PRODUCT:
        raise ValueError("the quoting enclave is not Intel's")
    if report[48] & 2:
        raise ValueError("the quoting enclave runs in debug mode")


def check_signature(quote: Quote) -> str:
    """Checks that the attestation key signed the quote's header and body."""
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError:
        raise ValueError("the attestation key is not a point of its curve") from None
    if not is_signed(quote.signed, quote.signature, key, ec.SECP256R1, SHA256()):
        raise ValueError("the attestation key did not sign this quote")
    return "by the attestation key"
