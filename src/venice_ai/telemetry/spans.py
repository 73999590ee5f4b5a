"""`Telemetry`: a span for each chat, tool and tool loop, and metrics of chats. Usage stands on the spans of chats alone."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from time import perf_counter
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

try:
    from opentelemetry import metrics, trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as missing:
    raise ImportError("telemetry needs the extra 'otel': pip install 'venice-chat[otel]'") from missing

from .._core.json_values import items, members
from .._core.ports import AttemptOutcome
from .._version import __version__
from .._wire.assembly import Assembly
from ..exceptions import InvalidArgumentError
from ..types.api.chat import ChatCompletionResponse, content_text
from .names import VERSIONS, Conventions, Names

T = TypeVar("T")
_SECONDS: Final = "s", [0.01 * 2**power for power in range(14)]
_TOKENS: Final = "{token}", [4**power for power in range(14)]
_METRICS: Final = {"seconds": _SECONDS, "first chunk": _SECONDS, "input": _TOKENS, "output": _TOKENS}
"""Histograms: their units and boundaries are those of the conventions."""
_PARAMETERS: Final = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")
"""Parameters that tell nothing of the content."""


class Telemetry:
    """Spans and metrics for OpenTelemetry: `VeniceClient(telemetry=Telemetry())`. Needs the extra `otel`.

    Args:
        tracer_provider: where spans go; the program's own, if not given.
        meter_provider: where metrics go, likewise.
        conventions: the version of OpenTelemetry's conventions whose names are used; the current one, if not given.
        capture_content: how many characters of what was asked, and of what was answered, the span of a chat may hold, from 0:
            none. Nothing is ever told of a chat that is end-to-end encrypted.

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
        self._limit = capture_content
        self._names = Names(conventions)
        self._tracer = trace.get_tracer("venice_ai", __version__, tracer_provider)
        meter = metrics.get_meter("venice_ai", __version__, meter_provider)
        self._meters = {
            told: meter.create_histogram(self._names[told], unit, explicit_bucket_boundaries_advisory=bounds)
            for told, (unit, bounds) in _METRICS.items()
            if told in self._names
        }

    def chat(self, body: Mapping[str, Any], base_url: str, *, stream: bool, private: bool) -> ChatSpan:
        """The span of a chat that begins now; of a private one nothing of the content is told."""
        server = urlsplit(base_url)
        common: dict[str, Any] = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "venice"}
        common |= {"gen_ai.request.model": body["model"], "server.address": server.hostname}
        common["server.port"] = server.port or (443 if server.scheme == "https" else 80)
        told = common | {f"gen_ai.request.{name}": body.get(name) for name in _PARAMETERS}
        told |= {"gen_ai.request.max_tokens": body.get("max_completion_tokens"), "gen_ai.request.choice.count": body.get("n")}
        limit = 0 if private else self._limit
        told |= {"gen_ai.request.stream": stream or None, "gen_ai.input.messages": _content(body["messages"], limit)}
        span = self._tracer.start_span(f"chat {body['model']}", None, trace.SpanKind.CLIENT, self._names.of(told))
        return ChatSpan(span, self._names, self._meters, common, limit)

    def step(self, operation: str, name: str | None = None, identity: str | None = None) -> OpenSpan:
        """The span of a tool (`execute_tool`), or of a tool loop (`invoke_agent`), that begins now."""
        told = {"gen_ai.operation.name": operation, "gen_ai.tool.name": name, "gen_ai.tool.call.id": identity}
        told["gen_ai.tool.type"] = name and "function"
        return OpenSpan(self._tracer.start_span(f"{operation} {name}" if name else operation, attributes=self._names.of(told)))

    def headers(self) -> dict[str, str]:
        """The headers that tell which trace a request belongs to: no baggage, which may hold anything."""
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        return carrier


