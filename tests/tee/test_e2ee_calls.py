"""End-to-end encrypted calls, through a real client to an enclave that opens what it is sent and seals what it answers.

The numbers in ids are those of docs/explanations/attacks.md.
"""

from __future__ import annotations

import asyncio
import json
import pickle
import warnings
from collections.abc import Callable
from typing import Any, TypedDict

import pytest

from venice_ai import (
    APIConnectionError,
    APIError,
    AuthenticationError,
    ChatCompletionResponse,
    InvalidRequestError,
    RateLimitError,
    StreamInterruptedError,
    SyncVeniceClient,
    UserMessage,
    VeniceClient,
    VeniceParameters,
)
from venice_ai.exceptions import APITimeoutError, TeeAttestationError, TeeDowngradeWarning, TeeEncryptionError, TeeError
from venice_ai.tee import TeeOptions
from venice_ai.tee.crypto import seal

from ..fakes import DONE, HI, KEY, RecordingClock, ScriptedReply, answer, chunk, completion, envelope, event, joined, stream
from .enclave import (
    ASK,
    CLIENT_KEY,
    MODEL,
    MODEL_KEY,
    SERVER,
    Enclave,
    Sealed,
    Silent,
    case,
    client_of,
    created,
    refused,
    streamed,
    whole,
)

pytestmark = pytest.mark.filterwarnings("ignore:end-to-end encryption")

READERS = ["create", "collect", "iterate", "text_deltas"]


async def read(client: VeniceClient, how: str, **params: Any) -> tuple[str, Exception | None]:
    """The text that one way of asking gives, and the error that it ends with."""
    texts: list[str] = []
    try:
        if how == "create":
            return (await created(client, **{"e2ee": True, **params})).text or "", None
        opened = await streamed(client, **{"e2ee": True, **params})
        if how == "collect":
            return (await opened.collect()).text or "", None
        if how == "text_deltas":
            async for text in opened.text_deltas():
                texts.append(text)  # noqa: PERF401  # what came before an error counts
        else:
            async for each in opened:
                texts.append(each.text)  # noqa: PERF401
    except Exception as error:  # noqa: BLE001  # the test looks at it
        return "".join(texts), error
    return "".join(texts), None


# -- it works ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", READERS)
async def test_a_question_and_its_answer_are_sealed_and_read_in_clear(how: str) -> None:
    enclave = Enclave()

    text, error = await read(client_of(enclave), how)

    assert (text.replace("\n", ""), error) == ("my secret answer", None)
    assert enclave.asked == [ASK["messages"]]
    (sent,) = enclave.chats
    assert b"secret" not in (sent.body or b"")


BUSY = event({"error": {"message": "busy", "code": "model_overloaded", "retry_after": 1}})


@pytest.mark.parametrize("how", READERS)
async def test_an_error_before_any_content_is_tried_again_with_the_same_sealed_bytes(how: str) -> None:
    enclave = Enclave()
    role = event({**chunk("", role="assistant"), "id": "chatcmpl-of-the-first"})
    enclave.refusals += [stream(role, BUSY, DONE), stream(BUSY, DONE)]

    text, error = await read(client_of(enclave), how)

    assert (text.replace("\n", ""), error) == ("my secret answer", None)
    assert len({sent.body for sent in enclave.chats}) == 1
    assert len(enclave.chats) == 3


@pytest.mark.parametrize(
    "event_of",
    [
        case(lambda _: {"detail": "boo"}, id="a detail"),
        case(lambda _: {"object": "error", "message": "boo"}, id="an object"),
        case(lambda _: envelope(choices=[{"index": 0, "delta": {}, "error": {"message": "boo"}}]), id="in a choice"),
        case(lambda sealed: {**chunk(sealed("more")), "error": "boo"}, id="beside a text"),
        case(
            lambda _: {**chunk("in clear"), "error": {"message": "boo", "code": "model_overloaded"}}, id="beside one in clear"
        ),
    ],
)
@pytest.mark.parametrize("how", READERS)
async def test_an_error_in_any_shape_is_one_in_an_encrypted_answer(how: str, event_of: Callable[[Sealed], Any]) -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [chunk(sealed("hel")), event_of(sealed), DONE]

    _, error = await read(client_of(enclave), how)

    assert isinstance(error, APIError)
    assert "boo" in str(error)
    assert error.partial is not None
    assert error.partial.text == "hel"
    assert len(enclave.chats) == 1


