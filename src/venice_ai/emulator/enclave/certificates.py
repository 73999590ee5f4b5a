"""Certificates of a test hierarchy. Every one of them says in its subject that it is for tests."""

from __future__ import annotations

import datetime as dt
import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

ORGANIZATION: Final = "TEST - NOT INTEL, NOT NVIDIA"
_VALID_FROM: Final = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
_OTHER_USES: Final = ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement")
_UNUSED: Final = dict.fromkeys((*_OTHER_USES, "encipher_only", "decipher_only"), False)  # whatever else there is
VALID_UNTIL: Final = dt.datetime(2049, 12, 31, tzinfo=dt.UTC)


@dataclass(eq=False)
class Authority:
    """A key with a name, and the certificate that its issuer gave it (a root has none)."""

    label: str  # what the key is made from; the same label is the same key
    common: str
    issuer: Authority | None = None
    curve: ec.EllipticCurve = ec.SECP256R1()  # noqa: RUF009  # it holds nothing
    ca: bool = True
    extension: tuple[str, bytes] | None = None  # a further one: its object identifier and its DER

    def __post_init__(self) -> None:
        attributes = {NameOID.COMMON_NAME: self.common, NameOID.ORGANIZATION_NAME: ORGANIZATION}
        self.name: x509.Name = x509.Name([x509.NameAttribute(kind, value) for kind, value in attributes.items()])
        self.serial: int = int.from_bytes(hashlib.sha256(self.label.encode()).digest()[:8], "big") | 1
        self.digest: SHA256 | SHA384 = SHA384() if self.curve.key_size > 256 else SHA256()
        # This authority, its issuer, and so on up to the root.
        self.chain: tuple[Authority, ...] = (self, *(self.issuer.chain if self.issuer else ()))

    @cached_property
    def key(self) -> ec.EllipticCurvePrivateKey:
        number = int.from_bytes(hashlib.sha512(self.label.encode()).digest(), "big") % 2 ** (self.curve.key_size - 1) + 1
        return ec.derive_private_key(number, self.curve)

    @cached_property
    def certificate(self) -> x509.Certificate:
        issuer = self.issuer or self
        public = self.key.public_key()
        usage = x509.KeyUsage(digital_signature=not self.ca, key_cert_sign=self.ca, crl_sign=self.ca, **_UNUSED)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(public)
            .serial_number(self.serial)
            .not_valid_before(_VALID_FROM)
            .not_valid_after(VALID_UNTIL)
            .add_extension(x509.BasicConstraints(ca=self.ca, path_length=None), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .add_extension(issuer.identifier, critical=False)
        )
        if self.extension is not None:
            dotted, value = self.extension
            builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(dotted), value), critical=False)
        return builder.sign(issuer.key, issuer.digest)

    @property
    def identifier(self) -> x509.AuthorityKeyIdentifier:
        """The key identifier that certificates below this authority have."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    @property
    def raw_public(self) -> bytes:
        """X and Y of the public key."""
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]

    def sign(self, data: bytes) -> bytes:
        """The signature of some bytes: r and s."""
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(self.digest)))
        size = (self.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")

    def revocations(self, revoked: tuple[Authority, ...], issued: float, until: float, number: int = 1) -> bytes:
        """The list of what this authority revoked, DER; the times are Unix time."""
        start, end = (dt.datetime.fromtimestamp(seconds, dt.UTC) for seconds in (issued, until))
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(start)
            .next_update(end)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(self.identifier, critical=False)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(start).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(self.key, self.digest).public_bytes(Encoding.DER)


def pem(*chain: Authority) -> str:
    return "".join(each.certificate.public_bytes(Encoding.PEM).decode() for each in chain)


def sized(data: bytes, width: int = 2) -> bytes:
    """Some bytes, and their length before them."""
    return len(data).to_bytes(width, "little") + data


def der(tag: int, *parts: bytes) -> bytes:
    """A value of ASN.1."""
    body = b"".join(parts)
    if len(body) < 0x80:
        return bytes([tag, len(body)]) + body
    size = (len(body).bit_length() + 7) // 8
    return bytes([tag, 0x80 + size]) + len(body).to_bytes(size, "big") + body


def oid(dotted: str) -> bytes:
    """An object identifier of ASN.1, taken out of an extension that is a list of one."""
    return x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)]).public_bytes()[2:]
