"""The checks of an attestation, each with the attack that it stops; how a rule becomes a check; the level that checks reach.

A rule returns what it found, or raises: a ValueError for what is wrong, `CheckWarning` or `CheckSkipped`. A level is reached
if all checks of its table passed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, TypeAlias

from ..types.attestation import AttestationReport, Check, Status
from .types import Level, TeeOptions

Rules: TypeAlias = Mapping[str, tuple[str, ...]]
"""By the name of a check: the attack that it stops, and the checks without which it does not run."""
SERVER: Final[Rules] = {
    "transport": ("a look-alike server, two readings of one reply, memory exhaustion",),
    "server_verified": ("evidence that Venice itself rejected", "transport"),
    "nonce_echo": ("the replay of an old attestation", "transport"),
    "nonce_unique": ("the reuse of a nonce of our own",),
    "model": ("another model's enclave", "transport"),
    "hardware": ("another platform or a weaker algorithm", "transport"),
    "model_key": ("a key that is not on the curve, or two keys that differ", "transport"),
    "key_address": ("a swapped encryption key", "model_key"),
    "server_claims": ("a story of the server that its evidence contradicts", "transport"),
}
QUOTE: Final[Rules] = {
    "quote_parse": ("a malformed or downgraded quote", "transport"),
    "intel_chain": ("hardware that is not Intel's", "quote_parse"),
    "qe_report": ("a key that Intel's quoting enclave does not own", "intel_chain"),
    "quote_signature": ("any edit of what was measured", "qe_report"),
    "td_attributes": ("a debuggable or migratable trust domain", "quote_parse"),
    "report_data_address": ("a real quote of another trust domain, with the attacker's key", "quote_parse", "key_address"),
    "report_data_padding": ("another meaning of the report's data", "quote_parse"),
    "report_data_nonce": ("a replayed quote with a forged echo", "quote_parse"),
    "rtmr_replay": ("a forged event log", "quote_parse"),
    "event_payload": ("an event whose payload was edited and its digest kept", "rtmr_replay"),
    "mr_config_id": ("an application swapped below the event log", "event_payload"),
    "compose_hash": ("other containers than those shown", "event_payload"),
    "info_match": ("a display that misleads", "event_payload"),
}
FURTHER: Final[Rules] = {
    "dev_image": ("an operating system that lets its operator in", "event_payload"),
    "compose_manager": ("containers that were changed in secret after the start", "quote_signature"),
    "pins": ("genuine hardware that runs the wrong software", "quote_signature", "event_payload"),
    "parts": ("evidence that is left out so that it cannot fail", "compose_hash"),
    "custom": ("what the caller's own verifier refuses",),
}
COLLATERAL: Final[Rules] = {
    "collateral": ("forged or outdated statements of Intel",),
    "revocation": ("a platform whose keys were stolen",),
    "tcb_status": ("firmware with known holes",),
    "tcb_eval": ("an older statement of Intel, from before a vulnerability was known",),
}
GPU: Final[Rules] = {
    "gpu_evidence": ("a machine whose GPUs prove nothing",),
    "gpu_structure": ("evidence that is read in two ways",),
    "gpu_nonce": ("replayed evidence",),
    "gpu_chain": ("evidence of something that NVIDIA did not make",),
    "gpu_signature": ("edited measurements",),
    "gpu_firmware": ("the key of one firmware, and the measurements of another",),
    "gpu_unique": ("one GPU that answers for several",),
    "gpu_count": ("a machine with other GPUs than it says",),
    "gpu_nras": ("GPUs whose firmware NVIDIA does not know, or whose keys it has revoked",),
}
ACI: Final[Rules] = {
    "aci_keyset": ("a key slipped into the set",),
    "aci_workload": ("the keys of another workload",),
    "aci_endorsement": ("a set of keys that the workload did not choose",),
    "aci_custody": ("keys that are not the application's own",),
}
SIGNATURE: Final[Rules] = {
    "signature": ("an edited text",),
    "signature_signer": ("a signature by somebody else",),
    "signature_request": ("the signature of another answer",),
    "signature_receipt": ("a receipt for another text",),
    "signature_receipt_key": ("a receipt that nobody signed",),
    "signature_hashes": ("an answer that is not the signed one",),
}
RULES: Final[Rules] = {**SERVER, **QUOTE, **FURTHER, **COLLATERAL, **GPU, **ACI, **SIGNATURE}
_NOT_REACHED: Final = "not reached, because of the check that failed"
LIMITATION: Final = (
    "SECURITY LIMITATION: this trusts Venice's own statement that the enclave was verified; no TDX or NVIDIA quote is fully "
    "verified on this machine."
)


class CheckWarning(Exception):  # it is not an error
    """Raised by a rule: nothing is wrong, but something is not proved. The check is a warning."""


class CheckSkipped(Exception):  # it is not an error
    """Raised by a rule: the evidence has a form that is not known here. The check is skipped."""


def fail_if(wrong: object, why: str) -> None:
    """Raises what a rule raises, if something is wrong; for reasons that are cheap to say."""
    if wrong:
        raise ValueError(why)


def outcome(name: str, status: Status, detail: str) -> Check:
    """A check whose outcome is known."""
    return Check(name, status, detail, RULES[name][0])


def skipped(names: Iterable[str], why: str = _NOT_REACHED, *, failed: Check | None = None) -> list[Check]:
    """These checks as skipped, except the one that `failed`."""
    return [failed if failed is not None and name == failed.id else outcome(name, "skip", why) for name in names]


def run(name: str, rule: Callable[[], str]) -> Check:
    """The check that a rule makes."""
    try:
        return outcome(name, "pass", rule())
    except CheckWarning as doubt:
        return outcome(name, "warn", str(doubt))
    except CheckSkipped as unchecked:
        return outcome(name, "skip", str(unchecked))
    except (ValueError, ImportError) as error:  # a package is missing where the extra was not installed as a whole
        return outcome(name, "fail", str(error))
    except Exception as error:  # noqa: BLE001  # whatever evidence does to a check, it has not passed it
        return outcome(name, "fail", f"it could not be examined ({type(error).__name__})")


def level_of(checks: Sequence[Check]) -> Level | None:
    """The level that checks reach: None if one failed, or if the baseline was not even asked."""
    if not checks or any(each.status == "fail" for each in checks):
        return None
    good = {each.id for each in checks if each.status in {"pass", "warn"}}
    if not good.issuperset(SERVER):
        return None
    # Whoever may not be Venice's server can show any enclave in the world: its quote says nothing about this model.
    if not good.issuperset(QUOTE) or any(each.id == "transport" and each.status == "warn" for each in checks):
        return "server"
    if not good.issuperset((*COLLATERAL, "parts")):
        return "quote"
    return "pinned" if "pins" in good else "hardware"


def attained(level: Level, checks: Sequence[Check]) -> str:
    """Describes a level, and why it is not a higher one, in words that promise no more: `verified` is said from `quote` up."""
    lowering = (each for each in checks if each.status == "skip" or (each.id == "transport" and each.status == "warn"))
    why = "; ".join(dict.fromkeys(each.detail for each in lowering))
    if level == "server":
        return f"NOT verified: Venice's own statement (level 'server'): {why or 'no evidence was looked at'}. {LIMITATION}"
    return f"verified at the level {level!r}{f' only: {why}' if level == 'quote' else ''}."


def reached(report: AttestationReport) -> str:
    """A sentence that says which level a model's attestation reached, or that it was refused."""
    return f"{report.model!r} {'REFUSED' if report.level is None else f'is {attained(report.level, report.checks)}'}"


def raise_for(report: AttestationReport, options: TeeOptions) -> None:
    """Raises unless a report is what the options demand; `server` is enough only where it was asked for by name."""
    report.raise_for_level("quote" if options.verification == "auto" else options.verification)


def with_custom(report: AttestationReport, answer: object) -> AttestationReport:
    """The report with the verdict of the caller's own verifier: True, and nothing else, accepts."""
    verdict = "accepts it" if answer is True else f"gave {type(answer).__name__}, not True"
    if isinstance(answer, Exception):
        verdict = f"raised {type(answer).__name__}"
    judged = outcome("custom", "pass" if answer is True else "fail", f"the verifier given in TeeOptions {verdict}")
    spoilt: dict[str, Any] = {} if answer is True else {"ok": False, "level": None, "model_public_key": None}
    return replace(report, checks=(*report.checks, judged), **spoilt)
