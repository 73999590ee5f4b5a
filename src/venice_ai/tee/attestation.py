"""Verifies the reply of `/tee/attestation`: bytes in, report out. Nothing here reads a clock, a file or a socket.

The reply of Venice is a claim. A quote in it is signed by Intel's hardware and binds three things: the key we seal messages to
(by its address), our nonce, and the measurements of what was booted. The checks go from the claims to the quote, to the log of
what was booted, and to Intel's collateral. Each that does not need a failed one runs. A failed report has no key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, replace
from functools import cached_property, partial
from typing import Any, Final, Literal, cast

from .._core.json_values import items
from ..types.attestation import AttestationReport, Check, Gpu, Tcb, Td, Workload, one_line
from . import aci, collateral, gpu, nras, workload  # `aci` first: it names the extra where that is missing
from .canonical import as_object
from .canonical import parse as parse_json
from .certificates import load
from .checks import ACI, QUOTE, RULES, SERVER, CheckSkipped, CheckWarning, attained, fail_if, level_of, outcome, run, skipped
from .crypto import address, public_key_bytes
from .quote import Quote, check_chain, check_qe_report, check_signature, decode
from .quote import parse as parse_quote
from .types import CollectedEvidence, Evidence, TeeOptions
from .workload import member

MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
_ATTRIBUTES: Final = 1 << 28  # SEPT_VE_DISABLE, and nothing else


def verify(evidence: CollectedEvidence, options: TeeOptions | None = None) -> AttestationReport:
    """The report on evidence, by what the options demand. Never raises for bad evidence: the report has failed checks then."""
    case = _Case(evidence, options or TeeOptions())
    case.run(*SERVER)
    if case.options.verification != "server":
        case.check_evidence()
    return case.report()


def refused(asked: CollectedEvidence, check: Literal["transport", "server_verified"], why: str) -> AttestationReport:
    """The report on a reply that holds no evidence at all: the check that failed, and why."""
    case = _Case(asked, TeeOptions())
    case.checks.append(outcome(check, "fail", why))
    return case.report()


def evidence(collected: CollectedEvidence) -> Evidence:
    """The evidence for a custom verifier, after `verify` found nothing wrong; then `with_custom(report, answer)`."""
    return Evidence(_object(collected.reply), collected.nonce.hex(), collected.model)


def shown(report: AttestationReport) -> frozenset[str]:
    """The parts that a report found to be good, which the model is to show from then on."""
    found = {check.id for check in report.checks if check.status in {"pass", "warn"}}
    parts = {"quote": report.reaches("quote"), "gpus": bool(report.gpus), "gateway": bool(found & ACI.keys())}
    parts["compose_manager"] = "compose_manager" in found
    return frozenset(name for name, there in parts.items() if there)


def subjects(reply: bytes) -> tuple[tuple[str, str] | None, object]:
    """The platform to ask Intel about (FMSPC and CA of the quote; None also without dcap-qvl), and the GPUs for NVIDIA."""
    payload = None
    try:
        payload = (found := _object(reply)).get("nvidia_payload")
        from dcap_qvl import parse_quote  # type: ignore[import-untyped]  # it has types

        parsed = parse_quote(decode(found.get("intel_quote")) or b"")
        return (parsed.fmspc(), parsed.ca()), payload
    except Exception:  # noqa: BLE001  # whatever a certificate does to its reader; the checks say what is wrong with it
        return None, payload


def _object(reply: bytes) -> dict[str, Any]:
    fail_if(len(reply) > MAX_REPLY_BYTES, f"the reply is longer than {MAX_REPLY_BYTES} bytes")
    return as_object(parse_json(reply), "the reply")


class _Case(workload.Software):
    def __init__(self, given: CollectedEvidence, options: TeeOptions) -> None:
        super().__init__(given, options)
        self.checks: list[Check] = []
        self._key: bytes | None = None
        self._address: str | None = None
        self._tcb: Tcb | None = None
        self._gpus: list[Gpu] = []
        self._warnings: list[str] = []

    def run(self, *names: str) -> None:
        """Runs checks by their names, each unless one that it needs did not pass."""
        for name in names:
            rule = partial(_RULES[name], self) if name in _RULES else getattr(self, name)
            self.checks += [run(name, rule)] if all(map(self._passed, RULES[name][1:])) else skipped([name])

    def _passed(self, name: str) -> bool:
        return any(check.id == name and check.status in {"pass", "warn"} for check in self.checks)

    def transport(self) -> str:
        if not self.given.private and self.options.verification != "server":
            raise ValueError("the reply came without TLS; use an https:// base_url, or a server on this machine")
        self.reply = _object(self.given.reply)
        if not self.given.known_server:
            raise CheckWarning("the ssl_context of this client verifies no certificates: any server could have answered")
        return f"a JSON object of {len(self.given.reply)} bytes"

    def server_verified(self) -> str:
        fail_if((verified := self.reply.get("verified")) is not True, f"verified is {verified!r:.40}, not true")
        return "Venice says that it verified the enclave"

    def nonce_echo(self) -> str:
        for name in ("nonce", "request_nonce"):
            echo = self.reply.get(name)
            if (echo is not None or name == "nonce") and not gpu.same_nonce(echo, self.given.nonce):
                raise ValueError(f"{name} is not the nonce that was sent")
        fail_if(self.reply.get("nonce_source") not in (None, "client"), "the nonce is not the client's")
        return "the nonce is ours"

    def nonce_unique(self) -> str:
        fail_if(self.given.used_nonce, "this nonce was used before")
        return "the nonce is new"

    @cached_property
    def _raw(self) -> bytes | None:
        """The quote; None without one. If it cannot be read, or was there before and is gone, it is empty."""
        try:
            raw = decode(self.reply.get("intel_quote"))
        except ValueError:
            return b""
        return b"" if raw is None and "quote" in self.given.shown_before else raw

    def _state(self, name: str, stated: object, expected: str, *, by_name: bool = True) -> str:
        """Compares what the reply says; without a quote, and (`by_name`) where `server` was asked for, it may say nothing."""
        if stated is None and (self._raw is None or (by_name and self.options.verification == "server")):
            raise CheckWarning(f"the reply does not say its {name}, which would be {expected}")
        fail_if(stated != expected, f"{name} is {stated!r:.100}, not {expected!r}")
        return expected

    def model(self) -> str:
        return f"{self._state('model', self.reply.get('model'), self.given.model)} (unsigned)"

    def hardware(self) -> str:
        stated = {"tee_hardware": "intel-tdx", "signing_algo": "ecdsa"}
        return ", ".join(self._state(name, self.reply.get(name), stated[name], by_name=False) for name in stated)

    def model_key(self) -> str:
        given = [self.reply[name] for name in ("signing_key", "signing_public_key") if self.reply.get(name) is not None]
        keys = {public_key_bytes(text) for text in given}
        fail_if(len(keys) > 1, "signing_key and signing_public_key differ")
        self._key = keys.pop() if keys else self._keyset_key()
        self._address = address(self._key)  # once: it takes longer than the signatures
        return "a point of secp256k1"

    def _keyset_key(self) -> bytes:
        """The key of a gateway's key set that has the signing address."""
        keyset = member(member(self.reply, "attestation"), "workload_keyset")
        if len(given := items(keyset.get("e2ee_public_keys"))) > aci.MOST_KEYS:
            raise ValueError(f"the reply has {len(given)} keys, and no gateway has more than {aci.MOST_KEYS}")
        for entry in given:
            try:
                key = public_key_bytes(cast("Mapping[str, Any]", entry)["public_key"])
            except (ValueError, TypeError, KeyError):
                continue  # a key of another kind
            if address(key) == self._signing_address():
                return key
        raise ValueError("the reply has no key that belongs to its signing_address")

    def _signing_address(self) -> object:
        stated = self.reply.get("signing_address")
        return stated.lower() if isinstance(stated, str) else stated

    def key_address(self) -> str:
        return self._state("signing_address", self._signing_address(), self._address or "")

    def server_claims(self) -> str:
        quote = None
        with suppress(ValueError):  # which quote_parse reports
            quote = parse_quote(self._raw) if self._raw else None
        workload.check_not_debug(self.reply, quote)
        return workload.check_claims(self.reply.get("server_verification"), quote, self.report_data().hex())

    def report_data(self) -> bytes:
        """The bytes that the report's data must be: the key's address, twelve zero bytes, our nonce."""
        return bytes.fromhex((self._address or "")[2:]) + bytes(12) + self.given.nonce

    def check_evidence(self) -> None:
        if self._raw is None:
            self.checks += skipped(QUOTE, "the reply has no quote")
        else:
            self.run(*QUOTE)
        if self._passed("quote_parse"):
            found, self._tcb = collateral.check(self.quote.raw, self.given, self.options)
            self.checks += found
            self.check_workload()
            self.check_gpus()
            self.run("parts")
            return
        if self.options.pins is not None:
            self.checks.append(outcome("pins", "fail", "there is no quote to compare with what is pinned"))
        if not self.options.allow_dev_image:
            self.checks.append(outcome("dev_image", "fail", "there is no quote that says which operating system image runs"))
        if self.reply.get("nvidia_payload") is not None or self.options.gpu != "verify-if-present":
            self.check_gpus()

    def quote_parse(self) -> str:
        if not self._raw:
            text = self.reply.get("intel_quote")
            raise ValueError("the quote is gone that was there before" if text is None else "the quote cannot be read")
        for where in (self.reply.get("quote"), self.displays[1].get("quote")):
            fail_if(where is not None and decode(where) != self._raw, "the reply has two quotes that differ")
        self.quote = parse_quote(self._raw)
        return f"TDX, version 4, {len(self._raw)} bytes"

    def check_chain(self, quote: Quote) -> str:
        check_chain(load(quote.chain, 3), self.given.now, self.options.trust.intel_root_der)
        return f"up to the {'pinned root' if self.options.trust.intel_root_der is None else 'CUSTOM root'}"

    def check_enclave(self, quote: Quote) -> str:
        check_qe_report(quote, load(quote.chain, 3)[0], intel=self.options.trust.intel_root_der is None)
        return "the quoting enclave owns the attestation key"

    def check_workload(self) -> None:
        self.workload = self.described() if self._passed("event_payload") else Workload()
        self.run("dev_image")
        if self.reply.get("compose_manager_attestation") is not None:
            self.run("compose_manager")
            self._warnings.append("a manager can start and stop containers later; it logs that, and nothing measures it")
        if self.options.pins is not None:
            self.run("pins")
        # What nobody signed is not worth the reading, however long it is.
        is_signed = self._passed("compose_hash") and self._passed("quote_signature")
        if is_signed and self.compose is not None:
            images, warnings = workload.read_compose(self.compose)
            self._warnings += warnings
            self.workload = replace(self.workload, images=images)
        if aci.is_aci(self.reply):
            self.checks += aci.check(self.reply)
            self._warnings.append("the encryption ends at a gateway, which passes prompts on in clear to another machine")

    def compose_manager(self) -> str:
        """Checks that the manager's log of its own actions is signed by the same trust domain, for our nonce."""
        manager = member(self.reply, "compose_manager_attestation")
        quote = parse_quote(decode(manager.get("quote")) or b"")
        self.check_chain(quote)
        self.check_enclave(quote)
        check_signature(quote)
        # All of it: a domain that its host can read and write reports the same measurements, and other attributes.
        fail_if(quote.domain != self.quote.domain, "the manager's quote is of another trust domain")
        actions = json.dumps(manager.get("actions"), separators=(",", ":"), ensure_ascii=False)
        _same(quote.report_data, hashlib.sha256(actions.encode()).digest() + self.given.nonce)
        return "its log of actions is signed for our nonce"

    def check_gpus(self) -> None:
        payload, asked = self.reply.get("nvidia_payload"), self.given.nras
        found, self._gpus = gpu.check(payload, self.given.nonce, self.options, expected=self._number_of_gpus())
        self.checks += found
        if asked is None and self.options.gpu == "nras" and payload is not None:
            asked = "it was not asked"
        if asked is not None:
            self.checks.append(nras.check(asked, payload=payload, nonce=self.given.nonce, now=self.given.now))

    def _number_of_gpus(self) -> int | None:
        number: object = self.machine.get("num_gpus")
        return number if type(number) is int else None

    def parts(self) -> str:
        """A server could leave out a part that would fail its check, so a missing part is treated like a bad one."""
        if left_out := ", ".join(self._missing()):
            raise CheckSkipped(f"the reply leaves out what it, or this model, promises: {left_out}")
        return "nothing is left out that the reply or the model promises"

    def _missing(self) -> Iterator[str]:
        compose, before, gateway = self.compose, self.given.shown_before, aci.is_aci(self.reply)
        if compose is None and not gateway:
            yield "the compose file"
        if self.options.gpu != "off":
            yield from self._missing_gpus(compose or "")
        manager = "compose_manager" in before or "compose-manager" in (compose or "")
        if manager and self.reply.get("compose_manager_attestation") is None:
            yield "what the manager of containers did"
        if "gateway" in before and not gateway:
            yield "the keys of the gateway"
        yield from (f"{each.id} ({each.detail})" for each in self.checks if each.id in ACI and each.status == "skip")

    def _missing_gpus(self, compose: str) -> Iterator[str]:
        number = self._number_of_gpus()
        if payload := member(self.reply, "nvidia_payload"):
            if number is not None and (there := len(items(payload.get("evidence_list")))) < number:
                yield f"evidence of {number - there} of its {number} GPUs"
            return
        claimed = bool(member(member(self.reply, "server_verification"), "nvidia"))
        images = {image.name for image in workload.known_images() if image.os_image_hash == self.workload.os_image_hash}
        measured = workload.asks_for_gpus(compose) or any("nvidia" in name for name in images)
        if number != 0 or claimed or measured or "gpus" in self.given.shown_before:
            yield f"evidence of its {number or ''} GPUs".replace("  ", " ")

    def report(self) -> AttestationReport:
        checks = tuple(self.checks)
        level = level_of(checks)
        short = [attained(level, checks)] if level in {"server", "quote"} else []
        doubts = [each.detail for each in checks if each.status == "warn"]
        measured = self.quote if self._passed("quote_signature") else None
        known = measured is not None and self._passed("event_payload")
        is_near, is_dstack = "compose_manager_attestation" in self.reply, "info" in self.reply
        provider, manager = self.reply.get("tee_provider"), member(self.reply, "compose_manager_attestation")
        return AttestationReport(
            model=self.given.model,
            provider=provider if isinstance(provider, str) else None,
            variant="aci" if aci.is_aci(self.reply) else "near" if is_near else "dstack" if is_dstack else None,
            nonce=self.given.nonce.hex(),
            fetched_at=self.given.now,
            expires_at=self._expires(),
            level=level,
            ok=level is not None,
            signing_address=self._address,
            model_public_key=self._key.hex() if self._key is not None and level is not None else None,
            tcb=self._tcb,
            td=None if measured is None else Td(**{each.name: getattr(measured, each.name).hex() for each in fields(Td)}),
            workload=self.workload if known else None,
            gpus=tuple(self._gpus),
            checks=checks,
            actions=tuple(map(workload.action_line, items(manager.get("actions")))) if self._passed("compose_manager") else (),
            warnings=tuple(map(one_line, (*short, *doubts, *self._warnings))),
            trust_root=self.options.trust.name,
        )

    def _expires(self) -> float:
        """Until when the key may be used: not past what the server, or Intel's collateral, says."""
        limits: list[float] = [self.given.now + self.options.attestation_ttl]
        stale: Any = member(member(self.reply, "attestation"), "freshness").get("stale_after")
        if isinstance(stale, (int, float)) and not isinstance(stale, bool):
            limits.append(stale)  # as it is: not every whole number is a float
        if self._tcb is not None and self._tcb.collateral_expires is not None:
            limits.append(self._tcb.collateral_expires)
        return float(max(0, min(limits)))


