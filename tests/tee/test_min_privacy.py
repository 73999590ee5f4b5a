"""The privacy floor: what is less private than a client demands does not leave it, whatever it is part of."""

from __future__ import annotations

import logging
import pickle
import traceback
from enum import Enum
from typing import Any, cast

import pytest
from pydantic import BaseModel

from venice_ai import (
    ChatCompletionResponse,
    ChatStream,
    InvalidRequestError,
    NoMatchingModelError,
    SyncVeniceClient,
    VeniceClient,
)
from venice_ai.exceptions import APITimeoutError, TeeAttestationError
from venice_ai.tee import TeeOptions

from ..fakes import HI, KEY, answer
from .enclave import ASK, MODEL, SERVER, Enclave, Silent, client_of, created

pytestmark = [
    pytest.mark.filterwarnings("ignore:end-to-end encryption"),
    pytest.mark.filterwarnings("ignore:this request to 'e2ee-m"),
]

IN_CLEAR = {"messages": [{"role": "user", "content": "my secret prompt"}]}


async def question(client: VeniceClient, how: str, **params: Any) -> Any:  # noqa: PLR0911  # a line each
    """Asks in one of the ways there are, and gives the answer's text."""
    chats = client.chat.completions
    asked: dict[str, Any] = {**IN_CLEAR, **params}
    found: ChatCompletionResponse | BaseException
    match how:
        case "create":
            found = await created(client, **asked)
            return found.text
        case "stream":
            return (await (await chats.stream(**asked)).collect()).text
        case "create(stream=True)":
            opened = cast("ChatStream", await cast("Any", chats.create)(**asked, stream=True))
            return (await opened.collect()).text
        case "run_with_tools":
            return (await chats.run_with_tools(**asked, tools=[weather])).text
        case "stream_with_tools":
            async with await chats.stream_with_tools(**asked, tools=[weather]) as events:
                return [event async for event in events]
        case "parse":
            return (await chats.parse(**asked, response_format=Said)).response.text
        case "stream_parse":
            return (await (await chats.stream_parse(**asked, response_format=Said)).collect()).response.text
        case "batch":
            (found,) = await chats.batch([asked], return_exceptions=False)
            assert isinstance(found, ChatCompletionResponse)
            return found.text
        case _:
            raise NotImplementedError(how)


def weather(city: str) -> str:
    """The weather of a city."""
    return f"fine in {city}"


class Said(BaseModel):
    """What is asked for."""

    words: str


CHATS = ["create", "stream", "create(stream=True)", "batch"]
WAYS = [*CHATS, "parse", "stream_parse", "run_with_tools", "stream_with_tools"]
every_way = pytest.mark.parametrize("how", WAYS)


# -- e2ee ----------------------------------------------------------------------------------------------------------------


@every_way
@pytest.mark.parametrize("model", [MODEL, "tee-m", "ordinary", "default", "e2ee-m:enable_web_search=on"])
async def test_nothing_leaves_in_clear(model: str, how: str) -> None:
    enclave = Enclave(quoted=True)

    with pytest.raises(InvalidRequestError, match="min_privacy='e2ee'"):
        await question(client_of(enclave, min_privacy="e2ee"), how, model=model)

    assert enclave.requests == []


@pytest.mark.parametrize("how", CHATS)
@pytest.mark.parametrize("floor", ["e2ee", "tee"])
async def test_what_is_sealed_leaves(floor: Any, how: str) -> None:
    enclave = Enclave(quoted=True)

    found = await question(client_of(enclave, min_privacy=floor), how, model=MODEL, e2ee=True)

    assert found.replace("\n", "") == "my secret answer"
    assert len(enclave.asked) == 1


@pytest.mark.parametrize("how", CHATS)
async def test_a_role_that_is_not_sealed_does_not_leave(how: str) -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, min_privacy="e2ee", tee=enclave.demands.replace(encrypt_roles=("system",)))

    with pytest.raises(InvalidRequestError, match="the messages of user would leave in clear"):
        await question(client, how, model=MODEL, e2ee=True)

    assert enclave.requests == []


async def test_without_a_floor_a_role_that_is_not_sealed_is_warned_of() -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, tee=SERVER.replace(encrypt_roles=("system",)))

    with pytest.warns(UserWarning, match="what user says is not end-to-end encrypted"), pytest.raises(InvalidRequestError):
        await created(client, **IN_CLEAR, e2ee=True)


async def test_a_tool_loop_that_may_not_begin_holds_no_prompt() -> None:
    client = client_of(Enclave(quoted=True), min_privacy="e2ee")

    with pytest.raises(InvalidRequestError) as caught:
        await question(client, "run_with_tools", model="ordinary")

    assert "my secret prompt" not in pickle.dumps(caught.value).decode("latin-1")


