"""Verifies the reply of `/tee/attestation`: bytes in, report out. Nothing here reads a clock, a file or a socket.

The reply of Venice is a claim. A quote in it is signed by Intel's hardware and binds three things: the key we seal messages to
(by its address), our nonce, and the measurements of what was booted. The checks go from the claims to the quote, from the quote
to the log of what was booted, and from there to Intel's collateral about the platform. Each check that does not need a failed
one runs, so that a report shows everything that is wrong. Whatever uses the key takes it from the report: a failed report
has no key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from functools import partial
from typing import Any, Final, Literal, cast

from .._core.json_values import items
from . import aci, collateral, gpu  # `aci` first: it names the extra where that is missing
from .canonical import parse as parse_json
from .checks import NOT_REACHED, CheckSkipped, CheckWarning
from .crypto import address, public_key_bytes
from .intel import certificates, check_chain, check_qe_report, check_signature
from .parts import missing
from .policy import QUOTE, Examination, level_of, shortfall
from .quote import Quote, decode
from .quote import parse as parse_quote
from .report import AttestationReport, Check, Gpu, Tcb, Td, Workload, one_line
from .types import LEVELS, Evidence, Level, TeeOptions
from .workload import (
    Logs,
    app_compose,
    check_claims,
    check_compose,
    check_config_id,
    check_image,
    check_info,
    check_not_debug,
    check_pins,
    compose_images,
    compose_warnings,
    describe,
    manager_actions,
    member,
    vm_config,
)

MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
_ATTRIBUTES: Final = 1 << 28  # SEPT_VE_DISABLE, and nothing else


def verify(
    reply: bytes,
    *,
    model: str,
    nonce: bytes,
    now: float,
    options: TeeOptions | None = None,
    collateral: Mapping[str, Any] | str | None = None,
    dcap: bool = True,
    used_nonce: bool = False,
    private: bool = True,
    known_server: bool = True,
    reached_before: Level | None = None,
    seen: collateral.Seen | None = None,
    shown_before: Collection[str] = (),
    nras: tuple[Check, ...] | None = None,
) -> AttestationReport:
    """The report on a reply of `/tee/attestation` that was asked for with this model and nonce (32 bytes).

    It never raises for bad evidence: the report has failed checks then; `policy.raise_for(report, options)` turns it into
    the error. `collateral` is None, or says why, when it is missing (skip S3), `dcap` False when dcap-qvl is not installed
    (skip S2). `used_nonce`: this process used the nonce before. `private`: the reply came over TLS, or from this machine.
    `known_server`: and TLS showed whose server it is; without that no level above `server` is reached.
    `reached_before`: the highest level this model reached in this client (the ratchet). `seen`: the highest numbers of
    collateral seen. `shown_before`: what `parts.shown` gave of the model's earlier reports. `nras`: the checks of NVIDIA's
    service, where `options.gpu` is `nras` and it was asked.

    Raises:
        ImportError: the extra `e2ee` is not installed.
    """
    chosen = options or TeeOptions()
    case = _Case(reply, model, nonce, now, chosen, private=private, known_server=known_server)
    case.check_claims(used_nonce=used_nonce, reached_before=reached_before)
    if chosen.verification != "server":
        case.check_quote()
        case.check_platform(collateral, dcap=dcap, seen=seen)
        case.check_workload()
        case.check_gpus(nras)
        case.check_parts(shown_before)
    return case.report()


def refused(
    check: Literal["transport", "server_verified"], why: str, *, model: str, nonce: bytes, now: float
) -> AttestationReport:
    """The report on a reply that holds no evidence at all: the check that failed, and why."""
    case = _Case(b"", model, nonce, now, TeeOptions())
    case.refuse(check, why)
    return case.report()


def evidence(reply: bytes, *, model: str, nonce: bytes) -> Evidence:
    """What a custom verifier is given, after `verify` found nothing wrong; then `policy.with_custom(report, answer)`."""
    return Evidence(_object(reply), nonce.hex(), model)


def platform(reply: bytes) -> tuple[str, str] | None:
    """The FMSPC and CA of the quote in a reply, to fetch collateral for.

    None where no collateral is needed: the reply has no quote that can be read, or dcap-qvl is not installed.
    """
    try:
        raw = decode(_object(reply).get("intel_quote"))
        return None if raw is None else collateral.platform(raw)
    except Exception:  # noqa: BLE001  # whatever a certificate does to its reader; the checks say what is wrong with it
        return None


def gpu_payload(reply: bytes) -> object:
    """The evidence of GPUs in a reply; `None` without such evidence, or if the reply cannot be read."""
    try:
        return _object(reply).get("nvidia_payload")
    except ValueError:
        return None


def _object(reply: bytes) -> dict[str, Any]:
    if len(reply) > MAX_REPLY_BYTES:
        raise ValueError(f"the reply is longer than {MAX_REPLY_BYTES} bytes")
    found = parse_json(reply)
    if not isinstance(found, dict):
        raise ValueError("the reply is not a JSON object")  # noqa: TRY004  # evidence, not an argument
    return cast("dict[str, Any]", found)


class _Case:
    """One reply under examination."""

    def __init__(
        self,
        reply: bytes,
        model: str,
        nonce: bytes,
        now: float,
        options: TeeOptions,
        *,
        private: bool = True,
        known_server: bool = True,
    ) -> None:
        self._bytes, self._model, self._nonce, self._now, self._options = reply, model, nonce, now, options
        self._private, self._known_server = private, known_server
        self._examination = Examination()
        self._reply: dict[str, Any] = {}
        self._raw: bytes | None = None
        self._quote: Quote | None = None
        self._key: bytes | None = None
        self._address: str | None = None
        self._logs: Logs | None = None
        self._workload: Workload | None = None
        self._tcb: Tcb | None = None
        self._gpus: list[Gpu] = []
        self._warnings: list[str] = []

    # -- what Venice says ------------------------------------------------------------------------------------------------

    def refuse(self, check: str, why: str) -> None:
        self._examination.add(check, "fail", why)

    def check_claims(self, *, used_nonce: bool, reached_before: Level | None) -> None:
        run = self._examination.run
        run("transport", self._transport)
        run("server_verified", self._server_verified, "transport")
        run("nonce_echo", self._nonce_echo, "transport")
        run("nonce_unique", partial(_unless, used_nonce, "this nonce was used before", "the nonce is new"))
        self._decode_quote(reached_before)
        run("model", self._model_echo, "transport")
        run("hardware", self._hardware, "transport")
        run("model_key", self._model_key, "transport")
        run("key_address", self._key_address, "model_key")
        run("server_claims", self._claims, "transport")

    def _transport(self) -> str:
        if not self._private and self._options.verification != "server":
            raise ValueError("the reply came without TLS; use an https:// base_url, or a server on this machine")
        self._reply = _object(self._bytes)
        if not self._known_server:
            raise CheckWarning(
                "the ssl_context of this client verifies no certificates, so that any server could have answered"
            )
        return f"a JSON object of {len(self._bytes)} bytes"

    def _server_verified(self) -> str:
        verified = self._reply.get("verified")
        if verified is not True:
            raise ValueError(f"verified is {verified!r:.40}, not true")
        return "Venice says that it verified the enclave"

    def _nonce_echo(self) -> str:
        wanted = self._nonce.hex()
        for name in ("nonce", "request_nonce"):
            echo = self._reply.get(name)
            if not (echo is None and name == "request_nonce") and (not isinstance(echo, str) or echo.lower() != wanted):
                raise ValueError(f"{name} is not the nonce that was sent")
        if self._reply.get("nonce_source") not in (None, "client"):
            raise ValueError("the nonce is not the client's")
        return "the nonce is ours"

    def _decode_quote(self, reached_before: Level | None) -> None:
        """Takes the quote in, if there is one. What was once there must not be missing later."""
        try:
            self._raw = decode(self._reply.get("intel_quote"))
        except ValueError:
            self._raw = b""
        if self._raw is None and reached_before is not None and LEVELS.index(reached_before) >= LEVELS.index("quote"):
            self._raw = b""

    def _model_echo(self) -> str:
        said = self._reply.get("model")
        if said is None and (self._raw is None or self._options.verification == "server"):
            raise CheckWarning("the reply does not name its model")
        if said != self._model:
            raise ValueError(f"the reply is about the model {said!r:.100}")
        return "the reply names the model (unsigned)"

    def _hardware(self) -> str:
        for name, wanted in (("tee_hardware", "intel-tdx"), ("signing_algo", "ecdsa")):
            said = self._reply.get(name)
            if said is None and self._raw is None:
                raise CheckWarning(f"the reply does not say its {name}")
            if said != wanted:
                raise ValueError(f"{name} is {said!r:.40}, not {wanted!r}")
        return "intel-tdx, ecdsa"

    def _model_key(self) -> str:
        given = [self._reply[name] for name in ("signing_key", "signing_public_key") if self._reply.get(name) is not None]
        keys = {public_key_bytes(text) for text in given}
        if len(keys) > 1:
            raise ValueError("signing_key and signing_public_key differ")
        self._key = keys.pop() if keys else self._keyset_key()
        self._address = address(self._key)  # once: it takes longer than the signatures
        return "a point of secp256k1"

    def _keyset_key(self) -> bytes:
        """The key of a gateway's key set that has the signing address."""
        keyset = member(member(self._reply, "attestation"), "workload_keyset")
        given = items(keyset.get("e2ee_public_keys"))
        if len(given) > aci.MOST_KEYS:
            raise ValueError(f"the reply has {len(given)} keys, and no gateway has more than {aci.MOST_KEYS}")
        for entry in given:
            try:
                key = public_key_bytes(cast("Mapping[str, Any]", entry)["public_key"])
            except (ValueError, TypeError, KeyError):
                continue  # a key of another kind
            if address(key) == self._signing_address():
                return key
        raise ValueError("the reply has no key that belongs to its signing_address")

    def _signing_address(self) -> str | None:
        said = self._reply.get("signing_address")
        return said.lower() if isinstance(said, str) else None

    def _key_address(self) -> str:
        own = self._address or ""
        if self._reply.get("signing_address") is None and (self._raw is None or self._options.verification == "server"):
            raise CheckWarning(f"the reply does not say its signing_address; the key's is {own}")
        if self._signing_address() != own:
            raise ValueError("the key does not belong to signing_address")
        return own

    def _claims(self) -> str:
        quote = None
        if self._raw:
            try:
                quote = parse_quote(self._raw)
            except ValueError:
                quote = None  # which quote_parse reports
        check_not_debug(self._reply, quote)
        return check_claims(self._reply.get("server_verification"), quote, self._report_data().hex())

    def _report_data(self) -> bytes:
        """What the report's data must be: the key's address, twelve zero bytes, our nonce."""
        own = b"" if self._address is None else bytes.fromhex(self._address[2:])
        return own + bytes(12) + self._nonce

    # -- what the hardware says ------------------------------------------------------------------------------------------

    def check_quote(self) -> None:
        if self._raw is None:
            self._examination.skip_quote()
            return
        run = self._examination.run
        run("quote_parse", self._parse, "transport")
        quote = self._quote
        if quote is None:
            for name in list(QUOTE)[1:]:
                self._examination.add(name, "skip", NOT_REACHED)
            return
        run("intel_chain", partial(self._intel_chain, quote))
        run("qe_report", partial(self._qe_report, quote), "intel_chain")
        run("quote_signature", partial(self._quote_signature, quote), "qe_report")
        run("td_attributes", partial(_attributes, quote, self._options.allowed_td_attributes_mask))
        run("report_data_address", lambda: self._same(quote.report_data[:20], self._report_data()[:20]), "key_address")
        run("report_data_padding", lambda: self._same(quote.report_data[20:32], bytes(12)))
        run("report_data_nonce", lambda: self._same(quote.report_data[32:], self._nonce))
        self._check_logs(quote)

    def _parse(self) -> str:
        if not self._raw:
            text = self._reply.get("intel_quote")
            raise ValueError("the quote is gone that was there before" if text is None else "the quote cannot be read")
        for where in (self._reply.get("quote"), member(member(self._reply, "attestation"), "evidence").get("quote")):
            if where is not None and decode(where) != self._raw:
                raise ValueError("the reply has two quotes that differ")
        self._quote = parse_quote(self._raw)
        return f"TDX, version 4, {len(self._raw)} bytes"

    def _intel_chain(self, quote: Quote) -> str:
        check_chain(certificates(quote.chain), self._now, self._options.trust.intel_root_der)
        return f"up to the {'pinned root' if self._options.trust.intel_root_der is None else 'CUSTOM root'}"

    def _qe_report(self, quote: Quote) -> str:
        check_qe_report(quote, certificates(quote.chain)[0], intel=self._options.trust.intel_root_der is None)
        return "the quoting enclave owns the attestation key"

    def _quote_signature(self, quote: Quote) -> str:
        check_signature(quote)
        return "by the attestation key"

    def _same(self, found: bytes, wanted: bytes) -> str:
        if not hmac.compare_digest(found, wanted):
            raise ValueError("the report's data is not what it must be")
        return "as it must be"

    def _check_logs(self, quote: Quote) -> None:
        run, logs = self._examination.run, Logs(self._reply)
        self._logs = logs
        run("rtmr_replay", partial(logs.check_registers, quote))
        run("event_payload", logs.check_payloads, "rtmr_replay")
        run("mr_config_id", partial(check_config_id, quote, logs.payloads), "event_payload")
        run("compose_hash", partial(check_compose, self._reply, logs.payloads), "event_payload")
        run("info_match", partial(check_info, self._reply, quote, logs.payloads), "event_payload")

    # -- what Intel says, and what runs ----------------------------------------------------------------------------------

    def check_platform(self, found: Mapping[str, Any] | str | None, *, dcap: bool, seen: collateral.Seen | None) -> None:
        if self._quote is None or self._raw is None:
            return
        checks, self._tcb = collateral.check(
            self._raw,
            found,
            now=self._now,
            root_der=self._options.trust.intel_root_der,
            statuses=self._options.tcb_statuses,
            min_eval=self._options.min_tcb_eval,
            seen=seen,
            dcap=dcap,
        )
        self._examination.checks += checks

    def check_workload(self) -> None:
        run, options, quote = self._examination.run, self._options, self._quote
        if quote is None or self._logs is None:
            if options.pins is not None:
                self.refuse("pins", "there is no quote to compare with what is pinned")
            if not options.allow_dev_image:
                self.refuse("dev_image", "there is no quote that says which operating system image runs")
            return
        workload = self._workload = describe(self._logs, self._reply)
        image = partial(check_image, quote, workload, options.os_images, allowed=options.allow_dev_image)
        run("dev_image", image, "event_payload")
        if self._reply.get("compose_manager_attestation") is not None:
            run("compose_manager", partial(self._compose_manager, quote), "quote_signature")
            self._warnings.append(
                "a manager can start and stop containers after the start; it logs them, nothing measures them"
            )
        if options.pins is not None:
            run("pins", partial(check_pins, options.pins, quote, workload), "quote_signature", "event_payload")
        # What nobody signed is not worth the reading, however long it is.
        if self._examination.passed("compose_hash") and self._examination.passed("quote_signature"):
            shown = app_compose(self._reply)
            self._warnings += compose_warnings(shown)
            self._workload = replace(workload, images=compose_images(shown))
        if aci.is_aci(self._reply):
            self._examination.checks += aci.check(self._reply)
            self._warnings.append("the encryption ends at a gateway, which passes prompts on in clear to another machine")

    def _compose_manager(self, main: Quote) -> str:
        """Checks that the manager's log of its own actions is signed by the same trust domain, for our nonce."""
        manager = member(self._reply, "compose_manager_attestation")
        quote = parse_quote(decode(manager.get("quote")) or b"")
        self._intel_chain(quote)
        self._qe_report(quote)
        self._quote_signature(quote)
        # All of it: a domain that its host can read and write reports the same measurements, and other attributes.
        if quote.domain != main.domain:
            raise ValueError("the manager's quote is of another trust domain")
        actions = json.dumps(manager.get("actions"), separators=(",", ":"), ensure_ascii=False)
        self._same(quote.report_data, hashlib.sha256(actions.encode()).digest() + self._nonce)
        return "its log of actions is signed for our nonce"

    def check_gpus(self, nras: tuple[Check, ...] | None) -> None:
        if self._quote is None and self._options.gpu == "verify-if-present" and self._reply.get("nvidia_payload") is None:
            return
        number = vm_config(self._reply).get("num_gpus")
        checks, self._gpus = gpu.check(
            self._reply.get("nvidia_payload"),
            self._nonce,
            policy=self._options.gpu,
            root_sha256=self._options.trust.nvidia_root_sha256,
            expected_count=number if type(number) is int else None,
        )
        self._examination.checks += [*checks, *(nras or ())]

    def check_parts(self, shown_before: Collection[str]) -> None:
        if self._workload is not None:
            self._examination.run("parts", partial(self._parts, self._workload, shown_before), "compose_hash")

    def _parts(self, workload: Workload, shown_before: Collection[str]) -> str:
        """Checks that nothing is left out of what the model or the reply promises."""
        left_out = missing(
            self._reply,
            compose=app_compose(self._reply),
            workload=workload,
            checks=self._examination.checks,
            before=shown_before,
            gpus=self._options.gpu != "off",
        )
        if found := ", ".join(left_out):
            raise CheckSkipped(f"the reply leaves out what it, or this model, promises: {found}")
        return "nothing is left out that the reply or the model promises"

    # -- the report ------------------------------------------------------------------------------------------------------

    def report(self) -> AttestationReport:
        checks = tuple(self._examination.checks)
        level = level_of(checks)
        measured = self._quote if self._examination.passed("quote_signature") else None
        known = measured is not None and self._examination.passed("event_payload")
        provider = self._reply.get("tee_provider")
        return AttestationReport(
            model=self._model,
            provider=provider if isinstance(provider, str) else None,
            variant=self._variant(),
            nonce=self._nonce.hex(),
            fetched_at=self._now,
            expires_at=self._expires(),
            level=level,
            ok=level is not None,
            signing_address=self._address,
            model_public_key=self._key.hex() if self._key is not None and level is not None else None,
            tcb=self._tcb,
            td=None if measured is None else Td(**{each.name: measured.hex(each.name) for each in fields(Td)}),
            workload=self._workload if known else None,
            gpus=tuple(self._gpus),
            checks=checks,
            actions=manager_actions(self._reply) if self._examination.passed("compose_manager") else (),
            warnings=tuple(
                map(
                    one_line,
                    (*shortfall(level, checks), *(each.detail for each in checks if each.status == "warn"), *self._warnings),
                )
            ),
            trust_root=self._options.trust.name,
        )

    def _variant(self) -> Literal["dstack", "near", "aci"] | None:
        if aci.is_aci(self._reply):
            return "aci"
        if "compose_manager_attestation" in self._reply:
            return "near"
        return "dstack" if "info" in self._reply else None

    def _expires(self) -> float:
        """Until when the key may be used: not past what the server, or Intel's collateral, says."""
        limits: list[float] = [self._now + self._options.attestation_ttl]
        stale: Any = member(member(self._reply, "attestation"), "freshness").get("stale_after")
        if isinstance(stale, (int, float)) and not isinstance(stale, bool):
            limits.append(stale)  # as it is: not every whole number is a float
        if self._tcb is not None and self._tcb.collateral_expires is not None:
            limits.append(self._tcb.collateral_expires)
        return float(max(0, min(limits)))


def _unless(wrong: bool, otherwise: str, words: str) -> str:
    if wrong:
        raise ValueError(otherwise)
    return words


def _attributes(quote: Quote, allowed: int) -> str:
    found = int.from_bytes(quote.attributes, "little")
    if found & 1:
        raise ValueError("the trust domain is in debug mode: its host can read its memory")
    if found & ~allowed != _ATTRIBUTES & ~allowed or not found & _ATTRIBUTES:
        raise ValueError(f"the attributes of the trust domain are {quote.attributes.hex()}; see allowed_td_attributes_mask")
    if any(quote.mrsignerseam) or any(quote.seam_attributes):
        raise ValueError("the TDX module is not Intel's")
    return quote.attributes.hex()
