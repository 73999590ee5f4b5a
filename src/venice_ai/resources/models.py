"""`client.models`: the catalogue, kept for five minutes. Which model of it to take is decided in `model_choice.py`."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar, cast

from .._core.concurrency import SingleFlight
from .._resource import APIResource
from .._wire.reply_body import json_object
from .._wire.request_body import chat_body
from ..exceptions import APIError, InvalidArgumentError, NoMatchingModelError, NotFoundError
from ..types._base import Response
from ..types.api.models import ModelMapResponse, ModelResponse, ModelsListResponse
from .model_check import Refusal, refusals
from .model_choice import choose, entries, find_entry, without_suffix

if TYPE_CHECKING:
    from .._http.connection import Connection
    from ..types.api.params import UntypedMapping
    from ..types.response_meta import ResponseMeta
    from .chat.arguments import ChatRequest

ModelType: TypeAlias = Literal[
    "text", "chat", "code", "all", "asr", "embedding", "image", "inpaint", "music", "tts", "upscale", "video"
]
R = TypeVar("R", bound=Response)

CACHE_SECONDS = 300.0


class Models(APIResource["Connection"]):
    """The catalogue of models. Replies are kept for five minutes; calls that ask at once share one request.

    Every method raises an `APIError` if the catalogue could not be had.
    """

    def __init__(self, client: Connection) -> None:
        super().__init__(client)
        self._cache: dict[str, tuple[float, Any]] = {}
        self._single_flight: SingleFlight[Any] = SingleFlight()

    async def list(self, *, type: ModelType | None = None, refresh: bool = False) -> ModelsListResponse:  # noqa: A002
        """The models of one type; text models if none is given. Wraps `GET /models`.

        Args:
            type: `text` (also called `chat`), `code` (text models for code), `image`, ... or `all`.
            refresh: ask Venice even if the reply is still fresh.
        """
        return await self._get(ModelsListResponse, "/models", type, refresh=refresh)

    async def traits(self, *, type: ModelType | None = None, refresh: bool = False) -> ModelMapResponse:  # noqa: A002
        """Traits such as `default` or `default_code`, and the model each stands for. Wraps `GET /models/traits`."""
        return await self._get(ModelMapResponse, "/models/traits", type, refresh=refresh)

    async def compatibility_mapping(self, *, type: ModelType | None = None, refresh: bool = False) -> ModelMapResponse:  # noqa: A002
        """Other vendors' model names, and the model each stands for. Wraps `GET /models/compatibility_mapping`."""
        return await self._get(ModelMapResponse, "/models/compatibility_mapping", type, refresh=refresh)

    async def retrieve(self, model: str, *, refresh: bool = False) -> ModelResponse:
        """The catalogue's entry for an id of any type, without a feature suffix; a NotFoundError if it has no such model."""
        name = without_suffix(model)
        for kind in ("text", "all"):
            if (found := find_entry((await self.list(type=kind, refresh=refresh)).data, name)) is not None:
                return found
        raise NotFoundError(f"there is no model {name!r}. {NotFoundError.remedy}")

    async def find(self, model: str) -> ModelResponse:
        """The text model that an id, a trait or an alias stands for; a feature suffix does not count.

        Raises:
            NoMatchingModelError: the catalogue has no such model (a ValueError).
        """
        name = without_suffix(model)
        models = (await self.list()).data
        found = find_entry(models, name)
        for mapping in (self.traits, self.compatibility_mapping):
            if found is None:
                names = (await mapping()).data
                found = find_entry(models, names.get(name) if isinstance(names, dict) else None)
        if found is None:
            raise NoMatchingModelError(f"model {name!r} was not found in the catalogue; client.models.list() shows all")
        return found

    async def check(self, request: ChatRequest | UntypedMapping) -> builtins.list[Refusal]:
        """The parameters of a request that its model would refuse, by the catalogue, which is all that is asked for.

        These are media, tools, schemas and log probabilities that the model does not support, reasoning efforts that it does
        not list (`none` is always allowed), longer answers than its, and messages that surely pass its context. What the
        catalogue does not say, and a model that it does not have, is taken to be right. `VeniceClient(preflight=True)` checks
        each chat so.

        Args:
            request: the keywords of `create`.

        Raises:
            InvalidArgumentError: `request` is not a mapping (a ValueError).
            InvalidRequestError: a parameter is not allowed with any model.
        """
        if not isinstance(request, Mapping):
            raise InvalidArgumentError(f"request must be a mapping of the keywords of create, not {type(request).__name__}")
        keywords = dict(cast("Mapping[str, Any]", request))
        model, messages, extra = (keywords.pop(name, None) for name in ("model", "messages", "extra_body"))
        for name in ("stream", "stream_cls", "e2ee", "timeout", "extra_headers", "fallback_models", "fail_fast"):
            keywords.pop(name, None)
        return await refusals_of(self, chat_body(model=model, messages=messages, stream=False, params=keywords, extra=extra))

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
        """
        if prefer not in {None, "cheapest"}:
            raise InvalidArgumentError(f"prefer={prefer!r} is not a preference; 'cheapest' is one")
        low = 0 if min_context_tokens is None else min_context_tokens
        if not isinstance(low, int) or isinstance(low, bool) or low < 0:
            raise InvalidArgumentError(f"min_context_tokens={min_context_tokens!r} must be a whole number from 0")
        preferred_models = _ids("preferred_models", preferred_models)
        exclude_models = _ids("exclude_models", exclude_models)
        wishes = {name: wish for name, wish in locals().items() if name not in {"self", "refresh", "low"} and wish is not None}
        if self._client.min_privacy is not None:
            wishes[f"require_{self._client.min_privacy}"] = True
        return choose((await self.list(refresh=refresh)).data, wishes, now=self._client.caller.clock.time()).id

    async def _get(self, kind: type[R], path: str, model_type: str | None, *, refresh: bool) -> R:
        if model_type is not None and not (isinstance(model_type, str) and model_type.isalnum()):
            raise InvalidArgumentError(f"type={model_type!r} is not a type of model; 'text', 'image', 'all', ...")
        if model_type not in {None, "text", "chat"}:  # text is what the server takes if nothing is said; they share an answer
            path = f"{path}?type={model_type}"
        now = self._client.caller.clock.now
        at, cached = self._cache.get(path, (0.0, None))
        if cached is not None and not refresh and now() - at < CACHE_SECONDS:
            return _own_copy(cast("R", cached))

        async def fetch() -> R:
            def read(body: bytes, meta: ResponseMeta, secret: bytes) -> R | APIError:
                found = json_object(body, meta, secret)
                if isinstance(found, APIError):
                    return found
                reply = kind._adopt(found)  # noqa: SLF001  # the JSON is ours to give away
                reply._meta = meta  # noqa: SLF001  # set where a response is made, read-only for users
                return reply

            reply = await self._client.caller.read(self._client.build_request("GET", path), read)
            self._cache[path] = now(), reply
            # What names stand for: a model's id for itself, a trait or an alias for an id.
            held: Any = reply.get("data")
            names: Any = cast("Any", held) if isinstance(held, dict) else {model.id: model.id for model in entries(held)}
            self._client.notices.names[path] = now() + CACHE_SECONDS, dict(names)
            return reply

        return _own_copy(cast("R", await self._single_flight.share(path, fetch)))


async def refusals_of(models: Models, body: Mapping[str, Any]) -> list[Refusal]:
    """The parameters in the body of a request that its model would refuse, by the catalogue."""
    try:
        return refusals(await models.find(body["model"]), body)
    except NoMatchingModelError:
        return []


def _own_copy(reply: R) -> R:
    """Another reply around the same entries: what its holder takes out of it, or puts in, is not missed by others."""
    given = copy(reply)
    held = given.get("data")
    if isinstance(held, (list, dict)):
        vars(given)["data"] = cast("list[Any] | dict[str, Any]", held).copy()
    return given


def _ids(name: str, given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if isinstance(given, str) or not isinstance(given, Iterable):
        hint = f": {name}=[{given!r}]" if isinstance(given, str) else ""
        raise InvalidArgumentError(f"{name}={given!r} must be a list of model ids{hint}")
    return tuple(cast("Iterable[str]", given))
