"""The Python in the README and the guide fits on a page. Whether type checkers accept it, `test_typing.py` tries.

For them, each block is written to a file of its own. A block that needs names from elsewhere has a preamble, which readers do
not see: an HTML comment right above the block, whose first line is `<!-- preamble`. The preamble stands at the top of the file.
The block follows, in an `async def` if it awaits something.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import NamedTuple

import pytest

from scripts.programs_in_pages import PLACE

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
COLUMNS = 88
BLOCK = re.compile(
    r"(?P<example>^<!-- examples/\w+\.py -->\n)?(?:^<!-- preamble\n(?P<preamble>.*?)^-->\n)?"
    r"^```python[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FENCED = re.compile(r"^( *)```[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


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
    """The blocks of Python on a page, without the programs of `examples`, which are checked as files."""
    text = page.read_text("utf-8")
    name = page.relative_to(ROOT).as_posix()
    return [
        Snippet(f"{name}:{text.count(chr(10), 0, found.start('code'))}", found["preamble"] or "", found["code"])
        for found in BLOCK.finditer(text)
        if not found["example"]
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


def test_every_block_of_python_is_checked() -> None:
    blocks = sum(len(re.findall(r"^```python", page.read_text("utf-8"), re.MULTILINE)) for page in PAGES)
    examples = sum(len(PLACE.findall(page.read_text("utf-8"))) for page in PAGES)

    assert len(SNIPPETS) == blocks - examples
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
    modules = [path for path in (ROOT / "src").rglob("*.py") if "::\n" in path.read_text("utf-8")]
    examples = {path: examples_in_docstrings(path) for path in modules}

    assert sum(map(len, examples.values())) > 30
    assert [f"{path}: {line}" for path, lines in examples.items() for line in lines if len(line) > COLUMNS] == []


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
