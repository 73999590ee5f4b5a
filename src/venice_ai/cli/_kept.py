"""What an attestation was judged by, in files: so that anybody can judge it again, also years later.

The evidence is the reply exactly as it came, with its nonce and its time around it:
`{"attestation": <reply>, "_client_nonce": "<hex>", "_capture_epoch": <seconds>}`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tee.canonical import members_of, parse
from ..tee.report import AttestationReport


@dataclass(slots=True)
class Kept:
    """What an attestation was judged by, to be judged again."""

    reply: bytes | None = None
    nonce: str | None = None
    now: float | None = None
    """Seconds since 1970."""
    collateral: Mapping[str, Any] | None = None

    @property
    def whole(self) -> bool:
        """Whether the reply is a JSON object, around which something can be written."""
        try:
            return bool(members_of((self.reply or b"").decode()))
        except ValueError:
            return False

    @property
    def evidence(self) -> bytes:
        """The reply with its nonce and its time around it; alone if it is no object."""
        reply = self.reply or b""
        if not self.whole:
            return reply
        about = json.dumps({"_client_nonce": self.nonce, "_capture_epoch": self.now})
        return b'{"attestation": ' + reply.strip() + b", " + about[1:].encode() + b"\n"


def read(path: Path) -> Kept:
    """The evidence in a file; what the file does not say of nonce and time is None.

    Raises:
        OSError: it cannot be read.
    """
    raw = path.read_bytes()
    try:
        members = members_of(raw.decode())
    except ValueError:
        return Kept(raw)  # whatever it is, it was the reply
    if "_client_nonce" not in members or "attestation" not in members:
        return Kept(raw)
    nonce, taken = (parse(members.get(name, "null")) for name in ("_client_nonce", "_capture_epoch"))
    number = isinstance(taken, (int, float)) and not isinstance(taken, bool)
    return Kept(
        members["attestation"].encode(),
        nonce=nonce if isinstance(nonce, str) else None,
        now=float(taken) if number else None,
    )


def save(folder: Path, kept: Kept, report: AttestationReport) -> list[str]:
    """Writes evidence, collateral and report; gives the options with which the command judges them again."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evidence.json").write_bytes(kept.evidence)
    (folder / "report.json").write_text(report.to_json(indent=2) + "\n", encoding="utf-8")
    again = ["--offline", "--evidence", str(folder / "evidence.json")]
    if not kept.whole:
        again += ["--nonce", kept.nonce or "", "--now", f"{kept.now:.0f}"]
    if kept.collateral is not None:
        (folder / "collateral.json").write_text(json.dumps(dict(kept.collateral), indent=1) + "\n", encoding="utf-8")
        again += ["--collateral", str(folder / "collateral.json")]
    return again
