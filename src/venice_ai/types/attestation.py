"""The base classes of the attestation reports that responses and errors carry.

`Attestation` is the base of `tee.AttestationReport`, and `AnswerSignature` that of `tee.SignatureReport`. They stand here
because the types know nothing of how enclaves are verified.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

Level: TypeAlias = Literal["server", "quote", "hardware", "pinned"]
"""How much was verified, from the least to the most."""


class Attestation:
    """What an attestation came to: a `venice_ai.tee.AttestationReport`, which describes every member."""

    __slots__ = ()

    model: str
    """The model that the enclave runs."""
    ok: bool
    """Whether no check failed."""
    level: Level | None
    """How much was verified; None if a check failed."""
    trust_root: Literal["intel", "custom"]
    """Whose root of trust the evidence was verified under."""
    model_public_key: str | None
    """The verified key that messages are sealed to; None unless every check passed."""
    nonce: str
    """The nonce that the enclave answered, in hex."""
    checks: tuple[Any, ...]
    """Every check with its `id`, `status` and `detail`: `Check`s."""

    @property
    def failures(self) -> tuple[Any, ...]:
        """The checks that failed."""
        raise NotImplementedError

    tcb: Any
    """What Intel's collateral says about the platform: a `Tcb`, or None."""
    td: Any
    """The measurements of the trust domain: a `Td`, or None."""
    workload: Any
    """What runs in the trust domain: a `Workload`, or None."""
    gpus: tuple[Any, ...]
    """The GPUs that answered: `Gpu`s."""
    warnings: tuple[str, ...]
    """What does not count against the enclave, and is worth knowing."""

    def reaches(self, level: Level) -> bool:
        """Whether no check failed and this level, or a higher one, was verified."""
        raise NotImplementedError

    def raise_for_level(self, level: Level) -> None:
        """Raises `TeeAttestationError` unless this level was reached."""
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        raise NotImplementedError

    def summary(self) -> str:
        """The report for people."""
        raise NotImplementedError


class AnswerSignature:
    """What the signature of an answer came to: a `venice_ai.tee.SignatureReport`, which describes every member."""

    __slots__ = ()

    status: Literal["valid", "invalid", "unavailable"]
    """How the check of the signature ended."""
    valid: bool
    """Whether the attested key signed an answer."""
    bound: bool | None
    """Whether it signed this very answer; None if that cannot be told."""
    request_hash_match: bool | None
    """Whether the signed hash is that of the request; None if that cannot be told."""
    response_hash_match: bool | None
    """Whether the signed hash is that of the answer; None if that cannot be told."""

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        raise NotImplementedError
