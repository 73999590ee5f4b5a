"""The catalogue of models: as Venice publishes it, with malformed entries, and which model `resolve_chat` takes from it."""

from __future__ import annotations

import asyncio
import copy
import gc
import pickle
from collections.abc import Iterator
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import APIError, InvalidArgumentError, NoMatchingModelError, NotFoundError, VeniceClient
from venice_ai._core.concurrency import SingleFlight
from venice_ai.types.api import ModelResponse, ModelsListResponse

from ..fakes import HI, JSON, KEY, UNIX, RecordingClock, ScriptedReply, ScriptedTransport, answer, client_of
from ..shared import shared

EXAMPLES: dict[str, Any] = shared("models-constructed-examples.json")


def published_models() -> dict[str, Any]:
    return dict(shared("models.json"))


def published_aliases() -> dict[str, Any]:
    return dict(shared("compatibility_mapping.json"))


def published_traits() -> dict[str, Any]:
    return dict(shared("traits.json"))


PAST = "2026-01-01T00:00:00.000Z"
FUTURE = "2099-01-01T00:00:00.000Z"


def model(identity: str = "m", *, price: float = 1.0, type: str = "text", **spec: Any) -> dict[str, Any]:  # noqa: A002
    """An ordinary chat model, with these differences in its `model_spec`."""
    capabilities = {"supportsFunctionCalling": True, "supportsVision": True, "supportsReasoning": False}
    return {
        "id": identity,
        "object": "model",
        "owned_by": "venice.ai",
        "type": type,
        "model_spec": {
            "privacy": "private",
            "availableContextTokens": 100_000,
            "traits": [],
            "pricing": {"input": {"usd": price, "diem": price}, "output": {"usd": price, "diem": price}},
            **spec,
            "capabilities": capabilities | spec.get("capabilities", {}),
        },
    }


def client_with(*entries: Any) -> VeniceClient:
    client, _ = client_of(answer({"object": "list", "type": "text", "data": list(entries)}))
    return client


# -- the published catalogue ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "count"),
    [
        pytest.param("models.json", 113, id="text"),
        pytest.param("models-other-types.json", 15, id="other types"),
        pytest.param("models-constructed-examples.json", 3, id="constructed"),
    ],
)
async def test_the_catalogue_is_kept_whole(name: str, count: int) -> None:
    published = shared(name)
    client, _ = client_of(answer(published))

    catalogue = await client.models.list()

    assert type(catalogue) is ModelsListResponse
    assert len(catalogue.data) == count
    assert all(type(entry) is ModelResponse for entry in catalogue.data)
    assert [entry.id for entry in catalogue.data] == [entry["id"] for entry in published["data"]]
    assert catalogue.model_dump() == published
    assert catalogue == copy.deepcopy(catalogue) == pickle.loads(pickle.dumps(catalogue))
    assert catalogue.meta.status_code == 200


async def test_an_entry_reads_as_it_is_written() -> None:
    client, _ = client_of(answer(EXAMPLES))

    entry = await client.models.retrieve("example-frontier-tiered")

    spec = entry.model_spec
    assert (spec.name, spec.privacy, spec.betaModel, spec.offline) == ("Example Frontier", "anonymized", True, False)
    assert (spec.availableContextTokens, spec.maxCompletionTokens) == (1_000_000, 65_536)
    assert spec.regionRestrictions == ["XX"]
    assert spec.capabilities is not None
    assert spec.capabilities.reasoningEffortOptions == ["none", "low", "medium", "high"]
    assert spec.capabilities["maxImages"] == 10
    assert spec.pricing is not None
    assert spec.pricing.input is not None
    assert spec.pricing.input.usd == spec.pricing["input"]["usd"] == 6.25
    assert spec.pricing.extended is not None
    assert spec.pricing.extended.context_token_threshold == 200_000
    assert spec.deprecation is not None
    assert spec.deprecation.replacementModelId == "example-private-small"


