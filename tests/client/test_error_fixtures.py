"""Refusals as Venice sends them, through a real client: class, code, message, and whether it is retried.

The last part is about bodies that no document names; whatever comes, the caller gets an `APIError` that says what came.
"""

from __future__ import annotations

import json
import pickle
import re
from typing import Any, cast

import pytest
from hypothesis import given

from venice_ai import (
    APIError,
    APIResponseProcessingError,
    AuthenticationError,
    GatewayTimeoutError,
    InternalServerError,
    InvalidRequestError,
    ModelGoneError,
    NotFoundError,
    PayloadTooLargeError,
    PaymentRequiredError,
    PermissionDeniedError,
    RateLimitError,
    ServiceUnavailableError,
    UnprocessableEntityError,
    UnsupportedMediaTypeError,
    VeniceClient,
    VeniceError,
)
from venice_ai.emulator import Emulator, error
from venice_ai.types.response_meta import ResponseMeta

from ..fakes import HI, JSON, KEY, RecordingClock, ScriptedReply, ScriptedTransport, answer, client_of, completion
from ..shared import named, shared

FIXTURES: list[dict[str, Any]] = shared("error-fixtures.json")
CLASSES: dict[str, type[APIError]] = {
    "invalid_request": InvalidRequestError,
    "invalid_request (content policy)": UnprocessableEntityError,
    "authentication": AuthenticationError,
    "authentication (missing credentials)": AuthenticationError,
    "payment": PaymentRequiredError,
    "permission_denied": PermissionDeniedError,
    "not_found": NotFoundError,
    "gone (do not retry)": ModelGoneError,
    "rate_limit": RateLimitError,
    "rate_limit (wait >= 30 s)": RateLimitError,
    "api_error": InternalServerError,
}

every_refusal = pytest.mark.parametrize("case", named(FIXTURES))


def refusal(case: dict[str, Any]) -> ScriptedReply:
    body = case["body"]
    kind = {"content-type": "application/json"} if not isinstance(body, str) else {}
    raw = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    return ScriptedReply(raw, status=case["status"], headers={**kind, **case["headers"]})


async def refused(reply: ScriptedReply) -> APIError:
    client, _ = client_of(reply, max_retries=0)
    with pytest.raises(APIError) as caught:
        await client.chat.completions.create(model="m", messages=HI)
    return caught.value


def test_the_fixtures_are_those_that_are_known() -> None:
    assert len(FIXTURES) == 31
    assert {case["class"] for case in FIXTURES} == CLASSES.keys()


@every_refusal
async def test_the_class_follows_the_status_and_the_body(case: dict[str, Any]) -> None:
    error = await refused(refusal(case))

    assert isinstance(error, CLASSES[case["class"]])
    assert error.status_code == case["status"]
    assert isinstance(error, ValueError) == (case["status"] in {400, 401, 413, 415, 422} or "credentials" in case["class"])


@every_refusal
async def test_an_error_carries_body_code_request_id_and_headers_of_the_reply(case: dict[str, Any]) -> None:
    error = await refused(refusal(case))

    body = case["body"]
    fields = members(body)
    inner = members(fields.get("error"))
    assert error.body == body
    assert error.code == inner.get("code", fields.get("code"))
    assert error.request_id == fields.get("request_id")
    assert error.meta is not None
    assert error.meta.status_code == case["status"]
    assert all(error.meta.headers[name.upper()] == value for name, value in case["headers"].items())


def members(value: Any) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


SAID = {
    "validation (detailed)": "temperature: Number must be less than or equal to 2",
    "details is a string": "upstream text",
    "context length (object error)": "too long",
    "upstream rejection with request_id": "chatcmpl-x",
    "legacy list error": "Unrecognized key(s)",
    "wallet below minimum": "Payment required",
    "provider content policy (object)": "rejected",
    "gateway html": "HTML",
    "empty body": "empty",
    "e2ee header error": "Invalid E2EE headers: x",
}


@every_refusal
async def test_the_message_holds_the_server_s_own_words(case: dict[str, Any]) -> None:
    expected = SAID.get(case["name"])
    if expected is None:
        expected = case["body"]["error"]

    error = await refused(refusal(case))

    assert expected.rstrip(".") in str(error)
    assert str(case["status"]) in str(error)
    assert error.message == str(error)


