"""New connections of a thread that blocks: whatever a network does, their limits of time hold, and closing ends them."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pytest

from venice_ai import APIConnectionError, APITimeoutError, SyncVeniceClient, Timeout
from venice_ai._http.dialing import Stop, Stopped, dial

from ..fakes import HI, KEY

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a full backlog is silent on Linux alone")


@contextmanager
def dead_address() -> Generator[int]:
    """A port that answers nothing: its backlog is full."""
    with ExitStack() as open_ones, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        for _ in range(4):
            each = open_ones.enter_context(socket.socket())
            each.settimeout(0)
            with suppress(BlockingIOError):
                each.connect(listening.getsockname())
        time.sleep(0.05)  # until the backlog is full
        yield listening.getsockname()[1]


@contextmanager
def living_address() -> Generator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def resolving_to(*ports: int) -> Any:
    def getaddrinfo(*_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]

    return getaddrinfo


def ask(timeout: Any, **settings: Any) -> Any:
    with SyncVeniceClient(api_key=KEY, base_url="http://venice.example/api/v1", trust_env=False, **settings) as client:
        return client.chat.completions.create(model="m", messages=HI, timeout=timeout)


def test_several_dead_addresses_take_no_longer_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_address() as port:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to(port, port, port))
        began = time.monotonic()
        with pytest.raises(APITimeoutError):
            ask(1)
        assert time.monotonic() - began < 2


@pytest.mark.parametrize(("limits", "clock"), [(0.5, "deadline"), (Timeout(connect=0.5), "connect")])
def test_a_resolver_that_takes_long_takes_no_longer_than_the_limit(
    limits: Any, clock: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answering = threading.Event()

    def slow(*_: Any, **__: Any) -> list[Any]:
        answering.wait(30)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    with pytest.raises(APITimeoutError) as caught:
        ask(limits, max_retries=0)
    answering.set()
    assert caught.value.clock == clock


@pytest.mark.parametrize("dead_ones", [1, 2])
def test_a_living_address_behind_dead_ones_is_found(dead_ones: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with dead_address() as dead, living_address() as living:
        monkeypatch.setattr(socket, "getaddrinfo", resolving_to(*[dead] * dead_ones, living))
        with dial("venice.example", 80, None, time.monotonic() + 20, Stop()) as sock:
            assert sock.getpeername()[1] == living


def test_a_name_without_an_address_is_an_error_that_names_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(APIConnectionError, match=r"cannot connect to venice\.example: Name or service not known"):
        ask(5, max_retries=0)


@pytest.mark.parametrize("where", ["a resolver", "a dead address"])
def test_stopping_ends_a_connection_attempt(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    answering, stop = threading.Event(), Stop()
    with dead_address() as port:

        def slow(*_: Any, **__: Any) -> Any:
            if where == "a resolver":
                answering.wait(30)
            return resolving_to(port)()

        monkeypatch.setattr(socket, "getaddrinfo", slow)
        threading.Timer(0.2, stop.fire).start()
        with pytest.raises(Stopped):
            dial("venice.example", 80, None, time.monotonic() + 30, stop)
        answering.set()