async def test_an_error_beside_an_answer_in_clear_is_not_retried() -> None:
    enclave = Enclave()
    enclave.answer = lambda _: [{**chunk("in clear"), "error": {"message": "boo", "code": "model_overloaded"}}, DONE]

    text, error = await read(client_of(enclave), "text_deltas")

    assert text == ""
    assert isinstance(error, RateLimitError)
    assert len(enclave.chats) == 1


async def test_a_plain_call_gives_an_ordinary_response() -> None:
    response = await created(client_of(Enclave()), e2ee=True)

    assert isinstance(response, ChatCompletionResponse)
    assert response.choices[0].message.role == "assistant"
    assert (response.finish_reason, response.object) == ("stop", "chat.completion")
    assert response.usage is not None
    assert response.usage.completion_tokens == 2
    assert response.meta.status_code == 200
    assert response.meta.headers["x-venice-tee"] == "true"
    assert response.attestation is not None
    assert (response.attestation.ok, response.attestation.level) == (True, "server")


async def test_a_stream_has_its_attestation() -> None:
    opened = await streamed(client_of(Enclave()), e2ee=True)

    assert opened.attestation is not None
    assert opened.attestation.model == MODEL
    assert (await opened.collect()).attestation is opened.attestation


async def test_a_stream_in_clear_has_no_attestation() -> None:
    with pytest.warns(UserWarning, match="not end-to-end encrypted"):
        opened = await streamed(client_of(Enclave()))

    assert opened.attestation is None
    assert (await opened.collect()).attestation is None


@pytest.mark.parametrize(
    "params",
    [
        {"e2ee": True},
        {"e2ee": TeeOptions(verification="server")},
        {"venice_parameters": {"enable_e2ee": True}},
        {"venice_parameters": VeniceParameters(enable_e2ee=True)},
    ],
    ids=repr,
)
async def test_every_way_to_ask_for_encryption_gives_it(params: dict[str, Any]) -> None:
    enclave = Enclave()

    await created(client_of(enclave), **params)

    assert enclave.asked == [ASK["messages"]]


async def test_what_is_sent() -> None:
    enclave = Enclave()

    await created(client_of(enclave), e2ee=True, temperature=0.5, prompt_cache_key="k")

    (sent,) = enclave.chats
    body = json.loads(sent.body or b"")
    del body["messages"]
    assert body == {
        "model": MODEL,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True},
        "venice_parameters": {"include_venice_system_prompt": False, "enable_e2ee": True},
    }
    assert sent.headers[MODEL_KEY] == enclave.public_key.hex()
    assert sent.headers["Accept"] == "text/event-stream"
    assert sent.headers["Authorization"] == f"Bearer {KEY}"


async def test_many_choices_are_opened() -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [
        *(chunk(sealed(f"choice {index}"), index=index) for index in range(3)),
        *(chunk(finish="stop", index=index) for index in range(3)),
        DONE,
    ]

    response = await created(client_of(enclave), e2ee=True, n=3)

    assert [choice.message.content for choice in response.choices] == ["choice 0", "choice 1", "choice 2"]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_is_opened_into_its_own_field(field: str) -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [
        *(envelope(choices=[{"index": 0, "delta": {field: sealed(text)}}]) for text in ("why ", "so")),
        chunk(sealed("answer"), finish="stop"),
        DONE,
    ]

    response = await created(client_of(enclave), e2ee=True)

    assert response.choices[0].message[field] == "why so"
    assert response.text == "answer"


