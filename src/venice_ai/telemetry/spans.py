"""`Telemetry`: a span for each chat, tool and tool loop, and metrics of chats. Usage stands on the spans of chats alone."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as missing:
    raise ImportError("telemetry needs the extra 'otel': pip install 'venice-chat[otel]'") from missing

from .._core.json_values import items, members
from .._version import __version__
from .._wire.assembly import Assembly
from ..exceptions import InvalidArgumentError
from ..types.api.chat import ChatUsage, content_text
from .names import VERSIONS, Conventions, names

T = TypeVar("T")
# What is measured, with units and boundaries as the conventions want them, and the type of tokens.
_SECONDS: Final = "s", [0.01 * 2**power for power in range(14)], None
_METRICS: Final = {"seconds": _SECONDS, "gen_ai.response.time_to_first_chunk": _SECONDS} | {
    f"gen_ai.usage.{kind}_tokens": ("{token}", [4**power for power in range(14)], kind) for kind in ("input", "output")
}
# The parameters of a chat that are told; none holds content.
_SAME = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
_OTHERS = {"max_completion_tokens": "gen_ai.request.max_tokens", "n": "gen_ai.request.choice.count"}
_PARAMETERS: Final = {name: f"gen_ai.request.{name}" for name in _SAME} | _OTHERS
_VALUES: Final = (str, int, float, list)


class Telemetry:
    """Spans and metrics for OpenTelemetry: `VeniceClient(telemetry=Telemetry())`. Needs the extra `otel`.

    Args:
        tracer_provider: where spans go; the program's own, if not given.
        meter_provider: where metrics go, likewise.
        conventions: the version of OpenTelemetry's conventions whose names are used; the current one, if not given.
        capture_content: how many characters of the messages, and of the answer, the span of a chat may hold; 0 for none. No
            content of an end-to-end encrypted chat is ever told.

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
        self._names, self._limit = names(conventions), capture_content
        self._tracer = trace.get_tracer("venice_ai", __version__, tracer_provider)
        meter = metrics.get_meter("venice_ai", __version__, meter_provider)
        self._meters: list[tuple[str, metrics.Histogram, dict[str, Any]]] = [
            (told, meter.create_histogram(name, unit, explicit_bucket_boundaries_advisory=bounds), self.named(more))
            for told, (unit, bounds, kind) in _METRICS.items()
            if (name := self._names.get(f"of {told}")) and (more := {"gen_ai.token.type": kind})
        ]
        self.add_headers: Any = TraceContextTextMapPropagator().inject
        """Adds the headers that tell which trace a request belongs to: no baggage, which may hold anything."""

    def chat(self, body: Mapping[str, Any], base_url: str, *, stream: bool, private: bool) -> OpenSpan:
        """The span of a chat that begins now; of a private one no content is told."""
        server = urlsplit(base_url)
        told = {"server.address": server.hostname, "server.port": server.port or (443 if server.scheme == "https" else 80)}
        told |= {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "venice", "gen_ai.request.model": body["model"]}
        metered = self.named(told)
        told = {_PARAMETERS[name]: value for name, value in body.items() if name in _PARAMETERS}
        told["gen_ai.request.stream"] = stream or None
        if limit := 0 if private else self._limit:
            told["gen_ai.input.messages"] = _content(body["messages"], limit)
        span = self._tracer.start_span(f"chat {body['model']}", None, trace.SpanKind.CLIENT, metered | self.named(told))
        return OpenSpan(self, span, metered, limit)

    def step(self, operation: str, name: str | None = None, identity: str | None = None) -> OpenSpan:
        """The span of a tool (`execute_tool`), or of a tool loop (`invoke_agent`), that begins now."""
        told = {"gen_ai.operation.name": operation, "gen_ai.tool.name": name, "gen_ai.tool.call.id": identity}
        told["gen_ai.tool.type"] = name and "function"
        span = self._tracer.start_span(f"{operation} {name}" if name else operation, attributes=self.named(told))
        return OpenSpan(self, span)

    def named(self, told: Mapping[str, Any]) -> dict[str, Any]:
        """What is told, by its names; what has none, or no value that an attribute can have, is left out."""
        known = self._names
        return {known[each]: value for each, value in told.items() if isinstance(value, _VALUES) and each in known}

    def measure(self, told: Mapping[str, Any], attributes: dict[str, Any]) -> None:
        """Records the metrics of a chat, as far as they are numbers."""
        for each, meter, more in self._meters:
            if isinstance(value := told.get(each), (int, float)):
                meter.record(value, attributes | more)


