"""The log line of each attempt, and `VENICE_LOG`: what a line holds, and that it never shows the key or a text."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import subprocess
import sys

import pytest

from venice_ai import (
    APIConnectionError,
    InvalidRequestError,
    RateLimitError,
    StreamInterruptedError,
    SyncVeniceClient,
    VeniceClient,
)
from venice_ai.emulator import Emulator, busy, overloaded, refused, run_in_thread, text

from ..fakes import HANG, HI, KEY, USAGE, ScriptedReply, answer, chunk, client_of, completion, event, hello, stream

CANARY = "the-canary-sings"


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "venice_ai.http"]


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "venice_ai")


async def test_each_attempt_has_a_line_with_status_id_time_tokens_and_wait(caplog: pytest.LogCaptureFixture) -> None:
    emulator = Emulator()
    emulator.script(overloaded(headers={"retry-after": "3"}), text("hello", delay=0.25))
    client = VeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock)

    response = await client.chat.completions.create(model="venice-1", messages=HI)

    first, second = lines(caplog)
    what, how = "POST /api/v1/chat/completions venice-1", "503 ServiceUnavailableError"
    assert re.fullmatch(rf"{what}: {how}, attempt 1, id \w+-EMU, 0 ms, tokens -, waited 0 ms", first)
    assert response.usage is not None
    tokens = f"{response.usage.prompt_tokens}+{response.usage.completion_tokens}"
    assert second.endswith(f": 200, attempt 2, id {response.meta.request_id}, 250 ms, tokens {tokens}, waited 3000 ms")


async def test_the_line_of_a_stream_comes_at_its_end_with_its_tokens(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = client_of(stream(*hello(usage=True)))

    opened = await client.chat.completions.stream(model="m", messages=HI)
    assert lines(caplog) == []
    await opened.collect()

    (line,) = lines(caplog)
    assert ": 200, attempt 1, " in line
    assert f"tokens {USAGE['prompt_tokens']}+{USAGE['completion_tokens']}" in line


async def test_a_stream_that_broke_is_cancelled_or_left_has_one_line_each(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = client_of(
        stream(event(chunk("a")), APIConnectionError("reset")), stream(event(chunk("a")), HANG), stream(*hello())
    )
    broken, hanging, left = [await client.chat.completions.stream(model="m", messages=HI) for _ in range(3)]

    with pytest.raises(StreamInterruptedError):
        await broken.collect()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(hanging.collect(), 0.01)
    async for _ in left:
        break
    await left.close()

    assert [re.findall(r": (.*?), attempt", line)[0] for line in lines(caplog)] == [
        "200 StreamInterruptedError",
        "200 CancelledError",
        "200",
    ]


async def test_an_attempt_without_a_reply_is_logged_with_the_class_of_its_error(caplog: pytest.LogCaptureFixture) -> None:
    emulator = Emulator()
    emulator.always(refused())
    client = VeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock, max_retries=0)

    with pytest.raises(APIConnectionError):
        await client.chat.completions.create(model="venice-1", messages=HI)

    assert ": ConnectError, attempt 1, id -, " in lines(caplog)[0]


async def test_a_call_that_is_cancelled_while_it_waits_for_a_reply_has_its_line(caplog: pytest.LogCaptureFixture) -> None:
    client, _ = client_of(ScriptedReply(HANG))

    with pytest.raises(TimeoutError):
        await asyncio.wait_for(client.chat.completions.create(model="m", messages=HI), 0.01)

    assert ": CancelledError, attempt 1, " in lines(caplog)[0]


async def test_no_log_line_shows_the_key_the_prompt_or_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "venice_ai")
    headers = {"cf-ray": KEY, "content-type": "application/json"}
    client, _ = client_of(
        answer({"error": f"{KEY} {CANARY}"}, status=503, headers=headers), answer(completion(CANARY), headers=headers)
    )

    await client.chat.completions.create(model="m", messages=[{"role": "user", "content": CANARY}])

    log = "\n".join(record.getMessage() for record in caplog.records)
    assert "attempt 2" in log
    assert "sending" in log
    assert KEY not in log
    assert CANARY not in log


def test_calls_of_the_synchronous_client_have_lines_too(caplog: pytest.LogCaptureFixture) -> None:
    emulator = Emulator()
    emulator.script(busy(), text("hi"))
    with run_in_thread(emulator) as server, SyncVeniceClient(api_key=KEY, base_url=server.url, max_retries=0) as client:
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model="venice-1", messages=HI)
        client.chat.completions.stream(model="venice-1", messages=HI).collect()

    assert [re.findall(r": (.*?), attempt", line)[0] for line in lines(caplog)] == ["429 RateLimitError", "200"]


PROGRAM = """
import asyncio
{before}
from venice_ai import VeniceClient
from venice_ai.emulator import Emulator
async def main():
    async with VeniceClient(api_key="k" * 20, transport=Emulator().transport()) as client:
        await client.chat.completions.create(model="venice-1", messages=[{{"role": "user", "content": "canary"}}])
    VeniceClient()
asyncio.run(main())
"""


def run(level: str, before: str = "") -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before)],
        env={**os.environ, "VENICE_LOG": level},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stderr


@pytest.mark.parametrize(
    ("level", "count"),
    [pytest.param("info", 1, id="info"), pytest.param(" Debug\n", 2, id="debug"), pytest.param("", 0, id="empty")],
)
def test_venice_log_writes_the_lines_to_stderr(level: str, count: int) -> None:
    written = run(level)

    assert written.count(" venice_ai.http: ") == count
    assert "canary" not in written
    assert "kkkk" not in written


def test_venice_log_leaves_the_handlers_of_the_program_alone() -> None:
    written = run("info", "import logging; logging.basicConfig(format='own %(message)s')")

    assert written.count("POST ") == 1
    assert written.startswith("own POST ")


def test_another_value_of_venice_log_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VENICE_LOG", "loud")

    with pytest.raises(InvalidRequestError, match="VENICE_LOG='loud' must be 'info' or 'debug'"):
        VeniceClient()
