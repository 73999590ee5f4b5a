"""The whole client on the hidden policies, in virtual time: `python -m benchmarks.limits.client [--seeds 5] [--write FILE]`.

2,000 requests through 50 callers; the ideal client of the simulation, which knows the policy, gives the time to compare with.
With `--processes 4` four clients share the work. Each knows of the others what stands in the file of a `RateShare`, as the
clients of four processes do; they are in one, for virtual time is.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections.abc import Generator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from venice_ai import RateShare, VeniceClient
from venice_ai._core.request import Request, WholeReply
from venice_ai.types.response_meta import Headers

from .page import parser, write
from .policies import HIDDEN, Case
from .simulation import Call, Ideal, Result, calls
from .virtual_time import LoopClock, run

HEAD = (
    "| account | time / ideal, worst | refusals, worst | failures in 30 s, worst | calls that failed |\n|---|---|---|---|---|"
)
CHARACTERS_PER_TOKEN = 4


class AccountTransport:
    """Answers from an account with limits; the number of the call stands in its message."""

    def __init__(self, case: Case, seed: int, planned: list[Call], clock: LoopClock) -> None:
        self.account = case.make(Random(seed + 1_000_000))
        self.planned = planned
        self.clock = clock
        self.random = Random(seed)
        self.result = Result()

    async def send(self, request: Request) -> WholeReply:
        call = self.planned[int(json.loads(request.body or b"")["messages"][0]["content"].split()[0])]
        await asyncio.sleep(self.random.uniform(0.01, 0.1))
        status, headers = self.account.arrive(self.clock.time(), call.tokens)
        if status != 200:
            self.result.refused.append(self.clock.now())
        await asyncio.sleep(self.random.uniform(0.01, 0.1) + (call.head_seconds + call.body_seconds if status == 200 else 0))
        return WholeReply(
            status, Headers(headers.items()), json.dumps(_body(call) if status == 200 else {"error": "no"}).encode()
        )

    async def aclose(self) -> None:
        """Nothing is open."""


def _body(call: Call) -> dict[str, Any]:
    output = call.tokens // 2
    usage = {"prompt_tokens": call.tokens - output, "completion_tokens": output, "total_tokens": call.tokens}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
    return {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}


@contextmanager
def shares(processes: int) -> Generator[list[RateShare | None]]:
    """What each process has to know what the others do."""
    with tempfile.TemporaryDirectory() as folder:
        made = [RateShare(Path(folder, "limits")) if processes > 1 else None for _ in range(processes)]
        yield made
        for share in filter(None, made):
            share.close()


async def measured(case: Case, seed: int, shares: list[RateShare | None]) -> tuple[Result, int]:
    """How long all calls took, what was refused, and how many calls failed."""
    clock = LoopClock()
    planned = calls(case, Random(seed))
    transport = AccountTransport(case, seed, planned, clock)
    clients = [VeniceClient(api_key="k", transport=transport, clock=clock, rate_share=share) for share in shares]
    numbers = iter(range(case.calls))
    failed = 0

    async def caller(client: VeniceClient) -> None:
        nonlocal failed
        for number in numbers:
            text = f"{number} " + "word" * (planned[number].tokens // 2 * CHARACTERS_PER_TOKEN // 4)
            try:
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
            except Exception as error:  # noqa: BLE001  # it is counted, and shown
                failed += 1
                print(f"{case.name}: {type(error).__name__}: {error}", file=sys.stderr)

    await asyncio.gather(*[caller(clients[number % len(clients)]) for number in range(case.callers)])
    transport.result.seconds = clock.now()
    transport.result.policies = transport.account.policies
    return transport.result, failed


def one(case: Case, seed: int, processes: int) -> tuple[Result, int, float]:
    """The same of one seed, and the ideal time."""
    with shares(processes) as made:
        return *run(measured(case, seed, made)), Ideal(case, seed).run().seconds


def row(index: int, seeds: int, processes: int) -> tuple[str, bool]:
    """The row of an account, the worst of some seeds, and whether that is what is wanted."""
    case = HIDDEN[index]
    found = [one(case, seed, processes) for seed in range(seeds)]
    worst = max(result.seconds / ideal for result, _, ideal in found)
    refused, most = (max(got) for got in zip(*[(len(r.refused), r.failures_in_30_s) for r, _, _ in found], strict=True))
    each = max(len(result.refused) / result.policies for result, _, _ in found)
    kept = worst <= 1.1 and each <= processes if case.honest else worst <= 1.5 and most <= 20
    return f"| {case.name} | {worst:.2f} | {refused} | {most} | {sum(failed for _, failed, _ in found)} |", kept


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--processes", type=int, default=1)
    arguments.add_argument("--only", default="", help="accounts whose names contain this")
    options = arguments.parse_args()
    lines, missed = [f"{options.seeds} seeds for each account:", "", HEAD], list[str]()
    print(HEAD)
    cases = [case for case in HIDDEN if options.only in case.name]
    with ProcessPoolExecutor(2) as pool:
        for case, (line, kept) in zip(
            cases,
            pool.map(row, map(HIDDEN.index, cases), *([each] * len(cases) for each in (options.seeds, options.processes))),
            strict=True,
        ):
            print(line, "" if kept else "  <-- missed", flush=True)
            lines.append(line)
            missed += [] if kept else [case.name]
    if options.write:
        name = "the client" if options.processes == 1 else "the processes"
        write(options.write, name, [*lines, "", f"Missed: {', '.join(missed) or 'nothing'}."])
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
