"""Telemetry: every span ends, tokens and costs of all spans add up to the bill, and none shows a prompt or an answer."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from typing import Any, TypeAlias, cast

import pytest
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.trace import SpanKind, StatusCode
from pydantic import BaseModel

from venice_ai import (
    Approval,
    Budget,
    InvalidArgumentError,
    InvalidRequestError,
    SyncVeniceClient,
    Telemetry,
    Timeout,
    ToolCall,
    UserMessage,
    VeniceClient,
    VeniceError,
)
from venice_ai.emulator import Emulator, busy, error, overloaded, refused, run_in_thread, text, tool_call, tool_calls
from venice_ai.emulator.sending import Act, HTTPReply, Incoming
from venice_ai.telemetry import VERSIONS, Conventions

from ..enclaves import enclave_with_shared_certificates
from ..fakes import HI, KEY, ScriptedTransport, answer, completion
from ..gateway.asking import asking
from .wires import form as sealed_calls

pytestmark = [
    pytest.mark.filterwarnings("ignore:end-to-end encryption"),
    pytest.mark.filterwarnings("ignore:a stream was dropped:ResourceWarning"),
]
CANARY = "the-canary-sings"
MODEL, SEALED = "venice-1", "e2ee-ponte-chiuso-p"
ASK: dict[str, Any] = {"model": MODEL, "messages": [UserMessage(content=f"Say {CANARY}.")]}
RESOURCE = Resource.create()
"""What each provider would ask for anew, with a thread for each that knows of some."""
COUNTED = re.compile(rb'"prompt_tokens":\s*(\d+),\s*"completion_tokens":\s*(\d+)')


class BillingEmulator(Emulator):
    """An emulator that keeps its bill: the usage of each answer, as far as it was sent."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.billed: dict[int, tuple[int, int]] = {}

    async def respond(self, incoming: Incoming, *, now: float) -> HTTPReply:
        answer = await super().respond(incoming, now=now)
        return replace(answer, body=self._counting(len(self.requests), cast("Iterable[Act]", answer.body)))

    def _counting(self, number: int, body: Iterable[Act]) -> Iterator[Act]:
        sent = bytearray()
        for act in body:
            if isinstance(act, bytes):
                sent += act
                for found in COUNTED.finditer(sent):
                    self.billed[number] = int(found[1]), int(found[2])
            yield act

    @property
    def bill(self) -> tuple[int, int]:
        return sum(each[0] for each in self.billed.values()), sum(each[1] for each in self.billed.values())


class Kept(SpanProcessor):
    """Keeps the spans that ended, and knows of those that began."""

    def __init__(self) -> None:
        self.begun: list[ReadableSpan] = []
        self.spans: list[ReadableSpan] = []

    def on_start(self, span: Any, parent_context: Any = None) -> None:
        self.begun.append(span)

    def on_end(self, span: ReadableSpan) -> None:
        self.spans.append(span)


class Seen:
    """What telemetry gives away: spans and metrics."""

    def __init__(self, **settings: Any) -> None:
        self.kept, self.reader = Kept(), InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False, resource=RESOURCE)
        meters = MeterProvider([self.reader], shutdown_on_exit=False, resource=RESOURCE)
        tracers.add_span_processor(self.kept)
        self.tracer = tracers.get_tracer("tests")
        self.telemetry = Telemetry(tracer_provider=tracers, meter_provider=meters, **settings)

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.kept.spans if span.name == name]

    @property
    def chats(self) -> list[ReadableSpan]:
        return [span for span in self.kept.spans if span.name.startswith("chat ")]

    @property
    def usage(self) -> tuple[int, int]:
        """The usage of all spans, whatever they are spans of."""
        found = [attributes(span) for span in self.kept.spans]
        kinds = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
        total = [sum(int(each.get(kind, 0)) for each in found) for kind in kinds]
        return total[0], total[1]

    @property
    def metrics(self) -> dict[str, list[Any]]:
        data = self.reader.get_metrics_data()
        scopes = [scope for each in (data.resource_metrics if data else ()) for scope in each.scope_metrics]
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    def everything(self) -> str:
        data = self.reader.get_metrics_data()
        return "\n".join([*(span.to_json(indent=None) for span in self.kept.spans), data.to_json(indent=None) if data else ""])


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def outcomes(span: ReadableSpan) -> list[tuple[Any, Any]]:
    """The status and the error of each attempt."""
    attempts = [dict(event.attributes or {}) for event in span.events if event.name == "venice.attempt"]
    return [(each.get("http.response.status_code"), each.get("error.type")) for each in attempts]


def client_of(emulator: Emulator, seen: Seen, **settings: Any) -> VeniceClient:
    chosen: dict[str, Any] = {"api_key": KEY, "transport": emulator.transport(), "clock": emulator.clock, **settings}
    if emulator.enclave is not None:
        chosen.setdefault("tee", emulator.enclave.options(verification="hardware"))
    return VeniceClient(telemetry=seen.telemetry, **chosen)


