"""The attestations for code that does not await, apart from the rest because they need the extra `e2ee`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..resources.tee import Tee
from ..types.api.chat import ChatCompletionResponse
from .connection import SyncResource
from .resources import Blocking

if TYPE_CHECKING:
    from ..types.attestation import SignatureReport
    from .streams import SyncChatStream


class SyncTee(SyncResource):
    """Attestations and signatures of enclaves; see `Tee`, also for every method."""

    _part = "tee"

    attest = Blocking(Tee.attest)
    get_attestation = Blocking(Tee.get_attestation)
    open_session = Blocking(Tee.open_session)
    get_signature = Blocking(Tee.get_signature)

    def verify_signature(self, answer: ChatCompletionResponse | SyncChatStream) -> SignatureReport:
        """Whether the attested key signed an end-to-end encrypted answer; see `Tee.verify_signature`."""
        response = answer if isinstance(answer, ChatCompletionResponse) else answer.collect()
        return self._run(self._connected.tee.verify_signature(response))