class OpenSpan:
    """A span that ends once: at the latest when nobody has it any more."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span
        self._over = False

    def current(self) -> AbstractContextManager[object]:
        """Within it, this span is the parent of those that begin."""
        return trace.use_span(self._span, record_exception=False, set_status_on_exception=False)

    async def follow(self, work: Coroutine[Any, Any, T], *, opens: bool = False) -> T:
        """What a coroutine gives, with this span as the parent. Then the span ends, unless that was what `opens` a stream."""
        try:
            with self.current():
                found = await work
        except BaseException as error:
            self.ended(getattr(error, "partial", None), failure=type(error).__name__)  # which was paid for
            raise
        if not opens:
            self.ended(found)
        return found

    def ended(self, answer: Any = None, *, failure: str | None = None, first_chunk: float | None = None) -> None:
        """Ends the span, with what was answered or the class of what it failed with, whose message may repeat what was said."""
        if self._over:
            return
        self._over, failure = True, None if failure == "GeneratorExit" else failure  # whoever left had no failure
        if failure is not None:
            self._span.set_status(trace.StatusCode.ERROR)
            self._span.set_attribute("error.type", failure)
        self._tell(answer, failure, first_chunk)
        self._span.end()

    def _tell(self, answer: Any, failure: str | None, first_chunk: float | None) -> None:
        """Adds what a kind of span has to tell at its end."""

    def __del__(self) -> None:
        with suppress(Exception):  # at the interpreter's end
            self.ended()


class ChatSpan(OpenSpan):
    """The span of one chat, from its request to the one end of its answer; then its metrics are recorded."""

    def __init__(
        self, span: trace.Span, names: Names, meters: dict[str, metrics.Histogram], common: dict[str, Any], limit: int
    ) -> None:
        super().__init__(span)
        self._names, self._meters, self._common, self._limit = names, meters, common, limit
        self._began = perf_counter()

    def attempted(self, outcome: AttemptOutcome) -> None:
        """An attempt is over."""
        told: dict[str, Any] = {f"venice.attempt.{name}": getattr(outcome, name) for name in ("number", "request_id")}
        told |= {"venice.attempt.wait": outcome.waited, "venice.attempt.duration": outcome.seconds}
        told |= {"error.type": outcome.error, "http.response.status_code": outcome.status}
        self._span.add_event("venice.attempt", self._names.of(told))

    def _tell(self, answer: ChatCompletionResponse | Assembly | None, failure: str | None, first_chunk: float | None) -> None:
        usage, model = getattr(answer, "usage", None), getattr(answer, "model", None)
        tokens = {"input": getattr(usage, "prompt_tokens", None), "output": getattr(usage, "completion_tokens", None)}
        told = {f"gen_ai.usage.{kind}_tokens": count for kind, count in tokens.items()}
        told["gen_ai.usage.cache_read.input_tokens"] = getattr(usage, "cached_tokens", 0) or None
        told["gen_ai.usage.reasoning.output_tokens"] = getattr(usage, "reasoning_tokens", 0) or None
        reasons = [getattr(choice, "finish_reason", None) for choice in getattr(answer, "choices", ())]
        told["gen_ai.response.finish_reasons"] = [reason for reason in reasons if isinstance(reason, str)] or None
        told |= {"gen_ai.response.id": getattr(answer, "id", None), "gen_ai.response.model": model}
        if self._limit and answer is not None:
            whole = answer.response() if isinstance(answer, Assembly) else answer
            said = [members(choice).get("message") for choice in items(whole.model_dump().get("choices"))]
            told["gen_ai.output.messages"] = _content(said, self._limit)
        self._span.set_attributes(self._names.of(told | {"gen_ai.response.time_to_first_chunk": first_chunk}))
        common = {**self._common, "gen_ai.response.model": model, "error.type": failure}
        for each, value in {"seconds": perf_counter() - self._began, "first chunk": first_chunk, **tokens}.items():
            if isinstance(value, (int, float)) and each in self._meters:
                kind = {"gen_ai.token.type": each} if each in tokens else {}
                self._meters[each].record(value, self._names.of(common | kind))


def _content(messages: Iterable[Any], left: int) -> str | None:
    """Messages in the JSON of the conventions, with so many characters of what they say; None without any."""
    told: list[dict[str, Any]] = []
    for message in map(members, messages) if left else ():
        parts: list[dict[str, Any]] = [{"type": "text", "content": content_text(message.get("content")) or ""}]
        for call in map(members, items(message.get("tool_calls"))):
            function = members(call.get("function"))
            parts.append({"type": "tool_call", "name": function.get("name"), "arguments": str(function.get("arguments"))})
        for part in parts:
            cut = "arguments" if "arguments" in part else "content"
            part[cut] = part[cut][:left]
            left -= len(part[cut])
        told.append({"role": message.get("role"), "parts": parts})
    return json.dumps(told, ensure_ascii=False) if told else None
