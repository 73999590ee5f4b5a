"""The models an emulator serves: a small invented catalogue with one of every kind there is.

Only the ids that Venice's documents use in their examples, and the default of its command line, are real names; what
stands behind them here is invented, prices too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any, Final
from urllib.parse import unquote_plus

from venice_ai.types.api.models import ModelResponse
from venice_ai.types.api.params import VeniceSwitches

from .headers import rate_limits
from .loose import members

CLOSED_SCHEMAS: Final = "requiresClosedSchemas"
"""A capability that marks models whose provider refuses strict schemas that are not closed; others take them as they are."""
TYPES = ("asr", "embedding", "image", "music", "text", "tts", "upscale", "inpaint", "video")

_CAPABILITIES = (
    "supportsFunctionCalling",
    "supportsAudioInput",
    "supportsReasoning",
    "supportsReasoningEffort",
    "supportsResponseSchema",
    "supportsMultipleImages",
    "supportsVision",
    "supportsVideoInput",
    "supportsWebSearch",
    "supportsLogProbs",
    "supportsTeeAttestation",
    "supportsE2EE",
    "supportsXSearch",
)
_USUAL = ("FunctionCalling", "ResponseSchema", "WebSearch", "LogProbs")


def price(usd: float) -> dict[str, float]:
    """A price; Venice lists the same number in US dollars and in DIEM."""
    return {"usd": usd, "diem": usd}


def text_model(
    id: str,  # noqa: A002  # the wire's own word
    name: str | None = None,
    *,
    supports: Iterable[str] = _USUAL,
    input: float = 0.2,  # noqa: A002  # the wire's own word
    output: float = 0.9,
    context: int = 131_072,
    longest: int = 16_384,
    traits: Iterable[str] = (),
    prices: Mapping[str, Any] | None = None,
    capabilities: Mapping[str, Any] | None = None,
    **spec: Any,
) -> dict[str, Any]:
    """A complete catalogue entry of a text model.

    Args:
        id: what requests call it.
        name: what people call it.
        supports: capabilities it has, without the `supports` in front: `"Vision"`, `"Reasoning"` ...
        input: US dollars for 1,000,000 prompt tokens.
        output: US dollars for 1,000,000 completion tokens.
        context: the tokens of its context window.
        longest: the most completion tokens a request may ask for.
        traits: the traits that stand for it, such as `default`.
        prices: further members of `pricing`, such as `extended`.
        capabilities: further members of `capabilities`, such as `reasoningEffortOptions`.
        **spec: further members of `model_spec`, such as `offline`.
    """
    has = {f"supports{capability}" for capability in supports}
    return {
        "id": id,
        "object": "model",
        "owned_by": "venice.ai",
        "type": "text",
        "created": 1_770_000_000,
        "context_length": context,
        "model_spec": {
            "name": name or id,
            "privacy": "private",
            "offline": False,
            "betaModel": False,
            "availableContextTokens": context,
            "maxCompletionTokens": longest,
            "traits": list(traits),
            "constraints": {"temperature": {"default": 0.7}, "top_p": {"default": 0.95}},
            "capabilities": {
                "optimizedForCode": False,
                "quantization": "fp8",
                **{capability: capability in has for capability in _CAPABILITIES},
                **(capabilities or {}),
            },
            "pricing": {"input": price(input), "output": price(output), **(prices or {})},
            **spec,
        },
    }


def other_model(id: str, type: str, name: str, **spec: Any) -> dict[str, Any]:  # noqa: A002  # the wire's own words
    """A catalogue entry of a model that is not for text; `spec` are the members of its `model_spec`."""
    return {
        "id": id,
        "object": "model",
        "owned_by": "venice.ai",
        "type": type,
        "created": 1_770_000_000,
        "model_spec": {"name": name, "privacy": "private", "offline": False, "traits": [], **spec},
    }


def default_models() -> list[dict[str, Any]]:
    """The invented catalogue."""
    return [*(text_model(**each) for each in deepcopy(_TEXT_MODELS)), *_other_models()]


_EFFORTS: Final = {"reasoningEffortOptions": ["none", "low", "medium", "high"], "defaultReasoningEffort": "medium"}
_THINKING: Final = (*_USUAL, "Reasoning", "ReasoningEffort")
# The arguments of `text_model`.
_TEXT_MODELS: Final[tuple[dict[str, Any], ...]] = (
    {
        "id": "llama-3.3-70b",
        "name": "Llama 3.3 70B",
        "input": 0.7,
        "output": 2.8,
        "traits": ["default", "function_calling_default"],
    },
    {"id": "venice-1", "name": "Venice 1", "input": 0.15, "output": 0.6, "longest": 8_192, "traits": ["fastest"]},
    {
        "id": "zai-org-glm-5-1",
        "name": "GLM 5.1",
        "supports": _THINKING,
        "input": 0.55,
        "output": 2.2,
        "traits": ["default_reasoning"],
        "prices": {"cache_input": price(0.11)},
        "capabilities": _EFFORTS,
    },
    {
        "id": "kimi-k2-5",
        "name": "Kimi K2.5",
        "supports": (*_THINKING, "Vision", "MultipleImages"),
        "input": 0.6,
        "output": 3.0,
        "context": 262_144,
        "traits": ["most_intelligent"],
        "capabilities": {**_EFFORTS, "maxImages": 10},
    },
    {
        "id": "rialto-vision",
        "name": "Rialto Vision",
        "supports": (*_USUAL, "Vision", "MultipleImages", "AudioInput", "VideoInput"),
        "traits": ["default_vision"],
        "capabilities": {"maxImages": 10, "maxVideos": 3},
    },
    {"id": "arsenale-coder", "name": "Arsenale Coder", "traits": ["default_code"], "capabilities": {"optimizedForCode": True}},
    {"id": "gondola-free", "name": "Gondola Free", "input": 0.0, "output": 0.0, "context": 32_768, "longest": 4_096},
    {
        "id": "serenissima-frontier",
        "name": "Serenissima Frontier",
        "supports": (*_THINKING, "Vision", "XSearch"),
        "input": 6.25,
        "output": 37.5,
        "context": 1_000_000,
        "longest": 65_536,
        "prices": {
            "cache_input": price(0.625),
            "cache_write": price(7.8125),
            "extended": {
                "context_token_threshold": 200_000,
                "input": price(12.5),
                "output": price(56.25),
                "cache_input": price(1.25),
            },
        },
        "capabilities": {**_EFFORTS, "quantization": "not-available", CLOSED_SCHEMAS: True},
        "privacy": "anonymized",
    },
    {"id": "acqua-alta", "name": "Acqua Alta", "offline": True},
    {"id": "carnevale-beta", "name": "Carnevale Beta", "betaModel": True, "uncensored": True, "traits": ["most_uncensored"]},
    {
        "id": "campanile-1902",
        "name": "Campanile 1902",
        "deprecation": {
            "autoRemap": True,
            "startsAt": "2026-01-01T00:00:00.000Z",
            "date": "2099-07-14T00:00:00.000Z",
            "removesAt": "2099-07-14T00:00:00.000Z",
            "replacementModelId": "llama-3.3-70b",
        },
    },
    {"id": "squero-plain", "name": "Squero Plain", "supports": (), "context": 8_192, "longest": 2_048},
    {
        "id": "e2ee-ponte-chiuso-p",
        "name": "Ponte Chiuso (sealed)",
        "supports": ("TeeAttestation", "E2EE", "LogProbs"),
        "context": 32_768,
        "longest": 4_096,
    },
)


def _other_models() -> list[dict[str, Any]]:
    upscale = {"2x": price(0.02), "4x": price(0.08)}
    pixels = {"promptCharacterLimit": 2_048, "steps": {"default": 25, "max": 50}, "widthHeightDivisor": 8}
    clip = {
        "aspect_ratios": ["16:9"],
        "resolutions": ["720p"],
        "durations": ["5s"],
        "model_type": "text-to-video",
        "audio": False,
        "audio_configurable": False,
    }
    song = {"60": {**price(0.03), "min_seconds": 1, "max_seconds": 60}}
    return [
        other_model(
            "murano-image",
            "image",
            "Murano",
            traits=["default", "fastest"],
            pricing={"generation": price(0.01), "upscale": upscale},
            constraints=pixels,
        ),
        other_model(
            "mosaico-embed",
            "embedding",
            "Mosaico",
            traits=["default"],
            pricing={"input": price(0.15), "output": price(0.6)},
            embeddingDimensions=1_024,
            maxInputTokens=8_192,
        ),
        other_model("tenore-tts", "tts", "Tenore", traits=["default"], pricing={"input": price(3.5)}, voices=["Alto", "Basso"]),
        other_model("eco-asr", "asr", "Eco", traits=["default"], pricing={"per_audio_second": price(0.0001)}),
        other_model("lente-upscale", "upscale", "Lente", pricing={"generation": price(0.01), "upscale": upscale}),
        other_model(
            "affresco-inpaint",
            "inpaint",
            "Affresco",
            pricing={"inpaint": price(0.04)},
            constraints={"aspectRatios": ["auto"], "promptCharacterLimit": 1_500, "combineImages": False},
        ),
        other_model("regata-video", "video", "Regata", privacy="anonymized", constraints=clip),
        other_model("vivaldi-music", "music", "Vivaldi", pricing={"durations": song}),
    ]


ALIASES = {"gpt-4o": "llama-3.3-70b", "gpt-4o-mini": "venice-1", "claude-3-5-sonnet-20241022": "llama-3.3-70b"}


class Catalogue:
    """Models by the names that requests may use: id, trait, another vendor's name."""

    def __init__(self, models: Iterable[Mapping[str, Any]] | None = None) -> None:
        entries = [ModelResponse.model_validate(model) for model in (default_models() if models is None else models)]
        self._models = {entry.id: entry for entry in entries}

    def add_default(self, model: Mapping[str, Any]) -> None:
        """Puts a model first, and makes it the one that the trait `default` names."""
        entry = ModelResponse.model_validate(model)
        for other in self._models.values():
            if other.type == "text":
                other.model_spec.traits = [trait for trait in other.model_spec.traits or [] if trait != "default"]
        entry.model_spec.traits = ["default"]
        self._models = {entry.id: entry, **self._models}

    def listed(self, kind: str) -> list[dict[str, Any]]:
        """The entries of one type, of `all` types, or those for `code`."""
        return [_shown(model) for model in self._models.values() if _is(model, kind)]

    def traits(self, kind: str) -> dict[str, str]:
        """The traits of a type, and the model that each stands for."""
        models = [model for model in self._models.values() if model.type == kind]
        return {trait: model.id for model in reversed(models) for trait in model.model_spec.traits or []}

    def aliases(self, kind: str) -> dict[str, str]:
        """Other vendors' names for models of a type."""
        return {alias: id_ for alias, id_ in ALIASES.items() if id_ in self._models} if kind == "text" else {}

    def limits(self, now: float) -> dict[str, Any]:
        """What a key may ask of each model."""
        return rate_limits(self._models.values(), now)

    def find(self, name: str) -> ModelResponse | None:
        """The text model that a name stands for: an id, a trait, an alias, or an id with other separators."""
        found = self._models.get(self.aliases("text").get(name) or self.traits("text").get(name) or name)
        if found is None:
            found = next((model for model in self._models.values() if _loose(model.id) == _loose(name)), None)
        return found if found is not None and found.type == "text" else None


