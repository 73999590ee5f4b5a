"""Spans and metrics for OpenTelemetry: a span for each chat, tool and tool loop, of which those of chats alone have usage."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from time import perf_counter
from typing import Any, Final, Literal, TypeAlias, TypeVar
from urllib.parse import urlsplit

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as _missing:
    raise ImportError("telemetry needs the extra 'otel': pip install 'venice-chat[otel]'") from _missing

from ._core.json_values import items, members
from ._version import __version__
from ._wire.assembly import Assembly
from .exceptions import InvalidArgumentError
from .types.api.chat import ChatUsage, content_text

T = TypeVar("T")
Conventions: TypeAlias = Literal["genai-0.1", "semconv-1.41", "semconv-1.36"]
VERSIONS: Final = ("genai-0.1", "semconv-1.41", "semconv-1.36")
# The names that differ between versions of OpenTelemetry's conventions, a column each; `-` is left out. The code uses
# the first. They are those of https://github.com/open-telemetry/semantic-conventions, since 1.41 of `...-genai` there.
TABLE: Final = """
gen_ai.provider.name                              gen_ai.provider.name                          gen_ai.system
gen_ai.input.messages                             gen_ai.input.messages                         -
gen_ai.output.messages                            gen_ai.output.messages                        -
gen_ai.request.stream                             gen_ai.request.stream                         -
gen_ai.response.time_to_first_chunk               gen_ai.response.time_to_first_chunk           -
gen_ai.usage.cache_read.input_tokens              gen_ai.usage.cache_read.input_tokens          -
gen_ai.usage.reasoning.output_tokens              gen_ai.usage.reasoning.output_tokens          -
gen_ai.client.inference.duration                  gen_ai.client.operation.duration              gen_ai.client.operation.duration
gen_ai.client.inference.time_to_first_chunk       gen_ai.client.operation.time_to_first_chunk   -
gen_ai.client.inference.operation.input_tokens    gen_ai.client.token.usage                     gen_ai.client.token.usage
gen_ai.client.inference.operation.output_tokens   gen_ai.client.token.usage                     gen_ai.client.token.usage
"""
# What is measured, with the metric, and its unit and boundaries as the conventions want them.
_SECONDS, _COUNTS = ("s", [0.01 * 2**power for power in range(14)]), ("{token}", [4**power for power in range(14)])
_METRICS: Final = {
    "seconds": ("gen_ai.client.inference.duration", *_SECONDS),
    "gen_ai.response.time_to_first_chunk": ("gen_ai.client.inference.time_to_first_chunk", *_SECONDS),
    "gen_ai.usage.input_tokens": ("gen_ai.client.inference.operation.input_tokens", *_COUNTS),
    "gen_ai.usage.output_tokens": ("gen_ai.client.inference.operation.output_tokens", *_COUNTS),
}
# The parameters of a chat that become attributes; none holds content.
_SAME = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
_OTHERS = {"max_completion_tokens": "gen_ai.request.max_tokens", "n": "gen_ai.request.choice.count"}
_PARAMETERS: Final = {name: f"gen_ai.request.{name}" for name in _SAME} | _OTHERS
_CLIENT: Final = trace.SpanKind.CLIENT


class Telemetry:
    """Spans and metrics for OpenTelemetry: `VeniceClient(telemetry=Telemetry())`. Needs the extra `otel`.

    Args:
        tracer_provider: where spans go; the program's own, if not given.
        meter_provider: where metrics go, likewise.
        conventions: the version of OpenTelemetry's conventions whose names are used; the current one, if not given.
        capture_content: how many characters of the messages, and of the answer, the span of a chat may hold; 0 for none. No
            content of an end-to-end encrypted chat is ever recorded.

    Raises:
        ImportError: the extra is not installed.
        InvalidArgumentError: an argument is not allowed (a ValueError).
    """

    def __init__(
        self,
        *,
        tracer_provider: trace.TracerProvider | None = None,
        meter_provider: metrics.MeterProvider | None = None,
        conventions: Conventions = "genai-0.1",
        capture_content: int = 0,
    ) -> None:
        if conventions not in VERSIONS:
            raise InvalidArgumentError(f"conventions={conventions!r} must be one of {', '.join(VERSIONS)}")
        if isinstance(capture_content, bool) or not isinstance(capture_content, int) or capture_content < 0:
            raise InvalidArgumentError(f"capture_content={capture_content!r} must be a number of characters from 0")
        rows, column = [row.split() for row in TABLE.strip().splitlines()], VERSIONS.index(conventions)
        self._names, self._limit, self._renames = {row[0]: row[column] for row in rows}, capture_content, column > 0
        self._tracer = trace.get_tracer("venice_ai", __version__, tracer_provider)
        meter = metrics.get_meter("venice_ai", __version__, meter_provider)
        self.meters: list[tuple[str, metrics.Histogram, dict[str, Any]]] = []
        """Each measured value with its histogram, and the attributes that it has besides those of the chat."""
        for key, (metric, unit, bounds) in _METRICS.items():
            if (name := self._names[metric]) != "-":
                kind = key.removeprefix("gen_ai.usage.").removesuffix("_tokens")  # where input and output are one metric
                more = {"gen_ai.token.type": kind} if name == "gen_ai.client.token.usage" else {}
                self.meters.append((key, meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=bounds), more))
        self._common = lru_cache(maxsize=256)(self._common_attributes)

    def chat(self, body: Mapping[str, Any], base_url: str, *, stream: bool, private: bool) -> OpenSpan:
        """Begins the span of a chat; of a private one it records no content."""
        common = self._common(base_url, body["model"])
        attributes = common | {_PARAMETERS[name]: value for name, value in body.items() if name in _PARAMETERS}
        if (limit := 0 if private else self._limit) or stream:
            more: dict[str, Any] = {"gen_ai.request.stream": True} if stream else {}
            if limit:
                more["gen_ai.input.messages"] = _content(body["messages"], limit)
            attributes |= self.named(more)
        return OpenSpan(self, self._tracer.start_span(f"chat {body['model']}", None, _CLIENT, attributes), common, limit)

    def step(self, operation: str, name: str | None = None, identity: str | None = None) -> OpenSpan:
        """Begins the span of a tool (`execute_tool`) or of a tool loop (`invoke_agent`)."""
        more = {"gen_ai.tool.name": name, "gen_ai.tool.type": name and "function", "gen_ai.tool.call.id": identity}
        attributes = {"gen_ai.operation.name": operation} | {key: value for key, value in more.items() if value is not None}
        return OpenSpan(self, self._tracer.start_span(f"{operation} {name or ''}".strip(), attributes=self.named(attributes)))

    def named(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Attributes under the names that the chosen version of the conventions has; those that it lacks are left out."""
        if not self._renames:
            return attributes
        return {name: value for key, value in attributes.items() if (name := self._names.get(key, key)) != "-"}

    def join(self, headers: Mapping[str, str]) -> None:
        """Continues, in this task, the trace that a request's `traceparent` header names."""
        context.attach(TraceContextTextMapPropagator().extract(headers, context.Context()))

    def add_headers(self, headers: dict[str, str], span: OpenSpan | None = None) -> None:
        """Adds the trace headers of a span, or of the current one. No baggage, which may hold anything."""
        current = trace.get_current_span() if span is None else span.span
        trace_id, span_id, _, flags, state, valid = current.get_span_context()
        if valid:  # OpenTelemetry's own propagator takes several times as long
            headers["traceparent"] = "00-%032x-%016x-%02x" % (trace_id, span_id, flags)  # noqa: UP031  # takes half as long
            if state:
                headers["tracestate"] = state.to_header()

    def _common_attributes(self, base_url: str, model: str) -> dict[str, Any]:
        server = urlsplit(base_url)
        port = server.port or (443 if server.scheme == "https" else 80)
        attributes = {"server.address": server.hostname, "server.port": port, "gen_ai.operation.name": "chat"}
        return self.named(attributes | {"gen_ai.provider.name": "venice", "gen_ai.request.model": model})