REMEDIES = [
    (400, r"[Cc]orrect the request"),
    (401, r"api_key=.*VENICE_API_KEY"),
    (402, r"credits|VENICE_API_KEY"),
    (403, r"permissions|privacy"),
    (404, r"client\.models"),
    (410, r"another model"),
    (413, r"less|smaller"),
    (415, r"base_url"),
    (422, r"prompt|another model"),
    (429, r"[Ww]ait"),
    (500, r"[Tt]ry again|another model"),
    (502, r"[Tt]ry again|another model"),
    (503, r"[Tt]ry again|another model"),
    (504, r"stream"),
]


@every_refusal
async def test_the_message_says_what_to_do(case: dict[str, Any]) -> None:
    error = await refused(refusal(case))

    assert re.search(dict(REMEDIES)[case["status"]], str(error))


@every_refusal
async def test_only_transient_errors_are_retried(case: dict[str, Any]) -> None:
    # A GET, because a POST that may have been billed is not even tried again where another try might help.
    client, transport = client_of(refusal(case), answer({"object": "list", "data": []}), max_retries=1)

    if case["retryable"]:
        await client.models.list()
    else:
        with pytest.raises(CLASSES[case["class"]]):
            await client.models.list()

    assert len(transport.requests) == 1 + case["retryable"]


@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("rate limit, reset in epoch ms", 17.0),
        ("rate limit, reset in epoch s", 17.0),
        ("token limit, reset as duration seconds", 17.0),
        ("overloaded with Retry-After", 30.0),
        ("abuse protection", 47.0),
        ("capacity", None),
        ("bad key", None),
    ],
)
async def test_the_wait_of_an_error_is_in_seconds(name: str, seconds: float | None) -> None:
    (case,) = (case for case in FIXTURES if case["name"] == name)

    error = await refused(refusal(case))

    assert error.retry_after_seconds == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("headers", "body", "kind"),
    [
        pytest.param({"x-ratelimit-remaining-requests": "0"}, {"error": "Rate limit exceeded"}, "requests", id="requests"),
        pytest.param({"x-ratelimit-remaining-tokens": "0"}, {"error": "Rate limit exceeded"}, "tokens", id="tokens"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "3", "x-ratelimit-remaining-tokens": "0"},
            {"error": "Rate limit exceeded"},
            "tokens",
            id="tokens, with requests left",
        ),
        pytest.param({"x-ratelimit-remaining": "0"}, {"error": "Too many failed attempts (> 20)"}, "failures", id="failures"),
        pytest.param({}, {"error": "Too many failed attempts (> 50). Please wait 30s."}, "failures", id="failures, by words"),
        pytest.param({"Retry-After": "30"}, {"error": "The model is currently overloaded."}, "overloaded", id="overloaded"),
        pytest.param({}, {"error": {"message": "busy", "code": "model_overloaded"}}, "overloaded", id="overloaded, by code"),
        pytest.param({}, {"error": "x", "code": "X402_CONCURRENCY_LIMIT"}, "concurrency", id="concurrency"),
        pytest.param({}, {"error": "Rate limit exceeded"}, "unknown", id="unknown"),
        pytest.param({"x-ratelimit-remaining-requests": "many"}, {"error": "x"}, "unknown", id="odd headers"),
    ],
)
async def test_a_rate_limit_says_which_limit_it_was(headers: dict[str, str], body: Any, kind: str) -> None:
    error = await refused(answer(body, status=429, headers=headers))

    assert isinstance(error, RateLimitError)
    assert error.kind == kind


async def test_a_402_without_credentials_is_about_authentication() -> None:
    (case,) = (case for case in FIXTURES if case["name"] == "no credentials at all")
    client = VeniceClient(transport=ScriptedTransport(refusal(case)), clock=RecordingClock(), max_retries=0)

    with pytest.raises(AuthenticationError, match="VENICE_API_KEY"):
        await client.models.list()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequestError),
        (401, AuthenticationError),
        (402, PaymentRequiredError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (409, APIError),
        (410, ModelGoneError),
        (413, PayloadTooLargeError),
        (415, UnsupportedMediaTypeError),
        (418, APIError),
        (422, UnprocessableEntityError),
        (429, RateLimitError),
        (451, APIError),
        (500, InternalServerError),
        (502, InternalServerError),
        (503, ServiceUnavailableError),
        (504, GatewayTimeoutError),
        (520, InternalServerError),
        (599, InternalServerError),
    ],
)
async def test_a_status_alone_decides_where_the_body_says_nothing(status: int, kind: type[APIError]) -> None:
    error = await refused(ScriptedReply(b"", status=status))

    assert isinstance(error, kind)
    assert isinstance(error, VeniceError)
    assert error.status_code == status


