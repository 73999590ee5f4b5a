"""`meta`: status, headers, times and attempts, the same for answers, streams and errors, whatever the headers hold."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from venice_ai import APIError, ChatCompletionResponse, SyncVeniceClient, VeniceClient
from venice_ai.emulator import Emulator, echo, serve
from venice_ai.types.response_meta import Headers, ResponseMeta

from ..fakes import HI, TEXT, UNIX, RecordingClock, answer, client_of, completion, hello, stream

HEADERS = {
    "CF-RAY": "ray-1",
    "x-venice-version": "20260821.193530",
    "x-venice-model-id": "zai-org-glm-5-2",
    "x-ratelimit-limit-requests": "50",
    "x-ratelimit-remaining-requests": "49",
    "x-ratelimit-reset-requests": str(int(UNIX * 1000) + 17_000),
    "x-ratelimit-limit-tokens": "750000",
    "x-ratelimit-remaining-tokens": "749000",
    "x-ratelimit-reset-tokens": "2.5",
    "x-ratelimit-remaining": "20",
    "x-ratelimit-resets": str(int(UNIX) + 30),
    "x-ratelimit-type": "api_key",
    "x-venice-balance-usd": "4.230000",
    "x-venice-balance-diem": "10",
    "x-venice-model-deprecation-warning": "soon gone",
    "x-venice-model-deprecation-date": "2026-09-01",
}


async def meta_of(kind: str, headers: dict[str, str]) -> Any:
    if kind == "stream":
        client, _ = client_of(stream(*hello(), headers=headers))
        read = await client.chat.completions.stream(model="m", messages=HI)
        return (await read.collect()).meta
    client, _ = client_of(answer(completion(), headers=headers, status=200 if kind == "answer" else 400))
    try:
        return (await client.chat.completions.create(model="m", messages=HI)).meta
    except APIError as error:
        return error.meta


every_kind = pytest.mark.parametrize("kind", ["answer", "stream", "error"])


@every_kind
async def test_everything_the_headers_say_can_be_read(kind: str) -> None:
    meta = await meta_of(kind, HEADERS)

    assert meta.status_code == (400 if kind == "error" else 200)
    assert (meta.request_id, meta.venice_version, meta.model_id) == ("ray-1", "20260821.193530", "zai-org-glm-5-2")
    assert (meta.balance_usd, meta.balance_diem) == (4.23, 10)
    assert meta.deprecation_warning == "soon gone (2026-09-01)"
    assert meta.attempts == 1
    limits = meta.rate_limits
    assert (limits.limit_requests, limits.remaining_requests) == (50, 49)
    assert limits.reset_requests_seconds == pytest.approx(17)
    assert (limits.limit_tokens, limits.remaining_tokens, limits.reset_tokens_seconds) == (750_000, 749_000, 2.5)
    assert limits.remaining_failures == 20
    assert limits.reset_failures_seconds == pytest.approx(30)
    assert limits.type == "api_key"


@every_kind
async def test_headers_are_found_in_any_case(kind: str) -> None:
    meta = await meta_of(kind, HEADERS)

    for name, value in HEADERS.items():
        for written in (name, name.lower(), name.upper(), name.title()):
            assert meta.headers[written] == value
            assert written in meta.headers
            assert meta.headers.get(written) == value
    assert meta.headers.get("x-nothing") is None
    with pytest.raises(KeyError):
        meta.headers["x-nothing"]
    assert set(meta.headers) == {name.lower() for name in HEADERS} | {"content-type"}
    assert len(meta.headers) == len(HEADERS) + 1
    assert dict(meta.headers)["cf-ray"] == "ray-1"


@every_kind
async def test_values_that_the_headers_lack_are_none(kind: str) -> None:
    meta = await meta_of(kind, {})

    assert (meta.balance_usd, meta.balance_diem, meta.deprecation_warning, meta.venice_version) == (None,) * 4
    assert (meta.rate_limits.remaining_requests, meta.rate_limits.reset_tokens_seconds, meta.rate_limits.type) == (None,) * 3


async def test_the_answer_s_id_stands_in_for_a_missing_request_id() -> None:
    for kind in ("answer", "stream"):
        assert (await meta_of(kind, {})).request_id == "chatcmpl-1"


@every_kind
@given(values=st.lists(TEXT | st.sampled_from(["nan", "inf", "-1", "1e400", "0x10", " 5 ", "1_000", "٣"]), min_size=1))
async def test_no_header_of_any_form_takes_the_answer_away(kind: str, values: list[str]) -> None:
    headers = {name: values[position % len(values)] for position, name in enumerate(HEADERS)}

    meta = await meta_of(kind, headers)

    for seconds in (meta.rate_limits.reset_requests_seconds, meta.rate_limits.reset_tokens_seconds):
        assert seconds is None or 0 <= seconds <= 86_400
    for name in ("balance_usd", "balance_diem", "deprecation_warning", "request_id", "venice_version", "model_id"):
        getattr(meta, name)
    assert repr(meta)


async def test_times_are_measured_on_the_clock() -> None:
    clock = RecordingClock()
    client, _ = client_of(answer({"error": "busy"}, status=429, headers={"Retry-After": "5"}), stream(*hello()), clock=clock)

    read = await client.chat.completions.stream(model="m", messages=HI)
    await read.collect()

    assert read.meta.attempts == 2
    assert read.meta.latency == 0, "the latency is that of the last attempt"
    assert read.meta.time_to_first_chunk is not None
    assert read.meta.time_to_first_chunk >= 0
    assert read.meta.received_at == pytest.approx(UNIX + clock.passed)


async def test_a_deprecation_is_logged_once_for_each_model(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "venice_ai")
    client, _ = client_of(*[answer(completion(), headers=HEADERS) for _ in range(3)])

    for _ in range(3):
        await client.chat.completions.create(model="m", messages=HI)

    (record,) = caplog.records
    assert "soon gone" in record.getMessage()


async def test_a_deprecation_is_logged_without_the_key_that_the_server_repeats_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "venice_ai")
    emulator = Emulator()
    emulator.script(echo(headers={"x-venice-deprecated": "gone soon, sk-secret-0123456789"}))

    async with VeniceClient(api_key="sk-secret-0123456789", transport=emulator.transport()) as client:
        await client.chat.completions.create(model="m", messages=HI)

    assert [record.getMessage() for record in caplog.records] == ["Venice: gone soon, ***"]


@pytest.mark.parametrize("way", ["in process", "aiohttp", "http.client"])
@pytest.mark.parametrize(
    ("headers", "warning"),
    [
        pytest.param({"x-venice-deprecated": "gone soon"}, "gone soon", id="the other warning"),
        pytest.param({"X-Venice-Deprecated": "gone soon", "Sunset": "May"}, "gone soon (May)", id="with the other date"),
        pytest.param({"Sunset": "May"}, "deprecated: May", id="the other date alone"),
        pytest.param({"x-venice-model-deprecation-date": "May"}, "deprecated: May", id="a date alone"),
        pytest.param({"x-venice-deprecated": ""}, None, id="nothing in it"),
    ],
)
async def test_each_header_of_a_deprecation_is_logged(
    caplog: pytest.LogCaptureFixture, way: str, headers: dict[str, str], warning: str | None
) -> None:
    caplog.set_level(logging.WARNING, "venice_ai")
    emulator = Emulator()
    emulator.script(echo(headers=headers), echo(headers=headers))

    warnings = [meta.deprecation_warning for meta in await asked_twice(emulator, way)]

    assert warnings == [warning, warning]
    assert [record.getMessage() for record in caplog.records] == ([] if warning is None else [f"Venice: {warning}"])


async def asked_twice(emulator: Emulator, way: str) -> list[ResponseMeta]:
    """What two replies of an emulator said beside their bodies, over one of the ways to it."""
    if way == "in process":
        async with VeniceClient(api_key="k", transport=emulator.transport()) as client:
            return [(await client.chat.completions.create(model="m", messages=HI)).meta for _ in range(2)]
    async with serve(emulator) as server:
        if way == "aiohttp":
            async with VeniceClient(api_key="k", base_url=server.url) as client:
                return [(await client.chat.completions.create(model="m", messages=HI)).meta for _ in range(2)]

        def blocking() -> list[ResponseMeta]:
            with SyncVeniceClient(api_key="k", base_url=server.url) as client:
                return [client.chat.completions.create(model="m", messages=HI).meta for _ in range(2)]

        return await asyncio.to_thread(blocking)


async def test_another_date_is_another_warning(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "venice_ai")
    client, _ = client_of(*[answer(completion(), headers={"x-venice-deprecated": "gone", "sunset": day}) for day in "ABA"])

    for _ in range(3):
        await client.chat.completions.create(model="m", messages=HI)

    assert [record.getMessage() for record in caplog.records] == ["Venice: gone (A)", "Venice: gone (B)"]


def test_an_answer_made_by_hand_has_no_meta() -> None:
    with pytest.raises(LookupError):
        _ = ChatCompletionResponse.model_validate(completion()).meta


@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_header_that_is_repeated_is_one_whose_values_are_joined(as_bytes: bool) -> None:
    pairs = [("X-One", "a"), ("other", "é"), ("x-oNE", "b"), ("x-two", "a")]
    headers = Headers([(name.encode(), value.encode()) for name, value in pairs] if as_bytes else iter(pairs))

    assert headers["x-one"] == headers.get("X-ONE") == "a, b"
    assert dict(headers) == {"x-one": "a, b", "other": "é", "x-two": "a"}
    assert (len(headers), headers.get("x-three", "c")) == (3, "c")
    assert repr(headers) == "Headers({'x-one': 'a, b', 'other': 'é', 'x-two': 'a'})"
    assert headers.has_any(frozenset({"x-one", "x-three"}))
    assert not headers.has_any(frozenset({"x-three", "X-One", "on"}))


@pytest.mark.parametrize(
    ("secret", "shown"), [(b"12345678", "a***b***"), (b"1234567", None), (b"123456789", None), (b"", None)]
)
@pytest.mark.parametrize("as_bytes", [True, False])
def test_a_secret_of_eight_characters_or_more_is_taken_out_of_every_name_and_value(
    secret: bytes, shown: str | None, as_bytes: bool
) -> None:
    pairs = [("x-one", "a12345678b12345678"), ("12345678", "é")]
    headers = Headers([(name.encode(), value.encode()) for name, value in pairs] if as_bytes else pairs)

    assert dict(headers.without(secret)) == {"x-one": shown or "a12345678b12345678", "***" if shown else "12345678": "é"}


@pytest.mark.parametrize(
    ("headers", "warning"),
    [
        pytest.param(
            {"x-venice-deprecated": "gone", "sunset": "May"}, "gone (May) Successor: next", id="a warning with its date"
        ),
        pytest.param({"x-venice-deprecated": "take next"}, "take next", id="a warning that names it"),
        pytest.param({"sunset": "May"}, "deprecated: May Successor: next", id="a date"),
        pytest.param({}, None, id="nothing else"),
    ],
)
def test_the_successor_is_in_the_deprecation_warning_once(headers: dict[str, str], warning: str | None) -> None:
    header_fields = Headers(list({**headers, "x-venice-deprecated-replacement": "next"}.items()))

    assert ResponseMeta(200, header_fields, UNIX, 0.0).deprecation_warning == warning


def test_the_meta_of_a_bare_reply_has_the_documented_defaults() -> None:
    meta = ResponseMeta(200, Headers(), UNIX, 0.5)

    assert (meta.attempts, meta.model_substituted, meta.models_tried) == (1, False, ())
    assert (meta.request_id, meta.deprecation_warning, meta.deprecation_date) == (None, None, None)
    with pytest.raises(AttributeError):
        meta.latencies = 1.0  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # a slip
