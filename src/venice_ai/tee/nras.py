"""Verifies what NVIDIA's attestation service (NRAS) says about GPU evidence: signed tokens (JWT).

It compares with NVIDIA's golden values and looks at revocation, which cannot be done offline. Its keys come from its address,
or chain to a pinned root. Asking tells NVIDIA that somebody attests these GPUs. https://docs.nvidia.com/attestation/
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.ec import SECP384R1, EllipticCurvePublicKey
from cryptography.x509 import load_der_x509_certificate

from .._core.json_values import items, members
from ..types.attestation import Check
from .canonical import as_object, parse, shaped
from .certificates import UNREADABLE, check_chain
from .checks import CheckWarning, fail_if, run
from .gpu import chip, same_nonce
from .types import Documents

ISSUER: Final = "https://nras.attestation.nvidia.com"
ATTEST_URL: Final = f"{ISSUER}/v3/attest/gpu"
KEYS_URL: Final = f"{ISSUER}/.well-known/jwks.json"
_SKEW_SECONDS = 60


def question(payload: object) -> bytes:
    """The request to the service: the evidence as the reply has it (`nvidia_payload`, JSON or its text)."""
    if isinstance(payload, str) and payload:
        return payload.encode()
    if isinstance(payload, Mapping):
        return json.dumps(payload).encode()
    raise ValueError("the reply has no evidence of a GPU to ask NVIDIA about")


def check(documents: Documents | str, *, payload: object, nonce: bytes, now: float) -> Check:
    """The check `gpu_nras` on the service's answer, or on why there is no answer. A file's own keys make it a warning."""
    return run("gpu_nras", lambda: _attested(documents, payload, nonce, now))


def _attested(documents: Documents | str, payload: object, nonce: bytes, now: float) -> str:
    if isinstance(documents, str):
        raise ValueError(f"NVIDIA's service gave no answer, and gpu='nras' asks for one: {documents}")  # noqa: TRY004
    keys, trusted = _published(parse(documents.keys), documents.root_sha256, now)
    count = _verified(parse(documents.answer), keys, nonce, now)
    there = len(items(members(parse(payload) if isinstance(payload, (str, bytes)) else payload).get("evidence_list")))
    fail_if(count != there, f"NVIDIA's answer is about {count} GPUs, and there is evidence of {there}")
    verdict = f"NVIDIA attests {count} GPU{'s' if count > 1 else ''}"
    if not trusted:  # anybody can have written them
        raise CheckWarning(f"{verdict}, if the keys are NVIDIA's: the keys are the file's own")
    return verdict


def _verified(answer: Any, keys: Mapping[str, EllipticCurvePublicKey], nonce: bytes, now: float) -> int:
    (_, overall), tokens = shaped(answer, tuple[tuple[Literal["JWT"], str], dict[str, str]], "NVIDIA's answer")
    claims = _claims(overall, keys, nonce, now)
    fail_if(claims.get("x-nvidia-overall-att-result") is not True, "NVIDIA does not attest these GPUs")
    digests = as_object(claims.get("submods"), "submods")
    fail_if(not tokens or set(digests) != set(tokens), "NVIDIA's answer is not about the GPUs that it names")
    for name, token in tokens.items():
        digest = hashlib.sha256(token.encode()).hexdigest()
        if digests[name] not in (["DIGEST", ["SHA-256", digest]], ["DIGEST", ["SHA256", digest]]):
            raise ValueError(f"the token of {name} is not the one that the whole answer is about")
        _check_gpu(name, _claims(token, keys, nonce, now))
    return len(tokens)


def _check_gpu(name: str, claims: Mapping[str, Any]) -> None:
    measured, model = claims.get("measres"), claims.get("hwmodel")
    # The service has written it in both ways.
    if not isinstance(measured, str) or measured.lower() != "success":
        raise ValueError(f"{name}: its measurements are not NVIDIA's ({measured!r})")
    fail_if(claims.get("secboot") is not True, f"{name}: it did not boot securely")
    fail_if(claims.get("dbgstat") != "disabled", f"{name}: its debugger is not switched off ({claims.get('dbgstat')!r})")
    # The claims for Blackwell are those for Hopper.
    # https://docs.nvidia.com/attestation/quick-start-guide/latest/attestation-examples/blackwell_single_gpu.html
    if not isinstance(model, str) or chip(model) != model.split(" ")[0]:
        raise ValueError(f"{name}: it is a {model!r:.60}, neither a Hopper nor a Blackwell")


def _claims(token: str, keys: Mapping[str, EllipticCurvePublicKey], nonce: bytes, now: float) -> Mapping[str, Any]:
    """The claims of a token, if NVIDIA signed it, it is valid now, and it answers our nonce."""
    import jwt
    from jwt.utils import base64url_decode

    try:
        # Read without its signature, and once more by our own parser: PyJWT does not see a key that is there twice.
        header = as_object(parse(base64url_decode(token.partition(".")[0])), "the header of a token")
        fail_if(header.get("alg") != "ES384" or "crit" in header, f"a token is signed with {header.get('alg')!r}, not ES384")
        if (key := keys.get(str(header.get("kid")))) is None:
            raise ValueError(f"a token is signed with the key {header.get('kid')!r}, which NVIDIA does not publish")
        signed = jwt.PyJWS(["ES384"]).decode(token, key, ["ES384"])
    except jwt.PyJWTError as error:
        raise ValueError(f"NVIDIA did not sign a token: {error}") from None
    claims = as_object(parse(signed), "a token")
    fail_if(claims.get("iss") != ISSUER, f"a token was issued by {claims.get('iss')!r}")
    begins, expires = shaped([claims.get("nbf"), claims.get("exp")], tuple[float, float], "the time of a token")
    fail_if(not begins - _SKEW_SECONDS <= now < expires, "a token has expired, or is not valid yet")
    fail_if(not same_nonce(claims.get("eat_nonce"), nonce), "a token answers another nonce")
    return claims


def _published(keys: Any, root_sha256: str | None, now: float) -> tuple[dict[str, EllipticCurvePublicKey], bool]:
    """The keys of a JSON Web Key Set that can sign ES384, by their id, and whether all of them are NVIDIA's."""
    entries = [(each, _key(each)) for each in items(as_object(keys, "the set of NVIDIA's keys").get("keys"))]
    usable = [(entry, key) for entry, key in entries if key is not None]
    fail_if(not usable, "NVIDIA publishes no key for ES384")
    trusted = root_sha256 is None or all(_chained(entry, key, root_sha256, now) for entry, key in usable)
    return {entry["kid"]: key for entry, key in usable}, trusted


def _key(entry: Any) -> EllipticCurvePublicKey | None:
    import jwt

    try:
        key: object = jwt.PyJWK(entry, "ES384").key
        named = isinstance(entry["kid"], str)
    except (jwt.PyJWTError, ValueError, TypeError, LookupError, AttributeError):
        return None
    return key if named and isinstance(key, EllipticCurvePublicKey) and isinstance(key.curve, SECP384R1) else None


def _chained(entry: Mapping[str, Any], key: EllipticCurvePublicKey, root_sha256: str, now: float) -> bool:
    """Whether the certificates that come with a key lead to the pinned root, and do not belong to a GPU."""
    try:
        chain = [load_der_x509_certificate(base64.b64decode(each, validate=True)) for each in entry["x5c"]]
        if chain[0].public_key() != key or any(chip(each.subject.rfc4514_string()) for each in chain):
            return False
        check_chain(chain, root_sha256)
        return all(each.not_valid_before_utc.timestamp() <= now <= each.not_valid_after_utc.timestamp() for each in chain)
    except (*UNREADABLE, LookupError):
        return False
