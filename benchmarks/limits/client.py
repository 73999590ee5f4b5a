"""The whole client on the hidden policies, in virtual time: `python -m benchmarks.limits.client [--seeds 5] [--write FILE]`.

2,000 requests through 50 callers; the ideal client of the simulation, which knows the policy, gives the time to compare with.
"""

from __future__ import annotations

import asyncio
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import Any

from venice_ai import VeniceClient
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


async def measured(case: Case, seed: int) -> tuple[Result, int]:
    """How long all calls took, what was refused, and how many calls failed."""
    clock = LoopClock()
    planned = calls(case, Random(seed))
    transport = AccountTransport(case, seed, planned, clock)
    client = VeniceClient(api_key="k", transport=transport, clock=clock)
    numbers = iter(range(case.calls))
    failed = 0

    async def caller() -> None:
        nonlocal failed
        for number in numbers:
            text = f"{number} " + "word" * (planned[number].tokens // 2 * CHARACTERS_PER_TOKEN // 4)
            try:
                await client.chat.completions.create(model="m", messages=[{"role": "user", "content": text}])
            except Exception as error:  # noqa: BLE001  # it is counted, and shown
                failed += 1
                print(f"{case.name}: {type(error).__name__}: {error}", file=sys.stderr)

    await asyncio.gather(*[caller() for _ in range(case.callers)])
    transport.result.seconds = clock.now()
    transport.result.policies = transport.account.policies
    return transport.result, failed


def row(index: int, seeds: int) -> tuple[str, bool]:
    """The row of an account, the worst of some seeds, and whether that is what is wanted."""
    case = HIDDEN[index]
    found = [(*run(measured(case, seed)), Ideal(case, seed).run().seconds) for seed in range(seeds)]
    worst = max(result.seconds / ideal for result, _, ideal in found)
    refused, most = (max(got) for got in zip(*[(len(r.refused), r.failures_in_30_s) for r, _, _ in found], strict=True))
    each = max(len(result.refused) / result.policies for result, _, _ in found)
    kept = worst <= 1.1 and each <= 1 if case.honest else worst <= 1.5 and most <= 20
    return f"| {case.name} | {worst:.2f} | {refused} | {most} | {sum(failed for _, failed, _ in found)} |", kept


def main() -> int:
    arguments = parser(__doc__)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--only", default="", help="accounts whose names contain this")
    options = arguments.parse_args()
    lines, missed = [f"{options.seeds} seeds for each account:", "", HEAD], list[str]()
    print(HEAD)
    cases = [case for case in HIDDEN if options.only in case.name]
    with ProcessPoolExecutor(2) as pool:
        for case, (line, kept) in zip(
            cases, pool.map(row, map(HIDDEN.index, cases), [options.seeds] * len(cases)), strict=True
        ):
            print(line, "" if kept else "  <-- missed", flush=True)
            lines.append(line)
            missed += [] if kept else [case.name]
    if options.write:
        write(options.write, "the client", [*lines, "", f"Missed: {', '.join(missed) or 'nothing'}."])
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