async def test_a_conversation_goes_on_with_the_models_own_message() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    first = await created(client, e2ee=True)

    history = [*ASK["messages"], first.choices[0].message, UserMessage(content="go on")]
    await client.chat.completions.create(model=MODEL, messages=history, e2ee=True)

    assert [message["role"] for message in enclave.asked[1]] == ["user", "assistant", "user"]
    assert enclave.asked[1][1]["content"].replace("\n", "") == "my secret answer"


async def test_a_batch_is_sealed_and_attests_once() -> None:
    enclave = Enclave()

    sealed: dict[str, Any] = {**ASK, "e2ee": True}
    answers = await client_of(enclave).chat.completions.batch([sealed] * 5)

    assert [isinstance(each, ChatCompletionResponse) for each in answers] == [True] * 5
    assert (len(enclave.attestations), len(enclave.asked)) == (1, 5)


async def test_a_stream_class_of_the_callers_gets_clear_chunks() -> None:
    class Mine:
        def __init__(self, **data: Any) -> None:
            self.text = data["choices"][0]["delta"].get("content") if data["choices"] else ""

    opened: Any = await client_of(Enclave()).chat.completions.create(**ASK, e2ee=True, stream=True, stream_cls=Mine)

    assert joined([each.text async for each in opened]).replace("\n", "") == "my secret answer"


@pytest.mark.parametrize("asked", [None, {"include_usage": False}])
async def test_chunks_of_usage_alone_are_given_only_to_those_who_ask(asked: Any) -> None:
    opened = await streamed(client_of(Enclave()), e2ee=True, stream_options=asked)

    chunks = [each async for each in opened]

    assert any(not each.choices for each in chunks) is (asked is not None)
    assert opened.usage is not None


async def test_the_callers_messages_are_not_changed() -> None:
    messages = [{"role": "user", "content": "my secret prompt"}]

    await client_of(Enclave()).chat.completions.create(model=MODEL, messages=messages, e2ee=True)

    assert messages == [{"role": "user", "content": "my secret prompt"}]


@pytest.mark.attack(55)
async def test_every_request_has_a_client_key_of_its_own() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    for _ in range(10):
        await created(client, e2ee=True)

    assert len({request.headers[CLIENT_KEY] for request in enclave.chats}) == 10
    assert len({request.body for request in enclave.chats}) == 10


async def test_a_stream_that_is_left_early_is_closed() -> None:
    replies: list[ScriptedReply] = []

    class Watched(Enclave):
        async def send(self, request: Any) -> ScriptedReply:
            reply = await Enclave.send(self, request)
            replies.append(reply)
            return reply

    watched = Watched()
    watched.answer = lambda sealed: [chunk(sealed("a")), chunk(sealed("b")), chunk(sealed("c")), DONE]
    async with await streamed(client_of(watched), e2ee=True) as opened:
        async for _ in opened:
            break

    assert replies[-1].closed


# -- refused before the network ------------------------------------------------------------------------------------------

IMPOSSIBLE: list[Any] = [
    pytest.param({"model": "m"}, id="attack 50: another model"),
    pytest.param({"model": "e2ee-m:enable_web_search=on"}, id="attack 50: a suffix"),
    pytest.param({"tools": [{"type": "function", "function": {"name": "f"}}]}, id="attack 50: tools"),
    pytest.param({"venice_parameters": {"enable_web_search": "auto"}}, id="attack 50: a search"),
    pytest.param({"venice_parameters": {"enable_web_scraping": True}}, id="attack 50: scraping"),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.invalid"}}]}]},
        id="attack 50: an image",
    ),
    pytest.param({"venice_parameters": {"enable_e2ee": False}}, id="attack 50: enable_e2ee=False"),
    pytest.param({"logprobs": True}, id="attack 50: logprobs"),
    pytest.param({"fallbacks": [{"model": "m"}]}, id="attack 50: fallbacks"),
    pytest.param({"response_format": {"type": "json_object"}}, id="a format"),
    pytest.param({"extra_body": {"messages": HI}}, id="attack 51: messages in extra_body"),
    pytest.param({"extra_body": {"stream": False}}, id="attack 51: stream in extra_body"),
    pytest.param({"extra_headers": {CLIENT_KEY.lower(): "00"}}, id="attack 51: a header of the exchange"),
    pytest.param({"messages": [{"role": "user", "content": "c", "name": "n"}]}, id="attack 62: a name"),
    pytest.param(
        {"messages": [*HI, {"role": "assistant", "content": "c", "tool_calls": [{"id": "1"}]}]}, id="attack 62: tool calls"
    ),
    pytest.param({"e2ee": "yes"}, id="e2ee that is not a switch"),
    pytest.param({"temperature": 9}, id="a temperature out of range"),
]


