"""An environment for each contender, made once under `.bench/`: two of them install an import package of the same name.

Ours is installed anew in every run, from the repository and as its users get it: as a wheel.
"""

import fcntl
import subprocess
import venv
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent
HOME = REPOSITORY / ".bench"
OURS = "venice-chat"

_REQUIREMENTS = {
    "bare": ("cryptography",),
    "aiohttp": ("aiohttp",),
    "venice-py": ("venice-py", "cryptography"),
    "openai": ("openai>=3",),
    "litellm": ("litellm",),
    "pydantic-ai": ("pydantic-ai-slim[openai]",),
    "async-batch-llm": ("async-batch-llm", "openai>=3"),
    OURS: (f"{REPOSITORY}[e2ee]",),
}
# What of an environment is worth naming in a report.
_NAMED = (
    "venice-chat",
    "venice-py",
    "openai",
    "litellm",
    "pydantic-ai-slim",
    "aiohttp",
    "httpx2",
    "httpx",
    "pydantic",
    "msgspec",
    "cryptography",
    "coincurve",
)


class InstallationError(Exception):
    """An environment could not be made; says which, and the last line the installer printed."""


def python(environment: str) -> str:
    return str(HOME / environment / "bin" / "python")


@contextmanager
def one_run_at_a_time() -> Generator[None]:
    """Wait for a run that is under way: two would measure each other, and install over each other's package."""
    HOME.mkdir(exist_ok=True)
    (HOME / ".gitignore").write_text("*\n")
    with (HOME / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare(environment: str) -> None:
    """Make the environment if it is not there, or was made of something else."""
    complete = HOME / environment / "complete"
    requirements = "\n".join(_REQUIREMENTS[environment])
    there = complete.exists() and complete.read_text() == requirements
    if not there:
        venv.create(HOME / environment, with_pip=True, clear=True)
    if environment == OURS or not there:
        _install(environment)
        complete.write_text(requirements)


def _install(environment: str) -> None:
    if not _REQUIREMENTS[environment]:
        return
    command = [python(environment), "-m", "pip", "install", "--quiet", *_REQUIREMENTS[environment]]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last_line = (done.stderr.strip() or "no word of it").splitlines()[-1]
        raise InstallationError(f"{environment} cannot be installed: {last_line}")


def versions(environment: str) -> str:
    """The packages in it that matter here, as `name 1.2, name 3.4`."""
    program = (
        "from importlib.metadata import distributions\n"
        "print(*(f\"{d.metadata['Name']} {d.version}\" for d in distributions()), sep='\\n')"
    )
    listed = subprocess.run([python(environment), "-c", program], capture_output=True, text=True, check=True)
    found = dict(line.split(" ", 1) for line in listed.stdout.splitlines())
    return ", ".join(f"{name} {found[name]}" for name in _NAMED if name in found)