# -- sixty and more ways of a call to go ---------------------------------------------------------------------------------

Made: TypeAlias = Callable[..., VeniceClient]
Play: TypeAlias = Callable[[Emulator, Made], Awaitable[object]]
PLAYS: dict[str, Play] = {}


def play(function: Play) -> Play:
    PLAYS[function.__name__.replace("_", " ")] = function
    return function


async def whole(client: VeniceClient, **params: Any) -> object:
    return cast("object", await client.chat.completions.create(**ASK, **params))


async def collected(client: VeniceClient, **params: Any) -> object:
    return await (await client.chat.completions.stream(**ASK, **params)).collect()


async def iterated(client: VeniceClient, **params: Any) -> object:
    async with await client.chat.completions.stream(**ASK, **params) as stream:
        return [chunk async for chunk in stream]


SAY = f"{CANARY} it does"
LATE = 400.0
STEPS: dict[str, list[Any]] = {
    "is answered": [text(SAY)],
    "is answered byte by byte": [text(SAY, piece_bytes=1)],
    "is sent again after a 503": [overloaded(), text(SAY)],
    "is sent again after a 429": [busy(retry_after=2), busy(), text(SAY)],
    "is refused in the end": [overloaded(), overloaded(), overloaded()],
    "is refused with what was said": [error(400, {"error": f"{CANARY} {KEY}"})],
    "is refused for its key": [error(401, {"error": CANARY})],
    "is not connected": [refused(), refused(), refused()],
    "is connected at last": [refused(), text(SAY)],
    "is reset amid the answer": [text(SAY, reset_at=40)],
    "is cut amid the answer": [text(SAY, cut_at=40)],
    "comes too late": [text(SAY, delay=LATE)],
    "stalls": [text(SAY, first_token_delay=LATE)],
    "is answered with a page": [text(SAY, html_instead=True)],
    "is answered with broken json": [text(SAY, malformed_after=1)],
    "is answered with an error": [text(SAY, in_band_error=CANARY)],
    "is sent again after an error before content": [text(SAY, in_band_error={"code": 503}, error_after=0), text(SAY)],
    "is answered without usage": [text(SAY, usage="never")],
    "is answered with usage at its end": [text(SAY, usage="finish")],
    "is answered in one body": [text(SAY, json_instead=True)],
}


def steps_played(ask: Callable[..., Awaitable[object]], steps: list[Any]) -> Play:
    async def played(emulator: Emulator, client: Made) -> None:
        emulator.script(*steps)
        with suppress(VeniceError):
            await ask(client())

    return played


for what, script in STEPS.items():
    for ask in (whole, collected, iterated):
        PLAYS[f"{ask.__name__} {what}"] = steps_played(ask, script)


def with_settings(ask: Callable[..., Awaitable[object]], how: str) -> Play:
    async def played(emulator: Emulator, client: Made) -> None:
        settings: dict[str, Any] = {}
        if how == "falls back":
            settings = {"fallback_models": ["llama-3.3-70b"], "max_retries": 0}
            emulator.script(overloaded(), text(SAY))
        elif how == "is over budget":
            settings = {"budget": Budget(usd=0.0001)}
        elif how == "runs out of its deadline":
            settings = {"timeout": Timeout(deadline=1)}
            emulator.script(text(SAY, delay=LATE))
        params: dict[str, Any] = {"n": 2} if how == "has two answers" else {}
        with suppress(VeniceError):
            await ask(client(**settings), **params)

    return played


for how in ("falls back", "is over budget", "runs out of its deadline", "has two answers"):
    for ask in (whole, collected):
        PLAYS[f"{ask.__name__} {how}"] = with_settings(ask, how)


ENDLESS = Timeout(connect=None, first_chunk=None, idle=None, progress=None)


async def cancelled(work: Awaitable[object], *, once: Callable[[], bool] = lambda: True) -> None:
    task = asyncio.ensure_future(work)
    await asyncio.sleep(0.005)
    while not once():
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def cancelled_play(ask: Callable[..., Awaitable[object]], how: str) -> Play:
    async def played(emulator: Emulator, client: Made) -> None:
        emulator.script(text(SAY, stall_after=0 if how == "while it waits" else 1))
        await cancelled(ask(client(timeout=ENDLESS)), once=lambda: bool(emulator.requests))

    return played


for ask, how in ((whole, "while it waits"), (collected, "while it waits"), (collected, "while it reads")):
    PLAYS[f"{ask.__name__} is cancelled {how}"] = cancelled_play(ask, how)


@play
async def a_chat_is_cancelled_at_once(_: Emulator, client: Made) -> None:
    made = client(timeout=ENDLESS)
    task = asyncio.ensure_future(whole(made))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@play
