"""An entry of the model catalogue: prices, capabilities, deprecation.

Field meanings: Venice's API reference, models (https://docs.venice.ai/api-reference/endpoint/models/list).
"""

from __future__ import annotations

from typing import Any

from .._base import Model, Response


class Price(Model):
    """A price in US dollars and in DIEM; for text models, of 1,000,000 tokens."""

    usd: float | None = None
    diem: float | None = None


class ExtendedPricing(Model):
    """Rates for the whole request once its input exceeds `context_token_threshold` tokens."""

    context_token_threshold: int
    input: Price | None = None
    output: Price | None = None
    cache_input: Price | None = None
    cache_write: Price | None = None

    _nested = {"input": Price, "output": Price, "cache_input": Price, "cache_write": Price}


class ModelPricing(Model):
    """What a model costs. Text models have `input` and `output`; other kinds keep their own fields."""

    input: Price | None = None
    output: Price | None = None
    cache_input: Price | None = None
    cache_write: Price | None = None
    extended: ExtendedPricing | None = None

    _nested = {"input": Price, "output": Price, "cache_input": Price, "cache_write": Price, "extended": ExtendedPricing}


class ModelCapabilities(Model):
    """What a text model can do; absent means it was not said."""

    optimizedForCode: bool | None = None  # noqa: N815  # the wire's own names, here and below
    quantization: str | None = None
    supportsFunctionCalling: bool | None = None  # noqa: N815
    supportsAudioInput: bool | None = None  # noqa: N815
    supportsReasoning: bool | None = None  # noqa: N815
    supportsReasoningEffort: bool | None = None  # noqa: N815
    supportsResponseSchema: bool | None = None  # noqa: N815
    supportsMultipleImages: bool | None = None  # noqa: N815
    supportsVision: bool | None = None  # noqa: N815
    supportsVideoInput: bool | None = None  # noqa: N815
    supportsWebSearch: bool | None = None  # noqa: N815
    supportsLogProbs: bool | None = None  # noqa: N815
    supportsTeeAttestation: bool | None = None  # noqa: N815
    supportsE2EE: bool | None = None  # noqa: N815
    supportsXSearch: bool | None = None  # noqa: N815
    reasoningEffortOptions: list[str] | None = None  # noqa: N815
    defaultReasoningEffort: str | None = None  # noqa: N815


class ModelDeprecation(Model):
    """When a model goes, and what takes its place. Dates are ISO 8601 texts."""

    date: str | None = None
    startsAt: str | None = None  # noqa: N815
    removesAt: str | None = None  # noqa: N815
    replacementModelId: str | None = None  # noqa: N815
    autoRemap: bool | None = None  # noqa: N815


class ModelSpec(Model):
    """The details of a catalogue entry."""

    name: str | None = None
    description: str | None = None
    privacy: str | None = None
    offline: bool | None = None
    beta: bool | None = None
    betaModel: bool | None = None  # noqa: N815
    uncensored: bool | None = None
    availableContextTokens: int | None = None  # noqa: N815
    maxCompletionTokens: int | None = None  # noqa: N815
    traits: list[str] | None = None
    regionRestrictions: list[str] | None = None  # noqa: N815
    capabilities: ModelCapabilities | None = None
    constraints: dict[str, Any] | None = None
    pricing: ModelPricing | None = None
    deprecation: ModelDeprecation | None = None

    _nested = {"capabilities": ModelCapabilities, "pricing": ModelPricing, "deprecation": ModelDeprecation}


class ModelResponse(Model):
    """A model of the catalogue."""

    id: str
    type: str
    model_spec: ModelSpec
    object: str = "model"
    owned_by: str | None = None
    created: int | None = None
    context_length: int | None = None

    _nested = {"model_spec": ModelSpec}


class ModelsListResponse(Response):
    """The catalogue, or the part of it with one `type`."""

    data: list[ModelResponse]
    object: str = "list"
    type: str | None = None

    _nested = {"data": ModelResponse}
    _lists = frozenset({"data"})


class ModelMapResponse(Response):
    """Names that stand for model ids: traits such as `default_code`, or other vendors' model names."""

    data: dict[str, str]
    object: str = "list"
    type: str | None = None