@pytest.mark.parametrize("how", ["create", "collect"])
@pytest.mark.parametrize("params", IMPOSSIBLE)
async def test_what_cannot_be_sealed_is_refused_before_anything_is_sent(params: dict[str, Any], how: str) -> None:
    enclave = Enclave()

    _, error = await read(client_of(enclave), how, **params)

    assert isinstance(error, InvalidRequestError)
    assert enclave.requests == []


async def test_a_missing_key_is_an_error_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("VENICE_API_KEY", raising=False)
    enclave = Enclave()

    with pytest.raises(AuthenticationError):
        await created(client_of(enclave, api_key=None), e2ee=True)

    assert enclave.requests == []


async def test_tools_and_encryption_do_not_go_together() -> None:
    enclave = Enclave()

    def add(a: int, b: int) -> int:
        return a + b

    with pytest.raises(InvalidRequestError, match="tools"):
        await client_of(enclave).chat.completions.run_with_tools(**ASK, tools=[add], e2ee=True)

    assert enclave.requests == []


# -- the answer is not what it should be ---------------------------------------------------------------------------------


def with_fault(*events: Callable[[Sealed], Any] | dict[str, Any]) -> Callable[[Sealed], list[Any]]:
    """An answer that begins well, and goes on with these."""
    return lambda sealed: [
        chunk(sealed("fine")),
        *(each(sealed) if callable(each) else each for each in events),
        *whole(sealed),
    ]


BAD: list[Any] = [
    pytest.param(with_fault(chunk("in clear")), id="attack 40: a chunk in clear among sealed ones"),
    pytest.param(with_fault(chunk(reasoning_content="in clear")), id="attack 42: reasoning in clear"),
    pytest.param(with_fault(chunk("in clear", index=1)), id="attack 42: another choice in clear"),
    pytest.param(with_fault(lambda sealed: chunk(sealed("x")[:-2])), id="attack 43: a tag cut short"),
    pytest.param(with_fault(lambda sealed: chunk("02" + sealed("x")[2:])), id="attack 43: a compressed key"),
    pytest.param(with_fault(lambda _: chunk(seal(Enclave().public_key, b"x"))), id="attack 43: sealed to another key"),
    pytest.param(with_fault(chunk(tool_calls=[{"index": 0, "id": "1"}])), id="attack 47: tool calls"),
    pytest.param(with_fault(chunk(refusal="no")), id="attack 47: a refusal"),
    pytest.param(
        with_fault(envelope(choices=[{"index": 0, "delta": {}, "logprobs": {"content": [{"token": "t"}]}}])),
        id="attack 47: logprobs",
    ),
    pytest.param(with_fault(envelope(choices=[], venice_parameters={"enable_e2ee": False})), id="attack 48: switched off"),
]


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize("fault", BAD)
async def test_a_bad_chunk_is_an_error_and_nothing_after_it_is_given(fault: Any, how: str) -> None:
    enclave = Enclave()
    enclave.answer = fault

    text, error = await read(client_of(enclave), how)

    assert isinstance(error, TeeEncryptionError)
    assert error.report is not None
    assert error.report.model == MODEL
    assert text in {"", "fine"}
    assert len(enclave.chats) == 1


async def test_a_stream_that_failed_gives_nothing_more() -> None:
    enclave = Enclave()
    enclave.answer = with_fault(chunk("in clear"))
    opened = await streamed(client_of(enclave), e2ee=True)

    for _ in range(3):
        with pytest.raises(TeeEncryptionError):
            await opened.collect()
    assert opened.partial.text == "fine"