async def test_encryption_switched_off_in_the_call_does_not_help() -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, min_privacy="e2ee")

    for params in ({"e2ee": False}, {"venice_parameters": {"enable_e2ee": False}}):
        with pytest.raises(InvalidRequestError):
            await created(client, **params)

    assert enclave.requests == []


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_retry_is_as_sealed_as_the_first_attempt(status: int) -> None:
    enclave = Enclave(quoted=True)
    enclave.refusals = [answer({"error": "busy"}, status=status)]

    await created(client_of(enclave, min_privacy="e2ee"), e2ee=True)

    assert len(enclave.chats) == 2
    assert all(b"secret" not in (request.body or b"") for request in enclave.requests)


async def test_a_retry_with_another_key_is_sealed_too() -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, min_privacy="e2ee")
    await created(client, e2ee=True)
    enclave.rotate()

    await created(client, e2ee=True)

    assert len(enclave.chats) == 3
    assert all(b"secret" not in (request.body or b"") for request in enclave.requests)


async def test_without_an_attestation_nothing_leaves() -> None:
    enclave = Enclave(quoted=True)
    enclave.attestation = lambda reply: {**reply, "verified": False}

    with pytest.raises(TeeAttestationError):
        await created(client_of(enclave, min_privacy="e2ee"), e2ee=True)

    assert enclave.chats == []


async def test_a_batch_holds_the_refusals_in_their_places() -> None:
    enclave = Enclave(quoted=True)

    sealed: dict[str, Any] = {**ASK, "e2ee": True}
    found = await client_of(enclave, min_privacy="e2ee").chat.completions.batch([sealed, {"model": "m", "messages": HI}])

    assert isinstance(found[0], ChatCompletionResponse)
    assert isinstance(found[1], InvalidRequestError)
    assert len(enclave.chats) == 1


async def test_with_a_floor_no_request_with_a_body_can_be_built() -> None:
    client = client_of(Enclave(quoted=True), min_privacy="e2ee")

    for method in ("POST", "PUT", "PATCH"):
        with pytest.raises(InvalidRequestError, match="min_privacy"):
            client.build_request(method, "/anything", body=b"my secret prompt")
    assert client.build_request("GET", "/models").method == "GET"


# -- tee -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["create", "stream", "batch"])
async def test_a_model_in_an_attested_enclave_may_be_asked_in_clear(how: str) -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, min_privacy="tee")

    assert await question(client, how, model="tee-m") == "in clear"
    assert await question(client, how, model="tee-m") == "in clear"

    assert len(enclave.attestations) == 1
    assert [request.method for request in enclave.requests].index("POST") == 2  # after the catalogue and the evidence


@every_way
@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"model": "ordinary"}, id="a model without an enclave"),
        pytest.param({"model": "default"}, id="a trait of such a model"),
        pytest.param({"model": "most_private"}, id="a trait, that may stand for another model tomorrow"),
        pytest.param({"model": "unknown"}, id="a model that the catalogue does not have"),
        pytest.param({"model": "tee-m", "fallbacks": [{"model": "ordinary"}]}, id="fallbacks"),
    ],
)
async def test_with_the_floor_tee_other_models_are_refused(params: dict[str, Any], how: str) -> None:
    enclave = Enclave(quoted=True)

    with pytest.raises((InvalidRequestError, NoMatchingModelError)):
        await question(client_of(enclave, min_privacy="tee"), how, **params)

    assert enclave.chats == []


@pytest.mark.parametrize("bent", [{"verified": False}, {"nonce": "00" * 32}])
async def test_with_the_floor_tee_a_model_whose_attestation_fails_is_refused(bent: dict[str, Any]) -> None:
    enclave = Enclave(quoted=True)
    enclave.attestation = lambda reply: {**reply, **bent}

    with pytest.raises(TeeAttestationError):
        await question(client_of(enclave, min_privacy="tee"), "create", model="tee-m")

    assert enclave.chats == []


async def test_the_tee_options_of_the_client_hold_for_a_call_in_clear() -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, min_privacy="tee", tee=TeeOptions(verification="quote"))

    with pytest.raises(TeeAttestationError):
        await question(client, "create", model="tee-m")

    assert enclave.chats == []


# -- both ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("floor", "expected"), [("e2ee", {MODEL}), ("tee", {MODEL, "tee-m"}), (None, {"tee-m", "ordinary"})])
async def test_resolve_chat_finds_a_model_that_is_private_enough(floor: Any, expected: set[str]) -> None:
    client = client_of(Enclave(quoted=True), min_privacy=floor)

    assert await client.models.resolve_chat() in expected
    for model in ("ordinary", "tee-m", MODEL):
        preferred = await client.models.resolve_chat(preferred_models=[model])
        assert preferred in (expected | {MODEL})


