"""The headers that Venice adds to its answers."""

from __future__ import annotations

from venice_ai.types.api.models import ModelResponse

from . import chance

VERSION = "20261002.120000"
_REQUESTS_A_MINUTE = 500
_TOKENS_A_MINUTE = 1_000_000


def service_headers(number: int) -> dict[str, str]:
    """The headers of every answer; `number` makes the request's id."""
    return {"CF-RAY": f"{chance.hexes(16, 'ray', number)}-EMU", "x-venice-version": VERSION}


def model_headers(model: ModelResponse, now: float) -> dict[str, str]:
    """The headers of an answer that a model gave, or should have given; `now` is Unix time.

    The rate limits are never used up: whoever wants to meet one scripts it.
    """
    minute_ends = (int(now) // 60 + 1) * 60
    return {
        "x-venice-model-id": model.id,
        "x-venice-model-name": model.model_spec.name or model.id,
        "x-venice-balance-usd": "25.00",
        "x-ratelimit-limit-requests": str(_REQUESTS_A_MINUTE),
        "x-ratelimit-remaining-requests": str(_REQUESTS_A_MINUTE - 1),
        "x-ratelimit-reset-requests": str(minute_ends * 1000),
        "x-ratelimit-limit-tokens": str(_TOKENS_A_MINUTE),
        "x-ratelimit-remaining-tokens": str(_TOKENS_A_MINUTE - 2_000),
        "x-ratelimit-reset-tokens": str(minute_ends - int(now)),
        "x-ratelimit-type": "user",
        **_deprecation_headers(model),
        **_enclave_headers(model),
    }


def _deprecation_headers(model: ModelResponse) -> dict[str, str]:
    deprecation = model.model_spec.deprecation
    if deprecation is None:
        return {}
    instead = f" Use {deprecation.replacementModelId} instead." if deprecation.replacementModelId else ""
    warning = f"The model {model.id} is deprecated and will be retired.{instead}"
    date = deprecation.removesAt or deprecation.date
    return {
        "x-venice-model-deprecation-warning": warning,
        **({"x-venice-model-deprecation-date": date} if date else {}),
    }


def _enclave_headers(model: ModelResponse) -> dict[str, str]:
    capabilities = model.model_spec.capabilities
    if capabilities is None or not capabilities.supportsTeeAttestation:
        return {}
    return {"X-Venice-TEE": "true", "X-Venice-TEE-Provider": "emulator"}