async def a_stream_is_left(_: Emulator, client: Made) -> None:
    async with await client().chat.completions.stream(**ASK) as stream:
        async for _chunk in stream:
            break


@play
async def a_stream_is_closed_unread(_: Emulator, client: Made) -> None:
    await (await client().chat.completions.stream(**ASK)).close()


@play
async def a_stream_is_dropped(_: Emulator, client: Made) -> None:
    stream: object = await client().chat.completions.stream(**ASK)
    del stream
    gc.collect()


@play
async def a_stream_is_dropped_amid(_: Emulator, client: Made) -> None:
    stream = await client().chat.completions.stream(**ASK)
    await anext(aiter(stream))
    del stream
    gc.collect()
    await asyncio.sleep(0.01)


@play
async def a_stream_of_a_class_that_cannot_be_made(_: Emulator, client: Made) -> None:
    class Odd:
        def __init__(self, source: object, *, client: object) -> None:
            raise ValueError(CANARY)

    with pytest.raises(ValueError, match=CANARY):
        await client().chat.completions.create(**ASK, stream=True, stream_cls=Odd)


class Answered(BaseModel):
    word: str


@play
async def parse_is_asked_again(emulator: Emulator, client: Made) -> None:
    emulator.script(text(SAY), text(json.dumps({"word": CANARY})))
    await client().chat.completions.parse(**ASK, response_format=Answered, max_reasks=2)


@play
async def parse_never_fits(emulator: Emulator, client: Made) -> None:
    emulator.always(text(SAY))
    with pytest.raises(VeniceError):
        await client().chat.completions.parse(**ASK, response_format=Answered, max_reasks=2)


@play
async def a_parsed_stream(emulator: Emulator, client: Made) -> None:
    emulator.script(text(json.dumps({"word": CANARY})))
    async with await client().chat.completions.stream_parse(**ASK, response_format=Answered) as stream:
        await stream.collect()


RUNNING: list[str] = []


async def slow(word: str) -> str:
    """Waits."""
    RUNNING.append(word)
    await asyncio.sleep(30)
    return word


def echo(word: str) -> str:
    """Says it again."""
    if "raise" in word:
        raise ValueError(CANARY)
    return f"{CANARY} {word}"


def tools_play(streams: bool, steps: list[Any], **options: Any) -> Play:
    async def played(emulator: Emulator, client: Made) -> None:
        emulator.script(*steps)
        completions = client().chat.completions
        with suppress(VeniceError):
            if streams:
                async with await completions.stream_with_tools(**ASK, tools=[echo, slow], **options) as stream:
                    await stream.collect()
            else:
                await completions.run_with_tools(**ASK, tools=[echo, slow], **options)

    return played


def wait(_call: ToolCall, _arguments: dict[str, Any]) -> Approval:
    return Approval.wait()


CALL = tool_call("echo", {"word": CANARY})
FAILING = tool_call("echo", {"word": f"raise {CANARY}"})
LOOPS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "runs a tool": ([CALL, text(SAY)], {}),
    "runs two tools": ([tool_calls(("echo", {"word": "a"}), ("echo", {"word": "raise"})), text(SAY)], {"parallel": True}),
    "has a tool that raises": ([FAILING, text(SAY)], {}),
    "has a tool that is late": ([tool_call("slow", {"word": CANARY}), text(SAY)], {"tool_timeout": 0.01}),
    "has wrong arguments": ([tool_call("echo", {"wort": CANARY}), text(SAY)], {}),
    "calls an unknown tool": ([tool_call("other", {"word": CANARY})], {}),
    "reaches its limit": ([CALL, CALL], {"max_iterations": 2}),
    "waits for a person": ([CALL], {"approve": wait}),
    "fails in its second round": ([CALL, error(400, {"error": CANARY})], {}),
    "is sent again in its second round": ([CALL, overloaded(), text(SAY)], {}),
}
for name, (loop_steps, loop_options) in LOOPS.items():
    for loop_streams in (False, True):
        PLAYS[f"a tool loop {name}{', streamed' if loop_streams else ''}"] = tools_play(
            loop_streams, loop_steps, **loop_options
        )


@play
async def a_tool_loop_is_cancelled_in_a_tool(emulator: Emulator, client: Made) -> None:
    emulator.script(tool_call("slow", {"word": CANARY}))
    RUNNING.clear()
    await cancelled(client().chat.completions.run_with_tools(**ASK, tools=[slow]), once=lambda: bool(RUNNING))


@play
async def a_stream_of_a_tool_loop_is_left_unread(_: Emulator, client: Made) -> None:
    await (await client().chat.completions.stream_with_tools(**ASK, tools=[echo])).close()


@play
async def a_stream_of_a_tool_loop_is_dropped(_: Emulator, client: Made) -> None:
    stream: object = await client().chat.completions.stream_with_tools(**ASK, tools=[echo])
    del stream
    gc.collect()


