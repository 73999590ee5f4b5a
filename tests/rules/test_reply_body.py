"""What the bytes of a reply stand for: an answer, or an error that says how long to wait and whether it may be sent again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai import APIError, APIResponseProcessingError, ChatCompletionResponse, RateLimitError
from venice_ai._wire.reply_body import completion, json_object, refusal
from venice_ai.types.response_meta import Headers, ResponseMeta

from ..fakes import UNIX
from ..fakes import completion as fake


def meta(status: int, /, **headers: str) -> ResponseMeta:
    return ResponseMeta(status, Headers([(name.replace("_", "-"), value) for name, value in headers.items()]), UNIX, 0.0)


def read(data: Any, **headers: str) -> Any:
    return completion(data if isinstance(data, bytes) else json.dumps(data).encode(), meta(200, **headers))


@pytest.mark.parametrize(
    ("retry_after", "seconds"),
    [(1, 1.0), ("2.5", 2.5), (0, None), (-1, None), (True, None), ("soon", None), ("inf", None), ([1], None), (None, None)],
    ids=repr,
)
@pytest.mark.parametrize("place", ["error", "reply", "error of a choice", "choice"])
def test_an_error_in_a_successful_reply_says_how_long_to_wait(retry_after: Any, seconds: float | None, place: str) -> None:
    wait = {"retry_after": retry_after}
    busy = {"message": "busy", "code": "model_overloaded"} | (wait if place.startswith("error") else {})
    holder = {"error": busy} | ({} if place.startswith("error") else wait)
    error = read({"choices": [{"index": 0, **holder}]} if place.endswith("choice") else holder)

    assert isinstance(error, RateLimitError)
    assert error.retry_after_seconds == seconds


def test_without_a_wait_of_its_own_an_error_that_counts_as_a_refusal_waits_as_the_headers_say() -> None:
    headers = {"x_ratelimit_remaining_requests": "0", "x_ratelimit_reset_requests": "7"}

    assert read({"error": {"message": "busy", "code": "rate_limit_exceeded"}}, **headers).retry_after_seconds == 7.0
    assert (
        read({"error": {"message": "busy", "code": "rate_limit_exceeded", "retry_after": 2}}, **headers).retry_after_seconds
        == 2.0
    )
    assert read({"error": {"message": "odd", "code": 200}}, **headers).retry_after_seconds is None
    for code, seconds in ((399, None), (400, 3.0)):
        assert read({"error": {"message": "odd", "code": code}}, retry_after="3").retry_after_seconds == seconds


@pytest.mark.parametrize(("asked", "seconds"), [(None, 30.0), ("5", 30.0), ("31", 31.0)])
def test_after_too_many_failures_an_account_is_blocked_for_half_a_minute_at_least(asked: str | None, seconds: float) -> None:
    headers = {"x_ratelimit_remaining": "0"} | ({} if asked is None else {"retry_after": asked})
    error = refusal(b'{"error": "Too many failed attempts"}', meta(429, **headers))

    assert isinstance(error, RateLimitError)
    assert (error.kind, error.retry_after_seconds) == ("failures", seconds)


@pytest.mark.parametrize(
    ("kind", "code", "headers"),
    [
        ("concurrency", "concurrency_limit", {}),
        ("requests", "x", {"x_ratelimit_remaining_requests": "0"}),
        ("tokens", "x", {"x_ratelimit_remaining_tokens": "0"}),
    ],
)
def test_a_refusal_for_another_reason_than_failures_waits_as_long_as_it_says(
    kind: str, code: str, headers: dict[str, str]
) -> None:
    body = json.dumps({"error": {"message": "busy", "code": code}}).encode()
    error = refusal(body, meta(429, retry_after="5", **headers))

    assert isinstance(error, RateLimitError)
    assert error.kind == kind
    assert error.retry_after_seconds == 5.0


@pytest.mark.parametrize(("status", "redirects"), [(300, True), (307, True), (399, True), (400, False)])
def test_the_error_of_a_redirect_names_its_target(status: int, redirects: bool) -> None:
    error = refusal(b"", meta(status, location="http://elsewhere.example/"))

    assert ("a redirect to 'http://elsewhere.example/'; redirects are not followed. Set base_url." in str(error)) is redirects
    assert "a redirect to 'nowhere'" in str(refusal(b"", meta(302)))


MESSAGE = {"role": "assistant", "content": None}


@pytest.mark.parametrize(
    ("beside", "partial", "counts_as"),
    [
        pytest.param({}, False, 503, id="nothing"),
        pytest.param({"choices": []}, False, 503, id="no choice"),
        pytest.param({"choices": [{"index": 0, "message": MESSAGE}]}, True, 503, id="a role alone"),
        pytest.param({"choices": [{"index": 0, "message": None}, 7]}, True, 503, id="no message"),
        pytest.param({"choices": [{"index": 0, "message": {**MESSAGE, "content": "hi"}}]}, True, 200, id="text"),
        pytest.param(
            {"choices": [{"message": MESSAGE}, {"message": {"reasoning": "x"}}]}, True, 200, id="reasoning of another"
        ),
        pytest.param({"choices": [{"message": {**MESSAGE, "tool_calls": [{"id": "c"}]}}]}, True, 200, id="a call"),
    ],
)
def test_an_error_beside_an_answer_keeps_it_and_is_not_sent_again_if_it_was_paid_for(
    beside: dict[str, Any], partial: bool, counts_as: int
) -> None:
    error = read({**beside, "error": {"message": "busy", "code": "model_overloaded"}})

    assert isinstance(error, APIError)
    assert (error.partial is not None, error.counts_as) == (partial, counts_as)
    assert "error" not in (error.partial or {})


@pytest.mark.parametrize(
    ("body", "what"),
    [
        pytest.param(b"", "an empty body", id="nothing"),
        pytest.param(b" \r\n", "an empty body", id="blanks"),
        pytest.param(b" <html>", "an HTML page", id="a page"),
        pytest.param(b"{broken", "a body that is not JSON", id="no JSON"),
        pytest.param(b"[1]", "JSON that is not an object", id="a list"),
        pytest.param(b'"text"', "JSON that is not an object", id="a text"),
        pytest.param(b'{"object": "list"}', "JSON that is not a completion", id="another object"),
    ],
)
def test_the_error_says_what_came_instead_of_an_answer(body: bytes, what: str) -> None:
    error = read(body)

    assert isinstance(error, APIResponseProcessingError)
    assert str(error).startswith(f"Venice answered 200 with {what} instead of an answer. ")
    assert error.body == body.decode()


@pytest.mark.parametrize("name", ["choices", "usage", "id"])
def test_any_member_of_a_completion_makes_one(name: str) -> None:
    found = read({name: fake()[name]})

    assert isinstance(found, ChatCompletionResponse)
    assert found.meta.body_id == ("chatcmpl-1" if name == "id" else None)


def test_an_object_that_is_no_chat_s_is_the_error_that_it_holds_unless_it_has_choices() -> None:
    assert json_object(b'{"data": []}', meta(200)) == {"data": []}
    assert isinstance(json_object(b'{"error": "no"}', meta(200)), APIError)
    assert json_object(b'{"error": "no", "choices": [1]}', meta(200)) == {"error": "no", "choices": [1]}
    assert isinstance(json_object(b"[]", meta(200)), APIResponseProcessingError)