class OpenSpan:
    """A span that ends once, at the latest when it is collected. That of a chat also records its answer and the metrics."""

    __slots__ = ("_began", "_common", "_context", "_limit", "_over", "_telemetry", "_token", "span")

    def __init__(self, telemetry: Telemetry, span: trace.Span, common: dict[str, Any] | None = None, limit: int = 0) -> None:
        self._telemetry, self._common, self._limit = telemetry, common, limit
        self.span: trace.Span = span
        self._began, self._over, self._context = perf_counter(), False, trace.set_span_in_context(span)
        self._token = None if common is None else context.attach(self._context)  # a chat's is the current span from now on

    async def follow(self, work: Coroutine[Any, Any, T], *, opens: bool = False) -> T:
        """Awaits a coroutine with this as the current span. Then the span ends, unless the coroutine only `opens` a stream."""
        token, self._token = self._token or context.attach(self._context), None
        try:
            found = await work
        except BaseException as error:
            self.end(getattr(error, "partial", None), type(error).__name__)  # what came was paid for
            raise
        finally:
            context.detach(token)
        if not opens:
            self.end(found)
        return found

    def attempted(self, attributes: Mapping[str, Any]) -> None:
        """Records an attempt that is over as an event of the span."""
        self.span.add_event("venice.attempt", attributes)

    def end(self, answer: Any = None, failure: str | None = None, first_chunk: float | None = None) -> None:
        """Ends the span, with what was answered or the class of what it failed with, whose message may repeat content."""
        if self._over:
            return
        self._over = True
        if self._token is not None:
            context.detach(self._token)
        attributes: dict[str, Any] = {}
        measured = dict(self._common or attributes)
        if self._common is not None:
            attributes = self._telemetry.named(_answered(answer, self._limit, first_chunk))
            if model := attributes.get("gen_ai.response.model"):
                measured["gen_ai.response.model"] = model
        if failure is not None and failure not in {"GeneratorExit", "StopAsyncIteration"}:  # not left, and not at its end
            self.span.set_status(trace.StatusCode.ERROR)
            attributes["error.type"] = measured["error.type"] = failure
        self.span.set_attributes(attributes)
        if self._common is not None:
            attributes["seconds"] = perf_counter() - self._began
            for name, meter, more in self._telemetry.meters:
                if (value := attributes.get(name)) is not None:
                    meter.record(value, measured | more if more else measured)
        self.span.end()

    def __del__(self) -> None:
        if not self._over:
            with suppress(Exception):  # at the interpreter's end
                self.end()


