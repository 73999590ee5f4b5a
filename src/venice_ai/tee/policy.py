"""Turns the checks of an attestation into a level, and decides when a report is refused.

The tables name every check and the attack that it stops. A level is reached if all checks of its table passed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from .checks import NOT_REACHED, Checks
from .report import AttestationReport, Check, Status
from .types import Level, TeeOptions

SERVER: Final = {
    "transport": "a look-alike server, two readings of one reply, memory exhaustion",
    "server_verified": "evidence that Venice itself rejected",
    "nonce_echo": "the replay of an old attestation",
    "nonce_unique": "the reuse of a nonce of our own",
    "model": "another model's enclave",
    "hardware": "another platform or a weaker algorithm",
    "model_key": "a key that is not on the curve, or two keys that differ",
    "key_address": "a swapped encryption key",
    "server_claims": "a story of the server that its evidence contradicts",
}
QUOTE: Final = {
    "quote_parse": "a malformed or downgraded quote",
    "intel_chain": "hardware that is not Intel's",
    "qe_report": "a key that Intel's quoting enclave does not own",
    "quote_signature": "any edit of what was measured",
    "td_attributes": "a debuggable or migratable trust domain",
    "report_data_address": "a real quote of another trust domain, with the attacker's key",
    "report_data_padding": "another meaning of the report's data",
    "report_data_nonce": "a replayed quote with a forged echo",
    "rtmr_replay": "a forged event log",
    "event_payload": "an event whose payload was edited and its digest kept",
    "mr_config_id": "an application swapped below the event log",
    "compose_hash": "other containers than those shown",
    "info_match": "a display that misleads",
}
FURTHER: Final = {
    "dev_image": "an operating system that lets its operator in",
    "compose_manager": "containers that were changed in secret after the start",
    "pins": "genuine hardware that runs the wrong software",
    "parts": "evidence that is left out so that it cannot fail",
    "custom": "what the caller's own verifier refuses",
}
STOPS: Final = {**SERVER, **QUOTE, **FURTHER}
HARDWARE: Final = ("collateral", "revocation", "tcb_status", "tcb_eval", "parts")

_check = Checks(STOPS)
_WITHOUT_QUOTE: Final = "the reply has no quote"
LIMITATION: Final = (
    "SECURITY LIMITATION: this trusts Venice's own statement that the enclave was verified; no TDX or NVIDIA quote is fully "
    "verified on this machine."
)


class Examination:
    """Runs checks in their order, each unless one that it needs did not pass, and keeps what they found."""

    def __init__(self) -> None:
        self.checks: list[Check] = []
        self._passed: set[str] = set()

    def run(self, name: str, rule: Callable[[], str], *needs: str) -> bool:
        """Runs one check; `rule` is as in `Checks.run`."""
        reached = all(map(self.passed, needs))
        self._note(_check.run(name, rule) if reached else _check(name, "skip", NOT_REACHED))
        return self.passed(name)

    def add(self, name: str, status: Status, detail: str) -> None:
        """Notes the outcome of a check."""
        self._note(_check(name, status, detail))

    def _note(self, check: Check) -> None:
        self.checks.append(check)
        if check.status in {"pass", "warn"}:
            self._passed.add(check.id)

    def passed(self, name: str) -> bool:
        """Whether a check has run and did not fail."""
        return name in self._passed

    def skip_quote(self) -> None:
        """Notes that there was no quote to check."""
        for name in QUOTE:
            self.add(name, "skip", _WITHOUT_QUOTE)


def level_of(checks: Sequence[Check]) -> Level | None:
    """The level that checks reach: None if one failed, or if the baseline was not even asked."""
    if not checks or any(check.status == "fail" for check in checks):
        return None
    good = {check.id for check in checks if check.status in {"pass", "warn"}}
    if not good.issuperset(SERVER):
        return None
    # Whoever may not be Venice's server can show any enclave in the world: its quote says nothing about this model.
    if not good.issuperset(QUOTE) or _status(checks, "transport") == "warn":
        return "server"
    if not good.issuperset(HARDWARE):
        return "quote"
    return "pinned" if "pins" in good else "hardware"


def _status(checks: Sequence[Check], name: str) -> Status | None:
    return next((check.status for check in checks if check.id == name), None)


def reached(model: str, level: Level | None, checks: Sequence[Check]) -> str:
    """What was reached, in words that promise no more: `verified` is said from the level `quote` up."""
    why = "; ".join(dict.fromkeys(check.detail for check in checks if _lowers(check))) or "no evidence was looked at"
    if level is None:
        return f"{model!r} REFUSED"
    if level == "server":
        return f"{model!r} is NOT verified: Venice's own statement (level 'server'): {why}. {LIMITATION}"
    return f"{model!r} was verified at the level {level!r}" + (f" only: {why}." if level == "quote" else ".")


def _lowers(check: Check) -> bool:
    return check.status == "skip" or (check.id == "transport" and check.status == "warn")


def shortfall(level: Level | None, checks: Sequence[Check]) -> tuple[str, ...]:
    """The warning that less than the level `hardware` was verified, if that is so."""
    if level == "server":
        return (f"NOT verified: Venice's own statement (level 'server'). {LIMITATION}",)
    if level != "quote":
        return ()
    return (f"verified at the level 'quote' only: {'; '.join(dict.fromkeys(each.detail for each in checks if _lowers(each)))}",)


def floor(options: TeeOptions) -> Level:
    """The lowest level that options accept: `server` only where it was asked for by name."""
    return "quote" if options.verification == "auto" else options.verification


def raise_for(report: AttestationReport, options: TeeOptions) -> None:
    """Raises unless a report is what the options demand."""
    report.raise_for_level(floor(options))


def with_custom(report: AttestationReport, answer: object) -> AttestationReport:
    """The report with what the caller's own verifier said: True, and nothing else, accepts."""
    if answer is True:
        accepted = _check("custom", "pass", "the verifier given in TeeOptions accepts it")
        return replace(report, checks=(*report.checks, accepted))
    said = f"raised {type(answer).__name__}" if isinstance(answer, Exception) else f"gave {type(answer).__name__}, not True"
    refused = _check("custom", "fail", f"the verifier given in TeeOptions {said}")
    return replace(report, checks=(*report.checks, refused), ok=False, level=None, model_public_key=None)
