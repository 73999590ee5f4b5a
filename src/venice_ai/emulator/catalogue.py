"""The models an emulator serves, and the headers of their answers: a small invented catalogue with one of every kind there is.

Only the ids that Venice's documents use in their examples, and the default of its command line, are real names; what
stands behind them here is invented, prices too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any
from urllib.parse import parse_qsl

from venice_ai.types.api.models import ModelCapabilities, ModelResponse
from venice_ai.types.api.params import VeniceSwitches

TYPES = ("asr", "embedding", "image", "music", "text", "tts", "upscale", "inpaint", "video")

_REQUESTS_A_MINUTE = 500
_TOKENS_A_MINUTE = 1_000_000
_ENCLAVE = {"X-Venice-TEE": "true", "X-Venice-TEE-Provider": "emulator"}
_CAPABILITIES = [name for name in ModelCapabilities.__annotations__ if name.startswith("supports")]
_USUAL = ("FunctionCalling", "ResponseSchema", "WebSearch", "LogProbs")


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
    able = set(supports)
    has = {name: name.removeprefix("supports") in able for name in _CAPABILITIES}
    usual: dict[str, Any] = {
        "betaModel": False,
        "availableContextTokens": context,
        "maxCompletionTokens": longest,
        "traits": list(traits),
        "constraints": {"temperature": {"default": 0.7}, "top_p": {"default": 0.95}},
        "capabilities": {"optimizedForCode": False, "quantization": "fp8", **has, **(capabilities or {})},
        "pricing": {"input": {"usd": input, "diem": input}, "output": {"usd": output, "diem": output}, **(prices or {})},
    }
    return {**other_model(id, "text", name or id, **usual | spec), "context_length": context}


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
    """The invented catalogue: `catalogue.json` has the arguments of `text_model` and `other_model`."""
    found: dict[str, Any] = json.loads(files("venice_ai.emulator").joinpath("catalogue.json").read_bytes())
    return [*(text_model(**each) for each in found["text"]), *(other_model(**each) for each in found["other"])]


@cache
def _default_entries() -> tuple[ModelResponse, ...]:
    """The invented catalogue, read once: a suite makes an emulator for each test."""
    return tuple(map(ModelResponse.model_validate, default_models()))


ALIASES = {"gpt-4o": "llama-3.3-70b", "gpt-4o-mini": "venice-1", "claude-3-5-sonnet-20241022": "llama-3.3-70b"}


class Catalogue:
    """Models by the names that requests may use: id, trait, another vendor's name."""

    def __init__(self, models: Iterable[Mapping[str, Any]] | None = None) -> None:
        entries = _default_entries() if models is None else map(ModelResponse.model_validate, models)
        self._models = {entry.id: entry for entry in entries}

    def add_default(self, model: Mapping[str, Any]) -> None:
        # Copies: those of the default are not ours alone.
        others = [ModelResponse.model_validate(other) for other in self.listed("all")]
        for other in others:
            if other.type == "text":
                other.model_spec.traits = [trait for trait in other.model_spec.traits or [] if trait != "default"]
        self._models = {each.id: each for each in (ModelResponse.model_validate(model), *others)}

    def listed(self, kind: str) -> list[dict[str, Any]]:
        models = self._models.values()
        coders = [each for each in models if getattr(each.model_spec.capabilities, "optimizedForCode", None) is True]
        return [each.model_dump() for each in (coders if kind == "code" else models) if kind in {"all", "code", each.type}]

    def traits(self, kind: str) -> dict[str, str]:
        models = [model for model in self._models.values() if model.type == kind]
        return {trait: model.id for model in reversed(models) for trait in model.model_spec.traits or []}

    def aliases(self, kind: str) -> dict[str, str]:
        return {alias: id_ for alias, id_ in ALIASES.items() if id_ in self._models} if kind == "text" else {}

    def limits(self, now: float) -> dict[str, Any]:
        """The limits of a key, as `GET /api_keys/rate_limits` gives them; the numbers are those of the headers."""
        midnight = datetime.fromtimestamp((int(now) // 86_400 + 1) * 86_400, UTC)
        kinds = [{"amount": _REQUESTS_A_MINUTE, "type": "RPM"}, {"amount": _TOKENS_A_MINUTE, "type": "TPM"}]
        return {
            "accessPermitted": True,
            "apiTier": {"id": "paid", "isCharged": True},
            "balances": {"USD": 25.0, "DIEM": 0.0},
            "keyExpiration": None,
            "nextEpochBegins": midnight.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
            "rateLimits": [{"apiModelId": model.id, "rateLimits": kinds} for model in self._models.values()],
        }

    def capabilities(self, name: str) -> ModelCapabilities:
        model = self.find(name)
        return (model and model.model_spec.capabilities) or ModelCapabilities()

    def find(self, name: str) -> ModelResponse | None:
        """The text model that a name stands for: an id, a trait, an alias, or an id with other separators."""
        found = self._models.get(self.aliases("text").get(name) or self.traits("text").get(name) or name)
        if found is None:
            found = next((model for model in self._models.values() if _loose(model.id) == _loose(name)), None)
        return found if found is not None and found.type == "text" else None


def _loose(name: str) -> str:
    return re.sub(r"[._ ]", "-", name.strip())  # Venice reads dots, underscores and blanks in a model's name as hyphens


# https://docs.venice.ai/api-reference/endpoint/chat/model_feature_suffix
_SUFFIXABLE = VeniceSwitches.__annotations__.keys() - {"enable_e2ee", "enable_x_search"}


def split_suffix(model: str) -> tuple[str, dict[str, Any]]:
    """A model name without its feature suffix, and what that sets: `m:enable_web_search=on&disable_thinking=true`."""
    name, _, suffix = model.partition(":")
    pairs = parse_qsl(suffix, keep_blank_values=True)
    return name, {key: {"true": True, "false": False}.get(text, text) for key, text in pairs if key in _SUFFIXABLE}


def model_headers(model: ModelResponse, now: float) -> dict[str, str]:
    """The headers of a model's answers at a Unix time. Rate limits are never used up: script a step to meet one."""
    minute_ends, spec = (int(now) // 60 + 1) * 60, model.model_spec
    retirement: dict[str, str] = {}
    if end := spec.deprecation:
        instead = f" Use {end.replacementModelId} instead." if end.replacementModelId else ""
        warning = f"The model {model.id} is deprecated and will be retired.{instead}"
        notice = {"warning": warning, "date": end.removesAt or end.date}
        retirement = {f"x-venice-model-deprecation-{name}": text for name, text in notice.items() if text}
    return {
        "x-venice-model-id": model.id,
        "x-venice-model-name": spec.name or model.id,
        "x-venice-balance-usd": "25.00",
        "x-ratelimit-limit-requests": str(_REQUESTS_A_MINUTE),
        "x-ratelimit-remaining-requests": str(_REQUESTS_A_MINUTE - 1),
        "x-ratelimit-reset-requests": str(minute_ends * 1000),
        "x-ratelimit-limit-tokens": str(_TOKENS_A_MINUTE),
        "x-ratelimit-remaining-tokens": str(_TOKENS_A_MINUTE - 2_000),
        "x-ratelimit-reset-tokens": str(minute_ends - int(now)),
        "x-ratelimit-type": "user",
        **retirement,
        **(_ENCLAVE if spec.capabilities and spec.capabilities.supportsTeeAttestation else {}),
    }
