"""Random mutants of the pure modules: would a test notice if this line were wrong?

    python -m scripts.mutants                     200 mutants, on two processes
    python -m scripts.mutants --only costs        those of one module, or of a folder (`_wire/`)
    python -m scripts.mutants --seed 2 --count 50

A mutant is the package with one slip in it: `<` in place of `<=`, 4 in place of 3, a loop that is never entered. cosmic-ray
makes them. Each is judged by the tests nearest to its module, listed in `NEAREST`; it is killed when one of them fails, or when
they take far longer than they do without a slip. A dot is one that was killed, a "t" one whose tests took too long. Survivors
are printed: each deserves a test, or its line is not needed.

What nobody could see is not changed:

- Annotations, overloads, `dataclass_transform`, the bodies of `Protocol` classes: only type checkers read them.
- `is` for `==`: they differ only for values that are equal and not the same, which no rule tells apart.
- `lru_cache` and `cache` are not removed: a function that computes a value again returns the same one. (Without its
  `cached_property` an attribute is a method, and so that one is removed.)
- `strict=True` of `zip` stays: where it stands, the lengths are the same, and it says so to the reader.
- `except ImportError` of packages that are installed here catches nothing here.

Which mutants are drawn depends on the seed, the source and the installed packages. They live in copies of the checkout, never
in the checkout.
The exit status is 1 when less than 92 % were killed.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from queue import Queue
from typing import Any

REPOSITORY = Path(__file__).parents[1]
PACKAGE = Path("src") / "venice_ai"
WANTED = 0.92
PROCESSES = int(os.environ.get("MUTANT_PROCESSES", "2"))
SLOWER, SECONDS_MORE = 4, 10
"""A mutant whose tests take this many times as long, and this many seconds more, hangs."""

# A folder stands for its modules that are not named themselves. The first tests are the nearest, and run first.
NEAREST: dict[str, str] = {
    "_core/caller_warnings.py": "client/test_warnings.py client/test_notices.py",
    "_core/concurrency.py": (
        "rules/test_without_locals.py rules/test_hooks.py client/test_batch.py client/test_on_result.py "
        "client/test_run_with_tools.py client/test_models_data.py sync/test_sync.py"
    ),
    "_core/first_use.py": "rules/test_first_use.py package/test_imports.py sync/test_sync_processes.py",
    "_core/json_values.py": "rules/test_json_values.py client/test_secrets.py",
    "_core/machine.py": "rules/test_machine.py client/test_settings.py",
    "_core/outcome.py": "rules/test_first_use.py sync/test_sync_processes.py sync/test_sync.py",
    "_core/packages.py": "cli/test_doctor.py",
    "_core/privacy.py": "rules/test_privacy.py tee/test_min_privacy.py",
    "_core/settings.py": "client/test_settings.py client/test_attempt_log.py",
    "_core/token_counts.py": "rules/test_token_counts.py",
    "_http/retry.py": "rules/test_retry_policy.py client/test_retries.py",
    "_limits/account.py": "rules/test_account.py rules/test_rate_share.py client/test_limits.py",
    "_limits/budget.py": "rules/test_budget.py client/test_budget.py",
    "_limits/failure_budget.py": "rules/test_failure_budget.py rules/test_retry_budget.py client/test_limits.py",
    "_limits/rate_limiter.py": "rules/test_rate_limiter.py rules/test_circuit_breaker.py client/test_limits.py",
    "_core/window.py": "rules/test_rate_limiter.py rules/test_failure_budget.py rules/test_circuit_breaker.py",
    "_structured/columns.py": "cli/test_batch_rows.py client/test_ray_mapper.py cli/test_batch.py",
    "_structured/growing_object.py": "client/test_stream_parse.py",
    "_structured/read_output.py": "client/test_parse.py client/test_reasks.py client/test_stream_parse.py",
    "_structured/strict_schema.py": "rules/test_schema.py client/test_formats.py rules/test_schema_hypothesis.py",
    "_structured/typed_dicts.py": "rules/test_schema.py client/test_parse.py rules/test_tool_from_function.py",
    "_wire/assembly.py": (
        "client/test_collected.py client/test_tool_fragments.py client/test_streams.py client/test_completion_fixtures.py "
        "client/test_stream_errors.py rules/test_repeats.py tee/test_session.py client/test_telemetry.py"
    ),
    "_wire/growing.py": "client/test_collected.py client/test_streams.py",
    "_wire/tool_call_fragments.py": (
        "rules/test_argument_pieces.py client/test_tool_fragments.py client/test_collected.py rules/test_repeats.py"
    ),
    "_wire/reply_body.py": (
        "rules/test_reply_body.py rules/test_first_bytes.py client/test_completion_fixtures.py client/test_error_fixtures.py "
        "client/test_sse_fixtures.py client/test_mislabelled_replies.py client/test_retries.py"
    ),
    "_wire/request_body.py": (
        "rules/test_invalid_values.py client/test_requests.py client/test_formats.py client/test_messages.py "
        "client/test_settings.py"
    ),
    "_wire/content_coding.py": "rules/test_decoding.py client/test_mislabelled_replies.py",
    "_wire/http_framing.py": "rules/test_framing.py sockets/test_odd_replies.py",
    "_wire/invalid_values.py": "rules/test_invalid_values.py client/test_returned.py client/test_requests.py",
    "_wire/json_text.py": (
        "rules/test_surrogates.py client/test_completion_fixtures.py client/test_sse_fixtures.py "
        "client/test_mislabelled_replies.py"
    ),
    "_wire/notices.py": "client/test_notices.py client/test_meta.py",
    "_wire/repeated_events.py": "rules/test_repeats.py tee/test_session.py",
    "_wire/sse.py": "rules/test_sse.py rules/test_first_bytes.py client/test_streams.py",
    "_wire/stream_errors.py": (
        "client/test_stream_errors.py client/test_streams.py client/test_sse_fixtures.py client/test_mislabelled_replies.py "
        "tee/test_session.py tee/test_e2ee_calls.py"
    ),
    "batches/identity.py": "batches/test_journal.py",
    "batches/items.py": "batches/test_items.py",
    "batches/pace.py": "batches/test_pace.py",
    "costs.py": "rules/test_costs.py rules/test_budget.py client/test_budget.py",
    "streaming.py": (
        "client/test_streams.py client/test_stream_cls.py client/test_stream_errors.py client/test_collected.py "
        "client/test_sse_fixtures.py client/test_mislabelled_replies.py client/test_meta.py client/test_retries.py "
        "client/test_fallbacks.py client/test_notices.py tee/test_e2ee_calls.py client/test_telemetry.py "
        "emulator/test_enclave.py"
    ),
    "types/_base.py": (
        "client/test_completion_fixtures.py client/test_messages.py client/test_returned.py client/test_requests.py "
        "client/test_meta.py client/test_formats.py client/test_models_data.py client/test_notebook_views.py"
    ),
    "types/_html.py": "client/test_notebook_views.py",
    "types/_surrogates.py": "rules/test_surrogates.py client/test_streams.py client/test_parse.py",
    "types/_view.py": "client/test_completion_fixtures.py client/test_models_data.py client/test_messages.py",
    "types/api/returned.py": "client/test_returned.py client/test_messages.py",
    "types/attestation.py": "tee/test_report.py tee/test_attestation.py client/test_notebook_views.py",
    "types/rate_limits.py": "rules/test_rate_limits.py client/test_retries.py client/test_meta.py",
    "types/response_meta.py": "client/test_meta.py client/test_notices.py",
    "tools/docstrings.py": "rules/test_docstrings.py rules/test_tool_from_function.py",
    "tools/sealed_form.py": "rules/test_sealed_form.py tee/test_sealed_tools.py",
    "tools/function_schema.py": "rules/test_tool_from_function.py",
    "tools/parameters.py": "rules/test_tool_from_function.py",
    "tools/": (
        "rules/test_tool_from_function.py rules/test_tool_loop.py client/test_run_with_tools.py client/test_tool_approval.py"
    ),
    "tee/aci.py": "tee/test_aci.py tee/test_session.py",
    "tee/attestation.py": "tee/test_attestation.py tee/test_attack_table.py tee/test_report.py tee/test_aci.py",
    "tee/canonical.py": "tee/test_aci.py",
    "tee/checks.py": "tee/test_checks.py tee/test_report.py tee/test_attestation.py",
    "tee/certificates.py": "tee/test_quote.py tee/test_gpu.py tee/test_nras.py tee/test_collateral.py",
    "tee/collateral.py": "tee/test_collateral.py tee/test_collateral_fetcher.py",
    "tee/crypto.py": "tee/test_crypto.py",
    "tee/curve.py": "tee/test_crypto.py tee/test_aci.py",
    "tee/eventlog.py": "tee/test_eventlog.py tee/test_attestation.py tee/test_long_evidence.py",
    "tee/evidence_file.py": "tee/test_evidence_file.py cli/test_attest.py",
    "tee/gpu.py": "tee/test_gpu.py tee/test_attack_table.py",
    "tee/keccak.py": "tee/test_keccak.py",
    "tee/nras.py": "tee/test_nras.py",
    "tee/quote.py": "tee/test_quote.py tee/test_attestation.py",
    "tee/sealing.py": "rules/test_sealing.py batches/test_journal.py",
    "tee/session.py": "tee/test_session.py",
    "tee/signature.py": "tee/test_signature.py",
    "tee/stricter.py": "tee/test_stricter.py",
    "tee/workload.py": "tee/test_workload.py tee/test_parts.py tee/test_attestation.py tee/test_attack_table.py",
}

PURE = ("_core/", "_limits/", "_structured/", "_wire/", "tools/", "tee/")
ACTING = {
    "_core/busy_retry.py",
    "_core/chat_size.py",
    "_core/ports.py",
    "_core/request.py",
    "_core/shared_file.py",
    "_core/waiter.py",
    "_limits/limiter.py",
    "_limits/rate_share.py",
    "tee/extra.py",
    "tee/guard.py",
    "tee/types.py",
}
"""Modules in these folders that act, or are nothing but types."""

ALIKE = {
    f"core/ReplaceComparisonOperator_{one}_{other}"
    for equal, same in (("Eq", "Is"), ("NotEq", "IsNot"))
    for one, other in ((equal, same), (same, equal))
}
WITHOUT_SLIPS = frozenset({"name", "string", "newline", "endmarker"})
PUNCTUATION = frozenset("()[]{},.:;=")


@dataclass(frozen=True)
class Mutant:
    """One slip: in which module, where, of which kind, and the source with it."""

    module: str
    line: int
    kind: str
    source: str
    change: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join((f"{self.module}:{self.line}  {self.kind}", *(f"    {line}" for line in self.change)))


@dataclass(frozen=True)
class Place:
    """A place at which a module can be changed.

    Each way is an operator's name, the number of the syntax node that it changes, and which of its changes of that node it is.
    """

    module: str
    start: tuple[int, int]
    ways: tuple[tuple[str, int, int], ...]


def tests_of(module: str) -> list[str]:
    """The tests that judge a module, the nearest first; none for a module that is not pure."""
    folder = module.rpartition("/")[0] + "/"
    return [f"tests/{name}" for name in NEAREST.get(module, NEAREST.get(folder, "")).split()]


def cosmic_ray(part: str) -> Any:
    """A module of the library that makes mutants. It has no types, and all but the drawing of mutants does without it."""
    return import_module(f"cosmic_ray.{part}")


def pure_modules(only: str = "", root: Path = REPOSITORY / PACKAGE) -> list[str]:
    """The modules that are judged; `only` is a part of their paths. One in `PURE` for which no tests are named ends the run."""
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.py") if path.name != "__init__.py")
    unnamed = [name for name in names if name.startswith(PURE) and not tests_of(name) and name not in ACTING]
    if unnamed:
        raise SystemExit(f"Which tests are nearest to {', '.join(unnamed)}? Name them in NEAREST.")
    return [name for name in names if tests_of(name) and only in name]


def places(module: str, root: Path = REPOSITORY / PACKAGE) -> Iterator[Place]:
    """Every place of a module at which an operator of cosmic-ray makes a change that can matter."""
    source = (root / module).read_text("utf-8")
    tree = ast.parse(source)
    silent, unseen = unexecuted(tree), {*unnoticed(tree)}
    plugins = cosmic_ray("plugins")
    operators: dict[str, Any] = {name: plugins.get_operator(name) for name in plugins.operator_names() if name not in ALIKE}
    made = {name: operator() for name, operator in operators.items() if not operator.arguments()}
    found: dict[tuple[int, int], list[tuple[str, int, int]]] = {}
    for number, node in enumerate(syntax_nodes(cosmic_ray("ast").get_ast(source))):
        if node.type in WITHOUT_SLIPS or getattr(node, "value", None) in PUNCTUATION or is_marker(node):
            continue
        for name, operator in made.items():
            for index, (start, _) in enumerate(operator.mutation_positions(node)):
                if (name, start) not in unseen and not any(first <= start < last for first, last in silent):
                    found.setdefault(start, []).append((name, number, index))
    for start, ways in sorted(found.items()):
        yield Place(module, start, tuple(ways))


def syntax_nodes(tree: Any) -> list[Any]:
    return list(cosmic_ray("ast").ast_nodes(tree))


def is_marker(node: Any) -> bool:
    """Whether a node is the `*` or the `/` between a function's parameters, which is not an operator."""
    return node.parent is not None and node.parent.type in {"parameters", "lambdef"} and node.type == "operator"


