"""Keys and prompts stand in no repr, no log, no pickle."""

from __future__ import annotations

import logging
import pickle

import pytest

from venice_ai import (
    AuthenticationError,
    UserMessage,
    VeniceClient,
)

from .fakes import HI, KEY, answer, client_of, completion


def test_a_client_shows_no_key() -> None:
    client = VeniceClient(api_key=KEY, headers={"SIGN-IN-WITH-X": "signed"}, proxy="http://user:pass-word@proxy.invalid:1")

    for shown in (repr(client), str(client), repr(client.chat), repr(client.chat.completions), repr(client.models)):
        assert KEY not in shown
        assert "signed" not in shown
        assert "pass-word" not in shown


@pytest.mark.parametrize("made_with", ["argument", "environment"])
async def test_a_pickled_client_holds_no_key(made_with: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_API_KEY", KEY)
    client = VeniceClient(api_key=KEY if made_with == "argument" else None)
    client.request("GET", "/models")

    try:
        pickled = pickle.dumps(client)
    except (TypeError, pickle.PicklingError):
        return  # that is one way to keep it

    assert KEY.encode() not in pickled


@pytest.mark.parametrize(
    "name", ["Authorization", "authorization", "SIGN-IN-WITH-X", "X-Sign-In-With-X", "Cookie", "Proxy-Authorization"]
)
async def test_a_request_shows_neither_key_nor_prompt(name: str) -> None:
    client, transport = client_of(answer(completion()))

    messages = [UserMessage(content="my secret prompt")]
    await client.chat.completions.create(model="m", messages=messages, extra_headers={name: "my secret header"})

    for shown in (repr(transport.requests[0]), str(transport.requests[0])):
        assert KEY not in shown
        assert "secret" not in shown


async def test_a_pickled_request_holds_no_key() -> None:
    client, transport = client_of(answer(completion()))
    await client.chat.completions.create(model="m", messages=HI)

    try:
        pickled = pickle.dumps(transport.requests[0])
    except (TypeError, pickle.PicklingError):
        return

    assert KEY.encode() not in pickled


async def test_a_log_holds_neither_key_nor_prompt(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    client, _ = client_of(answer({"error": "busy"}, status=503), answer(completion("my secret answer")))

    await client.chat.completions.create(model="m", messages=[UserMessage(content="my secret prompt")])

    assert KEY not in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("name", ["Authorization", "authorization", "AUTHORIZATION", "Sign-In-With-X", "x-sign-in-with-x"])
@pytest.mark.parametrize("value", ["another-key-0123456789", "Bearer another-key-0123456789", "bearer another-key-0123456789"])
async def test_a_key_is_taken_out_of_a_refusal_under_any_case_of_its_header_s_name(name: str, value: str) -> None:
    refusal = answer(
        {"error": "another-key-0123456789 is wrong", "key": "another-key-0123456789"},
        status=401,
        headers={"CF-RAY": "another-key-0123456789"},
    )
    client, _ = client_of(refusal, api_key="" if name.lower() != "authorization" else KEY)

    with pytest.raises(AuthenticationError) as caught:
        await client.chat.completions.create(model="m", messages=HI, extra_headers={name: value})

    assert "another" not in f"{caught.value!r} {caught.value.body} {caught.value.request_id}"
