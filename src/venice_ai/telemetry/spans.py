"""`Telemetry`: a span for each chat, tool and tool loop, and metrics of chats. Usage stands on the spans of chats alone."""

from __future__ import annotations

import json
from collections.abc import Coroutine, Iterable, Mapping
from contextlib import suppress
from time import perf_counter
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

try:
    from opentelemetry import context, metrics, trace
except ImportError as missing:
    raise ImportError("telemetry needs the extra 'otel': pip install 'venice-chat[otel]'") from missing

from .._core.json_values import items, members
from .._version import __version__
from .._wire.assembly import Assembly
from ..exceptions import InvalidArgumentError
from ..types.api.chat import ChatUsage, content_text
from .names import VERSIONS, Conventions, names

T = TypeVar("T")
# Units and boundaries of histograms, as the conventions want them.
_SECONDS: Final = "s", [0.01 * 2**power for power in range(14)]
_TOKENS: Final = "{token}", [4**power for power in range(14)]
_METRICS: Final = {"seconds": _SECONDS, "first chunk": _SECONDS, "input": _TOKENS, "output": _TOKENS}
_SAME = ("temperature", "top_p", "top_k", "seed", "frequency_penalty", "presence_penalty")  # none tells content
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
        self._servers: dict[str, dict[str, Any]] = {}
        self._tracer = trace.get_tracer("venice_ai", __version__, tracer_provider)
        meter = metrics.get_meter("venice_ai", __version__, meter_provider)
        kind = self._names.get("gen_ai.token.type")
        self.meters: list[tuple[str, metrics.Histogram, dict[str, str]]] = [
            (
                told,
                meter.create_histogram(self._names[told], unit, explicit_bucket_boundaries_advisory=bounds),
                {kind: told} if kind and unit == "{token}" else {},
            )
            for told, (unit, bounds) in _METRICS.items()
            if told in self._names
        ]
        """What is measured, with its histogram and the attributes that it has besides those of the chat."""

    def chat(self, body: Mapping[str, Any], base_url: str, *, stream: bool, private: bool) -> OpenSpan:
        """The span of a chat that begins now, as the current span; of a private one no content is told."""
        metered = {**(self._servers.get(base_url) or self._server(base_url)), "gen_ai.request.model": body["model"]}
        told = {_PARAMETERS[name]: value for name, value in body.items() if name in _PARAMETERS}
        if stream:
            told["gen_ai.request.stream"] = True
        if limit := 0 if private else self._limit:
            told["gen_ai.input.messages"] = _content(body["messages"], limit)
        told = metered | self.named(told) if told else metered
        span = self._tracer.start_span(f"chat {body['model']}", None, trace.SpanKind.CLIENT, told)
        return OpenSpan(self, span, metered, limit).enter()

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

    def _server(self, base_url: str) -> dict[str, Any]:
        """What is told of every chat with a server."""
        server = urlsplit(base_url)
        told = {"server.address": server.hostname, "server.port": server.port or (443 if server.scheme == "https" else 80)}
        told |= {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "venice"}
        return self._servers.setdefault(base_url, self.named(told))

    def headers(self) -> dict[str, str]:
        """The headers that tell which trace a request belongs to: no baggage, which may hold anything."""
        now = trace.get_current_span().get_span_context()
        if not now.is_valid:
            return {}
        state = {"tracestate": now.trace_state.to_header()} if now.trace_state else {}
        return {"traceparent": f"00-{now.trace_id:032x}-{now.span_id:016x}-{now.trace_flags:02x}", **state}