def _answered(answer: Any, limit: int, first_chunk: float | None) -> dict[str, Any]:
    """The attributes of an answer, any part of which may be missing or odd, with at most `limit` characters of content."""
    attributes: dict[str, Any] = {"gen_ai.response.time_to_first_chunk": first_chunk} if first_chunk is not None else {}
    stated = {name: getattr(answer, name, None) for name in ("model", "id")}
    attributes |= {f"gen_ai.response.{name}": value for name, value in stated.items() if isinstance(value, str)}
    choices = getattr(answer, "choices", ())
    if reasons := [found for choice in choices if isinstance(found := getattr(choice, "finish_reason", None), str)]:
        attributes["gen_ai.response.finish_reasons"] = reasons
    if isinstance(usage := getattr(answer, "usage", None), ChatUsage):
        attributes |= _tokens(usage)
    if limit and answer is not None:
        whole = answer.response() if isinstance(answer, Assembly) else answer
        if messages := [members(choice).get("message") for choice in items(whole.model_dump().get("choices"))]:
            attributes["gen_ai.output.messages"] = _content(messages, limit)
    return attributes


def _tokens(usage: ChatUsage) -> dict[str, Any]:
    attributes: dict[str, Any] = {"gen_ai.usage.input_tokens": usage.prompt_tokens}
    attributes["gen_ai.usage.output_tokens"] = usage.completion_tokens
    if len(vars(usage)) > 3:  # else there are only the sums
        attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
        attributes["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens or None
    return {name: tokens for name, tokens in attributes.items() if tokens.__class__ is int}


def _content(messages: Iterable[Any], left: int) -> str:
    """Messages in the JSON of the conventions, with at most `left` characters of content."""
    converted: list[dict[str, Any]] = []
    for message in map(members, messages):
        parts: list[dict[str, Any]] = [{"type": "text", "content": content_text(message.get("content")) or ""}]
        for call in items(message.get("tool_calls")):
            function = members(members(call).get("function"))
            parts.append({"type": "tool_call", "name": function.get("name"), "arguments": str(function.get("arguments"))})
        for part in parts:
            cut = "arguments" if "arguments" in part else "content"
            part[cut] = part[cut][:left]
            left -= len(part[cut])
        converted.append({"role": message.get("role"), "parts": parts})
    return json.dumps(converted, ensure_ascii=False)
