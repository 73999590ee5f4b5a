"""How many examples Hypothesis tries of each property: few in `make test`, which runs often, and more in `make properties`."""

from __future__ import annotations

import os
from typing import Final

from hypothesis import settings

USUAL: Final = int(os.environ.get("EXAMPLES", "20"))


def times(factor: float) -> settings:
    """More than usual, where what may go wrong is rare, or fewer."""
    return settings(max_examples=round(USUAL * factor))
