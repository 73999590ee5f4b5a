"""Servers that others wrote, run on this machine alone while a test needs them."""

from __future__ import annotations

import json
import socket
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from .environments import environment

_START_SECONDS = 60.0
_STOP_SECONDS = 5.0
_ADMIN_SECONDS = 10.0
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class ForeignServer:
    """Where a server answers, and a way to steer it."""

    origin: str

    def get(self, path: str) -> Any:
        """The JSON at a path."""
        return self._ask("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """The JSON that a path answers to JSON."""
        return self._ask("POST", path, json.dumps({} if body is None else body).encode())

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        request = urllib.request.Request(
            self.origin + path, data=body, headers={"content-type": "application/json"}, method=method
        )
        with _direct.open(request, timeout=_ADMIN_SECONDS) as answer:
            content = answer.read()
        return json.loads(content) if content else None


@contextmanager
def serving(command: Callable[[int], Sequence[str]], *, ready: str, folder: Path) -> Generator[ForeignServer]:
    """Runs a server until the context ends.

    Args:
        command: the command, given the port to listen on.
        ready: a path that answers once the server is up.
        folder: where it runs.
    """
    port = _free_port()
    server = ForeignServer(f"http://127.0.0.1:{port}")
    with (
        tempfile.TemporaryFile() as log,
        subprocess.Popen(
            command(port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(), cwd=folder
        ) as process,
    ):
        try:
            if not _answers(process, server.origin + ready):
                log.seek(0)
                pytest.fail(f"the server did not start:\n{log.read().decode('utf-8', 'replace')[-4000:]}", pytrace=False)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _answers(process: subprocess.Popen[bytes], url: str) -> bool:
    give_up = time.monotonic() + _START_SECONDS
    while process.poll() is None and time.monotonic() < give_up:
        try:
            with _direct.open(url, timeout=1):
                return True
        except urllib.error.HTTPError as error:
            error.close()
            if error.code != 503:  # that one loads what it needs
                return True
            time.sleep(0.05)
        except OSError:
            time.sleep(0.05)
    return False
