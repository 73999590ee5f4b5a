"""What a chat is likely to cost: the API document's formula, to the last digit, from the catalogue's prices."""

from __future__ import annotations

import dataclasses
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import venice_ai
from venice_ai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ChatCostEstimate,
    ConnectError,
    InvalidArgumentError,
    NoMatchingModelError,
    UserMessage,
    VeniceClient,
    estimate_completion_cost,
)
from venice_ai._core.token_counts import Count
from venice_ai.costs import estimate_chat_cost, may_be_billed
from venice_ai.types.api import ModelPricing
from venice_ai.types.api.models import ModelResponse

from ..fakes import HI, RecordingClock, ScriptedTransport, answer, client_of
from ..shared import shared

EXAMPLES: dict[str, Any] = shared("models-constructed-examples.json")


def published_models() -> dict[str, Any]:
    return dict(shared("models.json"))


def published_other_types() -> dict[str, Any]:
    return dict(shared("models-other-types.json"))


def published_aliases() -> dict[str, Any]:
    return dict(shared("compatibility_mapping.json"))


def published_traits() -> dict[str, Any]:
    return dict(shared("traits.json"))


def priced(pricing: Any, **fields: Any) -> dict[str, Any]:
    """A catalogue with one text model `m` of these prices."""
    entry = {"id": "m", "object": "model", "owned_by": "venice.ai", "type": "text", "model_spec": {"privacy": "private"}}
    if pricing is not ...:
        entry["model_spec"] = {"privacy": "private", "pricing": pricing}
    return {"object": "list", "data": [entry | fields]}


def usd(into: Any, out: Any, **more: Any) -> dict[str, Any]:
    return {"input": {"usd": into, "diem": into}, "output": {"usd": out, "diem": out}, **more}


def words(count: int) -> list[dict[str, Any]]:
    return [{"role": "user", "content": "word " * count}]


async def estimated(catalogue: Any, messages: Any = HI, *, model: str = "m", **params: Any) -> ChatCostEstimate:
    client, _ = client_of(answer(catalogue))
    return await client.chat.completions.estimate_cost(model=model, messages=messages, **params)


@pytest.mark.parametrize(
    ("pricing", "count", "params", "tokens", "prompt", "completion"),
    [
        pytest.param(usd(1, 2), 10, {}, 13, "0.000013", "0.001", id="the defaults"),
        pytest.param(usd(0.2, 0.9), 1000, {"expected_completion_tokens": 1500}, 1300, "0.00026", "0.00135", id="fractions"),
        pytest.param(
            usd(0.086, 0.344), 10, {"expected_completion_tokens": 7}, 13, "0.000001118", "0.000002408", id="no floats"
        ),
        pytest.param(usd(6.25, 37.5), 10, {"tokens_per_word": 2.0}, 20, "0.000125", "0.01875", id="more tokens a word"),
        pytest.param(usd(1, 2), 3, {}, 3, "0.000003", "0.001", id="no half tokens"),
        pytest.param(usd(1, 2), 0, {"expected_completion_tokens": 0}, 0, "0", "0", id="nothing"),
        pytest.param(usd(0, 0), 10, {}, 13, "0", "0", id="free"),
        pytest.param(usd(0.0, 0.0), 10, {}, 13, "0", "0", id="free, written as a fraction"),
        pytest.param(usd(1, 2), 10, {"expected_completion_tokens": 10**12}, 13, "0.000013", "2000000", id="a very long answer"),
    ],
)
async def test_an_estimate_follows_the_documented_formula(
    pricing: Any, count: int, params: dict[str, Any], tokens: int, prompt: str, completion: str
) -> None:
    estimate = await estimated(priced(pricing), words(count), **params)

    assert type(estimate) is ChatCostEstimate
    assert estimate.model == "m"
    assert estimate.prompt_tokens == tokens
    assert estimate.expected_completion_tokens == params.get("expected_completion_tokens", 500)
    assert estimate.prompt_cost_usd == Decimal(prompt)
    assert estimate.completion_cost_usd == Decimal(completion)
    assert estimate.total_cost_usd == Decimal(prompt) + Decimal(completion)
    assert {type(value) for value in (estimate.prompt_cost_usd, estimate.completion_cost_usd, estimate.total_cost_usd)} == {
        Decimal
    }


