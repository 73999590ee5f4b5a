"""`client.models`: the catalogue, and which model to take."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from .._core.single_flight import Flights
from .._resource import APIResource
from .._wire.body import json_object
from ..exceptions import APIError, InvalidArgumentError, NoMatchingModelError, NotFoundError
from ..types._base import Response
from ..types.api.models import ModelMapResponse, ModelResponse, ModelsListResponse, ModelSpec

if TYPE_CHECKING:
    from .._http.connection import Connection
    from ..types.response_meta import ResponseMeta

ModelType: TypeAlias = Literal[
    "text", "chat", "code", "all", "asr", "embedding", "image", "inpaint", "music", "tts", "upscale", "video"
]
R = TypeVar("R", bound=Response)
T = TypeVar("T")

CACHE_SECONDS = 300.0
_UNTOLD = ModelSpec()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a chat model must have. Every wish must be met."""

    require_function_calling: bool = False
    require_vision: bool = False
    require_reasoning: bool = False
    require_reasoning_effort: bool = False
    require_code_optimization: bool = False
    require_response_schema: bool = False
    require_web_search: bool = False
    require_multiple_images: bool = False
    require_audio_input: bool = False
    require_video_input: bool = False
    require_log_probs: bool = False
    require_e2ee: bool = False
    require_tee: bool = False
    require_prompt_caching: bool = False
    require_private: bool = False
    min_context_tokens: int | None = None
    preferred_models: Sequence[str] = ()
    exclude_models: Sequence[str] = ()
    exclude_beta: bool = True
    exclude_reasoning: bool = False
    exclude_uncensored: bool = False
    prefer: Literal["cheapest"] | None = None


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


