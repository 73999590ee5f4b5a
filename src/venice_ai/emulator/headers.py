"""The headers that Venice adds to its answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from venice_ai.types.api.models import ModelResponse

VERSION = "20261002.120000"
_REQUESTS_A_MINUTE = 500
_TOKENS_A_MINUTE = 1_000_000
_ENCLAVE = {"X-Venice-TEE": "true", "X-Venice-TEE-Provider": "emulator"}


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
        **(_ENCLAVE if model.model_spec.capabilities and model.model_spec.capabilities.supportsTeeAttestation else {}),
    }


ANY_ORIGIN = {"access-control-allow-origin": "*", "access-control-expose-headers": "*"}
"""What lets pages of any origin read an answer (https://fetch.spec.whatwg.org/#http-cors-protocol)."""


def preflight_headers(asked: Mapping[str, str]) -> dict[str, str]:
    """The answer to a browser that asks what a page may send. A `*` would not allow `Authorization`."""
    return {
        **ANY_ORIGIN,
        "access-control-allow-methods": "GET, POST, DELETE, OPTIONS",
        "access-control-allow-headers": asked.get("access-control-request-headers", "*"),
        "access-control-max-age": "86400",
    }


def rate_limits(models: Iterable[ModelResponse], now: float) -> dict[str, Any]:
    """What a key may do, as `GET /api_keys/rate_limits` tells it; the numbers are those of the headers."""
    midnight = datetime.fromtimestamp((int(now) // 86_400 + 1) * 86_400, UTC)
    kinds = [{"amount": _REQUESTS_A_MINUTE, "type": "RPM"}, {"amount": _TOKENS_A_MINUTE, "type": "TPM"}]
    return {
        "accessPermitted": True,
        "apiTier": {"id": "paid", "isCharged": True},
        "balances": {"USD": 25.0, "DIEM": 0.0},
        "keyExpiration": None,
        "nextEpochBegins": midnight.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "rateLimits": [{"apiModelId": model.id, "rateLimits": kinds} for model in models],
    }


def _deprecation_headers(model: ModelResponse) -> dict[str, str]:
    deprecation = model.model_spec.deprecation
    if deprecation is None:
        return {}
    instead = f" Use {deprecation.replacementModelId} instead." if deprecation.replacementModelId else ""
    warning = f"The model {model.id} is deprecated and will be retired.{instead}"
    date = deprecation.removesAt or deprecation.date
    return {"x-venice-model-deprecation-warning": warning, **({"x-venice-model-deprecation-date": date} if date else {})}