@pytest.mark.parametrize(
    ("count", "prompt", "completion"),
    [
        pytest.param(200_000, "1.25", "0.0375", id="at the threshold"),
        pytest.param(200_001, "2.5000125", "0.05625", id="above it, the whole request"),
    ],
)
async def test_a_long_input_is_charged_at_the_extended_rates(count: int, prompt: str, completion: str) -> None:
    estimate = await estimated(
        EXAMPLES, words(count), model="example-frontier-tiered", tokens_per_word=1.0, expected_completion_tokens=1000
    )

    assert estimate.prompt_cost_usd == Decimal(prompt)
    assert estimate.completion_cost_usd == Decimal(completion)


@pytest.mark.parametrize(
    "extended", [None, {}, 7, [], {"context_token_threshold": "many"}, {"context_token_threshold": 1}], ids=repr
)
async def test_odd_extended_rates_leave_the_ordinary_ones(extended: Any) -> None:
    estimate = await estimated(priced(usd(1, 2, extended=extended)), words(10))

    assert estimate.prompt_cost_usd == Decimal("0.000013")


@pytest.mark.parametrize(
    ("messages", "tokens"),
    [
        pytest.param([UserMessage(content="one two three four five six seven eight nine ten")], 13, id="objects"),
        pytest.param(({"role": "user", "content": "a b c d e"} for _ in range(2)), 13, id="a generator"),
        pytest.param(
            [
                {
                    "role": "user",
                    "content": [{"type": "text", "text": "a b c d e"}, {"type": "image_url", "image_url": {"url": "x y"}}],
                }
            ],
            6,
            id="texts of parts alone",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": "a b c"}, {"type": "text", "text": "d e"}]}],
            6,
            id="the words of each part",
        ),
        pytest.param([{"role": "assistant", "content": None}, {"role": "user", "content": " \n\t "}], 0, id="no words"),
    ],
)
async def test_every_text_of_a_message_is_counted(messages: Any, tokens: int) -> None:
    assert (await estimated(priced(usd(1, 1)), messages)).prompt_tokens == tokens


async def test_low_and_high_are_beside_the_documented_numbers() -> None:
    for entry in published_models()["data"][:20]:
        estimate = await estimated(published_models(), words(100), model=entry["id"])

        assert Decimal(0) <= estimate.low <= estimate.total_cost_usd <= estimate.high
        assert isinstance(estimate.method, str)
        assert estimate.total_cost_usd == estimate.prompt_cost_usd + estimate.completion_cost_usd


async def test_low_and_high_are_six_bytes_a_token_and_two_and_a_half_with_what_is_added_to_a_prompt() -> None:
    sixty_bytes = "ab " * 20
    for count, added in ((1, 8), (2, 16)):
        messages = [UserMessage(content=sixty_bytes), *[UserMessage(content="")] * (count - 1)]
        estimate = await estimated(priced(usd(1, 2)), messages, expected_completion_tokens=100)

        assert estimate.total_cost_usd == Decimal(26 + 200) / 1_000_000
        assert estimate.low == Decimal(10 + 200) / 1_000_000
        assert estimate.high == Decimal(24 + added + 1_750 + 200) / 1_000_000


async def test_half_tokens_are_cut_off_low_and_high() -> None:
    estimate = await estimated(priced(usd(1, 1)), [UserMessage(content="a" * 11)], expected_completion_tokens=0)

    assert estimate.low == Decimal(1) / 1_000_000
    assert estimate.high == Decimal(4 + 8 + 1_750) / 1_000_000


async def test_text_that_is_hard_on_tokens_is_never_cheaper_than_the_documented_number() -> None:
    one_letter_words = [UserMessage(content="a " * 10_000)]
    estimate = await estimated(priced(usd(1, 1)), one_letter_words, tokens_per_word=3.0)

    assert estimate.prompt_tokens == 30_000
    assert estimate.low < estimate.total_cost_usd < estimate.high == estimate.likely


async def test_text_that_is_easy_on_tokens_is_never_dearer_than_the_documented_number() -> None:
    estimate = await estimated(priced(usd(1, 1)), [UserMessage(content="a" * 6_000)], tokens_per_word=1.0)

    assert estimate.prompt_tokens == 1
    assert estimate.low == estimate.total_cost_usd


