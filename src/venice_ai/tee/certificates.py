"""Chains of certificates that end in a pinned root: of Intel's platforms, of its signers, and of NVIDIA's GPUs.

A link that was verified is remembered: machines show the same certificates each time, and a signature takes milliseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, HashAlgorithm

UNREADABLE = (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm, x509.ExtensionNotFound, Warning)
"""What reading odd certificates raises; an odd serial number is a warning, which a caller may have made an error."""


@lru_cache  # machines show the same certificates each time
def load(pem: bytes, length: int) -> tuple[x509.Certificate, ...]:
    """The certificates of a chain of this length, the subject's own first."""
    try:
        chain = tuple(x509.load_pem_x509_certificates(pem.rstrip(b"\0")))
    except UNREADABLE:
        raise ValueError("its certificates cannot be read") from None
    if len(chain) != length:
        raise ValueError(f"it has {len(chain)} certificates, not {length}")
    return chain


def check_chain(chain: Sequence[x509.Certificate], root_sha256: str) -> None:
    """Checks that the last certificate is the root, and each other one was issued by the next, from the root down."""
    if chain[-1].fingerprint(SHA256()).hex() != root_sha256.lower():
        raise ValueError("its certificates do not end in the root that is trusted")
    for position, (subject, issuer) in reversed(list(enumerate(pairwise(chain)))):
        if not issued(subject, issuer):
            raise ValueError(f"certificate {position} of its chain was not issued by the next one, or that is not a CA")


@lru_cache
def issued(subject: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether a certificate was issued by another one, which is an authority."""
    try:
        if not issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
        subject.verify_directly_issued_by(issuer)
    except (*UNREADABLE, InvalidSignature):
        return False
    return True


def is_signed(
    data: bytes, signature: bytes, signer: object, curve: type[ec.EllipticCurve], digest: HashAlgorithm | Prehashed
) -> bool:
    """Whether an ECDSA key of this curve, or that of a certificate, signed some data; the signature is r and then s."""
    half = len(signature) // 2
    r, s = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    try:
        key = signer.public_key() if isinstance(signer, x509.Certificate) else signer
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, curve):
            return False
        key.verify(encode_dss_signature(r, s), data, ec.ECDSA(digest))
    except (ValueError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def common_name(certificate: x509.Certificate) -> str:
    """The common name of a certificate's subject; empty if it has none that can be read."""
    try:
        names = certificate.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    except ValueError:
        return ""
    return next((str(name.value) for name in names), "")
