"""The evidence of the emulated enclave: its key, its domain (event log and registers), and the reply to `/tee/attestation`.

The reply is made step by step, so that a fault (`faults.py`) can change the result of each step.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec, utils
from cryptography.hazmat.primitives.hashes import SHA256

from venice_ai.tee.crypto import address
from venice_ai.tee.curve import Key, PrivateKey, recover
from venice_ai.tee.eventlog import RUNTIME_EVENT
from venice_ai.tee.quote import Quote
from venice_ai.tee.signature import digest
from venice_ai.tee.workload import CLAIMED

from .hardware import VALID_UNTIL, Intel, Nvidia

SEPT_VE_DISABLE: Final = 1 << 28
IMAGE: Final = "dstack-nvidia-0.5.5"
GPU_COUNT: Final = 2

MRTD: Final = b"\x11" * 48
_HEADER: Final = bytes.fromhex("040002008100000000000000939a7233f79c4ca9940a0db3957f0607") + bytes(20)
_TCB_SVN: Final = bytes.fromhex("05010500000000000000000000000000")
_XFAM: Final = bytes.fromhex("e702060000000000")
_BOOT_EVENT: Final = 0x80000000
_SERVICES: Final = f"services:\n  model:\n    image: emulator/model@sha256:{hashlib.sha256(b'model').hexdigest()}\n"

Event = dict[str, Any]


def compose(services: str = _SERVICES) -> str:
    head = {"manifest_version": 2, "name": "emulator", "runner": "docker-compose", "docker_compose_file": services}
    return json.dumps({**head, "public_logs": False, "secure_time": True}, separators=(",", ":"))


@dataclass
class Domain:
    """A trust domain after its start. A fault may change its `log` before that is measured."""

    app_compose: str = field(default_factory=compose)
    os_image: bytes = hashlib.sha256(IMAGE.encode()).digest()

    def __post_init__(self) -> None:
        self.compose_hash: bytes = hashlib.sha256(self.app_compose.encode()).digest()
        self.app_id: bytes = self.compose_hash[:20]
        self.instance_id: bytes = hashlib.sha256(b"instance" + self.app_id).digest()[:20]
        self.key_provider: str = json.dumps({"name": "kms", "id": hashlib.sha256(b"kms").hexdigest()}, separators=(",", ":"))
        runtime = {
            "system-preparing": b"",
            "app-id": self.app_id,
            "compose-hash": self.compose_hash,
            "instance-id": self.instance_id,
            "boot-mr-done": b"",
            "mr-kms": hashlib.sha256(b"kms").digest(),
            "os-image-hash": self.os_image,
            "key-provider": self.key_provider.encode(),
            "storage-fs": b"zfs",
            "system-ready": b"",
        }
        places = ("0.0", "0.1", "0.2", "1.0", "1.1", "2.0", "2.1")  # the register, and a number
        boot = [_event(int(place[0]), _BOOT_EVENT, f"boot {place}".encode()) for place in places]
        self.log: list[Event] = [*boot, *(event(name, payload) for name, payload in runtime.items())]

    def signed(self, report_data: bytes) -> bytearray:
        config_id = b"\x01" + self.compose_hash + bytes(15)
        body = _TCB_SVN + b"\x33" * 48 + bytes(48) + bytes(8) + SEPT_VE_DISABLE.to_bytes(8, "little") + _XFAM
        body += MRTD + config_id + bytes(96) + b"".join(self.registers()) + report_data
        return bytearray(_HEADER + body)

    def registers(self) -> tuple[bytes, ...]:
        """RTMR0 to RTMR3, after every event of the log."""
        registers = [bytes(48)] * 4
        for each in self.log:
            register: int = each["imr"]
            registers[register] = hashlib.sha384(registers[register] + bytes.fromhex(each["digest"])).digest()
        return tuple(registers)


def event(name: str, payload: bytes) -> Event:
    data = RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload
    return {**_event(3, RUNTIME_EVENT, data), "event": name, "event_payload": payload.hex()}


def _event(register: int, kind: int, data: bytes) -> Event:
    return {"imr": register, "event_type": kind, "digest": hashlib.sha384(data).hexdigest(), "event": "", "event_payload": ""}


def provenance(key: EnclaveKey, model: str) -> dict[str, str]:
    """The members about the enclave that both the attestation and the signatures of answers have."""
    signer = {"signing_address": key.address, "signing_algo": "ecdsa", "model": model, "upstream_model": f"emulator/{model}"}
    return {**signer, "tee_hardware": "intel-tdx", "tee_provider": "phala"}


class EnclaveKey:
    """A key pair (secp256k1): clients encrypt to it, and it signs responses."""

    def __init__(self) -> None:
        self._signing = ec.generate_private_key(ec.SECP256K1())
        secret = self._signing.private_numbers().private_value.to_bytes(32, "big")
        self.private: PrivateKey = Key(secret)  # for opening what was sealed
        self.public: bytes = self.private.public_key
        self.address: str = address(self.public)

    def sign(self, text: str) -> str:
        """The signature of a text, as wallets sign one: 0x, and r, s and v in hex."""
        signed = digest(text)
        r, s = utils.decode_dss_signature(self._signing.sign(signed, ec.ECDSA(utils.Prehashed(SHA256()))))
        both = r.to_bytes(32, "big") + s.to_bytes(32, "big")
        recovery = next(v for v in (27, 28) if recover(signed, both + bytes([v])) == self.public)
        return "0x" + (both + bytes([recovery])).hex()


@dataclass
class Draft:
    key: EnclaveKey
    intel: Intel
    nvidia: Nvidia
    model: str
    nonce: bytes
    nonce_source: str = "client"
    domain: Domain = field(default_factory=Domain)
    signed: bytearray = field(default_factory=bytearray)  # header and body of the quote
    reply: dict[str, Any] = field(default_factory=dict[str, Any])

    def put(self, offset: int, value: bytes) -> None:
        self.signed[offset : offset + len(value)] = value

    def show_quote(self, quote: bytes) -> None:
        self.reply["intel_quote"] = self.reply["quote"] = quote.hex()

    def show_log(self, log: list[Event]) -> None:
        """Puts an event log into the reply, in both places."""
        self.reply["info"]["tcb_info"]["event_log"] = log
        # Here the digests of runtime events are left out, as Venice has it.
        self.reply["event_log"] = json.dumps([each if each["imr"] < 3 else {**each, "digest": ""} for each in log])

    @property
    def gpus(self) -> list[dict[str, str]]:
        shown: list[dict[str, str]] = self.reply["nvidia_payload"]["evidence_list"]
        return shown

    @property
    def quote(self) -> bytes:
        return bytes.fromhex(self.reply["intel_quote"])

    def measure(self) -> None:
        self.signed = self.domain.signed(bytes.fromhex(self.key.address[2:]) + bytes(12) + self.nonce)

    def answer(self) -> None:
        domain, quote = self.domain, Quote(bytes(self.signed), b"", b"")
        measured = {name: getattr(quote, name).hex() for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")}
        shown = {"compose_hash": domain.compose_hash.hex(), "os_image_hash": domain.os_image.hex()}
        self.reply = {
            **provenance(self.key, self.model),
            "verified": True,
            "nonce": self.nonce.hex(),
            "request_nonce": self.nonce.hex(),
            "nonce_source": self.nonce_source,
            "signing_public_key": self.key.public.hex(),
            "candidates_evaluated": 1,
            "candidates_available": 1,
            "vm_config": json.dumps({"image": IMAGE, "num_gpus": GPU_COUNT, "os_image_hash": domain.os_image.hex()}),
            "nvidia_payload": self.nvidia.payload(self.nonce),
            "info": {
                **shown,
                "app_id": domain.app_id.hex(),
                "instance_id": domain.instance_id.hex(),
                "app_name": "emulator",
                "key_provider_info": domain.key_provider,
                "tcb_info": {**measured, **shown, "app_compose": domain.app_compose},
            },
            "server_verification": self._claims(quote),
        }
        self.show_quote(self.intel.quote(bytes(self.signed)))
        self.show_log(domain.log)

    def written(self) -> bytes:
        """The reply as JSON; the GPUs' evidence is a text in it."""
        reply = dict(self.reply)
        if isinstance(reply.get("nvidia_payload"), dict):
            reply["nvidia_payload"] = json.dumps(reply["nvidia_payload"])
        return json.dumps(reply, separators=(",", ":")).encode()

    def _claims(self, quote: Quote) -> dict[str, Any]:
        data = quote.report_data.hex()
        expiry, now = (f"{when:%Y-%m-%dT%H:%M:%S}.000Z" for when in (VALID_UNTIL, datetime.now(UTC)))
        measurements = {claim: getattr(quote, name).hex() for claim, name in CLAIMED.items()}
        good = dict.fromkeys(("valid", "signatureValid", "certificateChainValid", "rootCaPinned", "attestationKeyMatch"), True)
        chain = {"valid": True, "intermediatePinned": True, "leafCertExpiry": expiry}
        return {
            "tdx": good | {"reportData": data, "measurements": measurements, "crlCheck": {"checked": True, "revoked": False}},
            "nvidia": {"valid": True, "signatureVerified": True, "certificateChainStatus": chain},
            "signingAddressBinding": {"bound": True, "reportDataAddress": "0x" + data[:40]},
            "nonceBinding": {"bound": True, "method": "raw"},
            "nvidiaNonceBinding": {"bound": True, "method": "nvidia_payload"},
            "verifiedAt": now,
            "verificationDurationMs": 200,
        }