@pytest.mark.attack(45)
async def test_a_chunk_that_comes_twice_is_an_error() -> None:
    enclave = Enclave()

    def twice(sealed: Sealed) -> list[Any]:
        one = chunk(sealed("one"))
        return [one, chunk(sealed("two")), one, chunk(finish="stop"), DONE]

    enclave.answer = twice

    text, error = await read(client_of(enclave), "text_deltas")

    assert text == "onetwo"
    assert isinstance(error, TeeEncryptionError)


@pytest.mark.parametrize("how", READERS)
@pytest.mark.attack(41)
async def test_an_answer_in_clear_is_an_error_at_its_first_chunk(how: str) -> None:
    enclave = Enclave()
    enclave.answer = lambda _: [chunk("I am"), chunk(" in clear", finish="stop"), DONE]

    text, error = await read(client_of(enclave), how)

    assert (text, type(error)) == ("", TeeEncryptionError)


@pytest.mark.attack(41)
async def test_a_whole_answer_in_clear_json_is_an_error() -> None:
    enclave = Enclave()
    enclave.refusals = [answer(completion("in clear"))]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, TeeEncryptionError)
    assert "in clear" not in str(error).replace("in clear in", "")


async def test_a_page_in_place_of_an_answer_is_the_usual_error() -> None:
    enclave = Enclave()
    enclave.refusals = [ScriptedReply(b"<html>", headers={"content-type": "text/html"})]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, APIError)
    assert "HTML" in str(error)


@pytest.mark.parametrize("how", READERS)
@pytest.mark.parametrize(
    "answer_",
    [
        case(lambda sealed: [chunk(sealed("a"))], id="attack 46: nothing of an end"),
        case(lambda sealed: [chunk(sealed("a"), finish="stop")], id="attack 46: no DONE"),
        case(lambda sealed: [chunk(sealed("a")), DONE], id="attack 46: no finish reason"),
        case(
            lambda sealed: [chunk(sealed("a")), chunk(sealed("b"), index=1), chunk(finish="stop", index=1), DONE],
            id="attack 46: no finish reason of a choice",
        ),
        case(
            lambda sealed: [chunk(sealed("a"), finish="stop"), APIConnectionError("reset")], id="attack 46: a reset before DONE"
        ),
        case(lambda sealed: [chunk(sealed("a")), b"data: {half\n\n"], id="an event that is not JSON"),
    ],
)
@pytest.mark.attack(46)
async def test_a_sealed_stream_without_its_end_is_interrupted(answer_: Any, how: str) -> None:
    enclave = Enclave()
    enclave.answer = answer_

    text, error = await read(client_of(enclave), how, n=2)

    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.choices[0].message.content == "a"
    assert text in {"", "a", "ab"}


async def test_tokens_without_an_answer_are_an_error() -> None:
    enclave = Enclave(text="")
    enclave.answer = lambda _: [chunk("", finish="stop"), envelope(choices=[], usage={"completion_tokens": 9}), DONE]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, TeeEncryptionError)


@pytest.mark.parametrize("how", READERS)
@pytest.mark.attack(49)
async def test_an_error_event_in_a_sealed_stream_is_raised_as_that_error(how: str) -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [chunk(sealed("fine")), {"error": {"message": "busy", "code": "model_overloaded"}}]

    text, error = await read(client_of(enclave), how)

    assert isinstance(error, RateLimitError)
    assert error.partial is not None
    assert error.partial.text == "fine"
    assert text in {"", "fine"}


@pytest.mark.attack(44)
async def test_an_answer_in_capital_hex_is_opened() -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [chunk(sealed("TEXT").upper(), finish="stop"), DONE]

    assert await read(client_of(enclave), "create") == ("TEXT", None)


