"""What a gateway seals, what it refuses, and what leaves in clear."""

from __future__ import annotations

import json
from typing import Any

import pytest

from venice_ai import TeeOptions
from venice_ai.emulator import Emulator, serve, text
from venice_ai.emulator.enclave import Enclave

from .asking import HI, MODEL, SEALED, Got, asking, client_of, recording

pytestmark = [
    pytest.mark.filterwarnings("ignore:end-to-end encryption"),
    pytest.mark.filterwarnings("ignore:the prompt leaves"),
]

PROMPT = "canary-prompt-62c9"
ANSWER = "canary-answer-0d4e with some more words in it"
IN_CLEAR = {"venice_parameters": {"enable_e2ee": False}}
TOOL = {"type": "function", "function": {"name": "canary_tool", "parameters": {"type": "object"}}}


async def chat(emulator: Emulator, *, floor: Any = None, gateway: dict[str, Any] | None = None, **body: Any) -> Got:
    async with asking(client_of(emulator, min_privacy=floor), **(gateway or {})) as program:
        return await program.ask(**body)


def sent(emulator: Emulator) -> list[Any]:
    return [request.body for request in emulator.requests if request.path.endswith("/chat/completions")]


# -- sealed --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "answer"])
async def test_a_recorder_behind_the_gateway_sees_no_prompt_and_no_answer(
    emulator: Emulator, stream: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "venice_ai.gateway")
    emulator.script(text(ANSWER, reasoning=ANSWER))
    messages = [{"role": "system", "content": PROMPT}, {"role": "user", "content": [{"type": "text", "text": PROMPT}]}]
    async with serve(emulator) as server, recording(server.url) as recorded:
        client = client_of(emulator, transport=None, clock=None, base_url=recorded.url)
        async with asking(client) as program:
            got = await program.ask(
                model=SEALED,
                messages=messages,
                stream=stream,
                user=PROMPT,
                metadata={"a": PROMPT},
                store=True,
                prompt_cache_key=PROMPT,
            )
            refused = await program.ask(model=SEALED, messages=messages, tools=[TOOL], stream=stream)
            said = {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "canary_tool"}}]}
            also = await program.ask(model=SEALED, messages=[*messages, said], stream=stream)

    assert got.status == 200
    assert (got.text if stream else got.json["choices"][0]["message"]["content"]) == ANSWER
    assert (refused.status, also.status) == (400, 400)
    assert b"/chat/completions" in recorded.passed
    assert b"canary" not in recorded.passed
    assert sent(emulator)[0].keys().isdisjoint({"user", "metadata", "store", "prompt_cache_key"})
    assert "without user, without metadata, without store, without prompt_cache_key" in caplog.text
    assert len(sent(emulator)) == 1


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "answer"])
async def test_headers_say_what_was_verified(emulator: Emulator, stream: bool) -> None:
    async with asking(client_of(emulator)) as program:
        got = await program.ask(model=SEALED, stream=stream)
        report = await program.send("GET", f"/attestation/{SEALED}")

    assert got.headers["x-venice-attestation-level"] == "hardware"
    assert got.headers["x-venice-attestation-id"] == report.json["nonce"]
    assert (report.json["ok"], report.json["level"], report.json["model"]) == (True, "hardware", SEALED)


async def test_sealed_chunks_are_opened_whole(emulator: Emulator) -> None:
    emulator.script(text('a \U0001f980 "b"\n', reasoning="r"))

    got = await chat(emulator, model=SEALED, stream=True, stream_options={"include_usage": True})

    assert got.text == 'a \U0001f980 "b"\n'
    assert "".join(each["choices"][0]["delta"].get("reasoning_content") or "" for each in got.chunks[:-1]) == "r"
    assert got.chunks[-1]["usage"]["total_tokens"] > 0
    assert got.events[-1] == b"[DONE]"


async def test_an_enclave_that_proves_nothing_gets_nothing(emulator: Emulator) -> None:
    async with asking(client_of(emulator, tee=TeeOptions(verification="hardware"), max_retries=0)) as program:
        got = await program.ask(model=SEALED)
        report = await program.send("GET", f"/attestation/{SEALED}")

    for each in (got, report):
        assert (each.status, each.headers["x-should-retry"]) == (502, "false")
        assert each.json["report"]["ok"] is False
    assert sent(emulator) == []


async def test_an_answer_in_clear_is_not_passed_on() -> None:
    emulator = Emulator(tee=Enclave(fault="plaintext_chunk"))
    emulator.script(text(ANSWER))

    got = await chat(emulator, model=SEALED, stream=True)

    assert got.broken
    assert ANSWER not in got.text
    assert "plaintext in an encrypted stream" in got.chunks[-1]["error"]["message"]
    assert b"[DONE]" not in got.body


