"""Turns the checks of an attestation into a level, and decides when a report is refused.

The tables have every check, the attack that it stops, and what it needs; `attestation.py` runs them in this order. A level is
reached if all checks of its table passed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from ..types.attestation import AttestationReport, Check
from .checks import Checks
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
HARDWARE: Final = ("collateral", "revocation", "tcb_status", "tcb_eval", "parts")
RULES: Final[Rules] = {**SERVER, **QUOTE, **FURTHER}
check: Final = Checks({name: rule[0] for name, rule in RULES.items()})
LIMITATION: Final = (
    "SECURITY LIMITATION: this trusts Venice's own statement that the enclave was verified; no TDX or NVIDIA quote is fully "
    "verified on this machine."
)


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
    if not good.issuperset(HARDWARE):
        return "quote"
    return "pinned" if "pins" in good else "hardware"


def reached(model: str, level: Level | None, checks: Sequence[Check]) -> str:
    """What was reached, in words that promise no more: `verified` is said from the level `quote` up."""
    if level is None:
        return f"{model!r} REFUSED"
    if level == "server":
        why = _shortcomings(checks) or "no evidence was looked at"
        return f"{model!r} is NOT verified: Venice's own statement (level 'server'): {why}. {LIMITATION}"
    return f"{model!r} was verified at the level {level!r}" + (f" only: {_shortcomings(checks)}." if level == "quote" else ".")


def _shortcomings(checks: Sequence[Check]) -> str:
    """Why no higher level was reached."""
    lowering = (each for each in checks if each.status == "skip" or (each.id == "transport" and each.status == "warn"))
    return "; ".join(dict.fromkeys(each.detail for each in lowering))


def shortfall(level: Level | None, checks: Sequence[Check]) -> tuple[str, ...]:
    """The warning that less than the level `hardware` was verified, if that is so."""
    if level == "server":
        return (f"NOT verified: Venice's own statement (level 'server'). {LIMITATION}",)
    return (f"verified at the level 'quote' only: {_shortcomings(checks)}",) if level == "quote" else ()


def raise_for(report: AttestationReport, options: TeeOptions) -> None:
    """Raises unless a report is what the options demand; `server` is enough only where it was asked for by name."""
    report.raise_for_level("quote" if options.verification == "auto" else options.verification)


def with_custom(report: AttestationReport, answer: object) -> AttestationReport:
    """The report with what the caller's own verifier said: True, and nothing else, accepts."""
    if answer is True:
        return replace(report, checks=(*report.checks, check("custom", "pass", "the verifier given in TeeOptions accepts it")))
    said = f"raised {type(answer).__name__}" if isinstance(answer, Exception) else f"gave {type(answer).__name__}, not True"
    refused = check("custom", "fail", f"the verifier given in TeeOptions {said}")
    return replace(report, checks=(*report.checks, refused), ok=False, level=None, model_public_key=None)