@play
async def a_batch(emulator: Emulator, client: Made) -> None:
    emulator.script(text(SAY), error(400, {"error": CANARY}), overloaded())
    await client().chat.completions.batch([ASK] * 6, max_concurrency=2)


def requests(count: int) -> list[dict[str, Any]]:
    return [ASK | {"seed": seed + 1} for seed in range(count)]


@play
async def a_batch_that_is_iterated(emulator: Emulator, client: Made) -> None:
    emulator.script(text(SAY), error(400, {"error": CANARY}), overloaded())
    async for _ in client().chat.completions.batch_iter(requests(6)):
        pass


@play
async def a_batch_that_is_left(_: Emulator, client: Made) -> None:
    items = client().chat.completions.batch_iter(requests(30), max_concurrency=3)
    async for _item in items:
        break
    await items.aclose()


def sealed_play(ask: Callable[..., Awaitable[object]], how: str) -> Play:
    async def played(emulator: Emulator, client: Made) -> None:
        emulator.enclave = enclave_with_shared_certificates()
        made = client()
        sealed: dict[str, Any] = {"model": SEALED, "messages": ASK["messages"], "e2ee": True}
        steps: dict[str, list[Any]] = {"is answered": [text(SAY)], "is refused": [error(400, {"error": CANARY})]}
        steps |= {"is cut": [text(SAY, cut_at=400)], "is sent again": [overloaded(), text(SAY)]}
        emulator.script(*steps.get(how, []))
        if how == "finds a new key":
            await made.chat.completions.create(**sealed)
            emulator.enclave.rotate()
        elif how == "is not attested":
            emulator.enclave.fault = "debug"
        with suppress(VeniceError):
            if ask is whole:
                await made.chat.completions.create(**sealed)
            else:
                await (await made.chat.completions.stream(**sealed)).collect()

    return played


SEALED_WAYS = ("is answered", "is refused", "is cut", "is sent again", "finds a new key", "is not attested")
for how in SEALED_WAYS:
    for ask in (whole, collected):
        PLAYS[f"sealed {ask.__name__} {how}"] = sealed_play(ask, how)


def gateway_play(how: str, **body: Any) -> Play:
    async def played(emulator: Emulator, client: Made) -> None:
        emulator.script(*([error(400, {"error": CANARY})] if how == "is refused" else [overloaded(), text(SAY)]))
        async with asking(client()) as program:
            await program.ask(messages=[{"role": "user", "content": CANARY}], **body)

    return played


for how, body in (("is answered", {}), ("streams", {"stream": True}), ("is refused", {})):
    PLAYS[f"a gateway {how}"] = gateway_play(how, **body)


async def played(name: str, **settings: Any) -> tuple[BillingEmulator, Seen]:
    """What a play came to, once nobody has anything of it any more."""
    emulator, seen = BillingEmulator(), Seen(**settings)
    clients: list[VeniceClient] = []

    def client(**options: Any) -> VeniceClient:
        clients.append(client_of(emulator, seen, **options))
        return clients[-1]

    await PLAYS[name](emulator, client)
    for each in clients:
        await each.close()
    gc.collect()
    return emulator, seen


def test_more_than_a_hundred_scenarios_are_played() -> None:
    assert len(PLAYS) > 100


@pytest.mark.parametrize("name", PLAYS)
async def test_every_span_ends_the_costs_add_up_and_no_content_is_recorded(name: str) -> None:
    emulator, seen = await played(name)

    assert len(seen.kept.spans) == len(seen.kept.begun) > 0
    assert seen.usage == emulator.bill
    everything = seen.everything()
    assert CANARY not in everything
    assert KEY not in everything
    failed = [span for span in seen.kept.spans if span.status.status_code == StatusCode.ERROR]
    assert all("error.type" in attributes(span) for span in failed)
    assert all(span.status.description is None for span in failed)
    assert all("gen_ai.usage.input_tokens" not in attributes(span) for span in seen.kept.spans if span not in seen.chats)
    points = seen.metrics["gen_ai.client.inference.duration"]
    assert sum(point.count for point in points) == len(seen.chats)
    tokens = seen.metrics.get("gen_ai.client.inference.operation.input_tokens", [])
    assert sum(point.sum for point in tokens) == emulator.bill[0]


@pytest.mark.parametrize("name", [name for name in PLAYS if name.startswith("sealed ")])
async def test_no_content_of_an_encrypted_chat_is_recorded_whatever_capture_content_is(name: str) -> None:
    _, seen = await played(name, capture_content=100_000)

    assert seen.chats
    everything = seen.everything()
    assert CANARY not in everything
    assert "messages" not in everything


