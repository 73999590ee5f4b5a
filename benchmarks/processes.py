"""The processes a run starts: the server, a worker for each contender, and new interpreters whose start-up is measured."""

import os
import re
import select
import subprocess
import tempfile
from types import TracebackType
from typing import IO, Self

from benchmarks import environments
from benchmarks.contenders import Contender
from benchmarks.environments import REPOSITORY
from benchmarks.job import Finding, Job

_PATIENCE_SECONDS = 120.0
# The line of a traceback that says what happened, such as `package.SomeError: ...`.
_ERROR = re.compile(r"[\w.]+(Error|Exception)\b")
# What would change how Python starts stays out.
_ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VENICE", "OPENAI"))}


class BrokenError(Exception):
    """A contender could not do its work; says why in one line."""


class Conversation:
    """A process that is told things line by line and answers each with a line."""

    def __init__(self, *command: str) -> None:
        self._complaints = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it lives as long as the process
        self._process = subprocess.Popen(
            command,
            cwd=REPOSITORY,
            env=_ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            text=True,
        )

    def say(self, line: str) -> None:
        try:
            print(line, file=_there(self._process.stdin), flush=True)
        except BrokenPipeError:
            raise BrokenError(self._last_complaint()) from None

    def hear(self) -> str:
        answers = _there(self._process.stdout)
        if not select.select([answers], [], [], _PATIENCE_SECONDS)[0]:
            raise BrokenError(f"no answer in {_PATIENCE_SECONDS:.0f} s")
        if answer := answers.readline():
            return answer
        raise BrokenError(self._last_complaint())

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
        self._complaints.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def _last_complaint(self) -> str:
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().splitlines() or ["ended without a word"]
        return next((line for line in reversed(lines) if _ERROR.match(line)), lines[-1])


def start_server(python: str) -> Conversation:
    """The loopback server; the first line to hear is its port."""
    return Conversation(python, "-m", "benchmarks.server")


class Worker(Conversation):
    def __init__(self, contender: Contender, base_url: str) -> None:
        super().__init__(environments.python(contender.environment), "-m", "benchmarks.worker", contender.client, base_url)

    def do(self, job: Job) -> Finding:
        self.say(job.to_json())
        return Finding.from_json(self.hear())


def cpu_seconds_of(contender: Contender, statement: str) -> float:
    """What a new interpreter that runs this statement uses from its first to its last moment."""
    process = subprocess.Popen([environments.python(contender.environment), "-I", "-c", statement], env=_ENVIRONMENT)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise BrokenError(f"{statement!r} fails")
    return usage.ru_utime + usage.ru_stime


def cold_start(contender: Contender, base_url: str, model: str) -> Finding:
    module = ("-m", "benchmarks.coldstart", contender.client, base_url, model)
    with Conversation(environments.python(contender.environment), *module) as process:
        seconds, length = process.hear().split()
    return Finding(cpu_seconds=float(seconds), resident_bytes=0, text_length=int(length))


def modules_loaded_by(contender: Contender, statement: str, names: tuple[str, ...]) -> list[str]:
    """Which of these modules a new interpreter has loaded after the statement."""
    program = f"import sys; {statement}; print(*(set({names!r}) & set(sys.modules)))"
    with Conversation(environments.python(contender.environment), "-I", "-c", program) as process:
        return sorted(process.hear().split())


def _there(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise ValueError("the process was started without this pipe")
    return pipe
