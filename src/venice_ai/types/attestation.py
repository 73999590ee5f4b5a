"""The report on an attestation: every check with its outcome, and what the verified evidence says.

A report is a value: immutable, comparable, picklable. It holds public keys, measurements and outcomes, no secrets. It stands
with the types because answers and errors carry it; it is made in `venice_ai.tee`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, cast, get_args

import msgspec

Level: TypeAlias = Literal["server", "quote", "hardware", "pinned"]
"""How much was verified, from the least to the most."""
LEVELS: Final[tuple[Level, ...]] = get_args(Level)
Status: TypeAlias = Literal["pass", "fail", "skip", "warn"]
_LONGEST_LINE = 2_000


def one_line(text: str) -> str:
    """A text from evidence as part of a line: what would end the line, or turn it around, is written as an escape."""
    shown = text if len(text) <= _LONGEST_LINE else text[:_LONGEST_LINE] + "..."
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in shown)


@dataclass(frozen=True, slots=True)
class Check:
    """One check: whether it passed, what was found, and the attack it stops."""

    id: str
    status: Status
    detail: str = ""
    """In one line, whatever the evidence holds."""
    stops: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", one_line(self.detail))


@dataclass(frozen=True, slots=True)
class Tcb:
    """The state of the platform, as Intel's collateral has it."""

    status: str
    """`UpToDate`, or what is missing."""
    advisories: tuple[str, ...] = ()
    eval_number: int | None = None
    tcb_date: str | None = None
    fmspc: str | None = None
    collateral_expires: float | None = None
    """When the collateral can no longer be used, in seconds since 1970."""
    revocation_lists: tuple[tuple[str, int], ...] = ()
    """The numbers of Intel's revocation lists by who issued them: `root`, and `platform` or `processor`."""


@dataclass(frozen=True, slots=True)
class Td:
    """The measurements of the trust domain, in hex, as its quote gives them."""

    mrtd: str
    mrseam: str
    mr_config_id: str
    rtmr0: str
    rtmr1: str
    rtmr2: str
    rtmr3: str
    attributes: str
    xfam: str
    report_data: str


@dataclass(frozen=True, slots=True)
class Workload:
    """The software that runs in the trust domain, from its event log up to the end of the boot.

    The operating system writes the log, so it proves something only if `mrtd`, `rtmr1` and `rtmr2` are known;
    `image_name` is only a claim.
    """

    compose_hash: str | None = None
    app_id: str | None = None
    instance_id: str | None = None
    os_image_hash: str | None = None
    image_name: str | None = None
    key_provider: str | None = None
    later_events: tuple[tuple[str, str], ...] = ()
    """Names, and payloads in hex, that containers measured after the boot: their own word, in which names may repeat."""
    images: tuple[str, ...] = ()
    """The container images that the measured compose file names, with their digests where it has them."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that answered the nonce. Nothing ties it to this trust domain."""

    model: str | None = None
    driver: str | None = None
    vbios: str | None = None
    serial: str | None = None
    status: str = "answered"


