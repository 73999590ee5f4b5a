"""Attestations for tests to change: real captures, and a synthetic one that is signed anew under a root of our own."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from tests.shared import shared
from venice_ai.emulator.enclave.attestation import Domain
from venice_ai.emulator.enclave.hardware import Authority
from venice_ai.tee import TeeOptions, TrustRoots
from venice_ai.tee.attestation import verify
from venice_ai.tee.types import CollectedEvidence
from venice_ai.types.attestation import AttestationReport

from .hierarchy import Intel

Change: TypeAlias = tuple[int, bytes]
"""Bytes, and where they are put."""
Log: TypeAlias = list[dict[str, Any]]
CAPTURES = ("gemma_3_27b_p", "glm_5_1", "live_evidence")
TODAY = 1_795_375_060.0


@dataclass(frozen=True)
class Case:
    """A reply, and what it was asked with."""

    reply: dict[str, Any]
    model: str
    nonce: bytes
    now: float
    collateral: dict[str, Any] | None = None
    options: TeeOptions = field(default_factory=TeeOptions)

    def bent(self, **changes: Any) -> Case:
        """The reply with other fields; None takes one out."""
        reply = {**copy.deepcopy(self.reply), **changes}
        return replace(self, reply={name: value for name, value in reply.items() if value is not None})

    def judged(self, **arguments: Any) -> AttestationReport:
        options = arguments.pop("options", self.options)
        return verify(self.collected(**arguments), options)

    def collected(self, **arguments: Any) -> CollectedEvidence:
        given: dict[str, Any] = {
            "model": self.model,
            "nonce": self.nonce,
            "reply": json.dumps(self.reply).encode(),
            "now": self.now,
            "collateral": self.collateral,
            **arguments,
        }
        return CollectedEvidence(**given)

    @property
    def quote(self) -> bytes:
        return bytes.fromhex(self.reply["intel_quote"])

    def quoted(self, raw: bytes) -> Case:
        """The reply with another quote, wherever it stands."""
        case = self.bent(intel_quote=raw.hex())
        if "quote" in case.reply:
            case.reply["quote"] = raw.hex()
        if "attestation" in case.reply:
            case.reply["attestation"]["evidence"]["quote"] = raw.hex()
        return case


def capture(name: str, *, today: bool = False) -> Case:
    """A real capture at its time with its collateral; today, without."""
    held = shared(f"tee/attestation_{name}.json")
    reply, nonce = held["attestation"], bytes.fromhex(held["_client_nonce"])
    if today:
        return Case(reply, reply["model"], nonce, TODAY)
    return Case(reply, reply["model"], nonce, held["_capture_epoch"], shared(f"tee/collateral_{name}.json"))


def synthetic() -> Case:
    """The synthetic capture, under its own roots."""
    held = shared("tee/synthetic_valid.json")
    trust = TrustRoots(bytes.fromhex(held["intel_test_root_der_hex"]), held["nvidia_test_root_sha256"])
    nonce = bytes.fromhex(held["client_nonce"])
    return Case(held["attestation"], held["model"], nonce, held["now"], held["collateral"], TeeOptions(trust=trust))


def written(raw: bytes, *changes: Change) -> bytes:
    """Some bytes with others in their place."""
    found = bytearray(raw)
    for offset, value in changes:
        found[offset : offset + len(value)] = value
    return bytes(found)


def resigned(*changes: Change, intel: Intel | None = None, trusted: Intel | None = None) -> Case:
    """The synthetic capture with bytes of its quote changed, and correctly signed under a root that is trusted."""
    case = synthetic()
    signer = replace(intel or Intel(), body=written(case.quote[:632], *changes)[48:])
    trust = TrustRoots((trusted or signer).root_der, case.options.trust.nvidia_root_sha256)
    case = case.quoted(signer.quote)
    case.reply.pop("server_verification", None)
    return replace(case, collateral=signer.collateral(), options=TeeOptions(trust=trust))


def logged(change: Callable[[Log], object], *changes: Change) -> Case:
    """The synthetic capture whose log was another one when it was measured: it is shown, and its registers are signed."""
    domain = Domain()
    domain.log = synthetic().reply["info"]["tcb_info"]["event_log"]
    change(domain.log)
    registers = domain.registers()
    case = resigned((376, b"".join(registers)), *changes)
    shown = {f"rtmr{number}": register.hex() for number, register in enumerate(registers)}
    case.reply["info"]["tcb_info"].update(shown, event_log=domain.log)
    case.reply["event_log"] = json.dumps(domain.log)
    return case


def managed(*changes: Change, intel: Intel | None = None, bent: Callable[[bytes], bytes] = bytes) -> Case:
    """The synthetic capture with a manager of containers. Its quote is changed before it is signed, or bent after that."""
    case, actions = resigned(), [{"action": "start", "container": "model"}]
    log = json.dumps(actions, separators=(",", ":")).encode()
    signed = written(case.quote[:632], (568, hashlib.sha256(log).digest() + case.nonce), *changes)
    quote = bent(replace(intel or Intel(), body=signed[48:]).quote)
    return case.bent(compose_manager_attestation={"actions": actions, "quote": quote.hex()})


def by_another_key(quote: bytes) -> bytes:
    """A quote that an attacker's attestation key signed, below the quoting enclave's report about the genuine one."""
    attacker = Authority("tests/tee/attacker", "attestation key")
    return written(quote, (636, attacker.sign(quote[:632]) + attacker.raw_public))


def with_enclave(*changes: Change) -> bytes:
    """The quote of a quoting enclave whose report has other bytes, signed by its platform all the same."""
    intel = Intel()
    report = written(intel.quote[770:1154], *changes)
    return written(intel.quote, (770, report + intel.platform.sign(report)))


def failed(report: AttestationReport) -> set[str]:
    """The checks that failed. A report with one holds no key, no level, and is not good."""
    names = {check.id for check in report.failures}
    assert not any("could not be examined" in check.detail for check in report.failures)
    assert (report.ok, report.level is None, report.model_public_key is None) == (not names, bool(names), bool(names))
    return names