@pytest.mark.parametrize("stream", [False, True])
async def test_a_gateway_goes_on_with_the_trace_of_the_program(stream: bool) -> None:
    emulator, seen = BillingEmulator(), Seen()
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    ask = {"model": "venice-1", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    async with asking(client_of(emulator, seen)) as program:
        for headers in ({"traceparent": f"00-{trace_id}-{span_id}-01", "baggage": "a=b"}, {}, {"traceparent": "odd"}):
            assert (await program.send("POST", "/v1/chat/completions", json=ask, headers=headers)).status == 200

    first, *others = seen.chats
    assert first.context is not None
    assert first.parent is not None
    assert (f"{first.context.trace_id:032x}", f"{first.parent.span_id:016x}") == (trace_id, span_id)
    assert all(span.parent is None for span in others)
    headers = emulator.requests[0].headers
    assert headers["traceparent"] == f"00-{trace_id}-{first.context.span_id:016x}-01"
    assert "baggage" not in headers


def published_names() -> set[str]:
    """The names of the versions until 1.41, by the package in which OpenTelemetry publishes them."""
    folder = "opentelemetry.semconv._incubating"
    modules = [import_module(f"{folder}.{name}") for name in ("attributes.gen_ai_attributes", "metrics.gen_ai_metrics")]
    return {value for module in modules for value in vars(module).values() if isinstance(value, str)}


@pytest.mark.parametrize("conventions", VERSIONS)
@pytest.mark.parametrize("name", ["whole is answered", "collected is sent again after a 503", "a tool loop runs a tool"])
async def test_every_version_of_the_conventions_adds_up(name: str, conventions: Conventions) -> None:
    emulator, seen = await played(name, conventions=conventions)

    assert seen.usage == emulator.bill
    names = {each for span in seen.kept.spans for each in attributes(span)} | seen.metrics.keys()
    assert conventions == VERSIONS[0] or {each for each in names if each.startswith("gen_ai.")} <= published_names()
    assert ("gen_ai.system" in names) == (conventions == "semconv-1.36")
    assert ("gen_ai.client.token.usage" in names) == (conventions != "genai-0.1")


# -- what spans tell -----------------------------------------------------------------------------------------------------


async def test_the_span_of_a_chat_has_the_names_of_the_conventions_and_its_attempts_as_events() -> None:
    emulator, seen = Emulator(), Seen()
    emulator.script(overloaded(headers={"retry-after": "3"}), text("hello"))
    client = client_of(emulator, seen, base_url="http://127.0.0.1:8080/api/v1")

    response = await client.chat.completions.create(
        model=MODEL, messages=HI, temperature=0.5, max_completion_tokens=9, seed=7, response_format={"type": "text"}
    )

    (span,) = seen.kept.spans
    assert response.usage is not None
    assert (span.name, span.kind, span.status.status_code) == (f"chat {MODEL}", SpanKind.CLIENT, StatusCode.UNSET)
    assert attributes(span) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "venice",
        "gen_ai.request.model": MODEL,
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 9,
        "gen_ai.request.seed": 7,
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.response.id": response.id,
        "gen_ai.response.model": MODEL,
        "gen_ai.usage.input_tokens": response.usage.prompt_tokens,
        "gen_ai.usage.output_tokens": response.usage.completion_tokens,
        "server.address": "127.0.0.1",
        "server.port": 8080,
    }
    assert outcomes(span) == [(503, "ServiceUnavailableError"), (200, None)]
    assert dict(span.events[1].attributes or {}) == {
        "venice.attempt.number": 2,
        "venice.attempt.request_id": response.meta.request_id,
        "venice.attempt.wait": 3.0,
        "venice.attempt.duration": 0.0,
        "http.response.status_code": 200,
    }


async def test_the_span_of_a_stream_ends_with_it_and_has_the_time_to_the_first_chunk() -> None:
    emulator, seen = Emulator(), Seen()
    emulator.script(text("a b c", first_token_delay=1.5))
    client = client_of(emulator, seen)

    stream = await client.chat.completions.stream(model=MODEL, messages=HI)
    assert seen.kept.spans == []
    response = await stream.collect()

    (span,) = seen.kept.spans
    assert attributes(span)["gen_ai.request.stream"] is True
    assert attributes(span)["gen_ai.response.id"] == response.id
    assert attributes(span)["gen_ai.response.time_to_first_chunk"] == 1.5
    (point,) = seen.metrics["gen_ai.client.inference.time_to_first_chunk"]
    assert (point.count, point.sum) == (1, 1.5)


