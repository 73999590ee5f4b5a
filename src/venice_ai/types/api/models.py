"""An entry of the model catalogue: prices, capabilities, deprecation.

Field meanings: Venice's API reference, models (https://docs.venice.ai/api-reference/endpoint/models/list).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from typing import Any

from .._base import Model, Response, fixed


class Price(Model):
    """A price in US dollars and in DIEM; for text models, of 1,000,000 tokens."""

    usd: float | None = None
    """US dollars."""
    diem: float | None = None
    """DIEM."""


class Rates(Model):
    """Prices of the tokens of a request."""

    input: Price | None = None
    """For input."""
    output: Price | None = None
    """For output."""
    cache_input: Price | None = None
    """For input read from the cache; if the model has no such price, that of `input` applies."""
    cache_write: Price | None = None
    """For input written to the cache; may be below `input`."""


class ExtendedPricing(Rates):
    """Rates for the whole request once its input exceeds `context_token_threshold` tokens."""

    context_token_threshold: int
    """Input tokens above which these rates hold."""


class ModelPricing(Rates):
    """The prices of a model. Text models have `input` and `output`; other kinds keep their own fields."""

    extended: ExtendedPricing | None = None
    """Rates for long inputs."""


class ModelCapabilities(Model):
    """The capabilities of a text model; absent means it was not said."""

    optimizedForCode: bool | None = None  # noqa: N815  # the wire's own names, here and below
    """Made for code."""
    quantization: str | None = None
    """`fp4`, `fp8`, `fp16`, `bf16`, `int8`, `int4` or `not-available`."""
    supportsFunctionCalling: bool | None = None  # noqa: N815
    """Takes `tools`."""
    supportsAudioInput: bool | None = None  # noqa: N815
    """Takes audio parts."""
    supportsReasoning: bool | None = None  # noqa: N815
    """Reasons before it answers."""
    supportsReasoningEffort: bool | None = None  # noqa: N815
    """Takes `reasoning_effort`."""
    supportsResponseSchema: bool | None = None  # noqa: N815
    """Heeds a schema in `response_format`."""
    supportsMultipleImages: bool | None = None  # noqa: N815
    """Takes several images."""
    supportsVision: bool | None = None  # noqa: N815
    """Takes image parts."""
    supportsVideoInput: bool | None = None  # noqa: N815
    """Takes video parts."""
    supportsWebSearch: bool | None = None  # noqa: N815
    """Can search the web."""
    supportsLogProbs: bool | None = None  # noqa: N815
    """Gives log probabilities."""
    supportsTeeAttestation: bool | None = None  # noqa: N815
    """Runs in an enclave that can be attested."""
    supportsE2EE: bool | None = None  # noqa: N815
    """Takes end-to-end encrypted chats."""
    supportsXSearch: bool | None = None  # noqa: N815
    """Can search X."""
    reasoningEffortOptions: list[str] | None = None  # noqa: N815
    """The efforts it knows."""
    defaultReasoningEffort: str | None = None  # noqa: N815
    """The effort if none is given."""


class ModelDeprecation(Model):
    """When a model goes, and what takes its place. Dates are ISO 8601 texts."""

    date: str | None = None
    """When it is deprecated."""
    startsAt: str | None = None  # noqa: N815
    """When warnings start."""
    removesAt: str | None = None  # noqa: N815
    """When it leaves the catalogue."""
    replacementModelId: str | None = None  # noqa: N815
    """The model that takes its place."""
    autoRemap: bool | None = None  # noqa: N815
    """Whether requests go to that one afterwards; else they fail with 410."""


class ModelSpec(Model):
    """The details of a catalogue entry."""

    name: str | None = None
    """Name for people."""
    description: str | None = None
    """What it is for."""
    privacy: str | None = None
    """`private` or `anonymized`."""
    offline: bool | None = None
    """Calls are answered with 503."""
    beta: bool | None = None
    """For beta testers alone."""
    betaModel: bool | None = None  # noqa: N815
    """In beta, for everybody; may vanish without notice."""
    uncensored: bool | None = None
    """Made to refuse nothing."""
    availableContextTokens: int | None = None  # noqa: N815
    """Tokens of prompt and answer together."""
    maxCompletionTokens: int | None = None  # noqa: N815
    """Tokens of an answer at most."""
    traits: list[str] | None = None
    """Names that stand for the model, such as `default`."""
    regionRestrictions: list[str] | None = None  # noqa: N815
    """Regions; whether allowed or barred, Venice says both."""
    capabilities: ModelCapabilities | None = None
    """What it can do."""
    constraints: dict[str, Any] | None = None
    """Defaults of parameters, such as `temperature`."""
    pricing: ModelPricing | None = None
    """What it costs."""
    deprecation: ModelDeprecation | None = None
    """When it goes, if that is known."""


class ModelResponse(Model):
    """A model of the catalogue."""

    id: str
    """What to give as `model`."""
    type: str
    """`text`, `image`, `embedding`, ..."""
    model_spec: ModelSpec
    """The details."""
    object: str = "model"
    """What kind of object this is."""
    owned_by: str | None = None
    """Who offers it."""
    created: int | None = None
    """Unix time at which it was added, in seconds."""
    context_length: int | None = None
    """Tokens of prompt and answer together, where the server says so here."""


class ModelsListResponse(Response):
    """The catalogue, or the part of it with one `type`."""

    data: list[ModelResponse]
    """The models."""
    object: str = "list"
    """What kind of object this is."""
    type: str | None = None
    """The type that was asked for."""

    @fixed
    def __iter__(self) -> Iterator[ModelRow]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """The models: `model.id` is an attribute as of those in `data`, and `pandas.DataFrame(models)` makes a row of each."""
        return (ModelRow(each) for each in self.data if isinstance(each, ModelResponse))

    @fixed
    def _repr_html_(self) -> str:
        from .._html import table

        return table([*self])


_COLUMNS = """context=availableContextTokens most_output=maxCompletionTokens input_usd=pricing.input.usd
output_usd=pricing.output.usd privacy=privacy traits=traits capabilities=capabilities retires=deprecation.date"""


class ModelRow(dict[str, Any]):
    """A model in a loop over the catalogue: it has the attributes of its `ModelResponse`, and is a row of a table as well.

    Its prices `input_usd` and `output_usd` are dollars for 1,000,000 tokens. None is what the catalogue does not say.
    """

    id: str
    """What to give as `model`."""
    model: ModelResponse
    """The catalogue's entry itself."""

    def __init__(self, model: ModelResponse) -> None:
        super().__init__(id=model.id, type=model.type)
        spec: Any = model.model_spec
        for column, place in (each.split("=") for each in _COLUMNS.split()):
            self[column] = reduce(lambda value, name: getattr(value, name, None), place.split("."), spec)
        can = self["capabilities"].items() if isinstance(self["capabilities"], Model) else None
        able = (name.removeprefix("supports") for name, has in can or () if has is True)
        self["capabilities"] = None if can is None else [*able]
        self.model = model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # by which copying and notebooks ask what a class can do
            raise AttributeError(name)
        return getattr(self.model, name)


class ModelMapResponse(Response):
    """Names that stand for model ids: traits such as `default_code`, or other vendors' model names."""

    data: dict[str, str]
    """Model ids, by the names that stand for them."""
    object: str = "list"
    """What kind of object this is."""
    type: str | None = None
    """The type that was asked for."""