async def test_after_a_failed_answer_the_next_call_attests_again() -> None:
    enclave = Enclave()
    client = client_of(enclave)
    enclave.answer = with_fault(chunk("in clear"))
    await read(client, "create")

    enclave.answer = whole
    text, error = await read(client, "create")

    assert (text.replace("\n", ""), error) == ("my secret answer", None)
    assert len(enclave.attestations) == 2


# -- keys that changed, retries, redirects -------------------------------------------------------------------------------

KEY_ERRORS = [
    "Decryption failed",
    "Failed to decrypt field",
    "e2ee_decryption_failed",
    "e2ee_model_key_mismatch",
    "Invalid public key",
]


@pytest.mark.parametrize("how", READERS)
@pytest.mark.attack(52)
async def test_a_changed_key_is_attested_once_more_with_a_new_nonce(how: str) -> None:
    enclave = Enclave()
    client = client_of(enclave)
    await created(client, e2ee=True)
    enclave.rotate()

    text, error = await read(client, how)

    assert (text.replace("\n", ""), error) == ("my secret answer", None)
    assert len(set(enclave.nonces)) == len(enclave.nonces) == 2
    assert len({request.headers[CLIENT_KEY] for request in enclave.chats}) == 3


@pytest.mark.parametrize("reason", KEY_ERRORS)
@pytest.mark.attack(52)
async def test_the_second_failure_of_a_changed_key_is_raised(reason: str) -> None:
    enclave = Enclave()
    enclave.refusals = [refused(reason), refused(reason)]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, InvalidRequestError)
    assert error.status_code == 400
    assert (len(enclave.attestations), len(enclave.chats)) == (2, 2)


@pytest.mark.parametrize("reason", KEY_ERRORS)
@pytest.mark.attack(52)
async def test_the_second_attempt_after_a_changed_key_may_succeed(reason: str) -> None:
    enclave = Enclave()
    enclave.refusals = [refused(reason)]

    assert (await read(client_of(enclave), "create"))[1] is None
    assert (len(set(enclave.nonces)), len(enclave.chats)) == (2, 2)


@pytest.mark.parametrize(
    "reason", ["Invalid E2EE headers: x", "Encrypted field is not valid hex", "E2EE requires streaming", "e2ee_header_missing"]
)
async def test_other_refusals_are_raised_at_once(reason: str) -> None:
    enclave = Enclave()
    enclave.refusals = [refused(reason)]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, InvalidRequestError)
    assert (len(enclave.attestations), len(enclave.chats)) == (1, 1)


async def test_with_a_nonce_of_the_callers_a_key_error_is_final() -> None:
    enclave = Enclave()
    enclave.refusals = [refused("Decryption failed")]

    _, error = await read(client_of(enclave), "create", e2ee=TeeOptions(nonce="ab" * 32, verification="server"))

    assert isinstance(error, InvalidRequestError)
    assert enclave.nonces == ["ab" * 32]


async def test_a_busy_server_gets_the_same_sealed_bytes_again() -> None:
    enclave = Enclave()
    enclave.refusals = [answer({"error": "busy"}, status=503)]

    _, error = await read(client_of(enclave), "create")

    assert error is None
    first, second = enclave.chats
    assert first.body == second.body
    assert len(enclave.attestations) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.attack(38)
async def test_a_redirected_chat_is_not_sent_elsewhere(status: int) -> None:
    enclave = Enclave()
    enclave.refusals = [ScriptedReply(b"", status=status, headers={"location": "https://elsewhere.invalid/"})]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, APIError)
    assert not isinstance(error, TeeError)
    assert len(enclave.chats) == 1
    assert all("elsewhere" not in request.url for request in enclave.requests)


async def test_a_stream_is_not_sent_again_once_it_began() -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [chunk(sealed("a")), APIConnectionError("reset")]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, StreamInterruptedError)
    assert len(enclave.chats) == 1


# -- time ----------------------------------------------------------------------------------------------------------------


async def test_the_deadline_counts_the_attestation() -> None:
    enclave = Silent()

    with pytest.raises(APITimeoutError) as caught:
        await created(client_of(enclave), e2ee=True, timeout=0.05)

    assert caught.value.clock == "deadline"
    assert enclave.chats == []


