"""Makes the reply to `/tee/attestation` step by step, so that a fault (`faults.py`) can change the result of each step."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from venice_ai.tee.quote import LAYOUT
from venice_ai.tee.workload import CLAIMED

from .certificates import VALID_UNTIL
from .domain import GPU_COUNT, IMAGE, Domain, Event
from .intel import Intel
from .keys import EnclaveKey
from .nvidia import Nvidia


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
    def quote(self) -> bytes:
        return bytes.fromhex(self.reply["intel_quote"])

    def measure(self) -> None:
        self.signed = self.domain.signed(bytes.fromhex(self.key.address[2:]) + bytes(12) + self.nonce)

    def answer(self) -> None:
        domain, key = self.domain, self.key
        self.reply = {
            "verified": True,
            "model": self.model,
            "nonce": self.nonce.hex(),
            "request_nonce": self.nonce.hex(),
            "nonce_source": self.nonce_source,
            "signing_address": key.address,
            "signing_public_key": key.public.hex(),
            "signing_algo": "ecdsa",
            "tee_hardware": "intel-tdx",
            "tee_provider": "phala",
            "upstream_model": f"emulator/{self.model}",
            "candidates_evaluated": 1,
            "candidates_available": 1,
            "vm_config": json.dumps({"image": IMAGE, "num_gpus": GPU_COUNT, "os_image_hash": domain.os_image.hex()}),
            "nvidia_payload": self.nvidia.payload(self.nonce),
            "info": self._info(),
            "server_verification": self._claims(),
        }
        self.show_quote(self.intel.quote(bytes(self.signed)))
        self.show_log(domain.log)

    def written(self) -> bytes:
        """The reply as JSON; the GPUs' evidence is a text in it."""
        reply = dict(self.reply)
        if isinstance(reply.get("nvidia_payload"), dict):
            reply["nvidia_payload"] = json.dumps(reply["nvidia_payload"])
        return json.dumps(reply, separators=(",", ":")).encode()

    def _info(self) -> dict[str, Any]:
        domain = self.domain
        measured = {name: self._hex(name) for name in ("mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3")}
        shown = {"compose_hash": domain.compose_hash.hex(), "os_image_hash": domain.os_image.hex()}
        return {
            "app_id": domain.app_id.hex(),
            "instance_id": domain.instance_id.hex(),
            "app_name": "emulator",
            **shown,
            "key_provider_info": domain.key_provider,
            "tcb_info": {**measured, "app_compose": domain.app_compose, **shown},
        }

    def _hex(self, name: str) -> str:
        start, end = LAYOUT[name]
        return self.signed[start:end].hex()

    def _claims(self) -> dict[str, Any]:
        """What Venice says that it found."""
        data = self._hex("report_data")
        expiry = VALID_UNTIL.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        measurements = {said: self._hex(name) for said, name in CLAIMED.items()}
        good = dict.fromkeys(("valid", "signatureValid", "certificateChainValid", "rootCaPinned", "attestationKeyMatch"), True)
        chain = {"valid": True, "intermediatePinned": True, "leafCertExpiry": expiry}
        return {
            "tdx": good | {"reportData": data, "measurements": measurements, "crlCheck": {"checked": True, "revoked": False}},
            "nvidia": {"valid": True, "signatureVerified": True, "certificateChainStatus": chain},
            "signingAddressBinding": {"bound": True, "reportDataAddress": "0x" + data[:40]},
            "nonceBinding": {"bound": True, "method": "raw"},
            "nvidiaNonceBinding": {"bound": True, "method": "nvidia_payload"},
            "verifiedAt": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "verificationDurationMs": 200,
        }
