"""The names of attributes and metrics: one table, with a column for each version of OpenTelemetry's conventions.

Until 1.41 they are https://github.com/open-telemetry/semantic-conventions, then those of `semantic-conventions-genai` there.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Conventions: TypeAlias = Literal["genai-0.1", "semconv-1.41", "semconv-1.36"]
VERSIONS: Final = ("genai-0.1", "semconv-1.41", "semconv-1.36")
_SAME = """gen_ai.operation.name gen_ai.request.choice.count gen_ai.request.frequency_penalty gen_ai.request.max_tokens
gen_ai.request.model gen_ai.request.presence_penalty gen_ai.request.seed gen_ai.request.temperature gen_ai.request.top_k
gen_ai.request.top_p gen_ai.response.finish_reasons gen_ai.response.id gen_ai.response.model gen_ai.tool.call.id
gen_ai.tool.name gen_ai.tool.type gen_ai.usage.input_tokens gen_ai.usage.output_tokens error.type http.response.status_code
server.address server.port venice.attempt.duration venice.attempt.number venice.attempt.request_id venice.attempt.wait"""
_SINCE_1_37 = """gen_ai.input.messages gen_ai.output.messages gen_ai.request.stream gen_ai.response.time_to_first_chunk
gen_ai.usage.cache_read.input_tokens gen_ai.usage.reasoning.output_tokens"""
_CALL, _METER, _TOKENS = "gen_ai.client.inference", "gen_ai.client.operation", "gen_ai.client.token.usage"
_TABLE: Final[dict[str, tuple[str | None, str | None, str | None]]] = {
    **{name: (name, name, name) for name in _SAME.split()},
    **{name: (name, name, None) for name in _SINCE_1_37.split()},
    "gen_ai.provider.name": ("gen_ai.provider.name", "gen_ai.provider.name", "gen_ai.system"),
    "gen_ai.token.type": (None, "gen_ai.token.type", "gen_ai.token.type"),
    # The metrics of what is told by these names on spans, and of seconds.
    "of seconds": (f"{_CALL}.duration", f"{_METER}.duration", f"{_METER}.duration"),
    "of gen_ai.response.time_to_first_chunk": (f"{_CALL}.time_to_first_chunk", f"{_METER}.time_to_first_chunk", None),
    "of gen_ai.usage.input_tokens": (f"{_CALL}.operation.input_tokens", _TOKENS, _TOKENS),
    "of gen_ai.usage.output_tokens": (f"{_CALL}.operation.output_tokens", _TOKENS, _TOKENS),
}


def names(version: Conventions) -> dict[str, str]:
    """What is told, and its name in a version; what has none there is not told."""
    return {told: name for told, row in _TABLE.items() if (name := row[VERSIONS.index(version)]) is not None}