def unexecuted(tree: ast.Module) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The spans that only type checkers read: annotations, type aliases, overloads, protocols, `if TYPE_CHECKING`."""
    nodes: list[Any] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            nodes.append(node if ast.unparse(node.annotation) == "TypeAlias" else node.annotation)
        elif isinstance(node, ast.arg) and node.annotation is not None:
            nodes.append(node.annotation)
        elif isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes.append(node)
        elif isinstance(node, ast.ClassDef):
            nodes.extend(each for each in node.decorator_list if called(each) == "dataclass_transform")
            if any(ast.unparse(base).partition("[")[0].endswith("Protocol") for base in node.bases):
                nodes.extend(node.body)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            if any(ast.unparse(decorator).endswith(("overload", "final")) for decorator in node.decorator_list):
                nodes.extend([*node.decorator_list, node])
            elif node.returns is not None:
                nodes.append(node.returns)
    return [((node.lineno, node.col_offset - 1), (node.end_lineno, node.end_col_offset)) for node in nodes]


def unnoticed(tree: ast.Module) -> Iterator[tuple[str, tuple[int, int]]]:
    """The changes that run and that nobody could see, as the module's head lists them: operators, and where they begin."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            caches = (each for each in node.decorator_list if called(each) in {"lru_cache", "cache"})
            yield from (("core/RemoveDecorator", (each.lineno, each.col_offset - 1)) for each in caches)  # with its @
        elif isinstance(node, ast.Call) and called(node) == "zip":
            values = (keyword.value for keyword in node.keywords if keyword.arg == "strict")
            yield from (("core/ReplaceTrueWithFalse", (each.lineno, each.col_offset)) for each in values)
        elif isinstance(node, ast.Try) and (names := {*imported(node.body)}) and all(map(find_spec, names)):
            kinds = (each.type for each in node.handlers if each.type and ast.unparse(each.type) == "ImportError")
            yield from (("core/ExceptionReplacer", (each.lineno, each.col_offset)) for each in kinds)


