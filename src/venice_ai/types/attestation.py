"""What an answer, or an error, carries of confidential compute: the reports of `venice_ai.tee`, as far as a reader of it needs.

`Attestation` is what `tee.AttestationReport` looks like from here, and `AnswerSignature` the same of `tee.SignatureReport`.
They stand here because the types know nothing of how enclaves are verified.
"""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeAlias

Level: TypeAlias = Literal["server", "quote", "hardware", "pinned"]
"""How much was verified, from the least to the most."""


class Attestation(Protocol):
    """What an attestation came to: a `venice_ai.tee.AttestationReport`, which describes every member."""

    @property
    def model(self) -> str:
        """The model that the enclave runs."""
        ...

    @property
    def ok(self) -> bool:
        """Whether no check failed."""
        ...

    @property
    def level(self) -> Level | None:
        """How much was verified; None if a check failed."""
        ...

    @property
    def trust_root(self) -> Literal["intel", "custom"]:
        """Whose root of trust the evidence was verified under."""
        ...

    @property
    def model_public_key(self) -> str | None:
        """The verified key that messages are sealed to; None unless every check passed."""
        ...

    @property
    def nonce(self) -> str:
        """The nonce that the enclave answered, in hex."""
        ...

    @property
    def checks(self) -> tuple[Any, ...]:
        """Every check with its `id`, `status` and `detail`: `Check`s."""
        ...

    @property
    def failures(self) -> tuple[Any, ...]:
        """The checks that failed."""
        ...

    @property
    def tcb(self) -> Any:
        """What Intel's collateral says about the platform: a `Tcb`, or None."""
        ...

    @property
    def td(self) -> Any:
        """The measurements of the trust domain: a `Td`, or None."""
        ...

    @property
    def workload(self) -> Any:
        """What runs in the trust domain: a `Workload`, or None."""
        ...

    @property
    def gpus(self) -> tuple[Any, ...]:
        """The GPUs that answered: `Gpu`s."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """What does not count against the enclave, and is worth knowing."""
        ...

    def reaches(self, level: Level) -> bool:
        """Whether no check failed and this level, or a higher one, was verified."""
        ...

    def raise_for_level(self, level: Level) -> None:
        """Raises `TeeAttestationError` unless this level was reached."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        ...

    def summary(self) -> str:
        """The report for people."""
        ...


class AnswerSignature(Protocol):
    """What the signature of an answer came to: a `venice_ai.tee.SignatureReport`, which describes every member."""

    @property
    def status(self) -> Literal["valid", "invalid", "unavailable"]:
        """How the check of the signature ended."""
        ...

    @property
    def valid(self) -> bool:
        """Whether the attested key signed an answer."""
        ...

    @property
    def bound(self) -> bool | None:
        """Whether it signed this very answer; None if that cannot be told."""
        ...

    @property
    def request_hash_match(self) -> bool | None:
        """Whether the signed hash is that of the request; None if that cannot be told."""
        ...

    @property
    def response_hash_match(self) -> bool | None:
        """Whether the signed hash is that of the answer; None if that cannot be told."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        ...