class Models(APIResource["Connection"]):
    """The catalogue of models. Replies are kept for five minutes; calls that ask at once share one request."""

    def __init__(self, client: Connection) -> None:
        super().__init__(client)
        self._cache = Cache(client.caller.clock.now)

    async def list(self, *, type: ModelType | None = None, refresh: bool = False) -> ModelsListResponse:  # noqa: A002
        """The models of one type; text models if none is given. Wraps `GET /models`.

        Args:
            type: `text` (also called `chat`), `code` (text models for code), `image`, ... or `all`.
            refresh: ask Venice even if the reply is still fresh.

        Raises:
            APIError: the catalogue could not be had.
        """
        return await self._get(ModelsListResponse, "/models", type, refresh=refresh)

    async def traits(self, *, type: ModelType | None = None, refresh: bool = False) -> ModelMapResponse:  # noqa: A002
        """Traits such as `default` or `default_code`, and the model each stands for. Wraps `GET /models/traits`.

        Raises:
            APIError: the catalogue could not be had.
        """
        return await self._get(ModelMapResponse, "/models/traits", type, refresh=refresh)

    async def compatibility_mapping(
        self,
        *,
        type: ModelType | None = None,  # noqa: A002
        refresh: bool = False,
    ) -> ModelMapResponse:
        """Other vendors' model names, and the model each stands for. Wraps `GET /models/compatibility_mapping`.

        Raises:
            APIError: the catalogue could not be had.
        """
        return await self._get(ModelMapResponse, "/models/compatibility_mapping", type, refresh=refresh)

    async def retrieve(self, model: str, *, refresh: bool = False) -> ModelResponse:
        """The catalogue's entry for an id of any type; a feature suffix does not count.

        Raises:
            NotFoundError: the catalogue has no such model.
            APIError: the catalogue could not be had.
        """
        name = without_suffix(model)
        for kind in ("text", "all"):
            found = entry((await self.list(type=kind, refresh=refresh)).data, name)
            if found is not None:
                return found
        raise NotFoundError(f"there is no model {name!r}. {NotFoundError.remedy}")

    async def find(self, model: str) -> ModelResponse:
        """The text model that an id, a trait or an alias stands for; a feature suffix does not count.

        Raises:
            NoMatchingModelError: there is none (a ValueError).
            APIError: the catalogue could not be had.
        """
        name = without_suffix(model)
        models = (await self.list()).data
        found = entry(models, name)
        for mapping in (self.traits, self.compatibility_mapping):
            if found is None:
                names = (await mapping()).data
                found = entry(models, names.get(name) if isinstance(names, dict) else None)
        if found is None:
            raise NoMatchingModelError(f"model {name!r} was not found in the catalogue; client.models.list() shows all")
        return found

    async def resolve_chat(
        self,
        *,
        require_function_calling: bool = False,
        require_vision: bool = False,
        require_reasoning: bool = False,
        require_reasoning_effort: bool = False,
        require_code_optimization: bool = False,
        require_response_schema: bool = False,
        require_web_search: bool = False,
        require_multiple_images: bool = False,
        require_audio_input: bool = False,
        require_video_input: bool = False,
        require_log_probs: bool = False,
        require_e2ee: bool = False,
        require_tee: bool = False,
        require_prompt_caching: bool = False,
        require_private: bool = False,
        min_context_tokens: int | None = None,
        preferred_models: Sequence[str] | None = None,
        exclude_models: Sequence[str] | None = None,
        exclude_beta: bool = True,
        exclude_reasoning: bool = False,
        exclude_uncensored: bool = False,
        prefer: Literal["cheapest"] | None = None,
        refresh: bool = False,
    ) -> str:
        """The id of a chat model that has all that is required.

        Models that are offline or retired are never taken, `e2ee-*` models only with `require_e2ee` or `require_tee`, or if
        preferred. A client with `min_privacy` takes only models that can be asked so.
        The first of `preferred_models` that fits wins; then the cheapest, if asked for; then the model with the trait
        `default` (`function_calling_default` if functions are required); then the first of the catalogue, models that do
        not reason before those that do.

        Args:
            require_function_calling: it can call tools.
            require_vision: it sees images.
            require_reasoning: it reasons.
            require_reasoning_effort: its reasoning effort can be set.
            require_code_optimization: it is made for code.
            require_response_schema: it can answer in JSON that fits a schema.
            require_web_search: it can search the web.
            require_multiple_images: it takes several images at once.
            require_audio_input: it hears.
            require_video_input: it sees videos.
            require_log_probs: it gives log probabilities.
            require_e2ee: it runs in an enclave with end-to-end encryption.
            require_tee: it runs in an enclave that can prove what it is.
            require_prompt_caching: it has a price for cached input.
            require_private: its privacy is `private`.
            min_context_tokens: the least context, in tokens.
            preferred_models: ids to take if they fit, best first.
            exclude_models: ids not to take.
            exclude_beta: leave out beta models.
            exclude_reasoning: leave out models that reason.
            exclude_uncensored: leave out uncensored models.
            prefer: `"cheapest"` takes the least sum of input and output price.
            refresh: ask Venice even if the catalogue is still fresh.

        Raises:
            NoMatchingModelError: no model has all that (a ValueError).
            InvalidArgumentError: `prefer` has another value, or another argument is not allowed.
            APIError: the catalogue could not be had.
        """
        if prefer not in {None, "cheapest"}:
            raise InvalidArgumentError(f"prefer={prefer!r} is not a preference; 'cheapest' is one")
        if not (min_context_tokens is None or _is_count(min_context_tokens)):
            raise InvalidArgumentError(f"min_context_tokens={min_context_tokens!r} must be a whole number from 0")
        preferred_models = _ids("preferred_models", preferred_models)
        exclude_models = _ids("exclude_models", exclude_models)
        wishes = {name: wish for name, wish in locals().items() if name in Wanted.__dataclass_fields__ and wish is not None}
        if self._client.min_privacy is not None:
            wishes[f"require_{self._client.min_privacy}"] = True
        catalogue = await self.list(refresh=refresh)
        return choose(catalogue.data, Wanted(**wishes), now=self._client.caller.clock.time()).id

    async def _get(self, kind: type[R], path: str, model_type: str | None, *, refresh: bool) -> R:
        if model_type is not None and not (isinstance(model_type, str) and model_type.isalnum()):
            raise InvalidArgumentError(f"type={model_type!r} is not a type of model; 'text', 'image', 'all', ...")
        if model_type not in {None, "text", "chat"}:  # text is what the server takes if nothing is said; they share an answer
            path = f"{path}?type={model_type}"

        async def fetch() -> R:
            def read(body: bytes, meta: ResponseMeta, secret: bytes) -> R | APIError:
                found = json_object(body, meta, secret)
                if isinstance(found, APIError):
                    return found
                reply = kind._adopt(found)  # noqa: SLF001  # the JSON is ours to give away
                reply._meta = meta  # noqa: SLF001  # set where a response is made, read-only for users
                return reply

            caller = self._client.caller
            reply = await caller.read(self._client.build_request("GET", path), read)
            self._client.notices.learn(path, _names(reply), caller.clock.now() + CACHE_SECONDS)
            return reply

        return _handed_out(await self._cache.get(path, fetch, refresh=refresh))