class OpenSpan:
    """A span that ends once, at the latest when nobody has it any more; a chat's, which has metrics, tells of its answer."""

    def __init__(self, telemetry: Telemetry, span: trace.Span, metered: dict[str, Any] | None = None, limit: int = 0) -> None:
        self._telemetry, self._span, self._metered, self._limit = telemetry, span, metered, limit
        self._began, self._over = perf_counter(), False
        self._token: Any = None  # while it is the current span

    def enter(self) -> Self:
        """Makes it the current span."""
        self._token = context.attach(trace.set_span_in_context(self._span))
        return self

    async def follow(self, work: Coroutine[Any, Any, T], *, opens: bool = False) -> T:
        """What a coroutine gives, with this as the current span. Then the span ends, unless it only `opens` what goes on."""
        if self._token is None:
            self.enter()
        try:
            found = await work
        except BaseException as error:
            self.failed(error)
            raise
        self._leave()
        if not opens:
            self.ended(found)
        return found

    def failed(self, error: BaseException) -> None:
        """Ends the span with an error, and with what had been answered until then, which was paid for."""
        self._leave()
        self.ended(getattr(error, "partial", None), failure=type(error).__name__)

    def _leave(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            context.detach(token)

    def attempted(self, number: int, status: int | None, failure: str | None, **told: float | str | None) -> None:
        """An attempt is over: told are its wait and its duration, in seconds, and its request_id."""
        attempt: dict[str, Any] = {"venice.attempt.number": number, "http.response.status_code": status, "error.type": failure}
        attempt |= {f"venice.attempt.{name}": value for name, value in told.items()}
        self._span.add_event("venice.attempt", self._telemetry.named(attempt))

    def ended(self, answer: Any = None, *, failure: str | None = None, first_chunk: float | None = None) -> None:
        """Ends the span, with what was answered or the class of what it failed with, whose message may repeat content."""
        if self._over:
            return
        self._over = True
        if failure in {"GeneratorExit", "StopAsyncIteration"}:  # it was left, or is at its end
            failure = None
        if failure is not None:
            self._span.set_status(trace.StatusCode.ERROR)
        told: dict[str, Any] = {"error.type": failure}
        if self._metered is not None:
            told |= self._answered(answer, first_chunk)
            self._measure(self._metered, told)
        self._span.set_attributes(self._telemetry.named(told))
        self._span.end()

    def _answered(self, answer: Any, first_chunk: float | None) -> dict[str, Any]:
        """What the span tells of an answer, of which any part may be missing or odd."""
        told: dict[str, Any] = {"gen_ai.response.time_to_first_chunk": first_chunk}
        if answer is None:
            return told
        told |= {"gen_ai.response.model": getattr(answer, "model", None), "gen_ai.response.id": getattr(answer, "id", None)}
        reasons = [getattr(choice, "finish_reason", None) for choice in getattr(answer, "choices", ())]
        told["gen_ai.response.finish_reasons"] = [reason for reason in reasons if isinstance(reason, str)] or None
        if isinstance(usage := getattr(answer, "usage", None), ChatUsage):
            told["gen_ai.usage.input_tokens"] = usage.prompt_tokens
            told["gen_ai.usage.output_tokens"] = usage.completion_tokens
            told["gen_ai.usage.cache_read.input_tokens"] = usage.cached_tokens or None
            told["gen_ai.usage.reasoning.output_tokens"] = usage.reasoning_tokens or None
        if self._limit:
            whole = answer.response() if isinstance(answer, Assembly) else answer
            said = [members(choice).get("message") for choice in items(whole.model_dump().get("choices"))]
            told["gen_ai.output.messages"] = _content(said, self._limit)
        return told

    def _measure(self, metered: dict[str, Any], told: Mapping[str, Any]) -> None:
        """Records the metrics of a chat."""
        attributes = metered | self._telemetry.named({name: told.get(name) for name in ("gen_ai.response.model", "error.type")})
        measured = {"seconds": perf_counter() - self._began, "first chunk": told["gen_ai.response.time_to_first_chunk"]}
        measured |= {kind: told.get(f"gen_ai.usage.{kind}_tokens") for kind in ("input", "output")}
        for name, meter, more in self._telemetry.meters:
            if isinstance(value := measured[name], (int, float)):
                meter.record(value, attributes | more if more else attributes)

    def __del__(self) -> None:
        with suppress(Exception):  # at the interpreter's end
            self.ended()


def _content(messages: Iterable[Any], left: int) -> str | None:
    """Messages in the JSON of the conventions, with so many characters of what they say; None without any."""
    told: list[dict[str, Any]] = []
    for message in map(members, messages):
        parts: list[dict[str, Any]] = [{"type": "text", "content": content_text(message.get("content")) or ""}]
        functions = [members(members(call).get("function")) for call in items(message.get("tool_calls"))]
        parts += [
            {"type": "tool_call", "name": each.get("name"), "arguments": str(each.get("arguments"))} for each in functions
        ]
        for part in parts:
            cut = "arguments" if "arguments" in part else "content"
            part[cut] = part[cut][:left]
            left -= len(part[cut])
        told.append({"role": message.get("role"), "parts": parts})
    return json.dumps(told, ensure_ascii=False) if told else None
