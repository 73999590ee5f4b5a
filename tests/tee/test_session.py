"""The encrypted exchange as a state machine: a body in, a body out; events in, events in clear out, or an error.

The numbers in ids are those of docs/explanations/attacks.md.
"""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from venice_ai import InvalidRequestError
from venice_ai._core.privacy import encryption_requested
from venice_ai._wire.assembly import Assembly
from venice_ai._wire.stream_errors import opened as opened_event
from venice_ai.exceptions import TeeEncryptionError
from venice_ai.tee import TeeSession
from venice_ai.tee.crypto import Opener, Sealer, seal
from venice_ai.tee.curve import Key
from venice_ai.tee.guard import guard, in_clear
from venice_ai.types._base import Response
from venice_ai.types.api.chat import ChatCompletionResponse
from venice_ai.types.api.streaming import ChatCompletionChunk
from venice_ai.types.attestation import AttestationReport, SignatureReport

from ..shared import named, shared
from .enclave import chunk, envelope

VECTORS: dict[str, Any] = shared("e2ee-vectors.json")
STREAMS: list[dict[str, Any]] = [case for case in shared("sse-fixtures.json") if case["name"].startswith("e2ee")]
SEALED_STREAMS = [case for case in STREAMS if "error" not in case["expect"]]
DOWNGRADED_STREAMS = [case for case in STREAMS if "error" in case["expect"]]
ENCLAVE = Opener()
REPORT = AttestationReport(
    model="e2ee-m",
    nonce="00" * 32,
    fetched_at=0,
    expires_at=300,
    ok=True,
    level="quote",
    model_public_key=ENCLAVE.public_key.hex(),
)
MODEL = "e2ee-m"
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {}}}


def body(content: Any = "hi", **more: Any) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": content}], **more}


def session(**more: Any) -> TeeSession:
    return TeeSession(REPORT, **more)


def client_key(opened: TeeSession) -> bytes:
    return bytes.fromhex(opened.headers["X-Venice-TEE-Client-Pub-Key"])


def to(opened: TeeSession, text: str) -> str:
    return seal(client_key(opened), text.encode())


def content(event: Any, index: int = 0) -> Any:
    return event["choices"][index]["delta"].get("content")


# -- what is refused before anything is sent -----------------------------------------------------------------------------

REFUSED = [
    *(pytest.param({"model": name}, id=f"the model {name}") for name in ("m", "tee-m", "E2EE-m", "x-e2ee-m")),
    pytest.param({"model": "e2ee-m:enable_web_search=on"}, id="a suffix"),
    pytest.param({"model": "e2ee-m:"}, id="an empty suffix"),
    pytest.param({"tools": [TOOL]}, id="tools"),
    pytest.param({"functions": [{"name": "f"}]}, id="functions"),
    pytest.param({"function_call": "auto"}, id="a function call"),
    pytest.param({"parallel_tool_calls": True}, id="parallel tool calls"),
    *(
        pytest.param({"tool_choice": choice}, id=f"tool_choice={choice}")
        for choice in ("auto", "required", {"type": "function"})
    ),
    *(
        pytest.param({"venice_parameters": {"enable_web_search": each}}, id=f"a search: {each}")
        for each in ("on", "auto", True)
    ),
    pytest.param({"venice_parameters": {"enable_web_scraping": True}}, id="scraping"),
    pytest.param({"venice_parameters": {"enable_x_search": True}}, id="a search in X"),
    pytest.param({"venice_parameters": {"character_slug": "s"}}, id="a character"),
    pytest.param({"venice_parameters": {"include_search_results_in_stream": True}}, id="search results in the stream"),
    pytest.param({"venice_parameters": {"return_search_results_as_documents": True}}, id="search results as documents"),
    pytest.param({"venice_parameters": {"enable_e2ee": False}}, id="a contradiction"),
    pytest.param({"venice_parameters": {"a_new_switch": "my secret"}}, id="an unknown switch with a text"),
    pytest.param({"logprobs": True}, id="logprobs"),
    pytest.param({"top_logprobs": 2}, id="top_logprobs"),
    pytest.param({"include": ["message.output_text.logprobs"]}, id="logprobs by include"),
    pytest.param({"include": ["my secret"]}, id="a text in include"),
    pytest.param({"reasoning": {"effort": "low", "note": "my secret"}}, id="a text in reasoning"),
    pytest.param({"stream_options": {"note": ["my secret"]}}, id="a text in stream_options"),
    pytest.param({"response_format": {"type": "text", "note": "my secret"}}, id="a text in the format text"),
    pytest.param({"fallbacks": [{"model": "m"}]}, id="fallbacks"),
    *(pytest.param({"response_format": {"type": each}}, id=f"the format {each}") for each in ("json_object", "json_schema")),
    pytest.param({"text": {"format": {"type": "json_schema"}}}, id="a format in text"),
    pytest.param({"extra_body": {"messages": []}}, id="attack 51: extra_body with messages"),
    pytest.param({"extra_body": {"stream": False}}, id="attack 51: extra_body with stream"),
    pytest.param({"prediction": {"content": "my secret"}}, id="an unknown object"),
    pytest.param({"instructions": "my secret"}, id="an unknown text"),
    pytest.param({"provider": "p"}, id="a provider"),
]


