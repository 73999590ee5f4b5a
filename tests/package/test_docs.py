"""The pages of the documentation: the programs, tests, files and names that they show exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import venice_ai
from benchmarks.faults.verdict import WORDS
from benchmarks.programs.__main__ import table
from scripts.programs_in_pages import PLACE, with_programs
from scripts.site_pages import search_of, text_of

from ..shared import shared_path

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_shows_its_programs_as_they_are(page: Path) -> None:
    text = page.read_text("utf-8")

    assert text.count("<!-- examples/") == len(PLACE.findall(text))
    assert text == with_programs(text), "`python -m scripts.programs_in_pages` writes the programs anew"


@pytest.mark.parametrize(
    "page",
    [
        pytest.param("<!-- examples/hello.py -->\n", id="no block yet"),
        pytest.param("<!-- examples/hello.py -->\n```python\nold = 1\n```\n", id="an old block"),
    ],
)
def test_a_program_is_written_below_the_comment_that_names_it(page: str) -> None:
    written = with_programs(f"Before.\n\n{page}\nAfter.\n\n```python\nother = 1\n```\n")

    program = (ROOT / "examples" / "hello.py").read_text("utf-8")
    assert written == (
        f"Before.\n\n<!-- examples/hello.py -->\n```python\n{program}```\n\nAfter.\n\n```python\nother = 1\n```\n"
    )


def test_the_site_has_the_changelog_where_a_reader_of_the_folder_has_a_link_to_it() -> None:
    page = (ROOT / "docs" / "changelog.md").read_text("utf-8")

    assert "(../CHANGELOG.md)" in page
    assert text_of("changelog.md", page) == (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert text_of("index.md", page) == page


def test_the_site_marks_each_verdict_of_the_scoreboard() -> None:
    page = (ROOT / "docs" / "scoreboard.md").read_text("utf-8")

    marked = text_of("scoreboard.md", page)

    cells = re.findall(r"\]\(scoreboard/[^)]*\)(\{ \.verdict \.[a-z-]+ \})?", marked)
    assert len(cells) > 500
    assert all(cells)
    styles = (ROOT / "docs" / "assets" / "site.css").read_text("utf-8")
    assert [word for word in WORDS if f".{word.replace(' ', '-')}" not in styles] == []


def test_the_search_prefers_the_guide_and_leaves_out_the_evidence() -> None:
    boosts = {path: search_of(path).get("boost", 1) for path in ("guide/errors.md", "reference/errors.md", "decisions.md")}

    assert boosts["guide/errors.md"] > boosts["reference/errors.md"] > boosts["decisions.md"]
    assert search_of("scoreboard/time.md") == {"exclude": True}


def attackers() -> dict[str, str]:
    """Each attacker of the page, and what it says of the tests that stop him."""
    table = (ROOT / "docs" / "confidential.md").read_text("utf-8").partition("| attacker |")[2].partition("\n\n")[0]
    rows = [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]
    return {attacker: tests for attacker, _, tests in rows}


ATTACKERS = attackers()
FILE = re.compile(r"`(tests/\w+/\w+\.py)(?:::(\w+))?`")
NUMBERS = re.compile(r"\b(\d+)(?: to (\d+))?\b")
# A test says in a mark which attack of docs/explanations/attacks.md it plays, or else in the id of each of its cases.
MARKED = re.compile(r"^@pytest\.mark\.attack\((\d+)\)\n(?:async )?def (\w+)", re.MULTILINE)
PLAYED = re.compile(r"\[(?:.*-)?attack (\d+):|\[(\d+)[ -]")


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


def test_the_page_lists_fourteen_attackers() -> None:
    assert len(ATTACKERS) == 14


@pytest.mark.parametrize("attacker", ATTACKERS)
def test_each_attacker_is_stopped_by_tests_that_exist(attacker: str, collected: list[str]) -> None:
    cell = ATTACKERS[attacker]
    named = FILE.findall(cell)
    files = {file for file, _ in named}
    tests = [test for test in collected if test.partition("::")[0] in files]
    expected: set[object] = {name for _, name in named if name}
    for first, last in NUMBERS.findall(FILE.sub("", cell)):
        expected |= {*range(int(first), int(last or first) + 1)}

    names = {test.partition("::")[2].partition("[")[0] for test in tests}
    marked = [mark for file in files for mark in MARKED.findall((ROOT / file).read_text("utf-8"))]
    played = {int(number) for number, name in marked if name in names}
    played |= {int(next(filter(None, found.groups()))) for found in map(PLAYED.search, tests) if found}

    assert expected
    assert expected - names - played == set()


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name != "scoreboard"], ids=lambda page: page.name)
def test_a_page_that_asks_the_emulators_own_model_says_that_venice_has_none_of_its_name(page: Path) -> None:
    text = page.read_text("utf-8")

    assert ("`venice-1` exists only in the emulator" in text) is ("venice-1" in text)


def test_the_page_on_programs_has_the_counted_lines() -> None:
    assert table() in (ROOT / "docs" / "explanations" / "programs.md").read_text("utf-8")


def test_the_guide_shows_examples() -> None:
    shown = {name for page in PAGES for name in PLACE.findall(page.read_text("utf-8"))}

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
def test_each_file_that_the_page_on_architecture_names_exists(path: str) -> None:
    if path not in {"local/", "enclave/", "chat/completions.py"}:  # within the room of their row
        assert (PACKAGE / path).exists() or (ROOT / path).exists()


def test_the_page_on_architecture_names_every_room() -> None:
    rooms = {
        path.name + "/" * path.is_dir() for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    table = ARCHITECTURE.partition("| room |")[2].partition("\n\n")[0]

    assert rooms - set(re.findall(r"^\| `([^`]+)` \|", table, re.MULTILINE)) == {"_version.py", "_resource.py"}


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