async def test_cached_and_reasoning_tokens_are_span_attributes() -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 8, "total_tokens": 17}
    usage |= {"prompt_tokens_details": {"cached_tokens": 4}, "completion_tokens_details": {"reasoning_tokens": 5}}  # type: ignore[dict-item]
    seen = Seen()
    transport = ScriptedTransport(answer(completion(usage=usage)))

    await VeniceClient(api_key=KEY, transport=transport, telemetry=seen.telemetry).chat.completions.create(
        model="m", messages=HI
    )

    found = attributes(seen.kept.spans[0])
    assert found["gen_ai.usage.cache_read.input_tokens"] == 4
    assert found["gen_ai.usage.reasoning.output_tokens"] == 5


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(completion(id=7, model=None, usage={"prompt_tokens": "many"}), id="odd values"),
        pytest.param(completion(usage=None), id="no usage"),
        pytest.param(completion(usage=[1]), id="usage that is a list"),
        pytest.param(completion(usage={}), id="usage of nothing"),
        pytest.param({"choices": [{"message": {"content": None}, "finish_reason": 5}]}, id="hardly anything"),
    ],
)
async def test_a_malformed_answer_has_a_span_and_logs_no_error(body: Any, caplog: pytest.LogCaptureFixture) -> None:
    seen = Seen(capture_content=100)
    transport = ScriptedTransport(answer(body))

    await VeniceClient(api_key=KEY, transport=transport, telemetry=seen.telemetry).chat.completions.create(
        model="m", messages=HI
    )

    assert len(seen.kept.spans) == 1
    assert [record for record in caplog.records if record.name.startswith("opentelemetry")] == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("whole is refused in the end", "ServiceUnavailableError"),
        ("whole is refused for its key", "AuthenticationError"),
        ("collected is reset amid the answer", "StreamInterruptedError"),
        ("collected is cancelled while it reads", "CancelledError"),
        ("whole is cancelled while it waits", "CancelledError"),
        ("whole is over budget", "BudgetExceededError"),
        ("sealed whole is not attested", "TeeAttestationError"),
    ],
)
async def test_the_class_of_an_error_is_on_the_span_and_in_the_metric(name: str, kind: str) -> None:
    _, seen = await played(name)

    (span,) = seen.chats
    assert attributes(span)["error.type"] == kind
    assert span.status.status_code == StatusCode.ERROR
    (point,) = seen.metrics["gen_ai.client.inference.duration"]
    assert point.attributes["error.type"] == kind


@pytest.mark.parametrize("name", ["a stream is left", "a stream is dropped", "a stream is closed unread"])
async def test_leaving_a_stream_is_not_recorded_as_a_failure(name: str) -> None:
    _, seen = await played(name)

    assert [span.status.status_code for span in seen.chats] == [StatusCode.UNSET]
    assert "error.type" not in attributes(seen.chats[0])


@pytest.mark.parametrize("wrong", [{"temperature": 9}, {"max_completion_tokens": 1_000_000}], ids=["argument", "catalogue"])
async def test_a_chat_that_is_refused_before_there_is_a_request_has_no_span(wrong: dict[str, Any]) -> None:
    seen = Seen()

    with pytest.raises(InvalidRequestError):
        await client_of(Emulator(), seen, preflight=True).chat.completions.create(**ASK, **wrong)

    assert seen.kept.begun == []


async def test_without_the_attestation_that_the_client_demands_the_span_has_its_error() -> None:
    emulator, seen = Emulator(tee=enclave_with_shared_certificates()), Seen()
    assert emulator.enclave is not None
    emulator.enclave.fault = "debug"

    with pytest.raises(VeniceError) as caught:
        await client_of(emulator, seen, min_privacy="tee").chat.completions.create(model="tee-ponte-chiuso-p", messages=HI)

    assert attributes(seen.chats[0])["error.type"] == type(caught.value).__name__
    assert trace.get_current_span() is trace.INVALID_SPAN


# -- who is whose parent -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [False, True])
async def test_a_tool_loop_is_the_parent_of_its_chats_and_tools(streams: bool) -> None:
    emulator, seen = Emulator(), Seen()
    emulator.script(tool_calls(("own", {}), ("own", {})), text("done"))
    within: list[Any] = []

    def own() -> str:
        """Says where it runs."""
        within.append(trace.get_current_span().get_span_context().span_id)
        return "x"

    completions = client_of(emulator, seen).chat.completions
    with seen.tracer.start_as_current_span("program") as program:
        if streams:
            async with await completions.stream_with_tools(model=MODEL, messages=HI, tools=[own], parallel=True) as events:
                async for _ in events:
                    assert trace.get_current_span() is program
        else:
            await completions.run_with_tools(model=MODEL, messages=HI, tools=[own], parallel=True)

    (loop,) = seen.named("invoke_agent")
    (root,) = seen.named("program")
    tools = seen.named("execute_tool own")
    assert loop.parent is not None
    assert root.context is not None
    assert loop.parent.span_id == root.context.span_id
    assert len(seen.chats) == len(tools) == 2
    assert {span.parent.span_id for span in [*seen.chats, *tools] if span.parent} == {
        loop.context.span_id if loop.context else 0
    }
    assert sorted(within) == sorted(tool.context.span_id for tool in tools if tool.context)
    assert attributes(tools[0])["gen_ai.tool.name"] == "own"
    assert attributes(tools[0])["gen_ai.tool.call.id"].startswith("call_")


