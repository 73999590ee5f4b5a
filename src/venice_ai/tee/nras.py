"""The word of NVIDIA's attestation service about GPU evidence: signed tokens, judged here.

The service compares the measurements with NVIDIA's golden values and looks at revocation, which cannot be done offline. Its
answer is `[["JWT", overall], {"GPU-0": token, ...}]`, signed with ES384 by keys that it publishes; those are trusted because
they come from its address. Asking tells NVIDIA that somebody attests these GPUs, so it is done only when asked for.
https://docs.nvidia.com/attestation/
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from .canonical import Malformed, parse
from .report import Check

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

ISSUER: Final = "https://nras.attestation.nvidia.com"
ATTEST_URL: Final = f"{ISSUER}/v3/attest/gpu"
KEYS_URL: Final = f"{ISSUER}/.well-known/jwks.json"
STOPS: Final = "GPUs whose firmware NVIDIA does not know, or whose keys it has revoked"
_NUMBER_BYTES = 48
_SKEW_SECONDS = 60


def question(payload: object) -> bytes:
    """What is sent to the service: the evidence as the reply has it (`nvidia_payload`, JSON or its text).

    Raises:
        ValueError: there is none.
    """
    if isinstance(payload, str) and payload:
        return payload.encode()
    if isinstance(payload, Mapping):
        return json.dumps(payload).encode()
    raise ValueError("the reply has no evidence of a GPU to ask NVIDIA about")


def unavailable(reason: str) -> Check:
    """The check when the service gave no answer."""
    return Check("gpu_nras", "fail", f"NVIDIA's service gave no answer, and gpu='nras' asks for one: {reason}", STOPS)


def check(answer: bytes | str, keys: bytes | str, *, nonce: bytes, now: float) -> list[Check]:
    """The check `gpu_nras` on the service's answer and its published keys (JSON both). Never raises."""
    try:
        count = _verified(parse(answer), _published(parse(keys)), nonce, now)
    except ValueError as error:
        return [Check("gpu_nras", "fail", str(error), STOPS)]
    return [Check("gpu_nras", "pass", f"NVIDIA attests {count} GPU{'s' if count > 1 else ''}", STOPS)]


def _verified(answer: Any, keys: Mapping[str, EllipticCurvePublicKey], nonce: bytes, now: float) -> int:
    overall, tokens = _tokens(answer)
    claims = _claims(overall, keys, nonce, now)
    if claims.get("x-nvidia-overall-att-result") is not True:
        raise ValueError("NVIDIA does not attest these GPUs")
    digests = _object(claims.get("submods"), "submods")
    if not tokens or set(digests) != set(tokens):
        raise ValueError("NVIDIA's answer is not about the GPUs that it names")
    for name, token in tokens.items():
        if not _is_digest(digests[name], token):
            raise ValueError(f"the token of {name} is not the one that the whole answer is about")
        _check_gpu(name, _claims(token, keys, nonce, now))
    return len(tokens)


def _is_digest(value: Any, token: str) -> bool:
    digest = hashlib.sha256(token.encode()).hexdigest()
    return value in (["DIGEST", ["SHA-256", digest]], ["DIGEST", ["SHA256", digest]])


def _check_gpu(name: str, claims: Mapping[str, Any]) -> None:
    measured, model = claims.get("measres"), claims.get("hwmodel")
    # The service has written it in both ways.
    if not isinstance(measured, str) or measured.lower() != "success":
        raise ValueError(f"{name}: its measurements are not NVIDIA's ({measured!r})")
    if claims.get("secboot") is not True:
        raise ValueError(f"{name}: it did not boot securely")
    if claims.get("dbgstat") != "disabled":
        raise ValueError(f"{name}: its debugger is not switched off ({claims.get('dbgstat')!r})")
    if not isinstance(model, str) or model.split(" ")[0] != "GH100":
        raise ValueError(f"{name}: it is a {model!r}, not a GH100")


