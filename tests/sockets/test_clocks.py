"""The time limits, on real sockets and with real time. Limits are short here, and what must not run out has room.

An error names the clock that ran out, and nothing else would end what is waited for here: no test needs to know how long it
took. One that hangs is ended by the suite.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import sys
import weakref
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from venice_ai import APITimeoutError, StreamTimeoutError, SyncVeniceClient, Timeout

from ..fakes import DONE, HI, KEY, RecordingClock, chunk, completion, event, hello, joined
from ..scripted_server import PATIENCE_SECONDS, SILENCE, Step, reply, serving, streamed

PING = b": ping\n\n"
HEL = event(chunk("hel"))
# A piece every 0.05 s, for longer than LONGER seconds.
DRIBBLE: list[Step] = [step for _ in range(17) for step in (event(chunk("x")), 0.05)]
PINGS: list[Step] = [step for _ in range(17) for step in (PING, 0.05)]
DRIPS: list[Step] = [step for byte in event(chunk("x"))[:17] for step in (bytes([byte]), 0.05)]
LONGER = 0.8
"""What no piece of these takes, and all of them together do."""


async def test_a_connection_that_is_not_established_times_out_by_connect() -> None:
    # The listener never speaks TLS, so the connection never stands.
    async with serving([SILENCE]) as server:
        client = server.client(base_url=server.url.replace("http:", "https:"), timeout=Timeout(connect=0.1))
        with pytest.raises(APITimeoutError, match="connect") as caught:
            await client.models.list()
        await client.close()

    assert caught.value.clock == "connect"


@pytest.mark.skipif(sys.platform != "linux", reason="how a full queue looks to a client is the system's own")
async def test_a_connection_that_is_not_accepted_times_out_by_connect() -> None:
    with crowded_port() as port:
        async with serving([SILENCE]) as server:
            client = server.client(base_url=f"http://127.0.0.1:{port}", timeout=Timeout(connect=0.1))
            with pytest.raises(APITimeoutError) as caught:
                await client.chat.completions.create(model="m", messages=HI)
            await client.close()

    assert caught.value.clock == "connect"


async def test_a_silent_proxy_times_out_by_connect() -> None:
    async with serving([SILENCE]) as proxy:
        limits = Timeout(connect=0.1, deadline=5)
        client = proxy.client(base_url="https://venice.invalid", proxy=proxy.url.removesuffix("/api/v1"), timeout=limits)
        with pytest.raises(APITimeoutError) as caught:
            await client.chat.completions.create(model="m", messages=HI)
        await client.close()

    assert caught.value.clock == "connect"


@contextmanager
def crowded_port() -> Generator[int, None, None]:
    """A port whose queue of connections is full."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(0)
    waiting = [socket.socket() for _ in range(3)]
    for other in waiting:
        other.setblocking(False)
        other.connect_ex(listening.getsockname())
    yield listening.getsockname()[1]
    for other in [*waiting, listening]:
        other.close()


# -- plain calls ---------------------------------------------------------------------------------------------------------

SLOW_ANSWERS = [
    pytest.param([SILENCE], id="no answer"),
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", SILENCE], id="no body"),
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n", *[b" ", 0.02] * 9, SILENCE], id="a body in drops"),
]


@pytest.mark.parametrize("steps", SLOW_ANSWERS)
@pytest.mark.parametrize(
    ("timeout", "clock"),
    [
        pytest.param(Timeout(idle=0.08), "idle", id="idle"),
        pytest.param(Timeout(deadline=0.08), "deadline", id="deadline"),
        pytest.param(0.08, "deadline", id="a number"),
        pytest.param(Timeout(idle=0.08, deadline=9), "idle", id="the shorter, idle"),
        pytest.param(Timeout(idle=9, deadline=0.08), "deadline", id="the shorter, deadline"),
    ],
)
async def test_a_plain_call_that_takes_too_long_names_its_clock(steps: list[Step], timeout: Any, clock: str) -> None:
    async with serving(steps) as server, server.client() as client:
        with pytest.raises(APITimeoutError, match=clock) as caught:
            await client.chat.completions.create(model="m", messages=HI, timeout=timeout)
        await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)

    assert caught.value.clock == clock
    assert isinstance(caught.value, TimeoutError)
    assert "Timeout(" in str(caught.value)
    assert len(server.received) == 1