@pytest.mark.parametrize(
    ("call", "arguments", "path"),
    [
        ("list", {}, "/models"),
        ("list", {"type": "image"}, "/models?type=image"),
        ("list", {"type": "all"}, "/models?type=all"),
        ("traits", {}, "/models/traits"),
        ("traits", {"type": "image"}, "/models/traits?type=image"),
        ("compatibility_mapping", {}, "/models/compatibility_mapping"),
        ("compatibility_mapping", {"type": "image"}, "/models/compatibility_mapping?type=image"),
    ],
)
@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without a key"])
async def test_a_list_is_one_get_with_the_key_if_there_is_one(
    call: str, arguments: dict[str, Any], path: str, key: str | None
) -> None:
    transport = ScriptedTransport(answer({"object": "list", "data": {}}))
    client = VeniceClient(api_key=key, transport=transport)

    await getattr(client.models, call)(**arguments)

    (request,) = transport.requests
    assert (request.method, request.url, request.body) == ("GET", f"https://api.venice.ai/api/v1{path}", None)
    assert request.headers.get("Authorization") == (f"Bearer {KEY}" if key else None)


async def test_traits_map_names_to_models() -> None:
    client, _ = client_of(answer(published_traits()))

    traits = await client.models.traits()

    assert traits.data["default"] == "zai-org-glm-5-2"
    assert traits["data"]["default_code"] == "deepseek-v4-pro-0813"
    assert traits.data.get("fastest") is None
    assert traits.model_dump() == published_traits()


async def test_other_vendors_names_stand_for_models() -> None:
    client, _ = client_of(answer(published_aliases()))

    names = await client.models.compatibility_mapping()

    assert names.data["gpt-4o"] == "llama-3.3-70b"
    assert names.model_dump() == published_aliases()


@pytest.mark.parametrize("asked", ["zai-org-glm-5-2", "zai-org-glm-5-2:enable_web_search=on", " zai-org-glm-5-2 "])
async def test_one_model_is_found_by_its_id_with_or_without_a_suffix(asked: str) -> None:
    client, _ = client_of(answer(published_models()))

    assert (await client.models.retrieve(asked)).id == "zai-org-glm-5-2"


async def test_one_model_of_another_type_is_found() -> None:
    image = model("painter", type="image")
    client, _ = client_of(
        answer(published_models()), answer({**published_models(), "data": [*published_models()["data"], image]})
    )

    assert (await client.models.retrieve("painter")).type == "image"


async def test_a_model_that_is_not_listed_is_not_found() -> None:
    client, _ = client_of(answer(published_models()), answer(published_models()))

    with pytest.raises(NotFoundError, match=r"'nope'.*models\.list"):
        await client.models.retrieve("nope")


@pytest.mark.parametrize("name", ["", "  ", None, 7], ids=repr)
async def test_a_model_must_have_a_name(name: Any) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidArgumentError):
        await client.models.retrieve(name)

    assert transport.requests == []


@pytest.mark.parametrize("kind", ["text&x=1", "a b", "", "#", 7], ids=repr)
async def test_a_type_that_cannot_be_one_is_refused(kind: Any) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidArgumentError, match="type"):
        await client.models.list(type=kind)

    assert transport.requests == []


# -- which model is taken ------------------------------------------------------------------------------------------------


async def test_the_default_of_the_published_catalogue_is_its_default_trait() -> None:
    client, _ = client_of(answer(published_models()))

    assert await client.models.resolve_chat() == published_traits()["data"]["default"]


async def test_the_default_for_functions_is_its_own_trait() -> None:
    client = client_with(model("a"), model("b", traits=["default"]), model("c", traits=["function_calling_default"]))

    assert await client.models.resolve_chat(require_function_calling=True) == "c"
    assert await client.models.resolve_chat() == "b"


async def test_without_a_default_the_first_that_fits_is_taken() -> None:
    assert await client_with(model("a"), model("b")).models.resolve_chat() == "a"


