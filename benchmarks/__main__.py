"""Measure all contenders in one run, and print a table.

    python -m benchmarks                                the whole run, some minutes
    python -m benchmarks --quick                        one round
    python -m benchmarks --only create stream           the measures whose name has one of these words
    python -m benchmarks --write docs/performance.md    the table as a page of the documentation

The exit code is 0 unless a benchmark itself broke: a ratio is reported, never asserted.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import environments, machine, report
from benchmarks.contenders import EVERYONE, OURS, Contender
from benchmarks.measures import MEASURES, Extra, Growth, Measure
from benchmarks.pinning import allow_many_sockets, pin_to_first_core
from benchmarks.processes import BrokenError, modules_loaded_by, start_server
from benchmarks.rounds import Results, Round

_HEAVY = ("aiohttp", "pydantic", "cryptography")
_LIGHT_IMPORT = "from venice_ai import VeniceClient"


def main() -> int:
    options = _options()
    with environments.one_run_at_a_time():
        return _run(options)


def _run(options: argparse.Namespace) -> int:
    absent = _prepare_environments()
    present = [contender for contender in EVERYONE if contender.environment not in absent]
    measures = _chosen(options.only)
    results = _measured(measures, present, options.rounds)
    troubles = [*absent.values(), *_failures(results)]
    notes = [*_heavy_modules(present), *report.missed(measures, results), *(f"failed: {trouble}" for trouble in troubles)]
    page = report.page(
        heading="Performance",
        surroundings=_surroundings(present, options.rounds),
        table=report.table(measures, EVERYONE, results),
        notes=notes,
    )
    print(page)
    if options.write:
        options.write.write_text(page)
    return 1 if troubles else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure all contenders in one run, and print a table."
    )
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="how often everything is measured (5)")
    parser.add_argument("--quick", dest="rounds", action="store_const", const=1, help="one round")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="the measures whose name has such a word")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file too")
    parser.add_argument("--list", action="version", version="\n".join(measure.name for measure in MEASURES))
    return parser.parse_args()


def _chosen(words: Sequence[str]) -> list[Measure]:
    """The measures with such a name, and those that a chosen growth compares."""
    chosen = [measure for measure in MEASURES if any(word in measure.name for word in words)]
    compared = {name for each in chosen if isinstance(each, (Growth, Extra)) for name in (each.larger, each.smaller)}
    return [measure for measure in MEASURES if measure in chosen or measure.name in compared]


def _prepare_environments() -> dict[str, str]:
    """Make what is missing; the environments that could not be made, and why."""
    absent: dict[str, str] = {}
    for environment in dict.fromkeys(contender.environment for contender in EVERYONE):
        _say(f"environment {environment}")
        try:
            environments.prepare(environment)
        except environments.InstallationError as why:
            absent[environment] = str(why)
    return absent


def _measured(measures: Sequence[Measure], present: Sequence[Contender], rounds: int) -> Results:
    allow_many_sockets()
    results = Results()
    with start_server(sys.executable) as server:
        base_url = f"http://127.0.0.1:{int(server.hear())}/api/v1"
        # After the server, which takes the last core: what is started from here on inherits the first.
        pin_to_first_core()
        for number in range(rounds):
            began = time.monotonic()
            Round(number, base_url, results).run(measures, present)
            _say(f"round {number + 1} of {rounds}: {time.monotonic() - began:.0f} s")
    return results


def _failures(results: Results) -> list[str]:
    return [f"{contender.title} in {name}: {why}" for (name, contender), why in results.failures.items()]


def _surroundings(present: Sequence[Contender], rounds: int) -> list[str]:
    titles: dict[str, list[str]] = {}
    for contender in present:
        titles.setdefault(contender.environment, []).append(contender.title)
    sparse = [f"; {one.title} in {len(range(0, rounds, one.rest))} of them" for one in present if one.rest > 1]
    return [
        f"{datetime.now(UTC):%Y-%m-%d}, rounds: {rounds}{''.join(sparse)}",
        machine.describe(),
        *(
            f"installed for {', and for '.join(users)}: {environments.versions(kind) or 'nothing'}"
            for kind, users in titles.items()
        ),
    ]


def _heavy_modules(present: Sequence[Contender]) -> list[str]:
    if OURS not in present:
        return []
    try:
        loaded = modules_loaded_by(OURS, _LIGHT_IMPORT, _HEAVY)
    except BrokenError as why:
        return [f"failed: `{_LIGHT_IMPORT}`: {why}"]
    return [f"of {', '.join(_HEAVY)}, `{_LIGHT_IMPORT}` loads {', '.join(loaded) or 'none'}"]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
