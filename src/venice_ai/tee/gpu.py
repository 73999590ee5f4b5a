"""NVIDIA's evidence, checked offline: each GPU signs the nonce with a key that chains to NVIDIA's root.

One piece of evidence is an SPDM request (GET_MEASUREMENTS, which holds the nonce) and its response, signed together by a key
for the GPU's firmware. It is not compared with NVIDIA's golden values or revocations, and not tied to the trust domain.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, ExtensionNotFound, ObjectIdentifier, UnrecognizedExtension

from ..types.attestation import Check, Gpu, Status
from .canonical import parse
from .certificates import check_chain, common_name, is_signed, load
from .checks import fail_if, outcome
from .types import TeeOptions

_CHIP: Final = re.compile(r"\bG[HB][0-9]{2}[0-9X]\b")
_EXAMINED: Final = ("gpu_structure", "gpu_nonce", "gpu_chain", "gpu_signature", "gpu_firmware", "gpu_unique")
"""The checks on each piece of evidence."""
_REQUEST = bytes.fromhex("11e001ff")  # SPDM 1.1, GET_MEASUREMENTS, signed, all of them
_RESPONSE = bytes.fromhex("1160")
_REQUEST_BYTES, _SIGNATURE_BYTES, _NONCE_BYTES = 37, 96, 32
_MEASUREMENT_HEAD = 3
_DRIVER, _VBIOS, _FIRMWARE = 3, 6, 20
_DEVICE_ID: Final = ObjectIdentifier("2.23.133.5.4.1")
"""Of what firmware a key is: TCG's "DICE Certificate Profiles", CompositeDeviceID, whose last field is the firmware's hash."""
_FIRMWARE_HEAD: Final = bytes.fromhex("303d06096086480165030402020430")  # a SHA-384
_FIRMWARE_BYTES: Final = 48


def chip(text: str) -> str | None:
    """The chip that a text names, Hopper (`GH100`) or Blackwell (`GB100`); NVIDIA's root certifies switches, too."""
    return found[0] if (found := _CHIP.search(text)) else None


def check(payload: object, nonce: bytes, options: TeeOptions, *, expected: int | None = None) -> tuple[list[Check], list[Gpu]]:
    """The checks on `nvidia_payload` (JSON, its text, or `None`), and the GPUs if all passed. `expected` are so many."""
    if options.gpu == "off":
        return [], []
    if payload is None:
        required = options.gpu in {"require", "nras"}
        detail = "the reply has no evidence of a GPU" + (f", and gpu={options.gpu!r} asks for it" if required else "")
        return [outcome("gpu_evidence", "fail" if required else "warn", detail)], []
    try:
        given = msgspec.convert(parse(payload) if isinstance(payload, (str, bytes)) else payload, _Payload)
    except ValueError as error:
        return [outcome("gpu_evidence", "fail", f"nvidia_payload is not what NVIDIA's tools write: {error}")], []
    items = given.evidence_list
    found = _Findings({name: [] for name in _EXAMINED})
    found.expect(same_nonce(given.nonce, nonce), "gpu_nonce", "the payload answers another nonce")
    gpus = [_examine(number, item, nonce, options.trust.nvidia_root_sha256, found) for number, item in enumerate(items)]
    checks = [_outcome(name, problems, found.doubts.get(name), len(items)) for name, problems in found.problems.items()]
    status: Status = "pass" if expected in {None, len(items)} else "warn"
    unknown = "answered; the machine does not say how many it has"
    counted = f"{len(items)} {unknown if expected is None else f'of {expected} GPUs answered'}"
    whole = not any(found.problems.values())
    return [*checks, outcome("gpu_count", status, counted)], [gpu for gpu in gpus if gpu is not None] if whole else []


@dataclass
class _Findings:
    """The findings about GPUs: errors by check, what is not shown, and which GPU has which device's key."""

    problems: dict[str, list[str]]
    doubts: dict[str, str] = field(default_factory=dict[str, str])
    devices: dict[bytes, int] = field(default_factory=dict[bytes, int])

    def expect(self, right: bool, name: str, problem: str) -> None:
        if not right:
            self.problems[name].append(problem)


def _outcome(name: str, problems: list[str], doubt: str | None, count: int) -> Check:
    if problems:
        return outcome(name, "fail", "; ".join(problems[:3]) + (f"; and {len(problems) - 3} more" if problems[3:] else ""))
    return outcome(name, "warn", doubt) if doubt else outcome(name, "pass", f"{count} GPU{'s' if count > 1 else ''}")


class _Item(msgspec.Struct):
    certificate: bytes  # both are in base64
    evidence: bytes
    nonce: object = None


class _Payload(msgspec.Struct):
    evidence_list: Annotated[list[_Item], msgspec.Meta(min_length=1, max_length=64)]
    nonce: object = None


def same_nonce(claimed: object, nonce: bytes) -> bool:
    """Whether a claim is this nonce in hex, in upper or lower case."""
    return isinstance(claimed, str) and hmac.compare_digest(claimed.lower().encode("utf-8", "replace"), nonce.hex().encode())


