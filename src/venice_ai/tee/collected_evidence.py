"""`CollectedEvidence`: all that an attestation is judged by. Whoever has it comes to the same verdict, also years later."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from .collateral import Seen
from .types import Level


class Documents(NamedTuple):
    """What NVIDIA's service answered about some evidence, and the keys that it publishes: JSON, byte by byte."""

    answer: bytes
    keys: bytes
    root_sha256: str | None = None
    """The root that keys from a file must chain to; `None` for keys that came from the service's address just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectedEvidence:
    """What was asked, what came, when, and what was known before."""

    model: str
    nonce: bytes
    """The 32 bytes that were asked with."""
    reply: bytes
    """The reply of `/tee/attestation`, byte by byte."""
    now: float
    """The time to judge at, in seconds since 1970."""
    platform: tuple[str, str] | None = None
    """The FMSPC and CA that collateral was fetched for."""
    collateral: Mapping[str, Any] | str | None = None
    """Intel's collateral. If it is missing: `None`, or the reason."""
    nras: Documents | str | None = None
    """What NVIDIA's service answered, or why it did not; `None` if it was not to be asked."""
    used_nonce: bool = False
    """Whether this process used the nonce before."""
    private: bool = True
    """Whether the reply came over TLS, or from this machine."""
    known_server: bool = True
    """Whether TLS showed whose server it is; without that no level above `server` is reached."""
    reached_before: Level | None = None
    """The highest level that this model reached in this client."""
    seen: Seen | None = None
    """The highest numbers of Intel's collateral that were seen."""
    shown_before: Collection[str] = ()
    """What `parts.shown` gave for earlier reports on the model."""