async def test_a_tool_that_raises_has_a_span_with_its_error() -> None:
    _, seen = await played("a tool loop has a tool that raises")

    (span,) = seen.named("execute_tool echo")
    assert attributes(span)["error.type"] == "ValueError"
    assert span.status.status_code == StatusCode.ERROR


async def test_the_trace_travels_in_every_request_but_those_without_a_key() -> None:
    emulator, seen = Emulator(tee=enclave_with_shared_certificates()), Seen()
    emulator.script(overloaded(), text("hi"))
    client = client_of(emulator, seen)

    with seen.tracer.start_as_current_span("program") as program:
        await client.models.list()
        await client.chat.completions.create(model=SEALED, messages=HI, e2ee=True)
        await client.chat.completions.create(model=MODEL, messages=HI, extra_headers={"Traceparent": "mine"})

    sent = {request.path: request.headers.get("traceparent") for request in emulator.requests[:-1]}
    (chat, _) = seen.chats
    assert chat.context is not None
    identity = f"00-{program.get_span_context().trace_id:032x}"
    assert sent["/api/v1/models"] == f"{identity}-{program.get_span_context().span_id:016x}-03"
    assert sent["/api/v1/chat/completions"] == f"{identity}-{chat.context.span_id:016x}-03"
    assert sent["/api/v1/tee/attestation"] is None
    assert emulator.requests[-1].headers["traceparent"] == "mine"
    assert all("baggage" not in request.headers for request in emulator.requests)


async def test_the_chat_is_the_current_span_while_its_request_is_sent_also_again_from_within_the_stream() -> None:
    emulator, seen = Emulator(), Seen()
    emulator.script(text("x", in_band_error={"code": 503}, error_after=0), text("hi"))
    current: list[int] = []
    transport = emulator.transport()

    class Noting:
        async def send(self, request: Any) -> Any:
            current.append(trace.get_current_span().get_span_context().span_id)
            return await transport.send(request)

        async def aclose(self) -> None:
            await transport.aclose()

    client = client_of(emulator, seen, transport=Noting())
    assert (await (await client.chat.completions.stream(model=MODEL, messages=HI)).collect()).text == "hi"

    (span,) = seen.chats
    assert span.context is not None
    assert current == [span.context.span_id] * 2


# -- the synchronous client ----------------------------------------------------------------------------------------------


def test_the_synchronous_client_on_a_socket_has_the_same_spans_below_those_of_the_calling_thread() -> None:
    emulator, seen = BillingEmulator(), Seen()
    emulator.script(text("one"), overloaded(), text("two"), tool_call("echo", {"word": "a"}), text("three"))
    with run_in_thread(emulator) as server:
        client = SyncVeniceClient(api_key=KEY, base_url=server.url, telemetry=seen.telemetry)
        with client, seen.tracer.start_as_current_span("program") as program:
            client.chat.completions.create(**ASK)
            client.with_options(timeout=9).chat.completions.stream(**ASK).collect()
            client.chat.completions.run_with_tools(**ASK, tools=[echo])
            with pytest.raises(VeniceError):
                client.chat.completions.create(model="no-such-model", messages=HI)

    assert len(seen.kept.begun) == len(seen.kept.spans) == 8
    assert seen.usage == emulator.bill
    assert CANARY not in seen.everything()
    (loop,) = seen.named("invoke_agent")
    outer = program.get_span_context().span_id
    assert [span.parent.span_id for span in (*seen.chats[:2], loop, seen.chats[-1]) if span.parent] == [outer] * 4
    assert all(span.parent for span in seen.named("execute_tool echo"))


def test_a_synchronous_stream_that_is_left_ends_its_span() -> None:
    emulator, seen = Emulator(), Seen()
    client = SyncVeniceClient(api_key=KEY, transport=emulator.transport(), telemetry=seen.telemetry)

    with client, client.chat.completions.stream(**ASK) as stream:
        next(iter(stream))

    assert len(seen.kept.spans) == 1


# -- content -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ask", [whole, collected], ids=["whole", "stream"])
async def test_content_is_recorded_up_to_the_number_of_characters_of_capture_content(
    ask: Callable[..., Awaitable[object]],
) -> None:
    emulator, seen = Emulator(), Seen(capture_content=12)
    emulator.script(text("one two three four"))

    await ask(client_of(emulator, seen))

    found = attributes(seen.kept.spans[0])
    assert json.loads(found["gen_ai.input.messages"]) == [
        {"role": "user", "parts": [{"type": "text", "content": "Say the-cana"}]}
    ]
    assert json.loads(found["gen_ai.output.messages"]) == [
        {"role": "assistant", "parts": [{"type": "text", "content": "one two thre"}]}
    ]


