"""An Intel of our own: root, platform CA, a platform's key, quotes of its trust domain, and collateral of every kind.

Everything is signed as Intel signs it, under a root that only a test trusts. What a test wants to be otherwise it says:
`Intel().collateral(status="OutOfDate")`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

NOW: Final = 1_795_000_000
DAY: Final = 86_400
FMSPC: Final = "90C06F000000"
SVN: Final = 5
_SGX: Final = "1.2.840.113741.1.13.1"


def key(label: str) -> ec.EllipticCurvePrivateKey:
    """The same key for the same label, always."""
    number = int.from_bytes(hashlib.sha256(b"tests/tee/" + label.encode()).digest(), "big")
    return ec.derive_private_key(number % 2**255 + 1, ec.SECP256R1())


def raw_signature(signer: ec.EllipticCurvePrivateKey, data: bytes) -> bytes:
    r, s = utils.decode_dss_signature(signer.sign(data, ec.ECDSA(SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def raw_public(signer: ec.EllipticCurvePrivateKey) -> bytes:
    return signer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]


def date(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def stamp(seconds: float) -> str:
    return date(seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def der(tag: int, *parts: bytes) -> bytes:
    body = b"".join(parts)
    size = len(body)
    length = (
        bytes([size])
        if size < 128
        else bytes([0x80 + (size.bit_length() + 7) // 8]) + size.to_bytes((size.bit_length() + 7) // 8, "big")
    )
    return bytes([tag]) + length + body


def oid(dotted: str) -> bytes:
    first, second, *rest = map(int, dotted.split("."))
    body = bytearray([first * 40 + second])
    for number in rest:
        digits = [number & 0x7F]
        while number := number >> 7:
            digits.append(0x80 | number & 0x7F)
        body += bytes(reversed(digits))
    return der(0x06, bytes(body))


def pck_extension(fmspc: str) -> bytes:
    """What Intel puts into a platform's certificate."""

    def entry(suffix: str, value: bytes) -> bytes:
        return der(0x30, oid(_SGX + suffix), value)

    svns = [entry(f".2.{number}", der(0x02, bytes([SVN]))) for number in range(1, 17)]
    tcb = der(0x30, *svns, entry(".2.17", der(0x02, b"\x0d")), entry(".2.18", der(0x04, bytes([SVN] * 16))))
    flags = der(
        0x30, *(entry(f".7.{number}", der(0x01, value)) for number, value in ((1, b"\xff"), (2, b"\xff"), (3, b"\x00")))
    )
    return der(
        0x30,
        entry(".1", der(0x04, b"\x11" * 16)),
        entry(".2", tcb),
        entry(".3", der(0x04, bytes(2))),
        entry(".4", der(0x04, bytes.fromhex(fmspc))),
        entry(".5", der(0x0A, b"\x01")),
        entry(".6", der(0x04, b"\x22" * 16)),
        entry(".7", flags),
    )


def _name(common: str) -> x509.Name:
    return x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, common), x509.NameAttribute(NameOID.ORGANIZATION_NAME, "TEST - NOT INTEL")]
    )


def _number(label: str) -> int:
    return int.from_bytes(hashlib.sha256(label.encode()).digest()[:8], "big") | 1


