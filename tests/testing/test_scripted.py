"""The strict emulator: its script is to be used up, and nothing else asked."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest

from venice_ai import SyncVeniceClient
from venice_ai.testing import ScriptedEmulator, ScriptMismatchError, busy, echo, from_schema, serve, text

from ..fakes import KEY
from .recording import HI, created, streamed
from .recording import client_of as client_of_transport


def client_of(emulator: ScriptedEmulator) -> Any:
    return client_of_transport(emulator.transport(), emulator)


async def test_a_script_that_is_used_up_passes() -> None:
    with ScriptedEmulator(busy(retry_after=2), text("ciao")) as emulator:
        emulator.script(echo())
        assert await streamed(client_of(emulator)) == "ciao"
        assert await created(client_of(emulator)) == "hi"

    assert emulator.slept == [2.0]


async def test_an_unused_step_of_the_script_fails_the_end() -> None:
    with pytest.raises(ScriptMismatchError) as caught, ScriptedEmulator(text("ciao"), echo()) as emulator:
        await streamed(client_of(emulator))

    lines = str(caught.value).splitlines()
    assert lines[1].startswith("  POST /api/v1/chat/completions")
    assert lines[2:] == ['- {"answer": "echo"}']


async def test_an_unscripted_chat_raises_in_the_call_and_at_the_end() -> None:
    with pytest.raises(ScriptMismatchError) as at_end, ScriptedEmulator(text("ciao")) as emulator:
        await streamed(client_of(emulator))
        with pytest.raises(ScriptMismatchError, match="nobody scripted this chat"):
            await created(client_of(emulator), "and more")

    assert [line[0] for line in str(at_end.value).splitlines()[1:3]] == [" ", "+"]
    assert "and more" in str(at_end.value)


def test_an_unscripted_chat_raises_in_the_synchronous_client() -> None:
    emulator = ScriptedEmulator()
    with (
        SyncVeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock) as client,
        pytest.raises(ScriptMismatchError),
    ):
        client.chat.completions.create(model="venice-1", messages=HI)


async def test_an_unscripted_chat_over_a_socket_is_refused() -> None:
    with pytest.raises(ScriptMismatchError), ScriptedEmulator() as emulator:
        async with serve(emulator) as server, aiohttp.ClientSession(headers={"Authorization": "Bearer any"}) as session:
            body = {"model": "venice-1", "messages": [{"role": "user", "content": "hi"}]}
            async with session.post(f"{server.url}/chat/completions", json=body) as reply:
                assert (reply.status, reply.headers["x-should-retry"]) == (501, "false")


async def test_the_catalogue_need_not_be_scripted() -> None:
    with ScriptedEmulator() as emulator:
        async with client_of(emulator) as client:
            assert await client.models.list()


async def test_always_answers_what_is_beyond_the_script() -> None:
    with ScriptedEmulator(text("one")) as emulator:
        emulator.always(echo())
        assert await created(client_of(emulator)) == "one"
        assert await created(client_of(emulator)) == "hi"


SCHEMA = {"type": "object", "properties": {"mood": {"enum": ["good", "bad"]}, "score": {"type": "integer"}}}


async def test_an_answer_is_made_from_a_schema() -> None:
    with ScriptedEmulator(from_schema(SCHEMA), from_schema(SCHEMA)) as emulator:
        first, second = [json.loads(await created(client_of(emulator)) or "") for _ in range(2)]

    assert first == second
    assert first["mood"] in {"good", "bad"}
    assert isinstance(first["score"], int)


def test_another_salt_gives_another_answer() -> None:
    assert len({from_schema(SCHEMA, salt=number).text for number in range(20)}) > 1


def test_a_schema_without_a_value_is_an_error_where_it_is_scripted() -> None:
    with pytest.raises(ValueError, match="none of the values fits"):
        from_schema({"type": "string", "enum": [1]})