async def test_the_limit_of_the_first_chunk_holds_for_the_attestation() -> None:
    enclave = Silent()

    with pytest.raises(APITimeoutError) as caught:
        await streamed(client_of(enclave, timeout=0.05), e2ee=True)

    assert caught.value.clock == "first_chunk"
    assert enclave.chats == []


async def test_the_deadline_counts_the_signature() -> None:
    enclave = Silent("/tee/signature")
    options = SERVER.replace(verify_signature="require")

    with pytest.raises(TeeEncryptionError) as caught:
        await created(client_of(enclave), e2ee=options, timeout=0.3)

    assert isinstance(caught.value.__cause__, APITimeoutError)
    assert caught.value.__cause__.clock == "deadline"
    assert caught.value.partial is not None  # it was paid for


async def test_the_time_of_the_attestation_is_taken_off_the_time_limits_of_the_chat() -> None:
    enclave = Enclave()
    client = client_of(enclave)

    def later(reply: Any) -> Any:
        client.caller.clock.passed += 3  # type: ignore[attr-defined]  # the recording clock
        return reply

    enclave.attestation = later
    await created(client, e2ee=True, timeout=10)

    (sent,) = enclave.chats
    assert sent.deadline_seconds == pytest.approx(7)


# -- warnings ------------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("default:end-to-end encryption")
async def test_the_limits_of_encryption_are_warned_of_once_for_each_client() -> None:
    client, other = client_of(Enclave()), client_of(Enclave())

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for each in (client, client, other):
            await each.chat.completions.create(**ASK, e2ee=True)

    assert [str(warning.message)[:22] for warning in warned] == ["end-to-end encryption:"] * 2
    assert all("NOT verified: Venice's own statement" in str(warning.message) for warning in warned)
    assert all("SECURITY LIMITATION" in str(warning.message) for warning in warned)
    assert all(warning.filename == __file__ for warning in warned)


class Found(TypedDict):
    """What `parse` is to find."""

    a: int


FOUND = '{"a": 42}'  # in two sealed chunks, with a line break between them


def chats_and_arguments(clients: Callable[..., Any], **params: Any) -> tuple[Any, dict[str, Any]]:
    """The chats of a client that may warn, and what to ask."""
    enclave = Enclave(text=FOUND, quoted=True)
    client = clients(api_key=KEY, transport=enclave, clock=RecordingClock(), tee=enclave.without_collateral)
    return client.chat.completions, {**ASK, **params}


def asked_asynchronously(**params: Any) -> None:
    asyncio.run(asked_in_all_ways(**params))


async def asked_in_all_ways(**params: Any) -> None:
    chats, asked = chats_and_arguments(VeniceClient, **params)
    await chats.create(**asked)
    chats, asked = chats_and_arguments(VeniceClient, **params)
    await (await chats.stream(**asked)).collect()
    chats, asked = chats_and_arguments(VeniceClient, **params)
    await chats.parse(**asked, response_format=Found)
    chats, asked = chats_and_arguments(VeniceClient, **params)
    await (await chats.stream_parse(**asked, response_format=Found)).collect()
    chats, asked = chats_and_arguments(VeniceClient, **params)
    await chats.batch([asked])


def asked_synchronously(**params: Any) -> None:
    chats, asked = chats_and_arguments(SyncVeniceClient, **params)
    chats.create(**asked)
    chats, asked = chats_and_arguments(SyncVeniceClient, **params)
    chats.stream(**asked).collect()
    chats, asked = chats_and_arguments(SyncVeniceClient, **params)
    chats.parse(**asked, response_format=Found)
    chats, asked = chats_and_arguments(SyncVeniceClient, **params)
    chats.stream_parse(**asked, response_format=Found).collect()
    chats, asked = chats_and_arguments(SyncVeniceClient, **params)
    chats.batch([asked])


