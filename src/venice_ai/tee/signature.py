"""Verifies response signatures: what the enclave's key signed about a request and its response, and what that proves.

The signed text names two hashes, of the request and the answer in the enclave. Venice writes both anew on the way, so a valid
signature says that the key signed some request and answer that Venice gives this id; not that it is the one that came here.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final

from .._core.json_values import items, members
from ..types.attestation import SignatureReport
from .aci import is_aci
from .checks import CheckWarning, fail_if, outcome, run
from .crypto import address
from .curve import signed_by
from .keccak import keccak256

UNAVAILABLE: Final = SignatureReport(status="unavailable")  # the report for a response without a signature
_TEXT = re.compile(r"(?:.*:)?([0-9a-f]{64}):([0-9a-f]{64})", re.DOTALL)  # the model's name may be first, and hold colons
_LONGEST_TEXT = 4096


def hashes(text: str) -> tuple[str, str] | None:
    """SHA-256 of a request and of an answer, as a signed text names them; None if it has another shape."""
    found = _TEXT.fullmatch(text) if len(text) <= _LONGEST_TEXT else None
    return found and (found[1], found[2])


def digest(text: str) -> bytes:
    """The digest that is signed for a text: Keccak-256 of it behind the prefix of EIP-191."""
    raw = text.encode()
    return keccak256(b"\x19Ethereum Signed Message:\n" + str(len(raw)).encode() + raw)


def verify(
    reply: Mapping[str, Any], *, public_key: bytes, request_id: str, sent: bytes | None = None, received: bytes | None = None
) -> SignatureReport:
    """The report on a reply of `/tee/signature`, by the bodies that were `sent` and `received` where known. Never raises."""
    text, receipt = reply.get("text"), reply.get("receipt")
    parts = hashes(text) if isinstance(text, str) else None
    checks = [
        run("signature", lambda: _signature(reply, parts, public_key)),
        run("signature_signer", lambda: _signer(reply, public_key)),
        run("signature_request", lambda: _request(reply, request_id)),
    ]
    if receipt is not None or is_aci(reply):
        checks.append(run("signature_receipt", lambda: _receipt(members(receipt), parts)))
        # The receipt is signed with a key that no quote of Venice's binds, so that its signature would prove nothing.
        unbound = "the receipt's own signature is not verified: no quote binds its key"
        checks.append(outcome("signature_receipt_key", "warn", unbound))
    matches = _match(parts and parts[0], sent), _match(parts and parts[1], received)
    if parts is not None and all(matches):
        checks.append(outcome("signature_hashes", "pass", "both hashes are of the bytes that this client sent and received"))
    elif parts is not None:
        usual = "as is usual: Venice's own statement says which answer was signed"
        checks.append(outcome("signature_hashes", "warn", f"the hashes are not of the bytes that this client saw, {usual}"))
    valid = not any(check.status == "fail" for check in checks)
    return SignatureReport(
        status="valid" if valid else "invalid",
        valid=valid,
        signer=address(public_key) if valid else None,
        # The id is not in the signed text, so that whoever relays it can give one answer's signature for another.
        bound=False if not valid else True if matches[1] else None,
        text=text if isinstance(text, str) else None,
        receipt=named if isinstance(named := members(receipt).get("receipt_id"), str) else None,
        request_hash_match=matches[0] if valid else None,
        response_hash_match=matches[1] if valid else None,
        checks=tuple(checks),
    )


def _signature(reply: Mapping[str, Any], parts: tuple[str, str] | None, public_key: bytes) -> str:
    fail_if(parts is None, "the signed text is not two hashes, with or without a model's name before them")
    if not signed_by(public_key, digest(reply["text"]), _raw(reply.get("signature"))):
        raise ValueError("the attested key did not sign this text")
    return "the attested key signed the text"


def _raw(value: Any) -> bytes:
    """r, s and v: 65 bytes in hex, alone or as the `value` of an object."""
    value = members(value).get("value", value)
    try:
        raw = bytes.fromhex(value.removeprefix("0x"))
    except (ValueError, AttributeError):
        raw = b""
    fail_if(len(raw) != 65 or raw[-1] not in {0, 1, 27, 28}, "the signature is not 65 bytes in hex that end in 27 or 28")
    return raw


def _signer(reply: Mapping[str, Any], public_key: bytes) -> str:
    claimed, attested = reply.get("signing_address"), address(public_key)
    if not isinstance(claimed, str) or claimed.lower() != attested:
        raise ValueError(f"signing_address is {claimed!r:.100}, and the attested key's is {attested}")
    fail_if(reply.get("signing_algo", "ecdsa") != "ecdsa", f"signing_algo is {reply.get('signing_algo')!r}, not 'ecdsa'")
    return attested


def _request(reply: Mapping[str, Any], request_id: str) -> str:
    ids = reply.get("requested_request_id"), members(reply.get("receipt")).get("chat_id")
    named = [each for each in ids if each is not None]
    if wrong := [each for each in named if each != request_id]:
        raise ValueError(f"it is about the answer {wrong[0]!r:.100}, not {request_id!r}")
    if not named:
        raise CheckWarning("the reply does not say which answer it is about")
    return f"{request_id} (Venice says so; the id is not in the signed text)"


def _receipt(receipt: Mapping[str, Any], parts: tuple[str, str] | None) -> str:
    """The hashes that were signed are those that the receipt's log holds."""
    if parts is None or not isinstance(receipt.get("event_log"), list):
        raise ValueError("the receipt has no event_log, or there are no hashes to compare with it")
    found = (str(members(event).get("body_hash")) for event in items(receipt["event_log"]))
    if not {*parts} <= {each.lower().removeprefix("sha256:") for each in found}:
        raise ValueError("the signed hashes are not in the receipt's log")
    return "the signed hashes are in the receipt's log"


def _match(claimed: str | None, body: bytes | None) -> bool | None:
    """Whether the hash is that of the body that this client saw; None if it saw none. Venice frames anew, so False is usual."""
    return None if claimed is None or body is None else hashlib.sha256(body).hexdigest() == claimed