class Cache:
    """Keeps what was fetched for a while, and fetches a thing once however many ask for it at the same time."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._values: dict[str, tuple[float, Any]] = {}
        self._flights: Flights[Any] = Flights()

    async def get(self, key: str, fetch: Callable[[], Awaitable[T]], *, refresh: bool = False) -> T:
        """The value for a key, from memory while it is fresh."""
        at, value = self._values.get(key, (0.0, None))
        if value is not None and not refresh and self._now() - at < CACHE_SECONDS:
            return cast("T", value)
        return cast("T", await self._flights.share(key, lambda: self._fetch(key, fetch)))

    async def _fetch(self, key: str, fetch: Callable[[], Awaitable[T]]) -> T:
        value = await fetch()
        self._values[key] = (self._now(), value)
        return value


def _names(reply: Response) -> dict[str, Any]:
    """What names stand for, by a part of the catalogue: a model's id for itself, a trait or an alias for an id."""
    held: Any = reply.get("data")
    return dict(cast("dict[str, Any]", held)) if isinstance(held, dict) else {model.id: model.id for model in _entries(held)}


def _handed_out(kept: R) -> R:
    """Another reply around the same entries: what its holder takes out of it, or puts in, is not missed by others."""
    given = copy(kept)
    held = given.get("data")
    if isinstance(held, (list, dict)):
        vars(given)["data"] = cast("list[Any] | dict[str, Any]", held).copy()
    return given


def _ids(name: str, given: object) -> tuple[str, ...]:
    """The ids of models in an argument."""
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        hint = f": {name}=[{given!r}]" if isinstance(given, str) else ""
        raise InvalidArgumentError(f"{name}={given!r} must be a list of model ids{hint}")
    return tuple(cast("Iterable[str]", given))