async def test_resolve_chat_raises_if_no_model_is_private_enough() -> None:
    enclave = Enclave(quoted=True)
    enclave.catalogue = enclave.catalogue[2:]

    for floor in ("e2ee", "tee"):
        with pytest.raises(NoMatchingModelError):
            await client_of(enclave, min_privacy=floor).models.resolve_chat()


@pytest.mark.parametrize("floor", ["e2ee", "tee"])
async def test_the_catalogue_and_evidence_are_free(floor: Any) -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, min_privacy=floor)

    await client.models.list()
    await client.tee.attest(MODEL)

    assert len(enclave.requests) == 2


@pytest.mark.parametrize("floor", ["e2ee", "tee"])
async def test_an_estimate_sends_no_prompt(floor: Any) -> None:
    enclave = Enclave(quoted=True)
    enclave.catalogue[0]["model_spec"]["pricing"] = {"input": {"usd": 1}, "output": {"usd": 2}}

    estimate = await client_of(enclave, min_privacy=floor).chat.completions.estimate_cost(
        model=MODEL, messages=IN_CLEAR["messages"]
    )

    assert estimate.total_cost_usd > 0
    assert all(request.method == "GET" and request.body is None for request in enclave.requests)
    assert all("secret" not in request.url for request in enclave.requests)


@pytest.mark.parametrize("floor", ["E2EE", "none", "", True, 1, ["e2ee"]], ids=repr)
def test_a_floor_is_tee_or_e2ee(floor: Any) -> None:
    with pytest.raises(InvalidRequestError, match="min_privacy"):
        VeniceClient(api_key="k", min_privacy=floor)


def test_a_client_has_its_floor_as_an_attribute() -> None:
    assert VeniceClient(api_key="k").min_privacy is None
    assert VeniceClient(api_key="k", min_privacy="tee", tee=TeeOptions()).min_privacy == "tee"


async def test_a_refusal_shows_no_prompt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    with pytest.raises(InvalidRequestError) as caught:
        await question(client_of(Enclave(quoted=True), min_privacy="e2ee"), "create", model="m")

    assert "secret" not in f"{caught.value!r} {caplog.text}"


@pytest.mark.parametrize("how", ["create", "stream"])
async def test_the_time_of_a_call_counts_the_attestation(how: str) -> None:
    enclave = Silent(quoted=True)
    call = getattr(client_of(enclave, min_privacy="tee").chat.completions, how)

    with pytest.raises(APITimeoutError):
        await call(model="tee-m", messages=ASK["messages"], timeout=0.05)

    assert enclave.chats == []


# -- what a refusal shows ------------------------------------------------------------------------------------------------

SECRET = "my secret prompt"
REFUSED: dict[str, dict[str, Any]] = {
    "a model without encryption": {"model": "ordinary"},
    "a call in clear": {"e2ee": False},
    "stop": {"stop": [SECRET]},
    "metadata": {"metadata": {"about": SECRET}},
    "user": {"user": SECRET},
    "a text that is not known here": {"anything": SECRET},
    "a field of a message": {"messages": [{"role": "user", "content": SECRET, SECRET: SECRET}]},
    "a role": {"messages": [{"role": SECRET, "content": SECRET}]},
    "a part of a message": {"messages": [{"role": "user", "content": [{"type": SECRET, "text": SECRET}]}]},
    "a field of extra_body": {"extra_body": {"tomorrow": SECRET}},
    "a text for an object": {"extra_body": {"venice_parameters": SECRET}},
    "a list for an object": {"extra_body": {"reasoning": [SECRET]}},
    "a text for another object": {"extra_body": {"text": SECRET}},
    "a field whose name is a number": {"extra_body": {1: SECRET}},
    "an infinite number": {"messages": [{"role": "user", "content": SECRET, SECRET: float("inf")}]},
}


def shown_by(error: BaseException) -> str:
    """The error, and the local variables of this package's frames."""
    found = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [frame for frame in found.stack if "venice_ai" in frame.filename and "tests" not in frame.filename]
    return f"{error!r} {[(frame.name, frame.locals) for frame in ours]}"


@every_way
@pytest.mark.parametrize("params", REFUSED.values(), ids=REFUSED)
async def test_a_refusal_shows_nothing_that_the_caller_wrote(params: dict[str, Any], how: str) -> None:
    enclave = Enclave(quoted=True)
    asked = {"model": MODEL, "e2ee": True, **params}

    with pytest.raises(InvalidRequestError) as caught:
        await question(client_of(enclave, min_privacy="e2ee"), how, **asked)

    assert SECRET not in shown_by(caught.value)
    assert enclave.requests == []


