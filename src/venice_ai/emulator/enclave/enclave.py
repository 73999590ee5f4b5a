"""The emulated enclave: it answers `/tee/...` with complete evidence, under root certificates made for this test alone."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from venice_ai.exceptions import InvalidRequestError
from venice_ai.tee.types import OsImage, TeeOptions, TrustRoots
from venice_ai.types.api.models import ModelCapabilities

from .. import contract
from ..contract import Issue
from ..sending import JSON_TYPE, HTTPReply, Incoming, encode_json, json_reply
from .attestation import IMAGE, MRTD, Domain, Draft, EnclaveKey, provenance
from .channel import Channel, opened
from .faults import FAULTS, Fault
from .hardware import Intel, Nvidia


class Enclave:
    """An emulated enclave: its replies to `/tee/...`, and the key that chats are sealed to.

    Its certificates are made anew for each enclave. A client accepts it only with its options::

        client = VeniceClient(..., tee=emulator.enclave.options())

    Args:
        fault: the attack to play; one of `FAULTS`, or None.
        signs_bytes: sign the very bytes that came and went. Venice's service frames both anew, so that its signatures are of
            others; with this `verify_signature="require"` can be met.

    Raises:
        InvalidRequestError: there is no such fault.
        ImportError: the extra `e2ee` is not installed.
    """

    def __init__(self, *, fault: str | None = None, signs_bytes: bool = False) -> None:
        label = secrets.token_hex(8)
        self.intel: Intel = Intel(label)  # the hierarchy that signs quotes and collateral
        self.nvidia: Nvidia = Nvidia(label)  # the hierarchy that signs the GPUs' evidence
        self.key: EnclaveKey = EnclaveKey()  # the key that clients seal to
        self._name: str | None = None
        self._channels: list[Channel] = []
        self._signs_bytes = signs_bytes
        self.fault = fault

    @property
    def fault(self) -> str | None:
        """The attack that is played; it can be changed at any time."""
        return self._name

    @fault.setter
    def fault(self, name: str | None) -> None:
        if name is not None and not (isinstance(name, str) and name in FAULTS):
            near = ", ".join(get_close_matches(str(name), FAULTS, 5, 0))
            raise InvalidRequestError(f"there is no fault {name!r}; near are {near}")
        self._name, self._fault = name, Fault() if name is None else FAULTS[name]

    @property
    def trust(self) -> TrustRoots:
        """The roots with which a client accepts this enclave."""
        return TrustRoots(self.intel.root.der, self.nvidia.root.sha256)

    def options(self, **changes: Any) -> TeeOptions:
        """Options for a client that trusts this enclave, knows its operating system, and has its collateral from here."""
        domain = Domain()
        _, rtmr1, rtmr2, _ = (register.hex() for register in domain.registers())
        image = OsImage(domain.os_image.hex(), MRTD.hex(), rtmr1, rtmr2, is_dev=False, name=IMAGE)
        return TeeOptions(trust=self.trust, collateral=self, os_images=(image,)).replace(**changes)

    def to_dict(self, now: float) -> dict[str, Any]:
        """The options with which a client in another process accepts this enclave: `trust`, and `collateral` of that time."""
        roots = {"intel_root_der": self.intel.root.der.hex(), "nvidia_root_sha256": self.nvidia.root.sha256}
        return {"trust": roots, "collateral": self.get(self.intel.fmspc, "platform", now)}

    def get(self, fmspc: str, ca: str, now: float, /) -> Mapping[str, Any] | None:
        """The collateral of its platform: what `TeeOptions(collateral=...)` asks for."""
        return self._fault.published(self.intel, now) if (fmspc, ca) == (self.intel.fmspc, "platform") else None

    def rotate(self) -> None:
        """Takes a new key, as an enclave does that starts anew."""
        self.key = EnclaveKey()

    def attest(self, model: str, query: Mapping[str, str]) -> HTTPReply:
        """The answer to `/tee/attestation` about a model."""
        given = query.get("nonce")
        if given and not re.fullmatch(r"[0-9a-fA-F]{64}", given):
            return contract.invalid([Issue(("nonce",), "The nonce must be 32 bytes in hex")])
        if self._fault.answered is not None:
            return self._fault.answered
        return HTTPReply(200, {"content-type": JSON_TYPE}, (self.attestation(model, bytes.fromhex(given) if given else None),))

    def attestation(self, model: str, nonce: bytes | None) -> bytes:
        """The reply about a model that answers a nonce (32 bytes); without one, a nonce of the server's own."""
        source = "server" if nonce is None else "client"
        draft = Draft(self.key, self.intel, self.nvidia, model, nonce or secrets.token_bytes(32), source)
        fault = self._fault
        fault.booted(draft)
        draft.measure()
        fault.measured(draft)
        draft.answer()
        fault.replied(draft)
        return fault.written(draft)

    def enter(
        self, able: ModelCapabilities, incoming: Incoming, body: dict[str, Any]
    ) -> tuple[dict[str, Any], Channel] | HTTPReply:
        """A chat as it is read in the enclave, and the way its answer takes; an answer if it is refused, or a fault has one."""
        if self._fault.chat_answered is not None:
            return self._fault.chat_answered
        try:
            read, key = opened(body, incoming.headers, able, self.key.private)
        except InvalidRequestError as reason:
            return json_reply(400, {"error": {"message": str(reason), "type": "invalid_request_error"}})
        if issues := [*contract.issues(read)]:
            return contract.invalid(issues)
        signed = incoming.body if self._signs_bytes else encode_json(read)
        used = Channel(signed, key, self._fault.sealed, signs_bytes=self._signs_bytes)
        self._channels = [*self._channels[-999:], used]
        return read, used

    def signature(self, model: str, query: Mapping[str, str]) -> HTTPReply:
        """The answer to `/tee/signature`: what the key signed about a streamed answer."""
        request_id = query.get("request_id", "")
        found = next((each for each in reversed(self._channels) if each.id == request_id), None)
        if found is None or not request_id:
            return contract.refused(404, "No signature was found for this request")
        text = self._fault.signed(found.hashes)
        reply = {"text": text, "signature": self.key.sign(text), "requested_request_id": request_id}
        reply |= provenance(self.key, model)
        self._fault.attested(reply)
        return json_reply(200, reply)
