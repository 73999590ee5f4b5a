"""Fallback models: when another model is asked, which one, and what `meta` records of it; and deprecation warnings."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from venice_ai import (
    APIError,
    InvalidRequestError,
    ModelGoneError,
    NotFoundError,
    RateLimitError,
    SyncVeniceClient,
    VeniceClient,
)
from venice_ai._client import VeniceClient as Client
from venice_ai.emulator import Emulator, busy, error, events, overloaded, rate_limited, text, text_model, usual
from venice_ai.exceptions import APITimeoutError
from venice_ai.resources.chat.fallbacks import calls_for_another

from ..fakes import HI, ScriptedReply, ScriptedTransport, answer, completion, hello
from ..fakes import stream as streamed

IMAGE: list[dict[str, Any]] = [
    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}]}
]
TWO_IMAGES = [*IMAGE, {"role": "assistant", "content": "a cat"}, *IMAGE]
TOOL_RESULT: list[dict[str, Any]] = [
    *HI,
    {"role": "assistant", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "c", "content": "4"},
]
GONE = error(410)


def emulator_of(*steps: Any, **asked: Any) -> Emulator:
    models = [
        text_model("first", supports=("FunctionCalling", "ResponseSchema", "Vision"), **asked),
        text_model("second"),
        text_model("third", supports=("Vision",)),
        text_model("loose", privacy="anonymized"),
        text_model("away", offline=True),
    ]
    emulator = Emulator(models=models)
    emulator.script(*steps)
    return emulator


def client_of(emulator: Emulator, *names: str, **more: Any) -> Client:
    return VeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock, max_retries=1, fallback_models=list(names), **more
    )


def asked(emulator: Emulator) -> list[str]:
    return [each.body["model"] for each in emulator.requests if each.method == "POST"]


@pytest.mark.parametrize(
    ("steps", "models"),
    [
        pytest.param([GONE], ["first", "second"], id="retired"),
        pytest.param([error(404, "Model first was deprecated and has been removed")], ["first", "second"], id="404, retired"),
        pytest.param([overloaded(), overloaded()], ["first", "first", "second"], id="at capacity, after its retries"),
        pytest.param([error(529)] * 2, ["first", "first", "second"], id="529, after its retries"),
        pytest.param([busy(), busy()], ["first", "first", "second"], id="overloaded, after its retries"),
        pytest.param([GONE, GONE], ["first", "second", "third"], id="two retired"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
async def test_another_model_is_asked(steps: list[Any], models: list[str], streams: bool) -> None:
    emulator = emulator_of(*steps, text("from another"))
    completions = client_of(emulator, "second", "third").chat.completions
    if streams:
        async with await completions.stream(model="first", messages=HI) as stream:
            response = await stream.collect()
            meta = stream.meta
    else:
        response = await completions.create(model="first", messages=HI)
        meta = response.meta
    assert response.text == "from another"
    assert asked(emulator) == models
    assert meta.models_tried == tuple(dict.fromkeys(models))
    assert not meta.model_substituted


@pytest.mark.parametrize(
    ("steps", "kind"),
    [
        pytest.param([error(400, "no")], InvalidRequestError, id="refused"),
        pytest.param([error(404, "Specified model not found: first")], NotFoundError, id="a model that never was"),
        pytest.param([rate_limited(1), rate_limited(1)], RateLimitError, id="a limit of the account"),
    ],
)
async def test_other_failures_are_raised_without_asking_another_model(steps: list[Any], kind: type[Exception]) -> None:
    emulator = emulator_of(*steps)
    with pytest.raises(kind):
        await client_of(emulator, "second").chat.completions.create(model="first", messages=HI)
    assert "second" not in asked(emulator)


async def test_a_call_may_replace_the_fallback_models_or_turn_them_off() -> None:
    emulator = emulator_of(GONE, usual(), GONE)
    completions = client_of(emulator, "second").chat.completions
    assert (await completions.create(model="first", messages=HI, fallback_models=["third"])).meta.models_tried == (
        "first",
        "third",
    )
    with pytest.raises(ModelGoneError) as caught:
        await completions.create(model="first", messages=HI, fallback_models=[])
    assert caught.value.meta is not None
    assert caught.value.meta.models_tried == ()


async def test_where_all_models_fail_the_last_error_says_which_were_tried() -> None:
    emulator = emulator_of(GONE, GONE)
    with pytest.raises(ModelGoneError) as caught:
        await client_of(emulator, "second").chat.completions.create(model="first", messages=HI)
    assert caught.value.meta is not None
    assert caught.value.meta.models_tried == ("first", "second")


@pytest.mark.parametrize(
    ("names", "request_", "why"),
    [
        pytest.param(["second"], {"messages": IMAGE}, "supportsVision", id="no vision"),
        pytest.param(
            ["third"], {"tools": [{"type": "function", "function": {"name": "f"}}]}, "supportsFunctionCalling", id="no tools"
        ),
        pytest.param(["third"], {"messages": TWO_IMAGES}, "supportsMultipleImages", id="one image alone"),
        pytest.param(["third"], {"messages": TOOL_RESULT}, "supportsFunctionCalling", id="no results of tools"),
        pytest.param(["third"], {"venice_parameters": {"enable_web_search": "on"}}, "supportsWebSearch", id="no search"),
        pytest.param(["loose"], {}, "less private", id="less private"),
        pytest.param(["away"], {}, "offline", id="offline"),
        pytest.param(["unheard-of"], {}, "does not tell", id="not in the catalogue"),
    ],
)
async def test_an_unsuitable_fallback_model_is_skipped_and_the_error_says_why(
    names: list[str], request_: dict[str, Any], why: str
) -> None:
    emulator = emulator_of(GONE, privacy="private")
    with pytest.raises(ModelGoneError) as caught:
        create: Any = client_of(emulator, *names).chat.completions.create
        await create(**{"model": "first", "messages": HI, **request_})
    assert asked(emulator) == ["first"]
    assert why in caught.value.__notes__[0]


async def test_a_less_private_model_stands_in_for_one_that_is_no_more_private() -> None:
    emulator = emulator_of(GONE, privacy="anonymized")
    assert (await client_of(emulator, "loose").chat.completions.create(model="first", messages=HI)).meta.models_tried[
        -1
    ] == "loose"


async def test_a_stream_goes_to_another_model_until_content_came_and_never_after() -> None:
    busy_event = {"error": {"message": "busy", "type": "server_error", "code": "model_overloaded"}}
    piece = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "first"}
    said = {**piece, "choices": [{"index": 0, "delta": {"content": "half"}, "finish_reason": None}]}
    emulator = emulator_of(events(busy_event), events(busy_event), text("whole"), events(said, busy_event))
    completions = client_of(emulator, "second").chat.completions
    async with await completions.stream(model="first", messages=HI) as stream:
        assert [text async for text in stream.text_deltas()] == ["whole"]
        assert stream.meta.models_tried == ("first", "second")
    stream = await completions.stream(model="first", messages=HI)
    with pytest.raises(APIError) as caught:
        await stream.collect()
    assert caught.value.partial is not None
    assert caught.value.partial.text == "half"
    assert asked(emulator) == ["first", "first", "second", "first"]


def late(clock: str) -> APITimeoutError:
    error = APITimeoutError("late")
    error.clock = clock
    return error


@pytest.mark.parametrize("head", [False, True], ids=["no reply", "a reply of which nothing comes"])
async def test_a_stream_whose_first_chunk_does_not_come_in_time_goes_to_another_model(head: bool) -> None:
    stalled = ScriptedReply(late("first_chunk"), headers={"content-type": "text/event-stream"}) if head else late("first_chunk")
    catalogue = answer({"object": "list", "data": [text_model("first"), text_model("second")]})
    transport = ScriptedTransport(stalled, catalogue, streamed(*hello()))
    client = VeniceClient(api_key="any", transport=transport, fallback_models=["second"])
    async with await client.chat.completions.stream(model="first", messages=HI) as stream:
        assert (await stream.collect()).text
        assert stream.meta.models_tried == ("first", "second")


async def test_a_plain_answer_that_does_not_come_in_time_goes_to_another_model() -> None:
    catalogue = answer({"object": "list", "data": [text_model("first"), text_model("second")]})
    transport = ScriptedTransport(late("idle"), catalogue, answer(completion()))
    client = VeniceClient(api_key="any", transport=transport, fallback_models=["second"])
    assert (await client.chat.completions.create(model="first", messages=HI)).meta.models_tried == ("first", "second")


@pytest.mark.parametrize(("clock", "streams", "another"), [
    ("connect", True, True), ("first_chunk", True, True), ("idle", True, False), ("idle", False, True),
    ("progress", True, False), ("deadline", False, False),
])  # fmt: skip
def test_which_clocks_call_for_another_model(clock: str, streams: bool, another: bool) -> None:
    assert calls_for_another(late(clock), streams=streams) is another


async def test_tool_loops_and_parse_fall_back_too() -> None:
    emulator = emulator_of(GONE, text("done"))

    def nothing() -> None:
        """Does nothing."""

    result = await client_of(emulator, "second").chat.completions.run_with_tools(model="first", messages=HI, tools=[nothing])
    assert result.response.meta.models_tried == ("first", "second")


async def test_a_model_is_asked_once_however_often_it_is_named() -> None:
    emulator = emulator_of(GONE, GONE)
    with pytest.raises(ModelGoneError):
        await client_of(emulator, "first", "second", "second").chat.completions.create(model="first", messages=HI)
    assert asked(emulator) == ["first", "second"]


async def test_without_fallback_models_models_tried_is_empty() -> None:
    emulator = emulator_of(usual())
    client = VeniceClient(api_key="any", transport=emulator.transport())
    assert (await client.chat.completions.create(model="first", messages=HI)).meta.models_tried == ()
    assert len(emulator.requests) == 1


def test_the_synchronous_client_falls_back() -> None:
    emulator = emulator_of(overloaded(), GONE, text("b"), GONE, text("c"))
    with SyncVeniceClient(
        api_key="any", transport=emulator.transport(), clock=emulator.clock, max_retries=0, fallback_models=["second", "third"]
    ) as client:
        assert client.chat.completions.create(model="first", messages=HI).meta.models_tried == ("first", "second", "third")
        with client.chat.completions.stream(model="first", messages=HI, fallback_models=["third"]) as stream:
            assert stream.collect().text == "c"


@pytest.mark.parametrize("names", ["second", [1], [""], 5])
async def test_fallback_models_that_are_not_a_list_of_ids_are_refused(names: Any) -> None:
    with pytest.raises(InvalidRequestError, match="must be a list of model ids"):
        VeniceClient(fallback_models=names)
    with pytest.raises(InvalidRequestError, match="must be a list of model ids"):
        await client_of(emulator_of()).chat.completions.create(model="first", messages=HI, fallback_models=names)


async def test_a_deprecated_model_is_logged_once_with_its_date_and_its_successor(caplog: pytest.LogCaptureFixture) -> None:
    how = {"x-venice-deprecated": "Model first goes", "sunset": "2027-01-01", "x-venice-deprecated-replacement": "second"}
    days = [{**how, "x-venice-deprecated": f"Model first goes in {left} days"} for left in (7, 6)]
    emulator = emulator_of(*(text("hi", headers=headers) for headers in days))
    completions = client_of(emulator).chat.completions
    with caplog.at_level(logging.WARNING, "venice_ai"):
        response = await completions.create(model="first", messages=HI)
        await completions.create(model="first", messages=HI)
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning == "Venice: Model first goes in 7 days (2027-01-01) Successor: second"
    assert response.meta.deprecation_warning is not None
    assert response.meta.deprecation_warning in warning
    assert response.meta.deprecation_date == "2027-01-01"
