"""Venice's replies about enclaves. Every field is a claim until it was verified."""

from __future__ import annotations

from typing import Any

from .._base import Response


class TeeAttestation(Response):
    """A reply of `GET /tee/attestation`, as it came."""

    model: str | None = None
    nonce: str | None = None
    nonce_source: str | None = None
    verified: bool | None = None
    signing_address: str | None = None
    signing_algo: str | None = None
    signing_public_key: str | None = None
    signing_key: str | None = None
    intel_quote: str | None = None
    nvidia_payload: Any = None
    event_log: Any = None
    info: Any = None
    server_verification: Any = None
    tee_provider: str | None = None
    tee_hardware: str | None = None
    upstream_model: str | None = None
    sent_nonce: str | None = None
    """The nonce that was asked with. It is ours, not the server's."""


class TeeSignature(Response):
    """A reply of `GET /tee/signature`, as it came."""

    text: str | None = None
    signature: Any = None
    signing_address: str | None = None
    signing_algo: str | None = None
    api_version: str | None = None
    receipt: Any = None
    model: str | None = None
    requested_request_id: str | None = None
    tee_provider: str | None = None
    tee_hardware: str | None = None
    upstream_model: str | None = None
    verification: Any = None
