"""The makers of the emulated hardware: Intel's platform, quotes and collateral, and NVIDIA's GPUs that sign a nonce.

Only clients that are given their roots accept what they sign. Formats: Intel's "TDX DCAP Quoting Library API", appendix "Quote
format", and "Intel SGX PCK Certificate and CRL Profile"; DMTF DSP0274 (SPDM 1.1), GET_MEASUREMENTS, with NVIDIA's additions.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any, Final

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
FMSPC: Final = "90C06F000000"
DAY: Final = 86_400.0
EVALUATION: Final = 19
QE_SIGNER: Final = bytes.fromhex("dc9e2a7c6f948f17474e34a7fc43ed030f7c1563f1babddf6340c82e0e54a8c5")
_SVN: Final = 5
_PCE_SVN: Final = 13
QE_SVN: Final = 4
_SGX: Final = "1.2.840.113741.1.13.1"
_DRIVER: Final = b"570.172.08\0"
_VBIOS: Final = bytes.fromhex("00d0009603000000")
_FIRMWARE: Final = hashlib.sha384(b"firmware").digest()


@dataclass(eq=False)
class Authority:
    """A key with a name, and the certificate that its issuer gave it (a root has none)."""

    label: str  # what the key is made from; the same label is the same key
    common: str
    issuer: Authority | None = None
    curve: ec.EllipticCurve = ec.SECP256R1()  # noqa: RUF009  # it holds nothing
    ca: bool = True
    further: tuple[x509.UnrecognizedExtension, ...] = ()  # extensions

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
        critical = [x509.BasicConstraints(ca=self.ca, path_length=None), usage]
        others = [x509.SubjectKeyIdentifier.from_public_key(public), issuer.identifier, *self.further]
        builder = x509.CertificateBuilder().subject_name(self.name).issuer_name(issuer.name).public_key(public)
        builder = builder.serial_number(self.serial).not_valid_before(_VALID_FROM).not_valid_after(VALID_UNTIL)
        for each in (*critical, *others):
            builder = builder.add_extension(each, critical=each in critical)
        return builder.sign(issuer.key, issuer.digest)

    @property
    def identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def raw_public(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:]

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.der).hexdigest()

    def sign(self, data: bytes) -> bytes:
        r, s = utils.decode_dss_signature(self.key.sign(data, ec.ECDSA(self.digest)))
        size = (self.curve.key_size + 7) // 8
        return r.to_bytes(size, "big") + s.to_bytes(size, "big")


def pem(*chain: Authority) -> str:
    return "".join(each.certificate.public_bytes(Encoding.PEM).decode() for each in chain)


def sized(data: bytes, width: int = 2) -> bytes:
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


class Intel:
    """A root certificate and one platform below it; each label makes another root."""

    def __init__(self, label: str, fmspc: str = FMSPC, qe_svn: int = QE_SVN) -> None:
        self.fmspc = fmspc
        self.qe_svn = qe_svn  # the version of the quoting enclave
        sgx = x509.UnrecognizedExtension(x509.ObjectIdentifier(_SGX), _platform_extension(fmspc))
        self.root: Authority = Authority(f"{label}/root", f"Test SGX Root CA {label}")  # what a client has to trust
        self.ca: Authority = Authority(f"{label}/ca", "Intel SGX PCK Platform CA", self.root)
        self.platform: Authority = Authority(f"{label}/pck", "Intel SGX PCK Certificate", self.ca, ca=False, further=(sgx,))
        self.signer: Authority = Authority(f"{label}/signer", "Intel SGX TCB Signing", self.root, ca=False)  # signs collateral
        self.attestation: Authority = Authority(f"{label}/attestation", "attestation key")  # the quoting enclave's key

    def quote(self, signed: bytes) -> bytes:
        """The quote whose header and body (632 bytes) are these."""
        auth, public = bytes(range(32)), self.attestation.raw_public
        # The report (384 bytes) of the enclave that made the attestation key.
        report = bytes([_SVN] * 16) + bytes(32) + b"\x11" + bytes(15) + b"\x55" * 32 + bytes(32) + QE_SIGNER + bytes(96)
        report += b"\x02\0" + self.qe_svn.to_bytes(2, "little") + bytes(60)
        report += hashlib.sha256(public + auth).digest() + bytes(32)
        chain = pem(self.platform, self.ca, self.root).encode()
        inner = report + self.platform.sign(report) + sized(auth) + b"\x05\0" + sized(chain, 4)
        return signed + sized(self.attestation.sign(signed) + public + b"\x06\0" + sized(inner, 4), 4)

    def collateral(self, now: float, **changes: Any) -> dict[str, str]:
        """The collateral that Intel would publish about the platform at a time; arguments of `Published` change parts of it."""
        return Published(self, now, **changes).documents()


@dataclass(frozen=True)
class Published:
    """Collateral as it is published at one time, and what it says. Times are in seconds from `now`."""

    intel: Intel
    now: float
    status: str = "UpToDate"
    advisories: tuple[str, ...] = ()
    module_status: str = "UpToDate"
    qe_status: str = "UpToDate"
    evaluation: int = EVALUATION
    qe_evaluation: int | None = None  # that of the quoting enclave's identity, if it is another one
    level_svn: int = _SVN  # the versions that the level asks of a platform
    fmspc: str | None = None
    issued: float = -DAY
    expires: float = 29 * DAY
    crl_issued: float = -DAY
    crl_expires: float = 20 * DAY
    revoked: tuple[str, ...] = ()  # of `platform`, `ca`, `signer`
    crl_number: int = 1
    signed_by: str = "signer"  # who signs TCB information and the quoting enclave's identity
    pce_id: str = "0000"
    tcb_type: Any = 0

    def documents(self) -> dict[str, str]:
        intel = self.intel
        signer: Authority = getattr(intel, self.signed_by)
        bodies = {"tcb_info": self._tcb_info(), "qe_identity": self._identity()}
        dates = {"issueDate": self._stamp(self.issued), "nextUpdate": self._stamp(self.expires)}
        signed = {name: json.dumps({**each, **dates}, separators=(",", ":")) for name, each in bodies.items()}
        return {
            "pck_crl_issuer_chain": pem(intel.ca, intel.root),
            "root_ca_crl": self._revocations(intel.root, "ca", "signer"),
            "pck_crl": self._revocations(intel.ca, "platform"),
            **signed,
            **{f"{name}_issuer_chain": pem(*signer.chain) for name in signed},
            **{f"{name}_signature": signer.sign(text.encode()).hex() for name, text in signed.items()},
        }

    def _revocations(self, issuer: Authority, *names: str) -> str:
        start, end = (dt.datetime.fromtimestamp(self.now + seconds, dt.UTC) for seconds in (self.crl_issued, self.crl_expires))
        builder = x509.CertificateRevocationListBuilder().issuer_name(issuer.name).last_update(start).next_update(end)
        for each in (x509.CRLNumber(self.crl_number), issuer.identifier):
            builder = builder.add_extension(each, critical=False)
        serials: list[int] = [getattr(self.intel, name).serial for name in names if name in self.revoked]
        for serial in serials:
            entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(start).build()
            builder = builder.add_revoked_certificate(entry)
        return builder.sign(issuer.key, issuer.digest).public_bytes(Encoding.DER).hex()

    def _level(self, tcb: dict[str, Any], status: str) -> dict[str, Any]:
        return {"tcb": tcb, "tcbDate": self._stamp(-200 * DAY), "tcbStatus": status}

    def _stamp(self, seconds: float) -> str:
        return dt.datetime.fromtimestamp(self.now + seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _tcb_info(self) -> dict[str, Any]:
        components = {"sgxtcbcomponents": [{"svn": self.level_svn}] * 16, "pcesvn": _PCE_SVN}
        domain = [{"svn": 5}, {"svn": 1}, {"svn": 5}, *[{"svn": 0}] * 13]
        level = self._level({**components, "tdxtcbcomponents": domain}, self.status)
        if self.advisories:
            level["advisoryIDs"] = list(self.advisories)
        module = {"mrsigner": "00" * 48, "attributes": "00" * 8, "attributesMask": "FF" * 8}
        identity = {"id": "TDX_01", **module, "tcbLevels": [self._level({"isvsvn": 5}, self.module_status)]}
        of_platform = {"fmspc": self.fmspc or self.intel.fmspc, "pceId": self.pce_id, "tcbType": self.tcb_type}
        of_module = {"tdxModule": module, "tdxModuleIdentities": [identity]}
        head = {"id": "TDX", "version": 3, "tcbEvaluationDataNumber": self.evaluation}
        return {**head, **of_platform, **of_module, "tcbLevels": [level]}

    def _identity(self) -> dict[str, Any]:
        masks = {"miscselectMask": "FF" * 4, "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000"}
        enclave = {"miscselect": "00" * 4, "attributes": "11" + "00" * 15, "mrsigner": QE_SIGNER.hex().upper(), "isvprodid": 2}
        levels = [self._level({"isvsvn": QE_SVN}, self.qe_status)]
        head = {"id": "TD_QE", "version": 2, "tcbEvaluationDataNumber": self.qe_evaluation or self.evaluation}
        return {**head, **masks, **enclave, "tcbLevels": levels}


@cache
def _platform_extension(fmspc: str) -> bytes:
    def entry(suffix: str, tag: int, *values: bytes) -> bytes:
        return der(0x30, oid(f"{_SGX}.{suffix}"), der(tag, *values))

    svns = [entry(f"2.{number}", 0x02, bytes([_SVN])) for number in range(1, 17)]
    tcb = [*svns, entry("2.17", 0x02, bytes([_PCE_SVN])), entry("2.18", 0x04, bytes([_SVN] * 16))]
    flags = [entry(f"7.{number}", 0x01, value) for number, value in ((1, b"\xff"), (2, b"\xff"), (3, b"\x00"))]
    platform = [entry("1", 0x04, b"\x11" * 16), entry("2", 0x30, *tcb), entry("3", 0x04, bytes(2))]
    kind = [entry("4", 0x04, bytes.fromhex(fmspc)), entry("5", 0x0A, b"\x01")]
    return der(0x30, *platform, *kind, entry("6", 0x04, b"\x22" * 16), entry("7", 0x30, *flags))


class Nvidia:
    """A root certificate and GPUs below it; each label makes another root."""

    def __init__(self, label: str, gpus: int = 2) -> None:
        self.label = label
        self._authorities: dict[str, Authority] = {}
        self.root: Authority = self._authority("root", "Test Device Identity CA", None)
        self._gpus = gpus

    def item(
        self,
        number: int,
        nonce: bytes,
        *,
        chip: str = "GH100",
        chain: tuple[Authority, ...] | None = None,
        firmware: bytes = _FIRMWARE,
        measurements: Sequence[bytes] | None = None,
    ) -> dict[str, str]:
        """A GPU's certificates (or another `chain`), and what it signs to answer a nonce: the request, and its answer."""
        chain = chain or self.chain(number, chip)
        request = bytes.fromhex("11e001ff") + nonce + b"\0"
        usual = (hashlib.sha384(f"{self.label}/measurement/{block}".encode()).digest() for block in range(4))
        measured = tuple(usual) if measurements is None else measurements
        record = b"".join(bytes([block, 1]) + sized(value) for block, value in enumerate(measured, 1))
        answer = bytes.fromhex("1160") + bytes(2) + bytes([len(measured)]) + len(record).to_bytes(3, "little") + record
        opaque = b"".join(bytes([kind, 0]) + sized(value) for kind, value in ((3, _DRIVER), (6, _VBIOS), (20, firmware)))
        signed = request + answer + hashlib.sha256(nonce).digest() + sized(opaque)
        parts = {"certificate": pem(*chain).encode(), "evidence": signed + chain[0].sign(signed)}
        return {**{name: base64.b64encode(data).decode() for name, data in parts.items()}, "arch": "HOPPER"}

    def again(self, number: int, nonce: bytes) -> dict[str, str]:
        """The same evidence by another key that the same GPU certified."""
        leaf, *above = self.chain(number)
        return self.item(number, nonce, chain=(replace(leaf, label=f"{leaf.label}/again"), *above))

    def payload(self, nonce: bytes) -> dict[str, Any]:
        items = [self.item(number, nonce) for number in range(self._gpus)]
        return {"nonce": nonce.hex(), "arch": "HOPPER", "evidence_list": items}

    def chain(self, number: int, chip: str = "GH100") -> tuple[Authority, ...]:
        model = self._authority(f"{chip}/model", f"Test {chip} Identity", self.root)
        provisioner = self._authority(f"{chip}/provisioner", f"Test {chip} Provisioner ICA 1", model)
        device = self._authority(f"{chip}/{number}/device", f"{chip} A01 GSP BROM", provisioner)
        public = device.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hashed = der(0x30, oid("2.16.840.1.101.3.4.2.2"), der(0x04, _FIRMWARE))
        made_for = der(0x30, der(0x02, b"\x01"), public, hashed)
        firmware = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.23.133.5.4.1"), made_for)
        leaf = self._authority(f"{chip}/{number}/leaf", f"{chip} A01 GSP FMC LF", device, ca=False, further=(firmware,))
        return leaf, device, provisioner, model, self.root

    def _authority(self, name: str, common: str, issuer: Authority | None, **more: Any) -> Authority:
        """A certificate that is made anew has another signature, so each is made once."""
        return self._authorities.setdefault(name, Authority(f"{self.label}/gpu/{name}", common, issuer, ec.SECP384R1(), **more))
