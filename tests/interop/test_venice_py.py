"""Another SDK for Venice completes encrypted chats with the emulator's enclave, whole and streamed."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from venice_ai.emulator import Emulator, run_in_thread, text
from venice_ai.tee.crypto import is_envelope

from .environments import Script, python_env

pytestmark = pytest.mark.interop

MODEL = "e2ee-ponte-chiuso-p"
QUESTION = "What is the secret of the bridge?"
ANSWER = "Behind the third arch there is a door."


@pytest.fixture(scope="module")
def client() -> Generator[Script]:
    with python_env("venice-py", ["venice-py[e2ee]==2.9.0"]).running("ask_venice_py.py") as script:
        yield script


@pytest.fixture
def emulator() -> Emulator:
    emulator = Emulator(tee=True)
    emulator.always(text(ANSWER))
    return emulator


@pytest.fixture
def base_url(emulator: Emulator) -> Generator[str]:
    with run_in_thread(emulator) as server:
        yield server.url


def asked(client: Script, do: str, base_url: str) -> Any:
    return client.ask(do, base_url=base_url, model=MODEL, question=QUESTION)


@pytest.mark.parametrize("do", ["created", "streamed"])
def test_it_completes_an_encrypted_chat(client: Script, emulator: Emulator, base_url: str, do: str) -> None:
    found = asked(client, do, base_url)

    assert (found if isinstance(found, str) else "".join(found)) == ANSWER
    (chat,) = [request for request in emulator.requests if request.path.endswith("/chat/completions")]
    (message,) = chat.body["messages"]
    assert is_envelope(message["content"])
    assert QUESTION.encode() not in chat.content


@pytest.mark.parametrize("fault", ["not_verified", "stale_nonce", "chunk_tag"])
def test_it_refuses_what_it_checks(client: Script, emulator: Emulator, base_url: str, fault: str) -> None:
    assert emulator.enclave is not None
    emulator.enclave.fault = fault

    assert str(asked(client, "refused", base_url)).startswith("Tee")
