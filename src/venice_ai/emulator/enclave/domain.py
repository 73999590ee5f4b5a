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
    head = {"manifest_version": 2, "name": "emulator", "runner": "docker-compose", "docker_compose_file": services}
    return json.dumps({**head, "public_logs": False, "secure_time": True}, separators=(",", ":"))


@dataclass
class Domain:
    """A trust domain after its start. A fault may have changed the log before it was measured."""

    app_compose: str = field(default_factory=compose)
    os_image: bytes = hashlib.sha256(IMAGE.encode()).digest()
    log: list[Event] = field(default_factory=list[Event])

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
        numbered = [(register, number) for register, count in ((0, 3), (1, 2), (2, 2)) for number in range(count)]
        boot = [_event(register, _BOOT_EVENT, f"boot {register}.{number}".encode()) for register, number in numbered]
        self.log = [*boot, *(event(name, payload) for name, payload in runtime.items())]

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


def event(name: str, payload: bytes) -> Event:
    """An event of the time after the start, with its digest."""
    said = RUNTIME_EVENT.to_bytes(4, "little") + b":" + name.encode() + b":" + payload
    return {**_event(3, RUNTIME_EVENT, said), "event": name, "event_payload": payload.hex()}


def _event(register: int, kind: int, said: bytes) -> Event:
    digest = hashlib.sha384(said).hexdigest()
    return {"imr": register, "event_type": kind, "digest": digest, "event": "", "event_payload": ""}
