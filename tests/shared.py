"""Where the test data is: `tests/data` holds what was made for these tests; recorded replies lie outside the checkout."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_OWN = Path(__file__).parent / "data"
_ROOT = Path(os.environ.get("VENICE_SHARED") or Path(__file__).parents[2] / "shared")


def shared(name: str) -> Any:
    """The JSON in a file of the test data.

    Without the recorded data, the tests of a module that asks for it are skipped, and say so; in CI (variable `CI`) they fail.
    """
    return json.loads(shared_path(name).read_bytes())


def shared_path(name: str) -> Path:
    """Where a file of the test data is; skipped or failed where it is not, as above."""
    own = _OWN / name
    return own if own.is_file() else _found(f"data/{name}")


def shared_text(name: str) -> str:
    """The text of a page beside the recorded data; skipped or failed where it is not, as above."""
    return _found(name).read_text("utf-8")


def _found(name: str) -> Path:
    path = _ROOT / "spec" / name
    if not path.is_file():
        missing = f"{name} is not in {_ROOT}: set VENICE_SHARED to the shared folder, or put it beside the checkout"
        if os.environ.get("CI"):
            raise FileNotFoundError(missing)
        pytest.skip(missing, allow_module_level=True)
    return path


def named(cases: list[dict[str, Any]]) -> list[Any]:
    """Fixtures that have a name, as parameters with that name for their id."""
    return [pytest.param(case, id=case["name"]) for case in cases]