@pytest.mark.parametrize("changes", REFUSED)
@pytest.mark.attack(50)
def test_a_request_that_cannot_be_sealed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        guard(body("my secret prompt") | changes)

    assert "secret" not in str(caught.value)
    assert caught.value.status_code is None


CONTENTS = [
    pytest.param([{"type": "image_url", "image_url": {"url": "u"}}], id="an image"),
    pytest.param([{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}], id="a text and an image"),
    pytest.param([{"type": "input_audio", "input_audio": {"data": "d"}}], id="audio"),
    pytest.param([{"type": "video_url", "video_url": {"url": "u"}}], id="a video"),
    pytest.param([{"type": "file", "file": {"file_data": "d"}}], id="a file"),
    pytest.param([{"type": "of tomorrow"}], id="an unknown part"),
]


@pytest.mark.parametrize("given", CONTENTS)
@pytest.mark.attack(50)
def test_content_that_is_not_text_is_refused(given: Any) -> None:
    with pytest.raises(InvalidRequestError, match=r"messages\.0\.content"):
        guard(body(given))


@pytest.mark.parametrize(
    "field",
    ["name", "tool_calls", "tool_call_id", "function_call", "refusal", "reasoning_content", "reasoning_details", "audio"],
)
@pytest.mark.attack(62)
def test_a_message_with_more_than_role_and_content_is_refused(field: str) -> None:
    request_body = body()
    request_body["messages"].append({"role": "assistant", "content": "c", field: [{"id": "my secret"}]})

    with pytest.raises(InvalidRequestError, match=rf"messages\.1\.{field}") as caught:
        guard(request_body)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"role": "user", "content": "c", "my secret": 1}, id="a key"),
        pytest.param({"role": "user", "content": "c", "prefix": "my secret"}, id="a value"),
        pytest.param({"role": "my secret", "content": "c"}, id="a role"),
        pytest.param({"role": ["my secret"], "content": "c"}, id="a role that is a list"),
        pytest.param({"role": "user", "content": [{"type": "my secret", "text": "c"}]}, id="a type"),
        pytest.param({"role": "user", "content": {"my secret": 1}}, id="an object"),
        pytest.param("my secret", id="a text"),
    ],
)
@pytest.mark.parametrize("how", ["guard", "seal"])
def test_a_refusal_echoes_nothing_of_a_message(message: Any, how: str) -> None:
    request_body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}, message]}

    with pytest.raises(InvalidRequestError, match=r"messages\.1") as caught:
        guard(request_body) if how == "guard" else session().seal(request_body)

    assert "secret" not in f"{caught.value!r}"


@pytest.mark.parametrize("nothing", [None, [], "", {}])
def test_empty_members_of_a_message_are_left_out(nothing: Any) -> None:
    request_body = body()
    request_body["messages"].append({"role": "assistant", "content": "c", "tool_calls": nothing, "refusal": nothing})

    guard(request_body)

    assert [*session().seal(request_body)["messages"][1]] == ["role", "content"]


@pytest.mark.parametrize("name", ["X-Venice-TEE-Client-Pub-Key", "x-venice-tee-model-pub-key", "X-VENICE-TEE-SIGNING-ALGO"])
@pytest.mark.attack(51)
def test_a_callers_header_of_the_encryption_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="extra_headers"):
        guard(body(), {name: "x"})


ALLOWED: list[dict[str, Any]] = [
    {},
    {"temperature": 0.5, "n": 2, "seed": 4, "max_completion_tokens": 5, "top_k": 4, "stop_token_ids": [1]},
    {"tool_choice": "none", "parallel_tool_calls": False, "logprobs": False, "tools": [], "fallbacks": []},
    {"venice_parameters": {"enable_web_search": "off", "enable_web_scraping": False, "strip_thinking_response": True}},
    {"venice_parameters": {"enable_e2ee": True, "disable_thinking": True, "a_new_switch": True}},
    {"response_format": {"type": "text"}, "text": {"verbosity": "low"}, "verbosity": "low"},
    {"reasoning_effort": "low", "reasoning": {"effort": "low"}, "prompt_cache_key": "k", "a_new_number": 0.1},
    {"stream": True, "stream_options": {"include_usage": False, "a_new_number": 1}, "include": []},
    {"reasoning": {"effort": "low", "summary": "auto", "enabled": True, "a_new_number": 1}},
]


@pytest.mark.parametrize("more", ALLOWED, ids=repr)
def test_parameters_without_a_text_of_the_caller_are_allowed(more: dict[str, Any]) -> None:
    guard(body(**more), {"X-Other": "x"})

    assert in_clear(body(**more)) == []


def test_parameters_that_may_hold_a_text_are_named() -> None:
    assert in_clear(body(stop=["x"], metadata={"a": "b"}, user="u", seed=1)) == ["stop", "metadata", "user"]