def _examine(number: int, item: _Item, nonce: bytes, root_sha256: str, found: _Findings) -> Gpu | None:
    """Verifies the evidence of one GPU; what is wrong with it is added to the findings."""
    who = f"GPU {number}"
    found.expect(item.nonce is None or same_nonce(item.nonce, nonce), "gpu_nonce", f"{who}: it names another nonce")
    chain: Sequence[Certificate] = ()
    try:
        chain = _chain(item.certificate, root_sha256)
        # Not the key that signs: a device may have several of those.
        device = chain[1].public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        first = found.devices.setdefault(device, number)
        found.expect(first == number, "gpu_unique", f"{who} is GPU {first} again")
    except ValueError as error:
        found.problems["gpu_chain"].append(f"{who}: {error}")
    try:
        opaque = _opaque(item.evidence)
    except ValueError as error:
        found.problems["gpu_structure"].append(f"{who}: {error}")
        return None
    answered = hmac.compare_digest(item.evidence[4 : 4 + _NONCE_BYTES], nonce)
    found.expect(answered, "gpu_nonce", f"{who}: it answered another nonce")
    if not chain:
        return None
    signed, signature = item.evidence[:-_SIGNATURE_BYTES], item.evidence[-_SIGNATURE_BYTES:]
    is_own = is_signed(signed, signature, chain[0], ec.SECP384R1, SHA384())
    found.expect(is_own, "gpu_signature", f"{who}: its key did not sign this")
    certified, measured = _certified_firmware(chain[0]), opaque.get(_FIRMWARE)
    if certified is None and measured is None:
        found.doubts["gpu_firmware"] = f"{who}: neither its certificate nor its measurements name its firmware"
    found.expect(certified == measured, "gpu_firmware", f"{who}: its key is of another firmware than was measured")
    vbios = opaque.get(_VBIOS, b"")  # `00d0009603000000` is the version 96.00.D0.00.03
    return Gpu(
        model=common_name(chain[0]).removesuffix(" GSP FMC LF") or None,
        driver=opaque.get(_DRIVER, b"").rstrip(b"\0").decode("ascii", "replace") or None,
        vbios=".".join(f"{part:02X}" for part in (*reversed(vbios[:4]), vbios[4])) if len(vbios) == 8 else None,
        serial=f"{chain[1].serial_number:X}",
    )


def _chain(pem: bytes, root_sha256: str) -> tuple[Certificate, ...]:
    """The certificates of one GPU, its own first, each issued by the next, the last one the pinned root."""
    chain = load(pem, 5)
    check_chain(chain, root_sha256)
    chips = {chip(common_name(certificate)) for certificate in chain[1:-1]}
    fail_if(len(chips) != 1 or None in chips, "its chain is not that of one GPU, Hopper or Blackwell")
    return chain


def _certified_firmware(leaf: Certificate) -> bytes | None:
    """The hash of the firmware that a key was made for, as its certificate has it; None if it does not say."""
    try:
        extension = leaf.extensions.get_extension_for_oid(_DEVICE_ID).value
    except (ExtensionNotFound, ValueError):
        return None
    der = extension.value if isinstance(extension, UnrecognizedExtension) else b""
    head, firmware = der[:-_FIRMWARE_BYTES], der[-_FIRMWARE_BYTES:]
    return firmware if head.endswith(_FIRMWARE_HEAD) else b""


def _opaque(evidence: bytes) -> dict[int, bytes]:
    request, response = evidence[:_REQUEST_BYTES], evidence[_REQUEST_BYTES:]
    if request[:4] != _REQUEST or response[:2] != _RESPONSE or len(response) < 8:
        raise ValueError("it is not a request for measurements and its answer")
    record_end = 8 + int.from_bytes(response[5:8], "little")
    opaque_start = record_end + _NONCE_BYTES + 2
    opaque_end = opaque_start + int.from_bytes(response[opaque_start - 2 : opaque_start], "little")
    fail_if(opaque_end + _SIGNATURE_BYTES != len(response), "the lengths in it do not add up")
    measured = [value for _, value in _records(response[8:record_end], "measurement")]
    fail_if(len(measured) != response[4], "it holds another number of measurements than it says")
    fail_if(not any(any(value[_MEASUREMENT_HEAD:]) for value in measured), "it measured nothing")
    found: dict[int, bytes] = {}
    for kind, value in _records(response[opaque_start:opaque_end], "field"):
        fail_if(kind in found, f"it has the field {kind} twice")
        found[kind] = value
    return found


def _records(data: bytes, what: str) -> Iterator[tuple[int, bytes]]:
    """The records in some bytes: a number for its kind (2 bytes), the length of the value (2), and the value."""
    at = 0
    while at < len(data):
        kind, size = (int.from_bytes(data[at + shift : at + shift + 2], "little") for shift in (0, 2))
        yield kind, data[at + 4 : at + 4 + size]
        at += 4 + size
    fail_if(at != len(data), f"its last {what} is cut off")