def _shown(model: ModelResponse) -> dict[str, Any]:
    """An entry as it is listed: without what only the emulator needs to know of the model."""
    entry = model.model_dump()
    members(members(entry.get("model_spec")).get("capabilities")).pop(CLOSED_SCHEMAS, None)
    return entry


def _is(model: ModelResponse, kind: str) -> bool:
    if kind == "code":
        capabilities = model.model_spec.capabilities
        return model.type == "text" and capabilities is not None and capabilities.optimizedForCode is True
    return kind in {"all", model.type}


def _loose(name: str) -> str:
    # Venice reads dots, underscores and blanks in a model's name as hyphens.
    return re.sub(r"[._ ]", "-", name.strip())


# https://docs.venice.ai/api-reference/endpoint/chat/model_feature_suffix
_SUFFIXABLE = VeniceSwitches.__annotations__.keys() - {"enable_e2ee", "enable_x_search"}


def split_suffix(model: str) -> tuple[str, dict[str, Any]]:
    """A model name without its feature suffix, and what the suffix sets: `m:enable_web_search=on&disable_thinking=true`.

    The values win over those in `venice_parameters`; keys that are not known are ignored.
    """
    name, _, suffix = model.partition(":")
    switches: dict[str, Any] = {}
    for pair in suffix.split("&"):
        key, _, value = pair.partition("=")
        if key in _SUFFIXABLE:
            text = unquote_plus(value)
            switches[key] = {"true": True, "false": False}.get(text, text)
    return name, switches
