"""Saves the evidence of an attestation in files, and reads it again: so that anybody can repeat the verdict years later.

It is the reply exactly as it came, with what else the verdict depends on around it:
`{"attestation": <reply>, "_client_nonce": "<hex>", "_capture_epoch": <seconds>, "_min_tcb_eval": <number>,
"_revocation_lists": {<issuer>: <number>}}`, and if NVIDIA was asked `"_nras"`: its answer and its keys, or why not.
Collateral and pins are files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, cast

from .._core.json_values import members
from ..tee.canonical import members_of, parse
from ..tee.types import NVIDIA_ROOT_SHA256, CollectedEvidence, Documents, MeasurementPins, Seen, TeeOptions
from ..types.attestation import AttestationReport

END_OF_TIME: Final = 2**37  # the year 6325, in seconds since 1970; beyond it the calendars of some systems end
_BYTES: Final = "latin-1"
"""How NVIDIA's documents, which are ASCII, are written as text: so that other bytes come back as they were, too."""


def as_file(evidence: CollectedEvidence) -> bytes:
    """The reply with what it was judged by around it; alone if it is not an object."""
    if not _members(evidence.reply):
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
    found = _members(raw)
    if not {"_client_nonce", "attestation"} <= found.keys():  # whatever the file holds, it was the reply
        found = {}
    reply = found["attestation"].encode() if found else raw
    said = {name: _value(text) for name, text in found.items() if name != "attestation"}
    nonce = options.nonce or (said["_client_nonce"] if isinstance(said.get("_client_nonce"), str) else None)
    if nonce is None:
        return None
    taken, least = (said.get(name) if _is_number(said.get(name)) else None for name in ("_capture_epoch", "_min_tcb_eval"))
    lists = {name: number for name, number in members(said.get("_revocation_lists")).items() if type(number) is int}
    return CollectedEvidence(
        model=model,
        nonce=bytes.fromhex(TeeOptions(nonce=nonce).nonce or ""),
        reply=reply,
        now=now if now is not None else options.clock() if taken is None else float(taken),
        collateral=cast("Mapping[str, Any] | None", options.collateral),
        nras=_documents(said["_nras"]) if "_nras" in said else None,
        seen=Seen(int(least or 0), lists),
    )


def save(folder: Path, evidence: CollectedEvidence, report: AttestationReport, pins: MeasurementPins | None) -> list[str]:
    """Saves evidence, collateral, pins and report, and gives the options that verify them again."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evidence.json").write_bytes(as_file(evidence))
    (folder / "report.json").write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    again = ["--offline", "--evidence", str(folder / "evidence.json")]
    if not _members(evidence.reply):
        again += ["--nonce", evidence.nonce.hex(), "--now", f"{evidence.now:.0f}"]
    if isinstance(evidence.collateral, Mapping):
        again += ["--collateral", _write(folder / "collateral.json", dict(evidence.collateral))]
    if pins is not None:
        again += ["--pin", _write(folder / "pin.json", pins.to_dict())]
    return again


def _members(reply: bytes) -> dict[str, str]:
    """The members of a reply, as they are written; none if it is not an object."""
    try:
        return members_of(reply.decode())
    except ValueError:
        return {}


def _value(text: str) -> Any:
    try:
        return parse(text)
    except ValueError:
        return None


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < END_OF_TIME


def _documents(found: object) -> Documents | str:
    answer, keys = (members(found).get(name) for name in ("answer", "keys"))
    if isinstance(answer, str) and isinstance(keys, str):
        with suppress(UnicodeEncodeError):
            return Documents(answer.encode(_BYTES), keys.encode(_BYTES), NVIDIA_ROOT_SHA256)
    return found if isinstance(found, str) else "none was kept"


def _write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return str(path)
