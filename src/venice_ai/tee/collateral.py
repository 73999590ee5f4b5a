"""Checks a quote against Intel's collateral: is the platform revoked, and is its firmware up to date?

Collateral is TCB information and the quoting enclave's identity, both signed by Intel, and two lists of revoked certificates.
dcap-qvl verifies a quote with it; what to accept is our own policy. Stored, it has the fields of `QuoteCollateralV3`.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import json
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import Annotated, Any, Final, cast

import msgspec

from ..types.attestation import Check, Tcb
from .canonical import parse, shaped
from .checks import COLLATERAL, fail_if, outcome, run, skipped
from .types import END_OF_TIME, INTEL_ROOT_SHA256, TCB_STATUSES, CollectedEvidence, Seen, TeeOptions

_SIGNERS: Final = {
    **dict.fromkeys(("tcb_info_issuer_chain", "qe_identity_issuer_chain"), "Intel SGX TCB Signing"),
    "pck_crl_issuer_chain": "Intel SGX PCK ",
}
"""What stands in the names of those who may sign. Each is issued by the root; a platform's own key signs nothing here."""
_TEXTS = ("pck_crl_issuer_chain", "tcb_info_issuer_chain", "tcb_info", "qe_identity_issuer_chain", "qe_identity")
_BINARIES = ("root_ca_crl", "pck_crl", "tcb_info_signature", "qe_identity_signature")
FIELDS: Final = (*_TEXTS, *_BINARIES)  # what collateral is made of: five texts, and four binaries in hex
_STATUS_TROUBLE = re.compile(r"TCB status (?:is invalid: )?(\w+)|unknown variant `(\w+)`|ISVSVN|No matching TCB level")
_NOT_INSTALLED = "dcap-qvl is not installed: pip install 'venice-chat[e2ee]', if it is built for this platform"
_NOT_THERE = "there is no collateral: neither Intel nor its mirror could be reached, and no earlier copy is stored"


def check(quote: bytes, given: CollectedEvidence, options: TeeOptions) -> tuple[list[Check], Tcb | None]:
    """The checks of a quote, and what Intel says of its platform. Never raises."""
    collateral = given.collateral
    if find_spec("dcap_qvl") is None:  # it is compiled, and not built for every platform
        return skipped(COLLATERAL, _NOT_INSTALLED), None
    if collateral is None or isinstance(collateral, str):
        return skipped(COLLATERAL, _NOT_THERE if collateral is None else f"there is no collateral: {collateral}"), None
    try:
        claims = _claims(quote, collateral, given.now, options.trust.intel_root_der)
    except ValueError as error:
        name, why, *known = error.args if isinstance(error, _Refused) else ("collateral", str(error))
        return skipped(COLLATERAL, failed=outcome(name, "fail", why)), next(iter(known), None)
    tcb, before = _tcb(claims, collateral), given.seen or Seen()
    checks = [
        outcome("collateral", "pass", f"for FMSPC {tcb.fmspc}, valid until {_stamp(claims['earliest_expiration_date'])}"),
        run("revocation", lambda: _revocation(tcb, before)),
        run("tcb_status", lambda: _status(tcb, claims["qe"]["tcb_level"]["tcbStatus"], options.tcb_statuses)),
        run("tcb_eval", lambda: _evaluation(tcb, options.min_tcb_eval, before)),
    ]
    return checks, tcb


class _Refused(ValueError):
    """The check that failed first, why, and perhaps what is known of the platform."""


