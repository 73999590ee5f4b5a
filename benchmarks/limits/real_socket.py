"""Whole clients on a real socket: `python -m benchmarks.limits.real_socket [--write FILE]`.

Each has an account of its own in the emulator.

An account allows 600 requests in each fixed minute, with honest headers. Calls begin 35 s into a minute, so that 900 of them
end some 25 s later, in the next one. All clients run at the same time; `openai` and `litellm` with the settings they come with.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from pathlib import Path

from benchmarks.environments import prepare, python
from venice_ai.emulator import Account, Emulator, serve

from .page import parser, write

RPM, CALLS, CALLERS = 600, 900, 48
PREPARE_SECONDS = 15.0
RUNS = (("venice-chat", 1), ("venice-chat", 4), ("openai", 1), ("litellm", 1))


async def run(client: str, processes: int, begin: float, folder: str) -> str:
    """The row of one client."""
    account = Account(rpm=RPM, max_failures=None)
    async with serve(Emulator(account=account)) as server:
        share = str(Path(folder, f"{client}{processes}")) if processes > 1 else ""
        counts = (str(CALLS // processes), str(CALLERS // processes))
        command = (python(client), str(Path(__file__).with_name("socket_caller.py")), client, server.url, *counts, share)
        started = [
            await asyncio.create_subprocess_exec(*command, str(begin), stdout=asyncio.subprocess.PIPE) for _ in range(processes)
        ]
        outputs = [(await process.communicate())[0].split() for process in started]
    failed, ended = sum(int(each[0]) for each in outputs), max(float(each[1]) for each in outputs)
    ideal = begin // 60 * 60 + 60 - begin
    most = max((sum(at <= other < at + 30 for other in account.failures) for at in account.failures), default=0)
    sent = len(account.accepted) + len(account.refused)
    cells = (client, processes, f"{ended - begin:.0f} s", f"{(ended - begin) / ideal:.2f}", sent, len(account.refused), most)
    return f"| {' | '.join(map(str, cells))} | {failed} |"


async def table() -> list[str]:
    for client in {client for client, _ in RUNS}:
        prepare(client)
    begin = (time.time() + PREPARE_SECONDS - 35) // 60 * 60 + 95
    with tempfile.TemporaryDirectory() as folder:
        rows = await asyncio.gather(*[run(*each, begin, folder) for each in RUNS])
    head = "| client | processes | time | time / ideal | requests sent | refused | most failures in 30 s | calls that failed |"
    return [head, "|---|---|---|---|---|---|---|---|", *rows]


def main() -> None:
    options = parser(__doc__).parse_args()
    lines = asyncio.run(table())
    print("\n".join(lines))
    if options.write:
        write(options.write, "real sockets", lines)


if __name__ == "__main__":
    main()
