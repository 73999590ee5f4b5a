"""Confidential compute in the emulator: the endpoints `/tee/...`, and chats that pass through the enclave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from venice_ai.types.api.models import ModelCapabilities

from . import contract, refusals
from .catalogue import Catalogue, split_suffix
from .sending import Answer, Incoming, json_answer

if TYPE_CHECKING:
    from .enclave import Enclave
    from .enclave.channel import Channel

ATTESTATION = "/tee/attestation"
SIGNATURE = "/tee/signature"


def respond(catalogue: Catalogue, enclave: Enclave, path: str, query: Mapping[str, str]) -> Answer:
    """The answer to `/tee/...` about a model that may run in the enclave."""
    name = query.get("model", "")
    if catalogue.find(name) is None:
        return refusals.refused(404, f"Specified model not found: {name}")
    if not _capabilities(catalogue, name).supportsTeeAttestation:
        return refusals.refused(400, f"The model {name} does not support TEE attestation")
    return (enclave.attest if path == ATTESTATION else enclave.signature)(name, query)


def enter(
    catalogue: Catalogue, enclave: Enclave, incoming: Incoming, body: dict[str, Any]
) -> tuple[dict[str, Any], Channel] | Answer | None:
    """A chat as the enclave reads it, and how its answer leaves; None for a model that is in no enclave."""
    from .enclave import RefusedError
    from .enclave.channel import is_sealed

    capabilities = _capabilities(catalogue, split_suffix(body["model"])[0])
    if not capabilities.supportsTeeAttestation:
        return None
    try:
        if is_sealed(incoming.headers) and not capabilities.supportsE2EE:
            raise RefusedError("Invalid E2EE headers: the model has no end-to-end encryption")
        entered = enclave.receive(incoming.headers, body)
    except RefusedError as reason:
        return json_answer(400, {"error": {"message": str(reason), "type": "invalid_request_error"}})
    issues = () if isinstance(entered, Answer) else tuple(contract.issues(entered[0]))
    return refusals.invalid(issues) if issues else entered


def _capabilities(catalogue: Catalogue, name: str) -> ModelCapabilities:
    model = catalogue.find(name)
    return (model and model.model_spec.capabilities) or ModelCapabilities()