def _is_count(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def choose(models: object, wanted: Wanted, *, now: float) -> ModelResponse:
    """The model to take; `now` is Unix time in seconds.

    Raises:
        NoMatchingModelError: none fits.
    """
    entries = list(_entries(models))
    fitting = [model for model in entries if _fits(model, wanted, now)]
    by_id = {model.id: model for model in fitting}
    for preferred in wanted.preferred_models:
        if preferred in by_id:
            return by_id[preferred]
    sealed = wanted.require_e2ee or wanted.require_tee
    ordinary = [model for model in fitting if _tells(model) and (sealed or not model.id.startswith("e2ee-"))]
    if entries and not any(map(_tells, entries)):
        raise NoMatchingModelError(
            f"{len(entries)} models are listed, none says what it can do; name one: preferred_models=[{entries[0].id!r}]"
        )
    if not ordinary:
        asked = ", ".join(f"{name}={getattr(wanted, name)!r}" for name in _given(wanted) if name != "prefer")
        lack = f"no chat model fits {asked}. Ask for less" if asked else "no chat model is online. Try again later"
        raise NoMatchingModelError(f"{lack}, or see client.models.list()")
    if wanted.prefer == "cheapest" and (priced := [model for model in ordinary if _price(model) is not None]):
        return min(priced, key=lambda model: _price(model) or 0.0)
    for trait in ("function_calling_default", "default") if wanted.require_function_calling else ("default",):
        if found := next((model for model in ordinary if _has_trait(model, trait)), None):
            return found
    calm = [model for model in ordinary if not _can(model, "supportsReasoning")]
    return (ordinary if wanted.require_reasoning or not calm else calm)[0]


def _tells(model: ModelResponse) -> bool:
    """Whether an entry has a specification: those of a catalogue in OpenAI's shape have none."""
    return isinstance(model.model_spec, ModelSpec)


def _fits(model: ModelResponse, wanted: Wanted, now: float) -> bool:
    # What says nothing of itself fits whoever asks for nothing, and names it.
    spec = model.model_spec if _tells(model) else _UNTOLD
    if model.type != "text" and (model.type is not None or _tells(model)):
        return False
    if spec.get("offline") is True or _retired(spec, now):
        return False
    context = spec.get("availableContextTokens") or model.get("context_length")
    return (
        all(_can(model, flag) for wish, flag in CAPABILITIES.items() if getattr(wanted, wish))
        and model.id not in wanted.exclude_models
        and not (wanted.exclude_beta and (spec.get("beta") is True or spec.get("betaModel") is True))
        and not (wanted.exclude_reasoning and _can(model, "supportsReasoning"))
        and not (wanted.exclude_uncensored and spec.get("uncensored") is True)
        and not (wanted.require_private and spec.get("privacy") != "private")
        and not (wanted.require_prompt_caching and getattr(spec.pricing, "cache_input", None) is None)
        and not (wanted.min_context_tokens and not _at_least(context, wanted.min_context_tokens))
    )


def _can(model: ModelResponse, flag: str) -> bool:
    return getattr(getattr(model.model_spec, "capabilities", None), flag, None) is True


def _at_least(number: object, least: int) -> bool:
    return isinstance(number, (int, float)) and number >= least


def _has_trait(model: ModelResponse, trait: str) -> bool:
    traits = model.model_spec.traits
    return isinstance(traits, list) and trait in traits


def _retired(spec: ModelSpec, now: float) -> bool:
    date = getattr(spec.deprecation, "removesAt", None) or getattr(spec.deprecation, "date", None)
    try:
        at = datetime.fromisoformat(date) if isinstance(date, str) else None
        return at is not None and (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() <= now
    except (ValueError, OverflowError):
        return False


def _price(model: ModelResponse) -> float | None:
    pricing = model.model_spec.pricing
    prices = [getattr(getattr(pricing, side, None), "usd", None) for side in ("input", "output")]
    numbers = [price for price in prices if isinstance(price, (int, float))]
    return sum(numbers) if len(numbers) == 2 else None


def _given(wanted: Wanted) -> list[str]:
    plain = Wanted()
    return [name for name in Wanted.__dataclass_fields__ if getattr(wanted, name) != getattr(plain, name)]


def entry(models: object, name: object) -> ModelResponse | None:
    """The entry with this id."""
    return next((model for model in _entries(models) if model.id == name), None)


def listed(models: object, name: str) -> ModelResponse:
    """The same, where a trait or an alias will not do.

    Raises:
        NoMatchingModelError: there is none.
    """
    found = entry(models, name)
    if found is None:
        raise NoMatchingModelError(
            f"model {name!r} was not found in the catalogue; client.models.list() shows all. If it is a trait or an alias, "
            "resolve it first: (await client.models.find(...)).id"
        )
    return found


def _entries(models: object) -> Iterator[ModelResponse]:
    """The entries that have at least an id; an odd one must not hide the rest."""
    for model in cast("list[object]", models) if isinstance(models, list) else ():
        if isinstance(model, ModelResponse) and isinstance(model.id, str):
            yield model


def without_suffix(model: str) -> str:
    """A model's name without its feature suffix."""
    if not isinstance(model, str) or not model.strip():
        raise InvalidArgumentError(f"model={model!r} is not a model id; client.models.list() shows all")
    return model.strip().partition(":")[0]
