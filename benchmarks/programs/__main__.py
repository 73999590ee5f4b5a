"""Counts the lines of code of the programs, and prints them as a table in Markdown."""

import ast
import tokenize
from pathlib import Path

PEERS = (
    ("fastapi_stream", "openai", "peer.py"),
    ("agent", "pydantic-ai", "peer.py"),
    ("classify_csv", "async-batch-llm", "peer.py"),
    ("notebook", "openai", "peer.py"),
    ("extraction", "instructor", "peer.py"),
    ("extraction", "pydantic-ai", "peer_pydantic_ai.py"),
)
"""Each program, with whom it is compared, and the file of that one."""
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


def table() -> str:
    rows = [
        "| program | venice-chat | peer | lines of the peer |",
        "|---|---:|---|---:|",
    ]
    for name, peer, file in PEERS:
        folder = Path(__file__).parent / name
        ours, theirs = (code_lines(folder / each) for each in ("venice.py", file))
        rows.append(f"| `{name}` | {ours} | {peer} | {theirs} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
