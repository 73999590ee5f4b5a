"""The limiter over sockets: what clients know together though each lives for one request; refused bodies; waits and hooks."""

from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
import time
import weakref
from collections.abc import Awaitable, Callable, Generator
from pathlib import Path
from typing import Any

import pytest

from venice_ai import APIError, APITimeoutError, RateLimitError, RateShare, SyncVeniceClient, Timeout, VeniceClient, WaitNotice
from venice_ai._limits import limiter
from venice_ai.emulator import Emulator, busy, completion, error, run_in_thread, text

from ..scripted_server import reply, serving

MODEL = "llama-3.3-70b"
IMPATIENT = Timeout(queue=0.01)


def ask_sync(url: str, number: int, key: str = "k") -> None:
    with SyncVeniceClient(api_key=key, base_url=url, max_retries=0, timeout=IMPATIENT) as client:
        client.chat.completions.create(model=MODEL, messages=str(number))


def ask_async(url: str, number: int, key: str = "k") -> None:
    async def call() -> None:
        async with VeniceClient(api_key=key, base_url=url, max_retries=0, timeout=IMPATIENT) as client:
            await client.chat.completions.create(model=MODEL, messages=str(number))

    asyncio.run(call())


kinds = pytest.mark.parametrize("ask", [ask_sync, ask_async])


def failures(ask: Callable[..., None], url: str, count: int) -> list[type[APIError]]:
    """How so many calls fail, each of a client of its own that is gone before the next one."""
    found: list[type[APIError]] = []
    for number in range(count):
        with pytest.raises(APIError) as caught:
            ask(url, number)
        found.append(caught.type)
        del caught
        gc.collect()
    return found


@kinds
def test_clients_of_one_request_each_fail_at_most_twenty_times_together(ask: Callable[..., None]) -> None:
    emulator = Emulator()
    emulator.always(error(400, "no"))
    with run_in_thread(emulator) as server:
        assert failures(ask, server.url, 30)[20:] == [RateLimitError] * 10
    assert len(emulator.requests) == 20


@kinds
def test_a_429_holds_clients_that_are_made_after_the_refused_one_has_gone(ask: Callable[..., None]) -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=20))
    with run_in_thread(emulator) as server:
        assert failures(ask, server.url, 6) == [RateLimitError] * 6
    assert len(emulator.requests) == 1


async def errors_of(*calls: Awaitable[object]) -> list[APIError]:
    found = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(each, APIError) for each in found)
    return [each for each in found if isinstance(each, APIError)]


async def test_calls_that_wait_with_a_body_that_is_refused_the_third_time_end_at_once() -> None:
    emulator, began = Emulator(), time.monotonic()
    emulator.always(error(400, "no", delay=0.05))
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="k", base_url=server.url) as client:
            create = client.chat.completions.create
            found = await errors_of(*(create(model=MODEL, messages="hi") for _ in range(60)))

    assert [each.replayed for each in found] == [False] * 20 + [True] * 40
    assert len(emulator.requests) == 20
    assert time.monotonic() - began < 10


async def test_a_refused_body_ends_the_calls_behind_another_one_that_still_waits() -> None:
    emulator = Emulator()
    emulator.always(error(400, "no", delay=0.05))
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="k", base_url=server.url) as client:
            create = client.chat.completions.create
            sent = [asyncio.ensure_future(create(model=MODEL, messages="hi")) for _ in range(20)]
            other = asyncio.ensure_future(create(model=MODEL, messages="another"))
            late = create(model=MODEL, messages="hi")
            assert (await errors_of(*sent, late))[-1].replayed
            assert not other.done()
            other.cancel()


async def test_an_error_in_a_reply_with_the_status_200_counts_as_the_status_that_it_names() -> None:
    emulator = Emulator()
    emulator.always(completion({"error": {"message": "no", "code": 400}}))
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="k", base_url=server.url, max_retries=0) as client:
            found = [(await errors_of(client.chat.completions.create(model=MODEL, messages="hi")))[0] for _ in range(5)]

    assert [each.replayed for each in found] == [False, False, False, True, True]
    assert len(emulator.requests) == 3


async def test_refused_requests_without_a_body_are_never_taken_for_one_another() -> None:
    refusals = [reply({"error": "no"}, status="400 Bad Request")] * 3
    async with serving(*refusals, reply({"data": []})) as server, server.client() as client:
        found = [(await errors_of(client.limits.refresh()))[0] for _ in range(3)]
        assert not any(each.replayed for each in found)
        assert not (await client.models.list()).data


async def test_with_a_share_the_end_of_a_wait_for_requests_in_flight_is_not_known_either(tmp_path: Path) -> None:
    emulator = Emulator()
    emulator.always(text("hi", delay=30.0))
    told: list[WaitNotice] = []
    share = RateShare(tmp_path / "share")
    with run_in_thread(emulator) as server:
        async with VeniceClient(api_key="k", base_url=server.url, rate_share=share, on_wait=told.append) as client:
            create = client.chat.completions.create
            sent = [asyncio.ensure_future(create(model=MODEL, messages=str(number))) for number in range(20)]
            await asyncio.sleep(0.1)
            began = time.monotonic()
            with pytest.raises(APITimeoutError, match=r"its turn \(failures\)") as caught:
                await create(model=MODEL, messages="one more", timeout=Timeout(deadline=1.2))
            assert caught.value.clock == "deadline"
            assert time.monotonic() - began >= 1.2
            assert [(each.why, each.seconds) for each in told] == [("failures", None)]
            for each in sent:
                each.cancel()
            await asyncio.gather(*sent, return_exceptions=True)