@dataclass(frozen=True)
class Intel:
    """One hierarchy; another label is another one."""

    label: str = "intel"
    fmspc: str = FMSPC
    qe_isvsvn: int = 4
    body: bytes = field(default=b"", repr=False)
    """The 584 bytes of the trust domain's report; empty for one that is all right."""

    def key(self, name: str) -> ec.EllipticCurvePrivateKey:
        return key(f"{self.label}/{name}")

    def certificate(self, name: str, common: str, issuer: str, *, ca: bool, extension: bytes | None = None) -> x509.Certificate:
        issuer_name, own = self._names[issuer], self.key(name)
        builder = (
            x509.CertificateBuilder()
            .subject_name(_name(common))
            .issuer_name(_name(issuer_name))
            .public_key(own.public_key())
            .serial_number(_number(f"{self.label}/{name}"))
            .not_valid_before(date(NOW - 400 * DAY))
            .not_valid_after(date(NOW + 4000 * DAY))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=not ca,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=ca,
                    crl_sign=ca,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key(issuer).public_key()), critical=False)
        )
        if extension is not None:
            builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX), extension), critical=False)
        return builder.sign(self.key(issuer), SHA256())

    @property
    def _names(self) -> dict[str, str]:
        return {"root": f"Test Root {self.label}", "ca": "Intel SGX PCK Platform CA"}

    @cached_property
    def root(self) -> x509.Certificate:
        return self.certificate("root", self._names["root"], "root", ca=True)

    @cached_property
    def ca(self) -> x509.Certificate:
        return self.certificate("ca", self._names["ca"], "root", ca=True)

    @cached_property
    def pck(self) -> x509.Certificate:
        return self.certificate("pck", "Intel SGX PCK Certificate", "ca", ca=False, extension=pck_extension(self.fmspc))

    @cached_property
    def signer(self) -> x509.Certificate:
        return self.certificate("signer", "Intel SGX TCB Signing", "root", ca=False)

    @property
    def root_der(self) -> bytes:
        return self.root.public_bytes(Encoding.DER)

    @cached_property
    def quote(self) -> bytes:
        """A quote by this platform."""
        header = bytes.fromhex("040002008100000000000000939a7233f79c4ca9940a0db3957f0607") + bytes(20)
        signed = header + (self.body or report_body())
        attestation, auth = self.key("attestation"), bytes(range(32))
        public = raw_public(attestation)
        qe = bytes([SVN] * 16) + bytes(32) + b"\x11" + bytes(15) + b"\x55" * 32 + bytes(32)
        qe += bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5") + bytes(96)
        qe += (2).to_bytes(2, "little") + self.qe_isvsvn.to_bytes(2, "little") + bytes(60)
        qe += hashlib.sha256(public + auth).digest() + bytes(32)
        chain = pem(self.pck, self.ca, self.root).encode()
        inner = qe + raw_signature(self.key("pck"), qe) + _sized(auth, 2) + (5).to_bytes(2, "little") + _sized(chain, 4)
        data = raw_signature(attestation, signed) + public + (6).to_bytes(2, "little") + _sized(inner, 4)
        return signed + _sized(data, 4)

    def collateral(self, **changes: Any) -> dict[str, str]:
        """What Intel publishes of such platforms, with changes: see `_collateral`. The same each time."""
        return dict(self._collateral(**changes))

    @lru_cache(maxsize=256)  # noqa: B019  # signatures are random, and there are few hierarchies
    def _collateral(
        self,
        *,
        status: str = "UpToDate",
        advisories: tuple[str, ...] = (),
        module_status: str = "UpToDate",
        qe_status: str = "UpToDate",
        evaluation: int = 19,
        qe_evaluation: int | None = None,
        fmspc: str | None = None,
        issued: float = NOW - DAY,
        expires: float = NOW + 29 * DAY,
        crl_issued: float = NOW - DAY,
        crl_expires: float = NOW + 20 * DAY,
        revoked: tuple[str, ...] = (),
        level_svn: int = SVN,
    ) -> dict[str, str]:
        """`revoked` names certificates: pck, ca, signer."""
        old = stamp(NOW - 200 * DAY)
        parts: list[dict[str, Any]] = [{"svn": level_svn}] * 16
        level = {
            "tcb": {
                "sgxtcbcomponents": parts,
                "pcesvn": 13,
                "tdxtcbcomponents": [{"svn": 5}, {"svn": 1}, {"svn": 5}, *[{"svn": 0}] * 13],
            },
            "tcbDate": old,
            "tcbStatus": status,
            **({"advisoryIDs": list(advisories)} if advisories else {}),
        }
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        identity = {"id": "TDX_01", **module, "tcbLevels": [{"tcb": {"isvsvn": 5}, "tcbDate": old, "tcbStatus": module_status}]}
        times = {"issueDate": stamp(issued), "nextUpdate": stamp(expires)}
        tcb_info = compact(
            {"id": "TDX", "version": 3, **times, "fmspc": fmspc or self.fmspc, "pceId": "0000", "tcbType": 0}
            | {
                "tcbEvaluationDataNumber": evaluation,
                "tdxModule": module,
                "tdxModuleIdentities": [identity],
                "tcbLevels": [level],
            }
        )
        qe_identity = compact(
            {
                "id": "TD_QE",
                "version": 2,
                **times,
                "tcbEvaluationDataNumber": evaluation if qe_evaluation is None else qe_evaluation,
            }
            | {"miscselect": "00" * 4, "miscselectMask": "FF" * 4, "attributes": "11" + "00" * 15}
            | {"attributesMask": "FBFFFFFFFFFFFFFF0000000000000000", "isvprodid": 2}
            | {"mrsigner": "DC9E2A7C6F948F17474E34A7FC43ED030F7C1563F1BABDDF6340C82E0E54A8C5"}
            | {"tcbLevels": [{"tcb": {"isvsvn": 4}, "tcbDate": old, "tcbStatus": qe_status}]}
        )
        signing = pem(self.signer, self.root)
        window = (crl_issued, crl_expires)
        return {
            "pck_crl_issuer_chain": pem(self.ca, self.root),
            "root_ca_crl": self.crl("root", revoked, window).hex(),
            "pck_crl": self.crl("ca", revoked, window).hex(),
            "tcb_info_issuer_chain": signing,
            "tcb_info": tcb_info,
            "tcb_info_signature": raw_signature(self.key("signer"), tcb_info.encode()).hex(),
            "qe_identity_issuer_chain": signing,
            "qe_identity": qe_identity,
            "qe_identity_signature": raw_signature(self.key("signer"), qe_identity.encode()).hex(),
        }

    def crl(self, issuer: str, revoked: tuple[str, ...], window: tuple[float, float]) -> bytes:
        """A list of revoked certificates."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(_name(self._names[issuer]))
            .last_update(date(window[0]))
            .next_update(date(window[1]))
            .add_extension(x509.CRLNumber(1), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key(issuer).public_key()), critical=False)
        )
        for name in revoked:
            if (name == "pck") == (issuer == "ca"):
                entry = (
                    x509.RevokedCertificateBuilder()
                    .serial_number(_number(f"{self.label}/{name}"))
                    .revocation_date(date(window[0]))
                )
                builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self.key(issuer), SHA256()).public_bytes(Encoding.DER)


def report_body(*, attributes: str = "0000001000000000", report_data: bytes = bytes(64)) -> bytes:
    """What a trust domain reports of itself."""
    svn = bytes.fromhex("05010500000000000000000000000000")
    seam = svn + b"\x33" * 48 + bytes(48) + bytes(8)
    domain = bytes.fromhex(attributes) + bytes.fromhex("e702060000000000") + b"\x11" * 48 + bytes(48 * 3) + bytes(48 * 4)
    return seam + domain + report_data


def compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))


def pem(*certificates: x509.Certificate) -> str:
    return "".join(each.public_bytes(Encoding.PEM).decode() for each in certificates)


def _sized(data: bytes, width: int) -> bytes:
    return len(data).to_bytes(width, "little") + data