# -- bodies of every shape -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        pytest.param(b'{"error": "plain words"}', "plain words", id="a text"),
        pytest.param(b'{"error": {"message": "inner words"}}', "inner words", id="an object"),
        pytest.param(b'{"message": "outer words"}', "outer words", id="only a message"),
        pytest.param(b'{"detail": "detail words"}', "detail words", id="only a detail"),
        pytest.param(b'{"error": [{"message": "one"}, {"message": "two"}]}', "one; two", id="a list"),
        pytest.param(
            b'{"error": "x", "details": {"a": {"b": {"_errors": ["deep words"]}}}}', "a.b: deep words", id="a tree of details"
        ),
        pytest.param(
            b'{"error": "x", "issues": [{"path": ["messages", 0, "role"], "message": "wrong role"}]}',
            "messages.0.role: wrong role",
            id="issues with a path",
        ),
        pytest.param(b'{"error": "x", "issues": [{"message": "no path"}, 5, null, {"path": 3}]}', "no path", id="odd issues"),
        pytest.param(b'{"error": "x", "issues": "words"}', "x", id="issues that are a text"),
        pytest.param(b'{"error": "x", "details": [1, {"_errors": ["y"]}]}', "x", id="details that are a list"),
        pytest.param(b'{"error": {"message": {"nested": 1}, "code": 7}}', "400", id="a message that is not text"),
        pytest.param(b'{"error": null}', "400", id="null"),
        pytest.param(b'{"error": true}', "400", id="true"),
        pytest.param(b'{"error": ""}', "400", id="an empty text"),
        pytest.param(b"{}", "400", id="an empty object"),
        pytest.param(b"[]", "400", id="a list, not an object"),
        pytest.param(b'["words in a list"]', "400", id="a list of texts"),
        pytest.param(b'"a JSON text"', "a JSON text", id="a JSON text"),
        pytest.param(b"null", "400", id="JSON null"),
        pytest.param(b"42", "400", id="a number"),
        pytest.param(b"plain words, no JSON", "plain words, no JSON", id="no JSON"),
        pytest.param(b"  \n ", "empty", id="blanks"),
        pytest.param(b"<!DOCTYPE html><p>secret page", "HTML", id="a page"),
        pytest.param(b'{"error": "half', '{"error": "half', id="half of a JSON text"),
        pytest.param(b"\xff\xfe\x00", "400", id="no UTF-8"),
        pytest.param(b'{"error": "caf\xe9"}', "caf", id="a text that is not UTF-8"),
        pytest.param(b'{"error": "\\ud800"}', "400", id="a lone surrogate"),
        pytest.param(b'{"error": NaN}', "400", id="NaN"),
        pytest.param(b"[" * 100_000, "400", id="nested without end"),
        pytest.param(b'{"a":' * 100_000, "400", id="objects without end"),
    ],
)
async def test_a_body_of_any_shape_is_still_an_error_that_says_what_came(raw: bytes, words: str) -> None:
    error = await refused(ScriptedReply(raw, status=400))

    assert isinstance(error, InvalidRequestError)
    assert words in str(error)
    assert "secret page" not in str(error)


async def test_a_long_sentence_of_the_server_is_not_shown_whole() -> None:
    error = await refused(ScriptedReply(json.dumps({"error": "x" * 100_000}).encode(), status=400))

    assert len(str(error)) < 1200
    assert error.body == {"error": "x" * 100_000}


@pytest.mark.parametrize(("seconds", "shown"), [("120", "120"), ("3600", "3,600"), ("1.25", "1.25")])
async def test_a_rate_limit_says_how_long_to_wait_where_the_server_does(seconds: str, shown: str) -> None:
    error = await refused(ScriptedReply(b'{"error": "slow down"}', status=429, headers={"retry-after": seconds}))

    assert error.retry_after_seconds == float(seconds)
    assert f"Wait {shown} s before the next request" in str(error)