class OpenSpan:
    """A span that ends once, at the latest when nobody has it any more; a chat's, which has metrics, tells of its answer."""

    def __init__(self, telemetry: Telemetry, span: trace.Span, metered: dict[str, Any] | None = None, limit: int = 0) -> None:
        self._telemetry, self._span, self._metered, self._limit = telemetry, span, metered, limit
        self._began, self._over = perf_counter(), False

    async def follow(self, work: Coroutine[Any, Any, T], *, opens: bool = False) -> T:
        """What a coroutine gives, with this as the current span. Then the span ends, unless it only `opens` what goes on."""
        token = context.attach(trace.set_span_in_context(self._span))
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

    def attempted(self, number: int, status: int | None, failure: str | None, **told: float | str | None) -> None:
        """An attempt is over: told are its wait and its duration, in seconds, and its request_id."""
        attempt: dict[str, Any] = {"venice.attempt.number": number, "http.response.status_code": status, "error.type": failure}
        attempt |= {f"venice.attempt.{name}": value for name, value in told.items()}
        self._span.add_event("venice.attempt", self._telemetry.named(attempt))

    def end(self, answer: Any = None, failure: str | None = None, first_chunk: float | None = None) -> None:
        """Ends the span, with what was answered or the class of what it failed with, whose message may repeat content."""
        if self._over:
            return
        self._over = True
        failure = None if failure in {"GeneratorExit", "StopAsyncIteration"} else failure  # it was left, or is at its end
        told: dict[str, Any] = {"error.type": failure}
        if failure is not None:
            self._span.set_status(trace.StatusCode.ERROR)
        if self._metered is not None:
            told |= {"gen_ai.response.time_to_first_chunk": first_chunk, **_answered(answer, self._limit)}
            known = self._telemetry.named({name: told[name] for name in ("error.type", "gen_ai.response.model")})
            self._telemetry.measure({**told, "seconds": perf_counter() - self._began}, self._metered | known)
        self._span.set_attributes(self._telemetry.named(told))
        self._span.end()

    def __del__(self) -> None:
        with suppress(Exception):  # at the interpreter's end
            self.end()


def _answered(answer: Any, limit: int) -> dict[str, Any]:
    """What a span tells of an answer, any part of which may be missing or odd, with so many characters of content."""
    told: dict[str, Any] = {f"gen_ai.response.{name}": getattr(answer, name, None) for name in ("model", "id")}
    reasons = [getattr(choice, "finish_reason", None) for choice in getattr(answer, "choices", ())]
    told["gen_ai.response.finish_reasons"] = [reason for reason in reasons if isinstance(reason, str)] or None
    if isinstance(usage := getattr(answer, "usage", None), ChatUsage):
        told["gen_ai.usage.input_tokens"], told["gen_ai.usage.output_tokens"] = usage.prompt_tokens, usage.completion_tokens
        told["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
        told["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens or None
    if limit and answer is not None:
        whole = answer.response() if isinstance(answer, Assembly) else answer
        said = [members(choice).get("message") for choice in items(whole.model_dump().get("choices"))]
        told["gen_ai.output.messages"] = _content(said, limit)
    return told


def _content(messages: Iterable[Any], left: int) -> str | None:
    """Messages in the JSON of the conventions, with so many characters of what they say; None without any."""
    told: list[dict[str, Any]] = []
    for message in map(members, messages):
        parts: list[dict[str, Any]] = [{"type": "text", "content": content_text(message.get("content")) or ""}]
        for call in items(message.get("tool_calls")):
            function = members(members(call).get("function"))
            parts.append({"type": "tool_call", "name": function.get("name"), "arguments": str(function.get("arguments"))})
        for part in parts:
            cut = "arguments" if "arguments" in part else "content"
            part[cut] = part[cut][:left]
            left -= len(part[cut])
        told.append({"role": message.get("role"), "parts": parts})
    return json.dumps(told, ensure_ascii=False) if told else None
