"""`python -m benchmarks.limits [--seeds 100] [--others] [--only WORD] [--write FILE]`: the table of `docs/limits.md`."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor

from .page import parser, write
from .policies import HIDDEN, OTHERS, Case
from .simulation import Ideal, Ours

HEAD = (
    "| account | time / ideal, median | worst | refusals, median | worst | failures in 30 s, worst |\n|---|---|---|---|---|---|"
)


def measure(index: int, seed: int) -> tuple[float, float, int]:
    """Time as a multiple of the ideal, refusals for each policy, most failures in 30 s."""
    case = [*HIDDEN, *OTHERS][index]
    ours = Ours(case, seed).run()
    return ours.seconds / Ideal(case, seed).run().seconds, len(ours.refused) / ours.policies, ours.failures_in_30_s


def row(case: Case, results: list[tuple[float, float, int]]) -> tuple[str, bool]:
    times, refused, failures = (sorted(column) for column in zip(*results, strict=True))
    kept = times[-1] <= 1.1 and refused[-1] <= 1 if case.honest else times[-1] <= 1.5 and failures[-1] <= 20
    middle = len(results) // 2
    cells = (f"{times[middle]:.2f}", f"{times[-1]:.2f}", f"{refused[middle]:g}", f"{refused[-1]:g}", f"{failures[-1]}")
    return f"| {case.name} | {' | '.join(cells)} |", kept


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, default=100)
    arguments.add_argument("--others", action="store_true", help="also the accounts for which the limiter was not made")
    arguments.add_argument("--only", default="", help="accounts whose names contain this")
    options = arguments.parse_args()
    lines, missed = [f"{options.seeds} seeds for each account:", "", HEAD], list[str]()
    print(HEAD)
    with ProcessPoolExecutor(2) as pool:
        for index, case in enumerate(HIDDEN + OTHERS if options.others else HIDDEN):
            if options.only in case.name:
                line, kept = row(case, list(pool.map(measure, [index] * options.seeds, range(options.seeds))))
                print(line, "" if kept else "  <-- missed", flush=True)
                lines.append(line)
                missed += [] if kept else [case.name]
    if options.write:
        write(options.write, "the rules", [*lines, "", f"Missed: {', '.join(missed) or 'nothing'}."])
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
