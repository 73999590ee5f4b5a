"""How a client keeps within the limits of an account: it waits in a queue, in virtual time, and no request is sent in vain."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import pydantic
import pytest

from benchmarks.limits.virtual_time import LoopClock, run
from venice_ai import (
    APITimeoutError,
    CircuitOpenError,
    InvalidRequestError,
    RateLimitError,
    RateShare,
    SyncVeniceClient,
    Timeout,
    VeniceClient,
    WaitNotice,
)
from venice_ai._core.request import SystemClock
from venice_ai.emulator import Account, Emulator, busy, error, text
from venice_ai.exceptions import APIConnectionError, APIError, VeniceError

from ..fakes import UNIX, RecordingClock, ScriptedReply, answer, completion
from ..fakes import client_of as scripted_client_of

MODEL = "llama-3.3-70b"


def served(account: Account | None = None) -> Emulator:
    return Emulator(clock=LoopClock(), account=account)


def client_of(emulator: Emulator, **settings: Any) -> VeniceClient:
    own: dict[str, Any] = {"api_key": "k", "transport": emulator.transport(), "clock": emulator.clock}
    return VeniceClient(**own | settings)


async def ask(client: VeniceClient, number: int = 0, **params: Any) -> Any:
    create: Any = client.chat.completions.create
    return await create(model=MODEL, messages=[{"role": "user", "content": f"question {number}"}], **params)


async def asked(client: VeniceClient, count: int, at_once: int, **params: Any) -> list[BaseException]:
    """The errors of so many calls, of which some are made at a time."""
    free = asyncio.Semaphore(at_once)

    async def one(number: int) -> None:
        async with free:
            await ask(client, number, **params)

    found = await asyncio.gather(*map(one, range(count)), return_exceptions=True)
    return [each for each in found if each is not None]


@pytest.mark.parametrize("unit", ["seconds", "unix", "milliseconds"])
@pytest.mark.parametrize("window", ["fixed", "sliding"])
def test_two_hundred_requests_are_sent_two_hundred_times_where_headers_are_honest(window: Any, unit: Any) -> None:
    account = Account(rpm=60, window=window, unit=unit, retry_after=20.0)

    async def scenario() -> None:
        assert await asked(client_of(served(account)), 200, 20) == []

    run(scenario())

    assert len(account.accepted) == 200
    assert account.refused == []


@pytest.mark.parametrize("used_before", [1, 20, 25])
@pytest.mark.parametrize("limits", [{"rpm": 30}, {"rpm": 100}, {"rpm": 1000}, {"tpm": 50_000}], ids=str)
def test_a_burst_does_not_pass_a_limit_that_is_known(limits: Any, used_before: int) -> None:
    account = Account(**limits)

    async def scenario() -> None:
        client = client_of(served(account))
        assert await asked(client, used_before, 1) == []
        burst = [asyncio.ensure_future(ask(client, number)) for number in range(150)]
        await asyncio.sleep(0.05)
        client.limits.snapshot()
        await asyncio.gather(*burst)

    run(scenario())

    assert account.refused == []


@pytest.mark.parametrize("headers", ["missing", "lying"])
@pytest.mark.parametrize("window", ["fixed", "sliding", "bucket"])
def test_unknown_limits_are_learnt_without_a_failed_call_or_a_blocked_account(window: Any, headers: Any) -> None:
    account = Account(rpm=60, window=window, headers=headers, retry_after=20.0)

    async def scenario() -> None:
        assert await asked(client_of(served(account)), 200, 20) == []

    run(scenario())

    assert len(account.accepted) == 200
    assert len(account.refused) <= 20
    assert account.blocked_until == 0.0


def test_tokens_a_minute_are_kept_to() -> None:
    account = Account(tpm=20_000)

    async def scenario() -> None:
        assert await asked(client_of(served(account)), 60, 10) == []

    run(scenario())

    assert len(account.refused) <= 10


def test_a_failing_server_is_sent_at_most_twenty_failures_in_thirty_seconds() -> None:
    emulator = served()
    emulator.always(error(500))
    sent: list[float] = []

    async def scenario() -> None:
        client = client_of(emulator, max_retries=0, transport=_Noted(emulator.transport(), sent, emulator.clock))
        assert len(await asked(client, 1000, 50, timeout=Timeout(queue=100_000))) == 1000

    run(scenario())

    assert max(sum(1 for other in sent if at <= other < at + 30) for at in sent) <= 20


class _Noted:
    """Notes when requests are sent."""

    def __init__(self, inner: Any, sent: list[float], clock: Any) -> None:
        self.inner, self.sent, self.clock = inner, sent, clock

    async def send(self, request: Any) -> Any:
        self.sent.append(self.clock.now())
        return await self.inner.send(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


class _Hung:
    """Answers nothing for a time, and then as the transport below does."""

    def __init__(self, inner: Any, clock: Any, until: float) -> None:
        self.inner, self.clock, self.until = inner, clock, until

    async def send(self, request: Any) -> Any:
        if self.clock.now() < self.until:
            await self.clock.sleep(10)
            raise APITimeoutError("no reply", clock="idle")
        return await self.inner.send(request)

    async def aclose(self) -> None:
        await self.inner.aclose()


@pytest.mark.parametrize("until", [15.0, 33.3, 70.0])
def test_callers_of_a_server_that_hung_are_answered_within_five_seconds_of_its_recovery(until: float) -> None:
    emulator = served()

    async def scenario() -> None:
        client = client_of(emulator, transport=_Hung(emulator.transport(), emulator.clock, until))
        began = emulator.clock.now()

        async def caller(number: int) -> float:
            while True:
                with contextlib.suppress(APITimeoutError):
                    await ask(client, number)
                    return float(emulator.clock.now() - began)

        ends = await asyncio.gather(*map(caller, range(30)))
        assert min(ends) < until + 5
        assert sorted(ends)[10] < until + 6, "the others follow, but for those whose requests still hang"

    run(scenario())


def test_a_refusal_that_names_a_second_holds_a_batch_for_no_longer() -> None:
    emulator = served()

    async def scenario() -> None:
        client = client_of(emulator)
        emulator.script(*[text("fine")] * 30, error(429, "Rate limit exceeded", headers={"retry-after": "1"}))
        began = emulator.clock.now()
        assert await asked(client, 200, 10) == []
        assert emulator.clock.now() - began < 5

    run(scenario())


def test_a_body_that_was_refused_three_times_is_not_sent_again_for_thirty_seconds() -> None:
    emulator = served()
    emulator.always(error(400, "no"))

    async def scenario() -> None:
        client = client_of(emulator)
        errors = [await _failure(ask(client)) for _ in range(60)]
        assert [each.replayed for each in errors] == [False] * 3 + [True] * 57
        assert all(isinstance(each, InvalidRequestError) and each.status_code == 400 for each in errors)
        assert not (await _failure(ask(client, 1))).replayed, "another body is another matter"
        await emulator.clock.sleep(31)
        assert not (await _failure(ask(client))).replayed

    run(scenario())

    assert len(emulator.requests) == 5


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_refusals_that_are_not_about_the_body_are_sent_again(status: int) -> None:
    emulator = served()
    emulator.always(error(status))

    async def scenario() -> None:
        client = client_of(emulator)
        assert not any([(await _failure(ask(client))).replayed for _ in range(6)])

    run(scenario())

    assert len(emulator.requests) == 6


async def _failure(work: Any) -> Any:
    with pytest.raises(VeniceError) as caught:
        await work
    return caught.value


def test_a_429_pauses_all_calls_of_all_clients_with_the_same_key_and_model() -> None:
    emulator = served()

    async def scenario() -> None:
        first, second = client_of(emulator), client_of(emulator)
        emulator.script(busy(retry_after=20))
        began = emulator.clock.now()
        calls = [asyncio.ensure_future(ask(first))]
        await asyncio.sleep(0.1)
        calls.append(asyncio.ensure_future(ask(second, 1)))
        await asyncio.gather(*calls)
        assert emulator.clock.now() - began >= 20
        assert len(emulator.requests) == 3
        assert (await ask(client_of(emulator, api_key="another"))) is not None

    run(scenario())


def test_an_overloaded_model_says_nothing_of_the_limits_of_the_account() -> None:
    emulator = served()

    async def scenario() -> None:
        client = client_of(emulator)
        for _ in range(6):
            emulator.script(text("fine"), busy())
            await asked(client, 2, 2)
            assert not client.limits.snapshot().models[0].limits.learned
        began = emulator.clock.now()
        assert await asked(client, 30, 10) == []
        assert emulator.clock.now() - began < 10

    run(scenario())


def test_without_retries_a_429_is_raised_and_still_pauses_the_others() -> None:
    emulator = served()

    async def scenario() -> None:
        client = client_of(emulator, max_retries=0)
        emulator.script(busy(retry_after=20))
        assert isinstance(await _failure(ask(client)), RateLimitError)
        before = emulator.clock.now()
        await ask(client)
        assert emulator.clock.now() - before == pytest.approx(20, abs=0.5)

    run(scenario())


def test_a_wait_that_is_known_to_be_too_long_raises_at_once_and_sends_nothing() -> None:
    emulator = served()

    async def scenario() -> None:
        client = client_of(emulator, max_retries=0)
        emulator.script(busy(retry_after=20))
        await _failure(ask(client))
        before = emulator.clock.now()
        for limits in (Timeout(queue=5), Timeout(deadline=5)):
            refused = await _failure(ask(client, timeout=limits))
            assert isinstance(refused, RateLimitError)
            assert refused.retry_after_seconds == pytest.approx(20, abs=0.5)
        assert emulator.clock.now() == before

    run(scenario())

    assert len(emulator.requests) == 1


def test_a_wait_whose_end_is_not_known_ends_with_the_queue_clock() -> None:
    emulator = served()
    emulator.always(text("slow", delay=100.0))

    async def scenario() -> None:
        client = client_of(emulator)
        calls = [asyncio.ensure_future(ask(client, number)) for number in range(20)]
        await asyncio.sleep(1)
        late = await _failure(ask(client, 20, timeout=Timeout(queue=5)))
        assert isinstance(late, APITimeoutError)
        assert late.clock == "queue"
        assert emulator.clock.now() == pytest.approx(6, abs=0.1)
        await asyncio.gather(*calls)

    run(scenario())


def test_a_cancelled_wait_gives_its_place_to_the_next() -> None:
    emulator = served(Account(rpm=1))

    async def scenario() -> None:
        client = client_of(emulator)
        await ask(client)
        calls = [asyncio.ensure_future(ask(client, number)) for number in range(3)]
        await asyncio.sleep(1)
        calls[0].cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert calls[0].cancelled()
        (model,) = client.limits.snapshot().models
        assert model.waiting == 2
        await asyncio.gather(*calls[1:])

    run(scenario())

    assert len(emulator.requests) == 3


def test_once_the_last_waiting_call_was_cancelled_a_snapshot_shows_no_wait() -> None:
    emulator = served(Account(rpm=1))

    async def scenario() -> None:
        client = client_of(emulator)
        await ask(client)
        call = asyncio.ensure_future(ask(client))
        await asyncio.sleep(1)
        assert client.limits.snapshot().models[0].why == "requests a minute"
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        (model,) = client.limits.snapshot().models
        assert (model.waiting, model.why, model.until_seconds) == (0, "", None)

    run(scenario())


def test_closing_a_client_ends_its_waits_and_no_other_clients() -> None:
    emulator = served()

    async def scenario() -> None:
        closed, other = client_of(emulator), client_of(emulator, max_retries=0)
        emulator.script(busy(retry_after=20))
        await _failure(ask(other))
        waits = [asyncio.ensure_future(ask(each)) for each in (closed, other)]
        await asyncio.sleep(1)
        await closed.close()
        assert isinstance(await _failure(waits[0]), APIConnectionError)
        assert emulator.clock.now() < 2
        assert (await waits[1]).choices

    run(scenario())


def test_calls_are_served_in_the_order_in_which_they_came() -> None:
    emulator = served(Account(rpm=5))
    order: list[int] = []

    async def scenario() -> None:
        client = client_of(emulator)

        async def one(number: int) -> None:
            await asyncio.sleep(number / 100)
            await ask(client, number)
            order.append(number)

        await asyncio.gather(*map(one, range(25)))

    run(scenario())

    assert order == list(range(25))


def test_a_stream_holds_its_place_until_it_was_read_or_left() -> None:
    emulator = served(Account(rpm=100))

    async def scenario() -> None:
        client = client_of(emulator)
        stream = await client.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": "hi"}])
        assert client.limits.snapshot().models[0].limits.in_flight == 1
        async for _ in stream:
            break
        assert client.limits.snapshot().models[0].limits.in_flight == 1
        await stream.close()
        assert client.limits.snapshot().models[0].limits.in_flight == 0
        async with await client.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": "hi"}]) as stream:
            await stream.collect()
            assert client.limits.snapshot().models[0].limits.in_flight == 0

    run(scenario())


def test_waits_are_reported_to_on_wait_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    notices: list[WaitNotice] = []
    emulator = served()
    caplog.set_level(logging.INFO, "venice_ai")

    async def scenario() -> None:
        client = client_of(emulator, max_retries=0, on_wait=notices.append, api_key="secret-key-0123")
        emulator.script(busy(retry_after=20))
        await _failure(ask(client))
        waits = [asyncio.ensure_future(ask(client, number)) for number in range(3)]
        await asyncio.sleep(5)
        snapshot = client.limits.snapshot()
        assert snapshot.failures == 1
        (model,) = snapshot.models
        assert (model.model, model.waiting, model.why, model.circuit) == (MODEL, 3, "paused by a 429", "closed")
        assert model.waiting_since_seconds == pytest.approx(5, abs=0.1)
        assert model.until_seconds == pytest.approx(15, abs=0.1)
        await asyncio.gather(*waits)

    run(scenario())

    assert len(notices) == 3
    assert (notices[0].model, notices[0].why) == (MODEL, "paused by a 429")
    assert notices[0].seconds == pytest.approx(20, abs=0.1)
    lines = [record.getMessage() for record in caplog.records if "wait for" in record.getMessage()]
    assert len(lines) == 1
    assert "secret-key-0123" not in caplog.text
    assert "question" not in caplog.text


def test_an_open_circuit_raises_at_once_with_fail_fast_and_else_is_waited_out() -> None:
    emulator = served()

    async def scenario() -> None:
        failing = client_of(emulator, max_retries=0)
        emulator.script(*[error(500)] * 5)
        for number in range(5):
            await _failure(ask(failing, number))
        impatient = client_of(emulator, fail_fast=True)
        before = emulator.clock.now()
        assert isinstance(await _failure(ask(impatient)), CircuitOpenError)
        assert emulator.clock.now() == before
        assert isinstance(await _failure(ask(failing, timeout=Timeout(deadline=0.5))), CircuitOpenError)
        assert (await ask(failing)).choices
        assert emulator.clock.now() - before <= 5

    run(scenario())

    assert len(emulator.requests) == 6


@pytest.mark.parametrize("way", ["create", "stream", "parse", "stream_parse", "run_with_tools", "stream_with_tools", "batch"])
def test_every_kind_of_call_may_fail_fast_whatever_its_client_does(way: str) -> None:
    emulator = served()

    class Answer(pydantic.BaseModel):
        number: int

    async def made(completions: Any, **params: Any) -> None:
        own: dict[str, Any] = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], **params}
        own |= {"response_format": Answer} if "parse" in way else {}
        own |= {"tools": []} if "tools" in way else {}
        if way == "batch":
            (found,) = await completions.batch([own])
            if isinstance(found, BaseException):
                raise found
            return
        found = await getattr(completions, way)(**own)
        if way == "stream_with_tools":
            async with found:
                assert [event async for event in found]
        elif "stream" in way:
            async with found:
                await found.collect()

    async def scenario() -> None:
        client = client_of(emulator, max_retries=0)
        emulator.script(*[error(500)] * 5)
        for number in range(5):
            await _failure(ask(client, number))
        before = emulator.clock.now()
        assert isinstance(await _failure(made(client.chat.completions, fail_fast=True)), CircuitOpenError)
        assert emulator.clock.now() == before
        patient = client_of(emulator, fail_fast=True)
        emulator.script(text('{"number": 1}'))
        await made(patient.chat.completions, fail_fast=False)
        assert emulator.clock.now() > before

    run(scenario())

    assert len(emulator.requests) == 6
    assert b"fail_fast" not in (emulator.requests[-1].body or b"")


async def test_fail_fast_must_be_a_boolean() -> None:
    with pytest.raises(InvalidRequestError, match="fail_fast='yes' is not allowed"):
        await ask(client_of(Emulator()), fail_fast="yes")


def test_a_client_without_limits_sends_everything_at_once() -> None:
    emulator = served(Account(rpm=60))

    async def scenario() -> None:
        client = client_of(emulator, limits=False, max_retries=0)
        assert len(await asked(client, 100, 100)) == 40

    run(scenario())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs a fork")
def test_the_limits_learnt_before_a_fork_do_not_hold_in_the_child() -> None:
    emulator = served()
    client = client_of(emulator, max_retries=0)

    async def refused() -> None:
        emulator.script(busy(retry_after=30))
        with pytest.raises(RateLimitError):
            await ask(client)

    async def known() -> list[str]:
        return [each.limits.why for each in client.limits.snapshot().models]

    run(refused())
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.write(theirs, repr(run(known())).encode())
        finally:
            os._exit(0)  # without the ends of the tests, which are the parent's
    os.waitpid(child, 0)

    assert run(known()) == ["paused by a 429"]
    assert os.read(ours, 1000) == b"[]"
    os.close(ours)
    os.close(theirs)


def test_the_limits_are_fetched_only_by_refresh() -> None:
    emulator = served()

    async def scenario() -> None:
        client = client_of(emulator)
        assert client.limits.snapshot().models == ()
        assert emulator.requests == []
        found = {each.model: each for each in (await client.limits.refresh()).models}
        assert found[MODEL].limits.limit_requests == 500
        assert found[MODEL].limits.limit_tokens == 1_000_000
        assert (await ask(client)).choices

    run(scenario())


async def test_limits_of_a_day_are_known_after_a_refresh_and_end_at_midnight() -> None:
    kinds = [{"amount": amount, "type": kind} for kind, amount in {"RPM": 100, "RPD": 5, "TPD": 9_000}.items()]
    listed = {"data": {"rateLimits": [{"apiModelId": MODEL, "rateLimits": kinds}]}}
    clock, usage = RecordingClock(), {"prompt_tokens": 400, "completion_tokens": 600, "total_tokens": 1000}
    replies = [answer(listed), *(answer(completion(usage=usage)) for _ in range(6))]
    client, transport = scripted_client_of(*replies, clock=clock, max_retries=0)
    await client.limits.refresh()
    await asyncio.gather(*(ask(client, number) for number in range(5)))

    model = client.limits.snapshot().models[-1]
    assert (model.limits.limit_requests_day, model.limits.remaining_requests_day) == (5, 0)
    assert (model.limits.limit_tokens_day, model.limits.remaining_tokens_day) == (9_000, 4_000)
    refused = await _failure(ask(client))
    assert isinstance(refused, RateLimitError)
    assert "(requests a day)" in str(refused)
    assert refused.retry_after_seconds == pytest.approx(86_400 - UNIX % 86_400, abs=1.0)
    assert len(transport.requests) == 1 + 5

    clock.passed += 86_400 - UNIX % 86_400
    await ask(client)
    assert client.limits.snapshot().models[-1].limits.remaining_requests_day == 4


@pytest.mark.parametrize("amount", [0, -5, 10**400, 1e300])
async def test_absurd_amounts_in_the_list_of_limits_hold_no_call(amount: float) -> None:
    kinds = [{"amount": amount, "type": kind} for kind in ("RPM", "TPM", "RPD", "TPD")]
    listed = {"data": {"rateLimits": [{"apiModelId": MODEL, "rateLimits": kinds}]}}
    client, _ = scripted_client_of(answer(listed), *(answer(completion()) for _ in range(3)), max_retries=0)
    assert (await client.limits.refresh()).models
    for number in range(3):
        assert (await ask(client, number)).choices


async def test_a_list_of_limits_that_holds_no_finite_numbers_is_an_error() -> None:
    body = b'{"data": {"rateLimits": [{"apiModelId": "m", "rateLimits": [{"amount": 1e400, "type": "RPD"}]}]}}'
    client, _ = scripted_client_of(ScriptedReply(body), max_retries=0)
    with pytest.raises(APIError, match="does not list rate limits"):
        await client.limits.refresh()


async def test_clients_with_a_share_keep_within_the_limits_together(tmp_path: Path) -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=20))
    settings: dict[str, Any] = {"transport": emulator.transport(), "clock": emulator.clock, "max_retries": 0, "api_key": "k"}
    first, second = (VeniceClient(rate_share=RateShare(tmp_path / "share"), **settings) for _ in range(2))

    await _failure(ask(first))
    refused = await _failure(ask(second, timeout=Timeout(queue=5)))

    assert isinstance(refused, RateLimitError)
    assert len(emulator.requests) == 1


def test_after_a_reset_the_room_that_one_process_is_told_of_is_used_by_all(tmp_path: Path) -> None:
    emulator = served(Account(rpm=60))
    clients = [client_of(emulator, rate_share=RateShare(tmp_path / "share")) for _ in range(4)]

    async def scenario() -> float:
        await emulator.clock.sleep(60 - emulator.clock.time() % 60 + 35)
        began = emulator.clock.now()
        assert await asyncio.gather(*[asked(client, 20, 10) for client in clients]) == [[]] * 4
        return emulator.clock.now() - began

    assert 25 <= run(scenario()) < 27, "the account's minute ends after 25 s"


async def test_while_another_process_has_the_file_of_a_share_the_event_loop_goes_on(tmp_path: Path) -> None:
    client = VeniceClient(api_key="k", transport=Emulator().transport(), rate_share=RateShare(tmp_path / "share"))
    other = sqlite3.connect(tmp_path / "share", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    call, turns, began = asyncio.ensure_future(ask(client)), 0, time.monotonic()
    while time.monotonic() < began + 0.5:
        await asyncio.sleep(0.01)
        turns += 1
        client.limits.snapshot()
    assert turns > 15
    assert not call.done()

    other.execute("COMMIT")
    stream = await client.chat.completions.stream(model=MODEL, messages=[{"role": "user", "content": "hi"}])
    assert (await call).choices
    other.execute("BEGIN IMMEDIATE")
    await stream.close()
    other.execute("COMMIT")
    other.close()
    while client.limits.snapshot().models[0].limits.in_flight:
        await asyncio.sleep(0.01)


def test_a_snapshot_and_an_error_name_the_same_end_of_a_wait() -> None:
    emulator = served(Account(rpm=30))
    notices: list[WaitNotice] = []

    async def scenario() -> None:
        client = client_of(emulator, on_wait=notices.append)
        assert await asked(client, 30, 5) == []
        waiting = asyncio.ensure_future(ask(client))
        await asyncio.sleep(7)
        refused = await _failure(ask(client, timeout=Timeout(queue=1)))
        (model,) = client.limits.snapshot().models
        assert model.until_seconds == refused.retry_after_seconds
        assert f"{refused.retry_after_seconds:.1f} s ({model.why})" in str(refused)
        left, now = model.until_seconds or 0.0, emulator.clock.now()
        assert notices[0].seconds == pytest.approx(left + 7, abs=0.1)
        await waiting
        assert emulator.clock.now() - now == pytest.approx(left, abs=0.1)

    run(scenario())


class CountingClock(SystemClock):
    """The system's clock, and how often it was looked at."""

    looks = 0

    def now(self) -> float:
        self.looks += 1
        return super().now()


