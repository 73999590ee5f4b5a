"""A peer that closes a kept connection without saying so costs nothing: no call fails, and none is sent twice."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Generator

import pytest

from venice_ai import SyncVeniceClient, VeniceClient

from .environments import CLIENTS

pytestmark = pytest.mark.interop

HI = [{"role": "user", "content": "hi"}]
CALLS = 100


@pytest.fixture
def url() -> Generator[str]:
    """Where such a server answers."""
    command = [sys.executable, str(CLIENTS / "closing_server.py")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8") as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/api/v1"
        finally:
            server.kill()


async def test_the_asynchronous_client_has_an_answer_to_each_of_100_calls(url: str) -> None:
    async with VeniceClient(api_key="any", base_url=url, max_retries=0, limits=False) as client:
        answers = [(await client.chat.completions.create(model="m", messages=HI)).text for _ in range(CALLS)]

    assert answers == ["hi"] * CALLS


def test_the_synchronous_client_has_an_answer_to_each_of_100_calls(url: str) -> None:
    with SyncVeniceClient(api_key="any", base_url=url, max_retries=0, limits=False) as client:
        answers = [client.chat.completions.create(model="m", messages=HI).text for _ in range(CALLS)]

    assert answers == ["hi"] * CALLS
