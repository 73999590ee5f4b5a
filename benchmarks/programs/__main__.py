"""Counts the lines of code of the programs, and prints them as a table in Markdown."""

import ast
import tokenize
from pathlib import Path

PEERS = {
    "fastapi_stream": "openai",
    "agent": "pydantic-ai",
    "classify_csv": "openai",
    "notebook": "openai",
    "extraction": "pydantic-ai",
}
NOT_CODE = (
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
)


def is_no_code(node: ast.stmt) -> bool:
    """Whether it is an import or a docstring."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return isinstance(node.value.value, str)
    return isinstance(node, ast.Import | ast.ImportFrom)


def code_lines(path: Path) -> int:
    """The lines without blank ones, comments, docstrings and imports."""
    lines: set[int] = set()
    with path.open("rb") as file:
        for token in tokenize.tokenize(file.readline):
            if token.type not in NOT_CODE:
                lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.stmt) and is_no_code(node):
            lines.difference_update(range(node.lineno, (node.end_lineno or 0) + 1))
    return len(lines)


def main() -> None:
    print("| program | venice-chat | peer | lines of the peer |")
    print("|---|---:|---|---:|")
    for name, peer in PEERS.items():
        folder = Path(__file__).parent / name
        ours, theirs = (code_lines(folder / f"{who}.py") for who in ("venice", "peer"))
        print(f"| `{name}` | {ours} | {peer} | {theirs} |")


if __name__ == "__main__":
    main()
