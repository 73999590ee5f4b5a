"""Runs tests again and again, each time in a fork of one process that has imported everything but this package and its tests.

    python -m scripts.forked_tests    started by `scripts.mutants` in a copy of the checkout

Most of what a short run of pytest takes is imports: pytest, aiohttp, pydantic, pandas. They are the same for every mutant, and
so they are done once. What a mutant changes, and all that imports it, is imported by the fork. A request is a line of JSON on
standard input (`tests`, `output`, `limit`), a verdict one on standard output (`passed`, `hung`, `seconds`).
"""

from __future__ import annotations

import gc
import json
import multiprocessing
import os
import signal
import sys
import warnings
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import Any, NoReturn

import pytest

_IMPORTED_ONCE = (
    "aiohttp.web",
    "asyncio",
    "cryptography.hazmat.primitives.asymmetric.ec",
    "cryptography.x509",
    "fastapi",
    "hypothesis.strategies",
    "jsonschema",
    "jwt",
    "opentelemetry.sdk.metrics",
    "opentelemetry.sdk.trace",
    "pandas",
    "pyarrow.parquet",
    "pydantic",
    "rich.console",
    "sqlite3",
    "trustme",
    "typer",
)
"""What tests import of others. pytest's own plugins are left to it."""


def main() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in filter(_is_there, _IMPORTED_ONCE):
            import_module(name)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        print(json.dumps(judged(**json.loads(line))), flush=True)


def _is_there(name: str) -> bool:
    with suppress(ModuleNotFoundError):
        return find_spec(name) is not None
    return False


def judged(tests: list[str], output: str, limit: float | None) -> dict[str, Any]:
    """Whether these tests pass within so many seconds, and how many they took. Those of a file that is skipped pass."""
    began = monotonic()
    run = multiprocessing.get_context("fork").Process(target=_run, args=(tests, output))
    run.start()
    run.join(limit)
    hung = run.exitcode is None
    with suppress(ProcessLookupError):
        os.killpg(run.pid or 0, signal.SIGKILL)  # also what the tests started
    run.join()
    return {"passed": not hung and run.exitcode == 0, "hung": hung, "seconds": monotonic() - began}


def _run(tests: list[str], output: str) -> NoReturn:
    os.setsid()
    with Path(os.devnull).open("rb") as nothing, Path(output).open("wb") as file:
        for opened, standard in ((nothing, 0), (file, 1), (file, 2)):
            os.dup2(opened.fileno(), standard)
    status = pytest.main(
        ["-x", "-q", "-m", "not more", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning", *tests]
    )
    sys.stdout.flush()
    judges_nothing = status == pytest.ExitCode.NO_TESTS_COLLECTED  # as where the recorded replies are not there
    os._exit(pytest.ExitCode.OK if judges_nothing else status)  # threads that hang after the verdict are of no interest


if __name__ == "__main__":
    main()
