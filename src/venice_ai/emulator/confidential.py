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


class Confidential:
    """Answers about an enclave in which the models of a catalogue run that say so of themselves."""

    def __init__(self, catalogue: Catalogue, enclave: Enclave) -> None:
        self._catalogue = catalogue
        self.enclave: Enclave = enclave

    def respond(self, path: str, query: Mapping[str, str]) -> Answer:
        name = query.get("model", "")
        model = self._catalogue.find(name)
        if model is None:
            return refusals.refused(404, f"Specified model not found: {name}")
        if not self._capabilities(name).supportsTeeAttestation:
            return refusals.refused(400, f"The model {name} does not support TEE attestation")
        answer = self.enclave.attest if path == ATTESTATION else self.enclave.signature
        return answer(name, query)

    def enter(self, incoming: Incoming, body: dict[str, Any]) -> tuple[dict[str, Any], Channel] | Answer | None:
        """A chat as the enclave reads it, and how its answer leaves; None for a model that is in no enclave."""
        from .enclave import RefusedError
        from .enclave.channel import is_sealed

        capabilities = self._capabilities(split_suffix(body["model"])[0])
        if not capabilities.supportsTeeAttestation:
            return None
        if is_sealed(incoming.headers) and not capabilities.supportsE2EE:
            return _refused("Invalid E2EE headers: the model has no end-to-end encryption")
        try:
            entered = self.enclave.receive(incoming.headers, body)
        except RefusedError as reason:
            return _refused(str(reason))
        issues = () if isinstance(entered, Answer) else tuple(contract.issues(entered[0]))
        return refusals.invalid(issues) if issues else entered

    def _capabilities(self, name: str) -> ModelCapabilities:
        model = self._catalogue.find(name)
        return (model and model.model_spec.capabilities) or ModelCapabilities()


def _refused(reason: str) -> Answer:
    return json_answer(400, {"error": {"message": reason, "type": "invalid_request_error"}})