def _claims(quote: bytes, collateral: Mapping[str, Any], now: float, root_der: bytes | None) -> dict[str, Any]:
    """The findings of dcap-qvl, if it accepts the quote and every part of the collateral is valid now."""
    from dcap_qvl import QuotePolicy, QuoteVerifier, verify, verify_with_root_ca  # type: ignore[import-untyped]  # it has types

    fail_if(not 0 <= now < END_OF_TIME, f"{now!r} is not a time that collateral could be valid at")
    seconds = int(now)
    parts = _parts(collateral)
    _check_signers(collateral, root_der)
    try:
        verify_with_root_ca(quote, parts, root_der, seconds) if root_der else verify(quote, parts, seconds)
        # The same, which gives what it found, and not why it refuses. `claims_only` leaves all statuses but `Revoked` to us.
        found = QuoteVerifier(root_der).verify_with_policy(quote, parts, seconds, QuotePolicy.claims_only(seconds))
    except ValueError as error:
        raise _refusal(str(error), collateral, now) from None
    claims: dict[str, Any] = json.loads(found.to_json())
    # dcap-qvl does not look at the beginning of revocation lists, and counts the last second of the rest as valid.
    if not claims["latest_issue_date"] <= seconds < claims["earliest_expiration_date"]:
        raise ValueError(f"a part of the collateral is not valid now{_window_words(collateral, now)}")
    # Nor does it look at the provisioning enclave and the type of TCB information.
    tcb_info, pce_id = json.loads(collateral["tcb_info"]), bytes(claims["platform"]["pck"]["pce_id"]).hex()
    if str(tcb_info.get("pceId")).lower() != pce_id:
        raise ValueError(f"it is about the pceId {tcb_info.get('pceId')!r:.40}, and the platform has {pce_id}")
    if type(tcb_info.get("tcbType")) is not int or tcb_info["tcbType"]:
        raise ValueError(f"its tcbType is {tcb_info.get('tcbType')!r:.40}, which is not known here")
    return claims


def _check_signers(collateral: Mapping[str, Any], root_der: bytes | None) -> None:
    """Checks that Intel's own signer signed each part. dcap-qvl takes any certificate below the root, a platform's too."""
    from .certificates import check_chain, common_name, load

    for name, part in _SIGNERS.items():
        try:
            chain = load(str(collateral[name]).encode(), 2)
            check_chain(chain, INTEL_ROOT_SHA256 if root_der is None else hashlib.sha256(root_der).hexdigest())
        except ValueError as error:
            raise ValueError(f"the {name} is not {part.strip()} and the trusted root: {error}") from None
        if part not in common_name(chain[0]):
            raise ValueError(f"the {name} is not {part.strip()}: {common_name(chain[0])!r:.60} may not sign this")


def _parts(collateral: Mapping[str, Any]) -> Any:
    from dcap_qvl import QuoteCollateralV3  # type: ignore[import-untyped]  # it has types

    parts: dict[str, Any] = {name: shaped(collateral.get(name), str, f"the {name} of the collateral") for name in _TEXTS}
    return QuoteCollateralV3(**parts, **{name: cast("Any", _binary(name, collateral.get(name))) for name in _BINARIES})


def _binary(name: str, value: Any) -> bytes:
    """Bytes as such, in hex or in base64: tools differ."""
    if isinstance(value, bytes):
        return value
    for decode in (bytes.fromhex, partial(base64.b64decode, validate=True)) if isinstance(value, str) else ():
        with suppress(ValueError):
            return decode(value)
    raise ValueError(f"the collateral has no {name}, or it is neither hex nor base64")


def _refusal(message: str, collateral: Mapping[str, Any], now: float) -> _Refused:
    reason = " ".join(message.removeprefix("Verification failed: ").replace("Caused by:", ":").split())
    if "CertRevoked" in reason:
        return _Refused("revocation", "a certificate of the platform, or of Intel's signer, is in Intel's list of revoked ones")
    if (found := _STATUS_TROUBLE.search(reason)) is None:
        return _Refused("collateral", f"{reason}{_window_words(collateral, now)}")
    status = next(filter(None, found.groups()), "")
    details = {
        "": f"the platform is older than anything Intel has a status for: {reason}",
        "Revoked": "Intel has revoked this platform (Revoked); nothing can allow it",
    }
    unknown = f"dcap-qvl does not know Intel's status {status} yet, and so it cannot be accepted"
    return _Refused("tcb_status", details.get(status, unknown), Tcb(status) if status else None)