async def test_with_a_share_a_call_goes_on_soon_after_another_process_has_made_room(tmp_path: Path) -> None:
    emulator = Emulator()
    shares = [RateShare(tmp_path / "share") for _ in range(2)]
    with run_in_thread(emulator) as server:
        emulator.always(text("hi", delay=1.0))
        first, second = (VeniceClient(api_key="k", base_url=server.url, rate_share=each) for each in shares)
        sent = [asyncio.ensure_future(first.chat.completions.create(model=MODEL, messages=str(n))) for n in range(20)]
        await asyncio.sleep(0.2)
        assert (await second.chat.completions.create(model=MODEL, messages="more", timeout=Timeout(queue=5))).choices
        await asyncio.gather(*sent)
        await first.close()
        await second.close()


async def test_a_call_that_waits_for_the_file_of_a_share_says_so(tmp_path: Path) -> None:
    share = RateShare(tmp_path / "share")
    other = sqlite3.connect(tmp_path / "share", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with run_in_thread(Emulator()) as server:
        async with VeniceClient(api_key="k", base_url=server.url, rate_share=share) as client:
            with pytest.raises(APITimeoutError, match=r"its turn \(another process has the file of the RateShare\)"):
                await client.chat.completions.create(model=MODEL, messages="hi", timeout=Timeout(queue=0.2))
    other.close()


def test_a_call_goes_on_though_the_event_loop_of_the_first_in_the_queue_has_stopped() -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=1.0))
    emulator.always(text("hi"))
    with run_in_thread(emulator) as server:
        client = VeniceClient(api_key="k", base_url=server.url, max_retries=0)
        loop = asyncio.new_event_loop()

        async def begun() -> asyncio.Task[Any]:
            with pytest.raises(RateLimitError):
                await client.chat.completions.create(model=MODEL, messages="hi")
            task = asyncio.ensure_future(client.chat.completions.create(model=MODEL, messages="first"))
            await asyncio.sleep(0.2)
            return task

        task = loop.run_until_complete(begun())
        began = time.monotonic()
        with SyncVeniceClient(api_key="k", base_url=server.url) as other:
            assert other.chat.completions.create(model=MODEL, messages="second").choices
        assert time.monotonic() - began < 5.0
        loop.run_until_complete(asyncio.gather(task, client.close(), return_exceptions=True))
        loop.close()


async def test_an_on_wait_hook_that_raises_is_logged_and_costs_no_call(caplog: pytest.LogCaptureFixture) -> None:
    def boom(_: WaitNotice) -> None:
        raise RuntimeError("boom")

    emulator = Emulator()
    emulator.script(busy(retry_after=1.5))
    with run_in_thread(emulator) as server:
        key = "another account than that of a test that had the same port before"
        async with VeniceClient(api_key=key.replace(" ", "-"), base_url=server.url, on_wait=boom) as client:
            assert (await client.chat.completions.create(model=MODEL, messages="hi")).choices
    (record,) = [each for each in caplog.records if each.name == "venice_ai" and each.levelno == logging.ERROR]
    assert "on_wait" in record.message
    assert record.exc_info is not None
    assert str(record.exc_info[1]) == "boom"


@pytest.fixture
def accounts() -> Generator[Callable[[], set[Any]]]:
    """The accounts that outlast their clients, of those that begin in the test."""
    before = {**limiter._outlasting}  # the tests of this process may have left hundreds
    limiter._outlasting.clear()
    yield lambda: {*limiter._outlasting}
    limiter._outlasting.clear()
    limiter._outlasting.update(before)


def let_minutes_pass() -> None:
    """All that is known looks as if it had been used some minutes ago."""
    for each in limiter._outlasting:
        limiter._outlasting[each] -= limiter.IDLE_SECONDS


def test_an_account_that_is_idle_for_minutes_is_forgotten_unless_it_knows_of_a_failure(
    accounts: Callable[[], set[Any]],
) -> None:
    emulator = Emulator()
    with run_in_thread(emulator) as server:
        for number in range(20):
            ask_sync(server.url, number, f"key-{number}")
        emulator.script(error(400, "no"), busy(retry_after=20))
        for key in ("failed", "paused"):
            with pytest.raises(APIError):
                ask_sync(server.url, 0, key)
        assert len(accounts()) == 22
        let_minutes_pass()
        for number in range(9):  # a few are forgotten each time
            ask_sync(server.url, 0, f"another-{number}")
        gc.collect()

        assert len(accounts()) == 2 + 9
        with pytest.raises(RateLimitError):
            ask_sync(server.url, 1, "paused")


def test_an_account_that_is_forgotten_stays_with_the_client_that_has_it(accounts: Callable[[], set[Any]]) -> None:
    emulator = Emulator()
    with run_in_thread(emulator) as server, SyncVeniceClient(api_key="k", base_url=server.url, max_retries=0) as client:
        client.chat.completions.create(model=MODEL, messages="hi")
        let_minutes_pass()
        for number in range(9):
            ask_sync(server.url, 0, f"another-{number}")
        assert len(accounts()) == 9
        emulator.script(busy(retry_after=20))
        with pytest.raises(RateLimitError):
            client.chat.completions.create(model=MODEL, messages="hi")
        with pytest.raises(RateLimitError):
            ask_sync(server.url, 0)

    assert len(emulator.requests) == 1 + 9 + 1


async def test_an_emulator_in_this_process_goes_with_its_clients() -> None:
    emulator = Emulator()
    emulator.always(error(400, "no"))
    client = VeniceClient(api_key="k", transport=emulator.transport())
    with pytest.raises(APIError):
        await client.chat.completions.create(model=MODEL, messages="hi")
    await client.close()
    found = weakref.ref(emulator)
    del emulator, client
    gc.collect()

    assert found() is None
