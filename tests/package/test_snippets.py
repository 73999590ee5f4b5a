"""The Python in the README and the guide is accepted by `mypy --strict` and by pyright, and fits on a page.

Each block is written to a file of its own, and each checker runs once over all of them. A block that needs names from
elsewhere has a preamble, which readers do not see: an HTML comment right above the block, whose first line is `<!-- preamble`.
The preamble stands at the top of the file. The block follows, in an `async def` if it awaits something.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COLUMNS = 88
BLOCK = re.compile(
    r"(?:^<!-- preamble\n(?P<preamble>.*?)^-->\n)?^```python[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)
FENCED = re.compile(r"^( *)```[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)

# What the snippets use of libraries that the tests do not install.
STUBS = {
    "opentelemetry/instrumentation/aiohttp_client.pyi": (
        "class AioHttpClientInstrumentor:\n    def instrument(self) -> None: ...\n"
    ),
    "ray/__init__.pyi": "from . import data as data\n",
    "ray/data/__init__.pyi": (
        "from typing import Any\n"
        "class DataContext:\n"
        "    checkpoint_config: Any\n"
        "    @staticmethod\n"
        "    def get_current() -> DataContext: ...\n"
        "class Dataset:\n"
        "    def repartition(self, *, target_num_rows_per_block: int) -> Dataset: ...\n"
        "    def map_batches(self, fn: type[object], **options: object) -> Dataset: ...\n"
        "    def write_parquet(self, path: str) -> None: ...\n"
        "def read_parquet(path: str) -> Dataset: ...\n"
    ),
    "ray/data/checkpoint.pyi": (
        "class CheckpointConfig:\n    def __init__(self, *, id_column: str, checkpoint_path: str) -> None: ...\n"
    ),
    "vcr.pyi": (
        "from contextlib import AbstractContextManager\n"
        "def use_cassette(path: str, *, filter_headers: list[str]) -> AbstractContextManager[object]: ...\n"
    ),
}


class Snippet(NamedTuple):
    place: str
    """The page and the line that the block begins at."""
    preamble: str
    code: str

    @property
    def file(self) -> str:
        """The name of the file that the checkers see."""
        return re.sub(r"\W", "_", self.place) + ".py"


def snippets(page: Path) -> list[Snippet]:
    """The blocks of Python on a page, without those that include an example: the examples are checked as files."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix()
    return [
        Snippet(f"{name}:{text.count(chr(10), 0, found.start('code'))}", found["preamble"] or "", found["code"])
        for found in BLOCK.finditer(text)
        if not found["code"].startswith("--8<--")
    ]


SNIPPETS = [snippet for page in PAGES for snippet in snippets(page)]


def awaits(code: str) -> bool:
    """Whether code awaits something outside its functions."""

    def inside(node: ast.AST) -> bool:
        if isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor):
            return True
        functions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        return any(inside(child) for child in ast.iter_child_nodes(node) if not isinstance(child, functions))

    return inside(ast.parse(code))


def as_module(snippet: Snippet) -> str:
    """A snippet as a file that a type checker can judge."""
    if not awaits(snippet.code):
        return f"{snippet.preamble}\n{snippet.code}"
    body = "".join(f"    {line}" if line.strip() else line for line in snippet.code.splitlines(keepends=True))
    return f"{snippet.preamble}\nasync def snippet() -> None:\n{body}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file for each snippet, and what the checkers need to know."""
    folder = tmp_path_factory.mktemp("snippets")
    for snippet in SNIPPETS:
        (folder / snippet.file).write_text(as_module(snippet), "utf-8")
    for name, stub in STUBS.items():
        path = folder / "stubs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stub, "utf-8")
    settings = {
        "include": [snippet.file for snippet in SNIPPETS],
        "typeCheckingMode": "strict",
        "extraPaths": ["stubs"],
        "reportMissingModuleSource": False,  # of the stubs
        "reportUnusedVariable": False,  # a snippet shows how to get a result, and what to do with it is the reader's
    }
    (folder / "pyrightconfig.json").write_text(json.dumps(settings), "utf-8")
    return folder


def said_by(folder: Path, *command: str) -> tuple[int, str]:
    """How a checker ended, and what it printed."""
    paths = {"MYPYPATH": "stubs", "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *command],
        capture_output=True,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env={**os.environ, **paths},
        timeout=600,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_mypy_accepts_every_snippet(folder: Path) -> None:
    pytest.importorskip("mypy")
    cache = str(ROOT / ".mypy_cache" / "snippets")
    files = [snippet.file for snippet in SNIPPETS]

    code, said = said_by(folder, "mypy", "--strict", "--explicit-package-bases", "--cache-dir", cache, *files)

    assert code == 0, said


def test_pyright_accepts_every_snippet(folder: Path) -> None:
    pytest.importorskip("pyright")

    code, said = said_by(folder, "pyright", "--pythonpath", sys.executable, "--outputjson")

    verdict = json.loads(said)
    assert [f"{Path(each['file']).name}: {each['message']}" for each in verdict["generalDiagnostics"]] == []
    assert verdict["summary"]["filesAnalyzed"] == len(SNIPPETS)
    assert code == 0


def test_every_block_of_python_is_checked() -> None:
    blocks = sum(len(re.findall(r"^```python", page.read_text("utf-8"), re.MULTILINE)) for page in PAGES)
    included = sum(page.read_text("utf-8").count('--8<-- "examples/') for page in PAGES)

    assert len(SNIPPETS) == blocks - included
    assert len({snippet.file for snippet in SNIPPETS}) == len(SNIPPETS) > 8


def test_code_on_the_pages_and_in_the_examples_fits_on_a_page() -> None:
    shown = {
        **{page: "\n".join(block for _, block in FENCED.findall(page.read_text("utf-8"))) for page in PAGES},
        **{path: path.read_text("utf-8") for path in (ROOT / "examples").glob("*.py")},
    }

    too_long = [f"{path.name}: {line}" for path, code in shown.items() for line in code.splitlines() if len(line) > COLUMNS]

    assert too_long == []


def examples_in_docstrings(path: Path) -> list[str]:
    """The lines of the examples in the docstrings of a module: what is indented below a line that ends with `::`."""
    lines: list[str] = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for found in re.finditer(r"::\n\n((?:    .*\n|\n)+)", (ast.get_docstring(node) or "") + "\n"):
                lines += [line.removeprefix("    ") for line in found[1].splitlines()]
    return lines


def test_examples_in_docstrings_fit_on_a_page() -> None:
    examples = {path.name: examples_in_docstrings(path) for path in (ROOT / "src").rglob("*.py")}

    assert sum(map(len, examples.values())) > 30
    assert [f"{name}: {line}" for name, lines in examples.items() for line in lines if len(line) > COLUMNS] == []


@pytest.mark.parametrize(
    ("code", "is_awaiting"),
    [
        pytest.param("client.close()", False, id="plain"),
        pytest.param("x = await f()", True, id="await"),
        pytest.param("async with f() as x:\n    pass", True, id="async with"),
        pytest.param("with f():\n    print(await g())", True, id="inside a block"),
        pytest.param("async def f() -> None:\n    await g()", False, id="only in a function"),
    ],
)
def test_a_snippet_that_awaits_is_put_into_a_function(code: str, is_awaiting: bool) -> None:
    module = as_module(Snippet("page:1", "import this\n", code))

    assert ("async def snippet" in module) == is_awaiting
    assert module.startswith("import this\n")
    compile(module, "snippet", "exec")
