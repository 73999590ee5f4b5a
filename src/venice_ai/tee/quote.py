"""Parses a TDX quote, version 4, and verifies its chain: root, platform CA, PCK, quoting enclave, attestation key, quote.

The root is pinned. Every length must add up, with nothing but zero bytes after the last part. Offsets are those of Intel's
"TDX DCAP Quoting Library API", appendix "Quote format". Whether the platform was revoked takes collateral.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from .certificates import check_chain as check_links
from .certificates import is_signed
from .checks import fail_if
from .types import INTEL_ROOT_SHA256

LAYOUT: Final = {
    "signed": (0, 632),  # header and body, which the quote's signature covers
    "mrseam": (64, 112),
    "mrsignerseam": (112, 160),
    "seam_attributes": (160, 168),
    "attributes": (168, 176),
    "xfam": (176, 184),
    "mrtd": (184, 232),
    "mr_config_id": (232, 280),
    "mr_owner": (280, 328),
    "mr_owner_config": (328, 376),
    **{f"rtmr{number}": (376 + 48 * number, 424 + 48 * number) for number in range(4)},
    "report_data": (568, 632),
    "signature": (636, 700),
    "attestation_key": (700, 764),
    "qe_report": (770, 1154),
    "qe_signature": (1154, 1218),
}
"""The first and last offset of each field whose place is fixed."""
_BODY: Final = 48
_SIGNATURE_DATA: Final = 636
_QE_AUTH: Final = 1218
_FIXED_PART: Final = 134  # of the signature data: signature, key, and the head of the certification data
_PLACEHOLDER_BYTES: Final = 48
_MAX_PADDING: Final = 4096
_QE_SIGNER: Final = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
_QE_PRODUCT: Final = 2


class Quote(NamedTuple):
    """A quote whose lengths add up. The names of `LAYOUT` are its fields. Nothing here is verified yet."""

    raw: bytes
    qe_auth: bytes
    chain: bytes  # the certificates of the platform, PEM

    def __getattr__(self, name: str) -> bytes:
        if name not in LAYOUT:
            raise AttributeError(name)
        return self.raw[slice(*LAYOUT[name])]

    @property
    def rtmrs(self) -> tuple[bytes, bytes, bytes, bytes]:
        """The four registers of run-time measurements."""
        return self.rtmr0, self.rtmr1, self.rtmr2, self.rtmr3

    @property
    def domain(self) -> bytes:
        """The platform's module and the trust domain: all that the quote is about but the report data."""
        return self.signed[_BODY : LAYOUT["report_data"][0]]


def decode(text: object) -> bytes | None:
    """The bytes of a quote in hex or base64; None for what is not a quote at all: absent, a word, a handful of bytes."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise ValueError(f"intel_quote is not a string, but {type(text).__name__}")  # noqa: TRY004  # evidence, not an argument
    plain = text.removeprefix("0x")
    try:
        raw = bytes.fromhex(plain) if re.fullmatch("(?:[0-9a-fA-F]{2})*", plain) else base64.b64decode(text, validate=True)
    except ValueError:
        if len(text) < 2 * _PLACEHOLDER_BYTES:
            return None
        raise ValueError("intel_quote is neither hex nor base64") from None
    return raw if len(raw) >= _PLACEHOLDER_BYTES else None


def parse(raw: bytes) -> Quote:
    """The fields of a quote. One that is not of version 4 for TDX, or whose lengths do not add up, is a ValueError."""
    fail_if(len(raw) < _QE_AUTH + 2, f"a quote of {len(raw)} bytes is too short")

    def number(offset: int, size: int) -> int:
        return int.from_bytes(raw[offset : offset + size], "little")

    def expect(what: str, offset: int, size: int, expected: int) -> None:
        fail_if((found := number(offset, size)) != expected, f"{what} is {found}, not {expected}")

    expect("the quote's version", 0, 2, 4)
    expect("the type of its attestation key", 2, 2, 2)
    expect("the type of its TEE", 4, 4, 0x81)
    end = _SIGNATURE_DATA + number(632, 4)
    is_cut = end > len(raw) or len(raw) - end > _MAX_PADDING or any(raw[end:])
    fail_if(is_cut, "the length of its signature data is not what follows")
    expect("the type of its certification data", 764, 2, 6)
    expect("the size of its certification data", 766, 4, end - _SIGNATURE_DATA - _FIXED_PART)
    chain_at = _QE_AUTH + 2 + number(_QE_AUTH, 2)
    expect("the type of its inner certification data", chain_at, 2, 5)
    expect("the size of its certificates", chain_at + 2, 4, end - chain_at - 6)
    return Quote(raw, qe_auth=raw[_QE_AUTH + 2 : chain_at], chain=raw[chain_at + 6 : end])


def check_chain(chain: Sequence[x509.Certificate], now: float, root_der: bytes | None) -> None:
    """Checks that a chain ends in the trusted root, and every certificate is valid now and issued by the next."""
    check_links(chain, INTEL_ROOT_SHA256 if root_der is None else hashlib.sha256(root_der).hexdigest())
    at = datetime.fromtimestamp(now, UTC)
    for depth, certificate in enumerate(chain):
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise ValueError(f"the certificate {certificate.subject.rfc4514_string()} is not valid at {at:%Y-%m-%d %H:%M} UTC")
        try:
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
        except (x509.ExtensionNotFound, ValueError):
            raise ValueError("a certificate of the quote does not say whether it is a CA") from None
        if constraints.ca is not (depth > 0) or (constraints.path_length is not None and constraints.path_length < depth - 1):
            raise ValueError("a certificate of the quote is a CA and must not be, or must be one and is not")


def check_qe_report(quote: Quote, pck: x509.Certificate, *, intel: bool) -> None:
    """Checks that the platform signed the report of Intel's quoting enclave (under a test root: any), which owns the key."""
    report = quote.qe_report
    if not is_signed(report, quote.qe_signature, pck.public_key(), ec.SECP256R1, SHA256()):
        raise ValueError("the platform did not sign the quoting enclave's report")
    if report[320:352] != hashlib.sha256(quote.attestation_key + quote.qe_auth).digest() or any(report[352:384]):
        raise ValueError("the quoting enclave's report is about another attestation key")
    if (intel and report[128:160] != _QE_SIGNER) or int.from_bytes(report[256:258], "little") != _QE_PRODUCT:
        raise ValueError("the quoting enclave is not Intel's")
    fail_if(report[48] & 2, "the quoting enclave runs in debug mode")


def check_signature(quote: Quote) -> str:
    """Checks that the attestation key signed the quote's header and body."""
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + quote.attestation_key)
    except ValueError:
        raise ValueError("the attestation key is not a point of its curve") from None
    if not is_signed(quote.signed, quote.signature, key, ec.SECP256R1, SHA256()):
        raise ValueError("the attestation key did not sign this quote")
    return "by the attestation key"
