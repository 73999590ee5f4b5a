"""Which module of the package imports which, read from the source. Nothing is imported to find out.

Imports that only type checkers see count as well: they tie modules together in a reader's head. So do imports inside
functions, which delay what start-up does not need, but for the few that lead up, by name.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = "venice_ai"
UPWARD = {
    *(("types.api.chat", "_structured.read_output"), ("types.api.chat", "_structured.strict_schema")),
    ("types.attestation", "exceptions"),
}
"""The imports that lead up, inside two methods: a response is read as an object of a class (`parse_as`), and a report raises
the error that carries it (`raise_for_level`)."""


def modules(root: Path) -> dict[str, Path]:
    """Every module below the package's folder by its name within the package; the package itself is the empty name."""
    found: dict[str, Path] = {}
    for path in sorted(root.rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


class ImportGraph:
    """The imports among the modules of a package.

    Args:
        root: the package's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.modules: dict[str, Path] = modules(root)
        self.at_top: dict[str, set[str]] = {}
        """What each module imports outside its functions, imports for type checkers included."""
        self.in_functions: dict[str, set[str]] = {}
        """What each module imports inside its functions."""
        self.libraries: dict[str, set[str]] = {}
        """Which libraries each module imports, wherever it does."""
        for name, path in self.modules.items():
            tree = ast.parse(path.read_text("utf-8"))
            found = [*_imports(tree)]
            self.at_top[name] = set(self._imported(name, path, [node for node, inside in found if not inside])) - {name}
            self.in_functions[name] = set(self._imported(name, path, [node for node, inside in found if inside])) - {name}
            self.in_functions[name] -= self.at_top[name]
            self.libraries[name] = {library for node, _ in found for library in _outside(node)} - {PACKAGE}

    def _imported(self, name: str, path: Path, nodes: Iterable[ast.AST]) -> Iterator[str]:
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        for node in nodes:
            if isinstance(node, ast.ImportFrom) and (base := _absolute(node, package)) is not None:
                for alias in node.names:
                    inner = f"{base}.{alias.name}".strip(".")
                    yield inner if inner in self.modules else base
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.split(".")[0] == PACKAGE:
                        yield alias.name.removeprefix(PACKAGE).strip(".")

    def files(self) -> dict[str, set[str]]:
        """Which others each module imports, wherever it does, but for what leads up by name. The package itself is left out."""
        return {
            name: {other for other in self.at_top[name] | self.in_functions[name] if other and (name, other) not in UPWARD}
            for name in self.modules
            if name
        }

    def rooms(self) -> dict[str, set[str]]:
        """The rooms (folders and files at the top) and which others each imports."""
        found: dict[str, set[str]] = {room(name): set() for name in self.modules if name}
        for name, others in self.files().items():
            found[room(name)] |= {room(other) for other in others} - {room(name)}
        return found

    def lines(self, room_name: str) -> int:
        """How many lines the files of a room have."""
        return sum(
            len(path.read_text("utf-8").splitlines()) for name, path in self.modules.items() if name and room(name) == room_name
        )


def room(name: str) -> str:
    """The folder or file at the top of the package that a module lies in."""
    return name.split(".", maxsplit=1)[0]


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of names that import each other, by Tarjan's algorithm for strongly connected components."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = low[name] = len(index)
        stack.append(name)
        for other in graph.get(name, ()):
            if other not in index:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], index[other])
        if low[name] == index[name]:
            group = [stack.pop()]
            while group[-1] != name:
                group.append(stack.pop())
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def _imports(node: ast.AST, *, inside: bool = False) -> Iterator[tuple[ast.AST, bool]]:
    """The imports below a node, and whether each is in a function. Expressions, which most of a tree are, hold none."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import | ast.ImportFrom):
            yield child, inside
        elif isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):
            yield from _imports(child, inside=inside or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def _outside(node: ast.AST) -> list[str]:
    """The libraries that an import names."""
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return [(node.module or "").split(".")[0]] if isinstance(node, ast.ImportFrom) and not node.level else []


def _absolute(node: ast.ImportFrom, package: str) -> str | None:
    """The module that a statement imports from, by its name within the package; None if it lies outside."""
    if node.level:
        parts = package.split(".") if package else []
        return ".".join([*parts[: len(parts) - node.level + 1], *([node.module] if node.module else [])])
    module = node.module or ""
    return module.removeprefix(PACKAGE).strip(".") if module.split(".")[0] == PACKAGE else None