@pytest.mark.parametrize(
    ("e2ee", "switches", "expected"),
    [
        (True, None, True),
        (False, {"enable_e2ee": True}, True),
        (False, {"enable_e2ee": False}, False),
        (True, {"enable_e2ee": False}, True),
        (False, None, False),
        (None, {}, False),
    ],
)
def test_encryption_is_requested_by_the_argument_or_the_switch(e2ee: Any, switches: Any, expected: bool) -> None:
    assert encryption_requested(e2ee, {"venice_parameters": switches} if switches is not None else {}) is expected


# -- sealing -------------------------------------------------------------------------------------------------------------


@pytest.mark.attack(62)
def test_the_content_of_every_role_is_sealed() -> None:
    roles = ["system", "developer", "user", "assistant", "user"]
    given = body(messages=[{"role": role, "content": f"{role} text é"} for role in roles])

    sent = session().seal(given)

    assert [message["role"] for message in sent["messages"]] == roles
    assert [ENCLAVE.open(message["content"]).decode() for message in sent["messages"]] == [f"{role} text é" for role in roles]


@pytest.mark.parametrize("model", ["e2ee-l", "e2ee-n", "e2ee-m2"])
def test_a_request_for_another_model_is_not_sealed(model: str) -> None:
    with pytest.raises(InvalidRequestError, match="this session is with 'e2ee-m', and the request for another model"):
        session().seal({**body("my secret prompt"), "model": model})


def test_some_roles_may_be_left_in_clear() -> None:
    given = body(messages=[{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}])

    sent = session(encrypt_roles=("system", "user")).seal(given)

    assert ENCLAVE.open(sent["messages"][0]["content"]) == b"u"
    assert sent["messages"][1]["content"] == "a"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param("", b"", id="empty"),
        pytest.param("🔐", "🔐".encode(), id="beyond the BMP"),
        pytest.param([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], b"ab", id="parts of text"),
        pytest.param("x" * 100_000, b"x" * 100_000, id="long"),
    ],
)
def test_any_text_is_sealed(given: Any, expected: bytes) -> None:
    (message,) = session().seal(body(given))["messages"]

    assert ENCLAVE.open(message["content"]) == expected


@pytest.mark.parametrize("message", [{"role": "assistant", "content": None}, {"role": "assistant"}])
def test_no_content_stays_no_content(message: dict[str, Any]) -> None:
    assert session().seal(body(messages=[message]))["messages"] == [message]


def test_members_that_the_protocol_needs_are_set_and_the_rest_stays() -> None:
    given = body(
        temperature=0.5,
        stream_options={"include_usage": False, "other": 1},
        venice_parameters={"include_venice_system_prompt": True, "disable_thinking": True},
        prompt_cache_key="k",
        prompt_cache_retention="24h",
    )
    before = copy.deepcopy(given)

    sent = session().seal(given)

    del sent["messages"]
    assert sent == {
        "model": MODEL,
        "temperature": 0.5,
        "stream": True,
        "stream_options": {"include_usage": True, "other": 1},
        "venice_parameters": {"include_venice_system_prompt": False, "disable_thinking": True, "enable_e2ee": True},
    }
    assert given == before


def test_a_sealed_request_has_the_three_headers_of_the_protocol() -> None:
    opened = session()

    assert opened.headers == {
        "X-Venice-TEE-Client-Pub-Key": client_key(opened).hex(),
        "X-Venice-TEE-Model-Pub-Key": ENCLAVE.public_key.hex(),
        "X-Venice-TEE-Signing-Algo": "ecdsa",
    }
    assert len(opened.headers["X-Venice-TEE-Client-Pub-Key"]) == 130


@pytest.mark.attack(55)
def test_every_session_has_a_key_of_its_own() -> None:
    assert len({client_key(session()) for _ in range(50)}) == 50


def test_without_a_verified_key_there_is_no_session() -> None:
    unverified = AttestationReport(model=MODEL, nonce="00" * 32, fetched_at=0, expires_at=0)

    with pytest.raises(TeeEncryptionError) as caught:
        TeeSession(unverified)

    assert caught.value.report is unverified


# -- opening -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
def test_every_encrypted_field_is_opened(field: str) -> None:
    opened = session()

    delta = {field: to(opened, "text é 🔐")}
    event = opened.open(envelope(choices=[{"index": 0, "delta": delta}]))

    assert event["choices"][0]["delta"] == {field: "text é 🔐"}


def test_the_model_of_an_answer_is_the_attested_one_by_whatever_name_it_comes_and_none_is_added() -> None:
    opened = session()
    named = envelope(choices=[], model="upstream/name")
    unnamed = {key: value for key, value in envelope(choices=[]).items() if key != "model"}

    assert opened.open(named)["model"] == MODEL
    assert "model" not in opened.open(unnamed)


def test_every_choice_is_opened() -> None:
    opened = session()
    choices = [{"index": index, "delta": {"content": to(opened, f"choice {index}")}} for index in range(3)]

    event = opened.open(envelope(choices=choices))

    assert [content(event, index) for index in range(3)] == ["choice 0", "choice 1", "choice 2"]


