"""Without the extra `e2ee` everything that needs it says so, before anything is sent."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Awaitable, Callable

import pytest

from venice_ai import UserMessage, VeniceClient
from venice_ai.cli.app import run
from venice_ai.emulator import Emulator

MODEL = "e2ee-ponte-chiuso-p"
HI = [UserMessage(content="hi")]
HINT = r"pip install 'venice-chat\[e2ee\]'"


@pytest.fixture(autouse=True)
def _not_installed(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setitem(sys.modules, "cryptography", None)


async def create(client: VeniceClient) -> object:
    return await client.chat.completions.create(model=MODEL, messages=HI, e2ee=True)


async def create_by_the_switch(client: VeniceClient) -> object:
    return await client.chat.completions.create(model=MODEL, messages=HI, venice_parameters={"enable_e2ee": True})


async def stream(client: VeniceClient) -> object:
    return await client.chat.completions.stream(model=MODEL, messages=HI, e2ee=True)


async def attest(client: VeniceClient) -> object:
    return await client.tee.attest(MODEL)


async def open_session(client: VeniceClient) -> object:
    return await client.tee.open_session(model=MODEL)


@pytest.mark.parametrize("call", [create, create_by_the_switch, stream, attest, open_session])
async def test_a_call_names_the_extra_before_anything_is_sent(call: Callable[[VeniceClient], Awaitable[object]]) -> None:
    emulator = Emulator()
    async with VeniceClient(api_key="any", transport=emulator.transport()) as client:
        with pytest.raises(ImportError, match=HINT):
            await call(client)

    assert emulator.requests == []


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["chat", "--e2ee", "hi"], id="chat"),
        pytest.param(["serve", "--tee"], id="serve"),
        pytest.param(["attest", MODEL], id="attest"),
        pytest.param(["attest", MODEL, "--offline", "--evidence", __file__], id="attest offline"),
    ],
)
def test_the_command_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))

    assert run(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert "pip install 'venice-chat[e2ee]'" in err


async def test_a_floor_that_needs_it_names_it_before_the_catalogue_is_asked() -> None:
    emulator = Emulator()
    async with VeniceClient(api_key="any", transport=emulator.transport(), min_privacy="tee") as client:
        with pytest.raises(ImportError, match=HINT):
            await client.chat.completions.create(model="any", messages=HI)

    assert emulator.requests == []


@pytest.mark.parametrize(
    "door",
    [
        "from venice_ai.emulator.enclave import Enclave",
        "from venice_ai.emulator import Emulator; Emulator(tee=True)",
        "from venice_ai import SyncVeniceClient; SyncVeniceClient(api_key='any').tee",
        "from venice_ai.tee import TeeSession",
        "from venice_ai.tee.session import TeeSession",
        "from venice_ai.tee.attestation import verify",
    ],
)
def test_importing_what_needs_the_extra_names_it(door: str) -> None:
    code = f"import sys; sys.modules['cryptography'] = None; {door}"

    outcome = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)

    assert outcome.returncode == 1
    assert "\nImportError: " in outcome.stderr
    assert "pip install 'venice-chat[e2ee]'" in outcome.stderr


def test_a_chat_in_clear_needs_none_of_it() -> None:
    code = "import sys; sys.modules['cryptography'] = None; import venice_ai.tee.guard, venice_ai.resources.chat.completions"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_catalogue_and_the_limits_of_a_synchronous_client_need_none_of_it() -> None:
    code = "import sys; sys.modules['cryptography'] = None; from venice_ai import SyncVeniceClient as Client\n"
    code += "client = Client(api_key='any'); client.models, client.limits"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