async def test_the_default_is_passed_over_if_it_does_not_fit() -> None:
    client = client_with(model("a", traits=["default"], offline=True), model("b"))

    assert await client.models.resolve_chat() == "b"


@pytest.mark.parametrize(
    ("wish", "flag"),
    [
        ("require_function_calling", "supportsFunctionCalling"),
        ("require_vision", "supportsVision"),
        ("require_reasoning", "supportsReasoning"),
        ("require_reasoning_effort", "supportsReasoningEffort"),
        ("require_code_optimization", "optimizedForCode"),
        ("require_response_schema", "supportsResponseSchema"),
        ("require_web_search", "supportsWebSearch"),
        ("require_multiple_images", "supportsMultipleImages"),
        ("require_audio_input", "supportsAudioInput"),
        ("require_video_input", "supportsVideoInput"),
    ],
)
async def test_a_model_has_what_is_required(wish: str, flag: str) -> None:
    wishes: dict[str, Any] = {wish: True}
    lacking = model("lacking", traits=["default", "function_calling_default"], capabilities={flag: False})
    silent = model("silent")
    del silent["model_spec"]["capabilities"]
    having = model("having", capabilities={flag: True})
    odd = model("odd", capabilities={flag: "true"})

    assert await client_with(lacking, silent, odd, having).models.resolve_chat(**wishes) == "having"
    with pytest.raises(NoMatchingModelError, match=wish):
        await client_with(lacking, silent, odd).models.resolve_chat(**wishes)
    client, _ = client_of(answer(published_models()))
    taken = await client.models.resolve_chat(**wishes)
    (entry,) = (entry for entry in published_models()["data"] if entry["id"] == taken)
    assert entry["model_spec"]["capabilities"][flag] is True


@pytest.mark.parametrize(
    ("unfit", "wishes"),
    [
        pytest.param(model("x", type="image"), {}, id="another type"),
        pytest.param(model("x", offline=True), {}, id="offline"),
        pytest.param(model("x", beta=True), {}, id="beta for few"),
        pytest.param(model("x", betaModel=True), {}, id="beta for all"),
        pytest.param(model("e2ee-x"), {}, id="needs encryption"),
        pytest.param(model("x", deprecation={"removesAt": PAST}), {}, id="removed"),
        pytest.param(model("x", deprecation={"date": PAST}), {}, id="deprecated, only the date is told"),
        pytest.param(model("x", deprecation={"date": "2026-01-01"}), {}, id="deprecated, without a time"),
        pytest.param(model("x", privacy="anonymized"), {"require_private": True}, id="not private"),
        pytest.param(model("x"), {"exclude_models": ["x"]}, id="excluded"),
        pytest.param(model("x", availableContextTokens=99), {"min_context_tokens": 100}, id="too little context"),
        pytest.param(model("x", availableContextTokens=None), {"min_context_tokens": 100}, id="unknown context"),
        pytest.param(model("x", uncensored=True), {"exclude_uncensored": True}, id="uncensored"),
        pytest.param(model("x", capabilities={"supportsReasoning": True}), {"exclude_reasoning": True}, id="reasons"),
        pytest.param(
            model("x", capabilities={"supportsVision": True, "supportsFunctionCalling": False}),
            {"require_vision": True, "require_function_calling": True},
            id="only one of two wishes",
        ),
    ],
)
async def test_a_model_that_does_not_fit_is_not_taken(unfit: dict[str, Any], wishes: dict[str, Any]) -> None:
    unfit["model_spec"]["traits"] = ["default", "function_calling_default"]

    assert await client_with(unfit, model("fits")).models.resolve_chat(**wishes) == "fits"
    with pytest.raises(NoMatchingModelError) as caught:
        await client_with(unfit).models.resolve_chat(**wishes)
    assert isinstance(caught.value, ValueError)
    assert all(wish in str(caught.value) for wish in wishes)


