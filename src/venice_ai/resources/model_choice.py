"""Which model of the catalogue to take: reading its entries, and the rule behind `client.models.resolve_chat`.

An entry may be odd, or say nothing of its model, as on servers that answer in OpenAI's shape; it must not hide the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, cast

from .._core.json_values import items
from ..exceptions import InvalidArgumentError, NoMatchingModelError
from ..types.api.models import ModelResponse, ModelSpec

_NO_SPEC = ModelSpec()

CAPABILITIES = {
    "require_function_calling": "supportsFunctionCalling",
    "require_vision": "supportsVision",
    "require_reasoning": "supportsReasoning",
    "require_reasoning_effort": "supportsReasoningEffort",
    "require_code_optimization": "optimizedForCode",
    "require_response_schema": "supportsResponseSchema",
    "require_web_search": "supportsWebSearch",
    "require_multiple_images": "supportsMultipleImages",
    "require_audio_input": "supportsAudioInput",
    "require_video_input": "supportsVideoInput",
    "require_log_probs": "supportsLogProbs",
    "require_e2ee": "supportsE2EE",
    "require_tee": "supportsTeeAttestation",
}
"""The capability in a catalogue entry that each requirement asks for."""


def choose(models: object, wishes: Mapping[str, Any], *, now: float) -> ModelResponse:
    """The model that fits `wishes`, arguments of `Models.resolve_chat`, at this Unix time; or a NoMatchingModelError."""
    listed = list(entries(models))
    fitting = [model for model in listed if _fits(model, wishes, now)]
    by_id = {model.id: model for model in fitting}
    for preferred in wishes.get("preferred_models", ()):
        if preferred in by_id:
            return by_id[preferred]
    in_enclave = wishes.get("require_e2ee") or wishes.get("require_tee")
    ordinary = [each for each in fitting if spec_of(each) is not _NO_SPEC and (in_enclave or not each.id.startswith("e2ee-"))]
    if listed and all(spec_of(model) is _NO_SPEC for model in listed):
        remedy = f"name one: preferred_models=[{listed[0].id!r}]"
        raise NoMatchingModelError(f"{len(listed)} models are listed, none says what it can do; {remedy}")
    if not ordinary:
        criteria = {name: wish for name, wish in wishes.items() if wish and name not in {"prefer", "exclude_beta"}}
        demands = ", ".join(f"{name}={wish!r}" for name, wish in criteria.items())
        lack = f"no chat model fits {demands}. Ask for less" if demands else "no chat model is online. Try again later"
        raise NoMatchingModelError(f"{lack}, or see client.models.list()")
    if wishes.get("prefer") == "cheapest" and (priced := [model for model in ordinary if _price(model) is not None]):
        return min(priced, key=lambda model: _price(model) or 0.0)
    for trait in ("function_calling_default", "default") if wishes.get("require_function_calling") else ("default",):
        if found := next((model for model in ordinary if trait in items(model.model_spec.traits)), None):
            return found
    unreasoning = [model for model in ordinary if not can(model, "supportsReasoning")]
    return (ordinary if wishes.get("require_reasoning") or not unreasoning else unreasoning)[0]


def spec_of(model: ModelResponse) -> ModelSpec:
    """The specification of an entry; `_NO_SPEC` where it has none, as in a catalogue in OpenAI's shape."""
    return model.model_spec if isinstance(model.model_spec, ModelSpec) else _NO_SPEC


def _fits(model: ModelResponse, wishes: Mapping[str, Any], now: float) -> bool:
    spec = spec_of(model)
    context = spec.get("availableContextTokens") or model.get("context_length")
    least = wishes.get("min_context_tokens", 0)
    return (
        # An entry without a specification fits a caller who asks for nothing, and names it.
        (model.type == "text" or (model.type is None and spec is _NO_SPEC))
        and not (spec.get("offline") is True or retired(spec, now))
        and all(can(model, flag) for wish, flag in CAPABILITIES.items() if wishes.get(wish))
        and model.id not in wishes.get("exclude_models", ())
        and not (wishes.get("exclude_beta", True) and (spec.get("beta") is True or spec.get("betaModel") is True))
        and not (wishes.get("exclude_reasoning") and can(model, "supportsReasoning"))
        and not (wishes.get("exclude_uncensored") and spec.get("uncensored") is True)
        and not (wishes.get("require_private") and spec.get("privacy") != "private")
        and not (wishes.get("require_prompt_caching") and getattr(spec.pricing, "cache_input", None) is None)
        and (not least or (isinstance(context, (int, float)) and context >= least))
    )


def can(model: ModelResponse, flag: str) -> bool:
    """Whether an entry says that its model has a capability."""
    return getattr(getattr(model.model_spec, "capabilities", None), flag, None) is True


def retired(spec: ModelSpec, now: float) -> bool:
    """Whether a model has left the catalogue by now, or should have."""
    date = getattr(spec.deprecation, "removesAt", None) or getattr(spec.deprecation, "date", None)
    try:
        at = datetime.fromisoformat(date) if isinstance(date, str) else None
        return at is not None and (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() <= now
    except (ValueError, OverflowError):
        return False


def _price(model: ModelResponse) -> float | None:
    sides = (getattr(model.model_spec.pricing, side, None) for side in ("input", "output"))
    prices = [price for side in sides if isinstance(price := getattr(side, "usd", None), (int, float))]
    return sum(prices) if len(prices) == 2 else None


def find_entry(models: object, name: object) -> ModelResponse | None:
    """The entry with this id, or None."""
    return next((model for model in entries(models) if model.id == name), None)


def entries(models: object) -> Iterator[ModelResponse]:
    """The entries that have at least an id; an odd one must not hide the rest."""
    for model in cast("list[object]", models) if isinstance(models, list) else ():
        if isinstance(model, ModelResponse) and isinstance(model.id, str):
            yield model


def without_suffix(model: str) -> str:
    """A model's name without its feature suffix; an InvalidArgumentError for a value that is not one."""
    if not isinstance(model, str) or not model.strip():
        raise InvalidArgumentError(f"model={model!r} is not a model id; client.models.list() shows all")
    return model.strip().partition(":")[0]