async def test_a_long_body_is_not_shown_whole() -> None:
    error = await refused(ScriptedReply(b"x" * 100_000, status=502))

    assert len(str(error)) < 1000
    assert len(error.body) == 100_000


@given(JSON)
async def test_any_json_body_is_an_error_of_its_status(body: Any) -> None:
    error = await refused(answer(body, status=404))

    assert isinstance(error, NotFoundError)
    assert error.body == body


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        pytest.param({"CF-RAY": "ray-1"}, {"error": "x", "request_id": "r-2"}, "ray-1", id="the header first"),
        pytest.param({}, {"error": "x", "request_id": "r-2"}, "r-2", id="then the body"),
        pytest.param({}, {"error": "x"}, None, id="none"),
    ],
)
async def test_an_error_knows_what_to_tell_the_support(headers: dict[str, str], body: Any, request_id: str | None) -> None:
    error = await refused(answer(body, status=400, headers=headers))

    assert error.request_id == request_id
    assert request_id is None or request_id in str(error)


@pytest.mark.parametrize(
    ("code", "expected"),
    [("E1", "E1"), (7, "7"), (None, None), ({"a": 1}, None), ([], None), (True, None), ("", None)],
    ids=repr,
)
async def test_a_code_is_a_text_or_nothing(code: Any, expected: str | None) -> None:
    for body in ({"error": {"message": "x", "code": code}}, {"error": "x", "code": code}):
        error = await refused(answer(body, status=400))

        assert error.code == expected


# -- a success status without an answer ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        pytest.param({"error": {"message": "busy", "code": "model_overloaded"}}, RateLimitError, id="overloaded"),
        pytest.param(
            {"error": {"message": "blocked", "type": "content_filter_error", "code": "content_blocked_by_provider"}},
            UnprocessableEntityError,
            id="content",
        ),
        pytest.param(
            {"error": {"message": "long", "code": "context_length_exceeded"}}, InvalidRequestError, id="context length"
        ),
        pytest.param({"error": {"message": "up", "type": "api_error", "code": "upstream_error"}}, APIError, id="upstream"),
        pytest.param({"error": "Inference processing failed"}, APIError, id="a text"),
        pytest.param({"error": {"message": "x", "code": "a code of tomorrow"}}, APIError, id="an unknown code"),
        pytest.param({"error": {"message": "x"}, "choices": []}, APIError, id="beside empty choices"),
        pytest.param({"error": ["x"]}, APIError, id="a list"),
    ],
)
async def test_an_error_body_with_status_200_is_an_error(body: Any, kind: type[APIError]) -> None:
    error = await refused(answer(body))

    assert isinstance(error, kind)
    assert error.status_code == 200
    assert error.body == body
    assert error.meta is not None


@pytest.mark.parametrize(
    ("raw", "content_type", "words"),
    [
        pytest.param(b"", "application/json", "empty", id="nothing"),
        pytest.param(b" \n", "application/json", "empty", id="blanks"),
        pytest.param(b"<html>secret page</html>", "text/html", "HTML", id="a page"),
        pytest.param(b"<html>secret page</html>", "application/json", "HTML", id="a page that calls itself JSON"),
        pytest.param(b"OK", "text/plain", "JSON", id="words"),
        pytest.param(b"null", "application/json", "JSON", id="null"),
        pytest.param(b"[]", "application/json", "JSON", id="a list"),
        pytest.param(b"{}", "application/json", "", id="an empty object"),
        pytest.param(b'{"status": "ok"}', "application/json", "", id="another object"),
        pytest.param(b'{"id": "chatcmpl-1", "choi', "application/json", "JSON", id="half an answer"),
        pytest.param(b"data: [DONE]\n\n", "text/event-stream", "", id="a stream in place of an answer"),
    ],
)
async def test_a_success_without_an_answer_is_an_error(raw: bytes, content_type: str, words: str) -> None:
    error = await refused(ScriptedReply(raw, headers={"content-type": content_type, "cf-ray": "ray-1"}))

    assert isinstance(error, APIResponseProcessingError)
    assert words in str(error)
    assert "secret page" not in str(error)
    assert "base_url" in str(error)
    assert error.status_code == 200
    assert error.request_id == "ray-1"