@pytest.mark.parametrize(
    ("fit", "wishes"),
    [
        pytest.param(model("x", betaModel=True), {"exclude_beta": False}, id="beta, allowed"),
        pytest.param(model("e2ee-x"), {"preferred_models": ["e2ee-x"]}, id="needs encryption, asked for by name"),
        pytest.param(model("e2ee-x", capabilities={"supportsE2EE": True}), {"require_e2ee": True}, id="encryption wanted"),
        pytest.param(
            model("e2ee-x", capabilities={"supportsTeeAttestation": True}), {"require_tee": True}, id="an enclave wanted"
        ),
        pytest.param(model("x", deprecation={"removesAt": FUTURE, "date": PAST}), {}, id="to be removed later"),
        pytest.param(model("x", deprecation={"startsAt": PAST}), {}, id="deprecated, no end told"),
        pytest.param(model("x", deprecation={"removesAt": "soon"}), {}, id="deprecated, a date nobody can read"),
        pytest.param(model("x", deprecation=None), {}, id="no deprecation"),
        pytest.param(model("x", offline=False, beta=None), {}, id="not offline"),
        pytest.param(model("x", availableContextTokens=100), {"min_context_tokens": 100}, id="just enough context"),
        pytest.param(
            model("x", availableContextTokens=None) | {"context_length": 100}, {"min_context_tokens": 100}, id="context_length"
        ),
        pytest.param(model("x", pricing=None), {}, id="no prices"),
    ],
)
async def test_a_model_that_fits_is_taken(fit: dict[str, Any], wishes: dict[str, Any]) -> None:
    assert await client_with(fit).models.resolve_chat(**wishes) == fit["id"]


async def test_a_retired_model_is_one_whose_time_has_come() -> None:
    # The time of the tests is 2026-08-19; the first second of the removal day is 8 days off.
    clock = RecordingClock()
    leaving = model("leaving", traits=["default"], deprecation={"removesAt": "2026-08-27T13:00:00.000Z"})
    client, _ = client_of(*[answer({"data": [leaving, model("staying")]}) for _ in range(2)], clock=clock)

    before = await client.models.resolve_chat()
    await clock.sleep(1_787_835_601 - UNIX)
    after = await client.models.resolve_chat()

    assert (before, after) == ("leaving", "staying")


@pytest.mark.parametrize(
    ("preferred", "taken"),
    [
        pytest.param(["c", "b"], "c", id="the first"),
        pytest.param(["nope", "b"], "b", id="the first that is listed"),
        pytest.param(["off", "b"], "b", id="the first that fits"),
        pytest.param(["nope"], "a", id="none of them"),
        pytest.param(["x", "b"], "b", id="not one that is excluded"),
        pytest.param([], "a", id="nothing preferred"),
    ],
)
async def test_the_preferred_models_are_taken_first(preferred: list[str], taken: str) -> None:
    client = client_with(model("a", traits=["default"]), model("b"), model("c"), model("off", offline=True), model("x"))

    assert await client.models.resolve_chat(preferred_models=preferred, exclude_models=["x"]) == taken


@pytest.mark.parametrize(
    ("wish", "name", "taken"), [("exclude_models", "alpha-two", "alpha"), ("preferred_models", "beta", "beta")]
)
async def test_one_name_in_place_of_a_list_is_that_name_or_refused(wish: str, name: str, taken: str) -> None:
    client = client_with(model("alpha"), model("b"), model("beta"))
    given: dict[str, Any] = {wish: name}

    try:
        outcome = await client.models.resolve_chat(**given)
    except InvalidArgumentError as refusal:
        outcome = str(refusal)

    assert outcome == taken or wish in outcome


@pytest.mark.parametrize("wish", ["preferred_models", "exclude_models", "min_context_tokens", "require_vision", "exclude_beta"])
async def test_none_means_no_requirement(wish: str) -> None:
    wishes: dict[str, Any] = {wish: None}
    catalogue = [model("b", beta=True), model("a")]

    assert await client_with(*catalogue).models.resolve_chat(**wishes) == "a"