@dataclass(frozen=True, slots=True)
class SignatureReport:
    """The report on the signature of a response. Even a valid one does not cover the bytes that this client sent and saw."""

    status: Literal["valid", "invalid", "unavailable"]
    valid: bool = False
    signer: str | None = None
    """The address of the key that signed."""
    bound: bool | None = None
    """Whether the attested key signed this very answer: True if its bytes are the signed ones, False if the signature is not
    valid, None if it cannot be told, as is usual: the id of an answer is not in what is signed."""
    text: str | None = None
    receipt: str | None = None
    request_hash_match: bool | None = None
    """None: cannot be determined."""
    response_hash_match: bool | None = None
    checks: tuple[Check, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestationReport:
    """The report on an attestation.

    `ok` says that no check failed; `level` how much was verified, None if a check failed. Both are needed:
    `raise_for_level("hardware")` asks for both.
    """

    model: str
    provider: str | None = None
    """Who runs the enclave, as Venice says (unsigned)."""
    variant: Literal["dstack", "near", "aci"] | None = None
    """The shape of the reply."""
    nonce: str
    fetched_at: float
    expires_at: float
    """Until when a cache may use the key, in seconds since 1970."""
    level: Level | None = None
    ok: bool = False
    signing_address: str | None = None
    model_public_key: str | None = None
    """The verified key to seal messages to, 130 hex digits; None unless every check passed."""
    tcb: Tcb | None = None
    td: Td | None = None
    """The measurements; None unless the quote was verified."""
    workload: Workload | None = None
    gpus: tuple[Gpu, ...] = ()
    actions: tuple[str, ...] = ()
    """What a manager of containers did since the start, by its signed log; empty without one."""
    checks: tuple[Check, ...] = ()
    warnings: tuple[str, ...] = ()
    trust_root: Literal["intel", "custom"] = "intel"

    @property
    def failures(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if check.status == "fail")

    @property
    def skipped(self) -> tuple[Check, ...]:
        """The checks that could not run."""
        return tuple(check for check in self.checks if check.status == "skip")

    def check(self, name: str) -> Check | None:
        """The check with this id; None if it is not in the report."""
        return next((check for check in self.checks if check.id == name), None)

    def reaches(self, level: Level) -> bool:
        """Whether no check failed and this level, or a higher one, was verified."""
        return self.ok and self.level is not None and LEVELS.index(self.level) >= LEVELS.index(level)

    def raise_for_level(self, level: Level) -> None:
        """Raise unless this level was reached.

        Raises:
            TeeAttestationError: a check failed, or the report's level is lower.
            InvalidRequestError: there is no such level.
        """
        from ..exceptions import InvalidRequestError, TeeAttestationError  # they carry reports, and so stand above

        if level not in LEVELS:
            raise InvalidRequestError(f"level={level!r} must be one of {', '.join(map(repr, LEVELS))}")
        if not self.ok:
            found = "; ".join(f"{check.id}: {check.detail}" for check in self.failures[:4]) or "no check has run"
            more = f"; and {len(self.failures) - 4} more" if len(self.failures) > 4 else ""
            why = f"the attestation of {self.model!r} failed: {found}{more}. Nothing was sent."
            raise TeeAttestationError(why, report=self)
        if not self.reaches(level):
            missing = "; ".join({check.detail: f"{check.id}: {check.detail}" for check in reversed(self.skipped)}.values())
            why = f"the attestation of {self.model!r} reaches the level {self.level!r}, and {level!r} was asked for"
            raise TeeAttestationError(f"{why}{f' ({missing})' if missing else ''}. Nothing was sent.", report=self)

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    def to_json(self, *, indent: int | None = None) -> str:
        """The report as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def _repr_html_(self) -> str:
        from ._html import table

        marks = {"pass": "✓", "fail": "✗", "skip": "-"}
        rows = [{"": marks.get(each.status, ""), "check": each.id, "found": _line(each)} for each in self.checks]
        return table(rows, f"{self.model}: {self._verdict()}")

    def summary(self) -> str:
        """The report for people: a line per check, then what was found."""
        return "\n".join(map(one_line, self._lines()))

    def _lines(self) -> list[str]:
        lines = [f"{check.status.upper():4}  {check.id:20}  {_line(check)}".rstrip() for check in self.checks]
        if self.tcb is not None:
            advisories = ", ".join(self.tcb.advisories) or "no advisories"
            lines.append(f"TCB: {self.tcb.status}, {advisories}, evaluation {self.tcb.eval_number}, FMSPC {self.tcb.fmspc}")
        if self.workload is not None:
            lines.append(f"workload: compose {self.workload.compose_hash}, image {self.workload.os_image_hash}")
            later = self.workload.later_events
            lines += [f"later event, as a container says: {name!r:.80} {payload:.80}" for name, payload in later]
            loose = " (NO digest: its name can be given to another image)"
            lines += [f"container image: {image}{'' if '@sha256:' in image else loose}" for image in self.workload.images]
        lines += [f"GPU: {gpu.model or 'unknown'}, driver {gpu.driver}, VBIOS {gpu.vbios}, {gpu.status}" for gpu in self.gpus]
        lines += [f"manager's action: {action}" for action in self.actions]
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines.append(f"verdict: {self.model} {self._verdict()}")
        return lines

    def _verdict(self) -> str:
        if not self.ok:
            return "REFUSED"
        root = "" if self.trust_root == "intel" else " under a CUSTOM root of trust"
        if self.level == "server":
            return f"NOT verified: Venice's own statement (level server){root}"
        return f"verified at level {self.level}{root}"


def _line(check: Check) -> str:
    return f"{check.detail} (stops: {check.stops})" if check.detail and check.stops else check.detail or f"stops: {check.stops}"