@pytest.mark.filterwarnings("default:end-to-end encryption")
@pytest.mark.parametrize("ask", [asked_asynchronously, asked_synchronously])
def test_warnings_name_the_callers_line(ask: Callable[..., None]) -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        ask(e2ee=True, user="u")

    assert len(warned) == 5 * 3
    assert {warning.filename for warning in warned} == {__file__}
    # A task of a batch leads to where the event loop was started.
    assert len({warning.lineno for warning in warned}) == 5


async def test_a_downgrade_warning_made_an_error_ends_the_call_before_it_is_sent() -> None:
    enclave = Enclave(quoted=True)
    client = client_of(enclave, tee=enclave.without_collateral)

    with warnings.catch_warnings():
        warnings.simplefilter("error", TeeDowngradeWarning)
        for _ in range(2):
            with pytest.raises(TeeDowngradeWarning):
                await created(client, e2ee=True)

    assert enclave.chats == []


@pytest.mark.filterwarnings("default:end-to-end encryption")
async def test_a_refused_call_causes_no_warning() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        _, error = await read(client_of(Enclave()), "create", model="m")

    assert isinstance(error, InvalidRequestError)
    assert warned == []


async def test_a_call_in_clear_to_a_model_with_encryption_warns_before_it_is_sent() -> None:
    enclave = Enclave()

    with pytest.warns(UserWarning, match=r"\Athe prompt leaves in clear: .*'e2ee-m'") as warned:
        await created(client_of(enclave))

    assert [warning.filename for warning in warned] == [__file__.replace("test_e2ee_calls", "enclave")]
    assert b"secret" in (enclave.chats[0].body or b"")


async def test_parameters_that_travel_in_clear_are_warned_of() -> None:
    with pytest.warns(UserWarning, match="stop, user is not end-to-end encrypted"):
        await created(client_of(Enclave()), e2ee=True, stop=["x"], user="u")


async def test_a_call_in_clear_to_a_model_for_encryption_is_warned_of() -> None:
    enclave = Enclave()

    with pytest.warns(UserWarning, match="not end-to-end encrypted"):
        await read(client_of(enclave), "collect", e2ee=False)
    with pytest.warns(UserWarning, match="not end-to-end encrypted"):
        await read(client_of(enclave), "collect", e2ee=False, venice_parameters={"enable_e2ee": False})

    assert enclave.attestations == []


# -- errors carry what they should, and no more --------------------------------------------------------------------------


async def test_an_error_shows_nothing_of_the_answer_and_is_pickled_without_it() -> None:
    enclave = Enclave()
    enclave.answer = lambda sealed: [chunk(sealed("my secret answer")), APIConnectionError("reset")]

    _, error = await read(client_of(enclave), "create")

    assert isinstance(error, StreamInterruptedError)
    assert error.partial is not None
    assert error.partial.text == "my secret answer"
    assert "secret" not in f"{error!r} {error} {vars(error)!r}"
    again = pickle.loads(pickle.dumps(error))
    assert b"secret" not in pickle.dumps(error)
    assert (type(again), str(again), again.partial) == (type(error), str(error), None)


async def test_a_failed_attestation_sends_nothing() -> None:
    enclave = Enclave()
    enclave.attestation = lambda reply: {**reply, "verified": False}

    with pytest.raises(TeeAttestationError) as caught:
        await created(client_of(enclave), e2ee=True)

    assert caught.value.report is not None
    assert not caught.value.report.ok
    assert enclave.chats == []


async def test_an_attestation_survives_pickling_with_its_response() -> None:
    response = await created(client_of(Enclave()), e2ee=True)

    again = pickle.loads(pickle.dumps(response))

    assert again.attestation == response.attestation
    assert again == response
    assert again.meta.status_code == 200


@pytest.mark.parametrize("events", [[b": comment\n\n"], [event("[DONE]")]])
async def test_an_empty_answer_is_not_an_answer_in_clear(events: list[bytes]) -> None:
    enclave = Enclave()
    enclave.refusals = [stream(*events)]

    text, error = await read(client_of(enclave), "text_deltas")

    assert text == ""
    assert error is None or isinstance(error, StreamInterruptedError)