@pytest.mark.parametrize("how", ["create", "stream"])
async def test_the_error_of_a_deadline_has_the_set_seconds_and_not_the_rest(how: str) -> None:
    busy = reply({"error": "busy"}, status="503 Busy", headers={"Retry-After": "0.2"})
    async with serving(busy, [SILENCE]) as server, server.client(max_retries=1, timeout=Timeout(deadline=0.5)) as client:
        with pytest.raises(APITimeoutError, match=r"within 0\.5 s"):
            await getattr(client.chat.completions, how)(model="m", messages=HI)


async def test_only_a_whole_answer_that_takes_too_long_is_better_streamed() -> None:
    async with serving(streamed(HEL, SILENCE)) as server, server.client(timeout=Timeout(idle=0.05)) as client:
        with pytest.raises(APITimeoutError, match=r"stream\(") as whole:
            await client.chat.completions.create(model="m", messages=HI)
        with pytest.raises(StreamTimeoutError) as piecemeal:
            await (await client.chat.completions.stream(model="m", messages=HI)).collect()

    assert whole.value.clock == piecemeal.value.clock == "idle"
    assert "stream(" not in str(piecemeal.value)


async def test_the_clocks_of_streams_do_not_end_a_plain_call() -> None:
    async with serving([0.15, *reply(completion())]) as server, server.client() as client:
        answer = await client.chat.completions.create(
            model="m", messages=HI, timeout=Timeout(first_chunk=0.05, progress=0.05, connect=5)
        )

    assert answer.text == "hello"


async def test_a_post_that_timed_out_is_sent_again_only_with_retry_timeouts() -> None:
    quick: dict[str, Any] = {"timeout": Timeout(idle=0.5), "clock": RecordingClock()}
    async with serving([SILENCE]) as server:
        for retry_timeouts, sent in ((False, 1), (True, 2)):
            server.received.clear()
            async with server.client(max_retries=1, retry_timeouts=retry_timeouts, **quick) as client:
                with pytest.raises(APITimeoutError):
                    await client.chat.completions.create(model="m", messages=HI)

            async with asyncio.timeout(PATIENCE_SECONDS):
                while len(server.received) < sent:  # the server may read later than the time runs out
                    await asyncio.sleep(0.01)
            assert len(server.received) == sent


async def test_a_client_s_clock_holds_for_every_call_and_a_call_s_own_wins() -> None:
    async with serving([0.2, *reply(completion())]) as server, server.client(timeout=0.05) as client:
        with pytest.raises(APITimeoutError):
            await client.chat.completions.create(model="m", messages=HI)
        answer = await client.chat.completions.create(model="m", messages=HI, timeout=60)

    assert answer.text == "hello"


# -- streams -------------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def reading(steps: list[Step], timeout: Any) -> AsyncGenerator[Any, None]:
    async with serving(steps) as server, server.client() as client:
        async with await client.chat.completions.stream(model="m", messages=HI, timeout=timeout) as stream:
            yield stream
        if SILENCE in steps:
            await asyncio.wait_for(server.left.wait(), PATIENCE_SECONDS)


@pytest.mark.parametrize(
    ("steps", "timeout"),
    [
        pytest.param([SILENCE], Timeout(first_chunk=0.08), id="no headers"),
        pytest.param([SILENCE], 0.08, id="no headers, a number"),
        pytest.param(streamed(SILENCE), Timeout(first_chunk=0.08), id="no body"),
        pytest.param(streamed(SILENCE), 0.08, id="no body, a number"),
    ],
)
async def test_a_stream_that_does_not_begin_times_out_by_first_chunk(steps: list[Step], timeout: Any) -> None:
    with pytest.raises(APITimeoutError, match="first_chunk") as caught:
        async with reading(steps, timeout) as stream:
            await stream.collect()

    assert caught.value.clock == "first_chunk"


@pytest.mark.parametrize(
    ("steps", "timeout", "clock"),
    [
        pytest.param(streamed(HEL, SILENCE), Timeout(idle=0.25), "idle", id="silence"),
        pytest.param(streamed(HEL, SILENCE), 0.25, "idle", id="silence, a number"),
        pytest.param(streamed(HEL, *PINGS, SILENCE), Timeout(progress=0.25), "progress", id="only comments"),
        pytest.param(streamed(HEL, *PINGS, SILENCE), 0.25, "progress", id="only comments, a number"),
        pytest.param(streamed(HEL, *DRIPS, SILENCE), 0.25, "progress", id="a chunk byte by byte, a number"),
        pytest.param(streamed(HEL, SILENCE), Timeout(progress=0.25), "progress", id="no content"),
        pytest.param(streamed(HEL, *PINGS, SILENCE), Timeout(deadline=0.25), "deadline", id="too long, comments"),
        pytest.param(streamed(HEL, SILENCE), Timeout(deadline=0.25), "deadline", id="too long, silence"),
    ],
)
async def test_a_stream_that_stalls_names_its_clock_and_keeps_what_came(steps: list[Step], timeout: Any, clock: str) -> None:
    with pytest.raises(StreamTimeoutError, match=clock) as caught:
        async with reading(steps, timeout) as stream:
            await stream.collect()

    assert caught.value.clock == clock
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.partial is not None
    assert caught.value.partial.text == "hel"


