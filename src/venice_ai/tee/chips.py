"""Names of GPU chips in NVIDIA's certificates and tokens. NVIDIA's root certifies switches and network cards, too."""

from __future__ import annotations

import re
from typing import Final

_CHIP: Final = re.compile(r"\bG[HB][0-9]{2}[0-9X]\b")


def chip(text: str) -> str | None:
    """The chip that a text names, Hopper (`GH100`) or Blackwell (`GB100`); None if it names none that is known here."""
    found = _CHIP.search(text)
    return None if found is None else found[0]