@every_way
@pytest.mark.parametrize("params", REFUSED.values(), ids=REFUSED)
def test_a_refusal_of_the_synchronous_client_shows_nothing_of_the_call(params: dict[str, Any], how: str) -> None:
    enclave = Enclave(quoted=True)
    asked: dict[str, Any] = {"model": MODEL, "e2ee": True, **IN_CLEAR, **params}
    extra: dict[str, Any] = {"create(stream=True)": {"stream": True}}.get(how, {})
    extra |= {"response_format": Said} if "parse" in how else {"tools": [weather]} if "tools" in how else {}

    with SyncVeniceClient(api_key=KEY, transport=enclave, min_privacy="e2ee", tee=TeeOptions()) as client:
        chats: Any = client.chat.completions
        with pytest.raises(InvalidRequestError) as caught:
            if how == "batch":
                chats.batch([asked], return_exceptions=False)
            else:
                getattr(chats, how.partition("(")[0])(**asked, **extra)

    assert SECRET not in shown_by(caught.value)
    assert enclave.requests == []


class Switch(Enum):
    SEARCH = "enable_web_search"
    ON = "on"


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({"model": "tee-m", "extra_body": {"venice_parameters": {"enable_web_search": "on"}}}, id="extra_body"),
        pytest.param({"model": "tee-m", "extra_body": {"venice_parameters": {Switch.SEARCH: Switch.ON}}}, id="an Enum"),
        pytest.param({"model": "tee-m:enable_web_search=on"}, id="a suffix"),
        pytest.param({"model": "tee-m:enable_web_search=%6Fn"}, id="a suffix, written otherwise"),
        pytest.param({"model": "tee-m:disable_thinking=true&enable_web_scraping=true"}, id="the second of a suffix"),
        pytest.param({"model": "tee-m:web"}, id="a short suffix"),
        pytest.param({"model": "tee-m:disable_thinking=true,enable_web_search=on"}, id="another separator"),
        pytest.param({"model": "tee-m:disable_thinking=true%26enable_web_search=on"}, id="a separator, written otherwise"),
        pytest.param({"model": "tee-m:character_slug=x"}, id="a character"),
        pytest.param({"model": "tee-m", "venice_parameters": {"enable_web_search": "auto"}}, id="a switch"),
        pytest.param({"model": "tee-m", "venice_parameters": {"enable_x_search": True}}, id="another switch"),
        pytest.param({"model": "tee-m", "tools": [{"type": "web_search"}]}, id="a tool"),
    ],
)
@pytest.mark.parametrize("how", CHATS)
async def test_in_an_enclave_nothing_is_looked_up_outside_of_it(params: dict[str, Any], how: str) -> None:
    enclave = Enclave(quoted=True)

    with pytest.raises(InvalidRequestError, match="outside of the enclave") as caught:
        await question(client_of(enclave, min_privacy="tee"), how, **params)

    assert SECRET not in shown_by(caught.value)
    assert enclave.requests == []


@pytest.mark.parametrize("suffix", ["enable_web_search=off", "strip_thinking_response=true&disable_thinking=true"])
async def test_other_suffixes_do_no_harm(suffix: str) -> None:
    enclave = Enclave(quoted=True)

    assert await question(client_of(enclave, min_privacy="tee"), "create", model=f"tee-m:{suffix}") == "in clear"


@pytest.mark.parametrize("floor", ["tee", "e2ee"])
async def test_a_floor_and_venices_word_alone_contradict_each_other(floor: Any) -> None:
    enclave = Enclave()

    with pytest.raises(InvalidRequestError, match="verification='server'"):
        client_of(enclave, min_privacy=floor, tee=SERVER)
    client = client_of(enclave, min_privacy=floor, tee=None)
    for call in (created(client, e2ee=SERVER), client.tee.attest(MODEL, SERVER)):
        with pytest.raises(InvalidRequestError, match="verification='server'"):
            await call

    assert enclave.requests == []


async def test_a_session_seals_what_a_call_would() -> None:
    enclave = Enclave(quoted=True)
    session = await client_of(enclave, min_privacy="e2ee").tee.open_session(model=MODEL)

    wrong: list[dict[str, Any]] = [{"stop": "x"}, {"user": "x"}, {"tools": [{}]}, {"model": "e2ee-other"}]
    wrong += [{"messages": []}, {"messages": None}]
    for params in wrong:
        with pytest.raises(InvalidRequestError):
            session.seal({"model": MODEL, **IN_CLEAR, **params})
    sealed = session.seal({"model": MODEL, **IN_CLEAR, "temperature": 0.5})

    assert "secret" not in str(sealed)
