"""The command `llm` with its plugin `llm-venice`, which has Venice's address in its code: here it has another.

`run_llm.py BASE_URL ARGUMENTS...`. Runs where those packages are installed.
"""

# mypy: ignore-errors
# pyright: basic, reportMissingImports=false
# Both are for the same reason: the packages it imports are not installed where the types are checked.

from __future__ import annotations

import pkgutil
import sys
from importlib import import_module

import llm_venice

VENICE = "https://api.venice.ai/api/v1"


def redirect(base_url: str) -> int:
    """Puts another address in place of Venice's in every module of the plugin; says how often."""
    names = [module.name for module in pkgutil.walk_packages(llm_venice.__path__, "llm_venice.")]
    found = 0
    for module in [llm_venice, *map(import_module, names)]:
        for name, value in list(vars(module).items()):
            if isinstance(value, str) and not name.startswith("__") and VENICE in value:
                setattr(module, name, value.replace(VENICE, base_url))
                found += 1
    return found


if __name__ == "__main__":
    base_url = sys.argv.pop(1)
    assert redirect(base_url), "the plugin no longer has its address where it was"
    from llm.cli import cli

    cli()