async def test_a_waiting_queue_uses_no_processor_time() -> None:
    clock = CountingClock()
    client = VeniceClient(api_key="k", transport=Emulator(account=Account(rpm=500)).transport(), clock=clock)
    # More than two minutes of the account take: one may begin meanwhile.
    calls = [asyncio.ensure_future(ask(client, number)) for number in range(1_300)]
    await asyncio.sleep(0.1)
    while client.limits.snapshot().models[0].limits.in_flight:
        await asyncio.sleep(0.1)
    await asyncio.sleep(1.2)  # after a second each wait is told, which takes a busy machine longer

    looks = list[int]()
    while not looks or (looks[-1] >= 50 and len(looks) < 10):
        before = clock.looks
        await asyncio.sleep(0.5)
        looks.append(clock.looks - before)

    assert client.limits.snapshot().models[0].waiting > 0
    assert looks[-1] < 50
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


async def unheard(_: WaitNotice) -> None:
    """A hook that nobody would await."""


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rate_share": "share.db"}, "must be a RateShare"),
        ({"on_wait": 5}, "must be a function"),
        ({"on_wait": unheard}, "must not be an async function"),
    ],
    ids=["a share", "no function", "an async function"],
)
def test_an_unusable_share_or_on_wait_hook_is_refused_when_the_client_is_made(settings: Any, message: str) -> None:
    for client in (VeniceClient, SyncVeniceClient):
        with pytest.raises(InvalidRequestError, match=message):
            client(api_key="k", **settings)