def _tokens(answer: Any) -> tuple[str, dict[str, str]]:
    items = cast("list[Any]", answer) if isinstance(answer, list) else []
    if len(items) != 2 or not isinstance(items[0], list) or not isinstance(items[1], dict):
        raise ValueError("NVIDIA's answer does not have the shape that is documented")
    first, tokens = cast("list[Any]", items[0]), cast("dict[str, Any]", items[1])
    if len(first) != 2 or first[0] != "JWT" or not all(isinstance(each, str) for each in (first[1], *tokens.values())):
        raise ValueError("NVIDIA's answer does not have the shape that is documented")
    return first[1], tokens


# -- JSON Web Tokens (RFC 7515, 7517, 7518, 7519), of the one kind that is used here ---------------------------------------


def _claims(token: str, keys: Mapping[str, EllipticCurvePublicKey], nonce: bytes, now: float) -> Mapping[str, Any]:
    """What a token claims, if NVIDIA signed it, it is valid now, and it answers our nonce."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, utils
    from cryptography.hazmat.primitives.hashes import SHA384

    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("a token does not have three parts")
    header = _object(parse(_decoded(parts[0])), "the header of a token")
    if header.get("alg") != "ES384" or "crit" in header:
        raise ValueError(f"a token is signed with {header.get('alg')!r}, not ES384")
    key, signature = keys.get(str(header.get("kid"))), _decoded(parts[2])
    if key is None:
        raise ValueError(f"a token is signed with the key {header.get('kid')!r}, which NVIDIA does not publish")
    if len(signature) != 2 * _NUMBER_BYTES:
        raise ValueError("the signature of a token does not have 96 bytes")
    r, s = (int.from_bytes(half, "big") for half in (signature[:_NUMBER_BYTES], signature[_NUMBER_BYTES:]))
    try:
        key.verify(utils.encode_dss_signature(r, s), f"{parts[0]}.{parts[1]}".encode(), ec.ECDSA(SHA384()))
    except InvalidSignature:
        raise ValueError("NVIDIA did not sign a token") from None
    claims = _object(parse(_decoded(parts[1])), "a token")
    _check_claims(claims, nonce, now)
    return claims


def _check_claims(claims: Mapping[str, Any], nonce: bytes, now: float) -> None:
    if claims.get("iss") != ISSUER:
        raise ValueError(f"a token was issued by {claims.get('iss')!r}")
    expires, begins = (_moment(claims, name) for name in ("exp", "nbf"))
    if not begins - _SKEW_SECONDS <= now < expires:
        raise ValueError("a token has expired, or is not valid yet")
    answered, ours = claims.get("eat_nonce"), nonce.hex().encode()
    if not isinstance(answered, str) or not hmac.compare_digest(answered.lower().encode("utf-8", "replace"), ours):
        raise ValueError("a token answers another nonce")


def _moment(claims: Mapping[str, Any], name: str) -> float:
    moment = claims.get(name)
    if isinstance(moment, bool) or not isinstance(moment, (int, float)):
        raise Malformed(f"a token does not say when it is valid: {name} is {moment!r}")
    return float(moment)


def _published(keys: Any) -> dict[str, EllipticCurvePublicKey]:
    """The keys of a JSON Web Key Set that can sign ES384, by their id."""
    found = dict(_each_key(_object(keys, "the set of NVIDIA's keys").get("keys")))
    if not found:
        raise ValueError("NVIDIA publishes no key for ES384")
    return found


def _each_key(entries: Any) -> Iterator[tuple[str, EllipticCurvePublicKey]]:
    from cryptography.hazmat.primitives.asymmetric import ec

    for entry in cast("list[Any]", entries) if isinstance(entries, list) else []:
        fields = _object(entry, "a key of NVIDIA's")
        if fields.get("kty") == "EC" and fields.get("crv") == "P-384" and isinstance(fields.get("kid"), str):
            x, y = (int.from_bytes(_decoded(fields.get(name)), "big") for name in ("x", "y"))
            yield fields["kid"], ec.EllipticCurvePublicNumbers(x, y, ec.SECP384R1()).public_key()


def _object(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object")
    return cast("dict[str, Any]", value)


def _decoded(text: Any) -> bytes:
    """base64url without padding (RFC 7515, appendix C)."""
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise ValueError("a part of a token is not base64url") from None
