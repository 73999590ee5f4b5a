"""The emulated trust domain: its event log, its registers, and the part of the quote that is signed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import Any, Final

from venice_ai.tee.eventlog import RUNTIME_EVENT

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
    """The file that names the containers, as its hash is measured."""
    settings = {
        "manifest_version": 2,
        "name": "emulator",
        "runner": "docker-compose",
        "docker_compose_file": services,
        "public_logs": False,
        "secure_time": True,
    }
    return json.dumps(settings, separators=(",", ":"))


@dataclass
class Domain:
    """A trust domain after its start. A fault may have changed the log before it was measured."""

    app_compose: str = field(default_factory=compose)
    os_image: bytes = hashlib.sha256(IMAGE.encode()).digest()
    log: list[Event] = field(default_factory=list[Event])

    def __post_init__(self) -> None:
        self.log = [*_boot_events(), *(event(name, payload) for name, payload in self._runtime().items())]

    @property
    def compose_hash(self) -> bytes:
        return hashlib.sha256(self.app_compose.encode()).digest()

    @property
    def app_id(self) -> bytes:
        return self.compose_hash[:20]

    @property
    def instance_id(self) -> bytes:
        return hashlib.sha256(b"instance" + self.app_id).digest()[:20]

    @property
    def key_provider(self) -> str:
        """The key provider, as the event log names it: JSON."""
        return json.dumps({"name": "kms", "id": hashlib.sha256(b"kms").hexdigest()}, separators=(",", ":"))

    def signed(self, report_data: bytes) -> bytearray:
        """Header and body of a quote about this domain."""
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

    def _runtime(self) -> dict[str, bytes]:
        return {
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


def event(name: str, payload: bytes) -> Event:
    """An event of the time after the start, with its digest."""
    digest = hashlib.sha384(RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload).hexdigest()
    return {"imr": 3, "event_type": RUNTIME_EVENT, "digest": digest, "event": name, "event_payload": payload.hex()}


def _boot_events() -> list[Event]:
    return [
        {
            "imr": register,
            "event_type": _BOOT_EVENT,
            "digest": hashlib.sha384(f"boot {register}.{number}".encode()).hexdigest(),
            "event": "",
            "event_payload": "",
        }
        for register, count in ((0, 3), (1, 2), (2, 2))
        for number in range(count)
    ]