async def test_every_published_chat_model_has_an_estimate() -> None:
    client, transport = client_of(answer(published_models()))

    for entry in published_models()["data"]:
        estimate = await client.chat.completions.estimate_cost(model=entry["id"], messages=words(10))

        price = entry["model_spec"]["pricing"]
        assert estimate.prompt_cost_usd == 13 * Decimal(str(price["input"]["usd"])) / 1_000_000
        assert estimate.completion_cost_usd == 500 * Decimal(str(price["output"]["usd"])) / 1_000_000
    assert len(transport.requests) == 1


async def test_an_estimate_sends_no_prompt_and_needs_no_key() -> None:
    transport = ScriptedTransport(answer(priced(usd(1, 1))))
    client = VeniceClient(transport=transport, clock=RecordingClock())

    await client.chat.completions.estimate_cost(model="m", messages=[UserMessage(content="my secret")])

    assert [(request.method, request.body) for request in transport.requests] == [("GET", None)]
    assert "secret" not in transport.requests[0].url


@pytest.mark.parametrize(
    "pricing",
    [
        pytest.param(..., id="no pricing"),
        pytest.param(None, id="null"),
        pytest.param({}, id="empty"),
        pytest.param({"input": {"usd": 1}}, id="only input"),
        pytest.param({"output": {"usd": 1}}, id="only output"),
        pytest.param({"input": {"diem": 1}, "output": {"diem": 1}}, id="no dollars"),
        pytest.param({"input": {"usd": "1"}, "output": {"usd": "1"}}, id="texts"),
        pytest.param({"input": 1, "output": 1}, id="bare numbers"),
        pytest.param({"per_audio_second": {"usd": 1}}, id="another shape"),
        pytest.param("free", id="a text"),
    ],
)
async def test_a_model_without_token_prices_has_no_estimate(pricing: Any) -> None:
    with pytest.raises(ValueError, match="'m'") as caught:
        await estimated(priced(pricing))
    assert not isinstance(caught.value, APIError)


@pytest.mark.parametrize("kind", ["embedding", "tts", "image"])
async def test_a_model_that_does_not_chat_has_no_estimate(kind: str) -> None:
    with pytest.raises(ValueError, match="'m'"):
        await estimated(priced(usd(1, 1), type=kind))


async def test_a_model_that_is_not_listed_has_no_estimate() -> None:
    with pytest.raises(ValueError, match=r"'nope'.*not found") as caught:
        await estimated(published_models(), model="nope")

    assert isinstance(caught.value, NoMatchingModelError)


async def test_a_feature_suffix_does_not_count() -> None:
    name = "zai-org-glm-5-2:enable_web_search=on&disable_thinking=true"

    assert (await estimated(published_models(), model=name)).model == "zai-org-glm-5-2"


@pytest.mark.parametrize("name", ["default_code", "gpt-4o", "gpt-4o:enable_web_search=on"])
async def test_a_trait_or_an_alias_is_for_the_caller_to_resolve(name: str) -> None:
    client, transport = client_of(answer(published_models()))  # whatever else is asked for fails

    with pytest.raises(NoMatchingModelError, match=r"resolve it first: \(await client\.models\.find\("):
        await client.chat.completions.estimate_cost(model=name, messages=HI)
    assert [request.url.rpartition("/api/v1")[2] for request in transport.requests] == ["/models"]


async def test_an_alias_is_estimated_after_the_lookup_that_the_error_names() -> None:
    client, _ = client_of(answer(published_models()), answer(published_traits()), answer(published_aliases()))
    model = (await client.models.find("gpt-4o")).id

    assert (await client.chat.completions.estimate_cost(model=model, messages=HI)).model == "llama-3.3-70b"


async def test_a_catalogue_in_another_shape_has_no_prices() -> None:
    with pytest.raises(InvalidArgumentError, match="'m' has no prices"):
        await estimated({"object": "list", "data": [{"id": "m", "object": "model", "owned_by": "me"}]})


async def test_a_catalogue_that_cannot_be_fetched_is_an_api_error() -> None:
    client, _ = client_of(answer({"error": "down"}, status=503), max_retries=0)

    with pytest.raises(APIError):
        await client.chat.completions.estimate_cost(model="m", messages=HI)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("expected_completion_tokens", value) for value in (-1, 1.5, "500", True, None, float("nan"))),
        *(("tokens_per_word", value) for value in (-1, 0, "1.3", True, None, float("nan"), float("inf"))),
    ],
)
async def test_a_number_that_makes_no_sense_is_refused_by_name(name: str, value: Any) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidArgumentError, match=f"^{name}="):
        await client.chat.completions.estimate_cost(model="m", messages=HI, **{name: value})
    assert transport.requests == []