def called(node: ast.expr) -> str:
    """The last name of a decorator, or of the function in a call."""
    return ast.unparse(node.func if isinstance(node, ast.Call) else node).rpartition(".")[2]


def imported(body: list[ast.stmt]) -> Iterator[str]:
    """The packages that statements import, by a statement or by `import_module` with a name."""
    for node in (each for statement in body for each in ast.walk(statement)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
        elif isinstance(node, ast.Call) and called(node) == "import_module" and isinstance(node.args[0], ast.Constant):
            yield str(node.args[0].value).partition(".")[0]


def made(place: Place, chance: random.Random) -> Mutant | None:
    """One of the changes that can be made at a place; None when what comes of them is not Python."""
    source = (REPOSITORY / PACKAGE / place.module).read_text("utf-8")
    for name, number, index in chance.sample(place.ways, len(place.ways)):
        changed = with_change(source, name, number, index)
        if changed is not None and changed != source and is_python(changed):
            lines = difflib.unified_diff(source.splitlines(), changed.splitlines(), lineterm="", n=0)
            change = tuple(line for line in lines if line[:2] not in {"--", "++", "@@"})
            return Mutant(place.module, place.start[0], name.removeprefix("core/"), changed, change)
    return None


def with_change(source: str, name: str, number: int, index: int) -> str | None:
    """The source with one change; None for one that the operator cannot make."""
    tree = cosmic_ray("ast").get_ast(source)
    node = syntax_nodes(tree)[number]
    parent = node.parent
    operator = cosmic_ray("plugins").get_operator(name)
    try:
        changed = operator().mutate(node, index)
    except AttributeError:  # cosmic-ray replaces exceptions by their bare names alone
        return None
    if changed is not node:
        parent.children = [changed if child is node else child for child in parent.children]
        parent.children = [child for child in parent.children if child is not None]
    return str(tree.get_code())


def is_python(source: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # `is` with a number
            compile(source, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def drawn(modules: list[str], count: int, seed: int) -> list[Mutant]:
    """So many mutants, drawn at random from all places."""
    everywhere = [place for module in modules for place in places(module)]
    chance = random.Random(seed)  # noqa: S311  # the same ones again are what is wanted
    chance.shuffle(everywhere)
    mutants: list[Mutant] = []
    for place in everywhere:
        if len(mutants) == count:
            break
        if (mutant := made(place, chance)) is not None:
            mutants.append(mutant)
    return sorted(mutants, key=lambda mutant: (tests_of(mutant.module), mutant.module, mutant.line))


class Copy:
    """A copy of the checkout, in which one mutant at a time is tried, and the process that runs its tests in forks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.output = folder.with_suffix(".txt")
        self.hung = False
        """Whether the last tests took too long."""
        keep = shutil.ignore_patterns(".*", "__pycache__", "dist", "build", "site")
        shutil.copytree(REPOSITORY, folder, ignore=keep)
        shared = os.environ.get("VENICE_SHARED") or str(REPOSITORY.parent / "shared")
        environment = {**os.environ, "PYTHONPATH": str(folder / "src"), "VENICE_SHARED": shared, "EXAMPLES": "40"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # rewriting the asserts takes longer than many tests
        self._forks = subprocess.Popen(
            [sys.executable, "-m", "scripts.forked_tests"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds_if_passed(self, tests: list[str], limit: float | None = None) -> float | None:
        """How long these tests took; None if one failed, or if they took longer than so many seconds."""
        assert self._forks.stdin is not None
        assert self._forks.stdout is not None
        print(json.dumps({"tests": tests, "output": str(self.output), "limit": limit}), file=self._forks.stdin, flush=True)
        verdict = json.loads(self._forks.stdout.readline())
        self.hung = verdict["hung"]
        return verdict["seconds"] if verdict["passed"] else None

    def close(self) -> None:
        """The process ends where its input ends."""
        assert self._forks.stdin is not None
        self._forks.stdin.close()
        self._forks.wait()

    def survives(self, mutant: Mutant, limit: float) -> bool:
        """Whether the nearest tests pass with a mutant in the module's place."""
        path = self.folder / PACKAGE / mutant.module
        source = path.read_text("utf-8")
        path.write_text(mutant.source, "utf-8")
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
            compiled.unlink()  # two sources of one length and one second would be taken for the same
        try:
            return self.seconds_if_passed(tests_of(mutant.module), limit) is not None
        finally:
            path.write_text(source, "utf-8")
            for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
                compiled.unlink()


def survivors(mutants: list[Mutant], folder: Path) -> list[Mutant]:
    """Those mutants that no test nearest to them notices."""
    copies: Queue[Copy] = Queue()
    for number in range(PROCESSES):
        copies.put(Copy(folder / str(number)))
    seconds: dict[str, float] = {}
    try:
        with ThreadPoolExecutor(PROCESSES) as pool:
            verdicts = pool.map(partial(judged, copies, seconds), mutants)
            return [mutant for mutant, survived in zip(mutants, verdicts, strict=True) if survived]
    finally:
        while not copies.empty():
            copies.get().close()


def judged(copies: Queue[Copy], seconds: dict[str, float], mutant: Mutant) -> bool:
    """Whether a mutant survives. `seconds`: how long the tests of a file take without a slip, as far as that is known."""
    copy = copies.get()
    try:
        for tests in tests_of(mutant.module):
            if tests not in seconds:
                seconds[tests] = seconds_without_slip(copy, tests)
        survived = copy.survives(mutant, sum(seconds[tests] for tests in tests_of(mutant.module)) * SLOWER + SECONDS_MORE)
        killed = "t" if copy.hung else "."
    finally:
        copies.put(copy)
    print(f"\n{mutant}" if survived else killed, end="\n" if survived else "", flush=True)
    return survived


def seconds_without_slip(copy: Copy, tests: str) -> float:
    """How long the tests of a file take. They pass, or nothing can be said of the mutants."""
    for _ in range(2):  # a machine that is busy for a minute may let a test run out of time
        if (seconds := copy.seconds_if_passed([tests])) is not None:
            return seconds
    raise SystemExit(f"These tests fail without any mutant:\n{copy.output.read_text('utf-8')[-3000:]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m scripts.mutants", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=200, help="how many mutants (200)")
    parser.add_argument("--seed", type=int, default=1, help="which of them are drawn (1)")
    parser.add_argument("--only", default="", help="a part of the modules' paths")
    chosen = parser.parse_args()
    # What a shell starts in the background ignores Ctrl-C, and so would the programs that the tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    began = time.monotonic()
    mutants = drawn(pure_modules(chosen.only), chosen.count, chosen.seed)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        alive = survivors(mutants, Path(folder))
    print("\n")
    for module, number in sorted(Counter(mutant.module for mutant in mutants).items()):
        print(f"{number - sum(mutant.module == module for mutant in alive):4} of {number:3}  {module}")
    killed = len(mutants) - len(alive)
    rate = killed / len(mutants)
    print(f"{killed} of {len(mutants)} killed: {rate:.1%}, at least {WANTED:.0%}")
    print(f"seed {chosen.seed}, {time.monotonic() - began:.0f} s")
    return 0 if rate >= WANTED else 1


if __name__ == "__main__":
    sys.exit(main())
