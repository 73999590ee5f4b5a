"""Checks the keys of a gateway (replies of the form aci/1): do its statements about them agree with each other?

The set of keys has a digest, which the workload's identity key endorses; a key management service signed the application's
key, which signed each of them. No quote binds the digest, so that nothing here makes a receipt's key trustworthy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any, Final, TypeAlias, cast

from .._core.json_values import items, members
from ..types.attestation import Check
from . import extra as extra  # noqa: PLC0414  # imported for what it does
from .canonical import as_object, canonical, from_hex, parse, shaped
from .checks import ACI, CheckSkipped, CheckWarning, fail_if, outcome, run, skipped
from .crypto import public_key_bytes
from .curve import POINT_BYTES, compressed, recover, signed_by
from .keccak import keccak256

KMS_ROOT: Final = "0334c76e0c3f52ec64cbf9bbf5c910c272330166fd656c0a86bb330963e46910e1"
"""The root of the key management service behind the gateways that were seen."""
_OWN: Final = ("workload_id", "workload_keyset_digest", "workload_keyset", "keyset_endorsement", "key_custody")
"""Members that only gateways have."""
_Link: TypeAlias = tuple[bytes, bytes, bytes]
"""What is stated about one key, what the application's key signed about it, and the service about the application's key."""
MOST_KEYS: Final = 64
"""The most keys of a kind that are looked at; the gateways that were seen have six. A key takes about a millisecond."""


def is_aci(reply: Mapping[str, Any]) -> bool:
    """Whether a reply is a gateway's: by what it holds, for a word about its version can be left out."""
    attestation = members(reply.get("attestation"))
    holders = (reply, attestation, members(attestation.get("evidence")))
    return str(reply.get("api_version")).startswith("aci/") or any(name in holder for holder in holders for name in _OWN)


def keyset_digest(keyset: Mapping[str, Any]) -> str:
    """The digest of a set of keys, as evidence names it."""
    return "sha256:" + hashlib.sha256(canonical(keyset)).hexdigest()


def check(reply: Mapping[str, Any]) -> list[Check]:
    """The checks on a reply of the shape aci/1, else none. What it does not state is skipped. Never raises."""
    if not is_aci(reply):
        return []
    case = _KeysetChecks(reply)
    # They are counted before any is verified.
    for name, keys in {**case.keyset, "key_custody": case.custody}.items():
        if (number := len(items(keys))) > MOST_KEYS:
            why = f"{name:.40} has {number} entries, and no gateway has more than {MOST_KEYS}"
            return skipped(ACI, failed=outcome("aci_keyset", "fail", why))
    if not case.keyset:
        return skipped(ACI, "the reply has no workload_keyset")
    return [run(name, getattr(case, name)) for name in ACI]