@pytest.mark.attack(44)
def test_an_answer_in_capital_hex_is_opened() -> None:
    opened = session()

    assert content(opened.open(chunk(to(opened, "text").upper()))) == "text"


@pytest.mark.parametrize("nothing", [None, "", "\n", " \n\t", "\r\n\r\n"])
def test_empty_text_and_white_space_may_be_in_clear(nothing: Any) -> None:
    assert content(session().open(envelope(choices=[{"index": 0, "delta": {"content": nothing}}]))) == nothing


@pytest.mark.parametrize("same", [True, False], ids=["one sender", "a sender for each chunk"])
def test_an_answer_of_fifty_chunks_is_opened(same: bool) -> None:
    opened = session()
    sealer = Sealer(client_key(opened))

    texts = [
        content(opened.open(chunk(sealer.seal(b"%d," % number) if same else to(opened, f"{number},")))) for number in range(50)
    ]

    assert "".join(texts) == "".join(f"{number}," for number in range(50))


def flipped(position: int) -> Callable[[str], str]:
    """Changes one digit."""
    return lambda sealed: sealed[:position] + format(int(sealed[position], 16) ^ 1, "x") + sealed[position:][1:]


def bent(change: Callable[[str], Any], *, id: str) -> Any:  # noqa: A002  # as pytest.param has it
    return pytest.param(change, id=id)


BAD_TEXTS: list[Any] = [
    bent(lambda _: "an answer in clear", id="attack 40: plaintext"),
    bent(lambda _: "I", id="attack 41: a single character in clear"),
    bent(lambda _: "deadbeef", id="short hex"),
    bent(lambda sealed: sealed + " ", id="a blank after it"),
    bent(lambda sealed: " " + sealed, id="a blank before it"),
    bent(lambda sealed: sealed + "and more", id="plaintext after it"),
    bent(lambda _: "\u200b", id="an invisible character"),
    bent(lambda _: ["a", "list"], id="a list"),
    bent(lambda _: {"text": "t"}, id="an object"),
    bent(lambda _: 5, id="a number"),
    bent(lambda _: True, id="true"),
    bent(lambda sealed: sealed[:184], id="attack 43: 92 bytes"),
    bent(lambda sealed: sealed[:-1], id="attack 43: odd hex"),
    bent(lambda sealed: "02" + sealed[2:], id="attack 43: prefix 02"),
    bent(lambda sealed: "00" + sealed[2:], id="attack 43: prefix 00"),
    bent(flipped(120), id="attack 43: off the curve"),
    bent(flipped(140), id="attack 43: nonce flipped"),
    bent(flipped(155), id="attack 43: ciphertext flipped"),
    bent(lambda sealed: flipped(len(sealed) - 1)(sealed), id="attack 43: tag flipped"),
    bent(lambda _: seal(Key().public_key, b"text"), id="attack 43: for another key"),
    bent(lambda sealed: sealed[:130] + "00" * 60, id="hex of the right shape"),
]


@pytest.mark.parametrize("index", [0, 1], ids=["first choice", "second choice"])
@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
@pytest.mark.parametrize("change", BAD_TEXTS)
@pytest.mark.attack(42)
def test_a_text_that_is_not_sealed_to_us_is_an_error_in_any_field_and_choice(change: Any, field: str, index: int) -> None:
    opened = session()
    choices: list[dict[str, Any]] = [{"index": 0, "delta": {"content": to(opened, "fine")}} for _ in range(index)]
    choices.append({"index": index, "delta": {field: change(to(opened, "text"))}})

    with pytest.raises(TeeEncryptionError) as caught:
        opened.open(envelope(choices=choices))

    assert caught.value.report is REPORT
    assert len(str(caught.value)) < 250
    assert "in clear and" not in str(caught.value)
    assert "answer in clear" not in str(caught.value)


def test_the_error_of_a_text_that_cannot_be_opened_shows_its_first_16_digits_and_why() -> None:
    opened = session()
    sealed = to(opened, "text")

    with pytest.raises(
        TeeEncryptionError, match=rf"an encrypted 'content' \({sealed[:16]}\.\.\.\) cannot be opened: it was chan"
    ):
        opened.open(chunk(flipped(155)(sealed)))


def read(assembly: Assembly, opened: TeeSession, event: dict[str, Any]) -> tuple[ChatCompletionChunk, bool]:
    """The chunk in an event, and whether it was read as one like an earlier event; the ways of `streaming`."""
    text = json.dumps(event).encode()
    if (found := assembly.repeated(text)) is not None:
        return found, True
    made = ChatCompletionChunk.model_validate(opened.open(event))
    assembly.add(made)
    assembly.learn(text)
    return made, False


