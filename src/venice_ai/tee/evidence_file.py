"""The file of an enclave's evidence, with which anybody can repeat the verdict years later.

It is the reply exactly as it came, as the member `attestation`, and what else the verdict depends on (see `as_file`); of what
NVIDIA was asked, its answer and its keys, or why they are missing. Collateral and pins are files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, cast

from .._core.json_values import members
from .canonical import members_of, parse
from .types import END_OF_TIME, NVIDIA_ROOT_SHA256, CollectedEvidence, Documents, Seen, TeeOptions

# How NVIDIA's documents, which are ASCII, are written as text: so that other bytes come back as they were, too.
_BYTES: Final = "latin-1"


def as_file(evidence: CollectedEvidence) -> bytes:
    """The reply with what it was judged by around it; alone if it is not an object."""
    if not members_as_written(evidence.reply):
        return evidence.reply
    seen = evidence.seen or Seen()
    about: dict[str, Any] = {"_client_nonce": evidence.nonce.hex(), "_capture_epoch": evidence.now}
    about |= {"_min_tcb_eval": seen.tcb_eval, "_revocation_lists": dict(seen.revocation_lists)}
    if isinstance(evidence.nras, Documents):
        about["_nras"] = {"answer": evidence.nras.answer.decode(_BYTES), "keys": evidence.nras.keys.decode(_BYTES)}
    elif evidence.nras is not None:
        about["_nras"] = evidence.nras
    return b'{"attestation": ' + evidence.reply.strip() + b", " + json.dumps(about)[1:].encode() + b"\n"


def from_file(raw: bytes, *, model: str, options: TeeOptions, now: float | None) -> CollectedEvidence | None:
    """The evidence in a file; None if neither it nor `options`, which count first, say which nonce it answers."""
    found = members_as_written(raw)
    if not {"_client_nonce", "attestation"} <= found.keys():  # whatever the file holds, it was the reply
        found = {}
    reply = found["attestation"].encode() if found else raw
    context = {name: parse(text) for name, text in found.items() if name != "attestation"}
    nonce = options.nonce or (context["_client_nonce"] if isinstance(context.get("_client_nonce"), str) else None)
    if nonce is None:
        return None
    numbers = {name: each for name, each in context.items() if type(each) in {int, float} and 0 <= each < END_OF_TIME}
    lists = {name: number for name, number in members(context.get("_revocation_lists")).items() if type(number) is int}
    return CollectedEvidence(
        model=model,
        nonce=bytes.fromhex(TeeOptions(nonce=nonce).nonce or ""),
        reply=reply,
        now=now if now is not None else float(numbers.get("_capture_epoch", options.clock())),
        collateral=cast("Mapping[str, Any] | None", options.collateral),
        nras=_documents(context["_nras"]) if "_nras" in context else None,
        seen=Seen(int(numbers.get("_min_tcb_eval", 0)), lists),
    )


def members_as_written(reply: bytes) -> dict[str, str]:
    """The members of a reply, as they are written; none if it is not an object."""
    try:
        return members_of(reply.decode())
    except ValueError:
        return {}


def _documents(found: object) -> Documents | str:
    answer, keys = (members(found).get(name) for name in ("answer", "keys"))
    if isinstance(answer, str) and isinstance(keys, str):
        with suppress(UnicodeEncodeError):
            return Documents(answer.encode(_BYTES), keys.encode(_BYTES), NVIDIA_ROOT_SHA256)
    return found if isinstance(found, str) else "none was kept"