async def test_an_answer_that_calls_itself_text_is_an_answer() -> None:
    client, _ = client_of(ScriptedReply(json.dumps(completion()).encode(), headers={"content-type": "text/plain"}))

    assert (await client.chat.completions.create(model="m", messages=HI)).text == "hello"


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308])
async def test_a_redirect_is_an_error_with_its_target_and_is_not_followed(status: int) -> None:
    client, transport = client_of(ScriptedReply(b"", status=status, headers={"location": "https://elsewhere.invalid/v1"}))

    with pytest.raises(APIError, match=r"https://elsewhere\.invalid/v1.*base_url"):
        await client.chat.completions.create(model="m", messages=HI)

    assert len(transport.requests) == 1


# -- errors as objects ---------------------------------------------------------------------------------------------------


@every_refusal
async def test_an_error_survives_pickling_and_holds_no_secret(case: dict[str, Any]) -> None:
    error = await refused(refusal(case))

    again = pickle.loads(pickle.dumps(error))

    assert all(again.meta.headers[name] == value for name, value in case["headers"].items())
    assert str(again) == str(error)
    assert (again.status_code, again.code, again.body) == (error.status_code, error.code, error.body)
    assert type(again) is type(error)
    for text in (str(error), repr(error), str(vars(error)), repr(error.meta), pickle.dumps(error).decode("latin-1")):
        assert KEY not in text


@pytest.mark.parametrize("key", ["any", "e", "test"])
async def test_a_key_that_is_no_secret_garbles_no_message(key: str) -> None:
    words = "Too many failed attempts (> 20) resulting in a non-success status code, test again"
    client, _ = client_of(answer({"error": words}, status=429), api_key=key, max_retries=0)

    with pytest.raises(RateLimitError) as caught:
        await client.chat.completions.create(model="m", messages=HI)

    assert words in str(caught.value)
    assert caught.value.kind == "failures"
    assert caught.value.retry_after_seconds == 30


async def test_a_key_that_the_server_repeats_is_nowhere_in_the_error() -> None:
    body = {"error": {"message": f"bad {KEY}", "code": KEY}, KEY: [KEY], "request_id": KEY}
    error = await refused(answer(body, status=401))

    assert error.body == {"error": {"message": "bad ***", "code": "***"}, "***": ["***"], "request_id": "***"}
    assert (error.code, error.request_id) == ("***", "***")
    assert KEY not in repr(vars(error)) + str(error)


@pytest.mark.parametrize("status", [200, 401])
async def test_a_key_that_the_server_repeats_in_a_header_is_not_in_what_is_known_of_the_reply(status: int) -> None:
    client, _ = client_of(answer(completion(), status=status, headers={"X-Echo": f"Bearer {KEY}", "CF-Ray": "a-ray"}))
    meta: ResponseMeta | None
    if status == 200:
        meta = (await client.chat.completions.create(model="m", messages=HI)).meta
    else:
        with pytest.raises(APIError) as caught:
            await client.chat.completions.create(model="m", messages=HI)
        meta = caught.value.meta
        assert KEY.encode() not in pickle.dumps(caught.value)

    assert meta is not None
    assert (meta.headers["x-echo"], meta.headers["cf-ray"]) == ("Bearer ***", "a-ray")
    assert KEY not in repr(meta)


async def test_a_key_that_the_server_repeats_is_not_in_the_message() -> None:
    error = await refused(answer({"error": f"Authentication failed for {KEY}"}, status=401))

    assert KEY not in str(error)
    assert KEY not in repr(error)


@pytest.mark.parametrize(
    ("sentence", "times"),
    [
        pytest.param("Insufficient balance. Visit https://venice.ai/settings/api to add credits.", 1, id="by the server"),
        pytest.param("Insufficient balance.", 1, id="by the client"),
    ],
)
async def test_the_address_to_add_credits_is_in_the_message_once(sentence: str, times: int) -> None:
    emulator = Emulator()
    emulator.script(error(402, {"error": sentence}))
    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        with pytest.raises(PaymentRequiredError) as caught:
            await client.chat.completions.create(model="venice-1", messages="hi")
    assert str(caught.value).count("https://venice.ai/settings/api") == times
