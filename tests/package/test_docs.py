"""The pages: what they show is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import venice_ai

from ..shared import shared_path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
INCLUDE = re.compile(r'--8<-- "(examples/\w+\.py|CHANGELOG\.md)"')


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_example_is_included_as_the_site_understands_it(page: Path) -> None:
    includes = [line for line in page.read_text("utf-8").splitlines() if line.startswith("--8")]

    for line in includes:
        found = INCLUDE.fullmatch(line)
        assert found, line
        assert (ROOT / found[1]).is_file()


def attackers() -> dict[str, str]:
    """Each attacker of the page, and what it says of the tests that stop him."""
    table = (ROOT / "docs" / "confidential.md").read_text("utf-8").partition("| attacker |")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    return {attacker: tests for attacker, _, tests in rows}


ATTACKERS = attackers()
FILE = re.compile(r"`(tests/\w+/\w+\.py)(?:::(\w+))?`")
ROWS = re.compile(r"\b(\d+)(?: to (\d+))?\b")
# A test says in its name which row of the table of attacks it plays, or else in the id of each of its cases.
PLAYED = re.compile(r"::test_(?:row_)?0*(\d+)_|\[(?:.*-)?row (\d+):|\[(\d+)[ -]")


@pytest.fixture(scope="module")
def collected(request: pytest.FixtureRequest) -> list[str]:
    """The tests that pytest finds in the files which the page names: it has found them before, if the whole suite runs."""
    shared_path("tee/attestation_gemma.json")  # without the recorded data, some of them are not collected
    files = sorted({file for tests in ATTACKERS.values() for file, _ in FILE.findall(tests)})
    here = [item.nodeid for item in request.session.items]
    if {name.partition("::")[0] for name in here}.issuperset(files):
        return here
    found = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", *files],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=ROOT,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    return [line for line in found.stdout.splitlines() if "::" in line]


def test_the_attackers_are_those_that_are_known() -> None:
    assert len(ATTACKERS) == 14


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_attacker_is_stopped_by_tests_that_are_there(attacker: str, collected: list[str]) -> None:
    said = ATTACKERS[attacker]
    files = FILE.findall(said)
    there = [test for test in collected if test.partition("::")[0] in {file for file, _ in files}]
    wanted: set[object] = {name for _, name in files if name}
    for first, last in ROWS.findall(FILE.sub("", said)):
        wanted |= {*range(int(first), int(last or first) + 1)}

    names = {test.partition("::")[2].partition("[")[0] for test in there}
    played = {int(next(filter(None, found.groups()))) for found in map(PLAYED.search, there) if found}

    assert wanted
    assert wanted - names - played == set()


def test_the_guide_shows_examples() -> None:
    shown = {name for page in PAGES for name in INCLUDE.findall(page.read_text("utf-8"))}

    assert len(shown) > 10


# Where each public name is defined, and those that nobody imports but everybody is given.
HOMES: dict[str, str] = {**vars(venice_ai)["_HOMES"], "ResponseMeta": "types.response_meta", "RateLimits": "types.rate_limits"}


def test_every_public_name_is_in_the_reference() -> None:
    pages = "".join(page.read_text("utf-8") for page in (ROOT / "docs" / "reference").glob("*.md"))
    shown: dict[str, str] = dict(re.findall(r"^::: venice_ai\.(\S+)((?:\n {4}.*)*)", pages, re.MULTILINE))

    def is_shown(name: str, home: str) -> bool:
        if name in shown or f"{home}.{name}" in shown:
            return True
        options = shown.get(home)
        return options is not None and ("members: [" not in options or re.search(rf"\b{name}\b", options) is not None)

    assert [name for name, home in HOMES.items() if not is_shown(name, home)] == ["__version__"]


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGE = ROOT / "src" / "venice_ai"
NAMED = sorted(set(re.findall(r"`((?:tests/|src/)?[\w/]+(?:\.py|\.json|/))`", ARCHITECTURE)))


@pytest.mark.parametrize("path", NAMED)
def test_each_file_that_the_page_on_architecture_names_is_there(path: str) -> None:
    if path not in {"local/", "enclave/", "chat/completions.py"}:  # within the room of their row
        assert (PACKAGE / path).exists() or (ROOT / path).exists()


def test_the_page_on_architecture_names_every_room() -> None:
    rooms = {
        path.name + "/" * path.is_dir() for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    table = ARCHITECTURE.partition("| room |")[2].partition("\n\n")[0]

    assert rooms - set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == {"_version.py", "_resource.py", "helpers.py"}


@pytest.mark.parametrize(
    ("question", "file"),
    [
        ("how a cut stream is reported", "_wire/stream_errors.py"),
        ("how long a 429 holds all calls of a model", "_limits/rate_limiter.py"),
        ("what a tool's schema looks like", "tools/function_schema.py"),
    ],
)
def test_the_page_on_architecture_says_where_to_change_what(question: str, file: str) -> None:
    row = next(line for line in ARCHITECTURE.splitlines() if line.startswith("|") and question in line)

    assert f"| `{file}` |" in row
