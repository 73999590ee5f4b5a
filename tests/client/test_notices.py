"""Warnings beside an answer, each given once: another model answered; all its tokens went into reasoning."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import Any

import pytest

from venice_ai import APIError, ChatCompletionResponse, ModelSubstitutedWarning, SyncVeniceClient, VeniceClient
from venice_ai._wire.notices import Notices
from venice_ai.types.response_meta import Headers, ResponseMeta

from ..fakes import DONE, HI, KEY, RecordingClock, ScriptedReply, answer, chunk, client_of, completion, event, stream
from ..scripted_server import reply, serving

MODELS: dict[str, Any] = {"object": "list", "data": [{"id": name, "type": "text", "model_spec": {}} for name in ("one", "two")]}
TRAITS = {"object": "list", "data": {"default": "one"}}
ALIASES = {"object": "list", "data": {"gpt-4o": "one"}}
SPENT: dict[str, Any] = {
    "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": None}}]
}


def said(model: str) -> ScriptedReply:
    return answer(completion(model=model))


async def informed(*replies: ScriptedReply, names: bool = True, **settings: Any) -> VeniceClient:
    """A client that knows the catalogue, and gets these replies."""
    known = [answer(MODELS), *([answer(TRAITS), answer(ALIASES)] if names else [])]
    client, _ = client_of(*known, *replies, **settings)
    await client.models.list()
    if names:
        await client.models.traits()
        await client.models.compatibility_mapping()
    return client


@pytest.mark.parametrize("asked", ["one", "default", "gpt-4o", "one:enable_web_search=on"])
async def test_a_substituted_model_is_warned_of_once_for_each_pair(asked: str) -> None:
    client = await informed(said("two"), said("two"), said("three"))

    with pytest.warns(ModelSubstitutedWarning, match="'two' answered") as warned:
        first, second = [await client.chat.completions.create(model=asked, messages=HI) for _ in range(2)]
    with pytest.warns(ModelSubstitutedWarning, match="'three'"):
        third = await client.chat.completions.create(model=asked, messages=HI)

    assert len(warned) == 1
    assert warned[0].filename == __file__
    assert all(each.meta.model_substituted for each in (first, second, third))


@pytest.mark.parametrize(
    ("asked", "answered"),
    [("one", "one"), ("default", "one"), ("gpt-4o", "one"), ("one", "default"), ("one:x=y", "one"), ("one", "one:x=y")],
)
async def test_the_requested_model_by_another_name_is_no_substitution(asked: str, answered: str) -> None:
    client = await informed(said(answered))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        response = await client.chat.completions.create(model=asked, messages=HI)

    assert response.meta.model_substituted is False


@pytest.mark.parametrize("names", [True, False])
async def test_an_unknown_model_name_causes_no_warning_and_no_request(names: bool, caplog: pytest.LogCaptureFixture) -> None:
    client, transport = client_of(said("two"))
    if names:
        client = await informed(said("two"), names=False)

    response = await client.chat.completions.create(model="default", messages=HI)

    assert response.meta.model_substituted is False
    assert caplog.records == []
    assert len(transport.requests) == (0 if names else 1)


@pytest.mark.parametrize(("seconds", "known"), [(299, True), (300, False)])
@pytest.mark.filterwarnings("ignore::venice_ai.ModelSubstitutedWarning")
async def test_a_catalogue_is_known_for_five_minutes(seconds: float, known: bool) -> None:
    clock = RecordingClock()
    client = await informed(said("two"), clock=clock)
    clock.passed += seconds

    assert (await client.chat.completions.create(model="default", messages=HI)).meta.model_substituted is known


@pytest.mark.parametrize("answered", ["first", "asked", "last", "other"])
@pytest.mark.filterwarnings("ignore::venice_ai.ModelSubstitutedWarning")
def test_after_fallbacks_the_last_model_that_was_tried_is_the_requested_one(answered: str) -> None:
    meta = ResponseMeta(200, Headers(), 0.0, 0.0, models_tried=("first", "asked", "last"))
    notices = Notices()
    notices.names = {"": (2_000.0, {name: name for name in ("first", "asked", "last")})}

    notices.substitution("asked", answered, meta, RecordingClock())

    assert meta.model_substituted is (answered != "last")


def test_a_thousand_notices_are_given_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    notices = Notices()
    for number in range(1_002):
        notices.spent(ChatCompletionResponse.model_validate(completion(model=f"m{number}", **SPENT)))

    assert len(caplog.records) == 1_000


@pytest.mark.parametrize(
    ("models", "logged"), [(["m", "m"], 1), (["m", "n"], 2), ([None, None], 1), ([None, "m"], 2)], ids=repr
)
def test_a_deprecation_is_logged_once_for_each_model_or_where_there_is_none_for_its_words(
    models: list[str | None], logged: int, caplog: pytest.LogCaptureFixture
) -> None:
    meta = ResponseMeta(200, Headers([("x-venice-deprecated", "gone")]), 0.0, 0.0)
    notices = Notices()
    for model in models:
        notices.deprecation(model, meta, b"")

    assert [record.getMessage() for record in caplog.records] == ["Venice: gone"] * logged


async def test_where_warnings_are_errors_another_model_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    client = await informed(said("two"))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        response = await client.chat.completions.create(model="one", messages=HI)

    assert response.text == "hello"
    assert [record.message for record in caplog.records] == ["'one' was asked for, and 'two' answered"]


@pytest.mark.parametrize("content", ["hello", ""], ids=["an answer", "nothing"])
async def test_a_stream_of_another_model_is_warned_of(content: str) -> None:
    client = await informed(stream(event({**chunk(content, finish="stop"), "model": "two"}), DONE))

    read = await client.chat.completions.stream(model="one", messages=HI)
    with pytest.warns(ModelSubstitutedWarning, match="'one' was asked for, and 'two' answered"):
        await read.collect()

    assert read.meta.model_substituted


async def test_an_error_beside_the_answer_of_another_model_is_warned_of() -> None:
    beside = {**chunk("hel"), "model": "two", "error": {"message": "busy", "code": "model_overloaded"}}
    client = await informed(stream(event(beside)))

    read = await client.chat.completions.stream(model="one", messages=HI)
    with pytest.warns(ModelSubstitutedWarning, match="'two' answered"), pytest.raises(APIError, match="busy"):
        await read.collect()


async def test_the_synchronous_client_knows_the_catalogue_too() -> None:
    def ask(url: str) -> bool:
        with SyncVeniceClient(api_key=KEY, base_url=url) as client:
            client.models.list()
            return client.chat.completions.create(model="one", messages=HI).meta.model_substituted

    async with serving(reply(MODELS), reply(completion(model="two"))) as server:
        with pytest.warns(ModelSubstitutedWarning, match="'two' answered"):
            assert await asyncio.to_thread(ask, server.url)


# -- spent ---------------------------------------------------------------------------------------------------------------


async def test_an_answer_whose_budget_went_into_reasoning_is_logged_once_a_model(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = client_of(*[answer(completion(**SPENT, model=model)) for model in ("one", "one", "two")])

    responses = [await client.chat.completions.create(model="m", messages=HI) for _ in range(3)]

    assert [response.text for response in responses] == [None] * 3
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert ["one" in record.message for record in caplog.records] == [True, False]
    assert "max_completion_tokens" in caplog.text


async def test_a_stream_whose_budget_went_into_reasoning_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = client_of(stream(event(chunk(reasoning_content="hm")), event(chunk(finish="length")), DONE))

    whole = await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert (whole.text, whole.finish_reason) == (None, "length")
    assert "max_completion_tokens" in caplog.text


@pytest.mark.parametrize(
    "response", [completion("cut", choices=[]), completion(model=7, **SPENT), completion(model=["m"], **SPENT)]
)
async def test_odd_answers_do_no_harm(response: Any) -> None:
    client, _ = client_of(answer(response))

    assert (await client.chat.completions.create(model="m", messages=HI)).id == "chatcmpl-1"


@pytest.mark.parametrize(
    ("content", "finish"), [("cut", "length"), ("whole", "stop"), (None, "stop"), (None, "content_filter"), (None, None)]
)
async def test_only_an_answer_that_was_cut_off_before_its_text_is_logged(
    content: str | None, finish: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": content}}
    client, _ = client_of(answer(completion(choices=[choice])))

    await client.chat.completions.create(model="m", messages=HI)

    assert caplog.records == []


def test_at_most_a_thousand_substitution_warnings_are_remembered() -> None:
    notices = Notices()
    notices.names["models"] = 9999.0, {"one": "one"}
    meta: Any = type("Meta", (), {"models_tried": ()})()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for number in range(3000):
            notices.substitution("one", f"another {number}", meta, RecordingClock())

    assert len(warned) == 1000
