"""`llmock` breaks things, and judges from the server's side how our client took it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from typing import Any, TypeAlias

import pytest
import pytest_asyncio

from venice_ai import (
    APIError,
    APITimeoutError,
    AuthenticationError,
    GatewayTimeoutError,
    InvalidRequestError,
    PaymentRequiredError,
    ServiceUnavailableError,
    StreamInterruptedError,
    StreamTimeoutError,
    Timeout,
    UnprocessableEntityError,
    VeniceClient,
)

from .environments import PythonEnvironment, python_env
from .servers import ForeignServer, serving

pytestmark = pytest.mark.interop

VERDICT = "/_llmock/verdict"
MODEL = "gpt-4o"
STORY = [{"role": "user", "content": "Tell me a story of the lagoon, in eight words or more."}]
QUIET_SECONDS = 2.5
"""How long a fault holds its answer back."""
PATIENT = Timeout(idle=20)
IMPATIENT = Timeout(idle=1)

Ask: TypeAlias = Callable[..., Awaitable[Any]]


@pytest.fixture(scope="module")
def program() -> PythonEnvironment:
    return python_env("llmock", ["llmock==0.2.2"])


@pytest.fixture(scope="module")
def server(program: PythonEnvironment) -> Generator[ForeignServer]:
    def command(port: int) -> list[str]:
        # At full speed a stream is sent before its reader can leave, and leaving could not be seen.
        paced = "--stream-chunk-delay-ms=50"
        return [program.command("llmock"), "serve", f"--port={port}", "--log-level=warning", paced]

    with serving(command, ready="/health", folder=program.folder) as server:
        yield server


@pytest.fixture
def llmock(server: ForeignServer) -> ForeignServer:
    """The server, with nothing scripted and nothing seen."""
    server.post("/_llmock/reset")
    return server


@pytest_asyncio.fixture
async def client(llmock: ForeignServer) -> AsyncGenerator[VeniceClient]:
    async with VeniceClient(api_key="any", base_url=f"{llmock.origin}/v1", limits=False) as client:
        yield client


def script(llmock: ForeignServer, *behaviors: dict[str, Any]) -> None:
    llmock.post("/_llmock/scenario", {"behaviors": behaviors})


async def findings(llmock: ForeignServer) -> set[str]:
    """What it has against the client, warnings too, once it knows all: it learns of an end a little after the client."""
    verdicts: list[Any] = []
    while len(verdicts) < 3 or verdicts[-1] != verdicts[-3]:
        await asyncio.sleep(0.1)  # here connections that were dropped are closed, too
        verdicts.append(llmock.get(VERDICT))
    assert verdicts[-1]["calls"] > 0
    return {finding["code"] for finding in verdicts[-1]["findings"]}


def fail(status: int, times: int | None = 1, **more: Any) -> dict[str, Any]:
    return {"type": "fail", "status": status, "times": times, **more}


def broken(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": "stream_fault", "kind": kind, "after_chunks": 3, **more}


DELAY = {"type": "delay", "seconds": QUIET_SECONDS}
STALL = broken("stall", stall_seconds=QUIET_SECONDS)


async def whole(client: VeniceClient, timeout: Timeout = PATIENT) -> Any:
    return await client.chat.completions.create(model=MODEL, messages=STORY, timeout=timeout)


async def streamed(client: VeniceClient, timeout: Timeout = PATIENT) -> Any:
    """Reads a stream bit by bit, as an application that shows it at once."""
    stream = await client.chat.completions.stream(model=MODEL, messages=STORY, timeout=timeout)
    async with stream:
        return [text async for text in stream.text_deltas()]


async def insisting(client: VeniceClient) -> Any:
    """Asks again when a stream breaks off, as an application that wants the whole answer."""
    for _ in range(3):
        stream = await client.chat.completions.stream(model=MODEL, messages=STORY, timeout=IMPATIENT)
        async with stream:
            try:
                return await stream.collect()
            except StreamInterruptedError:
                await asyncio.sleep(0.3)
    pytest.fail("three streams broke off")


@pytest.mark.parametrize(
    ("ask", "fault"),
    [
        pytest.param(whole, fail(503, times=2), id="503 twice"),
        pytest.param(whole, fail(429, times=2, retry_after=1), id="429 with Retry-After"),
        pytest.param(whole, fail(429, times=2), id="429 without"),
        pytest.param(whole, fail(500), id="500"),
        pytest.param(whole, fail(502, times=2), id="502"),
        pytest.param(whole, fail(529), id="529"),
        pytest.param(streamed, fail(429, retry_after=1), id="429 before a stream"),
    ],
)
async def test_a_transient_error_is_retried_until_an_answer_comes(
    llmock: ForeignServer, client: VeniceClient, ask: Ask, fault: dict[str, Any]
) -> None:
    script(llmock, fault)

    assert await ask(client)
    assert not await findings(llmock)


@pytest.mark.parametrize(
    ("ask", "fault", "error"),
    [
        pytest.param(whole, fail(503, times=3), ServiceUnavailableError, id="503 three times"),
        pytest.param(whole, fail(503, times=None), ServiceUnavailableError, id="outage"),
        pytest.param(whole, fail(400), InvalidRequestError, id="400"),
        pytest.param(whole, fail(401), AuthenticationError, id="401"),
        pytest.param(whole, fail(402), PaymentRequiredError, id="402"),
        pytest.param(whole, fail(422), UnprocessableEntityError, id="422"),
    ],
)
async def test_a_permanent_error_is_raised_as_its_class(
    llmock: ForeignServer, client: VeniceClient, ask: Ask, fault: dict[str, Any], error: type[APIError]
) -> None:
    script(llmock, fault)

    with pytest.raises(error):
        await ask(client)

    assert not await findings(llmock)


@pytest.mark.parametrize(
    ("ask", "fault", "error"),
    [
        pytest.param(whole, DELAY, APITimeoutError, id="answer"),
        pytest.param(streamed, STALL, StreamTimeoutError, id="rest of a stream"),
    ],
)
async def test_an_answer_later_than_the_limit_is_a_timeout_error(
    llmock: ForeignServer, client: VeniceClient, ask: Ask, fault: dict[str, Any], error: type[APIError]
) -> None:
    script(llmock, fault)

    with pytest.raises(error):
        await ask(client, IMPATIENT)

    # It sees only at the end of the fault whether the client left before.
    await asyncio.sleep(QUIET_SECONDS - 0.5)
    assert not await findings(llmock)


# Seen from the server, what is not asked for again was believed: it cannot know that the client raised an error.
@pytest.mark.parametrize(
    ("ask", "fault", "error", "suspicion"),
    [
        pytest.param(streamed, broken("truncate"), StreamInterruptedError, "truncated_stream_accepted", id="truncated"),
        pytest.param(streamed, broken("malformed"), StreamInterruptedError, "malformed_chunk_ignored", id="malformed"),
        pytest.param(streamed, broken("disconnect"), StreamInterruptedError, "gave_up", id="disconnected"),
        # It may have been billed, so it is not sent again unless the caller asks for it.
        pytest.param(whole, fail(504), GatewayTimeoutError, "gave_up", id="504"),
    ],
)
async def test_a_broken_stream_is_an_error_and_not_sent_again(
    llmock: ForeignServer, client: VeniceClient, ask: Ask, fault: dict[str, Any], error: type[APIError], suspicion: str
) -> None:
    script(llmock, fault)

    with pytest.raises(error) as caught:
        await ask(client)

    assert await findings(llmock) <= {suspicion}
    if isinstance(caught.value, StreamInterruptedError):
        assert caught.value.partial is not None
        assert caught.value.partial.text


async def test_a_stream_with_broken_json_is_left_at_once(llmock: ForeignServer, client: VeniceClient) -> None:
    script(llmock, broken("malformed"))

    with pytest.raises(StreamInterruptedError):
        await streamed(client)

    await findings(llmock)
    (request,) = llmock.get("/_llmock/requests")["requests"]
    assert not request["completed"]


@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(broken("truncate"), id="truncated"),
        pytest.param(broken("malformed"), id="malformed"),
        pytest.param(broken("disconnect"), id="disconnected"),
        pytest.param(STALL, id="stall"),
    ],
)
async def test_a_broken_stream_can_be_requested_again_by_the_caller(
    llmock: ForeignServer, client: VeniceClient, fault: dict[str, Any]
) -> None:
    script(llmock, fault)

    reply = await insisting(client)

    assert reply.choices[0].finish_reason == "stop"
    assert not await findings(llmock)


async def test_with_retry_timeouts_a_late_answer_is_retried(llmock: ForeignServer) -> None:
    script(llmock, DELAY)

    async with VeniceClient(api_key="any", base_url=f"{llmock.origin}/v1", retry_timeouts=True, limits=False) as client:
        assert await whole(client, IMPATIENT)

    assert not await findings(llmock)


async def test_many_calls_succeed_though_a_fifth_of_the_replies_are_errors(program: PythonEnvironment) -> None:
    def command(port: int) -> list[str]:
        rates = ("--error-rate=503=0.1", "--error-rate=429=0.1")
        return [program.command("llmock"), "serve", f"--port={port}", "--log-level=warning", *rates]

    async def one(client: VeniceClient, turn: asyncio.Semaphore, number: int) -> str:
        message = {"role": "user", "content": f"Row {number}: is this a boat or a bridge?"}
        async with turn:
            try:
                return (await client.chat.completions.create(model=MODEL, messages=[message])).choices[0].finish_reason or ""
            except APIError as error:
                return type(error).__name__

    with serving(command, ready="/health", folder=program.folder) as server:
        async with VeniceClient(api_key="any", base_url=f"{server.origin}/v1", limits=False) as client:
            turn = asyncio.Semaphore(10)
            ends = Counter(await asyncio.gather(*(one(client, turn, number) for number in range(150))))
        found = await findings(server)

    assert ends.keys() <= {"stop", "RateLimitError", "ServiceUnavailableError"}
    assert ends["stop"] > 130
    assert not found
