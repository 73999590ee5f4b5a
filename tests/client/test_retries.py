"""Retries: of which failures, how often, and after which wait. No test here waits: the clock records each wait."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any

import pytest

from venice_ai import (
    APIConnectionError,
    APIError,
    APITimeoutError,
    ConnectError,
    ConnectTimeoutError,
    InternalServerError,
    RateLimitError,
    StreamInterruptedError,
    Timeout,
)
from venice_ai._http.retry import RetryPolicy
from venice_ai.types.rate_limits import retry_after

from ..fakes import (
    HI,
    KEY,
    UNIX,
    RecordingClock,
    ScriptedReply,
    ScriptedTransport,
    answer,
    chunk,
    client_of,
    completion,
    event,
    hello,
    stream,
)

Failure = int | BaseException
BUSY = {"message": "busy", "type": "server_error", "code": "model_overloaded", "retry_after": 1}


def failed(failure: Failure, headers: dict[str, str] | None = None, error: str = "no") -> ScriptedReply | BaseException:
    """A refusal with this status, or what is raised in place of a reply."""
    return answer({"error": error}, status=failure, headers=headers) if isinstance(failure, int) else failure


class Outcome:
    """What a call did: how often it was sent, how long it waited, and how it ended."""

    def __init__(self, transport: ScriptedTransport, clock: RecordingClock, error: APIError | None) -> None:
        self.attempts = len(transport.requests)
        self.slept = clock.slept
        self.error = error


async def called(*replies: ScriptedReply | BaseException, kind: str = "chat", timeout: Any = None, **settings: Any) -> Outcome:
    clock = RecordingClock()
    client, transport = client_of(*replies, clock=clock, timeout=timeout, **settings)
    error: APIError | None = None
    try:
        if kind == "chat":
            await client.chat.completions.create(model="m", messages=HI)
        elif kind == "stream":
            await (await client.chat.completions.stream(model="m", messages=HI)).collect()
        else:
            await client.models.list()
    except APIError as caught:
        error = caught
    return Outcome(transport, clock, error)


def good(kind: str) -> ScriptedReply:
    if kind == "stream":
        return stream(*hello())
    return answer(completion() if kind == "chat" else {"object": "list", "data": []})


REFUSED = ConnectError("cannot connect")
NOT_IN_TIME = ConnectTimeoutError("no connection was made")
BROKEN = APIConnectionError("the connection broke")
TOO_SLOW = APITimeoutError("the answer was not complete")

# How often a failure is tried again where it lasts, with max_retries=2: a POST, a POST with retry_timeouts, a GET.
TABLE = [
    pytest.param(400, 0, 0, 0, id="400"),
    pytest.param(401, 0, 0, 0, id="401"),
    pytest.param(402, 0, 0, 0, id="402"),
    pytest.param(403, 0, 0, 0, id="403"),
    pytest.param(404, 0, 0, 0, id="404"),
    pytest.param(409, 0, 0, 0, id="409"),
    pytest.param(410, 0, 0, 0, id="410"),
    pytest.param(413, 0, 0, 0, id="413"),
    pytest.param(415, 0, 0, 0, id="415"),
    pytest.param(422, 0, 0, 0, id="422"),
    pytest.param(429, 2, 2, 2, id="429"),
    pytest.param(500, 1, 1, 2, id="500 once"),
    pytest.param(502, 2, 2, 2, id="502"),
    pytest.param(503, 2, 2, 2, id="503"),
    pytest.param(504, 0, 2, 2, id="504, which may be billed"),
    pytest.param(529, 2, 2, 2, id="529, overloaded"),
    pytest.param(307, 0, 0, 0, id="a redirect"),
    pytest.param(REFUSED, 2, 2, 2, id="a refused connection"),
    pytest.param(NOT_IN_TIME, 2, 2, 2, id="a connection not made in time"),
    pytest.param(BROKEN, 0, 2, 2, id="a broken connection, which may be billed"),
    pytest.param(TOO_SLOW, 0, 2, 2, id="a slow answer, which may be billed"),
]


@pytest.mark.parametrize(("failure", "post", "asked", "get"), TABLE)
async def test_how_often_a_lasting_failure_is_tried_again(failure: Failure, post: int, asked: int, get: int) -> None:
    def lasting() -> list[ScriptedReply | BaseException]:
        return [failed(failure) for _ in range(9)]

    outcomes = {
        "a chat": (await called(*lasting()), post),
        "a stream": (await called(*lasting(), kind="stream"), post),
        "a list": (await called(*lasting(), kind="list"), get),
        "a chat, asked for": (await called(*lasting(), retry_timeouts=True), asked),
    }

    assert {name: outcome.attempts - 1 for name, (outcome, _) in outcomes.items()} == {
        name: retries for name, (_, retries) in outcomes.items()
    }
    for outcome, _ in outcomes.values():
        assert outcome.error is not None
        assert len(outcome.slept) == outcome.attempts - 1


@pytest.mark.parametrize("kind", ["chat", "stream", "list"])
@pytest.mark.parametrize("failure", [429, 500, 502, 503, REFUSED], ids=str)
async def test_a_transient_failure_is_retried(failure: Failure, kind: str) -> None:
    outcome = await called(failed(failure), good(kind), kind=kind)

    assert outcome.error is None
    assert outcome.attempts == 2


@pytest.mark.parametrize("kind", ["chat", "stream", "list"])
@pytest.mark.parametrize("failure", [429, 500, 502, 503, 504, REFUSED, BROKEN, TOO_SLOW], ids=str)
async def test_max_retries_zero_sends_once_and_never_sleeps(failure: Failure, kind: str) -> None:
    for settings in ({}, {"retry_timeouts": True}):
        outcome = await called(failed(failure), kind=kind, max_retries=0, **settings)

        assert outcome.error is not None
        assert outcome.slept == []


@pytest.mark.parametrize("retries", [1, 3, 6])
async def test_retries_are_as_many_as_were_allowed(retries: int) -> None:
    replies = [failed(503) for _ in range(9)]

    assert (await called(*replies, max_retries=retries)).attempts == 1 + retries


async def test_a_500_is_retried_once_however_many_retries_are_allowed() -> None:
    assert (await called(*[failed(500) for _ in range(9)], max_retries=6)).attempts == 2


async def test_the_last_failure_is_the_one_that_is_raised() -> None:
    outcome = await called(failed(503), failed(429), failed(401, error="bad key"))

    assert outcome.error is not None
    assert outcome.error.status_code == 401
    assert outcome.error.meta is not None
    assert outcome.error.meta.attempts == 3


async def test_every_attempt_sends_the_same_request() -> None:
    clock = RecordingClock()
    client, transport = client_of(failed(503), failed(429), answer(completion()), clock=clock)

    reply = await client.chat.completions.create(model="m", messages=HI)

    first, *others = transport.attempts
    assert others == [first, first]
    assert first.headers["Authorization"] == f"Bearer {KEY}"
    assert reply.meta.attempts == 3


async def test_backoff_grows_and_is_never_long() -> None:
    outcome = await called(*[failed(503) for _ in range(9)], max_retries=8)

    assert 0 < outcome.slept[0] <= 1
    assert all(earlier < later for earlier, later in zip(outcome.slept[:3], outcome.slept[1:4], strict=True))
    assert max(outcome.slept) <= 30


async def test_many_callers_do_not_come_back_in_the_same_instant() -> None:
    waits = {(await called(failed(503), good("chat"))).slept[0] for _ in range(20)}

    assert len(waits) > 1


# -- waits that the server asks for --------------------------------------------------------------------------------------

DIRECTED = [
    pytest.param({"Retry-After": "7"}, 7.0, id="seconds"),
    pytest.param({"Retry-After": " 7 "}, 7.0, id="seconds with blanks"),
    pytest.param({"retry-after": "1.5"}, 1.5, id="a fraction"),
    pytest.param({"retry-after-ms": "1500"}, 1.5, id="milliseconds"),
    pytest.param({"Retry-After-MS": "2500", "Retry-After": "7"}, 2.5, id="milliseconds beside seconds"),
    pytest.param({"retry-after-ms": "soon", "Retry-After": "7"}, 7.0, id="seconds beside odd milliseconds"),
    pytest.param({"retry-after-ms": "0", "Retry-After": "7"}, 7.0, id="seconds beside no milliseconds"),
    pytest.param({"Retry-After": formatdate(UNIX + 9, usegmt=True)}, 9.0, id="a date"),
    pytest.param({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "17"}, 17.0, id="requests, seconds"),
    pytest.param(
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": str(int(UNIX) + 17)},
        17.0,
        id="requests, Unix seconds",
    ),
    pytest.param(
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": str(int(UNIX * 1000) + 17_000)},
        17.0,
        id="requests, Unix milliseconds",
    ),
    pytest.param({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "2.5"}, 2.5, id="tokens, a fraction"),
    pytest.param(
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": str(int(UNIX) + 17)}, 17.0, id="tokens, Unix seconds"
    ),
    pytest.param(
        {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": str(int(UNIX * 1000) + 17_000)},
        17.0,
        id="tokens, Unix milliseconds",
    ),
    pytest.param(
        {
            "x-ratelimit-remaining-requests": "3",
            "x-ratelimit-reset-requests": "50",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "5",
        },
        5.0,
        id="only the limit that was met",
    ),
    pytest.param(
        {"Retry-After": "2", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "40"},
        2.0,
        id="Retry-After before a reset",
    ),
    pytest.param(
        {"Retry-After": "soon", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "40"},
        40.0,
        id="a reset where Retry-After cannot be read",
    ),
    pytest.param(
        {"Retry-After": "0", "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "40"},
        40.0,
        id="a reset beside a Retry-After of nothing",
    ),
]


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(("headers", "seconds"), DIRECTED)
async def test_a_wait_is_as_long_as_the_server_asked(headers: dict[str, str], seconds: float, status: int) -> None:
    outcome = await called(failed(status, headers), good("chat"))

    assert outcome.error is None
    (slept,) = outcome.slept
    assert seconds <= slept <= seconds + 1, "never earlier, and not much later"


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"Retry-After": "soon"}, id="a word"),
        pytest.param({"Retry-After": "-5"}, id="a negative number"),
        pytest.param({"Retry-After": "0"}, id="at once"),
        pytest.param({"Retry-After": "0.0"}, id="a fraction of nothing"),
        pytest.param({"Retry-After": formatdate(UNIX - 99, usegmt=True)}, id="a date in the past"),
        pytest.param({"Retry-After": "Sunday, 06-Nov-94 08:49:37 GMT"}, id="a date in the past with two digits of its year"),
        pytest.param({"retry-after-ms": "0"}, id="no milliseconds"),
        pytest.param({"retry-after-ms": "-500"}, id="negative milliseconds"),
        pytest.param(
            {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": str(int(UNIX) - 5)}, id="a reset in the past"
        ),
        pytest.param({"Retry-After": "nan"}, id="not a number"),
        pytest.param({"Retry-After": "inf"}, id="for ever"),
        pytest.param({"Retry-After": ""}, id="nothing"),
        pytest.param({"Retry-After": "Thu, 99 Foo 2026"}, id="half a date"),
        pytest.param({"x-ratelimit-reset-requests": "17"}, id="a reset of a limit that was not met"),
        pytest.param({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "17"}, id="requests are left"),
        pytest.param({"x-ratelimit-remaining-requests": "0"}, id="no reset"),
        pytest.param({"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "later"}, id="an odd reset"),
        pytest.param({"x-ratelimit-remaining-requests": "none", "x-ratelimit-reset-requests": "17"}, id="an odd rest"),
    ],
)
async def test_an_unreadable_retry_after_falls_back_to_the_backoff(headers: dict[str, str]) -> None:
    outcome = await called(failed(429, headers), good("chat"))

    assert outcome.error is None
    assert 0 < outcome.slept[0] <= 1


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
@pytest.mark.parametrize(
    "form",
    [
        pytest.param("%a, %d %b %Y %H:%M:%S GMT", id="IMF-fixdate"),
        pytest.param("%A, %d-%b-%y %H:%M:%S GMT", id="RFC 850"),
        pytest.param("%a %b %e %H:%M:%S %Y", id="asctime"),
        pytest.param("%a, %d %b %Y %H:%M:%S", id="no zone"),
        pytest.param("%a, %d %b %Y %H:%M:%S -0000", id="-0000"),
        pytest.param("%a, %d %b %Y %H:%M:%S +0000", id="+0000"),
    ],
)
def test_a_date_is_universal_time_wherever_the_client_is(form: str, zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if not hasattr(time, "tzset"):
        pytest.skip("the zone of a process cannot be set here")
    date = time.strftime(form, time.gmtime(UNIX + 9))
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after(date, UNIX) == 9.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("wait", [0, -3, None, 0.0])
def test_the_backoff_is_waited_where_an_error_asks_for_no_wait(wait: float | None) -> None:
    failure = RateLimitError("busy", status_code=429, retry_after_seconds=wait)
    assert RetryPolicy().delay(1, failure, idempotent=False, random=0.0) == 0.5


def test_a_connection_that_can_never_be_made_is_not_tried_again() -> None:
    policy = RetryPolicy(retry_timeouts=True)
    never = ConnectError("untrusted")
    never.permanent = True
    for idempotent in (False, True):
        assert policy.delay(1, never, idempotent=idempotent, random=0.0) is None
        assert policy.delay(1, ConnectError("nobody listens"), idempotent=idempotent, random=0.0) == 0.5


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"x-ratelimit-remaining": "0", "x-ratelimit-resets": str(int(UNIX * 1000) + 3_000)}, id="reset sooner"),
        pytest.param({"x-ratelimit-remaining": "0"}, id="no reset"),
        pytest.param({"x-ratelimit-remaining": "0", "x-ratelimit-resets": "odd"}, id="an odd reset"),
        pytest.param({"x-ratelimit-remaining": "0", "Retry-After": "1"}, id="Retry-After sooner"),
        pytest.param({}, id="only the words"),
        pytest.param({"Retry-After": "1"}, id="only the words, Retry-After sooner"),
    ],
)
async def test_a_block_after_too_many_failures_is_waited_out(headers: dict[str, str]) -> None:
    words = "Too many failed attempts (> 20) resulting in a non-success status code. Please wait 30s and try again."
    outcome = await called(failed(429, headers, words), good("chat"))

    assert outcome.error is None
    assert 30 <= outcome.slept[0] <= 32


async def test_a_block_is_waited_out_until_the_reset_that_the_header_names() -> None:
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-resets": str(int(UNIX * 1000) + 47_000)}

    outcome = await called(failed(429, headers), good("chat"))

    assert 47 <= outcome.slept[0] <= 49


@pytest.mark.parametrize(
    "headers", [{"Retry-After": "86400"}, {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "86400"}]
)
async def test_a_wait_of_hours_is_left_to_the_caller(headers: dict[str, str]) -> None:
    outcome = await called(failed(429, headers))

    assert isinstance(outcome.error, RateLimitError)
    assert outcome.error.retry_after_seconds == 86_400
    assert outcome.slept == []


@pytest.mark.parametrize("kind", ["chat", "stream", "list"])
@pytest.mark.parametrize("timeout", [Timeout(deadline=10), Timeout(deadline=29.9)], ids=str)
async def test_a_wait_beyond_the_deadline_fails_at_once(timeout: Timeout, kind: str) -> None:
    outcome = await called(failed(429, {"Retry-After": "30"}), kind=kind, timeout=timeout)

    assert isinstance(outcome.error, RateLimitError)
    assert outcome.error.retry_after_seconds == 30
    assert outcome.slept == []


async def test_a_number_as_timeout_is_the_deadline_of_a_plain_call() -> None:
    outcome = await called(failed(429, {"Retry-After": "30"}), timeout=10)

    assert outcome.slept == []


async def test_a_number_as_timeout_is_no_deadline_of_a_stream() -> None:
    outcome = await called(failed(429, {"Retry-After": "30"}), good("stream"), kind="stream", timeout=10)

    assert outcome.error is None
    assert len(outcome.slept) == 1


async def test_the_deadline_spans_all_attempts_and_waits() -> None:
    replies = [failed(429, {"Retry-After": "4"}) for _ in range(9)]

    outcome = await called(*replies, timeout=Timeout(deadline=10), max_retries=8)

    assert outcome.attempts == 3
    assert sum(outcome.slept) <= 10


async def test_each_attempt_knows_what_is_left_of_the_deadline() -> None:
    clock = RecordingClock()
    client, transport = client_of(failed(429, {"Retry-After": "4"}), good("chat"), clock=clock, timeout=Timeout(deadline=10))

    await client.chat.completions.create(model="m", messages=HI)

    first, second = (attempt.deadline_seconds for attempt in transport.attempts)
    assert first == 10
    assert second is not None
    assert 5 <= second <= 6


# -- never after the first byte ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda: stream(event(chunk("hel")), BROKEN), id="a reset"),
        pytest.param(lambda: stream(event(chunk("hel"))), id="the end"),
        pytest.param(lambda: stream(event(chunk("hel")), TOO_SLOW), id="a clock"),
        pytest.param(lambda: stream(BROKEN), id="a reset before the first event"),
        pytest.param(stream, id="nothing"),
        pytest.param(lambda: stream(event(chunk("hel")), event({"error": BUSY})), id="an error after some text"),
        pytest.param(lambda: stream(event({**chunk("hel"), "error": BUSY})), id="an error beside some text"),
        pytest.param(
            lambda: stream(event(chunk(reasoning_content="h")), event({"error": BUSY})), id="an error after reasoning"
        ),
        pytest.param(lambda: stream(event({"error": {**BUSY, "code": "e2ee_attestation_stale"}})), id="an unknown code"),
        pytest.param(lambda: stream(event({"error": "busy"})), id="an error without a code"),
    ],
)
@pytest.mark.parametrize("settings", [{}, {"retry_timeouts": True}, {"max_retries": 9}], ids=str)
async def test_a_stream_that_began_is_never_retried(reply: Any, settings: dict[str, Any]) -> None:
    outcome = await called(reply(), kind="stream", **settings)

    assert outcome.error is not None
    assert outcome.attempts == 1
    assert outcome.slept == []


@pytest.mark.parametrize(
    "reply",
    [
        pytest.param(lambda: ScriptedReply(b'{"id": "chat', BROKEN), id="half an answer"),
        pytest.param(lambda: ScriptedReply(b"{broken"), id="broken JSON"),
        pytest.param(lambda: ScriptedReply(b""), id="an empty answer"),
        pytest.param(lambda: answer({"error": {"message": "busy", "code": "an unknown one"}}), id="an error with status 200"),
        pytest.param(lambda: answer({**completion(), "error": BUSY}), id="an error beside the answer"),
        pytest.param(lambda: ScriptedReply(event(chunk("hel")), event({"error": BUSY})), id="an error in an answer of events"),
    ],
)
async def test_an_answer_that_began_is_never_retried(reply: Any) -> None:
    outcome = await called(reply())

    assert outcome.error is not None
    assert outcome.attempts == 1


async def test_a_stream_is_retried_until_it_begins_and_not_after() -> None:
    outcome = await called(failed(503), failed(429), stream(event(chunk("hel")), BROKEN), kind="stream")

    assert isinstance(outcome.error, StreamInterruptedError)
    assert outcome.attempts == 3


async def test_a_refusal_that_is_retried_gives_its_connection_back() -> None:
    refusals = [answer({"error": "busy"}, status=503), answer({"error": "busy"}, status=503)]

    await called(*refusals, good("chat"))

    assert all(reply.ended or reply.closed for reply in refusals)


async def test_an_error_that_is_not_ours_is_not_tried_again() -> None:
    clock = RecordingClock()
    client, transport = client_of(ZeroDivisionError("in a transport of the caller's"), clock=clock)

    with pytest.raises(ZeroDivisionError):
        await client.chat.completions.create(model="m", messages=HI)

    assert len(transport.requests) == 1


async def test_a_server_that_stays_down_is_an_error_of_its_own_kind() -> None:
    outcome = await called(*[failed(502) for _ in range(3)])

    assert isinstance(outcome.error, InternalServerError)
    assert outcome.error.status_code == 502