@pytest.mark.parametrize(
    ("wish", "value"),
    [
        *(("min_context_tokens", value) for value in ("x", "8000", -1, True, 1.5)),
        *((name, 5) for name in ("preferred_models", "exclude_models")),
    ],
)
async def test_a_malformed_requirement_is_refused_by_its_name(wish: str, value: Any) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidArgumentError, match=wish):
        await client.models.resolve_chat(**{wish: value})

    assert transport.requests == []


async def test_names_may_come_in_any_series() -> None:
    client = client_with(model("a"), model("b"), model("c"))

    assert await client.models.resolve_chat(exclude_models=cast("Any", (name for name in "ab"))) == "c"


async def test_the_cheapest_is_taken_where_price_matters() -> None:
    client = client_with(
        model("dear", price=3.0, traits=["default"]),
        model("cheap", price=0.5),
        model("cheaper, but offline", price=0.1, offline=True),
        model("unknown", pricing=None),
        model("half known", pricing={"input": {"usd": 0.0}}),
        model("in words", pricing={"input": {"usd": "0"}, "output": {"usd": "0"}}),
    )

    assert await client.models.resolve_chat(prefer="cheapest") == "cheap"
    assert await client.models.resolve_chat() == "dear"


async def test_a_free_model_is_the_cheapest() -> None:
    client = client_with(model("cheap", price=0.01), model("free", price=0))

    assert await client.models.resolve_chat(prefer="cheapest") == "free"


async def test_the_cheapest_of_the_published_catalogue_is_cheaper_than_the_rest() -> None:
    client, _ = client_of(answer(published_models()))

    taken = await client.models.resolve_chat(prefer="cheapest")

    def price(entry: dict[str, Any]) -> float:
        pricing = entry["model_spec"]["pricing"]
        return float(pricing["input"]["usd"] + pricing["output"]["usd"])

    rest = [
        entry
        for entry in published_models()["data"]
        if not entry["id"].startswith("e2ee-") and not entry["model_spec"].get("betaModel") and "pricing" in entry["model_spec"]
    ]
    assert taken == min(rest, key=price)["id"]


async def test_a_preference_that_is_not_known_is_refused() -> None:
    client, _ = client_of(answer(published_models()))

    with pytest.raises(ValueError, match=r"prefer.*'fastest'.*cheapest"):
        await client.models.resolve_chat(prefer=cast("Any", "fastest"))


# -- a catalogue in OpenAI's shape ---------------------------------------------------------------------------------------

BARE: list[dict[str, Any]] = [{"id": name, "object": "model", "created": 1, "owned_by": "me"} for name in ("a", "b")]


async def test_an_entry_that_says_nothing_of_itself_is_retrieved_and_taken_where_it_is_preferred() -> None:
    assert (await client_with(*BARE).models.retrieve("b")).id == "b"
    assert (await client_with(*BARE).models.find("b")).id == "b"
    assert await client_with(*BARE).models.resolve_chat(preferred_models=["x", "b"]) == "b"
    assert await client_with(*BARE, model("m")).models.resolve_chat() == "m"


@pytest.mark.parametrize(
    "wishes", [{}, {"preferred_models": ["x"]}, {"preferred_models": ["a"], "require_vision": True}], ids=str
)
async def test_no_model_is_resolved_from_a_catalogue_without_capabilities(wishes: dict[str, Any]) -> None:
    with pytest.raises(NoMatchingModelError, match=r"^2 models are listed, none says what it can do.*preferred_models=\['a'\]"):
        await client_with(*BARE).models.resolve_chat(**wishes)


async def test_nothing_fits_a_catalogue_that_is_empty() -> None:
    with pytest.raises(NoMatchingModelError, match=r"no chat model is online.*models\.list"):
        await client_with().models.resolve_chat(prefer="cheapest")


