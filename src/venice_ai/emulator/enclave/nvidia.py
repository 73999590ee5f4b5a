"""NVIDIA's part of the emulated evidence: GPUs that sign a nonce, each with certificates up to a root made for tests.

Formats: DMTF DSP0274 (SPDM 1.1), GET_MEASUREMENTS and its answer, and NVIDIA's additions to it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .certificates import Authority, der, oid, pem, sized

_DRIVER: Final = b"570.172.08\0"
_VBIOS: Final = bytes.fromhex("00d0009603000000")
_FIRMWARE: Final = hashlib.sha384(b"firmware").digest()


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
        """The certificates of a device, its own first."""
        model = self._authority(f"{chip}/model", f"Test {chip} Identity", self.root)
        provisioner = self._authority(f"{chip}/provisioner", f"Test {chip} Provisioner ICA 1", model)
        device = self._authority(f"{chip}/{number}/device", f"{chip} A01 GSP BROM", provisioner)
        public = device.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        hashed = der(0x30, oid("2.16.840.1.101.3.4.2.2"), der(0x04, _FIRMWARE))
        firmware = "2.23.133.5.4.1", der(0x30, der(0x02, b"\x01"), public, hashed)  # for which the key was made
        leaf = self._authority(f"{chip}/{number}/leaf", f"{chip} A01 GSP FMC LF", device, ca=False, extension=firmware)
        return leaf, device, provisioner, model, self.root

    def _authority(self, name: str, common: str, issuer: Authority | None, **more: Any) -> Authority:
        """A certificate that is made anew has another signature, so each is made once."""
        label = f"{self.label}/gpu/{name}"
        return self._authorities.setdefault(name, Authority(label, common, issuer, ec.SECP384R1(), **more))
