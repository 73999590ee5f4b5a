"""Run the scoreboard, and print or write its pages.

python -m benchmarks.faults                                 all faults, all clients; some minutes
python -m benchmarks.faults --only gzip --clients ours      what has such a word in its name; the clients by module
python -m benchmarks.faults --write docs/scoreboard.md      the page, and its evidence in docs/scoreboard/
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import environments
from benchmarks.faults import report
from benchmarks.faults.catalogue import FAULTS
from benchmarks.faults.run import CLIENTS, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults", description="What clients do with faults.")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="the faults whose name has such a word")
    parser.add_argument("--clients", nargs="+", default=[""], metavar="WORD", help="the clients whose module has such a word")
    parser.add_argument("--write", type=Path, metavar="FILE", help="write the page to this file, its evidence beside it")
    options = parser.parse_args()
    faults = [fault for fault in FAULTS if any(word in fault.name for word in options.only)]
    clients = [client for client in CLIENTS if any(word in client.module for word in options.clients)]
    with environments.one_run_at_a_time():
        for client in clients:
            environments.prepare(client.environment)
        began = time.monotonic()
        cells = asyncio.run(run(faults, clients))
    print(f"{len(cells)} calls in {time.monotonic() - began:.0f} s", file=sys.stderr)
    if not options.write:
        print(report.lines(cells))
        return 0
    versions = [environments.versions(client.environment) for client in clients]
    report.write(options.write, cells, f"{datetime.now(UTC):%Y-%m-%d}", versions)
    return 0


if __name__ == "__main__":
    sys.exit(main())