@pytest.mark.parametrize("what", [PINGS, DRIPS], ids=["comments", "drips"])
async def test_comments_and_drips_end_a_synchronous_stream_too(what: list[Step]) -> None:
    def read(url: str) -> None:
        with SyncVeniceClient(api_key=KEY, base_url=url) as client:
            client.chat.completions.stream(model="m", messages=HI, timeout=0.25).collect()

    async with serving(streamed(HEL, *what, SILENCE)) as server:
        with pytest.raises(StreamTimeoutError) as caught:
            await asyncio.to_thread(read, server.url)

    assert caught.value.clock == "progress"


async def test_a_stream_that_ran_out_of_time_leaves_no_cycle() -> None:
    async with serving(streamed(HEL, SILENCE)) as server, server.client() as client:
        stream = await client.chat.completions.stream(model="m", messages=HI, timeout=0.05)
        gone = weakref.ref(stream._reader)
        gc.collect()
        gc.disable()
        try:
            with pytest.raises(StreamTimeoutError):
                async for _ in stream:
                    pass
            del stream
            assert gone() is None
        finally:
            gc.enable()


async def test_a_deadline_ends_even_a_stream_that_makes_progress() -> None:
    with pytest.raises(StreamTimeoutError) as caught:
        async with reading(streamed(*DRIBBLE * 6), Timeout(deadline=0.5)) as stream:
            await stream.collect()

    assert caught.value.clock == "deadline"
    assert caught.value.partial is not None
    assert 1 <= len(caught.value.partial.text or "") < 6 * 17


@pytest.mark.parametrize(
    ("steps", "timeout"),
    [
        pytest.param([*DRIBBLE, DONE], LONGER, id="longer than the number, with content"),
        pytest.param(
            [*DRIBBLE, DONE], Timeout(first_chunk=LONGER, idle=LONGER, progress=LONGER), id="all clocks, with content"
        ),
        pytest.param([event(chunk("x" * 17)), *PINGS, DONE], Timeout(idle=LONGER), id="comments are bytes"),
        pytest.param([*PINGS, event(chunk("x" * 17)), DONE], Timeout(first_chunk=LONGER, idle=LONGER), id="comments first"),
    ],
)
async def test_a_stream_that_goes_on_is_never_killed(steps: list[Step], timeout: Any) -> None:
    assert sum(step for step in steps if isinstance(step, float)) > LONGER
    async with reading(streamed(*steps), timeout) as stream:
        answer = await stream.collect()

    assert answer.text == "x" * 17


@pytest.mark.parametrize("timeout", [Timeout(idle=0.2), Timeout(progress=0.2), 0.2], ids=str)
async def test_a_reader_who_is_slow_does_not_lose_what_arrived_in_time(timeout: Any) -> None:
    # All bytes come within a few hundredths of a second; it is the reader who takes long.
    pieces: list[Step] = [step for piece in hello() for step in (piece, 0.01)]
    async with reading(streamed(*pieces), timeout) as stream:
        texts: list[str] = []
        async for text in stream.text_deltas():
            texts.append(text)
            await asyncio.sleep(0.25)
        answer = await stream.collect()

    assert joined(texts) == answer.text == "hello"


@pytest.mark.parametrize("timeout", [Timeout(first_chunk=0.3), 0.3], ids=str)
async def test_a_reader_who_begins_late_does_not_lose_what_arrived_in_time(timeout: Any) -> None:
    async with reading(streamed(*hello()), timeout) as stream:
        await asyncio.sleep(0.4)
        answer = await stream.collect()

    assert answer.text == "hello"


async def test_the_time_to_the_first_chunk_is_measured() -> None:
    async with reading(streamed(0.1, *hello()), None) as stream:
        await stream.collect()

    assert 0.09 <= stream.meta.time_to_first_chunk < 10  # in seconds, and the server's wait is in it
    assert stream.meta.latency <= stream.meta.time_to_first_chunk