@pytest.mark.parametrize("field", ["content", "reasoning_content", "reasoning"])
def test_sealed_chunks_like_earlier_ones_are_opened_without_being_read_anew(field: str) -> None:
    opened = session()
    assembly = Assembly(1, opened)
    events = [envelope(choices=[{"index": 0, "delta": {field: to(opened, f"{number},")}}]) for number in range(9)]

    chunks, repeated = zip(*(read(assembly, opened, event) for event in events), strict=True)

    assert repeated == (False, False, *[True] * 7)
    assert [made.choices[0].delta[field] for made in chunks] == [f"{number}," for number in range(9)]
    assert {made.model for made in chunks} == {MODEL}
    assert "8," not in repr([chunks, chunks[8].choices[0], chunks[8].choices[0].delta])
    assert assembly.response().choices[0].message[field] == "".join(f"{number}," for number in range(9))


@pytest.mark.parametrize("change", [each for each in BAD_TEXTS if isinstance(each.values[0]("0" * 200), str)])
def test_a_text_in_clear_is_an_error_in_chunks_that_repeat_earlier_ones(change: Any) -> None:
    opened = session()
    assembly = Assembly(1, opened)
    for number in range(3):
        read(assembly, opened, chunk(to(opened, f"{number},")))

    with pytest.raises(TeeEncryptionError) as caught:
        read(assembly, opened, chunk(change(to(opened, "text"))))

    assert "in clear and" not in str(caught.value)
    assert "answer in clear" not in str(caught.value)
    frame: Any = caught.value.__traceback__
    while frame is not None:
        if frame.tb_frame.f_code.co_name in {"repeated", "_opened", "open_text"}:
            assert "answer in clear" not in repr(list(frame.tb_frame.f_locals.values()))
        frame = frame.tb_next


def test_chunks_that_differ_in_a_name_which_is_never_sealed_are_read_one_by_one() -> None:
    opened = session()
    assembly = Assembly(1, opened)
    events = [envelope(choices=[{"index": 0, "delta": {"stop_reason": f"n{number}"}}]) for number in range(5)]

    chunks, repeated = zip(*(read(assembly, opened, event) for event in events), strict=True)

    assert repeated == (False,) * 5
    assert [made.choices[0].delta["stop_reason"] for made in chunks] == [f"n{number}" for number in range(5)]


def test_a_sealed_text_that_is_empty_is_opened_once() -> None:
    opened = session()
    assembly = Assembly(1, opened)

    chunks = [read(assembly, opened, chunk(to(opened, text)))[0] for text in ("a", "b", "", "c")]

    assert [made.choices[0].delta.content for made in chunks] == ["a", "b", "", "c"]


def test_a_member_that_is_not_sealed_makes_no_chunks_alike() -> None:
    opened = session()
    assembly = Assembly(1, opened)
    events = [chunk(to(opened, "same"), service_tier=f"tier-{number}") for number in range(4)]

    assert not any(read(assembly, opened, event)[1] for event in events)


@pytest.mark.parametrize("empty", [{"error": None}, {"error": ""}, {"errors": []}], ids=json.dumps)
def test_an_event_with_an_empty_error_is_opened_and_one_with_an_error_stays_as_it_is(empty: dict[str, Any]) -> None:
    opened = session()
    event = {**chunk(to(opened, "text")), **empty}

    assert opened_event(opened, json.dumps(event).encode())["choices"][0]["delta"]["content"] == "text"
    for event_with_error in ({"error": "boo"}, {**event, "error": {"message": "boo"}}):
        assert opened_event(opened, json.dumps(event_with_error).encode()) == event_with_error
    assert opened_event(opened, b"no JSON") is None


def test_text_that_is_not_utf8_is_an_error() -> None:
    opened = session()

    with pytest.raises(TeeEncryptionError, match="UTF-8"):
        opened.open(chunk(seal(client_key(opened), b"\xff\xfe")))


@pytest.mark.attack(45)
def test_a_chunk_that_comes_again_is_an_error() -> None:
    opened = session()
    event = chunk(to(opened, "text"))

    opened.open(copy.deepcopy(event))

    with pytest.raises(TeeEncryptionError, match="repeated"):
        opened.open(event)


NO_TEXTS: list[Any] = [0, False, [], {}]
IN_CLEAR: list[Any] = [
    pytest.param({"delta": {"tool_calls": [{"index": 0}]}}, id="attack 47: tool calls"),
    pytest.param({"delta": {"function_call": {"name": "f"}}}, id="attack 47: a function call"),
    pytest.param({"delta": {"refusal": "no"}}, id="attack 47: a refusal"),
    pytest.param({"delta": {}, "logprobs": {"content": [{"token": "t"}]}}, id="attack 47: logprobs"),
    pytest.param({"delta": {"audio": {"data": "00"}}}, id="audio"),
    pytest.param({"delta": {"reasoning_details": [{"text": "t"}]}}, id="details of the reasoning"),
    pytest.param({"delta": {"a_new_field": "text"}}, id="a field of tomorrow"),
    pytest.param({"message": {"content": "text"}}, id="a message in place of a delta"),
    pytest.param({"text": "text"}, id="text in place of a delta"),
    pytest.param({"delta": "text"}, id="a delta that is text"),
    pytest.param({"delta": ["text"]}, id="a delta that is a list"),
    *(
        pytest.param({"delta": {field: value}}, id=f"{field} of {value!r}")
        for field in ("content", "reasoning_content")
        for value in NO_TEXTS
    ),
    *(
        pytest.param({"delta": {"role": role}}, id=f"the role {role!r}")
        for role in ("an answer in clear", {"text": "text"}, ["text"], 5)
    ),
    pytest.param({"delta": {}, "content": "text"}, id="content beside the delta"),
    pytest.param({"delta": {}, "notes": [{"deep": "text"}]}, id="a text deep in a field of tomorrow"),
    pytest.param({"delta": {}, "notes": {"an answer in a key": 1}}, id="a text that is a key"),
    pytest.param({"delta": {}, "stop_reason": "an answer in clear"}, id="a stop reason that is a sentence"),
    pytest.param({"delta": {}, "finish_reason": {"text": "text"}}, id="a finish reason that is an object"),
    pytest.param({"delta": {}, "finish_reason": "an answer in clear"}, id="a finish reason that is a sentence"),
    pytest.param({"delta": {}, "finish_reason": 5}, id="a finish reason that is a number"),
    pytest.param({"delta": {}, "index": "text"}, id="an index that is text"),
]