@pytest.mark.parametrize("model", [None, "", " ", 7], ids=repr)
async def test_a_model_that_is_not_an_id_is_refused_before_the_catalogue_is_fetched(model: Any) -> None:
    client, transport = client_of()

    with pytest.raises(InvalidArgumentError, match="is not a model id"):
        await client.chat.completions.estimate_cost(model=model, messages=HI)
    assert transport.requests == []


@pytest.mark.parametrize("messages", ["", None, 7, {"role": "user", "content": "x"}, ["hello"]], ids=repr)
async def test_an_estimate_refuses_the_messages_that_a_chat_refuses(messages: Any) -> None:
    with pytest.raises(ValueError, match="messages"):
        await estimated(priced(usd(1, 1)), messages)


async def test_an_estimate_cannot_be_changed() -> None:
    estimate: Any = await estimated(priced(usd(1, 1)))

    with pytest.raises(dataclasses.FrozenInstanceError):
        estimate.total_cost_usd = Decimal(0)


async def test_an_estimate_in_a_notebook_is_a_table_with_each_of_its_fields() -> None:
    shown = (await estimated(priced(usd(1, 2)), words(10)))._repr_html_()

    assert all(f"<th>{each.name}</th>" in shown for each in dataclasses.fields(ChatCostEstimate))
    assert "<td>0.001013</td>" in shown


# -- without a client ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pricing", "expected"),
    [
        pytest.param(usd(1, 2), "0.000213", id="a mapping"),
        pytest.param(ModelPricing.model_validate(usd(1, 2)), "0.000213", id="a catalogue's pricing"),
        pytest.param(usd(0.086, 0.344), "0.000035518", id="to the last digit"),
        pytest.param(None, "0", id="none"),
        pytest.param(usd(0, 0), "0", id="free"),
    ],
)
def test_the_cost_of_one_prompt(pricing: Any, expected: str) -> None:
    cost = estimate_completion_cost("one two three four five six seven eight nine ten", 100, pricing)

    assert cost == {"usd": Decimal(expected)}


def test_the_cost_of_one_prompt_with_more_tokens_a_word() -> None:
    assert estimate_completion_cost("a", 0, usd(1, 1), 0.5) == {"usd": Decimal(0)}
    assert estimate_completion_cost("a", 0, usd(1, 1), 999_999) == {"usd": Decimal("0.999999")}
    assert estimate_completion_cost("a b", 0, usd(1, 1), tokens_per_word=3.0) == {"usd": Decimal("0.000006")}
    assert estimate_completion_cost("a b", 0, usd(1, 1), 3.0) == {"usd": Decimal("0.000006")}


@pytest.mark.parametrize(
    ("tokens", "factor", "named"),
    [
        *((value, 1.3, "estimated_completion_tokens") for value in (-1, 1.5)),
        *((1, value, "tokens_per_word") for value in (-1.0, 0, float("nan"), 1_000_000)),
    ],
)
def test_numbers_that_make_no_sense_are_refused_by_the_name_that_they_were_given_under(
    tokens: Any, factor: Any, named: str
) -> None:
    with pytest.raises(ValueError, match=f"^{named}="):
        estimate_completion_cost("x", tokens, usd(1, 1), factor)


@given(
    count=st.integers(0, 500),
    tokens=st.integers(0, 10**7),
    into=st.decimals(0, 100, places=4),
    out=st.decimals(0, 100, places=4),
)
def test_a_price_is_never_rounded(count: int, tokens: int, into: Decimal, out: Decimal) -> None:
    cost = estimate_completion_cost("w " * count, tokens, usd(float(into), float(out)), 1.0)

    assert cost["usd"] == (count * into + tokens * out) / 1_000_000


def test_the_documented_names_can_be_imported() -> None:
    from venice_ai import costs

    assert costs.ChatCostEstimate is venice_ai.ChatCostEstimate
    assert costs.estimate_completion_cost is venice_ai.estimate_completion_cost


