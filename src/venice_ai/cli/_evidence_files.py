"""Saves the evidence of an attestation in files, and reads it again: so that anybody can repeat the verdict years later.

The evidence is the reply exactly as it came, with what else the verdict depends on around it:
`{"attestation": <reply>, "_client_nonce": "<hex>", "_capture_epoch": <seconds>, "_min_tcb_eval": <number>,
"_revocation_lists": {<issuer>: <number>}}`, and with NVIDIA's answer `"_nras": {"answer": "<text>", "keys": "<text>"}`.
Collateral and pins are files of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from .._core.json_values import members
from ..tee.canonical import members_of, parse
from ..tee.report import AttestationReport
from ..tee.types import MeasurementPins

END_OF_TIME: Final = 2**37
"""The year 6325, in seconds since 1970; beyond it the calendars of some systems end."""
NRAS_DOCUMENTS: Final = ("answer", "keys")
NrasDocuments: TypeAlias = dict[str, bytes | None]
"""What NVIDIA's service sent, byte by byte; None for what did not come."""
# NVIDIA's documents are text, and what is not UTF-8 in them comes back as it was.
_TEXT: Final = ("utf-8", "surrogateescape")


@dataclass(slots=True)
class SavedEvidence:
    """What an attestation was judged by, to be judged again."""

    reply: bytes | None = None
    nonce: str | None = None
    now: float | None = None
    """Seconds since 1970."""
    min_tcb_eval: int = 0
    """The lowest evaluation number that was accepted."""
    revocation_lists: Mapping[str, int] = field(default_factory=dict[str, int])
    """The lowest numbers of revocation lists that were accepted, by their issuers."""
    collateral: Mapping[str, Any] | None = None
    nras: NrasDocuments | None = None
    """None: NVIDIA's service was not to be asked."""

    @property
    def whole(self) -> bool:
        """Whether the reply is a JSON object, around which something can be written."""
        try:
            return bool(members_of((self.reply or b"").decode()))
        except ValueError:
            return False

    @property
    def evidence(self) -> bytes:
        """The reply with what it was judged by around it; alone if it is not an object."""
        reply = self.reply or b""
        if not self.whole:
            return reply
        about: dict[str, Any] = {"_client_nonce": self.nonce, "_capture_epoch": self.now, "_min_tcb_eval": self.min_tcb_eval}
        about["_revocation_lists"] = dict(self.revocation_lists)
        if self.nras is not None:
            about["_nras"] = {name: None if text is None else text.decode(*_TEXT) for name, text in self.nras.items()}
        return b'{"attestation": ' + reply.strip() + b", " + json.dumps(about)[1:].encode() + b"\n"


def read(path: Path) -> SavedEvidence:
    """The evidence in a file. What the file does not say, or says in a way that cannot be, is as in a new `SavedEvidence`.

    Raises:
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    try:
        found = members_of(raw.decode())
    except ValueError:
        return SavedEvidence(raw)  # whatever it is, it was the reply
    if "_client_nonce" not in found or "attestation" not in found:
        return SavedEvidence(raw)
    nonce, taken, least, lists, nras = (
        _value(found.get(name)) for name in ("_client_nonce", "_capture_epoch", "_min_tcb_eval", "_revocation_lists", "_nras")
    )
    return SavedEvidence(
        found["attestation"].encode(),
        nonce=nonce if isinstance(nonce, str) else None,
        now=float(taken) if _is_number(taken, END_OF_TIME) else None,
        min_tcb_eval=int(least) if _is_number(least, END_OF_TIME) else 0,
        revocation_lists={name: number for name, number in members(lists).items() if type(number) is int},
        nras=_documents(nras) if "_nras" in found else None,
    )


def _value(text: str | None) -> Any:
    """What a member says; None if it is not there, or is more than JSON allows."""
    try:
        return None if text is None else parse(text)
    except ValueError:
        return None


def _is_number(value: object, end: int) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < end


def _documents(found: object) -> NrasDocuments:
    texts = members(found)
    return {name: text.encode(*_TEXT) if isinstance(text := texts.get(name), str) else None for name in NRAS_DOCUMENTS}


def save(folder: Path, kept: SavedEvidence, report: AttestationReport, pins: MeasurementPins | None) -> list[str]:
    """Writes evidence, collateral, pins and report; gives the options with which the command judges them again.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evidence.json").write_bytes(kept.evidence)
    (folder / "report.json").write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    again = ["--offline", "--evidence", str(folder / "evidence.json")]
    if not kept.whole:
        again += ["--nonce", kept.nonce or "", "--now", f"{kept.now:.0f}"]
    if kept.collateral is not None:
        again += ["--collateral", _write(folder / "collateral.json", dict(kept.collateral))]
    if pins is not None:
        again += ["--pin", _write(folder / "pin.json", pins.to_dict())]
    return again


def _write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    return str(path)
