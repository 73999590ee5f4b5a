"""A second process rewrites the asserts of the last test modules, while the first one collects the others.

pytest rewrites the asserts of every test module when it imports it for the first time, and keeps what comes of it beside the
module. In a fresh clone that takes three times as long as all the rest of the collection, on one core while the others wait.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest

_PART: Final = 0.45
"""Of the source. The second process has to start, too."""
_WORTH_A_PROCESS_BYTES: Final = 500_000


def register(config: pytest.Config) -> None:
    """Starts the second process, if many modules of the whole suite are not rewritten yet."""
    if config.args_source != pytest.Config.ArgsSource.TESTPATHS or sys.dont_write_bytecode:
        return
    left_out = {part for part in config.getini("norecursedirs") if part.isalpha()}
    modules = [path for each in config.args for path in (config.rootpath / each).rglob("test_*.py")]
    last = last_not_rewritten([path for path in modules if not left_out & set(path.parts)])
    if sum(path.stat().st_size for path in last) > _WORTH_A_PROCESS_BYTES:
        config.add_cleanup(partial(_wait, rewriting(last, config.rootpath)))


def _wait(process: subprocess.Popen[bytes]) -> None:
    process.wait()


def last_not_rewritten(modules: Sequence[Path]) -> list[Path]:
    """The modules that pytest collects last and has to rewrite, about half of them; the last one first."""
    stale = sorted((path for path in modules if not _is_rewritten(path)), reverse=True)
    left = _PART * sum(path.stat().st_size for path in stale)
    last: list[Path] = []
    for path in stale:
        left -= path.stat().st_size
        if left < 0:
            break
        last.append(path)
    return last


def _is_rewritten(module: Path) -> bool:
    cached_modules = (module.parent / "__pycache__").glob(f"{module.stem}.{sys.implementation.cache_tag}-pytest-*.pyc")
    return any(path.stat().st_mtime > module.stat().st_mtime for path in cached_modules)


def rewriting(modules: Sequence[Path], root: Path) -> subprocess.Popen[bytes]:
    """A process that collects these modules. What is wrong with one is reported by the process that runs its tests."""
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *map(str, modules)],
        cwd=root,
        env={**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, "PYTEST_ADDOPTS": ""},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