def test_a_model_without_token_prices_costs_zero_for_tokens() -> None:
    speech = next(entry for entry in published_other_types()["data"] if entry["type"] == "tts")

    assert estimate_completion_cost("a b", 1, speech["model_spec"]["pricing"]) == {"usd": Decimal(0)}


def test_an_estimate_can_be_made_from_its_documented_fields() -> None:
    fields: dict[str, Any] = {
        "model": "m",
        "prompt_tokens": 1,
        "expected_completion_tokens": 2,
        "prompt_cost_usd": Decimal("0.1"),
        "completion_cost_usd": Decimal("0.2"),
        "total_cost_usd": Decimal("0.3"),
    }
    estimate = ChatCostEstimate(**fields)

    assert (estimate.low, estimate.high) == (Decimal("0.3"), Decimal("0.3"))
    assert dataclasses.replace(estimate, low=Decimal(0)).low == 0


@pytest.mark.parametrize(
    ("model", "likely"),
    [
        pytest.param("m", "0.001013", id="with Venice's own prompt"),
        pytest.param("m:include_venice_system_prompt=false", "0.000013", id="without it"),
        pytest.param("e2ee-m", "0.000013", id="sealed, so without it"),
    ],
)
async def test_the_likely_cost_has_venices_own_prompt_where_venice_puts_one(model: str, likely: str) -> None:
    catalogue = priced(usd(1, 2), id=model.partition(":")[0])
    estimate = await estimated(catalogue, words(10), model=model, expected_completion_tokens=0)

    assert estimate.method == "words"
    assert estimate.likely == Decimal(likely)
    assert estimate.total_cost_usd == Decimal("0.000013")
    assert estimate.low <= estimate.likely <= estimate.high


def entry_of(pricing: Any) -> ModelResponse:
    return ModelResponse.model_validate(priced(pricing)["data"][0])


def test_tokens_learnt_from_usage_replace_the_count_of_words_with_their_own_spread() -> None:
    estimate = estimate_chat_cost(entry_of(usd(1, 2)), words(10), expected_completion_tokens=50, learnt=Count(200.0, 0.25))

    assert (estimate.method, estimate.prompt_tokens) == ("usage", 13)
    assert estimate.total_cost_usd == Decimal(13 + 100) / 1_000_000
    assert [estimate.low, estimate.likely, estimate.high] == [Decimal(count + 100) / 1_000_000 for count in (150, 200, 250)]


def test_the_estimate_for_a_catalogue_entry_has_the_defaults_of_the_client_s() -> None:
    estimate = estimate_chat_cost(entry_of(usd(1, 2)), words(10))

    assert (estimate.prompt_tokens, estimate.expected_completion_tokens) == (13, 500)
    assert estimate.likely == Decimal(1_013 + 1_000) / 1_000_000


# -- failures ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "billed"),
    [
        pytest.param(ConnectError("no route"), False, id="never sent"),
        pytest.param(APITimeoutError("late", clock="connect"), False, id="no connection in time"),
        *(pytest.param(APITimeoutError("late", clock=clock), True, id=f"late: {clock}") for clock in ("", "attempt", "total")),
        pytest.param(APIConnectionError("cut off"), True, id="cut off"),
        pytest.param(APIError("cut off", counts_as=200), True, id="cut off after it began"),
        pytest.param(APIError("late", status_code=504), True, id="a gateway's time ran out"),
        *(pytest.param(APIError("no", status_code=code), False, id=f"{code}") for code in (400, 429, 500, 503)),
        pytest.param(KeyboardInterrupt(), True, id="interrupted"),
    ],
)
def test_a_failed_attempt_may_be_billed_unless_it_was_never_sent_or_was_refused(failure: BaseException, billed: bool) -> None:
    assert may_be_billed(failure) is billed


@pytest.mark.parametrize(("threshold", "rate"), [(10, 1), (9.5, 3), (9, 3), (0, 3), ("9", 1), (None, 1)], ids=repr)
def test_an_input_beyond_the_threshold_has_the_extended_rates_and_what_they_lack_is_as_ever(threshold: Any, rate: int) -> None:
    extended = {"context_token_threshold": threshold, "input": {"usd": 3}}
    cost = estimate_completion_cost("w " * 10, 100, usd(1, 2, extended=extended), 1.0)

    assert cost["usd"] == Decimal(10 * rate + 100 * 2) / 1_000_000
