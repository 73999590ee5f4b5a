"""A client's process: takes a job a line, does it with its contender, and prints what it cost.

    python -m benchmarks.worker CLIENT BASE_URL

Every job gets a client and an event loop of its own, and a warm-up that opens the connections, so what is counted is
the calls and nothing else.
"""

import asyncio
import gc
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from pathlib import Path
from resource import getpagesize

from benchmarks.client import Client
from benchmarks.job import Finding, Job

# Streams are opened some at a time: a machine that opens hundreds at once is measuring something else.
_OPENED_AT_ONCE = 50
# The interpreter rewrites code that runs often; a process that is asked the second thing is not like one asked the first.
_WARM_UP_CALLS = 100


async def perform(job: Job, connect: Callable[[str], Awaitable[Client]], base_url: str) -> None:
    client = await connect(base_url)
    finding = await (hold(job, client) if job.work == "hold" else spend(job, client))
    # Before closing: to close hundreds of open streams takes some clients longer than all the rest.
    print(finding.to_json(), flush=True)
    await client.aclose()


async def spend(job: Job, client: Client) -> Finding:
    """The CPU time of the job's calls."""
    call: Callable[[str], Awaitable[int]] = getattr(client, job.work)

    async def one_after_the_other() -> int:
        return sum([await call(job.model) for _ in range(job.calls)])

    for _ in range(max(2, _WARM_UP_CALLS // job.in_flight)):
        await asyncio.gather(*(call(job.warm_up) for _ in range(job.in_flight)))
    gc.collect()
    before = time.process_time()
    lengths = await asyncio.gather(*(one_after_the_other() for _ in range(job.in_flight)))
    return Finding(cpu_seconds=time.process_time() - before, resident_bytes=0, text_length=sum(lengths))


async def hold(job: Job, client: Client) -> Finding:
    """By how much the process grows when `in_flight` streams are open. Their first chunk is read; none is summed."""
    await client.stream(job.warm_up)
    gc.collect()
    before = resident_bytes()
    streams: list[object] = []
    for _ in range(0, job.in_flight, _OPENED_AT_ONCE):
        streams += await asyncio.gather(*(client.hold(job.model) for _ in range(_OPENED_AT_ONCE)))
    gc.collect()
    return Finding(cpu_seconds=0.0, resident_bytes=resident_bytes() - before, text_length=0)


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


def main(client: str, base_url: str) -> None:
    connect = import_module(f"benchmarks.clients.{client}").connect
    for line in sys.stdin:
        asyncio.run(perform(Job.from_json(line), connect, base_url))


if __name__ == "__main__":
    main(*sys.argv[1:])
