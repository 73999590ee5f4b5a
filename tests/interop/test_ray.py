"""A Ray dataset that `ChatMapper` answers survives the end of its driver: what was answered is not sent again."""

from __future__ import annotations

import json
import signal
import subprocess
import tomllib
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

import venice_ai
from venice_ai.emulator import Emulator, run_in_thread, usual
from venice_ai.emulator.sending import HTTPReply, Incoming

from .environments import CLIENTS, PythonEnvironment, environment, python_env

pytestmark = [pytest.mark.interop, pytest.mark.more]

ROOT = Path(__file__).parents[2]
ROWS = 2_000
ACTORS = 2
IN_A_BLOCK, IN_FLIGHT = 32, 16  # as in run_ray.py
QUIET_AFTER_SECONDS = 5.0
PATIENCE_SECONDS = 900.0


class Counting(Emulator):
    """Remembers every prompt, and when it came."""

    def __init__(self) -> None:
        super().__init__()
        self.prompts: list[tuple[float, str]] = []

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        if incoming.method == "POST":
            self.prompts.append((monotonic(), json.loads(incoming.body)["messages"][0]["content"]))
        return await super().respond(incoming, now=now)


@pytest.fixture(scope="module")
def ray_env() -> PythonEnvironment:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return python_env("ray", ["ray[data]==2.60.0", *project["dependencies"]])


@contextmanager
def driver(ray_env: PythonEnvironment, base_url: str, folder: Path) -> Generator[subprocess.Popen[str]]:
    log = (folder / "log").open("a", encoding="utf-8")
    command = [ray_env.command("python"), str(CLIENTS / "run_ray.py"), base_url, str(folder), str(ACTORS)]
    settings = environment({"PYTHONPATH": str(folder)})
    with log, subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True, env=settings) as process:
        try:
            yield process
        finally:
            process.kill()


def test_a_dataset_goes_on_after_its_driver_was_killed(ray_env: PythonEnvironment, tmp_path: Path) -> None:
    arrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    texts = [f"row {each}" for each in range(ROWS)]
    parquet.write_table(arrow.table({"id": list(range(ROWS)), "text": texts}), tmp_path / "rows.parquet")
    (tmp_path / "venice_ai").symlink_to(Path(venice_ai.__file__).parent)
    emulator = Counting()
    emulator.always(usual(delay=0.1))
    with run_in_thread(emulator) as server:
        with driver(ray_env, server.url, tmp_path) as process:
            give_up = monotonic() + PATIENCE_SECONDS
            while len(emulator.prompts) < ROWS / 2:
                assert process.poll() is None, (tmp_path / "log").read_text("utf-8")[-4_000:]
                assert monotonic() < give_up
                sleep(0.01)
            process.send_signal(signal.SIGKILL)
            killed = monotonic()
        sleep(2 * QUIET_AFTER_SECONDS)
        assert [text for at, text in emulator.prompts if at > killed + QUIET_AFTER_SECONDS] == []
        assert len(emulator.prompts) < ROWS

        with driver(ray_env, server.url, tmp_path) as process:
            assert process.wait(PATIENCE_SECONDS) == 0, (tmp_path / "log").read_text("utf-8")[-4_000:]

    sent = Counter(text for _, text in emulator.prompts)
    assert set(sent) == set(texts)
    assert sum(sent.values()) - ROWS <= ACTORS * (IN_FLIGHT + IN_A_BLOCK)
    rows = parquet.read_table(tmp_path / "answers").to_pylist()
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    assert all(row["text"] in row["answer"] and row["error"] == "" for row in rows)
