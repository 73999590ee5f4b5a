"""What telemetry costs a call: off, on, and beside the same spans and metrics written by hand.

    python -m benchmarks.telemetry

No network: a transport gives the same reply at once. The sides take turns, a block of calls each, whose time is that of the
processor. Spans go to a processor that keeps nothing, metrics to a reader that is never asked. Told are the median of all
blocks in microseconds for a call, and the fastest twentieth: those that other programs disturbed least.
"""

import argparse
import asyncio
import gc
import json
import os
import time
import timeit
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, cast

from opentelemetry import metrics, trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.util.types import AttributeValue

from venice_ai import ChatCompletionResponse, Telemetry, VeniceClient
from venice_ai.transport import Request
from venice_ai.types.response_meta import Headers

MODEL = "venice-1"
ASKED: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], "temperature": 0.5}
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}
BODY = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": MODEL, "choices": [CHOICE], "usage": USAGE})
Call = Callable[[], Awaitable[object]]


class Reply:
    """The reply that is always given."""

    status = 200

    def __init__(self) -> None:
        self.headers = Headers([("content-type", "application/json"), ("cf-ray", "1")])

    async def read(self) -> bytes:
        return BODY.encode()

    async def pieces(self) -> AsyncIterator[bytes]:
        yield BODY.encode()

    async def drain(self) -> None:
        pass

    def progressed(self) -> None:
        pass

    def close(self) -> None:
        pass


class Instant:
    """A transport that answers at once."""

    async def send(self, request: Request) -> Reply:
        return Reply()

    async def aclose(self) -> None:
        pass


class ByHand:
    """What a program would write around `create` to have the same spans and metrics."""

    def __init__(self, client: VeniceClient, tracer: trace.Tracer, meter: metrics.Meter) -> None:
        self.client, self.tracer = client, tracer
        self.seconds = meter.create_histogram("gen_ai.client.inference.duration", "s")
        self.input = meter.create_histogram("gen_ai.client.inference.operation.input_tokens", "{token}")
        self.output = meter.create_histogram("gen_ai.client.inference.operation.output_tokens", "{token}")

    async def create(self) -> ChatCompletionResponse:
        began = time.perf_counter()
        common: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "venice",
            "gen_ai.request.model": MODEL,
            "server.address": "api.venice.ai",
            "server.port": 443,
        }
        span = self.tracer.start_span(
            f"chat {MODEL}", kind=trace.SpanKind.CLIENT, attributes={**common, "gen_ai.request.temperature": 0.5}
        )
        with trace.use_span(span, record_exception=False, set_status_on_exception=False):
            response = await create(self.client)
        usage, meta = response.usage, response.meta
        assert usage is not None
        span.add_event(
            "venice.attempt",
            {
                "venice.attempt.number": meta.attempts,
                "venice.attempt.wait": 0.0,
                "venice.attempt.duration": meta.latency,
                "venice.attempt.request_id": meta.request_id or "",
                "http.response.status_code": meta.status_code,
            },
        )
        span.set_attributes(
            {
                "gen_ai.response.id": response.id,
                "gen_ai.response.model": response.model,
                "gen_ai.response.finish_reasons": [choice.finish_reason or "" for choice in response.choices],
                "gen_ai.usage.input_tokens": usage.prompt_tokens,
                "gen_ai.usage.output_tokens": usage.completion_tokens,
            }
        )
        common["gen_ai.response.model"] = response.model
        self.seconds.record(time.perf_counter() - began, common)
        self.input.record(usage.prompt_tokens, common)
        self.output.record(usage.completion_tokens, common)
        span.end()
        return response


def providers() -> tuple[TracerProvider, MeterProvider]:
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SpanProcessor())
    return tracers, MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)


async def measured(call: Call, calls: int) -> float:
    """Microseconds of the processor for a call."""
    began = time.process_time()
    for _ in range(calls):
        await call()
    return (time.process_time() - began) / calls * 1e6


async def create(client: VeniceClient) -> ChatCompletionResponse:
    return cast("ChatCompletionResponse", await client.chat.completions.create(**ASKED))


def checks(client: VeniceClient, span: object) -> None:
    """All that a call does for telemetry that is off: its tests for None, spelled as they are in the package."""
    telemetry = client.telemetry
    found = None if telemetry is None else telemetry.step("chat")
    if client.telemetry is not None and found is None:
        raise AssertionError
    if span is not None or found is not None:
        raise AssertionError
    _ = span if found is None else found


def at(times: list[float], share: float) -> float:
    """The time below which this share of all blocks stayed."""
    return sorted(times)[int(len(times) * share)]


async def main(turns: int, calls: int) -> None:
    tracers, meters = providers()
    telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters)
    off = VeniceClient(api_key="a-key-of-usual-length", transport=Instant(), limits=False)
    on = VeniceClient(api_key="a-key-of-usual-length", transport=Instant(), limits=False, telemetry=telemetry)
    own_tracers, own_meters = providers()
    by_hand = ByHand(off, own_tracers.get_tracer("by hand"), own_meters.get_meter("by hand"))
    sides: dict[str, Call] = {"off": partial(create, off), "by hand": by_hand.create, "on": partial(create, on)}
    for call in sides.values():
        await measured(call, 300)
    gc.collect()
    gc.freeze()
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(turns):
        for name in list(sides) if turn % 2 else list(reversed(sides)):
            taken[name].append(await measured(sides[name], calls))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    for name, times in taken.items():
        print(f"{name:16} {at(times, 0.5):8.1f} us; quiet blocks (5 %) {at(times, 0.05):8.1f} us")
    for one, other in (("on", "by hand"), ("by hand", "off")):
        differences = [at(taken[one], share) - at(taken[other], share) for share in (0.5, 0.05)]
        print(f"{one} - {other:10} {differences[0]:8.1f} us; quiet blocks (5 %) {differences[1]:8.1f} us")
    blocks = timeit.repeat(partial(checks, off, None), number=1000, repeat=500)
    nothing = timeit.repeat(partial(len, ()), number=1000, repeat=500)
    print(f"the checks of a call without telemetry: {(min(blocks) - min(nothing)) * 1000:.3f} us")
    await off.close()
    await on.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=500)
    parser.add_argument("--calls", type=int, default=20)
    given = parser.parse_args()
    asyncio.run(main(given.turns, given.calls))