class _KeysetChecks:
    """The checks of what a gateway states of its keys, each by its name."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        self.reply = reply
        self.attestation = members(reply.get("attestation"))
        self.evidence = members(self.attestation.get("evidence"))
        self.keyset = members(self.attestation.get("workload_keyset"))
        self.identity = members(members(self.keyset.get("workload_identity")).get("public_key"))
        self.custody = items(members(self.evidence.get("key_custody")).get("keys"))

    @cached_property
    def digest(self) -> str:
        return keyset_digest(self.keyset)

    def aci_keyset(self) -> str:
        if _text(self.reply, "workload_keyset_digest") != self.digest:
            raise ValueError(f"workload_keyset_digest is not the digest of the keys, {self.digest}")
        return self.digest

    def aci_workload(self) -> str:
        if not self.identity:
            raise CheckSkipped("the reply has no workload_identity.public_key")
        expected = keyset_digest({name: _text(self.identity, name) for name in ("algo", "public_key")})
        fail_if(_text(self.reply, "workload_id") != expected, f"workload_id is not the digest of the identity key, {expected}")
        return expected

    def aci_endorsement(self) -> str:
        if not (endorsement := members(self.attestation.get("keyset_endorsement"))):
            raise CheckSkipped("the reply has no keyset_endorsement")
        if _text(endorsement, "algo") != "ecdsa-secp256k1" or _text(self.identity, "algo") != "ecdsa-secp256k1":
            raise ValueError("the endorsement of the keys is not by an ecdsa-secp256k1 key")
        statement = canonical({"purpose": "aci.keyset.endorsement.v1", "workload_keyset_digest": self.digest})
        signature = from_hex(_text(endorsement, "value"), "the endorsement")
        key, digest = public_key_bytes(_text(self.identity, "public_key")), hashlib.sha256(statement).digest()
        if len(signature) not in {64, 65} or not signed_by(key, digest, signature[:64] + b"\0"):
            raise ValueError("the identity key did not endorse this set of keys")
        return "by the identity key"

    def aci_custody(self) -> str:
        if not (entries := [entry for entry in map(members, self.custody) if entry]):
            raise CheckSkipped("the reply has no key_custody")
        held = {_normal(entry) for entry in entries}
        named = [("identity", _normal(self.identity))]
        for group in ("receipt_signing_keys", "e2ee_public_keys"):
            keys = (as_object(entry, f"what is in {group}") for entry in items(self.keyset.get(group)))
            named += [(str(key.get("key_id")), _normal(key)) for key in keys]
        if loose := [name for name, key in named if key not in held]:
            raise ValueError(f"the key management service gave no key {loose[0]}")
        # Keys of other curves are made from the bytes of a secp256k1 key that is not shown, so that their chains prove nothing.
        links = tuple(link for link in map(_link, entries) if link is not None)
        if not links:
            raise CheckSkipped("the reply has no key of secp256k1 in its key_custody")
        app_id = _app_id(self.evidence)
        if (root := _issuer(links, app_id)) != KMS_ROOT:
            # Another service is not a contradiction; but any signature gives away some key, so that it is not proof either.
            raise CheckWarning(f"the application's key was issued by {root}, which is not the known key management service")
        return f"{len(links)} keys of secp256k1 are of the application {app_id.hex()}, issued by {KMS_ROOT[:16]}..."


def _link(entry: Mapping[str, Any]) -> _Link | None:
    """The statement about one key, and the signatures of its chain; None if it is not of secp256k1."""
    key = from_hex(_text(entry, "public_key"), "a public key")
    if len(key) != POINT_BYTES:
        return None
    statement = f"{_text(entry, 'purpose')}:{compressed(key).hex()}".encode()
    own, by_service = shaped(entry.get("signature_chain"), tuple[str, str], "the signature_chain of a key")
    return statement, from_hex(own, "a signature of a chain"), from_hex(by_service, "a signature of a chain")


@lru_cache  # a gateway's signatures are the same each time, and take milliseconds
def _issuer(links: tuple[_Link, ...], app_id: bytes) -> str:
    """The key management service's root key, which issued the application's key, which signed all of these keys."""
    statement, signature, by_service = links[0]
    app_key = recover(keccak256(statement), signature)
    if app_key is None or not all(signed_by(app_key, keccak256(statement), signature) for statement, signature, _ in links[1:]):
        raise ValueError("the keys were not all signed by one application's key")
    fail_if(len({link[2] for link in links}) != 1, "the keys name different signatures of the key management service")
    if (root := recover(keccak256(b"dstack-kms-issued:" + app_id + compressed(app_key)), by_service)) is None:
        raise ValueError("the key management service's signature is not a signature of any key")
    return compressed(root).hex()


def _app_id(evidence: Mapping[str, Any]) -> bytes:
    """The application, as the measured event log names it (its replay is another check)."""
    log = evidence.get("event_log")
    for event in map(members, items(parse(log) if isinstance(log, str) else log)):
        if event.get("event") == "app-id":
            return from_hex(_text(event, "event_payload"), "the app-id")
    raise CheckSkipped("the reply has no app-id in its event log")


def _normal(entry: Mapping[str, Any]) -> str:
    """The key of an entry in one spelling: 130 lower-case digits; those of 128 lack the 04."""
    key = _text(entry, "public_key").lower()
    return "04" + key if len(key) == 128 else key


def _text(value: Mapping[str, Any], name: str) -> str:
    if (found := value.get(name)) is None:
        raise CheckSkipped(f"the reply has no {name}")
    return cast("str", shaped(found, str, name))