# -- what cannot be sealed -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "place"),
    [
        pytest.param({"tools": [TOOL]}, "tools", id="tools"),
        pytest.param({"response_format": {"type": "json_object"}}, "response_format", id="a format"),
        pytest.param({"venice_parameters": {"enable_web_search": "on"}}, "enable_web_search", id="search"),
        pytest.param({"model": f"{SEALED}:enable_web_search=on"}, "suffix", id="search as a suffix"),
        pytest.param({"stop": ["canary"]}, "stop", id="stop"),
        pytest.param({"brand_new": "canary"}, "brand_new", id="an unknown field"),
        pytest.param(IN_CLEAR, "enable_e2ee", id="no encryption"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:,canary"}}]}]},
            "messages.0",
            id="media",
        ),
        pytest.param({"messages": [{"role": "user", "name": "canary", "content": "hi"}]}, "messages.0.name", id="a name"),
    ],
)
@pytest.mark.parametrize("blank", ["", " "], ids=["", "with a blank before the model"])
async def test_a_request_that_cannot_be_sealed_is_refused(
    emulator: Emulator, body: dict[str, Any], place: str, blank: str
) -> None:
    got = await chat(emulator, **{**body, "model": blank + body.get("model", SEALED)})

    assert (got.status, got.error["type"]) == (400, "invalid_request_error")
    assert place in got.error["message"]
    assert b"canary" not in got.body
    assert sent(emulator) == []


# -- floors --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("floor", "in_clear", "body", "status", "sealed"),
    [
        pytest.param(None, False, {"model": MODEL}, 200, False, id="default, ordinary"),
        pytest.param(None, False, {"model": SEALED}, 200, True, id="default, e2ee"),
        pytest.param(None, False, {"model": f" {SEALED} "}, 200, True, id="default, e2ee with blanks"),
        pytest.param(None, False, {"model": SEALED, **IN_CLEAR}, 400, None, id="default, e2ee off"),
        pytest.param(None, True, {"model": SEALED}, 200, True, id="none, e2ee"),
        pytest.param(None, True, {"model": SEALED, "stop": ["x"]}, 200, True, id="none, e2ee with stop"),
        pytest.param(None, True, {"model": SEALED, **IN_CLEAR}, 200, False, id="none, e2ee off"),
        pytest.param(
            None, True, {"model": MODEL, "venice_parameters": {"enable_e2ee": True}}, 400, None, id="none, impossible"
        ),
        pytest.param("e2ee", False, {"model": MODEL}, 400, None, id="e2ee, ordinary"),
        pytest.param("e2ee", False, {"model": SEALED}, 200, True, id="e2ee, e2ee"),
        pytest.param("e2ee", True, {"model": SEALED, **IN_CLEAR}, 400, None, id="e2ee, e2ee off"),
        pytest.param("tee", False, {"model": MODEL}, 400, None, id="tee, ordinary"),
        pytest.param("tee", False, {"model": SEALED}, 200, True, id="tee, e2ee"),
        pytest.param("tee", True, {"model": SEALED, **IN_CLEAR}, 200, False, id="tee, attested in clear"),
    ],
)
@pytest.mark.filterwarnings("ignore:stop is not")
async def test_the_min_privacy_of_the_client_holds(
    emulator: Emulator, floor: Any, in_clear: bool, body: dict[str, Any], status: int, sealed: bool | None
) -> None:
    messages = [{"role": "user", "content": PROMPT}]

    got = await chat(emulator, floor=floor, gateway={"clear_on_request": in_clear}, messages=messages, **body)

    assert got.status == status
    assert [PROMPT not in json.dumps(each) for each in sent(emulator)] == ([] if sealed is None else [sealed])


async def test_only_models_that_can_be_sealed_to_are_listed_where_nothing_else_may_leave(emulator: Emulator) -> None:
    async with asking(client_of(emulator, min_privacy="e2ee")) as program:
        listed = await program.send("GET", "/v1/models")
        ordinary = await program.send("GET", f"/v1/models/{MODEL}")
        found = await program.send("GET", f"/v1/models/{SEALED}")

    assert [model["id"] for model in listed.json["data"]] == [SEALED]
    assert (ordinary.status, found.status) == (404, 200)


async def test_another_model_never_stands_in_that_is_less_private(emulator: Emulator) -> None:
    emulator.script(text("x", reset_at=0))
    async with asking(client_of(emulator, fallback_models=[MODEL], max_retries=0)) as program:
        await program.ask(model=SEALED, messages=[{"role": "user", "content": PROMPT}])

    assert PROMPT not in json.dumps(sent(emulator))


async def test_roles_that_a_client_does_not_seal_are_refused(emulator: Emulator) -> None:
    assert emulator.enclave is not None
    options = emulator.enclave.options(verification="hardware", encrypt_roles=("user",))
    async with asking(client_of(emulator, tee=options)) as program:
        got = await program.ask(model=SEALED, messages=[{"role": "system", "content": PROMPT}, *HI])

    assert got.status == 400
    assert sent(emulator) == []