_RULES: Final[Mapping[str, Callable[[_Case], str]]] = {
    "intel_chain": lambda case: case.check_chain(case.quote),
    "qe_report": lambda case: case.check_enclave(case.quote),
    "quote_signature": lambda case: check_signature(case.quote),
    "td_attributes": lambda case: _attributes(case.quote, case.options.allowed_td_attributes_mask),
    "report_data_address": lambda case: _same(case.quote.report_data[:20], case.report_data()[:20]),
    "report_data_padding": lambda case: _same(case.quote.report_data[20:32], bytes(12)),
    "report_data_nonce": lambda case: _same(case.quote.report_data[32:], case.given.nonce),
}
"""How checks are made for which a case has no method of their name."""


def _same(found: bytes, expected: bytes) -> str:
    fail_if(not hmac.compare_digest(found, expected), "the report's data is not what it must be")
    return "as it must be"


def _attributes(quote: Quote, allowed: int) -> str:
    found = int.from_bytes(quote.attributes, "little")
    fail_if(found & 1, "the trust domain is in debug mode: its host can read its memory")
    if found & ~allowed != _ATTRIBUTES & ~allowed or not found & _ATTRIBUTES:
        raise ValueError(f"the attributes of the trust domain are {quote.attributes.hex()}; see allowed_td_attributes_mask")
    fail_if(any(quote.mrsignerseam) or any(quote.seam_attributes), "the TDX module is not Intel's")
    return quote.attributes.hex()