BESIDE: list[dict[str, Any]] = [
    {"content": "text"},
    {"text": "text"},
    {"output": [{"deep": ["text"]}]},
    {"citations": [{"url": "https://x.invalid"}]},
    {"usage": "an answer in clear"},
    {"usage": {"completion_tokens": 1, "note": "an answer in clear"}},
    {"system_fingerprint": "an answer in clear"},
    {"venice_parameters": {"web_search_citations": [{"url": "https://x.invalid"}]}},
    {"venice_parameters": {"enable_e2ee": True, "note": "an answer in clear"}},
    {"venice_parameters": '{"enable_e2ee": false}'},
]


@pytest.mark.parametrize("fields", BESIDE, ids=repr)
def test_a_text_in_clear_beside_the_choices_is_an_error(fields: dict[str, Any]) -> None:
    with pytest.raises(TeeEncryptionError) as caught:
        session().open(envelope(choices=[], **fields))

    assert "an answer" not in str(caught.value)


@pytest.mark.parametrize("field", ["model", "object", "id"])
@pytest.mark.parametrize("value", ["an answer in clear", "", "a" * 129, 7, ["text"], {"text": "text"}], ids="{!r:.20}".format)
def test_a_text_in_place_of_the_id_or_type_of_a_chunk_is_an_error(field: str, value: Any) -> None:
    with pytest.raises(TeeEncryptionError) as caught:
        session().open({**envelope(choices=[]), field: value})

    assert "an answer" not in str(caught.value)


@pytest.mark.parametrize(("field", "words"), [("note", "a field that is not known"), ("usage", "a text in 'usage'")])
def test_a_field_that_is_known_is_named_and_another_is_not(field: str, words: str) -> None:
    with pytest.raises(TeeEncryptionError, match=f": {words}. The rest"):
        session().open(envelope(choices=[], **{field: "an answer in clear"}))


