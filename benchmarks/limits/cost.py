"""What the limiter costs a call that is far from any limit: `python -m benchmarks.limits.cost [--write FILE]`.

The gate alone: `enter`, `replied` and `done` of one attempt, in CPU time, less the same loop with a gate that does nothing.
The whole call: an ordinary `create` against a transport that answers in process, with and without `limits=False`. A busy
machine makes both look worse, never better: the least of many short rounds is the figure, the median says how steady it was.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from venice_ai import VeniceClient
from venice_ai._core.chat_size import ChatSize
from venice_ai._core.ports import Attempt, CallGate, Pass, drive
from venice_ai._core.request import Request, SystemClock, WholeReply
from venice_ai._core.settings import DEFAULT_TIMEOUT
from venice_ai._limits.limiter import Limiter
from venice_ai.types.api.chat import ChatUsage
from venice_ai.types.response_meta import Headers, ResponseMeta

from .page import parser, write

ROUNDS = 200
CALLS = 1_000
CREATES = 200
FAR = {
    "x-ratelimit-limit-requests": "100000000",
    "x-ratelimit-remaining-requests": "99000000",
    "x-ratelimit-reset-requests": "40",
    "x-ratelimit-limit-tokens": "1000000000",
    "x-ratelimit-remaining-tokens": "990000000",
    "x-ratelimit-reset-tokens": "40",
}
PLAIN = {"content-type": "application/json", "content-length": "500", "date": "Sat, 01 Jan 2000 00:00:00 GMT", "server": "x"}


class _Free(CallGate, Pass):
    """A gate that does nothing."""

    held = free = False

    async def enter(self, attempt: Attempt) -> Pass:
        return self

    def replied(self, found: object) -> None:
        pass

    def done(self, usage: object, cost: object) -> None:
        pass

    def close(self) -> None:
        pass


class _Blocking(SystemClock):
    """The machine's clock, for what runs on no event loop."""

    blocks = True


def gate_seconds(gate: CallGate, headers: dict[str, str]) -> float:
    """CPU seconds of one attempt's way through a gate."""
    request = Request("POST", "http://x", headers={"Authorization": "Bearer key"}, body=b"x" * 400, timeout=DEFAULT_TIMEOUT)
    request.chat = ChatSize("m", 1, None, 1)
    meta = ResponseMeta(200, Headers([*PLAIN.items(), *headers.items()]), time.time(), 0.1)

    usage = ChatUsage(prompt_tokens=100, completion_tokens=50, total_tokens=150)

    async def calls() -> None:
        for _ in range(CALLS):
            granted = await gate.enter(Attempt(request, 1, 0.0, None, None))
            granted.replied(meta)
            granted.done(usage, None)

    started = time.process_time()
    drive(calls())
    return (time.process_time() - started) / CALLS


class _Answers:
    """Answers every request at once."""

    def __init__(self, headers: dict[str, str]) -> None:
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "hello"}}
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
        answer = {"id": "c", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice], "usage": usage}
        self.reply = WholeReply(200, Headers([*PLAIN.items(), *headers.items()]), json.dumps(answer).encode())

    async def send(self, request: Request) -> WholeReply:
        return self.reply

    async def aclose(self) -> None:
        """Nothing is open."""


async def create_seconds(headers: dict[str, str], *, limits: bool) -> float:
    """CPU seconds of one `create`."""
    client = VeniceClient(api_key="key", transport=_Answers(headers), limits=limits)
    create: Any = client.chat.completions.create
    started = 0.0
    for number in range(-50, CREATES):
        started = time.process_time() if number == 0 else started
        await create(model="m", messages=[{"role": "user", "content": "Hello"}])
    return (time.process_time() - started) / CREATES


def compared(with_limiter: Callable[[], float], without: Callable[[], float], rounds: int) -> tuple[float, float, float]:
    """The least and the median difference in microseconds, and the least time without."""
    pairs = [(with_limiter(), without()) for _ in range(rounds)]
    least = min(one for one, _ in pairs) - min(other for _, other in pairs)
    return least * 1e6, statistics.median(one - other for one, other in pairs) * 1e6, min(other for _, other in pairs) * 1e6


def rows(rounds: int) -> list[str]:
    lines = ["| call | least, us | median, us | without the limiter, us |", "|---|---|---|---|"]
    for name, headers in (("no limit headers", {}), ("headers that say far away", FAR)):
        gate = Limiter("http://x", _Blocking())
        found = compared(lambda: gate_seconds(gate, headers), lambda: gate_seconds(_Free(), headers), rounds)  # noqa: B023
        lines.append(f"| the gate, {name} | {found[0]:.1f} | {found[1]:.1f} | {found[2]:.1f} |")
        found = compared(
            lambda: asyncio.run(create_seconds(headers, limits=True)),  # noqa: B023
            lambda: asyncio.run(create_seconds(headers, limits=False)),  # noqa: B023
            rounds,
        )
        lines.append(f"| `create`, {name} | {found[0]:.1f} | {found[1]:.1f} | {found[2]:.1f} |")
    return lines


def main() -> None:
    arguments = parser(__doc__)
    arguments.add_argument("--rounds", type=int, default=ROUNDS)
    options = arguments.parse_args()
    lines = rows(options.rounds)
    print("\n".join(lines))
    if options.write:
        write(options.write, "the cost", lines)


if __name__ == "__main__":
    main()