# -- odd entries ---------------------------------------------------------------------------------------------------------

ODD: list[Any] = [None, 7, "model", [], {}, {"id": "x"}]
ODD_VALUES: dict[str, list[Any]] = {"model_spec": [None, 7, "x", [], {}], "id": [None, 7, [], {}], "type": [None, 7, ["text"]]}
ODD_DETAILS: dict[str, list[Any]] = {
    "pricing": [7, "free", [7], {"input": 7, "output": []}],
    "traits": [7, "x", [7], {"a": 1}],
    "deprecation": [7, "soon", [7], {"removesAt": 7, "date": [7]}],
    "capabilities": [7, "all", ["supportsVision"]],
}
ODD_ENTRIES = [
    *(pytest.param(odd, id=f"an entry is {odd!r}") for odd in ODD),
    *(pytest.param(model() | {name: odd}, id=f"{name} is {odd!r}") for name, odds in ODD_VALUES.items() for odd in odds),
    *(
        pytest.param(model() | {"model_spec": model()["model_spec"] | {name: odd}}, id=f"{name} is {odd!r}")
        for name, odds in ODD_DETAILS.items()
        for odd in odds
    ),
]


@pytest.mark.parametrize("odd", ODD_ENTRIES)
async def test_one_odd_entry_never_hides_the_rest(odd: Any) -> None:
    body = {"object": "list", "data": [odd, model("sane", traits=["default"]), odd]}
    client, _ = client_of(answer(body), answer(body))

    catalogue = await client.models.list()

    assert catalogue.model_dump() == body
    assert (await client.models.retrieve("sane")).id == "sane"
    assert await client.models.resolve_chat() == "sane"
    assert await client.models.resolve_chat(preferred_models=["sane"], require_vision=True, min_context_tokens=1) == "sane"
    assert isinstance(await client.models.resolve_chat(prefer="cheapest"), str)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            yield (*path, key)
            yield from places(item, (*path, key))


@given(path=st.sampled_from(list(places(EXAMPLES["data"][1]))), odd=JSON)
async def test_an_entry_with_any_value_anywhere_never_hides_the_rest(path: tuple[Any, ...], odd: Any) -> None:
    entry = copy.deepcopy(EXAMPLES["data"][1])
    place = entry
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = odd

    client = client_with(entry, model("sane", traits=["default"]))

    assert await client.models.resolve_chat(exclude_beta=False) in {"sane", "example-frontier-tiered"}
    assert isinstance(await client.models.resolve_chat(exclude_beta=False, prefer="cheapest"), str)
    assert (await client.models.retrieve("sane")).id == "sane"


@pytest.mark.parametrize("data", [None, 7, "text", {}, [], [[]]], ids=repr)
async def test_a_catalogue_without_models_has_none_that_fits(data: Any) -> None:
    client, _ = client_of(answer({"object": "list", "data": data}))

    with pytest.raises(NoMatchingModelError):
        await client.models.resolve_chat()


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(answer({"error": "down"}, status=503), id="503"),
        pytest.param(answer({"error": "odd"}), id="an error with status 200"),
        pytest.param(ScriptedReply(b"<html>", headers={"content-type": "text/html"}), id="a page"),
        pytest.param(ScriptedReply(b""), id="nothing"),
        pytest.param(answer([model()]), id="a bare list"),
    ],
)
async def test_a_catalogue_that_cannot_be_fetched_is_an_error_and_is_not_cached(reply: ScriptedReply) -> None:
    client, transport = client_of(reply, answer(published_models()), max_retries=0)

    with pytest.raises(APIError):
        await client.models.list()

    assert len((await client.models.list()).data) == 113
    assert len(transport.requests) == 2


# -- the cache -----------------------------------------------------------------------------------------------------------