def _window_words(collateral: Mapping[str, Any], now: float) -> str:
    with suppress(ValueError):
        begins, ends = window(collateral)
        if not begins <= now < ends:
            return f" (it is valid from {_stamp(begins)} until {_stamp(ends)}, and now is {_stamp(now)})"
    return ""


def _tcb(claims: dict[str, Any], collateral: Mapping[str, Any]) -> Tcb:
    from cryptography.x509 import load_der_x509_crl

    platform = claims["platform"]
    issuer = load_der_x509_crl(_binary("pck_crl", collateral["pck_crl"])).issuer.rfc4514_string().lower()
    lists = {"root": platform["root_ca_crl_num"], "processor" if "processor" in issuer else "platform": platform["pck_crl_num"]}
    return Tcb(
        status=claims["tcb"]["status"],
        advisories=tuple(claims["tcb"]["advisory_ids"]),
        eval_number=claims["tcb"]["eval_data_number"],
        tcb_date=platform["tcb_level"]["tcbDate"],
        fmspc=bytes(platform["pck"]["fmspc"]).hex().upper(),
        collateral_expires=float(claims["earliest_expiration_date"]),
        revocation_lists=tuple(lists.items()),
    )


def _revocation(tcb: Tcb, seen: Seen) -> str:
    for issuer, number in tcb.revocation_lists:
        if number < (before := seen.revocation_lists.get(issuer, number)):
            raise ValueError(f"the revocation list of the {issuer} CA has the number {number}, older than {before}{seen.words}")
    return "no certificate of the platform is in Intel's lists"


def _status(tcb: Tcb, enclave: str, statuses: Collection[str]) -> str:
    advisories = ", ".join(tcb.advisories) or "no advisories"
    # dcap-qvl merges the quoting enclave's status with the platform's, and some words of it are lost.
    for whose, status in (("this platform", tcb.status), ("the quoting enclave", enclave)):
        if status in statuses:
            continue
        remedy = "nothing can allow it"
        if status in TCB_STATUSES:
            allowed = ", ".join(map(repr, sorted({*statuses, status})))
            remedy = f"to accept it all the same: TeeOptions(tcb_statuses={{{allowed}}}), or --allow-status {status}"
        accepted = " and ".join(sorted(statuses))
        raise ValueError(f"Intel's status of {whose} is {status} ({advisories}), and accepted is {accepted}; {remedy}")
    return f"{tcb.status}, {advisories}"


def _evaluation(tcb: Tcb, minimum: int, seen: Seen) -> str:
    number, least = tcb.eval_number, max(minimum, seen.tcb_eval)
    if number is None or number < least:
        why = seen.words if seen.tcb_eval > minimum else ", which is asked for (min_tcb_eval)"
        raise ValueError(f"evaluation {number} of Intel is older than {least}{why}")
    return f"evaluation {number}, at least {least} is needed"


class _Times(msgspec.Struct, rename="camel"):
    issue_date: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    next_update: Annotated[dt.datetime, msgspec.Meta(tz=True)]


def window(collateral: Mapping[str, Any]) -> tuple[float, float]:
    """From when until when all parts say that they are valid, in seconds since 1970. Their signatures are not looked at."""
    from cryptography.x509 import InvalidVersion, load_der_x509_crl

    spans: list[tuple[float, float]] = []
    for name in ("tcb_info", "qe_identity"):
        times: _Times = shaped(parse(shaped(collateral.get(name), str, name)), _Times, name)
        spans.append((times.issue_date.timestamp(), times.next_update.timestamp()))
    for name in ("root_ca_crl", "pck_crl"):
        try:
            revoked = load_der_x509_crl(_binary(name, collateral.get(name)))
        except InvalidVersion as error:
            raise ValueError(str(error)) from None
        if revoked.next_update_utc is None:
            raise ValueError(f"{name} does not say until when it is valid")
        spans.append((revoked.last_update_utc.timestamp(), revoked.next_update_utc.timestamp()))
    begins, ends = zip(*spans, strict=True)
    return max(begins), min(ends)


def _stamp(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