EXTRAS: list[dict[str, Any]] = [
    {"usage": None, "cost": {"usd": 0.1, "diem": 0.1}, "service_tier": "default", "system_fingerprint": "fp_44709d6fcb"},
    {"prompt_token_ids": [1, 2], "kv_transfer_params": {"remote_host": "10.0.0.1:5"}, "timings": {"prompt_ms": 1.5}},
    {"usage": {"completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 0}}, "error": None, "text": None},
    {"venice_parameters": {"enable_e2ee": True, "enable_web_search": "off", "web_search_citations": []}},
    {"venice_parameters": {"enable_web_search": "off"}},
    {"venice_parameters": {"enable_e2ee": None}},
]


@pytest.mark.parametrize("fields", EXTRAS, ids=repr)
def test_members_that_providers_add_are_passed_on(fields: dict[str, Any]) -> None:
    choice = {"index": 0, "delta": {"role": "assistant", "content": ""}, "token_ids": [1], "stop_reason": "stop"}
    event = envelope(choices=[{**choice, "finish_reason": "content_filter", "logprobs": None}], **fields)

    assert session().open(copy.deepcopy(event)) == event


@pytest.mark.parametrize("choice", IN_CLEAR)
def test_other_ways_to_answer_in_clear_are_errors(choice: dict[str, Any]) -> None:
    with pytest.raises(TeeEncryptionError):
        session().open(envelope(choices=[{"index": 0, **choice}]))


@pytest.mark.parametrize("choices", [{"0": {"delta": {"content": "text"}}}, ["text"], "text", [["text"]]], ids=repr)
def test_choices_of_another_shape_are_errors(choices: Any) -> None:
    with pytest.raises(TeeEncryptionError):
        session().open(envelope(choices=choices))


@pytest.mark.parametrize(
    "delta",
    [{"role": "assistant"}, {"tool_calls": None, "refusal": None}, {"tool_calls": [], "audio": {}}, {"a_new_number": 3}, None],
    ids=repr,
)
def test_members_without_text_are_passed_on(delta: Any) -> None:
    event = envelope(choices=[{"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}])

    assert session().open(copy.deepcopy(event)) == event


@pytest.mark.parametrize("value", [False, 0, "false"])
@pytest.mark.attack(48)
def test_enable_e2ee_false_in_the_answer_is_an_error(value: Any) -> None:
    with pytest.raises(TeeEncryptionError, match="enable_e2ee"):
        session().open(envelope(choices=[], venice_parameters={"enable_e2ee": value}))


@pytest.mark.attack(48)
def test_enable_e2ee_false_is_an_error_in_a_chunk_of_few_fields_too() -> None:
    opened = session()
    opened.open(chunk(to(opened, "fine")))

    with pytest.raises(TeeEncryptionError, match="enable_e2ee"):
        opened.open({"id": "chatcmpl-1", "choices": [], "venice_parameters": {"enable_e2ee": False}})


def test_encryption_switched_on_in_the_answer_is_fine() -> None:
    event = envelope(choices=[], venice_parameters={"enable_e2ee": True, "other": 1})

    assert session().open(copy.deepcopy(event)) == event


@pytest.mark.parametrize(
    "event", [{"error": {"message": "m"}}, {"error": "m", "choices": "c"}, None, 5, "text", ["list"]], ids=repr
)
@pytest.mark.attack(49)
def test_an_event_that_is_not_a_chunk_is_left_to_the_reader(event: Any) -> None:
    assert session().open(copy.deepcopy(event)) == event


def test_a_failure_says_that_the_key_may_be_stale() -> None:
    spoilt: list[str] = []
    opened = session(spoilt=lambda: spoilt.append("x"))

    opened.open(chunk(to(opened, "fine")))
    assert spoilt == []
    with pytest.raises(TeeEncryptionError):
        opened.open(chunk("in clear"))
    assert spoilt == ["x"]


# -- the end -------------------------------------------------------------------------------------------------------------


def usage(tokens: int) -> dict[str, Any]:
    return envelope(choices=[], usage={"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": 1 + tokens})


def test_an_answer_is_whole_with_its_finish_reasons_and_done() -> None:
    opened = session()
    for index in range(2):
        opened.open(chunk(to(opened, "text"), index=index))
        opened.open(chunk(finish="stop", index=index))
    opened.open(usage(2))

    assert opened.end(done=True) is None


@pytest.mark.attack(46)
def test_an_answer_without_done_is_not_whole() -> None:
    opened = session()
    opened.open(chunk(to(opened, "text"), finish="stop"))

    assert "DONE" in str(opened.end(done=False))


@pytest.mark.parametrize("finished", [[], [0], [1]], ids=repr)
@pytest.mark.attack(46)
def test_an_answer_without_a_finish_reason_for_each_choice_is_not_whole(finished: list[int]) -> None:
    opened = session()
    for index in range(2):
        opened.open(chunk(to(opened, "text"), index=index))
    for index in finished:
        opened.open(chunk(finish="stop", index=index))

    assert "finish reason" in str(opened.end(done=True))


def test_tokens_without_anything_encrypted_are_an_error() -> None:
    opened = session()
    opened.open(chunk("\n", finish="stop"))
    opened.open(usage(7))

    with pytest.raises(TeeEncryptionError, match="7 tokens"):
        opened.end(done=True)


COUNTED: dict[str, list[Any]] = {
    "in a chunk of few fields": [{"id": "chatcmpl-1", "choices": [], "usage": {"completion_tokens": 7}}],
    "without an id": [{"choices": [], "usage": {"completion_tokens": 7}}],
    "and a later count of nothing": [usage(7), usage(0)],
    "as a fraction": [envelope(choices=[], usage={"completion_tokens": 7.0})],
}


@pytest.mark.parametrize("counted", COUNTED.values(), ids=COUNTED)
def test_tokens_are_counted_wherever_they_stand(counted: list[Any]) -> None:
    opened = session()
    opened.open(chunk(finish="stop"))

    for event in counted:
        opened.open(event)

    with pytest.raises(TeeEncryptionError, match="7"):
        opened.end(done=True)


@pytest.mark.parametrize("tokens", [None, 0])
def test_an_empty_answer_may_be_empty(tokens: int | None) -> None:
    opened = session()
    opened.open(chunk(finish="length"))
    if tokens is not None:
        opened.open(usage(tokens))

    assert opened.end(done=True) is None


@pytest.mark.parametrize("delta", [{}, None, {"role": "assistant"}, {"content": ""}, {"content": None}], ids=repr)
def test_a_choice_that_brought_nothing_needs_no_finish_reason(delta: Any) -> None:
    opened = session()
    opened.open(chunk(to(opened, "text"), finish="stop"))
    for index in (1, None):
        opened.open(envelope(choices=[{"index": index, "delta": delta, "finish_reason": None}]))

    assert opened.end(done=True) is None


@pytest.mark.parametrize("index", [1, None], ids=["another index", "no index"])
def test_a_choice_that_brought_something_needs_its_finish_reason(index: int | None) -> None:
    opened = session()
    opened.open(chunk(to(opened, "text"), finish="stop"))
    opened.open(envelope(choices=[{"index": index, "delta": {"content": to(opened, "text")}}]))

    assert "finish reason" in str(opened.end(done=True))
    opened.open(envelope(choices=[{"index": index, "delta": {}, "finish_reason": "stop"}]))
    assert opened.end(done=True) is None


@pytest.mark.parametrize("tokens", [None, 0])
def test_the_answer_to_a_request_sent_again_may_be_empty_too(tokens: int | None) -> None:
    opened = session()
    opened.open(usage(7))

    opened.begin_again()
    opened.open(chunk(finish="length"))
    if tokens is not None:
        opened.open(usage(tokens))

    assert opened.end(done=True) is None


def test_the_answers_id_is_what_all_chunks_agree_on() -> None:
    opened = session()
    assert opened.request_id is None
    without_id = {name: value for name, value in envelope(choices=[]).items() if name != "id"}
    for event in (without_id, envelope(choices=[]), without_id, envelope(choices=[])):
        opened.open(event)
    assert opened.request_id == "chatcmpl-1"
    opened.open({**envelope(choices=[]), "id": "chatcmpl-2"})
    assert opened.request_id is None


def test_a_closed_session_opens_nothing() -> None:
    opened = session()
    sealed = to(opened, "text")

    opened.close()

    with pytest.raises(TeeEncryptionError, match="closed"):
        opened.open(chunk(sealed))


# -- the published streams -----------------------------------------------------------------------------------------------


def published(opened: TeeSession, case: dict[str, Any]) -> ChatCompletionResponse:
    """What a published stream comes to, its end included."""
    assembly = Assembly(1, opened)
    for line in case["raw"].splitlines():
        if line.startswith("data: {"):
            assembly.add(ChatCompletionChunk._adopt(opened.open(json.loads(line.removeprefix("data: ")))))
    assert opened.end(done=True) is None
    return assembly.response()


def published_session() -> TeeSession:
    return session(private=Key(bytes.fromhex(VECTORS["client"]["private_key_hex"])))


def test_the_published_streams_are_those_that_are_known() -> None:
    assert (len(SEALED_STREAMS), len(DOWNGRADED_STREAMS)) == (2, 1)


@pytest.mark.parametrize("case", named(SEALED_STREAMS))
def test_a_published_stream_is_opened_to_the_text_beside_it(case: dict[str, Any]) -> None:
    (choice,) = published(published_session(), case).choices

    # A field that nothing is expected of is one that never comes.
    expected = {"content": None, "reasoning_content": None, "finish_reason": "stop", **case["expect"]}
    found = {
        "content": choice.message.content,
        "reasoning_content": choice.message.reasoning_content,
        "finish_reason": choice.finish_reason,
    }
    assert found == expected


@pytest.mark.parametrize("case", named(DOWNGRADED_STREAMS))
def test_a_published_stream_in_clear_is_an_error(case: dict[str, Any]) -> None:
    with pytest.raises(TeeEncryptionError, match="text in clear in 'content'"):
        published(published_session(), case)


# -- nothing shows -------------------------------------------------------------------------------------------------------


def test_a_session_shows_no_key_and_is_not_pickled() -> None:
    private = Key()
    opened = session(private=private)

    assert client_key(opened).hex() not in repr(opened)
    with pytest.raises(TypeError, match="private key"):
        pickle.dumps(opened)


def test_the_answer_shows_nothing_in_its_repr_and_all_else_as_ever() -> None:
    opened = session()
    assembly = Assembly(1, opened)
    for event in (chunk(to(opened, "my "), role="assistant"), chunk(to(opened, "secret")), chunk(finish="stop")):
        found = opened.open(event)
        typed = ChatCompletionChunk._adopt(found)
        assembly.add(typed)
        assert "secret" not in repr(typed) + repr(typed.choices) + repr(typed.choices[0].delta)

    response = assembly.response()

    assert response.text == "my secret"
    assert response.attestation is REPORT
    for shown in (response, response.choices, response.choices[0], response.choices[0].message, [response], {"r": response}):
        assert "secret" not in f"{shown!r} {shown!s}"
    assert response.model_dump()["choices"][0]["message"]["content"] == "my secret"


def _pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.mark.parametrize("kept", [copy.copy, copy.deepcopy, _pickled])
def test_copies_and_pickles_keep_the_attestation_and_the_silence(kept: Any) -> None:
    opened = session()
    assembly = Assembly(1, opened)
    assembly.add(ChatCompletionChunk._adopt(opened.open(chunk(to(opened, "my secret"), finish="stop"))))
    response = assembly.response()

    again: Response = kept(response)

    assert again == response
    assert again.attestation == REPORT
    assert "secret" not in repr(again) + repr(again["choices"])


def test_an_answer_carries_the_report_on_its_signature_if_there_is_one() -> None:
    opened = session()
    assert opened.answered(ChatCompletionResponse.model_validate({"id": "c1"})).signature is None

    opened.signature = SignatureReport("valid", valid=True)
    assert opened.answered(ChatCompletionResponse.model_validate({"id": "c1"})).signature is opened.signature
