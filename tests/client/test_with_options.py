"""`client.with_options(...)`: other settings for some calls, with the same connections, limiter, budget and catalogue."""

from __future__ import annotations

from typing import Any

import pytest

from venice_ai import Budget, InvalidRequestError, RateLimitError, SyncVeniceClient, Timeout, VeniceClient, VeniceError
from venice_ai.emulator import Emulator, busy, overloaded, run_in_thread, text

from ..fakes import HI, KEY, answer, client_of, completion


async def test_a_view_sends_through_the_same_transport_with_its_own_settings() -> None:
    client, transport = client_of(answer(completion()), answer(completion()), headers={"X-One": "client", "X-Two": "client"})

    view = client.with_options(timeout=7, headers={"x-two": "view"})
    await view.chat.completions.create(model="m", messages=HI)
    await client.chat.completions.create(model="m", messages=HI)

    ours, theirs = transport.requests
    assert (ours.timeout.deadline, theirs.timeout.deadline) == (7.0, None)
    assert {name.lower(): value for name, value in ours.headers.items()}.items() >= {("x-one", "client"), ("x-two", "view")}
    assert theirs.headers["X-Two"] == "client"


async def test_a_view_of_a_view_keeps_what_it_was_not_given() -> None:
    client, transport = client_of(answer(completion()))

    view = client.with_options(timeout=Timeout(deadline=9), headers={"X-A": "1"}).with_options(headers={"X-B": "2"})
    await view.chat.completions.create(model="m", messages=HI)

    assert transport.requests[0].timeout.deadline == 9.0
    assert transport.requests[0].headers.items() >= {("X-A", "1"), ("X-B", "2")}


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (1, 2), (4, 5)])
async def test_a_view_has_its_own_number_of_retries(retries: int, attempts: int) -> None:
    emulator = Emulator()
    emulator.always(overloaded())
    client = VeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock)

    with pytest.raises(VeniceError):
        await client.with_options(max_retries=retries).chat.completions.create(model="venice-1", messages=HI)

    assert len(emulator.requests) == attempts


async def test_a_refusal_to_a_view_holds_the_client_for_they_share_a_limiter() -> None:
    emulator = Emulator()
    emulator.script(busy(retry_after=20), text("hi"))
    client = VeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock)

    with pytest.raises(RateLimitError):
        await client.with_options(max_retries=0).chat.completions.create(model="venice-1", messages=HI)
    before = emulator.clock.now()
    await client.chat.completions.create(model="venice-1", messages=HI)

    assert emulator.clock.now() - before >= 20


async def test_a_view_spends_the_clients_budget_and_shares_its_catalogue() -> None:
    emulator = Emulator()
    budget = Budget(usd=1)
    client = VeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock, budget=budget)

    await client.with_options(timeout=5).chat.completions.create(model="venice-1", messages=HI)
    await client.with_options(timeout=5).chat.completions.create(model="venice-1", messages=HI)

    assert sum(each.calls for each in budget.spent()) == 2
    assert [request.path for request in emulator.requests].count("/api/v1/models") == 1
    assert client.with_options().models is client.models


async def test_closing_a_view_closes_the_client_and_entering_it_opens_both() -> None:
    client, _ = client_of(answer(completion()), answer(completion()))
    view = client.with_options(timeout=5)

    await view.close()
    assert (client.closed, view.closed) == (True, True)
    with pytest.raises(VeniceError, match="closed"):
        await client.chat.completions.create(model="m", messages=HI)
    async with view:
        await view.chat.completions.create(model="m", messages=HI)
        await client.chat.completions.create(model="m", messages=HI)
    assert client.closed


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"timeout": 0}, "timeout=0", id="timeout"),
        pytest.param({"max_retries": -1}, "max_retries=-1", id="retries"),
        pytest.param({"max_retries": True}, "max_retries=True", id="no number"),
        pytest.param({"headers": {"X": "a\nb"}}, "'X'", id="header"),
        pytest.param({"preflight": 1}, "preflight=1", id="preflight"),
        pytest.param({"retry_timeouts": "yes"}, "retry_timeouts='yes'", id="retry_timeouts"),
        pytest.param({"fallback_models": "one"}, "fallback_models='one'", id="fallback_models"),
    ],
)
@pytest.mark.parametrize("kind", [VeniceClient, SyncVeniceClient])
def test_an_option_that_is_not_allowed_is_refused_in_both_clients(kind: Any, options: dict[str, Any], words: str) -> None:
    client = kind(api_key=KEY)

    with pytest.raises(InvalidRequestError, match=words):
        client.with_options(**options)


def test_a_view_of_the_synchronous_client_shares_its_connections_in_the_calling_thread_and_on_the_loop() -> None:
    emulator = Emulator()
    with run_in_thread(emulator) as server, SyncVeniceClient(api_key=KEY, base_url=server.url) as client:
        view = client.with_options(timeout=9, headers={"X-View": "1"})
        assert view.chat.completions.create(model="venice-1", messages=HI).text
        assert view.chat.completions.stream(model="venice-1", messages=HI).collect().text
        assert client.chat.completions.create(model="venice-1", messages=HI).text

        assert [request.headers.get("x-view") for request in emulator.requests] == ["1", "1", None]
        here, own = view._for_this_thread({}), client._for_this_thread({})
        assert here is not None
        assert own is not None
        assert here.caller.transport is own.caller.transport
        assert view._connected.caller.transport is client._connected.caller.transport
        assert view._connected.hooks_in_threads
        view.close()
        assert client.closed
        with pytest.raises(VeniceError, match="closed"):
            client.chat.completions.create(model="venice-1", messages=HI)


def test_a_view_of_the_synchronous_client_with_fallback_models_asks_them() -> None:
    emulator = Emulator()
    emulator.script(overloaded(), overloaded(), overloaded())
    client = SyncVeniceClient(api_key=KEY, transport=emulator.transport(), clock=emulator.clock)

    view = client.with_options(max_retries=0).with_options(fallback_models=["venice-2"])

    assert view.fallback_models == ("venice-2",)
    assert client.fallback_models == ()