async def test_capture_content_limits_all_messages_together() -> None:
    emulator, seen = Emulator(), Seen(capture_content=10)
    messages = [{"role": "user", "content": "12345678"}, {"role": "assistant", "content": "abcdefgh"}, *HI]

    await client_of(emulator, seen).chat.completions.create(model=MODEL, messages=messages)

    recorded = json.loads(attributes(seen.kept.spans[0])["gen_ai.input.messages"])
    assert [part["content"] for message in recorded for part in message["parts"]] == ["12345678", "ab", ""]


async def test_tool_calls_are_recorded_as_content() -> None:
    _, seen = await played("a tool loop runs a tool", capture_content=1000)

    first, second = (attributes(span) for span in seen.chats)
    (message,) = json.loads(first["gen_ai.output.messages"])
    assert message["parts"][1] == {"type": "tool_call", "name": "echo", "arguments": json.dumps({"word": CANARY})}
    assert json.loads(second["gen_ai.input.messages"])[-1]["role"] == "tool"


async def test_with_min_privacy_e2ee_no_content_is_recorded() -> None:
    emulator, seen = Emulator(tee=enclave_with_shared_certificates()), Seen(capture_content=1000)

    sealed: dict[str, Any] = {**ASK, "model": SEALED}
    await client_of(emulator, seen, min_privacy="e2ee").chat.completions.create(**sealed, e2ee=True)

    assert "messages" not in seen.everything()


async def test_an_encrypted_tool_loop_records_no_name_and_no_content_of_its_tools() -> None:
    emulator, seen = BillingEmulator(tee=enclave_with_shared_certificates()), Seen(capture_content=1000)
    emulator.script(text(sealed_calls(("secretly_named", {"word": CANARY}))), text(SAY))

    def secretly_named(word: str) -> str:
        """Says it again."""
        return word

    sealed: dict[str, Any] = {**ASK, "model": SEALED, "e2ee": True, "sealed_tools": True}
    await client_of(emulator, seen).chat.completions.run_with_tools(**sealed, tools=[secretly_named])

    assert sorted(span.name for span in seen.kept.spans) == [f"chat {SEALED}"] * 2 + ["execute_tool", "invoke_agent"]
    assert seen.usage == emulator.bill
    assert not {CANARY, "secretly_named", "messages"} & set(re.findall(r"[\w-]+", seen.everything()))


# -- on and off ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        pytest.param(
            {"conventions": "1.0"}, "conventions='1.0' must be one of genai-0.1, semconv-1.41, semconv-1.36", id="names"
        ),
        pytest.param({"capture_content": -1}, "capture_content=-1", id="negative"),
        pytest.param({"capture_content": True}, "capture_content=True must be a number of characters", id="no number"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InvalidArgumentError, match=words):
        Telemetry(**settings)


def test_a_telemetry_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="telemetry='yes' must be a Telemetry"):
        VeniceClient(telemetry=cast("Any", "yes"))


PROGRAM = """
import asyncio, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from venice_ai import VeniceClient
from venice_ai.emulator import Emulator
kept = InMemorySpanExporter()
async def main():
    async with VeniceClient(api_key="any", transport=Emulator().transport()) as client:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(kept))
        trace.set_tracer_provider(provider)
        await client.chat.completions.create(model="venice-1", messages=[{"role": "user", "content": "hi"}])
asyncio.run(main())
print([span.name for span in kept.get_finished_spans()])
"""
WITHOUT = """
import asyncio, sys
if "missing" in sys.argv:
    sys.modules["opentelemetry"] = None
from venice_ai import VeniceClient
from venice_ai.emulator import Emulator
async def main():
    async with VeniceClient(api_key="any", transport=Emulator().transport()) as client:
        await client.chat.completions.create(model="venice-1", messages=[{"role": "user", "content": "hi"}])
asyncio.run(main())
print([name for name, module in sys.modules.items() if "opentelemetry" in name and module is not None])
"""


def run(program: str, switch: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "VENICE_OTEL": switch},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.mark.parametrize(("switch", "spans"), [("1", "['chat venice-1']"), ("True", "['chat venice-1']"), ("0", "[]")])
def test_a_variable_turns_it_on_for_the_providers_that_the_program_sets_up(switch: str, spans: str) -> None:
    assert run(PROGRAM, switch) == spans


def test_telemetry_that_is_off_or_not_installed_imports_nothing_of_opentelemetry() -> None:
    assert run(WITHOUT, "") == "[]"
    assert run(WITHOUT, "1", "missing") == "[]"


def test_the_error_of_the_missing_extra_says_what_to_install() -> None:
    absent = "import sys; sys.modules['opentelemetry'] = None"
    code = f"{absent}\ntry: import venice_ai.telemetry\nexcept ImportError as e: print(e)"

    assert run(code, "") == "telemetry needs the extra 'otel': pip install 'venice-chat[otel]'"
