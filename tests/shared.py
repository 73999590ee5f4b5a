"""Where the shared data is: recorded and constructed replies that other projects test with, too."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

_ROOT = Path(os.environ.get("VENICE_SHARED") or Path(__file__).parents[2] / "shared")


def shared(name: str) -> Any:
    """The JSON in a file of the shared data.

    Without the data the tests of a module that asks for it are skipped, and say so; in CI (variable `CI`) they fail.
    """
    path = _ROOT / "spec" / "data" / name
    if not path.is_file():
        missing = f"{name} is not in {_ROOT}: set VENICE_SHARED to the shared folder, or put it beside the checkout"
        if os.environ.get("CI"):
            raise FileNotFoundError(missing)
        pytest.skip(missing, allow_module_level=True)
    return json.loads(path.read_bytes())


def named(cases: list[dict[str, Any]]) -> list[Any]:
    """Fixtures that have a name, as parameters with that name for their id."""
    return [pytest.param(case, id=case["name"]) for case in cases]
