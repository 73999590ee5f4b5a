"""A small run of `tests/tee/mutations.py`; a long one is a command."""

from __future__ import annotations

import pytest

from .mutations import run


@pytest.mark.filterwarnings("ignore")
def test_no_bent_evidence_escapes_its_parser() -> None:
    figures = run(600, seed=7, patience=60)

    assert figures.escapes == []
    assert sum(figures.cases.values()) == 600
    assert len(figures.cases) > 25