async def test_the_catalogue_is_cached_for_minutes() -> None:
    clock = RecordingClock()
    client, transport = client_of(*[answer(published_models()) for _ in range(2)], clock=clock)

    for _ in range(3):
        await client.models.list()
        await client.models.resolve_chat()
        await clock.sleep(30)
    requests_in_minutes = len(transport.requests)
    await clock.sleep(3600)
    await client.models.list()

    assert (requests_in_minutes, len(transport.requests)) == (1, 2)


async def test_all_questions_about_chat_models_share_one_catalogue() -> None:
    client, transport = client_of(answer(published_models()))

    taken = await client.models.resolve_chat()
    await client.models.retrieve(taken)
    await client.models.list(type="text")
    await client.chat.completions.estimate_cost(model=taken, messages=HI)

    assert len(transport.requests) == 1


async def test_refresh_fetches_again_and_renews_the_cache() -> None:
    client, transport = client_of(answer({"data": [model("old")]}), answer({"data": [model("new")]}))

    old = await client.models.resolve_chat()
    new = await client.models.resolve_chat(refresh=True)
    cached = await client.models.resolve_chat()

    assert (old, new, cached) == ("old", "new", "new")
    assert len(transport.requests) == 2


async def test_each_type_of_models_is_cached_by_itself() -> None:
    client, _ = client_of(answer({"data": [model("a")]}), answer({"data": [model("b", type="image")]}))

    texts, images, texts_again = [await client.models.list(type=kind) for kind in ("text", "image", "text")]

    assert [found.data[0].id for found in (texts, images, texts_again)] == ["a", "b", "a"]


async def test_chat_is_another_word_for_text() -> None:
    client, transport = client_of(answer({"data": [model("a")]}))

    assert (await client.models.list(type="chat")).data == (await client.models.list(type="text")).data

    assert len(transport.requests) == 1
    assert "chat" not in transport.requests[0].url


async def test_changing_a_returned_catalogue_does_not_change_the_cached_one() -> None:
    client, _ = client_of(answer(published_models()), answer({"data": {"default": "a"}}))

    for _ in range(2):
        catalogue, traits = await client.models.list(), await client.models.traits()
        assert len(catalogue.data) == 113
        assert traits.data == {"default": "a"}
        assert catalogue.meta.status_code == 200
        catalogue.data.clear()
        traits.data.clear()


async def test_concurrent_calls_share_one_request_for_the_catalogue() -> None:
    client, transport = client_of(answer(published_models()))

    catalogues = await asyncio.gather(*[client.models.list() for _ in range(10)])

    assert len(transport.requests) == 1
    assert all(catalogue.data == catalogues[0].data for catalogue in catalogues)


async def test_a_cancelled_caller_does_not_cancel_the_shared_request() -> None:
    client, transport = client_of(answer(published_models()))
    first = asyncio.ensure_future(client.models.list())
    second = asyncio.ensure_future(client.models.list())
    await asyncio.sleep(0)

    first.cancel()

    assert len((await second).data) == 113
    assert len(transport.requests) == 1


async def test_a_failed_shared_request_raises_for_every_caller() -> None:
    client, transport = client_of(answer({"error": "down"}, status=500), max_retries=0)

    outcomes = await asyncio.gather(*[client.models.list() for _ in range(3)], return_exceptions=True)

    assert [type(outcome).__name__ for outcome in outcomes] == ["InternalServerError"] * 3
    assert len(transport.requests) == 1


async def test_no_loop_complains_of_a_failure_that_came_when_all_who_asked_had_left() -> None:
    troubles: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))

    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise LookupError

    asked = asyncio.ensure_future(SingleFlight[None]().share("the same", fail))
    await asyncio.sleep(0)
    asked.cancel()
    del asked
    await asyncio.sleep(0.05)
    gc.collect()

    assert troubles == []


def test_a_catalogue_cached_on_one_event_loop_serves_another() -> None:
    client, transport = client_of(answer(published_models()))

    for _ in range(2):
        assert asyncio.run(client.models.resolve_chat(require_vision=True))

    assert len(transport.requests) == 1
