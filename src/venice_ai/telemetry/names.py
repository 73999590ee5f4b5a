"""The names of attributes and metrics: one table, with a column for each version of OpenTelemetry's conventions.

Until 1.41 they are https://github.com/open-telemetry/semantic-conventions, then those of `semantic-conventions-genai` there.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

Conventions: TypeAlias = Literal["genai-0.1", "semconv-1.41", "semconv-1.36"]
VERSIONS: Final = ("genai-0.1", "semconv-1.41", "semconv-1.36")
_SAME = (
    "gen_ai.operation.name gen_ai.output.type gen_ai.request.choice.count gen_ai.request.frequency_penalty "
    "gen_ai.request.max_tokens gen_ai.request.model gen_ai.request.presence_penalty gen_ai.request.seed "
    "gen_ai.request.temperature gen_ai.request.top_k gen_ai.request.top_p gen_ai.response.finish_reasons gen_ai.response.id "
    "gen_ai.response.model gen_ai.tool.call.id gen_ai.tool.name gen_ai.tool.type gen_ai.usage.input_tokens "
    "gen_ai.usage.output_tokens error.type http.response.status_code server.address server.port venice.attempt.duration "
    "venice.attempt.number venice.attempt.request_id venice.attempt.wait"
)
_SINCE_1_37 = (
    "gen_ai.input.messages gen_ai.output.messages gen_ai.request.stream gen_ai.response.time_to_first_chunk "
    "gen_ai.usage.cache_read.input_tokens gen_ai.usage.reasoning.output_tokens"
)
_TABLE: Final[dict[str, tuple[str | None, str | None, str | None]]] = {
    **{name: (name, name, name) for name in _SAME.split()},
    **{name: (name, name, None) for name in _SINCE_1_37.split()},
    "gen_ai.provider.name": ("gen_ai.provider.name", "gen_ai.provider.name", "gen_ai.system"),
    "gen_ai.token.type": (None, "gen_ai.token.type", "gen_ai.token.type"),
    # Metrics.
    "seconds": ("gen_ai.client.inference.duration", "gen_ai.client.operation.duration", "gen_ai.client.operation.duration"),
    "first chunk": ("gen_ai.client.inference.time_to_first_chunk", "gen_ai.client.operation.time_to_first_chunk", None),
    "input": ("gen_ai.client.inference.operation.input_tokens", "gen_ai.client.token.usage", "gen_ai.client.token.usage"),
    "output": ("gen_ai.client.inference.operation.output_tokens", "gen_ai.client.token.usage", "gen_ai.client.token.usage"),
}
"""What is told, and its name in each version; None where a version has none: then it is not told."""


def names(version: Conventions) -> dict[str, str]:
    """What a version has names for, and these."""
    column = VERSIONS.index(version)
    return {told: name for told, row in _TABLE.items() if (name := row[column]) is not None}
